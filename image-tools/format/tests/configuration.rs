//! What a release declares that can be set, and which values it takes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod common;

use bistable_format::{
    Release,
    configuration::{Declaration, ENVIRONMENT, FILE, SETTINGS, VARIABLE, ValueError, Values},
};
use common::{directory_release, release};
use proptest::prelude::*;

const GOOD: &str = r#"
[environment.LISTEN]
default = "127.0.0.1:8080"
description = "Address of the web server"
[environment.WORKERS]
type = "integer"
min = 1
max = 16
default = "4"
[environment.DEBUG]
type = "boolean"
[environment.MODE]
choices = ["quiet", "loud"]
[environment.API_TOKEN]
required = true
secret = true
[file."core.toml"]
default = "retries = 3\n"
"#;

fn values(list: &[(&str, &str)]) -> Values {
    list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

#[test]
fn a_declaration_is_rendered_as_systemd_reads_it() {
    let declaration = Declaration::parse(GOOD).unwrap();
    let set = values(&[("API_TOKEN", "a b\"c\\d$e`f'g"), ("DEBUG", "true"), ("core.toml", "x = 1")]);
    declaration.check(&set).unwrap();
    let files = declaration.render(&set);
    let found: Vec<_> =
        files.iter().map(|file| (file.name.as_str(), file.text.as_str(), file.secret)).collect();
    let environment =
        "API_TOKEN=\"a b\\\"c\\\\d\\$e\\`f'g\"\nDEBUG=\"true\"\nLISTEN=\"127.0.0.1:8080\"\nWORKERS=\"4\"\n";
    assert_eq!(found, [("core.toml", "x = 1", false), (ENVIRONMENT, environment, true)]);
}

#[test]
fn each_value_is_checked_and_none_is_repeated() {
    let declaration = Declaration::parse(GOOD).unwrap();
    let long = "x".repeat(VARIABLE + 1);
    let file = "x".repeat(FILE + 1);
    for (name, value) in [
        ("WORKERS", "0"),
        ("WORKERS", "17"),
        ("WORKERS", "04"),
        ("WORKERS", "+4"),
        ("WORKERS", ""),
        ("DEBUG", "yes"),
        ("MODE", "silent"),
        ("LISTEN", "a\nB=c"),
        ("LISTEN", "\u{1b}[2J"),
        ("LISTEN", &long),
        ("core.toml", "\0"),
        ("core.toml", &file),
    ] {
        let mut set = values(&[("API_TOKEN", "hush")]);
        set.insert(name.into(), value.into());
        let problems = declaration.check(&set).unwrap_err();
        assert!(
            matches!(problems.as_slice(), [ValueError::Unfit { name: found, .. }] if found == name),
            "{name}"
        );
        assert!(!problems[0].to_string().contains("silent"), "{}", problems[0]);
    }
    let problems = declaration.check(&values(&[("OTHER", "x")])).unwrap_err();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "OTHER is not a setting of this version, which has API_TOKEN, DEBUG, LISTEN, MODE, WORKERS, core.toml",
            "API_TOKEN has no value, and the version needs one"
        ]
    );
}

#[test]
fn a_hostile_declaration_is_refused_with_its_reason() {
    let many: String = (0..=SETTINGS).map(|n| format!("[environment.A{n}]\n")).collect();
    let long = format!("[environment.{}]", "A".repeat(65));
    for (text, why) in [
        ("", "0 settings: 1 to 64 are possible"),
        (&many, "65 settings: 1 to 64 are possible"),
        ("[environment.A]\nx = 1", "line 2: unknown field `x`"),
        ("[other.A]", "line 1: unknown field `other`"),
        ("[environment.A]\ntype = \"float\"", "line 2: unknown variant `float`"),
        ("[environment.1A]", "without a digit in front"),
        ("[environment.\"A=B\"]", "\"A=B\": a variable is"),
        ("[environment.\"A\\nB\"]", "\"A\\nB\": a variable is"),
        (&long, "a variable is 1 to 64 of"),
        ("[file.\"../x\"]", "a file's name is"),
        ("[file.\".x\"]", "a file's name is"),
        ("[file.\"a/b\"]", "a file's name is"),
        ("[file.environment]", "and not environment or values"),
        ("[file.values]", "and not environment or values"),
        ("[environment.A]\n[file.A]", "A is there twice"),
        ("[environment.A]\nrequired = true\ndefault = \"x\"", "has no default"),
        ("[environment.A]\nsecret = true\ndefault = \"x\"", "has no default"),
        ("[environment.A]\nmin = 1", "min and max are for integers"),
        ("[environment.A]\ntype = \"boolean\"\nchoices = [\"true\"]", "choices are for text"),
        ("[environment.A]\ntype = \"integer\"\ndefault = \"x\"", "the default has to be a whole number"),
        ("[environment.A]\nchoices = [\"a\"]\ndefault = \"b\"", "the default has to be one of a"),
        ("[environment.A]\ndefault = \"a\\nb\"", "the default has to be one line"),
        ("[environment.A]\nchoices = [\"\\u001b\"]", "is not printable"),
        ("[environment.A]\ndescription = \"a\\nb\"", "a description is one line"),
        ("[file.x]\ntype = \"integer\"", "a file has text"),
    ] {
        let found = Declaration::parse(text).unwrap_err().to_string();
        assert!(found.contains(why) && !found.contains('\u{1b}'), "{text}: {found}");
    }
}

#[test]
fn a_release_carries_its_declaration_and_only_that_of_a_directory_may_have_one() {
    let mut core = directory_release();
    assert_eq!((core.configuration_text(), core.configuration()), ("", Ok(None)));
    core.set_configuration(GOOD);
    let read = Release::decode(&core.encode().unwrap()).unwrap();
    assert_eq!(read.configuration_text(), GOOD);
    assert_eq!(read.configuration().unwrap().unwrap().settings.len(), 6);
    core.set_configuration("[environment.1]");
    assert!(core.encode().unwrap_err().to_string().contains("a variable is"));
    let mut image = release();
    image.set_configuration(GOOD);
    let why = image.encode().unwrap_err().to_string();
    assert!(why.ends_with("only an application directory has one"), "{why}");
}

proptest! {
    #[test]
    fn any_text_is_a_declaration_or_refused_and_every_accepted_value_stays_on_its_line(
        text in "\\PC{0,60}", value in any::<String>(),
    ) {
        let _ = Declaration::parse(&text);
        let declaration = Declaration::parse("[environment.A]").unwrap();
        let set = values(&[("A", &value)]);
        if declaration.check(&set).is_ok() {
            let files = declaration.render(&set);
            prop_assert_eq!(files[0].text.lines().count(), 1);
        }
    }
}
