//! The boot flag on the card: finding the one sector of `autoboot.txt`, changing it, and putting the file back.
use super::sector;
use crate::ports::{Content, Fault, Flag, Sectors, Volume, Writable};
use bistable_boot::{
    Autoboot, Blocks, BySlot, Lba, SECTOR, Slot,
    autoboot::Reading,
    fat::{Fat, FatError, Located, blank},
};
use std::sync::Arc;

/// The file's name as FAT stores it.
const NAME: &[u8; 11] = b"AUTOBOOTTXT";
/// What a person can do about a flag that isn't ours.
const REPAIR: &str = "`bistable repair` recreates it, with the running slot as the default";
/// What a person can do about a partition whose file system is lost.
const RENEW: &str =
    "`bistable repair --new-bootconfig` makes a new file system there with autoboot.txt as its only file";

/// The sector of `autoboot.txt` in the `bootconfig` partition.
#[allow(missing_debug_implementations, reason = "the volume is a trait object")]
pub struct BootFlag {
    sectors: Sectors,
    partitions: BySlot<u8>,
}

impl BootFlag {
    /// On the `bootconfig` partition, for slots that boot from these partition numbers.
    pub fn new(bootconfig: Arc<dyn Volume>, partitions: BySlot<u8>) -> BootFlag {
        BootFlag { sectors: Sectors(bootconfig), partitions }
    }

    /// What the firmware makes of it: of any text, as far as it reads it.
    ///
    /// # Errors
    /// When the file can't be found or read.
    pub fn reading(&mut self) -> Result<Reading, Fault> {
        self.sector().map(|(file, sector)| Autoboot::read(text(&file, &sector)))
    }

    /// What the flag holds.
    ///
    /// # Errors
    /// When the card fails.
    pub fn read(&mut self) -> Result<Flag, Fault> {
        let content = match self.sector() {
            Ok((file, sector)) => self.content(&file, &sector),
            Err(Fault::Unfit(why)) => Content::Unreadable(why),
            Err(e) => return Err(e),
        };
        let writable = match self.sectors.0.check_use() {
            Ok(()) => Writable::Yes,
            Err(Fault::InUse(by)) => Writable::InUse(by),
            Err(e) if e.stopping().is_some() => return Err(e),
            Err(e) => Writable::Unknown(e.to_string()),
        };
        Ok(Flag { content, writable })
    }

    fn content(&self, file: &Located, sector: &[u8; SECTOR]) -> Content {
        let reading = Autoboot::read(text(file, sector));
        match (reading.default_slot(self.partitions), self.recognize(file, sector)) {
            (Some(default), Ok(())) if reading.is_torn() => Content::Torn { default },
            (Some(default), Ok(())) => Content::Whole { default },
            (default @ Some(_), Err(e)) => Content::Foreign { default, why: e.to_string() },
            (None, _) => {
                let why = format!("autoboot.txt names no boot partition of a slot: {REPAIR}");
                Content::Foreign { default: None, why }
            }
        }
    }

    /// Make `slot` the default: one sector, durable and read back. Writes nothing when it is so already, but flushes.
    ///
    /// # Errors
    /// When the sector holds something that Bistable didn't write, or can't be written.
    pub fn write(&mut self, slot: Slot) -> Result<(), Fault> {
        let (file, there) = self.sector()?;
        let text = self.text(slot);
        if there == text && is_one_sector(&file) {
            // It may have been written by a program that was killed before its flush.
            return self.sectors.flush();
        }
        self.recognize(&file, &there)?;
        self.put(file.first, &text)
    }

    /// Make `slot` the default, whatever the sector holds, even if it can't be read: durable and read back. The place
    /// is trusted as far as the directory says that a file of that name and of exactly one sector lies there. Nothing else of the volume
    /// is written: after a power cut in a write beside it, its tables may be damaged.
    ///
    /// # Errors
    /// When the file can't be found, or has another length; when it can't be written, or doesn't read back.
    pub fn rewrite(&mut self, slot: Slot) -> Result<(), Fault> {
        let file = self.volume()?.find(&mut self.sectors, NAME).map_err(unfit)?;
        check_length(&file)?;
        let text = self.text(slot);
        self.put(file.first, &text)
    }

    /// The same, and a file that is missing, or has another length, is put back.
    ///
    /// # Errors
    /// When the file can't be written, or doesn't read back; when the volume is damaged.
    pub fn put_back(&mut self, slot: Slot) -> Result<(), Fault> {
        let text = self.text(slot);
        let fat = self.volume()?;
        let place = match fat.find(&mut self.sectors, NAME) {
            Ok(file) if is_one_sector(&file) => file.first,
            Ok(_) | Err(FatError::NotFound | FatError::Empty | FatError::Astray) => {
                // Before the first write, so that a volume that is in use stays as it is.
                self.sectors.0.check_use()?;
                fat.put(&mut self.sectors, NAME, &text).map_err(unfit)?
            }
            Err(e) => return Err(unfit(e)),
        };
        self.put(place, &text)
    }

    /// The same. Where the volume is damaged, make a new file system in the whole partition, with this file only.
    ///
    /// # Errors
    /// When the partition can't be written.
    pub fn renew(&mut self, slot: Slot) -> Result<(), Fault> {
        match self.put_back(slot) {
            Err(Fault::Unfit(why)) => log::warn!(reason = why; "bootconfig_renewed"),
            Ok(()) => return Ok(()),
            Err(e) => return Err(e),
        }
        self.sectors.0.check_use()?;
        let text = self.text(slot);
        let place = blank::write(&mut self.sectors, NAME, &text).map_err(unfit)?;
        self.put(place, &text)
    }

    fn text(&self, default: Slot) -> [u8; SECTOR] {
        Autoboot { partitions: self.partitions, default }.render()
    }

    fn put(&mut self, at: Lba, text: &[u8; SECTOR]) -> Result<(), Fault> {
        sector::put(&mut self.sectors, at, text, "autoboot.txt")
    }

    // Never trust a place that one was led to: a damaged FAT could point anywhere.
    fn recognize(&self, file: &Located, there: &[u8; SECTOR]) -> Result<(), Fault> {
        check_length(file)?;
        match Autoboot::recognize(there, self.partitions) {
            Some(_) => Ok(()),
            None => Err(Fault::Unfit(format!(
                "autoboot.txt was not written by Bistable, or is damaged, so it is left alone: {REPAIR}"
            ))),
        }
    }

    /// Its first sector, which is all that the firmware reads, and where that is.
    fn sector(&mut self) -> Result<(Located, [u8; SECTOR]), Fault> {
        let file = self.volume()?.find(&mut self.sectors, NAME).map_err(unfit)?;
        let mut sector = [0; SECTOR];
        self.sectors.read(file.first, &mut sector)?;
        Ok((file, sector))
    }

    fn volume(&mut self) -> Result<Fat, Fault> {
        Fat::open(&mut self.sectors).map_err(unfit)
    }
}

/// As much of a sector as belongs to the file.
fn text<'a>(file: &Located, sector: &'a [u8; SECTOR]) -> &'a [u8] {
    usize::try_from(file.bytes).ok().and_then(|bytes| sector.get(..bytes)).unwrap_or(sector)
}

fn check_length(file: &Located) -> Result<(), Fault> {
    if is_one_sector(file) {
        return Ok(());
    }
    Err(Fault::Unfit(format!(
        "autoboot.txt has {} bytes instead of {SECTOR}, so Bistable didn't write it: {REPAIR}",
        file.bytes
    )))
}

fn is_one_sector(file: &Located) -> bool {
    usize::try_from(file.bytes) == Ok(SECTOR)
}

/// What is wrong, and the command that ends it. A card that fails for a moment is no damaged FAT.
fn unfit(e: FatError<Fault>) -> Fault {
    match e {
        FatError::Io(fault) => fault,
        e @ (FatError::NotFound | FatError::Empty | FatError::Astray) => {
            Fault::Unfit(format!("autoboot.txt in partition bootconfig: {e}: {REPAIR}"))
        }
        e @ (FatError::NotFat | FatError::Damaged(_) | FatError::Full(_)) => {
            Fault::Unfit(format!("partition bootconfig: {e}: {RENEW}"))
        }
    }
}
