//! Whether what the user leaves to the host's memory, or to each stage, can be.

use crate::catalog::{Cluster, Engine};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::Model;
use crate::plan::{Offload, Shares};

/// Checks that what the user leaves to the host can be.
///
/// # Errors
/// [`Code::Usage`] where the engine, the model or the GPU cannot, or nothing is known of the host.
pub(super) fn check(
    offload: Offload,
    model: &Model,
    cluster: &Cluster,
    engine: &Engine,
) -> Result<(), Diagnostic> {
    let flag = match offload {
        Offload { gpu_layers: Some(_), .. } => "--gpu-layers",
        Offload { host_experts: Some(_), .. } => "--n-cpu-moe",
        _ => "--tensor-split",
    };
    let wrong = |cause: String, help: &str| Err(Diagnostic::new(Code::Usage, cause).at(flag).help(help));
    if let Some(host) = cluster.host.filter(|_| engine.host.is_some() && cluster.has_own_memory())
        && let Some(gpu) = cluster.kinds().find(|gpu| host.link_to(gpu).is_none())
    {
        let cause = format!("nothing is known of the link between {} and its host", gpu.id);
        return Err(Diagnostic::new(Code::Usage, cause).at("host").help("add link=64GB/s to --host"));
    }
    if offload == Offload::NONE {
        return Ok(());
    }
    if let Some(shares) = offload.shares.filter(|_| !engine.parallel.head_is_a_layer) {
        whole_stages(&shares, model, engine)?;
    }
    if engine.host.is_none() && offload.is_placed() {
        return wrong(format!("{} keeps every layer on the GPUs", engine.id), "add --engine llama.cpp");
    }
    if offload.host_experts.is_some_and(|n| n > 0) && !model.is_moe() {
        return wrong(format!("{} has no routed experts", model.id), "--gpu-layers leaves whole layers");
    }
    if offload.is_placed() && !cluster.has_own_memory() {
        return wrong(format!("{} shares its host's memory", cluster.gpu.id), "leave it out");
    }
    let layers = model.layers();
    let leaves = offload.units_on_gpus(layers) <= layers || offload.host_experts.is_some_and(|n| n > 0);
    if leaves && cluster.host.is_none() {
        let cause = format!("nothing is known of the host's memory of {}", cluster.id);
        return wrong(cause, "--host memory=64GiB,bandwidth=83.2GB/s,link=32GB/s says it");
    }
    Ok(())
}

/// Checks that stages are told by their layers, all of them: other engines than llama.cpp know no proportions and refuse
/// to start with another sum (vLLM `distributed/utils.py::get_pp_indices`, SGLang's file of the same name).
fn whole_stages(shares: &Shares, model: &Model, engine: &Engine) -> Result<(), Diagnostic> {
    let (layers, text) = (model.layers(), shares.text());
    let cause = match shares.layers().map(|stages| stages.iter().sum::<u64>()) {
        Some(sum) if sum == layers => return Ok(()),
        Some(sum) => format!("{text} are {sum} layers, and {} has {layers}", model.id),
        None => format!("{text} are not layers of stages"),
    };
    let stages = shares.gpus() as u64;
    let near: Vec<String> =
        (0..stages).map(|n| (layers / stages + u64::from(n < layers % stages)).to_string()).collect();
    Err(Diagnostic::new(Code::Usage, cause).at("--tensor-split").help(format!(
        "{} takes the layers of each stage, for example {}; llama.cpp takes proportions",
        engine.id,
        near.join(",")
    )))
}
