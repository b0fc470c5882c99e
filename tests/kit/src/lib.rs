//! What several kinds of tests share.
//!
//! | file | noun |
//! |---|---|
//! | [`program`] | the two programs, each in a process of its own; how a program of the tests ends |
//! | [`command_line`] | what holds for the command line of each program |
//! | [`flow`] | boot flows on the command line |
//! | [`dice`] | numbers from a seed |
//! | [`ledger`] | a device's events, seen again and again: none is lost |
//! | [`disk_log`] | what was written to a disk, and when it was flushed |
//! | [`fat`] | the files of a FAT volume, by a reader of our own |
//! | [`tree`] | a file tree in a tar or an ext4 image, and how two of them differ |
//! | [`product`] | what every test product is made of: noise, keys, a root, small images, offers |
//! | [`web_server`] | a web server: a function from requests to answers |
//! | [`github`] | a stand-in for GitHub's releases |
//! | [`registry`] | a stand-in for a registry of images |
//! | [`mod@hex`] | numbers and bytes as digits |
pub mod command_line;
pub mod dice;
pub mod disk_log;
pub mod fat;
pub mod flow;
pub mod github;
pub mod hex;
pub mod ledger;
pub mod product;
pub mod program;
mod put;
pub mod registry;
pub mod tree;
pub mod web_server;

pub use put::put;

/// Where the small systems of the suite `real` are, and of the emulated Pi, which runs the first.
pub const SMALL_DEBIAN: &str = "target/debian-small";
