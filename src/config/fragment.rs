//! One file's keys, checked against what is known; every problem of it is found at once.
use super::{BoardSettings, Problem};
use bistable_format::release::check_name;
use semver::Version;
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Fewest bytes between two flushes.
pub const FLUSH_BYTES_MIN: u64 = 16 << 20;
/// Most bytes between two flushes: as much as the installer may hold in memory.
pub const FLUSH_BYTES_MAX: u64 = 64 << 20;

/// A value, and the line that set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set<T> {
    pub(super) value: T,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// What one file sets; or all together, after merging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) allow_demo_keys: Option<bool>,
    pub(super) flush_bytes: Option<u64>,
    pub(super) self_test_plan: Option<Set<PathBuf>>,
    pub(super) health_profile: Option<Set<PathBuf>>,
    pub(super) components: BTreeMap<String, Version>,
    pub(super) board: BoardSettings,
}

impl Fragment {
    /// Let what `over` sets win. Tables are joined key by key.
    pub(super) fn merge(&mut self, over: Fragment) {
        self.allow_demo_keys = over.allow_demo_keys.or(self.allow_demo_keys);
        self.flush_bytes = over.flush_bytes.or(self.flush_bytes);
        self.self_test_plan = over.self_test_plan.or(self.self_test_plan.take());
        self.health_profile = over.health_profile.or(self.health_profile.take());
        self.components.extend(over.components);
        self.board.name = over.board.name.or(self.board.name.take());
        self.board.disk = over.board.disk.or(self.board.disk.take());
    }

    /// Read a file's text. Whatever is wrong is a problem; the rest is kept, so that all problems are found.
    pub(super) fn read(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Fragment {
        let mut reader = Reader { file, text, problems };
        let mut fragment = Fragment::default();
        match DeTable::parse(text) {
            Ok(table) => reader.top(table.get_ref(), &mut fragment),
            Err(e) => reader.problem(e.span().map_or(0, |s| s.start), e.message().into()),
        }
        fragment
    }
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>, fragment: &mut Fragment) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "allow_demo_keys" => fragment.allow_demo_keys = self.boolean("allow_demo_keys", value),
                "board" => self.board(value, &mut fragment.board),
                "components" => self.components(value, &mut fragment.components),
                "health" => fragment.health_profile = self.path_in("health", "profile", value),
                "install" => {
                    if let Some(value) = self.only("install", "flush_bytes", value) {
                        fragment.flush_bytes = self.flush_bytes(value);
                    }
                }
                "self_test" => fragment.self_test_plan = self.path_in("self_test", "plan", value),
                _ => self.unknown(
                    "",
                    key,
                    "allow_demo_keys, [board], [components], [health], [install], [self_test]",
                ),
            }
        }
    }

    // A table with one known key: its value.
    fn only<'v, 't>(&mut self, table: &str, known: &str, value: &'v Value<'t>) -> Option<&'v Value<'t>> {
        let keys = self.table(table, value)?;
        let mut found = None;
        for (key, value) in keys {
            if key.get_ref() == known {
                found = Some(value);
            } else {
                self.unknown(&format!("[{table}] "), key, known);
            }
        }
        found
    }

    fn path_in(&mut self, table: &str, known: &str, value: &Value<'_>) -> Option<Set<PathBuf>> {
        let value = self.only(table, known, value)?;
        match value.get_ref().as_str() {
            Some(path) if path.starts_with('/') => {
                Some(Set { value: path.into(), file: self.file.into(), line: self.line(value.span().start) })
            }
            Some(path) => {
                let text = format!("{table}.{known} is an absolute path, not \"{}\"", path.escape_debug());
                self.problem(value.span().start, text);
                None
            }
            None => {
                self.wrong(&format!("{table}.{known}"), "an absolute path in quotes", value);
                None
            }
        }
    }

    fn boolean(&mut self, name: &str, value: &Value<'_>) -> Option<bool> {
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong(name, "true or false", value);
        }
        found
    }

    fn flush_bytes(&mut self, value: &Value<'_>) -> Option<u64> {
        let number =
            value.get_ref().as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
        let found = number.filter(|n| (FLUSH_BYTES_MIN..=FLUSH_BYTES_MAX).contains(n));
        if found.is_none() {
            let allowed = format!("a number of bytes from {FLUSH_BYTES_MIN} to {FLUSH_BYTES_MAX}");
            self.wrong("install.flush_bytes", &allowed, value);
        }
        found
    }

    fn board(&mut self, value: &Value<'_>, into: &mut BoardSettings) {
        let Some(table) = self.table("board", value) else { return };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => into.name = self.board_name(value),
                "disk" => into.disk = self.disk(value),
                _ => self.unknown("[board] ", key, "name, disk"),
            }
        }
    }

    fn board_name(&mut self, value: &Value<'_>) -> Option<String> {
        let Some(name) = value.get_ref().as_str() else {
            self.wrong("board.name", "a board's name in quotes, like \"pi4\"", value);
            return None;
        };
        match check_name("board.name", name) {
            Ok(()) => Some(name.into()),
            Err(e) => {
                self.problem(value.span().start, e.to_string());
                None
            }
        }
    }

    fn disk(&mut self, value: &Value<'_>) -> Option<PathBuf> {
        let path = value.get_ref().as_str().map(Path::new);
        // Below /dev, and not by a way around.
        let inside = |path: &&Path| {
            let mut below = path.strip_prefix("/dev").into_iter().flat_map(Path::components).peekable();
            below.peek().is_some() && below.all(|c| matches!(c, Component::Normal(_)))
        };
        let found = path.filter(inside).map(PathBuf::from);
        if found.is_none() {
            self.wrong("board.disk", "a disk in quotes, like \"/dev/mmcblk0\"", value);
        }
        found
    }

    fn components(&mut self, value: &Value<'_>, into: &mut BTreeMap<String, Version>) {
        let Some(table) = self.table("components", value) else { return };
        for (key, value) in table {
            if let Err(e) = check_name("components", key.get_ref()) {
                self.problem(key.span().start, e.to_string());
                continue;
            }
            let version = value.get_ref().as_str().map(Version::parse);
            match version {
                Some(Ok(version)) => {
                    into.insert(key.get_ref().to_string(), version);
                }
                Some(Err(e)) => {
                    let text = format!("components.{} is a version like \"1.2.3\": {e}", key.get_ref());
                    self.problem(value.span().start, text);
                }
                None => {
                    let name = format!("components.{}", key.get_ref());
                    self.wrong(&name, "a version in quotes, like \"1.2.3\"", value);
                }
            }
        }
    }

    fn table<'v, 't>(&mut self, name: &str, value: &'v Value<'t>) -> Option<&'v DeTable<'t>> {
        let found = value.get_ref().as_table();
        if found.is_none() {
            self.wrong(name, &format!("a table: [{name}]"), value);
        }
        found
    }

    fn unknown(&mut self, table: &str, key: &Key<'_>, known: &str) {
        let text = format!("{table}unknown key \"{}\"; known: {known}", key.get_ref().escape_debug());
        self.problem(key.span().start, text);
    }

    fn wrong(&mut self, name: &str, allowed: &str, value: &Value<'_>) {
        let found = self.text.get(value.span()).unwrap_or_default().lines().next().unwrap_or_default();
        let found = crate::selftest::shorten(found, 40);
        self.problem(value.span().start, format!("{name} is {allowed}, not {found}"));
    }

    fn problem(&mut self, at: usize, text: String) {
        let problem = Problem { file: self.file.into(), line: Some(self.line(at)), text };
        self.problems.push(problem);
    }

    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }
}
