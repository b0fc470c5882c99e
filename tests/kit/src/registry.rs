//! A stand-in for a registry of images: the part of OCI's distribution specification that pulls, with a server of tokens in front and
//! another server for the blobs, as large registries have them.
use crate::web_server::{Exchange, Reply, Request, WebServer};
use bistable_format::Digest;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What the server of tokens gives, once the name and the password are right.
const TOKEN: &str = "t0ken";

/// What goes wrong with the next blob.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It ends after this many bytes.
    Cut(usize),
    /// One byte is another.
    Damaged,
    /// This comes instead.
    Answer(Reply),
}

#[derive(Debug, Default)]
struct State {
    /// Manifests and indexes with their kinds, and blobs, by digest.
    documents: BTreeMap<String, (&'static str, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
    tags: BTreeMap<String, String>,
    page: usize,
    /// The header of who may pull.
    basic: Option<String>,
    /// After the next question for a tag it names this.
    moves: Option<(String, String)>,
    faults: VecDeque<Fault>,
    manifest_fault: Option<Vec<u8>>,
}

/// A registry with one name, `acme/scheduler`.
#[derive(Clone, Debug)]
pub struct Registry {
    api: WebServer,
    tokens: WebServer,
    files: WebServer,
    state: Arc<Mutex<State>>,
}

impl Registry {
    /// Without an image.
    pub fn new() -> Registry {
        let state = Arc::new(Mutex::new(State { page: 100, ..State::default() }));
        let shared = Arc::clone(&state);
        let tokens = WebServer::new(move |request| token(&lock(&shared), request));
        let shared = Arc::clone(&state);
        let files = WebServer::new(move |request| file(&mut lock(&shared), request));
        let (shared, realm, storage) = (Arc::clone(&state), tokens.url(), files.url());
        let api = WebServer::new(move |request| answer(&mut lock(&shared), &realm, &storage, request));
        Registry { api, tokens, files, state }
    }

    /// Its name as users write it.
    pub fn name(&self) -> String {
        format!("oci://{}/acme/scheduler", self.api.host())
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.api.host()
    }

    /// Push an image with these uncompressed layers for each architecture; gives the digest that the tag names.
    pub fn push(&self, tag: &str, images: &[(&str, &[Vec<u8>])]) -> String {
        let mut state = lock(&self.state);
        let mut entries = Vec::new();
        for (architecture, layers) in images {
            let digests: Vec<String> = layers.iter().map(|layer| state.blob(layer)).collect();
            let diff_ids: Vec<String> = digests.iter().map(|digest| format!("\"{digest}\"")).collect();
            let config = format!(
                r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
                diff_ids.join(",")
            );
            let named: Vec<String> = layers
                .iter()
                .zip(&digests)
                .map(|(layer, digest)| {
                    let kind = "application/vnd.oci.image.layer.v1.tar";
                    format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}}}"#, layer.len())
                })
                .collect();
            let manifest = format!(
                r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{}]}}"#,
                state.blob(config.as_bytes()),
                config.len(),
                named.join(",")
            );
            let digest = state.document(MANIFEST, manifest.as_bytes());
            entries.push((
                digest.clone(),
                format!(
                    r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
                    manifest.len()
                ),
            ));
        }
        let digest = match entries.as_slice() {
            [(one, _)] => one.clone(),
            all => {
                let entries: Vec<&str> = all.iter().map(|(_, entry)| entry.as_str()).collect();
                let index = format!(
                    r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
                    entries.join(",")
                );
                state.document(INDEX, index.as_bytes())
            }
        };
        state.tags.insert(tag.into(), digest.clone());
        digest
    }

    /// At most this many tags are on a page.
    pub fn page(&self, tags: usize) {
        lock(&self.state).page = tags;
    }

    /// Only with the header of this login, in base64, are tokens given.
    pub fn private(&self, basic: &str) {
        lock(&self.state).basic = Some(format!("Basic {basic}"));
    }

    /// Right after the tag was asked for, it names something else.
    pub fn moves(&self, tag: &str, digest: &str) {
        lock(&self.state).moves = Some((tag.into(), digest.into()));
    }

    /// The next blobs go wrong.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).faults.extend(faults);
    }

    /// The next manifest is this, whatever was asked for.
    pub fn fail_manifest(&self, instead: &[u8]) {
        lock(&self.state).manifest_fault = Some(instead.into());
    }

    /// What the registry was asked.
    pub fn asked(&self) -> Vec<Exchange> {
        self.api.seen()
    }

    /// What the server of tokens was asked.
    pub fn tokens(&self) -> Vec<Exchange> {
        self.tokens.seen()
    }

    /// Blobs that were downloaded.
    pub fn downloads(&self) -> Vec<Exchange> {
        self.files.seen()
    }

    /// Forget what was asked so far.
    pub fn forget(&self) {
        for server in [&self.api, &self.tokens, &self.files] {
            server.forget();
        }
    }
}

impl Default for Registry {
    fn default() -> Registry {
        Registry::new()
    }
}

impl State {
    fn blob(&mut self, bytes: &[u8]) -> String {
        let digest = format!("sha256:{}", Digest::of(bytes));
        self.blobs.insert(digest.clone(), bytes.into());
        digest
    }

    fn document(&mut self, kind: &'static str, bytes: &[u8]) -> String {
        let digest = format!("sha256:{}", Digest::of(bytes));
        self.documents.insert(digest.clone(), (kind, bytes.into()));
        digest
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token for pulling this name, and nothing else.
fn token(state: &State, request: &Request) -> Reply {
    let asked = (request.query("service"), request.query("scope"));
    if asked != (Some("registry.test"), Some("repository%3Aacme%2Fscheduler%3Apull")) {
        return Reply::new(400, format!("{asked:?}"));
    }
    if state.basic.is_some() && request.header("authorization") != state.basic.as_deref() {
        return Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#);
    }
    Reply::new(200, format!(r#"{{"token":"{TOKEN}","expires_in":60}}"#))
}

fn answer(state: &mut State, realm: &str, storage: &str, request: &Request) -> Reply {
    if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        let challenge = format!(
            r#"Bearer realm="{realm}/token",service="registry.test",scope="repository:acme/scheduler:pull""#
        );
        return Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#)
            .header("WWW-Authenticate", challenge);
    }
    let Some(rest) = request.route().strip_prefix("/v2/acme/scheduler/") else {
        return Reply::new(404, "{}");
    };
    if let Some(digest) = rest.strip_prefix("blobs/") {
        return match state.blobs.contains_key(digest) {
            true => Reply::new(307, "").header("Location", format!("{storage}/{digest}?signature=secret")),
            false => Reply::new(404, r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#),
        };
    }
    match rest.strip_prefix("manifests/") {
        Some(name) => manifest(state, name),
        None if rest == "tags/list" => tags(state, request),
        None => Reply::new(404, "{}"),
    }
}

fn manifest(state: &mut State, name: &str) -> Reply {
    let digest = state.tags.get(name).cloned().unwrap_or_else(|| name.into());
    if let Some((tag, next)) = state.moves.take_if(|(tag, _)| tag == name) {
        state.tags.insert(tag, next);
    }
    let Some((kind, bytes)) = state.documents.get(&digest) else {
        return Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
    };
    let bytes = state.manifest_fault.take().unwrap_or_else(|| bytes.clone());
    Reply::new(200, bytes).header("Content-Type", *kind).header("Docker-Content-Digest", digest)
}

/// A page of tags, in their order, and the link to the next.
fn tags(state: &State, request: &Request) -> Reply {
    let most = request.query("n").and_then(|n| n.parse().ok()).unwrap_or(100).min(state.page);
    let last = request.query("last").unwrap_or_default();
    let left: Vec<&String> = state.tags.keys().filter(|tag| tag.as_str() > last).collect();
    let page: Vec<String> = left.iter().take(most).map(|tag| format!("\"{tag}\"")).collect();
    let body = format!(r#"{{"name":"acme/scheduler","tags":[{}]}}"#, page.join(","));
    match left.get(most.saturating_sub(1)).filter(|_| left.len() > most) {
        Some(last) => {
            let link = format!("</v2/acme/scheduler/tags/list?last={last}&n={most}>; rel=\"next\"");
            Reply::new(200, body).header("Link", link)
        }
        None => Reply::new(200, body),
    }
}

/// The server of the blobs.
fn file(state: &mut State, request: &Request) -> Reply {
    if request.header("authorization").is_some() || request.query("signature") != Some("secret") {
        return Reply::new(400, "only one auth mechanism allowed");
    }
    let Some(blob) = state.blobs.get(request.route().trim_start_matches('/')).cloned() else {
        return Reply::new(404, "");
    };
    match state.faults.pop_front() {
        None => Reply::file(request, &blob),
        Some(Fault::Answer(reply)) => reply,
        Some(Fault::Cut(bytes)) => Reply { cut: Some(bytes), ..Reply::file(request, &blob) },
        Some(Fault::Damaged) => {
            let mut reply = Reply::file(request, &blob);
            if let Some(byte) = reply.body.last_mut() {
                *byte ^= 1;
            }
            reply
        }
    }
}
