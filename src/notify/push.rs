//! Sends what is measured to a push gateway, for devices that can't be scraped.
use super::{Answer, Outside, delivery::back_off};
use std::time::Duration;

/// The longest wait after a failure.
const BACK_OFF_MAX: Duration = Duration::from_secs(3600);
/// Without a gateway, the configuration is looked at this seldom: whoever changes it tells.
const IDLE: Duration = Duration::from_secs(3600);

/// Sends what is measured.
#[derive(Debug, Default)]
pub struct Push {
    due: Duration,
    failures: u32,
}

impl Push {
    /// Send it if it is time; how long there is nothing to do then.
    pub fn turn(&mut self, outside: &mut dyn Outside) -> Duration {
        let Some((url, interval)) = outside.push() else {
            *self = Push::default();
            return IDLE;
        };
        let now = outside.now().uptime;
        if now >= self.due {
            let address = address(&url, &outside.device());
            let wait = match outside.metrics().map(|text| outside.put(&address, &text)) {
                Some(Answer::Taken) => {
                    self.failures = 0;
                    interval
                }
                answer => {
                    self.failures = self.failures.saturating_add(1);
                    log::info!(failures = self.failures; "metrics_not_pushed");
                    let asked = match answer {
                        Some(Answer::Failed { retry_after }) => retry_after.unwrap_or_default(),
                        _ => Duration::ZERO,
                    };
                    back_off(self.failures, BACK_OFF_MAX, &address).max(interval).max(asked.min(BACK_OFF_MAX))
                }
            };
            // From now: what a gateway that hangs took counts as well.
            self.due = outside.now().uptime.saturating_add(wait);
        }
        self.due.saturating_sub(outside.now().uptime)
    }
}

/// Where the metrics of this device are put: a group of its own, which each push replaces.
fn address(url: &str, device: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let device: String = device.chars().map(|c| if fine(c) { c } else { '-' }).collect();
    format!("{url}/metrics/job/bistable/instance/{device}")
}
