//! Whether a release may go onto a device, and each reason why not.
use crate::{
    Constraints, DecodeError, Release, VolumeKind,
    content::{self, kind_name},
    selftest::{At, Need},
    version::{is_newer, meets},
};
use alloc::{string::String, vec::Vec};
use semver::{Version, VersionReq};

/// What there is to know about a device.
#[derive(Clone, Debug)]
pub struct Device<'a> {
    /// Its product.
    pub product: &'a str,
    /// Its board, for example `pi4`.
    pub board: &'a str,
    /// Version of the running system, if it is known.
    pub running: Option<&'a Version>,
    /// Security version that may not be undercut.
    pub security_floor: u32,
    /// Versions of other components.
    pub components: &'a [(String, Version)],
    /// Bytes of the target slot's partitions, boot and system.
    pub boot_bytes: u64,
    /// See [`boot_bytes`](Self::boot_bytes).
    pub system_bytes: u64,
}

/// Whether the release must be newer than what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// An update: only newer versions.
    Forward,
    /// A person goes back on purpose: any version, but never below the security floor.
    Back,
}

/// One reason why a release may not go onto a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// For another product.
    #[error("it is for product {release}, this device is a {device}")]
    Product {
        /// The release's.
        release: String,
        /// The device's.
        device: String,
    },
    /// For other boards.
    #[error("it is for {}, this board is a {board}", .boards.join(", "))]
    Board {
        /// The release's.
        boards: Vec<String>,
        /// The device's.
        board: String,
    },
    /// Not newer.
    #[error("version {release} is not newer than {running}, which is running")]
    NotNewer {
        /// The release's.
        release: Version,
        /// The device's.
        running: Version,
    },
    /// Below the security floor.
    #[error("its security version {release} is below {floor}, the highest that this device committed")]
    SecurityVersion {
        /// The release's.
        release: u32,
        /// The device's floor.
        floor: u32,
    },
    /// The running version doesn't meet the requirement.
    #[error("it requires a running version {required}, and {} is running: install a version in between first", .running.as_ref().map_or_else(|| String::from("an unknown one"), alloc::string::ToString::to_string))]
    Running {
        /// What is demanded.
        required: VersionReq,
        /// What there is.
        running: Option<Version>,
    },
    /// Another component is missing or doesn't meet the requirement.
    #[error("it requires {name} {required}, and the device has {}", .found.as_ref().map_or_else(|| String::from("none"), alloc::string::ToString::to_string))]
    Component {
        /// The component.
        name: String,
        /// What is demanded.
        required: VersionReq,
        /// What there is.
        found: Option<Version>,
    },
    /// Another component is there in a version that doesn't go with it.
    #[error("it does not go with {name} {range}, and the device has {found}")]
    Conflict {
        /// The component.
        name: String,
        /// Versions that don't go with it.
        range: VersionReq,
        /// What there is.
        found: Version,
    },
    /// The image is larger than the slot.
    #[error("its {volume} volume has {image} bytes, the slot's partition {slot}")]
    TooLarge {
        /// Which volume.
        volume: VolumeKind,
        /// The image's bytes.
        image: u64,
        /// The partition's bytes.
        slot: u64,
    },
    /// It isn't an image.
    #[error("it is {} ({}), and this version of Bistable installs images only", .component.as_ref().map_or_else(|| String::from("not an image"), |name| alloc::format!("a version of component {name}")), kind_name(*.kind))]
    Content {
        /// The component that it is a version of.
        component: Option<String>,
        /// The kind of its content.
        kind: u16,
    },
    /// It is something else than the component.
    #[error("it is a release of {release}, not of component {wanted}")]
    OtherComponent {
        /// What it is of.
        release: String,
        /// The component.
        wanted: String,
    },
    /// Of a kind that can't be installed as a component here.
    #[error("its content is of a kind that can't be installed here ({}): update Bistable first", kind_name(*.kind))]
    Kind {
        /// The kind of its content.
        kind: u16,
    },
    /// It brings a component along in a form that isn't known.
    #[error("it brings a component along that this version of Bistable can't read: {0}")]
    UnreadableBound(DecodeError),
    /// A required test or check would have to run before the switch, and isn't known.
    #[error(
        "its check \"{name}\" is required before the switch and not known here ({why}): update Bistable first"
    )]
    UnknownCheck {
        /// The test or check.
        name: String,
        /// What isn't known.
        why: String,
    },
    /// It has self-tests, and none that is known runs before the switch.
    #[error("none of its self-tests can run before the switch here: update Bistable first")]
    Ungated,
}

/// Every reason why `release` may not go onto `device`; none means that it may.
pub fn check(release: &Constraints, device: &Device<'_>, direction: Direction) -> Vec<Incompatible> {
    let mut reasons = check_terms(release, device, direction);
    if release.content != content::IMAGE_KIND || release.component.is_some() {
        reasons.push(Incompatible::Content { component: release.component.clone(), kind: release.content });
    }
    for volume in VolumeKind::ALL {
        let slot = match volume {
            VolumeKind::Boot => device.boot_bytes,
            VolumeKind::System => device.system_bytes,
        };
        match release.bytes_of(volume) {
            Some(image) if image > slot => reasons.push(Incompatible::TooLarge { volume, image, slot }),
            _ => {}
        }
    }
    reasons
}

/// Every reason why `release` may not be installed as a component, whose version is [`Device::running`], of one of these kinds of
/// content. The device's other components are in [`Device::components`], and its image among them, under the product's name.
pub fn check_component(
    release: &Constraints,
    (name, kinds): (&str, &[u16]),
    device: &Device<'_>,
    direction: Direction,
) -> Vec<Incompatible> {
    let mut reasons = check_terms(release, device, direction);
    if release.component.as_deref() != Some(name) {
        reasons.push(Incompatible::OtherComponent { release: release.what(), wanted: name.into() });
    }
    if !kinds.contains(&release.content) {
        reasons.push(Incompatible::Kind { kind: release.content });
    }
    reasons
}

/// The reasons that images and components have in common.
fn check_terms(release: &Constraints, device: &Device<'_>, direction: Direction) -> Vec<Incompatible> {
    let mut reasons = Vec::new();
    if release.product != device.product {
        reasons
            .push(Incompatible::Product { release: release.product.clone(), device: device.product.into() });
    }
    if !release.boards.iter().any(|b| b == device.board) {
        reasons.push(Incompatible::Board { boards: release.boards.clone(), board: device.board.into() });
    }
    if let (Direction::Forward, Some(running)) = (direction, device.running)
        && !is_newer(&release.version, running)
    {
        reasons.push(Incompatible::NotNewer { release: release.version.clone(), running: running.clone() });
    }
    if release.security_version < device.security_floor {
        reasons.push(Incompatible::SecurityVersion {
            release: release.security_version,
            floor: device.security_floor,
        });
    }
    if let (Direction::Forward, Some(required)) = (direction, &release.requires.running)
        && !device.running.is_some_and(|v| meets(required, v))
    {
        reasons.push(Incompatible::Running { required: required.clone(), running: device.running.cloned() });
    }
    for (name, required) in &release.requires.components {
        let found = device.components.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        if !found.is_some_and(|v| meets(required, v)) {
            reasons.push(Incompatible::Component {
                name: name.clone(),
                required: required.clone(),
                found: found.cloned(),
            });
        }
    }
    for (name, range) in &release.requires.conflicts {
        let found = device.components.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        if let Some(found) = found.filter(|v| meets(range, v)) {
            reasons.push(Incompatible::Conflict {
                name: name.clone(),
                range: range.clone(),
                found: found.clone(),
            });
        }
    }
    reasons
}

/// Every reason why this version of the program can't install a release, apart from its [`Constraints`]: what only the release
/// itself says.
///
/// A required check of an unknown kind that runs on the trial only is left to the release's own agent; a wanted one is
/// skipped.
pub fn check_release(release: &Release) -> Vec<Incompatible> {
    let mut reasons = Vec::new();
    let unreadable = release.bound.unreadable().iter();
    reasons.extend(unreadable.map(|bound| Incompatible::UnreadableBound(bound.why.clone())));
    let stops = |need: Need, at: At| need == Need::Required && at.is_before();
    let unknown_check =
        |name: &str, why: &str| Incompatible::UnknownCheck { name: name.into(), why: why.into() };
    // Both texts were read when the release was decoded.
    let (plan, profile) =
        (release.self_test_plan().unwrap_or_default(), release.health_profile().unwrap_or_default());
    let tests = plan.tests.iter().filter(|t| stops(t.need, t.at));
    let unknown_tests: Vec<_> =
        tests.filter_map(|t| Some(unknown_check(&t.name, t.kind.unknown()?))).collect();
    let is_explained = !unknown_tests.is_empty();
    reasons.extend(unknown_tests);
    let checks = profile.checks.iter().filter(|c| stops(c.need, c.at));
    reasons.extend(checks.filter_map(|c| Some(unknown_check(&c.name, c.kind.unknown()?))));
    if plan.is_ungated() && !is_explained {
        reasons.push(Incompatible::Ungated);
    }
    reasons
}
