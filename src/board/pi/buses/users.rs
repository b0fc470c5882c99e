//! Who else uses a serial port. Root may open what others hold exclusively, so the system's refusal isn't enough: a
//! login on the port would take the test's bytes for a user name.
use std::path::Path;

/// The kernel's console, or a process that has the device open; `None` if no user is known.
pub(super) fn of(device: &Path) -> Option<String> {
    let name = device.strip_prefix("/dev").ok()?.to_string_lossy().into_owned();
    let consoles = std::fs::read_to_string("/proc/consoles").unwrap_or_default();
    if is_console(&consoles, &name) {
        return Some("the kernel's console (console= in cmdline.txt)".into());
    }
    process(Path::new("/proc"), device, std::process::id())
}

/// Whether a device is listed in the text of `/proc/consoles`: `ttyS1  -W- (EC p a)  4:65`, one console a line.
fn is_console(consoles: &str, name: &str) -> bool {
    consoles.lines().any(|line| line.split_whitespace().next() == Some(name))
}

/// A process other than `me` that has a file open. Those of other users only root can see.
fn process(proc: &Path, device: &Path, me: u32) -> Option<String> {
    for entry in std::fs::read_dir(proc).ok()?.filter_map(Result::ok) {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(files) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        if id == me {
            continue;
        }
        let mut targets = files.filter_map(|f| std::fs::read_link(f.ok()?.path()).ok());
        if targets.any(|target| target == device) {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", name.trim()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn consoles() {
        let text = "tty0                 -WU (EC    )    4:1\nttyS1                -W- (EC p a)    4:65\n";
        assert!(is_console(text, "ttyS1") && is_console(text, "tty0"));
        assert!(!is_console(text, "ttyS") && !is_console(text, "-WU") && !is_console("", "ttyS1"));
    }

    #[test]
    fn processes() {
        let proc = tempfile::tempdir().unwrap();
        for (id, name, file) in
            [("17", "agetty", "/dev/ttyS1"), ("18", "bistable", "/dev/ttyS2"), ("x", "no", "/dev/ttyS3")]
        {
            let fd = proc.path().join(id).join("fd");
            std::fs::create_dir_all(&fd).unwrap();
            symlink(file, fd.join("0")).unwrap();
            crate::durable::write(&proc.path().join(id).join("comm"), format!("{name}\n").as_bytes())
                .unwrap();
        }
        let user = |device: &str| process(proc.path(), Path::new(device), 18);
        assert_eq!(user("/dev/ttyS1").as_deref(), Some("agetty (process 17)"));
        assert_eq!((user("/dev/ttyS2"), user("/dev/ttyS3"), user("/dev/ttyS")), (None, None, None));
    }
}
