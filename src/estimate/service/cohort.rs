//! Closed loops of short answers: requests that begin together end together.
//!
//! A loop begins with all its requests at once, and answers that are equally long end in the same step, so that what follows
//! them begins together again. Lengths that differ spread the ends over as many steps as there are lengths, and after a few
//! answers over all steps: then requests come independently, as the rest of [`super`] has it. Answers of a few tokens do not
//! get so far.

use crate::units::Seconds;

use super::Replica;
use super::prompts::Rounds;

/// By which share of their mean answers are longer or shorter at most, in whole tokens.
const SPREAD: f64 = 0.2;

/// Different lengths beyond the first with which requests come independently. Fitted to the simulation over outputs of 1 to 16
/// tokens.
const APART: f64 = 6.0;

/// Requests that march in step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cohort {
    /// How much of the loop is as they have it: all where answers are equally long, less where more lengths are drawn.
    pub(super) share: f64,
    /// Request to first token, mean.
    pub(super) first: Seconds,
    /// First token to last, mean.
    pub(super) generation: Seconds,
    /// From one request to the next in its place.
    pub(super) cycle: Seconds,
}

impl Replica<'_> {
    /// How a closed loop of `running` requests on each of `ranks` ranks goes in step, where its answers are so short that it
    /// does.
    pub(super) fn cohort(&self, running: f64, ranks: f64) -> Option<Cohort> {
        let s = &self.engine.scheduling;
        let lengths = 1.0 + 2.0 * (self.workload.osl as f64 * SPREAD).floor();
        let share = 1.0 - (lengths - 1.0) / APART;
        let waits = s.prompt_wait_steps >= 1.0 || (ranks > 1.0 && s.rank_wait_steps >= 1.0);
        // Micro-batches go round each at its own time.
        if running <= 1.0 || self.micro_batches() > 1.0 || waits || share <= 0.0 {
            return None;
        }
        let decode = self.decode_step(running).time;
        let (isl, steps) = (self.workload.computed_prompt() as f64, self.decode_steps());
        let all = running * isl;
        let rounds = (all / self.limits.max_batched_tokens as f64).ceil().max(1.0);
        let (mixes, others) = (s.mixes_prefill, running * ranks - 1.0);
        // A step for each part of the prompts: more than there are steps in an answer never end.
        if mixes && rounds - 1.0 > steps {
            return None;
        }
        let beside = if mixes && rounds > 1.0 { running * (1.0 - 1.0 / rounds) } else { 0.0 };
        let tokens = all / rounds;
        let round = self.timed(&Rounds::of(tokens, tokens * ranks), beside).round;
        // Prompts first: all of them, and then the answers together. Else the parts follow each other from step to step.
        let (mean, stalls) = match mixes {
            true => (round, (round - decode).max(Seconds::ZERO) * (rounds - 1.0)),
            false => (round * ((rounds + 1.0) / 2.0), round * ((rounds - 1.0) / 2.0)),
        };
        let busy = if mixes { others * (1.0 - 1.0 / rounds) } else { 0.0 };
        let joins = match mixes && rounds > 1.0 {
            true => s.request_overhead_beside(busy).max(decode),
            false => s.request_overhead_beside(busy),
        };
        let inside = joins + mean + self.step_overhead();
        let generation = decode * steps + stalls;
        // A first token that is the last waits for no step of others.
        let next = if steps < 1.0 { self.decode_step(1.0).time } else { decode };
        let first = inside + next * s.first_token_steps_beside(others);
        Some(Cohort { share, first, generation, cycle: inside + generation })
    }
}
