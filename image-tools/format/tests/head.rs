//! The frozen head: it says which agents can use a payload, and of which repository it is, whatever follows it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::attestation::Attestation;
use bistable_format::head::REQUIREMENT;
use bistable_format::version::{AGENT, meets};
use bistable_format::{
    Channel, DecodeError, Delta, Digest, EnvelopeError, Head, Release, Role, Root, TrustError, limits,
};
use common::{
    NO_REPOSITORY, attestation, channel, delta, head, id, key, later_payload, next_root, release, repository,
    root, sealed_as, signer,
};
use proptest::prelude::*;
use semver::{Version, VersionReq};

/// The keys that sign what has a role.
fn signers(role: Role) -> &'static [u8] {
    match role {
        Role::Root => &[1, 2],
        Role::Release | Role::Delta => &[4],
        Role::Channel => &[5],
        Role::Attestation => &[6],
    }
}

/// Why signed bytes of a role aren't opened, in the repository of the first root.
fn refused(role: Role, bytes: &[u8]) -> TrustError {
    match role {
        Role::Root => root().successor(bytes).unwrap_err(),
        Role::Release => Release::open(bytes, &root()).unwrap_err(),
        Role::Channel => Channel::open(bytes, &root()).unwrap_err(),
        Role::Delta => Delta::open(bytes, &root()).unwrap_err(),
        Role::Attestation => Attestation::open(bytes, &key(6), &repository()).unwrap_err(),
    }
}

#[test]
fn a_later_format_says_which_agent_it_needs_before_anything_else_is_decoded() {
    for role in Role::ALL {
        for (format, requirement) in [(99, ">=9.0.0"), (1, ">=9.0.0"), (99, "<0.1.0"), (1, "=0.1.1")] {
            // Only the head of it decodes.
            let payload = later_payload(requirement, "thermostat");
            let needs = TrustError::NeedsAgent { role, required: requirement.into() };
            assert_eq!(refused(role, &sealed_as(role, format, &payload, signers(role))), needs, "{role}");
            let text = needs.to_string();
            assert!(text.contains(&format!("the {role} needs bistable {requirement}, and this is {AGENT}")));
        }
    }
}

#[test]
fn a_later_format_that_claims_to_be_for_this_agent_is_refused_as_such() {
    for role in Role::ALL {
        for requirement in [REQUIREMENT, "*", ">=0.1.0"] {
            let payload = later_payload(requirement, "thermostat");
            let bytes = sealed_as(role, 99, &payload, signers(role));
            assert_eq!(refused(role, &bytes), EnvelopeError::Format { role, format: 99 }.into());
        }
    }
}

#[test]
fn who_signed_is_checked_before_the_head_is_read() {
    for role in Role::ALL {
        for payload in [later_payload(">=9.0.0", "thermostat"), b"no head".to_vec()] {
            let unsigned = sealed_as(role, 99, &payload, &[]);
            assert_eq!(refused(role, &unsigned), TrustError::Unsigned(role));
            let by_a_stranger = sealed_as(role, 99, &payload, &[77]);
            assert_eq!(refused(role, &by_a_stranger), TrustError::UnknownKey { role, key: id(77) });
            let mut changed = sealed_as(role, 99, &payload, signers(role));
            changed[20] ^= 1;
            assert!(matches!(refused(role, &changed), TrustError::BadSignature { .. }), "{role}");
        }
    }
}

#[test]
fn a_root_that_is_opened_without_another_one_says_which_agent_it_needs() {
    // The keys to verify it with are in what this agent can't decode: it can only say so.
    let payload = later_payload(">=9.0.0", "");
    for (format, keys) in [(99, &[1, 2][..]), (1, &[1, 2]), (99, &[])] {
        let needs = TrustError::NeedsAgent { role: Role::Root, required: ">=9.0.0".into() };
        assert_eq!(Root::open(&sealed_as(Role::Root, format, &payload, keys)), Err(needs));
    }
    let format = EnvelopeError::Format { role: Role::Root, format: 99 };
    let payload = root().encode().unwrap();
    assert_eq!(Root::open(&sealed_as(Role::Root, 99, &payload, &[1, 2])), Err(format.into()));
}

#[test]
fn a_payload_without_a_head_is_refused() {
    for role in Role::ALL {
        let bytes = sealed_as(role, 99, b"no head", signers(role));
        assert_eq!(refused(role, &bytes), DecodeError::Malformed("head").into());
        let bytes = sealed_as(role, 99, &later_payload("soon", ""), signers(role));
        let text = refused(role, &bytes).to_string();
        assert_eq!(text, "head: \"soon\" is not a version requirement");
    }
}

#[test]
fn this_agent_and_its_release_candidates_meet_the_requirement() {
    let required = VersionReq::parse(REQUIREMENT).unwrap();
    let agent = Version::parse(AGENT).unwrap();
    for version in [agent.clone(), Version::parse(&format!("{AGENT}-rc.1")).unwrap()] {
        assert!(meets(&required, &version), "{version}");
        assert!(head().admits(&version), "{version}");
    }
    assert!(head().admits(&Version::new(agent.major, agent.minor + 1, 0)));
    assert!(!head().admits(&Version::new(0, 0, 9)));
}

#[test]
fn every_payload_begins_with_the_head_to_the_byte() {
    let repository = repository();
    let bytes = |repository: &Digest, product: &str| {
        let length = |text: &str| vec![u8::try_from(text.len()).unwrap()];
        let parts = [length(REQUIREMENT), REQUIREMENT.into(), repository.0.to_vec(), length(product)];
        [parts.concat(), product.into()].concat()
    };
    let payload = |sealed: Vec<u8>| sealed[16..].to_vec();
    for (name, payload, head) in [
        ("root", root().encode().unwrap(), bytes(&NO_REPOSITORY, "")),
        ("next root", next_root().encode().unwrap(), bytes(&repository, "")),
        ("release", release().encode().unwrap(), bytes(&repository, "thermostat")),
        ("channel", payload(channel().seal(&[&signer(5)]).unwrap()), bytes(&repository, "")),
        ("delta", payload(delta().seal(&[&signer(4)]).unwrap()), bytes(&repository, "thermostat")),
        ("attestation", payload(attestation().seal(&signer(6)).unwrap()), bytes(&repository, "thermostat")),
    ] {
        assert!(payload.starts_with(&head), "{name}");
        assert_eq!(Head::read(&payload), Head::read(&head), "{name}: whatever follows");
    }
}

#[test]
fn a_product_is_named_exactly_where_one_applies() {
    let spoiled = |product: &str| Head::new(repository(), product);
    let text = |refused: TrustError| refused.to_string();
    let none = "names no product";
    let some = "names a product, and none applies";
    let release = bistable_format::Release { head: spoiled(""), ..release() };
    assert_eq!(release.encode().unwrap_err().to_string(), format!("release: head: {none}"));
    let delta = Delta { head: spoiled(""), ..delta() };
    assert_eq!(text(delta.seal(&[&signer(4)]).unwrap_err()), format!("delta: head: {none}"));
    let word = Attestation { head: spoiled(""), ..attestation() };
    assert_eq!(text(word.seal(&signer(6)).unwrap_err()), format!("attestation: head: {none}"));
    let channel = Channel { head: spoiled("fan"), ..channel() };
    assert_eq!(text(channel.seal(&[&signer(5)]).unwrap_err()), format!("channel: head: {some}"));
    let root = Root { head: spoiled("fan"), ..next_root() };
    assert_eq!(root.encode().unwrap_err().to_string(), format!("root: head: {some}"));
}

/// A root with the same keys that is the first of another repository.
fn other_root() -> Root {
    let other = Root { expires_at: None, ..root() };
    assert_ne!(other.repository(), repository());
    other
}

#[test]
fn what_is_signed_for_another_repository_with_the_same_keys_is_refused() {
    let found = other_root().repository();
    let (head, bare) = (Head::new(found, "thermostat"), Head::new(found, ""));
    let sealed = [
        (Role::Release, Release { head: head.clone(), ..release() }.seal(&[&signer(4)])),
        (Role::Channel, Channel { head: bare.clone(), ..channel() }.seal(&[&signer(5)])),
        (Role::Delta, Delta { head: head.clone(), ..delta() }.seal(&[&signer(4)])),
        (Role::Attestation, Attestation { head, ..attestation() }.seal(&signer(6))),
        (Role::Root, Root { head: bare, ..next_root() }.seal(&[&signer(1), &signer(2)])),
    ];
    for (role, sealed) in sealed {
        let sealed = sealed.unwrap();
        let other = TrustError::OtherRepository { role, found, wanted: repository() };
        assert_eq!(refused(role, &sealed), other);
        // In its own repository, each of them is right.
        let opened = match role {
            Role::Release => Release::open(&sealed, &other_root()).err(),
            Role::Channel => Channel::open(&sealed, &other_root()).err(),
            Role::Delta => Delta::open(&sealed, &other_root()).err(),
            Role::Attestation => Attestation::open(&sealed, &key(6), &found).err(),
            Role::Root => other_root().successor(&sealed).err(),
        };
        assert_eq!(opened, None, "{role}");
    }
}

#[test]
fn every_root_names_the_first_ones_repository() {
    let identity = Digest::of(&root().encode().unwrap());
    assert_eq!(root().repository(), identity);
    let third = Root { version: 3, ..next_root() };
    assert_eq!((next_root().repository(), third.repository()), (identity, identity));
    assert_eq!(next_root().successor(&third.seal(&[&signer(1), &signer(3)]).unwrap()), Ok(third.clone()));
    // Releases stay what they are under each of them.
    let sealed = release().seal(&[&signer(4)]).unwrap();
    for root in [root(), next_root(), third] {
        assert_eq!(Release::open(&sealed, &root), Ok(release()));
    }
    let text = "the first root names no repository, and each later one the first's";
    let first = Root { version: 1, ..next_root() };
    let second = Root { version: 2, ..root() };
    for wrong in [first, second] {
        assert_eq!(wrong.encode().unwrap_err().to_string(), format!("root: {text}"));
    }
}

#[test]
fn the_repository_is_the_digest_of_the_payload_that_was_signed() {
    // A version of 1 in two bytes: the value is the same, the payload isn't. There is one way to write a root.
    let good = root().encode().unwrap();
    let at = 1 + REQUIREMENT.len() + 32 + 1;
    assert_eq!(good[at], 1, "the version");
    let long = [&good[..at], &[0x81, 0x00], &good[at + 1..]].concat();
    assert_eq!(Root::decode(&long), Err(DecodeError::Malformed("root")));
    assert_eq!(Root::decode(&good).unwrap().repository(), Digest::of(&good));
}

fn heads() -> impl Strategy<Value = Head> {
    let agent = prop::sample::select(vec!["*", ">=0.1.0-0", "^1", ">=2.0.0, <4.0.0", "=0.1.0"]);
    (agent, any::<[u8; 32]>(), "[a-z0-9][a-z0-9._-]{0,63}").prop_map(|(agent, repository, product)| Head {
        agent: agent.into(),
        repository: Digest(repository),
        product,
    })
}

proptest! {
    #[test]
    fn a_head_reads_whatever_follows(head in heads(), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [postcard::to_allocvec(&head).unwrap(), rest].concat();
        prop_assert_eq!(Head::read(&bytes), Ok(head));
    }

    #[test]
    fn a_head_admits_exactly_the_agents_that_meet_its_requirement(
        head in heads(), version in (0..4u64, 0..3u64, 0..3u64),
    ) {
        let version = Version::new(version.0, version.1, version.2);
        let required = VersionReq::parse(&head.agent).unwrap();
        prop_assert_eq!(head.admits(&version), required.matches(&version));
    }

    #[test]
    fn a_cut_head_is_no_head(head in heads(), at in any::<prop::sample::Index>()) {
        let bytes = postcard::to_allocvec(&head).unwrap();
        let cut = at.index(bytes.len());
        prop_assert_eq!(Head::read(&bytes[..cut]), Err(DecodeError::Malformed("head")));
    }
}

#[test]
fn a_head_has_limits() {
    let long = format!("={}", "1".repeat(limits::REQUIREMENT));
    let bytes = later_payload(&long, "");
    assert_eq!(
        Head::read(&bytes).unwrap_err().to_string(),
        "head: an agent requirement of more than 256 bytes"
    );
    let bytes = later_payload("*", &"p".repeat(limits::NAME + 1));
    assert!(Head::read(&bytes).unwrap_err().to_string().starts_with("head: product: "));
}
