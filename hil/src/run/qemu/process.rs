//! One running QEMU: its serial console, its monitor, its end.
use super::machine::{Disk, Machine, Sockets, Start};
use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// The program.
pub const QEMU: &str = "qemu-system-aarch64";
/// It is up, or it isn't coming.
const START_POLLS: u32 = 200;
const POLL_MS: u16 = 50;
const MONITOR_REPLY: Duration = Duration::from_secs(10);

/// What comes from the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Bytes on the serial console.
    Console(Vec<u8>),
    /// An event or a reply of the monitor.
    Monitor(Value),
    /// The console is closed: QEMU has ended.
    Closed,
}

/// A running QEMU; dropped, it is killed, which is the power cut.
#[derive(Debug)]
pub struct Process {
    child: Child,
    console: UnixStream,
    monitor: UnixStream,
    /// For the jig, on a Pi.
    pub qtest: Option<UnixStream>,
    inputs: Receiver<Input>,
    waiting: VecDeque<Input>,
    folder: TempDir,
}

impl Process {
    /// Start a machine.
    ///
    /// # Errors
    /// When QEMU doesn't come up, with what it said.
    pub fn start(machine: Machine, start: &Start, disk: &Disk) -> Result<Process> {
        // Paths of sockets have to be short.
        let folder =
            tempfile::Builder::new().prefix("rig").tempdir().context("making a folder for sockets")?;
        let at = |name: &str| folder.path().join(name);
        let sockets = Sockets { console: at("console"), monitor: at("monitor"), qtest: at("qtest") };
        let listen = |path: &Path| UnixListener::bind(path).with_context(|| path.display().to_string());
        let listeners = [listen(&sockets.console)?, listen(&sockets.monitor)?];
        let qtest = (machine == Machine::Pi3).then(|| listen(&sockets.qtest)).transpose()?;
        // A rig that is killed can't clean up, and a machine that runs on would hold its card forever.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", QEMU])
            .args(machine.arguments(start, disk, &sockets))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(at("stderr"))?)
            .spawn()
            .with_context(|| format!("starting {QEMU}"))?;
        let mut accept = |listener: &UnixListener| {
            accept(listener, &mut child).with_context(|| {
                let said = fs::read_to_string(folder.path().join("stderr")).unwrap_or_default();
                format!("{QEMU} did not start: {}", said.trim())
            })
        };
        let streams = (|| {
            let [console, monitor] = &listeners;
            Ok::<_, anyhow::Error>((
                accept(console)?,
                accept(monitor)?,
                qtest.as_ref().map(&mut accept).transpose()?,
            ))
        })();
        let (console, monitor, qtest) = match streams {
            Ok(streams) => streams,
            Err(e) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(e);
            }
        };
        let (sender, inputs) = channel();
        read_console(console.try_clone()?, sender.clone());
        read_monitor(monitor.try_clone()?, sender);
        let mut process =
            Process { child, console, monitor, qtest, inputs, waiting: VecDeque::new(), folder };
        process.ask("qmp_capabilities", &json!({}))?;
        Ok(process)
    }

    /// Type on the console.
    ///
    /// # Errors
    /// When QEMU has ended.
    pub fn type_in(&mut self, text: &str) -> Result<()> {
        self.console.write_all(text.as_bytes()).context("typing on the console")
    }

    /// The next thing that comes, within a time.
    pub fn next(&mut self, within: Duration) -> Option<Input> {
        if let Some(input) = self.waiting.pop_front() {
            return Some(input);
        }
        match self.inputs.recv_timeout(within) {
            Ok(input) => Some(input),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Input::Closed),
        }
    }

    /// Give the monitor a command and wait for its reply.
    ///
    /// # Errors
    /// When there is none, or it is an error.
    pub fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments });
        self.monitor.write_all(format!("{line}\n").as_bytes()).context("talking to QEMU's monitor")?;
        loop {
            match self.inputs.recv_timeout(MONITOR_REPLY) {
                Ok(Input::Monitor(reply)) if reply.get("return").is_some() => {
                    return Ok(reply.get("return").cloned().unwrap_or_default());
                }
                Ok(Input::Monitor(reply)) if reply.get("error").is_some() => bail!("{command}: {reply}"),
                Ok(other) => self.waiting.push_back(other),
                Err(_) => bail!("QEMU's monitor did not answer {command}; {}", self.complaints()),
            }
        }
    }

    /// A 32-bit register at a physical address.
    ///
    /// # Errors
    /// When the monitor doesn't say it.
    pub fn register(&mut self, address: u32) -> Result<u32> {
        let said =
            self.ask("human-monitor-command", &json!({ "command-line": format!("xp /1wx {address:#x}") }))?;
        let value =
            said.as_str().and_then(|s| s.split_once(':')).map(|(_, v)| v.trim().trim_start_matches("0x"));
        let value = value.and_then(|v| u32::from_str_radix(v, 16).ok());
        value.with_context(|| format!("{said} is no register"))
    }

    /// End it so that what it holds back reaches its files.
    ///
    /// # Errors
    /// When it doesn't end.
    pub fn quit(mut self) -> Result<()> {
        self.ask("quit", &json!({}))?;
        for _ in 0..START_POLLS {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            // Its sockets close before it is gone, so there is nothing to wait on.
            poll(&mut [], PollTimeout::from(POLL_MS))?;
        }
        bail!("QEMU doesn't end")
    }

    /// What QEMU said on standard error.
    pub fn complaints(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn accept(listener: &UnixListener, child: &mut Child) -> Result<UnixStream> {
    for _ in 0..START_POLLS {
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(POLL_MS))? > 0 {
            return Ok(listener.accept()?.0);
        }
        let ended = child.try_wait()?;
        ensure!(ended.is_none(), "it ended");
    }
    bail!("it does not open its sockets")
}

fn read_console(mut stream: UnixStream, sender: Sender<Input>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let input = match stream.read(&mut buffer) {
                Ok(0) | Err(_) => Input::Closed,
                Ok(n) => Input::Console(buffer.get(..n).unwrap_or_default().to_vec()),
            };
            let last = input == Input::Closed;
            if sender.send(input).is_err() || last {
                return;
            }
        }
    });
}

fn read_monitor(stream: UnixStream, sender: Sender<Input>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if let Ok(value) = serde_json::from_str(&line)
                && sender.send(Input::Monitor(value)).is_err()
            {
                return;
            }
        }
    });
}
