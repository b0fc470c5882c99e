//! What is mounted, and how: `/proc/self/mountinfo`.
//!
//! ```text
//! 36 35 179:4 / /mnt/my\040disk ro,noatime shared:1 - ext4 /dev/mmcblk0p4 rw,errors=remount-ro
//! │  │  │     │ │               │          │          │    │              └ of the file system
//! │  │  │     │ │               │          │          │    └ what was mounted
//! │  │  │     │ │               │          │          └ kind of file system
//! │  │  │     │ │               │          └ any number of optional fields, then a lone dash
//! │  │  │     │ │               └ of this mount
//! │  │  │     │ └ where; space, tab, newline and backslash are written in octal
//! │  │  │     └ which folder of the file system
//! │  │  └ device number
//! ```
//! (proc(5); the kernel's `fs/proc_namespace.c`)
use super::{PiError, Sysroot};
use std::{fmt, path::Path, str::FromStr};

/// A device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevNo {
    /// Kind of device; 0 for what is no device.
    pub major: u32,
    /// Which one.
    pub minor: u32,
}

impl fmt::Display for DevNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for DevNo {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.trim().split_once(':').ok_or(())?;
        Ok(DevNo { major: major.parse().map_err(|_| ())?, minor: minor.parse().map_err(|_| ())? })
    }
}

/// Whether a file system may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not mounted.
    ReadOnly,
    /// By any process: a read-only view of a file system that is writable elsewhere counts as this.
    ReadWrite,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The file system's device.
    pub dev: DevNo,
    /// Where it is mounted.
    pub point: String,
    /// Whether the file system may be written to.
    pub mode: Mode,
    /// Its kind.
    pub kind: String,
    /// What was mounted.
    pub source: String,
}

impl Mount {
    /// Read one line; `None` if it isn't one.
    pub fn parse(line: &str) -> Option<Mount> {
        // Fields are told apart by one space each: an empty one is still a field.
        let mut fields = line.split(' ');
        let dev = fields.by_ref().nth(2)?.parse().ok()?;
        let point = unescape(fields.by_ref().nth(1)?);
        let of_mount = fields.next()?;
        fields.by_ref().find(|f| *f == "-")?;
        let (kind, source) = (unescape(fields.next()?), unescape(fields.next()?));
        let of_system = fields.next()?;
        let writable = |options: &str| options.split(',').any(|o| o == "rw");
        let mode = if writable(of_mount) || writable(of_system) { Mode::ReadWrite } else { Mode::ReadOnly };
        Some(Mount { dev, point, mode, kind, source })
    }
}

/// `\040` is a space; anything that is no such escape stands for itself.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            digits.iter().try_fold(0u8, |sum, d| match d {
                b'0'..=b'7' => sum.checked_mul(8)?.checked_add(d - b'0'),
                _ => None,
            })
        });
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything that is mounted in this name space, in the order of mounting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// What is mounted now.
    ///
    /// # Errors
    /// When the list can't be read.
    pub fn read(sysroot: &Sysroot) -> Result<Mounts, PiError> {
        let path = "/proc/self/mountinfo";
        let missing = || PiError::Content { path: sysroot.join(path), problem: "is missing".into() };
        Ok(Mounts::parse(&sysroot.text(path)?.ok_or_else(missing)?))
    }

    /// Read the list's text. Lines that can't be understood are passed over.
    pub fn parse(text: &str) -> Mounts {
        Mounts(text.lines().filter_map(Mount::parse).collect())
    }

    /// What is mounted on `/`: the last one, if several lie on one another.
    pub fn root(&self) -> Option<&Mount> {
        self.0.iter().rev().find(|m| m.point == "/")
    }

    /// Where a device is mounted.
    pub fn of(&self, dev: DevNo) -> impl Iterator<Item = &Mount> {
        self.0.iter().filter(move |m| m.dev == dev)
    }

    /// Where a device is mounted, for a person.
    pub fn points(&self, dev: DevNo) -> Option<String> {
        let points: Vec<&str> = self.of(dev).map(|m| m.point.as_str()).collect();
        (!points.is_empty()).then(|| points.join(" and "))
    }

    /// A folder through which a device's file system can be reached.
    pub fn folder(&self, dev: DevNo) -> Option<&Path> {
        self.of(dev).map(|m| Path::new(&m.point)).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEV: DevNo = DevNo { major: 179, minor: 4 };

    #[test]
    fn lines_as_the_kernel_writes_them() {
        #[rustfmt::skip]
        let table = [
            ("36 35 179:4 / /mnt ro,noatime - ext4 /dev/mmcblk0p4 ro", "/mnt", Mode::ReadOnly),
            ("36 35 179:4 / /mnt rw shared:1 master:2 - ext4 /dev/mmcblk0p4 rw,x=1", "/mnt", Mode::ReadWrite),
            // A read-only view of what is writable.
            ("36 35 179:4 / /a\\040b\\134 ro - vfat /dev/mmcblk0p1 rw", "/a b\\", Mode::ReadWrite),
            ("36 35 179:4 /sub / rw,relatime - ext4 /dev/root ro", "/", Mode::ReadWrite),
            // A source may be empty.
            ("36 35 179:4 / /- ro - tmpfs  ro", "/-", Mode::ReadOnly),
        ];
        for (line, point, mode) in table {
            let mount = Mount::parse(line).unwrap();
            assert_eq!((mount.dev, mount.point.as_str(), mount.mode), (DEV, point, mode), "{line}");
        }
        for line in ["", "36 35 179 / /mnt rw - ext4 x rw", "36 35 179:4 / /mnt rw", "a b 1:2 / /x rw - y"] {
            assert_eq!(Mount::parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_last_root_counts() {
        let text = "1 0 0:2 / / rw - rootfs none rw\n2 1 179:4 / / ro - ext4 /dev/root ro\nnoise\n3 2 179:6 / /data rw - ext4 x rw\n4 2 179:6 /a /b rw - ext4 x rw\n";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.root().unwrap().dev, DEV);
        assert_eq!(mounts.points(DevNo { major: 179, minor: 6 }).unwrap(), "/data and /b");
        assert_eq!(mounts.points(DevNo { major: 1, minor: 6 }), None);
    }

    fn escape(text: &str) -> String {
        text.bytes().fold(String::new(), |mut out, b| {
            match b {
                b' ' | b'\t' | b'\n' | b'\\' => out.push_str(&format!("\\{b:03o}")),
                _ => out.push(b.into()),
            }
            out
        })
    }

    proptest! {
        #[test]
        fn any_point_comes_back(
            point in "/[ -~\\t\\n]{0,20}", options in "(ro|rw)", tags in prop::collection::vec("[a-z]{1,5}:[0-9]", 0..4),
            dev in (any::<u32>(), any::<u32>()),
        ) {
            let dev = DevNo { major: dev.0, minor: dev.1 };
            let tags: String = tags.iter().map(|t| format!(" {t}")).collect();
            let line = format!("36 35 {dev} / {} {options},x{tags} - ext4 /dev/x ro", escape(&point));
            let mount = Mount::parse(&line).unwrap();
            let mode = if options == "rw" { Mode::ReadWrite } else { Mode::ReadOnly };
            prop_assert_eq!((mount.point, mount.dev, mount.mode), (point, dev, mode));
        }

        #[test]
        fn any_text_is_mounts_or_nothing(text in "\\PC{0,200}", tail in "[ \\\\0-9:/-]{0,40}") {
            let _ = Mounts::parse(&text);
            let _ = Mount::parse(&tail);
        }
    }
}
