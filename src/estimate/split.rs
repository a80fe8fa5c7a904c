//! Split serving: some workers compute prompts and hand their KV cache on, others decode. Each kind has a
//! split of its own, and `x : y` workers run side by side. Symbols in `docs/model.md`, §9.
//!
//! The two kinds do not hold each other up: a decode step holds no prompt, so TPOT is that of a pure decode
//! step, and TTFT is queue, prompt and transfer (DistServe, Zhong et al. 2024, §4; Splitwise, Patel et al.
//! 2024).

use crate::catalog::Cluster;
use crate::model::operator::Step;
use crate::powers::power;
use crate::units::{Bytes, RequestsPerSecond, Seconds};

use super::Provenance;
use super::program::Recall;
use super::service::Replica;

/// Most of a prefill pool's capacity that a plan relies on: at nine tenths the mean wait of an M/D/1 queue
/// is 4.5 prompts, and beyond it grows without bound.
pub const PREFILL_LOAD: f64 = 0.9;

/// Share of the bandwidth between nodes that a transfer reaches, as of collectives.
const ACROSS_EFFICIENCY: f64 = 0.8;

/// A worker that computes prompts and does nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrefillWorker {
    /// One prompt alone, from its first step to the end of its last.
    pub alone: Seconds,
    /// Time per prompt when steps are as full as they may be.
    pub interval: Seconds,
    /// Attention-data-parallel ranks: as many prompts take no longer than one.
    pub ranks: f64,
    /// The front end's time before the engine sees a request.
    pub front_end: Seconds,
    /// What a prompt draws above idle, in time at the limit of one GPU of each stage and rank.
    pub drawn: Seconds,
    /// Chunks of a prompt.
    pub chunks: f64,
    /// Where the times come from.
    pub provenance: Provenance,
}

impl PrefillWorker {
    /// A replica that is used for prompts alone.
    pub fn new(replica: &Replica) -> PrefillWorker {
        let isl = replica.workload.computed_prompt() as f64;
        let budget = replica.limits.max_batched_tokens.max(1) as f64;
        let chunks = (isl / budget).ceil().max(1.0);
        let room = replica.cache_batch.min(replica.limits.max_sequences).max(1) as f64;
        let fill = (budget / isl).floor().clamp(1.0, room);
        let (alone, full) = (Prompts::of(replica, chunks, 1.0), Prompts::of(replica, chunks, fill));
        let ranks = replica.attention_dp as f64;
        PrefillWorker {
            alone: alone.latency,
            interval: full.interval / (fill * ranks),
            ranks,
            front_end: replica.engine.scheduling.request_overhead,
            drawn: full.drawn / fill,
            chunks,
            provenance: alone.provenance,
        }
    }

    /// Prompts per second of one worker.
    pub fn capacity(&self) -> RequestsPerSecond {
        RequestsPerSecond::new(1.0 / self.interval.get())
    }

    /// From the request to the end of its prompt, at `rate` over `workers` workers that share one queue;
    /// infinite where they cannot keep up.
    ///
    /// All prompts that come during a step share the next: with `a` for the step of a lone prompt and `τ` per
    /// prompt in full steps, `T = a + τ·(rate·T − ranks)`, at least `a`. A prompt waits for half of the step
    /// that runs, or as in an M/D/c queue of the full steps, whichever is longer (Sakasegawa 1977:
    /// `ρ^(√(2(c+1)) − 1) / (c·(1 − ρ))`, halved for a constant service time).
    ///
    /// It grows with `alone` and `interval` and falls with `ranks`: the search leaves workers out by that.
    pub fn first(&self, workers: u32, rate: RequestsPerSecond) -> Seconds {
        let servers = f64::from(workers);
        let each = rate.get() / servers;
        let load = each * self.interval.get();
        if load >= 1.0 {
            return Seconds::new(f64::INFINITY);
        }
        let shared = (self.alone - self.interval * self.ranks) / (1.0 - load);
        let own = self.alone.max(shared);
        let residual = own * (power((each * own.get()).min(1.0), servers) / 2.0);
        let exponent = (2.0 * (servers + 1.0)).sqrt() - 1.0;
        let queue = self.interval * (power(load, exponent) / (2.0 * servers * (1.0 - load)));
        self.front_end + residual.max(queue) + own
    }

    /// The fewest workers that serve `rate` at [`PREFILL_LOAD`].
    pub fn workers_for(&self, rate: RequestsPerSecond) -> u32 {
        // Beyond what fits in u32 no cluster has room.
        (rate.get() * self.interval.get() / PREFILL_LOAD).ceil().clamp(1.0, f64::from(u32::MAX)) as u32
    }
}

impl Replica<'_> {
    /// A step of a worker that computes prompts alone: from its start to its end, and until the next may
    /// start, host time included.
    pub fn prefill_step(&self, step: &Step, recall: &mut Recall) -> (Seconds, Seconds) {
        let (latency, interval) = self.pipeline.pace(step, recall);
        self.prefill_stages(latency, interval)
    }

    /// The same of kernels that take so long through all stages and in the slowest.
    fn prefill_stages(&self, latency: Seconds, interval: Seconds) -> (Seconds, Seconds) {
        let host = self.step_overhead();
        let (scheduling, layers) = (&self.engine.scheduling, self.layers);
        let whole = scheduling.prompts_alone(latency, layers, 1.0) + host;
        match scheduling.stages_overlap {
            true => (whole, scheduling.prompts_alone(interval, layers, self.stages()) + host),
            false => (whole, whole),
        }
    }
}

/// The steps of one prompt on each rank, `fill` of them together.
struct Prompts {
    latency: Seconds,
    interval: Seconds,
    drawn: Seconds,
    provenance: Provenance,
}

impl Prompts {
    fn of(replica: &Replica, chunks: f64, fill: f64) -> Prompts {
        let isl = replica.workload.computed_prompt() as f64;
        let size = isl / chunks;
        let (mut latency, mut interval, mut drawn) = (Seconds::ZERO, Seconds::ZERO, Seconds::ZERO);
        let mut provenance = Provenance::Fitted;
        let timed = chunks.min(MAX_CHUNKS);
        for i in 0..timed as u64 {
            // With more chunks than are timed, evenly spaced ones stand for all.
            let chunk = (i as f64 + 0.5) * chunks / timed - 0.5;
            let step = Step {
                prefill_tokens: size * fill,
                prefill_sequences: fill,
                prefill_prior: replica.workload.reused_prompt() as f64 + size * chunk,
                ..Step::default()
            };
            let time = replica.pipeline.time(&step);
            let (whole, next) = replica.prefill_stages(time.latency, time.interval);
            interval += next;
            latency += if i == 0 { whole } else { next };
            drawn += time.drawn;
            provenance = Provenance::of_share(time.fitted_share, time.measured_share);
        }
        let scale = chunks / timed;
        Prompts { latency: latency * scale, interval: interval * scale, drawn: drawn * scale, provenance }
    }
}

/// A worker that decodes and does nothing else: its decode step at batches a quarter of a doubling apart,
/// interpolated between.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeWorker {
    nodes: Vec<Node>,
    /// Most sequences that it holds.
    pub most: f64,
    /// Decode steps of a request.
    steps: f64,
    /// Decode steps that pass before a first token leaves.
    first_token_steps: f64,
    /// Output tokens of a request.
    pub osl: f64,
    /// Attention-data-parallel ranks.
    pub ranks: f64,
    /// Where the times come from.
    pub provenance: Provenance,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    sequences: f64,
    /// Time per token.
    step: Seconds,
    /// Per sequence, as in [`PrefillWorker::drawn`].
    drawn: Seconds,
}

/// A decode step at some batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeStep {
    /// Its time, host time included.
    pub time: Seconds,
    /// What each sequence draws above idle.
    pub drawn: Seconds,
}

impl DecodeWorker {
    /// A replica that is used for decoding alone.
    pub fn new(replica: &Replica) -> DecodeWorker {
        let ranks = replica.attention_dp as f64;
        let most = replica.cache_batch.min(replica.limits.max_sequences).max(1) as f64;
        let context = replica.workload.mean_context();
        // With speculation a step yields more than a token.
        let per_token = replica.decode_steps() / (replica.workload.osl as f64 - 1.0).max(1.0);
        let per_token = if per_token > 0.0 { per_token } else { 1.0 };
        let mut nodes = Vec::with_capacity(64);
        let mut per_rank = 1.0_f64;
        let provenance = loop {
            let step = replica.decode_step_in(per_rank, context);
            nodes.push(Node {
                sequences: per_rank * ranks,
                step: step.time * per_token,
                drawn: step.drawn * per_token,
            });
            if per_rank >= most {
                break Provenance::of_share(step.fitted, step.measured);
            }
            // As the batches that a search looks at.
            let step = (per_rank.log2().floor().exp2() / 4.0).max(1.0);
            per_rank = (per_rank + step).min(most);
        };
        DecodeWorker {
            nodes,
            most: most * ranks,
            steps: replica.workload.osl as f64 - 1.0,
            first_token_steps: replica.engine.scheduling.first_token_steps,
            osl: replica.workload.osl as f64,
            ranks,
            provenance,
        }
    }

    /// The decode step of `sequences`.
    pub fn step(&self, sequences: f64) -> DecodeStep {
        let after = self.nodes.partition_point(|n| n.sequences < sequences);
        let (Some(b), below) = (self.nodes.get(after), after.checked_sub(1).and_then(|i| self.nodes.get(i)))
        else {
            // Beyond the last node, which is the most that fits.
            return self.nodes.last().map_or(DecodeStep { time: Seconds::ZERO, drawn: Seconds::ZERO }, |n| {
                DecodeStep { time: n.step, drawn: n.drawn }
            });
        };
        let a = below.unwrap_or(b);
        let span = b.sequences - a.sequences;
        let share = if span > 0.0 { (sequences - a.sequences) / span } else { 0.0 };
        let between = |a: Seconds, b: Seconds| a + (b - a) * share;
        DecodeStep { time: between(a.step, b.step), drawn: between(a.drawn, b.drawn) }
    }

    /// Time per output token after the first.
    pub fn tpot(&self, sequences: f64) -> Seconds {
        if self.steps > 0.0 { self.step(sequences).time } else { Seconds::ZERO }
    }

    /// From the first token to the last with `sequences` in the worker.
    pub fn generation(&self, sequences: f64) -> Seconds {
        self.step(sequences).time * self.steps
    }

    /// Requests per second with `sequences` in the worker, by Little's law. With outputs of one token nothing
    /// is decoded: a request leaves with the step that it joins.
    pub fn rate(&self, sequences: f64) -> RequestsPerSecond {
        let time = self.step(sequences).time * self.steps.max(1.0);
        RequestsPerSecond::new(sequences / time.get())
    }

    /// The sequences at which it serves `rate`, by bisection; `None` where not even the most do.
    pub fn sequences_at(&self, rate: RequestsPerSecond) -> Option<f64> {
        let (mut low, mut high) = (0.0, self.most);
        if self.rate(high) < rate {
            return None;
        }
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if self.rate(middle) < rate { low = middle } else { high = middle }
        }
        Some(high)
    }
}

/// Chunks of a prompt that are timed.
const MAX_CHUNKS: f64 = 64.0;

/// Halvings of a bisection.
const HALVINGS: u32 = 40;

/// Where the KV cache of a prompt crosses from one pool to the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// What a first token waits for it.
    pub time: Seconds,
    /// What crosses, per pair of ranks.
    pub bytes: Bytes,
}

impl Transfer {
    /// The transfer of `bytes`, the most that a rank of either side holds of a prompt: all ranks send and
    /// receive at once. Inside a node it takes the faster of the node's link and the one between nodes; between
    /// two clusters the slower of theirs. With `chunks` sent one by one only the last is waited for.
    pub fn new(bytes: Bytes, (from, to): (&Cluster, &Cluster), inside_node: bool, chunks: f64) -> Transfer {
        let waited = bytes.as_f64() / chunks.max(1.0);
        let over = |latency: Seconds, bandwidth: f64| latency + Seconds::new(waited / bandwidth);
        let out = |c: &Cluster| over(c.scale_out.latency, c.scale_out.under_load().get() * ACROSS_EFFICIENCY);
        let across = out(from).max(out(to));
        let inside = over(from.scale_up.latency, from.scale_up.bandwidth.get());
        Transfer { time: if inside_node { inside.min(across) } else { across }, bytes }
    }
}

/// `x` prefill workers and `y` decode workers.
#[derive(Clone, Copy, Debug)]
pub struct Split<'a> {
    /// A prefill worker.
    pub prefill: &'a PrefillWorker,
    /// How many there are.
    pub prefill_workers: u32,
    /// A decode worker.
    pub decode: &'a DecodeWorker,
    /// How many there are.
    pub decode_workers: u32,
    /// The transfer between them.
    pub transfer: Seconds,
}

/// What split pools deliver together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitService {
    /// Request to first token: queue, prompt, transfer, and the step that it joins.
    pub ttft: Seconds,
    /// Time per output token after the first.
    pub tpot: Seconds,
    /// Request to last token.
    pub e2e: Seconds,
    /// Requests per second of all workers.
    pub rate: RequestsPerSecond,
    /// Sequences in each decode worker.
    pub sequences: f64,
    /// Share of its time that a prefill worker computes.
    pub prefill_load: f64,
    /// What a sequence draws in a decode step.
    pub drawn: Seconds,
}

impl Split<'_> {
    /// Service with `sequences` in each decode worker. The time to first token is infinite where the prefill
    /// workers cannot keep up.
    pub fn at_sequences(&self, sequences: f64) -> SplitService {
        let DecodeStep { time: tpot, drawn } = self.decode.step(sequences);
        let generation = tpot * self.decode.steps;
        let rate = self.decode.rate(sequences) * f64::from(self.decode_workers);
        let load = rate.get() * self.prefill.interval.get() / f64::from(self.prefill_workers);
        let joins = tpot * (0.5 + self.decode.first_token_steps).min(self.decode.steps);
        let ttft = self.prefill.first(self.prefill_workers, rate) + self.transfer + joins;
        let tpot = self.decode.tpot(sequences);
        SplitService { ttft, tpot, e2e: ttft + generation, rate, sequences, prefill_load: load, drawn }
    }

    /// Service with `concurrency` requests in flight over all workers: `y·n + rate(n)·ttft(n)` of them for `n`
    /// sequences in each decode worker, by bisection. What decode workers cannot hold waits before them.
    pub fn at(&self, concurrency: f64) -> SplitService {
        let in_flight =
            |s: &SplitService| s.sequences * f64::from(self.decode_workers) + s.rate.get() * s.ttft.get();
        let (mut low, mut high) = (0.0, self.decode.most);
        let full = self.at_sequences(high);
        if in_flight(&full) <= concurrency {
            return full.waiting(concurrency - in_flight(&full));
        }
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if in_flight(&self.at_sequences(middle)) < concurrency { low = middle } else { high = middle }
        }
        self.at_sequences(if low > 0.0 { low } else { high })
    }
}

impl SplitService {
    /// With `more` requests that wait for their turn.
    fn waiting(self, more: f64) -> SplitService {
        let wait = Seconds::new(more.max(0.0) / self.rate.get());
        SplitService { ttft: self.ttft + wait, e2e: self.e2e + wait, ..self }
    }
}
