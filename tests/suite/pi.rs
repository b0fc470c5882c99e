//! A simulated Pi with its card in a folder of its own, and the program that runs on it.
use crate::fixture::{Product, WORLD, product};
use bistable_boot::{Slot, layout::Partition};
use serde_json::Value;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

pub(crate) struct Pi {
    product: &'static Product,
    folder: TempDir,
    pub(crate) card: PathBuf,
    /// Slot A's volumes as they were at first.
    slot_a: [Vec<u8>; 2],
}

/// How a call of the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    #[allow(dead_code, reason = "shown when a test fails")]
    pub(crate) call: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// It must have ended like that, and standard error must hold all these words.
    #[track_caller]
    pub(crate) fn must(self, code: i32, words: &[&str]) -> Ended {
        assert_eq!(self.code, code, "{self:#?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {self:#?}");
        }
        // Whatever happened: no panic, and nothing of Rust's insides.
        for never in ["panicked", "RUST_BACKTRACE", "Os {"] {
            assert!(!self.err.contains(never), "{self:#?}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        bistable_schema::object(&self.out)
    }
}

impl Pi {
    pub(crate) fn new() -> Pi {
        Pi::of(product())
    }

    pub(crate) fn of(product: &'static Product) -> Pi {
        let folder = tempfile::tempdir().unwrap();
        let card = folder.path().join("card.img");
        product.card(&card);
        let mut pi = Pi { product, folder, card, slot_a: [Vec::new(), Vec::new()] };
        pi.slot_a = pi.slot(Slot::A);
        pi.world(WORLD);
        pi
    }

    /// With a card that the caller makes in its folder. What slots hold on it isn't looked at.
    pub(crate) fn made(make: impl FnOnce(&Path)) -> Pi {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let card = folder.path().join("card.img");
        Pi { product: product(), folder, card, slot_a: [Vec::new(), Vec::new()] }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Put a file into the folder.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The good bundle, 1.1.0.
    pub(crate) fn good(&self) -> PathBuf {
        self.file("good.bundle", &self.product.good)
    }

    pub(crate) fn world(&self, text: &str) {
        self.file("card.img.sim/world.toml", text.as_bytes());
    }

    pub(crate) fn config(&self, text: &str) {
        self.file("card.img.sim/root/etc/bistable/config.d/50-test.toml", text.as_bytes());
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bistable"));
        command.env_remove("RUST_LOG").env_remove("BISTABLE_CARD");
        command.arg("--card").arg(&self.card).current_dir(self.folder.path());
        command
    }

    /// Run with these words; a word that begins with `@` is a path in the folder.
    pub(crate) fn run(&self, line: &str) -> Ended {
        let mut command = self.command();
        for word in line.split_whitespace() {
            match word.strip_prefix('@') {
                Some(name) => command.arg(self.path(name)),
                None => command.arg(word),
            };
        }
        end(command, line)
    }

    /// The same after this process itself had the card open. A program that another test is just starting may still have all
    /// that was open here, the card's lock too, until it is started.
    pub(crate) fn run_once_free(&self, line: &str) -> Ended {
        let mut ended = self.run(line);
        for _ in 0..100 {
            if ended.code != 75 || !ended.err.contains("in use by another process") {
                break;
            }
            ended = self.run(line);
        }
        ended
    }

    pub(crate) fn run_on(&self, verb: &str, bundle: &Path) -> Ended {
        let mut command = self.command();
        command.args(verb.split_whitespace()).arg(bundle);
        end(command, &format!("{verb} {}", bundle.display()))
    }

    /// Run with a standard input.
    pub(crate) fn run_with(&self, line: &str, input: &[u8]) -> Ended {
        let mut child = self
            .command()
            .args(line.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that refuses early closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input);
        ended(&child.wait_with_output().unwrap(), line)
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.run("status --json").must(0, &[]).json()
    }

    pub(crate) fn partition(&self, partition: Partition) -> Vec<u8> {
        let range = self.product.range(partition);
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        File::open(&self.card).unwrap().read_exact_at(&mut bytes, range.start).unwrap();
        bytes
    }

    pub(crate) fn slot(&self, slot: Slot) -> [Vec<u8>; 2] {
        [self.partition(Partition::Boot(slot)), self.partition(Partition::System(slot))]
    }

    /// Overwrite bytes of a partition behind everybody's back.
    pub(crate) fn scribble(&self, partition: Partition, at: u64, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(&self.card).unwrap();
        file.write_all_at(bytes, self.product.range(partition).start + at).unwrap();
    }

    /// The system in slot A carries no root: its file system can't be read.
    pub(crate) fn without_system_root(&mut self) {
        self.scribble(Partition::System(Slot::A), 1024 + 56, &[0; 2]);
        self.remember_slot_a();
    }

    /// From now on, slot A is untouched if it is as it is now.
    pub(crate) fn remember_slot_a(&mut self) {
        self.slot_a = self.slot(Slot::A);
    }

    #[track_caller]
    pub(crate) fn slot_a_is_untouched(&self) {
        // Not `assert_eq`: the bytes would say nothing.
        assert!(self.slot(Slot::A) == self.slot_a, "slot A changed");
    }

    /// Slot A runs 1.0.0, is the default, is as it was, and nothing is in flight.
    #[track_caller]
    pub(crate) fn is_unharmed(&self) {
        self.slot_a_is_untouched();
        self.rests("A", "1.0.0");
    }

    /// A slot runs a version and is the default, and nothing is in flight.
    #[track_caller]
    pub(crate) fn rests(&self, slot: &str, version: &str) -> Value {
        let s = self.status();
        let at = slot.to_lowercase();
        let found = [&s["state"], &s["booted"], &s["default"], &s["slots"][at.as_str()]["version"]];
        assert_eq!(found, ["idle", slot, slot, version], "{s:#}");
        s
    }

    /// A person arms what is staged and reboots, and the boot unit of the new system commits it.
    #[track_caller]
    pub(crate) fn tries_what_is_staged(&self) {
        self.run("arm").must(0, &[]);
        self.run("reboot").must(0, &["booting slot"]);
        self.run("resume").must(0, &["is the default now"]);
    }

    /// After whatever was: a good update works.
    #[track_caller]
    pub(crate) fn takes_the_good_update(&self) {
        self.run_on("update", &self.good()).must(0, &[]);
        self.run("resume").must(0, &[]);
        self.rests("B", "1.1.0");
        self.slot_a_is_untouched();
    }
}

pub(crate) fn end(mut command: Command, call: &str) -> Ended {
    ended(&command.stdin(Stdio::null()).output().unwrap(), call)
}

fn ended(output: &std::process::Output, call: &str) -> Ended {
    Ended {
        call: call.into(),
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into(),
        err: String::from_utf8_lossy(&output.stderr).into(),
    }
}
