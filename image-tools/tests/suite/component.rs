//! Releases of components: one archive of a tree, the same on any machine, that a device can unpack as it is.
use crate::fixture::{Product, names, noise};
use bistable_format::archive::{ArchiveError, ArchiveReader, Entry, EntryKind, LinkError, Sink};
use bistable_format::{ArtifactId, Content, Digest, Requires};
use bistable_image::archive::{Refused, TreeError};
use bistable_image::build::{BindError, BoundRelease, BuildError, Built, Input};
use bistable_image::delta;
use bistable_image::volume::{EntryProblem, VolumeError};
use bistable_image::{BuildOptions, Silent, Threads, build, inspect, verify};
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A tree as applications have it: programs, links to them, folders, long and foreign names.
fn tree(product: &Product) -> PathBuf {
    let tree = product.path("core");
    fs::create_dir_all(tree.join("bin")).unwrap();
    fs::create_dir_all(tree.join("lib/empty")).unwrap();
    fs::write(tree.join("bin/core"), noise(7, 300_000)).unwrap();
    fs::set_permissions(tree.join("bin/core"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("core", tree.join("bin/run")).unwrap();
    symlink("../bin/core", tree.join("lib/core")).unwrap();
    fs::write(tree.join("lib/größe.txt"), "5 µm\n").unwrap();
    fs::write(tree.join("lib").join("n".repeat(180)), "long\n").unwrap();
    fs::write(tree.join("lib-a"), "after lib/\n").unwrap();
    fs::write(tree.join("none"), "").unwrap();
    tree
}

fn options(product: &Product, tree: &Path, version: &str, out: &str) -> BuildOptions {
    let mut options = product.options(out);
    options.version = version.parse().unwrap();
    options.input = Input::Tree { component: "core".into(), tree: tree.into() };
    options
}

fn built(product: &Product, tree: &Path, version: &str, out: &str) -> Result<Built, BuildError> {
    build(&options(product, tree, version, out), &Silent)
}

/// What an archive has: path, mode, time, and content or target.
#[derive(Default)]
struct Unpacked(Vec<(String, u32, u64, Vec<u8>)>);

impl Sink for Unpacked {
    type Error = Infallible;

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Infallible> {
        let content = match entry.kind {
            EntryKind::Symlink(target) => target.to_vec(),
            EntryKind::Directory => b"/".to_vec(),
            EntryKind::File => Vec::new(),
        };
        let path = String::from_utf8(entry.path.to_vec()).unwrap();
        self.0.push((path, entry.mode, entry.mtime, content));
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.last_mut().unwrap().3.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Verify a bundle as a device does, and unpack it.
fn unpacked(product: &Product, bundle: &Path) -> Unpacked {
    let reader = verify::open(bundle, &product.root.root).unwrap();
    let (mut archive, mut found) = (ArchiveReader::new(), Unpacked::default());
    reader
        .volumes(Threads::new(2), &Silent, &mut |id, _, bytes| {
            assert_eq!(id, ArtifactId::Archive);
            archive.push(bytes, &mut found).unwrap();
            Ok(())
        })
        .unwrap();
    archive.finish::<Infallible>().unwrap();
    found
}

#[test]
fn a_tree_becomes_a_release_that_verifies_and_unpacks() {
    let product = Product::new();
    let tree = tree(&product);
    let mut options = options(&product, &tree, "2.0.0", "core.bundle");
    options.requires.components = vec![("greenhouse".into(), ">=1.2".parse().unwrap())];
    options.health = "deadline_s = 60\n".into();
    let made = build(&options, &Silent).unwrap();
    assert_eq!(
        (made.release.what().as_str(), made.release.component.as_deref()),
        ("greenhouse/core", Some("core"))
    );
    let Content::Directory(directory) = &made.release.content else { panic!("{:?}", made.release.content) };
    assert_eq!(made.artifacts.len(), 1);
    assert_eq!(made.artifacts[0].artifact, directory.archive);

    let verified = verify::verify(&options.out, &product.root.root, Threads::new(2), &Silent).unwrap();
    assert_eq!(verified.release, made.release);
    let found = unpacked(&product, &options.out);
    let names: Vec<&str> = found.0.iter().map(|(path, ..)| path.as_str()).collect();
    let long = format!("lib/{}", "n".repeat(180));
    let wanted = [
        "VERSION",
        "bin",
        "bin/core",
        "bin/run",
        "lib",
        "lib/core",
        "lib/empty",
        "lib/größe.txt",
        &long,
        "lib-a",
        "none",
    ];
    let mut sorted = wanted.map(|path| path.split('/').collect::<Vec<_>>());
    sorted.sort();
    assert_eq!(names, sorted.map(|parts| parts.join("/")));
    let of = |path: &str| found.0.iter().find(|(there, ..)| there == path).unwrap();
    assert_eq!(of("VERSION").3, b"2.0.0\n");
    assert_eq!((of("bin/core").1, of("bin/core").3.clone()), (0o755, noise(7, 300_000)));
    assert_eq!((of("bin/run").1, of("bin/run").3.as_slice()), (0o777, &b"core"[..]));
    // Nothing is later than the build.
    assert!(found.0.iter().all(|(_, _, mtime, _)| *mtime == 1_700_000_000));

    let shown = inspect::inspect(&options.out, Some(&product.root.root)).unwrap();
    let inspect::Content::Bundle(file, lists) = shown.content else { panic!("{:?}", shown.content) };
    assert_eq!((file.release, lists[0].kind), (made.release, ArtifactId::Archive));
}

#[test]
fn a_directory_and_tars_of_it_give_the_same_bundle() {
    let product = Product::new();
    let tree = tree(&product);
    let first = built(&product, &tree, "2.0.0", "a.bundle").unwrap();
    let bytes = fs::read(product.path("a.bundle")).unwrap();
    // In another order of the file system, with another number of threads, from tars in any order of their entries.
    let copy = product.path("copy");
    let mut paths: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(tree.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name.clone());
            }
            paths.push((name, entry.path()));
        }
    }
    paths.sort_by(|a, b| b.cmp(a));
    let mut archive = tar::Builder::new(fs::File::create(product.path("core.tar")).unwrap());
    archive.follow_symlinks(false);
    for (name, path) in &paths {
        let to = copy.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_symlink() {
            symlink(fs::read_link(path).unwrap(), &to).unwrap();
        } else if meta.is_dir() {
            fs::create_dir_all(&to).unwrap();
            fs::set_permissions(&to, meta.permissions()).unwrap();
        } else {
            fs::copy(path, &to).unwrap();
        }
        archive.append_path_with_name(path, Path::new(".").join(name)).unwrap();
    }
    archive.into_inner().unwrap();
    for (input, threads, out) in [(&copy, 1, "b.bundle"), (&product.path("core.tar"), 5, "c.bundle")] {
        let mut options = options(&product, input, "2.0.0", out);
        options.threads = Threads::new(threads);
        assert_eq!(build(&options, &Silent).unwrap().digest, first.digest, "{out}");
        assert_eq!(fs::read(&options.out).unwrap(), bytes, "{out}");
    }
}

#[test]
fn further_names_of_a_file_become_copies() {
    let product = Product::new();
    let tree = tree(&product);
    fs::hard_link(tree.join("bin/core"), tree.join("bin/also")).unwrap();
    built(&product, &tree, "2.0.0", "x.bundle").unwrap();
    let found = unpacked(&product, &product.path("x.bundle"));
    let of = |path: &str| &found.0.iter().find(|(there, ..)| there == path).unwrap().3;
    assert_eq!(of("bin/also"), of("bin/core"));
}

#[test]
fn the_version_file_says_the_release() {
    let product = Product::new();
    let tree = tree(&product);
    let version = tree.join("VERSION");
    fs::write(&version, "2.0.0").unwrap();
    built(&product, &tree, "2.0.0", "a.bundle").unwrap();
    assert_eq!(unpacked(&product, &product.path("a.bundle")).0[0].3, b"2.0.0", "it is left as it is");
    for (text, found) in [("1.9.0\n", "1.9.0"), ("2.0.0 final", "2.0.0 final"), ("", "")] {
        fs::write(&version, text).unwrap();
        let error = built(&product, &tree, "2.0.0", "b.bundle").unwrap_err();
        let BuildError::Tree(TreeError::Version { found: there, .. }) = &error else { panic!("{error}") };
        assert_eq!(there, found);
    }
    let text = built(&product, &tree, "2.0.0", "b.bundle").unwrap_err().to_string();
    assert!(text.contains("VERSION") && text.contains("2.0.0"), "{text}");
    fs::remove_file(&version).unwrap();
    symlink("none", &version).unwrap();
    let error = built(&product, &tree, "2.0.0", "b.bundle").unwrap_err();
    assert!(matches!(error, BuildError::Tree(TreeError::NotAVersion { .. })), "{error}");
    assert!(!product.path("b.bundle").exists());
}

/// A message with all that caused it.
fn text(error: &BuildError) -> String {
    bistable_format::failure::on_one_line(error)
}

#[test]
fn what_a_device_could_not_keep_is_refused_with_its_path_and_a_way_forward() {
    type Make = fn(&Path);
    let table: &[(&str, Make, &str, &str)] = &[
        (
            "setuid",
            |t| fs::set_permissions(t.join("bin/core"), fs::Permissions::from_mode(0o4755)).unwrap(),
            "bin/core",
            "chmod",
        ),
        (
            "setgid",
            |t| fs::set_permissions(t.join("lib"), fs::Permissions::from_mode(0o2755)).unwrap(),
            "lib",
            "chmod",
        ),
        (
            "absolute link",
            |t| symlink("/usr/bin/python3", t.join("bin/python3")).unwrap(),
            "bin/python3",
            "relative",
        ),
        (
            "escaping link",
            |t| symlink("../../etc", t.join("bin/etc")).unwrap(),
            "bin/etc",
            "put the file itself there",
        ),
        (
            "climbing link",
            |t| symlink("run/../core", t.join("bin/x")).unwrap(),
            "bin/x",
            "write the target without it",
        ),
        ("pipe", |t| nix_fifo(&t.join("lib/pipe")), "lib/pipe", "RuntimeDirectory"),
        (
            "socket",
            |t| drop(std::os::unix::net::UnixListener::bind(t.join("s")).unwrap()),
            "s",
            "keep it out",
        ),
        ("control characters", |t| fs::write(t.join("a\nb"), "").unwrap(), "a", "rename it"),
        (
            "not UTF-8",
            |t| {
                use std::os::unix::ffi::OsStrExt;
                fs::write(t.join(std::ffi::OsStr::from_bytes(b"a\xff")), "").unwrap();
            },
            "a",
            "rename it",
        ),
    ];
    for (name, make, path, way) in table {
        let product = Product::new();
        let tree = tree(&product);
        make(&tree);
        let error = built(&product, &tree, "2.0.0", "x.bundle").unwrap_err();
        let text = text(&error);
        assert!(text.contains(path) && text.contains(way), "{name}: {text}");
        assert!(bistable_format::text::is_printable(&text, &[]), "{name}: {text:?}");
        assert_eq!(names(product.folder.path()), ["boot", "core", "system"], "{name}: nothing is left");
    }
}

fn nix_fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A tar with one entry after a file `a`.
fn tar_of(product: &Product, make: impl FnOnce(&mut tar::Builder<fs::File>)) -> PathBuf {
    let path = product.path("core.tar");
    let mut archive = tar::Builder::new(fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(1);
    archive.append_data(&mut header, "a", &b"a"[..]).unwrap();
    make(&mut archive);
    archive.into_inner().unwrap();
    path
}

#[test]
fn a_tar_has_each_path_once_and_nothing_that_only_root_may_make() {
    let product = Product::new();
    let twice = tar_of(&product, |archive| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(1);
        archive.append_data(&mut header, "./a", &b"b"[..]).unwrap();
    });
    let error = built(&product, &twice, "2.0.0", "x.bundle").unwrap_err();
    let BuildError::Tree(TreeError::Volume(VolumeError::Entry { entry, problem, .. })) = &error else {
        panic!("{error}")
    };
    assert_eq!((entry.trim_start_matches("./"), problem), ("a", &EntryProblem::Twice));

    let device = tar_of(&product, |archive| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Char);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_mode(0o666);
        header.set_size(0);
        archive.append_data(&mut header, "null", &b""[..]).unwrap();
    });
    let error = built(&product, &device, "2.0.0", "x.bundle").unwrap_err();
    let BuildError::Tree(TreeError::Refused { path, why, .. }) = &error else { panic!("{error}") };
    assert_eq!((path.as_str(), why), ("null", &Refused::Device));

    let capable = tar_of(&product, |archive| {
        archive.append_pax_extensions([("SCHILY.xattr.security.capability", &b"\x01\0\0\x02"[..])]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(0);
        archive.append_data(&mut header, "ping", &b""[..]).unwrap();
    });
    let error = built(&product, &capable, "2.0.0", "x.bundle").unwrap_err();
    let BuildError::Tree(TreeError::Refused { path, why, .. }) = &error else { panic!("{error}") };
    assert_eq!((path.as_str(), why), ("ping", &Refused::Capability));

    let escaping = tar_of(&product, |archive| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        archive.append_link(&mut header, "up", "..").unwrap();
    });
    let error = built(&product, &escaping, "2.0.0", "x.bundle").unwrap_err();
    let BuildError::Tree(TreeError::Rules { source: ArchiveError::Link { why, .. }, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(*why, LinkError::Escapes);
}

#[test]
fn a_tree_without_a_file_and_other_inputs_are_refused() {
    let product = Product::new();
    fs::write(product.path("x"), noise(3, 5000)).unwrap();
    let error = built(&product, &product.path("x"), "2.0.0", "x.bundle").unwrap_err();
    assert!(matches!(error, BuildError::Tree(TreeError::Volume(VolumeError::WrongInput { .. }))), "{error}");
    let error = built(&product, &product.path("nothing"), "2.0.0", "x.bundle").unwrap_err();
    assert!(matches!(error, BuildError::Tree(TreeError::Volume(VolumeError::Io { .. }))), "{error}");
    // The name of the product is that of its image, and a version is no name.
    let tree = tree(&product);
    for (component, problem) in
        [("greenhouse", "the name of its images"), ("1.0.0", "not a name"), ("Core", "not a name")]
    {
        let mut options = options(&product, &tree, "2.0.0", "x.bundle");
        options.input = Input::Tree { component: component.into(), tree: tree.clone() };
        let text = text(&build(&options, &Silent).unwrap_err());
        assert!(text.contains(problem), "{component}: {text}");
    }
}

#[test]
fn a_delta_of_an_archive_makes_every_byte_and_fetches_what_changed() {
    let product = Product::new();
    let tree = tree(&product);
    fs::write(tree.join("lib/large"), noise(9, 3_000_000)).unwrap();
    built(&product, &tree, "1.0.0", "1.bundle").unwrap();
    // 1 KiB in the middle, a new file in front of it, which shifts everything behind.
    let mut large = noise(9, 3_000_000);
    large[1_500_000..1_501_024].copy_from_slice(&noise(10, 1024));
    fs::write(tree.join("lib/large"), large).unwrap();
    fs::write(tree.join("bin/new"), noise(11, 5000)).unwrap();
    built(&product, &tree, "1.1.0", "2.bundle").unwrap();
    let options = product.delta_options();
    let made =
        delta::make(&[product.path("1.bundle")], &product.path("2.bundle"), &options, &Silent).unwrap();
    assert_eq!(made[0].path, product.path("greenhouse-core-1.1.0-from-1.0.0.delta"));
    assert_eq!(made[0].volumes[0].0, ArtifactId::Archive);
    assert!(
        made[0].bytes < 40_000 && made[0].full_bytes > 3_000_000,
        "{} of {}",
        made[0].bytes,
        made[0].full_bytes
    );
    let base = product.path("1.bundle");
    let verified =
        delta::verify(&made[0].path, Some(&base), &product.root.root, Threads::new(2), &Silent).unwrap();
    assert_eq!(verified.applied.unwrap()[0].0, ArtifactId::Archive);

    // Between an image and a component there is no delta.
    let image = product.bundle();
    let error = delta::make(&[image], &product.path("2.bundle"), &options, &Silent).unwrap_err();
    assert!(error.to_string().contains("greenhouse/core"), "{error}");
}

#[test]
fn an_archive_that_devices_refuse_does_not_verify() {
    let product = Product::new();
    let tree = tree(&product);
    let options = options(&product, &tree, "2.0.0", "x.bundle");
    build(&options, &Silent).unwrap();
    let reader = verify::open(&options.out, &product.root.root).unwrap();
    let mut check = bistable_image::archive::ArchiveCheck::of(reader.release());
    assert!(check.take(ArtifactId::Archive, &[1; 512]).is_err());
    assert!(check.finish().is_err());
    // What ends before its end.
    let check = bistable_image::archive::ArchiveCheck::of(reader.release());
    assert!(check.finish().is_err());
}

fn bound(product: &Product, bundle: &Path) -> BoundRelease {
    let verified = verify::verify(bundle, &product.root.root, Threads::new(1), &Silent).unwrap();
    BoundRelease { release: verified.release, identity: verified.digest }
}

#[test]
fn an_image_names_the_components_that_it_brings_along() {
    let product = Product::new();
    let tree = tree(&product);
    let mut core = options(&product, &tree, "2.0.0", "core.bundle");
    core.requires.components = vec![("greenhouse".into(), "^1.2".parse().unwrap())];
    let made = build(&core, &Silent).unwrap();
    let core = bound(&product, &core.out);
    let mut image = product.options("image.bundle");
    image.binds = vec![core.clone()];
    let built_image = build(&image, &Silent).unwrap();
    let [only] = built_image.release.bound.as_slice() else { panic!("{:?}", built_image.release.bound) };
    assert_eq!(
        (only.component.as_str(), &only.version, only.identity),
        ("core", &made.release.version, made.digest)
    );

    let refused = |change: &dyn Fn(&mut BuildOptions)| {
        let mut options = product.options("refused.bundle");
        options.binds = vec![core.clone()];
        change(&mut options);
        match build(&options, &Silent).unwrap_err() {
            BuildError::Bind(e) => e,
            other => panic!("{other}"),
        }
    };
    let twice = refused(&|o| o.binds.push(o.binds[0].clone()));
    assert!(twice.to_string().contains("core is there twice"), "{twice}");
    let other = refused(&|o| o.version = "2.0.0".parse().unwrap());
    assert!(
        other.to_string().contains("core 2.0.0 requires greenhouse ^1.2, and greenhouse is 2.0.0"),
        "{other}"
    );
    let conflict = refused(&|o| {
        o.requires =
            Requires { conflicts: vec![("core".into(), "<3".parse().unwrap())], ..Requires::default() };
    });
    assert!(conflict.to_string().contains("greenhouse 1.2.3 does not go with core <3"), "{conflict}");
    assert!(
        matches!(refused(&|o| o.boards.push("pi5".into())), BindError::Board { board, .. } if board == "pi5")
    );
    assert!(matches!(refused(&|o| o.product = "shed".into()), BindError::NotAComponent { .. }));
    let image = bound(&product, &image.out);
    assert!(matches!(refused(&|o| o.binds = vec![image.clone()]), BindError::NotAComponent { .. }));
}

#[test]
fn the_digest_of_a_component_is_known() {
    // Whoever changes one byte of what is archived sees it here.
    let product = Product::new();
    let folder = product.path("plain");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let made = built(&product, &folder, "1.0.0", "x.bundle").unwrap();
    let mut wanted = Vec::new();
    for (path, mode, content) in [("VERSION", 0o644, "1.0.0\n"), ("run", 0o755, "#!/bin/sh\n")] {
        let mut header = tar::Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        // Six digits, as POSIX has it, and not seven.
        let sum = header.cksum().unwrap();
        header.as_mut_bytes()[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        wanted.extend_from_slice(header.as_bytes());
        wanted.extend_from_slice(content.as_bytes());
        wanted.resize(wanted.len().next_multiple_of(512), 0);
    }
    wanted.resize(wanted.len() + 1024, 0);
    assert_eq!(made.artifacts[0].artifact.bytes, wanted.len() as u64);
    assert_eq!(made.artifacts[0].artifact.digest, Digest::of(&wanted), "as the tar crate writes it");
}
