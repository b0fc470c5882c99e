//! How a verb's end is told: as text or as one JSON object.
use crate::{
    Error,
    app::{self, Code, Document, Failed, Failure, Reboot, Reply},
    error::Exit,
};
use bistable_format::failure::on_lines;

/// How the result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text.
    Text,
    /// One JSON object.
    Json,
}

/// Which exit code says that a reboot took place or is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RebootCode {
    /// That of success.
    Done,
    /// One of its own.
    Own,
}

/// What the program prints and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// For standard output: nothing, text, or exactly one JSON object.
    pub(crate) out: String,
    /// For standard error.
    pub(crate) err: String,
    pub(crate) exit: Exit,
}

/// What is to be told about how a verb ended.
pub(crate) fn told(ended: Result<Reply, Failed>, form: Form, code: RebootCode) -> Output {
    match ended {
        Ok(reply) => {
            let (text, reboot) = (reply.text.clone(), reply.reboot);
            Output {
                out: match form {
                    Form::Json => app::document(Ok(reply)).0.json(),
                    Form::Text => text,
                },
                err: String::new(),
                exit: match (reboot, code) {
                    (Reboot::No, _) | (_, RebootCode::Done) => Exit::Done,
                    (Reboot::Done | Reboot::Needed, RebootCode::Own) => Exit::RebootNeeded,
                },
            }
        }
        Err(failed) => {
            let what = if matches!(*failed.error, Error::NothingToDo(_)) { "" } else { "error: " };
            let err = format!("{what}{}", on_lines(&*failed.error));
            let (document, exit) = app::document(Err(failed));
            told_failure(&document, err, exit, form)
        }
    }
}

/// What is to be told about a command line that says nothing.
pub(crate) fn told_usage(text: &str, form: Form) -> Output {
    let failure = Failure { error: text.into(), code: Code::Usage, exit: Exit::Usage.code() };
    told_failure(&Document::failed(failure, None), String::new(), Exit::Usage, form)
}

fn told_failure(document: &Document, err: String, exit: Exit, form: Form) -> Output {
    let out = if form == Form::Json { document.json() } else { String::new() };
    Output { out, err, exit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{CardWrites, Preflighted, Readiness, Rested};
    use serde_json::{Value, json};

    /// How a verb ended; then text, words on standard error, exit code with one for reboots, object.
    type End = (Result<Reply, Failed>, &'static str, &'static str, Exit, Value);

    fn rested(text: &str, state: &str) -> Reply {
        let rested = Rested {
            state: state.into(),
            rebooted: false,
            slot: None,
            running: None,
            waits: None,
            installed: None,
            card: CardWrites::default(),
        };
        Reply::new(text, app::Answer::Rested(rested))
    }

    fn ends() -> Vec<End> {
        let idle = || rested("at rest", "idle");
        let stop = app::Answer::Preflighted(Preflighted { verdict: Readiness::Stop, checks: Vec::new() });
        let state = |name: &str| {
            json!({
                "schema": 1, "state": name, "rebooted": false, "slot": null, "running": null, "waits": null, "installed": null,
                "card": { "writes": 0, "bytes": 0 },
            })
        };
        vec![
            (Ok(idle()), "at rest", "", Exit::Done, state("idle")),
            (Ok(idle().reboot(Reboot::Done)), "at rest", "", Exit::RebootNeeded, state("idle")),
            (Ok(rested("", "armed").reboot(Reboot::Needed)), "", "", Exit::RebootNeeded, state("armed")),
            (
                Err(Error::NothingToDo("is on already".into()).into()),
                "",
                "is on already",
                Exit::NothingToDo,
                json!({ "schema": 1, "error": "is on already", "code": "nothing-to-do", "exit": 3 }),
            ),
            (
                Err(Error::Health("sick".into()).into()),
                "",
                "error: health check failed: sick",
                Exit::Health,
                json!({ "schema": 1, "error": "health check failed: sick", "code": "health", "exit": 8 }),
            ),
            (
                Err(Failed::with(Error::Preflight("no flag".into()), stop)),
                "",
                "error: preflight failed: no flag",
                Exit::Failed,
                json!({
                    "schema": 1, "verdict": "stop", "checks": [], "error": "preflight failed: no flag", "code": "preflight",
                    "exit": 1,
                }),
            ),
        ]
    }

    #[test]
    fn people_get_text_and_programs_get_exactly_one_object() {
        for (ended, out, err, exit, _) in ends() {
            let told = told(ended, Form::Text, RebootCode::Own);
            assert_eq!((&*told.out, &*told.err, told.exit), (out, err, exit));
        }
        for (ended, _, err, exit, json) in ends() {
            let told = told(ended, Form::Json, RebootCode::Own);
            let objects: Vec<Value> =
                serde_json::Deserializer::from_str(&told.out).into_iter().map(Result::unwrap).collect();
            assert_eq!((objects, &*told.err, told.exit), (vec![json], err, exit));
            assert!(!told.out.contains('\n'));
        }
    }

    #[test]
    fn a_reboot_has_an_exit_code_of_its_own_only_where_asked_for() {
        for (ended, ..) in ends() {
            let well = ended.is_ok();
            assert_eq!(told(ended, Form::Text, RebootCode::Done).exit == Exit::Done, well);
        }
    }

    #[test]
    fn foreign_text_cannot_work_the_terminal() {
        let answer = rested("one\n\u{1b}[2Jtwo\u{202e}eerht", "idle");
        let told = told(Ok(answer), Form::Text, RebootCode::Done);
        assert_eq!(told.out, "one\n\u{fffd}[2Jtwo\u{fffd}eerht");
        // A program reads the same string.
        let reason = "a\u{9b}2J\u{202e}b\u{e0041}\u{1b}";
        let told = super::told(Ok(rested("", reason)), Form::Json, RebootCode::Done);
        assert!(told.out.is_ascii(), "{}", told.out);
        let json: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(json["state"], reason);
    }

    #[test]
    fn a_wrong_command_line_is_one_object_too() {
        let told = told_usage("no such verb", Form::Json);
        let json: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(json, json!({ "schema": 1, "error": "no such verb", "code": "usage", "exit": 2 }));
        assert_eq!((&*told.err, told.exit), ("", Exit::Usage), "clap prints it, in color");
        assert_eq!(told_usage("no such verb", Form::Text).out, "");
    }
}
