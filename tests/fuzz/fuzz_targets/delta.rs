//! Any bytes as a delta, signed and as a payload: nothing is believed that our key didn't sign, and what decodes is written
//! back as the same value.
#![no_main]
use bistable_format::{Delta, Head, limits, name::check_name};
use bistable_fuzz::{KEY, ROOT, STRANGER};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert!(Delta::open(data, &ROOT).is_err(), "a forgery");
    let Ok(mut delta) = Delta::decode(data) else { return };
    assert_ne!(delta.target, delta.base);
    assert!((1..=limits::ARTIFACTS).contains(&delta.artifacts.len()));
    for one in &delta.artifacts {
        check_name("artifact", &one.name).unwrap();
        assert!(one.list_bytes as usize <= limits::CHUNK_LIST && one.data_bytes <= limits::VOLUME_DATA);
        assert_eq!(delta.artifact(&one.name), Some(one), "no name twice");
    }
    // Of the repository, and for this agent.
    delta.head = Head::new(ROOT.repository(), &delta.head.product);
    let signed = delta.seal(&[&KEY]).expect("what decodes can be signed");
    assert_eq!(Delta::open(&signed, &ROOT).as_ref(), Ok(&delta));
    assert!(Delta::open(&delta.seal(&[&STRANGER]).unwrap(), &ROOT).is_err(), "by a stranger");
});
