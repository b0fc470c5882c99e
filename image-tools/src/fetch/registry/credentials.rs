//! Names and passwords that this user has stored with `docker login`, `podman login` or `skopeo login`.
use crate::output;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Bytes of such a file at most.
const FILE_MAX: usize = 1 << 20;

/// A stored file. Helpers, which keep passwords elsewhere, are not asked.
#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    /// `name:password` in base64, as it stands in the header `Authorization`.
    auth: Option<String>,
}

/// The files in which tools look, the first one first.
pub(super) fn files() -> Vec<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(only) = named("REGISTRY_AUTH_FILE") {
        return vec![only];
    }
    let home = named("HOME");
    let below = |folder: Option<PathBuf>, path: &str| folder.map(|folder| folder.join(path));
    [
        below(named("XDG_RUNTIME_DIR"), "containers/auth.json"),
        below(named("XDG_CONFIG_HOME").or_else(|| below(home.clone(), ".config")), "containers/auth.json"),
        below(named("DOCKER_CONFIG").or_else(|| below(home, ".docker")), "config.json"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The header `Authorization` for a name of a registry.
pub(super) fn basic(files: &[PathBuf], host: &str, name: &str) -> Option<String> {
    let stored = files.iter().filter_map(|path| {
        let bytes = output::read_limited(path, FILE_MAX).ok()?;
        serde_json::from_slice::<Stored>(&bytes).ok()
    });
    stored.into_iter().find_map(|stored| login(&stored, host, name))
}

/// The entry for a folder of names goes before that of the whole registry.
fn login(stored: &Stored, host: &str, name: &str) -> Option<String> {
    let mut wanted = vec![format!("{host}/{name}")];
    while let Some((folder, _)) = wanted.last().and_then(|last| last.rsplit_once('/')) {
        wanted.push(folder.to_owned());
    }
    if host == "docker.io" {
        wanted.push("https://index.docker.io/v1/".into());
    }
    let bare = |key: &str| {
        let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        key.trim_end_matches('/').to_owned()
    };
    wanted.iter().find_map(|wanted| {
        let mut all = stored.auths.iter();
        let found = all.find(|(key, _)| *key == wanted || bare(key) == *wanted)?;
        let auth = found.1.auth.as_ref().filter(|auth| !auth.is_empty())?;
        auth.bytes().all(|b| b.is_ascii_graphic()).then(|| format!("Basic {auth}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_of_the_nearest_folder_counts() {
        let text = r#"{"auths":{"ghcr.io":{"auth":"YTpi"},"ghcr.io/acme":{"auth":"YTpj"},"https://r.example.com/":{"auth":"YTpk"},
            "https://index.docker.io/v1/":{"auth":"YTpl"},"helper.example.com":{}},"credsStore":"desktop"}"#;
        let stored: Stored = serde_json::from_str(text).unwrap();
        for (host, name, wanted) in [
            ("ghcr.io", "other/x", Some("Basic YTpi")),
            ("ghcr.io", "acme/scheduler", Some("Basic YTpj")),
            ("r.example.com", "x", Some("Basic YTpk")),
            ("docker.io", "library/alpine", Some("Basic YTpl")),
            ("helper.example.com", "x", None),
            ("example.com", "x", None),
        ] {
            assert_eq!(login(&stored, host, name).as_deref(), wanted, "{host}/{name}");
        }
    }
}
