//! Bundles and cards, made, read back and damaged, in temporary folders.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may fail loudly, and write files in their own folders without flushing them"
)]
mod build;
mod card;
mod card_components;
mod cli;
mod component;
mod containers;
mod damage;
mod delta;
mod delta_images;
mod disk_full;
mod fixture;
mod flash;
mod from_img;
mod from_img_hostile;
mod import_github;
mod import_oci;
mod notes;
mod passphrase;
mod saved_image;
mod sign;
mod tools;
mod trust;
