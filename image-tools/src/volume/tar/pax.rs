//! PAX extended headers: records `length key=value\n`. Values may hold any byte, newlines and NULs included.

use std::collections::{BTreeMap, BTreeSet};

use crate::volume::tree::Time;

/// What the records say, as far as it matters for a volume.
#[derive(Debug, Clone, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<Time>,
    pub(super) xattrs: BTreeMap<Box<str>, Box<[u8]>>,
    pub(super) sparse: SparseRecords,
    /// Keys of what is not taken over, though it belongs to the file; some may have come under another key as well.
    ignored: BTreeSet<String>,
}

/// The records of GNU's sparse formats 0.0, 0.1 and 1.0.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Offsets and lengths in turn.
    pub(super) map: Vec<u64>,
}

impl Pax {
    /// These records with those of one more header; the error says which is wrong.
    pub(super) fn read(mut self, mut records: &[u8]) -> Result<Self, String> {
        while !records.is_empty() {
            if records.iter().all(|byte| *byte == 0) {
                break;
            }
            let wrong = || "a record isn't \"length key=value\"".to_owned();
            let space = records.iter().take(20).position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length = std::str::from_utf8(records.get(..space).unwrap_or_default())
                .ok()
                .and_then(|text| text.parse::<usize>().ok())
                .ok_or_else(wrong)?;
            let record = records.get(space + 1..length).ok_or_else(wrong)?;
            let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = record.split_at(equals);
            self.record(key, value.get(1..).unwrap_or_default())?;
            records = records.get(length..).unwrap_or_default();
        }
        Ok(self)
    }

    /// What is lost, once all records of an entry are read: libarchive writes each attribute twice, its own way first.
    pub(super) fn lost(&self) -> Vec<&str> {
        let is_there = |key: &str| {
            let name = key.strip_prefix("LIBARCHIVE.xattr.");
            name.is_some_and(|name| self.xattrs.contains_key(name))
        };
        self.ignored.iter().map(String::as_str).filter(|key| !is_there(key)).collect()
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let Ok(key) = std::str::from_utf8(key) else {
            return Err("a key is not UTF-8".into());
        };
        let text = || std::str::from_utf8(value).ok();
        let wrong = || format!("{key} has the value {:?}", String::from_utf8_lossy(value));
        let number = || text().and_then(|text| text.parse::<u64>().ok()).ok_or_else(wrong);
        let signed = || text().and_then(|text| text.parse::<i64>().ok()).ok_or_else(wrong);
        // An empty value takes the record back.
        let given = !value.is_empty();
        match key {
            "path" => self.path = given.then(|| value.to_vec()),
            "linkpath" => self.link = given.then(|| value.to_vec()),
            "size" => self.size = if given { Some(number()?) } else { None },
            "uid" => self.uid = if given { Some(signed()?) } else { None },
            "gid" => self.gid = if given { Some(signed()?) } else { None },
            "mtime" => {
                self.mtime = if given { Some(text().and_then(time).ok_or_else(wrong)?) } else { None };
            }
            "GNU.sparse.major" => self.sparse.major = Some(number()?),
            "GNU.sparse.minor" => self.sparse.minor = Some(number()?),
            "GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            "GNU.sparse.size" | "GNU.sparse.realsize" => self.sparse.size = Some(number()?),
            "GNU.sparse.offset" | "GNU.sparse.numbytes" => self.sparse.map.push(number()?),
            "GNU.sparse.map" => {
                let numbers = text().unwrap_or("?").split(',').map(str::parse::<u64>);
                self.sparse.map = numbers.collect::<Result<_, _>>().map_err(|_| wrong())?;
            }
            "RHT.security.selinux" => {
                // star's and GNU tar's record lacks the NUL that the kernel's attribute ends in.
                let mut label = value.to_vec();
                if label.last() != Some(&0) {
                    label.push(0);
                }
                self.xattrs.insert("security.selinux".into(), label.into());
            }
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    self.xattrs.insert(name.into(), value.into());
                } else if key.starts_with("SCHILY.acl.") || key.starts_with("LIBARCHIVE.xattr.") {
                    if given {
                        self.ignored.insert(key.into());
                    } else {
                        self.ignored.remove(key);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Decimal seconds with an optional fraction, possibly negative.
fn time(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let secs: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{:0<9}", fraction.get(..9).unwrap_or(fraction));
    let nanos: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanos > 0 {
        // Before 1970 the fraction counts away from zero; an inode counts it upwards.
        return Some(Time { secs: secs.checked_sub(1)?, nanos: 1_000_000_000 - nanos });
    }
    Some(Time { secs, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let mut digits = 1;
        let total = loop {
            let total = digits + key.len() + value.len() + 3;
            if total.to_string().len() == digits {
                break total;
            }
            digits += 1;
        };
        [format!("{total} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn binary_values_survive() {
        let value = b"\x01\0\0\x02\n=\n12 a=b\n\0";
        let pax = Pax::default().read(&record("SCHILY.xattr.security.capability", value)).unwrap();
        assert_eq!(pax.xattrs.get("security.capability").map(|v| &v[..]), Some(&value[..]));
    }

    #[test]
    fn only_what_comes_under_no_other_key_is_lost() {
        let records = [
            record("LIBARCHIVE.xattr.user.a", b"Yg"),
            record("LIBARCHIVE.xattr.user.b", b"Yg"),
            record("SCHILY.acl.access", b"user::rw-,user:1000:rw-"),
            record("SCHILY.xattr.user.a", b"b"),
        ];
        let pax = Pax::default().read(&records.concat()).unwrap();
        assert_eq!(pax.lost(), ["LIBARCHIVE.xattr.user.b", "SCHILY.acl.access"]);
    }

    #[test]
    fn times() {
        for (text, time) in [
            ("0", Some((0, 0))),
            ("1.5", Some((1, 500_000_000))),
            ("1.1234567899", Some((1, 123_456_789))),
            ("-1.25", Some((-2, 750_000_000))),
            ("1.x", None),
            ("", None),
        ] {
            assert_eq!(super::time(text), time.map(|(secs, nanos)| Time { secs, nanos }), "{text}");
        }
    }

    #[test]
    fn wrong_records_are_refused() {
        for records in [
            &b"5 a=b\n"[..],
            b"999999999999999999999999 a=b\n",
            b"3 a",
            b"x a=b\n",
            b"6 ab c\n",
            b"0 a=b\n",
            b"2 a=b\n",
            b"10 size=x1\n",
        ] {
            assert!(Pax::default().read(records).is_err(), "{records:?}");
        }
    }
}
