//! Verification: what is printed holds. For each layout that can reach the list the best plan that keeps the targets
//! as simulated is found: the closed form proposes, a few simulations around its answer decide.
//!
//! Layouts are taken up by what they may come to, best first. Once the best plan of one is certain, and no other layout
//! may come to more, it is the first of the answer, however many more are verified: deeper verification never worsens
//! an answer. Simulated steps are counted, and never the time, so that an answer does not depend on the machine.

mod line;
mod pools;
mod probe;
mod remembered;
mod sample;
mod shared;
mod trial;

use rayon::prelude::*;

use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::context::Context;
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::estimate::figures::Verified;
use crate::plan::Stage;
use crate::plan::{Plan, Reason, Rejection};
use crate::stop::Stop;
use crate::workload::{Load, Percentiles, Targets, Workload};

use super::Question;
use super::candidate::Candidate;
use super::verification::{Depth, LISTED};
use super::visit::Summary;
use line::Line;
use probe::Probe;
use shared::Known;
pub(super) use shared::Shared;
pub(super) use trial::MOST_STEPS;
use trial::Sent;

/// Steps that are simulated beyond what the first plan takes, without being asked for: worth some 20 ms of one core.
const UNASKED_STEPS: u64 = 24_000;

/// Layouts that are looked at side by side. A number of its own, so that answers do not depend on that of threads.
const AT_ONCE: usize = 4;

/// Share by which a layout may lie behind the best and still be looked at beside it, unasked.
const CLOSE: f64 = 0.1;

impl Question<'_> {
    /// Puts plans that hold as simulated in the place of those of the closed form. Questions that share their figures
    /// share what was simulated.
    ///
    /// # Errors
    /// None in practice: lengths are drawn and not read.
    pub(super) fn verified<'c>(
        &self,
        mut summary: Summary,
        contexts: &'c [Vec<Context<'c>>],
        shared: &Shared,
    ) -> Result<Summary, Diagnostic> {
        let depth = self.verification.depth;
        let stopped = depth == Depth::First && summary.counts.unseen > 0;
        if depth == Depth::Nothing || stopped {
            return Ok(summary);
        }
        let candidates: Vec<Candidate> = std::mem::take(&mut summary.candidates);
        let probes = candidates.into_iter().map(|candidate| Probe::new(self, candidate, shared)).collect();
        let probes = self.settle(probes, contexts)?;
        let known = std::mem::take(&mut summary.best);
        // What was not simulated is not shown beside enough that was.
        summary.cut |= self.stop.now();
        let plenty = probes.iter().filter(|probe| probe.holds()).count() >= self.looked_at();
        for probe in &probes {
            match probe.fallen() {
                Some((reason, plan)) => summary.fall(reason, plan, self.holds(&probe.candidate().plain)),
                None if probe.was_tried() => summary.best.extend(probe.best()),
                // What was not simulated cannot be promised at a percentile.
                None if !plenty && self.targets.at == Percentiles::MEANS => {
                    summary
                        .best
                        .extend(known.iter().find(|e| is_of(e, &probe.candidate().plain.plan)).cloned());
                }
                None => {}
            }
        }
        // Plans that hold though the closed form has none.
        let more = (summary.best.len() as u64).saturating_sub(summary.counts.feasible);
        let more = more.min(summary.counts.target_missed);
        summary.counts.feasible += more;
        summary.counts.target_missed -= more;
        Ok(summary)
    }

    /// Whether a plan keeps the targets in closed form.
    fn holds(&self, figures: &Figures) -> bool {
        figures.missed(&self.targets).is_none()
    }

    /// Simulates until as many of the first plans are certain as are asked for, and what was begun is done.
    fn settle<'q, 'c>(
        &'q self,
        mut probes: Vec<Probe<'q, 'c>>,
        contexts: &'c [Vec<Context<'c>>],
    ) -> Result<Vec<Probe<'q, 'c>>, Diagnostic> {
        let mut spent = 0u64;
        loop {
            self.sort(&mut probes);
            let certain = probes.iter().take_while(|probe| probe.is_settled()).count();
            // As much as is done unasked is done at any depth: more of it never takes the first plan's place.
            let unasked = certain >= self.looked_at() || certain > 0 && spent >= UNASKED_STEPS;
            let enough = match self.verification.depth {
                Depth::Nothing => true,
                Depth::First => unasked,
                Depth::Plans(n) => unasked && certain >= n,
            };
            // Unasked, those that may come close to the best of what is open go first: the others may not be needed.
            let leader = probes.iter().find(|probe| probe.is_open()).map(|probe| *probe.hoped());
            let close = |probe: &Probe| {
                let wanted = unasked && self.verification.depth != Depth::First;
                let may = probe.hoped().improved(CLOSE);
                wanted || leader.is_none_or(|leader| self.objective.order(&may, &leader).is_le())
            };
            let affords = |probe: &Probe| spent.saturating_add(probe.steps()) <= MOST_STEPS;
            let due = |probe: &&mut Probe| {
                probe.is_open() && affords(probe) && if enough { probe.was_tried() } else { close(probe) }
            };
            let next: Vec<&mut Probe> = probes.iter_mut().filter(due).take(AT_ONCE).collect();
            if next.is_empty() || self.stop.now() {
                return self.shown(probes, contexts, spent);
            }
            spent = next.iter().fold(spent, |sum, probe| sum.saturating_add(probe.steps()));
            next.into_par_iter().map(|probe| probe.step(contexts)).collect::<Result<(), _>>()?;
        }
    }

    /// Layouts that are looked at however few are listed, so that their number changes none of them.
    fn looked_at(&self) -> usize {
        self.top.max(LISTED)
    }

    /// What may be best first, what has fallen last.
    fn sort(&self, probes: &mut [Probe]) {
        probes.sort_by(|a, b| {
            (a.fallen().is_some().cmp(&b.fallen().is_some()))
                .then_with(|| self.objective.order(a.hoped(), b.hoped()))
        });
    }

    /// Simulates what is shown and was not looked at more closely, until some plan of each layout holds.
    fn shown<'q, 'c>(
        &'q self,
        mut probes: Vec<Probe<'q, 'c>>,
        contexts: &'c [Vec<Context<'c>>],
        mut spent: u64,
    ) -> Result<Vec<Probe<'q, 'c>>, Diagnostic> {
        loop {
            self.sort(&mut probes);
            let affords = |probe: &Probe| spent.saturating_add(probe.steps()) <= MOST_STEPS;
            let due = |probe: &&mut Probe| probe.is_open() && !probe.holds() && affords(probe);
            let next: Vec<&mut Probe> =
                probes.iter_mut().take(self.looked_at()).filter(due).take(AT_ONCE).collect();
            if next.is_empty() || self.stop.now() {
                return Ok(probes);
            }
            spent = next.iter().fold(spent, |sum, probe| sum.saturating_add(probe.steps()));
            next.into_par_iter().map(|probe| probe.step(contexts)).collect::<Result<(), _>>()?;
        }
    }

    /// A plan as it is, simulated if it is to be; `None` where it has no figures.
    ///
    /// # Errors
    /// None in practice: lengths are drawn and not read.
    pub(super) fn once(
        &self,
        figures: &Figures,
        contexts: &[Vec<Context>],
        simulated: bool,
    ) -> Result<Option<Estimate>, Diagnostic> {
        let Ok(line) = Line::new(self, contexts, figures.plan, &Shared::default()) else { return Ok(None) };
        let size = line.size_of(figures);
        let Ok(closed) = line.closed(size) else { return Ok(None) };
        let sample = match simulated.then(|| line.simulate(&closed)).transpose() {
            Err(stopped) if stopped.code == Code::Stopped => None,
            sample => sample?,
        };
        Ok(line.estimate(size, sample))
    }
}

/// Whether an estimate is of the layout of a plan.
fn is_of(estimate: &Estimate, plan: &Plan) -> bool {
    let pool = |p: &Plan| p.prefill.map(|p| (p.pool, p.parallelism));
    estimate.plan.layout == plan.layout && pool(&estimate.plan) == pool(plan)
}

impl Summary {
    /// Counts a layout of which no plan holds as simulated: the plan that stood for it, if it was counted as feasible.
    fn fall(&mut self, reason: Reason, nearest: Plan, counted: bool) {
        if counted && reason.stage() == Stage::TargetMissed {
            self.counts.feasible = self.counts.feasible.saturating_sub(1);
            self.counts.target_missed += 1;
            self.ledger.add(Rejection { reason, count: 1, nearest });
        }
    }
}

/// What is sent to one of `replicas` under its share of the load, which is that of its deployment; those under a rate take
/// turns.
fn share<'s>((deployment, replicas): (&Deployment, u32), in_flight: f64, stop: Stop<'s>) -> Sent<'s> {
    let given = deployment.context().workload;
    let users = deployment.served(in_flight, replicas).1.map(|reuse| reuse.users.round().max(1.0) as u64);
    let workload = Workload { load: users.map_or(given.load, Load::Users), ..given };
    Sent { stop, workload, in_turn: f64::from(replicas), in_flight }
}

/// About how many steps [`under_load`] simulates.
pub(super) fn steps_under_load(of: (&Deployment, u32), in_flight: f64, stop: Stop) -> u64 {
    share(of, in_flight, stop).steps(of.0.replica().limits.max_batched_tokens)
}

/// Simulates one of `replicas` under its share of the load.
///
/// # Errors
/// None in practice: lengths are drawn and not read.
pub(super) fn under_load(
    of: (&Deployment, u32),
    in_flight: f64,
    targets: &Targets,
    stop: Stop,
) -> Result<Option<Verified>, Diagnostic> {
    let deployment = of.0;
    let sample = share(of, in_flight, stop).through_replica((deployment, &Known::default()), 1.0, targets)?;
    let class = deployment.class(&deployment.replica().at(in_flight), in_flight);
    let late = sample.doubted.missed(class, targets).is_some();
    Ok((!late && !sample.overloaded).then_some(sample.verified))
}
