//! A bundle with an SBOM: devices pass over it, and hold it against its digest like everything else.
use crate::{components, draft::parts, fixture::product, pi::Pi};
use bistable_format::{Release, bundle::Frame};

/// 1.1.0 with an SBOM of several pieces, and where that begins.
fn bundle() -> (Vec<u8>, usize) {
    let (good, sbom) = (&product().good, vec![b'x'; 200_000]);
    let content = |number: usize| &good[parts(good)[number].content.clone()];
    let mut release = Release::open(content(4), &product().root.root).unwrap();
    release.set_sbom(&sbom).unwrap();
    let signed = release.seal(&[product().release_key.signing()]).unwrap();
    let entries = [&signed[..], content(5), content(6), &sbom, content(7), content(8)];
    let bundle = Frame::new(&signed, &release).bundle(entries).unwrap();
    let at = bundle.windows(100).position(|w| w == [b'x'; 100]).unwrap();
    (bundle, at)
}

#[test]
fn device_installs_a_bundle_with_an_sbom_and_refuses_a_damaged_one() {
    let pi = Pi::new();
    let (good, at) = bundle();
    let mut bad = good.clone();
    bad[at + 150_000] ^= 1;
    let refused = pi.run_on("install", &pi.file("bad.bundle", &bad));
    refused.must(5, &["SBOM"]);
    pi.rests("A", "1.0.0");
    pi.run_on("install", &pi.file("good.bundle", &good)).must(0, &[]);
    pi.tries_what_is_staged();
    pi.rests("B", "1.1.0");
}

#[test]
fn component_with_an_sbom_is_installed_from_its_bundle() {
    let pi = components::pi();
    let bundle = components::bundle_with(&pi, "1.0.0", |options| {
        let bytes = br#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}"#.to_vec();
        options.sbom = bistable_image::build::SbomSource::File { path: "core.cdx.json".into(), bytes };
    });
    pi.run_on("component update core", &bundle).must(0, &["1.0.0 is committed"]);
}
