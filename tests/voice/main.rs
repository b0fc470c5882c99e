//! Messages, pages and comments speak plain English. What can be held mechanically is a table of phrases that must not occur in the
//! message strings of the programs, in their help, and in the project's pages; what may stand all the same is listed beside it. Of
//! the phrases, those with one meaning must not occur in comments and names of functions either.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a panic is a failure, files are the sources"
)]
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Phrases that are no plain English, with what to write.
const PHRASES: &[(&str, &str)] = &[
    ("anew", "again"),
    ("at fault", "caused by"),
    ("behaviour", "behavior"),
    ("catalogue", "catalog"),
    ("colour", "color"),
    ("fine", "valid, supported, ready"),
    ("for ever", "forever, permanently"),
    ("for people", "human-readable"),
    ("go on", "continue"),
    ("goes on", "continues"),
    ("going on", "continuing"),
    ("is no", "is not a"),
    ("is said", "is reported"),
    ("is told", "gets, receives"),
    ("look whether", "check whether"),
    ("looks whether", "checks whether"),
    ("mended", "repaired"),
    ("mends", "repairs"),
    ("neighbour", "neighbor"),
    ("nobody", "no process, no user, unreferenced"),
    ("nobody's", "orphaned, unreferenced"),
    ("so many", "this many, N"),
    ("somebody", "another process, a user"),
    ("somebody's", "another's"),
    ("was said", "was reported"),
    ("was told", "was given"),
    ("were told", "were given"),
];

/// Those that are wrong in comments, too: the others have a plain meaning there.
const IN_COMMENTS: &[&str] = &[
    "anew",
    "behaviour",
    "catalogue",
    "colour",
    "for ever",
    "go on",
    "goes on",
    "going on",
    "look whether",
    "looks whether",
    "neighbour",
    "nobody",
    "nobody's",
    "so many",
    "somebody",
    "somebody's",
];

/// Where a phrase is right: the file, and words around it.
const RIGHT: &[(&str, &str)] = &[];

/// Sources whose strings and help a user reads.
const SOURCES: [&str; 5] =
    ["src", "boot/src", "image-tools/src", "image-tools/format/src", "image-tools/package/src"];

/// What is not read: other people's words, and what builds leave.
const SKIPPED: [&str; 3] = ["target", ".git", "seeds"];

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() && !SKIPPED.contains(&name.as_str()) {
            files(&entry, ending, found);
        } else if name.ends_with(ending) {
            found.push(entry);
        }
    }
}

/// The phrases in a text, with the words around each.
fn phrases(text: &str) -> Vec<(&'static str, &'static str, String)> {
    let lower = text.to_lowercase();
    // "An Idle is_no": only whole words count.
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut found = Vec::new();
    for (phrase, better) in PHRASES {
        for (at, _) in lower.match_indices(phrase) {
            let (before, after) = (&lower[..at], &lower[at + phrase.len()..]);
            let whole = !before.ends_with(part) && !after.starts_with(part) && !after.starts_with('\'');
            // "There is no card" and "is no longer" are plain.
            let plain = *phrase == "is no" && (before.ends_with("there ") || after.starts_with(" longer"));
            if whole && !plain {
                let from = lower.char_indices().rev().map(|(i, _)| i).find(|i| i + 40 <= at).unwrap_or(0);
                let words: String = lower[from..].chars().take(40 + phrase.len() + 40).collect();
                found.push((*phrase, *better, words));
            }
        }
    }
    found
}

/// A sentence or a clause whose subject is "who …", with nobody named that it could be about: "who only looks touches no pin". A
/// question ("who may read") has one verb, such a sentence a second one.
fn headless(text: &str) -> Vec<String> {
    const VERBS: [&str; 24] = [
        "is", "are", "was", "were", "may", "can", "must", "has", "have", "had", "gets", "needs", "takes",
        "sees", "should", "will", "does", "touches", "asks", "trusts", "costs", "finds", "says", "answers",
    ];
    // After these, "who" begins a clause of its own.
    const BEFORE: [&str; 9] = ["so that", "since", "because", "by", "to", "from", "than", "and", "but"];
    const LONGEST: usize = 9;
    let mut found = Vec::new();
    for sentence in text.split(['.', ':', ';', '|', '\n', '(', ')', '"', '`', ',']) {
        let lower = sentence.trim().to_lowercase();
        let at = BEFORE
            .iter()
            .find_map(|before| lower.rsplit_once(&format!("{before} who ")).map(|(_, rest)| rest));
        let Some(rest) = lower.strip_prefix("who ").or(at) else { continue };
        // The first verb is the question's own.
        let words: Vec<&str> = rest.split_whitespace().filter(|word| *word != "else").take(LONGEST).collect();
        if words.iter().skip(2).any(|word| VERBS.contains(word)) {
            found.push(sentence.trim().into());
        }
    }
    found
}

/// What a user may read of a Rust file: string literals outside of comments and tests, and the help of a command line.
fn messages(source: &str, help: bool) -> String {
    let program = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let (mut text, mut in_string) = (String::new(), false);
    for line in program.lines() {
        let bare = line.trim_start();
        if !in_string && bare.starts_with("//") {
            if help && bare.starts_with("/// ") {
                text.push_str(&bare[4..]);
                text.push('\n');
            }
            continue;
        }
        // Why a lint is silent is for who reads the code.
        if !in_string && bare.contains("reason = \"") {
            continue;
        }
        let mut chars = bare.chars().peekable();
        let mut before = ' ';
        while let Some(c) = chars.next() {
            match c {
                // A line that ends in a backslash continues with the next one's first word.
                '\\' if in_string => {
                    if matches!(chars.next(), Some('n' | 't')) {
                        text.push(' ');
                    }
                }
                '"' if !in_string && before == '\'' => {}
                '"' => {
                    in_string = !in_string;
                    text.push('\n');
                }
                '/' if !in_string && chars.peek() == Some(&'/') => break,
                c if in_string => text.push(c),
                _ => {}
            }
            before = c;
        }
        if in_string && !text.ends_with(' ') {
            text.push(' ');
        }
    }
    text
}

/// The comments of a Rust file, each as one text.
fn comments(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines().map(str::trim_start) {
        match line.strip_prefix("//") {
            Some(words) => text += &format!("{} ", words.trim_start_matches(['/', '!']).trim()),
            None if !text.ends_with('\n') => text.push('\n'),
            None => {}
        }
    }
    text
}

/// The names of a Rust file's functions, as words.
fn names(source: &str) -> String {
    let after = source.split("fn ").skip(1);
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    after.map(|rest| name(rest).replace('_', " ") + "\n").collect()
}

/// A page's prose: what is in fences is what programs and people type.
fn prose(page: &str) -> String {
    let mut fenced = false;
    let mut text = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            text.push_str(line);
            text.push(' ');
        }
    }
    text
}

#[test]
fn messages_help_and_pages_speak_plain_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in SOURCES {
        let mut found = Vec::new();
        files(&root.join(folder), ".rs", &mut found);
        for path in found {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if name.contains("/tests") || name.contains("/contract") || name.contains("/fuzz") {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            // The documentation of what clap reads is its help.
            let help = ["#[arg(", "#[command("].iter().any(|mark| source.contains(mark));
            texts.push((name, messages(&source, help)));
        }
    }
    let mut pages = Vec::new();
    files(root, ".md", &mut pages);
    assert!(texts.len() > 300 && pages.len() > 30, "{} sources, {} pages", texts.len(), pages.len());
    for path in pages {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        texts.push((name, prose(&fs::read_to_string(&path).unwrap())));
    }
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for (name, text) in &texts {
        wrong.extend(headless(text).into_iter().map(|clause| format!("{name}: say of whom: {clause}")));
        for (phrase, better, words) in phrases(text) {
            match RIGHT.iter().position(|(file, around)| file == name && text.contains(around)) {
                Some(at) => drop(used.insert(at)),
                None => wrong.push(format!("{name}: {phrase:?} (better: {better}) in …{words}…")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let idle: Vec<_> = (0..RIGHT.len()).filter(|at| !used.contains(at)).map(|at| RIGHT[at]).collect();
    assert!(idle.is_empty(), "no longer needed: {idle:?}");
}

#[test]
fn comments_and_names_speak_plain_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(root, ".rs", &mut found);
    assert!(found.len() > 900, "{} sources", found.len());
    let mut wrong = Vec::new();
    for path in found.into_iter().filter(|path| !path.ends_with("tests/voice/main.rs")) {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let source = fs::read_to_string(&path).unwrap();
        for clause in headless(&comments(&source)) {
            wrong.push(format!("{name}: say of whom: {clause}"));
        }
        for (phrase, better, words) in phrases(&(comments(&source) + &names(&source))) {
            if IN_COMMENTS.contains(&phrase) {
                wrong.push(format!("{name}: {phrase:?} (better: {better}) in …{words}…"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn phrases_are_found_as_whole_words_in_messages_only() {
    let source = "/// Nobody reads this.\nfn f() {\n    // nor anew this\n    g(\"the trial goes on \\\n       anew\"); // fine\n    h('\"', \"finer, there is no card, is no longer\");\n}\n#[cfg(test)]\nmod tests {\n \"nobody\" }";
    let found: Vec<_> = phrases(&messages(source, false)).into_iter().map(|(phrase, ..)| phrase).collect();
    assert_eq!(found, ["anew", "goes on"]);
    assert_eq!(phrases(&messages(source, true)).len(), 3, "help counts");
    let found: Vec<_> = phrases(&comments(source)).into_iter().map(|(phrase, ..)| phrase).collect();
    assert_eq!(found, ["anew", "nobody"]);
    assert_eq!(
        phrases(&comments("// it goes\n    // on\nf();\n// for\ng();\n// ever")).len(),
        1,
        "across lines"
    );
    assert_eq!(phrases(&names("fn it_goes_on_anew() {}\npub fn anewly(x: u8)")).len(), 2);
    assert_eq!(phrases(&prose("Fine.\n```\nfine\n```\nfine-tuned")).len(), 1);
}

#[test]
fn clauses_without_a_head_are_found_and_questions_are_not() {
    for wrong in [
        "Who trusts nobody has an exit code of its own.",
        "nothing is opened, so that who only looks touches no pin",
        "On a socket: who may open it may ask.",
    ] {
        assert_eq!(headless(wrong).len(), 1, "{wrong}");
    }
    for right in [
        "Who may read.",
        "a user who may write there must not",
        "who else has it open",
        "tokens: who may use it",
    ] {
        assert_eq!(headless(right), [""; 0], "{right}");
    }
}
