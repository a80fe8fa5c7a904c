//! Answers and estimates as JSON: names and shape are fixed, scripts lean on them.

use serde_json::{Map, Value as Json, json};

use crate::estimate::deployment::Estimate;
use crate::plan::{Plan, Reason, Rejection};
use crate::search::{Advice, Answer, Combined, CurrentAnswer, WhatIf};

use super::answer::{self, ANSWER_VERSION, WorkloadAnswer};
use super::cell::round;
use super::column::object;
use super::columns::{Row, columns};
use super::fit::{Fit, remedy_json, room_json};
use super::keeping::tiers_json;
use super::subject::Subject;

/// One plan with every column, memory in an object of its own.
pub(super) fn plan_object(row: &Row, compared: bool) -> Map<String, Json> {
    let mut map = object(columns(compared), row);
    if let Some(tiers) = tiers_json(row.estimate) {
        map.insert("tiers".into(), tiers);
    }
    map
}

pub(super) fn subject_json(s: &Subject) -> Map<String, Json> {
    let mut map = Map::new();
    map.insert("schema_version".into(), json!(ANSWER_VERSION));
    map.insert("model".into(), json!(s.model.id));
    map.insert("recognised".into(), json!(s.model.recognised));
    map.insert("cluster".into(), json!(s.cluster));
    map.insert("workload".into(), answer::json(&WorkloadAnswer::of(s.workload, &s.targets)));
    map
}

/// The answer to a planning question, with what would make it answerable if nothing is feasible.
pub fn answer_json(
    subject: &Subject,
    answer: &Answer,
    advice: &[Advice],
    moved: &[(WhatIf, Option<Estimate>)],
) -> Json {
    let compared = answer.current.is_some();
    let row = |rank: Option<u64>, estimate: &Estimate| {
        let row = Row { rank, estimate, current: answer.reference() };
        Json::Object(plan_object(&row, compared))
    };
    let ranked =
        |plans: &[Estimate]| -> Json { plans.iter().zip(1..).map(|(e, n)| row(Some(n), e)).collect() };
    let unranked = |plans: &[Estimate]| -> Json { plans.iter().map(|e| row(None, e)).collect() };
    let c = &answer.counts;
    let mut map = subject_json(subject);
    map.insert(
        "space".into(),
        json!({
            "plans": c.plans, "illegal": c.illegal, "out_of_memory": c.out_of_memory,
            "target_missed": c.target_missed, "feasible": c.feasible, "dominated": c.dominated,
            "unseen": c.unseen, "stopped": answer.stopped.name(),
        }),
    );
    if let Some(current) = &answer.current {
        map.insert("current".into(), current_json(current));
    }
    if !answer.named.is_empty() {
        let named = answer.named.iter().map(|named| {
            let mut plan = plan_object(&Row::from(&named.estimate), false);
            plan.shift_remove("rank");
            plan.shift_insert(0, "meaning".into(), json!(named.best.meaning(subject.workload.purpose)));
            (named.best.key().to_owned(), Json::Object(plan))
        });
        map.insert("named".into(), Json::Object(named.collect()));
    }
    map.insert("plans".into(), ranked(&answer.best));
    let servers = subject.servers(&answer.best);
    if !servers.is_empty() {
        let named = servers.iter().map(|(gpu, server)| ((*gpu).to_owned(), json!(server)));
        map.insert("servers".into(), Json::Object(named.collect()));
    }
    if let Some(next) = answer.calibrated_runner_up() {
        map.insert("calibrated_runner_up".into(), row(None, next));
    }
    map.insert("pareto".into(), unranked(&answer.pareto));
    map.insert("rejected".into(), answer.rejected.iter().map(|r| rejection_json(subject, r)).collect());
    map.insert("combined".into(), answer.combined.as_ref().map_or(Json::Null, combined_json));
    map.insert("mixed_replicas".into(), answer.mixed.as_ref().map_or(Json::Null, combined_json));
    let changed = |a: &Advice| {
        let plan = plan_object(&Row::from(&a.best), false);
        json!({ "change": a.change, "plan": plan })
    };
    map.insert("advice".into(), advice.iter().map(changed).collect());
    let moved = moved.iter().map(|(change, best)| {
        let plan = best.as_ref().map(|e| plan_object(&Row::from(e), false));
        json!({ "change": change.knob.name(), "percent": round(change.percent), "plan": plan })
    });
    map.insert("what_if".into(), moved.collect());
    map.insert("notes".into(), json!(subject.notes()));
    Json::Object(map)
}

/// What runs today, with the reasons why the search would not propose it.
fn current_json(current: &CurrentAnswer) -> Json {
    let plan = current.estimate.as_ref().map(|e| plan_object(&Row::from(e), false));
    json!({
        "feasible": current.reasons.is_empty(),
        "reasons": current.reasons.iter().map(reason_json).collect::<Json>(),
        "plan": plan,
    })
}

fn reason_json(reason: &Reason) -> Json {
    json!({ "reason": reason.name(), "message": reason.message() })
}

fn rejection_json(subject: &Subject, r: &Rejection) -> Json {
    json!({
        "reason": r.reason.name(),
        "count": r.count,
        "nearest_miss": {
            "gpu": subject.gpu(&r.nearest).map(|gpu| gpu.id.as_str()),
            "plan": describe(&r.nearest),
            "message": r.reason.message(),
        },
    })
}

/// What several pools deliver together.
fn combined_json(c: &Combined) -> Json {
    let plan = |e: &Estimate| {
        let mut plan = plan_object(&Row::from(e), false);
        plan.shift_remove("rank");
        Json::Object(plan)
    };
    json!({
        "gpus": c.gpus,
        "idle_gpus": c.idle_gpus,
        "requests_per_s": round(c.requests.get()),
        "output_tokens_per_s": round(c.output.get()),
        "cost_usd_per_mtok_output": c.cost_output.map_or(Json::Null, |cost| round(cost.get())),
        "serves_rate": c.serves_rate,
        "plans": c.plans.iter().map(plan).collect::<Vec<_>>(),
    })
}

/// A plan in a few words.
pub fn describe(plan: &Plan) -> String {
    match &plan.prefill {
        None => plan.layout.parallelism.to_string(),
        Some(prefill) => format!("prefill {}, decode {}", prefill.parallelism, plan.layout.parallelism),
    }
}

/// One estimate with its reasons, if it is not feasible.
pub fn estimate_json(subject: &Subject, estimate: &Estimate, reasons: &[Reason], fit: &Fit) -> Json {
    let mut map = subject_json(subject);
    map.extend(plan_object(&Row::from(estimate), false));
    map.shift_remove("rank");
    map.insert("feasible".into(), json!(reasons.is_empty()));
    map.insert("reasons".into(), reasons.iter().map(reason_json).collect());
    map.insert("room".into(), room_json(estimate, fit));
    map.insert("remedies".into(), fit.remedies.iter().map(remedy_json).collect());
    map.insert("notes".into(), json!(subject.notes()));
    Json::Object(map)
}
