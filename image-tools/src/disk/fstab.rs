//! `/etc/fstab`, for either slot.
//!
//! A partition's id is that of one card or slot, so the mounts of `/`, `/boot` and `/boot/firmware` go by the links of
//! the running slot; the boot volume is read-only and not checked at boot, since nothing may write it.

/// What the root file system is.
const SYSTEM: &str = "/dev/disk/by-slot/active/system";
/// What the boot volume is.
const BOOT: &str = "/dev/disk/by-slot/active/boot";
/// The line of what outlives updates: the service manager lets its file system grow, and boots without it. It neither
/// recreates it, which a damaged one would not survive, nor checks it, which may end in a maintenance shell.
const PERSISTENT: &str = "PARTLABEL=persistent /persistent ext4 defaults,noatime,nofail,x-systemd.growfs 0 0";

/// Whether the system brings a mount of its own for what outlives updates: a line would take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PersistentUnit {
    /// It does, as Bistable's package does.
    Its,
    /// It doesn't.
    None,
}

/// The new text, and what a person should know of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fstab {
    pub(super) text: String,
    pub(super) notes: Vec<String>,
}

/// Rewrite a file system table; all lines that are none of these mounts stay as they are.
pub(super) fn rewrite(original: &str, unit: PersistentUnit) -> Fstab {
    let mut made = Fstab::default();
    let mut persistent = unit == PersistentUnit::Its;
    // Carriage returns go, wherever a line ends: the mount units would take them for a part of the last field.
    for line in original.lines().map(|line| line.trim_end_matches('\r')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let new = match fields.as_slice() {
            [first, ..] if first.starts_with('#') => None,
            [spec, at, kind, rest @ ..] => {
                // One by the card's number is taken out, and ours takes its place.
                persistent |= *at == "/persistent" && !by_card_number(spec);
                let fat = matches!(*kind, "vfat" | "msdos" | "fat" | "auto");
                match *at {
                    "/" if by_device(spec) => Some(entry(SYSTEM, at, kind, rest)),
                    "/boot" | "/boot/firmware" if fat && by_device(spec) => Some(boot(at, kind, rest)),
                    _ => {
                        let options = rest.first().copied().unwrap_or_default();
                        let needed = !options.split(',').any(|o| matches!(o, "nofail" | "noauto"));
                        if by_card_number(spec) {
                            made.notes.push(format!(
                                "took {spec} at {at} out of /etc/fstab: on a card with two slots another volume has that number; what \
                                 outlives updates belongs onto /persistent"
                            ));
                            Some(format!("# On the image's card: {line}"))
                        } else {
                            if needed && by_device(spec) && !is_virtual(spec) {
                                made.notes.push(format!(
                                    "/etc/fstab mounts {spec} at {at}: a card made from this release has no such partition, \
                                     and the boot would wait for it; take the line out of the image or add nofail"
                                ));
                            }
                            None
                        }
                    }
                }
            }
            _ => None,
        };
        made.text.push_str(new.as_deref().unwrap_or(line));
        made.text.push('\n');
    }
    if !persistent {
        made.text.push_str(PERSISTENT);
        made.text.push('\n');
    }
    made
}

/// A partition of some card, that isn't chosen by slot already.
pub(super) fn by_device(spec: &str) -> bool {
    !spec.starts_with("/dev/disk/by-slot/") && (by_id(spec) || spec.starts_with("/dev/"))
}

/// A partition of the card by its number: `/dev/mmcblk0p5`.
pub(super) fn by_card_number(spec: &str) -> bool {
    spec.strip_prefix("/dev/mmcblk").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// What the system makes itself.
fn is_virtual(spec: &str) -> bool {
    ["/dev/loop", "/dev/zram", "/dev/mapper/", "/dev/ram", "/dev/fuse", "/dev/shm", "/dev/nbd"]
        .iter()
        .any(|begin| spec.starts_with(begin))
}

fn by_id(spec: &str) -> bool {
    ["PARTUUID=", "UUID=", "PARTLABEL=", "LABEL="].iter().any(|id| spec.starts_with(id))
}

fn entry(spec: &str, at: &str, kind: &str, rest: &[&str]) -> String {
    let mut fields = vec![spec, at, kind];
    fields.extend(rest);
    fields.join(" ")
}

fn boot(at: &str, kind: &str, rest: &[&str]) -> String {
    let options =
        rest.first().copied().unwrap_or("defaults").split(',').filter(|o| !matches!(*o, "rw" | "ro"));
    // The link is udev's to make: without it the system comes up all the same.
    let options = options.filter(|o| *o != "nofail").chain(["ro", "nofail"]).collect::<Vec<_>>().join(",");
    entry(BOOT, at, kind, &[&options, "0", "0"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raspberry_pi_os() {
        let original = "proc            /proc           proc    defaults          0       0\n\
            PARTUUID=4e639091-01  /boot/firmware  vfat    defaults          0       2\n\
            PARTUUID=4e639091-02  /               ext4    defaults,noatime  0       1\n\
            # a swapfile is not a swap partition, no line here";
        let wanted = "proc            /proc           proc    defaults          0       0\n\
            /dev/disk/by-slot/active/boot /boot/firmware vfat defaults,ro,nofail 0 0\n\
            /dev/disk/by-slot/active/system / ext4 defaults,noatime 0 1\n\
            # a swapfile is not a swap partition, no line here\n\
            PARTLABEL=persistent /persistent ext4 defaults,noatime,nofail,x-systemd.growfs 0 0\n";
        let made = rewrite(original, PersistentUnit::None);
        assert_eq!((&*made.text, made.notes.len()), (wanted, 0));
        assert_eq!(rewrite(&made.text, PersistentUnit::None), made);
    }

    #[test]
    fn lines() {
        let table = [
            ("LABEL=rootfs / ext4", "/dev/disk/by-slot/active/system / ext4"),
            (
                "UUID=1 /boot auto rw,noatime 0 2",
                "/dev/disk/by-slot/active/boot /boot auto noatime,ro,nofail 0 0",
            ),
            ("/dev/mmcblk0p1 /boot vfat", "/dev/disk/by-slot/active/boot /boot vfat defaults,ro,nofail 0 0"),
            ("#UUID=1 / ext4", "#UUID=1 / ext4"),
            (
                "/dev/disk/by-slot/active/system / ext4 ro 0 0",
                "/dev/disk/by-slot/active/system / ext4 ro 0 0",
            ),
            ("overlay / overlay lowerdir=/x", "overlay / overlay lowerdir=/x"),
            ("tmpfs /boot tmpfs", "tmpfs /boot tmpfs"),
            ("\n", ""),
            ("x", "x"),
        ];
        for (line, wanted) in table {
            let made = rewrite(line, PersistentUnit::None).text;
            assert_eq!(made.lines().next(), Some(wanted), "{line}");
        }
        assert_eq!(rewrite("a /persistent ext4\n", PersistentUnit::None).text, "a /persistent ext4\n");
        let by_number = rewrite("/dev/mmcblk0p4 /persistent ext4", PersistentUnit::None).text;
        assert_eq!(
            by_number.lines().nth(1),
            Some(PERSISTENT),
            "something has to be mounted there: {by_number}"
        );
        assert_eq!(rewrite("", PersistentUnit::None).text.lines().count(), 1);
    }

    /// Also of a last line that ends in a carriage return without a line feed.
    #[test]
    fn a_rewritten_table_is_left_alone() {
        for original in ["/bx /p\r\r", "UUID=1 / ext4\r\n/bx /p\r", "UUID=1 / ext4", "\r"] {
            let made = rewrite(original, PersistentUnit::None);
            assert!(!made.text.contains('\r'), "{original:?}");
            assert_eq!(rewrite(&made.text, PersistentUnit::None), made, "{original:?}");
        }
    }

    #[test]
    fn a_partition_that_will_not_be_there_is_told() {
        assert_eq!(rewrite("UUID=3 /data ext4 defaults 0 2", PersistentUnit::None).notes.len(), 1);
        assert_eq!(rewrite("UUID=3 none swap", PersistentUnit::None).notes.len(), 1);
        for spec in ["/dev/disk/by-uuid/1111", "/dev/sda1", "/dev/nvme0n1p3"] {
            assert_eq!(
                rewrite(&format!("{spec} /srv ext4 defaults"), PersistentUnit::None).notes.len(),
                1,
                "{spec}"
            );
            assert!(rewrite(&format!("{spec} /srv ext4 nofail"), PersistentUnit::None).notes.is_empty());
        }
        for spec in ["/dev/zram0", "/dev/mapper/x", "/dev/loop3"] {
            assert!(
                rewrite(&format!("{spec} none swap sw"), PersistentUnit::None).notes.is_empty(),
                "{spec}"
            );
        }
        // Another slot has the number: nofail makes that no better.
        for options in ["defaults", "nofail", "noauto"] {
            let made = rewrite(&format!("/dev/mmcblk0p5 /data ext4 {options} 0 2"), PersistentUnit::None);
            assert_eq!(made.notes.len(), 1);
            assert!(made.text.starts_with("# On the image's card: /dev/mmcblk0p5 /data"), "{}", made.text);
            assert_eq!(rewrite(&made.text, PersistentUnit::None).text, made.text);
        }
        assert!(
            rewrite("UUID=3 /data ext4 nofail 0 2\n/swap none swap sw 0 0", PersistentUnit::None)
                .notes
                .is_empty()
        );
    }
}
