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

/// What the owner declares in tables of its own, each with a name: `[component.NAME]`, `[webhook.NAME]`.
pub(super) trait Named: Clone + 'static {
    /// All that are declared.
    fn all(inputs: &mut Inputs) -> &mut BTreeMap<String, Self>;
    /// One of that name, of which nothing is said yet.
    fn unset(name: &str) -> Self;
    /// The same with its defaults, as far as they depend on what is said of it.
    fn defaults(&self) -> Self;
    /// Whether this one has such a key.
    fn has(&self, of: Of) -> bool;
}

impl Named for Declared {
    fn all(inputs: &mut Inputs) -> &mut BTreeMap<String, Declared> {
        &mut inputs.components
    }

    fn unset(_: &str) -> Declared {
        Declared::default()
    }

    fn defaults(&self) -> Declared {
        Declared::of_kind(self.kind)
    }

    fn has(&self, of: Of) -> bool {
        match of {
            Of::Any => true,
            Of::Managed => self.kind.is_some(),
            Of::Kind(kind) => self.kind == Some(kind),
        }
    }
}

impl Named for Webhook {
    fn all(inputs: &mut Inputs) -> &mut BTreeMap<String, Webhook> {
        &mut inputs.webhooks
    }

    fn unset(name: &str) -> Webhook {
        Webhook::named(name)
    }

    fn defaults(&self) -> Webhook {
        Webhook::named(&self.name)
    }

    fn has(&self, of: Of) -> bool {
        of == Of::Any
    }
}

/// A key of each component or webhook.
pub(super) struct Each<O: Named, K: Kind> {
    pub(super) name: &'static str,
    pub(super) of: Of,
    pub(super) help: &'static str,
    pub(super) kind: K,
    pub(super) field: fn(&mut O) -> &mut K::Value,
}

/// A key of each component.
pub(super) type OfComponent<K> = Each<Declared, K>;
/// A key of each webhook.
pub(super) type OfWebhook<K> = Each<Webhook, K>;

impl<O: Named, K: Kind> Key for Each<O, K> {
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
        self.kind.show((self.field)(&mut O::unset("")))
    }

    fn of(&self) -> Of {
        self.of
    }

    fn read(&self, name: &str, value: &Value, into: &mut Inputs) -> Checked<()> {
        let value = self.kind.read(value)?;
        let owner = name::owners(self.name, name).unwrap_or_default();
        let declared = O::all(into).entry(owner.into()).or_insert_with(|| O::unset(owner));
        *(self.field)(declared) = value;
        Ok(())
    }

    fn show(&self, inputs: &mut Inputs) -> Vec<Shown> {
        let having = O::all(inputs).iter_mut().filter(|(_, declared)| declared.has(self.of));
        let shown = |(owner, declared): (&String, &mut O)| Shown {
            name: self.name.replacen(name::OWNERS, &name::quoted(owner), 1),
            default: self.kind.show((self.field)(&mut declared.defaults())),
            value: self.kind.show((self.field)(declared)),
        };
        having.map(shown).collect()
    }
}
