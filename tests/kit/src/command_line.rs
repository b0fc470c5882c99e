//! What holds for the command line of each program.
use clap::Command;

/// Verbs under their titles.
type Groups<'a> = &'a [(&'a str, &'a [&'a str])];

/// Each verb is in one group, in the order of the verbs. A group may name verbs that this build doesn't have.
pub fn assert_grouped(command: &Command, groups: Groups<'_>) {
    command.clone().debug_assert();
    let verbs: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
    let grouped = groups.iter().flat_map(|(_, names)| names.iter().copied());
    assert_eq!(grouped.filter(|name| verbs.contains(name)).collect::<Vec<_>>(), verbs);
}

/// The help has each verb with what it does, and each exit code; it is given for more.
pub fn assert_help(command: &Command, codes: &[u8]) -> String {
    // Rendering adds a verb `help`.
    let help = command.clone().render_help().to_string();
    for verb in command.get_subcommands() {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains(&format!("  {:<11} {about}\n", verb.get_name())), "{help}");
    }
    for code in codes {
        assert!(help.contains(&format!("\n  {code:<3} ")), "{code}: {help}");
    }
    assert!(help.contains("--progress") && help.contains("Examples:"), "{help}");
    help
}
