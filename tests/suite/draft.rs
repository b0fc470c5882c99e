//! Bundles to order: taken apart, changed, put together and signed again, however wrong they have become.
use bistable_format::{
    Artifact, Chunk, ChunkList, Content, Digest, Encoding, Release, VolumeKind, Volumes,
    bundle::{BLOCK, END_BYTES, Frame, Header},
};
use bistable_image::keys::SecretKey;
use std::ops::Range;

/// One entry of a bundle.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) header: Range<usize>,
    pub(crate) content: Range<usize>,
    /// Where the padding ends.
    pub(crate) end: usize,
}

const NAMES: [&str; 9] = [
    "layout",
    "index",
    "manifest",
    "config",
    "release",
    "boot list",
    "system list",
    "boot data",
    "system data",
];

/// Where everything in a good bundle is.
pub(crate) fn parts(bundle: &[u8]) -> Vec<Part> {
    let mut at = 0;
    let mut parts = Vec::new();
    for name in NAMES {
        let block: &[u8; BLOCK] = bundle[at..at + BLOCK].try_into().unwrap();
        let header = Header::decode(block).unwrap();
        let start = at + BLOCK;
        let content = start..start + usize::try_from(header.bytes).unwrap();
        let end = content.end + header.padding();
        parts.push(Part { name, header: at..start, content, end });
        at = end;
    }
    assert_eq!(at + END_BYTES, bundle.len());
    parts
}

/// A volume, its encoded list, its data.
type Packed = (Artifact, Vec<u8>, Vec<u8>);

/// A volume in pieces.
#[derive(Clone, Debug)]
pub(crate) struct VolumeDraft {
    /// Raw bytes that the release announces.
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
    pub(crate) list: ChunkList,
    /// The data, chunk by chunk.
    pub(crate) frames: Vec<Vec<u8>>,
}

impl VolumeDraft {
    /// Put another frame in the place of one, as a signer who means it would: the list names it.
    pub(crate) fn set_frame(&mut self, index: usize, frame: Vec<u8>) {
        let bytes = u32::try_from(frame.len()).unwrap();
        self.list.chunks[index].encoding = Encoding::Zstd { bytes, digest: Digest::of(&frame) };
        self.frames[index] = frame;
    }

    /// The first chunk that isn't all zero, but for the one with the header.
    pub(crate) fn full_chunk(&self) -> usize {
        let full = |c: &Chunk| matches!(c.encoding, Encoding::Zstd { .. });
        1 + self.list.chunks[1..].iter().position(full).unwrap()
    }

    fn pack(&self) -> Packed {
        let list = postcard::to_allocvec(&self.list).unwrap();
        let data = self.frames.concat();
        let volume = Artifact {
            bytes: self.bytes,
            digest: self.digest,
            chunk_bytes: self.list.chunk_bytes,
            chunks: self.list.chunks_digest(),
            list_bytes: u32::try_from(list.len()).unwrap(),
            list: Digest::of(&list),
            data_bytes: data.len() as u64,
            data: Digest::of(&data),
        };
        (volume, list, data)
    }
}

/// A release and its data in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) release: Release,
    pub(crate) boot: VolumeDraft,
    pub(crate) system: VolumeDraft,
}

impl Draft {
    /// Take a good bundle apart.
    pub(crate) fn of(bundle: &[u8], root: &bistable_format::Root) -> Draft {
        let parts = parts(bundle);
        let release = Release::open(&bundle[parts[4].content.clone()], root).unwrap();
        let volume = |kind, list: &Part, data: &Part| {
            let v: &Artifact = release.volumes().unwrap().get(kind);
            let list = ChunkList::decode(&bundle[list.content.clone()], v).unwrap();
            let mut at = data.content.start;
            let frames = list.chunks.iter().map(|c| {
                let start = at;
                at += c.encoding.data_bytes() as usize;
                bundle[start..at].to_vec()
            });
            VolumeDraft { bytes: v.bytes, digest: v.digest, frames: frames.collect(), list: list.clone() }
        };
        let boot = volume(VolumeKind::Boot, &parts[5], &parts[7]);
        let system = volume(VolumeKind::System, &parts[6], &parts[8]);
        Draft { release, boot, system }
    }

    pub(crate) fn version(mut self, version: &str) -> Draft {
        self.release.version = version.parse().unwrap();
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Draft)) -> Draft {
        change(&mut self);
        self
    }

    /// Put together and sign, right or wrong.
    pub(crate) fn pack(self, keys: &[&SecretKey]) -> Vec<u8> {
        let (boot, system) = (self.boot.pack(), self.system.pack());
        self.assemble(keys, boot, system)
    }

    /// A bundle too large for a test: it ends after the boot volume's frames that there are.
    pub(crate) fn pack_beginning(self, key: &SecretKey) -> Vec<u8> {
        let announced = |v: &VolumeDraft| {
            let (mut volume, list, data) = v.pack();
            volume.data_bytes = v.list.chunks.iter().map(|c| u64::from(c.encoding.data_bytes())).sum();
            (volume, list, data)
        };
        let (boot, system) = (announced(&self.boot), announced(&self.system));
        let missing = boot.0.data_bytes - boot.2.len() as u64;
        assert!(missing > 0);
        let rest = BLOCK + system.2.len() + END_BYTES;
        let mut bundle = self.assemble(&[key], boot, system);
        bundle.truncate(bundle.len() - rest - 2 * BLOCK);
        bundle
    }

    fn assemble(
        mut self,
        keys: &[&SecretKey],
        (boot, boot_list, boot_data): Packed,
        (system, system_list, system_data): Packed,
    ) -> Vec<u8> {
        self.release.content = Content::Image(Volumes { boot, system });
        let payload = postcard::to_allocvec(&self.release).unwrap();
        let keys: Vec<_> = keys.iter().map(|k| k.signing()).collect();
        let signed =
            bistable_format::envelope::seal(bistable_format::Role::Release, &payload, &keys).unwrap();
        let frame = Frame::new(&signed, &self.release);
        let parts = [&signed, &boot_list, &system_list, &boot_data, &system_data];
        frame.bundle(parts.map(Vec::as_slice)).unwrap()
    }
}
