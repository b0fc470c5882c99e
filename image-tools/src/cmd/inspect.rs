//! `inspect`.
use super::Out;
use crate::error::Error;
use crate::inspect::{self, Content, DeltaFile, ListSummary, ReleaseFile, Trust};
use crate::keys;
use crate::repository::audit::timestamp;
use crate::root as roots;
use crate::size::Bytes;
use bistable_format::content::kind_name;
use bistable_format::text::printable;
use bistable_format::{Key, Root};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A bundle, delta, release, root or key.
    file: PathBuf,
    /// Root to verify it against
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let trusted = args.root.as_deref().map(roots::read).transpose()?;
    let found = inspect::inspect(&args.file, trusted.as_ref().map(|r| &r.root))?;
    let (what, (mut json, text)) = match &found.content {
        Content::Bundle(file, lists) => ("bundle", release(file, lists)),
        Content::Delta(file) => ("delta", delta(file)),
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
        (Trust::Verified(keys), Content::Bundle(..) | Content::Delta(_)) => (
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
    format!("{} \"{}\" ({})", key.id(), key.label.escape_debug(), keys::kind_name(key.kind))
}

pub(super) fn key_json(key: &Key) -> Value {
    json!({
        "id": key.id().to_string(),
        "label": key.label,
        "kind": keys::kind_name(key.kind),
        "public": bistable_format::Digest(key.public).to_string(),
    })
}

/// A root as JSON and text.
pub(super) fn root(root: &Root) -> (Value, String) {
    let mut text = format!("root version {}\n", root.version);
    let (repository, expires) = (root.repository(), root.expires_at.map(timestamp));
    line(&mut text, format_args!("repository {repository}"));
    line(&mut text, format_args!("expires {}", expires.as_deref().unwrap_or("never")));
    let mut roles = Vec::new();
    for role in &root.roles {
        let keys: Vec<&Key> = role.keys.iter().filter_map(|id| root.key(id)).collect();
        let channels = match role.channels.as_slice() {
            [] => String::new(),
            names => format!(" {}", names.join(", ")),
        };
        let (role_name, need, count) = (role.role, role.threshold, role.keys.len());
        line(&mut text, format_args!("{role_name}{channels}: {need} of {count} must sign"));
        for key in &keys {
            line(&mut text, format_args!("  {}", key_line(key)));
        }
        roles.push(json!({
            "role": role.role.name(),
            "channels": role.channels,
            "threshold": role.threshold,
            "keys": keys.into_iter().map(key_json).collect::<Vec<_>>(),
        }));
    }
    let mut demands = Vec::new();
    for demand in &root.demands {
        let channels =
            if demand.channels.is_empty() { "every channel".into() } else { demand.channels.join(", ") };
        let key = root.key(&demand.key).map(key_line).unwrap_or_default();
        line(&mut text, format_args!("devices demand {} in {channels} from {key}", demand.kind));
        demands
            .push(json!({"kind": demand.kind, "channels": demand.channels, "key": demand.key.to_string()}));
    }
    let json = json!({
        "version": root.version,
        "repository": repository.to_string(),
        "expires_at": expires,
        "roles": roles,
        "demands": demands,
    });
    (json, text)
}

fn delta(file: &DeltaFile) -> (Value, String) {
    let (delta, mut text) = (&file.delta, String::new());
    line(&mut text, format_args!("makes             {}", delta.target));
    line(&mut text, format_args!("from              {}", delta.base));
    line(&mut text, format_args!("repository        {}", delta.head.repository));
    line(&mut text, format_args!("needs bistable    {}", delta.head.agent));
    line(&mut text, format_args!("product           {}", delta.head.product));
    let version = file.release.as_ref().map(|release| release.version.to_string());
    if let Some(version) = &version {
        line(&mut text, format_args!("version           {version}"));
    }
    let mut artifacts = Vec::new();
    for a in &delta.artifacts {
        let (data, list) = (Bytes(a.data_bytes), Bytes(a.list_bytes.into()));
        line(&mut text, format_args!("{:18}{data} of data, {list} of chunk list", a.name));
        artifacts.push(json!({
            "name": a.name,
            "data_bytes": a.data_bytes,
            "data_sha256": a.data.to_string(),
            "list_bytes": a.list_bytes,
            "list_sha256": a.list.to_string(),
        }));
    }
    let json = json!({
        "release": delta.target.to_string(),
        "base": delta.base.to_string(),
        "repository": delta.head.repository.to_string(),
        "needs_bistable": delta.head.agent,
        "product": delta.head.product,
        "version": version,
        "artifacts": artifacts,
    });
    (json, text)
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
    line(&mut text, format_args!("repository        {}", release.head.repository));
    line(&mut text, format_args!("needs bistable    {}", release.head.agent));
    line(&mut text, format_args!("product           {}", release.product()));
    line(
        &mut text,
        format_args!(
            "component         {}",
            release.component.as_deref().unwrap_or("none: the whole system")
        ),
    );
    line(&mut text, format_args!("version           {}", release.version));
    line(&mut text, format_args!("security version  {}", release.security_version));
    line(&mut text, format_args!("boards            {}", release.boards.join(", ")));
    line(&mut text, format_args!("requires running  {}", running.as_deref().unwrap_or("any")));
    line(&mut text, format_args!("requires          {}", listed(&release.requires.components)));
    line(&mut text, format_args!("conflicts         {}", listed(&release.requires.conflicts)));
    line(&mut text, format_args!("urgency           {}", release.urgency.name()));
    line(&mut text, format_args!("data              {}", release.data.name()));
    line(&mut text, format_args!("built             {time}"));
    line(&mut text, format_args!("built from        {}", or_none(&release.origin)));
    line(
        &mut text,
        format_args!("author            {}", or_none(&release.author.escape_debug().to_string())),
    );
    line(
        &mut text,
        format_args!("description       {}", or_none(&printable(&release.description, &['\n', '\t']))),
    );
    let sbom = release.sbom.map(|digest| digest.to_string());
    line(&mut text, format_args!("sbom              {}", sbom.as_deref().unwrap_or("none")));
    let bound: Vec<String> = release.bound.iter().map(|b| format!("{} {}", b.component, b.version)).collect();
    line(&mut text, format_args!("brings along      {}", or_none(&bound.join(", "))));
    line(&mut text, format_args!("content           {}", kind_name(release.content.kind())));
    let mut volumes = Vec::new();
    for (name, v) in release.content.artifacts() {
        line(&mut text, format_args!("{name}"));
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
            "name": name,
            "raw_bytes": v.bytes,
            "raw_sha256": v.digest.to_string(),
            "data_bytes": v.data_bytes,
            "data_sha256": v.data.to_string(),
            "list_bytes": v.list_bytes,
            "list_sha256": v.list.to_string(),
        });
        if let Some(list) = lists.iter().find(|l| l.kind.name() == name) {
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
        "repository": release.head.repository.to_string(),
        "needs_bistable": release.head.agent,
        "component": release.component,
        "content": kind_name(release.content.kind()),
        "urgency": release.urgency.name(),
        "data": release.data.name(),
        "durable": release.durable,
        "origin": release.origin,
        "sbom_sha256": sbom,
        "bound": bound,
        "product": release.product(),
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
