use bistable_format::text::printable;
use serde::{Serialize, Serializer};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Problem {
    /// The file.
    #[serde(serialize_with = "shown")]
    pub file: PathBuf,
    /// Its line, from 1, if one is to blame.
    pub line: Option<usize>,
    /// What is wrong, and what is allowed.
    pub text: String,
}

/// A name that is no Unicode is shown all the same.
fn shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Problem {
    /// A problem in a file. Much of its text quotes the file, so that it is made printable.
    pub(super) fn new(file: impl Into<PathBuf>, line: Option<usize>, text: &str) -> Problem {
        Problem { file: file.into(), line, text: printable(text, &[]) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.text),
            None => write!(f, "{}: {}", self.file.display(), self.text),
        }
    }
}

/// Everything that is wrong with the configuration. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong, in the order of files and lines.
    pub problems: Vec<Problem>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.problems.as_slice() {
            return write!(f, "configuration: {one}");
        }
        write!(f, "configuration: {} problems", self.problems.len())?;
        self.problems.iter().try_for_each(|p| write!(f, "\n  {p}"))
    }
}
