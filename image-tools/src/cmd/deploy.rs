//! `deploy`.
use super::Out;
use super::place::Place;
use super::show;
use super::write_args::Of;
use crate::answer::{Answer, Deployed};
use crate::clock::HostClock;
use crate::deploy::{self, DeployError, DeployOptions, Parcel, Ssh, Verdict};
use crate::error::Error;
use crate::inspect::{self, Content};
use crate::repository::bundle_stream::BundleStream;
use crate::repository::inventory::Inventory;
use crate::repository::manifest;
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::repository::words::seconds;
use bistable_format::{Digest, Release};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The device, as ssh takes it: pi, root@pi, or a name of ~/.ssh/config
    #[arg(value_name = "HOST", value_parser = host)]
    host: String,
    /// What goes onto it: a bundle or a delta, or a version in the repository
    #[arg(value_name = "FILE|VERSION")]
    what: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: Of,
    /// Run `bistable` on the device through `sudo -n`, which must not ask for a password
    #[arg(long)]
    sudo: bool,
    /// Port of the device's ssh server
    #[arg(long, short, value_name = "N")]
    port: Option<u16>,
    /// Key file for ssh
    #[arg(long, short, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Option of ssh, as its -o takes it: `ProxyJump=gate`. Repeat it for more
    #[arg(long, value_name = "NAME=VALUE")]
    ssh_option: Vec<String>,
    /// The program in the place of ssh, with its first arguments, separated by blanks: it is given the host and one command line
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["port", "identity", "ssh_option"])]
    ssh: Option<String>,
    /// How long the device's verdict may take after the sending: 90s, 15m, 1h
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "15m")]
    timeout: u64,
    /// Install it even though the device rejected it before
    #[arg(long)]
    retry_rejected: bool,
}

/// A host that looks like an option would be one to ssh.
fn host(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('-') {
        return Err("give the name of a device".into());
    }
    Ok(text.into())
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let mut bundle = find(args)?;
    let options = DeployOptions {
        host: args.host.clone(),
        sudo: args.sudo,
        timeout: Duration::from_secs(args.timeout),
        retry_rejected: args.retry_rejected,
    };
    let ssh = Ssh { command: command(args), host: args.host.clone(), sudo: args.sudo };
    let progress = out.progress();
    let parcel = Parcel { release: bundle.release.clone(), identity: bundle.identity, bytes: bundle.bytes };
    let done = deploy::deploy(&ssh, &parcel, &mut *bundle.input, &options, &HostClock, &*progress)?;
    drop(progress);

    let (host, release) = (&args.host, &bundle.release);
    let answer = Answer::Deployed(Deployed::new(host, release, &bundle.identity, &done));
    let text = format!(
        "{host}: {} {}, release {}: {}\n",
        release.what(),
        release.version,
        bundle.identity,
        match &done.verdict {
            Verdict::Committed => "committed",
            _ => "not kept",
        }
    );
    if done.verdict == Verdict::Committed {
        return out.result(answer, &text);
    }
    let version = release.version.to_string();
    let why = DeployError::NotKept { host: host.clone(), version, verdict: done.verdict };
    Err(out.report(answer, &text, why.into()))
}

/// ssh and its options. What the user says comes first: ssh takes the first value of an option.
fn command(args: &Args) -> Vec<OsString> {
    if let Some(command) = &args.ssh {
        return command.split_whitespace().map(OsString::from).collect();
    }
    let mut command: Vec<OsString> = vec!["ssh".into(), "-T".into()];
    let mut option = |name: &str, value: OsString| command.extend([name.into(), value]);
    for text in &args.ssh_option {
        option("-o", text.into());
    }
    if let Some(port) = args.port {
        option("-p", port.to_string().into());
    }
    if let Some(file) = &args.identity {
        option("-i", file.into());
    }
    // A device that reboots answers no more: the connection has to notice.
    for text in ["ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3"] {
        option("-o", text.into());
    }
    command.push("--".into());
    command
}

/// A bundle that was found.
struct Found {
    release: Release,
    identity: Digest,
    bytes: u64,
    input: Box<dyn Read>,
}

fn find(args: &Args) -> Result<Found, Error> {
    // A file is what lies there, whatever its name looks like.
    let path = Path::new(&args.what);
    if path.exists()
        || args.what.contains('/')
        || args.what.ends_with(".bundle")
        || args.what.ends_with(".delta")
    {
        return of_file(path);
    }
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let inventory = Inventory::read(&store, &roots, None)?;
    let held = show::one(&inventory, &args.of.selector(&args.what), store.place())?;
    if held.is_withdrawn() {
        return Err(Error::Usage(format!(
            "{} was withdrawn, because it is bad: take another version",
            args.what
        )));
    }
    let stored = manifest::read(&store, &roots, &held.entry.release)?;
    let stream = BundleStream::new(&store, &stored)?;
    let bytes = stream.bundle_bytes();
    Ok(Found { identity: stored.identity, release: stored.release, bytes, input: Box::new(stream) })
}

/// Its signatures are left to the device: which root that has is not known here.
fn of_file(path: &Path) -> Result<Found, Error> {
    let found = inspect::inspect(path, None)?;
    let not_a_bundle = || {
        Error::Usage(format!(
            "{} is {}; deploy takes a bundle or a delta",
            path.display(),
            found.content.name()
        ))
    };
    let (release, identity) = match &found.content {
        Content::Bundle(file, _) => (file.release.clone(), file.digest),
        Content::Delta(file) => (file.release.clone().ok_or_else(not_a_bundle)?, file.delta.target),
        _ => return Err(not_a_bundle()),
    };
    let file = File::open(path).map_err(crate::OutputError::io("open", path))?;
    Ok(Found { release, identity, bytes: found.bytes, input: Box::new(file) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, Command, FromArgMatches};

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        let found = Args::augment_args(Command::new("deploy")).try_get_matches_from(line.split(' '))?;
        Args::from_arg_matches(&found)
    }

    fn command_of(line: &str) -> String {
        let command = command(&parsed(line).unwrap());
        command.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_of_the_user_come_before_ours() {
        let ours = "-o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 --";
        assert_eq!(command_of("deploy pi x.bundle"), format!("ssh -T {ours}"));
        assert_eq!(
            command_of("deploy pi x.bundle -p 2222 -i key --ssh-option ConnectTimeout=60"),
            format!("ssh -T -o ConnectTimeout=60 -p 2222 -i key {ours}")
        );
        assert_eq!(command_of("deploy pi x.bundle --ssh doas:ssh"), "doas:ssh");
    }

    #[test]
    fn a_host_is_never_taken_for_an_option() {
        for line in
            ["deploy -oProxyCommand=evil x.bundle", "deploy  x.bundle", "deploy -- -oProxyCommand=evil x"]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
