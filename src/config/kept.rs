//! The last configuration that was good: whoever runs for long continues with it while the files on the disk have a problem.
use super::{ConfigError, Settings, load};
use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What was good last, and what is wrong by now.
#[derive(Debug, Default)]
pub struct Kept(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    good: Option<Settings>,
    problem: Option<ConfigError>,
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration below `root`: as it is now, all of it, or else all of it as it was good last.
    ///
    /// # Errors
    /// With everything that is wrong, if it was never good.
    pub fn load(&self, root: &Path) -> Result<Settings, ConfigError> {
        let loaded = load(root);
        let mut state = self.state();
        match loaded {
            Ok(settings) => {
                *state = State { good: Some(settings.clone()), problem: None };
                Ok(settings)
            }
            Err(e) => {
                state.problem = Some(e.clone());
                state.good.clone().ok_or(e)
            }
        }
    }

    /// Everything that is wrong, if an older configuration counts because of that.
    pub fn problem(&self) -> Option<ConfigError> {
        let state = self.state();
        state.problem.clone().filter(|_| state.good.is_some())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files of a test")]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn bad_configuration_changes_nothing_until_it_is_good_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/bistable/config.d");
        fs::create_dir_all(&folder).unwrap();
        let kept = Kept::default();
        let set = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let group = || kept.load(root.path()).map(|settings| settings.update.group);
        set("a.toml", "[update]\ngroup = 1\n");
        assert!(group().is_err(), "it was never good");
        assert_eq!(kept.problem(), None);
        set("a.toml", "[update]\ngroup = 'desk'\n");
        assert_eq!(group(), Ok(Some("desk".into())));
        // Also what is right in it doesn't count: all or nothing.
        set("a.toml", "[update]\ngroup = 'hall'\nmod = 'auto'\n");
        assert_eq!(group(), Ok(Some("desk".into())));
        assert!(kept.problem().unwrap().to_string().contains("unknown key \"mod\""));
        set("a.toml", "[update]\ngroup = 'hall'\n");
        assert_eq!(group(), Ok(Some("hall".into())));
        assert_eq!(kept.problem(), None);
    }
}
