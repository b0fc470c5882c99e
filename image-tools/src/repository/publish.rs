//! Publishing: a bundle is verified, its blobs come into the repository, and a channel offers its release.
//!
//! Blobs come first, so that what a channel offers can be fetched. Who dies in between leaves blobs that nobody names; the next
//! try finds them there. Each blob is hashed while it is sent: a bundle that is changed after it was verified is found.
use super::catalog::{self, CatalogError, Entry};
use super::channel::{Change, ChannelError, Committed, Committer, Log};
use super::roots::Roots;
use super::store::{Created, Store, StoreError};
use crate::bundle::Reader;
use crate::parallel::Threads;
use crate::progress::{Progress, Stage};
use crate::verify::VerifyError;
use bistable_format::bundle::{BLOCK, Frame, blob_digest};
use bistable_format::channel::{Channel, Offer, Passage};
use bistable_format::rollout::Rollout;
use bistable_format::{Digest, Hasher, Release, TrustError, limits, release};
use semver::Version;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

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
    /// The catalogue can't be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The root trusts demo keys, and the channel is the one for products.
    #[error("channel production takes no release while the root trusts demo keys")]
    Demo(#[source] TrustError),
    /// It was withdrawn from this channel.
    #[error(
        "release {version} was withdrawn from channel {channel} ({reason}): build it anew under another version"
    )]
    Withdrawn {
        /// The channel.
        channel: String,
        /// Its version.
        version: Version,
        /// Why.
        reason: String,
    },
    /// Another release of this version is on offer.
    #[error(
        "channel {channel} offers another {product} {version} already: a version names one release; build it under another one"
    )]
    Taken {
        /// The channel.
        channel: String,
        /// The product.
        product: String,
        /// The version.
        version: Version,
    },
    /// No room for another offer.
    #[error("channel {channel} has {max} offers that all must stay (pinned, or a barrier): withdraw or unpin some", max = limits::OFFERS)]
    Full {
        /// The channel.
        channel: String,
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
    /// The channel's new file; none if it offers the release already.
    pub committed: Option<Committed>,
}

/// Publish.
///
/// # Errors
/// See [`PublishError`]. Without a commit, what was uploaded is found again by the next try.
pub fn publish(
    store: &Store,
    roots: &Roots,
    log: &Log<'_>,
    committer: &Committer<'_>,
    publication: &Publication,
    progress: &dyn Progress,
) -> Result<Published, PublishError> {
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
    reader.volumes(publication.threads, progress, &mut |_, _, _| Ok(())).map_err(wrong)?;

    let (uploaded, bytes) = upload(store, &mut file, path, &Frame::new(&signed, &release), progress)?;
    let offer = Offer {
        terms: release.terms(),
        release: Digest::of(&signed),
        release_bytes: u32::try_from(signed.len()).unwrap_or(u32::MAX),
        identity,
        since: 0,
        passage: publication.passage,
        rollout: publication.rollout.clone(),
    };
    let entry = Entry {
        product: release.product.clone(),
        version: release.version.clone(),
        release: offer.release,
        identity,
        security_version: release.security_version,
        boards: release.boards.clone(),
        at: 0,
        description: Entry::shorten(&release.description),
        author: release.author.clone(),
        bytes,
    };
    let committed = committer.commit(log, |draft| add(store, draft, offer.clone(), entry.clone()))?;
    Ok(Published { release, identity, uploaded, bytes, committed })
}

/// Offer a release, too.
fn add(
    store: &Store,
    draft: &mut Channel,
    mut offer: Offer,
    mut entry: Entry,
) -> Result<Change, PublishError> {
    let terms = &offer.terms;
    if draft.offer(&offer.identity).is_some() {
        return Ok(Change::Nothing);
    }
    if let Some(withdrawn) = draft.withdrawal(&offer.identity) {
        return Err(PublishError::Withdrawn {
            channel: draft.name.clone(),
            version: terms.version.clone(),
            reason: withdrawn.reason.clone(),
        });
    }
    let same = |o: &&Offer| o.terms.product == terms.product && o.terms.version == terms.version;
    if draft.offers.iter().any(|o| same(&o)) {
        return Err(PublishError::Taken {
            channel: draft.name.clone(),
            product: terms.product.clone(),
            version: terms.version.clone(),
        });
    }
    let about = format!("{} {}", terms.product, terms.version);
    (offer.since, entry.at) = (draft.issued_at, draft.issued_at);
    while draft.offers.len() >= limits::OFFERS {
        make_room(draft)?;
    }
    draft.catalog = catalog::add(store, &draft.catalog, &[entry])?;
    draft.offers.push(offer);
    Ok(Change::Made { verb: "publish".into(), about })
}

/// Take out the oldest version of the product with most offers, but for what must stay. It stays in the catalogue.
fn make_room(draft: &mut Channel) -> Result<(), PublishError> {
    let stays = |o: &Offer| o.passage == Passage::Barrier || draft.pins.contains(&o.identity);
    let offers_of = |product: &str| draft.offers.iter().filter(|o| o.terms.product == product).count();
    let candidates = draft.offers.iter().enumerate().filter(|(_, o)| !stays(o));
    let oldest = candidates.min_by(|(_, a), (_, b)| {
        let most_first = offers_of(&b.terms.product).cmp(&offers_of(&a.terms.product));
        most_first
            .then_with(|| a.terms.product.cmp(&b.terms.product))
            .then_with(|| a.terms.version.cmp_precedence(&b.terms.version))
            .then_with(|| a.since.cmp(&b.since))
    });
    match oldest.map(|(i, _)| i) {
        Some(i) => {
            draft.offers.remove(i);
            Ok(())
        }
        None => Err(PublishError::Full { channel: draft.name.clone() }),
    }
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
            let mut hashed = Hashed { from, hasher: Some(Hasher::new()), digest, progress, done: offset };
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

/// Ends in an error if what was read isn't what its digest says.
struct Hashed<'a, R> {
    from: R,
    hasher: Option<Hasher>,
    digest: Digest,
    progress: &'a dyn Progress,
    done: u64,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        if read > 0 {
            if let (Some(hasher), Some(bytes)) = (&mut self.hasher, into.get(..read)) {
                hasher.update(bytes);
            }
            self.done += read as u64;
            self.progress.advance(Stage::Upload, self.done);
        } else if !into.is_empty()
            && let Some(hasher) = self.hasher.take()
            && hasher.finish() != self.digest
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the bundle was changed after it was verified",
            ));
        }
        Ok(read)
    }
}
