//! The best plans in discrete events: their figures under the engine's own scheduling, with percentiles.

use crate::diagnostic::Diagnostic;
use crate::estimate::deployment::{Estimate, Verified};
use crate::estimate::figures::Figures;
use crate::estimate::pairing::{Pair, Worker};
use crate::plan::{Plan, Reason, Rejection};
use crate::simulate::{Drive, Outcome, Protocol, Simulation, SplitSimulation, Spread, Workers};
use crate::units::{RequestsPerSecond, Seconds};
use crate::workload::{Load, Targets, Workload};

use super::{Answer, Question, in_parallel};

/// Seed of the lengths and arrivals that are drawn: the same question has the same answer.
const SEED: u64 = 1;

/// How many plans to simulate, and what their times are compared by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// Plans, from the first rank.
    pub plans: usize,
    /// Share of requests that keep the targets; the mean where `None`.
    pub percentile: Option<f64>,
    /// Whether plans that miss a target as simulated are no answers any more, or only rank after the others.
    pub drops: bool,
}

/// Plans that are simulated without being asked for.
pub const UNASKED_PLANS: usize = 3;

/// Steps that are simulated without being asked for: worth about 20 ms of one core.
const UNASKED_STEPS: u64 = 12_000;

impl Question<'_> {
    /// How many of the first plans to simulate though nobody asks: as many as are worth about 20 ms, counted
    /// in simulated steps so that the same question always has the same answer.
    pub fn worth_verifying(&self, answer: &Answer) -> Check {
        let steps = answer.best.iter().take(UNASKED_PLANS).scan(0u64, |sum, estimate| {
            *sum = sum.saturating_add(self.simulated_steps(estimate));
            Some(*sum)
        });
        Check { plans: steps.take_while(|sum| *sum <= UNASKED_STEPS).count(), percentile: None, drops: false }
    }

    /// About how many steps the simulation of a plan takes: each chunk of a prompt is one, and the decode steps
    /// between two events are taken at once.
    fn simulated_steps(&self, estimate: &Estimate) -> u64 {
        let load = match estimate.prefill {
            None => self.share(estimate.batch, f64::from(estimate.replicas)),
            Some(_) => self.share(estimate.in_flight, 1.0),
        };
        let (engine, launched) = (estimate.plan.layout.engine, estimate.limits.max_batched_tokens);
        let ranks = estimate.parallelism.attention_dp;
        let each =
            self.engines.get(engine).map_or(launched, |engine| engine.tokens_per_rank(launched, ranks));
        let chunks = self.workload.computed_prompt().div_ceil(each.max(1));
        Protocol::Steady.requests(load).total().saturating_mul(chunks + 1)
    }

    /// Simulates the first plans, drops those that miss a target or ranks them after the others, and ranks by
    /// what was simulated, before the plans that were not.
    ///
    /// # Errors
    /// When a plan does not belong to this question.
    pub fn verify(&self, mut answer: Answer, check: Check) -> Result<Answer, Diagnostic> {
        let rest = answer.best.split_off(check.plans.min(answer.best.len()));
        let simulated =
            in_parallel(answer.best.len(), |i| self.simulated(&answer.best[i], check.percentile))?;
        let mut kept: Vec<Estimate> = Vec::with_capacity(simulated.len());
        for (estimate, verified) in std::mem::take(&mut answer.best).into_iter().zip(simulated) {
            let estimate = Estimate { verified: Some(verified), ..estimate };
            match measured(&estimate).missed(&self.workload.targets).filter(|_| check.drops) {
                None => kept.push(estimate),
                Some(reason) => missed(&mut answer, reason, estimate.plan),
            }
        }
        let misses = |e: &Estimate| measured(e).missed(&self.workload.targets).is_some();
        kept.sort_by(|a, b| {
            misses(a).cmp(&misses(b)).then_with(|| self.objective.order(&measured(a), &measured(b)))
        });
        // What was not simulated cannot be promised at a percentile.
        kept.extend(rest.into_iter().filter(|_| check.percentile.is_none()));
        answer.best = kept;
        Ok(answer)
    }

    fn simulated(&self, estimate: &Estimate, percentile: Option<f64>) -> Result<Verified, Diagnostic> {
        let replicas = f64::from(estimate.replicas);
        let outcome = match &estimate.plan.prefill {
            None => {
                let workload = Workload { load: self.share(estimate.batch, replicas), ..self.workload };
                self.with_deployment(estimate, |deployment| {
                    let drive = Drive::new(Protocol::Steady, &workload, SEED);
                    let replica = deployment.replica();
                    Simulation::new(&replica, drive.arrivals(), drive.requests.window(), Targets::default())
                        .run(&mut ())
                })??
            }
            Some(pool) => self.split_outcome(estimate, pool.workers)?,
        };
        let whole = if estimate.prefill.is_some() { 1.0 } else { replicas };
        let at = |spread: &Spread| percentile.map_or(spread.mean(), |share| spread.quantile(share));
        Ok(Verified {
            ttft: at(&outcome.ttft),
            tpot: at(&outcome.tpot),
            e2e: at(&outcome.e2e),
            output: outcome.output() * whole,
        })
    }

    /// What falls to one of `parts`.
    fn share(&self, in_flight: f64, parts: f64) -> Load {
        match self.workload.load {
            Load::Rate(rate) => Load::Rate(RequestsPerSecond::new(rate.get() / parts)),
            Load::Saturate | Load::Concurrency(_) => Load::Concurrency(in_flight.round().max(1.0) as u64),
        }
    }

    fn split_outcome(&self, estimate: &Estimate, workers: u32) -> Result<Outcome, Diagnostic> {
        let workload = Workload { load: self.share(estimate.in_flight, 1.0), ..self.workload };
        let drive = Drive::new(Protocol::Steady, &workload, SEED);
        self.with_pools(estimate, |prefill, decode| {
            let (from, to) = (Worker::of(prefill), Worker::of(decode));
            let transfer = from.transfer_to(&to);
            let pair = Pair {
                prefill: &from,
                prefill_workers: workers,
                decode: &to,
                decode_workers: estimate.replicas,
                transfer,
            };
            let (p, d) = (prefill.replica(), decode.replica());
            SplitSimulation::new(
                Workers { replica: &p, count: pair.prefill_workers },
                Workers { replica: &d, count: pair.decode_workers },
                pair.transfer.time,
                drive.arrivals(),
                drive.requests.window(),
                Targets::default(),
            )
            .run()
        })?
    }
}

/// The figures of a plan with what was simulated in place of the closed form.
fn measured(estimate: &Estimate) -> Figures {
    let own = Figures::from(estimate);
    match estimate.verified {
        None => own,
        Some(v) => {
            let faster = if v.output.get() > 0.0 { own.output / v.output } else { f64::INFINITY };
            Figures {
                ttft: v.ttft,
                tpot: if v.tpot > Seconds::ZERO { v.tpot } else { own.tpot },
                e2e: v.e2e,
                output: v.output,
                per_output: own.per_output * faster,
                ..own
            }
        }
    }
}

/// Counts a plan that turned out to miss a target.
fn missed(answer: &mut Answer, reason: Reason, nearest: Plan) {
    answer.counts.feasible = answer.counts.feasible.saturating_sub(1);
    answer.counts.target_missed += 1;
    match answer.rejected.iter_mut().find(|r| r.reason.key() == reason.key()) {
        Some(known) => known.count += 1,
        None => answer.rejected.push(Rejection { reason, count: 1, nearest }),
    }
}
