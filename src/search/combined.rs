//! Several pools side by side: what they deliver together.

use crate::catalog::Cluster;
use crate::diagnostic::Diagnostic;
use crate::estimate::estimated::Estimate;
use crate::plan::Degrees;
use crate::plan::space::Pins;
use crate::units::{RequestsPerSecond, TokensPerSecond, Usd};
use crate::workload::{Load, Workload};

use super::{Depth, Mode, Question, Verification};

/// What all pools deliver side by side, each with its best plan at the load that suits it.
#[derive(Clone, Debug, PartialEq)]
pub struct Combined {
    /// The best plan of each pool that has one, in the order of the pools.
    pub plans: Vec<Estimate>,
    /// GPUs that these plans use.
    pub gpus: u64,
    /// GPUs of all pools that they leave idle.
    pub idle_gpus: u64,
    /// Requests per second of all.
    pub requests: RequestsPerSecond,
    /// Output tokens per second of all.
    pub output: TokensPerSecond,
    /// Dollars per million output tokens, if every pool has a price.
    pub cost_output: Option<Usd>,
    /// Whether that serves the rate that was asked for; `None` where none was.
    pub serves_rate: Option<bool>,
}

impl Question<'_> {
    /// Adds up the best plans of the pools; `None` for a single pool, for a given concurrency, and when
    /// no pool has a plan. Under a rate, the plans are those of saturated pools: what they could serve
    /// within the targets, instead of the same rate from each.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub(super) fn combined(&self, best_of_each: Vec<Estimate>) -> Result<Option<Combined>, Diagnostic> {
        if self.plain_pools().len() < 2 {
            return Ok(None);
        }
        match self.workload.load {
            Load::Concurrency(_) | Load::Users(_) => Ok(None),
            Load::Saturate => Ok(self.sum(best_of_each)),
            Load::Rate(rate) => {
                let workload = Workload { load: Load::Saturate, ..self.workload };
                let all = Question {
                    workload,
                    top: 1,
                    current: None,
                    verification: Verification::NONE,
                    ..self.clone()
                }
                .answer()?
                .combined;
                Ok(all.map(|c| Combined { serves_rate: Some(c.requests >= rate), ..c }))
            }
        }
    }

    /// The same with plans that keep the targets as simulated, and with what is left of each pool put to use; `None` where
    /// no plan does.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub(super) fn all_holding(&self, all: Combined) -> Result<Option<Combined>, Diagnostic> {
        let workload = Workload { load: Load::Saturate, ..self.workload };
        let saturated = Question { workload, current: None, top: 1, ..self.clone() };
        let mut plans = Vec::with_capacity(all.plans.len());
        for plan in all.plans {
            let (from, to) = pools_of(&plan);
            let held = match saturated.simulated(plan)? {
                // Another layout of the pool may hold.
                None if from == to => saturated.best_of_pool(to)?,
                held => held,
            };
            plans.extend(held);
        }
        let mut plans = saturated.filled(plans)?;
        // What the pools leave idle together is said of all of them.
        plans.iter_mut().for_each(|plan| plan.idle_gpus = 0);
        let serves = |c: Combined| match (all.serves_rate, self.workload.load) {
            (Some(_), Load::Rate(rate)) => Combined { serves_rate: Some(c.requests >= rate), ..c },
            _ => c,
        };
        Ok(self.sum(plans).map(serves))
    }

    /// The best plan of a pool alone.
    fn best_of_pool(&self, n: usize) -> Result<Option<Estimate>, Diagnostic> {
        let Some(pool) = self.pools.get(n) else { return Ok(None) };
        let alone = Question { pools: std::slice::from_ref(pool), ..self.clone() };
        let best = alone.answers(&[alone.own_variant()])?.pop().and_then(|a| a.best.into_iter().next());
        Ok(best.map(|best| on_pool(best, n)))
    }

    /// A plan of one pool with the batch that keeps the targets as simulated, where limits on times are simulated; `None`
    /// where none does. Pools that serve each other stay as they are in closed form.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub(super) fn simulated(&self, plan: Estimate) -> Result<Option<Estimate>, Diagnostic> {
        let (from, to) = pools_of(&plan);
        let asked = self.verification.depth != Depth::Nothing && self.targets.limit_times();
        let Some(pool) = self.pools.get(to).filter(|_| asked && from == to) else { return Ok(Some(plan)) };
        let prefill = plan.prefill.as_ref().map(|p| Degrees::only(p.parallelism)).unwrap_or_default();
        let pins = Pins {
            prefill,
            replicas: vec![plan.replicas],
            batch: self.pins.batch.clone(),
            ..Pins::default().at(plan.parallelism)
        };
        let mode = if plan.prefill.is_some() { Mode::Split } else { Mode::Aggregated };
        let alone = Question { pools: std::slice::from_ref(pool), pins, mode, ..self.clone() };
        let best = alone.answers(&[alone.own_variant()])?.pop().and_then(|a| a.best.into_iter().next());
        Ok(best.map(|best| on_pool(best, to)))
    }

    /// The plans, and on what they leave of a pool the best plan that stands there. What is left in several nodes is used
    /// where it is the same in each.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub(super) fn filled(&self, mut plans: Vec<Estimate>) -> Result<Vec<Estimate>, Diagnostic> {
        let free = self.pins.replicas.is_empty();
        for (n, pool) in self.plain_pools().iter().enumerate().filter(|_| free) {
            let taken: u64 = plans.iter().map(|plan| taken(plan, n)).sum();
            let left = u64::from(pool.gpus).saturating_sub(taken);
            let nodes = u64::from(pool.nodes.max(1));
            // A pool without any plan has been asked already.
            if taken == 0 || left == 0 || !left.is_multiple_of(nodes) || left == u64::from(pool.gpus) {
                continue;
            }
            let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            let rest = Cluster { gpus: count(left), gpus_per_node: count(left / nodes), ..pool.clone() };
            let alone = Question {
                pools: std::slice::from_ref(&rest),
                mode: Mode::Aggregated,
                top: 1,
                current: None,
                pins: Pins { prefill: Degrees::default(), ..self.pins.clone() },
                ..self.clone()
            };
            let best = alone.answers(&[alone.own_variant()])?.pop().and_then(|a| a.best.into_iter().next());
            plans.extend(best.map(|best| on_pool(best, n)));
        }
        Ok(plans)
    }

    pub(super) fn sum(&self, plans: Vec<Estimate>) -> Option<Combined> {
        if plans.is_empty() {
            return None;
        }
        let gpus: u64 = plans.iter().map(|p| p.gpus).sum();
        let output: f64 = plans.iter().map(|p| p.output.get()).sum();
        let requests = plans.iter().map(|p| p.service.requests.get() * f64::from(p.replicas)).sum();
        // Each pool's cost per token, weighted by its share of the tokens.
        let shares = plans.iter().map(|p| p.cost_output.map(|cost| cost.get() * p.output.get() / output));
        Some(Combined {
            gpus,
            idle_gpus: self.gpus() - gpus,
            requests: RequestsPerSecond::new(requests),
            output: TokensPerSecond::new(output),
            cost_output: shares.sum::<Option<f64>>().map(Usd::new),
            serves_rate: None,
            plans,
        })
    }
}

/// The plans that use the GPUs of several kinds best: those of which no two use the same kind, with the most output
/// together. A kind does everything, computes prompts for another, or has both pools for itself.
pub(super) fn side_by_side(plans: &[Estimate]) -> Vec<Estimate> {
    let mut best: Vec<&Estimate> = Vec::new();
    let mut order: Vec<&Estimate> = plans.iter().collect();
    order.sort_by(|a, b| b.output.get().total_cmp(&a.output.get()).then(a.plan.id.cmp(&b.plan.id)));
    for plan in order {
        if !best.iter().any(|known| pools_of(known) == pools_of(plan)) {
            best.push(plan);
        }
    }
    together(&best, &[]).1.into_iter().cloned().collect()
}

/// A plan of a pool alone as one of that pool among others.
fn on_pool(mut plan: Estimate, pool: usize) -> Estimate {
    plan.plan.layout.pool = pool;
    if let Some(prefill) = &mut plan.plan.prefill {
        prefill.pool = pool;
    }
    plan
}

/// GPUs of a pool that a plan uses.
fn taken(plan: &Estimate, pool: usize) -> u64 {
    let (from, to) = pools_of(plan);
    let prefill = plan.prefill.as_ref().map_or(0, |p| p.parallelism.gpus() * u64::from(p.workers));
    let decode = plan.gpus.saturating_sub(prefill);
    u64::from(from == pool) * prefill + u64::from(to == pool) * decode
}

/// Pools of the prefill and of the decode workers.
fn pools_of(plan: &Estimate) -> (usize, usize) {
    let decode = plan.plan.layout.pool;
    (plan.plan.prefill.map_or(decode, |prefill| prefill.pool), decode)
}

/// The most output of plans on pools that are not taken.
fn together<'a>(plans: &[&'a Estimate], taken: &[usize]) -> (f64, Vec<&'a Estimate>) {
    let Some((first, rest)) = plans.split_first() else { return (0.0, Vec::new()) };
    let without = together(rest, taken);
    let (from, to) = pools_of(first);
    if taken.contains(&from) || taken.contains(&to) {
        return without;
    }
    let (output, mut others) = together(rest, &[taken, &[from, to]].concat());
    let output = output + first.output.get();
    if output <= without.0 {
        return without;
    }
    others.insert(0, first);
    (output, others)
}
