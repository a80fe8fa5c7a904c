//! The search: every plan through the funnel, in parallel, with a ledger of why plans fell. The only
//! user of rayon.
//!
//! Layouts are evaluated independently and merged by associative, commutative operations under total
//! orders, so the answer is the same for any number of threads.

mod advice;
mod candidate;
mod choice;
mod choices;
mod combined;
mod counts;
mod current;
mod dominance;
mod examine;
mod mixed;
mod mode;
mod named;
mod pairs;
mod region;
pub mod size;
mod split;
mod verification;
mod verify;
mod visit;
mod what_if;

use itertools::Itertools;
use rayon::prelude::*;

use crate::catalog::{Cluster, Engine};
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::Provenance;
use crate::estimate::deployment::{Context, ContextParts, Estimate};
use crate::estimate::figures::Figures;
use crate::estimate::power::Electricity;
use crate::estimate::range::{Chances, Times};
use crate::model::Model;
use crate::plan::space::{Counts as Numbers, Pins, axes};
use crate::plan::{Axes, Layout, PlanSpace, Precision, Rejection};
use crate::rank::{Front, KNEE, Objective};
use crate::workload::{Targets, Workload};

pub use crate::estimate::memory::LimitOverrides;
pub use crate::plan::Counts;
use crate::plan::ledger::furthest;
pub use crate::stop::{Stop, Stopped};
pub use advice::Advice;
pub use choices::{Best, Named};
pub use combined::Combined;
pub use current::{Current, CurrentAnswer};
pub use examine::{Asked, Examined};
pub use mode::Mode;
pub use verification::{Depth, Verification};
use visit::Summary;
pub use what_if::{Knob, WhatIf};

/// A planning question.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The model as its checkpoint stores it.
    pub model: &'a Model,
    /// The cluster: pools of one kind of GPU each. A replica stands in one of them.
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

/// The answer: the best plan of each layout, ranked; the front; and what fell.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Best plans, one per layout.
    pub best: Vec<Estimate>,
    /// Three plans by what they are best at, where neither a load nor a limit on a time is given.
    pub named: Vec<Named>,
    /// Plans that no other dominates in what the front is drawn over.
    pub pareto: Vec<Estimate>,
    /// Why plans fell, most frequent first.
    pub rejected: Vec<Rejection>,
    /// How many plans there were and how many fell at each stage, over all pools.
    pub counts: Counts,
    /// What several pools deliver together; `None` for a single pool and for a given concurrency.
    pub combined: Option<Combined>,
    /// Replicas of different sizes that deliver more than the best plan, where that leaves GPUs idle.
    pub mixed: Option<Combined>,
    /// What the plans are ranked by.
    pub objective: Objective,
    /// What runs today, if the question says so.
    pub current: Option<CurrentAnswer>,
    /// What the front is drawn over.
    pub front: Front,
    /// Why the search ended.
    pub stopped: Stopped,
    /// Where one of several pools is chosen and the first rests on no measurement, the best plan that rests on some.
    pub measured: Option<Estimate>,
}

impl Answer {
    /// The best plan that rests on measurements of its very GPU, where the first rests on none: among those
    /// that are ranked, else among what the pools deliver together.
    pub fn calibrated_runner_up(&self) -> Option<&Estimate> {
        self.best.first().filter(|first| first.service.provenance == Provenance::Uncalibrated)?;
        let together = self.combined.iter().flat_map(|combined| &combined.plans);
        self.best.iter().chain(&self.measured).chain(together).find(|e| e.service.provenance.is_calibrated())
    }

    /// What plans are compared with: the figures of what runs today.
    pub fn reference(&self) -> Option<&Estimate> {
        self.current.as_ref()?.estimate.as_ref()
    }
}

impl<'a> Question<'a> {
    /// A question with every default: lengths of 2,048 and 512 tokens, the batch searched, no targets,
    /// most throughput first, the checkpoint's precision, nothing pinned, ten plans, in closed form. Every
    /// field can be set afterwards.
    pub fn new(model: &'a Model, cluster: &'a Cluster, engines: &'a [Engine]) -> Question<'a> {
        Question {
            model,
            pools: std::slice::from_ref(cluster),
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

    /// GPUs of all pools.
    pub fn gpus(&self) -> u64 {
        self.pools.iter().map(|p| u64::from(p.gpus)).sum()
    }

    /// The model at each precision.
    fn models(&self) -> Vec<Model> {
        let at = |p: &Precision| match p.weights {
            Some(format) => self.model.clone().with_weights(format),
            None => self.model.clone(),
        };
        self.precisions.iter().map(at).collect()
    }

    /// Searches the whole space.
    ///
    /// # Errors
    /// A question without pools, engines or precisions, or a GPU description that lacks figures.
    pub fn answer(&self) -> Result<Answer, Diagnostic> {
        if self.chooses {
            return self.choice();
        }
        let answer = self.answers(&[self.own_variant()])?.pop();
        let answer = answer
            .ok_or_else(|| Diagnostic::new(Code::Usage, "a question needs targets and an objective"))?;
        Ok(Answer { mixed: self.mixed(answer.best.first())?, ..answer })
    }

    /// What the question itself asks.
    fn own_variant(&self) -> Variant {
        Variant { targets: self.targets, objective: self.objective }
    }

    /// Searches the whole space once for several targets and objectives: figures depend on neither. Each
    /// answer is that of [`Question::answer`] with the variant in the question.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub fn answers(&self, variants: &[Variant]) -> Result<Vec<Answer>, Diagnostic> {
        let axes = [self.pools.len(), self.engines.len(), self.precisions.len(), self.launches.len()];
        if axes.contains(&0) {
            let cause = "a question needs a pool, an engine, a precision and a launch";
            return Err(Diagnostic::new(Code::Usage, cause));
        }
        let models = self.models();
        let questions: Vec<Question> = variants.iter().map(|variant| self.with(variant)).collect();
        self.workload.validate()?;
        questions.iter().try_for_each(|question| question.targets.validate())?;
        let mut found: Vec<(Summary, Vec<Estimate>)> = Vec::new();
        found.resize_with(variants.len(), Default::default);
        let spaces = self.spaces();
        check_size(&spaces)?;
        if self.mode.splits() {
            self.check_workers(&spaces)?;
        }
        let contexts =
            self.pools.iter().map(|pool| self.contexts(pool, &models)).collect::<Result<Vec<_>, _>>()?;
        for (space, contexts) in spaces.iter().zip(&contexts).filter(|_| self.mode.aggregates()) {
            let on_pool = self.search(space, contexts, variants);
            for ((all, best_of_each), (here, variant)) in
                found.iter_mut().zip(on_pool.into_iter().zip(variants))
            {
                let objective = variant.objective;
                best_of_each.extend(here.best.iter().min_by(|a, b| objective.compare(a, b)).cloned());
                *all = std::mem::take(all).merge(here, variant, self);
            }
        }
        if self.mode.splits() {
            let split = self.search_split(&spaces, &contexts, variants);
            for ((all, best_of_each), ((here, best), variant)) in
                found.iter_mut().zip(split.into_iter().zip(variants))
            {
                *all = std::mem::take(all).merge(here, variant, self);
                if !self.mode.aggregates() {
                    *best_of_each = combined::side_by_side(&best);
                }
            }
        }
        let conclude = |(question, (summary, best_of_each)): (&Question, (Summary, Vec<Estimate>))| {
            let judged = |estimate: Estimate| estimate.judged(&question.targets);
            let combined = question.combined(best_of_each.into_iter().map(judged).collect())?;
            let named = question.named(&summary.choices, &contexts)?;
            let summary = question.verified(summary, &contexts)?;
            let current = question.current.as_ref().map(|current| question.current(current)).transpose()?;
            Ok(Answer { named, ..question.conclude(summary, combined, current) })
        };
        questions.iter().zip(found).map(conclude).collect()
    }

    /// The question with other targets and another objective.
    fn with(&self, variant: &Variant) -> Self {
        let Variant { targets, objective } = *variant;
        Question { targets, objective, ..self.clone() }
    }

    /// Every layout of a pool, for each variant.
    fn search(&self, space: &PlanSpace, contexts: &[Context], variants: &[Variant]) -> Vec<Summary> {
        let nothing = || variants.iter().map(|_| Summary::default()).collect::<Vec<_>>();
        let merge = |a: Vec<Summary>, b: Vec<Summary>| {
            let pairs = a.into_iter().zip(b).zip(variants);
            pairs.map(|((a, b), variant)| a.merge(b, variant, self)).collect()
        };
        let mut sums = (0..usize::try_from(space.layouts()).unwrap_or(usize::MAX))
            .into_par_iter()
            .with_min_len(16)
            .take_any_while(|_| !self.stop.now())
            .fold(nothing, |sums, layout| self.visit(sums, layout as u64, (space, contexts), variants))
            .reduce(nothing, merge);
        for sum in &mut sums {
            let left = space.size() - sum.counts.plans;
            sum.counts.plans += left;
            sum.counts.unseen += left;
        }
        sums
    }

    /// The place of a layout's context in the list of its pool.
    fn context_of(&self, layout: Layout) -> usize {
        (layout.engine * self.precisions.len() + layout.precision) * self.launches.len() + layout.launch
    }

    /// One context per engine, precision and launch on a pool, engine first.
    fn contexts<'b>(
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

    fn conclude(
        &self,
        summary: Summary,
        combined: Option<Combined>,
        current: Option<CurrentAnswer>,
    ) -> Answer {
        let mut best = summary.best;
        let figures = |e: &Estimate| Figures::ranked(e, self.workload.load);
        best.sort_by(|a, b| self.objective.order(&figures(a), &figures(b)));
        best.truncate(self.top);
        let mut pareto = summary.front;
        // Questions that share their figures differ in their targets; simulated plans have their chances by then.
        for plan in best.iter_mut().chain(&mut pareto).filter(|e| e.verified.is_none() && e.ranges.is_some())
        {
            plan.holds = Chances::of(plan.class, Times::of(&plan.service), &self.targets);
        }
        self.surest_first(&mut best);
        Answer {
            best,
            named: Vec::new(),
            pareto,
            rejected: summary.ledger.into_rejections(),
            counts: summary.counts,
            objective: self.objective,
            current,
            combined,
            mixed: None,
            front: self.front.clone(),
            measured: None,
            stopped: if summary.counts.unseen > 0 || summary.cut {
                self.stop.why()
            } else {
                Stopped::Complete
            },
        }
    }
}

impl Question<'_> {
    /// Sorts plans that are as good as each other, to [`KNEE`], by the chance that a server keeps the limits on its
    /// times. What was simulated is not put behind what was not.
    fn surest_first(&self, best: &mut [Estimate]) {
        if !self.targets.limit_times() {
            return;
        }
        let figures = |e: &Estimate| Figures::ranked(e, self.workload.load);
        let percent = |e: &Estimate| e.holds.all().map_or(0, |chance| (100.0 * chance).round() as u32);
        let mut from = 0;
        while let Some(head) = best.get(from) {
            let close = |e: &&Estimate| {
                let near = self.objective.order(&figures(e).improved(KNEE), &figures(head)).is_le();
                near && e.gpus <= head.gpus && e.verified.is_some() == head.verified.is_some()
            };
            let alike = best[from..].iter().take_while(close).count().max(1);
            best[from..from + alike].sort_by_key(|e| std::cmp::Reverse(percent(e)));
            from += alike;
        }
    }
}

/// Most plans of one layout: they are looked at together.
const MOST_OF_LAYOUT: u64 = 1 << 20;

/// Refuses spaces that cannot be counted, or whose layouts hold more plans than can be held.
fn check_size(spaces: &[PlanSpace]) -> Result<(), Diagnostic> {
    let help = "name fewer values of an axis";
    let mut sizes = spaces.iter().map(PlanSpace::checked_size);
    if sizes.try_fold(0u64, |sum, n| sum.checked_add(n?)).is_none() {
        return Err(Diagnostic::new(Code::Range, "the question has more than 2^64 plans").help(help));
    }
    let each = |space: &PlanSpace| match space.axes().replicas {
        // Few of them are looked at.
        Numbers::UpTo(_) => space.axes().batch.len() as u64,
        _ => space.plans_per_layout(),
    };
    match spaces.iter().map(each).find(|n| *n > MOST_OF_LAYOUT) {
        Some(n) => {
            let cause = format!("{n} numbers of replicas and batches are too many");
            Err(Diagnostic::new(Code::Range, cause).help(format!("at most {MOST_OF_LAYOUT}: {help}")))
        }
        None => Ok(()),
    }
}

/// `f` of each of `n` numbers in parallel, in no order; the first error stops what has not begun.
///
/// # Errors
/// One of those that `f` returned.
pub fn each_in_parallel(
    n: usize,
    f: impl Fn(usize) -> Result<(), Diagnostic> + Sync,
) -> Result<(), Diagnostic> {
    (0..n).into_par_iter().with_max_len(1).try_for_each(&f)
}

/// `f(0), f(1), …, f(n − 1)` in parallel, in order; the first error by number, if any.
///
/// # Errors
/// That of the lowest number that fails.
pub fn in_parallel<T: Send>(
    n: usize,
    f: impl Fn(usize) -> Result<T, Diagnostic> + Sync,
) -> Result<Vec<T>, Diagnostic> {
    let all: Vec<Result<T, Diagnostic>> = (0..n).into_par_iter().map(&f).collect();
    all.into_iter().collect()
}
