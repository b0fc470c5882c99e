//! `inspect`.
use super::Out;
use crate::answer::{Answer, Inspected};
use crate::error::Error;
use crate::inspect::{self, Content, DeltaFile, ListSummary, ReleaseFile, Trust};
use crate::keys;
use crate::repository::audit::timestamp;
use crate::root as roots;
use crate::size::Bytes;
use bistable_format::content::kind_name;
use bistable_format::text::printable;
use bistable_format::{Key, Root};
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
    let text = match &found.content {
        Content::Bundle(file, lists) => release(file, lists),
        Content::Delta(file) => delta(file),
        Content::Release(file) => release(file, &[]),
        Content::Root(found) => root(found),
        Content::PublicKey(key) | Content::SecretKey(key) => format!("key {}\n", key_line(key)),
    };
    let names = |keys: &[Key]| keys.iter().map(key_line).collect::<Vec<_>>().join(", ");
    let trust = match (&found.trust, &found.content) {
        (_, Content::PublicKey(_) | Content::SecretKey(_)) => String::new(),
        (Trust::NotVerified, _) => "NOT VERIFIED: nothing vouches for what follows; give --root\n".into(),
        (Trust::OwnKeys(keys), _) => format!("NOT VERIFIED, but signed by its own keys: {}\n", names(keys)),
        (Trust::Verified(keys), Content::Bundle(..) | Content::Delta(_)) => {
            format!("verified all but the data (for that: verify), signed by {}\n", names(keys))
        }
        (Trust::Verified(keys), _) => format!("verified, signed by {}\n", names(keys)),
    };
    let head = format!("{}: {}, {}\n", args.file.display(), found.content.name(), Bytes(found.bytes));
    out.result(
        Answer::Inspected(Box::new(Inspected::new(&args.file, &found))),
        &format!("{head}{trust}{text}"),
    )
}

/// A key on one line.
pub(super) fn key_line(key: &Key) -> String {
    format!("{} \"{}\" ({})", key.id(), key.label.escape_debug(), keys::kind_name(key.kind))
}

/// A root, human-readable.
pub(super) fn root(root: &Root) -> String {
    let mut text = format!("root version {}\n", root.version);
    let (repository, expires) = (root.repository(), root.expires_at.map(timestamp));
    line(&mut text, format_args!("repository {repository}"));
    line(&mut text, format_args!("expires {}", expires.as_deref().unwrap_or("never")));
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
    }
    for demand in &root.demands {
        let channels =
            if demand.channels.is_empty() { "every channel".into() } else { demand.channels.join(", ") };
        let key = root.key(&demand.key).map(key_line).unwrap_or_default();
        line(&mut text, format_args!("devices demand {} in {channels} from {key}", demand.kind));
    }
    text
}

fn delta(file: &DeltaFile) -> String {
    let (delta, mut text) = (&file.delta, String::new());
    line(&mut text, format_args!("makes             {}", delta.target));
    line(&mut text, format_args!("from              {}", delta.base));
    line(&mut text, format_args!("repository        {}", delta.head.repository));
    line(&mut text, format_args!("needs bistable    {}", delta.head.agent));
    line(&mut text, format_args!("product           {}", delta.head.product));
    if let Some(release) = &file.release {
        line(&mut text, format_args!("version           {}", release.version));
    }
    for a in &delta.artifacts {
        let (data, list) = (Bytes(a.data_bytes), Bytes(a.list_bytes.into()));
        line(&mut text, format_args!("{:18}{data} of data, {list} of chunk list", a.name));
    }
    text
}

fn release(file: &ReleaseFile, lists: &[ListSummary]) -> String {
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
    let sbom = match (release.sbom, release.sbom_file()) {
        (None, _) => "none".into(),
        (Some(digest), None) => format!("{digest}, kept elsewhere"),
        (Some(digest), Some(file)) => format!("{digest} ({})", Bytes(file.bytes.into())),
    };
    line(&mut text, format_args!("sbom              {sbom}"));
    let bound: Vec<String> = release.bound.iter().map(|b| format!("{} {}", b.component, b.version)).collect();
    line(&mut text, format_args!("brings along      {}", or_none(&bound.join(", "))));
    line(&mut text, format_args!("content           {}", kind_name(release.content.kind())));
    for (id, v) in release.content.artifacts() {
        line(&mut text, format_args!("{id}"));
        line(
            &mut text,
            format_args!("  content         {} ({} bytes), sha256 {}", Bytes(v.bytes), v.bytes, v.digest),
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
        if let Some(list) = lists.iter().find(|l| l.kind == id) {
            let base = list.base.map(|b| b.to_string());
            let chunk = Bytes(list.chunk_bytes.into());
            line(
                &mut text,
                format_args!("  chunks          {} of {chunk}, {} zero", list.chunks, list.zero_chunks),
            );
            if let Some(base) = &base {
                line(&mut text, format_args!("  delta against   {base}"));
            }
        }
    }
    block(&mut text, "self-tests", &release.self_tests, "none");
    block(&mut text, "health profile", &release.health, "the defaults");
    block(&mut text, "configuration", release.configuration_text(), "nothing can be set");
    text
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
