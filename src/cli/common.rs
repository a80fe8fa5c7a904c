//! Arguments that several commands share, and what they mean.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueHint};

use crate::ask::{self, Setting, View};
use crate::catalog::{self, Catalog, Cluster, Kind};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use crate::hub::Hub;
use crate::model::Model;
use crate::request::{
    Counts, LengthEntry, Lists, MAX_LIMIT, ModelRequest, Point, Prices, RateEntry, Request, Resolved,
    ShareEntry, Task, Texts, TimeTarget,
};
use crate::simulate::Lengths;
use crate::units::plural;
use crate::workload::{MAX_CONCURRENCY, MAX_LENGTH};

use super::fetch;
use super::host::HostArgs;
use super::inputs::InputArgs;
use super::kernels;
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::sessions::SessionArgs;
use super::speculation::SpeculationArgs;
use super::start::StartArgs;
use super::talk;
use super::values::{amount, count, names, probability, real, share, tokens};

/// Which model.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// Catalogue name, alias, path to a config.json, its folder or a GGUF file, or org/name[@revision] on
    /// the Hugging Face hub
    #[arg(conflicts_with = "shape", value_hint = ValueHint::AnyPath)]
    pub model: Option<String>,
    /// Sizes in place of MODEL: layers, hidden, heads, ffn, vocab [, kv, head_dim, experts, top_k, expert_ffn, shared,
    /// shared_ffn, dense_layers, expert_every, q_rank, kv_rank, nope_dim, rope_dim, v_dim, window, full_every,
    /// positions, gated, bias, qkv_bias, qk_norm, layer_norm, tied, context, dtype]
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Model")]
    pub shape: Option<String>,
    /// Folder of config.json files named <org>--<name>.json, looked at first
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Model")]
    pub models: Vec<PathBuf>,
    /// Part of a multimodal model: full or text
    #[arg(long, default_value = "full", value_name = "SCOPE", help_heading = "Model")]
    #[arg(value_parser = names(["full", "text"]), hide_possible_values = true)]
    pub scope: String,
    /// Room for LoRA adapters: rank=N[,targets=q,k,v,o|all-linear][,count=N]
    #[arg(long, value_name = "ADAPTERS", help_heading = "Model")]
    pub lora: Option<String>,
    /// Model that drafts tokens, EAGLE head or small model, named as MODEL is: room for its weights and cache on
    /// the same ranks; with --speculate model its time too
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    pub draft_model: Option<String>,
    /// Ask no hub: what is not at hand or in the local Hugging Face cache is unknown
    #[arg(long, help_heading = "Model")]
    pub offline: bool,
}

impl ModelArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        request.model = self.request();
    }

    /// What is given, as a request about a model.
    pub fn request(&self) -> ModelRequest {
        let folders = self.models.iter().map(|folder| folder.to_string_lossy().into_owned());
        ModelRequest {
            model: self.model.clone(),
            config: None,
            shape: self.shape.clone(),
            models: Texts::given(&folders.collect::<Vec<_>>()),
            scope: Some(self.scope.clone()),
            lora: self.lora.clone(),
            draft_model: self.draft_model.clone(),
            offline: self.offline.then_some(true),
        }
    }

    /// Finds the model.
    pub fn find(&self, catalog: &Catalog) -> Result<Model, Diagnostic> {
        let model = self.request().find(catalog, &self.hub()?)?;
        note_model(&model);
        Ok(model)
    }

    /// The hub that may be asked.
    pub fn hub(&self) -> Result<Hub, Diagnostic> {
        fetch::hub(self.offline)
    }
}

/// Says what a model is.
pub fn note_model(model: &Model) {
    talk::note(|| {
        format!(
            "model {}: family {}{}, weights {}, context {}",
            model.id,
            model.family,
            if model.recognised { "" } else { " (unknown: general rules)" },
            model.quantisation.main_format(),
            model.max_context.map_or("unlimited".to_owned(), |n| n.to_string())
        )
    });
}

/// Says what a cluster costs.
pub fn note_cluster(cluster: &Cluster) {
    talk::note(|| {
        let price =
            cluster.price.map_or("no price".to_owned(), |p| format!("{} USD per GPU and hour", p.get()));
        let kinds = cluster.kinds().map(|gpu| gpu.name.as_str()).collect::<Vec<_>>().join(" and ");
        format!("cluster {}: {} × {kinds}, {price}", cluster.id, cluster.gpus)
    });
}

/// Resolves a request, and says on stderr what was found.
pub fn resolve(request: &Request, task: Task, catalog: &Catalog) -> Result<Resolved, Diagnostic> {
    let resolved = request.resolve_as_flags(task, catalog, fetch::hub(false)?)?;
    note_detected(catalog, request.cluster.as_deref());
    note(request, &resolved);
    Ok(resolved)
}

/// Answers questions that differ in a few options, one beside the other.
pub fn compared(
    task: Task,
    points: &[Point],
    setting: &Setting,
    (output, view): (&OutputArgs, View),
) -> Result<Outcome, Diagnostic> {
    let cluster = points.first().and_then(|point| point.request.cluster.as_deref());
    let beside = ask::compared::written(task, points, setting, view)?;
    note_detected(setting.catalog, cluster);
    if beside.stopped > 0 {
        talk::say(&format!(
            "note: stopped early: {} were not looked at to the end",
            plural(beside.stopped as u64, "question")
        ));
    }
    let outcome = output.answer(&beside.answered)?;
    Ok(match outcome {
        Outcome::NothingFeasible if beside.stopped > 0 => Outcome::Stopped,
        outcome => outcome,
    })
}

/// Says on stderr what `local` and `k8s` stand for, and what was assumed of it.
pub fn note_detected(catalog: &Catalog, name: Option<&str>) {
    if let Some((name, Ok(found))) = name.and_then(|name| Some((name, catalog.detected(name)?))) {
        talk::say(&format!("note: {name} is {}", found.brief()));
        found.notes.iter().for_each(|note| talk::say(&format!("note: {note}")));
        found.unknown_brief().into_iter().for_each(|text| talk::say(&format!("note: {text}")));
    }
}

/// Says on stderr what was found.
pub fn note(request: &Request, resolved: &Resolved) {
    note_model(&resolved.model);
    let workload = &resolved.workload;
    for (flag, asked, assumed) in
        [("--isl", &request.isl, workload.isl), ("--osl", &request.osl, workload.osl)]
    {
        let told = flag == "--osl" && workload.purpose.pools();
        if asked.is_none() && request.trace.is_none() && request.sessions.is_none() && !told {
            talk::note(|| format!("assumed: {flag} {assumed}"));
        }
    }
    // What spans kinds is made of the pools before it.
    let own = |(place, pool): &(usize, &Cluster)| *place == 0 || !pool.spans_kinds();
    resolved.pools.iter().enumerate().filter(own).for_each(|(_, pool)| note_cluster(pool));
    let today = resolved.current.iter().filter_map(|current| current.engine.as_ref());
    talk::caveats(resolved.engines.iter().chain(today));
    for e in &resolved.engines {
        talk::note(|| {
            format!("engine {} {}: KV cache {} unless --kv says otherwise", e.id, e.version, e.kv_types[0])
        });
    }
    resolved.unmeasured.iter().for_each(|(engine, gpu)| kernels::unknown(engine, gpu));
}

/// Lengths, load and targets.
#[derive(Clone, Debug, Args)]
pub struct WorkloadArgs {
    /// Prompt tokens, e.g. 2048 or 2k, which is the same; a list, 1k,8k, of this as of the other loads and of the targets,
    /// answers for each beside the other [default: 2048, less in a shorter context]
    #[arg(long, value_name = "TOKENS", help_heading = "Workload", value_delimiter = ',')]
    #[arg(value_parser = tokens(1..=MAX_LENGTH))]
    pub isl: Vec<u64>,
    /// Output tokens [default: 512, less in a shorter context]
    #[arg(long, value_name = "TOKENS", help_heading = "Workload", value_delimiter = ',')]
    #[arg(value_parser = tokens(1..=MAX_LENGTH))]
    pub osl: Vec<u64>,
    /// Requests in flight over the whole deployment, e.g. 64 or 1,16,64
    #[arg(long, value_name = "N", help_heading = "Workload", conflicts_with = "rate", value_delimiter = ',')]
    #[arg(value_parser = amount(1..=MAX_CONCURRENCY))]
    pub concurrency: Vec<u64>,
    /// Requests per second over the whole deployment, e.g. 5 or "300 req/min"
    #[arg(
        long,
        value_name = "RATE",
        allow_hyphen_values = true,
        help_heading = "Workload",
        value_delimiter = ','
    )]
    pub rate: Vec<String>,
    /// Share of each prompt that is in the prefix cache and not computed, e.g. 50% or 0,0.5
    #[arg(long, value_name = "X", value_parser = probability, help_heading = "Workload", value_delimiter = ',')]
    pub prefix_hit: Vec<f64>,
    /// Accept prompts and outputs beyond the model's context
    #[arg(long, help_heading = "Workload")]
    pub allow_long_context: bool,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    sessions: SessionArgs,
    #[command(flatten)]
    speculation: SpeculationArgs,
}

/// Latency targets.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// Time to first token: 1s or 500ms on the mean, p95:1s at a percentile
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Targets",
        value_delimiter = ','
    )]
    pub ttft: Vec<String>,
    /// Time per output token after the first, in the same forms
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Targets",
        value_delimiter = ','
    )]
    pub tpot: Vec<String>,
    /// From request to last token, in the same forms
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Targets",
        value_delimiter = ','
    )]
    pub e2e: Vec<String>,
}

impl TargetArgs {
    /// Puts the first of each that is given into a request, and several into the lists.
    pub fn fill(&self, request: &mut Request, lists: &mut Lists) -> Result<(), Diagnostic> {
        let mut time = |field: &str, texts: &[String]| {
            let flag = format!("--{field}");
            let one = |t: &String| quantity::<TimeTarget>(&flag, t).map_err(|d| d.help_with(unit(&flag, t)));
            let times = texts.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, Diagnostic>(lists.first(field, &times))
        };
        request.ttft = time("ttft", &self.ttft)?;
        request.tpot = time("tpot", &self.tpot)?;
        request.e2e = time("e2e", &self.e2e)?;
        Ok(())
    }
}

/// What a bare number was likely meant to be: no server writes a token in seconds, and few begin in ten.
fn unit(flag: &str, text: &str) -> Option<String> {
    let (at, number) = text.trim().rsplit_once(':').map_or(("", text.trim()), |(at, n)| (at, n.trim()));
    let n: f64 = number.parse().ok()?;
    let most_seconds = match flag {
        "--tpot" => 1.0,
        "--ttft" => 20.0,
        _ => 600.0,
    };
    let colon = if at.is_empty() { "" } else { ":" };
    Some(format!("{flag} {at}{colon}{number}{}?", if n < most_seconds { "s" } else { "ms" }))
}

impl WorkloadArgs {
    /// Puts the first of each that is given into a request, and several into the lists.
    pub fn fill(&self, request: &mut Request, lists: &mut Lists) -> Result<(), Diagnostic> {
        request.isl = lengths("isl", &self.isl, lists);
        request.osl = lengths("osl", &self.osl, lists);
        request.concurrency = lists.first("concurrency", &self.concurrency);
        request.rate = rates(&self.rate, lists)?;
        request.prefix_hit = shares("prefix_hit", &self.prefix_hit, lists);
        request.allow_long_context = self.allow_long_context.then_some(true);
        self.inputs.fill(request);
        self.sessions.fill(request, lists);
        self.speculation.fill(request);
        self.targets.fill(request, lists)
    }
}

/// Numbers of tokens: the first, and several into the lists.
pub fn lengths(field: &str, tokens: &[u64], lists: &mut Lists) -> Option<LengthEntry> {
    let all: Vec<LengthEntry> = tokens.iter().map(|n| LengthEntry(Lengths::Fixed(*n))).collect();
    lists.first(field, &all)
}

/// Shares: the first, and several into the lists.
pub fn shares(field: &str, shares: &[f64], lists: &mut Lists) -> Option<ShareEntry> {
    lists.first(field, &shares.iter().copied().map(ShareEntry).collect::<Vec<_>>())
}

/// Request rates: the first, and several into the lists.
pub fn rates(texts: &[String], lists: &mut Lists) -> Result<Option<RateEntry>, Diagnostic> {
    let rates = texts.iter().map(|text| rate(text)).collect::<Result<Vec<_>, _>>()?;
    Ok(lists.first("rate", &rates))
}

/// A request rate: a bare number is per second.
pub fn rate(text: &str) -> Result<RateEntry, Diagnostic> {
    quantity("--rate", text)
}

/// A quantity with its unit.
fn quantity<T: FromStr<Err = String>>(flag: &str, text: &str) -> Result<T, Diagnostic> {
    text.parse().map_err(|cause: String| Diagnostic::new(Code::Syntax, cause).at(flag))
}

/// Engine, precision and launch limits.
#[derive(Clone, Debug, Args)]
pub struct EngineArgs {
    /// vllm, sglang, trtllm, llama.cpp, a version (vllm@0.19), a launch (sglang@deepep-eplb), a list, any, or a
    /// YAML file
    /// [default: what runs on the GPU, vllm where it does]
    #[arg(long, value_name = "NAME", help_heading = "Engine")]
    #[arg(value_parser = names(engine_names()), hide_possible_values = true)]
    pub engine: Option<String>,
    /// Store linear layers and experts as bf16, fp16, fp8, fp8_block, mxfp8, int8, int4, mxfp4, nvfp4, or as GGUF
    /// files do: q8_0, q6_k, q5_k_m, q4_k_m, q4_0, iq4_xs, … [default: the checkpoint's own]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', help_heading = "Engine")]
    #[arg(value_parser = names(WeightFormat::ALL.map(WeightFormat::name)), hide_possible_values = true)]
    pub weights: Vec<String>,
    /// Type of the KV cache: bf16, fp16, fp8, q8_0, q4_0 [default: the engine's]
    #[arg(long, value_name = "TYPE", value_delimiter = ',', help_heading = "Engine")]
    #[arg(value_parser = names(["bf16", "fp16", "fp8", "q8_0", "q4_0"]), hide_possible_values = true)]
    pub kv: Vec<String>,
    /// Sequences in one batch; `plan` compares several, e.g. 256,1024 [default: the engine's]
    #[arg(long, value_name = "N", value_delimiter = ',', help_heading = "Engine")]
    #[arg(value_parser = count(1..=MAX_LIMIT))]
    pub max_sequences: Vec<u64>,
    /// Tokens in one step; `plan` compares several, e.g. 2048,8k [default: the engine's]
    #[arg(long, value_name = "N", value_delimiter = ',', help_heading = "Engine")]
    #[arg(value_parser = tokens(1..=MAX_LIMIT))]
    pub max_batched_tokens: Vec<u64>,
    /// The engine's memory fraction, e.g. 0.9 or 90% [default: the engine's]
    #[arg(long, value_name = "X", value_parser = share, help_heading = "Engine")]
    pub memory_fraction: Option<f64>,
    #[command(flatten)]
    pub start: StartArgs,
    /// How it schedules, where it was launched otherwise: any of `scheduling` in its file, e.g.
    /// arrival_poll_steps=10,prefill_graphs=true
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Engine")]
    pub scheduling: Option<String>,
    /// How fast the hosts are beside those of published runs: 0.5 doubles the host's part of steps and requests
    #[arg(long, value_name = "X", help_heading = "Engine")]
    pub host_speed: Option<f64>,
    #[command(flatten)]
    pub host: HostArgs,
}

impl EngineArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        let counts = |set: &[u64]| (!set.is_empty()).then(|| Counts(set.to_vec()));
        let names = |list: &String| Texts(list.split(',').map(|name| name.trim().to_owned()).collect());
        request.engine = self.engine.as_ref().map(names);
        request.weights = Texts::given(&self.weights);
        request.kv = Texts::given(&self.kv);
        request.max_sequences = counts(&self.max_sequences);
        request.max_batched_tokens = counts(&self.max_batched_tokens);
        request.memory_fraction = self.memory_fraction;
        self.start.fill(request);
        request.scheduling.clone_from(&self.scheduling);
        request.host_speed = self.host_speed;
        self.host.fill(request);
    }
}

/// What `--engine` names, files apart.
fn engine_names() -> impl Iterator<Item = &'static str> {
    catalog::entries(Kind::Engine).iter().map(|entry| entry.id).chain(["any"])
}

/// What electricity costs, where the rental price does not include it.
#[derive(Clone, Debug, Args)]
pub struct ElectricityArgs {
    /// Electricity in dollars per kWh, added to the rental price [default: the rental price includes it]
    #[arg(long, value_name = "USD_PER_KWH", value_parser = real, allow_hyphen_values = true, help_heading = "Cost")]
    pub electricity: Option<f64>,
    /// Power of the site over power of its computers [default: 1.54, the mean of Uptime's survey of 2025]
    #[arg(
        long,
        value_name = "RATIO",
        value_parser = real,
        allow_hyphen_values = true,
        help_heading = "Cost",
        requires = "electricity"
    )]
    pub pue: Option<f64>,
    /// Power of the server beside its GPUs, per GPU [default: 0; up to 350 W measured in an HGX H100]
    #[arg(
        long,
        value_name = "W",
        value_parser = real,
        allow_hyphen_values = true,
        help_heading = "Cost",
        requires = "electricity"
    )]
    pub host_watts: Option<f64>,
}

impl ElectricityArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        request.electricity = self.electricity;
        request.pue = self.pue;
        request.host_watts = self.host_watts;
    }
}

/// Prices in a request.
pub fn prices(list: &[String]) -> Option<Prices> {
    (!list.is_empty()).then(|| Prices(list.to_vec()))
}

/// Parallel degrees: a value, a list (`2,4`) or a range (`1..4`, both ends included).
pub fn degrees(flag: &str, text: &Option<String>) -> Result<Vec<u32>, Diagnostic> {
    match text {
        None => Ok(Vec::new()),
        Some(text) => crate::plan::degrees::values(text).map_err(|d| d.at(flag.to_owned())),
    }
}
