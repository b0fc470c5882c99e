//! The arguments of all verbs that work on a repository: where it is, and who does it.
use crate::error::Error;
use crate::repository::init::{Writers, writers};
use crate::repository::memory::{StateFolder, TrustStore};
use crate::repository::store::{Missing, Store, default_place};
use crate::repository::sync::{Kind, MIRROR, PARTIAL};
use crate::repository::trust::{PinError, Recognized, Trusted, recognize, recognize_to_repair};
use crate::root::{self, SignedRoot};
use bistable_format::limits;
use bistable_format::text::{is_printable, is_printable_char};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the repository is.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The repository: a directory, or s3://BUCKET/PREFIX with AWS_* in the environment. Default:
    /// ~/.local/share/bistable/repository.
    #[arg(long, value_name = "DIR|URL", env = "BISTABLE_REPO")]
    repo: Option<String>,
}

impl Place {
    /// Open it.
    pub(crate) fn open(&self, missing: Missing) -> Result<Store, Error> {
        let place = match &self.repo {
            Some(place) => place.clone(),
            None => {
                let path = default_place()
                    .ok_or_else(|| Error::Usage("where is the repository? Give --repo DIR or URL".into()))?;
                path.display().to_string()
            }
        };
        Ok(Store::open(&place, missing)?)
    }

    /// Open it to change it: tells on stderr if only one program may.
    pub(crate) fn open_to_write(&self) -> Result<Store, Error> {
        let store = self.open(Missing::Refuse)?;
        match Kind::of(&store)? {
            Kind::Original => {}
            Kind::Mirror => {
                return Err(Error::Usage(format!(
                    "{} is a mirror: act on the original, and `bistable-image sync` it again; if the original is lost, \
                     remove its file `{MIRROR}`: then this is the original",
                    store.place()
                )));
            }
            Kind::Partial => {
                return Err(Error::Usage(format!(
                    "{} is a copy of what is on offer elsewhere, without the history ({PARTIAL}): act on the original, and \
                     `bistable-image sync` it again",
                    store.place()
                )));
            }
        }
        warn_of(writers(&store)?, &store);
        Ok(store)
    }
}

/// Which repository it has to be.
#[derive(Debug, clap::Args)]
pub(crate) struct Pinned {
    /// The repository's first root, or a later one if this computer knows the repository: any other repository is refused. Default:
    /// the repository that this computer saw there first
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT")]
    root: Option<PathBuf>,
}

/// How a repository is compared with what is remembered of it.
type Compare = fn(&Arc<dyn TrustStore>, &Store, Option<&SignedRoot>) -> Result<Recognized, PinError>;

impl Pinned {
    /// Compare a repository with the given root, or else with what this computer remembers. Reports a first use on stderr.
    pub(crate) fn recognize(&self, store: &Store) -> Result<Recognized, Error> {
        self.compare(store, recognize)
    }

    /// The same for `repo root`, which gives back a root that was lost.
    pub(crate) fn recognize_to_repair(&self, store: &Store) -> Result<Recognized, Error> {
        self.compare(store, recognize_to_repair)
    }

    fn compare(&self, store: &Store, compare: Compare) -> Result<Recognized, Error> {
        let wanted = self.root.as_ref().map(|path| root::read(path)).transpose()?;
        let recognized = compare(&memory()?, store, wanted.as_ref())?;
        report_trust(&recognized, store);
        Ok(recognized)
    }
}

/// Report on stderr that a repository is trusted from now on.
pub(crate) fn report_trust(recognized: &Recognized, store: &Store) {
    let instead = match recognized.trusted {
        Trusted::Before => return,
        Trusted::FromNowOn => String::new(),
        Trusted::InsteadOf(old) => format!(" instead of the repository with the first root {old:.12}"),
    };
    let newest = recognized.roots.newest_mark();
    super::progress_lines::say(&format!(
        "trusting root {} ({:.12}) of {} from now on{instead}",
        newest.number,
        newest.digest,
        store.place()
    ));
}

/// What this computer remembers of repositories.
pub(crate) fn memory() -> Result<Arc<dyn TrustStore>, Error> {
    Ok(Arc::new(StateFolder::from_env()?))
}

/// Warn on stderr that a store doesn't keep what was created first.
pub(crate) fn warn_of(writers: Writers, store: &Store) {
    if writers == Writers::Single {
        super::progress_lines::say(&format!(
            "warning: {} was made with --single-writer: make sure that no other program writes to it now",
            store.place()
        ));
    }
}

/// Who does it.
#[derive(Debug, clap::Args)]
pub(crate) struct Actor {
    /// Who does this, for the audit. Default: the user's and the machine's name.
    #[arg(long, value_name = "NAME", env = "BISTABLE_BY")]
    by: Option<String>,
}

impl Actor {
    /// The name.
    pub(crate) fn name(&self) -> Result<String, Error> {
        match &self.by {
            Some(name) if name.is_empty() || name.len() > limits::NAME || !is_printable(name, &[]) => {
                Err(Error::Usage(format!(
                    "--by takes one line of at most {} bytes without control and invisible characters",
                    limits::NAME
                )))
            }
            Some(name) => Ok(name.clone()),
            None => Ok(user_and_machine()),
        }
    }
}

fn user_and_machine() -> String {
    let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "unknown".into());
    #[cfg(unix)]
    let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    #[cfg(not(unix))]
    let machine = named("COMPUTERNAME");
    let name = machine.map_or(user.clone(), |machine| format!("{user}@{machine}"));
    let plain: String = name.chars().filter(|c| is_printable_char(*c)).collect();
    let mut end = plain.len().min(limits::NAME);
    while !plain.is_char_boundary(end) {
        end -= 1;
    }
    plain.get(..end).unwrap_or_default().into()
}
