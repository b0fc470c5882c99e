//! The real board on real block devices: each partition is a loop device. Root only, so it runs when it is asked for:
//! `cargo test -p bistable --test suite -- --ignored real_block`.
use crate::sysroot::{PI4, Sys, write};
use bistable::board::Access;
use bistable_boot::{Slot, layout::Partition};
use std::{fs, os::unix::fs::OpenOptionsExt, path::PathBuf, process::Command};

/// Loop devices of a tree's partitions; taken apart in the end.
struct Loops {
    sys: Sys,
    /// By [`Partition::ALL`].
    devices: Vec<String>,
    mounted: Vec<PathBuf>,
}

fn succeed(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl Loops {
    fn new() -> Loops {
        let mut loops = Loops { sys: Sys::new(PI4), devices: Vec::new(), mounted: Vec::new() };
        for partition in Partition::ALL {
            let node = loops.sys.node(partition);
            let file = loops.sys.path(&format!("{}.bytes", partition.name()));
            fs::rename(&node, &file).unwrap();
            let device = succeed("losetup", &["-f", "--show", file.to_str().unwrap()]).unwrap();
            let minor = device.trim_start_matches("/dev/loop").to_owned();
            loops.devices.push(device);
            succeed("mknod", &[node.to_str().unwrap(), "b", "7", &minor]).unwrap();
            loops.sys.text(&format!("{}/dev", loops.sys.sysfs(partition)), &format!("7:{minor}\n"));
        }
        loops.runs();
        loops
    }

    fn dev(&self, partition: Partition) -> String {
        self.device(partition).replace("/dev/loop", "7:")
    }

    fn device(&self, partition: Partition) -> &str {
        &self.devices[usize::from(partition.number() - 1)]
    }

    /// Slot A runs, and nothing else is mounted, as far as the tree shows.
    fn runs(&self) {
        let dev = self.dev(Partition::System(Slot::A));
        let link = self.sys.path(&format!("sys/dev/block/{dev}"));
        if !link.exists() {
            let to = format!("../../../{}", self.sys.sysfs(Partition::System(Slot::A)));
            std::os::unix::fs::symlink(to, link).unwrap();
        }
        self.sys.mounts(&[&format!("{dev} / / ro - ext4 /dev/root ro")]);
    }

    /// Really mount it.
    fn mount(&mut self, partition: Partition, options: &str) -> Result<String, String> {
        let point = self.sys.folder(&format!("mnt/{}", partition.name()));
        let done = succeed("mount", &["-o", options, self.device(partition), point.to_str().unwrap()]);
        if done.is_ok() {
            self.mounted.push(point);
        }
        done
    }

    fn unmount(&mut self) {
        for point in self.mounted.drain(..) {
            let _ = succeed("umount", &[point.to_str().unwrap()]);
        }
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.unmount();
        for device in &self.devices {
            let _ = succeed("losetup", &["-d", device]);
        }
    }
}

#[test]
#[ignore = "needs root and loop devices"]
fn partitions_that_are_block_devices() {
    let control = fs::OpenOptions::new().write(true).open("/dev/loop-control");
    if let Err(e) = control {
        eprintln!("skipped: no loop devices can be made here: /dev/loop-control: {e}");
        return;
    }
    let mut loops = Loops::new();
    let (boot_b, flag) = (Partition::Boot(Slot::B), Partition::Bootconfig);
    let name = "partition boot_b (mmcblk0p3) is";

    // Reading, writing, the boot flag; and what is claimed can't be mounted.
    let mut pi = loops.sys.open(Access::Exclusive).unwrap();
    let volume = pi.board.partitions.open(boot_b).unwrap();
    let pattern: Vec<u8> = (0..8192u32).map(|i| (i % 251) as u8).collect();
    volume.write(4096, &pattern).unwrap();
    volume.write(512, &pattern[..512]).unwrap();
    volume.flush().unwrap();
    let mut back = vec![0; 8192];
    volume.read(4096, &mut back).unwrap();
    assert!(back == pattern);
    volume.read(512, &mut back[..512]).unwrap();
    assert!(back[..512] == pattern[..512]);
    let end = volume.bytes();
    assert!(volume.write(end, &[0; 512]).is_err() && volume.read(end - 512, &mut [0; 1024]).is_err());
    for default in [Slot::B, Slot::A] {
        pi.board.boot.make_default(default).unwrap();
        assert_eq!(pi.board.boot.default_slot().unwrap(), default);
    }
    succeed("mke2fs", &["-q", loops.device(boot_b)]).expect_err("claimed by us");
    drop((volume, pi));
    succeed("mke2fs", &["-q", loops.device(boot_b)]).unwrap();

    // Another process has it, whether that can be seen or not.
    loops.mount(boot_b, "ro").unwrap();
    let mut pi = loops.sys.open(Access::Exclusive).unwrap();
    let said = write(&mut *pi.board.partitions, boot_b).unwrap_err().to_string();
    assert!(said.starts_with(&format!("{name} in use by the kernel or another program")), "{said}");
    loops.sys.mount(&format!("{} / /mnt ro - ext4 x ro", loops.dev(boot_b)));
    let said = write(&mut *pi.board.partitions, boot_b).unwrap_err().to_string();
    assert!(said.starts_with(&format!("{name} mounted on /mnt")), "{said}");
    loops.runs();
    loops.unmount();
    write(&mut *pi.board.partitions, boot_b).unwrap();
    assert!(loops.mount(boot_b, "ro").is_ok(), "not claimed any more once the volume is gone");
    loops.unmount();

    // The flag, claimed as a mount claims it: where it can be seen that it is mounted read-only, it is written; where
    // nothing can be seen, it isn't.
    let mut claim = fs::OpenOptions::new();
    let claim = claim.read(true).custom_flags(nix::libc::O_EXCL).open(loops.device(flag)).unwrap();
    let said = pi.board.boot.make_default(Slot::B).unwrap_err().to_string();
    assert!(said.contains("in use by the kernel or another program"), "{said}");
    loops.sys.mount(&format!("{} / /boot ro - vfat x ro", loops.dev(flag)));
    pi.board.boot.make_default(Slot::B).unwrap();
    assert_eq!(pi.board.boot.default_slot().unwrap(), Slot::B);
    drop((pi, claim));

    // A node that belongs to another device.
    fs::remove_file(loops.sys.node(boot_b)).unwrap();
    let other = loops.device(Partition::System(Slot::B)).replace("/dev/loop", "");
    succeed("mknod", &[loops.sys.node(boot_b).to_str().unwrap(), "b", "7", &other]).unwrap();
    let mut pi = loops.sys.open(Access::Exclusive).unwrap();
    let said = write(&mut *pi.board.partitions, boot_b).unwrap_err().to_string();
    assert!(said.contains(&format!("is device 7:{other}, and the kernel says")), "{said}");
}
