//! Any files as those that say what is installed in a tree: an SBOM can be made of them that reads, with no more packages.
#![no_main]
use bistable_format::text::is_printable;
use bistable_image::sbom::{Described, Evidence, Sbom, make, read_program};
use libfuzzer_sys::fuzz_target;
use std::io;

fuzz_target!(|data: &[u8]| {
    let mut evidence = Evidence::default();
    // `path`, a line feed, and the file; the next one begins behind 0xff. A path without a file is deleted.
    for file in data.split(|byte| *byte == 0xff) {
        let (path, bytes) = match file.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&file[..at], Some(&file[at + 1..])),
            None => (file, None),
        };
        let path = String::from_utf8_lossy(path);
        match (bytes, Evidence::wanted(&path)) {
            (None, _) => evidence.delete(&path),
            (Some(bytes), Some(most)) => evidence.file(&path, &bytes[..bytes.len().min(most)], bytes.len() <= most),
            (Some(bytes), None) => {
                let crates = read_program(bytes.len() as u64, &mut |at, into| {
                    let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.get(..into.len()));
                    into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                    Ok(())
                });
                assert!(!matches!(&crates, Err(e) if e.to_string().contains("end of file")), "it read outside the file");
                evidence.program(&path, crates);
            }
        }
    }
    let found = evidence.found();
    assert!(found.notes.iter().all(|note| is_printable(note, &[])), "{:?}", found.notes);
    let of = Described { name: "hub", version: "1.0.0", is_image: true, build_time: 0 };
    let sbom = Sbom::decode(&make(&of, &found.components).expect("texts")).expect("what was made reads");
    assert!(sbom.packages.len() <= found.components.len());
    assert_eq!(sbom.packages.is_empty(), found.components.is_empty());
});
