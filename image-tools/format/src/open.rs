//! Open sets on the wire: values whose kind or content a later version may know better.
//!
//! A value of an open kind is its number and its fields, framed by their length; an entry of an open list is framed by its
//! length. So a reader passes over what it doesn't understand, keeps it, and writes it again as it was.
use crate::DecodeError;
use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// A value of a kind that this version doesn't know, or in a form that it doesn't know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The kind's number.
    pub kind: u16,
    /// Its fields.
    pub bytes: Vec<u8>,
}

/// An entry of an open list that this version can't read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The entry as it was signed.
    pub bytes: Vec<u8>,
    /// Why it can't be read.
    pub why: DecodeError,
}

/// Write a value of a kind.
pub(crate) fn write<S: Serializer, T: Serialize>(to: S, kind: u16, fields: &T) -> Result<S::Ok, S::Error> {
    Unknown { kind, bytes: frame(fields).map_err(ser::Error::custom)? }.serialize(to)
}

/// Read a value: its kind and its fields.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<(u16, &'de [u8]), D::Error> {
    <(u16, &'de [u8])>::deserialize(from)
}

/// The bytes of an entry or of a kind's fields.
pub(crate) fn frame<T: Serialize>(value: &T) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_allocvec(value)
}

/// All of a frame is one value, or it isn't understood.
pub(crate) fn unframe<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, DecodeError> {
    crate::from_postcard(what, bytes, bytes.len())
}

/// What an open list holds.
pub trait Entry: Serialize + Clone {
    /// Most entries of a list.
    const LIMIT: usize;

    /// Read one, from all of its frame.
    ///
    /// # Errors
    /// Why this version doesn't understand it.
    fn read(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A list whose entries are framed by their length, so that one that isn't understood doesn't spoil the others. It is
/// used as the list of those that are; the others are written again, behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenList<T> {
    known: Vec<T>,
    unreadable: Vec<Unreadable>,
}

impl<T> OpenList<T> {
    /// The entries that this version can't read.
    pub fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }

    /// How many entries there are, understood or not.
    pub fn total(&self) -> usize {
        self.known.len() + self.unreadable.len()
    }
}

impl<T> Default for OpenList<T> {
    fn default() -> Self {
        OpenList { known: Vec::new(), unreadable: Vec::new() }
    }
}

impl<T> From<Vec<T>> for OpenList<T> {
    fn from(known: Vec<T>) -> Self {
        OpenList { known, unreadable: Vec::new() }
    }
}

impl<T> core::ops::Deref for OpenList<T> {
    type Target = Vec<T>;
    fn deref(&self) -> &Vec<T> {
        &self.known
    }
}

impl<T> core::ops::DerefMut for OpenList<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.known
    }
}

impl<T> FromIterator<T> for OpenList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        values.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T> IntoIterator for OpenList<T> {
    type Item = T;
    type IntoIter = alloc::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.known.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a OpenList<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.known.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut OpenList<T> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.known.iter_mut()
    }
}

impl<T: Entry> Serialize for OpenList<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let known =
            self.known.iter().map(frame).collect::<Result<Vec<_>, _>>().map_err(ser::Error::custom)?;
        to.collect_seq(known.iter().chain(self.unreadable.iter().map(|u| &u.bytes)))
    }
}

impl<'de, T: Entry> Deserialize<'de> for OpenList<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Frames<T>(core::marker::PhantomData<T>);

        impl<'de, T: Entry> de::Visitor<'de> for Frames<T> {
            type Value = OpenList<T>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "at most {} entries", T::LIMIT)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<OpenList<T>, A::Error> {
                let mut list = OpenList::default();
                while let Some(bytes) = seq.next_element::<&[u8]>()? {
                    if list.total() == T::LIMIT {
                        return Err(de::Error::invalid_length(T::LIMIT + 1, &self));
                    }
                    match T::read(bytes) {
                        Ok(entry) => list.known.push(entry),
                        Err(why) => list.unreadable.push(Unreadable { bytes: bytes.to_vec(), why }),
                    }
                }
                Ok(list)
            }
        }
        from.deserialize_seq(Frames(core::marker::PhantomData))
    }
}
