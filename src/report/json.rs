//! Answers and estimates as JSON: names and shape are fixed, scripts lean on them.

use serde_json::{Map, Value as Json, json};

use crate::estimate::deployment::Estimate;
use crate::plan::{Plan, Reason, Rejection};
use crate::search::{Advice, Answer};
use crate::workload::{Load, Workload};

use super::Subject;
use super::columns::{PLAN_COLUMNS, Row};
use super::format::to_json;

/// A real number to six significant digits: beyond what any estimate knows, and the same text on every
/// machine.
pub fn round(x: f64) -> Json {
    if x == 0.0 || !x.is_finite() {
        return if x == 0.0 { json!(0.0) } else { Json::Null };
    }
    let digits = 5 - x.abs().log10().floor() as i32;
    let rounded: f64 = format!("{x:.*}", digits.clamp(0, 12) as usize).parse().unwrap_or(x);
    json!(rounded)
}

/// One plan with every column, memory in an object of its own.
pub(super) fn plan_object(row: &Row) -> Map<String, Json> {
    let mut object = Map::new();
    for column in PLAN_COLUMNS {
        let value = to_json(&(column.of)(row));
        match column.group {
            None => {
                object.insert(column.name.into(), value);
            }
            Some(group) => {
                let inner = object.entry(group).or_insert_with(|| json!({}));
                if let Some(map) = inner.as_object_mut() {
                    map.insert(column.name.into(), value);
                }
            }
        }
    }
    object
}

fn workload_json(w: &Workload) -> Json {
    let ms = |t: Option<crate::units::Seconds>| t.map_or(Json::Null, |t| round(t.as_millis()));
    let (concurrency, rate) = match w.load {
        Load::Saturate => (Json::Null, Json::Null),
        Load::Concurrency(n) => (json!(n), Json::Null),
        Load::Rate(r) => (Json::Null, round(r.get())),
    };
    json!({
        "isl": w.isl, "osl": w.osl, "concurrency": concurrency, "rate_per_s": rate,
        "target_ttft_ms": ms(w.targets.ttft), "target_tpot_ms": ms(w.targets.tpot),
        "target_e2e_ms": ms(w.targets.e2e),
    })
}

pub(super) fn subject_json(s: &Subject) -> Map<String, Json> {
    let mut map = Map::new();
    map.insert("model".into(), json!(s.model.id));
    map.insert("recognised".into(), json!(s.model.recognised));
    map.insert("cluster".into(), json!(s.cluster.id));
    map.insert("workload".into(), workload_json(s.workload));
    map
}

/// The answer to a planning question, with what would make it answerable if nothing is feasible.
pub fn answer_json(subject: &Subject, answer: &Answer, advice: &[Advice]) -> Json {
    let ranked = |plans: &[Estimate]| -> Json {
        let rows = plans.iter().zip(1u64..);
        rows.map(|(e, n)| Json::Object(plan_object(&Row { rank: Some(n), estimate: e }))).collect()
    };
    let unranked = |plans: &[Estimate]| -> Json {
        plans.iter().map(|e| Json::Object(plan_object(&Row { rank: None, estimate: e }))).collect()
    };
    let c = &answer.counts;
    let mut map = subject_json(subject);
    map.insert(
        "space".into(),
        json!({
            "plans": c.plans, "illegal": c.illegal, "out_of_memory": c.out_of_memory,
            "target_missed": c.target_missed, "feasible": c.feasible, "stopped": "complete",
        }),
    );
    map.insert("plans".into(), ranked(&answer.best));
    map.insert("pareto".into(), unranked(&answer.pareto));
    map.insert("rejected".into(), answer.rejected.iter().map(rejection_json).collect());
    let changed = |a: &Advice| {
        let plan = plan_object(&Row { rank: None, estimate: &a.best });
        json!({ "change": a.change, "plan": plan })
    };
    map.insert("advice".into(), advice.iter().map(changed).collect());
    map.insert("notes".into(), json!(subject.model.notes));
    Json::Object(map)
}

fn rejection_json(r: &Rejection) -> Json {
    json!({
        "reason": r.reason.name(),
        "count": r.count,
        "nearest_miss": { "plan": describe(&r.nearest), "message": r.reason.message() },
    })
}

/// A plan in a few words.
pub fn describe(plan: &Plan) -> String {
    plan.layout.parallelism.to_string()
}

/// One estimate with its reasons, if it is not feasible.
pub fn estimate_json(subject: &Subject, estimate: &Estimate, reasons: &[Reason]) -> Json {
    let mut map = subject_json(subject);
    map.extend(plan_object(&Row { rank: None, estimate }));
    map.shift_remove("rank");
    map.insert("feasible".into(), json!(reasons.is_empty()));
    let message = |r: &Reason| json!({ "reason": r.name(), "message": r.message() });
    map.insert("reasons".into(), reasons.iter().map(message).collect());
    map.insert("notes".into(), json!(subject.model.notes));
    Json::Object(map)
}
