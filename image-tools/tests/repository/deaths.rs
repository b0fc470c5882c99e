//! Killed at each change: nothing that is on offer lacks a file, and the same command again ends as if nothing had been.
use crate::world::{HOUR, World, assert_clean, assert_sound, snapshot};
use bistable_format::Channel;
use bistable_format::rollout::{WHOLE, Wave};
use bistable_image::repository::channel::ChannelLog;
use bistable_image::repository::edit::{self, EditError, Selector};
use bistable_image::repository::inventory::Inventory;
use bistable_image::repository::prune::{self, Policy};
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::{Faults, Faulty, Memory};
use bistable_image::repository::sync::{Copying, Extent, sync};
use bistable_image::repository::writer::Change;
use bistable_image::repository::{Store, channel};
use std::sync::atomic::Ordering;

type Done = Result<(), String>;

/// Give what a second call may say instead of doing it again.
fn each_death(name: &str, again: &[&str], world: &World, act: &dyn Fn(&Store) -> Done) {
    each_death_from(name, again, &world.memory, act);
}

/// The same from another repository, where the second call does it again.
pub(crate) fn each_death_of(name: &str, from: &Memory, act: &dyn Fn(&Store) -> Done) {
    each_death_from(name, &[], from, act);
}

fn each_death_from(name: &str, again: &[&str], from: &Memory, act: &dyn Fn(&Store) -> Done) {
    let undisturbed = Store::new(from.fork());
    act(&undisturbed).unwrap();
    assert_clean(&undisturbed, name);
    let want = snapshot(&undisturbed);
    let mut deaths = 0;
    for dies_at in 0.. {
        let memory = from.fork();
        let dying = Faults { dies_at: Some(dies_at), ..Faults::default() };
        let faulty = Store::new(Faulty::new(memory.clone(), dying));
        let died = act(&faulty);
        let store = Store::new(memory);
        let when = format!("{name}, died at change {dies_at}");
        assert_sound(&store, &when);
        match act(&store) {
            Ok(()) => assert_clean(&store, &when),
            Err(e) => assert!(again.iter().any(|text| e.contains(text)), "{when}, again: {e}"),
        }
        assert_sound(&store, &when);
        assert_eq!(snapshot(&store), want, "{when}");
        deaths += u32::from(died.is_err());
        // Nothing is left to be stopped, not even what an act doesn't care about.
        if faulty.put("alive", b"").is_ok() {
            assert!(died.is_ok(), "{when}: {died:?}");
            break;
        }
        assert!(dies_at < 200, "{when}");
    }
    assert!(deaths > 0, "{name}");
}

fn change(
    world: &World,
    store: &Store,
    name: &str,
    change: &dyn Fn(&mut Channel, u64) -> Result<(), EditError>,
) -> Done {
    let roots = Roots::load(store).map_err(|e| e.to_string())?;
    let log = ChannelLog::new(store, &roots, name);
    let made = world.product.committer("ada").writer(&log).commit(|draft| -> Result<Change, Failed> {
        change(draft, draft.issued_at)?;
        Ok(Change::Made { verb: "change".into(), about: name.into() })
    });
    made.map(|_| ()).map_err(|e| e.0)
}

struct Failed(String);

impl From<EditError> for Failed {
    fn from(e: EditError) -> Self {
        Failed(e.to_string())
    }
}

impl From<channel::ChannelError> for Failed {
    fn from(e: channel::ChannelError) -> Self {
        Failed(e.to_string())
    }
}

fn identity(channel: &Channel, version: &str) -> Result<bistable_format::Digest, EditError> {
    Ok(Selector::new(version).find(channel)?.identity)
}

pub(crate) fn pruned(world: &World, store: &Store) -> Done {
    let policy = Policy { keep: 0, older_than: Some(HOUR), most_bytes: None };
    let roots = Roots::load(store).map_err(|e| e.to_string())?;
    let inventory = Inventory::read(store, &roots, None).map_err(|e| e.to_string())?;
    let now = world.product.clock.0.load(Ordering::SeqCst);
    let files = prune::Files::read(store, &roots, &inventory).map_err(|e| e.to_string())?;
    let plan = prune::plan(&inventory, &files, &policy, now);
    prune::run(store, &roots, &world.product.committer("ada"), &plan).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn publish_promote_rollout_withdraw() {
    let world = World::new();
    each_death("publish", &[], &world, &|store| world.publish(store, 4));
    each_death("promote", &["offers hub 1.3.0 already"], &world, &|store| {
        world.promote(store, "1.3.0").map(|_| ())
    });
    let wave = edit::Change::Wave(Wave { at: 1_800_000_000 + 50 * HOUR, over: 0, share: WHOLE / 2 });
    for (name, changed) in
        [("wave", wave), ("pause", edit::Change::Pause), ("everyone", edit::Change::Everyone)]
    {
        each_death(name, &["already"], &world, &|store| {
            change(&world, store, "production", &|draft, now| {
                let id = identity(draft, "1.2.0")?;
                edit::change(draft, &id, &changed, now)
            })
        });
    }
    each_death("withdraw", &["withdrawn"], &world, &|store| {
        change(&world, store, "production", &|draft, now| {
            let id = identity(draft, "1.2.0")?;
            edit::withdraw(draft, &id, "too hot", now)
        })
    });
}

#[test]
fn prune_and_root() {
    let world = World::new();
    let before = Store::new(world.memory.fork());
    let after = Store::new(world.memory.fork());
    pruned(&world, &after).unwrap();
    assert_eq!(
        before.list("blobs").unwrap().len() - after.list("blobs").unwrap().len(),
        4,
        "1.0.0 alone went: what it shared stayed"
    );
    each_death("prune", &[], &world, &|store| pruned(&world, store));
    let next = world.next_root();
    each_death("root", &[], &world, &|store| {
        let roots = Roots::load(store).map_err(|e| e.to_string())?;
        roots.follow(store, &next, "ada", &world.product.clock).map(|_| ()).map_err(|e| e.to_string())
    });
}

/// The copy is killed, not the original.
#[test]
fn sync_of_either_kind() {
    let world = World::new();
    for extent in [Extent::Offers, Extent::Everything] {
        let copy = |from: &Store, to: &Store| {
            let how = Copying { extent, only: &[], who: "ada", clock: &world.product.clock };
            sync(from, to, how, &mut |_, _| {}).map_err(|e| e.to_string())
        };
        // From nothing, and from a copy that was made before.
        for old in [false, true] {
            let from = Store::new(named("original", world.memory.fork()));
            let (mut dies_at, mut alive) = (0, false);
            let copied = Memory::new();
            if old {
                copy(&from, &Store::new(copied.clone())).unwrap();
                world.publish(&from, 4).unwrap();
            }
            while !alive {
                let memory = copied.fork();
                let dying = Faults { dies_at: Some(dies_at), ..Faults::default() };
                let faulty = Store::new(Faulty::new(memory.clone(), dying));
                let first = copy(&from, &faulty);
                alive = faulty.put("alive", b"").is_ok();
                assert!(alive || first.is_err() || dies_at > 0, "{first:?}");
                let to = Store::new(memory);
                let when = format!("{extent:?}, died at change {dies_at}");
                if Roots::load(&to).is_ok() {
                    assert_sound(&to, &when);
                }
                copy(&from, &to).unwrap();
                assert_clean(&to, &when);
                assert_eq!(copy(&from, &to).unwrap().files, 0, "{when}");
                if extent == Extent::Everything {
                    assert_eq!(snapshot(&to), snapshot(&from), "{when}");
                }
                dies_at += 1;
                assert!(dies_at < 200);
            }
        }
    }
}

/// Under another name than the copy: nothing is copied onto itself.
fn named(name: &'static str, memory: Memory) -> crate::races::Named {
    crate::races::Named(name, memory)
}
