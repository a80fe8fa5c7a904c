//! How long the steps of a simulated replica take.

use std::sync::LazyLock;

use crate::estimate::program::Recall;
use crate::estimate::service::Replica;
use crate::units::Seconds;

/// Contexts between which decode steps are interpolated lie this factor apart. Attention's time is close
/// to linear in the context, so that few are enough.
const NODE_RATIO: f64 = 1.5;

/// The shortest such context.
const FIRST_NODE: f64 = 64.0;

/// Nodes: up to `64 × 1.5^40`, beyond any context.
const NODES: usize = 40;

/// What decodes during a step, over all ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Batch {
    /// Sequences.
    pub sequences: u64,
    /// Tokens in the cache of all of them.
    pub cached: f64,
}

impl Batch {
    fn context(self) -> f64 {
        if self.sequences == 0 { 0.0 } else { self.cached / self.sequences as f64 }
    }
}

/// Prompts that a step computes in its fullest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prompts {
    /// How many.
    pub sequences: u64,
    /// Tokens of theirs that the step computes.
    pub tokens: f64,
    /// Pairs of a token of theirs and one before it.
    pub pairs: f64,
    /// Prompt tokens that the step computes in all ranks.
    pub in_all: f64,
}

/// The contexts of all nodes.
static CONTEXTS: LazyLock<[f64; NODES]> =
    LazyLock::new(|| std::array::from_fn(|index| FIRST_NODE * NODE_RATIO.powi(index as i32)));

/// Decode steps of as many sequences.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Times at the nodes; negative where not yet known.
    times: [f64; NODES],
    /// The node below the context that came last.
    low: usize,
}

impl Row {
    const UNKNOWN: Row = Row { times: [-1.0; NODES], low: 0 };
}

/// What is known of the steps of a replica. It follows from the replica alone, whatever is sent to it, so that one
/// simulation of it may go on with what another has found.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    /// Decode steps by number of sequences.
    decode: Vec<Row>,
    /// Kernels of steps that came before.
    recall: Recall,
}

/// Step times of a replica; decode steps are remembered.
#[derive(Debug)]
pub struct Clock<'a> {
    replica: &'a Replica<'a>,
    ranks: f64,
    contexts: &'static [f64; NODES],
    known: Timings,
}

impl<'a> Clock<'a> {
    /// A clock for a replica.
    pub fn new(replica: &'a Replica<'a>) -> Clock<'a> {
        let (ranks, contexts) = (replica.attention_dp as f64, &*CONTEXTS);
        Clock { replica, ranks, contexts, known: Timings::default() }
    }

    /// The same with what is known of the replica already.
    #[must_use]
    pub fn knowing(self, known: Timings) -> Clock<'a> {
        Clock { known, ..self }
    }

    /// What is known of the replica now.
    pub fn into_known(self) -> Timings {
        self.known
    }

    /// One decode step.
    pub fn decode(&mut self, batch: Batch) -> Seconds {
        let row = batch.sequences as usize;
        if self.known.decode.len() <= row {
            self.known.decode.resize(row + 1, Row::UNKNOWN);
        }
        let context = batch.context();
        let low = self.below(context, self.known.decode[row].low);
        self.known.decode[row].low = low;
        let (a, b) = (self.node(batch.sequences, low), self.node(batch.sequences, low + 1));
        let (from, to) = (self.contexts[low], self.contexts[low + 1]);
        Seconds::new(a + (b - a) * ((context - from) / (to - from)))
    }

    /// The node below a context, which may be the one that is guessed.
    fn below(&self, context: f64, guess: usize) -> usize {
        // Farther from the nodes around it than logarithms are rounded by, a context lies between them for sure.
        const SURE: f64 = 1e-9;
        let above = guess == 0 || context > self.contexts[guess] * (1.0 + SURE);
        if above && context < self.contexts[guess + 1] * (1.0 - SURE) {
            return guess;
        }
        let position = (context / FIRST_NODE).max(1.0).ln() / NODE_RATIO.ln();
        (position as usize).min(NODES - 2)
    }

    fn node(&mut self, sequences: u64, index: usize) -> f64 {
        let known = self.known.decode[sequences as usize].times[index];
        if known >= 0.0 {
            return known;
        }
        let (each, context) = (self.per_rank(sequences), self.contexts[index]);
        let time = self.replica.decode_step_after(each, context, &mut self.known.recall).get();
        self.known.decode[sequences as usize].times[index] = time;
        time
    }

    /// `steps` decode steps in a row: contexts grow by a token each.
    pub fn decode_run(&mut self, batch: Batch, steps: u64) -> Seconds {
        // Linear in the context, so the step in the middle stands for all.
        let each = self.replica.workload.yielded();
        let grown = batch.sequences as f64 * each * (steps.saturating_sub(1)) as f64 / 2.0;
        self.decode(Batch { cached: batch.cached + grown, ..batch }) * steps as f64
    }

    /// A step that computes prompts, together with a decode step of `batch` where the engine mixes them.
    pub fn prompts(&mut self, prompts: Prompts, batch: Batch) -> Seconds {
        let mixed = self.replica.engine.scheduling.mixes_prefill;
        let decoding = if mixed && batch.sequences > 0 { self.per_lane(batch.sequences) } else { 0.0 };
        let sequences = prompts.sequences.max(1) as f64;
        // Prompts of equal lengths stand for all: `n` tokens after `prior` make `n·(prior + n/2)` pairs each.
        let prior = prompts.pairs / prompts.tokens.max(1.0) - prompts.tokens / sequences / 2.0;
        let step = self.replica.prompt_step(
            (sequences, prompts.tokens, prompts.in_all),
            prior.max(0.0),
            (decoding, batch.context()),
        );
        let time = self.replica.prompt_round(&step, &mut self.known.recall);
        // The other micro-batches of the ring decode meanwhile.
        if decoding > 0.0 { time.max(self.decode(batch)) } else { time }
    }

    /// Sequences of each lane that has any.
    fn per_lane(&self, sequences: u64) -> f64 {
        (sequences as f64 / self.replica.lanes()).max(1.0)
    }

    fn per_rank(&self, sequences: u64) -> f64 {
        (sequences as f64 / self.ranks).max(1.0)
    }
}
