//! Which boot loader starts the slots.
use core::{fmt, str::FromStr};

/// A boot flow: who reads the boot flag, and so where it lies and how one boot is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flow {
    /// The Raspberry Pi's firmware: `autoboot.txt` names the default slot, and a one-shot flag that it forgets tries the
    /// other one.
    #[default]
    Tryboot,
    /// U-Boot: the script `boot.scr` on the boot configuration reads the boot block in partition `state`.
    Uboot,
}

impl Flow {
    /// Both.
    pub const ALL: [Flow; 2] = [Flow::Tryboot, Flow::Uboot];

    /// Its name in options and files.
    pub const fn name(self) -> &'static str {
        match self {
            Flow::Tryboot => "tryboot",
            Flow::Uboot => "uboot",
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of no boot flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such boot flow: tryboot and uboot are known")]
pub struct UnknownFlow;

impl FromStr for Flow {
    type Err = UnknownFlow;
    fn from_str(name: &str) -> Result<Flow, UnknownFlow> {
        Flow::ALL.into_iter().find(|flow| flow.name() == name).ok_or(UnknownFlow)
    }
}
