//! Keys, floors and time: what a device continues to trust, and what it never believes again, whoever serves what.
use crate::{
    fixture::product,
    rig::Rig,
    shop::{
        CHANNEL, DAY, NEW_PUBLISHER, NEW_RELEASER, NOW, PUBLISHER, RELEASER, ROOTS, SEEN, at_time, channel,
        device, free_clock, install, look, made, made_by, payload, publish, publish_by, put, record, root_of,
        running, sealed, shop, signed_root, stock, update,
    },
};
use bistable::{
    Error,
    agent::Rest,
    error::Exit,
    offer::{self, channel::Remember},
    source::{Flaw, Memory},
    steps::install::Overrides,
};
use bistable_boot::{Floors, SECTOR, Saved, Slot, layout};
use bistable_format::{Channel, Envelope, Role, RootChain, repository};

/// Who signs channels under root 3.
const LAST_PUBLISHER: u8 = 16;

/// Roots 2 and 3, each with other keys for everything.
fn rotate_twice(shop: &mut Memory) {
    let second = root_of(2, &[1, 13, 14], &[NEW_RELEASER], &[NEW_PUBLISHER]);
    put(shop, repository::root(2), sealed(Role::Root, &payload(&second), &[1, 11, 13]));
    let third = root_of(3, &[13, 14, 15], &[NEW_RELEASER], &[LAST_PUBLISHER]);
    put(shop, repository::root(3), sealed(Role::Root, &payload(&third), &[1, 13, 14]));
}

fn floors(rig: &mut Rig) -> Floors {
    record(rig).floors
}

fn seen(rig: &mut Rig, shop: &mut Memory) -> Result<u64, Error> {
    rig.run(|agent| Ok(look(&mut agent.device, shop)?.channel.sequence))
}

/// The versions in the two places of the root.
fn roots_on_the_card(rig: &Rig) -> [u32; 2] {
    let state = rig.pi.partition(layout::Partition::State);
    layout::ROOT.map(|at| {
        let stored = &state[usize::try_from(at.0).unwrap() * SECTOR..];
        RootChain::decode(stored).unwrap().open_newest().unwrap().version
    })
}

#[track_caller]
fn says(e: &Error, exit: Exit, words: &str) {
    assert_eq!(e.exit(), exit, "{e}");
    assert!(e.to_string().contains(words), "{words:?} is not in {e}");
}

#[test]
fn two_rotations_in_one_go() {
    let mut rig = device();
    let mut shop = shop();
    rotate_twice(&mut shop);
    publish_by(&mut shop, &channel(SEEN + 1, Vec::new()), LAST_PUBLISHER);
    assert_eq!(seen(&mut rig, &mut shop).unwrap(), SEEN + 1);
    assert_eq!(floors(&mut rig).root_version, 3);
    assert_eq!(roots_on_the_card(&rig), [3, 3]);
    // Nothing is followed twice.
    let served = shop.served();
    let before = served.runs().len();
    seen(&mut rig, &mut shop).unwrap();
    assert!(served.runs()[before..].iter().all(|(path, ..)| !path.starts_with("roots/")));
    // A repository that is behind is no way back to older keys.
    let mut old = crate::shop::shop();
    let e = seen(&mut rig, &mut old).unwrap_err();
    says(&e, Exit::Untrusted, "was the key retired");
    assert_eq!(floors(&mut rig).root_version, 3);
}

/// An attacker has the channel's key, and signs the highest number that is believed and, for a device without a clock, a time
/// far away.
fn attacked(rig: &mut Rig) -> Floors {
    free_clock(rig);
    let mut shop = shop();
    let far = Channel { issued_at: NOW + 4000 * DAY, lifetime: DAY, ..channel(SEEN + 9_000, Vec::new()) };
    publish(&mut shop, &far);
    seen(rig, &mut shop).unwrap();
    at_time(rig, NOW);
    let floors = floors(rig);
    assert_eq!((floors.channel_sequence, floors.issued_at), (SEEN + 9_000, NOW + 4000 * DAY));
    // Now nothing honest is believed.
    publish(&mut shop, &channel(SEEN + 1, Vec::new()));
    shop.files.remove(&repository::channel(CHANNEL, SEEN + 9_000));
    says(&seen(rig, &mut shop).unwrap_err(), Exit::Untrusted, "is older than number 9007");
    floors
}

/// What the owner does about it.
fn recovered() -> Memory {
    let mut shop = shop();
    rotate_twice(&mut shop);
    let offer = stock(&mut shop, &made_by("1.1.0", &[NEW_RELEASER], |_| {}));
    publish_by(&mut shop, &channel(SEEN + 1, vec![offer]), LAST_PUBLISHER);
    shop
}

#[test]
fn another_channel_key_ends_a_fast_forward_attack() {
    let mut rig = device();
    let before = attacked(&mut rig);
    // Read-only access sees the same, and writes nothing.
    rig.writes();
    let mut shop = recovered();
    let dry =
        rig.run(|agent| offer::channel::check(&mut agent.device, &mut shop, CHANNEL, Remember::No)).unwrap();
    assert_eq!((dry.channel.sequence, dry.root.version, dry.now), (SEEN + 1, 3, NOW));
    assert_eq!(rig.writes(), []);
    assert_eq!(floors(&mut rig), before);
    let target = rig.run(|agent| install(agent, &mut shop, None)).unwrap();
    assert_eq!(target.version.to_string(), "1.1.0");
    let want = Floors {
        root_version: 3,
        channel_sequence: SEEN + 1,
        issued_at: NOW - 3600,
        security_version: before.security_version,
    };
    assert_eq!(floors(&mut rig), want);
}

#[test]
fn the_power_goes_at_any_write_of_a_rotation() {
    let mut cuts = 0;
    loop {
        let mut rig = device();
        attacked(&mut rig);
        rig.cut_at(cuts + 1);
        let ended = seen(&mut rig, &mut recovered());
        if !rig.power_on() {
            ended.unwrap();
            break;
        }
        cuts += 1;
        ended.unwrap_err();
        // Some root is trusted, whatever was cut, and the next check ends where an uncut one does.
        let trusted = rig.run(|agent| agent.device.root()).unwrap().version;
        assert!([1, 3].contains(&trusted), "{trusted}");
        let mut shop = recovered();
        let found = rig.run(|agent| look(&mut agent.device, &mut shop));
        let found = found.unwrap_or_else(|e| panic!("after a cut in write {cuts}: {e}"));
        assert_eq!((found.channel.sequence, found.root.version), (SEEN + 1, 3));
        let now = floors(&mut rig);
        assert_eq!((now.root_version, now.channel_sequence, now.issued_at), (3, SEEN + 1, NOW - 3600));
        assert_eq!(roots_on_the_card(&rig), [3, 3], "write {cuts}");
        rig.pi.slot_a_is_untouched();
    }
    assert!(cuts >= 4, "two roots and two journals are {cuts} writes");
}

/// A cut in a rotation must not be a way to older offers either.
#[test]
fn the_power_goes_at_any_write_of_a_rotation_that_keeps_the_channel_key() {
    let renewed = |shop: &mut Memory| {
        let next = root_of(2, &[1, 13, 14], &[NEW_RELEASER], &[PUBLISHER]);
        put(shop, repository::root(2), sealed(Role::Root, &payload(&next), &[1, 11, 13]));
    };
    for cut in 1.. {
        let mut rig = device();
        let mut shop = shop();
        publish(&mut shop, &channel(SEEN + 5, Vec::new()));
        seen(&mut rig, &mut shop).unwrap();
        let before = floors(&mut rig);
        renewed(&mut shop);
        rig.cut_at(cut);
        let ended = seen(&mut rig, &mut shop);
        let cut = rig.power_on();
        assert_eq!(ended.is_err(), cut);
        // An installation from a file, in between, must not make it forget.
        let _ = rig.run(|agent| agent.install(&mut &product().good[..], Overrides::RETRY));
        let mut old = crate::shop::shop();
        renewed(&mut old);
        says(&seen(&mut rig, &mut old).unwrap_err(), Exit::Untrusted, "is older than number 12");
        assert_eq!(floors(&mut rig), Floors { root_version: 2, ..before });
        if !cut {
            break;
        }
    }
}

#[test]
fn floors_are_forgotten_only_with_a_key_that_is_taken_away() {
    // Keys before and after, each with a threshold, and whether what was seen under the old ones still counts.
    type Keys = &'static [u8];
    const TWO: Keys = &[PUBLISHER, NEW_PUBLISHER];
    let table: [(Keys, u8, Keys, u8, bool); 7] = [
        (&[PUBLISHER], 1, &[PUBLISHER], 1, true),
        (&[PUBLISHER], 1, TWO, 1, true),
        (TWO, 1, &[NEW_PUBLISHER, PUBLISHER], 1, true),
        (TWO, 2, TWO, 1, true),
        (TWO, 1, TWO, 2, false),
        (TWO, 1, &[PUBLISHER], 1, false),
        (&[PUBLISHER], 1, &[NEW_PUBLISHER], 1, false),
    ];
    for (number, (before, need_before, after, need_after, counts)) in table.into_iter().enumerate() {
        let mut rig = device();
        let mut shop = shop();
        for (version, keys, need) in [(2, before, need_before), (3, after, need_after)] {
            let mut next = root_of(version, &ROOTS, &[RELEASER], keys);
            next.roles[2].threshold = need;
            put(&mut shop, repository::root(version), signed_root(&next));
            let number = if version == 2 { SEEN + 5 } else { SEEN + 1 };
            let signed = sealed(Role::Channel, &payload(&channel(number, Vec::new())), keys);
            put(&mut shop, repository::channel(CHANNEL, number), signed);
            put(&mut shop, repository::channel_hint(CHANNEL), number.to_string().into_bytes());
            if version == 2 {
                assert_eq!(seen(&mut rig, &mut shop).unwrap(), SEEN + 5);
                shop.files.remove(&repository::channel(CHANNEL, SEEN + 5));
            }
        }
        let found = seen(&mut rig, &mut shop);
        assert_eq!(found.is_err(), counts, "row {number}: {found:?}");
        let now = floors(&mut rig);
        let want = if counts { SEEN + 5 } else { SEEN + 1 };
        assert_eq!((now.root_version, now.channel_sequence), (3, want), "row {number}");
    }
}

#[test]
fn source_that_serves_the_same_forever() {
    let mut rig = device();
    let mut shop = shop();
    seen(&mut rig, &mut shop).unwrap();
    let expiry = NOW - 3600 + 7 * DAY;
    at_time(&rig, expiry - 1);
    seen(&mut rig, &mut shop).unwrap();
    at_time(&rig, expiry + 5 * DAY);
    let e = seen(&mut rig, &mut shop).unwrap_err();
    says(&e, Exit::TryLater, "expired 5 days ago: its publisher has to renew it");
    // A clock that went back to before what was seen is no clock.
    at_time(&rig, 17);
    seen(&mut rig, &mut shop).unwrap();
    // Without a clock there is no telling, until something newer is seen, of whatever channel.
    free_clock(&rig);
    seen(&mut rig, &mut shop).unwrap();
    let staging = Channel {
        name: "staging".into(),
        issued_at: expiry + 1,
        lifetime: DAY - 1,
        ..channel(1, Vec::new())
    };
    publish(&mut shop, &staging);
    rig.run(|agent| offer::channel::check(&mut agent.device, &mut shop, "staging", Remember::Yes)).unwrap();
    says(&seen(&mut rig, &mut shop).unwrap_err(), Exit::TryLater, "expired 1 s ago");
}

#[test]
fn a_source_that_is_behind_says_so_with_and_without_a_hint() {
    let mut rig = device();
    seen(&mut rig, &mut shop()).unwrap();
    for hint in [None, Some("3\n"), Some("7\n"), Some("99\n"), Some("no number")] {
        let mut behind = Memory::default();
        for number in 1..SEEN {
            publish(&mut behind, &channel(number, Vec::new()));
        }
        match hint {
            None => drop(behind.files.remove(&repository::channel_hint(CHANNEL))),
            Some(hint) => put(&mut behind, repository::channel_hint(CHANNEL), hint.into()),
        }
        let e = seen(&mut rig, &mut behind).unwrap_err();
        says(&e, Exit::Untrusted, "number 6 of channel production is older than number 7");
    }
    let e = seen(&mut rig, &mut Memory::default()).unwrap_err();
    says(&e, Exit::Failed, "memory has no channel production");
}

#[test]
fn a_hint_that_lies_changes_nothing() {
    for hint in
        ["1", "7", "8", "9", "1000000", "18446744073709551615", "", "-1", "0", "../../etc/passwd", "8 9"]
    {
        let mut rig = device();
        let mut shop = shop();
        seen(&mut rig, &mut shop).unwrap();
        publish(&mut shop, &channel(SEEN + 1, Vec::new()));
        put(&mut shop, repository::channel_hint(CHANNEL), hint.into());
        assert_eq!(seen(&mut rig, &mut shop).unwrap(), SEEN + 1, "{hint:?}");
    }
}

#[test]
fn more_than_allowed_is_not_read() {
    let mut rig = device();
    seen(&mut rig, &mut shop()).unwrap();
    let paths = [repository::root(2), repository::channel(CHANNEL, SEEN + 1)];
    for path in paths {
        let mut shop = shop();
        put(&mut shop, path.clone(), vec![0; Envelope::MAX_BYTES + 1]);
        rig.writes();
        let e = seen(&mut rig, &mut shop).unwrap_err();
        assert_eq!(e.to_string(), format!("{path} has more than the {} bytes allowed", Envelope::MAX_BYTES));
        assert_eq!(rig.writes(), []);
    }
    let mut shop = shop();
    put(&mut shop, repository::channel_hint(CHANNEL), vec![b'9'; 1 << 20]);
    seen(&mut rig, &mut shop).unwrap();
}

#[test]
fn trouble_on_the_way_says_nothing_about_what_is_there() {
    let mut rig = device();
    let questions = 12;
    for at in 0..questions {
        for flaw in [Flaw::Unreachable, Flaw::Cut(3)] {
            let mut shop = recovered();
            shop.flaws = std::iter::repeat_n(Flaw::None, at).chain([flaw]).collect();
            if let Err(e) =
                rig.run(|agent| offer::channel::check(&mut agent.device, &mut shop, CHANNEL, Remember::No))
            {
                assert_eq!(e.exit(), Exit::TryLater, "{e}");
            }
        }
    }
    assert_eq!(rig.writes(), []);
    // What was followed before the way broke is kept: the keys that it takes away are gone.
    let mut shop = recovered();
    shop.flaws = [Flaw::None, Flaw::Unreachable].into();
    let e = seen(&mut rig, &mut shop).unwrap_err();
    assert_eq!(e.exit(), Exit::TryLater, "{e}");
    assert_eq!((floors(&mut rig).root_version, roots_on_the_card(&rig)), (2, [2, 2]));
    assert_eq!(seen(&mut rig, &mut shop).unwrap(), SEEN + 1);
}

/// The owner takes the release key away from whoever signed all that the device has.
fn release_key_retired() -> Memory {
    let mut shop = shop();
    let next = root_of(2, &ROOTS, &[NEW_RELEASER], &[PUBLISHER]);
    put(&mut shop, repository::root(2), signed_root(&next));
    publish(&mut shop, &channel(SEEN + 2, Vec::new()));
    shop
}

#[test]
fn what_is_installed_outlives_the_key_that_signed_it() {
    let mut rig = device();
    let mut before = shop();
    let offer = stock(&mut before, &made("1.1.0"));
    publish(&mut before, &channel(SEEN + 1, vec![offer]));
    update(&mut rig, &mut before).unwrap();
    assert_eq!((running(&mut rig), rig.booted), ("1.1.0".into(), Slot::B));
    let mut after = release_key_retired();
    seen(&mut rig, &mut after).unwrap();
    assert_eq!(floors(&mut rig).root_version, 2);
    // What runs can be judged ...
    assert!(matches!(
        rig.run(|agent| agent.health(bistable::steps::health::Pins::Used)).unwrap(),
        bistable::steps::health::Verdict::Healthy(_)
    ));
    assert!(rig.run(|agent| agent.self_test()).unwrap().refusal().is_none());
    // ... nothing new by that key is taken, neither from the repository nor from a file ...
    let offer = stock(&mut after, &made_by("1.2.0", &[RELEASER], |_| {}));
    publish(&mut after, &channel(SEEN + 3, vec![offer]));
    let e = rig.run(|agent| install(agent, &mut after, None)).unwrap_err();
    says(&e, Exit::Untrusted, "was the key retired");
    let e = rig.run(|agent| agent.install(&mut &product().good[..], Overrides::RETRY)).unwrap_err();
    says(&e, Exit::Untrusted, "was the key retired");
    // ... and there is a way back, tested and tried like any other.
    rig.reboots(|agent| agent.roll_back());
    assert_eq!(rig.run(|agent| agent.resume()).unwrap(), Rest::Idle);
    assert_eq!((running(&mut rig), rig.booted), ("1.0.0".into(), Slot::A));
    let offer = stock(&mut after, &made_by("1.3.0", &[NEW_RELEASER], |_| {}));
    publish(&mut after, &channel(SEEN + 4, vec![offer]));
    update(&mut rig, &mut after).unwrap();
    assert_eq!(running(&mut rig), "1.3.0");
}

#[test]
fn an_update_in_flight_outlives_it_too() {
    for steps in 1..=2 {
        let mut rig = device();
        let mut before = shop();
        let offer = stock(&mut before, &made("1.1.0"));
        publish(&mut before, &channel(SEEN + 1, vec![offer]));
        rig.run(|agent| install(agent, &mut before, None)).unwrap();
        if steps > 1 {
            rig.run(|agent| agent.arm()).unwrap();
        }
        seen(&mut rig, &mut release_key_retired()).unwrap();
        rig.reboots(|agent| agent.resume());
        // On trial nothing is saved, whatever is seen.
        rig.writes();
        let next = Channel { sequence: SEEN + 3, ..channel(SEEN + 3, Vec::new()) };
        let mut later = release_key_retired();
        publish(&mut later, &next);
        seen(&mut rig, &mut later).unwrap();
        assert_eq!(rig.writes(), []);
        assert_eq!(rig.run(|agent| agent.resume()).unwrap(), Rest::Idle);
        assert_eq!((running(&mut rig), record(&mut rig).state), ("1.1.0".into(), Saved::Idle));
    }
}

#[test]
fn lost_journal_can_be_recreated_after_it_too() {
    let mut rig = device();
    seen(&mut rig, &mut release_key_retired()).unwrap();
    for at in layout::JOURNAL {
        rig.pi.scribble(layout::Partition::State, at.0 * SECTOR as u64, &[0; 64 << 10]);
    }
    rig.pi.run_once_free("repair").must(0, &[]);
    rig.pi.rests("A", "1.0.0");
    assert_eq!(floors(&mut rig).root_version, 2);
    let mut after = release_key_retired();
    let offer = stock(&mut after, &made_by("1.3.0", &[NEW_RELEASER], |_| {}));
    publish(&mut after, &channel(SEEN + 4, vec![offer]));
    update(&mut rig, &mut after).unwrap();
    assert_eq!(running(&mut rig), "1.3.0");
}

/// What is stored for a slot must still be what was installed, to the bit: only who signed it doesn't matter any more.
#[test]
fn another_release_in_the_place_of_the_stored_one_is_refused() {
    let mut rig = device();
    let other = made("1.0.1");
    rig.pi.scribble(layout::Partition::State, layout::RELEASE.a.0 * SECTOR as u64, &other.signed);
    let e = rig.run(|agent| agent.self_test()).unwrap_err();
    says(&e, Exit::Untrusted, "it is not the one that was installed");
}

#[test]
fn another_channel_begins_at_zero_and_a_look_aside_forgets_nothing() {
    let mut rig = device();
    let mut shop = shop();
    let staging = |sequence| Channel { name: "staging".into(), ..channel(sequence, Vec::new()) };
    publish(&mut shop, &staging(3));
    seen(&mut rig, &mut shop).unwrap();
    let before = record(&mut rig);
    assert_eq!((&*before.channel, before.floors.channel_sequence), (CHANNEL, SEEN));
    let aside = |rig: &mut Rig, shop: &mut Memory| {
        rig.run(|agent| {
            Ok(offer::channel::check(&mut agent.device, shop, "staging", Remember::Yes)?.channel.sequence)
        })
    };
    // An operator looks what staging has.
    assert_eq!(aside(&mut rig, &mut shop).unwrap(), 3);
    assert_eq!(record(&mut rig).floors, before.floors);
    // The device follows it from now on: its numbers count, the time continues.
    rig.settings.source.channel = "staging".into();
    assert_eq!(aside(&mut rig, &mut shop).unwrap(), 3);
    let after = record(&mut rig);
    assert_eq!((&*after.channel, after.floors.channel_sequence), ("staging", 3));
    assert_eq!(Floors { channel_sequence: SEEN, ..after.floors }, before.floors);
    let mut old = crate::shop::shop();
    publish(&mut old, &staging(2));
    says(&aside(&mut rig, &mut old).unwrap_err(), Exit::Untrusted, "is older than number 3");
}
