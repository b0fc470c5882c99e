//! `bench.toml`: what stands on the bench, and how it is switched.
use super::reader::{Reader, Table};
use crate::run::rig::Pace;
use bistable::config::{ConfigError, Problem};
use bistable_boot::Flow;
use bistable_format::name::check_name;
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Stands for the image in the arguments of what writes a card.
pub const IMAGE: &str = "{image}";
/// What a serial line of a Pi may run at.
pub const BAUDS: [u32; 6] = [9600, 19_200, 38_400, 57_600, 115_200, 230_400];

/// A bench.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bench {
    /// The serial line to the Pi's console.
    pub serial: SerialLine,
    /// The Pi's power; on is on.
    pub power: Switch,
    /// How long the Pi stays without power, so that its capacitors are empty.
    pub off: Duration,
    /// The wire between the two pins; on is connected. None if a person does it.
    pub jig: Option<Switch>,
    /// The factory's card.
    pub card: Card,
    /// The Pi.
    pub device: Device,
}

/// A serial port of the bench's PC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialLine {
    /// Its device node.
    pub port: PathBuf,
    /// One of [`BAUDS`].
    pub baud: u32,
}

/// A switch with two positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch {
    /// A program for each position, with its arguments, without a shell.
    Programs {
        /// For on.
        on: Vec<String>,
        /// For off.
        off: Vec<String>,
    },
    /// A GPIO line of the bench's PC.
    Line {
        /// The chip's device node.
        chip: PathBuf,
        /// The line's number on it.
        line: u32,
        /// Whether on is low.
        active_low: bool,
    },
}

/// How a card becomes the factory's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The factory's card as a file.
    pub image: PathBuf,
    /// What writes it; none if a person does.
    pub write: Option<Vec<String>>,
    /// A multiplexer that hands the card to the PC and back.
    pub multiplexer: Option<Multiplexer>,
}

/// A multiplexer between PC, card and Pi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multiplexer {
    /// Gives the card to the PC.
    pub to_pc: Vec<String>,
    /// Gives the card to the Pi.
    pub to_pi: Vec<String>,
    /// What the card is on the PC.
    pub disk: PathBuf,
}

/// The Pi on the bench.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its board's name, as in releases.
    pub board: String,
    /// How it boots.
    pub flow: Flow,
    /// The folder with the bundles, as the Pi sees it.
    pub bundles: String,
    /// Who logs in; none if the console is a root shell already.
    pub login: Option<Login>,
    /// Longest times.
    pub pace: Pace,
}

/// Who logs in on the console.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Whether it takes `sudo` to be root.
    pub sudo: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the password: this ends in logs.
        f.debug_struct("Login").field("user", &self.user).field("sudo", &self.sudo).finish_non_exhaustive()
    }
}

impl Bench {
    /// Read a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Bench, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Bench::parse(path, &text),
            Err(e) => {
                let problem = Problem { file: path.into(), line: None, text: format!("can't be read: {e}") };
                Err(ConfigError { problems: vec![problem] })
            }
        }
    }

    /// Read a file's text. Paths in it are relative to the file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Bench, ConfigError> {
        let mut reader = Reader::new(path, text);
        let bench = bench(&mut reader, path.parent().unwrap_or(Path::new("")));
        match bench {
            Some(bench) if reader.problems.is_empty() => Ok(bench),
            _ => {
                let mut problems = reader.problems;
                problems.sort_by_key(|p| p.line);
                Err(ConfigError { problems })
            }
        }
    }

    /// Programs that the bench calls, and what for.
    pub fn programs(&self) -> Vec<(String, &[String])> {
        let mut found: Vec<(String, &[String])> = Vec::new();
        for (name, switch) in [("power", Some(&self.power)), ("jig", self.jig.as_ref())] {
            if let Some(Switch::Programs { on, off }) = switch {
                found.push((format!("{name}.on"), on));
                found.push((format!("{name}.off"), off));
            }
        }
        found.extend(self.card.write.as_deref().map(|words| ("card.write".into(), words)));
        if let Some(Multiplexer { to_pc, to_pi, .. }) = &self.card.multiplexer {
            found.push(("card.to_pc".into(), to_pc));
            found.push(("card.to_pi".into(), to_pi));
        }
        found
    }
}

fn bench(r: &mut Reader<'_>, folder: &Path) -> Option<Bench> {
    let top = r.parse()?;
    r.only("", &top, &["serial", "power", "jig", "card", "device"]);
    let serial = r.table(&top, "serial", &["port", "baud"]);
    let power = r.table(&top, "power", &["on", "off", "chip", "line", "active_low", "off_ms"]);
    let jig = r.table(&top, "jig", &["on", "off", "chip", "line", "active_low"]);
    let card = r.table(&top, "card", &["image", "write", "by_hand", "to_pc", "to_pi", "disk"]);
    let known = [
        "board",
        "boot_flow",
        "bundles",
        "user",
        "password",
        "sudo",
        "boot_s",
        "usual_boot_s",
        "install_s",
        "answer_s",
    ];
    let device = r.table(&top, "device", &known);
    for (name, table) in [("serial", serial), ("power", power), ("card", card), ("device", device)] {
        if table.is_none() && !top.contains_key(name) {
            r.missing(None, &format!("there is no [{name}]"));
        }
    }
    // All of them first: a problem in one must not hide those of the next.
    let serial = serial.and_then(|t| serial_line(r, t));
    let off = power.and_then(|t| r.number(t, "off_ms", 0, 60_000)).unwrap_or(3000);
    let power = power.and_then(|t| switch(r, t));
    let switched = jig.map(|t| switch(r, t));
    let card = card.and_then(|t| factory(r, t, folder));
    let device = device.and_then(|t| on_bench(r, t));
    Some(Bench {
        serial: serial?,
        power: power?,
        off: Duration::from_millis(off.into()),
        jig: match switched {
            Some(switch) => Some(switch?),
            None => None,
        },
        card: card?,
        device: device?,
    })
}

fn serial_line(r: &mut Reader<'_>, t: Table<'_, '_>) -> Option<SerialLine> {
    if !t.has("port") {
        r.missing(Some(t), "needs a port, like \"/dev/ttyUSB0\"");
    }
    let port = r.string(t, "port");
    let baud = r.number(t, "baud", BAUDS[0], BAUDS[5]).unwrap_or(115_200);
    if !BAUDS.contains(&baud) {
        r.at(t, "baud", &format!("is one of {BAUDS:?}"));
    }
    Some(SerialLine { port: port?.into(), baud })
}

fn switch(r: &mut Reader<'_>, t: Table<'_, '_>) -> Option<Switch> {
    let programs = t.has("on") || t.has("off");
    let line = t.has("chip") || t.has("line") || t.has("active_low");
    let (on, off) = (r.words(t, "on"), r.words(t, "off"));
    let (chip, number) = (r.string(t, "chip"), r.number(t, "line", 0, 1023));
    let active_low = r.boolean(t, "active_low").unwrap_or(false);
    if programs == line {
        r.missing(Some(t), "needs either programs (on and off) or a GPIO line (chip and line)");
        return None;
    }
    let needed = if programs { ["on", "off"] } else { ["chip", "line"] };
    for key in needed {
        if !t.has(key) {
            r.missing(Some(t), &format!("needs {key}, too"));
        }
    }
    if programs {
        Some(Switch::Programs { on: on?, off: off? })
    } else {
        Some(Switch::Line { chip: chip?.into(), line: number?, active_low })
    }
}

fn factory(r: &mut Reader<'_>, t: Table<'_, '_>, folder: &Path) -> Option<Card> {
    let image = r.string(t, "image");
    let write = r.words(t, "write");
    let by_hand = r.boolean(t, "by_hand").unwrap_or(false);
    if !t.has("image") {
        r.missing(Some(t), "needs the image of the factory's card");
    }
    if by_hand == t.has("write") {
        r.missing(Some(t), "needs either write, or by_hand = true");
    }
    if write.as_ref().is_some_and(|words| !words.iter().any(|w| w.contains(IMAGE))) {
        r.at(t, "write", &format!("needs {IMAGE} where the image's path goes"));
    }
    let keys = ["to_pc", "to_pi", "disk"];
    let (to_pc, to_pi, disk) = (r.words(t, keys[0]), r.words(t, keys[1]), r.string(t, keys[2]));
    let given = keys.iter().filter(|key| t.has(key)).count();
    if given != 0 && given != keys.len() {
        r.missing(Some(t), "needs to_pc, to_pi and disk together: a multiplexer");
    }
    let multiplexer = (given > 0).then_some((to_pc, to_pi, disk));
    Some(Card {
        image: folder.join(image?),
        write,
        multiplexer: match multiplexer {
            Some((to_pc, to_pi, disk)) => {
                Some(Multiplexer { to_pc: to_pc?, to_pi: to_pi?, disk: disk?.into() })
            }
            None => None,
        },
    })
}

fn on_bench(r: &mut Reader<'_>, t: Table<'_, '_>) -> Option<Device> {
    let board = r.string(t, "board");
    match &board {
        Some(name) => {
            if let Err(e) = check_name("device.board", name) {
                r.at(t, "board", &format!("is not a name of a board: {e}"));
            }
        }
        None if !t.has("board") => r.missing(Some(t), "needs a board, like \"pi4\""),
        None => {}
    }
    let flows = Flow::ALL.map(|flow| (flow.name(), flow));
    let flow = r.choice(t, "boot_flow", &flows).unwrap_or(Flow::Tryboot);
    let bundles = r.string(t, "bundles").unwrap_or_else(|| "/persistent/bundles".into());
    // It becomes part of a line that a shell reads.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !bundles.starts_with('/') || !bundles.chars().all(plain) {
        r.at(t, "bundles", "is an absolute path of letters, digits, and /._-");
    }
    let (user, password) = (r.string(t, "user"), r.string(t, "password"));
    let sudo = r.boolean(t, "sudo").unwrap_or(false);
    if t.has("user") != t.has("password") || (sudo && !t.has("user")) {
        r.missing(
            Some(t),
            "needs user and password together; without both the console has to be a root shell",
        );
    }
    let mut seconds =
        |key, default: u32| Duration::from_secs(r.number(t, key, 1, 86_400).unwrap_or(default).into());
    let pace = Pace {
        boot: seconds("boot_s", 120),
        usual_boot: seconds("usual_boot_s", 30),
        install: seconds("install_s", 900),
        answer: seconds("answer_s", 30),
    };
    let login = user.zip(password).map(|(user, password)| Login { user, password, sudo });
    Some(Device { board: board?, flow, bundles: bundles.trim_end_matches('/').into(), login, pace })
}
