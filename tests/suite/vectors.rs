//! Each file of `tests/vectors` has one defect, and each is served to a device that has seen better: it must say what is
//! wrong, in these very words, remember nothing of it, and take what is good from the same place afterwards.
//!
//! | file | noun |
//! |---|---|
//! | `make` | how the files are made |
//! | `deltas` | files of deltas: how they are made and given to both programs |
//! | `deltas_table` | what both say |
//! | `table` | each file, where it is served, and what the device says |
mod deltas;
mod deltas_table;
mod make;
mod table;

use crate::{
    rig::Rig,
    shop::{
        CHANNEL, NEW_PUBLISHER, NEW_RELEASER, NOW, PUBLISHER, RELEASER, SEEN, at_time, channel, device,
        frame, install, look, made_by, offer, publish_by, put, record, shop, stock, volumes,
    },
};
use bistable::{error::Exit, source::Memory};
use bistable_boot::{Record, Saved, layout::Partition};
use bistable_format::{Artifact, ChunkList, Digest, Encoding, Offer, release, repository};
use make::{GOOD, NEXT};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use table::TABLE;

/// Where a file is served, in a repository that is fine otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Serve {
    /// As the root of this version; those before it are good.
    Root(u32),
    /// As the channel's next file.
    Next,
    /// The same, after a good root 2.
    NextUnderRoot2,
    /// As the channel's next file, which is good but for one offer.
    NextWithBadOffer,
    /// As the channel's file of this number, which the hint names.
    Number(u64),
    /// The same, and none of the others is there any more.
    Only(u64),
    /// In place of the release that the channel offers.
    Release,
    /// As the release that the channel names, but says of it what is true of the good one.
    NamedRelease,
    /// The same, after a good root 2.
    NamedReleaseUnderRoot2,
    /// As the release that the channel names, and says the truth of.
    TrueRelease,
    /// In place of the chunk list of the boot volume.
    List,
    /// As the chunk list that a well signed release names.
    NamedList,
    /// In place of the boot volume's data.
    Data,
    /// As the data that a well signed release and its list name.
    NamedData,
}

/// What may be left of it on the card.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    /// Nothing at all is written.
    Nothing,
    /// What was verified before the defect was met: newer floors.
    Floors,
    /// Also what was begun in the other slot.
    Begun,
}

impl Serve {
    /// Which root is the newest good one that is served along with it.
    fn root(self) -> u32 {
        match self {
            Serve::Root(3) | Serve::NextUnderRoot2 | Serve::NamedReleaseUnderRoot2 => 2,
            _ => 1,
        }
    }

    /// Whether the channel's next file is good.
    fn channel_is_good(self) -> bool {
        !matches!(
            self,
            Serve::Root(_) | Serve::Next | Serve::NextUnderRoot2 | Serve::Number(_) | Serve::Only(_)
        )
    }

    fn left(self) -> Left {
        match self {
            Serve::List | Serve::NamedList | Serve::Data | Serve::NamedData => Left::Begun,
            _ if self.root() == 2 || self.channel_is_good() => Left::Floors,
            _ => Left::Nothing,
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// A repository in which all is well, under the root of this version.
fn good(root: u32) -> Memory {
    good_at(root, NEXT)
}

/// The same, with a channel file of this number: a second one of the same number would be refused.
fn good_at(root: u32, number: u64) -> Memory {
    let mut shop = shop();
    let (releaser, publisher) = signers(root);
    if root == 2 {
        put(&mut shop, repository::root(2), make::signed_next_root());
    }
    let offer = stock(&mut shop, &made_by(GOOD, &[releaser], |_| {}));
    publish_by(&mut shop, &channel(number, vec![offer]), publisher);
    shop
}

fn signers(root: u32) -> (u8, u8) {
    if root == 2 { (NEW_RELEASER, NEW_PUBLISHER) } else { (RELEASER, PUBLISHER) }
}

/// The same repository with this file in it.
fn spoilt(serve: Serve, file: &[u8]) -> Memory {
    let mut shop = good(serve.root());
    let (releaser, publisher) = signers(serve.root());
    let bytes = u32::try_from(file.len()).unwrap();
    let good = made_by(GOOD, &[releaser], |_| {});
    let mut in_place_of = |digest: &Digest| {
        put(&mut shop, repository::blob(digest), file.to_vec());
    };
    let boot = &good.release.volumes().unwrap().boot;
    match serve {
        Serve::Root(n) => put(&mut shop, repository::root(n), file.to_vec()),
        Serve::Next | Serve::NextUnderRoot2 | Serve::NextWithBadOffer => {
            put(&mut shop, repository::channel(CHANNEL, NEXT), file.to_vec());
        }
        Serve::Number(n) | Serve::Only(n) => {
            if serve == Serve::Only(n) {
                shop.files.retain(|path, _| !path.starts_with(&repository::channel_folder(CHANNEL)));
            }
            put(&mut shop, repository::channel(CHANNEL, n), file.to_vec());
            put(&mut shop, repository::channel_hint(CHANNEL), n.to_string().into_bytes());
        }
        Serve::Release => in_place_of(&Digest::of(&good.signed)),
        Serve::List => in_place_of(&boot.list),
        Serve::Data => in_place_of(&boot.data),
        Serve::NamedRelease | Serve::NamedReleaseUnderRoot2 | Serve::TrueRelease => {
            in_place_of(&Digest::of(file));
            let mut offer = Offer { release: Digest::of(file), release_bytes: bytes, ..offer(&good) };
            if serve == Serve::TrueRelease {
                offer.constraints =
                    bistable_format::Release::open(file, &crate::shop::root(1)).unwrap().constraints();
                offer.identity = release::identity(file);
            }
            publish_by(&mut shop, &channel(NEXT, vec![offer]), publisher);
        }
        Serve::NamedList | Serve::NamedData => {
            let made = made_by(GOOD, &[releaser], |release| {
                let (list, digest) = match serve {
                    Serve::NamedList => (file.to_vec(), boot.data),
                    _ => (list_of(&good.blobs[0], boot, file), Digest::of(file)),
                };
                let data_bytes = if serve == Serve::NamedData { u64::from(bytes) } else { boot.data_bytes };
                let list_bytes = u32::try_from(list.len()).unwrap();
                volumes(release).boot = Artifact {
                    list_bytes,
                    list: Digest::of(&list),
                    data_bytes,
                    data: digest,
                    ..boot.clone()
                };
                put(&mut shop, repository::blob(&Digest::of(&list)), list);
                put(&mut shop, repository::blob(&Digest::of(file)), file.to_vec());
            });
            let offer = stock(&mut shop, &made);
            publish_by(&mut shop, &channel(NEXT, vec![offer]), publisher);
        }
    }
    shop
}

/// A good list whose one chunk has these bytes as its encoding.
fn list_of(good: &[u8], boot: &Artifact, file: &[u8]) -> Vec<u8> {
    let mut list = ChunkList::decode(good, boot).unwrap();
    let bytes = u32::try_from(file.len()).unwrap();
    list.chunks[0].encoding = Encoding::Zstd { bytes, digest: Digest::of(file) };
    list.encode(boot.bytes, file.len().try_into().unwrap()).unwrap()
}

/// Where the device has been before: it saw the channel's file of [`SEEN`].
fn experienced() -> Rig {
    let mut rig = device();
    rig.run(|agent| look(&mut agent.device, &mut shop())).unwrap();
    assert_eq!(record(&mut rig).floors.channel_sequence, SEEN);
    rig
}

/// Serve a file, and give what the device says of it, with its exit code.
fn serve(rig: &mut Rig, serve: Serve, file: &[u8]) -> (String, Exit) {
    rig.writes();
    let mut shop = spoilt(serve, file);
    let e = rig.run(|agent| install(agent, &mut shop, Some(GOOD))).unwrap_err();
    (e.to_string(), e.exit())
}

/// What of the record may have changed.
fn allowed(before: &Record, after: &Record, serve: Serve) -> Record {
    let mut want = Record { seq: after.seq, ..before.clone() };
    if serve.left() != Left::Nothing {
        want.floors.root_version = serve.root();
        if serve.root() == 2 {
            // Its channel is signed by another key.
            (want.floors.channel_sequence, want.floors.issued_at) = (0, 0);
            want.channel_payload = None;
        }
        if serve.channel_is_good() {
            (want.floors.channel_sequence, want.floors.issued_at) = (NEXT, NOW - 3600);
            assert_ne!(after.channel_payload, before.channel_payload, "another file was accepted");
            want.channel_payload = after.channel_payload;
        }
    }
    if serve.left() == Left::Begun {
        want.state = after.state.clone();
        want.history = after.history.clone();
        assert!(matches!(after.state, Saved::Idle | Saved::Installing(_)), "{:?}", after.state);
        assert_eq!(after.rejected, before.rejected, "it says nothing about a release");
    }
    want
}

#[track_caller]
fn row(name: &str, served: Serve, text: &str, exit: Exit) {
    let file = fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut rig = experienced();
    let before = record(&mut rig);
    let said = serve(&mut rig, served, &file);
    assert_eq!((&*said.0, said.1), (text, exit), "{name}");
    let writes = rig.writes();
    let fine = |partition| match served.left() {
        Left::Nothing => false,
        Left::Floors => partition == Partition::State,
        Left::Begun => {
            use bistable_boot::Slot::B;
            [Partition::State, Partition::Boot(B), Partition::System(B)].contains(&partition)
        }
    };
    assert!(writes.iter().all(|(partition, ..)| fine(*partition)), "{name}: {writes:?}");
    let after = record(&mut rig);
    assert_eq!(after, allowed(&before, &after, served), "{name}");
    // Again: it is as wrong as before, and it is refused as before.
    assert_eq!(serve(&mut rig, served, &file).0, text, "{name}");
    // What is good at the same place is as good as ever; after a bad root, even with a good one.
    let number = if served.channel_is_good() { NEXT + 1 } else { NEXT };
    let mut shop = good_at(if matches!(served, Serve::Root(_)) { 2 } else { served.root() }, number);
    let target = rig.run(|agent| install(agent, &mut shop, None));
    let target = target.unwrap_or_else(|e| panic!("after {name}: {e}"));
    assert_eq!(target.version.to_string(), GOOD);
    let last = record(&mut rig);
    assert_eq!(last.state, Saved::Staged(target), "{name}");
    assert_eq!((last.floors.channel_sequence, last.floors.issued_at), (number, NOW - 3600), "{name}");
    rig.pi.slot_a_is_untouched();
}

/// So that they run beside one another.
#[track_caller]
fn rows(which: impl Fn(Serve) -> bool) {
    let mut rows = 0;
    for (name, served, text, exit) in TABLE {
        if which(*served) {
            row(name, *served, text, *exit);
            rows += 1;
        }
    }
    assert!(rows >= 10, "{rows}");
}

#[test]
fn roots() {
    rows(|serve| matches!(serve, Serve::Root(_)));
}

#[test]
fn channels() {
    rows(|serve| !matches!(serve, Serve::Root(_)) && !serve.channel_is_good());
}

#[test]
fn releases_and_data() {
    rows(Serve::channel_is_good);
}

/// With `BLESS=1` they are made; otherwise they are compared.
#[test]
fn the_files_are_what_their_makers_make() {
    let made = make::all();
    let names: BTreeSet<&str> = made.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), made.len(), "two have one name");
    let bless = std::env::var_os("BLESS").is_some();
    for (name, bytes) in &made {
        assert!(bytes.len() < 20_000, "{name}: {} bytes", bytes.len());
        let path = folder().join(name);
        if bless {
            fs::write(&path, bytes).unwrap();
        }
        let there = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; BLESS=1 makes it", path.display()));
        assert!(there == *bytes, "{name} is not what is made: BLESS=1 recreates it, if that is right");
    }
    let rows = TABLE.iter().map(|(name, ..)| *name).chain(deltas_table::TABLE.iter().map(|(name, ..)| *name));
    let table: BTreeSet<&str> = rows.clone().collect();
    assert_eq!(table, names, "what is made and what is served");
    assert_eq!(table.len(), rows.count(), "each once");
    let entries = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = entries.filter(|name| name != "README.md").collect();
    assert_eq!(there, names.iter().map(ToString::to_string).collect(), "what is there and what is made");
}

/// What the vectors spoil is good as it is.
#[test]
fn without_a_defect_it_works() {
    for root in [1, 2] {
        let mut rig = experienced();
        rig.run(|agent| install(agent, &mut good(root), Some(GOOD))).unwrap();
    }
    let mut rig = experienced();
    at_time(&rig, NOW + 6 * crate::shop::DAY);
    rig.run(|agent| install(agent, &mut good(1), None)).unwrap();
    // The frames made by hand are frames.
    assert_eq!(zstd::bulk::decompress(&frame(&[7; 999]), 999).unwrap(), [7; 999]);
}
