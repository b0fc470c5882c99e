//! A new repository, and stores that can't be one.
use crate::places;
use crate::product::{Product, key};
use bistable_format::KeyKind;
use bistable_image::keys::SecretKey;
use bistable_image::repository::init::{Creation, InitError, Writers, init, writers};
use bistable_image::repository::probe::{Lie, ProbeError, probe};
use bistable_image::repository::roots::{Roots, RootsError};
use bistable_image::repository::store::{Faults, Faulty, Memory, Operation};
use bistable_image::repository::{Store, recording};
use bistable_image::root::{RootOptions, SignedRoot, create, next};
use std::sync::{Arc, Barrier};

fn files(store: &Store) -> Vec<String> {
    store.list("").unwrap().into_iter().map(|f| f.path).collect()
}

#[test]
fn a_new_repository_has_its_root_and_nothing_else_and_again_is_harmless() {
    let product = Product::new();
    for place in places::all() {
        let init = || init(&place.store, &product.root, Writers::Many, "tester", &product.clock).unwrap();
        assert_eq!(init(), Creation::New, "{}", place.name);
        let files = || files(&place.store);
        let made = files();
        assert_eq!(made, ["audit/00000001.json", "audit/latest", "index.json", "oci-layout", "roots/1.root"]);
        assert_eq!(init(), Creation::Already);
        assert_eq!(files(), made);
        assert_eq!(Roots::load(&place.store).unwrap().newest(), &product.root);
        assert_eq!(writers(&place.store).unwrap(), Writers::Many);
    }
}

#[test]
fn another_products_root_is_refused() {
    let (product, store) = (Product::new(), Store::new(Memory::new()));
    product.init(&store);
    let other = create(&RootOptions {
        root_keys: vec![key(7).public()],
        release_keys: vec![key(8).public()],
        sign: vec![key(7)],
        ..RootOptions::default()
    });
    let refused = init(&store, &other.unwrap(), Writers::Many, "tester", &product.clock);
    assert!(matches!(refused, Err(InitError::Roots(RootsError::Other { .. }))));
}

/// No device of a product would go past such a root.
#[test]
fn demo_keys_never_come_into_a_products_roots() {
    let (product, store) = (Product::new(), Store::new(Memory::new()));
    let roots = product.init(&store);
    let demo = SecretKey::from_seed([8; 32], "demo", KeyKind::Demo).unwrap();
    let options = RootOptions {
        release_keys: vec![demo.public()],
        sign: vec![product.root_key.clone()],
        ..RootOptions::default()
    };
    let bytes = next(&product.root.root, &options).unwrap();
    let root = product.root.root.successor(&bytes).unwrap();
    let refused = roots.follow(&store, &SignedRoot { bytes, root }, "tester", &product.clock);
    assert!(matches!(refused, Err(RootsError::Invalid { version: 2, .. })), "{refused:?}");
    assert_eq!(Roots::load(&store).unwrap().newest().root.version, 1);
}

/// From its death at each change on, the next try makes the whole repository.
#[test]
fn a_death_at_any_change_does_no_harm() {
    let product = Product::new();
    for dies_at in 0.. {
        let memory = Memory::new();
        let dying = Faults { dies_at: Some(dies_at), ..Faults::default() };
        let store = Store::new(Faulty::new(memory.clone(), dying));
        let died = init(&store, &product.root, Writers::Many, "tester", &product.clock).is_err();
        let store = Store::new(memory);
        product.init(&store);
        let roots = Roots::load(&store).unwrap();
        assert_eq!(recording::verify(&store, &roots).unwrap().records, 1, "died at change {dies_at}");
        assert!(files(&store).contains(&"oci-layout".to_owned()));
        if !died {
            assert!(dies_at > 10, "{dies_at}");
            break;
        }
    }
}

#[test]
fn liars_are_refused_and_told() {
    let product = Product::new();
    let overwrites = Faults { overwrites: true, ..Faults::default() };
    let store = Store::new(Faulty::new(Memory::new(), overwrites));
    let refused = init(&store, &product.root, Writers::Many, "tester", &product.clock);
    assert!(
        matches!(refused, Err(InitError::Probe(ProbeError::Liar { lie: Lie::Twice, .. }))),
        "{refused:?}"
    );
    assert_eq!(files(&store), Vec::<String>::new());

    // Only one at a time is told the truth.
    let all = Arc::new(Barrier::new(8));
    let before = move |operation, path: &str| {
        if operation == Operation::Size && path.contains("race") {
            all.wait();
        }
    };
    let looks_first = Faults { looks_first: true, before: Some(Arc::new(before)), ..Faults::default() };
    let store = Store::new(Faulty::new(Memory::new(), looks_first));
    assert!(matches!(probe(&store), Err(ProbeError::Liar { lie: Lie::Race { winners: 8 }, .. })));
    assert_eq!(files(&store), Vec::<String>::new());
}

/// A client that sends a request again meets the file that its first one made.
#[test]
fn an_honest_store_whose_answers_get_lost_is_no_liar() {
    for every in 1..4 {
        let lossy = Faults { loses_answers: Some(every), ..Faults::default() };
        probe(&Store::new(Faulty::new(Memory::new(), lossy))).unwrap();
    }
}

#[test]
fn a_liar_can_be_used_by_one_writer_and_later_ones_are_told() {
    let product = Product::new();
    let overwrites = Faults { overwrites: true, ..Faults::default() };
    let store = Store::new(Faulty::new(Memory::new(), overwrites));
    init(&store, &product.root, Writers::Single, "tester", &product.clock).unwrap();
    assert_eq!(writers(&store).unwrap(), Writers::Single);
    // Where nothing is wrong, nothing is noted.
    let store = Store::new(Memory::new());
    init(&store, &product.root, Writers::Single, "tester", &product.clock).unwrap();
    assert_eq!(writers(&store).unwrap(), Writers::Many);
}

/// `rclone serve s3` takes If-None-Match and ignores it.
#[test]
#[ignore = "needs `rclone serve s3` and AWS_* and BISTABLE_TEST_LIAR=s3://BUCKET in the environment: tests/s3/rclone.sh"]
fn rclone_is_refused() {
    let product = Product::new();
    let url = std::env::var("BISTABLE_TEST_LIAR").unwrap();
    let store = Store::open(&url, bistable_image::repository::store::Missing::Refuse).unwrap();
    let refused = init(&store, &product.root, Writers::Many, "tester", &product.clock);
    assert!(matches!(refused, Err(InitError::Probe(ProbeError::Liar { .. }))), "{refused:?}");
    assert_eq!(files(&store), Vec::<String>::new());
}
