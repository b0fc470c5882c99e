//! The command line: what can be asked for, and how it ends.
use crate::cmd::{self, ProgressStyle};
use crate::error::Exit;
use crate::manual::HOST;
use bistable_format::failure::asks_for_json;
use bistable_format::help::{Groups, examples, exit_status, verbs};
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Build, sign, inspect and verify Bistable bundles, make SD card images, and publish releases
#[derive(Debug, Parser)]
#[command(name = "bistable-image", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// How to show progress on standard error
    #[arg(long, global = true, value_enum, default_value_t, value_name = "HOW")]
    pub progress: ProgressStyle,
    /// Answer with exactly one JSON object on standard output, for programs
    #[arg(long, global = true)]
    pub json: bool,
}

/// The verbs, in the order in which a product needs them.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make keys
    #[command(subcommand)]
    Key(cmd::key::Key),
    /// Make the root: which keys may sign what
    #[command(subcommand)]
    Root(cmd::root::Root),
    /// Build a signed bundle from a root file system and a boot volume, or from the tree of a component
    Build(Box<cmd::build::Args>),
    /// Build a signed bundle from what is released elsewhere: a file of a GitHub release, or an image of a registry
    Import(Box<cmd::import::Args>),
    /// Show what a bundle, delta, release, root or key says
    Inspect(cmd::inspect::Args),
    /// Add signatures to a bundle or delta: those of a new key, or of another person
    Sign(cmd::sign::Args),
    /// Check every byte of a bundle or delta against a root
    Verify(cmd::verify::Args),
    /// Make a card image from a bundle and a root
    Card(cmd::card::Args),
    /// Write a card image onto a card, and read it back
    Flash(cmd::flash::Args),
    /// Install a release on one device over ssh, and follow it to its verdict
    Deploy(Box<cmd::deploy::Args>),
    /// Make a delta: how a release is made from the one that devices run
    Delta(cmd::delta::Args),
    /// Show which files cost most in an update from one bundle to another
    Diff(cmd::diff::Args),
    /// Make a repository, and check whether its store can hold one
    #[command(subcommand)]
    Repo(cmd::repo::Repo),
    /// Put a bundle into a repository and offer it in a channel
    Publish(Box<cmd::publish::Args>),
    /// Show which deltas a channel's devices could use, and how to make those that are missing
    Deltas(cmd::deltas::Args),
    /// Attest something about a release that a channel's gates demand
    Attest(cmd::attest::Args),
    /// Offer a channel's release in another channel
    Promote(cmd::promote::Args),
    /// Change which devices get a release, and when
    Rollout(cmd::promote::RolloutArgs),
    /// Withdraw a bad release from a channel
    Withdraw(cmd::withdraw::Args),
    /// Offer good old releases no more, as far as no device would miss them
    Retire(cmd::retire::Args),
    /// Show channels, renew them, set their gates, pin releases
    #[command(subcommand)]
    Channel(cmd::channel::Channel),
    /// List the releases of a channel
    List(cmd::list::Args),
    /// Find releases in all channels
    Search(Box<cmd::search::Args>),
    /// Show all of one release, or the packages that changed between two
    Show(cmd::show::Args),
    /// Check for missing, damaged, unsigned and orphaned files
    Fsck(cmd::maintenance::Fsck),
    /// Delete releases that are no longer referenced
    Prune(cmd::maintenance::Prune),
    /// Copy what is missing to another place: a bucket, a USB stick
    Sync(cmd::maintenance::Sync),
    /// Make a web page of the releases, and a list for Raspberry Pi Imager
    Site(cmd::site::Args),
    /// Show or write what a repository measures of itself, for Prometheus
    Metrics(cmd::metrics::Args),
    /// Show who did what to a repository
    Audit(cmd::audit::Args),
    /// Write the manual pages of this program, and of the files that releases carry
    Manual(cmd::manual::Args),
    /// Print completions for a shell
    Completions(cmd::manual::Completions),
}

/// The verbs as help shows them: the order is that of [`Verb`].
const GROUPS: Groups<'static> = &[
    ("Keys", &["key", "root"]),
    (
        "Releases",
        &["build", "import", "inspect", "sign", "verify", "card", "flash", "deploy", "delta", "diff"],
    ),
    (
        "Publish",
        &["repo", "publish", "deltas", "attest", "promote", "rollout", "withdraw", "retire", "channel"],
    ),
    ("Find", &["list", "search", "show"]),
    ("Maintain", &["fsck", "prune", "sync", "site", "metrics", "audit"]),
    ("About this program", &["manual", "completions"]),
];

/// The command line, with the verbs in groups.
pub fn command() -> Command {
    let command = Cli::command();
    let about = |name: &str| Some(command.find_subcommand(name)?.get_about()?.to_string());
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}Options:\n{{options}}{{after-help}}",
        verbs(GROUPS, about)
    );
    let end = format!("{}\n{}", examples(HOST.examples, "bistable-image"), exit_status(HOST.exit_codes));
    command
        .help_template(template)
        .after_help(end)
        .mut_subcommands(|verb| with_examples(verb, "bistable-image"))
}

/// A verb with the examples of its manual page, and the same for its own verbs.
fn with_examples(verb: Command, above: &str) -> Command {
    let page = format!("{above}-{}", verb.get_name());
    let verb = match examples(HOST.examples, &page) {
        none if none.is_empty() => verb,
        // Where a verb explains its arguments there already, that stays in front.
        some => match verb.get_after_help().map(ToString::to_string) {
            Some(before) => verb.after_help(format!("{before}\n\n{some}")),
            None => verb.after_help(some),
        },
    };
    verb.mut_subcommands(|below| with_examples(below, &page))
}

/// From now on a signal that ends the program takes its temporary files with it. Called once, before any thread is started.
pub fn until_interrupted() {
    crate::interrupt::watch();
}

/// Run with these arguments, the program's name first. Prints, and gives the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = command().try_get_matches_from(&args).and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(e) => {
            // Nothing can be done about a closed stderr.
            let _ = e.print();
            if !e.use_stderr() {
                return code(Exit::Done);
            }
            if asks_for_json(&args) {
                let text = e.render().to_string();
                cmd::complain_of_usage(text.trim_start_matches("error: ").trim_end());
            }
            return code(Exit::Usage);
        }
    };
    let out = cmd::Out { json: cli.json, progress: cli.progress };
    let result = match cli.verb {
        Verb::Key(verb) => cmd::key::run(verb, out),
        Verb::Root(verb) => cmd::root::run(verb, out),
        Verb::Build(args) => cmd::build::run(*args, out),
        Verb::Import(args) => cmd::import::run(*args, out),
        Verb::Delta(args) => cmd::delta::run(&args, out),
        Verb::Diff(args) => cmd::diff::run(&args, out),
        Verb::Inspect(args) => cmd::inspect::run(&args, out),
        Verb::Sign(args) => cmd::sign::run(&args, out),
        Verb::Verify(args) => cmd::verify::run(&args, out),
        Verb::Card(args) => cmd::card::run(args, out),
        Verb::Flash(args) => cmd::flash::run(&args, out),
        Verb::Deploy(args) => cmd::deploy::run(&args, out),
        Verb::Repo(verb) => cmd::repo::run(&verb, out),
        Verb::Channel(verb) => cmd::channel::run(&verb, out),
        Verb::Attest(args) => cmd::attest::run(&args, out),
        Verb::Promote(args) => cmd::promote::run(&args, out),
        Verb::Rollout(args) => cmd::promote::rollout(&args, out),
        Verb::Withdraw(args) => cmd::withdraw::run(&args, out),
        Verb::Retire(args) => cmd::retire::run(&args, out),
        Verb::Publish(args) => cmd::publish::run(&args, out),
        Verb::Deltas(args) => cmd::deltas::run(&args, out),
        Verb::List(args) => cmd::list::run(&args, out),
        Verb::Search(args) => cmd::search::run(&args, out),
        Verb::Show(args) => cmd::show::run(&args, out),
        Verb::Prune(args) => cmd::maintenance::prune(&args, out),
        Verb::Fsck(args) => cmd::maintenance::check(&args, out),
        Verb::Sync(args) => cmd::maintenance::copy(&args, out),
        Verb::Site(args) => cmd::site::run(&args, out),
        Verb::Metrics(args) => cmd::metrics::run(&args, out),
        Verb::Audit(args) => cmd::audit::run(&args, out),
        Verb::Manual(args) => cmd::manual::run(&args, Cli::command(), out),
        Verb::Completions(args) => cmd::manual::completions(&args, &mut Cli::command(), out),
    };
    match result {
        Ok(()) => code(Exit::Done),
        Err(e) => {
            out.complain(&e);
            code(e.exit())
        }
    }
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_is_in_one_group_in_the_order_of_the_verbs() {
        let command = command();
        bistable_kit::command_line::assert_grouped(&command, GROUPS);
        let grouped: usize = GROUPS.iter().map(|(_, names)| names.len()).sum();
        assert_eq!(grouped, command.get_subcommands().count());
    }

    #[test]
    fn each_example_is_a_call_of_its_page() {
        for (page, call, _) in HOST.examples {
            assert!(Cli::try_parse_from(call.split_whitespace()).is_ok(), "{call}");
            assert!(call.replace(' ', "-").starts_with(page), "{call} is not a call of {page}");
        }
    }

    #[test]
    fn help_has_each_verb_with_what_it_does_and_each_exit_code() {
        let codes = Exit::ALL.map(|exit| exit as u8);
        bistable_kit::command_line::assert_help(&command(), &codes);
    }
}
