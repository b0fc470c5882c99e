//! What systemd says of a unit, and what it is asked to do about one.
use super::{
    PiClock,
    process::{self, Output},
};
use crate::ports::{Clock, HostError, Service, ServiceManager, UnitState};
use std::time::Duration;

/// Bytes of a service's log that are kept: the last ones.
const LOGS_MAX: usize = 100 << 10;

/// systemd, by `systemctl` and `journalctl`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Systemd;

impl ServiceManager for Systemd {
    fn service(&mut self, unit: &str, timeout: Duration) -> Result<Service, HostError> {
        let properties = ["LoadState", "ActiveState", "NRestarts"].map(|name| format!("--property={name}"));
        let mut command = vec!["systemctl".to_owned(), "show".into()];
        command.extend(properties);
        command.extend(["--".into(), unit.into()]);
        let output = process::run(&command, timeout, &PiClock)?;
        Ok(Service { state: read(&output)?, restarts: restarts(&output) })
    }

    fn start(&mut self, unit: &str, timeout: Duration) -> Result<(), HostError> {
        // A unit that failed often in a short time is not started again before that is forgotten (systemd.unit(5)).
        let _ = control("reset-failed", unit, timeout);
        control("start", unit, timeout)
    }

    fn stop(&mut self, unit: &str, timeout: Duration) -> Result<(), HostError> {
        control("stop", unit, timeout)
    }

    fn logs(&mut self, unit: &str, lines: u32, timeout: Duration) -> Result<String, HostError> {
        let (unit, lines) = (format!("--unit={unit}"), format!("--lines={lines}"));
        let words = ["journalctl", "--quiet", "--no-pager", "--output=short-iso", &lines, &unit];
        let output = process::run_keeping(&words.map(str::to_owned), LOGS_MAX, timeout, &PiClock)?;
        match output.code {
            Some(0) => Ok(output.tail),
            _ => Err(HostError::Failed(format!("journalctl: {}", output.last_line()))),
        }
    }
}

fn control(verb: &str, unit: &str, timeout: Duration) -> Result<(), HostError> {
    let output = process::run(&["systemctl", verb, "--", unit].map(str::to_owned), timeout, &PiClock)?;
    match output.code {
        Some(0) => Ok(()),
        _ => Err(HostError::Failed(format!("systemctl {verb}: {}", output.last_line()))),
    }
}

/// How often systemd restarted a unit by itself since it was started.
fn restarts(output: &Output) -> u32 {
    let value = output.tail.lines().rev().find_map(|line| line.strip_prefix("NRestarts="));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Ask for a unit's state.
pub(super) fn state(unit: &str, timeout: Duration, clock: &dyn Clock) -> Result<UnitState, HostError> {
    let command = ["systemctl", "show", "--property=LoadState", "--property=ActiveState", "--", unit];
    read(&process::run(&command.map(str::to_owned), timeout, clock)?)
}

/// `systemctl show` prints `Name=value` lines, in an order of its own (systemctl(1)). Unknown units are no error to it.
fn read(output: &Output) -> Result<UnitState, HostError> {
    let value = |key: &str| output.tail.lines().rev().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    match (output.code, value("LoadState"), value("ActiveState")) {
        (Some(0), Some("not-found"), Some(_)) => Ok(UnitState::Missing),
        (Some(0), Some(_), Some("active")) => Ok(UnitState::Active),
        // That it is masked or can't be parsed says more than that it is inactive.
        (Some(0), Some("loaded"), Some(state)) | (Some(0), Some(state), Some("inactive")) => {
            Ok(UnitState::Other(state.into()))
        }
        (Some(0), Some(_), Some(state)) => Ok(UnitState::Other(state.into())),
        _ => Err(HostError::Failed(format!("systemctl: {}", output.last_line()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_counted_and_what_has_none_has_zero() {
        let of = |text: &str| restarts(&Output { code: Some(0), tail: text.into() });
        assert_eq!(
            [of("NRestarts=3\nLoadState=loaded\n"), of("LoadState=loaded\n"), of("NRestarts=x\n")],
            [3, 0, 0]
        );
    }

    #[test]
    fn what_systemctl_prints() {
        let other = |state: &str| Ok(UnitState::Other(state.into()));
        let failed = |text: &str| Err(HostError::Failed(format!("systemctl: {text}")));
        #[rustfmt::skip]
        let table = [
            (0, "LoadState=loaded\nActiveState=active\n", Ok(UnitState::Active)),
            (0, "ActiveState=failed\nLoadState=loaded\n", other("failed")),
            (0, "LoadState=loaded\nActiveState=activating\n", other("activating")),
            (0, "LoadState=not-found\nActiveState=inactive\n", Ok(UnitState::Missing)),
            (0, "LoadState=masked\nActiveState=inactive\n", other("masked")),
            (0, "LoadState=bad-setting\nActiveState=active\n", Ok(UnitState::Active)),
            (0, "a warning\nLoadState=loaded\nActiveState=inactive\n", other("inactive")),
            (1, "Failed to connect to bus\n", failed("Failed to connect to bus")),
            (1, "LoadState=loaded\nActiveState=active\n", failed("ActiveState=active")),
            (0, "", failed("")),
            (0, "ActiveState=active\n", failed("ActiveState=active")),
        ];
        for (code, text, expected) in table {
            let output = Output { code: Some(code), tail: text.into() };
            assert_eq!(read(&output), expected, "{text}");
        }
    }
}
