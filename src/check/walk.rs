//! A file's tree beside its schema, field by field; a fault does not stop it.

use serde_json::{Map, Value};

use super::problem::Problem;
use crate::catalog::{self, Catalog};
use crate::diagnostic::Diagnostic;
use crate::load::{self, Located, tree::Node};
use crate::model::{self, Scope};
use crate::units;

/// What people write at the top of a scenario, and the key under which it belongs.
const ELSEWHERE: [(&[&str], &str); 6] = [
    (&["gpu", "gpus", "cluster", "hardware", "instances"], "clusters"),
    (&["slo", "slos", "sla", "slas", "ttft", "tpot", "e2e", "percentile"], "targets"),
    (&["rate", "isl", "osl", "concurrency", "workload", "load", "sessions", "trace"], "workloads"),
    (&["model"], "models"),
    (&["engine", "backend"], "engines"),
    (&["price"], "prices"),
];

/// A walk over one file.
pub struct Walk<'a> {
    schema: &'a Value,
    catalog: &'a Catalog,
    problems: Vec<Problem>,
}

/// Where the walk stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    node: &'a Located<Node>,
    field: &'a str,
}

impl<'a> Walk<'a> {
    /// A walk beside a schema; names are looked up in the catalogue.
    pub fn new(schema: &'a Value, catalog: &'a Catalog) -> Walk<'a> {
        Walk { schema, catalog, problems: Vec::new() }
    }

    /// Every problem of a file.
    pub fn over(mut self, root: &Located<Node>) -> Vec<Problem> {
        self.value(self.schema, Place { node: root, field: "" });
        self.problems
    }

    fn say(&mut self, at: Place, problem: impl Into<String>, help: Option<String>) {
        let (line, field) = (Some(load::line(at.node)), at.field.to_owned());
        self.problems.push(Problem { line, field, problem: problem.into(), help });
    }

    fn say_diagnostic(&mut self, at: Place, diagnostic: Diagnostic) {
        self.say(at, diagnostic.cause, diagnostic.help);
    }

    /// A value beside its schema: references and alternatives first, then its type.
    fn value(&mut self, schema: &'a Value, at: Place) {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            if let Some(target) = self.schema.pointer(target.trim_start_matches('#')) {
                self.value(target, at);
            }
            return;
        }
        if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            // An optional value, whose other alternative is null, or one with a short and a long form.
            let suits = |option: &&Value| match (type_of(option), &at.node.value) {
                (Some(("object", _)), Node::Map(_)) | (Some(("array", _)), Node::List(_)) => true,
                (Some((name, _)), Node::Number(_)) => matches!(name, "integer" | "number"),
                (Some(("string", _)), Node::Text(_)) => true,
                _ => false,
            };
            let not_null = |option: &&Value| option.get("type") != Some(&Value::from("null"));
            if at.node.value != Node::Null
                && let Some(option) = options.iter().find(suits).or(options.iter().find(not_null))
            {
                self.value(option, at);
            }
            return;
        }
        if let Some(allowed) = allowed(schema) {
            return self.one_of(&allowed, at);
        }
        match type_of(schema) {
            Some((_, true)) if at.node.value == Node::Null => {}
            Some(("object", _)) => self.object(schema, at),
            Some(("array", _)) => self.list(schema, at),
            Some((name, _)) => self.scalar(schema, name, at),
            None => {}
        }
    }

    /// A value of a fixed list.
    fn one_of(&mut self, allowed: &[&str], at: Place) {
        match at.node.value.text() {
            Some(text) if allowed.contains(&text.as_str()) => {}
            Some(text) => {
                let list = format!("allowed: {}", allowed.join(", "));
                let unknown = Diagnostic::unknown("value", &text, allowed.iter().copied(), &list);
                self.say_diagnostic(at, unknown);
            }
            None => {
                let help = format!("allowed: {}", allowed.join(", "));
                self.say(at, format!("expected a value, found {}", at.node.value.describe()), Some(help));
            }
        }
    }

    fn object(&mut self, schema: &'a Value, at: Place) {
        let Node::Map(entries) = &at.node.value else {
            return self.say(
                at,
                format!("expected `key: value` lines, found {}", at.node.value.describe()),
                None,
            );
        };
        let none = Map::new();
        let fields = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let rest = schema.get("additionalProperties");
        for (key, node) in entries {
            let field =
                if at.field.is_empty() { key.value.clone() } else { format!("{}.{}", at.field, key.value) };
            let inner = Place { node, field: &field };
            let known = schema.get("properties").and_then(|fields| fields.get(&key.value));
            if let Some(keys) = schema.get("propertyNames").and_then(allowed)
                && !keys.contains(&key.value.as_str())
            {
                self.unknown_key(key, &field, &keys);
                continue;
            }
            match (known, rest) {
                (Some(schema), _) => self.value(schema, inner),
                (None, Some(rest @ Value::Object(_))) => self.value(rest, inner),
                (None, Some(Value::Bool(false))) => {
                    let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                    self.unknown_key(key, &field, &known);
                }
                (None, _) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| at.node.value.get(name).is_none()) {
            self.say(at, format!("missing field `{name}`"), fields.get(name).and_then(described));
        }
    }

    fn unknown_key(&mut self, key: &Located<String>, field: &str, known: &[&str]) {
        let list = format!("allowed: {}", known.join(", "));
        let unknown = Diagnostic::unknown("key", &key.value, known.iter().copied(), &list);
        // A key of another place says where that is.
        let place = ELSEWHERE
            .iter()
            .find(|(words, place)| words.contains(&key.value.as_str()) && known.contains(place));
        let unknown = match place {
            Some((_, place)) => unknown.help(format!("it belongs into `{place}`; {list}")),
            None => unknown,
        };
        let (line, field) = (Some(load::line(key)), field.to_owned());
        self.problems.push(Problem { line, field, ..unknown.into() });
    }

    fn list(&mut self, schema: &'a Value, at: Place) {
        let Node::List(items) = &at.node.value else {
            return self.say(at, format!("expected a list, found {}", at.node.value.describe()), None);
        };
        if items.is_empty() && schema.get("minItems").and_then(Value::as_u64).is_some_and(|n| n > 0) {
            self.say(at, "the list is empty", Some("at least one".to_owned()));
        }
        for (node, number) in items.iter().zip(0..) {
            let field = format!("{}[{number}]", at.field);
            let inner = Place { node, field: &field };
            if let Some(of) = schema.get("items") {
                self.value(of, inner);
            }
            self.name(schema, inner);
        }
    }

    fn scalar(&mut self, schema: &'a Value, name: &str, at: Place) {
        let found = at.node.value.describe();
        match (name, &at.node.value) {
            (_, Node::Null | Node::List(_) | Node::Map(_)) => {
                self.say(at, format!("expected {}, found {found}", plain(name)), example(schema));
            }
            ("string", scalar) => {
                let text = scalar.text().unwrap_or_default();
                if let Some(units) = schema.get("x-units").and_then(Value::as_array) {
                    let units: Vec<(&str, f64)> =
                        units.iter().filter_map(Value::as_str).map(|u| (u, 1.0)).collect();
                    if let Err(why) = units::parse_with_unit(&text, &units) {
                        self.say(at, why, None);
                    }
                }
                self.name(schema, at);
            }
            ("boolean", Node::Bool(_)) => {}
            ("integer", Node::Number(n)) if n.fract() != 0.0 => {
                self.say(at, format!("expected a whole number, found {found}"), None);
            }
            ("integer" | "number", Node::Number(n)) => self.range(schema, *n, at),
            _ => self.say(at, format!("expected {}, found {found}", plain(name)), None),
        }
    }

    fn range(&mut self, schema: &'a Value, n: f64, at: Place) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let wrong = match () {
            () if bound("minimum").is_some_and(|min| n < min) => bound("minimum").map(|b| ("at least", b)),
            () if bound("exclusiveMinimum").is_some_and(|min| n <= min) => {
                bound("exclusiveMinimum").map(|b| ("more than", b))
            }
            () if bound("maximum").is_some_and(|max| n > max) => bound("maximum").map(|b| ("at most", b)),
            () => None,
        };
        if let Some((words, bound)) = wrong {
            self.say(at, format!("must be {words} {bound}, found `{n}`"), None);
        }
    }

    /// A text that names something must name what exists.
    fn name(&mut self, schema: &'a Value, at: Place) {
        let (Some(what), Some(name)) = (schema.get("x-names").and_then(Value::as_str), at.node.value.text())
        else {
            return;
        };
        // Files are seen from the folder of the file that names them, which reading it in full sees to.
        if load::is_yaml(&name) || what == "model" && is_model_file(&name) {
            return;
        }
        let exists = |kind: catalog::Kind| self.catalog.find(kind, &name).map(|_| ());
        let found = match what {
            "gpu" => exists(catalog::Kind::Gpu),
            "class" => exists(catalog::Kind::GpuClass),
            "engine" => self.catalog.engine(&name).map(|_| ()),
            "cluster" => self.catalog.pools(&name).map(|_| ()),
            "model" => model::find_in(self.catalog, &name, Scope::Full).map(|_| ()),
            _ => Ok(()),
        };
        if let Err(unknown) = found {
            self.say_diagnostic(at, unknown);
        }
    }
}

/// Whether a model is named by a file and not by its name.
fn is_model_file(name: &str) -> bool {
    name.starts_with('.') || [".json", ".gguf", ".safetensors"].iter().any(|end| name.ends_with(end))
}

/// The values that an enumeration allows.
fn allowed(schema: &Value) -> Option<Vec<&str>> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Some(values.iter().filter_map(Value::as_str).collect());
    }
    let options = schema.get("oneOf").and_then(Value::as_array)?;
    let mut values = Vec::new();
    for option in options {
        match (option.get("const").and_then(Value::as_str), option.get("enum").and_then(Value::as_array)) {
            (Some(value), _) => values.push(value),
            (None, Some(several)) => values.extend(several.iter().filter_map(Value::as_str)),
            (None, None) => return None,
        }
    }
    Some(values)
}

/// The type of a schema, and whether null is allowed beside it.
fn type_of(schema: &Value) -> Option<(&str, bool)> {
    match schema.get("type")? {
        Value::String(name) => Some((name, false)),
        Value::Array(names) => {
            let all: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            Some((all.iter().find(|n| **n != "null")?, all.contains(&"null")))
        }
        _ => None,
    }
}

fn plain(type_name: &str) -> &'static str {
    match type_name {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "a value",
    }
}

fn example(schema: &Value) -> Option<String> {
    let first = schema.get("examples")?.as_array()?.first()?.as_str()?;
    Some(format!("for example {first}"))
}

fn described(schema: &Value) -> Option<String> {
    schema.get("description")?.as_str().map(str::to_owned)
}
