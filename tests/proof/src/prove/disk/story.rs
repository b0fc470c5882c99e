//! The scenarios, as a person would type them, and one of them recorded.
use super::{
    Options,
    device::{Device, Ended},
    economy::Phase,
    export::Export,
    trace,
};
use crate::prove::{
    card::Op,
    image::Image,
    pi::{End, Life},
    product::Product,
    scenario::{self, Scenario},
};
use anyhow::{Context, Result, bail, ensure};
use bistable_boot::Slot;
use bistable_kit::disk_log::Entry;
use semver::Version;
use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

/// One call of the program: its verb, and the version of a bundle if it takes one.
pub type Call = (&'static [&'static str], Option<&'static str>);

/// What is typed, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    /// Its name.
    pub name: &'static str,
    /// The calls, each with its exit code.
    pub calls: &'static [(Call, i32)],
    /// The scenario that it is, whose crash states are judged; none if there is no such.
    pub scenario: Option<&'static str>,
}

const UPDATE: &[&str] = &["update"];
const RESUME: Call = (&["resume"], None);
const REVERT: Call = (&["revert"], None);

/// All of them.
pub const ALL: [Story; 5] = [
    Story {
        name: "good",
        calls: &[((UPDATE, Some("2.0.0")), 0), (RESUME, 0), (RESUME, 0)],
        scenario: Some("good release"),
    },
    Story {
        name: "sick",
        calls: &[((UPDATE, Some("3.0.0")), 0), (RESUME, 8), (RESUME, 0)],
        scenario: Some("sick release"),
    },
    Story {
        name: "operator's revert",
        calls: &[((UPDATE, Some("2.2.0")), 0), (RESUME, 0), (REVERT, 0), (RESUME, 0), (RESUME, 0)],
        scenario: Some("operator's revert"),
    },
    Story {
        name: "identical again",
        calls: &[((UPDATE, Some("2.0.0")), 0), (RESUME, 0), ((UPDATE, Some("2.0.0")), 3)],
        // What is written is what the first story writes.
        scenario: None,
    },
    Story {
        name: "abandoned",
        calls: &[
            ((&["install"], Some("2.0.0")), 0),
            (REVERT, 0),
            ((&["install", "--retry-rejected"], Some("2.0.0")), 0),
        ],
        scenario: None,
    },
];

/// A story that was recorded.
#[derive(Debug)]
pub struct Recording {
    /// Its scenario.
    pub scenario: Option<Scenario>,
    /// Each call's writes.
    pub phases: Vec<Phase>,
    /// All of the log.
    pub entries: Vec<Entry>,
    /// The same as the card saw it.
    pub ops: Vec<Op>,
    /// The card in the end.
    pub end: Image,
    /// How it came to rest.
    pub life: Life,
    /// `status --json` in the end.
    pub status: serde_json::Value,
}

/// The bundles of the product, as files.
#[derive(Debug)]
pub struct Bundles(tempfile::TempDir);

impl Bundles {
    /// Write them.
    ///
    /// # Errors
    /// When there is no room.
    pub fn new(product: &Product) -> Result<Bundles> {
        let folder = tempfile::tempdir()?;
        let bundles = Bundles(folder);
        for release in &product.releases {
            let mut file = fs::File::create(bundles.path(&release.version.to_string()))?;
            std::io::Write::write_all(&mut file, &release.bundle)?;
        }
        Ok(bundles)
    }

    fn path(&self, version: &str) -> PathBuf {
        self.0.path().join(format!("{version}.bundle"))
    }

    /// The words of a call.
    pub fn words(&self, (verb, version): Call) -> Vec<OsString> {
        let mut words: Vec<OsString> = verb.iter().map(OsString::from).collect();
        words.extend(version.map(|v| self.path(v).into_os_string()));
        words
    }
}

/// Words as a call takes them.
pub fn as_args(words: &[OsString]) -> Vec<&OsStr> {
    words.iter().map(OsString::as_os_str).collect()
}

impl Story {
    /// Type it, and record the disk.
    ///
    /// # Errors
    /// When a call ends in another way than it should, or the log doesn't lead to what the disk holds.
    pub fn record(&self, product: &Product, bundles: &Bundles, options: &Options) -> Result<Recording> {
        let mut export = Export::start(&product.old_card)?;
        let device = Device::new(&export, options.bistable.as_deref())?;
        let (mut promised, mut ends) = (Vec::new(), vec![0]);
        for (call, code) in self.calls {
            let ended = device.call(&as_args(&bundles.words(*call)))?;
            self.check(*call, *code, &ended)?;
            promised.extend(ended.promised);
            ends.push(export.counted()?.entries);
        }
        let status = device.status()?;
        let entries = export.finish()?;
        if let Some(folder) = &options.keep {
            keep(folder, self.name, &export.log_path())?;
        }
        ensure!(ends.last() == Some(&(entries.len() as u64)), "something was written after the last call");
        let ops = trace::ops(&entries, &product.places, &promised)?;
        let mut end = product.old_card.clone();
        for op in &ops {
            if let Op::Write { at, data, .. } = op {
                end.write(*at, data);
            }
        }
        ensure!(export.holds(&end)?, "{}: the log doesn't lead to what the disk holds", self.name);
        let phases = self.calls.iter().zip(ends.windows(2)).map(|((call, _), range)| {
            let range = usize::try_from(range[0])?..usize::try_from(range[1])?;
            Phase::new(title(*call), &entries[range], &product.places)
        });
        let phases = phases.collect::<Result<_>>()?;
        let slot = match status["booted"].as_str() {
            Some("A") => Slot::A,
            Some("B") => Slot::B,
            _ => bail!("{}: no slot runs in the end", self.name),
        };
        let life = Life { end: End::Settled, slot: Some(slot), boots: 0 };
        let scenario = match self.scenario {
            None => None,
            Some(name) => Some(
                scenario::ALL
                    .into_iter()
                    .find(|s| s.name == name)
                    .with_context(|| format!("no scenario {name}"))?,
            ),
        };
        Ok(Recording { scenario, phases, entries, ops, end, life, status })
    }

    fn check(&self, call: Call, code: i32, ended: &Ended) -> Result<()> {
        let (name, call) = (self.name, title(call));
        ensure!(
            ended.code == Some(code),
            "{name}: `{call}` ended with {:?}, not {code}: {}",
            ended.code,
            ended.err
        );
        Ok(())
    }
}

/// A call, in words.
fn title((verb, version): Call) -> String {
    let mut words = verb.to_vec();
    words.extend(version);
    words.join(" ")
}

fn keep(folder: &Path, name: &str, log: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let to = folder.join(format!("{}.log", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")));
    fs::copy(log, &to).with_context(|| format!("keeping {}", to.display()))?;
    Ok(())
}

/// The version that the card comes with.
pub fn first_version() -> Version {
    Version::new(1, 1, 0)
}
