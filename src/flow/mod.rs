//! The boot flow: how the default slot is stored and one boot is tried, by boot loader.
//!
//! | file | noun |
//! |---|---|
//! | `boot_flag` | the flag of the Raspberry Pi's firmware: `autoboot.txt` |
//! | `tryboot` | the boot control that uses it |
//! | `uboot` | the boot control of U-Boot's boot block |
//! | `sector` | one sector, durable and read back |
//! | `command_line` | which slot U-Boot's script says that it booted |
pub mod boot_flag;
pub mod command_line;
mod sector;
pub mod tryboot;
pub mod uboot;
