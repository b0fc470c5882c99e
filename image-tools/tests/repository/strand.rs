//! A root that would leave devices without what is on offer is not published, and the commands that are printed prevent it.
use crate::cli::state_of;
use serde_json::Value;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// A company with keys `root-1`, `release` and `channel`, and hub 1.1.0 in the channels staging and production.
struct Company {
    folder: TempDir,
}

impl Company {
    fn new() -> Company {
        let company = Company { folder: tempfile::tempdir().unwrap() };
        for folder in ["system/etc", "boot"] {
            fs::create_dir_all(company.folder.path().join(folder)).unwrap();
        }
        fs::write(company.folder.path().join("boot/config.txt"), "arm_64bit=1\n").unwrap();
        for key in ["root-1", "release", "channel"] {
            company.ok(&format!("key new --out {key}"));
        }
        company.ok(
            "root new --out 1.root --root-key root-1.pub --release-key release.pub --channel-key channel.pub --sign root-1.key --yes-weak",
        );
        company.ok("repo init --root 1.root");
        company.build("1.1.0", "release");
        company.ok("publish hub-1.1.0.bundle");
        company.ok("promote staging production 1.1.0");
        company
    }

    fn build(&self, version: &str, key: &str) {
        fs::write(self.folder.path().join("system/etc/version"), version).unwrap();
        self.ok(&format!(
            "build --product hub --version {version} --board pi4 --system system --boot boot --boot-size 4M --level 1 --key {key}.key \
             --root 1.root --out hub-{version}.bundle"
        ));
    }

    /// Standard output and standard error of a command line.
    #[track_caller]
    fn ends(&self, line: &str, code: i32) -> (String, String) {
        let repo = self.folder.path().join("repository");
        let out = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
            .args(line.split_whitespace())
            .args(["--progress", "quiet"])
            .env("BISTABLE_REPO", &repo)
            .env("BISTABLE_STATE_DIR", state_of(repo.to_str().unwrap()))
            .env("BISTABLE_CHANNEL_KEY", "channel.key")
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(out.stdout), text(out.stderr));
        assert_eq!(out.status.code(), Some(code), "{line}\n{stdout}\n{stderr}");
        (stdout, stderr)
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        self.ends(line, 0).0
    }

    #[track_caller]
    fn json(&self, line: &str, code: i32) -> Value {
        bistable_schema::object(&self.ends(&format!("{line} --json"), code).0)
    }

    /// The next root, and what `root rotate` warns of.
    #[track_caller]
    fn rotate(&self, from: u32, options: &str) -> String {
        let to = from + 1;
        self.ends(
            &format!("root rotate {from}.root {options} --out {to}.root --sign root-1.key --yes-weak"),
            0,
        )
        .1
    }

    /// Run the commands of a report as they stand there.
    #[track_caller]
    fn does(&self, report: &str) -> usize {
        let commands: Vec<_> =
            report.lines().filter_map(|line| line.strip_prefix("    bistable-image ")).collect();
        for command in &commands {
            self.ok(command);
        }
        commands.len()
    }

    #[track_caller]
    fn is_sound(&self) {
        let (report, _) = self.ends("fsck --deep", 0);
        assert!(report.ends_with("no problems\n"), "{report}");
    }
}

#[test]
fn root_without_the_release_key_waits_until_what_is_on_offer_is_signed_again() {
    let company = Company::new();
    company.build("1.2.0", "release");
    company.ok("publish hub-1.2.0.bundle");
    company.ok("key new --out release-2");
    let warned = company.rotate(1, "--release-key release-2.pub");
    for words in
        ["key \"release\" (", ") may not sign releases any more", "`bistable-image repo root 2.root`"]
    {
        assert!(warned.contains(words), "{words:?} is not in {warned}");
    }
    let (report, refused) = company.ends("repo root 2.root", 6);
    assert!(
        report.starts_with("hub 1.1.0 in production, staging: the release is signed by key "),
        "{report}"
    );
    assert!(report.contains("\nhub 1.2.0 in staging: "), "{report}");
    assert!(refused.contains("root 2 was not published") && refused.contains("--strand"), "{refused}");
    assert!(!company.folder.path().join("repository/roots/2.root").exists());
    let json = company.json("repo root 2.root", 6);
    assert_eq!((&json["new"], &json["version"], &json["exit"]), (&false.into(), &2.into(), &6.into()));
    let (one, other) = (&json["stranded"][0], &json["stranded"][1]);
    assert_eq!((&one["release"], &one["channels"][1]), (&"hub 1.1.0".into(), &"staging".into()), "{json}");
    assert_eq!((&other["release"], one["commands"].as_array().unwrap().len()), (&"hub 1.2.0".into(), 3));
    // What is signed again in one channel is still refused in the other.
    let commands: Vec<_> = report.lines().filter(|line| line.starts_with("    ")).collect();
    company.does(&commands[..2].join("\n"));
    let (half, _) = company.ends("repo root 2.root", 6);
    assert!(half.starts_with("hub 1.1.0 in staging: ") && half.contains("hub 1.2.0"), "{half}");
    assert_eq!(company.does(&commands[2..].join("\n")), 3);
    let done = company.ok("repo root 2.root");
    assert!(done.ends_with("root version 2 from now on\n"), "{done}");
    company.is_sound();
    assert!(company.ok("repo root 2.root").contains("root version 2 already"));
}

#[test]
fn root_without_the_channel_key_waits_until_the_channels_are_signed_by_both() {
    let company = Company::new();
    company.ok("key new --out channel-2");
    let warned = company.rotate(1, "--channel-key channel-2.pub");
    assert!(warned.contains(") may not sign channels any more"), "{warned}");
    let (report, _) = company.ends("repo root 2.root", 6);
    assert!(report.contains("channel production: number 1: the channel is signed by key "), "{report}");
    let both = "    bistable-image channel refresh staging --key channel.key --key channel-2.key\n";
    assert!(report.contains(both) && report.contains("--accept-old-root"), "{report}");
    assert_eq!(company.does(&report), 2);
    company.ok("repo root 2.root");
    company.is_sound();
    company.ends("channel refresh staging", 5);
    company.ok("channel refresh staging --key channel-2.key");
}

#[test]
fn lost_channel_key_needs_an_explicit_word() {
    let company = Company::new();
    company.ok("key new --out channel-2");
    company.rotate(1, "--channel-key channel-2.pub");
    company.ends("repo root 2.root", 6);
    let report = company.ok("repo root 2.root --strand");
    assert!(report.contains("root version 2 from now on\nchannel production: "), "{report}");
    let after = "    bistable-image channel refresh staging --accept-old-root --key channel-2.key\n";
    assert!(report.contains(after), "{report}");
    company.ends("fsck", 5);
    // Whoever has the root lost in the store gives it back as it was: devices know it already.
    fs::remove_file(company.folder.path().join("repository/roots/2.root")).unwrap();
    company.ok("repo root 2.root");
    assert_eq!(company.does(&report), 2);
    company.is_sound();
}

#[test]
fn more_signatures_attestations_and_own_channel_keys_are_looked_at_too() {
    let company = Company::new();
    for key in ["ada", "grace", "bench", "ci"] {
        company.ok(&format!("key new --out {key}"));
    }
    let warned = company.rotate(
        1,
        "--release-key release.pub --release-key grace.pub --threshold release=2 --demand production:tests-passed=bench.pub \
         --own-channel-key staging=ci.pub",
    );
    for words in [
        "2 keys have to sign releases instead of 1",
        "may not sign channel staging any more",
        "devices demand that key \"bench\" attests tests-passed of each release",
    ] {
        assert!(warned.contains(words), "{words:?} is not in {warned}");
    }
    let (report, _) = company.ends("repo root 2.root", 6);
    for words in [
        "channel staging: number 1: ",
        "hub 1.1.0 in production: the root demands that key \"bench\" attests tests-passed of it\n",
        "hub 1.1.0 in production, staging: the release has 1 of the 2 signatures that the root demands\n",
        "sign hub-1.1.0.bundle --key grace.key --root 2.root\n",
    ] {
        assert!(report.contains(words), "{words:?} is not in {report}");
    }
    assert_eq!(company.does(&report), 5);
    company.ok("repo root 2.root");
    company.is_sound();
}

/// No root makes it worse, and the next one may be what repairs it.
#[test]
fn what_devices_refuse_already_keeps_no_root_from_being_published() {
    let company = Company::new();
    company.ok("key new --out release-2");
    company.rotate(1, "--release-key release-2.pub");
    company.ok("repo root 2.root --strand");
    // The advice of fsck is the one that helps.
    let (report, error) = company.ends("fsck", 5);
    assert!(report.contains("hub 1.1.0: ") && report.contains("(`bistable-image sign`)"), "{report}");
    assert!(!error.contains("--repair"), "{error}");
    let quiet = company.rotate(2, "--release-key release-2.pub --release-key release.pub");
    assert!(!quiet.contains("devices that follow this root"), "{quiet}");
    company.ok("repo root 3.root");
    company.is_sound();
}
