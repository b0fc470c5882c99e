//! Two programs at once: one is done as a whole before each single operation of the other.
use crate::deaths::pruned;
use crate::world::{World, assert_clean};
use bistable_image::repository::Store;
use bistable_image::repository::store::{
    Backend, Created, Faults, Faulty, Listed, Memory, Operation, StoreError,
};
use std::io::Read;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

type Act<'a> = &'a (dyn Fn(&Store) -> Result<(), String> + Send + Sync);

/// `other` before the n-th operation of `one`, for each n. Gives how often each of them was told to try again later.
fn each_moment(world: &'static World, one: Act<'static>, other: Act<'static>) -> [u32; 2] {
    let mut later = [0, 0];
    for n in 0.. {
        let memory = world.memory.fork();
        let store = Store::new(memory.clone());
        let (count, result) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
        let (inside, told) = (store.clone(), result.clone());
        let before = move |_: Operation, _: &str| {
            if count.fetch_add(1, Ordering::SeqCst) == n {
                *told.lock().unwrap() = Some(other(&inside));
            }
        };
        let faults = Faults { before: Some(Arc::new(before)), ..Faults::default() };
        let first = one(&Store::new(Faulty::new(memory, faults)));
        let Some(second) = result.lock().unwrap().take() else { break };
        for (i, (done, act)) in [(first, one), (second, other)].into_iter().enumerate() {
            if let Err(e) = done {
                assert!(
                    e.contains("a prune of memory is under way")
                        || e.contains("another program began to prune"),
                    "at operation {n}: {e}"
                );
                later[i] += 1;
                act(&store).unwrap();
            }
        }
        assert_clean(&store, &format!("at operation {n}"));
        assert!(n < 1000);
    }
    later
}

fn world() -> &'static World {
    Box::leak(Box::new(World::new()))
}

/// 1.0.0 goes, just when another writer offers it again.
#[test]
fn a_prune_and_a_publish_of_the_same_files() {
    let world = world();
    let prune: Act<'static> = Box::leak(Box::new(|store: &Store| pruned(world, store)));
    let publish: Act<'static> = Box::leak(Box::new(|store: &Store| world.publish(store, 0)));
    let [_, waited] = each_moment(world, prune, publish);
    assert!(waited > 0, "a publish inside a prune is told to wait");
    each_moment(world, publish, prune);
}

#[test]
fn a_prune_and_a_promotion() {
    let world = world();
    let prune: Act<'static> = Box::leak(Box::new(|store: &Store| pruned(world, store)));
    let promote: Act<'static> =
        Box::leak(Box::new(|store: &Store| world.promote(store, "1.3.0").map(|_| ())));
    each_moment(world, prune, promote);
    each_moment(world, promote, prune);
}

#[test]
fn two_prunes() {
    let world = world();
    let prune: Act<'static> = Box::leak(Box::new(|store: &Store| pruned(world, store)));
    each_moment(world, prune, prune);
}

/// A place with a name of its own.
#[derive(Debug)]
pub(crate) struct Named(pub &'static str, pub Memory);

impl Backend for Named {
    fn place(&self) -> &str {
        self.0
    }

    fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.1.get(path, limit)
    }

    fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        self.1.size(path)
    }

    fn range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        self.1.range(path, range)
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        self.1.create(path, bytes)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.1.put(path, bytes)
    }

    fn upload(&self, path: &str, from: &mut dyn Read, bytes: u64) -> Result<(), StoreError> {
        self.1.upload(path, from, bytes)
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        self.1.list(folder)
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.1.folders(folder)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.1.delete(path)
    }
}
