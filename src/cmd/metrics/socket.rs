//! One question to the daemon, over its socket.
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// Where the socket is, below the root of the configuration.
const SOCKET: &str = "run/bistable/api.sock";
/// How long the daemon may take for each part of an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MOST: u64 = 1 << 20;

/// What the daemon answers; `None` if none does, or only with a problem.
pub(super) fn metrics(root: &Path) -> Option<String> {
    match get(&root.join(SOCKET), "/v1/metrics") {
        Ok(text) => text,
        Err(e) => {
            log::debug!(reason:% = e; "daemon_not_asked");
            None
        }
    }
}

fn get(socket: &Path, path: &str) -> io::Result<Option<String>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    Ok(body(&answer).map(ToOwned::to_owned))
}

/// The body of an answer that is whole and says that all went well.
fn body(answer: &str) -> Option<&str> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let is_good = lines.next()?.strip_prefix("HTTP/1.1 ")?.starts_with("200 ");
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    (is_good && length == Some(body.len())).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_and_good_answer_counts() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", Some("ab")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", None),
            ("HTTP/1.1 200 OK\r\n\r\nab", None),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nab", None),
            ("", None),
        ] {
            assert_eq!(body(answer), expected, "{answer}");
        }
        assert!(get(Path::new("/nonexistent/socket"), "/").is_err());
    }
}
