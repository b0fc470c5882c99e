//! Scenarios on a simulated, an emulated and a real Pi, and what they are judged with.
//!
//! | file | noun |
//! |---|---|
//! | [`demo`] | a whole life of a device, told to a person |
//! | [`package`] | the Debian package of the device's program |
//! | [`program`] | the two programs, each in a process of its own |
//! | [`real`] | two versions of a real Debian system through an update, with proofs and figures |
//! | [`run`] | the device scenarios on a rig: simulated, emulated or real Pi |
//! | [`flow`] | boot flows on the command line |
//! | [`mod@hex`] | bytes as digits |
//! | [`fat`] | the files of a FAT volume, by a reader of our own |
//! | [`tree`] | a file tree in a tar or an ext4 image, and how two of them differ |
pub mod demo;
pub mod fat;
pub mod flow;
pub mod hex;
pub mod model;
pub mod package;
pub mod program;
pub mod prove;
pub mod real;
pub mod run;
pub mod tree;
