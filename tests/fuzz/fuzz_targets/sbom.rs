//! Any bytes as an SBOM: what is accepted has packages with names, and compares with itself as equal.
#![no_main]
use bistable_format::text::is_printable;
use bistable_image::sbom::{Sbom, compare};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(sbom) = Sbom::decode(data) else { return };
    for package in &sbom.packages {
        assert!(!package.name.is_empty() && is_printable(&package.name, &[]), "{package:?}");
        assert!(is_printable(&package.version, &[]), "{package:?}");
    }
    let nothing = compare(&sbom, &sbom);
    assert!(nothing.added.is_empty() && nothing.removed.is_empty() && nothing.changed.is_empty());
    let all = compare(&Sbom::default(), &sbom);
    assert_eq!(all.added.len(), sbom.packages.len());
    assert_eq!(compare(&sbom, &Sbom::default()).removed, all.added);
});
