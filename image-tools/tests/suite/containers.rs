//! Releases of containers: whatever an image was saved with, a device gets the same layers, each once, and a manifest of its own.
use crate::fixture::{Product, names, noise};
use crate::saved_image::{Layout, Packed, archive, config, docker_archive, layer, with};
use bistable_format::compose::{ComposeError, Problem};
use bistable_format::content::Containers;
use bistable_format::{ArtifactId, Content, Digest};
use bistable_image::build::{BuildError, Built, Input};
use bistable_image::delta;
use bistable_image::oci::{ImageArg, ImageProblem, OciError};
use bistable_image::volume::VolumeError;
use bistable_image::{BuildOptions, Existing, Silent, Threads, build, verify};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const COMPOSE: &str =
    "# ü\nservices:\n  scheduler:\n    image: ghcr.io/x/scheduler:1.0\n    restart: always\n";
const TWO: &str = "services:\n  web:\n    image: x/web:2\n  scheduler:\n    image: ghcr.io/x/scheduler:1.0\n";

fn base() -> Vec<u8> {
    layer(&[("bin/sh", &noise(3, 400_000)), ("etc/os", b"ID=test\n")])
}

fn top(version: &str) -> Vec<u8> {
    layer(&[("run", &noise(4, 200_000)), ("VERSION", version.as_bytes())])
}

fn options(product: &Product, compose: &str, images: &[&str], out: &str) -> BuildOptions {
    let file = product.path("compose.yaml");
    fs::write(&file, compose).unwrap();
    let parse = |image: &&str| -> ImageArg {
        let mut image: ImageArg = image.parse().unwrap();
        image.source.path = product.path(image.source.path.to_str().unwrap());
        image
    };
    let mut options = product.options(out);
    options.input = Input::Containers {
        component: "scheduler".into(),
        compose: file,
        images: images.iter().map(parse).collect(),
        platform: "linux/arm64".parse().unwrap(),
    };
    options
}

fn built(product: &Product, compose: &str, images: &[&str], out: &str) -> Result<Built, BuildError> {
    build(&options(product, compose, images, out), &Silent)
}

fn refused(product: &Product, image: &str) -> ImageProblem {
    match built(product, COMPOSE, &[image], "x.bundle").unwrap_err() {
        BuildError::Images(OciError::Image { problem, .. }) => {
            assert!(!product.path("x.bundle").exists());
            problem
        }
        other => panic!("{other:?}"),
    }
}

fn containers(built: &Built) -> &Containers {
    match &built.release.content {
        Content::Containers(containers) => containers,
        other => panic!("{other:?}"),
    }
}

/// An entry of a bundle, with nothing but `tar`.
fn entry(bundle: &Path, digest: &Digest) -> Vec<u8> {
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with(digest.to_string()) {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            return bytes;
        }
    }
    panic!("no entry {digest}");
}

#[test]
fn the_sbom_of_containers_has_the_packages_of_all_images() {
    use bistable_image::build::SbomSource;
    let product = Product::new();
    let status = |version: &str| format!("Package: busybox\nVersion: {version}\n");
    let lower = layer(&[
        ("var/lib/dpkg/status.d/busybox", status("1").as_bytes()),
        ("opt/six.dist-info/METADATA", b"Name: six\nVersion: 1.16\n\n"),
    ]);
    let upper =
        layer(&[("var/lib/dpkg/status.d/busybox", status("2").as_bytes()), ("opt/.wh.six.dist-info", b"")]);
    let other = layer(&[("lib/idna.dist-info/METADATA", b"Name: idna\nVersion: 3\n\n")]);
    for (name, layers) in [("web", &[lower, upper][..]), ("scheduler", &[other])] {
        let layout = Layout::new(product.path(name));
        let manifest = layout.image("arm64", layers, Packed::Gzip);
        layout.index(&[manifest]);
    }
    let mut options = options(&product, TWO, &["web=oci:web", "scheduler=oci:scheduler"], "x.bundle");
    options.sbom = SbomSource::Auto;
    let built = build(&options, &Silent).unwrap();
    let packages: Vec<String> =
        built.sbom.unwrap().packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
    assert_eq!(packages, ["busybox 2", "idna 3"]);
    verify::verify(&product.path("x.bundle"), &product.root.root, Threads::new(2), &Silent).unwrap();
    // The bundle has it among its entries, before the data.
    let file = built.release.sbom_file().unwrap();
    assert_eq!(entry(&product.path("x.bundle"), &file.digest).len() as u64, u64::from(file.bytes));
}

#[test]
fn an_image_becomes_layers_its_configuration_and_a_manifest_over_both() {
    let product = Product::new();
    let (layers, layout) = ([base(), top("1")], Layout::new(product.path("image")));
    let manifest = layout.image("arm64", &layers, Packed::Gzip);
    layout.index(&[manifest]);
    let made = built(&product, COMPOSE, &["oci:image"], "x.bundle").unwrap();
    assert_eq!(made.release.what(), "greenhouse/scheduler");
    let found = containers(&made);
    let digests: Vec<Digest> = found.layers.iter().map(|layer| layer.digest).collect();
    assert_eq!(digests, layers.each_ref().map(|layer| Digest::of(layer)), "a layer's digest is its diff_id");

    verify::verify(&product.path("x.bundle"), &product.root.root, Threads::new(2), &Silent).unwrap();
    let mut raw = vec![Vec::new(); 2];
    let reader = verify::open(&product.path("x.bundle"), &product.root.root).unwrap();
    reader
        .volumes(Threads::new(1), &Silent, &mut |id, _, bytes| {
            let ArtifactId::Layer(number) = id else { panic!("{id}") };
            raw[usize::from(number) - 1].extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    assert!(raw == layers, "a device gets the layers without compression");

    // What an engine will pull, by its digest.
    let service = &found.services[0];
    assert_eq!(service.name, "scheduler");
    let manifest = entry(&product.path("x.bundle"), &service.manifest);
    assert_eq!(Digest::of(&manifest), service.manifest);
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let config = config("arm64", &layers).to_string();
    let tar = |layer: &Vec<u8>| {
        let digest = format!("sha256:{}", Digest::of(layer));
        json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": layer.len()})
    };
    let wanted = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": format!("sha256:{}", Digest::of(config.as_bytes())), "size": config.len(),
        },
        "layers": layers.iter().map(tar).collect::<Vec<_>>(),
    });
    assert_eq!(manifest, wanted);
    assert_eq!(entry(&product.path("x.bundle"), &Digest::of(config.as_bytes())), config.as_bytes());
    assert_eq!(found.blobs.len(), 2);
}

#[test]
fn however_an_image_was_saved_it_is_the_same_bundle() {
    let product = Product::new();
    let layers = [base(), top("1"), base()];
    let image = config("arm64", &layers);
    for (folder, how) in [("plain", Packed::Plain), ("gzip", Packed::Gzip), ("zstd", Packed::Zstd)] {
        let layout = Layout::new(product.path(folder));
        layout.index(&[layout.image_of(&image, &layers, how)]);
    }
    let nested = Layout::new(product.path("nested"));
    let ours = nested.image_of(&image, &layers, Packed::Gzip);
    let ours = with(ours, &json!({"platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}));
    // Of the other platform, and of the statement about the image, only the manifests are there.
    let other = with(
        nested.image("amd64", &[top("amd64")], Packed::Gzip),
        &json!({"platform": {"os": "linux", "architecture": "amd64"}}),
    );
    let statement = with(
        nested.image("unknown", &[], Packed::Plain),
        &json!({"platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}),
    );
    nested.index(&[nested.nested(&[other, nested.nested(&[ours, statement])])]);
    archive(&product.path("nested"), &product.path("nested.tar"));
    docker_archive(
        &product.path("docker.tar"),
        &[("other:1", config("amd64", &[top("x")]), &[top("x")]), ("s:1", image, &layers)],
    );
    let gz = {
        let bytes = fs::read(product.path("docker.tar")).unwrap();
        crate::saved_image::packed(Packed::Gzip, &bytes).0
    };
    fs::write(product.path("docker.tar.gz"), gz).unwrap();

    let first = built(&product, COMPOSE, &["plain"], "first.bundle").unwrap();
    assert_eq!(containers(&first).layers.len(), 2, "a layer that comes twice is there once");
    let bytes = fs::read(product.path("first.bundle")).unwrap();
    for (image, threads) in [
        ("oci:gzip", 1),
        ("scheduler=oci:zstd", 5),
        ("nested", 2),
        ("oci-archive:nested.tar", 2),
        ("docker-archive:docker.tar", 2),
        ("docker.tar.gz", 2),
    ] {
        let mut options = options(&product, COMPOSE, &[image], "again.bundle");
        (options.threads, options.existing) = (Threads::new(threads), Existing::Replace);
        assert_eq!(build(&options, &Silent).unwrap().digest, first.digest, "{image}");
        assert!(fs::read(product.path("again.bundle")).unwrap() == bytes, "{image}");
    }
}

#[test]
fn services_share_layers_and_their_order_changes_nothing() {
    let product = Product::new();
    let (web, scheduler) = (Layout::new(product.path("web")), Layout::new(product.path("scheduler")));
    web.index(&[web.image("arm64", &[base(), top("web")], Packed::Gzip)]);
    scheduler.index(&[scheduler.image("arm64", &[base(), top("1")], Packed::Zstd)]);
    let images = ["web=web", "scheduler=scheduler"];
    let first = built(&product, TWO, &images, "first.bundle").unwrap();
    let found = containers(&first);
    assert_eq!(found.services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["scheduler", "web"]);
    let layers = [base(), top("1"), top("web")].map(|layer| Digest::of(&layer));
    assert_eq!(found.layers.iter().map(|layer| layer.digest).collect::<Vec<_>>(), layers);
    assert_eq!(found.blobs.len(), 4);
    let turned = "services:\n  scheduler: {image: 'ghcr.io/x/scheduler:1.0'}\n  web: {image: 'x/web:2'}\n";
    let again = built(&product, turned, &["scheduler=scheduler", "web=web"], "again.bundle").unwrap();
    assert_eq!(again.digest, first.digest);
    // The same image for two services.
    let same = built(&product, TWO, &["web=web", "scheduler=web"], "same.bundle").unwrap();
    assert_eq!((containers(&same).layers.len(), containers(&same).blobs.len()), (2, 2));
}

#[test]
fn of_several_images_the_one_is_taken_that_the_file_names() {
    let product = Product::new();
    let layout = Layout::new(product.path("several"));
    let named = |name: &str, version: &str| {
        let image = layout.image("arm64", &[top(version)], Packed::Gzip);
        with(image, &json!({"annotations": {"org.opencontainers.image.ref.name": name}}))
    };
    layout.index(&[named("0.9", "0.9"), named("1.0", "1.0"), named("ghcr.io/x/web:1.0", "web")]);
    let made = built(&product, COMPOSE, &["several"], "a.bundle").unwrap();
    assert_eq!(containers(&made).layers[0].digest, Digest::of(&top("1.0")));
    let docker = [("x/web:2", top("web")), ("busybox:latest", top("b"))];
    let images = docker
        .each_ref()
        .map(|(name, l)| (*name, config("arm64", std::slice::from_ref(l)), std::slice::from_ref(l)));
    docker_archive(&product.path("two.tar"), &images);
    let compose = "services: {s: {image: docker.io/library/busybox}}";
    let made = built(&product, compose, &["two.tar"], "b.bundle").unwrap();
    assert_eq!(containers(&made).layers[0].digest, Digest::of(&top("b")));
    let names = vec!["x/web:2".into(), "busybox:latest".into()];
    assert_eq!(
        refused(&product, "two.tar"),
        ImageProblem::Which { reference: "ghcr.io/x/scheduler:1.0".into(), names }
    );
}

#[test]
fn an_image_of_another_platform_is_refused_by_name() {
    let product = Product::new();
    let layout = Layout::new(product.path("image"));
    let platform = |text: &str| text.parse::<bistable_image::oci::Platform>().unwrap();
    let found = |names: &[&str]| ImageProblem::Platform {
        wanted: platform("linux/arm64"),
        found: names.iter().map(|name| platform(name)).collect(),
    };
    let amd64 = layout.image("amd64", &[top("1")], Packed::Gzip);
    let arm = layout.image("arm", &[top("1")], Packed::Gzip);
    layout.index(&[amd64.clone(), arm]);
    let problem = refused(&product, "image");
    assert_eq!(problem, found(&["linux/amd64", "linux/arm"]));
    assert!(problem.to_string().contains("linux/amd64, linux/arm"), "{problem}");
    // An index that says something else than the image.
    layout.index(&[with(amd64, &json!({"platform": {"os": "linux", "architecture": "arm64"}}))]);
    assert_eq!(refused(&product, "image"), found(&["linux/amd64"]));
    docker_archive(&product.path("d.tar"), &[("s:1", config("amd64", &[top("1")]), &[top("1")])]);
    assert_eq!(refused(&product, "d.tar"), found(&["linux/amd64"]));
    layout.index(&[]);
    assert_eq!(refused(&product, "image"), found(&[]));
    let mut options = options(&product, COMPOSE, &["d.tar"], "a.bundle");
    if let Input::Containers { platform: wanted, .. } = &mut options.input {
        *wanted = platform("linux/amd64");
    }
    build(&options, &Silent).unwrap();
}

/// A layout with one image, and something wrong with it.
fn spoiled(product: &Product, spoil: impl FnOnce(&Layout, &[Vec<u8>], Value)) -> ImageProblem {
    let folder = product.path("image");
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    let (layout, layers) = (Layout::new(folder), [base(), top("1")]);
    let manifest = layout.image("arm64", &layers, Packed::Gzip);
    layout.index(std::slice::from_ref(&manifest));
    spoil(&layout, &layers, manifest);
    refused(product, "image")
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_digest_is_verified() {
    let product = Product::new();
    let is_damaged = |problem: &ImageProblem| matches!(problem, ImageProblem::Digest { .. });
    let problem = spoiled(&product, |layout, _, manifest| flip(&layout.file(&manifest)));
    assert!(is_damaged(&problem), "{problem}");
    for part in ["/config", "/layers/0", "/layers/1"] {
        let problem = spoiled(&product, |layout, _, manifest| {
            let manifest: Value = serde_json::from_slice(&fs::read(layout.file(&manifest)).unwrap()).unwrap();
            flip(&layout.file(manifest.pointer(part).unwrap()));
        });
        assert!(is_damaged(&problem), "{part}: {problem}");
        let problem = spoiled(&product, |layout, _, manifest| {
            let manifest: Value = serde_json::from_slice(&fs::read(layout.file(&manifest)).unwrap()).unwrap();
            let file = layout.file(manifest.pointer(part).unwrap());
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        });
        assert!(matches!(problem, ImageProblem::Size { .. }), "{part}: {problem}");
        let problem = spoiled(&product, |layout, _, manifest| {
            let manifest: Value = serde_json::from_slice(&fs::read(layout.file(&manifest)).unwrap()).unwrap();
            fs::remove_file(layout.file(manifest.pointer(part).unwrap())).unwrap();
        });
        assert!(matches!(problem, ImageProblem::Missing { .. }), "{part}: {problem}");
    }
    // Layers that are whole, and not those of the configuration.
    let problem = spoiled(&product, |layout, layers, _| {
        let turned = [layers[1].clone(), layers[0].clone()];
        layout.index(&[layout.image_of(&config("arm64", layers), &turned, Packed::Zstd)]);
    });
    let ImageProblem::DiffId { wanted, found, .. } = problem else { panic!("{problem}") };
    assert_eq!((wanted, found), (Digest::of(&base()), Digest::of(&top("1"))));
    // `docker save` names no digests of layers: the configuration has them, and its name is its own.
    docker_archive(&product.path("d.tar"), &[("s:1", config("arm64", &[base()]), &[top("1")])]);
    assert!(matches!(refused(&product, "d.tar"), ImageProblem::DiffId { .. }));
    let bytes = fs::read(product.path("d.tar")).unwrap();
    let at = bytes.windows(6).position(|w| w == b"\"/run\"").unwrap();
    fs::write(product.path("d.tar"), [&bytes[..at], b"\"/bin\"", &bytes[at + 6..]].concat()).unwrap();
    assert!(is_damaged(&refused(&product, "d.tar")));
}

#[test]
fn documents_that_are_not_what_they_should_be_are_refused() {
    let product = Product::new();
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let write = |name: &'static str, text: String| {
        move |layout: &Layout, _: &[Vec<u8>], _: Value| fs::write(layout.0.join(name), text).unwrap()
    };
    let problem = spoiled(&product, write("index.json", "[".into()));
    assert!(matches!(problem, ImageProblem::Json { .. }), "{problem}");
    let problem = spoiled(&product, write("index.json", "[".repeat(100_000)));
    assert!(matches!(problem, ImageProblem::Json { .. }), "{problem}");
    let problem = spoiled(&product, write("index.json", " ".repeat((1 << 20) + 1)));
    assert!(matches!(problem, ImageProblem::TooLarge { bytes: 1_048_577, .. }), "{problem}");
    let problem = spoiled(&product, write("oci-layout", r#"{"imageLayoutVersion":"2.0.0\u001b"}"#.into()));
    assert_eq!(problem, ImageProblem::Layout { version: "2.0.0\u{fffd}".into() });
    let problem = spoiled(&product, |layout, _, _| fs::remove_file(layout.0.join("oci-layout")).unwrap());
    assert_eq!(problem, ImageProblem::NotAnImage);
    let problem = spoiled(&product, |layout, _, manifest| {
        layout.index(&[with(manifest, &json!({"digest": format!("sha512:{}", "0".repeat(128))}))]);
    });
    assert!(matches!(problem, ImageProblem::Algorithm { .. }), "{problem}");
    let problem = spoiled(&product, |layout, _, manifest| {
        layout.index(&[with(manifest, &json!({"digest": "sha256:../../../../etc/passwd"}))]);
    });
    assert!(matches!(problem, ImageProblem::Algorithm { .. }), "{problem}");
    let problem = spoiled(&product, |layout, _, manifest| {
        let at_4 = (0..4).fold(manifest, |inner, _| layout.nested(&[inner]));
        layout.index(&[at_4]);
    });
    assert_eq!(problem, ImageProblem::Depth { limit: 4 });
    let problem = spoiled(&product, |layout, _, manifest| layout.index(&vec![manifest; 257]));
    assert_eq!(problem, ImageProblem::TooMany { limit: 256 });
    let problem = spoiled(&product, |layout, _, manifest| {
        layout.index(&[with(manifest, &json!({"mediaType": "text/html"}))]);
    });
    assert_eq!(problem, ImageProblem::MediaType { what: "an entry of the index", found: "text/html".into() });
    // Something that is stored like an image.
    let problem = spoiled(&product, |layout, _, _| {
        let config = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
        layout.index(&[
            layout.document(manifest_type, &json!({"schemaVersion": 2, "config": config, "layers": []}))
        ]);
    });
    assert!(
        matches!(problem, ImageProblem::MediaType { what: "the configuration of an image", .. }),
        "{problem}"
    );
    let problem = spoiled(&product, |layout, layers, _| {
        layout.index(&[layout.image_of(&config("arm64", layers), &layers[..1], Packed::Gzip)]);
    });
    assert_eq!(problem, ImageProblem::Layers { layers: 1, diff_ids: 2, limit: 128 });
}

#[test]
fn layers_that_engines_do_not_take_are_refused() {
    let product = Product::new();
    let with_layer = |product: &Product, bytes: &[u8], media_type: &str, raw: &[u8], fields: Value| {
        spoiled(product, |layout, _, _| {
            let config = layout
                .document("application/vnd.oci.image.config.v1+json", &config("arm64", &[raw.to_vec()]));
            let blob = with(layout.blob(media_type, bytes), &fields);
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": [blob]});
            layout.index(&[layout.document("application/vnd.oci.image.manifest.v1+json", &manifest)]);
        })
    };
    let (tar, plain) = ("application/vnd.oci.image.layer.v1.tar", json!({}));
    let problem = with_layer(&product, b"text", tar, b"text", plain.clone());
    assert!(matches!(problem, ImageProblem::NotATar { .. }), "{problem}");
    let problem = with_layer(&product, b"", tar, b"", plain.clone());
    assert!(matches!(problem, ImageProblem::NotATar { .. }), "{problem}");
    let xz = [b"\xfd7zXZ\0".as_slice(), &[0; 100]].concat();
    let problem = with_layer(&product, &xz, tar, &xz, plain.clone());
    assert!(matches!(problem, ImageProblem::Compression { .. }), "{problem}");
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    let problem = with_layer(&product, &top("1"), encrypted, &top("1"), plain);
    assert_eq!(problem, ImageProblem::MediaType { what: "a layer", found: encrypted.into() });
    let problem =
        with_layer(&product, &top("1"), tar, &top("1"), json!({"urls": ["https://example.com/layer"]}));
    assert!(matches!(problem, ImageProblem::Foreign { .. }), "{problem}");
    // A file of nothing but a hole, larger than any layer, whose size the manifest repeats: it is refused before it is read.
    let problem = spoiled(&product, |layout, _, _| {
        let blob = layout.blob(tar, b"x");
        fs::File::options().write(true).open(layout.file(&blob)).unwrap().set_len((8 << 30) + 1).unwrap();
        let blob = with(blob, &json!({"size": (8_u64 << 30) + 1}));
        let config =
            layout.document("application/vnd.oci.image.config.v1+json", &config("arm64", &[top("1")]));
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [blob]});
        layout.index(&[layout.document("application/vnd.oci.image.manifest.v1+json", &manifest)]);
    });
    assert!(matches!(problem, ImageProblem::LayerTooLarge { limit: 0x2_0000_0000, .. }), "{problem}");
    for how in [Packed::Gzip, Packed::Zstd] {
        let (bytes, media_type) = crate::saved_image::packed(how, &top("1"));
        let cut = &bytes[..bytes.len() - 9];
        let problem = with_layer(&product, cut, media_type, &top("1"), json!({}));
        assert!(matches!(problem, ImageProblem::Unreadable { .. }), "{how:?}: {problem}");
    }
}

#[test]
fn hostile_archives_are_refused() {
    let product = Product::new();
    let tar = |name: &str, entries: &[(&str, tar::EntryType, &str)]| {
        let mut tar = tar::Builder::new(fs::File::create(product.path(name)).unwrap());
        for (path, kind, target) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            let content = if *kind == tar::EntryType::Regular { target.as_bytes() } else { b"" };
            header.set_size(content.len() as u64);
            if content.is_empty() {
                header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            }
            header.set_cksum();
            tar.append(&header, content).unwrap();
        }
        tar.into_inner().unwrap();
    };
    let (file, link) = (tar::EntryType::Regular, tar::EntryType::Symlink);
    let manifest = r#"[{"Config":"c.json","Layers":[]}]"#;
    tar(
        "loop.tar",
        &[("manifest.json", file, manifest), ("c.json", link, "d.json"), ("d.json", link, "c.json")],
    );
    assert_eq!(refused(&product, "loop.tar"), ImageProblem::Links { path: "c.json".into() });
    for (name, target) in
        [("out.tar", "../../etc/passwd"), ("absolute.tar", "/etc/passwd"), ("nowhere.tar", "x")]
    {
        tar(name, &[("manifest.json", file, manifest), ("c.json", link, target)]);
        assert_eq!(refused(&product, name), ImageProblem::Missing { path: "c.json".into() }, "{name}");
    }
    tar("parent.tar", &[("../manifest.json", file, manifest)]);
    tar("twice.tar", &[("manifest.json", file, manifest), ("manifest.json", file, manifest)]);
    tar("device.tar", &[("manifest.json", file, manifest), ("x", tar::EntryType::new(b'M'), "")]);
    fs::write(product.path("cut.tar"), &fs::read(product.path("twice.tar")).unwrap()[..1000]).unwrap();
    fs::write(product.path("text"), "no archive\n").unwrap();
    fs::write(product.path("empty"), "").unwrap();
    for name in ["parent.tar", "twice.tar", "device.tar", "cut.tar", "text", "empty", "missing"] {
        let error = built(&product, COMPOSE, &[name], "x.bundle").unwrap_err();
        let BuildError::Images(OciError::Volume(error)) = error else { panic!("{name}: {error:?}") };
        assert!(error.to_string().contains(name), "{error}");
        assert!(!matches!(error, VolumeError::Internal(_)));
    }
    tar("none.tar", &[("x", file, "y")]);
    assert_eq!(refused(&product, "none.tar"), ImageProblem::NotAnImage);
    assert_eq!(names(product.folder.path()).iter().filter(|name| name.ends_with(".bundle")).count(), 0);
}

#[test]
fn every_service_gets_one_image() {
    let product = Product::new();
    let layout = Layout::new(product.path("image"));
    layout.index(&[layout.image("arm64", &[top("1")], Packed::Gzip)]);
    let error =
        |compose: &str, images: &[&str]| match built(&product, compose, images, "x.bundle").unwrap_err() {
            BuildError::Images(error) => error,
            other => panic!("{other:?}"),
        };
    let missing = error(TWO, &["scheduler=image"]);
    assert!(matches!(&missing, OciError::NoImage { service, line: 3, .. } if service == "web"), "{missing}");
    let which = error(TWO, &["image", "web=image"]);
    assert!(matches!(which, OciError::WhichService { .. }), "{which}");
    let twice = error(COMPOSE, &["image", "scheduler=image"]);
    assert!(matches!(&twice, OciError::Twice { service } if service == "scheduler"), "{twice}");
    let OciError::Compose { source, .. } = error(COMPOSE, &["core=image"]) else { panic!() };
    assert_eq!(*source, ComposeError::NoService { name: "core".into(), services: vec!["scheduler".into()] });
    let OciError::Compose { source, .. } = error("services: {s: {image: 'x:${TAG}'}}", &["image"]) else {
        panic!()
    };
    assert!(matches!(*source, ComposeError::Service { problem: Problem::Variable { .. }, .. }), "{source}");
    let long = format!("{COMPOSE}# {}", "x".repeat(70_000));
    assert!(matches!(error(&long, &["image"]), OciError::Read { .. }));
}

#[test]
fn a_changed_top_layer_costs_its_change_and_nothing_below() {
    let product = Product::new();
    let layout = Layout::new(product.path("image"));
    let large = layer(&[("lib", &noise(8, 3_000_000))]);
    for (version, out) in [("1.0.0", "old.bundle"), ("1.1.0", "new.bundle")] {
        let mut content = noise(9, 1_000_000);
        content[500_000..500_010].copy_from_slice(format!("{version:10}").as_bytes());
        layout.index(&[layout.image("arm64", &[large.clone(), layer(&[("app", &content)])], Packed::Gzip)]);
        let mut options = options(&product, COMPOSE, &["image"], out);
        options.version = version.parse().unwrap();
        build(&options, &Silent).unwrap();
    }
    let options = product.delta_options();
    let made =
        delta::make(&[product.path("old.bundle")], &product.path("new.bundle"), &options, &Silent).unwrap();
    let bytes: Vec<u64> = made[0].delta.artifacts.iter().map(|artifact| artifact.data_bytes).collect();
    assert_eq!(made[0].delta.artifacts[0].name, "layer-1");
    assert_eq!(bytes[0], 0, "the layer below is copied");
    assert!(bytes[1] < 2_000, "{} bytes for a change of ten", bytes[1]);
}
