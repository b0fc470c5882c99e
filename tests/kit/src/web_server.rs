//! A web server on this machine: a function from requests to answers, and a record of both.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, for example.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, of the length that was announced.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The path without its query.
    pub fn route(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// A value of the query, as it stands there.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path.split_once('?')?;
        query.split('&').find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name)).map(|(_, v)| v)
    }

    /// The first byte of a range that ends with the file.
    pub fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// 200, for example.
    pub status: u16,
    /// Further headers: of the length, only if it is another than that of the body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The connection ends after this many bytes of the body.
    pub cut: Option<usize>,
}

impl Reply {
    /// With this body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, body: body.into(), ..Reply::default() }
    }

    /// With another header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The part of a file that was asked for, as a good server sends it.
    pub fn file(request: &Request, file: &[u8]) -> Reply {
        match request.range() {
            None => Reply::new(200, file),
            Some(from) if from < file.len() => {
                let range = format!("bytes {from}-{}/{}", file.len() - 1, file.len());
                Reply::new(206, file.get(from..).unwrap_or_default()).header("Content-Range", range)
            }
            Some(_) => Reply::new(416, "").header("Content-Range", format!("bytes */{}", file.len())),
        }
    }
}

/// A request and the status of its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub status: u16,
}

/// A server: its threads end when their connections do.
#[derive(Clone, Debug)]
pub struct WebServer {
    port: u16,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

impl WebServer {
    /// Begin to answer.
    ///
    /// # Panics
    /// Without a free port on this machine.
    #[expect(clippy::unwrap_used, reason = "for tests: there is a port")]
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> WebServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = WebServer { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        let (seen, answer) = (Arc::clone(&server.seen), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                // A client that leaves ends its thread.
                thread::spawn(move || while one(&connection, &seen, &*answer).is_some() {});
            }
        });
        server
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All that was asked so far.
    pub fn seen(&self) -> Vec<Exchange> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forget what was asked so far.
    pub fn forget(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// One request of a connection; nothing when that ends.
fn one(
    connection: &TcpStream,
    seen: &Mutex<Vec<Exchange>>,
    answer: &dyn Fn(&Request) -> Reply,
) -> Option<()> {
    let mut from = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.by_ref().take(64 << 10).read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':').map(|(n, v)| (n.to_lowercase(), v.trim().to_owned())))
        .collect();
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length").and_then(|length| length.parse().ok()) {
        from.by_ref().take(length).read_to_end(&mut body).ok()?;
    }
    let request = Request { method, path, headers, body };
    let reply = answer(&request);
    let status = reply.status;
    let head = request.method == "HEAD";
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Exchange { request, status });
    let mut out = format!("HTTP/1.1 {status} Status\r\n");
    if !reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        out += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        out += &format!("{name}: {value}\r\n");
    }
    let body = if head { &[][..] } else { &reply.body };
    let sent = reply.cut.map_or(body, |cut| body.get(..cut).unwrap_or(body));
    let mut to = connection;
    to.write_all((out + "\r\n").as_bytes()).ok()?;
    to.write_all(sent).ok()?;
    match reply.cut {
        Some(_) => {
            // An error here is that the client left first.
            let _ = connection.shutdown(std::net::Shutdown::Both);
            None
        }
        None => Some(()),
    }
}
