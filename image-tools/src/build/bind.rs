//! The components that an image brings along: each has to be of the image's product and boards, and all have to fit together.
use super::BuildOptions;
use bistable_format::release::DataPolicy;
use bistable_format::resolve::{Part, Reason, System};
use bistable_format::{Bound, Digest, Extensions, Release};
use semver::Version;

/// A component's release, verified, to be bound.
#[derive(Clone, Debug)]
pub struct BoundRelease {
    /// What it says.
    pub release: Release,
    /// Its identity: see [`bistable_format::release::identity`].
    pub identity: Digest,
}

/// Why a component can't be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// It is an image, or of another product.
    #[error("--bind: {found} is not a component of {product}")]
    NotAComponent {
        /// What it is.
        found: String,
        /// The image's product.
        product: String,
    },
    /// It doesn't run on a board that the image is for.
    #[error(
        "--bind: {bound} is not for board {board}, which the image is for: build it with --board {board}, too"
    )]
    Board {
        /// The component and its version.
        bound: String,
        /// The board.
        board: String,
    },
    /// What is set of it is not switched with a slot.
    #[error(
        "--bind: {bound} declares a configuration, which does not change with a slot so far: publish it in the channel instead"
    )]
    Configuration {
        /// The component and its version.
        bound: String,
    },
    /// Its data would not go back with a slot.
    #[error(
        "--bind: {bound} migrates its data, which would not go back with a slot: build it with data that both versions read"
    )]
    Migrates {
        /// The component and its version.
        bound: String,
    },
    /// They don't fit together.
    #[error("{image} can't bring these components along: {}", .reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unfit {
        /// The image and its version.
        image: String,
        /// All reasons.
        reasons: Vec<Reason>,
    },
}

impl BoundRelease {
    /// As the image's release names it.
    pub(super) fn bound(&self) -> Bound {
        Bound {
            // A release without one was refused before.
            component: self.release.component.clone().unwrap_or_default(),
            version: self.release.version.clone(),
            identity: self.identity,
            extensions: Extensions::default(),
        }
    }

    fn part(&self) -> Part {
        Part {
            name: self.release.component.clone().unwrap_or_default(),
            version: self.release.version.clone(),
            requires: self.release.requires.clone(),
            binds: Vec::new(),
        }
    }

    fn named(&self) -> String {
        named(&self.release.what(), &self.release.version)
    }
}

fn named(what: &str, version: &Version) -> String {
    format!("{what} {version}")
}

/// Whether all components can be bound.
pub(super) fn check(options: &BuildOptions) -> Result<(), BindError> {
    for bound in &options.binds {
        let release = &bound.release;
        if release.product() != options.product || release.component.is_none() {
            let (found, product) = (bound.named(), options.product.clone());
            return Err(BindError::NotAComponent { found, product });
        }
        if let Some(board) = options.boards.iter().find(|board| !release.boards.contains(board)) {
            return Err(BindError::Board { bound: bound.named(), board: board.clone() });
        }
        if !release.configuration_text().is_empty() {
            return Err(BindError::Configuration { bound: bound.named() });
        }
        if release.data == DataPolicy::Migrates {
            return Err(BindError::Migrates { bound: bound.named() });
        }
    }
    if options.binds.is_empty() {
        return Ok(());
    }
    let image = Part {
        name: options.product.clone(),
        version: options.version.clone(),
        requires: options.requires.clone(),
        binds: options.binds.iter().map(BoundRelease::part).collect(),
    };
    let reasons = System::bind_problems(&image);
    if reasons.is_empty() { Ok(()) } else { Err(BindError::Unfit { image: image.named(), reasons }) }
}
