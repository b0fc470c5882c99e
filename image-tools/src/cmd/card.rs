//! `card`.
use super::Out;
use super::bind::{self, Wanted, Which};
use super::place::Place;
use crate::answer::{Answer, CardMade};
use crate::card::{self, Agent, CardComponent, CardOptions, DemoKeys};
use crate::delta::Image;
use crate::error::Error;
use crate::output::Existing;
use crate::parallel::Threads;
use crate::progress::Progress;
use crate::repository::images;
use crate::root;
use crate::size::Bytes;
use crate::verify;
use bistable_boot::Flow;
use bistable_format::{Content, Root, VolumeKind};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use semver::Version;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `card`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle that slot A is filled from. It is verified against the root.
    #[arg(long, value_name = "X.bundle")]
    bundle: PathBuf,
    /// The root that the device will trust
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT")]
    root: PathBuf,
    /// The card image to make; its block map gets the same name with .bmap added.
    #[arg(long, value_name = "card.img")]
    out: PathBuf,
    /// Size of the card, for example 4G; as small as possible if not given.
    #[arg(long, value_name = "SIZE")]
    size: Option<Bytes>,
    /// Size of each slot's partition: `system=1536M`, `boot=256M`; the image and half as much again if not given.
    #[arg(long, value_name = "VOLUME=SIZE", value_parser = slot_size)]
    slot_size: Vec<(VolumeKind, u64)>,
    /// What starts the slots: the Raspberry Pi's own firmware (Pi 4, 5 and their modules), or U-Boot (any board).
    #[arg(long, value_parser = boot_flow(), default_value = "tryboot")]
    boot_flow: Flow,
    /// Folder whose files go beside autoboot.txt or boot.scr: what older firmware needs, or what starts U-Boot.
    #[arg(long, value_name = "DIR")]
    bootconfig: Option<PathBuf>,
    /// Component that the device has from the beginning: a bundle, NAME=VERSION of one in the repository (--repo), or NAME alone for the
    /// version there that the image binds. Repeat it for more
    #[arg(long, value_name = "X.bundle|NAME[=VERSION]")]
    component: Vec<String>,
    #[command(flatten)]
    place: Place,
    /// Accept a root with demo keys, for a device on your desk.
    #[arg(long)]
    allow_demo: bool,
    /// Accept a system without bistable, or with it under another name. A device without it never updates
    #[arg(long)]
    no_agent: bool,
    /// Worker threads; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Replace the card image if it exists.
    #[arg(long)]
    force: bool,
}

fn boot_flow() -> impl TypedValueParser<Value = Flow> {
    let values = Flow::ALL.map(|flow| {
        PossibleValue::new(flow.name()).help(match flow {
            Flow::Tryboot => "autoboot.txt and the firmware's one-shot flag",
            Flow::Uboot => "boot.scr and the boot block; --bootconfig brings U-Boot itself",
        })
    });
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Flow>())
}

fn slot_size(text: &str) -> Result<(VolumeKind, u64), String> {
    let wanted = || "give system=SIZE or boot=SIZE, for example system=1536M".to_owned();
    let (name, size) = text.split_once('=').ok_or_else(wanted)?;
    let kind = VolumeKind::ALL.into_iter().find(|k| k.to_string() == name).ok_or_else(wanted)?;
    let size: Bytes = size.parse().map_err(|_| wanted())?;
    Ok((kind, size.0))
}

pub(crate) fn run(args: Args, out: Out) -> Result<(), Error> {
    let slot = |kind| args.slot_size.iter().rev().find(|(k, _)| *k == kind).map(|(_, size)| *size);
    let root = root::read(&args.root)?;
    let threads = Threads::asked(args.threads);
    let progress = out.progress();
    let components = components(&args, &root.root, threads, &*progress)?;
    let options = CardOptions {
        root,
        demo_keys: if args.allow_demo { DemoKeys::Allow } else { DemoKeys::Refuse },
        agent: if args.no_agent { Agent::Optional } else { Agent::Required },
        size: args.size.map(|b| b.0),
        boot_slot: slot(VolumeKind::Boot),
        system_slot: slot(VolumeKind::System),
        threads,
        components,
        existing: if args.force { Existing::Replace } else { Existing::Refuse },
        flow: args.boot_flow,
        bundle: args.bundle,
        out: args.out,
        bootconfig: args.bootconfig,
    };
    let made = card::make(&options, &*progress)?;
    drop(progress);

    let mut text = format!("{}  {}\n", options.out.display(), Bytes(made.plan.bytes()));
    for (partition, place) in made.plan.partitions() {
        text.push_str(&format!(
            "  {} {:12} at {:>10}  {:>10}\n",
            partition.number(),
            partition.name(),
            Bytes(place.start).to_string(),
            Bytes(place.bytes).to_string(),
        ));
    }
    let release = &made.release;
    text.push_str(&format!(
        "slot A: {} {}, release {}\n{}  {} to write\n",
        release.product(),
        release.version,
        made.digest,
        made.bmap.display(),
        Bytes(made.mapped),
    ));
    for component in &options.components {
        let release = component.release();
        text.push_str(&format!(
            "with {} {}, release {}\n",
            release.what(),
            release.version,
            component.identity()
        ));
    }
    let answer = CardMade::new(&options.out, &made, &options.components);
    out.result(Answer::CardMade(answer), &text)
}

/// The components that are asked for, verified.
fn components(
    args: &Args,
    root: &Root,
    threads: Threads,
    progress: &dyn Progress,
) -> Result<Vec<Arc<CardComponent>>, Error> {
    if args.component.is_empty() {
        return Ok(Vec::new());
    }
    let reader = verify::open(&args.bundle, root)?;
    let image = reader.release();
    let one = |text: &String| -> Result<Arc<CardComponent>, Error> {
        let path = Path::new(text);
        // A file is what lies there, whatever its name looks like. The folder that a component was built from is not meant.
        if path.is_file() {
            return Ok(Arc::new(CardComponent::of_bundle(path, root, threads, progress)?));
        }
        let named =
            text.split_once('=').and_then(|(name, version)| Some((name, Version::parse(version).ok()?)));
        let (name, which) = match &named {
            Some((name, version)) => (*name, Which::Version(version)),
            None => match image.bound.iter().find(|bound| bound.component == *text) {
                Some(bound) => (text.as_str(), Which::Bound(bound)),
                None => {
                    return Err(Error::Usage(format!(
                        "--component {text} is neither a bundle nor a component that the image binds: give X.bundle or NAME=VERSION"
                    )));
                }
            },
        };
        let wanted = Wanted { option: "--component", name, which, product: image.product() };
        let (store, stored, release) = bind::stored(&wanted, &args.place, root)?;
        let archive = match &release.content {
            Content::Directory(directory) => images::unpack(&store, &directory.archive)
                .map_err(|source| Error::Stored { what: release.what(), source: Box::new(source) })?,
            _ => Image::create(None, 0)
                .map_err(|source| Error::Stored { what: release.what(), source: Box::new(source.into()) })?,
        };
        Ok(Arc::new(CardComponent::of_parts(release, stored.signed, archive)?))
    };
    args.component.iter().map(one).collect()
}
