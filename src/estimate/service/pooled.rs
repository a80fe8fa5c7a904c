//! Steady-state service where an answer is made of its input alone: vectors of texts, scores of documents.
//!
//! A server computes what waits, up to the sequences and tokens of a step, and then what has come meanwhile. `T(b)` is
//! the time of a step of `b` inputs. No answer is streamed, so that the front end takes each request the time that it
//! takes one by itself.

use super::{Replica, Service};
use crate::estimate::Provenance;
use crate::model::operator::Step;
use crate::powers::power;
use crate::units::{RequestsPerSecond, Seconds, TokensPerSecond};

/// A step of some inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pass {
    /// From its start to its answers.
    latency: Seconds,
    /// Between two steps in steady state.
    interval: Seconds,
    fitted: f64,
    measured: f64,
    /// What one input draws; see `super::super::program::PipelineTime`.
    drawn: Seconds,
}

/// What requests see at a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    /// Inputs of a step.
    batch: f64,
    /// Requests per second of a rank.
    rate: f64,
    /// From request to answer.
    latency: f64,
}

impl Replica<'_> {
    /// Service with `concurrency` requests in flight on the replica.
    pub(super) fn pooled_at(&self, concurrency: f64) -> Service {
        let ranks = self.ranks_at(concurrency);
        let each = concurrency / ranks;
        let seen = if self.workload.has_rate() { self.open(each) } else { self.closed(each.max(1.0)) };
        let pass = self.pass(seen.batch);
        // A lone request that is only sometimes there.
        let busy = if self.workload.has_rate() { 1.0 } else { concurrency.min(1.0) };
        let served = seen.rate * ranks * busy;
        let latency = Seconds::new(seen.latency);
        Service {
            ttft: latency,
            tpot: Seconds::ZERO,
            e2e: latency,
            output: TokensPerSecond::new(served),
            requests: RequestsPerSecond::new(served),
            running: seen.batch * ranks,
            decoding: seen.batch * ranks,
            decode_step: Seconds::ZERO,
            prefill_cost: pass.interval / seen.batch,
            power_share: self.power_share(served / self.attention_dp as f64, pass.drawn),
            provenance: Provenance::of_share(pass.fitted, pass.measured),
        }
    }

    /// Inputs of a full step of one rank.
    fn full(&self) -> f64 {
        let isl = self.workload.computed_prompt();
        let sequences = self.cache_batch.min(self.limits.max_sequences).max(1) as f64;
        let room = self.limits.max_batched_tokens as f64 / isl as f64;
        // What cannot be cut leaves the rest of a step empty.
        sequences.min(if self.whole_prompts { room.floor() } else { room }.max(1.0))
    }

    /// A step of `batch` inputs; one that is longer than a step takes several.
    fn pass(&self, batch: f64) -> Pass {
        let w = &self.workload;
        let isl = w.computed_prompt() as f64;
        let steps = match self.whole_prompts {
            true => 1.0,
            false => (isl * batch / self.limits.max_batched_tokens as f64).ceil().max(1.0),
        };
        let step = Step {
            prefill_tokens: batch * isl / steps,
            prefill_sequences: batch,
            // Of the parts of one that is cut each sees half of the rest in the mean.
            prefill_prior: w.reused_prompt() as f64 + isl * (1.0 - 1.0 / steps) / 2.0,
            ..Step::default()
        };
        let time = self.pipeline.time(&step);
        let host = self.host(batch, isl);
        Pass {
            latency: (self.prompts_launched(time.latency, 1.0) + host) * steps,
            interval: (self.prompts_launched(time.interval, self.stages()) + host) * steps,
            fitted: time.fitted_share,
            measured: time.measured_share,
            drawn: time.drawn * steps / batch,
        }
    }

    /// A closed loop of `n` requests on a rank: each is followed by the next at once, so that those of one step come
    /// back together. A step that is not full waits for the window; where more wait than a step holds, nothing does.
    fn closed(&self, n: f64) -> Seen {
        let full = self.full();
        let stages = self.micro_batches().min(n);
        let batch = (n / stages).min(full);
        let pass = self.pass(batch);
        let window = if batch < full { self.workload.batch_window } else { Seconds::ZERO };
        let first = self.engine.scheduling.request_overhead_beside(0.0) + window + pass.latency;
        let rate = (n / first.get()).min(batch / pass.interval.get());
        Seen { batch, rate, latency: n / rate }
    }

    /// An open loop with `n` requests of a rank in flight in the mean, by bisection over what comes during a step.
    ///
    /// Arrivals are Poisson. A step of `m` inputs lasts `T(m)`; `x = λ·max(T(m), window)` come meanwhile, none with the
    /// chance `e^−x`, and then one opens the next, so that `m = x + e^−x`. A request finds the server at work for a share
    /// `u = λ·T(m)/m` of the time, waits half a step and goes with the `1 + x` that came; else it opens a step, and waits
    /// for the window. Near a full step of `k` some wait for more than one: `T(k)/2k · ρ^(√(2(k+1)) − 1)/(1 − ρ)`
    /// (Sakasegawa 1977).
    fn open(&self, n: f64) -> Seen {
        let full = self.full();
        let overhead = self.engine.scheduling.request_overhead_beside(0.0).get();
        let window = self.workload.batch_window.get();
        let latency = |batch: f64| self.pass(batch.min(full)).latency.get();
        let (alone, last) = (self.pass(1.0).latency.get(), self.pass(full).interval.get());
        let at = |coming: f64| {
            let batch = (coming + exp(-coming)).clamp(1.0, full);
            let pass = self.pass(batch);
            let interval = pass.interval.get();
            let rate = coming / interval.max(window);
            let busy = (rate * interval / batch).min(1.0);
            let opened = 1.0 + rate * window;
            let held = window * (1.0 + 1.0 / opened) / 2.0;
            let idle = held + if opened > 1.0 { latency(opened) } else { alone };
            let working = (interval / 2.0).max(held) + latency(1.0 + coming);
            let used = (rate * last / full).min(1.0);
            let queue =
                last / (2.0 * full) * power(used, (2.0 * (full + 1.0)).sqrt() - 1.0) / (1.0 - used).max(1e-9);
            let latency = overhead + (1.0 - busy) * idle + busy * working + queue;
            Seen { batch, rate, latency }
        };
        let (mut low, mut high) = (0.0, full);
        for _ in 0..32 {
            let middle = (low + high) / 2.0;
            let seen = at(middle);
            if seen.rate * seen.latency < n { low = middle } else { high = middle }
        }
        at(high)
    }
}

/// `e^x` by our own powers, the same to the last bit on every machine.
fn exp(x: f64) -> f64 {
    power(std::f64::consts::E, x)
}
