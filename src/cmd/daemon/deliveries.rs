//! The threads that tell others: webhooks and push gateway, and hooks. Each has the log as it lies on the disk, and no device.
use super::{ReadOnlyDevice, first};
use crate::{
    board,
    config::{self, Program, Settings},
    daemon::Handle,
    events::{Entry, Filter, Kind, Reading, readable},
    http_client,
    metrics::Format,
    notify::{
        Answer, CursorFile, Cursors, Deliveries, HOOKS, Hooks, Message, Now, Outside, Push, Ran, Target,
    },
    ports::{EventPorts, Stamps},
    serve::Backend as _,
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
pub(super) fn start(read_only: &ReadOnlyDevice, handle: &Arc<Handle>) {
    let webhooks = |mut outside: HostOutside| {
        let (mut deliveries, mut push, mut heard) = (Deliveries::default(), Push::default(), 0);
        loop {
            let sleep = deliveries.turn(&mut outside).min(push.turn(&mut outside));
            outside.handle.bell().wait(&mut heard, sleep);
        }
    };
    let hooks = |mut outside: HostOutside| {
        let (mut hooks, mut heard) = (Hooks::default(), 0);
        loop {
            let sleep = hooks.turn(&mut outside);
            outside.handle.bell().wait(&mut heard, sleep);
        }
    };
    begin("webhooks", read_only, handle, webhooks);
    begin("hooks", read_only, handle, hooks);
}

fn begin(
    name: &'static str,
    read_only: &ReadOnlyDevice,
    handle: &Arc<Handle>,
    work: impl FnOnce(HostOutside) + Send + 'static,
) {
    let (read_only, handle) = (read_only.clone(), Arc::clone(handle));
    let spawned = thread::Builder::new().name(name.into()).stack_size(STACK).spawn(move || {
        match HostOutside::new(read_only, handle, name) {
            Ok(outside) => work(outside),
            Err(e) => log::error!(name, reason:% = e; "deliveries_not_started"),
        }
    });
    if let Err(e) = spawned {
        log::error!(name, reason:% = e; "deliveries_not_started");
    }
}

/// The world outside of the device.
struct HostOutside {
    read_only: ReadOnlyDevice,
    handle: Arc<Handle>,
    stamps: Box<dyn Stamps>,
    file: CursorFile,
    device: Option<String>,
}

impl HostOutside {
    fn new(read_only: ReadOnlyDevice, handle: Arc<Handle>, name: &str) -> Result<HostOutside, crate::Error> {
        let EventPorts { persistent, stamps: _, .. } = read_only.events()?;
        // As the log itself: without the partition, until the next boot.
        let folder = match persistent {
            Ok(_) => read_only.place.persistent(&read_only.at).join("bistable/notify"),
            Err(_) => read_only.root().join("run/bistable/notify"),
        };
        let stamps = read_only.stamps()?;
        let file = CursorFile::new(&folder, &format!("{name}.json"));
        Ok(HostOutside { read_only, handle, stamps, file, device: None })
    }

    fn settings(&self) -> io::Result<Settings> {
        self.read_only.kept.load(&self.read_only.root()).map_err(io::Error::other)
    }
}

impl Outside for HostOutside {
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
            self.device = self.read_only.serial().ok();
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
        let mut hooks = config::programs(&self.read_only.root(), &Path::new(HOOKS).join(kind.traits().name));
        for hook in &mut hooks {
            hook.program = self.below(&hook.program);
        }
        hooks
    }

    fn hook_timeout(&mut self) -> Duration {
        self.settings().unwrap_or_default().hooks.timeout
    }

    fn events(&mut self, after: u64, most: usize) -> io::Result<(Vec<Entry>, u64)> {
        let mut store = readable(self.read_only.events().map_err(io::Error::other)?)?;
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
        self.handle.metrics(Format::Prometheus).ok()
    }

    fn run(&mut self, program: &Path, input: &str, timeout: Duration) -> Result<Ran, String> {
        let exit = board::run_program(program, input, timeout).map_err(|e| e.to_string())?;
        Ok(Ran { code: exit.code, said: exit.said })
    }

    fn report(&mut self, kind: Kind, source: &'static str, data: Value) {
        self.handle.report(kind, source, data);
    }

    fn secret(&mut self, path: &Path) -> Result<String, String> {
        config::secret(&self.read_only.root(), path)
    }
}

impl HostOutside {
    fn below(&self, path: &Path) -> PathBuf {
        self.read_only.root().join(path.strip_prefix("/").unwrap_or(path))
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
