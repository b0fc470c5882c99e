//! What is connected to the pins.
//!
//! A **net** is what wires join. What is on a net is one electrical point: a net with a pin that is stuck high reads
//! high on all its pins. `swapped` exchanges what two pins are wired to; `floating` cuts a pin off its net.
use bistable_format::selftest::{Level, Pin};
use serde::{Deserialize, Deserializer, Serialize};

/// A source of pulses, as a fan's tachometer: high for the first half of each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pulse {
    pin: u8,
    hz: u32,
}

/// A pin that another process uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InUse {
    pin: u8,
    user: String,
}

/// What is connected to the pins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nets {
    wires: Vec<Vec<u8>>,
    swapped: Vec<[u8; 2]>,
    stuck_high: Vec<u8>,
    stuck_low: Vec<u8>,
    floating: Vec<u8>,
    pulse: Vec<Pulse>,
    in_use: Vec<InUse>,
}

impl Nets {
    /// For serde's `deserialize_with`: nets that make sense.
    pub(super) fn checked<'de, D: Deserializer<'de>>(from: D) -> Result<Nets, D::Error> {
        let nets = Nets::deserialize(from)?;
        nets.check().map_err(serde::de::Error::custom)?;
        Ok(nets)
    }

    fn check(&self) -> Result<(), String> {
        let pins = self.wires.iter().flatten().chain(self.swapped.iter().flatten());
        let pins = pins.chain(&self.stuck_high).chain(&self.stuck_low).chain(&self.floating);
        let pins = pins.chain(self.pulse.iter().map(|p| &p.pin)).chain(self.in_use.iter().map(|u| &u.pin));
        if let Some(pin) = pins.copied().find(|p| *p > Pin::MAX) {
            return Err(format!("there is no GPIO{pin}; they go from 0 to {}", Pin::MAX));
        }
        if let Some(pin) = self.stuck_high.iter().find(|p| self.stuck_low.contains(p)) {
            return Err(format!("GPIO{pin} is stuck both high and low"));
        }
        match self.wires.iter().find(|w| w.len() < 2) {
            Some(wire) => Err(format!("a wire joins two pins or more, not {}", wire.len())),
            None => Ok(()),
        }
    }

    /// Join two pins with a wire.
    pub fn wire(&mut self, a: Pin, b: Pin) {
        self.wires.push(vec![a.0, b.0]);
    }

    /// Take everything off a pin: wires, faults, pulses, other users.
    pub fn unwire(&mut self, pin: Pin) {
        for wire in &mut self.wires {
            wire.retain(|p| *p != pin.0);
        }
        self.wires.retain(|w| w.len() > 1);
        self.swapped.retain(|pair| !pair.contains(&pin.0));
        self.pulse.retain(|p| p.pin != pin.0);
        self.in_use.retain(|u| u.pin != pin.0);
        self.free(pin);
    }

    /// Exchange what two pins are wired to; once more puts it right again.
    pub fn swap(&mut self, a: Pin, b: Pin) {
        let before = self.swapped.len();
        self.swapped.retain(|pair| *pair != [a.0, b.0] && *pair != [b.0, a.0]);
        if self.swapped.len() == before {
            self.swapped.push([a.0, b.0]);
        }
    }

    /// Tie a pin, with all of its net, to a level.
    pub fn stick(&mut self, pin: Pin, level: Level) {
        self.free(pin);
        match level {
            Level::High => self.stuck_high.push(pin.0),
            Level::Low => self.stuck_low.push(pin.0),
        }
    }

    /// Break the wire at a pin.
    pub fn float(&mut self, pin: Pin) {
        self.free(pin);
        self.floating.push(pin.0);
    }

    /// A pin is neither stuck nor floating any more. Wires stay.
    pub fn free(&mut self, pin: Pin) {
        for list in [&mut self.stuck_high, &mut self.stuck_low, &mut self.floating] {
            list.retain(|p| *p != pin.0);
        }
    }

    /// Connect a source of pulses; 0 Hz takes it away.
    pub fn pulse(&mut self, pin: Pin, hz: u32) {
        self.pulse.retain(|p| p.pin != pin.0);
        if hz > 0 {
            self.pulse.push(Pulse { pin: pin.0, hz });
        }
    }

    /// Let another process use a pin.
    pub fn occupy(&mut self, pin: Pin, user: &str) {
        self.in_use.retain(|u| u.pin != pin.0);
        self.in_use.push(InUse { pin: pin.0, user: user.into() });
    }

    /// Who else uses a pin.
    pub fn user(&self, pin: Pin) -> Option<&str> {
        self.in_use.iter().find(|u| u.pin == pin.0).map(|u| u.user.as_str())
    }

    /// All pins on a pin's net, with itself.
    pub(super) fn net(&self, pin: Pin) -> Vec<Pin> {
        let mut net = vec![pin.0];
        if !self.floating.contains(&pin.0) {
            let mut next = 0;
            while let Some(at) = net.get(next).copied() {
                next += 1;
                // A wire's end that whoever wired it took for another pin is at that other pin.
                for wire in self.wires.iter().map(|w| w.iter().map(|p| self.end(*p)).collect::<Vec<u8>>()) {
                    if wire.contains(&at) {
                        let more = wire.iter().filter(|p| !self.floating.contains(p) && !net.contains(p));
                        let more: Vec<u8> = more.copied().collect();
                        net.extend(more);
                    }
                }
            }
        }
        net.into_iter().map(Pin).collect()
    }

    /// The level that something outside ties a pin to.
    pub(super) fn tied(&self, pin: Pin) -> Option<Level> {
        if self.stuck_low.contains(&pin.0) {
            Some(Level::Low)
        } else if self.stuck_high.contains(&pin.0) {
            Some(Level::High)
        } else {
            None
        }
    }

    /// The frequency of the pulses that come in at a pin.
    pub(super) fn hz(&self, pin: Pin) -> Option<u32> {
        self.pulse.iter().find(|p| self.end(p.pin) == pin.0 && !self.floating.contains(&pin.0)).map(|p| p.hz)
    }

    // Where what was meant for a pin is really connected.
    fn end(&self, pin: u8) -> u8 {
        self.swapped.iter().fold(pin, |p, [a, b]| match p {
            _ if p == *a => *b,
            _ if p == *b => *a,
            _ => p,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(nets: &Nets, pin: u8) -> Vec<u8> {
        let mut net: Vec<u8> = nets.net(Pin(pin)).iter().map(|p| p.0).collect();
        net.sort_unstable();
        net
    }

    #[test]
    fn wires_join_whatever_they_touch() {
        let mut nets = Nets::default();
        for (a, b) in [(1, 2), (3, 4), (4, 2)] {
            nets.wire(Pin(a), Pin(b));
        }
        assert_eq!((net(&nets, 1), net(&nets, 9)), (vec![1, 2, 3, 4], vec![9]));
        nets.float(Pin(4));
        assert_eq!((net(&nets, 1), net(&nets, 4)), (vec![1, 2], vec![4]));
        nets.free(Pin(4));
        nets.unwire(Pin(2));
        assert_eq!((net(&nets, 1), net(&nets, 3)), (vec![1], vec![3, 4]));
    }

    #[test]
    fn swapping_twice_puts_it_right() {
        let mut nets = Nets::default();
        nets.wire(Pin(17), Pin(27));
        nets.wire(Pin(5), Pin(6));
        nets.pulse(Pin(6), 50);
        nets.swap(Pin(27), Pin(6));
        assert_eq!((net(&nets, 17), net(&nets, 5)), (vec![6, 17], vec![5, 27]));
        assert_eq!((nets.hz(Pin(27)), nets.hz(Pin(6))), (Some(50), None));
        nets.swap(Pin(6), Pin(27));
        assert_eq!((net(&nets, 17), net(&nets, 5)), (vec![17, 27], vec![5, 6]));
    }

    #[test]
    fn unwiring_leaves_no_trace() {
        let mut nets = Nets::default();
        nets.wire(Pin(1), Pin(2));
        nets.stick(Pin(1), Level::High);
        nets.pulse(Pin(1), 5);
        nets.occupy(Pin(1), "i2c1");
        nets.swap(Pin(1), Pin(3));
        nets.unwire(Pin(1));
        assert_eq!(nets, Nets::default());
    }
}
