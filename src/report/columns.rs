//! The columns of a plan: name, meaning, where the value comes from. Tables, CSV, JSON and sweeps read
//! this one list.

use crate::estimate::deployment::{Estimate, Verified};
use crate::estimate::memory::Verdict;
use crate::estimate::pairing::PrefillFacts;
use crate::estimate::range::Ranges;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Whole number.
    Integer(u64),
    /// Real number.
    Real(f64),
    /// Whether a plan fits.
    Verdict(Verdict),
    /// Difference in per cent, signed.
    Change(f64),
    /// Not known (no price, for example).
    Missing,
}

impl From<f64> for Value {
    fn from(x: f64) -> Value {
        if x.is_finite() { Value::Real(x) } else { Value::Missing }
    }
}
impl From<u64> for Value {
    fn from(n: u64) -> Value {
        Value::Integer(n)
    }
}
impl From<u32> for Value {
    fn from(n: u32) -> Value {
        Value::Integer(n.into())
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// A ranked plan.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Place in the ranking, from 1; `None` outside a ranking.
    pub rank: Option<u64>,
    /// The plan.
    pub estimate: &'a Estimate,
    /// What it is compared with.
    pub current: Option<&'a Estimate>,
}

impl<'a> From<&'a Estimate> for Row<'a> {
    /// Outside a ranking, compared with nothing.
    fn from(estimate: &'a Estimate) -> Row<'a> {
        Row { rank: None, estimate, current: None }
    }
}

/// One column.
#[derive(Clone, Copy)]
pub struct Column {
    /// Key in CSV and JSON, with the unit.
    pub name: &'static str,
    /// Object that holds it in JSON.
    pub group: Option<&'static str>,
    /// Heading in tables; columns without one appear only in CSV and JSON.
    pub heading: Option<&'static str>,
    /// What it says.
    pub about: &'static str,
    /// The value.
    pub of: fn(&Row) -> Value,
}

/// A column that tables show.
const fn shown(
    name: &'static str,
    heading: &'static str,
    about: &'static str,
    of: fn(&Row) -> Value,
) -> Column {
    Column { name, group: None, heading: Some(heading), about, of }
}

/// A column of CSV and JSON alone.
const fn quiet(name: &'static str, about: &'static str, of: fn(&Row) -> Value) -> Column {
    Column { name, group: None, heading: None, about, of }
}

/// A part of the memory.
const fn memory(name: &'static str, about: &'static str, of: fn(&Row) -> Value) -> Column {
    Column { name, group: Some("memory"), heading: None, about, of }
}

/// A figure of the prefill pool, if there is one.
fn prefill(row: &Row, of: fn(&PrefillFacts) -> Value) -> Value {
    row.estimate.prefill.as_ref().map_or(Value::Missing, of)
}

/// A figure of the simulation, if there was one.
fn simulated(row: &Row, of: fn(&Verified) -> f64) -> Value {
    row.estimate.verified.as_ref().map_or(Value::Missing, |v| of(v).into())
}

/// Tables show it where plans are ranked by it.
const ENERGY: Column =
    shown("energy_j_per_output_token", "J/tok out", "joules per output token, GPUs used", |r| {
        r.estimate.energy.per_output.get().into()
    });

/// Every column of a plan, in order.
pub const PLAN_COLUMNS: &[Column] = &[
    shown("rank", "#", "place in the ranking", |r| r.rank.map_or(Value::Missing, Value::Integer)),
    shown("gpu", "gpu", "GPU that it runs on", |r| r.estimate.gpu.as_str().into()),
    shown("engine", "engine", "serving engine", |r| r.estimate.engine.as_str().into()),
    quiet("engine_version", "its version, whose defaults apply", |r| {
        Value::Text(r.estimate.engine_version.to_string())
    }),
    quiet("mode", "aggregated, or split into prefill and decode pools", |r| {
        if r.estimate.prefill.is_some() { "split".into() } else { "aggregated".into() }
    }),
    shown("weights", "weights", "format of most weights", |r| r.estimate.weights.name().into()),
    shown("kv", "kv", "type of the KV cache", |r| r.estimate.kv.name().into()),
    shown("max_sequences", "max seqs", "most sequences in one batch, as launched", |r| {
        r.estimate.limits.max_sequences.into()
    }),
    shown("max_batched_tokens", "max tokens", "most tokens in one step, as launched", |r| {
        r.estimate.limits.max_batched_tokens.into()
    }),
    shown("draft_tokens", "drafts", "tokens drafted for each step", |r| {
        r.estimate.speculation.map_or(0, |s| s.tokens).into()
    }),
    shown("tp", "tp", "tensor parallel", |r| r.estimate.parallelism.tp.into()),
    shown("pp", "pp", "pipeline stages", |r| r.estimate.parallelism.pp.into()),
    shown("ep", "ep", "expert parallel", |r| r.estimate.parallelism.ep.into()),
    shown("attention_dp", "adp", "attention data parallel", |r| r.estimate.parallelism.attention_dp.into()),
    shown("dcp", "dcp", "decode context parallel", |r| r.estimate.parallelism.dcp.into()),
    shown("expert_tp", "etp", "tensor parallel inside each expert", |r| r.estimate.expert_tp.into()),
    shown(
        "gpu_layers",
        "gpu layers",
        "layers on the GPUs and the output projection, where some are with the host",
        |r| r.estimate.limits.offload.gpu_layers.map_or(Value::Missing, Value::Integer),
    ),
    shown("n_cpu_moe", "cpu moe", "first layers whose experts are with the host", |r| {
        r.estimate.limits.offload.host_experts.map_or(Value::Missing, Value::Integer)
    }),
    quiet(
        "tensor_split",
        "layers and output projection of each GPU, where they are dealt out unevenly",
        |r| r.estimate.limits.offload.shares.map_or(Value::Missing, |shares| Value::Text(shares.text())),
    ),
    shown("replicas", "replicas", "independent copies of the engine", |r| r.estimate.replicas.into()),
    shown(
        "prefill",
        "prefill",
        "prefill workers and the split of one; other columns are of decode workers",
        |r| prefill(r, |p| Value::Text(format!("{} × {}", p.workers, p.parallelism))),
    ),
    quiet("prefill_replicas", "prefill workers", |r| prefill(r, |p| p.workers.into())),
    quiet("prefill_gpu", "GPU of a prefill worker", |r| prefill(r, |p| p.gpu.as_str().into())),
    quiet("prefill_tp", "tensor parallel of a prefill worker", |r| prefill(r, |p| p.parallelism.tp.into())),
    quiet("prefill_pp", "its pipeline stages", |r| prefill(r, |p| p.parallelism.pp.into())),
    quiet("prefill_ep", "expert parallel of a prefill worker", |r| prefill(r, |p| p.parallelism.ep.into())),
    quiet("prefill_attention_dp", "attention data parallel of a prefill worker", |r| {
        prefill(r, |p| p.parallelism.attention_dp.into())
    }),
    quiet("prefill_load", "share of its time that a prefill worker computes", |r| {
        prefill(r, |p| p.load.into())
    }),
    quiet("kv_transfer_ms", "what a first token waits for the transfer of the cache", |r| {
        prefill(r, |p| p.transfer.as_millis().into())
    }),
    shown("gpus", "gpus", "GPUs used", |r| r.estimate.gpus.into()),
    shown("idle_gpus", "idle", "GPUs of the cluster left idle", |r| r.estimate.idle_gpus.into()),
    shown("batch", "batch", "requests in flight on each replica", |r| r.estimate.batch.into()),
    quiet("max_batch", "most requests in flight on a replica", |r| r.estimate.max_batch.into()),
    shown("ttft_ms", "TTFT ms", "time to first token, mean", |r| r.estimate.service.ttft.as_millis().into()),
    shown("tpot_ms", "TPOT ms", "time per output token after the first, mean", |r| {
        r.estimate.service.tpot.as_millis().into()
    }),
    quiet("e2e_ms", "request to last token, mean", |r| r.estimate.service.e2e.as_millis().into()),
    shown("output_tokens_per_s", "tok/s", "output tokens per second, all replicas", |r| {
        r.estimate.output.get().into()
    }),
    shown("output_tokens_per_s_per_gpu", "tok/s/gpu", "the same per GPU used", |r| {
        r.estimate.output_per_gpu.get().into()
    }),
    quiet("output_tokens_per_s_per_user", "tokens per second of one stream after the first", |r| {
        (1.0 / r.estimate.service.tpot.get()).into()
    }),
    quiet("requests_in_flight", "requests in flight over the deployment", |r| r.estimate.in_flight.into()),
    quiet("price_usd_per_hour", "dollars per hour, GPUs used", |r| {
        r.estimate.price.map_or(Value::Missing, |p| p.get().into())
    }),
    quiet("requests_per_s", "requests per second, all replicas", |r| {
        (r.estimate.service.requests.get() * f64::from(r.estimate.replicas)).into()
    }),
    shown("cost_usd_per_mtok_output", "$/Mtok out", "dollars per million output tokens, GPUs used", |r| {
        r.estimate.cost_output.map_or(Value::Missing, |c| c.get().into())
    }),
    quiet("cost_usd_per_mtok_total", "dollars per million tokens, input and output", |r| {
        r.estimate.cost_total.map_or(Value::Missing, |c| c.get().into())
    }),
    quiet("power_w_per_gpu", "power of one GPU used, mean", |r| r.estimate.energy.power.get().into()),
    ENERGY,
    quiet("energy_j_per_token", "joules per token, input and output", |r| {
        r.estimate.energy.per_token.get().into()
    }),
    quiet("energy_kwh_per_mtok_output", "kWh of the GPUs used per million output tokens", |r| {
        r.estimate.energy.per_output.as_kwh_per_million().into()
    }),
    quiet("electricity_usd_per_mtok_output", "part of the cost that electricity makes, if priced", |r| {
        r.estimate.electricity_output.map_or(Value::Missing, |c| c.get().into())
    }),
    memory("weights_gib", "weights of the fullest rank", |r| r.estimate.memory.weights.as_gib().into()),
    memory("kv_cache_gib", "KV cache that the engine allocates", |r| {
        r.estimate.memory.kv_cache.as_gib().into()
    }),
    memory("kv_cache_tokens", "tokens that it holds", |r| r.estimate.memory.kv_cache_tokens.into()),
    memory("activations_gib", "activation peak", |r| r.estimate.memory.activations.as_gib().into()),
    memory("non_torch_gib", "context, libraries, communication buffers", |r| {
        r.estimate.memory.non_torch.as_gib().into()
    }),
    memory("cuda_graphs_gib", "CUDA graphs", |r| r.estimate.memory.cuda_graphs.as_gib().into()),
    memory("total_gib", "sum of the parts", |r| r.estimate.memory.total().as_gib().into()),
    memory("host_gib", "weights in the host's memory, where some are left there", |r| {
        r.estimate.memory.host.map_or(Value::Missing, |host| host.weights.as_gib().into())
    }),
    memory("capacity_gib", "physical memory", |r| r.estimate.memory.capacity.as_gib().into()),
    quiet("simulated_ttft_ms", "time to first token as simulated, if it was", |r| {
        simulated(r, |v| v.ttft.as_millis())
    }),
    quiet("simulated_tpot_ms", "time per output token as simulated", |r| {
        simulated(r, |v| v.tpot.as_millis())
    }),
    quiet("simulated_e2e_ms", "request to last token as simulated", |r| simulated(r, |v| v.e2e.as_millis())),
    shown("simulated_output_tokens_per_s", "sim tok/s", "output tokens per second as simulated", |r| {
        simulated(r, |v| v.output.get())
    }),
    shown("headroom_gib", "headroom GiB", "KV cache left over at this batch", |r| {
        r.estimate.headroom.as_gib().into()
    }),
    shown("verdict", "memory", "fits, marginal or does_not_fit", |r| Value::Verdict(r.estimate.verdict)),
    quiet("ttft_ms_low", "eight of ten measured servers of such a model and engine lie from here", |r| {
        range(r, |ranges| ranges.ttft.0.as_millis())
    }),
    quiet("ttft_ms_high", "to here", |r| range(r, |ranges| ranges.ttft.1.as_millis())),
    quiet("tpot_ms_low", "the same of the time per output token", |r| {
        range(r, |ranges| ranges.tpot.0.as_millis())
    }),
    quiet("tpot_ms_high", "to here", |r| range(r, |ranges| ranges.tpot.1.as_millis())),
    quiet("output_tokens_per_s_low", "the throughput that follows from both", |r| {
        range(r, |ranges| ranges.output.0.get())
    }),
    quiet("output_tokens_per_s_high", "to here", |r| range(r, |ranges| ranges.output.1.get())),
    shown("provenance", "kernels", "measured, fitted, mixed or uncalibrated kernel times", |r| {
        r.estimate.service.provenance.name().into()
    }),
];

/// Whether every row rests on measurements of its very GPU, so that nothing needs to be marked.
pub(super) fn all_calibrated<'a>(mut estimates: impl Iterator<Item = &'a Estimate>) -> bool {
    estimates.all(|e| e.service.provenance.is_calibrated())
}

/// An end of a range, where servers of the class were measured.
fn range(row: &Row, end: fn(&Ranges) -> f64) -> Value {
    row.estimate.ranges.as_ref().map_or(Value::Missing, |ranges| end(ranges).into())
}

/// Columns that stand beside the others where plans are compared with what runs today.
pub const DELTA_COLUMNS: &[Column] = &[
    shown("delta_output_tokens_per_s_percent", "Δtok/s", "output tokens per second against today", |r| {
        change(r, |e| Some(e.output.get()))
    }),
    shown("delta_ttft_percent", "ΔTTFT", "time to first token against today", |r| {
        change(r, |e| Some(e.service.ttft.get()))
    }),
    shown("delta_tpot_percent", "ΔTPOT", "time per output token against today", |r| {
        change(r, |e| Some(e.service.tpot.get()))
    }),
    shown("delta_cost_percent", "Δ$", "dollars per output token against today", |r| {
        change(r, |e| e.cost_output.map(|c| c.get()))
    }),
    quiet("delta_energy_percent", "joules per output token against today", |r| {
        change(r, |e| Some(e.energy.per_output.get()))
    }),
    shown("delta_gpus_percent", "Δgpus", "GPUs used against today", |r| change(r, |e| Some(e.gpus as f64))),
];

/// The difference of a figure to what runs today.
fn change(row: &Row, of: fn(&Estimate) -> Option<f64>) -> Value {
    match (of(row.estimate), row.current.and_then(of)) {
        (Some(now), Some(then)) if then != 0.0 => Value::Change(100.0 * (now / then - 1.0)),
        _ => Value::Missing,
    }
}

/// The columns of a plan, with the differences where there is something to differ from.
pub fn columns(compared: bool) -> impl Iterator<Item = &'static Column> {
    PLAN_COLUMNS.iter().chain(if compared { DELTA_COLUMNS } else { &[] })
}
