//! A serial port, for one exchange. It is ours alone meanwhile, and afterwards it is set as before.
use super::{problem, users};
use crate::ports::{BusError, Clock};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{SetArg, Termios, tcgetattr, tcsetattr},
};
use rppal::uart::{Error, Parity, Queue, Uart};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::OpenOptionsExt,
    },
    path::PathBuf,
    time::Duration,
};

mod ioctl {
    use nix::libc::{TIOCEXCL, TIOCNXCL};
    nix::ioctl_none_bad!(exclusive, TIOCEXCL);
    nix::ioctl_none_bad!(shared, TIOCNXCL);
}

/// A port that no other process may open, until this goes.
struct Held {
    file: File,
    before: Termios,
}

impl Held {
    fn open(device: &str) -> Result<Held, BusError> {
        let path: PathBuf = std::fs::canonicalize(device).map_err(|e| problem(device, &e))?;
        let in_use = |user: String| BusError::InUse { device: device.into(), user };
        if let Some(user) = users::of(&path) {
            return Err(in_use(user));
        }
        let mut options = OpenOptions::new();
        // A modem's missing carrier would block the opening, and a terminal may not become ours to be signalled from.
        options.read(true).write(true).custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits());
        let file = options.open(&path).map_err(|e| problem(device, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use("a program that has locked it".into())),
            Err(TryLockError::Error(e)) => return Err(problem(device, &e)),
        }
        let before = tcgetattr(&file).map_err(|e| match e {
            Errno::ENOTTY => {
                BusError::Failed { device: device.into(), problem: "it is not a serial port".into() }
            }
            other => problem(device, &other.into()),
        })?;
        Ok(Held { file, before })
    }

    /// Keep others from opening it. Only after the last opening of our own: it would be refused as well.
    #[allow(unsafe_code)]
    fn keep_others_out(&self) -> io::Result<()> {
        // SAFETY: the request takes no argument, and the descriptor is open as long as `self.file` lives.
        unsafe { ioctl::exclusive(self.file.as_raw_fd()) }?;
        Ok(())
    }
}

impl Drop for Held {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        if let Err(e) = tcsetattr(&self.file, SetArg::TCSANOW, &self.before) {
            log::warn!(reason:% = e; "uart_settings_not_restored");
        }
        // SAFETY: the request takes no argument, and the descriptor is open as long as `self.file` lives. A port that
        // was unplugged meanwhile has no user to keep out.
        let _ = unsafe { ioctl::shared(self.file.as_raw_fd()) };
    }
}

/// Send bytes and return what comes in, at most as many, until `timeout` is over.
pub(super) fn exchange(
    device: &str,
    baud: u32,
    bytes: &[u8],
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<Vec<u8>, BusError> {
    let end = clock.now().saturating_add(timeout);
    let held = Held::open(device)?;
    let failed = |e: Error| match e {
        Error::Io(e) => problem(device, &e),
        other => BusError::Failed { device: device.into(), problem: other.to_string() },
    };
    let mut port = Uart::with_path(device, baud, Parity::None, 8, 1).map_err(failed)?;
    held.keep_others_out().map_err(|e| problem(device, &e))?;
    // Whatever the line's first edge looked like has come in when two bytes' time is over.
    let settle = Duration::from_micros(20 * 1_000_000 / u64::from(baud.max(1)));
    clock.wait(settle.min(timeout));
    port.flush(Queue::Both).map_err(failed)?;
    let exchanged = pump(&mut port, &held.file, bytes, end, clock);
    // What couldn't be sent would delay the closing.
    let flushed = port.flush(Queue::Both);
    let came = exchanged.map_err(failed)?;
    flushed.map_err(failed)?;
    Ok(came)
}

fn pump(
    port: &mut Uart,
    file: &File,
    bytes: &[u8],
    end: Duration,
    clock: &dyn Clock,
) -> Result<Vec<u8>, Error> {
    let mut unsent = bytes;
    let mut came = vec![0; bytes.len()];
    let mut count = 0;
    while count < came.len() {
        let left = end.saturating_sub(clock.now());
        if left.is_zero() {
            break;
        }
        let wanted =
            if unsent.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT };
        let time = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut ready = [PollFd::new(file.as_fd(), wanted)];
        match poll(&mut ready, time) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::Io(e.into())),
        }
        let events = ready[0].revents().unwrap_or(PollFlags::empty());
        if events.contains(PollFlags::POLLOUT) {
            let sent = port.write(unsent)?;
            unsent = unsent.get(sent..).unwrap_or_default();
        }
        if events.contains(PollFlags::POLLIN) {
            count += port.read(came.get_mut(count..).unwrap_or_default())?;
        } else if events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            return Err(Error::Io(io::Error::other("the port went away")));
        }
    }
    came.truncate(count);
    Ok(came)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::sim::clock::SimClock;
    use nix::pty::openpty;
    use std::{
        io::{Read, Write},
        thread,
    };

    /// A port whose other end is a function: each byte that comes is answered with what it returns.
    fn port(answer: impl Fn(u8) -> Option<u8> + Send + 'static) -> (String, nix::pty::OpenptyResult) {
        let pty = openpty(None, None).unwrap();
        let name = nix::unistd::ttyname(&pty.slave).unwrap().display().to_string();
        let mut master = File::from(pty.master.try_clone().unwrap());
        thread::spawn(move || {
            let mut byte = [0];
            while master.read_exact(&mut byte).is_ok() {
                if let Some(out) = answer(byte[0]) {
                    master.write_all(&[out]).unwrap();
                }
            }
        });
        (name, pty)
    }

    fn all_bytes() -> Vec<u8> {
        (0..=255).collect()
    }

    #[test]
    fn what_comes_back_is_what_came() {
        // The clock stands still, so it ends when all is there.
        let second = Duration::from_secs(1);
        let (name, pty) = port(Some);
        // 19 control characters are the kernel's; what the C library has behind them is anything.
        let settings = || {
            let t = tcgetattr(&pty.slave).unwrap();
            let control = t.control_chars[..19].to_vec();
            (t.input_flags, t.output_flags, t.control_flags, t.local_flags, control)
        };
        let before = settings();
        let came = exchange(&name, 115_200, &all_bytes(), second, &SimClock::default()).unwrap();
        assert_eq!(came, all_bytes(), "each byte, those that control a terminal too");
        assert_eq!(settings(), before, "set as before");
        let again = exchange(&name, 9600, &[1, 2, 3], second, &SimClock::default()).unwrap();
        assert_eq!(again, [1, 2, 3], "and it can be opened again");
        let (name, _pty) = port(|byte| Some(!byte));
        assert_eq!(exchange(&name, 9600, &[0, 0x55], second, &SimClock::default()).unwrap(), [0xff, 0xaa]);
    }

    #[test]
    fn silence_ends_with_the_time() {
        /// Each look at it takes 10 ms.
        struct Hasty(SimClock);
        impl Clock for Hasty {
            fn now(&self) -> Duration {
                self.0.wait(Duration::from_millis(10));
                self.0.time()
            }
            fn wait(&self, time: Duration) {
                self.0.wait(time);
            }
        }
        let (name, _pty) = port(|byte| (byte != 7).then_some(byte));
        let clock = Hasty(SimClock::default());
        let came = exchange(&name, 115_200, &[1, 2, 7, 3], Duration::from_millis(200), &clock).unwrap();
        assert_eq!(came, [1, 2, 3]);
        assert!(clock.0.time() >= Duration::from_millis(200));
    }

    #[test]
    fn what_is_no_port_or_not_ours() {
        let clock = SimClock::default();
        // No process has this one open.
        let failed = exchange("/dev/full", 9600, &[1], Duration::from_secs(1), &clock).unwrap_err();
        assert_eq!(failed.to_string(), "/dev/full: it is not a serial port");
        let (name, pty) = port(Some);
        let other = File::from(pty.slave.try_clone().unwrap());
        other.lock().unwrap();
        let failed = exchange(&name, 9600, &[1], Duration::from_secs(1), &clock).unwrap_err();
        assert_eq!(failed.to_string(), format!("{name} is in use by a program that has locked it"));
        other.unlock().unwrap();
        let failed = exchange(&name, 9601, &[1], Duration::from_secs(1), &clock).unwrap_err();
        assert_eq!(failed.to_string(), format!("{name}: Invalid or unsupported value"));
    }
}
