//! What an operator can set of a component: its release declares it, as TOML; the values lie on the device.
//!
//! ```toml
//! [environment.LISTEN]                # a variable in the environment of the component's service
//! default = "127.0.0.1:8080"
//! description = "Address of the web server"
//!
//! [environment.WORKERS]
//! type = "integer"                    # text (the default), integer, boolean
//! min = 1
//! max = 16
//! default = "4"
//!
//! [environment.MODE]
//! choices = ["quiet", "loud"]
//! default = "quiet"
//!
//! [environment.API_TOKEN]
//! required = true                     # no update to this version begins without a value
//! secret = true                       # never shown
//!
//! [file."core.toml"]                  # a file: its text is the value
//! default = """
//! retries = 3
//! """
//! ```
use crate::{
    DecodeError, limits,
    selftest::{invalid, parse_toml},
    text::is_printable,
};
use alloc::{collections::BTreeMap, format, string::String, string::ToString, vec::Vec};
use serde::Deserialize;

/// Settings that one release can declare.
pub const SETTINGS: usize = 64;
/// Bytes of a variable's value.
pub const VARIABLE: usize = 4 << 10;
/// Bytes of a file.
pub const FILE: usize = 16 << 10;
/// The file of a rendered configuration that has all variables, as systemd's `EnvironmentFile=` reads it.
pub const ENVIRONMENT: &str = "environment";
/// The file beside it that has what was set by an operator.
pub const VALUES: &str = "values";

const WHAT: &str = "configuration";

/// Values by name: what an operator set.
pub type Values = BTreeMap<String, String>;

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the environment of the service.
    Environment,
    /// Into a file of its name.
    File,
}

impl Place {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Place::Environment => "environment",
            Place::File => "file",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    #[default]
    Text,
    Integer,
    Boolean,
}

/// One thing that can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name: of a variable, or of a file.
    pub name: String,
    /// Where its value goes.
    pub place: Place,
    /// The value if none is set.
    pub default: Option<String>,
    /// Whether it needs a value.
    pub required: bool,
    /// Whether its value is shown.
    pub secret: bool,
    /// What it is, for operators.
    pub description: String,
    kind: Type,
    min: Option<i64>,
    max: Option<i64>,
    choices: Vec<String>,
}

/// All that can be set of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// Sorted by name.
    pub settings: Vec<Setting>,
}

/// A file of a rendered configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its name.
    pub name: String,
    /// Its content.
    pub text: String,
    /// Whether only root may read it.
    pub secret: bool,
}

/// Why a value can't be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The version has no such setting.
    #[error("{name} is not a setting of this version, which has {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// The value isn't one that the version takes. It is not shown: it may be a secret.
    #[error("{name}: the value has to be {expected}")]
    Unfit {
        /// The setting.
        name: String,
        /// What is possible.
        expected: String,
        /// Whether its values are secret.
        secret: bool,
    },
    /// A required setting has no value.
    #[error("{name} has no value, and the version needs one")]
    Missing {
        /// The setting.
        name: String,
        /// Whether its values are secret.
        secret: bool,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSetting {
    #[serde(default, rename = "type")]
    kind: Type,
    default: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    secret: bool,
    #[serde(default)]
    description: String,
    min: Option<i64>,
    max: Option<i64>,
    #[serde(default)]
    choices: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    environment: BTreeMap<String, RawSetting>,
    #[serde(default)]
    file: BTreeMap<String, RawSetting>,
}

impl Declaration {
    /// Read and check a declaration.
    ///
    /// # Errors
    /// What is wrong with it, with its line if it is no TOML.
    pub fn parse(text: &str) -> Result<Declaration, DecodeError> {
        let raw: Raw = parse_toml(WHAT, text)?;
        let environment = raw.environment.into_iter().map(|(name, raw)| raw.named(name, Place::Environment));
        let files = raw.file.into_iter().map(|(name, raw)| raw.named(name, Place::File));
        let mut settings: Vec<Setting> = environment.chain(files).collect();
        settings.sort_by(|a, b| a.name.cmp(&b.name));
        if settings.is_empty() || settings.len() > SETTINGS {
            return Err(invalid(WHAT, format!("{} settings: 1 to {SETTINGS} are possible", settings.len())));
        }
        for (setting, next) in settings.iter().zip(settings.iter().skip(1)) {
            if setting.name == next.name {
                return Err(invalid(WHAT, format!("{} is there twice", setting.name)));
            }
        }
        settings.iter().try_for_each(|setting| {
            setting.problem().map_or(Ok(()), |problem| {
                Err(invalid(WHAT, format!("\"{}\": {problem}", setting.name.escape_debug())))
            })
        })?;
        Ok(Declaration { settings })
    }

    /// A setting.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Check that the version takes these values and lacks none.
    ///
    /// # Errors
    /// Everything that is wrong, by name.
    pub fn check(&self, values: &Values) -> Result<(), Vec<ValueError>> {
        let known = || self.settings.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
        let set = values.iter().filter_map(|(name, value)| match self.get(name) {
            None => Some(ValueError::Unknown { name: name.clone(), known: known() }),
            Some(setting) => {
                let unfit =
                    |expected| ValueError::Unfit { name: name.clone(), expected, secret: setting.secret };
                setting.expected(value).map(unfit)
            }
        });
        let missing = self.settings.iter().filter(|s| s.required && !values.contains_key(&s.name));
        let problems: Vec<_> = set
            .chain(missing.map(|s| ValueError::Missing { name: s.name.clone(), secret: s.secret }))
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The files that the service of the version gets with these values, which were checked.
    pub fn render(&self, values: &Values) -> Vec<Rendered> {
        let mut environment = String::new();
        let mut files = Vec::new();
        for setting in &self.settings {
            let Some(value) = setting.value(values) else { continue };
            match setting.place {
                Place::Environment => {
                    environment.push_str(&format!("{}={}\n", setting.name, quoted(value)));
                }
                Place::File => files.push(Rendered {
                    name: setting.name.clone(),
                    text: value.clone(),
                    secret: setting.secret,
                }),
            }
        }
        files.push(Rendered { name: ENVIRONMENT.into(), text: environment, secret: true });
        files
    }
}

/// In double quotes, as systemd.exec(5) reads them in an `EnvironmentFile=`: nothing is expanded in it.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

impl RawSetting {
    fn named(self, name: String, place: Place) -> Setting {
        let RawSetting { kind, default, required, secret, description, min, max, choices } = self;
        Setting { name, place, default, required, secret, description, kind, min, max, choices }
    }
}

impl Setting {
    /// The value that it has: what is set, or its default.
    pub fn value<'a>(&'a self, values: &'a Values) -> Option<&'a String> {
        values.get(&self.name).or(self.default.as_ref())
    }

    /// What its values are, human-readable.
    pub fn values(&self) -> String {
        if !self.choices.is_empty() {
            return format!("one of {}", self.choices.join(", "));
        }
        match (self.kind, self.place, self.min, self.max) {
            (Type::Boolean, ..) => "true or false".into(),
            (Type::Integer, _, Some(min), Some(max)) => format!("a whole number from {min} to {max}"),
            (Type::Integer, _, Some(min), None) => format!("a whole number of at least {min}"),
            (Type::Integer, _, None, Some(max)) => format!("a whole number of at most {max}"),
            (Type::Integer, ..) => "a whole number".into(),
            (Type::Text, Place::File, ..) => format!("text of at most {FILE} bytes"),
            (Type::Text, Place::Environment, ..) => {
                format!("one line of printable text, of at most {VARIABLE} bytes")
            }
        }
    }

    /// What a value has to be, if this one isn't.
    fn expected(&self, value: &str) -> Option<String> {
        let number = || value.parse::<i64>().ok().filter(|number| number.to_string() == value);
        let is_in = |number: i64| {
            self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
        };
        let is_text = match self.place {
            Place::Environment => value.len() <= VARIABLE && is_printable(value, &[]),
            Place::File => value.len() <= FILE && !value.contains('\0'),
        };
        let is_fit = is_text
            && (self.choices.is_empty() || self.choices.iter().any(|choice| choice == value))
            && match self.kind {
                Type::Text => true,
                Type::Integer => number().is_some_and(is_in),
                Type::Boolean => matches!(value, "true" | "false"),
            };
        (!is_fit).then(|| self.values())
    }

    /// What is wrong with its declaration.
    fn problem(&self) -> Option<String> {
        let name_problem = match self.place {
            Place::Environment => environment_problem(&self.name),
            Place::File => file_problem(&self.name),
        };
        if name_problem.is_some() {
            return name_problem;
        }
        if self.description.len() > limits::REASON || !is_printable(&self.description, &[]) {
            return Some(format!("a description is one line of at most {} bytes", limits::REASON));
        }
        if self.kind != Type::Integer && (self.min.is_some() || self.max.is_some()) {
            return Some("min and max are for integers".into());
        }
        if self.place == Place::File && (self.kind != Type::Text || !self.choices.is_empty()) {
            return Some("a file has text, without choices".into());
        }
        if self.kind != Type::Text && !self.choices.is_empty() {
            return Some("choices are for text".into());
        }
        if self.default.is_some() && (self.required || self.secret) {
            return Some("what is required or secret has no default: everybody could read it".into());
        }
        if let Some(choice) = self.choices.iter().find(|choice| !is_printable(choice, &[])) {
            return Some(format!("choice \"{}\" is not printable", choice.escape_debug()));
        }
        let expected = self.default.as_ref().and_then(|default| self.expected(default));
        expected.map(|expected| format!("the default has to be {expected}"))
    }
}

fn environment_problem(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = !name.is_empty()
        && name.len() <= limits::NAME
        && name.chars().all(fits)
        && !name.starts_with(|c: char| c.is_ascii_digit());
    (!is_name)
        .then(|| format!("a variable is 1 to {} of A-Z a-z 0-9 _, without a digit in front", limits::NAME))
}

fn file_problem(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= limits::NAME
        && name.chars().all(fits)
        && ![ENVIRONMENT, VALUES].contains(&name);
    (!is_name).then(|| {
        format!(
            "a file's name is 1 to {} of A-Z a-z 0-9 . _ -, and not {ENVIRONMENT} or {VALUES}",
            limits::NAME
        )
    })
}
