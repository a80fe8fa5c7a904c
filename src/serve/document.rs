//! The API described: OpenAPI 3.1, from the types of requests and answers.

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::reply;
use crate::ask::Command;

/// Moves the definitions of a schema to those of the document.
fn hoisted(mut schema: Value, into: &mut Map<String, Value>) -> Value {
    if let Some(map) = schema.as_object_mut() {
        map.remove("$schema");
        if let Some(Value::Object(definitions)) = map.remove("$defs") {
            for (name, definition) in definitions {
                let definition = referred(definition);
                into.insert(name, definition);
            }
        }
    }
    referred(schema)
}

/// The same with references into the document.
fn referred(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| match (key.as_str(), &value) {
                ("$ref", Value::String(to)) => {
                    (key, Value::String(to.replace("#/$defs/", "#/components/schemas/")))
                }
                _ => (key, referred(value)),
            })
            .collect(),
        Value::Array(list) => list.into_iter().map(referred).collect(),
        other => other,
    }
}

fn of_json(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

/// Answers that every address may give.
fn faults(of: &[(&str, &str)]) -> Map<String, Value> {
    let schema = json!({ "$ref": "#/components/schemas/Fault" });
    of.iter().map(|(status, about)| ((*status).to_owned(), of_json(about, &schema))).collect()
}

const ASKED: [(&str, &str); 5] = [
    ("400", "No JSON object, or a value that a field cannot have"),
    ("408", "The request took too long to come"),
    ("413", "The request is too large"),
    ("422", "A question that makes no sense"),
    ("503", "Too many questions are waiting, or this one took too long"),
];

/// Takes a schema into those of the document, and refers to it.
fn component(schema: Value, into: &mut Map<String, Value>) -> Value {
    let title = schema["title"].as_str().unwrap_or_default().to_owned();
    let hoisted = hoisted(schema, into);
    let reference = json!({ "$ref": format!("#/components/schemas/{title}") });
    into.insert(title, hoisted);
    reference
}

/// The description of a question's address.
fn operation(command: Command, schemas: &mut Map<String, Value>) -> Value {
    let mut responses = faults(&ASKED);
    let schema = component(command.schema(), schemas);
    let answer = component(command.answer_schema(), schemas);
    responses.insert("200".into(), of_json("What the command line prints with `--format json`", &answer));
    json!({
        "operationId": command.name(),
        "summary": command.about(),
        "tags": ["questions"],
        "parameters": [{
            "name": "brief", "in": "query", "allowEmptyValue": true, "schema": { "type": "string", "enum": [""] },
            "description": "The answer on one line, without what is null, and without the Pareto front unless `pareto` asks for it",
        }],
        "requestBody": {
            "required": true,
            "content": { "application/json": {
                "schema": schema,
                "example": command.example(),
            } },
        },
        "responses": responses,
    })
}

fn parameter(name: &str, about: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string", "minLength": 1 } })
}

/// The whole API.
pub fn openapi() -> Value {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for command in Command::ALL {
        let post = operation(command, &mut schemas);
        paths.insert(format!("/api/v1/{}", command.name()), json!({ "post": post }));
    }
    schemas.insert(
        "Fault".into(),
        json!({
            "type": "object",
            "required": ["error"],
            "properties": { "error": {
                "type": "object",
                "required": ["code", "cause", "place", "help"],
                "properties": {
                    "code": { "type": "string", "enum": crate::diagnostic::Code::ALL.map(|code| code.name()) },
                    "cause": { "type": "string", "description": "What is wrong, in a sentence" },
                    "place": { "type": ["string", "null"], "description": "Where" },
                    "help": { "type": ["string", "null"], "description": "What is allowed, or the nearest valid name" },
                },
            } },
        }),
    );
    let any = json!({});
    let kinds = json!({ "name": "kind", "in": "path", "required": true,
        "schema": { "type": "string", "enum": ["gpus", "clusters", "engines", "models", "frameworks"] } });
    let with = |status: &str, about: &str, more: &[(&str, &str)], schema: &Value| {
        let mut responses = faults(more);
        responses.insert(status.to_owned(), of_json(about, schema));
        Value::Object(responses)
    };
    let unknown = [("404", "No such entry"), ("503", "Too many questions are waiting")];
    let mut get = |path: &str, id: &str, summary: &str, parameters: Value, responses: Value| {
        let described = json!({ "operationId": id, "summary": summary, "parameters": parameters, "responses": responses });
        paths.insert(path.to_owned(), json!({ "get": described }));
    };
    get(
        "/api/v1/catalog/{kind}",
        "list",
        "List what is known",
        json!([kinds]),
        with("200", "A row per entry", &unknown, &any),
    );
    get(
        "/api/v1/catalog/{kind}/{id}",
        "show",
        "An entry in full",
        json!([kinds, parameter("id", "Name or alias")]),
        with("200", "The entry", &unknown, &any),
    );
    get(
        "/api/v1/schema",
        "schemas",
        "JSON Schemas of requests, by command",
        json!([]),
        with("200", "Schemas", &[], &any),
    );
    get("/healthz", "health", "That it lives", json!([]), with("200", "It lives", &[], &any));
    get(
        "/metrics",
        "metrics",
        "Counts and times in Prometheus' text format",
        json!([]),
        json!({ "200": { "description": "Counts", "content": { "text/plain": { "schema": { "type": "string" } } } } }),
    );
    let job = json!({ "type": "object", "required": ["state"], "properties": {
        "state": { "type": "string", "enum": ["running", "done", "failed"] } } });
    let id = json!([parameter("id", "The job's")]);
    let no_job = [("404", "No such job")];
    paths.insert(
        "/api/v1/jobs".into(),
        json!({ "post": {
            "operationId": "begin",
            "summary": "Begin a long question",
            "requestBody": { "required": true, "content": { "application/json": { "schema": {
                "type": "object", "required": ["command", "request"], "additionalProperties": false,
                "properties": {
                    "command": { "type": "string", "enum": Command::ALL.map(Command::name) },
                    "request": { "type": "object" },
                },
            } } } },
            "responses": with("202", "It runs", &ASKED, &job),
        } }),
    );
    paths.insert(
        "/api/v1/jobs/{id}".into(),
        json!({
            "get": { "operationId": "job", "summary": "Where a job stands", "parameters": id,
                "responses": with("200", "Its stand", &no_job, &job) },
            "delete": { "operationId": "cancel", "summary": "End a job", "parameters": id,
                "responses": with("200", "Its stand", &no_job, &job) },
        }),
    );
    let mut events = faults(&no_job);
    events.insert(
        "200".into(),
        json!({ "description": "Each stand as an event, the last with the answer",
            "content": { "text/event-stream": { "schema": { "type": "string" } } } }),
    );
    paths.insert(
        "/api/v1/jobs/{id}/events".into(),
        json!({ "get": { "operationId": "events", "summary": "Watch a job", "parameters": id, "responses": events } }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "shardfit",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Which configuration should I deploy? Requests have the options of the command line with \
                underscores in their names; answers are those of `--format json`. That nothing is feasible is an answer.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// `GET /api/v1/openapi.json`.
pub async fn get() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", openapi()));
    reply::json(StatusCode::OK, TEXT.as_str())
}

/// `GET /api/v1/schema`.
pub async fn schemas() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let all: Map<String, Value> =
            Command::ALL.iter().map(|command| (command.name().to_owned(), command.schema())).collect();
        format!("{:#}\n", Value::Object(all))
    });
    reply::json(StatusCode::OK, TEXT.as_str())
}
