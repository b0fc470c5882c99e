//! Any bytes as `autoboot.txt`: reading is total, and only a mix of our two texts is taken for ours.
#![no_main]
use bistable_boot::{Autoboot, SECTOR, Slot, layout::BOOT_PARTITIONS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let reading = Autoboot::read(data);
    assert_eq!(reading, Autoboot::read(&data[..data.len().min(SECTOR)]), "only 512 bytes count");

    // As a sector of its own, and laid over one of ours: the second gets close to the texts.
    let [ours, other] = Slot::ALL.map(|default| Autoboot { partitions: BOOT_PARTITIONS, default }.render());
    for mut sector in [[0; SECTOR], ours] {
        let len = data.len().min(SECTOR);
        sector[..len].copy_from_slice(&data[..len]);
        let mix = (0..SECTOR).all(|i| sector[i] == ours[i] || sector[i] == other[i]);
        match Autoboot::recognize(&sector, BOOT_PARTITIONS) {
            Some(reading) => {
                assert!(mix && reading.tryboot_a_b);
                assert!(reading.default_slot(BOOT_PARTITIONS).is_some());
                assert!(reading.tryboot_slot(BOOT_PARTITIONS).is_some());
            }
            None => assert!(!mix),
        }
    }
});
