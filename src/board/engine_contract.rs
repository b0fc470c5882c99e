//! What each container engine must do: Docker, and its twin in memory.
use super::memory::{EngineFacts, HostFailure, Loss, MemoryEngine, Supply};
use crate::ports::{
    ComposeProject, Container, ContainerEngine, HostError, ImageParts, ImageStore, ServiceOf,
};
use bistable_format::Digest;
use serde_json::json;
use std::io::{self, Cursor, Read};

/// An image, as it is pulled.
pub(crate) struct Parts(Vec<Vec<u8>>);

impl ImageParts for Parts {
    fn open(&self, digest: &Digest) -> io::Result<Option<(u64, Box<dyn Read + Send>)>> {
        let found = self.0.iter().find(|part| Digest::of(part) == *digest);
        Ok(found.map(|part| {
            let reader: Box<dyn Read + Send> = Box::new(Cursor::new(part.clone()));
            (part.len() as u64, reader)
        }))
    }
}

/// An image with these layers: its parts, its manifest, and its id.
pub(crate) fn image(layers: &[Vec<u8>], configuration: &serde_json::Value) -> (Parts, Digest, Digest) {
    let name = |bytes: &[u8]| format!("sha256:{}", Digest::of(bytes));
    let mut configuration = configuration.clone();
    let ids: Vec<String> = layers.iter().map(|layer| name(layer)).collect();
    configuration["rootfs"] = json!({"type": "layers", "diff_ids": ids});
    let configuration = configuration.to_string().into_bytes();
    let layer = |layer: &Vec<u8>| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": name(layer), "size": layer.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": name(&configuration), "size": configuration.len(),
        },
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let (of_manifest, id) = (Digest::of(&manifest), Digest::of(&configuration));
    let parts = layers.iter().cloned().chain([manifest, configuration]);
    (Parts(parts.collect()), of_manifest, id)
}

const REPOSITORY: &str = "bistable/contract";
pub(crate) const OF: ServiceOf<'_> = ServiceOf { project: "contract", service: "main" };

/// The Compose file of the project `contract`, with the image of a version.
pub(crate) fn file(tag: &str) -> String {
    format!(
        "services:\n  main:\n    image: {REPOSITORY}:{tag}\n    restart: always\n    network_mode: none\n    stop_grace_period: 1s\n"
    )
}

fn only(engine: &mut dyn ContainerEngine) -> Container {
    let [only] = <[Container; 1]>::try_from(engine.containers(OF.project, OF.service).unwrap()).unwrap();
    only
}

/// `made` gives an image of a version, whose program keeps running.
pub(crate) fn contract(
    engine: &mut dyn ContainerEngine,
    compose: &mut dyn ComposeProject,
    made: &dyn Fn(&str) -> (Parts, Digest, Digest),
) {
    let info = engine.info().unwrap();
    assert_eq!(info.store, Ok(ImageStore::Configuration));
    assert!(info.free_bytes > 0 && !info.version.is_empty() && !info.architecture.is_empty());
    assert!(compose.version().unwrap().trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
    let ((parts, manifest, id), (parts2, manifest2, id2)) = (made("1"), made("2"));

    // Nothing is there.
    assert_eq!(engine.tagged(REPOSITORY).unwrap(), []);
    assert!(!engine.has_image(&id).unwrap());
    engine.remove_image(&id).unwrap();
    engine.untag(&format!("{REPOSITORY}:one")).unwrap();
    engine.let_go("bistable-contract-one").unwrap();
    assert_eq!(engine.containers(OF.project, OF.service).unwrap(), []);
    let e = engine.pull(&Parts(Vec::new()), &manifest).unwrap_err();
    assert!(matches!(&e, HostError::Failed(_)), "what the registry doesn't have isn't pulled: {e}");

    // An image is pulled, read back, and named.
    engine.pull(&parts, &manifest).unwrap();
    assert!(engine.has_image(&id).unwrap());
    assert_eq!(engine.tagged(REPOSITORY).unwrap(), []);
    let layers = engine.layers(&id).unwrap().unwrap();
    let wanted: Vec<Digest> = parts.0.iter().take(parts.0.len() - 2).map(|layer| Digest::of(layer)).collect();
    assert!(wanted.iter().all(|layer| layers.contains(layer)), "{layers:?}");
    engine.tag(&id, &format!("{REPOSITORY}:one")).unwrap();
    assert_eq!(engine.tagged(REPOSITORY).unwrap(), [("one".into(), id)]);
    engine.pull(&parts2, &manifest2).unwrap();
    engine.tag(&id2, &format!("{REPOSITORY}:two")).unwrap();
    engine.sync().unwrap();

    // A service runs from the file that is shown, and the engine doesn't start it by itself until a restart policy is set.
    assert!(compose.up(OF).is_err(), "nothing is shown");
    compose.show(OF, file("one").as_bytes()).unwrap();
    assert_eq!(compose.shown(OF).unwrap(), Some(file("one").into_bytes()));
    compose.up(OF).unwrap();
    let first = only(engine);
    assert_eq!((first.image, first.state.as_str(), first.restart.as_str()), (id, "running", "no"));
    assert_eq!((first.restarts, &first.health), (0, &None));
    assert_eq!(compose.restart(OF).unwrap(), "always");
    engine.set_restart(&first.id, "always").unwrap();
    compose.up(OF).unwrap();
    let same = only(engine);
    assert_eq!((&same.id, same.restart.as_str()), (&first.id, "always"), "what is as it has to be stays");
    engine.remove_image(&id).unwrap_err();

    // Another version takes its place, and starts as new as that one did.
    compose.show(OF, file("two").as_bytes()).unwrap();
    compose.up(OF).unwrap();
    let second = only(engine);
    assert_eq!((second.image, second.state.as_str(), second.restart.as_str()), (id2, "running", "no"));
    compose.stop(OF).unwrap();
    compose.stop(OF).unwrap();
    assert_eq!(only(engine).state, "exited");
    compose.show(OF, file("three").as_bytes()).unwrap();
    assert!(compose.up(OF).is_err(), "an image that isn't there is not fetched from elsewhere");

    // A container that never runs keeps an image, and goes with it.
    engine.keep("bistable-contract-one", &id).unwrap();
    engine.keep("bistable-contract-one", &id).unwrap();
    engine.remove_image(&id).unwrap();
    assert!(!engine.has_image(&id).unwrap());
    assert_eq!(engine.tagged(REPOSITORY).unwrap(), [("two".into(), id2)]);
    engine.tag(&id2, &format!("{REPOSITORY}:second")).unwrap();
    engine.untag(&format!("{REPOSITORY}:two")).unwrap();
    assert_eq!(engine.tagged(REPOSITORY).unwrap(), [("second".into(), id2)]);
    engine.remove_image(&id2).unwrap();
}

fn in_memory(version: &str) -> (Parts, Digest, Digest) {
    let layers = [b"BASE=1 ".to_vec(), format!("VERSION={version} ").into_bytes()];
    image(&layers, &json!({"architecture": "arm64", "os": "linux"}))
}

#[test]
fn the_engine_in_memory_keeps_the_contract() {
    let mut engine = MemoryEngine::new(Supply::new(), &[("contract", &file("one"))]);
    let mut compose = engine.clone();
    contract(&mut engine, &mut compose, &in_memory);
}

/// What was measured of Docker on ext4: an image counts as present with every file empty, and the next pull repairs nothing.
#[test]
fn a_power_cut_leaves_an_image_with_empty_files_that_a_pull_does_not_repair() {
    for (synced, expected) in [(false, ""), (true, "BASE=1 VERSION=1 ")] {
        let mut engine = MemoryEngine::new(Supply::new(), &[]);
        let (parts, manifest, id) = in_memory("1");
        engine.pull(&parts, &manifest).unwrap();
        engine.tag(&id, "x:1").unwrap();
        if synced {
            engine.sync().unwrap();
        }
        engine.lose(Loss::All);
        engine.pull(&parts, &manifest).unwrap();
        assert_eq!(engine.text("x:1").unwrap(), expected);
        engine.remove_image(&id).unwrap();
        engine.pull(&parts, &manifest).unwrap();
        engine.tag(&id, "x:1").unwrap();
        assert_eq!(engine.text("x:1").unwrap(), "BASE=1 VERSION=1 ", "a removed image is pulled whole");
    }
}

/// Measured: layers that a cut left without an image are taken over by the next pull as they are.
#[test]
fn layers_without_an_image_are_taken_over_by_the_next_pull() {
    let supply = Supply::new();
    let mut engine = MemoryEngine::new(supply.clone(), &[]);
    let (parts, manifest, id) = in_memory("1");
    supply.cut_at(2, Loss::All);
    engine.pull(&parts, &manifest).unwrap_err();
    supply.restore();
    engine.lose(Loss::All);
    assert!(!engine.has_image(&id).unwrap());
    engine.pull(&parts, &manifest).unwrap();
    let layers = engine.layers(&id).unwrap().unwrap();
    assert!(!layers.contains(&Digest::of(b"BASE=1 ")), "reading it back shows it");
    engine.remove_image(&id).unwrap();
    engine.pull(&parts, &manifest).unwrap();
    assert!(engine.layers(&id).unwrap().unwrap().contains(&Digest::of(b"BASE=1 ")));
}

/// Measured: a container is created, or runs, and what starts by itself does so before anything else runs.
#[test]
fn a_power_cut_leaves_containers_that_start_by_themselves_only_if_they_are_to() {
    for (restart, state) in [("no", "exited"), ("always", "running")] {
        let mut engine = MemoryEngine::new(Supply::new(), &[]);
        let (parts, manifest, id) = in_memory("1");
        engine.pull(&parts, &manifest).unwrap();
        engine.tag(&id, &format!("{REPOSITORY}:one")).unwrap();
        let mut compose = engine.clone();
        compose.show(OF, file("one").as_bytes()).unwrap();
        compose.up(OF).unwrap();
        let container = only(&mut engine);
        engine.set_restart(&container.id, restart).unwrap();
        engine.sync().unwrap();
        engine.lose(Loss::All);
        engine.boot();
        assert_eq!(only(&mut engine).state, state);
    }
}

#[test]
fn an_engine_that_does_not_answer_says_so_to_everything() {
    let mut engine = MemoryEngine::new(Supply::new(), &[]);
    engine
        .change(|facts| *facts = EngineFacts { silence: Some(HostFailure::Hangs), ..EngineFacts::default() });
    assert!(matches!(engine.info(), Err(HostError::Timeout(_))));
    assert!(engine.tagged("x").is_err() && engine.clone().up(OF).is_err());
}
