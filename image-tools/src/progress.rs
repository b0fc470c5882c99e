//! What long work tells about how far it is. How it is shown is decided elsewhere.
use bistable_format::ArtifactId;
use std::sync::{Mutex, PoisonError};

/// A part of the work that is worth a bar of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Downloading a file. Counts its bytes.
    Fetch,
    /// Decompressing a disk image. Counts bytes of the compressed file.
    Unpack,
    /// Making a disk image's system run in either slot. Its total is not known.
    Edit,
    /// Reading an artifact's input: its structure, before any byte of it. Its total is not known.
    Plan(ArtifactId),
    /// Making, hashing and compressing an artifact. Counts raw bytes.
    Compress(ArtifactId),
    /// Putting the bundle together. Counts bytes of the file.
    Assemble,
    /// Checking an artifact of a bundle. Counts raw bytes.
    Verify(ArtifactId),
    /// Reading a base, to know what is where. Counts raw bytes.
    Index(ArtifactId),
    /// Finding an artifact in its base. Counts raw bytes.
    Delta(ArtifactId),
    /// Bringing a bundle's blobs into a repository. Counts bytes of the file.
    Upload,
    /// Hashing the card image for its block map. Counts mapped bytes.
    BlockMap,
    /// Holding a card image against its block map. Counts mapped bytes.
    CheckImage,
    /// Writing a card. Counts bytes that are to be written.
    WriteCard,
    /// Reading back what was written to a card. Counts the same bytes.
    ReadBack,
    /// Sending a bundle to a device, which installs it meanwhile. Counts its bytes.
    Send,
}

impl Stage {
    /// What it is called, in bars and in JSON.
    pub fn name(self) -> String {
        match self {
            Stage::Fetch => "download".into(),
            Stage::Unpack => "unpack image".into(),
            Stage::Edit => "edit system".into(),
            Stage::Plan(artifact) => format!("read {artifact}"),
            Stage::Compress(artifact) => format!("compress {artifact}"),
            Stage::Assemble => "assemble".into(),
            Stage::Verify(artifact) => format!("verify {artifact}"),
            Stage::Index(artifact) => format!("index {artifact}"),
            Stage::Delta(artifact) => format!("delta {artifact}"),
            Stage::Upload => "upload".into(),
            Stage::BlockMap => "block map".into(),
            Stage::CheckImage => "check image".into(),
            Stage::WriteCard => "write card".into(),
            Stage::ReadBack => "read back".into(),
            Stage::Send => "send".into(),
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

/// Passes all on, and keeps the notes.
pub(crate) struct Keeping<'a> {
    heard_by: &'a dyn Progress,
    notes: Mutex<Vec<String>>,
}

impl<'a> Keeping<'a> {
    /// What `heard_by` hears.
    pub(crate) fn new(heard_by: &'a dyn Progress) -> Keeping<'a> {
        Keeping { heard_by, notes: Mutex::default() }
    }

    /// The notes, in their order.
    pub(crate) fn into_notes(self) -> Vec<String> {
        self.notes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Keeping<'_> {
    fn begin(&self, stage: Stage, total: u64) {
        self.heard_by.begin(stage, total);
    }

    fn advance(&self, stage: Stage, done: u64) {
        self.heard_by.advance(stage, done);
    }

    fn end(&self, stage: Stage) {
        self.heard_by.end(stage);
    }

    fn note(&self, text: &str) {
        self.heard_by.note(text);
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
    }
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
