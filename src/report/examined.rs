//! What became of one layout with each engine and precision: its best plan, or why it has none.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::plan::{Parallelism, Reason};
use crate::search::{Asked, Examined};

use super::cell::Value;
use super::columns::Row;
use super::fit::{memory_json, remedy_json, remedy_text};
use super::json::{plan_object, subject_json};
use super::sheet::Sheet;
use super::subject::Subject;

/// One line per engine and precision.
pub fn examined_text(subject: &Subject, asked: Asked, examined: &[Examined]) -> String {
    let mut out = String::new();
    for e in examined {
        let verdict = match &e.outcome {
            Err(reason) => format!("rejected, {}: {}", reason.name(), reason.message()),
            Ok(best) => format!(
                "feasible: {} replicas, batch {:.0}, {:.0} output tokens/s, TTFT {}, TPOT {}",
                best.replicas,
                best.batch,
                best.output.get(),
                best.service.ttft,
                best.service.tpot
            ),
        };
        let pool = if subject.is_mixed() { format!("{} ", e.gpu) } else { String::new() };
        let _ = writeln!(out, "{pool}{} {} {asked}: {verdict}", e.engine, e.weights);
        if matches!(e.outcome, Err(Reason::OutOfMemory { .. })) {
            let m = &e.memory;
            let _ = writeln!(
                out,
                "  memory of the fullest rank: weights {}, KV cache {}, activations {}, non-torch {}, CUDA graphs {} of {}; {}",
                m.weights,
                m.kv_cache,
                m.activations,
                m.non_torch,
                m.cuda_graphs,
                m.capacity,
                m.verdict().name()
            );
        }
        e.remedies.iter().for_each(|r| out.push_str(&remedy_text(r)));
    }
    out
}

/// The same as JSON, with every figure of the best plans.
pub fn examined_json(subject: &Subject, asked: Asked, examined: &[Examined]) -> Json {
    let one = |e: &Examined| {
        let plan = e.outcome.as_ref().ok().map(|estimate| plan_object(&Row::from(estimate), false));
        let reason = e.outcome.as_ref().err();
        json!({
            "gpu": e.gpu,
            "engine": e.engine,
            "weights": e.weights.name(),
            "max_sequences": e.limits.max_sequences,
            "max_batched_tokens": e.limits.max_batched_tokens,
            "feasible": plan.is_some(),
            "reason": reason.map(|r| r.name()),
            "message": reason.map(|r| r.message()),
            "memory": memory_json(&e.memory),
            "remedies": e.remedies.iter().map(remedy_json).collect::<Vec<_>>(),
            "plan": plan,
        })
    };
    let mut map = subject_json(subject);
    let layout = |split: Parallelism| {
        let Parallelism { tp, pp, ep, attention_dp, dcp } = split;
        json!({ "tp": tp, "pp": pp, "ep": ep, "attention_dp": attention_dp, "dcp": dcp })
    };
    map.insert("layout".into(), layout(asked.split));
    if let Some(prefill) = asked.prefill {
        map.insert("prefill".into(), layout(prefill));
    }
    map.insert("examined".into(), examined.iter().map(one).collect());
    Json::Object(map)
}

/// The same as a sheet.
pub fn examined_sheet(asked: Asked, examined: &[Examined]) -> Sheet {
    let mut sheet = Sheet::new([
        "gpu",
        "engine",
        "weights",
        "max_sequences",
        "max_batched_tokens",
        "layout",
        "feasible",
        "reason",
        "message",
        "replicas",
        "batch",
        "output_tokens_per_s",
        "ttft_ms",
        "tpot_ms",
    ]);
    for e in examined {
        let best = e.outcome.as_ref().ok();
        let reason = e.outcome.as_ref().err();
        let text = |t: Option<String>| t.map_or(Value::Missing, Value::Text);
        let real = |x: Option<f64>| x.map_or(Value::Missing, Value::from);
        sheet.rows.push(vec![
            e.gpu.as_str().into(),
            e.engine.as_str().into(),
            e.weights.name().into(),
            e.limits.max_sequences.into(),
            e.limits.max_batched_tokens.into(),
            Value::Text(asked.to_string()),
            if best.is_some() { "true" } else { "false" }.into(),
            text(reason.map(|r| r.name())),
            text(reason.map(|r| r.message())),
            best.map_or(Value::Missing, |b| b.replicas.into()),
            real(best.map(|b| b.batch)),
            real(best.map(|b| b.output.get())),
            real(best.map(|b| b.service.ttft.as_millis())),
            real(best.map(|b| b.service.tpot.as_millis())),
        ]);
    }
    sheet
}
