//! A wire between two pins of the emulated Pi, from outside: what one drives, the other reads.
//!
//! QEMU's GPIO has no wires, and its level registers are plain latches: setting an input's bit from outside is what the
//! guest then reads (bcm2835_gpio; BCM2835 ARM Peripherals, chapter 6, for the registers). A thread looks at the output
//! through the qtest socket and mirrors it.
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// GPIO of the Pi 3.
const GPIO: u32 = 0x3f20_0000;
const FUNCTION: u32 = GPIO;
const SET: u32 = GPIO + 0x1c;
const CLEAR: u32 = GPIO + 0x28;
const LEVEL: u32 = GPIO + 0x34;
/// Pins in one function register, bits each.
const PINS: u32 = 10;
const OUTPUT: u32 = 1;
/// Far shorter than a self-test waits for a level to settle.
const PAUSE: Duration = Duration::from_millis(4);

/// The driven pin.
pub const OUT: u8 = 23;
/// The pin that follows.
pub const IN: u8 = 24;

/// The wire; it is gone with the machine.
#[derive(Clone, Debug)]
pub struct Wire(Arc<AtomicBool>);

impl Wire {
    /// Solder it on.
    pub fn start(stream: UnixStream, wired: bool) -> Wire {
        let wire = Wire(Arc::new(AtomicBool::new(wired)));
        let connected = Arc::clone(&wire.0);
        thread::spawn(move || {
            // Ends when the machine does.
            let _ = mirror(stream, &connected);
        });
        wire
    }

    /// Connect it or take it off.
    pub fn set(&self, wired: bool) {
        self.0.store(wired, Ordering::Relaxed);
    }
}

fn mirror(stream: UnixStream, connected: &AtomicBool) -> io::Result<()> {
    let mut port = Port { reader: BufReader::new(stream.try_clone()?), stream };
    let (out, input) = (1 << OUT, 1 << IN);
    let (register, shift) = (FUNCTION + 4 * (u32::from(OUT) / PINS), 3 * (u32::from(OUT) % PINS));
    loop {
        pause();
        if connected.load(Ordering::Relaxed) && port.read(register)? >> shift & 7 == OUTPUT {
            let level = port.read(LEVEL)?;
            if (level & out != 0) != (level & input != 0) {
                port.write(if level & out == 0 { CLEAR } else { SET }, input)?;
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a wire has no clock: it follows what a machine does in real time"
)]
fn pause() {
    thread::sleep(PAUSE);
}

/// QEMU's protocol for tests: `readl ADDRESS` → `OK VALUE`, `writel ADDRESS VALUE` → `OK`.
struct Port {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Port {
    fn ask(&mut self, line: &str) -> io::Result<String> {
        self.stream.write_all(line.as_bytes())?;
        let mut reply = String::new();
        if self.reader.read_line(&mut reply)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(reply)
    }

    fn read(&mut self, address: u32) -> io::Result<u32> {
        let reply = self.ask(&format!("readl {address:#x}\n"))?;
        let digits = reply.trim().strip_prefix("OK 0x").unwrap_or_default();
        u64::from_str_radix(digits, 16)
            .ok()
            .and_then(|v| u32::try_from(v).ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn write(&mut self, address: u32, value: u32) -> io::Result<()> {
        self.ask(&format!("writel {address:#x} {value:#x}\n")).map(drop)
    }
}
