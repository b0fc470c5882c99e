//! `import github:…` against a stand-in that speaks GitHub's documented API.
use crate::fixture::{Product, names, noise};
use bistable_kit::github::{Asset, Fault, Github, Release, rate_limited};
use bistable_kit::web_server::Reply;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

fn code(out: &Output) -> i32 {
    out.status.code().unwrap()
}

/// A field of what a program answered, as text.
fn field(out: &Output, name: &str) -> String {
    let value: serde_json::Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"));
    let at = name.split('/').fold(&value, |value, name| &value[name]);
    at.as_str().map_or_else(|| at.to_string(), Into::into)
}

/// A computer on which releases are imported.
struct Desk {
    product: Product,
    github: Github,
}

impl Desk {
    fn new(releases: Vec<Release>) -> Desk {
        let product = Product::new();
        product.write_keys();
        Desk { product, github: Github::new(releases) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.product.path(name)
    }

    fn command(&self, source: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bistable-image"));
        command
            .args([
                "import",
                source,
                "--json",
                "--progress",
                "quiet",
                "--component",
                "core",
                "--product",
                "greenhouse",
            ])
            .args(["--board", "pi4", "--level", "1", "--force"])
            .arg("--cache")
            .arg(self.path("cache"))
            .arg("--key")
            .arg(self.path("release.key"))
            .arg("--root")
            .arg(self.path("root.root"))
            .arg("--out")
            .arg(self.path("core.bundle"))
            .args(args)
            .env("GITHUB_API_URL", self.github.url())
            .env("SOURCE_DATE_EPOCH", "1000000000")
            .env_remove("GITHUB_TOKEN")
            .env_remove("GH_TOKEN");
        command
    }

    fn import(&self, source: &str, args: &[&str]) -> Output {
        self.command(source, args).output().unwrap()
    }

    /// Import, which has to end with this exit code and these words.
    #[track_caller]
    fn ends(&self, source: &str, args: &[&str], wanted: i32, text: &str) {
        let out = self.import(source, args);
        assert_eq!(code(&out), wanted, "{source} {args:?}: {out:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains(text), "{source} {args:?}: {out:?}");
    }

    /// Statuses that the API gave, and how often it was asked.
    fn statuses(&self) -> Vec<u16> {
        self.github.asked().iter().map(|e| e.status).collect()
    }

    fn verify(&self) {
        let root = &self.product.root.root;
        bistable_image::verify::verify(
            &self.path("core.bundle"),
            root,
            bistable_image::Threads::new(1),
            &bistable_image::Silent,
        )
        .unwrap();
    }
}

/// An application's tree in a folder of its own, as most archives have it; `large` bytes in a file.
fn archive(folder: &str, large: usize) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content, mode) in [("bin/core", noise(3, large), 0o755), ("lib/a.txt", b"a\n".to_vec(), 0o644)]
    {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(900_000_000);
        tar.append_data(&mut header, format!("{folder}{path}"), content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn tree_asset() -> Asset {
    Asset::new("core.tar", &archive("", 300_000))
}

fn release(tag: &str) -> Release {
    Release::new(tag, &[tree_asset()])
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn the_newest_version_on_all_pages_becomes_a_release_that_says_where_it_is_from() {
    let beta = Release { prerelease: true, ..release("v3.0.0") };
    let draft = Release { draft: true, ..release("v4.0.0") };
    let desk = Desk::new(vec![
        draft,
        release("nightly"),
        release("2026-11-30"),
        beta,
        release("v1.9.0"),
        release("v1.10"),
        release("v1.2.3.4"),
        release("v2.0.0-rc.1"),
    ]);
    desk.github.page(2);
    let out = desk.import("github:acme/core", &[]);
    assert_eq!(code(&out), 0, "{out:?}");
    assert_eq!(field(&out, "source"), "github:acme/core@v1.10");
    assert_eq!(field(&out, "tag"), "v1.10");
    assert_eq!(field(&out, "asset"), "core.tar");
    assert_eq!(field(&out, "verified"), "true");
    assert_eq!(field(&out, "bundle/version"), "1.10.0");
    assert_eq!(field(&out, "bundle/component"), "core");
    // Four pages, and the file's address.
    assert_eq!(desk.statuses(), [200, 200, 200, 200, 302]);
    desk.verify();
    let found =
        bistable_image::inspect::inspect(&desk.path("core.bundle"), Some(&desk.product.root.root)).unwrap();
    let bistable_image::inspect::Content::Bundle(file, _) = found.content else { panic!("no bundle") };
    let sha256 = field(&out, "sha256");
    assert_eq!(file.release.origin, format!("github:acme/core@v1.10 core.tar sha256:{sha256}"));

    let out = desk.import("github:acme/core", &["--prereleases"]);
    assert_eq!((code(&out), field(&out, "bundle/version").as_str()), (0, "3.0.0"), "{out:?}");
    // Nothing of the downloads stays, and no folder of an attempt.
    assert_eq!(names(&desk.path("cache")), ["answers", "files"]);
    assert_eq!(names(&desk.path("cache/files")), [""; 0]);
}

#[test]
fn the_same_file_is_the_same_bundle_whether_it_is_imported_or_built() {
    let desk = Desk::new(vec![release("v1.0.0")]);
    assert_eq!(code(&desk.import("github:acme/core@v1.0.0", &[])), 0);
    let first = std::fs::read(desk.path("core.bundle")).unwrap();
    assert_eq!(code(&desk.import("github:acme/core", &[])), 0);
    assert_eq!(first, std::fs::read(desk.path("core.bundle")).unwrap());
}

#[test]
fn a_tag_that_is_named_is_taken_or_refused_for_what_it_is() {
    let beta = Release { prerelease: true, ..release("v3.0.0") };
    let desk = Desk::new(vec![beta, release("nightly"), release("core/v1.5"), release("v1.0.0")]);
    for (source, args, wanted, text) in [
        ("github:acme/core@v1.0.0", &[][..], 0, ""),
        ("github:acme/core@core/v1.5", &["--tag-prefix", "core/"], 0, ""),
        ("github:acme/core@core/v1.5", &[], 2, "tag \"core/v1.5\" is not a version such as v1.2.3"),
        ("github:acme/core@nightly", &[], 2, "tag \"nightly\" is not a version such as v1.2.3"),
        ("github:acme/core@nightly", &["--version", "1.0.7"], 0, ""),
        ("github:acme/core@v3.0.0", &[], 1, "github:acme/core@v3.0.0 is a pre-release: give --prereleases"),
        ("github:acme/core@v3.0.0", &["--prereleases"], 0, ""),
        ("github:acme/core@v9.0.0", &[], 1, "there is no such thing, or it is private: set GITHUB_TOKEN"),
        ("github:acme/other", &[], 1, "there is no such thing, or it is private"),
        ("github:acme", &[], 2, "give github:OWNER/REPO"),
        ("https://github.com/acme/core", &[], 2, "give github:OWNER/REPO"),
    ] {
        desk.ends(source, args, wanted, text);
    }
}

#[test]
fn what_is_not_newer_is_not_downloaded() {
    let desk = Desk::new(vec![release("v1.1"), release("v1.0.0")]);
    for (there, wanted, text) in [
        ("1.1.0", 3, "is 1.1.0: up to date"),
        ("v1.1", 3, "is 1.1.0: up to date"),
        ("1.2", 3, "older than 1.2.0"),
        ("1.0", 0, ""),
        ("1.1.0-beta", 0, ""),
        ("2026-11-30", 2, "is a date, not a version"),
    ] {
        desk.github.forget();
        desk.ends("github:acme/core", &["--newer-than", there], wanted, text);
        assert_eq!(desk.github.downloads().len(), usize::from(wanted == 0), "{there}");
    }
    // The release before is enough to know.
    let before = desk.path("before.bundle");
    std::fs::rename(desk.path("core.bundle"), &before).unwrap();
    let before = before.to_str().unwrap();
    assert_eq!(code(&desk.import("github:acme/core", &["--previous", before])), 3);
    desk.github.set(vec![release("v1.2")]);
    assert_eq!(code(&desk.import("github:acme/core", &["--previous", before, "--fixes-security"])), 0);
}

#[test]
fn what_was_answered_before_is_asked_for_by_its_etag() {
    let desk = Desk::new(vec![release("v1.1"), release("v1.0"), release("v0.9")]);
    desk.github.page(2);
    let up_to_date = ["--newer-than", "1.1"];
    assert_eq!(code(&desk.import("github:acme/core", &up_to_date)), 3);
    assert_eq!(code(&desk.import("github:acme/core", &up_to_date)), 3);
    assert_eq!(desk.statuses(), [200, 200, 304, 304]);
    // Another user's answer is not this one's.
    desk.github.forget();
    desk.github.private("t0ken");
    let out = desk.command("github:acme/core", &up_to_date).env("GITHUB_TOKEN", "t0ken").output().unwrap();
    assert_eq!((code(&out), desk.statuses()), (3, vec![200, 200]));
    // Something new is seen.
    desk.github.forget();
    desk.github.set(vec![release("v1.2"), release("v1.1"), release("v1.0"), release("v0.9")]);
    let out = desk.command("github:acme/core", &up_to_date).env("GH_TOKEN", "t0ken").output().unwrap();
    assert_eq!((code(&out), field(&out, "bundle/version").as_str()), (0, "1.2.0"));
}

#[test]
fn a_token_reads_private_repositories_and_goes_to_no_other_server() {
    let desk = Desk::new(vec![release("v1.0.0")]);
    desk.github.private("t0ken");
    std::fs::write(desk.path("token"), "t0ken\n").unwrap();
    std::fs::write(desk.path("wrong"), "wr0ng\n").unwrap();
    assert_eq!(code(&desk.import("github:acme/core", &[])), 1);
    let file = desk.path("token");
    let out = desk.import("github:acme/core", &["--token-file", file.to_str().unwrap()]);
    assert_eq!(code(&out), 0, "{out:?}");
    assert!(
        desk.github.asked().iter().skip(1).all(|e| e.request.header("authorization") == Some("Bearer t0ken"))
    );
    assert!(desk.github.downloads().iter().all(|e| e.request.header("authorization").is_none()));
    let wrong = desk.path("wrong");
    let out = desk.import("github:acme/core", &["--token-file", wrong.to_str().unwrap()]);
    assert_eq!(code(&out), 1, "{out:?}");
    let told = [out.stdout.clone(), out.stderr.clone()].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("access is refused (401)") && !told.contains("wr0ng"), "{told}");
}

#[test]
fn a_limit_of_rates_is_waited_for_or_reported() {
    let desk = Desk::new(vec![release("v1.0.0")]);
    desk.github.fail([Fault::Answer(rate_limited(now() + 1490))]);
    let out = desk.import("github:acme/core", &[]);
    assert_eq!(code(&out), 75, "{out:?}");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(told.contains("127.0.0.1 asks to be left alone for 25 min more: set GITHUB_TOKEN"), "{told}");
    assert_eq!(desk.statuses(), [403]);

    desk.github.forget();
    let later = |seconds: &str| Fault::Answer(Reply::new(429, "").header("Retry-After", seconds));
    desk.github.fail([Fault::Answer(rate_limited(now() - 5)), later("1")]);
    let out = desk.import("github:acme/core", &["--wait", "4s"]);
    assert_eq!(code(&out), 0, "{out:?}");
    assert_eq!(desk.statuses(), [403, 429, 200, 302]);

    desk.github.forget();
    desk.github.fail([later("3600")]);
    assert_eq!(code(&desk.import("github:acme/core", &["--wait", "4s"])), 75);
}

#[test]
fn a_server_in_trouble_is_asked_again_and_then_given_up_for_now() {
    let desk = Desk::new(vec![release("v1.0.0")]);
    let broken = || Fault::Answer(Reply::new(502, "<html>"));
    desk.github.fail([broken(), broken()]);
    assert_eq!(code(&desk.import("github:acme/core", &[])), 0);
    desk.github.fail([broken(), broken(), broken(), broken()]);
    assert_eq!(code(&desk.import("github:acme/core", &[])), 75);
    // No server listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let out = desk.import("github:acme/core", &["--api", &format!("http://{gone}/api/v3")]);
    assert_eq!(code(&out), 75, "{out:?}");
    for body in ["<html>", "{}", "[{}]", "[{\"tag_name\":\"v1.0.0\",\"assets\":7}]", ""] {
        desk.github.fail([Fault::Answer(Reply::new(200, body))]);
        let out = desk.import("github:acme/core", &[]);
        assert_eq!(code(&out), 1, "{out:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("is not what GitHub's API says"), "{out:?}");
    }
    let elsewhere = Reply::new(200, "[]").header("Link", "<https://example.com/x?page=2>; rel=\"next\"");
    desk.github.fail([Fault::Answer(elsewhere)]);
    let out = desk.import("github:acme/core", &[]);
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("on another server, https://example.com/x"),
        "{out:?}"
    );
    let lower = Reply::new(302, "").header("Location", "ftp://example.com/");
    desk.github.fail([Fault::Answer(lower)]);
    assert_eq!(code(&desk.import("github:acme/core", &[])), 1);
}

/// The server goes silent in the middle of a file: then what is half made lies there for as long as it takes.
#[test]
fn a_signal_takes_what_is_half_made_with_it() {
    let desk = Desk::new(vec![release("v1.0.0")]);
    // Whoever started the tests in the background may ignore some signals, and children do as they do.
    let half_done = |signals: &[&str]| {
        let silent = Reply::new(200, "the beginning").header("Content-Length", "100000");
        desk.github.forget();
        desk.github.fail_files([Fault::Answer(silent)]);
        let import = desk.command("github:acme/core", &[]);
        let mut command = Command::new("env");
        command.arg("--default-signal").args(signals).arg(import.get_program());
        command.args(import.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in import.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.spawn().unwrap();
        while desk.github.downloads().is_empty() {
            std::thread::yield_now();
        }
        child
    };
    let temporary = || names(&desk.path("cache")).into_iter().filter(|name| name.starts_with("import."));
    let send = |child: &Child, name: &str| {
        let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    for (name, wanted) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let child = half_done(&[]);
        assert_eq!(temporary().count(), 1);
        send(&child, name);
        let out = child.wait_with_output().unwrap();
        assert_eq!(code(&out), wanted, "{out:?}");
        assert!(String::from_utf8_lossy(&out.stderr).ends_with("\ninterrupted\n"), "{out:?}");
        assert_eq!(temporary().count(), 0, "{name}");
    }
    // As nohup starts a program.
    let child = half_done(&["--ignore-signal=HUP"]);
    send(&child, "HUP");
    send(&child, "TERM");
    assert_eq!(code(&child.wait_with_output().unwrap()), 143);
}

#[test]
fn a_download_that_is_cut_off_is_resumed_and_what_came_is_not_asked_for_again() {
    let desk = Desk::new(vec![release("v1.0.0")]);
    desk.github.fail_files([Fault::Cut(100_000), Fault::Cut(0), Fault::Cut(50_000)]);
    let out = desk.import("github:acme/core", &[]);
    assert_eq!(code(&out), 0, "{out:?}");
    let ranges: Vec<_> = desk.github.downloads().iter().map(|e| e.request.range()).collect();
    assert_eq!(ranges, [None, Some(100_000), Some(100_000), Some(150_000)]);
    desk.verify();

    // Given up, and begun again by the next call.
    desk.github.forget();
    desk.github.fail_files([Fault::Cut(200_000), Fault::Cut(0), Fault::Cut(0), Fault::Cut(0)]);
    let out = desk.import("github:acme/core", &[]);
    assert_eq!(code(&out), 75, "{out:?}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("after 200000 of"), "{out:?}");
    desk.github.forget();
    assert_eq!(code(&desk.import("github:acme/core", &[])), 0);
    assert_eq!(desk.github.downloads()[0].request.range(), Some(200_000));

    // A server without ranges sends everything again.
    desk.github.fail_files([Fault::Cut(100_000), Fault::NoRanges]);
    assert_eq!(code(&desk.import("github:acme/core", &[])), 0);
    desk.verify();
}

#[test]
fn a_file_with_another_digest_is_refused() {
    let desk = Desk::new(vec![release("v1.0.0")]);
    let mut other = archive("", 300_000);
    other[100_000] ^= 1;
    desk.github.fail_files([Fault::Other(other.clone())]);
    let out = desk.import("github:acme/core", &[]);
    assert_eq!(code(&out), 5, "{out:?}");
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("github:acme/core@v1.0.0: core.tar: its SHA-256 is")
    );
    assert!(!desk.path("core.bundle").exists());
    // What an attempt before left wrong is not believed.
    desk.github.fail_files([
        Fault::Answer(Reply { cut: Some(200_000), ..Reply::new(200, other.clone()) }),
        Fault::Cut(0),
        Fault::Cut(0),
        Fault::Cut(0),
    ]);
    assert_eq!(code(&desk.import("github:acme/core", &[])), 75);
    assert_eq!(code(&desk.import("github:acme/core", &[])), 0);
    desk.verify();
    // One byte too much.
    other.push(0);
    desk.github.fail_files([Fault::Other(other)]);
    assert_eq!(code(&desk.import("github:acme/core", &[])), 1);
    // A file without a digest is used, and said to be so.
    let old = Asset { digest: None, ..tree_asset() };
    desk.github.set(vec![Release::new("v1.1.0", &[old])]);
    let out = desk.import("github:acme/core", &[]);
    assert_eq!((code(&out), field(&out, "verified").as_str()), (0, "false"));
}

#[test]
fn the_file_that_is_meant_is_named_or_the_only_one() {
    let asset = |name: &str| Asset { name: name.into(), ..tree_asset() };
    let half = Asset { state: "starter", ..asset("core-half.tar") };
    let desk = Desk::new(vec![
        Release::new(
            "v1.0.0",
            &[asset("core-arm64.tar"), asset("core-amd64.tar"), asset("SHA256SUMS"), half],
        ),
        Release::new("v0.1.0", &[asset("SHA256SUMS")]),
        Release::new("v0.2.0", &[]),
    ]);
    for (source, args, wanted, text) in [
        (
            "github:acme/core",
            &[][..],
            2,
            "several files that fit: core-arm64.tar, core-amd64.tar; choose one with --asset",
        ),
        ("github:acme/core", &["--asset", "*-arm64.tar"], 0, ""),
        (
            "github:acme/core",
            &["--asset", "*.zip"],
            1,
            "no file that fits \"*.zip\": it has core-arm64.tar, core-amd64.tar, SHA256SUMS",
        ),
        ("github:acme/core@v0.1.0", &[], 1, "has no file that fits: it has SHA256SUMS"),
        ("github:acme/core@v0.2.0", &[], 1, "only the archives of the source"),
    ] {
        desk.ends(source, args, wanted, text);
    }
}

#[test]
fn a_tree_below_a_folder_is_prepared_by_a_command() {
    let content = archive("core-1.0.0/", 1000);
    let desk = Desk::new(vec![Release::new("v1.0.0", &[Asset::new("core.tar", &content)])]);
    let run = "test \"$(cat lib/a.txt)\" = a && echo $BISTABLE_VERSION > lib/made && rm lib/a.txt";
    let out = desk.import("github:acme/core", &["--strip", "1", "--run", run]);
    assert_eq!(code(&out), 0, "{out:?}");
    let files = unpacked(&desk);
    assert_eq!(files, ["VERSION 1.0.0\n", "bin", "bin/core", "lib", "lib/made 1.0.0\n"]);
    for (args, wanted, text) in [
        (&["--strip", "2"][..], 1, "leaves out a folder that is alone, and there is bin, lib"),
        (&["--strip", "1", "--run", "exit 7"], 1, "ended with exit status: 7"),
        (&["--run", "sleep 60", "--run-timeout", "1s"], 1, "still ran after 1 s"),
        (&["--strip", "1", "--run", "ln -s /etc/passwd x"], 1, "\"x\""),
        (&["--strip", "1", "--run", "chmod u+s bin/core"], 1, "bin/core"),
    ] {
        desk.ends("github:acme/core", args, wanted, text);
    }
    assert_eq!(names(&desk.path("cache")), ["answers", "files"]);
}

/// Paths of the bundle's tree, with what is in short files.
fn unpacked(desk: &Desk) -> Vec<String> {
    use bistable_format::archive::{ArchiveReader, Entry, Sink};
    #[derive(Default)]
    struct Names(Vec<String>, u64);
    impl Sink for Names {
        type Error = std::convert::Infallible;
        fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Self::Error> {
            self.0.push(String::from_utf8_lossy(entry.path).into_owned());
            self.1 = entry.bytes;
            Ok(())
        }
        fn content(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            if self.1 < 100 {
                let last = self.0.last_mut().unwrap();
                *last += &format!(" {}", String::from_utf8_lossy(bytes));
            }
            Ok(())
        }
        fn end(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let reader = bistable_image::verify::open(&desk.path("core.bundle"), &desk.product.root.root).unwrap();
    let (mut archive, mut found) = (ArchiveReader::new(), Names::default());
    reader
        .volumes(bistable_image::Threads::new(1), &bistable_image::Silent, &mut |_, _, bytes| {
            archive.push(bytes, &mut found).unwrap();
            Ok(())
        })
        .unwrap();
    archive.finish::<std::convert::Infallible>().unwrap();
    found.0
}

#[test]
fn nothing_of_a_hostile_archive_is_unpacked_outside() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    tar.append_link(&mut header, "core/out", "/tmp").unwrap();
    let content = tar.into_inner().unwrap();
    let desk = Desk::new(vec![Release::new("v1.0.0", &[Asset::new("core.tar", &content)])]);
    let out = desk.import("github:acme/core", &["--strip", "1", "--run", "touch out/bistable-was-here"]);
    assert_eq!(code(&out), 1, "{out:?}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("core/out"), "{out:?}");
    assert!(!std::path::Path::new("/tmp/bistable-was-here").exists());
}

#[test]
fn a_finished_card_image_becomes_an_image_or_is_refused_as_one() {
    let desk = Desk::new(vec![Release::new("v1.0.0", &[Asset::new("hub.img", &noise(5, 100_000))])]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bistable-image"));
    command
        .args([
            "import",
            "github:acme/core",
            "--product",
            "greenhouse",
            "--board",
            "pi4",
            "--api",
            &desk.github.url(),
        ])
        .arg("--cache")
        .arg(desk.path("cache"))
        .arg("--key")
        .arg(desk.path("release.key"))
        .arg("--root")
        .arg(desk.path("root.root"))
        .arg("--out")
        .arg(desk.path("hub.bundle"));
    let out = command.output().unwrap();
    assert_eq!(code(&out), 1, "{out:?}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("hub.img"), "{out:?}");
}
