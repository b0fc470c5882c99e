//! Offers that can't be opened: the release is missing, damaged, or signed by a key that the root doesn't trust.
//!
//! One such offer must not stop the others: with write access to the store, or a key for channels, an attacker could keep devices
//! from every fix. So it is reported, and the next one that fits is considered. It is no verdict on a release: none is rejected
//! (I16).
use super::{CheckError, Found};
use crate::{
    Error,
    source::Source,
    steps::install::{BundleError, Opened},
};
use bistable_format::{Digest, Offer, TrustError, choice, compat::Direction, repository};
use semver::Version;
use serde::Serialize;

/// How many offers that can't be opened a check tries (I11): each may cost a fetch of 66 KiB from each mirror.
const TRIED_MAX: usize = 4;

/// An offer that fits this device and can't be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unusable {
    /// Its version.
    pub version: String,
    /// The problem.
    pub problem: String,
    /// Whether a signature or a digest is wrong; otherwise the repository is incomplete.
    #[serde(skip)]
    pub forged: bool,
    #[serde(skip)]
    identity: Digest,
}

impl Found {
    /// Offers that fit and couldn't be opened, the newest first.
    pub fn unusable(&self) -> &[Unusable] {
        &self.unusable
    }

    /// Fetch the release that the device takes, and verify that it is what the channel says: nothing but the way to it can
    /// be wrong with it afterwards. One that can't be opened is noted, and the next one that fits is tried. If a version is
    /// named, it is that one or none.
    ///
    /// # Errors
    /// As for [`pick`](Self::pick) and [`fetch`](Self::fetch).
    pub fn open(
        &mut self,
        source: &mut dyn Source,
        version: Option<&Version>,
    ) -> Result<(Opened, Direction), Error> {
        loop {
            let (offer, direction) = self.pick(version)?;
            let (forged, problem) = match self.fetch(offer, source) {
                Ok(opened) => return Ok((opened, direction)),
                Err(e) if version.is_some() => return Err(e),
                Err(Error::Check(CheckError::Source(e))) => return Err(CheckError::Source(e).into()),
                Err(Error::Bundle(e)) if e.is_transport() => return Err(e.into()),
                Err(Error::Bundle(e)) => (e.is_untrusted(), e.to_string()),
                Err(Error::Check(e)) => (e.is_untrusted(), e.to_string()),
                Err(e) => return Err(e),
            };
            let (version, identity) = (offer.terms.version.to_string(), offer.identity);
            log::warn!("event=offer-unusable version={version} reason=\"{problem}\"");
            self.unusable.push(Unusable { version, problem, forged, identity });
        }
    }

    /// Fetch an offer's release, and verify that it is what the channel says.
    ///
    /// # Errors
    /// [`CheckError::Offer`], or [`BundleError`] when it can't be had.
    pub fn fetch(&self, offer: &Offer, source: &mut dyn Source) -> Result<Opened, Error> {
        let at = || format!("{}/{}", self.source, repository::blob(&offer.release));
        let untrusted = |problem: TrustError| CheckError::Untrusted { at: at(), problem };
        let opened = match Opened::fetch(source, offer.release, &self.root) {
            Err(BundleError::Untrusted(problem)) => return Err(untrusted(problem).into()),
            opened => opened?,
        };
        let verified = offer.open(opened.signed(), &self.root);
        verified.map_err(|problem| CheckError::Offer { at: at(), problem })?;
        Ok(opened)
    }

    /// Why an offer can't be used, if that is known.
    pub(super) fn why_unusable(&self, offer: &Offer) -> Option<&Unusable> {
        self.unusable.iter().find(|u| u.identity == offer.identity)
    }

    /// The newest offer that fits and wasn't found unusable, while any more of them may be tried.
    pub(super) fn taken<'c>(&self, choice: &choice::Choice<'c>) -> Option<&'c Offer> {
        if self.unusable.len() >= TRIED_MAX {
            return None;
        }
        let mut fitting = choice.considered.iter().filter(|c| matches!(c.verdict, choice::Verdict::Fits(_)));
        fitting.find(|c| self.why_unusable(c.offer).is_none()).map(|c| c.offer)
    }

    /// The error when only offers fit that can't be opened.
    pub(super) fn nothing_usable(&self) -> Option<CheckError> {
        let first = self.unusable.first()?;
        Some(CheckError::Unusable {
            version: first.version.clone(),
            problem: first.problem.clone(),
            others: self.unusable.len() - 1,
            forged: self.unusable.iter().any(|u| u.forged),
        })
    }
}
