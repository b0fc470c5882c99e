//! The kernel's command line, for either slot.
use crate::volume::cmdline::{begins, words};
use bistable_boot::layout::Partition;
use bistable_boot::{BySlot, Slot};

/// What makes the first boot of an image grow its root partition to the end of the card, over all that lies behind it.
/// `resize` is Raspberry Pi OS' own from Debian 13 on (raspberrypi-sys-mods, `resize_early`), the others are its
/// predecessors; they also start again and would do so in each trial.
const HOOKS: [&str; 3] =
    ["resize", "init=/usr/lib/raspberrypi-sys-mods/firstboot", "init=/usr/lib/raspi-config/init_resize.sh"];
/// First-boot scripts, as Raspberry Pi Imager orders them: they end by taking themselves out of this very line, which
/// they can't in a slot, and would run and reboot forever.
const FIRST_RUN: [&str; 4] = [
    "systemd.run=",
    "systemd.run_success_action=",
    "systemd.run_failure_action=",
    "systemd.unit=kernel-command-line.target",
];
/// What is added if there is no word that begins like it: wait for the card; let a panic be a reboot, which ends a
/// trial; let the watchdog that the firmware started run on.
const ADDED: [(&str, &str); 3] =
    [("rootwait", "rootwait"), ("panic=", "panic=5"), ("watchdog_disarm=", "watchdog_disarm=0")];

/// Command lines, and what was done to get them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cmdlines {
    pub(super) text: BySlot<String>,
    /// Words that went.
    pub(super) removed: Vec<String>,
    /// Words that came.
    pub(super) added: Vec<String>,
}

/// From an image's command line, of which only the first line counts, as for the firmware.
pub(super) fn for_slots(original: &str) -> Cmdlines {
    let words = words(original.lines().next().unwrap_or_default());
    let (mut kept, mut removed, mut added) = (Vec::new(), Vec::new(), Vec::new());
    // Where the first root= is, or would be: at the end.
    let mut root = None;
    for word in words {
        if begins(&word, "root=") {
            root.get_or_insert(kept.len());
            removed.push(word);
        } else if HOOKS.contains(&word.as_str()) || FIRST_RUN.iter().any(|begin| begins(&word, begin)) {
            removed.push(word);
        } else {
            kept.push(word);
        }
    }
    let root = root.unwrap_or(kept.len());
    for (begin, word) in ADDED {
        let there = |w: &String| if begin.ends_with('=') { begins(w, begin) } else { *w == begin };
        if !kept.iter().any(there) {
            kept.push(word.to_owned());
            added.push(word.to_owned());
        }
    }
    let text = |slot| {
        let mut words = kept.clone();
        words.insert(root, format!("root=PARTLABEL={}", Partition::System(slot).name()));
        words.join(" ") + "\n"
    };
    Cmdlines { text: BySlot { a: text(Slot::A), b: text(Slot::B) }, removed, added }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let table = [
            // Raspberry Pi OS, Debian 12.
            (
                "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n",
                "console=serial0,115200 console=tty1 root=PARTLABEL=system_X rootfstype=ext4 fsck.repair=yes rootwait quiet panic=5 watchdog_disarm=0\n",
                2,
                2,
            ),
            // Debian 13, with what Raspberry Pi Imager puts there.
            (
                "console=tty1 root=PARTUUID=7351b90c-02 rootwait resize systemd.run=/boot/firstrun.sh ds=nocloud;i=x",
                "console=tty1 root=PARTLABEL=system_X rootwait ds=nocloud;i=x panic=5 watchdog_disarm=0\n",
                3,
                2,
            ),
            // Debian 11.
            (
                "root=/dev/mmcblk0p2 init=/usr/lib/raspi-config/init_resize.sh\r\n",
                "root=PARTLABEL=system_X rootwait panic=5 watchdog_disarm=0\n",
                2,
                3,
            ),
            // One's own values stay; words that only look alike are other words.
            (
                "rootwait panic=30 watchdog_disarm=1 init=/sbin/init resize2=x noresize root=a root=b",
                "rootwait panic=30 watchdog_disarm=1 init=/sbin/init resize2=x noresize root=PARTLABEL=system_X\n",
                2,
                0,
            ),
            // Blanks in quotes, two in a row; and a quote that is left open.
            (
                "root=x rootwait dyndbg=\"file  drivers/mmc/* +p\" systemd.run=\"/bin/sh -c /boot/firstrun.sh\" quiet",
                "root=PARTLABEL=system_X rootwait dyndbg=\"file  drivers/mmc/* +p\" quiet panic=5 watchdog_disarm=0\n",
                2,
                2,
            ),
            ("rootwait \"a b", "rootwait \"a b\" root=PARTLABEL=system_X panic=5 watchdog_disarm=0\n", 0, 2),
            (
                "\"root=/dev/sda1\" \"panic=7\" \"systemd.run=/bin/sh x\" rootwait\u{a0}quiet",
                "root=PARTLABEL=system_X \"panic=7\" rootwait quiet watchdog_disarm=0\n",
                2,
                1,
            ),
            ("", "root=PARTLABEL=system_X rootwait panic=5 watchdog_disarm=0\n", 0, 3),
            ("quiet\nignored", "quiet root=PARTLABEL=system_X rootwait panic=5 watchdog_disarm=0\n", 0, 3),
            (
                "root=x rootwait=7",
                "root=PARTLABEL=system_X rootwait=7 rootwait panic=5 watchdog_disarm=0\n",
                1,
                3,
            ),
        ];
        for (original, wanted, removed, added) in table {
            let made = for_slots(original);
            assert_eq!(made.text.a, wanted.replace("_X", "_a"), "{original}");
            assert_eq!(made.text.b, wanted.replace("_X", "_b"), "{original}");
            assert_eq!((made.removed.len(), made.added.len()), (removed, added), "{original}");
            // Once more changes nothing but the root.
            let again = for_slots(&made.text.b);
            assert_eq!(again.text, made.text);
            assert!(again.added.is_empty());
        }
    }
}
