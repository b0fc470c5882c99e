use super::program::{ACT, ASK, Programs, done, run};
use crate::{
    board::ComposeFolder,
    ports::{ComposeFile, ComposeProject, Fault, HostError, ServiceOf},
};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

/// Compose, and the projects' folders.
#[derive(Debug)]
pub struct Compose {
    programs: Programs,
    folder: ComposeFolder,
    /// The way to call it that answered.
    found: Option<Vec<String>>,
}

/// What `docker compose config` says of a service.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    restart: Option<String>,
    #[serde(default)]
    deploy: Option<Deploy>,
}

#[derive(Deserialize)]
struct Deploy {
    #[serde(default)]
    restart_policy: Option<RestartPolicy>,
}

#[derive(Deserialize)]
struct RestartPolicy {
    #[serde(default)]
    condition: Option<String>,
    #[serde(default)]
    max_attempts: Option<u32>,
}

impl Service {
    /// What Compose makes of it: the second form counts more.
    fn policy(&self) -> String {
        let deployed = self.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
        match deployed {
            None => self.restart.clone().unwrap_or_else(|| "no".into()),
            Some(policy) => match (policy.condition.as_deref(), policy.max_attempts) {
                (Some("none"), _) => "no".into(),
                (Some("on-failure"), Some(times)) if times > 0 => format!("on-failure:{times}"),
                (Some("on-failure"), _) => "on-failure".into(),
                _ => "always".into(),
            },
        }
    }
}

impl Compose {
    /// The projects in this folder.
    pub fn new(programs: Programs, folder: ComposeFolder) -> Compose {
        Compose { programs, folder, found: None }
    }

    /// The words before a verb.
    fn words(&mut self) -> Result<Vec<String>, HostError> {
        if let Some(found) = &self.found {
            return Ok(found.clone());
        }
        let mut problem = HostError::Failed("there is no Compose: install docker-compose-plugin".into());
        for program in self.programs.compose() {
            match run(program, &["version", "--short"], ASK) {
                Ok(output) if output.code == Some(0) => {
                    self.found = Some(program.clone());
                    return Ok(program.clone());
                }
                Err(e @ HostError::Timeout(_)) => problem = e,
                _ => {}
            }
        }
        Err(problem)
    }

    /// Run a verb of one service, with these files.
    fn verb(
        &mut self,
        of: ServiceOf<'_>,
        files: &[String],
        verb: &[&str],
        timeout: Duration,
    ) -> Result<String, HostError> {
        let program = self.words()?;
        let folder = self.folder.project(of.project).map_err(|e| HostError::Failed(e.to_string()))?;
        let folder = folder.to_string_lossy().into_owned();
        let mut words = vec!["--project-name", of.project, "--project-directory", &folder];
        for file in files {
            words.extend(["--file", file.as_str()]);
        }
        words.extend(verb);
        words.push(of.service);
        done(
            run(&program, &words, timeout)?,
            &format!("compose {}", verb.first().copied().unwrap_or_default()),
        )
    }

    /// The file that is shown, and for `up` also the one that says that the engine never starts it by itself.
    fn files(&self, of: ServiceOf<'_>, is_up: bool) -> Result<Vec<String>, HostError> {
        let failed = |e: Fault| HostError::Failed(e.to_string());
        if self.folder.shown(of).map_err(failed)?.is_none() {
            return Err(HostError::Failed(format!("no Compose file is shown for service {}", of.service)));
        }
        let (file, never) = self.folder.run_files(of);
        let mut files = vec![file.to_string_lossy().into_owned()];
        if is_up {
            files.push(never.to_string_lossy().into_owned());
        }
        Ok(files)
    }
}

impl ComposeProject for Compose {
    fn version(&mut self) -> Result<String, HostError> {
        let program = self.words()?;
        let text = done(run(&program, &["version", "--short"], ASK)?, "compose version")?;
        Ok(text.lines().last().unwrap_or_default().trim().to_owned())
    }

    fn file(&mut self, project: &str) -> Result<ComposeFile, Fault> {
        self.folder.file(project)
    }

    fn set_file(&mut self, project: &str, text: &[u8]) -> Result<(), Fault> {
        self.folder.set_file(project, text)
    }

    fn keep_copy(&mut self, project: &str, date: &str) -> Result<(), Fault> {
        self.folder.keep_copy(project, date)
    }

    fn shown(&mut self, of: ServiceOf<'_>) -> Result<Option<Vec<u8>>, Fault> {
        self.folder.shown(of)
    }

    fn show(&mut self, of: ServiceOf<'_>, text: &[u8]) -> Result<(), Fault> {
        self.folder.show(of, text)
    }

    fn restart(&mut self, of: ServiceOf<'_>) -> Result<String, HostError> {
        let files = self.files(of, false)?;
        let text = self.verb(of, &files, &["config", "--format", "json"], ASK)?;
        let json = text.find('{').and_then(|at| text.get(at..)).unwrap_or_default();
        let config: Config =
            serde_json::from_str(json).map_err(|e| HostError::Failed(format!("compose config: {e}")))?;
        let service = config.services.get(of.service);
        Ok(service.ok_or_else(|| HostError::Failed(format!("no such service: {}", of.service)))?.policy())
    }

    fn up(&mut self, of: ServiceOf<'_>) -> Result<(), HostError> {
        let files = self.files(of, true)?;
        let verb = ["up", "--detach", "--no-deps", "--no-build", "--quiet-pull", "--pull", "never"];
        self.verb(of, &files, &verb, ACT).map(drop)
    }

    fn stop(&mut self, of: ServiceOf<'_>) -> Result<(), HostError> {
        let files = self.files(of, true)?;
        self.verb(of, &files, &["stop"], ACT).map(drop)
    }

    fn logs(&mut self, of: ServiceOf<'_>, lines: u32) -> Result<String, HostError> {
        let files = self.files(of, true)?;
        self.verb(of, &files, &["logs", "--no-color", "--no-log-prefix", "--tail", &lines.to_string()], ASK)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn the_policy_is_what_compose_makes_of_both_forms() {
        for (service, policy) in [
            (r#"{}"#, "no"),
            (r#"{"restart":"unless-stopped"}"#, "unless-stopped"),
            (r#"{"restart":"on-failure:3"}"#, "on-failure:3"),
            (r#"{"deploy":{"restart_policy":{"condition":"on-failure","max_attempts":2}}}"#, "on-failure:2"),
            (r#"{"restart":"always","deploy":{"restart_policy":{"condition":"none"}}}"#, "no"),
            (r#"{"deploy":{"restart_policy":{"condition":"any"}}}"#, "always"),
            (r#"{"deploy":{"replicas":1}}"#, "no"),
        ] {
            let config: Config =
                serde_json::from_str(&format!(r#"{{"services":{{"s":{service}}}}}"#)).unwrap();
            assert_eq!(config.services["s"].policy(), policy, "{service}");
        }
    }
}
