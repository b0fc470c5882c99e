//! What a repository measures of itself.
use crate::cli::at;
use crate::places;
use crate::product::Product;
use bistable_image::repository::channel::{ChannelError, ChannelLog};
use bistable_image::repository::metrics::{FAMILIES, Facts};
use bistable_image::repository::writer::Change;
use std::fs;
use std::sync::atomic::Ordering;

/// The value of a sample.
#[track_caller]
fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

fn set(product: &Product, now: u64) -> u64 {
    product.clock.0.store(now, Ordering::SeqCst);
    now
}

#[test]
fn channels_room_and_the_last_promotion_are_measured_and_a_text_file_is_replaced_whole() {
    let product = Product::new();
    for place in [Some(places::directory()), places::s3()].into_iter().flatten() {
        let began = set(&product, 1_800_000_000);
        let roots = product.init(&place.store);
        let log = |name: &str| ChannelLog::new(&place.store, &roots, name.to_owned());
        let (staging, production) = (log("staging"), log("production"));
        product.offer(&staging, "ada", 1).unwrap();
        let facts = || Facts::read(&place.store, &roots, Some(1000)).unwrap();
        let text = facts().text();
        assert!(!text.contains("bistable_image_promotion_seconds"), "nothing was promoted yet: {text}");
        let now = set(&product, began + 3700);
        let promoted = product.committer("ada").writer(&production).commit(|draft| {
            let mut offer = crate::product::offer(1);
            offer.since = now;
            draft.offers.push(offer);
            draft.promoted_at = now;
            draft.gates.min_age = 3600;
            Ok::<_, ChannelError>(Change::Made { verb: "promote".into(), about: "hub 1.1.0".into() })
        });
        let expires = promoted.unwrap().unwrap().file.channel.expires_at();
        place
            .store
            .put(&bistable_format::repository::blob(&bistable_format::Digest::of(b"x")), &[7; 950])
            .unwrap();
        let measured = facts();
        let text = measured.text();
        let full = value(&text, "bistable_repository_used_ratio{of=\"max_size\"}").unwrap();
        let bytes = value(&text, "bistable_repository_bytes").unwrap();
        assert!(bytes >= 950.0 && (full - bytes / 1000.0).abs() < 1e-9, "{text}");
        for channel in ["staging", "production"] {
            assert_eq!(
                value(&text, &format!("bistable_repository_offers{{channel=\"{channel}\"}}")),
                Some(1.0)
            );
        }
        #[expect(clippy::cast_precision_loss, reason = "a time")]
        let expires = Some(expires as f64);
        let sample = "bistable_repository_channel_expires_timestamp_seconds{channel=\"production\"}";
        assert_eq!(value(&text, sample), expires, "{text}");
        assert_eq!(
            value(&text, "bistable_image_promotion_seconds{channel=\"production\"}"),
            Some(100.0),
            "{text}"
        );
        let is_local = place.url.as_ref().is_some_and(|url| !url.contains("://"));
        assert_eq!(value(&text, "bistable_repository_used_ratio{of=\"disk\"}").is_some(), is_local, "{text}");
        let Some(repo) = &place.url else { continue };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("repository.prom");
        fs::write(&file, "old").unwrap();
        let args = ["metrics", "--max-size", "1000", "--textfile", file.to_str().unwrap()];
        assert_eq!(at(repo, &args, 0).0, "");
        let written = fs::read_to_string(&file).unwrap();
        let lines = |text: &str| -> Vec<String> {
            // How full this machine's disk is changes all the time.
            text.lines().filter(|line| !line.contains("\"disk\"")).map(ToOwned::to_owned).collect()
        };
        assert_eq!(lines(&written), lines(&text));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        let told = bistable_schema::object(&at(repo, &["metrics", "--json"], 0).0);
        assert!(
            told["metrics"].as_str().unwrap().contains("# TYPE bistable_repository_bytes gauge"),
            "{told}"
        );
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert_eq!(names, FAMILIES.map(|family| family.name));
    }
}

#[test]
fn nothing_is_written_where_no_repository_is() {
    let folder = tempfile::tempdir().unwrap();
    let (repo, file) = (folder.path().join("none"), folder.path().join("x.prom"));
    at(repo.to_str().unwrap(), &["metrics", "--textfile", file.to_str().unwrap()], 1);
    assert!(!file.exists());
}
