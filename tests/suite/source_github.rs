//! `github:` as a source of bundles: against a stand-in that speaks GitHub's documented API.
use bistable::source::{Github, Location, Source, SourceError, Span, Stream, http::Address};
use bistable_kit::github::{Asset, Fault, Github as Server, Release, rate_limited};
use std::io::Read;

fn bundle(seed: u64) -> Vec<u8> {
    crate::fixture::noise(seed, 200_000)
}

fn server() -> Server {
    let draft = Release { draft: true, ..Release::new("v3.0.0", &[Asset::new("hub.bundle", &bundle(3))]) };
    let beta =
        Release { prerelease: true, ..Release::new("v2.0.0-rc1", &[Asset::new("hub.bundle", &bundle(2))]) };
    let sums = Asset::new("SHA256SUMS", b"sums");
    let both = [Asset::new("hub.bundle", &bundle(1)), Asset::new("core.bundle", &bundle(4)), sums.clone()];
    Server::new(vec![
        draft,
        beta,
        Release::new("v1.1.0", &[Asset::new("hub.bundle", &bundle(0)), sums]),
        Release::new("v1.0.0", &both),
    ])
}

fn find(server: &Server, text: &str) -> Result<Address, SourceError> {
    text.parse::<Github>().unwrap().find_at(&Address::parse(&server.url()).unwrap(), None)
}

fn read(server: &Server, text: &str) -> Vec<u8> {
    let location = Location::Web(find(server, text).unwrap());
    let mut found = Vec::new();
    Stream::open(location.open(None).unwrap(), "").unwrap().read_to_end(&mut found).unwrap();
    found
}

#[test]
fn bundle_of_the_latest_release_or_of_a_named_one_is_read() {
    let server = server();
    assert_eq!(read(&server, "github:acme/core"), bundle(0));
    assert_eq!(read(&server, "github:acme/core@v2.0.0-rc1"), bundle(2));
    assert_eq!(read(&server, "github:acme/core@v1.0.0#core.bundle"), bundle(4));
    // The program says what it is, and sends nothing secret.
    assert!(
        server
            .asked()
            .iter()
            .all(|e| e.request.header("user-agent").is_some_and(|a| a.starts_with("bistable")))
    );
    let all = [server.asked(), server.downloads()].concat();
    assert!(all.iter().all(|e| e.request.header("authorization").is_none()));
}

#[test]
fn connection_that_breaks_is_made_again() {
    let server = server();
    server.fail_files([Fault::Cut(70_000), Fault::Cut(1000)]);
    assert_eq!(read(&server, "github:acme/core"), bundle(0));
    let ranges: Vec<_> = server.downloads().iter().filter_map(|e| e.request.range()).collect();
    assert!(ranges.contains(&70_000), "{ranges:?}");
}

#[test]
fn what_is_not_there_is_reported() {
    let server = server();
    for (text, says) in [
        ("github:acme/core@v9.0.0", "github:acme/core@v9.0.0 is not there"),
        ("github:acme/core@v3.0.0", "is not there"),
        ("github:acme/other", "is not there"),
        ("github:acme/core@v1.0.0", "several bundles: add #FILE, one of hub.bundle, core.bundle"),
        ("github:acme/core#web.bundle", "has no such bundle: it has hub.bundle, SHA256SUMS"),
    ] {
        let refused = find(&server, text).unwrap_err().to_string();
        assert!(refused.contains(says), "{text}: {refused}");
    }
    server.fail([Fault::Answer(rate_limited(0))]);
    assert!(find(&server, "github:acme/core").is_err());
    let address = find(&server, "github:acme/core").unwrap();
    let mut source = Location::Web(address).open(None).unwrap();
    source.open_range("", Span::new(199_999, 200_000)).unwrap();
    let mut byte = [0];
    assert_eq!((source.read(&mut byte).unwrap(), byte[0]), (1, bundle(0)[199_999]));
}
