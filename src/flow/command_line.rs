//! What U-Boot's script tells the system that it starts, on the kernel's command line.
use crate::text::shorten;
use bistable_boot::Slot;

/// The slot that U-Boot booted, if it was U-Boot. Both words have to be there, once, and make sense.
///
/// # Errors
/// The words, if they make no sense.
pub fn slot(line: &str) -> Result<Option<Slot>, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().filter(|w| w.starts_with("bistable.")).collect();
    let values = |key: &str| -> Vec<&str> { words.iter().filter_map(|w| w.strip_prefix(key)).collect() };
    let slots = values("bistable.slot=");
    let trials = values("bistable.trial=");
    match (slots.as_slice(), trials.as_slice()) {
        ([], []) => Ok(None),
        (["A"], ["0" | "1"]) => Ok(Some(Slot::A)),
        (["B"], ["0" | "1"]) => Ok(Some(Slot::B)),
        _ => Err(shorten(&words.join(" "), 100)),
    }
}

#[cfg(test)]
mod tests {
    use bistable_boot::Slot;

    #[test]
    fn what_uboot_says() {
        #[rustfmt::skip]
        let good = [
            ("", None),
            ("console=ttyS1 root=PARTLABEL=system_a quiet\n", None),
            ("root=x bistable.slot=A bistable.trial=0 quiet", Some(Slot::A)),
            ("bistable.trial=1 bistable.slot=B\n", Some(Slot::B)),
            ("xbistable.slot=C", None),
        ];
        for (line, slot) in good {
            assert_eq!(super::slot(line).unwrap(), slot, "{line}");
        }
        for line in [
            "bistable.slot=A",
            "bistable.trial=0",
            "bistable.slot=a bistable.trial=0",
            "bistable.slot=C bistable.trial=0",
            "bistable.slot= bistable.trial=0",
            "bistable.slot=A bistable.trial=2",
            "bistable.slot=A bistable.slot=B bistable.trial=0",
            "bistable.slot=A bistable.trial=0 bistable.trial=1",
        ] {
            assert!(super::slot(line).is_err(), "{line}");
        }
    }
}
