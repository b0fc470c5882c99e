//! Which of a channel's offers a component takes.
use super::{Found, line};
use crate::{Error, source::Source, steps::install::Opened};
use bistable_boot::Rejected;
use bistable_format::{
    Digest, Offer,
    choice::{self, Chooser, Considered, Verdict},
    compat::{self, Direction},
    rollout::Member,
};
use semver::Version;

/// What decides about the offers of a component on this device.
#[derive(Clone, Debug)]
pub struct ComponentFacts {
    /// Its name.
    pub name: String,
    /// The kinds of content that can be installed as this component.
    pub kinds: Vec<u16>,
    /// The release that is committed.
    pub running: Option<(Digest, Version)>,
    /// Nothing below counts.
    pub security_floor: u32,
    /// What else is on the device; the system by the product's name.
    pub others: Vec<(String, Version)>,
    /// Releases that failed here.
    pub rejected: Vec<Rejected>,
    /// The release of the update that is in flight and may make way for another one.
    pub in_flight: Option<(Digest, Version)>,
}

impl Found {
    /// Fetch the release that a component takes, and verify that it is what the channel says. One that can't be opened is noted, and
    /// the next one that fits is tried: see [`open`](Self::open).
    ///
    /// # Errors
    /// As for [`pick_component`](Self::pick_component) and [`fetch`](Self::fetch). If trouble on the way to a release is why none is
    /// left, that.
    pub fn open_component(
        &mut self,
        facts: &ComponentFacts,
        source: &mut dyn Source,
        version: Option<&Version>,
    ) -> Result<(Opened, Direction), Error> {
        let mut transport = None;
        loop {
            let (offer, direction) = match self.pick_component(facts, version) {
                Ok(picked) => picked,
                Err(e) => return Err(transport.unwrap_or(e)),
            };
            match self.fetch(offer, source) {
                Ok(opened) => {
                    if version.is_none() {
                        facts.is_not_older(offer)?;
                    }
                    return Ok((opened, direction));
                }
                Err(e) if version.is_some() => return Err(e),
                Err(e) => {
                    let offer = offer.clone();
                    self.pass_over(Some(&facts.name), &offer, e, &mut transport)?;
                }
            }
        }
    }

    /// The offer of a component that the device takes, or the one of a version if it is named: that one whatever its rollout says.
    ///
    /// # Errors
    /// [`Error::NothingToDo`] with the reasons when there is none, [`CheckError::Unusable`](crate::error::CheckError::Unusable) if
    /// those that fit couldn't be opened; [`Error::Incompatible`] when the named one may not go onto this device.
    pub fn pick_component(
        &self,
        facts: &ComponentFacts,
        version: Option<&Version>,
    ) -> Result<(&Offer, Direction), Error> {
        let choice = self.choose_component(facts);
        let Some(version) = version else {
            return choice.taken.map(|offer| (offer, choice.direction)).ok_or_else(|| {
                match self.nothing_usable(Some(&facts.name)) {
                    Some(e) => e.into(),
                    None => Error::NothingToDo(self.nothing_for(facts, &choice.considered)),
                }
            });
        };
        let named = choice.considered.iter().find(|c| c.offer.constraints.version == *version);
        match named.map(|c| (&c.verdict, c.offer)) {
            None => Err(Error::NothingToDo(format!(
                "channel {} of {} offers no {} {version}",
                self.channel.name, self.source, facts.name
            ))),
            Some((Verdict::Incompatible(reasons), offer)) => Err(Error::Incompatible {
                version: offer.constraints.version.clone(),
                reasons: reasons.clone(),
            }),
            Some((Verdict::Behind(first), _)) => Err(Error::NotNow(format!(
                "component {} {version} can't be installed yet: every device has to run {first} before",
                facts.name
            ))),
            // What runs, what was rejected: the installer says so.
            Some((_, offer)) => Ok((offer, choice.direction)),
        }
    }

    /// Why nothing of it is taken: a line for each offer.
    fn nothing_for(&self, facts: &ComponentFacts, considered: &[Considered<'_>]) -> String {
        let name = &facts.name;
        let line = |c: &Considered<'_>| {
            let why = line::reason(self, Some(facts.subject()), c).1.join("; ");
            format!("\n  {}: {why}", c.offer.constraints.version)
        };
        let lines: String = considered.iter().map(line).collect();
        let what = if considered.is_empty() { "offers nothing" } else { "offers nothing that is taken" };
        format!("channel {} of {} {what} of component {name}{lines}", self.channel.name, self.source)
    }

    pub(super) fn choose_component(&self, facts: &ComponentFacts) -> choice::Choice<'_> {
        let rejected: Vec<Digest> = facts.rejected.iter().map(|r| Digest(r.release.0)).collect();
        let mut choice = choice::choose_component(
            &self.channel,
            choice::Component { name: &facts.name, kinds: &facts.kinds },
            &Chooser {
                device: compat::Device {
                    product: &self.product,
                    board: &self.board,
                    running: facts.running.as_ref().map(|(_, version)| version),
                    security_floor: facts.security_floor,
                    components: &facts.others,
                    boot_bytes: u64::MAX,
                    system_bytes: u64::MAX,
                },
                running: facts.running.as_ref().map(|(id, _)| *id),
                member: Member { seed: self.id.as_bytes(), group: self.group.as_deref() },
                rejected: &rejected,
                now: self.now,
            },
        );
        choice.taken = self.taken(Some(&facts.name), &choice);
        choice
    }
}

impl ComponentFacts {
    /// Its name, and what failed of it.
    pub(super) fn subject(&self) -> (&str, &[Rejected]) {
        (&self.name, &self.rejected)
    }

    /// Whether an offer that was not named explicitly may replace the update in flight.
    fn is_not_older(&self, offer: &Offer) -> Result<(), Error> {
        let offered = &offer.constraints.version;
        match &self.in_flight {
            Some((_, version)) if offered.cmp_precedence(version).is_lt() => {
                Err(Error::NothingToDo(format!(
                    "component {name}: {version} is being installed, and of what the channel offers only the older {offered} can be \
                 had: `bistable component update {name} {offered}` replaces it, `bistable component revert {name}` gives it up",
                    name = self.name
                )))
            }
            _ => Ok(()),
        }
    }
}
