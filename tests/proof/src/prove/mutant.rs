//! Protocols that are wrong on purpose: if the harness can't tell them from the right one, it proves nothing. Each sits
//! between the agent and its ports, so that the agent's own code stays what is shipped.
use bistable::config::Settings;
use bistable_boot::Flow;
use bistable_format::{
    health::{Profile, SelfTests},
    selftest::Plan,
};

/// A wrong protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The journal is saved without a flush.
    JournalNotFlushed,
    /// The boot flag is written without a flush.
    FlagNotFlushed,
    /// The system volume is never flushed.
    SystemNotFlushed,
    /// The boot volume is never flushed.
    BootNotFlushed,
    /// The header that makes a slot look bootable is written before what comes behind it.
    HeaderFirst,
    /// The header isn't erased before a slot is written.
    HeaderNotErased,
    /// No health check before the commit.
    CommitBeforeHealth,
    /// No self-tests before the flag is touched.
    FlagBeforeSelfTests,
    /// The trial is no trial: the flag is set for good.
    TriedForGood,
    /// A journal copy counts although its checksum doesn't match.
    ChecksumIgnored,
    /// Both journal copies lie in the same place.
    OneCopy,
    /// Both copies of U-Boot's boot block lie in the same place.
    OneBootBlock,
    /// The request for a reboot is saved once the machine is up again.
    AttemptsAfterReboot,
    /// A reboot that was asked for counts as an attempt, whether it happened or not.
    RequestsCounted,
    /// Attempts aren't counted.
    AttemptsForgotten,
    /// A boot tries what is staged, whatever the owner configured.
    PolicyIgnored,
    /// The daemon switches, whatever the owner configured.
    ModeIgnored,
    /// The security floor rises when the release is staged.
    FloorEarly,
    /// What was rejected is forgotten.
    RejectionForgotten,
    /// The slots are mixed up.
    WrongSlot,
    /// The flag is written with the page around it.
    PageCommit,
    /// What is read back comes from a cache.
    CachedReadBack,
    /// `Committing` is never saved.
    CommittingNotSaved,
    /// What a killed agent wrote to the journal is trusted without a flush.
    StartNotFlushed,
    /// The journal is saved in the newest format of the agent that runs, whatever the other slot's agent reads.
    NewestFormat,
    /// What a delta copies or patches is taken for right, whatever its digest.
    BaseNotHashed,
    /// What a delta copies or patches is written before its digest is compared.
    PatchWrittenFirst,
    /// A list that makes another release is accepted.
    OthersList,
    /// That a chunk is stale is held against the release: it is rejected.
    StaleRejects,
    /// What is fetched in place of a stale chunk isn't read back.
    FallbackNotReadBack,
    /// Events aren't flushed.
    EventsNotFlushed,
    /// An event is written when the next one comes: after what it tells of.
    EventAfterAct,
    /// A line that is torn is overwritten, and its number used again.
    NumberReused,
    /// A whole line before a torn one goes, too.
    LastLineCut,
}

/// What must come of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Some crash state, or a rule, gives it away.
    Caught,
    /// A broken card gives it away.
    CaughtByTrouble,
    /// It does no harm, and here is why.
    Harmless(&'static str),
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 34] = [
        Mutant::JournalNotFlushed,
        Mutant::FlagNotFlushed,
        Mutant::SystemNotFlushed,
        Mutant::BootNotFlushed,
        Mutant::HeaderFirst,
        Mutant::HeaderNotErased,
        Mutant::CommitBeforeHealth,
        Mutant::FlagBeforeSelfTests,
        Mutant::TriedForGood,
        Mutant::ChecksumIgnored,
        Mutant::OneCopy,
        Mutant::OneBootBlock,
        Mutant::AttemptsAfterReboot,
        Mutant::RequestsCounted,
        Mutant::AttemptsForgotten,
        Mutant::PolicyIgnored,
        Mutant::ModeIgnored,
        Mutant::FloorEarly,
        Mutant::RejectionForgotten,
        Mutant::WrongSlot,
        Mutant::PageCommit,
        Mutant::CachedReadBack,
        Mutant::CommittingNotSaved,
        Mutant::StartNotFlushed,
        Mutant::NewestFormat,
        Mutant::BaseNotHashed,
        Mutant::PatchWrittenFirst,
        Mutant::OthersList,
        Mutant::StaleRejects,
        Mutant::FallbackNotReadBack,
        Mutant::EventsNotFlushed,
        Mutant::EventAfterAct,
        Mutant::NumberReused,
        Mutant::LastLineCut,
    ];

    /// Whether it is wrong in updates by delta, and in nothing else.
    pub fn is_of_deltas(self) -> bool {
        matches!(
            self,
            Mutant::BaseNotHashed
                | Mutant::PatchWrittenFirst
                | Mutant::OthersList
                | Mutant::StaleRejects
                | Mutant::FallbackNotReadBack
        )
    }

    /// Whether it is wrong in the event log, and in nothing else.
    pub fn is_of_events(self) -> bool {
        matches!(
            self,
            Mutant::EventsNotFlushed | Mutant::EventAfterAct | Mutant::NumberReused | Mutant::LastLineCut
        )
    }

    /// Whether it is one of the daemon.
    pub fn is_of_daemon(self) -> bool {
        self == Mutant::ModeIgnored
    }

    /// The boot flow that it is wrong in. Most are wrong in what both share.
    pub fn flow(self) -> Flow {
        match self {
            Mutant::OneBootBlock => Flow::Uboot,
            _ => Flow::Tryboot,
        }
    }

    /// What must come of it.
    pub fn fate(self) -> Fate {
        match self {
            Mutant::CachedReadBack | Mutant::FallbackNotReadBack => Fate::CaughtByTrouble,
            Mutant::CommittingNotSaved => Fate::Harmless(
                "a power cut after the flag finds the new slot booted and Armed stored: tried, found healthy and \
                 committed once more",
            ),
            _ => Fate::Caught,
        }
    }

    /// The agent's settings under it.
    pub(super) fn settings(self, mut settings: Settings) -> Settings {
        match self {
            Mutant::CommitBeforeHealth => {
                let nothing = Profile { self_tests: SelfTests::Skip, settle_s: 0, ..Profile::default() };
                settings.health_profile = Some(nothing);
            }
            Mutant::FlagBeforeSelfTests => settings.self_test_plan = Plan::parse("").ok(),
            _ => {}
        }
        settings
    }
}
