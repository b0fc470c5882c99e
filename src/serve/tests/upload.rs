//! Bundles that are installed while they come. The test plays the agent: it reads what the backend was given.
use super::{
    super::Limits,
    client::{Api, patient},
};
use crate::app::{Code, JobState, Outcome};
use std::{io::Read, thread, time::Duration};

fn head(length: usize) -> String {
    format!(
        "POST /v1/bundles HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Wait for the bundle of the job that was asked for, and begin it.
pub(in crate::serve) fn bundle(api: &Api) -> (String, crate::app::BundleStream) {
    loop {
        let mut state = api.backend.state();
        if let Some(bundle) = state.bundle.take() {
            let id = state.jobs.all().last().unwrap().id.clone();
            state.jobs.begin(&id);
            return (id, bundle);
        }
        drop(state);
        thread::yield_now();
    }
}

pub(in crate::serve) fn end(api: &Api, id: &str, exit: u8, error: Option<&str>) {
    let code = error.map(|_| Code::NotABundle);
    let outcome = Outcome { exit, code, error: error.map(Into::into), answer: None };
    api.backend.state().jobs.end(id, outcome);
}

#[test]
fn bundle_comes_to_the_agent_whole_and_the_answer_is_the_job() {
    let api = Api::new();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut connection = api.connect();
    let copy = sent.clone();
    let client = thread::spawn(move || {
        connection.send(head(copy.len()).as_bytes());
        connection.send(&copy);
        connection.reply()
    });
    let (id, mut stream) = bundle(&api);
    let mut read = Vec::new();
    stream.read_to_end(&mut read).unwrap();
    assert!(read == sent);
    end(&api, &id, 0, None);
    let reply = client.join().unwrap();
    assert_eq!((reply.status, reply.header("location")), (200, Some(format!("/v1/jobs/{id}").as_str())));
    assert_eq!(reply.json()["state"], "ended");
}

#[test]
fn client_waits_for_the_card_and_memory_does_not_grow() {
    let api = Api::new();
    let mut connection = api.connect();
    let client = thread::spawn(move || {
        connection.send(head(64 << 20).as_bytes());
        // Far more than fits between the two, as long as the agent doesn't read.
        let piece = vec![7; 1 << 20];
        for _ in 0..64 {
            connection.send(&piece);
        }
        connection.reply()
    });
    let (id, mut stream) = bundle(&api);
    let mut total = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            bytes => total += bytes,
        }
    }
    assert_eq!(total, 64 << 20);
    end(&api, &id, 0, None);
    assert_eq!(client.join().unwrap().status, 200);
}

#[test]
fn bundle_that_is_refused_early_ends_the_upload_with_the_reason() {
    let api = Api::new();
    let mut connection = api.connect();
    let client = thread::spawn(move || {
        connection.send(head(1 << 30).as_bytes());
        let piece = vec![0; 1 << 16];
        // Until the other side has had enough.
        while connection.try_send(&piece).is_ok() {}
        connection.reply()
    });
    let (id, mut stream) = bundle(&api);
    stream.read_exact(&mut [0; 100]).unwrap();
    end(&api, &id, 1, Some("this is not a bundle (byte 0)"));
    drop(stream);
    let reply = client.join().unwrap();
    assert_eq!(reply.status, 422, "{reply:?}");
    assert!(reply.body.contains("this is not a bundle"), "{}", reply.body);
    assert_eq!(reply.header("connection"), Some("close"));
}

#[test]
fn agent_is_told_that_the_rest_does_not_come() {
    let limits = Limits { patience_of_upload: Duration::from_millis(50), upload_bytes: 1 << 20, ..patient() };
    let api = Api::within(limits);
    // It stalls.
    let mut stalls = api.connect();
    stalls.send(head(1000).as_bytes());
    stalls.send(&[0; 10]);
    let (id, mut stream) = bundle(&api);
    let e = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(e.to_string().contains("came within"), "{e}");
    end(&api, &id, 1, Some("reading the bundle: it broke off"));
    assert_eq!(stalls.reply().status, 422);
    // It goes.
    let mut goes = api.connect();
    goes.send(head(1000).as_bytes());
    goes.send(&[0; 10]);
    let (id, mut stream) = bundle(&api);
    stream.read_exact(&mut [0; 10]).unwrap();
    drop(goes);
    let e = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(e.to_string().contains("broke off"), "{e}");
    end(&api, &id, 1, Some("it broke off"));
}

#[test]
fn upload_that_never_gets_its_turn_is_taken_back() {
    let api = Api::within(Limits { patience_of_upload: Duration::from_millis(50), ..patient() });
    let mut connection = api.connect();
    connection.send(head(16 << 20).as_bytes());
    let client = thread::spawn(move || {
        let piece = vec![0; 1 << 16];
        while connection.try_send(&piece).is_ok() {}
        connection.reply()
    });
    let reply = client.join().unwrap();
    assert_eq!(reply.problem(), (503, "busy".into()));
    let state = api.backend.state();
    assert_eq!(state.jobs.all().last().unwrap().state, JobState::Cancelled);
}

#[test]
fn what_is_no_bundle_by_its_type_is_refused_at_once() {
    let api = Api::new();
    let reply = api.post("/v1/bundles", "{}");
    assert_eq!(reply.problem(), (415, "not-a-bundle".into()));
    assert!(api.backend.state().jobs.all().next().is_none());
}
