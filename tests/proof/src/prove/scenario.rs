//! The scenarios: what an owner wants of a device in which state, and how it must end.
use super::{
    faults::{Harm, Trouble, When},
    goal::Goal,
};
use bistable::config::Mode;
use bistable_boot::Flow;
use bistable_boot::layout::Partition;

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens, in words.
    pub what: &'static str,
    /// What the owner wants, in this order.
    pub goals: &'static [Goal],
    /// What they want after a power cut instead; after another one it is `goals` again.
    pub again: Option<&'static [Goal]>,
    /// The only boot flow that a quick proof runs it in, if it isn't both.
    pub quick: Option<Flow>,
    /// Whether a quick proof leaves it out.
    pub whole_only: bool,
    /// The version that must run in the end, power cut or not.
    pub ends: &'static str,
    /// Versions that the device must have rejected in the end, and no others.
    pub rejected: &'static [&'static str],
    /// Whether the self-test jig is wired.
    pub wired: bool,
    /// What the card is like at first.
    pub start: Start,
    /// Whether the agent is killed on the way, and when.
    pub killed: Option<When>,
    /// What becomes of the first reboots into a trial, after each power-on.
    pub reboots: Reboots,
    /// Whether the agent writes its event log, and what must hold of it is judged.
    pub logs: bool,
    /// What the device does without being asked.
    pub mode: Mode,
}

/// What becomes of reboots into a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reboots {
    /// They work.
    Work,
    /// The first ones fail: `/run` is full, or process 1 refuses.
    Fail(u32),
    /// The boot loader ignores the first requests and boots the default slot.
    Ignored(u32),
}

/// What the card is like at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// 1.1.0 is the default and runs; nothing is in flight.
    Settled,
    /// Of the boot flag's two digits, only the second was changed: it names the default slot twice.
    TornFlag,
}

impl Scenario {
    const fn new(
        name: &'static str,
        what: &'static str,
        goals: &'static [Goal],
        ends: &'static str,
    ) -> Scenario {
        let start = Start::Settled;
        let reboots = Reboots::Work;
        let (again, quick, killed) = (None, None, None);
        Scenario {
            name,
            what,
            goals,
            again,
            quick,
            whole_only: false,
            ends,
            rejected: &[],
            wired: true,
            start,
            killed,
            reboots,
            logs: false,
            mode: Mode::Stage,
        }
    }

    const fn mode(mut self, mode: Mode) -> Scenario {
        self.mode = mode;
        self
    }

    const fn logs(mut self) -> Scenario {
        self.logs = true;
        self
    }

    const fn again(mut self, goals: &'static [Goal]) -> Scenario {
        self.again = Some(goals);
        self
    }

    const fn quick(mut self, flow: Flow) -> Scenario {
        self.quick = Some(flow);
        self
    }

    const fn rejects(mut self, versions: &'static [&'static str]) -> Scenario {
        self.rejected = versions;
        self
    }

    const fn whole_only(mut self) -> Scenario {
        self.whole_only = true;
        self
    }

    const fn unwired(mut self) -> Scenario {
        self.wired = false;
        self
    }

    const fn starts(mut self, start: Start) -> Scenario {
        self.start = start;
        self
    }

    const fn reboots(mut self, reboots: Reboots) -> Scenario {
        self.reboots = reboots;
        self
    }

    const fn killed(mut self, at: When) -> Scenario {
        self.killed = Some(at);
        self
    }

    /// What the owner wants after this many power cuts.
    pub fn goals(&self, cuts: u8) -> &'static [Goal] {
        self.again.filter(|_| cuts % 2 == 1).unwrap_or(self.goals)
    }

    /// Whether a delta is installed in it.
    pub fn is_by_delta(&self) -> bool {
        let all = self.goals.iter().chain(self.again.unwrap_or_default());
        all.into_iter().any(|goal| matches!(goal, Goal::Delta(_) | Goal::DeltaFile(_)))
    }

    /// What the history must end with: a version, and whether it was kept.
    pub fn last(&self) -> (&'static str, bool) {
        match self.goals.last() {
            Some(
                Goal::Offer(version)
                | Goal::Stage(version)
                | Goal::Delta(version)
                | Goal::DeltaFile(version)
                | Goal::Follow(version),
            ) if self.rejected.contains(version) => (version, false),
            _ => (self.ends, true),
        }
    }

    /// The trouble that belongs to it.
    pub fn trouble(&self) -> Option<Trouble> {
        self.killed.map(|at| Trouble::new(at, Harm::Kill))
    }
}

use Goal::{Delta, DeltaFile, Follow, Offer, Return, Stage};

/// All scenarios. Each is run with the device in slot A and in slot B.
pub const ALL: [Scenario; 37] = [
    Scenario::new("first boot", "a card from the factory, and nothing on offer", &[], "1.1.0"),
    Scenario::new("good release", "tried, healthy, committed", &[Offer("2.0.0")], "2.0.0"),
    Scenario::new("by delta", "patched, and one stale chunk fetched in full", &[Delta("4.0.0")], "4.0.0"),
    Scenario::new("delta of copies", "nothing but the lists is fetched", &[Delta("4.1.0")], "4.1.0")
        .whole_only(),
    Scenario::new(
        "stale delta",
        "what runs was written to: most is fetched in full, with the header",
        &[Delta("4.2.0")],
        "4.2.0",
    )
    .quick(Flow::Tryboot),
    Scenario::new("full after delta", "a cut, then the bundle", &[Delta("4.0.0")], "4.0.0")
        .again(&[Offer("4.0.0")])
        .quick(Flow::Tryboot),
    Scenario::new("delta after full", "a cut, then the delta", &[Offer("4.0.0")], "4.0.0")
        .again(&[Delta("4.0.0")])
        .quick(Flow::Tryboot),
    Scenario::new(
        "delta's bundle",
        "it can't make all of it, and the full bundle completes it",
        &[DeltaFile("4.2.0"), Offer("4.2.0")],
        "4.2.0",
    )
    .quick(Flow::Tryboot),
    Scenario::new("sick release", "its application fails: reverted", &[Offer("3.0.0")], "1.1.0")
        .rejects(&["3.0.0"]),
    Scenario::new("dead release", "its kernel never reports", &[Offer("3.1.0")], "1.1.0").rejects(&["3.1.0"]),
    Scenario::new("hanging release", "the watchdog resets it", &[Offer("3.2.0")], "1.1.0")
        .rejects(&["3.2.0"])
        .quick(Flow::Tryboot),
    Scenario::new("failing reboot", "three reboots fail: none counts", &[Offer("2.0.0")], "2.0.0")
        .reboots(Reboots::Fail(3))
        .quick(Flow::Uboot),
    Scenario::new("failing return", "three reboots fail, then a sick release", &[Offer("3.0.0")], "1.1.0")
        .reboots(Reboots::Fail(3))
        .rejects(&["3.0.0"])
        .whole_only(),
    // It stops after the third, and the owner arms it again.
    Scenario::new(
        "ignored request",
        "the boot loader tries nothing, three times",
        &[Offer("2.0.0")],
        "2.0.0",
    )
    .reboots(Reboots::Ignored(3))
    .quick(Flow::Tryboot),
    Scenario::new("unwired jig", "self-tests fail before the flag moves", &[Offer("2.0.0")], "1.1.0")
        .rejects(&["2.0.0"])
        .unwired(),
    Scenario::new(
        "killed updater",
        "the agent is killed in the middle of writing",
        &[Offer("2.0.0")],
        "2.0.0",
    )
    .killed(When::Access(9))
    .quick(Flow::Tryboot),
    // The first is "installing", the second the release, the third "staged".
    Scenario::new("killed in a save", "before the flush; its copy reads well", &[Offer("2.0.0")], "2.0.0")
        .killed(When::Flush(Partition::State, 3))
        .quick(Flow::Tryboot),
    Scenario::new(
        "downgrade",
        "an update, then an older release is offered",
        &[Offer("2.0.0"), Offer("1.0.0")],
        "2.0.0",
    ),
    Scenario::new(
        "operator's revert",
        "an update, then back on purpose",
        &[Offer("2.2.0"), Return("1.1.0")],
        "1.1.0",
    )
    .rejects(&["2.2.0"]),
    Scenario::new("torn flag", "autoboot.txt is half old; then an update", &[Offer("2.0.0")], "2.0.0")
        .starts(Start::TornFlag),
    // Releases from 5.0.0 to 5.2.0 have an agent that reads one more format of durable structures.
    Scenario::new("newer agent", "sick: the older agent reads what it wrote", &[Offer("5.0.0")], "1.1.0")
        .rejects(&["5.0.0"])
        .quick(Flow::Tryboot),
    Scenario::new(
        "two agents",
        "a newer one fails, the next is committed, then back on purpose",
        &[Offer("5.0.0"), Offer("5.1.0"), Return("1.1.0")],
        "1.1.0",
    )
    .rejects(&["5.0.0", "5.1.0"]),
    Scenario::new(
        "older agent",
        "both slots get the newer agent, then one an older one",
        &[Offer("5.1.0"), Offer("5.2.0"), Offer("6.0.0")],
        "6.0.0",
    ),
    Scenario::new(
        "staged and left",
        "no boot tries it by itself; then the owner asks for it",
        &[Stage("2.0.0"), Offer("2.0.0")],
        "2.0.0",
    )
    .quick(Flow::Tryboot),
    Scenario::new("staged, then tried", "the next boot tests and tries it", &[Stage("2.0.0")], "2.0.0")
        .mode(Mode::Reboot)
        .quick(Flow::Uboot),
    Scenario::new("staged, then hangs", "boots alone make all three trials", &[Stage("3.2.0")], "1.1.0")
        .mode(Mode::Reboot)
        .rejects(&["3.2.0"])
        .whole_only(),
    Scenario::new(
        "hangs and waits",
        "after the first trial, each boot waits for the owner, who asks again",
        &[Offer("3.2.0")],
        "1.1.0",
    )
    .mode(Mode::Check)
    .rejects(&["3.2.0"])
    .whole_only(),
    Scenario::new("second update", "right after the first", &[Offer("2.0.0"), Offer("2.1.0")], "2.1.0")
        .whole_only(),
    Scenario::new(
        "good after sick",
        "a sick release, then a good one",
        &[Offer("3.0.0"), Offer("2.1.0")],
        "2.1.0",
    )
    .rejects(&["3.0.0"])
    .whole_only(),
    Scenario::new("log", "a good release, and the event log", &[Offer("2.0.0")], "2.0.0").logs().whole_only(),
    Scenario::new("log of a failure", "a sick release, and the event log", &[Offer("3.0.0")], "1.1.0")
        .logs()
        .rejects(&["3.0.0"])
        .whole_only(),
    Scenario::new("log of a hang", "three trials, and the event log", &[Offer("3.2.0")], "1.1.0")
        .logs()
        .rejects(&["3.2.0"])
        .quick(Flow::Tryboot),
    Scenario::new("followed", "the daemon stages, tests and switches by itself", &[Follow("2.0.0")], "2.0.0")
        .mode(Mode::Auto)
        .logs()
        .quick(Flow::Tryboot),
    Scenario::new("followed, sick", "the daemon leaves the verdict to the boot", &[Follow("3.0.0")], "1.1.0")
        .mode(Mode::Auto)
        .logs()
        .rejects(&["3.0.0"])
        .quick(Flow::Uboot),
    Scenario::new(
        "followed, hangs",
        "the daemon makes the attempts that are left",
        &[Follow("3.2.0")],
        "1.1.0",
    )
    .mode(Mode::Auto)
    .logs()
    .rejects(&["3.2.0"])
    .whole_only(),
    Scenario::new("only reported", "the daemon writes nothing but events", &[Follow("2.0.0")], "1.1.0")
        .mode(Mode::Check)
        .logs()
        .quick(Flow::Uboot),
    Scenario::new(
        "sick after good",
        "an update, then a sick release",
        &[Offer("2.0.0"), Offer("3.0.0")],
        "2.0.0",
    )
    .rejects(&["3.0.0"])
    .whole_only(),
];
