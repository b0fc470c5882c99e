//! A page in Markdown as one in roff.
use std::fmt::Write as _;

/// A term and its explanation.
pub(super) fn entry(term: &str, is: &str) -> String {
    format!(".TP\n\\fB{}\\fR\n{}\n", escaped(term), line(is))
}

/// A page of section 5 from a page in Markdown, of this date.
pub(super) fn format(name: &str, section: &str, about: &str, markdown: &str, date: &str) -> String {
    let source = super::source();
    let mut text = format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH {name} {section} \"{date}\" \"{source}\" \"Bistable\"\n\
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

/// A row becomes a term and its explanation; the head and its rule are left out.
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

pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

/// A line that begins with a dot would be a request.
fn guarded(text: &str) -> String {
    if text.starts_with('.') { format!("\\&{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "5",
            "a file",
            "# X\nText.\n\n| a | b |\n|---|---|\n| `k` | v |\n\n```toml\n.k = 1\n```\n",
            "d",
        );
        assert!(page.contains(".SH NAME\nx \\- a file\n"), "{page}");
        assert!(page.contains(".TP\n\\fBk\\fR\nv\n") && !page.contains("---"), "{page}");
        assert!(page.contains(".nf\n.RS 4\n\\&.k = 1\n.RE\n.fi\n"), "{page}");
    }
}
