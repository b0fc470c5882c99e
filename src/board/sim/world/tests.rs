use super::*;
use crate::{board::sim::buses::Line, ports::I2cChip};
use bistable_format::selftest::{Level, Pin};
use proptest::prelude::*;

const ALL: &str = r#"
board = "pi5"
[gpio]
wires = [[17, 27], [5, 6, 7]]
swapped = [[27, 6]]
stuck_high = [12]
stuck_low = [13]
floating = [16]
pulse = [{ pin = 24, hz = 87 }]
in_use = [{ pin = 2, user = "i2c1" }]
[i2c]
chips = [{ bus = 1, address = 0x48 }, { bus = 1, address = 0x68, driver = "rtc-ds1307" }]
missing = [0]
stuck = [3]
[spi]
"0.0" = "wired"
"1.2" = "in-use"
[uart]
"/dev/serial0" = "high"
[units]
"app.service" = "active"
"old.service" = "missing"
[http."http://127.0.0.1:8080/health"]
body = "ok"
[commands."/usr/bin/modem-check"]
says = "registered"
delay_ms = 300
[[system]]
version = "1.1.1"
boots = "panic"
units."app.service" = "failed"
http."http://127.0.0.1:8080/health".status = 500
commands."/usr/bin/x".exit = 4
"#;

#[test]
fn text_and_back() {
    let world = World::parse(ALL).unwrap();
    assert_eq!(World::parse(&world.to_toml()).unwrap(), world);
    assert_eq!(World::parse("").unwrap(), World::default());
    assert_eq!(World::parse(&World::default().to_toml()).unwrap(), World::default());
}

#[test]
fn a_version_sees_its_own_world() {
    let world = World::parse(ALL).unwrap();
    let bad = world.facts_for(Some(&Version::new(1, 1, 1)));
    assert_eq!((bad.boots, bad.unit("app.service")), (Boots::Panic, UnitState::Other("failed".into())));
    assert_eq!(bad.http["http://127.0.0.1:8080/health"].status, 500);
    assert_eq!((bad.commands.len(), bad.commands["/usr/bin/x"].exit), (2, 4));
    for other in [None, Some(&Version::new(1, 1, 0))] {
        let good = world.facts_for(other);
        assert_eq!((good.boots, good.unit("app.service")), (Boots::Yes, UnitState::Active));
        assert_eq!(good.unit("old.service"), UnitState::Missing);
        assert_eq!(good.unit("never-heard-of.service"), UnitState::Missing);
        assert_eq!((good.commands.len(), good.version.as_ref()), (1, other));
    }
}

#[test]
fn each_mistake_is_told_with_its_line() {
    #[rustfmt::skip]
    let table = [
        ("\nbord = 'pi4'", 2, "unknown field `bord`"),
        ("[gpio]\nwire = [[1, 2]]", 2, "unknown field `wire`"),
        ("[gpio]\nwires = [[1, 58]]", 1, "there is no GPIO58; they go from 0 to 57"),
        ("[gpio]\nwires = [[1]]", 1, "a wire joins two pins or more, not 1"),
        ("[gpio]\nwires = [[1, 300]]", 2, "invalid value: integer `300`"),
        ("[gpio]\nstuck_high = [3]\nstuck_low = [3]", 1, "GPIO3 is stuck both high and low"),
        ("[gpio]\npulse = [{pin = 1, khz = 3}]", 2, "unknown field `khz`"),
        ("[i2c]\nchips = [{bus = 1, address = 0x78}]", 1, "no chip can have the address 0x78; they go from 0x08 to 0x77"),
        ("[i2c]\nchips = [{bus = 1, adress = 3}]", 2, "unknown field `adress`"),
        ("[i2c]\nbuses = []", 2, "unknown field `buses`"),
        ("[spi]\n'0.0' = 'looped'", 2, "unknown variant `looped`, expected one of `open`, `wired`, `high`, `low`, `shifted`, `missing`, `in-use`"),
        ("[uart]\n'/dev/serial0' = true", 2, ""),
        ("[units]\na = 3", 2, "invalid type: integer `3`, expected a string"),
        ("[http.'http://x']\nstate = 3", 2, "unknown field `state`"),
        ("\n[[system]]\nversion = '1.1'", 3, "unexpected end of input while parsing minor version number"),
        ("[[system]]\nversion = '1.1.1'\nboots = 'maybe'", 3, "unknown variant `maybe`, expected one of `yes`, `panic`, `hang`, `no`"),
        ("[[system]]\nversion = '1.1.1'\n[[system]]\nversion = '1.1.1'", 4, "system 1.1.1 is described twice"),
        ("x = = 1", 1, ""),
    ];
    for (text, line, problem) in table {
        let e = World::parse(text).unwrap_err();
        assert!(e.line == line && e.problem.starts_with(problem), "{text:?}: {e}");
    }
}

#[test]
fn setters_keep_it_readable() {
    let mut world = World::default();
    world.set_unit("app.service", "active", None);
    world.set_unit("app.service", "failed", Some(&Version::new(2, 0, 0)));
    world.system(&Version::new(2, 0, 0)).boots = Boots::Hang;
    world.set_page("http://x", Page { status: 200, body: "ok".into(), delay_ms: 1 }, None);
    world.set_program("/x", Program::default(), Some(&Version::new(2, 0, 0)));
    world.gpio.wire(Pin(17), Pin(27));
    world.gpio.stick(Pin(3), Level::High);
    world.gpio.stick(Pin(3), Level::Low);
    world.i2c.connect(I2cChip { bus: 1, address: 0x48 });
    world.i2c.connect(I2cChip { bus: 1, address: 0x48 });
    world.i2c.connect(I2cChip { bus: 1, address: 0x50 });
    world.i2c.disconnect(I2cChip { bus: 1, address: 0x50 });
    world.spi.insert("0.0".into(), Line::Wired);
    world.uart.insert("/dev/serial0".into(), Line::Missing);
    let read = World::parse(&world.to_toml()).unwrap();
    assert_eq!(read, world);
    assert_eq!((read.systems.len(), read.systems[0].boots), (1, Boots::Hang));
}

proptest! {
    #[test]
    fn any_text_gives_a_world_or_an_error(text in "\\PC{0,80}") {
        let _ = World::parse(&text);
    }
}
