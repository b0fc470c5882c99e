//! From an input path to a plan, and from the plan to the bytes of the image.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::sbom::Evidence;
use bistable_boot::Flow;
use bistable_format::Release;

use super::detect::{self, InputKind};
use super::error::{VolumeError, lossy};
use super::kernels::LargeFile;
use super::options::{BLOCK, BootOptions, Ext4Backend, Owner, Reading, SystemOptions, VolumeId, VolumeSize};
use super::tar::Compression;
use super::tree::{ROOT, Tree};
use super::{
    dir, ext4, fat, firmware, formats, kernels, lacks, mke2fs, packages, plain, raw_text, ready, system_root,
    tar, uboot,
};

/// Most bytes of a `config.txt` that is looked at.
const CONFIG: u32 = 1 << 20;
/// What is streamed at a time, in bytes.
const PIECE: usize = 1 << 20;

/// A volume image that is decided, but not yet written.
#[derive(Debug)]
pub struct VolumePlan {
    kind: InputKind,
    image: Image,
    warnings: Vec<String>,
    durable: u16,
    large: Vec<LargeFile>,
}

/// Where the image's bytes come from.
#[derive(Debug)]
enum Image {
    Ext4(Box<ext4::Ext4Image>),
    /// A ready image or a temporary file; the path is for messages. `size` may be larger than the file: the
    /// rest reads as zero.
    File {
        file: File,
        path: PathBuf,
        len: u64,
        size: u64,
    },
}

impl VolumePlan {
    /// The image's size in bytes, a multiple of [`BLOCK`].
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.image {
            Image::Ext4(image) => image.size(),
            Image::File { size, .. } => *size,
        }
    }

    /// What the input was.
    #[must_use]
    pub fn input(&self) -> InputKind {
        self.kind
    }

    /// What was left out or is odd, one line each, human-readable.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The highest format of durable structures that the agent in a system volume reads; 1 where none is said. See
    /// [`Release::durable`](bistable_format::Release::durable).
    #[must_use]
    pub fn durable(&self) -> u16 {
        self.durable
    }

    /// The large files that are, or may be, a kernel or an initramfs; none of an image that is not read.
    pub(crate) fn large_files(&self) -> &[LargeFile] {
        &self.large
    }

    /// What says which packages are in the volume; none of an image whose files are not read: squashfs, EROFS, FAT.
    ///
    /// # Errors
    /// A source file or an image that can't be read.
    pub(crate) fn evidence(&self) -> Result<Option<Evidence>, VolumeError> {
        match (&self.image, self.kind) {
            (Image::Ext4(image), _) => packages::of_tree(image.tree()).map(Some),
            (_, InputKind::Squashfs | InputKind::Erofs | InputKind::Fat) => Ok(None),
            (Image::File { file, path, .. }, _) => packages::of_ext4(path, file).map(Some),
        }
    }

    /// Writes the whole image to `out`, from its first byte to its last, and tells `progress` how many bytes
    /// are out. May be called again and writes the same bytes.
    ///
    /// # Errors
    /// A source file that can't be read or has changed since the plan was made, or an `out` that fails.
    pub fn write_to(&self, out: &mut dyn Write, progress: &dyn Fn(u64)) -> Result<(), VolumeError> {
        match &self.image {
            Image::Ext4(image) => image.write_to(out, progress),
            Image::File { file, path, len, size } => copy_file(file, path, *len, *size, out, progress),
        }
    }
}

/// Reads what `path` is and plans the system volume: a directory, a tar (plain or compressed by gzip, xz or
/// zstd; known by content, not by name), or a ready ext4, squashfs or EROFS image.
///
/// # Errors
/// An input that is none of these, damaged, hostile or doesn't fit; see [`VolumeError`].
pub fn open_system(path: &Path, options: &SystemOptions) -> Result<VolumePlan, VolumeError> {
    let kind = detect::detect(path)?;
    check_size(options.size)?;
    if options.source_date_epoch > u64::from(u32::MAX) {
        return Err(VolumeError::BadOption {
            what: "SOURCE_DATE_EPOCH",
            value: options.source_date_epoch.to_string(),
            why: "the latest time a file system can be stamped with is in the year 2106",
        });
    }
    if options.label.len() > 16 || options.label.contains('\0') {
        return Err(VolumeError::BadOption {
            what: "label",
            value: options.label.clone(),
            why: "ext4 holds at most 16 bytes without NUL",
        });
    }
    let mut warnings = Vec::new();
    let (image, durable, large) = match (kind, options.backend) {
        (InputKind::Ext4 | InputKind::Squashfs | InputKind::Erofs, _) => {
            if options.root.is_some() {
                warnings.push(not_added(&kind.to_string()));
            }
            let image = ready_image(path, kind, options.size)?;
            of_image(path, kind, image, &mut warnings)?
        }
        (InputKind::Directory | InputKind::Tar(_), Ext4Backend::Mke2fs) => {
            if options.root.is_some() {
                warnings.push(not_added("what mke2fs makes"));
            }
            let file = mke2fs::make(path, kind, options, &mut warnings)?;
            let image = temporary(file, path)?;
            of_image(path, InputKind::Ext4, image, &mut warnings)?
        }
        (InputKind::Directory, Ext4Backend::Mkext4) => {
            let tree =
                dir::read(path, options.owner, options.reading, options.source_date_epoch, &mut warnings)?;
            of_tree(path, tree, options, &mut warnings)?
        }
        (InputKind::Tar(compression), Ext4Backend::Mkext4) => {
            let tree = tar::read(path, compression, options, &mut warnings)?;
            of_tree(path, tree, options, &mut warnings)?
        }
        (InputKind::Fat, _) => {
            return Err(VolumeError::WrongInput {
                path: path.into(),
                found: kind.to_string(),
                wanted: detect::SYSTEM_INPUTS,
            });
        }
    };
    Ok(VolumePlan { kind, image, warnings, durable, large })
}

/// Reads a directory or a tar as it is: what would be left out or replaced is an error. All of it belongs to root.
pub(crate) fn open_tree(
    path: &Path,
    source_date_epoch: u64,
    temp_dir: Option<&Path>,
) -> Result<(InputKind, Tree), VolumeError> {
    let kind = detect::detect(path)?;
    let options = SystemOptions {
        owner: Owner::Root,
        reading: Reading::Exact,
        temp_dir: temp_dir.map(Into::into),
        ..SystemOptions::new(VolumeId::from_name(""), source_date_epoch)
    };
    // Both only warn of attributes that ext4 doesn't know: who takes the tree decides about all attributes.
    let mut warnings = Vec::new();
    let tree = match kind {
        InputKind::Directory => {
            dir::read(path, options.owner, options.reading, source_date_epoch, &mut warnings)?
        }
        InputKind::Tar(compression) => tar::read(path, compression, &options, &mut warnings)?,
        InputKind::Ext4 | InputKind::Squashfs | InputKind::Erofs | InputKind::Fat => {
            return Err(VolumeError::WrongInput {
                path: path.into(),
                found: kind.to_string(),
                wanted: detect::TREE_INPUTS,
            });
        }
    };
    Ok((kind, tree))
}

/// Reads a layer of a container image: a tar that isn't compressed. Whiteouts are files of it.
pub(crate) fn open_layer(path: &Path) -> Result<Tree, VolumeError> {
    let options = SystemOptions { owner: Owner::Root, ..SystemOptions::new(VolumeId::from_name(""), 0) };
    tar::read(path, Compression::None, &options, &mut Vec::new())
}

/// The image of a tree by the built-in writer, with what is known of it only while it is a tree.
fn of_tree(
    path: &Path,
    mut tree: Tree,
    options: &SystemOptions,
    warnings: &mut Vec<String>,
) -> Result<(Image, u16, Vec<LargeFile>), VolumeError> {
    container_image(path, &tree)?;
    warnings.extend(lacks::of_tree(&tree));
    if let Some(root) = &options.root {
        system_root::add(path, &mut tree, root, options)?;
    }
    let durable = formats::of_tree(path, &mut tree)?;
    let large = kernels::of_tree(&tree)?;
    Ok((Image::Ext4(Box::new(ext4::plan(path, tree, options)?)), durable, large))
}

/// Refuse what tools of containers make: an image of layers, or one layer with what it deletes of those below.
fn container_image(path: &Path, tree: &Tree) -> Result<(), VolumeError> {
    let has = |name: &[u8]| tree.child(ROOT, name).ok().flatten().is_some();
    let refuse = |found: &str| {
        Err(VolumeError::WrongInput {
            path: path.into(),
            found: found.into(),
            wanted: "the whole root file system (`podman export` or `docker export` of a container made from it writes one)",
        })
    };
    if has(b"oci-layout") && has(b"index.json") {
        return refuse("an OCI image, whose layers lie in it as archives");
    }
    if has(b"manifest.json") && !has(b"etc") && !has(b"usr") {
        return refuse("an image as `docker save` writes it, whose layers lie in it as archives");
    }
    tree.walk(|at, _, name, _| match name.starts_with(b".wh.") {
        true => Err(lossy(at)),
        false => Ok(()),
    })
    .or_else(|at| refuse(&format!("a layer of a container image: {at:?} deletes what lies below it")))
}

fn not_added(what: &str) -> String {
    format!(
        "{what} is taken as it is, and its root with it: have the file of --root in it as /{}, or its devices hold the root \
         that they have stored against nothing",
        system_root::path()
    )
}

/// An image that is taken as it is, with what is known of the system in it. Of one that can't be read the number of formats is the first,
/// and a note says so.
fn of_image(
    path: &Path,
    kind: InputKind,
    image: Image,
    warnings: &mut Vec<String>,
) -> Result<(Image, u16, Vec<LargeFile>), VolumeError> {
    let ext4 = match (kind, &image) {
        (InputKind::Ext4, Image::File { file, .. }) => Some(file),
        _ => None,
    };
    let found = match ext4 {
        Some(file) => formats::of_ext4(path, file)?,
        None => {
            Err("files in such an image are not read, so nothing is known of what the system lacks either"
                .into())
        }
    };
    let durable = found.unwrap_or_else(|why| {
        warnings.push(format!(
            "{kind}: {} can't be read ({why}): the release says that its agent reads durable structures of format {} only",
            Release::FORMATS_PATH,
            formats::FIRST
        ));
        formats::FIRST
    });
    let large = ext4.map(kernels::of_ext4).unwrap_or_default();
    warnings.extend(ext4.map(lacks::of_ext4).unwrap_or_default());
    Ok((image, durable, large))
}

/// Reads what `path` is and plans the boot volume: a directory or a ready FAT image.
///
/// # Errors
/// An input that is none of these, a name that FAT can't hold, contents that don't fit, a ready image that U-Boot
/// shall start; see [`VolumeError`].
pub fn open_boot(path: &Path, options: &BootOptions) -> Result<VolumePlan, VolumeError> {
    let kind = detect::detect(path)?;
    check_size(options.size)?;
    let mut warnings = Vec::new();
    let image = match (kind, options.flow) {
        (InputKind::Fat, _) if options.plain => {
            return Err(VolumeError::WrongInput {
                path: path.into(),
                found: format!("{kind}, which is used unchanged"),
                wanted: "a directory with its files, or leave --plain-boot out",
            });
        }
        (InputKind::Fat, Flow::Tryboot) => ready_image(path, kind, options.size)?,
        (InputKind::Fat, Flow::Uboot) => {
            return Err(VolumeError::WrongInput {
                path: path.into(),
                found: format!("{kind}, which is used unchanged and so can't get a {}", uboot::NAME),
                wanted: "a directory with its files, or leave --uboot out if that file is in it",
            });
        }
        (InputKind::Directory, _) => {
            let tree =
                dir::read(path, Owner::Root, Reading::Lenient, options.source_date_epoch, &mut warnings)?;
            return plan_boot(path, kind, tree, options, warnings);
        }
        _ => {
            return Err(VolumeError::WrongInput {
                path: path.into(),
                found: kind.to_string(),
                wanted: detect::BOOT_INPUTS,
            });
        }
    };
    Ok(VolumePlan { kind, image, warnings, durable: formats::FIRST, large: Vec::new() })
}

/// Plans the boot volume from a tree, wherever it came from; `source` is for messages.
pub(crate) fn plan_boot(
    source: &Path,
    kind: InputKind,
    mut tree: Tree,
    options: &BootOptions,
    mut warnings: Vec<String>,
) -> Result<VolumePlan, VolumeError> {
    check_size(options.size)?;
    let mut large = kernels::of_boot(source, &tree)?;
    if options.plain {
        plain::apply(source, &mut tree, options.temp_dir.as_deref(), &mut warnings)?;
        large.extend(kernels::of_boot(source, &tree)?);
    }
    // It has the sizes and checksums of the files as they are now.
    if options.flow == Flow::Uboot {
        uboot::add(source, &mut tree, options)?;
    }
    let files = fat::files(source, &tree)?;
    let config = fat::find(&files, "config.txt").filter(|file| file.size <= CONFIG);
    let config = config.map(|file| fat::read(&tree, file.node)).transpose()?.unwrap_or_default();
    warnings.extend(lacks::of_boot(&files, &raw_text::decode(&config)));
    warnings.extend(firmware::notes(&tree, &files)?);
    let file = fat::make(source, &tree, options, &mut warnings)?;
    Ok(VolumePlan { kind, image: temporary(file, source)?, warnings, durable: formats::FIRST, large })
}

fn check_size(size: VolumeSize) -> Result<(), VolumeError> {
    match size {
        VolumeSize::Exact(size) if size == 0 || size % BLOCK != 0 => {
            Err(VolumeError::BadSize { size, why: "it must be a multiple of 4096 and not 0" })
        }
        _ => Ok(()),
    }
}

/// A ready image is taken as it is; a larger size only adds zeros behind it.
fn ready_image(path: &Path, kind: InputKind, size: VolumeSize) -> Result<Image, VolumeError> {
    let file = File::open(path).map_err(VolumeError::io("open", path))?;
    let len = ready::check(&file, path, kind)?;
    let size = match size {
        VolumeSize::Fit => len.next_multiple_of(BLOCK),
        VolumeSize::Exact(size) if size < len => {
            return Err(VolumeError::TooSmall { size, needed: len.next_multiple_of(BLOCK) });
        }
        VolumeSize::Exact(size) => size,
    };
    Ok(Image::File { file, path: path.into(), len, size })
}

fn temporary(file: File, source: &Path) -> Result<Image, VolumeError> {
    let len = file.metadata().map_err(VolumeError::io("read the temporary image of", source))?.len();
    Ok(Image::File { file, path: source.into(), len, size: len })
}

fn copy_file(
    file: &File,
    path: &Path,
    len: u64,
    size: u64,
    out: &mut dyn Write,
    progress: &dyn Fn(u64),
) -> Result<(), VolumeError> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; PIECE];
    let mut done = 0;
    while done < len {
        let want = usize::try_from(len - done).map_or(PIECE, |rest| rest.min(PIECE));
        let piece = buffer.get_mut(..want).unwrap_or_default();
        let got = file.read_at(piece, done).map_err(VolumeError::io("read", path))?;
        if got == 0 {
            return Err(VolumeError::Changed { path: path.into() });
        }
        out.write_all(piece.get(..got).unwrap_or_default()).map_err(VolumeError::Output)?;
        done += got as u64;
        progress(done);
    }
    let mut zeros = std::io::repeat(0).take(size - done);
    std::io::copy(&mut zeros, out).map_err(VolumeError::Output)?;
    out.flush().map_err(VolumeError::Output)?;
    progress(size);
    Ok(())
}
