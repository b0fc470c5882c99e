//! `build`.
use super::Out;
use super::bind;
use super::place::Place;
use crate::answer::{self, Answer, DeltaMade};
use crate::build::{self, BuildOptions, Built, ChunkSize, Input, Level};
use crate::clock;
use crate::delta::{self, DeltaOptions, Made};
use crate::disk::DiskOptions;
use crate::error::Error;
use crate::inspect::{self, Content};
use crate::keys::SecretKey;
use crate::oci::{ImageArg, Platform};
use crate::output::Existing;
use crate::parallel::Threads;
use crate::progress::Progress;
use crate::root;
use crate::size::{Bytes, Count};
use crate::volume::{Ext4Backend, Owner, VolumeSize};
use bistable_boot::Flow;
use bistable_format::{
    Digest, Requires, Root, Urgency, limits,
    name::{Subject, what},
    release::DataPolicy,
};
use semver::{Version, VersionReq};
use std::path::{Path, PathBuf};

/// What `build --help` ends with.
const TIME: &str = "Environment:\n  SOURCE_DATE_EPOCH  Build time, in seconds since 1970, instead of now. The same content \
built again with the same time, options and keys is the same release, byte by byte; no file gets a later time.";

/// What only an image has.
const IMAGE_ONLY: [&str; 11] = [
    "bind",
    "system",
    "boot",
    "from_img",
    "uboot",
    "plain_boot",
    "system_size",
    "boot_size",
    "root_owner",
    "mke2fs",
    "overlay",
];

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// An application with all its files in one folder.
    Directory,
    /// Containers of a Compose project.
    Containers,
}

/// Bytes of a list of materials: those of whole distributions have some tens of megabytes.
const SBOM_MAX: usize = 256 << 20;

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
#[command(after_help = TIME)]
pub struct Args {
    /// Product that it is for: devices take only their own product's releases.
    #[arg(long)]
    product: String,
    /// Semantic version: devices take only newer ones.
    #[arg(long, value_parser = version)]
    version: Version,
    /// Board that it runs on, for example pi4. Repeat it for more.
    #[arg(long, required = true)]
    board: Vec<String>,
    /// Root file system: a directory, a tar (plain, .gz, .xz, .zst) or an ext4, squashfs or EROFS image.
    #[arg(long, value_name = "PATH", required_unless_present_any = ["from_img", "tree", "compose"])]
    system: Option<PathBuf>,
    /// Boot volume: a directory or a FAT image.
    #[arg(long, value_name = "PATH", required_unless_present_any = ["from_img", "tree", "compose"])]
    boot: Option<PathBuf>,
    /// Both volumes from the image of a finished card, such as Raspberry Pi OS: .img, .img.xz, .img.zst, .img.gz. They
    /// are edited so that they run in either slot; needs e2fsprogs.
    #[arg(long, value_name = "FILE.img", conflicts_with_all = ["system", "boot", "root_owner", "mke2fs"])]
    from_img: Option<PathBuf>,
    /// Number of the card image's boot partition, if it is not the first FAT with boot files.
    #[arg(long, value_name = "N", requires = "from_img", conflicts_with_all = ["system", "boot"])]
    boot_partition: Option<u32>,
    /// Number of the card image's root partition, if it is not the first ext4.
    #[arg(long, value_name = "N", requires = "from_img", conflicts_with_all = ["system", "boot"])]
    system_partition: Option<u32>,
    /// Folder that is copied over the card image's root file system, owned by root: how bistable gets into it.
    #[arg(long, value_name = "DIR", requires = "from_img", conflicts_with_all = ["system", "boot"])]
    overlay: Option<PathBuf>,
    /// Build a release of this component of the product instead of an image
    #[arg(long, value_name = "NAME", requires = "kind")]
    component: Option<String>,
    /// What the component is: directory, an application with all its files in one folder; or containers of a Compose project
    #[arg(long, requires = "component")]
    kind: Option<Kind>,
    /// Complete tree of the component: a directory or a tar (plain, .gz, .xz, .zst). All of it belongs to root on the device; a file
    /// VERSION is added if there is none
    #[arg(long, value_name = "DIR|TAR", requires_all = ["component", "kind"], required_if_eq("kind", "directory"), conflicts_with_all = IMAGE_ONLY)]
    tree: Option<PathBuf>,
    /// Compose file with the services that run in containers. Devices change the images of their own file and nothing else in it
    #[arg(long, value_name = "FILE", requires_all = ["component", "kind"], required_if_eq("kind", "containers"),
        conflicts_with_all = IMAGE_ONLY, conflicts_with = "tree")]
    compose: Option<PathBuf>,
    /// Image of a service: an OCI archive, oci:DIR, or docker-archive:FILE from `docker save`. The service can be left out if the file
    /// has one. Repeat it for more
    #[arg(long, value_name = "[SERVICE=]IMAGE", requires = "compose", required_if_eq("kind", "containers"))]
    image: Vec<ImageArg>,
    /// What the containers run on
    #[arg(long, value_name = "OS/ARCHITECTURE", requires = "compose", default_value = "linux/arm64")]
    platform: Platform,
    /// Component that the image brings along: a bundle, or NAME=VERSION of one in the repository (--repo). It is switched with the
    /// slot. Repeat it for more
    #[arg(long, value_name = "X.bundle|NAME=VERSION")]
    bind: Vec<String>,
    #[command(flatten)]
    place: Place,
    /// U-Boot starts the kernel: put bistable.env onto the boot volume, which tells its script what to load.
    #[arg(long)]
    uboot: bool,
    /// Store the boot volume's kernel and initramfs without compression: about 14 MB less in the delta of a kernel update, about
    /// 45 MB more in each slot. So far no real firmware has loaded such files: try it on your boards first
    #[arg(long)]
    plain_boot: bool,
    /// Secret key that signs the release. Repeat it for more.
    #[arg(long, value_name = "NAME.key", required = true)]
    key: Vec<PathBuf>,
    /// The bundle to make.
    #[arg(long, value_name = "X.bundle")]
    out: PathBuf,
    /// Replace the bundle if it exists.
    #[arg(long)]
    force: bool,
    /// Security version: raise it when older releases must never come back. That of --previous if not given, else 0
    #[arg(long, value_name = "N")]
    security_version: Option<u32>,
    /// The release before this one, a bundle: its security version is this one's
    #[arg(long, value_name = "X.bundle", conflicts_with = "security_version")]
    previous: Option<PathBuf>,
    /// This release closes a hole: its security version is one above that of --previous
    #[arg(long, requires = "previous")]
    fixes_security: bool,
    /// What the running version must be, for example `>=1.2`.
    #[arg(long, value_name = "REQ", value_parser = requirement)]
    requires_running: Option<VersionReq>,
    /// What another component's version must be, for example `bootloader=>=2`. Repeat it for more.
    #[arg(long, value_name = "NAME=REQ", value_parser = component)]
    requires: Vec<(String, VersionReq)>,
    /// Version of another component that this release doesn't go with: `boot-loader=<2.1`. Repeat for more.
    #[arg(long, value_name = "NAME=VERSIONS", value_parser = component)]
    conflicts: Vec<(String, VersionReq)>,
    /// How soon devices should install it: normal or security
    #[arg(long, default_value = "normal", value_parser = urgency)]
    urgency: Urgency,
    /// What the new system does to its data: compatible, or migrates if the version before can't use them any more
    #[arg(long, default_value = "compatible", value_parser = data)]
    data: DataPolicy,
    /// Release notes shown to operators
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Author of the release
    #[arg(long, default_value = "", hide_default_value = true)]
    author: String,
    /// What it is built from: a repository and its commit, for example
    #[arg(long, default_value = "", hide_default_value = true)]
    origin: String,
    /// List of materials (SBOM); the release carries its SHA-256
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// Self-test plan.
    #[arg(long, value_name = "plan.toml")]
    self_tests: Option<PathBuf>,
    /// Health profile.
    #[arg(long, value_name = "profile.toml")]
    health: Option<PathBuf>,
    /// Size of the system volume; as large as its contents need, with some free space, if not given. A card image's file
    /// system keeps its size, or grows to this.
    #[arg(long, value_name = "SIZE")]
    system_size: Option<Bytes>,
    /// Size of the boot volume; as large as its contents need, with some free space, if not given.
    #[arg(long, value_name = "SIZE")]
    boot_size: Option<Bytes>,
    /// All files of the system belong to root, whoever owns them in the source.
    #[arg(long)]
    root_owner: bool,
    /// Make the system's ext4 with the program mke2fs instead of the built-in writer.
    #[arg(long)]
    mke2fs: bool,
    /// zstd level, 1 to 19.
    #[arg(long, value_parser = super::delta::level)]
    level: Option<Level>,
    /// Raw bytes in a chunk: a power of two from 256K to 4M.
    #[arg(long, value_name = "SIZE", value_parser = chunk_size)]
    chunk_size: Option<ChunkSize>,
    /// Worker threads; as many as there are processors if not given. Changes no byte of the bundle.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Bundle of a release that devices run: make the delta from it, too, beside the bundle. Repeat it for more
    #[arg(long, value_name = "OLD.bundle")]
    delta_from: Vec<PathBuf>,
    /// The devices' root: of which repository the release is, and whether devices will accept its keys. It is put into the
    /// system as /usr/share/bistable/root.root, which the root that a device has stored must descend from
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT", required = true)]
    root: Option<PathBuf>,
}

// Without its feature `std`, which the leaf crates can't have, semver's errors are not what clap wants.
fn version(text: &str) -> Result<Version, String> {
    text.parse().map_err(|e| format!("{e}; give a semantic version such as 1.2.3 or 1.3.0-beta.1"))
}

pub(super) fn requirement(text: &str) -> Result<VersionReq, String> {
    text.parse().map_err(|e| format!("{e}; give a requirement such as >=1.2 or ^2"))
}

fn component(text: &str) -> Result<(String, VersionReq), String> {
    let (name, req) = text.split_once('=').ok_or("give NAME=REQ, for example bootloader=>=2")?;
    Ok((name.into(), requirement(req)?))
}

fn urgency(text: &str) -> Result<Urgency, String> {
    let known = [Urgency::Normal, Urgency::Security];
    known.into_iter().find(|u| u.name() == text).ok_or_else(|| "give normal or security".into())
}

fn data(text: &str) -> Result<DataPolicy, String> {
    let known = [DataPolicy::Compatible, DataPolicy::Migrates];
    known.into_iter().find(|d| d.name() == text).ok_or_else(|| "give compatible or migrates".into())
}

fn chunk_size(text: &str) -> Result<ChunkSize, String> {
    let bytes: Option<Bytes> = text.parse().ok();
    bytes.and_then(|b| ChunkSize::new(b.0)).ok_or_else(|| "give 256K, 512K, 1M, 2M or 4M".into())
}

pub(crate) fn run(args: Args, out: Out) -> Result<(), Error> {
    let root = args.root.map(|path| root::read(&path)).transpose()?;
    let security_version = match &args.previous {
        None => args.security_version.unwrap_or(0),
        Some(previous) => {
            let of = (args.product.as_str(), args.component.as_deref());
            let before = previous_security_version(previous, of, root.as_ref().map(|r| &r.root))?;
            before.saturating_add(u32::from(args.fixes_security))
        }
    };
    let binds = bind::releases(&args.bind, &args.place, &args.product, root.as_ref().map(|r| &r.root))?;
    let size = |size: Option<Bytes>| size.map_or(VolumeSize::Fit, |b| VolumeSize::Exact(b.0));
    let options = BuildOptions {
        product: args.product,
        version: args.version,
        security_version,
        boards: args.board,
        requires: Requires {
            running: args.requires_running,
            components: args.requires,
            conflicts: args.conflicts,
        },
        urgency: args.urgency,
        data: args.data,
        description: args.description,
        author: args.author,
        origin: args.origin,
        sbom: args.sbom.as_deref().map(sbom).transpose()?,
        self_tests: text(args.self_tests.as_deref())?,
        health: text(args.health.as_deref())?,
        build_time: build_time()?,
        binds,
        input: match (args.component, args.tree, args.compose) {
            (Some(component), Some(tree), None) => Input::Tree { component, tree },
            (Some(component), None, Some(compose)) => {
                Input::Containers { component, compose, images: args.image, platform: args.platform }
            }
            _ => input(
                args.from_img,
                args.system,
                args.boot,
                args.boot_partition,
                args.system_partition,
                args.overlay,
            )?,
        },
        flow: if args.uboot { Flow::Uboot } else { Flow::Tryboot },
        plain_boot: args.plain_boot,
        system_size: size(args.system_size),
        boot_size: size(args.boot_size),
        owner: if args.root_owner { Owner::Root } else { Owner::Keep },
        backend: if args.mke2fs { Ext4Backend::Mke2fs } else { Ext4Backend::Mkext4 },
        keys: args.key.iter().map(|p| SecretKey::read(p)).collect::<Result<_, _>>()?,
        root,
        chunk_size: args.chunk_size.unwrap_or_default(),
        level: args.level.unwrap_or_default(),
        threads: Threads::asked(args.threads),
        existing: if args.force { Existing::Replace } else { Existing::Refuse },
        out: args.out,
    };
    let progress = out.progress();
    let built = build::build(&options, &*progress)?;
    let deltas = deltas(&args.delta_from, &options, &*progress)?;
    drop(progress);
    report(&built, &deltas, &options.out, out)
}

/// The deltas from these bundles to the one that was built. It stays if they fail.
fn deltas(from: &[PathBuf], options: &BuildOptions, progress: &dyn Progress) -> Result<Vec<Made>, Error> {
    let Some(root) = options.root.as_ref().filter(|_| !from.is_empty()) else { return Ok(Vec::new()) };
    let folder = options.out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let target = &options.out;
    let options = DeltaOptions {
        root: &root.root,
        keys: &options.keys,
        level: Level::BEST,
        threads: options.threads,
        folder,
        existing: options.existing,
    };
    Ok(delta::make(from, target, &options, progress)?)
}

fn input(
    image: Option<PathBuf>,
    system: Option<PathBuf>,
    boot: Option<PathBuf>,
    boot_partition: Option<u32>,
    system_partition: Option<u32>,
    overlay: Option<PathBuf>,
) -> Result<Input, Error> {
    match (image, system, boot) {
        (Some(image), ..) => {
            Ok(Input::Disk(DiskOptions { image, boot_partition, system_partition, overlay }))
        }
        (None, Some(system), Some(boot)) => Ok(Input::Volumes { system, boot }),
        // The parser has seen to it already.
        _ => Err(Error::Usage("give --system and --boot, or --from-img".into())),
    }
}

/// SOURCE_DATE_EPOCH, or else now.
pub(super) fn build_time() -> Result<u64, Error> {
    match std::env::var_os("SOURCE_DATE_EPOCH") {
        None => Ok(clock::unix_now()),
        Some(text) => text.to_str().and_then(|t| t.parse().ok()).ok_or_else(|| {
            Error::Usage(format!("SOURCE_DATE_EPOCH is {text:?}: give seconds since 1970, or unset it"))
        }),
    }
}

/// The security version of the release before this one.
fn previous_security_version(path: &Path, of: Subject<'_>, root: Option<&Root>) -> Result<u32, Error> {
    let (Content::Bundle(file, _) | Content::Release(file)) = inspect::inspect(path, root)?.content else {
        return Err(Error::Usage(format!("{} is neither a bundle nor a release", path.display())));
    };
    let release = file.release;
    if release.subject() != of {
        let (found, wanted) = (release.what(), what(of));
        return Err(Error::Usage(format!("{} is a release of {found}, not of {wanted}", path.display())));
    }
    Ok(release.security_version)
}

/// SHA-256 of a list of materials.
fn sbom(path: &Path) -> Result<Digest, Error> {
    let bytes = crate::output::read_limited(path, SBOM_MAX)
        .map_err(|e| Error::Usage(format!("can't read {}: {e}", path.display())))?;
    Ok(Digest::of(&bytes))
}

fn text(path: Option<&Path>) -> Result<String, Error> {
    let Some(path) = path else { return Ok(String::new()) };
    let bytes = crate::output::read_limited(path, limits::PLAN)
        .map_err(|e| Error::Usage(format!("can't read {}: {e}", path.display())))?;
    String::from_utf8(bytes).map_err(|_| Error::Usage(format!("{} is not UTF-8 text", path.display())))
}

fn report(built: &Built, deltas: &[Made], path: &Path, out: Out) -> Result<(), Error> {
    let mut text = format!("{}  {}\n", path.display(), Bytes(built.bytes));
    if let Some(found) = &built.dissected {
        text.push_str(&format!(
            "from a card image ({}): boot is partition {}, system is partition {}\n",
            found.table.name(),
            found.boot_partition,
            found.system_partition
        ));
    }
    for v in &built.artifacts {
        text.push_str(&format!(
            "{:8}{:>12} raw {:>12} compressed  from {}: read in {:.1} s, {} of {} ({} zero) in {:.1} s\n",
            v.id,
            Bytes(v.artifact.bytes).to_string(),
            Bytes(v.artifact.data_bytes).to_string(),
            v.input,
            v.plan_time.as_secs_f64(),
            Count(v.chunks, "chunk"),
            Bytes(v.chunk_bytes.into()),
            v.zero_chunks,
            v.encode_time.as_secs_f64(),
        ));
    }
    let release = &built.release;
    let seconds = built.time.as_secs_f64();
    text.push_str(&format!(
        "release {}\n{} {}, put together in {:.1} s, {seconds:.1} s in all\n",
        built.digest,
        release.what(),
        release.version,
        built.assemble_time.as_secs_f64(),
    ));
    text.extend(deltas.iter().map(super::delta::line));
    let deltas = deltas.iter().map(DeltaMade::from).collect();
    out.result(Answer::Built(Box::new(answer::Built::new(path, built, deltas))), &text)
}
