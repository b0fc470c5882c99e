//! Signed releases and what they are packed into: chunk lists, data, bundles.
use anyhow::Result;
use bistable_format::{
    Artifact, Chunk, ChunkList, Content, Digest, Encoding, Head, Release, Root, Volumes, bundle::Frame,
};
use bistable_image::keys::SecretKey;

const SELF_TESTS: &str = "[[test]]\nname = \"relay\"\nkind = \"loopback\"\nout = 17\nin = 27\n";
const HEALTH: &str = "deadline_s = 60\nsettle_s = 5\n[[check]]\nname = \"application\"\nkind = \"unit\"\nunit = \"app.service\"\n";

/// The least that a chunk may have, so that a volume has more than one and is small.
pub const CHUNK_BYTES: usize = 256 << 10;

/// A signed release with all that it names.
#[derive(Clone, Debug)]
pub struct Packed {
    /// What is signed.
    pub release: Release,
    /// And its signed bytes.
    pub signed: Vec<u8>,
    /// Both volumes' lists, then their data.
    pub(super) blobs: [Vec<u8>; 4],
    /// The raw boot volume.
    pub boot: Vec<u8>,
    /// The raw system volume.
    pub system: Vec<u8>,
}

impl Packed {
    /// Pack and sign a boot and a system volume.
    pub(super) fn new(
        seed: u64,
        version: &str,
        security_version: u32,
        [boot, system]: [Vec<u8>; 2],
        (key, root): (&SecretKey, &Root),
    ) -> Result<Packed> {
        let (boot_volume, boot_list, boot_data) = volume(&boot)?;
        let (system_volume, system_list, system_data) = volume(&system)?;
        let volumes = Volumes { boot: boot_volume, system: system_volume };
        let head = Head::new(root.repository(), "prove");
        let release = Release {
            security_version,
            build_time: 1_700_000_000 + seed,
            self_tests: SELF_TESTS.into(),
            health: HEALTH.into(),
            ..Release::new(head, version.parse()?, vec!["pi4".into()], Content::Image(volumes))
        };
        let signed = release.seal(&[key.signing()])?;
        Ok(Packed { release, signed, blobs: [boot_list, system_list, boot_data, system_data], boot, system })
    }

    /// Its bundle.
    pub(super) fn bundle(&self) -> Result<Vec<u8>> {
        let blobs = self.blobs.iter().map(Vec::as_slice);
        Ok(Frame::new(&self.signed, &self.release).bundle([&self.signed[..]].into_iter().chain(blobs))?)
    }
}

/// A volume's description, its list and its data.
fn volume(raw: &[u8]) -> Result<(Artifact, Vec<u8>, Vec<u8>)> {
    let frames: Vec<_> =
        raw.chunks(CHUNK_BYTES).map(|c| zstd::bulk::compress(c, 3)).collect::<std::io::Result<_>>()?;
    let chunks = raw.chunks(CHUNK_BYTES).zip(&frames).map(|(chunk, frame)| {
        let encoding = Encoding::Zstd { bytes: u32::try_from(frame.len())?, digest: Digest::of(frame) };
        Ok(Chunk { digest: Digest::of(chunk), encoding })
    });
    let list = ChunkList {
        chunk_bytes: u32::try_from(CHUNK_BYTES)?,
        base: None,
        chunks: chunks.collect::<Result<_>>()?,
    };
    let data = frames.concat();
    let (chunk_bytes, chunks) = (list.chunk_bytes, list.chunks_digest());
    let list = list.encode(raw.len() as u64, data.len() as u64)?;
    let volume = Artifact {
        bytes: raw.len() as u64,
        digest: Digest::of(raw),
        chunk_bytes,
        chunks,
        list_bytes: u32::try_from(list.len())?,
        list: Digest::of(&list),
        data_bytes: data.len() as u64,
        data: Digest::of(&data),
    };
    Ok((volume, list, data))
}
