//! A webhook, ready to be served.
use super::RetryPolicy;
use crate::config::{Template, Webhook};
use std::path::PathBuf;

/// A webhook, ready to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its address: may hold a secret, and is never shown.
    pub url: String,
    /// The types of events that it wants; none is all.
    pub types: Vec<String>,
    /// Files with its secrets.
    pub secrets: Vec<PathBuf>,
    /// The form of its messages.
    pub template: Template,
    /// How patient its owner is.
    pub retry: RetryPolicy,
}

impl Target {
    /// A webhook of the configuration, at that address.
    pub fn of(webhook: &Webhook, url: String) -> Target {
        let Webhook { name, types, secret_files, template, retry_max, give_up_after, .. } = webhook;
        let retry = RetryPolicy { back_off_max: *retry_max, give_up_after: *give_up_after };
        Target {
            name: name.clone(),
            url,
            types: types.clone(),
            secrets: secret_files.clone(),
            template: *template,
            retry,
        }
    }
}
