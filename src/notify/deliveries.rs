//! Serves all webhooks, in turn.
use super::{Answer, Cursor, Cursors, Delivery, Message, Outside, Step, Target, message};
use crate::events::{Filter, Kind};
use bistable_format::webhook;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// Events that are read at once.
const BATCH: usize = 64;
/// Messages to one target in a turn: then the others have theirs.
const TURN: usize = 16;
/// Without anything to do, the log is looked at this seldom: whoever writes it tells.
const IDLE: Duration = Duration::from_secs(3600);
/// And this soon when it can't be read.
const AGAIN: Duration = Duration::from_secs(60);

/// Serves all webhooks.
#[derive(Debug, Default)]
pub struct Deliveries {
    targets: Vec<Target>,
    deliveries: BTreeMap<String, Delivery>,
    /// What is on the disk.
    kept: Option<Cursors>,
    given_up: BTreeMap<String, u64>,
}

impl Deliveries {
    /// Serve every target as far as it can be served now; how long there is nothing to do then, unless something happens.
    pub fn turn(&mut self, outside: &mut dyn Outside) -> Duration {
        match outside.targets() {
            Ok(targets) => self.targets = targets,
            Err(e) => log::debug!(reason:% = e; "webhooks_stay_as_they_were"),
        }
        let names: Vec<&String> = self.targets.iter().map(|target| &target.name).collect();
        self.deliveries.retain(|name, _| names.contains(&name));
        if self.targets.is_empty() && self.kept.as_ref().is_none_or(|kept| kept.targets.is_empty()) {
            return IDLE;
        }
        let kept = self.kept.get_or_insert_with(|| outside.cursors()).clone();
        let mut sleep = IDLE;
        for target in self.targets.clone() {
            let served = match self.delivery(&target.name, &kept, outside) {
                Some(delivery) => serve(delivery, &target, outside),
                None => Served { sleep: AGAIN, given_up: 0 },
            };
            sleep = sleep.min(served.sleep);
            if served.given_up > 0 {
                let total = self.given_up.entry(target.name.clone()).or_default();
                *total = total.saturating_add(served.given_up);
            }
        }
        self.keep(outside);
        sleep
    }

    /// Where a target is: one that was added begins with what happens from now on.
    fn delivery(&mut self, name: &str, kept: &Cursors, outside: &mut dyn Outside) -> Option<&mut Delivery> {
        if !self.deliveries.contains_key(name) {
            let cursor = match kept.targets.get(name) {
                Some(cursor) => cursor.clone(),
                None => Cursor { after: outside.events(u64::MAX, 0).ok()?.1, ..Cursor::default() },
            };
            self.deliveries.insert(name.to_owned(), Delivery::resumed(cursor, outside.now()));
        }
        self.deliveries.get_mut(name)
    }

    /// Nothing is written while nothing changes.
    fn keep(&mut self, outside: &mut dyn Outside) {
        let all = self.deliveries.iter().map(|(name, delivery)| (name.clone(), delivery.cursor.clone()));
        let cursors = Cursors { targets: all.collect() };
        if self.kept.as_ref() == Some(&cursors) {
            return;
        }
        match outside.keep(&cursors) {
            Ok(()) => self.kept = Some(cursors),
            Err(e) => log::warn!(reason:% = e; "webhook_cursors_not_kept"),
        }
    }
}

struct Served {
    sleep: Duration,
    given_up: u64,
}

/// Serve one target.
fn serve(delivery: &mut Delivery, target: &Target, outside: &mut dyn Outside) -> Served {
    let mut served = Served { sleep: Duration::ZERO, given_up: 0 };
    let filter = Filter { kinds: target.types.clone(), ..Filter::default() };
    let mut sent = 0;
    loop {
        let (events, searched) = match outside.events(delivery.cursor.after, BATCH) {
            Ok(found) => found,
            Err(e) => {
                log::debug!(reason:% = e; "events_not_read");
                served.sleep = AGAIN;
                return served;
            }
        };
        let wanted: Vec<_> = events.into_iter().filter(|entry| filter.wants(entry)).collect();
        loop {
            let now = outside.now();
            match delivery.next(&wanted, now, target.retry) {
                Step::Send(_) if sent == TURN => return served,
                Step::Send(entry) => {
                    sent += 1;
                    let answer = send(entry, target, outside);
                    let draw = format!("{} {}", entry.id, target.name);
                    delivery.answered(entry.seq, answer, outside.now(), target.retry, &draw);
                }
                Step::SleepUntil(until) => {
                    served.sleep = until.saturating_sub(now.uptime);
                    return served;
                }
                Step::GiveUp(_) => {
                    // All that is in the log by now: it is as old, or comes from the same days.
                    let newest = outside.events(u64::MAX, 0).map_or(searched, |(_, newest)| newest);
                    let waiting = outside.events(delivery.cursor.after, usize::MAX).map(|(events, _)| events);
                    let count = waiting.unwrap_or(wanted).iter().filter(|entry| filter.wants(entry)).count();
                    delivery.give_up(newest.max(searched));
                    served.given_up = count as u64;
                    let data = json!({ "target": target.name, "events": count });
                    outside.report(Kind::WebhookGivenUp, "notify", data);
                    break;
                }
                Step::Rest => {
                    let is_behind = searched > delivery.cursor.after;
                    delivery.pass(searched);
                    if !is_behind {
                        served.sleep = IDLE;
                        return served;
                    }
                    break;
                }
            }
        }
    }
}

fn send(entry: &crate::events::Entry, target: &Target, outside: &mut dyn Outside) -> Answer {
    let mut secrets = Vec::new();
    for path in &target.secrets {
        match outside.secret(path) {
            Ok(secret) => secrets.push(secret),
            // Without a signature that its receiver can check, it is better to wait.
            Err(why) => {
                log::warn!(target = target.name, reason = why; "webhook_secret_not_read");
                return Answer::Failed { retry_after: None };
            }
        }
    }
    let body = message::body(entry, &outside.device(), target.template);
    let mut headers = webhook::headers(&entry.id, outside.time(), &body, &secrets);
    headers.push(("content-type", "application/json".into()));
    let answer = outside.post(&target.url, &Message { headers, body });
    if let Answer::Failed { .. } = answer {
        log::info!(target = target.name, seq = entry.seq; "webhook_failed");
    }
    answer
}
