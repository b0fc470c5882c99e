//! Messages to a webhook about what was done to a repository.
use crate::life::Life;
use bistable_format::webhook;
use bistable_kit::web_server::{Reply, WebServer};
use serde_json::Value;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

/// A receiver that answers this.
fn receiver(status: u16) -> WebServer {
    WebServer::new(move |_| Reply::new(status, "no one reads this"))
}

/// The bodies that came, as JSON.
fn bodies(receiver: &WebServer) -> Vec<Value> {
    receiver.seen().iter().map(|e| serde_json::from_slice(&e.request.body).unwrap()).collect()
}

#[test]
fn what_was_done_is_told_and_signed_with_each_secret() {
    let (life, receiver) = (Life::new(2), receiver(204));
    let secrets = ["old secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"].map(String::from);
    let (one, two) = (life.path("one"), life.path("two"));
    fs::write(&one, format!("{}\n", secrets[0])).unwrap();
    fs::write(&two, &secrets[1]).unwrap();
    let url = format!("{}/hook", receiver.url());
    let to = ["--notify", &url, "--notify-secret", &one, "--notify-secret", &two, "--by", "ada"];

    for (args, verb) in [
        (&["promote", "staging", "production", "1.2.0"][..], "promote"),
        (&["rollout", "production", "1.2.0", "halt"], "rollout"),
        (&["withdraw", "production", "1.2.0", "--reason", "the fan stops"], "withdraw"),
        (&["channel", "refresh", "staging"], "channel refresh"),
        (&["prune", "--keep", "1"], "prune"),
    ] {
        receiver.forget();
        let (text, _) = life.acts(&[args, &to, &["--json"]].concat(), 0);
        let printed = bistable_schema::object(&text);
        let [exchange] = &receiver.seen()[..] else { panic!("{verb}: {:?}", receiver.seen()) };
        let request = &exchange.request;
        assert_eq!((request.method.as_str(), request.route()), ("POST", "/hook"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((body["type"].as_str(), body["who"].as_str()), (Some(verb), Some("ada")));
        assert_eq!(body["repository"], life.repo.as_str());
        for (name, value) in body["result"].as_object().unwrap() {
            assert_eq!(Some(value), printed.get(name), "{verb}: {name}");
        }
        let (id, time) =
            (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
        let text = String::from_utf8(request.body.clone()).unwrap();
        let wanted = webhook::headers(id, time.parse().unwrap(), &text, &secrets);
        assert_eq!(request.header("webhook-signature"), Some(wanted[2].1.as_str()));
    }

    // Nothing was done, or it was refused.
    receiver.forget();
    life.acts(&[&["prune", "--keep", "1", "--dry-run"][..], &to].concat(), 0);
    life.acts(&[&["withdraw", "production", "7.0.0", "--reason", "x"][..], &to].concat(), 1);
    assert!(receiver.seen().is_empty());
}

#[test]
fn slack_gets_lines_in_which_nothing_is_a_mention() {
    let (life, receiver) = (Life::new(1), receiver(200));
    let url = receiver.url();
    life.acts(
        &["withdraw", "staging", "1.1.0", "--reason", "x", "--by", "<!channel> & co"]
            .into_iter()
            .chain(["--notify", &url, "--notify-template", "slack"])
            .collect::<Vec<_>>(),
        0,
    );
    let text = bodies(&receiver)[0]["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("&lt;!channel&gt; &amp; co at ") && text.contains("withdrew hub 1.1.0"),
        "{text}"
    );
}

#[test]
fn a_webhook_that_fails_undoes_nothing_and_its_address_is_never_shown() {
    let life = Life::new(3);
    let away = "http://127.0.0.1:9/T0KEN?key=T0KEN";
    for (n, url) in [(1, away.to_owned()), (2, format!("{}/T0KEN", receiver(404).url()))] {
        let version = format!("1.{n}.0");
        let (_, said) = life.acts(&["withdraw", "staging", &version, "--reason", "x", "--notify", &url], 0);
        assert!(said.contains("warning: the webhook did not get it (http://127.0.0.1:"), "{said}");
        assert!(said.contains("what was done stands") && !said.contains("T0KEN"), "{said}");
        let shown = life.json(&["channel", "show", "staging"]);
        assert_eq!(shown["channels"][0]["withdrawn"][n - 1]["version"], version.as_str());
    }
}

#[test]
fn a_server_in_trouble_is_told_again_with_the_same_id() {
    let (life, tries) = (Life::new(1), AtomicU32::new(0));
    let receiver = WebServer::new(move |_| {
        Reply::new(if tries.fetch_add(1, Ordering::Relaxed) == 0 { 500 } else { 200 }, "")
    });
    let (_, said) = life.acts(&["channel", "refresh", "staging", "--notify", &receiver.url()], 0);
    assert!(!said.contains("warning"), "{said}");
    let ids: Vec<_> =
        receiver.seen().iter().map(|e| e.request.header("webhook-id").unwrap().to_owned()).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

#[test]
fn what_it_needs_is_checked_before_anything_is_done() {
    let life = Life::new(1);
    let empty = life.path("empty");
    fs::write(&empty, "\n").unwrap();
    let (url, missing) = ("http://127.0.0.1:9/", life.path("missing"));
    for wrong in [
        &["--notify", "ftp://hook/"][..],
        &["--notify", "no address"],
        &["--notify", url, "--notify-secret", &empty],
        &["--notify", url, "--notify-secret", &missing],
        &["--notify-secret", &empty],
    ] {
        life.acts(&[&["withdraw", "staging", "1.1.0", "--reason", "x"], wrong].concat(), 2);
    }
    let shown = life.json(&["channel", "show", "staging"]);
    assert_eq!(shown["channels"][0]["withdrawn"], serde_json::json!([]));
}
