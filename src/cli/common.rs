//! Arguments that several commands share, and what they mean.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueHint};
use itertools::Itertools as _;

use crate::catalog::engine::SchedulingPatch;
use crate::catalog::{self, Catalog, Cluster, DEFAULT_ENGINE, Engine, Gpu, Kind, Pools};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::deployment::{Estimate, Explanation};
use crate::estimate::power::Electricity;
use crate::hub::Hub;
use crate::load;
use crate::model::{self, Model, Scope};
use crate::plan::{Offload, Precision};
use crate::report::{self, Format, Subject};
use crate::search::{Launch, LimitOverrides};
use crate::units::{RequestsPerSecond, Seconds, UsdPerHour, UsdPerKilowattHour, Watts};
use crate::workload::{Budget, Load, MAX_CONCURRENCY, MAX_LENGTH, Targets, Workload};

use super::fetch;
use super::host::HostArgs;
use super::speculation::SpeculationArgs;
use super::talk;
use super::values::{count, names, real, share};

/// Largest launch limit accepted.
const MAX_LIMIT: u64 = 1 << 30;

/// Which model.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// Catalogue name, alias, path to a config.json, its folder or a GGUF file, or org/name[@revision] on
    /// the Hugging Face hub
    #[arg(required_unless_present = "shape", conflicts_with = "shape", value_hint = ValueHint::AnyPath)]
    pub model: Option<String>,
    /// Sizes in place of MODEL: layers, hidden, heads, ffn, vocab [, kv, head_dim, experts, top_k,
    /// expert_ffn, shared, dense_layers, tied, context, dtype]
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
    /// Finds the model.
    pub fn find(&self, catalog: &Catalog) -> Result<Model, Diagnostic> {
        let scope = match self.scope.as_str() {
            "full" => Scope::Full,
            "text" => Scope::Text,
            other => {
                return Err(Diagnostic::unknown("scope", other, ["full", "text"], "allowed: full, text"));
            }
        };
        let model = match (&self.shape, &self.model) {
            (Some(shape), _) => model::from_shape(shape).map_err(|d| d.within("--shape"))?,
            (None, Some(name)) => {
                model::find_with(&catalog.clone().with_models(&self.models)?, name, scope, &self.hub()?)?
            }
            (None, None) => return Err(Diagnostic::new(Code::Usage, "name a MODEL or a --shape")),
        };
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
        let model = match &self.lora {
            Some(text) => model.with_lora(&text.parse()?)?,
            None => model,
        };
        match &self.draft_model {
            Some(name) => {
                let catalog = catalog.clone().with_models(&self.models)?;
                let draft = model::find_with(&catalog, name, Scope::Full, &self.hub()?);
                Ok(model.with_draft(draft.map_err(|d| d.within("--draft-model"))?))
            }
            None => Ok(model),
        }
    }

    /// The hub that may be asked.
    pub fn hub(&self) -> Result<Hub, Diagnostic> {
        fetch::hub(self.offline)
    }
}

/// Lengths, load and targets.
#[derive(Clone, Debug, Args)]
pub struct WorkloadArgs {
    /// Prompt tokens [default: 2048, less in a shorter context]
    #[arg(long, value_name = "TOKENS", help_heading = "Workload", value_parser = count(1..=MAX_LENGTH))]
    pub isl: Option<u64>,
    /// Output tokens [default: 512, less in a shorter context]
    #[arg(long, value_name = "TOKENS", help_heading = "Workload", value_parser = count(1..=MAX_LENGTH))]
    pub osl: Option<u64>,
    /// Requests in flight over the whole deployment
    #[arg(long, value_name = "N", help_heading = "Workload", conflicts_with = "rate")]
    #[arg(value_parser = count(1..=MAX_CONCURRENCY))]
    pub concurrency: Option<u64>,
    /// Requests per second over the whole deployment, e.g. 5 or "300 req/min"
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, help_heading = "Workload")]
    pub rate: Option<String>,
    /// Share of each prompt that is in the prefix cache and not computed, in (0, 1]
    #[arg(long, value_name = "X", value_parser = share, help_heading = "Workload")]
    pub prefix_hit: Option<f64>,
    /// Accept prompts and outputs beyond the model's context
    #[arg(long, help_heading = "Workload")]
    pub allow_long_context: bool,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    speculation: SpeculationArgs,
}

/// Latency targets.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// Time to first token, e.g. 1s or 500ms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Targets (mean)")]
    pub ttft: Option<String>,
    /// Time per output token after the first, e.g. 50ms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Targets (mean)")]
    pub tpot: Option<String>,
    /// From request to last token, e.g. 20s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Targets (mean)")]
    pub e2e: Option<String>,
}

impl TargetArgs {
    /// The targets, not yet checked.
    pub fn targets(&self) -> Result<Targets, Diagnostic> {
        let time = |flag: &str, text: &Option<String>| {
            text.as_deref().map(|t| quantity::<Seconds>(flag, t)).transpose()
        };
        Ok(Targets {
            ttft: time("--ttft", &self.ttft)?,
            tpot: time("--tpot", &self.tpot)?,
            e2e: time("--e2e", &self.e2e)?,
            budget: Budget::default(),
        })
    }
}

impl WorkloadArgs {
    /// Refuses what only a comparison of plans takes.
    pub fn of_one_plan(&self) -> Result<(), Diagnostic> {
        self.speculation.single().map(|_| ())
    }

    /// Whether plans are looked at with and without speculative decoding.
    pub fn speculates_or_not(&self) -> bool {
        self.speculation.both()
    }

    /// The workload, checked against the model's context.
    pub fn workload(&self, model: &Model) -> Result<Workload, Diagnostic> {
        let load = match (self.concurrency, &self.rate) {
            (Some(n), _) => Load::Concurrency(n),
            (None, Some(text)) => Load::Rate(rate(text)?),
            (None, None) => Load::Saturate,
        };
        let context = model.max_context.filter(|_| !self.allow_long_context);
        let lengths = Workload::of_lengths(self.isl, self.osl, context);
        for (flag, asked, assumed) in [("--isl", self.isl, lengths.isl), ("--osl", self.osl, lengths.osl)] {
            if asked.is_none() {
                talk::note(|| format!("assumed: {flag} {assumed}"));
            }
        }
        let cached_prefix = prefix(self.prefix_hit, lengths.isl);
        let (targets, speculation) = (self.targets.targets()?, self.speculation.speculation()?);
        let workload = Workload { cached_prefix, load, targets, speculation, ..lengths };
        workload.validate()?;
        if !self.allow_long_context {
            workload.fits_context(model.max_context).map_err(|d| d.at(model.id.clone()))?;
        }
        Ok(workload)
    }
}

/// Cached tokens of a prompt at a hit rate; the last token is always computed.
pub fn prefix(hit: Option<f64>, isl: u64) -> u64 {
    hit.map_or(0, |share| ((isl as f64 * share).round() as u64).min(isl.saturating_sub(1)))
}

/// A request rate: a bare number is per second.
pub fn rate(text: &str) -> Result<RequestsPerSecond, Diagnostic> {
    match text.trim().parse::<f64>() {
        Ok(per_second) => Ok(RequestsPerSecond::new(per_second)),
        Err(_) => quantity("--rate", text),
    }
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
    /// Store linear layers and experts as bf16, fp16, fp8, fp8_block, int8, int4, mxfp4, nvfp4, or as GGUF
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
    /// Tokens in one step; `plan` compares several, e.g. 2048,8192 [default: the engine's]
    #[arg(long, value_name = "N", value_delimiter = ',', help_heading = "Engine")]
    #[arg(value_parser = count(1..=MAX_LIMIT))]
    pub max_batched_tokens: Vec<u64>,
    /// The engine's memory fraction, in (0, 1] [default: the engine's]
    #[arg(long, value_name = "X", value_parser = share, help_heading = "Engine")]
    pub memory_fraction: Option<f64>,
    /// How it schedules, where it was launched otherwise: any of `scheduling` in its file, e.g.
    /// arrival_poll_steps=10,prefill_graphs=true
    #[arg(long, value_name = "KEY=VALUE,…", help_heading = "Engine")]
    pub scheduling: Option<String>,
    #[command(flatten)]
    pub host: HostArgs,
}

impl EngineArgs {
    /// The engines to consider on these pools: those named, every one that runs on one of them, or the
    /// usual ones.
    pub fn engines(&self, catalog: &Catalog, pools: &[Cluster]) -> Result<Vec<Engine>, Diagnostic> {
        let mut engines = self.named_or_usual(catalog, pools)?;
        Engine::tell_apart(&mut engines);
        if let Some(text) = &self.scheduling {
            let patch = load::assignments::<SchedulingPatch>(text, "--scheduling")?;
            for engine in &mut engines {
                patch.apply(&mut engine.scheduling);
                engine.validate().map_err(|d| d.within("--scheduling"))?;
            }
        }
        talk::caveats(&engines);
        for e in &engines {
            talk::note(|| {
                format!(
                    "engine {} {}: KV cache {} unless --kv says otherwise",
                    e.id, e.version, e.kv_types[0]
                )
            });
        }
        Ok(engines)
    }

    fn named_or_usual(&self, catalog: &Catalog, pools: &[Cluster]) -> Result<Vec<Engine>, Diagnostic> {
        match self.engine.as_deref() {
            None => catalog.usual_engines(pools),
            Some("any") => {
                let runs = |e: &Engine| pools.iter().any(|pool| e.runs_on(&pool.gpu));
                let (fit, rest): (Vec<_>, Vec<_>) = catalog.engines()?.into_iter().partition(runs);
                Ok(if fit.is_empty() { rest } else { fit })
            }
            Some(list) => list.split(',').map(str::trim).unique().map(|name| catalog.engine(name)).collect(),
        }
    }

    /// What to say about the choice: an engine that was not asked for, a version newer than those described.
    pub fn remarks(&self, engines: &[Engine], pools: &[Cluster]) -> String {
        let mut text = String::new();
        for engine in engines {
            let claims = |gpu: &Gpu| engine.default_for.iter().any(|p| p == gpu.platform());
            let on = pools.iter().find(|pool| claims(&pool.gpu));
            if let Some(pool) = on.filter(|_| self.engine.is_none() && engine.id != DEFAULT_ENGINE) {
                let (id, gpu) = (&engine.id, &pool.gpu.name);
                text += &format!(
                    "No --engine was named: {id} is the usual one on {gpu}, where {DEFAULT_ENGINE} does not run.\n",
                );
            }
            if let Some(caveat) = engine.caveat() {
                text += &format!("{caveat}.\n");
            }
        }
        text
    }

    /// The precisions to consider.
    pub fn precisions(&self) -> Result<Vec<Precision>, Diagnostic> {
        fn parsed<T: FromStr<Err = Diagnostic>>(list: &[String]) -> Result<Vec<Option<T>>, Diagnostic> {
            let mut all: Vec<Option<T>> =
                list.iter().unique().map(|t| t.parse().map(Some)).collect::<Result<_, _>>()?;
            if all.is_empty() {
                all.push(None);
            }
            Ok(all)
        }
        let weights = parsed::<WeightFormat>(&self.weights)?;
        let caches = parsed::<DType>(&self.kv)?;
        let pairs = weights.into_iter().cartesian_product(caches);
        Ok(pairs.map(|(weights, kv)| Precision { weights, kv }).collect())
    }

    /// The one engine and precision that a single plan has.
    pub fn single(&self, catalog: &Catalog, cluster: &Cluster) -> Result<(Engine, Precision), Diagnostic> {
        let (engines, precisions) =
            (self.engines(catalog, std::slice::from_ref(cluster))?, self.precisions()?);
        match (<[Engine; 1]>::try_from(engines), precisions.as_slice()) {
            (Ok([engine]), [precision]) => Ok((engine, *precision)),
            _ => Err(Diagnostic::new(Code::Usage, "one plan has one engine and one precision")
                .help("`shardfit plan` compares several")),
        }
    }

    /// The launches to consider: every pair of limits, with speculation or both ways.
    ///
    /// # Errors
    /// Proportions of one plan's GPUs: plans that are compared differ in theirs.
    pub fn launches(&self, both: bool) -> Result<Vec<Launch>, Diagnostic> {
        let offload = self.host.offload()?;
        match offload.shares {
            Some(_) => Err(Diagnostic::new(Code::Usage, "plans differ in their GPUs")
                .at("--tensor-split")
                .help("`shardfit estimate --pp N` takes the proportions of one plan")),
            None => Ok(self.launches_with(offload, both)),
        }
    }

    fn launches_with(&self, offload: Offload, both: bool) -> Vec<Launch> {
        let or_default = |set: &[u64]| match set {
            [] => vec![None],
            set => set.iter().unique().map(|n| Some(*n)).collect(),
        };
        let pairs = or_default(&self.max_sequences)
            .into_iter()
            .cartesian_product(or_default(&self.max_batched_tokens))
            .cartesian_product(if both { vec![true, false] } else { vec![true] });
        let launch = |((max_sequences, max_batched_tokens), speculates)| Launch {
            limits: LimitOverrides {
                max_sequences,
                max_batched_tokens,
                memory_fraction: self.memory_fraction,
                offload,
            },
            speculates,
        };
        pairs.map(launch).collect()
    }

    /// The launch limits of a single plan of `pp` stages.
    pub fn limits(&self, pp: u32) -> Result<LimitOverrides, Diagnostic> {
        match self.launches_with(self.host.offload_over(pp)?, false).as_slice() {
            [one] => Ok(one.limits),
            _ => Err(Diagnostic::new(Code::Usage, "one plan has one limit of each kind")
                .at("--max-sequences, --max-batched-tokens")
                .help("`shardfit plan` compares several")),
        }
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
    /// What was said, checked.
    pub fn electricity(&self) -> Result<Option<Electricity>, Diagnostic> {
        let Some(price) = self.electricity else { return Ok(None) };
        let electricity = Electricity {
            price: UsdPerKilowattHour::new(price),
            pue: self.pue.unwrap_or(Electricity::MEAN_PUE),
            host: Watts::new(self.host_watts.unwrap_or(0.0)),
        };
        electricity.validate().map(|()| Some(electricity))
    }
}

/// The pools of a cluster with prices overridden.
pub fn pools(catalog: &Catalog, name: &str, prices: &[String]) -> Result<Pools, Diagnostic> {
    let all = catalog.pools(name)?;
    let pools = all.pools.into_iter().map(|pool| priced(catalog, pool, prices));
    Ok(Pools { id: all.id, pools: pools.collect::<Result<_, _>>()? })
}

/// A cluster of one kind of GPU, with prices overridden.
pub fn cluster(catalog: &Catalog, name: &str, prices: &[String]) -> Result<Cluster, Diagnostic> {
    pools(catalog, name, prices)?.single()
}

/// `gpus` of a GPU in its usual servers, with prices overridden.
pub fn cluster_of(catalog: &Catalog, gpu: &str, gpus: u32, prices: &[String]) -> Result<Cluster, Diagnostic> {
    let mut cluster = Cluster::of_gpus(catalog.gpu(gpu)?, gpus)?;
    if !load::is_yaml(gpu) {
        cluster.id = format!("{gpus}x{}", gpu.trim());
    }
    priced(catalog, cluster, prices)
}

/// Prices name GPUs of the catalogue or the cluster's own.
fn priced(catalog: &Catalog, mut cluster: Cluster, prices: &[String]) -> Result<Cluster, Diagnostic> {
    for entry in prices {
        let wrong = |why: &str| {
            Diagnostic::new(Code::Usage, format!("`{}`: {why}", brief(entry)))
                .at("--price")
                .help("write GPU=DOLLARS per GPU and hour, for example h100-sxm=2.10")
        };
        let (gpu, dollars) = entry.split_once('=').ok_or_else(|| wrong("expected GPU=DOLLARS"))?;
        let dollars: f64 = dollars.trim().parse().map_err(|_| wrong("not a number"))?;
        if !(dollars >= 0.0 && dollars.is_finite()) {
            return Err(wrong("must not be negative"));
        }
        let own = gpu.trim() == cluster.gpu.id;
        if own || catalog.find(Kind::Gpu, gpu.trim()).map_err(|d| d.within("--price"))?.id() == cluster.gpu.id
        {
            cluster.price = Some(UsdPerHour::new(dollars));
        }
    }
    talk::note(|| {
        let price =
            cluster.price.map_or("no price".to_owned(), |p| format!("{} USD per GPU and hour", p.get()));
        format!("cluster {}: {} × {}, {price}", cluster.id, cluster.gpus, cluster.gpu.name)
    });
    Ok(cluster)
}

/// Parallel degrees: a value, a list (`2,4`) or a range (`1..4`, both ends included).
pub fn degrees(flag: &str, text: &Option<String>) -> Result<Vec<u32>, Diagnostic> {
    match text {
        None => Ok(Vec::new()),
        Some(text) => crate::plan::degrees::values(text).map_err(|d| d.at(flag.to_owned())),
    }
}

/// An estimate explained operator by operator.
pub fn explained(
    format: Format,
    width: Option<u16>,
    subject: &Subject,
    estimate: &Estimate,
    explanation: &Explanation,
) -> Result<String, Diagnostic> {
    format.write(
        width,
        || Ok(report::explanation(estimate, explanation, width)),
        || Ok(report::explanation_json(subject, estimate, explanation)),
        || Ok(report::explanation_sheet(explanation).about(subject.asked())),
    )
}
