//! Equivocation: two signed files of one channel with the same number. Whoever can write to the store may delete the newest
//! files, and the next ones are signed under numbers that devices have seen already: a withdrawal would be undone unseen.
use crate::{Device, Error, source::Source};
use bistable_boot::{Equivocation, PayloadDigest};
use bistable_format::{Channel, Digest, Envelope, Role, Root, repository};

/// What was accepted last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// Of this channel.
    pub(super) channel: &'a str,
    /// Its number.
    pub(super) sequence: u64,
    /// Its payload.
    pub(super) payload: Option<PayloadDigest>,
}

/// The digest of a channel file's payload. Signatures may be added to it without its becoming another one.
pub(super) fn digest(signed: &[u8]) -> PayloadDigest {
    let payload = Envelope::parse(signed, Role::Channel).map_or(signed, |envelope| envelope.payload);
    PayloadDigest(Digest::of(payload).0)
}

/// Whether a verified channel has the number of the one that was accepted, and is another one. Gives it, and what was
/// accepted.
pub(super) fn find(
    seen: Seen<'_>,
    channel: &Channel,
    payload: PayloadDigest,
) -> Option<(Equivocation, PayloadDigest)> {
    let accepted = seen.payload.filter(|accepted| *accepted != payload)?;
    let same = channel.name == seen.channel && channel.sequence == seen.sequence;
    same.then_some((Equivocation { sequence: channel.sequence, refused: payload }, accepted))
}

/// Whether the source has another signed file under the number of the one that was accepted. A source without that file, or
/// with one that can't be verified, shows nothing.
pub(super) fn earlier(source: &mut dyn Source, root: &Root, seen: Seen<'_>) -> Option<Equivocation> {
    if seen.payload.is_none() || seen.sequence == 0 {
        return None;
    }
    let path = repository::channel(seen.channel, seen.sequence);
    let bytes = source.get(&path, Envelope::MAX_BYTES).ok().flatten()?;
    let opened = Channel::open(&bytes, root).ok()?;
    find(seen, &opened, digest(&bytes)).map(|(found, _)| found)
}

/// Remember it for `status`, until an operator acknowledges it. Nothing else changes.
pub(super) fn remember(device: &mut Device, found: Equivocation) -> Result<(), Error> {
    // While a boot has shown something that no decision followed, nothing else is saved; the next check remembers it.
    if device.record.equivocation == Some(found) || !device.is_as_saved() {
        return Ok(());
    }
    log::warn!(number = found.sequence, payload:% = found.refused; "equivocation");
    let mut next = device.record.clone();
    next.equivocation = Some(found);
    device.save(next)
}
