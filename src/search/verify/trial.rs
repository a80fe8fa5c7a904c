//! One plan in discrete events.

use crate::diagnostic::Diagnostic;
use crate::estimate::deployment::Deployment;
use crate::simulate::{Drive, Outcome, Protocol, Requests, Simulation, SplitSimulation, Workers};
use crate::stop::Stop;
use crate::workload::{Load, Targets, Workload};

use super::pools::Pools;
use super::remembered::{Launched, Remembered, Run};
use super::sample::Sample;
use super::shared::Known;

/// Seed of the lengths and arrivals that are drawn: the same question has the same answer.
const SEED: u64 = 1;

/// Fewest requests that count under a rate.
const FEWEST: u64 = 1000;

/// How many times as many requests a run has whose times still rose, and how often it is made longer.
const LONGER: u64 = 4;
const LONGER_RUNS: usize = 2;

/// Most steps that are simulated for one question: some twenty seconds of one core. Only prompts that are cut into thousands
/// of parts come near.
pub(in crate::search) const MOST_STEPS: u64 = 20_000_000;

/// What is sent to the server of a trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    /// When it ends unanswered.
    pub(super) stop: Stop<'a>,
    /// Lengths, and the load on it.
    pub(super) workload: Workload,
    /// Replicas that take turns: the gaps of a Poisson process of which each has every n-th request are Gamma
    /// distributed with shape n.
    pub(super) in_turn: f64,
    /// Requests in it on average, as the closed form has it.
    pub(super) in_flight: f64,
}

impl Sent<'_> {
    fn drive(&self) -> Drive {
        let drive = Drive::new(Protocol::Steady, &self.workload, SEED);
        Drive { burstiness: self.in_turn, requests: self.requests(), ..drive }
    }

    fn requests(&self) -> Requests {
        match self.workload.load {
            Load::Rate(_) => Protocol::requests_under_rate(self.in_flight, FEWEST),
            load => Protocol::Steady.requests(load),
        }
    }

    /// About how many steps its simulation takes: each chunk of a prompt is one, and the decode steps between two
    /// events are taken at once.
    pub(super) fn steps(&self, step_tokens: u64) -> u64 {
        let chunks = self.workload.computed_prompt().div_ceil(step_tokens.max(1));
        self.requests().total().saturating_mul(chunks + 1)
    }

    /// Whether a run of so many requests is one that a question may take.
    fn affords(&self, requests: Requests, step_tokens: u64) -> bool {
        let chunks = self.workload.computed_prompt().div_ceil(step_tokens.max(1));
        requests.total().saturating_mul(chunks + 1) <= MOST_STEPS
    }

    /// All replicas of a deployment that so many requests in flight are spread over: where those do not divide, some have
    /// one more than the others.
    ///
    /// # Errors
    /// [`Code::Stopped`](crate::diagnostic::Code::Stopped) when the time was up before its end.
    pub(super) fn through_replicas(
        &self,
        (deployment, known): (&Deployment, &Known),
        in_flight: u64,
        replicas: u64,
        targets: &Targets,
    ) -> Result<Sample, Diagnostic> {
        let (each, more) = (in_flight / replicas.max(1), in_flight % replicas.max(1));
        let mut samples = [(each + 1, more), (each, replicas - more)].into_iter().filter_map(|(n, count)| {
            let workload = Workload { load: Load::Concurrency(n), ..self.workload };
            let sent = Sent { workload, in_flight: n as f64, ..*self };
            (n > 0 && count > 0).then(|| sent.through_replica((deployment, known), count as f64, targets))
        });
        match (samples.next(), samples.next()) {
            (Some(fuller), None) => fuller,
            (Some(fuller), Some(others)) => Ok(fuller?.beside(others?, &targets.at)),
            (None, _) => self.through_replica((deployment, known), replicas as f64, targets),
        }
    }

    /// One of `replicas` equal ones.
    ///
    /// # Errors
    /// [`Code::Stopped`](crate::diagnostic::Code::Stopped) when the time was up before its end.
    pub(super) fn through_replica(
        &self,
        (deployment, known): (&Deployment, &Known),
        replicas: f64,
        targets: &Targets,
    ) -> Result<Sample, Diagnostic> {
        let replica = deployment.replica();
        let run = |requests: Requests| {
            let drive = Drive { requests, ..self.drive() };
            let window = drive.requests.window();
            let drive = drive.spread(deployment.limits.keeping.routing, replicas as u64);
            let below = deployment.below(replicas as u32).into_iter().flatten();
            let simulation = Simulation::new(&replica, drive.arrivals(), window, Targets::default());
            let simulation = simulation.above(below).without_gaps().knowing(known.take());
            let (outcome, timings) = simulation.run_on(&mut { self.stop })?;
            known.put_back(timings);
            Ok(outcome)
        };
        let simulated = || {
            let outcome = self.settled(replica.limits.max_batched_tokens, run)?;
            Ok(Sample::of(&outcome, targets))
        };
        // What turns of sessions find depends on the other replicas, too.
        let one = match self.workload.sessions {
            Some(_) => simulated(),
            None => {
                let remembered = known.replica(|| Remembered::of(&replica, &self.workload));
                let (load, at) = (self.workload.load, targets.at);
                let launched = Launched::of(&replica);
                let run = Run { launched, load, in_turn: self.in_turn, in_flight: self.in_flight, at };
                remembered.under(run, simulated)
            }
        };
        Ok(one?.of_replicas(replicas))
    }

    /// Split pools, all workers at once.
    ///
    /// # Errors
    /// [`Code::Stopped`](crate::diagnostic::Code::Stopped) when the time was up before its end.
    pub(super) fn through_pools(&self, pools: &Pools, targets: &Targets) -> Result<Sample, Diagnostic> {
        let pair = pools.pair();
        let (p, d) = (pools.prefill.replica(), pools.decode.replica());
        let run = |requests: Requests| {
            let drive = Drive { requests, ..self.drive() };
            SplitSimulation::new(
                Workers { replica: &p, count: pair.prefill_workers },
                Workers { replica: &d, count: pair.decode_workers },
                pair.transfer.time,
                drive.arrivals(),
                drive.requests.window(),
                Targets::default(),
            )
            .without_gaps()
            .run(&self.stop)
        };
        let outcome = self.settled(p.limits.max_batched_tokens, run)?;
        Ok(Sample::of(&outcome, targets))
    }

    /// A run that is long enough: where times still rise or the server still fills, one of [`LONGER`] times as many requests, as often as that is
    /// allowed.
    fn settled(
        &self,
        step_tokens: u64,
        run: impl Fn(Requests) -> Result<Outcome, Diagnostic>,
    ) -> Result<Outcome, Diagnostic> {
        let mut requests = self.requests();
        let mut outcome = run(requests)?;
        for _ in 0..LONGER_RUNS {
            let longer = requests.times(LONGER);
            let settled = !outcome.rises() && !outcome.fills();
            if settled || outcome.overloaded() || !self.affords(longer, step_tokens) {
                break;
            }
            requests = longer;
            outcome = run(requests)?;
        }
        Ok(outcome)
    }
}
