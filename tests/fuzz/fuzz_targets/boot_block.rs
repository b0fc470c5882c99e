//! Any bytes as a copy of the boot block: reading is total, with a good checksum too; what is read is written and read
//! as the same, and the decision never writes to the copy that counts.
#![no_main]
use bistable_boot::{
    BootBlock, SECTOR,
    bootblock::{newest, start},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [first, second] = [0, SECTOR - 4].map(|from| {
        let mut sector = [0; SECTOR];
        let data = data.get(from..).unwrap_or_default();
        let len = data.len().min(SECTOR - 4);
        sector[4..4 + len].copy_from_slice(&data[..len]);
        let _ = BootBlock::parse(&sector);
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&sector[4..]);
        sector[..4].copy_from_slice(&sum.to_le_bytes());
        let read = BootBlock::parse(&sector).ok();
        if let Some(block) = read {
            assert_eq!(BootBlock::parse(&block.render()), Ok(block));
        }
        read
    });
    let plan = start([first, second]);
    assert_eq!(plan.order[1], !plan.order[0]);
    if let (Some((copy, _)), Some((counts, block))) = (plan.count, newest([first, second])) {
        assert_ne!(copy, counts);
        assert_eq!(Some(plan.order[0]), block.pending());
    }
});
