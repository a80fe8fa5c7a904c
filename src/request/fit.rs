//! What a person asks of `fit`: which models run on a machine.
use itertools::Itertools as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Texts;
use super::checks::{range, usage, within};
use super::form::{self, in_fields};
use super::model::folders;
use super::resolve::with_host;
use crate::catalog::published::{self, Purpose};
use crate::catalog::{Catalog, Cluster, Engine, Kind, Pools, joined};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::dtype::{DType, WeightFormat};
use crate::fit::{Answer, Candidate, LicenseFilter, Need, Question};
use crate::units::{Bytes, TokensPerSecond};
use crate::workload::{MAX_LENGTH, Workload};

/// Tokens of a conversation that must find room unless told otherwise: what chat programs start with (Ollama 4,096, LM
/// Studio 4,096) and a document beside it.
pub const CONTEXT: u64 = 8192;

/// Tokens per second below which a model is too slow to talk with unless told otherwise: people read about 240 words a
/// minute (Brysbaert 2019, doi:10.1016/j.jml.2019.104047), at 1.3 tokens a word.
pub const READING: f64 = 5.0;

/// Models that a list holds unless told otherwise.
const TOP: u64 = 20;

/// Most of them.
pub const MOST_MODELS: u64 = 100_000;

/// Engines that people start on a machine of their own; others are named, or `any`.
const ENGINES: [&str; 3] = ["llama.cpp", "vllm", "sglang"];

/// What a person asks of `fit`, in the names of the command line's options with underscores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FitRequest {
    /// Version of this form of a request; 1 is the only one.
    pub schema_version: Option<u64>,
    /// Machine: `1xrtx-4090`, a name, or a YAML file.
    pub cluster: Option<String>,
    /// Memory of the host: `memory=64GiB,bandwidth=83.2GB/s[,link=32GB/s]`; the cluster's when left out.
    pub host: Option<String>,
    /// Engines: `llama.cpp`, a version `vllm@0.19`, several, or `any`; llama.cpp, vLLM and SGLang where they run when
    /// left out.
    pub engine: Option<Texts>,
    /// Formats of weights to look at, such as `q4_k_m`; all when left out.
    pub weights: Option<Texts>,
    /// Type of the KV cache, such as `fp8`, for engines that have it; the engine's when left out.
    pub kv: Option<String>,
    /// Tokens of the longest conversation that must find room; 8,192 when left out, less of models made for less.
    #[schemars(range(min = 1, max = 100000000))]
    #[schemars(extend("x-unit" = "tokens"))]
    pub context: Option<u64>,
    /// Prompt tokens of the speeds, 2,048 when left out.
    #[schemars(range(min = 1, max = 100000000))]
    #[schemars(extend("x-unit" = "tokens"))]
    pub isl: Option<u64>,
    /// Output tokens of the speeds, 512 when left out.
    #[schemars(range(min = 1, max = 100000000))]
    #[schemars(extend("x-unit" = "tokens"))]
    pub osl: Option<u64>,
    /// What models are for: chat, code, vision, embedding or reasoning; all but embedding when left out.
    pub task: Option<String>,
    /// Fewest tokens per second of one user; 5 when left out, about as fast as people read.
    pub min_tokens: Option<f64>,
    /// Most memory of each GPU that a model and one conversation may take, such as `16GiB`.
    pub max_memory: Option<String>,
    /// Licences, such as `apache-2.0`, or `permissive` for all that let everybody use, change and sell a model.
    pub license: Option<Texts>,
    /// Families: parts of names or model types, such as `qwen3`.
    pub family: Option<Texts>,
    /// First day of release: `2025`, `2025-06` or `2025-06-30`.
    pub since: Option<String>,
    /// Whether every way that runs is listed, and not one for each model.
    pub all_formats: Option<bool>,
    /// Models to list; 20 when left out.
    #[schemars(range(min = 1, max = 100000))]
    pub top: Option<u64>,
    /// Folders of config.json files named `<org>--<name>.json`, looked at before the catalogue.
    pub models: Option<Texts>,
}

/// A request with every name looked up and every default in place.
#[derive(Clone, Debug)]
pub struct Fitting {
    catalog: Catalog,
    candidates: Vec<Candidate>,
    /// The machine; where its GPUs are of several kinds, all of them as one replica has them.
    pub cluster: Cluster,
    /// Its GPUs of one kind each, and other choices of them, where they are of several.
    parts: Vec<Cluster>,
    /// Engines that may run there.
    pub engines: Vec<Engine>,
    /// What a model must do and be.
    pub need: Need,
    /// Prompt and output tokens of the speeds, where a model's context has room for them.
    pub lengths: (u64, u64),
    /// Whether every way is listed.
    pub every_way: bool,
    /// Models to list.
    pub top: usize,
}

fn texts(list: &Option<Texts>) -> impl Iterator<Item = &str> {
    list.iter().flat_map(|list| &list.0).map(|text| text.trim()).filter(|text| !text.is_empty())
}

form::asked!(FitRequest);

impl FitRequest {
    /// Looks up every name and puts every default in place.
    ///
    /// # Errors
    /// What is wrong, in the names of the request's fields.
    pub fn resolve(&self, catalog: &Catalog) -> Result<Fitting, Diagnostic> {
        self.resolve_as_flags(catalog).map_err(in_fields::<FitRequest>)
    }

    /// Resolves a request that was made on a command line.
    ///
    /// # Errors
    /// As [`FitRequest::resolve`], in the names of the command line's options.
    pub fn resolve_as_flags(&self, catalog: &Catalog) -> Result<Fitting, Diagnostic> {
        form::version(self.schema_version)?;
        let name = self.cluster.as_deref().ok_or_else(|| {
            usage("missing: --cluster").help("the machine, for example --cluster 1xrtx-4090 or 1xm4-max")
        })?;
        let folders = folders(&self.models, catalog)?;
        let mut pools = catalog.pools(name)?;
        pools.pools.iter_mut().try_for_each(|pool| with_host(pool, &self.host))?;
        let (cluster, parts) = machine(pools)?;
        let catalog = catalog.clone().with_models(&folders)?;
        let engines = self.engines(&catalog, &cluster)?;
        let need = self.need(&engines)?;
        let top = within("--top", self.top, 1..=MOST_MODELS)?.unwrap_or(TOP);
        Ok(Fitting {
            candidates: candidates(&catalog),
            // Names are those of entries: a folder that is called like one is not meant.
            catalog: catalog.sealed(),
            cluster,
            parts,
            engines,
            lengths: (need.isl.unwrap_or(Workload::DEFAULT_ISL), need.osl.unwrap_or(Workload::DEFAULT_OSL)),
            need,
            every_way: self.all_formats == Some(true),
            top: usize::try_from(top).unwrap_or(usize::MAX),
        })
    }

    /// What a model must be, whatever it is to run on.
    ///
    /// # Errors
    /// As [`FitRequest::resolve`], in the names of the command line's options.
    pub fn wanted(&self) -> Result<Need, Diagnostic> {
        self.need(&[])
    }

    fn engines(&self, catalog: &Catalog, cluster: &Cluster) -> Result<Vec<Engine>, Diagnostic> {
        let named: Vec<&str> = texts(&self.engine).unique().collect();
        let every = || -> Result<Vec<Engine>, Diagnostic> {
            Ok(catalog.engines()?.into_iter().filter(|engine| engine.runs_on(&cluster.gpu)).collect())
        };
        let mut engines = match named.as_slice() {
            ["any"] => every()?,
            [] => {
                let all = every()?;
                let usual: Vec<Engine> =
                    all.iter().filter(|engine| ENGINES.contains(&engine.id.as_str())).cloned().collect();
                if usual.is_empty() { all } else { usual }
            }
            names => names.iter().map(|name| catalog.engine(name)).collect::<Result<Vec<_>, _>>()?,
        };
        if let Some(engine) = engines.iter().find(|engine| !engine.runs_on(&cluster.gpu)) {
            let runs: Vec<String> = every()?.into_iter().map(|engine| engine.id).collect();
            return Err(usage(format!("{} does not run on {}", engine.id, cluster.gpu.name))
                .at("--engine")
                .help(format!("there run: {}", runs.join(", "))));
        }
        if engines.is_empty() {
            return Err(usage(format!("no engine is known to run on {}", cluster.gpu.name)).at("--cluster"));
        }
        Engine::tell_apart(&mut engines);
        Ok(engines)
    }

    fn need(&self, engines: &[Engine]) -> Result<Need, Diagnostic> {
        let length = |flag: &str, tokens| within(flag, tokens, 1..=MAX_LENGTH);
        let (isl, osl) = (length("--isl", self.isl)?, length("--osl", self.osl)?);
        let stated = length("--context", self.context)?;
        let asked = isl.unwrap_or(0).saturating_add(osl.unwrap_or(0));
        if let Some(context) = stated.filter(|context| asked > *context) {
            let cause = format!("isl and osl, {asked} tokens, exceed a conversation of {context}");
            return Err(range("--context", cause).help("shorter lengths, or a longer context"));
        }
        let formats: Vec<WeightFormat> = texts(&self.weights)
            .map(|text| text.parse::<WeightFormat>().map_err(|d| d.within("--weights")))
            .collect::<Result<_, _>>()?;
        if let Some(format) =
            formats.iter().find(|format| !engines.iter().any(|engine| engine.weight_formats.contains(format)))
        {
            let mut loads = engines.iter().map(|engine| {
                format!(
                    "{} {}",
                    engine.id,
                    engine.weight_formats.iter().map(|format| format.name()).join(", ")
                )
            });
            return Err(usage(format!("no engine that is asked for loads {format}"))
                .at("--weights")
                .help(format!("they load: {}", loads.join("; "))));
        }
        let kv =
            self.kv.as_deref().map(|text| text.parse::<DType>().map_err(|d| d.within("--kv"))).transpose()?;
        if let Some(kv) = kv.filter(|kv| !engines.iter().any(|engine| engine.kv_types.contains(kv))) {
            return Err(usage(format!("no engine that is asked for has a KV cache of {kv}")).at("--kv"));
        }
        let purpose =
            self.task.as_deref().map(|text| text.parse::<Purpose>().map_err(|d| d.within("--task")));
        Ok(Need {
            isl,
            osl,
            context: stated.unwrap_or(CONTEXT.max(asked)),
            context_is_stated: stated.is_some(),
            least: TokensPerSecond::new(self.least()?),
            most_memory: self.max_memory.as_deref().map(most_memory).transpose()?,
            kv,
            formats,
            purpose: purpose.transpose()?,
            licenses: texts(&self.license).map(license).collect::<Result<_, _>>()?,
            families: texts(&self.family).map(str::to_owned).collect(),
            since: self.since.as_deref().map(day).transpose()?,
        })
    }

    fn least(&self) -> Result<f64, Diagnostic> {
        match self.min_tokens {
            Some(rate) if !(rate >= 0.0 && rate.is_finite()) => {
                Err(range("--min-tokens", format!("`{rate}` is no rate"))
                    .help("tokens per second, 0 for any"))
            }
            rate => Ok(rate.unwrap_or(READING)),
        }
    }
}

fn most_memory(text: &str) -> Result<Bytes, Diagnostic> {
    let wrong = |cause: String| {
        Diagnostic::new(Code::Syntax, cause).at("--max-memory").help("for example 16GiB or 12 GB")
    };
    match text.trim().parse::<Bytes>().map_err(wrong)? {
        Bytes::ZERO => Err(wrong("no memory holds no model".to_owned())),
        bytes => Ok(bytes),
    }
}

fn license(text: &str) -> Result<LicenseFilter, Diagnostic> {
    if text.eq_ignore_ascii_case("permissive") {
        return Ok(LicenseFilter::Permissive);
    }
    let known = published::licenses();
    match known.iter().any(|license| license.eq_ignore_ascii_case(text)) {
        true => Ok(LicenseFilter::Named(text.to_owned())),
        false => {
            let list = format!("permissive, or one of {}", known.iter().join(", "));
            let names = known.iter().copied().chain(["permissive"]);
            Err(Diagnostic::unknown("licence", text, names, &list).within("--license"))
        }
    }
}

/// A day, or the first of a month or year, as text that sorts like the day.
fn day(text: &str) -> Result<String, Diagnostic> {
    let text = text.trim();
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, digits: usize, to: u32| {
        part.len() == digits && part.parse::<u32>().is_ok_and(|n| (1..=to).contains(&n))
    };
    let sound = match parts.as_slice() {
        [year] => number(year, 4, 9999),
        [year, month] => number(year, 4, 9999) && number(month, 2, 12),
        [year, month, day] => number(year, 4, 9999) && number(month, 2, 12) && number(day, 2, 31),
        _ => false,
    };
    match sound {
        true => Ok(text.to_owned()),
        false => Err(Diagnostic::new(Code::Syntax, format!("`{}` is not a day", brief(text)))
            .at("--since")
            .help("for example 2025, 2025-06 or 2025-06-30")),
    }
}

/// Every model of the catalogue, with those that are quantised forms of another under that one.
fn candidates(catalog: &Catalog) -> Vec<Candidate> {
    let ids: Vec<&str> = catalog.entries(Kind::Model).iter().map(|entry| entry.id()).collect();
    let whole = |id: &str| {
        let of = published::facts(id)?.of.as_deref()?;
        ids.binary_search(&of).is_ok().then_some(of)
    };
    let forms = ids.iter().filter_map(|id| Some((whole(id)?, (*id).to_owned()))).into_group_map();
    let own = ids.iter().filter(|id| whole(id).is_none());
    own.map(|id| Candidate { id: (*id).to_owned(), forms: forms.get(*id).cloned().unwrap_or_default() })
        .collect()
}

/// A machine: the GPUs of one kind; of several kinds that share it all of them together, and apart from that the kinds and
/// other choices of them, on each of which a model may run.
fn machine(pools: Pools) -> Result<(Cluster, Vec<Cluster>), Diagnostic> {
    let mut parts = joined(&pools.pools);
    let whole = |cluster: &Cluster| {
        u64::from(cluster.cards_of_replica().unwrap_or(0)) == pools.gpus()
            && cluster.cards.len() == pools.pools.len()
    };
    match parts.iter().position(whole) {
        None => Ok((pools.single()?, Vec::new())),
        Some(place) => {
            let all = parts.remove(place);
            let apart = |pool: Cluster| Cluster { id: format!("{}x{}", pool.gpus, pool.gpu.id), ..pool };
            parts.extend(pools.pools.into_iter().map(apart));
            Ok((Cluster { id: pools.id, ..all }, parts))
        }
    }
}

impl Fitting {
    /// Which models run, and how.
    ///
    /// # Errors
    /// A GPU description that lacks what kernels need.
    pub fn answer(&self) -> Result<Answer, Diagnostic> {
        let Fitting { catalog, candidates, cluster, parts, engines, need, every_way, .. } = self;
        Question { catalog, candidates, cluster, parts, engines, need, every_way: *every_way }.answer()
    }
}
