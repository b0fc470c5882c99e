//! A device inside the test, on a card whose every write is seen and may go wrong without anybody being told.
use crate::pi::Pi;
use bistable::{
    Device, Error,
    agent::{Agent, Observer, Silence, is_reboot},
    board::{
        Access, Card, CardError, Meter,
        sim::{Sim, SimError, boot_control, firmware},
    },
    config::Settings,
    flow::tryboot::Booted,
    ports::{
        Answer, Exit, Fault, Host, HostError, KnownTime, Never, Partitions, Request, Stop, UnitState, Volume,
        WallClock,
    },
};
use bistable_boot::{BootId, BySlot, Flow, Slot, layout::Partition};
use std::{
    cell::Cell,
    io,
    num::NonZeroUsize,
    ops::Range,
    rc::Rc,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Bytes of a chunk of the test's product.
pub(crate) const CHUNK: u64 = 256 << 10;

/// A place on the card.
pub(crate) type Place = (Partition, u64);

/// What the card does to writes that begin at a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wrong {
    /// It doesn't write them.
    Drop(Place),
    /// It changes one bit.
    Flip(Place),
    /// It also writes them to another place, when what begins in the chunk there and in the next one has been read
    /// since it was written.
    Stray { from: Place, onto: Place },
}

#[derive(Default)]
struct State {
    writes: Vec<(Partition, u64, usize)>,
    /// Places where a read began since a write began there.
    reads: Vec<Place>,
    wrong: Option<Wrong>,
    /// Writes until the power goes, in the middle of the last of them.
    cut: Option<usize>,
    /// What can't be read.
    unreadable: Option<(Partition, Range<u64>)>,
    /// A partition that ends there.
    short: Option<(Partition, u64)>,
}

/// All that goes to the card.
#[derive(Clone, Default)]
struct Tap(Arc<Mutex<State>>);

struct TappedVolume {
    inner: Arc<dyn Volume>,
    partition: Partition,
    /// The card, for what strays.
    others: Vec<(Partition, Arc<dyn Volume>)>,
    tap: Tap,
}

impl Volume for TappedVolume {
    fn bytes(&self) -> u64 {
        match self.tap.0.lock().unwrap().short {
            Some((partition, bytes)) if partition == self.partition => bytes,
            _ => self.inner.bytes(),
        }
    }
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
        let end = at + into.len() as u64;
        if end > self.bytes() {
            return Err(Fault::Unfit("behind the end".into()));
        }
        let lost = self.tap.0.lock().unwrap().unreadable.clone();
        if lost.is_some_and(|(p, range)| p == self.partition && at < range.end && range.start < end) {
            return Err(Fault::io("reading")(io::Error::from_raw_os_error(5)));
        }
        self.inner.read(at, into)?;
        self.tap.0.lock().unwrap().reads.push((self.partition, at));
        Ok(())
    }
    fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault> {
        let here = (self.partition, at);
        let wrong = {
            let mut state = self.tap.0.lock().unwrap();
            if let Some(left) = &mut state.cut {
                match *left {
                    0 => return Err(Fault::Stopping(Stop::PowerLost)),
                    1 => {
                        *left = 0;
                        // Whole sectors: a sector is written, or it isn't.
                        let half = from.len() / 1024 * 512;
                        self.inner.write(at, &from[..half])?;
                        return Err(Fault::Stopping(Stop::PowerLost));
                    }
                    _ => *left -= 1,
                }
            }
            state.writes.push((self.partition, at, from.len()));
            state.reads.retain(|place| *place != here);
            state.wrong
        };
        match wrong {
            Some(Wrong::Drop(place)) if place == here => return Ok(()),
            Some(Wrong::Flip(place)) if place == here => {
                let mut bytes = from.to_vec();
                bytes[from.len() / 2] ^= 4;
                return self.inner.write(at, &bytes);
            }
            Some(Wrong::Stray { from: place, onto }) if place == here => {
                let whole = [onto.1 / CHUNK * CHUNK, onto.1.next_multiple_of(CHUNK)].map(|at| (onto.0, at));
                let seen = || {
                    let state = self.tap.0.lock().unwrap();
                    whole.iter().all(|place| state.reads.contains(place))
                };
                for _ in 0..5000 {
                    if seen() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                assert!(seen(), "it was not read: {whole:?}");
                let (_, volume) = self.others.iter().find(|(p, _)| *p == onto.0).unwrap();
                volume.write(onto.1, from)?;
            }
            _ => {}
        }
        self.inner.write(at, from)
    }
    fn flush(&self) -> Result<(), Fault> {
        match self.tap.0.lock().unwrap().cut {
            Some(0) => Err(Fault::Stopping(Stop::PowerLost)),
            _ => self.inner.flush(),
        }
    }
}

struct TappedCard(Box<dyn Partitions>, Tap);

impl Partitions for TappedCard {
    fn open(&mut self, partition: Partition) -> Result<Arc<dyn Volume>, Fault> {
        let mut others = Vec::new();
        for other in Partition::ALL {
            others.push((other, self.0.open(other)?));
        }
        Ok(Arc::new(TappedVolume { inner: self.0.open(partition)?, partition, others, tap: self.1.clone() }))
    }
}

/// The simulated host; the reboot is the test's.
struct Rebooting(Box<dyn Host>, BootId, Option<Vec<u8>>);

impl Host for Rebooting {
    fn run(&mut self, command: &[String], timeout: Duration) -> Result<Exit, HostError> {
        self.0.run(command, timeout)
    }
    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError> {
        self.0.unit(unit, timeout)
    }
    fn http_get(&mut self, url: &str, timeout: Duration) -> Result<Answer, HostError> {
        self.0.http_get(url, timeout)
    }
    fn boot_id(&self) -> BootId {
        self.1
    }
    fn wall_clock(&mut self) -> Result<WallClock, HostError> {
        self.0.wall_clock()
    }
    fn http_post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError> {
        self.0.http_post(request, timeout)
    }
    fn unix_time(&mut self) -> Result<u64, HostError> {
        self.0.unix_time()
    }
    fn saved_time(&mut self) -> Option<u64> {
        self.0.saved_time()
    }
    fn known_time(&mut self) -> Option<KnownTime> {
        self.0.known_time()
    }
    fn keep_time(&mut self, known: KnownTime) {
        self.0.keep_time(known);
    }
    fn system_root(&mut self) -> Result<Option<Vec<u8>>, HostError> {
        Ok(self.2.clone())
    }
    fn serial(&mut self) -> Result<String, HostError> {
        self.0.serial()
    }
    fn free_bytes(&mut self) -> Result<u64, HostError> {
        self.0.free_bytes()
    }
    fn reboot(&mut self) -> Result<Never, Fault> {
        Err(Fault::Stopping(Stop::Reboot))
    }
}

pub(crate) struct Rig {
    pub(crate) pi: Pi,
    pub(crate) booted: Slot,
    /// What the owner configured, but for what makes writes foreseeable.
    pub(crate) settings: Settings,
    /// The signed root in each slot's system, if it has one.
    pub(crate) system_roots: BySlot<Option<Vec<u8>>>,
    once: Rc<Cell<bool>>,
    /// Whether it was set when the running system was booted.
    flagged: bool,
    boots: u64,
    tap: Tap,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig {
            pi: Pi::new(),
            booted: Slot::A,
            settings: Settings::default(),
            system_roots: BySlot { a: None, b: None },
            once: Rc::default(),
            flagged: false,
            boots: 1,
            tap: Tap::default(),
        }
    }

    /// From now on.
    pub(crate) fn wrong(&self, wrong: Option<Wrong>) {
        self.tap.0.lock().unwrap().wrong = wrong;
    }

    /// From now on, reads that touch this range fail.
    pub(crate) fn unreadable(&self, partition: Partition, range: Range<u64>) {
        self.tap.0.lock().unwrap().unreadable = Some((partition, range));
    }

    /// From now on, a partition ends there.
    pub(crate) fn shorten(&self, partition: Partition, bytes: u64) {
        self.tap.0.lock().unwrap().short = Some((partition, bytes));
    }

    /// The power goes in the middle of this write, counted from now: 1 is the next.
    pub(crate) fn cut_at(&self, write: usize) {
        self.tap.0.lock().unwrap().cut = Some(write);
    }

    /// The power comes back, if it was gone. Says whether it was.
    pub(crate) fn power_on(&mut self) -> bool {
        let cut = self.tap.0.lock().unwrap().cut.take();
        self.once.set(false);
        self.reset();
        cut == Some(0)
    }

    /// Each write since this was last asked: where it began, and how many bytes.
    pub(crate) fn writes(&self) -> Vec<(Partition, u64, usize)> {
        std::mem::take(&mut self.tap.0.lock().unwrap().writes)
    }

    /// Start the agent on the running slot, and let it do something. Every chunk is flushed and read back by itself.
    pub(crate) fn run<T>(
        &mut self,
        what: impl FnOnce(&mut Agent<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run_heard(&mut Silence, what)
    }

    /// The same, with an observer.
    pub(crate) fn run_heard<T>(
        &mut self,
        listener: &mut dyn Observer,
        what: impl FnOnce(&mut Agent<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut board = open(&self.pi.card).board;
        let mut card = TappedCard(board.partitions, self.tap.clone());
        let once = Rc::clone(&self.once);
        let once = Box::new(move |set| once.set(set));
        let booted = Booted { slot: self.booted, flagged: self.flagged };
        board.boot = boot_control(&mut card, Flow::Tryboot, booted, once).unwrap();
        let system_root = self.system_roots[self.booted].clone();
        board.host = Box::new(Rebooting(board.host, BootId::numbered(self.boots), system_root));
        board.partitions = Box::new(card);
        let settings = Settings { flush_bytes: 1, workers: Some(NonZeroUsize::MIN), ..self.settings.clone() };
        what(&mut Agent::start(Device::open(board, settings)?, listener)?)
    }

    /// The same, and what it does must end in a reboot.
    #[track_caller]
    pub(crate) fn reboots<T: std::fmt::Debug>(
        &mut self,
        what: impl FnOnce(&mut Agent<'_>) -> Result<T, Error>,
    ) {
        let ended = self.run(what);
        assert!(ended.as_ref().is_err_and(is_reboot), "{ended:?}");
        self.reset();
    }

    /// The firmware chooses a slot.
    pub(crate) fn reset(&mut self) {
        let mut card = Card::open(&self.pi.card, Meter::default(), Access::ReadOnly).unwrap();
        let flow = firmware::flow(&mut card).unwrap();
        self.flagged = self.once.take();
        self.boots += 1;
        self.booted = firmware::choose(&mut card, flow, self.flagged).unwrap().slot;
    }
}

/// A program that another test starts holds our lock, too, from its fork to its exec.
fn open(card: &std::path::Path) -> Sim {
    for _ in 0..1000 {
        match Sim::open(card) {
            Err(SimError::Card(CardError::Busy { .. })) => thread::sleep(Duration::from_millis(5)),
            opened => return opened.unwrap(),
        }
    }
    panic!("the card stays in use");
}
