//! What the pages of this program have beyond its command line.
use super::Extra;

/// Each exit code of this program, with what it means; one table for both programs is in `src/docs/cli.md`.
pub const EXIT_CODES: [(u8, &str); 9] = [
    (0, "done"),
    (1, "failed"),
    (2, "wrong usage"),
    (3, "nothing to do, or nothing there"),
    (5, "a signature or digest is wrong, or a repository is not the one seen before"),
    (6, "incompatible: parts don't fit together, or a newer Bistable is needed"),
    (7, "a device's self-test failed: only deploy"),
    (8, "a device's health check failed: only deploy"),
    (75, "try again later: a gate opens later, another program was faster, or a server can't be reached"),
];

const FILES: [(&str, &str); 5] = [
    ("NAME.key, NAME.pub", "secret and public half of a key; only its owner may read a secret key"),
    ("X.root", "a signed root: which keys may sign what"),
    (
        "~/.local/state/bistable-image",
        "what this computer remembers of repositories: their first root, and the highest number of each channel",
    ),
    (
        "~/.cache/bistable-image",
        "what import was answered and downloaded in part; may be deleted at any time",
    ),
    ("~/.local/share/bistable/repository", "the repository, if neither --repo nor BISTABLE_REPO names one"),
];

const ENVIRONMENT: [(&str, &str); 11] = [
    ("BISTABLE_REPO", "the repository, as --repo"),
    ("BISTABLE_ROOT", "the root, as --root; not of inspect"),
    ("BISTABLE_CHANNEL_KEY", "the key of verbs that sign channels, as --key"),
    ("BISTABLE_KEY_PASSPHRASE", "the passphrase of keys that have one; otherwise the terminal is asked"),
    ("BISTABLE_NEW_KEY_PASSPHRASE", "the passphrase of the copy that `key protect` makes"),
    ("BISTABLE_BY", "who does this, for the audit, as --by"),
    ("BISTABLE_STATE_DIR", "the folder in which this computer remembers repositories"),
    (
        "GITHUB_TOKEN, GH_TOKEN",
        "the token of import at GitHub, if --token-file is not given; sent to the API's address only",
    ),
    ("GITHUB_API_URL", "where GitHub's API is, as --api"),
    ("SOURCE_DATE_EPOCH", "the build time, in seconds since 1970"),
    ("AWS_*", "access to a repository at s3://"),
];

const EXAMPLES: [(&str, &str, &str); 30] = [
    ("bistable-image", "bistable-image key new --out release", "make a key"),
    (
        "bistable-image",
        "bistable-image build --product hub --version 1.0.0 --board pi4 --system rootfs.tar --boot boot --key release.key \
         --root root.root --out hub-1.0.0.bundle",
        "build a release",
    ),
    (
        "bistable-image",
        "bistable-image publish hub-1.0.0.bundle --key channel.key",
        "offer it in the channel staging",
    ),
    (
        "bistable-image",
        "bistable-image promote staging production 1.0.0 --waves 1%,10%@6h,100%@3d --key channel.key",
        "offer it to the fleet in three waves",
    ),
    (
        "bistable-image-key-new",
        "bistable-image key new --out demo --demo",
        "a key that devices in production refuse",
    ),
    (
        "bistable-image-root-new",
        "bistable-image root new --root-key a.pub --root-key b.pub --root-key c.pub --release-key release.pub \
         --channel-key channel.pub --sign a.key --sign b.key --out root.root",
        "two of three root keys sign the next root",
    ),
    (
        "bistable-image-build",
        "bistable-image build --product hub --version 1.1.0 --board pi4 --from-img raspios.img.xz --overlay overlay \
         --key release.key --root root.root --out hub-1.1.0.bundle",
        "from the image of a finished card",
    ),
    (
        "bistable-image-import",
        "bistable-image import github:acme/core --component core --product hub --board pi4 --key release.key --root root.root \
         --out core.bundle",
        "the newest version of a component, from its releases at GitHub",
    ),
    (
        "bistable-image-inspect",
        "bistable-image inspect hub-1.0.0.bundle --json",
        "what a file says, for a program",
    ),
    (
        "bistable-image-verify",
        "bistable-image verify hub-1.0.0.bundle --root root.root",
        "check every byte of a bundle",
    ),
    (
        "bistable-image-card",
        "bistable-image card --bundle hub-1.0.0.bundle --root root.root --size 4G --out card.img",
        "a card image for the factory",
    ),
    (
        "bistable-image-flash",
        "bistable-image flash --list",
        "which disks can be written, and why others can't",
    ),
    (
        "bistable-image-flash",
        "bistable-image flash card.img /dev/sdb",
        "write it onto a card, and read it back",
    ),
    (
        "bistable-image-deploy",
        "bistable-image deploy root@pi hub-1.1.0.bundle",
        "install it on one device, and wait for the verdict of its trial",
    ),
    (
        "bistable-image-deploy",
        "bistable-image deploy pi 1.1.0 --sudo --ssh-option ProxyJump=gate",
        "a version of the repository, as another user, through a gateway",
    ),
    (
        "bistable-image-delta",
        "bistable-image delta hub-1.1.0.bundle --from hub-1.0.0.bundle --key release.key --root root.root",
        "make a small update",
    ),
    ("bistable-image-deltas", "bistable-image deltas production", "which deltas are missing"),
    (
        "bistable-image-repo-init",
        "bistable-image repo init --repo s3://bucket/hub --root root.root",
        "make a repository in a bucket",
    ),
    (
        "bistable-image-repo-root",
        "bistable-image repo root 2.root",
        "publish the next root, unless it would leave devices without what is on offer",
    ),
    (
        "bistable-image-sign",
        "bistable-image sign hub-1.1.0.bundle --key release-2.key --root 2.root",
        "add the signature of a new key",
    ),
    (
        "bistable-image-publish",
        "bistable-image publish hub-1.1.0.bundle *.delta --require-deltas --key channel.key",
        "publish a release with its deltas",
    ),
    (
        "bistable-image-attest",
        "bistable-image attest staging 1.1.0 --kind tests-passed --key ci.key",
        "attest that the tests passed",
    ),
    (
        "bistable-image-rollout",
        "bistable-image rollout production 1.1.0 pause --key channel.key",
        "stop the waves where they are",
    ),
    (
        "bistable-image-withdraw",
        "bistable-image withdraw production 1.1.0 --reason fan-stops --key channel.key",
        "withdraw a bad release",
    ),
    (
        "bistable-image-retire",
        "bistable-image retire staging --keep 5 --key channel.key",
        "offer only the newest five of each image and component",
    ),
    ("bistable-image-search", "bistable-image search --board pi4 --since 2026-11-01", "find releases"),
    ("bistable-image-fsck", "bistable-image fsck --deep --repair", "check and repair a repository"),
    (
        "bistable-image-prune",
        "bistable-image prune --keep 5 --older-than 90d -n --key channel.key",
        "report what would be deleted",
    ),
    (
        "bistable-image-metrics",
        "bistable-image metrics --textfile /var/lib/prometheus/node-exporter/repository.prom --max-size 50G",
        "a file for node-exporter",
    ),
    ("bistable-image-sync", "bistable-image sync --everything /media/stick", "mirror a repository"),
];

/// What the pages of this program have beyond its command line.
pub const HOST: Extra<'static> = Extra {
    exit_codes: &EXIT_CODES,
    files: &FILES,
    environment: &ENVIRONMENT,
    examples: &EXAMPLES,
    see_also: "bistable-image(1), bistable(1), bistable-self-test.toml(5), bistable-health.toml(5)",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn each_exit_code_of_the_program_is_listed() {
        assert_eq!(EXIT_CODES.map(|(code, _)| code), Exit::ALL.map(|exit| exit as u8));
    }
}
