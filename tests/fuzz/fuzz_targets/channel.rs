//! Any bytes as a channel, signed and as a payload: nothing is believed that our key didn't sign, what decodes is written
//! back as the same value, and what a device makes of it keeps the promises of a choice.
#![no_main]
use bistable_format::{
    Channel, Digest, Head,
    choice::{Chooser, Verdict, choose, path},
    compat::{Device, Direction},
    freshness::{AHEAD, Clock, FURTHEST, Floor, check},
    rollout::Member,
    version::is_newer,
};
use bistable_fuzz::{KEY, ROOT};
use libfuzzer_sys::fuzz_target;
use semver::Version;

/// A number out of the input, so that a fuzzer has a say in what the device has seen.
fn number(data: &[u8]) -> u64 {
    data.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fuzz_target!(|data: &[u8]| {
    assert!(Channel::open(data, &ROOT).is_err(), "a forgery");
    let Ok(mut channel) = Channel::decode(data) else { return };
    // Of the repository, and for this agent.
    channel.head = Head::new(ROOT.repository(), "");
    let signed = channel.seal(&[&KEY]).expect("what decodes can be signed");
    assert_eq!(Channel::open(&signed, &ROOT).as_ref(), Ok(&channel));

    // What is believed is not older than what was seen, nor too far ahead, nor expired.
    let seen = number(data);
    let floor = Floor { sequence: seen >> 32, issued_at: seen & 0xffff_ffff };
    for clock in [Clock::Free, Clock::Synchronized(seen), Clock::Synchronized(channel.issued_at)] {
        let Ok(now) = check(&channel, &channel.name, channel.sequence, floor, clock) else { continue };
        assert!(channel.sequence >= floor.sequence && channel.sequence - floor.sequence <= FURTHEST);
        assert!(now >= floor.issued_at && now >= channel.issued_at && now < channel.expires_at());
        if let Clock::Synchronized(at) = clock {
            assert!(channel.issued_at <= at.max(floor.issued_at).saturating_add(AHEAD));
        }
    }

    let Some(first) = channel.offers.first() else { return };
    let running = Version::new(1, 0, 0);
    for (id, seed) in [
        (None, &b"a"[..]),
        (Some(first.identity), b"b"),
        (channel.withdrawn.first().map(|w| w.identity), b""),
    ] {
        let rejected: Vec<Digest> = channel.offers.iter().skip(2).step_by(3).map(|o| o.identity).collect();
        let chooser = Chooser {
            device: Device {
                product: &first.constraints.product,
                board: &first.constraints.boards[0],
                running: id.map(|_| &running),
                security_floor: 1,
                components: &[],
                boot_bytes: 1 << 30,
                system_bytes: 1 << 36,
            },
            running: id,
            member: Member { seed, group: channel.offers[0].rollout.canaries.first().map(String::as_str) },
            rejected: &rejected,
            now: channel.issued_at,
        };
        let choice = choose(&channel, &chooser);
        assert_eq!(choice.direction == Direction::Back, choice.withdrawn.is_some());
        let Some(taken) = choice.taken else {
            assert!(choice.considered.iter().all(|c| !matches!(c.verdict, Verdict::Fits(_))));
            continue;
        };
        assert!(channel.withdrawal(&taken.identity).is_none() && !rejected.contains(&taken.identity));
        assert!(taken.constraints.product == chooser.device.product && taken.constraints.security_version >= 1);
        assert!(id != Some(taken.identity));
        if choice.direction == Direction::Forward && id.is_some() {
            assert!(is_newer(&taken.constraints.version, &running));
        }
    }
    // Every step of a way is a step forward.
    let (product, board) = (&first.constraints.product, &first.constraints.boards[0]);
    if let Ok(steps) = path(&channel.offers, product, board, &running, &first.constraints.version) {
        assert!(steps.is_sorted_by(|a, b| is_newer(b, a)) && steps.len() <= channel.offers.len());
    }
});
