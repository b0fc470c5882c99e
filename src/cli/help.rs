//! The program's help: verbs in groups, in the order of use, with examples and exit codes. The manual pages have the same tables.
use super::Cli;
use bistable_format::help::{Example, Groups, examples, exit_status, verbs};
use clap::{Command, CommandFactory};

/// The verbs as help shows them: the order is that of [`Verb`](super::Verb).
const GROUPS: Groups<'static> = &[
    ("Show", &["status", "history", "events", "metrics"]),
    ("Update", &["check", "preflight", "install", "self-test", "arm", "reboot", "update", "offer"]),
    ("Trial", &["resume", "health", "commit", "revert"]),
    ("Maintain", &["component", "config", "inhibit", "repair", "daemon", "web", "token"]),
    ("Simulate", &["sim"]),
];

/// Each exit code, with what it means.
pub const EXIT_CODES: [(u8, &str); 10] = [
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

/// Calls worth showing, by the manual page that has them.
pub const EXAMPLES: &[Example<'static>] = &[
    ("bistable", "bistable status", "show both slots and what to do next"),
    ("bistable", "bistable check", "show what the channel offers to this device"),
    ("bistable", "bistable update hub-1.1.0.bundle", "install, test, and reboot into the trial"),
    ("bistable", "bistable revert", "return to the release in the other slot"),
    ("bistable-status", "bistable --json status", "the same for a program"),
    ("bistable-events", "bistable events --type 'rollback.*'", "when this device went back, and why"),
    ("bistable-events", "bistable events --follow --format json", "events for a program, as they come"),
    ("bistable-check", "bistable check --channel staging", "what another channel has on offer"),
    ("bistable-install", "bistable install https://example.org/hub-1.1.0.bundle", "write while downloading"),
    ("bistable-install", "bistable install -n hub-1.1.0.bundle", "verify and check only"),
    ("bistable-self-test", "bistable self-test", "run the plan as a report"),
    ("bistable-arm", "bistable arm", "let the next reboot try the staged release"),
    ("bistable-update", "bistable update", "take what the channel offers"),
    ("bistable-update", "bistable update 1.1.0 --retry-rejected", "a version that failed here before"),
    ("bistable-offer", "bistable offer /media/stick", "take what is on a stick, as far as update.mode goes"),
    ("bistable-health", "bistable health", "run the checks as a report"),
    ("bistable-revert", "bistable revert", "give up the update, or return to the other slot's release"),
    (
        "bistable-component",
        "bistable component update core core-2.0.0.bundle",
        "update an application, without a reboot",
    ),
    ("bistable-config", "bistable config check", "report errors in the configuration"),
    #[cfg(feature = "daemon")]
    (
        "bistable-inhibit",
        "bistable inhibit --why backup --for 2h -- /usr/local/bin/backup",
        "no switch while a backup runs",
    ),
    #[cfg(feature = "daemon")]
    ("bistable-web", "bistable web --listen 127.0.0.1:8080", "the page for programs on this device only"),
    #[cfg(feature = "daemon")]
    ("bistable-token", "bistable token add kim --scope operate", "make a token for the web page"),
    (
        "bistable-repair",
        "bistable repair --release hub-1.0.0.bundle",
        "after the loss of the partition state",
    ),
];

/// The command line, with the verbs in groups.
pub fn command() -> Command {
    let command = Cli::command();
    let about = |name: &str| Some(command.find_subcommand(name)?.get_about()?.to_string());
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}Options:\n{{options}}{{after-help}}",
        verbs(GROUPS, about)
    );
    let end = format!("{}\n{}", examples(EXAMPLES, "bistable"), exit_status(&EXIT_CODES));
    command.help_template(template).after_help(end).mut_subcommands(|verb| {
        let page = format!("bistable-{}", verb.get_name());
        match examples(EXAMPLES, &page) {
            none if none.is_empty() => verb,
            some => verb.after_help(some),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use clap::Parser;

    #[test]
    fn each_verb_is_in_one_group_in_the_order_of_the_verbs() {
        bistable_kit::command_line::assert_grouped(&command(), GROUPS);
    }

    #[test]
    fn each_example_is_a_call_of_its_page() {
        for (page, call, _) in EXAMPLES {
            assert!(
                Cli::try_parse_from(call.split_whitespace().map(|word| word.trim_matches('\''))).is_ok(),
                "{call}"
            );
            let of = page.strip_prefix("bistable-").unwrap_or_default();
            assert!(of.is_empty() || call.split_whitespace().any(|word| word == of), "{call}: {page}");
        }
    }

    #[test]
    fn help_has_each_verb_with_what_it_does_examples_and_each_exit_code() {
        assert_eq!(EXIT_CODES.map(|(code, _)| code), Exit::ALL.map(Exit::code));
        let help = bistable_kit::command_line::assert_help(&command(), &Exit::ALL.map(Exit::code));
        assert!(help.contains("Examples:\n  bistable status\n"), "{help}");
        assert!(help.contains("Exit status:\n  0   done\n"), "{help}");
        let verb = command().find_subcommand_mut("update").unwrap().render_help().to_string();
        assert!(verb.contains("bistable update 1.1.0 --retry-rejected"), "{verb}");
    }
}
