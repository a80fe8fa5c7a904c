//! What a plan has room for, and what would make it fit.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::estimate::estimated::Estimate;
pub use crate::estimate::fit::Fit;
use crate::estimate::memory::{MemoryUse, Verdict};
use crate::estimate::remedy::Remedy;
use crate::units::group_thousands;

use super::answer::Digits;
use super::column::{self, Cells, Column, List, Rows, Show};
use super::sheet::Sheet;

/// Two sentences on the room, and a line for each remedy.
pub fn fit_text(estimate: &Estimate, fit: &Fit) -> String {
    let (m, room) = (&estimate.memory, &fit.room);
    let from = fit.residuals.as_ref().map_or(String::new(), |r| match r.points {
        1 => " (1 start compared)".into(),
        n => format!(" ({n} starts compared)"),
    });
    let mut out = format!("Memory: {}, uncertain by {}{from}.", estimate.verdict.name(), m.band);
    if m.per_request.get() > 0 {
        let _ = write!(
            out,
            " Room for {} sequences at full length; with {} in flight, for contexts of {} tokens.",
            group_thousands(room.sequences),
            group_thousands(fit.batch),
            group_thousands(room.longest_context)
        );
    }
    if let Some(asked) = m.asked_of_all {
        let _ = write!(
            out,
            " At the start this version of the engine asks every pipeline worker for {}, the cache of one request in all \
             layers of the model; the least that one has is {}.",
            asked.request, asked.least
        );
    }
    if let Some(states) = m.states.filter(|states| states.may_be_too_few()) {
        let _ = write!(
            out,
            " The server starts with at most about {} sequences: each takes a block for its recurrent state.",
            group_thousands(states.blocks)
        );
    }
    if let Some((tokens, Verdict::DoesNotFit)) = fit.unstated_length {
        let most = match room.longest_alone {
            0 => "it starts with no length".to_owned(),
            most => format!("starts at {} tokens", group_thousands(most)),
        };
        let _ = write!(out, " As a server {most}, refused at its default {}.", group_thousands(tokens));
    }
    match room.smallest_fraction.filter(|_| fit.has_fraction) {
        Some(least) => {
            let _ =
                write!(out, " The smallest {} that works: {least} (taken: {}).", fit.fraction, room.fraction);
        }
        None if fit.has_fraction => {
            let _ = write!(out, " No {} works.", fit.fraction);
        }
        None => {}
    }
    if let Some(host) = &m.host {
        let cache = host.per_request;
        let _ = write!(
            out,
            " In the host's memory: weights of {}, {cache} of cache for a request.",
            host.weights
        );
    }
    out.push('\n');
    if fit.stages.len() > 1 {
        let _ = writeln!(out, "\nMemory of a rank of each stage, GiB\n{}", stages_sheet(fit).table(None));
    }
    if !fit.remedies.is_empty() {
        out.push_str("\nWhat would make it fit:\n");
    }
    fit.remedies.iter().for_each(|r| out.push_str(&remedy_text(r)));
    out
}

/// A remedy and what comes of it, on a line.
pub(super) fn remedy_text(r: &Remedy) -> String {
    format!(
        "  {} ({}): weights {}, KV cache {} for {} tokens, {} to spare; {}\n",
        r.change,
        r.parallelism,
        r.memory.weights,
        r.memory.kv_cache,
        group_thousands(r.memory.kv_cache_tokens),
        r.spare,
        r.memory.verdict().name()
    )
}

/// A rank of a pipeline stage, as a row.
enum Stages {}

/// The number of the stage, from 1, its layers, the memory of a rank of it, and its GPU.
struct Stage<'a>(u64, u64, &'a MemoryUse, &'a str);

impl Rows for Stages {
    type Row<'a> = Stage<'a>;
}

impl List for Stages {
    type Of = Stages;
    const NAME: &'static str = "Stage";
    fn columns() -> &'static [Column<Stages>] {
        STAGE_COLUMNS
    }
}

type C = Column<Stages>;

const STAGE_COLUMNS: &[C] = &[
    C::plain("stage", "number of the stage, from 1", |s| s.0.into()).integer(),
    C::plain("gpu", "GPU that it lies on", |s| s.3.into()).text().when(Show::Differing),
    C::plain("layers", "layers that it holds", |s| s.1.into()).integer(),
    C::plain("weights_gib", "weights of its fullest rank", |s| s.2.weights.as_gib().into()),
    C::plain("kv_cache_gib", "KV cache that the engine allocates there", |s| s.2.kv_cache.as_gib().into()),
    C::plain("activations_gib", "activation peak", |s| s.2.activations.as_gib().into()),
    C::plain("non_torch_gib", "context, libraries, communication buffers", |s| s.2.non_torch.as_gib().into()),
    C::plain("cuda_graphs_gib", "CUDA graphs", |s| s.2.cuda_graphs.as_gib().into()),
    C::plain("total_gib", "sum of the parts", |s| s.2.total().as_gib().into()),
    C::plain("capacity_gib", "physical memory of its GPU", |s| s.2.capacity.as_gib().into())
        .when(Show::Differing),
];

fn stages(fit: &Fit) -> Vec<Stage<'_>> {
    let numbered = fit.stages.iter().zip(1..);
    numbered.map(|((gpu, layers, memory), number)| Stage(number, *layers, memory, gpu)).collect()
}

/// The parts of each stage's memory.
fn stages_sheet(fit: &Fit) -> Sheet {
    column::sheet(STAGE_COLUMNS.iter(), &stages(fit))
}

/// What a plan has room for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Room")]
pub(super) struct RoomAnswer {
    /// How far the memory may lie from what is estimated, either way.
    band_gib: Digits,
    /// Starts of servers that this was read from; null where none were compared.
    starts_compared: Option<u32>,
    /// Sequences at full length that one replica holds.
    sequences: u64,
    /// Tokens of the longest sequences of which the batch finds room.
    longest_context_tokens: u64,
    /// That batch.
    at_batch: u64,
    /// Tokens of the longest sequence, were it alone.
    longest_alone_tokens: u64,
    /// The longest request that the server takes unless it is told, where the engine refuses to start without room for one
    /// and the question does not say how long it is.
    default_length: Option<DefaultLength>,
    /// The memory fraction that is taken; null for engines without one.
    memory_fraction: Option<f64>,
    /// The smallest with which the plan fits; null where none does.
    smallest_memory_fraction: Option<f64>,
    /// Memory of a rank of each pipeline stage.
    stages: Vec<Cells<Stages>>,
}

/// The longest request that a server takes unless it is told.
#[derive(Serialize, JsonSchema)]
struct DefaultLength {
    /// Its tokens.
    tokens: u64,
    /// Whether it finds room: fits, marginal or does_not_fit.
    verdict: &'static str,
}

impl RoomAnswer {
    pub(super) fn of(estimate: &Estimate, fit: &Fit) -> RoomAnswer {
        let room = &fit.room;
        RoomAnswer {
            band_gib: Digits(estimate.memory.band.as_gib()),
            starts_compared: fit.residuals.as_ref().map(|r| r.points),
            sequences: room.sequences,
            longest_context_tokens: room.longest_context,
            at_batch: fit.batch,
            longest_alone_tokens: room.longest_alone,
            default_length: fit
                .unstated_length
                .map(|(tokens, verdict)| DefaultLength { tokens, verdict: verdict.name() }),
            memory_fraction: fit.has_fraction.then_some(room.fraction),
            smallest_memory_fraction: room.smallest_fraction.filter(|_| fit.has_fraction),
            stages: stages(fit).iter().map(Cells::of).collect(),
        }
    }
}

/// A single change that makes a plan fit.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Remedy")]
pub(super) struct RemedyAnswer<'a> {
    /// What is changed.
    change: &'a str,
    /// The layout then.
    parallelism: String,
    /// Weights of the fullest rank then.
    weights_gib: Digits,
    /// KV cache then.
    kv_cache_gib: Digits,
    /// Tokens that it holds.
    kv_cache_tokens: u64,
    /// Room that is left beside one request at full length.
    spare_gib: Digits,
    /// Whether it fits: fits, marginal or does_not_fit.
    verdict: &'static str,
}

impl<'a> From<&'a Remedy> for RemedyAnswer<'a> {
    fn from(r: &'a Remedy) -> RemedyAnswer<'a> {
        RemedyAnswer {
            change: &r.change,
            parallelism: r.parallelism.to_string(),
            weights_gib: Digits(r.memory.weights.as_gib()),
            kv_cache_gib: Digits(r.memory.kv_cache.as_gib()),
            kv_cache_tokens: r.memory.kv_cache_tokens,
            spare_gib: Digits(r.spare.as_gib()),
            verdict: r.memory.verdict().name(),
        }
    }
}

/// The parts of a rank's memory.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Memory")]
pub(super) struct MemoryAnswer {
    /// Weights.
    weights_gib: Digits,
    /// KV cache that the engine allocates.
    kv_cache_gib: Digits,
    /// Tokens that it holds.
    kv_cache_tokens: u64,
    /// Activation peak.
    activations_gib: Digits,
    /// Context, libraries, communication buffers.
    non_torch_gib: Digits,
    /// CUDA graphs.
    cuda_graphs_gib: Digits,
    /// Physical memory.
    capacity_gib: Digits,
    /// How far the sum may lie from what is estimated, either way.
    band_gib: Digits,
    /// Whether it fits: fits, marginal or does_not_fit.
    verdict: &'static str,
}

impl From<&MemoryUse> for MemoryAnswer {
    fn from(m: &MemoryUse) -> MemoryAnswer {
        MemoryAnswer {
            weights_gib: Digits(m.weights.as_gib()),
            kv_cache_gib: Digits(m.kv_cache.as_gib()),
            kv_cache_tokens: m.kv_cache_tokens,
            activations_gib: Digits(m.activations.as_gib()),
            non_torch_gib: Digits(m.non_torch.as_gib()),
            cuda_graphs_gib: Digits(m.cuda_graphs.as_gib()),
            capacity_gib: Digits(m.capacity.as_gib()),
            band_gib: Digits(m.band.as_gib()),
            verdict: m.verdict().name(),
        }
    }
}
