//! Asking a web server on this device.
use crate::{
    http_client::{Scheme, exchange},
    ports::{Answer, HostError},
};
use std::time::Duration;

/// One GET: no encryption, no proxy, no redirects; all of it within the timeout.
pub(super) fn get(url: &str, timeout: Duration) -> Result<Answer, HostError> {
    if Scheme::of(url) != Some(Scheme::Http) {
        return Err(HostError::Failed(format!("{url} is not an http:// address")));
    }
    exchange(timeout, Scheme::Http, |agent| agent.get(url).call())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::BODY_MAX;
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread,
    };

    const LONG: Duration = Duration::from_secs(60);

    /// A server that answers one request with these bytes, again and again if `forever`. Gives its port.
    fn server(answer: &'static [u8], forever: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            assert!(lines.map_while(Result::ok).any(|l| l.is_empty()));
            stream.write_all(answer).unwrap();
            while forever && stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        port
    }

    fn ask(answer: &'static [u8], forever: bool) -> Result<Answer, HostError> {
        get(&format!("http://127.0.0.1:{}/health", server(answer, forever)), LONG)
    }

    #[test]
    fn answers() {
        #[rustfmt::skip]
        let table: [(&[u8], u16, &[u8]); 4] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
            (b"HTTP/1.1 503 Sorry\r\nContent-Length: 4\r\n\r\nsick", 503, b"sick"),
            (b"HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, b""),
            (b"HTTP/1.0 200 OK\r\n\r\nto the end", 200, b"to the end"),
        ];
        for (answer, status, body) in table {
            assert_eq!(ask(answer, false), Ok(Answer { status, body: body.into() }));
        }
    }

    #[test]
    fn a_body_without_end_is_cut() {
        let answer = ask(b"HTTP/1.0 200 OK\r\n\r\n", true).unwrap();
        assert_eq!((answer.status, answer.body.len() as u64), (200, BODY_MAX));
    }

    #[test]
    fn what_is_no_web_server_fails() {
        assert!(matches!(ask(b"SSH-2.0-x\r\n", false), Err(HostError::Failed(_))));
        assert!(matches!(ask(b"", false), Err(HostError::Failed(_))));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(matches!(get(&format!("http://127.0.0.1:{port}/"), LONG), Err(HostError::Failed(_))));
        for url in ["https://127.0.0.1/", "file:///etc/passwd", "127.0.0.1", "", "ü"] {
            assert!(matches!(get(url, LONG), Err(HostError::Failed(_))), "{url}");
        }
    }

    #[test]
    fn a_server_that_never_answers_is_a_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        for ms in [0, 50] {
            let timeout = Duration::from_millis(ms);
            assert_eq!(get(&url, timeout), Err(HostError::Timeout(timeout)));
        }
    }

    #[test]
    fn a_body_that_stalls_is_a_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha").unwrap();
            stream
        });
        let timeout = Duration::from_millis(200);
        assert_eq!(get(&url, timeout), Err(HostError::Timeout(timeout)));
        drop(server.join().unwrap());
    }
}
