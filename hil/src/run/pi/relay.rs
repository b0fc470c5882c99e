//! A relay: the Pi's power, or the wire of the jig.
use super::{bench::Switch, program};
use anyhow::Result;
#[cfg(target_os = "linux")]
use anyhow::{Context as _, ensure};
use std::{path::Path, time::Duration};

/// A relay's tool takes a second, a smart plug some more.
const LIMIT: Duration = Duration::from_secs(30);

/// A relay's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It conducts.
    Closed,
    /// It doesn't.
    Open,
}

/// Something that can be switched.
pub trait Relay {
    /// Switch it, and come back when it is done. Twice to the same position is no error.
    ///
    /// # Errors
    /// When that fails; its position isn't known then.
    fn set(&mut self, to: Contact) -> Result<()>;
}

/// A relay as `bench.toml` has it.
pub fn relay(switch: &Switch) -> Box<dyn Relay> {
    match switch {
        Switch::Programs { on, off } => Box::new(Programs { on: on.clone(), off: off.clone() }),
        Switch::Line { chip, line, active_low } => Box::new(Line {
            chip: chip.clone(),
            line: *line,
            active_low: *active_low,
            #[cfg(target_os = "linux")]
            request: None,
        }),
    }
}

#[derive(Debug)]
struct Programs {
    on: Vec<String>,
    off: Vec<String>,
}

impl Relay for Programs {
    fn set(&mut self, to: Contact) -> Result<()> {
        program::run(if to == Contact::Closed { &self.on } else { &self.off }, LIMIT)
    }
}

#[derive(Debug)]
struct Line {
    chip: std::path::PathBuf,
    line: u32,
    active_low: bool,
    // Held as long as the rig lives: given back, the line may fall to its default.
    #[cfg(target_os = "linux")]
    request: Option<gpiocdev::Request>,
}

#[cfg(target_os = "linux")]
impl Relay for Line {
    fn set(&mut self, to: Contact) -> Result<()> {
        use gpiocdev::{Request, line::Value};
        let about = || format!("line {} of {}", self.line, self.chip.display());
        let value = if to == Contact::Closed { Value::Active } else { Value::Inactive };
        if let Some(request) = &self.request {
            request.set_lone_value(value).with_context(about)?;
            return Ok(());
        }
        let mut builder = Request::builder();
        builder.on_chip(&self.chip).with_consumer("bistable-hil").with_line(self.line).as_output(value);
        if self.active_low {
            builder.as_active_low();
        }
        self.request = Some(builder.request().with_context(about)?);
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Relay for Line {
    fn set(&mut self, _: Contact) -> Result<()> {
        anyhow::bail!("line {} of {}: GPIO lines need Linux", self.line, self.chip.display())
    }
}

/// Check whether a GPIO line is there and free; gives what it is called.
///
/// # Errors
/// When it isn't.
#[cfg(target_os = "linux")]
pub fn look(chip: &Path, line: u32) -> Result<String> {
    let about = || chip.display().to_string();
    let opened = gpiocdev::Chip::from_path(chip).with_context(about)?;
    let info = opened.info().with_context(about)?;
    ensure!(line < info.num_lines, "{} has {} lines", about(), info.num_lines);
    let found = opened.line_info(line).with_context(about)?;
    ensure!(!found.used, "line {line} of {} is in use by \"{}\"", about(), found.consumer);
    Ok(format!("line {line} of {} \"{}\" is free", info.label, found.name))
}

/// Check whether a GPIO line is there.
///
/// # Errors
/// Always: there is none here.
#[cfg(not(target_os = "linux"))]
pub fn look(chip: &Path, line: u32) -> Result<String> {
    anyhow::bail!("line {line} of {}: GPIO lines need Linux", chip.display())
}
