//! What no other device has: the board's serial number, or else an id that is made of the system's.
use super::{PiError, Sysroot};
use bistable_format::Digest;

/// The firmware puts it there, for all models; it ends with a zero byte.
pub(super) const SERIAL: &str = "/proc/device-tree/serial-number";
/// An id of the installation, which must not leave the machine as it is: machine-id(5).
pub(super) const MACHINE_ID: &str = "/etc/machine-id";

/// What tells our id of a machine from that of other programs; a constant that was drawn once.
const APPLICATION: [u8; 16] = 0x9c1f_55d2_0b7a_4e83_a6d4_2f0e_7c38_91b5_u128.to_be_bytes();
/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// The serial number; on a board without one the machine's id, hashed. `None` if there is neither.
pub(super) fn of(sysroot: &Sysroot) -> Result<Option<String>, PiError> {
    let text = sysroot.text(SERIAL)?;
    let serial = text.as_deref().unwrap_or_default().trim_matches(['\0', '\n', ' ']);
    if !serial.is_empty() {
        return Ok(Some(serial.into()));
    }
    let machine = sysroot.text(MACHINE_ID)?.unwrap_or_default();
    Ok(machine_id(machine.trim()).map(|machine| format!("{:032x}", application_specific(machine))))
}

/// "uninitialized", and what no id looks like, is none.
fn machine_id(text: &str) -> Option<u128> {
    let fits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0)
}

/// What `sd_id128_get_machine_app_specific` makes of a machine's id for our constant: sd_id128_get_machine(3).
fn application_specific(machine: u128) -> u128 {
    let hash = hmac(&machine.to_be_bytes(), &APPLICATION);
    let mut id = [0; 16];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    // A UUID of version 4, variant 1.
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    u128::from_be_bytes(id)
}

/// HMAC-SHA-256 with a key that is shorter than a block: RFC 2104.
fn hmac(key: &[u8; 16], message: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = vec![pad; BLOCK];
        block.iter_mut().zip(key).for_each(|(to, from)| *to ^= from);
        block
    };
    let inner = Digest::of(&[padded(0x36).as_slice(), message].concat());
    Digest::of(&[padded(0x5c).as_slice(), &inner.0].concat()).0
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files of a test")]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_serial_number_goes_before_the_machines_id_and_that_is_hashed() {
        let root = tempfile::tempdir().unwrap();
        let sysroot = Sysroot::new(root.path());
        let put = |path: &str, text: &str| {
            let path = sysroot.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let id = || of(&sysroot).unwrap();
        assert_eq!(id(), None);
        for none in [
            "",
            "uninitialized\n",
            "00000000000000000000000000000000\n",
            "0123456789ABCDEF0123456789ABCDEF\n",
            "12\n",
        ] {
            put(MACHINE_ID, none);
            assert_eq!(id(), None, "{none}");
        }
        put(MACHINE_ID, "4be0643f1d98573b97cdca98a65347dd\n");
        put(SERIAL, "\0");
        let hashed = id().unwrap();
        assert!(!hashed.contains("4be0") && hashed.len() == 32, "{hashed}");
        put(MACHINE_ID, "4be0643f1d98573b97cdca98a65347de\n");
        assert_ne!(id(), Some(hashed));
        put(SERIAL, "10000000abcdef01\0");
        assert_eq!(id().as_deref(), Some("10000000abcdef01"));
    }

    #[test]
    fn hashes_are_those_of_another_implementation() {
        // Python's hmac.
        let hex: String = hmac(&[0x0b; 16], b"Hi There").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "492ce020fe2534a5789dc3848806c78f4f6711397f08e7e7a12ca5a4483c8aa6");
        assert_eq!(
            application_specific(0x4be0_643f_1d98_573b_97cd_ca98_a653_47dd),
            0xf2e6_6f44_2bf9_4d9a_ac01_4c8c_c26d_8e20
        );
    }
}
