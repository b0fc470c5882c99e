//! A refusal or failure, as RFC 9457 has it.
use crate::app::{Code, Document, NotCancelled};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bistable_format::json;
use serde::Serialize;

/// The media type of all of them.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// How a token may be shown.
const BASIC: &str = "Basic realm=\"bistable\", charset=\"UTF-8\"";
const BEARER: &str = "Bearer realm=\"bistable\"";
/// Seconds until it is worth asking again when too much is asked at once.
const RETRY_AFTER: u32 = 5;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:ident $code:literal $title:literal,)*) => {
        /// What kind of refusal it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// Status, code and title.
            pub(super) fn traits(self) -> (StatusCode, &'static str, &'static str) {
                match self {
                    $(Kind::$kind => (StatusCode::$status, $code, $title),)*
                }
            }
        }
    };
}

kinds! {
    /// The request can't be understood.
    Malformed = BAD_REQUEST "malformed" "The request can't be understood",
    /// It names something on this machine.
    LocalPath = BAD_REQUEST "local-path" "A request over the socket must not name files or folders of this device",
    /// No token that is known.
    Token = UNAUTHORIZED "token" "A token is needed",
    /// The token's scope is too small.
    Scope = FORBIDDEN "scope" "The token does not allow this",
    /// This user may not ask for it.
    NotAdmitted = FORBIDDEN "not-admitted" "This user may not ask for this",
    /// The path speaks another protocol.
    Upgrade = UPGRADE_REQUIRED "upgrade-required" "The path speaks WebSocket",
    /// It was caused by another site's page.
    CrossSite = FORBIDDEN "cross-site" "The page of another site caused this",
    /// The name is another machine's.
    Misdirected = MISDIRECTED_REQUEST "misdirected" "This name is not one of this device",
    /// Too many wrong tokens.
    Attempts = TOO_MANY_REQUESTS "attempts" "Too many wrong tokens came from this address",
    /// The web page's process can't reach the daemon.
    NoDaemon = BAD_GATEWAY "no-daemon" "The daemon does not answer",
    /// There is nothing of this name.
    NotFound = NOT_FOUND "not-found" "There is nothing of this name",
    /// The path has other methods.
    Method = METHOD_NOT_ALLOWED "method-not-allowed" "The path has other methods",
    /// The body did not come in time.
    SlowBody = REQUEST_TIMEOUT "slow-body" "The body did not come in time",
    /// A trial is undecided.
    Trial = CONFLICT "trial-undecided" "A trial is undecided",
    /// The job can't be cancelled.
    NotCancelled = CONFLICT "not-cancelled" "The job can't be cancelled",
    /// There are as many inhibitors as there may be.
    TooMany = CONFLICT "too-many" "There are too many inhibitors",
    /// The body is too large.
    TooLarge = PAYLOAD_TOO_LARGE "body-too-large" "The body is too large",
    /// The body isn't a bundle.
    NotABundle = UNSUPPORTED_MEDIA_TYPE "not-a-bundle" "The body must be a bundle",
    /// The bundle was not installed.
    NotInstalled = UNPROCESSABLE_ENTITY "not-installed" "The bundle was not installed",
    /// The body isn't JSON.
    MediaType = UNSUPPORTED_MEDIA_TYPE "not-json" "The body must be JSON",
    /// The key was used for something else.
    KeyReused = UNPROCESSABLE_ENTITY "key-reused" "The idempotency key was used for another request",
    /// The head is too large.
    HeadTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE "head-too-large" "The head is too large",
    /// The device could not answer.
    Failed = INTERNAL_SERVER_ERROR "failed" "The device could not answer",
    /// Something in the daemon broke.
    Internal = INTERNAL_SERVER_ERROR "internal" "The daemon could not answer",
    /// Too much is asked at once.
    Busy = SERVICE_UNAVAILABLE "busy" "Too much is asked at once",
    /// The daemon goes down.
    Closing = SERVICE_UNAVAILABLE "closing" "The daemon is going down",
    /// The answer did not come in time.
    Slow = SERVICE_UNAVAILABLE "slow" "The device did not answer in time",
    /// The daemon's loop doesn't answer.
    NotAlive = SERVICE_UNAVAILABLE "not-alive" "The daemon's loop does not answer",
}

/// A refusal or failure.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    code: Option<Code>,
    report: Option<Box<Document>>,
    allow: Option<String>,
}

/// The body of one.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Problem"))]
pub(super) struct Written<'a> {
    /// The kind of problem, as a URN that ends with a word of the list in `docs/api.md`.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem, human-readable.
    title: &'a str,
    /// The status of the response.
    status: u16,
    /// What went wrong, human-readable.
    detail: &'a str,
    /// What kind of problem it is, as one word: for programs. Of a failure of the device, the `code` of its failures.
    code: String,
    /// What the command line prints with `--json`, of a failure of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<serde_json::Value>"))]
    report: Option<&'a Document>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), code: None, report: None, allow: None }
    }

    /// No route has this path.
    pub(super) fn no_path(path: &str) -> Problem {
        Problem::new(Kind::NotFound, format!("there is no path {path}: GET /v1/openapi.json lists them"))
    }

    /// The path has these methods only.
    pub(super) fn method(method: &str, allow: String) -> Problem {
        let detail = format!("{method} is not a method of this path: it has {allow}");
        Problem { allow: Some(allow), ..Problem::new(Kind::Method, detail) }
    }

    /// What the backend failed with.
    pub(super) fn failed(document: Box<Document>) -> Problem {
        let failure = document.failure.as_ref();
        let code = failure.map(|failure| failure.code);
        let kind = match code {
            Some(Code::Busy | Code::NotNow) => Kind::Busy,
            Some(Code::NoComponent) => Kind::NotFound,
            _ => Kind::Failed,
        };
        let detail = failure.map_or("no reason is known", |failure| &failure.error).to_owned();
        Problem { code, report: Some(document), ..Problem::new(kind, detail) }
    }

    fn code(&self) -> String {
        let word = self.code.and_then(|code| serde_json::to_value(code).ok());
        word.and_then(|word| word.as_str().map(ToOwned::to_owned))
            .unwrap_or_else(|| self.kind.traits().1.to_owned())
    }

    /// The device's own code for it, and what the command line prints.
    pub(super) fn with(self, code: Option<Code>, report: Option<Document>) -> Problem {
        Problem { code, report: report.map(Box::new), ..self }
    }

    /// The status of the response.
    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.kind.traits().0
    }

    /// What kind of problem it is, and what it is: human-readable.
    pub(super) fn words(&self) -> (&'static str, &str) {
        (self.kind.traits().2, &self.detail)
    }

    /// The body.
    pub(super) fn json(&self) -> String {
        let (status, word, title) = self.kind.traits();
        let written = Written {
            kind: format!("urn:bistable:problem:{word}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code(),
            report: self.report.as_deref(),
        };
        // Only a map whose keys aren't strings fails, and there is none.
        json::line(&written)
    }

    /// The whole response, for a connection that gets no server.
    pub(super) fn raw(&self) -> String {
        let (status, ..) = self.kind.traits();
        let (body, reason) = (self.json(), status.canonical_reason().unwrap_or_default());
        format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {MEDIA_TYPE}\r\nretry-after: {RETRY_AFTER}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            status.as_u16(),
            body.len(),
        )
    }
}

impl From<NotCancelled> for Problem {
    fn from(why: NotCancelled) -> Problem {
        let kind = match why {
            NotCancelled::Unknown(_) => Kind::NotFound,
            NotCancelled::Ended(_) | NotCancelled::TooLate { .. } => Kind::NotCancelled,
        };
        Problem::new(kind, why.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.json()));
        *response.status_mut() = self.kind.traits().0;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        match self.kind {
            Kind::Attempts | Kind::Busy | Kind::Closing | Kind::Slow => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
            }
            // A browser asks for a user and a password: the password is the token.
            Kind::Token => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(BASIC));
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(BEARER));
            }
            Kind::Upgrade => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            // What is left of the request isn't read.
            Kind::NotABundle | Kind::NotInstalled | Kind::TooLarge | Kind::HeadTooLarge | Kind::SlowBody => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
