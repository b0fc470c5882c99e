//! Rollouts: not the formula again, but what a person who starts one relies on.
#![allow(clippy::unwrap_used, reason = "tests")]
use bistable_format::{
    Digest,
    rollout::{Admission, Member, Rollout, RolloutState, WHOLE, Wave},
};
use proptest::prelude::*;

const RELEASE: Digest = Digest([9; 32]);

fn is_in(rollout: &Rollout, seed: u32, group: Option<&str>, now: u64) -> bool {
    rollout.admits(&Member { seed: &seed.to_le_bytes(), group }, &RELEASE, now).is_in()
}

fn waves(list: &[(u64, u32, u16)]) -> Rollout {
    let waves: Vec<_> = list.iter().map(|&(at, over, share)| Wave { at, over, share }).collect();
    Rollout { waves: waves.into(), ..Rollout::default() }
}

fn any_wave() -> impl Strategy<Value = Wave> {
    (0..5000_u64, 0..2000_u32, 1..=WHOLE).prop_map(|(at, over, share)| Wave { at, over, share })
}

fn any_rollout() -> impl Strategy<Value = Rollout> {
    let pace = prop_oneof![
        4 => Just(RolloutState::Running),
        2 => (0..8000_u64).prop_map(RolloutState::Paused),
        1 => Just(RolloutState::Halted)
    ];
    (pace, prop::collection::vec(any_wave(), 0..5), prop::bool::ANY).prop_map(|(pace, waves, canaries)| {
        Rollout { pace, canaries: if canaries { vec!["canary".into()] } else { vec![] }, waves: waves.into() }
    })
}

#[test]
fn shares_are_even() {
    const FLEET: u32 = 100_000;
    for share in [1, 100, 2500, 5000, 9999] {
        let rollout = waves(&[(0, 0, share)]);
        let count = (0..FLEET).filter(|&seed| is_in(&rollout, seed, None, 0)).count();
        let want = f64::from(FLEET) * f64::from(share) / f64::from(WHOLE);
        // Five times the standard deviation of drawing by lot.
        let near = 5.0 * (want * (1.0 - f64::from(share) / f64::from(WHOLE))).sqrt();
        let off = (f64::from(u32::try_from(count).unwrap()) - want).abs();
        assert!(off <= near, "{share}: {count}, wanted {want}");
    }
}

#[test]
fn who_is_first_differs_from_release_to_release() {
    let rollout = waves(&[(0, 0, 1000)]);
    let both = (0..20_000_u32).filter(|seed| {
        let seed = seed.to_le_bytes();
        let member = Member { seed: &seed, group: None };
        [[1; 32], [2; 32]].iter().all(|id| rollout.admits(&member, &Digest(*id), 0).is_in())
    });
    // A tenth of a tenth, not a tenth.
    let count = both.count();
    assert!((120..280).contains(&count), "{count}");
}

#[test]
fn a_wave_spreads_over_its_time() {
    let rollout = waves(&[(1000, 1000, WHOLE)]);
    let at = |now| (0..10_000).filter(|&seed| is_in(&rollout, seed, None, now)).count();
    assert_eq!(at(999), 0);
    for (now, want) in [(1100, 1000), (1500, 5000), (1900, 9000)] {
        assert!(at(now).abs_diff(want) < 250, "{now}: {}", at(now));
    }
    assert_eq!(at(2000), 10_000);
}

#[test]
fn what_a_device_is_told() {
    let mut rollout = waves(&[(100, 0, 1), (200, 0, WHOLE)]);
    rollout.canaries = vec!["lab".into()];
    let ask = |rollout: &Rollout, group, now| rollout.admits(&Member { seed: b"x", group }, &RELEASE, now);
    let told = [
        ask(&rollout, Some("lab"), 0),
        ask(&rollout, None, 150),
        ask(&rollout, Some("attic"), 200),
        ask(&Rollout { pace: RolloutState::Paused(150), ..rollout.clone() }, None, 300),
        ask(&Rollout { pace: RolloutState::Halted, ..rollout.clone() }, Some("lab"), 300),
        ask(&waves(&[(0, 0, 1)]), None, 300),
        ask(&Rollout::default(), None, 0),
    ];
    let want = [
        Admission::Canary,
        Admission::Later { wave: 2, at: 200 },
        Admission::Wave(2),
        Admission::Paused,
        Admission::Halted,
        Admission::NoWave,
        Admission::Everyone,
    ];
    assert_eq!(told, want);
}

#[test]
fn groups_without_waves_are_alone() {
    let rollout = Rollout { canaries: vec!["lab".into()], ..Rollout::default() };
    let ask = |group| rollout.admits(&Member { seed: b"x", group }, &RELEASE, 300);
    assert_eq!(
        (ask(Some("lab")), ask(Some("attic")), ask(None)),
        (Admission::Canary, Admission::NoWave, Admission::NoWave)
    );
    assert_eq!((rollout.share(300), rollout.last_share(), rollout.is_done(300)), (0, 0, false));
    assert!(!rollout.is_for_all() && Rollout::default().is_for_all());
}

proptest! {
    #[test]
    fn devices_that_are_in_stay_in_as_time_passes(r in any_rollout(), seed: u32, now in 0..9000_u64, later in 0..9000_u64) {
        prop_assert!(!is_in(&r, seed, None, now) || is_in(&r, seed, None, now + later));
        prop_assert!(r.share(now) <= r.share(now + later));
    }

    #[test]
    fn another_wave_takes_nothing_away(r in any_rollout(), wave in any_wave(), seed: u32, now in 0..9000_u64) {
        let before = is_in(&r, seed, None, now);
        prop_assume!(!r.waves.is_empty());
        let mut more = r;
        more.waves.push(wave);
        prop_assert!(!before || is_in(&more, seed, None, now));
    }

    #[test]
    fn canaries_are_first(r in any_rollout(), seed: u32, now in 0..9000_u64) {
        prop_assume!(!r.canaries.is_empty());
        prop_assert!(!is_in(&r, seed, None, now) || is_in(&r, seed, Some("canary"), now));
        prop_assert!(r.pace == RolloutState::Halted || is_in(&r, seed, Some("canary"), now));
    }

    #[test]
    fn a_pause_holds(
        r in any_rollout(), seed: u32, canary: bool, at in 0..9000_u64, now in 0..9000_u64,
    ) {
        let group = canary.then_some("canary");
        let running = Rollout { pace: RolloutState::Running, ..r };
        let paused = Rollout { pace: RolloutState::Paused(at), ..running.clone() };
        prop_assert_eq!(is_in(&paused, seed, group, now), is_in(&running, seed, group, now.min(at)));
    }

    #[test]
    fn rollout_continues_after_a_pause_where_it_was(
        r in any_rollout(), seed: u32, at in 0..9000_u64, pause in 0..9000_u64, later in 0..9000_u64,
    ) {
        let running = Rollout { pace: RolloutState::Running, ..r };
        let mut resumed = Rollout { pace: RolloutState::Paused(at), ..running.clone() };
        resumed.resume(at + pause);
        prop_assert_eq!(is_in(&resumed, seed, None, at + pause + later), is_in(&running, seed, None, at + later));
    }

    #[test]
    fn a_halt_stops_everybody(r in any_rollout(), seed: u32, now in 0..9000_u64) {
        let halted = Rollout { pace: RolloutState::Halted, ..r };
        prop_assert!(!is_in(&halted, seed, None, now) && !is_in(&halted, seed, Some("canary"), now));
        prop_assert_eq!(halted.share(now), 0);
    }

    #[test]
    fn the_promised_time_is_kept(r in any_rollout(), seed: u32, now in 0..9000_u64) {
        let member = Member { seed: &seed.to_le_bytes(), group: None };
        if let Admission::Later { at, .. } = r.admits(&member, &RELEASE, now) {
            prop_assert!(at > now);
            prop_assert!(is_in(&r, seed, None, at) && !is_in(&r, seed, None, at - 1));
        }
    }

    #[test]
    fn the_last_share_is_reached_and_never_passed(r in any_rollout(), now in 0..9000_u64) {
        let running = Rollout { pace: RolloutState::Running, ..r };
        prop_assert!(running.share(now) <= running.last_share());
        prop_assert_eq!(running.share(9000), running.last_share());
    }

    #[test]
    fn share_and_devices_agree(r in any_rollout(), now in 0..9000_u64) {
        let count = (0..2000).filter(|&seed| is_in(&r, seed, None, now)).count();
        prop_assert!(count.abs_diff(usize::from(r.share(now)) / 5) <= 130, "{count}, {}", r.share(now));
    }
}
