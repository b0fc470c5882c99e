//! One event as it lies in the log, and its line.
//!
//! A line is one JSON object whose last field is `crc`: the CRC-32 (ISO-HDLC) of all bytes before `,"crc"`. Blanks may follow it.
use crc::{Crc, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the form of an entry. Fields and types may be added.
pub const VERSION: u32 = 1;

/// A longer line isn't written, and not read either.
pub const LINE_MAX: usize = 16 << 10;

// Each look at the log checks every line of it: sixteen bytes at a time, for 16 KiB of tables.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&crc::CRC_32_ISO_HDLC);
const BEFORE_CRC: &[u8] = b",\"crc\":\"";
/// `,"crc":"01234567"}`
const END_BYTES: usize = BEFORE_CRC.len() + 8 + 2;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Priority {
    /// It happened.
    Info,
    /// Something isn't as it should be; the device deals with it.
    Warning,
    /// Something failed.
    Error,
    /// A person has to look at it.
    Critical,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Entry {
    /// Version of this form.
    pub version: u32,
    /// Its number. Numbers rise, may have gaps, and are never used twice.
    pub seq: u64,
    /// Its name, for whoever gets it twice: no other event of any device has it.
    pub id: String,
    /// What it is about: `device`, `component/NAME` or `job/ID`.
    pub stream: String,
    /// Its number in that stream: the first is 1.
    pub stream_seq: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The part of Bistable that reports it.
    pub source: String,
    /// How much it matters.
    pub priority: Priority,
    /// What the wall clock showed, in UTC (RFC 3339).
    pub timestamp: String,
    /// Whether the wall clock went by another clock then. If it didn't, `timestamp` may be any time.
    pub synchronized: bool,
    /// The boot in which it happened.
    pub boot_id: String,
    /// The run of the program that wrote it.
    pub session: String,
    /// The request that it comes from: the same in all events of that request.
    pub correlation_id: String,
    /// How often the same was reported again, and left out, before this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u64,
    /// More of it, by type.
    pub data: Value,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Entry {
    /// Seconds since 1970, if the clock could be believed then.
    pub fn time(&self) -> Option<u64> {
        crate::date::believed(&self.timestamp, self.synchronized)
    }

    /// Its line, with the newline. `None` for one that is too long.
    pub fn line(&self) -> Option<Vec<u8>> {
        // Only a map whose keys aren't strings fails, and there is none.
        let mut line = serde_json::to_vec(self).ok()?;
        line.pop();
        let sum = CRC.checksum(&line);
        line.extend_from_slice(BEFORE_CRC);
        line.extend_from_slice(format!("{sum:08x}\"}}\n").as_bytes());
        (line.len() <= LINE_MAX).then_some(line)
    }

    /// Read a line without its newline; `None` if it is damaged.
    pub fn read(line: &[u8]) -> Option<Entry> {
        let line = line.trim_ascii_end();
        if line.len() > LINE_MAX {
            return None;
        }
        let (content, end) = line.split_at_checked(line.len().checked_sub(END_BYTES)?)?;
        let sum = end.strip_prefix(BEFORE_CRC)?.strip_suffix(b"\"}")?;
        if sum != format!("{:08x}", CRC.checksum(content)).as_bytes() {
            return None;
        }
        serde_json::from_slice(&[content, b"}"].concat()).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    pub(crate) fn entry(seq: u64, kind: &str) -> Entry {
        Entry {
            version: VERSION,
            seq,
            id: format!("b-{seq}"),
            stream: "device".into(),
            stream_seq: seq,
            kind: kind.into(),
            source: "agent".into(),
            priority: Priority::Info,
            timestamp: "2026-11-29T12:00:00Z".into(),
            synchronized: true,
            boot_id: "b".into(),
            session: "s".into(),
            correlation_id: "c".into(),
            repeats: 0,
            data: json!({ "n": seq }),
        }
    }

    #[test]
    fn a_line_is_json_and_comes_back() {
        let entry = Entry { repeats: 3, data: json!({ "text": "a\n\"}ü" }), ..entry(7, "x.y") };
        let line = entry.line().unwrap();
        let json: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&json["seq"], &json["type"], &json["repeats"]), (&json!(7), &json!("x.y"), &json!(3)));
        assert!(line.ends_with(b"\"}\n") && json["crc"].as_str().is_some_and(|crc| crc.len() == 8));
        assert_eq!(Entry::read(line.trim_ascii_end()), Some(entry.clone()));
        assert_eq!(Entry::read(&[line.trim_ascii_end(), b"   "].concat()), Some(entry));
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let long = Entry { data: json!("x".repeat(LINE_MAX)), ..entry(1, "x") };
        assert_eq!(long.line(), None);
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_noticed(at in 0..300_usize, by in 1..=255_u8) {
            let mut line = entry(9, "update.armed").line().unwrap();
            line.pop();
            let at = at % line.len();
            line[at] ^= by;
            prop_assert_eq!(Entry::read(&line), None);
        }

        #[test]
        fn any_bytes_are_an_entry_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(Entry::read(&bytes), None);
        }
    }
}
