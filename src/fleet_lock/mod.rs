//! Ask a `FleetLock` server whether this device may reboot now, so that not all devices of a site are gone at once.
//!
//! The protocol is that of CoreOS's Zincati, <https://coreos.github.io/zincati/development/fleetlock/protocol>:
//!
//! | | |
//! |---|---|
//! | before a reboot | `POST {base}/v1/pre-reboot` takes a place |
//! | at rest again | `POST {base}/v1/steady-state` gives it back |
//! | header | `fleet-lock-protocol: true` |
//! | body | `{"client_params":{"group":"…","id":"…"}}` |
//! | status 200, without a body or with a JSON object | done; asking again for what one has is fine |
//! | status 200 with anything else | not done: the login page of a network |
//! | any other | not done; the body may say why: `{"kind":"…","value":"…"}` |
//!
//! A server that can't be reached has not granted anything.
#[cfg(test)]
#[cfg(target_os = "linux")]
mod web;

use crate::{
    config::UpdateSettings,
    ports::{Answer, HostError, Request},
    text::{printable, shorten},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Most bytes of a server's words that are kept.
const WORDS: usize = 200;

/// What a server knows this device by, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Address, without a slash at its end.
    pub base: String,
    /// Who holds a place; not empty.
    pub id: String,
    /// The device's group there; of A-Z a-z 0-9 . -, not empty.
    pub group: String,
}

impl Lock {
    /// The server of the configuration, if it names one. `serial` is who this device is if the configuration doesn't
    /// say.
    pub fn of(settings: &UpdateSettings, serial: &str) -> Option<Lock> {
        let base = settings.fleet_lock.clone()?;
        let id = settings.id.clone().unwrap_or_else(|| serial.into());
        Some(Lock { base, id, group: settings.fleet_lock_group.clone() })
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// To reboot: a place is taken, and kept across the reboot.
    PreReboot,
    /// Nothing: the device is at rest, and gives back its place if it has one.
    SteadyState,
}

impl Phase {
    const fn path(self) -> &'static str {
        match self {
            Phase::PreReboot => "/v1/pre-reboot",
            Phase::SteadyState => "/v1/steady-state",
        }
    }
}

/// The server has said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted;

/// Not now: try again later. No place was taken, or none given back, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Held {
    /// The server has said no, and why.
    #[error("the fleet lock refuses: {value} ({kind})")]
    Refused {
        /// The reason's name, one of few, for metrics. One line.
        kind: String,
        /// The reason, human-readable. One line.
        value: String,
    },
    /// The server answered with this status, without a reason.
    #[error(
        "the fleet lock answers with status {0}: is update.fleet_lock the address of a FleetLock server?"
    )]
    Status(u16),
    /// The server answered with status 200, and with something that no such server says.
    #[error(
        "the fleet lock's address answers with something else than FleetLock: a login page of this network? Or else check \
         update.fleet_lock"
    )]
    Foreign,
    /// There was no answer.
    #[error("the fleet lock can't be asked: {0}")]
    Unreachable(#[source] HostError),
}

/// The way to a web server.
pub trait Post {
    /// Send a request by POST; the whole exchange takes no longer than `timeout`. Redirects are answers like any other.
    ///
    /// # Errors
    /// When there is no answer.
    fn post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError>;
}

/// Ask for something, once.
///
/// # Errors
/// [`Held`] if it wasn't granted.
pub fn ask(way: &mut dyn Post, lock: &Lock, phase: Phase, timeout: Duration) -> Result<Granted, Held> {
    let answer = way.post(&request(lock, phase), timeout).map_err(Held::Unreachable)?;
    verdict(&answer)
}

fn request(lock: &Lock, phase: Phase) -> Request {
    Request {
        url: format!("{}{}", lock.base, phase.path()),
        // The first one tells the server that this is no request that was redirected from somewhere else.
        headers: [("fleet-lock-protocol", "true"), ("content-type", "application/json")],
        body: json!({ "client_params": { "group": lock.group, "id": lock.id } }).to_string(),
    }
}

fn verdict(answer: &Answer) -> Result<Granted, Held> {
    #[derive(Deserialize)]
    struct Reason {
        kind: String,
        value: String,
    }
    if answer.status == 200 {
        // Servers grant without a body, or with an object that says so.
        let body = answer.body.trim_ascii();
        let grants = body.is_empty() || serde_json::from_slice::<Map<String, Value>>(body).is_ok();
        return if grants { Ok(Granted) } else { Err(Held::Foreign) };
    }
    // What a stranger says goes into logs and onto terminals.
    let line = |text: String| Some(shorten(&printable(&text), WORDS)).filter(|line| !line.is_empty());
    let reason = serde_json::from_slice::<Reason>(&answer.body).ok();
    let words = reason.and_then(|reason| line(reason.kind).zip(line(reason.value)));
    Err(words.map_or(Held::Status(answer.status), |(kind, value)| Held::Refused { kind, value }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A server that notes what it is asked.
    struct Server {
        answer: Result<Answer, HostError>,
        asked: Vec<(Request, Duration)>,
    }

    impl Post for Server {
        fn post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError> {
            self.asked.push((request.clone(), timeout));
            self.answer.clone()
        }
    }

    const TIMEOUT: Duration = Duration::from_secs(3);

    fn lock() -> Lock {
        Lock { base: "http://lock.example/base".into(), id: "hub-7".into(), group: "hall.2".into() }
    }

    fn asked(phase: Phase, answer: Result<Answer, HostError>) -> (Result<Granted, Held>, Server) {
        let mut server = Server { answer, asked: Vec::new() };
        (ask(&mut server, &lock(), phase, TIMEOUT), server)
    }

    fn answered(status: u16, body: &str) -> Result<Granted, Held> {
        asked(Phase::PreReboot, Ok(Answer { status, body: body.into() })).0
    }

    #[test]
    fn a_request_is_what_the_protocol_wants() {
        for (phase, url) in [
            (Phase::PreReboot, "http://lock.example/base/v1/pre-reboot"),
            (Phase::SteadyState, "http://lock.example/base/v1/steady-state"),
        ] {
            let (granted, server) = asked(phase, Ok(Answer { status: 200, body: Vec::new() }));
            assert_eq!(granted, Ok(Granted));
            let [(request, TIMEOUT)] = server.asked.as_slice() else { panic!("{:?}", server.asked) };
            assert_eq!(request.url, url);
            assert!(request.headers.contains(&("fleet-lock-protocol", "true")));
            let body: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(body, json!({ "client_params": { "id": "hub-7", "group": "hall.2" } }));
        }
    }

    #[test]
    fn only_200_grants() {
        let why = r#"{"kind":"failed_lock_semaphore_full","value":"all places are taken","more":1}"#;
        let refused =
            Held::Refused { kind: "failed_lock_semaphore_full".into(), value: "all places are taken".into() };
        #[rustfmt::skip]
        let table = [
            (200, "", Ok(Granted)),
            (200, " \r\n", Ok(Granted)),
            (200, "{}", Ok(Granted)),
            (200, why, Ok(Granted)),
            (200, "<html>Please log in</html>", Err(Held::Foreign)),
            (200, "ok", Err(Held::Foreign)),
            (200, "[]", Err(Held::Foreign)),
            (200, "{} <html>", Err(Held::Foreign)),
            (409, why, Err(refused.clone())),
            (500, why, Err(refused)),
            (201, "", Err(Held::Status(201))),
            (204, "", Err(Held::Status(204))),
            (302, "", Err(Held::Status(302))),
            (404, "<html>", Err(Held::Status(404))),
            (409, "", Err(Held::Status(409))),
            (409, "{\"kind\":\"\",\"value\":\"x\"}", Err(Held::Status(409))),
            (409, "{\"kind\":\"x\",\"value\":\"\\n\"}", Err(Held::Status(409))),
            (409, "{\"kind\":\"x\"}", Err(Held::Status(409))),
            (409, "[1]", Err(Held::Status(409))),
        ];
        for (status, body, verdict) in table {
            assert_eq!(answered(status, body), verdict, "{status} {body}");
        }
    }

    #[test]
    fn no_answer_grants_nothing() {
        for e in [HostError::Timeout(TIMEOUT), HostError::Failed("connection refused".into())] {
            let (held, server) = asked(Phase::PreReboot, Err(e.clone()));
            assert_eq!(held, Err(Held::Unreachable(e)));
            assert_eq!(server.asked.len(), 1, "asked once");
        }
    }

    #[test]
    fn the_configuration_says_which_and_who() {
        let mut settings = crate::config::Settings::default().update;
        assert_eq!(Lock::of(&settings, "10000000abcd"), None);
        settings.fleet_lock = Some("http://x".into());
        let usual = Lock { base: "http://x".into(), id: "10000000abcd".into(), group: "default".into() };
        assert_eq!(Lock::of(&settings, "10000000abcd"), Some(usual.clone()));
        settings.id = Some("hub-7".into());
        assert_eq!(Lock::of(&settings, "10000000abcd"), Some(Lock { id: "hub-7".into(), ..usual }));
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_a_line_at_most(status in 201_u16.., kind: String, value: String, any: Vec<u8>) {
            let said = json!({ "kind": kind, "value": value }).to_string();
            for body in [said.into_bytes(), any] {
                let held = asked(Phase::PreReboot, Ok(Answer { status, body })).0.unwrap_err().to_string();
                prop_assert!(held.len() < 3 * WORDS && !held.contains(char::is_control), "{:?}", held);
            }
        }
    }
}
