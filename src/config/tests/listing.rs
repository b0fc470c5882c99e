//! What `config show` and `config check` are made from.
use super::*;
use crate::config::keys::KEYS;

/// Compare with a golden file; `BLESS=1` writes it again.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert!(want == text, "{} differs; BLESS=1 accepts this:\n{text}", path.display());
}

/// Text and object, with the tree as if it were the root.
fn shown(root: &Path) -> (String, String) {
    let listing = read(root).unwrap().listing();
    let root = root.display().to_string();
    let json = serde_json::to_string_pretty(&listing).unwrap() + "\n";
    (listing.text().replace(&root, ""), json.replace(&root, ""))
}

const PLAN: &str = "[[test]]\nname = 'a'\nkind = 'command'\nrun = ['/x']\n";

fn rich() -> TempDir {
    tree(&[
        (
            "usr/lib/bistable/config.d/10-product.toml",
            "[install]\nflush_bytes = 0x2000000\n[component.modem]\ninstalled = '4.1.0'\n\
             [source]\nurls = [\n  'https://example.org/repo',\n  '/media/usb/repo',\n]\n\
             [source.limits]\nretry_wait = '90s'\n",
        ),
        (
            "usr/lib/bistable/config.d/30-components.toml",
            "[component.web]\nkind = 'containers'\nproject = 'hub'\nservice = 'web'\n\
             [component.app]\nkind = 'directory'\nunit = 'app.service'\npath = '/opt/app'\nmode = 'auto'\n",
        ),
        (
            "run/bistable/config.d/95-now.toml",
            "[component.app]\nmode = 'check'\nbackup.keep = 2\n[component.web]\ninstalled = '2.0.0'\n",
        ),
        ("usr/lib/bistable/config.d/20-demo.toml", "allow_demo_keys = true\n"),
        ("etc/bistable/config.d/20-demo.toml", ""),
        (
            "etc/bistable/config.d/50-site.toml",
            "install.flush_bytes = 16_777_216\n[update]\ngroup = 'canary'\n[component.'a.b']\ninstalled = '1.0.0'\n",
        ),
        ("run/bistable/config.d/90-now.toml", "[install]\nflush_bytes = 67108864\n"),
        ("etc/bistable/self-test.toml", PLAN),
    ])
}

#[test]
fn all_by_default() {
    let root = tree(&[]);
    let (text, json) = shown(root.path());
    golden("config-default.txt", &text);
    golden("config-default.json", &json);
}

#[test]
fn origins_and_what_they_override() {
    let (text, json) = shown(rich().path());
    golden("config-layers.txt", &text);
    golden("config-layers.json", &json);
}

#[test]
fn what_is_shown_is_a_fragment_that_says_the_same() {
    let root = rich();
    let loaded = read(root.path()).unwrap();
    let mut problems = Vec::new();
    let again = Fragment::read(Path::new("shown"), &loaded.listing().text(), &mut problems);
    assert_eq!(problems, []);
    let usual = Some(PathBuf::from("/etc/bistable/self-test.toml"));
    assert_eq!(again.inputs().self_test_plan, usual, "what counts by its place is shown, too");
    assert_eq!(again.inputs(), loaded.inputs);
}

#[test]
fn a_name_with_a_line_break_stays_one_line() {
    let root = tree(&[("etc/bistable/config.d/a\nallow_demo_keys = true #.toml", "[update]\nid = 'x'\n")]);
    let text = read(root.path()).unwrap().listing().text();
    let again = Fragment::read(Path::new("shown"), &text, &mut Vec::new());
    assert!(!again.inputs().settings.allow_demo_keys, "{text}");
}

#[test]
fn files_that_count() {
    let root = rich();
    let loaded = read(root.path()).unwrap();
    let names: Vec<_> = loaded.files().iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    let want = [
        "10-product.toml",
        "20-demo.toml",
        "30-components.toml",
        "50-site.toml",
        "90-now.toml",
        "95-now.toml",
        "self-test.toml",
    ];
    assert_eq!(names, want);
}

const BEGIN: &str = "<!-- settings: `BLESS=1 cargo test -p bistable config` writes them -->\n";
const END: &str = "\n<!-- end of the settings -->";

#[test]
fn configuration_page_has_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the table's first marker");
    let (old, tail) = rest.split_once(END).expect("the table's last marker");
    let table = show::reference();
    assert_eq!(table.lines().count(), KEYS.len() + 2);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, [head, BEGIN, &table, END, tail].concat()).unwrap();
    } else {
        assert_eq!(
            old,
            table,
            "{} is not what the code does; see the marker for how to renew it",
            path.display()
        );
    }
}
