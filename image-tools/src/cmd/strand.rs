//! What devices would refuse with the next root, and the commands after which they take it.
use crate::answer;
use crate::repository::strand::{Loss, Stranded};
use bistable_format::Key;
use bistable_format::failure::on_one_line;
use std::fmt::Write as _;
use std::path::Path;

/// Whether the commands come before the root or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Before: with the old keys, too.
    Before,
    /// After: the old keys count for nothing.
    After,
}

/// What is stranded, for the answer and as text.
pub(super) struct Shown {
    pub(super) stranded: Vec<answer::Stranded>,
    pub(super) text: String,
}

/// Show it; `root` is the next root's file.
pub(super) fn show(loss: &Loss, root: &Path, order: Order) -> Shown {
    let stranded: Vec<_> = loss.stranded.iter().map(|one| shown(one, root, order)).collect();
    let mut text = String::new();
    for one in &stranded {
        let what = match &one.release {
            None => format!("channel {}", one.channels.join(", ")),
            Some(release) => format!("{release} in {}", one.channels.join(", ")),
        };
        // Writing into a string never fails.
        let _ = writeln!(text, "{what}: {}", one.why);
        for command in &one.commands {
            let _ = writeln!(text, "    {command}");
        }
    }
    let is_channel = |one: &&Stranded| matches!(one, Stranded::Channel { .. });
    if order == Order::Before && loss.stranded.iter().any(|one| is_channel(&one)) {
        let _ = writeln!(
            text,
            "if an old channel key is lost or stolen: `bistable-image repo root {} --strand`, and then `bistable-image channel refresh \
             NAME --accept-old-root` with the new key",
            root.display()
        );
    }
    if !loss.deltas.is_empty() {
        let _ = writeln!(
            text,
            "note: deltas to releases on offer are signed by keys that this root does not accept ({}), so devices fetch the whole \
             releases; once the root is published, `bistable-image fsck --deep --repair` makes room for deltas signed by its keys",
            loss.deltas.len()
        );
    }
    Shown { stranded, text }
}

fn shown(one: &Stranded, root: &Path, order: Order) -> answer::Stranded {
    match one {
        Stranded::Channel { name, sequence, signed_by, lacks, source } => {
            let keys = match order {
                Order::Before => keys(signed_by.iter().chain(lacks)),
                Order::After => format!("--accept-old-root {}", keys(lacks)),
            };
            let command = match lacks.as_slice() {
                [] => "bistable-image root rotate --channel-key NAME.pub".to_owned(),
                _ => format!("bistable-image channel refresh {name} {keys}"),
            };
            answer::Stranded {
                channels: vec![name.clone()],
                release: None,
                why: format!("number {sequence}: {}", on_one_line(source)),
                commands: vec![command],
            }
        }
        Stranded::Release { what, version, channels, lacks, source } => {
            let file = format!("{}-{version}", what.replace('/', "-"));
            let (root, keys) = (root.display(), keys(lacks));
            let sign = format!("bistable-image sign {file}.bundle {keys} --root {root}");
            let publish =
                channels.iter().map(|name| format!("bistable-image publish {file}.bundle --channel {name}"));
            answer::Stranded {
                channels: channels.clone(),
                release: Some(format!("{what} {version}")),
                why: on_one_line(source),
                commands: std::iter::once(sign).chain(publish).collect(),
            }
        }
        Stranded::Attestation { release, version, channel, kind, key } => answer::Stranded {
            channels: vec![channel.clone()],
            release: Some(release.clone()),
            why: format!("the root demands that key {:?} attests {kind} of it", key.label),
            commands: vec![format!(
                "bistable-image attest {channel} {version} --kind {kind} {}",
                keys([key])
            )],
        },
    }
}

/// The options that sign with these keys, whose files are called as their labels say unless they were renamed.
fn keys<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let option = |key: &Key| match !key.label.is_empty() && key.label.chars().all(is_plain) {
        true => format!("--key {}.key", key.label),
        false => "--key NAME.key".into(),
    };
    keys.into_iter().map(option).collect::<Vec<_>>().join(" ")
}
