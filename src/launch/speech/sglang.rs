//! SGLang: `python -m sglang.launch_server`, `sglang serve`, and YAML keys of the same names
//! (`python/sglang/srt/server_args.py`, 0.4.6 to 0.5.23).
//!
//! Its `--tp-size` counts all ranks of a stage: attention is split over `tp-size / attention_dp` of them. Limits on
//! requests and tokens count over all of them too.

use super::changed;
use super::words::{by_groups, dtype, spelled};
use crate::diagnostic::Diagnostic;
use crate::launch::dialect::{self, Said};
use crate::launch::invocation::Invocation;
use crate::launch::line::Line;
use crate::launch::server::{Drafts, Note, Pool, Reading, Server};
use crate::plan::Axis;

/// Reads a command line.
pub fn read(invocation: &Invocation, said: &Said, experts: Option<bool>, server: &mut Server) {
    let mut r = Reading::new(said);
    let version = dialect::dialect("sglang").map_or("", |d| d.version_for(invocation.version.as_deref()));
    let named = r.text("--model-path");
    let written = said.get("--model-path").and_then(|s| s.values.first()).map(|w| w.text.clone());
    let mut positional = said.positional.iter();
    let first = invocation.takes_model.then(|| positional.next()).flatten().map(|w| w.text.clone());
    for stray in positional {
        let why = if stray.unknown {
            "what it holds is not in this text"
        } else {
            "a word that belongs to no flag"
        };
        let refused = !stray.unknown && stray.only_if.is_none();
        r.unread.push(Note { text: stray.text.clone(), why: why.into(), refused });
    }
    server.model = named.or(written).or(first).or(invocation.model.clone());
    for flag in ["--served-model-name", "--host", "--port"] {
        r.seen(flag);
    }
    let open = |flag: &str| said.leaves_open(flag);
    let known =
        !invocation.open_ended && !["--tp-size", "--pp-size", "--dp-size"].iter().any(|flag| open(flag));
    let ranks = r.count("--tp-size").or((!open("--tp-size") && !invocation.open_ended).then_some(1));
    server.pp = r.count("--pp-size").or((!open("--pp-size") && !invocation.open_ended).then_some(1));
    let dp = r.count("--dp-size");
    let shared = r.switch("--enable-dp-attention") == Some(true);
    let stated = r.count("--attn-dp-size");
    let groups = stated.or(dp.filter(|_| shared));
    // Whether ranks share attention decides what their number means.
    let unsure = said.is_unsure("--enable-dp-attention") && dp != Some(1)
        || invocation.open_ended && !(shared && dp.is_some());
    let open_groups = open("--attn-dp-size") || stated.is_none() && (open("--dp-size") || unsure);
    let known = known && !open_groups;
    server.attention_dp = (!open_groups).then(|| groups.unwrap_or(1));
    for (axis, is_open) in [
        (Axis::Tensor, open("--tp-size") || invocation.open_ended && ranks.is_none() || open_groups),
        (Axis::Pipeline, server.pp.is_none()),
        (Axis::AttentionData, open_groups),
    ] {
        server.open.extend(is_open.then_some(axis));
    }
    server.tp = match (ranks, groups) {
        (Some(ranks), Some(groups)) if ranks.is_multiple_of(groups) => Some(ranks / groups),
        (Some(ranks), Some(groups)) => {
            r.unread.push(Note {
                text: format!("--tp-size {ranks} with {groups} groups of attention"),
                why: "SGLang refuses it: attention data parallel must divide tp-size".into(),
                refused: true,
            });
            None
        }
        // One rank is one group.
        (Some(ranks), _) if open_groups && ranks > 1 => None,
        (ranks, _) => ranks,
    };
    let copies = invocation.copies.unwrap_or(1);
    let engines = dp.filter(|_| !shared).unwrap_or(1);
    let copied = !invocation.open_ended && !open("--dp-size") && !open_groups;
    server.replicas = copied.then(|| copies.saturating_mul(engines));
    server.gpus = known.then(|| {
        u64::from(ranks.unwrap_or(1))
            .saturating_mul(server.pp.unwrap_or(1).into())
            .saturating_mul(engines.into())
            .saturating_mul(copies.into())
    });
    let exchange = r.text("--moe-a2a-backend");
    let deepep = exchange.as_deref().is_some_and(|e| e.eq_ignore_ascii_case("deepep"))
        || r.switch("--enable-deepep-moe") == Some(true);
    let spread = r.count("--ep-size").or_else(|| {
        // Until 0.4.10 a switch that took all ranks (`--enable-ep-moe`).
        (r.switch("--enable-ep-moe") == Some(true)).then_some(ranks).flatten()
    });
    let experts = experts.unwrap_or(deepep || spread.is_some());
    let all = deepep || exchange.as_deref().is_some_and(|e| !e.eq_ignore_ascii_case("none"));
    server.ep = match (experts, all) {
        (false, _) => None,
        (true, true) => ranks,
        (true, false) if said.is_unsure("--moe-a2a-backend") || said.is_unsure("--enable-deepep-moe") => None,
        (true, false) => spread.or((!invocation.open_ended && !open("--ep-size")).then_some(1)),
    };
    if server.ep.is_none() && experts {
        server.open.push(Axis::Expert);
    }
    r.seen("--deepep-mode");
    for flag in ["--enable-hierarchical-cache", "--hicache-size", "--hicache-ratio"] {
        r.undescribed(
            flag,
            "a tier of the cache outside the GPUs is not read from a launch: --kv-tiers says it",
        );
    }
    server.dcp = r.count("--dcp-size");
    server.dtype = r.text("--dtype").as_deref().and_then(dtype);
    server.weights = r.text("--quantization");
    server.kv = r.text("--kv-cache-dtype").as_deref().and_then(dtype);
    server.block_size = r.number("--page-size");
    server.max_model_len = r.number("--context-length");
    // It says no more: what the model's class gives is made.
    server.pooling = r.switch("--is-embedding") == Some(true);
    r.undescribed("--max-total-tokens", "it caps the tokens of the cache: the cache is counted without it");
    if said.get("--attn-cp-size").and_then(|s| s.value()).is_some_and(|n| n.trim() != "1") {
        let why = "context parallel of attention is not described: attention is read as split over all ranks of a group";
        r.undescribed("--attn-cp-size", why);
    }
    // `<type>wo` of weights alone, `<type>dq` of activations too, a group behind a dash (`sglang/srt/layers/torchao_utils.py`).
    let applied = r.text("--torchao-config").filter(|config| !config.is_empty());
    if let Some(config) = applied.filter(|_| server.weights.is_none()) {
        let kind = config.split('-').next().unwrap_or_default();
        match ["int4", "int8", "fp8"].into_iter().find(|format| kind.starts_with(format)) {
            Some(format) => server.weights = Some(format.to_owned()),
            None => r.undescribed(
                "--torchao-config",
                "the format is not described: weights are counted as they are stored",
            ),
        }
    }
    server.max_sequences = r.number("--max-running-requests");
    let chunk = r.read("--chunked-prefill-size", |t| t.parse::<i64>().ok());
    server.chunked_prefill = chunk.filter(|n| *n <= 0).map(|_| false);
    server.max_batched_tokens = chunk.filter(|n| *n > 0).map(|n| n as u64);
    server.memory_fraction = r.share("--mem-fraction-static");
    server.prefix_caching = r.switch("--disable-radix-cache").map(|off| !off);
    graphs(&mut r, server);
    server.cpu_offload_gb = r.read("--cpu-offload-gb", |t| t.parse().ok().filter(|gib: &f64| *gib >= 0.0));
    by_groups(&mut r, &["--offload-group-size"]);
    changed::sglang_adapters(&mut r, server, said.get("--lora-paths").is_some());
    r.seen("--lora-target-modules");
    server.adapted = changed::sglang_adapted(said);
    let tiers = r.switch("--enable-hierarchical-cache") == Some(true);
    let size = r.number("--hicache-size").filter(|gb| tiers && *gb > 0);
    server.host_cache = size.map(|gb| gb.saturating_mul(GB));
    let files = r.text("--hicache-storage-backend").is_some_and(|backend| backend == "file");
    let folder = invocation.variables.get(FILES).filter(|word| tiers && files && !word.unknown);
    server.disk_cache = folder.map(|word| word.text.clone());
    let method = r.text("--speculative-algorithm");
    let drafted = r.count("--speculative-num-draft-tokens");
    let steps = r.count("--speculative-num-steps");
    if let Some(branches) = r.count("--speculative-eagle-topk").filter(|n| *n > 1) {
        server.notes.push(format!("drafts of {branches} branches are read as one line of tokens"));
    }
    let model = r.text("--speculative-draft-model-path");
    if method.is_some() {
        // The tokens verified in a step count the one that the target computes (server_args.py).
        server.speculation =
            Some(Drafts { method, tokens: steps.or(drafted.map(|n| n.saturating_sub(1))), model });
    }
    server.redundant_experts = r.number("--ep-num-redundant-experts");
    let balanced = r.switch("--enable-eplb") == Some(true) || server.redundant_experts.is_some_and(|n| n > 0);
    let overlapped = r.switch("--enable-two-batch-overlap") == Some(true);
    for (on, name) in [(deepep, "deepep"), (balanced, "eplb"), (overlapped, "tbo")] {
        if on {
            server.launches.push(name.into());
        }
    }
    server.pool = invocation.pool.or(match r.text("--disaggregation-mode").as_deref() {
        Some("prefill") => Some(Pool::Prefill),
        Some("decode") => Some(Pool::Decode),
        _ => None,
    });
    let allowed = invocation.variables.get("SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN");
    server.stretches = allowed
        .is_some_and(|word| word.unknown || !matches!(word.text.to_ascii_lowercase().trim(), "0" | "false"))
        || said.get("--json-model-override-args").is_some();
    changed::configuration(&mut r, server, ("--json-model-override-args", None));
    r.finish(server, version);
}

/// Which steps have CUDA graphs. Of a phase the object counts before its own flag, that before the switch that turns the phase
/// off, and that before the one for all (`parse_cuda_graph_config` in `sglang/srt/arg_groups/cuda_graph_hook.py`, 0.5.23).
fn graphs(r: &mut Reading, server: &mut Server) {
    let config = r.object("--cuda-graph-config").unwrap_or_default();
    let decode = config.get("decode").and_then(|v| v.as_object());
    let backend = decode.and_then(|phase| phase.get("backend")?.as_str());
    let flag = r.text("--cuda-graph-backend-decode");
    let (of_phase, of_all) = (r.switch("--disable-decode-cuda-graph"), r.switch("--disable-cuda-graph"));
    let off = backend.or(flag.as_deref()).map(|backend| backend.eq_ignore_ascii_case("disabled"));
    server.eager = off.or(of_phase).or(of_all);
    let count = |v: &serde_json::Value| v.as_u64();
    let listed = |phase: &serde_json::Map<String, serde_json::Value>| {
        phase.get("bs").and_then(|v| v.as_array()?.iter().filter_map(count).max())
    };
    server.largest_graph = decode
        .and_then(|phase| phase.get("max_bs").and_then(count).or_else(|| listed(phase)))
        .or_else(|| r.number("--cuda-graph-max-bs-decode"))
        .or_else(|| r.number("--cuda-graph-max-bs"))
        .or_else(|| r.largest("--cuda-graph-bs-decode"))
        .or_else(|| r.largest("--cuda-graph-bs"));
}

/// Bytes of SGLang's `--hicache-size`, which counts each rank's own (`HostKVCache` in `sglang/srt/mem_cache`).
const GB: u64 = 1_000_000_000;

/// The folder of the files that lie below the host's memory (`sglang/srt/mem_cache/hicache_storage.py`).
const FILES: &str = "SGLANG_HICACHE_FILE_BACKEND_STORAGE_DIR";

/// Writes the command of one server: flags in the spelling that its version takes.
///
/// # Errors
/// As [`Line::set`].
pub fn write(server: &Server) -> Result<Line, Diagnostic> {
    let program = ["python3", "-m", "sglang.launch_server"].map(str::to_owned).to_vec();
    let mut line = Line::new("sglang", server.version.as_deref(), program);
    line.set("--model-path", server.model.clone().unwrap_or_default())?;
    let groups = server.attention_dp.unwrap_or(1).max(1);
    line.set("--tp-size", u64::from(server.tp.unwrap_or(1)) * u64::from(groups))?;
    if let Some(stages) = server.pp.filter(|n| *n > 1) {
        line.set("--pp-size", stages)?;
    }
    if groups > 1 {
        if line.takes("--attn-dp-size") {
            line.set("--attn-dp-size", groups)?;
        } else {
            line.set("--dp-size", groups)?;
            line.switch("--enable-dp-attention")?;
        }
    }
    if let Some(ranks) = server.ep.filter(|n| *n > 1) {
        line.set("--ep-size", ranks)?;
        // Until 0.4.10 the size alone changed nothing.
        if line.takes("--enable-ep-moe") {
            line.switch("--enable-ep-moe")?;
        }
    }
    if let Some(ranks) = server.dcp.filter(|n| *n > 1) {
        line.set("--dcp-size", ranks)?;
    }
    if let Some(length) = server.max_model_len {
        line.set("--context-length", length)?;
    }
    if server.task.is_some() {
        line.switch("--is-embedding")?;
    }
    if let Some(requests) = server.max_sequences {
        line.set("--max-running-requests", requests)?;
        // Graphs for every batch up to the planned one, on each group of ranks.
        let batch = server.largest_graph.unwrap_or(requests.div_ceil(groups.into()));
        let flag = match line.takes("--cuda-graph-max-bs-decode") {
            true => "--cuda-graph-max-bs-decode",
            false => "--cuda-graph-max-bs",
        };
        if server.eager != Some(true) && line.takes(flag) {
            line.set(flag, batch)?;
        }
    }
    match (server.chunked_prefill, server.max_batched_tokens) {
        (Some(false), _) => line.set("--chunked-prefill-size", -1)?,
        (_, Some(tokens)) => line.set("--chunked-prefill-size", tokens)?,
        _ => {}
    }
    if let Some(fraction) = server.memory_fraction {
        line.set("--mem-fraction-static", fraction)?;
    }
    if let Some(format) = &server.weights {
        line.set("--quantization", format)?;
    }
    if let Some(dtype) = &server.dtype {
        line.set("--dtype", spelled(dtype))?;
    }
    if let Some(kv) = &server.kv {
        line.set("--kv-cache-dtype", if kv == "fp8" { "fp8_e4m3" } else { kv })?;
    }
    if let Some(block) = server.block_size {
        line.set("--page-size", block)?;
    }
    if server.prefix_caching == Some(false) {
        line.switch("--disable-radix-cache")?;
    }
    if server.eager == Some(true) {
        match line.takes("--cuda-graph-backend-decode") {
            true => {
                line.set("--cuda-graph-backend-decode", "disabled")?;
                line.set("--cuda-graph-backend-prefill", "disabled")?;
            }
            false => line.switch("--disable-cuda-graph")?,
        }
    }
    if let Some(gib) = server.cpu_offload_gb {
        line.set("--cpu-offload-gb", gib)?;
    }
    if let Some(drafts) = &server.speculation {
        line.set("--speculative-algorithm", drafts.method.as_deref().unwrap_or("EAGLE"))?;
        if let Some(tokens) = drafts.tokens {
            line.set("--speculative-num-steps", tokens)?;
            line.set("--speculative-eagle-topk", 1)?;
            line.set("--speculative-num-draft-tokens", u64::from(tokens) + 1)?;
        }
        if let Some(model) = &drafts.model {
            line.set("--speculative-draft-model-path", model)?;
        }
    }
    for launch in &server.launches {
        match launch.as_str() {
            "deepep" if line.takes("--moe-a2a-backend") => {
                line.set("--moe-a2a-backend", "deepep")?;
                let mode = match server.pool {
                    Some(Pool::Prefill) => "normal",
                    Some(Pool::Decode) => "low_latency",
                    None => "auto",
                };
                line.set("--deepep-mode", mode)?;
            }
            "deepep" => line.switch("--enable-deepep-moe")?,
            "eplb" => line.switch("--enable-eplb")?,
            "tbo" => line.switch("--enable-two-batch-overlap")?,
            _ => {}
        }
    }
    if let Some(experts) = server.redundant_experts.filter(|n| *n > 0) {
        line.set("--ep-num-redundant-experts", experts)?;
    }
    if let Some(slots) = server.adapters {
        changed::write_sglang_adapters(&mut line, server, slots)?;
    }
    if let Some(bytes) = server.host_cache {
        line.switch("--enable-hierarchical-cache")?;
        line.set("--hicache-size", (bytes / GB).max(1))?;
        if let Some(folder) = &server.disk_cache {
            line.set("--hicache-storage-backend", "file")?;
            line.variables.push((FILES.to_owned(), folder.clone()));
        }
    }
    if let Some(pool) = server.pool {
        line.set("--disaggregation-mode", if pool == Pool::Prefill { "prefill" } else { "decode" })?;
        line.set("--disaggregation-transfer-backend", "nixl")?;
    }
    line.require(&server.required);
    Ok(line)
}
