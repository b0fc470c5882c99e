//! Every setting with its value, and where that comes from.
use super::{Loaded, declared::TABLE, environment, fragment::Set, key::Shown, keys::KEYS, name, webhook};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, path::Path};

/// Every setting, in the order of the table of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Listing {
    /// Files that count because of where they are, weakest first.
    files: Vec<String>,
    /// Files that don't count, because a namesake in a later folder masks them.
    masked: Vec<Masked>,
    settings: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Masked {
    file: String,
    by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Setting {
    name: String,
    /// Null if it isn't set and there is no default.
    value: Value,
    /// What it would be if it were not set.
    default: Value,
    /// Who set it; null if it isn't set.
    origin: Option<Origin>,
    /// What was said before and doesn't count, weakest first.
    overrode: Vec<Said>,
    help: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Origin {
    /// A file, or `$NAME` for a variable of the environment.
    file: String,
    /// Null for a variable, and if the file counts because it is there.
    line: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Said {
    value: Value,
    #[serde(flatten)]
    origin: Origin,
}

impl Listing {
    pub(super) fn of(loaded: &Loaded) -> Listing {
        let mut inputs = loaded.inputs.clone();
        let mut settings = Vec::new();
        for key in KEYS {
            for Shown { name, value, default } in key.show(&mut inputs) {
                let mut said: Vec<Said> = loaded.merged.all(&name).iter().map(Said::of).collect();
                let origin = said.pop().map(|last| last.origin);
                settings.push(Setting { name, value, default, origin, overrode: said, help: key.help() });
            }
        }
        [TABLE, webhook::TABLE].into_iter().for_each(|table| by_name(&mut settings, table));
        let masked = loaded.found.masked.iter();
        Listing {
            files: loaded.files().into_iter().map(path).collect(),
            masked: masked.map(|(file, by)| Masked { file: path(file), by: path(by) }).collect(),
            settings,
        }
    }

    /// What is set in a file, by name: of each value a digest, which is enough to see a change. Nothing secret is a value.
    /// What only this process was given isn't there, or each process would report the configuration of the other as a change.
    pub(crate) fn digests(&self) -> BTreeMap<String, String> {
        let of_files = |setting: &Setting| {
            let last = setting.origin.iter().map(|origin| (&setting.value, origin));
            let said = setting.overrode.iter().map(|said| (&said.value, &said.origin)).chain(last);
            let value =
                said.rev().find(|(_, origin)| !environment::is_of_process(Path::new(&origin.file)))?.0;
            let digest = Sha256::digest(value.to_string());
            let digest = digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            Some((setting.name.clone(), digest))
        };
        self.settings.iter().filter_map(of_files).collect()
    }

    /// Files that count, weakest first.
    pub(crate) fn files(&self) -> &[String] {
        &self.files
    }

    /// As a file that says the same, with where each value comes from beside it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            text += &format!("# {file}\n");
        }
        for Masked { file, by } in &self.masked {
            text += &format!("# {file}: masked by {by}\n");
        }
        let mut table = "";
        let lines: Vec<_> = self.settings.iter().map(Setting::line).collect();
        for (i, line) in lines.iter().enumerate() {
            if line.table != table || i == 0 {
                table = line.table;
                text += if text.is_empty() { "" } else { "\n" };
                text += &if table.is_empty() { String::new() } else { format!("[{table}]\n") };
            }
            if line.origin.is_empty() {
                text += &format!("{}\n", line.set);
                continue;
            }
            let neighbors = lines.iter().filter(|l| l.table == table && !l.origin.is_empty());
            let widths = neighbors.map(|l| l.set.chars().count()).filter(|w| *w <= WIDTH);
            let width = widths.max().unwrap_or(0);
            text += &format!("{:width$}  # {}\n", line.set, line.origin);
        }
        text
    }
}

/// Longest line to which the others of its table are aligned.
const WIDTH: usize = 48;

struct Line<'a> {
    table: &'a str,
    set: String,
    /// Empty if there is no value.
    origin: String,
}

impl Setting {
    fn line(&self) -> Line<'_> {
        // Only names of the owner's may have dots of their own, and a key's last part is never one.
        let (table, last) = self.name.rsplit_once('.').unwrap_or(("", &self.name));
        if self.value.is_null() {
            return Line { table, set: format!("# {last}: not set"), origin: String::new() };
        }
        let set = format!("{last} = {}", toml(&self.value));
        let mut origin = self.origin.as_ref().map_or("default".into(), Origin::text);
        for Said { value, origin: by } in self.overrode.iter().rev() {
            origin += &format!(", over {} ({})", by.text(), toml(value));
        }
        Line { table, set, origin }
    }
}

// The keys of each of the owner's tables side by side, in the order of the names, as a file has them.
fn by_name(settings: &mut [Setting], table: &str) {
    let component = |s: &Setting| name::parts(&s.name).nth(1).unwrap_or_default().to_owned();
    let is_of_one = |s: &Setting| name::parts(&s.name).next() == Some(table);
    let from = settings.iter().position(is_of_one).unwrap_or(settings.len());
    let count = settings.iter().filter(|s| is_of_one(s)).count();
    if let Some(of_table) = settings.get_mut(from..from + count) {
        of_table.sort_by_key(component);
    }
}

impl Said {
    fn of(set: &Set) -> Said {
        Said { value: set.value.clone(), origin: Origin { file: path(&set.file), line: set.line } }
    }
}

impl Origin {
    fn text(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None if environment::is_variable(Path::new(&self.file)) => self.file.clone(),
            None => format!("{} is there", self.file),
        }
    }
}

// What a key takes is written the same in JSON and in TOML, but for a space.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}

// A name with a line break must not look like a line of its own.
fn path(path: &Path) -> String {
    bistable_format::text::printable(&path.display().to_string(), &[])
}

/// The reference: one line for each key.
#[cfg(test)]
pub(super) fn reference() -> String {
    let mut text = String::from("| key | is | default | for |\n|---|---|---|---|");
    for key in KEYS {
        let default = key.default();
        let default = if default.is_null() { String::new() } else { format!("`{}`", toml(&default)) };
        text += &format!("\n| `{}` | {} | {default} | {} |", key.name(), key.allowed(), key.help());
    }
    text
}
