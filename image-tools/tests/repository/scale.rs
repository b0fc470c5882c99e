//! What a repository costs when it has become large: counted, not timed.
use crate::counted::{Cost, Counted};
use crate::many::many;
use crate::product::Product;
use crate::publish::{bundle, published};
use bistable_format::limits;
use bistable_image::repository::channel::ChannelLog;
use bistable_image::repository::inventory::Inventory;
use bistable_image::repository::listing::{Wanted, listing};
use bistable_image::repository::roots::Roots;
use std::path::Path;

const LARGE: u64 = 10_000;

/// A repository that has had this many releases, and was not counted yet.
fn repository(product: &Product, count: u64) -> Counted {
    let counted = Counted::new();
    product.init(&counted.quiet);
    many(product, &counted.quiet, "staging", count);
    counted
}

#[test]
fn looking_reads_some_dozens_of_files_and_no_release() {
    let product = Product::new();
    let counted = repository(&product, LARGE);
    let (found, all) = counted
        .cost(|store| Inventory::read(store, &Roots::load(store).unwrap(), None).unwrap().releases.len());
    assert_eq!(found as u64, LARGE);
    // Two roots asked for, the hint, the channel, and its catalog: 10,000 is 2710 in hexadecimal.
    assert_eq!(all.reads, 2 + 2 + (2 + 7 + 1), "{all:?}");

    let newest = |wanted: Wanted, last: usize| {
        counted.cost(|store| {
            let roots = Roots::load(store).unwrap();
            let channel = ChannelLog::new(store, &roots, "staging").newest().unwrap().channel;
            let found: Vec<_> = listing(store, &channel, wanted).take(last).map(Result::unwrap).collect();
            (found.len(), found[0].entry.version.minor)
        })
    };
    // The newest stand in the last segments.
    for wanted in [Wanted::Offered, Wanted::All] {
        let (found, cost) = newest(wanted, 10);
        assert_eq!(found, (10, LARGE - 1));
        assert!(cost.reads <= 5 && cost.read_bytes < 40 << 10, "{wanted:?} {cost:?}");
    }
    // All that is on offer has been found long before the end.
    let (found, cost) = newest(Wanted::Offered, usize::MAX);
    assert_eq!(found, (limits::OFFERS, LARGE - 1));
    assert!(cost.reads < all.reads && cost.read_bytes < all.read_bytes / 4, "{cost:?} {all:?}");
}

/// What it costs to publish the next one.
fn publish(product: &Product, counted: &Counted, bundle: &Path) -> Cost {
    let roots = Roots::load(&counted.quiet).unwrap();
    let (done, cost) = counted.cost(|store| published(product, store, &roots, bundle).unwrap());
    let committed = done.committed.unwrap();
    assert!(committed.unrecorded.is_none(), "{committed:?}");
    cost
}

#[test]
fn the_ten_thousandth_is_published_like_the_hundredth() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let bundle = bundle(&product, &folder, 1, "a");
    // Neither of them makes segments into one.
    let [small, large] = [100, LARGE + 4].map(|n| publish(&product, &repository(&product, n), &bundle));
    assert_eq!((small.operations, small.reads), (large.operations, large.reads), "{small:?} {large:?}");
    // The channel names some more segments, and its numbers take a byte more.
    assert!(large.new_bytes < small.new_bytes + 4096, "{small:?} {large:?}");
    assert!(large.read_bytes < small.read_bytes + 4096, "{small:?} {large:?}");
}

#[test]
fn now_and_then_a_publish_tidies_up_and_that_is_all() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let bundle = bundle(&product, &folder, 1, "a");
    // With the next one, all segments of three levels become one: the most that happens below 65,536 releases.
    let plain = publish(&product, &repository(&product, 100), &bundle);
    let worst = publish(&product, &repository(&product, 4095), &bundle);
    assert_eq!(worst.reads - plain.reads, 3 * 15, "{worst:?}");
    assert!(worst.new_bytes - plain.new_bytes < 4096 * 300, "{worst:?} {plain:?}");
}
