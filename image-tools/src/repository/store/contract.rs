//! What every store must do, as tests that any of them can be put through.
use super::{Claim, Created, Store, StoreError};
use std::fmt::Debug;
use std::io::Read;
use std::thread;

/// A clause of the contract that a store broke.
#[derive(Debug)]
pub struct Breach {
    /// What should have been.
    pub clause: &'static str,
    /// What was, instead.
    pub found: String,
}

/// Put a store through all of it, in `folder`, which must be empty and is empty again afterwards.
///
/// # Errors
/// The first clause that is broken.
pub fn check(store: &Store, folder: &str) -> Result<(), Breach> {
    absence(store, folder)?;
    creation(store, folder)?;
    race(store, folder)?;
    hints(store, folder)?;
    uploads(store, folder)?;
    listing(store, folder)?;
    names(store)
}

fn holds<T: Debug + PartialEq>(
    clause: &'static str,
    found: Result<T, StoreError>,
    wanted: &T,
) -> Result<(), Breach> {
    match found {
        Ok(found) if found == *wanted => Ok(()),
        found => {
            let mut found = format!("{found:?}");
            found.truncate(400);
            Err(Breach { clause, found })
        }
    }
}

fn fails<T: Debug>(
    clause: &'static str,
    found: Result<T, StoreError>,
    wanted: impl Fn(&StoreError) -> bool,
) -> Result<(), Breach> {
    match found {
        Err(e) if wanted(&e) => Ok(()),
        found => Err(Breach { clause, found: format!("{found:?}") }),
    }
}

fn absence(store: &Store, folder: &str) -> Result<(), Breach> {
    let path = format!("{folder}/absent");
    holds("a file that isn't there has no bytes", store.get(&path, 10), &None)?;
    holds("a file that isn't there has no size", store.size(&path), &None)?;
    holds("a file that isn't there isn't read", store.read(&path).map(|r| r.is_none()), &true)?;
    fails("a file that isn't there has no range", store.range(&path, 0..1), |e| {
        matches!(e, StoreError::NotFound { .. })
    })?;
    holds("a folder that isn't there is empty", store.list(&format!("{folder}/nothing")), &vec![])?;
    holds("what isn't there is removed already", store.delete(&path), &())
}

fn creation(store: &Store, folder: &str) -> Result<(), Breach> {
    let path = format!("{folder}/numbered/00000001.x");
    holds("a new name is created", store.create(&path, b"first"), &Created::Created)?;
    holds("a taken name exists", store.create(&path, b"second, longer"), &Created::Exists)?;
    holds("with the same content, too", store.create(&path, b"first"), &Created::Exists)?;
    holds("a taken name keeps its content", store.get(&path, 5), &Some(b"first".to_vec()))?;
    holds("and its size", store.size(&path), &Some(5))?;
    fails("more than the limit isn't loaded", store.get(&path, 4), |e| {
        matches!(e, StoreError::TooLarge { limit: 4, .. })
    })?;
    holds("a range is a range", store.range(&path, 1..4), &b"irs".to_vec())?;
    holds("an empty range is empty", store.range(&path, 2..2), &vec![])?;
    let beyond = store.range(&path, 2..9);
    fails("a range beyond the end fails", beyond, |_| true)?;
    holds("one's own file can be claimed again", store.claim(&path, b"first", 99), &Claim::Ours)?;
    let theirs = Claim::Theirs(b"first".to_vec());
    holds("another's file is reported", store.claim(&path, b"other", 99), &theirs)?;
    let empty = format!("{folder}/empty");
    holds("an empty file is a file", store.create(&empty, b""), &Created::Created)?;
    holds("and takes its name", store.create(&empty, b"x"), &Created::Exists)?;
    holds("and is read", store.get(&empty, 0), &Some(vec![]))?;
    holds("it can be removed", store.delete(&empty), &())?;
    holds("and is gone", store.size(&empty), &None)?;
    holds("so is the other", store.delete(&path), &())
}

/// Eight at once, some rounds.
fn race(store: &Store, folder: &str) -> Result<(), Breach> {
    for round in 0..5 {
        let path = format!("{folder}/race-{round}");
        let results: Vec<_> = thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|n| {
                    scope.spawn({
                        let path = &path;
                        move || store.create(path, &[n; 100])
                    })
                })
                .collect();
            racers.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let mut winners = Vec::new();
        for (n, result) in (0_u8..).zip(results) {
            match result {
                Ok(Ok(Created::Created)) => winners.push(n),
                Ok(Ok(Created::Exists)) => {}
                other => {
                    return Err(Breach {
                        clause: "a lost race is not an error",
                        found: format!("{other:?}"),
                    });
                }
            }
        }
        holds("exactly one creates", Ok(winners.len()), &1)?;
        holds("and its content stays", store.get(&path, 100), &winners.first().map(|n| vec![*n; 100]))?;
        holds("and is removed", store.delete(&path), &())?;
    }
    Ok(())
}

fn hints(store: &Store, folder: &str) -> Result<(), Breach> {
    let path = format!("{folder}/latest");
    for content in [&b"1"[..], b"a longer one", b""] {
        holds("a hint is written", store.put(&path, content), &())?;
        holds("and read as it was written last", store.get(&path, 99), &Some(content.to_vec()))?;
    }
    holds("and removed", store.delete(&path), &())
}

fn uploads(store: &Store, folder: &str) -> Result<(), Breach> {
    // Below one part, exactly one, and some.
    for (n, bytes) in [0_usize, 1, 8 << 20, (20 << 20) + 17].into_iter().enumerate() {
        let path = format!("{folder}/blobs/{n}");
        let content: Vec<u8> = (0..bytes).map(|i| u8::try_from(i / 7 % 251).unwrap_or(0)).collect();
        let length = bytes as u64;
        if let Some(short) = length.checked_sub(1) {
            let lies = store.upload(&path, &mut content.as_slice(), short);
            fails("a longer stream is refused", lies, |e| matches!(e, StoreError::Length { .. }))?;
        }
        let lies = store.upload(&path, &mut content.as_slice(), length + 1);
        fails("a shorter stream is refused", lies, |e| matches!(e, StoreError::Length { .. }))?;
        let mut broken = content.as_slice().take(length / 2).chain(Broken);
        fails("a broken stream is reported", store.upload(&path, &mut broken, length + 1), |e| {
            matches!(e, StoreError::Content { .. })
        })?;
        holds("and nothing is there", store.size(&path), &None)?;
        let done = store.upload(&path, &mut content.as_slice(), length);
        holds("a stream is uploaded", done, &Created::Created)?;
        holds("and has its size", store.size(&path), &Some(length))?;
        let again = store.upload(&path, &mut Broken, length);
        holds("again it isn't even read", again, &Created::Exists)?;
        let mut read = Vec::new();
        let reader = store.read(&path);
        let all = reader.map(|r| r.map(|mut r| r.read_to_end(&mut read).ok()));
        holds("it is read as a stream", all, &Some(Some(bytes)))?;
        holds("as it was", Ok(read == content), &true)?;
        holds("and removed", store.delete(&path), &())?;
    }
    Ok(())
}

fn listing(store: &Store, folder: &str) -> Result<(), Breach> {
    let files = ["b", "a/2", "a/10", "ab", "a/1"].map(|name| format!("{folder}/list/{name}"));
    for path in &files {
        holds("files to list", store.create(path, path.as_bytes()), &Created::Created)?;
    }
    let names = |folder: &str| {
        store.list(folder).map(|l| l.into_iter().map(|f| (f.path, f.bytes)).collect::<Vec<_>>())
    };
    let mut wanted: Vec<_> = files.iter().map(|f| (f.clone(), f.len() as u64)).collect();
    wanted.sort();
    holds("all below a folder is listed, sorted", names(&format!("{folder}/list")), &wanted)?;
    wanted.retain(|(path, _)| path.contains("/a/"));
    holds("a folder's name is not a prefix", names(&format!("{folder}/list/a")), &wanted)?;
    let inside = store.folders(&format!("{folder}/list"));
    holds("folders are those directly in a folder", inside, &vec!["a".to_owned()])?;
    for path in &files {
        holds("files are removed", store.delete(path), &())?;
    }
    holds("a folder that isn't there has none", store.folders(&format!("{folder}/nothing")), &vec![])?;
    holds("nothing is left", names(folder), &vec![])
}

fn names(store: &Store) -> Result<(), Breach> {
    for bad in ["../x", "/x", "x/../../y", ""] {
        fails("such a name is refused", store.create(bad, b"x"), |e| matches!(e, StoreError::Name { .. }))?;
    }
    Ok(())
}

/// A stream that can't be read.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("broken"))
    }
}
