//! Installing against `zstd -dc | dd` of the very same data onto the same file system, turn by turn.
//!
//! `dd` only writes. The installation also verifies the signature and every chunk's digest before and after it
//! decompresses, reads the slot to find what is right already, and reads everything back.
use super::{
    build,
    claim::Claim,
    proof,
    report::Pair,
    update,
    workdir::{Version, Workdir},
};
use anyhow::{Context, Result, ensure};
use bistable_boot::Slot;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    process::Command,
};

const DATA: &str = "data.zst";
const COPY: &str = "copy.raw";

/// What the inactive slot, and the file that `dd` writes, hold before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing: a card that was just made.
    Holes,
    /// An older release, as on a device that was updated before.
    OldRelease,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Race {
    pub(super) onto_new_card: Vec<Pair>,
    pub(super) over_old_release: Vec<Pair>,
    pub(super) caches_dropped: bool,
    pub(super) claim: Claim,
}

/// Run `pairs` of them, each onto a new card and over an older release.
pub(super) fn run(desk: &Workdir, pairs: usize) -> Result<Race> {
    let images = build::images(desk, Version::New)?;
    extract_data(desk, &images)?;
    let bytes = images.iter().map(|image| image.raw_bytes).sum();
    let (mut onto_new_card, mut over_old_release, mut caches_dropped) = (Vec::new(), Vec::new(), true);
    for _ in 0..pairs {
        onto_new_card.push(pair(desk, Before::Holes, bytes, &mut caches_dropped)?);
        over_old_release.push(pair(desk, Before::OldRelease, bytes, &mut caches_dropped)?);
    }
    let claim = proof::slot_holds(desk, Slot::B, Version::New, "an undisturbed installation left ")?;
    for name in [DATA, COPY] {
        fs::remove_file(desk.path(name)).with_context(|| desk.path(name).display().to_string())?;
    }
    Ok(Race { onto_new_card, over_old_release, caches_dropped, claim })
}

/// One of each.
fn pair(desk: &Workdir, before: Before, bytes: u64, caches_dropped: &mut bool) -> Result<Pair> {
    desk.fresh_card()?;
    if before == Before::OldRelease {
        proof::fill_inactive(desk, Version::Old)?;
    }
    *caches_dropped &= drop_caches();
    let install = update::install(desk, "")?;
    *caches_dropped &= drop_caches();
    let copy_seconds = copy(desk, before, bytes)?;
    Ok(Pair { install, copy_seconds })
}

/// Both volumes' data, one after the other, as they are in the bundle: what `zstd -dc` takes.
fn extract_data(desk: &Workdir, images: &[build::Image]) -> Result<()> {
    let path = desk.path(&Version::New.bundle());
    let bundle = File::open(&path).with_context(|| path.display().to_string())?;
    let out = desk.path(DATA);
    let mut out = File::create(&out).with_context(|| format!("making {}", out.display()))?;
    let mut found = 0;
    let mut archive = tar::Archive::new(bundle);
    for entry in archive.entries().with_context(|| path.display().to_string())? {
        let mut entry = entry.with_context(|| path.display().to_string())?;
        let name = entry.path().with_context(|| path.display().to_string())?.into_owned();
        let name = name.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if images.iter().any(|image| image.data_sha256 == name) {
            io::copy(&mut entry, &mut out).context("copying the data out of the bundle")?;
            found += 1;
        }
    }
    ensure!(found == images.len(), "{} holds the data of {found} volumes", path.display());
    Ok(())
}

/// Seconds that `zstd -dc | dd` takes, into a new file or into the one of the pair before.
fn copy(desk: &Workdir, before: Before, bytes: u64) -> Result<f64> {
    let to = desk.path(COPY);
    if before == Before::Holes && to.exists() {
        fs::remove_file(&to).with_context(|| to.display().to_string())?;
    }
    let line =
        format!("zstd -dcq {DATA} | dd of={COPY} bs=1M iflag=fullblock conv=notrunc,fsync status=none");
    super::tell(&format!("$ {line}"));
    let start = super::now();
    let status =
        Command::new("sh").arg("-c").arg(&line).current_dir(&desk.folder).status().context("starting sh")?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(status.success(), "`{line}`: {status}; are zstd and dd installed?");
    super::tell(&format!("  {seconds:.1} s"));
    let got = fs::metadata(&to).with_context(|| to.display().to_string())?.len();
    ensure!(got == bytes, "zstd -dc gave {got} bytes, and the volumes have {bytes}");
    Ok(seconds)
}

/// Forget what is in the page cache, if that is allowed.
fn drop_caches() -> bool {
    nix::unistd::sync();
    let file = OpenOptions::new().write(true).open("/proc/sys/vm/drop_caches");
    file.and_then(|mut file| file.write_all(b"3\n")).is_ok()
}
