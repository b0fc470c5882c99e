//! Any bytes as a segment of the event log: reading is total, what is read is written and read as the same, and the fold of it is
//! that of any snapshot and its tail.
#![no_main]
use bistable::events::{Entry, Fold, Segment, packed};
use libfuzzer_sys::fuzz_target;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

fuzz_target!(|data: &[u8]| {
    let Some((&how, body)) = data.split_first() else { return };
    // A fuzzer doesn't guess a checksum: each line gets its own.
    let mut bytes = Vec::new();
    if how & 1 == 0 {
        bytes.extend_from_slice(body);
    } else {
        for line in body.split(|b| *b == b'\n') {
            let line = line.strip_suffix(b"}").unwrap_or(line);
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(format!(",\"crc\":\"{:08x}\"}}\n", CRC.checksum(line)).as_bytes());
        }
    }
    let segment = Segment::parse(&bytes);
    assert!(segment.entries.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    // A line that was just short enough may be too long with its numbers as we write them.
    let entries: Vec<Entry> = segment.entries.into_iter().filter(|entry| entry.line().is_some()).collect();
    let again = Segment::parse(&packed(&entries));
    // Not their data: a number with a fraction may be read as its neighbor.
    let names = |entries: &[Entry]| entries.iter().map(|e| (e.seq, e.kind.clone(), e.id.clone())).collect::<Vec<_>>();
    assert!(names(&again.entries) == names(&entries) && again.damaged == 0 && !again.torn);
    let all = Fold::of(Fold::default(), &entries);
    let half = Fold::of(Fold::default(), &entries[..entries.len() / 2]);
    assert_eq!(Fold::of(half, &entries), all);
});
