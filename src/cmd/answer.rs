//! What a verb answers: one result, as text for people or as one JSON object for programs.
use crate::{Error, error::Exit, text::printable_lines};
use bistable_format::text::is_printable_char;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Version of the JSON objects on standard output. Fields may be added; a change of meaning gets a new number.
pub(crate) const SCHEMA: u32 = 1;

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

/// What a verb that ended well has to do with a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reboot {
    /// Nothing.
    No,
    /// It took place, as was asked for.
    Done,
    /// It has to follow.
    Needed,
}

/// The result of a verb that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    text: String,
    json: String,
    reboot: Reboot,
}

impl Answer {
    /// Text, which may be empty, and an object that has its schema's number already.
    pub(crate) fn new(text: impl Into<String>, object: &impl Serialize) -> Answer {
        Answer::styled(printable_lines(&text.into()), object)
    }

    /// The same for text with colors, whose foreign parts were made printable before.
    pub(crate) fn styled(text: impl Into<String>, object: &impl Serialize) -> Answer {
        // Only a map whose keys aren't strings fails, and there is none.
        let json = serde_json::to_string(object).unwrap_or_default();
        Answer { text: text.into(), json, reboot: Reboot::No }
    }

    /// Text, and the fields of an object.
    pub(crate) fn with(text: impl Into<String>, fields: Value) -> Answer {
        Answer::new(text, &with_schema(fields))
    }

    pub(crate) fn reboot(self, reboot: Reboot) -> Answer {
        Answer { reboot, ..self }
    }

    /// One more field.
    pub(crate) fn and(self, (name, value): (&str, Value)) -> Answer {
        let Ok(Value::Object(mut object)) = serde_json::from_str(&self.json) else { return self };
        object.insert(name.into(), value);
        Answer { json: Value::Object(object).to_string(), ..self }
    }
}

/// A verb that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    error: Box<Error>,
    /// The fields of a report that says why.
    report: Value,
}

impl Failed {
    /// An error with the report that it was drawn from.
    pub(crate) fn with(error: Error, report: Value) -> Failed {
        Failed { error: Box::new(error), report }
    }

    /// One more field.
    pub(crate) fn and(mut self, (name, value): (&str, Value)) -> Failed {
        match &mut self.report {
            Value::Object(fields) => {
                fields.insert(name.into(), value);
            }
            report => *report = json!({ name: value }),
        }
        self
    }
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed::with(error.into(), Value::Null)
    }
}

/// What the program prints and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// For standard output: nothing, text, or exactly one JSON object.
    pub(crate) out: String,
    /// For standard error.
    pub(crate) err: String,
    pub(crate) exit: Exit,
}

/// What is to be told about how a verb ended.
pub(crate) fn told(ended: Result<Answer, Failed>, form: Form, code: RebootCode) -> Told {
    match ended {
        Ok(Answer { text, json, reboot }) => Told {
            out: if form == Form::Json { escaped(&json) } else { text },
            err: String::new(),
            exit: match (reboot, code) {
                (Reboot::No, _) | (_, RebootCode::Done) => Exit::Done,
                (Reboot::Done | Reboot::Needed, RebootCode::Own) => Exit::RebootNeeded,
            },
        },
        Err(Failed { error, report }) => {
            let text = full_text(&*error);
            let what = if matches!(*error, Error::NothingToDo(_)) { "" } else { "error: " };
            let err = format!("{what}{text}");
            told_error(&text, err, error.exit(), report, form)
        }
    }
}

/// What is to be told about a command line that says nothing.
pub(crate) fn told_usage(text: &str, form: Form) -> Told {
    told_error(text, String::new(), Exit::Usage, Value::Null, form)
}

fn told_error(text: &str, err: String, exit: Exit, report: Value, form: Form) -> Told {
    let mut object = with_schema(report);
    object.insert("error".into(), text.into());
    object.insert("exit".into(), exit.code().into());
    let out = if form == Form::Json { escaped(&Value::Object(object).to_string()) } else { String::new() };
    Told { out, err, exit }
}

fn with_schema(fields: Value) -> Map<String, Value> {
    let mut object = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    object.insert("schema".into(), json!(SCHEMA));
    object
}

/// JSON without control characters for a terminal: unprintable characters occur only in strings, and become escapes.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_printable_char(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// An error with all that caused it, none of it twice.
fn full_text(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        let line = cause.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a verb ended; then text, words on standard error, exit code with one for reboots, object.
    type End = (Result<Answer, Failed>, &'static str, &'static str, Exit, Value);

    fn ends() -> Vec<End> {
        let idle = || Answer::with("at rest", json!({ "state": "idle" }));
        let stop = json!({ "verdict": "stop", "checks": [] });
        vec![
            (Ok(idle()), "at rest", "", Exit::Done, json!({ "schema": 1, "state": "idle" })),
            (
                Ok(idle().reboot(Reboot::Done)),
                "at rest",
                "",
                Exit::RebootNeeded,
                json!({ "schema": 1, "state": "idle" }),
            ),
            (
                Ok(Answer::new("", &json!({ "schema": 1 })).reboot(Reboot::Needed)),
                "",
                "",
                Exit::RebootNeeded,
                json!({ "schema": 1 }),
            ),
            (
                Err(Error::NothingToDo("is on already".into()).into()),
                "",
                "is on already",
                Exit::NothingToDo,
                json!({ "schema": 1, "error": "is on already", "exit": 3 }),
            ),
            (
                Err(Error::Health("sick".into()).into()),
                "",
                "error: health check failed: sick",
                Exit::Health,
                json!({ "schema": 1, "error": "health check failed: sick", "exit": 8 }),
            ),
            (
                Err(Failed::with(Error::Preflight("no flag".into()), stop)),
                "",
                "error: preflight failed: no flag",
                Exit::Failed,
                json!({ "schema": 1, "verdict": "stop", "checks": [], "error": "preflight failed: no flag", "exit": 1 }),
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
        let answer = Answer::with("one\n\u{1b}[2Jtwo\u{202e}eerht", json!({}));
        let told = told(Ok(answer), Form::Text, RebootCode::Done);
        assert_eq!(told.out, "one\n\u{fffd}[2Jtwo\u{fffd}eerht");
        // A program reads the same string.
        let reason = "a\u{9b}2J\u{202e}b\u{e0041}\u{1b}";
        let told =
            super::told(Ok(Answer::with("", json!({ "reason": reason }))), Form::Json, RebootCode::Done);
        assert!(told.out.is_ascii(), "{}", told.out);
        let json: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(json["reason"], reason);
    }

    #[test]
    fn a_wrong_command_line_is_one_object_too() {
        let told = told_usage("no such verb", Form::Json);
        let json: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(json, json!({ "schema": 1, "error": "no such verb", "exit": 2 }));
        assert_eq!((&*told.err, told.exit), ("", Exit::Usage), "clap prints it, in colour");
        assert_eq!(told_usage("no such verb", Form::Text).out, "");
    }
}
