//! What is asked of memory under a split; what is left to the host: what the user says, else what finds no room.

use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Offload, Parallelism, Shares};
use crate::workload::Load;

use super::deployment::{Context, ContextParts};
use super::memory::{Limits, MemoryQuestion, MemoryUse};

/// Checks that what the user leaves to the host can be.
///
/// # Errors
/// [`Code::Usage`] where the engine, the model or the GPU cannot, or nothing is known of the host.
pub(super) fn check(parts: &ContextParts) -> Result<(), Diagnostic> {
    let (offload, engine) = (parts.limits.offload, parts.engine);
    let flag = match offload {
        Offload { gpu_layers: Some(_), .. } => "--gpu-layers",
        Offload { host_experts: Some(_), .. } => "--n-cpu-moe",
        _ => "--tensor-split",
    };
    let wrong = |cause: String, help: &str| Err(Diagnostic::new(Code::Usage, cause).at(flag).help(help));
    let gpu = &parts.cluster.gpu;
    if let Some(host) = parts.cluster.host.filter(|_| engine.host.is_some() && parts.cluster.has_own_memory())
        && host.link_to(gpu).is_none()
    {
        let cause = format!("nothing is known of the link between {} and its host", gpu.id);
        return Err(Diagnostic::new(Code::Usage, cause).at("host").help("add link=64GB/s to --host"));
    }
    if offload == Offload::NONE {
        return Ok(());
    }
    if let Some(shares) = offload.shares.filter(|_| !engine.parallel.head_is_a_layer) {
        whole_stages(parts, &shares)?;
    }
    if engine.host.is_none() && offload.is_placed() {
        return wrong(format!("{} keeps every layer on the GPUs", engine.id), "add --engine llama.cpp");
    }
    if offload.host_experts.is_some_and(|n| n > 0) && !parts.model.is_moe() {
        return wrong(
            format!("{} has no routed experts", parts.model.id),
            "--gpu-layers leaves whole layers",
        );
    }
    if offload.is_placed() && !parts.cluster.has_own_memory() {
        return wrong(format!("{} shares its host's memory", parts.cluster.gpu.id), "leave it out");
    }
    let layers = parts.model.layers();
    let leaves = offload.units_on_gpus(layers) <= layers || offload.host_experts.is_some_and(|n| n > 0);
    if leaves && parts.cluster.host.is_none() {
        let cause = format!("nothing is known of the host's memory of {}", parts.cluster.id);
        return wrong(cause, "--host memory=64GiB,bandwidth=83.2GB/s,link=32GB/s says it");
    }
    Ok(())
}

/// Checks that stages are told by their layers, all of them: other engines than llama.cpp know no proportions and refuse
/// to start with another sum (vLLM `distributed/utils.py::get_pp_indices`, SGLang's file of the same name).
fn whole_stages(parts: &ContextParts, shares: &Shares) -> Result<(), Diagnostic> {
    let (layers, text) = (parts.model.layers(), shares.text());
    let cause = match shares.layers().map(|stages| stages.iter().sum::<u64>()) {
        Some(sum) if sum == layers => return Ok(()),
        Some(sum) => format!("{text} are {sum} layers, and {} has {layers}", parts.model.id),
        None => format!("{text} are not layers of stages"),
    };
    let stages = shares.gpus() as u64;
    let near: Vec<String> =
        (0..stages).map(|n| (layers / stages + u64::from(n < layers % stages)).to_string()).collect();
    Err(Diagnostic::new(Code::Usage, cause).at("--tensor-split").help(format!(
        "{} takes the layers of each stage, for example {}; llama.cpp takes proportions",
        parts.engine.id,
        near.join(",")
    )))
}

impl Context<'_> {
    /// Memory of the fullest rank under a split.
    pub fn memory(&self, parallelism: Parallelism) -> MemoryUse {
        self.memory_question(parallelism).answer()
    }

    /// What is asked of memory under a split.
    pub fn memory_question(&self, parallelism: Parallelism) -> MemoryQuestion<'_> {
        MemoryQuestion { limits: self.limits_of(parallelism), ..self.unfitted(parallelism) }
    }

    /// The same with everything where the user says, else on the GPUs.
    pub(super) fn unfitted(&self, parallelism: Parallelism) -> MemoryQuestion<'_> {
        MemoryQuestion {
            model: &self.model,
            gpu: &self.cluster.gpu,
            engine: self.engine,
            limits: self.limits,
            parallelism,
            kv: self.kv,
            workload: &self.workload,
            host: self.cluster.host_of(parallelism.gpus()),
        }
    }

    /// Launch limits under a split. Where the user does not say what stays in the host's memory and that is known,
    /// it is what finds no room on the GPUs.
    pub fn limits_of(&self, parallelism: Parallelism) -> Limits {
        let asked = self.limits.offload.is_placed();
        if self.engine.host.is_none()
            || self.cluster.host.is_none()
            || asked
            || !self.cluster.has_own_memory()
        {
            return self.limits;
        }
        let requests = match self.workload.load {
            Load::Concurrency(n) => n.min(self.limits.max_sequences),
            _ => 1,
        };
        match self.unfitted(parallelism).fitted(requests) {
            Some(offload) => Limits { offload, ..self.limits },
            None => self.limits,
        }
    }
}
