//! A thread that owns the agent: requests go in, replies and events come out.
//!
//! One request is done at a time, in the order of their arrival. A full mailbox refuses at once, so that nothing that asks
//! waits behind an installation without knowing it. The thread ends when the last mailbox is dropped, or when the machine
//! goes down: what fails otherwise is a reply.
use super::{Context, Failed, Reboot, Reply, Request, handle};
use crate::{
    Device, Error,
    agent::{Agent, AgentEvent, Observer},
    event::{Counter, Numbered},
};
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// Requests that may wait while one is done.
const DEPTH: usize = 16;
/// Events that may wait for one subscriber.
const EVENTS: usize = 256;

type Ended = Result<Reply, Failed>;
type Letter = (Request, SyncSender<Ended>);
/// `None` when the agent has ended: nothing happens any more.
type Subscribers = Arc<Mutex<Option<Vec<Subscriber>>>>;

/// Where requests are put. A clone is the same mailbox.
#[derive(Clone, Debug)]
pub struct Mailbox {
    letters: SyncSender<Letter>,
    subscribers: Subscribers,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// So many requests wait already.
    #[error("{DEPTH} requests wait already: try again later")]
    Busy,
    /// The thread has ended.
    #[error("the agent has ended")]
    Closed,
}

/// A reply that is still to come.
#[derive(Debug)]
pub struct Pending(Receiver<Ended>);

/// What happens, as it happens. Who is slow misses events, and is told how many.
#[derive(Debug)]
pub struct Subscription {
    events: Receiver<Numbered>,
    missed: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Subscriber {
    events: SyncSender<Numbered>,
    missed: Arc<AtomicU64>,
}

impl Mailbox {
    /// Start a thread that opens a device and owns its agent. It is opened there, as a device can't change its thread.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start<C: Context>(
        open: impl FnOnce() -> Result<(Device, C), Error> + Send + 'static,
    ) -> io::Result<(Mailbox, JoinHandle<Result<(), Error>>)> {
        let (letters, inbox) = sync_channel(DEPTH);
        let mailbox = Mailbox { letters, subscribers: Arc::new(Mutex::new(Some(Vec::new()))) };
        let subscribers = Arc::clone(&mailbox.subscribers);
        let thread = thread::Builder::new().name("agent".into()).spawn(move || {
            let mut broadcast = Broadcast { subscribers, counter: Counter::default() };
            let (device, mut context) = open()?;
            serve(&mut Agent::start(device, &mut broadcast)?, &mut context, &inbox);
            Ok(())
        })?;
        Ok((mailbox, thread))
    }

    /// Ask for something.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing of it is done then.
    pub fn ask(&self, request: Request) -> Result<Pending, NotTaken> {
        let (reply, pending) = sync_channel(1);
        match self.letters.try_send((request, reply)) {
            Ok(()) => Ok(Pending(pending)),
            Err(TrySendError::Full(_)) => Err(NotTaken::Busy),
            Err(TrySendError::Disconnected(_)) => Err(NotTaken::Closed),
        }
    }

    /// Hear what happens from now on.
    pub fn subscribe(&self) -> Subscription {
        let (events, receiver) = sync_channel(EVENTS);
        let missed = Arc::new(AtomicU64::new(0));
        let subscriber = Subscriber { events, missed: Arc::clone(&missed) };
        if let Some(subscribers) = &mut *self.subscribers.lock().unwrap_or_else(PoisonError::into_inner) {
            subscribers.push(subscriber);
        }
        Subscription { events: receiver, missed }
    }
}

impl Pending {
    /// Wait for the reply.
    ///
    /// # Errors
    /// [`NotTaken::Closed`] when the machine went down before.
    pub fn wait(self) -> Result<Ended, NotTaken> {
        self.0.recv().map_err(|RecvError| NotTaken::Closed)
    }
}

impl Subscription {
    /// The next event, when there is one; `None` when the agent has ended.
    pub fn wait(&self) -> Option<Numbered> {
        self.events.recv().ok()
    }

    /// The events that are there already.
    pub fn ready(&self) -> impl Iterator<Item = Numbered> + '_ {
        self.events.try_iter()
    }

    /// How many events were missed since this was asked last.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// Until nobody can ask any more, or the machine goes down.
fn serve(agent: &mut Agent<'_>, context: &mut dyn Context, inbox: &Receiver<Letter>) {
    while let Ok((request, reply)) = inbox.recv() {
        let ended = handle(agent, &request, context);
        let goes_down = goes_down(&ended);
        // Who asked may have gone.
        let _ = reply.send(ended);
        if goes_down {
            return;
        }
    }
}

fn goes_down(ended: &Ended) -> bool {
    match ended {
        Ok(reply) => reply.reboot == Reboot::Done,
        Err(failed) => matches!(&*failed.error, Error::Fault(fault) if fault.stopping().is_some()),
    }
}

/// Tells each subscriber what the agent tells.
struct Broadcast {
    subscribers: Subscribers,
    counter: Counter,
}

impl Observer for Broadcast {
    fn on_event(&mut self, event: AgentEvent<'_>) {
        let Some(event) = event.event() else { return };
        let event = self.counter.number(event);
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(subscribers) = &mut *subscribers else { return };
        subscribers.retain(|subscriber| match subscriber.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                subscriber.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        *self.subscribers.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
