//! Result files of benchmarks as rows: `vllm bench serve` and its sweeps, SGLang's `bench_serving`, `trtllm-bench`,
//! `aiperf`, GuideLLM.
//!
//! They say what was measured and little of the server, so that the rest is told beside them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::Table;
use super::cells::{Cells, driven, model, name, put};
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// What a result file does not say of its server, or says wrongly.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Model.
    pub model: Option<String>,
    /// GPU.
    pub gpu: Option<String>,
    /// Engine, with its version after an `@`.
    pub engine: Option<String>,
    /// Format of the weights.
    pub weights: Option<String>,
    /// Tensor, pipeline and expert parallel, attention data parallel.
    pub split: [Option<u32>; 4],
    /// GPUs of all replicas.
    pub gpus: Option<u64>,
    /// Type of the KV cache.
    pub kv: Option<String>,
    /// Sequences of one rank.
    pub max_sequences: Option<u64>,
    /// Tokens of a step, as the engine counts.
    pub max_batched_tokens: Option<u64>,
    /// The engine's memory fraction.
    pub memory_fraction: Option<f64>,
}

/// Columns of the rows that result files become.
pub const COLUMNS: [&str; 30] = [
    "id",
    "engine",
    "engine_version",
    "model",
    "gpu",
    "num_gpus",
    "tp",
    "pp",
    "ep",
    "attention_dp",
    "weight_dtype",
    "kv_dtype",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "isl",
    "osl",
    "concurrency",
    "rate",
    "num_requests",
    "protocol",
    "ttft_ms",
    "tpot_ms",
    "itl_ms",
    "e2e_ms",
    "output_tok_s",
    "total_tok_s",
    "req_s",
    "median_ttft_ms",
    "median_tpot_ms",
];

/// Whether a path is that of result files: JSON, JSON lines, or a folder.
pub fn is_results(path: &Path) -> bool {
    path.is_dir() || matches!(path.extension().and_then(|e| e.to_str()), Some("json" | "jsonl"))
}

/// Reads a result file, or every one in a folder, as rows.
///
/// # Errors
/// A file that cannot be read, is not JSON, or is of no benchmark that is known; no GPU.
pub fn read(path: &Path, server: &Server) -> Result<Table, Diagnostic> {
    let place = path.display().to_string();
    let mut rows = Vec::new();
    for file in files(path)? {
        let name = file.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let lines = file.extension().is_some_and(|e| e == "jsonl");
        let text = load::text_of_results(&file)?;
        let place = file.display().to_string();
        if lines {
            for (n, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
                rows.extend(of_text(line, &format!("{name}:{n}"), &format!("{place}, line {n}"), server)?);
            }
        } else {
            rows.extend(of_text(&text, &name, &place, server)?);
        }
    }
    if rows.is_empty() {
        return Err(Diagnostic::new(Code::File, "no result files here")
            .at(place)
            .help("files that end in .json or .jsonl, as benchmarks write them"));
    }
    Ok(Table::of_rows(&COLUMNS, &rows, &place))
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    Ok(load::entries(path)?.into_iter().filter(|file| !file.is_dir() && is_results(file)).collect())
}

/// The rows of a result: one, or one for each run that it holds.
fn of_text(text: &str, id: &str, place: &str, server: &Server) -> Result<Vec<Vec<String>>, Diagnostic> {
    let whole: Value = load::json(text, place)?;
    let runs: Vec<Value> = match whole {
        // `vllm bench sweep` writes the runs of a combination as a list.
        Value::Array(runs) => runs,
        one => vec![one],
    };
    let several = runs.len() > 1;
    let mut rows = Vec::new();
    for (n, run) in (1..).zip(runs) {
        let id = if several { format!("{id}:{n}") } else { id.to_owned() };
        rows.extend(of_run(run, &id, place, server)?);
    }
    Ok(rows)
}

/// The rows of one result.
fn of_run(run: Value, id: &str, place: &str, server: &Server) -> Result<Vec<Vec<String>>, Diagnostic> {
    let has = |name: &str| run.get(name).is_some();
    let wrong = |cause: String| Diagnostic::new(Code::Range, cause).at(place);
    let (bench, trtllm) =
        (has("completed") && has("total_input_tokens"), has("world_info") && has("performance"));
    let (aiperf, guidellm) =
        (has("request_throughput") && has("request_latency"), run["benchmarks"].is_array());
    let sglang = has("mean_e2e_latency_ms");
    let parsed = match () {
        () if trtllm => vec![trtllm_bench(parse(run, place)?).map_err(wrong)?],
        () if bench => vec![bench_serving(parse(run, place)?, sglang).map_err(wrong)?],
        () if aiperf => vec![super::clients::aiperf(&run).map_err(wrong)?],
        () if guidellm => super::clients::guidellm(&run).map_err(wrong)?,
        () => {
            return Err(Diagnostic::new(Code::Syntax, "not a benchmark's result file").at(place).help(
                "known: vllm bench serve --save-result, SGLang's bench_serving, trtllm-bench --report_json, \
                 aiperf's profile_export_aiperf.json, GuideLLM's benchmarks.json",
            ));
        }
    };
    let several = parsed.len() > 1;
    let id = |n: usize| if several { format!("{id}:{n}") } else { id.to_owned() };
    (1..).zip(parsed).map(|(n, cells)| row(cells, &id(n), place, server)).collect()
}

fn parse<T: serde::de::DeserializeOwned>(run: Value, place: &str) -> Result<T, Diagnostic> {
    serde_json::from_value(run).map_err(|e| Diagnostic::new(Code::Syntax, e.to_string()).at(place))
}

/// A row of [`COLUMNS`] from its cells and what is told of the server.
///
/// # Errors
/// A row of no GPU or model.
pub fn row(mut cells: Cells, id: &str, place: &str, server: &Server) -> Result<Vec<String>, Diagnostic> {
    cells.insert("id", id.to_owned());
    tell(&mut cells, server);
    if !cells.contains_key("gpu") {
        return Err(Diagnostic::new(Code::Usage, "result files do not say on which GPU")
            .at(place)
            .help("--gpu NAME"));
    }
    if !cells.contains_key("model") {
        return Err(Diagnostic::new(Code::Usage, "the file does not name the model")
            .at(place)
            .help("--model NAME"));
    }
    Ok(COLUMNS.iter().map(|column| cells.remove(column).unwrap_or_default()).collect())
}

/// What is told beside a file goes before what it says.
fn tell(cells: &mut Cells, server: &Server) {
    let mut set = |column, value: Option<String>| {
        if let Some(value) = value {
            cells.insert(column, value);
        }
    };
    set("model", server.model.clone());
    set("gpu", server.gpu.clone());
    set("weight_dtype", server.weights.clone());
    if let Some(engine) = &server.engine {
        let (name, version) = engine.split_once('@').unwrap_or((engine, ""));
        set("engine", Some(name.to_owned()));
        set("engine_version", Some(version.to_owned()).filter(|v| !v.is_empty()));
    }
    for (column, degree) in ["tp", "pp", "ep", "attention_dp"].into_iter().zip(server.split) {
        set(column, degree.map(|n| n.to_string()));
    }
    set("num_gpus", server.gpus.map(|n| n.to_string()));
    set("kv_dtype", server.kv.clone());
    set("max_num_seqs", server.max_sequences.map(|n| n.to_string()));
    set("max_num_batched_tokens", server.max_batched_tokens.map(|n| n.to_string()));
    set("gpu_memory_utilization", server.memory_fraction.map(|f| f.to_string()));
}

/// A figure; texts such as `inf` are none.
fn figure(value: &Option<Value>) -> Option<f64> {
    let value = value.as_ref()?;
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    number.filter(|x: &f64| x.is_finite() && *x > 0.0)
}

/// What `vllm bench serve` (`vllm/benchmarks/serve.py`) and SGLang's `bench_serving.py` write.
#[derive(Deserialize)]
struct BenchServing {
    backend: Option<String>,
    endpoint_type: Option<String>,
    model_id: Option<String>,
    request_rate: Option<Value>,
    max_concurrency: Option<Value>,
    completed: f64,
    total_input_tokens: f64,
    total_output_tokens: f64,
    request_throughput: Option<Value>,
    output_throughput: Option<Value>,
    #[serde(alias = "total_throughput")]
    total_token_throughput: Option<Value>,
    mean_ttft_ms: Option<Value>,
    median_ttft_ms: Option<Value>,
    mean_tpot_ms: Option<Value>,
    median_tpot_ms: Option<Value>,
    mean_itl_ms: Option<Value>,
    #[serde(alias = "mean_e2e_latency_ms")]
    mean_e2el_ms: Option<Value>,
    /// `--metadata` of vLLM's client.
    tensor_parallel_size: Option<Value>,
    pipeline_parallel_size: Option<Value>,
    gpu: Option<String>,
    server_info: Option<SglangServer>,
}

/// What an SGLang server says of itself (`/get_server_info`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct SglangServer {
    model_path: Option<String>,
    version: Option<String>,
    tp_size: Option<f64>,
    pp_size: Option<f64>,
    ep_size: Option<f64>,
    dp_size: Option<f64>,
    enable_dp_attention: Option<bool>,
    kv_cache_dtype: Option<String>,
    max_running_requests: Option<f64>,
    chunked_prefill_size: Option<f64>,
    mem_fraction_static: Option<f64>,
}

fn bench_serving(file: BenchServing, sglang: bool) -> Result<Cells, String> {
    if file.completed < 1.0 {
        return Err("no request was completed".to_owned());
    }
    let mut cells = Cells::new();
    let client = file.backend.or(file.endpoint_type).unwrap_or_default();
    let engine = match client.as_str() {
        c if c.starts_with("sglang") => "sglang",
        c if c.starts_with("trt") || c.contains("tensorrt") => "trtllm",
        c if c.starts_with("vllm") => "vllm",
        _ if sglang => "sglang",
        _ => "vllm",
    };
    name(&mut cells, "engine", Some(engine.to_owned()));
    name(&mut cells, "model", model(file.model_id));
    name(&mut cells, "gpu", file.gpu);
    put(&mut cells, "tp", figure(&file.tensor_parallel_size));
    put(&mut cells, "pp", figure(&file.pipeline_parallel_size));
    let each = |tokens: f64| Some((tokens / file.completed).round().max(1.0));
    put(&mut cells, "isl", each(file.total_input_tokens));
    put(&mut cells, "osl", each(file.total_output_tokens));
    put(&mut cells, "num_requests", Some(file.completed));
    driven(&mut cells, figure(&file.max_concurrency), figure(&file.request_rate));
    for (column, value) in [
        ("ttft_ms", &file.mean_ttft_ms),
        ("median_ttft_ms", &file.median_ttft_ms),
        ("tpot_ms", &file.mean_tpot_ms),
        ("median_tpot_ms", &file.median_tpot_ms),
        ("itl_ms", &file.mean_itl_ms),
        ("e2e_ms", &file.mean_e2el_ms),
        ("output_tok_s", &file.output_throughput),
        ("total_tok_s", &file.total_token_throughput),
        ("req_s", &file.request_throughput),
    ] {
        put(&mut cells, column, figure(value));
    }
    if let Some(server) = file.server_info {
        of_sglang(&mut cells, server);
    }
    Ok(cells)
}

fn of_sglang(cells: &mut Cells, server: SglangServer) {
    name(cells, "model", model(server.model_path));
    name(cells, "engine_version", server.version);
    name(cells, "kv_dtype", server.kv_cache_dtype);
    let size = |n: Option<f64>| n.filter(|n| *n >= 1.0).unwrap_or(1.0);
    let (ranks, pp, dp) = (size(server.tp_size), size(server.pp_size), size(server.dp_size));
    // Under attention data parallelism the ranks are split between the copies; else each copy has all.
    let attention_dp = if server.enable_dp_attention == Some(true) { dp } else { 1.0 };
    put(cells, "tp", Some((ranks / attention_dp).max(1.0)));
    put(cells, "pp", Some(pp));
    put(cells, "ep", Some(size(server.ep_size)));
    put(cells, "attention_dp", Some(attention_dp));
    put(cells, "num_gpus", Some(ranks * pp * dp / attention_dp));
    put(cells, "max_num_seqs", server.max_running_requests);
    put(cells, "max_num_batched_tokens", server.chunked_prefill_size);
    put(cells, "gpu_memory_utilization", server.mem_fraction_static);
}

/// What `trtllm-bench` writes (`tensorrt_llm/bench/dataclasses/reporting.py`).
#[derive(Deserialize)]
struct TrtllmBench {
    engine: TrtllmEngine,
    world_info: World,
    request_info: RequestInfo,
    performance: Performance,
    #[serde(default)]
    streaming_metrics: Streaming,
}

#[derive(Deserialize)]
struct TrtllmEngine {
    model: Option<String>,
    version: Option<String>,
    kv_cache_dtype: Option<String>,
    quantization: Option<String>,
}

#[derive(Deserialize)]
struct World {
    tp_size: Option<f64>,
    pp_size: Option<f64>,
    ep_size: Option<f64>,
    world_size: Option<f64>,
    max_batch_size: Option<f64>,
    max_num_tokens: Option<f64>,
    kv_cache_percentage: Option<f64>,
}

#[derive(Deserialize)]
struct RequestInfo {
    num_requests: f64,
    avg_input_length: f64,
    avg_output_length: f64,
}

#[derive(Deserialize)]
struct Performance {
    avg_request_latency_ms: Option<f64>,
    request_throughput_req_s: Option<f64>,
    system_output_throughput_tok_s: Option<f64>,
    system_total_throughput_tok_s: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Streaming {
    avg_ttft_ms: Option<f64>,
    avg_tpot_ms: Option<f64>,
}

fn trtllm_bench(file: TrtllmBench) -> Result<Cells, String> {
    let (engine, world, asked, got) = (file.engine, file.world_info, file.request_info, file.performance);
    let mut cells = Cells::new();
    name(&mut cells, "engine", Some("trtllm".to_owned()));
    name(&mut cells, "engine_version", engine.version);
    name(&mut cells, "model", model(engine.model));
    name(
        &mut cells,
        "weight_dtype",
        engine.quantization.map(|q| q.to_lowercase()).filter(|q| q != "no_quant"),
    );
    name(&mut cells, "kv_dtype", engine.kv_cache_dtype.map(|kv| kv.to_lowercase()));
    for (column, value) in [
        ("tp", world.tp_size),
        ("pp", world.pp_size),
        ("ep", world.ep_size),
        ("num_gpus", world.world_size),
        ("max_num_seqs", world.max_batch_size),
        ("max_num_batched_tokens", world.max_num_tokens),
        // Written in per cent by some versions.
        ("gpu_memory_utilization", world.kv_cache_percentage.map(|x| if x > 1.0 { x / 100.0 } else { x })),
        ("isl", Some(asked.avg_input_length.round())),
        ("osl", Some(asked.avg_output_length.round())),
        ("num_requests", Some(asked.num_requests)),
        ("ttft_ms", file.streaming_metrics.avg_ttft_ms),
        ("tpot_ms", file.streaming_metrics.avg_tpot_ms),
        ("e2e_ms", got.avg_request_latency_ms),
        ("output_tok_s", got.system_output_throughput_tok_s),
        ("total_tok_s", got.system_total_throughput_tok_s),
        ("req_s", got.request_throughput_req_s),
    ] {
        put(&mut cells, column, value);
    }
    driven(&mut cells, None, None);
    Ok(cells)
}
