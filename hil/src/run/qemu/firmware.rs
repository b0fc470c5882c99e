//! The Raspberry Pi's boot ROM, EEPROM and firmware, played: which partition of a card boots, and with what.
//!
//! QEMU starts a kernel, not a card, and no free copy of the closed firmware exists. So the rig reads the card as the
//! firmware does (Raspberry Pi documentation, "Boot flow", "autoboot.txt", "PARTITION_WALK"): the first FAT, its
//! `autoboot.txt`, the one-shot tryboot flag, `config.txt` of the partition that is chosen. What the kernel is told in
//! `/chosen/bootloader` is what the Pi's own firmware tells it.
use super::config_txt::{Boot, settings};
use anyhow::{Context, Result, ensure};
use bistable_kit::fat::FatVolume;
use std::{collections::BTreeMap, fs::File, io::Read as _, ops::Range, path::Path};

const SECTOR: u64 = 512;
/// No more of `autoboot.txt` is read.
const AUTOBOOT_BYTES: usize = 512;
/// `PARTITION_WALK`: this many partitions are tried after the one that was wanted.
const WALK: u8 = 8;
/// A kernel is smaller than this, unpacked.
const KERNEL_MAX: u64 = 256 << 20;

/// What a reset leaves behind: gone with the power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The one-shot flag.
    pub tryboot: bool,
    /// A partition that was asked for; 0 for none.
    pub partition: u8,
}

impl Registers {
    /// From the argument that the kernel was told to reboot with, `N` or `N tryboot`, as the Pi's own kernel hands it over.
    pub fn from_argument(argument: &str) -> Registers {
        let mut words = argument.split_whitespace();
        let partition = words.next().and_then(|w| w.parse().ok()).filter(|n| *n < 63).unwrap_or(0);
        Registers { tryboot: words.any(|w| w == "tryboot"), partition }
    }
}

/// What is booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// From which partition.
    pub partition: u8,
    /// Whether the one-shot flag was set, and is used up now.
    pub tryboot: bool,
    /// `config.txt`, filtered.
    settings: BTreeMap<String, String>,
    /// Human-readable.
    pub note: String,
}

/// What QEMU is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Unpacked.
    pub kernel: Vec<u8>,
    /// None if the settings name none.
    pub initramfs: Option<Vec<u8>>,
    /// The kernel's command line.
    pub cmdline: String,
    /// None if there is none on the partition; then the machine's own is taken.
    pub device_tree: Option<Vec<u8>>,
}

/// A card in the slot.
#[derive(Debug)]
pub struct Card {
    file: File,
    /// Number and place of each partition.
    partitions: BTreeMap<u8, Range<u64>>,
}

impl Card {
    /// Read the table.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(path: &Path) -> Result<Card> {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        let table = gptman::GPT::find_from(&mut file)
            .with_context(|| format!("reading the partition table of {}", path.display()))?;
        ensure!(table.sector_size == SECTOR, "sectors of {} bytes", table.sector_size);
        let used = table.iter().filter(|(_, entry)| entry.is_used());
        let places = used.filter_map(|(n, entry)| {
            let end = entry.ending_lba.checked_add(1)?.checked_mul(SECTOR)?;
            Some((u8::try_from(n).ok()?, entry.starting_lba.checked_mul(SECTOR)?..end))
        });
        let partitions = places.collect();
        Ok(Card { file, partitions })
    }

    /// Where a partition lies, in bytes.
    pub fn place(&self, partition: u8) -> Option<Range<u64>> {
        self.partitions.get(&partition).cloned()
    }

    /// The FAT in a partition; none if there is something else, or nothing.
    pub fn volume(&self, partition: u8) -> Option<FatVolume> {
        let start = self.place(partition)?.start;
        FatVolume::open(self.file.try_clone().ok()?, start).ok()
    }

    /// A file of a partition; none if there is no such file, or it can't be read.
    pub fn read(&self, partition: u8, name: &str) -> Option<Vec<u8>> {
        self.volume(partition)?.read(name).ok()?
    }

    fn is_bootable(&self, partition: u8) -> bool {
        self.read(partition, "config.txt").is_some()
    }

    /// What boots; none if nothing does.
    pub fn choose(&self, registers: Registers) -> Option<Choice> {
        let Registers { tryboot, partition: asked } = registers;
        let mut note = String::new();
        let (mut partition, mut whole) = (asked, false);
        if partition == 0 {
            partition = self.partitions.keys().copied().find(|p| self.volume(*p).is_some()).unwrap_or(1);
            match self.read(partition, "autoboot.txt") {
                None => note += "no autoboot.txt; ",
                Some(text) => {
                    let text = text.get(..AUTOBOOT_BYTES).unwrap_or(&text);
                    let found = settings(text, Boot { partition: 0, tryboot });
                    whole = found.get("tryboot_a_b").is_some_and(|v| v == "1");
                    let named = found.get("boot_partition").and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                    partition = named.unwrap_or(partition);
                }
            }
        }
        if !self.is_bootable(partition) {
            note += &format!("partition {partition} isn't bootable; ");
            let walk = (1..WALK).map(|step| (partition + step - 1) % WALK + 1);
            partition = walk.into_iter().find(|p| self.is_bootable(*p))?;
        }
        // Without `tryboot_a_b`, tryboot is another file on the same partition.
        let config = if tryboot && !whole { "tryboot.txt" } else { "config.txt" };
        let text = self.read(partition, config)?;
        let settings = settings(&text, Boot { partition, tryboot });
        Some(Choice { partition, tryboot, settings, note })
    }

    /// The files of a choice.
    ///
    /// # Errors
    /// When one is missing, or the kernel can't be unpacked: the firmware stops there, and a watchdog has to come.
    pub fn load(&self, choice: &Choice) -> Result<Payload> {
        let named =
            |key: &str, default: &str| choice.settings.get(key).cloned().unwrap_or_else(|| default.into());
        let read =
            |name: &str| self.read(choice.partition, name).with_context(|| format!("{name} can't be read"));
        let kernel = unpacked(read(&named("kernel", "kernel8.img"))?)?;
        let initramfs = choice.settings.get("initramfs").map(|name| read(name)).transpose()?;
        let cmdline = read(&named("cmdline", "cmdline.txt"))?;
        let device_tree = self.read(choice.partition, &named("device_tree", "bcm2837-rpi-3-b.dtb"));
        let cmdline = String::from_utf8_lossy(&cmdline).split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Payload { kernel, initramfs, cmdline, device_tree })
    }
}

/// A kernel without its gzip, whose checksum has to be right.
fn unpacked(kernel: Vec<u8>) -> Result<Vec<u8>> {
    if !kernel.starts_with(&[0x1f, 0x8b]) {
        return Ok(kernel);
    }
    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(&kernel[..])
        .take(KERNEL_MAX)
        .read_to_end(&mut raw)
        .context("unpacking the kernel")?;
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_boot::{
        Autoboot, Slot,
        layout::{BOOT_PARTITIONS, Partition},
    };
    use bistable_image::volume::{BootOptions, VolumeId, VolumeSize, open_boot};
    use std::{fs, io::Write as _, os::unix::fs::FileExt as _};

    const CONFIG: &str = "initramfs initrd.img followkernel\n[boot_partition=2]\ncmdline=cmdline-a.txt\n[boot_partition=3]\ncmdline=cmdline-b.txt\n";

    /// A card with the flag for slot A and two boot volumes.
    fn card(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("card.img");
        let mut file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        let mut table = gptman::GPT::new_from(&mut file, SECTOR, [1; 16]).unwrap();
        for (i, partition) in [Partition::Bootconfig, Partition::Boot(Slot::A), Partition::Boot(Slot::B)]
            .into_iter()
            .enumerate()
        {
            let start = 2048 + 32768 * i as u64;
            table[u32::from(partition.number())] = gptman::GPTPartitionEntry {
                partition_type_guid: [2; 16],
                unique_partition_guid: [partition.number(); 16],
                starting_lba: start,
                ending_lba: start + 32767,
                attribute_bits: 0,
                partition_name: partition.name().into(),
            };
            let files = dir.join(partition.name());
            fs::create_dir(&files).unwrap();
            let put = |name: &str, bytes: &[u8]| {
                fs::File::create(files.join(name)).unwrap().write_all(bytes).unwrap();
            };
            if partition == Partition::Bootconfig {
                put("autoboot.txt", &Autoboot { partitions: BOOT_PARTITIONS, default: Slot::A }.render());
            } else {
                put("config.txt", CONFIG.as_bytes());
                put("cmdline-a.txt", b"root=a quiet\n");
                put("cmdline-b.txt", b"root=b\n quiet\n");
                let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packed.write_all(&[7; 100_000]).unwrap();
                put("kernel8.img", &packed.finish().unwrap());
                put("initrd.img", b"initrd");
            }
            let options = BootOptions {
                size: VolumeSize::Exact(16 << 20),
                ..BootOptions::new(VolumeId::from_name("x"), 0)
            };
            let mut image = Vec::new();
            open_boot(&files, &options).unwrap().write_to(&mut image, &|_| {}).unwrap();
            file.write_all_at(&image, start * SECTOR).unwrap();
        }
        table.write_into(&mut file).unwrap();
        path
    }

    fn flip(path: &Path, at: u64) {
        let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0xff], at).unwrap();
    }

    #[test]
    fn the_flag_chooses_and_the_partition_chooses_the_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let card = Card::open(&card(dir.path())).unwrap();
        let table = [
            (Registers::default(), 2, "root=a quiet"),
            (Registers { tryboot: true, partition: 0 }, 3, "root=b quiet"),
            (Registers { tryboot: false, partition: 3 }, 3, "root=b quiet"),
        ];
        for (registers, partition, cmdline) in table {
            let choice = card.choose(registers).unwrap();
            assert_eq!((choice.partition, choice.tryboot), (partition, registers.tryboot));
            let payload = card.load(&choice).unwrap();
            assert_eq!(payload.cmdline, cmdline);
            assert_eq!(payload.kernel, [7; 100_000]);
            assert_eq!(payload.initramfs.as_deref(), Some(&b"initrd"[..]));
            assert_eq!(payload.device_tree, None);
        }
    }

    #[test]
    fn a_partition_that_is_erased_is_walked_past_and_a_damaged_kernel_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = card(dir.path());
        let (kernel, boot_b) = {
            let card = Card::open(&path).unwrap();
            let kernel = card.volume(3).unwrap().place_of("kernel8.img", 60).unwrap().unwrap();
            (kernel, card.partitions[&3].start)
        };
        let once = Registers { tryboot: true, partition: 0 };
        flip(&path, kernel);
        let card = Card::open(&path).unwrap();
        let choice = card.choose(once).unwrap();
        assert_eq!(choice.partition, 3);
        assert!(card.load(&choice).is_err(), "the kernel's checksum");
        assert!(card.load(&card.choose(Registers::default()).unwrap()).is_ok());
        flip(&path, boot_b + 510);
        let choice = card.choose(once).unwrap();
        assert_eq!(choice.partition, 2);
        assert!(choice.note.contains("isn't bootable"), "{}", choice.note);
    }

    #[test]
    fn what_a_reboot_is_told() {
        let table = [
            ("", Registers::default()),
            ("0 tryboot", Registers { tryboot: true, partition: 0 }),
            ("3", Registers { tryboot: false, partition: 3 }),
            ("tryboot", Registers::default()),
            ("99", Registers::default()),
        ];
        for (argument, want) in table {
            assert_eq!(Registers::from_argument(argument), want, "{argument:?}");
        }
    }
}
