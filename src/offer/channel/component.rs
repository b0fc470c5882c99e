//! What a channel offers of a component.
use super::{Found, report};
use crate::Error;
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
    pub rejected: Vec<Digest>,
}

impl Found {
    /// The offer of a component that the device takes, or the one of a version if it is named: that one whatever its rollout says.
    ///
    /// # Errors
    /// [`Error::NothingToDo`] with the reasons when there is none; [`Error::Incompatible`] when the named one may not go onto this device.
    pub fn pick_component(
        &self,
        facts: &ComponentFacts,
        version: Option<&Version>,
    ) -> Result<(&Offer, Direction), Error> {
        let choice = self.choose_component(facts);
        let Some(version) = version else {
            return choice
                .taken
                .map(|offer| (offer, choice.direction))
                .ok_or_else(|| Error::NothingToDo(self.nothing_for(facts, &choice.considered)));
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
            let why = match &c.verdict {
                Verdict::Rejected => format!(
                    "this device rejected it; `bistable component update {name} {} --retry-rejected` tries it again",
                    c.offer.constraints.version
                ),
                _ => report::reason(self, c).1.join("; "),
            };
            format!("\n  {}: {why}", c.offer.constraints.version)
        };
        let lines: String = considered.iter().map(line).collect();
        let what = if considered.is_empty() { "offers nothing" } else { "offers nothing that is taken" };
        format!("channel {} of {} {what} of component {name}{lines}", self.channel.name, self.source)
    }

    fn choose_component(&self, facts: &ComponentFacts) -> choice::Choice<'_> {
        choice::choose_component(
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
                rejected: &facts.rejected,
                now: self.now,
            },
        )
    }
}
