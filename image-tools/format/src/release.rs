//! A release: the signed description of an image or of a component.
use crate::{
    Bound, Content, DecodeError, Digest, Envelope, Extensions, Head, Role, Root, TrustError, Volumes,
    configuration::Declaration,
    constraints::{Constraints, Requires, Urgency},
    content::Blob,
    envelope, from_postcard, health, limits,
    name::{self, Subject},
    open::OpenList,
    selftest,
    text::is_printable,
    to_postcard,
};
use alloc::{format, string::String, vec::Vec};
use ed25519_dalek::SigningKey;
use semver::Version;
use serde::{Deserialize, Serialize};

/// The extension with what an operator can set. It has to be understood: without it, the service would lack what it needs.
const CONFIGURATION: u16 = 65;
/// The extension with the bytes of the SBOM: it is a file of the repository and of the bundle. It need not be understood: no device
/// reads the file.
const SBOM_BYTES: u16 = 66;
/// Bytes of that extension at most: those of the largest number.
const SBOM_BYTES_MAX: usize = 5;

/// What an update does to the data of its component, or of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataPolicy {
    /// The version before can still use them.
    #[default]
    Compatible,
    /// It can't: they are saved before.
    Migrates,
}

impl DataPolicy {
    /// Its name, as options and messages have it.
    pub const fn name(self) -> &'static str {
        match self {
            DataPolicy::Compatible => "compatible",
            DataPolicy::Migrates => "migrates",
        }
    }
}

/// The signed description of an image or of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which agents can use it, of which repository, for which product. A device takes only its own product's releases.
    pub head: Head,
    /// The highest format of what agents keep on a device that the agent in this image reads. The agents of both slots
    /// share that, so each writes what the other one reads (I18).
    pub durable: u16,
    /// The component that it is a version of; none for an image of the whole system.
    pub component: Option<String>,
    /// Semantic version: a device takes only newer ones, pre-releases before their release.
    pub version: Version,
    /// Rises when an old release must never come back; devices keep the highest committed one as a floor.
    pub security_version: u32,
    /// Boards that it runs on, for example `pi4`.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::BOARDS }>")]
    pub boards: Vec<String>,
    /// What a device must have before.
    pub requires: Requires,
    /// How soon it should be installed.
    pub urgency: Urgency,
    /// Release notes, shown to operators.
    pub description: String,
    /// Its author.
    pub author: String,
    /// Seconds since 1970. A lower bound of the time on the device that runs it; nothing else is decided by it.
    pub build_time: u64,
    /// What it was built from: a repository and its commit, for example. Shown to operators.
    pub origin: String,
    /// Self-test plan, as TOML: see [`selftest`]. Empty means no tests.
    pub self_tests: String,
    /// Health profile, as TOML: see [`health`]. Empty means the defaults.
    pub health: String,
    /// What it does to data.
    pub data: DataPolicy,
    /// SHA-256 of its SBOM: see [`sbom_file`](Self::sbom_file).
    pub sbom: Option<Digest>,
    /// The components that an image brings along.
    pub bound: OpenList<Bound>,
    /// What it consists of.
    pub content: Content,
    /// Additions of later versions.
    pub extensions: Extensions,
}

impl Release {
    /// Where a system says [`Release::durable`] of its agent: a decimal number and a line end.
    pub const FORMATS_PATH: &str = "/usr/share/bistable/formats";

    /// A release with the defaults for all that has one: security version 0, no checks, nothing to tell.
    pub fn new(head: Head, version: Version, boards: Vec<String>, content: Content) -> Release {
        Release {
            head,
            durable: 1,
            component: None,
            version,
            security_version: 0,
            boards,
            requires: Requires::default(),
            urgency: Urgency::Normal,
            description: String::new(),
            author: String::new(),
            build_time: 0,
            origin: String::new(),
            self_tests: String::new(),
            health: String::new(),
            data: DataPolicy::Compatible,
            sbom: None,
            bound: OpenList::default(),
            content,
            extensions: Extensions::default(),
        }
    }

    /// Verify, then decode: the only way from a file to a release.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(bytes: &[u8], root: &Root) -> Result<Release, TrustError> {
        Ok(Release::decode(root.verify(Role::Release, bytes)?)?)
    }

    /// Decode a verified payload and check that it makes sense.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(payload: &[u8]) -> Result<Release, DecodeError> {
        let release: Release = from_postcard("release", payload, limits::ENVELOPE_PAYLOAD)?;
        release.check()?;
        Ok(release)
    }

    /// The payload to be signed.
    ///
    /// # Errors
    /// When it makes no sense or is too large.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        to_postcard("release", self, limits::ENVELOPE_PAYLOAD)
    }

    /// Encode and sign.
    ///
    /// # Errors
    /// When it makes no sense or is too large.
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, TrustError> {
        Ok(envelope::seal(Role::Release, &self.encode()?, keys)?)
    }

    /// The product that it is for.
    pub fn product(&self) -> &str {
        &self.head.product
    }

    /// What it is a version of, as messages have it: `hub`, or `hub/core` for a component.
    pub fn what(&self) -> String {
        name::what(self.subject())
    }

    /// Product or component, and version, as messages have it: `hub 1.2.0`, `hub/core 2.0.0`.
    pub fn named(&self) -> String {
        format!("{} {}", self.what(), self.version)
    }

    /// What it is a version of.
    pub fn subject(&self) -> Subject<'_> {
        (self.product(), self.component.as_deref())
    }

    /// The volumes of an image; none of what isn't one.
    pub fn volumes(&self) -> Option<&Volumes> {
        match &self.content {
            Content::Image(volumes) => Some(volumes),
            Content::Directory(_) | Content::Containers(_) | Content::Unknown(_) => None,
        }
    }

    /// All of it that decides onto which device it may go.
    pub fn constraints(&self) -> Constraints {
        Constraints::from(self)
    }

    /// The self-test plan. Was checked when the release was decoded.
    ///
    /// # Errors
    /// When the text is no plan.
    pub fn self_test_plan(&self) -> Result<selftest::Plan, DecodeError> {
        selftest::Plan::parse(&self.self_tests)
    }

    /// The health profile. Was checked when the release was decoded.
    ///
    /// # Errors
    /// When the text is no profile.
    pub fn health_profile(&self) -> Result<health::Profile, DecodeError> {
        health::Profile::parse(&self.health)
    }

    /// What an operator can set of it, as TOML: see [`configuration`](crate::configuration). Empty if there is nothing.
    pub fn configuration_text(&self) -> &str {
        self.extensions.get(CONFIGURATION).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }

    /// What an operator can set of it. Was checked when the release was decoded.
    ///
    /// # Errors
    /// When the text is not a declaration.
    pub fn configuration(&self) -> Result<Option<Declaration>, DecodeError> {
        let text = self.configuration_text();
        if text.is_empty() { Ok(None) } else { Declaration::parse(text).map(Some) }
    }

    /// Declare what an operator can set of it. An agent that doesn't know of that refuses the release.
    pub fn set_configuration(&mut self, text: &str) {
        if !text.is_empty() {
            self.extensions.set(CONFIGURATION, text.into());
        }
    }

    /// Its SBOM, a CycloneDX file that the repository and the bundle have. None if it has no SBOM, or names one that is kept elsewhere.
    pub fn sbom_file(&self) -> Option<Blob> {
        Some(Blob { digest: self.sbom?, bytes: self.sbom_bytes().ok()?? })
    }

    /// Give it this SBOM.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`]; [`DecodeError::Invalid`] for an empty one.
    pub fn set_sbom(&mut self, sbom: &[u8]) -> Result<(), DecodeError> {
        const WHAT: &str = "release: SBOM";
        let limit = limits::SBOM as usize;
        let bytes = u32::try_from(sbom.len()).ok().filter(|bytes| *bytes <= limits::SBOM);
        let bytes = bytes.ok_or(DecodeError::TooLarge { what: WHAT, bytes: sbom.len(), limit })?;
        self.sbom = Some(Digest::of(sbom));
        self.extensions.set(SBOM_BYTES, to_postcard(WHAT, &bytes, SBOM_BYTES_MAX)?);
        self.sbom_bytes().map(drop)
    }

    fn sbom_bytes(&self) -> Result<Option<u32>, DecodeError> {
        const WHAT: &str = "release: SBOM";
        let Some(bytes) = self.extensions.get(SBOM_BYTES) else { return Ok(None) };
        let bytes = from_postcard(WHAT, bytes, SBOM_BYTES_MAX)?;
        let problem = match (bytes, self.sbom) {
            (1..=limits::SBOM, Some(_)) => return Ok(Some(bytes)),
            (1..=limits::SBOM, None) => "has a length and no digest".into(),
            _ => format!("{bytes} bytes: 1 to {} are possible", limits::SBOM),
        };
        Err(DecodeError::Invalid { what: WHAT, problem })
    }

    fn check(&self) -> Result<(), DecodeError> {
        let invalid = |what, problem: String| Err(DecodeError::Invalid { what, problem });
        self.head.check_for("release: head", true)?;
        self.extensions.check_but("release", &[CONFIGURATION])?;
        if let Some(bytes) = self.extensions.get(CONFIGURATION) {
            let text = core::str::from_utf8(bytes);
            Declaration::parse(text.map_err(|_| DecodeError::Malformed("configuration"))?)?;
            if !matches!(self.content, Content::Directory(_)) {
                let problem = "only an application directory has one".into();
                return invalid("release: configuration", problem);
            }
        }
        self.sbom_bytes()?;
        self.content.check()?;
        self.constraints().check()?;
        if self.durable == 0 {
            return invalid("release: durable", "formats are counted from 1".into());
        }
        if self.description.len() > limits::DESCRIPTION {
            return invalid("release: description", format!("longer than {} bytes", limits::DESCRIPTION));
        }
        if !is_printable(&self.description, &['\n', '\t']) {
            return invalid("release: description", "has control characters or invisible ones".into());
        }
        for (what, text, limit) in [
            ("release: author", &self.author, limits::NAME),
            ("release: origin", &self.origin, limits::REASON),
        ] {
            if text.len() > limit {
                return invalid(what, format!("longer than {limit} bytes"));
            }
            if !is_printable(text, &[]) {
                return invalid(what, "has control characters or invisible ones".into());
            }
        }
        match &self.content {
            Content::Image(_) | Content::Unknown(_) => {}
            Content::Directory(_) | Content::Containers(_) if self.component.is_none() => {
                return invalid(
                    "release: component",
                    "an application needs the name of its component".into(),
                );
            }
            Content::Directory(_) | Content::Containers(_) if self.bound.total() > 0 => {
                return invalid("release: bound component", "only an image brings components along".into());
            }
            Content::Directory(_) | Content::Containers(_) => {}
        }
        for (i, bound) in self.bound.iter().enumerate() {
            bound.check()?;
            if self.bound.iter().skip(i + 1).any(|b| b.component == bound.component) {
                return invalid("release: bound component", format!("{} is there twice", bound.component));
            }
        }
        self.self_test_plan()?;
        self.health_profile()?;
        Ok(())
    }
}

impl From<&Release> for Constraints {
    fn from(release: &Release) -> Self {
        Constraints {
            product: release.product().into(),
            component: release.component.clone(),
            version: release.version.clone(),
            security_version: release.security_version,
            boards: release.boards.clone(),
            requires: release.requires.clone(),
            urgency: release.urgency.clone(),
            content: release.content.kind(),
            bytes: release.content.artifacts().iter().map(|(_, artifact)| artifact.bytes).collect(),
        }
    }
}

/// The name of a release: the digest of its payload. Not that of the whole envelope, because signatures can be added
/// and taken away without the release becoming another one: a device that rejected it must know it again.
///
/// For bytes that are no signed release, which is never trusted, it is the digest of the bytes.
pub fn identity(signed: &[u8]) -> Digest {
    Digest::of(Envelope::parse(signed, Role::Release).map_or(signed, |e| e.payload))
}
