//! What an owner wants of a device.

/// What an owner wants of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// That it runs this release, if the device finds it fit.
    Offer(&'static str),
    /// That it follows its channel, which offers this release, by itself: what its mode allows.
    Follow(&'static str),
    /// That it holds this release, ready to be tried; then they reboot it by hand.
    Stage(&'static str),
    /// The same as the first, from a repository that has a delta to it.
    Delta(&'static str),
    /// The same, with the bundle of a delta to it. What that can't make, the owner brings with their next goal.
    DeltaFile(&'static str),
    /// That it goes back to this release, which the other slot holds.
    Return(&'static str),
}
