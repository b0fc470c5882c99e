//! What is said in a conversation: JSON objects with a subject, the client's id, and a body.
use super::super::{
    gate::scope_of,
    payload,
    problem::{Kind, Problem},
    query::Question,
    routes::{Act, ComponentAct},
};
use crate::{
    app::{Answer, Code, Document, Job, JobState, Outcome, Request, Wanted},
    config::tokens::Scope,
    events::{Entry, Filter},
};
use bistable_format::text::printable_json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes of an id, which is repeated in each answer.
const ID_MAX: usize = 255;
/// The part of a device that updates itself as a whole.
const IMAGE: &str = "image";

/// A message of a client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    subject: String,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    body: Map<String, Value>,
    idempotency_key: Option<String>,
    /// Who sends it, and when: for whoever reads along.
    #[serde(default, rename = "source")]
    _source: Option<String>,
    #[serde(default, rename = "timestamp")]
    _timestamp: Option<String>,
}

/// A message that could be read: what it asks for, or why that can't be understood.
#[derive(Debug)]
pub(super) struct Message {
    /// Repeated in each answer.
    pub(super) id: Id,
    pub(super) asks: Result<Subject, Problem>,
}

/// A client's own name for a message; null if it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Id(Value);

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// To be let in with this token.
    Auth { token: String },
    /// The same as `GET /v1/status`.
    Status,
    /// A job; the same key and request again get the same one.
    Act { request: Request, key: Option<String> },
    /// Events, those that are there and those that come.
    Subscribe(Filter),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Subscribe {
    after: u64,
    #[serde(rename = "type")]
    kinds: Kinds,
    stream: Option<String>,
    from: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Kinds {
    One(String),
    Some(Vec<String>),
}

impl Default for Kinds {
    fn default() -> Kinds {
        Kinds::Some(Vec::new())
    }
}

impl Subject {
    /// What a token must allow at least: the same as over HTTP.
    pub(super) fn needs(&self) -> Scope {
        match self {
            Subject::Auth { .. } | Subject::Status | Subject::Subscribe(_) => Scope::Read,
            Subject::Act { request, .. } => scope_of(request),
        }
    }
}

impl Message {
    /// Read one.
    pub(super) fn read(text: &str) -> Message {
        // A list would be read as fields in their order.
        if !text.trim_start().starts_with('{') {
            return Message { id: Id::default(), asks: Err(malformed("expected a JSON object")) };
        }
        let written = match serde_json::from_str::<Written>(text) {
            Ok(written) => written,
            Err(e) => return Message { id: Id::default(), asks: Err(malformed(e)) },
        };
        let fits = match &written.id {
            Value::Null | Value::Number(_) => true,
            Value::String(id) => id.len() <= ID_MAX,
            _ => false,
        };
        if !fits {
            let detail = format!("`id` must be a number, or a text of up to {ID_MAX} bytes");
            return Message { id: Id::default(), asks: Err(malformed(detail)) };
        }
        let id = Id(written.id.clone());
        Message { id, asks: subject(written) }
    }
}

fn subject(Written { subject, mut body, idempotency_key: key, .. }: Written) -> Result<Subject, Problem> {
    let is_act = matches!(subject.as_str(), "updater.check" | "updater.perform_update");
    if key.is_some() && !is_act {
        return Err(malformed(format!("{subject} takes no `idempotency_key`")));
    }
    match subject.as_str() {
        "auth" => read(body).map(|Auth { token }| Subject::Auth { token }),
        "updater.status" => read(body).map(|Nothing {}| Subject::Status),
        "updater.check" => Ok(Subject::Act { request: act(Act::Check, &body)?, key }),
        "updater.perform_update" => {
            // Without one, it is the device as a whole.
            let request = match body.remove("component") {
                None | Some(Value::Null) => act(Act::Update, &body)?,
                Some(Value::String(name)) if name == IMAGE => act(Act::Update, &body)?,
                Some(Value::String(name)) => {
                    let body = serde_json::to_vec(&body).unwrap_or_default();
                    payload::of_component(ComponentAct::Update, &name, &body)?
                }
                Some(other) => {
                    return Err(malformed(format!("`component` must be a name, not {other}")));
                }
            };
            Ok(Subject::Act { request, key })
        }
        "events.subscribe" => {
            let Subscribe { after, kinds, stream, from } = read(body)?;
            let kinds = match kinds {
                Kinds::One(kind) => vec![kind],
                Kinds::Some(kinds) => kinds,
            };
            Question::about(Filter { after, stream, from, kinds })
                .map(|asked| Subject::Subscribe(asked.filter))
        }
        _ => {
            let detail = format!(
                "there is no subject {subject:?}: expected auth, updater.perform_update, updater.check, updater.status or \
                 events.subscribe"
            );
            Err(Problem::new(Kind::NotFound, detail))
        }
    }
}

/// By the same rules as the body of the same act over HTTP.
fn act(act: Act, body: &Map<String, Value>) -> Result<Request, Problem> {
    payload::request(act, &serde_json::to_vec(body).unwrap_or_default())
}

fn read<T: for<'a> Deserialize<'a>>(body: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(body)).map_err(|e| malformed(format!("`body`: {e}")))
}

fn malformed(why: impl std::fmt::Display) -> Problem {
    Problem::new(Kind::Malformed, format!("the message: {why}"))
}

/// A message to a client. Its body is JSON.
pub(super) fn said(subject: &str, id: &Id, body: &str) -> String {
    let id = serde_json::to_string(id).unwrap_or_default();
    // It may reach a terminal.
    printable_json(&format!("{{\"subject\":\"{subject}\",\"request_id\":{id},\"body\":{body}}}"))
}

/// The same of a value.
pub(super) fn told(subject: &str, id: &Id, body: &impl Serialize) -> String {
    // Only a map whose keys aren't strings fails, and there is none.
    said(subject, id, &serde_json::to_string(body).unwrap_or_default())
}

/// A refusal, as over HTTP.
pub(super) fn refused(id: &Id, problem: &Problem) -> String {
    said("error", id, &problem.json())
}

/// An event.
pub(super) fn event(id: &Id, entry: &Entry) -> String {
    told("event", id, entry)
}

/// How a job ended.
#[derive(Debug, Serialize)]
pub(super) struct Ended<'a> {
    success: bool,
    /// Human-readable.
    message: String,
    /// What kind of failure it was.
    reason: Option<Code>,
    job: &'a str,
    /// What the command line prints with `--json`.
    answer: Option<&'a Document>,
    #[serde(flatten)]
    update: Option<Update>,
}

/// Of an update.
#[derive(Debug, Serialize)]
struct Update {
    component: String,
    /// The version that is tried, or would be; of a component, the one that is committed.
    version: Option<String>,
    /// Whether the device went back. An image is judged after its boot: see the events of type `rollback.*`.
    rollback_performed: bool,
    /// What was found wrong with the release or the device before anything was switched.
    validation_errors: Vec<String>,
    /// What was saved before.
    backup: Option<String>,
}

impl<'a> Ended<'a> {
    pub(super) fn of(job: &'a Job, request: &Request) -> Ended<'a> {
        let outcome = job.outcome.as_ref();
        let success = job.state == JobState::Ended && outcome.is_some_and(|outcome| outcome.exit == 0);
        let error = outcome.and_then(|outcome| outcome.error.clone());
        let message = match job.state {
            JobState::Cancelled => "the job was cancelled".into(),
            JobState::Lost => {
                "the job did not come to its end: `bistable status` shows how far it came".into()
            }
            _ => error.unwrap_or_else(|| "done".into()),
        };
        Ended {
            success,
            message,
            reason: outcome.and_then(|outcome| outcome.code),
            job: &job.id,
            answer: outcome.and_then(|outcome| outcome.answer.as_ref()),
            update: request.wanted().map(|wanted| match request.component() {
                Some(name) => Update::of_component(name, outcome),
                None => Update::of(wanted, outcome),
            }),
        }
    }
}

impl Update {
    fn of(wanted: &Wanted, outcome: Option<&Outcome>) -> Update {
        let answered = match answer(outcome) {
            Some(Answer::MayInstall(may)) => Some(may.would_install.clone()),
            Some(Answer::Rested(rested)) if rested.rebooted => rested.running.clone(),
            _ => None,
        };
        let refused = outcome.filter(|outcome| outcome.code.is_some_and(Code::is_refusal));
        Update {
            component: IMAGE.into(),
            version: answered.or_else(|| wanted.version().map(ToString::to_string)),
            rollback_performed: false,
            validation_errors: refused.and_then(|outcome| outcome.error.clone()).into_iter().collect(),
            backup: None,
        }
    }

    fn of_component(name: &str, outcome: Option<&Outcome>) -> Update {
        let updated = match answer(outcome) {
            Some(Answer::ComponentUpdated(updated)) => Some(updated.clone()),
            _ => None,
        };
        Update {
            component: name.into(),
            version: updated.as_ref().and_then(|updated| updated.version.clone()),
            rollback_performed: updated.as_ref().is_some_and(|updated| updated.rollback_performed),
            validation_errors: updated.as_ref().map(|u| u.validation_errors.clone()).unwrap_or_default(),
            backup: updated.and_then(|updated| updated.backup),
        }
    }
}

fn answer(outcome: Option<&Outcome>) -> Option<&Answer> {
    outcome?.answer.as_ref()?.answer.as_ref()?.answer.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{ComponentUpdate, ComponentUpdated, Failure, Offers};
    use proptest::prelude::*;
    use serde_json::json;

    fn asks(text: &str) -> Result<Subject, (u16, String)> {
        let asks = Message::read(text).asks;
        asks.map_err(|problem| (problem.status().as_u16(), problem.json()))
    }

    #[test]
    fn subjects_ask_for_what_they_say() {
        let plain = |request| Subject::Act { request, key: None };
        let beta = Offers { channel: Some("beta".into()), ..Offers::default() };
        let some = Filter { after: 7, kinds: vec!["update.*".into()], ..Filter::default() };
        for (text, subject) in [
            (r#"{"subject":"auth","body":{"token":"t"}}"#, Subject::Auth { token: "t".into() }),
            (r#"{"subject":"updater.status"}"#, Subject::Status),
            (r#"{"subject":"updater.check","body":{"channel":"beta"}}"#, plain(Request::Check(beta))),
            (
                r#"{"subject":"updater.perform_update","source":"x","timestamp":"2026-11-29T12:00:00Z"}"#,
                plain(Request::Update(Wanted::default())),
            ),
            (
                r#"{"subject":"updater.perform_update","idempotency_key":"k","body":{"component":"image","dry_run":true}}"#,
                Subject::Act {
                    request: Request::Update(Wanted { dry_run: true, ..Wanted::default() }),
                    key: Some("k".into()),
                },
            ),
            (
                r#"{"subject":"updater.perform_update","body":{"component":"scheduler"}}"#,
                plain(Request::ComponentUpdate(ComponentUpdate {
                    component: "scheduler".into(),
                    wanted: Wanted::default(),
                })),
            ),
            (
                r#"{"subject":"events.subscribe","body":{"after":7,"type":"update.*"}}"#,
                Subject::Subscribe(some),
            ),
            (r#"{"subject":"events.subscribe","body":{}}"#, Subject::Subscribe(Filter::default())),
        ] {
            assert_eq!(asks(text), Ok(subject), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_its_reason() {
        let long = format!(r#"{{"subject":"updater.status","id":"{}"}}"#, "x".repeat(256));
        for (text, status, says) in [
            ("", 400, "expected a JSON object"),
            ("{", 400, "EOF"),
            ("[]", 400, "expected a JSON object"),
            ("{}", 400, "missing field `subject`"),
            (r#"["auth",1,{}]"#, 400, "expected a JSON object"),
            (r#"{"subject":"updater.status","also":1}"#, 400, "unknown field `also`"),
            (r#"{"subject":"updater.status","body":[]}"#, 400, "invalid type"),
            (r#"{"subject":"updater.status","body":{"x":1}}"#, 400, "unknown field `x`"),
            (r#"{"subject":"updater.status","id":{}}"#, 400, "`id` must be"),
            (&long, 400, "`id` must be"),
            (r#"{"subject":"updater.status","idempotency_key":"k"}"#, 400, "takes no `idempotency_key`"),
            (r#"{"subject":"updater.format"}"#, 404, "there is no subject"),
            (r#"{"subject":"updater.perform_update","body":{"component":"../x"}}"#, 404, "no component"),
            (r#"{"subject":"updater.perform_update","body":{"component":7}}"#, 400, "must be a name"),
            (
                r#"{"subject":"updater.perform_update","body":{"component":"core","from":{"bundle":"/etc/shadow"}}}"#,
                400,
                "names a file",
            ),
            (r#"{"subject":"updater.perform_update","body":{"force":true}}"#, 400, "unknown field `force`"),
            (
                r#"{"subject":"updater.perform_update","body":{"from":{"bundle":"/etc/shadow"}}}"#,
                400,
                "names a file",
            ),
            (r#"{"subject":"updater.check","body":{"source":["/etc"]}}"#, 400, "is a folder"),
            (r#"{"subject":"auth"}"#, 400, "missing field `token`"),
            (r#"{"subject":"events.subscribe","body":{"from":2}}"#, 400, "counts within a stream"),
            (r#"{"subject":"events.subscribe","body":{"after":-1}}"#, 400, "invalid value"),
        ] {
            let (code, body) = asks(text).unwrap_err();
            assert_eq!(code, status, "{text}: {body}");
            assert!(body.contains(says), "{text}: {says:?} is not in {body}");
        }
    }

    #[test]
    fn end_of_a_components_update_says_what_the_command_line_says() {
        let request =
            Request::ComponentUpdate(ComponentUpdate { component: "core".into(), wanted: Wanted::default() });
        let updated = ComponentUpdated {
            success: false,
            message: "sick".into(),
            component: "core".into(),
            version: Some("1.0.0".into()),
            rollback_performed: true,
            validation_errors: Vec::new(),
            backup: None,
            reason: Some(Code::Health),
            job: Some("j".into()),
        };
        let failure = Failure { error: "sick".into(), code: Code::Health, exit: 8 };
        let answer = Document::failed(failure, Some(Answer::ComponentUpdated(updated).into()));
        let mut jobs = crate::app::Jobs::new("b", "s");
        let asked = crate::status::Date { time: "2026-11-29T12:00:00Z".into(), synchronized: true };
        let id = jobs.ask(&request, crate::app::Asker::new(crate::app::Via::Api, Some(0)), asked).id;
        let (code, error) = (Some(Code::Health), Some("sick".into()));
        jobs.end(&id, Outcome { exit: 8, code, error, answer: Some(answer) });
        let said = serde_json::to_value(Ended::of(jobs.get(&id).unwrap(), &request)).unwrap();
        for (field, value) in [
            ("success", json!(false)),
            ("message", json!("sick")),
            ("component", json!("core")),
            ("version", json!("1.0.0")),
            ("rollback_performed", json!(true)),
            ("validation_errors", json!([])),
            ("backup", Value::Null),
            ("reason", json!("health")),
            ("job", json!(id)),
        ] {
            assert_eq!(said[field], value, "{field}");
        }
    }

    #[test]
    fn id_comes_back_as_it_was() {
        for id in [json!(7), json!("a-b"), Value::Null] {
            let message = Message::read(&json!({ "subject": "updater.status", "id": id }).to_string());
            let said: Value = serde_json::from_str(&said("status_result", &message.id, "{}")).unwrap();
            assert_eq!(said, json!({ "subject": "status_result", "request_id": id, "body": {} }));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_message_or_refused(text in "[\\[{\":,}a-z0-9 \\\\]{0,60}|\\PC{0,40}") {
            let message = Message::read(&text);
            let answer = match message.asks {
                Ok(_) => said("x", &message.id, "{}"),
                Err(problem) => refused(&message.id, &problem),
            };
            prop_assert!(serde_json::from_str::<Value>(&answer).is_ok());
        }
    }
}
