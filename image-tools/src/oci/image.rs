//! One service's image: found in what was saved, for the platform, and written again over uncompressed layers.
use super::error::{ImageProblem, OciError};
use super::layer::Layers;
use super::platform::Platform;
use super::source::{ImageSource, Saved};
use super::store::{Store, shown};
use super::types::{
    CONFIG, Config, DOCKER_CONFIG, DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, INDEX, Index, LAYER, LAYERS,
    MANIFEST, Manifest, NewDescriptor, NewManifest, PlatformFields, SavedImage,
};
use bistable_format::{Digest, limits};
use std::collections::BTreeSet;

/// Indexes that name each other at most.
const DEPTH: usize = 4;
/// Manifests of an archive at most.
const MANIFESTS: usize = 256;

/// An image as devices get it.
pub(super) struct Made {
    pub(super) manifest: Vec<u8>,
    pub(super) config: Vec<u8>,
    /// Its layers, the lowest first.
    pub(super) layers: Vec<Digest>,
}

/// Where an image's layers are.
enum Parts {
    Oci(Vec<Descriptor>),
    Docker(Vec<String>),
}

/// An image that could be meant.
struct Candidate<T> {
    what: T,
    names: Vec<String>,
}

/// Read an image that the Compose file calls `reference`.
pub(super) fn read(
    source: &ImageSource,
    reference: &str,
    platform: &Platform,
    epoch: u64,
    layers: &mut Layers,
) -> Result<Made, OciError> {
    let store = Store::open(source, epoch)?;
    let (config, parts) = match store.saved(source.saved)? {
        Saved::Docker => docker(&store, reference, platform)?,
        Saved::Oci | Saved::Any => oci(&store, reference, platform)?,
    };
    let read: Config = store.parse("the configuration", &config)?;
    let found = of_fields(&read.platform);
    if found != *platform {
        return Err(store.wrong(ImageProblem::Platform { wanted: platform.clone(), found: vec![found] }));
    }
    let diff_ids = diff_ids(&store, &read)?;
    let count = match &parts {
        Parts::Oci(layers) => layers.len(),
        Parts::Docker(layers) => layers.len(),
    };
    if count != diff_ids.len() || diff_ids.len() > limits::LAYERS {
        let (layers, diff_ids, limit) = (count, diff_ids.len(), limits::LAYERS);
        return Err(store.wrong(ImageProblem::Layers { layers, diff_ids, limit }));
    }
    for (at, diff_id) in diff_ids.iter().enumerate() {
        if layers.get(*diff_id).is_some() {
            continue;
        }
        match &parts {
            Parts::Oci(descriptors) => {
                let Some(descriptor) = descriptors.get(at) else { continue };
                let (name, data) = layer(&store, descriptor)?;
                layers.add(&store, &name, data, *diff_id)?;
            }
            Parts::Docker(names) => {
                let Some(name) = names.get(at) else { continue };
                layers.add(&store, name, store.file(name)?, *diff_id)?;
            }
        }
    }
    Ok(Made { manifest: manifest(&store, &config, &diff_ids, layers)?, config, layers: diff_ids })
}

/// A layer's file, verified.
fn layer<'a>(
    store: &'a Store,
    descriptor: &Descriptor,
) -> Result<(String, &'a crate::volume::data::FileData), OciError> {
    let kind = descriptor.media_type.as_str();
    if descriptor.urls.as_ref().is_some_and(|urls| !urls.is_empty()) || kind.contains("nondistributable") {
        return Err(store.wrong(ImageProblem::Foreign { digest: shown(&descriptor.digest) }));
    }
    if !LAYERS.contains(&kind) {
        return Err(store.wrong(ImageProblem::MediaType { what: "a layer", found: shown(kind) }));
    }
    store.verified(descriptor)
}

fn diff_ids(store: &Store, config: &Config) -> Result<Vec<Digest>, OciError> {
    if config.rootfs.kind != "layers" {
        let found = shown(&config.rootfs.kind);
        return Err(store.wrong(ImageProblem::MediaType { what: "rootfs of the configuration", found }));
    }
    config.rootfs.diff_ids.iter().map(|text| store.digest(text)).collect()
}

/// The new manifest: the same configuration over the same layers, uncompressed.
fn manifest(store: &Store, config: &[u8], diff_ids: &[Digest], layers: &Layers) -> Result<Vec<u8>, OciError> {
    let descriptor = |diff_id: &Digest| {
        let layer = layers.get(*diff_id)?;
        Some(NewDescriptor { media_type: LAYER, digest: format!("sha256:{diff_id}"), size: layer.size })
    };
    let config = NewDescriptor {
        media_type: CONFIG,
        digest: format!("sha256:{}", Digest::of(config)),
        size: config.len() as u64,
    };
    let layers = diff_ids.iter().filter_map(descriptor).collect();
    let manifest = NewManifest { schema_version: 2, media_type: MANIFEST, config, layers };
    serde_json::to_vec(&manifest)
        .map_err(|e| store.wrong(ImageProblem::Json { path: "the new manifest".into(), why: e.to_string() }))
}

pub(super) fn of_fields(fields: &PlatformFields) -> Platform {
    let variant = fields.variant.as_deref().unwrap_or_default();
    Platform::new(&shown(&fields.os), &shown(&fields.architecture), &shown(variant))
}

/// The image of an OCI layout: its configuration, and its layers.
fn oci(store: &Store, reference: &str, platform: &Platform) -> Result<(Vec<u8>, Parts), OciError> {
    let index: Index = store.document("index.json")?;
    let (mut found, mut others) = (Vec::new(), BTreeSet::new());
    let mut open: Vec<(Index, Vec<String>, usize)> = vec![(index, Vec::new(), 1)];
    let mut count = 0;
    while let Some((index, inherited, depth)) = open.pop() {
        for descriptor in index.manifests {
            count += 1;
            if count > MANIFESTS {
                return Err(store.wrong(ImageProblem::TooMany { limit: MANIFESTS }));
            }
            let names = [inherited.clone(), names(&descriptor)].concat();
            match descriptor.media_type.as_str() {
                INDEX | DOCKER_INDEX if depth == DEPTH => {
                    return Err(store.wrong(ImageProblem::Depth { limit: DEPTH }));
                }
                INDEX | DOCKER_INDEX => {
                    let bytes = store.blob(&descriptor)?;
                    open.push((store.parse(&descriptor.digest, &bytes)?, names, depth + 1));
                }
                MANIFEST | DOCKER_MANIFEST => {
                    if is_attestation(&descriptor) {
                        continue;
                    }
                    let said = match &descriptor.platform {
                        Some(fields) => of_fields(fields),
                        None => of_manifest(store, &descriptor)?,
                    };
                    if said == *platform {
                        found.push(Candidate { what: descriptor, names });
                    } else {
                        others.insert(said);
                    }
                }
                other => {
                    let found = shown(other);
                    return Err(store.wrong(ImageProblem::MediaType { what: "an entry of the index", found }));
                }
            }
        }
    }
    found.sort_by(|a, b| a.what.digest.cmp(&b.what.digest));
    found.dedup_by(|again, first| {
        let same = again.what.digest == first.what.digest;
        if same {
            first.names.append(&mut again.names);
        }
        same
    });
    let chosen = one(store, found, others, reference, platform)?;
    let (manifest, config) = parts(store, &chosen)?;
    Ok((config, Parts::Oci(manifest.layers)))
}

/// Statements about an image, which stand beside it in an index.
pub(super) fn is_attestation(descriptor: &Descriptor) -> bool {
    let annotation = |name| descriptor.annotations.as_ref().and_then(|all| all.get(name));
    annotation("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest")
}

fn names(descriptor: &Descriptor) -> Vec<String> {
    let annotations = descriptor.annotations.iter().flatten();
    let named = annotations.filter(|(key, _)| {
        matches!(key.as_str(), "org.opencontainers.image.ref.name" | "io.containerd.image.name")
    });
    named.map(|(_, name)| name.clone()).collect()
}

/// The platform of a manifest whose index doesn't say it.
fn of_manifest(store: &Store, descriptor: &Descriptor) -> Result<Platform, OciError> {
    let (_, config) = parts(store, descriptor)?;
    let config: Config = store.parse("the configuration", &config)?;
    Ok(of_fields(&config.platform))
}

/// A manifest and its configuration, verified.
fn parts(store: &Store, descriptor: &Descriptor) -> Result<(Manifest, Vec<u8>), OciError> {
    let manifest: Manifest = store.parse(&descriptor.digest, &store.blob(descriptor)?)?;
    let kind = manifest.config.media_type.as_str();
    if !matches!(kind, CONFIG | DOCKER_CONFIG) {
        let found = shown(kind);
        return Err(store.wrong(ImageProblem::MediaType { what: "the configuration of an image", found }));
    }
    let config = store.blob(&manifest.config)?;
    Ok((manifest, config))
}

/// The image of what `docker save` wrote.
fn docker(store: &Store, reference: &str, platform: &Platform) -> Result<(Vec<u8>, Parts), OciError> {
    let saved: Vec<SavedImage> = store.document("manifest.json")?;
    if saved.len() > MANIFESTS {
        return Err(store.wrong(ImageProblem::TooMany { limit: MANIFESTS }));
    }
    let (mut found, mut others) = (Vec::new(), BTreeSet::new());
    for image in saved {
        let bytes = store.bytes(&image.config)?;
        // The name of the file is its digest, in old and new archives alike.
        let name = image.config.rsplit('/').next().unwrap_or_default();
        let digest = name.strip_suffix(".json").unwrap_or(name);
        if Digest::parse(digest).is_some_and(|digest| digest != Digest::of(&bytes)) {
            return Err(store.wrong(ImageProblem::Digest { path: shown(&image.config) }));
        }
        let config: Config = store.parse(&image.config, &bytes)?;
        let said = of_fields(&config.platform);
        if said == *platform {
            let names = image.repo_tags.unwrap_or_default();
            found.push(Candidate { what: (bytes, Parts::Docker(image.layers)), names });
        } else {
            others.insert(said);
        }
    }
    one(store, found, others, reference, platform)
}

/// The one image that is meant.
fn one<T>(
    store: &Store,
    mut found: Vec<Candidate<T>>,
    others: BTreeSet<Platform>,
    reference: &str,
    platform: &Platform,
) -> Result<T, OciError> {
    if found.len() > 1 {
        let names = found.iter().flat_map(|c| &c.names).map(|name| shown(name)).collect();
        found.retain(|candidate| candidate.names.iter().any(|name| is_same(name, reference)));
        if found.len() != 1 {
            return Err(store.wrong(ImageProblem::Which { reference: reference.into(), names }));
        }
    }
    match found.pop() {
        Some(candidate) => Ok(candidate.what),
        None => {
            let (wanted, found) = (platform.clone(), others.into_iter().collect());
            Err(store.wrong(ImageProblem::Platform { wanted, found }))
        }
    }
}

/// Whether an archive's name is the Compose file's: with or without Docker's own registry, and by the tag alone.
fn is_same(name: &str, reference: &str) -> bool {
    let short = |name: &str| -> String {
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        let name = name.strip_prefix("library/").unwrap_or(name);
        let tagged = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        if tagged { name.into() } else { format!("{name}:latest") }
    };
    let (full, tag) = (short(reference), |text: &str| text.rsplit(':').next().map(str::to_owned));
    short(name) == full || (!name.contains(['/', ':']) && tag(&full).as_deref() == Some(name))
}
