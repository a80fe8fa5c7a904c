//! A layout resolved on a cluster: memory, compiled step, placement; and the estimate of each of its
//! plans.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::catalog::residuals::{Class, Classes, Traffic};
use crate::model::operator::Step;
use crate::plan::space::ALL_REPLICAS;
use crate::plan::{BatchPoint, Parallelism, Placement, Plan, Practice, Reason};
use crate::units::{self, Bytes, RequestsPerSecond, UsdPerHour};
use crate::workload::{Draft, Load, Targets};

use super::context::Context;
use super::estimated::{Estimate, NeededFlag, TierFigures, TierWorth};
use super::explanation::Explanation;
use super::figures::{Bill, Figures};
use super::launched::Widest;
use super::memory::{Laid, Limits, MemoryQuestion, MemoryUse, Verdict, sure_of};
use super::power::Energy;
use super::program::{Pipeline, Stream, Target};
use super::range::{Chances, Ranges};
use super::sequences::with_bursts;
use super::service::{Open, Replica, Service};
use super::sessions::{Below, MAX_TIERS, Reuse, SessionCache, Stand};

/// Share of the KV cache that stays free in a plan whose batch nobody asked for: requests differ in length, and a cache
/// that is full to the last block computes some of them twice.
pub const ROOM: f64 = 0.1;

/// A legal layout that fits in memory, with its step compiled. Where the limit on sequences is still to be planned, it is
/// launched with the widest that finds room, and each plan with its own ([`Deployment::of_plan`]).
#[derive(Clone, Debug)]
pub struct Deployment<'a> {
    context: &'a Context<'a>,
    /// The split.
    pub parallelism: Parallelism,
    /// Where the ranks stand.
    pub placement: Placement,
    /// Launch limits, with what stays in the host's memory.
    pub limits: Limits,
    /// Memory of the fullest rank.
    pub memory: MemoryUse,
    /// What narrower launches of it have in common, where its limit on sequences is still to be planned.
    laid: Option<Arc<Laid>>,
    /// The compiled step, which no limit changes.
    pub pipeline: Arc<Pipeline>,
    /// The flag that it does not start without, once it was asked for.
    needs: OnceLock<Option<NeededFlag>>,
}

/// What the replicas of a plan come to in the long run.
#[derive(Clone, Copy, Debug)]
struct Steady {
    replicas: u32,
    /// Requests in flight on each.
    concurrency: f64,
    /// What each delivers.
    service: Service,
    reuse: Option<Reuse>,
}

impl<'a> Deployment<'a> {
    /// Checks a layout and compiles it.
    ///
    /// # Errors
    /// The first legality rule that it breaks, or why it does not fit.
    pub fn new(context: &'a Context<'a>, parallelism: Parallelism) -> Result<Deployment<'a>, Reason> {
        let placement = context.check(parallelism)?;
        let widest = context.widest(parallelism);
        match widest.memory.rejection().or_else(|| widest.memory.answers_none()) {
            Some(reason) => Err(reason),
            None => Ok(Deployment::launched(context, (parallelism, placement), widest)),
        }
    }

    /// Compiles a legal layout whether it fits or not.
    pub fn compile(
        context: &'a Context<'a>,
        parallelism: Parallelism,
        placement: Placement,
    ) -> Deployment<'a> {
        Deployment::launched(context, (parallelism, placement), context.widest(parallelism))
    }

    fn launched(
        context: &'a Context<'a>,
        (parallelism, placement): (Parallelism, Placement),
        Widest { limits, memory, laid }: Widest,
    ) -> Deployment<'a> {
        let pipeline = Pipeline::compile(&Target {
            model: &context.model,
            kernels: &context.kernels,
            kinds: &context.kernels_of_kinds,
            cluster: context.cluster,
            parallelism,
            placement,
            kv: context.kv,
            offload: limits.offload,
            host: context.cluster.host_of(parallelism.gpus()),
            stream: context.question_with(parallelism, limits).streamed().map(|(share, bytes)| Stream {
                share,
                bytes: units::Traffic::new(bytes.as_f64()),
                link: context.cluster.host_link(),
                copied: context.engine.memory.offloaded_copied,
            }),
            media: context.workload.media,
            prompt_tokens: context.workload.computed_prompt(),
            drafted: context
                .workload
                .speculation
                .filter(|s| s.draft != Draft::Lookup)
                .map_or(0, |s| s.tokens),
        });
        let pipeline = Arc::new(pipeline);
        Deployment { context, parallelism, placement, limits, memory, laid, pipeline, needs: OnceLock::new() }
    }

    /// The layout launched as a plan of it states: with a limit that fits what is sent to each replica, where that is still
    /// to be planned.
    pub fn of_plan(&self, plan: &Plan) -> Cow<'_, Deployment<'a>> {
        match plan.prefill {
            // Decode workers take as many as find room: how full they are follows from both pools.
            Some(_) => Cow::Borrowed(self),
            None => self.for_load(plan.batch, self.replicas_of(plan)),
        }
    }

    fn for_load(&self, batch: BatchPoint, replicas: u32) -> Cow<'_, Deployment<'a>> {
        let narrowed = || {
            let laid = self.laid.as_ref()?;
            let sent = self.sent(batch, replicas)?;
            let sequences = sent.div_ceil(u64::from(self.parallelism.attention_dp)).max(1);
            self.context.narrowed(self.parallelism, (&self.limits, laid), sequences)
        };
        match narrowed().filter(|(_, memory)| memory.rejection().is_none()) {
            None => Cow::Borrowed(self),
            Some((limits, memory)) => Cow::Owned(Deployment {
                limits,
                memory,
                laid: self.laid.clone(),
                pipeline: Arc::clone(&self.pipeline),
                needs: OnceLock::new(),
                ..*self
            }),
        }
    }

    /// Most requests that one of so many replicas is sent at a time, where its limit is still to be planned and not as many
    /// as find room are taken.
    fn sent(&self, batch: BatchPoint, replicas: u32) -> Option<u64> {
        let c = self.context;
        let each = |n: u64| n.div_ceil(u64::from(replicas.max(1)));
        match (batch, c.workload.load) {
            (BatchPoint::Sequences(n), _) => Some(n),
            (BatchPoint::Largest, _) | (BatchPoint::FromLoad, Load::Saturate) => None,
            (BatchPoint::FromLoad, Load::Concurrency(n) | Load::Users(n)) => Some(each(n)),
            (BatchPoint::FromLoad, Load::Rate(rate)) if c.engine.divides_cache() => {
                let mean = match self.comes_by_itself(batch) {
                    Some(rate) => self.under(rate / f64::from(replicas), replicas).ok()?.in_flight,
                    None => {
                        let cache = self.session_cache(replicas);
                        self.concurrency_for(rate / f64::from(replicas), cache.as_ref()).ok()?
                    }
                };
                Some(with_bursts(mean))
            }
            (BatchPoint::FromLoad, Load::Rate(_)) => None,
        }
    }

    /// What was asked of memory.
    pub fn memory_question(&self) -> MemoryQuestion<'a> {
        self.context.question_with(self.parallelism, self.limits)
    }

    /// Limits and memory of the server that a plan starts. A request whose length nobody states may be as long as the model
    /// allows and the plan's requests still find room beside it: what it takes beyond the lengths that come is free. Where a
    /// longer one changes nothing that the server sets aside, the length is left to whoever writes the launch.
    pub fn told(&self) -> (Limits, MemoryUse) {
        let planned = self.context.plans_length && !self.context.workload.purpose.pools();
        let most = self.context.model.max_context.filter(|_| planned);
        let longer = most.and_then(|most| {
            let question = self.memory_question();
            let least = self.limits.start.length.unwrap_or_else(|| self.context.workload.longest_context());
            let length = question.longest_served(self.limits.max_sequences, least, most);
            let mut limits = self.limits;
            limits.start.length = Some(length);
            let memory = (length > least).then(|| MemoryQuestion { limits, ..question }.answer())?;
            let same = (memory.kv_cache, memory.total()) == (self.memory.kv_cache, self.memory.total());
            (question.engine.divides_cache() || !same).then_some((limits, memory))
        });
        longer.unwrap_or((self.limits, self.memory))
    }

    /// Most requests in flight on one replica.
    pub fn max_batch(&self) -> u64 {
        let per_rank = self.memory.largest_batch().min(self.limits.max_sequences);
        per_rank.saturating_mul(u64::from(self.parallelism.attention_dp))
    }

    /// The largest batch that leaves [`ROOM`] of the KV cache free; 1 where not even that does.
    pub fn roomy_batch(&self) -> u64 {
        let ranks = u64::from(self.parallelism.attention_dp);
        let held = (self.memory.largest_batch() as f64 * (1.0 - ROOM)).floor() as u64;
        held.saturating_mul(ranks).min(self.max_batch()).max(1)
    }

    /// Whether a plan of it leaves that free.
    pub fn leaves_room(&self, figures: &Figures) -> bool {
        let replicas = (figures.gpus / self.parallelism.gpus()).max(1);
        figures.in_flight / replicas as f64 <= self.roomy_batch() as f64
    }

    /// The flag that it does not start without, if there is one.
    fn needs(&self) -> Option<NeededFlag> {
        self.needs.get_or_init(|| self.needed_flag()).clone()
    }

    fn needed_flag(&self) -> Option<NeededFlag> {
        let c = self.context;
        let (flag, context) = (c.engine.whole_context.as_ref()?, c.model.max_context?);
        let longest = self.memory_question().longest_context(1);
        let tokens = sure_of(longest).max(c.workload.longest_context()).min(longest);
        (longest < context && tokens > 0).then(|| NeededFlag { flag: flag.clone(), tokens, context })
    }

    /// Whether servers are launched so.
    fn practice(&self) -> Practice {
        Practice::of(&self.placement, self.context.cluster)
    }

    /// Most tokens in one step, per attention-data-parallel rank.
    fn step_tokens(&self) -> u64 {
        let launched = self.limits.max_batched_tokens;
        self.context.engine.tokens_per_rank(launched, self.parallelism.attention_dp)
    }

    /// The replica whose service is asked for.
    pub fn replica(&self) -> Replica<'_> {
        Replica {
            pipeline: &self.pipeline,
            engine: self.context.engine,
            limits: Limits { max_batched_tokens: self.step_tokens(), ..self.limits },
            gpus: self.parallelism.gpus(),
            attention_dp: u64::from(self.parallelism.attention_dp),
            layers: self.context.layers,
            whole_prompts: self.context.whole_prompts,
            cache_batch: self.memory.largest_batch(),
            cache_tokens: self.memory.kv_cache.as_f64() / self.memory.per_token().max(1e-9)
                * f64::from(self.parallelism.attention_dp),
            workload: self.context.workload,
        }
    }

    /// The caches of one of so many replicas as sessions use them, where requests are turns of sessions.
    pub fn session_cache(&self, replicas: u32) -> Option<SessionCache<'_>> {
        let c = self.context;
        let sessions = c.workload.sessions?;
        let replica = self.replica();
        let prefixes = self.limits.start.prefixes;
        // The state of recurrent layers is that of one length: it is kept where the engine is told to.
        let recurrent = c.model.state_bytes_per_sequence() > Bytes::ZERO;
        Some(SessionCache {
            replica,
            sessions,
            thinks: matches!(c.workload.load, Load::Users(_) | Load::Rate(_)),
            caches: if self.limits.keeping.routing.keeps_sessions() { 1.0 } else { f64::from(replicas) },
            replicas: f64::from(replicas),
            block: self
                .limits
                .start
                .block
                .map_or(f64::from(c.engine.kv_block), |block| block as f64)
                .max(1.0),
            keeps: prefixes.unwrap_or(!recurrent),
            compute: if self.limits.keeping.tiers.is_empty() { 0.0 } else { replica.prompt_token().get() },
            below: self.below(replicas),
        })
    }

    /// The tiers below the GPUs' cache as one of so many replicas sees them, the fastest first.
    pub fn below(&self, replicas: u32) -> [Option<Below>; MAX_TIERS] {
        let p = self.parallelism;
        // Ranks of tensor parallelism hold the same latent cache, and one of them stores it.
        let parts = if self.context.model.is_latent() { p.pp } else { p.tp * p.pp };
        let on_gpu = self.memory.per_token();
        let stand = Stand {
            cluster: self.context.cluster,
            gpus: p.gpus() as f64,
            replicas: f64::from(replicas),
            on_gpu,
            in_all: on_gpu * f64::from(parts),
        };
        let mut below = [None; MAX_TIERS];
        for (place, tier) in below.iter_mut().zip(self.limits.keeping.tiers.iter()) {
            *place = Some(Below::new(tier, &stand));
        }
        below
    }

    /// What one of so many replicas delivers with so many requests in flight on it.
    pub fn served(&self, concurrency: f64, replicas: u32) -> (Service, Option<Reuse>) {
        match self.session_cache(replicas) {
            Some(cache) => {
                let (service, reuse) = cache.at(concurrency);
                (service, Some(reuse))
            }
            None => (self.replica().at(concurrency), None),
        }
    }

    /// Users of sessions that the load comes to on all of so many replicas; saturated, those of the largest batch. Where
    /// they are given, as many; where not even the largest batch serves a rate, its users.
    pub fn users(&self, replicas: u32) -> f64 {
        if let Load::Users(n) = self.context.workload.load {
            return n as f64;
        }
        let most = self.max_batch().max(1) as f64;
        let concurrency = self.concurrency(BatchPoint::FromLoad, replicas).unwrap_or(most);
        self.served(concurrency, replicas).1.map_or(0.0, |reuse| reuse.users) * f64::from(replicas)
    }

    /// What each tier is worth to a plan.
    fn worth(&self, plan: Plan, replicas: u32) -> Vec<TierWorth> {
        let Some(cache) = self.session_cache(replicas) else { return Vec::new() };
        let with = |tiers: usize| {
            let cache = cache.with_tiers(tiers);
            let concurrency = self.concurrency_in(plan.batch, replicas, Some(&cache)).unwrap_or(1.0);
            let (service, reuse) = cache.at(concurrency);
            let bill = self.bill(replicas, &service);
            let figures = TierFigures {
                hit: reuse.hit,
                ttft: service.ttft,
                requests: service.requests * f64::from(replicas),
                cost_output: bill.price.map(|p| p.per_million_tokens(bill.output)),
            };
            (figures, reuse.tiers)
        };
        let tiers = self.limits.keeping.tiers;
        let all: Vec<(TierFigures, usize)> = (0..=tiers.count()).map(with).collect();
        let pairs = tiers.iter().zip(all.windows(2)).enumerate();
        let worth = pairs.filter_map(|(i, (tier, pair))| match pair {
            [(without, _), (with, used)] => {
                Some(TierWorth { tier, used: *used > i, without: *without, with: *with })
            }
            _ => None,
        });
        worth.collect()
    }

    /// The figures of a plan of this layout, whatever the targets.
    ///
    /// # Errors
    /// Why it has none: its batch does not fit, or the load is missed.
    pub fn figures(&self, plan: Plan) -> Result<Estimate, Reason> {
        let launched = self.of_plan(&plan);
        Ok(launched.estimate_of(plan, &launched.steady(plan)?))
    }

    /// What one replica of a plan delivers, what its sessions find again, and how far measured servers lie from that.
    ///
    /// # Errors
    /// As [`Deployment::figures`].
    pub fn service(&self, plan: Plan) -> Result<(Service, Option<Reuse>, &'static Class), Reason> {
        let launched = self.of_plan(&plan);
        let Steady { concurrency, service, reuse, .. } = launched.steady(plan)?;
        Ok((service, reuse, self.class(&service, concurrency)))
    }

    /// What a plan of this layout is compared by, whatever the targets; allocates nothing.
    ///
    /// # Errors
    /// As [`Deployment::figures`].
    pub fn score(&self, plan: Plan) -> Result<Figures, Reason> {
        let launched = if self.serves_alike(&plan) { Cow::Borrowed(self) } else { self.of_plan(&plan) };
        let Steady { replicas, concurrency, service, .. } = launched.steady(plan)?;
        let bill = self.bill(replicas, &service);
        Ok(Figures {
            plan,
            verdict: launched.memory.verdict(),
            practice: self.practice(),
            gpus: bill.gpus,
            output: bill.output,
            ttft: service.ttft,
            tpot: service.tpot,
            e2e: service.e2e,
            in_flight: concurrency * f64::from(replicas),
            price: bill.price,
            power: bill.energy.power * bill.gpus as f64,
            per_output: bill.energy.per_output,
            class: self.class(&service, concurrency),
        })
    }

    /// Whether a plan is compared alike by its own launch: what waits for nothing is served as fast whatever room is left
    /// beside it, where nothing is kept there for later, and what fits beside more graphs fits beside fewer.
    fn serves_alike(&self, plan: &Plan) -> bool {
        let finds_room = matches!(plan.batch, BatchPoint::Sequences(n) if n <= self.max_batch());
        finds_room && self.takes_single_requests() && self.memory.verdict() == Verdict::Fits
    }

    /// Replicas of a plan.
    fn replicas_of(&self, plan: &Plan) -> u32 {
        if plan.replicas == ALL_REPLICAS { self.placement.max_replicas } else { plan.replicas }
    }

    /// What a plan's replicas come to under its load.
    fn steady(&self, plan: Plan) -> Result<Steady, Reason> {
        let replicas = match plan.replicas {
            ALL_REPLICAS => self.placement.max_replicas,
            n if n <= self.placement.max_replicas => n,
            n => {
                return Err(Reason::TooManyReplicas { replicas: n, most: self.placement.max_replicas });
            }
        };
        self.steady_of(plan.batch, replicas)
    }

    fn steady_of(&self, batch: BatchPoint, replicas: u32) -> Result<Steady, Reason> {
        if let Some(rate) = self.comes_by_itself(batch) {
            let Open { service, in_flight } = self.under(rate / f64::from(replicas), replicas)?;
            return Ok(Steady { replicas, concurrency: in_flight, service, reuse: None });
        }
        let concurrency = self.concurrency(batch, replicas)?;
        let (service, reuse) = self.served(concurrency, replicas);
        Ok(Steady { replicas, concurrency, service, reuse })
    }

    /// The rate at which requests come, where they are no turns of sessions and their answers are generated.
    fn comes_by_itself(&self, batch: BatchPoint) -> Option<RequestsPerSecond> {
        let w = &self.context.workload;
        match (batch, w.load) {
            (BatchPoint::FromLoad, Load::Rate(rate)) if self.takes_single_requests() => Some(rate),
            _ => None,
        }
    }

    /// Whether requests are no turns of sessions and their answers are generated.
    pub fn takes_single_requests(&self) -> bool {
        let w = &self.context.workload;
        w.sessions.is_none() && !w.purpose.pools()
    }

    /// Service of one of so many replicas that take turns at requests, `rate` of which come to each.
    ///
    /// # Errors
    /// When it cannot keep up.
    pub fn under(&self, rate: RequestsPerSecond, replicas: u32) -> Result<Open, Reason> {
        self.replica().under(rate, f64::from(replicas)).map_err(|got| Reason::RateMissed { want: rate, got })
    }

    /// Estimates a plan whether it is an answer or not, with every reason against it, missed targets among them.
    pub fn appraise(&self, plan: Plan, targets: &Targets) -> (Estimate, Vec<Reason>) {
        self.of_plan(&plan).appraise_launched(plan, targets)
    }

    fn appraise_launched(&self, plan: Plan, targets: &Targets) -> (Estimate, Vec<Reason>) {
        let replicas = self.replicas_of(&plan);
        let mut reasons: Vec<Reason> = self.memory.rejection().into_iter().collect();
        let steady = self.steady_of(plan.batch, replicas).unwrap_or_else(|reason| {
            reasons.push(reason);
            let concurrency = self.max_batch().max(1) as f64;
            let (service, reuse) = self.served(concurrency, replicas);
            Steady { replicas, concurrency, service, reuse }
        });
        let estimate = self.estimate_of(plan, &steady).judged(targets);
        reasons.extend(Figures::from(&estimate).missed(targets));
        (estimate, reasons)
    }

    fn estimate_of(&self, plan: Plan, steady: &Steady) -> Estimate {
        let Steady { replicas, concurrency, service, reuse } = *steady;
        let tiers =
            if self.limits.keeping.tiers.is_empty() { Vec::new() } else { self.worth(plan, replicas) };
        let plain = self.assemble(plan, replicas, concurrency, service);
        Estimate { prefix_hit: reuse.map(|reuse| reuse.hit).or(plain.prefix_hit), reuse, tiers, ..plain }
    }

    /// Why a batch is too large.
    pub fn batch_refused(&self, batch: u64) -> Reason {
        too_large(batch, self.parallelism, &self.limits, &self.memory)
    }

    /// Requests in flight on each replica.
    fn concurrency(&self, batch: BatchPoint, replicas: u32) -> Result<f64, Reason> {
        self.concurrency_in(batch, replicas, self.session_cache(replicas).as_ref())
    }

    /// The same with the caches of sessions as they are given.
    fn concurrency_in(
        &self,
        batch: BatchPoint,
        replicas: u32,
        cache: Option<&SessionCache>,
    ) -> Result<f64, Reason> {
        match (batch, self.context.workload.load) {
            (BatchPoint::Sequences(n), _) if n > self.max_batch() => Err(self.batch_refused(n)),
            (BatchPoint::Sequences(n), _) => Ok(n as f64),
            (BatchPoint::FromLoad, Load::Concurrency(n)) => Ok(n as f64 / f64::from(replicas)),
            (BatchPoint::FromLoad, Load::Users(n)) => {
                let users = n as f64 / f64::from(replicas);
                Ok(cache.map_or(users, |cache| cache.concurrency_of(users)))
            }
            (BatchPoint::FromLoad, Load::Rate(rate)) => {
                self.concurrency_for(rate / f64::from(replicas), cache)
            }
            (BatchPoint::Largest | BatchPoint::FromLoad, _) => Ok(self.max_batch().max(1) as f64),
        }
    }

    /// The requests in flight on a replica that serves `rate`, mean.
    ///
    /// # Errors
    /// When not even the largest batch serves it.
    pub fn concurrency_at(&self, rate: RequestsPerSecond) -> Result<f64, Reason> {
        self.concurrency_for(rate, self.session_cache(1).as_ref())
    }

    fn concurrency_for(&self, rate: RequestsPerSecond, cache: Option<&SessionCache>) -> Result<f64, Reason> {
        if let Some(cache) = cache {
            let most = self.max_batch().max(1) as f64;
            let got = || cache.at(most).0.requests;
            return cache
                .concurrency_at(rate, most)
                .ok_or_else(|| Reason::RateMissed { want: rate, got: got() });
        }
        if self.takes_single_requests() {
            return Ok(self.under(rate, 1)?.in_flight);
        }
        let replica = self.replica();
        let served = |n: f64| replica.at(n).requests;
        let (mut low, mut high) = (0.0, self.max_batch().max(1) as f64);
        if served(high) < rate {
            return Err(Reason::RateMissed { want: rate, got: served(high) });
        }
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            if served(middle) < rate { low = middle } else { high = middle }
        }
        Ok(high)
    }

    /// How far measured servers of its kind lie from a service with so many requests in flight on each replica.
    pub fn class(&self, service: &Service, in_flight: f64) -> &'static Class {
        if self.context.workload.purpose.pools() {
            return Classes::unknown();
        }
        let traffic = match self.context.workload.load {
            Load::Rate(_) => Traffic::Rate,
            Load::Saturate | Load::Concurrency(_) | Load::Users(_) => Traffic::of(in_flight),
        };
        self.context.classes.class(service.provenance.is_calibrated(), traffic)
    }

    /// What all replicas deliver, draw and cost.
    fn bill(&self, replicas: u32, service: &Service) -> Bill {
        let c = self.context;
        let gpus = self.parallelism.gpus() * u64::from(replicas);
        let output = c.workload.exact_output(service.output * f64::from(replicas));
        let tokens_per_output = c.workload.context() as f64 / c.workload.osl as f64;
        let energy = Energy::of(c.cluster, service.power_share, gpus, output, tokens_per_output);
        let electricity = c.electricity.map(|e| e.per_gpu(energy.power) * gpus as f64);
        let rent = c.cluster.price.map(|p| p * gpus as f64);
        let price = rent.map(|rent| rent + electricity.unwrap_or(UsdPerHour::ZERO));
        Bill { gpus, output, tokens_per_output, energy, electricity, price }
    }

    pub(super) fn assemble(&self, plan: Plan, replicas: u32, batch: f64, service: Service) -> Estimate {
        let c = self.context;
        let Bill { gpus, output, tokens_per_output, energy, electricity, price } =
            self.bill(replicas, &service);
        let running = (service.running / f64::from(self.parallelism.attention_dp)).ceil() as u64;
        let class = self.class(&service, batch);
        let generates = !c.workload.purpose.pools();
        let (limits, memory) = self.told();
        let least = || self.replica().least(service.decoding, c.cluster.gpu.bandwidth);
        Estimate {
            plan,
            gpu: c.cluster.gpu_label(),
            engine: c.engine.label(),
            engine_version: c.engine.version,
            parallelism: self.parallelism,
            expert_tp: if c.model.is_moe() { self.parallelism.expert_tp().unwrap_or(1) } else { 1 },
            weights: c.model.quantisation.main_format(),
            kv: c.kv,
            limits,
            speculation: c.workload.speculation,
            purpose: c.workload.purpose,
            prompt_tokens: c.workload.isl,
            encoding: self.pipeline.encoding(&Step::prefill(1.0, c.workload.computed_prompt() as f64)),
            replicas,
            gpus,
            idle_gpus: u64::from(c.cluster.gpus).saturating_sub(gpus),
            batch,
            max_batch: self.max_batch(),
            memory,
            cache: memory.allocated(running.max(limits.stated_sequences.unwrap_or(1))),
            headroom: memory.headroom(running),
            verdict: memory.verdict(),
            practice: self.practice(),
            service,
            output,
            output_per_gpu: output / gpus as f64,
            energy,
            electricity_output: electricity.map(|e| e.per_million_tokens(output)),
            cost_output: price.map(|p| p.per_million_tokens(output)),
            cost_total: price.map(|p| p.per_million_tokens(output * tokens_per_output)),
            price,
            in_flight: batch * f64::from(replicas),
            prefill: None,
            verified: None,
            closed: None,
            class,
            ranges: generates.then(|| Ranges::new(class, &service, (&c.workload, least()), output)),
            holds: Chances::default(),
            needs: self.needs(),
            prefix_hit: Some(c.workload.reused_prompt() as f64 / c.workload.isl.max(1) as f64)
                .filter(|hit| *hit > 0.0),
            reuse: None,
            tiers: Vec::new(),
        }
    }

    /// What its context says.
    pub fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// The decode step and the step that computes one prompt, operator by operator.
    pub fn explain(&self, estimate: &Estimate) -> Explanation {
        let w = &self.context.workload;
        let ranks = f64::from(self.parallelism.attention_dp);
        let stages = f64::from(self.parallelism.pp);
        let scheduling = &self.context.engine.scheduling;
        let micro_batches = if scheduling.stages_overlap { stages } else { 1.0 };
        let sequences = (estimate.service.decoding / ranks / micro_batches).max(1.0);
        let chunk = (w.computed_prompt() as f64).min(self.step_tokens() as f64);
        let gpus = self.parallelism.gpus();
        let decode_step = Step { drafted: w.drafted(), ..Step::decode(sequences, w.mean_context()) };
        let prefill_step = Step { prefill_prior: w.reused_prompt() as f64, ..Step::prefill(1.0, chunk) };
        Explanation {
            decode: self.pipeline.explain(&decode_step),
            prefill: self.pipeline.explain(&prefill_step),
            hidden: self.pipeline.hidden(&decode_step),
            decode_step,
            prefill_step,
            hop: self.pipeline.hop(&decode_step) * (stages - 1.0),
            host: scheduling.host(gpus, (sequences, w.mean_context()), self.context.engine.kv_block),
            tables: self.context.kernels.measured.iter().flat_map(|m| m.names()).collect(),
        }
    }
}

/// Why a batch is too large under limits and in a memory.
pub(super) fn too_large(batch: u64, p: Parallelism, limits: &Limits, memory: &MemoryUse) -> Reason {
    let ranks = u64::from(p.attention_dp);
    let limit = limits.planned.unwrap_or(limits.max_sequences).saturating_mul(ranks);
    if batch > limit {
        return Reason::BatchLimit { batch, limit };
    }
    let each = memory.per_running_request;
    let need = each * batch.div_ceil(ranks);
    // What more sequences take beside their cache leaves less for it.
    let have = if memory.kv_cache < need { memory.kv_cache } else { each * limits.max_sequences };
    Reason::CacheTooSmall { need, have }
}
