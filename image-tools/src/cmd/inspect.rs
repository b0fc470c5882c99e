//! `inspect`.
use super::Out;
use crate::error::Error;
use crate::inspect::{self, Content, ListSummary, ReleaseFile, Trust};
use crate::keys::kind_name;
use crate::root as roots;
use crate::size::Bytes;
use bistable_format::text::printable;
use bistable_format::{Key, Root};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A bundle, release, root or key.
    file: PathBuf,
    /// Hold it against this root.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let trusted = args.root.as_deref().map(roots::read).transpose()?;
    let found = inspect::inspect(&args.file, trusted.as_ref().map(|r| &r.root))?;
    let (what, (mut json, text)) = match &found.content {
        Content::Bundle(file, lists) => ("bundle", release(file, lists)),
        Content::Release(file) => ("release", release(file, &[])),
        Content::Root(found) => ("root", root(found)),
        Content::PublicKey(key) => ("public key", (key_json(key), format!("key {}\n", key_line(key)))),
        Content::SecretKey(key) => ("secret key", (key_json(key), format!("key {}\n", key_line(key)))),
    };
    let names = |keys: &[Key]| keys.iter().map(key_line).collect::<Vec<_>>().join(", ");
    let ids = |keys: &[Key]| keys.iter().map(key_json).collect::<Vec<_>>();
    let (trust, trust_json) = match (&found.trust, &found.content) {
        (_, Content::PublicKey(_) | Content::SecretKey(_)) => (String::new(), Value::Null),
        (Trust::NotVerified, _) => (
            "NOT VERIFIED: nothing vouches for what follows; give --root\n".into(),
            json!({"verified": false, "signed_by": []}),
        ),
        (Trust::OwnKeys(keys), _) => (
            format!("NOT VERIFIED, but signed by its own keys: {}\n", names(keys)),
            json!({"verified": false, "signed_by": ids(keys)}),
        ),
        (Trust::Verified(keys), Content::Bundle(..)) => (
            format!("verified all but the data (for that: verify), signed by {}\n", names(keys)),
            json!({"verified": true, "signed_by": ids(keys)}),
        ),
        (Trust::Verified(keys), _) => (
            format!("verified, signed by {}\n", names(keys)),
            json!({"verified": true, "signed_by": ids(keys)}),
        ),
    };
    json["kind_of_file"] = what.into();
    json["file"] = args.file.display().to_string().into();
    json["file_bytes"] = found.bytes.into();
    if !trust_json.is_null() {
        json["trust"] = trust_json;
    }
    let head = format!("{}: {what}, {}\n", args.file.display(), Bytes(found.bytes));
    out.result(json, &format!("{head}{trust}{text}"))
}

/// A key on one line.
pub(super) fn key_line(key: &Key) -> String {
    format!("{} \"{}\" ({})", key.id(), key.label.escape_debug(), kind_name(key.kind))
}

pub(super) fn key_json(key: &Key) -> Value {
    json!({
        "id": key.id().to_string(),
        "label": key.label,
        "kind": kind_name(key.kind),
        "public": bistable_format::Digest(key.public).to_string(),
    })
}

/// A root as JSON and text.
pub(super) fn root(root: &Root) -> (Value, String) {
    let mut text = format!("root version {}\n", root.version);
    let mut roles = Vec::new();
    for role in &root.roles {
        let keys: Vec<&Key> = role.keys.iter().filter_map(|id| root.key(id)).collect();
        line(&mut text, format_args!("{}: {} of {} must sign", role.role, role.threshold, role.keys.len()));
        for key in &keys {
            line(&mut text, format_args!("  {}", key_line(key)));
        }
        roles.push(json!({
            "role": role.role.name(),
            "threshold": role.threshold,
            "keys": keys.into_iter().map(key_json).collect::<Vec<_>>(),
        }));
    }
    (json!({"version": root.version, "roles": roles}), text)
}

fn release(file: &ReleaseFile, lists: &[ListSummary]) -> (Value, String) {
    let (release, mut text) = (&file.release, String::new());
    let time = i64::try_from(release.build_time).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    let time = time.map_or_else(|| format!("{} s after 1970", release.build_time), |t| t.to_string());
    let listed = |list: &[(String, semver::VersionReq)]| {
        or_none(&list.iter().map(|(n, r)| format!("{n} {r}")).collect::<Vec<_>>().join(", ")).to_owned()
    };
    let running = release.requires.running.as_ref().map(ToString::to_string);
    line(&mut text, format_args!("release           {}", file.digest));
    line(&mut text, format_args!("product           {}", release.product));
    line(&mut text, format_args!("version           {}", release.version));
    line(&mut text, format_args!("security version  {}", release.security_version));
    line(&mut text, format_args!("boards            {}", release.boards.join(", ")));
    line(&mut text, format_args!("requires running  {}", running.as_deref().unwrap_or("any")));
    line(&mut text, format_args!("requires          {}", listed(&release.requires.components)));
    line(&mut text, format_args!("conflicts         {}", listed(&release.requires.conflicts)));
    line(&mut text, format_args!("built             {time}"));
    line(
        &mut text,
        format_args!("author            {}", or_none(&release.author.escape_debug().to_string())),
    );
    line(
        &mut text,
        format_args!("description       {}", or_none(&printable(&release.description, &['\n', '\t']))),
    );
    let mut volumes = Vec::new();
    for (kind, v) in release.volumes.iter() {
        line(&mut text, format_args!("{kind} volume"));
        line(
            &mut text,
            format_args!("  image           {} ({} bytes), sha256 {}", Bytes(v.bytes), v.bytes, v.digest),
        );
        line(
            &mut text,
            format_args!(
                "  data            {} ({} bytes), sha256 {}",
                Bytes(v.data_bytes),
                v.data_bytes,
                v.data
            ),
        );
        line(&mut text, format_args!("  chunk list      {} bytes, sha256 {}", v.list_bytes, v.list));
        let mut volume = json!({
            "name": kind.to_string(),
            "raw_bytes": v.bytes,
            "raw_sha256": v.digest.to_string(),
            "data_bytes": v.data_bytes,
            "data_sha256": v.data.to_string(),
            "list_bytes": v.list_bytes,
            "list_sha256": v.list.to_string(),
        });
        if let Some(list) = lists.iter().find(|l| l.kind == kind) {
            let base = list.base.map(|b| b.to_string());
            let chunk = Bytes(list.chunk_bytes.into());
            line(
                &mut text,
                format_args!("  chunks          {} of {chunk}, {} zero", list.chunks, list.zero_chunks),
            );
            if let Some(base) = &base {
                line(&mut text, format_args!("  delta against   {base}"));
            }
            volume["chunk_bytes"] = list.chunk_bytes.into();
            volume["chunks"] = list.chunks.into();
            volume["zero_chunks"] = list.zero_chunks.into();
            volume["base_sha256"] = base.into();
        }
        volumes.push(volume);
    }
    block(&mut text, "self-tests", &release.self_tests, "none");
    block(&mut text, "health profile", &release.health, "the defaults");
    let map = |list: &[(String, semver::VersionReq)]| -> serde_json::Map<String, Value> {
        list.iter().map(|(n, r)| (n.clone(), r.to_string().into())).collect()
    };
    let json = json!({
        "release": file.digest.to_string(),
        "product": release.product,
        "version": release.version.to_string(),
        "security_version": release.security_version,
        "boards": release.boards,
        "requires": {"running": running, "components": map(&release.requires.components)},
        "conflicts": map(&release.requires.conflicts),
        "build_time": release.build_time,
        "author": release.author,
        "description": release.description,
        "volumes": volumes,
        "self_tests": release.self_tests,
        "health": release.health,
    });
    (json, text)
}

fn line(text: &mut String, args: std::fmt::Arguments<'_>) {
    // Writing to a text never fails.
    let _ = writeln!(text, "{args}");
}

fn block(text: &mut String, title: &str, content: &str, none: &str) {
    if content.is_empty() {
        line(text, format_args!("{title:18}{none}"));
        return;
    }
    line(text, format_args!("{title}"));
    for l in content.lines() {
        line(text, format_args!("  {}", printable(l, &['\t'])));
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
