//! The explanation of an estimate: where each millisecond goes, operator by operator, and what bounds
//! it.

use std::fmt::Write as _;

use itertools::Itertools as _;
use serde_json::{Value as Json, json};

use crate::estimate::Basis;
use crate::estimate::deployment::{Estimate, Explanation, TableName};
use crate::estimate::program::Line;
use crate::model::operator::{Operator, OperatorKind, Step};
use crate::units::{Seconds, si};

use super::cell::{Value, round};
use super::columns::Row;
use super::json::{plan_object, subject_json};
use super::sheet::Sheet;
use super::subject::Subject;

/// The decode step and the prompt step of a plan.
pub fn explanation(estimate: &Estimate, e: &Explanation, width: Option<u16>) -> String {
    let m = &estimate.memory;
    let mut out = format!(
        "Plan: {} × {} replicas, batch {:.0}\n",
        estimate.parallelism, estimate.replicas, estimate.batch
    );
    let _ = writeln!(
        out,
        "Memory of the fullest rank: weights {} + KV cache {} + activations {} + non-torch {} + CUDA graphs {} = {} of {}",
        m.weights,
        m.kv_cache,
        m.activations,
        m.non_torch,
        m.cuda_graphs,
        m.total(),
        m.capacity
    );
    let _ = writeln!(
        out,
        "KV cache per running request: {}; the cache holds {} tokens",
        m.per_running_request,
        crate::units::group_thousands(m.kv_cache_tokens)
    );
    let _ = writeln!(
        out,
        "One request at full length needs {}; weights and cache may take {} together, uncertain by {}: {}",
        m.per_request,
        m.for_weights_and_cache,
        m.band,
        estimate.verdict.name()
    );
    let s = &estimate.service;
    let _ = writeln!(
        out,
        "TPOT {} = decode step {} + the prompts of others {}; one prompt adds {}",
        s.tpot,
        s.decode_step,
        s.tpot - s.decode_step,
        s.prefill_cost
    );
    let what = format!(
        "Decode step: {:.0} sequences per rank at a context of {:.0}",
        e.decode_step.decode_sequences, e.decode_step.context
    );
    let _ = write!(out, "\n{}", step(&what, &e.decode, &e.decode_step, width));
    let _ = writeln!(out, "between stages {}, host {}", e.hop, e.host);
    if e.hidden > Seconds::ZERO {
        let _ = writeln!(out, "hidden, as half batches overlap: {}", e.hidden);
    }
    let what = format!("Prompt step: {:.0} tokens", e.prefill_step.prefill_tokens);
    let _ = write!(out, "\n{}", step(&what, &e.prefill, &e.prefill_step, width));
    if !e.tables.is_empty() {
        let _ = writeln!(out, "\nMeasured tables: {}", tables(&e.tables, estimate));
    }
    out
}

/// The measured tables by the version that they are of.
fn tables(all: &[TableName], estimate: &Estimate) -> String {
    let of = |t: &TableName| format!("{} {}", t.engine, t.version);
    let versions = all.iter().map(of).unique().map(|version| {
        let operations = all.iter().filter(|t| of(t) == version).map(|t| t.operation).join(", ");
        format!("{version} ({operations})")
    });
    format!(
        "{}; planned with {} {}",
        versions.collect::<Vec<_>>().join("; "),
        estimate.engine,
        estimate.engine_version
    )
}

/// The same as JSON: the plan, and each step operator by operator.
pub fn explanation_json(subject: &Subject, estimate: &Estimate, e: &Explanation) -> Json {
    let operators = |lines: &[Line], step: &Step| -> Json {
        let mut sheet = Sheet::new(FIGURES.map(|(name, _)| name));
        sheet.rows = rows(lines, step);
        sheet.json()
    };
    let time = |lines: &[Line]| round(lines.iter().map(|l| l.time).sum::<Seconds>().as_micros());
    let mut map = subject_json(subject);
    map.insert("plan".into(), Json::Object(plan_object(&Row::from(estimate), false)));
    map.insert(
        "decode".into(),
        json!({
            "sequences_per_rank": round(e.decode_step.decode_sequences),
            "context_tokens": round(e.decode_step.context),
            "operators_us": time(&e.decode),
            "between_stages_us": round(e.hop.as_micros()),
            "host_us": round(e.host.as_micros()),
            "operators": operators(&e.decode, &e.decode_step),
        }),
    );
    map.insert(
        "prompt".into(),
        json!({
            "tokens": round(e.prefill_step.prefill_tokens),
            "operators_us": time(&e.prefill),
            "operators": operators(&e.prefill, &e.prefill_step),
        }),
    );
    if !e.tables.is_empty() {
        let tables = e
            .tables
            .iter()
            .map(|t| json!({ "operation": t.operation, "engine": t.engine, "version": t.version }));
        map.insert("measured_tables".into(), tables.collect());
    }
    Json::Object(map)
}

/// The same as one sheet, a row per operator and step.
pub fn explanation_sheet(e: &Explanation) -> Sheet {
    let mut sheet = Sheet::new(["step"].into_iter().chain(FIGURES.map(|(name, _)| name)));
    for (name, lines, step) in
        [("decode", &e.decode, &e.decode_step), ("prompt", &e.prefill, &e.prefill_step)]
    {
        let named = rows(lines, step).into_iter().map(|row| [name.into()].into_iter().chain(row).collect());
        sheet.rows.extend(named);
    }
    sheet
}

fn step(what: &str, lines: &[Line], step: &Step, width: Option<u16>) -> String {
    let total: Seconds = lines.iter().map(|l| l.time).sum();
    let mut sheet = Sheet::new(FIGURES.map(|(_, heading)| heading));
    sheet.rows = rows(lines, step);
    sheet.spare = vec!["form", "MB", "GFLOP", "shape per rank", "×"];
    let measured: Seconds = lines.iter().filter(|l| l.basis == Basis::Measured).map(|l| l.time).sum();
    let share = match measured > Seconds::ZERO {
        true => format!(", {:.0} % of it measured", 100.0 * (measured / total)),
        false => String::new(),
    };
    format!("{what}: {total} in operators{share}\n{}\n", sheet.table(width))
}

/// What is said of an operator: its name in CSV and JSON, and the heading in tables.
const FIGURES: [(&str, &str); 9] = [
    ("operator", "operator"),
    ("count", "×"),
    ("shape", "shape per rank"),
    ("time_us", "time us"),
    ("share_percent", "%"),
    ("gflop", "GFLOP"),
    ("mb", "MB"),
    ("bound", "bound"),
    ("form", "form"),
];

fn rows(lines: &[Line], step: &Step) -> Vec<Vec<Value>> {
    let total: Seconds = lines.iter().map(|l| l.time).sum();
    let row = |line: &Line| {
        let op = &line.operator;
        let count = op.count as f64;
        vec![
            op.name.into(),
            op.count.into(),
            Value::Text(shape(op, step)),
            line.time.as_micros().into(),
            (100.0 * (line.time / total)).into(),
            (op.flops(step).get() * count / 1e9).into(),
            (op.traffic(step).get() * count / 1e6).into(),
            line.bound.name().into(),
            line.basis.name().into(),
        ]
    };
    lines.iter().map(row).collect()
}

/// The shape of an operator on one rank, as people write it.
fn shape(op: &Operator, step: &Step) -> String {
    match &op.kind {
        OperatorKind::Gemm { rows, n, k, format } => {
            format!("{:.0}×{k} by {k}×{n} {format}", rows.count(step))
        }
        OperatorKind::BatchedGemm { rows, batch, n, k } => {
            format!("{batch} × ({:.0}×{k} by {k}×{n})", rows.count(step))
        }
        OperatorKind::GroupedGemm(e) => {
            let local = e.local_experts();
            format!("{local:.0} experts, top {}, {}×{} {}", e.top_k, e.hidden, e.inner, e.format)
        }
        OperatorKind::PrefillAttention(a) | OperatorKind::DecodeAttention(a) => {
            let window = a.window.map_or(String::new(), |w| format!(", window {w}"));
            format!("{} q / {} kv heads of {}, {} cache{window}", a.heads, a.kv_heads, a.head_dim, a.kv)
        }
        OperatorKind::LatentPrefill(l) | OperatorKind::LatentDecode(l) => {
            format!("{} heads, latent {}+{}, {} cache", l.heads, l.kv_rank, l.rope_dim, l.kv)
        }
        OperatorKind::Scan(s) => format!("state of {} elements", si(s.state as f64)),
        OperatorKind::Elementwise { bytes_per_row, kernels, .. } => {
            format!("{kernels} kernels, {} B/row", si(*bytes_per_row as f64))
        }
        OperatorKind::Embedding { row_bytes } => format!("rows of {} B", si(*row_bytes as f64)),
        OperatorKind::Sampling { vocabulary } => format!("vocabulary {}", si(*vocabulary as f64)),
        OperatorKind::Collective { kind, bytes_per_row, .. } => {
            format!("{} of {} B/row", kind.name(), si(*bytes_per_row as f64))
        }
    }
}
