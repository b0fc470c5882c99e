//! The boot volume, edited so that the firmware starts it from either slot.
use super::{DiskError, cmdline};
use crate::volume::fat::{self, BootFile};
use crate::volume::tree::Tree;
use crate::volume::{config_txt, raw_text, uboot};
use std::path::Path;

/// What `config.txt` gets at its end. The filter `[boot_partition=N]` needs firmware of 2025-03 or later; older firmware
/// takes `cmdline.txt`, which is slot A's.
const BLOCK: &str = include_str!("../../../boot/files/config.txt.part");
/// First and last line of the block begin like this.
const MARKS: (&str, &str) = ("# --- Bistable: the booted slot", "# --- Bistable: end");

/// Edit the volume. Returns what was done, one line each.
pub(super) fn edit(
    image: &Path,
    tree: &mut Tree,
    epoch: u64,
    temp_dir: &Path,
) -> Result<Vec<String>, DiskError> {
    let files = fat::files(image, tree)?;
    let text = |file: Option<&BootFile>| match file {
        Some(file) => uboot::read_text(image, tree, file),
        None => Ok(String::new()),
    };
    let config_file = fat::find(&files, "config.txt");
    let config = text(config_file)?;
    let whole = config_txt::whole(&config, &mut |name| text(fat::find(&files, name)))?;
    let prefix = config_txt::value(&whole, "os_prefix").unwrap_or_default();
    let name = config_txt::value(&whole, "cmdline").unwrap_or("cmdline.txt");
    let name = format!("{prefix}{name}");
    // As the file system has it, if it is more than ASCII.
    let name = raw_text::utf8(&name).unwrap_or(name);
    let prefix = raw_text::utf8(prefix).unwrap_or_else(|| prefix.to_owned());
    let cmdline_file = fat::find(&files, &name);
    let made = cmdline::for_slots(&text(cmdline_file)?);

    let mut done = Vec::new();
    if cmdline_file.is_none() {
        done.push(format!(
            "there is no {name}: writing one that names little more than the root file system"
        ));
    }
    if !made.removed.is_empty() {
        done.push(format!("removed from {name}: {}", made.removed.join(" ")));
    }
    if !made.added.is_empty() {
        done.push(format!("added to {name}: {}", made.added.join(" ")));
    }
    if made.removed.iter().any(|word| word.starts_with("systemd.run=")) {
        done.push(
            "the image's first-boot script does not run: it would take itself out of cmdline.txt, which is read-only in \
             a slot, and run at each boot; put what it does into the image"
                .into(),
        );
    }
    let path = |name: &str, file: Option<&BootFile>| file.map_or_else(|| name.to_owned(), |f| f.path.clone());
    let slots = [("a", &made.text.a), ("b", &made.text.b)].map(|(slot, text)| {
        let name = format!("{prefix}cmdline-{slot}.txt");
        (path(&name, fat::find(&files, &name)), text.clone())
    });
    let others = [
        (path(&name, cmdline_file), made.text.a.clone()),
        (path("config.txt", config_file), with_block(&config)),
    ];
    for (path, text) in slots.into_iter().chain(others) {
        tree.put_file(&path, &raw_text::encode(&text), epoch, Some(temp_dir))?;
    }
    done.extend(other_loader(&files, &whole));
    Ok(done)
}

/// What boot loaders that the firmware may start read instead of `cmdline.txt`.
const LOADER_FILES: [&str; 7] = [
    "extlinux/extlinux.conf",
    "boot.scr",
    "boot.scr.uimg",
    "uEnv.txt",
    "loader/loader.conf",
    "grub/grub.cfg",
    "EFI/BOOT/BOOTAA64.EFI",
];

/// Whether the firmware starts another boot loader, whose root file system is named where nothing is edited.
fn other_loader(files: &[BootFile], config: &str) -> Option<String> {
    let kernel = config_txt::value(config, "kernel").unwrap_or_default();
    let name = kernel.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    if !["u-boot", "uboot", "rpi_efi", "grub", "barebox"].iter().any(|begin| name.starts_with(begin)) {
        return None;
    }
    let found: Vec<&str> = LOADER_FILES.into_iter().filter(|name| fat::find(files, name).is_some()).collect();
    let read = if found.is_empty() { "its own settings".to_owned() } else { found.join(", ") };
    Some(format!(
        "config.txt starts the boot loader {kernel}, which reads {read} and not cmdline.txt: nothing is changed there, and a root file system \
         named by PARTUUID, UUID, LABEL or device is not on the card of a device; have it name /dev/disk/by-slot, or PARTLABEL=system_a and \
         system_b, or set kernel= to the kernel itself"
    ))
}

/// The text with the block at its end, once.
fn with_block(config: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in config.split_inclusive('\n') {
        inside |= line.starts_with(MARKS.0);
        if !inside {
            text.push_str(line);
        }
        inside &= !line.starts_with(MARKS.1);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text + BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_comes_once_and_last() {
        assert!(BLOCK.starts_with(MARKS.0) && BLOCK.lines().last().unwrap().starts_with(MARKS.1));
        for (config, begin) in [("", ""), ("a=1", "a=1\n"), ("[pi4]\r\na=1\r\n", "[pi4]\r\na=1\r\n")] {
            let text = with_block(config);
            assert_eq!(text, format!("{begin}{BLOCK}"));
            assert_eq!(with_block(&text), text);
        }
        // What came behind it stays, and an old text of it goes.
        let old = format!("a=1\n{}\n[pi4]\nx=y\n{}\nb=2\n", MARKS.0, MARKS.1);
        assert_eq!(with_block(&old), format!("a=1\nb=2\n{BLOCK}"));
    }

    #[test]
    fn the_block_names_the_slots_partitions_and_command_lines() {
        let parts = bistable_boot::layout::BOOT_PARTITIONS;
        for (number, slot) in [(parts.a, "a"), (parts.b, "b")] {
            assert!(BLOCK.contains(&format!("[boot_partition={number}]\ncmdline=cmdline-{slot}.txt\n")));
        }
    }
}
