//! Man pages and shell completions, from the command line's own description.
use super::{entry::Entry, man};
use anyhow::{Context, Result};
use bistable::cli::Cli;
use bistable_image::manual::{self, Page};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use flate2::{Compression, GzBuilder};
use std::io::Write;

/// A man page per verb, of this date, and completions for three shells.
///
/// # Errors
/// When a page can't be rendered.
pub(super) fn entries(date: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let pages = manual::pages(shipped(), &man::DEVICE, date).context("the man pages")?;
    let formats = man::FILE_PAGES.into_iter().chain(manual::FORMATS);
    let formats = formats.map(|format| manual::format_page(format, date));
    for Page { name, section, text } in pages.into_iter().chain(formats) {
        let path = format!("usr/share/man/man{section}/{name}.{section}.gz");
        entries.push(Entry::file(path, gzip(text.as_bytes())?));
    }
    let shells = [
        (Shell::Bash, "usr/share/bash-completion/completions/bistable"),
        (Shell::Zsh, "usr/share/zsh/vendor-completions/_bistable"),
        (Shell::Fish, "usr/share/fish/vendor_completions.d/bistable.fish"),
    ];
    for (shell, path) in shells {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut shipped(), "bistable", &mut text);
        entries.push(Entry::file(path, text));
    }
    Ok(entries)
}

/// The command line of the program in the package. It has no simulated Pi; the one that is linked here has.
fn shipped() -> Command {
    let linked = Cli::command();
    let args = linked.get_arguments().filter(|arg| arg.get_id() != "card").cloned();
    let verbs = linked.get_subcommands().filter(|verb| verb.get_name() != "sim").cloned();
    Command::new("bistable")
        .version(env!("CARGO_PKG_VERSION"))
        .about(linked.get_about().cloned().unwrap_or_default())
        .args(args)
        .mut_arg("board", |board| {
            let kinds = board.get_possible_values().into_iter().filter(|kind| kind.get_name() != "sim");
            let kinds: Vec<_> = kinds.collect();
            board.value_parser(kinds)
        })
        .subcommands(verbs)
        .subcommand_required(true)
}

/// Compressed, without a name or a time.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gz = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gz.write_all(bytes).and_then(|()| gz.finish()).context("compressing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_says_nothing_of_the_simulated_pi() {
        let mut shipped = shipped();
        shipped.build();
        shipped.clone().debug_assert();
        let mut text = shipped.render_long_help().to_string();
        for verb in shipped.get_subcommands_mut() {
            text += &verb.render_long_help().to_string();
        }
        assert!(text.contains("--board") && text.contains("install") && !text.contains("imulated"), "{text}");
        assert!(!text.contains("--card"), "{text}");
    }
}
