//! What the process itself brings to the configuration: settings in its environment, and the credentials that systemd gave it.
//!
//! **Names.** The variable of a key is `BISTABLE_` and the key in capitals, with two underscores for each dot: `update.check_interval` is
//! `BISTABLE_UPDATE__CHECK_INTERVAL`, and `webhook.ops.url` is `BISTABLE_WEBHOOK__OPS__URL`. An owner's name comes out in small letters;
//! one with a dot or a dash has no variable.
//!
//! **Values** are written as in a file; the quotes of a text may be left out.
//!
//! Only the environment of this process counts. Nothing of it is ever sent over a socket.
use super::{
    Problem,
    fragment::{Fragment, Set},
    key::Inputs,
    keys,
    keys::KEYS,
    kind::Wrong,
    name,
};
use serde_json::Value;
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};
use toml::de::DeValue;

/// Where systemd puts the credentials of a service: systemd.exec(5).
pub(super) const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// How the names of all variables begin.
const PREFIX: &str = "BISTABLE_";
/// What stands for a dot.
const DOT: &str = "__";

/// What a process brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    /// Variables with their values.
    variables: Vec<(OsString, OsString)>,
    /// The folder of its credentials.
    pub(super) credentials: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub(super) fn of_process() -> Environment {
        let credentials = env::var_os(CREDENTIALS).map(PathBuf::from).filter(|path| path.is_absolute());
        Environment { variables: env::vars_os().collect(), credentials }
    }

    /// What variables set. Whatever is wrong is a problem.
    pub(super) fn read(&self, problems: &mut Vec<Problem>) -> Fragment {
        let mut found = Fragment::default();
        let mut variables: Vec<_> =
            self.variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value))).collect();
        variables.sort_unstable();
        for (variable, value) in variables {
            let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
            let place = place(variable);
            let mut problem = |text: String| problems.push(Problem::new(&place, None, &text));
            let key = key(rest);
            let Some(known) = keys::find(&key) else {
                // The program has variables of its own, and others may have some that begin so.
                if rest.contains(DOT) {
                    problem(format!("there is no setting {key}"));
                } else if let Some(meant) =
                    KEYS.iter().find(|meant| variable == variable_of(meant.name()).replace(DOT, "_"))
                {
                    problem(format!(
                        "is not read: the variable of {} is {}",
                        meant.name(),
                        variable_of(meant.name())
                    ));
                }
                continue;
            };
            if let Some(why) = super::fragment::owners_name_in(&key) {
                problem(why);
                continue;
            }
            let Some(text) = value.to_str() else {
                problem(format!("{key} is {}, not text in another encoding than UTF-8", known.allowed()));
                continue;
            };
            let forms = [toml(text), Some(Value::from(text))];
            let taken = forms
                .into_iter()
                .flatten()
                .find(|value| known.read(&key, value, &mut Inputs::default()).is_ok());
            match taken {
                Some(value) => found.set(&key, Set { value, file: place, line: None }),
                None => {
                    let wrongs =
                        known.read(&key, &toml(text).unwrap_or_else(|| text.into()), &mut Inputs::default());
                    let why: Vec<String> =
                        wrongs.err().into_iter().flatten().map(|Wrong { why, .. }| why).collect();
                    let why = why.into_iter().find(|why| !why.is_empty());
                    let colon = why.map_or_else(String::new, |why| format!(": {why}"));
                    let shown = crate::text::shorten(text.lines().next().unwrap_or_default(), 40);
                    problem(format!("{key} is {}, not {shown}{colon}", known.allowed()));
                }
            }
        }
        found
    }
}

/// The variable of a key; `None` if the owner's name in it has none.
#[cfg(test)]
fn variable(key: &str) -> Option<String> {
    let variable = variable_of(key);
    let is_one = variable.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    (is_one && self::key(variable.strip_prefix(PREFIX)?) == key).then_some(variable)
}

fn variable_of(key: &str) -> String {
    let parts: Vec<String> = name::parts(key).map(str::to_ascii_uppercase).collect();
    format!("{PREFIX}{}", parts.join(DOT))
}

/// The key of a variable without its prefix.
fn key(rest: &str) -> String {
    rest.split(DOT).fold(String::new(), |table, part| name::join(&table, &part.to_ascii_lowercase()))
}

/// A variable as the place where something is set.
fn place(variable: &str) -> PathBuf {
    format!("${variable}").into()
}

/// Whether a place is this process's own: another process may have another environment and other credentials.
pub(super) fn is_of_process(place: &Path) -> bool {
    is_variable(place)
        || Environment::of_process().credentials.is_some_and(|folder| place.starts_with(folder))
}

/// Whether a place is a variable.
pub(super) fn is_variable(place: &Path) -> bool {
    place.as_os_str().as_encoded_bytes().starts_with(b"$")
}

/// A value as it stands in a file; `None` if it could not stand there.
fn toml(text: &str) -> Option<Value> {
    DeValue::parse(text).ok().map(|value| super::fragment::value(value.get_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Environment { variables, credentials: None }
    }

    fn read(variables: &[(&str, &str)]) -> (Vec<(String, Value)>, Vec<String>) {
        let mut problems = Vec::new();
        let found = environment(variables).read(&mut problems);
        let found = found.iter().map(|(name, sets)| (name.to_owned(), sets[0].value.clone())).collect();
        (found, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_key_has_one_variable() {
        for key in KEYS {
            let name = key.name().replace(name::OWNERS, "ops");
            let variable = variable(&name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(self::key(variable.strip_prefix(PREFIX).unwrap()), name);
            assert!(
                variable.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
                "{variable}"
            );
        }
        assert_eq!(variable("update.check_interval").as_deref(), Some("BISTABLE_UPDATE__CHECK_INTERVAL"));
        assert_eq!(variable("component.\"a.b\".kind"), None);
    }

    #[test]
    fn values_are_those_of_files_and_texts_need_no_quotes() {
        let (found, problems) = read(&[
            ("BISTABLE_UPDATE__MODE", "auto"),
            ("BISTABLE_UPDATE__CHECK_INTERVAL", "'6h'"),
            ("BISTABLE_UPDATE__ID", "123"),
            ("BISTABLE_UPDATE__DELTAS_ONLY", "true"),
            ("BISTABLE_UPDATE__MAX_DOWNLOAD", "0x100"),
            ("BISTABLE_UPDATE__WINDOWS", "[\"Mon 02:00-05:00\"]"),
            ("BISTABLE_WEBHOOK__OPS__URL", "https://ops.example/x"),
            ("BISTABLE_ALLOW_DEMO_KEYS", "false"),
            ("BISTABLE_CARD", "card.img"),
            ("BISTABLE_RUN", "1"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(problems, [""; 0]);
        let expected: [(&str, Value); 8] = [
            ("allow_demo_keys", false.into()),
            ("update.check_interval", "6h".into()),
            ("update.deltas_only", true.into()),
            ("update.id", "123".into()),
            ("update.max_download", 256.into()),
            ("update.mode", "auto".into()),
            ("update.windows", vec!["Mon 02:00-05:00"].into()),
            ("webhook.ops.url", "https://ops.example/x".into()),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn what_is_wrong_names_the_variable() {
        for (variable, value, problem) in [
            (
                "BISTABLE_UPDATE__MODE",
                "never",
                "$BISTABLE_UPDATE__MODE: update.mode is \"check\", \"stage\", \"reboot\" or \"auto\", not never",
            ),
            ("BISTABLE_UPDATE__MOD", "auto", "$BISTABLE_UPDATE__MOD: there is no setting update.mod"),
            (
                "BISTABLE_UPDATE_MODE",
                "auto",
                "$BISTABLE_UPDATE_MODE: is not read: the variable of update.mode is BISTABLE_UPDATE__MODE",
            ),
            (
                "BISTABLE_UPDATE__DELTAS_ONLY",
                "1\nx = 2",
                "$BISTABLE_UPDATE__DELTAS_ONLY: update.deltas_only is true or false, not 1",
            ),
            ("BISTABLE_", "x", ""),
            ("BISTABLE___", "x", "$BISTABLE___: there is no setting \"\".\"\""),
        ] {
            let (found, problems) = read(&[(variable, value)]);
            assert!(found.is_empty(), "{variable}");
            assert_eq!(problems.join("\n"), problem);
        }
    }

    proptest! {
        #[test]
        fn nothing_in_an_environment_panics(rest in "[A-Z_]{0,20}|\\PC{0,8}", value in "\\PC{0,12}") {
            let _ = read(&[(&format!("{PREFIX}{rest}"), &value)]);
        }
    }
}
