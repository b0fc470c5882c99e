use super::{
    program::{ACT, ASK, LONG, Programs, done},
    registry, saved,
};
use crate::board::free_bytes;
use crate::ports::{Container, ContainerEngine, EngineInfo, HostError, ImageParts, ImageStore};
use bistable_format::Digest;
use serde::Deserialize;
use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where containerd stores images, unless it is told otherwise.
const CONTAINERD: &str = "/var/lib/containerd";
/// The drivers of Docker's own stores.
const DRIVERS: [&str; 5] = ["overlay2", "vfs", "btrfs", "zfs", "fuse-overlayfs"];
/// The driver type of containerd's store.
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1";

/// Docker.
#[derive(Clone, Debug)]
pub struct Docker {
    programs: Programs,
}

/// What `docker info` says.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    server_version: String,
    driver: String,
    #[serde(default)]
    driver_status: Vec<(String, String)>,
    docker_root_dir: PathBuf,
    architecture: String,
}

/// What `docker inspect` says of a container.
#[derive(Deserialize)]
struct Inspected {
    id: String,
    image: String,
    state: State,
    restarts: u32,
    policy: Policy,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    #[serde(default)]
    exit_code: i32,
    #[serde(default)]
    health: Option<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    name: String,
    #[serde(default)]
    maximum_retry_count: u32,
}

/// The parts of a container that are read.
const FORMAT: &str = "{\"id\":{{json .Id}},\"image\":{{json .Image}},\"state\":{{json .State}},\"restarts\":{{json .RestartCount}},\"policy\":{{json .HostConfig.RestartPolicy}}}";

impl Docker {
    /// The engine that these programs talk to.
    pub fn new(programs: Programs) -> Docker {
        Docker { programs }
    }

    fn ask(&self, words: &[&str]) -> Result<String, HostError> {
        self.call(words, ASK)
    }

    fn act(&self, words: &[&str]) -> Result<String, HostError> {
        self.call(words, ACT)
    }

    fn call(&self, words: &[&str], timeout: Duration) -> Result<String, HostError> {
        let what = format!("docker {}", words.first().copied().unwrap_or_default());
        done(self.programs.docker(words, timeout)?, &what)
    }

    fn raw_info(&self) -> Result<Info, HostError> {
        let text = self.ask(&["info", "--format", "{{json .}}"])?;
        // Warnings come before it; without an engine it is there, and empty.
        let line = text.lines().rev().find(|line| line.starts_with('{')).unwrap_or(&text);
        serde_json::from_str(line).map_err(|e| HostError::Failed(format!("docker info: {e}")))
    }

    /// The ids of containers, by a filter.
    fn list(&self, filters: &[String]) -> Result<Vec<String>, HostError> {
        let mut words = vec!["ps", "--all", "--no-trunc", "--format", "{{.ID}}"];
        for filter in filters {
            words.extend(["--filter", filter]);
        }
        Ok(ids(&self.ask(&words)?))
    }

    fn inspect(&self, container: &str) -> Result<Option<Container>, HostError> {
        let output =
            self.programs.docker(&["inspect", "--type", "container", "--format", FORMAT, container], ASK)?;
        if output.code != Some(0) && output.tail.to_ascii_lowercase().contains("no such container") {
            // It ended meanwhile.
            return Ok(None);
        }
        let text = done(output, "docker inspect")?;
        container_of(&text)
            .map(Some)
            .ok_or_else(|| HostError::Failed(format!("docker inspect: {}", text.trim())))
    }
}

/// The ids in an answer, one a line.
fn ids(text: &str) -> Vec<String> {
    let is_id = |line: &&str| line.len() == 64 && line.bytes().all(|b| b.is_ascii_hexdigit());
    text.lines().map(str::trim).filter(is_id).map(ToOwned::to_owned).collect()
}

fn container_of(text: &str) -> Option<Container> {
    let line = text.lines().rev().find(|line| line.starts_with('{'))?;
    let found: Inspected = serde_json::from_str(line).ok()?;
    let restart = match (found.policy.name.as_str(), found.policy.maximum_retry_count) {
        ("", _) => "no".into(),
        ("on-failure", times) if times > 0 => format!("on-failure:{times}"),
        (name, _) => name.to_owned(),
    };
    Some(Container {
        id: found.id,
        image: Digest::parse(found.image.strip_prefix("sha256:")?)?,
        state: found.state.status,
        exit_code: found.state.exit_code,
        restarts: found.restarts,
        health: found.state.health.map(|health| health.status).filter(|status| status != "none"),
        restart,
    })
}

/// How a driver stores images.
fn store(info: &Info) -> Result<ImageStore, String> {
    let value =
        |key: &str| info.driver_status.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if value("driver-type") == Some(SNAPSHOTTER) {
        return match Path::new(CONTAINERD).is_dir() {
            true => Ok(ImageStore::Manifest),
            false => Err(format!("{} in another folder than {CONTAINERD}", info.driver)),
        };
    }
    match DRIVERS.contains(&info.driver.as_str()) {
        true => Ok(ImageStore::Configuration),
        false => Err(info.driver.clone()),
    }
}

/// A processor, as images name it; the engine names it as the kernel does.
fn architecture(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv6l" | "armv7l" | "armhf" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
    .into()
}

impl ContainerEngine for Docker {
    fn info(&mut self) -> Result<EngineInfo, HostError> {
        let info = self.raw_info()?;
        if info.server_version.is_empty() {
            return Err(HostError::Failed("Cannot connect to the Docker daemon: is it running?".into()));
        }
        Ok(EngineInfo {
            store: store(&info),
            architecture: architecture(&info.architecture),
            free_bytes: free_bytes(&info.docker_root_dir)
                .map_err(|e| HostError::Failed(format!("{}: {e}", info.docker_root_dir.display())))?,
            version: info.server_version,
        })
    }

    fn tagged(&mut self, repository: &str) -> Result<Vec<(String, Digest)>, HostError> {
        let words = ["image", "ls", "--no-trunc", "--format", "{{.Tag}} {{.ID}}", repository];
        let text = self.ask(&words)?;
        let read = |line: &str| {
            let (tag, id) = line.trim().split_once(" sha256:")?;
            (tag != "<none>").then_some(())?;
            Some((tag.to_owned(), Digest::parse(id)?))
        };
        Ok(text.lines().filter_map(read).collect())
    }

    fn has_image(&mut self, id: &Digest) -> Result<bool, HostError> {
        let output = self
            .programs
            .docker(&["image", "inspect", "--format", "{{.Id}}", &format!("sha256:{id}")], ASK)?;
        if output.code != Some(0) && output.tail.to_ascii_lowercase().contains("no such image") {
            return Ok(false);
        }
        Ok(done(output, "docker image")?.contains(&id.to_string()))
    }

    fn pull(&mut self, parts: &dyn ImageParts, manifest: &Digest) -> Result<(), HostError> {
        registry::serve(parts, |at| {
            let reference = format!("{at}@sha256:{manifest}");
            self.call(&["pull", "--quiet", &reference], LONG).map(drop)
        })
    }

    fn layers(&mut self, id: &Digest) -> Result<Option<Vec<Digest>>, HostError> {
        saved::layers(self.programs.docker_words(), &format!("sha256:{id}"), LONG)
    }

    fn tag(&mut self, id: &Digest, name: &str) -> Result<(), HostError> {
        let id = format!("sha256:{id}");
        self.act(&["tag", &id, name])?;
        // The reference that it was pulled by leads nowhere any more.
        let names = self.ask(&["image", "inspect", "--format", "{{json .RepoDigests}}", &id])?;
        let names: Vec<String> = serde_json::from_str(names.trim()).unwrap_or_default();
        for pulled in names.iter().filter(|name| name.starts_with(registry::HOST)) {
            let _ = self.act(&["image", "rm", "--no-prune", pulled]);
        }
        Ok(())
    }

    fn untag(&mut self, name: &str) -> Result<(), HostError> {
        gone(self.programs.docker(&["image", "rm", name], ACT)?)
    }

    fn remove_image(&mut self, id: &Digest) -> Result<(), HostError> {
        if !self.has_image(id)? {
            return Ok(());
        }
        let id = format!("sha256:{id}");
        let ended = ["created", "exited", "dead"].map(|state| format!("status={state}"));
        let mut filters = vec![format!("ancestor={id}")];
        filters.extend(ended);
        for container in self.list(&filters)? {
            self.act(&["rm", "--force", &container])?;
        }
        gone(self.programs.docker(&["image", "rm", "--force", &id], LONG)?)
    }

    fn sync(&mut self) -> Result<(), HostError> {
        let info = self.raw_info()?;
        let mut roots = vec![info.docker_root_dir.clone()];
        if store(&info) == Ok(ImageStore::Manifest) {
            roots.push(CONTAINERD.into());
        }
        for root in roots {
            let synced = File::open(&root).and_then(|root| Ok(nix::unistd::syncfs(&root)?));
            synced.map_err(|e| HostError::Failed(format!("{}: {e}", root.display())))?;
        }
        Ok(())
    }

    fn containers(&mut self, project: &str, service: &str) -> Result<Vec<Container>, HostError> {
        let label = |key: &str, value: &str| format!("label=com.docker.compose.{key}={value}");
        let found = self.list(&[label("project", project), label("service", service)])?;
        let mut containers = Vec::new();
        for id in found {
            containers.extend(self.inspect(&id)?);
        }
        Ok(containers)
    }

    fn set_restart(&mut self, container: &str, restart: &str) -> Result<(), HostError> {
        self.act(&["update", "--restart", restart, container]).map(drop)
    }

    fn keep(&mut self, name: &str, id: &Digest) -> Result<(), HostError> {
        let id = format!("sha256:{id}");
        let format = "{{.Image}}";
        let output =
            self.programs.docker(&["inspect", "--type", "container", "--format", format, name], ASK)?;
        if output.code == Some(0) && output.tail.contains(&id) {
            return Ok(());
        }
        self.let_go(name)?;
        // It never runs, so its command need not be there.
        let words =
            ["create", "--name", name, "--network", "none", "--restart", "no", "--label", "bistable=keeper"];
        let words = [words.as_slice(), &[id.as_str(), "never"]].concat();
        self.act(&words).map(drop)
    }

    fn let_go(&mut self, name: &str) -> Result<(), HostError> {
        gone(self.programs.docker(&["rm", "--force", name], ACT)?)
    }
}

/// What isn't there needs no removal.
fn gone(output: super::super::process::Output) -> Result<(), HostError> {
    match output.code != Some(0) && output.tail.to_ascii_lowercase().contains("no such") {
        true => Ok(()),
        false => done(output, "docker").map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_says_of_a_container() {
        let id = "a".repeat(64);
        let text = format!(
            "{{\"id\":\"c1\",\"image\":\"sha256:{id}\",\"state\":{{\"Status\":\"exited\",\"ExitCode\":3,\"Health\":{{\"Status\":\"unhealthy\"}}}},\
             \"restarts\":2,\"policy\":{{\"Name\":\"on-failure\",\"MaximumRetryCount\":4}}}}\n"
        );
        let found = container_of(&text).unwrap();
        assert_eq!((found.state.as_str(), found.exit_code, found.restarts), ("exited", 3, 2));
        assert_eq!((found.health.as_deref(), found.restart.as_str()), (Some("unhealthy"), "on-failure:4"));
        assert_eq!(found.image.to_string(), id);
        for text in ["", "{}", "Error: No such object"] {
            assert_eq!(container_of(text), None, "{text}");
        }
    }

    #[test]
    fn only_stores_that_are_known_are_taken() {
        let info = |driver: &str, status: &[(&str, &str)]| Info {
            server_version: "20.10".into(),
            driver: driver.into(),
            driver_status: status.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            docker_root_dir: "/".into(),
            architecture: "aarch64".into(),
        };
        assert_eq!(
            store(&info("overlay2", &[("Backing Filesystem", "extfs")])),
            Ok(ImageStore::Configuration)
        );
        assert_eq!(store(&info("devicemapper", &[])), Err("devicemapper".into()));
        let snapshotter = store(&info("overlayfs", &[("driver-type", SNAPSHOTTER)]));
        assert_eq!(snapshotter.is_ok(), Path::new(CONTAINERD).is_dir());
        assert_eq!(
            ["aarch64", "armv7l", "x86_64", "riscv64"].map(architecture),
            ["arm64", "arm", "amd64", "riscv64"]
        );
    }
}
