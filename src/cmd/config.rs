//! `config`: is the configuration right, and what does it come to? Neither a board nor a card is looked at.
use super::{Answer, Failed, place::Place};
use crate::{
    Error,
    app::{self, ConfigChecked, Problems},
    cli::{ConfigVerb, GlobalArgs},
    config::{self, ConfigError, Level, Remark},
};

pub(super) fn run(at: &GlobalArgs, verb: ConfigVerb) -> Result<Answer, Failed> {
    let root = match &at.root {
        Some(root) => root.clone(),
        None => Place::of(at)?.root(at),
    };
    let loaded = config::read(&root).map_err(failed)?;
    match verb {
        ConfigVerb::Check => {
            let remarks = loaded.remarks();
            let files = loaded.files().len();
            let text = text(files, &remarks);
            Ok(Answer::new(text, app::Answer::ConfigChecked(ConfigChecked { files, remarks })))
        }
        ConfigVerb::Show => {
            let listing = loaded.listing();
            Ok(Answer::new(listing.text(), app::Answer::ConfigShown(listing)))
        }
    }
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
