//! What a person calls a release: the same in every command.
//!
//! ```text
//! release  = version | identity | of | of " " version
//! of       = product | component | product "/" component
//! ```
//! `1.2.0`, `core 2.0.0`, `hub/core 2.0.0`, or at least 8 digits of an identity. Without a version the command takes the only one, or the
//! newest, as it says. The options `--product` and `--component` narrow it down.
use super::{EditError, names, withdrawn};
use bistable_format::name::{Subject, what};
use bistable_format::{Channel, Digest, Offer};
use semver::Version;

/// Fewest digits of an identity that name a release.
const DIGITS: usize = 8;

/// A release, as a person names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Only this product's.
    pub product: Option<String>,
    /// Only this component's.
    pub component: Option<String>,
    /// See the grammar; all of them if empty.
    pub what: String,
}

impl Selector {
    /// A release that is named by this alone.
    pub fn new(what: &str) -> Selector {
        Selector { what: what.into(), ..Selector::default() }
    }

    /// Whether it names a version or an identity, and so one release.
    pub fn names_one(&self) -> bool {
        self.version().is_some() || self.digits().is_some()
    }

    /// Whether releases of this are meant.
    pub fn is_of(&self, subject: Subject<'_>) -> bool {
        let (product, component) = subject;
        let is_called = match self.of() {
            None => true,
            Some(of) => match of.split_once('/') {
                Some((p, c)) => (p, Some(c)) == subject,
                None => component.unwrap_or(product) == of,
            },
        };
        is_called
            && self.product.as_ref().is_none_or(|p| p == product)
            && self.component.as_ref().is_none_or(|c| Some(c.as_str()) == component)
    }

    /// Whether a release is meant.
    pub fn is_meant(&self, subject: Subject<'_>, version: &Version, identity: &Digest) -> bool {
        let is_it = match (self.version(), self.digits()) {
            (Some(wanted), _) => wanted == *version,
            (None, Some(digits)) => identity.to_string().starts_with(digits),
            (None, None) => true,
        };
        is_it && self.is_of(subject)
    }

    /// Find the one offer that is meant.
    ///
    /// # Errors
    /// [`EditError::NotOffered`], [`EditError::Ambiguous`], [`EditError::Withdrawn`].
    pub fn find<'a>(&self, channel: &'a Channel) -> Result<&'a Offer, EditError> {
        let is_meant =
            |o: &&Offer| self.is_meant(o.constraints.subject(), &o.constraints.version, &o.identity);
        let mut found = channel.offers.iter().filter(is_meant);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => {
                Err(EditError::Ambiguous { channel: channel.name.clone(), what: self.shown() })
            }
            (None, _) => {
                let mut gone = channel.withdrawn.iter().rev();
                let bad =
                    gone.find(|w| self.names_one() && self.is_meant(w.subject(), &w.version, &w.identity));
                Err(bad.map_or_else(|| self.not_offered(channel), |bad| withdrawn(&channel.name, bad)))
            }
        }
    }

    /// That nothing of what is meant is on offer.
    pub fn not_offered(&self, channel: &Channel) -> EditError {
        EditError::NotOffered { channel: channel.name.clone(), what: self.shown(), offered: names(channel) }
    }

    /// As messages have it.
    pub fn shown(&self) -> String {
        let of = match (self.of(), self.product.as_deref(), self.component.as_deref()) {
            (Some(of), ..) => Some(of.to_owned()),
            (None, Some(product), component) => Some(what((product, component))),
            (None, None, component) => component.map(Into::into),
        };
        let one = self.version().map(|v| v.to_string()).or_else(|| self.digits().map(Into::into));
        match (of, one) {
            (Some(of), Some(one)) => format!("{of} {one}"),
            (of, one) => of.or(one).unwrap_or_else(|| "release".into()),
        }
    }

    /// The last word, if it is a version.
    fn version(&self) -> Option<Version> {
        Version::parse(self.what.rsplit(' ').next().unwrap_or_default()).ok()
    }

    /// All of it, if it is the beginning of an identity. A component whose name looks like one is named with its product.
    fn digits(&self) -> Option<&str> {
        let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        (self.what.len() >= DIGITS && self.what.bytes().all(is_digit)).then_some(&self.what)
    }

    /// What is before the version, or all of it.
    fn of(&self) -> Option<&str> {
        let of = match (self.version(), self.digits()) {
            (Some(_), _) => self.what.rsplit_once(' ').map_or("", |(of, _)| of),
            (None, Some(_)) => "",
            (None, None) => &self.what,
        };
        Some(of).filter(|of| !of.is_empty())
    }
}
