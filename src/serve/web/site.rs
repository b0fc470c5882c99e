//! What each path answers.
use super::{
    super::{
        Limits, Stopped,
        page::{self, Look},
        problem::{Kind, Problem},
        routes::WS,
        ws::Stay,
    },
    answers::{html, retold, see_page, shown},
    attempts::Attempts,
    forms,
    guard::Guard,
    tunnel::tunnel,
    upstream::Upstream,
};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts,
    },
    response::IntoResponse,
};
use hyper::upgrade::OnUpgrade;
use serde_json::Value;
use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// What every response says. Nothing runs but our own files, nothing frames the page, and where it leads isn't told to others;
/// to ourselves it is, or browsers would send no Origin with a form.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The page and what is behind it.
#[derive(Debug)]
pub(super) struct Site {
    guard: Guard,
    pub(super) upstream: Upstream,
    pub(super) limits: Limits,
    attempts: Arc<Mutex<Attempts>>,
    began: Instant,
    stopped: Stopped,
}

impl Site {
    pub(super) fn new(
        names: Vec<String>,
        scheme: &'static str,
        socket: PathBuf,
        stopped: Stopped,
        limits: Limits,
    ) -> Site {
        Site {
            guard: Guard { names, scheme },
            upstream: Upstream { socket, patience: limits.patience },
            limits,
            attempts: Arc::default(),
            began: Instant::now(),
            stopped,
        }
    }

    /// Answer a request that comes from there.
    pub(super) async fn answer(&self, address: IpAddr, request: Request<Body>) -> Response<Body> {
        let for_program = request.uri().path().starts_with("/v1/");
        let mut response = match self.checked(address, request).await {
            Ok(response) => response,
            Err(problem) if for_program => problem.into_response(),
            Err(problem) => shown(&problem),
        };
        for (name, text) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(text));
        }
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }

    async fn checked(&self, address: IpAddr, request: Request<Body>) -> Result<Response<Body>, Problem> {
        self.limits.check_head(&request)?;
        let (head, body) = request.into_parts();
        self.guard.check(&head)?;
        // In a conversation, one may be shown later.
        let shows_token = head.headers.contains_key(header::AUTHORIZATION) || head.uri.path() == WS;
        let attempts = || self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if shows_token && attempts().wait(address, self.began.elapsed()).is_some() {
            let detail = "too many wrong tokens came from this address: wait a minute";
            return Err(Problem::new(Kind::Attempts, detail));
        }
        let mut response = self.routed(&head, body).await?;
        if shows_token && response.status() == StatusCode::UNAUTHORIZED {
            wrong(&self.attempts, self.began, address);
        }
        if let Some(daemon) = response.extensions_mut().remove::<OnUpgrade>() {
            self.converse(address, &head, daemon)?;
        }
        Ok(response)
    }

    /// Pass a conversation on, once both sides have begun it.
    fn converse(&self, address: IpAddr, head: &Parts, daemon: OnUpgrade) -> Result<(), Problem> {
        let client = head.extensions.get::<OnUpgrade>().cloned();
        let client = client.ok_or_else(|| Problem::new(Kind::Upgrade, "this connection stays HTTP"))?;
        let (attempts, began, stopped) = (Arc::clone(&self.attempts), self.began, self.stopped.clone());
        let stay = head.extensions.get::<Stay>().cloned();
        tokio::spawn(async move {
            let _stay = stay;
            match (client.await, daemon.await) {
                (Ok(client), Ok(daemon)) => {
                    if tunnel(client, daemon, stopped).await {
                        wrong(&attempts, began, address);
                    }
                }
                (Err(e), _) | (_, Err(e)) => log::debug!(reason:% = e; "web_conversation_not_begun"),
            }
        });
        Ok(())
    }

    async fn routed(&self, head: &Parts, body: Body) -> Result<Response<Body>, Problem> {
        let path = head.uri.path();
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        if path.starts_with("/v1/") {
            let target = head.uri.path_and_query().map_or(path, |target| target.as_str());
            return self.upstream.pass(head.method.clone(), target, &head.headers, body).await;
        }
        if let Some(file) = page::FILES.iter().find(|file| file.path == path) {
            return if reads { Ok(constant(file)) } else { Err(only("GET, HEAD", head)) };
        }
        match path {
            "/" if reads => self.page(&head.headers).await,
            "/login" if reads => self.login(&head.headers).await,
            "/" | "/login" => Err(only("GET, HEAD", head)),
            _ => match path.strip_prefix("/do/") {
                Some(act) if head.method == Method::POST => {
                    forms::take(&self.upstream, act, head, body).await
                }
                Some(_) => Err(only("POST", head)),
                None => {
                    Err(Problem::new(Kind::NotFound, format!("there is no page {path}: the page is at /")))
                }
            },
        }
    }

    /// The page, from what the daemon answers to this visitor.
    async fn page(&self, headers: &HeaderMap) -> Result<Response<Body>, Problem> {
        let status = match self.upstream.read("/v1/status", headers).await? {
            Ok(status) => status,
            Err(refused) => return retold(refused).await,
        };
        // Each of these is a part of the page: without it, the rest is still worth seeing.
        let part = async |target: &str| match self.upstream.read(target, headers).await {
            Ok(Ok(value)) => value,
            Ok(Err(_)) | Err(_) => Value::Null,
        };
        let look = Look {
            status,
            history: part("/v1/history").await,
            jobs: part("/v1/jobs").await,
            live: part("/v1/health/live").await,
            inhibitors: part("/v1/inhibitors").await,
            components: part("/v1/components").await,
            signed_in: headers.contains_key(header::AUTHORIZATION),
        };
        Ok(html(StatusCode::OK, page::page(&look)))
    }

    /// Have the browser ask for a token, and go back to the page once it is right.
    async fn login(&self, headers: &HeaderMap) -> Result<Response<Body>, Problem> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Err(Problem::new(
                Kind::Token,
                "enter a token as the password; the user name may be empty",
            ));
        }
        match self.upstream.read("/v1/health/live", headers).await? {
            Err(refused) if refused.status() == StatusCode::UNAUTHORIZED => retold(refused).await,
            _ => Ok(see_page()),
        }
    }
}

/// An address has shown a wrong token.
fn wrong(attempts: &Mutex<Attempts>, began: Instant, address: IpAddr) {
    attempts.lock().unwrap_or_else(PoisonError::into_inner).wrong(address, began.elapsed());
    log::warn!(address:%; "web_token_refused");
}

fn constant(file: &page::File) -> Response<Body> {
    let mut response = Response::new(Body::from(file.text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    // Another version of the program has other files under the same names.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn only(methods: &str, head: &Parts) -> Problem {
    Problem::method(head.method.as_str(), methods.into())
}
