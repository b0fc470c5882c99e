//! Deltas between two bundles: made, verified, applied, and damaged.
use crate::fixture::{Product, key, names, noise};
use bistable_format::bundle::{BLOCK, Frame};
use bistable_format::{Delta, KeyKind, Release, VolumeKind};
use bistable_image::bundle::{BundleError, DeltaReader, Part, Reader};
use bistable_image::delta::{self, DeltaError, DeltaOptions, Level, Made, VerifyDeltaError};
use bistable_image::{Existing, Silent, Threads, build, verify};
use std::fs;
use std::path::{Path, PathBuf};

/// A product with releases 1.2.3 and 1.3.0, of which the second has another application and a few changes.
pub(crate) struct Two {
    pub(crate) product: Product,
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
}

pub(crate) fn two() -> Two {
    let product = Product::new();
    let old = product.bundle();
    let mut app = noise(1, 400_000);
    app.splice(1000..1000, noise(7, 333));
    fs::write(product.path("system/usr/bin/app"), app).unwrap();
    fs::write(product.path("system/etc/new"), noise(8, 5000)).unwrap();
    let options =
        bistable_image::BuildOptions { version: "1.3.0".parse().unwrap(), ..product.options("new.bundle") };
    build(&options, &Silent).unwrap();
    Two { product, old, new: options.out }
}

impl Two {
    fn make(&self, threads: usize, out: &str) -> Result<Vec<Made>, DeltaError> {
        let folder = self.product.path(out);
        fs::create_dir_all(&folder).unwrap();
        let keys = [self.product.release_key.clone()];
        let options = DeltaOptions {
            root: &self.product.root.root,
            keys: &keys,
            level: Level::new(9).unwrap(),
            threads: Threads::new(threads),
            folder: &folder,
            existing: Existing::Refuse,
        };
        delta::make(std::slice::from_ref(&self.old), &self.new, &options, &Silent)
    }

    fn verify(&self, path: &Path, base: Option<&Path>) -> Result<delta::DeltaVerified, VerifyDeltaError> {
        delta::verify(path, base, &self.product.root.root, Threads::new(2), &Silent)
    }
}

#[test]
fn delta_makes_the_new_release_from_the_old_one_and_is_small() {
    let two = two();
    let made = two.make(2, "out").unwrap();
    assert_eq!(names(&two.product.path("out")), ["greenhouse-1.3.0-from-1.2.3.delta"]);
    let [made] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!(fs::metadata(&made.path).unwrap().len(), made.bytes);
    assert!(made.bytes * 10 < made.full_bytes, "{} of {}", made.bytes, made.full_bytes);
    let verified = two.verify(&made.path, Some(&two.old)).unwrap();
    assert_eq!(verified.applied.as_ref(), Some(&made.volumes));
    assert_eq!(verified.release.version.to_string(), "1.3.0");
    // Without the base, all but what it makes is checked.
    assert_eq!(two.verify(&made.path, None).unwrap().applied, None);
    let other = two.verify(&made.path, Some(&two.new)).unwrap_err();
    assert!(matches!(other, VerifyDeltaError::OtherBase { .. }), "{other}");
}

#[test]
fn boot_volume_that_did_not_change_takes_no_data() {
    let two = two();
    let made = two.make(2, "out").unwrap();
    let boot = made[0].delta.artifact(&VolumeKind::Boot.to_string()).unwrap();
    assert_eq!(boot.data_bytes, 0);
}

#[test]
fn delta_is_the_same_with_any_number_of_threads() {
    let two = two();
    let bytes: Vec<_> =
        [1, 2, 8].map(|n| fs::read(&two.make(n, &n.to_string()).unwrap()[0].path).unwrap()).into();
    assert!(bytes.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_cannot_be_a_base_or_a_signer_is_told_before_the_work() {
    let two = two();
    let folder = two.product.path("out");
    fs::create_dir_all(&folder).unwrap();
    let with = |bases: &[&Path], key_number: Option<u8>| {
        let keys: Vec<_> = key_number.map(|n| key(n, KeyKind::Production)).into_iter().collect();
        let options = DeltaOptions {
            root: &two.product.root.root,
            keys: &keys,
            level: Level::new(1).unwrap(),
            threads: Threads::new(1),
            folder: &folder,
            existing: Existing::Refuse,
        };
        let bases: Vec<PathBuf> = bases.iter().map(|p| p.to_path_buf()).collect();
        delta::make(&bases, &two.new, &options, &Silent).unwrap_err()
    };
    assert!(matches!(with(&[&two.old], None), DeltaError::NoKey));
    // The channel's key signs no deltas.
    assert!(matches!(with(&[&two.old], Some(3)), DeltaError::Untrusted(_)));
    assert!(matches!(with(&[&two.new], Some(2)), DeltaError::Same { .. }));
    assert!(matches!(with(&[&two.old, &two.old], Some(2)), DeltaError::Twice { .. }));
    assert_eq!(names(&folder), Vec::<String>::new());
    fs::write(folder.join("greenhouse-1.3.0-from-1.2.3.delta"), "mine").unwrap();
    assert!(matches!(with(&[&two.old], Some(2)), DeltaError::Output(_)));
    assert_eq!(names(&folder).len(), 1);
}

/// The bytes of a good delta, and what is around its data.
struct Good {
    two: Two,
    bytes: Vec<u8>,
    frame: Frame,
    release: (Release, Vec<u8>),
    delta: Delta,
    contents: Vec<Vec<u8>>,
}

fn good() -> Good {
    let two = two();
    let made = two.make(2, "out").unwrap();
    let bytes = fs::read(&made[0].path).unwrap();
    let reader = DeltaReader::open(&bytes[..], &two.product.root.root).unwrap();
    let release = (reader.release().clone(), reader.signed_release().to_vec());
    let delta = reader.delta().clone();
    let frame = Frame::delta((&release.1, &release.0), (reader.signed(), &delta));
    let mut at = 0;
    let contents = frame.headers.iter().map(|header| {
        let start = at + BLOCK;
        let end = start + usize::try_from(header.bytes).unwrap();
        at = end + header.padding();
        bytes[start..end].to_vec()
    });
    let contents = contents.collect();
    Good { two, bytes, frame, release, delta, contents }
}

impl Good {
    fn check(&self, bytes: &[u8]) -> Result<(), BundleError> {
        DeltaReader::open(bytes, &self.two.product.root.root)?.check_data()
    }

    /// The bundle of another delta, signed, with these contents of lists and data.
    fn with(&self, delta: &Delta, blobs: &[Vec<u8>]) -> Vec<u8> {
        let signed = delta.seal(&[self.two.product.release_key.signing()]).unwrap();
        let frame = Frame::delta((&self.release.1, &self.release.0), (&signed, delta));
        let mut contents = self.contents.clone();
        contents[1] = frame.index.clone().into_bytes();
        contents[2] = frame.manifest.clone().into_bytes();
        contents[5] = signed;
        contents[6..].clone_from_slice(blobs);
        let mut bytes = Vec::new();
        for (header, content) in frame.headers.iter().zip(&contents) {
            bytes.extend_from_slice(&header.encode().unwrap());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len() + header.padding(), 0);
        }
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        bytes
    }

    /// What a delta with these bytes says when it is applied.
    fn applied(&self, bytes: &[u8]) -> String {
        let path = self.two.product.path("hostile.delta");
        fs::write(&path, bytes).unwrap();
        match self.two.verify(&path, Some(&self.two.old)) {
            Ok(_) => "fine".into(),
            Err(e) => {
                let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
                format!("{e}: {cause}")
            }
        }
    }
}

#[test]
fn any_flipped_bit_of_a_delta_is_found() {
    let good = good();
    good.check(&good.bytes).unwrap();
    let (len, head) = (good.bytes.len(), good.bytes.len() - good.contents.last().unwrap().len());
    let places = (0..head).step_by(97).chain((0..200).map(|i| i * len / 200 + 13).filter(|p| *p < len));
    for place in places {
        let mut bytes = good.bytes.clone();
        bytes[place] ^= 0x04;
        assert!(good.check(&bytes).is_err(), "byte {place}");
    }
}

#[test]
fn truncated_and_trailing_bytes_of_a_delta_are_found() {
    let good = good();
    for cut in (0..good.bytes.len()).step_by(good.bytes.len() / 60) {
        let found = good.check(&good.bytes[..cut]);
        assert!(matches!(found, Err(BundleError::Truncated { .. })), "{cut}: {found:?}");
    }
    let found = good.check(&[&good.bytes[..], &[0]].concat());
    assert!(matches!(found, Err(BundleError::Trailing { .. })), "{found:?}");
}

#[test]
fn entries_in_another_order_are_refused() {
    let good = good();
    let mut blobs = good.contents[6..].to_vec();
    blobs.swap(0, 1);
    let found = good.check(&good.with(&good.delta, &blobs));
    assert!(
        matches!(
            found,
            Err(BundleError::DeltaPart { .. } | BundleError::Differs { .. } | BundleError::Truncated { .. })
        ),
        "{found:?}"
    );
    // The delta before the release.
    let mut bytes = good.bytes.clone();
    let start: usize =
        good.frame.headers[..4].iter().map(|h| BLOCK + usize::try_from(h.bytes).unwrap() + h.padding()).sum();
    let entry = |i: usize| {
        BLOCK + usize::try_from(good.frame.headers[i].bytes).unwrap() + good.frame.headers[i].padding()
    };
    let (release, delta) = (entry(4), entry(5));
    bytes[start..start + release + delta].rotate_left(release);
    assert!(matches!(good.check(&bytes), Err(BundleError::Trust(_))));
}

#[test]
fn each_reader_refuses_the_other_kind() {
    let good = good();
    let root = &good.two.product.root.root;
    assert!(matches!(Reader::open(&good.bytes[..], root), Err(BundleError::IsDelta)));
    let full = fs::read(&good.two.new).unwrap();
    assert!(matches!(DeltaReader::open(&full[..], root), Err(BundleError::NotDelta)));
}

#[test]
fn only_the_releases_keys_sign_a_delta_and_only_of_its_own_release() {
    let good = good();
    let root = &good.two.product.root.root;
    let stranger = key(3, KeyKind::Production);
    let signed = good.delta.seal(&[stranger.signing()]).unwrap();
    let frame = Frame::delta((&good.release.1, &good.release.0), (&signed, &good.delta));
    let mut contents = good.contents.clone();
    (contents[1], contents[2], contents[5]) =
        (frame.index.clone().into_bytes(), frame.manifest.clone().into_bytes(), signed);
    let mut bytes = Vec::new();
    for (header, content) in frame.headers.iter().zip(&contents) {
        bytes.extend_from_slice(&header.encode().unwrap());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + header.padding(), 0);
    }
    let found = DeltaReader::open(&bytes[..], root).map(|_| ());
    assert!(matches!(found, Err(BundleError::TrustDelta(_))), "{found:?}");
    let mut other = good.delta.clone();
    other.target.0[0] ^= 1;
    let found = good.check(&good.with(&other, &good.contents[6..]));
    assert!(matches!(found, Err(BundleError::OtherTarget)), "{found:?}");
}

#[test]
fn correctly_signed_delta_that_makes_other_bytes_is_refused_when_it_is_applied() {
    use bistable_format::{ChunkList, Digest, Encoding};
    let good = good();
    let old = verify::open(&good.two.old, &good.two.product.root.root).unwrap();
    let (target, base) =
        (good.release.0.volumes().unwrap().system.clone(), old.release().volumes().unwrap().system.clone());
    let mut list =
        ChunkList::decode_delta(&good.contents[7], &target, good.delta.artifacts[1].data_bytes, &base)
            .unwrap();
    // Sign whatever the list became, and see what applying it says.
    let signed = |list: &[u8]| {
        let mut delta = good.delta.clone();
        delta.artifacts[1].list = Digest::of(list);
        delta.artifacts[1].list_bytes = u32::try_from(list.len()).unwrap();
        let mut blobs = good.contents[6..].to_vec();
        blobs[1] = list.to_vec();
        good.applied(&good.with(&delta, &blobs))
    };
    let encode = |list: &ChunkList| list.encode(target.bytes, good.delta.artifacts[1].data_bytes).unwrap();
    assert_eq!(signed(&encode(&list)), "fine");
    let whole = list.clone();

    list.chunks[0].digest.0[0] ^= 1;
    let text = signed(&encode(&list));
    assert!(text.contains("is signed, but its chunk list of the system volume can't be right"), "{text}");
    list = whole.clone();

    list.base = Some(target.digest);
    let text = signed(&encode(&list));
    assert!(text.contains("another base"), "{text}");
    list = whole.clone();

    let patched = list.chunks.iter().position(|c| matches!(c.encoding, Encoding::Patch { .. })).unwrap();
    let Encoding::Patch { prefix, .. } = &mut list.chunks[patched].encoding else { panic!() };
    prefix[0].offset = base.bytes - u64::from(prefix[0].bytes) + 1;
    let text = signed(&encode(&list));
    assert!(text.contains("behind the end of the base"), "{text}");
    let Encoding::Patch { prefix, .. } = &mut list.chunks[patched].encoding else { panic!() };
    prefix[0].offset = base.bytes - u64::from(prefix[0].bytes);
    let text = signed(&encode(&list));
    assert!(text.contains("does not make") && text.contains(&format!("chunk {patched}")), "{text}");
    list = whole.clone();

    let Encoding::Patch { digest, .. } = &mut list.chunks[patched].encoding else { panic!() };
    digest.0[0] ^= 1;
    let text = signed(&encode(&list));
    assert!(text.contains("does not have the listed digest"), "{text}");
    assert_eq!(Part::Delta.to_string(), "delta");
}
