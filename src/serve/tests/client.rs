//! A server in a folder of its own, and bytes over its socket.
use super::{
    super::{Door, Entrance, Limits, Stopper, serve_within},
    backend::FakeDesk,
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use serde_json::Value;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};
use tempfile::TempDir;

/// Limits under which nothing ends because a machine is slow.
pub(in crate::serve) fn patient() -> Limits {
    let hour = Duration::from_secs(3600);
    Limits {
        patience: hour,
        answer: hour,
        poll: Duration::from_millis(1),
        sign_in: hour,
        idle: hour,
        fresh: hour,
        ..Limits::default()
    }
}

/// A server with its backend. It ends with this.
pub(in crate::serve) struct Api {
    pub(in crate::serve) backend: Arc<FakeDesk>,
    stopper: Stopper,
    server: Option<JoinHandle<(io::Result<()>, Duration)>>,
    socket: PathBuf,
    _folder: TempDir,
}

impl Api {
    pub(in crate::serve) fn new() -> Api {
        Api::within(patient())
    }

    pub(in crate::serve) fn within(limits: Limits) -> Api {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api.sock");
        let door = |name: &str, entrance| Door {
            listener: UnixListener::bind(folder.path().join(name)).unwrap(),
            entrance,
        };
        let doors = vec![door("api.sock", Entrance::Socket), door("web.sock", Entrance::Token)];
        let backend = Arc::new(FakeDesk::new());
        let (stopper, stopped) = Stopper::new();
        let served = Arc::clone(&backend);
        let server = thread::spawn(move || (serve_within(served, doors, stopped, limits), processor_time()));
        Api { backend, stopper, server: Some(server), socket, _folder: folder }
    }

    /// Where it listens.
    pub(in crate::serve) fn socket(&self) -> &str {
        self.socket.to_str().unwrap()
    }

    pub(in crate::serve) fn connect(&self) -> Connection {
        Connection(BufReader::new(UnixStream::connect(&self.socket).unwrap()))
    }

    /// At the other door, where tokens are asked for.
    pub(in crate::serve) fn connect_web(&self) -> Connection {
        Connection(BufReader::new(UnixStream::connect(self.socket.with_file_name("web.sock")).unwrap()))
    }

    /// Ask there, with more lines in the head.
    pub(in crate::serve) fn web(&self, method: &str, path: &str, head: &str) -> Reply {
        let mut connection = self.connect_web();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{head}content-length: 0\r\n\r\n");
        let _ = connection.try_send(request.as_bytes());
        connection.reply()
    }

    /// Ask on a connection of its own.
    pub(in crate::serve) fn raw(&self, request: &[u8]) -> Reply {
        let mut connection = self.connect();
        // One that is refused early may be closed before all of it was written; the reason is there to be read.
        let _ = connection.try_send(request);
        connection.reply()
    }

    pub(in crate::serve) fn get(&self, path: &str) -> Reply {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
    }

    pub(in crate::serve) fn post(&self, path: &str, body: &str) -> Reply {
        self.post_with(path, body, "")
    }

    /// With more lines in the head.
    pub(in crate::serve) fn post_with(&self, path: &str, body: &str, head: &str) -> Reply {
        self.raw(post(path, body, head).as_bytes())
    }

    /// End the server; gives the processor time that its thread took.
    pub(in crate::serve) fn stop(&mut self) -> Duration {
        self.stopper.stop();
        let Some(server) = self.server.take() else { return Duration::ZERO };
        let (served, took) = server.join().unwrap();
        served.unwrap();
        took
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What this thread took of a processor so far.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let all = usage.user_time() + usage.system_time();
    Duration::from_micros(u64::try_from(all.num_microseconds()).unwrap())
}

/// The bytes of a POST.
pub(in crate::serve) fn post(path: &str, body: &str, head: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{head}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One connection.
pub(in crate::serve) struct Connection<S = UnixStream>(BufReader<S>);

impl<S: Read + Write> Connection<S> {
    pub(in crate::serve) fn new(stream: S) -> Connection<S> {
        Connection(BufReader::new(stream))
    }

    #[track_caller]
    pub(in crate::serve) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Send until the other end closes.
    pub(in crate::serve) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The next response.
    #[track_caller]
    pub(in crate::serve) fn reply(&mut self) -> Reply {
        let mut reply = self.head().unwrap();
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        reply.body = String::from_utf8(body).unwrap();
        reply
    }

    /// The head of the next response; `None` if the connection ended.
    pub(in crate::serve) fn head(&mut self) -> Option<Reply> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        Some(Reply { status, headers, body: String::new() })
    }

    /// The next chunk of a body without a length; `None` at its end.
    pub(in crate::serve) fn chunk(&mut self) -> Option<String> {
        let bytes = usize::from_str_radix(&self.line()?, 16).unwrap();
        let mut chunk = vec![0; bytes + 2];
        self.0.read_exact(&mut chunk).ok()?;
        chunk.truncate(bytes);
        (bytes > 0).then(|| String::from_utf8(chunk).unwrap())
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end_matches("\r\n").to_owned()),
        }
    }

    /// The next bytes, as many as that; `None` if the connection ends before.
    pub(in crate::serve) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    /// How many bytes still come.
    pub(in crate::serve) fn rest(&mut self) -> usize {
        let mut rest = Vec::new();
        // Its error says that the connection ended early.
        let _ = self.0.read_to_end(&mut rest);
        rest.len()
    }

    /// Whether the other end closes it.
    pub(in crate::serve) fn ends(mut self) -> bool {
        matches!(self.0.read(&mut [0; 64]), Ok(0) | Err(_))
    }
}

/// A response.
#[derive(Debug)]
pub(in crate::serve) struct Reply {
    pub(in crate::serve) status: u16,
    headers: Vec<(String, String)>,
    pub(in crate::serve) body: String,
}

impl Reply {
    pub(in crate::serve) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(in crate::serve) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// It is a problem, whole; gives its status and code.
    #[track_caller]
    pub(in crate::serve) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status, "{self:?}");
        for field in ["type", "title", "detail"] {
            assert!(json[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {self:?}");
        }
        (self.status, json["code"].as_str().unwrap().to_owned())
    }
}
