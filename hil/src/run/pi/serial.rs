//! A serial port of the bench's PC, raw, without flow control. No other process may have it at the same time.
use super::bench::SerialLine;
use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{self, BaudRate, ControlFlags, FlushArg, SetArg},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read as _, Write as _},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// A line takes a tenth of this at the slowest rate; a port that takes nothing for so long is broken.
const WRITE: Duration = Duration::from_secs(10);

/// An open port.
#[derive(Debug)]
pub struct Serial {
    file: File,
    path: PathBuf,
}

impl Serial {
    /// Open it for use.
    ///
    /// # Errors
    /// When it can't be opened, isn't a serial port, or another program has it.
    pub fn open(line: &SerialLine) -> Result<Serial> {
        let file = try_open(&line.port)?;
        let about = || line.port.display().to_string();
        let mut settings = termios::tcgetattr(&file).with_context(about)?;
        termios::cfmakeraw(&mut settings);
        settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
        settings.control_flags &= !(ControlFlags::CRTSCTS | ControlFlags::CSTOPB);
        let baud = rate(line.baud).with_context(|| format!("{} can't run at {} baud", about(), line.baud))?;
        termios::cfsetspeed(&mut settings, baud).with_context(about)?;
        termios::tcsetattr(&file, SetArg::TCSANOW, &settings).with_context(about)?;
        Ok(Serial { file, path: line.port.clone() })
    }

    /// What came, once something did; nothing after that time.
    ///
    /// # Errors
    /// When the port is gone: the adapter was pulled.
    pub fn read(&mut self, within: Duration) -> Result<Vec<u8>> {
        if !self.ready(PollFlags::POLLIN, within)? {
            return Ok(Vec::new());
        }
        let mut buffer = [0; 4096];
        match self.file.read(&mut buffer) {
            Ok(0) => bail!("{} is gone", self.path.display()),
            Ok(n) => Ok(buffer.get(..n).unwrap_or_default().to_vec()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(Vec::new()),
            Err(e) => Err(e).with_context(|| format!("{} is gone", self.path.display())),
        }
    }

    /// Send all of it.
    ///
    /// # Errors
    /// When the port is gone, or takes nothing.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if !self.ready(PollFlags::POLLOUT, WRITE)? {
                bail!("{} takes nothing", self.path.display());
            }
            match self.file.write(bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(e).with_context(|| format!("writing to {}", self.path.display())),
            }
        }
        Ok(())
    }

    /// Throw away what came and wasn't read.
    ///
    /// # Errors
    /// When the port is gone.
    pub fn forget(&mut self) -> Result<()> {
        termios::tcflush(&self.file, FlushArg::TCIFLUSH).with_context(|| self.path.display().to_string())
    }

    fn ready(&self, flags: PollFlags, within: Duration) -> Result<bool> {
        let mut fds = [PollFd::new(self.file.as_fd(), flags)];
        match poll(&mut fds, timeout(within)) {
            Ok(n) => Ok(n > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(e) => Err(e).with_context(|| self.path.display().to_string()),
        }
    }
}

/// Open a port and change nothing about it.
///
/// # Errors
/// When it can't be opened, isn't a serial port, or another program has it.
pub fn try_open(path: &Path) -> Result<File> {
    let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let about = || path.display().to_string();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits())
        .open(path)
        .with_context(about)?;
    termios::tcgetattr(&file).with_context(|| format!("{} is no serial port", about()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("{} is in use by another program", about()),
        Err(TryLockError::Error(e)) => Err(e).with_context(about),
    }
}

/// Let time pass.
pub fn pause(time: Duration) {
    // A signal only makes it shorter.
    let _ = poll(&mut [], timeout(time));
}

fn timeout(time: Duration) -> PollTimeout {
    // Rounded up: less than a millisecond must not become a busy loop.
    let millis = time.as_micros().div_ceil(1000);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

fn rate(baud: u32) -> Option<BaudRate> {
    Some(match baud {
        9600 => BaudRate::B9600,
        19_200 => BaudRate::B19200,
        38_400 => BaudRate::B38400,
        57_600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        230_400 => BaudRate::B230400,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::pi::bench::BAUDS;

    #[test]
    fn every_rate_of_the_configuration_is_one() {
        assert!(BAUDS.iter().all(|baud| rate(*baud).is_some()));
        assert!(rate(115_201).is_none());
    }

    #[test]
    fn short_times_are_not_none() {
        assert_eq!(timeout(Duration::from_micros(1)), PollTimeout::from(1u16));
        assert_eq!(timeout(Duration::ZERO), PollTimeout::ZERO);
        assert_eq!(timeout(Duration::from_secs(u64::MAX)), PollTimeout::MAX);
    }
}
