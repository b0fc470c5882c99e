//! Entries of open lists: one that can't be read leaves the others usable.
use crate::common::{
    bound, channel, frame, offer, raw_channel, raw_offer, raw_release, raw_wave, release, withdrawal,
};
use crate::errors::{Section, and, cut, odd, section, spoiled};
use bistable_format::rollout::Wave;
use bistable_format::{Channel, Digest, Offer, Release};

/// Why the second entry of a list can't be read.
pub(crate) fn offer_entry() -> Section {
    let mut second = offer();
    second.identity = Digest([1; 32]);
    let good = frame(&second);
    let with = |spoil: fn(&mut Offer)| {
        let mut bad = offer();
        bad.identity = Digest([1; 32]);
        spoil(&mut bad);
        frame(&bad)
    };
    let decode = |entry: &Vec<u8>| {
        let read = Channel::decode(&raw_channel(&channel(), &[frame(&offer()), entry.clone()], &[])).unwrap();
        assert_eq!(read.offer(&offer().identity), Some(&offer()), "the other offer stands");
        read.offers.unreadable().first().map_or(Ok(()), |u| Err(u.why.clone()))
    };
    let wave = |share| Wave { at: 0, over: 0, share };
    let many = vec![raw_wave(1, &[0, 0, 1]); 17];
    section(
        "offer",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Trailing", "Decode::Extension", "Decode::Invalid"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("product-with-a-path", with(|o| o.constraints.product = "../x".into())),
            ("component-with-a-path", with(|o| o.constraints.component = Some("../x".into()))),
            ("without-boards", with(|o| o.constraints.boards.clear())),
            ("image-of-one-volume", with(|o| o.constraints.bytes.truncate(1))),
            ("image-of-half-a-sector", with(|o| o.constraints.bytes[0] += 1)),
            ("module-of-no-bytes", with(|o| (o.constraints.content, o.constraints.bytes[0]) = (4, 0))),
            ("release-larger-than-any", with(|o| o.release_bytes = u32::MAX)),
            ("canary-of-no-name", with(|o| o.rollout.canaries[0] = "the lab".into())),
            ("too-many-canaries", with(|o| o.rollout.canaries = vec!["lab".into(); 9])),
            ("too-many-waves", raw_offer(&second, &many)),
            (
                "wave-of-nobody",
                frame(&{
                    let mut o = second.clone();
                    o.rollout.waves.push(wave(0));
                    o
                }),
            ),
            (
                "wave-over-everybody",
                frame(&{
                    let mut o = second.clone();
                    o.rollout.waves.push(wave(10_001));
                    o
                }),
            ),
            ("extension-odd", with(|o| o.extensions = odd())),
        ],
    )
}

pub(crate) fn wave_entry() -> Section {
    let good = raw_wave(1, &[0, 0, 1]);
    let decode = |entry: &Vec<u8>| {
        let entries = [raw_offer(&offer(), std::slice::from_ref(entry))];
        let read = Channel::decode(&raw_channel(&channel(), &entries, &[])).unwrap();
        read.offers[0].rollout.waves.unreadable().first().map_or(Ok(()), |u| Err(u.why.clone()))
    };
    section(
        "wave",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Trailing", "Decode::Kind"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("of-no-kind", raw_wave(0, &[0, 0, 1])),
            ("of-an-unknown-kind", raw_wave(2, b"by region")),
        ],
    )
}

pub(crate) fn withdrawal_entry() -> Section {
    let good = frame(&withdrawal());
    let decode = |entry: &Vec<u8>| {
        let read = Channel::decode(&raw_channel(&channel(), &[], std::slice::from_ref(entry))).unwrap();
        read.withdrawn.unreadable().first().map_or(Ok(()), |u| Err(u.why.clone()))
    };
    section(
        "withdrawal",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Trailing", "Decode::Extension", "Decode::Invalid"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("of-no-product", spoiled(withdrawal(), |w| w.product.clear())),
            ("reason-too-long", spoiled(withdrawal(), |w| w.reason = "x".repeat(201))),
            ("reason-with-escape-codes", spoiled(withdrawal(), |w| w.reason = "\u{1b}[2J".into())),
            ("extension-odd", spoiled(withdrawal(), |w| w.extensions = odd())),
        ],
    )
}

pub(crate) fn bound_entry() -> Section {
    let good = frame(&bound("app", "1.0.0"));
    let decode = |entry: &Vec<u8>| {
        let read = Release::decode(&raw_release(&release(), std::slice::from_ref(entry))).unwrap();
        read.bound.unreadable().first().map_or(Ok(()), |u| Err(u.why.clone()))
    };
    section(
        "bound component",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Trailing", "Decode::Extension", "Decode::Invalid"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("of-no-name", frame(&bound("My App", "1.0.0"))),
            ("version-too-long", frame(&bound("app", &format!("1.0.0-{}", "a".repeat(59))))),
            ("extension-odd", spoiled(bound("app", "1.0.0"), |b| b.extensions = odd())),
        ],
    )
}
