//! What the caller may choose about a volume.

use std::path::PathBuf;

use crate::root::SignedRoot;
use bistable_boot::Flow;
use sha2::{Digest, Sha256};

/// The unit in which volume sizes are counted: 4096 bytes.
pub const BLOCK: u64 = 4096;

/// How large a volume shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VolumeSize {
    /// As large as its contents need, with 10 % of free space.
    #[default]
    Fit,
    /// Exactly this many bytes, a multiple of [`BLOCK`].
    Exact(u64),
}

/// Who owns the files of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owner {
    /// Who owns them in the source.
    #[default]
    Keep,
    /// User and group 0, for a tree that an ordinary user unpacked.
    Root,
}

/// What makes the ext4 file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ext4Backend {
    /// The built-in writer: the same bytes on every machine, no temporary file, no other program.
    #[default]
    Mkext4,
    /// The program `mke2fs -d` of e2fsprogs, if it is installed. Needs a temporary file; the same bytes only
    /// with the same version of e2fsprogs, and only from 1.47.1 on.
    Mke2fs,
}

/// The identity of a volume's file system, derived from a name, so that both slots and every build of a
/// product have equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeId([u8; 16]);

impl VolumeId {
    /// Derives the id from a name such as `product/system`.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let digest = Sha256::new().chain_update(b"bistable volume id\0").chain_update(name).finalize();
        let mut id = [0; 16];
        id.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
        // Version 8 (vendor-specific) and the RFC 9562 variant, so that it reads as a proper UUID.
        id[6] = (id[6] & 0x0f) | 0x80;
        id[8] = (id[8] & 0x3f) | 0x80;
        Self(id)
    }

    /// As the 16 bytes of a UUID.
    #[must_use]
    pub fn uuid(self) -> [u8; 16] {
        self.0
    }

    /// As the 32-bit serial number of a FAT volume.
    #[must_use]
    pub fn serial(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl std::fmt::Display for VolumeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// What a reader does with what a tree can't hold as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reading {
    /// As programs that unpack a tar do: the last entry of a name wins, sockets are left out.
    #[default]
    Lenient,
    /// Nothing is left out and nothing replaced: both are errors. Holes are not looked for.
    Exact,
}

/// How the system volume (the root file system) is made.
#[derive(Debug, Clone)]
pub struct SystemOptions {
    /// Its size. A ready image keeps its own size under [`VolumeSize::Fit`].
    pub size: VolumeSize,
    /// Who owns the files.
    pub owner: Owner,
    /// What is done with what can't be taken over.
    pub reading: Reading,
    /// What makes the file system.
    pub backend: Ext4Backend,
    /// The file system's label, at most 16 bytes.
    pub label: String,
    /// The file system's identity.
    pub id: VolumeId,
    /// Seconds since 1970. Files keep their times; later ones are set to this.
    pub source_date_epoch: u64,
    /// The root that the system carries: put into a directory or a tar; a ready image and the backend mke2fs are taken as
    /// they are.
    pub root: Option<SignedRoot>,
    /// Where temporary files go; `None` is the system's folder for them.
    pub temp_dir: Option<PathBuf>,
}

/// How the boot volume is made.
#[derive(Debug, Clone)]
pub struct BootOptions {
    /// Its size. A ready image keeps its own size under [`VolumeSize::Fit`].
    pub size: VolumeSize,
    /// What starts the kernel: for U-Boot, the volume gets a `bistable.env`, from which the boot script knows what to load and to
    /// check; for the firmware it stays as it is.
    pub flow: Flow,
    /// Kernel and initramfs are stored without compression.
    pub plain: bool,
    /// The volume's label, at most 11 characters of those that FAT allows.
    pub label: String,
    /// The volume's identity.
    pub id: VolumeId,
    /// Seconds since 1970. Files keep their times; later ones are set to this.
    pub source_date_epoch: u64,
    /// Where temporary files go; `None` is the system's folder for them.
    pub temp_dir: Option<PathBuf>,
}

impl SystemOptions {
    /// The defaults for a volume of this identity: fitting size, owners kept, built-in writer.
    #[must_use]
    pub fn new(id: VolumeId, source_date_epoch: u64) -> Self {
        Self {
            size: VolumeSize::Fit,
            owner: Owner::Keep,
            reading: Reading::Lenient,
            backend: Ext4Backend::Mkext4,
            label: "system".into(),
            id,
            source_date_epoch,
            root: None,
            temp_dir: None,
        }
    }
}

impl BootOptions {
    /// The defaults for a volume of this identity: fitting size.
    #[must_use]
    pub fn new(id: VolumeId, source_date_epoch: u64) -> Self {
        Self {
            size: VolumeSize::Fit,
            flow: Flow::Tryboot,
            plain: false,
            label: "BOOT".into(),
            id,
            source_date_epoch,
            temp_dir: None,
        }
    }
}
