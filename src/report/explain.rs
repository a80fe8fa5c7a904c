//! The explanation of an estimate: where each millisecond goes, operator by operator, and what bounds
//! it.

use std::fmt::Write as _;

use itertools::Itertools as _;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::estimate::Basis;
use crate::estimate::estimated::Estimate;
use crate::estimate::explanation::Explanation;
use crate::estimate::measured::TableName;
use crate::estimate::program::Line;
use crate::estimate::service::Service;
use crate::model::operator::{Operator, OperatorKind, Step};
use crate::units::{Seconds, si};

use super::answer::{self, Digits};
use super::cell::Value;
use super::column::{self, Cells, Column, List, Rows};
use super::format::Report;
use super::json::{PlanAnswer, Ranked, SubjectAnswer};
use super::page::Page;
use super::sheet::Sheet;
use super::subject::Subject;

/// The decode step and the prompt step of a plan, operator by operator.
pub fn explanation(subject: &Subject, estimate: &Estimate, e: &Explanation) -> Report {
    let rows = explanation_sheet(e).about(subject.asked());
    Report::new(explanation_page(estimate, e), explanation_json(subject, estimate, e), rows)
}

fn explanation_page(estimate: &Estimate, e: &Explanation) -> Page {
    let m = &estimate.memory;
    let mut out = Page::from(format!(
        "Plan: {} × {} replicas, batch {:.0}\n",
        estimate.parallelism, estimate.replicas, estimate.batch
    ));
    let _ = writeln!(
        out,
        "Memory of the fullest rank: weights {} + KV cache {} + activations {} + non-torch {} + CUDA graphs {} = {} of {}",
        m.weights,
        estimate.cache.0,
        m.activations,
        m.non_torch,
        m.cuda_graphs,
        m.total_with(estimate.cache.0),
        m.capacity
    );
    let _ = writeln!(
        out,
        "KV cache per running request: {}; the cache holds {} tokens",
        m.per_running_request,
        crate::units::group_thousands(estimate.cache.1)
    );
    let _ = writeln!(
        out,
        "One request at full length needs {}; weights and cache may take {} together, uncertain by {}: {}",
        m.request_asked_for(),
        m.for_weights_and_cache,
        m.band,
        estimate.verdict.name()
    );
    // The parts add up in closed form.
    let s = Service { tpot: estimate.in_closed_form().tpot, ..estimate.service };
    let yielded = estimate.speculation.map_or(1.0, |s| s.yielded());
    let of = if yielded > 1.0 { format!(" over {yielded:.2} tokens") } else { String::new() };
    // An answer of one token has no time between tokens.
    let _ = match s.tpot > Seconds::ZERO {
        true => writeln!(
            out,
            "TPOT {} = decode step {}{of} + the prompts of others {}; one prompt adds {}",
            s.tpot,
            s.decode_step,
            (s.tpot - s.decode_step / yielded).max(Seconds::ZERO),
            s.prefill_cost
        ),
        false => writeln!(out, "No token follows another; one prompt takes {}", s.prefill_cost),
    };
    let what = format!(
        "Decode step: {:.0} sequences per rank at a context of {:.0}",
        e.decode_step.decode_sequences, e.decode_step.context
    );
    add_step(&mut out, &what, &e.decode, &e.decode_step);
    let _ = writeln!(out, "between stages {}, host {}", e.hop, e.host);
    if e.hidden > Seconds::ZERO {
        let _ = writeln!(out, "hidden, as half batches overlap: {}", e.hidden);
    }
    let what = format!("Prompt step: {:.0} tokens", e.prefill_step.prefill_tokens);
    add_step(&mut out, &what, &e.prefill, &e.prefill_step);
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

/// A plan explained: each step operator by operator.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Explanation")]
pub(super) struct ExplanationAnswer<'a> {
    #[serde(flatten)]
    subject: SubjectAnswer<'a>,
    /// The plan.
    plan: PlanAnswer<Ranked>,
    /// A step that decodes.
    decode: DecodeStep,
    /// A step of prompts.
    prompt: PromptStep,
    /// Measured tables that times were read from; left out without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measured_tables: Vec<TableAnswer<'a>>,
}

/// A step that decodes, on one rank.
#[derive(Serialize, JsonSchema)]
struct DecodeStep {
    /// Sequences of the rank.
    sequences_per_rank: Digits,
    /// Tokens that each attends to, mean.
    context_tokens: Digits,
    /// Time of all operators.
    operators_us: Digits,
    /// Time that a token waits between pipeline stages.
    between_stages_us: Digits,
    /// Time of the host.
    host_us: Digits,
    /// The operators.
    operators: Vec<Cells<Operators>>,
}

/// A step of prompts, on one rank.
#[derive(Serialize, JsonSchema)]
struct PromptStep {
    /// Tokens of prompts.
    tokens: Digits,
    /// Time of all operators.
    operators_us: Digits,
    /// The operators.
    operators: Vec<Cells<Operators>>,
}

/// A measured table.
#[derive(Serialize, JsonSchema)]
struct TableAnswer<'a> {
    /// The operation that was measured.
    operation: &'a str,
    /// The engine that it was measured with.
    engine: &'a str,
    /// Its version.
    version: &'a str,
}

/// As JSON: the plan, and each step operator by operator.
fn explanation_json(subject: &Subject, estimate: &Estimate, e: &Explanation) -> Json {
    let time = |lines: &[Line]| Digits(lines.iter().map(|l| l.time).sum::<Seconds>().as_micros());
    let operators = |lines: &[Line], step: &Step| rows(lines, step).map(|row| Cells::of(&row)).collect();
    answer::json(&ExplanationAnswer {
        subject: subject.into(),
        plan: estimate.into(),
        decode: DecodeStep {
            sequences_per_rank: Digits(e.decode_step.decode_sequences),
            context_tokens: Digits(e.decode_step.context),
            operators_us: time(&e.decode),
            between_stages_us: Digits(e.hop.as_micros()),
            host_us: Digits(e.host.as_micros()),
            operators: operators(&e.decode, &e.decode_step),
        },
        prompt: PromptStep {
            tokens: Digits(e.prefill_step.prefill_tokens),
            operators_us: time(&e.prefill),
            operators: operators(&e.prefill, &e.prefill_step),
        },
        measured_tables: e
            .tables
            .iter()
            .map(|t| TableAnswer { operation: t.operation, engine: &t.engine, version: &t.version })
            .collect(),
    })
}

/// As one sheet, a row per operator and step.
fn explanation_sheet(e: &Explanation) -> Sheet {
    let step = |name: &'static str, lines: &[Line], step: &Step| {
        let rows: Vec<OperatorRow> = rows(lines, step).collect();
        let mut sheet = column::sheet(OPERATOR_COLUMNS.iter(), &rows);
        sheet.columns.insert(0, "step".to_owned());
        sheet.rows.iter_mut().for_each(|row| row.insert(0, name.into()));
        sheet
    };
    let mut sheet = step("decode", &e.decode, &e.decode_step);
    sheet.rows.extend(step("prompt", &e.prefill, &e.prefill_step).rows);
    sheet
}

/// Adds the operators of a step, under what step it is.
fn add_step(out: &mut Page, what: &str, lines: &[Line], step: &Step) {
    let total: Seconds = lines.iter().map(|l| l.time).sum();
    let rows: Vec<OperatorRow> = rows(lines, step).collect();
    let sheet = column::shown(OPERATOR_COLUMNS.iter(), &rows, |_| false);
    let measured: Seconds = lines.iter().filter(|l| l.basis == Basis::Measured).map(|l| l.time).sum();
    let share = match measured > Seconds::ZERO {
        true => format!(", {:.0} % of it measured", 100.0 * (measured / total)),
        false => String::new(),
    };
    let _ = writeln!(out, "\n{what}: {total} in operators{share}");
    out.table(sheet);
}

/// Operators of a step, as rows.
enum Operators {}

/// An operator as it is executed in a step, and the time of the whole step.
struct OperatorRow<'a> {
    line: &'a Line,
    step: &'a Step,
    total: Seconds,
}

impl Rows for Operators {
    type Row<'a> = OperatorRow<'a>;
}

impl List for Operators {
    type Of = Operators;
    const NAME: &'static str = "Operator";
    fn columns() -> &'static [Column<Operators>] {
        OPERATOR_COLUMNS
    }
}

type C = Column<Operators>;

/// What is said of an operator.
const OPERATOR_COLUMNS: &[C] = &[
    C::shown("operator", "operator", "what is executed", |r| r.line.operator.name.into()).text(),
    C::shown("count", "×", "how often, on one rank", |r| r.line.operator.count.into()).integer().spare(5),
    C::shown("shape", "shape per rank", "its shape on one rank", |r| {
        Value::Text(shape(&r.line.operator, r.step))
    })
    .text()
    .spare(4),
    C::shown("time_us", "time us", "time of all of them", |r| r.line.time.as_micros().into()),
    C::shown("share_percent", "%", "share of the step's time", |r| (100.0 * (r.line.time / r.total)).into())
        .nullable(),
    C::shown("gflop", "GFLOP", "billions of floating-point operations of all of them", |r| {
        let op = &r.line.operator;
        (op.flops(r.step).get() * op.count as f64 / 1e9).into()
    })
    .spare(3),
    C::shown("mb", "MB", "millions of bytes that all of them move", |r| {
        let op = &r.line.operator;
        (op.traffic(r.step).get() * op.count as f64 / 1e6).into()
    })
    .spare(2),
    C::shown("bound", "bound", "what bounds it", |r| r.line.bound.name().into()).text(),
    C::shown("form", "form", "what its time rests on", |r| r.line.basis.name().into()).text().spare(1),
];

fn rows<'a>(lines: &'a [Line], step: &'a Step) -> impl Iterator<Item = OperatorRow<'a>> {
    let total: Seconds = lines.iter().map(|l| l.time).sum();
    lines.iter().map(move |line| OperatorRow { line, step, total })
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
