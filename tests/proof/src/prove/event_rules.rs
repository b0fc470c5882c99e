//! What must hold of the event log: nothing that was promised is lost, no number is used twice, and it agrees with the journal.
use super::{
    event_volume::EventVolume,
    image::Image,
    places::{Places, Snapshot},
};
use bistable::{
    events::{Entry, Reading, Segment, Shown},
    ports::EventStore,
};
use bistable_boot::{Now, Record, layout::Partition};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Events by number, each as its line.
pub type Lines = BTreeMap<u64, Arc<[u8]>>;

/// The log on a card, as it lies there.
#[derive(Debug, Default)]
pub struct LogLies {
    /// All whole lines.
    pub lines: Lines,
    /// Numbers that occur in lines that are torn or damaged.
    pub torn: BTreeSet<u64>,
    /// Numbers of more than one line.
    pub twice: BTreeSet<u64>,
}

fn volume(image: &Image, places: &Arc<Places>) -> EventVolume {
    EventVolume(Snapshot::new(image, places).volume(Partition::Persistent))
}

/// The log on a card.
pub fn log(image: &Image, places: &Arc<Places>) -> LogLies {
    let (mut store, mut lies) = (volume(image, places), LogLies::default());
    for (name, _) in store.files().unwrap_or_default() {
        let bytes = store.read(&name).unwrap_or_default();
        for entry in Segment::parse(&bytes).entries {
            let line = entry.line().unwrap_or_default();
            if lies.lines.insert(entry.seq, line.into()).is_some() {
                lies.twice.insert(entry.seq);
            }
        }
        lies.torn.extend(numbers(&bytes));
    }
    lies.torn.retain(|number| !lies.lines.contains_key(number));
    lies
}

/// Every number that can be read in some bytes, damaged or not.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> {
    const FIELD: &[u8] = b"\"seq\":";
    bytes.windows(FIELD.len()).enumerate().filter(|(_, window)| *window == FIELD).filter_map(|(at, _)| {
        let rest = &bytes[at + FIELD.len()..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        // A number that is cut may be any.
        if rest.get(digits) != Some(&b',') {
            return None;
        }
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    })
}

/// Where the log has it that the journal is, if that isn't what the journal says.
pub fn disagrees(log: &Image, journal: Option<Record>, places: &Arc<Places>) -> Option<String> {
    let reading = Reading::after(&mut volume(log, places), u64::MAX).ok()?;
    let saved = Shown::of(&Now::Saved(journal?.state));
    (reading.fold.saved.as_ref() != Some(&saved)).then(|| {
        let told = reading.fold.saved.map_or_else(|| "nothing".into(), |shown| shown.state);
        format!("the journal says {}, and the log {told}", saved.state)
    })
}

/// What is wrong with the log of a device at rest. `promised` is what it was told is durable, `before` what lay there when it
/// was switched on.
pub fn broken(
    image: &Image,
    places: &Arc<Places>,
    journal: Option<Record>,
    promised: &Lines,
    before: &LogLies,
) -> Vec<String> {
    let (now, mut wrong) = (log(image, places), Vec::new());
    for (number, line) in promised.iter().chain(&before.lines) {
        match now.lines.get(number) {
            None => wrong.push(format!("event {number} was lost: {}", text(line))),
            Some(other) if other != line => {
                wrong.push(format!("event {number} is another one: {}", text(other)));
            }
            Some(_) => {}
        }
    }
    wrong.extend(now.twice.iter().map(|number| format!("event {number} is there twice")));
    let reused = before.torn.iter().filter(|number| now.lines.contains_key(number));
    wrong.extend(reused.map(|number| format!("the number of a torn line was used again: {number}")));
    wrong.extend(disagrees(image, journal, places));
    wrong
}

fn text(line: &[u8]) -> String {
    Entry::read(line.trim_ascii_end()).map_or_else(String::new, |entry| entry.kind)
}
