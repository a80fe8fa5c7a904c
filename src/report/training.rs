//! Training plans: ranking, ledger, one plan explained.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::estimate::Provenance;
use crate::train::{
    Convention, Job, Memory, Offload, Operations, Precision, Run, TrainingAnswer, TrainingEstimate, Way,
};
use crate::units::{Bytes, UsdPerHour, group_thousands, plural};

use super::answer::{self, ANSWER_VERSION, Digits, Names, kind, schema};
use super::cell::Value;
use super::column::{self, Cells, Column, Idle, List, Rows, Show, Situation};
use super::files::FilesAnswer;
use super::format::Report;
use super::page::Page;
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
    /// Why the framework is not the usual one, where nobody was named.
    pub passed_over: Option<&'a str>,
    /// What would make it work, where no plan can be run.
    pub ways: &'a [Way],
}

/// One row: a plan, what it means, and its run.
pub struct Row<'a> {
    rank: u64,
    estimate: &'a TrainingEstimate,
    run: Run,
    convention: Convention,
    provenance: Provenance,
}

/// Training plans, as rows.
pub enum TrainingPlans {}

impl Rows for TrainingPlans {
    type Row<'a> = Row<'a>;
}

impl List for TrainingPlans {
    type Of = TrainingPlans;
    const NAME: &'static str = "TrainingPlanColumns";
    fn columns() -> &'static [Column<TrainingPlans>] {
        TRAINING_COLUMNS
    }
}

type C = Column<TrainingPlans>;

const GIB: f64 = 1_073_741_824.0;

/// Every column of a training plan.
pub const TRAINING_COLUMNS: &[C] = &[
    C::shown("rank", "#", "place in the ranking", |r| r.rank.into()).integer(),
    C::shown("tp", "TP", "tensor parallel", |r| r.estimate.plan.split.tp.into())
        .integer()
        .when(Show::Unless(Idle::One)),
    C::shown("pp", "PP", "pipeline stages", |r| r.estimate.plan.split.pp.into())
        .integer()
        .when(Show::Unless(Idle::One)),
    C::shown("cp", "CP", "context parallel", |r| r.estimate.plan.split.cp.into())
        .integer()
        .when(Show::Unless(Idle::One)),
    C::shown("dp", "DP", "data parallel", |r| r.estimate.plan.split.dp.into())
        .integer()
        .when(Show::Unless(Idle::One)),
    C::shown("ep", "EP", "expert parallel", |r| r.estimate.plan.split.ep.into())
        .integer()
        .when(Show::Unless(Idle::One)),
    C::quiet("expert_tp", "tensor parallel inside each expert", |r| r.estimate.plan.split.expert_tp.into())
        .integer(),
    C::shown("micro_batch", "MBS", "sequences of a microbatch", |r| r.estimate.plan.micro_batch.into())
        .integer()
        .when(Show::Unless(Idle::One)),
    C::shown("chunks", "VP", "chunks of layers that each stage interleaves", |r| {
        r.estimate.plan.chunks.into()
    })
    .integer()
    .when(Show::Unless(Idle::One)),
    C::quiet("microbatches", "microbatches of a step", |r| r.estimate.microbatches.into()).integer(),
    C::quiet("schedule", "order in which stages take microbatches", |r| {
        r.estimate.plan.schedule.name().into()
    })
    .text(),
    C::shown("sharding", "sharding", "what data-parallel ranks divide", |r| {
        r.estimate.plan.sharding.name().into()
    })
    .text()
    .spare(4),
    C::shown("recompute", "recompute", "what a backward pass computes again", |r| {
        r.estimate.plan.recompute.name().into()
    })
    .text(),
    C::quiet("transfers", "how tensor-parallel ranks exchange activations", |r| {
        r.estimate.plan.transfers.name().into()
    })
    .text(),
    C::quiet("offload_weights", "whether weights lie with the host", |r| {
        yes(r.estimate.plan.offload.weights)
    })
    .text(),
    C::quiet("offload_optimizer", "whether the optimizer's states do", |r| {
        yes(r.estimate.plan.offload.optimizer)
    })
    .text(),
    C::quiet("offload_activations", "whether activations do", |r| yes(r.estimate.plan.offload.activations))
        .text(),
    C::shown("offload", "offload", "what lies in the host's memory: weights, optimizer, activations", |r| {
        let offload = Some(r.estimate.plan.offload).filter(|o| *o != Offload::default());
        offload.map_or(Value::Missing, |o| Value::Text(o.to_string()))
    })
    .text()
    .when(Show::Unless(Idle::Missing)),
    C::shown("precision", "precision", "number formats of products and states", |r| {
        r.estimate.plan.precision.name().into()
    })
    .text(),
    C::shown("step_s", "step s", "seconds of a step", |r| r.estimate.time.total.into()),
    C::shown("tokens_per_s_per_gpu", "tok/s/GPU", "tokens per second of a GPU", |r| {
        r.estimate.tokens_per_gpu().get().into()
    }),
    C::quiet("tflops_per_gpu", "model TFLOP per second of a GPU", |r| {
        (r.estimate.rate(r.convention).get() / 1e12).into()
    }),
    C::shown("mfu_percent", "MFU %", "share of the peak that model FLOPs make", |r| {
        (100.0 * r.estimate.mfu(r.convention)).into()
    }),
    C::quiet("hfu_percent", "share of the peak that all computed FLOPs make", |r| {
        (100.0 * r.estimate.hfu(r.convention)).into()
    }),
    C::shown("bubble_percent", "bubble %", "share of the step that stages wait for each other", |r| {
        (100.0 * r.estimate.bubble()).into()
    })
    .spare(3),
    C::shown("exposed_percent", "exposed %", "share of the step that transfers are waited for", |r| {
        (100.0 * r.estimate.time.exposed() / r.estimate.time.total).into()
    })
    .spare(2),
    C::shown("peak_memory_gib", "GiB", "memory of the fullest stage", |r| {
        (r.estimate.fullest().total().as_gib()).into()
    }),
    C::shown("host_gib", "host GiB", "memory that the GPUs of the fullest node take of its host", |r| {
        Some(r.estimate.host.as_gib()).filter(|_| r.estimate.plan.offload != Offload::default()).into()
    })
    .when(Show::Unless(Idle::Missing)),
    C::quiet("checkpoint_gib", "size of a checkpoint", |r| r.run.checkpoint.as_gib().into()),
    C::quiet("checkpoint_write_s", "seconds to write one", |r| r.run.write.get().into()),
    C::shown("goodput_percent", "goodput %", "share of the run that is kept", |r| {
        (100.0 * r.run.goodput).into()
    })
    .spare(1),
    C::shown("provenance", "kernels", "fitted, mixed or uncalibrated kernel times", |r| {
        r.provenance.name().into()
    })
    .text()
    .when(Show::In(Situation::Uncalibrated)),
    C::shown("days", "days", "days of the run", |r| r.run.duration.map(|t| t.get() / 86_400.0).into())
        .when(Show::Unless(Idle::Missing)),
    C::shown("cost_usd", "$", "dollars of the run", |r| r.run.cost.map(|c| c.get()).into())
        .when(Show::Unless(Idle::Missing)),
];

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
            provenance: self.job.machine.provenance(),
        })
    }

    /// Every column of every plan.
    pub(super) fn sheet(&self) -> Sheet {
        let (rows, job): (Vec<Row>, _) = (self.rows().collect(), self.job);
        column::sheet(TRAINING_COLUMNS.iter(), &rows).about(vec![
            ("model", job.model.id.as_str().into()),
            ("cluster", job.machine.cluster.id.as_str().into()),
            ("framework", job.machine.framework.id.as_str().into()),
            ("global_batch", job.global_batch.into()),
            ("sequence", job.sequence.into()),
            ("optimizer", job.optimizer.name().into()),
            ("tuning", job.tuning.name().into()),
        ])
    }

    /// The columns that a terminal shows.
    fn shown(&self) -> Sheet {
        let rows: Vec<Row> = self.rows().collect();
        let calibrated = self.job.machine.provenance().is_calibrated();
        column::shown(TRAINING_COLUMNS.iter(), &rows, |s| s == Situation::Uncalibrated && !calibrated)
    }

    /// Training plans, ranked.
    pub fn report(&self) -> Report {
        Report::new(self.page(), self.json(), self.sheet())
    }

    /// Why others than the best are not; the ranking for programs.
    pub fn why_not(&self, best: Option<&TrainingEstimate>) -> Report {
        Report::new(why_not_text(self, best), self.json(), self.sheet())
    }

    fn page(&self) -> Page {
        let (job, counts) = (self.job, &self.answer.counts);
        let cluster = &job.machine.cluster;
        let mut out = Page::from(format!(
            "{}\n{} × {}{}, {}; global batch {}, {} tokens each; {} with {}, {}\n\n",
            job.model.id,
            group_thousands(cluster.gpus.into()),
            cluster.gpu.name,
            cluster.host.map_or(String::new(), |h| format!(", hosts of {}", h.memory)),
            job.machine.framework.name,
            group_thousands(job.global_batch),
            group_thousands(job.sequence),
            if self.operations.tokens.is_some() { "run" } else { "step" },
            job.optimizer.name(),
            job.tuning.name(),
        ));
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
            out.push_str(&self.ways_text());
        } else {
            out.push_str("\n");
            out.table(self.shown());
        }
        out.push_str(&self.ledger());
        for note in self.notes() {
            let _ = write!(out, "\n{note}");
        }
        let _ = writeln!(out, "\nMFU counts {}.", counted(self.convention));
        out
    }

    /// What to know beside the figures, a sentence each.
    fn notes(&self) -> Vec<String> {
        let machine = self.job.machine;
        let gpu = &machine.cluster.gpu;
        let provenance = machine.provenance();
        let uncalibrated = (!provenance.is_calibrated() && !self.answer.best.is_empty()).then(|| {
            format!(
                "Kernel times are {}: training has not been measured on {}, {} stand in.",
                provenance.name(),
                gpu.name,
                match (provenance, &gpu.kernels_from) {
                    (Provenance::Mixed, _) => "shares of its class".to_owned(),
                    (_, Some(twin)) => format!("kernels of {twin}"),
                    _ => "class defaults".to_owned(),
                }
            )
        });
        let passed_over = self.passed_over.map(str::to_owned);
        passed_over.into_iter().chain(self.in_fp16()).chain(uncalibrated).chain(self.unknown_host()).collect()
    }

    /// What training in FP16 is, where the GPU has no BF16, and what it asks of the environment.
    fn in_fp16(&self) -> Option<String> {
        let machine = self.job.machine;
        let (framework, gpu) = (machine.framework, &machine.cluster.gpu);
        let is = |e: &TrainingEstimate| e.plan.precision == Precision::Fp16;
        if framework.has_bf16(gpu) || !self.answer.best.iter().any(is) {
            return None;
        }
        let environment = framework.fp16.environment.get(&gpu.architecture);
        let asks =
            environment.map_or(String::new(), |set| format!("; {} asks for {set} there", framework.name));
        Some(format!(
            "{} has no BF16: it is trained in FP16, the loss scaled, master weights and states in FP32{asks}.",
            gpu.name
        ))
    }

    /// What the hosts have to have, where nothing says what they have.
    fn unknown_host(&self) -> Option<String> {
        let of = |e: &TrainingEstimate| Some(e.host).filter(|_| e.plan.offload != Offload::default());
        let need = self.answer.best.iter().filter_map(of);
        let need: Vec<Bytes> = need.collect();
        let (least, most) = (need.iter().min()?, need.iter().max()?);
        let said = if least == most { most.to_string() } else { format!("{least} to {most}") };
        self.job.machine.cluster.host.is_none().then(|| {
            format!(
                "Nothing says what memory the hosts have: plans that offload take {said} of each node's (host GiB); --host \
                 memory=…,bandwidth=… leaves out those that find no room."
            )
        })
    }

    fn ways_text(&self) -> String {
        let mut out = String::new();
        if !self.ways.is_empty() {
            out.push_str("\nWhat would make it work:\n");
        }
        for way in self.ways {
            let _ = writeln!(
                out,
                "  {}: {} tokens/s of each GPU, {} ({})",
                way.change,
                group_thousands(way.best.tokens_per_gpu().get().round() as u64),
                way.best.fullest().total(),
                way.best.plan
            );
        }
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
                r.reason.name(),
                r.reason.message(),
                r.nearest
            );
        }
        out
    }

    fn json(&self) -> Json {
        let (job, counts) = (self.job, &self.answer.counts);
        answer::json(&TrainingAnswers {
            schema_version: ANSWER_VERSION,
            model: &job.model.id,
            cluster: &job.machine.cluster.id,
            framework: &job.machine.framework.id,
            global_batch: job.global_batch,
            sequence: job.sequence,
            optimizer: job.optimizer.name(),
            tuning: job.tuning.name(),
            mfu_convention: self.convention.name(),
            space: TrainingSpace {
                plans: counts.plans,
                illegal: counts.illegal,
                out_of_memory: counts.out_of_memory,
                feasible: counts.feasible,
            },
            plans: self.rows().map(|row| TrainingPlanAnswer::from(&row)).collect(),
            notes: self.notes(),
            advice: self.ways.iter().map(TrainingAdvice::from).collect(),
            rejected: self
                .answer
                .rejected
                .iter()
                .map(|r| TrainingRejection {
                    reason: r.reason.name(),
                    count: r.count,
                    nearest: r.nearest.to_string(),
                    message: r.reason.message(),
                })
                .collect(),
        })
    }

    /// One plan of the ranking in full.
    pub fn explanation(&self, e: &TrainingEstimate) -> Report {
        let parts = TrainingParts::from(e);
        // A figure and its value a row.
        let rows = Sheet::of_json(&answer::json(&parts));
        let value = answer::json(&TrainingExplanation { schema_version: ANSWER_VERSION, parts });
        let mut out = Page::from(format!("{}\n\n", e.plan));
        let mut time = Sheet::new(["part", "s", "%"]);
        for (name, seconds) in time_parts(e) {
            time.rows.push(vec![name.into(), seconds.into(), (100.0 * seconds / e.time.total).into()]);
        }
        time.rows.push(vec!["step".into(), e.time.total.into(), 100.0.into()]);
        out.table(time);
        out.push_str("\nMemory of a rank of each stage that differs, in GiB:\n");
        out.table(column::sheet(STAGE_COLUMNS.iter(), &e.stages));
        if e.plan.offload != Offload::default() {
            let _ = writeln!(out, "\nThe GPUs of the fullest node take {} of its host's memory.", e.host);
        }
        Report::new(out, value, rows)
    }
}

/// Training plans, ranked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrainingPlans")]
struct TrainingAnswers<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// Model.
    model: &'a str,
    /// Cluster.
    cluster: &'a str,
    /// Training framework.
    framework: &'a str,
    /// Sequences of a step.
    global_batch: u64,
    /// Tokens of a sequence.
    sequence: u64,
    /// Optimizer.
    optimizer: &'static str,
    /// What is trained: all weights, or adapters.
    tuning: &'static str,
    /// What MFU counts.
    mfu_convention: &'static str,
    /// How many plans there were, and what became of them.
    space: TrainingSpace,
    /// The plans, the fastest first.
    plans: Vec<TrainingPlanAnswer>,
    /// What to know beside the figures, a sentence each.
    notes: Vec<String>,
    /// What would make it work, where no plan can be run.
    advice: Vec<TrainingAdvice>,
    /// Why plans fell.
    rejected: Vec<TrainingRejection>,
}

/// A change that leads from no feasible plan to one, and the best plan then.
#[derive(Serialize, JsonSchema)]
struct TrainingAdvice {
    /// What is changed.
    change: String,
    /// The best plan then.
    plan: String,
    /// GPUs.
    gpus: u64,
    /// Seconds of a step.
    step_s: Digits,
    /// Tokens per second of a GPU.
    tokens_per_s_per_gpu: Digits,
    /// Memory of the fullest stage.
    peak_memory_gib: Digits,
}

impl From<&Way> for TrainingAdvice {
    fn from(way: &Way) -> TrainingAdvice {
        let best = &way.best;
        TrainingAdvice {
            change: way.change.clone(),
            plan: best.plan.to_string(),
            gpus: best.gpus,
            step_s: Digits(best.time.total),
            tokens_per_s_per_gpu: Digits(best.tokens_per_gpu().get()),
            peak_memory_gib: Digits(best.fullest().total().as_gib()),
        }
    }
}

/// How many training plans there were, and what became of them.
#[derive(Serialize, JsonSchema)]
struct TrainingSpace {
    /// Plans in the space.
    plans: u64,
    /// Those that a rule of the framework or the model forbids.
    illegal: u64,
    /// Those that found no room.
    out_of_memory: u64,
    /// Those that can be run.
    feasible: u64,
}

/// A training plan.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrainingPlan")]
struct TrainingPlanAnswer {
    #[serde(flatten)]
    cells: Cells<TrainingPlans>,
    /// Seconds of a step by what they are spent on: `exposed` are those that transfers are waited for, `bubble` those that
    /// stages wait for each other.
    time_s: Names<Digits>,
    /// Memory of the fullest stage by what it holds, and in total.
    memory_gib: Names<Digits>,
}

impl From<&Row<'_>> for TrainingPlanAnswer {
    fn from(row: &Row) -> TrainingPlanAnswer {
        let memory = memory_parts(&row.estimate.fullest());
        TrainingPlanAnswer {
            cells: Cells::of(row),
            time_s: times(row.estimate),
            memory_gib: memory.into_iter().map(|(name, b)| (name.to_owned(), Digits(b / GIB))).collect(),
        }
    }
}

/// Training plans that fell for one reason.
#[derive(Serialize, JsonSchema)]
struct TrainingRejection {
    /// Key of the reason.
    reason: String,
    /// How many plans fell.
    count: u64,
    /// The one that came nearest.
    nearest: String,
    /// Why it fell, in a sentence.
    message: String,
}

/// A training plan explained.
#[derive(Serialize, JsonSchema)]
struct TrainingExplanation {
    /// Version of the form of answers.
    schema_version: u64,
    #[serde(flatten)]
    parts: TrainingParts,
}

/// Where the time and the memory of a training plan go.
#[derive(Serialize, JsonSchema)]
struct TrainingParts {
    /// The plan.
    plan: String,
    /// Seconds of a step.
    step_s: Digits,
    /// What they are spent on.
    time_s: Names<Digits>,
    /// Memory that the GPUs of the fullest node take of its host, in GiB.
    host_gib: Digits,
    /// Memory of a rank of each stage that differs.
    stages: Vec<Cells<StageRanks>>,
}

impl From<&TrainingEstimate> for TrainingParts {
    fn from(e: &TrainingEstimate) -> TrainingParts {
        TrainingParts {
            plan: e.plan.to_string(),
            step_s: Digits(e.time.total),
            time_s: times(e),
            host_gib: Digits(e.host.as_gib()),
            stages: e.stages.iter().map(Cells::of).collect(),
        }
    }
}

/// Ranks of a stage, as rows: the first stage, how many are alike, and their memory.
enum StageRanks {}

impl Rows for StageRanks {
    type Row<'a> = (u32, u32, Memory);
}

impl List for StageRanks {
    type Of = StageRanks;
    const NAME: &'static str = "TrainingStage";
    fn columns() -> &'static [Column<StageRanks>] {
        STAGE_COLUMNS
    }
}

type StageColumn = Column<StageRanks>;

const STAGE_COLUMNS: &[StageColumn] = &[
    StageColumn::plain("stage", "number of the first of stages that are alike", |s| s.0.into()).integer(),
    StageColumn::plain("stages", "how many are alike", |s| s.1.into()).integer(),
    StageColumn::plain("weights", "weights, in GiB", |s| (s.2.weights / GIB).into()),
    StageColumn::plain("gradients", "gradients, in GiB", |s| (s.2.gradients / GIB).into()),
    StageColumn::plain("optimizer", "the optimizer's states, in GiB", |s| (s.2.optimizer / GIB).into()),
    StageColumn::plain("activations", "activations that are kept for backward, in GiB", |s| {
        (s.2.activations / GIB).into()
    }),
    StageColumn::plain("transient", "what is held for a moment, in GiB", |s| (s.2.transient / GIB).into()),
    StageColumn::plain("fragmentation", "what fragments waste, in GiB", |s| (s.2.fragmentation / GIB).into()),
    StageColumn::plain("outside", "context, libraries, communication buffers, in GiB", |s| {
        (s.2.outside / GIB).into()
    }),
    StageColumn::plain("total", "sum of the parts, in GiB", |s| (s.2.total().as_f64() / GIB).into()),
    StageColumn::plain("host", "what lies in the host's memory instead, in GiB", |s| (s.2.host / GIB).into()),
];

/// The JSON Schema of what `train` answers.
pub(super) fn training_schema() -> Json {
    schema("TrainAnswer", &[kind::<TrainingAnswers>, kind::<TrainingExplanation>, kind::<FilesAnswer>])
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

fn times(e: &TrainingEstimate) -> Names<Digits> {
    time_parts(e).into_iter().map(|(name, s)| (name.to_owned(), Digits(s))).collect()
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

/// Why the plans that were asked about are not the best: how they fell, or how much slower the best is.
fn why_not_text(asked: &Trained, best: Option<&TrainingEstimate>) -> String {
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
