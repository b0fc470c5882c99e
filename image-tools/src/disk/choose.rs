//! Which partition becomes which volume.
use super::content::{Content, Found};

/// Names of boot partitions in a GPT, the most certain first. `boot_a` is rpi-image-gen's.
const BOOT: [&str; 4] = ["boot_a", "boot", "bootfs", "firmware"];
/// Names of root file systems' partitions in a GPT.
const SYSTEM: [&str; 5] = ["system_a", "system", "root_a", "root", "rootfs"];

/// What was asked for: numbers of partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) boot: Option<u32>,
    pub(super) system: Option<u32>,
}

/// The boot and the system partition; or what is missing, and what to do.
pub(super) fn choose(found: &[Found], wanted: Wanted) -> Result<(&Found, &Found), String> {
    let boot = match wanted.boot {
        Some(number) => given(found, number, Content::Fat, "--boot-partition")?,
        None => best(found, &BOOT, |f| f.boots).ok_or(
            "no boot partition: none is a FAT file system with config.txt, cmdline.txt or kernel*.img; \
             choose one by --boot-partition N, or give both volumes by --boot and --system",
        )?,
    };
    let system = match wanted.system {
        Some(number) => given(found, number, Content::Ext, "--system-partition")?,
        None => best(found, &SYSTEM, |f| f.content == Content::Ext && !f.is_rootless).ok_or(
            match found.iter().any(|f| f.content == Content::Ext) {
                true => "no root file system: no ext4 in it has a folder /etc; choose one by --system-partition N",
                false => {
                    "no root file system that can be edited: none is ext4; unpack the root file system and give it by \
                     --system DIR or --system TAR, with --boot for the boot volume"
                }
            },
        )?,
    };
    Ok((boot, system))
}

fn given<'a>(found: &'a [Found], number: u32, content: Content, option: &str) -> Result<&'a Found, String> {
    match found.iter().find(|f| f.partition.number == number) {
        None => Err(format!("there is no partition {number}, which {option} names")),
        Some(f) if f.content != content => {
            let (is, wanted) = (f.content.name(), content.name());
            Err(format!("partition {number}, which {option} names, is {is}, but {wanted} is needed"))
        }
        Some(f) => Ok(f),
    }
}

/// One of those names, or else the first.
fn best<'a>(found: &'a [Found], names: &[&str], fits: impl Fn(&Found) -> bool) -> Option<&'a Found> {
    let rank = |f: &Found| names.iter().position(|name| f.partition.name.eq_ignore_ascii_case(name));
    found.iter().filter(|f| fits(f)).min_by_key(|f| rank(f).unwrap_or(names.len()))
}

#[cfg(test)]
mod tests {
    use super::super::table::Partition;
    use super::*;

    fn found(number: u32, name: &str, content: Content, boots: bool) -> Found {
        let partition = Partition { number, name: name.into(), start: 0, bytes: 1 };
        Found { partition, content, boots, is_rootless: false }
    }

    #[track_caller]
    fn chosen(found: &[Found], wanted: Wanted) -> (u32, u32) {
        let (boot, system) = choose(found, wanted).unwrap();
        (boot.partition.number, system.partition.number)
    }

    #[test]
    fn the_first_that_fit_are_taken() {
        let disk = [
            found(1, "", Content::Fat, false),
            found(2, "", Content::Fat, true),
            found(3, "", Content::Swap, false),
            found(4, "", Content::Ext, false),
            found(5, "", Content::Ext, false),
        ];
        assert_eq!(chosen(&disk, Wanted::default()), (2, 4));
        assert_eq!(chosen(&disk, Wanted { boot: Some(1), system: Some(5) }), (1, 5));
    }

    /// The first FAT has a config.txt and the first ext4 isn't the root: names decide.
    #[test]
    fn names_come_first() {
        let disk = [
            found(1, "bootconfig", Content::Fat, true),
            found(2, "boot_a", Content::Fat, true),
            found(3, "boot_b", Content::Fat, true),
            found(4, "persistent", Content::Ext, false),
            found(5, "system_a", Content::Ext, false),
            found(6, "system_b", Content::Ext, false),
        ];
        assert_eq!(chosen(&disk, Wanted::default()), (2, 5));
    }

    #[test]
    fn an_ext4_without_etc_is_not_the_root() {
        let mut disk = [
            found(1, "", Content::Fat, true),
            found(2, "system", Content::Ext, false),
            found(3, "", Content::Ext, false),
        ];
        disk[1].is_rootless = true;
        assert_eq!(chosen(&disk, Wanted::default()), (1, 3));
        assert_eq!(chosen(&disk, Wanted { boot: None, system: Some(2) }), (1, 2));
        disk[2].is_rootless = true;
        assert!(choose(&disk, Wanted::default()).unwrap_err().contains("--system-partition N"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let fat = found(1, "", Content::Fat, true);
        let btrfs = found(2, "", Content::Btrfs, false);
        let ext = found(3, "", Content::Ext, false);
        let why = |found: &[Found], wanted| choose(found, wanted).unwrap_err();
        assert!(why(std::slice::from_ref(&ext), Wanted::default()).contains("no boot partition"));
        assert!(why(&[fat.clone(), btrfs], Wanted::default()).contains("--system DIR"));
        let both = [fat, ext];
        assert!(why(&both, Wanted { boot: Some(9), system: None }).contains("no partition 9"));
        assert!(
            why(&both, Wanted { boot: Some(3), system: None }).contains("an ext4 file system, but a FAT")
        );
    }
}
