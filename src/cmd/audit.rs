//! What verbs themselves report to the event log: who asks for what, and what the channel offered.
use super::{Answer, Failed};
use crate::{
    app::{self, From, Request},
    config,
    error::Exit,
    events::{JobEnd, JobStart, Kind, SharedLog},
};
use bistable_format::failure::on_one_line;
use serde_json::{Value, json};
use std::path::Path;

/// Who asks for something.
pub(super) struct By {
    /// The part of Bistable through which they ask.
    pub(super) source: &'static str,
    /// The user; `None` where there is none.
    pub(super) uid: Option<u32>,
    /// The user that `sudo` was called by.
    pub(super) user: Option<String>,
    /// The name of the token that was shown.
    pub(super) token: Option<String>,
    /// Whether it is a job of the daemon's, whose begin and end are events.
    pub(super) is_job: bool,
}

impl By {
    /// Who asks the daemon.
    #[cfg(feature = "daemon")]
    pub(super) fn of(asker: &app::Asker) -> By {
        let app::Asker { via, uid, token } = asker.clone();
        By { source: via.name(), uid, user: None, token, is_job: true }
    }

    /// As events name whoever it is.
    pub(super) fn json(&self) -> Value {
        let By { source, uid, user, token, .. } = self;
        json!({ "source": source, "uid": uid, "user": user, "token": token })
    }

    /// Who runs this program.
    pub(super) fn cli() -> By {
        let uid = Some(nix::unistd::getuid().as_raw());
        By { source: "cli", uid, user: std::env::var("SUDO_USER").ok(), token: None, is_job: false }
    }
}

/// The configuration, if it isn't what it was. What can't be read is reported by whoever needs it.
pub(super) fn configured(log: &SharedLog, root: &Path, by: &By) {
    if let Ok(loaded) = config::read(root) {
        let listing = loaded.listing();
        log.configured(&listing.digests(), listing.files(), &by.json());
    }
}

/// Who asks for what, before anything is done about it. The boot unit's `resume` is not a request.
pub(super) fn request(log: &SharedLog, request: &Request, by: &By) {
    let operation = match request {
        Request::Install(_) => "install",
        Request::Update(_) => "update",
        Request::Arm => "arm",
        Request::Reboot => "reboot",
        Request::Commit => "commit",
        Request::Revert => "revert",
        Request::ComponentInstall(_)
        | Request::ComponentUpdate(_)
        | Request::ComponentResume(_)
        | Request::ComponentRevert(_)
        | Request::ComponentStart(_)
        | Request::ComponentStop(_)
        | Request::ComponentReset(_)
        | Request::ComponentRemove(_)
        | Request::ComponentConfigure(_)
        | Request::ComponentRepair => request.operation(),
        Request::Status
        | Request::Components
        | Request::Component(_)
        | Request::History
        | Request::Preflight
        | Request::Check(_)
        | Request::Health
        | Request::HealthWithoutPins
        | Request::SelfTest
        | Request::Resume => return,
    };
    let wanted = request.wanted();
    // An address may hold a secret, so only a version is named.
    let what = wanted.and_then(|wanted| match &wanted.from {
        From::Channel => None,
        From::Version(version) => Some(version.to_string()),
        From::Bundle(_) => Some("bundle".into()),
    });
    let what = match (request.component(), what) {
        (Some(name), Some(what)) => Some(format!("{name} {what}")),
        (Some(name), None) => Some(name.to_owned()),
        (None, what) => what,
    };
    let forced = wanted.is_some_and(|wanted| wanted.retry_rejected || wanted.force_withdrawn);
    audit(log, by, operation, what.as_deref(), forced);
}

/// A job of the daemon's begins.
pub(super) fn started(log: &SharedLog, operation: &str, by: &By) {
    let data =
        JobStart { operation: operation.into(), via: by.source.into(), uid: by.uid, token: by.token.clone() };
    log.append(Kind::JobStarted, "daemon", serde_json::to_value(data).unwrap_or_default());
}

/// A job of the daemon's ended.
pub(super) fn ended(log: &SharedLog, ended: &Result<Answer, Failed>) {
    let uptime = Some(log.uptime());
    let traits = ended.as_ref().err().map(|failed| app::Code::of(&failed.error).traits());
    let data = match ended {
        Ok(_) => {
            JobEnd { exit: Exit::Done.code(), error: None, is_passing: false, retry_after: None, uptime }
        }
        Err(failed) => JobEnd {
            exit: failed.error.exit().code(),
            error: Some(on_one_line(&*failed.error)),
            is_passing: failed.error.exit() == Exit::TryLater,
            retry_after: failed.error.retry_after().map(|time| time.as_secs()),
            uptime,
        },
    };
    let mut data = serde_json::to_value(data).unwrap_or_default();
    if let (Some((class, severity)), Some(data)) = (traits, data.as_object_mut()) {
        data.insert("class".into(), json!(class));
        data.insert("severity".into(), json!(severity));
    }
    log.append(Kind::JobEnded, "daemon", data);
}

/// A repair was asked for, which no agent does.
pub(super) fn repair(log: &SharedLog, by: &By) {
    audit(log, by, "repair", None, false);
}

fn audit(log: &SharedLog, by: &By, operation: &str, what: Option<&str>, forced: bool) {
    let By { source, uid, user, token, .. } = by;
    let data = json!({
        "operation": operation, "what": what, "forced": forced, "uid": uid, "user": user, "token": token,
    });
    log.append(Kind::Request, source, data);
}

/// What the channel has on offer.
pub(super) fn checked(log: &SharedLog, checked: &Result<Answer, Failed>) {
    let report = match checked {
        Ok(reply) => Some(&reply.answer),
        Err(failed) => failed.report.as_deref(),
    };
    let Some(app::Answer::Checked(report)) = report else {
        if let Err(failed) = checked {
            let (error, code) = (&failed.error, app::Code::of(&failed.error));
            let (class, severity) = code.traits();
            log.append(
                Kind::Check,
                "agent",
                json!({
                    "problem": error.to_string(), "code": code, "class": class, "severity": severity, "uptime": log.uptime(),
                    "retry_after": error.retry_after().map(|time| time.as_secs()),
                }),
            );
        }
        return;
    };
    let data = json!({
        "channel": report.channel, "sequence": report.sequence, "expires": report.expires_at, "version": report.takes,
        "uptime": log.uptime(),
    });
    let kind = if report.takes.is_some() { Kind::Available } else { Kind::UpToDate };
    log.append(kind, "agent", data);
    for component in &report.components {
        let mut data = json!({ "component": component.component, "channel": report.channel });
        let takes = component.takes.as_ref().and_then(|takes| serde_json::to_value(takes).ok());
        let kind = if takes.is_some() { Kind::ComponentAvailable } else { Kind::ComponentUpToDate };
        if let (Some(data), Some(Value::Object(takes))) = (data.as_object_mut(), takes) {
            data.extend(takes);
        }
        log.append(kind, "agent", data);
    }
}
