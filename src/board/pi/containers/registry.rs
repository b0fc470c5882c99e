//! What the engine pulls from: a registry on this machine that has one image and is there only while that is pulled. Its port and the path
//! of its repository are random, so that nothing else finds it; it answers only for the digests that belong to the image.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>, as far as an engine asks when it pulls by digest.
use crate::ports::{HostError, ImageParts};
use bistable_format::Digest;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// The host of each reference.
pub(super) const HOST: &str = "127.0.0.1:";
/// Engines pull three layers at a time.
const CONNECTIONS: usize = 16;
/// Bytes of a request at most.
const REQUEST: u64 = 16 << 10;
/// How long a peer may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes that are read and sent at once.
const PIECE: usize = 64 << 10;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Serve the parts of an image while `work` runs. It is given the name of the repository.
pub(super) fn serve<T>(
    parts: &dyn ImageParts,
    work: impl FnOnce(&str) -> Result<T, HostError>,
) -> Result<T, HostError> {
    let failed = |e: io::Error| HostError::Failed(format!("the registry on this machine: {e}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    let path = random_path().map_err(failed)?;
    let (is_over, open) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let accept = || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
                    open.fetch_sub(1, Ordering::SeqCst);
                    continue;
                }
                let (open, path) = (&open, &path);
                scope.spawn(move || {
                    // A peer that goes away is no trouble of ours.
                    let _ = answer(&stream, path, parts);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        };
        scope.spawn(accept);
        let _stop = Stop { is_over: &is_over, at };
        work(&format!("{HOST}{}/{path}", at.port()))
    })
}

/// Ends the registry, however the work ended.
struct Stop<'a> {
    is_over: &'a AtomicBool,
    at: SocketAddr,
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Whoever waits for a connection gets one.
        let _ = TcpStream::connect_timeout(&self.at, Duration::from_secs(1));
    }
}

/// The name of a repository that nothing else knows.
fn random_path() -> io::Result<String> {
    let mut bytes = [0; 16];
    let mut file = std::fs::File::open("/dev/urandom")?;
    file.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Answer one request, and close.
fn answer(stream: &TcpStream, path: &str, parts: &dyn ImageParts) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream.take(REQUEST));
    let (mut first, mut range) = (String::new(), None);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(from) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            range = from.trim().strip_suffix('-').and_then(|from| from.parse().ok());
        }
    }
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_head = method == "HEAD";
    if method != "GET" && !is_head {
        return head(stream, "405 Method Not Allowed", &[], 0);
    }
    if target == "/v2/" {
        return head(stream, "200 OK", &[("Docker-Distribution-API-Version", "registry/2.0")], 0);
    }
    let Some((is_manifest, digest)) = asked(target, path) else {
        return head(stream, "404 Not Found", &[], 0);
    };
    let Some((bytes, mut part)) = parts.open(&digest)? else { return head(stream, "404 Not Found", &[], 0) };
    let kind = if is_manifest { MANIFEST } else { "application/octet-stream" };
    let name = format!("sha256:{digest}");
    let mut headers = vec![("Content-Type", kind), ("Docker-Content-Digest", name.as_str())];
    let from: u64 = range.unwrap_or(0);
    if from >= bytes {
        return head(stream, "416 Range Not Satisfiable", &[], 0);
    }
    let given = format!("bytes {from}-{}/{bytes}", bytes - 1);
    let status = if range.is_some() {
        headers.push(("Content-Range", &given));
        "206 Partial Content"
    } else {
        "200 OK"
    };
    head(stream, status, &headers, bytes - from)?;
    if is_head {
        return Ok(());
    }
    io::copy(&mut (&mut part).take(from), &mut io::sink())?;
    let mut piece = vec![0; PIECE];
    let mut stream = stream;
    loop {
        match part.read(&mut piece)? {
            0 => return Ok(()),
            read => stream.write_all(piece.get(..read).unwrap_or_default())?,
        }
    }
}

/// What of the repository is asked for.
fn asked(target: &str, path: &str) -> Option<(bool, Digest)> {
    let rest = target.strip_prefix("/v2/")?.strip_prefix(path)?;
    let (is_manifest, digest) = match rest.strip_prefix("/manifests/") {
        Some(digest) => (true, digest),
        None => (false, rest.strip_prefix("/blobs/")?),
    };
    Some((is_manifest, Digest::parse(digest.strip_prefix("sha256:")?)?))
}

fn head(mut stream: &TcpStream, status: &str, headers: &[(&str, &str)], bytes: u64) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {bytes}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    impl ImageParts for Two {
        fn open(&self, digest: &Digest) -> io::Result<Option<(u64, Box<dyn Read + Send>)>> {
            let parts: [&'static [u8]; 2] = [b"{}", b"a layer"];
            let found = parts.into_iter().find(|part| Digest::of(part) == *digest);
            Ok(found.map(|part| (part.len() as u64, Box::new(part) as Box<dyn Read + Send>)))
        }
    }

    fn ask(at: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn it_has_one_image_under_one_path_and_is_gone_afterwards() {
        let layer = Digest::of(b"a layer");
        let at = serve(&Two, |name| {
            let (at, path) = name.split_once('/').unwrap();
            let get = |target: &str, more: &str| {
                ask(at, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n"))
            };
            assert!(get("/v2/", "").starts_with("HTTP/1.1 200 OK\r\n"));
            let found = get(&format!("/v2/{path}/blobs/sha256:{layer}"), "");
            assert!(found.contains("Content-Length: 7\r\n") && found.ends_with("\r\n\r\na layer"), "{found}");
            let rest = get(&format!("/v2/{path}/blobs/sha256:{layer}"), "Range: bytes=2-\r\n");
            assert!(rest.starts_with("HTTP/1.1 206") && rest.ends_with("\r\n\r\nlayer"), "{rest}");
            let manifest = get(&format!("/v2/{path}/manifests/sha256:{}", Digest::of(b"{}")), "");
            assert!(manifest.contains(MANIFEST), "{manifest}");
            for target in [
                format!("/v2/other/blobs/sha256:{layer}"),
                format!("/v2/{path}/blobs/sha256:{}", Digest::of(b"other")),
                format!("/v2/{path}/manifests/latest"),
                format!("/v2/{path}/../{path}/blobs/sha256:{layer}"),
                "/".into(),
            ] {
                assert!(get(&target, "").starts_with("HTTP/1.1 404"), "{target}");
            }
            assert!(
                ask(at, &format!("PUT /v2/{path}/manifests/x HTTP/1.1\r\n\r\n")).starts_with("HTTP/1.1 405")
            );
            // An engine tries TLS first.
            ask(at, "\u{16}\u{3}\u{1}\n\n");
            Ok(at.to_owned())
        });
        assert!(TcpStream::connect(at.unwrap()).is_err(), "nothing listens any more");
    }
}
