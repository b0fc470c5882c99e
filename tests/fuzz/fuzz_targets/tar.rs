//! Any bytes as a tar archive: what is read is a tree of possible names, whose files lie in the archive.
#![no_main]
use bistable_fuzz::Disk;
use bistable_image::volume::fuzz::tar;
use bistable_image::volume::data::{FileData, Source};
use bistable_image::volume::tree::{Kind, MAX_NAME, MAX_TARGET};
use bistable_image::volume::{SystemOptions, VolumeId};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::unix::fs::FileExt;

const BLOCK: usize = 512;

thread_local! {
    static FILE: RefCell<Disk> = RefCell::new(Disk::new(|_| {}));
}

fuzz_target!(|data: &[u8]| {
    let mut archive = data.to_vec();
    for block in archive.chunks_exact_mut(BLOCK) {
        // What says that it is a header gets its checksum, which a fuzzer doesn't guess.
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    // Whole blocks, and the end's mark.
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    FILE.with_borrow(|file| {
        file.file().set_len(0).unwrap();
        file.file().write_all_at(&archive, 0).unwrap();
        let mut options = SystemOptions::new(VolumeId::from_name("fuzz/tar"), 1_700_000_000);
        options.temp_dir = file.path().parent().map(Into::into);
        let Ok((tree, warnings)) = tar(file.path(), &options) else { return };
        let mut names = BTreeMap::new();
        tree.walk(|path, _, name, id| {
            assert!((1..=MAX_NAME).contains(&name.len()) && name != b"." && name != b"..", "{path:?}");
            assert!(!name.contains(&b'/') && !name.contains(&0), "{path:?}");
            *names.entry(id).or_insert(0) += 1;
            match &tree.node(id).kind {
                Kind::File(data) => check(data, archive.len() as u64),
                Kind::Symlink(target) => assert!((1..=MAX_TARGET).contains(&target.len())),
                _ => {}
            }
            Ok::<_, Infallible>(())
        })
        .unwrap();
        for (id, count) in names {
            assert_eq!(tree.node(id).links, count, "as many names as it says");
        }
        assert!(tree.len() <= 1 + archive.len(), "more entries than bytes");
        assert!(warnings.len() <= archive.len());
    });
});

fn check(file: &FileData, archive: u64) {
    if let Source::Archive(at) = file.source {
        assert!(at.checked_add(file.size).is_some_and(|end| end <= archive), "beyond the archive: {file:?}");
    }
    let ranges = file.data.as_deref().unwrap_or_default();
    for pair in ranges.windows(2) {
        assert!(pair[0].offset + pair[0].len <= pair[1].offset, "{ranges:?}");
    }
    assert!(ranges.last().is_none_or(|last| last.offset + last.len <= file.size), "{ranges:?}");
}
