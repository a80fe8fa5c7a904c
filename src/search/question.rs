//! What is asked of a search.

use itertools::Itertools;

use crate::catalog::{Cluster, Engine};
use crate::diagnostic::Diagnostic;
use crate::estimate::context::{Context, ContextParts};
use crate::estimate::memory::LimitOverrides;
use crate::estimate::power::Electricity;
use crate::model::Model;
use crate::plan::space::{Pins, axes};
use crate::plan::{Axes, Layout, PlanSpace, Precision};
use crate::rank::{Front, Objective};
use crate::stop::Stop;
use crate::workload::{Targets, Workload};

use super::current::Current;
use super::mode::Mode;
use super::verification::Verification;

/// A planning question.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The model as its checkpoint stores it.
    pub model: &'a Model,
    /// The cluster: pools of one kind of GPU each, and after them what spans several of them. A replica stands in one.
    pub pools: &'a [Cluster],
    /// Engines to consider.
    pub engines: &'a [Engine],
    /// What is served.
    pub workload: Workload,
    /// What is asked of an answer.
    pub targets: Targets,
    /// What the best plan is best at.
    pub objective: Objective,
    /// Storage of weights and cache to consider.
    pub precisions: Vec<Precision>,
    /// Axes that the user pins.
    pub pins: Pins,
    /// Ways to launch the engines to consider.
    pub launches: Vec<Launch>,
    /// What electricity costs, if the rental price does not include it.
    pub electricity: Option<Electricity>,
    /// What runs today, to compare with.
    pub current: Option<Current>,
    /// Plans to keep.
    pub top: usize,
    /// Whether replicas do everything, or pools of prefill and decode workers are split.
    pub mode: Mode,
    /// What the front is drawn over.
    pub front: Front,
    /// Whether plans are looked at even where they are proven to be no better than others.
    pub exhaustive: bool,
    /// Whether one of the pools is to be chosen: they do not stand side by side, and each has its best plan alone.
    pub chooses: bool,
    /// How much of the answer is simulated.
    pub verification: Verification,
    /// When to stop before all has been looked at.
    pub stop: Stop<'a>,
}

/// What may differ between questions that share every figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variant {
    /// Limits that a plan must keep.
    pub targets: Targets,
    /// What the best plan is best at.
    pub objective: Objective,
}

/// A way to launch an engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Launch {
    /// Its limits.
    pub limits: LimitOverrides,
    /// Whether tokens are drafted as the workload says, if it says so.
    pub speculates: bool,
}

impl Default for Launch {
    /// With the engine's defaults.
    fn default() -> Launch {
        Launch { limits: LimitOverrides::default(), speculates: true }
    }
}

impl Launch {
    /// With the engine's defaults, and a limit on sequences that fits each plan.
    pub fn planned() -> Launch {
        let limits = LimitOverrides { planned: true, ..LimitOverrides::default() };
        Launch { limits, ..Launch::default() }
    }
}

impl<'a> Question<'a> {
    /// A question with every default: lengths of 2,048 and 512 tokens, the batch searched, no targets,
    /// most throughput first, the checkpoint's precision, nothing pinned, ten plans, in closed form. Every
    /// field can be set afterwards.
    pub fn new(model: &'a Model, cluster: &'a Cluster, engines: &'a [Engine]) -> Question<'a> {
        Question::on(model, std::slice::from_ref(cluster), engines)
    }

    /// The same on several pools side by side.
    pub fn on(model: &'a Model, pools: &'a [Cluster], engines: &'a [Engine]) -> Question<'a> {
        Question {
            model,
            pools,
            engines,
            workload: Workload::new(Workload::DEFAULT_ISL, Workload::DEFAULT_OSL),
            targets: Targets::default(),
            objective: Objective::Throughput,
            precisions: vec![Precision::OWN],
            pins: Pins::default(),
            launches: vec![Launch::default()],
            electricity: None,
            current: None,
            top: 10,
            mode: Mode::Aggregated,
            front: Front::default(),
            exhaustive: false,
            chooses: false,
            verification: Verification::NONE,
            stop: Stop::NEVER,
        }
    }
}

impl Question<'_> {
    /// The space of plans of each pool; their numbers follow each other.
    pub fn spaces(&self) -> Vec<PlanSpace> {
        let mut spaces: Vec<PlanSpace> = Vec::with_capacity(self.pools.len());
        for pool in self.pools {
            let precisions = self.precisions.clone();
            let shares = self.engines.iter().any(|engine| engine.parallel.decode_context.exists());
            let free = axes(self.model, pool, &self.workload, precisions, &self.pins, shares);
            let axes = Axes { engines: self.engines.len(), launches: self.launches.len(), ..free };
            spaces.push(match spaces.last() {
                None => PlanSpace::new(axes),
                Some(before) => before.then(axes),
            });
        }
        spaces
    }

    /// The pools of one kind of GPU each, in their places: what spans several comes after them.
    pub(super) fn plain_pools(&self) -> &[Cluster] {
        let plain = self.pools.iter().take_while(|pool| !pool.spans_kinds()).count();
        &self.pools[..plain]
    }

    /// GPUs of all pools; of a question about what spans kinds alone, those.
    pub fn gpus(&self) -> u64 {
        let pools = match self.plain_pools() {
            [] => self.pools,
            plain => plain,
        };
        pools.iter().map(|p| u64::from(p.gpus)).sum()
    }

    /// The model at each precision.
    pub(super) fn models(&self) -> Vec<Model> {
        let at = |p: &Precision| match p.weights {
            Some(format) if self.engines.iter().all(Engine::reads_gguf) => {
                self.model.clone().with_weights_in_gguf(format)
            }
            Some(format) => self.model.clone().with_weights(format),
            None => self.model.clone(),
        };
        self.precisions.iter().map(at).collect()
    }

    /// What the question itself asks.
    pub(super) fn own_variant(&self) -> Variant {
        Variant { targets: self.targets, objective: self.objective }
    }

    /// The question with other targets and another objective.
    pub(super) fn with(&self, variant: &Variant) -> Self {
        let Variant { targets, objective } = *variant;
        Question { targets, objective, ..self.clone() }
    }

    /// The place of a layout's context in the list of its pool.
    pub(super) fn context_of(&self, layout: Layout) -> usize {
        (layout.engine * self.precisions.len() + layout.precision) * self.launches.len() + layout.launch
    }

    /// One context per engine, precision and launch on a pool, engine first.
    pub(super) fn contexts<'b>(
        &'b self,
        pool: &'b Cluster,
        models: &'b [Model],
    ) -> Result<Vec<Context<'b>>, Diagnostic> {
        let stored = models.iter().zip(&self.precisions);
        let all = self.engines.iter().cartesian_product(stored).cartesian_product(&self.launches);
        let context = |((engine, (model, precision)), launch): ((&'b Engine, _), &Launch)| {
            let (model, precision): (&'b Model, &Precision) = (model, precision);
            let speculation = self.workload.speculation.filter(|_| launch.speculates);
            Context::new(ContextParts {
                model,
                cluster: pool,
                engine,
                limits: launch.limits,
                kv: precision.kv,
                workload: Workload { speculation, ..self.workload },
                electricity: self.electricity,
            })
        };
        all.map(context).collect()
    }
}
