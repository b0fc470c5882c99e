//! A webhook: a receiver of events, as it is configured.
use std::{path::PathBuf, time::Duration};

/// The table whose tables have the webhooks' names.
pub(super) const TABLE: &str = "webhook";

/// The form of a webhook's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// The event as it is.
    #[default]
    Json,
    /// A line of text, as Slack takes it.
    Slack,
}

impl Template {
    pub(super) const ALL: &[(&str, Template)] = &[("json", Template::Json), ("slack", Template::Slack)];
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Its address, if that is no secret.
    pub url: Option<String>,
    /// The file with its address, if it is one.
    pub url_file: Option<PathBuf>,
    /// The types of events that it wants: `update.*` is all that begin so; none is all.
    pub types: Vec<String>,
    /// Files with the secrets that its messages are signed with.
    pub secret_files: Vec<PathBuf>,
    /// The form of its messages.
    pub template: Template,
    /// The longest wait between two attempts, unless the receiver asks for a longer one.
    pub retry_max: Duration,
    /// After this time without success, what waits is given up.
    pub give_up_after: Duration,
}

impl Webhook {
    /// One of that name of which nothing was said.
    pub(super) fn named(name: &str) -> Webhook {
        Webhook {
            name: name.into(),
            url: None,
            url_file: None,
            types: Vec::new(),
            secret_files: Vec::new(),
            template: Template::Json,
            retry_max: Duration::from_secs(3600),
            give_up_after: Duration::from_secs(3 * 86_400),
        }
    }
}
