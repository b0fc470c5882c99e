//! Reads tables of known keys from TOML. Whatever is wrong is noted with its line, and the reading continues, so that all
//! problems of a file are told at once.
use bistable::config::Problem;
use std::{borrow::Cow, path::Path};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value and where it stands.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// Longest part of a wrong value that is shown.
const SHOWN: usize = 40;

/// One file, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    file: &'t Path,
    text: &'t str,
    /// What is wrong so far.
    pub(super) problems: Vec<Problem>,
}

/// A table whose name is known, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'v, 't> {
    name: &'static str,
    table: &'v DeTable<'t>,
    at: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: &'t Path, text: &'t str) -> Reader<'t> {
        Reader { file, text, problems: Vec::new() }
    }

    /// The whole file; none if it is no TOML.
    pub(super) fn parse(&mut self) -> Option<DeTable<'t>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table.into_inner()),
            Err(e) => {
                self.problem(e.span().map_or(0, |s| s.start), e.message().into());
                None
            }
        }
    }

    /// Note keys that aren't known.
    pub(super) fn only(&mut self, name: &str, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let text = format!(
                    "{name}unknown key \"{}\"; known: {}",
                    key.get_ref().escape_debug(),
                    known.join(", ")
                );
                self.problem(key.span().start, text);
            }
        }
    }

    /// A table of the file with its known keys; one that must be there if `known` says so.
    pub(super) fn table<'v>(
        &mut self,
        top: &'v DeTable<'t>,
        name: &'static str,
        known: &[&str],
    ) -> Option<Table<'v, 't>> {
        let value = top.get(name)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(name, &format!("a table: [{name}]"), value);
            return None;
        };
        self.only(&format!("[{name}] "), table, known);
        Some(Table { name, table, at: value.span().start })
    }

    /// Note that something isn't there.
    pub(super) fn missing(&mut self, table: Option<Table<'_, '_>>, text: &str) {
        match table {
            Some(table) => self.problem(table.at, format!("[{}] {text}", table.name)),
            None => self.problems.push(Problem { file: self.file.into(), line: None, text: text.into() }),
        }
    }

    /// A string that isn't empty.
    pub(super) fn string(&mut self, table: Table<'_, '_>, key: &str) -> Option<String> {
        let value = table.get(key)?;
        let found = value.get_ref().as_str().filter(|s| !s.is_empty() && !s.contains(['\n', '\r', '\0']));
        if found.is_none() {
            self.wrong(&table.path(key), "a line of text in quotes", value);
        }
        found.map(str::to_owned)
    }

    /// true or false.
    pub(super) fn boolean(&mut self, table: Table<'_, '_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong(&table.path(key), "true or false", value);
        }
        found
    }

    /// A whole number within limits.
    pub(super) fn number(&mut self, table: Table<'_, '_>, key: &str, least: u32, most: u32) -> Option<u32> {
        let value = table.get(key)?;
        let number =
            value.get_ref().as_integer().and_then(|i| u32::from_str_radix(i.as_str(), i.radix()).ok());
        let found = number.filter(|n| (least..=most).contains(n));
        if found.is_none() {
            self.wrong(&table.path(key), &format!("a number from {least} to {most}"), value);
        }
        found
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&mut self, table: Table<'_, '_>, key: &str, of: &[(&str, T)]) -> Option<T> {
        let value = table.get(key)?;
        let found = value.get_ref().as_str().and_then(|s| of.iter().find(|(name, _)| *name == s));
        if found.is_none() {
            let names: Vec<_> = of.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.wrong(&table.path(key), &names.join(" or "), value);
        }
        found.map(|(_, choice)| *choice)
    }

    /// A program and its arguments.
    pub(super) fn words(&mut self, table: Table<'_, '_>, key: &str) -> Option<Vec<String>> {
        let value = table.get(key)?;
        let words = value.get_ref().as_array().and_then(|array| {
            array.iter().map(|word| word.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        let found = words.filter(|words| {
            words.first().is_some_and(|program| !program.is_empty())
                && words.iter().all(|w| !w.contains('\0'))
        });
        if found.is_none() {
            self.wrong(&table.path(key), "a program and its arguments, like [\"relay\", \"on\"]", value);
        }
        found
    }

    /// Note something wrong with a value.
    pub(super) fn at(&mut self, table: Table<'_, '_>, key: &str, text: &str) {
        let at = table.get(key).map_or(table.at, |value| value.span().start);
        self.problem(at, format!("{} {text}", table.path(key)));
    }

    fn wrong(&mut self, name: &str, allowed: &str, value: &Value<'_>) {
        let found = self.text.get(value.span()).unwrap_or_default().lines().next().unwrap_or_default();
        let found = if found.chars().count() > SHOWN {
            Cow::from(format!("{}…", found.chars().take(SHOWN).collect::<String>()))
        } else {
            Cow::from(found)
        };
        self.problem(value.span().start, format!("{name} is {allowed}, not {found}"));
    }

    fn problem(&mut self, at: usize, text: String) {
        let line = self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1;
        self.problems.push(Problem { file: self.file.into(), line: Some(line), text });
    }
}

impl<'v, 't> Table<'v, 't> {
    /// Whether a key is there at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn get(&self, key: &str) -> Option<&'v Value<'t>> {
        self.table.get(key)
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }
}
