//! Any change to a FAT file system: reading it into a tree is total and bounded by its partition, and what is read are
//! possible names and whole files.
#![no_main]
use bistable_fuzz::{Disk, Input};
use bistable_image::disk::fuzz::fat;
use bistable_image::volume::tree::{Kind, MAX_NAME};
use bistable_image::volume::{BootOptions, VolumeId, open_boot};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::fs;

const EPOCH: u64 = 1_700_000_000;

thread_local! {
    static DISK: RefCell<Disk> = RefCell::new(Disk::new(|file| {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("overlays/a folder with a long name")).unwrap();
        fs::write(root.join("config.txt"), "arm_64bit=1\n").unwrap();
        fs::write(root.join("overlays/a folder with a long name/disable-wifi.dtbo"), [7; 3000]).unwrap();
        fs::write(root.join("kernel8.img"), [8; 9000]).unwrap();
        let options = BootOptions::new(VolumeId::from_name("fuzz/boot"), EPOCH);
        open_boot(root, &options).unwrap().write_to(file, &|_| {}).unwrap();
    }));
}

fuzz_target!(|data: &[u8]| {
    DISK.with_borrow_mut(|disk| {
        let mut input = Input(data);
        let reach = if input.byte() & 1 == 0 { 1024 } else { disk.bytes() };
        disk.change(&mut input, reach, |at| at);
        if let Ok(tree) = fat(disk.file(), disk.bytes(), EPOCH, disk.path().parent().unwrap()) {
            let mut total = 0;
            tree.walk(|_, _, name, id| {
                assert!((1..=MAX_NAME).contains(&name.len()) && name != b"." && name != b"..");
                assert!(!name.contains(&b'/') && !name.contains(&0), "{name:?}");
                let node = tree.node(id);
                assert!(node.meta.mtime.secs <= i64::try_from(EPOCH).unwrap());
                match &node.kind {
                    Kind::File(data) => total += data.size,
                    Kind::Folder(_) => {}
                    other => panic!("no FAT has {other:?}"),
                }
                Ok::<_, std::convert::Infallible>(())
            })
            .unwrap();
            assert!(total <= disk.bytes(), "files share clusters");
        }
        disk.restore();
    });
});
