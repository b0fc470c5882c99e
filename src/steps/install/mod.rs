//! Install: write a verified release into the inactive slot, and read it back.
//!
//! | file | noun |
//! |---|---|
//! | `chunk` | a chunk's address, and what the slot must hold there |
//! | `content` | what is installed, wherever it comes from |
//! | `bundle` | the stream: strict, verified before use |
//! | `archive`, `part` | a component's release in the repository, and its parts |
//! | `remote` | the repository: only what the device lacks |
//! | `plan` | what is done about each chunk of it |
//! | `delta` | what makes a release from the one that runs |
//! | `full` | the release's own lists and data there |
//! | `fetch` | blobs, verified: as a whole, or frame by frame |
//! | `patch` | raw bytes made from those of the running slot |
//! | `attempts` | which of these did not come out right |
//! | `running` | the running slot, to be read |
//! | `job`, `shared` | a chunk on its way, and what the threads share |
//! | `pipeline` | the threads that bring its data onto the card |
//! | `misdirected_writes` | detects later writes that landed on data verified before |
//! | `header` | what makes a slot look bootable: erased first, written last |
//! | `buffer` | aligned memory, as much as allowed |
mod archive;
mod attempts;
mod buffer;
mod bundle;
mod chunk;
mod content;
mod delta;
mod error;
mod fetch;
mod full;
mod header;
mod job;
mod misdirected_writes;
mod part;
mod patch;
mod pipeline;
mod plan;
mod remote;
mod running;
mod shared;
mod slots;

pub use archive::RemoteArchive;
pub use bundle::Bundle;
pub use content::{Base, Content, Feed};
pub use delta::{Download, Known};
pub use error::InstallError;
pub use header::erase_header;
pub use part::{ReleasePart, TakePart};
pub use pipeline::Stats;
pub use remote::{Allowed, Opened, Remote};
pub use running::known as running_release;
pub use slots::Slots;

use crate::{
    Device, Error,
    error::BundleError,
    ports::{BootControl, Fault},
};
use bistable_boot::{Slot, Target, layout::Partition};
use bistable_format::{
    Digest,
    compat::{self, Direction},
};
use semver::Version;
use std::ops::ControlFlow;

/// What an operator insists on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Install a release that this device rejected.
    pub rejected: bool,
    /// Install a release that the channel withdrew.
    pub withdrawn: bool,
}

impl Overrides {
    /// Nothing: what was rejected or withdrawn stays out.
    pub const NONE: Overrides = Overrides { rejected: false, withdrawn: false };
    /// A rejected release is tried again.
    pub const RETRY: Overrides = Overrides { rejected: true, withdrawn: false };
}

/// Decide whether a verified release may go into the inactive slot: a newer one, or with [`Direction::Back`] any.
///
/// # Errors
/// [`Error::NothingToDo`] when it's running already, [`Error::Rejected`], [`Error::Withdrawn`], or [`Error::Incompatible`] with every
/// reason.
pub fn accept(
    device: &mut Device,
    content: &dyn Content,
    overrides: Overrides,
    direction: Direction,
) -> Result<Target, Error> {
    let release = content.release();
    let id = crate::device::release_id(content.signed());
    let slot = device.inactive();
    let running = device.running().cloned();
    if let Some(image) = &running
        && image.release == id
    {
        let text = format!("release {} is what runs already: nothing to do", release.version);
        return Err(Error::NothingToDo(text));
    }
    if let Some(rejected) = device.record.rejection(&id).filter(|_| !overrides.rejected) {
        return Err(Error::Rejected(rejected.clone()));
    }
    if device.record.withdrawn.contains(&id) && !overrides.withdrawn {
        let (version, channel) = (release.version.clone(), device.record.channel.clone());
        return Err(Error::Withdrawn { version, channel });
    }
    if let Some(base) = content.needs()
        && running.as_ref().is_none_or(|image| image.release.0 != base.0)
    {
        return Err(other_base(device, base, &release.version).into());
    }
    let slots = open_slot(device, slot)?;
    let facts = compat::Device {
        product: &device.record.product,
        board: &device.board.name,
        running: running.as_ref().map(|i| &i.version),
        security_floor: device.record.floors.security_version,
        components: &device.beside(&release.bound)?,
        boot_bytes: slots.boot.bytes(),
        system_bytes: slots.system.bytes(),
    };
    let mut reasons = compat::check(&release.constraints(), &facts, direction);
    reasons.extend(compat::check_release(release));
    if !reasons.is_empty() {
        return Err(Error::Incompatible { version: release.version.clone(), reasons });
    }
    Ok(Target {
        slot,
        release: id,
        version: release.version.clone(),
        security_version: release.security_version,
        durable: device.durable(release),
    })
}

/// That a delta takes another release than the one that runs.
fn other_base(device: &Device, base: Digest, target: &Version) -> BundleError {
    let slots = &device.record.slots;
    let known = [&slots.a, &slots.b].into_iter().flatten().find(|image| image.release.0 == base.0);
    let base = known.map_or_else(|| format!("release {base:.12}"), |image| image.version.to_string());
    let running = device.running();
    let running = running.map_or_else(|| "an unknown release".into(), |image| image.version.to_string());
    BundleError::OtherBase { base, target: target.clone(), running }
}

/// Write the release's data into the target's slot. The state is `Installing` and saved.
///
/// # Errors
/// When the content or the card is to blame, or `progress` had enough; the slot then doesn't look bootable, unless nothing of it was changed.
pub fn write(
    device: &mut Device,
    target: &Target,
    content: &mut dyn Content,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Stats, Error> {
    let slots = open_slot(device, target.slot)?;
    device.mend_root()?;
    device.store_release(target.slot, content.signed())?;
    let mut base = None;
    if content.reuses()
        && let Some(running) = running::base(device, target.slot)?
    {
        base = Some(running.slots.clone());
        content.offer(running);
    }
    let lists = content.lists()?;
    pipeline::run(content, &lists, &slots, base, &device.settings, progress).map_err(|e| match e {
        InstallError::Bundle(e) => Error::Bundle(e),
        InstallError::Fault(e) => Error::Fault(e),
        InstallError::Cancelled => Error::Cancelled,
        e => Error::Fault(Fault::Failing(e.to_string())),
    })
}

/// Open a slot for writing. The running and the default slot are never opened here, whoever asks.
///
/// # Errors
/// When it's one of these, or can't be opened.
pub fn open_slot(device: &mut Device, slot: Slot) -> Result<Slots, Error> {
    let boot: &mut dyn BootControl = &mut *device.board.boot;
    if boot.booted() == slot {
        return Err(Error::NotNow(format!("slot {slot} is running: it can't be written")));
    }
    if boot.default_slot()? == slot {
        return Err(Error::NotNow(format!("slot {slot} is the default: it can't be written")));
    }
    let partitions = &mut device.board.partitions;
    Ok(Slots {
        boot: partitions.open(Partition::Boot(slot))?,
        system: partitions.open(Partition::System(slot))?,
    })
}
