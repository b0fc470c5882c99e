//! What holds for the schedule.
mod component;
mod component_world;
mod due;
mod minutes;
mod next;
mod spread;
mod windows;
mod world;
mod year;

use super::{Facts, LastTry, Moment, Next, Rules, Standing, When, Windows, Zone};
use crate::{
    app::policy::tests::{MODES, target},
    config::Mode,
    date::from_rfc3339,
};
use bistable_boot::{BootId, Now, Saved, Slot, Tries};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// A Friday.
const NOON: &str = "2026-01-02T12:00:00Z";

fn armed(tries: Tries) -> Saved {
    Saved::Armed { target: target(), tries }
}

fn device(saved: Saved) -> Standing {
    Standing { now: Now::Saved(saved), booted: Slot::A, id: "hub-7".into(), boot: BootId::numbered(1) }
}

fn staged() -> Standing {
    device(Saved::Staged(target()))
}

fn rules(mode: Mode, windows: &[&str]) -> Rules {
    Rules {
        mode,
        follows: true,
        interval: DAY,
        windows: Windows::parse(windows).unwrap(),
        zone: Zone::named("UTC"),
        windows_need_clock: true,
        force_after: None,
        max_rollbacks: 3,
        security_force_after: None,
    }
}

/// A device that is up for ten days.
fn noon() -> Moment {
    let wall = from_rfc3339(NOON).unwrap();
    Moment { uptime: 10 * DAY, wall: Some(wall), unverified: Some(wall) }
}

fn ago(time: Duration) -> When {
    When { wall: None, uptime: Some(noon().uptime - time) }
}

/// The last look was just now, so that nothing but the release can be next.
fn rested() -> Facts {
    Facts { last_look: Some(LastTry { when: ago(HOUR), ..LastTry::default() }), ..Facts::default() }
}

fn shown(next: &Next) -> String {
    match next {
        Next::Do { act } => format!("{act:?}"),
        Next::Sleep { why, .. } => {
            format!("waits: {}", serde_json::to_value(why).unwrap()["code"].as_str().unwrap())
        }
    }
}
