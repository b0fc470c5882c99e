//! A company's life as `releasing.md` tells it: each of its command blocks runs as it stands there, in order, and after it a
//! device still updates and a thief's work is refused.
//!
//! The device is the quick start's: `bistable` on a simulated card, which follows the channel production of the page's repository.
use super::{Page, run};
use std::fmt::Write as _;

/// The page.
pub(super) const PAGE: &str = "image-tools/docs/releasing.md";

/// What the company's build server, its device and thieves do between the page's blocks.
const TOOLS: &str = r#"
# Ends with that exit code.
ends() { want=$1; shift; code=0; "$@" || code=$?; test $code = $want; }

# The device runs that version, and nothing is in flight.
runs() {
    status=$(bistable status --json | tr -d ' \n')
    slot=$(echo "$status" | sed 's/.*"booted":"\([AB]\)".*/\1/' | tr AB ab)
    echo "$status" | grep -q '"state":"idle"'
    echo "$status" | grep -q "\"$slot\":{\"version\":\"$1\","
}

# The device follows the channel production to that version.
takes() {
    bistable update --source "$PWD/repo" --channel production
    bistable resume
    runs $1
}

# A bundle of that version, signed with these keys.
build() {
    version=$1; shift
    keys=$(for key in $*; do echo "--key $key.key"; done)
    echo $version > system/etc/hub-version
    bistable-image build --product hub --version $version --board pi4 --system system --boot boot --security-version 1 \
        $keys --out hub-$version.bundle
}

# Publish it, and promote it past the gate.
offer() {
    bistable-image publish hub-$1.bundle
    bistable-image attest staging $1 --kind tests-passed --key bench.key
    bistable-image promote staging production $1
}

release() { build "$@"; offer $1; takes $1; }

# On the thief's computer, which has no memory of the repository, with a copy of it and the keys that were stolen.
thief() {
    BISTABLE_STATE_DIR=$PWD/thief-state BISTABLE_BY=thief BISTABLE_REPO=$PWD/thief BISTABLE_ROOT=$PWD/root.root bistable-image "$@"
}
copy() { rm -rf thief thief-state; cp -a repo thief; }
"#;

/// What follows the blocks below a heading of the page.
const THEN: &[(&str, &str)] = &[
    (
        "Elsewhere: a mirror, a USB stick, a page",
        r#"
build 1.4.0 release
bistable-image delta --from hub-1.3.0.bundle hub-1.4.0.bundle --key release.key
bistable-image publish hub-1.4.0.bundle hub-1.4.0-from-1.3.0.delta
offer 1.4.0
takes 1.4.0
"#,
    ),
    (
        "The release key changes",
        r#"
# What was on offer is taken from its new signatures, as the same release.
ends 3 bistable update --source "$PWD/repo" --channel production
# The delta that only the old key signed comes back with both signatures.
grep "note: deltas to releases on offer" needed.txt
bistable-image show 1.4.0 | grep "deltas  *none"
bistable-image fsck --deep --repair
bistable-image sign hub-1.4.0-from-1.3.0.delta --key release-2.key
bistable-image publish hub-1.4.0.bundle hub-1.4.0-from-1.3.0.delta
bistable-image show 1.4.0 | grep "deltas .* from 1.3.0"
release 1.5.0 release-2
# The old key signs nothing any more: neither for the repository nor for a device.
ends 5 build 6.6.6 release
bistable-image build --product hub --version 6.6.6 --board pi4 --system system --boot boot --security-version 1 \
    --key release.key --root root.root --out old.bundle
ends 5 bistable-image publish old.bundle
ends 5 bistable update old.bundle
runs 1.5.0
"#,
    ),
    (
        "The release key is lost",
        r"
release 1.6.0 release-3
cp release-3.key stolen.key
",
    ),
    (
        "The release key is stolen",
        r#"
# Whatever the thief signs, a device that has followed the root refuses: as a file, and offered with a key for channels.
ends 3 bistable update --source "$PWD/repo" --channel production
bistable-image build --product hub --version 6.6.7 --board pi4 --system system --boot boot --security-version 1 \
    --key stolen.key --root 3.root --out evil.bundle
ends 5 bistable update evil.bundle
ends 5 bistable-image publish evil.bundle
runs 1.6.0
release 1.7.0 release-4
"#,
    ),
    (
        "The channel key changes",
        r"
release 1.8.0 release-4
ends 5 bistable-image channel refresh production --key channel.key
",
    ),
    (
        "The channel key is lost",
        r#"
release 1.9.0 release-4
# A thief signs the next number, shows it to a device, and writes it into the repository.
cp channel-3.key stolen-channel.key
copy
thief channel refresh production --key stolen-channel.key
ends 3 bistable update --source "$PWD/thief" --channel production
newest=$(ls thief/channels/production | grep channel | tail -n 1)
test ! -e repo/channels/production/$newest
cp thief/channels/production/$newest repo/channels/production/
# What the page says about that.
bistable-image audit verify | grep "production: 1 not recorded yet"
rm repo/channels/production/$newest
"#,
    ),
    (
        "The channel key is stolen",
        r#"
# The device saw the thief's number, and takes the company's of the same number all the same.
ends 3 bistable update --source "$PWD/repo" --channel production
thief withdraw production 1.9.0 --reason "no reason" --key stolen-channel.key
ends 5 bistable check --source "$PWD/thief" --channel production
ends 5 bistable update --source "$PWD/thief" --channel production
ends 5 bistable-image channel refresh production --key stolen-channel.key
runs 1.9.0
release 2.0.0 release-4
bistable-image audit verify
"#,
    ),
    (
        "A root key is lost",
        r#"
release 2.1.0 release-4
# A thief has one of the three, makes a root with it that names other keys, and gives it to devices.
cp root-2.key stolen-root.key
copy
bistable-image key new --out thief-key
bistable-image root rotate 8.root --release-key thief-key.pub --channel-key thief-key.pub --out thief.root --sign stolen-root.key --yes-weak
ends 5 thief repo root thief.root --strand
cp thief.root thief/roots/9.root
ends 5 bistable update --source "$PWD/thief" --channel production
runs 2.1.0
"#,
    ),
    (
        "A root key is stolen",
        r#"
ends 3 bistable update --source "$PWD/repo" --channel production
# Together with a key that counts, it is still one signature too few.
bistable-image root rotate 9.root --release-key thief-key.pub --out thief-10.root --sign root-5.key
ends 1 bistable-image root sign thief-10.root --current 9.root --sign stolen-root.key
release 2.2.0 release-4
"#,
    ),
    (
        "Two people sign each release",
        r#"
offer 3.0.0
takes 3.0.0
# Neither of the two is enough.
build 6.6.8 ada
ends 5 bistable-image publish hub-6.6.8.bundle
ends 5 bistable update hub-6.6.8.bundle
runs 3.0.0
bistable-image fsck --deep --repair
"#,
    ),
];

#[test]
fn devices_survive_the_change_loss_and_theft_of_each_key() {
    let page = Page::named(PAGE);
    let (mut script, mut followed) = (Page::named("README.md").script() + TOOLS, 0);
    for section in page.sections() {
        // Writing into a string never fails.
        let _ = writeln!(script, ": '# {}'\n{}", section.heading.replace('\'', r"'\''"), section.script());
        for (heading, then) in THEN {
            if *heading == section.heading {
                script.push_str(then);
                followed += 1;
            }
        }
    }
    assert_eq!(followed, THEN.len(), "a heading of the page has another name now");
    run("a company's life", &script);
}
