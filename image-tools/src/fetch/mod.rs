//! What other people's servers have: releases at GitHub, images in registries. Nothing here is trusted: it becomes an input of
//! `build`, as a file of this computer is.
//!
//! ```text
//! github:OWNER/REPO ── releases ── version table ── asset ──┐
//!                      (pages, ETags)                       ├── download: resumed, compared with its digest ── a file
//! oci://HOST/NAME ── tag, once ── manifest ── layers ───────┘
//! ```
//!
//! | file | noun |
//! |---|---|
//! | `web` | one question to a server: redirects, tries again, waits as it is asked to; keeps secrets from other servers |
//! | `pause` | how long a server asks to be left alone |
//! | `link` | which page comes next |
//! | `cache` | answers with their ETags, and what was downloaded in part |
//! | `download` | a large file, from where it was cut off, compared with its digest |
//! | [`github`] | GitHub's releases and their assets |
//! | [`registry`] | images of a registry |
//! | `pattern` | which names are meant |
//! | [`error`](FetchError) | what can go wrong |
mod cache;
mod download;
mod error;
pub mod github;
mod link;
mod pattern;
mod pause;
pub mod registry;
mod web;

pub use cache::Cache;
pub use error::FetchError;
pub(crate) use web::Web;
