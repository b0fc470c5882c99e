//! Any bytes as the file of a delta, and good files with changes: the host's reader takes what we signed, to the bit, and nothing
//! else; the device's reader never takes more, and decodes the same lists.
#![no_main]
use bistable::steps::install::{Base, Bundle, Content};
use bistable_format::{ChunkList, DecodeError, VolumeKind};
use bistable_fuzz::{BASE, Bundled, Input, ROOT, TARGET, no_slots};
use bistable_image::bundle::DeltaReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert!(!host_takes(data) && device_lists(data).is_none(), "a forgery");
    let mut input = Input(data);
    let Some(good) = Bundled::of(&mut input) else { return };
    let reader = DeltaReader::open(&good.file[..], &ROOT).expect("signed by us");
    assert_eq!((reader.delta(), reader.signed()), (&good.delta, &*good.signed));
    assert_eq!(reader.signed_release(), TARGET.signed);
    assert_eq!(reader.bundle_bytes(), good.file.len() as u64);
    let lists: Vec<Vec<u8>> = reader.lists().iter().map(|(_, list)| list.clone()).collect();
    assert_eq!(lists, good.blobs[..lists.len()]);
    reader.check_data().expect("its data are those that were signed");
    // Both lists make sense between these two releases, or the device refuses them.
    let device = device_lists(&good.file);
    assert_eq!(device, decoded(&good).ok().filter(|lists| lists.len() == 2));

    // Changed anywhere, cut off anywhere, or with something behind it.
    let mut file = good.file.clone();
    let at = usize::try_from(input.below(file.len() as u64 + 1)).unwrap();
    match input.byte() % 3 {
        0 => file.truncate(at),
        1 => file.extend_from_slice(input.0),
        _ => file.iter_mut().skip(at).zip(input.0).for_each(|(to, from)| *to ^= from),
    }
    if file == good.file {
        return;
    }
    assert!(!host_takes(&file), "a change that nobody sees");
    // The device reads the data later.
    if let Some(lists) = device_lists(&file) {
        assert_eq!(Some(lists), device, "other lists");
    }
});

/// Whether the host's program takes it, to the last byte.
fn host_takes(file: &[u8]) -> bool {
    DeltaReader::open(file, &ROOT).is_ok_and(|reader| reader.check_data().is_ok())
}

/// The lists that a device works with.
fn device_lists(file: &[u8]) -> Option<Vec<ChunkList>> {
    let mut bundle = Bundle::open(file, &ROOT).ok()?;
    assert_eq!((&bundle.release, &bundle.signed), (&TARGET.release, &TARGET.signed));
    assert_eq!(bundle.needs(), Some(BASE.identity));
    bundle.offer(Base { release: BASE.release.clone(), identity: BASE.identity, slots: no_slots() });
    Some(bundle.lists().ok()?.iter().map(|list| ChunkList::clone(list)).collect())
}

/// The lists, as the two releases allow them.
fn decoded(good: &Bundled) -> Result<Vec<ChunkList>, DecodeError> {
    good.delta.check_between((&TARGET.identity, &TARGET.release), (&BASE.identity, &BASE.release))?;
    let volume = |of: &bistable_format::Release, kind| of.volumes().unwrap().get(kind).clone();
    let made = VolumeKind::ALL.into_iter().filter_map(|kind| Some((kind, good.delta.artifact(kind.name())?)));
    made.zip(&good.blobs)
        .map(|((kind, artifact), list)| {
            artifact.list(list, &volume(&TARGET.release, kind), &volume(&BASE.release, kind))
        })
        .collect()
}
