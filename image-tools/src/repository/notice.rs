//! What a verb reports while it works, before it has a result.
use std::fmt;

/// Something that whoever runs a verb has to know while it works.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Another process of this computer changes the channel.
    Waiting {
        /// The channel.
        channel: String,
        /// The lock, as the memory names it.
        lock: String,
    },
    /// A file that was signed earlier is created now.
    Finishing {
        /// The channel.
        channel: String,
        /// Its number.
        number: u64,
        /// The verb that it was signed for.
        verb: String,
        /// About what that was.
        about: String,
    },
    /// A channel continues above numbers that are given up.
    Continuing {
        /// The channel.
        channel: String,
        /// The newest number that is there; 0 for none.
        from: u64,
        /// How many releases it offers.
        offers: usize,
        /// How many releases it withdraws.
        withdrawn: usize,
        /// The last number that is given up.
        after: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Waiting { channel, lock } => {
                write!(f, "waiting for another bistable-image that changes channel {channel} (lock: {lock})")
            }
            Notice::Finishing { channel, number, verb, about } => {
                write!(f, "finishing number {number} of channel {channel} ({verb} {about})")
            }
            Notice::Continuing { channel, from: 0, after, .. } => {
                write!(
                    f,
                    "channel {channel} continues after number {after} without any earlier file: it offers and withdraws nothing"
                )
            }
            Notice::Continuing { channel, from, offers, withdrawn, after } => write!(
                f,
                "channel {channel} continues after number {after} with what number {from} says (releases on offer: {offers}, \
                 withdrawn: {withdrawn}): repeat what later numbers changed"
            ),
        }
    }
}

/// Where notices go: a port, so that the library prints nothing.
pub trait Notices: fmt::Debug + Send + Sync {
    /// Report one.
    fn notice(&self, notice: &Notice);
}

/// Reports nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNotices;

impl Notices for NoNotices {
    fn notice(&self, _: &Notice) {}
}
