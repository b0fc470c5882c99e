//! Repositories that an attacker can write into: whatever is in them, no verb copies or prints a file of the operator's machine,
//! signs for an attacker, hangs or crashes.
mod kit;
mod mutants;
mod verbs;

use kit::{Kit, SECRET};
use mutants::Mutant;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use verbs::TRIES;

/// Run every verb on each mutant.
fn try_all(kit: &Kit, mutants: &[Mutant]) {
    for mutant in mutants {
        mutant.make(kit);
        let outside = kit.outside();
        for attempt in TRIES {
            kit.survives(&mutant.name, &attempt.args());
        }
        kit.assert_kept(&mutant.name, &outside);
    }
}

#[test]
fn every_verb_that_takes_a_repository_is_tried() {
    let tried: BTreeSet<String> = TRIES.iter().map(|attempt| attempt.verb.to_owned()).collect();
    assert_eq!(tried, verbs::on_repositories());
}

/// Else the other tests would test nothing but refusals.
#[test]
fn every_verb_succeeds_on_the_good_repository() {
    let kit = Kit::new();
    kit.restore();
    for attempt in TRIES {
        let args = attempt.args();
        let ended = kit.survives("good", &args);
        assert_eq!(ended.code, Some(attempt.code()), "{args:?}\n{}", ended.text);
    }
}

#[test]
fn no_link_leads_a_verb_out_of_the_repository() {
    try_all(&Kit::new(), &mutants::links());
}

#[test]
fn damaged_files_crash_no_verb() {
    try_all(&Kit::new(), &mutants::contents());
}

#[test]
fn special_files_stop_a_verb_instead_of_blocking_it() {
    try_all(&Kit::new(), &mutants::special_files());
}

#[test]
fn impossible_names_are_reported_and_stop_no_verb() {
    let kit = Kit::new();
    mutants::names().make(&kit);
    for attempt in TRIES {
        let args = attempt.args();
        let ended = kit.survives("impossible names", &args);
        assert_eq!(ended.code, Some(attempt.code()), "{args:?}\n{}", ended.text);
        if args == ["fsck"] {
            assert!(ended.text.contains("\u{fffd}[31mred\u{fffd}]0;title\u{fffd}"), "{}", ended.text);
            assert!(ended.text.matches("foreign").count() > 100, "{}", ended.text);
            assert!(ended.text.contains("is called as no channel can be"), "{}", ended.text);
        }
    }
}

/// What a link leads to is the operator's, whether a verb refuses the link or doesn't meet it.
#[test]
fn a_link_is_named_with_what_to_do() {
    let kit = Kit::new();
    for mutant in mutants::links().iter().filter(|m| m.name.contains("a link to a folder")) {
        mutant.make(&kit);
        let told = kit.survives(&mutant.name, &["fsck"]);
        // Without roots there is nothing that fsck could go by.
        let code = if mutant.name.starts_with("roots") { 1 } else { 5 };
        assert_eq!(told.code, Some(code), "{}: {}", mutant.name, told.text);
        assert!(told.text.contains("is a symbolic link") && told.text.contains("remove it"), "{}", told.text);
    }
}

/// A bucket's server, or an attacker in its place, has no more say over the terminal than a file.
#[test]
fn an_answer_of_a_server_cannot_control_the_terminal() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        for connection in server.incoming() {
            let mut connection = connection.unwrap();
            let mut request = BufReader::new(connection.try_clone().unwrap()).lines();
            while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let body = "<Error><Message>\u{1b}]0;title\u{7}\u{9b}2J\u{202e}gone\u{2066}</Message></Error>";
            let head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length:";
            // Whoever asked may be gone.
            let _ = write!(connection, "{head} {}\r\n\r\n{body}", body.len());
        }
    });
    for json in [&[][..], &["--json"]] {
        let out = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
            .args(["list", "--repo", "s3://bucket/x"])
            .args(json)
            .env("AWS_ENDPOINT", format!("http://{address}"))
            .env("AWS_ACCESS_KEY_ID", "ada")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .output()
            .unwrap();
        let told = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
        assert!(told.contains("\u{fffd}]0;title\u{fffd}\u{fffd}2J\u{fffd}gone"), "{told:?}");
        assert!(bistable_format::text::is_printable(&told, &['\n']), "{told:?}");
    }
}

/// As an attacker would place them who can write into a folder that an operator copies from, without a link.
#[test]
fn sync_leaves_out_and_reports_what_is_not_what_its_name_says() {
    let kit = Kit::new();
    kit.restore();
    let attested =
        fs::read_dir(kit.repository().join("attestations")).unwrap().next().unwrap().unwrap().path();
    let planted = [attested.join("y.attestation"), kit.repository().join("versions/hub/9.9.9")];
    for path in planted.iter().chain([&kit.repository().join("oci-layout")]) {
        fs::write(path, SECRET).unwrap();
    }
    // By a key that the root names, and by one that is not named.
    for key in ["{channel.key}", "{stranger.key}"] {
        let ended = kit.run(&["attest", "staging", "1.2.0", "--kind", "odd", "--key", key]);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
    }
    for args in [&["sync", "{destination/copy}"][..], &["sync", "--everything", "{destination/mirror}"]] {
        let ended = kit.survives("planted files", args);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        let inside =
            planted.iter().map(|path| path.strip_prefix(kit.repository()).unwrap().to_str().unwrap());
        for path in inside.chain(["oci-layout"]) {
            assert!(
                ended.text.contains(&format!("warning: not copied: {path} is")),
                "{path}: {}",
                ended.text
            );
        }
        assert!(ended.text.contains("which no channel's gates name"), "{}", ended.text);
    }
    let copied = kit::files(&kit.path("destination"));
    assert!(copied.values().all(|bytes| !bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes())));
    for copy in ["copy", "mirror"] {
        let layout = kit.path("destination").join(copy).join("oci-layout");
        assert_eq!(copied[&layout], bistable_format::bundle::LAYOUT.as_bytes());
    }
    let odd = copied.keys().filter(|path| path.to_string_lossy().contains("/odd-")).count();
    assert_eq!(odd, 2, "each copy has what a key of the root attested, and neither what a stranger attested");
}

/// A host that remembers what it signed, and under which root, signs nothing in a store that says otherwise.
#[test]
fn nothing_is_signed_that_contradicts_what_was_signed_before() {
    let kit = Kit::new();
    for mutant in [mutants::swapped_root(), mutants::lost_tail(), mutants::equivocation()] {
        mutant.make(&kit);
        let (outside, before) = (kit.outside(), kit.signed());
        for attempt in TRIES {
            kit.survives(&mutant.name, &attempt.args());
        }
        let after = kit.signed();
        let new: Vec<_> =
            after.iter().filter(|(path, bytes)| before.get(*path) != Some(*bytes)).map(|(p, _)| p).collect();
        assert_eq!(new, Vec::<&PathBuf>::new(), "{}", mutant.name);
        kit.assert_kept(&mutant.name, &outside);
    }
}

/// Whatever the host remembers, these crash nothing and leak nothing.
#[test]
fn stores_that_contradict_themselves_crash_no_verb() {
    try_all(&Kit::new(), &[mutants::swapped_root(), mutants::lost_tail(), mutants::equivocation()]);
}
