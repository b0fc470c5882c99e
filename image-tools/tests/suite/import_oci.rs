//! `import oci://…` and `build --image oci://…`: against a stand-in with the servers that large registries have, and against a real
//! registry into which skopeo pushes.
use crate::fixture::{Product, names, noise};
use bistable_format::{Content, Digest};
use bistable_image::{Silent, Threads, verify};
use bistable_kit::registry::{Fault, Registry};
use bistable_kit::web_server::Reply;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::slice::from_ref;
use std::time::Duration;

const COMPOSE: &str = "services:\n  scheduler:\n    image: registry.example.com/acme/scheduler:1.0\n";

/// A computer that pulls.
struct Desk {
    product: Product,
}

impl Desk {
    fn new() -> Desk {
        let product = Product::new();
        product.write_keys();
        fs::write(product.path("compose.yaml"), COMPOSE).unwrap();
        Desk { product }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.product.path(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bistable-image"));
        command
            .current_dir(self.product.folder.path())
            .args(args)
            .args(["--json", "--progress", "quiet", "--component", "scheduler", "--product", "greenhouse"])
            .args([
                "--board",
                "pi4",
                "--level",
                "1",
                "--force",
                "--compose",
                "compose.yaml",
                "--cache",
                "cache",
            ])
            .args(["--key", "release.key", "--root", "root.root", "--out", "scheduler.bundle"])
            .env("SOURCE_DATE_EPOCH", "1000000000")
            .env("REGISTRY_AUTH_FILE", self.path("auth.json"));
        command
    }

    fn import(&self, source: &str, args: &[&str]) -> Output {
        self.command(&[&["import", source][..], args].concat()).output().unwrap()
    }

    /// The layers of the bundle, by their digests.
    fn layers(&self) -> Vec<Digest> {
        let root = &self.product.root.root;
        let found = verify::verify(&self.path("scheduler.bundle"), root, Threads::new(1), &Silent).unwrap();
        let Content::Containers(content) = &found.release.content else { panic!("{:?}", found.release) };
        content.layers.iter().map(|layer| layer.digest).collect()
    }
}

fn code(out: &Output) -> i32 {
    out.status.code().unwrap()
}

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn field(out: &Output, name: &str) -> String {
    let value: serde_json::Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"));
    let at = name.split('/').fold(&value, |value, name| match name.parse::<usize>() {
        Ok(n) => &value[n],
        Err(_) => &value[name],
    });
    at.as_str().map_or_else(|| at.to_string(), Into::into)
}

/// A layer: a tar with one file.
fn layer(seed: u64, bytes: usize) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, format!("bin/{seed}"), noise(seed, bytes).as_slice()).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn the_newest_tag_of_all_pages_is_pulled_for_the_platform_and_pinned() {
    let (desk, registry) = (Desk::new(), Registry::new());
    let (base, amd, arm) = (layer(1, 50_000), layer(2, 10_000), layer(3, 20_000));
    for tag in ["1.0", "1.9.0", "latest", "2026-11-30", "2.0.0-rc1"] {
        registry.push(tag, &[("arm64", &[layer(9, 100)])]);
    }
    let index =
        registry.push("v1.10.0", &[("amd64", &[base.clone(), amd]), ("arm64", &[base.clone(), arm.clone()])]);
    registry.page(2);
    let out = desk.import(&registry.name(), &[]);
    assert_eq!(code(&out), 0, "{out:?}");
    assert_eq!(field(&out, "source"), format!("{}@{index}", registry.name()));
    assert_eq!((field(&out, "tag").as_str(), field(&out, "bundle/version").as_str()), ("v1.10.0", "1.10.0"));
    assert_eq!(format!("sha256:{}", field(&out, "sha256")), index);
    assert_eq!(desk.layers(), [&base, &arm].map(|layer| Digest::of(layer)));
    // One token for all questions; of the other platform nothing is read.
    assert_eq!(registry.tokens().len(), 1);
    assert_eq!(registry.downloads().len(), 3);
    assert_eq!(names(&desk.path("cache")), ["answers", "files"]);
    assert_eq!(names(&desk.path("cache/files")), [""; 0]);
    let found = bistable_image::inspect::inspect(&desk.path("scheduler.bundle"), None).unwrap();
    let bistable_image::inspect::Content::Bundle(file, _) = found.content else { panic!("no bundle") };
    assert_eq!(file.release.origin, format!("{}@{index} (v1.10.0)", registry.name()));
}

#[test]
fn a_tag_that_moves_meanwhile_changes_nothing() {
    let (desk, registry) = (Desk::new(), Registry::new());
    let (old, new) = (layer(1, 50_000), layer(2, 50_000));
    let evil = registry.push("1.1.0", &[("amd64", from_ref(&new)), ("arm64", from_ref(&new))]);
    let first = registry.push("1.0.0", &[("amd64", from_ref(&old)), ("arm64", from_ref(&old))]);
    registry.moves("1.0.0", &evil);
    let out = desk.import(&format!("{}:1.0.0", registry.name()), &[]);
    assert_eq!(code(&out), 0, "{out:?}");
    assert_eq!(desk.layers(), [Digest::of(&old)]);
    assert!(field(&out, "source").ends_with(&first), "{out:?}");
    // By its digest it is the same, and needs a version.
    let pinned = field(&out, "source");
    let bundle = fs::read(desk.path("scheduler.bundle")).unwrap();
    let out = desk.import(&pinned, &[]);
    assert_eq!((code(&out), text(&out).contains("names no version: give --version")), (2, true), "{out:?}");
    assert_eq!(code(&desk.import(&pinned, &["--version", "1.0.0"])), 0);
    assert_eq!(desk.layers(), [Digest::of(&old)]);
    assert_ne!(bundle, fs::read(desk.path("scheduler.bundle")).unwrap(), "the origin says no tag");
    for (source, there, wanted) in [("1.0.0", "1.0.0", 3), ("1.0.0", "2", 3), ("1.0.0", "0.9", 0)] {
        let out = desk.import(&format!("{}:{source}", registry.name()), &["--newer-than", there]);
        assert_eq!(code(&out), wanted, "{there}: {out:?}");
    }
}

#[test]
fn a_private_image_is_pulled_with_the_stored_login_which_only_the_token_server_gets() {
    let (desk, registry) = (Desk::new(), Registry::new());
    registry.push("1.0.0", &[("arm64", &[layer(1, 1000)])]);
    registry.private("YWRhOnNlY3JldA==");
    let source = format!("{}:1.0.0", registry.name());
    let out = desk.import(&source, &[]);
    assert_eq!(code(&out), 1, "{out:?}");
    assert!(text(&out).contains("access is refused (401): log in with `podman login`"), "{out:?}");
    let login = format!(r#"{{"auths":{{"{}":{{"auth":"YWRhOnNlY3JldA=="}}}}}}"#, registry.host());
    fs::write(desk.path("auth.json"), login).unwrap();
    registry.forget();
    assert_eq!(code(&desk.import(&source, &[])), 0);
    let basic = |e: &bistable_kit::web_server::Exchange| {
        e.request.header("authorization").is_some_and(|value| value.starts_with("Basic"))
    };
    assert!(registry.tokens().iter().all(basic) && !registry.asked().iter().any(basic));
    assert!(registry.downloads().iter().all(|e| e.request.header("authorization").is_none()));
}

#[test]
fn layers_that_are_cut_off_are_resumed_and_damaged_ones_refused() {
    let (desk, registry) = (Desk::new(), Registry::new());
    let big = layer(1, 200_000);
    registry.push("1.0.0", &[("arm64", from_ref(&big))]);
    let source = format!("{}:1.0.0", registry.name());
    // The configuration comes first.
    registry.fail([Fault::Cut(0), Fault::Cut(10), Fault::Cut(100)]);
    assert_eq!(code(&desk.import(&source, &[])), 0);
    let ranges: Vec<_> = registry.downloads().iter().map(|e| e.request.range()).collect();
    assert_eq!(ranges[..3], [None, None, Some(10)], "{ranges:?}");
    assert_eq!(desk.layers(), [Digest::of(&big)]);
    registry.fail([Fault::Damaged]);
    let out = desk.import(&source, &[]);
    assert_eq!((code(&out), text(&out).contains("its SHA-256 is")), (5, true), "{out:?}");
    registry.fail_manifest(br#"{"config":{"digest":"sha256:x","size":1}}"#);
    let out = desk.import(&source, &[]);
    assert_eq!((code(&out), text(&out).contains("its SHA-256 is")), (5, true), "{out:?}");
    registry.fail(std::iter::repeat_n(Fault::Answer(Reply::new(503, "")), 4));
    assert_eq!(code(&desk.import(&source, &[])), 75);
    registry.fail([Fault::Answer(Reply::new(429, "").header("Retry-After", "3600"))]);
    assert_eq!(code(&desk.import(&source, &[])), 75);
    assert_eq!(code(&desk.import(&source, &[])), 0);
}

#[test]
fn what_is_not_meant_is_refused_with_what_to_do() {
    let (desk, registry) = (Desk::new(), Registry::new());
    registry.push("1.0.0", &[("amd64", &[layer(1, 1000)]), ("riscv64", &[layer(1, 1000)])]);
    registry.push("1.1.0", &[("amd64", &[layer(1, 1000)])]);
    registry.push("nightly", &[("arm64", &[layer(1, 1000)])]);
    let tagged = |tag: &str| format!("{}:{tag}", registry.name());
    for (source, args, wanted, says) in [
        (
            tagged("1.0.0"),
            &[][..],
            1,
            "no image for linux/arm64; it has linux/amd64, linux/riscv64: build it for linux/arm64",
        ),
        (tagged("1.1.0"), &[], 1, "no image for linux/arm64; it has linux/amd64"),
        (tagged("1.0.0"), &["--platform", "linux/amd64"], 0, ""),
        (tagged("nightly"), &[], 2, "tag \"nightly\" is not a version"),
        (tagged("nightly"), &["--version", "1.0.7"], 0, ""),
        (tagged("9.9"), &[], 1, "there is no such thing, or it is private"),
        (registry.name(), &["--tag-prefix", "v"], 3, "no tag names a version, such as \"1.0.0\""),
        (registry.name(), &["--strip", "1"], 2, "--strip does not apply to an image of a registry"),
        ("oci://127.0.0.1:9/acme/x:1".into(), &[], 75, "127.0.0.1:9"),
        ("oci://acme".into(), &[], 2, "give oci://HOST/NAME"),
    ] {
        let out = desk.import(&source, args);
        assert_eq!(code(&out), wanted, "{source} {args:?}: {out:?}");
        assert!(text(&out).contains(says), "{source} {args:?}: {out:?}");
    }
    let mut command = desk.command(&["import", "github:acme/core", "--service", "scheduler"]);
    let out = command.output().unwrap();
    assert!(text(&out).contains("--compose does not apply to a file of a release at GitHub"), "{out:?}");
}

#[test]
fn a_build_pulls_images_for_its_services_and_what_they_share_once() {
    let (desk, registry) = (Desk::new(), Registry::new());
    let (base, top) = (layer(1, 50_000), layer(2, 1000));
    let first = registry.push("1.0", &[("arm64", from_ref(&base))]);
    let second = registry.push("2.0", &[("arm64", &[base.clone(), top.clone()])]);
    fs::write(desk.path("compose.yaml"), "services:\n  a:\n    image: x/a:1\n  b:\n    image: x/b:2\n")
        .unwrap();
    let images = [format!("a={}:1.0", registry.name()), format!("b={}:2.0", registry.name())];
    let args =
        ["build", "--kind", "containers", "--version", "1.0.0", "--image", &images[0], "--image", &images[1]];
    let out = desk.command(&args).output().unwrap();
    assert_eq!(code(&out), 0, "{out:?}");
    for (n, (service, tag, digest)) in [("a", "1.0", &first), ("b", "2.0", &second)].into_iter().enumerate() {
        assert_eq!(field(&out, &format!("images/{n}/service")), service);
        assert_eq!(field(&out, &format!("images/{n}/tag")), tag);
        assert_eq!(field(&out, &format!("images/{n}/source")), format!("{}@{digest}", registry.name()));
    }
    assert_eq!(desk.layers(), [&base, &top].map(|layer| Digest::of(layer)));
    // Two configurations, and two layers instead of three.
    assert_eq!(registry.downloads().len(), 4);
}

/// A real registry, which ends with this value.
struct Real {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Real {
    fn start() -> Real {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            folder.path().join("data").display()
        );
        fs::write(folder.path().join("reg.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("reg.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry (Debian's package)");
        for _ in 0..300 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Real { child, port, _folder: folder }
    }

    /// Push an OCI layout under a tag.
    fn push(&self, layout: &Path, tag: &str) {
        let to = format!("docker://127.0.0.1:{}/acme/scheduler:{tag}", self.port);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--all", "--insecure-policy", "--dest-tls-verify=false"]);
        let out = skopeo.arg(format!("oci:{}", layout.display())).arg(to).output().expect("skopeo");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    fn name(&self) -> String {
        format!("oci://127.0.0.1:{}/acme/scheduler", self.port)
    }

    /// What skopeo says that a tag names.
    fn digest(&self, tag: &str) -> String {
        let from = format!("docker://127.0.0.1:{}/acme/scheduler:{tag}", self.port);
        let mut skopeo = Command::new("skopeo");
        let raw = skopeo.args(["inspect", "--raw", "--tls-verify=false", &from]).output().unwrap();
        format!("sha256:{}", Digest::of(&raw.stdout))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A layout with one image of this platform over these layers, compressed by gzip as most are.
fn layout(folder: &Path, architecture: &str, layers: &[Vec<u8>]) {
    use std::io::Write;
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.to_string()), bytes).unwrap();
        format!(r#""digest":"sha256:{digest}","size":{}"#, bytes.len())
    };
    let packed: Vec<Vec<u8>> = layers
        .iter()
        .map(|layer| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(layer).unwrap();
            gzip.finish().unwrap()
        })
        .collect();
    let diff_ids: Vec<String> =
        layers.iter().map(|layer| format!("\"sha256:{}\"", Digest::of(layer))).collect();
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{"Cmd":["/bin/1"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    let named: Vec<String> = packed
        .iter()
        .map(|layer| {
            format!(r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",{}}}"#, put(layer))
        })
        .collect();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json",{}}},"layers":[{}]}}"#,
        put(config.as_bytes()),
        named.join(",")
    );
    let entry = format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json",{}}}"#,
        put(manifest.as_bytes())
    );
    fs::write(folder.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#)).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
#[ignore = "needs docker-registry and skopeo"]
fn a_real_registry_gives_what_skopeo_pushed() {
    let (desk, real) = (Desk::new(), Real::start());
    let (base, top) = (layer(1, 300_000), layer(2, 50_000));
    let folder = desk.path("layout");
    layout(&folder, "arm64", &[base.clone(), top.clone()]);
    for tag in ["1.0.0", "v1.2", "latest", "1.1.0"] {
        real.push(&folder, tag);
    }
    // More tags than a page has.
    for n in 0..3 {
        real.push(&folder, &format!("build-{n}"));
    }
    let out = desk.import(&real.name(), &[]);
    assert_eq!(code(&out), 0, "{out:?}");
    assert_eq!((field(&out, "tag").as_str(), field(&out, "bundle/version").as_str()), ("v1.2", "1.2.0"));
    assert_eq!(format!("sha256:{}", field(&out, "sha256")), real.digest("v1.2"));
    assert_eq!(desk.layers(), [&base, &top].map(|layer| Digest::of(layer)));
    let out = desk.import(&format!("{}:1.0.0", real.name()), &["--platform", "linux/amd64"]);
    assert_eq!((code(&out), text(&out).contains("linux/arm64")), (1, true), "{out:?}");
    // The same release as of the saved image.
    let pulled = desk.layers();
    let image = format!("oci:{}", folder.display());
    let args = ["build", "--kind", "containers", "--version", "1.2.0", "--image", &image];
    assert_eq!(code(&desk.command(&args).output().unwrap()), 0);
    assert_eq!(desk.layers(), pulled);
}

/// The images of a bundle as an OCI layout: its layers as they are verified, its manifests and configurations.
fn layout_of_bundle(desk: &Desk, folder: &Path) -> Vec<(String, Digest)> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let reader = verify::open(&desk.path("scheduler.bundle"), &desk.product.root.root).unwrap();
    let Content::Containers(content) = reader.release().content.clone() else { panic!("no containers") };
    let mut layers = std::collections::BTreeMap::<String, Vec<u8>>::new();
    reader
        .volumes(Threads::new(1), &Silent, &mut |id, _, bytes| {
            layers.entry(id.to_string()).or_default().extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    assert_eq!(layers.len(), content.layers.len());
    for layer in layers.values() {
        fs::write(blobs.join(Digest::of(layer).to_string()), layer).unwrap();
    }
    // The bundle is a tar of a layout itself: documents are in it as they are.
    let mut archive = tar::Archive::new(fs::File::open(desk.path("scheduler.bundle")).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let named = content.blobs.iter().find(|blob| path.ends_with(blob.digest.to_string()));
        if let Some(blob) = named {
            std::io::copy(&mut entry, &mut fs::File::create(blobs.join(blob.digest.to_string())).unwrap())
                .unwrap();
        }
    }
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let entries: Vec<String> = content
        .services
        .iter()
        .map(|service| {
            let size = fs::metadata(blobs.join(service.manifest.to_string())).unwrap().len();
            format!(
                r#"{{"mediaType":"{kind}","digest":"sha256:{}","size":{size},"annotations":{{"org.opencontainers.image.ref.name":"{}"}}}}"#,
                service.manifest, service.name
            )
        })
        .collect();
    fs::write(
        folder.join("index.json"),
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(",")),
    )
    .unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    content.services.into_iter().map(|service| (service.name, service.manifest)).collect()
}

/// Run a tool in a folder, and give what it prints.
fn tool(folder: &Path, program: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs docker-registry, skopeo and podman"]
fn engines_read_the_images_of_a_bundle_and_find_the_signed_digests() {
    let (desk, real) = (Desk::new(), Real::start());
    let (base, top) = (layer(1, 300_000), layer(2, 50_000));
    let folder = desk.path("layout");
    layout(&folder, "arm64", &[base, top]);
    real.push(&folder, "1.0.0");
    assert_eq!(code(&desk.import(&format!("{}:1.0.0", real.name()), &[])), 0);
    let made = desk.path("made");
    let services = layout_of_bundle(&desk, &made);
    let [(name, manifest)] = services.as_slice() else { panic!("{services:?}") };

    // Podman makes a name of the path, so it is a short one.
    let top = desk.product.folder.path();
    // Skopeo reads the layout, and a registry takes it without a change.
    let from = format!("oci:made:{name}");
    let seen: serde_json::Value = serde_json::from_str(&tool(top, "skopeo", &["inspect", &from])).unwrap();
    assert_eq!(seen["Digest"], format!("sha256:{manifest}"));
    assert_eq!((&seen["Architecture"], seen["Layers"].as_array().unwrap().len()), (&"arm64".into(), 2));
    let to = format!("docker://127.0.0.1:{}/made/scheduler:1", real.port);
    let copy = ["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", "--preserve-digests"];
    tool(top, "skopeo", &[&copy[..], &[&from, &to]].concat());

    // Podman pulls it from the layout, and by its digest from the registry; both are the signed manifest.
    let (store, run) = (desk.path("store"), desk.path("run"));
    let (store, run) = (store.display().to_string(), run.display().to_string());
    let podman = |args: &[&str]| {
        let places = ["--root", &store, "--runroot", &run, "--storage-driver", "vfs"];
        tool(top, "podman", &[&places[..], args].concat())
    };
    let id = podman(&["pull", "--quiet", &from]);
    let digest = podman(&["image", "inspect", "--format", "{{.Digest}}", &id]);
    assert_eq!(digest, format!("sha256:{manifest}"));
    let by_digest = format!("127.0.0.1:{}/made/scheduler@sha256:{manifest}", real.port);
    assert_eq!(podman(&["pull", "--quiet", "--tls-verify=false", "--arch", "arm64", &by_digest]), id);
    // The file of the upper layer is in the image's tree.
    let mounted = podman(&["image", "mount", &id]);
    assert_eq!(fs::metadata(Path::new(&mounted).join("bin/2")).unwrap().len(), 50_000);
    podman(&["image", "umount", &id]);
}
