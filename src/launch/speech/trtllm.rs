//! TensorRT-LLM: `trtllm-serve` and the YAML beside it, whose keys win over the command line
//! (`tensorrt_llm/commands/serve.py`, `tensorrt_llm/llmapi/llm_args.py`, 1.0 to 1.3).
//!
//! `tp_size` counts all ranks of a stage; with `enable_attention_dp` each of them has sequences of its own.

use serde_json::{Map, Value, json};

use super::words::dtype;
use crate::diagnostic::Diagnostic;
use crate::launch::dialect::{self, Said};
use crate::launch::invocation::Invocation;
use crate::launch::keys;
use crate::launch::line::Line;
use crate::launch::server::{AdapterSlots, Drafts, Note, Pool, Reading, Server};
use crate::plan::Axis;

/// Reads a command line with its YAML.
pub fn read(invocation: &Invocation, said: &Said, experts: Option<bool>, server: &mut Server) {
    let mut r = Reading::new(said);
    let version = dialect::dialect("trtllm").map_or("", |d| d.version_for(invocation.version.as_deref()));
    let mut positional = said.positional.iter();
    server.model = positional.next().map(|w| w.text.clone()).or(invocation.model.clone());
    for stray in positional {
        r.unread.push(Note {
            text: stray.text.clone(),
            why: "a word that belongs to no option".into(),
            refused: !stray.unknown && stray.only_if.is_none(),
        });
    }
    for flag in ["--host", "--port", "--backend", "--config", "--extra_llm_api_options"] {
        r.seen(flag);
    }
    let (yaml, open_keys) = options(invocation, &mut r);
    let y = Yaml { keys: &yaml };
    // Keys of a file that is not there win over the command line.
    let open_ended = invocation.open_ended || !invocation.missing_files.is_empty();
    let left = |key: &str| open_keys.iter().any(|open| open == key);
    let open = |flag: &str, key: &str| said.leaves_open(flag) || left(key);
    let (open_ranks, open_stages) =
        (open("--tp_size", "tensor_parallel_size"), open("--pp_size", "pipeline_parallel_size"));
    let stated_ranks = r.count("--tp_size").filter(|_| !left("tensor_parallel_size"));
    let known = !open_ended && !open_ranks && !open_stages;
    let ranks = y.count("tensor_parallel_size").or(stated_ranks).or(known.then_some(1));
    let stated_stages = r.count("--pp_size").filter(|_| !left("pipeline_parallel_size"));
    server.pp = y.count("pipeline_parallel_size").or(stated_stages).or(known.then_some(1));
    let switched = r.switch("--enable_attention_dp");
    let groups = y.flag("enable_attention_dp").or(switched);
    let unsure = left("enable_attention_dp")
        || groups.is_none() && (open_ended || said.is_unsure("--enable_attention_dp"));
    let open_experts = open("--ep_size", "moe_expert_parallel_size") || left("moe_tensor_parallel_size");
    let spread = r.count("--ep_size").filter(|_| !left("moe_expert_parallel_size"));
    let spread = y.count("moe_expert_parallel_size").or(spread);
    let within = y.count("moe_tensor_parallel_size");
    match groups {
        Some(true) => (server.tp, server.attention_dp) = (ranks.map(|_| 1), ranks),
        // One rank is one group.
        _ if unsure && ranks != Some(1) => (server.tp, server.attention_dp) = (None, None),
        _ => (server.tp, server.attention_dp) = (ranks, ranks.map(|_| 1)),
    }
    for (axis, is_open) in [
        (Axis::Tensor, server.tp.is_none()),
        (Axis::Pipeline, server.pp.is_none()),
        (Axis::AttentionData, server.attention_dp.is_none()),
        (Axis::Expert, open_experts || open_ended && spread.is_none() && experts == Some(true)),
    ] {
        server.open.extend(is_open.then_some(axis));
    }
    let divided = || Some(ranks? / within.filter(|n| *n > 0)?);
    server.ep = match experts {
        Some(false) => None,
        // Without a word all experts are split inside (`mapping.py`: moe_tp_size = tp_size).
        Some(true) => spread.or_else(divided).or((known && !open_experts).then_some(1)),
        None => spread.or_else(divided),
    };
    let copies = invocation.copies.unwrap_or(1);
    server.replicas = known.then_some(copies);
    server.gpus = known.then(|| {
        u64::from(ranks.unwrap_or(1))
            .saturating_mul(server.pp.unwrap_or(1).into())
            .saturating_mul(copies.into())
    });
    let cache = y.object("kv_cache_config");
    let cache = Yaml { keys: &cache };
    if cache.number("host_cache_size").is_some_and(|bytes| bytes > 0) {
        r.unread.push(Note {
            text: "kv_cache_config.host_cache_size".into(),
            why: "a tier of the cache outside the GPUs is not read from a launch: --kv-tiers says it".into(),
            refused: false,
        });
    }
    let mut limit = |key: &str, flag: &'static str| {
        let stated = r.number(flag).filter(|_| !left(key));
        y.number(key).or(stated)
    };
    server.max_sequences = limit("max_batch_size", "--max_batch_size");
    server.max_batched_tokens = limit("max_num_tokens", "--max_num_tokens");
    server.max_model_len = limit("max_seq_len", "--max_seq_len");
    let fraction = r
        .share("--kv_cache_free_gpu_memory_fraction")
        .filter(|_| !left("kv_cache_config.free_gpu_memory_fraction") && !left("kv_cache_config"));
    server.memory_fraction = cache.share("free_gpu_memory_fraction").or(fraction);
    let kv = r.text("--kv_cache_dtype");
    server.kv = cache.text("dtype").or(kv).as_deref().and_then(dtype);
    server.prefix_caching = cache.flag("enable_block_reuse");
    server.block_size = cache.number("tokens_per_block");
    server.chunked_prefill =
        y.flag("enable_chunked_prefill").or_else(|| r.switch("--enable_chunked_prefill"));
    server.dtype = y.text("dtype").as_deref().and_then(dtype);
    let adapters = y.object("lora_config");
    let slots = Yaml { keys: &adapters };
    server.lora = y.flag("enable_lora").or((!adapters.is_empty()).then_some(true));
    server.adapters = match (slots.number("max_loras"), slots.number("max_lora_rank")) {
        (Some(count), Some(rank)) if count > 0 && rank > 0 => Some(AdapterSlots { count, rank }),
        _ => None,
    };
    let layers = adapters.get("lora_target_modules").and_then(Value::as_array);
    let own =
        |name: &Value| MODULES.iter().find(|(_, module)| name == module).map(|(of, _)| (*of).to_owned());
    server.adapted = layers.into_iter().flatten().filter_map(own).collect();
    if server.adapted.len() == MODULES.len() {
        server.adapted.clear();
    }
    server.host_cache = cache.number("host_cache_size").filter(|bytes| *bytes > 0);
    let drafts = y.object("speculative_config");
    if !drafts.is_empty() {
        let d = Yaml { keys: &drafts };
        let tokens = d.count("num_nextn_predict_layers").or(d.count("max_draft_len"));
        server.speculation = Some(Drafts {
            method: d.text("decoding_type"),
            tokens,
            model: d.text("speculative_model_dir").or(d.text("speculative_model")),
        });
    }
    let experts = y.object("moe_config");
    let experts = Yaml { keys: &experts };
    if experts.text("backend").is_some_and(|b| b.eq_ignore_ascii_case("WIDEEP")) {
        server.launches.push("wideep".into());
    }
    let balance = y.object("attention_dp_config");
    let balanced = Yaml { keys: &balance }.flag("enable_balance") == Some(true);
    if groups == Some(true) && !balanced {
        server.launches.push("unbalanced".into());
    }
    if !experts.object("load_balancer").is_empty() || experts.text("load_balancer").is_some() {
        server.launches.push("eplb".into());
    }
    server.eager = match yaml.get("cuda_graph_config") {
        Some(Value::Null) => Some(true),
        _ => None,
    };
    let graphs = yaml.get("cuda_graph_config");
    let listed =
        graphs.and_then(|g| g.get("batch_sizes")?.as_array()?.iter().filter_map(Value::as_u64).max());
    server.largest_graph = graphs.and_then(|g| g.get("max_batch_size")?.as_u64()).or(listed);
    let layers = yaml.get("pp_partition").and_then(Value::as_array);
    server.tensor_split = layers.map(|stages| stages.iter().filter_map(Value::as_f64).collect());
    server.pool = invocation.pool.or(match r.text("--server_role").as_deref() {
        Some(role) if role.eq_ignore_ascii_case("context") => Some(Pool::Prefill),
        Some(role) if role.eq_ignore_ascii_case("generation") => Some(Pool::Decode),
        _ => None,
    });
    r.finish(server, version);
}

/// The keys of the YAML that the command names, from a here-document or from a file that was found, and the paths of those
/// whose values the text leaves open.
fn options(invocation: &Invocation, r: &mut Reading) -> (Map<String, Value>, Vec<String>) {
    let mut keys = invocation.options.clone();
    for file in &invocation.missing_files {
        r.unread.push(Note {
            text: file.clone(),
            why: "this file was not found, and its keys win over the command line".into(),
            refused: false,
        });
    }
    // `llm_args` nests the same keys in some recipes.
    if let Some(Value::Object(inner)) = keys.remove("llm_args") {
        keys.extend(inner);
    }
    let mut open = Vec::new();
    take_open(&mut keys, "", &mut open, r);
    (keys, open)
}

/// Takes out keys whose values stand in variables, depend on a branch, or are not of their kind, and says so.
fn take_open(keys: &mut Map<String, Value>, above: &str, open: &mut Vec<String>, r: &mut Reading) {
    keys.retain(|key, value| {
        let path = format!("{above}{key}");
        match value {
            Value::Object(inner) => {
                take_open(inner, &format!("{path}."), open, r);
                true
            }
            Value::String(text) if keys::is_open(text) => {
                let branches = text.starts_with("$(");
                let why = branches.then_some("its value depends on what this text does not settle");
                r.open(format!("{path}: {text}"), why);
                open.push(path);
                false
            }
            Value::Array(items) if items.iter().any(|item| item.as_str().is_some_and(keys::is_open)) => {
                r.open(format!("{path}: {}", Value::from(items.clone())), None);
                open.push(path);
                false
            }
            Value::String(text) if COUNTED.contains(&path.as_str()) && number(text).is_none() => {
                let why = "the value was not understood".to_owned();
                r.unread.push(Note { text: format!("{path}: {text}"), why, refused: false });
                open.push(path);
                false
            }
            _ => true,
        }
    });
}

/// Keys whose values are numbers or switches.
const COUNTED: [&str; 10] = [
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "moe_expert_parallel_size",
    "moe_tensor_parallel_size",
    "max_batch_size",
    "max_num_tokens",
    "max_seq_len",
    "enable_attention_dp",
    "kv_cache_config.free_gpu_memory_fraction",
    "kv_cache_config.enable_block_reuse",
];

/// A number or a switch that stands in quotes: `pydantic` takes both from text.
fn number(text: &str) -> Option<Value> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true.into()),
        "false" => Some(false.into()),
        other => serde_json::from_str(other).ok().filter(Value::is_number),
    }
}

/// Keys of a YAML object.
struct Yaml<'a> {
    keys: &'a Map<String, Value>,
}

impl Yaml<'_> {
    fn value(&self, key: &str) -> Option<Value> {
        match self.keys.get(key)? {
            Value::String(text) => number(text),
            other => Some(other.clone()),
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        let value = self.value(key)?;
        value.as_u64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && *f >= 0.0).map(|f| f as u64))
    }

    fn count(&self, key: &str) -> Option<u32> {
        self.number(key).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
    }

    fn share(&self, key: &str) -> Option<f64> {
        self.value(key)?.as_f64().filter(|f| (0.0..=1.0).contains(f))
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.value(key)?.as_bool()
    }

    fn text(&self, key: &str) -> Option<String> {
        self.keys.get(key)?.as_str().map(str::to_owned)
    }

    fn object(&self, key: &str) -> Map<String, Value> {
        self.keys.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
    }
}

/// Linear layers by the last part of their names, and TensorRT-LLM's names of them
/// (`get_default_trtllm_modules_to_hf_modules` in `tensorrt_llm/lora_helper.py`).
pub(super) const MODULES: [(&str, &str); 7] = [
    ("q_proj", "attn_q"),
    ("k_proj", "attn_k"),
    ("v_proj", "attn_v"),
    ("o_proj", "attn_dense"),
    ("gate_proj", "mlp_h_to_4h"),
    ("down_proj", "mlp_4h_to_h"),
    ("up_proj", "mlp_gate"),
];

/// Room for adapters as `LoraConfig` says it (`tensorrt_llm/lora_helper.py`); layers are named, since none are loaded from
/// which they would follow.
fn adapters(server: &Server, slots: AdapterSlots, line: &Line) -> Result<Value, Diagnostic> {
    let own = |layer: &String| MODULES.iter().find(|(of, _)| of == layer).map(|(_, module)| *module);
    let strange = server.adapted.iter().find(|layer| own(layer).is_none());
    if let Some(layer) = strange {
        let known: Vec<&str> = MODULES.iter().map(|(of, _)| *of).collect();
        let what = format!("adapter of {layer}");
        return Err(line.lacks(&what).help(format!("name targets among {}", known.join(", "))));
    }
    let modules: Vec<&str> = match server.adapted.is_empty() {
        true => MODULES.iter().map(|(_, module)| *module).collect(),
        false => server.adapted.iter().filter_map(own).collect(),
    };
    Ok(json!({
        "max_lora_rank": slots.rank, "max_loras": slots.count, "max_cpu_loras": slots.count,
        "lora_target_modules": modules,
    }))
}

/// The file that the command names: one for each pool, since they stand side by side.
fn options_file(server: &Server) -> &'static str {
    match server.pool {
        Some(Pool::Prefill) => "trtllm-options-prefill.yaml",
        Some(Pool::Decode) => "trtllm-options-decode.yaml",
        None => "trtllm-options.yaml",
    }
}

/// Writes the command of one server and the YAML beside it.
///
/// # Errors
/// As [`Line::set`].
pub fn write(server: &Server) -> Result<Line, Diagnostic> {
    let program = vec!["trtllm-serve".to_owned(), server.model.clone().unwrap_or_default()];
    let mut line = Line::new("trtllm", server.version.as_deref(), program);
    if let Some(task) = &server.task {
        let what = format!("server of the task {task}");
        return Err(line.lacks(&what).help("plan with --engine vllm or sglang"));
    }
    line.set("--backend", "pytorch")?;
    let groups = server.attention_dp.unwrap_or(1).max(1);
    line.set("--tp_size", u64::from(server.tp.unwrap_or(1)) * u64::from(groups))?;
    if let Some(stages) = server.pp.filter(|n| *n > 1) {
        line.set("--pp_size", stages)?;
    }
    if let Some(ranks) = server.ep.filter(|n| *n > 1) {
        line.set("--ep_size", ranks)?;
    }
    if let Some(sequences) = server.max_sequences {
        line.set("--max_batch_size", sequences)?;
    }
    if let Some(tokens) = server.max_batched_tokens {
        line.set("--max_num_tokens", tokens)?;
    }
    if let Some(length) = server.max_model_len {
        line.set("--max_seq_len", length)?;
    }
    let mut options = Map::new();
    if groups > 1 {
        options.insert("enable_attention_dp".into(), true.into());
        if !server.launches.iter().any(|l| l == "unbalanced") {
            // Prompts start together on all ranks, as in public launches of this layout; ranks that have one would wait
            // 10 steps for more by default (`AttentionDpConfig`).
            let balance = json!({ "enable_balance": true, "timeout_iters": 60, "batching_wait_iters": 0 });
            options.insert("attention_dp_config".into(), balance);
        }
    }
    if let Some(layers) = &server.tensor_split {
        // `TorchLlmArgs.pp_partition`: whole numbers.
        options.insert("pp_partition".into(), layers.iter().map(|n| json!(*n as u64)).collect());
    }
    let mut cache = Map::new();
    if let Some(fraction) = server.memory_fraction {
        cache.insert("free_gpu_memory_fraction".into(), fraction.into());
    }
    if let Some(kv) = server.kv.as_deref().filter(|kv| matches!(*kv, "fp8" | "nvfp4")) {
        cache.insert("dtype".into(), kv.into());
    }
    if let Some(kept) = server.prefix_caching {
        cache.insert("enable_block_reuse".into(), kept.into());
    }
    if let Some(block) = server.block_size {
        cache.insert("tokens_per_block".into(), block.into());
    }
    if let Some(bytes) = server.host_cache {
        cache.insert("host_cache_size".into(), bytes.into());
    }
    if server.disk_cache.is_some() {
        return Err(line
            .lacks("tier of drives below the host's memory")
            .help("leave nvme out of --kv-tiers, or plan with --engine vllm or sglang"));
    }
    if let Some(slots) = server.adapters {
        options.insert("lora_config".into(), adapters(server, slots, &line)?);
    }
    if !cache.is_empty() {
        options.insert("kv_cache_config".into(), cache.into());
    }
    if let Some(cut) = server.chunked_prefill {
        options.insert("enable_chunked_prefill".into(), cut.into());
    }
    let eager = server.eager == Some(true) || server.launches.iter().any(|launch| launch == "eager");
    match (eager, server.max_sequences) {
        (true, _) => {
            options.insert("cuda_graph_config".into(), Value::Null);
        }
        (_, Some(batch)) => {
            let batch = server.largest_graph.unwrap_or(batch);
            options.insert(
                "cuda_graph_config".into(),
                json!({ "max_batch_size": batch, "enable_padding": true }),
            );
        }
        _ => {}
    }
    if let Some(drafts) = &server.speculation {
        // `Eagle3` has a name of its own from 1.3 on (`Eagle3DecodingConfig`).
        let method = match drafts.method.as_deref().unwrap_or("MTP") {
            "Eagle" if dialect::is_at_least(line.version(), "1.3.0") => "Eagle3",
            method => method,
        };
        let tokens = if method == "MTP" { "num_nextn_predict_layers" } else { "max_draft_len" };
        let mut config = Map::from_iter([("decoding_type".to_owned(), Value::from(method))]);
        config.extend(drafts.tokens.map(|n| (tokens.to_owned(), n.into())));
        config.extend(drafts.model.clone().map(|m| ("speculative_model_dir".to_owned(), m.into())));
        options.insert("speculative_config".into(), config.into());
    }
    if server.launches.iter().any(|l| l == "wideep") {
        options.insert("moe_config".into(), json!({ "backend": "WIDEEP" }));
    }
    if let Some(pool) = server.pool {
        line.set("--server_role", if pool == Pool::Prefill { "CONTEXT" } else { "GENERATION" })?;
        options.insert("cache_transceiver_config".into(), json!({ "backend": "UCX" }));
        // Prompt workers cannot overlap steps with the hand-over (`llm_args.py`).
        if server.pool == Some(Pool::Prefill) {
            options.insert("disable_overlap_scheduler".into(), true.into());
        }
    }
    if !options.is_empty() {
        let file = options_file(server);
        line.set("--extra_llm_api_options", file)?;
        line.options = Some((file.to_owned(), options));
    }
    Ok(line)
}
