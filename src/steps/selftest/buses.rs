//! Chips that answer, and loops of one wire on a serial bus.
//!
//! What comes back over a loop must be what was sent, for patterns that no fault leaves unchanged: lines that are stuck or
//! open give only one level, a short between neighboring bits or a late clock changes alternating bits, and bytes that
//! don't repeat show what is lost or out of order.
use super::{Early, Limit, Outcome};
use crate::ports::{Buses, I2cAnswer, I2cChip, SpiSelect};
use std::time::Duration;

// More than the 16 or 32 bytes of a port's own memory, so that its driver has to keep up too.
const BYTES: usize = 96;

/// All bits low, all high, alternating both ways, one bit on its way, the bytes that stop a port with software flow
/// control, then bytes without order: the same ones each time, so that a finding can be found again.
fn pattern() -> [u8; BYTES] {
    const FIRST: [u8; 16] =
        [0x00, 0xff, 0x55, 0xaa, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x11, 0x13, 0x0f, 0xf0];
    let mut noise: u32 = 0x2545_f491;
    std::array::from_fn(|i| {
        FIRST.get(i).copied().unwrap_or_else(|| {
            // xorshift32: no byte repeats at a distance that a shift register has.
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            noise.to_le_bytes()[1]
        })
    })
}

/// Ask a chip.
pub(super) fn i2c(chip: I2cChip, buses: &mut dyn Buses) -> Result<Outcome, Early> {
    Ok(match buses.i2c_answers(chip)? {
        I2cAnswer::Answers => Outcome::passed(format!("{chip} answers")),
        I2cAnswer::Driver(driver) => {
            Outcome::passed(format!("{chip} belongs to the kernel's driver {driver}"))
        }
        I2cAnswer::Silent => Outcome::failed(format!("{chip} does not answer")),
    })
}

/// MOSI to MISO.
pub(super) fn spi(
    at: SpiSelect,
    hz: u32,
    buses: &mut dyn Buses,
    limit: &Limit<'_>,
) -> Result<Outcome, Early> {
    limit.spend(time_of(BYTES, 8, hz))?;
    let sent = pattern();
    let came = buses.spi_exchange(at, hz, &sent)?;
    Ok(compare(&sent, &came, &format!("{hz} Hz on {}", at.node()), "MISO"))
}

/// TX to RX.
pub(super) fn uart(
    device: &str,
    baud: u32,
    buses: &mut dyn Buses,
    limit: &Limit<'_>,
) -> Result<Outcome, Early> {
    // See the port: it waits for two bytes' time first.
    let needs = time_of(BYTES + 2, 10, baud);
    limit.spend(needs)?;
    // A port that stays silent shows it well before a long timeout is over.
    let wait = limit.left().min(needs.saturating_mul(2).saturating_add(Duration::from_millis(500)));
    let sent = pattern();
    let came = buses.uart_exchange(device, baud, &sent, wait)?;
    Ok(compare(&sent, &came, &format!("{baud} baud on {device}"), "RX"))
}

fn time_of(bytes: usize, bits: u32, per_second: u32) -> Duration {
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(bits.into());
    Duration::from_micros(bits.saturating_mul(1_000_000) / u64::from(per_second.max(1)))
}

fn compare(sent: &[u8], came: &[u8], how: &str, line: &str) -> Outcome {
    let of = format!("{} bytes at {how}", sent.len());
    if came == sent {
        return Outcome::passed(format!("{of} came back unchanged"));
    }
    let first = sent.iter().zip(came).position(|(s, c)| s != c);
    Outcome::failed(match (came, first) {
        ([], _) => format!("nothing came back of {of}: is {line} wired?"),
        _ if came.iter().all(|b| *b == 0) => {
            format!("{line} is stuck low or open: {} of {of} came as 0", came.len())
        }
        _ if came.iter().all(|b| *b == 0xff) => {
            format!("{line} is stuck high or open: {} of {of} came as 0xff", came.len())
        }
        (_, None) => format!("only {} of {of} came back", came.len()),
        (_, Some(at)) => {
            let wrong =
                sent.iter().zip(came).filter(|(s, c)| s != c).count() + sent.len().abs_diff(came.len());
            let (s, c) = (sent.get(at).copied().unwrap_or(0), came.get(at).copied().unwrap_or(0));
            format!(
                "{wrong} of {of} came back wrong: byte {} was sent as {s:#04x} and came as {c:#04x}",
                at + 1
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::selftest::Verdict;

    #[test]
    fn no_simple_fault_leaves_the_pattern_unchanged() {
        let sent = pattern();
        let each = |change: &dyn Fn(usize, u8) -> u8| -> Vec<u8> {
            sent.iter().enumerate().map(|(i, b)| change(i, *b)).collect()
        };
        let mut faults: Vec<(String, Vec<u8>)> = vec![
            ("inverted".into(), each(&|_, b| !b)),
            ("reversed bits".into(), each(&|_, b| b.reverse_bits())),
            ("swapped halves".into(), each(&|_, b| b.rotate_left(4))),
            ("reversed order".into(), sent.iter().rev().copied().collect()),
            ("lost the last".into(), sent[..BYTES - 1].to_vec()),
            ("one too many".into(), [&sent[..], &[0]].concat()),
            ("nothing".into(), Vec::new()),
        ];
        for bit in 0..8 {
            faults.push((format!("bit {bit} low"), each(&|_, b| b & !(1 << bit))));
            faults.push((format!("bit {bit} high"), each(&|_, b| b | 1 << bit)));
            let next = (bit + 1) % 8;
            faults.push((
                format!("bit {bit} follows {next}"),
                each(&|_, b| b & !(1 << bit) | (b >> next & 1) << bit),
            ));
            faults.push((format!("late by {bit}"), each(&|_, b| b.rotate_left(bit))));
        }
        for distance in 1..BYTES {
            faults.push((format!("late by {distance} bytes"), each(&|i, _| sent[(i + distance) % BYTES])));
        }
        for at in 0..BYTES {
            let mut lost = sent.to_vec();
            lost.remove(at);
            faults.push((format!("lost byte {at}"), lost));
        }
        faults.retain(|(name, _)| name != "late by 0");
        for (fault, came) in faults {
            let outcome = compare(&sent, &came, "x", "RX");
            assert_eq!(outcome.verdict, Verdict::Failed, "{fault}: {}", outcome.measured);
        }
        assert_eq!(compare(&sent, &sent, "x", "RX").verdict, Verdict::Passed);
    }

    #[test]
    fn a_finding_says_what_is_wrong() {
        let sent = pattern();
        let mut one = sent;
        one[2] = 0x54;
        for (came, said) in [
            (&[][..], "nothing came back of 96 bytes at x: is RX wired?"),
            (&[0][..], "RX is stuck low or open: 1 of 96 bytes at x came as 0"),
            (&[0xff; BYTES], "RX is stuck high or open: 96 of 96 bytes at x came as 0xff"),
            (&sent[..40], "only 40 of 96 bytes at x came back"),
            (&one, "1 of 96 bytes at x came back wrong: byte 3 was sent as 0x55 and came as 0x54"),
        ] {
            assert_eq!(compare(&sent, came, "x", "RX").measured, said);
        }
    }
}
