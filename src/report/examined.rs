//! What became of one layout with each engine and precision: its best plan, or why it has none.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::plan::Reason;
use crate::search::{Asked, Examined};

use super::answer;
use super::cell::Value;
use super::column::Cells;
use super::degrees::Layouts;
use super::fit::{MemoryAnswer, RemedyAnswer, remedy_text};
use super::format::Report;
use super::json::{PlanAnswer, Ranked, SubjectAnswer};
use super::sheet::Sheet;
use super::subject::Subject;

/// What became of one layout, a row for each engine and precision.
pub fn examined(subject: &Subject, asked: Asked, examined: &[Examined]) -> Report {
    let rows = examined_sheet(asked, examined).about(subject.asked());
    Report::new(examined_text(subject, asked, examined), examined_json(subject, asked, examined), rows)
}

fn examined_text(subject: &Subject, asked: Asked, examined: &[Examined]) -> String {
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

/// What became of one layout with each engine and precision.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Examination")]
pub(super) struct ExaminationAnswer<'a> {
    #[serde(flatten)]
    subject: SubjectAnswer<'a>,
    /// The layout of a replica, or of a decode worker.
    layout: Cells<Layouts>,
    /// The layout of a prefill worker; left out where pools are not split.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefill: Option<Cells<Layouts>>,
    /// What became of it, by GPU, engine and precision.
    examined: Vec<ExaminedAnswer<'a>>,
}

/// What became of one layout with one engine and precision.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Examined")]
struct ExaminedAnswer<'a> {
    /// GPU.
    gpu: &'a str,
    /// Engine.
    engine: &'a str,
    /// Format of most weights.
    weights: &'static str,
    /// Most sequences in one batch, as launched.
    max_sequences: u64,
    /// Most tokens in one step, as launched.
    max_batched_tokens: u64,
    /// Whether it can be deployed within the targets.
    feasible: bool,
    /// Key of the reason why not.
    reason: Option<String>,
    /// The reason in a sentence.
    message: Option<String>,
    /// Memory of its fullest rank.
    memory: MemoryAnswer,
    /// What would make it fit, where it does not.
    remedies: Vec<RemedyAnswer<'a>>,
    /// Its best plan; null where it has none.
    plan: Option<PlanAnswer<Ranked>>,
}

impl<'a> From<&'a Examined> for ExaminedAnswer<'a> {
    fn from(e: &'a Examined) -> ExaminedAnswer<'a> {
        let reason = e.outcome.as_ref().err();
        ExaminedAnswer {
            gpu: &e.gpu,
            engine: &e.engine,
            weights: e.weights.name(),
            max_sequences: e.limits.max_sequences,
            max_batched_tokens: e.limits.max_batched_tokens,
            feasible: e.outcome.is_ok(),
            reason: reason.map(Reason::name),
            message: reason.map(Reason::message),
            memory: (&e.memory).into(),
            remedies: e.remedies.iter().map(RemedyAnswer::from).collect(),
            plan: e.outcome.as_ref().ok().map(PlanAnswer::from),
        }
    }
}

/// As JSON, with every figure of the best plans.
fn examined_json(subject: &Subject, asked: Asked, examined: &[Examined]) -> Json {
    answer::json(&ExaminationAnswer {
        subject: subject.into(),
        layout: Cells::of(&asked.split),
        prefill: asked.prefill.map(|split| Cells::of(&split)),
        examined: examined.iter().map(ExaminedAnswer::from).collect(),
    })
}

fn examined_sheet(asked: Asked, examined: &[Examined]) -> Sheet {
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
