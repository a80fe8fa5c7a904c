//! Runs that begin with all requests at once and are short: their requests go in waves.

use crate::model::operator::Step;
use crate::units::Seconds;

use super::Replica;

impl Replica<'_> {
    /// Mean time to first token and per output token of a run in which each of `concurrency` clients sends `waves`
    /// requests one after the other, the first all at once. `spread` is the standard deviation of a request's time, as
    /// a share of its mean: what lengths vary by.
    ///
    /// After `w` waves the ends of requests are spread by `spread·√w` of a request's time. Where they are that close
    /// (normal, so `1/(2√π·spread·√w)` times as dense as evenly spread), their prompts coincide more. A request is held
    /// up by half of its own wave's prompts after its own, and by half of the next one's before it ends; after the
    /// last wave none come.
    pub fn waves(&self, concurrency: f64, waves: f64, spread: f64) -> (Seconds, Seconds) {
        let followed = (waves - 1.0).max(0.0);
        let density = |wave: u64| {
            let closeness = 2.0 * std::f64::consts::PI.sqrt() * spread * (wave as f64).sqrt();
            (1.0 / closeness.max(1e-9)).max(1.0)
        };
        let mean = (1..=followed as u64).map(density).sum::<f64>() / followed.max(1.0);
        let (service, first_in_wave) = self.bunched(concurrency, mean.max(1.0));
        // For a place requests wait as long as in the long run.
        let (even, first_in_step) = self.bunched(concurrency, 1.0);
        let followers = even.ttft - first_in_step + first_in_wave;
        let (first, rest) = self.burst(concurrency);
        let per_token = (self.workload.osl as f64 - 1.0).max(1.0);
        let decode = service.decode_step * (self.decode_steps() / per_token);
        let stalls = (service.tpot - decode) * followed + rest / per_token;
        let ttft = (followers * followed + first) / waves;
        let tpot = if self.workload.osl > 1 { decode + stalls / waves } else { Seconds::ZERO };
        (ttft, tpot)
    }

    /// Mean time to first token of `concurrency` prompts that arrive at once, and mean time from there to the last of
    /// them: they are computed in steps as full as the budget allows, and each waits for those before it.
    pub fn burst(&self, concurrency: f64) -> (Seconds, Seconds) {
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
        let half = time.interval * ((steps + 1.0) / 2.0 - 1.0);
        (self.engine.scheduling.request_overhead + time.latency + half, half)
    }
}
