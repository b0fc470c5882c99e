//! `manual`, `completions`.
use super::Out;
use crate::answer::{Answer, CompletionsPrinted, ManualWritten, path_text};
use crate::error::Error;
use crate::manual::{self, FORMATS, HOST, Page};
use crate::output::{self, Access, Existing, OutputError};
use clap::Command;
use clap_complete::Shell;
use std::path::PathBuf;

/// Arguments of `manual`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the pages, which `man -M DIR` reads; pages that exist are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, command: Command, out: Out) -> Result<(), Error> {
    let seconds = i64::try_from(super::release_args::build_time()?).unwrap_or(i64::MAX);
    let date = jiff::Timestamp::from_second(seconds)
        .map_err(|e| Error::Usage(format!("SOURCE_DATE_EPOCH is not a time: {e}")))?
        .strftime("%Y-%m-%d")
        .to_string();
    let unwritten = |e| OutputError::io("make", &args.out)(e);
    let mut pages = manual::pages(command, &HOST, &date).map_err(unwritten)?;
    pages.extend(FORMATS.map(|format| manual::format_page(format, "", &date)));
    let mut files = Vec::new();
    for Page { name, section, text } in &pages {
        let folder = args.out.join(format!("man{section}"));
        std::fs::create_dir_all(&folder).map_err(OutputError::io("make", &folder))?;
        let path = folder.join(format!("{name}.{section}"));
        output::write(&path, text.as_bytes(), Existing::Replace, Access::Public)?;
        files.push(path_text(&path));
    }
    let text: String = files.iter().map(|path| format!("{path}\n")).collect();
    out.result(Answer::ManualWritten(ManualWritten { files }), &text)
}

pub(crate) fn completions(args: &Completions, command: &mut Command, out: Out) -> Result<(), Error> {
    let (mut script, name) = (Vec::new(), command.get_name().to_owned());
    clap_complete::generate(args.shell, command, name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let answer = CompletionsPrinted { shell: args.shell.to_string(), script: script.clone() };
    out.result(Answer::CompletionsPrinted(answer), &script)
}
