//! Manual pages of both programs: those of verbs from the command line's own description, those of file formats from the project's
//! own pages.
//!
//! | file | noun |
//! |---|---|
//! | `host` | what the pages of this program have beyond its command line |
//! | `roff` | a page in Markdown as one in roff |
mod host;
mod roff;

pub use host::{EXIT_CODES, HOST};

use clap::Command;
use clap_mangen::Man;
use std::io;

/// What the pages of a program have beyond its command line.
#[derive(Clone, Copy, Debug)]
pub struct Extra<'a> {
    /// Each exit code, with what it means.
    pub exit_codes: &'a [(u8, &'a str)],
    /// Files that it uses, with what they are.
    pub files: &'a [(&'a str, &'a str)],
    /// Environment variables that it reads, with what they are.
    pub environment: &'a [(&'a str, &'a str)],
    /// Calls worth showing: the page's name, the call, and what it does.
    pub examples: &'a [(&'a str, &'a str, &'a str)],
    /// Other pages.
    pub see_also: &'a str,
}

/// A manual page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name.
    pub name: String,
    /// Its section.
    pub section: u8,
    /// Its text, in roff.
    pub text: String,
}

/// Pages of file formats that releases carry: name, one line on it, and the project's page from which it is made.
pub const FORMATS: [(&str, &str, &str); 2] = [
    (
        "bistable-self-test.toml",
        "plan of hardware self-tests",
        include_str!("../../../src/docs/self-tests.md"),
    ),
    ("bistable-health.toml", "profile of the health check", include_str!("../../../src/docs/health.md")),
];

/// A page of section 5 from the project's page about a file: its name, one line on it, and the text in Markdown. Section 5 is called 5 and
/// `suffix`, for packages that have the same page.
pub fn format_page((name, about, markdown): (&str, &str, &str), suffix: &str, date: &str) -> Page {
    let section = format!("5{suffix}");
    Page { name: name.into(), section: 5, text: roff::format(name, &section, about, markdown, date) }
}

/// A page for the program and each of its verbs, of this date.
///
/// # Errors
/// When a page can't be rendered.
pub fn pages(command: Command, extra: &Extra<'_>, date: &str) -> io::Result<Vec<Page>> {
    let mut whole = command.disable_help_subcommand(true);
    whole.build();
    let mut pages = Vec::new();
    add(&whole, extra, date, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, extra: &Extra<'_>, date: &str, pages: &mut Vec<Page>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = Man::new(command.clone()).date(date).source(source()).manual("Bistable");
    let mut text = Vec::new();
    page.render(&mut text)?;
    let mut text = String::from_utf8(text).map_err(io::Error::other)?;
    text.push_str(&sections(&name, extra));
    pages.push(Page { name, section: 1, text });
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        add(verb, extra, date, pages)?;
    }
    Ok(())
}

fn source() -> String {
    format!("Bistable {}", env!("CARGO_PKG_VERSION"))
}

/// Sections that end the page of a verb.
fn sections(name: &str, extra: &Extra<'_>) -> String {
    let mut text = String::from(".SH EXIT STATUS\n");
    for (code, means) in extra.exit_codes {
        text.push_str(&roff::entry(&code.to_string(), means));
    }
    let examples = extra.examples.iter().filter(|(verb, ..)| *verb == name);
    let lists = [
        ("FILES", extra.files.to_vec()),
        ("ENVIRONMENT", extra.environment.to_vec()),
        ("EXAMPLES", examples.map(|(_, call, does)| (*call, *does)).collect()),
    ];
    for (title, entries) in lists.iter().filter(|(_, entries)| !entries.is_empty()) {
        text.push_str(&format!(".SH {title}\n"));
        text.extend(entries.iter().map(|(term, is)| roff::entry(term, is)));
    }
    text.push_str(&format!(".SH SEE ALSO\n{}\n", roff::escaped(extra.see_also)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra() -> Extra<'static> {
        Extra {
            exit_codes: &[(0, "done"), (1, "failed")],
            files: &[("/etc/x-y", "its file")],
            environment: &[],
            examples: &[("prog-verb", "prog verb --all", "do all")],
            see_also: "prog(1), x-y(5)",
        }
    }

    #[test]
    fn each_verb_has_a_page_with_sections() {
        let verb = Command::new("verb").about("Do it").subcommand(Command::new("again").about("Do it twice"));
        let program = Command::new("prog").about("A program").subcommand(verb);
        let pages = pages(program, &extra(), "2026-01-02").unwrap();
        let names: Vec<_> = pages.iter().map(|page| page.name.as_str()).collect();
        assert_eq!(names, ["prog", "prog-verb", "prog-verb-again"]);
        for page in &pages {
            for part in
                [".SH EXIT STATUS\n.TP\n\\fB0\\fR\ndone\n", ".SH FILES\n.TP\n\\fB/etc/x\\-y\\fR\n", "2026"]
            {
                assert!(page.text.contains(part), "{part}: {}", page.text);
            }
            assert_eq!(page.text.contains(".SH EXAMPLES"), page.name == "prog-verb");
            assert!(!page.text.contains("ENVIRONMENT") && page.text.ends_with("prog(1), x\\-y(5)\n"));
        }
    }
}
