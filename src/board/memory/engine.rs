//! A container engine and its Compose projects, with what a power cut does to theirs (measured with Docker 20.10 on ext4).
use super::{Behavior, Loss, Supply};
use crate::ports::{
    ComposeFile, ComposeProject, Container, ContainerEngine, EngineInfo, Fault, HostError, ImageParts,
    ImageStore, ServiceOf,
};
use bistable_format::{Digest, compose::Compose};
use std::{cell::RefCell, collections::BTreeMap, io::Read, rc::Rc};

/// An engine in memory, with all projects that it runs.
#[derive(Clone, Debug)]
pub struct MemoryEngine {
    supply: Supply,
    content: Rc<RefCell<Content>>,
}

/// How an engine differs from one that does what it should.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EngineFacts {
    /// Its version.
    pub version: String,
    /// The version of Compose.
    pub compose: String,
    /// How it stores images.
    pub store: Result<ImageStore, String>,
    /// The processor.
    pub architecture: String,
    /// Bytes that are free.
    pub free: u64,
    /// Why it doesn't answer, if it doesn't.
    pub silence: Option<HostFailure>,
    /// What it says instead of pulling.
    pub pull_problem: Option<String>,
    /// What it says instead of starting a container.
    pub start_problem: Option<String>,
}

/// Why an engine doesn't answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostFailure {
    /// It isn't there.
    Stopped,
    /// It hangs.
    Hangs,
}

impl Default for EngineFacts {
    fn default() -> Self {
        EngineFacts {
            version: "20.10.24".into(),
            compose: "2.29.7".into(),
            store: Ok(ImageStore::Configuration),
            architecture: "arm64".into(),
            free: 8 << 30,
            silence: None,
            pull_problem: None,
            start_problem: None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Content {
    facts: EngineFacts,
    layers: BTreeMap<String, Layer>,
    images: BTreeMap<String, Image>,
    containers: Vec<Made>,
    /// Containers that were removed since everything was durable.
    removed: Vec<Made>,
    keepers: BTreeMap<String, String>,
    next: u32,
    files: BTreeMap<String, Vec<u8>>,
    copies: BTreeMap<(String, String), Vec<u8>>,
    shown: BTreeMap<(String, String), Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Layer {
    bytes: Vec<u8>,
    is_durable: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Image {
    layers: Vec<String>,
    names: Vec<String>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Made {
    id: u32,
    project: String,
    service: String,
    image: String,
    file: Vec<u8>,
    state: &'static str,
    exit_code: i32,
    restart: String,
    /// The policy that a power cut leaves; `None` of a container that is not durable at all.
    durable: Option<String>,
}

/// What reads an image's manifest.
#[derive(serde::Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(serde::Deserialize)]
struct Descriptor {
    digest: String,
}

fn failed(e: &Fault) -> HostError {
    HostError::Failed(e.to_string())
}

fn digest(text: &str) -> Digest {
    Digest::parse(text).unwrap_or(Digest([0; 32]))
}

impl Content {
    /// What the program of an image does: its layers say it, in the words `BEHAVIOR` and `VERSION`.
    fn behavior(&self, image: &str) -> Behavior {
        let text = self.text(image);
        if !text.contains("VERSION=") {
            return Behavior::Dead;
        }
        match word(&text, "BEHAVIOR=").as_deref() {
            Some("sick") => Behavior::Sick,
            Some("dead") => Behavior::Dead,
            Some("restarting") => Behavior::Restarting,
            Some("unhealthy") => Behavior::Unhealthy,
            _ => Behavior::Good,
        }
    }

    fn text(&self, image: &str) -> String {
        let layers = self.images.get(image).map(|image| image.layers.clone()).unwrap_or_default();
        let bytes =
            layers.iter().filter_map(|layer| self.layers.get(layer)).flat_map(|layer| layer.bytes.clone());
        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
    }

    fn named(&self, name: &str) -> Option<String> {
        self.images.iter().find(|(_, image)| image.names.iter().any(|n| n == name)).map(|(id, _)| id.clone())
    }

    fn start(&mut self, id: u32) {
        let image = self.containers.iter().find(|c| c.id == id).map(|c| c.image.clone()).unwrap_or_default();
        let behavior = self.behavior(&image);
        if let Some(container) = self.containers.iter_mut().find(|c| c.id == id) {
            (container.state, container.exit_code) = match behavior {
                Behavior::Dead => ("exited", 1),
                Behavior::Restarting => ("exited", 3),
                Behavior::Good | Behavior::Sick | Behavior::Unhealthy => ("running", 0),
            };
        }
    }

    fn forget_layers(&mut self) {
        let used: Vec<String> = self.images.values().flat_map(|image| image.layers.clone()).collect();
        self.layers.retain(|layer, _| used.contains(layer));
    }
}

fn word(text: &str, key: &str) -> Option<String> {
    let rest = text.split_once(key)?.1;
    rest.split_whitespace().next().map(ToOwned::to_owned)
}

impl MemoryEngine {
    /// One without images, whose projects have these files.
    pub fn new(supply: Supply, files: &[(&str, &str)]) -> MemoryEngine {
        let files = files.iter().map(|(project, text)| ((*project).into(), text.as_bytes().to_vec()));
        let content = Content { files: files.collect(), ..Content::default() };
        MemoryEngine { supply, content: Rc::new(RefCell::new(content)) }
    }

    /// Another one with the same content and another power supply.
    #[must_use]
    pub fn fork(&self, supply: Supply) -> MemoryEngine {
        MemoryEngine { supply, content: Rc::new(RefCell::new(self.content.borrow().clone())) }
    }

    /// Change what it is like.
    pub fn change(&self, change: impl FnOnce(&mut EngineFacts)) {
        change(&mut self.content.borrow_mut().facts);
    }

    /// Put an image there that was not pulled from us, complete and durable, and run it.
    pub fn factory(&self, (project, service): (&str, &str), name: &str, text: &str) {
        let mut content = self.content.borrow_mut();
        let layer = Digest::of(text.as_bytes()).to_string();
        content.layers.insert(layer.clone(), Layer { bytes: text.into(), is_durable: true });
        let image = Image { layers: vec![layer.clone()], names: vec![name.into()] };
        content.images.insert(layer.clone(), image);
        let file = content.files.get(project).cloned().unwrap_or_default();
        content.next += 1;
        let made = Made {
            id: content.next,
            project: project.into(),
            service: service.into(),
            image: layer,
            file,
            state: "running",
            exit_code: 0,
            restart: "always".into(),
            durable: Some("always".into()),
        };
        content.containers.push(made);
    }

    /// The ids of the images that run for a service.
    pub fn running(&self, project: &str, service: &str) -> Vec<Digest> {
        let content = self.content.borrow();
        let of_it = content.containers.iter().filter(|c| c.project == project && c.service == service);
        of_it.filter(|c| c.state == "running").map(|c| digest(&c.image)).collect()
    }

    /// What the files of the image of that name say; `None` if the store has no image of it.
    pub fn text(&self, name: &str) -> Option<String> {
        let content = self.content.borrow();
        content.named(name).map(|id| content.text(&id))
    }

    /// What an image's program says of its version and what it does.
    pub fn says(&self, image: &Digest) -> (String, Behavior) {
        let (content, id) = (self.content.borrow(), image.to_string());
        (word(&content.text(&id), "VERSION=").unwrap_or_default(), content.behavior(&id))
    }

    /// The durable file of a project.
    pub fn durable_file(&self, project: &str) -> Vec<u8> {
        self.content.borrow().files.get(project).cloned().unwrap_or_default()
    }

    /// The policies of a service's containers.
    pub fn policies(&self, project: &str, service: &str) -> Vec<String> {
        let content = self.content.borrow();
        let of_it = content.containers.iter().filter(|c| c.project == project && c.service == service);
        of_it.map(|c| c.restart.clone()).collect()
    }

    /// Copies of a project's file.
    pub fn copies(&self, project: &str) -> usize {
        self.content.borrow().copies.keys().filter(|(of, _)| of == project).count()
    }

    /// A user removed the images that no container is made from; and the containers that don't run before, if they are named.
    pub fn prune(&self, with_stopped: bool) {
        let mut content = self.content.borrow_mut();
        if with_stopped {
            content.keepers.clear();
            content.containers.retain(|c| c.state == "running");
        }
        let mut used: Vec<String> = content.containers.iter().map(|c| c.image.clone()).collect();
        used.extend(content.keepers.values().cloned());
        content.images.retain(|id, _| used.contains(id));
        content.forget_layers();
    }

    /// The power went, and what was in memory is gone.
    pub fn lose(&self, loss: Loss) {
        let mut content = self.content.borrow_mut();
        content.shown.clear();
        let removed = std::mem::take(&mut content.removed);
        if loss == Loss::All {
            for layer in content.layers.values_mut().filter(|layer| !layer.is_durable) {
                // The names came through, the data did not.
                layer.bytes.clear();
            }
            for container in &mut content.containers {
                match &container.durable {
                    Some(restart) => container.restart.clone_from(restart),
                    None => container.state = "created",
                }
            }
            content.containers.extend(removed.into_iter().filter(|c| c.durable.is_some()));
        }
        for container in &mut content.containers {
            if container.state == "running" {
                (container.state, container.exit_code) = ("exited", 137);
            }
            container.durable = Some(container.restart.clone());
        }
        content.layers.values_mut().for_each(|layer| layer.is_durable = true);
    }

    /// The engine comes up, and starts what it is to start by itself.
    pub fn boot(&self) {
        let mut content = self.content.borrow_mut();
        let wanted = content.containers.iter().filter(|c| c.restart != "no" && c.state != "created");
        let wanted: Vec<u32> = wanted.map(|c| c.id).collect();
        for id in wanted {
            content.start(id);
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Content) -> Result<T, HostError>) -> Result<T, HostError> {
        self.supply.look().map_err(|e| failed(&e))?;
        self.answers()?;
        look(&self.content.borrow())
    }

    fn operate<T>(&self, act: impl FnOnce(&mut Content) -> Result<T, HostError>) -> Result<T, HostError> {
        self.answers()?;
        let mut done = None;
        let operated = self.supply.operate(|| {
            done = Some(act(&mut self.content.borrow_mut()));
            Ok(())
        });
        operated.map_err(|e| failed(&e))?;
        done.unwrap_or_else(|| Err(HostError::Failed("it was not done".into())))
    }

    fn answers(&self) -> Result<(), HostError> {
        match self.content.borrow().facts.silence {
            None => Ok(()),
            Some(HostFailure::Hangs) => Err(HostError::Timeout(std::time::Duration::from_secs(90))),
            Some(HostFailure::Stopped) => {
                Err(HostError::Failed("Cannot connect to the Docker daemon: is it running?".into()))
            }
        }
    }
}

fn read(parts: &dyn ImageParts, of: &str) -> Result<Vec<u8>, HostError> {
    let opened = parts.open(&digest(of)).map_err(|e| HostError::Failed(e.to_string()))?;
    let (_, mut part) = opened.ok_or_else(|| HostError::Failed(format!("manifest unknown: {of}")))?;
    let mut bytes = Vec::new();
    part.read_to_end(&mut bytes).map_err(|e| HostError::Failed(e.to_string()))?;
    match Digest::of(&bytes).to_string() == of {
        true => Ok(bytes),
        false => {
            Err(HostError::Failed(format!("filesystem layer verification failed for digest sha256:{of}")))
        }
    }
}

impl ContainerEngine for MemoryEngine {
    fn info(&mut self) -> Result<EngineInfo, HostError> {
        self.look(|content| {
            let EngineFacts { version, store, architecture, free, .. } = content.facts.clone();
            Ok(EngineInfo { version, store, architecture, free_bytes: free })
        })
    }

    fn tagged(&mut self, repository: &str) -> Result<Vec<(String, Digest)>, HostError> {
        self.look(|content| {
            let of = |(id, image): (&String, &Image)| {
                let tags = image.names.iter().filter_map(|n| n.strip_prefix(repository)?.strip_prefix(':'));
                tags.map(|tag| (tag.to_owned(), digest(id))).collect::<Vec<_>>()
            };
            Ok(content.images.iter().flat_map(of).collect())
        })
    }

    fn has_image(&mut self, id: &Digest) -> Result<bool, HostError> {
        self.look(|content| Ok(content.images.contains_key(&id.to_string())))
    }

    fn pull(&mut self, parts: &dyn ImageParts, manifest: &Digest) -> Result<(), HostError> {
        if let Some(problem) = self.content.borrow().facts.pull_problem.clone() {
            return Err(HostError::Failed(problem));
        }
        let store = self.content.borrow().facts.store.clone().unwrap_or(ImageStore::Configuration);
        let bytes = read(parts, &manifest.to_string())?;
        let wrong = |e: serde_json::Error| HostError::Failed(e.to_string());
        let parsed: Manifest = serde_json::from_slice(&bytes).map_err(wrong)?;
        let plain = |of: &Descriptor| of.digest.trim_start_matches("sha256:").to_owned();
        let id = match store {
            ImageStore::Configuration => plain(&parsed.config),
            ImageStore::Manifest => manifest.to_string(),
        };
        if self.content.borrow().images.contains_key(&id) {
            // "Image is up to date", whatever of it is left.
            return Ok(());
        }
        let layers: Vec<String> = parsed.layers.iter().map(plain).collect();
        for layer in &layers {
            // "Already exists", whatever of it is left.
            if !self.content.borrow().layers.contains_key(layer) {
                let bytes = read(parts, layer)?;
                self.operate(|content| {
                    content.layers.insert(layer.clone(), Layer { bytes, is_durable: false });
                    Ok(())
                })?;
            }
        }
        self.operate(|content| {
            content.images.insert(id, Image { layers, names: Vec::new() });
            Ok(())
        })
    }

    fn layers(&mut self, id: &Digest) -> Result<Option<Vec<Digest>>, HostError> {
        self.look(|content| {
            let image = content.images.get(&id.to_string());
            let image = image.ok_or_else(|| HostError::Failed("No such image".into()))?;
            let layers = image.layers.iter().filter_map(|layer| content.layers.get(layer));
            Ok(Some(layers.map(|layer| Digest::of(&layer.bytes)).collect()))
        })
    }

    fn tag(&mut self, id: &Digest, name: &str) -> Result<(), HostError> {
        self.operate(|content| {
            content.images.values_mut().for_each(|image| image.names.retain(|n| n != name));
            let image = content.images.get_mut(&id.to_string());
            image.ok_or_else(|| HostError::Failed("No such image".into()))?.names.push(name.into());
            Ok(())
        })
    }

    fn untag(&mut self, name: &str) -> Result<(), HostError> {
        self.operate(|content| {
            content.images.values_mut().for_each(|image| image.names.retain(|n| n != name));
            Ok(())
        })
    }

    fn remove_image(&mut self, id: &Digest) -> Result<(), HostError> {
        let id = id.to_string();
        if !self.look(|content| Ok(content.images.contains_key(&id)))? {
            return Ok(());
        }
        self.operate(|content| {
            if content.containers.iter().any(|c| c.image == id && c.state == "running") {
                return Err(HostError::Failed("image is being used by running container".into()));
            }
            let (gone, rest) =
                std::mem::take(&mut content.containers).into_iter().partition(|c| c.image == id);
            content.containers = rest;
            let gone: Vec<Made> = gone;
            content.removed.extend(gone);
            content.keepers.retain(|_, image| *image != id);
            content.images.remove(&id);
            content.forget_layers();
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<(), HostError> {
        self.operate(|content| {
            content.layers.values_mut().for_each(|layer| layer.is_durable = true);
            content.containers.iter_mut().for_each(|c| c.durable = Some(c.restart.clone()));
            content.removed.clear();
            Ok(())
        })
    }

    fn containers(&mut self, project: &str, service: &str) -> Result<Vec<Container>, HostError> {
        self.look(|content| {
            let of_it = content.containers.iter().filter(|c| c.project == project && c.service == service);
            let health = |c: &Made| {
                let is_sick = content.behavior(&c.image) == Behavior::Unhealthy;
                (is_sick && c.state == "running").then(|| "unhealthy".to_owned())
            };
            let shown = of_it.map(|c| Container {
                id: c.id.to_string(),
                image: digest(&c.image),
                state: c.state.into(),
                exit_code: c.exit_code,
                restarts: 0,
                health: health(c),
                restart: c.restart.clone(),
            });
            Ok(shown.collect())
        })
    }

    fn set_restart(&mut self, container: &str, restart: &str) -> Result<(), HostError> {
        self.operate(|content| {
            let made = content.containers.iter_mut().find(|c| c.id.to_string() == container);
            made.ok_or_else(|| HostError::Failed("No such container".into()))?.restart = restart.into();
            Ok(())
        })
    }

    fn keep(&mut self, name: &str, id: &Digest) -> Result<(), HostError> {
        let id = id.to_string();
        if self.look(|content| Ok(content.keepers.get(name) == Some(&id)))? {
            return Ok(());
        }
        self.operate(|content| {
            content.keepers.insert(name.into(), id);
            Ok(())
        })
    }

    fn let_go(&mut self, name: &str) -> Result<(), HostError> {
        if !self.look(|content| Ok(content.keepers.contains_key(name)))? {
            return Ok(());
        }
        self.operate(|content| {
            content.keepers.remove(name);
            Ok(())
        })
    }
}

fn key(of: ServiceOf<'_>) -> (String, String) {
    (of.project.into(), of.service.into())
}

/// Copies of a file that are kept.
const COPIES: usize = 5;

impl MemoryEngine {
    fn folder<T>(&self, act: impl FnOnce(&mut Content) -> Result<T, Fault>) -> Result<T, Fault> {
        self.supply.operate(|| act(&mut self.content.borrow_mut()))
    }
}

impl ComposeProject for MemoryEngine {
    fn version(&mut self) -> Result<String, HostError> {
        self.supply.look().map_err(|e| failed(&e))?;
        Ok(self.content.borrow().facts.compose.clone())
    }

    fn file(&mut self, project: &str) -> Result<ComposeFile, Fault> {
        self.supply.look()?;
        let path = format!("/persistent/bistable/compose/{project}/compose.yaml").into();
        Ok(ComposeFile { path, text: self.content.borrow().files.get(project).cloned() })
    }

    fn set_file(&mut self, project: &str, text: &[u8]) -> Result<(), Fault> {
        self.folder(|content| {
            let file = content.files.get_mut(project);
            *file.ok_or_else(|| Fault::Unfit("there is no Compose file".into()))? = text.to_vec();
            Ok(())
        })
    }

    fn keep_copy(&mut self, project: &str, date: &str) -> Result<(), Fault> {
        let (file, at) = (self.durable_file(project), (project.to_owned(), date.to_owned()));
        if self.content.borrow().copies.iter().any(|((of, _), text)| of == project && *text == file) {
            return Ok(());
        }
        self.folder(|content| {
            content.copies.insert(at, file);
            while content.copies.keys().filter(|(of, _)| of == project).count() > COPIES {
                let oldest = content.copies.keys().find(|(of, _)| of == project).cloned();
                oldest.map(|oldest| content.copies.remove(&oldest));
            }
            Ok(())
        })
    }

    fn shown(&mut self, of: ServiceOf<'_>) -> Result<Option<Vec<u8>>, Fault> {
        self.supply.look()?;
        Ok(self.content.borrow().shown.get(&key(of)).cloned())
    }

    fn show(&mut self, of: ServiceOf<'_>, text: &[u8]) -> Result<(), Fault> {
        self.folder(|content| {
            content.shown.insert(key(of), text.to_vec());
            Ok(())
        })
    }

    fn restart(&mut self, of: ServiceOf<'_>) -> Result<String, HostError> {
        self.look(|content| {
            let text = content.shown.get(&key(of)).cloned().unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            Ok(word(&text, "restart:").unwrap_or_else(|| "no".into()).trim_matches('"').into())
        })
    }

    fn up(&mut self, of: ServiceOf<'_>) -> Result<(), HostError> {
        self.look(|_| Ok(()))?;
        let text = self.content.borrow().shown.get(&key(of)).cloned();
        let text =
            text.ok_or_else(|| HostError::Failed("no configuration file provided: not found".into()))?;
        let name = Compose::parse(&text).and_then(|file| Ok(file.service(of.service)?.image.clone()));
        let name = name.map_err(|e| HostError::Failed(e.to_string()))?;
        let image = self.content.borrow().named(&name);
        let image = image.ok_or_else(|| HostError::Failed(format!("No such image: {name}")))?;
        let is_of = |c: &Made| c.project == of.project && c.service == of.service;
        let all: Vec<Made> = self.content.borrow().containers.iter().filter(|c| is_of(c)).cloned().collect();
        let same = all.iter().find(|c| c.image == image && c.file == text).map(|c| c.id);
        let id = match same {
            Some(id) => id,
            None => self.operate(|content| {
                content.next += 1;
                content.containers.push(Made {
                    id: content.next,
                    project: of.project.into(),
                    service: of.service.into(),
                    image: image.clone(),
                    file: text,
                    state: "created",
                    exit_code: 0,
                    restart: "no".into(),
                    durable: None,
                });
                Ok(content.next)
            })?,
        };
        for old in all.iter().filter(|c| c.id != id) {
            self.operate(|content| {
                let (gone, rest) =
                    std::mem::take(&mut content.containers).into_iter().partition(|c| c.id == old.id);
                content.containers = rest;
                let gone: Vec<Made> = gone;
                content.removed.extend(gone);
                Ok(())
            })?;
        }
        if self.look(|content| Ok(content.containers.iter().any(|c| c.id == id && c.state == "running")))? {
            return Ok(());
        }
        if let Some(problem) = self.content.borrow().facts.start_problem.clone() {
            return Err(HostError::Failed(problem));
        }
        self.operate(|content| {
            content.start(id);
            match content.text(&image).contains("VERSION=") {
                true => Ok(()),
                false => Err(HostError::Failed("exec: \"/bin/main\": no such file or directory".into())),
            }
        })
    }

    fn stop(&mut self, of: ServiceOf<'_>) -> Result<(), HostError> {
        self.operate(|content| {
            let of_it =
                content.containers.iter_mut().filter(|c| c.project == of.project && c.service == of.service);
            of_it.filter(|c| c.state == "running").for_each(|c| (c.state, c.exit_code) = ("exited", 0));
            Ok(())
        })
    }

    fn logs(&mut self, of: ServiceOf<'_>, lines: u32) -> Result<String, HostError> {
        self.look(|content| {
            let running =
                content.containers.iter().filter(|c| c.project == of.project && c.service == of.service);
            let said: Vec<String> = running.map(|c| content.text(&c.image)).collect();
            Ok(said.into_iter().take(lines as usize).collect::<Vec<_>>().join("\n"))
        })
    }
}
