//! A small initramfs: the modules that a machine needs to see its card, and a shell script that mounts the root file system.
//!
//! Under emulation most of a boot's time is starting programs, and a distribution's initramfs starts hundreds. This one
//! starts a dozen. It loads the watchdogs in a fixed order, too: the second one is the one that systemd uses.
//!
//! ```text
//! newc: "070701", 13 fields of 8 hexadecimal digits, name\0 padded to 4, data padded to 4; "TRAILER!!!" ends it
//! ```
//! (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)
use super::machine::Machine;
use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
};

/// Programs of busybox that the script uses.
const APPLETS: [&str; 10] =
    ["sh", "mount", "cat", "insmod", "grep", "sleep", "reboot", "switch_root", "mkdir", "sync"];

const INIT: &str = r#"#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=755,nosuid,nodev run /run
give_up() {
    echo "rig: initramfs: $*"
    sleep 5
    reboot -f
}
for module in $(cat /modules/order); do
    insmod /modules/$module 2>/dev/null
done
for word in $(cat /proc/cmdline); do
    case $word in root=PARTLABEL=*) label=${word#root=PARTLABEL=} ;; esac
done
[ -n "$label" ] || give_up "the command line has no root=PARTLABEL="
waited=0
until found=$(grep -lx "PARTNAME=$label" /sys/class/block/*/uevent); do
    waited=$((waited + 1))
    [ $waited -lt 100 ] || give_up "no partition $label"
    sleep 0.1
done
device=${found%/uevent}
mount -t ext4 -o ro /dev/${device##*/} /root || give_up "the root file system can't be mounted"
for folder in proc sys dev run; do
    mount --move /$folder /root/$folder
done
exec switch_root /root /sbin/init
"#;

/// What is loaded, in this order, with what it depends on.
fn modules(machine: Machine) -> &'static [&'static str] {
    match machine {
        // Without the driver of the first watchdog a Pi can't restart.
        Machine::Pi3 => &["bcm2835", "crc32c_generic", "ext4", "bcm2835_wdt", "softdog"],
        Machine::Virt => &["virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "softdog", "i6300esb"],
    }
}

/// Make it from a system's modules and a static busybox.
///
/// # Errors
/// When the system has no such module, or a file can't be read.
pub fn make(system: &Path, busybox: &Path, machine: Machine) -> Result<Vec<u8>> {
    let kernel = Modules::read(system)?;
    let mut archive = Archive::default();
    for folder in ["bin", "modules", "proc", "sys", "dev", "run", "root"] {
        archive.add(folder, 0o40755, b"")?;
    }
    let program = std::fs::read(busybox).with_context(|| busybox.display().to_string())?;
    archive.add("bin/busybox", 0o100_755, &program)?;
    for applet in APPLETS {
        archive.add(&format!("bin/{applet}"), 0o120_777, b"busybox")?;
    }
    let mut order = Vec::new();
    for module in modules(machine) {
        for path in kernel.with_dependencies(module)? {
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            if !order.contains(&name) {
                let bytes = kernel.files.get(path).with_context(|| format!("{path} is not in the system"))?;
                archive.add(&format!("modules/{name}"), 0o100_644, bytes)?;
                order.push(name);
            }
        }
    }
    archive.add("modules/order", 0o100_644, format!("{}\n", order.join("\n")).as_bytes())?;
    archive.add("init", 0o100_755, INIT.as_bytes())?;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&archive.end()?)?;
    Ok(packed.finish()?)
}

/// A kernel's modules, by their paths in `modules.dep`.
#[derive(Debug, Default)]
struct Modules {
    /// Path → paths that it depends on, the last of which has to be loaded first.
    needs: BTreeMap<String, Vec<String>>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Modules {
    fn read(system: &Path) -> Result<Modules> {
        let mut found = Modules::default();
        let file = File::open(system).with_context(|| system.display().to_string())?;
        for entry in tar::Archive::new(file).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            let Some((_, inside)) = path.split_once("usr/lib/modules/") else { continue };
            let Some((_, inside)) = inside.split_once('/') else { continue };
            let inside = inside.to_owned();
            if inside == "modules.dep" {
                let mut text = String::new();
                entry.read_to_string(&mut text)?;
                found.needs = dependencies(&text);
            } else if inside.ends_with(".ko") {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                found.files.insert(inside, bytes);
            }
        }
        ensure!(!found.needs.is_empty(), "{} has no modules.dep", system.display());
        Ok(found)
    }

    /// A module's path after all those that it needs. None for what is built into the kernel.
    fn with_dependencies(&self, module: &str) -> Result<Vec<&str>> {
        let file = format!("/{module}.ko").replace('_', "-");
        let same = |path: &str| format!("/{path}").replace('_', "-").ends_with(&file);
        let found = self.needs.iter().find(|(path, _)| same(path));
        let (path, needs) = found.with_context(|| format!("the kernel has no module {module}"))?;
        Ok(needs.iter().rev().map(String::as_str).chain([path.as_str()]).collect())
    }
}

/// Lines `path: path path …`.
fn dependencies(text: &str) -> BTreeMap<String, Vec<String>> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(path, needs)| (path.to_owned(), needs.split_whitespace().map(str::to_owned).collect()))
        .collect()
}

/// An archive in the format "newc".
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, data: &[u8]) -> Result<()> {
        self.files += 1;
        let (size, name_size) = (u32::try_from(data.len())?, u32::try_from(name.len() + 1)?);
        // inode, mode, uid, gid, links, time, size, device × 2, node × 2, name's length, checksum
        let fields = [self.files, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        fields.iter().for_each(|field| self.bytes.extend(format!("{field:08x}").bytes()));
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(data);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(mut self) -> Result<Vec<u8>> {
        self.add("TRAILER!!!", 0, b"")?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_what_they_need() {
        let needs = dependencies(
            "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko\nkernel/x/a-b.ko:\n",
        );
        let kernel = Modules { needs, files: BTreeMap::new() };
        let ext4 = ["kernel/lib/crc16.ko", "kernel/fs/jbd2/jbd2.ko", "kernel/fs/ext4/ext4.ko"];
        assert_eq!(kernel.with_dependencies("ext4").unwrap(), ext4);
        assert_eq!(kernel.with_dependencies("a_b").unwrap(), ["kernel/x/a-b.ko"]);
        assert!(kernel.with_dependencies("b").is_err());
    }

    #[test]
    fn the_archive_is_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.add("a", 0o100_644, b"hello").unwrap();
        let bytes = archive.end().unwrap();
        // 110 bytes of head and the name with its zero, to a multiple of 4; then the data, padded.
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[14..22], b"000081a4");
        assert_eq!((&bytes[110..112], &bytes[112..120]), (&b"a\0"[..], &b"hello\0\0\0"[..]));
        assert!(bytes.len().is_multiple_of(4));
        assert!(String::from_utf8_lossy(&bytes[120..]).contains("TRAILER!!!"));
    }

    #[test]
    #[ignore = "needs cpio"]
    fn cpio_reads_it() {
        let mut archive = Archive::default();
        archive.add("dir", 0o40755, b"").unwrap();
        archive.add("dir/file", 0o100_644, b"x").unwrap();
        let mut child = std::process::Command::new("cpio")
            .arg("-t")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&archive.end().unwrap()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), "dir\ndir/file\n");
    }
}
