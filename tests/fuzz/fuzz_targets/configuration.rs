//! Any text as a component's declaration of settings, and any values for them: what is accepted becomes files that a service manager reads
//! as the same values, and nothing else.
#![no_main]
use bistable_format::configuration::{Declaration, ENVIRONMENT, FILE, Place, SETTINGS, VALUES, Values};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // The declaration, and then `NAME=VALUE`, with zeros between them.
    let mut parts = text.split('\0');
    let Ok(declaration) = Declaration::parse(parts.next().unwrap_or_default()) else { return };
    assert!((1..=SETTINGS).contains(&declaration.settings.len()));
    let values: Values =
        parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect();
    let problems = declaration.check(&values).err().unwrap_or_default();
    assert_eq!(problems.is_empty(), declaration.check(&values).is_ok());
    if !problems.is_empty() {
        return;
    }

    let files = declaration.render(&values);
    let file = |name: &str| files.iter().find(|file| file.name == name);
    let environment = file(ENVIRONMENT).expect("there always is one");
    assert!(environment.secret);
    let mut variables = environment.text.lines().map(variable);
    for setting in &declaration.settings {
        let value = values.get(&setting.name).or(setting.default.as_ref());
        assert!(value.is_some() || !setting.required);
        match (setting.place, value) {
            (Place::Environment, Some(value)) => {
                assert_eq!(variables.next(), Some((setting.name.clone(), value.clone())));
            }
            (Place::File, Some(value)) => {
                let there = file(&setting.name).expect("a file with a value is written");
                assert_eq!((&there.text, there.secret), (value, setting.secret));
                assert!(value.len() <= FILE && !setting.name.contains('/') && !setting.name.starts_with('.'));
                assert!(![ENVIRONMENT, VALUES].contains(&setting.name.as_str()));
            }
            (_, None) => assert!(file(&setting.name).is_none()),
        }
    }
    assert_eq!(variables.next(), None);
});

/// A line as systemd reads it in an `EnvironmentFile=`: in double quotes, a backslash takes the meaning off the next character.
fn variable(line: &str) -> (String, String) {
    let (name, quoted) = line.split_once('=').expect("a line is NAME=VALUE");
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("a value is in quotes");
    let (mut value, mut chars) = (String::new(), inner.chars());
    while let Some(c) = chars.next() {
        assert!(!matches!(c, '"' | '$' | '`'), "{line}");
        value.push(if c == '\\' { chars.next().expect("an escape has a character") } else { c });
    }
    (name.into(), value)
}
