//! What holds for all fragments.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A line that sets a key: its table, itself, values of which all are allowed.
const LINES: [(&str, &str, &[&str]); 16] = [
    ("", "allow_demo_keys", &["true", "false"]),
    ("install", "flush_bytes", &["16777216", "0x1000001", "67_108_864"]),
    ("board", "name", &["'pi4'", "\"pi5\""]),
    ("component.app", "kind", &["'directory'", "'containers'"]),
    ("component.app", "path", &["'/opt/a'", "'/opt/b/'"]),
    ("component.app", "start_wait", &["'0s'", "'5m'"]),
    ("component.app.backup", "keep", &["1", "100"]),
    ("component.modem", "installed", &["'1.0.0'", "'2.0.0'"]),
    ("component.\"a.b\"", "installed", &["'3.0.0'", "'4.0.0'"]),
    ("component.\"a.b\".backup", "path", &["'/x'", "'/y'"]),
    ("source", "urls", &["[]", "['/a']", "[\n  '/a', # one\n  'http://b',\n]"]),
    ("source.limits", "retry_wait", &["'1s'", "'1m1s'"]),
    ("update", "group", &["'a'", "'b'"]),
    ("update", "windows", &["[]", "['Sat-Mon 22:00-24:00', '02:00-03:00']"]),
    ("update", "check_interval", &["'5m'", "'30d'"]),
    ("update", "fleet_lock", &["'http://x'", "'https://y/z'"]),
];

/// Some of [`LINES`]: for each that is there, which value.
type Lines = [Option<prop::sample::Index>; LINES.len()];

fn text(lines: &Lines, gaps: &[u8]) -> String {
    let mut text = String::new();
    let mut table = "";
    let mut gaps = gaps.iter().cycle();
    for ((of, key, values), chosen) in LINES.iter().zip(lines) {
        let Some(chosen) = chosen else { continue };
        if *of != table {
            table = of;
            text += &format!("[{table}]\n");
        }
        text += &"\n# nothing\n".repeat(usize::from(gaps.next().unwrap() % 3));
        text += &format!("{key} = {}\n", chosen.get(values));
    }
    text
}

fn fragment(name: &str, text: &str) -> Fragment {
    let mut problems = Vec::new();
    let fragment = Fragment::read(Path::new(name), text, &mut problems);
    assert_eq!(problems, [], "{text}");
    fragment
}

fn texts() -> impl Strategy<Value = String> {
    (any::<Lines>(), proptest::collection::vec(any::<u8>(), 1..9)).prop_map(|(l, g)| text(&l, &g))
}

fn joined(mut weak: Fragment, strong: &Fragment) -> Fragment {
    weak.merge(strong.clone());
    weak
}

proptest! {
    #[test]
    fn merging_is_associative(texts in [texts(), texts(), texts()]) {
        let [a, b, c] = [("a", 0), ("b", 1), ("c", 2)].map(|(name, i)| fragment(name, &texts[i]));
        let left = joined(joined(a.clone(), &b), &c);
        let right = joined(a.clone(), &joined(b, &c));
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(joined(Fragment::default(), &a), joined(a.clone(), &Fragment::default()));
    }

    #[test]
    fn the_last_wins_key_by_key(all in proptest::collection::vec(any::<Lines>(), 1..5)) {
        let mut merged = Fragment::default();
        let mut wanted = BTreeMap::new();
        for (i, lines) in all.iter().enumerate() {
            let file = format!("{i}");
            merged.merge(fragment(&file, &text(lines, &[0])));
            for ((table, key, values), chosen) in LINES.iter().zip(lines) {
                if let Some(chosen) = chosen {
                    let dot = if table.is_empty() { "" } else { "." };
                    let name = format!("{table}{dot}{}", key);
                    wanted.insert(name, (file.clone(), format!("{table}{dot}{key} = {}", chosen.get(values))));
                }
            }
        }
        // As if there were only the lines that count.
        let only: String = wanted.values().map(|(_, line)| format!("{line}\n")).collect();
        prop_assert_eq!(merged.inputs(), fragment("only", &only).inputs());
        let files: Vec<_> = merged.iter().map(|(n, sets)| (n, sets.last().unwrap().file.to_str().unwrap())).collect();
        prop_assert_eq!(files, wanted.iter().map(|(n, (file, _))| (n.as_str(), file.as_str())).collect::<Vec<_>>());
    }

    #[test]
    fn an_origin_is_a_line_with_its_key(text in texts()) {
        for (name, sets) in fragment("a", &text).iter() {
            let [set] = sets else { panic!("{name} was set once") };
            let line = text.lines().nth(set.line.unwrap() - 1).unwrap();
            let key = line.split(" = ").next().unwrap();
            let ends = name == key || name.ends_with(&format!(".{key}"));
            prop_assert!(ends, "{}: {}", name, line);
        }
    }

    #[test]
    fn whatever_is_written_is_read_or_refused(
        text in "\\PC*|([\\[\\]\"'={}.,#\\n a-z0-9_-]|allow_demo_keys|install|flush_bytes|source|urls|limits|retry_wait|component|backup|kind|'/a'|= \\[){0,30}",
    ) {
        is_total(&text);
    }

    #[test]
    fn whatever_is_changed_in_a_good_file_is_read_or_refused(
        text in texts(),
        at: prop::sample::Index,
        other in "[\\[\\]\"'={}.,#\\n \\\\é0]{0,3}",
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len() + 1);
        chars.splice(at..(at + 1).min(chars.len()), other.chars());
        is_total(&chars.into_iter().collect::<String>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_bytes_are_loaded_or_refused(bytes: Vec<u8>) {
        let root = tree(&[(ETC, "")]);
        fs::write(root.path().join(ETC), &bytes).unwrap();
        match read(root.path()) {
            Ok(loaded) => drop(loaded.listing().text()),
            Err(e) => prop_assert!(!e.problems.is_empty()),
        }
    }
}

/// What is read can be shown and read again; a refusal is one line of text, and its line is there.
fn is_total(text: &str) {
    let mut problems = Vec::new();
    let fragment = Fragment::read(Path::new("any"), text, &mut problems);
    assert_eq!(fragment.inputs(), joined(Fragment::default(), &fragment).inputs());
    for problem in problems {
        let line = problem.line.unwrap();
        assert!((1..=text.matches('\n').count() + 1).contains(&line), "{problem} in {text:?}");
        assert!(!problem.text.is_empty() && !problem.text.contains(char::is_control), "{problem:?}");
    }
}
