//! The files of a FAT12, FAT16 or FAT32 image, by a reader that shares no code with the tools under test.
//!
//! ```text
//! reserved (boot sector) │ table × 1 or 2 │ root directory (not FAT32) │ clusters from number 2
//! directory: records of 32 bytes: pieces of a long name, last piece first, and then the short name with the file
//! ```
use crate::hex::hex;
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

/// Path without a leading `/` → SHA-256 of the content in hexadecimal digits; none for a folder.
pub type Files = BTreeMap<String, Option<String>>;

/// Folders within folders, at most.
const DEEPEST: usize = 32;
const RECORD: usize = 32;

/// What two sets of files differ in, one line each.
pub fn differences(source: &Files, image: &Files) -> Vec<String> {
    let mut found = Vec::new();
    for (path, want) in source {
        match image.get(path) {
            None => found.push(format!("/{path}: missing in the image")),
            Some(have) if have != want => found.push(format!("/{path}: its content or type differs")),
            Some(_) => {}
        }
    }
    let more = image.keys().filter(|path| !source.contains_key(*path));
    found.extend(more.map(|path| format!("/{path}: only in the image")));
    found
}

/// The files of a real folder.
pub fn files_of_folder(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    walk(folder, "", &mut files)?;
    Ok(files)
}

fn walk(folder: &Path, prefix: &str, files: &mut Files) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry.with_context(|| folder.display().to_string())?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().with_context(|| path.clone())?.is_dir() {
            walk(&entry.path(), &format!("{path}/"), files)?;
            files.insert(path, None);
        } else {
            let bytes = fs::read(entry.path()).with_context(|| path.clone())?;
            files.insert(path, Some(hex(&Sha256::digest(&bytes))));
        }
    }
    Ok(())
}

/// The files of an image.
pub fn files_of_image(image: &Path) -> Result<Files> {
    let file = File::open(image).with_context(|| image.display().to_string())?;
    let volume = FatVolume::open(file, 0).with_context(|| image.display().to_string())?;
    let mut files = Files::new();
    let root = volume.root()?;
    volume.walk(&root, "", 0, &mut files).with_context(|| image.display().to_string())?;
    Ok(files)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// A volume, open for reading.
#[derive(Debug)]
pub struct FatVolume {
    file: File,
    /// Where in the file it begins.
    start: u64,
    width: Width,
    table: Vec<u8>,
    cluster_bytes: u64,
    clusters: u32,
    /// First byte of cluster 2.
    data: u64,
    /// First byte and length of the root directory; FAT32 has a first cluster instead.
    root: (u64, u64),
    root_cluster: u32,
}

impl FatVolume {
    /// The volume that begins at a byte of a file.
    ///
    /// # Errors
    /// When it is no FAT, or a damaged one.
    pub fn open(file: File, start: u64) -> Result<FatVolume> {
        let mut boot = [0; 512];
        file.read_exact_at(&mut boot, start)?;
        ensure!(boot.ends_with(&[0x55, 0xAA]), "no boot sector");
        let word = |at| u64::from(u16_at(&boot, at));
        let (sector, reserved, tables, root_records) = (word(11), word(14), u64::from(boot[16]), word(17));
        let or = |short: u64, long: u32| if short == 0 { u64::from(long) } else { short };
        let (total, table) = (or(word(19), u32_at(&boot, 32)), or(word(22), u32_at(&boot, 36)));
        let per_cluster = u64::from(boot[13]);
        ensure!(sector >= 512 && per_cluster > 0 && tables > 0, "an impossible geometry");
        let root_sectors = (root_records * RECORD as u64).div_ceil(sector);
        let root = reserved + tables * table;
        let data = root + root_sectors;
        ensure!(total > data, "no room for data");
        let clusters = u32::try_from((total - data) / per_cluster).context("too many clusters")?;
        let width = match clusters {
            0..4085 => Width::Fat12,
            4085..65525 => Width::Fat16,
            _ => Width::Fat32,
        };
        let table_bytes = usize::try_from(table * sector)?;
        ensure!(table_bytes as u64 <= file.metadata()?.len(), "the table is larger than the image");
        let mut bytes = vec![0; table_bytes];
        file.read_exact_at(&mut bytes, start + reserved * sector).context("reading the table")?;
        Ok(FatVolume {
            file,
            start,
            width,
            table: bytes,
            cluster_bytes: per_cluster * sector,
            clusters,
            data: data * sector,
            root: (root * sector, root_records * RECORD as u64),
            root_cluster: u32_at(&boot, 44),
        })
    }

    /// A file of the root folder, by its name in any case; none if there is no such file.
    ///
    /// # Errors
    /// When the volume is damaged where that file is looked for.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let found =
            records(&self.root()?)?.into_iter().find(|r| !r.folder && r.name.eq_ignore_ascii_case(name));
        let Some(record) = found else { return Ok(None) };
        let mut bytes = if record.first == 0 { Vec::new() } else { self.chain(record.first)? };
        ensure!(record.bytes <= bytes.len(), "/{name} ends early");
        bytes.truncate(record.bytes);
        Ok(Some(bytes))
    }

    /// Where in the underlying file a byte of a file of the root folder lies; none if there is no such file or byte.
    ///
    /// # Errors
    /// When the volume is damaged where that file is looked for.
    pub fn place_of(&self, name: &str, byte: u64) -> Result<Option<u64>> {
        let found =
            records(&self.root()?)?.into_iter().find(|r| !r.folder && r.name.eq_ignore_ascii_case(name));
        let Some(record) = found.filter(|r| byte < r.bytes as u64) else { return Ok(None) };
        let mut cluster = Some(record.first);
        for _ in 0..byte / self.cluster_bytes {
            cluster = cluster.and_then(|c| self.next(c));
        }
        let cluster = cluster.and_then(|c| c.checked_sub(2)).filter(|c| *c < self.clusters);
        let cluster = cluster.with_context(|| format!("/{name} ends early"))?;
        Ok(Some(self.start + self.data + u64::from(cluster) * self.cluster_bytes + byte % self.cluster_bytes))
    }

    fn root(&self) -> Result<Vec<u8>> {
        if self.width == Width::Fat32 {
            return self.chain(self.root_cluster);
        }
        let mut bytes = vec![0; usize::try_from(self.root.1)?];
        self.file
            .read_exact_at(&mut bytes, self.start + self.root.0)
            .context("reading the root directory")?;
        Ok(bytes)
    }

    /// What follows a cluster; none at the end of its chain.
    fn next(&self, cluster: u32) -> Option<u32> {
        let at = cluster as usize;
        let (next, end) = match self.width {
            Width::Fat12 => {
                let pair = u16_at(&self.table, at + at / 2);
                (u32::from(if cluster.is_multiple_of(2) { pair & 0xFFF } else { pair >> 4 }), 0xFF8)
            }
            Width::Fat16 => (u32::from(u16_at(&self.table, at * 2)), 0xFFF8),
            Width::Fat32 => (u32_at(&self.table, at * 4) & 0x0FFF_FFFF, 0x0FFF_FFF8),
        };
        (next < end).then_some(next)
    }

    /// The content of a chain of clusters.
    fn chain(&self, first: u32) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut at = Some(first);
        let mut seen = 0;
        while let Some(cluster) = at {
            seen += 1;
            let inside = cluster >= 2 && cluster - 2 < self.clusters;
            ensure!(inside && seen <= self.clusters, "a chain leads to cluster {cluster}, which can't be");
            let start = bytes.len();
            bytes.resize(start + usize::try_from(self.cluster_bytes)?, 0);
            let place = self.start + self.data + u64::from(cluster - 2) * self.cluster_bytes;
            let part = bytes.get_mut(start..).unwrap_or_default();
            self.file.read_exact_at(part, place).with_context(|| format!("reading cluster {cluster}"))?;
            at = self.next(cluster);
        }
        Ok(bytes)
    }

    fn walk(&self, folder: &[u8], prefix: &str, depth: usize, files: &mut Files) -> Result<()> {
        ensure!(depth < DEEPEST, "/{prefix}: folders without end");
        for record in records(folder)? {
            let path = format!("{prefix}{}", record.name);
            let chain = if record.first == 0 { Vec::new() } else { self.chain(record.first)? };
            if record.folder {
                self.walk(&chain, &format!("{path}/"), depth + 1, files)?;
                files.insert(path, None);
            } else {
                let content = chain.get(..record.bytes).with_context(|| format!("/{path} ends early"))?;
                files.insert(path, Some(hex(&Sha256::digest(content))));
            }
        }
        Ok(())
    }
}

/// A file or folder in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    name: String,
    folder: bool,
    first: u32,
    bytes: usize,
}

fn records(directory: &[u8]) -> Result<Vec<Record>> {
    let mut found = Vec::new();
    let mut long: Vec<u16> = Vec::new();
    let mut sum = None;
    for record in directory.chunks_exact(RECORD) {
        let (Some((name, _)), Some(&attributes)) = (record.split_first_chunk::<11>(), record.get(11)) else {
            break;
        };
        match name[0] {
            0 => break,
            0xE5 => {
                long.clear();
                continue;
            }
            _ => {}
        }
        if attributes & 0x3F == 0x0F {
            // Order, and 0x40 in the piece that comes first and is the name's last.
            if name[0] & 0x40 != 0 {
                long.clear();
                sum = record.get(13).copied();
            }
            long.splice(0..0, piece(record));
            continue;
        }
        if attributes & 0x08 == 0 && name[0] != b'.' {
            if !long.is_empty() && sum != Some(checksum(name)) {
                bail!("the long name of {:?} belongs to another file", String::from_utf8_lossy(name));
            }
            let name =
                if long.is_empty() { short(name, record[12]) } else { String::from_utf16_lossy(&long) };
            let first = u32::from(u16_at(record, 20)) << 16 | u32::from(u16_at(record, 26));
            let bytes = usize::try_from(u32_at(record, 28))?;
            found.push(Record { name, folder: attributes & 0x10 != 0, first, bytes });
        }
        long.clear();
    }
    Ok(found)
}

/// The up to 13 characters in a piece of a long name.
fn piece(record: &[u8]) -> Vec<u16> {
    let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
    places.map(|at| u16_at(record, at)).take_while(|unit| *unit != 0 && *unit != 0xFFFF).collect()
}

fn checksum(name: &[u8; 11]) -> u8 {
    name.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// "CONFIG  TXT" with the two bits that make its parts lower case.
fn short(name: &[u8; 11], bits: u8) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let text = String::from_utf8_lossy(bytes).trim_end_matches(' ').to_owned();
        if lower { text.to_ascii_lowercase() } else { text }
    };
    let (base, extension) = name.split_at(8);
    let (base, extension) = (part(base, bits & 0x08 != 0), part(extension, bits & 0x10 != 0));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// Zero past the end.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u16::from_le_bytes(found.copied().unwrap_or_default())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u32::from_le_bytes(found.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Folder with names that need pieces, case bits and several clusters.
    fn source(dir: &Path) -> Files {
        fs::create_dir_all(dir.join("overlays")).unwrap();
        let put = |name: &str, bytes: &[u8]| crate::put(&dir.join(name), bytes).unwrap();
        put("config.txt", b"arm_64bit=1\n");
        put("EMPTY", b"");
        put("bcm2711-rpi-4-b.dtb", &[7; 30_000]);
        put("overlays/a name of more than thirteen characters.dtbo", &[9; 70_001]);
        files_of_folder(dir).unwrap()
    }

    /// Images by the tools that everybody uses: mtools copies without a mount.
    fn image(dir: &Path, source: &Path, bits: &str, mib: u64) -> Option<std::path::PathBuf> {
        let image = dir.join(format!("fat{bits}.img"));
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let run = |program: &str, args: &[&str]| {
            Command::new(program).args(args).output().is_ok_and(|out| out.status.success())
        };
        let path = image.to_str()?;
        if !run("mkfs.vfat", &["-F", bits, path]) && !run("/usr/sbin/mkfs.vfat", &["-F", bits, path]) {
            return None;
        }
        let names: Vec<_> =
            fs::read_dir(source).unwrap().map(|e| e.unwrap().path().display().to_string()).collect();
        let args: Vec<&str> =
            ["-s", "-i", path].into_iter().chain(names.iter().map(String::as_str)).chain(["::"]).collect();
        run("mcopy", &args).then_some(image)
    }

    #[test]
    #[ignore = "needs dosfstools and mtools"]
    fn all_three_widths_are_read_as_others_write_them() {
        let dir = tempfile::tempdir().unwrap();
        let want = source(&dir.path().join("files"));
        for (bits, mib) in [("12", 4), ("16", 32), ("32", 64)] {
            let image = image(dir.path(), &dir.path().join("files"), bits, mib);
            let image = image.expect("mkfs.vfat and mcopy make an image");
            let found = files_of_image(&image).unwrap();
            assert_eq!(differences(&want, &found), Vec::<String>::new(), "FAT{bits}");
        }
    }

    #[test]
    fn each_kind_of_difference_is_told() {
        let files = |list: &[(&str, Option<&str>)]| -> Files {
            list.iter().map(|(path, sha)| ((*path).to_owned(), sha.map(str::to_owned))).collect()
        };
        let source = files(&[("a", Some("1")), ("b", Some("2")), ("c", None)]);
        assert!(differences(&source, &source).is_empty());
        let image = files(&[("b", Some("3")), ("c", Some("4")), ("d", None)]);
        let found = differences(&source, &image);
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.img");
        for fill in [0_u8, 0x55, 0xAA, 0xFF] {
            let mut bytes = vec![fill; 1 << 16];
            bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
            crate::put(&path, &bytes).unwrap();
            assert!(files_of_image(&path).is_err(), "{fill}");
        }
    }

    #[test]
    fn a_long_name_that_belongs_to_another_file_is_refused() {
        let mut directory = vec![0; 3 * RECORD];
        directory[..RECORD].copy_from_slice(&[0xFF; RECORD]);
        directory[0] = 0x41;
        directory[1..3].copy_from_slice(&u16::from(b'x').to_le_bytes());
        directory[11] = 0x0F;
        directory[RECORD..RECORD + 11].copy_from_slice(b"X          ");
        let sum = checksum(b"X          ");
        directory[13] = sum;
        assert_eq!(records(&directory).unwrap()[0].name, "x");
        directory[13] = sum.wrapping_add(1);
        assert!(records(&directory).is_err());
    }
}
