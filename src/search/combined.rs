//! Several pools side by side: what they deliver together.

use crate::diagnostic::Diagnostic;
use crate::estimate::deployment::Estimate;
use crate::units::{RequestsPerSecond, TokensPerSecond, Usd};
use crate::workload::{Load, Workload};

use super::{Question, Verification};

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
        if self.pools.len() < 2 {
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

/// The split plans that use the GPUs of several kinds best: those of which no two use the same kind, with the most output
/// together. A kind computes prompts for another, or both for itself.
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
