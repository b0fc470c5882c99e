//! Everything that can go wrong, and the exit code that it means.
use crate::archive::TreeError;
use crate::build::BuildError;
use crate::bundle::BundleError;
use crate::card::CardError;
use crate::delta::{ApplyError, DeltaError, VerifyDeltaError};
use crate::deploy::{DeployError, GaveUp, Verdict};
use crate::fetch::FetchError;
use crate::flash::{FlashError, Unfit, WriteError};
use crate::inspect::InspectError;
use crate::keys::{KeyError, LockError};
use crate::output::OutputError;
use crate::repository::StoreError;
use crate::repository::audit::AuditError;
use crate::repository::catalog::CatalogError;
use crate::repository::channel::ChannelError;
use crate::repository::delta_file::DeltaFileError;
use crate::repository::delta_publish::DeltaPublishError;
use crate::repository::edit::EditError;
use crate::repository::images::BaseError;
use crate::repository::init::InitError;
use crate::repository::inventory::InventoryError;
use crate::repository::lease::LeaseError;
use crate::repository::manifest::ManifestError;
use crate::repository::memory::TrustStoreError;
use crate::repository::metrics::MetricsError;
use crate::repository::probe::ProbeError;
use crate::repository::promote::PromoteError;
use crate::repository::prune::PruneError;
use crate::repository::publish::PublishError;
use crate::repository::recording::RecordingError;
use crate::repository::roots::RootsError;
use crate::repository::sbom_file::SbomFileError;
use crate::repository::sync::SyncError;
use crate::repository::trust::PinError;
use crate::root::RootError;
use crate::sign::SignError;
use crate::size::Count;
use crate::verify::VerifyError;
use serde::Serialize;

/// How the program ends. Part of its interface: scripts rely on the numbers, and on the words in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Code"))]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    #[cfg_attr(test, schemars(skip))]
    Done = 0,
    /// It failed.
    Failed = 1,
    /// It was called wrongly.
    Usage = 2,
    /// There is nothing to do.
    NothingToDo = 3,
    /// A signature or digest is wrong: don't use the file.
    Untrusted = 5,
    /// Things don't fit together: a slot too small for an image.
    Incompatible = 6,
    /// A device's self-test failed.
    SelfTest = 7,
    /// A device's health check failed.
    Health = 8,
    /// Not now: a gate opens later, a server can't be reached or asks to be left alone.
    TryLater = 75,
}

impl Exit {
    /// All of them.
    pub const ALL: [Exit; 9] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::NothingToDo,
        Exit::Untrusted,
        Exit::Incompatible,
        Exit::SelfTest,
        Exit::Health,
        Exit::TryLater,
    ];
}

/// Any verb's failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Of a root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// While building.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// While asking another server.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// While preparing a component's tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// While verifying.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// While signing.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// While making a delta.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// While verifying a delta.
    #[error(transparent)]
    VerifyDelta(#[from] VerifyDeltaError),
    /// While inspecting.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// While making a card.
    #[error(transparent)]
    Card(#[from] CardError),
    /// While bringing a release onto a device.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// While writing a card.
    #[error(transparent)]
    Flash(#[from] FlashError),
    /// While writing.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Of a repository's files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of a repository's roots.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// A repository that isn't the one that it was.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// What this computer remembers can't be used.
    #[error(transparent)]
    Memory(#[from] TrustStoreError),
    /// A store that doesn't keep its word.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// While making a repository.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// While changing a channel.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// While promoting.
    #[error(transparent)]
    Promote(#[from] PromoteError),
    /// Of a channel's catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// While publishing.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// What there is can't be found out.
    #[error(transparent)]
    Holdings(#[from] InventoryError),
    /// What a repository holds of a release can't be read.
    #[error("the repository's {what} can't be read")]
    Stored {
        /// Which release.
        what: String,
        /// Why.
        source: Box<BaseError>,
    },
    /// Of a release in a repository.
    #[error(transparent)]
    Contents(#[from] ManifestError),
    /// Of the SBOM of a release.
    #[error(transparent)]
    SbomFile(#[from] SbomFileError),
    /// The audit, held against the channels.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// While measuring.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// While pruning.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// While copying.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// Fsck found something.
    #[error(
        "{place} has {} that devices may suffer from: {}", Count(*serious, "fault"), match .is_repairable {
            true => "`bistable-image fsck --deep --repair` removes what is damaged; then publish the bundles again with their deltas, or sync again if this is a copy",
            false => "each of the lines above says what to do",
        }
    )]
    Damaged {
        /// The repository.
        place: String,
        /// How many.
        serious: usize,
        /// Whether `fsck --deep --repair` removes one of them.
        is_repairable: bool,
        /// Whether all is well once what has expired is renewed.
        passes: bool,
    },
    /// The next root would keep devices from what is on offer.
    #[error(
        "root {version} was not published: devices that follow it would refuse what is listed above; run the commands there and then \
         this one again, or give --strand to publish the root before them"
    )]
    Stranded {
        /// The root's version.
        version: u32,
    },
    /// Nothing to be done.
    #[error("{0}")]
    NothingToDo(String),
    /// Of the audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Arguments that contradict each other or can't be used.
    #[error("{0}")]
    Usage(String),
    /// One that is on standard output already, with the report that it was drawn from.
    #[error(transparent)]
    Told(Box<Error>),
}

impl Error {
    /// The exit code that tells it to scripts.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Told(e) => e.exit(),
            Error::Usage(_) => Exit::Usage,
            Error::Root(RootError::Invalid { .. }) | Error::Build(BuildError::Untrusted(_)) => {
                Exit::Untrusted
            }
            Error::Root(RootError::NoKey { .. } | RootError::Weak(_)) | Error::Build(BuildError::NoKey) => {
                Exit::Usage
            }
            Error::Key(
                KeyError::Label { .. }
                | KeyError::Passphrase(_)
                | KeyError::Locked { source: LockError::Empty, .. },
            ) => Exit::Usage,
            Error::Sign(SignError::Already { .. }) => Exit::NothingToDo,
            Error::Sign(SignError::OtherRepository { .. } | SignError::NotReleaseKey { .. }) => {
                Exit::Incompatible
            }
            Error::Verify(VerifyError::Bundle { source, .. })
            | Error::Sign(
                SignError::Bundle { source, .. } | SignError::Content(VerifyError::Bundle { source, .. }),
            )
            | Error::Card(CardError::Bundle(VerifyError::Bundle { source, .. }))
            | Error::Inspect(InspectError::Bundle { source, .. }) => bundle(source),
            Error::Inspect(InspectError::Untrusted { .. }) => Exit::Untrusted,
            Error::Fetch(e) => fetch(e),
            Error::Flash(e) => flash(e),
            Error::Deploy(e) => deploy(e),
            Error::Stored { source, .. } => base(source),
            Error::Delta(e) => delta(e),
            Error::VerifyDelta(e) => verify_delta(e),
            Error::Store(e) => store(e),
            Error::Probe(e) => probe(e),
            Error::Channel(e) => channel(e),
            Error::Catalog(e) => catalog(e),
            Error::Publish(PublishError::Bundle(VerifyError::Bundle { source, .. })) => bundle(source),
            Error::Publish(PublishError::Delta(e)) => publish_delta(e),
            Error::Publish(PublishError::Store(e)) => store(e),
            Error::Publish(PublishError::Channel(e)) => channel(e),
            Error::Publish(PublishError::Catalog(e)) => catalog(e),
            Error::Publish(PublishError::Demo(_)) => Exit::Untrusted,
            Error::Publish(PublishError::Edit(e)) => edit(e),
            Error::Publish(PublishError::Taken { .. }) => Exit::Incompatible,
            Error::Publish(PublishError::Hold(e)) | Error::Promote(PromoteError::Hold(e)) => hold(e),
            Error::Promote(PromoteError::Demo(_) | PromoteError::Untrusted { .. }) => Exit::Untrusted,
            Error::Promote(PromoteError::Contents(e)) => contents(e),
            Error::Promote(PromoteError::Catalog(e)) => catalog(e),
            Error::Roots(e) | Error::Pin(PinError::Roots(e)) => roots(e),
            Error::Pin(PinError::Memory(e)) | Error::Memory(e) => memory(e),
            Error::Pin(PinError::Other { .. } | PinError::Behind { .. } | PinError::Replaced { .. }) => {
                Exit::Untrusted
            }
            Error::Pin(PinError::NotFirst { .. }) => Exit::Usage,
            Error::Init(InitError::Store(e)) => store(e),
            Error::Init(InitError::Probe(e)) => probe(e),
            Error::Init(InitError::Roots(e)) => roots(e),
            Error::Recording(e) => recording(e),
            Error::Init(InitError::Audit(e)) | Error::Audit(e) | Error::Sync(SyncError::Audit(e)) => audit(e),
            Error::NothingToDo(_) => Exit::NothingToDo,
            Error::Damaged { passes: true, .. } => Exit::TryLater,
            Error::Damaged { .. } => Exit::Untrusted,
            Error::Stranded { .. } => Exit::Incompatible,
            Error::Holdings(e) | Error::Prune(PruneError::Holdings(e)) => inventory(e),
            Error::Contents(e)
            | Error::Prune(PruneError::Contents(e))
            | Error::Sync(SyncError::Contents(e)) => contents(e),
            Error::Prune(PruneError::Catalog(e)) | Error::Sync(SyncError::Catalog(e)) => catalog(e),
            Error::Prune(PruneError::TooSoon { .. }) => Exit::NothingToDo,
            Error::Prune(PruneError::Overtaken(_)) => Exit::TryLater,
            Error::Sync(SyncError::Hold(e)) => hold(e),
            Error::Metrics(MetricsError::Channel(e))
            | Error::Prune(PruneError::Channel(e))
            | Error::Sync(SyncError::Channel(e)) => channel(e),
            Error::Metrics(MetricsError::Store(e))
            | Error::Prune(PruneError::Store(e))
            | Error::Sync(SyncError::Store(e)) => store(e),
            Error::Sync(SyncError::Roots(e)) => roots(e),
            Error::Sync(SyncError::Itself(_) | SyncError::NoChannel { .. } | SyncError::Partial(_)) => {
                Exit::Usage
            }
            Error::Sync(SyncError::Diverged { .. }) => Exit::Incompatible,
            Error::Promote(PromoteError::Channel(e)) => channel(e),
            Error::Promote(PromoteError::Store(e)) => store(e),
            Error::Promote(PromoteError::Edit(e)) | Error::Edit(e) => edit(e),
            Error::Promote(PromoteError::NothingNewer { .. }) => Exit::NothingToDo,
            Error::Promote(PromoteError::Itself(_)) => Exit::Usage,
            Error::Card(CardError::Demo(_) | CardError::Root(_) | CardError::SystemRoot { .. }) => {
                Exit::Untrusted
            }
            Error::Card(
                CardError::SlotTooSmall { .. }
                | CardError::NoAgent { .. }
                | CardError::TooSmall { .. }
                | CardError::NotAnImage { .. }
                | CardError::NotAComponent { .. }
                | CardError::Containers { .. }
                | CardError::OtherProduct { .. }
                | CardError::Board { .. }
                | CardError::OtherBound { .. }
                | CardError::Unfit { .. }
                | CardError::Components { .. },
            )
            | Error::Build(BuildError::Bind(_)) => Exit::Incompatible,
            Error::Build(BuildError::Sbom { .. } | BuildError::NoPackages | BuildError::NotRead { .. }) => {
                Exit::Usage
            }
            Error::SbomFile(SbomFileError::Store(e)) => store(e),
            Error::SbomFile(_) => Exit::Untrusted,
            Error::Card(CardError::Archive { .. })
            | Error::Verify(VerifyError::Archive { .. })
            | Error::Publish(PublishError::Bundle(VerifyError::Archive { .. })) => Exit::Untrusted,
            Error::Card(CardError::BadSize { .. }) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

fn fetch(error: &FetchError) -> Exit {
    match error {
        e if e.passes() => Exit::TryLater,
        FetchError::Digest { .. } => Exit::Untrusted,
        FetchError::Address { .. }
        | FetchError::Plain { .. }
        | FetchError::Tag { .. }
        | FetchError::Assets { .. } => Exit::Usage,
        FetchError::NoRelease { .. } => Exit::NothingToDo,
        _ => Exit::Failed,
    }
}

fn deploy(error: &DeployError) -> Exit {
    match error {
        DeployError::Runs { .. } => Exit::NothingToDo,
        DeployError::OtherProduct { .. } | DeployError::OtherBoard { .. } => Exit::Incompatible,
        DeployError::Unreachable { .. } | DeployError::TimedOut { .. } => Exit::TryLater,
        // As the device's own program ends.
        DeployError::Refused { failure, .. } => {
            // What failed isn't done, whatever the answer says.
            let known = Exit::ALL.into_iter().filter(|exit| *exit != Exit::Done);
            known.into_iter().find(|exit| *exit as u8 == failure.exit).unwrap_or(Exit::Failed)
        }
        DeployError::NotKept { verdict: Verdict::GaveUp(GaveUp { step, .. }), .. } => match step.as_str() {
            "self-test" => Exit::SelfTest,
            "health" => Exit::Health,
            _ => Exit::Failed,
        },
        DeployError::NotKept { .. } => Exit::TryLater,
        _ => Exit::Failed,
    }
}

fn flash(error: &FlashError) -> Exit {
    match error {
        FlashError::APartition { .. } | FlashError::NotADisk { .. } | FlashError::NoDevice { .. } => {
            Exit::Usage
        }
        FlashError::Unfit { why: Unfit::InUse { .. } | Unfit::ReadOnly | Unfit::Empty, .. }
        | FlashError::Busy { .. }
        | FlashError::Exchanged { .. } => Exit::TryLater,
        FlashError::Unfit { .. } | FlashError::NotACard { .. } => Exit::Incompatible,
        FlashError::OtherImage { .. }
        | FlashError::Map { .. }
        | FlashError::Half { source: WriteError::Differs(_) | WriteError::Changed(_), .. } => Exit::Untrusted,
        _ => Exit::Failed,
    }
}

fn store(error: &StoreError) -> Exit {
    match error {
        StoreError::Place { .. } | StoreError::Feature { .. } | StoreError::Settings { .. } => Exit::Usage,
        _ => Exit::Failed,
    }
}

fn hold(error: &LeaseError) -> Exit {
    match error {
        LeaseError::Store(e) => store(e),
        LeaseError::Pruning { .. } => Exit::TryLater,
        LeaseError::Random => Exit::Failed,
    }
}

fn inventory(error: &InventoryError) -> Exit {
    match error {
        InventoryError::Store(e) => store(e),
        InventoryError::Channel(e) => channel(e),
        InventoryError::Catalog(e) => catalog(e),
    }
}

fn contents(error: &ManifestError) -> Exit {
    match error {
        ManifestError::Store(e) => store(e),
        ManifestError::Untrusted { .. } | ManifestError::Damaged { .. } => Exit::Untrusted,
        ManifestError::NoRelease { .. } | ManifestError::Incomplete { .. } => Exit::Failed,
    }
}

fn base(error: &BaseError) -> Exit {
    match error {
        BaseError::Contents(e) => contents(e),
        BaseError::Store(e) => store(e),
        BaseError::Damaged(_) | BaseError::List(_) => Exit::Untrusted,
        BaseError::Missing(_) | BaseError::Io(_) => Exit::Failed,
    }
}

fn edit(error: &EditError) -> Exit {
    match error {
        EditError::AlreadyOffered { .. } | EditError::Already(_) => Exit::NothingToDo,
        EditError::Unsatisfiable { .. }
        | EditError::BoundMissing { .. }
        | EditError::SecurityVersion { .. }
        | EditError::NotRaised { .. }
        | EditError::OtherContent { .. }
        | EditError::Needed { .. }
        | EditError::Withdrawn { .. } => Exit::Incompatible,
        EditError::TooYoung { .. } | EditError::TooSoon { .. } | EditError::NotAttested { .. } => {
            Exit::TryLater
        }
        _ => Exit::Failed,
    }
}

fn probe(error: &ProbeError) -> Exit {
    match error {
        ProbeError::Store(e) => store(e),
        ProbeError::Liar { .. } => Exit::Incompatible,
        ProbeError::Random => Exit::Failed,
    }
}

fn roots(error: &RootsError) -> Exit {
    match error {
        RootsError::Store(e) => store(e),
        RootsError::Invalid { .. } | RootsError::Other { .. } => Exit::Untrusted,
        RootsError::Followed { .. } => Exit::Incompatible,
        RootsError::None { .. } => Exit::Failed,
        RootsError::Audit(e) => audit(e),
    }
}

fn channel(error: &ChannelError) -> Exit {
    match error {
        ChannelError::Store(e) => store(e),
        ChannelError::Untrusted { .. }
        | ChannelError::Misplaced { .. }
        | ChannelError::Broken { .. }
        | ChannelError::OldRoot { .. }
        | ChannelError::Behind { .. }
        | ChannelError::LostNumber { .. }
        | ChannelError::Replaced { .. }
        | ChannelError::PendingOldRoot { .. }
        | ChannelError::Keys { .. } => Exit::Untrusted,
        ChannelError::Invalid(_) | ChannelError::GiveUp { .. } | ChannelError::StillThere { .. } => {
            Exit::Usage
        }
        ChannelError::Busy { .. } | ChannelError::NewRoot { .. } | ChannelError::Locked { .. } => {
            Exit::TryLater
        }
        ChannelError::Unfinished { source, .. } => channel(source),
        ChannelError::Lost(e) => audit(e),
        ChannelError::Memory(e) => memory(e),
        _ => Exit::Failed,
    }
}

fn memory(error: &TrustStoreError) -> Exit {
    match error {
        TrustStoreError::NoFolder => Exit::Usage,
        _ => Exit::Failed,
    }
}

fn recording(error: &RecordingError) -> Exit {
    match error {
        RecordingError::Audit(e) => audit(e),
        RecordingError::Channel { source, .. } => channel(source),
    }
}

fn audit(error: &AuditError) -> Exit {
    match error {
        AuditError::Store(e) => store(e),
        AuditError::Missing { .. } | AuditError::Damaged { .. } | AuditError::Lost { .. } => Exit::Untrusted,
        AuditError::Busy { .. } => Exit::TryLater,
        AuditError::Random => Exit::Failed,
    }
}

fn catalog(error: &CatalogError) -> Exit {
    match error {
        CatalogError::Store(e) => store(e),
        CatalogError::Missing { .. } | CatalogError::Damaged { .. } => Exit::Untrusted,
        _ => Exit::Failed,
    }
}

fn delta(error: &DeltaError) -> Exit {
    match error {
        DeltaError::Bundle(VerifyError::Bundle { source, .. }) => bundle(source),
        DeltaError::Untrusted(_) => Exit::Untrusted,
        DeltaError::NoKey | DeltaError::Same { .. } | DeltaError::Twice { .. } => Exit::Usage,
        DeltaError::OtherProduct { .. } => Exit::Incompatible,
        _ => Exit::Failed,
    }
}

fn publish_delta(error: &DeltaPublishError) -> Exit {
    match error {
        DeltaPublishError::Delta(e) => verify_delta(e),
        DeltaPublishError::OtherTarget { .. } => Exit::Usage,
        DeltaPublishError::Base { source, .. } => base(source),
        DeltaPublishError::There { why, .. } => match &**why {
            DeltaFileError::Untrusted(e) if e.needs_update() => Exit::Incompatible,
            _ => Exit::Untrusted,
        },
        DeltaPublishError::Incomplete { .. } | DeltaPublishError::Damaged { .. } => Exit::Untrusted,
        DeltaPublishError::Holdings(e) => inventory(e),
        DeltaPublishError::Audit(e) => audit(e),
        DeltaPublishError::Store(e) => store(e),
        _ => Exit::Failed,
    }
}

fn verify_delta(error: &VerifyDeltaError) -> Exit {
    match error {
        VerifyDeltaError::Bundle { source, .. } => bundle(source),
        VerifyDeltaError::Base(e) => delta(e),
        VerifyDeltaError::OtherBase { .. } => Exit::Incompatible,
        VerifyDeltaError::Apply { source: ApplyError::Read(_), .. } | VerifyDeltaError::Open { .. } => {
            Exit::Failed
        }
        _ => Exit::Untrusted,
    }
}

fn bundle(error: &BundleError) -> Exit {
    match error {
        BundleError::Read { .. } | BundleError::Sink { .. } => Exit::Failed,
        BundleError::IsDelta | BundleError::NotDelta => Exit::Usage,
        BundleError::Delta { .. } | BundleError::Unreadable { .. } => Exit::Incompatible,
        _ => Exit::Untrusted,
    }
}
