//! The story: one chapter for each thing that can happen to a device.
use super::{Options, material, tell};
use anyhow::{Context, Result, ensure};
use bistable_kit::program::{Call, Program};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

const PRODUCT: &str = "hub";
const CARD: &str = "card.img";

const SELF_TESTS: &str = include_str!("self-tests.toml");
const HEALTH: &str = include_str!("health.toml");
const CORE_HEALTH: &str = include_str!("../../example/core-health.toml");
const WORLD: &str = include_str!("world.toml");

/// Everything that the chapters share.
struct Story<'a> {
    folder: &'a Path,
    system: PathBuf,
    boot: PathBuf,
    /// The system is the demo's own copy, so releases can differ.
    own: bool,
    chapter: usize,
}

pub(super) fn live(folder: &Path, options: &Options) -> Result<()> {
    let start = now();
    let mut story = begin(folder, options)?;
    keys(&mut story)?;
    releases(&mut story)?;
    application(&mut story)?;
    card(&mut story)?;
    component(&mut story)?;
    good(&mut story)?;
    sick(&mut story)?;
    unwired(&mut story)?;
    power(&mut story)?;
    tell::end(&format!(
        "That was a device's life: its application updated without a reboot, and a bad version of it taken back; 1.1.0 committed,\n\
         1.2.0 reverted by itself, 1.3.0 refused before the boot flag moved, and then installed after all, through a power cut.\n\
         {:.0} s. Everything is in {}:",
        start.elapsed().as_secs_f64(),
        folder.display()
    ));
    tell::why(
        "  cd there, put the programs on your PATH (`cargo install --path .` and `--path image-tools`), and go on:\n  \
           bistable --card card.img status",
    );
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "only tells a person how long a step took")]
fn now() -> Instant {
    Instant::now()
}

impl Story<'_> {
    fn begin(&mut self, title: &str) {
        self.chapter += 1;
        tell::chapter(self.chapter, title);
    }

    /// Run a program as a person would, and insist on how it ends. `SYSTEM` and `BOOT` stand for the inputs.
    fn call(&self, program: Program, line: &str, want: i32) -> Result<()> {
        let word = |word| match word {
            "SYSTEM" => self.system.clone(),
            "BOOT" => self.boot.clone(),
            word => PathBuf::from(word),
        };
        let call = Call::new(program, line.split_whitespace().map(word));
        let typed = call.typed(self.folder);
        tell::command(&typed);
        let start = now();
        let code = call.run(self.folder)?;
        tell::took(start.elapsed());
        ensure!(code == want, "`{typed}` ended with {code}, and the demo expects {want}");
        Ok(())
    }

    fn host(&self, line: &str) -> Result<()> {
        self.call(Program::Host, line, 0)
    }

    fn device(&self, line: &str, want: i32) -> Result<()> {
        self.call(Program::Device, &format!("--card {CARD} {line}"), want)
    }
}

fn begin<'a>(folder: &'a Path, options: &Options) -> Result<Story<'a>> {
    let full = |path: &Path| fs::canonicalize(path).with_context(|| path.display().to_string());
    let mut story =
        Story { folder, system: folder.join("system"), boot: folder.join("boot"), own: false, chapter: 0 };
    match &options.system {
        Some(path) => story.system = full(path)?,
        None => {
            let from = material::copy_system(&story.system)?;
            story.own = true;
            tell::why(&format!(
                "The root file system of this demo is a copy of this machine's {}; use your own with\n  \
                 cargo demo -- --system DIR|TAR|IMG --boot DIR|IMG",
                from.display()
            ));
        }
    }
    match &options.boot {
        Some(path) => story.boot = full(path)?,
        None => material::boot(&story.boot)?,
    }
    material::put(&folder.join("self-tests.toml"), SELF_TESTS)?;
    material::put(&folder.join("health.toml"), HEALTH)?;
    material::put(&folder.join("core-health.toml"), CORE_HEALTH)?;
    Ok(story)
}

fn keys(story: &mut Story<'_>) -> Result<()> {
    story.begin("Keys, and the root of trust");
    tell::why(
        "Once in a product's life. Root keys stay offline; the release key signs images. These are demo keys: a\ndevice in production refuses them.",
    );
    for name in ["root-1", "root-2", "root-3", "release", "channel"] {
        story.host(&format!("key new --demo --out {name}"))?;
    }
    story.host(
        "root new --out root.root --root-key root-1.pub --root-key root-2.pub --root-key root-3.pub --threshold root=2 \
         --release-key release.pub --channel-key channel.pub --sign root-1.key --sign root-2.key",
    )
}

fn releases(story: &mut Story<'_>) -> Result<()> {
    story.begin("Releases: a root file system and a boot volume become one signed bundle");
    for version in ["1.0.0", "1.1.0"] {
        build(story, version)?;
    }
    story.host("inspect hub-1.1.0.bundle --root root.root")?;
    story.host("verify hub-1.1.0.bundle --root root.root")
}

fn build(story: &Story<'_>, version: &str) -> Result<()> {
    if story.own {
        material::application(&story.system, version)?;
        material::overlay(&story.system)?;
    }
    story.host(&format!(
        "build --product {PRODUCT} --version {version} --board pi4 --board pi5 --level 3 --system SYSTEM --boot BOOT \
         --self-tests self-tests.toml --health health.toml --key release.key --root root.root \
         --out hub-{version}.bundle"
    ))
}

fn card(story: &mut Story<'_>) -> Result<()> {
    story.begin("A card: flash it once, ship the device");
    tell::why("The application is on the card, so that the device runs it from its first boot.");
    story.host(&format!(
        "card --bundle hub-1.0.0.bundle --component hub-core-2.0.0.bundle --root root.root --allow-demo --no-agent --out {CARD}"
    ))?;
    let sim = story.folder.join("card.img.sim");
    let config = sim.join("root/etc/bistable/config.d");
    fs::create_dir_all(&config)?;
    material::put(&config.join("50-demo.toml"), "# A desk, not production.\nallow_demo_keys = true\n")?;
    material::overlay(&sim.join("root"))?;
    material::put(&sim.join("world.toml"), WORLD)?;
    tell::why(
        "The virtual Pi is wired as card.img.sim/world.toml says: GPIO17 to GPIO27, a closed door contact, a fan.",
    );
    story.device("status", 0)
}

fn application(story: &mut Story<'_>) -> Result<()> {
    story.begin("An application in a folder of its own, which changes more often than the system");
    material::core(&story.folder.join("core"))?;
    build_core(story, "2.0.0")
}

fn build_core(story: &Story<'_>, version: &str) -> Result<()> {
    story.host(&format!(
        "build --component core --kind directory --tree core --product {PRODUCT} --version {version} --board pi4 --board pi5 \
         --health core-health.toml --key release.key --root root.root --out hub-core-{version}.bundle"
    ))
}

fn component(story: &mut Story<'_>) -> Result<()> {
    story.begin("The application is updated without a reboot; a version that is sick is taken back");
    tell::why("systemd runs this at each boot, before the services.");
    story.device("component links", 0)?;
    story.device("component show core", 0)?;
    build_core(story, "2.1.0")?;
    story.device("component update core hub-core-2.1.0.bundle", 0)?;
    tell::why(
        "The service of 2.2.0 ends at once. The old version runs again, and this release is known to be bad.",
    );
    build_core(story, "2.2.0")?;
    story.device("component update core hub-core-2.2.0.bundle", 8)?;
    story.device("component list", 0)
}

fn good(story: &mut Story<'_>) -> Result<()> {
    story.begin("A good release: staged, self-tested, armed, tried, committed");
    story.device("preflight", 0)?;
    story.device("install hub-1.1.0.bundle", 0)?;
    tell::why("Slot A runs on, untouched. Slot B was written, flushed, and read back past the page cache.");
    story.device("self-test", 0)?;
    story.device("arm", 0)?;
    story.device("status", 0)?;
    story.device("reboot", 0)?;
    story.device("status", 0)?;
    tell::why(
        "Now the boot unit of the new system runs `bistable resume`: only health makes the trial permanent.",
    );
    story.device("resume", 0)?;
    story.device("status", 0)
}

fn sick(story: &mut Story<'_>) -> Result<()> {
    story.begin("A release that fails its health check: reverted by itself");
    build(story, "1.2.0")?;
    story.device("update hub-1.2.0.bundle", 0)?;
    tell::why(
        "The boot unit of 1.2.0 finds its application failed. It never became the default, so going back is a reboot.",
    );
    story.device("resume", 8)?;
    tell::why("The old system is back; its boot unit finishes the revert.");
    story.device("resume", 0)?;
    story.device("status", 0)?;
    tell::why("The same release again is refused: this device knows it.");
    story.device("update hub-1.2.0.bundle", 6)
}

fn unwired(story: &mut Story<'_>) -> Result<()> {
    story.begin("A wire comes off: refused by a self-test, before the boot flag moved");
    build(story, "1.3.0")?;
    story.device("sim unwire 17", 0)?;
    story.device("update hub-1.3.0.bundle", 7)?;
    story.device("status", 0)
}

fn power(story: &mut Story<'_>) -> Result<()> {
    story.begin("The wire is back, and the power fails in the middle of a write");
    story.device("sim wire 17 27", 0)?;
    tell::why(
        "The device rejected 1.3.0; a person may ask for it again. The power will fail while the journal is written:\n\
         half of one of its two copies is new, half is old.",
    );
    story.device("sim cut --at-write 2", 0)?;
    story.device("update --retry-rejected hub-1.3.0.bundle", 1)?;
    story.device("sim power on", 0)?;
    story.device("status", 0)?;
    tell::why(
        "One copy is torn, the other one counts: slot B boots as ever. The same command goes on from there.",
    );
    story.device("update --retry-rejected hub-1.3.0.bundle", 0)?;
    story.device("resume", 0)?;
    story.device("status", 0)?;
    story.device("history", 0)
}
