//! From the words of a command line to an exit code.
use super::{Form, RebootCode, out, say, told, told_usage};
use crate::{
    cli::{self, Cli},
    error::Exit,
};
use bistable_format::failure::asks_for_json;
use clap::FromArgMatches;
use std::ffi::OsString;

/// Run the program with these arguments, the first being its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = cli::command().try_get_matches_from(&args).and_then(|found| Cli::from_arg_matches(&found));
    let told = match parsed {
        Ok(cli) => {
            let form = if cli.at.json { Form::Json } else { Form::Text };
            let code = if cli.at.reboot_exit_code { RebootCode::Own } else { RebootCode::Done };
            told(super::run(&cli), form, code)
        }
        Err(e) => {
            // Nothing can be done about a closed terminal.
            let _ = e.print();
            if !e.use_stderr() {
                return Exit::Done;
            }
            let json = asks_for_json(&args);
            let text = e.render().to_string();
            told_usage(
                text.trim_start_matches("error: ").trim_end(),
                if json { Form::Json } else { Form::Text },
            )
        }
    };
    if !told.err.is_empty() {
        say(&told.err);
    }
    if !told.out.is_empty() {
        out(&told.out);
    }
    told.exit
}
