//! A disk that logs: a file that `qemu-storage-daemon` shows at another path, where every write and flush is logged.
use crate::prove::image::Image;
use anyhow::{Context, Result, bail, ensure};
use bistable_kit::disk_log::{self, Count, Entry};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

const DAEMON: &str = "qemu-storage-daemon";
const FUSE: &str = "/dev/fuse";
/// How often, and for how long in all, it is asked whether the daemon has come or gone.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSES: u32 = 10_000;
/// Entries of the log that are the bench's own: three writes and a flush; and a write and a flush.
const OURS_FIRST: usize = 4;
const OURS_LAST: usize = 2;

/// Whether disks that log can be had here.
///
/// # Errors
/// When not, with what is missing.
pub fn available() -> Result<()> {
    ensure!(
        Path::new(FUSE).exists(),
        "{FUSE} is missing: a logged disk needs FUSE. `modprobe fuse` brings it; a container must be given it \
         (--device {FUSE} --cap-add SYS_ADMIN)"
    );
    match Command::new(DAEMON).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`{DAEMON} --version` ended with {status}"),
        Err(e) => bail!(
            "{DAEMON} can't be started ({e}): Debian's package qemu-utils has it, or \
             qemu-system-common before Debian 13"
        ),
    }
}

/// A running daemon with its disk; gone when it is dropped.
#[derive(Debug)]
pub struct Export {
    folder: TempDir,
    daemon: Option<Child>,
    log: File,
    /// Where the agent's entries begin.
    begin: Count,
}

impl Export {
    /// Show a disk with this content. The card's path is [`card`](Self::card).
    ///
    /// # Errors
    /// When the daemon doesn't come up, with what it said.
    pub fn start(content: &Image) -> Result<Export> {
        available()?;
        let folder =
            tempfile::Builder::new().prefix("bistable-disk-").tempdir().context("making a folder")?;
        let at = |name: &str| folder.path().join(name);
        put(&at("disk.raw"), content).context("writing the disk")?;
        File::create(at("card.img"))?;
        // Both ends of the log are this file; the daemon only ever appends.
        let log = File::create(at("disk.log"))?;
        drop(log);
        let log = File::open(at("disk.log"))?;
        let path = |name: &str| at(name).display().to_string();
        // What the agent flushes is to be logged, not to be waited for: this is not about the desk's own power.
        let file = |node: &str, name: &str| {
            let name = path(name);
            format!("driver=file,node-name={node},filename={name},cache.no-flush=on,locking=off")
        };
        // Whoever closes a file on FUSE flushes it, and a flush that the agent forgot would not be missed. The kernel
        // stops that for good once a flush at a close is answered with ENOSYS (38); so the first one is.
        let no_flush_at_close = "driver=blkdebug,node-name=shown,image=logged,inject-error.0.event=none,\
                                 inject-error.0.iotype=flush,inject-error.0.errno=38,inject-error.0.once=on";
        let daemon = Command::new(DAEMON)
            .args(["--blockdev", &file("disk", "disk.raw"), "--blockdev", &file("log", "disk.log")])
            .args([
                "--blockdev",
                "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=512",
            ])
            .args(["--blockdev", no_flush_at_close])
            .arg("--export")
            .arg(format!("fuse,id=card,node-name=shown,mountpoint={},writable=on", path("card.img")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(at("daemon.err"))?)
            .spawn()
            .with_context(|| format!("starting {DAEMON}"))?;
        let mut export = Export { folder, daemon: Some(daemon), log, begin: Count::START };
        export.wait_until_shown()?;
        drop(export.rewrite()?);
        drop(export.rewrite()?);
        ensure!(
            export.count(Count::START)?.entries == 2,
            "{DAEMON} logs a flush where a file is only closed"
        );
        export.rewrite()?.sync_data()?;
        let begin = export.count(Count::START)?;
        ensure!(
            begin.entries == OURS_FIRST as u64,
            "{DAEMON} logged {} entries for three writes and a flush",
            begin.entries
        );
        export.begin = Count { entries: 0, ..begin };
        Ok(export)
    }

    /// Write the card's last sector as it is.
    fn rewrite(&self) -> Result<File> {
        let card = OpenOptions::new().read(true).write(true).open(self.card())?;
        let at = card.metadata()?.len().checked_sub(512).context("the card is empty")?;
        let mut sector = [0; 512];
        card.read_exact_at(&mut sector, at)?;
        card.write_all_at(&sector, at)?;
        Ok(card)
    }

    /// The card, to be used like any file.
    pub fn card(&self) -> PathBuf {
        self.folder.path().join("card.img")
    }

    /// The log.
    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("disk.log")
    }

    /// A folder for whatever belongs to this disk; `<card>.sim` lies in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Complete entries so far, but for the bench's own.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn counted(&self) -> Result<Count> {
        self.count(self.begin)
    }

    /// Continue to count complete entries.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn count(&self, from: Count) -> Result<Count> {
        let mut count = from;
        let bytes = self.log.metadata()?.len();
        while count.step(bytes, |at, head| self.log.read_exact_at(head, at).is_ok()) {}
        Ok(count)
    }

    /// End the daemon, and give what was logged.
    ///
    /// # Errors
    /// When it doesn't end, or the log isn't what it should be.
    pub fn finish(&mut self) -> Result<Vec<Entry>> {
        let counted = self.counted()?.entries;
        // The daemon counts its entries at a flush, and flushes nothing where nothing was written.
        self.rewrite()?.sync_data().context("flushing the disk")?;
        self.stop()?;
        let mut entries = disk_log::parse(&fs::read(self.log_path())?)?;
        let logged = entries.len().checked_sub(OURS_FIRST + OURS_LAST).map(|n| n as u64);
        ensure!(logged == Some(counted), "{counted} entries were counted, and {logged:?} logged");
        let end = entries.len() - OURS_LAST;
        Ok(entries.drain(OURS_FIRST..end).collect())
    }

    /// Whether the disk holds exactly that, from its first to its last byte.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn holds(&self, image: &Image) -> Result<bool> {
        let disk = File::open(self.folder.path().join("disk.raw"))?;
        let (mut block, mut at, end) = (vec![0; 1 << 20], 0, disk.metadata()?.len());
        while at < end {
            let len = block.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            disk.read_exact_at(&mut block[..len], at)?;
            if !image.holds(at, &block[..len]) {
                return Ok(false);
            }
            at += len as u64;
        }
        Ok(true)
    }

    /// Read bytes of the disk, past the card.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        File::open(self.folder.path().join("disk.raw"))?.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// A daemon's own file system has another number than the folder that it lies in.
    fn is_shown(&self) -> io::Result<bool> {
        let card = fs::metadata(self.card())?;
        Ok(card.dev() != fs::metadata(self.folder.path())?.dev())
    }

    fn wait_until_shown(&mut self) -> Result<()> {
        for _ in 0..PAUSES {
            if self.is_shown()? {
                return Ok(());
            }
            if let Some(status) = self.daemon.as_mut().and_then(|d| d.try_wait().transpose()).transpose()? {
                let said = fs::read_to_string(self.folder.path().join("daemon.err")).unwrap_or_default();
                let said = said.trim();
                bail!(
                    "{DAEMON} ended with {status}: {said}. Who isn't root needs `fusermount3` too (Debian's package \
                     fuse3), and access to {FUSE}"
                );
            }
            pause();
        }
        bail!("{DAEMON} shows no disk")
    }

    /// End the daemon, as it wants to be ended.
    fn stop(&mut self) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let id = i32::try_from(daemon.id()).context("the daemon's id")?;
        kill(Pid::from_raw(id), Signal::SIGTERM)?;
        let status = daemon.wait()?;
        ensure!(status.success(), "{DAEMON} ended with {status}");
        for _ in 0..PAUSES {
            if !self.is_shown().unwrap_or(true) {
                return Ok(());
            }
            pause();
        }
        bail!("{} is still shown after {DAEMON} has ended", self.card().display())
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Whoever could hear of it has left already.
        let _ = self.stop();
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for another process, whose time is the real one")]
fn pause() {
    thread::sleep(PAUSE);
}

/// Write an image to a file as large as its partition table says.
fn put(path: &Path, image: &Image) -> Result<()> {
    let mut table = [0; 512];
    image.read(512, &mut table);
    // The last sector is where the second table's header lies.
    let last = table[32..40].try_into().map(u64::from_le_bytes)?;
    ensure!(table.starts_with(b"EFI PART") && last < 1 << 32, "the card has no partition table");
    let file = File::create(path)?;
    file.set_len((last + 1) * 512)?;
    let mut sector = [0; 512];
    for at in image.used_sectors(0, (last + 1) * 512) {
        image.read(at, &mut sector);
        file.write_all_at(&sector, at)?;
    }
    Ok(())
}
