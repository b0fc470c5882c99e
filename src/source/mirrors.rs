//! Several sources with the same files.
use super::{Others, Source, SourceError, Span};

/// A source that was wrong so often isn't asked any more for what was wrong.
const WRONG_MAX: u32 = 2;

/// Sources with the same files. The one that works is asked again; one that fails gives way to the next, which continues
/// at the same byte; one that gave wrong bytes is asked last.
#[allow(missing_debug_implementations, reason = "the sources are trait objects")]
pub struct Mirrors {
    mirrors: Vec<Mirror>,
    /// Failures of any so far.
    failures: u64,
    path: String,
    span: Span,
    /// Whom to ask for this range, in this order.
    turn: Vec<usize>,
    /// Whose turn it is.
    at: usize,
    /// The first trouble of this turn that may pass by itself.
    passing: Option<SourceError>,
}

struct Mirror {
    source: Box<dyn Source>,
    /// How often it gave wrong bytes.
    wrong: u32,
    /// When it failed last, in failures of any; 0 for never.
    failed: u64,
}

impl Mirrors {
    /// These, in this order.
    pub fn new(sources: impl IntoIterator<Item = Box<dyn Source>>) -> Mirrors {
        let mirror = |source| Mirror { source, wrong: 0, failed: 0 };
        let mirrors = sources.into_iter().map(mirror).collect();
        let (path, span) = (String::new(), Span::WHOLE);
        Mirrors { mirrors, failures: 0, path, span, turn: Vec::new(), at: 0, passing: None }
    }

    /// Begin with the first again.
    fn all(&mut self) {
        (self.turn, self.at, self.passing) = (self.order(), 0, None);
    }

    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.mirrors.len()).collect();
        order.sort_by_key(|i| self.mirrors.get(*i).map(|m| (m.wrong, m.failed)));
        order
    }

    fn current(&mut self) -> Option<&mut Mirror> {
        let index = *self.turn.get(self.at)?;
        self.mirrors.get_mut(index)
    }

    /// It failed: the next one's turn. If there is none, an error is given back: one that may pass by itself, if there was
    /// such a one, for then asking again may help.
    fn next(&mut self, e: SourceError) -> Result<(), SourceError> {
        self.failures += 1;
        let failures = self.failures;
        if let Some(mirror) = self.current() {
            mirror.failed = failures;
        }
        self.at += 1;
        if self.at < self.turn.len() {
            log::warn!(mirror:% = self.at, reason:% = e; "next_mirror");
            if e.is_transport() {
                self.passing.get_or_insert(e);
            }
            return Ok(());
        }
        Err(if e.is_transport() { e } else { self.passing.take().unwrap_or(e) })
    }

    /// The current one goes to the range, or else one after it.
    fn go(&mut self) -> Result<(), SourceError> {
        let (path, span) = (self.path.clone(), self.span);
        loop {
            let Some(mirror) = self.current() else { return Err(none()) };
            match mirror.source.open_range(&path, span) {
                Ok(()) => return Ok(()),
                Err(e) => self.next(e)?,
            }
        }
    }
}

fn none() -> SourceError {
    SourceError::Address { text: String::new(), problem: "there is no source".into() }
}

impl Source for Mirrors {
    fn name(&self) -> String {
        let first = self.turn.get(self.at).or(self.order().first()).copied();
        first.and_then(|i| self.mirrors.get(i)).map(|m| m.source.name()).unwrap_or_default()
    }

    /// The first answer counts. That it isn't there is only an answer if no other has it.
    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        self.all();
        let mut missing = false;
        let mut failed = none();
        while let Some(mirror) = self.current() {
            match mirror.source.get(path, limit) {
                Ok(Some(bytes)) => return Ok(Some(bytes)),
                Ok(None) => {
                    missing = true;
                    self.at += 1;
                }
                Err(e) => match self.next(e) {
                    Ok(()) => {}
                    Err(e) => failed = e,
                },
            }
        }
        if !missing {
            return Err(failed);
        }
        // The last one's trouble is what `next` gave back.
        if failed.is_transport() {
            self.passing.get_or_insert(failed);
        }
        Ok(None)
    }

    fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
        (self.path, self.span) = (path.into(), span);
        self.all();
        self.go()
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            let Some(mirror) = self.current() else { return Err(none()) };
            match mirror.source.read(into) {
                Ok(n) => {
                    self.span.from += n as u64;
                    return Ok(n);
                }
                Err(e) => {
                    self.next(e)?;
                    self.go()?;
                }
            }
        }
    }

    fn unasked(&mut self) -> Option<SourceError> {
        self.passing.take()
    }

    fn report_corrupt(&mut self) -> Others {
        if let Some(mirror) = self.current() {
            mirror.wrong += 1;
        }
        if self.mirrors.iter().any(|m| m.wrong < WRONG_MAX) { Others::Next } else { Others::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Flaw, Memory, Served, fill};

    fn mirrors(flaws: &[&[Flaw]]) -> (Mirrors, Vec<Served>) {
        let memories: Vec<Memory> = flaws
            .iter()
            .map(|flaws| {
                let mut memory = Memory::new([("f".to_owned(), (0..200).collect())]);
                memory.flaws = flaws.to_vec().into();
                memory
            })
            .collect();
        let served = memories.iter().map(Memory::served).collect();
        (Mirrors::new(memories.into_iter().map(|m| Box::new(m) as Box<dyn Source>)), served)
    }

    fn whole(mirrors: &mut Mirrors) -> Result<Vec<u8>, SourceError> {
        mirrors.open_range("f", Span::WHOLE)?;
        let mut bytes = vec![0; 200];
        fill(mirrors, &mut bytes).map(|()| bytes)
    }

    fn bytes(served: &[Served]) -> Vec<u64> {
        served.iter().map(Served::bytes).collect()
    }

    /// An empty mirror's answer doesn't hide that another one, which may have the file, couldn't be asked.
    #[test]
    fn what_is_missing_on_one_mirror_may_be_on_the_one_that_was_not_asked() {
        for order in [[0, 1], [1, 0]] {
            let sources = order.map(|i| -> Box<dyn Source> {
                let mut memory = Memory::new([]);
                memory.flaws = [Flaw::Unreachable].into_iter().filter(|_| i == 1).collect();
                Box::new(memory)
            });
            let mut m = Mirrors::new(sources);
            assert_eq!(m.get("f", 10).unwrap(), None);
            assert!(matches!(m.unasked(), Some(SourceError::Unreachable { .. })), "{order:?}");
            assert_eq!(m.get("f", 10).unwrap(), None);
            assert!(m.unasked().is_none(), "both were asked");
        }
    }

    #[test]
    fn next_mirror_continues_and_is_asked_first_from_then_on() {
        let (mut m, served) = mirrors(&[&[Flaw::Cut(50)], &[Flaw::Unreachable], &[]]);
        assert!(whole(&mut m).unwrap() == (0..200).collect::<Vec<u8>>());
        assert_eq!(bytes(&served), [50, 0, 150]);
        whole(&mut m).unwrap();
        assert_eq!(bytes(&served), [50, 0, 350], "the one that works is kept");
    }

    #[test]
    fn who_gave_wrong_bytes_comes_last_but_is_still_asked() {
        let (mut m, served) = mirrors(&[&[], &[Flaw::Cut(10), Flaw::Unreachable, Flaw::Cut(10)]]);
        whole(&mut m).unwrap();
        assert_eq!(m.report_corrupt(), Others::Next);
        whole(&mut m).unwrap();
        assert_eq!(bytes(&served), [200 + 190, 10]);
        assert_eq!(m.report_corrupt(), Others::Next, "the other one may still be right");
        whole(&mut m).unwrap();
        whole(&mut m).unwrap();
        assert_eq!(bytes(&served), [390 + 200 + 190, 20]);
    }

    #[test]
    fn when_all_fail_it_says_so_and_not_there_needs_everybody() {
        let (mut m, _) = mirrors(&[&[Flaw::Cut(3)], &[Flaw::Cut(4)]]);
        assert!(matches!(whole(&mut m), Err(SourceError::Cut { byte: 7, .. })));
        let (mut m, _) = mirrors(&[&[Flaw::Missing], &[]]);
        assert_eq!(m.get("f", 999).unwrap().unwrap().len(), 200);
        let (mut m, _) = mirrors(&[&[Flaw::Missing], &[Flaw::Unreachable]]);
        assert!(m.get("f", 999).unwrap().is_none());
        let (mut m, _) = mirrors(&[&[Flaw::Unreachable], &[Flaw::Unreachable]]);
        assert!(m.get("f", 999).is_err());
        // A mirror that may be back is worth more than one without the file.
        for flaws in [[Flaw::Unreachable, Flaw::Missing], [Flaw::Missing, Flaw::Unreachable]] {
            let (mut m, _) = mirrors(&[&flaws[..1], &flaws[1..]]);
            assert!(m.open_range("f", Span::WHOLE).unwrap_err().is_transport(), "{flaws:?}");
        }
        assert!(Mirrors::new([]).open_range("f", Span::WHOLE).is_err());
        assert!(Mirrors::new([]).get("f", 1).is_err());
    }
}
