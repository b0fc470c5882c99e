//! Any bytes as a head: what reads is written back as the same value, and decides alone whether an agent continues.
#![no_main]
use bistable_format::version::AGENT;
use bistable_format::{EnvelopeError, Head, Role, TrustError, envelope::seal};
use bistable_fuzz::{KEY, ROOT};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(signed) = seal(Role::Release, data, &[&KEY]) else { return };
    let verified = ROOT.verify(Role::Release, &signed);
    let Ok(head) = Head::read(data) else {
        return assert!(matches!(verified, Err(TrustError::Decode(_))), "nothing is verified without a head");
    };
    let written = postcard::to_allocvec(&head).expect("what reads can be written");
    assert_eq!(Head::read(&[&written[..], b"whatever follows"].concat()).as_ref(), Ok(&head));

    let admitted = head.admits(&semver::Version::parse(AGENT).unwrap());
    match verified {
        Ok(payload) => assert!(admitted && payload == data && head.repository == ROOT.repository()),
        Err(TrustError::NeedsAgent { required, .. }) => assert!(!admitted && required == head.agent),
        Err(TrustError::OtherRepository { found, .. }) => assert!(admitted && found == head.repository),
        Err(other) => panic!("{other}"),
    }
    // The same bytes in another role are another thing.
    let other = EnvelopeError::Role { found: Role::Release, wanted: Role::Delta };
    assert_eq!(ROOT.verify(Role::Delta, &signed), Err(other.into()));
});
