//! The plan: each crate's rooms in layers, the lowest first. A room uses rooms of its own layer and of lower ones. A new room
//! needs a word here, and a layer where it belongs.

/// One crate.
pub(crate) struct Plan {
    /// Its sources.
    pub(crate) folder: &'static str,
    /// Its rooms, the lowest layer first.
    pub(crate) layers: &'static [&'static str],
    /// Circles and upward arrows that are still there. What isn't any more has to go from here, too.
    pub(crate) left: &'static [&'static str],
}

/// All crates.
pub(crate) const HOUSE: &[Plan] = &[
    Plan {
        folder: "boot/src",
        layers: &[
            "blocks checksum extension flow slot",
            "autoboot bootblock contract fat layout target",
            "attempt",
            "event history now saved",
            "record",
            "durable floors",
            "journal",
            "component",
        ],
        left: &[],
    },
    Plan {
        folder: "image-tools/format/src",
        layers: &[
            "digest exposition failure help limits open text",
            "extensions json key name version",
            "answer artifact envelope",
            "chunklist content progress trust",
            "bound head selftest constraints",
            "configuration health root rollout",
            "release wiring",
            "channel compat compose resolve",
            "attestation chain choice delta freshness",
            "bundle",
            "archive repository tag webhook",
        ],
        left: &[],
    },
    Plan {
        folder: "src",
        layers: &[
            "aligned date dial ports progress text",
            "clock config http_client logging",
            "fleet_lock flow source teardown",
            "durable",
            "board",
            "device error",
            "steps",
            "component",
            "event offer status",
            "agent",
            "events",
            "metrics notify",
            "app",
            "serve",
            "daemon",
            "cli cmd",
            "main",
        ],
        left: &[],
    },
    Plan {
        folder: "image-tools/src",
        layers: &[
            "clock interrupt parallel progress sbom size zero",
            "output",
            "keys",
            "root",
            "volume",
            "archive disk oci",
            "fetch",
            "build",
            "bundle",
            "verify",
            "delta",
            "card deploy flash inspect repository sign",
            "error",
            "answer manual",
            "cmd",
            "cli",
            "main",
        ],
        left: &[],
    },
    Plan {
        folder: "image-tools/package/src",
        layers: &["arch device entry man", "elf package", "docs tools", "build tree", "deb", "main"],
        left: &[],
    },
    Plan {
        folder: "tests/kit/src",
        layers: &[
            "command_line dice disk_log flow hex ledger product program put web_server",
            "github registry tree",
            "fat",
        ],
        left: &[],
    },
    Plan { folder: "tests/proof/src", layers: &["model prove", "main"], left: &[] },
    Plan {
        folder: "tests/real/src",
        layers: &["claim tools", "card debian meter", "report workdir", "build proof race update", "main"],
        left: &[],
    },
    Plan { folder: "hil/src", layers: &["demo run", "main"], left: &[] },
];
