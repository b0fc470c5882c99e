//! A folder that stands for a Raspberry Pi's `/proc`, `/sys`, `/dev` and `/run`: its partitions are files.
use crate::{
    fixture::product,
    pi::{Ended, end},
};
use bistable::{
    board::{
        Access, CardError,
        pi::{Pi, PiError, Sysroot},
    },
    config::BoardSettings,
    ports::{Fault, Partitions, Volume},
};
use bistable_boot::{BootId, Slot, layout::Partition};
use std::{
    cell::Cell,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// One kind of Pi.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) compatible: &'static str,
    /// Its disk, and what stands between that and a partition's number.
    pub(crate) disk: &'static str,
    pub(crate) p: &'static str,
    pub(crate) major: u32,
    /// When its EEPROM was built.
    pub(crate) built: Option<u32>,
}

/// 2025-09-01.
const NEW: Option<u32> = Some(1_756_684_800);

pub(crate) const PI4: Kind = Kind {
    compatible: "raspberrypi,4-model-b\0brcm,bcm2711\0",
    disk: "mmcblk0",
    p: "p",
    major: 179,
    built: NEW,
};
pub(crate) const PI5_NVME: Kind = Kind {
    compatible: "raspberrypi,5-model-b\0brcm,bcm2712\0",
    disk: "nvme0n1",
    p: "p",
    major: 259,
    built: NEW,
};
/// As the emulator's firmware leaves it.
pub(crate) const PI3_QEMU: Kind = Kind {
    compatible: "raspberrypi,3-model-b\0brcm,bcm2837\0",
    disk: "mmcblk1",
    p: "p",
    major: 179,
    built: None,
};
pub(crate) const PI4_USB: Kind = Kind { disk: "sda", p: "", major: 8, ..PI4 };

pub(crate) struct Sys {
    pub(crate) kind: Kind,
    folder: TempDir,
    boots: Cell<u64>,
}

impl Sys {
    /// A Pi that runs slot A of a new card.
    pub(crate) fn new(kind: Kind) -> Sys {
        let sys = Sys { kind, folder: tempfile::tempdir().unwrap(), boots: Cell::new(0) };
        sys.text("proc/device-tree/compatible", kind.compatible);
        if let Some(built) = kind.built {
            sys.number("build-timestamp", built);
            sys.number("capabilities", 0x7f);
        }
        sys.number("tryboot", 0);
        sys.text("proc/cmdline", "console=serial0,115200 root=PARTLABEL=system_a rootwait quiet\n");
        sys.text("dev/vcio", "");
        sys.folder("data");
        sys.text("run/systemd/timesync/synchronized", "");
        sys.disk();
        sys.boots(Slot::A);
        sys
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn text(&self, name: &str, text: &str) {
        self.folder(Path::new(name).parent().unwrap().to_str().unwrap());
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn number(&self, property: &str, number: u32) {
        self.folder("proc/device-tree/chosen/bootloader");
        fs::write(self.bootloader(property), number.to_be_bytes()).unwrap();
    }

    pub(crate) fn bootloader(&self, property: &str) -> PathBuf {
        self.path(&format!("proc/device-tree/chosen/bootloader/{property}"))
    }

    /// A partition's name in `/dev`.
    pub(crate) fn name(&self, partition: Partition) -> String {
        format!("{}{}{}", self.kind.disk, self.kind.p, partition.number())
    }

    pub(crate) fn node(&self, partition: Partition) -> PathBuf {
        self.path("dev").join(self.name(partition))
    }

    pub(crate) fn dev(&self, partition: Partition) -> String {
        format!("{}:{}", self.kind.major, partition.number())
    }

    /// A partition's folder in `/sys`.
    pub(crate) fn sysfs(&self, partition: Partition) -> String {
        format!("{}/{}", self.sysfs_disk(), self.name(partition))
    }

    pub(crate) fn sysfs_disk(&self) -> String {
        format!("sys/devices/platform/bus/block/{}", self.kind.disk)
    }

    fn disk(&self) {
        let (disk, major) = (self.kind.disk, self.kind.major);
        self.device(&self.sysfs_disk(), disk, &format!("{major}:0"), "DEVTYPE=disk");
        let image = self.folder("dev").join(disk);
        product().card(&image);
        for partition in Partition::ALL {
            let (range, number) = (product().range(partition), partition.number());
            let (name, sysfs) = (self.name(partition), self.sysfs(partition));
            let more = format!("DEVTYPE=partition\nPARTN={number}\nPARTNAME={}", partition.name());
            self.device(&sysfs, &name, &self.dev(partition), &more);
            self.text(&format!("{sysfs}/partition"), &format!("{number}\n"));
            self.text(&format!("{sysfs}/start"), &format!("{}\n", range.start / 512));
            self.text(&format!("{sysfs}/size"), &format!("{}\n", (range.end - range.start) / 512));
            product().volume(partition, &self.node(partition));
        }
    }

    /// A block device in `/sys`.
    pub(crate) fn device(&self, sysfs: &str, name: &str, dev: &str, more: &str) {
        self.text(&format!("{sysfs}/dev"), &format!("{dev}\n"));
        self.text(&format!("{sysfs}/uevent"), &format!("DEVNAME={name}\n{more}\n"));
        for link in [format!("sys/dev/block/{dev}"), format!("sys/class/block/{name}")] {
            self.folder(Path::new(&link).parent().unwrap().to_str().unwrap());
            symlink(Path::new("../../..").join(sysfs), self.path(&link)).unwrap();
        }
    }

    /// It was booted from a slot, and `/data` is mounted.
    pub(crate) fn boots(&self, slot: Slot) {
        self.boots.set(self.boots.get() + 1);
        self.text("proc/sys/kernel/random/boot_id", &format!("{}\n", self.boot_id()));
        self.number("partition", Partition::Boot(slot).number().into());
        let (root, data) = (Partition::System(slot), Partition::Persistent);
        self.mounts(&[
            &format!("{} / / ro,noatime shared:1 - ext4 /dev/root ro", self.dev(root)),
            &format!("{} / /data rw,noatime shared:2 - ext4 /dev/{} rw", self.dev(data), self.name(data)),
        ]);
    }

    /// The id of this boot.
    pub(crate) fn boot_id(&self) -> BootId {
        BootId::numbered(self.boots.get())
    }

    /// What is mounted: lines without their two first numbers.
    pub(crate) fn mounts(&self, lines: &[&str]) {
        let text: String = lines.iter().map(|line| format!("30 1 {line}\n")).collect();
        self.text("proc/self/mountinfo", &text);
    }

    /// One mount more.
    pub(crate) fn mount(&self, line: &str) {
        let before = fs::read_to_string(self.path("proc/self/mountinfo")).unwrap();
        self.text("proc/self/mountinfo", &format!("{before}40 30 {line}\n"));
    }

    pub(crate) fn open(&self, access: Access) -> Result<Pi, PiError> {
        self.open_with(&BoardSettings::default(), access)
    }

    /// A program that another test starts holds our lock, too, from its fork to its exec.
    pub(crate) fn open_with(&self, settings: &BoardSettings, access: Access) -> Result<Pi, PiError> {
        for _ in 0..1000 {
            match self.open_now(settings, access) {
                Err(PiError::Card(CardError::Busy { .. })) => thread::sleep(Duration::from_millis(5)),
                opened => return opened,
            }
        }
        panic!("the disk stays in use");
    }

    pub(crate) fn open_now(&self, settings: &BoardSettings, access: Access) -> Result<Pi, PiError> {
        Pi::open(&Sysroot::new(self.folder.path()), settings, access)
    }

    /// Why it can't be opened.
    #[track_caller]
    pub(crate) fn refused(&self) -> String {
        self.open(Access::Exclusive).err().expect("refused").to_string()
    }

    pub(crate) fn bytes(&self, partition: Partition) -> Vec<u8> {
        fs::read(self.node(partition)).unwrap()
    }

    pub(crate) fn slot(&self, slot: Slot) -> [Vec<u8>; 2] {
        [self.bytes(Partition::Boot(slot)), self.bytes(Partition::System(slot))]
    }

    /// The program itself, on this tree.
    pub(crate) fn run(&self, line: &str) -> Ended {
        end(self.command(line), line)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bistable"));
        command.env_remove("RUST_LOG").env_remove("BISTABLE_CARD").current_dir(self.folder.path());
        command.arg("--sysroot").arg(self.folder.path()).arg("--root").arg(self.folder.path());
        command.args(line.split_whitespace());
        command
    }
}

/// Open a partition, and write its first sector as it is.
pub(crate) fn write(partitions: &mut dyn Partitions, partition: Partition) -> Result<(), Fault> {
    let volume: Arc<dyn Volume> = partitions.open(partition)?;
    let mut sector = [0; 512];
    volume.read(0, &mut sector)?;
    volume.write(0, &sector)
}
