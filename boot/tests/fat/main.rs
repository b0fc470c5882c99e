//! Finding `autoboot.txt` on volumes of each kind, sound, broken and hostile.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::disallowed_methods)]
mod put;
mod volume;

use bistable_boot::{
    Blocks, Lba, OutOfRange, SECTOR,
    fat::{Fat, FatError, Located},
};
use proptest::prelude::*;
use volume::{NAME, Plan, Volume, entry, fat12, fat16, fat32};

fn find(v: &mut Volume) -> Result<Located, FatError<OutOfRange>> {
    Fat::open(v)?.find(v, NAME)
}

#[test]
fn the_file_is_found_on_each_kind() {
    for plan in [fat12(), fat16(), fat32(), Plan { fats: 1, ..fat16() }] {
        assert_eq!(find(&mut plan.build()).unwrap(), plan.want(), "{plan:?}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for plan in [fat12(), fat16(), fat32()] {
        let mut v = plan.build();
        let fat = Fat::open(&mut v).unwrap();
        assert!(matches!(fat.find(&mut v, b"CONFIG  TXT"), Err(FatError::NotFound)));
        // A name behind the end of the folder is none.
        v.at(plan.root_sectors()[0])[0] = 0;
        assert!(matches!(fat.find(&mut v, NAME), Err(FatError::NotFound)));
        // A folder that is full, without an end mark.
        for sector in plan.root_sectors() {
            for e in v.at(sector).as_chunks_mut::<32>().0 {
                *e = entry(b"OTHER   BIN", 0x20, 3, 7);
            }
        }
        assert!(matches!(fat.find(&mut v, NAME), Err(FatError::NotFound)));
    }
}

#[test]
fn an_erased_or_foreign_header_is_no_fat() {
    type Break = fn(&mut [u8; SECTOR]);
    let broken: [(&str, Break); 8] = [
        ("erased", |b| b.fill(0)),
        ("erased to ones", |b| b.fill(0xff)),
        ("no signature", |b| b[510] = 0),
        ("no jump", |b| b[0] = 0),
        ("sectors of 4096 bytes", |b| b[11..13].copy_from_slice(&4096u16.to_le_bytes())),
        ("no sectors in a cluster", |b| b[13] = 0),
        ("three sectors in a cluster", |b| b[13] = 3),
        ("no table (NTFS)", |b| b[16] = 0),
    ];
    for plan in [fat12(), fat16(), fat32()] {
        for (what, harm) in broken {
            let mut v = plan.build();
            harm(v.at(0));
            assert!(matches!(find(&mut v), Err(FatError::NotFat)), "{what}");
        }
    }
}

#[test]
fn areas_that_do_not_fit_are_damage() {
    type Break = fn(&mut [u8; SECTOR]);
    let broken: [(&str, Break); 5] = [
        ("no reserved sectors", |b| b[14..16].fill(0)),
        ("tables beyond the end", |b| b[22..24].fill(0xff)),
        ("larger than the partition", |b| {
            b[19..21].fill(0);
            b[32..36].fill(0xff);
        }),
        ("smaller than its tables", |b| b[19..21].copy_from_slice(&10u16.to_le_bytes())),
        ("no root folder, and not FAT32 either", |b| b[17..19].fill(0)),
    ];
    for (what, harm) in broken {
        let mut v = fat12().build();
        harm(v.at(0));
        assert!(matches!(find(&mut v), Err(FatError::Damaged(_))), "{what}");
    }
    let mut v = fat32().build();
    v.at(0)[17..19].copy_from_slice(&512u16.to_le_bytes());
    assert!(matches!(find(&mut v), Err(FatError::Damaged(_))), "FAT32 with a fixed root folder");
}

#[test]
fn clusters_outside_the_volume_are_not_followed() {
    for plan in [fat12(), fat16(), fat32()] {
        for cluster in [0, 1, plan.clusters + 2, 0xFFF6] {
            if cluster == 0xFFF6 && plan.bits == 32 {
                continue;
            }
            let v = &mut Plan { file: (cluster, 512), ..plan.clone() }.build();
            assert!(matches!(find(v), Err(FatError::Astray)), "cluster {cluster} of {plan:?}");
        }
        let v = &mut Plan { file: (plan.clusters + 1, 512), ..plan.clone() }.build();
        assert!(find(v).is_ok(), "the last cluster");
    }
}

#[test]
fn a_root_chain_that_loops_or_leaves_the_volume_ends() {
    let plan = fat32();
    // To itself, back to the start, to a free, a reserved, a bad and a missing cluster.
    for (from, to) in
        [(2, 2), (5, 2), (5, 130), (130, 0), (130, 1), (2, 0x0FFF_FFF7), (69_000, 70_002), (2, 0x0FFF_FFF0)]
    {
        let mut v = plan.build();
        plan.set_next(&mut v, from, to);
        // Full, so that only the chain can end it, and without the file.
        for sector in plan.root_sectors() {
            for e in v.at(sector).as_chunks_mut::<32>().0 {
                *e = entry(b"OTHER   BIN", 0x20, 3, 7);
            }
        }
        assert!(matches!(find(&mut v), Err(FatError::Damaged(_))), "{from} to {to}");
        assert!(v.reads < 10_000, "{} reads", v.reads);
    }
}

#[test]
fn each_end_mark_ends_the_root_chain() {
    let plan = Plan { before: 0, root_chain: vec![9], ..fat32() };
    for mark in 0x0FFF_FFF8..=0x0FFF_FFFF {
        let mut v = plan.build();
        plan.set_next(&mut v, 9, mark);
        for sector in plan.root_sectors() {
            v.at(sector).as_chunks_mut::<32>().0.fill(entry(b"OTHER   BIN", 0x20, 3, 7));
        }
        assert!(matches!(find(&mut v), Err(FatError::NotFound)), "{mark:#x}");
    }
}

/// A table too short for the data area: what lies behind it is data, and must not be followed as a chain.
#[test]
fn a_chain_is_never_read_from_beyond_the_table() {
    let plan = fat32();
    let mut v = plan.build();
    let short = 10u32;
    v.at(0)[36..40].copy_from_slice(&short.to_le_bytes());
    v.at(0)[44..48].copy_from_slice(&(short * 128 + 5).to_le_bytes());
    assert!(matches!(find(&mut v), Err(FatError::Damaged(_))));
}

fn plans() -> impl Strategy<Value = Plan> {
    (0..3usize, 0..8u32, 1..40u16, 1..=2u8, 0..200usize, any::<u32>(), any::<u32>()).prop_map(
        |(kind, per_cluster, reserved, fats, before, seed, bytes)| {
            let base = [fat12(), fat16(), fat32()][kind].clone();
            let per_cluster = 1u8 << per_cluster;
            // A chain of clusters far apart, long enough for all entries.
            let needed = (before + 6).div_ceil(16 * usize::from(per_cluster));
            let root_chain = if base.bits < 32 {
                vec![]
            } else {
                (0..u32::try_from(needed).unwrap()).map(|i| 2 + (seed % 1000) + i * 937).collect()
            };
            Plan {
                per_cluster,
                reserved,
                fats,
                before,
                root_chain,
                file: (2 + seed % base.clusters, bytes.max(1)),
                ..base
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_sound_volume_gives_the_file(plan in plans()) {
        prop_assert_eq!(find(&mut plan.build()).unwrap(), plan.want());
    }

    /// Sound volumes with bytes of boot sector, table and root folder changed at will.
    #[test]
    fn any_damage_gives_an_answer_or_an_error(
        plan in plans(),
        sectors in prop_oneof![1..200u64, Just(u64::from(u32::MAX)), Just(u64::MAX)],
        harm in prop::collection::vec((any::<prop::sample::Index>(), 0..SECTOR, any::<u8>()), 1..12),
        header in prop::collection::vec((11..48usize, any::<u8>()), 0..6),
    ) {
        let mut v = plan.build();
        let places: Vec<u64> = v.content.keys().copied().collect();
        for (place, at, byte) in harm {
            v.at(*place.get(&places))[at] = byte;
        }
        for (at, byte) in header {
            v.at(0)[at] = byte;
        }
        if sectors < v.sectors || sectors > u64::from(u32::MAX) {
            v.sectors = sectors;
        }
        let end = v.sectors;
        if let Ok(found) = find(&mut v) {
            prop_assert!(found.first.0 > 0 && found.first.0 < end);
        }
        prop_assert!(v.reads < 10_000, "{} reads", v.reads);
    }

    #[test]
    fn any_boot_sector_gives_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), SECTOR)) {
        let mut v = Volume::empty(u64::from(u32::MAX));
        v.at(0).copy_from_slice(&bytes);
        let b = v.at(0);
        b[0] = 0xEB;
        b[11..13].copy_from_slice(&512u16.to_le_bytes());
        b[13] = 1 << (b[13] % 8);
        b[16] = 1 + b[16] % 2;
        b[510..].copy_from_slice(&[0x55, 0xAA]);
        let _ = find(&mut v);
        prop_assert!(v.reads < 10_000, "{} reads", v.reads);
    }
}

/// Against volumes that another program made. Needs dosfstools and mtools.
#[test]
#[ignore = "needs mkfs.vfat (dosfstools) and mcopy (mtools)"]
fn real_mkfs_vfat_images() {
    use std::{fs, process::Command};
    let dir = std::env::temp_dir().join(format!("bistable-fat-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let text = dir.join("autoboot.txt");
    // Content that is nowhere else on the volume.
    let content: Vec<u8> = (0..SECTOR).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect();
    fs::write(&text, &content).unwrap();
    let mut seen = [0; 3];
    // Kind, size and sectors in a cluster.
    let volumes = [
        ("12", 1u64, "1"),
        ("12", 4, "4"),
        ("12", 4, "8"),
        ("16", 16, "1"),
        ("16", 16, "2"),
        ("16", 64, "8"),
        ("32", 64, "1"),
        ("32", 300, "2"),
        ("32", 300, "8"),
    ];
    for (bits, mib, cluster) in volumes {
        for fats in ["1", "2"] {
            let image = dir.join("volume.img");
            let _ = fs::remove_file(&image);
            fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
            let made = Command::new("mkfs.vfat")
                .args(["-F", bits, "-s", cluster, "-f", fats, "-n", "BOOTCONFIG"])
                .arg(&image)
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            // More names than one cluster of the root folder holds.
            for i in 0..40 {
                mcopy(&image, &text, &format!("::a rather long name {i}.dat"));
            }
            mcopy(&image, &text, "::AUTOBOOT.TXT");
            let mut volume = File(fs::read(&image).unwrap());
            let found = Fat::open(&mut volume).unwrap().find(&mut volume, NAME).unwrap();
            assert_eq!(found.bytes, 512);
            let mut sector = [0; SECTOR];
            volume.read(found.first, &mut sector).unwrap();
            assert_eq!(sector[..], content, "FAT{bits}, {mib} MiB, {cluster} sectors in a cluster");
            seen[bits.parse::<usize>().unwrap() / 16] += 1;
        }
    }
    fs::remove_dir_all(&dir).unwrap();
    println!("volumes read, FAT12, 16 and 32: {seen:?}");
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
}

fn mcopy(image: &std::path::Path, from: &std::path::Path, to: &str) {
    let done = std::process::Command::new("mcopy").arg("-i").arg(image).arg(from).arg(to).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

struct File(Vec<u8>);

impl Blocks for File {
    type Error = OutOfRange;
    fn sectors(&self) -> u64 {
        (self.0.len() / SECTOR) as u64
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), OutOfRange> {
        OutOfRange::check(at, into.len(), self.sectors())?;
        let start = usize::try_from(at.0).unwrap() * SECTOR;
        into.copy_from_slice(&self.0[start..start + into.len()]);
        Ok(())
    }
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), OutOfRange> {
        OutOfRange::check(at, from.len(), self.sectors())?;
        let start = usize::try_from(at.0).unwrap() * SECTOR;
        self.0[start..start + from.len()].copy_from_slice(from);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), OutOfRange> {
        Ok(())
    }
}
