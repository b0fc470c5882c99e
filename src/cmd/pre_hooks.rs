//! The operator's programs that may ask for patience before something begins: `pre-install.d`, `pre-switch.d`, `pre-reboot.d`.
//!
//! Exit code 75 is "not now", and nothing is begun then; for a day in all, as with an inhibitor. Any other failure is reported and
//! holds nothing up, and no program can force anything. They are asked before a request of a person or of the daemon, never by
//! `resume`: none is on the boot path.
use crate::{
    Error,
    app::Request,
    config::{self, Program},
    durable,
    error::Exit,
    events::{Kind, SharedLog},
    ports::Host,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where they are, below the root of the configuration.
const FOLDER: &str = "etc/bistable/hooks.d";
/// Since when each folder says "not now", in seconds of this boot.
const SINCE: &str = "run/bistable/not-now.json";
/// No folder holds anything up for longer.
const LONGEST: u64 = 24 * 3600;

/// The folders whose programs are asked before a request, in order.
fn folders(request: &Request) -> &'static [&'static str] {
    match request {
        _ if request.is_dry_run() => &[],
        Request::Install(_) | Request::ComponentInstall(_) | Request::ComponentUpdate(_) => {
            &["pre-install.d"]
        }
        Request::Update(_) => &["pre-install.d", "pre-switch.d", "pre-reboot.d"],
        Request::Arm => &["pre-switch.d"],
        Request::Reboot => &["pre-reboot.d"],
        _ => &[],
    }
}

/// Ask them.
///
/// # Errors
/// [`Error::NotNow`] if one asks for patience, and has not for too long.
pub(super) fn ask(
    request: &Request,
    root: &Path,
    programs_below: &Path,
    timeout: Duration,
    host: &mut dyn Host,
    log: &SharedLog,
) -> Result<(), Error> {
    for folder in folders(request) {
        let programs = config::programs(root, &Path::new(FOLDER).join(folder));
        let now = log.uptime();
        let path = root.join(SINCE);
        let mut since = read(&path);
        let refusal = programs.iter().find_map(|program| {
            let program_path =
                programs_below.join(program.program.strip_prefix("/").unwrap_or(&program.program));
            refusal(program, &program_path, timeout, host, log)
        });
        let begun = since.get(*folder).copied();
        match refusal {
            None if begun.is_none() => {}
            None => {
                since.remove(*folder);
                write(&path, &since);
            }
            Some(why) if is_too_long(begun, now) => {
                log::warn!(reason = why; "hook_not_obeyed_any_more");
            }
            Some(why) => {
                if begun.is_none() {
                    since.insert((*folder).to_owned(), now);
                    write(&path, &since);
                }
                return Err(Error::NotNow(format!("{why}; nothing was begun: try again later")));
            }
        }
    }
    Ok(())
}

fn is_too_long(begun: Option<u64>, now: u64) -> bool {
    begun.is_some_and(|begun| now.saturating_sub(begun) >= LONGEST)
}

/// Why a program asks for patience, if it does.
fn refusal(
    program: &Program,
    path: &Path,
    timeout: Duration,
    host: &mut dyn Host,
    log: &SharedLog,
) -> Option<String> {
    let failed = |reason: String| {
        log::warn!(hook = program.name, reason; "hook_failed");
        log.append(Kind::HookFailed, "agent", json!({ "hook": program.name, "reason": reason }));
        None
    };
    if let Some(why) = &program.refused {
        return failed(format!("not run: {why}"));
    }
    match host.run(&[path.display().to_string()], timeout) {
        Ok(exit) if exit.code == Some(0) => None,
        Ok(exit) if exit.code == Some(Exit::TryLater.code().into()) => {
            Some(format!("{} says not now: {}", program.name, exit.said))
        }
        Ok(exit) => {
            failed(exit.code.map_or_else(
                || "ended by a signal".into(),
                |code| format!("exit code {code}: {}", exit.said),
            ))
        }
        Err(e) => failed(e.to_string()),
    }
}

fn read(path: &PathBuf) -> BTreeMap<String, u64> {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// What can't be kept is asked from the beginning.
fn write(path: &Path, since: &BTreeMap<String, u64>) {
    let written = serde_json::to_vec(since).map_err(std::io::Error::from).and_then(|bytes| {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        durable::write(path, &bytes)
    });
    if let Err(e) = written {
        log::warn!(reason:% = e; "not_now_not_kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Wanted;

    #[test]
    fn boot_and_read_only_verbs_ask_no_program() {
        let dry = Wanted { dry_run: true, ..Wanted::default() };
        for request in
            [Request::Resume, Request::Commit, Request::Revert, Request::SelfTest, Request::Update(dry)]
        {
            assert_eq!(folders(&request), [""; 0], "{request:?}");
        }
        assert_eq!(folders(&Request::Update(Wanted::default())).len(), 3);
    }

    #[test]
    fn patience_is_asked_for_a_day_at_most() {
        for (begun, now, too_long) in [
            (None, 5, false),
            (Some(5), 5, false),
            (Some(5), LONGEST + 4, false),
            (Some(5), LONGEST + 5, true),
        ] {
            assert_eq!(is_too_long(begun, now), too_long, "{begun:?} {now}");
        }
    }
}
