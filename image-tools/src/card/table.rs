//! The partition table: GPT, both copies, with the protective MBR.
use super::image::CardImage;
use super::plan::CardPlan;
use super::{CardError, Place};
use bistable_boot::layout::Partition;
use bistable_boot::{SECTOR, layout};
use bistable_format::{Digest, Hasher};
use gptman::{GPT, GPTPartitionEntry};

/// "Basic data": what firmware takes for a FAT. `EBD0A0A2-B9E5-4433-87C0-68B6B72699C7`, in the table's byte order.
const BASIC_DATA: [u8; 16] =
    [0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7];
/// "Linux filesystem": `0FC63DAF-8483-4772-8E79-3D69D8477DE4`.
const LINUX: [u8; 16] =
    [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];
/// Ours, so that nothing else takes the state partition for its own: `B157AB1E-57A7-8E00-A001-0C4A2D5E0001`.
const STATE: [u8; 16] =
    [0x1e, 0xab, 0x57, 0xb1, 0xa7, 0x57, 0x00, 0x8e, 0xa0, 0x01, 0x0c, 0x4a, 0x2d, 0x5e, 0x00, 0x01];
/// Sectors of a copy of the table: its head and 128 entries of 128 bytes.
const TABLE_SECTORS: u64 = 33;

pub(super) fn write(
    card: &mut CardImage,
    plan: &CardPlan,
    product: &str,
    release: &Digest,
) -> Result<(), CardError> {
    let sector = SECTOR as u64;
    let failed = |e: gptman::Error| match e {
        gptman::Error::Io(e) => CardError::Output(card.error(e)),
        other => CardError::Internal(format!("the partition table: {other}")),
    };
    let mut file = card.file();
    let mut gpt = GPT::new_from(&mut file, sector, guid(product, release, "card")).map_err(failed)?;
    for (partition, Place { start, bytes }) in plan.partitions() {
        gpt[u32::from(partition.number())] = GPTPartitionEntry {
            partition_type_guid: kind(*partition),
            unique_partition_guid: guid(product, release, partition.name()),
            starting_lba: start / sector,
            ending_lba: (start + bytes) / sector - 1,
            attribute_bits: 0,
            partition_name: partition.name().into(),
        };
    }
    gpt.write_into(&mut file).map_err(failed)?;
    GPT::write_protective_mbr_into(&mut file, sector).map_err(failed)?;
    let table = (TABLE_SECTORS + 1) * sector;
    card.map(0, table);
    card.map(card.bytes() - table, table);
    Ok(())
}

fn kind(partition: Partition) -> [u8; 16] {
    match partition {
        Partition::Bootconfig | Partition::Boot(_) => BASIC_DATA,
        Partition::System(_) | Partition::Persistent => LINUX,
        layout::Partition::State => STATE,
    }
}

/// A name for the disk or a partition that is the same whenever the same card is made.
fn guid(product: &str, release: &Digest, what: &str) -> [u8; 16] {
    let mut hasher = Hasher::new();
    for part in [b"bistable card\0", product.as_bytes(), b"\0", &release.0, what.as_bytes()] {
        hasher.update(part);
    }
    let Digest(digest) = hasher.finish();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    // Version 8 (vendor-specific) and variant of RFC 9562; the first three fields are little-endian in a GPT.
    id[7] = (id[7] & 0x0f) | 0x80;
    id[8] = (id[8] & 0x3f) | 0x80;
    id
}
