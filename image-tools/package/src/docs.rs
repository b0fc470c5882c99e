//! Man pages and shell completions, from the command line's own description.
use super::{Package, entry::Entry, man};
use anyhow::{Context, Result};
use bistable_image::manual::{self, Page};
use clap_complete::Shell;
use flate2::{Compression, GzBuilder};
use std::io::Write;

/// A man page per verb, of this date, and completions for three shells.
///
/// # Errors
/// When a page can't be rendered.
pub(super) fn entries(package: Package, date: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let pages = manual::pages(package.command(), package.extra(), date).context("the man pages")?;
    let own = if package == Package::Device { &man::FILE_PAGES[..] } else { &[] };
    let formats = own.iter().copied().chain(manual::FORMATS);
    let suffix = package.page_suffix();
    let formats = formats.map(|format| manual::format_page(format, suffix, date));
    for Page { name, section, text } in pages.into_iter().chain(formats) {
        let suffix = if section == 5 { suffix } else { "" };
        let path = format!("usr/share/man/man{section}/{name}.{section}{suffix}.gz");
        entries.push(Entry::file(path, gzip(text.as_bytes())?));
    }
    let name = package.name();
    let shells = [
        (Shell::Bash, format!("usr/share/bash-completion/completions/{name}")),
        (Shell::Zsh, format!("usr/share/zsh/vendor-completions/_{name}")),
        (Shell::Fish, format!("usr/share/fish/vendor_completions.d/{name}.fish")),
    ];
    for (shell, path) in shells {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut package.command(), name, &mut text);
        entries.push(Entry::file(path, text));
    }
    Ok(entries)
}

/// Compressed, without a name or a time.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gz = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gz.write_all(bytes).and_then(|()| gz.finish()).context("compressing")
}
