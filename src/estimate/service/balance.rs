//! Prompts that attention-data-parallel ranks start together: a rank that has one waits until all have.
//!
//! TensorRT-LLM's `attention_dp_config.enable_balance` (`PyExecutor._balance_adp_requests`, 1.2): while all ranks decode,
//! prompts are let through when every rank has one, or `timeout_iters` steps after they last were; each rank then computes
//! what its step has room for. A rank that has nothing to decode is not kept waiting.

use super::coincidence::{closed_load, largest_normal};
use super::replica::Replica;
use crate::powers::power;

/// How prompts are let through, on each rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// Prompts that a rank computes when prompts are let through, mean over ranks.
    pub each: f64,
    /// Prompts that a rank has waiting, mean over time.
    pub waiting: f64,
    /// Decode steps that a prompt waits.
    pub wait: f64,
}

/// By which share of their mean outputs of a load differ in length, from the shortest to the longest: a tenth either way, as
/// in public benchmarks and in the simulation.
const OUTPUT_SPREAD: f64 = 0.2;

/// The rule, and the ranks that it is for.
#[derive(Clone, Copy, Debug)]
struct Rule {
    ranks: f64,
    /// Prompts that a rank's step has room for.
    room: f64,
    /// Steps after which prompts are let through however few ranks have one.
    timeout: f64,
    /// Steps for which more are waited for once all have one.
    gather: f64,
}

impl Rule {
    /// Prompts that a rank has by the time that they are let through where `rate` come to it in each step, and the
    /// chance that any has.
    ///
    /// With `u = 1 − e^(−rate·timeout)` for the chance that a rank has had one, all of `n` have one after
    /// `Σ_{j≤n} uʲ/j` mean times between two, or the time is out: `∫ 1 − (1 − e^(−rate·t))ⁿ dt`. With no limit that is
    /// the coupon collector's `1 + 1/2 + … + 1/n`.
    fn come(&self, rate: f64) -> (f64, f64) {
        let one = 1.0 - (-rate * self.timeout).exp();
        let (mut come, mut all) = (0.0, 1.0);
        for j in 1..=self.ranks as u64 {
            all *= one;
            come += all / j as f64;
        }
        let any = 1.0 - (-rate * self.timeout * self.ranks).exp();
        (come + rate * self.gather * all, any.max(1e-9))
    }

    /// Prompts that a rank computes at a time: what comes, as far as there is room. What finds none waits for the next
    /// time, so that with little room all ranks have some.
    ///
    /// A prompt that is cut leaves a rest, which fills a step where another waits behind it. The smooth minimum is within
    /// 8 % of what the policy does, step by step, over 2 to 32 ranks, 8 to 900 sequences and rooms from half a prompt to
    /// all (`tests/it/simulation.rs` holds both together).
    fn computed(&self, come: f64, left_over: f64) -> f64 {
        let (room, come) = (self.room_of(left_over), come.max(1e-12));
        // With room for several, not all ranks have as many.
        let sharpness = if room > 1.0 { 3.0 + 1.0 / (room * room) } else { 4.0 };
        come / power(1.0 + power(come / room, sharpness), 1.0 / sharpness)
    }

    /// Prompts that a rank's step computes at most, in the mean of full and last parts where they are cut.
    fn room_of(&self, left_over: f64) -> f64 {
        let room = self.room.max(1e-9);
        let alone = room.min(1.0 / (1.0 / room).ceil().max(1.0));
        if room < 1.0 { alone + (room - alone) * left_over / (1.0 + left_over) } else { room }
    }

    /// Prompts that wait on a rank beyond those of the next time, of `running` sequences that each come back `steps` steps
    /// after their prompt: those that the timeout leaves over, or as many as the fullest rank is ahead of the mean,
    /// whichever are fewer. Ranks drift apart like `running` independent sequences each; where a step has room for more
    /// than comes, or for more of a prompt than its rest, the fullest catches up.
    fn left_over(&self, running: f64, steps: f64) -> f64 {
        let interval = (self.timeout / self.room.max(1e-9)).max(1.0);
        let load = closed_load(running, steps, interval);
        let by_timeout = (running - load / interval * steps).max(0.0);
        let ahead = largest_normal(self.ranks) * (running / 2.0).max(0.0).sqrt();
        let room = self.room.max(1e-9);
        let ahead = ahead / if room < 1.0 { (room * (1.0 / room).ceil()).sqrt() } else { room * room };
        if by_timeout + ahead > 0.0 { by_timeout * ahead / (by_timeout + ahead) } else { 0.0 }
    }
}

impl Replica<'_> {
    /// How prompts are let through where each of `ranks` runs so many sequences and its step has room for so many prompts;
    /// `None` where ranks do not wait for each other.
    pub(super) fn balance(&self, ranks: f64, running: f64, room: f64) -> Option<Balance> {
        let s = &self.engine.scheduling;
        if ranks < 2.0 || s.rank_wait_steps < 1.0 {
            return None;
        }
        // Alone on its rank, a prompt has no others to decode meanwhile.
        let beside = (running - 1.0).clamp(0.0, 1.0);
        let (timeout, gather) = (s.rank_wait_steps * beside, s.rank_gather_steps * beside);
        let rule = Rule { ranks, room, timeout: timeout.max(1.0), gather };
        let steps = self.decode_steps().max(1.0);
        let (mut waiting, mut each, mut gathering) = (0.0, 0.0, 0.0);
        for _ in 0..4 {
            let decoding = (running - waiting).max(running / 2.0);
            let rate = decoding / steps;
            let (come, any) = rule.come(rate);
            let left_over = rule.left_over(decoding, steps);
            let computed = rule.computed(come, left_over);
            each = computed / any;
            gathering = computed / 2.0;
            // The rest of a cut prompt waits for the next time.
            waiting = gathering + left_over + computed * (1.0 / rule.room_of(left_over).min(1.0) - 1.0);
        }
        let waiting = waiting.min(running / 2.0) * beside;
        let rate = (running - waiting) / steps;
        // Prompts that were let through together come back within the spread of their outputs, and find each other: where
        // ranks run several, and outputs are as short as the wait.
        let apart = gathering / rate / (OUTPUT_SPREAD * steps);
        let several = ((running - 2.0) / 2.0).clamp(0.0, 1.0);
        let found = 1.0 - 1.0 / (1.0 + 0.8 * several * apart * apart);
        let wait = (waiting - gathering * found).max(0.0) / rate;
        // The end of the step in which it came is not waited for here.
        Some(Balance { each, waiting: wait * rate, wait: (wait - 1.0).max(0.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, within: f64) -> bool {
        (a / b - 1.0).abs() < within
    }

    #[test]
    fn without_a_limit_all_ranks_have_one_after_as_many_as_a_collector_needs() {
        let rule = Rule { ranks: 8.0, room: 1e9, timeout: 1e9, gather: 0.0 };
        // 1 + 1/2 + … + 1/8.
        assert!(near(rule.come(0.01).0, 2.717_857, 1e-6));
        assert!(near(rule.computed(rule.come(0.01).0, 0.0), 2.717_857, 1e-6));
    }

    #[test]
    fn a_short_limit_lets_through_what_comes_meanwhile() {
        let rule = Rule { ranks: 8.0, room: 1.0, timeout: 10.0, gather: 0.0 };
        let (come, any) = rule.come(0.001);
        assert!(near(come, 0.01, 0.01) && near(any, 0.0769, 0.01), "{come} {any}");
    }

    #[test]
    fn room_for_one_prompt_lets_one_through_on_each_rank() {
        // 8 ranks of 32 sequences that end after 922 steps, a limit of 60: step by step 0.97 each time, 0.0303 a step.
        let rule = Rule { ranks: 8.0, room: 1.0, timeout: 60.0, gather: 0.0 };
        assert!(near(rule.computed(rule.come(0.0303).0, 4.0), 0.97, 0.03));
    }
}
