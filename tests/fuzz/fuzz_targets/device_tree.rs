//! Any bytes as properties of the device tree and as the kernel's command line: nothing is made of them but a board and a
//! slot that they name.
#![no_main]
use bistable::board::pi::{Sysroot, fuzz::device_tree};
use bistable_boot::{Flow, layout::BOOT_PARTITIONS};
use bistable_fuzz::Input;
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const LOADER: &str = "proc/device-tree/chosen/bootloader";
const NUMBERS: [&str; 4] = ["partition", "tryboot", "build-timestamp", "capabilities"];

thread_local! {
    static ROOT: TempDir = {
        let shm = Path::new("/dev/shm");
        let root = if shm.is_dir() { TempDir::new_in(shm) } else { TempDir::new() }.unwrap();
        fs::create_dir_all(root.path().join(LOADER)).unwrap();
        fs::create_dir_all(root.path().join("dev")).unwrap();
        fs::write(root.path().join("dev/vcio"), "").unwrap();
        root
    };
}

fuzz_target!(|data: &[u8]| {
    ROOT.with(|root| {
        let root = root.path();
        let mut input = Input(data);
        let there = input.byte();
        let mut values = Vec::new();
        for (i, name) in NUMBERS.iter().enumerate() {
            let path = root.join(LOADER).join(name);
            let value = (there >> i & 1 == 1).then(|| input.counted());
            match value {
                Some(bytes) => fs::write(path, bytes).unwrap(),
                None => drop(fs::remove_file(path)),
            }
            values.push(value);
        }
        let line = input.counted();
        fs::write(root.join("proc/cmdline"), line).unwrap();
        fs::write(root.join("proc/device-tree/compatible"), input.0).unwrap();

        let told = device_tree(&Sysroot::new(root)).expect("there is one, and files can be read");
        let number =
            |i: usize| values[i].and_then(|bytes: &[u8]| Some(u32::from_be_bytes(bytes.try_into().ok()?)));
        assert_eq!(told.partition, number(0), "all four bytes, or no number");
        assert!(told.compatible.len() <= input.0.len());
        assert!(told.compatible.iter().all(|name| !name.is_empty() && !name.contains('\0')));
        let ours = |name: &String| name.starts_with("raspberrypi,");
        assert!(told.board.is_none() || told.compatible.iter().any(ours));
        match told.booted {
            Some(booted) if booted.flow == Flow::Tryboot => {
                assert_eq!(told.partition, Some(BOOT_PARTITIONS[booted.slot].into()));
            }
            Some(booted) => {
                let line = String::from_utf8_lossy(line);
                let word = format!("bistable.slot={}", booted.slot);
                assert_eq!(line.split_ascii_whitespace().filter(|w| *w == word).count(), 1, "{line}");
            }
            None => {}
        }
        let text = told.support.unwrap_or_else(|why| why);
        assert!(!text.chars().any(char::is_control), "{text:?}");
    });
});
