//! Values against JSON Schemas as ours are made: every keyword that they have, and none besides.

use serde_json::{Map, Value};

/// What is wrong with a value by a schema that stands whole, with its definitions. A property that the schema does not
/// describe is wrong too: answers hold nothing that is not written down.
pub fn faults(value: &Value, schema: &Value) -> Vec<String> {
    check(value, schema, schema, "$")
}

fn check(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    let rules = match schema {
        Value::Object(rules) => rules,
        Value::Bool(true) => return Vec::new(),
        other => return vec![format!("{at}: {other} allows nothing")],
    };
    if let Some(named) = rules.get("$ref").and_then(Value::as_str) {
        let definition = root.pointer(named.trim_start_matches('#'));
        return check(value, definition.unwrap_or_else(|| panic!("{named} is not defined")), root, at);
    }
    let mut wrong = Vec::new();
    for (keyword, rule) in rules {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" | "x-unit" => {}
            "type" if is_of(value, rule) => {}
            "type" => wrong.push(format!("{at}: {value} is no {rule}")),
            "const" if value == rule => {}
            "const" => wrong.push(format!("{at}: {value} is not {rule}")),
            "enum" if rule.as_array().unwrap().contains(value) => {}
            "enum" => wrong.push(format!("{at}: {value} is none of {rule}")),
            "minimum" if value.as_f64().is_none_or(|x| x >= rule.as_f64().unwrap()) => {}
            "minimum" => wrong.push(format!("{at}: {value} is below {rule}")),
            "maximum" if value.as_f64().is_none_or(|x| x <= rule.as_f64().unwrap()) => {}
            "maximum" => wrong.push(format!("{at}: {value} is above {rule}")),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    wrong.extend(check(item, rule, root, &format!("{at}[{n}]")));
                }
            }
            "minItems" | "maxItems" => {
                let (many, bound) = (value.as_array().map_or(0, Vec::len) as u64, rule.as_u64().unwrap());
                let fits = if keyword == "minItems" { many >= bound } else { many <= bound };
                wrong.extend((value.is_array() && !fits).then(|| format!("{at}: {many} items")));
            }
            "anyOf" | "oneOf" => wrong.extend(nearest(value, rule, root, at)),
            "properties" | "required" | "additionalProperties" => {}
            other => panic!("schemas of answers have no `{other}`; this check does not know it"),
        }
    }
    if let Some(object) = value.as_object() {
        wrong.extend(members(object, rules, root, at));
    }
    wrong
}

/// The faults by the alternative that comes nearest; none where one fits.
fn nearest(value: &Value, alternatives: &Value, root: &Value, at: &str) -> Vec<String> {
    let all = alternatives.as_array().unwrap().iter().map(|schema| check(value, schema, root, at));
    all.min_by_key(Vec::len).unwrap_or_default()
}

fn members(object: &Map<String, Value>, rules: &Map<String, Value>, root: &Value, at: &str) -> Vec<String> {
    let properties = rules.get("properties").and_then(Value::as_object);
    let others = rules.get("additionalProperties");
    let mut wrong = Vec::new();
    for (name, member) in object {
        let at = format!("{at}.{name}");
        match (properties.and_then(|known| known.get(name)), others) {
            (Some(schema), _) | (None, Some(schema)) => wrong.extend(check(member, schema, root, &at)),
            (None, None) if properties.is_some() => wrong.push(format!("{at} is not described")),
            (None, None) => {}
        }
    }
    let required = rules.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str).filter(|name| !object.contains_key(*name)) {
        wrong.push(format!("{at}.{name} is missing"));
    }
    wrong
}

fn is_of(value: &Value, types: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type `{other}`"),
    };
    types.as_array().map_or_else(|| is(types), |all| all.iter().any(is))
}

#[test]
fn a_value_is_held_against_every_keyword() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "a": { "type": "integer", "minimum": 0 },
            "b": { "anyOf": [{ "$ref": "#/$defs/B" }, { "type": "null" }] },
        },
        "required": ["a"],
        "$defs": { "B": { "type": "array", "items": { "type": ["number", "null"] }, "maxItems": 2 } },
    });
    let wrong = |value: serde_json::Value| faults(&value, &schema);
    assert_eq!(wrong(serde_json::json!({ "a": 1, "b": [1.5, null] })), [] as [String; 0]);
    assert_eq!(wrong(serde_json::json!({ "a": 1, "b": null })), [] as [String; 0]);
    assert_eq!(wrong(serde_json::json!({ "a": -1 })), ["$.a: -1 is below 0"]);
    assert_eq!(wrong(serde_json::json!({ "b": null })), ["$.a is missing"]);
    assert_eq!(wrong(serde_json::json!({ "a": 1, "c": 0 })), ["$.c is not described"]);
    assert_eq!(wrong(serde_json::json!({ "a": 1, "b": [1, 2, 3] })), ["$.b: 3 items"]);
    assert_eq!(wrong(serde_json::json!({ "a": 1, "b": ["x"] })), [r#"$.b[0]: "x" is no ["number","null"]"#]);
}
