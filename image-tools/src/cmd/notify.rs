//! Messages to a webhook about what was done to a repository.
use crate::answer::Answer;
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::fetch::Web;
use crate::output::read_limited;
use crate::repository::audit::timestamp;
use bistable_format::answer::SCHEMA;
use bistable_format::text::printable_json;
use bistable_format::webhook;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Most bytes of a file with a secret.
const SECRET_MAX: usize = 4096;
/// How long a receiver that asks to be left alone is waited for: the user waits as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which webhook gets a message.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Notify {
    /// Send what was done to this address, as JSON. The address may be a secret: it is never shown. If it can't be reached, what was
    /// done stands, with a warning
    #[arg(long = "notify", value_name = "URL", env = "BISTABLE_NOTIFY", hide_env_values = true)]
    url: Option<Url>,
    /// File with the secret that the message is signed with, as standardwebhooks.com has it. Repeat it while the receiver changes from one
    /// to the next
    #[arg(
        long = "notify-secret",
        value_name = "FILE",
        env = "BISTABLE_NOTIFY_SECRET",
        value_delimiter = ',',
        requires = "url"
    )]
    secrets: Vec<PathBuf>,
    /// The form of the message
    #[arg(long = "notify-template", value_enum, default_value_t, env = "BISTABLE_NOTIFY_TEMPLATE")]
    template: Template,
}

/// The form of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// What `--json` prints, with who did it, where and when
    #[default]
    Json,
    /// Lines of text, as Slack takes them
    Slack,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Notice<'a> {
    schema: u32,
    /// The verb.
    #[serde(rename = "type")]
    verb: &'a str,
    time: String,
    who: &'a str,
    repository: &'a str,
    /// What the verb answers.
    result: &'a Answer,
}

/// A webhook, with all that a message to it needs: read before anything is done.
#[derive(Debug)]
pub(crate) struct Webhook {
    url: Url,
    secrets: Vec<String>,
    template: Template,
}

impl Notify {
    /// Read the secrets.
    pub(crate) fn open(&self) -> Result<Option<Webhook>, Error> {
        let Some(url) = &self.url else { return Ok(None) };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(Error::Usage(
                "--notify takes an address that begins with http:// or https://".into(),
            ));
        }
        let secrets = self.secrets.iter().map(|path| {
            let problem = |why: String| Error::Usage(format!("--notify-secret {}: {why}", path.display()));
            let bytes = read_limited(path, SECRET_MAX).map_err(|e| problem(e.to_string()))?;
            let text = String::from_utf8(bytes).map_err(|_| problem("it is not text".into()))?;
            match text.trim() {
                "" => Err(problem("it is empty".into())),
                secret => Ok(secret.to_owned()),
            }
        });
        Ok(Some(Webhook {
            url: url.clone(),
            secrets: secrets.collect::<Result<_, _>>()?,
            template: self.template,
        }))
    }
}

/// A message, ready to be sent.
#[derive(Debug)]
pub(crate) struct Message {
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Webhook {
    /// The message about what a verb did.
    pub(crate) fn message(
        &self,
        verb: &str,
        who: &str,
        repository: &str,
        answer: &Answer,
        text: &str,
    ) -> Message {
        let now = HostClock.now();
        let notice = Notice { schema: SCHEMA, verb, time: timestamp(now), who, repository, result: answer };
        let body = match self.template {
            // Only a map whose keys aren't strings fails, and there is none.
            Template::Json => printable_json(&serde_json::to_string(&notice).unwrap_or_default()),
            Template::Slack => {
                json!({ "text": webhook::slack_text(&format!("{who} at {repository}: {}", text.trim_end())) })
                    .to_string()
            }
        };
        // Of this message alone: a receiver drops one that it has seen.
        let id = format!("{now}-{:016x}", getrandom::u64().unwrap_or_default());
        let mut headers = webhook::headers(&id, now, &body, &self.secrets);
        headers.push(("content-type", "application/json".into()));
        Message { headers, body }
    }

    /// Send it. A failure changes nothing of what was done: it is a warning.
    pub(crate) fn send(&self, Message { headers, body }: &Message) {
        if let Err(why) = Web::new(PATIENCE, Arc::new(HostClock)).post(&self.url, headers, body) {
            super::progress_lines::say(&format!(
                "warning: the webhook did not get it ({why}); what was done stands"
            ));
        }
    }
}
