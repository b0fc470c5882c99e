//! A repository with any number of releases, as if each had been published, without one image being built: signed releases
//! that announce the same tiny volumes.
use crate::product::Product;
use bistable_format::channel::{Act, Gates, Passage, Segment};
use bistable_format::rollout::Rollout;
use bistable_format::{
    Artifact, Channel, Content, Digest, Extensions, Head, Offer, Release, Role, Volumes, envelope, limits,
    open::OpenList, release, repository as names,
};
use bistable_image::repository::Store;
use bistable_image::repository::audit;
use bistable_image::repository::catalog::{self, Entry};
use bistable_image::repository::store::Memory;
use bistable_image::repository::writer::LIFETIME;
use semver::Version;
use std::sync::atomic::Ordering;

/// Put this many releases into a channel of a new repository: 2.0.0, 2.1.0, 2.2.0, … The last of them are on offer.
pub(crate) fn many(product: &Product, store: &Store, name: &str, count: u64) -> Channel {
    let now = product.clock.0.load(Ordering::SeqCst);
    let first = limits::OFFERS as u64;
    let (mut offers, mut entries) = (Vec::new(), Vec::new());
    for n in 0..count {
        let release = release_of(product, n);
        let payload = postcard::to_allocvec(&release).unwrap();
        let signed = envelope::seal(Role::Release, &payload, &[product.release_key.signing()]).unwrap();
        let offer = Offer {
            constraints: release.constraints(),
            release: Digest::of(&signed),
            release_bytes: u32::try_from(signed.len()).unwrap(),
            identity: release::identity(&signed),
            since: now - count + n,
            passage: Passage::Free,
            rollout: Rollout::default(),
            extensions: Extensions::default(),
        };
        let _ = store.upload(&names::blob(&offer.release), &mut &*signed, signed.len() as u64).unwrap();
        entries.push(Entry {
            product: release.product().into(),
            component: None,
            version: release.version,
            release: offer.release,
            identity: offer.identity,
            security_version: 1,
            boards: release.boards,
            at: offer.since,
            description: release.description,
            author: release.author,
            bytes: 3_000_000,
        });
        if n + first >= count {
            offers.push(offer);
        }
    }
    let channel = Channel {
        head: Head::new(product.root.root.repository(), ""),
        name: name.into(),
        sequence: count,
        previous: (count > 1).then_some(Digest([7; 32])),
        issued_at: now,
        lifetime: LIFETIME,
        act: Act { by: "ada".into(), verb: "publish".into(), about: "hub".into() },
        offers: offers.into(),
        withdrawn: OpenList::default(),
        pins: Vec::new(),
        gates: Gates::default(),
        promoted_at: 0,
        catalog: catalogued(store, &entries),
        extensions: Extensions::default(),
    };
    let bytes = channel.seal(&[product.channel_key.signing()]).unwrap();
    let _ = store.create(&names::channel(name, count), &bytes).unwrap();
    store.put(&names::channel_hint(name), format!("{count}\n").as_bytes()).unwrap();
    recorded(store, name, count);
    channel
}

fn release_of(product: &Product, n: u64) -> Release {
    let volume = |seed: &[u8]| Artifact {
        bytes: 1 << 20,
        digest: Digest::of(seed),
        chunk_bytes: 1 << 20,
        chunks: Digest::of(&[seed, b" chunks"].concat()),
        list_bytes: 100,
        list: Digest::of(&[seed, b" list"].concat()),
        data_bytes: 1000,
        data: Digest::of(&[seed, b" data"].concat()),
    };
    let volumes = Volumes { boot: volume(b"boot"), system: volume(b"system") };
    let head = Head::new(product.root.root.repository(), "hub");
    let boards = vec!["pi4".into(), "pi5".into()];
    Release {
        security_version: 1,
        description: format!("Nightly build {n}. Fixes {} things and the relay.\nMore of it here.", n % 7),
        author: "ci@example.org".into(),
        build_time: 1_700_000_000 + n,
        ..Release::new(head, Version::new(2, n, 0), boards, Content::Image(volumes))
    }
}

/// The catalog as it has become, release after release; of its segments only those that it still names.
fn catalogued(store: &Store, entries: &[Entry]) -> Vec<Segment> {
    let all = Store::new(Memory::new());
    let catalog = catalog::add(&all, &[], entries).unwrap();
    for segment in &catalog {
        let path = names::blob(&segment.digest);
        let bytes = all.get(&path, catalog::SEGMENT_BYTES).unwrap().unwrap();
        let _ = store.upload(&path, &mut &*bytes, bytes.len() as u64).unwrap();
    }
    catalog
}

/// The audit says that all of it was recorded.
fn recorded(store: &Store, name: &str, count: u64) {
    let last = audit::newest(store).unwrap().unwrap();
    let mut record = last.record;
    record.sequence += 1;
    record.previous = Some(last.digest.to_string());
    record.channels.insert(name.into(), count);
    let bytes = serde_json::to_vec(&record).unwrap();
    let _ = store.create(&names::audit(record.sequence), &bytes).unwrap();
    store.put(&names::audit_hint(), format!("{}\n", record.sequence).as_bytes()).unwrap();
}
