//! Promotion: which release is meant, and which may go on.
use crate::product::Product;
use crate::publish::{bundle, bundle_of, published};
use bistable_format::{Channel, Offer};
use bistable_image::repository::Store;
use bistable_image::repository::channel::{Change, ChannelError, Log};
use bistable_image::repository::edit::{self, EditError, Selector};
use bistable_image::repository::promote::{PromoteError, Wish, promote};
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::Memory;
use tempfile::TempDir;

/// A repository with bundles, and whoever makes them.
struct Shop {
    product: Product,
    folder: TempDir,
    store: Store,
}

impl Shop {
    fn new() -> Shop {
        let shop = Shop {
            product: Product::new(),
            folder: tempfile::tempdir().unwrap(),
            store: Store::new(Memory::new()),
        };
        shop.product.init(&shop.store);
        shop
    }

    fn roots(&self) -> Roots {
        Roots::load(&self.store).unwrap()
    }

    fn promote(&self, product: Option<&str>, what: Option<&str>) -> Result<Offer, PromoteError> {
        let wish = Wish { from: "staging", into: "production", product, what, rollout: Default::default() };
        promote(&self.store, &self.roots(), &self.product.committer("ada"), &wish).map(|promoted| promoted.0)
    }
}

#[test]
fn a_product_is_promoted_without_a_version() {
    let shop = Shop::new();
    let hub = bundle(&shop.product, &shop.folder, 1, "hub");
    let radio = bundle_of("radio", &shop.product, &shop.folder, 9, "radio");
    published(&shop.product, &shop.store, &shop.roots(), &radio).unwrap();
    let ghost = shop.promote(Some("hub"), None);
    assert!(
        matches!(&ghost, Err(PromoteError::Edit(EditError::NotOffered { what, .. })) if what == "product hub"),
        "{ghost:?}"
    );
    published(&shop.product, &shop.store, &shop.roots(), &hub).unwrap();
    let which = shop.promote(None, None);
    assert!(matches!(which, Err(PromoteError::Edit(EditError::Ambiguous { .. }))), "{which:?}");
    assert_eq!(shop.promote(Some("hub"), None).unwrap().terms.product, "hub");
    // Only the other one is left.
    let again = shop.promote(Some("hub"), None);
    assert!(matches!(again, Err(PromoteError::NothingNewer { .. })), "{again:?}");
    assert_eq!(shop.promote(None, None).unwrap().terms.product, "radio");
}

#[test]
fn what_was_halted_in_staging_goes_no_further() {
    let shop = Shop::new();
    let roots = shop.roots();
    for minor in [1, 2] {
        let bundle = bundle(&shop.product, &shop.folder, minor, "hub");
        published(&shop.product, &shop.store, &roots, &bundle).unwrap();
    }
    let staging = Log::new(&shop.store, &roots, "staging");
    let halt = |draft: &mut Channel| {
        let newest = Selector { product: None, what: "1.2.0".into() }.find(draft).unwrap().identity;
        let now = draft.issued_at;
        edit::change(draft, &newest, &edit::Change::Halt, now).unwrap();
        Ok::<_, ChannelError>(Change::Made { verb: "rollout".into(), about: "halt hub 1.2.0".into() })
    };
    shop.product.committer("ada").commit(&staging, halt).unwrap();
    let halted = shop.promote(None, Some("1.2.0"));
    assert!(matches!(halted, Err(PromoteError::Edit(EditError::Halted { .. }))), "{halted:?}");
    assert_eq!(shop.promote(None, None).unwrap().terms.version.minor, 1);
    let again = shop.promote(None, None);
    assert!(matches!(again, Err(PromoteError::NothingNewer { .. })), "{again:?}");
}
