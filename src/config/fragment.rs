//! One file's keys, checked against what is known; every problem of it is found at once.
use super::{
    Problem,
    declared::TABLE,
    key::{Inputs, Key},
    keys,
    kind::{Place, Wrong},
    name, webhook,
};
use bistable_format::name::check_name;
use serde_json::Value;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value, and where it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) value: Value,
    /// The file, or `$NAME` for a variable of the environment.
    pub(super) file: PathBuf,
    /// The key's line, from 1; none for a variable, and if the file counts because it is there.
    pub(super) line: Option<usize>,
}

/// What one file sets; or all together, after merging: for each key all that was said, in order. The last counts. Every
/// value here has been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fragment {
    sets: BTreeMap<String, Vec<Set>>,
    /// The tables in which something could not be read; the table of components for a whole file.
    incomplete: BTreeSet<String>,
}

impl Fragment {
    /// Let what `over` sets win.
    pub(super) fn merge(&mut self, over: Fragment) {
        for (name, sets) in over.sets {
            self.sets.entry(name).or_default().extend(sets);
        }
        self.incomplete.extend(over.incomplete);
    }

    /// Let this win.
    pub(super) fn set(&mut self, name: &str, set: Set) {
        self.sets.entry(name.into()).or_default().push(set);
    }

    /// All that was said about a key, weakest first.
    pub(super) fn all(&self, name: &str) -> &[Set] {
        self.sets.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every key that was set, with all that was said, weakest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[Set])> {
        self.sets.iter().map(|(name, sets)| (name.as_str(), sets.as_slice()))
    }

    /// What it comes to; the rest is as by default.
    pub(super) fn inputs(&self) -> Inputs {
        let mut inputs = Inputs::default();
        for (name, sets) in self.iter() {
            if let (Some(key), Some(set)) = (keys::find(name), sets.last()) {
                // It was checked when it was read.
                let _ = key.read(name, &set.value, &mut inputs);
            }
        }
        for declared in inputs.components.values_mut() {
            *declared = std::mem::take(declared).with_defaults_of_kind();
        }
        inputs
    }

    /// Nothing of a file could be read.
    pub(super) fn lose_file(&mut self) {
        self.incomplete.extend([TABLE, webhook::TABLE].map(Into::into));
    }

    /// Whether a component's table may have had keys that could not be read.
    pub(super) fn is_incomplete(&self, table: &str) -> bool {
        let above = table.split_once('.').map_or(table, |(above, _)| above);
        [table, above].into_iter().any(|table| self.incomplete.contains(table))
    }

    /// Read a file's text. Whatever is wrong is a problem; the rest is kept, so that all problems are found.
    pub(super) fn read(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Fragment {
        let mut reader = Reader { file, text, found: Fragment::default(), problems: Vec::new() };
        match DeTable::parse(text) {
            Ok(table) => reader.table("", table.get_ref()),
            Err(e) => {
                reader.problem(e.span().map_or(0, |s| s.start), e.message());
                reader.found.lose_file();
            }
        }
        reader.problems.sort_by_key(|p| p.line);
        problems.append(&mut reader.problems);
        reader.found
    }
}

type Name<'a> = Spanned<Cow<'a, str>>;
type Written<'a> = Spanned<DeValue<'a>>;

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    found: Fragment,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, table: &str, keys: &DeTable<'_>) {
        for (key, value) in keys {
            let last = key.get_ref().as_ref();
            // A quoted name with dots is one name, however much it looks like the way to a key.
            let name = name::join(table, last);
            if let Some(known) = keys::find(&name) {
                self.value(known, table, &name, key, value);
            } else if let Some(why) = owners_name(table, last) {
                self.problem(key.span().start, &why);
            } else if !keys::is_table(&name) {
                self.unknown(table, last, key);
            } else if let Some(inner) = value.get_ref().as_table() {
                self.table(&name, inner);
            } else {
                self.wrong(&name, &format!("a table: [{name}]"), value, "");
            }
        }
    }

    fn unknown(&mut self, table: &str, last: &str, key: &Name<'_>) {
        self.found.incomplete.insert(table.into());
        let place = if table.is_empty() { String::new() } else { format!("[{table}] ") };
        let known = match keys::instead(&name::join(table, last)) {
            Some(instead) => instead.into(),
            None => format!("known: {}", keys::known(table)),
        };
        self.problem(key.span().start, &format!("{place}unknown key \"{}\"; {known}", last.escape_debug()));
    }

    fn value(&mut self, key: &dyn Key, table: &str, name: &str, at: &Name<'_>, written: &Written<'_>) {
        let value = value(written.get_ref());
        match key.read(name, &value, &mut Inputs::default()) {
            Ok(()) => {
                let line = Some(self.line(at.span().start));
                self.found.set(name, Set { value, file: self.file.into(), line });
            }
            Err(wrongs) => {
                self.found.incomplete.insert(table.into());
                for Wrong { place, why } in wrongs {
                    let item = match place {
                        Place::Value => None,
                        Place::Item(i) => written.get_ref().get(i),
                    };
                    self.wrong(name, &key.allowed(), item.unwrap_or(written), &why);
                }
            }
        }
    }

    fn wrong(&mut self, name: &str, allowed: &str, value: &Written<'_>, why: &str) {
        let found = self.text.get(value.span()).unwrap_or_default().lines().next().unwrap_or_default();
        let found = crate::text::shorten(found, 40);
        let colon = if why.is_empty() { "" } else { ": " };
        self.problem(value.span().start, &format!("{name} is {allowed}, not {found}{colon}{why}"));
    }

    fn problem(&mut self, at: usize, text: &str) {
        let line = Some(self.line(at));
        self.problems.push(Problem::new(self.file, line, text));
    }

    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }
}

/// What is wrong with the owner's part of a key's name, if it has one.
pub(super) fn owners_name_in(name: &str) -> Option<String> {
    let mut table = String::new();
    name::parts(name).find_map(|part| {
        let why = owners_name(&table, part);
        table = name::join(&table, part);
        why
    })
}

// What is wrong with a key's name in a table whose keys have names of the owner's.
fn owners_name(table: &str, last: &str) -> Option<String> {
    let what = if table == webhook::TABLE { webhook::TABLE } else { TABLE };
    let checked = keys::is_owners(table).then(|| check_name(what, last));
    checked?.err().map(|e| e.to_string())
}

/// A value as keys take it. What no key takes is null.
pub(super) fn value(written: &DeValue<'_>) -> Value {
    match written {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Integer(n) => u64::from_str_radix(n.as_str(), n.radix()).map_or(Value::Null, Value::from),
        DeValue::Array(items) => items.iter().map(|item| value(item.get_ref())).collect(),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Value::Null,
    }
}
