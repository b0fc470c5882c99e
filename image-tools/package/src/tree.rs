//! What a package installs.
use super::{About, Package, docs, elf, entry::Entry};
use anyhow::{Context, Result};
use bistable_boot::Formats;
use bistable_format::Release;
use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use std::{fs, path::Path};

const UNITS: &str = "usr/lib/systemd/system";

/// Files of `boot/files` and where they are installed. What lies directly in it (config.txt.part, cmdline-a.txt, …) is for
/// boot volumes and goes into [`EXAMPLES`].
const PLACES: [(&str, &str, u32); 29] = [
    ("systemd/bistable.service", UNITS, 0o644),
    ("systemd/bistable-api.socket", UNITS, 0o644),
    ("systemd/bistable-web.socket", UNITS, 0o644),
    ("systemd/bistable-web.service", UNITS, 0o644),
    ("systemd/bistable-resume.service", UNITS, 0o644),
    ("systemd/bistable-health.service", UNITS, 0o644),
    ("systemd/bistable-components.service", UNITS, 0o644),
    ("systemd/bistable-containers.service", UNITS, 0o644),
    ("systemd/bistable-stick@.service", UNITS, 0o644),
    ("systemd/bistable-trial.timer", UNITS, 0o644),
    ("systemd/bistable-trial.service", UNITS, 0o644),
    ("systemd/persistent.mount", UNITS, 0o644),
    ("systemd/bistable-persistent.service", UNITS, 0o644),
    ("systemd/bistable-grow.service", UNITS, 0o644),
    (
        "systemd/persistent-device.conf",
        "usr/lib/systemd/system/dev-disk-by\\x2dpartlabel-persistent.device.d",
        0o644,
    ),
    ("systemd/trial-resume.conf", "usr/lib/bistable", 0o644),
    ("systemd/trial-shell.conf", "usr/lib/bistable", 0o644),
    ("systemd/bistable-components-generator", "usr/lib/systemd/system-generators", 0o755),
    ("systemd/no-layout.conf", "usr/lib/bistable", 0o644),
    ("systemd/bistable-layout-generator", "usr/lib/systemd/system-generators", 0o755),
    ("systemd/bistable-trial-generator", "usr/lib/systemd/system-generators", 0o755),
    ("systemd/50-bistable.conf", "usr/lib/systemd/system.conf.d", 0o644),
    ("sysctl/50-bistable.conf", "usr/lib/sysctl.d", 0o644),
    ("sysusers/bistable.conf", "usr/lib/sysusers.d", 0o644),
    ("tmpfiles/bistable.conf", "usr/lib/tmpfiles.d", 0o644),
    ("udev/60-bistable.rules", "usr/lib/udev/rules.d", 0o644),
    ("udev/by-slot", "usr/lib/bistable", 0o755),
    ("udev/61-bistable-stick.rules", "usr/lib/udev/rules.d", 0o644),
    ("udev/stick", "usr/lib/bistable", 0o755),
];

/// Where the files for boot volumes are installed, for image builders.
const EXAMPLES: &str = "usr/share/bistable/boot";

/// Units that are for their owner to enable.
const OFF: [&str; 1] = ["/bistable-web.service"];

/// The maintainer that the package names.
pub(super) const MAINTAINER: &str = "The Bistable authors <bistable@example.org>";

/// Where `persistent` is mounted. In a package its script makes it: Debian has no such folder.
pub(super) const PERSISTENT: &str = "persistent";

const FOLDERS: [&str; 6] = [
    PERSISTENT,
    "usr/lib/bistable/config.d",
    "etc/bistable/config.d",
    "etc/bistable/web",
    "etc/bistable/check/required.d",
    "etc/bistable/check/wanted.d",
];

/// Every file of `boot/files`, in its place.
///
/// # Errors
/// When one can't be read.
pub fn files(workspace: &Path) -> Result<Vec<Entry>> {
    let from = workspace.join("boot/files");
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let mut entries = Vec::new();
    for (name, folder, mode) in PLACES {
        let path = from.join(name);
        let (_, file) = name.rsplit_once('/').unwrap_or(("", name));
        entries.push(Entry { path: format!("{folder}/{file}"), mode, bytes: Some(read(&path)?) });
    }
    let names = fs::read_dir(&from).with_context(|| format!("reading {}", from.display()))?;
    for name in names {
        let path = name.with_context(|| format!("reading {}", from.display()))?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|n| n.to_str())) {
            entries.push(Entry::file(format!("{EXAMPLES}/{name}"), read(&path)?));
        }
    }
    Ok(entries)
}

/// What only a device has.
fn of_device(workspace: &Path) -> Result<Vec<Entry>> {
    let mut entries = files(workspace)?;
    // From the constant, so that the file can't lag behind the program.
    entries.push(Entry::file(
        Release::FORMATS_PATH.trim_start_matches('/'),
        format!("{}\n", Formats::OURS.newest()),
    ));
    entries.extend(FOLDERS.map(Entry::folder));
    Ok(entries)
}

/// Everything that the package installs, by path.
///
/// # Errors
/// When a file of the project can't be read.
pub fn installed(workspace: &Path, about: &About, program: Vec<u8>) -> Result<Vec<Entry>> {
    let time =
        Timestamp::from_second(about.epoch).context("the time of the sources")?.to_zoned(TimeZone::UTC);
    let name = about.package.name();
    let mut entries = match about.package {
        Package::Device => of_device(workspace)?,
        Package::Host => Vec::new(),
    };
    let tag = if elf::is_position_independent(&program) {
        "shared-library-lacks-prerequisites"
    } else {
        "statically-linked-binary"
    };
    entries.push(Entry::file(format!("usr/share/lintian/overrides/{name}"), lintian(name, tag)));
    entries.push(Entry::program(format!("usr/bin/{name}"), program));
    entries.extend(docs::entries(about.package, &time.strftime("%Y-%m-%d").to_string())?);
    let changes = workspace.join("CHANGELOG.md");
    let changes = fs::read(&changes).with_context(|| format!("reading {}", changes.display()))?;
    let day = rfc2822::to_string(&time).context("the time of the sources")?;
    let version = &about.version;
    let changelog = format!(
        "{name} ({version}) unstable; urgency=medium\n\n  * Version {version}; CHANGELOG.md says what is new.\n\n -- {MAINTAINER}  {day}\n"
    );
    for (file, bytes) in [
        ("copyright", include_bytes!("debian/copyright").to_vec()),
        ("changelog.gz", docs::gzip(changelog.as_bytes())?),
        ("CHANGELOG.md.gz", docs::gzip(&changes)?),
    ] {
        entries.push(Entry::file(format!("usr/share/doc/{name}/{file}"), bytes));
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// The one thing that lintian has to put up with. It calls a static program by one name, and one that can lie anywhere in memory by another.
fn lintian(name: &str, tag: &str) -> String {
    format!(
        "# The program is static, so that one package runs on any Debian, Ubuntu and Raspberry Pi OS of its machine, and in an\n\
         # image of any age.\n\
         {name}: {tag} [usr/bin/{name}]\n"
    )
}

/// The crates that are linked into the program.
pub(super) fn third_party(package: Package, list: &str) -> Entry {
    Entry::file(format!("usr/share/doc/{}/third-party", package.name()), list)
}

/// The links that enable the units of a tree, as their [Install] sections ask for: path and target of each.
pub(super) fn enabled(tree: &[Entry]) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for entry in tree {
        let (Some(unit), Some(bytes)) = (entry.path.strip_prefix(UNITS), &entry.bytes) else { continue };
        if OFF.contains(&unit) {
            continue;
        }
        for line in String::from_utf8_lossy(bytes).lines() {
            let wish = line
                .strip_prefix("WantedBy=")
                .map(|by| (by, "wants"))
                .or_else(|| line.strip_prefix("RequiredBy=").map(|by| (by, "requires")));
            if let Some((by, how)) = wish {
                links.push((format!("etc/systemd/system/{by}.{how}{unit}"), format!("/{}", entry.path)));
            }
        }
    }
    links
}
