//! Requests: the form that programs send, and that the command line comes to.

use std::fs;
use std::path::Path;

use crate::common::shardfit;
use serde_json::Value;
use shardfit::catalog::Catalog;
use shardfit::report::{self, Subject};
use shardfit::request::{BudgetRequest, FitRequest, InspectRequest, Request, Task, TrainRequest};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_committed_schemas_of_requests_and_answers_are_those_of_the_types() {
    for (file, now) in [
        ("request.json", Request::schema()),
        ("inspect_request.json", InspectRequest::schema()),
        ("train_request.json", TrainRequest::schema()),
        ("budget_request.json", BudgetRequest::schema()),
        ("fit_request.json", FitRequest::schema()),
    ] {
        is_committed(file, &now);
    }
    for command in report::ANSWERS {
        is_committed(&format!("answers/{command}.json"), &report::answer_schema(command).unwrap());
    }
}

/// Compares a schema with the file of it, or writes that where `UPDATE_SCHEMAS` says so.
fn is_committed(file: &str, schema: &Value) {
    let now = format!("{schema:#}\n");
    let path = Path::new(ROOT).join("schemas").join(file);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &now).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == now, "UPDATE_SCHEMAS=1 cargo test --test it request rewrites schemas/{file}");
}
#[test]
fn a_request_from_json_is_answered_like_the_command_line_to_the_byte() {
    for (line, text) in [
        (
            "plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --ttft 1s --top 3",
            r#"{"model": "llama-3.1-70b", "cluster": "8xh100-sxm", "isl": 2048, "ttft": "1s", "top": 3}"#,
        ),
        (
            "plan llama-3.1-70b --cluster 8xh100-sxm --engine any --weights bf16,fp8 --tp 2..8 --rate 3 --what-if hbm=+20%",
            r#"{"model": "llama-3.1-70b", "cluster": "8xh100-sxm", "engine": "any", "weights": ["bf16", "fp8"],
                "tp": "2..8", "rate": 3, "what_if": "hbm=+20%"}"#,
        ),
    ] {
        let resolved = Request::from_json(text).unwrap().resolve(Task::Plan, &Catalog::built_in()).unwrap();
        let planned = resolved.plan().unwrap();
        let ours = report::answer_json(
            &Subject::of(&resolved),
            &planned.answer,
            &planned.advice,
            &planned.what_if,
            None,
        );
        let theirs: Value = shardfit(&format!("{line} --format json")).exits(0).json();
        assert_eq!(ours, theirs, "{line}");
    }
}

#[test]
fn each_column_holds_what_it_says_it_holds() {
    use shardfit::report::{Kind, PLAN_COLUMNS, Row, Value};
    let text = r#"{"model": "llama-3.1-8b", "gpu": "rtx-4090", "pp": 2, "engine": "llama.cpp", "weights": "q4_k_m",
        "tensor_split": "3,2", "gpu_layers": 20,
        "host": "memory=64GiB,bandwidth=83.2GB/s,link=32GB/s", "concurrency": 1}"#;
    let resolved = Request::from_json(text).unwrap().resolve(Task::Estimate, &Catalog::built_in()).unwrap();
    let estimated = resolved.estimate().unwrap();
    let row = Row::from(&estimated.estimate);
    for column in PLAN_COLUMNS {
        let holds = match (column.of)(&row) {
            Value::Text(_) | Value::List(_) | Value::Verdict(_) => Kind::Text,
            Value::Integer(_) => Kind::Integer,
            Value::Real(_) | Value::Change(_) => Kind::Real,
            Value::Missing => continue,
        };
        assert_eq!(holds, column.kind, "{}", column.name);
    }
    let of = |name: &str| (PLAN_COLUMNS.iter().find(|c| c.name == name).unwrap().of)(&row);
    assert_eq!((of("tensor_split"), of("gpu_layers")), (Value::Text("3,2".into()), Value::Integer(20)));
}
