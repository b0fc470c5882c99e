//! Offers that can't be opened: the release is missing, damaged, or signed by a key that the root doesn't trust.
//!
//! One such offer must not stop the others: with write access to the store, or a key for channels, an attacker could keep devices
//! from every fix. So it is reported, and the next one that fits is considered. It is no verdict on a release: none is rejected
//! (I16).
//!
//! For the same reason it must not cost the update in flight: that one's signed release is in the `state` partition, and nothing
//! older is taken instead of it.
use super::{Found, InFlight};
use crate::{
    Error,
    error::{BundleError, CheckError},
    source::Source,
    steps::install::Opened,
};
use bistable_format::{
    Digest, Offer, TrustError, choice,
    compat::{self, Direction},
    repository,
};
use semver::Version;
use serde::Serialize;

/// How many offers that can't be opened a check tries (I11): each may cost a fetch of 66 KiB from each mirror.
const TRIED_MAX: usize = 4;

/// An offer that fits this device and can't be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unusable {
    /// The component that it is of; `None` for the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
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
    /// be wrong with it afterwards. One that can't be opened is noted, and the next one that fits is tried; the update in flight
    /// is opened from the card if need be. If a version is named, it is that one or none.
    ///
    /// # Errors
    /// As for [`pick`](Self::pick) and [`fetch`](Self::fetch); [`CheckError::Older`] if only releases older than the update in
    /// flight are left. If trouble on the way to a release is why none is left, that.
    pub fn open(
        &mut self,
        source: &mut dyn Source,
        version: Option<&Version>,
    ) -> Result<(Opened, Direction), Error> {
        // The channel was just read from this source: a release that can't be is as good as missing, and must not stop the
        // others either.
        let mut transport = None;
        loop {
            let (offer, direction) = match self.pick(version) {
                Ok(picked) => picked,
                Err(e) => return Err(transport.unwrap_or(e)),
            };
            let e = match self.fetch(offer, source) {
                Ok(opened) => {
                    if version.is_none() {
                        self.is_not_older(offer)?;
                    }
                    return Ok((opened, direction));
                }
                Err(e) => e,
            };
            if let Some(opened) = self.stored(offer) {
                log::warn!(version:% = offer.constraints.version, reason:% = e; "offer_from_card");
                return Ok((opened, direction));
            }
            if version.is_some() {
                return Err(e);
            }
            let offer = offer.clone();
            self.pass_over(None, &offer, e, &mut transport)?;
        }
    }

    /// Note an offer that can't be opened, so that the next one that fits is tried. `transport` keeps the first trouble on the way.
    ///
    /// # Errors
    /// The problem itself, if it is not of the offer.
    pub(super) fn pass_over(
        &mut self,
        component: Option<&str>,
        offer: &Offer,
        problem: Error,
        transport: &mut Option<Error>,
    ) -> Result<(), Error> {
        let (forged, problem) = match problem {
            Error::Bundle(e) if e.is_transport() => {
                let problem = e.to_string();
                transport.get_or_insert(Error::Bundle(e));
                (false, problem)
            }
            Error::Bundle(e) => (e.is_untrusted(), e.to_string()),
            Error::Check(e) => (e.is_untrusted(), e.to_string()),
            e @ Error::Incompatible { .. } => (false, e.to_string()),
            e => return Err(e),
        };
        let (version, identity) = (offer.constraints.version.to_string(), offer.identity);
        log::warn!(component, version, reason = problem; "offer_unusable");
        let component = component.map(ToOwned::to_owned);
        self.unusable.push(Unusable { component, version, problem, forged, identity });
        Ok(())
    }

    /// Those of the image, or of a component.
    fn unusable_of(&self, component: Option<&str>) -> impl Iterator<Item = &Unusable> {
        self.unusable.iter().filter(move |one| one.component.as_deref() == component)
    }

    /// The release of the update in flight as it was stored when it began, if this offer is of that one and it still verifies.
    fn stored(&self, offer: &Offer) -> Option<Opened> {
        let InFlight { target, signed } = self.in_flight.as_ref()?;
        if target.release.0 != offer.identity.0 {
            return None;
        }
        let opened = Opened::from_signed(signed.clone()?, &self.root).ok()?;
        offer.open(opened.signed(), &self.root).ok()?;
        Some(opened)
    }

    /// Whether an offer that was not named explicitly may replace the update in flight.
    fn is_not_older(&self, offer: &Offer) -> Result<(), CheckError> {
        match &self.in_flight {
            Some(InFlight { target, .. })
                if offer.constraints.version.cmp_precedence(&target.version).is_lt() =>
            {
                Err(CheckError::Older {
                    offered: offer.constraints.version.to_string(),
                    in_flight: target.version.to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Fetch an offer's release, and verify that it is what the channel says.
    ///
    /// # Errors
    /// [`CheckError::Offer`], or [`BundleError`] when it can't be had; [`Error::Incompatible`] for what this version can't
    /// install; [`CheckError::Demand`].
    pub fn fetch(&self, offer: &Offer, source: &mut dyn Source) -> Result<Opened, Error> {
        let at = || format!("{}/{}", self.source, repository::blob(&offer.release));
        let untrusted = |problem: TrustError| CheckError::Untrusted { at: at(), problem };
        let opened = match Opened::fetch(source, offer.release, &self.root) {
            Err(BundleError::Untrusted(problem)) => return Err(untrusted(problem).into()),
            opened => opened?,
        };
        let verified = offer.open(opened.signed(), &self.root);
        let release = verified.map_err(|problem| CheckError::Offer { at: at(), problem })?;
        let reasons = compat::check_release(&release);
        if !reasons.is_empty() {
            return Err(Error::Incompatible { version: release.version, reasons });
        }
        self.check_demands(offer, source)?;
        Ok(opened)
    }

    /// Why an offer can't be used, if that is known.
    pub(super) fn why_unusable(&self, offer: &Offer) -> Option<&Unusable> {
        self.unusable.iter().find(|u| u.identity == offer.identity)
    }

    /// The newest offer that fits and wasn't found unusable, while any more of them may be tried.
    pub(super) fn taken<'c>(
        &self,
        component: Option<&str>,
        choice: &choice::Choice<'c>,
    ) -> Option<&'c Offer> {
        if self.unusable_of(component).count() >= TRIED_MAX {
            return None;
        }
        let mut fitting = choice.considered.iter().filter(|c| matches!(c.verdict, choice::Verdict::Fits(_)));
        fitting.find(|c| self.why_unusable(c.offer).is_none()).map(|c| c.offer)
    }

    /// The error when only offers fit that can't be opened.
    pub(super) fn nothing_usable(&self, component: Option<&str>) -> Option<CheckError> {
        let mut all = self.unusable_of(component);
        let first = all.next()?;
        Some(CheckError::Unusable {
            version: match component {
                None => first.version.clone(),
                Some(component) => format!("{} of component {component}", first.version),
            },
            problem: first.problem.clone(),
            others: all.count(),
            forged: self.unusable_of(component).any(|u| u.forged),
        })
    }
}
