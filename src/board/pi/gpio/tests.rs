//! What only a machine with pins can show. Run it there as root, on a pin that nothing is connected to:
//! `PIN=17 USED=47 BACKEND=rppal bistable-… --ignored on_this_machine`, with `EDGES=3` if that many will come.
use super::*;
use gpiocdev::line::Direction;
use nix::time::{ClockId, clock_gettime};

pub(in crate::board::pi) struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into()
    }

    fn wait(&self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            std::hint::spin_loop();
        }
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn pin(name: &str) -> Option<Pin> {
    env(name).map(|number| Pin(number.parse().unwrap()))
}

#[test]
#[ignore = "drives a pin of the machine that it runs on"]
fn on_this_machine() {
    let free = pin("PIN").unwrap();
    let chip = Chip::find().unwrap();
    let lines = gpiocdev::Chip::from_path(chip.path()).unwrap();
    // The kernel doesn't look again at what goes past it.
    let registers = || ::rppal::gpio::Gpio::new().unwrap().get(free.0).unwrap().mode();
    let past_the_kernel = env("BACKEND").unwrap() == "rppal";
    let rests = || match past_the_kernel {
        true => assert_eq!(registers(), ::rppal::gpio::Mode::Input),
        false => assert_eq!(lines.line_info(free.0.into()).unwrap().direction, Direction::Input),
    };
    let mut gpio = open(Box::new(Monotonic));
    println!("backend {} on {} {}", gpio.backend(), chip.path().display(), chip.label());
    assert!(gpio.backend().starts_with(&env("BACKEND").unwrap()), "{}", gpio.backend());

    if let Some(used) = pin("USED") {
        for refused in [gpio.output(used, Level::High), gpio.input(used, Pull::Up)] {
            println!("used: {}", refused.as_ref().unwrap_err());
            assert!(matches!(refused, Err(GpioError::InUse { .. })));
        }
    }
    assert_eq!(gpio.input(Pin(57), Pull::None), Err(GpioError::NoSuchPin(Pin(57))));

    // An output, then another level, then let go.
    for level in [Level::Low, Level::High] {
        gpio.output(free, Level::High).unwrap();
        gpio.set(free, level).unwrap();
        if past_the_kernel {
            let seen =
                gpiocdev::Request::builder().on_chip(chip.path()).with_line(free.0.into()).as_is().request();
            let seen = seen.unwrap().lone_value().unwrap();
            println!("driven {level}: the kernel sees {seen}");
            assert_eq!(seen == gpiocdev::line::Value::Active, level == Level::High);
        } else {
            assert_eq!(lines.line_info(free.0.into()).unwrap().direction, Direction::Output);
        }
        gpio.release(free);
        rests();
    }
    gpio.output(free, Level::High).unwrap();
    let mine = Err(GpioError::InUse { pin: free, user: "bistable".into() });
    assert_eq!((gpio.input(free, Pull::Up), gpio.output(free, Level::Low)), (mine.clone(), mine));
    assert_eq!(gpio.read(free), Err(GpioError::NotClaimed(free)));
    assert_eq!(gpio.rising_edges(free, Duration::ZERO), Err(GpioError::NotClaimed(free)));
    gpio.release(free);
    gpio.release(free);
    rests();

    // An input, through a count and after it.
    for pull in [Pull::None, Pull::Down, Pull::Up] {
        gpio.input(free, pull).unwrap();
        println!("read {} with pull {pull:?}", gpio.read(free).unwrap());
        assert_eq!(gpio.set(free, Level::High), Err(GpioError::NotClaimed(free)));
        let start = Monotonic.now();
        assert_eq!(gpio.rising_edges(free, Duration::from_millis(200)), Ok(0));
        let took = Monotonic.now() - start;
        assert!((200..400).contains(&took.as_millis()), "{took:?}");
        gpio.read(free).unwrap();
        gpio.release(free);
    }

    // The other process is refused nothing, and this one is.
    let mut other = gpiocdev::Request::builder();
    let other = other.on_chip(chip.path()).with_consumer("somebody").with_line(free.0.into()).as_input();
    let other = other.request().unwrap();
    let refused = Err(GpioError::InUse { pin: free, user: "somebody".into() });
    assert_eq!((gpio.output(free, Level::High), gpio.input(free, Pull::Up)), (refused.clone(), refused));
    drop(other);

    // Whoever forgets a pin leaves it safe all the same. Low, for an emulated pin stays as it was driven last.
    gpio.output(free, Level::Low).unwrap();
    drop(gpio);
    rests();
    if let Some(edges) = env("EDGES") {
        let mut gpio = open(Box::new(Monotonic));
        gpio.input(free, Pull::None).unwrap();
        println!("COUNTING");
        let counted = gpio.rising_edges(free, Duration::from_secs(8)).unwrap();
        println!("counted {counted}");
        assert_eq!(counted, edges.parse::<u32>().unwrap());
        gpio.release(free);
    }
    println!("PINS ARE RIGHT");
}

#[test]
fn a_machine_without_pins_says_so() {
    let mut gpio = Absent { name: "none (no chip)".into() };
    let expected = "GPIO4: no GPIO backend: none (no chip)";
    let pin = Pin(4);
    let said = [
        gpio.output(pin, Level::High),
        gpio.input(pin, Pull::Up),
        gpio.set(pin, Level::Low),
        gpio.read(pin).map(|_| ()),
        gpio.rising_edges(pin, Duration::ZERO).map(|_| ()),
    ];
    assert!(said.iter().all(|s| s.as_ref().unwrap_err().to_string() == expected), "{said:?}");
}
