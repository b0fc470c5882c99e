//! The boot block: its bytes, the decision, and that the boot script says the same.
use bistable_boot::{
    BootBlock, Lba, SECTOR, Slot,
    bootblock::{BadBlock, KEYS, SCRIPT, Start, Try, newest, start, uncounted},
    layout::{BOOT_BLOCK, BOOT_PARTITIONS, Partition},
};
use proptest::prelude::*;

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![Just(Slot::A), Just(Slot::B)]
}

fn block() -> impl Strategy<Value = BootBlock> {
    let trial = proptest::option::of((slot(), any::<u8>()).prop_map(|(slot, left)| Try { slot, left }));
    (any::<u32>(), slot(), trial).prop_map(|(seq, default, trial)| BootBlock { seq, default, trial })
}

fn copies() -> impl Strategy<Value = [Option<BootBlock>; 2]> {
    [proptest::option::of(block()), proptest::option::of(block())]
}

/// What U-Boot 2023.01 wrote to a card on an emulated Pi 3, with `env export -c -s 0x200`.
#[test]
fn the_bytes_are_those_of_u_boot() {
    let sector = BootBlock { seq: 3, default: Slot::A, trial: Some(Try { slot: Slot::B, left: 0 }) }.render();
    let text = b"bistable_default=A\0bistable_left=0\0bistable_seq=3\0bistable_trial=B\0";
    assert_eq!(sector[..4], [0x3e, 0x3c, 0xbd, 0x60]);
    assert_eq!(&sector[4..4 + text.len()], text);
    assert!(sector[4 + text.len()..].iter().all(|b| *b == 0));
}

#[test]
fn what_is_no_block() {
    let sealed = |text: &[u8]| {
        let mut sector = [0; SECTOR];
        sector[4..4 + text.len()].copy_from_slice(text);
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&sector[4..]);
        sector[..4].copy_from_slice(&crc.to_le_bytes());
        BootBlock::parse(&sector)
    };
    let good = BootBlock { seq: 2, default: Slot::B, trial: None };
    let table: [(&[u8], Result<BootBlock, BadBlock>); 9] = [
        (b"bistable_default=B\0bistable_left=0\0bistable_seq=2\0bistable_trial=-\0", Ok(good)),
        (b"x=1\0bistable_trial=-\0bistable_seq=2\0bistable_left=0\0bistable_default=B\0", Ok(good)),
        (b"", Err(BadBlock::Content)),
        (b"bistable_default=C\0bistable_left=0\0bistable_seq=2\0bistable_trial=-\0", Err(BadBlock::Content)),
        (b"bistable_default=B\0bistable_left=\0bistable_seq=2\0bistable_trial=-\0", Err(BadBlock::Content)),
        (
            b"bistable_default=B\0bistable_left=100\0bistable_seq=2\0bistable_trial=-\0",
            Err(BadBlock::Content),
        ),
        (b"bistable_default=B\0bistable_left=0\0bistable_seq=+2\0bistable_trial=-\0", Err(BadBlock::Content)),
        (
            b"bistable_default=B\0bistable_left=0\0bistable_seq=100000000\0bistable_trial=-\0",
            Err(BadBlock::Content),
        ),
        (b"bistable_default=B\0bistable_left=0\0bistable_seq=2\0", Err(BadBlock::Content)),
    ];
    for (text, want) in table {
        assert_eq!(sealed(text), want, "{}", text.escape_ascii());
    }
    for empty in [[0; SECTOR], [0xff; SECTOR]] {
        assert_eq!(BootBlock::parse(&empty), Err(BadBlock::Checksum));
    }
}

/// All 2 × 511 splits of each switch: a torn copy never reads as a block that was never written.
#[test]
fn a_torn_copy_is_old_new_or_none() {
    let old = BootBlock { seq: 7, default: Slot::A, trial: Some(Try { slot: Slot::B, left: 0 }) };
    for new in [old.committed(Slot::B), old.committed(Slot::A), old.armed(Slot::B)] {
        for (before, after) in [(old, new), (new, old)] {
            for cut in 0..=SECTOR {
                let mut torn = before.render();
                torn[..cut].copy_from_slice(&after.render()[..cut]);
                if let Ok(read) = BootBlock::parse(&torn) {
                    assert!(read == before || read == after, "cut at {cut}: {read:?}");
                }
            }
        }
    }
}

#[test]
fn the_decision_as_a_table() {
    use Slot::{A, B};
    let block = |seq, default, trial: Option<(Slot, u8)>| {
        Some(BootBlock { seq, default, trial: trial.map(|(slot, left)| Try { slot, left }) })
    };
    let plain = |slot: Slot| Start { order: [slot, !slot], trial: false, count: None };
    let tried = |slot: Slot, copy, counted: Option<BootBlock>| Start {
        order: [slot, !slot],
        trial: true,
        count: counted.map(|block| (copy, block)),
    };
    let table = [
        ([None, None], plain(A)),
        ([block(1, B, None), None], plain(B)),
        ([None, block(1, B, None)], plain(B)),
        ([block(1, A, None), block(2, B, None)], plain(B)),
        ([block(2, A, None), block(1, B, None)], plain(A)),
        ([block(3, A, None), block(3, B, None)], plain(A)),
        ([block(1, A, None), block(2, A, Some((B, 1)))], tried(B, 0, block(3, A, Some((B, 0))))),
        ([block(2, B, Some((A, 3))), block(1, B, None)], tried(A, 1, block(3, B, Some((A, 2))))),
        ([block(3, A, Some((B, 0))), block(2, A, Some((B, 1)))], plain(A)),
        ([block(3, B, None), block(4, B, Some((B, 1)))], tried(B, 0, block(5, B, Some((B, 0))))),
    ];
    for (copies, want) in table {
        assert_eq!(start(copies), want, "{copies:?}");
    }
}

proptest! {
    #[test]
    fn what_is_rendered_reads_back(block in block()) {
        let read = BootBlock::parse(&block.render()).unwrap();
        prop_assert_eq!((read.seq, read.default), (block.seq, block.default));
        prop_assert_eq!(read.trial, block.trial);
    }

    #[test]
    fn a_flipped_bit_is_noticed(block in block(), at in 0..SECTOR * 8) {
        let mut sector = block.render();
        sector[at / 8] ^= 1 << (at % 8);
        prop_assert!(BootBlock::parse(&sector).is_err());
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), SECTOR)) {
        let _ = BootBlock::parse(&bytes.try_into().unwrap());
    }

    /// Counting never touches the copy that counts, uses up exactly one try, and changes nothing else.
    #[test]
    fn a_try_is_counted_once(copies in copies()) {
        let plan = start(copies);
        prop_assert_eq!(plan.order[1], !plan.order[0]);
        prop_assert_eq!(plan.trial, plan.count.is_some());
        let Some((copy, counted)) = plan.count else {
            prop_assert_eq!(plan, uncounted(copies));
            return Ok(());
        };
        let (at, block) = newest(copies).unwrap();
        prop_assert_ne!(copy, at);
        prop_assert_eq!(counted.default, block.default);
        prop_assert_eq!(counted.trial.unwrap().left + 1, block.trial.unwrap().left);
        prop_assert!(!uncounted(copies).trial);
        let mut after = copies;
        after[copy] = Some(counted);
        if block.seq < u32::MAX {
            prop_assert_eq!(newest(after), Some((copy, counted)));
        }
    }
}

/// The script and the crate share one definition: what the script has as text, the crate has as constants.
#[test]
fn the_script_has_the_same_numbers_and_names() {
    let has = |line: String| assert!(SCRIPT.lines().any(|l| l.trim() == line), "no line {line:?}");
    has(format!("setenv keys \"{}\"", KEYS.join(" ")));
    has(format!("part start ${{dev}} {} state", Partition::State.number()));
    for (name, Lba(sector)) in ["c0", "c1"].into_iter().zip(BOOT_BLOCK) {
        has(format!("setexpr {name} ${{state}} + {sector:#x}"));
    }
    let boot = format!(
        "if test ${{slot}} = A; then setenv bp {}; setenv label {}; else setenv bp {}; setenv label {}; fi;",
        BOOT_PARTITIONS.a,
        Slot::A.letter(),
        BOOT_PARTITIONS.b,
        Slot::B.letter()
    );
    assert!(SCRIPT.contains(&boot), "{boot}");
    assert!(SCRIPT.contains("root=PARTLABEL=system_${label}"));
    assert_eq!(Partition::System(Slot::A).name(), "system_a");
    // The first block of a card, in the words of the script for a card that has none.
    let BootBlock { default: Slot::A, trial: None, .. } = BootBlock::FIRST else {
        panic!("a new card boots A")
    };
    assert!(SCRIPT.contains("setenv bistable_default A; setenv bistable_trial -; setenv bistable_left 0"));
}
