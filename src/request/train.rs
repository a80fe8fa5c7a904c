//! What a person asks of training, and the names and defaults of it.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{exclude, range, usage, within};
use super::form::{self, in_fields, named};
use super::resolve::{at_price, with_host};
use super::trainer::{Asked, Trainer, Trainers};
use super::{Amount, ModelRequest, Prices, Texts, Values};
use crate::catalog::{Catalog, Cluster};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::hub::Hub;
use crate::model::{Lora, Model};
use crate::plan::degrees;
use crate::stop::Stop;
use crate::train::{
    Convention, Job, Machine, Offload, Operations, Optimizer, Precision, Schedule, TrainingAnswer,
    TrainingAxes, TrainingQuestion, Tuning,
};
use crate::units::{BytesPerSecond, Seconds};

/// Longest sequence and largest batch accepted.
pub const MOST: u64 = 1 << 24;

/// Most plans that an answer keeps.
pub const MOST_PLANS: u64 = 1000;

/// The adapters that are trained where `--tuning` asks for some and none are described: the rank of torchtune's, Axolotl's and
/// LLaMA-Factory's examples lies between 8 and 32, on all linear layers as the QLoRA paper has them (arXiv:2305.14314).
pub const USUAL_ADAPTERS: &str = "rank=16,targets=all-linear";

/// Plans that an answer keeps unless told otherwise.
const TOP: u64 = 10;

/// What a person asks of `train`, in the names of the command line's options with underscores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TrainRequest {
    /// Version of this form of a request; 1 is the only one.
    pub schema_version: Option<u64>,
    /// Which model.
    #[serde(flatten)]
    pub model: ModelRequest,
    /// Cluster: a name, `8xh100-sxm`, `2048xh100-sxm` or a YAML file.
    pub cluster: Option<String>,
    /// Price per GPU and hour in dollars, over the catalogue's: `{"h100-sxm": 2.10}`.
    pub price: Option<Prices>,
    /// Sequences of one step, over all GPUs.
    #[schemars(range(min = 1, max = 16777216))]
    pub global_batch: Option<u64>,
    /// Tokens of a sequence.
    #[schemars(range(min = 1, max = 16777216))]
    #[schemars(extend("x-unit" = "tokens"))]
    pub seq: Option<u64>,
    /// Training framework, by name or YAML file; when left out megatron-bridge, or where that does not run or tune so one
    /// that does.
    pub framework: Option<String>,
    /// adam (when left out), adam-bf16, adam-8bit, adafactor, sgd or muon.
    pub optimizer: Option<String>,
    /// Number formats of products that compete: bf16 (when left out, or fp16 where the GPU has no BF16), fp16 with the loss
    /// scaled, fp8, mxfp8, nvfp4.
    pub precision: Option<Texts>,
    /// full (when left out), lora or qlora; the last two train the adapters of `lora`.
    pub tuning: Option<String>,
    /// Whether multi-token prediction is trained too, where the model has it.
    pub mtp: Option<bool>,
    /// Which plans: usual (when left out: what frameworks offer) or calculon (the axes of Calculon's exhaustive search).
    pub axes: Option<String>,
    /// Tensor parallel: a value, a list or a range; all inside a node that divide when left out.
    pub tp: Option<Values>,
    /// Pipeline stages, as `tp`.
    pub pp: Option<Values>,
    /// Context parallel; 1, 2, 4 and 8 when left out.
    pub cp: Option<Values>,
    /// Expert parallel, as `tp`.
    pub ep: Option<Values>,
    /// Tensor parallel inside experts; 1 when left out.
    pub expert_tp: Option<Values>,
    /// Sequences of a microbatch; 1, 2, 4 and 8 when left out.
    pub micro_batch: Option<Values>,
    /// Chunks of layers on each rank of a pipeline.
    pub vp: Option<Values>,
    /// 1f1b, zero-bubble, zero-bubble-h2, dualpipe; 1f1b when left out, interleaved where `vp` is above 1.
    pub schedule: Option<Texts>,
    /// ddp, zero1, zero2, zero3 (FSDP), hsdp; zero1 and zero3 when left out.
    pub sharding: Option<Texts>,
    /// none, selective, light, operators, full; all when left out.
    pub recompute: Option<Texts>,
    /// What may lie in the host's memory: weights, optimizer, activations; nothing when left out.
    pub offload: Option<Texts>,
    /// Memory of each node's host, such as `memory=256GiB,bandwidth=307GB/s`: plans that leave more there are none; the
    /// cluster's when left out, if its file says.
    pub host: Option<String>,
    /// Tokens of the whole run, such as `15T`: days and dollars.
    pub tokens: Option<Amount>,
    /// Mean time between failures of one GPU, such as `50000 h`; that of Llama 3's training when left out.
    pub mtbf: Option<String>,
    /// From a failure to the next step; 10 min when left out.
    pub restart: Option<String>,
    /// Bandwidth of each node to storage; 2 GB/s when left out.
    pub storage: Option<String>,
    /// Splits to keep; 10 when left out.
    #[schemars(range(min = 1, max = 1000))]
    pub top: Option<u64>,
    /// The plan of this rank operator by operator, in place of the ranking.
    #[schemars(range(min = 1, max = 1000))]
    pub explain: Option<u64>,
    /// Why plans with these degrees are not the best, such as `tp=2,pp=1`, in place of the ranking.
    pub why_not: Option<String>,
    /// The best plan as the files of megatron, torchtitan or deepspeed, in place of the ranking.
    pub emit: Option<String>,
    /// What TFLOP/s and MFU count: model (when left out: causal attention), whole-square, recomputed (forward twice) or
    /// 6n.
    pub flops: Option<String>,
}

/// A training question with every name looked up and every default in place.
#[derive(Clone, Debug)]
pub struct Training {
    /// The model in each format of products.
    pub models: Vec<(Precision, Model)>,
    /// Where it is trained, at the prices of the request.
    pub cluster: Cluster,
    /// Who trains.
    pub trainer: Trainer,
    /// Why it is not the usual one, where nobody was named.
    pub passed_over: Option<String>,
    /// Those that train where none is named.
    pub trainers: Trainers,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// What is trained.
    pub tuning: Tuning,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Sequences of one step.
    pub global_batch: u64,
    /// Whether multi-token prediction is trained too.
    pub with_prediction: bool,
    /// The plans that compete.
    pub axes: TrainingAxes,
    /// The plans that are asked about, where it is asked why they are not the best.
    pub why_not: Option<TrainingAxes>,
    /// How the run is operated.
    pub operations: Operations,
    /// What MFU counts.
    pub convention: Convention,
    /// Plans to keep.
    pub top: usize,
    /// The rank to explain.
    pub explain: Option<u64>,
    /// The adapters that are trained, where only they are.
    pub lora: Option<Lora>,
    /// The framework whose files are wanted.
    pub emit: Option<String>,
}

/// What is trained in which steps, whatever the model and wherever it is trained.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Who may train.
    pub trainers: Trainers,
    /// The formats of products that compete; the usual one on the GPU where none is named.
    pub precisions: Vec<Precision>,
    /// The orders of microbatches that compete, where they are named.
    pub schedules: Option<Vec<Schedule>>,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Sequences of one step.
    pub global_batch: u64,
    /// How the run is operated.
    pub operations: Operations,
}

fn parsed<T: FromStr<Err = Diagnostic>>(list: &Option<Texts>, usual: Vec<T>) -> Result<Vec<T>, Diagnostic> {
    match list {
        Some(list) if !list.0.is_empty() => list.0.iter().map(|text| text.trim().parse()).collect(),
        _ => Ok(usual),
    }
}

/// A positive quantity with its unit.
fn positive<T: FromStr<Err = String>>(
    flag: &str,
    text: &Option<String>,
    usual: T,
    value: fn(&T) -> f64,
) -> Result<T, Diagnostic> {
    let Some(text) = text else { return Ok(usual) };
    let parsed: T = text.parse().map_err(|cause: String| Diagnostic::new(Code::Syntax, cause).at(flag))?;
    if value(&parsed) > 0.0 {
        return Ok(parsed);
    }
    Err(range(flag, format!("`{}` is not above zero", brief(text))))
}

form::asked!(TrainRequest);

impl TrainRequest {
    /// Looks up every name and puts every default in place.
    ///
    /// # Errors
    /// What is wrong, in the names of the request's fields.
    pub fn resolve(&self, catalog: &Catalog) -> Result<Training, Diagnostic> {
        let resolved = Hub::from_environment().and_then(|hub| self.resolve_as_flags(catalog, &hub));
        resolved.map_err(in_fields::<TrainRequest>)
    }

    /// Resolves a request that was made on a command line, with the hub that it uses.
    ///
    /// # Errors
    /// As [`TrainRequest::resolve`], in the names of the command line's options.
    pub fn resolve_as_flags(&self, catalog: &Catalog, hub: &Hub) -> Result<Training, Diagnostic> {
        form::version(self.schema_version)?;
        exclude(&[
            ("--explain", self.explain.is_some(), "--why-not", self.why_not.is_some()),
            ("--explain", self.explain.is_some(), "--emit", self.emit.is_some()),
            ("--why-not", self.why_not.is_some(), "--emit", self.emit.is_some()),
        ])?;
        let steps = self.steps(catalog)?;
        let name = self.cluster.as_deref().ok_or_else(|| usage("missing: --cluster"))?;
        if self.model.draft_model.is_some() {
            return Err(usage("a draft model serves, it is not trained with").at("--draft-model"));
        }
        // Adapters of the usual rank on all linear layers, where none are described.
        if self.model.lora.is_none() && named(&self.tuning, Tuning::Full)? != Tuning::Full {
            let model = ModelRequest { lora: Some(USUAL_ADAPTERS.to_owned()), ..self.model.clone() };
            return TrainRequest { model, ..self.clone() }.resolve_as_flags(catalog, hub);
        }
        let model = self.model.find(catalog, hub)?;
        let mut cluster = catalog.pools(name)?.single()?;
        with_host(&mut cluster, &self.host)?;
        self.training(steps, &model, at_price(catalog, cluster, &self.price)?)
    }

    /// What is trained in which steps.
    ///
    /// # Errors
    /// A figure that is missing or out of range, an unknown name, in the names of the command line's options.
    pub fn steps(&self, catalog: &Catalog) -> Result<Steps, Diagnostic> {
        let operations = self.operations()?;
        let count = |flag: &str, n: Option<u64>| {
            within(flag, n, 1..=MOST)?.ok_or_else(|| usage(format!("missing: {flag}")))
        };
        let (global_batch, sequence) =
            (count("--global-batch", self.global_batch)?, count("--seq", self.seq)?);
        let trainers = Trainers::of(catalog, self.framework.as_deref())?;
        let mut precisions: Vec<Precision> = parsed(&self.precision, Vec::new())?;
        precisions.dedup();
        let schedules = parsed(&self.schedule, Vec::new())?;
        Ok(Steps {
            trainers,
            precisions,
            schedules: Some(schedules).filter(|named| !named.is_empty()),
            optimizer: named(&self.optimizer, Optimizer::Adam)?,
            sequence,
            global_batch,
            operations,
        })
    }

    /// The training of a model on a cluster in these steps.
    ///
    /// # Errors
    /// A GPU that lacks what training needs; adapters that the model does not have; what is wrong with the rest of the
    /// request, in the names of the command line's options.
    pub fn training(&self, steps: Steps, model: &Model, cluster: Cluster) -> Result<Training, Diagnostic> {
        let Steps { trainers, mut precisions, optimizer, sequence, global_batch, .. } = steps;
        let convention = named(&self.flops, Convention::Model)?;
        let tuning = named(&self.tuning, Tuning::Full)?;
        tuning.check(model)?;
        let offload = self.offloads()?;
        let asked =
            Asked { tuning, offload: offload.as_deref().unwrap_or_default(), precisions: &precisions };
        let trainer = trainers.on(&cluster, asked).ok_or_else(|| usage("no framework is known"))?.clone();
        let passed_over = trainers.passed_over(&cluster, asked);
        if precisions.is_empty() {
            precisions.push(Precision::usual(&trainer.framework, &cluster.gpu));
        }
        // As of a server: a degree that divides nothing would be ignored.
        if !model.is_moe() && self.ep.as_ref().is_some_and(|ep| ep.0.iter().all(|n| *n > 1)) {
            return Err(usage("expert parallel needs a mixture of experts").at("--ep"));
        }
        let models = precisions.iter().map(|p| (*p, Job::in_precision(model, *p))).collect();
        let per_node = Machine::new(&cluster, &trainer.framework, &trainer.engine)?.per_node();
        let mut axes = self.axes(per_node, precisions)?;
        axes.schedules = steps.schedules.unwrap_or(axes.schedules);
        let why_not = self.why_not.as_deref().map(|text| pinned(text, &axes)).transpose()?;
        let top = within("--top", self.top, 1..=MOST_PLANS)?.unwrap_or(TOP);
        let explain = within("--explain", self.explain, 1..=MOST_PLANS)?;
        Ok(Training {
            models,
            cluster,
            trainer,
            passed_over,
            trainers,
            optimizer,
            tuning,
            sequence,
            global_batch,
            with_prediction: self.mtp == Some(true),
            axes,
            why_not,
            operations: steps.operations,
            convention,
            top: usize::try_from(top.max(explain.unwrap_or(1))).unwrap_or(usize::MAX),
            explain,
            lora: self.model.lora.as_deref().map(str::parse).transpose()?,
            emit: self.emit.clone(),
        })
    }

    fn operations(&self) -> Result<Operations, Diagnostic> {
        let usual = Operations::USUAL;
        Ok(Operations {
            tokens: self.tokens.as_ref().map(|tokens| tokens.above_zero("--tokens")).transpose()?,
            failure: positive("--mtbf", &self.mtbf, usual.failure, |t: &Seconds| t.get())?,
            restart: positive("--restart", &self.restart, usual.restart, |t: &Seconds| t.get())?,
            storage: positive("--storage", &self.storage, usual.storage, |r: &BytesPerSecond| r.get())?,
        })
    }

    fn axes(&self, per_node: u32, precision: Vec<Precision>) -> Result<TrainingAxes, Diagnostic> {
        let mut axes = match self.axes.as_deref() {
            None | Some("usual") => TrainingAxes::usual(per_node),
            Some("calculon") => TrainingAxes::calculon(),
            Some(other) => {
                let known = ["usual", "calculon"];
                return Err(Diagnostic::unknown("axes", other, known, "allowed: usual, calculon"));
            }
        };
        axes.precision = precision;
        let given = [
            (&self.tp, &mut axes.tp),
            (&self.pp, &mut axes.pp),
            (&self.cp, &mut axes.cp),
            (&self.ep, &mut axes.ep),
            (&self.expert_tp, &mut axes.expert_tp),
            (&self.micro_batch, &mut axes.micro_batch),
            (&self.vp, &mut axes.chunks),
        ];
        for (values, axis) in given {
            if let Some(values) = values {
                axis.clone_from(&values.0);
            }
        }
        if self.tp.is_some() {
            axes.most_tp = u32::MAX;
        }
        axes.sharding = parsed(&self.sharding, axes.sharding)?;
        axes.recompute = parsed(&self.recompute, axes.recompute)?;
        if let Some(offload) = self.offloads()? {
            axes.offload = offload;
        }
        Ok(axes)
    }

    /// What may lie with the host, where anything is named.
    fn offloads(&self) -> Result<Option<Vec<Offload>>, Diagnostic> {
        let named = self.offload.as_ref().filter(|list| !list.0.is_empty());
        named.map(|list| offloads(&list.0)).transpose()
    }
}

/// Nothing on the host, and all of what is named.
fn offloads(names: &[String]) -> Result<Vec<Offload>, Diagnostic> {
    let mut all = vec![Offload::default()];
    for name in names {
        let with = |o: &Offload| match name.as_str() {
            "weights" => Ok(Offload { weights: true, ..*o }),
            "optimizer" => Ok(Offload { optimizer: true, ..*o }),
            "activations" => Ok(Offload { activations: true, ..*o }),
            other => {
                let known = ["weights", "optimizer", "activations"];
                let list = "allowed: weights, optimizer, activations";
                Err(Diagnostic::unknown("thing to offload", other, known, list))
            }
        };
        let more: Vec<Offload> = all.iter().map(with).collect::<Result<_, _>>()?;
        more.into_iter().for_each(|o| {
            if !all.contains(&o) {
                all.push(o);
            }
        });
    }
    Ok(all)
}

/// Degrees as `tp=2,pp=1` says, over the axes of the question.
fn pinned(text: &str, axes: &TrainingAxes) -> Result<TrainingAxes, Diagnostic> {
    let keys = ["tp", "pp", "cp", "ep", "expert_tp", "mbs", "vp"];
    let mut axes = axes.clone();
    for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Diagnostic::new(Code::Syntax, format!("`{}` is no key=value", brief(pair)))
                .at("--why-not")
                .help("for example tp=2,pp=1")
        })?;
        let axis = match key.trim() {
            "tp" => &mut axes.tp,
            "pp" => &mut axes.pp,
            "cp" => &mut axes.cp,
            "ep" => &mut axes.ep,
            "expert_tp" => &mut axes.expert_tp,
            "mbs" => &mut axes.micro_batch,
            "vp" => &mut axes.chunks,
            other => {
                let list = format!("allowed: {}", keys.join(", "));
                return Err(Diagnostic::unknown("key", other, keys, &list).at("--why-not"));
            }
        };
        *axis = degrees::values(value.trim()).map_err(|d| d.at("--why-not"))?;
        if key.trim() == "tp" {
            axes.most_tp = u32::MAX;
        }
    }
    Ok(axes)
}

impl Training {
    /// Hands the job in each format of products to `then`, which asks about them and says what was found.
    ///
    /// # Errors
    /// A GPU that lacks what training needs, and what `then` says.
    pub fn jobs<T>(
        &self,
        then: impl FnOnce(&[(Precision, Job)]) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        let machine = Machine::new(&self.cluster, &self.trainer.framework, &self.trainer.engine)?;
        let job = |model| Job {
            model,
            machine: &machine,
            sequence: self.sequence,
            global_batch: self.global_batch,
            optimizer: self.optimizer,
            tuning: self.tuning,
            with_prediction: self.with_prediction,
        };
        let jobs: Vec<(Precision, Job)> = self.models.iter().map(|(p, m)| (*p, job(m))).collect();
        then(&jobs)
    }

    /// The best of the plans on some axes.
    ///
    /// # Errors
    /// As [`TrainingQuestion::answer`].
    pub fn ask(
        &self,
        jobs: &[(Precision, Job)],
        axes: &TrainingAxes,
        stop: Stop,
    ) -> Result<TrainingAnswer, Diagnostic> {
        TrainingQuestion { jobs, axes, top: self.top, stop }.answer()
    }
}
