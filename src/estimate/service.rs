//! Steady-state service of one replica, in closed form: TTFT, TPOT, throughput at a concurrency.
//!
//! Continuous batching in a closed loop: `C` requests are in flight, each is followed by the next at
//! once. A request needs its prompt computed and then `OSL − 1` decode steps; while it decodes, each of
//! the others is replaced once, so it waits through `C − 1` prompts. Symbols in `docs/model.md`.

mod balance;
mod cohort;
mod coincidence;
mod least;
mod open;
mod pooled;
mod prompts;
mod replica;

use crate::model::operator::Step;
use crate::powers::power;
use crate::units::{RequestsPerSecond, Seconds, TokensPerSecond};

use super::Provenance;
use super::program::Recall;
use balance::Balance;
use coincidence::closed_load;
pub use least::Least;
pub use open::Open;
pub use prompts::{Decoding, Prompt};
pub use replica::Replica;

/// What a replica delivers at a concurrency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Service {
    /// Time to first token, mean.
    pub ttft: Seconds,
    /// Time per output token after the first, mean.
    pub tpot: Seconds,
    /// Request to last token, mean.
    pub e2e: Seconds,
    /// Output tokens per second of the replica.
    pub output: TokensPerSecond,
    /// Requests per second of the replica.
    pub requests: RequestsPerSecond,
    /// Sequences that run; the rest of the concurrency waits.
    pub running: f64,
    /// Sequences of those that decode at a time; the others have their prompts computed.
    pub decoding: f64,
    /// A decode step of the decoding sequences.
    pub decode_step: Seconds,
    /// What one prompt adds to the steps of the others.
    pub prefill_cost: Seconds,
    /// Mean share of the power between idle and the board's limit that a GPU of the replica draws.
    pub power_share: f64,
    /// Where the times come from.
    pub provenance: Provenance,
}

/// When requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// Each follows an answer, as in a closed loop: at the end of a step, to a front end that is busy with it.
    AfterAnswers,
    /// At any time, whatever is answered.
    ByThemselves,
}

/// How long a request is in the server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    /// For its prompt and its decode steps: the next follows at once.
    Followed,
    /// Beside others that come at any time: as was found before, if it was.
    Alone(Option<Lived>),
}

/// How long a request that comes by itself is in the server.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Lived {
    /// In steps that hold prompts; what it waits for the prompts of others not counted, where those share steps with decodes.
    rounds: f64,
    /// How long a decode step takes, with the prompts that come in it, for each step that holds some.
    pass: f64,
}

impl Life {
    fn comes(self) -> Comes {
        if self == Life::Followed { Comes::AfterAnswers } else { Comes::ByThemselves }
    }
}

/// What is left of the step that a request falls into, in steps that are equally long.
const FALLS_IN: f64 = 0.5;

/// Decode steps beyond which what a request takes beside them counts for nothing in how many of those in flight decode.
const MANY_STEPS: f64 = 64.0;

/// How often that is worked out again.
const AGAIN: u32 = 2;

impl Replica<'_> {
    /// Service with `concurrency` requests in flight on the replica, each of which follows an answer.
    pub fn at(&self, concurrency: f64) -> Service {
        if self.workload.purpose.pools() {
            return self.pooled_at(concurrency);
        }
        self.at_when(concurrency, Comes::AfterAnswers)
    }

    /// Service with `concurrency` requests in flight on the replica, mean, of users who think before they ask again.
    ///
    /// Who comes after a while finds as many in flight as there are in the mean (arrivals see time averages: Wolff 1982) and
    /// not one less, as in a loop where each follows an answer.
    pub fn thinking_at(&self, concurrency: f64) -> Service {
        if self.workload.purpose.pools() {
            return self.pooled_at(concurrency);
        }
        let service = self.at_when(1.0 + concurrency, Comes::ByThemselves);
        let share = concurrency / (1.0 + concurrency);
        Service {
            output: service.output * share,
            requests: service.requests * share,
            running: service.running * share,
            decoding: service.decoding * share,
            power_share: service.power_share * share,
            e2e: service.ttft + service.tpot * (self.workload.osl as f64 - 1.0).max(0.0),
            ..service
        }
    }

    /// The same where requests come when they do.
    fn at_when(&self, concurrency: f64, comes: Comes) -> Service {
        let steps = self.decode_steps();
        match comes {
            Comes::AfterAnswers => self.at_life(concurrency, Life::Followed).0,
            Comes::ByThemselves => {
                let mut about = self.at_life(concurrency, Life::Alone(None));
                // Of many steps what lies beside them is next to nothing.
                let again = if steps > MANY_STEPS { 0 } else { AGAIN };
                for _ in 0..again {
                    about = self.at_life(concurrency, Life::Alone(Some(about.1)));
                }
                about.0
            }
        }
    }

    /// The same of requests that live so; and how long they then live.
    fn at_life(&self, concurrency: f64, life: Life) -> (Service, Lived) {
        let comes = life.comes();
        let ranks = self.ranks_at(concurrency);
        let osl = self.workload.osl as f64;
        let steps = self.decode_steps();
        let running = self.running_at(concurrency);
        let supply = self.supplied_in(running, ranks, life);
        let decoding = supply.decoding;
        let step = self.decode_step(decoding);
        let decode = step.time;
        let prompts_alone = osl <= 1.0 && self.mixes();
        let beside = Decoding {
            ranks,
            each: decoding,
            // A first token that is the last has no step but that of its prompt.
            step: if prompts_alone { Seconds::ZERO } else { decode },
            drawn: if prompts_alone { Seconds::ZERO } else { step.drawn },
            budget: supply.budget,
            others: (running * ranks - 1.0).max(0.0),
            begins: supply.begins,
            wait: supply.wait(),
            balance: supply.balance,
        };
        let prompt = self.prompts(&beside);
        let together = match comes {
            Comes::AfterAnswers if concurrency <= running * ranks => self.cohort(running, ranks),
            _ => None,
        };
        let own_apart = together.is_some() || comes == Comes::ByThemselves;
        let generation = self.generation(decode, &prompt, (steps, own_apart));
        // It is in what a request sees and not in how many are there: what comes meanwhile is counted with those.
        let meanwhile = match comes {
            Comes::AfterAnswers => Seconds::ZERO,
            Comes::ByThemselves => self.came_meanwhile(&beside, &prompt, steps),
        };
        let inside = prompt.queue + prompt.latency;
        let more = match comes {
            Comes::AfterAnswers => Seconds::ZERO,
            Comes::ByThemselves => self.gathered_meanwhile(&beside, &prompt),
        };
        // Who comes by itself may find all others at work on prompts.
        let others = if comes == Comes::ByThemselves { beside.others } else { decoding * ranks - 1.0 };
        let first = self.first_token_when(comes, decode, &prompt, others) + more;
        let round = prompt.round.get().max(1e-12);
        let queue = if self.mixes() { prompt.queue } else { Seconds::ZERO };
        let lived = Lived {
            rounds: (first + generation - queue).get() / round,
            pass: (beside.step + prompt.stall).get() / round,
        };
        // Little's law, twice: of all requests, and of those that run, whose slots are filled again at once where
        // others wait. The prompts' own capacity bounds the second.
        let supply = (generation * (running / decoding)).max(prompt.least * running);
        let per_rank = (concurrency / ranks).max(1.0);
        let rate =
            (per_rank / (first + generation).get()).min(running / (inside + generation).max(supply).get());
        let ttft = (Seconds::new(per_rank / rate) - generation).max(first);
        let (ttft, generation, rate) = together.map_or((ttft, generation, rate), |cohort| {
            let mix = |apart: Seconds, together: Seconds| apart + (together - apart) * cohort.share;
            let cycle = mix(Seconds::new(per_rank / rate), cohort.cycle);
            (mix(ttft, cohort.first), mix(generation, cohort.generation), per_rank / cycle.get())
        });
        let served = rate * ranks * concurrency.min(1.0);
        let each = served / self.attention_dp as f64;
        let service = Service {
            ttft,
            tpot: if steps > 0.0 { (generation + meanwhile) / (osl - 1.0) } else { Seconds::ZERO },
            e2e: ttft + generation,
            output: TokensPerSecond::new(served * osl),
            requests: RequestsPerSecond::new(served),
            running: running * ranks,
            decoding: decoding * ranks,
            decode_step: decode,
            prefill_cost: prompt.cost,
            power_share: self.power_share(each, prompt.drawn + step.drawn * steps),
            provenance: Provenance::of_share(step.fitted, step.measured),
        };
        (service, lived)
    }

    /// Whether prompts and decodes share steps. Where nothing is decoded, all steps are of prompts, whatever the engine; those of
    /// a pipeline follow each other through its stages all the same.
    fn mixes(&self) -> bool {
        self.engine.scheduling.mixes_prefill || self.workload.osl <= 1 && self.micro_batches() <= 1.0
    }

    /// By how much the decode steps of a request that comes by itself are longer than those of others: its own prompt takes
    /// longer than a step without any, and those that came meanwhile are in its first steps.
    ///
    /// A step lasts for `t` and what the prompts take that came in the last, a share `ρ` of that one: it comes back to its mean
    /// `C = t/(1 − ρ)` by a factor of `ρ` each time, and of `1 − (1 − ρ)/k` where a prompt takes `k` steps. Where prompts have
    /// steps of their own, all of them come before the first decode step: `ρ/(1 − ρ)` times what its own took.
    fn came_meanwhile(&self, beside: &Decoding, prompt: &Prompt, steps: f64) -> Seconds {
        let (t, mean) = (beside.step.get(), (beside.step + prompt.stall).get());
        // Where ranks wait for each other, prompts begin when those of all are there.
        if steps <= 0.0 || mean <= t || beside.balance.is_some() {
            return Seconds::ZERO;
        }
        let (own, load) = (prompt.round.get(), 1.0 - t / mean);
        if !self.mixes() {
            // No more than all others bring, once each.
            let come = (own * load / (1.0 - load)).min(beside.others * prompt.cost.get());
            return Seconds::new((come - prompt.stall.get() * steps.min(1.0)).max(0.0));
        }
        let parts = (self.workload.computed_prompt() as f64 / beside.budget).ceil().max(1.0);
        let stays = 1.0 - (1.0 - load) / parts;
        let sum = (1.0 - power(stays, steps)) / (1.0 - stays);
        Seconds::new(load * (own - mean).max(0.0) * sum)
    }

    /// From the first token to the last. Where prompts have steps of their own, those before the first decode step of an
    /// answer are the ones that its own prompt was in: of few steps and of requests that come by themselves they are counted
    /// with that prompt, and what is left of them waited for.
    fn generation(&self, decode: Seconds, prompt: &Prompt, (steps, own_apart): (f64, bool)) -> Seconds {
        if self.mixes() || steps < 1.0 || !own_apart {
            return (decode + prompt.stall) * steps;
        }
        decode * steps + prompt.stall * (steps - 1.0) + prompt.queue
    }

    /// Time to the first token of a request that follows an answer and finds a place at once, where a decode step takes so
    /// long and `others` run beside it.
    pub fn first_token(&self, decode: Seconds, prompt: &Prompt, others: f64) -> Seconds {
        self.first_token_when(Comes::AfterAnswers, decode, prompt, others)
    }

    /// The same where requests come when they do.
    fn first_token_when(&self, comes: Comes, decode: Seconds, prompt: &Prompt, others: f64) -> Seconds {
        let (s, half) = (&self.engine.scheduling, self.decode_steps() / 2.0);
        // Who comes by itself is kept up by no answer.
        let (busy, joins) = match comes {
            Comes::AfterAnswers => (others, self.joins(decode, prompt, others)),
            Comes::ByThemselves => (0.0, self.falls_in(decode, prompt, others)),
        };
        let poll = decode * ((s.arrival_poll_steps - 1.0).max(0.0) / 2.0).min(half);
        let wait = decode * (s.prompt_wait_steps / 2.0).min(half);
        joins + poll + wait + (prompt.queue + prompt.latency) + decode * s.first_token_steps_beside(busy)
    }

    /// Attention-data-parallel ranks that have requests when so many are in flight: fewer requests than ranks leave
    /// some of them idle.
    pub fn ranks_at(&self, concurrency: f64) -> f64 {
        (self.attention_dp as f64).min(concurrency.max(1.0))
    }

    /// Sequences that run on each rank when so many requests are in flight on the replica.
    pub fn running_at(&self, concurrency: f64) -> f64 {
        (concurrency / self.ranks_at(concurrency)).max(1.0).min(self.running_most())
    }

    /// Most sequences that run on a rank.
    fn running_most(&self) -> f64 {
        self.cache_batch.min(self.limits.max_sequences).max(1) as f64
    }

    /// What of the `running` sequences of each of `ranks` ranks decodes, and the room that its steps leave for prompts, where
    /// each request follows an answer.
    ///
    /// Where prompts and decodes share steps, the others wait for their prompts: they take turns at the room, or wait for
    /// those of other ranks.
    pub fn supplied(&self, running: f64, ranks: f64) -> Supply {
        self.supplied_in(running, ranks, Life::Followed)
    }

    fn supplied_in(&self, running: f64, ranks: f64, life: Life) -> Supply {
        let (stages, queries) = (self.micro_batches(), 1.0 + self.workload.drafted());
        let limit = self.limits.max_batched_tokens as f64;
        let (isl, steps) = (self.workload.computed_prompt() as f64, self.decode_steps());
        let supply = |decoding: f64, begins: f64| Supply {
            decoding: decoding.clamp(1.0, running.max(1.0)),
            begins: begins.min(1.0),
            budget: limit.max(1.0),
            load: 0.0,
            balance: None,
        };
        if !self.mixes() {
            return match life {
                Life::Followed => supply(running, 1.0 / steps.max(1.0)),
                Life::Alone(lived) => {
                    let begins =
                        lived.map_or(1.0 / (steps + FALLS_IN), |lived| lived.pass / lived.rounds).min(1.0);
                    supply(running * begins * steps, begins)
                }
            };
        }
        let most = running.min(stages * limit / (queries + isl / steps.max(1e-9)));
        let budget = (limit - (most - 1.0).max(0.0) / stages * queries).max(1.0);
        let service = isl / (budget * stages);
        if let Some(balance) = self.balance(ranks, running, 1.0 / service) {
            let decoding = (running - balance.waiting).max(1.0);
            let begins = decoding / steps.max(1.0) / running;
            return Supply { budget, balance: Some(balance), ..supply(decoding, begins) };
        }
        // The queue for prompts is one in time: whoever comes finds others' prompts for as much of the time as those take, be
        // the steps without any ever so short.
        let (rounds, pass) = match life {
            Life::Followed => (steps + service.ceil(), 1.0),
            Life::Alone(None) => (steps + service.ceil() + FALLS_IN, 1.0),
            Life::Alone(Some(lived)) => (lived.rounds, lived.pass),
        };
        let load = closed_load(running, rounds, service);
        let begins = (load / service / running * pass).min(1.0);
        Supply { budget, load, ..supply(running * begins * steps, begins) }
    }

    /// One static batch: all prompts first, then `OSL − 1` decode steps of the whole batch. Returns the
    /// time to the first tokens and to the last.
    pub fn static_batch(&self, batch: f64) -> (Seconds, Seconds) {
        let per_rank = (batch / self.attention_dp as f64).max(1.0);
        let w = &self.workload;
        let prompts = w.computed_prompt() as f64 * per_rank;
        let steps = (prompts / self.limits.max_batched_tokens as f64).ceil().max(1.0);
        let together = (per_rank / steps).max(1e-9);
        let step = Step {
            prefill_tokens: prompts / steps,
            prefill_sequences: together,
            prefill_prior: w.reused_prompt() as f64,
            ..Step::default()
        };
        let time = self.pipeline.time(&step);
        let host = self.host(together, w.isl as f64);
        let first = self.launched(time.latency, 1.0);
        let ttft = first + self.launched(time.interval, self.stages()) * (steps - 1.0) + host * steps;
        // The mean over the growing context, by the trapezoid rule.
        let at = |share: f64| {
            let context = w.isl as f64 + share * w.osl as f64;
            let time = self.pipeline.time(&self.decode_of(per_rank, context));
            let step = self.decoded(time.latency, 1.0, per_rank) + self.host(per_rank, context);
            self.beside_host(step, per_rank)
        };
        let mean = (at(0.0) + at(0.5) * 2.0 + at(1.0)) / 4.0;
        (ttft, ttft + mean * self.decode_steps())
    }

    /// Each request of an attention-data-parallel rank draws `drawn`, one GPU of each stage together.
    fn power_share(&self, rate: f64, drawn: Seconds) -> f64 {
        (rate * drawn.get() / f64::from(self.pipeline.stages)).min(1.0)
    }

    /// Tokens that the KV cache holds, of requests of the workload's lengths.
    pub fn cache_tokens(&self) -> u64 {
        let mean = self.workload.isl as f64 + self.engine.scheduling.output_held() * self.workload.osl as f64;
        (self.cache_batch as f64 * self.attention_dp as f64 * mean) as u64
    }

    /// Decode steps of a request after its first token.
    pub fn decode_steps(&self) -> f64 {
        (self.workload.osl as f64 - 1.0) / self.workload.yielded()
    }

    /// What a decode step of `sequences` sequences computes.
    fn decode_of(&self, sequences: f64, context: f64) -> Step {
        Step { drafted: self.workload.drafted(), ..Step::decode(sequences, context) }
    }

    /// The decode step of `sequences` per rank, as one sequence sees it.
    ///
    /// With stages, as many micro-batches as stages are in flight: a token comes out after all stages,
    /// or after the slowest one has served every micro-batch.
    pub fn decode_step(&self, sequences: f64) -> DecodeStep {
        self.decode_step_in(sequences, self.workload.mean_context())
    }

    pub(super) fn decode_step_in(&self, sequences: f64, context: f64) -> DecodeStep {
        let micro = self.micro_batch(sequences);
        let time = self.pipeline.time(&self.decode_of(micro, context));
        DecodeStep {
            time: self.token_time((sequences, micro), context, (time.latency, time.interval)),
            fitted: time.fitted_share,
            measured: time.measured_share,
            drawn: time.drawn / micro,
        }
    }

    /// Sequences of each micro-batch that has any.
    fn micro_batch(&self, sequences: f64) -> f64 {
        (sequences / self.micro_batches()).max(1.0)
    }

    /// A decode step of `sequences` per rank in micro-batches of so many, as one sequence sees it, where the stages take so
    /// long from the first to the last and the slowest of them.
    fn token_time(
        &self,
        (sequences, micro): (f64, f64),
        context: f64,
        (latency, interval): (Seconds, Seconds),
    ) -> Seconds {
        let in_flight = (sequences / micro).max(1.0);
        let host = self.host(micro, context);
        let (latency, interval) =
            (self.decoded(latency, 1.0, micro), self.decoded(interval, self.stages(), micro));
        let alone = self.beside_host(latency + host, micro);
        let in_turn = self.beside_host(interval + host, micro) * in_flight;
        if self.engine.scheduling.stages_overlap { alone.max(in_turn) } else { alone }
    }

    /// Micro-batches in flight: as many as stages, where the stages of this engine overlap.
    fn micro_batches(&self) -> f64 {
        if self.engine.scheduling.stages_overlap { f64::from(self.pipeline.stages) } else { 1.0 }
    }

    /// Attention-data-parallel ranks times micro-batches: what holds sequences of its own in each step.
    pub fn lanes(&self) -> f64 {
        self.attention_dp as f64 * self.micro_batches()
    }

    /// A decode step of `sequences` per rank at a mean context, host time included.
    pub fn decode_step_at(&self, sequences: f64, context: f64) -> Seconds {
        self.decode_step_after(sequences, context, &mut Recall::default())
    }

    /// The same, of a step as there were some before.
    pub fn decode_step_after(&self, sequences: f64, context: f64, recall: &mut Recall) -> Seconds {
        let micro = self.micro_batch(sequences);
        let pace = self.pipeline.pace(&self.decode_of(micro, context), recall);
        self.token_time((sequences, micro), context, pace)
    }

    /// A step of one micro-batch whose fullest rank computes `prompts` with `tokens` and whose ranks compute `in_all`
    /// tokens together, each with `decoding` sequences beside them at a `context`.
    pub fn prompt_step(
        &self,
        (prompts, tokens, in_all): (f64, f64, f64),
        prior: f64,
        (decoding, context): (f64, f64),
    ) -> Step {
        let step = Step {
            prefill_tokens: tokens,
            prefill_sequences: prompts,
            prefill_prior: prior,
            ..self.decode_of(decoding, context)
        };
        let beyond = tokens - in_all / self.attention_dp as f64;
        Step { idle_share: (beyond / step.tokens()).max(0.0), ..step }
    }

    /// The time in which all micro-batches go round once when `step` is that of the fullest: it passes all stages one
    /// after the other, and the rest of the ring keeps its pace. Host time included.
    pub fn prompt_round(&self, step: &Step, recall: &mut Recall) -> Seconds {
        let host = self.host(step.decode_sequences, step.context);
        let (latency, _) = self.pipeline.pace(step, recall);
        let step_time = self.prompts_launched(latency, 1.0) + host;
        self.beside_host(step_time, step.decode_sequences)
    }

    /// What a prompt token takes in full steps of prompts alone.
    pub fn prompt_token(&self) -> Seconds {
        let tokens = (self.limits.max_batched_tokens as f64).max(1.0);
        let step = self.prompt_step((1.0, tokens, tokens), 0.0, (0.0, 0.0));
        self.prompt_round(&step, &mut Recall::default()) / (tokens * self.lanes())
    }

    pub(super) fn stages(&self) -> f64 {
        f64::from(self.pipeline.stages)
    }

    /// Time of a step over one of so many equal parts of the layers, launches included.
    pub(super) fn launched(&self, kernels: Seconds, parts: f64) -> Seconds {
        self.engine.scheduling.launched(kernels, self.layers, parts)
    }

    /// The same of a step that holds prompt tokens.
    pub(super) fn prompts_launched(&self, kernels: Seconds, parts: f64) -> Seconds {
        self.engine.scheduling.prompts_launched(kernels, self.layers, parts)
    }

    /// The same of a step of `sequences` that only decode: beyond the largest that is captured it is launched kernel by
    /// kernel.
    fn decoded(&self, kernels: Seconds, parts: f64, sequences: f64) -> Seconds {
        let scheduling = &self.engine.scheduling;
        let each = if self.engine.defaults.graphs_of_tokens { 1.0 + self.workload.drafted() } else { 1.0 };
        match self.limits.start.captured.leaves_out(sequences * each) {
            true => kernels.max(scheduling.launches(self.layers, parts)),
            false => self.launched(kernels, parts),
        }
    }

    /// The time of a step of so many sequences, no less than what the host does beside it.
    pub(super) fn beside_host(&self, step: Seconds, sequences: f64) -> Seconds {
        self.engine.scheduling.beside_host(step, sequences)
    }

    /// Host time of a step, whatever it holds.
    pub(in crate::estimate) fn step_overhead(&self) -> Seconds {
        self.engine.scheduling.step_overhead_on(self.gpus)
    }

    /// Host time of a step of so many sequences at a mean context.
    pub(super) fn host(&self, sequences: f64, context: f64) -> Seconds {
        self.engine.scheduling.host(self.gpus, (sequences, context), self.engine.kv_block)
    }
}

/// How the sequences that run on a rank divide into those that decode and those that wait for their prompts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supply {
    /// Sequences that decode.
    pub decoding: f64,
    /// Chance that one that runs begins in a decode step.
    pub begins: f64,
    /// Prompt tokens that a step of one of the rank's micro-batches has room for.
    pub budget: f64,
    /// Share of that room that prompts take; none where they have steps of their own.
    pub load: f64,
    /// How prompts are let through where ranks wait for each other.
    pub balance: Option<Balance>,
}

impl Supply {
    /// Mean wait of a prompt for others of its lane, in services: as in M/D/1.
    pub fn wait(&self) -> f64 {
        self.load / (2.0 * (1.0 - self.load).max(1e-9))
    }
}

/// A decode step as one sequence sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeStep {
    /// Time of the step, host time included.
    pub time: Seconds,
    /// Share of the time that comes from fitted forms.
    pub fitted: f64,
    /// Share of the time that comes from measured tables.
    pub measured: f64,
    /// What a sequence of it draws; see [`super::program::PipelineTime`].
    pub drawn: Seconds,
}
