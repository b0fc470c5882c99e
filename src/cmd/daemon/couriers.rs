//! The threads that tell others: webhooks and push gateway, and hooks. Each has the log as it lies on the disk, and no device.
use super::{Pane, first};
use crate::{
    board,
    config::{self, Program, Settings},
    daemon::Front,
    events::{Entry, Filter, Kind, Reading},
    http_client,
    metrics::Format,
    notify::{Answer, Courier, CursorFile, Cursors, HOOKS, Hooks, Message, Now, Outside, Push, Ran, Target},
    ports::{EventPorts, Stamps},
    serve::Desk as _,
};
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// How long an exchange with a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// TLS needs some.
const STACK: usize = 512 << 10;

/// Start the threads that tell others. One that can't be started is logged, and the daemon continues without it.
pub(super) fn start(pane: &Pane, front: &Arc<Front>) {
    let webhooks = |mut street: Street| {
        let (mut courier, mut push, mut heard) = (Courier::default(), Push::default(), 0);
        loop {
            let sleep = courier.turn(&mut street).min(push.turn(&mut street));
            street.front.bell().wait(&mut heard, sleep);
        }
    };
    let hooks = |mut street: Street| {
        let (mut hooks, mut heard) = (Hooks::default(), 0);
        loop {
            let sleep = hooks.turn(&mut street);
            street.front.bell().wait(&mut heard, sleep);
        }
    };
    begin("webhooks", pane, front, webhooks);
    begin("hooks", pane, front, hooks);
}

fn begin(name: &'static str, pane: &Pane, front: &Arc<Front>, work: impl FnOnce(Street) + Send + 'static) {
    let (pane, front) = (pane.clone(), Arc::clone(front));
    let spawned =
        thread::Builder::new().name(name.into()).stack_size(STACK).spawn(move || {
            match Street::new(pane, front, name) {
                Ok(street) => work(street),
                Err(e) => log::error!(name, reason:% = e; "nobody_told"),
            }
        });
    if let Err(e) = spawned {
        log::error!(name, reason:% = e; "nobody_told");
    }
}

/// The world outside of the device.
struct Street {
    pane: Pane,
    front: Arc<Front>,
    stamps: Box<dyn Stamps>,
    file: CursorFile,
    device: Option<String>,
}

impl Street {
    fn new(pane: Pane, front: Arc<Front>, name: &str) -> Result<Street, crate::Error> {
        let EventPorts { persistent, stamps: _, .. } = pane.events()?;
        // As the log itself: without the partition, until the next boot.
        let folder = match persistent {
            Ok(_) => pane.place.persistent(&pane.at).join("bistable/notify"),
            Err(_) => pane.root().join("run/bistable/notify"),
        };
        let stamps = pane.stamps()?;
        let file = CursorFile::new(&folder, &format!("{name}.json"));
        Ok(Street { pane, front, stamps, file, device: None })
    }

    fn settings(&self) -> io::Result<Settings> {
        config::load(&self.pane.root()).map_err(io::Error::other)
    }
}

impl Outside for Street {
    fn now(&mut self) -> Now {
        let stamp = self.stamps.now();
        Now { uptime: stamp.uptime, wall: stamp.synchronized.then_some(stamp.unix) }
    }

    fn time(&mut self) -> u64 {
        self.stamps.now().unix
    }

    fn device(&mut self) -> String {
        if let Ok(Settings { update, .. }) = self.settings()
            && let Some(id) = update.id
        {
            return id;
        }
        if self.device.is_none() {
            self.device = self.pane.serial().ok();
        }
        self.device.clone().unwrap_or_else(|| "unknown".into())
    }

    fn targets(&mut self) -> io::Result<Vec<Target>> {
        let mut targets = Vec::new();
        for webhook in self.settings()?.webhooks {
            let url = match (&webhook.url, &webhook.url_file) {
                (Some(url), _) => Ok(url.clone()),
                (None, Some(path)) => self.secret(path),
                (None, None) => continue,
            };
            match url {
                Ok(url) => targets.push(Target::of(&webhook, url)),
                // It keeps its place in the log.
                Err(why) => {
                    log::warn!(target = webhook.name, reason = why; "webhook_address_not_read");
                    targets.push(Target::of(&webhook, String::new()));
                }
            }
        }
        Ok(targets)
    }

    fn hooks(&mut self, kind: &str) -> Vec<Program> {
        // A folder's name must not come from a file.
        let Some(kind) = Kind::named(kind) else { return Vec::new() };
        let mut hooks = config::programs(&self.pane.root(), &Path::new(HOOKS).join(kind.traits().name));
        for hook in &mut hooks {
            hook.program = self.below(&hook.program);
        }
        hooks
    }

    fn hook_timeout(&mut self) -> Duration {
        self.settings().unwrap_or_default().hooks.timeout
    }

    fn events(&mut self, after: u64, most: usize) -> io::Result<(Vec<Entry>, u64)> {
        let mut store = self.pane.events().map_err(io::Error::other)?.store()?;
        let reading = Reading::after(&mut *store, after)?;
        if most == 0 {
            return Ok((Vec::new(), reading.fold.seq));
        }
        let found = first(reading, &Filter { after, ..Filter::default() }, most);
        Ok((found.events, found.searched))
    }

    fn cursors(&mut self) -> Cursors {
        self.file.read()
    }

    fn keep(&mut self, cursors: &Cursors) -> io::Result<()> {
        self.file.write(cursors)
    }

    fn post(&mut self, url: &str, Message { headers, body }: &Message) -> Answer {
        answer(http_client::deliver("POST", url, headers, body, TIMEOUT))
    }

    fn put(&mut self, url: &str, text: &str) -> Answer {
        let headers = [("content-type", Format::Prometheus.media_type().to_owned())];
        answer(http_client::deliver("PUT", url, &headers, text, TIMEOUT))
    }

    fn push(&mut self) -> Option<(String, Duration)> {
        let metrics = self.settings().ok()?.metrics;
        Some((metrics.push?, metrics.push_interval))
    }

    fn metrics(&mut self) -> Option<String> {
        self.front.metrics(Format::Prometheus).ok()
    }

    fn run(&mut self, program: &Path, input: &str, timeout: Duration) -> Result<Ran, String> {
        let exit = board::run_program(program, input, timeout).map_err(|e| e.to_string())?;
        Ok(Ran { code: exit.code, said: exit.said })
    }

    fn report(&mut self, kind: Kind, source: &'static str, data: Value) {
        self.front.report(kind, source, data);
    }

    fn secret(&mut self, path: &Path) -> Result<String, String> {
        config::secret(&self.pane.root(), path)
    }
}

impl Street {
    fn below(&self, path: &Path) -> PathBuf {
        self.pane.root().join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// Only 2xx is a yes. What a receiver says beyond that is not looked at.
fn answer(delivered: Result<http_client::Delivered, crate::ports::HostError>) -> Answer {
    match delivered {
        Ok(http_client::Delivered { status: 200..=299, .. }) => Answer::Taken,
        Ok(http_client::Delivered { retry_after, status }) => {
            log::debug!(status; "not_taken");
            Answer::Failed { retry_after }
        }
        Err(e) => {
            // Its words may have the address in them, and that may be a secret.
            let is_late = matches!(e, crate::ports::HostError::Timeout(_));
            log::debug!(is_late; "not_answered");
            Answer::Failed { retry_after: None }
        }
    }
}
