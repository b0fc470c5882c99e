//! What a device is plugged into: its card, and around that what the services and the system of its image do.
use super::{
    super::{card::Card, faults::Trouble, image::Image, invariants::Watch, product::Nature},
    desk::Desk,
    mutant::{Mutant, MutantStore},
    world::{NAMES, World, unit, url},
};
use bistable::{
    Device, Error,
    board::{
        memory::MemoryEngine,
        sim::{
            boot_control,
            buses::SimBuses,
            clock::SimClock,
            gpio::SimGpio,
            host::SimHost,
            nets::Nets,
            world::{Facts, Page},
        },
    },
    config::{Backup, Component, Managed, Mode, Settings, Target},
    flow::tryboot::Booted,
    ports::{Board, Clock, Fault, Never, Partitions, Stop},
};
use bistable_boot::{BootId, Flow};
use bistable_format::selftest::Pin;
use std::{num::NonZeroUsize, rc::Rc, time::Duration};

impl Desk<'_> {
    pub(super) fn device(&self) -> Result<Device, Error> {
        let component = |name: &str| Component {
            name: name.into(),
            installed: None,
            managed: Some(Managed {
                target: Target::Directory {
                    unit: unit(name),
                    path: format!("/run/bistable/components/{name}").into(),
                    version_file: "VERSION".into(),
                },
                health: None,
                mode: Mode::Stage,
                start_wait: Duration::ZERO,
                backup: Backup::default(),
            }),
        };
        let components = NAMES.map(component).to_vec();
        let settings = Settings { workers: NonZeroUsize::new(1), components, ..Settings::default() };
        Device::open(self.board()?, settings)
    }

    pub(super) fn board(&self) -> Result<Board, Error> {
        let mut partitions: Box<dyn Partitions> = Box::new(self.card.clone());
        let clock = SimClock::new(Duration::from_secs(5));
        let once = Rc::clone(&self.once);
        let booted = Booted { slot: self.slot, flagged: self.flagged };
        let boot = boot_control(&mut *partitions, Flow::Tryboot, booted, Box::new(move |set| once.set(set)))?;
        let mut nets = Nets::default();
        nets.wire(Pin(17), Pin(27));
        let image = self.world.product.in_slot(&self.card.seen(), self.slot);
        let is_well = image.is_some_and(|image| image.nature == Nature::Good);
        let mut facts = Facts::default();
        facts.units.insert("app.service".into(), if is_well { "active" } else { "failed" }.into());
        for name in NAMES {
            let Some(runs) = self.services.running(&unit(name)) else { continue };
            let part = self.world.parts.iter().find(|part| part.folder() == runs).unwrap();
            facts.units.insert(unit(name), "active".into());
            let is_sick = part.files["BEHAVIOR"] == b"sick" && self.mutant != Some(Mutant::HealthIgnored);
            let version = &part.release.version;
            let body = format!("{{\"version\":\"{version}\"}}");
            facts.http.insert(url(name), Page { status: if is_sick { 500 } else { 200 }, body, delay_ms: 0 });
        }
        let down = Rc::clone(&self.down);
        let reboot = Box::new(move || -> Result<Never, Fault> {
            down.set(true);
            Err(Fault::Stopping(Stop::Reboot))
        });
        let supply = self.supply.clone();
        Ok(Board {
            name: "pi4".into(),
            boot,
            partitions,
            gpio: Box::new(SimGpio::new(nets, clock.clone())),
            buses: Box::new(SimBuses::default()),
            host: Box::new(SimHost::new(facts, clock.clone(), BootId::numbered(self.boot), reboot)),
            store: Box::new(MutantStore(self.store.clone(), self.mutant)),
            services: Box::new(self.services.clone()),
            engine: Box::new(MemoryEngine::new(supply.clone(), &[])),
            compose: Box::new(MemoryEngine::new(supply, &[])),
            clock: Rc::new(clock) as Rc<dyn Clock>,
        })
    }
}

pub(super) fn card(world: &World, image: &Image, trouble: Option<Trouble>) -> Card {
    let watch =
        Watch::new(&world.product, world.product.releases.iter().map(|made| made.version.clone()).collect());
    Card::new(image, &world.product.places, watch, trouble)
}
