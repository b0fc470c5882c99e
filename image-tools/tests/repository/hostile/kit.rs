//! A good repository with its product's keys, a secret beside it, and the program.
use crate::product::{Product, key};
use bistable_image::root::{self, RootOptions};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// What no verb may copy or print.
pub(super) const SECRET: &str = "root:$6$operator-secret:19000:0:99999:7:::";
/// The codes that the program documents.
const CODES: [i32; 7] = [0, 1, 2, 3, 5, 6, 75];

/// All that a verb can touch lies below one folder.
pub(super) struct Kit {
    folder: TempDir,
    product: Product,
}

/// How a verb ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) text: String,
}

impl Kit {
    /// Staging offers 1.1.0 and 1.2.0, the first of them attested and promoted into production; another channel a component.
    pub(super) fn new() -> Kit {
        let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
        let kit = Kit { folder, product };
        for name in ["outside", "outside/folder", "home", "destination"] {
            fs::create_dir(kit.path(name)).unwrap();
        }
        for name in ["outside/secret", "outside/folder/secret"] {
            fs::write(kit.path(name), SECRET).unwrap();
        }
        kit.product.channel_key.write(&kit.path("channel")).unwrap();
        kit.product.release_key.write(&kit.path("release")).unwrap();
        key(7).write(&kit.path("rig")).unwrap();
        key(67).write(&kit.path("stranger")).unwrap();
        fs::write(kit.path("1.root"), &kit.product.root.bytes).unwrap();
        let next = kit.product.next_root(vec![kit.product.release_key.public(), key(9).public()]);
        fs::write(kit.path("2.root"), &next.bytes).unwrap();
        for minor in 1..=3 {
            let made = crate::publish::bundle(&kit.product, &kit.folder, minor, "x");
            fs::rename(made, kit.path(&format!("{minor}.bundle"))).unwrap();
        }
        fs::create_dir(kit.path("core")).unwrap();
        fs::write(kit.path("core/run"), "x").unwrap();
        let core = [
            ["build", "--component", "core", "--kind", "directory", "--tree", "{core}", "--product"],
            ["hub", "--version", "2.0.0", "--board", "pi4", "--key", "{release.key}", "--root"],
        ];
        for args in [
            &[&core.concat()[..], &["{1.root}", "--out", "{core.bundle}"]].concat()[..],
            &["repo", "init", "--root", "{1.root}"][..],
            &["publish", "{1.bundle}", "--key", "{channel.key}"],
            &["publish", "{2.bundle}", "--key", "{channel.key}"],
            &["publish", "{core.bundle}", "--channel", "apps", "--key", "{channel.key}"],
            &["channel", "gates", "production", "--require", "{gate}", "--key", "{channel.key}"],
            &["attest", "staging", "1.1.0", "--kind", "tested", "--key", "{rig.key}"],
            &["attest", "staging", "1.2.0", "--kind", "tested", "--key", "{rig.key}"],
            &["promote", "staging", "production", "1.1.0", "--waves", "1%,100%@2d", "--key", "{channel.key}"],
        ] {
            let ended = kit.run(args);
            assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.text);
        }
        for name in ["repository", "home"] {
            copy(&kit.path(name), &kit.path(&format!("good-{name}")));
        }
        kit
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// As it was made: the repository, and what the program remembers of it.
    pub(super) fn restore(&self) {
        for name in ["repository", "home", "destination", "outside"] {
            fs::remove_dir_all(self.path(name)).unwrap();
        }
        for name in ["repository", "home"] {
            copy(&self.path(&format!("good-{name}")), &self.path(name));
        }
        fs::create_dir(self.path("destination")).unwrap();
        fs::create_dir_all(self.path("outside/folder")).unwrap();
        for name in ["outside/secret", "outside/folder/secret"] {
            fs::write(self.path(name), SECRET).unwrap();
        }
    }

    /// Run the program. `{name}` is a file of the kit.
    pub(super) fn run(&self, args: &[&str]) -> Ended {
        let named = |arg: &&str| match arg.strip_prefix('{').and_then(|arg| arg.strip_suffix('}')) {
            Some("gate") => format!("tested={}", self.path("rig.pub").display()),
            Some(name) => self.path(name).display().to_string(),
            None => (*arg).to_owned(),
        };
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
            .args(args.iter().map(named))
            .args(["--progress", "quiet"])
            .env("BISTABLE_REPO", self.repository())
            .env("BISTABLE_BY", "ada")
            // What the program remembers between its runs.
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("home/state"))
            .env("BISTABLE_STATE_DIR", self.path("home/state/bistable-image"))
            .env("XDG_DATA_HOME", self.path("home/data"))
            .env("XDG_CONFIG_HOME", self.path("home/config"))
            .output()
            .unwrap();
        let text = [stdout, stderr].concat();
        let text = String::from_utf8(text).expect("output is UTF-8");
        Ended { code: status.code(), text }
    }

    /// Run a verb, which must keep the secret, end as documented, and print nothing that moves the cursor.
    #[track_caller]
    pub(super) fn survives(&self, when: &str, args: &[&str]) -> Ended {
        let ended = self.run(args);
        let Ended { code, text } = &ended;
        assert!(code.is_some_and(|code| CODES.contains(&code)), "{when}: {args:?}: {code:?}\n{text}");
        assert!(!text.contains("panicked"), "{when}: {args:?}\n{text}");
        assert!(!text.contains("operator-secret"), "{when}: {args:?}\n{text}");
        let odd =
            text.chars().find(|c| !matches!(c, '\n' | '\t') && !bistable_format::text::is_printable_char(*c));
        assert_eq!(odd, None, "{when}: {args:?}\n{text:?}");
        ended
    }

    /// The secret is in no file that a verb could have written, and nothing outside was changed.
    #[track_caller]
    pub(super) fn assert_kept(&self, when: &str, outside: &BTreeMap<PathBuf, Vec<u8>>) {
        for name in ["repository", "destination"] {
            for (path, bytes) in files(&self.path(name)) {
                let leaked = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
                assert!(!leaked, "{when}: the secret is in {}", path.display());
            }
        }
        assert!(files(&self.path("outside")) == *outside, "{when}: something outside was changed");
    }

    /// Everything outside of the repository that a link may lead to.
    pub(super) fn outside(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(&self.path("outside"))
    }

    /// Every file that a verb may have signed. Roots are signed elsewhere.
    pub(super) fn signed(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let folders = ["channels", "attestations"].map(|folder| self.repository().join(folder));
        let all = folders.iter().flat_map(|folder| files(folder));
        all.filter(|(path, _)| !path.ends_with("latest")).collect()
    }

    /// A root of an attacker who knows the product's public keys, and the first root of no device.
    pub(super) fn strangers_root(&self) -> Vec<u8> {
        let stranger = key(66);
        root::create(&RootOptions {
            root_keys: vec![stranger.public()],
            release_keys: vec![stranger.public(), self.product.release_key.public()],
            channel_keys: vec![self.product.channel_key.public()],
            thresholds: vec![],
            sign: vec![stranger],
            ..RootOptions::default()
        })
        .unwrap()
        .bytes
    }
}

/// All ordinary files below a folder. Links are not followed.
pub(super) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return all };
    for entry in entries {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all.extend(files(&entry.path()));
        } else if kind.is_file() {
            all.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    all
}

/// Copy a folder of ordinary files.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Names that no file of a repository can have.
pub(super) fn hostile_names() -> Vec<PathBuf> {
    [
        &b"\x1b[31mred\x1b]0;title\x07"[..],
        b"new\nline",
        b"\xff\xfe",
        "\u{202e}lennahc".as_bytes(),
        "zero\u{200b}width".as_bytes(),
        b"...",
        b"..x",
        b"a b",
        b"a#b",
        b"a\\..\\b",
        b"con:",
        b"%2e%2e",
        &[b'x'; 255],
    ]
    .map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name)))
    .to_vec()
}
