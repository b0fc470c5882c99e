//! Manual pages in roff: those of verbs get sections on exit codes, files and examples; those of file formats are made from the
//! project's own pages.
use std::fmt::Write as _;

/// Exit codes of the device's program, as in `src/docs/cli.md`; a test holds them against the code.
pub(super) const EXIT_CODES: [(u8, &str); 10] = [
    (0, "done"),
    (1, "failed"),
    (2, "wrong usage"),
    (3, "nothing to do"),
    (4, "a reboot took place or is needed; only with --reboot-exit-code"),
    (5, "a signature or digest is wrong, or a channel number was signed twice (equivocation)"),
    (6, "incompatible: the release may not go onto this device, or a newer Bistable is needed"),
    (7, "a self-test failed"),
    (8, "the health check failed"),
    (75, "try again later: card in use, repository incomplete, channel or root expired, reboot refused"),
];

const FILES: [(&str, &str); 7] = [
    ("/etc/bistable/config.d/*.toml", "configuration: see bistable-config(5)"),
    (
        "/etc/bistable/self-test.toml",
        "self-test plan instead of the release's: see bistable-self-test.toml(5)",
    ),
    ("/etc/bistable/health.toml", "health profile instead of the release's: see bistable-health.toml(5)"),
    ("/etc/bistable/check/required.d, wanted.d", "the operator's health checks"),
    ("/usr/share/bistable/root.root", "the root of trust that the image carries"),
    ("/persistent/bistable/events", "event log: see bistable-events(5)"),
    ("/dev/disk/by-slot/", "links to the volumes of the active and the other slot"),
];

/// Calls worth showing, by the verb's name.
const EXAMPLES: [(&str, &str, &str); 16] = [
    ("bistable", "bistable status", "show both slots and what to do next"),
    ("bistable", "bistable update hub-1.1.0.bundle", "install, test, and reboot into the trial"),
    ("bistable-status", "bistable --json status", "the same for a program"),
    ("bistable-events", "bistable events --type 'rollback.*'", "when this device went back, and why"),
    ("bistable-events", "bistable events --follow --format json", "events for a program, as they come"),
    ("bistable-check", "bistable check --channel staging", "what another channel has on offer"),
    ("bistable-install", "bistable install https://example.org/hub-1.1.0.bundle", "write while downloading"),
    ("bistable-install", "bistable install -n hub-1.1.0.bundle", "verify and check only"),
    ("bistable-update", "bistable update", "take what the channel offers"),
    ("bistable-update", "bistable update 1.1.0 --retry-rejected", "a version that failed here before"),
    ("bistable-self-test", "bistable self-test", "run the plan as a report"),
    ("bistable-health", "bistable health", "run the checks as a report"),
    ("bistable-arm", "bistable arm && bistable reboot", "try the staged release"),
    ("bistable-revert", "bistable revert", "give up the update, or return to the other slot's release"),
    (
        "bistable-repair",
        "bistable repair --release hub-1.0.0.bundle",
        "after the loss of the partition state",
    ),
    ("bistable-config", "bistable config check", "report errors in the configuration"),
];

/// Sections that end the page of a verb.
pub(super) fn sections(name: &str) -> String {
    let mut text = String::from(".SH EXIT STATUS\n");
    for (code, means) in EXIT_CODES {
        entry(&mut text, &code.to_string(), means);
    }
    text.push_str(".SH FILES\n");
    for (path, is) in FILES {
        entry(&mut text, path, is);
    }
    let mut examples = EXAMPLES.iter().filter(|(verb, ..)| *verb == name).peekable();
    if examples.peek().is_some() {
        text.push_str(".SH EXAMPLES\n");
        for (_, call, does) in examples {
            entry(&mut text, call, does);
        }
    }
    text.push_str(".SH SEE ALSO\n");
    text.push_str(
        "bistable(1), bistable\\-config(5), bistable\\-self\\-test.toml(5), bistable\\-health.toml(5)\n",
    );
    text
}

fn entry(text: &mut String, term: &str, is: &str) {
    // Writing to a string can't fail.
    let _ = write!(text, ".TP\n\\fB{}\\fR\n{}\n", escaped(term), line(is));
}

/// The pages of file formats: name, one line on it, and the project's page from which it is made.
pub(super) const FORMATS: [(&str, &str, &str); 4] = [
    (
        "bistable-config",
        "configuration of the update agent",
        include_str!("../../../src/docs/configuration.md"),
    ),
    (
        "bistable-self-test.toml",
        "plan of hardware self-tests",
        include_str!("../../../src/docs/self-tests.md"),
    ),
    ("bistable-health.toml", "profile of the health check", include_str!("../../../src/docs/health.md")),
    ("bistable-events", "the event log and its types", include_str!("../../../src/docs/events.md")),
];

/// A page of section 5 from a page in Markdown, of this date.
pub(super) fn format(name: &str, about: &str, markdown: &str, date: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH {name} 5 \"{date}\" \"Bistable {version}\" \"Bistable\"\n\
         .SH NAME\n{} \\- {about}\n.SH DESCRIPTION\n",
        escaped(name)
    );
    let (mut in_block, mut in_try) = (false, false);
    for source in markdown.lines().skip(1) {
        if let Some(heading) = source.strip_prefix("## ") {
            // What is played with the simulated Pi needs the project's own folder.
            in_try = heading.starts_with("Try it");
            if !in_try {
                let _ = writeln!(text, ".SH {}", line(&heading.to_uppercase()));
            }
        } else if in_try || source.starts_with("<!--") {
        } else if source.starts_with("```") {
            in_block = !in_block;
            text.push_str(if in_block { ".PP\n.nf\n.RS 4\n" } else { ".RE\n.fi\n.PP\n" });
        } else if in_block {
            let _ = writeln!(text, "{}", guarded(&escaped(source)));
        } else if let Some(row) = source.strip_prefix('|') {
            table_row(&mut text, row);
        } else if let Some(item) = source.strip_prefix("- ") {
            let _ = writeln!(text, ".IP \\(bu 2\n{}", line(item));
        } else if source.is_empty() {
            text.push_str(".PP\n");
        } else {
            let _ = writeln!(text, "{}", line(source.trim_start()));
        }
    }
    text
}

/// A row becomes a term and what is said of it; the head and its rule say nothing more.
fn table_row(text: &mut String, row: &str) {
    let cells: Vec<_> = row.trim_end_matches('|').split('|').map(str::trim).collect();
    let [term, rest @ ..] = &cells[..] else { return };
    if !term.starts_with('`') {
        return;
    }
    let rest: Vec<_> = rest.iter().filter(|cell| !cell.is_empty()).copied().collect();
    let _ = write!(text, ".TP\n{}\n{}\n", line(term), line(&rest.join("; ")));
}

/// A line of text: links become their words, code and emphasis become bold.
fn line(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once("](") {
        let (_, behind) = after.split_once(')').unwrap_or(("", after));
        let at = before.rfind('[').unwrap_or(before.len());
        text.push_str(&before[..at]);
        text.push_str(before[at..].trim_start_matches('['));
        rest = behind;
    }
    text.push_str(rest);
    let mut roff = String::new();
    let mut is_bold = false;
    for part in escaped(&text.replace("**", "`")).split('`') {
        if !roff.is_empty() || is_bold {
            roff.push_str(if is_bold { "\\fR" } else { "\\fB" });
            is_bold = !is_bold;
        } else {
            roff.push_str("\\&");
        }
        roff.push_str(part);
    }
    if is_bold {
        roff.push_str("\\fR");
    }
    guarded(roff.trim_start_matches("\\&"))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

/// A line that begins with a dot would be a request.
fn guarded(text: &str) -> String {
    if text.starts_with('.') { format!("\\&{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable::error::Exit;

    #[test]
    fn every_exit_code_of_the_program_is_listed() {
        let all = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NothingToDo,
            Exit::RebootNeeded,
            Exit::Untrusted,
            Exit::Incompatible,
            Exit::SelfTest,
            Exit::Health,
            Exit::TryLater,
        ];
        assert_eq!(EXIT_CODES.map(|(code, _)| code), all.map(Exit::code));
    }

    #[test]
    fn markdown_becomes_roff() {
        for (markdown, roff) in [
            ("plain", "plain"),
            ("see [the page](a.md#b) for `x-y`", "see the page for \\fBx\\-y\\fR"),
            ("`first` and **last**", "\\fBfirst\\fR and \\fBlast\\fR"),
            (".hidden", "\\&.hidden"),
            ("back\\slash", "back\\eslash"),
        ] {
            assert_eq!(line(markdown), roff, "{markdown}");
        }
        let page = format(
            "x",
            "a file",
            "# X\nText.\n\n| a | b |\n|---|---|\n| `k` | v |\n\n```toml\n.k = 1\n```\n",
            "d",
        );
        assert!(page.contains(".SH NAME\nx \\- a file\n"), "{page}");
        assert!(page.contains(".TP\n\\fBk\\fR\nv\n") && !page.contains("---"), "{page}");
        assert!(page.contains(".nf\n.RS 4\n\\&.k = 1\n.RE\n.fi\n"), "{page}");
    }
}
