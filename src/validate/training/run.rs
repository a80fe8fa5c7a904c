//! A training run as a row states it, and what its source leaves unsaid.

use crate::catalog::{Catalog, Cluster, Framework};
use crate::model::Model;
use crate::train::{
    Convention, Job, Machine, Optimizer, Precision, Recompute, Schedule, Sharding, Split, TensorTransfers,
    TrainingPlan, Tuning,
};

use super::super::Row;
use super::recipes::{MegatronTest, adapters};
use super::{cluster, framework, model};

/// A run.
pub struct Run {
    /// The model in its precision, with adapters.
    pub model: Model,
    /// GPUs.
    pub cluster: Cluster,
    /// Framework.
    pub framework: Framework,
    /// The plan; its recomputation only if `recompute` says so too.
    pub plan: TrainingPlan,
    /// What is computed again, if the row says.
    pub recompute: Option<Recompute>,
    /// What the source counts as FLOPs.
    pub convention: Convention,
    /// Which weights are trained.
    pub tuning: Tuning,
    /// Whether multi-token prediction is trained.
    pub with_prediction: bool,
    /// Whether memory is that of the last stage.
    pub last_stage: bool,
    /// Whether memory is what the allocator reserved, and not what was allocated.
    pub reserved: bool,
    optimizer: Optimizer,
    sequence: u64,
    global_batch: u64,
}

/// GPUs of a run that states none: its parameters and experts divide over that many.
const USUAL_GPUS: u64 = 64;

/// What a source leaves to be known about it: a part of its `source` or `framework`, the framework, and what
/// it counts.
const SOURCES: &[(&str, &str, Convention)] = &[
    ("2205.05198", "megatron-2022", Convention::WholeSquare),
    ("2104.04473", "megatron-2022", Convention::Recomputed),
    // Appendix of arXiv:2104.04473, cited by arXiv:2201.11990 §2.4.
    ("2201.11990", "megatron-2022", Convention::Recomputed),
    ("Megatron-Bridge", "megatron-bridge", Convention::Model),
    ("NVIDIA/NeMo", "nemo", Convention::WholeSquare),
    ("mlcommons", "nemo", Convention::Model),
    ("2412.19437", "hai-llm", Convention::Model),
    ("202412_torchtitan", "torchtitan-2024", Convention::WholeSquare),
    ("2025-06_torchtitan", "torchtitan-2024", Convention::WholeSquare),
    ("torchtitan", "torchtitan", Convention::WholeSquare),
    ("llm-foundry", "llm-foundry", Convention::WholeSquare),
    ("1910.02054", "deepspeed", Convention::Model),
    ("torchtune", "torchtune", Convention::Model),
    ("litgpt", "litgpt", Convention::Model),
    ("Megatron-LM", "megatron", Convention::Model),
];

impl Run {
    /// Reads a row.
    pub fn read(row: &Row, catalog: &Catalog) -> Result<Run, String> {
        let source = format!("{} {}", row.text("framework").unwrap_or(""), row.text("source").unwrap_or(""));
        let (name, convention) = origin(row, &source)?;
        let mut framework = framework(name, catalog)?;
        let gpu = gpu(row, catalog)?;
        let named = row.text("model").unwrap_or("").to_lowercase();
        let technique = row.text("technique").unwrap_or("").to_lowercase();
        let test = MegatronTest::of(row);
        let (split, gpus) = split(row, test.as_ref())?;
        let tuning = tuning(row, &named, &technique)?;
        let precision = precision(row)?;
        let model = match &test {
            Some(test) => test.model(row)?,
            None => model::of(row, catalog)?,
        };
        let mut model = Job::in_precision(&model, precision);
        if tuning != Tuning::Full {
            model = model.with_lora(&adapters(name, &named)).map_err(|d| d.cause)?;
        }
        if let Some(test) = &test {
            framework.dropout = test.dropout;
        }
        if named.contains("tokendrop") {
            // Experts take as many tokens as they have room for, so that the host need not wait for counts.
            let captured = catalog.framework("megatron-bridge").map_err(|d| d.cause)?;
            framework.time.host_routed_layer = captured.time.host_routed_layer;
        }
        let sequence = row.whole("seq").ok_or("no seq")?;
        let micro_batch = first(row, &["micro_batch", "mbs"]).unwrap_or(1);
        let local = u64::from(split.dp) * micro_batch;
        let global_batch = first(row, &["global_batch", "gbs"]).unwrap_or(local);
        let plan = TrainingPlan {
            micro_batch: u32::try_from(micro_batch).map_err(|_| "micro_batch is out of range")?,
            chunks: if test.is_some() { MegatronTest::chunks(row) } else { chunks(row, &technique) },
            precision,
            ..plan(row, split, (name, &source))
        };
        let with_prediction = !named.contains("w/o mtp") && !model.mtp.is_empty();
        let mut run = Run {
            model,
            cluster: cluster(&gpu, gpus, catalog)?,
            framework,
            plan: settle(plan, name, global_batch),
            recompute: recompute(row).or(name.starts_with("torchtitan").then_some(Recompute::Operators)),
            convention,
            tuning,
            with_prediction,
            last_stage: row.text("unit_note").is_some_and(|n| n.contains("LAST rank")),
            reserved: row.text("unit_note").is_none_or(|n| n.contains("reserved")),
            optimizer: Optimizer::Adam,
            sequence,
            global_batch,
        };
        if name == "torchtune" {
            run.as_torchtune(&technique, row.text("notes").unwrap_or(""))?;
        }
        if name == "litgpt" {
            run.as_litgpt(row, &technique);
        }
        Ok(run)
    }

    /// LitGPT's finetune scripts.
    fn as_litgpt(&mut self, row: &Row, technique: &str) {
        self.optimizer = Optimizer::AdamBf16;
        self.framework.memory.nf4.double = row.text("precision").is_some_and(|p| p.contains("nf4-dq"));
        if technique.contains("fsdp") {
            // finetune/lora.py: activation_checkpointing_policy={Block}.
            self.recompute = Some(Recompute::Full);
        }
    }

    /// Steps of torchtune's table of optimisations, each on top of those before it; its other recipes compute
    /// whole layers again (`enable_activation_checkpointing`).
    fn as_torchtune(&mut self, technique: &str, notes: &str) -> Result<(), String> {
        const STEPS: [&str; 9] = [
            "packed",
            "compile",
            "chunked",
            "checkpointing",
            "in backward",
            "offloading",
            "8-bit",
            "lora",
            "qlora",
        ];
        self.optimizer = Optimizer::AdamBf16;
        self.recompute = Some(Recompute::Full);
        self.plan.offload.optimizer = notes.contains("CPU offload");
        self.plan.offload.weights = self.plan.offload.optimizer;
        if !technique.contains("cumulative") {
            return Ok(());
        }
        let done = STEPS.iter().rposition(|step| technique.contains(step));
        let done = done.ok_or("sequences of unstated length")?;
        self.framework.memory.eager = done < 1;
        if done < 2 {
            // FP32 logits, their logarithms and their gradient.
            self.framework.memory.loss_copies = 3.0;
        }
        if done < 3 {
            self.recompute = Some(Recompute::None);
        }
        if done >= 4 {
            // The optimizer runs as soon as a gradient is there, and frees it.
            self.framework.gradient_bytes = 0;
        }
        self.plan.offload.activations = done >= 5;
        if done >= 6 {
            self.optimizer = Optimizer::Adam8bit;
        }
        Ok(())
    }

    /// The job on a machine.
    pub fn job<'a>(&'a self, machine: &'a Machine<'a>) -> Job<'a> {
        Job {
            model: &self.model,
            machine,
            sequence: self.sequence,
            global_batch: self.global_batch,
            optimizer: self.optimizer,
            tuning: self.tuning,
            with_prediction: self.with_prediction,
        }
    }
}

/// The framework of a row and what its source counts as FLOPs.
fn origin<'a>(row: &Row<'a>, source: &str) -> Result<(&'a str, Convention), String> {
    let known = SOURCES.iter().find(|(part, ..)| source.contains(part));
    match (known, row.text("framework")) {
        (Some((_, "megatron-bridge", convention)), _) if older_bridge(row) => Ok(("nemo", *convention)),
        (Some((_, name, convention)), _) => Ok((*name, *convention)),
        (None, Some(name)) => Ok((name, Convention::Model)),
        (None, None) => Err("no framework: neither the source's nor a column `framework`".into()),
    }
}

/// Which weights a row trains.
fn tuning(row: &Row, named: &str, technique: &str) -> Result<Tuning, String> {
    if technique.contains("adapter v2") {
        return Err("scales and biases of every product are trained: not modelled".into());
    }
    let narrow = row.text("precision").is_some_and(|p| p.contains("nf4"));
    Ok(match () {
        () if technique.contains("qlora") || narrow => Tuning::Qlora,
        () if ["lora", "adapter"].iter().any(|t| named.contains(t) || technique.contains(t)) => Tuning::Lora,
        () => Tuning::Full,
    })
}

/// The plan of a row as far as its split, framework and source decide it.
fn plan(row: &Row, split: Split, (name, source): (&str, &str)) -> TrainingPlan {
    let report = source.contains("2412.19437");
    TrainingPlan {
        schedule: if report { Schedule::DualPipe } else { Schedule::OneForwardOneBackward },
        sharding: sharding(row, &split, name),
        transfers: transfers(row, &split, name),
        ..TrainingPlan::new(split)
    }
}

/// Whether a run of Megatron Bridge is from before layers of experts were captured in CUDA graphs: containers up
/// to 26.04.
fn older_bridge(row: &Row) -> bool {
    let notes = row.text("notes").unwrap_or("");
    let version = notes.split("Megatron-Bridge ").nth(1).and_then(|rest| rest.get(..5));
    version.is_some_and(|v| v < "26.05")
}

/// A pipeline of torchtitan takes its local batch apart into as many microbatches as it has stages.
fn settle(plan: TrainingPlan, framework: &str, global_batch: u64) -> TrainingPlan {
    let in_pipeline = framework.starts_with("torchtitan") && plan.split.pp > 1 && plan.micro_batch > 1;
    let micro_batch = if in_pipeline { (plan.micro_batch / plan.split.pp).max(1) } else { plan.micro_batch };
    let plan = TrainingPlan { micro_batch, ..plan };
    if plan.microbatches(global_batch).is_some() { plan } else { TrainingPlan { micro_batch: 1, ..plan } }
}

/// The first of several columns that states a number.
fn first(row: &Row, columns: &[&str]) -> Option<u64> {
    columns.iter().find_map(|c| row.whole(c))
}

/// The GPU's catalogue name: the column itself, or what it is called in logs.
fn gpu(row: &Row, catalog: &Catalog) -> Result<String, String> {
    let text = row.text("gpu").ok_or("no gpu")?;
    if catalog.gpu(text).is_ok() {
        return Ok(text.to_owned());
    }
    let has = |part: &str| text.contains(part);
    let memory = row.number("gpu_mem_gib").unwrap_or(0.0);
    Ok(match () {
        () if has("GB200") => "gb200",
        () if has("H200") => "h200-sxm",
        () if has("H100") && memory > 90.0 => "h100-sxm-96gb",
        () if has("H100") => "h100-sxm",
        () if has("A100") && (has("40") || memory < 45.0 && memory > 0.0) => "a100-sxm-40gb",
        () if has("A100") => "a100-sxm-80gb",
        () => return Err(format!("unknown gpu {text}")),
    }
    .to_owned())
}

fn split(row: &Row, test: Option<&MegatronTest>) -> Result<(Split, u32), String> {
    let (tp, pp, cp) = (row.degree("tp"), row.degree("pp"), row.degree("cp"));
    let leading = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let stated = ["dp", "dp_fsdp"].into_iter().find_map(|c| row.text(c).and_then(leading));
    let each = u64::from(tp) * u64::from(pp) * u64::from(cp);
    let of_experts = u64::from(tp) * u64::from(pp) * u64::from(row.degree("ep"));
    let unstated = each.max(of_experts).max(test.map_or(USUAL_GPUS, |t| t.gpus.into()));
    let gpus = row.whole("num_gpus").or(stated.map(|dp: u64| dp * each)).unwrap_or(unstated);
    if gpus < each || !gpus.is_multiple_of(each) {
        return Err(format!("{gpus} GPUs do not divide by tp · pp · cp = {each}"));
    }
    let dp = u32::try_from(gpus / each).map_err(|_| "num_gpus is out of range")?;
    let ep = row.degree("ep");
    let ranks = u64::from(tp) * u64::from(cp) * u64::from(dp);
    if !ranks.is_multiple_of(u64::from(ep)) {
        return Err(format!("ep = {ep} does not divide the {ranks} ranks of a stage"));
    }
    // Megatron's experts are divided as the rest is unless they say otherwise.
    let usual = if test.is_some() { tp } else { 1 };
    let expert_tp = row.whole("etp").and_then(|n| u32::try_from(n).ok()).unwrap_or(usual);
    let gpus = u32::try_from(gpus).map_err(|_| "num_gpus is out of range")?;
    Ok((Split { tp, pp, cp, dp, ep, expert_tp }, gpus))
}

fn precision(row: &Row) -> Result<Precision, String> {
    let text = row.text("precision").unwrap_or("bf16").to_lowercase();
    let has = |part: &str| text.contains(part);
    Ok(match () {
        () if has("nvfp4") && has(" or ") => return Err(format!("precision {text} is not one")),
        () if has("nvfp4") => Precision::Nvfp4,
        () if has("mxfp8") || has("fp8-mx") => Precision::Mxfp8,
        () if has("fp8") || has("float8") => Precision::Fp8,
        () => Precision::Bf16,
    })
}

fn chunks(row: &Row, technique: &str) -> u32 {
    match ["vp", "vpp"].into_iter().find_map(|c| row.whole(c)) {
        Some(n) => u32::try_from(n).unwrap_or(1),
        None if technique.contains("interleaved") => 2,
        None => 1,
    }
}

fn sharding(row: &Row, split: &Split, framework: &str) -> Sharding {
    let replicas = u64::from(split.dp) * u64::from(split.cp);
    if replicas == 1 {
        return Sharding::None;
    }
    match (row.text("fsdp"), row.text("optimizer_sharding")) {
        (Some("FULL_SHARD"), _) => Sharding::Parameters,
        (Some("SHARD_GRAD_OP"), _) => Sharding::Gradients,
        (Some("NO_SHARD"), _) => Sharding::None,
        (Some(n), _) if n.parse::<f64>().is_ok_and(|n| n > 1.0) => {
            let all = n.parse::<f64>().is_ok_and(|n| n >= replicas as f64);
            if all { Sharding::Parameters } else { Sharding::Hybrid }
        }
        (_, Some(text)) if text.contains("FSDP") => Sharding::Parameters,
        (_, Some("distributed-optimizer")) => Sharding::Optimizer,
        (_, Some("none")) => Sharding::None,
        _ if matches!(framework, "torchtitan" | "torchtitan-2024" | "torchtune" | "litgpt") => {
            Sharding::Parameters
        }
        _ if framework == "megatron-2022" => Sharding::None,
        _ => Sharding::Optimizer,
    }
}

fn transfers(row: &Row, split: &Split, framework: &str) -> TensorTransfers {
    if split.tp == 1 {
        return TensorTransfers::AllReduce;
    }
    let stated = row.text("sequence_parallel").or(row.text("sp"));
    match stated {
        Some("0" | "False") if !framework.starts_with("torchtitan") => TensorTransfers::AllReduce,
        None if framework == "megatron-2022" => TensorTransfers::AllReduce,
        _ => TensorTransfers::Gathered,
    }
}

/// What is computed again, where the row says so in words that are understood.
fn recompute(row: &Row) -> Option<Recompute> {
    let text = row.text("recompute")?;
    let titan = row.text("source").is_some_and(|s| s.contains("torchtitan"));
    match text {
        "full" => Some(Recompute::Full),
        "none" | "none//" | "none//1" => Some(Recompute::None),
        _ if text.starts_with("full/") => Some(Recompute::Full),
        "attn_only" => Some(Recompute::Selective),
        // Norms, activation functions, the expansion of latent attention.
        _ if text.contains("up-proj") => Some(Recompute::Light),
        _ if text.contains("selective") && titan => Some(Recompute::Operators),
        _ if text.contains("selective") => Some(Recompute::Selective),
        _ => None,
    }
}
