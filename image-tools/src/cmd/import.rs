//! `import`.
use super::Out;
use super::release_args::{ReleaseArgs, build_time, built_text, version};
use crate::answer::{Answer, ImportedRelease};
use crate::archive::{Preparation, Prepared, prepare};
use crate::build::{self, Input};
use crate::clock::HostClock;
use crate::disk::DiskOptions;
use crate::error::Error;
use crate::fetch::github::{API, Choice, Chosen, Github, Source};
use crate::fetch::{Cache, Web};
use crate::output::{self, OutputError};
use crate::repository::words;
use bistable_format::limits;
use bistable_format::tag::{self, Prereleases, Standing};
use semver::Version;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a file with a token at most.
const TOKEN_MAX: usize = 4096;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it is: github:OWNER/REPO for the newest version of the releases there, or github:OWNER/REPO@TAG
    #[arg(value_name = "SOURCE")]
    from: From,
    /// Component of the product that it is; an image for the card if not given
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// Semantic version, if the tag names none: v1.2 is 1.2.0, dates are not versions
    #[arg(long, value_parser = version)]
    version: Option<Version>,
    /// Version that is there already: what is not newer is not downloaded, and the exit code is 3. That of --previous if not given
    #[arg(long, value_name = "VERSION", value_parser = there)]
    newer_than: Option<Version>,
    /// File of the release, with * for any characters and ? for one; its only tar if not given
    #[arg(long, value_name = "PATTERN")]
    asset: Option<String>,
    /// Begin of the tags that count, if the repository has several components: core- for core-v1.2.0
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    tag_prefix: String,
    /// Take pre-releases, too
    #[arg(long)]
    prereleases: bool,
    /// Folders around the tree that are left out: 1 for a tar in which all is below core-1.2.0/
    #[arg(long, value_name = "N", default_value = "0", requires = "component")]
    strip: u32,
    /// Command for the shell that prepares the tree on this computer, in the unpacked tree, before it is signed; BISTABLE_VERSION is
    /// the version
    #[arg(long, value_name = "COMMAND", requires = "component")]
    run: Option<String>,
    /// Time that the command may take
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = words::seconds, requires = "run")]
    run_timeout: u64,
    /// Folder that is copied over the image's root file system, owned by root
    #[arg(long, value_name = "DIR", conflicts_with = "component")]
    overlay: Option<PathBuf>,
    /// File with the token that reads it; GITHUB_TOKEN or GH_TOKEN of the environment if not given
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where GitHub's API is
    #[arg(long, value_name = "URL", default_value = API, env = "GITHUB_API_URL")]
    api: String,
    /// How long to wait at most if the server asks to be left alone
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = words::seconds)]
    wait: u64,
    /// Folder for answers and downloads that were cut off; ~/.cache/bistable-image if not given
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    release: ReleaseArgs,
}

/// Where a release is.
#[derive(Clone, Debug)]
enum From {
    Github(Source),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<From, String> {
        match text.split_once(':') {
            Some(("github", rest)) => Ok(From::Github(rest.parse()?)),
            _ => Err("give github:OWNER/REPO or github:OWNER/REPO@TAG".into()),
        }
    }
}

/// A version as people write it.
fn there(text: &str) -> Result<Version, String> {
    tag::version(text).map_err(|why| format!("{text:?} {why}"))
}

pub(crate) fn run(args: Args, out: Out) -> Result<(), Error> {
    let From::Github(source) = &args.from;
    let root = args.release.root()?;
    let previous = args.release.previous(args.component.as_deref(), root.as_ref().map(|r| &r.root))?;
    let newer_than = args.newer_than.clone().or_else(|| previous.map(|release| release.version));
    let token = token(args.token_file.as_deref())?;
    let cache = cache(args.cache.clone())?;
    let web = Web::new(Duration::from_secs(args.wait), Arc::new(HostClock));
    let github = Github::new(&web, &cache, &args.api, token.as_deref())?;
    let choice = Choice {
        tag_prefix: args.tag_prefix.clone(),
        prereleases: if args.prereleases { Prereleases::Take } else { Prereleases::Skip },
        asset: args.asset.clone().or_else(|| args.component.is_none().then(|| "*.img*".into())),
    };
    let chosen = github.choose(source, &choice)?;
    let version = args.version.clone().map_or_else(|| chosen.version(), Ok)?;
    if let Some(there) = &newer_than {
        newer(&chosen.name, &version, there)?;
    }
    let progress = out.progress();
    let downloaded = github.download(source, &chosen, &*progress)?;
    // Under its own name, so that messages are about it.
    let folder = tempfile::Builder::new().prefix("import.").tempdir_in(cache.folder());
    let folder = folder.map_err(|e| OutputError::io("create a folder in", cache.folder())(e))?;
    let file = folder.path().join(file_name(chosen.asset()));
    fs::hard_link(downloaded.path(), &file).map_err(|e| OutputError::io("create", &file)(e))?;

    let prepared = prepared(&args, &version, &file, folder.path())?;
    let input = match &args.component {
        Some(component) => Input::Tree {
            component: component.clone(),
            tree: prepared.as_ref().map_or(file.as_path(), |p| p.tree()).into(),
        },
        None => Input::Disk(DiskOptions {
            image: file.clone(),
            boot_partition: None,
            system_partition: None,
            overlay: args.overlay.clone(),
        }),
    };
    let mut options = args.release.options(version, input, root)?;
    options.build.origin = origin(&chosen, &downloaded.digest().to_string());
    let built = build::build(&options.build, &*progress)?;
    let deltas = options.deltas(&*progress)?;
    drop(progress);

    let verified = chosen.digest().is_some();
    let mut text = format!(
        "from {}: {}, sha256:{}, {}\n",
        chosen.name,
        chosen.asset(),
        downloaded.digest(),
        if verified { "as GitHub says" } else { "which GitHub doesn't say: compare it with the author's" }
    );
    text.push_str(&built_text(&built, &deltas, &options.build.out));
    let answer = ImportedRelease {
        source: chosen.name.clone(),
        tag: Some(chosen.tag.clone()),
        asset: Some(chosen.asset().into()),
        sha256: downloaded.digest().to_string(),
        verified,
        bundle: options.answer(&built, &deltas),
    };
    out.result(Answer::Imported(Box::new(answer)), &text)
}

/// Refuse what isn't newer: it is nothing to do.
fn newer(name: &str, version: &Version, there: &Version) -> Result<(), Error> {
    match tag::standing(version, there) {
        Standing::Update => Ok(()),
        Standing::UpToDate => Err(Error::NothingToDo(format!("{name} is {version}: up to date"))),
        Standing::Older => Err(Error::NothingToDo(format!(
            "{name} is {version}, which is older than {there}: nothing to do"
        ))),
    }
}

fn prepared(args: &Args, version: &Version, file: &Path, folder: &Path) -> Result<Option<Prepared>, Error> {
    if args.strip == 0 && args.run.is_none() {
        return Ok(None);
    }
    let preparation = Preparation {
        strip: args.strip,
        run: args.run.as_deref(),
        time: Duration::from_secs(args.run_timeout),
        environment: &[("BISTABLE_VERSION", version.to_string())],
    };
    Ok(Some(prepare(file, build_time()?, &preparation, folder, &HostClock)?))
}

/// What the release says of where it is from: as much as there is room for.
fn origin(chosen: &Chosen, sha256: &str) -> String {
    let all = [
        format!("{} {} sha256:{sha256}", chosen.name, chosen.asset()),
        format!("{} sha256:{sha256}", chosen.name),
        chosen.name.clone(),
    ];
    all.into_iter().find(|text| text.len() <= limits::REASON).unwrap_or_default()
}

/// A name for a file: whatever the server says, it is in the folder.
fn file_name(asset: &str) -> String {
    let name: String = asset
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+') { c } else { '_' })
        .take(200)
        .collect();
    if name.trim_matches('.').is_empty() { "asset".into() } else { name }
}

fn cache(folder: Option<PathBuf>) -> Result<Cache, Error> {
    let folder = folder
        .or_else(Cache::default_folder)
        .ok_or_else(|| Error::Usage("where may downloads be kept? Set HOME, or give --cache DIR".into()))?;
    Ok(Cache::open(&folder)?)
}

/// The token of a file, or of the environment; none if there is none.
fn token(file: Option<&Path>) -> Result<Option<String>, Error> {
    let Some(path) = file else {
        let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        return Ok(named("GITHUB_TOKEN").or_else(|| named("GH_TOKEN")));
    };
    let bytes = output::read_limited(path, TOKEN_MAX)
        .map_err(|e| Error::Usage(format!("can't read {}: {e}", path.display())))?;
    let text = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned()).filter(|t| !t.is_empty());
    text.map(Some).ok_or_else(|| Error::Usage(format!("{} has no token in it", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_as_the_asset_and_stays_in_its_folder() {
        for (asset, wanted) in [
            ("core-1.2.0.tar.gz", "core-1.2.0.tar.gz"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("..", "asset"),
            ("", "asset"),
            ("größe.tar", "gr__e.tar"),
        ] {
            assert_eq!(file_name(asset), wanted);
        }
    }
}
