//! `token`: who may use the web page. Needs no device, and no daemon that runs: that one reads the files again within a second.
use super::{Answer, Failed, place::Place};
use crate::{
    Error,
    app::{self, StoredToken, StoredTokens, TokenAdded},
    board::unix_time,
    cli::{GlobalArgs, TokenVerb},
    config::tokens::{OF_DEVICE, PREFIX, Scope, Token, Tokens, written},
    durable,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistable_format::name::check_name;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Random bytes of a token.
const BYTES: usize = 32;

/// Make, list or remove tokens.
pub(super) fn run(at: &GlobalArgs, verb: &TokenVerb) -> Result<Answer, Failed> {
    let place = Place::of(at)?;
    let (root, persistent) = (place.root(at), place.persistent(at));
    let tokens = Tokens::read(&root, &persistent);
    match verb {
        TokenVerb::Add { name, scope } => add(&tokens, &persistent, name, *scope),
        TokenVerb::List => Ok(list(&tokens)),
        TokenVerb::Remove { name } => {
            let Some(token) = tokens.all().iter().find(|token| token.name == *name) else {
                let text = format!("there is no token {name}: `bistable token list` shows those there are");
                return Err(Error::NothingToDo(text).into());
            };
            let open = |source| Error::Open { path: token.file.clone(), source };
            fs::remove_file(&token.file).map_err(open)?;
            if let Some(folder) = token.file.parent() {
                fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(open)?;
            }
            Ok(list(&Tokens::read(&root, &persistent)))
        }
    }
}

fn add(tokens: &Tokens, persistent: &Path, name: &str, scope: Scope) -> Result<Answer, Failed> {
    if let Err(e) = check_name("token", name) {
        return Err(Error::Usage(e.to_string()).into());
    }
    if let Some(there) = tokens.all().iter().find(|token| token.name == name) {
        let text = format!(
            "there is a token {name} already ({}): remove it first, or use another name",
            there.file.display()
        );
        return Err(Error::Usage(text).into());
    }
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random()?));
    let created = unix_time().map_err(|e| Error::Usage(e.to_string()))?;
    let text = written(&token, scope, &crate::date::rfc3339(created));
    let file = store(persistent, name, &text)?;
    let added = TokenAdded { token: token.clone(), name: name.into(), scope: scope.name().into(), file };
    Ok(Answer::new(token, app::Answer::TokenAdded(added)))
}

/// From the kernel, by way of the library that also makes the keys of TLS.
fn random() -> Result<[u8; BYTES], Error> {
    let mut bytes = [0; BYTES];
    let filled = tokio_rustls::rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| Error::Daemon(std::io::Error::other("the kernel gives no random bytes")))?;
    Ok(bytes)
}

/// Only root may read and write there.
fn store(persistent: &Path, name: &str, text: &str) -> Result<PathBuf, Error> {
    let folder = persistent.join(OF_DEVICE);
    let file = folder.join(format!("{name}.toml"));
    let open = |source| Error::Open { path: file.clone(), source };
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above).map_err(open)?;
    }
    if !folder.is_dir() {
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(open)?;
    }
    durable::write(&file, text.as_bytes()).map_err(open)?;
    fs::set_permissions(&file, Permissions::from_mode(0o600)).map_err(open)?;
    Ok(file)
}

fn list(tokens: &Tokens) -> Answer {
    let stored: Vec<StoredToken> = tokens.all().iter().map(stored).collect();
    let mut lines: Vec<String> =
        stored.iter().map(|t| format!("{:<24} {:<8} {}", t.name, t.scope, t.created)).collect();
    lines.extend(tokens.refused().iter().map(|why| format!("refused: {why}")));
    if lines.is_empty() {
        lines.push("there are no tokens: `bistable token add NAME --scope read` makes one".into());
    }
    let answer = StoredTokens { tokens: stored, refused: tokens.refused().to_vec() };
    Answer::new(lines.join("\n"), app::Answer::Tokens(answer))
}

fn stored(token: &Token) -> StoredToken {
    StoredToken {
        name: token.name.clone(),
        scope: token.scope.name().into(),
        created: token.created.clone(),
        file: token.file.clone(),
    }
}
