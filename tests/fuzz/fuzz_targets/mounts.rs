//! Any text as `/proc/self/mountinfo`: a line is a mount or nothing, and a mount that is written as the kernel does is
//! read as the same.
#![no_main]
use bistable::board::pi::{DevNo, Mode, Mount, Mounts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mounts = Mounts::parse(text);
    let found: Vec<Mount> = text.lines().filter_map(Mount::parse).collect();
    for mount in &found {
        let (point, kind, source) = (escape(&mount.point), escape(&mount.kind), escape(&mount.source));
        let mode = if mount.mode == Mode::ReadWrite { "rw" } else { "ro" };
        let line = format!("36 35 {} / {point} {mode},x shared:1 - {kind} {source} ro", mount.dev);
        assert_eq!(Mount::parse(&line).as_ref(), Some(mount), "{line}");
        assert!(mounts.of(mount.dev).any(|other| other == mount));
    }
    assert_eq!(mounts.root(), found.iter().rfind(|mount| mount.point == "/"));
    let devices: Vec<DevNo> = found.iter().map(|mount| mount.dev).collect();
    let listed: usize = devices.iter().map(|dev| mounts.of(*dev).count()).sum();
    let same: usize = devices.iter().map(|dev| devices.iter().filter(|other| *other == dev).count()).sum();
    assert_eq!(listed, same);
    if let Some(dev) = devices.first() {
        assert!(mounts.points(*dev).is_some() && mounts.folder(*dev).is_some());
    }
});

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |out, c| match c {
        ' ' | '\t' | '\n' | '\\' => out + &format!("\\{:03o}", u32::from(c)),
        _ => out + c.encode_utf8(&mut [0; 4]),
    })
}
