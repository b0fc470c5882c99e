//! Eight writers at once, ten acts each: all eighty are kept, each once, and each is recorded.
use crate::places::{self, Place};
use crate::product::Product;
use crate::world::assert_clean;
use bistable_image::repository::Store;
use bistable_image::repository::channel::ChannelLog;
use bistable_image::repository::recording;
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::Missing;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

const WRITERS: u64 = 8;
const ACTS: u64 = 10;

/// All acts of all writers are in the files and in the audit, each once; and nothing else is.
fn check_whole(place: &Place, roots: &Roots) {
    let log = ChannelLog::new(&place.store, roots, "staging");
    let files: Vec<_> = log.backwards().map(Result::unwrap).collect();
    assert_eq!(files.len() as u64, WRITERS * ACTS, "{}", place.name);
    let mut acts: Vec<_> = files.iter().map(|f| f.channel.act.about.clone()).collect();
    acts.sort();
    acts.dedup();
    assert_eq!(acts.len() as u64, WRITERS * ACTS, "{}", place.name);
    let verified = recording::verify(&place.store, roots).unwrap();
    assert_eq!(verified.records, 1 + WRITERS * ACTS, "{}", place.name);
    assert_eq!(verified.channels["staging"], WRITERS * ACTS);
    assert!(verified.missing.is_empty());
}

fn write(product: &Product, store: &Store, roots: &Roots, writer: u64) -> u32 {
    let log = ChannelLog::new(store, roots, "staging");
    let mut tries = 0;
    for act in 0..ACTS {
        let committed = product.offer(&log, &format!("writer {writer}"), writer * ACTS + act).unwrap();
        assert!(committed.unrecorded.is_none(), "{:?}", committed.unrecorded);
        tries += committed.tries;
    }
    tries
}

#[test]
fn eight_threads_lose_nothing() {
    let product = Product::new();
    for place in places::all() {
        let roots = product.init(&place.store);
        let tries: u32 = thread::scope(|scope| {
            let (product, store, roots) = (&product, &place.store, &roots);
            let writers: Vec<_> =
                (0..WRITERS).map(|n| scope.spawn(move || write(product, store, roots, n))).collect();
            writers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        check_whole(&place, &roots);
        eprintln!("{}: 80 of 80 kept, {tries} tries", place.name);
    }
}

/// The same with processes: this test's program again, as a writer.
#[test]
fn eight_processes_lose_nothing() {
    const WRITER: &str = "BISTABLE_TEST_WRITER";
    const REPO: &str = "BISTABLE_TEST_REPO";
    let product = Product::new();
    if let Ok(writer) = std::env::var(WRITER) {
        let store = Store::open(&std::env::var(REPO).unwrap(), Missing::Refuse).unwrap();
        let roots = Roots::load(&store).unwrap();
        write(&product, &store, &roots, writer.parse().unwrap());
        return;
    }
    for place in places::all() {
        let Some(url) = &place.url else { continue };
        let roots = product.init(&place.store);
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "writers::eight_processes_lose_nothing"])
                    .env(WRITER, n.to_string())
                    .env(REPO, url)
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for mut writer in writers {
            assert!(writer.wait().unwrap().success());
        }
        check_whole(&place, &roots);
    }
}

/// The verbs themselves, each a program of its own: a writer publishes a release and promotes it, five times.
#[test]
fn eight_people_publish_and_promote() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let key = product.channel_key.write(&folder.path().join("channel")).unwrap().secret;
    let bundles: Vec<_> = (0..WRITERS * ACTS / 2)
        .map(|n| crate::publish::bundle(&product, &folder, n, &format!("content {n}")))
        .collect();
    for place in places::all() {
        let Some(url) = &place.url else { continue };
        let roots = product.init(&place.store);
        thread::scope(|scope| {
            for (writer, bundles) in bundles.chunks(usize::try_from(ACTS).unwrap() / 2).enumerate() {
                let key = &key;
                scope.spawn(move || {
                    for (nth, bundle) in bundles.iter().enumerate() {
                        let version = format!("1.{}.0", writer * bundles.len() + nth);
                        act(url, writer, key, &["publish", bundle.to_str().unwrap(), "--progress", "quiet"]);
                        act(url, writer, key, &["promote", "staging", "production", &version]);
                    }
                });
            }
        });
        let each = WRITERS * ACTS / 2;
        let verified = recording::verify(&place.store, &roots).unwrap();
        assert_eq!(verified.records, 1 + WRITERS * ACTS, "{}", place.name);
        assert!(verified.missing.is_empty(), "{}", place.name);
        for (name, verb) in [("staging", "publish"), ("production", "promote")] {
            let log = ChannelLog::new(&place.store, &roots, name);
            let mut acts = BTreeMap::new();
            for file in log.backwards() {
                let act = file.unwrap().channel.act;
                assert_eq!(act.verb, verb);
                *acts.entry(act.by).or_insert(0) += 1;
            }
            let wanted = (0..WRITERS).map(|n| (format!("writer {n}"), each / WRITERS)).collect();
            assert_eq!(acts, wanted, "{}: {name}", place.name);
            let offers = log.newest().unwrap().channel.offers;
            let mut versions: Vec<_> = offers.iter().map(|o| o.constraints.version.minor).collect();
            versions.sort_unstable();
            assert_eq!(versions, (0..each).collect::<Vec<_>>(), "{}: {name}", place.name);
        }
        assert_clean(&place.store, place.name);
    }
}

fn act(repo: &str, writer: usize, key: &Path, args: &[&str]) {
    let out = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
        .args(args)
        .arg("--key")
        .arg(key)
        .env("BISTABLE_REPO", repo)
        .env("BISTABLE_STATE_DIR", crate::cli::state_of(repo))
        .env("BISTABLE_BY", format!("writer {writer}"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}
