//! Publishing: a bundle is verified, its blobs come into the repository, and a channel offers its release.
//!
//! Blobs come first, so that what a channel offers can be fetched; until the commit they are [leased](super::lease). A process that dies in
//! between leaves unreferenced blobs; the next try finds them there. Each blob is hashed while it is sent: a bundle that is changed after it was verified is found.
use super::catalog::{self, CatalogError, Entry};
use super::channel::{ChannelError, ChannelLog};
use super::delta_file;
use super::delta_publish::{self, DeltaPublishError, PublishedDelta};
use super::edit::{self, EditError};
use super::hashing_reader::HashingReader;
use super::lease::{Lease, LeaseError};
use super::roots::Roots;
use super::store::{Claim, Created, Store, StoreError};
use super::version_claim;
use super::wanted;
use super::writer::{Change, ChannelWriter, Committed};
use crate::bundle::Reader;
use crate::parallel::Threads;
use crate::progress::{Progress, Stage};
use crate::verify::{self, VerifyError};
use bistable_format::bundle::{BLOCK, Frame, blob_digest};
use bistable_format::channel::{Channel, Offer, Passage};
use bistable_format::rollout::Rollout;
use bistable_format::{Digest, Extensions, Release, TrustError, release, repository as names};
use semver::Version;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How many of a channel's newest releases are read to know which versions its devices may run.
const LOOK_BACK: usize = 64;

/// Why nothing is published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The bundle is wrong, or not signed for this repository's root.
    #[error(transparent)]
    Bundle(#[from] VerifyError),
    /// The bundle can't be read any more.
    #[error("can't read the bundle {path}", path = path.display())]
    Read {
        /// The bundle.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The channel can't be changed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The catalog can't be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The root trusts demo keys, and the channel is the one for products.
    #[error("channel production takes no release while the root trusts demo keys")]
    Demo(#[source] TrustError),
    /// Not into this channel as it is.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A delta is wrong.
    #[error(transparent)]
    Delta(#[from] Box<DeltaPublishError>),
    /// Devices would have to fetch the whole release.
    #[error(
        "devices that run {} would fetch the whole release: make the deltas with `bistable-image delta`, or leave \
         --require-deltas out",
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    )]
    NoDeltas {
        /// The versions from which there is none.
        missing: Vec<Version>,
    },
    /// A prune is at it.
    #[error(transparent)]
    Hold(#[from] LeaseError),
    /// Another release has this version.
    #[error(
        "{what} {version} is already taken by release {there:.12}; versions are immutable: build under a new version"
    )]
    Taken {
        /// What it is a version of.
        what: String,
        /// The version.
        version: Version,
        /// The identity of the release that has it.
        there: String,
    },
}

/// What is published, and how.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The bundle.
    pub bundle: PathBuf,
    /// Whether devices may go past it.
    pub passage: Passage,
    /// Which devices get it, and when.
    pub rollout: Rollout,
    /// Whether it closes a hole: its security version must be higher than any that the channel offers.
    pub fixes_security: bool,
    /// Deltas to it, which are applied before they are published.
    pub deltas: Vec<PathBuf>,
    /// Releases of the product back to which devices of the channel are expected to be.
    pub last: usize,
    /// Whether each of these, and what is offered now, needs a delta.
    pub require_deltas: bool,
    /// Threads that verify.
    pub threads: Threads,
}

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// The release.
    pub release: Release,
    /// Its name: see [`release::identity`].
    pub identity: Digest,
    /// Bytes that were not there yet.
    pub uploaded: u64,
    /// Bytes of all its blobs.
    pub bytes: u64,
    /// The deltas that were given.
    pub deltas: Vec<PublishedDelta>,
    /// Versions that devices may run and from which there is no delta.
    pub without_delta: Vec<Version>,
    /// The channel's new file; none if it offers the release already.
    pub committed: Option<Committed>,
}

/// Publish.
///
/// # Errors
/// See [`PublishError`]. Without a commit, what was uploaded is found again by the next try.
pub fn publish(
    writer: &ChannelWriter<'_>,
    publication: &Publication,
    progress: &dyn Progress,
) -> Result<Published, PublishError> {
    let (log, committer) = (writer.log, writer.by);
    let (store, roots) = (log.store(), log.roots());
    let path = publication.bundle.as_path();
    let root = &roots.newest().root;
    if log.name() == "production" {
        root.refuse_demo().map_err(PublishError::Demo)?;
    }
    let read = |source| PublishError::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(|source| VerifyError::Open { path: path.into(), source })?;
    let wrong = |source| VerifyError::Bundle { path: path.into(), source };
    let reader = Reader::open(file.try_clone().map_err(read)?, root).map_err(wrong)?;
    let (release, signed) = (reader.release().clone(), reader.signed_release().to_vec());
    let identity = release::identity(&signed);
    verify::content(reader, path, publication.threads, progress)?;

    // Fail before uploading gigabytes.
    if let Some(there) =
        store.get(&names::version(release.subject(), &release.version), version_claim::BYTES)?
    {
        check_version(&release, &identity, &there)?;
    }
    let frame = Frame::new(&signed, &release);
    let offer = Offer {
        constraints: release.constraints(),
        release: Digest::of(&signed),
        release_bytes: u32::try_from(signed.len()).unwrap_or(u32::MAX),
        identity,
        since: 0,
        passage: publication.passage,
        rollout: publication.rollout.clone(),
        extensions: Extensions::default(),
    };
    let entry = Entry {
        product: release.product().into(),
        component: release.component.clone(),
        version: release.version.clone(),
        release: offer.release,
        identity,
        security_version: release.security_version,
        boards: release.boards.clone(),
        at: 0,
        description: Entry::shorten(&release.description),
        author: release.author.clone(),
        bytes: blob_bytes(&frame),
    };
    let mut draft = writer.next()?;
    let now = draft.issued_at;
    edit::carries(&draft, &release)?;
    if publication.fixes_security {
        edit::raises_security(&draft, &offer)?;
    }
    match edit::publish(&mut draft, offer.clone(), now) {
        Err(EditError::AlreadyOffered { .. }) => {}
        allowed => allowed?,
    }
    let deltas =
        delta_publish::check(store, roots, &identity, &publication.deltas, publication.threads, progress)
            .map_err(Box::new)?;
    let given: Vec<Digest> = deltas.iter().map(delta_publish::Checked::base).collect();
    let without_delta = without_delta(store, roots, &draft, &offer, publication.last, &given)?;
    if publication.require_deltas && !without_delta.is_empty() {
        return Err(PublishError::NoDeltas { missing: without_delta });
    }
    // With these keys, too: what is refused only at the end has taken its version forever.
    writer.seal(&draft)?;
    let blobs = frame.headers.iter().filter_map(|header| blob_digest(&header.name));
    let held = deltas.iter().flat_map(delta_publish::Checked::held);
    let _lease = Lease::take(store, committer.clock, blobs.chain(held))?;
    let (uploaded, bytes) = upload(store, &mut file, path, &frame, progress)?;
    // Before the offer: the first device that sees it finds them.
    let deltas = deltas
        .into_iter()
        .map(|delta| delta.publish(store, roots, committer))
        .collect::<Result<_, _>>()
        .map_err(Box::new)?;
    let committed = writer.commit(|draft| add(log, store, draft, &release, offer.clone(), entry.clone()))?;
    Ok(Published { release, identity, uploaded, bytes, deltas, without_delta, committed })
}

/// The versions that devices of the channel may run, and from which there is no delta.
fn without_delta(
    store: &Store,
    roots: &Roots,
    channel: &Channel,
    offer: &Offer,
    last: usize,
    given: &[Digest],
) -> Result<Vec<Version>, PublishError> {
    let mut newest = Vec::new();
    // Enough of the same are among these, and no publish reads all of a large catalog.
    for entry in catalog::newest_first(store, &channel.catalog).take(LOOK_BACK) {
        let entry = entry?;
        if newest.len() == last {
            break;
        }
        let is_there = newest.iter().any(|there: &Entry| there.identity == entry.identity);
        if entry.subject() == offer.constraints.subject() && entry.identity != offer.identity && !is_there {
            newest.push(entry);
        }
    }
    let bases = wanted::bases(channel, &newest, (&offer.constraints, &offer.identity), last);
    if bases.iter().all(|base| given.contains(&base.identity)) {
        return Ok(Vec::new());
    }
    let mut there = given.to_vec();
    for delta in delta_file::of(store, roots, &offer.identity)?.good {
        if delta.lacks(store)?.is_none() {
            there.push(delta.delta.base);
        }
    }
    let has = |base: &Digest| there.contains(base);
    Ok(bases.into_iter().filter(|base| !has(&base.identity)).map(|base| base.version).collect())
}

/// Offer a release, too.
fn add(
    log: &ChannelLog<'_>,
    store: &Store,
    draft: &mut Channel,
    release: &Release,
    mut offer: Offer,
    mut entry: Entry,
) -> Result<Change, PublishError> {
    let about = edit::named(&offer);
    let now = draft.issued_at;
    (offer.since, entry.at) = (now, now);
    let identity = offer.identity;
    match edit::publish(draft, offer, now) {
        // It was done already: perhaps this very program, before it was stopped.
        Err(EditError::AlreadyOffered { .. }) => return Ok(Change::Nothing),
        published => published?,
    }
    edit::carries(draft, release)?;
    // Only what is about to be offered takes a version's name.
    log.check_root()?;
    claim_version(store, release, &identity)?;
    draft.catalog = catalog::add(store, &draft.catalog, &[entry])?;
    Ok(Change::Made { verb: "publish".into(), about })
}

/// Take the version's name for this release.
fn claim_version(store: &Store, release: &Release, identity: &Digest) -> Result<(), PublishError> {
    match version_claim::claim(store, release.subject(), &release.version, identity)? {
        Claim::Ours => Ok(()),
        Claim::Theirs(there) => check_version(release, identity, &there),
    }
}

/// Whether the file of a version's name says that it is this release's.
fn check_version(release: &Release, identity: &Digest, there: &[u8]) -> Result<(), PublishError> {
    if version_claim::named(there) == Some(*identity) {
        return Ok(());
    }
    let there = String::from_utf8_lossy(there);
    Err(PublishError::Taken {
        what: release.what(),
        version: release.version.clone(),
        there: there.chars().filter(char::is_ascii_hexdigit).collect(),
    })
}

/// Bytes of the bundle's blobs.
fn blob_bytes(frame: &Frame) -> u64 {
    frame.headers.iter().filter(|h| blob_digest(&h.name).is_some()).map(|h| h.bytes).sum()
}

/// Bring the bundle's blobs into the store: how many bytes weren't there, of how many.
fn upload(
    store: &Store,
    file: &mut File,
    path: &Path,
    frame: &Frame,
    progress: &dyn Progress,
) -> Result<(u64, u64), PublishError> {
    let read = |source| PublishError::Read { path: path.into(), source };
    progress.begin(Stage::Upload, frame.bundle_bytes());
    let (mut offset, mut uploaded, mut bytes) = (0, 0, 0);
    for header in &frame.headers {
        offset += BLOCK as u64;
        if let Some(digest) = blob_digest(&header.name) {
            file.seek(SeekFrom::Start(offset)).map_err(read)?;
            let from = file.by_ref().take(header.bytes);
            let (mut done, changed) = (offset, "the bundle was changed after it was verified");
            let mut hashed = HashingReader::new(from, digest, changed, |read| {
                done += read;
                progress.advance(Stage::Upload, done);
            });
            if store.upload(&header.name, &mut hashed, header.bytes)? == Created::Created {
                uploaded += header.bytes;
            }
            bytes += header.bytes;
        }
        offset += header.bytes + header.padding() as u64;
        progress.advance(Stage::Upload, offset);
    }
    progress.end(Stage::Upload);
    Ok((uploaded, bytes))
}
