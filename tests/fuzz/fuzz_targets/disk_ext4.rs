//! Any change to an ext4 file system: looking through it for what has to be changed is total, and the changes have an
//! upper bound and lie in its own folders.
#![no_main]
use bistable_fuzz::{Disk, Input};
use bistable_image::disk::fuzz::ext4;
use bistable_image::volume::{SystemOptions, VolumeId, open_system};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};

const EPOCH: u64 = 1_700_000_000;
/// Where the superblock says that everything has checksums: read-only compatible features, `METADATA_CSUM`.
const FEATURES: u64 = 1024 + 100;
const CHECKSUMS: u32 = 0x400;

thread_local! {
    static DISK: RefCell<Disk> = RefCell::new(Disk::new(make));
}

fn make(file: &mut File) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in
        ["etc/rc3.d", "etc/systemd/system/multi-user.target.wants", "usr/lib/systemd/system", "usr/bin"]
    {
        fs::create_dir_all(root.join(path)).unwrap();
    }
    fs::write(root.join("etc/fstab"), "PARTUUID=1-02 / ext4 defaults 0 1\nPARTUUID=1-01 /boot vfat ro 0 2\n")
        .unwrap();
    fs::write(root.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write(root.join("usr/lib/systemd/system/resize2fs_once.service"), "[Unit]\n").unwrap();
    symlink("../init.d/resize2fs_once", root.join("etc/rc3.d/S01resize2fs_once")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    for n in 0..40 {
        fs::write(root.join(format!("usr/bin/program-{n}")), [n; 100]).unwrap();
    }
    let options = SystemOptions::new(VolumeId::from_name("fuzz/system"), EPOCH);
    open_system(root, &options).unwrap().write_to(file, &|_| {}).unwrap();
    // Without checksums, which a fuzzer doesn't guess.
    let mut features = [0; 4];
    file.read_exact_at(&mut features, FEATURES).unwrap();
    let without = u32::from_le_bytes(features) & !CHECKSUMS;
    file.write_all_at(&without.to_le_bytes(), FEATURES).unwrap();
}

fuzz_target!(|data: &[u8]| {
    DISK.with_borrow_mut(|disk| {
        let mut input = Input(data);
        // The superblock and the groups' descriptors; the tables of inodes and the folders behind them; anywhere.
        let reach = [8192, 1 << 20, disk.bytes()][usize::from(input.byte() % 3)].min(disk.bytes());
        disk.change(&mut input, reach, |at| at);
        if let Ok((edits, notes)) = ext4(disk.path(), EPOCH) {
            assert!(edits.len() < 1000 && notes.len() < 100_000);
            for (path, bytes) in &edits {
                assert!(path.starts_with('/') && path.split('/').all(|part| part != ".."), "{path}");
                assert!(bytes.as_ref().is_none_or(|bytes| bytes.len() <= 4 << 20), "{path}");
            }
        }
        disk.restore();
    });
});
