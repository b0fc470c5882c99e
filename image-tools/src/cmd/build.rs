//! `build`.
use super::Out;
use super::bind;
use super::images::{self, ImageFrom};
use super::place::Place;
use super::release_args::{ReleaseArgs, built_text};
use crate::answer::{self, Answer};
use crate::build::{self, BuildOptions, Input};
use crate::disk::DiskOptions;
use crate::error::Error;
use crate::oci::Platform;
use crate::repository::words;
use crate::size::Bytes;
use crate::volume::{Ext4Backend, Owner, VolumeSize};
use bistable_boot::Flow;
use semver::Version;
use std::path::PathBuf;

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

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
#[command(after_help = TIME)]
pub struct Args {
    /// Semantic version: devices take only newer ones.
    #[arg(long, value_parser = super::release_args::version)]
    version: Version,
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
    /// Image of a service: an OCI archive, oci:DIR, docker-archive:FILE from `docker save`, or oci://HOST/NAME:TAG of a registry. The service
    /// can be left out if the file has one. Repeat it for more
    #[arg(long, value_name = "[SERVICE=]IMAGE", requires = "compose", required_if_eq("kind", "containers"))]
    image: Vec<ImageFrom>,
    /// What the containers run on
    #[arg(long, value_name = "OS/ARCHITECTURE", requires = "compose", default_value = "linux/arm64")]
    platform: Platform,
    /// How long to wait at most for a registry that asks to be left alone
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = words::seconds, requires = "compose")]
    wait: u64,
    /// Folder for downloads that were cut off; ~/.cache/bistable-image if not given
    #[arg(long, value_name = "DIR", requires = "compose")]
    cache: Option<PathBuf>,
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
    /// What it is built from: a repository and its commit, for example
    #[arg(long, default_value = "", hide_default_value = true)]
    origin: String,
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
    #[command(flatten)]
    release: ReleaseArgs,
}

pub(crate) fn run(args: Args, out: Out) -> Result<(), Error> {
    let root = args.release.root()?;
    let product = &args.release.product;
    let binds = bind::releases(&args.bind, &args.place, product, root.as_ref().map(|r| &r.root))?;
    let size = |size: Option<Bytes>| size.map_or(VolumeSize::Fit, |b| VolumeSize::Exact(b.0));
    let progress = out.progress();
    // Pulled images stay until the bundle is made.
    let pulled = images::pull(args.image, &args.platform, args.wait, args.cache.as_deref(), &*progress)?;
    let images = pulled.args.clone();
    let input = match (args.component, args.tree, args.compose) {
        (Some(component), Some(tree), None) => Input::Tree { component, tree },
        (Some(component), None, Some(compose)) => {
            Input::Containers { component, compose, images, platform: args.platform }
        }
        _ => input(
            args.from_img,
            args.system,
            args.boot,
            args.boot_partition,
            args.system_partition,
            args.overlay,
        )?,
    };
    let mut options = args.release.options(args.version, input, root)?;
    options.build = BuildOptions {
        origin: args.origin,
        binds,
        flow: if args.uboot { Flow::Uboot } else { Flow::Tryboot },
        plain_boot: args.plain_boot,
        system_size: size(args.system_size),
        boot_size: size(args.boot_size),
        owner: if args.root_owner { Owner::Root } else { Owner::Keep },
        backend: if args.mke2fs { Ext4Backend::Mke2fs } else { Ext4Backend::Mkext4 },
        ..options.build
    };
    let built = build::build(&options.build, &*progress)?;
    let deltas = options.deltas(&*progress)?;
    drop(progress);
    let answer = answer::Built { images: pulled.answers(), ..options.answer(&built, &deltas) };
    let text = pulled.text() + &built_text(&built, &deltas, &options.build.out);
    out.result(Answer::Built(Box::new(answer)), &text)
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
