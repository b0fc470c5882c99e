//! The simulated Pi: opened for a verb, and changed by `sim`.
use super::{
    Answer,
    machine::{self, Memory, VerbEnd},
    say,
};
use crate::{
    Error,
    app::{self, CutAt, Powered, Worlds},
    board::{
        Access, Card, Cut, Meter,
        sim::{self, Sim, SimError, buses::Line, folder, machine::Machine, world::World},
    },
    cli::{Connected, Power, SimVerb, StuckAt},
    ports::I2cChip,
};
use bistable_boot::Slot;
use bistable_format::selftest::{Level, Pin};
use std::path::Path;

/// The machine with this card, to work on it or to look at it.
pub(super) fn open(card: &Path, access: Access) -> Result<machine::Machine, Error> {
    let sim = match access {
        Access::Exclusive => Sim::open(card)?,
        Access::ReadOnly => Sim::open_read_only(card)?,
    };
    let memory: Box<dyn Memory> = Box::new(sim.session());
    let verb_end = VerbEnd { meter: sim.meter, memory: Some(memory) };
    Ok(machine::Machine { board: sim.board, power: sim.power, verb_end, events: sim.events })
}

impl Memory for sim::SimSession {
    fn tell_console(&self) {
        self.console().iter().for_each(|line| say(&format!("  {line}")));
    }

    fn save(&self) -> Result<(), Error> {
        let console = self.console();
        sim::SimSession::save(self)?;
        console.iter().for_each(|line| say(&format!("  {line}")));
        if self.lost_power() {
            say("  power lost in the middle of a write; `bistable sim power on` restores it");
        }
        Ok(())
    }

    fn booted(&self) -> Option<Slot> {
        sim::SimSession::booted(self)
    }
}

impl From<SimError> for Error {
    fn from(e: SimError) -> Self {
        match e {
            SimError::Card(e) => Error::Card(e),
            SimError::Fault(e) => Error::Fault(e),
            e @ SimError::OnAlready => Error::NothingToDo(e.to_string()),
            e => Error::Sim(Box::new(e)),
        }
    }
}

pub(super) fn run(card: Option<&Path>, verb: &SimVerb) -> Result<Answer, Error> {
    match card {
        Some(card) => Ok(change(card, verb)?),
        None => {
            let text = "`sim` changes a simulated Pi: name its card with --card FILE or BISTABLE_CARD";
            Err(Error::Usage(text.into()))
        }
    }
}

fn change(path: &Path, verb: &SimVerb) -> Result<Answer, SimError> {
    let access = if matches!(verb, SimVerb::World) { Access::ReadOnly } else { Access::Exclusive };
    // The lock on the card is the lock on the whole machine.
    let card = Card::open(path, Meter::default(), access)?;
    let mut machine = Machine::load(&folder(path))?;
    machine.insert(&card);
    let answer = match verb {
        SimVerb::World => {
            return Ok(Answer::new(machine.world.to_toml(), world(machine.world)));
        }
        SimVerb::Power { what } => {
            let done = power(&mut machine, &card, *what);
            for line in std::mem::take(&mut machine.console) {
                say(&format!("  {line}"));
            }
            // A machine that doesn't boot has its power all the same.
            if !matches!(done, Err(SimError::OnAlready)) {
                machine.save()?;
            }
            done?;
            let answer = Powered { power: machine.power(), booted: machine.state.booted };
            Answer::new("", app::Answer::Powered(answer))
        }
        SimVerb::Cut { at_write, at_byte } => {
            machine.state.cut_at = Some(Cut { write: *at_write, byte: *at_byte });
            let place = at_byte.map_or_else(|| "in the middle".into(), |byte| format!("at byte {byte}"));
            say(&format!("the power will fail {place} of card write {at_write} from now"));
            machine.save()?;
            Answer::new("", app::Answer::CutAt(CutAt { cut_at: machine.state.cut_at }))
        }
        change => {
            rewire(&mut machine, change);
            machine.save_world()?;
            Answer::new("", world(machine.world))
        }
    };
    Ok(answer)
}

fn world(world: World) -> app::Answer {
    app::Answer::World(Box::new(Worlds { world }))
}

fn power(machine: &mut Machine, card: &Card, what: Power) -> Result<(), SimError> {
    if what == Power::On && machine.running().is_ok() {
        return Err(SimError::OnAlready);
    }
    if matches!(what, Power::Off | Power::Cycle) {
        machine.power_off();
        say("power off: RAM, registers and the one-shot boot flag are gone");
    }
    if matches!(what, Power::On | Power::Cycle) {
        machine.switch_on(card)?;
    }
    Ok(())
}

fn rewire(machine: &mut Machine, verb: &SimVerb) {
    let world = &mut machine.world;
    match verb {
        SimVerb::Wire { a, b } => world.gpio.wire(Pin(*a), Pin(*b)),
        SimVerb::Unwire { pin } => world.gpio.unwire(Pin(*pin)),
        SimVerb::Stuck { pin, level } => {
            let level = match level {
                StuckAt::High => Level::High,
                StuckAt::Low => Level::Low,
            };
            world.gpio.stick(Pin(*pin), level);
        }
        SimVerb::Pulse { pin, hz } => world.gpio.pulse(Pin(*pin), *hz),
        SimVerb::I2c { bus, address, what } => {
            let chip = I2cChip { bus: *bus, address: *address };
            match what {
                Connected::On => world.i2c.connect(chip),
                Connected::Off => world.i2c.disconnect(chip),
            }
        }
        SimVerb::Loop { device, what } => {
            let (lines, name) = match device.strip_prefix("/dev/spidev") {
                Some(select) => (&mut world.spi, select),
                None => (&mut world.uart, device.as_str()),
            };
            match what {
                Connected::On => lines.insert(name.to_owned(), Line::Wired),
                Connected::Off => lines.remove(name),
            };
        }
        SimVerb::Unit { unit, state, version } => world.set_unit(unit, state, version.as_ref()),
        SimVerb::Power { .. } | SimVerb::Cut { .. } | SimVerb::World => {}
    }
}
