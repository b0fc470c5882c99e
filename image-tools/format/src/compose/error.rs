//! What of a Compose file can't be updated.
use alloc::{string::String, vec::Vec};

/// Why a Compose file isn't accepted, or can't be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// It is too long.
    #[error(
        "the file has {bytes} bytes; the most is {limit}: move long texts into files of their own (configs:, env_file:)"
    )]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most.
        limit: usize,
    },
    /// It isn't text.
    #[error("byte {at} is not UTF-8: save the file as UTF-8")]
    NotUtf8 {
        /// The first wrong byte.
        at: usize,
    },
    /// It isn't YAML.
    #[error("line {line}: not YAML: {what}")]
    NotYaml {
        /// Where.
        line: usize,
        /// What the parser says.
        what: String,
    },
    /// It has something that leaves open which images run.
    #[error("line {line}: {feature}")]
    Feature {
        /// Where.
        line: usize,
        /// What.
        feature: Feature,
    },
    /// Something about one service.
    #[error("line {line}: service {service}: {problem}")]
    Service {
        /// Where.
        line: usize,
        /// Its name.
        service: String,
        /// What.
        problem: Problem,
    },
    /// A key that comes twice.
    #[error("line {line}: {key:?} is there twice: remove one of them")]
    Twice {
        /// Where the second one is.
        line: usize,
        /// The key.
        key: String,
    },
    /// It has no services.
    #[error("the file has no services: give a Compose file with `services:`")]
    NoServices,
    /// It has more services than a release can have.
    #[error("the file has more than {limit} services: divide it into several components")]
    TooManyServices {
        /// The most.
        limit: usize,
    },
    /// It has no such service.
    #[error("there is no service {name:?} in the file; it has {}", .services.join(", "))]
    NoService {
        /// The name.
        name: String,
        /// Those that there are.
        services: Vec<String>,
    },
    /// What should become a service's image isn't the name of one.
    #[error("{image:?} is not the name of an image")]
    NotAnImage {
        /// What was given.
        image: String,
    },
}

/// What leaves open which images run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Feature {
    /// `&name`.
    #[error(
        "an anchor (&): what is used elsewhere would change with it; write the value wherever it is needed"
    )]
    Anchor,
    /// `*name`.
    #[error("an alias (*): write the value itself")]
    Alias,
    /// `<<`.
    #[error("a merge key (<<): write the keys themselves")]
    Merge,
    /// `!tag`.
    #[error("a tag (!): it changes how files are merged; write the value without it")]
    Tag,
    /// `include`.
    #[error("include: services of other files can't be updated; put them into this file")]
    Include,
    /// A second document.
    #[error("a second document: keep one document in the file")]
    Documents,
    /// A list or a mapping as a key.
    #[error("a key that is not a text: give it a name")]
    Key,
    /// A list or a text where names are expected.
    #[error("services must be names, each with its settings")]
    Services,
    /// Too many levels.
    #[error("more than 32 levels: the file is not a Compose file")]
    Depth,
}

/// What of a service can't be updated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A name that releases don't have.
    #[error("not a name that a release can have: use 1 to 64 of a-z 0-9 . _ -")]
    Name,
    /// Its settings aren't a mapping.
    #[error("it has no settings: give it an image:")]
    Settings,
    /// No image.
    #[error("it has no image: give it one")]
    NoImage,
    /// It is built where it runs.
    #[error(
        "it has build: and no image:, and devices don't build; give it the name of the image that you build"
    )]
    Build,
    /// Its image isn't one text in one line.
    #[error("its image must be one name in one line, with or without quotes")]
    NotScalar,
    /// A variable.
    #[error(
        "its image {image:?} has a variable, so that the environment decides what runs; write the name itself"
    )]
    Variable {
        /// The image.
        image: String,
    },
    /// It isn't the name of an image.
    #[error("{image:?} is not the name of an image")]
    NotAnImage {
        /// What there is.
        image: String,
    },
    /// `extends`.
    #[error("extends: its image could come from another service or file; write all of its settings here")]
    Extends,
    /// `profiles`.
    #[error(
        "profiles: who starts the project decides whether it runs; remove the profile, or move the service to a project of its own"
    )]
    Profiles,
}
