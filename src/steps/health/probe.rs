use super::Finding;
use crate::ports::{Clock, Host, HostError, UnitState};
use bistable_format::health::Kind;
use semver::Version;
use std::time::Duration;

/// Try one check once. An answer after `allowed` is a bad one, whatever it says.
pub(super) fn probe(kind: &Kind, allowed: Duration, host: &mut dyn Host, clock: &dyn Clock) -> Finding {
    let start = clock.now();
    let finding = ask(kind, allowed, host).unwrap_or_else(|e| match e {
        HostError::NotRunnable(why) => Finding::NotRun(why),
        e => Finding::Bad(e.to_string()),
    });
    let took = clock.now().saturating_sub(start);
    if took > allowed {
        return Finding::Bad(format!("took {} ms, longer than {}", took.as_millis(), allowed.as_millis()));
    }
    finding
}

fn ask(kind: &Kind, allowed: Duration, host: &mut dyn Host) -> Result<Finding, HostError> {
    Ok(match kind {
        Kind::Command { run } => {
            let exit = host.run(run, allowed)?;
            let ended = match exit.code {
                Some(code) => format!("exit code {code}"),
                None => "ended by a signal".into(),
            };
            let text = if exit.said.is_empty() { ended } else { format!("{ended}: {}", exit.said) };
            if exit.code == Some(0) { Finding::Good(text) } else { Finding::Bad(text) }
        }
        Kind::Http { url, status, contains, expect_version, version } => {
            let answer = host.http_get(url, allowed)?;
            let other = || {
                let said = version_in(&answer.body);
                expect_version.then_some(said).filter(|said| said.is_none() || *said != *version)
            };
            if answer.status != *status {
                Finding::Bad(format!("HTTP status {}, wanted {status}", answer.status))
            } else if !holds(&answer.body, contains.as_bytes()) {
                Finding::Bad(format!("HTTP status {status}, but \"{contains}\" is not in the body"))
            } else if let Some(said) = other() {
                let text = |version: &Option<Version>| {
                    version.as_ref().map_or_else(|| "no version".into(), Version::to_string)
                };
                Finding::Bad(format!(
                    "HTTP status {status}, but it says {}, wanted {}",
                    text(&said),
                    text(version)
                ))
            } else {
                Finding::Good(format!("HTTP status {status}"))
            }
        }
        Kind::Unit { unit } => match host.unit(unit, allowed)? {
            UnitState::Active => Finding::Good("active".into()),
            UnitState::Other(state) => Finding::Bad(state),
            UnitState::Missing => Finding::Bad("no such unit".into()),
        },
        Kind::Unknown { why, .. } => Finding::Bad(format!("not known here: {why}")),
    })
}

/// The version that a JSON object says.
fn version_in(body: &[u8]) -> Option<Version> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?.get("version")?.as_str()?.parse().ok()
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|w| w == text)
}
