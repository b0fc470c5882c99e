//! A product's life, verb by verb, as a person types it.
use crate::cli::at;
use crate::product::Product;
use bistable_format::repository as names;
use bistable_image::repository::Store;
use bistable_image::repository::channel::ChannelLog;
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::Missing;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Life {
    pub product: Product,
    pub folder: TempDir,
    pub repo: String,
}

impl Life {
    /// A repository with keys beside it, and `releases` releases in staging.
    pub(crate) fn new(releases: u64) -> Life {
        let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
        let path = |name: &str| folder.path().join(name);
        for (name, key) in [
            ("root", &product.root_key),
            ("release", &product.release_key),
            ("channel", &product.channel_key),
        ] {
            key.write(&path(name)).unwrap();
        }
        fs::write(path("1.root"), &product.root.bytes).unwrap();
        let repo = path("repository").to_str().unwrap().to_owned();
        let life = Life { product, folder, repo };
        life.ok(&["repo", "init", "--root", &life.path("1.root")]);
        for n in 1..=releases {
            let bundle = life.bundle(n);
            life.ok(&[
                "publish",
                bundle.to_str().unwrap(),
                "--key",
                &life.path("channel.key"),
                "--progress",
                "quiet",
            ]);
        }
        life
    }

    pub(crate) fn bundle(&self, n: u64) -> PathBuf {
        let made = self.folder.path().join(format!("{n}-content {n}.bundle"));
        if made.exists() {
            return made;
        }
        crate::publish::bundle(&self.product, &self.folder, n, &format!("content {n}"))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().into()
    }

    #[track_caller]
    pub(crate) fn ends(&self, args: &[&str], code: i32) -> (String, String) {
        at(&self.repo, args, code)
    }

    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.ends(args, 0).0
    }

    /// With the channel's key.
    #[track_caller]
    pub(crate) fn acts(&self, args: &[&str], code: i32) -> (String, String) {
        self.ends(&[args, &["--key", &self.path("channel.key")]].concat(), code)
    }

    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        bistable_schema::object(&self.ok(&[args, &["--json"]].concat()))
    }

    #[track_caller]
    pub(crate) fn fsck(&self, repo: &str, args: &[&str], code: i32) -> String {
        at(repo, &[&["fsck"], args].concat(), code).0
    }
}

fn versions(found: &Value) -> Vec<&str> {
    found["releases"].as_array().unwrap().iter().map(|r| r["version"].as_str().unwrap()).collect()
}

#[test]
fn what_is_published_is_found() {
    let life = Life::new(3);
    let shown = life.ok(&["channel", "show"]);
    assert!(
        shown.starts_with("channel staging, number 3\n") && shown.contains("hub 1.3.0  all devices"),
        "{shown}"
    );
    assert_eq!(
        life.json(&["channel", "show", "staging"])["channels"][0]["offers"].as_array().unwrap().len(),
        3
    );
    let (_, silent) = life.acts(&["withdraw", "staging", "1.1.0", "--reason", ""], 1);
    assert!(silent.contains("say why"), "{silent}");
    life.acts(&["withdraw", "staging", "1.1.0", "--reason", "too <hot>"], 0);
    let shown = life.ok(&["show", "1.1.0"]);
    assert!(shown.contains("withdrawn         staging, ") && shown.contains(": too <hot>\n"), "{shown}");
    assert_eq!(life.json(&["show", "1.1.0"])["channels"]["staging"]["reason"], "too <hot>");
    let (_, again) = life.acts(&["withdraw", "staging", "1.1.0", "--reason", "too hot"], 3);
    assert!(again.contains("withdrawn from channel staging already"), "{again}");
    assert_eq!(life.ok(&["list"]).lines().count(), 2);
    assert_eq!(life.ok(&["list", "--last", "1"]).lines().count(), 1);
    assert_eq!(versions(&life.json(&["list", "--all"])).len(), 3);
    for (args, want) in [
        (&[][..], &["1.3.0", "1.2.0", "1.1.0"][..]),
        (&["HUB", "1.2"], &["1.2.0"]),
        (&["nothing"], &[]),
        (&["--product", "radio"], &[]),
        (&["--version", ">=1.2"], &["1.3.0", "1.2.0"]),
        (&["--board", "pi4"], &["1.3.0", "1.2.0", "1.1.0"]),
        (&["--board", "pi5"], &[]),
        (&["--channel", "staging", "--last", "1"], &["1.3.0"]),
        (&["--since", "2026-01-01"], &["1.3.0", "1.2.0", "1.1.0"]),
        (&["--until", "2026-01-01"], &[]),
        (&["--state", "offered"], &["1.3.0", "1.2.0"]),
        (&["--state", "withdrawn"], &["1.1.0"]),
        (&["--state", "past"], &[]),
    ] {
        assert_eq!(versions(&life.json(&[&["search"], args].concat())), want, "{args:?}");
    }
    for sort in ["version", "date", "size"] {
        assert_eq!(versions(&life.json(&["search", "--sort", sort])).len(), 3, "{sort}");
    }
    life.ends(&["search", "--since", "yesterday"], 2);
    let (_, none) = life.ends(&["search", "--channel", "production"], 1);
    assert!(none.contains("has no channel production"), "{none}");
    let one = life.json(&["show", "1.2.0"]);
    assert_eq!((&one["version"], &one["complete"]), (&"1.2.0".into(), &true.into()));
    let text = life.ok(&["show", &one["release"].as_str().unwrap()[..12]]);
    assert!(text.contains("all there") && text.contains("channels          staging\n"), "{text}");
    let (_, none) = life.ends(&["show", "9.0.0"], 3);
    assert!(none.contains("has no release 9.0.0"), "{none}");
}

#[test]
fn gates_open_and_a_rollout_goes_its_way() {
    let life = Life::new(2);
    let tester = crate::product::key(7).write(&life.folder.path().join("tester")).unwrap();
    let (secret, public) = (tester.secret.to_str().unwrap(), tester.public.to_str().unwrap());
    let promote = ["promote", "staging", "production"];
    let (first, _) = life.acts(&[&promote[..], &["1.1.0"]].concat(), 0);
    assert!(
        first.starts_with("promoted hub 1.1.0 from staging into production: all devices get it"),
        "{first}"
    );
    let demand = format!("tests-passed={public}");
    let gates =
        ["channel", "gates", "production", "--min-age", "1h", "--min-interval", "30m", "--require", &demand];
    let (set, _) = life.acts(&gates, 0);
    assert!(set.contains("min-age 3600 s"), "{set}");
    let third = life.bundle(3);
    let direct = ["publish", third.to_str().unwrap(), "--channel", "production", "--progress", "quiet"];
    let (_, refused) = life.acts(&direct, 1);
    assert!(refused.contains("promote") && refused.contains("channel gates production"), "{refused}");
    let closed = |code: i32, text: &str| {
        let (_, stderr) = life.acts(&promote, code);
        assert!(stderr.contains(text), "{stderr}");
    };
    closed(75, "has been in channel staging for");
    life.acts(&["channel", "gates", "production", "--min-age", "0s"], 0);
    closed(75, "the last promotion into channel production was");
    life.acts(&["channel", "gates", "production", "--min-interval", "0s"], 0);
    closed(75, "\"tests-passed\" of hub 1.2.0");
    let attest = ["attest", "staging", "1.2.0", "--kind", "tests-passed", "--note", "rig 4"];
    let unasked = life.ok(&[&attest[..], &["--key", &life.path("channel.key")]].concat());
    let asked =
        "warning: no channel's gates demand this of this key; production demands \"tests-passed\" by key ";
    assert!(unasked.contains(asked), "{unasked}");
    closed(75, "is attested by key");
    let attested = life.ok(&[&attest[..], &["--key", secret]].concat());
    assert_eq!(attested, "attested: tests-passed of hub 1.2.0\n");
    assert!(life.ok(&[&attest[..], &["--key", secret]].concat()).starts_with("attested before"));
    assert!(life.ok(&["show", "1.2.0"]).contains("tests-passed-"));
    let (done, _) =
        life.acts(&[&promote[..], &["--waves", "1%,10%@6h+2h,100%@2d", "--canary", "lab"]].concat(), 0);
    assert!(done.contains("3 waves, the first of 1 %"), "{done}");
    let (_, again) = life.acts(&promote, 3);
    assert!(again.contains("nothing newer"), "{again}");
    for (verb, code, text) in [
        (&["wave", "50%@1d"][..], 0, "rollout wave hub 1.2.0"),
        (&["wave", "50%@30h"], 3, "already"),
        (&["canary", "lab"], 3, "already"),
        (&["canary", "desk"], 0, "rollout canary"),
        (&["pause"], 0, "hub 1.2.0: paused at 1 % and groups lab, desk"),
        (&["pause"], 3, "is paused already"),
        (&["resume"], 0, "rollout resume"),
        (&["halt"], 0, "rollout halt"),
        (&["resume"], 1, "rollout set"),
        (&["set"], 1, "rollout everyone"),
        (&["set", "--waves", "50%,10%"], 2, "a wave of 10 % after one of 50 %"),
        (&["set", "--waves", "10%@6h,50%@1h"], 2, "would begin before"),
        (&["set", "--waves", "5%"], 0, "the last wave is 5 %: the rest of the fleet waits"),
        (
            &["set", "--canary", "lab"],
            0,
            "rollout set hub 1.2.0: only group lab\n  the rest of the fleet waits",
        ),
        (&["pause"], 1, "has no waves: `rollout halt`"),
        (&["wave", "1%"], 0, "rollout wave hub 1.2.0: 1 % and group lab"),
        (&["everyone"], 0, "rollout everyone hub 1.2.0: all devices"),
        (&["halt"], 0, "rollout halt"),
        (&["resume"], 1, "rollout everyone"),
        (&["everyone"], 0, "rollout everyone"),
        (&["everyone"], 3, "already"),
        (&["wave", "50"], 2, "there is no %"),
    ] {
        let (stdout, stderr) = life.acts(&[&["rollout", "production", "1.2.0"], verb].concat(), code);
        assert!(format!("{stdout}{stderr}").contains(text), "{verb:?}: {stdout}{stderr}");
    }
    assert!(life.ok(&["list", "--channel", "production"]).contains("offered"));
    for verb in [&["set", "--waves", "1%,10%@6h+2h", "--canary", "lab"][..], &["pause"]] {
        life.acts(&[&["rollout", "production", "1.2.0"], verb].concat(), 0);
    }
    let shown = life.ok(&["channel", "show", "production"]);
    for text in
        ["paused at 1 % and group lab", "    wave 2 of 2: 10 % 6 h after it is resumed, within 120 min\n"]
    {
        assert!(shown.contains(text), "{shown}");
    }
    let listed = life.ok(&["list", "--channel", "production"]);
    assert!(listed.starts_with("hub 1.2.0") && listed.contains("  paused  "), "{listed}");
    let json = life.json(&["list", "--channel", "production"]);
    assert_eq!(
        (&json["releases"][0]["state"], &json["releases"][0]["rollout"]),
        (&"offered".into(), &"paused".into())
    );
    let shown = &life.json(&["channel", "show", "production"])["channels"][0]["offers"];
    let rollout =
        shown.as_array().unwrap().iter().find(|o| o["version"] == "1.2.0").unwrap()["rollout"].clone();
    assert_eq!((&rollout["pace"], &rollout["canaries"][0]), (&"paused".into(), &"lab".into()), "{rollout}");
    let second = &rollout["waves"][1];
    assert_eq!((&second["share"], &second["over"]), (&1000.into(), &7200.into()), "{rollout}");
    assert!(rollout["paused_at"].is_u64() && second["at"].is_u64(), "{rollout}");
    assert_eq!(life.json(&["show", "1.2.0"])["channels"]["production"]["rollout"], rollout);
    let shown = life.ok(&["show", "1.2.0"]);
    for text in ["rollout           production: paused at 1 % and group lab\n", "wave 2 of 2: 10 %"] {
        assert!(shown.contains(text), "{shown}");
    }
    for (verb, code) in [("pin", 0), ("pin", 3), ("unpin", 0), ("unpin", 3), ("barrier", 0), ("barrier", 3)] {
        life.acts(&["channel", verb, "production", "1.2.0"], code);
    }
    let (begun, _) = life.acts(&["channel", "gates", "field", "--min-age", "1d"], 0);
    assert!(begun.contains("channel field is new"), "{begun}");
    let (_, young) = life.acts(&["promote", "staging", "field", "1.1.0"], 75);
    assert!(young.contains("that channel field demands"), "{young}");
    assert!(life.ok(&["channel", "show", "field"]).contains("gates: 24 h in the channel before"));
    let (fine, _) = life.acts(&["withdraw", "production", "1.1.0", "--reason", "bad"], 0);
    assert!(
        fine.contains("offered the newest other") && fine.contains("note: staging still offers it"),
        "{fine}"
    );
    let withdrawn = &life.json(&["channel", "show", "production"])["channels"][0]["withdrawn"];
    let identity = withdrawn[0]["release"].as_str().unwrap();
    assert_eq!((identity.len(), &withdrawn[0]["reason"]), (64, &"bad".into()), "{withdrawn}");
    let withdraw = ["withdraw", "production", "1.2.0", "--reason", "bad", "--json"];
    let nowhere = bistable_schema::object(&life.acts(&withdraw, 0).0);
    assert_eq!(
        (&nowhere["boards_without_offer"][0], &nowhere["still_offered_in"][0]),
        (&"pi4".into(), &"staging".into())
    );
    life.acts(&["withdraw", "staging", "1.1.0", "--reason", "bad"], 0);
    let (last, _) = life.acts(&["withdraw", "staging", "1.2.0", "--reason", "bad"], 0);
    assert!(last.contains("warning: staging has nothing else of hub on offer for pi4"), "{last}");
    assert!(!last.contains("still offers it"), "{last}");
    let (_, typo) = life.acts(&["channel", "refresh", "prodction"], 1);
    assert!(typo.contains("has no channel prodction"), "{typo}");
    let records = life.ok(&["audit", "--last", "100"]);
    assert_eq!(records.matches("  rollout  ").count(), 13, "{records}");
    assert!(records.contains("  set hub 1.2.0: 5 %; "), "what came of it is told: {records}");
    assert!(
        records.contains("  attest  ") && records.contains("tests-passed of hub 1.2.0 by key "),
        "{records}"
    );
    // As the refusal said.
    life.acts(
        &["channel", "gates", "production", "--min-age", "0s", "--min-interval", "0s", "--no-others"],
        0,
    );
    life.acts(&direct, 0);
    assert!(life.ok(&["audit", "verify"]).contains("each follows the one before"));
    assert!(life.fsck(&life.repo, &["--deep"], 0).ends_with("no problems\n"));
}

#[test]
fn keys_change_and_channels_are_signed_again() {
    let life = Life::new(1);
    let new = crate::product::key(11).write(&life.folder.path().join("channel2")).unwrap();
    let other = crate::product::key(12).write(&life.folder.path().join("root2")).unwrap();
    let (current, next, root) = (life.path("1.root"), life.path("2.root"), life.path("root.key"));
    let half = life.ok(&[
        "root",
        "rotate",
        &current,
        "--out",
        &next,
        "--channel-key",
        new.public.to_str().unwrap(),
        "--root-key",
        other.public.to_str().unwrap(),
        "--sign",
        &root,
        "--yes-weak",
    ]);
    assert!(half.contains("not enough yet"), "{half}");
    let (_, refused) = life.ends(&["repo", "root", &next], 5);
    assert!(refused.contains("2.root"), "{refused}");
    let (_, wrong) =
        life.ends(&["root", "sign", &next, "--current", &current, "--sign", &life.path("channel.key")], 1);
    assert!(wrong.contains("may sign neither this root nor"), "{wrong}");
    let whole =
        life.ok(&["root", "sign", &next, "--current", &current, "--sign", other.secret.to_str().unwrap()]);
    assert!(whole.contains("signed as it must be"), "{whole}");
    // A channel's key is taken back: no device would take the channel before it is signed again.
    let (stranded, _) = life.ends(&["repo", "root", &next], 6);
    assert!(stranded.starts_with("channel staging: number 1: "), "{stranded}");
    assert!(life.ok(&["repo", "root", &next, "--strand"]).contains("root version 2 from now on"));
    assert!(life.ok(&["repo", "root", &next]).contains("root version 2 already"));
    let (_, old) = life.acts(&["channel", "refresh", "staging"], 5);
    assert!(old.contains("--accept-old-root"), "{old}");
    let untrusted = life.fsck(&life.repo, &[], 5);
    assert!(
        untrusted.starts_with("untrusted  channels/staging") && !untrusted.contains("orphan"),
        "{untrusted}"
    );
    life.ends(
        &["channel", "refresh", "staging", "--accept-old-root", "--key", new.secret.to_str().unwrap()],
        0,
    );
    assert!(life.fsck(&life.repo, &[], 0).ends_with("no problems\n"));
    assert_eq!(life.ok(&["audit"]).matches("version 2").count(), 1);
}

#[test]
fn unreferenced_files_go_and_what_is_wrong_is_reported() {
    let life = Life::new(4);
    for version in ["1.1.0", "1.2.0"] {
        life.acts(&["withdraw", "staging", version, "--reason", "bad"], 0);
    }
    let du = || -> u64 {
        let blobs = fs::read_dir(Path::new(&life.repo).join("blobs/sha256")).unwrap();
        blobs.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    let prune = ["prune", "--keep", "1", "--max-size", "1K"];
    let key = life.path("channel.key");
    let would = life.json(&[&prune[..], &["--dry-run", "--key", &key]].concat());
    assert_eq!(would["bytes_before"], du());
    let allowed = (would["bytes_before"].as_u64().unwrap() * 10 / 8).to_string();
    let roomy = life.json(&["prune", "--keep", "1", "--max-size", &allowed, "--dry-run", "--key", &key]);
    assert_eq!(roomy["releases"].as_array().unwrap().len(), 0, "{roomy}");
    let (would, _) = life.acts(&[&prune[..], &["--dry-run"]].concat(), 0);
    assert!(
        would.contains("2 of 4 releases would go") && would.contains("still more than allowed"),
        "{would}"
    );
    let (gone, _) = life.acts(&prune, 0);
    assert!(gone.contains("2 of 4 releases gone") && gone.contains("8 files removed"), "{gone}");
    let (again, _) = life.acts(&prune, 0);
    assert!(again.contains("0 of 2 releases gone") && again.contains("0 files removed"), "{again}");
    assert_eq!(life.json(&[&prune[..], &["--key", &key]].concat())["bytes_after"], du());
    life.acts(&[&prune[..], &["--interval", "1h"]].concat(), 3);
    assert_eq!(life.ok(&["audit"]).matches("  prune ").count(), 1);
    assert_eq!(versions(&life.json(&["list", "--all"])), ["1.4.0", "1.3.0"]);
    assert!(life.fsck(&life.repo, &["--deep"], 0).ends_with("no problems\n"));

    let folder = Path::new(&life.repo);
    for hint in ["channels/staging/latest", "audit/latest", "index.json"] {
        fs::remove_file(folder.join(hint)).unwrap();
    }
    assert!(life.fsck(&life.repo, &[], 0).ends_with("3 problems\n"));
    let mended = life.fsck(&life.repo, &["--repair"], 0);
    assert!(mended.contains("3 hints recreated") && mended.contains("no problems\n"), "{mended}");
    fs::write(folder.join("index.json"), "{\"manifests\":[{\"digest\":\"sha256:0\"}]}").unwrap();
    assert!(life.fsck(&life.repo, &[], 0).starts_with("hint       index.json"));
    life.fsck(&life.repo, &["--repair"], 0);

    let blobs = life.json(&["show", "1.4.0"])["blobs"].as_array().unwrap().clone();
    let path =
        |blob: &Value| folder.join("blobs/sha256").join(blob.as_str().unwrap().trim_start_matches("sha256:"));
    let largest = blobs.iter().map(path).max_by_key(|p| fs::metadata(p).unwrap().len()).unwrap();
    let file = fs::File::options().read(true).write(true).open(&largest).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 100).unwrap();
    assert!(life.fsck(&life.repo, &[], 0).ends_with("no problems\n"), "only --deep reads all");
    assert!(life.fsck(&life.repo, &["--deep"], 5).starts_with("damaged    blobs/sha256/"));
    let (_, advice) = life.ends(&["fsck", "--deep"], 5);
    let (_, refused) = life.ends(&["sync", &life.path("copy")], 5);
    assert!(refused.contains("is damaged"), "{refused}");
    // What the message says helps.
    assert!(advice.contains("`bistable-image fsck --deep --repair`"), "{advice}");
    let removed = life.fsck(&life.repo, &["--deep", "--repair"], 5);
    assert!(removed.contains("1 damaged file removed"), "{removed}");
    assert!(life.fsck(&life.repo, &[], 5).starts_with("missing    blobs/sha256/"));
    let (_, refused) = life.acts(&["promote", "staging", "production", "1.4.0"], 1);
    assert!(refused.contains("publish its bundle again"), "{refused}");
    assert!(advice.contains("publish the bundles again"), "{advice}");
    life.acts(&["publish", life.bundle(4).to_str().unwrap(), "--progress", "quiet"], 0);
    assert!(life.fsck(&life.repo, &["--deep"], 0).ends_with("no problems\n"));
}

/// Else its volumes would be orphaned, and go.
#[test]
fn nothing_is_pruned_while_the_files_of_an_offer_are_unknown() {
    let life = Life::new(2);
    let store = Store::open(&life.repo, Missing::Refuse).unwrap();
    let channel = ChannelLog::new(&store, &Roots::load(&store).unwrap(), "staging").newest().unwrap().channel;
    let newest = channel.offers.iter().find(|o| o.constraints.version.minor == 2).unwrap();
    let signed = names::blob(&newest.release);
    store.delete(&signed).unwrap();
    let prune = ["prune", "--keep", "0"];
    let (_, refused) = life.acts(&prune, 1);
    assert!(refused.contains("channel staging offers hub 1.2.0") && refused.contains(&signed), "{refused}");
    life.acts(&["publish", life.bundle(2).to_str().unwrap(), "--progress", "quiet"], 0);
    life.acts(&prune, 0);
    assert!(life.fsck(&life.repo, &["--deep"], 0).ends_with("no problems\n"));
}

#[test]
fn copies_of_either_kind() {
    let life = Life::new(3);
    life.acts(&["withdraw", "staging", "1.1.0", "--reason", "bad"], 0);
    let [stick, mirror] = ["stick", "mirror"].map(|name| life.path(name));
    for (to, args) in [(&stick, &[][..]), (&mirror, &["--everything"][..])] {
        let sync = [&["sync", to.as_str()], args].concat();
        assert!(life.json(&sync)["files"].as_u64().unwrap() > 10);
        assert_eq!(life.json(&sync)["files"], 0, "{to}");
        assert!(life.fsck(to, &["--deep"], 0).ends_with("no problems\n"));
        assert!(at(to, &["list"], 0).0.contains("hub 1.3.0"));
    }
    assert_eq!(life.ok(&["audit"]).matches("  sync ").count(), 2);
    assert!(at(&mirror, &["audit", "verify"], 0).0.contains("staging: recorded up to number 4"));
    assert_eq!(at(&mirror, &["search"], 0).0, life.ok(&["search"]));
    let key = life.path("channel.key");
    let (_, refused) = at(&stick, &["channel", "refresh", "staging", "--key", &key], 2);
    assert!(refused.contains("act on the original"), "{refused}");
    // After more acts, the stick is the same again; a mirror that was changed isn't.
    life.acts(&["channel", "refresh", "staging"], 0);
    life.acts(&["channel", "refresh", "staging"], 0);
    life.ok(&["sync", &stick]);
    assert!(life.fsck(&stick, &[], 0).ends_with("no problems\n"));
    let refresh = ["channel", "refresh", "staging", "--key", &key, "--by", "grace"];
    let (_, refused) = at(&mirror, &refresh, 2);
    assert!(refused.contains("remove its file `mirror`"), "{refused}");
    // Then it is an original.
    fs::remove_file(Path::new(&mirror).join("mirror")).unwrap();
    at(&mirror, &refresh, 0);
    let (_, diverged) = life.ends(&["sync", &mirror, "--everything"], 6);
    assert!(diverged.contains("releases were published in both"), "{diverged}");
    life.ends(&["sync", &life.repo], 2);
    let (_, none) = life.ends(&["sync", &stick, "--channel", "beta"], 2);
    assert!(none.contains("it has: staging"), "{none}");
    let (root, other) = (life.path("other.root"), life.path("other"));
    let public = life.path("channel.pub");
    life.ok(&[
        "root",
        "new",
        "--out",
        &root,
        "--root-key",
        &public,
        "--release-key",
        &public,
        "--channel-key",
        &public,
        "--sign",
        &key,
        "--yes-weak",
    ]);
    at(&other, &["repo", "init", "--root", &root], 0);
    let (_, foreign) = life.ends(&["sync", &other], 5);
    assert!(foreign.contains("another product"), "{foreign}");
}

/// Other people's tools read the repository as what it says it is.
#[test]
#[ignore = "against other people's tools: needs skopeo"]
fn skopeo_reads_what_is_on_offer() {
    let life = Life::new(2);
    life.acts(&["withdraw", "staging", "1.1.0", "--reason", "bad"], 0);
    let inspect = |tag: &str| {
        let place = format!("oci:{}:{tag}", life.repo);
        std::process::Command::new("skopeo").args(["inspect", "--raw", &place]).output().unwrap()
    };
    let out = inspect("hub-1.2.0");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let manifest: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 5);
    assert!(!inspect("hub-1.1.0").status.success());
    let copy = format!("oci:{}:hub-1.2.0", life.path("copied"));
    let from = format!("oci:{}:hub-1.2.0", life.repo);
    let out = std::process::Command::new("skopeo").args(["copy", &from, &copy]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
