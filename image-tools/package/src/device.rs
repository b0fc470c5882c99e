//! The command line of the device's program, as its package has it.
use bistable::cli::Cli;
use clap::{Command, CommandFactory};

/// It has no simulated Pi; the one that is linked here has.
pub(super) fn command() -> Command {
    let linked = Cli::command();
    let args = linked.get_arguments().filter(|arg| arg.get_id() != "card").cloned();
    let verbs = linked.get_subcommands().filter(|verb| verb.get_name() != "sim").cloned();
    Command::new("bistable")
        .version(env!("CARGO_PKG_VERSION"))
        .about(linked.get_about().cloned().unwrap_or_default())
        .args(args)
        .mut_arg("board", |board| {
            let kinds = board.get_possible_values().into_iter().filter(|kind| kind.get_name() != "sim");
            let kinds: Vec<_> = kinds.collect();
            board.value_parser(kinds)
        })
        .subcommands(verbs)
        .subcommand_required(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_says_nothing_of_the_simulated_pi() {
        let mut shipped = command();
        shipped.build();
        shipped.clone().debug_assert();
        let mut text = shipped.render_long_help().to_string();
        for verb in shipped.get_subcommands_mut() {
            text += &verb.render_long_help().to_string();
        }
        assert!(text.contains("--board") && text.contains("install") && !text.contains("imulated"), "{text}");
        assert!(!text.contains("--card"), "{text}");
    }
}
