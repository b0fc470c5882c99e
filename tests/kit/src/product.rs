//! What every test product is made of: bytes that don't compress, keys, a root, small images, and what a channel says of them.
use bistable_format::{
    Constraints, Digest, KeyKind, Offer, Requires, Role, Urgency,
    archive::{END_BYTES, Entry, EntryKind},
    channel::Passage,
    content::IMAGE_KIND,
};
use bistable_image::{
    BuildOptions, Threads,
    build::{ChunkSize, Level},
    keys::SecretKey,
    repository::publish::Publication,
    root::{self, RootOptions, SignedRoot},
    volume::VolumeSize,
};
use semver::Version;
use std::path::{Path, PathBuf};

/// Bytes that don't compress, the same ones for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(len).collect()
}

/// The canonical archive of these files, which are in the order of their paths.
pub fn archive<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, content) in files {
        let entry = Entry {
            path: path.as_bytes(),
            kind: EntryKind::File,
            mode: 0o644,
            mtime: 0,
            bytes: content.len() as u64,
        };
        archive.extend(entry.encode());
        archive.extend(content);
        archive.resize(archive.len() + entry.padding(), 0);
    }
    archive.resize(archive.len() + END_BYTES, 0);
    archive
}

/// The key of that number.
#[expect(clippy::unwrap_used, reason = "for tests: a label that is valid")]
pub fn key(n: u8, kind: KeyKind) -> SecretKey {
    SecretKey::from_seed([n; 32], &format!("key {n}"), kind).unwrap()
}

/// A first root in which one key of each role is enough.
#[expect(clippy::unwrap_used, reason = "for tests: a root that is valid")]
pub fn root_of(root: &SecretKey, release: &SecretKey, channel: &SecretKey) -> SignedRoot {
    root::create(&RootOptions {
        root_keys: vec![root.public()],
        release_keys: vec![release.public()],
        channel_keys: vec![channel.public()],
        thresholds: vec![(Role::Root, 1)],
        sign: vec![root.clone()],
        ..RootOptions::default()
    })
    .unwrap()
}

/// The keys of a product, and its root.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Its root.
    pub root: SignedRoot,
    /// The key that signs the next root.
    pub root_key: SecretKey,
    /// The key that signs releases.
    pub release_key: SecretKey,
    /// The key that signs channels.
    pub channel_key: SecretKey,
}

impl Keys {
    /// The same ones each time.
    pub fn new(kind: KeyKind) -> Keys {
        let [root_key, release_key, channel_key] = [1, 2, 3].map(|n| key(n, kind));
        let root = root_of(&root_key, &release_key, &channel_key);
        Keys { root, root_key, release_key, channel_key }
    }

    /// How a small release of `greenhouse` is built quickly, from these trees into this file.
    #[expect(clippy::unwrap_used, reason = "for tests: sizes that are valid")]
    pub fn options(&self, version: &str, [system, boot, out]: [PathBuf; 3]) -> BuildOptions {
        let mut o = BuildOptions::new("greenhouse", version.parse().unwrap(), "pi4", system, boot, out);
        o.keys = vec![self.release_key.clone()];
        o.root = Some(self.root.clone());
        o.build_time = 1_700_000_000;
        o.boot_size = VolumeSize::Exact(4 << 20);
        o.chunk_size = ChunkSize::new(256 << 10).unwrap();
        o.level = Level::new(1).unwrap();
        o.threads = Threads::new(2);
        o
    }
}

/// What a channel says of a release without content.
pub fn offer(product: &str, version: Version, since: u64) -> Offer {
    let digest = Digest::of(format!("{product} {version}").as_bytes());
    Offer {
        constraints: Constraints {
            product: product.into(),
            version,
            security_version: 1,
            boards: vec!["pi4".into()],
            component: None,
            requires: Requires::default(),
            urgency: Urgency::Normal,
            content: IMAGE_KIND,
            bytes: vec![1 << 20, 1 << 20],
        },
        release: digest,
        release_bytes: 1000,
        identity: digest,
        since,
        passage: Passage::Free,
        rollout: Default::default(),
        extensions: Default::default(),
    }
}

/// A bundle is published as it comes.
pub fn publication(bundle: &Path) -> Publication {
    Publication {
        bundle: bundle.into(),
        passage: Passage::Free,
        rollout: Default::default(),
        fixes_security: false,
        deltas: Vec::new(),
        last: 3,
        require_deltas: false,
        threads: Threads::new(1),
    }
}
