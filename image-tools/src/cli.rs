//! The command line: what can be asked for, and how it ends.
use crate::cmd::{self, ProgressStyle};
use crate::error::Exit;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Build, sign, inspect and verify Bistable bundles, and make SD card images.
#[derive(Debug, Parser)]
#[command(name = "bistable-image", version)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 nothing to do, 5 signature or digest, 6 incompatible, 75 not now."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// How progress is shown on stderr.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "HOW")]
    pub progress: ProgressStyle,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make keys.
    #[command(subcommand)]
    Key(cmd::key::Key),
    /// Make the root: which keys may sign what.
    #[command(subcommand)]
    Root(cmd::root::Root),
    /// Build a signed bundle from a root file system and a boot volume.
    Build(Box<cmd::build::Args>),
    /// Make a delta: how a release is made from the one that devices run
    Delta(cmd::delta::Args),
    /// Show which files cost most in an update from one bundle to another
    Diff(cmd::diff::Args),
    /// Show what a bundle, delta, release, root or key says.
    Inspect(cmd::inspect::Args),
    /// Check every byte of a bundle or delta against a root.
    Verify(cmd::verify::Args),
    /// Make a card image from a bundle and a root.
    Card(cmd::card::Args),
    /// Make a repository, and look whether its store can be one.
    #[command(subcommand)]
    Repo(cmd::repo::Repo),
    /// Show channels, renew them, set their gates, pin releases.
    #[command(subcommand)]
    Channel(cmd::channel::Channel),
    /// Say something about a release that a channel's gates demand.
    Attest(cmd::attest::Args),
    /// Offer in another channel what is offered in one: the same release.
    Promote(cmd::promote::Args),
    /// Change who gets a release, and when.
    Rollout(cmd::promote::RolloutArgs),
    /// Take a bad release off a channel.
    Withdraw(cmd::withdraw::Args),
    /// Put a bundle into a repository and offer it in a channel.
    Publish(Box<cmd::publish::Args>),
    /// Show which deltas a channel's devices could use, and how to make those that are missing
    Deltas(cmd::deltas::Args),
    /// Show the releases of a channel.
    List(cmd::list::Args),
    /// Find releases in all channels.
    Search(Box<cmd::search::Args>),
    /// Show all of one release.
    Show(cmd::search::ShowArgs),
    /// Let releases go that nobody needs any more.
    Prune(cmd::keep::Prune),
    /// Look for what is missing, damaged, unsigned or nobody's.
    Fsck(cmd::keep::Fsck),
    /// Copy what is missing to another place: a bucket, a USB stick.
    Sync(cmd::keep::Sync),
    /// Make a page for people, and a list for Raspberry Pi Imager.
    Site(cmd::site::Args),
    /// Show who did what to a repository.
    Audit(cmd::audit::Args),
}

/// Run with these arguments, the program's name first. Prints, and gives the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(e) => {
            // Nothing can be done about a closed stderr.
            let _ = e.print();
            if !e.use_stderr() {
                return code(Exit::Done);
            }
            // It was not understood, but this much of it can be seen.
            if args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json") {
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
        Verb::Delta(args) => cmd::delta::run(&args, out),
        Verb::Diff(args) => cmd::diff::run(&args, out),
        Verb::Inspect(args) => cmd::inspect::run(&args, out),
        Verb::Verify(args) => cmd::verify::run(&args, out),
        Verb::Card(args) => cmd::card::run(args, out),
        Verb::Repo(verb) => cmd::repo::run(&verb, out),
        Verb::Channel(verb) => cmd::channel::run(&verb, out),
        Verb::Attest(args) => cmd::attest::run(&args, out),
        Verb::Promote(args) => cmd::promote::run(&args, out),
        Verb::Rollout(args) => cmd::promote::rollout(&args, out),
        Verb::Withdraw(args) => cmd::withdraw::run(&args, out),
        Verb::Publish(args) => cmd::publish::run(&args, out),
        Verb::Deltas(args) => cmd::deltas::run(&args, out),
        Verb::List(args) => cmd::list::run(&args, out),
        Verb::Search(args) => cmd::search::run(&args, out),
        Verb::Show(args) => cmd::search::show(&args, out),
        Verb::Prune(args) => cmd::keep::prune(&args, out),
        Verb::Fsck(args) => cmd::keep::check(&args, out),
        Verb::Sync(args) => cmd::keep::copy(&args, out),
        Verb::Site(args) => cmd::site::run(&args, out),
        Verb::Audit(args) => cmd::audit::run(&args, out),
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
