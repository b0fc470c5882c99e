//! The pages: every command runs, every link resolves, and tables of verbs are those of the programs.
//!
//! Blocks marked `sh` of a page run in order, in one shell, in the folder of the README's quick start. Blocks that need
//! root, a card, a network or much time are marked `text`, or `console` with the reason in a comment before the block.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "files of a test, and pages that git keeps")]

#[path = "pages/company.rs"]
mod company;

use clap::{Command, CommandFactory};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
};

/// The project's own folder.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A page of the project.
struct Page {
    path: PathBuf,
    text: String,
}

/// What lies between a heading and the next one.
struct Section {
    heading: String,
    blocks: Vec<Block>,
}

/// A fenced block.
struct Block {
    line: usize,
    language: String,
    /// The line before it.
    before: String,
    text: String,
}

/// Folders that hold no pages of the project.
fn is_foreign(name: &str) -> bool {
    matches!(name, "target" | "corpus" | "artifacts" | "proptest-regressions")
        || (name.starts_with('.') && name != ".github")
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap_or_default());
        if entry.file_type().unwrap().is_dir() {
            if !is_foreign(&name) {
                find(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// All pages, by path from the top.
fn pages() -> Vec<Page> {
    let top = workspace();
    let mut found = Vec::new();
    find(&top, &mut found);
    found.sort();
    assert!(found.len() > 15, "{found:?}");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        Page { path: path.strip_prefix(&top).unwrap().to_owned(), text }
    };
    found.into_iter().map(read).collect()
}

impl Page {
    fn named(path: &str) -> Page {
        let text = fs::read_to_string(workspace().join(path)).unwrap();
        Page { path: path.into(), text }
    }

    fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open, mut before) = (Vec::new(), None::<Block>, String::new());
        for (at, line) in self.text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(language)) => {
                    open = Some(Block {
                        line: at + 1,
                        language: language.to_owned(),
                        before: before.clone(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
            before = line.to_owned();
        }
        assert!(open.is_none(), "{}: a block has no end", self.path.display());
        blocks
    }

    /// Everything outside of blocks.
    fn prose(&self) -> String {
        let mut inside = false;
        let outside = |line: &&str| {
            let fence = line.starts_with("```");
            inside ^= fence;
            !fence && !inside
        };
        self.text.lines().filter(outside).fold(String::new(), |text, line| text + line + "\n")
    }

    fn script(&self) -> String {
        script(&self.blocks())
    }

    /// Its blocks by the heading that they are below, in order.
    fn sections(&self) -> Vec<Section> {
        let (mut sections, mut inside) = (Vec::<Section>::new(), false);
        let mut blocks = self.blocks().into_iter().peekable();
        for (at, line) in self.text.lines().enumerate() {
            inside ^= line.starts_with("```");
            if !inside && line.starts_with('#') {
                let heading = line.trim_start_matches('#').trim().to_owned();
                sections.push(Section { heading, blocks: Vec::new() });
            }
            if let Some(block) = blocks.next_if(|block| block.line == at + 1) {
                sections.last_mut().expect("a page begins with a heading").blocks.push(block);
            }
        }
        sections
    }

    /// Where links can lead to in it: headings as GitHub names them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose();
        let headings = headings.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| slug(line.trim_start_matches('#').trim())).collect()
    }
}

impl Section {
    fn script(&self) -> String {
        script(&self.blocks)
    }
}

/// What blocks marked `sh` say, without lines that build programs: the test has them.
fn script(blocks: &[Block]) -> String {
    let mut script = String::new();
    for line in blocks.iter().filter(|block| block.language == "sh").flat_map(|block| block.text.lines()) {
        if !line.starts_with("cargo ") {
            script.push_str(line);
            script.push('\n');
        }
    }
    script
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Targets of the links in a text.
fn links(prose: &str) -> Vec<String> {
    let starts = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
    starts.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

#[test]
fn every_relative_link_resolves() {
    let (mut broken, mut count) = (Vec::new(), 0);
    for page in pages() {
        for link in links(&page.prose()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let from = workspace().join(&page.path);
            let to = if file.is_empty() { from } else { from.parent().unwrap().join(file) };
            let is_there = to.exists()
                && (anchor.is_empty()
                    || (Page { path: to.clone(), text: fs::read_to_string(&to).unwrap() })
                        .anchors()
                        .contains(anchor));
            if !is_there {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    assert!(count > 50, "only {count} links were found");
}

#[test]
fn every_block_says_what_it_is() {
    for page in pages() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.path.display(), block.line);
            match block.language.as_str() {
                "sh" | "text" | "yaml" | "rust" | "js" => {}
                "toml" => assert!(toml::from_str::<toml::Table>(&block.text).is_ok(), "{place}: not TOML"),
                "console" => assert!(
                    block.before.starts_with("<!-- not run: "),
                    "{place}: a comment `<!-- not run: reason -->` must come before a block that is not run"
                ),
                other => {
                    panic!("{place}: mark the block as sh, text, console, toml, yaml or rust, not {other:?}")
                }
            }
        }
    }
}

/// Run a script after the README's quick start, with the programs of this build.
fn run(name: &str, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["bin", "home"] {
        fs::create_dir(at(name)).unwrap();
    }
    // The rigs' program is each of the two when it is called by that name.
    for name in ["bistable", "bistable-image"] {
        symlink(env!("CARGO_BIN_EXE_bistable-hil"), at("bin").join(name)).unwrap();
    }
    // The quick start works in `target/try` of the project, and the example is a part of that.
    symlink(workspace().join("hil"), at("hil")).unwrap();
    fs::write(at("script"), script).unwrap();
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let out = process::Command::new("bash")
        .args(["-eux", "-o", "pipefail", "script"])
        .env_clear()
        .env("PATH", path)
        .env("HOME", at("home"))
        .current_dir(folder.path())
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&out.stderr);
    let last: Vec<_> = said.lines().rev().take(40).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(out.status.success(), "{name}: a command ended with {}:\n{last}", out.status);
}

#[test]
fn commands_of_every_page_run() {
    let quick_start = Page::named("README.md").script();
    assert!(quick_start.lines().count() > 12, "{quick_start}");
    run("README.md", &quick_start);
    // The others begin with it; releasing is a test of its own.
    let is_here = |page: &Page| !["README.md", company::PAGE].iter().any(|path| page.path == Path::new(path));
    let others = pages().into_iter().filter(is_here);
    let scripts = others.map(|page| (page.path.display().to_string(), page.script()));
    let scripts: Vec<_> = scripts.filter(|(_, script)| !script.is_empty()).collect();
    assert!(scripts.len() >= 5, "{scripts:?}");
    std::thread::scope(|scope| {
        for (name, script) in &scripts {
            let script = format!("{quick_start}\n{script}");
            scope.spawn(move || run(name, &script));
        }
    });
}

#[test]
fn readme_is_short_and_begins_with_the_demo() {
    let page = Page::named("README.md");
    let words = page.prose().split_whitespace().count();
    assert!(
        words <= 900,
        "README.md has {words} words outside of blocks; the rest belongs into the pages of docs/"
    );
    let first = page.blocks().into_iter().find(|block| block.language == "sh");
    assert_eq!(first.map(|block| block.text), Some("cargo demo\n".to_owned()));
}

/// A table of the verbs of a program, in the order of its help.
fn verbs(mut program: Command) -> String {
    program.build();
    let mut text = "| verb | does |\n|---|---|".to_owned();
    rows(&program, "", &mut text);
    text
}

fn rows(command: &Command, name: &str, text: &mut String) {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()) {
        let name = format!("{name}{}", verb.get_name());
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let inner = verb.get_subcommands().any(|inner| inner.get_name() != "help");
        if !inner || verb.get_arguments().any(clap::Arg::is_positional) || !verb.is_subcommand_required_set()
        {
            write!(text, "\n| `{name}` | {} |", about.trim_end_matches('.')).unwrap();
        }
        rows(verb, &format!("{name} "), text);
    }
}

#[test]
fn pages_have_the_verbs_of_both_programs() {
    let programs = [
        ("src/docs/cli.md", "bistable", verbs(bistable::cli::Cli::command())),
        ("image-tools/docs/repository.md", "bistable-image", verbs(bistable_image::cli::Cli::command())),
    ];
    for (path, program, table) in programs {
        assert!(table.lines().count() > 15, "{table}");
        let page = Page::named(path);
        let begin = format!(
            "<!-- verbs of {program}: `BLESS=1 cargo test -p bistable-hil --test pages` writes them -->\n"
        );
        let (head, rest) = page.text.split_once(&begin).expect("the table's first marker");
        let (old, tail) = rest.split_once("<!-- end -->").expect("the table's last marker");
        let new = format!("{table}\n");
        if std::env::var_os("BLESS").is_some() {
            fs::write(workspace().join(path), [head, &begin, &new, "<!-- end -->", tail].concat()).unwrap();
        } else {
            assert!(old == new, "{path} lacks verbs of {program}; see the marker for how to renew the table");
        }
    }
}

/// What lies between a marker and the next blank line behind it.
fn part<'a>(page: &'a Page, marker: &str) -> &'a str {
    let (_, rest) = page.text.split_once(&format!("<!-- {marker} -->\n")).expect(marker);
    rest.split("\n\n").next().unwrap()
}

/// Folders with source files that the map must name: crates, and rooms of crates.
fn rooms() -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for parent in
        ["boot", "image-tools", "image-tools/src", "src", "tests", "hil", "hil/src", "tests/proof/src"]
    {
        rooms.insert(parent.to_owned());
        for entry in fs::read_dir(workspace().join(parent)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() && !is_foreign(&name) {
                rooms.insert(format!("{parent}/{name}"));
            }
        }
    }
    // Of a crate, its own line stands for its sources and tests.
    for whole in [
        "boot/src",
        "boot/tests",
        "image-tools/src",
        "image-tools/tests",
        "hil/src",
        "hil/tests",
        "tests/proof/src",
    ] {
        assert!(rooms.remove(whole), "{whole}");
    }
    // The project's own folder of tests has a line for each kind.
    rooms.remove("tests");
    rooms
}

#[test]
fn code_map_names_every_folder_and_no_other() {
    let page = Page::named("src/docs/ARCHITECTURE.md");
    assert!(page.text.lines().count() <= 250);
    let map = part(&page, "code map").lines().filter(|line| !line.starts_with("```"));
    let named: BTreeSet<_> = map.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(named, rooms(), "left: the map in {}, right: the tree", page.path.display());
}

#[test]
fn tests_and_mutants_that_hold_an_invariant_exist() {
    let page = Page::named("src/docs/ARCHITECTURE.md");
    let table = part(&page, "invariants");
    let mutants = fs::read_to_string(workspace().join("tests/proof/src/prove/mutant.rs")).unwrap();
    for number in 1..=19 {
        let begin = format!("| I{number} |");
        let row = table.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no {begin}"));
        let names: Vec<_> = row.split('`').skip(1).step_by(2).collect();
        let mut tests = 0;
        for name in names {
            if let Some((file, test)) = name.split_once("::") {
                let text =
                    fs::read_to_string(workspace().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
                assert!(text.contains(&format!("fn {test}(")), "{name} does not exist");
                tests += 1;
            } else if name.starts_with(char::is_uppercase) {
                assert!(mutants.contains(&format!("Mutant::{name},")), "there is no mutant {name}");
            }
        }
        assert!(tests > 0 || row.contains("no test yet"), "{row}");
    }
}

#[test]
fn recipes_are_short_and_name_files_that_exist() {
    let recipes = fs::read_to_string(workspace().join("src/docs/recipes.md")).unwrap();
    let sections: Vec<_> = recipes.split("\n## ").skip(1).collect();
    assert!(sections.len() >= 8, "{} recipes", sections.len());
    for section in sections {
        let title = section.lines().next().unwrap_or_default();
        let steps = section.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
        assert!((1..=8).contains(&steps), "{title}: {steps} steps");
        let quoted = section.split('`').skip(1).step_by(2);
        let of_the_tree = |path: &&str| {
            ["boot/", "hil/", "image-tools/", "src/", "tests/"].iter().any(|top| path.starts_with(top))
                && !path.contains("NAME")
        };
        for path in quoted.filter(of_the_tree) {
            assert!(workspace().join(path).exists(), "{title}: {path} does not exist");
        }
    }
}

#[test]
fn changelog_says_a_release_in_twenty_lines() {
    let changes = fs::read_to_string(workspace().join("CHANGELOG.md")).unwrap();
    for release in changes.split("\n## ").skip(1) {
        assert!(release.lines().count() <= 20, "{}", release.lines().next().unwrap_or_default());
    }
}

#[test]
fn each_row_of_the_degradation_table_names_a_test_that_exists() {
    let page = Page::named("src/docs/daemon.md");
    let rows: Vec<_> = part(&page, "degradation").lines().skip(2).collect();
    for what in [
        "a clock",
        "network",
        "DNS",
        "`persistent`",
        "a container engine",
        "GPIO",
        "FleetLock",
        "the daemon",
        "events",
    ] {
        assert!(rows.iter().any(|row| row.starts_with(&format!("| {what} |"))), "no row for {what}");
    }
    for row in rows {
        let held_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap().trim_matches('`');
        let (file, test) = held_by.split_once("::").unwrap_or_else(|| panic!("{row}"));
        let text = fs::read_to_string(workspace().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(text.contains(&format!("fn {test}(")), "{held_by} does not exist");
    }
}

#[test]
fn a_command_that_fails_is_reported() {
    let failed = std::panic::catch_unwind(|| run("page", "true\nfalse\n"));
    assert!(failed.is_err());
    run("page", "test \"$(bistable --version)\" != \"$(bistable-image --version)\"\n");
}
