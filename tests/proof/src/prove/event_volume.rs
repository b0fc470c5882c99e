//! A folder for the event log on the simulated card's `persistent`: as little of a file system as will do, and stricter than
//! one. What was appended may be there or not until it is flushed, in any part; a name is durable at once, as a journal of a
//! file system makes it.
//!
//! A file has a region of its own, and ends where the last byte is that isn't zero. The names lie in two copies, and before a file
//! is appended to both are the newest: a damaged neighbor of what is written costs one of them at most.
use super::image::PAGE;
use bistable::ports::{EventStore, Fault, Volume};
use bistable_boot::SECTOR;
use std::{collections::BTreeMap, io, sync::Arc};

/// The file system that came with the card ends before this; nothing of it is used.
const BASE: u64 = 32 << 20;
const FIRST: u64 = BASE + (1 << 20);
const REGION: u64 = 256 << 10;
/// Of a copy of the names that is whole.
const END: &[u8] = b"\nend";

/// The folder.
#[allow(missing_debug_implementations, reason = "the volume is a trait object")]
pub(super) struct EventVolume(pub(super) Arc<dyn Volume>);

type Names = BTreeMap<String, u64>;

impl EventVolume {
    /// Sectors that can't be read are zeros: damage, as the agent's own folder has it.
    fn block(&self, at: u64) -> io::Result<[u8; PAGE]> {
        let mut block = [0; PAGE];
        match self.0.read(at, &mut block) {
            Err(e) if e.stopping().is_some() => return Err(error(&e)),
            Err(_) => {}
            Ok(()) => return Ok(block),
        }
        for (i, sector) in block.chunks_mut(SECTOR).enumerate() {
            match self.0.read(at + (i * SECTOR) as u64, sector) {
                Err(e) if e.stopping().is_some() => return Err(error(&e)),
                Err(_) => sector.fill(0),
                Ok(()) => {}
            }
        }
        Ok(block)
    }

    /// Both copies of the names, with their turns; `None` for one that is not whole.
    fn copies(&self) -> io::Result<[Option<(u64, Names)>; 2]> {
        let read = |at| {
            let copy = self.block(at)?;
            let end = copy.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            let json = copy[..end].strip_suffix(END);
            Ok::<_, io::Error>(json.and_then(|json| serde_json::from_slice(json).ok()))
        };
        Ok([read(BASE)?, read(BASE + PAGE as u64)?])
    }

    /// The newer whole copy of the names: its turn, and they.
    fn names(&self) -> io::Result<(u64, Names)> {
        let whole = self.copies()?.into_iter().flatten();
        Ok(whole.max_by_key(|(turn, _)| *turn).unwrap_or_default())
    }

    /// Write those copies of the names that are not these.
    fn put_names(&self, names: &(u64, Names)) -> io::Result<()> {
        for (i, there) in self.copies()?.into_iter().enumerate() {
            if there.as_ref() != Some(names) {
                let mut copy = serde_json::to_vec(names)?;
                copy.extend_from_slice(END);
                copy.resize(PAGE, 0);
                let place = BASE + (i * PAGE) as u64;
                self.0.write(place, &copy).and_then(|()| self.0.flush()).map_err(|e| error(&e))?;
            }
        }
        Ok(())
    }

    fn region(&mut self, name: &str) -> io::Result<u64> {
        let (turn, mut names) = self.names()?;
        let there = names.get(name).copied();
        let at = there.unwrap_or(FIRST + names.len() as u64 * REGION);
        names.insert(name.to_owned(), at);
        self.put_names(&(turn + u64::from(there.is_none()), names))?;
        Ok(at)
    }

    fn content(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let mut blank = 0;
        while blank < 2 && (content.len() as u64) < REGION {
            let block = self.block(at + content.len() as u64)?;
            blank = if block.iter().all(|b| *b == 0) { blank + 1 } else { 0 };
            content.extend_from_slice(&block);
        }
        let end = content.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        content.truncate(end);
        Ok(content)
    }
}

fn error(e: &Fault) -> io::Error {
    io::Error::other(e.to_string())
}

impl EventStore for EventVolume {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        let (_, names) = self.names()?;
        let sized = names.into_iter().map(|(name, at)| Ok((name, self.content(at)?.len() as u64)));
        sized.filter(|file| !matches!(file, Ok((_, 0)))).collect()
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        match self.names()?.1.get(name) {
            Some(at) => self.content(*at),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let start = self.region(name)?;
        if !at.is_multiple_of(PAGE as u64)
            || !bytes.len().is_multiple_of(PAGE)
            || at + bytes.len() as u64 > REGION
        {
            return Err(io::Error::other("no whole blocks, or too many"));
        }
        self.0.write(start + at, bytes).map_err(|e| error(&e))
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        self.0.flush().map_err(|e| error(&e))
    }

    fn replace(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
        Err(io::Error::other("no scenario is long enough for this"))
    }

    fn remove(&mut self, _: &str) -> io::Result<()> {
        Err(io::Error::other("no scenario is long enough for this"))
    }
}
