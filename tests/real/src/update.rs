//! The steps of an update, on the virtual Pi: install, cut short, install again, commit.
use super::{
    claim::Claim,
    meter::{Ended, Metered},
    report::{Again, Install, Pair, Resume},
    workdir::{CARD, Version, Workdir},
};
use anyhow::{Context, Result, bail};
use bistable::app::Rested;
use bistable_boot::Slot;
use bistable_format::progress::{ProgressLine, Step};
use bistable_kit::program::Program;
use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

fn device(line: &str) -> Metered {
    Metered::new(Program::Device, &format!("--card {CARD} {line}"))
}

/// Install the new release on the card as it is.
pub(super) fn install(desk: &Workdir, more: &str) -> Result<Install> {
    let line = format!("install --json --progress plain {} {more}", Version::New.bundle());
    let ended = device(&line).run(&desk.folder, 0)?;
    figures(&ended)
}

fn figures(ended: &Ended) -> Result<Install> {
    let rested: Rested = serde_json::from_str(&ended.stdout).context("reading what install answered")?;
    let installed = rested.installed.context("install did not say what it did")?;
    Ok(Install {
        seconds: ended.cost.seconds,
        peak_bytes: ended.cost.peak_bytes,
        card_bytes: rested.card.bytes,
        writes: rested.card.writes,
        chunks: installed.chunks,
        chunks_right_already: installed.skipped,
    })
}

/// Kill an installation in the middle, and start it again.
pub(super) fn killed_and_resumed(desk: &Workdir, whole: Option<&Pair>) -> Result<(Resume, Claim)> {
    let whole = &whole.context("there was no whole installation to compare with")?.install;
    desk.fresh_card()?;
    let (read, total) = kill_half_way(desk)?;
    let second = install(desk, "")?;
    let mut findings = Vec::new();
    if second.card_bytes >= whole.card_bytes / 4 * 3 {
        findings.push(format!(
            "killed after {read} of {total} bytes, the second run wrote {} bytes; a whole installation writes {}",
            second.card_bytes, whole.card_bytes
        ));
    }
    let claim = Claim::new("an installation that was killed in the middle goes on from there", findings);
    Ok((Resume { killed_at: read, bundle_bytes: total, second }, claim))
}

/// Start an installation and end it with SIGKILL when half of the bundle is read. Gives how much was, and of how much.
fn kill_half_way(desk: &Workdir) -> Result<(u64, u64)> {
    let line = format!("install --progress json {}", Version::New.bundle());
    let mut child = device(&line)
        .command(&desk.folder)?
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting bistable")?;
    let stderr = child.stderr.take().context("bistable has no standard error")?;
    let mut reached = None;
    let mut said = String::new();
    for text in BufReader::new(stderr).lines() {
        let text = text.context("reading what bistable says")?;
        if let Ok(ProgressLine::Progress(Step { done, total, .. })) = serde_json::from_str(&text)
            && done >= total / 2
            && total > 0
        {
            child.kill().context("killing bistable")?;
            reached = Some((done, total));
            break;
        }
        said.push_str(&text);
        said.push('\n');
    }
    let status = child.wait().context("waiting for bistable")?;
    match reached {
        Some(reached) if status.code().is_none() => {
            super::tell(&format!("  killed at {} of {} bytes", reached.0, reached.1));
            Ok(reached)
        }
        _ => bail!("the installation ended before it could be killed: {status}\n{said}"),
    }
}

/// Give the staged release up and install it again: everything is right already.
pub(super) fn identical_again(desk: &Workdir) -> Result<(Again, Claim)> {
    device("revert").run(&desk.folder, 0)?;
    let install = install(desk, "--retry-rejected")?;
    let slot_chunks = install.chunks - install.chunks_right_already.min(install.chunks);
    let mut findings = Vec::new();
    if slot_chunks > 0 {
        findings.push(format!("{slot_chunks} of {} chunks were written again", install.chunks));
    }
    let claim = Claim::new("installing what the slot holds already writes nothing into it", findings);
    Ok((Again { slot_chunks_written: slot_chunks, install }, claim))
}

/// Arm, try, commit.
pub(super) fn to_commit(desk: &Workdir) -> Result<Claim> {
    for verb in ["arm", "reboot", "resume"] {
        device(verb).run(&desk.folder, 0)?;
    }
    let ended = device("status --json").run(&desk.folder, 0)?;
    let status: serde_json::Value = serde_json::from_str(&ended.stdout).context("reading the status")?;
    let wanted = [
        ("/state", "idle".into()),
        ("/booted", serde_json::to_value(Slot::B)?),
        ("/default", serde_json::to_value(Slot::B)?),
        ("/update/outcome", "committed".into()),
    ];
    let findings = wanted
        .iter()
        .filter(|(at, want)| status.pointer(at) != Some(want))
        .map(|(at, want)| format!("status {at} is {:?} instead of {want}", status.pointer(at)))
        .collect();
    Ok(Claim::new("the new release was armed, tried and committed: slot B is booted and default", findings))
}
