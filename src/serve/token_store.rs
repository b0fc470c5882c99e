//! Whose tokens are taken.
use crate::config::tokens::Tokens;

/// Whose tokens are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenStore {
    /// The tokens.
    pub tokens: Tokens,
    /// Whether reading needs none.
    pub reads_are_open: bool,
}
