//! The plans of one layout along the axis that its load leaves open: the batch, or under a load the number of
//! replicas.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::estimate::context::Context;
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::{Figures, Verified};
use crate::estimate::range::Chances;
use crate::plan::space::ALL_REPLICAS;
use crate::plan::{BatchPoint, Plan, Reason};
use crate::units::RequestsPerSecond;
use crate::workload::{Load, Workload};

use super::super::Question;
use super::super::pairs::Batch;
use super::pools::Pools;
use super::sample::Sample;
use super::shared::{Known, Shared};
use super::trial::Sent;

/// Plans between two neighbours of a line that are looked at when one of them is the best.
const BETWEEN: u64 = 16;

/// What is simulated of a layout.
#[derive(Debug)]
enum Subject<'c> {
    Replicas(Box<Deployment<'c>>, Arc<Known>),
    Pools(Box<Pools<'c>>),
}

/// What the sizes of a line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    /// Requests in flight on each replica: more of them are a heavier load.
    Batch,
    /// Replicas: fewer of them have the heavier load.
    Replicas,
    /// One plan and no other.
    Fixed,
}

/// The plans of one layout, by their size.
#[derive(Debug)]
pub(super) struct Line<'q, 'c> {
    question: &'q Question<'q>,
    subject: Subject<'c>,
    base: Plan,
    axis: Axis,
    /// GPUs of other pools.
    elsewhere: u64,
    /// The sizes that are looked at first, the lightest load first.
    sizes: Vec<u64>,
    /// Whether those between them may be looked at.
    refines: bool,
}

impl<'q, 'c> Line<'q, 'c> {
    /// The line of a candidate, if its layout fits, which the search has found.
    ///
    /// # Errors
    /// Why the layout does not fit.
    pub(super) fn new(
        question: &'q Question<'q>,
        contexts: &'c [Vec<Context<'c>>],
        base: Plan,
        shared: &Shared,
    ) -> Result<Line<'q, 'c>, Reason> {
        let (layout, place) = (base.layout, question.context_of(base.layout));
        let context = &contexts[layout.pool][place];
        let decode = Deployment::new(context, layout.parallelism)?;
        let elsewhere = question.gpus() - u64::from(context.cluster.gpus);
        let subject = match base.prefill {
            None => Subject::Replicas(Box::new(decode), shared.known_of(layout)),
            Some(pool) => {
                let prefill = Deployment::new(&contexts[pool.pool][place], pool.parallelism)?;
                Subject::Pools(Box::new(Pools::new((prefill, pool.workers), (decode, base.replicas))))
            }
        };
        let axis = match (question.workload.load, &subject) {
            (Load::Saturate, _) => Axis::Batch,
            (_, Subject::Replicas(..)) => Axis::Replicas,
            (_, Subject::Pools(_)) => Axis::Fixed,
        };
        let pinned = match axis {
            Axis::Batch => question.pins.batch.clone(),
            Axis::Replicas => question.pins.replicas.iter().map(|n| u64::from(*n)).collect(),
            Axis::Fixed => vec![u64::from(base.replicas)],
        };
        let free = pinned.is_empty();
        // Without a limit on a time nothing is to be found between the batches that the search has looked at.
        let refines = free && (axis == Axis::Replicas || question.targets.limit_times());
        let mut line = Line { question, subject, base, axis, elsewhere, sizes: pinned, refines };
        if free {
            line.sizes = line.ladder();
        }
        match axis {
            Axis::Replicas => line.sizes.sort_unstable_by(|a, b| b.cmp(a)),
            Axis::Batch | Axis::Fixed => line.sizes.sort_unstable(),
        }
        line.sizes.dedup();
        Ok(line)
    }

    fn deployment(&self) -> &Deployment<'c> {
        match &self.subject {
            Subject::Replicas(deployment, _) => deployment,
            Subject::Pools(pools) => &pools.decode,
        }
    }

    /// Sizes in even ratios. Of replicas, those from the fewest that may do.
    fn ladder(&self) -> Vec<u64> {
        let deployment = self.deployment();
        let (from, to) = match self.axis {
            Axis::Batch if self.question.is_open(&self.question.own_variant()) => {
                (1, deployment.roomy_batch())
            }
            Axis::Batch => (1, deployment.max_batch().max(1)),
            Axis::Replicas => (u64::from(self.base.replicas), u64::from(deployment.placement.max_replicas)),
            Axis::Fixed => return Vec::new(),
        };
        // Of batches those that the search looks at: four steps to a doubling.
        let next = |n: &u64| match self.axis {
            Axis::Replicas => Some(n + (n / 6).max(1)),
            Axis::Batch | Axis::Fixed => Some(n + (1 << n.ilog2().saturating_sub(2))),
        };
        std::iter::successors(Some(from), next).take_while(|n| *n < to).chain([to]).collect()
    }

    /// The size of a plan of this line.
    pub(super) fn size_of(&self, figures: &Figures) -> u64 {
        let (sent, replicas) = self.sent(figures);
        match self.axis {
            Axis::Batch => sent.in_flight.round() as u64,
            Axis::Replicas => replicas as u64,
            Axis::Fixed => u64::from(self.base.replicas),
        }
    }

    /// Whether a size is a load lighter by a share than another; of replicas at least one more.
    pub(super) fn lighter_by(&self, share: f64, size: u64, than: u64) -> bool {
        let (size, than) = (size as f64, than as f64);
        match self.axis {
            Axis::Batch | Axis::Fixed => size <= than * (1.0 - share),
            Axis::Replicas => size >= than * (1.0 + share),
        }
    }

    /// The sizes that are looked at first, the lightest load first.
    pub(super) fn sizes(&self) -> &[u64] {
        &self.sizes
    }

    /// Whether `a` is a heavier load than `b`.
    pub(super) fn heavier(&self, a: u64, b: u64) -> bool {
        match self.axis {
            Axis::Batch | Axis::Fixed => a > b,
            Axis::Replicas => a < b,
        }
    }

    /// Sizes between the one in a place and its neighbours.
    pub(super) fn around(&self, place: usize) -> Vec<u64> {
        let range = |a: Option<&u64>, b: Option<&u64>| -> Option<Range<u64>> {
            let (a, b) = (*a?, *b?);
            Some(a.min(b) + 1..a.max(b))
        };
        let here = self.sizes.get(place);
        let sides = [place.checked_sub(1).and_then(|i| self.sizes.get(i)), self.sizes.get(place + 1)];
        let sides = sides.into_iter().filter(|_| self.refines).filter_map(|side| range(here, side));
        let some = |side: Range<u64>| {
            let step = (side.end - side.start).div_ceil(BETWEEN).max(1);
            side.step_by(step as usize)
        };
        sides.flat_map(some).collect()
    }

    fn plan(&self, size: u64) -> Plan {
        match self.axis {
            Axis::Batch => Plan { batch: BatchPoint::Sequences(size), ..self.base },
            Axis::Replicas => Plan { replicas: u32::try_from(size).unwrap_or(u32::MAX), ..self.base },
            Axis::Fixed => self.base,
        }
    }

    /// Whether sizes between those that are looked at first are looked at too.
    pub(super) fn refines(&self) -> bool {
        self.refines
    }

    /// Whether its sizes are numbers of replicas.
    pub(super) fn counts_replicas(&self) -> bool {
        self.axis == Axis::Replicas
    }

    /// Whether there is one plan and no other.
    pub(super) fn is_single(&self) -> bool {
        self.sizes.len() <= 1 && !self.refines
    }

    /// Its figures in closed form.
    ///
    /// # Errors
    /// Why it has none.
    pub(super) fn closed(&self, size: u64) -> Result<Figures, Reason> {
        let plan = self.plan(size);
        match &self.subject {
            Subject::Replicas(deployment, _) => deployment.score(plan),
            Subject::Pools(pools) => {
                let pair = pools.pair();
                let service = self.question.service(&pair, self.sequences(pools, size)?);
                let (replicas, most) = (pair.prefill.prefill.workers_for(service.rate), pair.prefill_workers);
                if replicas > most {
                    return Err(Reason::TooManyReplicas { replicas, most });
                }
                Ok(pair.figures(plan, &service))
            }
        }
    }

    /// Sequences in each decode worker.
    fn sequences(&self, pools: &Pools, size: u64) -> Result<f64, Reason> {
        let most = pools.to.decode.most;
        let sequences = if self.axis == Axis::Batch { (size as f64).min(most) } else { most };
        self.question.sequences(&pools.to, pools.replicas, Batch { sequences, point: 0 })
    }

    /// The whole estimate.
    pub(super) fn estimate(&self, size: u64, sample: Option<Sample>) -> Option<Estimate> {
        let plan = self.plan(size);
        let estimate = match &self.subject {
            Subject::Replicas(deployment, _) => deployment.figures(plan).ok()?,
            Subject::Pools(pools) => {
                let pair = pools.pair();
                let service = self.question.service(&pair, self.sequences(pools, size).ok()?);
                pair.estimate(plan, &pools.decode, &service)
            }
        };
        let idle_gpus = match &self.subject {
            Subject::Replicas(..) => estimate.idle_gpus + self.elsewhere,
            Subject::Pools(_) => self.question.gpus().saturating_sub(estimate.gpus),
        };
        let overloaded = sample.is_some_and(|sample| sample.overloaded);
        let verified = sample.map(|sample| sample.verified);
        let targets = &self.question.targets;
        let estimate = estimate.judged(targets);
        let simulated = verified
            .as_ref()
            .filter(|_| estimate.ranges.is_some())
            .map(|v| Chances::of(estimate.class, v.times(), targets));
        let holds = simulated.unwrap_or(estimate.holds);
        let estimate = Estimate { idle_gpus, holds, ..estimate };
        // Under a rate all that keep up deliver it: how much a run of some length counts is chance.
        let own = estimate.output;
        let delivers = |v: Verified| match self.question.workload.load {
            Load::Rate(_) if !overloaded => Verified { output: own, ..v },
            _ => v,
        };
        Some(match verified.map(delivers) {
            Some(verified) => estimate.as_simulated(&verified, &self.question.workload),
            None => estimate,
        })
    }

    /// What a trial of a plan sends, and to how many replicas it is sent in turn.
    fn sent(&self, closed: &Figures) -> (Sent<'_>, f64) {
        let replicas = match (&self.subject, closed.plan.replicas) {
            (Subject::Pools(_), _) => 1.0,
            (Subject::Replicas(d, _), ALL_REPLICAS) => f64::from(d.placement.max_replicas),
            (Subject::Replicas(..), n) => f64::from(n),
        };
        let in_flight = closed.in_flight / replicas;
        let load = match self.question.workload.load {
            Load::Rate(rate) => Load::Rate(RequestsPerSecond::new(rate.get() / replicas)),
            Load::Saturate | Load::Concurrency(_) | Load::Users(_) => {
                Load::Concurrency(in_flight.round().max(1.0) as u64)
            }
        };
        // Sessions are sent by their users: as many as keep that many requests in flight.
        let users = match &self.subject {
            Subject::Replicas(deployment, _) if self.question.workload.sessions.is_some() => {
                let launched = deployment.of_plan(&closed.plan);
                launched.served(in_flight, replicas as u32).1.map(|reuse| reuse.users)
            }
            _ => None,
        };
        let load = users.map_or(load, |users| Load::Users(users.round().max(1.0) as u64));
        let workload = Workload { load, ..self.question.workload };
        (Sent { stop: self.question.stop, workload, in_turn: replicas, in_flight }, replicas)
    }

    /// About how many steps the simulation of a plan takes.
    pub(super) fn steps(&self, closed: &Figures) -> u64 {
        let deployment = self.deployment();
        self.sent(closed).0.steps(deployment.replica().limits.max_batched_tokens)
    }

    /// Simulates a plan.
    ///
    /// # Errors
    /// None in practice: lengths are drawn and not read.
    pub(super) fn simulate(&self, closed: &Figures) -> Result<Sample, Diagnostic> {
        let ((sent, replicas), targets) = (self.sent(closed), &self.question.targets);
        match &self.subject {
            Subject::Replicas(deployment, known) => {
                let launched = deployment.of_plan(&closed.plan);
                match (self.question.workload.load, sent.workload.load) {
                    (Load::Concurrency(n), Load::Concurrency(_)) => {
                        sent.through_replicas((&launched, known), n, replicas as u64, targets)
                    }
                    _ => sent.through_replica((&launched, known), replicas, targets),
                }
            }
            Subject::Pools(pools) => sent.through_pools(pools, targets),
        }
    }
}
