//! The device's memory is bounded for a repository, too.
#![cfg(target_os = "linux")]
use crate::{
    draft::parts,
    fixture::product,
    memory::{MOST_KIB, card, volume},
    source_server::{Files, Server},
};
use bistable::{
    Device,
    agent::{Agent, Silence},
    board::sim::Sim,
    config::Settings,
    source::Location,
    steps::install::{Overrides, Remote},
};
use bistable_format::compat::Direction;
use bistable_format::{Digest, bundle::blob_name};
use std::{env, fs, path::Path, process::Command};

#[test]
#[ignore = "not a test: what `a_large_image_in_large_chunks` starts"]
fn measured() {
    let Ok(url) = env::var("BISTABLE_TEST_REPOSITORY") else { return };
    let release = Digest::parse(&env::var("BISTABLE_TEST_RELEASE").unwrap()).unwrap();
    let board = Sim::open(Path::new("card.img")).unwrap().board;
    let mut silence = Silence;
    let device = Device::open(board, Settings::default()).unwrap();
    let mut agent = Agent::start(device, &mut silence).unwrap();
    let source = Location::parse(&url).unwrap().open(None).unwrap();
    let root = agent.device.root().unwrap();
    let mut remote = Remote::open(source, release, &root).unwrap();
    agent.install_from(&mut remote, Overrides::NONE, Direction::Forward).unwrap();
    // Not what `getrusage` says: that counts what the process was before it became this program.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak_kib={} ", peak.trim());
}

#[test]
fn a_large_image_in_large_chunks() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path(), 8 << 20, 96 << 20);
    let bundle = product().draft().with(|d| d.system = volume(4 << 20, 24, 24));
    let bundle = bundle.pack(&[&product().release_key]);
    let parts = parts(&bundle);
    let blobs = parts[4..].iter().map(|p| &bundle[p.content.clone()]);
    let files: Files = blobs.map(|bytes| (blob_name(&Digest::of(bytes)), bytes.to_vec())).collect();
    let release = Digest::of(&bundle[parts[4].content.clone()]);
    let server = Server::good(files);
    let output = Command::new(env::current_exe().unwrap())
        .args(["source_memory::measured", "--exact", "--ignored", "--nocapture"])
        .env("BISTABLE_TEST_REPOSITORY", server.url(""))
        .env("BISTABLE_TEST_RELEASE", release.to_string())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let peak = text.split("peak_kib=").nth(1).unwrap_or_else(|| panic!("{output:?}"));
    let peak: i64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    eprintln!("peak_kib={peak}");
    assert!(peak < MOST_KIB, "{peak} KiB");
    // What was measured was no empty run.
    assert!(peak > 20 << 10, "{peak} KiB");
}
