//! The search: every plan through rules, memory and time, in parallel over splits.

use std::collections::HashMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::plan::{Counts, Ledger};
use crate::search::in_parallel;
use crate::stop::Stop;
use crate::units::Bytes;

use super::degrees;
use super::job::{Job, TrainingEstimate, on_host};
use super::layer::Shape;
use super::memory::Keeping;
use super::plan::{Network, Offload, Precision, Schedule, TrainingPlan};
use super::reason::{Misfit, Rejected};
use super::rules::{rule, rule_of_split};
use super::space::{Inner, Outer, TrainingAxes};
use super::stage::{Layers, Parts, Stage};
use super::step::{self, Transfers};

/// Most plans that a search goes through.
pub const MOST_PLANS: u64 = 1 << 40;

/// A question: jobs that differ in precision alone, and what to consider.
#[derive(Clone, Copy, Debug)]
pub struct TrainingQuestion<'a> {
    /// One job per precision: the model as its products compute.
    pub jobs: &'a [(Precision, Job<'a>)],
    /// What to consider.
    pub axes: &'a TrainingAxes,
    /// Splits to show.
    pub top: usize,
    /// When it ends unanswered.
    pub stop: Stop<'a>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct TrainingAnswer {
    /// The best plan of each of the best splits, the fastest first.
    pub best: Vec<TrainingEstimate>,
    /// How many plans there were.
    pub counts: Counts,
    /// Why plans fell, the most frequent first.
    pub rejected: Vec<Rejected>,
}

/// A plan's time, its number, and itself.
#[derive(Clone, Copy, Debug)]
struct Timed {
    seconds: f64,
    number: u64,
    plan: TrainingPlan,
}

/// What one split came to.
#[derive(Clone, Debug)]
struct Summary {
    counts: Counts,
    best: Option<Timed>,
    ledger: Ledger<Misfit, TrainingPlan>,
}

impl Summary {
    fn new() -> Summary {
        Summary { counts: Counts::default(), best: None, ledger: Ledger::default() }
    }

    fn reject(&mut self, reason: Misfit, count: u64, nearest: TrainingPlan) {
        self.counts.reject(reason.stage(), count);
        self.ledger.add(Rejected { reason, count, nearest });
    }

    fn accept(&mut self, timed: Timed) {
        self.counts.feasible += 1;
        let better = self.best.is_none_or(|b| timed.seconds.total_cmp(&b.seconds).is_lt());
        if better {
            self.best = Some(timed);
        }
    }
}

/// The parts of the model for every shape that the splits ask about.
type PartsByShape = HashMap<ShapeKey, Parts>;

/// What of a plan its layers depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ShapeKey {
    precision: Precision,
    outer: (u32, u32, u32, u32, u32),
    transfers: super::plan::TensorTransfers,
    network: Network,
    piped: bool,
}

impl ShapeKey {
    fn of(outer: &Outer, inner: &Inner) -> ShapeKey {
        let s = &outer.split;
        ShapeKey {
            precision: inner.precision,
            outer: (s.tp, s.cp, s.ep, s.expert_tp, outer.micro_batch),
            transfers: inner.transfers,
            network: inner.networks.tensor,
            // A tied embedding is stored twice in a pipeline.
            piped: s.pp > 1,
        }
    }
}

impl TrainingQuestion<'_> {
    /// Searches.
    ///
    /// # Errors
    /// [`Code::Range`] for a space that is too large, [`Code::Usage`] for one without plans.
    pub fn answer(&self) -> Result<TrainingAnswer, Diagnostic> {
        let Some((_, first)) = self.jobs.first() else {
            return Err(Diagnostic::new(Code::Usage, "no precision to compute in"));
        };
        let outers = self.axes.outer(first.model, first.machine.cluster.gpus, first.global_batch);
        if outers.is_empty() {
            return Err(degrees::fault(self.axes, first));
        }
        let parts = self.parts(&outers)?;
        let mut start = 0u64;
        let mut starts = Vec::with_capacity(outers.len());
        for outer in &outers {
            starts.push(start);
            start = start.saturating_add(self.axes.inner(&outer.split).len() as u64);
        }
        if start > MOST_PLANS {
            return Err(Diagnostic::new(Code::Range, format!("{start} plans are too many to go through"))
                .help("name some of the degrees"));
        }
        let summaries = in_parallel(outers.len(), |i| {
            self.stop.check()?;
            Ok(self.split(&outers[i], starts[i], &parts))
        })?;
        Ok(self.merge(summaries))
    }

    /// The model's parts for every shape, each once.
    fn parts(&self, outers: &[Outer]) -> Result<PartsByShape, Diagnostic> {
        let mut wanted: Vec<(ShapeKey, TrainingPlan)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for outer in outers {
            for inner in self.axes.inner(&outer.split) {
                let key = ShapeKey::of(outer, &inner);
                if seen.insert(key) {
                    wanted.push((key, outer.plan(&inner)));
                }
            }
        }
        let built = in_parallel(wanted.len(), |i| {
            self.stop.check()?;
            let (key, plan) = &wanted[i];
            let job = self.job(key.precision);
            let shape: Shape = job.shape(plan);
            Ok(Parts::of(job.model, job.machine, shape, job.with_prediction))
        })?;
        Ok(wanted.into_iter().map(|(key, _)| key).zip(built).collect())
    }

    fn job(&self, precision: Precision) -> &Job<'_> {
        let of = self.jobs.iter().find(|(p, _)| *p == precision);
        // Axes and jobs are made from one list.
        &of.unwrap_or(&self.jobs[0]).1
    }

    /// Every plan of a split.
    fn split(&self, outer: &Outer, start: u64, parts: &PartsByShape) -> Summary {
        let mut summary = Summary::new();
        let inners = self.axes.inner(&outer.split);
        summary.counts.plans = inners.len() as u64;
        let Some(first) = inners.first() else { return summary };
        let job = self.job(first.precision);
        if let Some(misfit) = rule_of_split(job, outer) {
            summary.reject(misfit, inners.len() as u64, outer.plan(first));
            return summary;
        }
        let (Some(layers), Some(microbatches)) = (
            Layers::of(job.model, outer.split.pp, outer.chunks),
            outer.plan(first).microbatches(job.global_batch),
        ) else {
            return summary;
        };
        let mut at: Option<Prepared> = None;
        for (number, inner) in (start..).zip(&inners) {
            let plan = outer.plan(inner);
            if let Some(misfit) = rule(job, &plan) {
                summary.reject(misfit, 1, plan);
                continue;
            }
            let key = ShapeKey::of(outer, inner);
            let folded = inner.schedule == Schedule::DualPipe;
            let fresh = |p: &Prepared| p.key == key && p.networks == inner.networks && p.folded == folded;
            let stale = !at.as_ref().is_some_and(fresh);
            if stale {
                let Some(parts) = parts.get(&key) else { continue };
                let job = self.job(inner.precision);
                let stages = parts.stages(&layers, folded);
                let transfers = job.transfers(&plan, &stages);
                let (keeping, capacity) = (job.keeping(), job.capacity());
                let networks = inner.networks;
                at = Some(Prepared { key, networks, folded, stages, transfers, keeping, capacity });
            }
            let Some(prepared) = &at else { continue };
            prepared.judge(job, plan, microbatches, number, &mut summary);
        }
        summary
    }

    fn merge(&self, summaries: Vec<Summary>) -> TrainingAnswer {
        let (mut counts, mut ledger) = (Counts::default(), Ledger::default());
        let mut best: HashMap<(u32, u32, u32, u32, u32), Timed> = HashMap::new();
        for s in summaries {
            counts.merge(s.counts);
            ledger.merge(s.ledger);
            let Some(timed) = s.best else { continue };
            let d = timed.plan.split;
            let kept = best.entry((d.tp, d.pp, d.cp, d.ep, d.expert_tp)).or_insert(timed);
            if order(&timed, kept).is_lt() {
                *kept = timed;
            }
        }
        let mut best: Vec<Timed> = best.into_values().collect();
        best.sort_by(order);
        let estimates = best.iter().take(self.top);
        let estimates = estimates.filter_map(|t| self.job(t.plan.precision).estimate(&t.plan)).collect();
        TrainingAnswer { best: estimates, counts, rejected: ledger.into_rejections() }
    }
}

/// The faster first, then the lower number.
fn order(a: &Timed, b: &Timed) -> std::cmp::Ordering {
    a.seconds.total_cmp(&b.seconds).then(a.number.cmp(&b.number))
}

/// What plans of one shape and network share.
struct Prepared<'a> {
    key: ShapeKey,
    networks: super::plan::Networks,
    folded: bool,
    stages: Vec<Stage>,
    transfers: Transfers,
    keeping: Keeping<'a>,
    capacity: Bytes,
}

impl Prepared<'_> {
    fn judge(&self, job: &Job, plan: TrainingPlan, microbatches: u64, number: u64, summary: &mut Summary) {
        let need = |s: &Stage| self.keeping.memory(&plan, s, microbatches).total();
        let need = self.stages.iter().map(need).max().unwrap_or(Bytes::ZERO);
        if need > self.capacity {
            summary.reject(Misfit::Memory { need, capacity: self.capacity }, 1, plan);
            return;
        }
        let host = job.machine.cluster.host.filter(|_| plan.offload != Offload::default());
        if let Some(host) = host {
            let of = |s: &Stage| (s.count, self.keeping.memory(&plan, s, microbatches).host);
            let need = on_host(&plan, job.machine.per_host(), self.stages.iter().map(of));
            if need > host.memory {
                summary.reject(Misfit::HostMemory { need, capacity: host.memory }, 1, plan);
                return;
            }
        }
        let time = step::time(job.machine, &self.keeping, &plan, &self.stages, &self.transfers, microbatches);
        summary.accept(Timed { seconds: time.total, number, plan });
    }
}
