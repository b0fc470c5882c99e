//! Any bytes as an envelope, and as the payload of a signed root: nothing that our keys didn't sign is trusted, and a
//! root that opens is written back as the same value.
#![no_main]
use bistable_format::{Envelope, Head, KeyId, Role, Root, envelope::seal};
use bistable_fuzz::{KEY, ROOT, STRANGER};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for role in Role::IN_ROOT {
        if let Ok(envelope) = Envelope::parse(data, role) {
            let signatures = envelope.signatures().count();
            assert_eq!(
                data.len(),
                16 + envelope.payload.len() + 80 * signatures,
                "every byte is accounted for"
            );
        }
        if let Ok(length) = Envelope::stored_len(data, role) {
            assert!(Envelope::parse(&data[..length], role).is_ok(), "what storage holds can be taken apart");
        }
        assert!(ROOT.verify(role, data).is_err(), "a forgery");
    }
    if let Ok(root) = Root::open(data) {
        assert_eq!(Root::decode(&root.encode().unwrap()), Ok(root));
    }

    // As a payload, so that a fuzzer needs to guess neither head nor signature.
    let Ok(mut root) = Root::decode(data) else { return };
    let payload = root.encode().expect("what decodes can be encoded");
    assert_eq!(payload, data, "there is one way to write a root");
    // The next one of the repository, for this agent.
    root.head = Head::new(ROOT.repository(), "");
    root.version = root.version.max(2);
    let payload = root.encode().expect("it still makes sense");
    let signed = seal(Role::Root, &payload, &[&KEY]).unwrap();
    assert_eq!(ROOT.verify(Role::Root, &signed), Ok(&payload[..]));
    let follows = ROOT.successor(&signed);
    if let Ok(next) = follows {
        assert!(next.version == 2 && next.key(&KeyId::of(&ROOT.keys[0].public)).is_some());
    }
    let forged = seal(Role::Root, &payload, &[&STRANGER]).unwrap();
    assert!(ROOT.successor(&forged).is_err());
});
