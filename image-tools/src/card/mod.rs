//! A card image: what a factory writes to an SD card.
//!
//! Partition table, the boot flag, the root of trust, an empty journal, slot A filled from a verified bundle, slot B
//! erased, an empty `persistent`. The same bundle, root and sizes give the same bytes.
mod bmap;
mod component;
mod files;
mod image;
mod plan;
mod script;
mod state;
mod system;
mod system_root;
mod table;

pub use component::CardComponent;
pub use plan::{CardPlan, Place};

use crate::bundle::BundleError;
use crate::clock::Stopwatch;
use crate::output::{self, Access, Existing, NewFile, OutputError};
use crate::parallel::Threads;
use crate::progress::{Keeping, Progress};
use crate::root;
use crate::verify::{self, VerifyError};
use crate::volume::{VolumeError, lacks};
use bistable_boot::layout::Partition;
use bistable_boot::{Flow, Image, Record, ReleaseId, Slot};
use bistable_format::resolve::Reason;
use bistable_format::{Digest, Release, RootChain, SignedRoot, TrustError, VolumeKind};
use image::CardImage;
use semver::Version;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Whether a root of demo keys will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DemoKeys {
    /// No: the card is for a product.
    #[default]
    Refuse,
    /// Yes: the card is for a demonstration or a developer's desk.
    Allow,
}

/// Whether a system without the agent will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agent {
    /// No: its device could never update.
    #[default]
    Required,
    /// Yes: the system has it under another name, or is tried without it.
    Optional,
}

/// What card to make.
#[derive(Clone, Debug)]
pub struct CardOptions {
    /// The bundle that slot A is filled from.
    pub bundle: PathBuf,
    /// The root that the card's device will trust; the bundle is verified against it.
    pub root: root::SignedRoot,
    /// Whether it may have demo keys.
    pub demo_keys: DemoKeys,
    /// Whether the system in slot A must have the agent.
    pub agent: Agent,
    /// The card image. Its block map gets the same name with `.bmap` added.
    pub out: PathBuf,
    /// Bytes of the card; `None` for what is needed.
    pub size: Option<u64>,
    /// Bytes of each boot slot; `None` for the image and half as much again.
    pub boot_slot: Option<u64>,
    /// Bytes of each system slot; `None` for the image and half as much again.
    pub system_slot: Option<u64>,
    /// Which boot loader starts the slots.
    pub flow: Flow,
    /// A folder whose files go onto the boot configuration volume, beside autoboot.txt or boot.scr.
    pub bootconfig: Option<PathBuf>,
    /// Components that the device has from the beginning.
    pub components: Vec<Arc<CardComponent>>,
    /// Worker threads. Changes no byte of the result.
    pub threads: Threads,
    /// What if the output is there already.
    pub existing: Existing,
}

impl CardOptions {
    /// The defaults for all that has one.
    pub fn new(bundle: PathBuf, root: root::SignedRoot, out: PathBuf) -> Self {
        CardOptions {
            bundle,
            root,
            demo_keys: DemoKeys::Refuse,
            agent: Agent::Required,
            out,
            size: None,
            boot_slot: None,
            system_slot: None,
            flow: Flow::default(),
            bootconfig: None,
            components: Vec::new(),
            threads: Threads::default(),
            existing: Existing::Refuse,
        }
    }
}

/// Why there is no card.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The bundle isn't verified.
    #[error(transparent)]
    Bundle(#[from] VerifyError),
    /// It is the bundle of a component.
    #[error("{bundle} is a release of {what}, which is not an image: give the bundle of an image", bundle = bundle.display())]
    NotAnImage {
        /// The bundle.
        bundle: PathBuf,
        /// What it is.
        what: String,
    },
    /// The root has demo keys.
    #[error(
        "the root is not for products; use one with production keys, or --allow-demo for a device on your desk"
    )]
    Demo(#[source] TrustError),
    /// The system has no agent.
    #[error(
        "the system in {bundle} has no bistable: a device with this card could neither update nor commit; install Bistable's package in the \
         system and build the release again, or give --no-agent if the system has it under another name, or is to be tried without it",
        bundle = bundle.display()
    )]
    NoAgent {
        /// The bundle.
        bundle: PathBuf,
    },
    /// The root isn't one that its own keys signed.
    #[error("the root can't go onto a card")]
    Root(#[source] TrustError),
    /// The system in slot A has a root that the card's does not descend from.
    #[error(
        "{path} in the system {why}; the device would refuse the card's root: use the root that the release was built with, \
         or build it again with --root", path = bistable_format::Root::SYSTEM_PATH
    )]
    SystemRoot {
        /// What is wrong with it.
        why: String,
    },
    /// A slot is smaller than its image.
    #[error(
        "the {kind} volume needs {image} bytes and the slot would have {slot}; give --slot-size {kind}=SIZE of at least that"
    )]
    SlotTooSmall {
        /// Which volume.
        kind: VolumeKind,
        /// Its image's bytes.
        image: u64,
        /// The slot's bytes.
        slot: u64,
    },
    /// The card is smaller than what goes onto it.
    #[error("a card of {size} bytes is too small: {needed} bytes ({human}) are needed, two slots included", human = crate::size::Bytes(*.needed))]
    TooSmall {
        /// What was asked for.
        size: u64,
        /// What is needed.
        needed: u64,
    },
    /// A size that no card or slot can have.
    #[error("{what} of {size} bytes is not possible: {why}")]
    BadSize {
        /// Of what.
        what: &'static str,
        /// The size.
        size: u64,
        /// Why not.
        why: &'static str,
    },
    /// A file system can't be made.
    #[error("the {partition} partition can't be made")]
    Volume {
        /// Which partition.
        partition: &'static str,
        /// Why.
        source: VolumeError,
    },
    /// The extra files for the boot configuration can't be taken.
    #[error("can't {action} {path} for the boot configuration", path = path.display())]
    Bootconfig {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The extra files bring one that Bistable writes, or that would lead the firmware past it.
    #[error("{path} must not exist: Bistable decides what boots; remove it", path = path.display())]
    BootFile {
        /// The file.
        path: PathBuf,
    },
    /// Not a component.
    #[error(
        "{what} is not a component: give the bundle of one, as `bistable-image build --component` makes it"
    )]
    NotAComponent {
        /// What it is.
        what: String,
    },
    /// A component of containers.
    #[error(
        "{what} is a component of containers, whose images an engine has to take in: a card can't hold them; install it on the device \
         with `bistable component update`"
    )]
    Containers {
        /// What it is.
        what: String,
    },
    /// A component that needs a value that a card doesn't have.
    #[error(
        "{what} can't run before {} set: install it on the device with `bistable component update`, after `bistable component config`",
        match .names.as_slice() { [one] => format!("{one} is"), names => format!("{} are", names.join(", ")) }
    )]
    Configuration {
        /// The component and its version.
        what: String,
        /// The settings.
        names: Vec<String>,
    },
    /// A component of another product.
    #[error("{what} is not a component of {product}, which the card is for")]
    OtherProduct {
        /// The component and its version.
        what: String,
        /// The image's product.
        product: String,
    },
    /// A component for other boards.
    #[error("{what} is not for board {board}, which the image is for: build it with --board {board}, too")]
    Board {
        /// The component and its version.
        what: String,
        /// The board.
        board: String,
    },
    /// Another version than the image binds.
    #[error("{what} is not the release that the image binds, which is of version {version}: give that one")]
    OtherBound {
        /// The component and its version.
        what: String,
        /// The bound version.
        version: Version,
    },
    /// Components that don't go with the image, or with each other.
    #[error("{image} doesn't go with these components: {}", .reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unfit {
        /// The image and its version.
        image: String,
        /// All reasons.
        reasons: Vec<Reason>,
    },
    /// Too many components.
    #[error("a device has at most {limit} components")]
    Components {
        /// The most.
        limit: usize,
    },
    /// An archive that no device would unpack.
    #[error("{what} has an archive that devices refuse to unpack: {problem}")]
    Archive {
        /// The component.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// What was written doesn't read back as it must be.
    #[error("internal: {0}; please report this")]
    Internal(String),
    /// It can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// A card that was made.
#[derive(Clone, Debug)]
pub struct Card {
    /// The release in slot A.
    pub release: Release,
    /// Its identity: see [`bistable_format::release::identity`].
    pub digest: Digest,
    /// Where everything is.
    pub plan: CardPlan,
    /// The block map's file.
    pub bmap: PathBuf,
    /// Bytes that the block map says are to be written.
    pub mapped: u64,
    /// What a person should know, one line each.
    pub notes: Vec<String>,
    /// Time that it took.
    pub time: Duration,
}

/// Make a card image and its block map. On any error neither is there.
///
/// # Errors
/// See [`CardError`].
pub fn make(options: &CardOptions, progress: &dyn Progress) -> Result<Card, CardError> {
    let watch = Stopwatch::start();
    let keeping = Keeping::new(progress);
    let progress: &dyn Progress = &keeping;
    if options.demo_keys == DemoKeys::Refuse {
        options.root.root.refuse_demo().map_err(CardError::Demo)?;
    }
    let bmap_path = bmap_path(&options.out);
    output::not_an_input(&options.out, [options.bundle.as_path()])?;
    let card_file = NewFile::create(&options.out, options.existing, Access::Public)?;
    let bmap_file = NewFile::create(&bmap_path, options.existing, Access::Public)?;

    let reader = verify::open(&options.bundle, &options.root.root)?;
    let release = reader.release().clone();
    let signed = reader.signed_release().to_vec();
    let digest = bistable_format::release::identity(&signed);
    let volumes = release
        .volumes()
        .ok_or_else(|| CardError::NotAnImage { bundle: options.bundle.clone(), what: release.what() })?;
    component::check(&release, &options.components)?;
    let tree = match options.components.as_slice() {
        [] => None,
        some => Some(component::tree(some, release.build_time)?),
    };
    let plan = CardPlan::new(options, volumes, tree.as_ref().map_or(0, |tree| tree.bytes))?;
    for note in plan.notes() {
        progress.note(note);
    }
    let mut card = CardImage::create(card_file, plan.bytes())?;

    table::write(&mut card, &plan, release.product(), &digest)?;
    files::bootconfig(&mut card, &plan, options, release.build_time)?;
    files::persistent(&mut card, &plan, &release, tree.as_ref().map(|tree| tree.file.path()))?;
    drop(tree);
    let image = Image {
        release: ReleaseId(digest.0),
        version: release.version.clone(),
        security_version: release.security_version,
        durable: release.durable,
    };
    let roots = RootChain::of(SignedRoot::open(&options.root.bytes).map_err(CardError::Root)?);
    let record = Record::provision(release.product(), image, options.root.root.version);
    let place = plan.place(Partition::State);
    state::write(&mut card, place, &record, &roots, &signed, options.flow)?;
    if !options.components.is_empty() {
        // A card without any has nothing there, as a device that never had one.
        let mut components = component::record(release.product(), &options.components)?;
        components.reads = record.slots.clone().map(|image| image.map(|image| image.durable));
        state::write_components(&card, place, &components)?;
    }

    // Slot A: what the sink gets is verified; the file gets its name only when all of it is.
    let start = |kind| plan.place(slot_a(kind)).start;
    let writer = &card;
    reader
        .volumes(options.threads, progress, &mut |id, at, raw| match id.volume() {
            Some(kind) => writer.fill(start(kind) + at, raw),
            None => Ok(()),
        })
        .map_err(|source| match source {
            BundleError::Sink { source, .. } => OutputError::io("write", &options.out)(source).into(),
            source => CardError::Bundle(VerifyError::Bundle { path: options.bundle.clone(), source }),
        })?;
    match system::open(&card, plan.place(Partition::System(Slot::A)))? {
        Some(system) => {
            system_root::check(&system, &roots)?;
            if options.agent == Agent::Required && !lacks::has_agent(&system) {
                return Err(CardError::NoAgent { bundle: options.bundle.clone() });
            }
        }
        None => {
            progress.note("the system's file system is not an ext4 that can be read: whether it has bistable and a root is not known");
        }
    }
    for (kind, volume) in volumes.iter() {
        card.map(start(kind), volume.bytes);
    }
    // Slot B: whatever an old card has there must not look bootable.
    for partition in [Partition::Boot(Slot::B), Partition::System(Slot::B)] {
        let place = plan.place(partition);
        card.map(place.start, place.bytes.min(bistable_boot::layout::ALIGN));
    }

    let mapped = bmap::write(&card, &bmap_file, progress)?;
    card.commit()?;
    bmap_file.commit()?;
    Ok(Card {
        release,
        digest,
        plan,
        bmap: bmap_path,
        mapped,
        notes: keeping.into_notes(),
        time: watch.elapsed(),
    })
}

fn slot_a(kind: VolumeKind) -> Partition {
    match kind {
        VolumeKind::Boot => Partition::Boot(Slot::A),
        VolumeKind::System => Partition::System(Slot::A),
    }
}

fn bmap_path(card: &Path) -> PathBuf {
    let mut path = card.as_os_str().to_owned();
    path.push(".bmap");
    path.into()
}
