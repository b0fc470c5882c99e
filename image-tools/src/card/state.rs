//! The `state` partition of a new card: journal, root of trust, the release in slot A, and U-Boot's boot block.
use super::image::{AccessError, CardImage, PartitionBlocks};
use super::{CardError, Place};
use bistable_boot::component::ComponentRecord;
use bistable_boot::layout::{BOOT_BLOCK, FLOORS, METADATA_BYTES, RELEASE, ROOT};
use bistable_boot::{Blocks, BootBlock, FloorsCopy, Flow, Journal, JournalError, Lba, Record, SECTOR};
use bistable_format::RootChain;

pub(super) fn write(
    card: &mut CardImage,
    place: Place,
    record: &Record,
    roots: &RootChain,
    release: &[u8],
    flow: Flow,
) -> Result<(), CardError> {
    let failed = |e: AccessError| match e {
        AccessError::Io(e) => CardError::Output(card.error(e)),
        AccessError::OutOfRange(e) => CardError::Internal(format!("the state partition: {e}")),
    };
    let mut blocks = PartitionBlocks { file: card.file(), place };
    for at in ROOT {
        put(&mut blocks, at, &roots.encode()).map_err(failed)?;
    }
    let floors = FloorsCopy::of(record, 1).encode();
    let floors = floors.ok_or_else(|| CardError::Internal("the floors: a name is too long".into()))?;
    for at in FLOORS {
        blocks.write(at, &floors).map_err(failed)?;
    }
    put(&mut blocks, RELEASE.a, release).map_err(failed)?;
    if flow == Flow::Uboot {
        for at in BOOT_BLOCK {
            blocks.write(at, &BootBlock::FIRST.render()).map_err(failed)?;
        }
    }
    Journal::new(blocks).format(record).map_err(|e| match e {
        JournalError::Io(e) => failed(e),
        other => CardError::Internal(format!("the journal: {other}")),
    })?;
    // All of it matters: an old card's journal or release must not shine through.
    card.map(place.start, place.bytes);
    Ok(())
}

/// What is remembered of the components.
pub(super) fn write_components(
    card: &CardImage,
    place: Place,
    record: &ComponentRecord,
) -> Result<(), CardError> {
    let blocks = PartitionBlocks { file: card.file(), place };
    Journal::<_, ComponentRecord>::of(blocks).format(record).map_err(|e| match e {
        JournalError::Io(AccessError::Io(e)) => CardError::Output(card.error(e)),
        other => CardError::Internal(format!("the record of the components: {other}")),
    })
}

/// A signed release or a chain of roots as it is, filled up to whole sectors with zeros. It knows its own length.
fn put(blocks: &mut PartitionBlocks<'_>, at: Lba, signed: &[u8]) -> Result<(), AccessError> {
    debug_assert!(signed.len() <= METADATA_BYTES);
    let mut bytes = signed.to_vec();
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    blocks.write(at, &bytes)
}
