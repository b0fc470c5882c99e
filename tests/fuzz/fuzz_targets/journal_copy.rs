//! Any bytes as a journal copy: loading is total, and what loads can be used, saved and loaded again.
#![no_main]
use bistable_boot::{
    Asked, Blocks, Boot, BootId, COPY_BYTES, Event, Evidence, Failure, Journal, Memory, Now, Reason,
    Record, SECTOR, Slot, layout::JOURNAL,
};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

thread_local! {
    /// Just long enough for both copies; made once, since it is mostly the gap between them.
    static MEDIUM: RefCell<Memory> = RefCell::new(Memory::new(JOURNAL[1].0 as usize + COPY_BYTES / SECTOR));
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, body)) = data.split_first() else { return };
    // Raw bytes for both copies, or a record's bytes in a copy with the right header and checksum: a fuzzer doesn't
    // guess a CRC.
    let mut copies = [[0; COPY_BYTES]; 2];
    if how & 1 == 0 {
        for (copy, bytes) in copies.iter_mut().zip(body.chunks(COPY_BYTES)) {
            copy[..bytes.len()].copy_from_slice(bytes);
        }
    } else {
        let copy = &mut copies[usize::from(how >> 1 & 1)];
        let body = &body[..body.len().min(COPY_BYTES - 20)];
        copy[..6].copy_from_slice(b"BJRN\x01\x00");
        copy[6..8].copy_from_slice(&(body.len() as u16).to_le_bytes());
        copy[16..16 + body.len()].copy_from_slice(body);
        let crc = CRC.checksum(&copy[..COPY_BYTES - 4]);
        copy[COPY_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    }
    MEDIUM.with_borrow_mut(|medium| {
        for (at, copy) in JOURNAL.iter().zip(&copies) {
            medium.write(*at, copy).unwrap();
        }
        let mut journal = Journal::new(medium);
        if let Ok(record) = journal.load() {
            use_it(&mut journal, record);
        }
    });
});

fn use_it(journal: &mut Journal<&mut Memory>, mut record: Record) {
    let why = Failure::new(Reason::Operator, "fuzzed");
    let [this, next] = [0, 1].map(BootId::numbered);
    let booted = |slot, evidence| Err(Boot { slot, id: next, evidence });
    let mut now = Now::Saved(record.state.clone());
    // Decisions, and starts of the agent.
    for happens in [
        booted(Slot::A, Evidence::Unknown),
        Ok(Event::Healthy),
        booted(Slot::B, Evidence::NotTried),
        Ok(Event::Rebooting(Asked { boot: this, counter: 0 })),
        Ok(Event::RebootCanceled),
        booted(Slot::A, Evidence::Tried),
        Ok(Event::Installed),
        Ok(Event::Failed(why)),
        Ok(Event::Reverted),
        Ok(Event::Committed),
    ] {
        let event = match happens {
            Ok(event) => event,
            Err(boot) => {
                now = record.state.booted(boot);
                continue;
            }
        };
        let before = record.clone();
        match record.on(&mut now, event) {
            Ok(true) => {
                journal.save(&mut record).expect("a record that was read can be changed and saved");
                assert_eq!(journal.load().expect("it was saved"), record);
            }
            Ok(false) | Err(_) => assert_eq!(record, before),
        }
    }
}
