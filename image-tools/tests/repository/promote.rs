//! Promotion: which release is meant, and which may be promoted.
use crate::product::{Product, key};
use crate::publish::{bundle_of, published};
use crate::world::assert_clean;
use bistable_format::{Channel, Offer};
use bistable_image::keys::SecretKey;
use bistable_image::repository::channel::{ChannelError, ChannelLog};
use bistable_image::repository::edit::{self, EditError, Selector};
use bistable_image::repository::promote::{PromoteError, Request, promote};
use bistable_image::repository::publish::Published;
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::Memory;
use bistable_image::repository::writer::Change;
use bistable_image::repository::{Store, manifest};
use std::sync::atomic::Ordering;

/// A repository, and whoever puts releases into it.
struct Shop {
    product: Product,
    store: Store,
}

impl Shop {
    fn new() -> Shop {
        let shop = Shop { product: Product::new(), store: Store::new(Memory::new()) };
        shop.product.init(&shop.store);
        shop
    }

    fn roots(&self) -> Roots {
        Roots::load(&self.store).unwrap()
    }

    /// Version 1.`minor`.0 of a product, always of the same files.
    fn publish(&self, name: &str, minor: u64) -> Published {
        let folder = tempfile::tempdir().unwrap();
        // The root is one of these files: after a rotation the system still carries the one that it was built with.
        let carried = folder.path().join("system/usr/share/bistable");
        std::fs::create_dir_all(&carried).unwrap();
        std::fs::write(carried.join("root.root"), &self.roots().first().bytes).unwrap();
        let bundle = bundle_of(name, &self.product, &folder, minor, name);
        published(&self.product, &self.store, &self.roots(), &bundle).unwrap()
    }

    fn promote(&self, product: Option<&str>, what: Option<&str>) -> Result<Offer, PromoteError> {
        let which = Selector { product: product.map(Into::into), ..Selector::new(what.unwrap_or_default()) };
        let request = Request { from: "staging", into: "production", which, rollout: Default::default() };
        promote(&self.store, &self.roots(), &self.product.committer("ada"), &request)
            .map(|promoted| promoted.0)
    }

    /// From now on only this key may sign releases.
    fn rotate(&mut self, key: SecretKey) {
        let next = self.product.next_root(vec![key.public()]);
        self.roots().follow(&self.store, &next, "ada", &self.product.clock).unwrap();
        (self.product.keys.release_key, self.product.keys.root) = (key, next);
    }

    /// The one release that a channel offers; devices take it.
    fn offer(&self, channel: &str) -> Offer {
        let roots = self.roots();
        let channel = ChannelLog::new(&self.store, &roots, channel).newest().unwrap().channel;
        let [offer] = channel.offers.as_slice() else { panic!("{:?}", channel.offers) };
        let stored = manifest::read(&self.store, &roots, &offer.release).unwrap();
        offer.open(&stored.signed, &roots.newest().root).unwrap();
        offer.clone()
    }
}

#[test]
fn a_product_is_promoted_without_a_version() {
    let shop = Shop::new();
    shop.publish("radio", 9);
    let ghost = shop.promote(Some("hub"), None);
    assert!(
        matches!(&ghost, Err(PromoteError::Edit(EditError::NotOffered { what, .. })) if what == "hub"),
        "{ghost:?}"
    );
    shop.publish("hub", 1);
    let which = shop.promote(None, None);
    assert!(matches!(which, Err(PromoteError::Edit(EditError::Ambiguous { .. }))), "{which:?}");
    assert_eq!(shop.promote(Some("hub"), None).unwrap().constraints.product, "hub");
    // Only the other one is left.
    let again = shop.promote(Some("hub"), None);
    assert!(matches!(again, Err(PromoteError::NothingNewer { .. })), "{again:?}");
    assert_eq!(shop.promote(None, None).unwrap().constraints.product, "radio");
}

#[test]
fn what_was_halted_in_staging_goes_no_further() {
    let shop = Shop::new();
    shop.publish("hub", 1);
    shop.publish("hub", 2);
    let halt = |draft: &mut Channel| {
        let newest = Selector::new("1.2.0").find(draft).unwrap().identity;
        let now = draft.issued_at;
        edit::change(draft, &newest, &edit::Change::Halt, now).unwrap();
        Ok::<_, ChannelError>(Change::Made { verb: "rollout".into(), about: "halt hub 1.2.0".into() })
    };
    let roots = shop.roots();
    shop.product
        .committer("ada")
        .writer(&ChannelLog::new(&shop.store, &roots, "staging"))
        .commit(halt)
        .unwrap();
    let halted = shop.promote(None, Some("1.2.0"));
    assert!(matches!(halted, Err(PromoteError::Edit(EditError::Halted { .. }))), "{halted:?}");
    assert_eq!(shop.promote(None, None).unwrap().constraints.version.minor, 1);
    let again = shop.promote(None, None);
    assert!(matches!(again, Err(PromoteError::NothingNewer { .. })), "{again:?}");
}

/// After the keys have changed: the same release from the same files, signed by the new one.
#[test]
fn what_is_signed_again_can_be_offered_again() {
    let mut shop = Shop::new();
    shop.publish("hub", 1);
    shop.promote(None, None).unwrap();
    let old = ["staging", "production"].map(|name| (name, shop.offer(name)));
    shop.product.clock.0.fetch_add(3600, Ordering::SeqCst);
    shop.rotate(key(9));
    let untrusted = shop.promote(None, Some("1.1.0"));
    assert!(matches!(untrusted, Err(PromoteError::Untrusted { .. })), "{untrusted:?}");
    assert!(shop.publish("hub", 1).committed.is_some());
    shop.promote(None, Some("1.1.0")).unwrap();
    for (name, old) in old {
        let new = shop.offer(name);
        assert_ne!(new.release, old.release);
        assert_eq!((new.identity, new.since), (old.identity, old.since));
    }
    assert!(shop.publish("hub", 1).committed.is_none());
    assert_clean(&shop.store, "signed again");
}
