//! A web server on this machine that does as it is told, right or wrong.
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// First byte, and last byte.
    pub(crate) range: Option<(u64, Option<u64>)>,
    pub(crate) if_range: Option<String>,
    pub(crate) if_none_match: Option<String>,
    /// How many were asked before.
    pub(crate) n: usize,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// The connection stays open for the next question.
    Keep,
    /// It is closed.
    Close,
    /// Nothing more comes, until the other side leaves.
    Hold,
    /// The same bytes come again and again, until the other side leaves.
    Endless,
    /// The body comes byte for byte, with pauses.
    Drip,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Reply {
    pub(crate) fn new(status: &str, headers: &[String], body: &[u8]) -> Reply {
        let mut head = format!("HTTP/1.1 {status}\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        Reply { head: head + "\r\n", body: body.into(), end: End::Keep }
    }

    pub(crate) fn end(mut self, end: End) -> Reply {
        self.end = end;
        self
    }

    pub(crate) fn cut(mut self, after: usize) -> Reply {
        self.body.truncate(after);
        self.end(End::Close)
    }

    /// Another header, or another value of it.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Reply {
        let kept = |line: &&str| !line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase()));
        let lines: Vec<&str> = self.head.trim_end().lines().filter(kept).collect();
        self.head = format!("{}\r\n{name}: {value}\r\n\r\n", lines.join("\r\n"));
        self
    }
}

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What a good server answers.
pub(crate) fn good(files: &Files, request: &Request) -> Reply {
    let Some(file) = files.get(request.path.trim_start_matches('/')) else {
        return Reply::new("404 Not Found", &["Content-Length: 0".into()], b"");
    };
    let etag = format!("\"{:.16}\"", bistable_format::Digest::of(file));
    let tag = format!("ETag: {etag}");
    if request.if_none_match.as_ref() == Some(&etag) {
        return Reply::new("304 Not Modified", &[tag], b"");
    }
    let total = file.len() as u64;
    match request.range.filter(|_| request.if_range.as_ref().is_none_or(|e| *e == etag)) {
        Some((from, _)) if from >= total => Reply::new(
            "416 Range Not Satisfiable",
            &[format!("Content-Range: bytes */{total}"), "Content-Length: 0".into()],
            b"",
        ),
        Some((from, last)) => {
            let last = last.unwrap_or(total - 1).min(total - 1);
            let body = &file[usize::try_from(from).unwrap()..=usize::try_from(last).unwrap()];
            let range = format!("Content-Range: bytes {from}-{last}/{total}");
            Reply::new("206 Partial Content", &[tag, range, format!("Content-Length: {}", body.len())], body)
        }
        None => Reply::new("200 OK", &[tag, format!("Content-Length: {total}")], file),
    }
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    connections: usize,
    body_bytes: u64,
}

/// A server; its threads end when their connections do.
#[derive(Clone)]
pub(crate) struct Server {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        let (seen, answer) = (Arc::clone(&server.seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                seen.lock().unwrap().connections += 1;
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || while serve(&stream, &seen, &*answer) == Some(End::Keep) {});
            }
        });
        server
    }

    pub(crate) fn good(files: Files) -> Server {
        Server::new(move |request| good(&files, request))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Bytes of bodies that were sent, counted before they are: a client that has them finds them counted.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.seen.lock().unwrap().body_bytes
    }
}

fn serve(mut stream: &TcpStream, seen: &Mutex<Seen>, answer: &dyn Fn(&Request) -> Reply) -> Option<End> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut request = Request { path, range: None, if_range: None, if_none_match: None, n: 0 };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "range" => {
                let (from, last) = value.strip_prefix("bytes=")?.split_once('-')?;
                request.range = Some((from.parse().ok()?, last.parse().ok()));
            }
            "if-range" => request.if_range = Some(value.into()),
            "if-none-match" => request.if_none_match = Some(value.into()),
            _ => {}
        }
    }
    {
        let mut seen = seen.lock().unwrap();
        request.n = seen.requests.len();
        seen.requests.push(request.clone());
    }
    let Reply { head, mut body, end } = answer(&request);
    let count = |bytes: usize| seen.lock().unwrap().body_bytes += bytes as u64;
    stream.write_all(head.as_bytes()).ok()?;
    if end == End::Drip {
        stream.set_nodelay(true).ok()?;
        // Nothing is sent meanwhile, so reading is a pause.
        stream.set_read_timeout(Some(Duration::from_millis(3))).ok()?;
        for byte in std::mem::take(&mut body) {
            count(1);
            stream.write_all(&[byte]).ok()?;
            if let Ok(0) = stream.read(&mut [0]) {
                return None;
            }
        }
    }
    for piece in body.chunks(4096) {
        count(piece.len());
        stream.write_all(piece).ok()?;
    }
    match end {
        End::Keep => return Some(end),
        End::Endless => {
            let again = if body.is_empty() { head.as_bytes() } else { &body };
            while stream.write_all(again).is_ok() {
                count(again.len());
            }
        }
        End::Hold => {
            let _ = stream.read(&mut [0]);
        }
        End::Close | End::Drip => {}
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
    None
}
