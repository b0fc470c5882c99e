//! What a key is: a name, a kind of values, and the field that it fills.
use super::{
    ComponentKind, Settings, Webhook,
    declared::Declared,
    kind::{Checked, Kind},
    name,
};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

/// What files say, before the files that they name are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inputs {
    pub(super) settings: Settings,
    pub(super) self_test_plan: Option<PathBuf>,
    pub(super) health_profile: Option<PathBuf>,
    pub(super) components: BTreeMap<String, Declared>,
    pub(super) webhooks: BTreeMap<String, Webhook>,
}

/// Which components have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// All, or it is not a component's key.
    Any,
    /// Those of a kind.
    Managed,
    /// Those of this kind.
    Kind(ComponentKind),
}

/// A setting as it is shown: values as they can be written; null if there is none.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) value: Value,
    /// What it would be if it were not set.
    pub(super) default: Value,
}

/// A key, or the key of that name in each of the owner's tables.
pub(super) trait Key: Sync {
    /// For example `install.flush_bytes`; `component.NAME.kind` if a part is the owner's.
    fn name(&self) -> &'static str;
    /// What it is for, in a line.
    fn help(&self) -> &'static str;
    /// What is allowed.
    fn allowed(&self) -> String;
    /// Its value if nothing is set; null if it has none.
    fn default(&self) -> Value;
    /// Check a value and take it.
    fn read(&self, name: &str, value: &Value, into: &mut Inputs) -> Checked<()>;
    /// What it comes to; one for each of the owner's tables that has it.
    fn show(&self, inputs: &mut Inputs) -> Vec<Shown>;

    /// Which components have it.
    fn of(&self) -> Of {
        Of::Any
    }

    /// Whether this is the key of that name.
    fn is(&self, name: &str) -> bool {
        name::is_of(self.name(), name)
    }

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

    fn default(&self) -> Value {
        self.kind.show((self.field)(&mut Inputs::default()))
    }

    fn read(&self, _: &str, value: &Value, into: &mut Inputs) -> Checked<()> {
        *(self.field)(into) = self.kind.read(value)?;
        Ok(())
    }

    fn show(&self, inputs: &mut Inputs) -> Vec<Shown> {
        let value = self.kind.show((self.field)(inputs));
        vec![Shown { name: self.name.into(), value, default: self.default() }]
    }
}

/// A key of each component.
pub(super) struct Each<K: Kind> {
    pub(super) name: &'static str,
    pub(super) of: Of,
    pub(super) help: &'static str,
    pub(super) kind: K,
    pub(super) field: fn(&mut Declared) -> &mut K::Value,
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

    fn default(&self) -> Value {
        self.kind.show((self.field)(&mut Declared::default()))
    }

    fn of(&self) -> Of {
        self.of
    }

    fn read(&self, name: &str, value: &Value, into: &mut Inputs) -> Checked<()> {
        let value = self.kind.read(value)?;
        let component = name::owners(self.name, name).unwrap_or_default();
        *(self.field)(into.components.entry(component.into()).or_default()) = value;
        Ok(())
    }

    fn show(&self, inputs: &mut Inputs) -> Vec<Shown> {
        let mut shown = Vec::new();
        for (component, declared) in &mut inputs.components {
            let has = match self.of {
                Of::Any => true,
                Of::Managed => declared.kind.is_some(),
                Of::Kind(kind) => declared.kind == Some(kind),
            };
            if has {
                let name = self.name.replacen(name::OWNERS, &name::quoted(component), 1);
                let default = self.kind.show((self.field)(&mut Declared::of_kind(declared.kind)));
                shown.push(Shown { name, value: self.kind.show((self.field)(declared)), default });
            }
        }
        shown
    }
}

/// A key of each webhook.
pub(super) struct EachWebhook<K: Kind> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: K,
    pub(super) field: fn(&mut Webhook) -> &mut K::Value,
}

impl<K: Kind> Key for EachWebhook<K> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn allowed(&self) -> String {
        self.kind.allowed()
    }

    fn default(&self) -> Value {
        self.kind.show((self.field)(&mut Webhook::named("")))
    }

    fn read(&self, name: &str, value: &Value, into: &mut Inputs) -> Checked<()> {
        let value = self.kind.read(value)?;
        let webhook = name::owners(self.name, name).unwrap_or_default();
        *(self.field)(into.webhooks.entry(webhook.into()).or_insert_with(|| Webhook::named(webhook))) = value;
        Ok(())
    }

    fn show(&self, inputs: &mut Inputs) -> Vec<Shown> {
        let shown = |(webhook, declared): (&String, &mut Webhook)| {
            let name = self.name.replacen(name::OWNERS, &name::quoted(webhook), 1);
            Shown { name, value: self.kind.show((self.field)(declared)), default: self.default() }
        };
        inputs.webhooks.iter_mut().map(shown).collect()
    }
}
