//! Deltas: signed with the keys of releases, and able to say only how bytes are made, never which.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::chunklist::Range;
use bistable_format::delta::ArtifactDelta;
use bistable_format::{
    ChunkList, DecodeError, Delta, Digest, Encoding, EnvelopeError, Head, Release, Role, TrustError, limits,
};
use common::{
    CHUNK, Making, artifact_of, base_release, containers_release, delta, delta_list, directory_release, id,
    identity, list, problem, release, root, signer,
};
use proptest::prelude::*;

#[test]
fn what_is_signed_is_read_back() {
    let sealed = delta().seal(&[&signer(4)]).unwrap();
    let opened = Delta::open(&sealed, &root()).unwrap();
    assert_eq!(opened, delta());
    assert_eq!(opened.artifact("system"), Some(&delta().artifacts[1]));
    assert_eq!(opened.artifact("archive"), None);
}

#[test]
fn only_the_keys_of_releases_sign_deltas() {
    let role = Role::Delta;
    for n in [1, 5, 6, 8] {
        let wrong = TrustError::WrongRole { role, key: id(n), label: format!("key {n}") };
        assert_eq!(Delta::open(&delta().seal(&[&signer(n)]).unwrap(), &root()), Err(wrong));
    }
    let unknown = TrustError::UnknownKey { role, key: id(77) };
    assert_eq!(Delta::open(&delta().seal(&[&signer(77)]).unwrap(), &root()), Err(unknown));
    assert_eq!(Delta::open(&delta().seal(&[]).unwrap(), &root()), Err(TrustError::Unsigned(role)));
    assert_eq!(root().role(Role::Delta), root().role(Role::Release));
}

#[test]
fn a_releases_signature_is_no_deltas_and_the_other_way_around() {
    let as_release = release().seal(&[&signer(4)]).unwrap();
    let as_delta = delta().seal(&[&signer(4)]).unwrap();
    let other = |found, wanted| TrustError::from(EnvelopeError::Role { found, wanted });
    assert_eq!(Delta::open(&as_release, &root()), Err(other(Role::Release, Role::Delta)));
    assert_eq!(Release::open(&as_delta, &root()), Err(other(Role::Delta, Role::Release)));
    // Relabelled, the key is the right one, and the signature isn't.
    let relabelled = |bytes: &[u8], code| [&bytes[..8], &[code], &bytes[9..]].concat();
    let bad = |role| TrustError::BadSignature { role, key: id(4) };
    assert_eq!(Delta::open(&relabelled(&as_release, as_delta[8]), &root()), Err(bad(Role::Delta)));
    assert_eq!(Release::open(&relabelled(&as_delta, as_release[8]), &root()), Err(bad(Role::Release)));
}

#[test]
fn each_problem_is_named_by_writer_and_reader() {
    type Spoil = fn(&mut Delta);
    let table: [(&str, Spoil, &str); 12] = [
        ("product-none", |d| d.head.product.clear(), "delta: head: names no product"),
        ("product-no-name", |d| d.head.product = "A".into(), "head: product: \"A\" is not a name"),
        ("requirement", |d| d.head.agent = "new".into(), "head: \"new\" is not a version requirement"),
        ("base-is-target", |d| d.base = d.target, "delta: target and base are the same release"),
        ("artifacts-none", |d| d.artifacts.clear(), "delta: 0 artifacts: 1 to 128 are possible"),
        (
            "artifact-no-name",
            |d| d.artifacts[0].name = "../x".into(),
            "delta: artifact: \"../x\" is not a name",
        ),
        (
            "artifact-twice",
            |d| d.artifacts[0].name = "system".into(),
            "delta: artifact system is there twice",
        ),
        ("list-tiny", |d| d.artifacts[0].list_bytes = 3, "delta: artifact: a chunk list of 3 bytes"),
        (
            "list-huge",
            |d| d.artifacts[0].list_bytes = 8388609,
            "delta: artifact: a chunk list of 8388609 bytes",
        ),
        (
            "data-huge",
            |d| d.artifacts[1].data_bytes = 8 << 30,
            "delta: artifact: 8589934592 bytes of data are too many",
        ),
        ("extension-odd", |d| d.extensions.0[0].id = 7, "delta has extension 7"),
        ("extension-twice", |d| d.extensions.0.push(d.extensions.0[0].clone()), "delta: extensions must be"),
    ];
    for (name, spoil, expected) in table {
        let mut bad = delta();
        spoil(&mut bad);
        let TrustError::Decode(error) = bad.seal(&[&signer(4)]).unwrap_err() else { panic!("{name}") };
        assert!(error.to_string().starts_with(expected), "{name}: {error}");
        let bytes = postcard::to_allocvec(&bad).unwrap();
        assert_eq!(Delta::decode(&bytes), Err(error), "{name}");
    }
    let one = |i: usize| ArtifactDelta { name: format!("layer-{i}"), ..delta().artifacts[0].clone() };
    let most = Delta { artifacts: (1..=limits::ARTIFACTS).map(one).collect(), ..delta() };
    assert_eq!(Delta::open(&most.seal(&[&signer(4)]).unwrap(), &root()), Ok(most.clone()));
    let more = Delta { artifacts: (0..=limits::ARTIFACTS).map(one).collect(), ..most };
    assert!(more.seal(&[&signer(4)]).is_err());
    let bytes = postcard::to_allocvec(&more).unwrap();
    assert_eq!(Delta::decode(&bytes), Err(DecodeError::Malformed("delta")));
}

#[test]
fn a_delta_makes_its_target_from_its_base_and_nothing_else() {
    let (target, base) = (release(), base_release());
    let (target_id, base_id) = (identity(&target), identity(&base));
    let other = Digest::of(b"other");
    let between = |delta: &Delta, target: (&Digest, &Release), base: (&Digest, &Release)| {
        delta.check_between(target, base).map_err(|e| e.to_string())
    };
    assert_eq!(between(&delta(), (&target_id, &target), (&base_id, &base)), Ok(()));
    let (mut for_kitchen, mut of_others) = (delta(), delta());
    for_kitchen.head.product = "kitchen".into();
    of_others.head.repository = other;
    let table = [
        (
            "other target",
            between(&delta(), (&other, &target), (&base_id, &base)),
            format!("delta: it makes release {target_id:.12}, not {other:.12}"),
        ),
        (
            "other base",
            between(&delta(), (&target_id, &target), (&other, &base)),
            format!("delta: it takes release {base_id:.12}, not {other:.12}"),
        ),
        (
            "the wrong way around",
            between(&delta(), (&base_id, &base), (&target_id, &target)),
            format!("delta: it makes release {target_id:.12}, not {base_id:.12}"),
        ),
        (
            "another product",
            between(&for_kitchen, (&target_id, &target), (&base_id, &base)),
            format!("delta: it is for another product or repository than release {target_id:.12}"),
        ),
        (
            "another repository",
            between(&of_others, (&target_id, &target), (&base_id, &base)),
            format!("delta: it is for another product or repository than release {target_id:.12}"),
        ),
        (
            "target without the artifact",
            between(&delta(), (&target_id, &directory_release()), (&base_id, &base)),
            "delta: one of the two releases has no artifact boot".into(),
        ),
        (
            "base without the artifact",
            between(&delta(), (&target_id, &target), (&base_id, &containers_release())),
            "delta: one of the two releases has no artifact boot".into(),
        ),
    ];
    for (name, found, expected) in table {
        assert_eq!(found, Err(expected), "{name}");
    }
    // What it doesn't make is fetched whole.
    let part = Delta { artifacts: vec![delta().artifacts[1].clone()], ..delta() };
    assert_eq!(between(&part, (&target_id, &target), (&base_id, &base)), Ok(()));
}

/// A delta, correctly signed and opened, that names this list; and what the list decodes to.
fn signed_list(list: &ChunkList, making: &Making) -> Result<ChunkList, DecodeError> {
    let bytes = list.encode(making.target.bytes, making.data_bytes)?;
    let signed = Delta { artifacts: vec![making.artifact_delta("system", &bytes)], ..delta() };
    let opened = Delta::open(&signed.seal(&[&signer(4)]).unwrap(), &root()).unwrap();
    let named = opened.artifact("system").unwrap();
    assert_eq!(named.list, Digest::of(&bytes), "the list is the one that was signed");
    named.list(&bytes, &making.target, &making.base)
}

#[test]
fn a_correctly_signed_delta_cannot_name_other_chunks() {
    let (good, making) = delta_list();
    assert_eq!(signed_list(&good, &making), Ok(good.clone()));
    for i in 0..good.chunks.len() {
        let mut other = good.clone();
        other.chunks[i].digest.0[i] ^= 1;
        assert_eq!(signed_list(&other, &making), Err(DecodeError::OtherChunks), "chunk {i}");
    }
    let mut swapped = good.clone();
    let (first, third) = (good.chunks[0].digest, good.chunks[2].digest);
    (swapped.chunks[0].digest, swapped.chunks[2].digest) = (third, first);
    assert_eq!(signed_list(&swapped, &making), Err(DecodeError::OtherChunks));
    // How the chunks are made is for the delta to say.
    let mut made_otherwise = good.clone();
    made_otherwise.chunks[0].encoding = Encoding::Copy(Range { offset: 0, bytes: CHUNK });
    assert_eq!(signed_list(&made_otherwise, &making), Ok(made_otherwise));
}

#[test]
fn a_full_list_cannot_name_other_chunks_either() {
    let (good, artifact) = list();
    let decode = |list: &ChunkList| {
        ChunkList::decode(&list.encode(artifact.bytes, artifact.data_bytes).unwrap(), &artifact)
    };
    assert_eq!(decode(&good), Ok(good.clone()));
    for i in 0..good.chunks.len() {
        let mut other = good.clone();
        other.chunks[i].digest.0[31 - i] ^= 0x80;
        assert_eq!(decode(&other), Err(DecodeError::OtherChunks), "chunk {i}");
    }
    // The same number of chunks of another size would be other chunks as well.
    let (one, _) = list();
    let small = ChunkList { chunks: one.chunks[3..].to_vec(), ..one };
    let artifact = artifact_of(&small, 512, 33);
    let bytes = ChunkList { chunk_bytes: 2 * CHUNK, ..small.clone() }.encode(512, 33).unwrap();
    assert_eq!(ChunkList::decode(&bytes, &artifact), Err(DecodeError::OtherChunks));
    assert_eq!(ChunkList::decode(&small.encode(512, 33).unwrap(), &artifact), Ok(small));
}

#[test]
fn the_digest_of_the_chunks_is_that_of_their_digests_in_order() {
    let (list, artifact) = list();
    let all: Vec<u8> = list.chunks.iter().flat_map(|c| c.digest.0).collect();
    assert_eq!((list.chunks_digest(), artifact.chunks), (Digest::of(&all), Digest::of(&all)));
    assert_eq!(delta_list().0.chunks_digest(), Digest::of(&all), "however they are made");
}

#[test]
fn a_list_of_another_kind_or_base_is_refused() {
    let (full, artifact) = list();
    let (of_delta, making) = delta_list();
    let full_bytes = full.encode(artifact.bytes, artifact.data_bytes).unwrap();
    let delta_bytes = of_delta.encode(artifact.bytes, making.data_bytes).unwrap();
    let other_base = "chunk list: it is of another base";
    assert_eq!(problem(ChunkList::decode(&delta_bytes, &artifact)), "chunk list: it is of a delta");
    let whole = Making { data_bytes: artifact.data_bytes, ..making.clone() };
    assert_eq!(problem(whole.decode(&full_bytes)), other_base);
    let mut moved = making.clone();
    moved.base.digest.0[0] ^= 1;
    assert_eq!(problem(moved.decode(&delta_bytes)), other_base);
    let named = ArtifactDelta { data_bytes: 751, ..making.artifact_delta("system", &delta_bytes) };
    let text = problem(named.list(&delta_bytes, &making.target, &making.base));
    assert_eq!(text, "chunk list: chunks of 752 bytes where the volume's data has 751");
}

#[test]
fn nothing_behind_the_end_of_the_base_is_read() {
    let (good, making) = delta_list();
    let end = making.base.bytes;
    let with = |copy: Option<Range>, prefix: Option<Range>| {
        let mut list = good.clone();
        if let Some(range) = copy {
            list.chunks[0].encoding = Encoding::Copy(range);
        }
        if let (Some(range), Encoding::Patch { prefix, .. }) = (prefix, &mut list.chunks[2].encoding) {
            prefix[1] = range;
        }
        signed_list(&list, &making).map(|_| ()).map_err(|e| e.to_string())
    };
    let at = |offset, bytes| Some(Range { offset, bytes });
    let behind = |chunk| Err(format!("chunk list: chunk {chunk} reads behind the end of the base"));
    assert_eq!(with(at(end - u64::from(CHUNK), CHUNK), None), Ok(()), "up to the last byte");
    assert_eq!(with(at(end - u64::from(CHUNK) + 1, CHUNK), None), behind(0));
    assert_eq!(with(at(u64::MAX - u64::from(CHUNK), CHUNK), None), behind(0));
    assert_eq!(with(None, at(end - 7, 7)), Ok(()));
    assert_eq!(with(None, at(end - 6, 7)), behind(2));
    assert_eq!(with(None, at(end, 1)), behind(2));
}

proptest! {
    #[test]
    fn ranges_are_accepted_exactly_within_the_base(
        base_bytes in 1u64..1 << 20, offset in 0u64..1 << 20, bytes in 1u32..1 << 18,
    ) {
        let (mut list, mut making) = delta_list();
        making.base.bytes = base_bytes;
        list.chunks[0].encoding = list.chunks[1].encoding.clone();
        list.chunks[2].encoding =
            Encoding::Patch { bytes: 700, digest: Digest::of(b"patch"), prefix: vec![Range { offset, bytes }] };
        making.data_bytes = 19 + 19 + 700 + 33;
        let fits = offset + u64::from(bytes) <= base_bytes;
        prop_assert_eq!(signed_list(&list, &making).is_ok(), fits);
    }

    #[test]
    fn any_change_of_a_chunks_digest_is_found(chunk in 0usize..4, byte in 0usize..32, bit in 0u8..8) {
        let (mut list, making) = delta_list();
        list.chunks[chunk].digest.0[byte] ^= 1 << bit;
        prop_assert_eq!(signed_list(&list, &making), Err(DecodeError::OtherChunks));
    }
}

#[test]
fn truncated_and_trailing_bytes_are_refused() {
    let sealed = delta().seal(&[&signer(4)]).unwrap();
    let payload = &sealed[16..sealed.len() - 80];
    for cut in 0..payload.len() {
        assert_eq!(Delta::decode(&payload[..cut]), Err(DecodeError::Malformed("delta")), "cut at {cut}");
    }
    assert_eq!(Delta::decode(&[payload, &[0]].concat()), Err(DecodeError::Trailing("delta")));
    let huge = vec![0; limits::ENVELOPE_PAYLOAD + 1];
    assert!(matches!(Delta::decode(&huge), Err(DecodeError::TooLarge { what: "delta", .. })));
    assert!(Head::read(payload).is_ok());
}
