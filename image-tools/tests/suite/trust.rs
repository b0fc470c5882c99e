//! Who signed it.
use crate::fixture::{Product, key, root_of};
use bistable_format::{KeyKind, TrustError};
use bistable_image::build::BuildError;
use bistable_image::bundle::BundleError;
use bistable_image::card::{CardError, CardOptions, DemoKeys};
use bistable_image::inspect::{Content, Trust, inspect};
use bistable_image::verify::{VerifyError, verify};
use bistable_image::{Silent, Threads, build, card};

fn refusal(product: &Product, root: &bistable_format::Root) -> TrustError {
    match verify(&product.path("x.bundle"), root, Threads::new(1), &Silent) {
        Err(VerifyError::Bundle { source: BundleError::Trust(why), .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_products_root_does_not_know_the_key() {
    let product = Product::new();
    product.bundle();
    let kind = KeyKind::Production;
    let other = root_of(&key(11, kind), &key(12, kind), &key(13, kind));
    let why = refusal(&product, &other.root);
    assert!(matches!(why, TrustError::UnknownKey { .. }), "{why:?}");
}

#[test]
fn a_key_of_another_role_does_not_count() {
    let product = Product::new();
    for wrong in [&product.channel_key, &product.root_key] {
        let mut options = product.options("x.bundle");
        options.keys = vec![wrong.clone()];
        let why = build(&options, &Silent).unwrap_err();
        assert!(matches!(why, BuildError::Untrusted(TrustError::WrongRole { .. })), "{why:?}");
        assert!(!options.out.exists());
    }
}

#[test]
fn a_card_refuses_demo_keys_unless_they_are_allowed() {
    let product = Product::of(KeyKind::Demo);
    let bundle = product.bundle();
    let mut options = CardOptions::new(bundle, product.root.clone(), product.path("card.img"));
    let refused = card::make(&options, &Silent);
    assert!(matches!(refused, Err(CardError::Demo(TrustError::DemoKey { .. }))), "{refused:?}");
    assert!(!options.out.exists());
    options.demo_keys = DemoKeys::Allow;
    card::make(&options, &Silent).unwrap();
}

#[test]
fn card_refuses_a_foreign_bundle() {
    let product = Product::new();
    let bundle = product.bundle();
    let kind = KeyKind::Production;
    let other = root_of(&key(11, kind), &key(12, kind), &key(13, kind));
    let options = CardOptions::new(bundle, other, product.path("card.img"));
    let refused = card::make(&options, &Silent);
    assert!(matches!(refused, Err(CardError::Bundle(VerifyError::Bundle { .. }))), "{refused:?}");
    assert!(!options.out.exists() && !product.path("card.img.bmap").exists());
}

#[test]
fn what_is_inspected_is_called_verified_only_with_a_root() {
    let product = Product::new();
    let bundle = product.bundle();
    let plain = inspect(&bundle, None).unwrap();
    assert_eq!(plain.trust, Trust::NotVerified);
    let Content::Bundle(file, lists) = plain.content else { panic!("{:?}", plain.content) };
    assert_eq!((file.release.product(), lists.len()), ("greenhouse", 2));
    let held = inspect(&bundle, Some(&product.root.root)).unwrap();
    assert_eq!(held.trust, Trust::Verified(vec![product.release_key.public()]));
    let kind = KeyKind::Production;
    let other = root_of(&key(11, kind), &key(12, kind), &key(13, kind));
    assert!(inspect(&bundle, Some(&other.root)).is_err());

    let root = product.path("root.root");
    std::fs::write(&root, &product.root.bytes).unwrap();
    let found = inspect(&root, None).unwrap();
    assert_eq!(found.trust, Trust::OwnKeys(vec![product.root_key.public()]));
    assert!(inspect(&root, Some(&other.root)).is_err());
    assert!(matches!(inspect(&root, Some(&product.root.root)).unwrap().trust, Trust::Verified(_)));

    let files = product.release_key.write(&product.path("release")).unwrap();
    assert!(matches!(inspect(&files.public, None).unwrap().content, Content::PublicKey(_)));
    assert!(matches!(inspect(&files.secret, None).unwrap().content, Content::SecretKey(_)));
    assert!(inspect(&product.path("system/etc/os-release"), None).is_err());
    assert!(inspect(product.folder.path(), None).is_err());
}
