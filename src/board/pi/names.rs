//! Boards' names: from the device tree's words to those of releases.

/// How releases name the board that is compatible with these, the most specific first; `None` for none of ours.
///
/// The words are those of Linux' device trees for Raspberry Pi (`raspberrypi,<model>`).
pub(super) fn board(compatible: &[String]) -> Option<&'static str> {
    compatible.iter().find_map(|name| model(name.strip_prefix("raspberrypi,")?))
}

// Longer beginnings before shorter ones.
const MODELS: [(&str, &str); 22] = [
    ("5-model-b", "pi5"),
    ("5-compute-module", "pi5"),
    ("500", "pi5"),
    ("4-model-b", "pi4"),
    ("4-compute-module", "pi4"),
    ("400", "pi4"),
    ("3-model-a-plus", "pi3"),
    ("3-model-b", "pi3"),
    ("3-compute-module", "pi3"),
    ("2-model-b-rev2", "pi2"),
    ("2-model-b", "pi2"),
    ("model-zero-2", "pizero2"),
    ("model-zero", "pizero"),
    ("zero-2", "pizero2"),
    ("zero", "pizero"),
    ("compute-module", "pi1"),
    ("model-a-plus", "pi1"),
    ("model-a", "pi1"),
    ("model-b-plus", "pi1"),
    ("model-b-i2c0", "pi1"),
    ("model-b-rev2", "pi1"),
    ("model-b", "pi1"),
];

fn model(model: &str) -> Option<&'static str> {
    MODELS.iter().find(|(begins, _)| model.starts_with(begins)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host says of others that no device takes their name by itself.
    #[test]
    fn the_host_knows_the_same_boards() {
        let known = bistable_format::name::BOARDS;
        let ours: std::collections::BTreeSet<_> = MODELS.iter().map(|(_, name)| *name).collect();
        assert_eq!(ours.into_iter().collect::<Vec<_>>(), known);
    }

    #[test]
    fn boards_as_linux_and_the_firmware_name_them() {
        #[rustfmt::skip]
        let table = [
            ("raspberrypi,5-model-b,brcm,bcm2712", Some("pi5")),
            ("raspberrypi,500", Some("pi5")),
            ("raspberrypi,5-compute-module", Some("pi5")),
            ("raspberrypi,5-compute-module-cm5lite", Some("pi5")),
            ("raspberrypi,4-model-b", Some("pi4")),
            ("raspberrypi,400", Some("pi4")),
            ("raspberrypi,4-compute-module", Some("pi4")),
            ("raspberrypi,4-compute-module-s", Some("pi4")),
            ("raspberrypi,3-model-b", Some("pi3")),
            ("raspberrypi,3-model-b-plus", Some("pi3")),
            ("raspberrypi,3-model-a-plus", Some("pi3")),
            ("raspberrypi,3-compute-module-lite", Some("pi3")),
            ("raspberrypi,model-zero-2-w", Some("pizero2")),
            ("raspberrypi,model-zero-w", Some("pizero")),
            ("raspberrypi,model-zero", Some("pizero")),
            ("raspberrypi,2-model-b", Some("pi2")),
            ("raspberrypi,2-model-b-rev2", Some("pi2")),
            ("raspberrypi,model-b-rev2", Some("pi1")),
            ("raspberrypi,compute-module", Some("pi1")),
            ("raspberrypi,6-model-b", None),
            ("linux,dummy-virt", None),
            ("brcm,bcm2711", None),
            ("", None),
        ];
        for (compatible, name) in table {
            assert_eq!(board(&[compatible.to_owned()]), name, "{compatible}");
        }
        let several = ["raspberrypi,9-new", "raspberrypi,4-model-b", "brcm,bcm2711"].map(str::to_owned);
        assert_eq!(board(&several), Some("pi4"), "the first that is known");
    }
}
