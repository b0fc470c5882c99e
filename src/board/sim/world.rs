//! What a simulated Pi is wired to, and what runs on it, as TOML. All of it may be left out.
//!
//! ```toml
//! board = "pi4"
//! wall_clock = "synchronized"    # or free
//! time = 1893456000              # what the clock shows, in seconds since 1970; that of this machine if it isn't said
//! serial = "simulated"           # the board's serial number
//! pace = 0                       # real time per simulated time: 0 is none, 1 as on a real Pi, 10 ten times as long
//! free_mib = 1024                # free on the persistent partition; -1: it isn't mounted
//!
//! [gpio]                         # see the file `nets`
//! wires = [[17, 27], [5, 6]]     # these pins are connected
//! swapped = [[27, 6]]            # … and then whoever wired it mixed up these two
//! stuck_high = [12]
//! stuck_low = [13]
//! floating = [16]                # the wire is broken at this pin
//! pulse = [{ pin = 24, hz = 87 }]
//! in_use = [{ pin = 2, user = "i2c1" }]
//!
//! [i2c]                          # see the file `buses`
//! chips = [{ bus = 1, address = 0x48 }]
//!
//! [spi]
//! "0.0" = "wired"                # MOSI is connected to MISO
//!
//! [uart]
//! "/dev/serial0" = "wired"       # TX is connected to RX
//!
//! [units]                        # those that aren't listed don't exist
//! "app.service" = "active"
//!
//! [http."http://127.0.0.1:8080/health"]
//! status = 200
//! body = "ok"
//! delay_ms = 20
//!
//! [commands."/usr/bin/modem-check"]
//! exit = 0
//! says = "registered"
//! delay_ms = 300
//!
//! [[system]]                     # what is different while the system of this version runs
//! version = "1.1.1"
//! boots = "yes"                  # yes, panic, hang or no
//! units."app.service" = "failed" # each entry replaces the world's
//!
//! [[component]]                  # what is different while this version of a component is shown to its service
//! name = "core"
//! version = "2.0.1"
//! units."core.service" = "failed"
//! ```
#[cfg(test)]
mod tests;

use super::{
    buses::{I2c, SimBuses, Spi, Uart},
    clock::SimClock,
    nets::Nets,
};
use crate::ports::{UnitState, WallClock};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Text that describes no world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct WorldError {
    /// Line in the text, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// How a system starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boots {
    /// It comes up.
    #[default]
    Yes,
    /// Its kernel panics.
    Panic,
    /// It stops somewhere on the way.
    Hang,
    /// Its kernel can't be started at all.
    No,
}

/// A web page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// HTTP status.
    #[serde(default = "ok")]
    pub status: u16,
    /// Body.
    #[serde(default)]
    pub body: String,
    /// Milliseconds until it answers.
    #[serde(default)]
    pub delay_ms: u32,
}

fn ok() -> u16 {
    200
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Exit code.
    #[serde(default)]
    pub exit: i32,
    /// What it prints.
    #[serde(default)]
    pub says: String,
    /// Milliseconds until it ends.
    #[serde(default)]
    pub delay_ms: u32,
}

/// What is different while one version runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// The version; build metadata counts.
    pub version: Version,
    /// How it starts.
    #[serde(default)]
    pub boots: Boots,
    /// Units' states.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, String>,
    /// Web pages by URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub http: BTreeMap<String, Page>,
    /// Programs by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<String, Program>,
}

/// What is different while one version of a component is shown to its service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentVersion {
    /// The component.
    pub name: String,
    /// The version.
    pub version: Version,
    /// Units' states.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, String>,
    /// Web pages by URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub http: BTreeMap<String, Page>,
}

/// The world around a simulated Pi.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// What kind of board it is, as releases name it.
    pub board: String,
    /// What its wall clock goes by.
    pub wall_clock: WallClock,
    /// What its wall clock shows, in seconds since 1970; that of this machine if it isn't said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// What the clock showed when that was last saved, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_time: Option<u64>,
    /// The board's serial number.
    pub serial: String,
    /// Real time that waiting takes, per simulated time: to watch it, or to stop it in the middle.
    #[serde(skip_serializing_if = "is_zero")]
    pub pace: u32,
    /// MiB that are free on the persistent partition; below 0 if it isn't mounted.
    pub free_mib: i32,
    /// What the pins are connected to.
    #[serde(deserialize_with = "Nets::checked")]
    pub gpio: Nets,
    /// What the I²C buses are connected to.
    #[serde(deserialize_with = "I2c::checked")]
    pub i2c: I2c,
    /// What each SPI select's MISO is connected to, by `bus.select`.
    pub spi: Spi,
    /// What each serial port's RX is connected to, by device node.
    pub uart: Uart,
    /// Units' states, in the service manager's words; `missing` is as if it weren't listed.
    pub units: BTreeMap<String, String>,
    /// Web pages by URL.
    pub http: BTreeMap<String, Page>,
    /// Programs by path.
    pub commands: BTreeMap<String, Program>,
    /// What is different for some versions.
    #[serde(rename = "system", skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<System>,
    /// What is different for some versions of components.
    #[serde(rename = "component", skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentVersion>,
}

impl Default for World {
    fn default() -> Self {
        World {
            board: "pi4".into(),
            wall_clock: WallClock::Synchronized,
            time: None,
            saved_time: None,
            serial: "simulated".into(),
            pace: 0,
            free_mib: 1024,
            gpio: Nets::default(),
            i2c: I2c::default(),
            spi: Spi::new(),
            uart: Uart::new(),
            units: BTreeMap::new(),
            http: BTreeMap::new(),
            commands: BTreeMap::new(),
            systems: Vec::new(),
            components: Vec::new(),
        }
    }
}

/// The world as one running system sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The system's version, if it is known.
    pub version: Option<Version>,
    /// How it starts.
    pub boots: Boots,
    /// What its wall clock goes by.
    pub wall_clock: WallClock,
    /// What its wall clock shows, in seconds since 1970; that of this machine if it isn't said.
    pub time: Option<u64>,
    /// What the clock showed when that was last saved.
    pub saved_time: Option<u64>,
    /// The board's serial number.
    pub serial: String,
    /// MiB that are free on the persistent partition; `None` if it isn't mounted.
    pub free_mib: Option<u32>,
    /// Units' states, in the service manager's words.
    pub units: BTreeMap<String, String>,
    /// Web pages by URL.
    pub http: BTreeMap<String, Page>,
    /// Programs by path.
    pub commands: BTreeMap<String, Program>,
    /// What is different for some versions of components.
    pub components: Vec<ComponentVersion>,
}

impl Facts {
    /// A unit's state.
    pub fn unit(&self, name: &str) -> UnitState {
        self.units.get(name).map_or(UnitState::Missing, |word| Facts::state(word))
    }

    /// The state that a word of the world means.
    pub fn state(word: &str) -> UnitState {
        match word {
            "missing" => UnitState::Missing,
            "active" => UnitState::Active,
            other => UnitState::Other(other.into()),
        }
    }
}

impl World {
    /// Read a world. Empty text is the default one: a Pi 4 that is connected to nothing.
    ///
    /// # Errors
    /// [`WorldError`]: no TOML, an unknown key, a pin that doesn't exist, a pin in contradictory roles.
    pub fn parse(text: &str) -> Result<World, WorldError> {
        let world: World = toml::from_str(text).map_err(|e| WorldError {
            line: e.span().map_or(1, |s| line_of(text, s.start)),
            problem: e.message().into(),
        })?;
        let twice = world.systems.iter().enumerate().find_map(|(i, system)| {
            world.systems.iter().take(i).any(|s| s.version == system.version).then_some(&system.version)
        });
        if let Some(version) = twice {
            let needle = version.to_string();
            let line = text.lines().enumerate().filter(|(_, l)| l.contains(&needle)).last();
            let line = line.map_or(1, |(at, _)| at + 1);
            return Err(WorldError { line, problem: format!("system {version} is described twice") });
        }
        Ok(world)
    }

    /// As text that [`parse`](Self::parse) reads back to the same world.
    pub fn to_toml(&self) -> String {
        #[expect(clippy::expect_used, reason = "all keys are strings and all values have a form in TOML")]
        toml::to_string(self).expect("a world is representable as TOML")
    }

    /// The world as the system of a version sees it; with no version, or one that isn't mentioned, the plain one.
    pub fn facts_for(&self, version: Option<&Version>) -> Facts {
        let mut facts = Facts {
            version: version.cloned(),
            boots: Boots::Yes,
            wall_clock: self.wall_clock,
            time: self.time,
            saved_time: self.saved_time,
            serial: self.serial.clone(),
            free_mib: u32::try_from(self.free_mib).ok(),
            units: self.units.clone(),
            http: self.http.clone(),
            commands: self.commands.clone(),
            components: self.components.clone(),
        };
        if let Some(system) = self.systems.iter().find(|s| Some(&s.version) == version) {
            facts.boots = system.boots;
            facts.units.extend(system.units.clone());
            facts.http.extend(system.http.clone());
            facts.commands.extend(system.commands.clone());
        }
        facts
    }

    /// The buses as they are connected.
    pub fn buses(&self, clock: SimClock) -> SimBuses {
        SimBuses::new(self.i2c.clone(), self.spi.clone(), self.uart.clone(), clock)
    }

    /// What is different while a version runs, to be changed; nothing yet if it wasn't mentioned.
    pub fn system(&mut self, version: &Version) -> &mut System {
        let at = self.systems.iter().position(|s| s.version == *version).unwrap_or_else(|| {
            self.systems.push(System {
                version: version.clone(),
                boots: Boots::Yes,
                units: BTreeMap::new(),
                http: BTreeMap::new(),
                commands: BTreeMap::new(),
            });
            self.systems.len() - 1
        });
        &mut self.systems[at]
    }

    /// Set what the service manager says of a unit: always, or only while a version runs.
    pub fn set_unit(&mut self, unit: &str, state: &str, version: Option<&Version>) {
        let units = match version {
            Some(version) => &mut self.system(version).units,
            None => &mut self.units,
        };
        units.insert(unit.into(), state.into());
    }

    /// Set what a web server answers: always, or only while a version runs.
    pub fn set_page(&mut self, url: &str, page: Page, version: Option<&Version>) {
        let http = match version {
            Some(version) => &mut self.system(version).http,
            None => &mut self.http,
        };
        http.insert(url.into(), page);
    }

    /// Set how a program ends: always, or only while a version runs.
    pub fn set_program(&mut self, path: &str, program: Program, version: Option<&Version>) {
        let commands = match version {
            Some(version) => &mut self.system(version).commands,
            None => &mut self.commands,
        };
        commands.insert(path.into(), program);
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}
