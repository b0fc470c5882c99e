//! `root new`, `root rotate`, `root sign`.
use super::Out;
use crate::answer::{Answer, RootMade, RootSigned, path_text};
use crate::clock;
use crate::error::Error;
use crate::keys::{self, SecretKey};
use crate::output::{self, Access, Existing};
use crate::repository::words;
use crate::root::{self, DemandOption, RootOptions};
use bistable_format::root::SignedRoot;
use bistable_format::{Envelope, Key, Role};
use std::path::{Path, PathBuf};

/// The verb.
#[derive(Debug, clap::Subcommand)]
pub enum Root {
    /// Make the first root of a product.
    New(New),
    /// Make the next root: new keys for some roles. The others stay.
    Rotate(Rotate),
    /// Add signatures to a root: for keys that lie in different places.
    Sign(Sign),
}

/// Arguments of `root rotate`.
#[derive(Debug, clap::Args)]
pub struct Rotate {
    /// The root in force.
    current: PathBuf,
    /// The root file to make.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Public keys that may sign the next root from now on, instead of the old ones. Repeat it.
    #[arg(long, value_name = "NAME.pub")]
    root_key: Vec<PathBuf>,
    /// Public keys that may sign releases from now on.
    #[arg(long, value_name = "NAME.pub")]
    release_key: Vec<PathBuf>,
    /// Public keys that may sign channels from now on.
    #[arg(long, value_name = "NAME.pub")]
    channel_key: Vec<PathBuf>,
    #[command(flatten)]
    rules: Rules,
    /// How many keys of a role must sign: `root=2`. Otherwise as many as before.
    #[arg(long, value_name = "ROLE=N", value_parser = threshold)]
    threshold: Vec<(Role, u8)>,
    /// Secret key that signs it: enough of the old root keys, and enough of the new ones.
    #[arg(long, value_name = "NAME.key", required = true)]
    sign: Vec<PathBuf>,
    /// Make a root with one root key, with a root threshold of 1, or with a key in two roles
    #[arg(long)]
    yes_weak: bool,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

/// Arguments of `root sign`.
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The root to sign.
    root: PathBuf,
    /// The root in force before it.
    #[arg(long, value_name = "FILE")]
    current: PathBuf,
    /// Secret key that signs it. Repeat it for more.
    #[arg(long, value_name = "NAME.key", required = true)]
    sign: Vec<PathBuf>,
}

/// Arguments of `root new`.
#[derive(Debug, clap::Args)]
pub struct New {
    /// The root file to make.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Public key that may sign the next root. Repeat it: three are a good number.
    #[arg(long, value_name = "NAME.pub", required = true)]
    root_key: Vec<PathBuf>,
    /// Public key that may sign releases.
    #[arg(long, value_name = "NAME.pub", required = true)]
    release_key: Vec<PathBuf>,
    /// Public key that may sign channels. Without one there can be no repository, only updates from files.
    #[arg(long, value_name = "NAME.pub")]
    channel_key: Vec<PathBuf>,
    #[command(flatten)]
    rules: Rules,
    /// How many keys of a role must sign: `root=2`. Otherwise more than half of the root keys, and one of the others.
    #[arg(long, value_name = "ROLE=N", value_parser = threshold)]
    threshold: Vec<(Role, u8)>,
    /// Secret key that signs this root: as many root keys as its threshold says.
    #[arg(long, value_name = "NAME.key", required = true)]
    sign: Vec<PathBuf>,
    /// Make a root with one root key, with a root threshold of 1, or with a key in two roles
    #[arg(long)]
    yes_weak: bool,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

/// What a root says but for the keys of its roles: the same for a first one and a next one.
#[derive(Debug, clap::Args)]
struct Rules {
    /// Public key that may sign one channel, which no other key may sign then: `staging=ci.pub`. Repeat it
    #[arg(long, value_name = "CHANNEL=NAME.pub", value_parser = named)]
    own_channel_key: Vec<(String, PathBuf)>,
    /// Attestation that devices demand of releases from a channel, and the public key that gives it:
    /// `production:tests-passed=bench.pub`, or without a channel for each one. Repeat it
    #[arg(long, value_name = "[CHANNEL:]KIND=NAME.pub", value_parser = named)]
    demand: Vec<(String, PathBuf)>,
    /// How long devices take updates with this root, from now on: 365d, for example, or never
    #[arg(long, value_name = "TIME", default_value = "365d", value_parser = Lifetime::parse)]
    expires: Lifetime,
}

impl Rules {
    /// The options of a root with these public keys for its roles, signed with these secret keys.
    fn options(
        &self,
        [root, release, channel]: [&[PathBuf]; 3],
        thresholds: Vec<(Role, u8)>,
        sign: &[PathBuf],
    ) -> Result<RootOptions, keys::KeyError> {
        let read =
            |paths: &[PathBuf]| paths.iter().map(|p| keys::read_public(p)).collect::<Result<Vec<Key>, _>>();
        Ok(RootOptions {
            root_keys: read(root)?,
            release_keys: read(release)?,
            channel_keys: read(channel)?,
            own_channel_keys: own_keys(&self.own_channel_key)?,
            demands: demands(&self.demand)?,
            expires_at: self.expires.expires_at(),
            thresholds,
            sign: sign.iter().map(|p| SecretKey::read(p)).collect::<Result<_, _>>()?,
        })
    }
}

/// How long a root is good.
#[derive(Clone, Copy, Debug)]
struct Lifetime(Option<u64>);

impl Lifetime {
    fn parse(text: &str) -> Result<Lifetime, String> {
        match text {
            "never" => Ok(Lifetime(None)),
            time => Ok(Lifetime(Some(words::seconds(time)?))),
        }
    }

    fn expires_at(self) -> Option<u64> {
        self.0.map(|seconds| clock::unix_now().saturating_add(seconds))
    }
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("give NAME=FILE.pub")?;
    Ok((name.into(), path.into()))
}

fn own_keys(named: &[(String, PathBuf)]) -> Result<Vec<(String, Key)>, keys::KeyError> {
    named.iter().map(|(name, path)| Ok((name.clone(), keys::read_public(path)?))).collect()
}

fn demands(named: &[(String, PathBuf)]) -> Result<Vec<DemandOption>, keys::KeyError> {
    let one = |(name, path): &(String, PathBuf)| {
        let (channel, kind) = match name.split_once(':') {
            Some((channel, kind)) => (Some(channel.into()), kind.into()),
            None => (None, name.clone()),
        };
        Ok(DemandOption { channel, kind, key: keys::read_public(path)? })
    };
    named.iter().map(one).collect()
}

fn threshold(text: &str) -> Result<(Role, u8), String> {
    let wanted = || "give ROLE=N, for example root=2; roles are root, release, channel".to_owned();
    let (role, n) = text.split_once('=').ok_or_else(wanted)?;
    let role = Role::IN_ROOT.into_iter().find(|r| r.name() == role).ok_or_else(wanted)?;
    Ok((role, n.parse().map_err(|_| wanted())?))
}

pub(crate) fn run(verb: Root, out: Out) -> Result<(), Error> {
    match verb {
        Root::New(args) => new(args, out),
        Root::Rotate(args) => rotate(args, out),
        Root::Sign(args) => sign(&args, out),
    }
}

fn rotate(args: Rotate, out: Out) -> Result<(), Error> {
    let current = root::read(&args.current)?.root;
    let keys = [&args.root_key[..], &args.release_key, &args.channel_key];
    let bytes = root::next(&current, &args.rules.options(keys, args.threshold, &args.sign)?)?;
    refuse_weak(&decode(&bytes)?, args.yes_weak)?;
    let existing = if args.force { Existing::Replace } else { Existing::Refuse };
    output::write(&args.out, &bytes, existing, Access::Public)?;
    made(&args.out, &current, &bytes, out)
}

/// What a root says that may still lack signatures.
fn decode(bytes: &[u8]) -> Result<bistable_format::Root, root::RootError> {
    let signed = SignedRoot::decode(bytes).map_err(root::RootError::Unusable)?;
    Ok(signed.root().clone())
}

/// Refuse a root that one key is enough to break, or warn of it.
fn refuse_weak(root: &bistable_format::Root, yes_weak: bool) -> Result<(), Error> {
    let weaknesses = root::weaknesses(root);
    if !yes_weak && !weaknesses.is_empty() {
        return Err(root::RootError::Weak(weaknesses).into());
    }
    for weakness in weaknesses {
        super::progress_lines::say(&format!("warning: the root is weak: {weakness}"));
    }
    Ok(())
}

fn sign(args: &Sign, out: Out) -> Result<(), Error> {
    let current = root::read(&args.current)?.root;
    let bytes = output::read_limited(&args.root, Envelope::MAX_BYTES)
        .map_err(|source| root::RootError::Read { path: args.root.clone(), source })?;
    let keys = args.sign.iter().map(|p| SecretKey::read(p)).collect::<Result<Vec<_>, _>>()?;
    let signed = root::add_signatures(&current, &bytes, &keys)?;
    output::write(&args.root, &signed, Existing::Replace, Access::Public)?;
    made(&args.root, &current, &signed, out)
}

/// What became of the next root, and what it still lacks.
fn made(path: &Path, current: &bistable_format::Root, bytes: &[u8], out: Out) -> Result<(), Error> {
    let lacks = current.successor(bytes).err().map(|e| e.to_string());
    let drops: Vec<_> = root::dropped(current, &decode(bytes)?).iter().map(ToString::to_string).collect();
    for drop in &drops {
        super::progress_lines::say(&format!("warning: {drop}"));
    }
    if !drops.is_empty() {
        super::progress_lines::say(&format!(
            "warning: devices that follow this root refuse what it does not accept; `bistable-image repo root {}` checks what channels \
             offer before it publishes the root",
            path.display()
        ));
    }
    let text = match &lacks {
        None => format!(
            "{}: signed as it must be; `bistable-image repo root` gives it to a repository\n",
            path.display()
        ),
        Some(why) => {
            format!("{}: not enough yet: {why}; `bistable-image root sign` adds signatures\n", path.display())
        }
    };
    out.result(Answer::RootSigned(RootSigned::new(path, lacks, drops)), &text)
}

fn new(args: New, out: Out) -> Result<(), Error> {
    let keys = [&args.root_key[..], &args.release_key, &args.channel_key];
    let made = root::create(&args.rules.options(keys, args.threshold, &args.sign)?)?;
    refuse_weak(&made.root, args.yes_weak)?;
    let existing = if args.force { Existing::Replace } else { Existing::Refuse };
    output::write(&args.out, &made.bytes, existing, Access::Public)?;
    if made.root.role(Role::Channel).is_none() {
        super::progress_lines::say(
            "warning: without --channel-key no channel can be signed for this root: it is only for updates from files",
        );
    }
    let file = path_text(&args.out);
    let text = format!("{file}\n{}", super::inspect::root(&made.root));
    out.result(Answer::RootMade(RootMade { file, root: (&made.root).into() }), &text)
}
