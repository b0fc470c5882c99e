//! A Compose file, as far as an update is concerned: which services it has, which image each runs, and where in the text that image is
//! named. An update changes that one name and no other byte, so that comments, order and line ends stay as their author wrote them.
//!
//! Only what leaves no doubt about a service's image is accepted. Whatever could put another image there (variables, anchors, merge keys,
//! other files) is refused with its line and with what to write instead.
mod error;
mod read;

pub use error::{ComposeError, Feature, Problem};

use alloc::{format, string::String, vec::Vec};
use core::ops::Range;

/// A service, and the image that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeService {
    /// Its name.
    pub name: String,
    /// The image, as it is named there.
    pub image: String,
    /// The line of that name, counted from 1.
    pub line: usize,
    /// The bytes of that name, with its quotes.
    span: Range<usize>,
}

/// A Compose file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compose<'a> {
    text: &'a str,
    services: Vec<ComposeService>,
}

impl<'a> Compose<'a> {
    /// Read a file's bytes.
    ///
    /// # Errors
    /// What is wrong with it, or can't be updated, and in which line.
    pub fn parse(bytes: &'a [u8]) -> Result<Compose<'a>, ComposeError> {
        let (text, services) = read::services(bytes)?;
        Ok(Compose { text, services })
    }

    /// All services, in the order of the file.
    pub fn services(&self) -> &[ComposeService] {
        &self.services
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn service(&self, name: &str) -> Result<&ComposeService, ComposeError> {
        let missing = || {
            let services = self.services.iter().map(|s| s.name.clone()).collect();
            ComposeError::NoService { name: name.into(), services }
        };
        self.services.iter().find(|service| service.name == name).ok_or_else(missing)
    }

    /// The file with another image for this service. All other bytes are as they were.
    ///
    /// # Errors
    /// When there is no such service, or it isn't the name of an image.
    pub fn with_image(&self, service: &str, image: &str) -> Result<String, ComposeError> {
        let service = self.service(service)?;
        if !is_reference(image) {
            return Err(ComposeError::NotAnImage { image: crate::text::printable(image, &[]) });
        }
        let (before, after) = (self.text.get(..service.span.start), self.text.get(service.span.end..));
        let quote = self.text.get(service.span.clone()).and_then(|old| old.chars().next());
        let (before, after) = before.zip(after).unwrap_or_default();
        Ok(match quote {
            Some(quote @ ('"' | '\'')) => format!("{before}{quote}{image}{quote}{after}"),
            // Without quotes, this would be a number or a truth value.
            _ if !is_plain(image) => format!("{before}\"{image}\"{after}"),
            _ => format!("{before}{image}{after}"),
        })
    }
}

/// Whether this can be the name of an image: host, path, tag and digest. None of these characters means anything to YAML or to Compose
/// where a name has it.
fn is_reference(image: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let (first, last) = (image.chars().next(), image.chars().next_back());
    image.len() <= read::IMAGE_MAX && image.chars().all(fine) && ends(first) && ends(last)
}

/// Whether the name of an image needs no quotes.
fn is_plain(image: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    image.starts_with(|c: char| c.is_ascii_alphabetic())
        && !WORDS.iter().any(|word| image.eq_ignore_ascii_case(word))
}
