//! What `build` and `import` say about a release, whatever it is made from.
use crate::answer::{self, DeltaMade};
use crate::build::{BuildOptions, Built, ChunkSize, Input, Level, SbomSource};
use crate::clock;
use crate::delta::{self, DeltaOptions, Made};
use crate::error::Error;
use crate::inspect::{self, Content};
use crate::keys::SecretKey;
use crate::output::Existing;
use crate::parallel::Threads;
use crate::progress::Progress;
use crate::root::{self, SignedRoot};
use crate::size::{Bytes, Count};
use bistable_format::{
    Release, Requires, Root, Urgency, limits,
    name::{Subject, what},
    release::DataPolicy,
};
use semver::{Version, VersionReq};
use std::path::{Path, PathBuf};

/// Which release it becomes, and who signs it.
#[derive(Debug, clap::Args)]
pub(crate) struct ReleaseArgs {
    /// Product that it is for: devices take only their own product's releases.
    #[arg(long)]
    pub(super) product: String,
    /// Board that it runs on, for example pi4. Repeat it for more.
    #[arg(long, required = true)]
    board: Vec<String>,
    /// Secret key that signs the release. Repeat it for more.
    #[arg(long, value_name = "NAME.key", required = true)]
    key: Vec<PathBuf>,
    /// The bundle to make.
    #[arg(long, value_name = "X.bundle")]
    out: PathBuf,
    /// Replace the bundle if it exists.
    #[arg(long)]
    force: bool,
    /// Security version: raise it when older releases must never come back. That of --previous if not given, else 0
    #[arg(long, value_name = "N")]
    security_version: Option<u32>,
    /// The release before this one, a bundle: its security version is this one's
    #[arg(long, value_name = "X.bundle", conflicts_with = "security_version")]
    previous: Option<PathBuf>,
    /// This release closes a hole: its security version is one above that of --previous
    #[arg(long, requires = "previous")]
    fixes_security: bool,
    /// What the running version must be, for example `>=1.2`.
    #[arg(long, value_name = "REQ", value_parser = requirement)]
    requires_running: Option<VersionReq>,
    /// What another component's version must be, for example `bootloader=>=2`. Repeat it for more.
    #[arg(long, value_name = "NAME=REQ", value_parser = component)]
    requires: Vec<(String, VersionReq)>,
    /// Version of another component that this release doesn't go with: `boot-loader=<2.1`. Repeat for more.
    #[arg(long, value_name = "NAME=VERSIONS", value_parser = component)]
    conflicts: Vec<(String, VersionReq)>,
    /// How soon devices should install it: normal or security
    #[arg(long, default_value = "normal", value_parser = urgency)]
    urgency: Urgency,
    /// What the new system does to its data: compatible, or migrates if the version before can't use them any more
    #[arg(long, default_value = "compatible", value_parser = data)]
    data: DataPolicy,
    /// Release notes shown to operators
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Author of the release
    #[arg(long, default_value = "", hide_default_value = true)]
    author: String,
    /// SBOM, a CycloneDX file in JSON; or `auto`: it is made of what dpkg, pip and `cargo auditable` left in the packed tree. The bundle
    /// and the repository keep it, devices don't fetch it, and `show` tells what changed
    #[arg(long, value_name = "FILE|auto")]
    sbom: Option<PathBuf>,
    /// Self-test plan.
    #[arg(long, value_name = "plan.toml")]
    self_tests: Option<PathBuf>,
    /// Health profile.
    #[arg(long, value_name = "profile.toml")]
    health: Option<PathBuf>,
    /// What can be set of a component on the device: variables of its service's environment, and files
    #[arg(long, value_name = "configuration.toml")]
    configuration: Option<PathBuf>,
    /// zstd level, 1 to 19.
    #[arg(long, value_parser = super::delta::level)]
    level: Option<Level>,
    /// Raw bytes in a chunk: a power of two from 256K to 4M.
    #[arg(long, value_name = "SIZE", value_parser = chunk_size)]
    chunk_size: Option<ChunkSize>,
    /// Worker threads; as many as there are processors if not given. Changes no byte of the bundle.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Bundle of a release that devices run: make the delta from it, too, beside the bundle. Repeat it for more
    #[arg(long, value_name = "OLD.bundle")]
    delta_from: Vec<PathBuf>,
    /// The devices' root: of which repository the release is, and whether devices will accept its keys. It is put into the
    /// system as /usr/share/bistable/root.root, which the root that a device has stored must descend from
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT", required = true)]
    root: Option<PathBuf>,
}

/// What to build, and the deltas to make besides.
pub(super) struct Options {
    pub(super) build: BuildOptions,
    delta_from: Vec<PathBuf>,
}

impl ReleaseArgs {
    /// The devices' root.
    pub(super) fn root(&self) -> Result<Option<SignedRoot>, Error> {
        Ok(self.root.as_ref().map(|path| root::read(path)).transpose()?)
    }

    /// The release before this one.
    pub(super) fn previous(
        &self,
        component: Option<&str>,
        root: Option<&Root>,
    ) -> Result<Option<Release>, Error> {
        let of = (self.product.as_str(), component);
        self.previous.as_deref().map(|path| previous(path, of, root)).transpose()
    }

    /// What to build from this input.
    pub(super) fn options(
        self,
        version: Version,
        input: Input,
        root: Option<SignedRoot>,
    ) -> Result<Options, Error> {
        let security_version = match self.previous(input.component(), root.as_ref().map(|r| &r.root))? {
            None => self.security_version.unwrap_or(0),
            Some(previous) => previous.security_version.saturating_add(u32::from(self.fixes_security)),
        };
        let none = PathBuf::new;
        let build = BuildOptions {
            security_version,
            boards: self.board,
            requires: Requires {
                running: self.requires_running,
                components: self.requires,
                conflicts: self.conflicts,
            },
            urgency: self.urgency,
            data: self.data,
            description: self.description,
            author: self.author,
            sbom: sbom(self.sbom)?,
            self_tests: text(self.self_tests.as_deref())?,
            health: text(self.health.as_deref())?,
            configuration: text(self.configuration.as_deref())?,
            build_time: build_time()?,
            input,
            keys: self.key.iter().map(|p| SecretKey::read(p)).collect::<Result<_, _>>()?,
            root,
            chunk_size: self.chunk_size.unwrap_or_default(),
            level: self.level.unwrap_or_default(),
            threads: Threads::asked(self.threads),
            existing: if self.force { Existing::Replace } else { Existing::Refuse },
            ..BuildOptions::new(&self.product, version, "", none(), none(), self.out)
        };
        Ok(Options { build, delta_from: self.delta_from })
    }
}

impl Options {
    /// The deltas to the bundle that was built. It stays if they fail.
    pub(super) fn deltas(&self, progress: &dyn Progress) -> Result<Vec<Made>, Error> {
        let (from, build) = (&self.delta_from, &self.build);
        let Some(root) = build.root.as_ref().filter(|_| !from.is_empty()) else { return Ok(Vec::new()) };
        let folder = build.out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let options = DeltaOptions {
            root: &root.root,
            keys: &build.keys,
            level: Level::BEST,
            threads: build.threads,
            folder,
            existing: build.existing,
        };
        Ok(delta::make(from, &build.out, &options, progress)?)
    }

    /// What was built, for programs.
    pub(super) fn answer(&self, built: &Built, deltas: &[Made]) -> answer::Built {
        let deltas = deltas.iter().map(DeltaMade::from).collect();
        answer::Built::new(&self.build.out, built, deltas)
    }
}

// Without its feature `std`, which the leaf crates can't have, semver's errors are not what clap wants.
pub(super) fn version(text: &str) -> Result<Version, String> {
    text.parse().map_err(|e| format!("{e}; give a semantic version such as 1.2.3 or 1.3.0-beta.1"))
}

pub(super) fn requirement(text: &str) -> Result<VersionReq, String> {
    text.parse().map_err(|e| format!("{e}; give a requirement such as >=1.2 or ^2"))
}

fn component(text: &str) -> Result<(String, VersionReq), String> {
    let (name, req) = text.split_once('=').ok_or("give NAME=REQ, for example bootloader=>=2")?;
    Ok((name.into(), requirement(req)?))
}

fn urgency(text: &str) -> Result<Urgency, String> {
    let known = [Urgency::Normal, Urgency::Security];
    known.into_iter().find(|u| u.name() == text).ok_or_else(|| "give normal or security".into())
}

fn data(text: &str) -> Result<DataPolicy, String> {
    let known = [DataPolicy::Compatible, DataPolicy::Migrates];
    known.into_iter().find(|d| d.name() == text).ok_or_else(|| "give compatible or migrates".into())
}

fn chunk_size(text: &str) -> Result<ChunkSize, String> {
    let bytes: Option<Bytes> = text.parse().ok();
    bytes.and_then(|b| ChunkSize::new(b.0)).ok_or_else(|| "give 256K, 512K, 1M, 2M or 4M".into())
}

/// SOURCE_DATE_EPOCH, or else now.
pub(super) fn build_time() -> Result<u64, Error> {
    match std::env::var_os("SOURCE_DATE_EPOCH") {
        None => Ok(clock::unix_now()),
        Some(text) => text.to_str().and_then(|t| t.parse().ok()).ok_or_else(|| {
            Error::Usage(format!("SOURCE_DATE_EPOCH is {text:?}: give seconds since 1970, or unset it"))
        }),
    }
}

/// The release before this one.
fn previous(path: &Path, of: Subject<'_>, root: Option<&Root>) -> Result<Release, Error> {
    let (Content::Bundle(file, _) | Content::Release(file)) = inspect::inspect(path, root)?.content else {
        return Err(Error::Usage(format!("{} is neither a bundle nor a release", path.display())));
    };
    let release = file.release;
    if release.subject() != of {
        let (found, wanted) = (release.what(), what(of));
        return Err(Error::Usage(format!("{} is a release of {found}, not of {wanted}", path.display())));
    }
    Ok(release)
}

/// The SBOM in this file, or the one that is to be made.
fn sbom(path: Option<PathBuf>) -> Result<SbomSource, Error> {
    match path {
        None => Ok(SbomSource::None),
        Some(path) if path == Path::new("auto") => Ok(SbomSource::Auto),
        Some(path) => {
            let bytes = crate::output::read_limited(&path, limits::SBOM as usize)
                .map_err(|e| Error::Usage(format!("can't read {}: {e}", path.display())))?;
            Ok(SbomSource::File { path, bytes })
        }
    }
}

fn text(path: Option<&Path>) -> Result<String, Error> {
    let Some(path) = path else { return Ok(String::new()) };
    let bytes = crate::output::read_limited(path, limits::PLAN)
        .map_err(|e| Error::Usage(format!("can't read {}: {e}", path.display())))?;
    String::from_utf8(bytes).map_err(|_| Error::Usage(format!("{} is not UTF-8 text", path.display())))
}

/// What was built, human-readable.
pub(super) fn built_text(built: &Built, deltas: &[Made], path: &Path) -> String {
    let mut text = format!("{}  {}\n", path.display(), Bytes(built.bytes));
    if let Some(found) = &built.dissected {
        text.push_str(&format!(
            "from a card image ({}): boot is partition {}, system is partition {}\n",
            found.table.name(),
            found.boot_partition,
            found.system_partition
        ));
    }
    for v in &built.artifacts {
        text.push_str(&format!(
            "{:8}{:>12} raw {:>12} compressed  from {}: read in {:.1} s, {} of {} ({} zero) in {:.1} s\n",
            v.id,
            Bytes(v.artifact.bytes).to_string(),
            Bytes(v.artifact.data_bytes).to_string(),
            v.input,
            v.plan_time.as_secs_f64(),
            Count(v.chunks, "chunk"),
            Bytes(v.chunk_bytes.into()),
            v.zero_chunks,
            v.encode_time.as_secs_f64(),
        ));
    }
    if let Some((file, sbom)) = built.sbom() {
        text.push_str(&format!(
            "packages  {} in the SBOM (CycloneDX {}, {})\n",
            sbom.packages.len(),
            sbom.spec,
            Bytes(file.bytes.into())
        ));
    }
    let release = &built.release;
    let seconds = built.time.as_secs_f64();
    text.push_str(&format!(
        "release {}\n{} {}, put together in {:.1} s, {seconds:.1} s in all\n",
        built.digest,
        release.what(),
        release.version,
        built.assemble_time.as_secs_f64(),
    ));
    text.extend(deltas.iter().map(super::delta::line));
    text
}
