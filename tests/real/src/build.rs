//! From the two systems to a card: keys, bundles, what their releases say.
use super::{
    Effort,
    claim::Claim,
    meter::Metered,
    report::{Build, Volume},
    workdir::{PRISTINE, Version, Workdir},
};
use anyhow::{Context, Result, ensure};
use bistable_boot::{
    Slot,
    layout::{ALIGN, Partition},
};
use bistable_kit::{program::Program, put};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

/// A volume, as the signed release describes it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) raw_bytes: u64,
    pub(super) raw_sha256: String,
    pub(super) data_sha256: String,
}

impl Image {
    /// Where it lies in a slot.
    pub(super) fn partition(&self, slot: Slot) -> Partition {
        if self.name == "boot" { Partition::Boot(slot) } else { Partition::System(slot) }
    }
}

/// The build time of both releases: a fixed day, so that two builds are equal.
const EPOCH: &str = "1764547200";
const REPEATED: &str = "repeated.bundle";

const SELF_TESTS: &str = r#"# What a greenhouse controller is wired like.
[[test]]
name = "valve-relay"
kind = "loopback"
out = 17
in = 27

[[test]]
name = "lid-contact"
kind = "level"
pin = 22
pull = "up"
expect = "low"

[[test]]
name = "fan"
kind = "pulse"
pin = 24
min_hz = 20
max_hz = 200
window_ms = 500
"#;

const HEALTH: &str = r#"deadline_s = 60
settle_s = 10

[[check]]
name = "application"
kind = "unit"
unit = "greenhouse.service"
"#;

const WORLD: &str = r#"board = "pi4"

[gpio]
wires = [[17, 27]]
stuck_low = [22]
pulse = [{ pin = 24, hz = 87 }]

[units]
"greenhouse.service" = "active"
"#;

/// What `build --json` and `inspect --json` say.
#[derive(Debug, Deserialize)]
struct Built {
    bytes: u64,
    seconds: f64,
    assemble_seconds: f64,
    volumes: Vec<Volume>,
}

#[derive(Debug, Deserialize)]
struct Inspected {
    volumes: Vec<Image>,
}

fn host(line: &str) -> Metered {
    Metered::new(Program::Host, line).with("SOURCE_DATE_EPOCH", EPOCH)
}

/// Keys, root, plan and profile.
pub(super) fn keys(desk: &Workdir) -> Result<()> {
    let names = ["root-1", "root-2", "root-3", "release", "channel"];
    for name in names {
        host(&format!("key new --demo --out {name}")).run(&desk.folder, 0)?;
    }
    host(
        "root new --out root.root --root-key root-1.pub --root-key root-2.pub --root-key root-3.pub --threshold root=2 \
         --release-key release.pub --channel-key channel.pub --sign root-1.key --sign root-2.key",
    )
    .run(&desk.folder, 0)?;
    put(&desk.path("self-tests.toml"), SELF_TESTS.as_bytes())?;
    put(&desk.path("health.toml"), HEALTH.as_bytes())
}

/// Build and verify both bundles.
pub(super) fn bundles(desk: &Workdir, effort: Effort) -> Result<Vec<Build>> {
    [Version::Old, Version::New]
        .into_iter()
        .map(|version| {
            let made = bundle(desk, version, &version.bundle(), effort, "")?;
            host(&format!("verify {} --root root.root", version.bundle())).run(&desk.folder, 0)?;
            Ok(made)
        })
        .collect()
}

fn bundle(desk: &Workdir, version: Version, out: &str, effort: Effort, more: &str) -> Result<Build> {
    let input = desk.input(version);
    let level = effort.level.map_or_else(String::new, |level| format!("--level {level}"));
    let line = format!(
        "build --json --progress none --product greenhouse --version {} --board pi4 --board pi5 --self-tests self-tests.toml \
         --health health.toml --key release.key --root root.root --out {out} {level} {more}",
        version.number(),
    );
    let ended =
        host(&line).arg("--system").arg(&input.system).arg("--boot").arg(&input.boot).run(&desk.folder, 0)?;
    let built: Built = serde_json::from_str(&ended.stdout).context("reading what build said")?;
    Ok(Build {
        version: version.number().into(),
        tar_bytes: file_bytes(&input.system)?,
        boot_bytes: folder_bytes(&input.boot)?,
        volumes: built.volumes,
        bundle_bytes: built.bytes,
        assemble_seconds: built.assemble_seconds,
        seconds: built.seconds,
        peak_bytes: ended.cost.peak_bytes,
    })
}

/// Build the old release once more, on one thread, and compare.
pub(super) fn same_bytes(desk: &Workdir, effort: Effort) -> Result<Claim> {
    bundle(desk, Version::Old, REPEATED, effort, "--threads 1")?;
    let [first, second] = [Version::Old.bundle().as_str(), REPEATED].map(|name| sha256(&desk.path(name)));
    let (first, second) = (first?, second?);
    let mut findings = Vec::new();
    if first != second {
        findings.push(format!("all threads: sha256 {first}; one thread: {second}"));
    }
    let repeated = desk.path(REPEATED);
    fs::remove_file(&repeated).with_context(|| repeated.display().to_string())?;
    Ok(Claim::new("a second build on one thread gives the same bytes", findings))
}

/// What a bundle's release says of its volumes.
pub(super) fn images(desk: &Workdir, version: Version) -> Result<Vec<Image>> {
    let line = format!("inspect --json {} --root root.root", version.bundle());
    let ended = host(&line).run(&desk.folder, 0)?;
    let inspected: Inspected = serde_json::from_str(&ended.stdout).context("reading what inspect said")?;
    Ok(inspected.volumes)
}

/// Make the card from the old release, with room in the slots for a quarter more than the larger of the two has.
pub(super) fn card(desk: &Workdir) -> Result<()> {
    let mut sizes = String::new();
    let (old, new) = (images(desk, Version::Old)?, images(desk, Version::New)?);
    for image in &old {
        let others = new.iter().filter(|other| other.name == image.name).map(|other| other.raw_bytes);
        let bytes = others.chain([image.raw_bytes]).max().unwrap_or_default();
        let slot = (bytes + bytes / 4).next_multiple_of(ALIGN);
        sizes.push_str(&format!(" --slot-size {}={}M", image.name, slot >> 20));
    }
    let bundle = Version::Old.bundle();
    let line =
        format!("card --bundle {bundle} --root root.root --allow-demo --no-agent --out {PRISTINE}{sizes}");
    host(&line).run(&desk.folder, 0)?;
    let config = desk.path("card.img.sim/root/etc/bistable/config.d");
    fs::create_dir_all(&config).with_context(|| config.display().to_string())?;
    put(&config.join("50-desk.toml"), b"# A desk, not production.\nallow_demo_keys = true\n")?;
    put(&desk.path("card.img.sim/world.toml"), WORLD.as_bytes())
}

/// SHA-256 of a file in hexadecimal digits.
fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut sha = Sha256::new();
    let mut part = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut part).with_context(|| path.display().to_string())?;
        if read == 0 {
            return Ok(bistable_kit::hex::hex(&sha.finalize()));
        }
        sha.update(part.get(..read).unwrap_or_default());
    }
}

fn file_bytes(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| path.display().to_string())?.len())
}

fn folder_bytes(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry.with_context(|| path.display().to_string())?;
        let kind = entry.metadata().with_context(|| entry.path().display().to_string())?;
        bytes += if kind.is_dir() { folder_bytes(&entry.path())? } else { kind.len() };
    }
    ensure!(bytes > 0, "{} is empty", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_and_the_profile_are_valid() {
        bistable_format::selftest::Plan::parse(SELF_TESTS).unwrap();
        bistable_format::health::Profile::parse(HEALTH).unwrap();
    }
}
