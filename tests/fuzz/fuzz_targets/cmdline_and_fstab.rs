//! Any text as an image's kernel command line and as its `/etc/fstab`: what is made of it names the slot's own volumes
//! and is left alone the second time.
#![no_main]
use bistable_boot::Slot;
use bistable_image::disk::fuzz::{command_lines, fstab};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = command_lines(text);
    for (slot, own) in [(Slot::A, "root=PARTLABEL=system_a"), (Slot::B, "root=PARTLABEL=system_b")] {
        let line = &lines[slot];
        assert_eq!(line.matches('\n').count(), 1, "the firmware reads one line");
        assert!(line.ends_with('\n'));
        let roots: Vec<&str> = line.split_whitespace().filter(|word| word.starts_with("root=")).collect();
        assert_eq!(roots, [own]);
        assert!(line.split_whitespace().any(|word| word.starts_with("panic=")), "a panic would hang: {line}");
        assert_eq!(command_lines(line), lines);
        // What a person wrote and isn't ours stays, in its order.
        let first = text.lines().next().unwrap_or_default();
        let mut kept = line.split_whitespace();
        for word in first.split_whitespace().filter(|word| word.starts_with("console=")) {
            assert!(kept.any(|other| other == word), "{word} is gone from {line}");
        }
    }

    for has_unit in [false, true] {
        let (made, notes) = fstab(text, has_unit);
        assert_eq!(fstab(&made, has_unit), (made.clone(), notes.clone()));
        let (before, after) = (text.lines().count(), made.lines().count());
        assert!(after == before || (!has_unit && after == before + 1));
        for (old, new) in text.lines().zip(made.lines()) {
            let old = old.trim_end_matches('\r');
            let mut fields = new.split_whitespace();
            let (spec, at) = (fields.next().unwrap_or_default(), fields.next());
            let by_id = ["UUID=", "PARTUUID=", "LABEL=", "PARTLABEL="].iter().any(|id| spec.starts_with(id));
            assert!(at != Some("/") || !by_id || fields.next().is_none(), "{old} became {new}");
            assert!(old == new || spec.starts_with("/dev/disk/by-slot/active/"), "{old} became {new}");
        }
        assert!(has_unit || made.lines().any(|line| line.split_whitespace().nth(1) == Some("/persistent")));
        assert!(notes.len() <= before && notes.iter().all(|note| !note.contains('\n')));
    }
});
