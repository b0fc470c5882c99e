//! `Idempotency-Key`: a client that asks twice because no answer came gets the job or the inhibitor that the first request made.
use super::problem::{Kind, Problem};
use crate::app::Asker;
use axum::http::HeaderMap;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The header.
pub(super) const HEADER: &str = "idempotency-key";
/// A longer key is refused.
const KEY_MAX: usize = 255;

/// A key, and who used it: two users, and two tokens, may use the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    key: String,
    by: Asker,
}

impl Key {
    /// The key of a request, if it has one.
    pub(super) fn of(headers: &HeaderMap, by: &Asker) -> Result<Option<Key>, Problem> {
        let mut keys = headers.get_all(HEADER).iter();
        let Some(key) = keys.next() else { return Ok(None) };
        // Of two, neither counts.
        let text = if keys.next().is_none() { key.to_str().unwrap_or_default() } else { "" };
        Key::new(text, by).map(Some)
    }

    /// The key of that text.
    pub(super) fn new(text: &str, by: &Asker) -> Result<Key, Problem> {
        if (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Key { key: text.into(), by: by.clone() });
        }
        let detail = format!("Idempotency-Key must be one text of 1 to {KEY_MAX} visible ASCII characters");
        Err(Problem::new(Kind::Malformed, detail))
    }
}

/// The keys of the jobs that are remembered, and of the inhibitors that hold.
#[derive(Debug, Default)]
pub(super) struct Repeats(Vec<Used>);

#[derive(Debug)]
struct Used {
    key: Key,
    asked: [u8; 32],
    made: String,
}

impl Repeats {
    /// The job or inhibitor that this request made before, under this key.
    ///
    /// # Errors
    /// When another request used the key.
    pub(super) fn find(
        &mut self,
        key: &Key,
        request: &impl Serialize,
        is_kept: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, Problem> {
        self.0.retain(|used| is_kept(&used.made));
        match self.0.iter().find(|used| used.key == *key) {
            None => Ok(None),
            Some(used) if used.asked == digest(request) => Ok(Some(used.made.clone())),
            Some(used) => {
                let detail = format!("this Idempotency-Key made {} with another request", used.made);
                Err(Problem::new(Kind::KeyReused, detail))
            }
        }
    }

    /// A request made a job or an inhibitor.
    pub(super) fn add(&mut self, key: Key, request: &impl Serialize, made: &str) {
        self.0.push(Used { key, asked: digest(request), made: made.into() });
    }
}

/// Of what is asked for, not of how it is written.
fn digest(request: &impl Serialize) -> [u8; 32] {
    // Only a path that isn't Unicode fails, and no request over the socket has one.
    Sha256::digest(serde_json::to_vec(request).unwrap_or_default()).into()
}
