//! `bistable.env`: what U-Boot has to know of a boot volume, so that its script needs no name, size or checksum of its own.
//!
//! Text for U-Boot's `env import -t`: one `key=value` for each line, lines end in LF, keys in this order and no others.
//!
//! ```text
//! bistable_format=1              this format
//! kernel=kernel8.img             the file's path on this volume, with / between folders
//! kernel_bytes=8e2a00            its length: hexadecimal, as all numbers of U-Boot's commands are, without 0x
//! kernel_crc=1c291ca3            CRC-32/ISO-HDLC of the whole file as a number: eight hexadecimal digits
//! kernel_crc_swapped=a31c291c    the same number with its four bytes the other way round
//! initrd=initramfs8              these four only with an initial RAM disk
//! initrd_bytes=… initrd_crc=… initrd_crc_swapped=…
//! fdt=bcm2711-rpi-4-b.dtb        these four only if config.txt names a device tree
//! fdt_bytes=… fdt_crc=… fdt_crc_swapped=…
//! cmdline=console=tty1 rootwait  cmdline.txt without root=, which the script adds for the slot
//! ```
//! Both byte orders, because `crc32 ADDRESS LENGTH DESTINATION` stores the number little-endian in some builds of U-Boot
//! and big-endian in others, and its script can compare, but not swap. A backslash in a value is doubled:
//! `env import -t` takes one for an escape (U-Boot, `lib/hashtable.c`). NUL and line ends can't be in a value.

use std::path::Path;

use crc::{Crc, Table};

use super::error::VolumeError;
use super::fat::{self, BootFile};
use super::tree::Tree;
use super::{BootOptions, cmdline, config_txt, raw_text};

/// The file's name.
pub(crate) const NAME: &str = "bistable.env";
/// What the firmware takes if `config.txt` names no kernel, the 64-bit one first.
const KERNELS: [&str; 3] = ["kernel8.img", "kernel7.img", "kernel.img"];
/// Most bytes of a `config.txt` or `cmdline.txt`.
const TEXT: u64 = 1 << 20;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&crc::CRC_32_ISO_HDLC);

/// A file that U-Boot loads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loaded {
    path: String,
    bytes: u64,
    crc: u32,
}

/// Puts `bistable.env` onto a boot volume that is still a tree.
///
/// # Errors
/// A file that `config.txt` names and that isn't there, no kernel at all, or a value that the format can't hold.
pub(crate) fn add(source: &Path, tree: &mut Tree, options: &BootOptions) -> Result<(), VolumeError> {
    let files = fat::files(source, tree)?;
    let env = describe(source, tree, &files)?;
    // A name that differs in case only would be a second file of the same name.
    let name = fat::find(&files, NAME).map_or(NAME, |file| &file.path);
    tree.put_file(name, env.as_bytes(), options.source_date_epoch, options.temp_dir.as_deref())
}

/// The whole text of a boot volume's `bistable.env`.
fn describe(source: &Path, tree: &Tree, files: &[BootFile]) -> Result<String, VolumeError> {
    let text = |name: &str| match fat::find(files, name) {
        Some(file) => read_text(source, tree, file),
        None => Ok(String::new()),
    };
    let config = config_txt::whole(&text("config.txt")?, &mut |name| text(name))?;
    let prefix = config_txt::value(&config, "os_prefix").unwrap_or_default();
    let prefixed = |name: &str| format!("{prefix}{name}");
    let named = |setting: &str, name: &str| {
        let missing =
            || bad(source, format!("config.txt says {setting}, but there is no file {:?}", prefixed(name)));
        fat::find(files, &prefixed(name)).ok_or_else(missing)
    };
    let load = |file: &BootFile| load(tree, file);

    let kernel = match config_txt::value(&config, "kernel") {
        Some(name) => named(&format!("kernel={name}"), name)?,
        None => KERNELS.iter().find_map(|name| fat::find(files, &prefixed(name))).ok_or_else(|| {
            let why = format!("no kernel for U-Boot: there is none of {}", KERNELS.join(", "));
            bad(source, format!("{why}; put one there, or name it in config.txt by kernel="))
        })?,
    };
    let initrd = match config_txt::initramfs(&config) {
        Some(name) => Some(named(&format!("initramfs {name}"), name)?),
        // The firmware's rule: `kernel` becomes `initramfs`, and the ending goes.
        None if config_txt::value(&config, "auto_initramfs") == Some("1") => {
            let name = kernel.name().strip_prefix("kernel").unwrap_or("8.img");
            let name = format!("initramfs{}", name.strip_suffix(".img").unwrap_or(name));
            fat::find(files, &prefixed(&name))
        }
        None => None,
    };
    let fdt = match config_txt::value(&config, "device_tree") {
        Some(name) => Some(named(&format!("device_tree={name}"), name)?),
        None => None,
    };
    let cmdline = config_txt::value(&config, "cmdline").unwrap_or("cmdline.txt");
    let cmdline_file = prefixed(cmdline);
    let cmdline = raw_text::utf8(text(&cmdline_file)?.lines().next().unwrap_or_default());
    let cmdline = cmdline.ok_or_else(|| bad(source, format!("{cmdline_file} is not UTF-8 text")))?;
    let words = cmdline::words(&cmdline).into_iter().filter(|word| !cmdline::begins(word, "root="));
    let cmdline = words.collect::<Vec<_>>().join(" ");
    let loaded = [
        ("kernel", Some(load(kernel)?)),
        ("initrd", initrd.map(load).transpose()?),
        ("fdt", fdt.map(load).transpose()?),
    ];
    render(&loaded, &cmdline).map_err(|why| bad(source, why))
}

/// The text from its values.
fn render(loaded: &[(&str, Option<Loaded>)], cmdline: &str) -> Result<String, String> {
    let mut text = String::from("bistable_format=1\n");
    for (key, file) in loaded {
        let Some(Loaded { path, bytes, crc }) = file else { continue };
        let path = escape(key, path)?;
        text.push_str(&format!("{key}={path}\n{key}_bytes={bytes:x}\n"));
        text.push_str(&format!("{key}_crc={crc:08x}\n{key}_crc_swapped={:08x}\n", crc.swap_bytes()));
    }
    text.push_str(&format!("cmdline={}\n", escape("cmdline", cmdline)?));
    Ok(text)
}

fn escape(key: &str, value: &str) -> Result<String, String> {
    if value.contains(['\0', '\n', '\r']) {
        return Err(format!("{key}={value:?} can't be told to U-Boot: it has a line end or NUL in it"));
    }
    Ok(value.replace('\\', "\\\\"))
}

fn load(tree: &Tree, file: &BootFile) -> Result<Loaded, VolumeError> {
    let mut digest = CRC.digest();
    fat::contents(tree, file.node, |bytes| {
        digest.update(bytes);
        Ok(())
    })?;
    Ok(Loaded { path: file.path.clone(), bytes: file.size.into(), crc: digest.finalize() })
}

/// A small text file of a boot volume: see [`raw_text`].
pub(crate) fn read_text(source: &Path, tree: &Tree, file: &BootFile) -> Result<String, VolumeError> {
    let refuse = |why: &str| bad(source, format!("{} {why}", file.path));
    if u64::from(file.size) > TEXT {
        return Err(refuse("has more than 1 MiB, so it is not what its name says"));
    }
    Ok(raw_text::decode(&fat::read(tree, file.node)?))
}

fn bad(source: &Path, why: String) -> VolumeError {
    VolumeError::BadImage { path: source.into(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32/ISO-HDLC.
    #[test]
    fn the_checksum_is_u_boots() {
        assert_eq!(CRC.checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn golden() {
        let kernel = Loaded { path: "kernel8.img".into(), bytes: 0x8e_2a00, crc: 0x1c29_1ca3 };
        let initrd = Loaded { path: "current/initramfs8".into(), bytes: 10, crc: 5 };
        let fdt = Loaded { path: "a b.dtb".into(), bytes: 0, crc: 0 };
        let cmdline = r"console=tty1 rootwait x=C:\y";
        let text = render(&[("kernel", Some(kernel)), ("initrd", Some(initrd)), ("fdt", Some(fdt))], cmdline);
        let golden = r"bistable_format=1
kernel=kernel8.img
kernel_bytes=8e2a00
kernel_crc=1c291ca3
kernel_crc_swapped=a31c291c
initrd=current/initramfs8
initrd_bytes=a
initrd_crc=00000005
initrd_crc_swapped=05000000
fdt=a b.dtb
fdt_bytes=0
fdt_crc=00000000
fdt_crc_swapped=00000000
cmdline=console=tty1 rootwait x=C:\\y
";
        assert_eq!(text.unwrap(), golden);
    }

    #[test]
    fn what_a_line_cannot_hold_is_refused() {
        for value in ["a\nb", "a\0", "a\r"] {
            assert!(render(&[], value).unwrap_err().contains("U-Boot"), "{value:?}");
        }
    }
}
