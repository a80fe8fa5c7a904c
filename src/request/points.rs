//! Requests that give several values of an option where a comparison is meant: each combination of the values is a
//! request of its own, a point.

use serde_json::{Map, Value};

use super::form;
use super::{Request, Task};
use crate::diagnostic::{Code, Diagnostic};

/// Most combinations that one request stands for.
pub const MAX_POINTS: usize = 1000;

/// The tasks whose requests may be compared.
const COMPARED: [Task; 3] = [Task::Plan, Task::Estimate, Task::Size];

/// Fields that have one value in a request, and may have several in what stands for several requests, in the order in
/// which points are counted: those of the last differ first.
const LOADS: [&str; 9] = ["isl", "osl", "prefix_hit", "concurrency", "rate", "users", "ttft", "tpot", "e2e"];

/// Fields that are lists in a request: a search looks at all their values at once, and one plan has one of them.
const CHOICES: [&str; 13] = [
    "gpu",
    "engine",
    "weights",
    "kv",
    "speculate",
    "max_sequences",
    "max_batched_tokens",
    "tp",
    "pp",
    "ep",
    "attention_dp",
    "dcp",
    "replicas",
];

/// One of the requests that a request with several values of an option stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The fields of which several values were given, with the value of this request.
    pub differs: Vec<(String, Value)>,
    /// The request.
    pub request: Request,
}

impl Request {
    /// Reads the requests that a JSON object stands for: as [`Request::from_map`] where every field has one value, one for
    /// each combination where a list of lengths, loads, prefix hits or targets is given. Of `estimate` the fields of an
    /// engine's launch and of a layout are compared as well, which a search looks at all at once.
    ///
    /// # Errors
    /// As [`Request::from_map`]; an empty list, more than [`MAX_POINTS`] combinations.
    pub fn points(map: Map<String, Value>, task: Task) -> Result<Vec<Point>, Diagnostic> {
        let mut map = form::in_our_words(map, &form::fields::<Request>())?;
        let mut lists: Vec<(String, Vec<Value>)> = Vec::new();
        for field in LOADS.into_iter().filter(|_| COMPARED.contains(&task)) {
            if let Some(Value::Array(values)) = map.get(field) {
                let values = each_once(values);
                let Some(first) = values.first() else {
                    return Err(Diagnostic::new(Code::Usage, "a list of no values").at(format!("`{field}`")));
                };
                map.insert(field.to_owned(), first.clone());
                lists.push((field.to_owned(), values));
            }
        }
        let request = Request::from_map(map)?;
        let given = request.given();
        for field in CHOICES.into_iter().filter(|_| task == Task::Estimate) {
            if let Some(Value::Array(values)) = given.get(field) {
                lists.push((field.to_owned(), each_once(values)));
            }
        }
        lists.retain(|(_, values)| values.len() > 1);
        if lists.is_empty() {
            return Ok(vec![Point { differs: Vec::new(), request }]);
        }
        refuse_too_many(&lists)?;
        let mut points = vec![Vec::new()];
        for (field, values) in &lists {
            let with = |point: &Vec<(String, Value)>, value: &Value| {
                point.iter().cloned().chain([(field.clone(), value.clone())]).collect()
            };
            points = points.iter().flat_map(|point| values.iter().map(move |v| with(point, v))).collect();
        }
        let read = |differs: Vec<(String, Value)>| {
            let one = given.clone().into_iter().chain(differs.iter().cloned()).collect();
            Ok(Point { request: Request::from_map(one)?, differs })
        };
        points.into_iter().map(read).collect()
    }

    /// The requests that this one stands for, where `lists` has the fields of which several values were given on a
    /// command line. What has no place in JSON is kept.
    ///
    /// # Errors
    /// As [`Request::points`].
    pub fn with_lists(&self, lists: &Lists, task: Task) -> Result<Vec<Point>, Diagnostic> {
        let map = self.given().into_iter().chain(lists.0.clone()).collect();
        let mut points = Request::points(map, task)?;
        for point in &mut points {
            (point.request.launched, point.request.length_by_room) = (self.launched, self.length_by_room);
            point.request.shares_cells = self.shares_cells;
        }
        Ok(points)
    }

    /// The JSON Schema of requests for a task, with lists where several values may be given for a comparison: `x-compared`
    /// marks those fields.
    pub fn schema_of_points(task: Task) -> Value {
        let mut schema = Request::schema_of(&[task]);
        let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (name, field) in fields.into_iter().flatten() {
            if !COMPARED.contains(&task) || !LOADS.contains(&name.as_str()) {
                continue;
            }
            let Value::Object(field) = field else { continue };
            let description = field.remove("description");
            let one = Value::Object(std::mem::take(field));
            let list = serde_json::json!({ "type": "array", "items": one.clone(), "minItems": 1 });
            field.extend(description.map(|about| ("description".to_owned(), about)));
            field.insert("x-compared".to_owned(), true.into());
            field.insert("anyOf".to_owned(), Value::Array(vec![one, list]));
        }
        schema
    }
}

/// Options that were given several values on a command line, by the names of a request's fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists(Map<String, Value>);

impl Lists {
    /// The first of the values that were given of a field; all of them are remembered where there are several.
    pub fn first<T: Clone + serde::Serialize>(&mut self, field: &str, values: &[T]) -> Option<T> {
        if values.len() > 1 {
            let values = values.iter().filter_map(|value| serde_json::to_value(value).ok());
            self.0.insert(field.to_owned(), values.collect());
        }
        values.first().cloned()
    }

    /// That there are none, for a command that answers one question.
    ///
    /// # Errors
    /// [`Code::Usage`] naming the first option with several values.
    pub fn refuse(&self, command: &str) -> Result<(), Diagnostic> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(field) => {
                let cause = format!("`{command}` takes one value, not several");
                Err(Diagnostic::new(Code::Usage, cause)
                    .at(flag(field))
                    .help("`shardfit plan` and `shardfit estimate` compare several"))
            }
        }
    }
}

/// The option of a field, as the command line has it.
fn flag(field: &str) -> String {
    format!("--{}", field.replace('_', "-"))
}

/// The values, each once, in their order.
fn each_once(values: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for value in values {
        if !all.contains(value) {
            all.push(value.clone());
        }
    }
    all
}

/// # Errors
/// [`Code::Range`] for more combinations than one request stands for.
fn refuse_too_many(lists: &[(String, Vec<Value>)]) -> Result<(), Diagnostic> {
    let all = lists.iter().try_fold(1usize, |n, (_, values)| n.checked_mul(values.len()));
    if all.is_some_and(|n| n <= MAX_POINTS) {
        return Ok(());
    }
    let each = lists.iter().map(|(field, values)| format!("{} of {}", values.len(), flag(field)));
    let cause = format!("too many combinations: {}", each.collect::<Vec<_>>().join(", "));
    Err(Diagnostic::new(Code::Range, cause)
        .help(format!("at most {MAX_POINTS} together; `shardfit sweep` answers files of more")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn points(value: Value, task: Task) -> Result<Vec<Point>, Diagnostic> {
        let Value::Object(map) = value else { panic!("an object") };
        Request::points(map, task)
    }

    fn differing(value: Value, task: Task) -> Vec<Vec<Value>> {
        let values = |point: Point| point.differs.into_iter().map(|(_, value)| value).collect();
        points(value, task).unwrap().into_iter().map(values).collect()
    }

    #[test]
    fn one_value_of_each_field_is_one_request() {
        let asked = json!({ "model": "m", "cluster": "c", "isl": 1024, "kv": "bf16,fp8", "tp": [2, 4] });
        let found = points(asked, Task::Plan).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].differs.is_empty());
        assert_eq!(found[0].request.isl, Some("1k".parse().map(super::super::LengthEntry).unwrap()));
    }

    #[test]
    fn lists_of_lengths_and_loads_are_every_combination_with_the_last_differing_first() {
        let asked = json!({ "model": "m", "input_len": [1024, 8192], "prefix_hit": [0, "50%", 0] });
        let found = differing(asked, Task::Plan);
        assert_eq!(
            found,
            [
                [json!(1024), json!(0)],
                [json!(1024), json!("50%")],
                [json!(8192), json!(0)],
                [json!(8192), json!("50%")]
            ]
        );
    }

    #[test]
    fn an_estimate_also_compares_what_a_search_looks_at_all_at_once() {
        let asked = json!({ "model": "m", "engine": "vllm,sglang", "kv": ["bf16", "fp8"], "tp": "2,4" });
        assert_eq!(differing(asked.clone(), Task::Plan).len(), 1);
        let found = differing(asked, Task::Estimate);
        assert_eq!(found.len(), 8);
        assert_eq!(found[1], [json!("vllm"), json!("bf16"), json!(4)]);
    }

    #[test]
    fn more_combinations_than_a_thousand_are_refused_and_so_is_a_list_of_none() {
        let many: Vec<u64> = (1..=40).collect();
        let fault = points(json!({ "isl": many, "osl": many }), Task::Size).unwrap_err();
        assert_eq!(fault.cause, "too many combinations: 40 of --isl, 40 of --osl");
        let fault = points(json!({ "isl": [] }), Task::Plan).unwrap_err();
        assert_eq!(fault.place.as_deref(), Some("`isl`"));
    }

    #[test]
    fn a_simulation_is_of_one_request() {
        let fault = points(json!({ "isl": [1, 2] }), Task::Simulate).unwrap_err();
        assert_eq!(fault.place.as_deref(), Some("`isl`"));
    }

    #[test]
    fn the_schema_has_lists_of_what_is_compared_alone() {
        let schema = Request::schema_of_points(Task::Plan);
        let of = |name: &str| schema["properties"][name].clone();
        assert_eq!(of("isl")["anyOf"][1]["type"], "array");
        assert!(of("ttft")["description"].as_str().unwrap().contains("Longest time"));
        assert_eq!((of("ttft")["x-compared"].clone(), of("top").get("x-compared")), (json!(true), None));
    }
}
