//! `config`: is the configuration right, and what does it come to? Neither a board nor a card is looked at.
use super::{Answer, Failed, place::Place};
use crate::{
    Error,
    app::{self, ConfigChecked, Problems},
    cli::{ConfigVerb, GlobalArgs},
    config::{self, ConfigError, Level, Loaded, Remark},
};
#[cfg(feature = "daemon")]
use crate::{app::ConfigReloaded, serve};
#[cfg(feature = "daemon")]
use std::path::Path;

/// The daemon's socket, if no other one is named.
#[cfg(feature = "daemon")]
const SOCKET: &str = "/run/bistable/api.sock";

pub(super) fn run(at: &GlobalArgs, verb: &ConfigVerb) -> Result<Answer, Failed> {
    let answer: fn(&Loaded) -> Answer = match verb {
        ConfigVerb::Check => checked,
        ConfigVerb::Show => shown,
        #[cfg(feature = "daemon")]
        ConfigVerb::Reload { socket } => return reload(socket.as_deref().unwrap_or(Path::new(SOCKET))),
    };
    let root = match &at.root {
        Some(root) => root.clone(),
        None => Place::of(at)?.root(at),
    };
    config::read(&root).map(|loaded| answer(&loaded)).map_err(failed)
}

fn checked(loaded: &Loaded) -> Answer {
    let remarks = loaded.remarks();
    let files = loaded.files().len();
    let text = text(files, &remarks);
    Answer::new(text, app::Answer::ConfigChecked(ConfigChecked { files, remarks }))
}

fn shown(loaded: &Loaded) -> Answer {
    let listing = loaded.listing();
    Answer::new(listing.text(), app::Answer::ConfigShown(listing))
}

/// Have the daemon read its configuration again, and wait until it says whether it can use it. Nothing of this process, as its
/// environment, counts for that.
#[cfg(feature = "daemon")]
fn reload(socket: &Path) -> Result<Answer, Failed> {
    let absent = |source| Error::Open { path: socket.into(), source };
    let (status, answer) = serve::web::post(socket, "/v1/config/reload").map_err(absent)?;
    if status != 200 {
        let detail = answer["detail"].as_str().unwrap_or("it does not say why");
        return Err(Error::NotReloaded(detail.into()).into());
    }
    let files = answer["files"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let text = format!("the daemon uses {}", counted(files, "file"));
    Ok(Answer::new(text, app::Answer::ConfigReloaded(ConfigReloaded { files })))
}

fn failed(e: ConfigError) -> Failed {
    let problems = e.problems.clone();
    Failed::with(Error::Config(e), app::Answer::Problems(Problems { problems }))
}

fn text(files: usize, remarks: &[Remark]) -> String {
    let mut text: String = remarks.iter().map(|r| format!("{r}\n")).collect();
    let count = |level, word| match remarks.iter().filter(|r| r.level == level).count() {
        0 => String::new(),
        n => format!(", {}", counted(n, word)),
    };
    let (warnings, notes) = (count(Level::Warning, "warning"), count(Level::Note, "note"));
    text += &format!("{}, no errors{warnings}{notes}", counted(files, "file"));
    text
}

fn counted(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}
