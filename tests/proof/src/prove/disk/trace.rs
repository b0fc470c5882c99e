//! From the log of a disk to the writes and flushes of a card.
use crate::prove::{card::Op, places::Places};
use anyhow::{Context, Result, bail};
use bistable_boot::layout::Partition;
use bistable_kit::disk_log::{Entry, What};
use semver::Version;
use std::collections::BTreeSet;

/// The partition that a range lies in.
///
/// # Errors
/// When it lies in none, or in more than one.
pub fn partition(places: &Places, at: u64, bytes: u64) -> Result<Partition> {
    let inside = |p: &Partition| {
        let start = places.start(*p);
        at >= start && at.checked_add(bytes).is_some_and(|end| end <= start + places.bytes(*p))
    };
    Partition::ALL
        .into_iter()
        .find(inside)
        .with_context(|| format!("{bytes} bytes at {at} lie in no partition"))
}

/// The log as the crash states are made from it. `promised` are releases that the device said are the default, each with
/// the number of entries before that.
///
/// A flush is the whole disk's, so it becomes one of each partition that has something to flush. A write that was durable
/// when it was done becomes a write and a flush; with others of its partition before it that weren't, it counts as not
/// durable either: stricter than the disk.
///
/// # Errors
/// When something was written outside all partitions, or given up.
pub fn ops(entries: &[Entry], places: &Places, promised: &[(u64, Version)]) -> Result<Vec<Op>> {
    let mut ops = Vec::new();
    let mut pending = BTreeSet::new();
    let mut promised = promised.iter().peekable();
    for (before, entry) in (0..).zip(entries) {
        while let Some((_, version)) = promised.next_if(|(at, _)| *at <= before) {
            ops.push(Op::Promised(version.clone()));
        }
        match &entry.what {
            What::Write { at, data, flush_before, durable } => {
                let partition = partition(places, *at, data.len() as u64)?;
                if *flush_before {
                    flush(&mut pending, &mut ops);
                }
                ops.push(Op::Write { partition, at: *at, data: data.clone() });
                if *durable && !pending.contains(&partition.number()) {
                    ops.push(Op::Flush(partition));
                } else {
                    pending.insert(partition.number());
                }
            }
            What::Flush => flush(&mut pending, &mut ops),
            What::Discard { at, bytes } => {
                bail!("{bytes} bytes at {at} were discarded: that was not asked for")
            }
            What::Mark(_) => {}
        }
    }
    ops.extend(promised.map(|(_, version)| Op::Promised(version.clone())));
    Ok(ops)
}

fn flush(pending: &mut BTreeSet<u8>, ops: &mut Vec<Op>) {
    let all = std::mem::take(pending);
    ops.extend(Partition::ALL.into_iter().filter(|p| all.contains(&p.number())).map(Op::Flush));
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_boot::{Slot, layout::STATE_BYTES};

    fn places() -> Places {
        let mut at = 0;
        Places::new(Partition::ALL.map(|_| {
            at += STATE_BYTES;
            (at, STATE_BYTES)
        }))
    }

    fn write(partition: Partition, durable: bool) -> Entry {
        let at = places().start(partition);
        Entry { what: What::Write { at, data: [1; 512].into(), flush_before: false, durable }, end: 0 }
    }

    fn words(entries: &[Entry], promised: &[(u64, Version)]) -> String {
        let word = |op: Op| match op {
            Op::Write { partition, .. } => format!("w{}", partition.number()),
            Op::Flush(partition) => format!("f{}", partition.number()),
            Op::Promised(_) | Op::Trial | Op::NewGoal | Op::Logged(..) => "p".into(),
        };
        ops(entries, &places(), promised).unwrap().into_iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_flush_is_for_what_is_pending() {
        let (a, b) = (Partition::Boot(Slot::A), Partition::State);
        let flush = || Entry { what: What::Flush, end: 0 };
        let log =
            [flush(), write(a, false), write(b, false), write(a, false), flush(), flush(), write(b, false)];
        let promised = [(5, Version::new(1, 0, 0)), (9, Version::new(2, 0, 0))];
        assert_eq!(words(&log, &promised), "w2 w7 w2 f2 f7 p w7 p");
    }

    #[test]
    fn a_durable_write_needs_no_flush_but_helps_no_other() {
        let (a, b) = (Partition::Boot(Slot::A), Partition::State);
        assert_eq!(words(&[write(b, false), write(a, true)], &[]), "w7 w2 f2");
        assert_eq!(words(&[write(a, false), write(a, true)], &[]), "w2 w2");
    }

    #[test]
    fn outside_is_refused() {
        let outside = Entry {
            what: What::Write {
                at: places().start(Partition::Bootconfig) - 512,
                data: [1; 1024].into(),
                flush_before: false,
                durable: false,
            },
            end: 0,
        };
        assert!(ops(&[outside], &places(), &[]).is_err());
        let discard =
            Entry { what: What::Discard { at: places().start(Partition::State), bytes: 512 }, end: 0 };
        assert!(ops(&[discard], &places(), &[]).is_err());
    }
}
