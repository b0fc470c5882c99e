use std::io::IsTerminal as _;

/// Which characters may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Frames, arrows and marks of Unicode.
    Unicode,
    /// Nothing but printable ASCII.
    Ascii,
}

/// Whether colors may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// ANSI's sixteen colors.
    Ansi,
    /// None: every meaning is in the text too.
    None,
}

/// What the output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Which characters.
    pub charset: Charset,
    /// Whether colors.
    pub color: Color,
    /// Columns. What is drawn keeps to it, but is never narrower than [`Style::NARROWEST`] nor wider than
    /// [`Style::WIDEST`].
    pub width: usize,
}

impl Style {
    /// Narrower than this nothing can be drawn.
    pub const NARROWEST: usize = 40;
    /// Wider than this nothing gets easier to read.
    pub const WIDEST: usize = 100;
    /// What is assumed if nothing is said.
    pub const USUAL: usize = 80;

    /// Without colors.
    pub const fn plain(charset: Charset, width: usize) -> Style {
        Style { charset, color: Color::None, width }
    }

    /// What the environment says of the output.
    ///
    /// Unicode if the locale (`LC_ALL`, `LC_CTYPE`, `LANG`: the first that is set) is UTF-8, but not on the kernel's
    /// console, whose font has none of the marks. Colors on a terminal only, unless `NO_COLOR` is set. With
    /// `TERM=dumb` neither. The width is `COLUMNS`, or 80.
    pub fn detect(stdout_is_terminal: bool, env: impl Fn(&str) -> Option<String>) -> Style {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        let dumb = term == "dumb";
        let few_glyphs = stdout_is_terminal && term == "linux";
        let color = stdout_is_terminal && !dumb && set("NO_COLOR").is_none();
        Style {
            charset: if utf8 && !dumb && !few_glyphs { Charset::Unicode } else { Charset::Ascii },
            color: if color { Color::Ansi } else { Color::None },
            width: set("COLUMNS")
                .and_then(|c| c.trim().parse().ok())
                .filter(|c| *c > 0)
                .unwrap_or(Style::USUAL),
        }
    }

    /// What this process' standard output can show. Shells don't export `COLUMNS`: a terminal is asked for its width.
    pub fn of_stdout() -> Style {
        let terminal = std::io::stdout().is_terminal();
        let var = |name: &str| std::env::var(name).ok();
        let mut style = Style::detect(terminal, var);
        if terminal && let Some((_, columns)) = console::Term::stdout().size_checked() {
            style.width = usize::from(columns);
        }
        style
    }

    /// The width that is drawn with.
    pub(super) fn columns(&self) -> usize {
        self.width.clamp(Style::NARROWEST, Style::WIDEST)
    }
}
