//! The columns of a plan: name, meaning, where the value comes from, when it is shown. Tables, CSV, JSON and sweeps read
//! this one list.

use crate::estimate::estimated::PrefillFacts;
use crate::estimate::estimated::{ClosedForm, Estimate};
use crate::estimate::figures::Verified;
use crate::estimate::range::Ranges;
use crate::estimate::sessions::Reuse;
use crate::plan::Axis;

use super::cell::Value;
use super::column::{Column, Idle, Rows, Show, Situation, sheet};
use super::sheet::Sheet;

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

/// Plans, as rows.
#[derive(Clone, Copy, Debug)]
pub enum Plans {}

impl Rows for Plans {
    type Row<'a> = Row<'a>;
}

type Plan = Column<Plans>;

/// A column that tables show.
const fn shown(
    name: &'static str,
    heading: &'static str,
    about: &'static str,
    of: fn(&Row) -> Value,
) -> Plan {
    Plan::shown(name, heading, about, of)
}

/// A column of CSV and JSON alone.
const fn quiet(name: &'static str, about: &'static str, of: fn(&Row) -> Value) -> Plan {
    Plan::quiet(name, about, of)
}

/// A part of the memory.
const fn memory(name: &'static str, about: &'static str, of: fn(&Row) -> Value) -> Plan {
    quiet(name, about, of).within("memory")
}

/// A figure of the prefill pool, if there is one.
fn prefill(row: &Row, of: impl Fn(&PrefillFacts) -> Value) -> Value {
    row.estimate.prefill.as_ref().map_or(Value::Missing, of)
}

/// A figure of tokens that come out, if any do.
fn decoded(row: &Row, value: impl Into<Value>) -> Value {
    if row.estimate.purpose.pools() { Value::Missing } else { value.into() }
}

/// A figure of answers that are made of their inputs alone, if they are.
fn pooled(row: &Row, value: impl Into<Value>) -> Value {
    if row.estimate.purpose.pools() { value.into() } else { Value::Missing }
}

/// Requests per second of all replicas.
fn requests(estimate: &Estimate) -> f64 {
    estimate.service.requests.get() * f64::from(estimate.replicas)
}

/// A figure of the simulation, if there was one.
fn simulated(row: &Row, of: fn(&Verified) -> f64) -> Value {
    row.estimate.verified.as_ref().map_or(Value::Missing, |v| of(v).into())
}

/// A figure of the simulation of tokens that come out, if there was one and any do.
fn simulated_tokens(row: &Row, of: fn(&Verified) -> f64) -> Value {
    if row.estimate.purpose.pools() { Value::Missing } else { simulated(row, of) }
}

/// A figure of the closed form of a plan that was simulated.
fn closed(row: &Row, of: fn(&ClosedForm) -> f64) -> Value {
    row.estimate.closed.as_ref().map_or(Value::Missing, |c| of(c).into())
}

/// The same of tokens that come out, if any do.
fn closed_tokens(row: &Row, of: fn(&ClosedForm) -> f64) -> Value {
    if row.estimate.purpose.pools() { Value::Missing } else { closed(row, of) }
}

/// A figure of the caches of sessions, where requests are turns of them.
fn sessions(row: &Row, of: fn(&Reuse) -> f64) -> Value {
    row.estimate.reuse.as_ref().map_or(Value::Missing, |reuse| of(reuse).into())
}

/// Tables show it where plans are ranked by it.
const ENERGY: Plan =
    shown("energy_j_per_output_token", "J/tok out", "joules per output token, GPUs used", |r| {
        decoded(r, r.estimate.energy.per_output.get())
    })
    .nullable()
    .when(Show::In(Situation::RankedByEnergy))
    .on_page();

const TENSOR: usize = Axis::Tensor as usize;
const PIPELINE: usize = Axis::Pipeline as usize;
const EXPERT: usize = Axis::Expert as usize;
const ATTENTION_DATA: usize = Axis::AttentionData as usize;
const DECODE_CONTEXT: usize = Axis::DecodeContext as usize;

/// The degree along an axis, by its place in the list of all.
const fn degree<const AXIS: usize>() -> Plan {
    let axis = Axis::ALL[AXIS];
    shown(axis.name(), axis.heading(), axis.meaning(), |r| {
        r.estimate.parallelism.degree(Axis::ALL[AXIS]).into()
    })
    .integer()
    .on_page()
}

/// The same of a prefill worker.
const fn prefill_degree<const AXIS: usize>(name: &'static str, about: &'static str) -> Plan {
    quiet(name, about, |r| prefill(r, |p| p.parallelism.degree(Axis::ALL[AXIS]).into())).integer().optional()
}

/// Every column of a plan, in order.
pub const PLAN_COLUMNS: &[Plan] = &[
    shown("rank", "#", "place in the ranking", |r| r.rank.into()).integer().optional().of_deployment(),
    shown("gpu", "gpu", "GPU that it runs on", |r| r.estimate.gpu.as_str().into())
        .text()
        .when(Show::In(Situation::SeveralGpus))
        .of_fleet(Show::In(Situation::SeveralGpus))
        .on_page(),
    shown("engine", "engine", "serving engine", |r| r.estimate.engine.as_str().into())
        .text()
        .when(Show::Once)
        .of_fleet(Show::Always)
        .on_page(),
    quiet("engine_version", "its version, whose defaults apply", |r| {
        Value::Text(r.estimate.engine_version.to_string())
    })
    .text(),
    quiet("mode", "aggregated, or split into prefill and decode pools", |r| {
        if r.estimate.prefill.is_some() { "split".into() } else { "aggregated".into() }
    })
    .text(),
    shown("weights", "weights", "format of most weights", |r| r.estimate.weights.name().into())
        .text()
        .when(Show::Once)
        .spare(5)
        .on_page(),
    shown("kv", "kv", "type of the KV cache", |r| r.estimate.kv.name().into())
        .text()
        .when(Show::Once)
        .spare(3)
        .on_page(),
    shown("max_sequences", "max seqs", "most sequences in one batch, as launched", |r| {
        r.estimate.limits.max_sequences.into()
    })
    .integer()
    .when(Show::Differing),
    shown("max_batched_tokens", "max tokens", "most tokens in one step, as launched", |r| {
        r.estimate.limits.max_batched_tokens.into()
    })
    .integer()
    .when(Show::Differing),
    shown("draft_tokens", "drafts", "tokens drafted for each step", |r| {
        r.estimate.speculation.map_or(0, |s| s.tokens).into()
    })
    .integer()
    .when(Show::Differing),
    degree::<TENSOR>().of_fleet(Show::Always),
    degree::<PIPELINE>().of_fleet(Show::Unless(Idle::One)),
    degree::<EXPERT>().when(Show::Unless(Idle::One)).of_fleet(Show::Unless(Idle::One)),
    degree::<ATTENTION_DATA>().when(Show::Unless(Idle::One)).of_fleet(Show::Unless(Idle::One)),
    degree::<DECODE_CONTEXT>().when(Show::Unless(Idle::One)).of_fleet(Show::Unless(Idle::One)),
    shown("expert_tp", "etp", "tensor parallel inside each expert", |r| r.estimate.expert_tp.into())
        .integer()
        .when(Show::Unless(Idle::One))
        .spare(4),
    shown(
        "gpu_layers",
        "gpu layers",
        "layers on the GPUs and the output projection, where some are with the host",
        |r| r.estimate.limits.offload.gpu_layers.map_or(Value::Missing, Value::Integer),
    )
    .integer()
    .when(Show::Unless(Idle::Missing)),
    shown("n_cpu_moe", "cpu moe", "first layers whose experts are with the host", |r| {
        r.estimate.limits.offload.host_experts.map_or(Value::Missing, Value::Integer)
    })
    .integer()
    .when(Show::Unless(Idle::Missing)),
    shown(
        "tensor_split",
        "layers",
        "layers of each stage, of llama.cpp proportions of its GPUs, where they are dealt out unevenly",
        |r| r.estimate.limits.offload.shares.map_or(Value::Missing, |shares| Value::Text(shares.text())),
    )
    .text()
    .when(Show::Unless(Idle::Missing)),
    shown("replicas", "replicas", "independent copies of the engine", |r| r.estimate.replicas.into())
        .integer()
        .of_deployment()
        .on_page(),
    shown(
        "prefill",
        "prefill",
        "prefill workers and the split of one; other columns are of decode workers",
        |r| {
            // Prompts may be computed on GPUs of another kind.
            let own = r.estimate.gpu.as_str();
            let apart = |gpu: &str| if gpu == own { String::new() } else { format!("{gpu}, ") };
            prefill(r, |p| Value::Text(format!("{} × {}{}", p.workers, apart(&p.gpu), p.parallelism)))
        },
    )
    .text()
    .when(Show::Unless(Idle::Missing))
    .optional(),
    quiet("prefill_replicas", "prefill workers", |r| prefill(r, |p| p.workers.into())).integer().optional(),
    quiet("prefill_gpu", "GPU of a prefill worker", |r| prefill(r, |p| p.gpu.as_str().into()))
        .text()
        .optional(),
    prefill_degree::<TENSOR>("prefill_tp", "tensor parallel of a prefill worker"),
    prefill_degree::<PIPELINE>("prefill_pp", "its pipeline stages"),
    prefill_degree::<EXPERT>("prefill_ep", "expert parallel of a prefill worker"),
    prefill_degree::<ATTENTION_DATA>("prefill_attention_dp", "attention data parallel of a prefill worker"),
    quiet("prefill_load", "share of its time that a prefill worker computes", |r| {
        prefill(r, |p| p.load.into())
    })
    .optional(),
    quiet("kv_transfer_ms", "what a first token waits for the transfer of the cache", |r| {
        prefill(r, |p| p.transfer.as_millis().into())
    })
    .optional(),
    shown("gpus", "gpus", "GPUs used", |r| r.estimate.gpus.into())
        .integer()
        .spare(7)
        .of_deployment()
        .on_page(),
    shown("idle_gpus", "idle", "GPUs of the cluster left idle", |r| r.estimate.idle_gpus.into())
        .integer()
        .when(Show::Unless(Idle::Zero))
        .spare(2)
        .of_deployment(),
    shown("batch", "batch", "requests in flight on each replica", |r| r.estimate.batch.into())
        .rounded_up()
        .on_page(),
    quiet("max_batch", "most requests in flight on a replica", |r| r.estimate.max_batch.into()).integer(),
    shown("ttft_ms", "TTFT ms", "time to first token, mean", |r| {
        decoded(r, r.estimate.service.ttft.as_millis())
    })
    .when(Show::Unless(Idle::Missing))
    .of_fleet(Show::Unless(Idle::Missing))
    .on_page(),
    quiet("encoder_ms", "encoding the images and sound of one prompt, where it brings any", |r| {
        match r.estimate.encoding {
            none if none.get() <= 0.0 => Value::Missing,
            time => time.as_millis().into(),
        }
    })
    .optional(),
    shown("tpot_ms", "TPOT ms", "time per output token after the first, mean", |r| {
        decoded(r, r.estimate.service.tpot.as_millis())
    })
    .when(Show::Unless(Idle::Missing))
    .of_fleet(Show::Unless(Idle::Missing))
    .on_page(),
    shown("e2e_ms", "e2e ms", "request to last token, mean", |r| r.estimate.service.e2e.as_millis().into())
        .when(Show::In(Situation::Pooled))
        .of_fleet(Show::In(Situation::Pooled))
        .on_page(),
    shown("output_tokens_per_s", "tok/s", "output tokens per second, all replicas", |r| {
        decoded(r, r.estimate.output.get())
    })
    .when(Show::Unless(Idle::Missing))
    .spare(6)
    .on_page(),
    shown("output_tokens_per_s_per_gpu", "tok/s/gpu", "the same per GPU used", |r| {
        decoded(r, r.estimate.output_per_gpu.get())
    })
    .when(Show::Unless(Idle::Missing))
    .on_page(),
    quiet("output_tokens_per_s_per_user", "tokens per second of one stream after the first", |r| {
        decoded(r, 1.0 / r.estimate.service.tpot.get())
    })
    .nullable(),
    quiet("requests_in_flight", "requests in flight over the deployment", |r| r.estimate.in_flight.into()),
    shown(
        "prefix_hit",
        "hits",
        "share of the prompt tokens that are in the prefix cache, where some are",
        |r| r.estimate.prefix_hit.map_or(Value::Missing, Value::from),
    )
    .when(Show::Unless(Idle::Missing))
    .spare(6)
    .optional()
    .on_page(),
    quiet(
        "prefix_loaded",
        "share of the prompt tokens that is loaded from tiers below the GPUs' cache",
        |r| sessions(r, |reuse| reuse.loaded),
    )
    .optional(),
    quiet("prefix_residence_s", "how long what was said stays in the GPUs' cache, of sessions", |r| {
        sessions(r, |reuse| reuse.residence.get())
    })
    .optional(),
    shown("users", "users", "users of sessions, all replicas", |r| {
        let replicas = f64::from(r.estimate.replicas);
        r.estimate.reuse.map_or(Value::Missing, |reuse| (reuse.users * replicas).into())
    })
    .when(Show::Unless(Idle::Missing))
    .spare(6)
    .optional()
    .on_page(),
    quiet("price_usd_per_hour", "dollars per hour, GPUs used", |r| {
        r.estimate.price.map_or(Value::Missing, |p| p.get().into())
    })
    .nullable(),
    shown("requests_per_s", "req/s", "requests per second, all replicas", |r| requests(r.estimate).into())
        .when(Show::In(Situation::Pooled))
        .on_page(),
    shown("requests_per_s_per_gpu", "req/s/gpu", "the same per GPU used, of embedding and reranking", |r| {
        pooled(r, requests(r.estimate) / r.estimate.gpus as f64)
    })
    .when(Show::In(Situation::Pooled))
    .optional(),
    shown("input_tokens_per_s", "tok/s in", "input tokens per second, of embedding and reranking", |r| {
        pooled(r, requests(r.estimate) * r.estimate.prompt_tokens as f64)
    })
    .when(Show::In(Situation::Pooled))
    .optional(),
    shown(
        "cost_usd_per_million_requests",
        "$/M req",
        "dollars per million requests of embedding and reranking",
        |r| r.estimate.cost_output.map_or(Value::Missing, |c| pooled(r, c.get())),
    )
    .when(Show::In(Situation::Pooled))
    .of_deployment()
    .optional(),
    shown("cost_usd_per_mtok_output", "$/Mtok out", "dollars per million output tokens, GPUs used", |r| {
        r.estimate.cost_output.map_or(Value::Missing, |c| decoded(r, c.get()))
    })
    .when(Show::Unless(Idle::Missing))
    .spare(8)
    .of_deployment()
    .on_page(),
    quiet("cost_usd_per_mtok_total", "dollars per million tokens, input and output", |r| {
        r.estimate.cost_total.map_or(Value::Missing, |c| c.get().into())
    })
    .nullable()
    .of_deployment(),
    quiet("power_w_per_gpu", "power of one GPU used, mean", |r| r.estimate.energy.power.get().into()),
    ENERGY,
    quiet("energy_j_per_token", "joules per token, input and output", |r| {
        r.estimate.energy.per_token.get().into()
    }),
    quiet("energy_kwh_per_mtok_output", "kWh of the GPUs used per million output tokens", |r| {
        decoded(r, r.estimate.energy.per_output.as_kwh_per_million())
    })
    .nullable(),
    quiet("electricity_usd_per_mtok_output", "part of the cost that electricity makes, if priced", |r| {
        r.estimate.electricity_output.map_or(Value::Missing, |c| decoded(r, c.get()))
    })
    .nullable(),
    memory("weights_gib", "weights of the fullest rank", |r| r.estimate.memory.weights.as_gib().into())
        .on_page(),
    memory("kv_cache_gib", "KV cache that the engine allocates", |r| r.estimate.cache.0.as_gib().into())
        .on_page(),
    memory("kv_cache_tokens", "tokens that it holds", |r| r.estimate.cache.1.into()).integer(),
    memory("one_request_gib", "KV cache that one request of the longest length needs", |r| {
        r.estimate.memory.request_asked_for().as_gib().into()
    }),
    memory("activations_gib", "activation peak", |r| r.estimate.memory.activations.as_gib().into()).on_page(),
    memory("non_torch_gib", "context, libraries, communication buffers", |r| {
        r.estimate.memory.non_torch.as_gib().into()
    })
    .on_page(),
    memory("cuda_graphs_gib", "CUDA graphs", |r| r.estimate.memory.cuda_graphs.as_gib().into()).on_page(),
    memory("total_gib", "sum of the parts", |r| {
        r.estimate.memory.total_with(r.estimate.cache.0).as_gib().into()
    }),
    memory("host_gib", "weights in the host's memory, where some are left there", |r| {
        r.estimate.memory.host.map_or(Value::Missing, |host| host.weights.as_gib().into())
    })
    .nullable(),
    memory("capacity_gib", "physical memory", |r| r.estimate.memory.capacity.as_gib().into()).on_page(),
    quiet("closed_ttft_ms", "mean time to first token in closed form, of a plan that was simulated", |r| {
        closed_tokens(r, |c| c.times.ttft.as_millis())
    })
    .optional(),
    quiet("closed_tpot_ms", "the same of the time per output token", |r| {
        closed_tokens(r, |c| c.times.tpot.as_millis())
    })
    .optional(),
    quiet("closed_e2e_ms", "the same of request to last token", |r| closed(r, |c| c.times.e2e.as_millis()))
        .optional(),
    quiet("closed_output_tokens_per_s", "output tokens per second in closed form, the same", |r| {
        closed_tokens(r, |c| c.output.get())
    })
    .optional(),
    quiet("simulated_ttft_ms", "time to first token as simulated, if it was, on what its limit is on", |r| {
        simulated_tokens(r, |v| v.ttft.as_millis())
    })
    .optional(),
    quiet("simulated_tpot_ms", "time per output token as simulated, the same", |r| {
        simulated_tokens(r, |v| v.tpot.as_millis())
    })
    .optional(),
    quiet("simulated_e2e_ms", "request to last token as simulated, the same", |r| {
        simulated(r, |v| v.e2e.as_millis())
    })
    .optional(),
    quiet("simulated_ttft_p50_ms", "median time to first token as simulated", |r| {
        simulated_tokens(r, |v| v.tails.ttft.p50.as_millis())
    })
    .optional(),
    quiet("simulated_ttft_p95_ms", "its 95th percentile", |r| {
        simulated_tokens(r, |v| v.tails.ttft.p95.as_millis())
    })
    .optional(),
    quiet("simulated_ttft_p99_ms", "its 99th percentile", |r| {
        simulated_tokens(r, |v| v.tails.ttft.p99.as_millis())
    })
    .optional(),
    quiet("simulated_tpot_p50_ms", "median time per output token as simulated", |r| {
        simulated_tokens(r, |v| v.tails.tpot.p50.as_millis())
    })
    .optional(),
    quiet("simulated_tpot_p95_ms", "its 95th percentile", |r| {
        simulated_tokens(r, |v| v.tails.tpot.p95.as_millis())
    })
    .optional(),
    quiet("simulated_tpot_p99_ms", "its 99th percentile", |r| {
        simulated_tokens(r, |v| v.tails.tpot.p99.as_millis())
    })
    .optional(),
    quiet("simulated_e2e_p50_ms", "median request to last token as simulated", |r| {
        simulated(r, |v| v.tails.e2e.p50.as_millis())
    })
    .optional(),
    quiet("simulated_e2e_p95_ms", "its 95th percentile", |r| simulated(r, |v| v.tails.e2e.p95.as_millis()))
        .optional(),
    quiet("simulated_e2e_p99_ms", "its 99th percentile", |r| simulated(r, |v| v.tails.e2e.p99.as_millis()))
        .optional(),
    shown("simulated_output_tokens_per_s", "sim tok/s", "output tokens per second as simulated", |r| {
        simulated_tokens(r, |v| v.output.get())
    })
    .when(Show::Unless(Idle::Missing))
    .optional(),
    shown(
        "simulated_requests_per_s",
        "sim req/s",
        "requests per second of embedding and reranking as simulated",
        |r| r.estimate.verified.as_ref().map_or(Value::Missing, |v| pooled(r, v.output.get())),
    )
    .when(Show::Unless(Idle::Missing))
    .optional(),
    shown(
        "holds_percent",
        "holds %",
        "chance that a server keeps every limit on a time, by those measured",
        |r| percent(r.estimate.holds.all()),
    )
    .when(Show::Unless(Idle::Missing))
    .of_fleet(Show::Unless(Idle::Missing))
    .optional(),
    quiet("holds_ttft_percent", "chance that it keeps the limit on the time to first token", |r| {
        percent(r.estimate.holds.ttft)
    })
    .optional(),
    quiet("holds_tpot_percent", "the same of the time per output token", |r| percent(r.estimate.holds.tpot))
        .optional(),
    quiet("holds_e2e_percent", "the same of the time from request to last token", |r| {
        percent(r.estimate.holds.e2e)
    })
    .optional(),
    quiet("headroom_gib", "KV cache left over at this batch", |r| r.estimate.headroom.as_gib().into())
        .on_page(),
    shown(
        "margin_gib",
        "margin GiB",
        "memory beside weights and one request of full length, before it runs out",
        |r| r.estimate.memory.spare_gib().into(),
    )
    .when(Show::In(Situation::Uncompared))
    .spare(1)
    .on_page(),
    shown("cache_left_percent", "cache left %", "share of the KV cache that the batch leaves", |r| {
        match r.estimate.memory.kv_cache.as_gib() {
            cache if cache > 0.0 => (100.0 * r.estimate.headroom.as_gib() / cache).into(),
            _ => Value::Missing,
        }
    })
    .nullable()
    .when(Show::In(Situation::Uncompared))
    .spare(2),
    shown("verdict", "memory", "fits, marginal or does_not_fit", |r| Value::Verdict(r.estimate.verdict))
        .text()
        .of_fleet(Show::Always)
        .on_page(),
    quiet("needs_flag", "what it does not start without, where the whole context finds no room", |r| {
        r.estimate.needs.as_ref().map_or(Value::Missing, |flag| Value::Text(flag.to_string()))
    })
    .text()
    .optional(),
    shown("practice", "layout", "usual, or unusual: no server is known to be launched so", |r| {
        r.estimate.practice.name().into()
    })
    .text()
    .when(Show::In(Situation::UnusualLayouts)),
    quiet("ttft_ms_low", "eight of ten measured servers of such a model and engine lie from here", |r| {
        range(r, |ranges| ranges.ttft.0.as_millis())
    })
    .nullable(),
    quiet("ttft_ms_high", "to here", |r| range(r, |ranges| ranges.ttft.1.as_millis())).nullable(),
    quiet("tpot_ms_low", "the same of the time per output token", |r| {
        range(r, |ranges| ranges.tpot.0.as_millis())
    })
    .nullable(),
    quiet("tpot_ms_high", "to here", |r| range(r, |ranges| ranges.tpot.1.as_millis())).nullable(),
    quiet("output_tokens_per_s_low", "the throughput that follows from both", |r| {
        range(r, |ranges| ranges.output.0.get())
    })
    .nullable(),
    quiet("output_tokens_per_s_high", "to here", |r| range(r, |ranges| ranges.output.1.get())).nullable(),
    shown("provenance", "kernels", "measured, fitted, mixed or uncalibrated kernel times", |r| {
        r.estimate.service.provenance.name().into()
    })
    .text()
    .when(Show::In(Situation::Uncalibrated))
    .of_fleet(Show::Always)
    .on_page(),
];

/// Whether every row rests on measurements of its very GPU, so that nothing needs to be marked.
pub(super) fn all_calibrated<'a>(mut estimates: impl Iterator<Item = &'a Estimate>) -> bool {
    estimates.all(|e| e.service.provenance.is_calibrated())
}

/// A chance.
fn percent(chance: Option<f64>) -> Value {
    chance.map(|chance| (100.0 * chance).round()).into()
}

/// An end of a range, where servers of the class were measured.
fn range(row: &Row, end: fn(&Ranges) -> f64) -> Value {
    row.estimate.ranges.as_ref().map_or(Value::Missing, |ranges| end(ranges).into())
}

/// Columns that stand beside the others where plans are compared with what runs today.
pub const DELTA_COLUMNS: &[Plan] = &[
    shown("delta_output_tokens_per_s_percent", "Δtok/s", "output tokens per second against today", |r| {
        change(r, |e| Some(e.output.get()))
    })
    .when(Show::Unless(Idle::Missing)),
    shown("delta_ttft_percent", "ΔTTFT", "time to first token against today", |r| {
        change(r, |e| Some(e.service.ttft.get()))
    })
    .when(Show::Unless(Idle::Missing)),
    shown("delta_tpot_percent", "ΔTPOT", "time per output token against today", |r| {
        change(r, |e| Some(e.service.tpot.get()))
    })
    .when(Show::Unless(Idle::Missing)),
    shown("delta_cost_percent", "Δ$", "dollars per output token against today", |r| {
        change(r, |e| e.cost_output.map(|c| c.get()))
    })
    .when(Show::Unless(Idle::Missing)),
    quiet("delta_energy_percent", "joules per output token against today", |r| {
        change(r, |e| Some(e.energy.per_output.get()))
    })
    .nullable(),
    shown("delta_gpus_percent", "Δgpus", "GPUs used against today", |r| change(r, |e| Some(e.gpus as f64)))
        .when(Show::Unless(Idle::Missing)),
];

/// The difference of a figure to what runs today.
fn change(row: &Row, of: fn(&Estimate) -> Option<f64>) -> Value {
    match (of(row.estimate), row.current.and_then(of)) {
        (Some(now), Some(then)) if then != 0.0 => Value::Change(100.0 * (now / then - 1.0)),
        _ => Value::Missing,
    }
}

/// Every column of plans, by name.
pub fn plan_sheet(rows: &[Row], compared: bool) -> Sheet {
    sheet(columns(compared), rows)
}

/// The columns of a plan, with the differences where there is something to differ from.
pub fn columns(compared: bool) -> impl Iterator<Item = &'static Column<Plans>> + Clone {
    PLAN_COLUMNS.iter().chain(if compared { DELTA_COLUMNS } else { &[] })
}
