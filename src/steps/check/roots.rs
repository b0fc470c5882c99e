//! The keys: a newer root, if there is one.
use super::{CheckError, Remember};
use crate::{Device, Error, source::Source};
use bistable_format::{Envelope, Role, Root, repository};

/// How many roots are followed at a time; the rest at the next check.
const STEPS: u32 = 64;

/// Follow the chain of roots from the one that is trusted, each signed by the keys of the one before and its own. The last
/// one is stored, and becomes the floor.
pub(super) fn follow(
    device: &mut Device,
    source: &mut dyn Source,
    remember: Remember,
) -> Result<Root, Error> {
    let trusted = device.root()?;
    let mut newest: Option<(Root, Vec<u8>)> = None;
    for _ in 0..STEPS {
        let root = newest.as_ref().map_or(&trusted, |(root, _)| root);
        let Some(version) = root.version.checked_add(1) else { break };
        let path = repository::root(version);
        let Some(bytes) = source.small(&path, Envelope::MAX_BYTES).map_err(CheckError::Source)? else {
            break;
        };
        let at = || format!("{}/{path}", source.name());
        let next = root.successor(&bytes).map_err(|problem| CheckError::Untrusted { at: at(), problem })?;
        if !device.settings.allow_demo_keys {
            next.refuse_demo().map_err(|problem| CheckError::Untrusted { at: at(), problem })?;
        }
        newest = Some((next, bytes));
    }
    let Some((root, bytes)) = newest else { return Ok(trusted) };
    if remember == Remember::No || device.record.state != *device.stored() {
        // Nothing is saved now. It is as good for this check, and followed again at the next one.
        return Ok(root);
    }
    // First what is trusted, then that nothing older is: in between, the old floor fits both.
    device.store_root(&bytes)?;
    let mut next = device.record.clone();
    next.floors.root_version = root.version;
    if root.role(Role::Channel) != trusted.role(Role::Channel) {
        // Other keys sign channels now. Whoever had the old ones may have signed the highest number and the latest time
        // there is; that is no reason not to believe the new ones.
        next.floors.channel_sequence = 0;
        next.floors.issued_at = 0;
    }
    log::info!("root={}", root.version);
    device.save(next)?;
    Ok(root)
}
