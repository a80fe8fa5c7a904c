//! Models that run on a machine, and why others do not.

use std::fmt::Write as _;

use itertools::Itertools as _;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::catalog::published::Measure;
use crate::catalog::{Cluster, Engine};
use crate::estimate::Provenance;
use crate::fit::{Advised, Answer, Described, Need, Origin, Suggestion, Trust, Way};
use crate::launch::line::quoted;
use crate::units::{group_thousands, plural};

use super::answer::{self, ANSWER_VERSION, Digits, kind, schema};
use super::cell::Value;
use super::column::{self, Cells, Column, Idle, List, Rows, Show};
use super::format::Report;
use super::page::Page;
use super::sheet::Sheet;

/// What was asked and found.
#[derive(Clone, Copy, Debug)]
pub struct Fitted<'a> {
    /// The machine.
    pub cluster: &'a Cluster,
    /// Engines that may run there.
    pub engines: &'a [Engine],
    /// What a model must do and be.
    pub need: &'a Need,
    /// Prompt and output tokens of the speeds.
    pub lengths: (u64, u64),
    /// Models that are listed.
    pub top: usize,
    /// What was found.
    pub answer: &'a Answer,
}

/// One way of running a model.
pub struct ModelRow<'a> {
    /// Its place among the models; none of one that would run with something changed.
    rank: Option<u64>,
    model: &'a Described,
    way: &'a Way,
    on_front: bool,
}

/// Models that run, as rows.
pub enum Models {}

impl Rows for Models {
    type Row<'a> = ModelRow<'a>;
}

impl List for Models {
    type Of = Models;
    const NAME: &'static str = "FittingModel";
    fn columns() -> &'static [Column<Models>] {
        FIT_COLUMNS
    }
}

type C = Column<Models>;

/// A degree that divides something.
fn divided(n: u32) -> Value {
    n.into()
}

/// Columns of a model that runs.
pub const FIT_COLUMNS: &[C] = &[
    C::shown("rank", "#", "place among the models that run", |r| r.rank.into()).nullable().integer(),
    C::shown("model", "model", "catalogue name of the model", |r| r.model.id.as_str().into()).text(),
    C::shown("parameters_b", "params B", "parameters, in billions", |r| {
        (r.model.parameters as f64 / 1e9).into()
    })
    .spare(4),
    C::quiet("active_parameters_b", "parameters that one token uses, in billions", |r| {
        (r.model.active as f64 / 1e9).into()
    }),
    C::shown("score", "score", "published score by the measure that is ranked by", |r| {
        r.model.score.map(|score| score.value).into()
    })
    .when(Show::Unless(Idle::Missing)),
    C::quiet("score_interval", "half the width of its 95 % interval", |r| {
        r.model.score.and_then(|score| score.interval).into()
    })
    .nullable(),
    C::shown("weights", "format", "format of most weights", |r| r.way.format.name().into()).text(),
    C::quiet(
        "origin",
        "own checkpoint, another checkpoint, made on_loading by the engine, or made by others",
        |r| r.way.origin.name().into(),
    )
    .text(),
    C::quiet("checkpoint", "catalogue name of the checkpoint that the weights are, or are made of", |r| {
        r.way.checkpoint.as_str().into()
    })
    .text(),
    C::shown(
        "loss_percent",
        "loss %",
        "how much the format raises the perplexity of Llama 3 8B, where published",
        |r| r.way.loss.map(|loss| 100.0 * loss).into(),
    )
    .when(Show::Unless(Idle::Missing))
    .spare(2),
    C::shown("engine", "engine", "engine that would run it", |r| r.way.engine.as_str().into()).text(),
    C::quiet("engine_version", "its version", |r| Value::Text(r.way.engine_version.to_string())).text(),
    C::quiet("kv", "type of the KV cache", |r| r.way.kv.name().into()).text(),
    C::shown(
        "gpu",
        "gpu",
        "GPU that it runs on, or the cards of a replica where they are of several kinds",
        |r| r.way.gpu.as_str().into(),
    )
    .text()
    .when(Show::Differing),
    C::shown("tp", "tp", "tensor parallel", |r| divided(r.way.parallelism.tp))
        .integer()
        .when(Show::Unless(Idle::One)),
    C::shown("pp", "pp", "pipeline stages", |r| divided(r.way.parallelism.pp))
        .integer()
        .when(Show::Unless(Idle::One)),
    C::shown("replicas", "replicas", "copies of the model", |r| divided(r.way.replicas))
        .integer()
        .when(Show::Unless(Idle::One)),
    C::shown(
        "gpu_layers",
        "-ngl",
        "layers on the GPUs and the output projection, where some are with the host",
        |r| r.way.offload.gpu_layers.into(),
    )
    .integer()
    .when(Show::Unless(Idle::Missing)),
    C::shown("n_cpu_moe", "-ncmoe", "first layers whose experts are with the host", |r| {
        r.way.offload.host_experts.into()
    })
    .integer()
    .when(Show::Unless(Idle::Missing)),
    C::shown(
        "tokens_per_s",
        "tok/s",
        "tokens per second of one user after the first, alone on the machine",
        |r| Some(r.way.speed.get()).filter(|rate| *rate > 0.0).into(),
    )
    .when(Show::Unless(Idle::Missing)),
    C::shown(
        "prompt_tokens_per_s",
        "prompt tok/s",
        "prompt tokens over the time to the first token of one user",
        |r| r.way.prompt_speed.get().into(),
    )
    .spare(3),
    C::shown("ttft_ms", "TTFT ms", "time to first token of one user", |r| r.way.ttft.as_millis().into()),
    C::shown(
        "users",
        "users",
        "users at a time whose conversations find room, as many as the engine takes",
        |r| r.way.users.into(),
    )
    .integer(),
    C::shown("output_tokens_per_s", "tok/s of all", "output tokens per second of all of them", |r| {
        r.way.throughput.get().into()
    }),
    C::shown(
        "room_tokens",
        "room tokens",
        "tokens of the longest conversation that one user has room for",
        |r| r.way.room.into(),
    )
    .integer(),
    C::shown(
        "memory_gib",
        "GiB",
        "memory of the fullest GPU for weights, one conversation and the engine",
        |r| r.way.taken.as_gib().into(),
    ),
    C::shown("margin_gib", "margin GiB", "room that is left beside that", |r| r.way.margin_gib.into())
        .spare(5),
    C::shown("host_gib", "host GiB", "weights in the host's memory", |r| {
        r.way.on_host.map(|bytes| bytes.as_gib()).into()
    })
    .when(Show::Unless(Idle::Missing)),
    C::shown("verdict", "memory", "fits, or marginal: inside the uncertainty of memory", |r| {
        r.way.verdict.name().into()
    })
    .text()
    .when(Show::Differing),
    C::shown("license", "license", "licence, as the Hugging Face hub calls it", |r| {
        r.model.facts.license.as_deref().into()
    })
    .nullable()
    .text()
    .spare(1),
    C::quiet("released", "day of release", |r| r.model.facts.released.as_deref().into()).nullable().text(),
    C::shown("provenance", "kernels", "measured, fitted, mixed or uncalibrated kernel times", |r| {
        r.way.provenance.name().into()
    })
    .text()
    .when(Show::Differing),
    C::shown(
        "on_front",
        "front",
        "yes where no other model has both a better score and more tokens per second",
        |r| Some("yes").filter(|_| r.on_front).into(),
    )
    .text()
    .when(Show::Unless(Idle::Missing)),
];

impl<'a> Fitted<'a> {
    fn rows(&self) -> Vec<ModelRow<'a>> {
        let mut rows = Vec::new();
        for (place, running) in self.answer.running.iter().take(self.top).enumerate() {
            let on_front = self.answer.front.contains(&place);
            let rank = Some(place as u64 + 1);
            let of = |(n, way)| ModelRow { rank, model: &running.model, way, on_front: on_front && n == 0 };
            rows.extend(running.ways.iter().enumerate().map(of));
        }
        rows
    }

    /// Every column of every way that is listed.
    fn sheet(&self) -> Sheet {
        column::sheet(FIT_COLUMNS.iter(), &self.rows()).about(vec![
            ("cluster", self.cluster.id.as_str().into()),
            ("context", self.need.context.into()),
            ("isl", self.lengths.0.into()),
            ("osl", self.lengths.1.into()),
        ])
    }

    /// Models that run, ranked; a row each way that is listed.
    pub fn report(&self) -> Report {
        Report::new(self.page(), self.json(), self.sheet())
    }

    fn page(&self) -> Page {
        let rows = self.rows();
        let mut out = Page::from(self.headline());
        if rows.is_empty() {
            out.push_str("\nNo model runs.\n");
        } else {
            let sheet = column::shown(FIT_COLUMNS.iter(), &rows, |_| false);
            out.push_str("\n");
            out.table(sheet);
            out.push_str(&self.front());
        }
        self.answer.above.iter().for_each(|advised| out.push_str(&above(advised)));
        let fell = self.fallen();
        if !fell.is_empty() {
            let fell = fell.iter().map(|(name, n)| format!("{n} {}", name.replace('_', " ")));
            let _ = writeln!(out, "Do not run: {}.", fell.format(", "));
        }
        self.notes().iter().for_each(|note| {
            let _ = writeln!(out, "{note}");
        });
        out
    }

    fn headline(&self) -> String {
        let Fitted { cluster, need, lengths: (isl, osl), .. } = *self;
        let gpus = match cluster.cards.as_slice() {
            [] => format!("{} × {}, {} each", cluster.gpus, cluster.gpu.name, cluster.gpu.memory),
            cards => {
                cards.iter().map(|c| format!("{} × {}, {}", c.each, c.gpu.name, c.gpu.memory)).join("; ")
            }
        };
        let host = cluster.host.filter(|_| cluster.has_own_memory()).map_or(String::new(), |host| {
            format!(", host {} at {:.0} GB/s", host.memory, host.bandwidth.get() / 1e9)
        });
        let shorter = if need.context_is_stated { "" } else { " (or a model's own, if less)" };
        let task = need.purpose.map_or(String::new(), |purpose| format!(" for {}", purpose.name()));
        format!(
            "{} of {} models{task} run on {} ({gpus}{host})\n\
             room for a conversation of {} tokens{shorter}, {} tokens/s at least; speeds at isl {isl}, osl {osl}; \
             engines {}\n",
            self.answer.running.len(),
            self.answer.considered,
            cluster.id,
            group_thousands(need.context),
            need.least.get(),
            self.engines.iter().map(Engine::label).format(", "),
        )
    }

    /// The models of which no other has both a better score and more tokens per second.
    fn front(&self) -> String {
        let Some(measure) = self.answer.measure.filter(|_| self.answer.front.len() > 1) else {
            return String::new();
        };
        let mut out =
            format!("No other model has both a better {} and more tokens per second:\n", measure.title);
        for place in &self.answer.front {
            let running = &self.answer.running[*place];
            let (Some(score), Some(way)) = (running.model.score, running.ways.first()) else { continue };
            let _ = writeln!(
                out,
                "  {:.0}  {} {} with {}: {:.1} tokens/s",
                score.value,
                running.model.id,
                way.format,
                way.engine,
                way.speed.get()
            );
        }
        out
    }

    /// How many models do not run, by why, the most first.
    fn fallen(&self) -> Vec<(&'static str, usize)> {
        let counted = self.answer.fallen.iter().map(|(_, why)| why.name()).counts();
        counted.into_iter().sorted_by(|(a, n), (b, m)| m.cmp(n).then(a.cmp(b))).collect()
    }

    /// What writes the launch of a way for the one user whose speed stands in its row.
    fn next(&self, way: &Way) -> String {
        let format = match way.origin {
            Origin::Own | Origin::Checkpoint => String::new(),
            Origin::OnLoading | Origin::Made => format!(" --weights {}", way.format.name()),
        };
        let mut options = String::new();
        if let Some(host) = self.cluster.host.as_ref().filter(|_| way.on_host.is_some()) {
            let _ = write!(options, " --host {host}");
        }
        let _ = write!(options, " --engine {}{format}", way.engine);
        if self.need.kv == Some(way.kv) {
            let _ = write!(options, " --kv {}", way.kv);
        }
        for (degree, n) in [("tp", way.parallelism.tp), ("pp", way.parallelism.pp)] {
            if n > 1 {
                let _ = write!(options, " --{degree} {n}");
            }
        }
        for (length, asked) in [("isl", self.need.isl), ("osl", self.need.osl)] {
            if let Some(tokens) = asked {
                let _ = write!(options, " --{length} {tokens}");
            }
        }
        // One user of a server that writes tokens; of embeddings a batch is the load.
        let one = match way.speed.get() > 0.0 {
            true => format!(" --concurrency 1 --max-model-len {}", way.context),
            false => " --task embed".to_owned(),
        };
        format!(
            "The first, as a command to start it: `shardfit estimate {} --cluster {}{options}{one} --emit command`.",
            quoted(&way.checkpoint),
            quoted(&way.cluster)
        )
    }

    /// What to know of the figures.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let answer = self.answer;
        match answer.measure {
            Some(measure) => {
                let how_many = |trust| answer.running.iter().filter(|r| r.trust() == trust).count() as u64;
                let mut rest = String::new();
                if how_many(Trust::Lossy) > 0 {
                    let lossy = plural(how_many(Trust::Lossy), "model");
                    let _ = write!(
                        rest,
                        "; {lossy} whose format loses so much that the score says little come after"
                    );
                }
                if how_many(Trust::Unscored) > 0 {
                    let unscored = plural(how_many(Trust::Unscored), "model");
                    let _ = write!(rest, "; {unscored} without a score follow by size");
                }
                notes.push(format!(
                    "Ranked by {} of {} ({}){rest}.",
                    measure.title, measure.date, measure.source
                ));
            }
            None => notes
                .push("No measure of quality is published here for this task: ranked by size.".to_owned()),
        }
        let ways = || answer.running.iter().take(self.top).flat_map(|r| &r.ways);
        if ways().any(|way| way.origin == Origin::Made) {
            notes.push(
                "GGUF files and INT4 checkpoints are taken to exist, or to be made with llama-quantize or llm-compressor."
                    .to_owned(),
            );
        }
        notes
            .extend(self.answer.running.first().and_then(|best| best.ways.first()).map(|way| self.next(way)));
        let unmeasured =
            ways().filter(|way| way.provenance == Provenance::Uncalibrated).map(|way| way.engine.as_str());
        let unmeasured = unmeasured.unique().join(", ");
        if !unmeasured.is_empty() {
            let gpu = self.cluster.kinds().map(|gpu| gpu.name.as_str()).join(" and ");
            notes.push(format!(
                "Uncalibrated: no kernels of {unmeasured} were measured on {gpu}, relatives stand in."
            ));
        }
        if self.cluster.host.is_none()
            && self.cluster.has_own_memory()
            && self.engines.iter().any(|e| e.host.is_some())
        {
            notes.push(
                "The host's memory is not known: --host memory=64GiB,bandwidth=83.2GB/s adds models that llama.cpp \
                 keeps there in part."
                    .to_owned(),
            );
        }
        notes.extend(answer.unread.iter().map(|fault| format!("Left out: {fault}")));
        notes.extend(
            self.engines.iter().filter_map(Engine::caveat).unique().map(|caveat| format!("{caveat}.")),
        );
        notes
    }

    /// The answer as JSON.
    fn json(&self) -> Json {
        let Fitted { cluster, need, answer, .. } = *self;
        answer::json(&FitAnswer {
            schema_version: ANSWER_VERSION,
            cluster: &cluster.id,
            gpu: cluster.gpu_label(),
            gpus: cluster.gpus,
            gpu_memory_gib: Digits(cluster.memory().as_gib() / f64::from(cluster.gpus)),
            host_memory_gib: cluster.host.map(|host| Digits(host.memory.as_gib())),
            engines: self.engines.iter().map(Engine::label).collect(),
            task: need.purpose.map(|purpose| purpose.name()),
            context: need.context,
            isl: self.lengths.0,
            osl: self.lengths.1,
            min_tokens_per_s: Digits(need.least.get()),
            measure: answer.measure.map(MeasureAnswer::from),
            considered: answer.considered,
            running: answer.running.len(),
            models: self.rows().iter().map(Cells::of).collect(),
            front: answer.front.iter().map(|place| answer.running[*place].model.id.as_str()).collect(),
            next_better: answer.above.iter().map(BetterModel::from).collect(),
            fallen: self.fallen().into_iter().map(|(reason, count)| FallenModels { reason, count }).collect(),
            notes: self.notes(),
        })
    }
}

/// Models that run on a machine.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Fit")]
struct FitAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    /// The machine.
    cluster: &'a str,
    /// Its GPU, or its cards where they are of several kinds.
    gpu: String,
    /// How many it has.
    gpus: u32,
    /// Memory of each, in the mean of several kinds.
    gpu_memory_gib: Digits,
    /// Memory of the host; null where it is not known.
    host_memory_gib: Option<Digits>,
    /// Engines that were looked at, each with its version.
    engines: Vec<String>,
    /// The task that models are meant for; null for any.
    task: Option<&'static str>,
    /// Tokens of a conversation that must find room, or a model's own context if less.
    context: u64,
    /// Prompt tokens of the speeds.
    isl: u64,
    /// Output tokens of the speeds.
    osl: u64,
    /// Tokens per second of one user that a model must reach.
    min_tokens_per_s: Digits,
    /// What models are ranked by; null where nothing is published, and they are ranked by size.
    measure: Option<MeasureAnswer<'a>>,
    /// Models that were looked at.
    considered: usize,
    /// Those that run.
    running: usize,
    /// The best of them, each as it runs.
    models: Vec<Cells<Models>>,
    /// Models of which no other has both a better score and more tokens per second.
    front: Vec<&'a str>,
    /// Better models that do not run, and what would make them run.
    next_better: Vec<BetterModel<'a>>,
    /// How many do not run, by reason.
    fallen: Vec<FallenModels>,
    /// What to know of the figures.
    notes: Vec<String>,
}

/// A published measure of quality.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "QualityMeasure")]
struct MeasureAnswer<'a> {
    /// Its name.
    id: &'a str,
    /// Its title.
    title: &'a str,
    /// Day of what was taken from it.
    date: &'a str,
    /// Where it is published.
    source: &'a str,
    /// Licence of the scores.
    license: &'a str,
}

impl<'a> From<&'a Measure> for MeasureAnswer<'a> {
    fn from(m: &'a Measure) -> MeasureAnswer<'a> {
        MeasureAnswer { id: &m.id, title: &m.title, date: &m.date, source: &m.source, license: &m.license }
    }
}

/// A better model that does not run.
#[derive(Serialize, JsonSchema)]
struct BetterModel<'a> {
    /// The model.
    model: &'a str,
    /// Its score.
    score: Option<Digits>,
    /// Key of the reason why it does not run.
    reason: &'static str,
    /// The reason in a sentence.
    message: String,
    /// What would make it run.
    suggestions: Vec<SuggestionAnswer<'a>>,
}

/// A change with which a model runs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Suggestion")]
struct SuggestionAnswer<'a> {
    /// What is changed.
    change: &'a str,
    /// The options that say so.
    options: &'a str,
    /// How it runs then.
    way: Cells<Models>,
}

impl<'a> From<&'a Advised> for BetterModel<'a> {
    fn from(Advised { model, why, suggestions }: &'a Advised) -> BetterModel<'a> {
        let suggestion = |Suggestion { change, options, way }: &'a Suggestion| SuggestionAnswer {
            change,
            options,
            way: Cells::of(&ModelRow { rank: None, model, way, on_front: false }),
        };
        BetterModel {
            model: &model.id,
            score: model.score.map(|score| Digits(score.value)),
            reason: why.name(),
            message: why.message(),
            suggestions: suggestions.iter().map(suggestion).collect(),
        }
    }
}

/// Models that do not run for one reason.
#[derive(Serialize, JsonSchema)]
struct FallenModels {
    /// Key of the reason.
    reason: &'static str,
    /// How many.
    count: usize,
}

/// The JSON Schema of what `fit` answers.
pub(super) fn fit_schema() -> Json {
    schema("FitAnswer", &[kind::<FitAnswer>])
}

/// Why a better model does not run, and what would make it run.
fn above(Advised { model, why, suggestions }: &Advised) -> String {
    let score = model.score.map_or(String::new(), |score| format!(" ({:.0})", score.value));
    let mut out = format!("Better, and does not run: {}{score}: {}.\n", model.id, why.message());
    for Suggestion { change, options, way } in suggestions {
        let host = way.on_host.map_or(String::new(), |bytes| format!(", {bytes} of it with the host"));
        let _ = writeln!(
            out,
            "  runs with {change} ({options}): {} with {}{host}, {:.1} tokens/s, room for {} tokens",
            way.format,
            way.engine,
            way.speed.get(),
            group_thousands(way.room)
        );
    }
    if suggestions.is_empty() {
        out.push_str("  no change that was tried makes it run\n");
    }
    out
}
