//! A plan that was scored, as servers to be started.

use super::line::quoted;
use super::published;
use super::release::{Bench, Beside, Member, Release, drafts};
use super::server::{AdapterSlots, Pool, Server};
use itertools::Itertools as _;

use crate::catalog::{Cluster, Engine, kind_of_stage};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Verified;
use crate::estimate::memory::{Limits, MemoryQuestion, UNSHARED};
use crate::estimate::sequences::longest_drawn;
use crate::model::Lora;
use crate::plan::Parallelism;
use crate::units::{Bytes, Seconds};
use crate::workload::{Draft, Load, Percentile, Targets, TierKind, Tiers};

/// What an estimate does not tell by itself.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The model as it was asked for and as engines load it: a hub id or a path.
    pub model: &'a str,
    /// The cluster as it was asked for.
    pub cluster: &'a str,
    /// The format that weights were asked to be held in, if not the checkpoint's.
    pub weights: Option<WeightFormat>,
    /// Whether the checkpoint's own weights are narrower than 16 bits.
    pub quantised: bool,
    /// Whether the type of the cache was asked for.
    pub kv: bool,
    /// The targets.
    pub targets: Targets,
    /// Tokens of the longest request that the server is to take, where they are stated.
    pub length: Option<u64>,
    /// The model that drafts, where one is named.
    pub draft: Option<&'a str>,
    /// The adapters that there is to be room for.
    pub lora: Option<Lora>,
    /// What the checkpoint as it was asked for takes to store.
    pub checkpoint: Bytes,
}

/// Where what leaves the host's memory is kept on a node's drives.
const DRIVES: &str = "/mnt/kv-cache";

/// Room for what leaves the cache of a GPU, as the plan shares it out: what a server sees of its node, by rank. Prefixes are
/// looked for where prompts are computed.
fn keeps(server: &mut Server, cluster: &Cluster, tiers: Tiers, (gpus, replicas): (u64, u32)) {
    let per_node = u64::from(cluster.gpus_per_node.min(cluster.gpus).max(1));
    let neighbours = (per_node / gpus.max(1)).clamp(1, u64::from(replicas.max(1)));
    for tier in tiers.iter() {
        match tier.kind {
            TierKind::Cpu => {
                let node = tier.size.get() / neighbours;
                server.host_cache = Some(node / gpus.clamp(1, per_node));
            }
            TierKind::Nvme => server.disk_cache = Some(DRIVES.to_owned()),
            TierKind::Shared => server.shared_cache = true,
        }
    }
}

/// One server of a plan in the words of the command line, for what predicts it again.
fn described(estimate: &Estimate, (cluster, server): (&Cluster, &Server), asked: &Asked) -> String {
    let p = estimate.parallelism;
    let place = match cluster.cards.is_empty() {
        true => format!("--gpu {}", quoted(&estimate.gpu)),
        false => format!("--cluster {}", quoted(asked.cluster)),
    };
    let stages = if p.pp > 1 { format!(" --pp {}", p.pp) } else { String::new() };
    let format = asked.weights.map_or(String::new(), |format| format!(" --weights {format}"));
    let slots = server.max_sequences.map_or(String::new(), |n| format!(" --max-sequences {n}"));
    format!("{} {place} --engine {}{stages}{format}{slots}", quoted(asked.model), engine_of(estimate))
}

/// The servers of a plan, with the head that its files carry.
pub fn release(estimate: &Estimate, deployment: &Deployment, asked: &Asked) -> Release {
    let context = deployment.context();
    let (cluster, engine) = (context.cluster, context.engine);
    let decode = member(estimate, deployment, asked);
    let mut members = vec![decode];
    if let Some(prefill) = &estimate.prefill {
        members[0].server.pool = Some(Pool::Decode);
        let mut server = members[0].server.clone();
        let same = prefill.gpu == estimate.gpu;
        let question = context.memory_question(prefill.parallelism);
        server.max_model_len = match same {
            true => server.max_model_len.min(Some(longest(&question, 1, asked))),
            // What finds room on other GPUs is not known here.
            false => Some(longest_drawn(&context.workload, context.model.max_context)),
        };
        members[0].server.max_model_len = server.max_model_len;
        server.pool = Some(Pool::Prefill);
        (server.max_sequences, server.largest_graph) = match same {
            true => stated(&question.limits, engine, prefill.parallelism, 1),
            false => (None, context.limits.start.captured.largest),
        };
        server.speculation = None;
        split(&mut server, prefill.parallelism, context.model.is_moe());
        let tiers = estimate.limits.keeping.tiers;
        keeps(&mut server, cluster, tiers, (prefill.parallelism.gpus(), prefill.workers));
        members.insert(0, Member { server, copies: prefill.workers, gpus: prefill.parallelism.gpus() });
    }
    let workload = &context.workload;
    Release {
        vendor: cluster.gpu.platform().to_owned(),
        gpu: estimate.gpu.clone(),
        cards: cluster.cards.iter().map(|cards| (cards.first.into(), cards.each.into())).collect(),
        slice: cluster.gpu.slice.clone(),
        prefill_gpu: estimate.prefill.as_ref().map(|p| p.gpu.clone()).filter(|gpu| *gpu != estimate.gpu),
        part: None,
        gpus_per_node: u64::from(cluster.gpus_per_node.min(cluster.gpus)),
        head: head(estimate, deployment, asked, members[0].server.max_model_len),
        isl: context.workload.isl,
        osl: context.workload.osl,
        purpose: estimate.purpose,
        concurrency: (estimate.in_flight.ceil() as u64).max(1),
        bench: Bench {
            prefix: if workload.sessions.is_some() { 0 } else { workload.cached_prefix },
            rate: match workload.load {
                Load::Rate(rate) => Some(rate.get()),
                _ => None,
            },
            sessions: workload.sessions,
            users: match workload.load {
                Load::Users(n) => Some(n),
                _ => None,
            },
        },
        described: described(estimate, (cluster, &members[0].server), asked),
        checkpoint: match members[0].server.model.as_deref() == Some(asked.model) {
            true => asked.checkpoint,
            false => context.model.checkpoint_bytes(),
        },
        beside: Beside::default(),
        members,
    }
}

/// What a launch states of its sequences, of all ranks of attention data parallel where the engine counts so, and of the
/// largest batch that is captured. Of slots that divide the cache it states those that `run`, where nobody says how many.
fn stated(limits: &Limits, engine: &Engine, p: Parallelism, run: u64) -> (Option<u64>, Option<u64>) {
    let sequences = limits.stated_sequences.or(engine.divides_cache().then_some(run));
    let ranks = if engine.defaults.tokens_of_all_ranks { u64::from(p.attention_dp) } else { 1 };
    (sequences.map(|n| n.saturating_mul(ranks)), limits.start.captured.largest)
}

/// Sequences that run on a rank, of those that find room.
fn running(estimate: &Estimate) -> u64 {
    let ranks = u64::from(estimate.parallelism.attention_dp).max(1);
    (estimate.batch.ceil() as u64).div_ceil(ranks).min(estimate.max_batch / ranks).max(1)
}

/// Tokens of the longest request that a server is told to take. Where nobody states them they are planned with the server
/// ([`Deployment::told`]); of an estimate it is as long as the model allows and finds room beside the requests that come, and
/// at least the longest of those. Where `slots` divide the cache each of them reserves such a length.
fn longest(question: &MemoryQuestion, slots: u64, asked: &Asked) -> u64 {
    let (workload, model, engine) = (question.workload, question.model, question.engine);
    let least = longest_drawn(workload, model.max_context);
    if let Some(stated) = asked.length {
        return stated.max(workload.longest_context());
    }
    let divides = engine.divides_cache();
    if let Some(length) = question.limits.start.length {
        return length;
    }
    // Encoders compute an input in one step, llama.cpp whatever it pools ("input is too large to process" in
    // `tools/server/server-context.cpp`), whose step is what it is told.
    let step = match (workload.purpose.pools(), divides) {
        (true, true) => question.limits.max_batched_tokens.max(least),
        (true, false) if !model.keeps_tokens() => question.limits.max_batched_tokens,
        _ => u64::MAX,
    };
    question.longest_served(slots, least, model.max_context.unwrap_or(u64::MAX).min(step))
}

fn split(server: &mut Server, p: Parallelism, experts: bool) {
    server.tp = Some(p.tp);
    server.pp = Some(p.pp);
    server.attention_dp = Some(p.attention_dp);
    server.ep = experts.then_some(p.ep);
    server.dcp = (p.dcp > 1).then_some(p.dcp);
    server.tensor_split.take_if(|parts| parts.len() != p.pp as usize);
}

fn member(estimate: &Estimate, deployment: &Deployment, asked: &Asked) -> Member {
    let context = deployment.context();
    let engine = context.engine;
    let p = estimate.parallelism;
    let name = engine.id.split('-').next().unwrap_or(&engine.id);
    let version = estimate.engine_version.to_string();
    let mut server = Server {
        engine: name.to_owned(),
        version: Some(published::release_of(name, &version).unwrap_or(version)),
        model: Some(asked.model.to_owned()),
        replicas: Some(1),
        ..Server::default()
    };
    server.tensor_split = estimate.limits.offload.shares.map(|shares| shares.parts().to_vec());
    server.required = super::required::flags(&server.engine, asked.model).to_vec();
    split(&mut server, p, context.model.is_moe());
    let run = running(estimate);
    (server.max_sequences, server.largest_graph) = stated(&estimate.limits, engine, p, run);
    let question = MemoryQuestion { limits: estimate.limits, ..deployment.memory_question() };
    server.max_model_len = Some(longest(&question, server.max_sequences.unwrap_or(run), asked));
    server.max_batched_tokens = Some(estimate.limits.max_batched_tokens);
    if engine.id == "llama.cpp" && estimate.purpose.pools() {
        server.max_batched_tokens = server.max_batched_tokens.max(server.max_model_len);
    }
    if let Some(lora) = &asked.lora {
        server.adapters = Some(AdapterSlots { count: lora.count, rank: lora.rank });
        if !lora.targets.is_empty() || context.model.is_moe() {
            server.adapted = super::speech::adaptable(
                name,
                server.version.as_deref(),
                context.model.linear_layers(lora),
                context.model.is_moe(),
            );
        }
    }
    if estimate.prefill.is_none() {
        keeps(&mut server, context.cluster, estimate.limits.keeping.tiers, (p.gpus(), estimate.replicas));
    }
    if server.engine == "trtllm" && server.max_model_len > server.max_batched_tokens {
        // A prompt beyond one step is refused unless prompts are cut (`enable_chunked_prefill`, off by default).
        server.chunked_prefill = Some(true);
    }
    server.task = Some(estimate.purpose).filter(|p| p.pools()).map(|purpose| purpose.name().to_owned());
    if engine.id != "llama.cpp" {
        server.memory_fraction = Some(question.fraction());
        // Where nothing is known to be shared the engine's default stands: it costs attention nothing. Recurrent
        // layers hold another state for each kept prefix, which the plan has no room for.
        let recurrent = context.model.state_bytes_per_sequence() > Bytes::ZERO;
        server.prefix_caching = match (
            context.workload.cached_prefix > 0 || context.workload.sessions.is_some(),
            engine.id.as_str(),
        ) {
            // SGLang has no word for what is its default.
            (true, "sglang") => None,
            (true, _) => Some(true),
            (false, _) => recurrent.then_some(false),
        };
    }
    let sixteen = matches!(estimate.kv, DType::Bf16 | DType::Fp16);
    if !sixteen || asked.kv {
        server.kv = Some(estimate.kv.name().to_owned()).filter(|_| !(sixteen && server.engine == "trtllm"));
    }
    // Graphs left out are a switch of every engine, whether they are by name of a way to launch or by an option.
    let (eager, launches) = engine.launched.iter().cloned().partition::<Vec<_>, _>(|name| name == "eager");
    server.eager = (!eager.is_empty()).then_some(true);
    server.launches = launches;
    let start = estimate.limits.start;
    server.graph_mode = start.captured.mode.map(|mode| mode.name().to_ascii_uppercase());
    server.cpu_offload_gb = Some(start.offloaded.as_gib()).filter(|gib| *gib > 0.0);
    server.kv_cache_memory_bytes = start.cache.map(Bytes::get);
    server.block_size = start.block;
    server.shares_cells = start.shares_cells;
    server.text_only = start.text_only.then_some(true);
    server.images = start.images;
    server.redundant_experts = Some(start.redundant_experts).filter(|n| *n > 0);
    // SGLang has no word for what is its default.
    let stated = start.prefixes.filter(|kept| !(*kept && server.engine == "sglang"));
    server.prefix_caching = stated.or(server.prefix_caching);
    if let Some(s) = estimate.speculation {
        let model = drafter(&server.engine, s.draft, asked).map(|(model, _)| model);
        server.speculation = Some(drafts(&server.engine, s.draft, s.tokens, model));
    }
    weights(&mut server, estimate, asked);
    if server.engine == "llama.cpp" {
        let offload = estimate.limits.offload;
        server.gpu_layers = offload.gpu_layers;
        server.cpu_moe_layers = offload.host_experts;
        (server.attention_dp, server.ep) = (None, None);
    }
    Member { server, copies: estimate.replicas, gpus: p.gpus() }
}

/// The model that drafts, and whether it is only a place for one: the one that is named, else a head that is published for
/// the model, else a path.
fn drafter(engine: &str, draft: Draft, asked: &Asked) -> Option<(String, bool)> {
    if !matches!(draft, Draft::Model | Draft::Eagle3) {
        return None;
    }
    if let Some(named) = asked.draft {
        return Some((named.to_owned(), false));
    }
    let published = super::required::drafter(engine, asked.model, draft);
    Some(match published {
        Some(head) => (head.to_owned(), false),
        None => {
            let model = asked.model.trim_end_matches('/');
            let last = model.rsplit('/').next().unwrap_or(model);
            let kind = if draft == Draft::Eagle3 { "eagle3" } else { "draft" };
            (format!("/models/{last}-{kind}"), true)
        }
    })
}

/// The format that a file of the weights is named by: the one that was asked for, though it may keep most weights in one
/// that is not quantised again (experts in MXFP4).
fn file_format(estimate: &Estimate, asked: &Asked) -> WeightFormat {
    asked.weights.filter(|_| engine_of(estimate) == "llama.cpp").unwrap_or(estimate.weights)
}

/// Weights in another format than the checkpoint's: engines make FP8 of 16 bits while they load; other formats are
/// checkpoints of their own.
fn weights(server: &mut Server, estimate: &Estimate, asked: &Asked) {
    let model = asked.model.trim_end_matches('/');
    let last = model.rsplit('/').next().unwrap_or(model);
    if server.engine == "llama.cpp" {
        let is_file = last.to_ascii_lowercase().ends_with(".gguf");
        if !is_file {
            server.model = Some(format!("/models/{last}-{}.gguf", file_format(estimate, asked).name()));
        }
        return;
    }
    match asked.weights {
        Some(format) if made_on_loading(&server.engine, format, asked) => {
            server.weights = Some(format.name().to_owned());
        }
        Some(format) => server.model = Some(format!("/models/{last}-{}", format.name())),
        None => {}
    }
}

/// Whether an engine makes a format of the checkpoint's weights while it loads them: of 16-bit ones FP8, and with scales of 32
/// MXFP8 (`--quantization mxfp8`, vLLM 0.19, SGLang 0.5.10). Of weights that are quantised it refuses another method
/// (vLLM `config/model.py`, `_verify_quantization`; SGLang `configs/model_config.py`).
fn made_on_loading(engine: &str, format: WeightFormat, asked: &Asked) -> bool {
    let makes = matches!((engine, format), ("vllm" | "sglang", WeightFormat::Fp8 | WeightFormat::Mxfp8));
    makes && !asked.quantised
}

/// The question, the plan, what it should deliver, and what it rests on.
fn head(estimate: &Estimate, deployment: &Deployment, asked: &Asked, length: Option<u64>) -> Vec<String> {
    let context = deployment.context();
    let workload = &context.workload;
    let short = |t: Seconds| {
        let value = t.get() * 1e3;
        if value >= 100.0 { format!("{value:.0} ms") } else { format!("{value:.1} ms") }
    };
    let mut lines =
        vec![format!("shardfit {}: {} on {}", env!("CARGO_PKG_VERSION"), asked.model, asked.cluster)];
    let load = match workload.load {
        Load::Saturate => "as much as it takes".to_owned(),
        Load::Concurrency(n) => format!("{n} requests in flight"),
        Load::Rate(rate) => format!("{} requests/s", rate.get()),
        Load::Users(n) => format!("{n} users"),
    };
    let at = |of: Option<Percentile>| of.map_or(String::new(), |of| format!("{of} "));
    let targets: Vec<String> = asked
        .targets
        .times()
        .map(|(name, of, limit)| format!(", {}{name} at most {}", at(of), short(limit)))
        .collect();
    lines.push(match workload.purpose.pools() {
        true => format!(
            "question: {} {} of {} tokens each, {load}{}",
            workload.purpose.name(),
            workload.purpose.inputs(),
            workload.isl,
            targets.concat()
        ),
        false => format!(
            "question: {} prompt tokens, {} output tokens, {load}{}",
            workload.isl,
            workload.osl,
            targets.concat()
        ),
    });
    lines.push(format!(
        "plan: {} × {} on {}, {} {}, weights {}, KV cache {}, batch {:.0} a replica",
        estimate.parallelism,
        estimate.replicas,
        estimate.gpu,
        estimate.engine,
        estimate.engine_version,
        file_format(estimate, asked).name(),
        estimate.kv.name(),
        estimate.batch.ceil(),
    ));
    let kinds = &context.cluster.cards;
    if !kinds.is_empty() {
        let layers = deployment.memory_question().by_stage();
        let held = layers.iter().enumerate().filter_map(|(place, (layers, _))| {
            Some(format!("{layers} layers on {}", kinds.get(kind_of_stage(kinds, place))?.gpu.id))
        });
        lines.push(format!(
            "cards: {}, in one machine and numbered in this order; --tensor-split counts the output projection as one more layer",
            held.format(", then ")
        ));
        lines.push(
            "needs: the numbers of your cards, which llama-server --list-devices says, in that order".into(),
        );
    }
    let service = &estimate.service;
    let (ttft, tpot, output) = (service.ttft, service.tpot, estimate.output);
    let range = |low: Seconds, high: Seconds| format!(" ({} to {})", short(low), short(high));
    let (ttft_range, tpot_range, output_range) = match &estimate.ranges {
        Some(r) => (
            range(r.ttft.0, r.ttft.1),
            range(r.tpot.0, r.tpot.1),
            format!(" ({:.0} to {:.0})", r.output.0.get(), r.output.1.get()),
        ),
        None => Default::default(),
    };
    if workload.purpose.pools() {
        lines.push(format!("predicted: {:.0} requests/s, end to end {}", output.get(), short(service.e2e)));
        let simulated = |v: &Verified| {
            let e2e = at(asked.targets.at.e2e);
            format!("as simulated: {:.0} requests/s, {e2e}end to end {}", v.output.get(), short(v.e2e))
        };
        lines.extend(estimate.verified.as_ref().map(simulated));
    } else {
        // Estimates are means; percentiles are of what is simulated.
        let mean = |of: Option<Percentile>| if of.is_some() { "mean " } else { "" };
        lines.push(format!(
            "predicted: {}TTFT {}{ttft_range}, {}TPOT {}{tpot_range}, {:.0} output tokens/s{output_range}",
            mean(asked.targets.at.ttft),
            short(ttft),
            mean(asked.targets.at.tpot),
            short(tpot),
            output.get(),
        ));
        if let Some(v) = &estimate.verified {
            lines.push(format!(
                "as simulated: {}TTFT {}, {}TPOT {}, {:.0} output tokens/s",
                at(asked.targets.at.ttft),
                short(v.ttft),
                at(asked.targets.at.tpot),
                short(v.tpot),
                v.output.get()
            ));
        }
    }
    let memory = match length.filter(|_| estimate.memory.slot.is_some()) {
        // Slots are as long as the server is told.
        Some(_) => {
            let mut question = deployment.memory_question();
            question.limits.start.length = length;
            question.answer()
        }
        None => estimate.memory,
    };
    let slots = estimate.limits.stated_sequences.unwrap_or(running(estimate));
    let (cache, _) = memory.allocated(slots);
    lines.push(format!(
        "memory of a GPU: {:.1} GiB weights, {:.1} GiB KV cache, {:.1} GiB of {:.1} in all; {}",
        estimate.memory.weights.as_gib(),
        cache.as_gib(),
        memory.total_with(cache).as_gib(),
        estimate.memory.capacity.as_gib(),
        estimate.verdict.name(),
    ));
    lines.extend(asked.lora.as_ref().map(|lora| {
        let how = match engine_of(estimate) {
            "vllm" => "--lora-modules NAME=PATH names those that are served",
            "sglang" => "--lora-paths NAME=PATH names those that are served",
            "trtllm" => "a request's lora_request names its own",
            _ => "a request's `lora` names its own",
        };
        format!("adapters: {} at once, of rank {} at most; {how}", lora.count, lora.rank)
    }));
    let tiers = estimate.limits.keeping.tiers;
    if !tiers.is_empty() {
        let each: Vec<String> =
            tiers.iter().map(|tier| format!("{} {}", tier.kind.name(), tier.size)).collect();
        lines.push(format!("below the GPUs' cache: {} of each node", each.join(", ")));
        if tiers.iter().any(|tier| tier.kind == TierKind::Nvme) {
            lines.push(format!(
                "needs: drives of that size at {DRIVES}, which the engine fills without a bound of its own"
            ));
        }
    }
    if let Some(tokens) = length {
        let drawn = longest_drawn(workload, context.model.max_context);
        let needed = context.limits.start.length.filter(|_| context.engine.divides_cache()).unwrap_or(drawn);
        let why = match (asked.length, context.model.max_context) {
            (Some(_), _) => ", as asked",
            (None, Some(most)) if most == tokens => ", the model's context",
            (None, _) if tokens <= needed => {
                ", which lengths around those of the question come to; --max-model-len plans for longer ones"
            }
            (None, _) => ", for which there is room beside the plan; --max-model-len plans for longer ones",
        };
        lines.push(format!("longest request: {tokens} tokens, prompt and output together{why}"));
    }
    if estimate.limits.unshared {
        lines.push(format!("prefixes: none are kept; {UNSHARED}"));
    }
    lines.extend(needs(estimate, asked));
    if let Some((model, true)) =
        estimate.speculation.and_then(|s| drafter(engine_of(estimate), s.draft, asked))
    {
        let kind = match estimate.speculation.map(|s| s.draft) {
            Some(Draft::Eagle3) => "an EAGLE-3 head",
            _ => "a draft model",
        };
        lines.push(format!("needs: {kind} of {} at {model}; --draft-model names another place", asked.model));
    }
    lines
}

/// The engine of a plan, without how it is launched.
fn engine_of(estimate: &Estimate) -> &str {
    estimate.engine.split(['@', '-']).next().unwrap_or_default()
}

/// What has to be there first.
fn needs(estimate: &Estimate, asked: &Asked) -> Option<String> {
    match (engine_of(estimate), asked.weights) {
        ("llama.cpp", _) => {
            Some(format!("needs: a GGUF file of {} in {}", asked.model, file_format(estimate, asked).name()))
        }
        (_, None) => None,
        (engine, Some(format)) if made_on_loading(engine, format, asked) => None,
        (_, Some(format)) => Some(super::release::checkpoint_line(asked.model, format)),
    }
}
