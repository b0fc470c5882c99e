//! Architectures, and what each is built with.
use clap::ValueEnum;

/// Machines that a package is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// 64-bit systems: Pi 3, 4, 5, Zero 2
    Arm64,
    /// 32-bit systems on ARMv7: Pi 2, 3, 4
    Armhf,
    /// 32-bit systems on any Pi, also Pi 1 and Zero
    Armv6,
    /// A PC, for tests
    Amd64,
}

impl Arch {
    /// All.
    pub const ALL: [Arch; 4] = [Arch::Arm64, Arch::Armhf, Arch::Armv6, Arch::Amd64];

    /// As it is typed, and as the package's file is named.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::Arm64 => "arm64",
            Arch::Armhf => "armhf",
            Arch::Armv6 => "armv6",
            Arch::Amd64 => "amd64",
        }
    }

    /// What dpkg calls it. Raspberry Pi OS calls both 32-bit ones armhf; Debian's own armhf is ARMv7.
    pub const fn debian(self) -> &'static str {
        match self {
            Arch::Arm64 => "arm64",
            Arch::Armhf | Arch::Armv6 => "armhf",
            Arch::Amd64 => "amd64",
        }
    }

    /// Rust's name. A static program doesn't care for the system's C library, so each is what links statically with the
    /// fewest parts: musl where Rust brings it, else glibc. For ARMv6 that is Debian's armel, whose C library is built
    /// for ARMv5; Debian's armhf would put ARMv7 code into it. It passes floats in integer registers, which costs
    /// nothing where there are none.
    pub const fn target(self) -> &'static str {
        match self {
            Arch::Arm64 => "aarch64-unknown-linux-musl",
            Arch::Armhf => "armv7-unknown-linux-gnueabihf",
            Arch::Armv6 => "arm-unknown-linux-gnueabi",
            Arch::Amd64 => "x86_64-unknown-linux-musl",
        }
    }

    /// The compiler for what is in C.
    pub const fn cc(self) -> &'static str {
        match self {
            Arch::Arm64 => "aarch64-linux-gnu-gcc",
            Arch::Armhf => "arm-linux-gnueabihf-gcc",
            Arch::Armv6 => "arm-linux-gnueabi-gcc",
            Arch::Amd64 => "x86_64-linux-gnu-gcc",
        }
    }

    /// Debian packages with that compiler.
    pub const fn packages(self) -> &'static [&'static str] {
        match self {
            Arch::Arm64 => &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
            Arch::Armhf => &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"],
            Arch::Armv6 => &["gcc-arm-linux-gnueabi", "libc6-dev-armel-cross"],
            Arch::Amd64 => &["gcc", "libc6-dev"],
        }
    }

    /// What links: Rust's own linker with Rust's own musl, or the C compiler with Debian's glibc.
    pub const fn linker(self) -> &'static str {
        match self {
            Arch::Arm64 | Arch::Amd64 => "rust-lld",
            Arch::Armhf | Arch::Armv6 => self.cc(),
        }
    }

    /// Flags for what is in C.
    pub const fn c_flags(self) -> &'static str {
        match self {
            Arch::Armv6 => "-march=armv6 -marm",
            Arch::Arm64 | Arch::Armhf | Arch::Amd64 => "",
        }
    }
}
