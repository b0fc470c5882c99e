//! The two emulated machines, and what QEMU is started with.
use super::firmware::Payload;
use clap::ValueEnum;
use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

/// A machine that QEMU emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Machine {
    /// A Raspberry Pi 3: its SD host, its GPIO, its device tree. Its watchdog doesn't count (QEMU resets at once).
    Pi3,
    /// QEMU's own board: a virtio disk and a watchdog that counts. Several times faster.
    Virt,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Machine::Pi3 => "pi3",
            Machine::Virt => "virt",
        })
    }
}

/// What the machine starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// U-Boot, and what it may hand on as device tree.
    Loader {
        /// Its image.
        uboot: PathBuf,
        /// The Pi's; the other machine makes its own.
        device_tree: Option<PathBuf>,
    },
    /// A kernel, loaded by the player of the firmware.
    Kernel {
        /// Unpacked.
        kernel: PathBuf,
        /// Its initramfs.
        initramfs: Option<PathBuf>,
        /// With `/chosen/bootloader`.
        device_tree: PathBuf,
        /// Its command line.
        cmdline: String,
    },
}

impl Start {
    /// A payload whose parts were written to files.
    pub fn kernel(payload: &Payload, kernel: PathBuf, initramfs: PathBuf, device_tree: PathBuf) -> Start {
        let initramfs = payload.initramfs.is_some().then_some(initramfs);
        Start::Kernel { kernel, initramfs, device_tree, cmdline: payload.cmdline.clone() }
    }
}

/// The sockets on which the rig listens.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// The serial console.
    pub console: PathBuf,
    /// QEMU's monitor.
    pub monitor: PathBuf,
    /// Reading and writing registers from outside.
    pub qtest: PathBuf,
}

impl Machine {
    /// The kind of board, as releases name it.
    pub fn board(self) -> &'static str {
        match self {
            Machine::Pi3 => "pi3",
            Machine::Virt => "virt",
        }
    }

    /// What QEMU calls it.
    fn options(self) -> &'static [&'static str] {
        match self {
            Machine::Pi3 => &["-M", "raspi3b"],
            // The Pi 3's processor; one of them is enough, and the fastest.
            Machine::Virt => &["-M", "virt", "-cpu", "cortex-a53", "-smp", "1", "-m", "512"],
        }
    }

    /// What makes it write its own device tree to a file.
    pub fn dump_device_tree(self, to: &Path) -> Vec<OsString> {
        let mut args: Vec<OsString> = self.options().iter().map(OsString::from).collect();
        let mut dump = OsString::from("virt,dumpdtb=");
        dump.push(to);
        if let Some(machine) = args.get_mut(1) {
            *machine = dump;
        }
        args.extend(["-display", "none", "-nodefaults"].map(OsString::from));
        args
    }

    /// All that QEMU is started with.
    pub fn arguments(self, start: &Start, disk: &Disk, sockets: &Sockets) -> Vec<OsString> {
        let mut args: Vec<OsString> = self.options().iter().map(OsString::from).collect();
        let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
        // The Pi's waiting processors spin: on one thread they take turns, on several they take all of the host.
        add(&["-accel", "tcg,thread=single", "-display", "none", "-monitor", "none", "-nodefaults"]);
        match self {
            // The Pi's first serial line isn't where the console is.
            Machine::Pi3 => add(&["-serial", "null"]),
            // A watchdog that counts, as far as the guest starts it.
            Machine::Virt => add(&["-device", "i6300esb", "-device", "virtio-rng-pci"]),
        }
        let socket = |name: &str, path: &Path| format!("socket,id={name},path={},server=off", path.display());
        add(&["-chardev", &socket("console", &sockets.console), "-serial", "chardev:console"]);
        add(&["-chardev", &socket("monitor", &sockets.monitor), "-mon", "chardev=monitor,mode=control"]);
        if self == Machine::Pi3 {
            add(&["-chardev", &socket("qtest", &sockets.qtest), "-qtest", "chardev:qtest"]);
        }
        match (self, disk.log.as_deref()) {
            (Machine::Pi3, None) => {
                add(&["-drive", &format!("if=sd,format=raw,file={}", disk.card.display())]);
            }
            (Machine::Pi3, Some(log)) => add(&["-drive", &format!("if=sd,{}", logged(&disk.card, log))]),
            (Machine::Virt, None) => {
                add(&["-drive", &format!("if=none,id=card,format=raw,file={}", disk.card.display())]);
            }
            (Machine::Virt, Some(log)) => {
                add(&["-drive", &format!("if=none,id=card,{}", logged(&disk.card, log))]);
            }
        }
        if self == Machine::Virt {
            add(&["-device", "virtio-blk-pci,drive=card"]);
        }
        match start {
            Start::Loader { uboot, device_tree } => {
                let option = if self == Machine::Virt { "-bios" } else { "-kernel" };
                args.extend([option.into(), uboot.clone().into_os_string()]);
                args.extend(device_tree.iter().flat_map(|dtb| ["-dtb".into(), dtb.clone().into_os_string()]));
            }
            Start::Kernel { kernel, initramfs, device_tree, cmdline } => {
                // What a reset leads to is the firmware's to decide: QEMU stops, and keeps the registers to be read.
                add(&["-action", "reboot=shutdown,shutdown=pause", "-append", cmdline]);
                args.extend(["-kernel".into(), kernel.clone().into_os_string()]);
                args.extend(initramfs.iter().flat_map(|i| ["-initrd".into(), i.clone().into_os_string()]));
                args.extend(["-dtb".into(), device_tree.clone().into_os_string()]);
            }
        }
        args
    }
}

/// The card, and where its writes are logged.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The image.
    pub card: PathBuf,
    /// A log of all writes, if there is to be one.
    pub log: Option<PathBuf>,
}

fn logged(card: &Path, log: &Path) -> String {
    format!(
        "driver=blklogwrites,file.driver=file,file.filename={},log.driver=file,log.filename={},log-sector-size=512",
        card.display(),
        log.display()
    )
}
