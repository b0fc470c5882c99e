//! Simulated pins 0 to 57. What wins on a net, strongest first:
//!
//! 1. what ties it: stuck low, then stuck high
//! 2. outputs and pulse sources: if two fight, low wins, for a transistor to ground is the stronger one
//! 3. pull resistors, if all that are on go to the same side
//! 4. nothing: what is read is noise, the same in each run
//!
//! Stricter than the hardware: a pin that is claimed can't be claimed again before it is released, an output can't be
//! read, and an input can't be driven.
use super::{clock::SimClock, nets::Nets, registers::Registers};
use crate::{
    ports::{Clock, Gpio, GpioError},
    teardown::{self, Entry},
};
use bistable_format::selftest::{Level, Pin, Pull};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Output(Level),
    Input(Pull),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claim::Output(level) => write!(f, "output {level}"),
            Claim::Input(Pull::Up) => f.write_str("input, pulled up"),
            Claim::Input(Pull::Down) => f.write_str("input, pulled down"),
            Claim::Input(Pull::None) => f.write_str("input"),
        }
    }
}

/// Which pins are claimed, for whoever watches the board from outside. Clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Claims(Arc<Mutex<BTreeMap<Pin, Claim>>>);

impl Claims {
    /// The claimed pins.
    pub fn pins(&self) -> Vec<Pin> {
        self.lock().keys().copied().collect()
    }

    /// The pins that are driven.
    pub fn driven(&self) -> Vec<Pin> {
        let claims = self.lock();
        claims.iter().filter(|(_, c)| matches!(c, Claim::Output(_))).map(|(p, _)| *p).collect()
    }

    /// Whether all pins are in their safe state.
    pub fn all_safe(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Pin, Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, pin: Pin) -> Option<Claim> {
        self.lock().get(&pin).copied()
    }

    /// Change a pin's claim, in the registers too.
    fn set(&self, pin: Pin, claim: Option<Claim>, registers: Option<&Registers>) {
        let mut claims = self.lock();
        match claim {
            Some(claim) => claims.insert(pin, claim),
            None => claims.remove(&pin),
        };
        show(&claims, registers);
    }

    /// Set an output. Under one lock: one that was released meanwhile, because the program ends, is not driven again.
    fn drive(&self, pin: Pin, level: Level, registers: Option<&Registers>) -> Result<(), GpioError> {
        let mut claims = self.lock();
        match claims.get_mut(&pin) {
            Some(Claim::Output(now)) => *now = level,
            _ => return Err(GpioError::NotClaimed(pin)),
        }
        show(&claims, registers);
        Ok(())
    }
}

fn show(claims: &BTreeMap<Pin, Claim>, registers: Option<&Registers>) {
    if let Some(registers) = registers {
        registers.set(&claims.iter().map(|(pin, claim)| (*pin, claim.to_string())).collect());
    }
}

/// What holds a net.
enum Held {
    /// A level that doesn't change by itself.
    At(Level),
    /// A pulse source with that many pulses per second.
    Pulsing(u32),
    /// Nothing.
    Noise,
}

/// The simulated pins.
pub struct SimGpio {
    nets: Nets,
    clock: SimClock,
    claims: Claims,
    noise: u64,
    registers: Option<Registers>,
    /// Make claimed pins safe when the program ends early. Without registers, claims are in memory and end with it.
    entries: BTreeMap<Pin, Entry>,
}

impl fmt::Debug for SimGpio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimGpio")
            .field("nets", &self.nets)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

impl SimGpio {
    /// Pins that are connected as `nets` says; all are released.
    pub fn new(nets: Nets, clock: SimClock) -> SimGpio {
        SimGpio {
            nets,
            clock,
            claims: Claims::default(),
            noise: 0x9E37_79B9_7F4A_7C15,
            registers: None,
            entries: BTreeMap::new(),
        }
    }

    /// The same pins, whose registers are seen from outside.
    #[must_use]
    pub(super) fn with_registers(self, registers: Registers) -> SimGpio {
        SimGpio { registers: Some(registers), ..self }
    }

    /// The same pins with other noise.
    #[must_use]
    pub fn with_noise(mut self, seed: u64) -> SimGpio {
        self.noise ^= seed;
        self
    }

    /// Which pins are claimed, now and later.
    pub fn claims(&self) -> Claims {
        self.claims.clone()
    }

    fn claim(&mut self, pin: Pin, claim: Claim) -> Result<(), GpioError> {
        exists(pin)?;
        if let Some(user) = self.nets.user(pin) {
            return Err(GpioError::InUse { pin, user: user.into() });
        }
        if self.claims.of(pin).is_some() {
            return Err(GpioError::InUse { pin, user: "bistable".into() });
        }
        let Some(registers) = &self.registers else {
            self.claims.set(pin, Some(claim), None);
            return Ok(());
        };
        let start = || {
            self.claims.set(pin, Some(claim), Some(registers));
            Ok::<_, Infallible>(())
        };
        let undo = |&(): &()| -> teardown::Undo {
            let (claims, registers) = (self.claims.clone(), registers.clone());
            Box::new(move || claims.set(pin, None, Some(&registers)))
        };
        let Ok(((), entry)) = teardown::begin(start, undo);
        self.entries.insert(pin, entry);
        Ok(())
    }

    fn held(&self, pin: Pin) -> Held {
        let net = self.nets.net(pin);
        let tied: Vec<Level> = net.iter().filter_map(|p| self.nets.tied(*p)).collect();
        if let Some(level) = lowest(&tied) {
            return Held::At(level);
        }
        let claims: Vec<Claim> = net.iter().filter_map(|p| self.claims.of(*p)).collect();
        let outputs: Vec<Level> =
            claims.iter().filter_map(|c| if let Claim::Output(l) = c { Some(*l) } else { None }).collect();
        let pulses = net.iter().find_map(|p| self.nets.hz(*p));
        match (lowest(&outputs), pulses) {
            (Some(Level::Low), _) => return Held::At(Level::Low),
            (_, Some(hz)) => return Held::Pulsing(hz),
            (Some(Level::High), None) => return Held::At(Level::High),
            (None, None) => {}
        }
        let up = claims.contains(&Claim::Input(Pull::Up));
        let down = claims.contains(&Claim::Input(Pull::Down));
        match (up, down) {
            (true, false) => Held::At(Level::High),
            (false, true) => Held::At(Level::Low),
            _ => Held::Noise,
        }
    }

    fn is_input(&self, pin: Pin) -> Result<(), GpioError> {
        exists(pin)?;
        match self.claims.of(pin) {
            Some(Claim::Input(_)) => Ok(()),
            _ => Err(GpioError::NotClaimed(pin)),
        }
    }

    // xorshift64*: cheap, and the same in each run.
    fn noise(&mut self) -> u64 {
        self.noise ^= self.noise >> 12;
        self.noise ^= self.noise << 25;
        self.noise ^= self.noise >> 27;
        self.noise.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }
}

impl Gpio for SimGpio {
    fn output(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.claim(pin, Claim::Output(level))
    }

    fn input(&mut self, pin: Pin, pull: Pull) -> Result<(), GpioError> {
        self.claim(pin, Claim::Input(pull))
    }

    fn set(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        exists(pin)?;
        self.claims.drive(pin, level, self.registers.as_ref())
    }

    fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        self.is_input(pin)?;
        Ok(match self.held(pin) {
            Held::At(level) => level,
            // High in the first half of each period.
            Held::Pulsing(hz) if half_periods(hz, self.clock.now()).is_multiple_of(2) => Level::High,
            Held::Pulsing(_) => Level::Low,
            Held::Noise if self.noise().is_multiple_of(2) => Level::High,
            Held::Noise => Level::Low,
        })
    }

    fn rising_edges(&mut self, pin: Pin, window: Duration) -> Result<u32, GpioError> {
        self.is_input(pin)?;
        let from = self.clock.now();
        self.clock.wait(window);
        let edges = match self.held(pin) {
            Held::At(_) => 0,
            Held::Pulsing(hz) => half_periods(hz, self.clock.now()) / 2 - half_periods(hz, from) / 2,
            // An open input picks up anything, up to one edge per millisecond here.
            Held::Noise => u128::from(self.noise()) % (window.as_millis() + 1),
        };
        Ok(u32::try_from(edges).unwrap_or(u32::MAX))
    }

    fn release(&mut self, pin: Pin) {
        self.claims.set(pin, None, self.registers.as_ref());
        self.entries.remove(&pin);
    }

    fn backend(&self) -> &'static str {
        "sim"
    }
}

fn exists(pin: Pin) -> Result<(), GpioError> {
    if pin.0 > Pin::MAX { Err(GpioError::NoSuchPin(pin)) } else { Ok(()) }
}

fn lowest(levels: &[Level]) -> Option<Level> {
    if levels.contains(&Level::Low) { Some(Level::Low) } else { levels.first().copied() }
}

fn half_periods(hz: u32, at: Duration) -> u128 {
    at.as_nanos() * u128::from(hz) * 2 / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{High, Low};

    fn pins(change: impl FnOnce(&mut Nets)) -> (SimGpio, SimClock) {
        let (mut nets, clock) = (Nets::default(), SimClock::default());
        change(&mut nets);
        (SimGpio::new(nets, clock.clone()), clock)
    }

    const A: Pin = Pin(17);
    const B: Pin = Pin(27);
    const C: Pin = Pin(57);

    #[test]
    fn who_wins_on_a_net() {
        type Case<'a> = (&'a str, fn(&mut Nets), &'a [(Pin, Level)], Pull, Level);
        #[rustfmt::skip]
        let table: [Case<'_>; 9] = [
            ("output high over pull", |_| (), &[(A, High)], Pull::Down, High),
            ("output low over pull", |_| (), &[(A, Low)], Pull::Up, Low),
            ("low wins a fight", |n| n.wire(B, C), &[(A, High), (C, Low)], Pull::Up, Low),
            ("two outputs agree", |n| n.wire(B, C), &[(A, High), (C, High)], Pull::Down, High),
            ("ground over output", |n| n.stick(A, Low), &[(A, High)], Pull::Up, Low),
            ("supply over output", |n| n.stick(B, High), &[(A, Low)], Pull::Down, High),
            ("ground over supply", |n| { n.stick(A, Low); n.stick(B, High); }, &[], Pull::Up, Low),
            ("pull alone", |_| (), &[], Pull::Up, High),
            ("broken: pull alone", |n| n.float(B), &[(A, Low)], Pull::Up, High),
        ];
        for (case, change, outputs, pull, expected) in table {
            let (mut gpio, _) = pins(|n| {
                n.wire(A, B);
                change(n);
            });
            for (pin, level) in outputs {
                gpio.output(*pin, *level).unwrap();
            }
            gpio.input(B, pull).unwrap();
            assert_eq!(gpio.read(B).unwrap(), expected, "{case}");
        }
    }

    #[test]
    fn noise_is_noise_and_the_same_each_time() {
        let read = |seed| {
            let mut gpio = pins(|_| ()).0.with_noise(seed);
            gpio.input(A, Pull::None).unwrap();
            (0..64).map(|_| gpio.read(A).unwrap()).collect::<Vec<Level>>()
        };
        assert_eq!(read(1), read(1));
        assert_ne!(read(1), read(2));
        assert!(read(3).contains(&High) && read(3).contains(&Low));
    }

    #[test]
    fn claims_are_strict() {
        let (mut gpio, _) = pins(|n| n.occupy(B, "i2c1"));
        let mine = Err(GpioError::InUse { pin: A, user: "bistable".into() });
        assert_eq!(gpio.read(A), Err(GpioError::NotClaimed(A)));
        gpio.output(A, Low).unwrap();
        assert_eq!((gpio.input(A, Pull::None), gpio.output(A, High)), (mine.clone(), mine));
        assert_eq!(gpio.read(A), Err(GpioError::NotClaimed(A)));
        assert_eq!(gpio.input(B, Pull::None), Err(GpioError::InUse { pin: B, user: "i2c1".into() }));
        let none = Pin(58);
        assert_eq!(gpio.output(none, Low), Err(GpioError::NoSuchPin(none)));
        assert_eq!((gpio.claims().pins(), gpio.claims().driven()), (vec![A], vec![A]));
        gpio.release(A);
        gpio.release(A);
        assert!(gpio.claims().all_safe());
        gpio.input(A, Pull::None).unwrap();
        assert_eq!(gpio.set(A, High), Err(GpioError::NotClaimed(A)));
    }

    #[test]
    fn edges_are_counted_exactly_over_any_cut_of_the_time() {
        let (mut gpio, clock) = pins(|n| n.pulse(A, 87));
        gpio.input(A, Pull::Up).unwrap();
        let parts: u32 = [1, 499, 3, 250, 247]
            .iter()
            .map(|ms| gpio.rising_edges(A, Duration::from_millis(*ms)).unwrap())
            .sum();
        assert_eq!((parts, clock.time()), (87, Duration::from_secs(1)));
    }
}
