//! Putting `autoboot.txt` back: onto volumes that still are one, and onto partitions that aren't.
use crate::volume::{NAME, Plan, Volume, entry, fat12, fat16, fat32};
use bistable_boot::{
    Blocks, Lba, OutOfRange, SECTOR,
    fat::{Fat, FatError, blank},
};

const TEXT: [u8; SECTOR] = [b'n'; SECTOR];
const OLD: [u8; SECTOR] = [b'o'; SECTOR];

/// What the table of this volume has for a cluster, from its copy of this number.
fn link(plan: &Plan, v: &mut Volume, copy: u8, cluster: u32) -> u32 {
    let start = u64::from(plan.reserved) + u64::from(copy) * plan.fat_sectors();
    let byte =
        |v: &mut Volume, at: u64| u32::from(v.at(start + at / 512)[usize::try_from(at % 512).unwrap()]);
    let n = u64::from(cluster);
    let word = |v: &mut Volume, at: u64, len: u64| (0..len).fold(0, |w, i| w | byte(v, at + i) << (8 * i));
    match (plan.bits, cluster % 2) {
        (12, 0) => word(v, n * 3 / 2, 2) & 0xFFF,
        (12, _) => word(v, n * 3 / 2, 2) >> 4,
        (16, _) => word(v, n * 2, 2),
        _ => word(v, n * 4, 4) & 0x0FFF_FFFF,
    }
}

/// The same, changed in all copies.
fn set_link(plan: &Plan, v: &mut Volume, cluster: u32, to: u32) {
    for copy in 0..plan.fats {
        let start = u64::from(plan.reserved) + u64::from(copy) * plan.fat_sectors();
        let n = u64::from(cluster);
        let mut put = |at: u64, mask: u8, value: u32| {
            let byte = &mut v.at(start + at / 512)[usize::try_from(at % 512).unwrap()];
            *byte = *byte & !mask | u8::try_from(value & 0xFF).unwrap() & mask;
        };
        match (plan.bits, cluster % 2) {
            (12, 0) => {
                put(n * 3 / 2, 0xFF, to);
                put(n * 3 / 2 + 1, 0x0F, to >> 8);
            }
            (12, _) => {
                put(n * 3 / 2, 0xF0, to << 4);
                put(n * 3 / 2 + 1, 0xFF, to >> 4);
            }
            (bits, _) => {
                (0..u64::from(bits / 8)).for_each(|i| put(n * u64::from(bits / 8) + i, 0xFF, to >> (8 * i)));
            }
        }
    }
}

const ENDS: u32 = 0x0FFF_FFFF;

/// A volume whose tables are right: the first clusters belong to other files, and the last one to ours.
fn sound(plan: &Plan) -> Volume {
    let mut v = plan.build();
    set_link(plan, &mut v, 0, 0x0FFF_FFF8);
    for cluster in [1, 2, 3, 4, plan.file.0] {
        set_link(plan, &mut v, cluster, ENDS);
    }
    for (from, to) in plan.root_chain.iter().zip(plan.root_chain.iter().skip(1).chain([&ENDS])) {
        set_link(plan, &mut v, *from, *to);
    }
    *v.at(plan.cluster(plan.file.0)) = OLD;
    v
}

fn plans() -> Vec<Plan> {
    let few = Plan { clusters: 300, file: (301, 64), ..fat12() };
    let far = Plan { file: (2_848, 787), ..fat12() };
    // So that the first free cluster of FAT12 is odd, even, and one whose entry lies in two sectors.
    vec![few, far, Plan { fats: 1, ..fat16() }, Plan { file: (19_999, 64), ..fat16() }, fat32()]
}

/// The file's text, as far as it is one.
fn text(v: &mut Volume) -> Result<Vec<u8>, FatError<OutOfRange>> {
    let found = Fat::open(v)?.find(v, NAME)?;
    let mut sector = [0; SECTOR];
    v.read(found.first, &mut sector).unwrap();
    Ok(sector[..SECTOR.min(found.bytes as usize)].to_vec())
}

fn put(v: &mut Volume) -> Result<Lba, FatError<OutOfRange>> {
    Fat::open(v)?.put(v, NAME, &TEXT)
}

type Change = fn(&Plan, &mut Volume);

/// What became of the file.
const LOST: [(&str, Change); 5] = [
    ("another length", |_, _| {}),
    ("deleted", |plan, v| each_entry(plan, v, |e| e[0] = 0xE5)),
    ("empty", |plan, v| {
        each_entry(plan, v, |e| {
            e[26..].fill(0);
            e[20..22].fill(0);
        });
    }),
    ("astray", |plan, v| each_entry(plan, v, |e| e[26..28].fill(0xFF))),
    ("never there", |plan, v| {
        let sectors = plan.root_sectors();
        v.at(sectors[0])[..32].fill(0);
        // What lies behind the end is not looked at by others either.
        v.at(sectors[0])[32] = b'X';
    }),
];

/// Change the file's entry.
fn each_entry(plan: &Plan, v: &mut Volume, change: fn(&mut [u8; 32])) {
    for sector in plan.root_sectors() {
        for e in v.at(sector).as_chunks_mut::<32>().0 {
            if e[..11] == NAME[..] && e[11] == 0x21 {
                change(e);
            }
        }
    }
}

#[test]
fn the_file_is_put_back_whatever_became_of_it() {
    for plan in plans() {
        for (what, lose) in LOST {
            // Clusters that are taken are left alone, also if no table sector begins with one that is free.
            for taken in [5, 6, 341, 342] {
                if taken > plan.clusters {
                    continue;
                }
                let mut v = sound(&plan);
                (2..taken).for_each(|n| set_link(&plan, &mut v, n, ENDS));
                lose(&plan, &mut v);
                let before = v.clone();
                let at = put(&mut v).unwrap();
                let case = format!("{what}, {taken} taken: {plan:?}");
                assert_eq!(text(&mut v).unwrap(), TEXT, "{case}");
                assert_eq!(Fat::open(&mut v).unwrap().find(&mut v, NAME).unwrap().first, at, "{case}");
                let cluster =
                    u32::try_from((at.0 - plan.data_start()) / u64::from(plan.per_cluster)).unwrap() + 2;
                for copy in 0..plan.fats {
                    assert_eq!(link(&plan, &mut before.clone(), copy, cluster), 0, "it was free: {case}");
                    let end = link(&plan, &mut v, copy, cluster);
                    assert_eq!(end, ENDS & (u32::MAX >> (32 - plan.bits.min(28))), "{case}");
                    for other in (0..plan.clusters + 2).filter(|n| *n != cluster) {
                        let links = [&mut before.clone(), &mut v].map(|v| link(&plan, v, copy, other));
                        assert_eq!(links[0], links[1], "cluster {other}: {case}");
                        if other > 2 * taken && other + 3 < plan.file.0 {
                            break;
                        }
                    }
                }
                // It is there once, and can be put again.
                put(&mut v).unwrap();
                assert_eq!(text(&mut v).unwrap(), TEXT, "{case}");
            }
        }
    }
}

/// Every write may be the last one, and those between two flushes may come in any order: the old file is there, or the new one.
#[test]
fn a_power_cut_leaves_the_old_file_or_the_new_one() {
    for plan in plans() {
        for (what, lose) in LOST {
            let mut v = sound(&plan);
            lose(&plan, &mut v);
            let before = v.clone();
            let old = text(&mut before.clone());
            put(&mut v).unwrap();
            let mut writes = std::mem::take(&mut v.writes);
            assert_eq!(writes.pop(), Some(None), "the last write is durable");
            for cut in 0..=writes.len() {
                let mut v = before.clone();
                for (at, sector) in writes[..cut].iter().flatten() {
                    *v.at(*at) = *sector;
                }
                let now = text(&mut v);
                let is_new = now.as_ref().is_ok_and(|text| *text == TEXT);
                assert!(
                    is_new || format!("{now:?}") == format!("{old:?}"),
                    "{what}, {cut}: {now:?}: {plan:?}"
                );
                assert_eq!(is_new, cut == writes.len(), "{what}, {cut}: {plan:?}");
                put(&mut v).unwrap();
                assert_eq!(text(&mut v).unwrap(), TEXT, "{what}, {cut}: {plan:?}");
            }
            let last = writes.iter().rposition(Option::is_none).unwrap();
            assert_eq!(
                writes.len() - last,
                2,
                "only the directory's sector is written behind the last flush"
            );
        }
    }
}

#[test]
fn what_is_free_must_be_known() {
    let broken: [(&str, Change); 4] = [
        ("both tables erased", |plan, v| {
            (0..plan.fat_sectors() * u64::from(plan.fats))
                .for_each(|n| v.at(u64::from(plan.reserved) + n).fill(0));
        }),
        ("one table erased", |plan, v| v.at(u64::from(plan.reserved) + plan.fat_sectors()).fill(0)),
        ("volume full", |plan, v| (2..plan.clusters + 2).for_each(|n| set_link(plan, v, n, ENDS))),
        ("root folder full", |plan, v| {
            for sector in plan.root_sectors() {
                v.at(sector).as_chunks_mut::<32>().0.fill(entry(b"OTHER   BIN", 0x20, 3, 7));
            }
        }),
    ];
    for plan in [
        Plan { clusters: 4_000, file: (301, 64), ..fat12() },
        Plan { clusters: 4_085, file: (9, 7), ..fat16() },
    ] {
        for (what, harm) in broken {
            let mut v = sound(&plan);
            harm(&plan, &mut v);
            let before = v.content.clone();
            let refused = put(&mut v);
            assert!(matches!(refused, Err(FatError::Full(_) | FatError::Damaged(_))), "{what}: {refused:?}");
            assert!(
                v.content.iter().all(|(at, s)| *s == before.get(at).copied().unwrap_or([0; SECTOR])),
                "{what}"
            );
        }
    }
}

#[test]
fn a_new_volume_has_the_file() {
    for sectors in [8_192, 65_536, 65_535, 65_600, 131_072, 300_000, 4_000_000] {
        let mut v = Volume::empty(sectors);
        v.at(0).fill(0xAA);
        v.at(1).fill(0xAA);
        let at = blank::write(&mut v, NAME, &TEXT).unwrap();
        assert_eq!(text(&mut v).unwrap(), TEXT);
        let fat = Fat::open(&mut v).unwrap();
        assert_eq!(fat.find(&mut v, NAME).unwrap().first, at);
        // Its tables are right: another file can be put beside it.
        let other = fat.put(&mut v, b"OTHER   TXT", &OLD).unwrap();
        assert!(other > at && text(&mut v).unwrap() == TEXT);
    }
    for sectors in [0, 1, 100, 4_000, u64::from(u32::MAX), u64::MAX] {
        assert!(
            matches!(blank::write(&mut Volume::empty(sectors), NAME, &TEXT), Err(FatError::Full(_))),
            "{sectors}"
        );
    }
}

#[test]
fn a_new_volume_is_whole_or_none() {
    let mut v = Volume::empty(8_192);
    blank::write(&mut v, NAME, &TEXT).unwrap();
    let writes = std::mem::take(&mut v.writes);
    let mut v = sound(&Plan { clusters: 4_085, file: (9, 7), ..fat16() });
    v.sectors = 8_192;
    for cut in 0..writes.len() {
        if let Some((at, sector)) = writes[cut] {
            *v.at(at) = sector;
        }
        match text(&mut v) {
            Ok(text) => assert!(text == TEXT && cut >= writes.len() - 2, "{cut}"),
            Err(e) => assert!(matches!(e, FatError::NotFat) && cut < writes.len() - 2, "{cut}: {e:?}"),
        }
    }
}

/// What others say of it. Needs dosfstools and mtools.
#[test]
#[ignore = "needs mkfs.vfat, fsck.vfat (dosfstools) and mdir, mcopy, mdel (mtools)"]
fn others_read_what_was_put() {
    use std::{fs, process::Command};
    let dir = std::env::temp_dir().join(format!("bistable-fat-put-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let image = dir.join("volume.img");
    let run = |program: &str, words: &[&str]| {
        let out = Command::new(program).args(words).arg(&image).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let mtools = |program: &str, file: &str| {
        let out = Command::new(program).arg("-i").arg(&image).arg(file).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    for (bits, mib) in [("12", 1), ("16", 32), ("32", 64), ("blank", 4), ("blank", 32), ("blank", 300)] {
        let _ = fs::remove_file(&image);
        fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let put = || {
            let mut volume = crate::File(fs::read(&image).unwrap());
            Fat::open(&mut volume).unwrap().put(&mut volume, NAME, &TEXT).unwrap();
            fs::write(&image, volume.0).unwrap();
        };
        if bits == "blank" {
            let mut volume = crate::File(fs::read(&image).unwrap());
            blank::write(&mut volume, NAME, &TEXT).unwrap();
            fs::write(&image, volume.0).unwrap();
        } else {
            assert!(run("mkfs.vfat", &["-F", bits, "-s", "1"]).0);
            put();
        }
        for _ in 0..2 {
            let (clean, said) = run("fsck.vfat", &["-n", "-v"]);
            assert!(clean, "FAT{bits}: {said}");
            assert_eq!(mtools("mtype", "::autoboot.txt").into_bytes(), TEXT, "FAT{bits}");
            mtools("mdel", "::autoboot.txt");
            put();
        }
    }
    fs::remove_dir_all(&dir).unwrap();
}
