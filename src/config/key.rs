//! What a key is: a name, a kind of values, and the field that it fills.
use super::{
    Settings,
    kind::{Checked, Kind, Place, Wrong},
};
use bistable_format::release::check_name;
use serde_json::Value;
use std::path::PathBuf;

/// What files say, before the files that they name are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inputs {
    pub(super) settings: Settings,
    pub(super) self_test_plan: Option<PathBuf>,
    pub(super) health_profile: Option<PathBuf>,
}

/// A key, or all keys of a table whose names are the owner's.
pub(super) trait Key: Sync {
    /// For example `install.flush_bytes`; `components.NAME` if the last part is the owner's.
    fn name(&self) -> &'static str;
    /// What it is for, in a line.
    fn help(&self) -> &'static str;
    /// What is allowed.
    fn allowed(&self) -> String;
    /// Whether this is the key of that name.
    fn is(&self, name: &str) -> bool;
    /// Check a value and take it.
    fn read(&self, name: &str, value: &Value, into: &mut Inputs) -> Checked<()>;
    /// Names with their values as they can be written; null if one isn't set.
    fn show(&self, inputs: &mut Inputs) -> Vec<(String, Value)>;

    /// The table it is in; empty if in none.
    fn table(&self) -> &'static str {
        self.name().rsplit_once('.').map_or("", |(table, _)| table)
    }
}

/// One key.
pub(super) struct One<K: Kind> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: K,
    pub(super) field: fn(&mut Inputs) -> &mut K::Value,
}

impl<K: Kind> Key for One<K> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn allowed(&self) -> String {
        self.kind.allowed()
    }

    fn is(&self, name: &str) -> bool {
        self.name == name
    }

    fn read(&self, _: &str, value: &Value, into: &mut Inputs) -> Checked<()> {
        *(self.field)(into) = self.kind.read(value)?;
        Ok(())
    }

    fn show(&self, inputs: &mut Inputs) -> Vec<(String, Value)> {
        vec![(self.name.into(), self.kind.show((self.field)(inputs)))]
    }
}

type Named<T> = Vec<(String, T)>;

/// All keys of a table whose names are the owner's.
pub(super) struct Each<K: Kind> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: K,
    pub(super) field: fn(&mut Inputs) -> &mut Named<K::Value>,
}

impl<K: Kind> Each<K> {
    fn last<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(self.table())?.strip_prefix('.')
    }
}

impl<K: Kind> Key for Each<K> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn allowed(&self) -> String {
        self.kind.allowed()
    }

    fn is(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    fn read(&self, name: &str, value: &Value, into: &mut Inputs) -> Checked<()> {
        let last = self.last(name).unwrap_or(name);
        check_name(self.table(), last).map_err(|e| vec![Wrong { place: Place::Key, why: e.to_string() }])?;
        let value = self.kind.read(value)?;
        (self.field)(into).push((last.into(), value));
        Ok(())
    }

    fn show(&self, inputs: &mut Inputs) -> Vec<(String, Value)> {
        let all = (self.field)(inputs).iter();
        all.map(|(last, value)| (format!("{}.{last}", self.table()), self.kind.show(value))).collect()
    }
}
