//! A script for e2fsprogs' `debugfs`, which can hold no command but ours.
//!
//! `debugfs -f` reads lines of at most 8,191 bytes and runs the rest of a longer one as a line of its own; a line that begins with
//! `!` goes to a shell. Names and targets come from foreign overlays and images. So a script is typed: each line is a
//! [`Line`], rendered in one place, and what comes from elsewhere is only ever one [`Name`] or one [`Target`], quoted, of bounded
//! length and without control characters. No path is written at all: a path would be read by other rules than a name, and has no
//! bound.
/// Most bytes of a line. `debugfs` has a buffer of 8,192 for it.
const LINE_BYTES: usize = 8_000;
/// Most bytes of a name in an ext4 folder.
const NAME_BYTES: usize = 255;
/// Most bytes of a symlink's target: one block, and PATH_MAX.
const TARGET_BYTES: usize = 4_095;
/// What a line may begin with.
const VERBS: [&str; 6] = ["cd", "rm", "write", "mkdir", "symlink", "sif"];

/// Why a line can't be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScriptError {
    /// A name that ext4 can't have, or that would be another one to `debugfs`.
    #[error(
        "{0:?} is not a name that debugfs can be given: use 1 to {NAME_BYTES} bytes without `/` and control characters"
    )]
    Name(String),
    /// A target that `debugfs` can't be given.
    #[error(
        "its target {0:?} can't be given to debugfs: use 1 to {TARGET_BYTES} bytes without control characters"
    )]
    Target(String),
    /// A line that `debugfs` would cut in two.
    #[error(
        "the line for debugfs would have {bytes} bytes, and at most {LINE_BYTES} are safe: shorten the name or the target"
    )]
    Long {
        /// Its bytes.
        bytes: usize,
    },
    /// A line that isn't one command of ours.
    #[error("a line for debugfs has to be one command of {VERBS:?}")]
    Verb,
}

/// A file's name in a folder: one component of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    pub(super) fn new(name: &'a str) -> Result<Name<'a>, ScriptError> {
        let is_name = (1..=NAME_BYTES).contains(&name.len()) && !matches!(name, "." | "..");
        if is_name && !name.contains('/') && !name.contains(char::is_control) {
            Ok(Name(name))
        } else {
            Err(ScriptError::Name(name.chars().take(NAME_BYTES).collect()))
        }
    }
}

/// Where a symlink leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a>(&'a str);

impl<'a> Target<'a> {
    pub(super) fn new(target: &'a str) -> Result<Target<'a>, ScriptError> {
        if (1..=TARGET_BYTES).contains(&target.len()) && !target.contains(char::is_control) {
            Ok(Target(target))
        } else {
            Err(ScriptError::Target(target.chars().take(NAME_BYTES).collect()))
        }
    }
}

/// A field of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Type and permissions.
    Mode(u16),
    Uid(u32),
    Gid(u32),
    Atime(u64),
    Mtime(u64),
    Ctime(u64),
    Crtime(u64),
}

/// A command. A name is one in the current folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Make the root the current folder.
    Root,
    /// Make a folder in the current one the current one.
    Enter(Name<'a>),
    Remove(Name<'a>),
    /// Make a file with the content of a [prepared] file of the host.
    Write {
        source: usize,
        name: Name<'a>,
    },
    Folder(Name<'a>),
    Symlink {
        name: Name<'a>,
        target: Target<'a>,
    },
    Set(Name<'a>, Field),
}

/// The name of a file of the host that goes into the image.
pub(super) fn prepared(number: usize) -> String {
    format!("new-{number}")
}

/// Lines that are all commands of ours.
#[derive(Debug, Default)]
pub(super) struct Script(String);

impl Script {
    /// Add a line.
    ///
    /// # Errors
    /// [`ScriptError::Long`] and [`ScriptError::Verb`], for what `debugfs` would not read as this one command.
    pub(super) fn push(&mut self, line: Line<'_>) -> Result<(), ScriptError> {
        self.push_text(&render(line))
    }

    /// The only place where a script grows.
    fn push_text(&mut self, line: &str) -> Result<(), ScriptError> {
        if line.len() >= LINE_BYTES {
            return Err(ScriptError::Long { bytes: line.len() });
        }
        let verb = line.split(' ').next().unwrap_or_default();
        if !VERBS.contains(&verb) || line.contains(char::is_control) {
            return Err(ScriptError::Verb);
        }
        self.0.push_str(line);
        self.0.push('\n');
        Ok(())
    }

    /// As `debugfs -f` reads it.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn render(line: Line<'_>) -> String {
    match line {
        Line::Root => "cd /".into(),
        Line::Enter(name) => format!("cd {}", existing(name)),
        Line::Remove(name) => format!("rm {}", existing(name)),
        Line::Write { source, name } => format!("write {} {}", prepared(source), quote(name.0)),
        Line::Folder(name) => format!("mkdir {}", quote(name.0)),
        Line::Symlink { name, target } => format!("symlink {} {}", quote(name.0), quote(target.0)),
        Line::Set(name, field) => {
            let (field, value) = match field {
                Field::Mode(mode) => ("mode", format!("0{mode:o}")),
                Field::Uid(uid) => ("uid", uid.to_string()),
                Field::Gid(gid) => ("gid", gid.to_string()),
                Field::Atime(time) => ("atime", format!("@{time}")),
                Field::Mtime(time) => ("mtime", format!("@{time}")),
                Field::Ctime(time) => ("ctime", format!("@{time}")),
                Field::Crtime(time) => ("crtime", format!("@{time}")),
            };
            format!("sif {} {field} {value}", existing(name))
        }
    }
}

/// A file that is there. Without `./`, a name such as `<2>` would be the inode of that number.
fn existing(name: Name<'_>) -> String {
    quote(&format!("./{}", name.0))
}

/// A word may have spaces within quotes, and a quote in it is doubled.
fn quote(word: &str) -> String {
    format!("\"{}\"", word.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(lines: &[Line<'_>]) -> String {
        let mut script = Script::default();
        lines.iter().for_each(|line| script.push(*line).unwrap());
        String::from_utf8(script.as_bytes().to_vec()).unwrap()
    }

    /// As libss takes a line apart: blanks part words, quotes hold them together, and a doubled quote is a quote.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    word.get_or_insert_default().push('"');
                }
                '"' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                ' ' if !quoted => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
        }
        assert!(!quoted, "{line}");
        words.extend(word);
        words
    }

    #[test]
    fn a_line_is_one_command_with_quoted_names() {
        let name = Name::new("a \"b\"").unwrap();
        let target = Target::new("/to it").unwrap();
        let lines = [
            Line::Root,
            Line::Enter(Name::new("<2>").unwrap()),
            Line::Remove(name),
            Line::Write { source: 3, name },
            Line::Folder(name),
            Line::Symlink { name, target },
            Line::Set(name, Field::Mode(0o104_755)),
            Line::Set(name, Field::Crtime(9)),
        ];
        let wanted = "cd /\ncd \"./<2>\"\nrm \"./a \"\"b\"\"\"\nwrite new-3 \"a \"\"b\"\"\"\nmkdir \"a \"\"b\"\"\"\n\
            symlink \"a \"\"b\"\"\" \"/to it\"\nsif \"./a \"\"b\"\"\" mode 0104755\nsif \"./a \"\"b\"\"\" crtime @9\n";
        assert_eq!(text(&lines), wanted);
    }

    #[test]
    fn a_name_is_one_component_without_control_characters() {
        for bad in ["", ".", "..", "a/b", "a\nrm x", "a\0", "\u{1b}[2J", "a\u{85}b", &"x".repeat(256)] {
            assert!(matches!(Name::new(bad), Err(ScriptError::Name(_))), "{bad:?}");
        }
        for bad in ["", "a\n!touch x", &"x".repeat(4096)] {
            assert!(matches!(Target::new(bad), Err(ScriptError::Target(_))), "{bad:?}");
        }
        for good in ["!touch x", "-rf", "<2>", "a\\x2db", "ä", &"\"".repeat(255)] {
            Name::new(good).unwrap();
        }
    }

    /// `debugfs` would run what follows the first 8,191 bytes as a command.
    #[test]
    fn a_line_that_debugfs_would_cut_is_refused() {
        let quotes = "\"".repeat(200);
        let command = format!("{}!touch pwned", "\"".repeat(3_800));
        let (name, target) = (Name::new(&quotes).unwrap(), Target::new(&command).unwrap());
        let mut script = Script::default();
        let refused = script.push(Line::Symlink { name, target }).unwrap_err();
        assert!(matches!(refused, ScriptError::Long { bytes } if bytes > 8_000), "{refused}");
        assert_eq!(script.as_bytes(), b"");
    }

    #[test]
    fn a_line_that_is_no_command_of_ours_is_refused() {
        for line in ["!touch x", "", " cd /", "dump / x", "cd /\n!touch x", "cd\t/", "cdx /"] {
            assert_eq!(Script::default().push_text(line), Err(ScriptError::Verb), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_name_is_the_line_has_these_words_and_no_other(name in ".{1,255}", target in ".{1,4100}") {
            let (Ok(name), Ok(target)) = (Name::new(&name), Target::new(&target)) else { return Ok(()) };
            let mut script = Script::default();
            if script.push(Line::Symlink { name, target }).is_ok() {
                let text = std::str::from_utf8(script.as_bytes()).unwrap();
                prop_assert!(text.len() <= LINE_BYTES);
                prop_assert_eq!(text.matches('\n').count(), 1);
                prop_assert_eq!(words(text.trim_end_matches('\n')), ["symlink", name.0, target.0]);
            }
            let removed = render(Line::Remove(name));
            prop_assert_eq!(words(&removed), ["rm".to_owned(), format!("./{}", name.0)]);
        }
    }
}
