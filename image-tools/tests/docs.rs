//! `docs/formats.md` says what the code does: its drawings, numbers and limits are written from the code.
//!
//! A block between `<!-- from the code: NAME -->` and `<!-- end -->` is what [`block`] makes of the name. With `BLESS=1` the
//! test writes the blocks, otherwise it compares them.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly, and writes a file that can be written again"
)]
use bistable_boot::layout::{self, Partition};
use bistable_boot::{Autoboot, BootBlock, BySlot, Failure, Lba, Outcome, Reason, SECTOR, Slot};
use bistable_format::channel::Passage;
use bistable_format::chunklist::{Encoding, Range};
use bistable_format::envelope::seal;
use bistable_format::freshness::{AHEAD, AHEAD_WITHOUT_CLOCK, FURTHEST};
use bistable_format::release::DataPolicy;
use bistable_format::rollout::{RolloutState, WHOLE, Wave};
use bistable_format::{
    Content, Digest, Envelope, KeyId, KeyKind, Role, RootChain, Urgency, bundle, channel, content, health,
    limits, repository, selftest,
};
use bistable_kit::hex::grouped;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const LIMITS: &str = include_str!("../format/src/limits.rs");
const DIGEST: Digest = Digest([0xab; 32]);

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn source(path: &str) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a number counts.
#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Count,
    Seconds,
}

use Unit::{Bytes, Count, Seconds};

/// Name, value, what it counts, what it limits, and why.
type Limit = (&'static str, u64, Unit, &'static str, &'static str);

/// Rows with the names as the code has them.
macro_rules! table {
    ($($name:path, $unit:ident, $what:literal, $why:literal;)*) => {
        [$((stringify!($name), u64::try_from($name).unwrap(), $unit, $what, $why)),*]
    };
}

/// The limits of `limits.rs`, in its order.
#[rustfmt::skip]
fn limits_table() -> Vec<Limit> {
    use bistable_format::limits::*;
    table![
        ENVELOPE_PAYLOAD, Bytes, "payload of an envelope", "payload and decoded value are in memory together on the smallest Pi; a release with the most layers, full checks and full notes fits";
        SIGNATURES, Count, "signatures of an envelope", "anyone can add some, and each costs a verification; also the highest threshold that can be met";
        KEYS, Count, "keys of a root", "each is compared with all others, and a threshold of them has to sign";
        NAME, Bytes, "name of a product, board, component, author, key or check", "it is a file name and part of messages, and the journal's largest record must fit one page";
        VERSION, Bytes, "text of a version", "it is a file name, and the journal's largest record must fit one page";
        REQUIREMENT, Bytes, "text of a version requirement", "parsed, it takes several times the memory; a requirement needs few comparisons";
        DESCRIPTION, Bytes, "release notes", "the payload must have room for checks and layers too";
        PLAN, Bytes, "text of a self-test plan or a health profile", "both fit a payload together with the rest of the release";
        BOARDS, Count, "boards of a release", "each is compared with all others, and each offer repeats them";
        COMPONENTS, Count, "components that a release requires, conflicts with or brings along", "each is compared with all others, and each offer repeats them";
        VOLUME, Bytes, "raw volume, archive or layer", "the most chunks of the default size, 1 MiB";
        VOLUME_DATA, Bytes, "encoded data of an artifact", "the size field of a tar header has eleven octal digits";
        CHUNK_MIN, Bytes, "smallest chunk", "smaller ones compress badly and make the list long";
        CHUNK_MAX, Bytes, "largest chunk", "a device holds a chunk, its encoding and a delta's prefix in memory; also an erase group";
        CHUNKS, Count, "chunks of an artifact", "a full list is in memory during an installation";
        CHUNK_LIST, Bytes, "encoded chunk list", "the most chunks with one frame each take 4.4 MiB; a delta's ranges need the rest";
        CHUNK_LIST_MIN, Bytes, "shortest chunk list", "chunk size, no base, number of chunks";
        RANGES, Count, "ranges of the base for one chunk", "each is a read at another place of the card";
        LIST_RANGES, Count, "ranges of the base in a list", "two bytes in the list are 16 in memory: 4 MiB in all";
        BUNDLE_TEXT, Bytes, "index or manifest of a bundle", "the manifest names each file of a bundle with the most layers and blobs";
        TESTS, Count, "tests of a plan, checks of a profile", "they run one after another, each for up to its timeout";
        EXTENSIONS, Count, "extensions of a structure", "an empty one takes three bytes in a payload and more in memory";
        ARTIFACTS, Count, "artifacts of a release or a delta", "as many as an application can have layers";
        SERVICES, Count, "services of a release with containers", "a Compose project on a Pi has few; each is compared with all others";
        LAYERS, Count, "layers of their images", "each takes up to 150 bytes of the payload";
        BLOBS, Count, "manifests and configurations of their images", "two for each service";
        BLOB, Bytes, "one manifest or configuration", "it is in memory as a whole while it is verified";
        SBOM, Bytes, "an SBOM", "some megabytes for a distribution with all its files; a device that installs from a stream reads past it";
        COMPOSE, Bytes, "a Compose file", "a hundred times an ordinary one; it is in memory as a whole";
        ROLES, Count, "entries of a root for roles", "root, release, and one for each of 32 groups of channels";
        ROLE_CHANNELS, Count, "channels of one entry", "each is compared with those of all other entries";
        ARCHIVE_ENTRIES, Count, "files, folders and links of a component's archive", "each takes an inode of the device, and 1 KiB of memory where the archive is made";
        ARCHIVE_PATH, Bytes, "path in an archive, or target of a link", "Linux opens paths of 4,095 bytes, and the folder that it is unpacked into comes before it";
        ARCHIVE_NAME, Bytes, "one name of such a path", "the most that Linux file systems hold";
        WAVES, Count, "waves of a rollout", "each offer has them, and 64 offers share a payload";
        CANARIES, Count, "groups that get a release first", "each offer has them, and 64 offers share a payload";
        OFFERS, Count, "releases on offer", "a device reads the whole channel for each check: 1 KiB for an offer";
        WITHDRAWN, Count, "withdrawals", "a device reads all of them for each check; the oldest make room";
        PINS, Count, "releases that are kept from pruning", "4 KiB of the payload";
        SEGMENTS, Count, "segments of a channel's catalog", "fifteen a level: enough for sixteen million releases";
        ATTESTATIONS, Count, "attestations that a gate or a root demands", "a device fetches and verifies each one";
        REASON, Bytes, "reason, note, origin, or subject of an act", "one line of a report";
        CHANNEL_NAME, Bytes, "name of a channel", "it is a folder, and is stored with the floors";
    ]
    .into()
}

/// Limits that lie beside what they limit.
#[rustfmt::skip]
fn other_limits() -> Vec<Limit> {
    use bistable_boot::{component, COPY_BYTES, Detail, EXTENSIONS_BYTES, FLOORS_BYTES, HISTORY_LEN, MAX_ATTEMPTS, NAME_BYTES, REJECTED_LEN};
    let encoded = limits::encoded_chunk(limits::CHUNK_MAX);
    let mut rows: Vec<Limit> = table![
        Envelope::MAX_BYTES, Bytes, "envelope", "head, largest payload, most signatures";
        RootChain::MAX_ROOTS, Count, "roots of a stored chain", "thirty rotations between two system updates; the first root and those since the system's stay";
        RootChain::MAX_BYTES, Bytes, "stored chain of roots", "in memory as a whole while it is verified";
        channel::LONGEST, Seconds, "lifetime of a channel file", "a channel that never expires could be held back forever";
        FURTHEST, Count, "numbers that a channel may skip", "a stolen channel key must not use up all numbers";
        AHEAD, Seconds, "how far in the future a channel may be issued", "clocks differ";
        AHEAD_WITHOUT_CLOCK, Seconds, "the same without a trusted clock, after the known lower bound", "a stolen channel key must not move a device's time without bound";
        WHOLE, Count, "parts of a fleet", "a wave's share in hundredths of a percent";
        selftest::TIMEOUT_MAX_MS, Count, "milliseconds of one test or check", "every test ends";
        health::DEADLINE_MAX_S, Seconds, "health check", "the systemd units around a trial wait a little longer";
        MAX_ATTEMPTS, Count, "trials of a release, and refusals of the boot loader in a row", "every attempt is bounded (I11)";
        COPY_BYTES, Bytes, "copy of the journal", "a card's smallest page";
        FLOORS_BYTES, Bytes, "copy of the floors", "a sector";
        NAME_BYTES, Bytes, "product, channel or version in the journal", "the largest record fits a copy";
        HISTORY_LEN, Count, "past updates in the journal", "the largest record fits a copy";
        REJECTED_LEN, Count, "rejected releases in the journal", "the largest record fits a copy";
        component::COMPONENTS_LEN, Count, "components of a device", "as many as a release can name";
        component::KEPT_LEN, Count, "versions of a component before the current one", "room on the partition persistent";
        component::REJECTED_LEN, Count, "rejected releases of a component", "the largest record of all components fits a copy";
        Detail::MAX, Bytes, "detail of a failure", "the largest record fits a copy";
        Outcome::MAX, Bytes, "content of a past update's outcome", "a failure with the longest detail";
        EXTENSIONS_BYTES, Bytes, "all extensions of a record, with five bytes for each", "the largest record fits a copy";
        layout::METADATA_BYTES, Bytes, "stored release, or stored chain of roots", "a quarter of its group";
        layout::HEADER_BYTES, Bytes, "header of a boot volume", "boot sector, FAT32 information and their backups: what makes a slot look bootable";
    ]
    .into();
    let name = "limits::encoded_chunk(CHUNK_MAX)";
    rows.push((name, encoded.into(), Bytes, "encoding of a chunk", "what zstd promises for incompressible data, and a frame's head"));
    rows
}

fn size(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", bytes / unit);
        }
    }
    format!("{} bytes", grouped(bytes))
}

fn limits_text(rows: &[Limit]) -> String {
    let mut text = "| name | value | of | reason |\n|---|---|---|---|".to_owned();
    for (name, value, unit, what, why) in rows {
        let name: String = name.split_whitespace().collect();
        let value = match unit {
            Bytes => size(*value),
            Count => grouped(*value),
            Seconds if *value == 86_400 => "1 day".into(),
            Seconds if value.is_multiple_of(86_400) => format!("{} days", grouped(value / 86_400)),
            Seconds => format!("{} s", grouped(*value)),
        };
        write!(text, "\n| `{name}` | {value} | {what} | {why} |").unwrap();
    }
    text
}

/// The names of all constants in `limits.rs`.
fn limit_names() -> Vec<&'static str> {
    let names = LIMITS.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'));
    names.map(|(name, _)| name).filter(|name| !name.starts_with("fn ")).collect()
}

fn roles() -> String {
    let mut text = "| role | code | format | signed with the keys of |\n|---|---|---|---|".to_owned();
    for role in Role::ALL {
        // Where every reader finds them: the ninth and the tenth byte.
        let envelope = seal(role, b"", &[]).unwrap();
        assert_eq!(envelope[9], role.format());
        let keys = match role {
            Role::Attestation => "no role: roots and channels name its keys one by one".into(),
            role => format!("`{}`", role.keys()),
        };
        write!(text, "\n| `{role}` | {} | {} | {keys} |", envelope[8], envelope[9]).unwrap();
    }
    text
}

/// The number that a value of an open kind or of a closed choice begins with.
fn number(value: &impl serde::Serialize) -> u8 {
    let first = postcard::to_allocvec(value).unwrap()[0];
    assert!(first < 0x80, "a varint of one byte");
    first
}

fn kinds() -> String {
    let range = Range { offset: 0, bytes: 1 };
    let encodings = [
        ("zero", Encoding::Zero { bytes: 1, digest: DIGEST }, "bytes and digest of a zstd frame of zeros"),
        ("zstd", Encoding::Zstd { bytes: 1, digest: DIGEST }, "bytes and digest of a zstd frame"),
        ("copy", Encoding::Copy(range), "a range of the base; only in a delta"),
        (
            "patch",
            Encoding::Patch { bytes: 1, digest: DIGEST, prefix: vec![range] },
            "bytes and digest of a zstd frame, and the ranges that are its prefix; only in a delta",
        ),
    ];
    let failure = Failure::new(Reason::Install, "");
    let outcomes = [
        ("provisioned", Outcome::Provisioned, ""),
        ("committed", Outcome::Committed, ""),
        ("abandoned", Outcome::Abandoned(failure.clone()), "the failure"),
        ("reverted", Outcome::Reverted(failure), "the failure"),
        ("rebuilt", Outcome::Rebuilt, ""),
    ];
    let contents: [(u16, &str); 3] = [(content::IMAGE_KIND, "volumes"), (2, "directory"), (3, "containers")];
    let mut text = "| set | number | kind | its content |\n|---|---|---|---|".to_owned();
    let mut row = |set: &str, number: u8, kind: &str, what: &str| {
        write!(text, "\n| {set} | {number} | {kind} | {what} |").unwrap();
    };
    for (kind, what) in contents {
        row("content", u8::try_from(kind).unwrap(), &content::kind_name(kind), what);
    }
    row("content", 4, "reserved for modules", "");
    for (name, encoding, what) in &encodings {
        row("chunk encoding", number(encoding), name, what);
    }
    for urgency in [Urgency::Normal, Urgency::Security] {
        row("urgency", number(&urgency), urgency.name(), "");
    }
    row("wave", number(&Wave { at: 1, over: 1, share: 1 }), "share", "`at`, `over`, `share`: varints");
    for (name, outcome, what) in &outcomes {
        row("outcome of an update", number(outcome), name, what);
    }
    let mut reasons = Reason::ALL;
    reasons.sort_by_key(|reason| reason.number());
    for reason in reasons {
        let what = if reason.rejects() { "rejects the release" } else { "" };
        row("reason of a failure", reason.number(), &reason.to_string(), what);
    }
    text
}

fn choices() -> String {
    let mut text = "| choice | number | is |\n|---|---|---|".to_owned();
    let mut row = |set: &str, number: u8, name: &str| {
        write!(text, "\n| {set} | {number} | {name} |").unwrap();
    };
    for (kind, name) in [(KeyKind::Production, "production"), (KeyKind::Demo, "demo")] {
        row("kind of a key", number(&kind), name);
    }
    for role in Role::IN_ROOT {
        row("role of an entry in a root", number(&role), role.name());
    }
    for data in [DataPolicy::Compatible, DataPolicy::Migrates] {
        row("data", number(&data), data.name());
    }
    for (passage, name) in [(Passage::Free, "free"), (Passage::Barrier, "barrier")] {
        row("passage", number(&passage), name);
    }
    for (pace, name) in [
        (RolloutState::Running, "running"),
        (RolloutState::Paused(1), "paused, since: varint"),
        (RolloutState::Halted, "halted"),
    ] {
        row("pace", number(&pace), name);
    }
    for (origin, name) in [(bistable_boot::Origin::Bundle, "bundle"), (bistable_boot::Origin::Slot, "slot")] {
        row("origin of an update", number(&origin), name);
    }
    for slot in Slot::ALL {
        row("slot", number(&slot), &slot.to_string());
    }
    text
}

/// Where in the partition `state`.
fn at(place: Lba) -> u64 {
    place.0 * SECTOR as u64
}

fn partitions() -> String {
    let mut text = "| number | name | bytes | is |\n|---|---|---|---|".to_owned();
    for partition in Partition::ALL {
        let (bytes, what) = match partition {
            Partition::Bootconfig => {
                ("16 MiB".into(), "FAT with `autoboot.txt`, or U-Boot's files and `boot.scr`")
            }
            Partition::Boot(_) => ("`--slot-size boot=`".into(), "FAT with kernel and firmware files"),
            Partition::System(_) => ("`--slot-size system=`".into(), "root file system"),
            Partition::Persistent => ("the rest".into(), "ext4, kept by updates; the last one on the card"),
            Partition::State => (size(layout::STATE_BYTES), "journal, roots, floors, releases, boot block"),
        };
        write!(text, "\n| {} | `{}` | {bytes} | {what} |", partition.number(), partition.name()).unwrap();
    }
    text
}

fn groups() -> String {
    let slots = |places: BySlot<Lba>| [places.a, places.b];
    let pairs: [([Lba; 2], [&str; 2], &str, &str); 8] = [
        (layout::JOURNAL, ["1st", "2nd"], "journal", "one copy"),
        (layout::ROOT, ["1st", "2nd"], "chain of roots, and floors", "the chain at 0, the floors at 2 MiB"),
        (slots(layout::RELEASE), ["A", "B"], "signed release of slot", "an envelope, then zeros"),
        (layout::BOOT_BLOCK, ["1st", "2nd"], "boot block", "one sector"),
        (layout::COMPONENTS, ["1st", "2nd"], "component record", "one copy, of as many pages as it needs"),
        (slots(layout::CHUNK_DIGESTS), ["A", "B"], "raw chunk digests of slot", "not written yet"),
        (layout::COMPONENT_RELEASES, ["1st", "2nd"], "signed releases of components", "not written yet"),
        (layout::RESERVED, ["1st", "2nd"], "reserved", ""),
    ];
    for (roots, floors) in layout::ROOT.iter().zip(layout::FLOORS) {
        assert_eq!(at(floors) - at(*roots), 2 << 20, "as the table says");
    }
    let mut text = "| group | at | is | in it |\n|---|---|---|---|".to_owned();
    let mut count = 0;
    for (places, names, what, content) in pairs {
        for (place, name) in places.into_iter().zip(names) {
            assert_eq!(at(place), count * layout::ALIGN, "groups follow one another: {what} {name}");
            let what = if what == "reserved" { what.into() } else { format!("{what}, {name}") };
            let what = what.replace("slot, ", "slot ");
            write!(text, "\n| {count} | {} MiB | {what} | {content} |", at(place) >> 20).unwrap();
            count += 1;
        }
    }
    assert_eq!(count * layout::ALIGN, layout::STATE_BYTES);
    text
}

fn code(text: &str) -> String {
    format!("```text\n{}\n```", text.trim_end())
}

fn autoboot() -> String {
    let autoboot = Autoboot { partitions: layout::BOOT_PARTITIONS, default: Slot::A };
    code(std::str::from_utf8(&autoboot.render()).unwrap())
}

fn boot_block() -> String {
    let sector = BootBlock::FIRST.render();
    let body = sector[4..].iter().rposition(|byte| *byte != 0).unwrap() + 4;
    let text = std::str::from_utf8(&sector[4..=body]).unwrap().replace('\0', "␀");
    code(&format!("0      4{:>width$}\n│CRC-32│{text}␀ zeros │", SECTOR, width = text.chars().count() + 8))
}

fn places() -> String {
    let key = KeyId([0xcd; 16]);
    let version = semver::Version::new(1, 2, 3);
    let mut text = String::new();
    let mut row = |path: String, what: &str| {
        let path = path.replace(&DIGEST.to_string(), "<digest>").replace(&key.to_string(), "<key>");
        writeln!(text, "{path:<52} {what}").unwrap();
    };
    row(bundle::LAYOUT_NAME.into(), "a constant");
    row(bundle::INDEX_NAME.into(), "a hint for OCI tools: what is on offer");
    row(repository::blob(&DIGEST), "content, by its digest");
    row(repository::root(1), "each root, by its version");
    row(repository::channel("production", 42), "each file of a channel, by its number");
    row(repository::channel_hint("production"), "a hint: the newest number, perhaps");
    row(repository::version(("hub", None), &version), "the identity of the image with that version");
    row(
        repository::version(("hub", Some("core")), &version),
        "the identity of a component's release with that version",
    );
    row(repository::attestation(&DIGEST, "tests-passed", &key), "what a key says of a release");
    row(
        repository::delta(&DIGEST, &DIGEST)
            .replacen(&DIGEST.to_string(), "<target>", 1)
            .replace(&DIGEST.to_string(), "<base>"),
        "how a release is made from another one",
    );
    row(repository::audit(42), "who did what");
    row(repository::audit_hint(), "a hint");
    code(&text)
}

/// The first text drawing in a module's documentation.
fn drawing(path: &str) -> String {
    let module = source(path);
    let docs = module
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line));
    let mut lines =
        docs.skip_while(|line| *line != "```text").skip(1).take_while(|line| *line != "```").peekable();
    assert!(lines.peek().is_some(), "{path} has no drawing");
    code(&lines.collect::<Vec<_>>().join("\n"))
}

/// A structure's fields in their order on the wire, from its declaration.
fn structure(path: &str, name: &str) -> String {
    let module = source(path);
    let (_, rest) =
        module.split_once(&format!("pub struct {name} {{\n")).unwrap_or_else(|| panic!("{path}: no {name}"));
    let (body, _) = rest.split_once("\n}").unwrap();
    let (mut text, mut most, mut skip) = (format!("{}\n", words(name)), None, false);
    for line in body.lines().map(str::trim) {
        if line == "#[serde(skip)]" {
            skip = true;
        }
        if let Some((_, limit)) = line.split_once("{ limits::") {
            most = limit.split_once(' ').map(|(limit, _)| limit);
        }
        let Some((field, kind)) =
            line.strip_prefix("pub ").and_then(|f| f.trim_end_matches(',').split_once(": "))
        else {
            continue;
        };
        if !std::mem::take(&mut skip) {
            let limit = most.take().map(|most| format!(", at most {most}")).unwrap_or_default();
            writeln!(text, "  {field:<20} {}{limit}", wire(kind)).unwrap();
        }
    }
    assert!(text.lines().count() > 1, "{path}: {name} has no fields");
    code(&text)
}

/// How a type is written.
fn wire(kind: &str) -> String {
    let inside = |outer: &str| kind.strip_prefix(outer)?.strip_suffix('>');
    if let Some(kind) = inside("Option<") {
        return format!("0, or 1 and {}", wire(kind));
    }
    if let Some(kind) = inside("Vec<") {
        return format!("list of {}", wire(kind));
    }
    if let Some(kind) = inside("OpenList<") {
        return format!("open list of {}", wire(kind));
    }
    if let Some(kind) = inside("BySlot<") {
        return format!("{}, for A and for B", wire(kind));
    }
    if let Some(pair) = kind.strip_prefix('(').and_then(|kind| kind.strip_suffix(')')) {
        return pair.split(", ").map(wire).collect::<Vec<_>>().join(" and ");
    }
    match kind {
        "String" | "Version" | "VersionReq" | "Detail" => "text".into(),
        "u8" => "byte".into(),
        "u16" | "u32" | "u64" => "varint".into(),
        "Digest" | "PayloadDigest" | "ReleaseId" | "[u8; 32]" => "32 bytes".into(),
        "KeyId" | "BootId" => "16 bytes".into(),
        "KeyKind" | "DataPolicy" | "Passage" | "RolloutState" | "Origin" | "Slot" | "crate::Slot"
        | "Role" => "choice".into(),
        "Urgency" | "Content" | "Outcome" | "Encoding" => format!("kind: {}", words(kind)),
        "Reason" => "byte: reason".into(),
        name => words(name),
    }
}

/// `RoleKeys` in words.
fn words(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// A block of the page, by its name.
fn block(name: &str) -> String {
    match name.split(' ').collect::<Vec<_>>()[..] {
        ["roles"] => roles(),
        ["kinds"] => kinds(),
        ["choices"] => choices(),
        ["partitions"] => partitions(),
        ["groups"] => groups(),
        ["autoboot"] => autoboot(),
        ["boot-block"] => boot_block(),
        ["repository"] => places(),
        ["limits"] => limits_text(&limits_table()),
        ["other-limits"] => limits_text(&other_limits()),
        ["drawing", path] => drawing(path),
        ["structure", path, name] => structure(path, name),
        _ => panic!("no block is called {name:?}"),
    }
}

const BEGIN: &str = "<!-- from the code: ";
const END: &str = "<!-- end -->";

#[test]
fn the_page_of_formats_is_what_the_code_does() {
    let path = workspace().join("image-tools/docs/formats.md");
    let page = fs::read_to_string(&path).unwrap();
    let (mut made, mut names) = (String::new(), Vec::new());
    let mut parts = page.split(BEGIN);
    made.push_str(parts.next().unwrap());
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").expect("a block's name");
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("block {name} has no end"));
        write!(made, "{BEGIN}{name} -->\n{}\n{END}{after}", block(name)).unwrap();
        names.push(name);
    }
    for name in [
        "roles",
        "kinds",
        "choices",
        "partitions",
        "groups",
        "autoboot",
        "boot-block",
        "repository",
        "limits",
        "other-limits",
    ] {
        assert!(names.contains(&name), "the page has no block {name}");
    }
    for (name, path) in [
        ("Root", "image-tools/format/src/root.rs"),
        ("Release", "image-tools/format/src/release.rs"),
        ("Channel", "image-tools/format/src/channel.rs"),
        ("Attestation", "image-tools/format/src/attestation.rs"),
        ("Delta", "image-tools/format/src/delta.rs"),
        ("Record", "boot/src/record.rs"),
        ("ComponentRecord", "boot/src/component/record.rs"),
    ] {
        let wanted = format!("structure {path} {name}");
        assert!(names.contains(&wanted.as_str()), "the page has no block {wanted}");
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, made).unwrap();
    } else {
        assert!(
            page == made,
            "{} is not what the code does: BLESS=1 cargo test -p bistable-image --test docs",
            path.display()
        );
    }
}

/// The metrics of a repository on the page of metrics are those of the code.
#[test]
fn the_page_of_metrics_lists_every_one_of_a_repository() {
    let path = workspace().join("src/docs/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- from the code: repository -->\n").expect("the block");
    let (old, after) = rest.split_once(END).expect("its end");
    let mut table = "| metric | type | labels | says |\n|---|---|---|---|\n".to_owned();
    for family in bistable_image::repository::metrics::FAMILIES {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (family.name, family.kind.name(), family.help);
        writeln!(table, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}repository -->\n{table}{END}{after}")).unwrap();
    } else {
        assert!(
            old == table,
            "{} is not what the code does: BLESS=1 cargo test -p bistable-image --test docs",
            path.display()
        );
    }
}

#[test]
fn every_limit_has_a_reason() {
    let (names, rows) = (limit_names(), limits_table());
    assert!(names.len() > 30, "{names:?}");
    assert_eq!(
        rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        names,
        "the limits of limits.rs, in its order"
    );
    for (name, _, _, what, why) in rows.into_iter().chain(other_limits()) {
        assert!(what.len() > 3 && why.len() > 5, "{name}");
    }
}

#[test]
fn every_kind_of_content_is_in_the_table() {
    let table = kinds();
    for number in 1..=u16::from(u8::MAX) {
        let name = content::kind_name(number);
        let known = !name.starts_with("unknown");
        assert_eq!(table.contains(&format!("| content | {number} | {name} |")), known, "{number}");
    }
    // A kind's number is what the others' readers see.
    let unknown = bistable_format::open::Unknown { kind: 77, bytes: Vec::new() };
    assert_eq!(number(&Content::Unknown(unknown)), 77);
}

/// What the page says of the encoding.
#[test]
fn values_are_written_as_the_page_says() {
    let bytes = |value: &dyn Fn() -> Result<Vec<u8>, postcard::Error>| value().unwrap();
    assert_eq!(bytes(&|| postcard::to_allocvec(&300u32)), [0xac, 0x02]);
    assert_eq!(bytes(&|| postcard::to_allocvec(&"ab")), [2, b'a', b'b']);
    assert_eq!(bytes(&|| postcard::to_allocvec(&semver::Version::new(1, 2, 3))), *b"\x051.2.3");
    assert_eq!(bytes(&|| postcard::to_allocvec(&DIGEST)), [0xab; 32]);
    assert_eq!(bytes(&|| postcard::to_allocvec(&KeyId([7; 16]))), [7; 16]);
    assert_eq!(bytes(&|| postcard::to_allocvec(&Some(5u8))), [1, 5]);
    assert_eq!(bytes(&|| postcard::to_allocvec(&None::<u8>)), [0]);
    assert_eq!(bytes(&|| postcard::to_allocvec(&vec![1u8, 2])), [2, 1, 2]);
    assert_eq!(bytes(&|| postcard::to_allocvec(&Urgency::Security)), [2, 0]);
}
