//! Installing from a repository: only what the device lacks is fetched, each chunk once, and nothing wrong ever gets
//! onto the card.
use crate::{
    draft::{Draft, parts},
    fixture::{noise, product},
    rig::{CHUNK, Rig},
    source_http::{hasty, http, short},
    source_server::{End, Files, Reply, Server, good},
};
use bistable::{
    Error,
    agent::{Agent, AgentEvent, Observer},
    board::sim::clock::SimClock,
    error::BundleError,
    source::{Flaw, Limits, Memory, Mirrors, Retry, RetryPolicy, Source, SourceError},
    steps::install::{Overrides, Remote, Stats},
};
use bistable_boot::{
    Saved, Slot,
    layout::{HEADER_BYTES, Partition},
};
use bistable_format::compat::Direction;
use bistable_format::{ChunkList, Digest, Encoding, bundle::blob_name};
use std::{collections::BTreeSet, fs};

/// The files of a repository with these bundles' releases, and the digest of the last one.
pub(crate) fn repository(bundles: &[&[u8]]) -> (Files, Digest) {
    let mut files = Files::new();
    let mut release = Digest([0; 32]);
    for bundle in bundles {
        for part in &parts(bundle)[4..] {
            let bytes = bundle[part.content.clone()].to_vec();
            let digest = Digest::of(&bytes);
            if part.name == "release" {
                release = digest;
            }
            files.insert(blob_name(&digest), bytes);
        }
    }
    (files, release)
}

pub(crate) fn memory(bundles: &[&[u8]]) -> (Memory, Digest) {
    let (files, release) = repository(bundles);
    (Memory::new(files), release)
}

/// What was heard of an installation.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) stats: Option<Stats>,
    pub(crate) remarks: Vec<String>,
}

impl Observer for Heard {
    fn on_event(&mut self, event: AgentEvent<'_>) {
        match event {
            AgentEvent::Installed(_, stats) => self.stats = Some(*stats),
            AgentEvent::Remark(text) => self.remarks.push(text.into()),
            _ => {}
        }
    }
}

/// Install into the rig's inactive slot.
fn install(rig: &mut Rig, source: &mut dyn Source, release: Digest) -> Result<Option<Stats>, Error> {
    Ok(install_heard(rig, source, release)?.stats)
}

/// The same, with all that was heard.
pub(crate) fn install_heard(rig: &mut Rig, source: &mut dyn Source, release: Digest) -> Result<Heard, Error> {
    install_if(rig, source, release, Overrides::NONE)
}

/// The same for a release that was given up before.
pub(crate) fn install_retried(
    rig: &mut Rig,
    source: &mut dyn Source,
    release: Digest,
) -> Result<Heard, Error> {
    install_if(rig, source, release, Overrides::RETRY)
}

fn install_if(
    rig: &mut Rig,
    source: &mut dyn Source,
    release: Digest,
    overrides: Overrides,
) -> Result<Heard, Error> {
    let mut heard = Heard::default();
    rig.run_heard(&mut heard, |agent: &mut Agent<'_>| {
        let root = agent.device.root()?;
        let mut remote = Remote::open(source, release, &root)?;
        agent.install_from(&mut remote, overrides, Direction::Forward)
    })?;
    Ok(heard)
}

fn target() -> Draft {
    Draft::of(&product().good, &product().root.root)
}

/// Chunks of a list that aren't all zero: number, digest, place in the data.
fn full(list: &ChunkList) -> Vec<(usize, Digest, std::ops::Range<u64>)> {
    let mut at = 0;
    let mut full = Vec::new();
    for (index, chunk) in list.chunks.iter().enumerate() {
        let from = at;
        at += u64::from(chunk.encoding.data_bytes());
        if matches!(chunk.encoding, Encoding::Zstd { .. }) {
            full.push((index, chunk.digest, from..at));
        }
    }
    full
}

/// Encoded bytes of what neither slot has: slot B is empty at first.
fn lacking(with_running: bool) -> u64 {
    let (old, new) = (Draft::of(&product().old, &product().root.root), target());
    let lists = |d: &Draft| [d.boot.list.clone(), d.system.list.clone()];
    let held: BTreeSet<Digest> = lists(&old).iter().flat_map(full).map(|(_, digest, _)| digest).collect();
    let wanted = lists(&new);
    let fetched =
        wanted.iter().flat_map(full).filter(|(_, digest, _)| !with_running || !held.contains(digest));
    fetched.map(|(_, _, range)| range.end - range.start).sum()
}

/// Slot B holds the good release, to the byte.
#[track_caller]
pub(crate) fn is_installed(rig: &mut Rig) {
    let state = rig.run(|agent| Ok(agent.device.record.state.clone())).unwrap();
    assert!(matches!(state, Saved::Staged(_)), "{state:?}");
    let good = target();
    for (slot, volume) in rig.pi.slot(Slot::B).iter().zip([&good.boot, &good.system]) {
        assert_eq!(Digest::of(&slot[..usize::try_from(volume.bytes).unwrap()]), volume.digest);
    }
    rig.pi.slot_a_is_untouched();
}

/// Whatever is in slot B was there before or belongs there, and it doesn't look bootable.
#[track_caller]
pub(crate) fn nothing_wrong_is_written(rig: &Rig, before: &[Vec<u8>; 2], case: &str) {
    let good = target();
    let slot = rig.pi.slot(Slot::B);
    for ((now, before), volume) in slot.iter().zip(before).zip([&good.boot, &good.system]) {
        let chunks = now.chunks(CHUNK as usize).zip(before.chunks(CHUNK as usize)).enumerate();
        for (index, (now, before)) in chunks {
            let wanted = volume.list.chunks.get(index).map(|c| c.digest);
            assert!(now == before || Some(Digest::of(now)) == wanted, "{case}: chunk {index}");
        }
    }
    assert!(slot[0][..HEADER_BYTES].iter().all(|b| *b == 0), "{case}: looks bootable");
    rig.pi.slot_a_is_untouched();
}

#[test]
fn only_what_the_device_lacks_is_fetched() {
    for (with_lists, with_running) in [(true, true), (false, false)] {
        let p = product();
        let bundles: &[&[u8]] = if with_lists { &[&p.old, &p.good] } else { &[&p.good] };
        let (mut source, release) = memory(bundles);
        let mut rig = Rig::new();
        let stats = install(&mut rig, &mut source, release).unwrap().unwrap();
        is_installed(&mut rig);
        eprintln!("running_lists={with_lists} {stats:?}");
        assert_eq!(stats.fetched_bytes, lacking(with_running));
        assert_eq!(stats.reused > 0, with_running);
        let good = target();
        let runs = source.served().runs();
        for volume in [&good.boot, &good.system] {
            let name = blob_name(&Digest::of(&volume.frames.concat()));
            let zeros = volume.list.chunks.iter().filter(|c| matches!(c.encoding, Encoding::Zero { .. }));
            assert!(zeros.count() > 0);
            for run in runs.iter().filter(|(path, ..)| *path == name) {
                let whole = full(&volume.list).iter().any(|(.., range)| range.start == run.1);
                assert!(whole, "{run:?} begins in the middle of a chunk");
            }
        }
    }
}

#[test]
fn neighbors_come_in_one_request() {
    let (files, release) = repository(&[&product().good]);
    let server = Server::good(files);
    let mut rig = Rig::new();
    install(&mut rig, &mut http(&server, Limits::default()), release).unwrap();
    is_installed(&mut rig);
    let good = target();
    let mut runs = 0;
    let mut chunks = 0;
    for volume in [&good.boot, &good.system] {
        let wanted: Vec<usize> = full(&volume.list).into_iter().map(|(index, ..)| index).collect();
        chunks += wanted.len();
        let header = volume.bytes == good.boot.bytes && wanted.first() == Some(&0);
        let begins = |(at, index): (usize, &usize)| {
            // The one with the header comes by itself.
            at == 0 || wanted[at - 1] + 1 != *index || (header && at == 1)
        };
        runs += wanted.iter().enumerate().filter(|run| begins(*run)).count();
    }
    let asked = server.requests().iter().filter(|r| r.range.is_some()).count();
    assert_eq!(asked, runs);
    assert!(runs < chunks, "{runs} requests for {chunks} chunks");
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_is_there_is_not_fetched_a_second_time() {
    let (mut source, release) = memory(&[&product().good]);
    let mut rig = Rig::new();
    install(&mut rig, &mut source, release).unwrap();
    rig.run(|agent| agent.roll_back()).unwrap();
    let before = source.served().bytes();
    let again = rig.run(|agent| {
        let root = agent.device.root()?;
        let mut remote = Remote::open(&mut source, release, &root)?;
        agent.install_from(&mut remote, Overrides::RETRY, Direction::Forward)
    });
    again.unwrap();
    is_installed(&mut rig);
    let good = target();
    let metadata = parts(&product().good)[4..7].iter().map(|p| p.content.len() as u64).sum::<u64>();
    let boot = full(&good.boot.list);
    let header = boot.first().filter(|(index, ..)| *index == 0).map_or(0, |(.., r)| r.end - r.start);
    let fetched = source.served().bytes() - before;
    assert!(
        fetched <= metadata + header,
        "{fetched} bytes, {metadata} of metadata, {header} of the header's chunk"
    );
}

/// The running system was written to: what is read there is fetched if it isn't what it was.
#[test]
fn a_running_system_that_was_written_to_is_not_believed() {
    let (mut source, release) = memory(&[&product().old, &product().good]);
    let mut rig = Rig::new();
    let range = product().range(Partition::System(Slot::A));
    for at in (0..range.end - range.start).step_by(CHUNK as usize) {
        rig.pi.scribble(Partition::System(Slot::A), at + 5000, b"written by the running system");
    }
    rig.pi.scribble(Partition::Boot(Slot::A), 700_000, b"and here");
    rig.pi.remember_slot_a();
    let stats = install(&mut rig, &mut source, release).unwrap().unwrap();
    is_installed(&mut rig);
    assert!(stats.fetched_bytes > lacking(true), "{stats:?}");
    assert!(stats.fetched_bytes <= lacking(false), "{stats:?}");
}

/// Cut at any byte, the next run fetches only what is missing: no chunk comes whole a second time.
#[test]
fn after_a_cut_each_chunk_is_fetched_once() {
    let total = lacking(false);
    let (files, release) = repository(&[&product().good]);
    let largest = 300 << 10;
    for tenth in 0..=9 {
        let mut rig = Rig::new();
        let mut first = Memory::new(files.clone());
        // The release and two lists come first.
        first.flaws = [Flaw::None, Flaw::None, Flaw::None].into();
        first.always = Some(Flaw::Cut(total * tenth / 10));
        let before = rig.pi.slot(Slot::B);
        let cut = install(&mut rig, &mut first, release);
        let mut runs = first.served().runs();
        if let Err(e) = cut {
            assert!(matches!(e, Error::Bundle(BundleError::Source(SourceError::Cut { .. }))), "{e}");
            nothing_wrong_is_written(&rig, &before, "cut");
            let state = rig.run(|agent| Ok(agent.device.record.state.clone())).unwrap();
            assert!(matches!(state, Saved::Installing(_)), "{state:?}");
            let mut second = Memory::new(files.clone());
            install(&mut rig, &mut second, release).unwrap();
            runs.extend(second.served().runs());
        }
        is_installed(&mut rig);
        let good = target();
        let mut served = 0;
        for volume in [&good.boot, &good.system] {
            let name = blob_name(&Digest::of(&volume.frames.concat()));
            let of_it: Vec<_> = runs.iter().filter(|(path, ..)| *path == name).collect();
            served += of_it.iter().map(|(_, from, to)| to - from).sum::<u64>();
            for (index, _, range) in full(&volume.list) {
                let whole =
                    of_it.iter().filter(|(_, from, to)| *from <= range.start && *to >= range.end).count();
                assert_eq!(whole, 1, "tenth {tenth}: chunk {index} came whole {whole} times");
            }
        }
        assert!((total..total + largest).contains(&served), "tenth {tenth}: {served} of {total} bytes");
    }
}

fn mirrors(sources: Vec<Memory>) -> Mirrors {
    Mirrors::new(sources.into_iter().map(|m| Box::new(m) as Box<dyn Source>))
}

#[test]
fn wrong_bytes_come_from_another_mirror_or_not_at_all() {
    let (good, release) = memory(&[&product().good]);
    // Wherever a byte is wrong: in the release, in a list, in the data.
    let mut refused = 0;
    for at in [0, 20, 100, 5_000, 100_000, 400_000] {
        let mut liar = good.clone();
        liar.always = Some(Flaw::Flip(at));
        let honest = Memory::new(good.files.clone());
        let (lies, truths) = (liar.clone().served(), honest.served());
        let mut rig = Rig::new();
        install(&mut rig, &mut mirrors(vec![liar.clone(), honest]), release).unwrap();
        is_installed(&mut rig);
        let _ = lies;
        assert!(truths.bytes() > 0, "{at}");
        // Alone.
        let mut rig = Rig::new();
        let before = rig.pi.slot(Slot::B);
        let mut alone = Memory::new(good.files.clone());
        alone.always = Some(Flaw::Flip(at));
        let served = alone.served();
        match install(&mut rig, &mut alone, release) {
            Err(e) => {
                refused += 1;
                assert!(matches!(e, Error::Bundle(BundleError::Blob { .. })), "{at}: {e}");
                assert_eq!(e.exit().code(), 5);
                nothing_wrong_is_written(&rig, &before, "liar");
                assert!(served.bytes() <= 2 * lacking(false) + 100_000, "{at}: {}", served.bytes());
            }
            // The byte was one that isn't needed.
            Ok(_) => is_installed(&mut rig),
        }
        install(&mut rig, &mut Memory::new(good.files.clone()), release).unwrap();
        is_installed(&mut rig);
    }
    assert!(refused >= 4, "{refused}");
    // A hundred liars are no majority.
    let liars = (0..100).map(|_| {
        let mut liar = Memory::new(good.files.clone());
        liar.always = Some(Flaw::Flip(100_000));
        liar
    });
    let mut rig = Rig::new();
    let e = install(&mut rig, &mut mirrors(liars.collect()), release).unwrap_err();
    assert!(matches!(e, Error::Bundle(BundleError::Blob { .. })), "{e}");
}

#[test]
fn what_is_missing_is_named() {
    let (good, release) = memory(&[&product().good]);
    for (part, part_name) in
        parts(&product().good)[4..].iter().zip(["release", "list", "list", "data", "data"])
    {
        let mut source = good.clone();
        source.files.remove(&blob_name(&Digest::of(&product().good[part.content.clone()])));
        let mut rig = Rig::new();
        let before = rig.pi.slot(Slot::B);
        let e = install(&mut rig, &mut source, release).unwrap_err();
        let named = match &e {
            Error::Bundle(BundleError::Missing { what, .. }) => what.contains(part_name),
            Error::Bundle(BundleError::Source(SourceError::NotThere { .. })) => part_name == "data",
            _ => false,
        };
        assert!(named, "{part_name}: {e}");
        nothing_wrong_is_written(&rig, &before, part_name);
        let rejected = rig.run(|agent| Ok(agent.device.record.rejected.len())).unwrap();
        assert_eq!(rejected, 0);
        install(&mut rig, &mut good.clone(), release).unwrap();
        is_installed(&mut rig);
    }
}

/// A server whose data has a defect, forever: never a wrong byte on the card, bounded questions, and a good server
/// afterwards finishes what was begun.
#[test]
fn hostile_servers_harm_nothing() {
    type Wrong = fn(Reply) -> Reply;
    /// What the installer makes of it.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Ends {
        Well,
        TryLater,
        Badly,
    }
    use Ends::{Badly, TryLater, Well};
    fn length(r: Reply, length: usize) -> Reply {
        r.header("Content-Length", &length.to_string()).end(End::Close)
    }
    fn empty(status: &str, headers: &[String]) -> Reply {
        Reply::new(status, &[headers, &["Content-Length: 0".to_owned()]].concat(), b"")
    }
    let table: &[(&str, Ends, Wrong)] = &[
        ("cuts-every-50000-bytes", Well, |r| if r.body.len() > 50_000 { r.cut(50_000) } else { r }),
        ("cuts-every-500-bytes", TryLater, |r| r.cut(500)),
        ("stalls", TryLater, |r| r.cut(9_000).end(End::Hold)),
        ("drips", TryLater, |r| r.end(End::Drip)),
        ("length-too-long", Badly, |r| {
            let len = r.body.len();
            length(r, len + 1)
        }),
        ("length-too-short", Badly, |r| {
            let len = r.body.len();
            length(r, len - 1)
        }),
        ("right-length-wrong-bytes", Badly, |r| Reply { body: noise(3, r.body.len()), ..r }),
        ("wrong-bytes-late", Badly, |mut r| {
            let len = r.body.len();
            r.body[len - 10..].fill(0);
            r
        }),
        ("another-range", Badly, |r| r.header("Content-Range", "bytes 1-2/3")),
        ("changes-all-the-time", Well, |r| {
            let tag = format!("\"{}\"", bistable::source::random());
            r.header("ETag", &tag)
        }),
        ("redirect-in-a-circle", Badly, |_| empty("307 There", &["Location: data".into()])),
        ("server-error", TryLater, |_| empty("502 No", &[])),
        ("not-there", Badly, |_| empty("404 No", &[])),
        ("closes", TryLater, |r| Reply { head: String::new(), ..r.cut(0) }),
    ];
    let (files, release) = repository(&[&product().good]);
    let patience = RetryPolicy { attempts: 3, progress_bytes: 10_000, ..RetryPolicy::default() };
    for (name, want, wrong) in table {
        let (wrong, served) = (*wrong, files.clone());
        let server = Server::new(move |request| {
            let reply = good(&served, request);
            if request.range.is_some() || request.path == "/blobs/sha256/data" { wrong(reply) } else { reply }
        });
        let mut rig = Rig::new();
        let before = rig.pi.slot(Slot::B);
        let limits = match *name {
            "drips" => hasty(),
            "stalls" => short(),
            _ => Limits::default(),
        };
        let source = http(&server, limits);
        let mut source = Retry::new(source, patience, Box::new(SimClock::default()), || 1);
        let ended = match install(&mut rig, &mut source, release) {
            Ok(_) => {
                is_installed(&mut rig);
                Well
            }
            Err(e) => {
                assert!(matches!(e, Error::Bundle(_)), "{name}: {e}");
                nothing_wrong_is_written(&rig, &before, name);
                let state = rig.run(|agent| Ok(agent.device.record.state.clone())).unwrap();
                assert!(matches!(state, Saved::Installing(_)), "{name}: {state:?}");
                if e.exit().code() == 75 { TryLater } else { Badly }
            }
        };
        assert_eq!(ended, *want, "{name}");
        let (asked, bytes) = (server.requests().len(), server.body_bytes());
        assert!(asked < 100, "{name}: {asked} questions");
        assert!(bytes < 4 * product().good.len() as u64, "{name}: {bytes} bytes");
        let honest = Server::good(files.clone());
        if ended != Well {
            install(&mut rig, &mut http(&honest, Limits::default()), release).unwrap();
        }
        is_installed(&mut rig);
    }
}

/// The power fails in the middle of a write, each in turn: a repository finishes it like a bundle does, and slot A stays
/// as it is.
#[test]
fn a_power_cut_at_every_write_costs_nothing_but_time() {
    let (good, release) = memory(&[&product().old, &product().good]);
    let mut writes = 0;
    loop {
        let mut rig = Rig::new();
        rig.pi.run_once_free(&format!("sim cut --at-write {}", writes + 1)).must(0, &[]);
        let cut = install(&mut rig, &mut good.clone(), release);
        if cut.is_ok() {
            break;
        }
        let Err(Error::Fault(fault)) = &cut else { panic!("{:?}", cut.err()) };
        assert!(fault.stopping().is_some(), "{fault}");
        // That the power is cut only once, this rig doesn't know.
        fs::remove_file(rig.pi.path("card.img.sim/machine.json")).unwrap();
        rig.reset();
        rig.run(|agent| agent.resume()).unwrap();
        install(&mut rig, &mut good.clone(), release).unwrap();
        is_installed(&mut rig);
        writes += 1;
    }
    assert!(writes >= 10, "{writes} writes are too few for an installation");
}

/// A server that knows no ranges is slower, not wrong.
#[test]
fn a_server_without_ranges_will_do() {
    let (files, release) = repository(&[&product().old, &product().good]);
    let served = files.clone();
    let server = Server::new(move |request| {
        let request = crate::source_server::Request { range: None, ..request.clone() };
        good(&served, &request)
    });
    let mut rig = Rig::new();
    let stats = install(&mut rig, &mut http(&server, Limits::default()), release).unwrap().unwrap();
    is_installed(&mut rig);
    assert!(stats.reused > 0);
}

/// The program itself, with a bundle on a web server.
#[test]
fn the_program_takes_an_address() {
    let bundle = Files::from([("x.bundle".to_owned(), product().good.clone())]);
    // Its connection breaks, once.
    let served = bundle.clone();
    let server = Server::new(move |request| {
        let reply = good(&served, request);
        if request.n == 0 { reply.cut(300_000) } else { reply }
    });
    let pi = crate::pi::Pi::new();
    pi.run(&format!("install {}", server.url("x.bundle"))).must(0, &["state: staged"]);
    assert_eq!(server.body_bytes(), product().good.len() as u64, "no byte twice");
    assert_eq!(server.requests()[1].range, Some((300_000, None)));
    pi.run("arm").must(0, &[]);
    pi.slot_a_is_untouched();
    // What isn't there is said, and changes nothing.
    let pi = crate::pi::Pi::new();
    pi.run(&format!("update {}", server.url("y.bundle"))).must(1, &["y.bundle is not there"]);
    pi.run("install https://user:secret@localhost/x").must(1, &["don't belong into an address"]);
    pi.run("install http://").must(1, &["is not an address"]);
    assert_eq!(pi.status()["state"], "idle");
}
