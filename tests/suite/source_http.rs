//! What web servers do wrong, one defect after the other: it never costs more than a bounded number of bytes and
//! questions, and never a wrong byte that the server didn't send itself.
use crate::{
    fixture::noise,
    source_server::{End, Files, Reply, Request, Server, good},
};
use bistable::{
    board::sim::clock::SimClock,
    clock::SystemClock,
    source::{
        Http, Limits, Mirrors, Retry, RetryPolicy, Source, SourceError, Span, fill,
        http::{Address, Rate},
    },
};
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

const BYTES: usize = 100_000;
const FROM: u64 = 1_000;
const TO: u64 = 90_000;

fn files() -> Files {
    Files::from([("f".to_owned(), noise(5, BYTES)), ("g".to_owned(), noise(6, 5_000))])
}

/// For servers that stall. How busy the machine is that runs these tests isn't known: only what has to end early is
/// short.
pub(crate) fn short() -> Limits {
    let short = Duration::from_millis(400);
    Limits { answer: short, stall: short, ..Limits::default() }
}

/// For servers that drip.
pub(crate) fn hasty() -> Limits {
    Limits { rate: Rate { bytes: 10_000, window: Duration::from_millis(250) }, ..Limits::default() }
}

fn limits(kind: Kind) -> Limits {
    match kind {
        Kind::TimedOut => short(),
        Kind::TooSlow => hasty(),
        _ => Limits::default(),
    }
}

pub(crate) fn http(server: &Server, limits: Limits) -> Http {
    Http::new(Address::parse(&server.url("")).unwrap(), limits, Box::new(SystemClock))
}

/// Pauses take no time.
fn patient(source: impl Source) -> Retry<impl Source> {
    Retry::new(
        source,
        RetryPolicy { progress_bytes: 500, ..RetryPolicy::default() },
        Box::new(SimClock::default()),
        || 1,
    )
}

fn range(source: &mut impl Source) -> Result<Vec<u8>, SourceError> {
    source.open_range("f", Span::new(FROM, TO))?;
    let mut bytes = vec![0; usize::try_from(TO - FROM).unwrap()];
    fill(source, &mut bytes)?;
    assert_eq!(source.read(&mut [0; 9])?, 0);
    Ok(bytes)
}

fn right() -> Vec<u8> {
    files()["f"][usize::try_from(FROM).unwrap()..usize::try_from(TO).unwrap()].to_vec()
}

/// What the first question is answered with; all others are answered well.
fn first(wrong: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Server {
    nth(0, wrong)
}

fn nth(n: usize, wrong: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Server {
    let files = files();
    Server::new(move |request| {
        let reply = good(&files, request);
        if request.n == n { wrong(reply) } else { reply }
    })
}

fn always(answer: impl Fn(&Files, &Request) -> Reply + Send + Sync + 'static) -> Server {
    let files = files();
    Server::new(move |request| answer(&files, request))
}

/// A proxy that connects, and says what to.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let target = TcpStream::connect(first.split(' ').nth(1).unwrap()).unwrap();
            seen.lock().unwrap().push(first);
            (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut up, mut down) = (target.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut down, &mut up));
            thread::spawn(move || io::copy(&mut &target, &mut &client));
        }
    });
    (address, asked)
}

#[test]
fn a_proxy_that_is_set_connects_to_the_server() {
    let server = Server::good(files());
    let (address, asked) = proxy();
    let mut source = http(&server, Limits { proxy: Some(address), ..Limits::default() });
    assert!(range(&mut source).unwrap() == right());
    let host = server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    assert_eq!(*asked.lock().unwrap(), [format!("CONNECT {host} HTTP/1.1")]);
}

#[test]
fn a_good_server_is_asked_once_over_one_connection() {
    let server = Server::good(files());
    let mut source = http(&server, Limits::default());
    assert!(range(&mut source).unwrap() == right());
    source.open_range("f", Span::new(95_000, 95_100)).unwrap();
    let mut bytes = [0; 100];
    fill(&mut source, &mut bytes).unwrap();
    assert!(bytes[..] == files()["f"][95_000..95_100]);
    assert!(source.get("g", 5_000).unwrap().unwrap() == files()["g"]);
    assert!(source.get("h", 5_000).unwrap().is_none());
    assert_eq!((server.requests().len(), server.connections()), (4, 1));
    assert_eq!(server.body_bytes(), TO - FROM + 100 + 5_000);
    assert!(server.requests()[1].if_range.is_some(), "what is known of the file is said");
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let server = Server::good(files());
    let mut source = http(&server, Limits::default());
    for _ in 0..3 {
        assert!(source.get("g", 5_000).unwrap().unwrap() == files()["g"]);
    }
    assert_eq!(server.body_bytes(), 5_000);
    assert!(matches!(source.get("g", 4_999), Err(SourceError::TooLarge { limit: 4_999, .. })));
    // It was not asked whether it changed.
    let server = always(|_, _| Reply::new("304 Not Modified", &[], b""));
    let strange = http(&server, Limits::default()).get("g", 5_000);
    assert!(matches!(strange, Err(SourceError::Status { status: 304, .. })), "{strange:?}");
}

#[test]
fn what_turned_out_wrong_is_not_kept() {
    let files = files();
    let server = Server::new(move |request| {
        let reply = good(&files, request);
        if request.n == 0 { Reply { body: noise(9, 5_000), ..reply } } else { reply }
    });
    let mut source = http(&server, Limits::default());
    assert!(source.get("g", 5_000).unwrap().unwrap() == noise(9, 5_000));
    // The server would say that it is still the same.
    source.report_corrupt();
    assert!(source.get("g", 5_000).unwrap().unwrap() == crate::source_http::files()["g"]);
    let server = always(|_, _| Reply::new("403 No", &["Content-Length: 0".into()], b""));
    assert!(http(&server, Limits::default()).get("g", 5_000).unwrap().is_none());
}

/// What a network's login page answers to everything is a file of no repository, and passes.
#[test]
fn login_page_of_a_network_is_not_taken_for_a_file() {
    let page = |_: &Files, _: &Request| {
        Reply::new("200 OK", &["Content-Type: text/html; charset=utf-8".into()], b"<html>log in")
    };
    let server = always(page);
    let got = http(&server, Limits::default()).get("g", 5_000).unwrap_err();
    let read = range(&mut http(&server, Limits::default())).unwrap_err();
    for e in [got, read] {
        assert!(matches!(e, SourceError::WebPage { .. }) && e.is_transport(), "{e:?}");
    }
}

/// Its query is a secret: it is asked for, and no message shows it.
#[test]
fn address_that_was_signed_and_has_expired_is_named_without_its_signature() {
    let server = always(|_, _| Reply::new("403 Forbidden", &["Content-Length: 0".into()], b""));
    let address = Address::parse(&format!("{}?X-Amz-Signature=SECRET", server.url("h.bundle"))).unwrap();
    let mut source = Http::new(address, Limits::default(), Box::new(SystemClock));
    let e = source.open_range("", Span::WHOLE).and_then(|()| source.read(&mut [0; 9]).map(drop)).unwrap_err();
    assert!(matches!(e, SourceError::Expired { .. }), "{e:?}");
    assert!(
        e.to_string().contains("h.bundle?…: the server refuses (403)") && !e.to_string().contains("SECRET"),
        "{e}"
    );
    assert!(server.requests()[0].path.contains("X-Amz-Signature=SECRET"), "{:?}", server.requests());
}

/// Kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    NotThere,
    Unreachable,
    Cut,
    TimedOut,
    TooSlow,
    Status,
    Short,
    Changed,
    Protocol,
    WebPage,
    Other,
}

fn kind(e: &SourceError) -> Kind {
    match e {
        SourceError::NotThere { .. } => Kind::NotThere,
        SourceError::Unreachable { .. } => Kind::Unreachable,
        SourceError::Cut { .. } => Kind::Cut,
        SourceError::TimedOut { .. } => Kind::TimedOut,
        SourceError::TooSlow { .. } => Kind::TooSlow,
        SourceError::Status { .. } => Kind::Status,
        SourceError::Short { .. } => Kind::Short,
        SourceError::Changed { .. } => Kind::Changed,
        SourceError::Protocol { .. } => Kind::Protocol,
        SourceError::WebPage { .. } => Kind::WebPage,
        SourceError::Address { .. }
        | SourceError::Expired { .. }
        | SourceError::LeftAlone { .. }
        | SourceError::TooLarge { .. }
        | SourceError::File { .. }
        | SourceError::Refused { .. } => Kind::Other,
    }
}

type Wrong = fn(Reply) -> Reply;

/// Each of them, once: what the plain source says, and that a patient one, or one with a second mirror, gets it right.
#[test]
fn every_defect_is_noticed_and_gives_way_to_a_good_answer() {
    let table: &[(&str, Wrong, Kind)] = &[
        ("cut-in-the-middle", |r| r.cut(40_000), Kind::Cut),
        ("cut-before-the-first-byte", |r| r.cut(0), Kind::Cut),
        (
            "closed-without-an-answer",
            |r| Reply { head: String::new(), body: Vec::new(), ..r.cut(0) },
            Kind::Unreachable,
        ),
        ("cut-in-the-headers", |r| Reply { head: r.head[..30].into(), ..r.cut(0) }, Kind::Unreachable),
        (
            "stalls-before-the-answer",
            |r| Reply { head: String::new(), ..r.cut(0) }.end(End::Hold),
            Kind::TimedOut,
        ),
        ("stalls-in-the-body", |r| r.cut(40_000).end(End::Hold), Kind::TimedOut),
        ("drips", |r| r.end(End::Drip), Kind::TooSlow),
        ("length-too-long", |r| r.header("Content-Length", "89100").end(End::Close), Kind::Protocol),
        ("length-too-short", |r| r.header("Content-Length", "88000").end(End::Close), Kind::Protocol),
        ("another-range", |r| r.header("Content-Range", "bytes 0-88999/100000"), Kind::Protocol),
        ("more-than-asked-for", |r| r.header("Content-Range", "bytes 1000-90000/100000"), Kind::Protocol),
        ("range-without-saying-which", |r| r.header("Content-Range", "all of them"), Kind::Protocol),
        ("another-total", |r| r.header("Content-Range", "bytes 1000-89999/89999"), Kind::Protocol),
        ("server-error", |_| Reply::new("503 Sorry", &["Content-Length: 0".into()], b""), Kind::Status),
        ("too-many-questions", |_| Reply::new("429 Later", &["Content-Length: 0".into()], b""), Kind::Status),
        // As a bucket says it to those who may not list.
        ("forbidden", |_| Reply::new("403 No", &["Content-Length: 0".into()], b""), Kind::NotThere),
        ("not-there", |_| Reply::new("404 Gone", &["Content-Length: 2".into()], b"no"), Kind::NotThere),
        (
            "shorter-file",
            |_| {
                Reply::new(
                    "416 No",
                    &["Content-Range: bytes */80000".into(), "Content-Length: 0".into()],
                    b"",
                )
            },
            Kind::Short,
        ),
        (
            "shorter-whole-file",
            |_| Reply::new("200 OK", &["Content-Length: 9".into()], b"too short"),
            Kind::Short,
        ),
        ("packed", |r| r.header("Content-Encoding", "gzip"), Kind::Protocol),
        (
            "endless-headers",
            |_| Reply {
                head: "HTTP/1.1 200 OK\r\n".into(),
                body: b"X: 0123456789\r\n".repeat(100),
                end: End::Endless,
            },
            Kind::Protocol,
        ),
        (
            "endless-interim-answers",
            |_| Reply { head: "HTTP/1.1 100 Continue\r\n\r\n".into(), body: Vec::new(), end: End::Endless },
            Kind::Protocol,
        ),
        (
            "no-web-server",
            |_| Reply { head: "SSH-2.0-x\r\n".into(), body: Vec::new(), end: End::Hold },
            Kind::Protocol,
        ),
        (
            "redirect-to-nowhere",
            |_| Reply::new("302 There", &["Content-Length: 0".into()], b""),
            Kind::Protocol,
        ),
        (
            "redirect-to-a-file",
            |_| {
                Reply::new(
                    "302 There",
                    &["Location: file:///etc/passwd".into(), "Content-Length: 0".into()],
                    b"",
                )
            },
            Kind::Protocol,
        ),
        (
            "redirect-in-a-circle",
            |_| Reply::new("302 There", &["Location: f".into(), "Content-Length: 0".into()], b""),
            Kind::Other,
        ),
    ];
    for (name, wrong, want) in table {
        let (name, wrong, want) = (*name, *wrong, *want);
        // Alone.
        let server = first(wrong);
        let got = range(&mut http(&server, limits(want)));
        if name == "redirect-in-a-circle" {
            assert!(got.unwrap() == right(), "{name}: once is no circle");
        } else {
            let e = got.unwrap_err();
            assert_eq!(kind(&e), want, "{name}: {e}");
            // With patience, where that helps.
            if e.is_transport() {
                let server = first(wrong);
                assert!(range(&mut patient(http(&server, limits(want)))).unwrap() == right(), "{name}");
                assert!(server.requests().len() <= 3, "{name}");
            }
        }
        // With a second mirror.
        let (bad, other) = (first(wrong), Server::good(files()));
        let both = [http(&bad, limits(want)), http(&other, Limits::default())];
        let mut both = Mirrors::new(both.map(|m| Box::new(m) as Box<dyn Source>));
        assert!(range(&mut both).unwrap() == right(), "{name}");
        assert!(bad.requests().len() <= 2, "{name}");
    }
}

/// The same defects forever: it ends, after a bounded number of questions.
#[test]
fn whatever_never_stops_is_given_up() {
    let table: &[(&str, Wrong, Kind, usize)] = &[
        (
            "redirect-in-a-circle",
            |_| Reply::new("302 There", &["Location: f".into(), "Content-Length: 0".into()], b""),
            Kind::Protocol,
            6,
        ),
        (
            "redirect-with-an-endless-body",
            |_| Reply {
                head: "HTTP/1.1 302 There\r\nLocation: f\r\n\r\n".into(),
                body: vec![b'x'; 4096],
                end: End::Endless,
            },
            Kind::Protocol,
            6,
        ),
        ("server-error", |_| Reply::new("500 No", &["Content-Length: 0".into()], b""), Kind::Status, 6),
        ("cut-after-a-few-bytes", |r| r.cut(400), Kind::Cut, 6),
        ("stalls", |r| r.cut(10).end(End::Hold), Kind::TimedOut, 6),
    ];
    for (name, wrong, want, most) in table {
        let server = {
            let wrong = *wrong;
            always(move |files, request| wrong(good(files, request)))
        };
        let e = range(&mut patient(http(&server, limits(*want)))).unwrap_err();
        assert_eq!(kind(&e), *want, "{name}: {e}");
        let asked = server.requests().len();
        assert!((1..=*most).contains(&asked), "{name}: {asked} questions");
    }
}

/// A server may send less of a range than it was asked for, as long as it comes forward.
#[test]
fn a_range_may_come_in_parts_but_not_in_crumbs() {
    for (part, comes) in [(70_000, true), (65_536, true), (65_535, false), (1, false)] {
        let server = always(move |files, request| {
            let (from, last) = request.range.unwrap();
            let last = last.unwrap().min(from + part - 1);
            good(files, &Request { range: Some((from, Some(last))), ..request.clone() })
        });
        let got = range(&mut patient(http(&server, Limits::default())));
        match got {
            Ok(bytes) => assert!(comes && bytes == right(), "{part}"),
            Err(e) => assert!(!comes && kind(&e) == Kind::Protocol, "{part}: {e}"),
        }
        assert_eq!(server.requests().len(), if comes { 2 } else { 1 });
    }
}

#[test]
fn a_cut_at_every_few_thousand_bytes_costs_no_byte_twice() {
    let server = always(|files, request| good(files, request).cut(7_001));
    let mut source = patient(http(&server, Limits::default()));
    assert!(range(&mut source).unwrap() == right());
    assert_eq!(server.body_bytes(), TO - FROM);
    let starts: Vec<u64> = server.requests().iter().map(|r| r.range.unwrap().0).collect();
    let want: Vec<u64> = (FROM..TO).step_by(7_001).collect();
    assert_eq!(starts, want);
}

/// Each byte comes once: what comes before the range, or between two, is passed over.
#[test]
fn a_server_without_ranges_sends_the_file_once() {
    let whole = |files: &Files, request: &Request| good(files, &Request { range: None, ..request.clone() });
    let server = always(whole);
    let mut source = http(&server, Limits::default());
    for (from, to) in [(500, 700), (700, 710), (50_000, 60_000), (99_000, 100_000)] {
        source.open_range("f", Span::new(from as u64, to as u64)).unwrap();
        let mut bytes = vec![0; to - from];
        fill(&mut source, &mut bytes).unwrap();
        assert!(bytes == files()["f"][from..to], "{from}");
        assert_eq!(source.read(&mut [0; 9]).unwrap(), 0);
    }
    assert_eq!((server.requests().len(), server.body_bytes()), (1, BYTES as u64));
    // Cut, it begins again: the bytes in vain are counted.
    let server = nth(0, |r| Reply::new("200 OK", &["Content-Length: 100000".into()], &r.body).cut(20_000));
    let limits = Limits { wasted_bytes: 10_000, ..Limits::default() };
    let mut source = http(&server, limits);
    source.open_range("f", Span::new(15_000, 90_000)).unwrap();
    let refused = source.read(&mut [0; 100]).unwrap_err();
    assert_eq!(kind(&refused), Kind::Protocol, "{refused}");
}

/// A file that is replaced while it is read is no file.
#[test]
fn a_file_that_changes_in_the_middle_is_noticed() {
    for tagged in [true, false] {
        let server = always(move |files, request| {
            let mut files = files.clone();
            if request.n > 0 {
                // Without a validator only another length tells.
                files.insert("f".into(), noise(7, if tagged { BYTES } else { BYTES + 1 }));
            }
            let reply = good(&files, request);
            let reply = if tagged { reply } else { reply.header("ETag", "W/\"weak\"") };
            if request.n == 0 { reply.cut(10_000) } else { reply }
        });
        let mut source = patient(http(&server, Limits::default()));
        let e = range(&mut source).unwrap_err();
        assert_eq!(kind(&e), Kind::Changed, "{e}");
        let asked = &server.requests()[1];
        assert_eq!(asked.if_range.is_some(), tagged);
        // Asked again, the new one is as good as the old one was.
        let new = noise(7, if tagged { BYTES } else { BYTES + 1 });
        assert!(range(&mut source).unwrap() == new[1_000..90_000]);
    }
}

#[test]
fn a_small_file_has_a_limit_whatever_the_server_says() {
    let endless = |head: &'static str, end| {
        always(move |_, _| Reply { head: head.into(), body: vec![b'x'; 1 << 16], end })
    };
    for (name, server, want) in [
        ("endless", endless("HTTP/1.1 200 OK\r\n\r\n", End::Endless), None),
        (
            "a-length-that-is-too-large",
            endless("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", End::Hold),
            None,
        ),
        (
            "endless-chunk",
            endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", End::Endless),
            None,
        ),
        ("cut", always(|f, r| good(f, r).cut(3_000)), Some(Kind::Cut)),
        ("stalls", always(|f, r| good(f, r).cut(3_000).end(End::Hold)), Some(Kind::TimedOut)),
        ("drips", always(|f, r| good(f, r).end(End::Drip)), Some(Kind::TooSlow)),
        ("packed", always(|f, r| good(f, r).header("Content-Encoding", "br")), Some(Kind::Protocol)),
        ("server-error", always(|_, _| Reply::new("500 No", &[], b"")), Some(Kind::Status)),
    ] {
        let limits = limits(want.unwrap_or(Kind::Other));
        let e = http(&server, limits).get("g", 20_000).unwrap_err();
        match want {
            None => assert!(matches!(e, SourceError::TooLarge { limit: 20_000, .. }), "{name}: {e}"),
            Some(want) => assert_eq!(kind(&e), want, "{name}: {e}"),
        }
        // Whatever the system's buffers hold; not what the server would have sent.
        assert!(server.body_bytes() < 20 << 20, "{name}: {}", server.body_bytes());
    }
}

#[test]
fn unreachable_server_is_reported() {
    // Bound, but no server listens any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = Address::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let mut source = Http::new(address, Limits::default(), Box::new(SystemClock));
    for e in [source.get("f", 9).unwrap_err(), source.open_range("f", Span::WHOLE).unwrap_err()] {
        assert_eq!(kind(&e), Kind::Unreachable, "{e}");
        assert!(e.is_transport());
    }
}
