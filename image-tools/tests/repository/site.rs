//! The page for people and the list for Raspberry Pi Imager.
use crate::cli::at;
use crate::life::Life;
use crate::product::Product;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bistable_format::{Channel, Digest};
use bistable_image::repository::Store;
use bistable_image::repository::catalog::{self, Entry};
use bistable_image::repository::channel::{ChannelError, ChannelLog};
use bistable_image::repository::inventory::Inventory;
use bistable_image::repository::site::{About, Download, Site, page};
use bistable_image::repository::store::Memory;
use bistable_image::repository::writer::Change;
use serde_json::Value;
use std::fs;

const HOSTILE: &str = "</p><script>alert(1)</script><img src=x onerror='x'>\n\"quoted\" & <b>bold";

/// Every tag that is opened is closed, in order.
fn assert_balanced(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let end = tag.find('>').unwrap();
        let inside = &tag[..end];
        let name = inside.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{}", &rest[at..at + 40]);
        } else if !["!DOCTYPE", "meta", "br"].contains(&name) {
            assert!(
                [
                    "html", "head", "title", "style", "body", "h1", "h2", "h3", "p", "main", "div",
                    "section", "article", "span", "code", "s", "i", "ol", "li", "pre", "time", "a",
                    "noscript", "script"
                ]
                .contains(&name),
                "{name}"
            );
            open.push(name);
        }
        rest = &tag[end..];
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn foreign_text_never_becomes_markup() {
    let product = Product::new();
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    product.offer(&log, "ada", 1).unwrap();
    let hostile = |draft: &mut Channel| {
        let offer = &draft.offers[0];
        let entry = Entry {
            product: offer.constraints.product.clone(),
            component: None,
            version: offer.constraints.version.clone(),
            release: offer.release,
            identity: offer.identity,
            security_version: 1,
            boards: vec![],
            at: 0,
            description: HOSTILE.into(),
            author: String::new(),
            bytes: 1,
        };
        draft.catalog = catalog::add(&store, &draft.catalog, &[entry]).unwrap();
        draft.withdrawn.push(bistable_format::channel::Withdrawal {
            product: "hub".into(),
            component: None,
            version: "0.1.0".parse().unwrap(),
            identity: Digest::of(b"bad"),
            reason: "<script>bad</script>".into(),
            at: 1,
            extensions: Default::default(),
        });
        Ok::<_, ChannelError>(Change::Made { verb: "publish".into(), about: String::new() })
    };
    product.committer("ada").writer(&log).commit(hostile).unwrap();
    let inventory = Inventory::read(&store, &roots, None).unwrap();
    let text = || vec![HOSTILE.to_owned()];
    let sbom = Some(bistable_format::content::Blob { digest: Digest::of(b"sbom"), bytes: 7 });
    let about = About { attested: text(), bound: text(), requires: text(), sbom };
    let about = inventory.releases.keys().map(|id| (*id, about.clone())).collect();
    let download = Download {
        name: HOSTILE.into(),
        url: format!("https://x.example/{HOSTILE}"),
        day: HOSTILE.into(),
        bytes: 1,
        sha256: HOSTILE.into(),
    };
    let site = Site {
        deltas: &[],
        about: &about,
        downloads: &[download],
        files: Some("https://x.example/'\"</".into()),
        title: "<A & B>",
        url: Some("https://x.example/'\"<"),
        inventory: &inventory,
        now: 1_800_000_000,
    };
    let html = page(&site);
    assert_balanced(&html);
    assert!(!html.contains("<img") && !html.contains("<b>"), "{html}");
    // One script, and the only one that may run.
    let (_, script) = html.split_once("<script>").unwrap();
    let (script, end) = script.split_once("</script>").unwrap();
    assert!(end.starts_with("</body>") && html.matches("<script").count() == 1, "{html}");
    let digest = STANDARD.encode(Digest::of(script.as_bytes()).0);
    assert!(html.contains(&format!("script-src 'sha256-{digest}'\">")), "{digest}");
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt;")
            && html.contains("<title>&lt;A &amp; B&gt;</title>")
    );
    assert!(html.contains("prefers-color-scheme:dark") && html.contains("color-scheme:light dark"));
    assert!(html.contains("default-src 'none'"));
    for outside in ["src=\"", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    // Links lead to what the operator named, and nowhere else.
    let links: Vec<&str> = html.split("href=\"").skip(1).collect();
    assert_eq!(links.len(), 2);
    assert!(links.iter().all(|link| link.starts_with("https://x.example/")), "{links:?}");
    let empty = Inventory { channels: Default::default(), releases: Default::default() };
    let empty = Site {
        title: "x",
        url: None,
        inventory: &empty,
        deltas: &[],
        about: &Default::default(),
        downloads: &[],
        files: None,
        now: 0,
    };
    assert_balanced(&page(&empty));
}

/// A partition table with one partition, and some bytes in it.
fn card() -> Vec<u8> {
    let mut card = vec![7; 5120];
    card[446..512].fill(0);
    card[446 + 4] = 0x83;
    card[446 + 8] = 1;
    card[446 + 12] = 9;
    card[510..512].copy_from_slice(&[0x55, 0xaa]);
    card
}

/// The fields and types that the imager's own schema demands of an item.
#[test]
fn the_imagers_list_is_as_its_schema_says() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("1.root"), &product.root.bytes).unwrap();
    let card = card();
    fs::write(path("card.img"), &card).unwrap();
    let repo = path("repository");
    at(&repo, &["repo", "init", "--root", &path("1.root")], 0);
    at(&repo, &["site", "--card", &path("card.img")], 2);
    let site = [
        "site",
        "--card",
        &path("card.img"),
        "--url",
        "https://updates.example/",
        "--board",
        "cm4",
        "--board",
        "pi5",
    ];
    let with = |args: &[&str], code| {
        let folder = path("refused");
        let args = [&["site", "--out", &folder][..], args].concat();
        let (_, stderr) = at(&repo, &args, code);
        assert!(!fs::exists(&folder).unwrap(), "{args:?}");
        stderr
    };
    for wrong in ["not a url", "updates.example", "ftp://x.example", "https://x.example/?a=b", "https://"] {
        let told = with(&["--url", wrong], 2);
        assert!(told.contains("https://updates.example.com"), "{told}");
    }
    let told = with(&["--board", "BAD BOARD"], 2);
    assert!(told.contains("a-z 0-9"), "{told}");
    let told = with(&["--url", "https://x.example", "--card", &path("1.root")], 2);
    assert!(told.contains("1.root is not a card image"), "{told}");
    at(&repo, &site, 0);
    at(&repo, &[&site[..], &["--out", &path("www")]].concat(), 0);
    let list: Value = serde_json::from_slice(&fs::read(format!("{repo}/rpi-imager.json")).unwrap()).unwrap();
    assert_eq!(
        fs::read(format!("{repo}/rpi-imager.json")).unwrap(),
        fs::read(path("www/rpi-imager.json")).unwrap()
    );
    assert_balanced(&fs::read_to_string(path("www/index.html")).unwrap());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(keys(&list).iter().all(|key| ["os_list", "imager"].contains(&key.as_str())));
    let [item] = list["os_list"].as_array().unwrap().as_slice() else { panic!("{list}") };
    for text in ["name", "description", "icon", "url", "extract_sha256", "release_date"] {
        assert!(item[text].is_string(), "{text}");
    }
    for number in ["extract_size", "image_download_size"] {
        assert_eq!(item[number], 5120, "{number}");
    }
    assert_eq!(item["url"], "https://updates.example/card.img");
    assert_eq!(item["extract_sha256"], Digest::of(&card).to_string());
    assert_eq!(item["release_date"].as_str().unwrap().len(), "2026-11-01".len());
    assert_eq!(item["devices"], serde_json::json!(["pi4-64bit", "pi5-64bit"]));
    // Whatever it says, the imager would offer settings that this system doesn't take.
    assert!(item.get("init_format").is_none());
    // A name that isn't plain is still one address.
    fs::write(path("my card #1 ü.img"), &card).unwrap();
    at(&repo, &["site", "--card", &path("my card #1 ü.img"), "--url", "https://x.example"], 0);
    let list: Value = serde_json::from_slice(&fs::read(format!("{repo}/rpi-imager.json")).unwrap()).unwrap();
    assert_eq!(list["os_list"][0]["url"], "https://x.example/my%20card%20%231%20%C3%BC.img");
    assert_eq!(list["os_list"][0]["name"], "my card #1 ü.img");
    let (_, missing) = at(&repo, &["site", "--card", &path("none.img"), "--url", "https://x.example"], 1);
    assert!(missing.contains("none.img"), "{missing}");
}

#[test]
fn the_page_shows_what_decides_about_releases() {
    let life = Life::new(2);
    life.ok(&["key", "new", "--out", &life.path("bench")]);
    let bench = format!("tests-passed={}", life.path("bench.pub"));
    let gates =
        ["channel", "gates", "staging", "--min-age", "1d", "--min-interval", "90m", "--require", &bench];
    life.acts(&gates, 0);
    let attest = ["attest", "staging", "1.2.0", "--kind", "tests-passed", "--key", &life.path("bench.key")];
    life.ok(&attest);
    life.acts(&["channel", "barrier", "staging", "1.2.0"], 0);
    life.acts(&["promote", "staging", "production", "1.1.0", "--waves", "10%,100%@2d"], 0);
    life.acts(&["withdraw", "staging", "1.1.0", "--reason", "the fan stays off"], 0);
    let page = |args: &[&str]| {
        life.ok(&[&["site"], args].concat());
        fs::read_to_string(format!("{}/index.html", life.repo)).unwrap()
    };
    let html = page(&[]);
    assert_balanced(&html);
    for shown in [
        "a release enters with 1 day in the channel before, 90 minutes since the last promotion, tests-passed by ",
        "attested: tests-passed",
        "<span class=\"tag\">barrier</span>",
        "<span class=\"tag bad\">withdrawn</span>",
        "the fan stays off",
        "<span class=\"tag warn\" data-waves=\"",
        ">10 %</span>",
        "data-life=\"604800\" hidden></span>",
        "valid until <time datetime=\"",
    ] {
        assert!(html.contains(shown), "{shown}\n{html}");
    }
    // Each time is there for scripts and for people without them.
    for time in html.split("<time datetime=\"").skip(1) {
        let (stamp, rest) = time.split_once("\">").unwrap();
        assert!(rest.starts_with(&format!("{stamp}</time>")) && stamp.ends_with('Z'), "{stamp}");
    }
    // A statement by a key that nothing names is worth nothing.
    let other = ["key", "new", "--out", &life.path("other")];
    life.ok(&other);
    let folder = format!("{}/attestations", life.repo);
    let there = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let file = fs::read_dir(&there).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, b"no attestation").unwrap();
    assert!(!page(&[]).contains("attested:"));
}

#[test]
fn without_a_card_the_imagers_list_stays_and_the_page_leads_to_it() {
    let life = Life::new(1);
    let list = |folder: &str| fs::read(format!("{folder}/rpi-imager.json")).ok();
    life.ok(&["site"]);
    assert_eq!(list(&life.repo), None, "no list is made of nothing");
    let card = card();
    fs::write(life.path("card.img"), &card).unwrap();
    let (url, www) = (["--url", "https://updates.example/"], life.path("www"));
    for (folder, out) in [(&life.repo, &[][..]), (&www, &["--out", &www][..])] {
        let site = |args: &[&str]| {
            life.ok(&[&["site"], &url[..], out, args].concat());
            fs::read_to_string(format!("{folder}/index.html")).unwrap()
        };
        let first = site(&["--card", &life.path("card.img")]);
        let made = list(folder).unwrap();
        let again = site(&[]);
        assert_eq!(list(folder).unwrap(), made);
        for html in [first, again] {
            for shown in [
                "<a href=\"https://updates.example/card.img\">card.img</a>",
                &Digest::of(&card).to_string(),
                "<pre>rpi-imager --repo https://updates.example/rpi-imager.json</pre>",
            ] {
                assert!(html.contains(shown), "{shown}\n{html}");
            }
        }
        // A list that another program made stays, too, whatever is in it.
        fs::write(format!("{folder}/rpi-imager.json"), "not a list").unwrap();
        assert!(!site(&[]).contains("Card images"));
        assert_eq!(list(folder).unwrap(), b"not a list");
    }
}
