//! What the prompts of others cost: how many a step holds, and how long it takes.

use crate::powers::power;
use crate::units::Seconds;

use super::balance::Balance;
use super::coincidence::Lanes;
use super::replica::Replica;

/// Sequences that decode, and the pace at which they do.
#[derive(Clone, Copy, Debug)]
pub struct Decoding {
    /// Ranks that have sequences.
    pub ranks: f64,
    /// Sequences of each.
    pub each: f64,
    /// A step without prompts.
    pub step: Seconds,
    /// What a sequence of it draws.
    pub drawn: Seconds,
    /// Prompt tokens that a step has room for in each lane.
    pub budget: f64,
    /// Requests beside one, over all ranks, whose prompts come between its steps.
    pub others: f64,
    /// Chance that one of them begins in a decode step.
    pub begins: f64,
    /// Mean wait of a prompt for others of its lane where they share steps with decodes, in services.
    pub wait: f64,
    /// How prompts are let through where ranks wait for each other.
    pub balance: Option<Balance>,
}

impl Decoding {
    /// Whether anything decodes: of an answer of one token nothing does.
    fn decodes(&self) -> bool {
        self.step > Seconds::ZERO
    }

    /// Prompts of others that come in a decode step.
    fn coming(&self) -> f64 {
        self.others * self.begins
    }
}

/// What a prompt costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prompt {
    /// What it adds to the steps of the others.
    pub cost: Seconds,
    /// What all that come in one decode step add to it.
    pub stall: Seconds,
    /// What a rank's own prompts take each when every rank computes some.
    pub least: Seconds,
    /// How long it waits for those before it, once it is in the engine.
    pub queue: Seconds,
    /// How long it takes itself.
    pub latency: Seconds,
    /// Steps that hold prompts for each decode step.
    pub often: f64,
    /// How long a step that holds prompts takes.
    pub round: Seconds,
    /// Above what the decoding sequences draw in the same steps; see [`PipelineTime`].
    ///
    /// [`PipelineTime`]: crate::estimate::program::PipelineTime
    pub drawn: Seconds,
}

/// Steps that hold prompts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    /// How many there are for each decode step.
    often: f64,
    /// How many of them a prompt waits for.
    queue: f64,
    /// Prompt tokens in the fullest rank.
    tokens: f64,
    /// Prompt tokens in all ranks of the fullest micro-batch.
    in_all: f64,
}

impl Rounds {
    /// Steps of so many prompt tokens in the fullest rank and in all, that none waits for.
    pub(super) fn of(tokens: f64, in_all: f64) -> Rounds {
        Rounds { often: 1.0, queue: 0.0, tokens, in_all }
    }
}

/// What comes between two looks at arrivals.
#[derive(Clone, Copy, Debug)]
struct Coming {
    /// Prompts, over all lanes.
    prompts: f64,
    lanes: f64,
    /// Micro-batches that have sequences.
    stages: f64,
    /// The lanes as those that a prompt comes to at random.
    lane: Lanes,
    /// Prompts that a lane's step has room for.
    room: f64,
    /// Decode steps between two looks.
    looks: f64,
}

/// Times of a step with prompts.
pub(super) struct Timed {
    pub(super) round: Seconds,
    latency: Seconds,
    drawn: Seconds,
}

impl Replica<'_> {
    /// What prompts cost when so many sequences decode.
    pub fn prompts(&self, of: &Decoding) -> Prompt {
        let isl = self.workload.computed_prompt() as f64;
        let room = of.budget / isl;
        let rounds = self.rounds(of, room);
        // The parts of a prompt follow each other through the stages, in one round.
        let parallel = if room < 1.0 { self.micro_batches() } else { 1.0 };
        // Where ranks wait for each other, the wait is that for the last part.
        let parts = (1.0 / (room * parallel)).ceil().max(1.0);
        let turns = if of.balance.is_some_and(|b| b.wait > 0.0) { 1.0 } else { parts };
        let lane = (of.each / self.micro_batches()).max(1.0);
        let mixes = self.mixes();
        let beside = if mixes && of.decodes() { lane } else { 0.0 };
        let timed = self.timed(&rounds, beside);
        // A mixed step gives the decoding sequences their token too: only what it adds counts.
        let (inside, drawn_inside) = if mixes { (of.step, of.drawn * lane) } else { Default::default() };
        let adds = |round: Seconds| (round - inside).max(Seconds::ZERO);
        let stall = adds(timed.round) * rounds.often;
        let coming = of.coming();
        let each = rounds.tokens / isl;
        let aligned = if self.lanes() > 1.0 {
            let all = Rounds { in_all: rounds.tokens * self.attention_dp as f64, ..rounds };
            self.timed(&all, beside).round
        } else {
            timed.round
        };
        Prompt {
            cost: if coming > 0.0 { stall / coming } else { adds(timed.round) * parts },
            stall,
            least: adds(aligned) / (each * self.micro_batches()),
            queue: timed.round * rounds.queue + (of.step + stall) * of.balance.map_or(0.0, |b| b.wait),
            latency: timed.latency * turns + self.step_overhead(),
            often: rounds.often,
            round: timed.round,
            drawn: (timed.drawn - drawn_inside).max(Seconds::ZERO) / each,
        }
    }

    /// From the end of a request until the engine starts a step that the next in its place could be part of, where
    /// `others` decode beside it.
    ///
    /// The next request reaches the engine `request_overhead` after the end of a step, and waits for the first end of
    /// one after that. At that moment half a decode step is left, or what is left of a prompt's if one began
    /// meanwhile; at least one whole step passes. Nothing is waited for where no others run.
    pub(super) fn joins(&self, decode: Seconds, prompt: &Prompt, others: f64) -> Seconds {
        let overhead = self.engine.scheduling.request_overhead_beside(others);
        if overhead <= Seconds::ZERO {
            return overhead;
        }
        let share = self.share_of_rounds(prompt);
        let (t, p, d) = (decode.get(), prompt.round.get(), overhead.get());
        let mean = t + (p - t) * share;
        // Of prompt steps that begin in the last `d`, each leaves its time less what has passed of it.
        let begun = d.min(p);
        let left =
            ((1.0 - share) * t * t / 2.0 + share * (begun * p - begun * begun / 2.0)) / mean.max(1e-12);
        let joins = Seconds::new(mean.max(d + left));
        overhead + (joins - overhead) * others.clamp(0.0, 1.0)
    }

    /// The same of a request that comes at any time: the front end, and what is left of the step that runs then.
    pub(super) fn falls_in(&self, decode: Seconds, prompt: &Prompt, others: f64) -> Seconds {
        let (t, p, share) = (decode.get(), prompt.round.get(), self.share_of_rounds(prompt));
        let mean = t + (p - t) * share;
        let left = ((1.0 - share) * t * t + share * p * p) / (2.0 * mean.max(1e-12));
        self.engine.scheduling.request_overhead_beside(0.0) + Seconds::new(left * others.clamp(0.0, 1.0))
    }

    /// By how much the step of a prompt that comes at any time is longer than others with prompts: those that come while it
    /// waits for the step that runs are computed with it.
    pub(super) fn gathered_meanwhile(&self, of: &Decoding, prompt: &Prompt) -> Seconds {
        let isl = self.workload.computed_prompt() as f64;
        let room = of.budget / isl;
        // Parts of prompts that are cut take turns, which is counted as their wait.
        if room < 1.0 {
            return Seconds::ZERO;
        }
        let (t, p, share) = (of.step.get(), prompt.round.get(), self.share_of_rounds(prompt));
        // A step that is come upon is the longer the longer it is.
        let running = ((1.0 - share) * t * t + share * p * p) / (t + (p - t) * share).max(1e-12);
        let come = of.coming() / (of.step + prompt.stall).get().max(1e-12) * running;
        let lanes = self.lanes().min(of.each * of.ranks).max(1.0);
        let each = 1.0 + come / lanes;
        let tokens = each.min(room) * isl;
        let in_all = ((1.0 + come) * isl).clamp(tokens, tokens * of.ranks);
        let beside =
            if self.mixes() && of.decodes() { (of.each / self.micro_batches()).max(1.0) } else { 0.0 };
        let own = self.timed(&Rounds::of(tokens, in_all), beside).latency;
        let before = prompt.round * ((each / room - 1.0).max(0.0) / 2.0);
        (own + self.step_overhead() - prompt.latency).max(Seconds::ZERO) + before
    }

    /// Share of steps that hold prompts.
    fn share_of_rounds(&self, prompt: &Prompt) -> f64 {
        let often = prompt.often;
        if self.mixes() { often } else { often / (1.0 + often) }.min(1.0)
    }

    /// How often steps hold prompts and how many, with room for so many prompts in a lane's step.
    ///
    /// Each sequence ends, and its lane has a prompt, with the same chance in each step. Where prompts and decodes
    /// share steps, what finds no room goes on in the next, and lanes are busy independently of each other. Where
    /// they do not, all prompts that are there are computed before the next decode step.
    fn rounds(&self, of: &Decoding, room: f64) -> Rounds {
        let isl = self.workload.computed_prompt() as f64;
        let Coming { prompts: coming, lanes, stages, lane, room: room_of_lane, looks } =
            self.coming(of, room);
        let due = lane.due(room_of_lane);
        if due.any <= 0.0 {
            let tokens = isl * self.fullest_part(room).unwrap_or(Chunks::of(room).mean);
            let often = if of.decodes() { 0.0 } else { 1.0 };
            return Rounds { often, queue: 0.0, tokens, in_all: tokens };
        }
        if let Some(balance) = of.balance {
            return self.balanced(&balance, of, room);
        }
        if let Some(gathered) = self.gathered(coming, due.any, lanes, room_of_lane) {
            return gathered;
        }
        let mixes = self.mixes();
        let busy = match (mixes, room_of_lane < 1.0) {
            (false, _) => 0.0,
            (true, true) => Chunks::of(room_of_lane).busy(coming / lanes),
            (true, false) => Lanes { count: 1.0, ..lane }.due(room_of_lane).rounds.min(1.0),
        };
        let (often, queue) = if mixes {
            (any_of(lane.count, busy), of.wait / room_of_lane)
        } else {
            (due.rounds, (due.rounds / due.any - 1.0) / 2.0)
        };
        let in_all = if stages > 1.0 {
            let sequences = lane.sequences * lane.count / stages;
            Lanes { count: stages, sequences, row: 1.0, ..lane }.due(room).fullest / often
        } else {
            coming / often
        };
        let prompts = if room >= 1.0 {
            (due.fullest / often).clamp(1.0, room)
        } else if let Some(part) = self.fullest_part(room) {
            part
        } else if mixes {
            Chunks::of(room).fullest(lanes, coming / lanes, busy)
        } else {
            due.fullest / often
        };
        let in_all = in_all.clamp(prompts, prompts * of.ranks);
        let often = if of.decodes() { often / looks } else { 1.0 };
        Rounds { often, queue, tokens: prompts * isl, in_all: in_all * isl }
    }

    /// What comes between two looks at arrivals, and the lanes that it comes to.
    fn coming(&self, of: &Decoding, room: f64) -> Coming {
        let s = &self.engine.scheduling;
        let all = (of.each * of.ranks).max(of.others);
        let others = of.others;
        let stages = self.micro_batches().min(all).max(1.0);
        // A prompt that is cut goes on in the next micro-batch of its rank.
        let (parts, room) = if room < 1.0 { (1.0, room * self.micro_batches()) } else { (stages, room) };
        let lanes = (of.ranks * parts).min(all);
        let looks = s.arrival_poll_steps.max(1.0);
        let ends = (looks * of.begins).min(1.0);
        let (count, row) = if s.ranks_in_turn { (parts, of.ranks) } else { (lanes, 1.0) };
        let lane = Lanes { count, sequences: others / count, ends, row };
        Coming { prompts: others * ends, lanes, stages, lane, room, looks }
    }

    /// The largest part of a prompt in a pipeline, whose micro-batches compute its parts side by side.
    fn fullest_part(&self, room: f64) -> Option<f64> {
        (self.micro_batches() > 1.0).then_some(room.min(1.0))
    }

    /// The rounds where ranks wait for each other: all that is let through at a time is one round.
    fn balanced(&self, balance: &Balance, of: &Decoding, room: f64) -> Rounds {
        let isl = self.workload.computed_prompt() as f64;
        let each = balance.each;
        let coming = of.coming();
        // Those of a rank are spread over its micro-batches. The fullest lane has more than the mean where a step has room
        // for more.
        let (stages, all) = (self.micro_batches(), each * of.ranks);
        let lanes = of.ranks * stages;
        let lane = Lanes { count: lanes, sequences: all.max(1.0), ends: 1.0 / lanes, row: 1.0 };
        let most = lane.due(room.max(1.0)).fullest.max(1.0);
        let fullest = most.min(room).max(all / lanes);
        let in_all = match stages > 1.0 {
            true => Lanes { count: stages, ends: 1.0 / stages, ..lane }.due(all.max(1.0)).fullest,
            false => all,
        };
        let in_all = in_all.clamp(fullest, fullest * of.ranks);
        Rounds { often: coming / all, queue: 0.0, tokens: fullest * isl, in_all: in_all * isl }
    }

    /// The rounds where prompts wait for others: for some steps, or until they fill a share of the budget.
    fn gathered(&self, coming: f64, any: f64, lanes: f64, room: f64) -> Option<Rounds> {
        let s = &self.engine.scheduling;
        let isl = self.workload.computed_prompt() as f64;
        let prompts = (1.0 + coming * s.prompt_wait_steps).min(room * s.prompt_wait_share * lanes);
        if prompts <= coming / any {
            return None;
        }
        let lane = Lanes { count: lanes, sequences: prompts, ends: 1.0 / lanes, row: 1.0 };
        let fullest = if lanes > 1.0 { lane.due(room).fullest.max(1.0) } else { prompts };
        let rounds = (fullest / room).ceil().max(1.0);
        Some(Rounds {
            often: coming / prompts * rounds,
            queue: (rounds - 1.0) / 2.0,
            tokens: fullest * isl / rounds,
            in_all: prompts * isl / rounds,
        })
    }

    /// A step of `rounds`, with `beside` sequences that decode in each lane: until the whole ring has passed, and
    /// without the host from its start in the first stage to its end in the last.
    ///
    /// However a prompt of `n` tokens is cut, each of them attends to `n/2` on average.
    pub(super) fn timed(&self, rounds: &Rounds, beside: f64) -> Timed {
        let isl = self.workload.computed_prompt() as f64;
        let prompts = (rounds.tokens / isl).max(1.0);
        let prior = self.workload.reused_prompt() as f64 + (isl - rounds.tokens / prompts).max(0.0) / 2.0;
        let tokens = (prompts, rounds.tokens, rounds.in_all);
        let step = self.prompt_step(tokens, prior, (beside, self.workload.mean_context()));
        let time = self.pipeline.time(&step);
        let latency = self.prompts_launched(time.latency, 1.0);
        Timed {
            round: self.beside_host(latency + self.host(beside, self.workload.mean_context()), beside),
            latency,
            drawn: time.drawn,
        }
    }
}

/// A prompt that is cut: full steps, and one with the rest. In prompts.
#[derive(Clone, Copy, Debug)]
struct Chunks {
    full: f64,
    rest: f64,
    mean: f64,
}

impl Chunks {
    fn of(room: f64) -> Chunks {
        let (full, steps) = (room.min(1.0), (1.0 / room).ceil().max(1.0));
        let rest = (1.0 - full * (steps - 1.0)).max(0.0);
        Chunks { full, rest, mean: 1.0 / steps }
    }

    /// Share of its steps in which a lane computes a prompt, with so many coming in each. The rest of a prompt is
    /// filled up where another waits: `b·(mean + (full − mean)·b) = coming`.
    fn busy(&self, coming: f64) -> f64 {
        let more = (self.full - self.mean) / self.mean;
        let due = coming / self.mean;
        let busy = if more > 1e-9 { ((1.0 + 4.0 * more * due).sqrt() - 1.0) / (2.0 * more) } else { due };
        busy.min(1.0)
    }

    /// The most that one of `lanes` computes in a step in which any does, each being busy for a share of its steps.
    /// Full are so many of them that what comes is computed.
    fn fullest(&self, lanes: f64, coming: f64, busy: f64) -> f64 {
        let full = ((coming - self.rest * busy) / (self.full - self.rest).max(1e-9)).clamp(0.0, busy);
        let full = any_of(lanes, full) / any_of(lanes, busy).max(1e-9);
        self.rest + (self.full - self.rest) * full
    }
}

/// Chance that one of `count` is busy that each are so for this share of the time.
fn any_of(count: f64, busy: f64) -> f64 {
    1.0 - power((1.0 - busy).max(1e-9), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_compute_what_comes() {
        // Two and a half steps of room for two fifths: two full ones and a half.
        let chunks = Chunks::of(0.4);
        assert!((chunks.rest - 0.2).abs() < 1e-12 && (chunks.mean - 1.0 / 3.0).abs() < 1e-12);
        for coming in [0.01, 0.1, 0.3] {
            let busy = chunks.busy(coming);
            let each = chunks.fullest(1.0, coming, busy);
            assert!((busy * each / coming - 1.0).abs() < 1e-6, "{coming}: {busy} of {each}");
        }
    }
}
