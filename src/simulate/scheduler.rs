//! The engine's loop: admission, prompts, decode steps.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

use super::arrivals::{Arrival, Arrivals, Content};
use super::cache::Cache;
use super::clock::{Batch, Clock, Timings};
use super::kept::{Found, Kept, Part};
use super::lanes::Lanes;
use super::moment::Moment;
use super::sessions::{OWN, SHARED};
use super::slots::Slots;
use super::statistics::Outcome;
use super::tally::{Answered, Tally};
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::service::Replica;
use crate::estimate::sessions::Below;
use crate::stop::Stop;
use crate::units::Seconds;
use crate::workload::Targets;

/// What is going on between two steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// Time.
    pub now: Seconds,
    /// Sequences in the engine.
    pub running: u64,
    /// Requests that wait to be let in.
    pub waiting: u64,
    /// Share of the KV cache that is taken.
    pub cache: f64,
    /// Requests answered so far.
    pub answered: u64,
}

/// Looks at a simulation while it runs.
pub trait Observer {
    /// Called between steps.
    fn saw(&mut self, state: &State);

    /// Whether the simulation goes on; one that does not ends with an error.
    fn goes_on(&self) -> bool {
        true
    }
}

impl Observer for () {
    fn saw(&mut self, _: &State) {}
}

/// Sees nothing, and goes on until it is time to stop.
impl Observer for Stop<'_> {
    fn saw(&mut self, _: &State) {}

    fn goes_on(&self) -> bool {
        !self.now()
    }
}

/// A sequence that decodes; ordered by the decode step after which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Decoding {
    ends: u64,
    slot: usize,
    /// Its stay, of which it has several where it loses its cache.
    stay: u64,
}

/// The stay of what does not decode.
const NO_STAY: u64 = u64::MAX;

/// A request in the engine, or one that was preempted and waits to return.
#[derive(Clone, Copy, Debug)]
struct Live {
    request: Arrival,
    /// Where it runs.
    lane: usize,
    /// The key of what it alone has.
    own: u64,
    /// In the order of admission.
    number: u64,
    /// Tokens that came out before it last lost its cache: they are computed again with the prompt.
    emitted: u64,
    /// Prompt tokens computed so far.
    computed: u64,
    /// Decode steps from its (last) prompt to its end.
    steps: u64,
    /// The decode step after which it ends, and the stay in which it decodes; none while it does not.
    ends: u64,
    stay: u64,
    first_token: Seconds,
    /// When it was last preempted, and after how many written tokens what it had is overwritten.
    preempted: Seconds,
    overwritten_after: f64,
    ttft: Seconds,
    counts: bool,
}

impl Live {
    /// Tokens that come before the next one.
    fn prompt(&self) -> u64 {
        self.request.prompt + self.emitted
    }

    /// Output tokens that have not come out.
    fn lacks(&self) -> u64 {
        self.request.output - self.emitted
    }

    /// Prompt tokens that are still to be computed.
    fn left(&self) -> u64 {
        self.prompt() - self.computed
    }
}

/// A request that may be let in.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// One that was preempted.
    Returning(usize),
    /// The head of a lane.
    Waiting(usize, Arrival),
}

/// A replica and what is in it.
#[derive(Debug)]
pub struct Simulation<'a, A> {
    replica: &'a Replica<'a>,
    clock: Clock<'a>,
    arrivals: A,
    tally: Tally,
    now: Seconds,
    /// Decode steps so far.
    steps: u64,
    /// The decode step at which new requests are next looked at.
    poll: u64,
    /// The decode step at which prompts that wait for others are computed however few they are.
    prompts_due: Option<u64>,
    /// The decode step at which prompts of ranks that wait for each other were last let through, and the one at which all
    /// ranks had one.
    let_through: (u64, Option<u64>),
    /// Time that prompts have held up the decoding sequences since their last token, and how many.
    stalled: (Seconds, u64),
    coming: Option<Arrival>,
    /// Where requests wait and run.
    lanes: Lanes,
    /// Requests that were preempted; they go before those that wait.
    returning: VecDeque<usize>,
    prompts: VecDeque<usize>,
    /// Requests that were let in and whose cache is being loaded, by when it is there.
    loading: BinaryHeap<Reverse<(Moment, usize)>>,
    /// Prompts that the step at hand finishes; kept so that steps allocate nothing.
    complete: Vec<usize>,
    /// Sequences that decode, and some that no longer do in the stay at hand.
    decoding: BinaryHeap<Reverse<Decoding>>,
    /// Sequences that decode.
    sequences: u64,
    /// Those that decode by their number in the order of admission, the last at the end, and some that no longer do; kept
    /// where the cache may run out, so that who came last is found at once.
    admitted: Vec<(u64, Decoding)>,
    /// Of those that decode, the tokens that came out in stays before, and the decode steps at which they began, in sum.
    sums: (u64, u64),
    /// Stays in which something decoded so far.
    stays: u64,
    cache: Cache,
    /// What prompts leave for others, where requests say what they have in common.
    kept: Option<Kept>,
    /// Parts of the prompts of requests that are under way, where their source names them, and places that are free.
    chains: (Vec<Vec<Part>>, Vec<usize>),
    /// The chain at hand; kept so that steps allocate nothing.
    chain: Vec<Part>,
    /// Requests let in so far.
    entered: u64,
    /// Tokens that a decode step yields for each sequence.
    yielded: f64,
    live: Slots<Live>,
    answered: u64,
    /// Tiers below the cache.
    below: Vec<Below>,
}

impl<'a, A: Arrivals> Simulation<'a, A> {
    /// An idle replica. Requests whose number lies in `window` count, and count as good when they meet
    /// `targets`; those before are the warm-up, those after keep the load up to the end.
    pub fn new(replica: &'a Replica<'a>, arrivals: A, window: Range<u64>, targets: Targets) -> Self {
        Simulation {
            replica,
            clock: Clock::new(replica),
            arrivals,
            tally: Tally::new(window, targets),
            now: Seconds::ZERO,
            steps: 0,
            poll: 0,
            prompts_due: None,
            let_through: (0, None),
            stalled: (Seconds::ZERO, 0),
            coming: None,
            lanes: Lanes::new(replica),
            returning: VecDeque::new(),
            prompts: VecDeque::new(),
            loading: BinaryHeap::new(),
            complete: Vec::new(),
            decoding: BinaryHeap::new(),
            sequences: 0,
            admitted: Vec::new(),
            sums: (0, 0),
            stays: 0,
            cache: Cache::new(replica),
            kept: None,
            chains: Default::default(),
            chain: Vec::new(),
            entered: 0,
            yielded: replica.workload.yielded(),
            live: Slots::new(),
            answered: 0,
            below: Vec::new(),
        }
    }

    /// The simulation of a replica of whose steps some are known.
    #[must_use]
    pub fn knowing(self, known: Timings) -> Self {
        Simulation { clock: self.clock.knowing(known), ..self }
    }

    /// The same where gaps between tokens are not asked about.
    #[must_use]
    pub fn without_gaps(self) -> Self {
        Simulation { tally: self.tally.without_gaps(), ..self }
    }

    /// Runs until no request is left.
    ///
    /// # Errors
    /// What is wrong with the trace.
    pub fn run(self, observer: &mut impl Observer) -> Result<Outcome, Diagnostic> {
        Ok(self.run_on(observer)?.0)
    }

    /// The same, with what is known of the replica's steps then.
    ///
    /// # Errors
    /// What is wrong with the trace.
    pub fn run_on(mut self, observer: &mut impl Observer) -> Result<(Outcome, Timings), Diagnostic> {
        self.begin();
        loop {
            self.receive()?;
            self.loaded();
            self.make_room();
            self.admit();
            observer.saw(&self.state());
            if !observer.goes_on() {
                return Err(Diagnostic::new(Code::Stopped, "the simulation was stopped before its end"));
            }
            if !self.prompts.is_empty() && self.gathers()? {
                continue;
            }
            if !self.prompts.is_empty() && !self.prompts_wait() {
                self.prompts_due = None;
                self.prompt_step();
            } else if self.sequences > 0 {
                self.decode_run()?;
            } else {
                let arrives = self.peek()?.map(|sent| self.reaches_engine(sent));
                let loads = self.loading.peek().map(|Reverse((at, _))| at.0);
                match (arrives, loads) {
                    (Some(a), Some(b)) => self.now = self.now.max(a.min(b)),
                    (Some(at), None) | (None, Some(at)) => self.now = self.now.max(at),
                    (None, None) => break,
                }
            }
        }
        let bounded = self.arrivals.are_bounded();
        Ok((self.tally.close(bounded), self.clock.into_known()))
    }

    /// Sets up what is kept of prompts, if anything is.
    fn begin(&mut self) {
        if !self.arrivals.keeps_prefixes() {
            return;
        }
        let replica = self.replica;
        self.cache = self.cache.holding(replica.cache_tokens);
        let compute = replica.prompt_token().get();
        let block = replica.limits.start.block.unwrap_or(u64::from(replica.engine.kv_block));
        let mut kept = Kept::new(block, std::mem::take(&mut self.below).into_iter(), compute);
        let room = self.cache.unused();
        self.arrivals.kept_before().into_iter().for_each(|part| kept.begin_with(part, room));
        self.kept = Some(kept);
    }

    /// The simulation with tiers below the cache.
    #[must_use]
    pub fn above(mut self, tiers: impl Iterator<Item = Below>) -> Self {
        self.below = tiers.collect();
        self
    }

    /// The parts of a request's prompt, `emitted` of its own tokens at their end.
    fn chain_of(&mut self, request: &Arrival, emitted: u64, own: u64) {
        let chain = &mut self.chain;
        chain.clear();
        let mut left = request.prompt;
        let mut add = |key: u64, tokens: u64| {
            let tokens = tokens.min(left);
            if tokens > 0 {
                left -= tokens;
                chain.push(Part { key, tokens });
            }
        };
        match request.content {
            Content::Unknown => {}
            Content::Turn { session, said, shared, own, .. } => {
                add(SHARED, shared);
                if own == session {
                    add(session, u64::MAX);
                } else {
                    add(session, said);
                    add(own, u64::MAX);
                }
            }
            Content::Blocks(place) => self.chains.0[place].iter().for_each(|part| add(part.key, part.tokens)),
        }
        add(own, u64::MAX);
        if let Some(last) = self.chain.last_mut() {
            last.tokens += emitted;
        }
    }

    /// Requests whose cache has been loaded go on to their prompts.
    fn loaded(&mut self) {
        while let Some(Reverse((at, slot))) = self.loading.peek().copied()
            && at.0 <= self.now
        {
            self.loading.pop();
            self.prompts.push_back(slot);
        }
    }

    /// Whether prompts still wait for others to be computed with them, while sequences decode.
    fn prompts_wait(&mut self) -> bool {
        let s = &self.replica.engine.scheduling;
        if self.replica.attention_dp > 1 && s.rank_wait_steps >= 1.0 && self.sequences > 0 {
            self.prompts_due = self.ranks_wait();
            return self.prompts_due.is_some();
        }
        if s.prompt_wait_steps < 1.0 || self.sequences == 0 {
            return false;
        }
        let due = *self.prompts_due.get_or_insert(self.steps + s.prompt_wait_steps as u64);
        let tokens: u64 = self.prompts.iter().map(|slot| self.live[*slot].left()).sum();
        self.steps < due && (tokens as f64) < s.prompt_wait_share * self.budget() * self.replica.lanes()
    }

    /// The decode step until which the prompts of ranks that wait for each other are held back at most, if they are: as
    /// TensorRT-LLM's `_balance_adp_requests` does, whose count of steps goes on while no rank has a prompt.
    fn ranks_wait(&mut self) -> Option<u64> {
        let s = &self.replica.engine.scheduling;
        let (timeout, gather) = (s.rank_wait_steps as u64, s.rank_gather_steps as u64);
        let (all, alone) = (self.lanes.every_rank_has_a_prompt(), self.lanes.a_rank_has_prompts_alone());
        let (last, complete) = &mut self.let_through;
        if all {
            *last = self.steps;
            let due = *complete.get_or_insert(self.steps) + gather;
            if self.steps < due && !alone {
                return Some(due);
            }
            *complete = None;
            return None;
        }
        let passed = self.steps - *last;
        if passed > timeout {
            *last = self.steps - passed % timeout;
        }
        let due = *last + timeout;
        if self.steps < due && !alone {
            return Some(due);
        }
        *last = self.steps;
        None
    }

    /// Lets time pass up to the next arrival where a batch that is not full is held for more inputs, and says whether
    /// any has.
    fn gathers(&mut self) -> Result<bool, Diagnostic> {
        let window = self.replica.workload.batch_window;
        let slots = self.replica.limits.max_sequences.saturating_mul(self.replica.attention_dp);
        let full = self.lanes.waiting() > 0 || self.running() >= slots;
        let Some(first) = self.prompts.front().filter(|_| window > Seconds::ZERO && !full) else {
            return Ok(false);
        };
        let due = self.reaches_engine(self.live[*first].request.at) + window;
        let next = self.peek()?.map(|sent| self.reaches_engine(sent));
        let until = next.map_or(due, |next| next.min(due));
        let passes = until > self.now;
        self.now = self.now.max(until);
        Ok(passes)
    }

    fn state(&self) -> State {
        State {
            now: self.now,
            running: self.running(),
            waiting: self.lanes.waiting() + self.returning.len() as u64,
            cache: self.cache.share(),
            answered: self.answered,
        }
    }

    fn batch(&self) -> Batch {
        Batch { sequences: self.sequences, cached: self.cache.decoding() }
    }

    fn running(&self) -> u64 {
        self.sequences + (self.prompts.len() + self.loading.len()) as u64
    }

    fn mixes(&self) -> bool {
        self.replica.engine.scheduling.mixes_prefill
    }

    /// When the next request is sent.
    fn peek(&mut self) -> Result<Option<Seconds>, Diagnostic> {
        if self.coming.is_none() {
            self.coming = self.arrivals.next()?.map(|request| match request.content {
                Content::Blocks(_) => Arrival { content: Content::Blocks(self.remember()), ..request },
                _ => request,
            });
        }
        Ok(self.coming.as_ref().map(|next| next.at))
    }

    /// Notes the parts of the request that came last.
    fn remember(&mut self) -> usize {
        let (chains, free) = &mut self.chains;
        let place = free.pop().unwrap_or_else(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[place].clear();
        chains[place].extend_from_slice(self.arrivals.parts());
        place
    }

    /// When the engine could see a request that is sent at a time: the front end comes first, busy with those that run.
    fn reaches_engine(&self, sent: Seconds) -> Seconds {
        let others = self.running() as f64;
        sent + self.replica.engine.scheduling.request_overhead_beside(self.answers_beside(others))
    }

    /// The answers that a request may be kept up by where `others` run: it follows one of them, or comes by itself.
    fn answers_beside(&self, others: f64) -> f64 {
        // Answers that are made of their inputs alone are not streamed, and keep the front end up with nothing.
        let streams = !self.replica.workload.purpose.pools();
        if streams && self.arrivals.follow_answers() { others.max(0.0) } else { 0.0 }
    }

    /// Takes in what has arrived, if the engine looks now.
    fn receive(&mut self) -> Result<(), Diagnostic> {
        if self.sequences + self.prompts.len() as u64 > 0 && self.steps < self.poll {
            return Ok(());
        }
        while let Some(sent) = self.peek()?
            && self.reaches_engine(sent) <= self.now
            && let Some(next) = self.coming.take()
        {
            self.lanes.arrive(next);
        }
        self.look_again_later();
        Ok(())
    }

    fn look_again_later(&mut self) {
        self.poll = self.steps + self.replica.engine.scheduling.arrival_poll_steps as u64;
    }

    /// Lets requests in, as far as slots, cache and the budgets of their lanes go: first those that were preempted.
    fn admit(&mut self) {
        if self.lanes.waiting() == 0 && self.returning.is_empty() {
            return;
        }
        let slots = self.replica.limits.max_sequences.saturating_mul(self.replica.attention_dp);
        self.lanes.open(self.budget());
        for slot in &self.prompts {
            self.lanes.take(self.live[*slot].lane, self.live[*slot].left());
        }
        while self.running() < slots
            && let Some(next) = self.next_in()
        {
            let (lane, prompt, output, reused) = match next {
                Next::Returning(slot) => {
                    let live = &self.live[slot];
                    (live.lane, live.prompt(), live.lacks(), self.still_there(live))
                }
                Next::Waiting(lane, request) => (lane, request.prompt, request.output, request.reused),
            };
            let own = match next {
                Next::Returning(slot) => self.live[slot].own,
                Next::Waiting(..) => OWN | (1 << 62) | self.entered,
            };
            let mut found = Found::default();
            if self.kept.is_some() {
                let (request, emitted) = match next {
                    Next::Returning(slot) => (self.live[slot].request, self.live[slot].emitted),
                    Next::Waiting(_, request) => (request, 0),
                };
                self.chain_of(&request, emitted, own);
            }
            if let Some(kept) = &self.kept {
                found = kept.look(&self.chain, prompt);
            }
            if !self.cache.admits(prompt.saturating_sub(found.used), output) && self.running() > 0 {
                break;
            }
            self.cache.admit(prompt, reused, output);
            let (mut reused, mut ready) = (reused, self.now);
            if let Some(kept) = &mut self.kept {
                let (loaded, at) = kept.load(&self.chain, prompt, found.tokens, self.now.get());
                (reused, ready) = (found.tokens + loaded, Seconds::new(at));
                let more = kept.take(&self.chain);
                self.cache.share_more(prompt as f64 - more as f64);
                kept.fit(self.cache.unused());
                self.tally.outcome.loaded_tokens += loaded;
            }
            self.lanes.take(lane, prompt - reused);
            self.entered += 1;
            let slot = match next {
                Next::Returning(slot) => {
                    self.returning.pop_front();
                    self.live[slot].computed = reused;
                    slot
                }
                Next::Waiting(lane, request) => {
                    self.lanes.pop(lane);
                    self.occupy(Arrival { reused, ..request }, lane, own)
                }
            };
            self.lanes.enter(lane);
            if ready > self.now {
                self.loading.push(Reverse((Moment(ready), slot)));
            } else {
                self.prompts.push_back(slot);
            }
        }
    }

    /// Tokens of one that returns that nobody has written over since, in whole blocks, where engines keep what they throw out.
    fn still_there(&self, live: &Live) -> u64 {
        let (scheduling, start) = (&self.replica.engine.scheduling, &self.replica.limits.start);
        if !scheduling.preempted_kept || start.prefixes == Some(false) || self.kept.is_some() {
            return 0;
        }
        let block = start.block.unwrap_or(u64::from(self.replica.engine.kv_block)).max(1);
        let there = self.cache.still_there(live.prompt(), live.overwritten_after);
        there.min(live.prompt() - 1) / block * block
    }

    /// Who is let in next, if its lane has budget left.
    fn next_in(&self) -> Option<Next> {
        match self.returning.front() {
            Some(slot) => self.lanes.is_open(self.live[*slot].lane).then_some(Next::Returning(*slot)),
            None => self.lanes.next().map(|(lane, request)| Next::Waiting(lane, request)),
        }
    }

    /// Preempts the sequences that came last until all others have room for their next tokens.
    fn make_room(&mut self) {
        let before = self.sequences;
        while self.sequences > 1 && self.cache.steps_left(self.step_tokens()) == Some(0) {
            let Some(last) = self.last_admitted() else { break };
            self.preempt(last);
        }
        if self.sequences < before {
            let (emitted, began) = self.sums;
            let generated = emitted as f64 + (self.sequences * self.steps - began) as f64 * self.yielded;
            self.cache.ran_out(self.sequences, generated);
        }
    }

    /// Whether a sequence still decodes in a stay.
    fn decodes(&self, of: &Decoding) -> bool {
        self.live[of.slot].stay == of.stay
    }

    /// Of those that decode the one that was admitted last.
    fn last_admitted(&mut self) -> Option<Decoding> {
        while let Some((_, last)) = self.admitted.pop() {
            if self.decodes(&last) {
                return Some(last);
            }
        }
        None
    }

    /// Notes that a sequence decodes, for when the cache runs out.
    fn note(&mut self, number: u64, of: Decoding) {
        if self.cache.steps_left(1.0).is_none() {
            return;
        }
        if self.admitted.len() as u64 > 2 * self.sequences + 64 {
            let live = &self.live;
            self.admitted.retain(|(_, of)| live[of.slot].stay == of.stay);
        }
        // Mostly they begin to decode in the order in which they were admitted.
        let after = self.admitted.iter().rev().take_while(|(other, _)| *other > number).count();
        self.admitted.insert(self.admitted.len() - after, (number, of));
    }

    /// The next that ends, of those that decode.
    fn first_to_end(&mut self) -> Option<Decoding> {
        while let Some(Reverse(first)) = self.decoding.peek().copied() {
            if self.decodes(&first) {
                return Some(first);
            }
            self.decoding.pop();
        }
        None
    }

    /// Tokens that a decoding sequence has generated in this stay.
    fn generated(&self, Decoding { ends, slot, .. }: Decoding) -> f64 {
        (self.live[slot].steps - (ends - self.steps)) as f64 * self.yielded
    }

    /// A decoding sequence ends its stay.
    fn end_stay(&mut self, slot: usize) {
        let live = &mut self.live[slot];
        self.sums.0 -= live.emitted;
        self.sums.1 -= live.ends - live.steps;
        live.stay = NO_STAY;
        self.sequences -= 1;
    }

    /// A decoding sequence loses its cache and returns to the head of the queue.
    fn preempt(&mut self, of: Decoding) {
        let (generated, slot) = (self.generated(of), of.slot);
        let overwritten_after = self.cache.overwritten_after();
        self.end_stay(slot);
        let live = &mut self.live[slot];
        let owed = live.lacks() as f64 - 1.0 - generated;
        let (request, emitted, own) = (live.request, live.emitted, live.own);
        self.cache.release(live.prompt() as f64 + generated, owed);
        // At least one is left to come out.
        live.emitted += (1 + generated as u64).min(live.lacks() - 1);
        live.computed = 0;
        live.preempted = self.now;
        live.overwritten_after = overwritten_after;
        self.lanes.leave(live.lane);
        self.tally.outcome.preemptions += 1;
        self.give_back(&request, (emitted, generated), own);
        self.returning.push_front(slot);
    }

    /// A request leaves the engine, `emitted` of its tokens computed with its prompt and `generated` since: what it has
    /// stays for others until room is needed.
    fn give_back(&mut self, request: &Arrival, (emitted, generated): (u64, f64), own: u64) {
        if self.kept.is_none() {
            return;
        }
        self.chain_of(request, emitted, own);
        if let Some(kept) = &mut self.kept {
            let whole = generated as u64;
            let less = kept.give_back(&self.chain, whole, self.now.get()) as f64 + generated - whole as f64;
            self.cache.share_more(less - (request.prompt + emitted) as f64 - generated);
            kept.fit(self.cache.unused());
        }
    }

    /// Tokens by which a decode step grows the cache.
    fn step_tokens(&self) -> f64 {
        self.sequences as f64 * self.yielded
    }

    fn occupy(&mut self, request: Arrival, lane: usize, own: u64) -> usize {
        let (number, counts) = self.tally.admit(request, self.now);
        let (first_token, preempted, ttft) = (Seconds::ZERO, Seconds::ZERO, Seconds::ZERO);
        let (emitted, computed, steps, ends, stay) = (0, request.reused, 0, 0, NO_STAY);
        self.live.insert(Live {
            request,
            lane,
            own,
            number,
            emitted,
            computed,
            steps,
            ends,
            stay,
            first_token,
            preempted,
            overwritten_after: 0.0,
            ttft,
            counts,
        })
    }

    /// Prompt tokens that a step may compute in each lane.
    fn budget(&self) -> f64 {
        let limit = self.replica.limits.max_batched_tokens as f64;
        let queries = 1.0 + self.replica.workload.drafted();
        let decoding = if self.mixes() { self.sequences as f64 * queries } else { 0.0 };
        (limit - decoding / self.replica.lanes()).max(1.0)
    }

    /// One step that computes as many prompt tokens as it may.
    fn prompt_step(&mut self) {
        self.lanes.open(self.budget());
        let mut complete = std::mem::take(&mut self.complete);
        let (lanes, live) = (&mut self.lanes, &mut self.live);
        self.prompts.retain(|slot| {
            let live = &mut live[*slot];
            live.computed += lanes.compute(live.lane, live.left(), live.computed);
            if live.left() == 0 {
                complete.push(*slot);
            }
            live.left() > 0
        });
        let step = self.lanes.close();
        let time = self.clock.prompts(step, self.batch());
        self.now += time;
        if self.sequences > 0 && self.mixes() {
            self.advance(1, time);
        } else if self.sequences > 0 {
            // Those that join meanwhile have no token to wait for yet.
            let before = if self.stalled.1 > 0 { self.stalled.1 } else { self.sequences };
            self.stalled = (self.stalled.0 + time, before);
        }
        for slot in complete.drain(..) {
            self.first_token(slot);
        }
        self.complete = complete;
        self.look_again_later();
    }

    fn first_token(&mut self, slot: usize) {
        self.sequences += 1;
        self.lanes.prefilled(self.live[slot].lane);
        self.cache.prefilled(self.live[slot].prompt());
        let others = self.answers_beside(self.running() as f64 - 1.0);
        let steps = self.replica.engine.scheduling.first_token_steps_beside(others);
        let late = match self.replica.workload.purpose.pools() {
            true => Seconds::ZERO,
            false => self.clock.decode(self.batch()) * steps,
        };
        let live = &mut self.live[slot];
        if live.emitted == 0 {
            live.first_token = self.now;
            live.ttft = self.now + late - live.request.at;
        } else {
            self.tally.gap(self.now - live.preempted, 1);
        }
        live.steps = ((live.lacks() - 1) as f64 / self.yielded).ceil() as u64;
        live.ends = self.steps + live.steps;
        live.stay = self.stays;
        let (decoding, number) = (Decoding { ends: live.ends, slot, stay: live.stay }, live.number);
        self.sums.0 += live.emitted;
        self.sums.1 += self.steps;
        self.stays += 1;
        if live.steps == 0 {
            self.finish(slot);
        } else {
            self.decoding.push(Reverse(decoding));
            self.note(number, decoding);
        }
    }

    fn finish(&mut self, slot: usize) {
        let live = self.live[slot];
        let Live { request, counts, ttft, first_token, .. } = live;
        let grown = live.steps as f64 * self.yielded;
        self.end_stay(slot);
        self.cache.release(live.prompt() as f64 + grown, (live.lacks() - 1) as f64 - grown);
        self.give_back(&request, (live.emitted, grown), live.own);
        if let Content::Blocks(place) = request.content {
            self.chains.1.push(place);
        }
        self.lanes.leave(live.lane);
        self.live.remove(slot);
        self.answered += 1;
        self.tally.answered(Answered { request, counts, ttft, first_token }, self.now);
        self.arrivals.answered(&request, self.now);
        if let Some(coming) = self.coming.take() {
            self.coming = self.arrivals.reconsider(coming);
        }
    }

    /// Decode steps until something else happens: a sequence ends, or a request is let in.
    fn decode_run(&mut self) -> Result<(), Diagnostic> {
        let Some(first) = self.first_to_end() else { return Ok(()) };
        let mut steps = (first.ends - self.steps).max(1);
        if let Some(sent) = self.peek()? {
            let until = self.reaches_engine(sent) - self.now;
            let blind = self.poll.saturating_sub(self.steps);
            if blind < steps {
                steps = self.steps_in(until, steps).max(blind);
            }
        }
        if let Some(Reverse((at, _))) = self.loading.peek() {
            let until = at.0 - self.now;
            steps = self.steps_in(until, steps);
        }
        if let Some(due) = self.prompts_due {
            steps = steps.min(due.saturating_sub(self.steps).max(1));
        }
        if let Some(room) = self.cache.steps_left(self.step_tokens()) {
            steps = steps.min(room.max(1));
        }
        let time = self.clock.decode_run(self.batch(), steps);
        self.now += time;
        self.advance(steps, time);
        Ok(())
    }

    /// The fewest steps, of at most `most`, that last until `time` from now; one at least.
    fn steps_in(&mut self, time: Seconds, most: u64) -> u64 {
        let batch = self.batch();
        let mut ends_before = |steps: u64| self.clock.decode_run(batch, steps) < time;
        if most <= 1 || !ends_before(1) {
            return 1;
        }
        // More steps take longer: those that are looked at lie twice as far apart each time, then half as far.
        let (mut low, mut apart) = (1, 1);
        let mut high = loop {
            let next = (low + apart).min(most);
            if next == most || !ends_before(next) {
                break next;
            }
            (low, apart) = (next, 2 * apart);
        };
        while high - low > 1 {
            let middle = low.midpoint(high);
            if ends_before(middle) { low = middle } else { high = middle }
        }
        high
    }

    /// Every decoding sequence has `steps` more tokens, which took `time` and what prompts held them up;
    /// those that have all of theirs leave.
    fn advance(&mut self, steps: u64, time: Seconds) {
        let each = time / steps as f64;
        let (stall, held_up) = std::mem::take(&mut self.stalled);
        if held_up > 0 {
            self.tally.gap(each + stall, held_up);
        }
        self.tally.gap(each, (self.sequences * steps).saturating_sub(held_up));
        self.steps += steps;
        self.cache.grow(self.step_tokens() * steps as f64, steps);
        if let Some(kept) = &mut self.kept {
            kept.fit(self.cache.unused());
        }
        while let Some(first) = self.first_to_end()
            && first.ends <= self.steps
        {
            self.decoding.pop();
            self.finish(first.slot);
        }
    }
}
