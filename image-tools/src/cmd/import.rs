//! `import`.
use super::Out;
use super::images::{cache, image_line};
use super::release_args::{ReleaseArgs, build_time, built_text, version};
use crate::answer::{Answer, ImportedRelease};
use crate::archive::{Preparation, Prepared, prepare};
use crate::build::{self, Input};
use crate::clock::HostClock;
use crate::disk::DiskOptions;
use crate::error::Error;
use crate::fetch::github::{API, Choice, Github, Source};
use crate::fetch::registry::{Layouts, Reference, Registry};
use crate::fetch::{Cache, FetchError, Web};
use crate::interrupt::Temporary;
use crate::oci::{ImageArg, ImageSource, Platform, Saved};
use crate::output;
use crate::progress::Progress;
use crate::repository::words;
use bistable_format::tag::{self, Prereleases, Standing};
use bistable_format::{Digest, limits};
use semver::Version;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Bytes of a file with a token at most.
const TOKEN_MAX: usize = 4096;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it is: github:OWNER/REPO for the newest version of the releases there, or github:OWNER/REPO@TAG; oci://HOST/NAME for the newest
    /// version of an image's tags, oci://HOST/NAME:TAG, or oci://HOST/NAME@sha256:DIGEST
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
    /// Compose file with the service that runs the image of the registry
    #[arg(long, value_name = "FILE", requires = "component")]
    compose: Option<PathBuf>,
    /// Service of the Compose file, if it has several
    #[arg(long, value_name = "NAME", requires = "compose")]
    service: Option<String>,
    /// What the containers run on
    #[arg(long, value_name = "OS/ARCHITECTURE", requires = "compose", default_value = "linux/arm64")]
    platform: Platform,
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
    Registry(Reference),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<From, String> {
        match text.split_once(':') {
            Some(("github", rest)) => Ok(From::Github(rest.parse()?)),
            Some(("oci", _)) => Ok(From::Registry(text.parse()?)),
            _ => Err("give github:OWNER/REPO, github:OWNER/REPO@TAG, or oci://HOST/NAME:TAG".into()),
        }
    }
}

/// A version as people write it.
fn there(text: &str) -> Result<Version, String> {
    tag::version(text).map_err(|why| format!("{text:?} {why}"))
}

pub(crate) fn run(args: Args, out: Out) -> Result<(), Error> {
    args.check()?;
    let root = args.release.root()?;
    let previous = args.release.previous(args.component.as_deref(), root.as_ref().map(|r| &r.root))?;
    let newer_than = args.newer_than.clone().or_else(|| previous.map(|release| release.version));
    let cache = cache(args.cache.as_deref())?;
    let web = Web::new(Duration::from_secs(args.wait), Arc::new(HostClock));
    let progress = out.progress();
    let fetched = match &args.from {
        From::Github(source) => github(&args, source, &web, &cache, newer_than.as_ref(), &*progress)?,
        From::Registry(reference) => {
            registry(&args, reference, &web, &cache, newer_than.as_ref(), &*progress)?
        }
    };
    let mut options = args.release.options(fetched.version, fetched.input, root)?;
    options.build.origin = fetched.origin;
    let built = build::build(&options.build, &*progress)?;
    let deltas = options.deltas(&*progress)?;
    drop(progress);
    let text = fetched.text + &built_text(&built, &deltas, &options.build.out);
    let answer = ImportedRelease {
        source: fetched.source,
        tag: fetched.tag,
        asset: fetched.asset,
        sha256: fetched.sha256.to_string(),
        verified: fetched.verified,
        bundle: options.answer(&built, &deltas),
    };
    out.result(Answer::Imported(Box::new(answer)), &text)
}

impl Args {
    /// What is about the other kind of source is a mistake.
    fn check(&self) -> Result<(), Error> {
        let wrong: &[(&str, bool)] = match &self.from {
            From::Github(_) => {
                &[("--compose", self.compose.is_some()), ("--service", self.service.is_some())]
            }
            From::Registry(_) => &[
                ("--asset", self.asset.is_some()),
                ("--strip", self.strip > 0),
                ("--run", self.run.is_some()),
                ("--overlay", self.overlay.is_some()),
                ("--token-file", self.token_file.is_some()),
            ],
        };
        let kind = match &self.from {
            From::Github(_) => "a file of a release at GitHub",
            From::Registry(_) => "an image of a registry",
        };
        match wrong.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Error::Usage(format!("{name} does not apply to {kind}"))),
            None => Ok(()),
        }
    }

    fn prereleases(&self) -> Prereleases {
        if self.prereleases { Prereleases::Take } else { Prereleases::Skip }
    }
}

/// What is built, and where it is from.
struct Fetched {
    version: Version,
    input: Input,
    source: String,
    tag: Option<String>,
    asset: Option<String>,
    sha256: Digest,
    verified: bool,
    /// What the release says of where it is from.
    origin: String,
    text: String,
    // What the input reads.
    _kept: Kept,
}

/// Files that are there until the bundle is made.
enum Kept {
    Asset { _tree: Option<Prepared>, _folder: Temporary<TempDir> },
    Image { _layouts: Layouts },
}

/// A file of a release at GitHub.
fn github(
    args: &Args,
    source: &Source,
    web: &Web,
    cache: &Cache,
    newer_than: Option<&Version>,
    progress: &dyn Progress,
) -> Result<Fetched, Error> {
    let token = token(args.token_file.as_deref())?;
    let github = Github::new(web, cache, &args.api, token.as_deref())?;
    let choice = Choice {
        tag_prefix: args.tag_prefix.clone(),
        prereleases: args.prereleases(),
        asset: args.asset.clone().or_else(|| args.component.is_none().then(|| "*.img*".into())),
    };
    let chosen = github.choose(source, &choice)?;
    let version = args.version.clone().map_or_else(|| chosen.version(), Ok)?;
    newer(&chosen.name, &version, newer_than)?;
    // Under its own name, so that messages are about it.
    let folder = cache.temporary("import.")?;
    let file = folder.path().join(file_name(chosen.asset()));
    let sha256 = github.download(source, &chosen, &file, progress)?;
    let tree = prepared(args, &version, &file, folder.path())?;
    let input = match &args.component {
        Some(component) => Input::Tree {
            component: component.clone(),
            tree: tree.as_ref().map_or(file.as_path(), |p| p.tree()).into(),
        },
        None => Input::Disk(DiskOptions {
            image: file,
            boot_partition: None,
            system_partition: None,
            overlay: args.overlay.clone(),
        }),
    };
    let verified = chosen.digest().is_some();
    let said =
        if verified { "as GitHub says" } else { "which GitHub doesn't say: compare it with the author's" };
    Ok(Fetched {
        version,
        input,
        source: chosen.name.clone(),
        tag: Some(chosen.tag.clone()),
        asset: Some(chosen.asset().into()),
        sha256,
        verified,
        origin: origin([
            format!("{} {} sha256:{sha256}", chosen.name, chosen.asset()),
            format!("{} sha256:{sha256}", chosen.name),
            chosen.name.clone(),
        ]),
        text: format!("from {}: {}, sha256:{sha256}, {said}\n", chosen.name, chosen.asset()),
        _kept: Kept::Asset { _tree: tree, _folder: folder },
    })
}

/// An image of a registry.
fn registry(
    args: &Args,
    reference: &Reference,
    web: &Web,
    cache: &Cache,
    newer_than: Option<&Version>,
    progress: &dyn Progress,
) -> Result<Fetched, Error> {
    let (Some(component), Some(compose)) = (args.component.clone(), args.compose.clone()) else {
        return Err(Error::Usage(
            "an image of a registry is a component of containers: give --component NAME and --compose FILE"
                .into(),
        ));
    };
    let registry = Registry::new(web, cache, reference)?;
    let resolved = registry.resolve(&args.tag_prefix, args.prereleases())?;
    let version = match (&args.version, &resolved.tag) {
        (Some(version), _) => version.clone(),
        (None, Some(tag)) => tag::version_after(&args.tag_prefix, tag)
            .map_err(|why| FetchError::Tag { tag: tag.clone(), why })?,
        (None, None) => {
            return Err(Error::Usage(format!("{reference} names no version: give --version")));
        }
    };
    newer(&reference.to_string(), &version, newer_than)?;
    let mut layouts = Layouts::new(cache)?;
    let path = registry.pull(&resolved, &args.platform, &mut layouts, progress)?;
    let image = ImageArg { service: args.service.clone(), source: ImageSource { saved: Saved::Oci, path } };
    let source = resolved.pinned.to_string();
    let tagged = resolved.tag.as_ref().map_or_else(|| source.clone(), |tag| format!("{source} ({tag})"));
    Ok(Fetched {
        version,
        input: Input::Containers { component, compose, images: vec![image], platform: args.platform.clone() },
        origin: origin([tagged, source.clone(), format!("sha256:{}", resolved.digest)]),
        text: format!("from {}", image_line(None, &resolved)),
        source,
        tag: resolved.tag,
        asset: None,
        sha256: resolved.digest,
        verified: true,
        _kept: Kept::Image { _layouts: layouts },
    })
}

/// Refuse what isn't newer: it is nothing to do.
fn newer(name: &str, version: &Version, there: Option<&Version>) -> Result<(), Error> {
    let Some(there) = there else { return Ok(()) };
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

/// What the release says of where it is from: the first text that there is room for.
fn origin(texts: [String; 3]) -> String {
    texts.into_iter().find(|text| text.len() <= limits::REASON).unwrap_or_default()
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
