//! How both programs show their verbs in groups, examples and exit codes: the same grammar, from the same tables as the manual
//! pages.
use alloc::format;
use alloc::string::String;

/// Verbs under their titles, in the order of use.
pub type Groups<'a> = &'a [(&'a str, &'a [&'a str])];

/// A call worth showing: the manual page that has it, the call, and what it does.
pub type Example<'a> = (&'a str, &'a str, &'a str);

/// The verbs in groups. `about` gives a verb's line; a verb that this build doesn't have has none, and is left out.
pub fn verbs(groups: Groups<'_>, about: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::new();
    for (title, names) in groups {
        let lines: String = names
            .iter()
            .filter_map(|name| about(name).map(|about| format!("  {name:<11} {about}\n")))
            .collect();
        if !lines.is_empty() {
            text.push_str(&format!("{title}:\n{lines}\n"));
        }
    }
    text
}

/// The examples of one page; nothing if it has none.
pub fn examples(all: &[Example<'_>], page: &str) -> String {
    let lines: String = all
        .iter()
        .filter(|(of, ..)| *of == page)
        .map(|(_, call, does)| format!("  {call}\n      {does}\n"))
        .collect();
    if lines.is_empty() { lines } else { format!("Examples:\n{lines}") }
}

/// The exit codes with what they mean.
pub fn exit_status(codes: &[(u8, &str)]) -> String {
    let lines: String = codes.iter().map(|(code, means)| format!("  {code:<3} {means}\n")).collect();
    format!("Exit status:\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn verbs_are_in_groups_and_absent_ones_are_left_out() {
        let about = |name: &str| (name != "sim").then(|| format!("Do {name}").to_string());
        let text = verbs(&[("Show", &["status", "history"]), ("Simulate", &["sim"])], about);
        assert_eq!(text, "Show:\n  status      Do status\n  history     Do history\n\n");
    }

    #[test]
    fn examples_are_those_of_the_page() {
        let all = [("p", "p a", "do a"), ("p-b", "p b --all", "do b")];
        assert_eq!(examples(&all, "p-b"), "Examples:\n  p b --all\n      do b\n");
        assert_eq!(examples(&all, "p-c"), "");
        assert_eq!(exit_status(&[(0, "done"), (75, "later")]), "Exit status:\n  0   done\n  75  later\n");
    }
}
