//! Finding the best plan of one layout that holds the targets as simulated, in few simulations.
//!
//! The closed form proposes. Where a simulation differs from it, it is corrected: each of its figures by the ratio that
//! was simulated, between two simulations by what lies between their ratios. What is proposed next is the best plan
//! that should hold by that. A plan that misses a target rules out all that carry a heavier load; where the cache ran
//! out in it, which no closed form sees coming, the next is lighter by a share that doubles each time.

use std::collections::HashMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::context::Context;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::plan::{Plan, Reason};
use crate::rank::KNEE;
use crate::units::RequestsPerSecond;
use crate::workload::Load;

use super::super::Question;
use super::super::candidate::Candidate;
use super::line::Line;
use super::sample::Sample;
use super::shared::Shared;

/// Most simulations of one layout before the lightest load decides.
const MOST_TRIALS: usize = 10;

/// Share that a time is to stay below its limit when a plan is proposed: what a simulation's doubt mostly takes.
const MARGIN: f64 = 0.008;

/// Share of the objective below which a better plan is not worth a simulation.
const GAIN: f64 = 0.005;

/// Share by which the load is lowered first when the cache ran out.
const BACK: f64 = 0.02;

/// A plan that was simulated.
#[derive(Clone, Copy, Debug)]
struct Trial {
    size: u64,
    closed: Figures,
    /// As simulated.
    figures: Figures,
    sample: Sample,
    holds: bool,
}

impl Trial {
    /// What is simulated of each figure for one of the closed form: TTFT, TPOT, end to end, output.
    fn ratios(&self) -> [f64; 4] {
        let (a, b) = (&self.figures, &self.closed);
        let pairs = [
            (a.ttft.get(), b.ttft.get()),
            (a.tpot.get(), b.tpot.get()),
            (a.e2e.get(), b.e2e.get()),
            (a.output.get(), b.output.get()),
        ];
        pairs.map(|(simulated, closed)| if closed > 0.0 { simulated / closed } else { 1.0 })
    }

    /// Whether its times are no guide to lighter loads.
    fn is_strained(&self) -> bool {
        self.sample.strained || self.sample.overloaded
    }
}

/// How far a layout has come.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing has been done.
    New,
    /// The plan of this size is to be simulated.
    Open(u64),
    /// The trial in this place holds, and is the best to be had.
    Settled(usize),
    /// No plan holds.
    Fallen(Reason, Plan),
}

/// A layout on its way to its best plan.
#[derive(Debug)]
pub(super) struct Probe<'q, 'c> {
    question: &'q Question<'q>,
    shared: &'q Shared,
    candidate: Candidate,
    line: Option<Line<'q, 'c>>,
    /// Closed forms that are known, by size.
    known: HashMap<u64, Option<Figures>>,
    trials: Vec<Trial>,
    state: State,
    /// What the layout may come to.
    hoped: Figures,
}

impl<'q, 'c> Probe<'q, 'c> {
    pub(super) fn new(question: &'q Question<'q>, candidate: Candidate, shared: &'q Shared) -> Probe<'q, 'c> {
        let (known, trials) = (HashMap::new(), Vec::new());
        let hoped = candidate.hoped;
        Probe { question, shared, candidate, line: None, known, trials, state: State::New, hoped }
    }

    /// What the layout may come to; what it does come to once that is certain.
    pub(super) fn hoped(&self) -> &Figures {
        &self.hoped
    }

    /// What the search found of it.
    pub(super) fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Whether its best plan is known.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.state, State::Settled(_))
    }

    /// Whether there is something to do.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::New | State::Open(_))
    }

    /// Whether something was simulated.
    pub(super) fn was_tried(&self) -> bool {
        !self.trials.is_empty()
    }

    /// Whether some plan of it is known to hold.
    pub(super) fn holds(&self) -> bool {
        self.is_settled() || self.best_that_holds().is_some()
    }

    /// Why no plan of it holds, and the one that was tried last, if none does.
    pub(super) fn fallen(&self) -> Option<(Reason, Plan)> {
        match self.state {
            State::Fallen(reason, plan) => Some((reason, plan)),
            _ => None,
        }
    }

    /// The estimate of the best plan that holds, as far as is known.
    pub(super) fn best(&self) -> Option<Estimate> {
        let place = match self.state {
            State::Settled(place) => place,
            _ => self.best_that_holds()?,
        };
        let trial = self.trials.get(place)?;
        self.line.as_ref()?.estimate(trial.size, Some(trial.sample))
    }

    /// About how many steps are simulated next.
    pub(super) fn steps(&self) -> u64 {
        let State::Open(size) = self.state else { return 0 };
        let closed = self.known.get(&size).copied().flatten();
        self.line.as_ref().zip(closed).map_or(0, |(line, closed)| line.steps(&closed))
    }

    /// Does what is to be done next.
    ///
    /// # Errors
    /// None in practice: lengths are drawn and not read.
    pub(super) fn step(&mut self, contexts: &'c [Vec<Context<'c>>]) -> Result<(), Diagnostic> {
        match self.state {
            State::New => match Line::new(self.question, contexts, self.candidate.plain.plan, self.shared) {
                Ok(line) => self.line = Some(line),
                Err(reason) => {
                    self.state = State::Fallen(reason, self.candidate.plain.plan);
                    return Ok(());
                }
            },
            State::Open(size) => self.simulate(size)?,
            State::Settled(_) | State::Fallen(..) => return Ok(()),
        }
        self.decide();
        Ok(())
    }

    fn simulate(&mut self, size: u64) -> Result<(), Diagnostic> {
        let (Some(closed), Some(line)) = (self.closed(size), &self.line) else { return Ok(()) };
        let at = self.question.targets.at;
        let sample = match self.shared.sample(closed.plan, at, || line.simulate(&closed)) {
            // It stays open, as one that was not tried.
            Err(stopped) if stopped.code == Code::Stopped => return Ok(()),
            sample => sample?,
        };
        let Question { workload, targets, .. } = self.question;
        let as_simulated = |v| closed.as_simulated(v, workload.load);
        let figures = as_simulated(&sample.verified);
        // Where there is no lighter load, what holds on the mean has to do.
        let lightest = line.is_single() || line.sizes().first() == Some(&size);
        let judged = if lightest { figures } else { as_simulated(&sample.doubted) };
        let holds = !sample.overloaded && judged.missed(targets).is_none();
        self.trials.push(Trial { size, closed, figures, sample, holds });
        Ok(())
    }

    fn closed(&mut self, size: u64) -> Option<Figures> {
        if let Some(figures) = self.known.get(&size) {
            return *figures;
        }
        let figures = self.line.as_ref()?.closed(size).ok();
        self.known.insert(size, figures);
        figures
    }

    fn best_that_holds(&self) -> Option<usize> {
        let objective = self.question.objective;
        let holding = self.trials.iter().enumerate().filter(|(_, t)| t.holds);
        holding.min_by(|a, b| objective.order(&a.1.figures, &b.1.figures)).map(|(place, _)| place)
    }

    fn trial_of(&self, size: u64) -> Option<usize> {
        self.trials.iter().position(|t| t.size == size)
    }

    /// Decides what is simulated next, or that nothing is.
    fn decide(&mut self) {
        let (pick, best) = (self.pick(), self.best_that_holds());
        let tired = self.trials.len() >= MOST_TRIALS;
        self.state = match (pick, best) {
            (Some((size, _)), _) if self.trial_of(size).is_some_and(|place| self.trials[place].holds) => {
                self.settle(self.trial_of(size).unwrap_or_default(), tired)
            }
            (Some((_, pick)), Some(best)) if tired || !self.gains(&pick, best) => self.settle(best, tired),
            (Some((size, pick)), best) if !tired => {
                let known = best.map(|place| self.trials[place].figures);
                let better = known.filter(|known| self.question.objective.order(known, &pick).is_lt());
                self.hoped = if self.trials.is_empty() { self.hoped } else { better.unwrap_or(pick) };
                State::Open(size)
            }
            (_, Some(best)) => self.settle(best, tired),
            (_, None) => self.last_resort(),
        };
        if let State::Settled(place) = self.state {
            self.hoped = self.trials[place].figures;
        }
    }

    /// The best that holds is what there is, unless fewer replicas than it has may do, more than those that miss: percentiles
    /// fall off a step where replicas are added, and what was simulated on one side of it says nothing of the other.
    fn settle(&mut self, best: usize, tired: bool) -> State {
        let holds = self.trials[best].size;
        let by_replicas = self.line.as_ref().is_some_and(Line::counts_replicas);
        let misses = self.trials.iter().filter(|t| !t.holds && t.size < holds).map(|t| t.size).max();
        let Some(misses) = misses.filter(|misses| by_replicas && !tired && holds - misses > 1) else {
            return State::Settled(best);
        };
        let middle = misses.midpoint(holds);
        let (known, objective) = (self.trials[best].figures.improved(GAIN), self.question.objective);
        let better = |pick: Figures| objective.order(&pick, &known).is_lt();
        match self.closed(middle) {
            Some(pick) if self.may_hold(middle) && better(pick) => State::Open(middle),
            _ => State::Settled(best),
        }
    }

    /// Nothing should hold: the lightest load decides.
    fn last_resort(&mut self) -> State {
        let lightest = self.line.as_ref().and_then(|line| line.sizes().first().copied());
        let untried = lightest.filter(|size| self.trial_of(*size).is_none());
        if let Some(size) = untried
            && self.closed(size).is_some()
        {
            return State::Open(size);
        }
        let plan = self.trials.last().map_or(self.candidate.plain.plan, |t| t.closed.plan);
        let reason = self.trials.last().and_then(|t| self.why(t));
        // Without a trial the closed form has no figures of the lightest load, and said why before.
        let none = Reason::RateMissed { want: RequestsPerSecond::ZERO, got: RequestsPerSecond::ZERO };
        State::Fallen(reason.unwrap_or(none), plan)
    }

    /// Why a trial does not hold.
    fn why(&self, trial: &Trial) -> Option<Reason> {
        let Question { workload, targets, .. } = self.question;
        match workload.load {
            Load::Rate(want) if trial.sample.overloaded => {
                let got = trial.sample.verified.output.get() / workload.osl as f64;
                Some(Reason::RateMissed { want, got: RequestsPerSecond::new(got) })
            }
            load => {
                let times = [&trial.sample.verified, &trial.sample.doubted];
                times.into_iter().find_map(|v| trial.closed.as_simulated(v, load).missed(targets))
            }
        }
    }

    /// Whether a plan would be better than a trial by more than a simulation is worth.
    fn gains(&self, pick: &Figures, best: usize) -> bool {
        let best = self.trials[best].figures;
        pick.gpus < best.gpus || self.question.objective.order(pick, &best.improved(GAIN)).is_lt()
    }

    /// The best plan that should hold, by the corrected closed form.
    fn pick(&mut self) -> Option<(u64, Figures)> {
        let sizes = self.line.as_ref()?.sizes().to_vec();
        let mut expected: Vec<(u64, Figures)> =
            sizes.iter().filter_map(|size| self.expected(*size)).collect();
        let (size, _) = self.choose(&expected)?;
        let place = sizes.iter().position(|s| *s == size)?;
        let around = self.line.as_ref()?.around(place);
        expected.extend(around.into_iter().filter_map(|size| self.expected(size)));
        self.choose(&expected)
    }

    fn choose(&self, of: &[(u64, Figures)]) -> Option<(u64, Figures)> {
        let figures: Vec<Figures> = of.iter().map(|(_, figures)| *figures).collect();
        // Where sizes are looked at closely, half as much is given away for a faster plan.
        let share = if self.line.as_ref()?.refines() { KNEE / 2.0 } else { KNEE };
        let chosen = self.question.objective.choose_within(share, &figures)?;
        of.iter().find(|(_, figures)| figures.plan == chosen.plan).copied()
    }

    /// The figures that a plan should have, if it should hold.
    fn expected(&mut self, size: u64) -> Option<(u64, Figures)> {
        if let Some(place) = self.trial_of(size) {
            let trial = &self.trials[place];
            return trial.holds.then_some((size, trial.figures));
        }
        if !self.may_hold(size) {
            return None;
        }
        let [ttft, tpot, e2e, output] = self.ratios(size);
        let closed = self.closed(size)?;
        let figures = Figures {
            ttft: closed.ttft * ttft,
            tpot: closed.tpot * tpot,
            e2e: closed.e2e * e2e,
            output: closed.output * output,
            per_output: closed.per_output * (1.0 / output),
            ..closed
        };
        let margin = if self.line.as_ref()?.is_single() { 0.0 } else { MARGIN };
        let targets = self.question.targets.loosened(1.0 / (1.0 + margin));
        figures.missed(&targets).is_none().then_some((size, figures))
    }

    /// Whether no trial rules a size out.
    fn may_hold(&self, size: u64) -> bool {
        let Some(line) = &self.line else { return false };
        let mut back = BACK;
        self.trials.iter().filter(|t| !t.holds).all(|t| {
            let mut may = line.heavier(t.size, size);
            if t.is_strained() {
                may &= line.lighter_by(back, size, t.size);
                back *= 2.0;
            }
            may
        })
    }

    /// What each figure of the closed form is to be multiplied by at a size: the ratios of the nearest trials, mixed by
    /// the logarithm of the load between two. A strained trial says nothing of lighter loads.
    fn ratios(&self, size: u64) -> [f64; 4] {
        let Some(line) = &self.line else { return [1.0; 4] };
        let distance = |t: &&Trial| ((t.size as f64).ln() - (size as f64).ln()).abs();
        let nearest = |heavier: bool| {
            let side = self.trials.iter().filter(|t| line.heavier(t.size, size) == heavier);
            side.filter(|t| !(heavier && t.is_strained())).min_by(|a, b| distance(a).total_cmp(&distance(b)))
        };
        match (nearest(false), nearest(true)) {
            (None, None) => [1.0; 4],
            (Some(one), None) | (None, Some(one)) => one.ratios(),
            (Some(a), Some(b)) => {
                let share = distance(&a) / (distance(&a) + distance(&b)).max(f64::MIN_POSITIVE);
                let (from, to) = (a.ratios(), b.ratios());
                std::array::from_fn(|i| from[i] + (to[i] - from[i]) * share)
            }
        }
    }
}
