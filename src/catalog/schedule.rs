//! How an engine schedules, as its file says it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::patch::{with_patch, yes};
use crate::units::Seconds;

with_patch! {
    /// How an engine schedules, and what a step costs beyond its kernels.
    Scheduling, SchedulingPatch {
        /// Whether prompts and decodes share a step (chunked prefill); otherwise prompts go first, alone.
        mixes_prefill: bool,
        /// Whether the stages of a pipeline decode different sequences at a time; otherwise one batch
        /// passes them all before the next step.
        #[serde(default = "yes")]
        stages_overlap: bool,
        /// Host time added to each step.
        step_overhead: Seconds,
        /// The same where one GPU computes each step, so that nothing is handed from rank to rank; as with several where
        /// it is not said.
        #[serde(default)]
        lone_step_overhead: Option<Seconds>,
        /// Host time added to each step per running sequence.
        sequence_overhead: Seconds,
        /// Host time added to each step per block of the KV cache of the running sequences: tables that the host
        /// writes anew for every step.
        #[serde(default)]
        block_overhead: Seconds,
        /// Host time added to each step per running sequence whose tokens leave as they come: detokenisation and
        /// messages that hold the engine up. Runs that answer when all is done have none of it.
        #[serde(default)]
        stream_overhead: Seconds,
        /// What the host takes for each running sequence beside the GPU: it prepares a step and hands out the tokens of
        /// the one before while another is computed, so that a step lasts at least as long.
        #[serde(default)]
        overlapped_sequence: Seconds,
        /// Whether every step is launched kernel by kernel, those that only decode too.
        #[serde(default)]
        eager: bool,
        /// What launching a layer kernel by kernel takes the host: a step lasts as long as the longer of its kernels
        /// and of their launches.
        #[serde(default)]
        eager_layer: Seconds,
        /// More for each of these layers whose attention is latent: a long chain of small kernels.
        #[serde(default)]
        eager_latent: Seconds,
        /// Whether steps that hold prompt tokens replay (piecewise) CUDA graphs too.
        #[serde(default)]
        prefill_graphs: bool,
        /// Time added to a step that holds prompt tokens and is launched kernel by kernel, per layer.
        prefill_layer_overhead: Seconds,
        /// More for each of these layers whose attention is latent: a long chain of small kernels.
        #[serde(default)]
        prefill_latent_overhead: Seconds,
        /// More for each of these layers whose mixer is recurrent: another such chain.
        #[serde(default)]
        prefill_recurrent_overhead: Seconds,
        /// Front-end time of one request (tokenisation, HTTP, first detokenisation) in a busy server.
        request_overhead: Seconds,
        /// The same of a request that comes by itself, or to a server in which nothing else runs; as in a busy one
        /// where it is not said.
        #[serde(default)]
        idle_request_overhead: Option<Seconds>,
        /// Other requests in flight at which a request that follows an answer finds the front end half as busy as it
        /// gets: `n/(n + this)` of what that adds to the first token.
        #[serde(default)]
        half_busy_requests: f64,
        /// Decode steps that pass before a new request is looked at.
        arrival_poll_steps: f64,
        /// Decode steps for which prompts wait for others to be computed with them.
        #[serde(default)]
        prompt_wait_steps: f64,
        /// Share of the token budget that ends this wait.
        #[serde(default)]
        prompt_wait_share: f64,
        /// Steps for which attention-data-parallel ranks that have prompts wait for the others to have one too, counted
        /// from the last time that prompts were let through.
        #[serde(default)]
        rank_wait_steps: f64,
        /// Steps for which they then wait for more.
        #[serde(default)]
        rank_gather_steps: f64,
        /// Whether requests go to attention-data-parallel ranks in turn; otherwise to the rank with the fewest.
        #[serde(default)]
        ranks_in_turn: bool,
        /// Decode steps that pass before a first token leaves a busy server.
        first_token_steps: f64,
        /// The same of a request that comes by itself, where what it costs there is said.
        #[serde(default)]
        idle_first_token_steps: f64,
        /// Share of a kernel's launch floor that remains inside a CUDA graph.
        launch_share: f64,
        /// Most tokens of a step without prompts whose shared experts run beside the routed ones, on a stream of
        /// their own or in the same kernel; zero where they never do.
        #[serde(default)]
        shared_experts_beside: u64,
        /// Share of on-the-fly activation quantisation that is neither static nor fused.
        quantise_share: f64,
        /// Share of the tokens that running sequences have yet to generate for which the KV cache must have room when
        /// another is let in: none where it is enough that a step finds its blocks.
        output_reserve: f64,
        /// The same of the one that is let in, where it differs.
        #[serde(default)]
        entering_reserve: Option<f64>,
        /// How the share of running sequences moves, where the engine learns it: `output_reserve` is its mean then.
        #[serde(default)]
        falling_reserve: Option<FallingReserve>,
        /// Whether what a sequence had that was thrown out of a full cache stays until others write over it, so that less of it
        /// is computed again: engines that keep prefixes.
        #[serde(default)]
        preempted_kept: bool,
        /// Whether, with split pools, the cache of a prompt is sent chunk by chunk while the next is computed;
        /// otherwise all of it when the prompt is done.
        #[serde(default)]
        sends_by_chunk: bool,
        /// What handing a prompt over takes with split pools beyond moving its cache: the two workers find each other, and each
        /// looks once a step for what has come.
        #[serde(default)]
        handover: Seconds,
    }
}

/// A share of unwritten outputs that an engine learns: it falls with every decode step, and rises to what the running
/// sequences have shown whenever one had to be thrown out.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FallingReserve {
    /// The share of a server that has just started.
    pub from: f64,
    /// The least.
    pub to: f64,
    /// Decode steps from the one to the other.
    pub steps: u64,
    /// Tokens of each sequence by which the share is above what they have generated when one is thrown out.
    pub ahead: u64,
}

impl Scheduling {
    /// Share of their output that running sequences take room for in the mean: half of it is there, and of the other half
    /// so much is kept free.
    pub fn output_held(&self) -> f64 {
        f64::midpoint(1.0, self.output_reserve)
    }

    /// Share of the output of a request that must find room when it is let in.
    pub fn entering(&self) -> f64 {
        self.entering_reserve.unwrap_or(self.output_reserve)
    }
}
