//! Images and components, signed, and which of them belong together.
use super::super::{
    pack::Packed,
    product::{Made, Nature, Product, SHORT_BYTES, boot_volume, factory},
};
use bistable::{
    Error,
    component::Archive,
    steps::install::{ReleasePart, TakePart},
};
use bistable_boot::{Flow, ReleaseId};
use bistable_format::{
    Artifact, ArtifactId, Bound, Content, Digest, Extensions, Head, KeyKind, Release, Root, content, limits,
    release,
};
use bistable_image::keys::SecretKey;
use bistable_kit::product::{archive, noise, root_of};
use semver::Version;
use std::{collections::BTreeMap, sync::Arc};

pub(super) const NAMES: [&str; 2] = ["core", "lamp"];

pub(super) fn unit(name: &str) -> String {
    format!("{name}.service")
}

pub(super) fn url(name: &str) -> String {
    format!("http://127.0.0.1/{name}")
}

/// A version of a component.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) release: Release,
    pub(super) signed: Vec<u8>,
    pub(super) tar: Vec<u8>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Part {
    pub(super) fn new(name: &str, version: &str, behavior: &str, (key, root): (&SecretKey, &Root)) -> Part {
        let files: BTreeMap<String, Vec<u8>> = [("VERSION", version), ("BEHAVIOR", behavior), ("main", name)]
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .into();
        let tar = archive(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
        let zero = Digest([0; 32]);
        let artifact = Artifact {
            bytes: tar.len() as u64,
            digest: Digest::of(&tar),
            chunk_bytes: limits::CHUNK_MIN,
            chunks: zero,
            list: zero,
            list_bytes: 512,
            data: zero,
            data_bytes: 1,
        };
        let content = Content::Directory(content::Directory { archive: artifact });
        let head = Head::new(root.repository(), "prove");
        let mut release = Release::new(head, version.parse().unwrap(), vec!["pi4".into()], content);
        release.component = Some(name.into());
        release.health = format!(
            "deadline_s = 30\nsettle_s = 2\n[[check]]\nname = \"web\"\nkind = \"http\"\nurl = \"{}\"\nexpect_version = true\n",
            url(name)
        );
        let signed = release.seal(&[key.signing()]).unwrap();
        Part { release, signed, tar, files }
    }

    pub(super) fn identity(&self) -> Digest {
        release::identity(&self.signed)
    }

    pub(super) fn folder(&self) -> String {
        ReleaseId(self.identity().0).to_string()
    }

    pub(super) fn is(&self, name: &str, version: &str) -> bool {
        self.release.component.as_deref() == Some(name) && self.release.version.to_string() == version
    }
}

impl Archive for Part {
    fn release(&self) -> &Release {
        &self.release
    }
    fn signed(&self) -> &[u8] {
        &self.signed
    }
    fn read(&mut self, take: TakePart<'_>) -> Result<(), Error> {
        let part = ReleasePart::Artifact(ArtifactId::Archive);
        self.tar.chunks(1000).try_for_each(|bytes| take(part, bytes))
    }
}

/// The images, and which versions each of them brings along.
pub(super) const IMAGES: [(&str, Nature, Option<[&str; 2]>); 6] = [
    ("0.9.0", Nature::Good, None),
    ("1.0.0", Nature::Good, Some(["1.0.0", "1.0.0"])),
    ("2.0.0", Nature::Good, Some(["2.0.0", "2.0.0"])),
    // Its `lamp` is sick.
    ("3.0.0", Nature::Good, Some(["2.0.0", "3.0.0"])),
    ("4.0.0", Nature::Good, Some(["1.0.0", "2.0.0"])),
    ("5.0.0", Nature::Sick, None),
];

pub(super) struct World {
    pub(super) product: Arc<Product>,
    pub(super) parts: Vec<Part>,
}

impl World {
    pub(super) fn new() -> World {
        let key = |n| SecretKey::from_seed([n; 32], "prove", KeyKind::Production).unwrap();
        let (root_key, release_key, channel_key) = (key(1), key(2), key(3));
        let root = root_of(&root_key, &release_key, &channel_key);
        let signer = (&release_key, &root.root);
        let mut parts = Vec::new();
        for name in NAMES {
            for version in ["1.0.0", "2.0.0", "3.0.0", "9.0.0"] {
                let behavior = if (name, version) == ("lamp", "3.0.0") { "sick" } else { "good" };
                parts.push(Part::new(name, version, behavior, signer));
            }
        }
        let mut releases = Vec::new();
        for (seed, (version, nature, binds)) in (1..).zip(IMAGES) {
            let volumes = [boot_volume(seed), noise(seed + 100, SHORT_BYTES)];
            let mut packed = Packed::new(seed, version, 1, volumes, signer).unwrap();
            let bound = |(name, version): (&str, &str)| {
                let part = parts.iter().find(|part| part.is(name, version)).unwrap();
                let (component, identity) = (name.to_owned(), part.identity());
                Bound {
                    component,
                    version: version.parse().unwrap(),
                    identity,
                    extensions: Extensions::default(),
                }
            };
            packed.release.bound =
                binds.into_iter().flat_map(|binds| NAMES.into_iter().zip(binds)).map(bound).collect();
            packed.signed = packed.release.seal(&[release_key.signing()]).unwrap();
            releases.push(Made::new(packed, nature, None).unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        let (card, places) = factory(folder.path(), &releases[0], &root, Flow::Tryboot).unwrap();
        let product = Product {
            releases,
            flow: Flow::Tryboot,
            places: Arc::new(places),
            oldest_card: card.clone(),
            old_card: card,
        };
        World { product: Arc::new(product), parts }
    }

    pub(super) fn part(&self, identity: &Digest) -> Option<&Part> {
        self.parts.iter().find(|part| part.identity() == *identity)
    }

    pub(super) fn image(&self, version: &Version) -> &Made {
        self.product.releases.iter().find(|made| made.version == *version).unwrap()
    }
}
