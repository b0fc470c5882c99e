//! Files in memory that go wrong as they are told to: the test twin of every other source.
use super::{Others, Source, SourceError, Span};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

/// What goes wrong with one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// The connection breaks when this many bytes have come.
    Cut(u64),
    /// One bit of the byte at this place of the file is wrong.
    Flip(u64),
    /// It isn't there.
    Missing,
    /// No server answers.
    Unreachable,
    /// The file is another one than before.
    Changed,
}

/// What a source has served so far. Clones look at the same.
#[derive(Clone, Debug, Default)]
pub struct Served(Arc<Mutex<Vec<(String, u64, u64)>>>);

impl Served {
    /// Each run of bytes: of which file, from, to (exclusive).
    pub fn runs(&self) -> Vec<(String, u64, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.runs().iter().map(|(_, from, to)| to - from).sum()
    }

    fn add(&self, path: &str, from: u64, to: u64) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match runs.last_mut() {
            Some((last, _, end)) if last == path && *end == from => *end = to,
            _ => runs.push((path.into(), from, to)),
        }
    }
}

/// Files by path.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The files.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What happens to the next questions, in order; nothing to those after them.
    pub flaws: VecDeque<Flaw>,
    /// What happens to every question after those.
    pub always: Option<Flaw>,
    served: Served,
    open: Option<Open>,
}

#[derive(Clone, Debug)]
struct Open {
    path: String,
    at: u64,
    to: u64,
    flaw: Flaw,
    given: u64,
}

impl Memory {
    /// These files.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Memory {
        Memory { files: files.into_iter().collect(), ..Memory::default() }
    }

    /// What it serves, from now on and before.
    pub fn served(&self) -> Served {
        self.served.clone()
    }

    fn flaw(&mut self) -> Flaw {
        self.flaws.pop_front().or(self.always).unwrap_or(Flaw::None)
    }

    fn flawed(at: &str, flaw: Flaw) -> Result<(), SourceError> {
        let at = at.to_owned();
        match flaw {
            Flaw::Unreachable => Err(SourceError::Unreachable { at, problem: "no answer".into() }),
            Flaw::Changed => Err(SourceError::Changed { at }),
            Flaw::Missing => Err(SourceError::NotThere { at }),
            Flaw::None | Flaw::Cut(_) | Flaw::Flip(_) => Ok(()),
        }
    }
}

impl Source for Memory {
    fn name(&self) -> String {
        "memory".into()
    }

    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let flaw = self.flaw();
        if flaw == Flaw::Missing {
            return Ok(None);
        }
        Memory::flawed(path, flaw)?;
        let Some(mut bytes) = self.files.get(path).cloned() else { return Ok(None) };
        if bytes.len() > limit {
            return Err(SourceError::TooLarge { at: path.into(), limit: limit as u64 });
        }
        if let Flaw::Cut(byte) = flaw {
            return Err(SourceError::Cut { at: path.into(), byte, problem: "cut".into() });
        }
        if let Flaw::Flip(at) = flaw
            && let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1;
        }
        self.served.add(path, 0, bytes.len() as u64);
        Ok(Some(bytes))
    }

    fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
        self.open = None;
        let flaw = self.flaw();
        Memory::flawed(path, flaw)?;
        let bytes = self.files.get(path).map(|bytes| bytes.len() as u64);
        let bytes = bytes.ok_or_else(|| SourceError::NotThere { at: path.into() })?;
        let to = span.to.unwrap_or(bytes);
        if to > bytes || span.from > to {
            return Err(SourceError::Short { at: path.into(), bytes, wanted: to });
        }
        self.open = Some(Open { path: path.into(), at: span.from, to, flaw, given: 0 });
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        let Some(open) = &mut self.open else { return Ok(0) };
        let mut most = (open.to - open.at).min(into.len() as u64);
        if let Flaw::Cut(after) = open.flaw {
            most = most.min(after.saturating_sub(open.given));
            if most == 0 && open.at < open.to {
                let cut = SourceError::Cut { at: open.path.clone(), byte: open.at, problem: "cut".into() };
                self.open = None;
                return Err(cut);
            }
        }
        let end = open.at + most;
        let (Ok(from), Ok(to)) = (usize::try_from(open.at), usize::try_from(end)) else { return Ok(0) };
        let bytes = self.files.get(&open.path).and_then(|bytes| bytes.get(from..to)).unwrap_or_default();
        into[..bytes.len()].copy_from_slice(bytes);
        if let Flaw::Flip(at) = open.flaw
            && (open.at..end).contains(&at)
        {
            into[usize::try_from(at - open.at).unwrap_or(0)] ^= 1;
        }
        if most > 0 {
            self.served.add(&open.path, open.at, end);
        }
        open.at = end;
        open.given += most;
        Ok(bytes.len())
    }

    fn report_corrupt(&mut self) -> Others {
        Others::None
    }
}
