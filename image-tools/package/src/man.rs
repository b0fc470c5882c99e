//! What the manual pages of the device's program have beyond its command line and its help's own tables: files, and the page of
//! the configuration.
use bistable::cli::{EXAMPLES, EXIT_CODES};
use bistable_image::manual::Extra;

const FILES: [(&str, &str); 7] = [
    ("/etc/bistable/config.d/*.toml", "configuration: see bistable-config(5)"),
    (
        "/etc/bistable/self-test.toml",
        "self-test plan instead of the release's: see bistable-self-test.toml(5)",
    ),
    ("/etc/bistable/health.toml", "health profile instead of the release's: see bistable-health.toml(5)"),
    ("/etc/bistable/check/required.d, wanted.d", "the operator's health checks"),
    ("/usr/share/bistable/root.root", "the root of trust that the image carries"),
    ("/persistent/bistable/events", "event log: see bistable-events(5)"),
    ("/dev/disk/by-slot/", "links to the volumes of the active and the other slot"),
];

/// What the pages of the device's program have beyond its command line.
pub(super) const DEVICE: Extra<'static> = Extra {
    exit_codes: &EXIT_CODES,
    files: &FILES,
    environment: &[],
    examples: EXAMPLES,
    see_also: "bistable(1), bistable-config(5), bistable-self-test.toml(5), bistable-health.toml(5)",
};

/// The pages of the device's own files: name, one line on it, and the project's page from which it is made.
pub(super) const FILE_PAGES: [(&str, &str, &str); 6] = [
    (
        "bistable-config",
        "configuration of the update agent",
        include_str!("../../../src/docs/configuration.md"),
    ),
    ("bistable-events", "the event log and its types", include_str!("../../../src/docs/events.md")),
    ("bistable-api", "the API of the daemon", include_str!("../../../src/docs/api.md")),
    ("bistable-metrics", "what a device measures of itself", include_str!("../../../src/docs/metrics.md")),
    (
        "bistable-notify",
        "webhooks, hooks and push gateway of the daemon",
        include_str!("../../../src/docs/notify.md"),
    ),
    ("bistable-web-page", "the web page and its tokens", include_str!("../../../src/docs/web.md")),
];
