//! Lanes: a replica's attention-data-parallel ranks, each with as many micro-batches as stages. A request stays
//! in the lane that it is given when it arrives.

use std::collections::VecDeque;

use super::arrivals::Arrival;
use super::clock::Prompts;
use crate::estimate::service::Replica;

/// What is in one lane.
#[derive(Clone, Debug, Default)]
struct Lane {
    waiting: VecDeque<Arrival>,
    /// Requests that were let in and have not ended.
    inside: u64,
    /// Those of them whose prompts are not done.
    prompts: u64,
    /// Prompt tokens that the next step may still compute here.
    left: f64,
    /// What the step at hand computes here.
    step: Prompts,
}

/// The lanes of a replica. Lane `i` is of rank `i mod ranks`.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Lane>,
    ranks: usize,
    /// The rank whose turn it is, where requests go to ranks in turn.
    turn: Option<usize>,
    waiting: u64,
    /// Whether a prompt is computed in one step.
    whole: bool,
    /// Prompt tokens that a step computes in a lane at most.
    budget: f64,
}

impl Lanes {
    /// The empty lanes of a replica.
    pub fn new(replica: &Replica) -> Lanes {
        let ranks = replica.attention_dp.max(1) as usize;
        let turn = replica.engine.scheduling.ranks_in_turn.then_some(0);
        let lanes = vec![Lane::default(); replica.lanes() as usize];
        Lanes { lanes, ranks, turn, waiting: 0, whole: replica.whole_prompts, budget: 0.0 }
    }

    /// Requests that wait to be let in.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Gives a request that arrives a lane: of the rank whose turn it is, or of any, the one with the fewest.
    pub fn arrive(&mut self, request: Arrival) {
        let rank = self.turn;
        let fewest = (0..self.lanes.len())
            .filter(|i| rank.is_none_or(|rank| i % self.ranks == rank))
            .min_by_key(|i| self.lanes[*i].inside + self.lanes[*i].waiting.len() as u64);
        self.turn = self.turn.map(|turn| (turn + 1) % self.ranks);
        if let Some(lane) = fewest {
            self.lanes[lane].waiting.push_back(request);
            self.waiting += 1;
        }
    }

    /// Sets what each lane may compute in the next step.
    pub fn open(&mut self, budget: f64) {
        self.budget = budget;
        self.lanes.iter_mut().for_each(|lane| lane.left = budget);
    }

    /// Counts tokens against what the next step may compute in a lane.
    pub fn take(&mut self, lane: usize, tokens: u64) {
        self.lanes[lane].left -= tokens as f64;
    }

    /// Whether the next step may compute more in a lane.
    pub fn is_open(&self, lane: usize) -> bool {
        self.lanes[lane].left > 0.0
    }

    /// The request that has waited longest of those whose lane is open, and its lane.
    pub fn next(&self) -> Option<(usize, Arrival)> {
        if self.waiting == 0 {
            return None;
        }
        let open = self.lanes.iter().enumerate().filter(|(_, lane)| lane.left > 0.0);
        let heads = open.filter_map(|(i, lane)| lane.waiting.front().map(|head| (i, *head)));
        // One that is computed whole waits for a step that has room for all of it, if any has.
        let fits = |(i, head): &(usize, Arrival)| {
            let left = self.lanes[*i].left;
            !self.whole || left >= head.prompt as f64 || left >= self.budget
        };
        let heads = heads.filter(fits);
        heads.min_by(|a, b| a.1.at.get().total_cmp(&b.1.at.get()))
    }

    /// The request at the head of a lane leaves its queue.
    pub fn pop(&mut self, lane: usize) {
        self.waiting -= u64::from(self.lanes[lane].waiting.pop_front().is_some());
    }

    /// A request is let in.
    pub fn enter(&mut self, lane: usize) {
        self.lanes[lane].inside += 1;
        self.lanes[lane].prompts += 1;
    }

    /// A prompt is done.
    pub fn prefilled(&mut self, lane: usize) {
        self.lanes[lane].prompts -= 1;
    }

    /// A decoding request ends, or loses its place.
    pub fn leave(&mut self, lane: usize) {
        self.lanes[lane].inside -= 1;
    }

    /// Whether every rank has a prompt.
    pub fn every_rank_has_a_prompt(&self) -> bool {
        let has = |rank: usize| self.lanes.iter().skip(rank).step_by(self.ranks).any(|l| l.prompts > 0);
        (0..self.ranks).all(has)
    }

    /// Whether a rank has prompts and nothing that decodes.
    pub fn a_rank_has_prompts_alone(&self) -> bool {
        let count = |rank: usize| {
            let of_rank = self.lanes.iter().skip(rank).step_by(self.ranks);
            of_rank.fold((0, 0), |(inside, prompts), lane| (inside + lane.inside, prompts + lane.prompts))
        };
        (0..self.ranks).map(count).any(|(inside, prompts)| prompts > 0 && inside == prompts)
    }

    /// Computes up to `left` tokens of a prompt with `prior` tokens before them, as far as the budgets of its lane and
    /// then of the other micro-batches of its rank go: the chunks of a prompt follow each other through the stages.
    /// Returns how many.
    pub fn compute(&mut self, lane: usize, left: u64, prior: u64) -> u64 {
        let mut done = 0;
        for i in 0..self.lanes.len() / self.ranks {
            let lane = (lane + i * self.ranks) % self.lanes.len();
            let lane = &mut self.lanes[lane];
            let room = if self.whole { left } else { lane.left.max(0.0) as u64 };
            let tokens = (left - done).min(room);
            if tokens > 0 {
                lane.left -= tokens as f64;
                lane.step.sequences += 1;
                lane.step.tokens += tokens as f64;
                lane.step.pairs += tokens as f64 * ((prior + done) as f64 + tokens as f64 / 2.0);
                done += tokens;
            }
            if done == left {
                break;
            }
        }
        done
    }

    /// What the step at hand computes in the fullest rank of the fullest micro-batch: all others of the ring wait
    /// for it.
    pub fn close(&mut self) -> Prompts {
        let mut fullest = Prompts::default();
        for micro_batch in self.lanes.chunks_mut(self.ranks) {
            let in_all: f64 = micro_batch.iter().map(|lane| lane.step.tokens).sum();
            for lane in micro_batch {
                let own = Prompts { in_all, ..std::mem::take(&mut lane.step) };
                if (own.tokens, own.in_all) > (fullest.tokens, fullest.in_all) {
                    fullest = own;
                }
            }
        }
        fullest
    }
}
