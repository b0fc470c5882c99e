//! `repair`: recreates a lost root, journal or boot flag, and acknowledges an equivocation.
use super::{Answer, say};
use crate::{
    Device, Error, Known, ReadRelease, Repaired, app,
    cli::RepairArgs,
    config::Settings,
    ports::Board,
    steps::install::{Bundle, Content},
};
use bistable_format::{Envelope, Role, Root};
use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
};

pub(super) fn run(board: Board, settings: Settings, args: &RepairArgs) -> Result<Answer, Error> {
    let root = args.root_file.as_deref().map(|path| read(&mut open(path)?, path)).transpose()?;
    let mut release = args.release.as_deref().map(|path| move |roots: &[&Root]| signed_release(path, roots));
    let release = release.as_mut().map(|read| read as &mut ReadRelease<'_>);
    let mut known =
        Known { root, product: args.product.clone(), release, new_bootconfig: args.new_bootconfig };
    let (device, repaired) = Device::repair(board, settings, &mut known)?;
    warn(&repaired);
    let answer = app::Repair::new(device.record.seq, device.running().is_some(), &repaired);
    Ok(Answer::new(text(&repaired), app::Answer::Repaired(answer)))
}

/// What was done, one line each.
fn text(repaired: &Repaired) -> String {
    let root =
        repaired.root.map(|version| format!("the root was written again: version {version} is trusted"));
    let journal =
        repaired.journal.map(|journal| format!("the journal was recreated at number {}", journal.seq));
    let release =
        repaired.release.as_ref().map(|version| format!("the running slot is known to hold {version} now"));
    let flag = repaired.flag.map(|slot| format!("the boot flag was rewritten: slot {slot} is the default"));
    let acknowledged = repaired.acknowledged.map(|found| {
        format!("the equivocation at number {} is acknowledged and no longer shown", found.sequence)
    });
    [root, journal, release, flag, acknowledged].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// What could not be brought back, loudly.
fn warn(repaired: &Repaired) {
    let Some(journal) = repaired.journal else { return };
    if !journal.floors_kept {
        say(
            "warning: the anti-rollback floors were lost: older releases and channel files that are still validly signed are \
             accepted again until newer ones are seen; run `bistable check` now, while the repository can be reached",
        );
    }
    if !journal.release_known {
        say(
            "warning: which release runs is not known: its checks can't be run and the next update fetches everything; \
             `bistable repair --release FILE` names it",
        );
    }
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::Open { path: path.into(), source })
}

/// A signed thing from its file.
fn read(file: &mut File, path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let most = Envelope::MAX_BYTES as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(|source| Error::Open { path: path.into(), source })?;
    Ok(bytes)
}

/// The signed release in a file: by itself, or at the head of its bundle. The error is what the first root says.
fn signed_release(path: &Path, roots: &[&Root]) -> Result<Vec<u8>, Error> {
    let mut file = open(path)?;
    let bytes = read(&mut file, path)?;
    if Envelope::parse(&bytes, Role::Release).is_ok() {
        return Ok(bytes);
    }
    let mut refused = None;
    for root in roots {
        file.rewind().map_err(|source| Error::Open { path: path.into(), source })?;
        match Bundle::open(&mut file, root) {
            Ok(bundle) => return Ok(bundle.signed().to_vec()),
            Err(e) => drop(refused.get_or_insert(e)),
        }
    }
    Err(refused
        .map_or_else(|| Error::Usage("there is no root to verify the release with".into()), Error::from))
}
