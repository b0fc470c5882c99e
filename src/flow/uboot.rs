//! The boot flow `uboot`: the boot block in the `state` partition, which U-Boot's script reads and counts down.
//!
//! A request for a trial is a write here, of the copy that doesn't count; it survives the power, and the script uses it up before it
//! boots what is on trial. So a trial and a revert need no write of ours, as in the other flow.
use super::sector;
use crate::ports::{BootControl, Content, Fault, Flag, Sectors, Support, Volume, Writable};
use bistable_boot::{
    Blocks, BootBlock, Evidence, SECTOR, Slot,
    bootblock::{Try, newest, start},
    layout::BOOT_BLOCK,
};
use std::sync::Arc;

/// What is wrong when no copy is valid.
const LOST: &str = "both copies of the boot block are damaged: `bistable repair` writes it again, with the running slot as \
                    the default";

/// The two copies of the boot block.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the volume is a trait object")]
pub struct BootBlocks(Sectors);

impl BootBlocks {
    /// In the `state` partition.
    pub fn new(state: Arc<dyn Volume>) -> BootBlocks {
        BootBlocks(Sectors(state))
    }

    /// Both copies; one that can't be read counts as none.
    ///
    /// # Errors
    /// When the machine goes down, or neither can be read.
    pub fn copies(&mut self) -> Result<[Option<BootBlock>; 2], Fault> {
        let [first, second] = [self.copy(0), self.copy(1)];
        match (first, second) {
            (Err(e), _) | (_, Err(e)) if e.stopping().is_some() => Err(e),
            (Err(e), Err(_)) => Err(e),
            (first, second) => Ok([first.unwrap_or(None), second.unwrap_or(None)]),
        }
    }

    fn copy(&mut self, copy: usize) -> Result<Option<BootBlock>, Fault> {
        let mut sector = [0; SECTOR];
        // Once more: the other copy may name another default, so it shall not count because of a moment's trouble.
        match self.0.read(BOOT_BLOCK[copy], &mut sector) {
            Err(e) if e.stopping().is_none() => self.0.read(BOOT_BLOCK[copy], &mut sector)?,
            read => read?,
        }
        Ok(BootBlock::parse(&sector).ok())
    }

    /// Write one copy: durable and read back.
    ///
    /// # Errors
    /// When the card fails, or gives back something else.
    pub fn put(&mut self, copy: usize, block: &BootBlock) -> Result<(), Fault> {
        sector::put(&mut self.0, BOOT_BLOCK[copy], &block.render(), "the boot block")
    }

    /// Replace the newest block by the next one, in the other copy.
    fn save(&mut self, copies: [Option<BootBlock>; 2], next: &BootBlock) -> Result<(), Fault> {
        let spare = newest(copies).map_or(0, |(at, _)| 1 - at);
        self.put(spare, next)
    }

    /// The same for a block that need not differ.
    fn change(
        &mut self,
        copies: [Option<BootBlock>; 2],
        now: &BootBlock,
        next: &BootBlock,
    ) -> Result<(), Fault> {
        if (next.default, next.pending()) == (now.default, now.pending()) {
            // It may have been written by a program that was killed before its flush.
            return self.0.flush();
        }
        self.save(copies, next)
    }

    /// The block that counts.
    fn newest(&mut self) -> Result<([Option<BootBlock>; 2], BootBlock), Fault> {
        let copies = self.copies()?;
        match newest(copies) {
            Some((_, block)) => Ok((copies, block)),
            None => Err(Fault::Unfit(LOST.into())),
        }
    }

    /// The older copy may name as its default, or for a try, the slot that is about to be written. It counts if the
    /// newer one is lost.
    fn settle(&mut self) -> Result<(), Fault> {
        let (copies, block) = self.newest()?;
        let plan = |copy| start([copy, None]);
        let settled = plan(Some(block.committed(block.default)));
        if copies.into_iter().all(|copy| plan(copy) == settled) && !copies.contains(&None) {
            return Ok(());
        }
        self.save(copies, &block.committed(block.default))?;
        match block.pending() {
            // What counted until now is to be replaced, too: one after the other, each with the other one whole.
            Some(_) => self.settle(),
            None => Ok(()),
        }
    }
}

/// The boot flag of a machine that U-Boot starts.
#[allow(missing_debug_implementations, reason = "the volume is a trait object")]
pub struct Uboot {
    blocks: BootBlocks,
    booted: Slot,
}

impl Uboot {
    /// On the `state` partition of a machine that runs `booted`.
    pub fn new(state: Arc<dyn Volume>, booted: Slot) -> Uboot {
        Uboot { blocks: BootBlocks::new(state), booted }
    }
}

impl BootControl for Uboot {
    fn booted(&self) -> Slot {
        self.booted
    }

    fn read(&mut self) -> Result<Flag, Fault> {
        let copies = self.blocks.copies()?;
        let content = match newest(copies) {
            None => Content::Foreign { default: None, why: LOST.into() },
            Some((_, BootBlock { default, .. })) if copies.contains(&None) => Content::Torn { default },
            Some((_, BootBlock { default, .. })) => Content::Whole { default },
        };
        Ok(Flag { content, writable: Writable::Yes })
    }

    fn try_once(&mut self, slot: Slot) -> Result<(), Fault> {
        let (copies, block) = self.blocks.newest()?;
        // A request for the default takes back what was armed.
        let next = if slot == block.default { block.committed(slot) } else { block.armed(slot) };
        self.blocks.change(copies, &block, &next)
    }

    fn make_default(&mut self, slot: Slot) -> Result<(), Fault> {
        let (copies, block) = self.blocks.newest()?;
        self.blocks.change(copies, &block, &block.committed(slot))
    }

    fn overwrite(&mut self, slot: Slot) -> Result<(), Fault> {
        // What can't be read can be written.
        let copies = match self.blocks.copies() {
            Err(e) if e.stopping().is_some() => return Err(e),
            read => read.unwrap_or([None; 2]),
        };
        let next = newest(copies)
            .map_or(BootBlock { default: slot, ..BootBlock::FIRST }, |(_, b)| b.committed(slot));
        self.blocks.save(copies, &next)
    }

    fn support(&mut self) -> Result<Support, Fault> {
        // It has booted this system, so the script is there and works.
        Ok(Support::Supported("U-Boot, with our script".into()))
    }

    fn counter(&mut self) -> Result<u32, Fault> {
        Ok(self.blocks.newest()?.1.seq)
    }

    /// Each write of the block raises its number. The script counts a try down before it boots it, so a try that it began is
    /// a later block with none left.
    fn evidence(&mut self, slot: Slot, counter: u32) -> Result<Evidence, Fault> {
        let block = self.blocks.newest()?.1;
        Ok(match block.trial {
            _ if self.booted == slot => Evidence::Tried,
            // The power went before the request was written.
            _ if block.seq <= counter => Evidence::NotTried,
            Some(Try { slot: tried, left }) if tried == slot => {
                if left > 0 {
                    Evidence::NotTried
                } else {
                    Evidence::Tried
                }
            }
            // Written again since, for another reason: it says nothing any more.
            _ => Evidence::Unknown,
        })
    }

    fn forget(&mut self, _: Slot) -> Result<(), Fault> {
        // The only slot beside the default one.
        self.blocks.settle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::boot_control::contract::{self, Became};
    use bistable_boot::{Lba, layout::STATE_BYTES};
    use std::sync::Mutex;

    /// A `state` partition in memory, of which only the boot block is kept.
    #[derive(Default)]
    struct State(Mutex<[Vec<u8>; 2]>, Mutex<u32>);

    impl Volume for State {
        fn bytes(&self) -> u64 {
            STATE_BYTES
        }
        fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
            let copy = BOOT_BLOCK.iter().position(|lba| *lba == Lba::at_byte(at)).unwrap();
            let copies = self.0.lock().unwrap();
            into.fill(0);
            into[..copies[copy].len()].copy_from_slice(&copies[copy]);
            Ok(())
        }
        fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault> {
            let copy = BOOT_BLOCK.iter().position(|lba| *lba == Lba::at_byte(at)).unwrap();
            self.0.lock().unwrap()[copy] = from.to_vec();
            *self.1.lock().unwrap() += 1;
            Ok(())
        }
        fn flush(&self) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn flag(copies: [Option<BootBlock>; 2]) -> (Arc<State>, Uboot) {
        let state = Arc::new(State::default());
        *state.0.lock().unwrap() = copies.map(|c| c.map_or_else(Vec::new, |b| b.render().to_vec()));
        (Arc::clone(&state), Uboot::new(state, Slot::A))
    }

    fn default_of(boot: &mut dyn BootControl) -> Slot {
        boot.default_slot().unwrap()
    }

    fn mend(boot: &mut dyn BootControl) -> Option<Slot> {
        boot.mend().unwrap()
    }

    fn writes(state: &State) -> u32 {
        std::mem::take(&mut *state.1.lock().unwrap())
    }

    #[test]
    fn a_trial_and_its_commit_are_one_sector_each() {
        let (state, mut boot) = flag([Some(BootBlock::FIRST); 2]);
        boot.try_once(Slot::B).unwrap();
        boot.try_once(Slot::B).unwrap();
        assert_eq!(writes(&state), 1);
        let plan = start(boot.blocks.copies().unwrap());
        assert_eq!((plan.order[0], plan.trial), (Slot::B, true));
        let (copy, counted) = plan.count.unwrap();
        boot.blocks.put(copy, &counted).unwrap();
        writes(&state);
        assert_eq!(default_of(&mut boot), Slot::A);
        assert!(!start(boot.blocks.copies().unwrap()).trial, "used up");
        // Back to the old slot: nothing to be written.
        boot.try_once(Slot::A).unwrap();
        boot.make_default(Slot::A).unwrap();
        assert_eq!(writes(&state), 0);
        boot.make_default(Slot::B).unwrap();
        boot.make_default(Slot::B).unwrap();
        assert_eq!((writes(&state), default_of(&mut boot)), (1, Slot::B));
    }

    #[test]
    fn a_trial_leaves_its_evidence_in_the_block() {
        // After an earlier trial, too, whose used-up try is still in the block.
        let used =
            BootBlock { trial: Some(Try { slot: Slot::B, left: 0 }), ..BootBlock::FIRST.armed(Slot::B) };
        for before in [BootBlock::FIRST, used] {
            contract::evidence(|became| {
                let (state, mut boot) = flag([Some(before), None]);
                let counter = boot.counter().unwrap();
                if became != Became::NeverSet {
                    boot.try_once(Slot::B).unwrap();
                }
                if matches!(became, Became::Runs | Became::Died) {
                    let (copy, counted) = start(boot.blocks.copies().unwrap()).count.unwrap();
                    boot.blocks.put(copy, &counted).unwrap();
                }
                let booted = if became == Became::Runs { Slot::B } else { Slot::A };
                (Box::new(Uboot::new(state, booted)) as Box<dyn BootControl>, counter)
            });
        }
    }

    #[test]
    fn a_block_that_was_written_again_is_no_evidence() {
        let (_, mut boot) = flag([Some(BootBlock::FIRST); 2]);
        let counter = boot.counter().unwrap();
        boot.try_once(Slot::B).unwrap();
        boot.try_once(Slot::A).unwrap();
        assert_eq!(boot.evidence(Slot::B, counter).unwrap(), Evidence::Unknown);
    }

    #[test]
    fn what_was_armed_can_be_taken_back() {
        let (state, mut boot) = flag([Some(BootBlock::FIRST); 2]);
        boot.try_once(Slot::B).unwrap();
        boot.try_once(Slot::A).unwrap();
        assert_eq!(writes(&state), 2);
        assert_eq!(start(boot.blocks.copies().unwrap()).order[0], Slot::A);
    }

    #[test]
    fn one_damaged_copy_is_mended_and_two_are_lost() {
        for copy in [0, 1] {
            let mut copies = [Some(BootBlock { seq: 9, default: Slot::B, trial: None }); 2];
            copies[copy] = None;
            let (state, mut boot) = flag(copies);
            boot.read().unwrap().check().unwrap();
            assert!(boot.read().unwrap().is_torn());
            assert_eq!(mend(&mut boot), Some(Slot::B));
            assert!(!boot.read().unwrap().is_torn());
            assert_eq!(mend(&mut boot), None);
            assert_eq!((writes(&state), default_of(&mut boot)), (1, Slot::B));
        }
        let (_, mut boot) = flag([None, None]);
        assert!(
            matches!(boot.read().unwrap().check(), Err(Fault::Unfit(text)) if text.contains("bistable repair"))
        );
        assert!(boot.make_default(Slot::A).is_err());
        boot.overwrite(Slot::B).unwrap();
        assert_eq!(default_of(&mut boot), Slot::B);
    }

    #[test]
    fn before_the_other_slot_changes_no_copy_names_it() {
        let first = BootBlock { seq: 4, default: Slot::B, trial: None };
        let after_commit = [Some(first.armed(Slot::A)), Some(first.armed(Slot::A).committed(Slot::A))];
        let table = [
            (after_commit, 1),
            ([Some(first), Some(first.armed(Slot::A))], 2),
            ([Some(first), None], 1),
            ([Some(first), Some(first)], 0),
        ];
        for (copies, wanted) in table {
            let (state, mut boot) = flag(copies);
            let default = default_of(&mut boot);
            boot.forget(!default).unwrap();
            assert_eq!(writes(&state), wanted, "{copies:?}");
            for copy in boot.blocks.copies().unwrap() {
                let plan = start([copy, None]);
                assert_eq!((plan.order[0], plan.trial), (default, false), "{copies:?}");
            }
        }
    }
}
