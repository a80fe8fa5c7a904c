//! Steady-state service of one replica, in closed form: TTFT, TPOT, throughput at a concurrency.
//!
//! Continuous batching in a closed loop: `C` requests are in flight, each is followed by the next at
//! once. A request needs its prompt computed and then `OSL − 1` decode steps; while it decodes, each of
//! the others is replaced once, so it waits through `C − 1` prompts. Symbols in `docs/model.md`.

use crate::catalog::Engine;
use crate::model::operator::Step;
use crate::powers;
use crate::units::{RequestsPerSecond, Seconds, TokensPerSecond};
use crate::workload::Workload;

use super::Provenance;
use super::memory::Limits;
use super::program::Pipeline;

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

/// A replica whose service is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Replica<'a> {
    /// Its compiled step.
    pub pipeline: &'a Pipeline,
    /// Its engine.
    pub engine: &'a Engine,
    /// Launch limits.
    pub limits: Limits,
    /// Attention-data-parallel ranks.
    pub attention_dp: u64,
    /// Layers of the model, for the engine's per-layer overhead of prompts.
    pub layers: u64,
    /// Those of them whose mixer is latent or recurrent.
    pub mixer_layers: u64,
    /// Sequences that the KV cache holds per attention-data-parallel rank.
    pub cache_batch: u64,
    /// Lengths.
    pub workload: Workload,
}

impl Replica<'_> {
    /// Service with `concurrency` requests in flight on the replica.
    pub fn at(&self, concurrency: f64) -> Service {
        let ranks = self.attention_dp as f64;
        let most = self.cache_batch.min(self.limits.max_sequences).max(1) as f64;
        let (prompt, osl) = (self.workload.computed_prompt() as f64, self.workload.osl as f64);
        let steps = self.decode_steps();
        let queries = 1.0 + self.workload.drafted();
        let running = (concurrency / ranks).max(1.0).min(most);
        let budget = (self.limits.max_batched_tokens as f64 - running * queries).max(1.0);
        // When the prompts that keep the batch supplied overrun the step budget, fewer sequences decode.
        let supplied = (budget + running * queries) / (queries + prompt / steps.max(1.0));
        let decoding = running.min(supplied).max(1.0);
        let DecodeStep { time: decode, fitted, measured, drawn } = self.decode_step(decoding);
        let prompt = self.prompts_of_ranks(decoding, budget, decode * steps);
        let generation =
            if steps > 0.0 { decode * steps + prompt.cost * (decoding - 1.0) } else { Seconds::ZERO };
        let s = &self.engine.scheduling;
        let poll = decode * (s.arrival_poll_steps / 2.0).min(steps / 2.0);
        let wait = decode * (s.prompt_wait_steps / 2.0).min(steps / 2.0);
        let first = s.request_overhead
            + poll
            + wait
            + self.contention(running, prompt.least, decode * steps)
            + prompt.latency
            + decode * s.first_token_steps;
        // Little's law, twice: the prompts' own capacity bounds the cycle of the running requests, and
        // what does not run waits for its turn.
        let supply = (generation * (running / decoding)).max(prompt.least * running);
        let cycle = (first + generation).max(supply);
        let rate = running / cycle.get();
        let waiting = (concurrency / ranks - running).max(0.0);
        let ttft = cycle - generation + Seconds::new(waiting / rate);
        let served = rate * ranks * (concurrency / (running * ranks)).min(1.0);
        Service {
            ttft,
            tpot: if steps > 0.0 { generation / (osl - 1.0) } else { Seconds::ZERO },
            e2e: ttft + generation,
            output: TokensPerSecond::new(served * osl),
            requests: RequestsPerSecond::new(served),
            running: running * ranks,
            decoding: decoding * ranks,
            decode_step: decode,
            prefill_cost: prompt.cost,
            power_share: self.power_share(served / ranks, prompt.drawn + drawn * steps),
            provenance: Provenance::of_share(fitted, measured),
        }
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
        let host = self.engine.scheduling.step_overhead;
        let time = self.pipeline.time(&step);
        let ttft = time.latency + time.interval * (steps - 1.0) + host * steps;
        // The mean over the growing context, by the trapezoid rule.
        let at = |share: f64| {
            let context = w.isl as f64 + share * w.osl as f64;
            self.pipeline.time(&self.decode_of(per_rank, context)).latency + host
        };
        let mean = (at(0.0) + at(0.5) * 2.0 + at(1.0)) / 4.0;
        (ttft, ttft + mean * self.decode_steps())
    }

    /// Mean time to first token of `concurrency` prompts that arrive at once: they are computed in steps
    /// as full as the budget allows, and each waits for those before it.
    pub fn burst(&self, concurrency: f64) -> Seconds {
        let per_rank = (concurrency / self.attention_dp as f64).max(1.0);
        let isl = self.workload.computed_prompt() as f64;
        let in_step = (self.limits.max_batched_tokens as f64 / isl).max(1e-9).min(per_rank);
        let steps = per_rank / in_step;
        let tokens = (in_step * isl).min(self.limits.max_batched_tokens as f64);
        let step = Step {
            prefill_tokens: tokens,
            prefill_sequences: in_step.max(1.0),
            prefill_prior: self.workload.reused_prompt() as f64,
            ..Step::default()
        };
        let time = self.pipeline.time(&step);
        let mean_steps = (steps + 1.0) / 2.0;
        self.engine.scheduling.request_overhead + time.latency + time.interval * (mean_steps - 1.0)
    }

    /// Each request of an attention-data-parallel rank draws `drawn`, one GPU of each stage together.
    fn power_share(&self, rate: f64, drawn: Seconds) -> f64 {
        (rate * drawn.get() / f64::from(self.pipeline.stages)).min(1.0)
    }

    /// Tokens that the KV cache holds, of requests of the workload's lengths.
    pub fn cache_tokens(&self) -> u64 {
        let mean =
            self.workload.isl as f64 + self.engine.scheduling.output_reserve * self.workload.osl as f64;
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
    fn decode_step(&self, sequences: f64) -> DecodeStep {
        self.decode_step_in(sequences, self.workload.mean_context())
    }

    pub(super) fn decode_step_in(&self, sequences: f64, context: f64) -> DecodeStep {
        let stages = self.micro_batches();
        let micro = (sequences / stages).max(1.0);
        let time = self.pipeline.time(&self.decode_of(micro, context));
        let in_flight = (sequences / micro).max(1.0);
        let s = &self.engine.scheduling;
        let host = s.step_overhead + s.sequence_overhead * micro;
        let (alone, in_turn) = (time.latency + host, (time.interval + host) * in_flight);
        DecodeStep {
            time: if s.stages_overlap { alone.max(in_turn) } else { alone },
            fitted: time.fitted_share,
            measured: time.measured_share,
            drawn: time.drawn / micro,
        }
    }

    /// Prompt tokens that may be computed at a time, per rank: a step's budget in each micro-batch.
    pub fn prompt_budget(&self) -> f64 {
        self.limits.max_batched_tokens as f64 * self.micro_batches()
    }

    /// Micro-batches in flight: as many as stages, where the stages of this engine overlap.
    fn micro_batches(&self) -> f64 {
        if self.engine.scheduling.stages_overlap { f64::from(self.pipeline.stages) } else { 1.0 }
    }

    /// A decode step of `sequences` per rank at a mean context, host time included.
    pub fn decode_step_at(&self, sequences: f64, context: f64) -> Seconds {
        self.decode_step_in(sequences, context).time
    }

    /// A step that computes prompts, host time included: of up to [`Replica::prompt_budget`] tokens, which
    /// fill one micro-batch after the other. The ring moves at the pace of the fullest, however many are.
    pub fn prompt_step_at(&self, step: &Step) -> Seconds {
        let s = &self.engine.scheduling;
        let host = s.step_overhead + s.sequence_overhead * step.decode_sequences;
        let stages = self.micro_batches();
        if stages <= 1.0 {
            let kernels = self.pipeline.time(step).latency;
            return kernels + host + self.prompt_overhead();
        }
        let filled = (step.prefill_tokens / self.limits.max_batched_tokens as f64).ceil().clamp(1.0, stages);
        let micro = Step {
            prefill_tokens: step.prefill_tokens / filled,
            prefill_sequences: (step.prefill_sequences / filled).max(1.0),
            decode_sequences: step.decode_sequences / stages,
            ..*step
        };
        let others = self.decode_of(micro.decode_sequences, step.context);
        let kernels = self.pipeline.time(&micro).latency;
        let host = host + self.prompt_overhead();
        kernels + host + self.pipeline.time(&others).interval * (stages - filled)
    }

    /// Time of a step with prompts beyond its kernels.
    pub(super) fn prompt_overhead(&self) -> Seconds {
        self.engine.scheduling.prompt_overhead(self.layers, self.mixer_layers)
    }

    /// What a prompt costs the others of its rank and those of the other ranks, which all pass the experts
    /// in step.
    ///
    /// A step in which `k` of `r` ranks compute a prompt takes `T(k)`, between that of one and that of all.
    /// Where ranks do not wait for each other, `k = λ·T(k)`: as many prompts come in its time, each request
    /// one in `generation`. During the generation of one request the others' prompts, one each, come `k`
    /// at a time.
    fn prompts_of_ranks(&self, decoding: f64, budget: f64, steps: Seconds) -> Prompt {
        let ranks = self.attention_dp as f64;
        let all = self.prompt(decoding, budget, 1.0);
        if ranks <= 1.0 || self.engine.scheduling.rank_wait_steps >= 1.0 {
            return all;
        }
        let one = self.prompt(decoding, budget, 1.0 / ranks);
        let between = |k: f64, one: Seconds, all: Seconds| one + (all - one) * ((k - 1.0) / (ranks - 1.0));
        let mut k = ranks;
        for _ in 0..RANK_ROUNDS {
            let time = between(k, one.cost, all.cost);
            let generation = steps + time * (ranks / k) * (decoding - 1.0).max(0.0);
            let coming = ranks * decoding * (time.get() / generation.get().max(f64::MIN_POSITIVE));
            k = ((k + coming) / 2.0).clamp(1.0, ranks);
        }
        Prompt {
            cost: between(k, one.cost, all.cost) * (ranks / k),
            least: all.least,
            latency: between(k, one.latency, all.latency),
            drawn: between(k, one.drawn, all.drawn),
        }
    }

    /// What a prompt costs the others, and how long it takes itself, when this share of the ranks computes
    /// one at a time.
    fn prompt(&self, decoding: f64, budget: f64, aligned: f64) -> Prompt {
        let (isl, steps) = (self.workload.computed_prompt() as f64, self.decode_steps());
        let reused = self.workload.reused_prompt() as f64;
        let chunks = (isl / budget).ceil().max(1.0);
        // Prompts that are looked at together share a step, as far as the budget goes.
        let together = if chunks > 1.0 { 1.0 } else { self.gathered(decoding, budget / isl) };
        let mixes = self.engine.scheduling.mixes_prefill;
        let stages = self.micro_batches();
        let micro = if mixes { (decoding / stages).max(1.0) } else { 0.0 };
        let (mut busy, mut latency, mut drawn) = (Seconds::ZERO, Seconds::ZERO, Seconds::ZERO);
        let size = isl / chunks;
        let timed = chunks.min(MAX_CHUNKS);
        for i in 0..timed as u64 {
            // With more chunks than are timed, evenly spaced ones stand for all.
            let chunk = (i as f64 + 0.5) * chunks / timed - 0.5;
            let step = Step {
                prefill_tokens: size * together,
                prefill_sequences: together,
                prefill_prior: reused + size * chunk,
                ..self.decode_of(micro, self.workload.mean_context())
            };
            let step = Step { idle_share: (1.0 - aligned) * step.prefill_tokens / step.tokens(), ..step };
            let time = self.pipeline.time(&step);
            let per_step = self.prompt_overhead();
            // Where stages do not overlap, the others wait until a prompt has passed them all.
            let overlap = self.engine.scheduling.stages_overlap || i > 0;
            busy += (if overlap { time.interval } else { time.latency }) + per_step;
            drawn += time.drawn;
            latency += (if i == 0 { time.latency } else { time.interval }) + per_step;
        }
        let scale = chunks / timed;
        let (busy, latency, drawn) = (busy * scale, latency * scale, drawn * scale);
        // A mixed step gives the decoding sequences their token too: only what it adds counts.
        let alone = self.decode_of(micro, self.workload.mean_context());
        let (decode_inside, drawn_inside) = if mixes {
            let decodes = self.pipeline.time(&alone);
            let overlap = self.engine.scheduling.stages_overlap;
            let inside = if overlap { decodes.interval } else { decodes.latency };
            (inside * chunks, decodes.drawn * chunks)
        } else {
            (Seconds::ZERO, Seconds::ZERO)
        };
        let due_per_cycle = decoding / steps.max(1.0);
        let cost = (busy - decode_inside).max(Seconds::ZERO) / together * ring_factor(stages, due_per_cycle);
        Prompt {
            cost,
            least: cost,
            latency: latency + self.engine.scheduling.step_overhead,
            drawn: (drawn - drawn_inside).max(Seconds::ZERO) / together,
        }
    }

    /// Prompts that one step computes, of those that a step has room for.
    ///
    /// A decoding sequence ends, and is followed by a prompt, between two looks at arrivals with probability
    /// `p`, looks being every step or every `arrival_poll_steps`: of `n` sequences, `n·p/(1 − (1 − p)ⁿ)` do
    /// where any does. Where prompts wait for others, those that come within the wait join the first, up to
    /// the share of the budget that ends it.
    fn gathered(&self, decoding: f64, room: f64) -> f64 {
        let s = &self.engine.scheduling;
        let ends = 1.0 / self.decode_steps().max(1.0);
        let looked = (ends * s.arrival_poll_steps.max(1.0)).min(1.0);
        let none = powers::power((1.0 - looked).max(f64::MIN_POSITIVE), decoding.max(1.0));
        let met = decoding * looked / (1.0 - none).max(f64::MIN_POSITIVE);
        let waited = (1.0 + decoding * ends * s.prompt_wait_steps).min(room * s.prompt_wait_share);
        met.max(waited).min(room).max(1.0)
    }

    /// Mean wait for the prompts of others: half a prompt of an M/D/1 queue at the share of time that
    /// prompts take, at most half of all the others' prompts.
    fn contention(&self, running: f64, cost: Seconds, decoding: Seconds) -> Seconds {
        let busy = cost * running;
        let cycle = busy + decoding;
        if cycle.get() <= 0.0 {
            return Seconds::ZERO;
        }
        let share = busy / cycle;
        let queue = (share / (2.0 * (1.0 - share).max(1e-9))).min((running - 1.0).max(0.0) / 2.0);
        cost * queue
    }
}

/// How much more a prompt costs a pipeline than its time in one stage, from 1 to the number of stages.
///
/// As many micro-batches as stages go round in a ring, and the ring moves at the pace of the slowest of
/// them: a lone prompt holds up every stage in turn, prompts spread over all micro-batches hold up none.
/// With `n` prompts due in one round, the fullest of `S` micro-batches holds about
/// `n/S + √(2·(n/S)·ln S)` of them, at most `n`.
fn ring_factor(stages: f64, due: f64) -> f64 {
    if stages <= 1.0 || due <= 0.0 {
        return 1.0;
    }
    let even = due / stages;
    let fullest = (even + (2.0 * even * stages.ln()).sqrt()).min(due);
    stages * fullest / due
}

/// Rounds in which the number of ranks that compute prompts at a time settles.
const RANK_ROUNDS: usize = 16;

/// Chunks of a prompt that are timed.
pub(super) const MAX_CHUNKS: f64 = 64.0;

struct Prompt {
    cost: Seconds,
    /// What it costs when every rank computes one at a time.
    least: Seconds,
    latency: Seconds,
    /// Above what the decoding sequences draw in the same steps; see [`PipelineTime`].
    ///
    /// [`PipelineTime`]: super::program::PipelineTime
    drawn: Seconds,
}

/// A decode step as one sequence sees it.
pub(super) struct DecodeStep {
    pub(super) time: Seconds,
    pub(super) fitted: f64,
    pub(super) measured: f64,
    /// Per sequence; see [`Prompt`].
    pub(super) drawn: Seconds,
}
