//! What machine a program is for, by the first bytes of its ELF file.
use super::Arch;

/// Width of addresses (`EI_CLASS`), and order of bytes (`EI_DATA`).
const CLASS: usize = 4;
const DATA: usize = 5;
const LITTLE_ENDIAN: u8 = 1;
/// `e_type`, and `ET_DYN` in it.
const TYPE: usize = 16;
const DYNAMIC: u8 = 3;
/// `e_machine`.
const MACHINE: usize = 18;

/// Why a program can't be in a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ElfError {
    /// It has no ELF header.
    #[error("it is not a program for Linux: it has no ELF header")]
    NotElf,
    /// It is for another machine.
    #[error("it is a program for {found}, and the package is for {wanted}: build it for {target}", target = .wanted.target(), wanted = .wanted.name())]
    Machine {
        /// What it is for.
        found: String,
        /// What the package is for.
        wanted: Arch,
    },
}

/// Whether a program is one for this machine. The 32-bit ones can't be told apart by their header.
///
/// # Errors
/// See [`ElfError`].
pub(super) fn check(program: &[u8], wanted: Arch) -> Result<(), ElfError> {
    let byte = |at: usize| program.get(at).copied().unwrap_or_default();
    if !program.starts_with(b"\x7fELF") || program.len() < MACHINE + 2 {
        return Err(ElfError::NotElf);
    }
    let found = (byte(CLASS), byte(DATA), u16::from_le_bytes([byte(MACHINE), byte(MACHINE + 1)]));
    let (class, machine) = header(wanted);
    if found == (class, LITTLE_ENDIAN, machine) {
        return Ok(());
    }
    let same = |arch: &Arch| (found.0, found.2) == header(*arch) && found.1 == LITTLE_ENDIAN;
    let found = match Arch::ALL.into_iter().find(same) {
        Some(arch) => arch.name().to_owned(),
        None => format!("machine {} (ELF)", found.2),
    };
    Err(ElfError::Machine { found, wanted })
}

/// Whether a program can lie anywhere in memory.
pub(super) fn is_position_independent(program: &[u8]) -> bool {
    program.get(TYPE) == Some(&DYNAMIC)
}

/// Class and machine (elf.h).
const fn header(arch: Arch) -> (u8, u16) {
    match arch {
        Arch::Arm64 => (2, 183),
        Arch::Armhf | Arch::Armv6 => (1, 40),
        Arch::Amd64 => (2, 62),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(class: u8, data: u8, machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.resize(64, 0);
        bytes[CLASS] = class;
        bytes[DATA] = data;
        bytes[MACHINE..MACHINE + 2].copy_from_slice(&machine.to_le_bytes());
        bytes
    }

    #[test]
    fn only_a_program_for_the_packages_machine_is_taken() {
        for wanted in Arch::ALL {
            for is in Arch::ALL {
                let (class, machine) = header(is);
                let result = check(&program(class, 1, machine), wanted);
                assert_eq!(result.is_ok(), header(is) == header(wanted), "{is:?} for {wanted:?}");
            }
        }
        let said = |class, data, machine| {
            check(&program(class, data, machine), Arch::Arm64).unwrap_err().to_string()
        };
        assert_eq!(
            said(2, 1, 62),
            "it is a program for amd64, and the package is for arm64: build it for aarch64-unknown-linux-musl"
        );
        // Big-endian, x32, and RISC-V.
        for (class, data, machine) in [(2, 2, 183), (1, 1, 62), (2, 1, 243)] {
            assert!(said(class, data, machine).contains("(ELF)"));
        }
    }

    #[test]
    fn a_script_or_half_a_header_is_no_program() {
        for bytes in [&b"#!/bin/sh\n"[..], b"", b"\x7fELF\x02\x01"] {
            assert_eq!(check(bytes, Arch::Amd64), Err(ElfError::NotElf));
        }
    }
}
