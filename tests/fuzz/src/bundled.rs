//! A release of ours, and deltas to it as files: every list and every byte of data that an input likes, signed well.
use crate::{Input, KEY, ROOT};
use bistable::ports::{Fault, Volume};
use bistable::steps::install::Slots;
use bistable_format::bundle::Frame;
use bistable_format::chunklist::Range;
use bistable_format::delta::ArtifactDelta;
use bistable_format::{
    Artifact, Chunk, ChunkList, Content, Delta, Digest, Encoding, Extensions, Head, Release, Volumes, limits,
    release,
};
use std::sync::{Arc, LazyLock};

/// The release that the deltas take; only its identity and its artifacts count.
pub static BASE: LazyLock<Made> = LazyLock::new(|| Made::of("1.0.0", 1));
/// The release that they make.
pub static TARGET: LazyLock<Made> = LazyLock::new(|| Made::of("1.1.0", 2));

/// A release, signed with our key.
pub struct Made {
    pub release: Release,
    pub signed: Vec<u8>,
    pub identity: Digest,
}

/// An image of 64 KiB in one chunk of these bytes.
fn artifact(byte: u8) -> Artifact {
    let digest = Digest::of(&[byte; 64 << 10]);
    let encoding = Encoding::Zstd { bytes: 4, digest: Digest::of(b"data") };
    let list =
        ChunkList { chunk_bytes: limits::CHUNK_MIN, base: None, chunks: vec![Chunk { digest, encoding }] };
    let (bytes, data_bytes) = (64 << 10, 4);
    let encoded = list.encode(bytes, data_bytes).unwrap();
    Artifact {
        bytes,
        digest,
        chunk_bytes: list.chunk_bytes,
        chunks: list.chunks_digest(),
        list: Digest::of(&encoded),
        list_bytes: u32::try_from(encoded.len()).unwrap(),
        data: Digest::of(b"data"),
        data_bytes,
    }
}

impl Made {
    fn of(version: &str, byte: u8) -> Made {
        let content = Content::Image(Volumes { boot: artifact(byte), system: artifact(byte + 100) });
        let head = Head::new(ROOT.repository(), "fuzz");
        let release = Release::new(head, version.parse().unwrap(), vec!["pi4".into()], content);
        let signed = release.seal(&[&KEY]).unwrap();
        let identity = release::identity(&signed);
        Made { release, signed, identity }
    }
}

/// A list and its data: any bytes, or one that makes the image of that byte of what an input says. A list without bytes
/// stands for none.
fn list(input: &mut Input, byte: u8) -> Option<(Vec<u8>, Vec<u8>)> {
    let is_raw = input.byte() % 2 == 0;
    let (text, data) = (input.counted(), input.counted().to_vec());
    if is_raw {
        return (!text.is_empty()).then(|| (text.to_vec(), data));
    }
    let mut text = Input(text);
    let mut range =
        || Range { offset: text.below(1 << 17), bytes: u32::try_from(text.below(1 << 17)).unwrap() };
    let encoding = if data.is_empty() {
        Encoding::Copy(range())
    } else {
        let (bytes, digest) = (u32::try_from(data.len()).ok()?, Digest::of(&data));
        let prefix = (0..data.len() % 3 + 1).map(|_| range()).collect();
        Encoding::Patch { bytes, digest, prefix }
    };
    let digest = Digest::of(&[byte + 2; 64 << 10]);
    let base = Some(Digest::of(&[byte + 1; 64 << 10]));
    let list = ChunkList { chunk_bytes: limits::CHUNK_MIN, base, chunks: vec![Chunk { digest, encoding }] };
    Some((postcard::to_allocvec(&list).ok()?, data))
}

/// The slot that runs: nothing of it is read before the lists are known.
pub fn no_slots() -> Slots {
    Slots { boot: Arc::new(Unread), system: Arc::new(Unread) }
}

struct Unread;

impl Volume for Unread {
    fn bytes(&self) -> u64 {
        64 << 10
    }

    fn read(&self, _: u64, _: &mut [u8]) -> Result<(), Fault> {
        panic!("read too early")
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<(), Fault> {
        panic!("the running slot is never written")
    }

    fn flush(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// The file of a delta, and what is in it.
pub struct Bundled {
    pub delta: Delta,
    pub signed: Vec<u8>,
    /// Lists, then data: of each artifact that it makes, boot first.
    pub blobs: Vec<Vec<u8>>,
    pub file: Vec<u8>,
}

impl Bundled {
    /// With lists and data that begin an input. One without a list has no such artifact.
    pub fn of(input: &mut Input) -> Option<Bundled> {
        let (mut artifacts, mut lists, mut datas) = (Vec::new(), Vec::new(), Vec::new());
        for (name, byte) in [("boot", 0), ("system", 100)] {
            let Some(list) = list(input, byte) else { continue };
            let (list, data) = list;
            artifacts.push(ArtifactDelta {
                name: name.into(),
                list: Digest::of(&list),
                list_bytes: u32::try_from(list.len()).ok()?,
                data: Digest::of(&data),
                data_bytes: data.len() as u64,
            });
            lists.push(list);
            datas.push(data);
        }
        let delta = Delta {
            head: TARGET.release.head.clone(),
            target: TARGET.identity,
            base: BASE.identity,
            artifacts,
            extensions: Extensions::default(),
        };
        // Without artifacts it makes no sense.
        let signed = delta.seal(&[&KEY]).ok()?;
        let frame = Frame::delta((&TARGET.signed, &TARGET.release), (&signed, &delta));
        lists.append(&mut datas);
        let signed_parts = [&TARGET.signed, &signed];
        let contents = signed_parts.into_iter().chain(&lists).map(Vec::as_slice);
        let file = frame.bundle(contents).unwrap();
        assert_eq!(frame.bundle_bytes(), file.len() as u64);
        Some(Bundled { delta, signed, blobs: lists, file })
    }
}
