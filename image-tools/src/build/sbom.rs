//! The SBOM of a release that is built: a file, or made of what is packed.
use super::plan::{Plans, Raw};
use super::{BuildError, BuildOptions, Input};
use crate::oci;
use crate::progress::Progress;
use crate::sbom::{Described, Evidence, Found, Sbom, SbomError, make};
use bistable_format::{ArtifactId, Digest, VolumeKind};
use std::path::PathBuf;

/// Where the SBOM comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SbomSource {
    /// There is none.
    #[default]
    None,
    /// A CycloneDX file.
    File {
        /// Its path, for messages.
        path: PathBuf,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// It is made of what the packed tree says is installed in it.
    Auto,
}

impl SbomSource {
    /// The file that is given, if it is one that can be relied on.
    pub(super) fn given(&self) -> Result<Option<Made>, BuildError> {
        let SbomSource::File { path, bytes } = self else { return Ok(None) };
        let sbom = Sbom::decode(bytes).map_err(|source| BuildError::Sbom { path: path.clone(), source })?;
        Ok(Some(Made { bytes: bytes.clone(), sbom }))
    }
}

/// An SBOM.
pub(super) struct Made {
    /// The file's bytes.
    pub(super) bytes: Vec<u8>,
    /// What they say.
    pub(super) sbom: Sbom,
}

/// Make the SBOM of what was planned.
pub(super) fn of_plans(
    options: &BuildOptions,
    plans: &Plans,
    progress: &dyn Progress,
) -> Result<Made, BuildError> {
    let mut found = Found::default();
    for evidence in evidence(plans)? {
        let Found { components, notes } = evidence.found();
        found.components.extend(components);
        found.notes.extend(notes);
    }
    found.notes.iter().for_each(|note| progress.note(&format!("SBOM: {note}")));
    if found.components.is_empty() {
        return Err(BuildError::NoPackages);
    }
    let (component, version) = (options.input.component(), options.version.to_string());
    let described = Described {
        name: component.unwrap_or(&options.product),
        version: &version,
        is_image: matches!(options.input, Input::Volumes { .. } | Input::Disk(_)),
        build_time: options.build_time,
    };
    let bytes = make(&described, &found.components).map_err(SbomError::Json).map_err(BuildError::MadeSbom)?;
    // What is written is what others read, or nothing.
    let sbom = Sbom::decode(&bytes).map_err(BuildError::MadeSbom)?;
    Ok(Made { bytes, sbom })
}

/// What each system, component or image says.
fn evidence(plans: &Plans) -> Result<Vec<Evidence>, BuildError> {
    let mut all = Vec::new();
    for planned in &plans.artifacts {
        match &planned.raw {
            Raw::Volume(plan) if planned.id == VolumeKind::System => {
                let evidence =
                    plan.evidence().map_err(|source| BuildError::Volume { id: planned.id, source })?;
                all.push(evidence.ok_or_else(|| BuildError::NotRead { input: plan.input().to_string() })?);
            }
            // The firmware's files, and a kernel that a package of the system brought.
            Raw::Volume(_) => {}
            Raw::Archive(plan) => all.push(plan.evidence()?),
            Raw::Layer(_) => {}
        }
    }
    let layer = |diff_id: &Digest| {
        plans.artifacts.iter().find_map(|planned| match &planned.raw {
            Raw::Layer(layer) if layer.diff_id == *diff_id => Some(layer),
            _ => None,
        })
    };
    for image in &plans.stack.images {
        let layers = image
            .iter()
            .map(|diff_id| layer(diff_id).ok_or(BuildError::Unplanned { id: ArtifactId::Layer(0) }));
        all.push(oci::evidence(layers.collect::<Result<Vec<_>, _>>()?)?);
    }
    Ok(all)
}
