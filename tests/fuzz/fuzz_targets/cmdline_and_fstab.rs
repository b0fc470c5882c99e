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
        let words = parameters(line);
        let roots: Vec<&&str> = words.iter().filter(|word| word.starts_with("root=")).collect();
        assert_eq!(roots, [&own]);
        assert!(words.iter().any(|word| word.starts_with("panic=")), "a panic would hang: {line}");
        assert_eq!(command_lines(line), lines);
        // What a person wrote and isn't ours stays, in its order.
        let first = text.lines().next().unwrap_or_default();
        let mut kept = words.iter();
        for word in parameters(first).iter().filter(|word| word.starts_with("console=")) {
            // An open quote was closed.
            assert!(kept.any(|other| other.trim_end_matches('"') == word.trim_end_matches('"')), "{word} is gone from {line}");
        }
    }

    for has_unit in [false, true] {
        let (made, notes) = fstab(text, has_unit);
        // What was taken out is told once.
        let stay = notes.iter().filter(|note| !note.starts_with("took ")).cloned().collect();
        assert_eq!(fstab(&made, has_unit), (made.clone(), stay));
        let (before, after) = (text.lines().count(), made.lines().count());
        assert!(after == before || (!has_unit && after == before + 1));
        for (old, new) in text.lines().zip(made.lines()) {
            let old = old.trim_end_matches('\r');
            let mut fields = new.split_whitespace();
            let (spec, at) = (fields.next().unwrap_or_default(), fields.next());
            let by_id = ["UUID=", "PARTUUID=", "LABEL=", "PARTLABEL="].iter().any(|id| spec.starts_with(id));
            assert!(at != Some("/") || !by_id || fields.next().is_none(), "{old} became {new}");
            let is_out = new.strip_prefix("# On the image's card: ") == Some(old);
            assert!(old == new || is_out || spec.starts_with("/dev/disk/by-slot/active/"), "{old} became {new}");
        }
        assert!(has_unit || made.lines().any(|line| line.split_whitespace().nth(1) == Some("/persistent")));
        assert!(notes.len() <= before && notes.iter().all(|note| !note.contains('\n')));
    }
});

/// The kernel's own way through its command line (`next_arg` in lib/cmdline.c), without what it takes for blanks, and without the
/// quote that a parameter begins with.
fn parameters(line: &str) -> Vec<&str> {
    let blank = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{a0}'];
    let (mut found, mut rest) = (Vec::new(), line.trim_start_matches(blank));
    while !rest.is_empty() {
        let mut in_quotes = false;
        let end = rest.find(|c| {
            in_quotes ^= c == '"';
            !in_quotes && blank.contains(&c)
        });
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        found.push(word.strip_prefix('"').unwrap_or(word));
        rest = after.trim_start_matches(blank);
    }
    found
}
