//! What a repository costs as it grows: whole programs on a local directory, the middle one of nine calls.
//!
//! ```text
//! cargo build --release --workspace && cargo bench -p bistable-image --bench repository -- [--keep DIR] [RELEASES …]
//! ```
//! `check` is the device's, on a simulated one; its program is looked for beside the host's.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement may fail loudly, reads the clock, and writes files in its own folder without flushing them"
)]
#[path = "../tests/repository/counted.rs"]
mod counted;
#[path = "../tests/repository/many.rs"]
mod many;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/repository/product.rs"]
mod product;

use bistable_format::repository as names;
use bistable_image::card::{self, Agent, CardOptions};
use bistable_image::repository::channel::ChannelLog;
use bistable_image::repository::inventory::Inventory;
use bistable_image::repository::listing::{Wanted, listing};
use bistable_image::repository::roots::Roots;
use bistable_image::volume::VolumeSize;
use bistable_image::{BuildOptions, Silent, Threads, build};
use counted::{Cost, Counted};
use product::Product;
use semver::Version;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

const CALLS: u64 = 9;

fn main() {
    let (mut counts, mut kept) = (Vec::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--keep" => kept = Some(PathBuf::from(arguments.next().expect("--keep takes a folder"))),
            // What cargo says to every bench.
            "--bench" => {}
            count => counts.push(count.parse::<u64>().expect("how many releases?")),
        }
    }
    if counts.is_empty() {
        counts = vec![100, 1_000, 10_000, 100_000];
    }
    let scratch = tempfile::tempdir().unwrap();
    let folder = kept.unwrap_or_else(|| scratch.path().into());
    let bench = Bench::new(&folder);
    println!(
        "{:>8} | {:>7} {:>5} {:>9} | {:>9} {:>5} {:>9} | {:>8} | {:>10} {:>10}",
        "releases",
        "list ms",
        "files",
        "bytes",
        "search ms",
        "files",
        "bytes",
        "check ms",
        "publish ms",
        "operations"
    );
    for count in counts {
        bench.row(count);
    }
}

struct Bench {
    folder: PathBuf,
    product: Product,
    /// Bundles to publish, the first of which is on the card.
    bundles: Vec<PathBuf>,
}

impl Bench {
    fn new(folder: &Path) -> Bench {
        fs::create_dir_all(folder).unwrap();
        let product = Product::new();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        product.clock.0.store(now.as_secs() - 60, Ordering::SeqCst);
        product.channel_key.write(&folder.join("channel")).unwrap();
        let mut bench = Bench { folder: folder.into(), product, bundles: Vec::new() };
        bench.bundles = (0..=CALLS).map(|minor| bench.bundle(minor)).collect();
        let mut options =
            CardOptions::new(bench.bundles[0].clone(), bench.product.root.clone(), folder.join("card.img"));
        options.agent = Agent::Optional;
        options.existing = bistable_image::Existing::Replace;
        card::make(&options, &Silent).unwrap();
        bench
    }

    /// A bundle of the smallest kind.
    fn bundle(&self, minor: u64) -> PathBuf {
        let path = |name: &str| self.folder.join(name);
        fs::create_dir_all(path("system/etc")).unwrap();
        fs::create_dir_all(path("boot")).unwrap();
        fs::write(path("system/etc/os-release"), format!("{minor}")).unwrap();
        fs::write(path("boot/config.txt"), "arm_64bit=1\n").unwrap();
        let out = path(&format!("{minor}.bundle"));
        let version = Version::new(1, minor, 0);
        let mut options = BuildOptions::new("hub", version, "pi4", path("system"), path("boot"), out);
        options.existing = bistable_image::Existing::Replace;
        options.keys = vec![self.product.release_key.clone()];
        options.root = Some(self.product.root.clone());
        options.build_time = 1_700_000_000;
        options.boot_size = VolumeSize::Exact(4 << 20);
        options.threads = Threads::new(1);
        build(&options, &Silent).unwrap();
        options.out
    }

    /// A repository with this many releases on the disk, and what is asked of it.
    fn row(&self, count: u64) {
        let counted = Counted::new();
        self.product.init(&counted.quiet);
        many::many(&self.product, &counted.quiet, "staging", count);
        let place = self.folder.join(format!("repo-{count}"));
        for file in counted.quiet.list("").unwrap() {
            let path = place.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let bytes = counted.quiet.get(&file.path, usize::MAX).unwrap().unwrap();
            fs::write(path, bytes).unwrap();
        }
        // What came before is not read, but it is there.
        for n in 1..count {
            for name in [names::channel("staging", n), names::version(("hub", None), &Version::new(2, n, 0))]
            {
                let path = place.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "-").unwrap();
            }
        }
        let place = place.to_str().unwrap();
        let (list_cost, search_cost) = costs(&counted);
        let list = self.host(&["list", "--last", "20", "--repo", place], 0);
        let search = self.host(&["search", "build", "--version", "^2", "--last", "20", "--repo", place], 0);
        let check = self.check(place).map_or("-".into(), |time| format!("{:.1}", ms(time)));
        let key = self.folder.join("channel.key");
        let publish = middle(self.bundles[1..].iter().map(|bundle| {
            let (bundle, key) = (bundle.to_str().unwrap(), key.to_str().unwrap());
            // A new memory each time: the repository was made without one.
            let state = tempfile::tempdir().unwrap();
            let mut publish = Command::new(HOST);
            publish.args(["publish", bundle, "--key", key, "--repo", place]);
            timed(publish.env("BISTABLE_STATE_DIR", state.path()), 0)
        }));
        let operations = self.publish_operations(&counted);
        println!(
            "{count:>8} | {:>7.1} {:>5} {:>9} | {:>9.1} {:>5} {:>9} | {check:>8} | {:>10.1} {:>10}",
            ms(list),
            list_cost.reads,
            list_cost.read_bytes,
            ms(search),
            search_cost.reads,
            search_cost.read_bytes,
            ms(publish),
            operations,
        );
    }

    fn host(&self, arguments: &[&str], code: i32) -> Duration {
        middle((0..CALLS).map(|_| timed(Command::new(HOST).args(arguments), code)))
    }

    /// The device's `check`, if its program is there.
    fn check(&self, place: &str) -> Option<Duration> {
        let device = Path::new(HOST).with_file_name("bistable");
        let card = self.folder.join("card.img");
        let call = || {
            let mut call = Command::new(&device);
            call.args(["check", "--channel", "staging", "--source", place, "--card"]).arg(&card);
            call
        };
        device.exists().then(|| middle((0..CALLS).map(|_| timed(&mut call(), 0))))
    }

    fn publish_operations(&self, counted: &Counted) -> usize {
        use bistable_image::repository::publish::publish;
        use bistable_kit::product::publication;
        let roots = Roots::load(&counted.quiet).unwrap();
        let publication = publication(&self.bundles[1]);
        let (_, cost) = counted.cost(|store| {
            let log = ChannelLog::new(store, &roots, "staging");
            publish(&self.product.committer("ada").writer(&log), &publication, &Silent).unwrap()
        });
        cost.operations
    }
}

const HOST: &str = env!("CARGO_BIN_EXE_bistable-image");

/// What `list --last 20` and `search` read.
fn costs(counted: &Counted) -> (Cost, Cost) {
    let (_, list) = counted.cost(|store| {
        let roots = Roots::load(store).unwrap();
        let channel = ChannelLog::new(store, &roots, "staging").newest().unwrap().channel;
        listing(store, &channel, Wanted::Offered).take(20).map(Result::unwrap).count()
    });
    let (_, search) = counted
        .cost(|store| Inventory::read(store, &Roots::load(store).unwrap(), None).unwrap().releases.len());
    (list, search)
}

fn timed(command: &mut Command, code: i32) -> Duration {
    let start = Instant::now();
    let output = command.output().unwrap();
    let took = start.elapsed();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {output:?}");
    took
}

fn middle(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
