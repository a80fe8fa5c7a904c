//! What becomes of a resolved request: plans, an estimate, fleets or a simulation.

use std::time::Instant;

use super::resolve::{Deployed, Resolved, Source};
use super::{SplitWorkers, Task};
use crate::catalog::{Cluster, Engine};
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::context::{Context, ContextParts};
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::fit::Fit;
use crate::estimate::pairing::Worker;
use crate::estimate::service::Replica;
use crate::estimate::sessions::Below;
use crate::plan::Stage;
use crate::plan::space::Pins;
use crate::plan::{BatchPoint, Layout, Parallelism, Plan, Reason};
use crate::search::size::{Demand, Fleet, Sizing, Step, growth};
use crate::search::{Advice, Answer, Question, Stop, Stopped, Verification, WhatIf};
use crate::simulate::{
    Arrivals, Drive, Observer, Outcome, Requests, Routed, Share, Simulation, SplitSimulation, State,
    Timeline, Trace, Workers,
};
use crate::workload::{Load, Targets};

/// The plans of a search, the best of them simulated.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Ranking, front, ledger and counts.
    pub answer: Answer,
    /// The best plan on GPUs that differ.
    pub what_if: Vec<(WhatIf, Option<Estimate>)>,
    /// What would make the question answerable, where nothing is feasible.
    pub advice: Vec<Advice>,
}

/// One plan in every detail.
#[derive(Clone, Debug)]
pub struct Estimated {
    /// Its figures.
    pub estimate: Estimate,
    /// Why it is no answer; empty where it is one.
    pub reasons: Vec<Reason>,
    /// What there is room for, and what would make it fit.
    pub fit: Fit,
}

/// A plan that is better than the one that was asked about.
#[derive(Clone, Debug)]
pub struct Better {
    /// Its output over that of the one that was asked about; `None` where that one does not run.
    pub gain: Option<f64>,
    /// Its figures.
    pub estimate: Estimate,
}

/// How many times the output of a plan another one must have to be called better.
const CLEARLY: f64 = 1.1;

/// The fleets that serve a rate.
#[derive(Clone, Debug)]
pub struct SizedFleets {
    /// What they must do.
    pub demand: Demand,
    /// What each kind of GPU offers, the best first.
    pub sizings: Vec<Sizing>,
    /// The best fleet along the forecast; empty without one.
    pub growth: Vec<Step>,
}

impl SizedFleets {
    /// The best of all fleets, with the kind of GPU that it is of.
    pub fn best(&self) -> Option<(&Sizing, &Fleet)> {
        self.sizings.first().and_then(|sizing| Some((sizing, sizing.fleets.first()?)))
    }
}

/// What a simulation came to.
#[derive(Clone, Debug)]
pub enum Simulated {
    /// It ran.
    Ran {
        /// Times, throughput and counts of all replicas.
        outcome: Box<Outcome>,
        /// Queue, running sequences and cache of the first replica over time; empty of split pools.
        timeline: Timeline,
    },
    /// It does not fit in memory: why, and what does not.
    CannotRun(Reason, String),
}

fn usage(cause: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::Usage, cause)
}

impl Resolved {
    /// The question that a search answers, without a time at which it stops.
    pub fn question(&self) -> Question<'_> {
        let (top, verification) = match self.task {
            Task::Plan => (self.top, self.verification),
            Task::Size => (self.top, Verification::UNASKED),
            _ => (1, Verification::NONE),
        };
        Question {
            model: &self.model,
            pools: &self.pools,
            engines: &self.engines,
            workload: self.workload,
            targets: self.targets,
            objective: self.objective,
            precisions: self.precisions.clone(),
            pins: self.pins.clone(),
            launches: self.launches.clone(),
            electricity: self.electricity,
            current: self.current.clone(),
            top,
            mode: self.mode,
            front: self.front.clone(),
            exhaustive: self.exhaustive,
            chooses: self.chooses,
            verification,
            stop: Stop::NEVER,
        }
    }

    /// When a search that begins now is to end, where the request limits its time.
    pub fn deadline(&self) -> Option<Instant> {
        self.time_limit.map(|limit| Instant::now() + std::time::Duration::from_secs_f64(limit.get()))
    }

    /// What a simulation is driven by, where it is drawn and not read from a file.
    pub fn drive(&self) -> Option<&Drive> {
        match self.source.as_ref()? {
            Source::Drawn { drive, .. } => Some(drive),
            Source::Trace { .. } => None,
        }
    }

    /// Ranks every plan, within the time limit of the request.
    ///
    /// # Errors
    /// Degrees that are pinned and no layout can have; a GPU description that lacks figures.
    pub fn plan(&self) -> Result<Planned, Diagnostic> {
        let stop = Stop { deadline: self.deadline(), asked: None };
        let question = Question { stop, ..self.question() };
        self.conclude(&question, question.answer()?)
    }

    /// The best plan of the same engine and precision on the same GPUs, where it delivers clearly more than the one that
    /// is given, or that one cannot run: a tenth more output, which is beyond what estimates of one engine differ by
    /// between layouts. Plans that may be looked at are those in closed form; `look` is shown the one that is found.
    ///
    /// # Errors
    /// As [`Resolved::plan`].
    pub fn better_than<T>(
        &self,
        given: &Estimated,
        longest: Option<u64>,
        stop: Stop,
        look: impl FnOnce(&Estimate, &Deployment) -> T,
    ) -> Result<Option<(Better, T)>, Diagnostic> {
        let Some(Deployed::Replicas(..)) = self.deployed else { return Ok(None) };
        let used = given.estimate.gpus;
        let own: Vec<Cluster> = self.pools.iter().map(|pool| only(pool, used)).collect();
        let mut question = Question { stop, pools: &own, ..self.question() };
        question.pins = Pins::default();
        question.workload.longest = longest.or(question.workload.longest);
        // Slots are as many as there are users, who wait the longer the more there are.
        let limits = given.estimate.limits;
        let slots = self.engines.iter().any(Engine::divides_cache).then_some(limits.max_sequences);
        for launch in &mut question.launches {
            (launch.limits.max_sequences, launch.limits.max_batched_tokens) = (slots, None);
            launch.limits.planned = true;
        }
        let answer = question.answer()?;
        stop.check()?;
        let Some(best) = answer.best.into_iter().next() else { return Ok(None) };
        let runs = given.reasons.is_empty()
            && longest.is_none_or(|tokens| tokens <= given.estimate.memory.kv_cache_tokens);
        let gain = best.output.get() / given.estimate.output.get();
        if runs && !(gain.is_finite() && gain > CLEARLY) {
            return Ok(None);
        }
        // It is a plan of this question alone: the limits of the one that is given may leave it no room.
        let looked = question.with_deployment(&best, |deployment| look(&best, deployment))?;
        let gain = Some(gain).filter(|gain| runs && gain.is_finite());
        Ok(Some((Better { gain, estimate: best }, looked)))
    }

    /// What becomes of an answer: what was asked beside it is answered.
    ///
    /// # Errors
    /// As [`Resolved::plan`].
    pub fn conclude(&self, question: &Question, answer: Answer) -> Result<Planned, Diagnostic> {
        refuse_impossible_pins(question, &answer)?;
        // What there was no time to ask is not said to have no answer.
        let moved = self.what_if.iter().filter_map(|change| {
            let best = question.what_if(change);
            (!question.stop.now()).then(|| Ok((*change, best?)))
        });
        let what_if = moved.collect::<Result<Vec<_>, Diagnostic>>()?;
        // Of a hundred kinds of GPU the largest has said what it lacks.
        let asks = answer.best.is_empty() && answer.stopped == Stopped::Complete && !question.chooses;
        let advice = if asks { question.advice()? } else { Vec::new() };
        Ok(Planned { answer, what_if, advice })
    }

    /// What the layouts of the one plan share.
    fn context(&self) -> Result<Context<'_>, Diagnostic> {
        let one = || usage(format!("`{}` is not about one plan", self.task.name()));
        Context::new(ContextParts {
            model: &self.model,
            cluster: self.pools.first().ok_or_else(one)?,
            engine: self.engines.first().ok_or_else(one)?,
            limits: self.launches.first().ok_or_else(one)?.limits,
            kv: self.precisions.first().ok_or_else(one)?.kv,
            workload: self.workload,
            electricity: self.electricity,
        })
    }

    fn given(&self) -> Result<Deployed, Diagnostic> {
        self.deployed.ok_or_else(|| usage(format!("`{}` is not about one plan", self.task.name())))
    }

    /// Estimates the plan that is given, be it an answer or not.
    ///
    /// # Errors
    /// A plan that breaks a rule or does not stand on the cluster: it has no figures.
    pub fn estimate(&self) -> Result<Estimated, Diagnostic> {
        self.estimate_and(|_, _| ()).map(|(estimated, ())| estimated)
    }

    /// Estimates the plan that is given, and has `look` look at its compiled deployment; with split pools at that of
    /// the decode workers.
    ///
    /// # Errors
    /// As [`Resolved::estimate`].
    pub fn estimate_and<T>(
        &self,
        look: impl FnOnce(&Deployment, &Estimate) -> T,
    ) -> Result<(Estimated, T), Diagnostic> {
        let context = self.context()?;
        let (deployment, estimate, reasons) = match self.given()? {
            Deployed::Split(workers) => {
                let (prefill, decode) = workers.deployments(&context)?;
                let (estimate, reasons) = workers.estimate((&prefill, &decode), &self.targets);
                (decode, estimate, reasons)
            }
            Deployed::Replicas(split, replicas) => self.appraise(&context, split, replicas)?,
        };
        let looked = look(&deployment, &estimate);
        let fit = Fit::of(&context, &estimate);
        Ok((Estimated { estimate, reasons, fit }, looked))
    }

    /// The rule that forbids the plan that is given, or keeps it from standing on the cluster, if one does.
    pub fn illegal(&self) -> Option<Reason> {
        let context = self.context().ok()?;
        let splits = match self.deployed? {
            Deployed::Replicas(split, replicas) => match context.check(split) {
                Ok(place) if place.max_replicas < replicas => {
                    return Some(Reason::TooManyReplicas { replicas, most: place.max_replicas });
                }
                _ => vec![split],
            },
            Deployed::Split(workers) => vec![workers.prefill.0, workers.decode.0],
        };
        splits.into_iter().find_map(|split| context.check(split).err())
    }

    /// The estimate and every reason against it. An illegal plan has no figures: that is an error here.
    fn appraise<'a>(
        &self,
        context: &'a Context<'a>,
        split: Parallelism,
        replicas: u32,
    ) -> Result<(Deployment<'a>, Estimate, Vec<Reason>), Diagnostic> {
        let saturated = self.workload.load == Load::Saturate;
        let batch = if saturated { BatchPoint::Largest } else { BatchPoint::FromLoad };
        let layout = Layout { pool: 0, engine: 0, precision: 0, launch: 0, parallelism: split };
        let plan = Plan { id: 0, layout, replicas, batch, prefill: None };
        let placement = context
            .check(split)
            .map_err(|reason| usage(reason.message()).at(format!("{} with {}", split, context.engine.id)))?;
        have_room(split, replicas, placement.max_replicas)?;
        let deployment = Deployment::compile(context, split, placement);
        let (estimate, reasons) = deployment.appraise(plan, &self.targets);
        Ok((deployment, estimate, reasons))
    }

    /// The smallest or cheapest fleets for the rate.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub fn size(&self) -> Result<SizedFleets, Diagnostic> {
        self.size_until(Stop::NEVER)
    }

    /// The same, unless it is time to stop before.
    ///
    /// # Errors
    /// As [`Question::answer`]; [`Code::Stopped`] when it was.
    pub fn size_until(&self, stop: Stop) -> Result<SizedFleets, Diagnostic> {
        let demand = self.demand.ok_or_else(|| usage(format!("`{}` sizes no fleet", self.task.name())))?;
        let sizings = Question { stop, ..self.question() }.size(&demand)?;
        let best = sizings.first().and_then(|s| s.fleets.first().map(|fleet| (s, fleet)));
        let growth =
            best.map(|(s, fleet)| growth(fleet, &s.cluster, &demand, &self.months)).unwrap_or_default();
        let rate = match (demand.users, best) {
            (Some(_), Some((_, fleet))) => fleet.replica.service.requests * f64::from(fleet.replicas),
            _ => demand.rate,
        };
        let demand = Demand { rate, ..demand };
        Ok(SizedFleets { demand, sizings, growth })
    }

    /// Runs the plan that is given in discrete events.
    ///
    /// # Errors
    /// A plan that breaks a rule or does not stand on the cluster; a trace that cannot be read.
    pub fn simulate(&self) -> Result<Simulated, Diagnostic> {
        self.simulate_watched(Stop::NEVER, |_| ())
    }

    /// Runs the plan that is given, with an observer of each replica: `begin` makes one, told how many requests the
    /// replica is sent, where that is known beforehand. Split pools are run together and not observed. It ends without an
    /// outcome when `stop` says so.
    ///
    /// # Errors
    /// As [`Resolved::simulate`].
    pub fn simulate_watched<O: Observer>(
        &self,
        stop: Stop,
        mut begin: impl FnMut(Option<u64>) -> O,
    ) -> Result<Simulated, Diagnostic> {
        let context = self.context()?;
        let source =
            self.source.as_ref().ok_or_else(|| usage(format!("`{}` simulates nothing", self.task.name())))?;
        let (split, replicas) = match self.given()? {
            Deployed::Split(workers) => {
                let watch = begin(None);
                return run_split(source, &context, (&workers, self.targets), &Until { stop, other: watch });
            }
            Deployed::Replicas(split, replicas) => (split, replicas),
        };
        let place = format!("{split} with {}", context.engine.id);
        let deployment = match Deployment::new(&context, split) {
            Ok(deployment) => deployment,
            Err(reason) if reason.stage() == Stage::OutOfMemory => {
                return Ok(Simulated::CannotRun(reason, place));
            }
            Err(reason) => return Err(usage(reason.message()).at(place)),
        };
        have_room(split, replicas, deployment.placement.max_replicas)?;
        let source = source.clone().of_users(&deployment, replicas).lasting(|rate| {
            // A replica that cannot keep up is as full as it may be.
            let most = deployment.max_batch().max(1) as f64;
            deployment.concurrency_at(rate / f64::from(replicas)).unwrap_or(most) * f64::from(replicas)
        });
        let below: Vec<Below> = deployment.below(replicas).into_iter().flatten().collect();
        let replica = deployment.replica();
        run_replicas(&source, (&replica, &below), (replicas.into(), self.targets), (stop, begin))
    }
}

/// So many GPUs of a pool, where it has more and they are a part of a node or whole ones.
fn only(pool: &Cluster, gpus: u64) -> Cluster {
    let mut own = pool.clone();
    let per_node = u64::from(pool.gpus_per_node);
    if let Ok(gpus @ 1..) = u32::try_from(gpus).map(|n| n.min(pool.gpus))
        && (u64::from(gpus) < per_node || u64::from(gpus).is_multiple_of(per_node))
    {
        own.gpus = gpus;
        own.gpus_per_node = pool.gpus_per_node.min(gpus);
        own.nodes = gpus.div_ceil(own.gpus_per_node);
    }
    own
}

/// Whether all replicas have room where at most `most` have.
fn have_room(split: Parallelism, replicas: u32, most: u32) -> Result<(), Diagnostic> {
    if replicas <= most {
        return Ok(());
    }
    let cause = format!("{replicas} replicas of {} GPUs do not fit on the cluster", split.gpus());
    Err(usage(cause).help(format!("at most {most}")))
}

/// Degrees that are asked for and no layout can have are bad input, not an empty answer.
fn refuse_impossible_pins(question: &Question, answer: &Answer) -> Result<(), Diagnostic> {
    let all_illegal = answer.counts.illegal == answer.counts.plans;
    match answer.rejected.first() {
        Some(first) if all_illegal && question.pins != Pins::default() => {
            let layout = first.nearest.layout.parallelism;
            Err(usage(first.reason.message()).at(format!("{layout}, as pinned")))
        }
        _ => Ok(()),
    }
}

/// Runs split pools: all workers at once, since they share what arrives.
fn run_split(
    source: &Source,
    context: &Context,
    (workers, targets): (&SplitWorkers, Targets),
    watch: &impl Observer,
) -> Result<Simulated, Diagnostic> {
    let (prefill, decode) = workers.deployments(context)?;
    let short = [("prefill", &prefill), ("decode", &decode)];
    let short = short.into_iter().find_map(|(kind, d)| Some((kind, d.memory.rejection()?)));
    if let Some((kind, reason)) = short {
        return Ok(Simulated::CannotRun(reason, format!("the {kind} worker")));
    }
    let (from, to) = (Worker::of(&prefill), Worker::of(&decode));
    let transfer = workers.pair(&from, &to).transfer.time;
    let source = source.clone().lasting(|rate| {
        let n = f64::from(workers.decode.1);
        let decoding = to.decode.sequences_at(rate / n).unwrap_or(to.decode.most) * n;
        let waiting = rate.get() * from.prefill.first(workers.prefill.1, rate).get();
        // A prefill pool that cannot keep up is waited for without end; the run need not be.
        decoding + waiting.min(decoding)
    });
    let (prefill, decode) = (prefill.replica(), decode.replica());
    let (arrivals, requests): (Box<dyn Arrivals>, Requests) = match &source {
        Source::Drawn { drive, .. } => (drive.arrivals(), drive.requests),
        Source::Trace { path, columns, speed, requests, .. } => {
            (Box::new(Trace::open_by(path, columns, *speed, requests.total())?), *requests)
        }
    };
    let of = |replica, count| Workers { replica, count };
    let (x, y) = (of(&prefill, workers.prefill.1), of(&decode, workers.decode.1));
    let outcome = SplitSimulation::new(x, y, transfer, arrivals, requests.window(), targets).run(watch)?;
    Ok(Simulated::Ran { outcome: Box::new(outcome), timeline: Timeline::new() })
}

/// Runs every replica on its share of the requests.
fn run_replicas<O: Observer>(
    source: &Source,
    (replica, below): (&Replica, &[Below]),
    (replicas, targets): (u64, Targets),
    (stop, mut begin): (Stop, impl FnMut(Option<u64>) -> O),
) -> Result<Simulated, Diagnostic> {
    let (mut all, mut timeline) = (Outcome::default(), Timeline::new());
    for index in 0..replicas {
        let (arrivals, requests, sent): (Box<dyn Arrivals>, Requests, Option<u64>) = match source {
            Source::Drawn { drive, .. } => {
                let part = part_of(drive, index, replicas);
                let arrivals = match drive.load {
                    Load::Rate(_) => Box::new(Share::new(drive.arrivals(), index, replicas)),
                    Load::Concurrency(_) | Load::Saturate | Load::Users(_) => part.arrivals(),
                };
                (arrivals, part.requests, Some(part.requests.total()))
            }
            Source::Trace { path, columns, speed, requests, prefix_cache } => {
                let mut trace = Trace::open_by(path, columns, *speed, requests.total())?;
                if *prefix_cache {
                    trace = trace.with_prefix_cache();
                }
                let part = requests.part(index, replicas);
                if *prefix_cache && replicas > 1 && replica.limits.keeping.routing.keeps_sessions() {
                    // How many it gets is not known before.
                    let all = Requests { count: requests.total(), ..part };
                    (Box::new(Routed::new(trace, index, replicas)), all, None)
                } else {
                    (Box::new(Share::new(trace, index, replicas)), part, None)
                }
            }
        };
        if sent == Some(0) {
            continue;
        }
        // The timeline is that of the first replica.
        let mut watch = Watch {
            timeline: (index == 0).then_some(&mut timeline),
            other: Until { stop, other: begin(sent) },
        };
        let simulation = Simulation::new(replica, arrivals, requests.window(), targets);
        let simulation = simulation.above(below.iter().copied());
        all.merge(&simulation.run(&mut watch)?);
    }
    Ok(Simulated::Ran { outcome: Box::new(all), timeline })
}

/// Ends when it is time, beside another observer.
struct Until<'a, O> {
    stop: Stop<'a>,
    other: O,
}

impl<O: Observer> Observer for Until<'_, O> {
    fn saw(&mut self, state: &State) {
        self.other.saw(state);
    }

    fn goes_on(&self) -> bool {
        !self.stop.now() && self.other.goes_on()
    }
}

/// Fills the timeline beside another observer.
struct Watch<'a, O> {
    timeline: Option<&'a mut Timeline>,
    other: O,
}

impl<O: Observer> Observer for Watch<'_, O> {
    fn saw(&mut self, state: &State) {
        if let Some(timeline) = &mut self.timeline {
            timeline.saw(state);
        }
        self.other.saw(state);
    }

    fn goes_on(&self) -> bool {
        self.other.goes_on()
    }
}

/// The part of a drive that falls to a replica: its share of the clients and of the requests.
fn part_of(drive: &Drive, index: u64, replicas: u64) -> Drive {
    let routed = drive.sessions.as_ref().is_some_and(|turns| turns.replicas > 1);
    let load = match drive.load {
        Load::Users(n) if !routed => Load::Users(n / replicas + u64::from(index < n % replicas)),
        Load::Concurrency(n) => Load::Concurrency(n / replicas + u64::from(index < n % replicas)),
        other => other,
    };
    let requests = drive.requests.part(index, replicas);
    Drive { load, requests, seed: drive.seed.wrapping_add(index), ..drive.clone() }
}
