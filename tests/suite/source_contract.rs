//! What every source has to do, whatever it is made of.
use crate::{
    fixture::noise,
    source_http::http,
    source_server::{Files, Server},
};
use bistable::{
    board::sim::clock::SimClock,
    source::{
        Dir, Limits, Location, Memory, Mirrors, Retry, RetryPolicy, Source, SourceError, Span, Stream, fill,
    },
};
use std::{fs, io::Read};

const BYTES: u64 = 50_000;

fn files() -> Files {
    let noisy = |seed, len: u64| noise(seed, usize::try_from(len).unwrap());
    Files::from([
        ("blobs/sha256/data".to_owned(), noisy(1, BYTES)),
        ("channels/stable/latest".to_owned(), noisy(2, 10)),
        ("empty".to_owned(), Vec::new()),
    ])
}

/// Each kind, with the same files.
fn each(mut check: impl FnMut(&str, &mut dyn Source)) {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files() {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let server = Server::good(files());
    let web = || http(&server, Limits::default());
    let memory = || Memory::new(files());
    let clock = Box::new(SimClock::default());
    let two: [Box<dyn Source>; 2] = [Box::new(memory()), Box::new(web())];
    let text = format!("file://{}", folder.path().display());
    check("dir", &mut Dir::new(folder.path()).unwrap());
    check("location", &mut Location::parse(&text).unwrap().open(None).unwrap());
    check("memory", &mut memory());
    check("http", &mut web());
    check("retry", &mut Retry::new(web(), RetryPolicy::default(), clock, || 0));
    check("mirrors", &mut Mirrors::new(two));
}

fn range(source: &mut dyn Source, from: u64, to: u64) -> Result<Vec<u8>, SourceError> {
    let mut source = source;
    source.open_range("blobs/sha256/data", Span::new(from, to))?;
    let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
    fill(&mut source, &mut bytes)?;
    assert_eq!(source.read(&mut [0; 10])?, 0, "nothing behind the end");
    Ok(bytes)
}

#[test]
fn ranges_hold_what_the_file_holds() {
    let data = files()["blobs/sha256/data"].clone();
    each(|name, source| {
        for (from, to) in
            [(0, BYTES), (0, 1), (BYTES - 1, BYTES), (7, 4_999), (5_000, 5_001), (30_000, 40_000)]
        {
            let want = &data[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
            assert!(range(source, from, to).unwrap() == want, "{name}: {from} to {to}");
        }
    });
}

#[test]
fn a_range_that_is_left_is_left() {
    let data = files()["blobs/sha256/data"].clone();
    each(|name, source| {
        source.open_range("blobs/sha256/data", Span::new(100, 40_000)).unwrap();
        assert!(source.read(&mut [0; 10]).unwrap() > 0);
        assert!(range(source, 20, 60).unwrap() == data[20..60], "{name}");
        source.open_range("blobs/sha256/data", Span::new(100, 40_000)).unwrap();
        assert_eq!(source.get("channels/stable/latest", 10).unwrap().unwrap(), noise(2, 10), "{name}");
        assert!(range(source, 20, 60).unwrap() == data[20..60], "{name}");
    });
}

#[test]
fn what_reaches_over_the_end_is_an_error() {
    each(|name, source| {
        for (from, to) in [(0, BYTES + 1), (BYTES - 5, BYTES + 5), (BYTES + 1, BYTES + 9)] {
            let e = range(source, from, to).unwrap_err();
            assert!(matches!(e, SourceError::Short { .. }), "{name}: {from} to {to}: {e}");
            assert!(!e.is_transport(), "{name}");
        }
        assert_eq!(range(source, 0, 10).unwrap().len(), 10, "{name}");
        assert_eq!(range(source, 10, 10).unwrap().len(), 0, "{name}: nothing is nothing");
    });
}

#[test]
fn small_files_have_a_limit_and_may_be_missing() {
    each(|name, source| {
        assert_eq!(source.get("channels/stable/latest", 10).unwrap(), Some(noise(2, 10)), "{name}");
        assert_eq!(source.get("empty", 0).unwrap(), Some(Vec::new()), "{name}");
        assert_eq!(source.get("channels/stable/00000001.channel", 10).unwrap(), None, "{name}");
        let e = source.get("channels/stable/latest", 9).unwrap_err();
        assert!(matches!(e, SourceError::TooLarge { limit: 9, .. }), "{name}: {e}");
        let e = source.open_range("nothing", Span::new(0, 1)).unwrap_err();
        assert!(matches!(e, SourceError::NotThere { .. }), "{name}: {e}");
        assert!(!source.name().is_empty(), "{name}");
    });
}

#[test]
fn a_stream_is_the_whole_file() {
    each(|name, source| {
        let mut bytes = Vec::new();
        Stream::open(source, "blobs/sha256/data").unwrap().read_to_end(&mut bytes).unwrap();
        assert!(bytes == files()["blobs/sha256/data"], "{name}");
    });
}
