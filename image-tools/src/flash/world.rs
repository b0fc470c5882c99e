//! The disks of this computer, as Linux shows them in `/sys/block`, `/proc/self/mountinfo` and `/proc/swaps`.
use super::FlashError;
use super::disk::{Bus, Disk, How, Identity, Number, Partition, Use};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows what there is.
#[derive(Clone, Debug)]
pub struct World {
    sys: PathBuf,
    proc: PathBuf,
}

/// Disks that are no target: memory, what is made of other disks, and optical drives.
const NEVER: [&str; 7] = ["ram", "zram", "dm-", "md", "sr", "zd", "fd"];
/// How deep volumes can lie in one another.
const DEPTH: usize = 8;

impl World {
    /// This computer's.
    pub fn host() -> World {
        World::at(Path::new("/"))
    }

    /// One whose `sys` and `proc` lie in a folder.
    pub fn at(root: &Path) -> World {
        World { sys: root.join("sys"), proc: root.join("proc") }
    }

    /// All disks, by name. Readers without a card have 0 bytes.
    ///
    /// # Errors
    /// The kernel shows none.
    pub fn disks(&self) -> Result<Vec<Disk>, FlashError> {
        let folder = self.sys.join("block");
        let unknown = |path: &Path| {
            let path = path.to_owned();
            move |source| FlashError::NoDisks { path, source }
        };
        let entries = folder.read_dir().map_err(unknown(&folder))?;
        let mounts = self.proc.join("self/mountinfo");
        // What is mounted has to be known: without it, each disk would look unused.
        let mounts = Mount::parse(&fs::read_to_string(&mounts).map_err(unknown(&mounts))?);
        let swaps = swaps(&fs::read_to_string(self.proc.join("swaps")).unwrap_or_default());
        let seen = Seen { world: self, mounts, swaps };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.filter(|name| !NEVER.iter().any(|never| name.starts_with(never)));
        let mut disks: Vec<_> = names.filter_map(|name| seen.disk(&name)).collect();
        disks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(disks)
    }

    fn block(&self, name: &str) -> PathBuf {
        self.sys.join("block").join(name)
    }
}

/// All that is known about uses.
#[derive(Debug)]
struct Seen<'a> {
    world: &'a World,
    mounts: Vec<Mount>,
    swaps: Vec<String>,
}

impl Seen<'_> {
    /// The disk of that name; `None` for one that just disappeared, and for a loop device without a file.
    fn disk(&self, name: &str) -> Option<Disk> {
        let folder = self.world.block(name);
        let number = number_of(&folder)?;
        let bytes = text(&folder.join("size"))?.parse::<u64>().ok()?.saturating_mul(512);
        if bytes == 0 && name.starts_with("loop") {
            return None;
        }
        let real = folder.canonicalize().ok()?;
        let device = folder.join("device");
        let partitions = partitions(&folder);
        let mut uses = self.uses(name, number, &folder.join("holders"), DEPTH);
        for part in &partitions {
            let holders = folder.join(&part.name).join("holders");
            uses.extend(self.uses(&part.name, part.number, &holders, DEPTH));
        }
        uses.sort();
        uses.dedup();
        let words = ["vendor", "model", "name"].map(|name| text(&device.join(name))).into_iter().flatten();
        // Of a virtual machine's disk there is only the vendor's number.
        let words = words.filter(|word| !word.starts_with("0x"));
        let sequence = text(&folder.join("diskseq")).and_then(|text| text.parse().ok());
        Some(Disk {
            name: name.into(),
            identity: Identity {
                number,
                sequence,
                bytes,
                model: words.collect::<Vec<_>>().join(" "),
                serial: serial(&real),
            },
            bus: bus(&real, text(&device.join("type")).as_deref()),
            removable: is_set(&folder.join("removable")),
            read_only: is_set(&folder.join("ro")),
            partitions,
            uses,
        })
    }

    /// What uses a disk, a partition, or what was made of one.
    fn uses(&self, name: &str, number: Number, holders: &Path, depth: usize) -> Vec<Use> {
        let mut uses = Vec::new();
        let mut add = |how| uses.push(Use { what: name.into(), how });
        for mount in self.mounts.iter().filter(|mount| mount.number == number || mount.source == name) {
            add(How::Mounted(mount.at.clone()));
        }
        if self.swaps.iter().any(|swap| swap == name) {
            add(How::Swap);
        }
        let holders = holders.read_dir().into_iter().flatten().flatten();
        let holders: Vec<_> = holders.filter_map(|holder| holder.file_name().into_string().ok()).collect();
        for holder in &holders {
            add(How::PartOf(holder.clone()));
        }
        for holder in holders {
            let folder = self.world.block(&holder);
            if let Some(number) = number_of(&folder).filter(|_| depth > 0) {
                uses.extend(self.uses(&holder, number, &folder.join("holders"), depth - 1));
            }
        }
        uses
    }
}

/// A line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    number: Number,
    at: String,
    /// The kernel's name of its device. A btrfs is known by that only: its number is another.
    source: String,
}

impl Mount {
    fn parse(text: &str) -> Vec<Mount> {
        text.lines().filter_map(Mount::line).collect()
    }

    /// See proc_pid_mountinfo(5): the fields after the optional ones begin behind a hyphen.
    fn line(line: &str) -> Option<Mount> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        let number = parse_number(front.next()?)?;
        let at = unescape(front.nth(1)?);
        let source = back.split(' ').nth(1)?;
        Some(Mount { number, at, source: kernel_name(&unescape(source)) })
    }
}

/// Kernel names of the partitions and disks that are swap space.
fn swaps(text: &str) -> Vec<String> {
    let paths = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    paths.map(|path| kernel_name(&unescape(path))).collect()
}

/// `/dev/mapper/home` is a link to `../dm-1`.
fn kernel_name(path: &str) -> String {
    let real = Path::new(path).canonicalize().unwrap_or_else(|_| path.into());
    match real.strip_prefix("/dev") {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => path.into(),
    }
}

/// `\040` stands for a blank.
fn unescape(text: &str) -> String {
    let mut plain = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal =
            tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn partitions(folder: &Path) -> Vec<Partition> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.path().join("partition").exists());
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            Some(Partition { number: number_of(&entry.path())?, name: entry.file_name().into_string().ok()? })
        })
        .collect();
    found.sort_by_key(|part| part.number);
    found
}

/// By the path of the device itself, which names what it is attached to.
fn bus(real: &Path, kind: Option<&str>) -> Bus {
    let has = |begin: &str| {
        real.components().any(|part| {
            let name = part.as_os_str().to_string_lossy();
            name.strip_prefix(begin).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    match () {
        () if has("usb") => Bus::Usb,
        () if has("mmc_host") && kind == Some("SD") => Bus::Sd,
        () if has("mmc_host") => Bus::Emmc,
        () if has("nvme") => Bus::Nvme,
        () if has("ata") => Bus::Sata,
        () if has("virtual") => Bus::Virtual,
        () => Bus::Other,
    }
}

/// The disk's, or that of the USB device that it belongs to.
fn serial(real: &Path) -> Option<String> {
    let above = real.ancestors().take_while(|folder| !folder.ends_with("devices"));
    above
        .flat_map(|folder| [folder.join("device/serial"), folder.join("serial")])
        .find_map(|path| text(&path))
}

fn is_set(path: &Path) -> bool {
    text(path).is_some_and(|text| text != "0")
}

fn number_of(folder: &Path) -> Option<Number> {
    parse_number(&text(&folder.join("dev"))?)
}

fn parse_number(text: &str) -> Option<Number> {
    let (major, minor) = text.split_once(':')?;
    Some(Number { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// A file's text without the blanks around it; `None` if there is none.
fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test")]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree of `/sys` and `/proc`.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(mounts: &str, swaps: &str) -> Tree {
            let tree = Tree(tempfile::tempdir().unwrap());
            tree.put("proc/self/mountinfo", mounts);
            tree.put("proc/swaps", &format!("Filename\tType\tSize\tUsed\tPriority\n{swaps}"));
            fs::create_dir_all(tree.0.path().join("sys/block")).unwrap();
            tree
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// A disk at a place below `sys/devices`, with files of it.
        fn disk(&self, place: &str, files: &[(&str, &str)]) {
            let name = place.rsplit('/').next().unwrap();
            for (file, text) in files {
                self.put(&format!("sys/devices/{place}/{file}"), text);
            }
            fs::create_dir_all(self.0.path().join("sys/devices").join(place).join("holders")).unwrap();
            symlink(format!("../devices/{place}"), self.0.path().join("sys/block").join(name)).unwrap();
        }

        fn disks(&self) -> Vec<Disk> {
            World::at(self.0.path()).disks().unwrap()
        }
    }

    const USB: &str = "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0/block/sdb";

    #[test]
    fn a_card_in_a_reader_is_described_with_all_that_uses_it() {
        let mounts = "36 1 8:17 / /media/my\\040card rw,nosuid shared:1 - vfat /dev/sdb1 rw\n\
                      37 1 0:48 /@ /srv rw - btrfs /dev/sdb3 rw\n\
                      38 1 253:0 / / rw - ext4 /dev/mapper/root rw\n\
                      39 1 0:22 / /proc rw - proc proc rw\n";
        let tree = Tree::new(mounts, "/dev/sdb4 partition 1 0 -2\n");
        tree.put("sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/serial", "0815\n");
        let mut files = vec![
            ("dev", "8:16\n"),
            ("size", "15523840\n"),
            ("removable", "1\n"),
            ("ro", "0\n"),
            ("diskseq", "9\n"),
            ("device/vendor", "Generic \n"),
            ("device/model", "Card Reader     \n"),
            ("sdb2/holders/dm-0/dev", "253:0\n"),
        ];
        let numbers = [("sdb1", "8:17"), ("sdb2", "8:18"), ("sdb3", "8:19"), ("sdb4", "8:20")];
        let owned: Vec<_> =
            numbers.map(|(name, n)| (format!("{name}/dev"), format!("{name}/partition"), n)).into();
        for (dev, partition, number) in &owned {
            files.extend([(dev.as_str(), *number), (partition.as_str(), "1")]);
        }
        tree.disk(USB, &files);
        tree.disk("virtual/block/dm-0", &[("dev", "253:0"), ("size", "100")]);
        let disks = tree.disks();
        let [disk] = disks.as_slice() else { panic!("{disks:?}") };
        assert_eq!((disk.bus, disk.removable, disk.read_only), (Bus::Usb, true, false));
        let identity = Identity {
            number: Number { major: 8, minor: 16 },
            sequence: Some(9),
            bytes: 15_523_840 * 512,
            model: "Generic Card Reader".into(),
            serial: Some("0815".into()),
        };
        assert_eq!(disk.identity, identity);
        assert_eq!(disk.partitions.len(), 4);
        let uses: Vec<_> = disk.uses.iter().map(ToString::to_string).collect();
        assert_eq!(
            uses,
            ["dm-0 on /", "sdb1 on /media/my card", "sdb2 in dm-0", "sdb3 on /srv", "sdb4 as swap"]
        );
    }

    #[test]
    fn what_a_disk_is_attached_to_follows_from_its_place() {
        let tree = Tree::new("", "");
        let mmc = |name| format!("platform/soc/mmc_host/mmc0/mmc0:0001/block/{name}");
        let files =
            |kind, dev| vec![("dev", dev), ("size", "2048"), ("device/type", kind), ("device/name", "SC32G")];
        tree.disk(&mmc("mmcblk0"), &files("SD", "179:0"));
        tree.disk(&mmc("mmcblk1"), &files("MMC", "179:8"));
        tree.disk("pci0000:00/ata1/host0/block/sda", &[("dev", "8:0"), ("size", "2048")]);
        tree.disk("pci0000:00/nvme/nvme0/nvme0n1", &[("dev", "259:0"), ("size", "2048"), ("ro", "1")]);
        tree.disk("virtual/block/loop0", &[("dev", "7:0"), ("size", "8")]);
        tree.disk("virtual/block/loop1", &[("dev", "7:1"), ("size", "0")]);
        tree.disk("virtual/block/zram0", &[("dev", "254:0"), ("size", "8")]);
        tree.disk("pci0000:00/usb2/2-1/block/sdc", &[("dev", "8:32"), ("size", "0")]);
        let found: Vec<_> = tree.disks().into_iter().map(|disk| (disk.name, disk.bus.name())).collect();
        let expected = [
            ("loop0", "virtual"),
            ("mmcblk0", "SD"),
            ("mmcblk1", "eMMC"),
            ("nvme0n1", "NVMe"),
            ("sda", "SATA"),
            ("sdc", "USB"),
        ];
        assert_eq!(found, expected.map(|(name, bus)| (name.to_owned(), bus)));
    }

    #[test]
    fn without_the_list_of_mounts_no_disk_is_offered() {
        let tree = Tree::new("", "");
        fs::remove_file(tree.0.path().join("proc/self/mountinfo")).unwrap();
        let error = World::at(tree.0.path()).disks().unwrap_err();
        assert!(
            matches!(&error, FlashError::NoDisks { path, .. } if path.ends_with("mountinfo")),
            "{error:?}"
        );
    }
}
