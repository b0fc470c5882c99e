//! From a root file system and a boot volume to a signed bundle.
//!
//! ```text
//! input ─► raw stream ─► chunks ─► zstd on every processor ─► in order into the output file ─► head, lists, end
//!          (volume/)     (encode.rs)                          (data first, where it will lie)   (assemble.rs)
//! ```
//! The same input, options and build time give the same bytes, on any machine with any number of threads. Memory is
//! bounded by two chunks per thread, whatever the size of the image.
mod assemble;
mod data;
mod encode;

pub use encode::{ChunkSize, Level};

use crate::clock::Stopwatch;
use crate::disk::{self, DiskError, DiskOptions, Dissected};
use crate::keys::SecretKey;
use crate::output::{self, Access, Existing, NewFile, OutputError};
use crate::parallel::Threads;
use crate::progress::{Progress, Stage};
use crate::root::SignedRoot;
use crate::volume::kernels::LargeFile;
use crate::volume::tree::Tree;
use crate::volume::{
    self, BootOptions, Ext4Backend, InputKind, Owner, SystemOptions, VolumeError, VolumeId, VolumePlan,
    VolumeSize, open_boot, open_system,
};
use bistable_boot::Flow;
use bistable_format::{
    Artifact, Content, DecodeError, Digest, Head, Release, Requires, Root, TrustError, Urgency, VolumeKind,
    Volumes, health, limits, release::DataPolicy, selftest,
};
use semver::Version;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a release's volumes are made from.
#[derive(Clone, Debug)]
pub enum Input {
    /// One input for each.
    Volumes {
        /// Root file system: a directory, a tar, or a ready ext4, squashfs or EROFS image.
        system: PathBuf,
        /// Boot volume: a directory or a ready FAT image.
        boot: PathBuf,
    },
    /// A finished disk image, taken apart.
    Disk(DiskOptions),
}

impl Input {
    /// The files and folders that are read.
    fn paths(&self) -> Vec<&Path> {
        match self {
            Input::Volumes { system, boot } => vec![system, boot],
            Input::Disk(disk) => vec![&disk.image],
        }
    }
}

/// What to build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// What it is for; see [`Release::product`].
    pub product: String,
    /// Its version.
    pub version: Version,
    /// See [`Release::security_version`].
    pub security_version: u32,
    /// Boards that it runs on, at least one.
    pub boards: Vec<String>,
    /// What a device must have before.
    pub requires: Requires,
    /// How soon it should be installed.
    pub urgency: Urgency,
    /// What it does to the system's data.
    pub data: DataPolicy,
    /// Release notes, shown to operators.
    pub description: String,
    /// Author of the release.
    pub author: String,
    /// What it is built from: a repository and its commit, for example.
    pub origin: String,
    /// SHA-256 of its list of materials.
    pub sbom: Option<Digest>,
    /// Self-test plan, as TOML; empty for none.
    pub self_tests: String,
    /// Health profile, as TOML; empty for the defaults.
    pub health: String,
    /// Seconds since 1970 (SOURCE_DATE_EPOCH): stands in the release, and no file in the volumes gets a later time.
    pub build_time: u64,
    /// What the volumes are made from.
    pub input: Input,
    /// What starts the kernel.
    pub flow: Flow,
    /// The boot volume's kernel and initramfs are stored without compression.
    pub plain_boot: bool,
    /// How large the system volume shall be.
    pub system_size: VolumeSize,
    /// How large the boot volume shall be.
    pub boot_size: VolumeSize,
    /// Who owns the system's files.
    pub owner: Owner,
    /// What makes the system's ext4.
    pub backend: Ext4Backend,
    /// Keys that sign the release.
    pub keys: Vec<SecretKey>,
    /// The root that devices have: it says of which repository the release is, the keys are compared with it before anything
    /// else is done, and the system carries it. Without one, nothing can be built.
    pub root: Option<SignedRoot>,
    /// Raw bytes in a chunk.
    pub chunk_size: ChunkSize,
    /// How hard to compress.
    pub level: Level,
    /// Worker threads. Changes no byte of the result.
    pub threads: Threads,
    /// The bundle.
    pub out: PathBuf,
    /// What if it is there already.
    pub existing: Existing,
}

impl BuildOptions {
    /// The defaults for all that has one.
    pub fn new(
        product: &str,
        version: Version,
        board: &str,
        system: PathBuf,
        boot: PathBuf,
        out: PathBuf,
    ) -> Self {
        BuildOptions {
            product: product.into(),
            version,
            security_version: 0,
            boards: vec![board.into()],
            requires: Requires::default(),
            urgency: Urgency::Normal,
            data: DataPolicy::Compatible,
            description: String::new(),
            author: String::new(),
            origin: String::new(),
            sbom: None,
            self_tests: String::new(),
            health: String::new(),
            build_time: 0,
            input: Input::Volumes { system, boot },
            flow: Flow::Tryboot,
            plain_boot: false,
            system_size: VolumeSize::Fit,
            boot_size: VolumeSize::Fit,
            owner: Owner::Keep,
            backend: Ext4Backend::default(),
            keys: Vec::new(),
            root: None,
            chunk_size: ChunkSize::default(),
            level: Level::default(),
            threads: Threads::default(),
            out,
            existing: Existing::default(),
        }
    }

    /// The release with these volumes, whose agent reads these formats.
    fn release(&self, root: &Root, durable: u16, volumes: Volumes) -> Release {
        let head = Head::new(root.repository(), &self.product);
        let (version, boards) = (self.version.clone(), self.boards.clone());
        Release {
            durable,
            security_version: self.security_version,
            requires: self.requires.clone(),
            urgency: self.urgency.clone(),
            description: self.description.clone(),
            author: self.author.clone(),
            build_time: self.build_time,
            origin: self.origin.clone(),
            self_tests: self.self_tests.clone(),
            health: self.health.clone(),
            data: self.data,
            sbom: self.sbom,
            ..Release::new(head, version, boards, Content::Image(volumes))
        }
    }

    fn root(&self) -> Result<&Root, BuildError> {
        self.root.as_ref().map(|root| &root.root).ok_or(BuildError::NoRoot)
    }

    fn seal(&self, release: &Release) -> Result<Vec<u8>, TrustError> {
        release.seal(&self.keys.iter().map(SecretKey::signing).collect::<Vec<_>>())
    }
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The description of the release makes no sense.
    #[error("the release can't be described like that")]
    Release(#[source] TrustError),
    /// The root isn't known.
    #[error(
        "no root was given: a release says of which repository it is, which the root tells; give --root FILE, or set \
         BISTABLE_ROOT"
    )]
    NoRoot,
    /// A plan or profile with something that no device knows.
    #[error("the release's checks")]
    Checks(#[source] DecodeError),
    /// No key signs.
    #[error("no key was given to sign with: every device refuses an unsigned release; give --key NAME.key")]
    NoKey,
    /// The given root would refuse it.
    #[error("devices with this root would refuse the release")]
    Untrusted(#[source] TrustError),
    /// A volume can't be made.
    #[error("the {kind} volume can't be made")]
    Volume {
        /// Which.
        kind: VolumeKind,
        /// Why.
        source: VolumeError,
    },
    /// The disk image can't be taken apart.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A volume is larger than the format allows.
    #[error("the {kind} volume has {bytes} bytes; the most is {limit}", limit = limits::VOLUME)]
    TooLarge {
        /// Which.
        kind: VolumeKind,
        /// Its bytes.
        bytes: u64,
    },
    /// A volume's data is larger than the format allows.
    #[error("the {kind} volume is larger than {limit} bytes even when compressed; leave something out", limit = limits::VOLUME_DATA)]
    TooMuchData {
        /// Which.
        kind: VolumeKind,
    },
    /// The volume was not what it said.
    #[error("internal: the {kind} volume announced {announced} bytes and has {found}; please report this")]
    Length {
        /// Which.
        kind: VolumeKind,
        /// What was announced.
        announced: u64,
        /// What came.
        found: u64,
    },
    /// Compression failed.
    #[error("zstd failed: {0}")]
    Zstd(String),
    /// The chunk list is not possible.
    #[error("the chunk list of the {kind} volume is not possible")]
    List {
        /// Which volume's.
        kind: VolumeKind,
        /// Why.
        source: DecodeError,
    },
    /// The bundle can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// What was made of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltVolume {
    /// Which.
    pub kind: VolumeKind,
    /// What its input was.
    pub input: String,
    /// Bytes and digests.
    pub volume: Artifact,
    /// Its chunks.
    pub chunks: usize,
    /// Raw bytes in each of them but the last.
    pub chunk_bytes: u32,
    /// Chunks that are all zero.
    pub zero_chunks: usize,
    /// Time to read the input's structure.
    pub plan_time: Duration,
    /// Time to make, hash and compress it.
    pub encode_time: Duration,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Built {
    /// The release, as signed.
    pub release: Release,
    /// Its identity: see [`bistable_format::release::identity`].
    pub digest: Digest,
    /// Bytes of the bundle.
    pub bytes: u64,
    /// Boot and system.
    pub volumes: Vec<BuiltVolume>,
    /// What was done to the disk image, if that is where the volumes are from.
    pub dissected: Option<Dissected>,
    /// Time to put it together and flush it.
    pub assemble_time: Duration,
    /// Time in all.
    pub time: Duration,
}

/// Build a bundle. On any error nothing is left at the output's place, and what was there before is untouched.
///
/// # Errors
/// See [`BuildError`].
pub fn build(options: &BuildOptions, progress: &dyn Progress) -> Result<Built, BuildError> {
    let watch = Stopwatch::start();
    check(options)?;
    output::not_an_input(&options.out, options.input.paths())?;
    let output = NewFile::create(&options.out, options.existing, Access::Public)?;

    let (epoch, size) = (options.build_time, options.system_size);
    // Keeps the disk image's temporary files until all is done.
    let _folder;
    let (boot, system, dissected) = match &options.input {
        Input::Volumes { system, boot } => (BootSource::Path(boot), system.clone(), None),
        Input::Disk(disk) => {
            let parts = disk::dissect(disk, options.root.as_ref(), epoch, size, &options.out, progress)?;
            parts.dissected.notes.iter().for_each(|note| progress.note(note));
            _folder = parts.folder;
            (BootSource::Tree(&disk.image, parts.boot), parts.system, Some(parts.dissected))
        }
    };

    // Both inputs are read before any is compressed: what is wrong with the second shows at once.
    let boot = Planned::new(VolumeKind::Boot, || plan_boot(options, boot), progress)?;
    let system = Planned::new(VolumeKind::System, || plan_system(options, &system), progress)?;
    for note in twice(boot.plan.large_files(), system.plan.large_files()) {
        progress.note(&note);
    }
    let durable = system.plan.durable();
    let assembly = assemble::Assembly::begin(output, options, &[boot.plan.size(), system.plan.size()]);
    let (boot, boot_report) = boot.encode(options, progress, assembly.data(None))?;
    let (system, system_report) = system.encode(options, progress, assembly.data(Some(&boot)))?;

    let assemble_watch = Stopwatch::start();
    let made = assembly.finish(options, durable, &boot, &system, progress)?;
    Ok(Built {
        release: made.release,
        digest: made.digest,
        bytes: made.bytes,
        volumes: vec![boot_report, system_report],
        dissected,
        assemble_time: assemble_watch.elapsed(),
        time: watch.elapsed(),
    })
}

/// A volume whose input is read.
struct Planned {
    kind: VolumeKind,
    plan: VolumePlan,
    time: Duration,
}

impl Planned {
    fn new(
        kind: VolumeKind,
        plan: impl FnOnce() -> Result<VolumePlan, VolumeError>,
        progress: &dyn Progress,
    ) -> Result<Planned, BuildError> {
        let watch = Stopwatch::start();
        progress.begin(Stage::Plan(kind), 0);
        let plan = plan().map_err(|source| BuildError::Volume { kind, source })?;
        progress.end(Stage::Plan(kind));
        for warning in plan.warnings() {
            progress.note(&format!("{kind}: {warning}"));
        }
        if plan.size() > limits::VOLUME {
            return Err(BuildError::TooLarge { kind, bytes: plan.size() });
        }
        Ok(Planned { kind, plan, time: watch.elapsed() })
    }

    fn encode(
        self,
        options: &BuildOptions,
        progress: &dyn Progress,
        data: data::Data<'_>,
    ) -> Result<(encode::Encoded, BuiltVolume), BuildError> {
        let watch = Stopwatch::start();
        let encoded = encode::volume(self.kind, &self.plan, options, progress, data)?;
        let report = BuiltVolume {
            kind: self.kind,
            input: self.plan.input().to_string(),
            volume: encoded.volume.clone(),
            chunks: encoded.list.chunks.len(),
            chunk_bytes: encoded.list.chunk_bytes,
            zero_chunks: encoded.zero_chunks(),
            plan_time: self.time,
            encode_time: watch.elapsed(),
        };
        Ok((encoded, report))
    }
}

/// All that can be known to be wrong before the long work begins.
fn check(options: &BuildOptions) -> Result<(), BuildError> {
    if options.keys.is_empty() {
        return Err(BuildError::NoKey);
    }
    let root = options.root()?;
    // A person just wrote them: what isn't known is a mistake.
    selftest::Plan::parse_known(&options.self_tests).map_err(BuildError::Checks)?;
    health::Profile::parse_known(&options.health).map_err(BuildError::Checks)?;
    let zero = Digest([0; 32]);
    let volume = Artifact {
        bytes: 512,
        digest: zero,
        chunk_bytes: limits::CHUNK_MIN,
        chunks: zero,
        list_bytes: 512,
        list: zero,
        data_bytes: 1,
        data: zero,
    };
    let draft = options.release(root, 1, Volumes { boot: volume.clone(), system: volume });
    let signed = options.seal(&draft).map_err(BuildError::Release)?;
    Release::open(&signed, root).map_err(BuildError::Untrusted)?;
    Ok(())
}

/// Of each large file that both volumes hold, that they do.
fn twice(boot: &[LargeFile], system: &[LargeFile]) -> Vec<String> {
    let same = |file: &LargeFile| boot.iter().find(|other| other.digest == file.digest);
    let note = |file: &LargeFile, other: &LargeFile| {
        format!(
            "system: /{} is the boot volume's {}: each update that changes it sends it twice; leave it out of the system if \
             nothing reads it there",
            file.path, other.path
        )
    };
    system.iter().filter_map(|file| Some(note(file, same(file)?))).collect()
}

/// Where a boot volume comes from.
enum BootSource<'a> {
    Path(&'a Path),
    /// A disk image's, and the path of the image for messages.
    Tree(&'a Path, Tree),
}

fn plan_boot(options: &BuildOptions, source: BootSource<'_>) -> Result<VolumePlan, VolumeError> {
    let id = VolumeId::from_name(&format!("{}/{}", options.product, VolumeKind::Boot));
    let (size, flow, plain) = (options.boot_size, options.flow, options.plain_boot);
    let boot = BootOptions { size, flow, plain, ..BootOptions::new(id, options.build_time) };
    match source {
        BootSource::Path(path) => open_boot(path, &boot),
        BootSource::Tree(image, tree) => volume::plan_boot(image, InputKind::Fat, tree, &boot, Vec::new()),
    }
}

fn plan_system(options: &BuildOptions, path: &Path) -> Result<VolumePlan, VolumeError> {
    let id = VolumeId::from_name(&format!("{}/{}", options.product, VolumeKind::System));
    let (size, owner, backend) = (options.system_size, options.owner, options.backend);
    // A disk image's has it already.
    let root = options.root.clone().filter(|_| matches!(options.input, Input::Volumes { .. }));
    open_system(
        path,
        &SystemOptions { size, owner, backend, root, ..SystemOptions::new(id, options.build_time) },
    )
}
