//! Publishes the OpenAPI document, from the table of routes and the types that are read and written.
use super::{
    answer::{AllJobs, Live, OneJob, Page, Ready},
    inhibitors::{AllInhibitors, OneInhibitor},
    problem::{self, Kind},
    query,
    repeats::HEADER,
    routes::{Act, ComponentAct, Method, Route, TABLE, Target},
};
use crate::{
    app::{
        Code, ComponentUpdated, Components, ConfigChecked, HealthChecked, Inhibit, MayInstall, Offers,
        Preflighted, Rested, SelfTested, Wanted,
    },
    component::Change,
    config::Listing,
    offer::channel,
    status::{History, Lost, Status},
};
use bistable_schema::Failure;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fs, path::Path};

/// Version of the API: the `1` of `/v1`, then what was added.
const VERSION: &str = "1.0.0";

/// The form of a version, as semver.org has it.
const SEMVER: &str = "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\
    (-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?\
    (\\+[0-9a-zA-Z-]+(\\.[0-9a-zA-Z-]+)*)?$";

struct Writer {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Writer {
    fn new() -> Writer {
        let settings =
            || SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
        Writer { read: settings().into_generator(), written: settings().for_serialize().into_generator() }
    }

    fn written<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// What the command line prints with `--json`, too.
    fn document(answers: &[Value]) -> Value {
        let schema = json!({ "type": "object", "properties": { "schema": { "type": "integer" } }, "required": ["schema"] });
        json!({ "allOf": [schema, { "anyOf": answers }] })
    }

    fn answer(&mut self, target: Target) -> Value {
        match target {
            Target::Status => {
                let answers = [self.written::<Status>(), self.written::<Lost>()];
                Self::document(&answers)
            }
            Target::History => {
                let answers = [self.written::<History>()];
                Self::document(&answers)
            }
            Target::Components | Target::Component => {
                let answers = [self.written::<Components>()];
                Self::document(&answers)
            }
            Target::Config => {
                let answers = [self.written::<Listing>()];
                Self::document(&answers)
            }
            Target::Reload => {
                let answers = [self.written::<ConfigChecked>()];
                Self::document(&answers)
            }
            Target::Jobs => self.written::<AllJobs>(),
            Target::Job | Target::Cancel | Target::Bundles | Target::Act(_) | Target::OfComponent(_) => {
                self.written::<OneJob>()
            }
            Target::Events => self.written::<Page>(),
            Target::Live => self.written::<Live>(),
            Target::Ready => self.written::<Ready>(),
            Target::Inhibitors => self.written::<AllInhibitors>(),
            Target::Inhibit | Target::Release => self.written::<OneInhibitor>(),
            Target::Metrics => json!({ "type": "string" }),
            Target::OpenApi => json!({ "type": "object" }),
            // What is said after the handshake is no response.
            Target::WebSocket => Value::Null,
        }
    }

    /// What a job answers. A job's type knows the answers of all verbs, most of which no job gives.
    fn outcome(&mut self) -> Value {
        let answers = [
            self.written::<Rested>(),
            self.written::<MayInstall>(),
            self.written::<channel::Report>(),
            self.written::<Preflighted>(),
            self.written::<SelfTested>(),
            self.written::<HealthChecked>(),
            self.written::<Components>(),
            self.written::<ComponentUpdated>(),
            self.written::<Failure<Code>>(),
        ];
        Self::document(&answers)
    }

    /// The schema of an act's body.
    fn body(&mut self, act: Act) -> Value {
        match act {
            Act::Check => self.read.subschema_for::<Offers>().to_value(),
            Act::Install | Act::Update => self.read.subschema_for::<Wanted>().to_value(),
            _ => json!({ "type": "object", "additionalProperties": false }),
        }
    }

    fn operation(&mut self, route: &Route) -> Value {
        let mut content = json!({ "application/json": { "schema": self.answer(route.target) } });
        if route.target == Target::Events {
            content["text/event-stream"] = json!({ "schema": { "type": "string" } });
        }
        if route.target == Target::Metrics {
            let text = json!({ "schema": { "type": "string" } });
            content = json!({ "text/plain": text, "application/openmetrics-text": text });
        }
        let mut good = json!({ "description": "The answer", "content": content });
        let mut parameters = Vec::new();
        if route.path.contains("{id}") {
            let schema = json!({ "type": "string", "pattern": "^[A-Za-z0-9-]+$" });
            parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": schema }));
        }
        if route.path.contains("{name}") {
            let pattern = format!("^[a-z0-9][a-z0-9._-]{{0,{}}}$", bistable_format::limits::NAME - 1);
            let schema = json!({ "type": "string", "pattern": pattern });
            parameters.push(json!({ "name": "name", "in": "path", "required": true, "schema": schema }));
        }
        let number = json!({ "type": "integer", "minimum": 0 });
        let text = json!({ "type": "string" });
        if route.target == Target::Events {
            let limit = json!({ "type": "integer", "minimum": 1, "maximum": query::LIMIT_MAX });
            for (place, name, schema, means) in [
                ("query", "after", number.clone(), "Only events with higher numbers"),
                (
                    "query",
                    "type",
                    json!({ "type": "array", "items": text }),
                    "Only these types; `update.*` is all of a group",
                ),
                ("query", "stream", text.clone(), "Only this stream"),
                ("query", "from", number.clone(), "Only from this number of the stream on"),
                ("query", "limit", limit, "How many at most; a stream of server-sent events has no end"),
                ("header", "Last-Event-ID", number, "Of a client that resumes: counts more than `after`"),
            ] {
                parameters.push(json!({ "name": name, "in": place, "description": means, "schema": schema }));
            }
        }
        let mut operation = json!({ "operationId": id(route), "summary": route.summary });
        if matches!(route.target, Target::Act(_) | Target::OfComponent(_) | Target::Inhibit) {
            let means = "The same key and request again get the same job or inhibitor";
            let key = json!({ "type": "string", "pattern": "^[!-~]{1,255}$" });
            parameters.push(json!({ "name": HEADER, "in": "header", "description": means, "schema": key }));
        }
        let status = match route.target {
            Target::Inhibit => {
                let schema = self.read.subschema_for::<Inhibit>().to_value();
                operation["requestBody"] =
                    json!({ "required": true, "content": { "application/json": { "schema": schema } } });
                good["description"] = json!("The inhibitor that holds now");
                good["headers"] = json!({ "Location": { "description": "Its path", "schema": text } });
                "201"
            }
            Target::Act(_) | Target::OfComponent(_) => {
                let schema = match route.target {
                    Target::Act(act) => self.body(act),
                    Target::OfComponent(ComponentAct::Install | ComponentAct::Update) => {
                        self.body(Act::Update)
                    }
                    Target::OfComponent(ComponentAct::Configure) => {
                        self.read.subschema_for::<Change>().to_value()
                    }
                    _ => json!({ "type": "object", "additionalProperties": false }),
                };
                operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
                good["description"] = json!("The job that was put into the queue");
                good["headers"] = json!({ "Location": { "description": "The job's path", "schema": text } });
                "202"
            }
            Target::Bundles => {
                let bundle = json!({ "type": "string", "format": "binary", "minLength": 1 });
                operation["requestBody"] = json!({ "required": true, "content": { "application/octet-stream": { "schema": bundle } } });
                good["description"] = json!("The job, once the bundle is installed");
                good["headers"] = json!({ "Location": { "description": "The job's path", "schema": text } });
                "200"
            }
            _ => "200",
        };
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        let refused = json!({ "$ref": "#/components/responses/Problem" });
        operation["responses"] = json!({ status: good, "default": &refused });
        if route.target == Target::WebSocket {
            let begun =
                json!({ "description": "The handshake is done: messages follow, as docs/api.md has them" });
            operation["responses"] = json!({ "101": begun, "default": refused });
        }
        if route.target == Target::Ready {
            operation["responses"]["503"] = operation["responses"]["200"].clone();
        }
        operation
    }

    fn document_of_all(mut self) -> Value {
        let mut paths = Map::new();
        for route in TABLE {
            let method = match route.method {
                Method::Get => "get",
                Method::Post => "post",
                Method::Delete => "delete",
            };
            let operation = self.operation(route);
            paths.entry(route.path).or_insert_with(|| json!({}))[method] = operation;
        }
        let problem = self.written::<problem::Written<'_>>();
        let outcome = self.outcome();
        let mut schemas = self.written.take_definitions(true);
        for (name, schema) in self.read.take_definitions(true) {
            let before = schemas.insert(name.clone(), schema);
            assert!(before.is_none(), "two types of the name {name}");
        }
        schemas.insert("Document".into(), outcome);
        narrow(&mut schemas);
        drop_unused(&mut schemas, &[paths.clone().into(), problem.clone()]);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Bistable",
                "version": VERSION,
                "summary": "The API of the daemon on a device",
                "description": "On a Unix socket, every user who may open it may ask. On the web page's socket and behind the page, each request needs a token. Problems are as RFC 9457 has them.",
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            },
            "servers": [{ "url": "http://localhost" }],
            "security": [{}, { "bearer": [] }, { "basic": [] }],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "bearer": { "type": "http", "scheme": "bearer" },
                    "basic": { "type": "http", "scheme": "basic", "description": "The password is the token" },
                },
                "responses": { "Problem": {
                    "description": "A refusal or failure",
                    "content": { problem::MEDIA_TYPE: { "schema": problem } },
                } },
                "schemas": schemas,
            },
        })
    }
}

fn id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/v1/").trim_end_matches(".json");
    let words = path.split(['/', '-']).map(|word| word.trim_matches(['{', '}']));
    let name = words.collect::<Vec<_>>().join("_");
    match route.method {
        Method::Get => format!("get_{name}"),
        Method::Post => name,
        Method::Delete => format!("delete_{name}"),
    }
}

/// What the command line may ask for and the socket must not: see `payload`. And what a text must look like.
fn narrow(schemas: &mut Map<String, Value>) {
    let from = schemas["From"]["oneOf"].as_array_mut().unwrap();
    let before = from.len();
    from.retain(|one| one["properties"]["bundle"].is_null());
    assert_eq!(from.len(), before - 1, "a bundle is a file");
    let version = from.iter_mut().find_map(|one| one.get_mut("properties")?.get_mut("version")).unwrap();
    version["pattern"] = json!(SEMVER);
    let source = &mut schemas["Offers"]["properties"]["source"];
    source["description"] = json!("Repositories with the same content: their addresses.");
    source["items"]["pattern"] =
        json!("^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,4})?(/[A-Za-z0-9._~/-]*)?$");
}

/// Drop the schemas that nothing leads to.
fn drop_unused(schemas: &mut Map<String, Value>, roots: &[Value]) {
    let (mut open, mut used): (Vec<Value>, BTreeSet<String>) = (roots.to_vec(), BTreeSet::new());
    while let Some(value) = open.pop() {
        for reference in references(&value) {
            let name = reference.trim_start_matches("#/components/schemas/");
            if used.insert(name.to_owned()) {
                open.extend(schemas.get(name).cloned());
            }
        }
    }
    schemas.retain(|name, _| used.contains(name));
}

/// All references within a value.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => all.iter().flat_map(references).collect(),
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        _ => Vec::new(),
    }
}

/// A line for each path and each schema: small enough to be in a device's program, and differences can be read.
fn text(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(fields) if depth > 0 && !fields.is_empty() => {
            let lines: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}:{}", json!(name), text(value, depth - 1)))
                .collect();
            format!("{{\n{}\n}}", lines.join(",\n"))
        }
        value => value.to_string(),
    }
}

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs").join(name)
}

#[test]
fn document_is_what_routes_and_types_say() {
    let text = text(&Writer::new().document_of_all(), 3) + "\n";
    if std::env::var_os("BLESS").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a golden file, which git keeps")]
        fs::write(file("openapi.json"), &text).unwrap();
    }
    let old = fs::read_to_string(file("openapi.json")).unwrap();
    assert!(
        old == text,
        "openapi.json is not what the types say: BLESS=1 writes it, then read the difference"
    );
}

#[test]
fn document_has_the_paths_of_the_router_and_nothing_else() {
    let document: Value = serde_json::from_str(include_str!("../docs/openapi.json")).unwrap();
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone()))
        })
        .collect();
    let routed: BTreeSet<(String, String)> =
        TABLE.iter().map(|route| (route.path.into(), format!("{:?}", route.method).to_lowercase())).collect();
    assert_eq!(documented, routed);
}

#[test]
fn every_reference_leads_somewhere() {
    let document: Value = serde_json::from_str(include_str!("../docs/openapi.json")).unwrap();
    let references = references(&document);
    for reference in &references {
        let target = reference.strip_prefix('#').and_then(|path| document.pointer(path));
        assert!(target.is_some(), "{reference}");
    }
    assert!(references.len() > TABLE.len());
}

#[test]
fn page_names_each_route_and_each_code() {
    let page = fs::read_to_string(file("api.md")).unwrap();
    for route in TABLE {
        let path = route.path.replace("{id}", "ID").replace("{name}", "NAME");
        assert!(page.contains(&path), "docs/api.md does not name {path}");
    }
    for kind in Kind::ALL {
        let (status, code, _) = kind.traits();
        let row = format!("| {} | `{code}` |", status.as_u16());
        assert!(page.contains(&row), "docs/api.md has no row {row}");
    }
}
