use super::Component;
use crate::{
    BySlot, Extension, Formats, Lba, NAME_BYTES, durable::format_to_write, extension, journal::Kept, layout,
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// How many components a device can have: as many as a release can name.
pub const COMPONENTS_LEN: usize = 32;

/// All that is remembered of a device's components.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentRecord {
    /// Counts saves: see [`Record::seq`](crate::Record::seq).
    #[serde(skip)]
    pub seq: u64,
    /// The highest formats that the agents of the two slots read: what is saved must be readable by both (I18). Known from
    /// the journal, so it isn't saved here.
    #[serde(skip)]
    pub reads: BySlot<Option<u16>>,
    /// The product that this device is: the record of another one's card is refused.
    pub product: String,
    /// Sorted by name, at most [`COMPONENTS_LEN`].
    pub components: Vec<Component>,
    /// What a newer agent added, kept as it is.
    pub extensions: Vec<Extension>,
}

impl ComponentRecord {
    /// That of a device which has no component yet.
    pub fn new(product: &str) -> ComponentRecord {
        ComponentRecord { product: product.into(), ..ComponentRecord::default() }
    }

    /// A component, if anything is remembered of it.
    pub fn get(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|c| c.name == name)
    }

    /// A component, made if nothing is remembered of it. `None` if there are too many already.
    pub fn entry(&mut self, name: &str) -> Option<&mut Component> {
        let at = match self.components.binary_search_by(|c| c.name.as_str().cmp(name)) {
            Ok(at) => at,
            Err(_) if self.components.len() >= COMPONENTS_LEN => return None,
            Err(at) => {
                self.components.insert(at, Component::registered(name));
                at
            }
        };
        self.components.get_mut(at)
    }

    /// Forget a component. Whether anything was remembered of it.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.components.len();
        self.components.retain(|c| c.name != name);
        self.components.len() != before
    }
}

impl Kept for ComponentRecord {
    const MAGIC: [u8; 4] = *b"BCMP";
    const AT: [Lba; 2] = layout::COMPONENTS;
    const COPY_BYTES: usize = 64 << 10;

    fn seq(&self) -> u64 {
        self.seq
    }

    fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    fn extensions(&mut self) -> &mut Vec<Extension> {
        &mut self.extensions
    }

    fn format(&self, ours: Formats) -> u16 {
        format_to_write(ours.newest(), self.reads)
    }

    fn is_bounded(&self) -> bool {
        let names = self.components.windows(2);
        self.product.len() <= NAME_BYTES
            && self.components.len() <= COMPONENTS_LEN
            && self.components.iter().all(Component::is_bounded)
            && names.into_iter().all(|pair| matches!(pair, [a, b] if a.name < b.name))
            && extension::are_bounded(&self.extensions)
    }
}
