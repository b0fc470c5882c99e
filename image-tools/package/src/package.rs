//! The two packages, and how they differ.
use super::{Arch, device, man};
use bistable_image::manual::{self, Extra};
use clap::{Command, CommandFactory, ValueEnum};

/// A package, by the program that it brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Package {
    /// The device's program, with what init and udev read
    #[default]
    #[value(name = "bistable")]
    Device,
    /// The host's program, for computers that build and publish releases
    #[value(name = "bistable-image")]
    Host,
}

impl Package {
    /// Both.
    pub const ALL: [Package; 2] = [Package::Device, Package::Host];

    /// Its name, which is the program's.
    pub const fn name(self) -> &'static str {
        match self {
            Package::Device => "bistable",
            Package::Host => "bistable-image",
        }
    }

    /// The machines that it is made for.
    pub const fn machines(self) -> &'static [Arch] {
        match self {
            Package::Device => &Arch::ALL,
            Package::Host => &[Arch::Amd64, Arch::Arm64],
        }
    }

    /// The machine that it is made for if none is named.
    pub const fn usual(self) -> Arch {
        match self {
            Package::Device => Arch::Arm64,
            Package::Host => Arch::Amd64,
        }
    }

    /// What cargo builds: on a device the daemon, and no simulated Pi.
    pub(super) const fn features(self) -> &'static [&'static str] {
        match self {
            Package::Device => &["-p", "bistable", "--no-default-features", "--features", "daemon"],
            Package::Host => &["-p", "bistable-image"],
        }
    }

    /// The packages that it can't do without, and those that most want with it.
    pub(super) const fn relations(self) -> &'static str {
        match self {
            Package::Device => "Depends: systemd (>= 247), udev, e2fsprogs\nRecommends: tzdata\n",
            Package::Host => "Recommends: ca-certificates, e2fsprogs, openssh-client\n",
        }
    }

    /// Debian's section, for who uses it.
    pub(super) const fn section(self) -> &'static str {
        match self {
            Package::Device => "admin",
            Package::Host => "utils",
        }
    }

    /// What it is, in the form of a control file.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Package::Device => {
                "A/B updater for Raspberry Pi products\n \
                 Installs signed bundles into the slot that isn't running, tests the product's\n \
                 hardware, tries the new system once, and commits it or rolls back.\n \
                 .\n \
                 It is for devices with a card that bistable-image made. It also switches the\n \
                 hardware watchdog on."
            }
            Package::Host => {
                "builds and publishes releases of Raspberry Pi products\n \
                 Makes keys, builds signed bundles from root file systems, finished SD card\n \
                 images or containers, writes cards, and publishes releases with waves,\n \
                 gates and small updates in a folder or a bucket.\n \
                 .\n \
                 It is for the computers of developers and build servers. Devices have the\n \
                 package bistable."
            }
        }
    }

    /// The command line of the program in it.
    pub(super) fn command(self) -> Command {
        match self {
            Package::Device => device::command(),
            Package::Host => bistable_image::cli::Cli::command(),
        }
    }

    /// What its manual pages have beyond the command line.
    pub(super) const fn extra(self) -> &'static Extra<'static> {
        match self {
            Package::Device => &man::DEVICE,
            Package::Host => &manual::HOST,
        }
    }

    /// What the names of its pages of section 5 end with: both packages have the formats that releases carry, and no two packages may
    /// have a file of the same name. `man` takes `5image` as section 5.
    pub(super) const fn page_suffix(self) -> &'static str {
        match self {
            Package::Device => "",
            Package::Host => "image",
        }
    }
}
