//! The packages as files: made the same twice, installed, and what other programs say of them.
use crate::{of, ran, run};
use bistable_package::{Arch, Entry, Package, installed, workspace};
use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What stands for a program where nothing runs it: an ELF header for that machine.
fn stand_in(folder: &Path, arch: Arch) -> PathBuf {
    let (class, machine) = match arch {
        Arch::Amd64 => (2, 62_u16),
        Arch::Arm64 => (2, 183),
        Arch::Armhf | Arch::Armv6 => (1, 40),
    };
    let mut header = [0; 64];
    header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
    header[18..20].copy_from_slice(&machine.to_le_bytes());
    let path = folder.join(format!("program-{}", arch.name()));
    fs::write(&path, header).unwrap();
    path
}

fn packager<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_bistable-package")).args(args))
}

fn package(of: Package, arch: Arch, program: &Path, out: &Path) -> PathBuf {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bistable-package"));
    ran(command
        .args(["--package", of.name(), "--arch", arch.name(), "--program"])
        .arg(program)
        .arg("--out")
        .arg(out));
    out.join(format!("{}_{}_{}.deb", of.name(), env!("CARGO_PKG_VERSION"), arch.name()))
}

/// The machine that this runs on.
fn here() -> Arch {
    if env::consts::ARCH == "aarch64" { Arch::Arm64 } else { Arch::Amd64 }
}

fn entries(package: Package) -> Vec<Entry> {
    installed(&workspace(), &of(package), b"program".to_vec()).unwrap()
}

/// What is enabled, by the package as well as by the tree.
const ENABLED: [&str; 5] = [
    "multi-user.target.wants/bistable-containers.service",
    "multi-user.target.wants/bistable-resume.service",
    "boot-complete.target.requires/bistable-resume.service",
    "boot-complete.target.requires/bistable-health.service",
    "local-fs.target.wants/persistent.mount",
];

#[test]
fn host_package_has_program_pages_and_completions_and_nothing_of_a_device() {
    let entries = entries(Package::Host);
    let paths: BTreeSet<&str> = entries.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths.len(), entries.len(), "{paths:?}");
    for path in [
        "usr/bin/bistable-image",
        "usr/share/man/man1/bistable-image.1.gz",
        "usr/share/man/man1/bistable-image-build.1.gz",
        "usr/share/man/man1/bistable-image-key-new.1.gz",
        "usr/share/man/man5/bistable-health.toml.5image.gz",
        "usr/share/bash-completion/completions/bistable-image",
        "usr/share/zsh/vendor-completions/_bistable-image",
        "usr/share/fish/vendor_completions.d/bistable-image.fish",
        "usr/share/doc/bistable-image/copyright",
        "usr/share/doc/bistable-image/changelog.gz",
    ] {
        assert!(paths.contains(path), "{path}: {paths:?}");
    }
    let other = paths.iter().find(|path| {
        !path.starts_with("usr/share/") && **path != "usr/bin/bistable-image" || path.contains("systemd")
    });
    assert_eq!(other, None);
}

/// dpkg refuses a file that another package has.
#[test]
fn both_packages_fit_on_one_computer() {
    let files = |package| {
        let entries = entries(package).into_iter().filter(|entry| entry.bytes.is_some());
        entries.map(|entry| entry.path).collect::<BTreeSet<_>>()
    };
    let [device, host] = Package::ALL.map(files);
    assert_eq!(device.intersection(&host).collect::<Vec<_>>(), [""; 0]);
    let simulated = device.iter().find(|path| path.contains("bistable-sim"));
    assert_eq!(simulated, None, "a device has no simulated Pi");
}

#[test]
fn program_for_another_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let attempt = |package: &str, program: &Path, arch: Option<&str>| {
        let mut args = vec![
            "--package",
            package,
            "--out",
            out.to_str().unwrap(),
            "--program",
            program.to_str().unwrap(),
        ];
        args.extend(arch.iter().flat_map(|arch| ["--arch", arch]));
        let out = packager(args);
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let [arm64, amd64] = [Arch::Arm64, Arch::Amd64].map(|arch| stand_in(folder.path(), arch));
    for (package, program, arch, why) in [
        ("bistable", &amd64, Some("arm64"), "it is a program for amd64, and the package is for arm64"),
        ("bistable", &amd64, None, "it is a program for amd64, and the package is for arm64"),
        ("bistable-image", &arm64, None, "it is a program for arm64, and the package is for amd64"),
        ("bistable", &arm64, Some("armv6"), "it is a program for arm64, and the package is for armv6"),
        ("bistable-image", &arm64, Some("armhf"), "bistable-image is packaged for amd64 and arm64 only"),
        ("bistable", &workspace().join("README.md"), None, "it is not a program for Linux"),
    ] {
        let (made, said) = attempt(package, program, arch);
        assert!(!made && said.contains(why), "{why}: {said}");
        assert!(!out.exists(), "{why}");
    }
    let tree = folder.path().join("tree");
    let made = packager([OsStr::new("--program"), arm64.as_ref(), OsStr::new("--tree"), tree.as_ref()]);
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_tree_has_its_units_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("new/tree");
    let program = stand_in(folder.path(), Arch::Arm64);
    let make = || packager([OsStr::new("--program"), program.as_ref(), OsStr::new("--tree"), tree.as_ref()]);
    assert!(make().status.success());
    for link in ENABLED {
        let target = fs::read_link(tree.join("etc/systemd/system").join(link)).unwrap();
        assert!(tree.join(target.strip_prefix("/").unwrap()).is_file(), "{link}");
    }
    // The web page is for the owner to enable; its socket alone does no harm.
    let web = |link: &str| tree.join("etc/systemd/system").join(link).is_symlink();
    assert!(web("sockets.target.wants/bistable-web.socket"));
    assert!(!web("multi-user.target.wants/bistable-web.service"));
    let mode = fs::metadata(tree.join("usr/bin/bistable")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert!(!make().status.success(), "what is there is not written over");
}

/// Made twice the same, with plain owners and modes; unpacked with its control files.
fn made_twice(of: Package, folder: &Path) -> PathBuf {
    let program = stand_in(folder, Arch::Arm64);
    let first = package(of, Arch::Arm64, &program, &folder.join("1"));
    let second = package(of, Arch::Arm64, &program, &folder.join("2"));
    assert!(fs::read(&first).unwrap() == fs::read(second).unwrap(), "two builds differ");
    let list = ran(Command::new("dpkg-deb").arg("--contents").arg(&first));
    for line in list.lines() {
        assert!(line.contains(" root/root "), "{line}");
        assert!(line.starts_with("drwxr-xr-x") || line.starts_with("-rw"), "{line}");
    }
    let root = folder.join("root");
    ran(Command::new("dpkg-deb").arg("--raw-extract").args([&first, &root]));
    root
}

#[test]
#[ignore = "needs dpkg-deb and deb-systemd-helper"]
fn a_package_is_made_the_same_twice_and_enables_its_units() {
    let folder = tempfile::tempdir().unwrap();
    let root = made_twice(Package::Device, folder.path());
    // As `dpkg --root` calls them.
    let script = |name: &str, arg: &str| {
        let mut script = Command::new(root.join("DEBIAN").join(name));
        ran(script.args([arg, ""]).env("DPKG_ROOT", &root).env("DPKG_MAINTSCRIPT_PACKAGE", "bistable"));
    };
    script("postinst", "configure");
    let system = root.join("etc/systemd/system");
    for link in ENABLED {
        assert!(system.join(link).is_symlink(), "{link}");
    }
    // A unit that was disabled stays disabled over upgrades.
    fs::remove_file(system.join(ENABLED[3])).unwrap();
    script("postinst", "configure");
    assert!(!system.join(ENABLED[3]).is_symlink());
    script("postrm", "purge");
    assert!(!system.join(ENABLED[0]).is_symlink());
}

/// The host's program that was built beside this test.
fn hosts_program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_bistable-package")).with_file_name("bistable-image");
    assert!(
        path.is_file(),
        "{} is missing: `cargo build --release -p bistable-image` builds it",
        path.display()
    );
    path
}

#[test]
#[ignore = "needs dpkg, man-db, bash, and to be root"]
fn host_package_installs_beside_nothing_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    made_twice(Package::Host, folder.path());
    let package = package(Package::Host, here(), &hosts_program(), folder.path());
    let system = folder.path().join("system");
    fs::create_dir_all(system.join("var/lib/dpkg/updates")).unwrap();
    fs::create_dir_all(system.join("var/lib/dpkg/info")).unwrap();
    fs::write(system.join("var/lib/dpkg/status"), "").unwrap();
    let dpkg = |args: &[&OsStr]| {
        let mut root = OsStr::new("--root=").to_owned();
        root.push(&system);
        let path = "/usr/sbin:/usr/bin:/sbin:/bin";
        ran(Command::new("dpkg")
            .arg(root)
            .args(args)
            .env("PATH", path)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    dpkg(&["--install".as_ref(), package.as_os_str()]);
    let program = system.join("usr/bin/bistable-image");
    let version = ran(Command::new(&program).arg("--version"));
    assert_eq!(version.trim(), format!("bistable-image {}", env!("CARGO_PKG_VERSION")));

    let man = |args: &[&str]| {
        let pages = system.join("usr/share/man");
        ran(Command::new("man")
            .arg("-M")
            .arg(pages)
            .args(args)
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80"))
    };
    for (page, part) in [
        ("bistable-image-flash", "EXAMPLES"),
        ("bistable-image", "EXIT STATUS"),
        ("bistable-health.toml", "DESCRIPTION"),
    ] {
        assert!(man(&[page]).contains(part), "{page}");
    }
    assert!(man(&["5", "bistable-self-test.toml"]).contains("DESCRIPTION"));
    // What the shell completes is a verb of the program.
    let script = system.join("usr/share/bash-completion/completions/bistable-image");
    let complete = "source \"$0\"; COMP_WORDS=(bistable-image pub); COMP_CWORD=1; _bistable__image bistable-image pub bistable-image; echo \"${COMPREPLY[@]}\"";
    assert_eq!(ran(Command::new("bash").args(["-c", complete]).arg(script)).trim(), "publish");

    dpkg(&["--purge".as_ref(), "bistable-image".as_ref()]);
    assert!(!program.exists());
    assert!(!system.join("usr/share/doc/bistable-image").exists());
}

/// A static, stripped program of one of the two forms that the packages' own have.
fn static_program(folder: &Path, form: &[&str]) -> PathBuf {
    let (source, program) = (folder.join("main.c"), folder.join(form.concat()));
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    ran(Command::new("cc").args(form).args(["-O2", "-s", "-o"]).arg(&program).arg(source));
    program
}

#[test]
#[ignore = "needs lintian, dpkg-deb and a C compiler"]
fn lintian_finds_nothing_but_what_is_overridden_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let forms: [(Package, &[&str]); 2] =
        [(Package::Host, &["-static-pie", "-fPIE"]), (Package::Device, &["-static", "-no-pie"])];
    for (of, form) in forms {
        let program = static_program(folder.path(), form);
        let package = package(of, here(), &program, folder.path());
        let lintian = || Command::new("lintian");
        let said = ran(lintian().args(["--allow-root", "--fail-on=error,warning"]).arg(&package));
        assert_eq!(said, "", "{}", of.name());
        let overrides: Vec<Entry> =
            entries(of).into_iter().filter(|e| e.path.starts_with("usr/share/lintian/overrides/")).collect();
        let text: String =
            overrides.iter().map(|e| String::from_utf8(e.bytes.clone().unwrap()).unwrap()).collect();
        let tags = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(tags == 1 && text.starts_with("# The program is static"), "{text}");
    }
}
