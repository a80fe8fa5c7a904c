//! Split pools: every layout as a prefill and as a decode worker, paired.
//!
//! Each layout is compiled and timed once in either role; a pair only evaluates closed formulas. For a decode
//! worker, a number of them and a batch, the prefill workers are matched: the fewest that keep up with the
//! rate and meet the time to first token.
//!
//! **Pruning.** A prefill worker is left out when another is no worse in all that plans are compared by. With
//! the same decode side, number and batch (where the load does not depend on the prefill side: not under a
//! given concurrency) throughput and TPOT are equal. `first` grows with the step of a lone prompt and the
//! interval and falls with the ranks (`PrefillWorker::first`), so that the other needs no more workers and
//! no more time; it takes no more GPUs each and no more nodes, so that it fits wherever this one does
//! ([`room_beside`]); it draws no more. Ties are excluded: the other has the shorter lone prompt, and so the
//! shorter end-to-end time, or fewer GPUs, or the lower number, by which the ranking decides.

use rayon::prelude::*;

use crate::estimate::deployment::{Context, Deployment, Estimate};
use crate::estimate::figures::Figures;
use crate::estimate::pairing::{Pair, Worker};
use crate::estimate::split::SplitService;
use crate::plan::placement::{nodes_of, room_beside};
use crate::plan::{BatchPoint, Layout, Plan, PlanSpace, PrefillPool, Reason};
use crate::units::Seconds;
use crate::workload::Load;

use super::visit::Summary;
use super::{Question, Variant};

/// Whether replicas do everything, or prefill and decode workers are split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every replica computes prompts and decodes.
    #[default]
    Aggregated,
    /// Some workers compute prompts, the others decode.
    Split,
    /// Both are looked at.
    Any,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 3] = [Mode::Aggregated, Mode::Split, Mode::Any];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Aggregated => "aggregated",
            Mode::Split => "split",
            Mode::Any => "any",
        }
    }

    pub(super) fn aggregates(self) -> bool {
        self != Mode::Split
    }

    pub(super) fn splits(self) -> bool {
        self != Mode::Aggregated
    }
}

/// The layouts of one pool, engine and precision as workers, or why they are none.
struct Workers<'c> {
    context: &'c Context<'c>,
    layouts: Vec<Layout>,
    workers: Vec<Result<Box<Worker<'c>>, Reason>>,
}

/// Pairs of one prefill pool, decode pool, engine and precision.
struct Region<'r, 'c> {
    question: &'r Question<'r>,
    prefill: &'r Workers<'c>,
    decode: &'r Workers<'c>,
    /// Prefill workers that are looked at, by index.
    active: Vec<usize>,
    /// Numbers of decode workers.
    counts: Vec<u32>,
    batches: &'r [BatchPoint],
    first: u64,
}

/// Numbers of workers to try: all up to 64, then 32 steps to a doubling.
fn worker_counts(gpus: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let mut n = 1u32;
    while n < gpus {
        all.push(n);
        n = n.saturating_add(if n < 64 { 1 } else { 1 << (n.ilog2() - 5) });
    }
    all
}

impl Question<'_> {
    /// Every pair of layouts, for each variant. Their numbers follow those of the aggregated plans.
    pub(super) fn search_split(
        &self,
        spaces: &[PlanSpace],
        contexts: &[Vec<Context>],
        variants: &[Variant],
    ) -> Vec<Summary> {
        let mut sums: Vec<Summary> = Vec::new();
        sums.resize_with(variants.len(), Default::default);
        let mut first = spaces.last().map_or(0, |space| space.end());
        let workers: Vec<Vec<Workers>> =
            spaces.iter().zip(contexts).map(|(space, contexts)| self.workers(space, contexts)).collect();
        for (prefill_pool, prefills) in workers.iter().enumerate() {
            for (pool, decodes) in workers.iter().enumerate() {
                for (prefill, decode) in prefills.iter().zip(decodes) {
                    let counts = match self.pins.replicas.as_slice() {
                        [] => worker_counts(self.pools[pool].gpus),
                        pinned => pinned.to_vec(),
                    };
                    let batches = &spaces[pool].axes().batch;
                    let active = self.active(prefill);
                    let region = Region { question: self, prefill, decode, active, counts, batches, first };
                    first = first.saturating_add(region.size());
                    let found = region.search((prefill_pool, pool), variants);
                    for ((sum, found), variant) in sums.iter_mut().zip(found).zip(variants) {
                        *sum = std::mem::take(sum).merge(found, variant, self);
                    }
                }
            }
        }
        sums
    }

    /// The layouts of a pool, for each of its contexts.
    fn workers<'c>(&self, space: &PlanSpace, contexts: &'c [Context<'c>]) -> Vec<Workers<'c>> {
        let each = (space.layouts() / contexts.len().max(1) as u64) as usize;
        let one = |(i, context): (usize, &'c Context<'c>)| {
            let layouts: Vec<Layout> =
                (0..each).map(|n| space.layout((i * each + n) as u64)).collect();
            let able = context.engine.parallel.split_pools;
            let worker = |layout: &Layout| match able {
                _ if self.stop.now() => Err(Reason::ModeUnsupported { mode: STOPPED }),
                true => Worker::new(context, layout.parallelism).map(Box::new),
                false => Err(Reason::ModeUnsupported { mode: "split pools" }),
            };
            let workers = layouts.par_iter().with_min_len(16).map(worker).collect();
            Workers { context, layouts, workers }
        };
        contexts.iter().enumerate().map(one).collect()
    }

    /// The prefill workers to look at: those that fit and that no other dominates.
    fn active(&self, prefill: &Workers) -> Vec<usize> {
        let fit = |i: &usize| prefill.workers[*i].is_ok();
        let all: Vec<usize> = (0..prefill.workers.len()).filter(fit).collect();
        if self.exhaustive || matches!(self.workload.load, Load::Concurrency(_)) {
            return all;
        }
        let worker = |i: usize| prefill.workers[i].as_deref().ok();
        let beaten = |i: usize| {
            worker(i).is_some_and(|w| {
                all.iter().any(|j| *j != i && worker(*j).is_some_and(|v| dominates((v, *j), (w, i))))
            })
        };
        all.iter().copied().filter(|i| !beaten(*i)).collect()
    }
}

/// What stands for layouts that were not looked at any more.
const STOPPED: &str = "time left";

/// Whether every plan with prefill worker `w` is outranked by the same plan with `v`; see the module.
fn dominates((v, j): (&Worker, usize), (w, i): (&Worker, usize)) -> bool {
    let per_node = u64::from(v.context.cluster.gpus_per_node);
    let nodes = |p: &Worker| if p.gpus() > per_node { nodes_of(p.parallelism, per_node) } else { 0 };
    let (a, b) = (&v.prefill, &w.prefill);
    // What one prompt draws over all GPUs of the worker.
    let drawn = |p: &Worker| p.prefill.drawn.get() * f64::from(p.parallelism.tp);
    v.gpus() <= w.gpus()
        && nodes(v) <= nodes(w)
        && v.placement.max_replicas >= w.placement.max_replicas
        && a.alone <= b.alone
        && a.interval <= b.interval
        && a.ranks >= b.ranks
        && drawn(v) <= drawn(w)
        && v.held <= w.held
        && v.memory.verdict() <= w.memory.verdict()
        && (a.alone < b.alone || v.gpus() < w.gpus() || j < i)
}

/// One batch of a decode worker.
#[derive(Clone, Copy)]
struct Batch {
    sequences: f64,
    point: usize,
}

/// What one decode layout came to under one variant.
#[derive(Default)]
struct Kept {
    best: Option<Figures>,
    /// By batch: plans of one decode layout and batch share their time per token.
    fronts: Vec<Vec<Figures>>,
    feasible: u64,
}

impl Region<'_, '_> {
    /// Plans of the region.
    fn size(&self) -> u64 {
        let layouts = |w: &Workers| w.layouts.len() as u64;
        layouts(self.prefill).saturating_mul(layouts(self.decode)).saturating_mul(self.per_pair())
    }

    /// Plans of one pair.
    fn per_pair(&self) -> u64 {
        (self.counts.len() * self.batches.len()) as u64
    }

    fn search(&self, (from, to): (usize, usize), variants: &[Variant]) -> Vec<Summary> {
        let nothing = || variants.iter().map(|_| Summary::default()).collect::<Vec<_>>();
        let merge = |a: Vec<Summary>, b: Vec<Summary>| {
            let pairs = a.into_iter().zip(b).zip(variants);
            pairs.map(|((a, b), variant)| a.merge(b, variant, self.question)).collect()
        };
        let same_cache = self.prefill.context.kv == self.decode.context.kv;
        let sums = (0..self.decode.workers.len())
            .into_par_iter()
            .with_min_len(4)
            .fold(nothing, |mut sums, d| {
                self.visit(d, (from, to), same_cache, &mut sums, variants);
                sums
            })
            .reduce(nothing, merge);
        let finish = |mut sum: Summary| {
            self.fallen_prefills((from, to), same_cache, &mut sum);
            sum.counts.plans = self.size();
            sum
        };
        sums.into_iter().map(finish).collect()
    }

    /// Counts the prefill layouts that fell, once for each decode layout that did not.
    fn fallen_prefills(&self, pools: (usize, usize), same_cache: bool, sum: &mut Summary) {
        let fit = |d: &usize| same_cache && self.decode.workers[*d].is_ok();
        let mut decodes = (0..self.decode.workers.len()).filter(fit);
        let Some(first) = decodes.next() else { return };
        let plans = self.per_pair().saturating_mul(1 + decodes.count() as u64);
        for (p, worker) in self.prefill.workers.iter().enumerate() {
            match worker {
                Ok(_) => {}
                Err(Reason::ModeUnsupported { mode: STOPPED }) => sum.counts.unseen += plans,
                Err(reason) => sum.reject(*reason, plans, self.plan(pools, (p, first), (0, 0), 1)),
            }
        }
    }

    /// All pairs of one decode layout.
    fn visit(
        &self,
        d: usize,
        pools: (usize, usize),
        same_cache: bool,
        sums: &mut [Summary],
        variants: &[Variant],
    ) {
        let all = (self.prefill.layouts.len() as u64).saturating_mul(self.per_pair());
        let plan = self.plan(pools, (0, d), (0, 0), 1);
        let worker = match &self.decode.workers[d] {
            Err(Reason::ModeUnsupported { mode: STOPPED }) => {
                return sums.iter_mut().for_each(|sum| sum.counts.unseen += all);
            }
            Err(reason) => return sums.iter_mut().for_each(|sum| sum.reject(*reason, all, plan)),
            Ok(_) if !same_cache => {
                let reason = Reason::CacheUnsupported { kv: self.prefill.context.kv };
                return sums.iter_mut().for_each(|sum| sum.reject(reason, all, plan));
            }
            Ok(worker) => worker,
        };
        let fit = self.prefill.workers.iter().filter(|w| w.is_ok()).count() as u64;
        if self.question.stop.now() {
            let plans = fit.saturating_mul(self.per_pair());
            return sums.iter_mut().for_each(|sum| sum.counts.unseen += plans);
        }
        let dominated = (fit - self.active.len() as u64).saturating_mul(self.per_pair());
        sums.iter_mut().for_each(|sum| sum.counts.dominated += dominated);
        let mut kept: Vec<Kept> = Vec::new();
        kept.resize_with(variants.len(), Default::default);
        kept.iter_mut().for_each(|k| k.fronts.resize_with(self.batches.len(), Vec::new));
        self.pairs(d, worker, pools, sums, variants, &mut kept);
        for (v, (sum, kept)) in sums.iter_mut().zip(kept).enumerate() {
            let best = kept.best.map(|best| self.sooner(d, worker, pools, &variants[v], best));
            let whole = |f: &Figures| self.whole(d, worker, f);
            sum.take_split(best, kept, &variants[v], self.question, whole);
        }
    }

    /// Every number of workers and batch with every active prefill worker.
    fn pairs(
        &self,
        d: usize,
        worker: &Worker,
        pools: (usize, usize),
        sums: &mut [Summary],
        variants: &[Variant],
        kept: &mut [Kept],
    ) {
        let batches = self.batches_of(d, worker, pools, sums);
        for (c, y) in self.counts.iter().enumerate() {
            for p in &self.active {
                let Ok(prefill) = &self.prefill.workers[*p] else { continue };
                let room = self.room(prefill, worker, *y, pools);
                let pair = self.pair(prefill, worker, *y);
                for batch in &batches {
                    let plan = self.plan(pools, (*p, d), (c, batch.point), 1);
                    for ((sum, variant), kept) in sums.iter_mut().zip(variants).zip(kept.iter_mut()) {
                        match self.matched(pair, room, *batch, plan, variant) {
                            Err(reason) => sum.reject(reason, 1, plan),
                            Ok(figures) => kept.take(figures, batch.point, variant, self.question),
                        }
                    }
                }
            }
        }
    }

    /// The batches that a decode worker holds; the others are counted as fallen.
    fn batches_of(&self, d: usize, worker: &Worker, pools: (usize, usize), sums: &mut [Summary]) -> Vec<Batch> {
        let ranks = u64::from(worker.parallelism.attention_dp);
        let limit = worker.context.limits.max_sequences.saturating_mul(ranks);
        let held = worker.memory.largest_batch().saturating_mul(ranks);
        let plans = (self.counts.len() * self.active.len()) as u64;
        let mut batches = Vec::with_capacity(self.batches.len());
        for (point, batch) in self.batches.iter().enumerate() {
            let reason = match *batch {
                BatchPoint::Sequences(n) if n > limit => Reason::BatchLimit { batch: n, limit },
                BatchPoint::Sequences(n) if n > held => Reason::CacheTooSmall {
                    need: worker.memory.per_running_request * n.div_ceil(ranks),
                    have: worker.memory.kv_cache,
                },
                BatchPoint::Sequences(n) => {
                    batches.push(Batch { sequences: n as f64, point });
                    continue;
                }
                BatchPoint::Largest | BatchPoint::FromLoad => {
                    batches.push(Batch { sequences: worker.decode.most, point });
                    continue;
                }
            };
            let plan = self.plan(pools, (self.active.first().copied().unwrap_or(0), d), (0, point), 1);
            sums.iter_mut().for_each(|sum| sum.reject(reason, plans, plan));
        }
        batches
    }

    /// Prefill workers that have room beside `y` decode workers; `None` where those have none.
    fn room(&self, prefill: &Worker, decode: &Worker, y: u32, (from, to): (usize, usize)) -> Option<u32> {
        if from == to {
            return room_beside(prefill.parallelism, decode.parallelism, y, decode.context.cluster);
        }
        (y <= decode.placement.max_replicas).then_some(prefill.placement.max_replicas)
    }

    fn pair<'w, 'c>(&self, prefill: &'w Worker<'c>, decode: &'w Worker<'c>, y: u32) -> Pair<'w, 'c> {
        let transfer = prefill.transfer_to(decode);
        Pair { prefill, prefill_workers: 1, decode, decode_workers: y, transfer }
    }

    /// The plan with the fewest prefill workers that keep up and meet the targets.
    fn matched(
        &self,
        pair: Pair,
        room: Option<u32>,
        batch: Batch,
        plan: Plan,
        variant: &Variant,
    ) -> Result<Figures, Reason> {
        let none = Reason::TooManyReplicas {
            replicas: pair.decode_workers,
            most: pair.decode.placement.max_replicas.min(pair.decode_workers.saturating_sub(1)),
        };
        let room = room.filter(|room| *room > 0).ok_or(none)?;
        let sequences = self.sequences(&pair, batch)?;
        let rate = pair.decode.decode.rate(sequences) * f64::from(pair.decode_workers);
        let fewest = pair.prefill.prefill.workers_for(rate);
        if fewest > room {
            return Err(Reason::TooManyReplicas { replicas: fewest, most: room });
        }
        let at = |x: u32| {
            let pair = Pair { prefill_workers: x, ..pair };
            (pair, self.service(&pair, sequences))
        };
        let t = &variant.targets;
        let late = |s: &SplitService| {
            t.ttft.is_some_and(|limit| s.ttft > limit) || t.e2e.is_some_and(|limit| s.e2e > limit)
        };
        let (mut chosen, mut service) = at(fewest);
        if late(&service) && service.tpot <= t.tpot.unwrap_or(Seconds::new(f64::INFINITY)) && fewest < room {
            (chosen, service) = at(room);
            let (mut low, mut high) = (fewest, room);
            while !late(&service) && high - low > 1 {
                let middle = low.midpoint(high);
                let tried = at(middle);
                if late(&tried.1) { low = middle } else { (high, (chosen, service)) = (middle, tried) }
            }
        }
        let pool = PrefillPool { workers: chosen.prefill_workers, ..plan.prefill.unwrap_or(NO_POOL) };
        let figures = chosen.figures(Plan { prefill: Some(pool), ..plan }, &service);
        figures.missed(t).map_or(Ok(figures), Err)
    }

    /// Sequences in each decode worker, before the prefill side is known.
    fn sequences(&self, pair: &Pair, batch: Batch) -> Result<f64, Reason> {
        let workers = f64::from(pair.decode_workers);
        let decode = &pair.decode.decode;
        match self.question.workload.load {
            Load::Saturate => Ok(batch.sequences),
            Load::Concurrency(n) => Ok((n as f64 / workers).min(decode.most)),
            Load::Rate(rate) => {
                let want = rate / workers;
                let got = decode.rate(decode.most);
                decode.sequences_at(want).ok_or(Reason::RateMissed { want, got })
            }
        }
    }

    fn service(&self, pair: &Pair, sequences: f64) -> SplitService {
        match self.question.workload.load {
            Load::Concurrency(n) => pair.split().at(n as f64),
            Load::Saturate | Load::Rate(_) => pair.split().at_sequences(sequences),
        }
    }

    /// Of the plans of a decode layout within [`crate::rank::KNEE`] of its best in throughput that take no
    /// more GPUs, the one with the shortest end-to-end time.
    fn sooner(
        &self,
        d: usize,
        worker: &Worker,
        pools: (usize, usize),
        variant: &Variant,
        best: Figures,
    ) -> Figures {
        let mut near = vec![best];
        let batches = self.batches_of(d, worker, pools, &mut []);
        for (c, y) in self.counts.iter().enumerate() {
            for batch in &batches {
                let output = worker.decode.rate(batch.sequences).get() * f64::from(*y) * worker.decode.osl;
                let saturated = self.question.workload.load == Load::Saturate;
                if saturated && output < best.output.get() * (1.0 - crate::rank::KNEE) {
                    continue;
                }
                for p in &self.active {
                    let Ok(prefill) = &self.prefill.workers[*p] else { continue };
                    if worker.gpus() * u64::from(*y) + prefill.gpus() > best.gpus {
                        continue;
                    }
                    let room = self.room(prefill, worker, *y, pools);
                    let plan = self.plan(pools, (*p, d), (c, batch.point), 1);
                    near.extend(self.matched(self.pair(prefill, worker, *y), room, *batch, plan, variant));
                }
            }
        }
        variant.objective.choose(&near).copied().unwrap_or(best)
    }

    fn plan(
        &self,
        (from, to): (usize, usize),
        (p, d): (usize, usize),
        (c, point): (usize, usize),
        workers: u32,
    ) -> Plan {
        let number = (d as u64)
            .saturating_mul(self.prefill.layouts.len() as u64)
            .saturating_add(p as u64)
            .saturating_mul(self.counts.len() as u64)
            .saturating_add(c as u64)
            .saturating_mul(self.batches.len() as u64)
            .saturating_add(point as u64);
        let prefill = self.prefill.layouts.get(p).map_or(NO_POOL.parallelism, |l| l.parallelism);
        Plan {
            id: self.first.saturating_add(number),
            layout: Layout { pool: to, ..self.decode.layouts[d] },
            replicas: self.counts.get(c).copied().unwrap_or(1),
            batch: self.batches.get(point).copied().unwrap_or(BatchPoint::Largest),
            prefill: Some(PrefillPool { pool: from, parallelism: prefill, workers }),
        }
    }

    /// The estimate of a plan that was kept.
    fn whole(&self, d: usize, worker: &Worker, figures: &Figures) -> Option<Estimate> {
        let pool = figures.plan.prefill?;
        let mut fit = self.prefill.workers.iter().filter_map(|w| w.as_deref().ok());
        let prefill = fit.find(|w| w.parallelism == pool.parallelism)?;
        let deployment = Deployment::new(worker.context, self.decode.layouts[d].parallelism).ok()?;
        let pair = Pair { prefill_workers: pool.workers, ..self.pair(prefill, worker, figures.plan.replicas) };
        let batch = match figures.plan.batch {
            BatchPoint::Sequences(n) => n as f64,
            BatchPoint::Largest | BatchPoint::FromLoad => worker.decode.most,
        };
        let sequences = self.sequences(&pair, Batch { sequences: batch, point: 0 }).ok()?;
        let service = self.service(&pair, sequences);
        let estimate = pair.estimate(figures.plan, &deployment, &service);
        let idle = self.question.gpus().saturating_sub(estimate.gpus);
        Some(Estimate { idle_gpus: idle, ..estimate })
    }
}

/// Stands for a prefill pool that is not known.
const NO_POOL: PrefillPool =
    PrefillPool { pool: 0, parallelism: crate::plan::Parallelism::SINGLE, workers: 1 };

impl Kept {
    fn take(&mut self, figures: Figures, point: usize, variant: &Variant, question: &Question) {
        self.feasible += 1;
        let better = |best: &Figures| variant.objective.order(&figures, best).is_lt();
        if self.best.as_ref().is_none_or(better) {
            self.best = Some(figures);
        }
        question.front.insert(&mut self.fronts[point], figures);
    }
}

impl Summary {
    /// Takes in what a decode layout came to.
    fn take_split(
        &mut self,
        best: Option<Figures>,
        kept: Kept,
        variant: &Variant,
        question: &Question,
        whole: impl Fn(&Figures) -> Option<Estimate>,
    ) {
        self.counts.feasible += kept.feasible;
        self.best.extend(best.iter().filter_map(&whole));
        self.join(kept.fronts.into_iter().flatten().collect(), variant, question, whole);
    }
}
