//! What the agent does, in which order: the only thing about it that the model says again.
use bistable_boot::{Action, Asked, BootId, Event};

/// A request for a reboot, to be saved; the running boot's id goes into it.
pub const REBOOTING: Event = Event::Rebooting(Asked { boot: BootId([0; 16]), counter: 0 });

/// One thing that the agent does at a time. A write is followed by its flush before anything else is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// `Agent::install`, at rest: begin with what is offered, if anything is.
    Begin,
    /// `Agent::install`, begun: continue with the same bundle, give up for another one, or wait for one.
    Open,
    /// `Device::store_release`: the signed release, beside the journal.
    StoreRelease,
    /// `install::erase_header`, before the first byte of a slot is written.
    EraseHeader,
    /// `pipeline::write`: the slot's old data is no more.
    BeginData,
    /// `pipeline::write` to its end, flushed and read back.
    WriteData,
    /// `pipeline::write_header`: from here on the slot looks bootable.
    WriteHeader,
    /// `Agent::self_test`, on the system that runs.
    SelfTest,
    /// `Agent::repair_flag`: a torn one is written whole.
    RepairFlag,
    /// `Agent::on`: what these events make of the record is saved, once for all of them.
    Save(&'static [Event]),
    /// `BootControl::try_once(target)`: no write, forgotten without power.
    SetOnce,
    /// `Host::reboot`. Flushes nothing.
    Reboot,
    /// `health::check` in `Agent::trial`: the self-tests again, and the checks to the deadline.
    Health,
    /// `steps::commit::run`: `BootControl::make_default(target)`.
    SwitchAlways,
    /// `steps::revert::restore_flag`: written only if it isn't the old slot's, whole.
    RestoreFlag,
    /// `BootControl::try_once(old)`: a reboot that was asked for and never came must not try the slot later.
    ClearOnce,
    /// `Agent::revert`, in the slot that is given up: ask for the reboot out of it, and do it.
    Leave,
    /// `steps::revert::erase`, unless the slot held its release before.
    EraseFailed,
}

/// The order of acts for each thing that a state asks for.
pub type Order = fn(Action) -> &'static [Act];

/// The agent's: `Agent::resume` asks [`Now::todo`](bistable_boot::Now::todo), does these acts from first to last,
/// and asks again. The match has no wildcard, so a new kind of state can't be forgotten here.
pub fn order(todo: Action) -> &'static [Act] {
    const INSTALL: &[Act] = &[
        Act::Open,
        Act::StoreRelease,
        Act::EraseHeader,
        Act::BeginData,
        Act::WriteData,
        Act::WriteHeader,
        Act::Save(&[Event::Installed]),
    ];
    // Armed and asked for in one save: a power cut between them would only have tested again.
    const SELF_TEST: &[Act] = &[
        Act::SelfTest,
        Act::RepairFlag,
        Act::Save(&[Event::SelfTestsPassed, REBOOTING]),
        Act::SetOnce,
        Act::Reboot,
    ];
    const TRY: &[Act] = &[Act::RepairFlag, Act::Save(&[REBOOTING]), Act::SetOnce, Act::Reboot];
    const HEALTH: &[Act] = &[Act::Health, Act::Save(&[Event::Healthy])];
    const COMMIT: &[Act] = &[Act::SwitchAlways, Act::Save(&[Event::Committed])];
    const REVERT: &[Act] =
        &[Act::RestoreFlag, Act::ClearOnce, Act::Leave, Act::EraseFailed, Act::Save(&[Event::Reverted])];
    match todo {
        Action::Wait => &[Act::Begin],
        Action::Install => INSTALL,
        Action::SelfTest => SELF_TEST,
        Action::Try => TRY,
        Action::HealthCheck => HEALTH,
        Action::Commit => COMMIT,
        Action::Revert => REVERT,
    }
}
