//! A stand-in for GitHub: the part of its REST API that is about releases, as the documentation describes it. Files are at another
//! server, which takes no token, as at GitHub.
use crate::web_server::{Exchange, Reply, Request, WebServer};
use bistable_format::Digest;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file of a release.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// What is sent.
    pub content: Vec<u8>,
    /// What the API says of it: `sha256:…`, or nothing as of old files.
    pub digest: Option<String>,
    /// `uploaded`, or `starter` while it isn't complete.
    pub state: &'static str,
}

impl Asset {
    /// As GitHub has it.
    pub fn new(name: &str, content: &[u8]) -> Asset {
        let digest = Some(format!("sha256:{}", Digest::of(content)));
        Asset { name: name.into(), content: content.into(), digest, state: "uploaded" }
    }
}

/// A release.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// Its tag.
    pub tag: String,
    /// Not published yet.
    pub draft: bool,
    /// A pre-release.
    pub prerelease: bool,
    /// Its files.
    pub assets: Vec<Asset>,
}

impl Release {
    /// Published, with these files.
    pub fn new(tag: &str, assets: &[Asset]) -> Release {
        Release { tag: tag.into(), assets: assets.into(), ..Release::default() }
    }
}

/// What goes wrong with the next request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer comes instead.
    Answer(Reply),
    /// The file ends after this many bytes.
    Cut(usize),
    /// This is sent instead of the file.
    Other(Vec<u8>),
    /// The whole file comes, whatever range is asked for.
    NoRanges,
}

#[derive(Debug, Default)]
struct State {
    releases: Vec<Release>,
    page: usize,
    token: Option<String>,
    api_faults: VecDeque<Fault>,
    file_faults: VecDeque<Fault>,
}

/// A repository `acme/core` at GitHub.
#[derive(Clone, Debug)]
pub struct Github {
    api: WebServer,
    files: WebServer,
    state: Arc<Mutex<State>>,
}

impl Github {
    /// With these releases, newest first.
    pub fn new(releases: Vec<Release>) -> Github {
        let state = Arc::new(Mutex::new(State { releases, page: 30, ..State::default() }));
        let shared = Arc::clone(&state);
        let files = WebServer::new(move |request| file(&shared, request));
        let (shared, storage) = (Arc::clone(&state), files.url());
        let api = WebServer::new(move |request| answer(&shared, &storage, request));
        Github { api, files, state }
    }

    /// Where the API is.
    pub fn url(&self) -> String {
        self.api.url()
    }

    /// At most this many releases are on a page.
    pub fn page(&self, releases: usize) {
        lock(&self.state).page = releases;
    }

    /// The repository is private: this token reads it.
    pub fn private(&self, token: &str) {
        lock(&self.state).token = Some(token.into());
    }

    /// Publish, or remove, releases.
    pub fn set(&self, releases: Vec<Release>) {
        lock(&self.state).releases = releases;
    }

    /// The next questions to the API go wrong.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).api_faults.extend(faults);
    }

    /// The next downloads go wrong.
    pub fn fail_files(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).file_faults.extend(faults);
    }

    /// What the API was asked.
    pub fn asked(&self) -> Vec<Exchange> {
        self.api.seen()
    }

    /// What the other server was asked for.
    pub fn downloads(&self) -> Vec<Exchange> {
        self.files.seen()
    }

    /// Forget what was asked so far.
    pub fn forget(&self) {
        self.api.forget();
        self.files.forget();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The documented answer when too much was asked.
pub fn rate_limited(reset: u64) -> Reply {
    Reply::new(403, r#"{"message":"API rate limit exceeded for 203.0.113.7."}"#)
        .header("X-RateLimit-Limit", "60")
        .header("X-RateLimit-Remaining", "0")
        .header("X-RateLimit-Reset", reset.to_string())
}

fn answer(state: &Mutex<State>, storage: &str, request: &Request) -> Reply {
    let mut state = lock(state);
    if let Some(Fault::Answer(reply)) = state.api_faults.pop_front() {
        return reply;
    }
    // Documented: a request without this header is refused.
    if request.header("user-agent").is_none_or(str::is_empty) {
        return Reply::new(403, r#"{"message":"Request forbidden by administrative rules."}"#);
    }
    let sent = request.header("authorization").map(|value| value.trim_start_matches("Bearer ").to_owned());
    match (&state.token, &sent) {
        // What is private looks as if it weren't there.
        (Some(_), None) => return Reply::new(404, r#"{"message":"Not Found"}"#),
        (token, Some(sent)) if token.as_ref() != Some(sent) => {
            return Reply::new(401, r#"{"message":"Bad credentials"}"#);
        }
        _ => {}
    }
    let Some(rest) = request.route().strip_prefix("/repos/acme/core/releases") else {
        return Reply::new(404, r#"{"message":"Not Found"}"#);
    };
    if let Some(id) = rest.strip_prefix("/assets/") {
        let known = id.parse().is_ok_and(|id| asset(&state, id).is_some());
        return match request.header("accept") {
            _ if !known => Reply::new(404, r#"{"message":"Not Found"}"#),
            Some("application/octet-stream") => {
                Reply::new(302, "").header("Location", format!("{storage}/{id}?signature=secret"))
            }
            _ => Reply::new(200, r#"{"what":"the description of the file, not the file"}"#),
        };
    }
    // The latest release is the first one that is neither a draft nor a pre-release.
    let latest = state.releases.iter().find(|r| !r.draft && !r.prerelease).map(|r| r.tag.clone());
    let tagged = rest.strip_prefix("/tags/").map(str::to_owned);
    let (body, link) =
        match tagged.or(if rest == "/latest" { Some(latest.unwrap_or_default()) } else { None }) {
            Some(tag) => match state.releases.iter().position(|r| r.tag == tag && !r.draft) {
                Some(at) => (described(&state, storage, at), None),
                None => return Reply::new(404, r#"{"message":"Not Found"}"#),
            },
            None => list(&state, storage, request),
        };
    let etag = format!("W/\"{:.40}\"", Digest::of(body.as_bytes()));
    if request.header("if-none-match") == Some(&etag) {
        return Reply::new(304, "").header("ETag", etag);
    }
    let reply =
        Reply::new(200, body).header("ETag", etag).header("Content-Type", "application/json; charset=utf-8");
    match link {
        Some(link) => reply.header("Link", link),
        None => reply,
    }
}

/// A page of releases, and the links to others.
fn list(state: &State, storage: &str, request: &Request) -> (String, Option<String>) {
    let number = |name| request.query(name).and_then(|text| text.parse::<usize>().ok());
    let per_page = number("per_page").unwrap_or(30).clamp(1, 100).min(state.page);
    let page = number("page").unwrap_or(1).max(1);
    let last = state.releases.len().div_ceil(per_page).max(1);
    let shown = (0..state.releases.len()).skip((page - 1) * per_page).take(per_page);
    let body: Vec<String> = shown.map(|at| described(state, storage, at)).collect();
    let host = request.header("host").unwrap_or_default();
    let link = |page: usize, rel: &str| {
        format!("<http://{host}/repos/acme/core/releases?per_page={per_page}&page={page}>; rel=\"{rel}\"")
    };
    let links =
        if page < last { Some([link(page + 1, "next"), link(last, "last")].join(", ")) } else { None };
    (format!("[{}]", body.join(",")), links)
}

/// A release as the API describes it; of its many fields, some that are not used, too.
fn described(state: &State, storage: &str, at: usize) -> String {
    let Some(release) = state.releases.get(at) else { return String::new() };
    let assets = release.assets.iter().enumerate().map(|(n, asset)| {
        let digest = asset.digest.as_ref().map_or("null".into(), |digest| format!("\"{digest}\""));
        format!(
            r#"{{"id":{},"name":"{}","state":"{}","size":{},"digest":{digest},"content_type":"application/gzip","label":null,"browser_download_url":"{storage}/public/{}"}}"#,
            id(at, n),
            asset.name,
            asset.state,
            asset.content.len(),
            id(at, n),
        )
    });
    format!(
        r#"{{"id":{at},"tag_name":"{}","draft":{},"prerelease":{},"name":null,"body":"notes","assets":[{}]}}"#,
        release.tag,
        release.draft,
        release.prerelease,
        assets.collect::<Vec<_>>().join(",")
    )
}

fn id(release: usize, asset: usize) -> usize {
    1000 + release * 100 + asset
}

fn asset(state: &State, wanted: usize) -> Option<&Asset> {
    let all = state.releases.iter().enumerate();
    let mut all =
        all.flat_map(|(at, release)| release.assets.iter().enumerate().map(move |(n, a)| (id(at, n), a)));
    all.find(|(id, _)| *id == wanted).map(|(_, asset)| asset)
}

/// The server of the files.
fn file(state: &Mutex<State>, request: &Request) -> Reply {
    let mut state = lock(state);
    if let Some(id) = request.route().strip_prefix("/public/") {
        return Reply::new(302, "").header("Location", format!("/{id}?signature=secret"));
    }
    // The address is a permission by itself, and a second one is an error.
    if request.header("authorization").is_some() || request.query("signature") != Some("secret") {
        return Reply::new(400, "only one auth mechanism allowed");
    }
    let wanted = request.route().trim_start_matches('/').parse().ok();
    let Some(content) = wanted.and_then(|id| asset(&state, id)).map(|asset| asset.content.clone()) else {
        return Reply::new(404, "");
    };
    match state.file_faults.pop_front() {
        None => Reply::file(request, &content),
        Some(Fault::Answer(reply)) => reply,
        Some(Fault::Other(content)) => Reply::file(request, &content),
        Some(Fault::NoRanges) => Reply::new(200, content),
        Some(Fault::Cut(bytes)) => Reply { cut: Some(bytes), ..Reply::file(request, &content) },
    }
}
