//! What a device does next without being asked: a function of the clocks, the device, its rules and what happened.
//!
//! | the update | `check` | `stage` | `reboot` | `auto` |
//! |---|---|---|---|---|
//! | idle | reports | looks | looks | looks |
//! | installing | continues | continues | continues | continues |
//! | staged | reports | looks; waits for a person | looks; waits for the next boot | switches if it may, else looks |
//! | armed | reports | reports; waits for the next boot | as `stage` | switches if it may, else reports |
//! | armed, refused by the boot loader for good | reports | looks | looks | looks |
//! | the boot decides: on trial, committing, reverting, all trials used up, the staged slot runs | waits | waits | waits | waits |
//!
//! While a release is staged a newer one may replace it. An armed one was chosen, and is only replaced once the boot loader
//! refused it for good. A device may switch while no inhibitor lives, fewer than `max_rollbacks` updates were rolled back within an hour and
//! fewer than 6 trials began within a day, the last refusal is long enough ago, and a window is open or the release was staged
//! `force_after` ago, in this order. A request for a switch passes none of these checks; the event log names its caller.
//!
//! The [components](super::component) come after the image, one by one, but for what has to be finished. One that requires a newer
//! image is on offer only once that runs.
use super::{
    act::{Act, Next},
    case::ComponentCase,
    component,
    due::Due,
    facts::{Facts, Rules, Standing},
    moment::Moment,
    plan::{AGAIN, Plan, Wait},
    why::Why,
};
use crate::{app::policy, config::Mode};
use bistable_boot::{Now, Saved};
use std::time::Duration;

/// A device asks again this soon if nothing but a change can end the wait.
const REST: Duration = Duration::from_secs(24 * 3600);

/// What the device does next.
pub fn next(now: &Moment, device: &Standing, rules: &Rules, facts: &Facts) -> Next {
    let plan = Plan { now, device, rules, facts };
    let is_boots = facts.trial_pending || device.now.awaits_boot(device.booted);
    if is_boots || matches!(device.now, Now::Trial { .. }) {
        return plan.boot();
    }
    let undecided = facts.components.iter().filter(|case| case.is_undecided());
    for case in undecided {
        if let component::Next::Do(act) = plan.finish(case) {
            return Next::Do { act };
        }
    }
    plan.components(image(&plan), &facts.components)
}

/// What comes next for the image.
fn image(plan: &Plan<'_>) -> Next {
    let Plan { device, rules, .. } = *plan;
    let look = if rules.mode == Mode::Check { Act::Report } else { Act::Look };
    match &device.now {
        Now::Trial { .. } => plan.boot(),
        Now::Saved(Saved::Idle) => plan.look(look, None),
        Now::Saved(Saved::Installing(_)) => plan.continue_with(),
        Now::Saved(Saved::Armed { tries, .. }) if tries.are_refused() => {
            plan.look(look, Some((None, Why::NotTried { refused: tries.refused })))
        }
        Now::Saved(Saved::Armed { .. }) => plan.switch(Act::Report),
        Now::Saved(_) => plan.switch(look),
    }
}

/// What a sleep leads to when it ends as announced: an operation. `None` if something else has to happen first.
pub fn announced(
    now: &Moment,
    device: &Standing,
    rules: &Rules,
    facts: &Facts,
    until: Duration,
    why: &Why,
) -> Option<&'static str> {
    let look = next_look(now, device, rules, facts);
    match why {
        Why::Install(_) => Some("install"),
        _ if look.is_some_and(|due| due.at == until) => Some("check"),
        Why::Component { why, .. } if matches!(**why, Why::Install(_)) => Some("component-install"),
        Why::Component { why, .. } if matches!(**why, Why::Clock | Why::Zone { .. }) => None,
        Why::Component { .. } => Some("component-resume"),
        Why::Inhibited { .. }
        | Why::Rollbacks { .. }
        | Why::Trials { .. }
        | Why::SwitchRefused { .. }
        | Why::Window { opens: Some(_) } => {
            Some(if matches!(device.now, Now::Saved(Saved::Staged(_))) { "arm" } else { "reboot" })
        }
        _ => None,
    }
}

/// When the next look at the channel is due, whatever else the device does until then. `None` if there is no channel.
pub fn next_look(now: &Moment, device: &Standing, rules: &Rules, facts: &Facts) -> Option<Due> {
    let last = facts.last_look.as_ref();
    rules.follows.then(|| device.seed().look(rules.interval, now, last))
}

impl Plan<'_> {
    // The first component with something to do, if the image has nothing; else what waits, and the earliest end of any wait.
    fn components(&self, image: Next, cases: &[ComponentCase]) -> Next {
        let Next::Sleep { mut until, why } = image else { return image };
        let mut waits = None;
        for case in cases {
            match self.component(case) {
                component::Next::Do(act) => return Next::Do { act },
                component::Next::Rest => {}
                component::Next::Wait((end, why)) => {
                    until = end.map_or(until, |end| until.min(end));
                    waits.get_or_insert(why);
                }
            }
        }
        let is_idle = matches!(why, Why::Check(_) | Why::NoSource);
        self.sleep(until, waits.filter(|_| is_idle).unwrap_or(why))
    }

    fn boot(&self) -> Next {
        self.sleep(self.now.uptime + AGAIN, Why::Boot { state: self.device.now.name() })
    }

    // A look if it is due; else what else waits says why.
    fn look(&self, act: Act, wait: Option<Wait>) -> Next {
        let due = next_look(self.now, self.device, self.rules, self.facts);
        let (until, why) = match (due, wait) {
            (Some(due), _) if due.at <= self.now.uptime => return Next::Do { act },
            (Some(due), None) => (Some(due.at), Why::Check(due.pace)),
            (Some(due), Some((until, why))) => (Some(until.map_or(due.at, |until| until.min(due.at))), why),
            (None, Some(wait)) => wait,
            (None, None) => (None, Why::NoSource),
        };
        self.sleep(until.unwrap_or(self.now.uptime + REST), why)
    }

    // After a boot the device waits for its share of the catch-up time; after a failure it backs off; otherwise it continues at once.
    fn continue_with(&self) -> Next {
        if !self.rules.follows {
            return self.sleep(self.now.uptime + REST, Why::NoSource);
        }
        let seed = self.device.seed();
        let due = match &self.facts.last_look {
            Some(last) if last.failures > 0 => seed.look(self.rules.interval, self.now, Some(last)),
            Some(last) if last.when.uptime.is_some() => return Next::Do { act: Act::Resume },
            _ => seed.after_boot(self.rules.interval),
        };
        if due.at <= self.now.uptime {
            return Next::Do { act: Act::Resume };
        }
        self.sleep(due.at, Why::Install(due.pace))
    }

    // A switch if the mode has it and nothing is in its way.
    fn switch(&self, look: Act) -> Next {
        if self.rules.mode != Mode::Auto {
            let why = match policy::next(&self.device.now, self.device.booted, self.rules.mode) {
                policy::Next::Wait(what) => Why::Person { what },
                policy::Next::Go => Why::NextBoot,
            };
            return self.look(look, Some((None, why)));
        }
        match self
            .inhibited()
            .or_else(|| self.rolled_back())
            .or_else(|| self.tried())
            .or_else(|| self.refused_until(self.facts.switch_refused.as_ref()))
            .or_else(|| self.closed(self.facts.is_urgent, self.facts.staged.as_ref()))
        {
            None => Next::Do { act: Act::Switch },
            wait => self.look(look, wait),
        }
    }
}
