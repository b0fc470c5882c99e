//! A partition: a range of a file, or a block device. Direct I/O where it is possible, past the page cache in any case.
use super::{Access, CardFile, Meter, meter::Fate};
use crate::{
    aligned::{ALIGN, Buffer},
    ports::{Fault, Stop, Volume},
};
use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

/// A range of a file, or all of a block device.
#[derive(Debug)]
pub struct FileVolume {
    /// Opened for direct I/O, with the least unit that it takes, if that works here.
    direct: Option<(File, usize)>,
    buffered: Arc<CardFile>,
    name: &'static str,
    start: u64,
    bytes: u64,
    meter: Meter,
}

impl FileVolume {
    /// `bytes` bytes of a file from `start`; `name` goes into messages.
    pub fn open(
        file: &Arc<CardFile>,
        name: &'static str,
        start: u64,
        bytes: u64,
        meter: Meter,
    ) -> FileVolume {
        let direct = file.open_direct(start);
        FileVolume { direct, buffered: Arc::clone(file), name, start, bytes, meter }
    }

    fn check(&self, at: u64, len: usize) -> Result<u64, Fault> {
        let inside = at.checked_add(len as u64).is_some_and(|end| end <= self.bytes);
        if !inside || !at.is_multiple_of(512) || !len.is_multiple_of(512) {
            let text = format!("{len} bytes at {at} are not whole sectors within partition {}", self.name);
            return Err(Fault::Unfit(text));
        }
        if self.meter.is_cut() {
            return Err(Fault::Stopping(Stop::PowerLost));
        }
        Ok(self.start + at)
    }

    /// The file for direct I/O, if place and length are fit for it.
    fn direct(&self, at: u64, len: usize) -> Option<&File> {
        let (file, unit) = self.direct.as_ref()?;
        (at.is_multiple_of(*unit as u64) && len.is_multiple_of(*unit)).then_some(file)
    }

    fn io(&self, doing: &str, at: u64) -> impl FnOnce(io::Error) -> Fault {
        Fault::io(format!("{doing} partition {} at byte {at}", self.name))
    }

    fn write_to_file(&self, at: u64, from: &[u8]) -> io::Result<()> {
        match self.direct(at, from.len()) {
            Some(file) if from.as_ptr().align_offset(ALIGN) == 0 => file.write_all_at(from, at),
            Some(file) => {
                let mut aligned = Buffer::new(from.len());
                aligned.copy_from_slice(from);
                file.write_all_at(&aligned, at)
            }
            None => self.buffered.write_at(from, at),
        }
    }
}

impl Volume for FileVolume {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
        let place = self.check(at, into.len())?;
        let done = match self.direct(place, into.len()) {
            Some(file) if into.as_ptr().align_offset(ALIGN) == 0 => file.read_exact_at(into, place),
            Some(file) => {
                let mut aligned = Buffer::new(into.len());
                let done = file.read_exact_at(&mut aligned, place);
                into.copy_from_slice(&aligned);
                done
            }
            None => {
                self.buffered.forget_cache(place, into.len());
                self.buffered.file().read_exact_at(into, place)
            }
        };
        done.map_err(self.io("reading", at))
    }

    fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault> {
        let place = self.check(at, from.len())?;
        if self.buffered.access() == Access::ReadOnly {
            return Err(Fault::Unfit(format!("partition {} was opened to look at it only", self.name)));
        }
        match self.meter.count(from.len()) {
            Fate::Whole => self.write_to_file(place, from).map_err(self.io("writing", at)),
            Fate::Torn(bytes) => {
                let torn = from.get(..bytes).unwrap_or(from);
                self.buffered.write_at(torn, place).map_err(self.io("writing", at))?;
                Err(Fault::Stopping(Stop::PowerLost))
            }
            Fate::Lost => Err(Fault::Stopping(Stop::PowerLost)),
        }
    }

    fn flush(&self) -> Result<(), Fault> {
        if self.meter.is_cut() {
            return Err(Fault::Stopping(Stop::PowerLost));
        }
        self.buffered.sync().map_err(Fault::io(format!("flushing partition {}", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{board::Cut, ports::Sectors};
    use std::path::Path;

    fn volume(dir: &tempfile::TempDir, meter: &Meter) -> FileVolume {
        let path = dir.path().join("card");
        let file = File::create_new(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        at(&path, Access::Exclusive, meter)
    }

    fn at(path: &Path, access: Access, meter: &Meter) -> FileVolume {
        let file = Arc::new(CardFile::open(path, access).unwrap());
        FileVolume::open(&file, "test", 4096, 128 * 512, meter.clone())
    }

    #[test]
    fn keeps_the_contract_of_blocks() {
        let dirs: Vec<_> = (0..10).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut fresh = dirs.iter();
        bistable_boot::contract::blocks(|| {
            Sectors(Arc::new(volume(fresh.next().unwrap(), &Meter::default())))
        });
    }

    #[test]
    fn direct_and_buffered_accesses_see_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let v = volume(&dir, &Meter::default());
        let mut page = Buffer::new(ALIGN);
        page.fill(7);
        v.write(0, &page).unwrap();
        v.write(512, &[9; 512]).unwrap();
        v.read(0, &mut page).unwrap();
        assert_eq!((page[0], page[512], page[1023], page[1024]), (7, 9, 9, 7));
        let mut unaligned = vec![0; ALIGN + 1];
        v.read(0, &mut unaligned[1..]).unwrap();
        assert_eq!(unaligned[1..], page[..]);
    }

    #[test]
    fn looking_works_on_what_may_not_be_written_and_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let meter = Meter::default();
        volume(&dir, &meter).write(512, &[9; 512]).unwrap();
        let path = dir.path().join("card");
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).unwrap();
        let look = at(&path, Access::ReadOnly, &meter);
        let mut there = [0; 512];
        look.read(512, &mut there).unwrap();
        assert_eq!(there, [9; 512]);
        assert!(matches!(look.write(512, &[1; 512]), Err(Fault::Unfit(_))));
        look.read(512, &mut there).unwrap();
        assert_eq!((there, meter.writes()), ([9; 512], 1));
    }

    #[test]
    fn what_was_written_through_the_cache_is_synced_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = volume(&dir, &Meter::default()).buffered;
        assert!(file.is_synced(), "nothing written");
        file.write_at(&[1], 0).unwrap();
        assert!(!file.is_synced());
        file.forget_cache(0, 512);
        assert!(file.is_synced());
        file.write_at(&[1], 0).unwrap();
        file.sync().unwrap();
        assert!(file.is_synced());
    }

    /// What is on the card after the power went in a write of 1024 bytes.
    fn torn(at_byte: Option<u64>) -> [u8; 1024] {
        let dir = tempfile::tempdir().unwrap();
        let meter = Meter::default();
        let v = volume(&dir, &meter);
        v.write(0, &[1; 1024]).unwrap();
        meter.cut_at(Cut { write: 2, byte: at_byte });
        v.write(0, &[2; 1024]).unwrap();
        let lost = |r: Result<(), Fault>| matches!(r, Err(Fault::Stopping(Stop::PowerLost)));
        assert!(lost(v.write(0, &[3; 1024])));
        assert!(lost(v.write(0, &[4; 1024])));
        assert!(lost(v.flush()));
        assert!(lost(v.read(0, &mut [0; 512])));
        let mut there = [0; 1024];
        v.buffered.file().read_exact_at(&mut there, 4096).unwrap();
        there
    }

    #[test]
    fn the_power_goes_in_the_middle_of_the_chosen_write() {
        let table = [
            (None, 512),
            (Some(0), 0),
            (Some(1), 1),
            (Some(700), 700),
            (Some(1024), 1024),
            (Some(u64::MAX), 1024),
        ];
        for (at_byte, new) in table {
            let there = torn(at_byte);
            let (written, old) = there.split_at(new);
            assert!(written.iter().all(|b| *b == 3) && old.iter().all(|b| *b == 2), "torn at {at_byte:?}");
        }
    }

    #[test]
    fn a_boot_flag_torn_between_its_digits_names_one_slot_twice() {
        use bistable_boot::{Autoboot, Slot, layout::BOOT_PARTITIONS};
        let [a, b] = Slot::ALL.map(|default| Autoboot { partitions: BOOT_PARTITIONS, default }.render());
        let digits: Vec<_> = (0..a.len()).filter(|i| a[*i] != b[*i]).collect();
        assert_eq!(digits.len(), 2);
        let dir = tempfile::tempdir().unwrap();
        let meter = Meter::default();
        let v = volume(&dir, &meter);
        v.write(0, &a).unwrap();
        meter.cut_at(Cut { write: 1, byte: Some(digits[1] as u64) });
        assert!(v.write(0, &b).is_err());
        let mut there = [0; 512];
        v.buffered.file().read_exact_at(&mut there, 4096).unwrap();
        assert!(Autoboot::read(&there).is_torn());
    }
}
