//! What `tests/fuzz` asks of this board.
use super::{Booted, DeviceTree, Firmware, PiError, Sysroot};

/// What a device tree says, as far as it says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What the machine is compatible with.
    pub compatible: Vec<String>,
    /// How releases name it.
    pub board: Option<&'static str>,
    /// The partition that was booted.
    pub partition: Option<u32>,
    /// The slot that was booted, and how.
    pub booted: Option<Booted>,
    /// Whether slots can be switched: a remark, or why not.
    pub support: Result<String, String>,
}

/// Read the device tree, and what is judged by it.
///
/// # Errors
/// When there is none.
pub fn device_tree(sysroot: &Sysroot) -> Result<Told, PiError> {
    let tree = DeviceTree::of(sysroot)?;
    let support = Firmware::read(sysroot, &tree).map_err(|e| e.to_string());
    Ok(Told {
        compatible: tree.compatible()?,
        board: tree.board().ok(),
        partition: tree.partition().ok(),
        booted: Booted::read(sysroot, &tree).ok(),
        support: support.and_then(|f| f.support().map(|s| format!("{s:?}")).map_err(|e| e.to_string())),
    })
}
