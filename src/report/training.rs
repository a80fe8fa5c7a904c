//! Training plans: ranking, ledger, one plan explained.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use crate::train::{Convention, Job, Memory, Operations, Run, TrainingAnswer, TrainingEstimate};
use crate::units::{UsdPerHour, group_thousands, plural};

use super::cell::{round, to_json};
use super::columns::Value;
use super::sheet::Sheet;

/// What an answer is about.
#[derive(Clone, Copy, Debug)]
pub struct Trained<'a> {
    /// The job, in its first precision.
    pub job: &'a Job<'a>,
    /// What was found.
    pub answer: &'a TrainingAnswer,
    /// How the run is operated.
    pub operations: &'a Operations,
    /// What a GPU costs.
    pub price: Option<UsdPerHour>,
    /// What MFU counts.
    pub convention: Convention,
}

/// One row: a plan, what it means, and its run.
struct Row<'a> {
    rank: u64,
    estimate: &'a TrainingEstimate,
    run: Run,
    convention: Convention,
}

struct Column {
    name: &'static str,
    heading: &'static str,
    /// Whether a table of a usual width shows it.
    shown: bool,
    of: fn(&Row) -> Value,
}

const fn column(name: &'static str, heading: &'static str, shown: bool, of: fn(&Row) -> Value) -> Column {
    Column { name, heading, shown, of }
}

const GIB: f64 = 1_073_741_824.0;

/// Every column.
const COLUMNS: &[Column] = &[
    column("rank", "#", true, |r| r.rank.into()),
    column("tp", "TP", true, |r| r.estimate.plan.split.tp.into()),
    column("pp", "PP", true, |r| r.estimate.plan.split.pp.into()),
    column("cp", "CP", true, |r| r.estimate.plan.split.cp.into()),
    column("dp", "DP", true, |r| r.estimate.plan.split.dp.into()),
    column("ep", "EP", true, |r| r.estimate.plan.split.ep.into()),
    column("expert_tp", "ETP", false, |r| r.estimate.plan.split.expert_tp.into()),
    column("micro_batch", "MBS", true, |r| r.estimate.plan.micro_batch.into()),
    column("chunks", "VP", true, |r| r.estimate.plan.chunks.into()),
    column("microbatches", "microbatches", false, |r| r.estimate.microbatches.into()),
    column("schedule", "schedule", false, |r| r.estimate.plan.schedule.name().into()),
    column("sharding", "sharding", true, |r| r.estimate.plan.sharding.name().into()),
    column("recompute", "recompute", true, |r| r.estimate.plan.recompute.name().into()),
    column("transfers", "transfers", false, |r| r.estimate.plan.transfers.name().into()),
    column("offload_weights", "weights off", false, |r| yes(r.estimate.plan.offload.weights)),
    column("offload_optimizer", "optimizer off", false, |r| yes(r.estimate.plan.offload.optimizer)),
    column("offload_activations", "activations off", false, |r| yes(r.estimate.plan.offload.activations)),
    column("precision", "precision", true, |r| r.estimate.plan.precision.name().into()),
    column("step_s", "step s", true, |r| r.estimate.time.total.into()),
    column("tokens_per_s_per_gpu", "tok/s/GPU", true, |r| r.estimate.tokens_per_gpu().get().into()),
    column("tflops_per_gpu", "TFLOP/s/GPU", false, |r| (r.estimate.rate(r.convention).get() / 1e12).into()),
    column("mfu_percent", "MFU %", true, |r| (100.0 * r.estimate.mfu(r.convention)).into()),
    column("hfu_percent", "HFU %", false, |r| (100.0 * r.estimate.hfu(r.convention)).into()),
    column("bubble_percent", "bubble %", true, |r| (100.0 * r.estimate.bubble()).into()),
    column("exposed_percent", "exposed %", true, |r| {
        (100.0 * r.estimate.time.exposed() / r.estimate.time.total).into()
    }),
    column("peak_memory_gib", "GiB", true, |r| (r.estimate.fullest().total().as_gib()).into()),
    column("checkpoint_gib", "checkpoint GiB", false, |r| r.run.checkpoint.as_gib().into()),
    column("checkpoint_write_s", "write s", false, |r| r.run.write.get().into()),
    column("goodput_percent", "goodput %", true, |r| (100.0 * r.run.goodput).into()),
    column("days", "days", true, |r| missing(r.run.duration.map(|t| t.get() / 86_400.0))),
    column("cost_usd", "$", true, |r| missing(r.run.cost.map(|c| c.get()))),
];

fn missing(x: Option<f64>) -> Value {
    x.map_or(Value::Missing, Value::from)
}

fn yes(x: bool) -> Value {
    Value::Text(if x { "yes" } else { "no" }.to_owned())
}

impl Trained<'_> {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.answer.best.iter().zip(1..).map(|(estimate, rank)| Row {
            rank,
            estimate,
            run: Run::of(self.job, estimate, self.operations, self.price),
            convention: self.convention,
        })
    }

    /// Every column of every plan.
    pub fn sheet(&self) -> Sheet {
        let mut sheet = Sheet::new(COLUMNS.iter().map(|c| c.name));
        sheet.rows = self.rows().map(|row| COLUMNS.iter().map(|c| (c.of)(&row)).collect()).collect();
        let job = self.job;
        sheet.about(vec![
            ("model", job.model.id.as_str().into()),
            ("cluster", job.machine.cluster.id.as_str().into()),
            ("framework", job.machine.framework.id.as_str().into()),
            ("global_batch", job.global_batch.into()),
            ("sequence", job.sequence.into()),
            ("optimizer", job.optimizer.name().into()),
            ("tuning", job.tuning.name().into()),
        ])
    }

    /// The columns that a terminal shows, those without a value left out.
    fn shown(&self) -> Sheet {
        let rows: Vec<Row> = self.rows().collect();
        let says = |c: &&Column| {
            c.shown && rows.iter().any(|r| (c.of)(r) != Value::Missing && (c.of)(r) != Value::Integer(1))
                || c.name == "rank"
        };
        let columns: Vec<&Column> = COLUMNS.iter().filter(says).collect();
        let mut sheet = Sheet::new(columns.iter().map(|c| c.heading));
        sheet.rows = rows.iter().map(|r| columns.iter().map(|c| (c.of)(r)).collect()).collect();
        sheet.spare = vec!["goodput %", "exposed %", "bubble %", "sharding"];
        sheet
    }

    /// For the terminal.
    pub fn text(&self, width: Option<u16>) -> String {
        let (job, counts) = (self.job, &self.answer.counts);
        let cluster = &job.machine.cluster;
        let mut out = format!(
            "{}\n{} × {}, {}; global batch {}, {} tokens each; {} with {}, {}\n\n",
            job.model.id,
            group_thousands(cluster.gpus.into()),
            cluster.gpu.name,
            job.machine.framework.name,
            group_thousands(job.global_batch),
            group_thousands(job.sequence),
            if self.operations.tokens.is_some() { "run" } else { "step" },
            job.optimizer.name(),
            job.tuning.name(),
        );
        let _ = writeln!(
            out,
            "{}: {} illegal, {} out of memory, {} feasible",
            plural(counts.plans, "plan"),
            group_thousands(counts.illegal),
            group_thousands(counts.out_of_memory),
            group_thousands(counts.feasible)
        );
        if self.answer.best.is_empty() {
            out.push_str("\nNothing is feasible.\n");
        } else {
            let _ = writeln!(out, "\n{}", self.shown().table(width));
        }
        out.push_str(&self.ledger());
        let _ = writeln!(out, "\nMFU counts {}.", counted(self.convention));
        out
    }

    fn ledger(&self) -> String {
        let mut out = String::new();
        if !self.answer.rejected.is_empty() {
            out.push_str("\nWhy plans fell, with the nearest miss of each:\n");
        }
        for r in &self.answer.rejected {
            let _ = writeln!(
                out,
                "  {:>12}  {}: {} ({})",
                group_thousands(r.count),
                r.misfit.key(),
                r.misfit.message(&r.nearest),
                r.nearest
            );
        }
        out
    }

    /// As JSON.
    pub fn json(&self) -> Json {
        let (job, counts) = (self.job, &self.answer.counts);
        let rejected: Vec<Json> = self
            .answer
            .rejected
            .iter()
            .map(|r| {
                json!({
                    "reason": r.misfit.key(), "count": r.count,
                    "nearest": r.nearest.to_string(), "message": r.misfit.message(&r.nearest),
                })
            })
            .collect();
        let plans: Vec<Json> = self
            .rows()
            .map(|row| {
                let pairs = COLUMNS.iter().map(|c| (c.name.to_owned(), to_json(&(c.of)(&row))));
                let mut object: Map<String, Json> = pairs.collect();
                object.insert("time_s".into(), time_json(row.estimate));
                object.insert("memory_gib".into(), memory_json(&row.estimate.fullest()));
                Json::Object(object)
            })
            .collect();
        json!({
            "model": job.model.id,
            "cluster": job.machine.cluster.id,
            "framework": job.machine.framework.id,
            "global_batch": job.global_batch,
            "sequence": job.sequence,
            "optimizer": job.optimizer.name(),
            "tuning": job.tuning.name(),
            "mfu_convention": self.convention.name(),
            "space": {
                "plans": counts.plans, "illegal": counts.illegal,
                "out_of_memory": counts.out_of_memory, "feasible": counts.feasible,
            },
            "plans": plans,
            "rejected": rejected,
        })
    }

    /// One plan of the ranking in full.
    pub fn explanation(&self, e: &TrainingEstimate, width: Option<u16>) -> String {
        let mut out = format!("{}\n\n", e.plan);
        let mut time = Sheet::new(["part", "s", "%"]);
        for (name, seconds) in time_parts(e) {
            time.rows.push(vec![name.into(), seconds.into(), (100.0 * seconds / e.time.total).into()]);
        }
        time.rows.push(vec!["step".into(), e.time.total.into(), 100.0.into()]);
        let _ = writeln!(out, "{}\n", time.table(width));
        let _ = writeln!(out, "{}", stages_sheet(e).table(width));
        out
    }

    /// The same as rows: a figure and its value.
    pub fn explanation_json(&self, e: &TrainingEstimate) -> Json {
        json!({
            "plan": e.plan.to_string(), "step_s": round(e.time.total), "time_s": time_json(e),
            "stages": stages_sheet(e).json(),
        })
    }
}

/// What a convention counts, in words.
fn counted(convention: Convention) -> &'static str {
    match convention {
        Convention::Model => "model FLOPs with causal attention",
        Convention::WholeSquare => "model FLOPs with the whole square of attention",
        Convention::Recomputed => "forward twice, with the whole square of attention",
        Convention::SixN => "6 FLOPs for each active parameter",
    }
}

fn time_parts(e: &TrainingEstimate) -> [(&'static str, f64); 12] {
    let t = &e.time;
    [
        ("compute", t.compute),
        ("recomputed", t.again),
        ("bubble", t.bubble),
        ("tensor_transfers", t.tensor),
        ("context_transfers", t.context),
        ("expert_transfers", t.expert),
        ("pipeline_transfers", t.pipeline),
        ("data_transfers", t.data),
        ("host", t.host),
        ("optimizer", t.optimizer),
        ("other", t.other),
        ("exposed", t.exposed()),
    ]
}

fn time_json(e: &TrainingEstimate) -> Json {
    Json::Object(time_parts(e).into_iter().map(|(name, s)| (name.to_owned(), round(s))).collect())
}

pub(super) fn memory_parts(m: &Memory) -> [(&'static str, f64); 8] {
    [
        ("weights", m.weights),
        ("gradients", m.gradients),
        ("optimizer", m.optimizer),
        ("activations", m.activations),
        ("transient", m.transient),
        ("fragmentation", m.fragmentation),
        ("outside", m.outside),
        ("total", m.total().as_f64()),
    ]
}

fn memory_json(m: &Memory) -> Json {
    Json::Object(memory_parts(m).into_iter().map(|(name, b)| (name.to_owned(), round(b / GIB))).collect())
}

/// Memory of each stage that differs, in GiB.
fn stages_sheet(e: &TrainingEstimate) -> Sheet {
    let names = memory_parts(&Memory::default()).map(|(name, _)| name);
    let mut sheet = Sheet::new(["stage", "stages"].into_iter().chain(names));
    for (first, count, memory) in &e.stages {
        let parts = memory_parts(memory).map(|(_, bytes)| Value::from(bytes / GIB));
        sheet.rows.push([Value::from(*first), Value::from(*count)].into_iter().chain(parts).collect());
    }
    sheet
}

/// Why the plans that were asked about are not the best: how they fell, or how much slower the best is.
pub fn why_not_text(asked: &Trained, best: Option<&TrainingEstimate>) -> String {
    let mut out = String::new();
    match (asked.answer.best.first(), best) {
        (Some(mine), Some(best)) => {
            let slower = 100.0 * (mine.time.total / best.time.total - 1.0);
            let _ = writeln!(
                out,
                "The best of these takes {:.3} s a step, {slower:.1} % more than the best of all:\n  {}\n  {}",
                mine.time.total, mine.plan, best.plan
            );
            let (a, b) = (time_parts(mine), time_parts(best));
            let parts = a.iter().zip(&b).filter(|((name, _), _)| *name != "exposed");
            let more = parts.map(|((name, x), (_, y))| (*name, x - y));
            let worst = more.max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((name, seconds)) = worst.filter(|(_, s)| *s > 0.0) {
                let _ = writeln!(out, "Most of it is {name}: {seconds:.3} s more.");
            }
        }
        _ => out.push_str("None of these plans can be run.\n"),
    }
    out.push_str(&asked.ledger());
    out
}
