//! From a bundle to a committed update and back again: a repository made by the host's own functions, served as it
//! lies, and a device that only knows where it is.
use crate::{
    fixture::{WORLD, product},
    pi::{Ended, Pi},
    shop::{DAY, NOW},
    source_server::{Server, good},
};
use bistable_format::rollout::{Rollout, Wave};
use bistable_image::{
    Silent,
    repository::{
        Clock, Store,
        channel::{ChannelError, ChannelLog, OldRoot},
        edit::{self, Selector},
        init::{Writers, init},
        notice::NoNotices,
        promote::{Request, promote},
        publish::publish,
        roots::Roots,
        store::Missing,
        trust::Known,
        writer::{Change, Committer, LIFETIME},
    },
};
use bistable_kit::product::publication;
use serde_json::Value;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

/// The time that the device's clock shows, too.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> u64 {
        NOW
    }
    fn wait(&self, _: Duration) {}
}

/// A repository beside the card, with three releases in staging and the first in production.
pub(crate) struct Repo<'a> {
    pi: &'a Pi,
    pub(crate) folder: PathBuf,
    store: Store,
    roots: Roots,
    known: Known,
}

impl<'a> Repo<'a> {
    pub(crate) fn new(pi: &'a Pi) -> Repo<'a> {
        let product = product();
        let folder = pi.path("repo");
        let store = Store::open(folder.to_str().unwrap(), Missing::Create).unwrap();
        init(&store, &product.root, Writers::Many, "ada", &Stopped).unwrap();
        let roots = Roots::load(&store).unwrap();
        let repo = Repo { pi, folder, store, roots, known: Known::nothing() };
        // Nearly all of the third is as in the second.
        let third = product.draft().pack(&[&product.release_key]);
        for (name, bundle) in [("1", &product.old), ("2", &product.good), ("3", &third)] {
            repo.publish(&pi.file(name, bundle));
        }
        repo.promote("1.0.0", Rollout::default());
        repo
    }

    fn committer(&self) -> Committer<'_> {
        Committer {
            who: "ada".into(),
            keys: vec![product().channel_key.signing()],
            lifetime: Some(LIFETIME),
            old_root: OldRoot::Refuse,
            continue_after: None,
            known: &self.known,
            clock: &Stopped,
            notices: &NoNotices,
        }
    }

    fn publish(&self, bundle: &Path) {
        let log = ChannelLog::new(&self.store, &self.roots, "staging");
        let publication = publication(bundle);
        publish(&self.committer().writer(&log), &publication, &Silent).unwrap();
    }

    pub(crate) fn promote(&self, version: &str, rollout: Rollout) {
        let which = Selector::new(version);
        let request = Request { from: "staging", into: "production", which, rollout };
        promote(&self.store, &self.roots, &self.committer(), &request).unwrap();
    }

    pub(crate) fn withdraw(&self, version: &str, reason: &str) {
        let log = ChannelLog::new(&self.store, &self.roots, "production");
        let selector = Selector::new(version);
        let committed = self.committer().writer(&log).commit(|draft| -> Result<Change, ChannelError> {
            let identity = selector.find(draft).unwrap().identity;
            edit::withdraw(draft, &identity, reason, NOW).unwrap();
            Ok(Change::Made { verb: "withdraw".into(), about: version.into() })
        });
        assert!(committed.unwrap().is_some());
    }

    /// Where a device finds it.
    pub(crate) fn url(&self) -> String {
        self.folder.display().to_string()
    }

    /// A web server for the folder as it is.
    fn serve(&self) -> Server {
        let folder = self.folder.clone();
        Server::new(move |request| {
            let name = request.path.trim_start_matches('/').to_owned();
            let file = fs::read(folder.join(&name)).map(|bytes| (name, bytes));
            good(&file.into_iter().collect(), request)
        })
    }

    /// Someone in the canaries' group, and everybody else tomorrow.
    fn canary() -> Rollout {
        let waves = vec![Wave { at: NOW + DAY, over: 0, share: 10_000 }];
        Rollout { canaries: vec!["canary".into()], waves: waves.into(), ..Rollout::default() }
    }

    /// All of the scenario, on a device that runs 1.0.0, which finds the repository there.
    fn is_followed(&self, urls: &[String], fetched: impl Fn() -> u64) {
        let pi = self.pi;
        pi.world(&format!("time = {NOW}\n{WORLD}"));
        let config = |group: &str| {
            pi.config(&format!(
                "[source]\nurls = {urls:?}\nchannel = \"production\"\n[update]\nid = \"hub-7\"\n{group}"
            ));
        };
        config("");
        pi.run("check").must(3, &["1.0.0 runs, and channel production offers nothing newer"]);

        // Its group goes first; any other device waits.
        self.promote("1.1.0", Self::canary());
        pi.run("check").must(3, &["1.1.0: wave 1 comes to this device at"]);
        pi.run("update").must(3, &[]);
        pi.is_unharmed();
        config("group = \"canary\"\n");
        let found = pi.run("check").must(0, &[]);
        assert!(found.out.contains("▶ 1.1.0  this device's group goes first"), "{found:#?}");
        self.updates("B", "1.1.0");
        let first = fetched();

        // What is the same isn't fetched again.
        self.promote("1.2.0", Self::canary());
        self.updates("A", "1.2.0");
        let second = fetched() - first;

        // Back to what lies in the other slot still: nothing is fetched but what says so.
        self.withdraw("1.2.0", "the relay sticks");
        let found = pi.run("check").must(0, &[]);
        for words in ["1.2.0, which runs, was WITHDRAWN: the relay sticks", "▶ 1.1.0"] {
            assert!(found.out.contains(words), "{found:#?}");
        }
        self.updates("B", "1.1.0");
        let back = fetched() - first - second;
        if first > 0 {
            let lists = 64 << 10;
            assert!(first > 512 << 10 && second < lists && back < lists, "{first} {second} {back}");
        }

        // Nothing good is left: what runs stays, and the device says why.
        self.withdraw("1.0.0", "older still");
        self.withdraw("1.1.0", "so does this one's");
        pi.run("check").must(3, &["was WITHDRAWN: so does this one's"]);
        pi.run("update").must(3, &["offers nothing else that fits"]);
        pi.rests("B", "1.1.0");
    }

    /// `update` tries and keeps this version, and then there is nothing left to do.
    #[track_caller]
    fn updates(&self, slot: &str, version: &str) {
        let pi = self.pi;
        let check = pi.run("check --json").must(0, &[]);
        assert_eq!(check.json()["takes"], Value::from(version), "{check:#?}");
        let update: Ended = pi.run("update --json").must(0, &[]);
        let update = update.json();
        assert_eq!((&update["rebooted"], &update["running"]), (&true.into(), &version.into()), "{update:#}");
        assert_eq!(pi.status()["booted"], slot, "{:#}", pi.status());
        pi.run("resume").must(0, &[]);
        pi.rests(slot, version);
        pi.run("check").must(3, &[&format!("{version} runs, and channel production offers nothing newer")]);
        pi.run("update").must(3, &[]);
    }
}

#[test]
fn a_folder_is_followed() {
    let pi = Pi::new();
    let repo = Repo::new(&pi);
    repo.is_followed(&[repo.folder.display().to_string()], || 0);
}

#[test]
fn a_web_server_is_followed() {
    let pi = Pi::new();
    let repo = Repo::new(&pi);
    let server = repo.serve();
    repo.is_followed(&[server.url("")], || server.body_bytes());
    // One question for neighbors, not one for each chunk, and the connection is kept.
    let (requests, connections) = (server.requests().len(), server.connections());
    assert!(connections < 20 && requests < 200, "{connections} {requests}");
}

#[test]
fn dead_mirror_stops_no_update() {
    let pi = Pi::new();
    let repo = Repo::new(&pi);
    let server = repo.serve();
    // No server listens there any more.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    repo.is_followed(&[format!("http://{dead}/repo"), server.url("")], || server.body_bytes());
}

#[test]
fn what_the_command_line_names_goes_before_what_is_configured() {
    let pi = Pi::new();
    let repo = Repo::new(&pi);
    pi.world(&format!("time = {NOW}\n{WORLD}"));
    pi.config("[source]\nurls = [\"/nowhere\"]\n");
    pi.run("check").must(75, &["/nowhere"]);
    pi.run("check --source @repo").must(3, &["1.0.0 runs"]);
    // A tester wants what isn't for all devices yet.
    pi.run("update --source @repo --channel staging").must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.2.0");
    // A person may name a version; an older one is refused, and so is one that is not on offer.
    repo.promote("1.1.0", Rollout::default());
    pi.run("install 1.1.0 --source @repo").must(6, &["1.2.0"]);
    pi.run("install 9.0.0 --source @repo").must(3, &["offers no release 9.0.0"]);
    pi.rests("B", "1.2.0");
}
