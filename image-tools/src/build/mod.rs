//! From a root file system and a boot volume, or from a component's tree or images, to a signed bundle.
//!
//! ```text
//! input ─► raw stream ─► chunks ─► zstd on every processor ─► in order into the output file ─► head, lists, end
//!          (volume/)     (encode.rs)                          (data first, where it will lie)   (assemble.rs)
//! ```
//! The same input, options and build time give the same bytes, on any machine with any number of threads. Memory is
//! bounded by two chunks per thread, whatever the size of the image.
mod assemble;
mod bind;
mod data;
mod encode;
mod plan;
mod sbom;

pub use bind::{BindError, BoundRelease};
pub use encode::{ChunkSize, Level};
pub use sbom::SbomSource;

use crate::archive::TreeError;
use crate::clock::Stopwatch;
use crate::disk::{DiskError, DiskOptions, Dissected};
use crate::keys::SecretKey;
use crate::oci::{ImageArg, OciError, Platform};
use crate::output::{self, Access, Existing, NewFile, OutputError};
use crate::parallel::Threads;
use crate::progress::{Keeping, Progress};
use crate::root::{self, SignedRoot};
use crate::sbom::{Sbom, SbomError};
use crate::volume::{Ext4Backend, Owner, VolumeError, VolumeSize};
use assemble::Parts;
use bistable_boot::Flow;
use bistable_format::content::{Blob, Containers, Directory, Service};
use bistable_format::name::BOARDS;
use bistable_format::{
    Artifact, ArtifactId, Content, DecodeError, Digest, Head, Release, Requires, Root, TrustError, Urgency,
    VolumeKind, Volumes, health, limits,
    release::DataPolicy,
    selftest,
    wiring::{self, Unfit},
};
use plan::{Planned, Stack};
use semver::Version;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a release is made from.
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
    /// The complete tree of a component: a directory or a tar.
    Tree {
        /// The component's name.
        component: String,
        /// Where the tree is.
        tree: PathBuf,
    },
    /// Containers of a Compose project.
    Containers {
        /// The component's name.
        component: String,
        /// The Compose file with their services.
        compose: PathBuf,
        /// An image for each of them.
        images: Vec<ImageArg>,
        /// What they run on.
        platform: Platform,
    },
}

impl Input {
    /// The files and folders that are read.
    fn paths(&self) -> Vec<&Path> {
        match self {
            Input::Volumes { system, boot } => vec![system, boot],
            Input::Disk(disk) => vec![&disk.image],
            Input::Tree { tree, .. } => vec![tree],
            Input::Containers { compose, images, .. } => {
                let images = images.iter().map(|image| image.source.path.as_path());
                [compose.as_path()].into_iter().chain(images).collect()
            }
        }
    }

    /// What is built, of its artifacts, and of what containers have besides.
    fn content(
        &self,
        artifact: impl Fn(ArtifactId) -> Result<Artifact, BuildError>,
        stack: &Stack,
    ) -> Result<Content, BuildError> {
        Ok(match self {
            Input::Volumes { .. } | Input::Disk(_) => Content::Image(Volumes {
                boot: artifact(VolumeKind::Boot.into())?,
                system: artifact(VolumeKind::System.into())?,
            }),
            Input::Tree { .. } => Content::Directory(Directory { archive: artifact(ArtifactId::Archive)? }),
            Input::Containers { .. } => Content::Containers(Containers {
                services: stack.services.clone(),
                layers: stack.layer_ids().map(artifact).collect::<Result<_, _>>()?,
                blobs: stack.named_blobs.clone(),
            }),
        })
    }

    /// The component that is built; none for an image.
    pub(crate) fn component(&self) -> Option<&str> {
        match self {
            Input::Volumes { .. } | Input::Disk(_) => None,
            Input::Tree { component, .. } | Input::Containers { component, .. } => Some(component),
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
    /// Where its SBOM comes from.
    pub sbom: SbomSource,
    /// Self-test plan, as TOML; empty for none.
    pub self_tests: String,
    /// What an operator can set of a component, as TOML; empty for nothing.
    pub configuration: String,
    /// Health profile, as TOML; empty for the defaults.
    pub health: String,
    /// Seconds since 1970 (SOURCE_DATE_EPOCH): stands in the release, and no file in the volumes gets a later time.
    pub build_time: u64,
    /// The components that the image brings along.
    pub binds: Vec<BoundRelease>,
    /// What it is made from.
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
            sbom: SbomSource::None,
            self_tests: String::new(),
            configuration: String::new(),
            health: String::new(),
            build_time: 0,
            binds: Vec::new(),
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

    /// The release with this content and SBOM; the agent in an image reads these formats.
    fn release(
        &self,
        root: &Root,
        durable: u16,
        content: Content,
        sbom: Option<&[u8]>,
    ) -> Result<Release, DecodeError> {
        let head = Head::new(root.repository(), &self.product);
        let (version, boards) = (self.version.clone(), self.boards.clone());
        let mut release = Release {
            durable,
            component: self.input.component().map(Into::into),
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
            bound: self.binds.iter().map(BoundRelease::bound).collect(),
            ..Release::new(head, version, boards, content)
        };
        release.set_configuration(&self.configuration);
        if let Some(sbom) = sbom {
            release.set_sbom(sbom)?;
        }
        Ok(release)
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
    /// Self-tests that can't pass on a board of the release.
    #[error("the self-tests can't pass: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unfit(Vec<Unfit>),
    /// The file isn't an SBOM.
    #[error("{path} can't be the release's SBOM", path = path.display())]
    Sbom {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SbomError,
    },
    /// Nothing is known of what is installed.
    #[error(
        "no SBOM can be made: nothing in the tree says what is installed in it; dpkg's database, the metadata of Python packages and Rust \
         programs built by `cargo auditable` are read; make an SBOM with another tool, and give it by --sbom FILE"
    )]
    NoPackages,
    /// The files of the input are not read.
    #[error(
        "no SBOM can be made: files in {input} are not read; make an SBOM with another tool, and give it by --sbom FILE"
    )]
    NotRead {
        /// What the input is.
        input: String,
    },
    /// What was made isn't what others read.
    #[error(
        "internal: the SBOM that was made can't be used; please report this, and give one by --sbom FILE"
    )]
    MadeSbom(#[source] SbomError),
    /// A component can't be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No key signs.
    #[error("no key was given to sign with: every device refuses an unsigned release; give --key NAME.key")]
    NoKey,
    /// The given root would refuse it.
    #[error("devices with this root would refuse the release")]
    Untrusted(#[source] TrustError),
    /// The tree of a component can't be used.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Images of containers can't be used.
    #[error(transparent)]
    Images(#[from] OciError),
    /// A volume can't be made.
    #[error("the {id:#} can't be made")]
    Volume {
        /// Which.
        id: ArtifactId,
        /// Why.
        source: VolumeError,
    },
    /// The disk image can't be taken apart.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An artifact is larger than the format allows.
    #[error("the {id:#} has {bytes} bytes; the most is {limit}", limit = limits::VOLUME)]
    TooLarge {
        /// Which.
        id: ArtifactId,
        /// Its bytes.
        bytes: u64,
    },
    /// An artifact's data is larger than the format allows.
    #[error("the {id:#} is larger than {limit} bytes even when compressed; leave something out", limit = limits::VOLUME_DATA)]
    TooMuchData {
        /// Which.
        id: ArtifactId,
    },
    /// It was not what it said.
    #[error("internal: the {id:#} announced {announced} bytes and has {found}; please report this")]
    Length {
        /// Which.
        id: ArtifactId,
        /// What was announced.
        announced: u64,
        /// What came.
        found: u64,
    },
    /// An artifact is missing.
    #[error("internal: the {id:#} was never planned; please report this")]
    Unplanned {
        /// Which.
        id: ArtifactId,
    },
    /// Compression failed.
    #[error("zstd failed: {0}")]
    Zstd(String),
    /// The chunk list is not possible.
    #[error("the chunk list of the {id:#} is not possible")]
    List {
        /// Which artifact's.
        id: ArtifactId,
        /// Why.
        source: DecodeError,
    },
    /// The bundle can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// What was made of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltArtifact {
    /// Which.
    pub id: ArtifactId,
    /// What its input was.
    pub input: String,
    /// Bytes and digests.
    pub artifact: Artifact,
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
    /// Boot and system, the archive, or the layers.
    pub artifacts: Vec<BuiltArtifact>,
    /// Its SBOM, if it has one.
    pub sbom: Option<Sbom>,
    /// What was done to the disk image, if that is where the volumes are from.
    pub dissected: Option<Dissected>,
    /// What a person should know of it, and what stopped nothing.
    pub notes: Vec<String>,
    /// Time to put it together and flush it.
    pub assemble_time: Duration,
    /// Time in all.
    pub time: Duration,
}

impl Built {
    /// Its SBOM: the file, and what that says.
    pub(crate) fn sbom(&self) -> Option<(Blob, &Sbom)> {
        Some((self.release.sbom_file()?, self.sbom.as_ref()?))
    }
}

/// Build a bundle. On any error nothing is left at the output's place, and what was there before is untouched.
///
/// # Errors
/// See [`BuildError`].
pub fn build(options: &BuildOptions, progress: &dyn Progress) -> Result<Built, BuildError> {
    let watch = Stopwatch::start();
    let Checked { lacks, given } = check(options)?;
    output::not_an_input(&options.out, options.input.paths())?;
    let output = NewFile::create(&options.out, options.existing, Access::Public)?;

    let keeping = Keeping::new(progress);
    let progress: &dyn Progress = &keeping;
    doubts(options).iter().chain(&lacks).for_each(|note| progress.note(note));
    let plans = plan::plan(options, progress)?;
    let sbom = match options.sbom {
        SbomSource::Auto => Some(sbom::of_plans(options, &plans, progress)?),
        SbomSource::None | SbomSource::File { .. } => given,
    };
    let sizes: Vec<u64> = plans.artifacts.iter().map(Planned::size).collect();
    let mut small = plans.stack.blobs.clone();
    small.extend(sbom.iter().map(|made| made.bytes.clone()));
    let assembly = assemble::Assembly::begin(output, options, &sizes, &small);
    let (mut encoded, mut artifacts) = (Vec::new(), Vec::new());
    for planned in &plans.artifacts {
        let (made, report) = encode(planned, options, assembly.data(&encoded), progress)?;
        encoded.push(made);
        artifacts.push(report);
    }
    let assemble_watch = Stopwatch::start();
    let content = options.input.content(
        |id| {
            let made = encoded.iter().find(|e| e.id == id);
            made.map(|e| e.artifact.clone()).ok_or(BuildError::Unplanned { id })
        },
        &plans.stack,
    )?;
    let parts = Parts { artifacts: &encoded, small: &small, sbom: sbom.as_ref().map(|made| &made.bytes[..]) };
    let made = assembly.finish(options, plans.durable, content, &parts, progress)?;
    Ok(Built {
        release: made.release,
        digest: made.digest,
        bytes: made.bytes,
        artifacts,
        sbom: sbom.map(|made| made.sbom),
        dissected: plans.dissected,
        notes: keeping.into_notes(),
        assemble_time: assemble_watch.elapsed(),
        time: watch.elapsed(),
    })
}

/// What is odd in the options of an image, though nothing is wrong with it.
fn doubts(options: &BuildOptions) -> Vec<String> {
    if !matches!(options.input, Input::Volumes { .. } | Input::Disk(_)) {
        return Vec::new();
    }
    let unknown = options.boards.iter().filter(|board| !BOARDS.contains(&board.as_str()));
    let mut notes: Vec<String> = unknown
        .map(|board| {
            format!(
                "unknown board {board}: devices recognize {} by themselves; on another board, set board.name = \"{board}\" in the \
                 device's configuration",
                BOARDS.join(", ")
            )
        })
        .collect();
    if options.health.is_empty() {
        notes.push(
            "the release has no health profile: its trial succeeds as soon as the system is up; add checks with --health"
                .into(),
        );
    }
    notes
}

fn encode(
    planned: &Planned,
    options: &BuildOptions,
    data: data::Data<'_>,
    progress: &dyn Progress,
) -> Result<(encode::Encoded, BuiltArtifact), BuildError> {
    let watch = Stopwatch::start();
    let encoded = encode::artifact(planned.id, &planned.raw, options, progress, data)?;
    let report = BuiltArtifact {
        id: planned.id,
        input: planned.raw.input().to_string(),
        artifact: encoded.artifact.clone(),
        chunks: encoded.list.chunks.len(),
        chunk_bytes: encoded.list.chunk_bytes,
        zero_chunks: encoded.zero_chunks(),
        plan_time: planned.time,
        encode_time: watch.elapsed(),
    };
    Ok((encoded, report))
}

/// What is known before the long work begins.
struct Checked {
    /// What the signatures lack, if others still have to sign.
    lacks: Option<String>,
    /// The SBOM, if a file was given.
    given: Option<sbom::Made>,
}

/// Find all that can be known to be wrong before the long work begins.
fn check(options: &BuildOptions) -> Result<Checked, BuildError> {
    if options.keys.is_empty() {
        return Err(BuildError::NoKey);
    }
    let root = options.root()?;
    bind::check(options)?;
    // A person just wrote them: what isn't known is a mistake.
    let plan = selftest::Plan::parse_known(&options.self_tests).map_err(BuildError::Checks)?;
    let profile = health::Profile::parse_known(&options.health).map_err(BuildError::Checks)?;
    let unfit = wiring::unfit(&plan, &profile, &options.boards);
    if !unfit.is_empty() {
        return Err(BuildError::Unfit(unfit));
    }
    let zero = Digest([0; 32]);
    let artifact = Artifact {
        bytes: 512,
        digest: zero,
        chunk_bytes: limits::CHUNK_MIN,
        chunks: zero,
        list_bytes: 512,
        list: zero,
        data_bytes: 1,
        data: zero,
    };
    // Some service and some blob, as every release of containers has them.
    let service = Service { name: options.input.component().unwrap_or_default().into(), manifest: zero };
    let stack = Stack {
        services: vec![service],
        named_blobs: vec![Blob { digest: zero, bytes: 1 }],
        ..Stack::default()
    };
    let given = options.sbom.given()?;
    let content = options.input.content(|_| Ok(artifact.clone()), &stack)?;
    let draft = options.release(root, 1, content, given.as_ref().map(|made| &made.bytes[..]));
    let draft = draft.map_err(|e| BuildError::Release(e.into()))?;
    let signed = options.seal(&draft).map_err(BuildError::Release)?;
    let lacks = match Release::open(&signed, root) {
        Ok(_) => None,
        // Where two people have to sign, neither has the other's key.
        Err(few @ TrustError::Threshold { .. }) => Some(root::not_enough(&few)),
        Err(e) => return Err(BuildError::Untrusted(e)),
    };
    Ok(Checked { lacks, given })
}
