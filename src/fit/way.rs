//! One way of running a model: a form, an engine, a split; what it delivers.

use super::form::{Form, Origin};
use super::need::Question;
use crate::catalog::published::{self, Purpose};
use crate::catalog::version::Version;
use crate::catalog::{Cluster, Engine};
use crate::diagnostic::Diagnostic;
use crate::dtype::{DType, WeightFormat};
use crate::estimate::Provenance;
use crate::estimate::context::{Context, ContextParts};
use crate::estimate::deployment::Deployment;
use crate::estimate::memory::{LimitOverrides, Start, Verdict};
use crate::plan::{Offload, Parallelism, Reason};
use crate::units::{Bytes, Seconds, TokensPerSecond};
use crate::workload::{Purpose as Served, Workload};

/// A way that a model runs, and what it delivers.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Catalogue name of the checkpoint that its weights are, or are made of.
    pub checkpoint: String,
    /// Where they come from.
    pub origin: Origin,
    /// Format of most weights.
    pub format: WeightFormat,
    /// How much that format raises perplexity, as a share, where it is published.
    pub loss: Option<f64>,
    /// Type of the KV cache.
    pub kv: DType,
    /// Engine, with how it is launched.
    pub engine: String,
    /// Its version.
    pub engine_version: Version,
    /// The GPU, or the cards of a replica where they are of several kinds.
    pub gpu: String,
    /// What it stands on: the machine, or a part of it.
    pub cluster: String,
    /// The split of a replica.
    pub parallelism: Parallelism,
    /// Copies of the model.
    pub replicas: u32,
    /// What stays with the host.
    pub offload: Offload,
    /// Weights in the host's memory, where some stay there.
    pub on_host: Option<Bytes>,
    /// Tokens per second of one user after the first, alone on the machine; zero where no token follows another.
    pub speed: TokensPerSecond,
    /// Prompt tokens per second of one user: the prompt over the time to its first token.
    pub prompt_speed: TokensPerSecond,
    /// Time to the first token of one user.
    pub ttft: Seconds,
    /// Output tokens per second of all users together, with as many as the machine takes.
    pub throughput: TokensPerSecond,
    /// How many that is.
    pub users: u64,
    /// Tokens of the longest request that it was worked out for.
    pub context: u64,
    /// Tokens of the longest conversation that one user has room for; 0 of ways that were not chosen.
    pub room: u64,
    /// Weights, one conversation of the context that is asked for, and what the engine needs beside them, on the fullest
    /// GPU.
    pub taken: Bytes,
    /// Memory of a GPU.
    pub capacity: Bytes,
    /// Room that is left beside that, GiB; negative inside the uncertainty.
    pub margin_gib: f64,
    /// Whether it fits, given the uncertainty.
    pub verdict: Verdict,
    /// What the times rest on.
    pub provenance: Provenance,
}

impl Way {
    /// What ways are compared by: tokens per second of one user, of models that write none prompt tokens.
    pub fn pace(&self) -> TokensPerSecond {
        if self.speed.get() > 0.0 { self.speed } else { self.prompt_speed }
    }

    /// Whether all weights lie on the GPUs.
    pub fn is_on_gpus(&self) -> bool {
        self.on_host.is_none()
    }
}

/// What became of one way.
pub(super) enum Attempt {
    Runs(Box<Way>),
    Falls { engine: String, format: WeightFormat, reason: Reason },
}

impl Question<'_> {
    /// Tries a form with every engine that loads it, in every split of the machine.
    pub(super) fn attempts(&self, form: &Form, into: &mut Vec<Attempt>) -> Result<(), Diagnostic> {
        for engine in self.engines.iter().filter(|engine| self.loads(engine, form)) {
            for cluster in self.clusters() {
                let context = self.context(form, engine, cluster)?;
                for split in splits(engine, cluster) {
                    let whole = Deployment::new(&context, split).and_then(|deployment| {
                        // A conversation that just finds no room by the estimate has none that could be promised.
                        let memory = &deployment.memory;
                        let around = memory.activations + memory.non_torch + memory.cuda_graphs;
                        let (need, have) = (memory.need() + around, memory.for_weights_and_cache + around);
                        if need > have { Err(Reason::OutOfMemory { need, have }) } else { Ok(deployment) }
                    });
                    into.push(match whole {
                        Ok(deployment) => Attempt::Runs(Box::new(way(form, &deployment))),
                        Err(reason) => {
                            Attempt::Falls { engine: engine.id.clone(), format: form.format, reason }
                        }
                    });
                }
            }
        }
        Ok(())
    }

    /// The machine, and its parts.
    fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        std::iter::once(self.cluster).chain(self.parts)
    }

    /// Fills in the longest conversation that a way has room for: worked out of those alone that are kept.
    pub(super) fn measure_room(&self, way: &mut Way, forms: &[Form]) -> Result<(), Diagnostic> {
        let made = |form: &&Form| form.checkpoint == way.checkpoint && form.format == way.format;
        let run_by = self.engines.iter().find(|engine| engine.label() == way.engine);
        let stands_on = self.clusters().find(|cluster| cluster.id == way.cluster);
        if let (Some(form), Some(engine), Some(cluster)) = (forms.iter().find(made), run_by, stands_on) {
            let context = self.context(form, engine, cluster)?;
            way.room = context.memory_question(way.parallelism).longest_context(1);
        }
        Ok(())
    }

    /// A form on the machine or a part of it with an engine.
    fn context<'b>(
        &'b self,
        form: &'b Form,
        engine: &'b Engine,
        cluster: &'b Cluster,
    ) -> Result<Context<'b>, Diagnostic> {
        let workload = self.workload(form);
        let start = Start { length: Some(workload.longest_context()), ..Start::default() };
        Context::new(ContextParts {
            model: &form.model,
            cluster,
            engine,
            limits: LimitOverrides { start, ..LimitOverrides::default() },
            kv: self.need.kv.filter(|kv| engine.kv_types.contains(kv)),
            workload,
            electricity: None,
        })
    }

    /// Lengths of one conversation, and the longest that must find room.
    fn workload(&self, form: &Form) -> Workload {
        let need = self.need;
        let most = form.model.max_context.unwrap_or(u64::MAX);
        let context = need.context.min(most);
        let own = match need.purpose {
            Some(Purpose::Embedding) => Workload::pooled(Served::Embed, need.isl, Some(context)),
            _ => Workload::of_lengths(need.isl, need.osl, Some(context)),
        };
        Workload { longest: Some(context.max(own.context())), ..own }
    }
}

/// Splits of a cluster worth trying: tensor parallel, stages, or copies of their own, of powers of two; of one whose replicas
/// span kinds theirs.
fn splits(engine: &Engine, cluster: &Cluster) -> Vec<Parallelism> {
    if let Some(pp) = cluster.cards_of_replica() {
        return vec![Parallelism { pp, ..Parallelism::SINGLE }];
    }
    let gpus = cluster.gpus;
    let degrees = |free: bool, most: u32| {
        let all = std::iter::successors(Some(1u32), |n| n.checked_mul(2)).take_while(move |n| *n < most);
        all.chain([most]).filter(move |n| *n == 1 || free)
    };
    let mut splits = Vec::new();
    for tp in degrees(engine.parallel.tensor, cluster.gpus_per_node.min(gpus)) {
        for pp in degrees(engine.parallel.pipeline, gpus / tp) {
            let split = Parallelism { tp, pp, ..Parallelism::SINGLE };
            // A split beside copies only where it is whole, or one GPU.
            let whole = tp * pp == gpus || (tp == 1 && pp == 1) || (pp == 1 && gpus.is_multiple_of(tp));
            if tp * pp <= gpus && whole && !splits.contains(&split) {
                splits.push(split);
            }
        }
    }
    splits
}

/// What a deployment delivers.
fn way(form: &Form, deployment: &Deployment) -> Way {
    let context = deployment.context();
    let (memory, workload) = (deployment.memory, &context.workload);
    let replica = deployment.replica();
    let one = replica.at(1.0);
    let users = deployment.roomy_batch();
    let replicas = deployment.placement.max_replicas;
    let many = if users > 1 { replica.at(users as f64).output } else { one.output };
    let around = memory.activations + memory.non_torch + memory.cuda_graphs;
    let rate = |tokens: f64, time: Seconds| {
        if time.get() > 0.0 { TokensPerSecond::of(tokens, time) } else { TokensPerSecond::ZERO }
    };
    Way {
        checkpoint: form.checkpoint.clone(),
        origin: form.origin,
        format: form.format,
        loss: published::loss(form.format),
        kv: context.kv,
        engine: context.engine.label(),
        engine_version: context.engine.version,
        gpu: context.cluster.gpu_label(),
        cluster: context.cluster.id.clone(),
        parallelism: deployment.parallelism,
        replicas,
        offload: deployment.limits.offload,
        on_host: memory.host.map(|host| host.weights).filter(|_| deployment.limits.offload.is_placed()),
        speed: rate(1.0, one.tpot),
        prompt_speed: rate(workload.isl as f64, one.ttft),
        ttft: one.ttft,
        throughput: many * f64::from(replicas),
        users: users.saturating_mul(replicas.into()),
        context: workload.longest_context(),
        room: 0,
        taken: memory.need() + around,
        capacity: memory.capacity,
        margin_gib: memory.spare_gib(),
        verdict: memory.verdict(),
        provenance: one.provenance,
    }
}
