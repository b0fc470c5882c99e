//! Errors by their variants, and what tries a decoder on its vectors.
use crate::common::{extensions, frame};
use bistable_format::bundle::BadHeader;
use bistable_format::channel::OfferError;
use bistable_format::compat::Incompatible;
use bistable_format::extensions::Extension;
use bistable_format::freshness::Stale;
use bistable_format::{DecodeError, EnvelopeError, Extensions, TrustError};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

/// The names of an error's variants. A new variant doesn't compile before it is named here, and then it needs a vector.
macro_rules! variants {
    ($function:ident, $all:ident, $error:ty: $($pattern:pat => $name:literal),+ $(,)?) => {
        fn $function(error: &$error) -> &'static str {
            match error { $($pattern => $name),+ }
        }
        pub(crate) const $all: &[&str] = &[$($name),+];
    };
}

variants!(envelope_variant, ENVELOPE, EnvelopeError:
    EnvelopeError::Magic => "Envelope::Magic",
    EnvelopeError::Role { .. } => "Envelope::Role",
    EnvelopeError::UnknownRole(_) => "Envelope::UnknownRole",
    EnvelopeError::Format { .. } => "Envelope::Format",
    EnvelopeError::TooLarge => "Envelope::TooLarge",
    EnvelopeError::Length => "Envelope::Length",
);

variants!(decode_variant, DECODE, DecodeError:
    DecodeError::TooLarge { .. } => "Decode::TooLarge",
    DecodeError::Malformed(_) => "Decode::Malformed",
    DecodeError::Trailing(_) => "Decode::Trailing",
    DecodeError::Kind { .. } => "Decode::Kind",
    DecodeError::Extension { .. } => "Decode::Extension",
    DecodeError::OtherChunks => "Decode::OtherChunks",
    DecodeError::Invalid { .. } => "Decode::Invalid",
);

variants!(trust_variant, TRUST, TrustError:
    TrustError::Envelope(_) => "Trust::Envelope",
    TrustError::Unsigned(_) => "Trust::Unsigned",
    TrustError::UnknownKey { .. } => "Trust::UnknownKey",
    TrustError::WrongRole { .. } => "Trust::WrongRole",
    TrustError::BadSignature { .. } => "Trust::BadSignature",
    TrustError::Threshold { .. } => "Trust::Threshold",
    TrustError::Decode(_) => "Trust::Decode",
    TrustError::DemoKey { .. } => "Trust::DemoKey",
    TrustError::OtherRepository { .. } => "Trust::OtherRepository",
    TrustError::NeedsAgent { .. } => "Trust::NeedsAgent",
    TrustError::OtherChannel { .. } => "Trust::OtherChannel",
    TrustError::Successor { .. } => "Trust::Successor",
);

variants!(stale_variant, STALE, Stale:
    Stale::OtherChannel { .. } => "Stale::OtherChannel",
    Stale::OtherNumber { .. } => "Stale::OtherNumber",
    Stale::Older { .. } => "Stale::Older",
    Stale::TooFar { .. } => "Stale::TooFar",
    Stale::Expired { .. } => "Stale::Expired",
    Stale::Future { .. } => "Stale::Future",
);

variants!(offer_variant, OFFER, OfferError:
    OfferError::Digest { .. } => "Offer::Digest",
    OfferError::Untrusted(_) => "Offer::Untrusted",
    OfferError::Constraints { .. } => "Offer::Constraints",
);

variants!(incompatible_variant, INCOMPATIBLE, Incompatible:
    Incompatible::Product { .. } => "Incompatible::Product",
    Incompatible::Board { .. } => "Incompatible::Board",
    Incompatible::NotNewer { .. } => "Incompatible::NotNewer",
    Incompatible::SecurityVersion { .. } => "Incompatible::SecurityVersion",
    Incompatible::Running { .. } => "Incompatible::Running",
    Incompatible::Component { .. } => "Incompatible::Component",
    Incompatible::Conflict { .. } => "Incompatible::Conflict",
    Incompatible::TooLarge { .. } => "Incompatible::TooLarge",
    Incompatible::Content { .. } => "Incompatible::Content",
    Incompatible::OtherComponent { .. } => "Incompatible::OtherComponent",
    Incompatible::Kind { .. } => "Incompatible::Kind",
    Incompatible::UnreadableBound(_) => "Incompatible::UnreadableBound",
    Incompatible::UnknownCheck { .. } => "Incompatible::UnknownCheck",
    Incompatible::Ungated => "Incompatible::Ungated",
);

variants!(header_variant, HEADER, BadHeader: BadHeader => "BadHeader");

/// An error's variant, and those of what it passes on.
pub(crate) trait Refusal: Display + Debug {
    fn variants(&self) -> Vec<&'static str>;
}

macro_rules! plain {
    ($($error:ty: $function:ident),+) => {
        $(impl Refusal for $error {
            fn variants(&self) -> Vec<&'static str> {
                vec![$function(self)]
            }
        })+
    };
}

plain!(EnvelopeError: envelope_variant, DecodeError: decode_variant, Stale: stale_variant,
    Incompatible: incompatible_variant, BadHeader: header_variant);

impl Refusal for TrustError {
    fn variants(&self) -> Vec<&'static str> {
        let inner = match self {
            TrustError::Envelope(e) => e.variants(),
            TrustError::Decode(e) => e.variants(),
            _ => vec![],
        };
        [vec![trust_variant(self)], inner].concat()
    }
}

impl Refusal for OfferError {
    fn variants(&self) -> Vec<&'static str> {
        let inner = match self {
            OfferError::Untrusted(e) => e.variants(),
            OfferError::Digest { .. } | OfferError::Constraints { .. } => vec![],
        };
        [vec![offer_variant(self)], inner].concat()
    }
}

/// What one decoder refuses.
pub(crate) struct Section {
    pub(crate) decoder: &'static str,
    pub(crate) rows: Vec<(&'static str, String)>,
    pub(crate) seen: BTreeSet<&'static str>,
}

/// Try a decoder on each vector, and on the good value before and after each. It must give these variants of errors, each
/// at least once, and no others.
pub(crate) fn section<T, E: Refusal>(
    decoder: &'static str,
    good: &T,
    decode: impl Fn(&T) -> Result<(), E>,
    expected: &[&[&'static str]],
    vectors: Vec<(&'static str, T)>,
) -> Section {
    decode(good).unwrap_or_else(|e| panic!("{decoder}: the good value: {e}"));
    let mut section = Section { decoder, rows: vec![], seen: BTreeSet::new() };
    for (name, bad) in vectors {
        let Err(error) = decode(&bad) else { panic!("{decoder}: {name} is accepted") };
        section.seen.extend(error.variants());
        assert!(section.rows.iter().all(|(other, _)| *other != name), "{decoder}: {name} is there twice");
        section.rows.push((name, error.to_string()));
        decode(good).unwrap_or_else(|e| panic!("{decoder}: the good value after {name}: {e}"));
    }
    let expected: BTreeSet<_> = expected.concat().into_iter().collect();
    assert_eq!(section.seen, expected, "{decoder}: the variants of its errors");
    section
}

pub(crate) fn spoiled<T: Serialize>(mut value: T, spoil: impl FnOnce(&mut T)) -> Vec<u8> {
    spoil(&mut value);
    frame(&value)
}

pub(crate) fn cut(bytes: &[u8], by: usize) -> Vec<u8> {
    bytes[..bytes.len() - by].to_vec()
}

pub(crate) fn and(bytes: &[u8], more: &[u8]) -> Vec<u8> {
    [bytes, more].concat()
}

pub(crate) fn changed(bytes: &[u8], at: usize, to: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    assert_ne!(bytes[at], to);
    bytes[at] = to;
    bytes
}

pub(crate) fn odd() -> Extensions {
    extensions(7)
}

pub(crate) fn unordered() -> Extensions {
    Extensions([4, 2].map(|id| Extension { id, bytes: vec![] }).to_vec())
}

pub(crate) fn bytes_over(limit: usize) -> Vec<u8> {
    vec![0; limit + 1]
}
