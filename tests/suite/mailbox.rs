//! An agent that a thread owns, asked from other threads.
use crate::{fixture::product, pi::Pi};
use bistable::{
    Device, Error,
    app::{Answer, CardWrites, Context, From, Mailbox, NotTaken, Offers, Reboot, Request, Wanted},
    board::{
        Meter,
        sim::{Sim, SimSession},
    },
    config::Settings,
    events::End,
    ports::Power,
};
use bistable_boot::Slot;
use std::{
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
};

/// Bundles that come when the test says so.
struct OnCue {
    session: SimSession,
    meter: Meter,
    cue: Receiver<()>,
}

impl Context for OnCue {
    fn power(&self) -> Power {
        Power::On
    }
    fn written(&self) -> CardWrites {
        CardWrites { writes: self.meter.writes(), bytes: self.meter.bytes() }
    }
    fn booted(&self) -> Option<Slot> {
        self.session.booted()
    }
    fn ends(&mut self) -> Vec<End> {
        Vec::new()
    }
    fn bundle(&mut self, name: &Path) -> Result<Box<dyn Read>, Error> {
        self.cue.recv().unwrap();
        match name.to_str() {
            Some("good") => Ok(Box::new(Cursor::new(product().good.clone()))),
            _ => Err(Error::Open { path: name.into(), source: io::ErrorKind::NotFound.into() }),
        }
    }
}

impl Drop for OnCue {
    fn drop(&mut self) {
        self.session.save().unwrap();
    }
}

type Thread = JoinHandle<Result<(), Error>>;

fn start(card: &Path) -> (Mailbox, Thread, Sender<()>) {
    let (cue, waits) = channel();
    let card = PathBuf::from(card);
    let open = move || {
        let sim = Sim::open(&card)?;
        let context = OnCue { session: sim.session(), meter: sim.meter.clone(), cue: waits };
        Ok((Device::open(sim.board, Settings::default())?, context))
    };
    let (mailbox, thread) = Mailbox::start(open).unwrap();
    (mailbox, thread, cue)
}

fn install(name: &str) -> Request {
    Request::Install(Wanted { from: From::Bundle(name.into()), ..Wanted::default() })
}

fn state(answer: &Answer) -> String {
    match answer {
        Answer::Rested(rested) => rested.state.clone(),
        Answer::Status(status) => status.state.into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_are_answered_in_order_and_events_are_heard() {
    let pi = Pi::new();
    let (mailbox, thread, cue) = start(&pi.card);
    let events = mailbox.subscribe();
    let before = mailbox.ask(Request::Status).unwrap();
    let staged = mailbox.ask(install("good")).unwrap();
    let after = mailbox.clone().ask(Request::Status).unwrap();
    cue.send(()).unwrap();
    assert_eq!(state(&before.wait().unwrap().unwrap().answer), "idle");
    let reply = staged.wait().unwrap().unwrap();
    assert_eq!(state(&reply.answer), "staged");
    assert!(reply.text.contains("waits for `bistable arm`"), "{}", reply.text);
    assert_eq!(state(&after.wait().unwrap().unwrap().answer), "staged");
    let armed = mailbox.ask(Request::Arm).unwrap().wait().unwrap().unwrap();
    assert_eq!((state(&armed.answer), armed.reboot), ("armed".into(), Reboot::Needed));
    drop(mailbox);
    thread.join().unwrap().unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.wait() {
        assert_eq!(event.seq, seen.len() as u64 + 1, "none is missed");
        seen.push(serde_json::to_value(&event).unwrap()["type"].as_str().unwrap().to_owned());
    }
    for kind in ["update.preflight", "update.accepted", "update.written", "update.self_test", "update.state"]
    {
        assert!(seen.iter().any(|seen| seen == kind), "no {kind} in {seen:?}");
    }
    assert_eq!(events.missed(), 0);
    // The card is as that thread left it, and free.
    assert_eq!(pi.run_once_free("status --json").must(0, &[]).json()["state"], "armed");
}

#[test]
fn full_mailbox_refuses_at_once_and_does_what_it_took() {
    let pi = Pi::new();
    let (mailbox, thread, cue) = start(&pi.card);
    let first = mailbox.ask(install("missing")).unwrap();
    // Until a request is refused: one is done, which waits for its bundle, and the others wait.
    let mut taken = Vec::new();
    let refused = loop {
        match mailbox.ask(Request::Status) {
            Ok(pending) => taken.push(pending),
            Err(why) => break why,
        }
        assert!(taken.len() < 1000, "it takes any number");
    };
    assert_eq!(refused, NotTaken::Busy);
    assert!(!taken.is_empty());
    cue.send(()).unwrap();
    let failed = first.wait().unwrap().unwrap_err();
    assert!(matches!(*failed.error, Error::Open { .. }), "{failed:?}");
    for pending in taken {
        assert_eq!(state(&pending.wait().unwrap().unwrap().answer), "idle");
    }
    drop(mailbox);
    thread.join().unwrap().unwrap();
}

#[test]
fn what_fails_is_answered_and_the_next_request_is_done() {
    let pi = Pi::new();
    let (mailbox, thread, cue) = start(&pi.card);
    let ask = |request| mailbox.ask(request).unwrap().wait().unwrap();
    assert!(matches!(*ask(Request::Arm).unwrap_err().error, Error::NothingToDo(_)));
    assert!(matches!(*ask(Request::Check(Offers::default())).unwrap_err().error, Error::Check(_)));
    cue.send(()).unwrap();
    assert!(ask(install("missing")).is_err());
    cue.send(()).unwrap();
    assert_eq!(state(&ask(install("good")).unwrap().answer), "staged");
    // Who asks may go before the reply comes.
    drop(mailbox.ask(Request::History).unwrap());
    assert!(matches!(ask(Request::Health).unwrap().answer, Answer::Health(_)));
    drop(mailbox);
    thread.join().unwrap().unwrap();
}

#[test]
fn machine_that_goes_down_ends_the_thread_and_closes_the_mailbox() {
    let pi = Pi::new();
    let (mailbox, thread, cue) = start(&pi.card);
    let events = mailbox.subscribe();
    cue.send(()).unwrap();
    let update = Request::Update(Wanted { from: From::Bundle("good".into()), ..Wanted::default() });
    let reply = mailbox.ask(update).unwrap().wait().unwrap().unwrap();
    assert_eq!(reply.reboot, Reboot::Done);
    thread.join().unwrap().unwrap();
    assert_eq!(mailbox.ask(Request::Status).unwrap_err(), NotTaken::Closed);
    while events.wait().is_some() {}
    assert!(mailbox.subscribe().wait().is_none(), "nothing happens any more");
    // The boot unit of the new system, by a mailbox of its own.
    let (mailbox, thread, _cue) = start(&pi.card);
    let rested = mailbox.ask(Request::Resume).unwrap().wait().unwrap().unwrap();
    assert_eq!(state(&rested.answer), "idle");
    drop(mailbox);
    thread.join().unwrap().unwrap();
    pi.rests("B", "1.1.0");
}

#[test]
fn device_that_cannot_be_opened_closes_the_mailbox_and_says_why() {
    let pi = Pi::new();
    let (mailbox, thread, _cue) = start(&pi.path("no.img"));
    let ended = mailbox.ask(Request::Status).map(|pending| pending.wait().map(drop));
    assert!(matches!(ended, Ok(Err(NotTaken::Closed)) | Err(NotTaken::Closed)), "{ended:?}");
    assert!(matches!(thread.join().unwrap(), Err(Error::Card(_))));
}
