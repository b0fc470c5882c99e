//! The log on standard error, filtered by `RUST_LOG`: one event per line, with its fields, as text or as JSON.
//!
//! An event's name is the message of the log call. Reasons in its fields are foreign text, so they are made printable.
use crate::{ports::BOOT_ID, text::printable};
use env_logger::fmt::Formatter;
use log::{
    Record,
    kv::{Error, Key, Value, VisitSource},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    sync::OnceLock,
};

/// `json` for objects.
const FORM: &str = "BISTABLE_LOG";

/// Log from now on, warnings and errors if nothing else is asked for.
pub fn init() {
    let from_env = env_logger::Env::default().default_filter_or("warn");
    let mut logger = env_logger::Builder::from_env(from_env);
    if std::env::var_os(FORM).is_some_and(|form| form == "json") {
        let run = Run::new();
        logger.format(move |to, record| {
            let at = to.timestamp_millis().to_string();
            writeln!(to, "{}", run.json(&at, record))
        });
    } else {
        logger.format(line);
    }
    logger.init();
}

fn line(to: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let (at, style) = (to.timestamp(), to.default_level_style(record.level()));
    writeln!(to, "[{at} {style}{:<5}{style:#} {}] {}", record.level(), record.target(), text(record))
}

/// `event=… key=value reason="…"`.
fn text(record: &Record<'_>) -> String {
    let mut text = format!("event={}", quoted(&record.args().to_string()));
    for (key, value) in fields(record) {
        // Writing to a string doesn't fail.
        let _ = write!(text, " {key}={}", quoted(&value));
    }
    text
}

/// A value as it is, or between quotes where it would end too early.
fn quoted(value: &str) -> String {
    let value = printable(value);
    if !value.is_empty() && !value.contains([' ', '"', '=', '\\']) {
        return value;
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What the lines of one run of the program have in common.
#[derive(Clone, Debug)]
struct Run {
    session: String,
    boot_id: Option<String>,
}

#[derive(Serialize)]
struct Object<'a> {
    timestamp: &'a str,
    level: &'a str,
    target: &'a str,
    event: String,
    session: &'a str,
    boot_id: Option<&'a str>,
    fields: BTreeMap<String, String>,
}

/// The name of this run of the program, in log lines and events.
pub(crate) fn session() -> &'static str {
    static SESSION: OnceLock<String> = OnceLock::new();
    // A seed of the standard library's that is random for each process: it only has to tell runs apart.
    SESSION.get_or_init(|| format!("{:016x}", RandomState::new().hash_one(std::process::id())))
}

impl Run {
    fn new() -> Run {
        let boot_id = std::fs::read_to_string(BOOT_ID).ok();
        let session = session().to_owned();
        Run { session, boot_id: boot_id.map(|id| id.trim().to_owned()) }
    }

    fn json(&self, timestamp: &str, record: &Record<'_>) -> String {
        let fields = fields(record).into_iter().map(|(key, value)| (key, printable(&value))).collect();
        let object = Object {
            timestamp,
            level: record.level().as_str(),
            target: record.target(),
            event: printable(&record.args().to_string()),
            session: &self.session,
            boot_id: self.boot_id.as_deref(),
            fields,
        };
        // Only a map whose keys aren't strings fails, and there is none.
        serde_json::to_string(&object).unwrap_or_default()
    }
}

/// The fields of an event, in order.
fn fields(record: &Record<'_>) -> Vec<(String, String)> {
    struct Fields(Vec<(String, String)>);
    impl<'a> VisitSource<'a> for Fields {
        fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), Error> {
            self.0.push((key.to_string(), value.to_string()));
            Ok(())
        }
    }
    let mut fields = Fields(Vec::new());
    // Only a visitor's own error ends it, and this one has none.
    let _ = record.key_values().visit(&mut fields);
    fields.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    fn with_record<T>(fields: &[(&str, &str)], f: impl FnOnce(&Record<'_>) -> T) -> T {
        let record = Record::builder()
            .args(format_args!("delta_refused"))
            .level(Level::Warn)
            .target("bistable::x")
            .key_values(&fields)
            .build();
        f(&record)
    }

    #[test]
    fn a_line_is_an_event_with_its_fields_and_works_no_terminal() {
        let fields = [("version", "1.1.0"), ("reason", "a \"b\"\u{1b}[2J\nevent=no"), ("empty", "")];
        assert_eq!(
            with_record(&fields, text),
            "event=delta_refused version=1.1.0 reason=\"a \\\"b\\\" [2J event=no\" empty=\"\""
        );
    }

    #[test]
    fn an_object_says_which_run_and_which_boot_it_is_of() {
        let run = Run { session: "00ff".into(), boot_id: Some("b-1".into()) };
        let json = with_record(&[("reason", "x\u{9b}y"), ("chunks", "3")], |record| run.json("2026", record));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "timestamp": "2026", "level": "WARN", "target": "bistable::x", "event": "delta_refused",
                "session": "00ff", "boot_id": "b-1", "fields": { "reason": "x y", "chunks": "3" },
            })
        );
        assert_eq!(Run::new().session, Run::new().session, "one run, one name");
    }
}
