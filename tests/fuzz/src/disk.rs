//! A disk that each input changes somewhere: an image of its own for each would be too large, and mostly refused.
use crate::Input;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::NamedTempFile;

pub struct Disk {
    file: NamedTempFile,
    bytes: u64,
    /// What was there before, in the order in which it was changed.
    before: Vec<(u64, Vec<u8>)>,
}

impl Disk {
    /// A disk in memory where there is such a folder: `make` writes what all inputs begin with.
    pub fn new(make: impl FnOnce(&mut File)) -> Disk {
        let shm = Path::new("/dev/shm");
        let file = if shm.is_dir() { NamedTempFile::new_in(shm) } else { NamedTempFile::new() };
        let mut file = file.unwrap();
        make(file.as_file_mut());
        let bytes = file.as_file().metadata().unwrap().len();
        Disk { file, bytes, before: Vec::new() }
    }

    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn read<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.file().read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    /// Change bytes, as far as they lie on the disk.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let len = usize::try_from(self.bytes.saturating_sub(at)).unwrap().min(bytes.len());
        let mut old = vec![0; len];
        self.file().read_exact_at(&mut old, at).unwrap();
        self.file().write_all_at(&bytes[..len], at).unwrap();
        self.before.push((at, old));
    }

    /// Change what an input says: places and bytes, until it ends. A place is a number below `end`; `place` says where
    /// that is.
    pub fn change(&mut self, input: &mut Input, end: u64, place: impl Fn(u64) -> u64) {
        while !input.0.is_empty() {
            let at = place(input.below(end));
            self.write(at, input.counted());
        }
    }

    /// As it was made.
    pub fn restore(&mut self) {
        while let Some((at, old)) = self.before.pop() {
            self.file().write_all_at(&old, at).unwrap();
        }
    }

    /// Give both copies of a GPT the checksums that they should have: a fuzzer doesn't guess them.
    pub fn sum_gpt(&mut self) {
        const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        for at in [512, self.bytes - 512] {
            let mut header: [u8; 512] = self.read(at);
            let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
            let entries = u64::from_le_bytes(header[72..80].try_into().unwrap());
            let total = u64::from(number(80)) * u64::from(number(84));
            let place = entries.checked_mul(512).filter(|at| at.saturating_add(total) <= self.bytes);
            if let Some(place) = place.filter(|_| total <= 64 << 10) {
                let mut table = vec![0; usize::try_from(total).unwrap()];
                self.file().read_exact_at(&mut table, place).unwrap();
                header[88..92].copy_from_slice(&CRC.checksum(&table).to_le_bytes());
            }
            header[16..20].fill(0);
            let crc = CRC.checksum(&header[..92]);
            header[16..20].copy_from_slice(&crc.to_le_bytes());
            self.write(at, &header);
        }
    }
}
