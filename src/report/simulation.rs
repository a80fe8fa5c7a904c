//! What a simulation measured: percentiles, throughput, goodput, and how the queue went.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::catalog::{Cluster, Engine};
use crate::diagnostic::Diagnostic;
use crate::model::Model;
use crate::plan::{Parallelism, Reason};
use crate::simulate::{Interval, Outcome, Spread, Timeline};
use crate::units::{group_thousands, plural};
use crate::workload::{Targets, Workload};

use super::cell::round;
use super::columns::Value;
use super::draw::wrap;
use super::format::Format;
use super::json::workload_json;
use super::sheet::Sheet;
use super::subject::asked;
use super::table::{speculation, targets};

/// What was simulated.
#[derive(Clone, Copy, Debug)]
pub struct SimulationSubject<'a> {
    /// The model.
    pub model: &'a Model,
    /// Where it ran.
    pub cluster: &'a Cluster,
    /// The engine.
    pub engine: &'a Engine,
    /// The split.
    pub parallelism: Parallelism,
    /// Replicas.
    pub replicas: u64,
    /// Mean lengths, load, targets.
    pub workload: &'a Workload,
    /// What drove it, in words.
    pub drive: &'a str,
    /// Split of the prefill workers and how many there are, where the replicas decode alone.
    pub prefill: Option<(Parallelism, u32)>,
}

impl SimulationSubject<'_> {
    fn gpus(&self) -> f64 {
        let prefill = self.prefill.map_or(0, |(split, n)| split.gpus() * u64::from(n));
        (self.parallelism.gpus() * self.replicas + prefill) as f64
    }
}

/// Percentiles that are reported.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];

/// The times that are reported, by name.
fn times(o: &Outcome) -> [(&'static str, &Spread); 4] {
    [("ttft_ms", &o.ttft), ("tpot_ms", &o.tpot), ("itl_ms", &o.itl), ("e2e_ms", &o.e2e)]
}

/// A deployment that cannot run, in any format.
///
/// # Errors
/// Never in practice: writing to memory.
pub fn no_simulation(
    reason: &Reason,
    place: &str,
    format: Format,
    width: Option<u16>,
) -> Result<String, Diagnostic> {
    let mut sheet = Sheet::new(["reason", "message"]);
    sheet.rows.push(vec![Value::Text(reason.name()), Value::Text(reason.message())]);
    format.write(
        width,
        || Ok(wrap(&format!("{place} cannot run, {}: {}", reason.name(), reason.message()), width)),
        || Ok(json!({ "feasible": false, "reason": reason.name(), "message": reason.message() })),
        || Ok(sheet),
    )
}

/// A simulation in any format.
///
/// # Errors
/// Never in practice: writing to memory.
pub fn simulation(
    subject: &SimulationSubject,
    outcome: &Outcome,
    timeline: &Timeline,
    format: Format,
    width: Option<u16>,
) -> Result<String, Diagnostic> {
    format.write(
        width,
        || Ok(text(subject, outcome, timeline, width)),
        || Ok(object(subject, outcome)),
        || Ok(percentiles(outcome).about(asked(&subject.model.id, &subject.cluster.id, subject.workload))),
    )
}

fn percentiles(outcome: &Outcome) -> Sheet {
    let mut sheet = Sheet::new(["metric", "mean"].into_iter().chain(QUANTILES.map(|(name, _)| name)));
    for (name, spread) in times(outcome) {
        let mut row = vec![name.into(), spread.mean().as_millis().into()];
        row.extend(QUANTILES.map(|(_, share)| Value::from(spread.quantile(share).as_millis())));
        sheet.rows.push(row);
    }
    sheet
}

fn text(s: &SimulationSubject, o: &Outcome, timeline: &Timeline, width: Option<u16>) -> String {
    let split =
        s.prefill.map(|(split, n)| format!("prefill {split} × {}; decode ", plural(n.into(), "replica")));
    let (prefill, replicas) = (split.unwrap_or_default(), plural(s.replicas, "replica"));
    let mut out = format!(
        "{} on {}: {prefill}{} × {replicas}, {}\n",
        s.model.id,
        s.cluster.id,
        s.parallelism,
        s.engine.label()
    );
    let _ = writeln!(
        out,
        "{}{}{}; {} requests count",
        s.drive,
        targets(s.workload),
        speculation(s.workload),
        group_thousands(o.requests)
    );
    let _ = writeln!(out, "\n{}", percentiles(o).table(width));
    let _ = writeln!(
        out,
        "\noutput {:.1} tok/s, {:.1} per GPU; {:.3} req/s over {:.1} s",
        o.output().get(),
        o.output().get() / s.gpus(),
        o.rate().get(),
        o.duration.get()
    );
    if s.workload.targets != Targets::default() && o.requests > 0 {
        let share = 100.0 * o.good_requests as f64 / o.requests as f64;
        let _ = writeln!(
            out,
            "goodput {:.3} req/s: {share:.1} % of requests meet every target",
            o.goodput().get()
        );
    }
    if o.preemptions > 0 {
        let times = plural(o.preemptions, "time");
        let _ = writeln!(out, "the KV cache ran out {times}: a sequence lost its own and was computed again");
    }
    if s.prefill.is_none() {
        let _ = write!(out, "\n{}", chart(&timeline.intervals()));
    }
    if let Some(caveat) = s.engine.caveat() {
        let _ = writeln!(out, "\n{caveat}.");
    }
    out
}

/// Columns of a chart.
const CHART_WIDTH: usize = 60;

/// One line per quantity, its height in eighths of the largest.
fn chart(intervals: &[Interval]) -> String {
    let mut out = String::new();
    type Pick = fn(&Interval) -> f64;
    let lines: [(&str, Pick, f64, &str); 3] = [
        ("running", |i| i.running, 1.0, ""),
        ("waiting", |i| i.waiting, 1.0, ""),
        ("KV cache", |i| i.cache, 100.0, " %"),
    ];
    let step = intervals.len().div_ceil(CHART_WIDTH).max(1);
    for (name, pick, scale, unit) in lines {
        let means: Vec<f64> =
            intervals.chunks(step).map(|c| c.iter().map(pick).sum::<f64>() / c.len() as f64).collect();
        let most = means.iter().copied().fold(0.0, f64::max);
        let blocks = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let height =
            |x: f64| if most > 0.0 { blocks[((x / most * 8.0).round() as usize).min(8)] } else { ' ' };
        let line: String = means.iter().map(|x| height(*x)).collect();
        let _ = writeln!(out, "{name:>8} {line}  up to {:.1}{unit}", most * scale);
    }
    out
}

/// The timeline, row by row.
pub fn timeline_sheet(timeline: &Timeline) -> Sheet {
    let mut sheet = Sheet::new(["start_s", "running", "waiting", "kv_cache_percent", "answered"]);
    for i in timeline.intervals() {
        sheet.rows.push(vec![
            i.start.get().into(),
            i.running.into(),
            i.waiting.into(),
            (i.cache * 100.0).into(),
            i.answered.into(),
        ]);
    }
    sheet
}

fn object(s: &SimulationSubject, o: &Outcome) -> Json {
    let mut map = serde_json::Map::new();
    map.insert("model".into(), json!(s.model.id));
    map.insert("cluster".into(), json!(s.cluster.id));
    map.insert("engine".into(), json!(s.engine.label()));
    map.insert("tp".into(), json!(s.parallelism.tp));
    map.insert("pp".into(), json!(s.parallelism.pp));
    map.insert("ep".into(), json!(s.parallelism.ep));
    map.insert("attention_dp".into(), json!(s.parallelism.attention_dp));
    map.insert("dcp".into(), json!(s.parallelism.dcp));
    map.insert("replicas".into(), json!(s.replicas));
    map.insert("gpus".into(), json!(s.gpus() as u64));
    map.insert("drive".into(), json!(s.drive));
    map.insert("workload".into(), workload_json(s.workload));
    for (name, spread) in times(o) {
        let mut inner = serde_json::Map::new();
        inner.insert("mean".into(), round(spread.mean().as_millis()));
        for (quantile, share) in QUANTILES {
            inner.insert(quantile.into(), round(spread.quantile(share).as_millis()));
        }
        map.insert(name.into(), Json::Object(inner));
    }
    map.insert("requests".into(), json!(o.requests));
    map.insert("good_requests".into(), json!(o.good_requests));
    map.insert("preemptions".into(), json!(o.preemptions));
    map.insert("requests_per_s".into(), round(o.rate().get()));
    map.insert("goodput_requests_per_s".into(), round(o.goodput().get()));
    map.insert("output_tokens_per_s".into(), round(o.output().get()));
    map.insert("output_tokens_per_s_per_gpu".into(), round(o.output().get() / s.gpus()));
    map.insert("prompt_tokens".into(), json!(o.prompt_tokens));
    map.insert("output_tokens".into(), json!(o.output_tokens));
    map.insert("duration_s".into(), round(o.duration.get()));
    map.insert("notes".into(), s.model.notes.iter().cloned().chain(s.engine.caveat()).collect());
    Json::Object(map)
}
