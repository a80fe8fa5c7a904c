//! Split pools: every layout as a prefill and as a decode worker, paired.
//!
//! Each layout is compiled and timed once in either role; a pair only evaluates closed formulas. For a decode
//! worker, a number of them and a batch, the prefill workers are matched: the fewest that keep up with the
//! rate and meet the time to first token. Prefill workers that cannot be part of
//! an answer are left out; `dominance.rs` has the proof.

use rayon::prelude::*;

use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::context::Context;
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::estimate::pairing::{Pair, Worker};
use crate::plan::space::Pins;
use crate::plan::{BatchPoint, Degrees, Layout, Plan, PlanSpace, PrefillPool, Reason};
use crate::workload::Load;

use super::dominance::dominates;
use super::mode::worker_counts;
use super::pairs::{Batch, Kept, Pairs};
use super::region::{NO_POOL, Region, Workers};
use super::visit::Summary;
use super::{Question, Variant};

/// Most layouts of an engine's workers on a pool.
const MOST_WORKERS: u64 = 1 << 20;

impl Question<'_> {
    /// Every pair of layouts, for each variant, and the best pair of each two pools and contexts. Their numbers follow
    /// those of the aggregated plans, from `first`.
    pub(super) fn search_split(
        &self,
        (spaces, mut first): (&[PlanSpace], u64),
        contexts: &[Vec<Context>],
        variants: &[Variant],
    ) -> Vec<(Summary, Vec<Estimate>)> {
        let mut sums: Vec<(Summary, Vec<Estimate>)> = Vec::new();
        sums.resize_with(variants.len(), Default::default);
        let on_pools = |spaces: &[PlanSpace]| -> Vec<Vec<Workers>> {
            spaces.iter().zip(contexts).map(|(space, contexts)| self.workers(space, contexts)).collect()
        };
        let workers = on_pools(spaces);
        let pinned = self.pins_prefill_workers().then(|| on_pools(&self.prefill_spaces()[..spaces.len()]));
        for (prefill_pool, prefills) in pinned.as_ref().unwrap_or(&workers).iter().enumerate() {
            for (pool, decodes) in workers.iter().enumerate() {
                for (prefill, decode) in prefills.iter().zip(decodes) {
                    let counts = match self.pins.replicas.as_slice() {
                        [] => worker_counts(self.pools[pool].gpus),
                        pinned => pinned.to_vec(),
                    };
                    let batches = &spaces[pool].axes().batch;
                    let active = self.active(prefill, variants);
                    let region = Region { question: self, prefill, decode, active, counts, batches, first };
                    first = first.saturating_add(region.size());
                    let found = region.search((prefill_pool, pool), variants);
                    for (((sum, best), found), variant) in sums.iter_mut().zip(found).zip(variants) {
                        let objective = variant.objective;
                        best.extend(found.best.iter().min_by(|a, b| objective.compare(a, b)).cloned());
                        *sum = std::mem::take(sum).merge(found, variant, self);
                    }
                }
            }
        }
        sums
    }

    /// Whether prefill workers are others than those that decode and do not divide contexts.
    fn pins_prefill_workers(&self) -> bool {
        let dcp = &self.pins.split.dcp;
        let alike = Degrees { dcp: dcp.clone(), ..self.pins.prefill.clone() } == self.pins.split;
        !alike || dcp.iter().any(|d| *d > 1)
    }

    /// Refuses more kinds of workers than can be held: each is paired with each.
    ///
    /// # Errors
    /// [`Code::Range`].
    pub(super) fn check_workers(&self, decode: &[PlanSpace]) -> Result<(), Diagnostic> {
        let contexts = (self.engines.len() * self.precisions.len() * self.launches.len()).max(1) as u64;
        let each = |space: &PlanSpace| space.layouts() / contexts;
        match decode.iter().chain(&self.prefill_spaces()).map(each).find(|n| *n > MOST_WORKERS) {
            Some(n) => {
                let cause = format!("{n} layouts of workers are too many to be paired");
                Err(Diagnostic::new(Code::Range, cause)
                    .help(format!("at most {MOST_WORKERS}: name fewer degrees")))
            }
            None => Ok(()),
        }
    }

    /// The spaces of prefill workers.
    fn prefill_spaces(&self) -> Vec<PlanSpace> {
        let split = Degrees { dcp: vec![1], ..self.pins.prefill.clone() };
        let pins = Pins { split, ..self.pins.clone() };
        Question { pins, ..self.clone() }.spaces()
    }

    /// The layouts of a pool, for each of its contexts.
    fn workers<'c>(&self, space: &PlanSpace, contexts: &'c [Context<'c>]) -> Vec<Workers<'c>> {
        let each = (space.layouts() / contexts.len().max(1) as u64) as usize;
        let one = |(i, context): (usize, &'c Context<'c>)| {
            let layouts: Vec<Layout> = (0..each).map(|n| space.layout((i * each + n) as u64)).collect();
            let able = context.engine.parallel.split_pools;
            let worker = |layout: &Layout| match able {
                _ if self.stop.now() => None,
                true => Some(Worker::new(context, layout.parallelism).map(Box::new)),
                false => Some(Err(Reason::ModeUnsupported { mode: "split pools" })),
            };
            let workers = layouts.par_iter().with_min_len(16).map(worker).collect();
            let prompting = layouts.iter().take_while(|layout| layout.parallelism.dcp == 1).count();
            Workers { context, layouts, prompting, workers }
        };
        contexts.iter().enumerate().map(one).collect()
    }

    /// The prefill workers to look at: those that fit and that no other dominates.
    fn active(&self, prefill: &Workers, variants: &[Variant]) -> Vec<usize> {
        let timed =
            self.front.looks_at_first_token() || variants.iter().any(|v| v.objective.looks_at_first_token());
        let all: Vec<usize> = prefill.fit_for_prompts().collect();
        if self.exhaustive || timed || matches!(self.workload.load, Load::Concurrency(_) | Load::Users(_)) {
            return all;
        }
        let beaten = |i: usize| {
            let rival = |j: &usize| {
                *j != i && prefill.at(*j).zip(prefill.at(i)).is_some_and(|(v, w)| dominates((v, *j), (w, i)))
            };
            !self.stop.now() && all.iter().any(rival)
        };
        all.iter().copied().filter(|i| !beaten(*i)).collect()
    }
}

impl Region<'_, '_> {
    /// Plans of the region.
    fn size(&self) -> u64 {
        let (prefill, decode) = (self.prefill.prompting as u64, self.decode.layouts.len() as u64);
        prefill.saturating_mul(decode).saturating_mul(self.per_pair())
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
        let mut decodes = self.decode.fit().filter(|_| same_cache);
        let Some(first) = decodes.next() else { return };
        let plans = self.per_pair().saturating_mul(1 + decodes.count() as u64);
        for (p, worker) in self.prefill.workers.iter().take(self.prefill.prompting).enumerate() {
            match worker {
                Some(Ok(_)) => {}
                None => sum.counts.unseen += plans,
                Some(Err(reason)) => sum.reject(*reason, plans, self.plan(pools, (p, first), (0, 0), 1)),
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
        let all = (self.prefill.prompting as u64).saturating_mul(self.per_pair());
        let plan = self.plan(pools, (0, d), (0, 0), 1);
        let worker = match &self.decode.workers[d] {
            None => return sums.iter_mut().for_each(|sum| sum.counts.unseen += all),
            Some(Err(reason)) => return sums.iter_mut().for_each(|sum| sum.reject(*reason, all, plan)),
            Some(Ok(_)) if !same_cache => {
                let reason = Reason::CacheUnsupported { kv: self.prefill.context.kv };
                return sums.iter_mut().for_each(|sum| sum.reject(reason, all, plan));
            }
            Some(Ok(worker)) => worker,
        };
        let fit = self.prefill.fit_for_prompts().count() as u64;
        if self.question.stop.now() {
            let plans = fit.saturating_mul(self.per_pair());
            return sums.iter_mut().for_each(|sum| sum.counts.unseen += plans);
        }
        let dominated = (fit - self.active.len() as u64).saturating_mul(self.per_pair());
        sums.iter_mut().for_each(|sum| sum.counts.dominated += dominated);
        for (sum, variant) in sums.iter_mut().zip(variants) {
            let pairs = Pairs { region: self, number: d, worker, pools, variant, sum, kept: Kept::default() };
            let kept = pairs.look();
            sum.take_split(kept, variant, self.question, |f| self.whole(d, worker, f));
        }
    }

    pub(super) fn plan(
        &self,
        (from, to): (usize, usize),
        (p, d): (usize, usize),
        (c, point): (usize, usize),
        workers: u32,
    ) -> Plan {
        let number = (d as u64)
            .saturating_mul(self.prefill.prompting as u64)
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
        let mut fit = self.prefill.fit_for_prompts().filter_map(|p| self.prefill.at(p));
        let prefill = fit.find(|w| w.parallelism == pool.parallelism)?;
        let deployment = Deployment::new(worker.context, self.decode.layouts[d].parallelism).ok()?;
        let (decode_workers, transfer) = (figures.plan.replicas, prefill.transfer_to(worker));
        let pair = Pair { prefill, prefill_workers: pool.workers, decode: worker, decode_workers, transfer };
        let batch = match figures.plan.batch {
            BatchPoint::Sequences(n) => n as f64,
            BatchPoint::Largest | BatchPoint::FromLoad => worker.decode.most,
        };
        let sequences =
            self.question.sequences(worker, decode_workers, Batch { sequences: batch, point: 0 }).ok()?;
        let service = self.question.service(&pair, sequences);
        let estimate = pair.estimate(figures.plan, &deployment, &service);
        let idle = self.question.gpus().saturating_sub(estimate.gpus);
        Some(Estimate { idle_gpus: idle, ..estimate })
    }
}
