//! The machine around the card: power, resets, and what RAM and registers hold while the power is on.
use super::{
    SimError,
    console::KernelLine,
    firmware::{self, Choice},
    registers::Registers,
    world::{Boots, Facts, World},
};
use crate::{
    board::{Card, Cut},
    durable,
    ports::{KnownTime, Power, Sectors},
};
use bistable_boot::{BootId, Journal, Slot, layout::Partition};
use bistable_format::Root;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// What power loss takes, and what it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The slot whose system runs; none when the power is off or was never on.
    pub booted: Option<Slot>,
    /// The slot that ran last, when the power is off.
    pub last: Option<Slot>,
    /// Which file the card in it is: another one, even of the same name, is a card that was just put in.
    #[serde(default)]
    pub card: Option<u64>,
    /// Whether the power was cut.
    pub off: bool,
    /// Boots so far; makes the boot id.
    pub boots: u64,
    /// The firmware's one-shot flag: the next reset boots the other slot.
    pub tryboot: bool,
    /// Whether that flag was set when the running system was booted.
    #[serde(default)]
    pub flagged: bool,
    /// Milliseconds since the last boot.
    pub uptime_ms: u64,
    /// What is known of the time.
    #[serde(default)]
    pub known_time: Option<KnownTime>,
    /// Where the power will go by itself.
    pub cut_at: Option<Cut>,
}

/// A simulated Pi without its card.
#[derive(Debug)]
pub struct Machine {
    /// RAM and registers.
    pub state: Memory,
    /// What it is wired to.
    pub world: World,
    /// What came over the serial console since it was last read.
    pub console: Vec<String>,
    folder: PathBuf,
}

impl Machine {
    /// Read the files beside the card; what is missing is a machine that was never on, in a world that is fine.
    ///
    /// # Errors
    /// When a file is there and can't be used.
    pub fn load(folder: &Path) -> Result<Machine, SimError> {
        let state = match read(&folder.join("machine.json"))? {
            None => Memory::default(),
            Some(text) => serde_json::from_str(&text).map_err(|e| SimError::Content {
                path: folder.join("machine.json"),
                problem: e.to_string(),
            })?,
        };
        let world = match read(&folder.join("world.toml"))? {
            None => World::default(),
            Some(text) => World::parse(&text)
                .map_err(|e| SimError::Content { path: folder.join("world.toml"), problem: e.to_string() })?,
        };
        Ok(Machine { state, world, console: Vec::new(), folder: folder.into() })
    }

    /// A card is in the machine. If it is another one than before, it was put in without power.
    pub fn insert(&mut self, card: &Card) {
        let id = card.id();
        if self.state.card.is_some_and(|before| before != id) {
            self.state = Memory { boots: self.state.boots, ..Memory::default() };
        }
        self.state.card = Some(id);
    }

    /// Write the memory back.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn save(&self) -> Result<(), SimError> {
        let text = serde_json::to_string_pretty(&self.state)
            .map_err(|e| SimError::Content { path: self.folder.clone(), problem: e.to_string() })?;
        self.put("machine.json", &text)
    }

    /// Write the world back.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn save_world(&self) -> Result<(), SimError> {
        self.put("world.toml", &self.world.to_toml())
    }

    fn put(&self, name: &str, text: &str) -> Result<(), SimError> {
        let path = self.folder.join(name);
        let folder = |source| SimError::Folder { path: path.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(folder)?;
        durable::write(&path, text.as_bytes())
            .map_err(|source| SimError::Folder { path: path.clone(), source })
    }

    /// The slot that runs.
    ///
    /// # Errors
    /// [`SimError::Off`].
    pub fn running(&self) -> Result<Slot, SimError> {
        let card = self.folder.with_extension("");
        self.state.booted.filter(|_| !self.state.off).ok_or(SimError::Off { card })
    }

    /// Whether it is switched on. One that was never on may be switched on.
    pub fn power(&self) -> Power {
        if self.state.off { Power::Off } else { Power::On }
    }

    /// Where the running system's root is, if it has one: in the folder that stands for its files.
    pub fn system_root(&self) -> PathBuf {
        self.folder.join("root").join(Root::SYSTEM_PATH.trim_start_matches('/'))
    }

    /// An id that no other boot has.
    pub fn boot_id(&self) -> BootId {
        BootId::numbered(self.state.boots)
    }

    /// Time since the last boot.
    pub fn uptime(&self) -> Duration {
        Duration::from_millis(self.state.uptime_ms)
    }

    /// Set the time since the last boot.
    pub fn set_uptime(&mut self, time: Duration) {
        self.state.uptime_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }

    /// The power goes: RAM and registers are empty.
    pub fn power_off(&mut self) {
        Registers::beside(&self.folder).reset();
        self.empty_run();
        let last = self.state.booted.or(self.state.last);
        let Memory { boots, card, .. } = self.state;
        self.state = Memory { last, off: true, boots, card, ..Memory::default() };
    }

    /// `/run` is a file system in memory.
    fn empty_run(&self) {
        // Mostly there is none.
        let _ = std::fs::remove_dir_all(self.folder.join("run"));
    }

    /// The power comes, or came for the first time.
    ///
    /// # Errors
    /// When nothing on the card boots. A machine that was switched off stays off until this is called.
    pub fn power_on(&mut self, card: &Card) -> Result<(), SimError> {
        if self.state.off {
            return self.running().map(|_| ());
        }
        self.boot(card)
    }

    /// Switch on a machine that is off.
    ///
    /// # Errors
    /// When nothing on the card boots.
    pub fn switch_on(&mut self, card: &Card) -> Result<(), SimError> {
        self.state.off = false;
        self.boot(card)
    }

    /// A reset without power loss: the one-shot flag survives it, once.
    ///
    /// # Errors
    /// When nothing on the card boots.
    pub fn reset(&mut self, card: &Card) -> Result<(), SimError> {
        self.boot(card)
    }

    /// From reset to a running system. A kernel that panics or hangs is reset by the watchdog, as on a real Pi.
    fn boot(&mut self, mut card: &Card) -> Result<(), SimError> {
        Registers::beside(&self.folder).reset();
        self.empty_run();
        let flow = firmware::flow(&mut card)?;
        // A default slot that never comes up would be started forever.
        for _ in 0..3 {
            let once = std::mem::take(&mut self.state.tryboot);
            let Choice { slot, note } = firmware::choose(&mut card, flow, once)?;
            self.state.boots += 1;
            self.state.flagged = once;
            self.state.uptime_ms = 0;
            self.state.known_time = None;
            self.console.push(note);
            let facts = self.facts(card, slot);
            let version =
                facts.version.as_ref().map_or_else(|| "an unknown release".into(), Version::to_string);
            self.console.push(KernelLine { slot, version, boots: facts.boots }.to_string());
            if facts.boots == Boots::Yes {
                self.state.booted = Some(slot);
                self.state.last = Some(slot);
                return Ok(());
            }
        }
        self.state.booted = None;
        Err(SimError::Dead("the default slot was started three times and never came up".into()))
    }

    /// What the world is like for the system in a slot. The version is looked up in the journal: the world is the
    /// simulator's, and no boot decision depends on it.
    pub fn facts(&self, card: &Card, slot: Slot) -> Facts {
        let record = card.volume(Partition::State).ok().and_then(|v| Journal::new(Sectors(v)).load().ok());
        let version = record.and_then(|r| r.slots[slot].as_ref().map(|i| i.version.clone()));
        self.world.facts_for(version.as_ref())
    }
}

fn read(path: &Path) -> Result<Option<String>, SimError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SimError::Folder { path: path.into(), source }),
    }
}
