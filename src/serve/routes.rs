//! The table of routes. The router, the header `Allow` and the OpenAPI document follow from it.
use crate::config::tokens::Scope;

/// Where the jobs are.
pub(super) const JOBS: &str = "/v1/jobs";

/// Where inhibitors are.
pub(super) const INHIBITORS: &str = "/v1/inhibitors";
/// Where components are.
pub(super) const COMPONENTS: &str = "/v1/components";
/// Where conversations begin.
pub(super) const WS: &str = "/v1/ws";

/// What a route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Status,
    History,
    Components,
    Component,
    Jobs,
    Job,
    Events,
    Config,
    Metrics,
    Live,
    Ready,
    OpenApi,
    /// What holds a switch off.
    Inhibitors,
    /// One more of it.
    Inhibit,
    /// One less.
    Release,
    /// A conversation over WebSocket.
    WebSocket,
    /// Something that goes into the queue.
    Act(Act),
    /// The same about one component.
    OfComponent(ComponentAct),
    Cancel,
    /// The configuration is read again.
    Reload,
    /// A bundle that is installed while it comes.
    Bundles,
}

impl Target {
    /// What a token must allow at least. What is asked for may need more.
    pub(super) fn needs(self) -> Scope {
        match self {
            Target::Act(_)
            | Target::OfComponent(_)
            | Target::Cancel
            | Target::Reload
            | Target::Bundles
            | Target::Inhibit
            | Target::Release => Scope::Operate,
            Target::Status
            | Target::History
            | Target::Components
            | Target::Component
            | Target::Jobs
            | Target::Job
            | Target::Events
            | Target::Inhibitors
            | Target::Config
            | Target::Live
            | Target::Ready
            | Target::Metrics
            | Target::OpenApi
            | Target::WebSocket => Scope::Read,
        }
    }
}

/// What can be asked for over the socket, and goes into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Check,
    Preflight,
    SelfTest,
    Health,
    Install,
    Update,
    Arm,
    Reboot,
    Commit,
    Revert,
}

/// What can be asked of a component over the socket, and goes into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComponentAct {
    Install,
    Update,
    Resume,
    Revert,
    Start,
    Stop,
    Reset,
    Remove,
    Configure,
}

/// The component that a path is about: what stands in the place of `{name}`.
pub(super) fn component(path: &str) -> &str {
    let rest = path.strip_prefix(COMPONENTS).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    rest.split('/').next().unwrap_or_default()
}

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Delete,
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) target: Target,
    /// What it does, for the document.
    #[cfg_attr(not(test), expect(dead_code, reason = "the document is written by a test"))]
    pub(super) summary: &'static str,
}

const fn get(path: &'static str, target: Target, summary: &'static str) -> Route {
    Route { method: Method::Get, path, target, summary }
}

const fn act(path: &'static str, act: Act, summary: &'static str) -> Route {
    Route { method: Method::Post, path, target: Target::Act(act), summary }
}

const fn of_component(path: &'static str, act: ComponentAct, summary: &'static str) -> Route {
    Route { method: Method::Post, path, target: Target::OfComponent(act), summary }
}

/// All routes.
pub(super) const TABLE: &[Route] = &[
    get("/v1/status", Target::Status, "Both slots, the boot flag, the last update and what to do next"),
    get("/v1/history", Target::History, "How past updates ended"),
    get(COMPONENTS, Target::Components, "What is updated beside the slots"),
    get("/v1/components/{name}", Target::Component, "One component"),
    get(JOBS, Target::Jobs, "The newest jobs, the oldest first"),
    get("/v1/jobs/{id}", Target::Job, "One job"),
    get("/v1/events", Target::Events, "Events by number, as one object or as a stream"),
    get(INHIBITORS, Target::Inhibitors, "What holds off the switch into a trial, by whom and for how long"),
    get("/v1/config", Target::Config, "Each setting with its value and origin"),
    get("/v1/metrics", Target::Metrics, "What the device measures of itself, for Prometheus"),
    get("/v1/health/live", Target::Live, "Whether the daemon's loop lives, and what it does next"),
    get(
        "/v1/health/ready",
        Target::Ready,
        "Whether the running release is healthy; 503 if it is not, or that is not known",
    ),
    get("/v1/openapi.json", Target::OpenApi, "This document"),
    get(
        WS,
        Target::WebSocket,
        "A conversation over WebSocket: acts, status and events, each message with an id",
    ),
    act("/v1/check", Act::Check, "Ask what the channel offers"),
    act("/v1/preflight", Act::Preflight, "Check whether an update may begin"),
    act("/v1/self-test", Act::SelfTest, "Run the self-tests, as a report"),
    act("/v1/health", Act::Health, "Run the health check, as a report"),
    act("/v1/install", Act::Install, "Write a release into the inactive slot"),
    act("/v1/update", Act::Update, "Install a release, test it and reboot into its trial"),
    act("/v1/arm", Act::Arm, "Run the self-tests, and have the next reboot try what is staged"),
    act("/v1/reboot", Act::Reboot, "Reboot; into the trial if a release is armed"),
    act("/v1/commit", Act::Commit, "Commit the release on trial now"),
    act("/v1/revert", Act::Revert, "Return to the other slot, or give up what is staged"),
    of_component(
        "/v1/components/{name}/install",
        ComponentAct::Install,
        "Stage what the channel offers for a component, or a version of it",
    ),
    of_component(
        "/v1/components/{name}/update",
        ComponentAct::Update,
        "Have a component run what the channel offers, or a version of it",
    ),
    of_component(
        "/v1/components/{name}/resume",
        ComponentAct::Resume,
        "Continue an update that was staged or interrupted",
    ),
    of_component(
        "/v1/components/{name}/revert",
        ComponentAct::Revert,
        "Give up the update of a component, or return to the version before",
    ),
    of_component("/v1/components/{name}/start", ComponentAct::Start, "Run a component that was stopped"),
    of_component("/v1/components/{name}/stop", ComponentAct::Stop, "Stop a component, across reboots"),
    of_component(
        "/v1/components/{name}/reset",
        ComponentAct::Reset,
        "Allow updates of a component of which no version was healthy",
    ),
    of_component(
        "/v1/components/{name}/remove",
        ComponentAct::Remove,
        "Remove all versions of a component that is stopped, and forget it",
    ),
    of_component(
        "/v1/components/{name}/configure",
        ComponentAct::Configure,
        "Have a component run with other values",
    ),
    Route {
        method: Method::Post,
        path: "/v1/jobs/{id}/cancel",
        target: Target::Cancel,
        summary: "Take back a job that has not switched anything yet",
    },
    Route {
        method: Method::Post,
        path: INHIBITORS,
        target: Target::Inhibit,
        summary: "Hold off the switch into a trial, up to a day",
    },
    Route {
        method: Method::Delete,
        path: "/v1/inhibitors/{id}",
        target: Target::Release,
        summary: "End an inhibitor",
    },
    Route {
        method: Method::Post,
        path: "/v1/config/reload",
        target: Target::Reload,
        summary: "Read the configuration again now; a failure says what is wrong, and the one of before still counts",
    },
    Route {
        method: Method::Post,
        path: "/v1/bundles",
        target: Target::Bundles,
        summary: "Install the bundle that is the body, while it comes",
    },
];

/// The value of `Allow` for a path.
pub(super) fn allow(path: &str) -> String {
    let methods = TABLE.iter().filter(|route| route.path == path).map(|route| match route.method {
        Method::Get => "GET, HEAD",
        Method::Post => "POST",
        Method::Delete => "DELETE",
    });
    methods.collect::<Vec<_>>().join(", ")
}
