//! A backend in memory.
use super::super::{Backend, Found, HealthNow, NotTaken, Outlook, TokenStore};
use crate::{
    app::{
        Answer, Asker, BundleStream, Code, Document, Failure, Holding, Inhibit, Job, Jobs, NotCancelled,
        NotInhibited, Outcome, Preflighted, Readiness, Request,
    },
    events::{Entry, Filter, test_entry},
    metrics::Format,
    status::Date,
};
use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// What it does.
#[derive(Debug)]
pub(in crate::serve) struct State {
    pub(in crate::serve) jobs: Jobs,
    pub(in crate::serve) log: Vec<Entry>,
    pub(in crate::serve) revision: u64,
    /// How often it was looked at, and events were asked for.
    pub(in crate::serve) looks: usize,
    pub(in crate::serve) searches: usize,
    /// What it refuses.
    pub(in crate::serve) admits: bool,
    pub(in crate::serve) refuses: Option<NotTaken>,
    pub(in crate::serve) alive: bool,
    /// It answers reads with a failure of this kind.
    pub(in crate::serve) fails: Option<Code>,
    pub(in crate::serve) panics: bool,
    /// Whose tokens it takes.
    pub(in crate::serve) token_store: TokenStore,
    /// What holds a switch off.
    pub(in crate::serve) held: Vec<Holding>,
    /// The bundle of the newest job, for a test that plays the agent.
    pub(in crate::serve) bundle: Option<BundleStream>,
}

/// A backend in memory.
#[derive(Debug)]
pub(in crate::serve) struct FakeDesk {
    state: Mutex<State>,
    /// Held by a test, it keeps whoever looks waiting.
    pub(in crate::serve) door: Mutex<()>,
}

impl FakeDesk {
    pub(in crate::serve) fn new() -> FakeDesk {
        let state = State {
            jobs: Jobs::new("4f1c8a52", "00ff00ff"),
            log: Vec::new(),
            revision: 0,
            looks: 0,
            searches: 0,
            admits: true,
            refuses: None,
            alive: true,
            fails: None,
            panics: false,
            token_store: TokenStore::default(),
            held: Vec::new(),
            bundle: None,
        };
        FakeDesk { state: Mutex::new(state), door: Mutex::new(()) }
    }

    pub(in crate::serve) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Something happens.
    pub(in crate::serve) fn log(&self, seq: u64, kind: &str) {
        let stream = if kind.starts_with("job") { "job/1" } else { "device" }.into();
        let entry = Entry { stream, ..test_entry(seq, kind) };
        self.state().log.push(entry);
    }

    /// A job ends well.
    pub(in crate::serve) fn end(&self, id: &str) {
        let outcome = Outcome { exit: 0, code: None, error: None, answer: Some(answer()) };
        self.state().jobs.end(id, outcome);
    }

    fn read(&self) -> Result<Document, Box<Document>> {
        let _door = self.door.lock().unwrap();
        let fails = self.state().fails;
        match fails {
            None => Ok(answer()),
            Some(code) => Err(Box::new(failure(code))),
        }
    }
}

fn answer() -> Document {
    Document::of(Answer::Preflighted(Preflighted { verdict: Readiness::Ready, checks: Vec::new() }).into())
}

fn failure(code: Code) -> Document {
    Document::failed(Failure { error: "the card\u{1b}[2J is gone".into(), code, exit: 1 }, None)
}

impl Backend for FakeDesk {
    fn look(&self, request: &Request) -> Result<Document, Box<Document>> {
        let reads = [Request::Status, Request::History, Request::Components];
        assert!(reads.contains(request) || matches!(request, Request::Component(_)), "{request:?}");
        let panics = {
            let mut state = self.state();
            state.looks += 1;
            state.panics
        };
        assert!(!panics, "as the test wants it");
        self.read()
    }

    fn revision(&self) -> u64 {
        self.state().revision
    }

    fn admits(&self, by: &Asker, _request: &Request) -> bool {
        assert!(by.uid.is_some());
        self.state().admits
    }

    fn ask(&self, request: Request, by: Asker, bundle: Option<BundleStream>) -> Result<Job, NotTaken> {
        let mut state = self.state();
        match &state.refuses {
            Some(why) => Err(why.clone()),
            None => {
                let asked = Date { time: "2026-11-29T12:00:00Z".into(), synchronized: true };
                state.bundle = bundle;
                Ok(state.jobs.ask(&request, by, asked))
            }
        }
    }

    fn jobs(&self) -> Vec<Job> {
        self.state().jobs.all().cloned().collect()
    }

    fn job(&self, id: &str) -> Option<Job> {
        self.state().jobs.get(id).cloned()
    }

    fn cancel(&self, id: &str) -> Result<Job, NotCancelled> {
        self.state().jobs.take_back(id)
    }

    fn events(&self, filter: &Filter, limit: usize) -> Result<Found, Box<Document>> {
        let mut state = self.state();
        state.searches += 1;
        if let Some(code) = state.fails {
            return Err(Box::new(failure(code)));
        }
        let mut wanted = state.log.iter().filter(|entry| filter.wants(entry)).cloned();
        let events: Vec<Entry> = wanted.by_ref().take(limit).collect();
        let newest = state.log.last().map_or(0, |entry| entry.seq);
        let last = events.last().map_or(filter.after, |entry| entry.seq);
        let searched = if events.len() < limit { newest.max(filter.after) } else { last };
        Ok(Found { events, searched })
    }

    fn inhibitors(&self) -> Vec<Holding> {
        self.state().held.clone()
    }

    fn inhibit(&self, asked: &Inhibit, by: &Asker) -> Result<Holding, NotInhibited> {
        let left = asked.time()?;
        let mut state = self.state();
        if state.held.len() >= 2 {
            return Err(NotInhibited::TooMany(2));
        }
        let owner = by.token.clone().unwrap_or_default();
        let id = format!("api-{}", state.held.len() + 1);
        let (reason, left_s) = (asked.why.clone(), left.as_secs());
        let held = Holding { id, owner, reason, age_s: 0, left_s, overdue: false };
        state.held.push(held.clone());
        Ok(held)
    }

    fn release(&self, id: &str, by: &Asker, any: bool) -> Result<Holding, NotInhibited> {
        let mut state = self.state();
        let at = state.held.iter().position(|held| held.id == id);
        let at = at.ok_or_else(|| NotInhibited::Unknown(id.into()))?;
        let Holding { id, owner, .. } = state.held[at].clone();
        if !any && Some(&owner) != by.token.as_ref() {
            return Err(NotInhibited::NotYours { id, owner });
        }
        Ok(state.held.remove(at))
    }

    fn config(&self) -> Result<Document, Box<Document>> {
        self.read()
    }

    fn reload(&self, by: Asker) -> Result<Document, Box<Document>> {
        assert!(by.uid.is_some());
        self.read()
    }

    fn metrics(&self, format: Format) -> Result<String, Box<Document>> {
        let failed = self.state().fails;
        failed.map_or_else(|| Ok(format!("# {format:?}\n")), |code| Err(Box::new(failure(code))))
    }

    fn readiness(&self) -> HealthNow {
        let healthy = Some(self.state().alive);
        HealthNow {
            healthy,
            reason: None,
            version: Some("1.1.0".into()),
            took: Duration::ZERO,
            checks: Vec::new(),
        }
    }

    fn token_store(&self) -> TokenStore {
        self.state().token_store.clone()
    }

    fn outlook(&self) -> Outlook {
        let alive = self.state().alive;
        let why = (!alive).then(|| "no heartbeat for 10 min".to_owned());
        Outlook { alive, doing: None, next: Some("check".into()), at: None, why }
    }
}
