//! What a release is made from is read, and decided, before a byte of it is compressed.
use super::{BuildError, BuildOptions, Input};
use crate::archive::{ArchivePlan, TreeError};
use crate::clock::Stopwatch;
use crate::disk::{self, Dissected};
use crate::interrupt::Temporary;
use crate::oci::{ContainersPlan, Layer};
use crate::output::temporary_folder;
use crate::progress::{Progress, Stage};
use crate::volume::kernels::LargeFile;
use crate::volume::tree::Tree;
use crate::volume::{
    self, BootOptions, InputKind, SystemOptions, VolumeError, VolumeId, VolumePlan, open_boot, open_system,
};
use bistable_format::content::{Blob, Service};
use bistable_format::{ArtifactId, Digest, VolumeKind, limits};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// All artifacts of a release, in a bundle's order.
pub(super) struct Plans {
    pub(super) artifacts: Vec<Planned>,
    /// See [`Release::durable`](bistable_format::Release::durable).
    pub(super) durable: u16,
    pub(super) dissected: Option<Dissected>,
    /// What containers have besides their layers.
    pub(super) stack: Stack,
    /// Keeps the disk image's temporary files until all is done.
    _folder: Option<Temporary<tempfile::TempDir>>,
}

/// What a release of containers has besides the bytes of its layers; nothing for others.
#[derive(Default)]
pub(super) struct Stack {
    pub(super) services: Vec<Service>,
    pub(super) blobs: Vec<Vec<u8>>,
    /// The same, as the release names them.
    pub(super) named_blobs: Vec<Blob>,
    /// How many layers there are.
    pub(super) layers: u16,
    /// The layers of each service's image, the lowest first.
    pub(super) images: Vec<Vec<Digest>>,
}

impl Stack {
    /// All layers, in a bundle's order.
    pub(super) fn layer_ids(&self) -> impl Iterator<Item = ArtifactId> {
        (1..=self.layers).map(ArtifactId::Layer)
    }
}

/// An artifact whose input is read.
pub(super) struct Planned {
    pub(super) id: ArtifactId,
    pub(super) raw: Raw,
    pub(super) time: Duration,
}

/// What an artifact is made of.
pub(super) enum Raw {
    Volume(Box<VolumePlan>),
    Archive(Box<ArchivePlan>),
    Layer(Layer),
}

impl Raw {
    pub(super) fn size(&self) -> u64 {
        match self {
            Raw::Volume(plan) => plan.size(),
            Raw::Archive(plan) => plan.size(),
            Raw::Layer(layer) => layer.size,
        }
    }

    /// What the input is.
    pub(super) fn input(&self) -> InputKind {
        match self {
            Raw::Volume(plan) => plan.input(),
            Raw::Archive(plan) => plan.input(),
            Raw::Layer(layer) => layer.input(),
        }
    }

    fn notes(&self) -> &[String] {
        match self {
            Raw::Volume(plan) => plan.warnings(),
            Raw::Archive(plan) => plan.notes(),
            Raw::Layer(_) => &[],
        }
    }

    fn large_files(&self) -> &[LargeFile] {
        match self {
            Raw::Volume(plan) => plan.large_files(),
            Raw::Archive(_) | Raw::Layer(_) => &[],
        }
    }

    fn durable(&self) -> u16 {
        match self {
            Raw::Volume(plan) => plan.durable(),
            // There is no agent in it.
            Raw::Archive(_) | Raw::Layer(_) => 1,
        }
    }

    /// Write all of it.
    pub(super) fn write_to(&self, id: ArtifactId, out: &mut dyn Write) -> Result<(), BuildError> {
        match self {
            Raw::Volume(plan) => plan.write_to(out, &|_| {}).map_err(|source| failed(id, source)),
            Raw::Layer(layer) => layer.write_to(out).map_err(|source| failed(id, source)),
            Raw::Archive(plan) => plan.write_to(out).map_err(|source| match source {
                TreeError::Volume(source @ VolumeError::Output(_)) => failed(id, source),
                source => BuildError::Tree(source),
            }),
        }
    }
}

fn failed(id: ArtifactId, source: VolumeError) -> BuildError {
    match source {
        // Not the volume's fault: whoever took the bytes has failed and tells why.
        VolumeError::Output(e) => BuildError::Zstd(e.to_string()),
        source => BuildError::Volume { id, source },
    }
}

impl Planned {
    fn new(
        id: ArtifactId,
        plan: impl FnOnce() -> Result<Raw, BuildError>,
        progress: &dyn Progress,
    ) -> Result<Planned, BuildError> {
        let watch = Stopwatch::start();
        progress.begin(Stage::Plan(id), 0);
        let raw = plan()?;
        progress.end(Stage::Plan(id));
        for note in raw.notes() {
            progress.note(&format!("{id}: {note}"));
        }
        if raw.size() > limits::VOLUME {
            return Err(BuildError::TooLarge { id, bytes: raw.size() });
        }
        Ok(Planned { id, raw, time: watch.elapsed() })
    }

    fn volume(
        kind: VolumeKind,
        plan: impl FnOnce() -> Result<VolumePlan, VolumeError>,
        progress: &dyn Progress,
    ) -> Result<Planned, BuildError> {
        let id = ArtifactId::Volume(kind);
        let planned = || match plan() {
            Ok(plan) => Ok(Raw::Volume(Box::new(plan))),
            Err(source) => Err(BuildError::Volume { id, source }),
        };
        Planned::new(id, planned, progress)
    }

    pub(super) fn size(&self) -> u64 {
        self.raw.size()
    }
}

/// Read all that a release is made from.
pub(super) fn plan(options: &BuildOptions, progress: &dyn Progress) -> Result<Plans, BuildError> {
    let (epoch, size) = (options.build_time, options.system_size);
    match &options.input {
        Input::Tree { tree, .. } => {
            let plan = || {
                let plan = ArchivePlan::open(tree, &options.version, epoch, None)?;
                Ok(Raw::Archive(Box::new(plan)))
            };
            let artifacts = vec![Planned::new(ArtifactId::Archive, plan, progress)?];
            Ok(Plans { artifacts, durable: 1, dissected: None, stack: Stack::default(), _folder: None })
        }
        Input::Containers { compose, images, platform, .. } => {
            let plan = ContainersPlan::open(compose, images, platform, epoch)?;
            let stack = Stack {
                services: plan.services.clone(),
                named_blobs: plan.named_blobs(),
                blobs: plan.blobs,
                layers: u16::try_from(plan.layers.len()).unwrap_or(u16::MAX),
                images: plan.images,
            };
            let layers = stack.layer_ids().zip(plan.layers);
            let planned = layers.map(|(id, layer)| Planned::new(id, || Ok(Raw::Layer(layer)), progress));
            let artifacts = planned.collect::<Result<_, _>>()?;
            Ok(Plans { artifacts, durable: 1, dissected: None, stack, _folder: None })
        }
        Input::Volumes { system, boot } => {
            let (artifacts, durable) = image(options, BootSource::Path(boot), system, progress)?;
            Ok(Plans { artifacts, durable, dissected: None, stack: Stack::default(), _folder: None })
        }
        Input::Disk(disk) => {
            let parts = disk::dissect(disk, options.root.as_ref(), epoch, size, &options.out, progress)?;
            parts.dissected.notes.iter().for_each(|note| progress.note(note));
            let boot = BootSource::Tree { image: &disk.image, tree: parts.boot, label: parts.label };
            let (artifacts, durable) = image(options, boot, &parts.system, progress)?;
            Ok(Plans {
                artifacts,
                durable,
                dissected: Some(parts.dissected),
                stack: Stack::default(),
                _folder: Some(parts.folder),
            })
        }
    }
}

/// Both volumes: what is wrong with the second shows before the first is compressed.
fn image(
    options: &BuildOptions,
    boot: BootSource<'_>,
    system: &Path,
    progress: &dyn Progress,
) -> Result<(Vec<Planned>, u16), BuildError> {
    let boot = Planned::volume(VolumeKind::Boot, || plan_boot(options, boot), progress)?;
    let system = Planned::volume(VolumeKind::System, || plan_system(options, system), progress)?;
    for note in twice(boot.raw.large_files(), system.raw.large_files()) {
        progress.note(&note);
    }
    let durable = system.raw.durable();
    Ok((vec![boot, system], durable))
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
    /// A disk image's.
    Tree {
        /// The path of the image, for messages.
        image: &'a Path,
        tree: Tree,
        label: Option<String>,
    },
}

fn plan_boot(options: &BuildOptions, source: BootSource<'_>) -> Result<VolumePlan, VolumeError> {
    let id = VolumeId::from_name(&format!("{}/{}", options.product, VolumeKind::Boot));
    let (size, flow, plain) = (options.boot_size, options.flow, options.plain_boot);
    let temp_dir = Some(temporary_folder(&options.out));
    let mut boot = BootOptions { size, flow, plain, temp_dir, ..BootOptions::new(id, options.build_time) };
    match source {
        BootSource::Path(path) => open_boot(path, &boot),
        BootSource::Tree { image, tree, label } => {
            boot.label = label.filter(|label| volume::fat::is_label(label)).unwrap_or(boot.label);
            volume::plan_boot(image, InputKind::Fat, tree, &boot, Vec::new())
        }
    }
}

fn plan_system(options: &BuildOptions, path: &Path) -> Result<VolumePlan, VolumeError> {
    let id = VolumeId::from_name(&format!("{}/{}", options.product, VolumeKind::System));
    let (size, owner, backend) = (options.system_size, options.owner, options.backend);
    // A disk image's has it already.
    let root = options.root.clone().filter(|_| matches!(options.input, Input::Volumes { .. }));
    let temp_dir = Some(temporary_folder(&options.out));
    let system = SystemOptions::new(id, options.build_time);
    open_system(path, &SystemOptions { size, owner, backend, root, temp_dir, ..system })
}
