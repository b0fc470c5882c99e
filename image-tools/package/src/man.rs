//! What the manual pages of the device's program have beyond its command line: exit codes, files and examples, and the page of
//! the configuration.
use bistable_image::manual::Extra;

/// Exit codes of the device's program, as in `src/docs/cli.md`; a test holds them against the code.
const EXIT_CODES: [(u8, &str); 10] = [
    (0, "done"),
    (1, "failed"),
    (2, "wrong usage"),
    (3, "nothing to do"),
    (4, "a reboot took place or is needed; only with --reboot-exit-code"),
    (5, "a signature or digest is wrong, or a channel number was signed twice (equivocation)"),
    (6, "incompatible: the release may not go onto this device, or a newer Bistable is needed"),
    (7, "a self-test failed"),
    (8, "the health check failed"),
    (75, "try again later: card in use, repository incomplete, channel or root expired, reboot refused"),
];

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

/// Calls worth showing, by the verb's name.
const EXAMPLES: [(&str, &str, &str); 16] = [
    ("bistable", "bistable status", "show both slots and what to do next"),
    ("bistable", "bistable update hub-1.1.0.bundle", "install, test, and reboot into the trial"),
    ("bistable-status", "bistable --json status", "the same for a program"),
    ("bistable-events", "bistable events --type 'rollback.*'", "when this device went back, and why"),
    ("bistable-events", "bistable events --follow --format json", "events for a program, as they come"),
    ("bistable-check", "bistable check --channel staging", "what another channel has on offer"),
    ("bistable-install", "bistable install https://example.org/hub-1.1.0.bundle", "write while downloading"),
    ("bistable-install", "bistable install -n hub-1.1.0.bundle", "verify and check only"),
    ("bistable-update", "bistable update", "take what the channel offers"),
    ("bistable-update", "bistable update 1.1.0 --retry-rejected", "a version that failed here before"),
    ("bistable-self-test", "bistable self-test", "run the plan as a report"),
    ("bistable-health", "bistable health", "run the checks as a report"),
    ("bistable-arm", "bistable arm && bistable reboot", "try the staged release"),
    ("bistable-revert", "bistable revert", "give up the update, or return to the other slot's release"),
    (
        "bistable-repair",
        "bistable repair --release hub-1.0.0.bundle",
        "after the loss of the partition state",
    ),
    ("bistable-config", "bistable config check", "report errors in the configuration"),
];

/// What the pages of the device's program have beyond its command line.
pub(super) const DEVICE: Extra<'static> = Extra {
    exit_codes: &EXIT_CODES,
    files: &FILES,
    environment: &[],
    examples: &EXAMPLES,
    see_also: "bistable(1), bistable-config(5), bistable-self-test.toml(5), bistable-health.toml(5)",
};

/// The pages of the device's own files: name, one line on it, and the project's page from which it is made.
pub(super) const FILE_PAGES: [(&str, &str, &str); 3] = [
    (
        "bistable-config",
        "configuration of the update agent",
        include_str!("../../../src/docs/configuration.md"),
    ),
    ("bistable-events", "the event log and its types", include_str!("../../../src/docs/events.md")),
    ("bistable-api", "the API of the daemon", include_str!("../../../src/docs/api.md")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use bistable::error::Exit;

    #[test]
    fn every_exit_code_of_the_program_is_listed() {
        let all = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NothingToDo,
            Exit::RebootNeeded,
            Exit::Untrusted,
            Exit::Incompatible,
            Exit::SelfTest,
            Exit::Health,
            Exit::TryLater,
        ];
        assert_eq!(EXIT_CODES.map(|(code, _)| code), all.map(Exit::code));
    }
}
