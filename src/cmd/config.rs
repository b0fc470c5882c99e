//! `config`: is the configuration right, and what does it come to? Neither a board nor a card is looked at.
use super::{Answer, Failed, machine::Place};
use crate::{
    Error,
    cli::{At, ConfigVerb},
    config::{self, ConfigError, Level, Problem, Remark},
};
use serde_json::{Value, json};

pub(super) fn run(at: &At, verb: ConfigVerb) -> Result<Answer, Failed> {
    let root = match &at.root {
        Some(root) => root.clone(),
        None => Place::of(at)?.root(at),
    };
    let loaded = config::read(&root).map_err(failed)?;
    match verb {
        ConfigVerb::Check => {
            let remarks = loaded.remarks();
            let files = loaded.files().len();
            let fields = json!({ "files": files, "remarks": remarks.iter().map(remark).collect::<Vec<_>>() });
            Ok(Answer::with(text(files, &remarks), fields))
        }
        ConfigVerb::Show => {
            let listing = loaded.listing();
            // Only a map whose keys aren't strings fails, and there is none.
            let fields = serde_json::to_value(&listing).unwrap_or_default();
            Ok(Answer::with(listing.text(), fields))
        }
    }
}

fn failed(e: ConfigError) -> Failed {
    let problems: Vec<Value> = e.problems.iter().map(problem).collect();
    Failed::with(Error::Config(e), json!({ "problems": problems }))
}

fn text(files: usize, remarks: &[Remark]) -> String {
    let mut text: String = remarks.iter().map(|r| format!("{r}\n")).collect();
    let count = |level, word| match remarks.iter().filter(|r| r.level == level).count() {
        0 => String::new(),
        n => format!(", {}", counted(n, word)),
    };
    let (warnings, notes) = (count(Level::Warning, "warning"), count(Level::Note, "note"));
    text += &format!("{}, fine{warnings}{notes}", counted(files, "file"));
    text
}

fn counted(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

fn problem(Problem { file, line, text }: &Problem) -> Value {
    json!({ "file": file.display().to_string(), "line": line, "text": text })
}

fn remark(Remark { level, about }: &Remark) -> Value {
    let mut fields = problem(about);
    fields["level"] = level.to_string().into();
    fields
}
