//! Deltas as bundles: from a file, and from standard input.
use crate::{
    delta_draft::DeltaDraft,
    fixture::{noise, product},
    pi::Pi,
    rig::Rig,
    source_install::{is_installed, nothing_wrong_is_written, repository},
};
use bistable::{Error, error::BundleError, steps::install::Overrides};
use bistable_boot::{
    Slot,
    layout::{HEADER_BYTES, Partition},
};
use bistable_format::{
    Encoding, Role,
    bundle::{BLOCK, Header},
};

fn install(rig: &mut Rig, bundle: &[u8]) -> Result<(), Error> {
    rig.run(|agent| agent.install(&mut &*bundle, Overrides::NONE)).map(drop)
}

/// The chunk of the system volume that is patched and comes first.
fn patched(delta: &DeltaDraft) -> usize {
    delta.system.list.chunks.iter().position(|c| matches!(c.encoding, Encoding::Patch { .. })).unwrap()
}

#[test]
fn a_file_or_a_stream_takes_the_device_to_the_new_release() {
    let bundle = DeltaDraft::of_product().bundle();
    assert!(bundle.len() < product().good.len());
    let pi = Pi::new();
    let file = pi.file("hub.delta", &bundle);
    let dry = pi.run_on("install --dry-run", &file).must(0, &[]);
    assert!(dry.out.contains("may be installed into slot B"), "{dry:?}");
    pi.is_unharmed();
    let ended = pi.run_on("update", &file).must(0, &["by delta"]);
    assert!(!ended.err.contains("changed since"), "{ended:?}");
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
    pi.slot_a_is_untouched();
    // It takes 1.0.0, and that doesn't run any more.
    pi.run_on("install", &file).must(3, &["1.1.0 is what runs already"]);
    let pi = Pi::new();
    pi.run_with("install -", &bundle).must(0, &["state: staged"]);
    pi.slot_a_is_untouched();
}

#[test]
fn a_delta_from_another_release_is_incompatible() {
    let delta = DeltaDraft::of_product().with(|d| d.delta.base.0[0] ^= 1);
    let base = format!("{:.12}", delta.delta.base);
    let pi = Pi::new();
    let file = pi.file("hub.delta", &delta.bundle());
    let text =
        format!("this delta takes release {base} to 1.1.0; this device runs 1.0.0: use the full bundle");
    for verb in ["install", "update", "install --dry-run"] {
        pi.run_on(verb, &file).must(6, &[&text]);
    }
    pi.is_unharmed();
    pi.takes_the_good_update();
}

#[test]
fn a_delta_from_the_release_in_the_other_slot_names_its_version() {
    let pi = Pi::new();
    pi.takes_the_good_update();
    // Back the other way: from 1.0.0, which slot A still holds, while 1.1.0 runs.
    let draft = product().draft().version("1.2.0").pack(&[&product().release_key]);
    let delta = DeltaDraft::between(&product().old, &draft);
    let file = pi.file("hub.delta", &delta.bundle());
    pi.run_on("install", &file)
        .must(6, &["this delta takes 1.0.0 to 1.2.0; this device runs 1.1.0: use the full bundle"]);
}

/// Correctly signed, and it would make other bytes: nothing of it is written.
#[test]
fn a_signed_delta_that_makes_something_else_is_refused_before_anything_is_written() {
    let index = patched(&DeltaDraft::of_product());
    for (name, delta) in [
        ("another raw digest", {
            DeltaDraft::of_product().with(|d| d.system.list.chunks[index].digest.0[5] ^= 1)
        }),
        ("of the boot volume", {
            DeltaDraft::of_product().with(|d| d.boot.list.chunks[0].digest.0[31] ^= 0x80)
        }),
        (
            "of another base",
            DeltaDraft::of_product().with(|d| d.system.list.base.as_mut().unwrap().0[0] ^= 1),
        ),
        ("for another release", DeltaDraft::of_product().with(|d| d.delta.target.0[3] ^= 1)),
    ] {
        let pi = Pi::new();
        let before = pi.slot(Slot::B);
        let file = pi.file("hub.delta", &delta.bundle());
        pi.run_on("install", &file).must(5, &["delta"]);
        assert!(pi.slot(Slot::B) == before, "{name}: written");
        pi.is_unharmed();
        pi.takes_the_good_update();
    }
}

#[test]
fn a_delta_that_no_release_key_signed_is_refused() {
    let p = product();
    for (role, key) in
        [(Role::Delta, &p.channel_key), (Role::Delta, &p.root_key), (Role::Release, &p.release_key)]
    {
        let pi = Pi::new();
        let before = pi.slot(Slot::B);
        let file = pi.file("hub.delta", &DeltaDraft::of_product().bundle_by(role, key));
        pi.run_on("install", &file).must(5, &[]);
        assert!(pi.slot(Slot::B) == before);
        pi.is_unharmed();
    }
}

/// Parts of the running system changed: all else is in place, and the full bundle completes it.
#[test]
fn stale_chunks_are_named_and_the_full_bundle_brings_them() {
    let delta = DeltaDraft::of_product();
    let at = patched(&delta) as u64 * u64::from(delta.system.list.chunk_bytes);
    let mut pi = Pi::new();
    pi.scribble(Partition::System(Slot::A), at, &noise(3, 256 << 10));
    // The boot volume's first chunk, behind what makes it look bootable.
    pi.scribble(Partition::Boot(Slot::A), HEADER_BYTES as u64, &noise(4, 240_000));
    pi.remember_slot_a();
    let file = pi.file("hub.delta", &delta.bundle());
    let ended = pi.run_on("install", &file).must(
        75,
        &["2 chunks can't be made by the delta, because the running system changed since it was installed"],
    );
    assert!(ended.err.contains("with the full bundle or a repository"), "{ended:?}");
    assert_eq!(pi.status()["state"], "installing");
    let slot = pi.slot(Slot::B);
    assert!(slot[0][..HEADER_BYTES].iter().all(|b| *b == 0), "looks bootable");
    pi.slot_a_is_untouched();
    // The delta again brings nothing more.
    pi.run_on("install", &file).must(75, &[]);
    let ended = pi.run_on("install", &pi.good()).must(0, &["state: staged", "were right already"]);
    let right: u64 = ended.err.split("written, ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let chunks = delta.boot.list.chunks.len() + delta.system.list.chunks.len();
    assert!(right + 3 >= chunks as u64, "{ended:?}");
    pi.run("update --json").must(2, &[]);
    pi.slot_a_is_untouched();
}

/// With a repository configured, they are fetched there at once.
#[test]
fn stale_chunks_come_from_the_configured_repository() {
    let delta = DeltaDraft::of_product();
    let at = patched(&delta) as u64 * u64::from(delta.system.list.chunk_bytes);
    for (with_files, code) in [(true, 0), (false, 75)] {
        let mut pi = Pi::new();
        let files = repository(&[&product().good]).0;
        for (path, bytes) in files.iter().filter(|_| with_files) {
            pi.file(&format!("repository/{path}"), bytes);
        }
        std::fs::create_dir_all(pi.path("repository")).unwrap();
        pi.config(&format!("[source]\nurls = [\"{}\"]\n", pi.path("repository").display()));
        pi.scribble(Partition::System(Slot::A), at, &noise(3, 256 << 10));
        pi.scribble(Partition::Boot(Slot::A), HEADER_BYTES as u64, &noise(4, 240_000));
        pi.remember_slot_a();
        let file = pi.file("hub.delta", &delta.bundle());
        let words: &[&str] = if with_files {
            &["changed since it was installed: their full data was fetched", "state: staged"]
        } else {
            &["the configured repository:", "is not in"]
        };
        pi.run_on("install", &file).must(code, words);
        pi.slot_a_is_untouched();
        if with_files {
            pi.run("arm").must(0, &[]);
            pi.run("reboot").must(0, &[]);
        }
    }
}

/// A bit that flips anywhere is found, and a stream that ends early continues with the next one.
#[test]
fn damage_anywhere_in_a_deltas_bundle_is_found() {
    let bundle = DeltaDraft::of_product().bundle();
    let mut at = 0;
    let mut places = Vec::new();
    while at + 2 * BLOCK < bundle.len() {
        let header = Header::decode(bundle[at..at + BLOCK].try_into().unwrap()).unwrap();
        let (start, bytes) = (at + BLOCK, usize::try_from(header.bytes).unwrap());
        places.extend([at, at + 124, at + 148, at + 511]);
        if bytes > 0 {
            places.extend([start, start + bytes / 2, start + bytes - 1]);
        }
        at = start + bytes + header.padding();
        places.push(at - 1);
    }
    places.extend([bundle.len() - 1, bundle.len() - 2 * BLOCK]);
    for place in places {
        let mut bad = bundle.clone();
        bad[place] ^= 1;
        let mut rig = Rig::new();
        let before = rig.pi.slot(Slot::B);
        let e = install(&mut rig, &bad).unwrap_err();
        assert!(matches!(e, Error::Bundle(_)), "byte {place}: {e}");
        nothing_wrong_is_written(&rig, &before, &format!("byte {place}"));
    }
    for twelfth in 1..12 {
        let cut = bundle.len() * twelfth / 12;
        let mut rig = Rig::new();
        let before = rig.pi.slot(Slot::B);
        let e = install(&mut rig, &bundle[..cut]).unwrap_err();
        assert!(matches!(e, Error::Bundle(BundleError::Truncated { .. })), "{cut} bytes: {e}");
        nothing_wrong_is_written(&rig, &before, &format!("{cut} bytes"));
        install(&mut rig, &bundle).unwrap();
        is_installed(&mut rig);
    }
    let mut rig = Rig::new();
    let e = install(&mut rig, &[&bundle[..], &[0]].concat()).unwrap_err();
    assert!(matches!(e, Error::Bundle(BundleError::Trailing { .. })), "{e}");
}

/// The power fails in the middle of each write, each in turn.
#[test]
fn a_power_cut_at_every_write_of_a_stream_costs_nothing_but_time() {
    let bundle = DeltaDraft::of_product().bundle();
    let mut writes = 0;
    loop {
        let mut rig = Rig::new();
        rig.cut_at(writes + 1);
        let cut = install(&mut rig, &bundle);
        if !rig.power_on() {
            cut.unwrap();
            break;
        }
        rig.run(|agent| agent.resume()).unwrap();
        // Alternately with the delta and with the full bundle.
        install(&mut rig, if writes % 2 == 0 { &bundle } else { &product().good }).unwrap();
        is_installed(&mut rig);
        writes += 1;
    }
    assert!(writes >= 10, "{writes} writes are too few for an installation");
}
