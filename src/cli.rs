//! The command line: what can be asked.
mod help;
#[cfg(feature = "sim")]
mod sim;

#[cfg(feature = "daemon")]
use crate::config::tokens::Scope;
#[cfg(feature = "daemon")]
use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};
pub use help::{EXAMPLES, EXIT_CODES, command};
#[cfg(feature = "sim")]
pub use sim::{Connected, Power, SimVerb, StuckAt};
use std::path::PathBuf;

/// A/B updates for Raspberry Pi products: the device always rests in one of two good states.
#[derive(Debug, Parser)]
#[command(name = "bistable", version, max_term_width = 100)]
pub struct Cli {
    /// What to do it on.
    #[command(flatten)]
    pub at: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Where the device is, and how to answer.
#[derive(Clone, Debug, Args)]
pub struct GlobalArgs {
    /// The kind of board
    #[arg(long, value_enum, global = true)]
    pub board: Option<BoardKind>,
    /// The simulated Pi's card, as `bistable-image card` makes it; its configuration is in FILE.sim/root
    #[cfg(feature = "sim")]
    #[arg(long, value_name = "FILE", env = "BISTABLE_CARD", global = true)]
    pub card: Option<PathBuf>,
    /// Where the running system's configuration is, if not at /
    #[arg(long, value_name = "DIR", global = true)]
    pub root: Option<PathBuf>,
    /// Where /proc, /sys, /dev and /run of a Pi are: for tests
    #[arg(long, value_name = "DIR", global = true, hide = true)]
    pub sysroot: Option<PathBuf>,
    /// Answer with exactly one JSON object on standard output, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// How to show progress on standard error
    #[arg(long, value_enum, default_value = "auto", global = true)]
    pub progress: ProgressMode,
    /// Exit with 4 instead of 0 when a reboot took place, or is needed to continue as after `arm`
    #[arg(long, global = true)]
    pub reboot_exit_code: bool,
}

/// Boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BoardKind {
    /// This Raspberry Pi: the default
    Pi,
    /// A simulated Pi whose card is a file: the default with --card
    #[cfg(feature = "sim")]
    Sim,
}

impl GlobalArgs {
    /// The kind of board.
    pub fn board(&self) -> BoardKind {
        #[cfg(feature = "sim")]
        let default = if self.card.is_some() { BoardKind::Sim } else { BoardKind::Pi };
        #[cfg(not(feature = "sim"))]
        let default = BoardKind::Pi;
        self.board.unwrap_or(default)
    }
}

/// Ways to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// A bar on a terminal, plain lines elsewhere
    Auto,
    /// Plain lines
    Plain,
    /// One JSON object a line
    Json,
    /// No progress and no status messages
    #[value(alias = "none")]
    Quiet,
}

/// The verbs, in the order in which a device's owner needs them.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show both slots, the boot flag, the last update and what to do next
    Status {
        /// Draw with ASCII only
        #[arg(long)]
        ascii: bool,
    },
    /// Show how past updates ended
    History,
    /// Show what happened on this device, from the event log
    Events(EventArgs),
    /// Show what the device measures of itself, as text for Prometheus
    Metrics(MetricsArgs),
    /// Show what the channel offers to this device, and why it is taken or not
    Check(Repository),
    /// Check what has to be right before an update; changes nothing
    Preflight,
    /// Verify a release and write it into the inactive slot
    Install(Source),
    /// Run the hardware self-tests and report what was measured; changes nothing
    SelfTest,
    /// Run the self-tests, and if they pass set the one-shot boot flag for the next reboot
    Arm,
    /// Reboot: into the trial if a release is armed
    Reboot,
    /// Check, install, self-test, arm and reboot in one go
    Update(Source),
    /// Take a repository that was brought as an offer: report it, and stage it unless update.mode is "check"
    Offer(OfferArgs),
    /// Continue with what the journal says: what runs at each boot
    Resume,
    /// Run the running release's health check and report what it finds; it drives pins if it includes self-tests that do
    Health {
        /// Leave out the self-tests that use pins or buses
        #[arg(long)]
        no_pins: bool,
    },
    /// Finish a trial now: check its health, and make it the default if it is healthy
    Commit,
    /// Go back: give up the update in flight, or try the other slot's release again
    ///
    /// A release that is given up by hand is rejected: this device doesn't install it again, unless `install` or
    /// `update` is given --retry-rejected.
    Revert,
    /// Update what lies beside the slots, without a reboot
    #[command(subcommand)]
    Component(ComponentVerb),
    /// Check the configuration, or show what it comes to
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Delay the daemon's switch into a trial while a program runs, or for some time
    #[cfg(feature = "daemon")]
    Inhibit(InhibitArgs),
    /// Recreate the root, the journal or the boot flag if it is damaged, and acknowledge an equivocation
    Repair(RepairArgs),
    /// Look for updates and install them as the configuration says; systemd runs it
    #[cfg(feature = "daemon")]
    Daemon(DaemonArgs),
    /// Serve the web page, as a process without privileges; systemd runs it
    #[cfg(feature = "daemon")]
    Web(WebArgs),
    /// Make, list and remove tokens for the web page
    #[cfg(feature = "daemon")]
    #[command(subcommand)]
    Token(TokenVerb),
    /// Change the simulated Pi: its power and its wiring
    #[cfg(feature = "sim")]
    #[command(subcommand)]
    Sim(SimVerb),
}

/// Which events to show, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct EventArgs {
    /// Only events with a higher number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub after: u64,
    /// Only events of this stream: device, component/NAME or job/ID
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,
    /// Only events of this component: the same as --stream component/NAME
    #[arg(long, value_name = "NAME", conflicts_with = "stream")]
    pub component: Option<String>,
    /// Only from this number in the stream on
    #[arg(long, value_name = "N", default_value_t = 0, requires = "stream")]
    pub from: u64,
    /// Only events of this type; `update.*` is all that begin with `update.`. Repeat it for more
    #[arg(long = "type", value_name = "TYPE")]
    pub kinds: Vec<String>,
    /// Continue with events as they come
    #[arg(short, long, conflicts_with = "json")]
    pub follow: bool,
    /// One line for each event: text, or json
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    pub format: EventFormat,
}

/// Ways to show an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EventFormat {
    /// A line of text
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Where to write what is measured.
#[derive(Clone, Debug, Default, Args)]
pub struct MetricsArgs {
    /// Replace this file with it, at once, instead of showing it: for node-exporter, which reads NAME.prom
    #[arg(long, value_name = "FILE")]
    pub textfile: Option<PathBuf>,
}

/// What delays a switch, and for how long.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Args)]
pub struct InhibitArgs {
    /// Reason, shown by the API
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    /// Longest delay, up to 24h
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = crate::config::time)]
    pub time: std::time::Duration,
    /// The program to run meanwhile, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// How the daemon is reached.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Default, Args)]
pub struct DaemonArgs {
    /// Make the socket of the API here, instead of taking the one that systemd passes
    #[arg(long, value_name = "FILE")]
    pub socket: Option<PathBuf>,
    /// Make the socket of the web page here, likewise: on it, each request needs a token
    #[arg(long, value_name = "FILE")]
    pub web_socket: Option<PathBuf>,
}

/// How the web page is reached.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Default, Args)]
pub struct WebArgs {
    /// Listen here, instead of where web.listen says; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// The daemon's socket for the web page, if it isn't /run/bistable/web.sock
    #[arg(long, value_name = "FILE")]
    pub socket: Option<PathBuf>,
    /// Print the page's address on standard output once it is there
    #[arg(long)]
    pub announce: bool,
}

/// What can be done about tokens.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token and print it, once: the device stores its hash only
    Add {
        /// Its name, by which events say who asked
        name: String,
        /// What it allows
        #[arg(long, value_enum)]
        scope: Scope,
    },
    /// Show the tokens there are, by name
    List,
    /// Remove a token: whoever has it is refused from then on
    Remove {
        /// Its name
        name: String,
    },
}

#[cfg(feature = "daemon")]
impl ValueEnum for Scope {
    fn value_variants<'a>() -> &'a [Scope] {
        &Scope::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let allows = match self {
            Scope::Read => "Reads",
            Scope::Operate => "Also updates, reverts, reboots, and uploads of signed bundles",
            Scope::Admin => "Also what overrides a rejection, a withdrawal or the configured repository",
        };
        Some(PossibleValue::new(self.name()).help(allows))
    }
}

/// What to use where a lost `state` partition leaves nothing.
#[derive(Clone, Debug, Default, Args)]
pub struct RepairArgs {
    /// The release that the running slot was written from, if the stored one is lost: its bundle, or the signed release
    #[arg(long, value_name = "FILE")]
    pub release: Option<PathBuf>,
    /// The product that this device is, if nothing else says so: what runs is then unknown until the next update
    #[arg(long, value_name = "NAME", conflicts_with = "release")]
    pub product: Option<String>,
    /// The product's signed root, if neither the partition nor the running system has one
    #[arg(long, value_name = "FILE.root")]
    pub root_file: Option<PathBuf>,
    /// Make a new file system with autoboot.txt alone in the partition bootconfig if the one there is damaged
    #[arg(long)]
    pub new_bootconfig: bool,
}

/// Where releases are on offer, if it isn't where the configuration says.
#[derive(Clone, Debug, Default, Args)]
pub struct Repository {
    /// A repository: an http:// or https:// address or a folder. Repeat it for mirrors
    #[arg(long, value_name = "URL|DIR")]
    pub source: Vec<String>,
    /// The channel to look at
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
}

/// A repository that was brought.
#[derive(Clone, Debug, Args)]
pub struct OfferArgs {
    /// The repository's folder, for example on a stick
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The channel to look at
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
}

/// Where a release comes from.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// A bundle (a file, an http:// or https:// address, github:OWNER/REPO, `-` for standard input), or a version that the channel
    /// offers; without it, what the channel offers
    #[arg(value_name = "VERSION|FILE|URL")]
    pub what: Option<PathBuf>,
    /// Where releases are on offer.
    #[command(flatten)]
    pub repository: Repository,
    /// Verify and check only; write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Install it even though this device rejected it before
    #[arg(long)]
    pub retry_rejected: bool,
    /// Install a bundle even though the channel withdrew its release
    #[arg(long)]
    pub force_withdrawn: bool,
}

/// What can be done about components.
#[derive(Clone, Debug, Subcommand)]
pub enum ComponentVerb {
    /// Show all components
    List,
    /// Show one component
    Show {
        /// Its name
        name: String,
    },
    /// Unpack a version beside the one that runs, and leave it there for `component resume` or the daemon
    Install {
        /// The component
        name: String,
        /// Which version, and where it comes from.
        #[command(flatten)]
        source: Source,
    },
    /// Unpack a version beside the one that runs, test it, run it, check its health, and commit it or go back
    Update {
        /// The component
        name: String,
        /// Which version, and where it comes from.
        #[command(flatten)]
        source: Source,
    },
    /// Continue an update that was staged or interrupted
    Resume {
        /// The component
        name: String,
    },
    /// Give up the update in flight, or return to the version before
    Revert {
        /// The component
        name: String,
    },
    /// Show what is set of a component, or have it run with other values: tested and taken back like a version
    Config(ComponentConfigArgs),
    /// Show the last lines that a component's service or container printed
    Logs {
        /// Its name
        name: String,
        /// At most this many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        lines: u32,
    },
    /// Run a component that was stopped
    Start {
        /// The component
        name: String,
    },
    /// Stop a component, across reboots
    Stop {
        /// The component
        name: String,
    },
    /// Allow updates of a component of which no version was healthy
    Reset {
        /// The component
        name: String,
    },
    /// Remove all versions of a component that is stopped, and forget it
    Remove {
        /// The component
        name: String,
    },
    /// Recreate the record of all components after it was damaged, from the versions that are there
    Repair,
    /// Write the links that services run from; systemd runs it at each boot
    Links,
    /// Run the containers of the versions that are committed; systemd runs it at each boot, once the container engine answers
    Containers,
    /// Write the drop-ins by which these services wait for the links; systemd runs it before it loads any unit
    Units {
        /// The folder for generated units
        folder: PathBuf,
    },
}

/// Arguments of `component config`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ComponentConfigArgs {
    /// The component
    pub name: String,
    /// A value; what is on a command line can be seen by other users of the device
    #[arg(value_name = "SETTING=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// A value from a file, or - for standard input. Repeat it for more
    #[arg(long, value_name = "SETTING=FILE", value_parser = setting)]
    pub from: Vec<(String, String)>,
    /// Have a setting get its default again. Repeat it for more
    #[arg(long, value_name = "SETTING")]
    pub unset: Vec<String>,
    /// Keep the values for versions to come: what runs stays as it is
    #[arg(long)]
    pub later: bool,
}

impl ComponentConfigArgs {
    /// Whether anything is to be changed.
    pub fn changes(&self) -> bool {
        !(self.set.is_empty() && self.from.is_empty() && self.unset.is_empty())
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give SETTING=VALUE")?;
    Ok((name.into(), value.into()))
}

/// What can be asked about the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigVerb {
    /// Report everything that is wrong or doubtful, with file and line
    Check,
    /// Show every setting, with where its value comes from and what that overrides
    Show,
    /// Have the daemon read its configuration now; fails if it has a problem, and the daemon keeps the one that it has
    #[cfg(feature = "daemon")]
    Reload {
        /// The daemon's socket, by default /run/bistable/api.sock
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_ways_to_show_progress() {
        let table = [
            ("auto", ProgressMode::Auto),
            ("plain", ProgressMode::Plain),
            ("json", ProgressMode::Json),
            ("quiet", ProgressMode::Quiet),
            ("none", ProgressMode::Quiet),
        ];
        for (word, mode) in table {
            let cli = Cli::try_parse_from(["bistable", "status", "--progress", word]).unwrap();
            assert_eq!(cli.at.progress, mode);
        }
        assert!(Cli::try_parse_from(["bistable", "status", "--progress", "bar"]).is_err());
    }

    #[cfg(feature = "sim")]
    #[test]
    fn a_card_makes_it_a_simulated_pi() {
        let table: [(&[&str], BoardKind); 4] = [
            (&["status"], BoardKind::Pi),
            (&["status", "--card", "x"], BoardKind::Sim),
            (&["status", "--card", "x", "--board", "pi"], BoardKind::Pi),
            (&["status", "--board", "sim"], BoardKind::Sim),
        ];
        for (args, kind) in table {
            let cli = Cli::try_parse_from([&["bistable"], args].concat()).unwrap();
            // The environment may name a card, too.
            if std::env::var_os("BISTABLE_CARD").is_none() {
                assert_eq!(cli.at.board(), kind, "{args:?}");
            }
        }
    }

    #[test]
    fn help_says_what_a_person_has_to_know() {
        let mut command = Cli::command();
        let mut help = |verb: &str| {
            let verb = command.find_subcommand_mut(verb).unwrap();
            verb.render_long_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(help("revert").contains("is rejected") && help("revert").contains("--retry-rejected"));
        let long = Cli::command().render_long_help().to_string();
        assert!(long.contains("--reboot-exit-code") && long.contains("`arm`"), "{long}");
    }
}
