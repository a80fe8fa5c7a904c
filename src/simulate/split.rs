//! Split pools in discrete events: a queue before the prefill workers, the transfer of each prompt's cache,
//! and decode workers that requests join. What [`crate::estimate::split`] says in closed form.
//!
//! Between two events of a decode worker nothing but its contexts changes, so all its steps until then are
//! taken together, as in the simulation of one replica.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

use super::arrivals::{Arrival, Arrivals};
use super::clock::{Batch, Clock};
use super::moment::Moment;
use super::scheduler::Observer;
use super::slots::Slots;
use super::soonest::Soonest;
use super::statistics::Outcome;
use super::tally::{Answered, Tally};
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::program::Recall;
use crate::estimate::service::Replica;
use crate::model::operator::Step;
use crate::units::Seconds;
use crate::workload::Targets;

/// Workers of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Workers<'a> {
    /// One of them.
    pub replica: &'a Replica<'a>,
    /// How many there are.
    pub count: u32,
}

/// What happens next; ties go in this order, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A prefill worker can take the next step.
    Free(usize),
    /// The cache of a request has reached its decode worker.
    Moved(usize),
    /// Something ends in a decode worker.
    Ends(usize),
}

/// A request between its prompt and its last token.
#[derive(Clone, Copy, Debug)]
struct Live {
    request: Arrival,
    worker: usize,
    first_token: Seconds,
    ttft: Seconds,
    counts: bool,
}

/// A sequence that decodes, by the worker's step after which it ends, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Decoding {
    ends: u64,
    slot: usize,
}

/// Parts of a step that a decode worker's progress is counted in: requests join between steps.
const PARTS: f64 = 1000.0;

/// One decode worker.
#[derive(Debug)]
struct Decoder {
    batch: Batch,
    /// Steps so far, in parts.
    steps: u64,
    /// When that was.
    at: Seconds,
    decoding: BinaryHeap<Reverse<Decoding>>,
    waiting: VecDeque<usize>,
    /// Cache spoken for, in mean requests.
    reserved: f64,
    /// Requests on their way or waiting.
    coming: u64,
}

/// Prefill and decode workers and what is in them.
#[derive(Debug)]
pub struct SplitSimulation<'a, A> {
    prefill: Workers<'a>,
    decode: Workers<'a>,
    clock: Clock<'a>,
    /// Kernels of the prefill workers' steps that came before.
    prompts: Recall,
    transfer: Seconds,
    arrivals: A,
    tally: Tally,
    now: Seconds,
    idle: Vec<usize>,
    queue: VecDeque<Arrival>,
    coming: Option<Arrival>,
    decoders: Vec<Decoder>,
    /// What happens beside the ends of answers.
    events: BinaryHeap<Reverse<(Moment, Event)>>,
    /// When something ends in each decode worker next.
    ends: Soonest,
    live: Slots<Live>,
}

impl<'a, A: Arrivals> SplitSimulation<'a, A> {
    /// Idle pools. Requests whose number lies in `window` count, as in [`super::Simulation`].
    pub fn new(
        prefill: Workers<'a>,
        decode: Workers<'a>,
        transfer: Seconds,
        arrivals: A,
        window: Range<u64>,
        targets: Targets,
    ) -> Self {
        let decoder = || Decoder {
            batch: Batch { sequences: 0, cached: 0.0 },
            steps: 0,
            at: Seconds::ZERO,
            decoding: BinaryHeap::new(),
            waiting: VecDeque::new(),
            reserved: 0.0,
            coming: 0,
        };
        SplitSimulation {
            clock: Clock::new(decode.replica),
            prompts: Recall::default(),
            idle: (0..prefill.count as usize).rev().collect(),
            decoders: (0..decode.count).map(|_| decoder()).collect(),
            prefill,
            decode,
            transfer,
            arrivals,
            tally: Tally::new(window, targets),
            now: Seconds::ZERO,
            queue: VecDeque::new(),
            coming: None,
            events: BinaryHeap::new(),
            ends: Soonest::new(decode.count as usize),
            live: Slots::new(),
        }
    }

    /// The same where gaps between tokens are not asked about.
    #[must_use]
    pub fn without_gaps(self) -> Self {
        SplitSimulation { tally: self.tally.without_gaps(), ..self }
    }

    /// Runs until no request is left.
    ///
    /// # Errors
    /// What is wrong with the trace.
    pub fn run(mut self, observer: &impl Observer) -> Result<Outcome, Diagnostic> {
        loop {
            if !observer.goes_on() {
                return Err(Diagnostic::new(Code::Stopped, "the simulation was stopped before its end"));
            }
            self.receive()?;
            while !self.queue.is_empty()
                && let Some(worker) = self.idle.pop()
            {
                self.prompt_step(worker);
            }
            let next = self.next_event().map(|(at, _)| at);
            let arrives = self.peek()?.map(|sent| self.reaches_engine(sent));
            match (next, arrives) {
                (Some(event), Some(arrival)) if arrival < event => self.now = self.now.max(arrival),
                (None, Some(arrival)) => self.now = self.now.max(arrival),
                (Some(_), _) => self.happen(),
                (None, None) => break,
            }
        }
        let bounded = self.arrivals.are_bounded();
        Ok(self.tally.close(bounded))
    }

    /// When the next request is sent.
    fn peek(&mut self) -> Result<Option<Seconds>, Diagnostic> {
        if self.coming.is_none() {
            self.coming = self.arrivals.next()?;
        }
        Ok(self.coming.as_ref().map(|next| next.at))
    }

    /// When the engine could see a request that is sent at a time: the front end comes first.
    fn reaches_engine(&self, sent: Seconds) -> Seconds {
        sent + self.prefill.replica.engine.scheduling.request_overhead
    }

    fn receive(&mut self) -> Result<(), Diagnostic> {
        while let Some(sent) = self.peek()?
            && self.reaches_engine(sent) <= self.now
        {
            self.queue.extend(self.coming.take());
        }
        Ok(())
    }

    /// What happens next.
    fn next_event(&self) -> Option<(Seconds, Event)> {
        let ends = self.ends.first().map(|(at, worker)| (Seconds::new(at), Event::Ends(worker)));
        match (self.events.peek(), ends) {
            (Some(Reverse((at, event))), Some((end, _))) if at.0 <= end => Some((at.0, *event)),
            (Some(Reverse((at, event))), None) => Some((at.0, *event)),
            (_, ends) => ends,
        }
    }

    fn happen(&mut self) {
        let Some((at, event)) = self.next_event() else { return };
        if !matches!(event, Event::Ends(_)) {
            self.events.pop();
        }
        self.now = self.now.max(at);
        match event {
            Event::Free(worker) => self.idle.push(worker),
            Event::Moved(slot) => {
                let worker = self.live[slot].worker;
                self.catch_up(worker);
                self.decoders[worker].waiting.push_back(slot);
                self.join(worker);
            }
            Event::Ends(worker) => {
                self.catch_up(worker);
                self.join(worker);
            }
        }
    }

    /// One prefill worker takes as many prompts as fit in a step, or the chunks of one that does not.
    fn prompt_step(&mut self, worker: usize) {
        let replica = self.prefill.replica;
        let ranks = replica.attention_dp.max(1);
        let limit = replica.limits.max_batched_tokens.max(1);
        let room = replica.cache_batch.min(replica.limits.max_sequences).max(1).saturating_mul(ranks);
        // What of each prompt the prefix cache does not have.
        let fresh = replica.workload.computed_prompt() as f64 / replica.workload.isl.max(1) as f64;
        let (mut tokens, mut longest) = (0u64, 0u64);
        let mut taken = Vec::new();
        while let Some(next) = self.queue.front().copied() {
            let computed = (next.prompt as f64 * fresh).ceil() as u64;
            let full = taken.len() as u64 >= room || tokens + computed > limit.saturating_mul(ranks);
            if full && !taken.is_empty() {
                break;
            }
            tokens += computed;
            longest = longest.max(computed);
            self.queue.pop_front();
            taken.push(self.occupy(next));
        }
        let sequences = (taken.len() as u64).div_ceil(ranks) as f64;
        // The fullest rank holds its share of the tokens, and at least the longest prompt.
        let on_rank = (tokens as f64 * sequences / taken.len() as f64).max(longest as f64);
        let chunks = (on_rank / limit as f64).ceil().max(1.0);
        let (mut done, mut busy) = (Seconds::ZERO, Seconds::ZERO);
        for chunk in 0..chunks as u64 {
            let step = Step {
                prefill_tokens: on_rank / chunks,
                prefill_sequences: if chunks > 1.0 { 1.0 } else { sequences },
                prefill_prior: replica.workload.reused_prompt() as f64 + on_rank / chunks * chunk as f64,
                ..Step::default()
            };
            let (latency, interval) = replica.prefill_step(&step, &mut self.prompts);
            done = busy + latency;
            busy += interval;
        }
        self.events.push(Reverse((Moment(self.now + busy), Event::Free(worker))));
        for slot in taken {
            let to = self.least_loaded();
            self.live[slot].worker = to;
            self.decoders[to].coming += 1;
            self.events.push(Reverse((Moment(self.now + done + self.transfer), Event::Moved(slot))));
        }
    }

    fn least_loaded(&self) -> usize {
        let load = |d: &Decoder| d.batch.sequences + d.coming;
        (0..self.decoders.len()).min_by_key(|i| load(&self.decoders[*i])).unwrap_or(0)
    }

    fn occupy(&mut self, request: Arrival) -> usize {
        let (_, counts) = self.tally.admit(request, self.now);
        let (first_token, ttft) = (Seconds::ZERO, Seconds::ZERO);
        self.live.insert(Live { request, worker: 0, first_token, ttft, counts })
    }

    /// Takes the steps of a decode worker up to now.
    fn catch_up(&mut self, worker: usize) {
        let decoder = &mut self.decoders[worker];
        let passed = self.now - decoder.at;
        decoder.at = self.now;
        if decoder.batch.sequences == 0 || passed <= Seconds::ZERO {
            return self.leave(worker);
        }
        let step = self.clock.decode(decoder.batch);
        let most = decoder.decoding.peek().map_or(0, |Reverse(d)| d.ends.saturating_sub(decoder.steps));
        let parts = ((passed / step * PARTS).round() as u64).min(most);
        decoder.steps += parts;
        // With speculation a step yields more than a token.
        let yielded = self.decode.replica.workload.yielded();
        let tokens = decoder.batch.sequences as f64 * parts as f64 / PARTS * yielded;
        decoder.batch.cached += tokens;
        self.tally.gap(step / yielded, tokens.round() as u64);
        self.leave(worker);
    }

    /// Sequences that have all their tokens leave.
    fn leave(&mut self, worker: usize) {
        while let Some(Reverse(first)) = self.decoders[worker].decoding.peek().copied()
            && first.ends <= self.decoders[worker].steps
        {
            self.decoders[worker].decoding.pop();
            self.finish(worker, first.slot);
        }
    }

    /// Lets requests whose cache has arrived in, and foresees what ends next.
    fn join(&mut self, worker: usize) {
        let replica = self.decode.replica;
        let slots = replica.limits.max_sequences.saturating_mul(replica.attention_dp);
        let capacity = (replica.cache_batch as f64 * replica.attention_dp as f64).max(1.0);
        while let Some(slot) = self.decoders[worker].waiting.front().copied() {
            let need = need(replica, self.live[slot].request);
            let decoder = &mut self.decoders[worker];
            let empty = decoder.batch.sequences == 0;
            if decoder.batch.sequences >= slots || !(decoder.reserved + need <= capacity || empty) {
                break;
            }
            decoder.waiting.pop_front();
            decoder.coming -= 1;
            decoder.reserved += need;
            decoder.batch.sequences += 1;
            decoder.batch.cached += self.live[slot].request.prompt as f64;
            self.first_token(worker, slot);
        }
        let decoder = &self.decoders[worker];
        let ends = decoder.decoding.peek().map_or(f64::INFINITY, |Reverse(first)| {
            let parts = first.ends.saturating_sub(decoder.steps) as f64;
            (self.now + self.clock.decode(decoder.batch) * (parts / PARTS)).get()
        });
        self.ends.set(worker, ends);
    }

    /// A request joins at the end of the step that runs, half a step from now in the mean.
    fn first_token(&mut self, worker: usize, slot: usize) {
        let decoder = &mut self.decoders[worker];
        let step = self.clock.decode(decoder.batch);
        let late = step * self.decode.replica.engine.scheduling.first_token_steps;
        let live = &mut self.live[slot];
        let joined = self.now + step * 0.5;
        live.first_token = joined;
        live.ttft = joined + late - live.request.at;
        let gaps = live.request.output.saturating_sub(1).max(1) as f64;
        let steps = gaps / self.decode.replica.workload.yielded();
        let ends = decoder.steps + ((steps + 0.5) * PARTS).round() as u64;
        decoder.decoding.push(Reverse(Decoding { ends, slot }));
    }

    fn finish(&mut self, worker: usize, slot: usize) {
        let live = self.live[slot];
        let gaps = live.request.output.saturating_sub(1);
        let decoder = &mut self.decoders[worker];
        decoder.batch.sequences -= 1;
        decoder.batch.cached = match decoder.batch.sequences {
            0 => 0.0,
            _ => (decoder.batch.cached - (live.request.prompt + gaps) as f64).max(0.0),
        };
        decoder.reserved -= need(self.decode.replica, live.request);
        self.live.remove(slot);
        let Live { request, counts, ttft, first_token, .. } = live;
        self.tally.answered(Answered { request, counts, ttft, first_token }, self.now);
        self.arrivals.answered(&request, self.now);
    }
}

/// Cache that a request is taken to need, in mean requests.
fn need(replica: &Replica, request: Arrival) -> f64 {
    let w = &replica.workload;
    let share = replica.engine.scheduling.output_held();
    (request.prompt as f64 + share * request.output as f64) / (w.isl as f64 + share * w.osl as f64)
}
