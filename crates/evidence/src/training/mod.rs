//! Training runs: what a source leaves to be known about its runs, and its notes say of each.

mod recipes;

use shardfit::catalog::Catalog;
use shardfit::train::{Convention, Optimizer, Recompute};
use shardfit::validate::training::{Run, Source, model, predict_run};
use shardfit::validate::{Prediction, Row};

use recipes::{MegatronTest, adapters};

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

/// Predicts a row.
pub fn predict(row: &Row, catalog: &Catalog) -> Prediction {
    predict_run(row, catalog, || run(row, catalog))
}

/// Reads a row.
fn run(row: &Row, catalog: &Catalog) -> Result<Run, String> {
    let text = |column: &str| row.text(column).unwrap_or("");
    let source = format!("{} {}", text("framework"), text("source"));
    let (name, convention) = origin(row, &source)?;
    let framework = |name: &str| catalog.framework(name).map_err(|d| d.cause);
    let (named, technique) = (text("model").to_lowercase(), text("technique").to_lowercase());
    let test = MegatronTest::of(row);
    let model = match &test {
        Some(test) => test.model(row)?,
        None => model::of(row, catalog)?,
    };
    let known = Source::of(row, framework(name)?, model)?;
    let experts_as_the_rest = test.is_some();
    let mut known = Source { convention, adapters: adapters(name, &named), experts_as_the_rest, ..known };
    if let Some(test) = &test {
        known.framework.dropout = test.dropout;
        known.gpus = Some(test.gpus.into());
        known.chunks = Some(MegatronTest::chunks(row));
    }
    if named.contains("tokendrop") {
        // Experts take as many tokens as they have room for, so that the host need not wait for counts.
        known.framework.time.host_routed_layer = framework("megatron-bridge")?.time.host_routed_layer;
    }
    let mut run = Run::of(row, known, catalog)?;
    run.with_prediction &= !named.contains("w/o mtp");
    match name {
        "torchtune" => as_torchtune(&mut run, &technique, text("notes"))?,
        "litgpt" => as_litgpt(&mut run, row, &technique),
        _ => {}
    }
    Ok(run)
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

/// Whether a run of Megatron Bridge is from before layers of experts were captured in CUDA graphs: containers up
/// to 26.04.
fn older_bridge(row: &Row) -> bool {
    let notes = row.text("notes").unwrap_or("");
    let version = notes.split("Megatron-Bridge ").nth(1).and_then(|rest| rest.get(..5));
    version.is_some_and(|v| v < "26.05")
}

/// LitGPT's finetune scripts.
fn as_litgpt(run: &mut Run, row: &Row, technique: &str) {
    run.optimizer = Optimizer::AdamBf16;
    run.framework.memory.nf4.double = row.text("precision").is_some_and(|p| p.contains("nf4-dq"));
    if technique.contains("fsdp") {
        // finetune/lora.py: activation_checkpointing_policy={Block}.
        run.recompute = Some(Recompute::Full);
    }
}

/// Steps of torchtune's table of optimisations, each on top of those before it; its other recipes compute
/// whole layers again (`enable_activation_checkpointing`).
fn as_torchtune(run: &mut Run, technique: &str, notes: &str) -> Result<(), String> {
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
    run.optimizer = Optimizer::AdamBf16;
    run.recompute = Some(Recompute::Full);
    run.plan.offload.optimizer = notes.contains("CPU offload");
    run.plan.offload.weights = run.plan.offload.optimizer;
    if !technique.contains("cumulative") {
        return Ok(());
    }
    let done = STEPS.iter().rposition(|step| technique.contains(step));
    let done = done.ok_or("sequences of unstated length")?;
    run.framework.memory.eager = done < 1;
    if done < 2 {
        // FP32 logits, their logarithms and their gradient.
        run.framework.memory.loss_copies = 3.0;
    }
    if done < 3 {
        run.recompute = Some(Recompute::None);
    }
    if done >= 4 {
        // The optimizer runs as soon as a gradient is there, and frees it.
        run.framework.gradient_bytes = 0;
    }
    run.plan.offload.activations = done >= 5;
    if done >= 6 {
        run.optimizer = Optimizer::Adam8bit;
    }
    Ok(())
}
