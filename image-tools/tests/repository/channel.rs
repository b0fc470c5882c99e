//! Commits to a channel: none lost, none twice, each recorded.
use crate::product::{Product, key};
use bistable_format::{KeyKind, Role, repository as names};
use bistable_image::repository::Store;
use bistable_image::repository::audit::{self, AuditError};
use bistable_image::repository::channel::{ChannelError, ChannelLog, OldRoot};
use bistable_image::repository::recording::{self, RecordingError};
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::{Created, Faults, Faulty, Memory};
use bistable_image::repository::writer::Change;
use std::sync::atomic::Ordering;

/// From its death at each change on: the commit is there or not, and the next act makes the audit whole.
#[test]
fn a_death_at_any_change_loses_no_commit_and_no_record() {
    let product = Product::new();
    let mut died_between = false;
    for dies_at in 0.. {
        let memory = Memory::new();
        let store = Store::new(memory.clone());
        let roots = product.init(&store);
        product.offer(&ChannelLog::new(&store, &roots, "staging"), "a", 1).unwrap();
        let dying = Faults { dies_at: Some(dies_at), ..Faults::default() };
        let dead = Store::new(Faulty::new(memory, dying));
        let second = product.offer(&ChannelLog::new(&dead, &roots, "staging"), "b", 2);
        let log = ChannelLog::new(&store, &roots, "staging");
        let there = log.sequence().unwrap();
        assert_eq!(there == 2, second.is_ok(), "died at change {dies_at}");
        let missing = recording::verify(&store, &roots).unwrap().missing.get("staging").copied().unwrap_or(0);
        died_between |= missing == 1;
        product.offer(&log, "c", 3).unwrap();
        let verified = recording::verify(&store, &roots).unwrap();
        assert_eq!(verified.records, 1 + there + 1, "died at change {dies_at}");
        assert!(verified.missing.is_empty());
        assert_eq!(audit::newest(&store).unwrap().unwrap().record.who, "c");
        if dies_at > 10 {
            break;
        }
    }
    assert!(died_between);
}

/// Devices that saw it would refuse another one of its number, or take both for right.
#[test]
fn a_number_that_was_lost_is_never_given_again() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    for n in 1..=3 {
        product.offer(&log, "a", n).unwrap();
    }
    for lost in [3, 2, 1] {
        store.delete(&names::channel("staging", lost)).unwrap();
        let refused = product.offer(&log, "a", 9);
        let says = refused.as_ref().unwrap_err().to_string();
        assert!(matches!(refused, Err(ChannelError::Lost(_))), "{refused:?}");
        assert!(says.contains("number 3 of channel staging, which isn't there"), "{says}");
    }
    assert!(matches!(
        recording::catch_up(&store, &product.clock, &log, 0),
        Err(RecordingError::Audit(AuditError::Lost { .. }))
    ));
}

#[test]
fn lost_answers_make_no_act_happen_twice() {
    let product = Product::new();
    let memory = Memory::new();
    let roots = product.init(&Store::new(memory.clone()));
    let lossy = Faults { loses_answers: Some(1), ..Faults::default() };
    let store = Store::new(Faulty::new(memory, lossy));
    let log = ChannelLog::new(&store, &roots, "staging");
    for n in 1..=10 {
        assert_eq!(product.offer(&log, "a", n).unwrap().file.channel.sequence, n);
    }
    assert_eq!(recording::verify(&store, &roots).unwrap().records, 11);
}

#[test]
fn a_repair_adds_what_is_missing() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    for n in 1..=3 {
        product.offer(&log, "a", n).unwrap();
    }
    for record in [3, 4] {
        store.delete(&names::audit(record)).unwrap();
    }
    assert_eq!(recording::verify(&store, &roots).unwrap().missing["staging"], 2);
    assert_eq!(recording::catch_up(&store, &product.clock, &log, 3).unwrap(), 2);
    assert_eq!(recording::catch_up(&store, &product.clock, &log, 3).unwrap(), 0);
    assert!(recording::verify(&store, &roots).unwrap().missing.is_empty());
}

#[test]
fn a_changed_record_is_found() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    for n in 1..=3 {
        product.offer(&log, "a", n).unwrap();
    }
    let path = names::audit(3);
    let text = String::from_utf8(store.get(&path, 9999).unwrap().unwrap()).unwrap();
    let replaced = |with: &str| {
        store.delete(&path).unwrap();
        assert_eq!(store.create(&path, with.as_bytes()).unwrap(), Created::Created);
        recording::verify(&store, &roots)
    };
    for lie in [
        text.replace("\"a\"", "\"b\""),
        text.replace("1.2.0", "1.9.0"),
        text.replace(":3,", ":4,"),
        "{}".into(),
    ] {
        assert_ne!(lie, text);
        assert!(matches!(replaced(&lie), Err(RecordingError::Audit(AuditError::Damaged { .. }))), "{lie}");
    }
    assert!(replaced(&text).is_ok());
    store.delete(&path).unwrap();
    assert!(recording::verify(&store, &roots).is_err());
}

#[test]
fn a_commit_that_changes_nothing_or_fails_leaves_nothing() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let before = store.list("").unwrap();
    let log = ChannelLog::new(&store, &roots, "staging");
    let committer = product.committer("a");
    let nothing = committer.writer(&log).commit(|_| Ok::<_, ChannelError>(Change::Nothing)).unwrap();
    assert!(nothing.is_none());
    let failed = committer.writer(&log).commit(|_| Err(ChannelError::Busy { name: "x".into() }));
    assert!(failed.is_err());
    assert_eq!(store.list("").unwrap(), before);
    assert!(matches!(log.newest(), Err(ChannelError::None { .. })));
    let bad = ChannelLog::new(&store, &roots, "../staging");
    assert!(matches!(product.offer(&bad, "a", 1), Err(ChannelError::Invalid(_))));
}

#[test]
fn a_key_that_may_not_sign_is_refused_before_anything_is_written() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    let mut committer = product.committer("a");
    committer.keys = vec![product.release_key.signing()];
    let refused = committer
        .writer(&log)
        .commit(|_| Ok::<_, ChannelError>(Change::Made { verb: "publish".into(), about: String::new() }));
    assert!(matches!(refused, Err(ChannelError::Keys { .. })));
    assert_eq!(log.sequence().unwrap(), 0);
}

#[test]
fn what_is_put_in_place_of_a_file_is_found() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let (staging, production) =
        (ChannelLog::new(&store, &roots, "staging"), ChannelLog::new(&store, &roots, "production"));
    for n in 1..=3 {
        product.offer(&staging, "a", n).unwrap();
    }
    let copied = store.get(&names::channel("staging", 1), 99_999).unwrap().unwrap();
    assert_eq!(store.create(&names::channel("production", 1), &copied).unwrap(), Created::Created);
    assert!(matches!(production.newest(), Err(ChannelError::Misplaced { .. })));
    // A well signed file in the middle that isn't the one that the next one names.
    let channel = staging.history(2).unwrap().channel;
    let mut other = channel.clone();
    other.offers.clear();
    store.delete(&names::channel("staging", 2)).unwrap();
    let other = other.seal(&[product.channel_key.signing()]).unwrap();
    assert_eq!(store.create(&names::channel("staging", 2), &other).unwrap(), Created::Created);
    let broken = staging.backwards().last();
    assert!(matches!(broken, Some(Err(ChannelError::Broken { sequence: 3, .. }))), "{broken:?}");
}

#[test]
fn time_never_goes_back_from_file_to_file() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    let first = product.offer(&log, "a", 1).unwrap().file.channel;
    product.clock.0.fetch_sub(3600, Ordering::SeqCst);
    let second = product.offer(&log, "a", 2).unwrap().file.channel;
    assert_eq!((second.issued_at, second.expires_at()), (first.issued_at, first.expires_at()));
    product.clock.0.fetch_sub(86_400, Ordering::SeqCst);
    assert!(matches!(product.offer(&log, "a", 3), Err(ChannelError::Clock { hours: 25, .. })));
}

#[test]
fn nothing_is_signed_under_a_root_that_was_followed_meanwhile() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    let next = product.next_root(vec![key(9).public()]);
    let slow = |_: &mut _| {
        roots.follow(&store, &next, "grace", &product.clock).unwrap();
        Ok::<_, ChannelError>(Change::Made { verb: "refresh".into(), about: String::new() })
    };
    let refused = product.committer("a").writer(&log).commit(slow);
    assert!(matches!(refused, Err(ChannelError::NewRoot { version: 2, .. })), "{refused:?}");
    assert_eq!(log.sequence().unwrap(), 0);
    product.offer(&ChannelLog::new(&store, &Roots::load(&store).unwrap(), "staging"), "a", 1).unwrap();
}

/// A thief of a key that was taken back since may still write files; they are not signed again unseen.
#[test]
fn what_only_an_old_root_vouches_for_is_not_taken_over_unseen() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    product.offer(&ChannelLog::new(&store, &roots, "staging"), "a", 1).unwrap();

    let mut next = product.root.root.clone();
    next.version = 2;
    next.head.repository = product.root.root.repository();
    let new_key = key(9);
    next.keys.retain(|k| k.id() != product.channel_key.public().id());
    next.keys.push(new_key.public());
    let role = next.roles.iter_mut().find(|r| r.role == Role::Channel).unwrap();
    role.keys = vec![new_key.public().id()];
    let bytes = next.seal(&[product.root_key.signing()]).unwrap();
    assert_eq!(new_key.public().kind, KeyKind::Production);
    assert_eq!(store.create(&names::root(2), &bytes).unwrap(), Created::Created);

    let roots = Roots::load(&store).unwrap();
    let log = ChannelLog::new(&store, &roots, "staging");
    let mut committer = product.committer("a");
    committer.keys = vec![new_key.signing()];
    let renew =
        |_: &mut _| Ok::<_, ChannelError>(Change::Made { verb: "refresh".into(), about: String::new() });
    assert!(matches!(committer.writer(&log).commit(renew), Err(ChannelError::OldRoot { sequence: 1, .. })));
    committer.old_root = OldRoot::Accept;
    assert_eq!(committer.writer(&log).commit(renew).unwrap().unwrap().file.root, 2);
    assert!(log.newest().is_ok());
    assert_eq!(log.backwards().map(Result::unwrap).count(), 2);
    assert!(recording::verify(&store, &roots).is_ok());
}
