//! What a simulation measured: percentiles, throughput, goodput, and how the queue went.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::catalog::{Cluster, Engine};
use crate::model::Model;
use crate::plan::{Parallelism, Reason};
use crate::simulate::{Interval, Mean, Outcome, Spread, Timeline};
use crate::units::{group_thousands, plural};
use crate::workload::{Load, Purpose, Targets, Workload};

use super::answer::{ANSWER_VERSION, Digits, WorkloadAnswer, json, kind, schema};
use super::cell::Value;
use super::column::Cells;
use super::degrees::Layouts;
use super::format::Report;
use super::page::Page;
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
    /// Mean lengths and load.
    pub workload: &'a Workload,
    /// What each request is to keep.
    pub targets: Targets,
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

/// A deployment that cannot run, and why.
pub fn no_simulation(reason: &Reason, place: &str) -> Report {
    let (reason, message) = (reason.name(), reason.message());
    let mut sheet = Sheet::new(["reason", "message"]);
    sheet.rows.push(vec![Value::Text(reason.clone()), Value::Text(message.clone())]);
    let page = format!("{place} cannot run, {reason}: {message}");
    let answer = NoSimulation { schema_version: ANSWER_VERSION, feasible: false, reason, message };
    Report::new(page, json(&answer), sheet)
}

/// What a simulation measured; its rows are percentiles.
pub fn simulation(subject: &SimulationSubject, outcome: &Outcome, timeline: &Timeline) -> Report {
    let of = (subject.model.id.as_str(), subject.cluster.id.as_str());
    let rows = percentiles(outcome, subject.workload.purpose);
    let rows = rows.about(asked(of, subject.workload, &subject.targets));
    Report::new(page(subject, outcome, timeline), object(subject, outcome), rows)
}

/// That requests come faster than they are answered, if they do.
fn overloaded(s: &SimulationSubject, o: &Outcome) -> Option<String> {
    let Load::Rate(asked) = s.workload.load else { return None };
    let share = 100.0 * o.rate().get() / o.offered()?.get();
    o.overloaded().then(|| {
        format!(
            "overloaded: {share:.1} % of {} req/s are answered as they come; the queue grows for as long as the \
             load lasts, and so do the times below",
            asked.get()
        )
    })
}

fn percentiles(outcome: &Outcome, purpose: Purpose) -> Sheet {
    let mut sheet = Sheet::new(["metric", "mean"].into_iter().chain(QUANTILES.map(|(name, _)| name)));
    // An answer that is made of its input alone has one time.
    for (name, spread) in times(outcome).into_iter().filter(|(name, _)| !purpose.pools() || *name == "e2e_ms")
    {
        let mut row = vec![name.into(), spread.mean().as_millis().into()];
        row.extend(QUANTILES.map(|(_, share)| Value::from(spread.quantile(share).as_millis())));
        sheet.rows.push(row);
    }
    sheet
}

fn page(s: &SimulationSubject, o: &Outcome, timeline: &Timeline) -> Page {
    let split =
        s.prefill.map(|(split, n)| format!("prefill {split} × {}; decode ", plural(n.into(), "replica")));
    let (prefill, replicas) = (split.unwrap_or_default(), plural(s.replicas, "replica"));
    let mut out = Page::from(overloaded(s, o).map_or(String::new(), |said| said + "\n"));
    let _ = writeln!(
        out,
        "{} on {}: {prefill}{} × {replicas}, {}",
        s.model.id,
        s.cluster.id,
        s.parallelism,
        s.engine.label()
    );
    let _ = writeln!(
        out,
        "{}{}{}; {} requests count",
        s.drive,
        targets(&s.targets),
        speculation(s.workload),
        group_thousands(o.requests)
    );
    out.push_str("\n");
    out.table(percentiles(o, s.workload.purpose));
    let _ = match s.workload.purpose.pools() {
        true => writeln!(
            out,
            "\n{:.1} req/s, {:.1} per GPU; {} input tokens/s over {:.1} s",
            o.rate().get(),
            o.rate().get() / s.gpus(),
            group_thousands((o.prompt_tokens as f64 / o.duration.get()).round() as u64),
            o.duration.get()
        ),
        false => writeln!(
            out,
            "\noutput {:.1} tok/s, {:.1} per GPU; {:.3} req/s over {:.1} s",
            o.output().get(),
            o.output().get() / s.gpus(),
            o.rate().get(),
            o.duration.get()
        ),
    };
    if s.targets != Targets::default() && o.requests > 0 {
        let share = 100.0 * o.good_requests as f64 / o.requests as f64;
        let _ = writeln!(
            out,
            "goodput {:.3} req/s: {share:.1} % of requests meet every target",
            o.goodput().get()
        );
    }
    if s.workload.sessions.is_some() || o.reused_tokens > 0 {
        let loaded = match o.loaded_tokens {
            0 => String::new(),
            n => format!("; {} tokens were loaded from tiers", group_thousands(n)),
        };
        let _ = writeln!(out, "prefix hits: {:.1} % of the prompt tokens{loaded}", 100.0 * o.prefix_hit());
    }
    if o.rises() && overloaded(s, o).is_none() {
        let [first, second] = o.halves.map(Mean::of);
        let _ = writeln!(
            out,
            "not settled: the first half of the requests waited {first} for the first token and the second {second}; \
             the load is close to all that the server can do, or varies: a longer run (--requests) has other times"
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

/// What a simulation came to, as JSON holds it.
#[derive(Serialize, JsonSchema)]
struct SimulationAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Model.
    model: &'a str,
    /// Cluster.
    cluster: &'a str,
    /// Engine, with how it is launched.
    engine: String,
    /// With split pools, of the decode workers.
    #[serde(flatten)]
    layout: Cells<Layouts>,
    /// Replicas.
    replicas: u64,
    /// GPUs used.
    gpus: u64,
    /// What drove it, in words.
    drive: &'a str,
    /// Lengths, load and targets.
    workload: WorkloadAnswer,
    /// Whether requests came faster than they were answered: times then grow for as long as the load lasts.
    overloaded: bool,
    /// Time to first token; none where answers are made of their inputs alone.
    ttft_ms: Option<Percentiles>,
    /// Mean gap between the tokens of a request.
    tpot_ms: Option<Percentiles>,
    /// Gap between two tokens, every one of them.
    itl_ms: Option<Percentiles>,
    /// Request to last token.
    e2e_ms: Percentiles,
    /// Requests that count.
    requests: u64,
    /// Those that met every target.
    good_requests: u64,
    /// Times that a sequence lost its cache to others and had to be computed again.
    preemptions: u64,
    /// Requests per second.
    requests_per_s: Digits,
    /// Requests per second that met every target.
    goodput_requests_per_s: Digits,
    /// Output tokens per second; none where answers are made of their inputs alone.
    output_tokens_per_s: Option<Digits>,
    /// Output tokens per second of one GPU used.
    output_tokens_per_s_per_gpu: Option<Digits>,
    /// Prompt tokens of the requests that count.
    prompt_tokens: u64,
    /// Share of them that was in the prefix cache and not computed.
    prefix_hit: Digits,
    /// Prompt tokens that were loaded from tiers below the GPUs' cache, of all requests.
    loaded_tokens: u64,
    /// Output tokens of the requests that count.
    output_tokens: u64,
    /// The time that rates are taken over, in seconds.
    duration_s: Digits,
    /// What to know of the model and the engine.
    notes: Vec<String>,
}

/// A time over the requests that count, in milliseconds.
#[derive(Serialize, JsonSchema)]
struct Percentiles {
    /// Mean.
    mean: Digits,
    /// What half of the requests do not exceed.
    p50: Digits,
    /// What 90 of 100 do not exceed.
    p90: Digits,
    /// What 95 of 100 do not exceed.
    p95: Digits,
    /// What 99 of 100 do not exceed.
    p99: Digits,
}

impl From<&Spread> for Percentiles {
    fn from(spread: &Spread) -> Percentiles {
        let at = |share| Digits(spread.quantile(share).as_millis());
        Percentiles {
            mean: Digits(spread.mean().as_millis()),
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

/// A deployment that cannot run, as JSON holds it.
#[derive(Serialize, JsonSchema)]
struct NoSimulation {
    /// Version of the form of answers.
    schema_version: u64,
    /// Never.
    feasible: bool,
    /// Key of the reason.
    reason: String,
    /// The reason in a sentence.
    message: String,
}

/// The JSON Schema of what `simulate` answers.
pub(super) fn simulation_schema() -> Json {
    schema("SimulateAnswer", &[kind::<SimulationAnswer>, kind::<NoSimulation>])
}

fn object(s: &SimulationSubject, o: &Outcome) -> Json {
    let decodes = !s.workload.purpose.pools();
    json(&SimulationAnswer {
        schema_version: ANSWER_VERSION,
        model: &s.model.id,
        cluster: &s.cluster.id,
        engine: s.engine.label(),
        layout: Cells::of(&s.parallelism),
        replicas: s.replicas,
        gpus: s.gpus() as u64,
        drive: s.drive,
        workload: WorkloadAnswer::of(s.workload, &s.targets),
        overloaded: o.overloaded(),
        ttft_ms: decodes.then(|| (&o.ttft).into()),
        tpot_ms: decodes.then(|| (&o.tpot).into()),
        itl_ms: decodes.then(|| (&o.itl).into()),
        e2e_ms: (&o.e2e).into(),
        requests: o.requests,
        good_requests: o.good_requests,
        preemptions: o.preemptions,
        requests_per_s: Digits(o.rate().get()),
        goodput_requests_per_s: Digits(o.goodput().get()),
        output_tokens_per_s: decodes.then(|| Digits(o.output().get())),
        output_tokens_per_s_per_gpu: decodes.then(|| Digits(o.output().get() / s.gpus())),
        prompt_tokens: o.prompt_tokens,
        prefix_hit: Digits(o.prefix_hit()),
        loaded_tokens: o.loaded_tokens,
        output_tokens: if decodes { o.output_tokens } else { 0 },
        duration_s: Digits(o.duration.get()),
        notes: s.model.notes.iter().cloned().chain(s.engine.caveat()).collect(),
    })
}
