//! Any bytes as a release's payload: what decodes is written back as the same value, can be signed, framed, and
//! compared with a device.
#![no_main]
use bistable_format::bundle::{Frame, Header};
use bistable_format::compat::{Device, Direction, check, check_release};
use bistable_format::version::meets;
use bistable_format::{Digest, Release, VolumeKind, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(release) = Release::decode(data) else { return };
    let payload = release.encode().expect("what decodes can be encoded");
    assert_eq!(Release::decode(&payload).as_ref(), Ok(&release));
    assert!(release.self_test_plan().is_ok() && release.health_profile().is_ok());

    let frame = Frame::new(&payload, &release);
    assert!(frame.index.len().max(frame.manifest.len()) as u64 <= limits::BUNDLE_TEXT);
    for header in &frame.headers {
        assert_eq!(Header::decode(&header.encode().unwrap()).as_ref(), Ok(header));
    }
    assert_eq!(
        frame.headers[2],
        Header::blob(&Digest::of(frame.manifest.as_bytes()), frame.manifest.len() as u64)
    );
    assert_eq!(frame.bundle_bytes() % 512, 0);

    let brought = check_release(&release);
    let unreadable = release.bound.unreadable().len();
    assert!(brought.len() >= unreadable, "each of them is a reason: {brought:?}");

    // On a device that is all it asks for, the only reason left may be a requirement that its own version misses.
    let running = release.version.clone();
    let device = Device {
        product: release.product(),
        board: &release.boards[0],
        running: Some(&running),
        security_floor: release.security_version,
        components: &[],
        boot_bytes: release.constraints().bytes_of(VolumeKind::Boot).unwrap_or(0),
        system_bytes: release.constraints().bytes_of(VolumeKind::System).unwrap_or(0),
    };
    let back = check(&release.constraints(), &device, Direction::Back);
    let is_image = release.volumes().is_some();
    assert_eq!(back.len(), release.requires.components.len() + usize::from(!is_image), "{back:?}");
    let missed = release.requires.running.as_ref().is_some_and(|r| !meets(r, &running));
    let forward = check(&release.constraints(), &device, Direction::Forward);
    assert_eq!(forward.len(), back.len() + 1 + usize::from(missed), "not newer than itself: {forward:?}");
});
