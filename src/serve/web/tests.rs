//! The web page's process in front of the daemon's server, with a backend in memory: raw bytes in, raw bytes out.
use super::{
    super::{
        Limits, Stopper,
        tests::{
            client::{Api, Connection, Reply, patient},
            tokens::token_store,
            ws::Talk,
        },
    },
    Web,
};
use serde_json::json;
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread::{self, JoinHandle},
    time::Duration,
};

struct Page {
    api: Api,
    address: SocketAddr,
    stopper: Stopper,
    server: Option<JoinHandle<io::Result<()>>>,
}

impl Page {
    fn new() -> Page {
        Page::within(patient())
    }

    fn within(limits: Limits) -> Page {
        let api = Api::new();
        api.backend.state().token_store = token_store(false);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stopper, stopped) = Stopper::new();
        let upstream = Path::new(api.socket()).with_file_name("web.sock");
        let web = Web { listener, certificate: None, upstream, names: vec!["hub.local".into()] };
        let server = thread::spawn(move || web.serve_within(stopped, limits));
        Page { api, address, stopper, server: Some(server) }
    }

    fn connect(&self) -> Connection<TcpStream> {
        Connection::new(TcpStream::connect(self.address).unwrap())
    }

    fn raw(&self, request: &str) -> Reply {
        let mut connection = self.connect();
        let _ = connection.try_send(request.as_bytes());
        connection.reply()
    }

    /// With more lines in the head.
    fn ask(&self, method: &str, path: &str, head: &str) -> Reply {
        self.raw(&format!("{method} {path} HTTP/1.1\r\nhost: hub.local\r\n{head}\r\n"))
    }

    /// As our own page's form.
    fn form(&self, act: &str, fields: &str, token: &str) -> Reply {
        let length = fields.len();
        self.raw(&format!(
            "POST /do/{act} HTTP/1.1\r\nhost: hub.local\r\norigin: http://hub.local\r\nsec-fetch-site: same-origin\r\n{}\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{fields}",
            bearer(token)
        ))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(server) = self.server.take() {
            server.join().unwrap().unwrap();
        }
    }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[test]
fn page_asks_for_a_token_and_with_one_it_is_there_with_everything_that_keeps_it_to_itself() {
    let page = Page::new();
    let refused = page.ask("GET", "/", "");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic realm"));
    assert!(refused.body.contains("<h1>A token is needed</h1>"), "{}", refused.body);
    let shown = page.ask("GET", "/", &bearer("read-read"));
    assert_eq!((shown.status, shown.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for reply in [&refused, &shown, &page.ask("GET", "/v1/status", ""), &page.ask("GET", "/page.js", "")] {
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        // With `no-referrer`, browsers would send `Origin: null` with our own forms.
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
    }
    assert!(
        !shown.body.contains("<script>")
            && !shown.body.contains(" style=")
            && !shown.body.contains(" onclick")
    );
    assert_eq!(page.ask("GET", "/page.css", "").header("content-type"), Some("text/css; charset=utf-8"));
    let mut head = page.connect();
    head.send(b"HEAD /page.css HTTP/1.1\r\nhost: hub.local\r\n\r\n");
    assert_eq!(head.head().unwrap().status, 200);
    assert_eq!(page.ask("GET", "/nowhere", "").status, 404);
    assert_eq!(page.ask("POST", "/", "").status, 405);
}

#[test]
fn requests_are_forwarded_with_their_token_and_answers_come_back() {
    let page = Page::new();
    assert_eq!(page.ask("GET", "/v1/status", &bearer("read-read")).status, 200);
    assert_eq!(page.ask("POST", "/v1/update", &bearer("read-read")).problem(), (403, "scope".into()));
    let taken = page.ask("POST", "/v1/update", &bearer("operate-operate"));
    assert_eq!(taken.status, 202);
    assert!(taken.header("location").unwrap().starts_with("/v1/jobs/"));
    assert_eq!(taken.json()["by"]["token"], "operate");
}

#[test]
fn buttons_work_without_a_script() {
    let page = Page::new();
    let asked = |page: &Page| {
        let state = page.api.backend.state();
        state.jobs.all().map(|job| job.operation.clone()).collect::<Vec<_>>()
    };
    let reply = page.form("update", "", "operate-operate");
    assert_eq!((reply.status, reply.header("location")), (303, Some("/")));
    assert_eq!(asked(&page), ["update"]);
    assert_eq!(page.form("revert", "", "operate-operate").status, 400, "not confirmed");
    assert_eq!(page.form("revert", "sure=yes", "operate-operate").status, 303);
    assert_eq!(asked(&page), ["update", "revert"]);
    assert_eq!(page.form("component", "component=core&act=stop", "operate-operate").status, 303);
    assert_eq!(asked(&page), ["update", "revert", "component-stop"]);
    for fields in ["", "component=core", "component=core&act=format", "component=../jobs&act=stop"] {
        assert_eq!(page.form("component", fields, "operate-operate").status, 400, "{fields}");
    }
    let id = page.api.backend.state().jobs.all().next().unwrap().id.clone();
    assert_eq!(page.form("cancel", &format!("job={id}"), "operate-operate").status, 303);
    for (act, fields, status) in
        [("cancel", "job=../../status", 400), ("cancel", "", 400), ("format", "", 404), ("jobs", "", 404)]
    {
        assert_eq!(page.form(act, fields, "operate-operate").status, status, "{act} {fields}");
    }
    let refused = page.form("update", "", "read-read");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("token read has the scope read; this needs operate"), "{}", refused.body);
    let none = page.raw("POST /do/update HTTP/1.1\r\nhost: hub.local\r\norigin: http://hub.local\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(none.status, 401, "the browser asks for a token and sends it again");
}

#[test]
fn other_sites_get_nothing_done() {
    let page = Page::new();
    let evil = format!("{}origin: http://evil.example\r\n", bearer("operate-operate"));
    assert_eq!(page.ask("POST", "/v1/update", &evil).problem(), (403, "cross-site".into()));
    assert_eq!(page.ask("POST", "/do/update", &evil).status, 403);
    let rebound = format!("GET / HTTP/1.1\r\nhost: evil.example\r\n{}\r\n", bearer("read-read"));
    let reply = page.raw(&rebound);
    assert_eq!(reply.status, 421);
    assert!(reply.body.contains("add it to web.names"), "{}", reply.body);
    for target in [
        "/v1/%2e%2e/v1/status",
        "//v1/status",
        "http://hub.local/v1/status",
        "/v1/../v1/status",
        "/v1/status?token=read-read",
    ] {
        assert_eq!(page.ask("GET", target, &bearer("read-read")).status, 400, "{target}");
    }
    assert!(page.api.backend.state().jobs.all().next().is_none());
    assert_eq!(page.api.backend.state().looks, 0);
}

#[test]
fn address_that_shows_wrong_tokens_has_to_wait_also_with_a_right_one() {
    let page = Page::new();
    for _ in 0..10 {
        assert_eq!(page.ask("GET", "/v1/status", &bearer("wrong")).status, 401);
    }
    assert_eq!(page.ask("GET", "/v1/status", &bearer("read-read")).problem(), (429, "attempts".into()));
    assert_eq!(page.ask("GET", "/v1/status", "").status, 401, "without a token, nothing is guessed");
}

#[test]
fn events_come_while_they_happen() {
    let page = Page::new();
    let mut connection = page.connect();
    let head = format!("{}accept: text/event-stream\r\n", bearer("read-read"));
    connection.send(format!("GET /v1/events HTTP/1.1\r\nhost: hub.local\r\n{head}\r\n").as_bytes());
    assert_eq!(connection.head().unwrap().header("content-type"), Some("text/event-stream"));
    assert_eq!(connection.chunk().unwrap(), "retry: 2000\n\n");
    page.api.backend.log(1, "update.staged");
    assert!(connection.chunk().unwrap().contains("event: update.staged"));
}

#[test]
fn conversation_goes_through_the_page_and_ends_with_either_side() {
    let page = Page::new();
    let mut talk = Talk::begin(page.connect(), "origin: http://hub.local\r\n").unwrap();
    let auth = |token: &str| json!({ "subject": "auth", "body": { "token": token } });
    assert_eq!(talk.asks(&auth("operate-operate"))["body"]["scope"], "operate");
    assert_eq!(talk.asks(&json!({ "subject": "updater.check", "id": 1 }))["subject"], "check_accepted");
    assert_eq!(page.api.backend.state().jobs.all().next().unwrap().by.token.as_deref(), Some("operate"));
    // With a token in the head, as programs have it.
    let mut other = Talk::begin(page.connect(), &bearer("read-read")).unwrap();
    assert_eq!(other.asks(&json!({ "subject": "updater.status" }))["subject"], "status_result");
    for origin in ["http://evil.example", "null", "https://hub.local", "http://hub.local:81"] {
        let head = format!("origin: {origin}\r\nsec-fetch-site: cross-site\r\n{}", bearer("operate-operate"));
        assert_eq!(Talk::begin(page.connect(), &head).err(), Some(403), "{origin}");
    }
    assert_eq!(page.ask("GET", "/v1/ws", &bearer("read-read")).problem(), (426, "upgrade-required".into()));
    page.stopper.stop();
    assert!(talk.breaks_off() && other.breaks_off());
}

#[test]
fn wrong_tokens_count_also_when_they_are_said_in_a_conversation() {
    let page = Page::new();
    let wrong = json!({ "subject": "auth", "body": { "token": "wrong" } });
    let mut ends = 0;
    while let Ok(mut talk) = Talk::begin(page.connect(), "") {
        assert_eq!(talk.asks(&wrong)["body"]["code"], "token");
        assert_eq!(talk.ends(), 4401);
        ends += 1;
        assert!(ends < 100, "it never has to wait");
    }
    assert!(ends >= 10, "{ends}");
    assert_eq!(page.ask("GET", "/v1/status", &bearer("read-read")).problem(), (429, "attempts".into()));
}

#[test]
fn conversation_has_a_place_of_the_page_until_it_ends() {
    let page = Page::within(Limits { connections: 1, ..patient() });
    let talk = Talk::begin(page.connect(), &bearer("read-read")).unwrap();
    assert_eq!(page.connect().reply().problem(), (503, "busy".into()));
    drop(talk);
    while page.ask("GET", "/page.css", "").status != 200 {}
}

#[test]
fn file_of_a_form_reaches_the_agent_as_it_is() {
    let page = Page::new();
    let bundle: Vec<u8> = (0..200_000_u32).map(|i| (i % 250) as u8).collect();
    let mut connection = page.connect();
    let copy = bundle.clone();
    let client = thread::spawn(move || {
        let begin = "--b0\r\nContent-Disposition: form-data; name=\"bundle\"; filename=\"x\"\r\n\r\n";
        let end = "\r\n--b0--\r\n";
        let length = begin.len() + copy.len() + end.len();
        connection.send(
            format!(
                "POST /do/upload HTTP/1.1\r\nhost: hub.local\r\norigin: http://hub.local\r\n{}content-type: multipart/form-data; \
                 boundary=b0\r\ncontent-length: {length}\r\n\r\n{begin}",
                bearer("operate-operate")
            )
            .as_bytes(),
        );
        connection.send(&copy);
        connection.send(end.as_bytes());
        connection.reply()
    });
    let (id, mut stream) = super::super::tests::upload::bundle(&page.api);
    let mut read = Vec::new();
    io::Read::read_to_end(&mut stream, &mut read).unwrap();
    assert!(read == bundle);
    super::super::tests::upload::end(&page.api, &id, 0, None);
    assert_eq!(client.join().unwrap().status, 303);
}

#[test]
fn connections_are_bounded_and_those_on_which_nothing_comes_end() {
    let page = Page::within(Limits { connections: 4, patience: Duration::from_millis(300), ..patient() });
    let idle: Vec<_> = (0..4).map(|_| page.connect()).collect();
    // One more is refused at once, with a reason.
    let mut one_more = page.connect();
    assert_eq!(one_more.reply().problem(), (503, "busy".into()));
    for connection in idle {
        assert!(connection.ends());
    }
    // And then there is room again.
    let mut free = page.ask("GET", "/page.css", "");
    while free.status == 503 {
        free = page.ask("GET", "/page.css", "");
    }
    assert_eq!(free.status, 200);
}

#[test]
fn heads_and_bodies_are_bounded_and_slow_ones_end() {
    let page = Page::within(Limits { patience: Duration::from_millis(200), ..patient() });
    let long = format!("x-long: {}\r\n", "a".repeat(40 << 10));
    assert_eq!(page.ask("GET", "/v1/status", &long).problem(), (431, "head-too-large".into()));
    let mut slow = page.connect();
    slow.send(b"GET / HTTP/1.1\r\nhost: hub");
    assert!(slow.ends());
    let large =
        format!("{}content-type: application/json\r\ncontent-length: 2000000\r\n", bearer("operate-operate"));
    assert_eq!(page.ask("POST", "/v1/update", &large).problem(), (413, "body-too-large".into()));
    let form = page.form("update", &"a=b&".repeat(2000), "operate-operate");
    assert_eq!(form.status, 413);
    // A form that never comes.
    let never = page.raw(&format!(
        "POST /do/update HTTP/1.1\r\nhost: hub.local\r\norigin: http://hub.local\r\n{}content-length: 10\r\n\r\n",
        bearer("operate-operate")
    ));
    assert_eq!(never.status, 408);
    assert!(page.api.backend.state().jobs.all().next().is_none());
}

#[test]
fn without_the_daemon_the_page_says_so() {
    let mut page = Page::new();
    page.api.stop();
    std::fs::remove_file(Path::new(page.api.socket()).with_file_name("web.sock")).unwrap();
    assert_eq!(page.ask("GET", "/v1/status", "").problem(), (502, "no-daemon".into()));
    assert!(page.ask("GET", "/", "").body.contains("systemctl status bistable.service"));
}
