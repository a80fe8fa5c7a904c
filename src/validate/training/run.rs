//! A training run as a row states it.

use crate::catalog::{Catalog, Cluster, Framework, Kind};
use crate::model::{Lora, Model};
use crate::train::{
    Convention, Job, Machine, Optimizer, Precision, Recompute, Schedule, Sharding, Split, TensorTransfers,
    TrainingPlan, Tuning,
};

use super::super::Row;
use super::model;

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
    /// Optimizer.
    pub optimizer: Optimizer,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Sequences of a step.
    pub global_batch: u64,
}

/// What is known of a run beside its sizes: of a row that says it, or of its source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Framework.
    pub framework: Framework,
    /// What its reports count as FLOPs.
    pub convention: Convention,
    /// The model, in the checkpoint's format.
    pub model: Model,
    /// Which weights are trained.
    pub tuning: Tuning,
    /// Adapters, where those are trained.
    pub adapters: Lora,
    /// GPUs of a run that states none, where its split needs no more; a server's where nothing is known.
    pub gpus: Option<u64>,
    /// Whether experts are split as the rest is where the run does not say otherwise.
    pub experts_as_the_rest: bool,
    /// Chunks of layers on a rank, where it is not for the row to say.
    pub chunks: Option<u32>,
}

impl Source {
    /// As far as the row says.
    ///
    /// # Errors
    /// What the row lacks, or what is not known.
    pub fn read(row: &Row, catalog: &Catalog) -> Result<Source, String> {
        Source::of(row, framework(row, catalog)?, model::of(row, catalog)?)
    }

    /// Of a run of this framework and model.
    ///
    /// # Errors
    /// What is not modelled.
    pub fn of(row: &Row, framework: Framework, model: Model) -> Result<Source, String> {
        let targets = ["q", "k", "v", "o"].map(str::to_owned).to_vec();
        Ok(Source {
            convention: framework.counts,
            tuning: tuning(row)?,
            adapters: Lora { rank: 16, count: 1, targets },
            gpus: None,
            // --expert-tensor-parallel-size is --tensor-model-parallel-size unless set.
            experts_as_the_rest: framework.id == "megatron",
            chunks: None,
            framework,
            model,
        })
    }
}

impl Run {
    /// Reads a row.
    ///
    /// # Errors
    /// What the row lacks, or what is not known.
    pub fn read(row: &Row, catalog: &Catalog) -> Result<Run, String> {
        Run::of(row, Source::read(row, catalog)?, catalog)
    }

    /// A row's run where this is known of it.
    ///
    /// # Errors
    /// As [`Run::read`].
    pub fn of(row: &Row, source: Source, catalog: &Catalog) -> Result<Run, String> {
        let gpu = gpu(row, catalog)?;
        let server = catalog.gpu(&gpu).map_err(|d| d.cause)?.gpus_per_node;
        let technique = row.text("technique").unwrap_or("").to_lowercase();
        let (split, gpus) = split(row, &source, server)?;
        let precision = precision(row)?;
        let mut model = Job::in_precision(&source.model, precision);
        if source.tuning != Tuning::Full {
            model = model.with_lora(&source.adapters).map_err(|d| d.cause)?;
        }
        let name = source.framework.id.as_str();
        let sequence = row.whole("seq").ok_or("no seq")?;
        let micro_batch = first(row, &["micro_batch", "mbs"]).unwrap_or(1);
        let local = u64::from(split.dp) * micro_batch;
        let global_batch = first(row, &["global_batch", "gbs"]).unwrap_or(local);
        let plan = TrainingPlan {
            micro_batch: u32::try_from(micro_batch).map_err(|_| "micro_batch is out of range")?,
            chunks: source.chunks.unwrap_or_else(|| chunks(row, &technique)),
            precision,
            ..plan(row, split, name)
        };
        Ok(Run {
            cluster: cluster(&gpu, gpus, catalog)?,
            plan: settle(plan, name, global_batch),
            recompute: recompute(row, name).or_else(|| usual_recompute(name)),
            convention: source.convention,
            tuning: source.tuning,
            with_prediction: !model.mtp.is_empty(),
            last_stage: row.text("unit_note").is_some_and(|n| n.contains("LAST rank")),
            reserved: row.text("unit_note").is_none_or(|n| n.contains("reserved")),
            // PyTorch's optimizers keep their states in the type of the weights.
            optimizer: if source.framework.master_weights { Optimizer::Adam } else { Optimizer::AdamBf16 },
            framework: source.framework,
            model,
            sequence,
            global_batch,
        })
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

/// The framework of a row: one whose description cites the file or paper that the row comes from, else the column's,
/// else one that column or source name, or whose repository they do.
fn framework(row: &Row, catalog: &Catalog) -> Result<Framework, String> {
    let stated = row.text("framework");
    let column = stated.and_then(|name| catalog.framework(name).ok());
    let text = [stated, row.text("source")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let entries = catalog.entries(Kind::Framework);
    let known: Vec<Framework> = entries.iter().filter_map(|e| catalog.framework(e.id()).ok()).collect();
    let cited = |f: &&Framework| f.sources.iter().filter_map(|s| Cited::of(s)).any(|c| c.is_in(&text));
    let named = known.iter().filter_map(|f| Some((longest_name(f, &text)?, f))).max_by_key(|(n, _)| *n);
    let hosted = |f: &&Framework| f.sources.iter().filter_map(|s| repository(s)).any(|r| text.contains(r));
    let cited = known.iter().find(cited).or(column.as_ref());
    let found = cited.or(named.map(|(_, f)| f)).or_else(|| known.iter().find(hosted));
    match (found, stated) {
        (Some(found), _) => Ok(found.clone()),
        (None, Some(name)) => catalog.framework(name).map_err(|d| d.cause),
        (None, None) => Err("no framework: neither the source's nor a column `framework`".into()),
    }
}

/// A paper or a file that a description cites.
enum Cited<'a> {
    /// By its arXiv number.
    Paper(&'a str),
    /// In a repository.
    File(&'a str, &'a str),
}

impl<'a> Cited<'a> {
    fn of(address: &'a str) -> Option<Cited<'a>> {
        if let Some(number) = address.strip_prefix("https://arxiv.org/abs/") {
            return Some(Cited::Paper(number));
        }
        let file = address.rsplit('/').next().filter(|last| last.ends_with(".md"))?;
        Some(Cited::File(repository(address)?, file))
    }

    fn is_in(&self, text: &str) -> bool {
        match self {
            Cited::Paper(number) => text.contains(number),
            Cited::File(repository, file) => text.contains(repository) && text.contains(file),
        }
    }
}

/// `owner/name` of an address of GitHub.
fn repository(address: &str) -> Option<&str> {
    let rest = address.strip_prefix("https://github.com/")?;
    let mut slashes = rest.match_indices('/').map(|(at, _)| at);
    slashes.next()?;
    Some(&rest[..slashes.next().unwrap_or(rest.len())])
}

/// Length of the longest of a framework's names that stands in a text as words of its own.
fn longest_name(framework: &Framework, text: &str) -> Option<usize> {
    let text = text.to_lowercase();
    let names = framework.aliases.iter().chain([&framework.id, &framework.name]).map(|n| n.to_lowercase());
    let stands = |name: &String| {
        text.match_indices(name.as_str()).any(|(at, found)| {
            let whole = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
            whole(text[..at].chars().next_back()) && whole(text[at + found.len()..].chars().next())
        })
    };
    names.filter(stands).map(|name| name.len()).max()
}

/// Which weights a row trains.
fn tuning(row: &Row) -> Result<Tuning, String> {
    let [named, technique] = ["model", "technique"].map(|c| row.text(c).unwrap_or("").to_lowercase());
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

/// The plan of a row as far as its split and framework decide it.
fn plan(row: &Row, split: Split, framework: &str) -> TrainingPlan {
    TrainingPlan {
        // arXiv:2412.19437 §3.2.1.
        schedule: if framework == "hai-llm" { Schedule::DualPipe } else { Schedule::OneForwardOneBackward },
        sharding: sharding(row, &split, framework),
        transfers: transfers(row, &split, framework),
        ..TrainingPlan::new(split)
    }
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

fn split(row: &Row, source: &Source, server: u32) -> Result<(Split, u32), String> {
    let (tp, pp, cp) = (row.degree("tp"), row.degree("pp"), row.degree("cp"));
    let leading = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let stated = ["dp", "dp_fsdp"].into_iter().find_map(|c| row.text(c).and_then(leading));
    let each = u64::from(tp) * u64::from(pp) * u64::from(cp);
    let of_experts = u64::from(tp) * u64::from(pp) * u64::from(row.degree("ep"));
    let unstated = each.max(of_experts).max(source.gpus.unwrap_or(server.into()));
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
    let usual = if source.experts_as_the_rest { tp } else { 1 };
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
        () if has("fp16") && !has("bf16") => Precision::Fp16,
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

/// What a framework's recipes compute again, where they agree.
fn usual_recompute(framework: &str) -> Option<Recompute> {
    match framework {
        "torchtitan" | "torchtitan-2024" => Some(Recompute::Operators),
        // enable_activation_checkpointing: True
        "torchtune" => Some(Recompute::Full),
        _ => None,
    }
}

/// What is computed again, where the row says so in words that are understood.
fn recompute(row: &Row, framework: &str) -> Option<Recompute> {
    let text = row.text("recompute")?;
    let titan = framework.starts_with("torchtitan");
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

/// The cluster of a row.
fn cluster(gpu: &str, gpus: u32, catalog: &Catalog) -> Result<Cluster, String> {
    let gpu = catalog.gpu(gpu).map_err(|d| d.cause)?;
    Cluster::of_gpus(gpu, gpus).map_err(|d| d.cause)
}

#[cfg(test)]
mod tests {
    use super::super::super::Table;
    use super::*;

    #[test]
    fn frameworks_are_those_of_the_column_or_of_what_the_source_names() {
        for (column, source, id) in [
            ("torchtitan", "", "torchtitan"),
            ("mcore", "our own runs", "megatron"),
            ("Megatron-LM CI golden", "NVIDIA/Megatron-LM@d98e8a64dd:tests/functional_tests", "megatron"),
            (
                "torchtitan",
                "pytorch/torchtitan:benchmarks/llama3_h100_202412_torchtitan.md",
                "torchtitan-2024",
            ),
            ("", "arXiv 2205.05198 via calculon-ai/calculon", "megatron-2022"),
            ("", "arXiv:2412.19437, Table 1", "hai-llm"),
            ("", "NVIDIA-NeMo/Megatron-Bridge:docs/performance-summary.md", "megatron-bridge"),
            ("", "NVIDIA/NeMo:docs/source/performance/performance_summary.md", "nemo"),
            ("", "mlcommons/training_results_v5.1:NVIDIA/results", "nemo"),
            ("", "mosaicml/llm-foundry:scripts/train/benchmarking/README.md", "llm-foundry"),
        ] {
            let table =
                Table::of_rows(&["framework", "source"], &[vec![column.into(), source.into()]], "rows");
            let found = framework(&table.row(0), &Catalog::built_in()).map(|f| f.id);
            assert_eq!(found.as_deref(), Ok(id), "{column}, {source}");
        }
        let table = Table::of_rows(&["source"], &[vec!["somebody's page on zeros".into()]], "rows");
        assert!(framework(&table.row(0), &Catalog::built_in()).is_err());
    }
}
