use super::*;
use crate::{
    board::sim::{buses::SimBuses, clock::SimClock, gpio::SimGpio, host::SimHost, world::World},
    ports::{Fault, GpioError, Stop},
};
use bistable_format::selftest::{Level, Need, Pull};
use std::panic::{AssertUnwindSafe, catch_unwind};

const LOOPBACK: &str = "[[test]]\nname = 'relay'\nkind = 'loopback'\nout = 17\nin = 27\n";
const TWO: &str = "[[test]]\nname = 'relay'\nkind = 'loopback'\nout = 17\nin = 27\n
    [[test]]\nname = 'lamp'\nkind = 'loopback'\nout = 5\nin = 6\n";
const DOOR: &str = "[[test]]\nname = 'door'\nkind = 'level'\npin = 22\npull = 'up'\nexpect = 'low'\n";
const SENSE: &str = "[[test]]\nname = 'sense'\nkind = 'level'\npin = 22\nexpect = 'high'\n";
const FAN: &str =
    "[[test]]\nname = 'fan'\nkind = 'pulse'\npin = 24\nmin_hz = 20\nmax_hz = 200\nwindow_ms = 500\n";
const CHIP: &str = "[[test]]\nname = 'chip'\nkind = 'i2c'\nbus = 1\naddress = 0x48\n";
const SPI: &str = "[[test]]\nname = 'spi'\nkind = 'spi'\nbus = 0\nselect = 1\n";
const UART: &str = "[[test]]\nname = 'port'\nkind = 'uart'\ndevice = '/dev/serial0'\nbaud = 9600\n";
const MODEM: &str =
    "[[test]]\nname = 'modem'\nkind = 'command'\nrun = ['/usr/bin/x', '-q']\ntimeout_ms = 1000\n";

fn plan(text: &str) -> Plan {
    Plan::parse(text).unwrap()
}

fn world(text: &str) -> World {
    World::parse(text).unwrap()
}

fn host(world: &World, clock: &SimClock) -> SimHost {
    let reboot = Box::new(|| Err(Fault::Stopping(Stop::Reboot)));
    SimHost::new(world.facts_for(None), clock.clone(), bistable_boot::BootId([0; 16]), reboot)
}

/// Run a plan in a world. Whatever comes out, all pins are safe afterwards.
fn report(world_text: &str, plan_text: &str) -> Report {
    let world = world(world_text);
    let clock = SimClock::new(Duration::from_secs(40));
    let mut gpio = SimGpio::new(world.gpio.clone(), clock.clone());
    let claims = gpio.claims();
    let report =
        run(&plan(plan_text), &mut gpio, &mut world.buses(clock.clone()), &mut host(&world, &clock), &clock);
    assert!(claims.all_safe(), "{:?} are claimed after {world_text}", claims.pins());
    report
}

#[test]
fn each_kind_in_each_fault() {
    use Verdict::{Error, Failed, Passed};
    let wired = "[gpio]\nwires = [[17, 27], [5, 6]]\n";
    let with = |fault: &str| format!("{wired}{fault}");
    #[rustfmt::skip]
    let table: &[(&str, String, &str, Verdict, &str)] = &[
        ("wired", wired.into(), LOOPBACK, Passed, "drove GPIO17 high: GPIO27 read high; low: low"),
        ("unwired", String::new(), LOOPBACK, Failed, "GPIO27 is floating"),
        ("broken at the input", with("floating = [27]"), LOOPBACK, Failed, "GPIO27 is floating"),
        ("broken at the output", with("floating = [17]"), LOOPBACK, Failed, "GPIO27 is floating"),
        ("input stuck high", with("stuck_high = [27]"), LOOPBACK, Failed, "GPIO27 is stuck high: drove GPIO17 high: GPIO27 read high; low: high"),
        ("output stuck high", with("stuck_high = [17]"), LOOPBACK, Failed, "GPIO27 is stuck high"),
        ("input stuck low", with("stuck_low = [27]"), LOOPBACK, Failed, "GPIO27 is stuck low: drove GPIO17 high: GPIO27 read low; low: low"),
        ("input in use", with("in_use = [{pin = 27, user = 'i2c1'}]"), LOOPBACK, Error, "GPIO27 is in use by i2c1"),
        ("output in use", with("in_use = [{pin = 17, user = 'i2c1'}]"), LOOPBACK, Error, "GPIO17 is in use by i2c1"),
        ("swapped inputs", with("swapped = [[27, 6]]"), TWO, Failed, "GPIO6 moved instead, swapped wires?"),
        ("swapped outputs", with("swapped = [[17, 5]]"), TWO, Failed, "GPIO6 moved instead, swapped wires?"),
        ("two pairs", wired.into(), TWO, Passed, "drove GPIO17 high"),
        ("bridged pairs", "[gpio]\nwires = [[17, 27], [5, 6], [27, 6]]".into(), TWO, Failed, "GPIO6 moved too"),
        ("door closed", "[gpio]\nstuck_low = [22]".into(), DOOR, Passed, "GPIO22 read low"),
        ("door open", String::new(), DOOR, Failed, "GPIO22 read high"),
        ("door stuck", "[gpio]\nstuck_high = [22]".into(), DOOR, Failed, "GPIO22 read high"),
        ("door in use", "[gpio]\nin_use = [{pin = 22, user = 'spi0'}]".into(), DOOR, Error, "in use by spi0"),
        ("sense held", "[gpio]\nstuck_high = [22]".into(), SENSE, Passed, "GPIO22 read high"),
        ("sense floating", "[gpio]\nfloating = [22]".into(), SENSE, Failed, "GPIO22 is unsteady"),
        ("fan turns", "[gpio]\npulse = [{pin = 24, hz = 88}]".into(), FAN, Passed, "88 Hz over 500 ms on GPIO24"),
        ("fan stands", String::new(), FAN, Failed, "0 Hz over 500 ms on GPIO24, wanted 20–200"),
        ("fan at the least", "[gpio]\npulse = [{pin = 24, hz = 20}]".into(), FAN, Passed, "20 Hz"),
        ("fan below", "[gpio]\npulse = [{pin = 24, hz = 18}]".into(), FAN, Failed, "18 Hz"),
        ("fan at the most", "[gpio]\npulse = [{pin = 24, hz = 200}]".into(), FAN, Passed, "200 Hz"),
        ("fan above", "[gpio]\npulse = [{pin = 24, hz = 202}]".into(), FAN, Failed, "202 Hz"),
        ("fan shorted", "[gpio]\npulse = [{pin = 24, hz = 88}]\nstuck_low = [24]".into(), FAN, Failed, "0 Hz"),
        ("fan on another pin", "[gpio]\npulse = [{pin = 24, hz = 88}]\nswapped = [[24, 25]]".into(), FAN, Failed, "0 Hz"),
        ("fan in use", "[gpio]\nin_use = [{pin = 24, user = 'pwm'}]".into(), FAN, Error, "in use by pwm"),
        ("program ends well", "[commands.'/usr/bin/x']\nsays = 'registered'".into(), MODEM, Passed, "exit code 0: registered"),
        ("program fails", "[commands.'/usr/bin/x']\nexit = 3\nsays = \"no\\u001b[31m SIM\"".into(), MODEM, Failed, "exit code 3: no [31m SIM"),
        ("no program", String::new(), MODEM, Error, "/usr/bin/x: no such program"),
        ("program just in time", "[commands.'/usr/bin/x']\ndelay_ms = 1000".into(), MODEM, Passed, "exit code 0"),
        ("chip answers", "[i2c]\nchips = [{bus = 1, address = 0x48}]".into(), CHIP, Passed, "0x48 on I²C bus 1 answers"),
        ("chip with a driver", "[i2c]\nchips = [{bus = 1, address = 0x48, driver = 'lm75'}]".into(), CHIP, Passed, "belongs to the kernel's driver lm75"),
        ("chip gone", String::new(), CHIP, Failed, "0x48 on I²C bus 1 does not answer"),
        ("chip on another bus", "[i2c]\nchips = [{bus = 0, address = 0x48}]".into(), CHIP, Failed, "does not answer"),
        ("chip at another address", "[i2c]\nchips = [{bus = 1, address = 0x49}]".into(), CHIP, Failed, "does not answer"),
        ("no bus", "[i2c]\nmissing = [1]".into(), CHIP, Error, "/dev/i2c-1 does not exist: config.txt needs dtparam=i2c_arm=on"),
        ("bus held down", "[i2c]\nstuck = [1]\nchips = [{bus = 1, address = 0x48}]".into(), CHIP, Error, "/dev/i2c-1: timed out"),
        ("spi wired", "[spi]\n'0.1' = 'wired'".into(), SPI, Passed, "96 bytes at 1000000 Hz on /dev/spidev0.1 came back unchanged"),
        ("spi open", String::new(), SPI, Failed, "MISO is stuck low or open: 96 of 96 bytes"),
        ("spi wired elsewhere", "[spi]\n'0.0' = 'wired'".into(), SPI, Failed, "MISO is stuck low or open"),
        ("spi stuck low", "[spi]\n'0.1' = 'low'".into(), SPI, Failed, "MISO is stuck low"),
        ("spi stuck high", "[spi]\n'0.1' = 'high'".into(), SPI, Failed, "MISO is stuck high"),
        ("spi too fast", "[spi]\n'0.1' = 'shifted'".into(), SPI, Failed, "came back wrong: byte 2 was sent as 0xff and came as 0x7f"),
        ("no spi", "[spi]\n'0.1' = 'missing'".into(), SPI, Error, "/dev/spidev0.1 does not exist: config.txt needs dtparam=spi=on"),
        ("spi in use", "[spi]\n'0.1' = 'in-use'".into(), SPI, Error, "/dev/spidev0.1 is in use by another program"),
        ("port wired", "[uart]\n'/dev/serial0' = 'wired'".into(), UART, Passed, "96 bytes at 9600 baud on /dev/serial0 came back unchanged"),
        ("port open", String::new(), UART, Failed, "nothing came back of 96 bytes at 9600 baud on /dev/serial0: is RX wired?"),
        ("port wired elsewhere", "[uart]\n'/dev/ttyAMA2' = 'wired'".into(), UART, Failed, "nothing came back"),
        ("port stuck high", "[uart]\n'/dev/serial0' = 'high'".into(), UART, Failed, "nothing came back"),
        ("port stuck low", "[uart]\n'/dev/serial0' = 'low'".into(), UART, Failed, "RX is stuck low or open: 1 of 96 bytes"),
        ("port unsteady", "[uart]\n'/dev/serial0' = 'shifted'".into(), UART, Failed, "came back wrong: byte 2"),
        ("no port", "[uart]\n'/dev/serial0' = 'missing'".into(), UART, Error, "/dev/serial0 does not exist: config.txt needs enable_uart=1"),
        ("port in use", "[uart]\n'/dev/serial0' = 'in-use'".into(), UART, Error, "/dev/serial0 is in use by"),
        ("program too slow", "[commands.'/usr/bin/x']\ndelay_ms = 1001".into(), MODEM, Failed, "still running after 1000 ms"),
    ];
    for (case, world, plan, verdict, measured) in table {
        let report = report(world, plan);
        let first = &report.tests[0];
        assert_eq!((first.verdict, report.verdict()), (*verdict, *verdict), "{case}: {}", first.measured);
        assert!(first.measured.contains(measured), "{case}: {}", first.measured);
        assert!(!first.measured.contains(char::is_control), "{case}");
    }
}

#[test]
fn a_floating_pin_never_passes_by_chance() {
    for seed in 0..200 {
        let clock = SimClock::default();
        let mut gpio = SimGpio::new(World::default().gpio, clock.clone()).with_noise(seed);
        let report = run(
            &plan(LOOPBACK),
            &mut gpio,
            &mut SimBuses::default(),
            &mut host(&World::default(), &clock),
            &clock,
        );
        assert_eq!(report.verdict(), Verdict::Failed, "seed {seed}");
    }
}

#[test]
fn pulses_never_look_like_a_wire() {
    for hz in (1..100).chain([500, 1000]) {
        for start in (0..1000).step_by(13) {
            let clock = SimClock::new(Duration::from_millis(start));
            let world = world(&format!("[gpio]\npulse = [{{pin = 27, hz = {hz}}}]"));
            let mut gpio = SimGpio::new(world.gpio.clone(), clock.clone());
            let report = run(
                &plan(LOOPBACK),
                &mut gpio,
                &mut world.buses(clock.clone()),
                &mut host(&world, &clock),
                &clock,
            );
            assert_eq!(report.verdict(), Verdict::Failed, "{hz} Hz from {start} ms");
        }
    }
}

#[test]
fn all_tests_run_in_order_and_only_required_ones_refuse() {
    let text = format!("{DOOR}{FAN}need = 'wanted'\n{LOOPBACK}{MODEM}");
    let all_bad = report("", &text);
    let names: Vec<&str> = all_bad.tests.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["door", "fan", "relay", "modem"]);
    assert_eq!(all_bad.refusal().unwrap().name, "door");
    assert_eq!(all_bad.summary(), "door failed: GPIO22 read high");

    let fan_bad = "[gpio]\nstuck_low = [22]\nwires = [[17, 27]]\n[commands.'/usr/bin/x']\n";
    let fan_bad = report(fan_bad, &text);
    assert_eq!((fan_bad.passed(), fan_bad.tests[1].verdict), (true, Verdict::Failed));
    assert_eq!(fan_bad.tests[1].need, Need::Wanted);
    assert_eq!(fan_bad.summary(), "3 of 4 self-tests passed");
    assert_eq!(report("", "").summary(), "no self-tests");
}

#[test]
fn a_summary_fits_and_names_the_test() {
    let name = "x".repeat(64);
    let says = "é".repeat(99);
    let world = format!("[commands.'/usr/bin/x']\nexit = 1\nsays = '{says}'");
    let report = report(&world, &MODEM.replace("modem", &name));
    let summary = report.summary();
    assert!(summary.len() <= Report::SUMMARY_MAX, "{}", summary.len());
    assert!(summary.starts_with("xxxx") && summary.contains("failed: exit code 1: é"), "{summary}");
}

#[test]
fn a_report_as_json() {
    let json = serde_json::to_value(report("", DOOR)).unwrap();
    let test = &json["tests"][0];
    assert_eq!(json["backend"], "sim");
    assert_eq!(
        (&test["kind"], &test["need"], &test["verdict"]),
        (&"level".into(), &"required".into(), &"failed".into())
    );
    assert_eq!((&test["expected"], &test["took_ms"]), (&"GPIO22 reads low".into(), &8.into()));
}

#[test]
fn each_test_has_its_own_time() {
    // A loopback settles for 5 × (50 + 1 + 1) ms.
    let exact = LOOPBACK.to_owned() + "timeout_ms = 260\n";
    let short = LOOPBACK.to_owned() + "timeout_ms = 259\n";
    let wired = "[gpio]\nwires = [[17, 27]]";
    assert!(report(wired, &exact).passed());
    let late = report(wired, &format!("{short}{DOOR}"));
    assert_eq!(late.tests[0].measured, "not done within 259 ms");
    assert!(late.tests[0].took <= Duration::from_millis(259));
    assert_eq!(late.tests[1].measured, "GPIO22 read high");
}

#[test]
fn a_bus_has_its_own_time_too() {
    // 96 + 2 bytes of 10 bits take 102.1 ms at 9600 baud; 96 of 8 bits 76.8 ms at 10 kHz.
    for (line, verdict) in [("wired", Verdict::Passed), ("open", Verdict::Failed)] {
        let world = format!("[uart]\n'/dev/serial0' = '{line}'\n[spi]\n'0.1' = '{line}'");
        let exact = report(&world, &format!("{UART}timeout_ms = 103\n{SPI}hz = 10000\ntimeout_ms = 77\n"));
        assert_eq!((exact.tests[0].verdict, exact.tests[1].verdict), (verdict, verdict));
        let short = report(&world, &format!("{UART}timeout_ms = 102\n{SPI}hz = 10000\ntimeout_ms = 76\n"));
        assert_eq!(short.tests[0].measured, "not done within 102 ms");
        assert_eq!(short.tests[1].measured, "not done within 76 ms");
        assert_eq!((short.tests[0].took, short.tests[1].took), (Duration::ZERO, Duration::ZERO));
    }
    // A silent port doesn't use up a long timeout.
    let silent = report("", &format!("{UART}timeout_ms = 300000\n"));
    assert_eq!(silent.tests[0].took.as_millis(), 704);
}

#[test]
fn nothing_continues_beyond_the_common_end() {
    let text = format!("{LOOPBACK}{MODEM}{FAN}{UART}{SPI}{DOOR}");
    let world = world("[gpio]\nwires = [[17, 27]]\n[commands.'/usr/bin/x']\ndelay_ms = 999999");
    for end in (0..1400).step_by(7).map(Duration::from_millis) {
        let clock = SimClock::default();
        let mut gpio = SimGpio::new(world.gpio.clone(), clock.clone());
        let report = run_until(
            &plan(&text),
            &mut gpio,
            &mut world.buses(clock.clone()),
            &mut host(&world, &clock),
            &clock,
            end,
        );
        assert!(clock.time() <= end && report.tests.len() == 6, "{:?} for {end:?}", clock.time());
        assert!(!report.passed());
    }
}

/// Fails, or panics, at the call with that number; inverts what is read if asked to; knows which pins are claimed.
struct Rigged {
    inner: SimGpio,
    calls: usize,
    fail_at: usize,
    panic: bool,
    invert: bool,
}

impl Rigged {
    fn new(world: &World, clock: &SimClock) -> Rigged {
        let inner = SimGpio::new(world.gpio.clone(), clock.clone());
        Rigged { inner, calls: 0, fail_at: usize::MAX, panic: false, invert: false }
    }
    fn step(&mut self, pin: Pin) -> Result<(), GpioError> {
        self.calls += 1;
        if self.calls - 1 != self.fail_at {
            return Ok(());
        }
        if self.panic {
            // Unlike `panic!` this prints nothing.
            std::panic::resume_unwind(Box::new("as asked for"));
        }
        Err(GpioError::Failed { pin, problem: "rigged".into() })
    }
}

impl Gpio for Rigged {
    fn output(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.step(pin)?;
        self.inner.output(pin, level)
    }
    fn input(&mut self, pin: Pin, pull: Pull) -> Result<(), GpioError> {
        self.step(pin)?;
        self.inner.input(pin, pull)
    }
    fn set(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.step(pin)?;
        self.inner.set(pin, level)
    }
    fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        self.step(pin)?;
        Ok(match (self.inner.read(pin)?, self.invert) {
            (Level::High, false) | (Level::Low, true) => Level::High,
            (Level::Low, false) | (Level::High, true) => Level::Low,
        })
    }
    fn rising_edges(&mut self, pin: Pin, window: Duration) -> Result<u32, GpioError> {
        self.step(pin)?;
        self.inner.rising_edges(pin, window)
    }
    fn release(&mut self, pin: Pin) {
        self.inner.release(pin);
    }
    fn backend(&self) -> &'static str {
        "rigged"
    }
}

#[test]
fn an_inverted_loopback_is_told_from_a_stuck_one() {
    let clock = SimClock::default();
    let world = world("[gpio]\nwires = [[17, 27]]");
    let mut gpio = Rigged { invert: true, ..Rigged::new(&world, &clock) };
    let report =
        run(&plan(LOOPBACK), &mut gpio, &mut world.buses(clock.clone()), &mut host(&world, &clock), &clock);
    let measured = &report.tests[0].measured;
    assert_eq!(measured, "GPIO27 is inverted: drove GPIO17 high: GPIO27 read low; low: high");
}

#[test]
fn pins_are_released_whichever_call_fails_or_panics() {
    let text = format!("{TWO}{DOOR}{FAN}");
    let world = world("[gpio]\nwires = [[17, 27], [5, 6]]\nstuck_low = [22]\npulse = [{pin = 24, hz = 50}]");
    let clock = SimClock::default();
    let mut counting = Rigged::new(&world, &clock);
    assert!(
        run(&plan(&text), &mut counting, &mut SimBuses::default(), &mut host(&world, &clock), &clock)
            .passed()
    );
    assert!(counting.calls > 50, "{}", counting.calls);
    for fail_at in 0..counting.calls {
        for panic in [false, true] {
            let mut gpio = Rigged { fail_at, panic, ..Rigged::new(&world, &clock) };
            let claims = gpio.inner.claims();
            let ran = catch_unwind(AssertUnwindSafe(|| {
                run(
                    &plan(&text),
                    &mut gpio,
                    &mut world.buses(clock.clone()),
                    &mut host(&world, &clock),
                    &clock,
                )
            }));
            assert!(claims.all_safe(), "call {fail_at}: {:?} are claimed", claims.pins());
            match ran {
                Err(_) => assert!(panic),
                // A watched pin of another test that can't be claimed is the other test's problem.
                Ok(report) if report.passed() => {
                    assert!([1, 49].contains(&fail_at) || panic, "call {fail_at}");
                }
                Ok(report) => assert_eq!(report.tests.len(), 4),
            }
        }
    }
}

/// Asserts at each call that only the running test's pins are driven.
struct OnlyOneDriven(SimGpio);

impl Gpio for OnlyOneDriven {
    fn output(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        assert!(self.0.claims().driven().is_empty(), "{pin} would be driven beside another");
        self.0.output(pin, level)
    }
    fn input(&mut self, pin: Pin, pull: Pull) -> Result<(), GpioError> {
        self.0.input(pin, pull)
    }
    fn set(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.0.set(pin, level)
    }
    fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        assert!(self.0.claims().driven().len() <= 1);
        self.0.read(pin)
    }
    fn rising_edges(&mut self, pin: Pin, window: Duration) -> Result<u32, GpioError> {
        assert_eq!(self.0.claims().pins(), [pin]);
        self.0.rising_edges(pin, window)
    }
    fn release(&mut self, pin: Pin) {
        self.0.release(pin);
    }
    fn backend(&self) -> &'static str {
        "watched"
    }
}

#[test]
fn only_the_running_test_drives() {
    let clock = SimClock::default();
    let world = world("[gpio]\nwires = [[17, 27], [5, 6]]\npulse = [{pin = 24, hz = 50}]");
    let mut gpio = OnlyOneDriven(SimGpio::new(world.gpio.clone(), clock.clone()));
    let text = format!("{TWO}{FAN}");
    assert!(
        run(&plan(&text), &mut gpio, &mut world.buses(clock.clone()), &mut host(&world, &clock), &clock)
            .passed()
    );
}
