//! From two bundles to a delta's bundle.
use super::encode::{self, Base, Effort, Encoded, Target};
use super::raw::{Image, Part};
use super::{Counts, DeltaError, Level};
use crate::clock::Stopwatch;
use crate::keys::SecretKey;
use crate::output::{self, Access, Existing, NewFile, OutputError};
use crate::parallel::Threads;
use crate::progress::Progress;
use crate::root;
use crate::verify::{self, VerifyError};
use bistable_format::bundle::{EMPTY, END_BYTES, Frame, LAYOUT};
use bistable_format::delta::ArtifactDelta;
use bistable_format::{
    Artifact, ArtifactId, ChunkList, Delta, Digest, Extensions, Head, Release, Root, TrustError, limits,
    release,
};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is copied at a time.
const PIECE: u64 = 1 << 20;

/// How deltas are made.
#[derive(Debug)]
pub struct DeltaOptions<'a> {
    /// The root that devices have: the bundles are verified with it, and the keys compared.
    pub root: &'a Root,
    /// Keys that sign releases.
    pub keys: &'a [SecretKey],
    /// How hard to compress: 19 costs ten times the time of 9 and saves an eighth.
    pub level: Level,
    /// Worker threads. Changes no byte of the result.
    pub threads: Threads,
    /// Where the deltas are written, and the temporary images.
    pub folder: &'a Path,
    /// What if they are there already.
    pub existing: Existing,
}

/// A delta that was made.
#[derive(Debug)]
pub struct Made {
    /// Its bundle.
    pub path: PathBuf,
    /// The release that it makes.
    pub target: Release,
    /// The release that it takes.
    pub base: Release,
    /// What was signed.
    pub delta: Delta,
    /// Bytes of the bundle.
    pub bytes: u64,
    /// Bytes of the full bundle's lists and data, for comparison.
    pub full_bytes: u64,
    /// How the chunks of each artifact are made.
    pub volumes: Vec<(ArtifactId, Counts)>,
    /// Time that it took, without reading the new release.
    pub time: Duration,
}

/// What a delta between two versions is called: `hub-1.1.0-from-1.0.0.delta`, or `hub-core-1.1.0-from-1.0.0.delta`.
pub fn file_name(target: &Release, base: &Release) -> String {
    format!("{}-{}-from-{}.delta", target.what().replace('/', "-"), target.version, base.version)
}

/// Make the delta from each base to the target.
///
/// # Errors
/// See [`DeltaError`]. Deltas that were made before the error stay.
pub fn make(
    bases: &[PathBuf],
    target: &Path,
    options: &DeltaOptions<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Made>, DeltaError> {
    if options.keys.is_empty() {
        return Err(DeltaError::NoKey);
    }
    output::require_folder(options.folder, "the deltas")?;
    let new = Unpacked::open(target, options, progress)?;
    // All that can be known to be wrong, before the long work begins.
    let mut outputs: Vec<(&PathBuf, PathBuf)> = Vec::new();
    for base in bases {
        let reader = verify::open(base, options.root)?;
        let (found, identity) = (reader.release(), release::identity(reader.signed_release()));
        if found.what() != new.release.what() {
            return Err(DeltaError::OtherProduct {
                base: base.clone(),
                found: found.what(),
                wanted: new.release.what(),
            });
        }
        if identity == new.identity {
            return Err(DeltaError::Same { base: base.clone() });
        }
        let out = options.folder.join(file_name(&new.release, found));
        if let Some((first, out)) = outputs.iter().find(|(_, there)| *there == out) {
            let (first, second, out) = ((*first).clone(), base.clone(), out.clone());
            return Err(DeltaError::Twice { first, second, out });
        }
        if options.existing == Existing::Refuse && out.symlink_metadata().is_ok() {
            return Err(OutputError::Exists { path: out }.into());
        }
        let artifacts = new.volumes.iter().map(|v| ArtifactDelta {
            name: v.kind.to_string(),
            list: v.artifact.list,
            list_bytes: v.artifact.list_bytes,
            data: v.artifact.data,
            data_bytes: v.artifact.data_bytes,
        });
        let (_, lacks) = seal(&delta(&new, identity, artifacts.collect()), options)?;
        lacks.iter().for_each(|note| progress.note(note));
        outputs.push((base, out));
    }
    outputs.iter().map(|(base, out)| one(base, &new, out, options, progress)).collect()
}

fn one(
    base: &Path,
    new: &Unpacked,
    out: &Path,
    options: &DeltaOptions<'_>,
    progress: &dyn Progress,
) -> Result<Made, DeltaError> {
    let watch = Stopwatch::start();
    let old = Unpacked::open(base, options, progress)?;
    let output = NewFile::create(out, options.existing, Access::Public)?;
    let temporary = |source| DeltaError::Temporary { folder: options.folder.into(), source };
    let effort = Effort { level: options.level, threads: options.threads, progress };
    let mut encoded: Vec<(ArtifactId, Encoded, File)> = Vec::new();
    for volume in &new.volumes {
        let Some(there) = old.volumes.iter().find(|old| old.kind == volume.kind) else { continue };
        let data = volume.data(new);
        let (target, there) = (volume.as_target(&data), there.as_base());
        let mut file = tempfile::tempfile_in(options.folder).map_err(temporary)?;
        let mut bytes = 0;
        let made = encode::artifact(target, there, effort, |frame| {
            bytes += frame.len() as u64;
            if bytes > limits::VOLUME_DATA {
                return Err(DeltaError::TooMuchData(bytes));
            }
            file.write_all(frame).map_err(temporary)
        })?;
        encoded.push((volume.kind, made, file));
    }
    let artifacts = encoded.iter().map(|(_, e, _)| e.delta.clone()).collect();
    let delta = delta(new, old.identity, artifacts);
    let (signed, _) = seal(&delta, options)?;
    let frame = Frame::delta((&new.signed, &new.release), (&signed, &delta));
    write(&output, &frame, new, &signed, &encoded)?;
    output.commit()?;
    let artifacts = new.volumes.iter().map(|v| &v.artifact);
    Ok(Made {
        path: out.into(),
        target: new.release.clone(),
        base: old.release,
        bytes: frame.bundle_bytes(),
        full_bytes: artifacts.map(|a| a.data_bytes + u64::from(a.list_bytes)).sum(),
        volumes: encoded.iter().map(|(kind, e, _)| (*kind, e.counts)).collect(),
        delta,
        time: watch.elapsed(),
    })
}

fn delta(new: &Unpacked, base: Digest, artifacts: Vec<ArtifactDelta>) -> Delta {
    Delta {
        head: Head::new(new.release.head.repository, new.release.product()),
        target: new.identity,
        base,
        artifacts,
        extensions: Extensions::default(),
    }
}

/// Sign, and check that devices will believe it. Gives what the signatures lack, if others still have to sign.
fn seal(delta: &Delta, options: &DeltaOptions<'_>) -> Result<(Vec<u8>, Option<String>), DeltaError> {
    let keys: Vec<_> = options.keys.iter().map(SecretKey::signing).collect();
    let signed = delta.seal(&keys).map_err(DeltaError::Seal)?;
    match Delta::open(&signed, options.root) {
        Ok(_) => Ok((signed, None)),
        Err(few @ TrustError::Threshold { .. }) => Ok((signed, Some(root::not_enough(&few)))),
        Err(e) => Err(DeltaError::Untrusted(e)),
    }
}

/// Write the bundle.
fn write(
    output: &NewFile,
    frame: &Frame,
    new: &Unpacked,
    signed: &[u8],
    encoded: &[(ArtifactId, Encoded, File)],
) -> Result<(), DeltaError> {
    let mut contents = vec![
        Content::Bytes(LAYOUT.as_bytes()),
        Content::Bytes(frame.index.as_bytes()),
        Content::Bytes(frame.manifest.as_bytes()),
        Content::Bytes(EMPTY.as_bytes()),
        Content::Bytes(&new.signed),
        Content::Bytes(signed),
    ];
    contents.extend(encoded.iter().map(|(_, e, _)| Content::Bytes(&e.list)));
    contents.extend(encoded.iter().map(|(_, e, file)| Content::File(file, e.delta.data_bytes)));
    let mut to = output.file();
    let failed = |e| DeltaError::Output(OutputError::io("write", output.path())(e));
    for (header, content) in frame.headers.iter().zip(contents) {
        let block = header.encode().map_err(|_| DeltaError::TooMuchData(header.bytes))?;
        to.write_all(&block).map_err(failed)?;
        content.copy(to).map_err(failed)?;
        to.write_all(&vec![0; header.padding()]).map_err(failed)?;
    }
    to.write_all(&[0; END_BYTES]).map_err(failed)
}

enum Content<'a> {
    Bytes(&'a [u8]),
    File(&'a File, u64),
}

impl Content<'_> {
    fn copy(self, mut to: &File) -> io::Result<()> {
        match self {
            Content::Bytes(bytes) => to.write_all(bytes),
            Content::File(file, bytes) => {
                use super::raw::Raw;
                let part = Part { file, at: 0, bytes };
                let mut at = 0;
                while at < bytes {
                    let mut piece = vec![0; usize::try_from((bytes - at).min(PIECE)).unwrap_or(0)];
                    part.read_at(at, &mut piece)?;
                    to.write_all(&piece)?;
                    at += piece.len() as u64;
                }
                Ok(())
            }
        }
    }
}

/// A bundle, verified, with its raw images in temporary files.
pub(super) struct Unpacked {
    pub(super) release: Release,
    pub(super) signed: Vec<u8>,
    pub(super) identity: Digest,
    pub(super) volumes: Vec<UnpackedVolume>,
    /// The bundle, for the frames in it.
    file: File,
}

pub(super) struct UnpackedVolume {
    pub(super) kind: ArtifactId,
    pub(super) artifact: Artifact,
    list: ChunkList,
    pub(super) image: Image,
    data_at: u64,
}

impl Unpacked {
    pub(super) fn open(
        path: &Path,
        options: &DeltaOptions<'_>,
        progress: &dyn Progress,
    ) -> Result<Unpacked, DeltaError> {
        let reader = verify::open(path, options.root)?;
        let file = File::open(path).map_err(|source| VerifyError::Open { path: path.into(), source })?;
        let temporary = |source| DeltaError::Temporary { folder: options.folder.into(), source };
        let (release, signed) = (reader.release().clone(), reader.signed_release().to_vec());
        let mut volumes = Vec::new();
        for ((kind, list), (_, data_at)) in reader.lists().iter().zip(reader.data_at()) {
            let Some(artifact) = release.content.artifact(*kind).cloned() else { continue };
            let image = Image::create(Some(options.folder), artifact.bytes).map_err(temporary)?;
            volumes.push(UnpackedVolume { kind: *kind, artifact, list: list.clone(), image, data_at });
        }
        reader
            .volumes(options.threads, progress, &mut |kind, offset, bytes| match volumes
                .iter()
                .find(|v| v.kind == kind)
            {
                Some(volume) => volume.image.write_at(offset, bytes),
                None => Ok(()),
            })
            .map_err(|source| VerifyError::Bundle { path: path.into(), source })?;
        let identity = release::identity(&signed);
        Ok(Unpacked { release, signed, identity, volumes, file })
    }
}

impl UnpackedVolume {
    pub(super) fn as_target<'a>(&'a self, data: &'a Part<'a>) -> Target<'a> {
        Target { kind: self.kind, artifact: &self.artifact, list: &self.list, raw: &self.image, data }
    }

    /// Its frames, as they are in the bundle.
    pub(super) fn data<'a>(&self, bundle: &'a Unpacked) -> Part<'a> {
        Part { file: &bundle.file, at: self.data_at, bytes: self.artifact.data_bytes }
    }

    pub(super) fn as_base(&self) -> Base<'_> {
        Base { artifact: &self.artifact, raw: &self.image }
    }
}
