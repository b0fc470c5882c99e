//! Any text as a self-test plan and as a health profile: what is accepted keeps its promises, and a refusal is one
//! line without control characters.
#![no_main]
use bistable_format::health::{DEADLINE_MAX_S, Profile};
use bistable_format::selftest::{
    BAUDS, I2C_ADDRESSES, Kind, Pin, Plan, SPI_BUS_MAX, SPI_HZ, SPI_SELECT_MAX, TIMEOUT_MAX_MS,
};
use bistable_format::{DecodeError, limits, name::check_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Plan::parse(text) {
        Ok(plan) => {
            assert!(plan.tests.len() <= limits::TESTS);
            let mut pins: Vec<Pin> = Vec::new();
            for test in &plan.tests {
                check_name("test", &test.name).unwrap();
                assert!((1..=TIMEOUT_MAX_MS).contains(&test.timeout_ms));
                match &test.kind {
                    Kind::Pulse { min_hz, max_hz, window_ms, .. } => {
                        assert!(min_hz <= max_hz && (1..=test.timeout_ms).contains(window_ms));
                    }
                    Kind::Command { run } => assert!(run[0].starts_with('/')),
                    Kind::I2c { address, .. } => assert!(I2C_ADDRESSES.contains(address)),
                    Kind::Spi { bus, select, hz } => {
                        assert!(*bus <= SPI_BUS_MAX && *select <= SPI_SELECT_MAX && SPI_HZ.contains(hz));
                    }
                    Kind::Uart { device, baud } => {
                        assert!(BAUDS.contains(baud) && device.starts_with("/dev/"));
                        assert!(!device.split('/').any(|part| part == ".."));
                        assert!(!device.contains(|c: char| c.is_control() || c == ' '));
                    }
                    Kind::Loopback { .. } | Kind::Level { .. } => {}
                    Kind::Unknown { why, .. } => assert!(!why.chars().any(char::is_control), "{why:?}"),
                }
                for pin in test.kind.pins() {
                    assert!(pin.0 <= Pin::MAX && !pins.contains(&pin));
                    pins.push(pin);
                }
            }
        }
        Err(e) => readable(&e),
    }
    match Profile::parse(text) {
        Ok(profile) => {
            assert!(profile.checks.len() <= limits::TESTS);
            assert!(profile.settle_s < profile.deadline_s && profile.deadline_s <= DEADLINE_MAX_S);
        }
        Err(e) => readable(&e),
    }
});

fn readable(error: &DecodeError) {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
