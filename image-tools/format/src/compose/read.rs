//! From the events of a YAML parser to services. Nothing is kept of the file but the keys above the current place.
use super::{ComposeError, ComposeService, Feature, Problem, is_reference};
use crate::{limits, name::check_name, text::printable};
use alloc::{borrow::Cow, collections::BTreeSet, format, string::String, vec::Vec};
use core::ops::Range;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Levels of a file at most.
const DEPTH: usize = 32;
/// Bytes of an image's name at most.
pub(super) const IMAGE_MAX: usize = 512;
/// Bytes of a key in a message at most.
const SHOWN: usize = 80;

/// The services of a file, and its text.
pub(super) fn services(bytes: &[u8]) -> Result<(&str, Vec<ComposeService>), ComposeError> {
    if bytes.len() > limits::COMPOSE {
        return Err(ComposeError::TooLarge { bytes: bytes.len(), limit: limits::COMPOSE });
    }
    let text = core::str::from_utf8(bytes).map_err(|e| ComposeError::NotUtf8 { at: e.valid_up_to() })?;
    let mut reading = Reading { text, stack: Vec::new(), documents: 0, services: Vec::new() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|e| ComposeError::NotYaml { line: e.marker().line(), what: printable(e.info(), &[]) })?;
        reading.event(event, &span)?;
    }
    reading.finish()
}

/// A mapping or a list that is open.
enum Frame {
    Mapping {
        keys: BTreeSet<String>,
        /// The key whose value comes next.
        key: Option<String>,
    },
    List,
}

/// What is known of a service so far.
struct Found {
    name: String,
    line: usize,
    image: Option<(String, usize, Range<usize>)>,
    builds: bool,
}

struct Reading<'a> {
    text: &'a str,
    stack: Vec<Frame>,
    documents: usize,
    services: Vec<Found>,
}

impl<'a> Reading<'a> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), ComposeError> {
        let line = span.start.line();
        let refuse = |feature| Err(ComposeError::Feature { line, feature });
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { refuse(Feature::Documents) } else { Ok(()) }
            }
            Event::Alias(_) => refuse(Feature::Alias),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                refuse(Feature::Anchor)
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => refuse(Feature::Tag),
            Event::Scalar(value, style, ..) => self.scalar(value, style, span),
            Event::MappingStart(..) => self.open(Frame::Mapping { keys: BTreeSet::new(), key: None }, line),
            Event::SequenceStart(..) => self.open(Frame::List, line),
            Event::MappingEnd | Event::SequenceEnd => {
                self.stack.pop();
                self.value_ended();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    /// The keys that lead to the value that comes next; none within a list.
    fn path(&self) -> Option<Vec<&str>> {
        path_of(&self.stack)
    }

    fn open(&mut self, frame: Frame, line: usize) -> Result<(), ComposeError> {
        let refuse = |feature| Err(ComposeError::Feature { line, feature });
        if matches!(self.stack.last(), Some(Frame::Mapping { key: None, .. })) {
            return refuse(Feature::Key);
        }
        if self.stack.len() == DEPTH {
            return refuse(Feature::Depth);
        }
        let list = matches!(frame, Frame::List);
        match self.path().as_deref() {
            Some([]) | Some(["services"]) if list => return refuse(Feature::Services),
            Some(["services", service]) if list => {
                return Err(problem(line, service, Problem::Settings));
            }
            Some(["services", service]) => {
                let name = (*service).into();
                self.services.push(Found { name, line, image: None, builds: false });
                if self.services.len() > limits::SERVICES {
                    return Err(ComposeError::TooManyServices { limit: limits::SERVICES });
                }
            }
            Some(["services", service, "image"]) => {
                return Err(problem(line, service, Problem::NotScalar));
            }
            _ => {}
        }
        self.stack.push(frame);
        Ok(())
    }

    fn scalar(&mut self, value: Cow<'_, str>, style: ScalarStyle, span: &Span) -> Result<(), ComposeError> {
        let line = span.start.line();
        if let Some(Frame::Mapping { key: None, .. }) = self.stack.last() {
            return self.key(value, style, line);
        }
        match self.path().as_deref() {
            Some([]) => {
                // An empty file is one empty text.
                return Err(ComposeError::NoServices);
            }
            Some(["services"]) if is_null(&value, style) => return Err(ComposeError::NoServices),
            Some(["services"]) => {
                return Err(ComposeError::Feature { line, feature: Feature::Services });
            }
            Some(["services", service]) => return Err(problem(line, service, Problem::Settings)),
            Some(["services", service, "image"]) => {
                let image = self.image(service, &value, style, span)?;
                if let Some(found) = self.services.last_mut() {
                    found.image = Some(image);
                }
            }
            _ => {}
        }
        self.value_ended();
        Ok(())
    }

    fn key(&mut self, value: Cow<'_, str>, style: ScalarStyle, line: usize) -> Result<(), ComposeError> {
        let refuse = |feature| Err(ComposeError::Feature { line, feature });
        if value == "<<" && style == ScalarStyle::Plain {
            return refuse(Feature::Merge);
        }
        let inside = match self.stack.split_last() {
            Some((_, above)) => path_of(above),
            None => None,
        };
        match (inside.as_deref(), &*value) {
            (Some([]), "include") => return refuse(Feature::Include),
            (Some(["services", service]), "extends") => {
                return Err(problem(line, service, Problem::Extends));
            }
            (Some(["services", service]), "profiles") => {
                return Err(problem(line, service, Problem::Profiles));
            }
            (Some(["services", _]), "build") => {
                if let Some(found) = self.services.last_mut() {
                    found.builds = true;
                }
            }
            (Some(["services"]), name) if check_name("service", name).is_err() => {
                return Err(problem(line, name, Problem::Name));
            }
            _ => {}
        }
        let name = value.into_owned();
        if let Some(Frame::Mapping { keys, key }) = self.stack.last_mut() {
            if !keys.insert(name.clone()) {
                return Err(ComposeError::Twice { line, key: shown(&name) });
            }
            *key = Some(name);
        }
        Ok(())
    }

    /// A service's image, and the bytes that name it.
    fn image(
        &self,
        service: &str,
        value: &str,
        style: ScalarStyle,
        span: &Span,
    ) -> Result<(String, usize, Range<usize>), ComposeError> {
        let line = span.start.line();
        let wrong = |what| Err(problem(line, service, what));
        if is_null(value, style) || value.is_empty() {
            return wrong(Problem::NoImage);
        }
        if value.contains('$') {
            return wrong(Problem::Variable { image: shown(value) });
        }
        if !is_reference(value) {
            return wrong(Problem::NotAnImage { image: shown(value) });
        }
        // Whatever the parser made of it, what will be replaced is this name and nothing else. Where it ends follows from the name:
        // the parser's own mark is behind the blanks and comments that follow a quote.
        let start = byte_at(self.text, span.start.index());
        let written: String = match style {
            ScalarStyle::Plain => value.into(),
            ScalarStyle::SingleQuoted => format!("'{value}'"),
            ScalarStyle::DoubleQuoted => format!("\"{value}\""),
            ScalarStyle::Literal | ScalarStyle::Folded => return wrong(Problem::NotScalar),
        };
        if self.text.get(start..).is_some_and(|rest| rest.starts_with(&written)) {
            Ok((value.into(), line, start..start + written.len()))
        } else {
            wrong(Problem::NotScalar)
        }
    }

    fn value_ended(&mut self) {
        if let Some(Frame::Mapping { key, .. }) = self.stack.last_mut() {
            *key = None;
        }
    }

    fn finish(self) -> Result<(&'a str, Vec<ComposeService>), ComposeError> {
        let service = |found: Found| match found.image {
            Some((image, line, span)) => Ok(ComposeService { name: found.name, image, line, span }),
            None => {
                let what = if found.builds { Problem::Build } else { Problem::NoImage };
                Err(problem(found.line, &found.name, what))
            }
        };
        let services: Vec<_> = self.services.into_iter().map(service).collect::<Result<_, _>>()?;
        if services.is_empty() { Err(ComposeError::NoServices) } else { Ok((self.text, services)) }
    }
}

/// The keys that lead to a mapping; none within a list.
fn path_of(above: &[Frame]) -> Option<Vec<&str>> {
    above
        .iter()
        .map(|frame| match frame {
            Frame::Mapping { key, .. } => key.as_deref(),
            Frame::List => None,
        })
        .collect()
}

fn problem(line: usize, service: &str, problem: Problem) -> ComposeError {
    ComposeError::Service { line, service: shown(service), problem }
}

/// A foreign text for a message.
fn shown(text: &str) -> String {
    printable(&text.chars().take(SHOWN).collect::<String>(), &[])
}

/// What is written without a value.
fn is_null(value: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(value, "" | "~" | "null" | "Null" | "NULL")
}

/// The parser counts characters.
fn byte_at(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}
