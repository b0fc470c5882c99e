//! `flash`.
use super::Out;
use super::progress_lines::say;
use crate::answer::{Answer, DiskInfo, Disks, Flashed};
use crate::error::Error;
use crate::flash::{self, CardFile, Disk, Kinds, Map, World};
use crate::size::Bytes;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Arguments of `flash`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The card image: .img, .img.xz, .img.zst or .img.gz. With its block map beside it (card.img.bmap), only what that names is written
    #[arg(value_name = "CARD-IMAGE", required_unless_present = "list")]
    image: Option<PathBuf>,
    /// The disk to write, for example /dev/sdb: all that is on it is lost. Without it, the removable disks are listed
    #[arg(value_name = "DEVICE")]
    device: Option<PathBuf>,
    /// List the removable disks, and why one can't be written; writes nothing
    #[arg(long, conflicts_with_all = ["device", "yes"])]
    list: bool,
    /// Write without asking
    #[arg(long, short)]
    yes: bool,
    /// Take a disk that is neither removable nor at USB nor an SD card, such as an NVMe drive that goes into a Pi
    #[arg(long)]
    any_disk: bool,
    /// Write all of the image, even if a block map lies beside it
    #[arg(long)]
    no_map: bool,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let world = World::host();
    let disks = world.disks()?;
    let kinds = if args.any_disk { Kinds::Any } else { Kinds::Removable };
    let (image, device) = match (&args.image, &args.device) {
        (Some(image), Some(device)) => (image, device),
        (image, _) => return list(&disks, kinds, image.as_deref(), args.list, out),
    };
    let disk = flash::find(&disks, device)?;
    // What can be known before a long unpacking.
    flash::check(disk, 0, kinds)?;
    if !args.yes && !io::stdin().is_terminal() {
        return Err(Error::Usage(format!(
            "overwriting {} has to be confirmed, and standard input is not a terminal: add --yes",
            disk.path()
        )));
    }
    let progress = out.progress();
    let card = CardFile::open(image, if args.no_map { Map::Ignore } else { Map::Use }, &*progress)?;
    flash::check(disk, card.bytes(), kinds)?;
    if card.map().is_none() && !args.no_map {
        progress
            .note("the image has no block map beside it: flash writes all of the image, which takes longer");
    }
    if !args.yes && !confirmed(disk, image, card.bytes())? {
        return Err(Error::NothingToDo(format!("{} was not written", disk.path())));
    }
    let done = flash::flash(&card, disk, kinds, &world, &*progress)?;
    drop(progress);

    let text = format!(
        "{}  {}: holds {}, {} read back and compared in {} s\nthe card can be taken out\n",
        disk.path(),
        title(disk),
        image.display(),
        Bytes(done.mapped),
        done.took.as_secs(),
    );
    out.result(Answer::Flashed(Flashed::new(image, &card, disk, &done)), &text)
}

/// What people know a disk by.
fn title(disk: &Disk) -> String {
    let (bytes, model) = (Bytes(disk.identity.bytes), &disk.identity.model);
    let model = if model.is_empty() { "disk" } else { model };
    format!("{bytes} {model} ({})", disk.bus.name())
}

/// Ask on the terminal.
fn confirmed(disk: &Disk, image: &Path, bytes: u64) -> Result<bool, Error> {
    say(&format!("{}  {}: everything on it will be lost", disk.path(), title(disk)));
    // Nothing can be done about a closed stderr.
    let _ = write!(io::stderr(), "type yes to write {} ({}) onto it: ", image.display(), Bytes(bytes));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|e| Error::Usage(format!("standard input can't be read ({e}): add --yes")))?;
    Ok(is_yes(&answer))
}

/// The whole word: a key that was hit by mistake is not enough.
fn is_yes(answer: &str) -> bool {
    answer.trim_end() == "yes"
}

/// List what could be written. With `--list` that is all; otherwise a disk should have been named.
fn list(disks: &[Disk], kinds: Kinds, image: Option<&Path>, asked: bool, out: Out) -> Result<(), Error> {
    // Of a compressed image the size isn't known without unpacking it.
    let needed = image
        .filter(|path| !flash::is_packed(path))
        .and_then(|path| path.metadata().ok())
        .map_or(0, |meta| meta.len());
    let shown = disks.iter().filter(|disk| kinds == Kinds::Any || disk.is_removable());
    let shown: Vec<_> = shown.map(|disk| DiskInfo::new(disk, needed, kinds)).collect();
    let text = table(&shown);
    let next = shown.iter().find(|disk| disk.unfit.is_none()).map(|disk| disk.device.clone());
    let is_empty = shown.is_empty();
    let answer = Answer::Disks(Disks { disks: shown });
    if asked {
        return out.result(answer, &text);
    }
    let image = image.unwrap_or_else(|| Path::new("CARD-IMAGE")).display();
    let why = match next {
        Some(device) => {
            format!("no disk is named; to overwrite {device}: bistable-image flash {image} {device}")
        }
        None if is_empty => "no disk is named, and this computer has no removable one: insert a card".into(),
        None => "no disk is named, and none of these can be written as it is".into(),
    };
    Err(out.report(answer, &text, Error::Usage(why)))
}

fn table(disks: &[DiskInfo]) -> String {
    if disks.is_empty() {
        return "no removable disk is there: insert a card, or list all disks with --any-disk\n".into();
    }
    let mut text = String::new();
    for disk in disks {
        let model = if disk.model.is_empty() { "-" } else { &disk.model };
        let size = if disk.bytes == 0 { "-".into() } else { Bytes(disk.bytes).to_string() };
        text.push_str(&format!("{:14} {size:>10}  {:7} {model}\n", disk.device, disk.bus));
        if !disk.uses.is_empty() {
            text.push_str(&format!("    in use: {}\n", disk.uses.join(", ")));
        }
        if let Some(why) = &disk.unfit {
            text.push_str(&format!("    can't be written: {why}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_word_confirms() {
        assert!(is_yes("yes\n") && is_yes("yes"));
        for answer in ["", "\n", "y\n", "YES\n", "yes please\n", "no\n"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }

    #[test]
    fn a_list_says_of_each_disk_what_uses_it_and_why_it_is_not_written() {
        let disk = |device: &str, uses: &[&str], unfit: Option<&str>| DiskInfo {
            device: device.into(),
            bytes: 8 << 30,
            model: "Generic Reader".into(),
            serial: None,
            bus: "USB".into(),
            uses: uses.iter().map(ToString::to_string).collect(),
            unfit: unfit.map(Into::into),
        };
        let empty = DiskInfo {
            bytes: 0,
            model: String::new(),
            ..disk("/dev/sdc", &[], Some("the reader has no card"))
        };
        let text = table(&[disk("/dev/sdb", &["sdb1 on /media/x"], Some("it is in use")), empty]);
        let expected = "/dev/sdb          8.0 GiB  USB     Generic Reader\n    in use: sdb1 on /media/x\n    \
                        can't be written: it is in use\n/dev/sdc                -  USB     -\n    \
                        can't be written: the reader has no card\n";
        assert_eq!(text, expected);
        assert!(table(&[]).contains("insert a card"));
    }
}
