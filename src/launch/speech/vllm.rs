//! vLLM: `vllm serve`, the older `python -m vllm.entrypoints.openai.api_server`, and YAML keys of the same names
//! (`vllm/engine/arg_utils.py`, `vllm/entrypoints/openai/cli_args.py`, 0.8.5 to 0.33.0).

use super::changed;
use super::words::{by_groups, dtype, spelled};
use crate::diagnostic::Diagnostic;
use crate::launch::dialect::{self, Said};
use crate::launch::invocation::Invocation;
use crate::launch::line::Line;
use crate::launch::server::{Drafts, Note, Pool, Reading, Server};
use crate::plan::Axis;

/// Variables that newer versions no longer read, with the first that ignores them (`vllm/envs.py`).
const IGNORED: &[(&str, &str)] = &[
    ("VLLM_ALL2ALL_BACKEND", "0.16.0"),
    ("VLLM_ATTENTION_BACKEND", "0.16.0"),
    ("VLLM_MOE_DP_CHUNK_SIZE", "0.21.0"),
];

/// Reads a command line.
pub fn read(invocation: &Invocation, said: &Said, experts: Option<bool>, server: &mut Server) {
    let mut r = Reading::new(said);
    let version = dialect::dialect("vllm").map_or("", |d| d.version_for(invocation.version.as_deref()));
    server.model = model(invocation, said, &mut r);
    for flag in ["--served-model-name", "--host", "--port"] {
        r.seen(flag);
    }
    let tp = r.count("--tensor-parallel-size");
    let pp = r.count("--pipeline-parallel-size");
    let dp = r.count("--data-parallel-size");
    let spread = r.switch("--enable-expert-parallel");
    let experts = experts.or(spread.filter(|on| *on));
    let open = |flag: &str| said.leaves_open(flag);
    let sizes = ["--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size"];
    let known = !invocation.open_ended && !sizes.iter().any(|flag| open(flag));
    let axes = [Axis::Tensor, Axis::Pipeline, Axis::AttentionData];
    for (axis, flag) in axes.into_iter().zip(sizes) {
        if open(flag) || invocation.open_ended && said.get(flag).is_none() {
            server.open.push(axis);
        }
    }
    let unsure = said.is_unsure("--enable-expert-parallel");
    if unsure || invocation.open_ended && spread.is_none() {
        server.open.push(Axis::Expert);
    }
    server.tp = tp.or((!open(sizes[0]) && !invocation.open_ended).then_some(1));
    server.pp = pp.or((!open(sizes[1]) && !invocation.open_ended).then_some(1));
    server.dcp = r.count("--decode-context-parallel-size");
    let (ranks, copies) = (dp.unwrap_or(1), invocation.copies.unwrap_or(1));
    let stage = server.tp.unwrap_or(1);
    match experts {
        Some(true) => {
            server.attention_dp = dp;
            server.replicas = known.then_some(copies);
            let all = u64::from(stage) * u64::from(ranks);
            server.ep = (known && !unsure)
                .then(|| if spread == Some(true) { all.min(u64::from(u32::MAX)) as u32 } else { 1 });
        }
        Some(false) => server.replicas = known.then(|| copies.saturating_mul(ranks)),
        None => {
            server.data_parallel = dp;
            server.replicas = known.then_some(copies);
            if dp.is_some_and(|n| n > 1) {
                server.notes.push(
                    "data parallel ranks share the experts of a mixture and are copies of a dense model; \
                     which one this model is is not known here"
                        .into(),
                );
            }
        }
    }
    server.gpus = known.then(|| {
        u64::from(stage)
            .saturating_mul(server.pp.unwrap_or(1).into())
            .saturating_mul(ranks.into())
            .saturating_mul(copies.into())
    });
    server.dtype = r.text("--dtype").as_deref().and_then(dtype);
    server.weights = r.text("--quantization").filter(|q| !q.eq_ignore_ascii_case("none"));
    server.kv = r.text("--kv-cache-dtype").as_deref().and_then(dtype);
    server.block_size = r.number("--block-size");
    let length = r.read("--max-model-len", |t| match t {
        "auto" | "-1" => Some(None),
        _ => dialect::size(t).map(Some),
    });
    server.max_model_len = length.flatten();
    server.length_by_room = length == Some(None);
    server.max_sequences = r.number("--max-num-seqs");
    server.max_batched_tokens = r.number("--max-num-batched-tokens");
    server.memory_fraction =
        r.share("--gpu-memory-utilization").or_else(|| r.share("--device-memory-utilization"));
    server.kv_cache_memory_bytes = r.number("--kv-cache-memory-bytes");
    server.prefix_caching = r.switch("--enable-prefix-caching");
    server.chunked_prefill = r.switch("--enable-chunked-prefill");
    server.eager = r.switch("--enforce-eager");
    graphs(&mut r, server);
    server.cpu_offload_gb = r.read("--cpu-offload-gb", |t| t.parse().ok().filter(|gib: &f64| *gib >= 0.0));
    by_groups(&mut r, &["--offload-group-size", "--cpu-offload-params"]);
    server.text_only = r.switch("--language-model-only");
    server.images = r.object("--limit-mm-per-prompt").and_then(|limits| images(&limits));
    changed::vllm_adapters(&mut r, server);
    server.task = task(&mut r, server);
    r.undescribed(
        "--num-gpu-blocks-override",
        "it caps the cache at so many blocks: the cache is counted without it",
    );
    if said.get("--prefill-context-parallel-size").and_then(|s| s.value()).is_some_and(|n| n.trim() != "1") {
        let why = "prefill context parallel is not described: its GPUs and times are not counted";
        r.undescribed("--prefill-context-parallel-size", why);
    }
    speculation(&mut r, server);
    let engines = u64::from(server.tp.unwrap_or(1)) * u64::from(server.pp.unwrap_or(1));
    let gib = r.read("--kv-offloading-size", |t| t.parse::<f64>().ok().filter(|gib| *gib > 0.0));
    server.host_cache = gib.map(|gib| (gib * GIB) as u64 / engines.max(1));
    r.seen("--kv-offloading-backend");
    if let Some(config) = r.object("--kv-transfer-config") {
        connectors(&config, &mut r, server);
        if let Some((bytes, folder)) = offloaded(&config) {
            server.host_cache = Some(bytes / engines.max(1));
            server.disk_cache = folder;
        }
    }
    r.undescribed("--kv-offloading-size", TIER);
    server.pool = invocation.pool.or(server.pool);
    launches(invocation, version, &mut r, server);
    let allowed = invocation.variables.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN");
    changed::configuration(&mut r, server, ("--hf-overrides", Some("--rope-scaling")));
    let changed = ["--hf-overrides", "--rope-scaling", "--hf-config-path"];
    server.stretches = allowed.is_some_and(|word| word.unknown || !matches!(word.text.trim(), "0" | "false"))
        || changed.iter().any(|flag| said.settings.iter().any(|setting| setting.is(flag)));
    r.finish(server, version);
}

/// What is said of a tier of the cache beside the GPUs'.
const TIER: &str = "a tier of the cache outside the GPUs is not read from a launch: --kv-tiers says it";

/// What hands the cache over: the pool that it makes of a server, and tiers outside the GPUs. Several stand inside one
/// (`MultiConnector`, `kv_connector_extra_config.connectors`, `distributed/kv_transfer/kv_connector/v1/multi_connector.py`).
fn connectors(config: &serde_json::Map<String, serde_json::Value>, r: &mut Reading, server: &mut Server) {
    let several =
        config.get("kv_connector_extra_config").and_then(|extra| extra.get("connectors")?.as_array());
    let parts = several.into_iter().flatten().filter_map(|part| part.as_object());
    for part in std::iter::once(config).chain(parts) {
        let text = |key: &str| part.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        server.pool = server.pool.or(match text("kv_role") {
            "kv_producer" => Some(Pool::Prefill),
            "kv_consumer" => Some(Pool::Decode),
            _ => None,
        });
        let name = text("kv_connector");
        if ["Offloading", "LMCache", "SharedStorage", "MooncakeStore", "FlexKV"]
            .iter()
            .any(|tier| name.contains(tier))
        {
            r.unread.push(Note { text: name.to_owned(), why: TIER.into(), refused: false });
        }
    }
}

const GIB: f64 = 1_073_741_824.0;

/// Bytes of the host's memory, and the folder on drives below it, that a connector keeps what leaves the GPUs in; it may be
/// one of several.
fn offloaded(config: &serde_json::Map<String, serde_json::Value>) -> Option<(u64, Option<String>)> {
    let extra = config.get("kv_connector_extra_config")?;
    if config.get("kv_connector")?.as_str() == Some("MultiConnector") {
        return extra.get("connectors")?.as_array()?.iter().find_map(|one| offloaded(one.as_object()?));
    }
    let bytes = extra.get("cpu_bytes_to_use")?.as_f64().filter(|bytes| *bytes > 0.0)?;
    let below =
        extra.get("secondary_tiers").and_then(|tiers| tiers.as_array()?.first()?.get("root_dir")?.as_str());
    Some((bytes as u64, below.map(str::to_owned)))
}

/// The connector that keeps what leaves the GPUs of one engine: `OffloadingConnector`, with files below it where they are
/// planned (`vllm/v1/kv_offload/tiering`, 0.33).
fn offloading(server: &Server, bytes: u64) -> serde_json::Value {
    let mut extra = serde_json::json!({ "cpu_bytes_to_use": bytes });
    if let Some(folder) = &server.disk_cache {
        extra["spec_name"] = "TieringOffloadingSpec".into();
        extra["secondary_tiers"] = serde_json::json!([{ "type": "fs", "root_dir": folder }]);
    }
    serde_json::json!({
        "kv_connector": "OffloadingConnector", "kv_role": "kv_both", "kv_connector_extra_config": extra,
    })
}

/// Writes what hands the cache on, to the other pool and to the host. One connector does either: `--kv-offloading-size`
/// would replace the one that joins pools (`_post_init_kv_transfer_config` in `vllm/config/vllm.py`).
fn write_connectors(line: &mut Line, server: &Server) -> Result<(), Diagnostic> {
    let ranks = u64::from(server.tp.unwrap_or(1)) * u64::from(server.pp.unwrap_or(1));
    let bytes = server.host_cache.map(|each| each.saturating_mul(ranks));
    if bytes.is_some() {
        // Before it the connector counted blocks, whose size no plan knows.
        line.has("--kv-offloading-size")?;
    }
    if server.disk_cache.is_some() && !dialect::is_at_least(line.version(), "0.33.0") {
        return Err(line
            .lacks("tier of drives below the host's memory")
            .help("vLLM 0.33.0 has one; leave nvme out of --kv-tiers for older versions"));
    }
    let role = match server.pool {
        Some(Pool::Prefill) => "kv_producer",
        Some(Pool::Decode) => "kv_consumer",
        None => "kv_both",
    };
    let nixl = serde_json::json!({ "kv_connector": "NixlConnector", "kv_role": role });
    match (server.pool, bytes) {
        (None, None) => Ok(()),
        (None, Some(bytes)) if server.disk_cache.is_none() => {
            line.set("--kv-offloading-size", bytes as f64 / GIB)?;
            line.set("--kv-offloading-backend", "native")
        }
        (None, Some(bytes)) => line.set("--kv-transfer-config", offloading(server, bytes)),
        (Some(_), None) => line.set("--kv-transfer-config", nixl),
        (Some(_), Some(bytes)) => line.set(
            "--kv-transfer-config",
            serde_json::json!({
                "kv_connector": "MultiConnector",
                "kv_role": role,
                "kv_connector_extra_config": { "connectors": [nixl, offloading(server, bytes)] },
            }),
        ),
    }
}

/// Which steps have CUDA graphs: of the compilation's settings, or by the level of optimisation, of which 0 has none and 1
/// pieces alone (`config/vllm.py`, `OPTIMIZATION_LEVEL_00` and `_01`, 0.12 on).
fn graphs(r: &mut Reading, server: &mut Server) {
    let config = r.object("--compilation-config").unwrap_or_default();
    let count = |v: &serde_json::Value| v.as_u64().or_else(|| v.as_str()?.parse().ok());
    let listed =
        config.get("cudagraph_capture_sizes").and_then(|v| v.as_array()?.iter().filter_map(count).max());
    let sizes = r.largest("--cudagraph-capture-sizes").or_else(|| r.largest("--cuda-graph-sizes"));
    server.largest_graph = r
        .number("--max-cudagraph-capture-size")
        .or(config.get("max_cudagraph_capture_size").and_then(count))
        .or(listed)
        .or(sizes);
    let by_level = r.read("--optimization-level", |t| t.parse::<u64>().ok()).and_then(|level| match level {
        0 => Some("none"),
        1 => Some("piecewise"),
        _ => None,
    });
    let mode = config.get("cudagraph_mode").and_then(|v| v.as_str()).map(str::to_ascii_lowercase);
    server.graph_mode = mode.or(by_level.map(str::to_owned));
}

/// What is made of an input, where it is no text: `--task` up to 0.11, then `--convert` beside `--runner pooling`, which
/// alone leaves it to the model.
fn task(r: &mut Reading, server: &mut Server) -> Option<String> {
    let (task, convert) = (r.text("--task"), r.text("--convert"));
    server.pooling = r.text("--runner").as_deref() == Some("pooling");
    match task.as_deref().or(convert.as_deref())? {
        "embed" | "embedding" => Some("embed".to_owned()),
        "classify" | "score" | "reward" => Some("rerank".to_owned()),
        _ => None,
    }
}

/// Images that a prompt may have: a number, or one of several options of images (`{"image": {"count": 2}}`).
fn images(limits: &serde_json::Map<String, serde_json::Value>) -> Option<u64> {
    let limit = limits.get("image")?;
    limit.as_u64().or_else(|| limit.get("count")?.as_u64()).or_else(|| limit.as_str()?.parse().ok())
}

/// The model: after `serve`, or behind `--model`.
fn model<'a>(invocation: &Invocation, said: &'a Said, r: &mut Reading<'a>) -> Option<String> {
    let named = r.text("--model");
    // A name in a variable is still what the launch asks for.
    let written = said.get("--model").and_then(|s| s.values.first()).map(|w| w.text.clone());
    let mut positional = said.positional.iter();
    let first = invocation.takes_model.then(|| positional.next()).flatten();
    for stray in positional {
        r.unread.push(Note {
            text: stray.text.clone(),
            why: if stray.unknown {
                "what it holds is not in this text".into()
            } else {
                "a word that belongs to no flag".into()
            },
            refused: !stray.unknown && stray.only_if.is_none(),
        });
    }
    if let Some(word) = first.filter(|w| w.unknown) {
        r.open(word.text.clone(), word.why.as_deref());
    }
    named.or(written).or(first.map(|w| w.text.clone())).or(invocation.model.clone())
}

fn speculation<'a>(r: &mut Reading<'a>, server: &mut Server) {
    if let Some(config) = r.object("--speculative-config") {
        let text = |key: &str| config.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        let tokens = config.get("num_speculative_tokens");
        let tokens = tokens.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
        server.speculation = Some(Drafts {
            method: text("method"),
            tokens: tokens.and_then(|n| u32::try_from(n).ok()),
            model: text("model"),
        });
    }
    let (method, tokens, model) = (r.text("--spec-method"), r.count("--spec-tokens"), r.text("--spec-model"));
    if method.is_some() || tokens.is_some() || model.is_some() {
        let drafts = server.speculation.get_or_insert_default();
        drafts.method = method.or(drafts.method.take());
        drafts.tokens = tokens.or(drafts.tokens);
        drafts.model = model.or(drafts.model.take());
    }
}

fn launches<'a>(invocation: &Invocation, version: &str, r: &mut Reading<'a>, server: &mut Server) {
    let mut exchange = r.text("--all2all-backend");
    for (name, gone) in IGNORED {
        let Some(value) = invocation.variables.get(*name) else { continue };
        if dialect::is_at_least(version, gone) {
            server.notes.push(format!("{name}={} is ignored by vLLM {version}", value.text));
        } else if *name == "VLLM_ALL2ALL_BACKEND" && !value.unknown {
            exchange = exchange.or(Some(value.text.clone()));
            server.notes.push(format!(
                "{name} is ignored from vLLM {gone} on, without a word: use --all2all-backend"
            ));
        } else {
            server.notes.push(format!("{name} is ignored from vLLM {gone} on, without a word"));
        }
    }
    match exchange.as_deref() {
        // Workers that compute prompts alone are planned as the others and have these kernels.
        Some("deepep_high_throughput") if server.pool != Some(Pool::Prefill) => {
            server.launches.push("deepep_ht".into())
        }
        Some(other) if other.starts_with("deepep") => server.launches.push("deepep".into()),
        _ => {}
    }
    let balancer = r.object("--eplb-config");
    let count = |v: &serde_json::Value| v.as_u64().or_else(|| v.as_str()?.parse().ok());
    server.redundant_experts = balancer
        .and_then(|c| c.get("num_redundant_experts").and_then(count))
        .or_else(|| r.number("--num-redundant-experts"));
    if r.switch("--enable-eplb") == Some(true) {
        server.launches.push("eplb".into());
    }
    if r.switch("--enable-dbo") == Some(true) {
        server.launches.push("dbo".into());
    }
}

/// Writes the command of one server: flags in the spelling that its version takes.
///
/// # Errors
/// As [`Line::set`].
pub fn write(server: &Server) -> Result<Line, Diagnostic> {
    let model = server.model.clone().unwrap_or_default();
    let program = vec!["vllm".to_owned(), "serve".to_owned(), model];
    let mut line = Line::new("vllm", server.version.as_deref(), program);
    line.set("--tensor-parallel-size", server.tp.unwrap_or(1))?;
    if let Some(stages) = server.pp.filter(|n| *n > 1) {
        line.set("--pipeline-parallel-size", stages)?;
    }
    if let Some(ranks) = server.attention_dp.filter(|n| *n > 1) {
        line.set("--data-parallel-size", ranks)?;
    }
    if server.ep.is_some_and(|n| n > 1) {
        line.switch("--enable-expert-parallel")?;
    }
    if let Some(ranks) = server.dcp.filter(|n| *n > 1) {
        line.set("--decode-context-parallel-size", ranks)?;
    }
    if let Some(length) = server.max_model_len {
        line.set("--max-model-len", length)?;
    }
    if let Some(sequences) = server.max_sequences {
        line.set("--max-num-seqs", sequences)?;
    }
    if let Some(tokens) = server.max_batched_tokens {
        line.set("--max-num-batched-tokens", tokens)?;
    }
    if let Some(fraction) = server.memory_fraction {
        line.set("--gpu-memory-utilization", fraction)?;
    }
    if let Some(format) = &server.weights {
        line.set("--quantization", format)?;
    }
    if let Some(dtype) = &server.dtype {
        line.set("--dtype", spelled(dtype))?;
    }
    if let Some(kv) = &server.kv {
        line.set("--kv-cache-dtype", spelled(kv))?;
    }
    if let Some(block) = server.block_size {
        line.set("--block-size", block)?;
    }
    if let Some(bytes) = server.kv_cache_memory_bytes {
        line.set("--kv-cache-memory-bytes", bytes)?;
    }
    if server.text_only == Some(true) {
        line.switch("--language-model-only")?;
    }
    if let Some(images) = server.images {
        line.set("--limit-mm-per-prompt", serde_json::json!({ "image": images }))?;
    }
    match server.prefix_caching {
        Some(true) => line.switch("--enable-prefix-caching")?,
        Some(false) => line.switch("--no-enable-prefix-caching")?,
        None => {}
    }
    if server.chunked_prefill == Some(false) {
        line.switch("--no-enable-chunked-prefill")?;
    }
    if server.eager == Some(true) {
        line.switch("--enforce-eager")?;
    }
    match (&server.graph_mode, server.largest_graph) {
        (_, Some(largest)) if line.takes("--max-cudagraph-capture-size") => {
            line.set("--max-cudagraph-capture-size", largest)?;
        }
        // 0.9 to 0.11: one number is the largest.
        (_, Some(largest)) if line.takes("--cuda-graph-sizes") => line.set("--cuda-graph-sizes", largest)?,
        _ => {}
    }
    if let Some(mode) = &server.graph_mode {
        let config = serde_json::json!({ "cudagraph_mode": mode.to_ascii_uppercase() });
        line.set("--compilation-config", config)?;
    }
    if let Some(gib) = server.cpu_offload_gb {
        line.set("--cpu-offload-gb", gib)?;
    }
    if let Some(task) = &server.task {
        let embeds = task == "embed";
        if line.takes("--runner") {
            line.set("--runner", "pooling")?;
            line.set("--convert", if embeds { "embed" } else { "classify" })?;
        } else {
            line.set("--task", if embeds { "embed" } else { "score" })?;
        }
    }
    if let Some(drafts) = &server.speculation {
        let mut config = serde_json::Map::new();
        config.extend(drafts.method.clone().map(|m| ("method".to_owned(), m.into())));
        config.extend(drafts.model.clone().map(|m| ("model".to_owned(), m.into())));
        config.extend(drafts.tokens.map(|n| ("num_speculative_tokens".to_owned(), n.into())));
        line.set("--speculative-config", serde_json::Value::Object(config))?;
    }
    // Without experts that are spread over ranks of data parallel the first does nothing and the others are refused
    // (`fused_moe/config.py`, `use_all2all_kernels`; `config/parallel.py`).
    let spread = server.ep.is_some_and(|ep| ep > 1);
    let exchanges = spread && server.attention_dp.is_some_and(|ranks| ranks > 1);
    for launch in &server.launches {
        match launch.as_str() {
            "deepep" | "deepep_ht" | "dbo" if !exchanges => {}
            "eplb" if !spread => {}
            "deepep_ht" => line.set("--all2all-backend", "deepep_high_throughput")?,
            "deepep" => {
                let prefill = server.pool == Some(Pool::Prefill);
                let backend = if prefill { "deepep_high_throughput" } else { "deepep_low_latency" };
                match line.takes("--all2all-backend") {
                    true => line.set("--all2all-backend", backend)?,
                    // Before 0.13 a variable (`vllm/envs.py`).
                    false => line.variables.push(("VLLM_ALL2ALL_BACKEND".into(), backend.into())),
                }
            }
            "eplb" => line.switch("--enable-eplb")?,
            "dbo" => line.switch("--enable-dbo")?,
            _ => {}
        }
    }
    if let Some(experts) = server.redundant_experts.filter(|n| *n > 0) {
        line.set("--eplb-config", format!("{{\"num_redundant_experts\":{experts}}}"))?;
    }
    if let Some(slots) = server.adapters {
        changed::write_vllm_adapters(&mut line, slots)?;
    }
    write_connectors(&mut line, server)?;
    line.require(&server.required);
    Ok(line)
}
