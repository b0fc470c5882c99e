//! Kinds of values: what is allowed, how it is read, how it is shown.
use super::{Mirror, Window, mirror, time};
use serde_json::Value;
use std::{fmt::Display, time::Duration};

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where in it.
    pub(super) place: Place,
    /// Why, where what is allowed doesn't say it all; may be empty.
    pub(super) why: String,
}

/// The part of a setting that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// All of it.
    Value,
    /// One item of a list.
    Item(usize),
}

/// A value, or everything that is wrong with it.
pub(super) type Checked<T> = Result<T, Vec<Wrong>>;

/// A kind of values. Whatever [`show`](Kind::show) gives, [`read`](Kind::read) takes.
pub(super) trait Kind: Sync {
    /// The value.
    type Value;
    /// What is allowed, to be read after "is".
    fn allowed(&self) -> String;
    /// Check a value.
    fn read(&self, value: &Value) -> Checked<Self::Value>;
    /// A value as it can be written; null if there is none.
    fn show(&self, value: &Self::Value) -> Value;
}

fn wrong<T>(why: impl Into<String>) -> Checked<T> {
    Err(vec![Wrong { place: Place::Value, why: why.into() }])
}

/// Yes or no.
pub(super) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn allowed(&self) -> String {
        "true or false".into()
    }

    fn read(&self, value: &Value) -> Checked<bool> {
        value.as_bool().map_or_else(|| wrong(""), Ok)
    }

    fn show(&self, value: &bool) -> Value {
        (*value).into()
    }
}

/// A whole number of something.
pub(super) struct Number<T> {
    /// For example "a number of bytes".
    pub(super) what: &'static str,
    pub(super) least: T,
    pub(super) most: T,
}

impl<T: Copy + Display + Into<u64> + TryFrom<u64> + PartialOrd + Sync> Kind for Number<T> {
    type Value = T;

    fn allowed(&self) -> String {
        format!("{} from {} to {}", self.what, self.least, self.most)
    }

    fn read(&self, value: &Value) -> Checked<T> {
        let number = value.as_u64().and_then(|n| T::try_from(n).ok());
        number.filter(|n| (self.least..=self.most).contains(n)).map_or_else(|| wrong(""), Ok)
    }

    fn show(&self, value: &T) -> Value {
        (*value).into().into()
    }
}

/// A time with its unit.
pub(super) struct Time {
    pub(super) least: Duration,
    pub(super) most: Duration,
}

impl Kind for Time {
    type Value = Duration;

    fn allowed(&self) -> String {
        format!("a time in quotes from \"{}\" to \"{}\"", time::show(self.least), time::show(self.most))
    }

    fn read(&self, value: &Value) -> Checked<Duration> {
        let time = value.as_str().and_then(time::parse);
        time.filter(|t| (self.least..=self.most).contains(t)).map_or_else(|| wrong(""), Ok)
    }

    fn show(&self, value: &Duration) -> Value {
        time::show(*value).into()
    }
}

/// What is written in quotes.
pub(super) struct Text<T> {
    pub(super) allowed: &'static str,
    /// Its value, or why it has none: may be empty.
    pub(super) read: fn(&str) -> Result<T, String>,
    pub(super) show: fn(&T) -> String,
}

impl<T> Kind for Text<T> {
    type Value = T;

    fn allowed(&self) -> String {
        self.allowed.into()
    }

    fn read(&self, value: &Value) -> Checked<T> {
        value.as_str().map_or_else(|| wrong(""), |text| (self.read)(text).or_else(wrong))
    }

    fn show(&self, value: &T) -> Value {
        (self.show)(value).into()
    }
}

/// One of several words, each with its value.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq + Sync> Kind for Choice<T> {
    type Value = T;

    fn allowed(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        match words.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    fn read(&self, value: &Value) -> Checked<T> {
        let found = value.as_str().and_then(|text| self.0.iter().find(|(word, _)| *word == text));
        found.map_or_else(|| wrong(""), |(_, value)| Ok(*value))
    }

    fn show(&self, value: &T) -> Value {
        self.0.iter().find(|(_, v)| v == value).map_or(Value::Null, |(word, _)| (*word).into())
    }
}

/// A value that need not be there.
pub(super) struct Optional<K>(pub(super) K);

impl<K: Kind> Kind for Optional<K> {
    type Value = Option<K::Value>;

    fn allowed(&self) -> String {
        self.0.allowed()
    }

    fn read(&self, value: &Value) -> Checked<Self::Value> {
        self.0.read(value).map(Some)
    }

    fn show(&self, value: &Self::Value) -> Value {
        value.as_ref().map_or(Value::Null, |v| self.0.show(v))
    }
}

/// A list of texts, no two with the same meaning.
pub(super) struct List<T> {
    pub(super) allowed: &'static str,
    /// Most items.
    pub(super) most: usize,
    /// An item's value, or why it has none: may be empty.
    pub(super) read: fn(&str) -> Result<T, String>,
    pub(super) show: fn(&T) -> String,
}

impl<T: PartialEq> Kind for List<T> {
    type Value = Vec<T>;

    fn allowed(&self) -> String {
        self.allowed.into()
    }

    fn read(&self, value: &Value) -> Checked<Vec<T>> {
        let Some(items) = value.as_array() else { return wrong("") };
        if items.len() > self.most {
            return wrong(format!("there are more than {}", self.most));
        }
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for (i, item) in items.iter().enumerate() {
            match item.as_str().map_or(Err(String::new()), self.read) {
                Ok(value) if found.contains(&value) => {
                    problems.push(Wrong { place: Place::Item(i), why: "it is there twice".into() });
                }
                Ok(value) => found.push(value),
                Err(why) => problems.push(Wrong { place: Place::Item(i), why }),
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    fn show(&self, value: &Vec<T>) -> Value {
        value.iter().map(self.show).collect()
    }
}

/// Repositories with the same content.
pub(super) const MIRRORS: List<Mirror> = List {
    allowed: "a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"]",
    most: 16,
    read: Mirror::parse,
    show: Mirror::to_string,
};

/// When the device may switch by itself.
pub(super) const WINDOWS: List<Window> = List {
    allowed: "a list of windows, like [\"Mon-Fri 02:00-05:00\", \"Sat,Sun 22:00-02:00\"]",
    most: 32,
    read: Window::parse,
    show: Window::to_string,
};

/// An address to which paths can be added.
pub(super) const WEB: Text<String> =
    Text { allowed: "an http:// or https:// address in quotes", read: mirror::web, show: String::clone };
