//! What long work tells about how far it is. How it is shown is decided elsewhere.
use bistable_format::VolumeKind;

/// A part of the work that is worth a bar of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Decompressing a disk image. Counts bytes of the compressed file.
    Unpack,
    /// Making a disk image's system run in either slot. Its total is not known.
    Edit,
    /// Reading a volume's input: its structure, before any byte of the image. Its total is not known.
    Plan(VolumeKind),
    /// Making, hashing and compressing a volume. Counts raw bytes.
    Compress(VolumeKind),
    /// Putting the bundle together. Counts bytes of the file.
    Assemble,
    /// Checking a volume of a bundle. Counts raw bytes.
    Verify(VolumeKind),
    /// Reading a base, to know what is where. Counts raw bytes.
    Index(VolumeKind),
    /// Finding a volume in its base. Counts raw bytes.
    Delta(VolumeKind),
    /// Bringing a bundle's blobs into a repository. Counts bytes of the file.
    Upload,
    /// Hashing the card image for its block map. Counts mapped bytes.
    BlockMap,
}

impl Stage {
    /// What it is called, in bars and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Unpack => "unpack image",
            Stage::Edit => "edit system",
            Stage::Plan(VolumeKind::Boot) => "read boot",
            Stage::Plan(VolumeKind::System) => "read system",
            Stage::Compress(VolumeKind::Boot) => "compress boot",
            Stage::Compress(VolumeKind::System) => "compress system",
            Stage::Assemble => "assemble",
            Stage::Verify(VolumeKind::Boot) => "verify boot",
            Stage::Verify(VolumeKind::System) => "verify system",
            Stage::Index(VolumeKind::Boot) => "index boot",
            Stage::Index(VolumeKind::System) => "index system",
            Stage::Delta(VolumeKind::Boot) => "delta boot",
            Stage::Delta(VolumeKind::System) => "delta system",
            Stage::Upload => "upload",
            Stage::BlockMap => "block map",
        }
    }
}

/// Hears about progress, from any thread. Stages begin and end in order, one at a time.
pub trait Progress: Sync {
    /// A stage begins; it has `total` bytes to do, 0 if that isn't known.
    fn begin(&self, stage: Stage, total: u64);
    /// That many bytes of the stage are done, counted from its beginning; never less than before.
    fn advance(&self, stage: Stage, done: u64);
    /// The stage is done.
    fn end(&self, stage: Stage);
    /// Something that a person should know, and that stops nothing.
    fn note(&self, text: &str);
}

/// Discards progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Stage, _: u64) {}
    fn advance(&self, _: Stage, _: u64) {}
    fn end(&self, _: Stage) {}
    fn note(&self, _: &str) {}
}
