//! A launch of a server as a request: what the launch says fills in what the person left out.

use super::MAX_LAYERS;
use super::layout::{REPLICAS, Workers};
use super::overrides::{layers_anywhere, layers_with_host_experts};
use super::{Counts, Request, Texts, Values};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::launch::{AdapterSlots, Note, Pool, Server};
use crate::model::{Model, Task as ModelTask};
use crate::plan::Axis;
use crate::workload::Purpose;

impl Request {
    /// Fills in what is not given from a launched server. The model's own format decides whether a word such as
    /// `--quantization fp8` changes it: a checkpoint that is stored so already stays as it is. What the planner has no place
    /// for is returned.
    pub fn take_launch(&mut self, server: &Server, model: Option<&Model>) -> Vec<Note> {
        let degree = |given: &mut Option<Values>, said: Option<u32>| {
            if given.is_none() {
                *given = said.map(|n| Values(vec![n]));
            }
        };
        for axis in Axis::ALL {
            degree(self.degrees_mut(axis), server.degree(axis));
        }
        degree(&mut self.replicas, server.replicas);
        self.take_limits(server, model)
    }

    /// Fills in both pools of a launch with split pools; returns what the planner has no place for.
    pub fn take_pools(&mut self, prefill: &Server, decode: &Server, model: Option<&Model>) -> Vec<Note> {
        let words = |s: &Server, workers: Workers| {
            let degrees = Axis::ALL.into_iter().filter(|axis| workers.have(*axis));
            let degrees = degrees.map(|axis| (axis.name(), s.degree(axis)));
            let said = degrees.chain([(REPLICAS, s.replicas)]);
            said.filter_map(|(name, n)| n.map(|n| format!("{name}={n}"))).collect::<Vec<_>>().join(",")
        };
        self.prefill.get_or_insert_with(|| words(prefill, Workers::Prefill));
        self.decode.get_or_insert_with(|| words(decode, Workers::Decode));
        self.take_limits(decode, model)
    }

    /// Makes a launch what runs today, beside which every plan is shown. Model and engine are those of the launch where
    /// none is given, and every plan has room for its longest request.
    ///
    /// # Errors
    /// [`Code::Usage`] where a degree stands in a variable.
    pub fn take_current(&mut self, server: &Server, model: Option<&Model>) -> Result<(), Diagnostic> {
        if self.model.model.is_none() && self.model.shape.is_none() {
            self.model.model.clone_from(&server.model);
        }
        if self.engine.is_none() {
            self.engine = Some(Texts(vec![engine(server, false)]));
        }
        self.min_context = self.min_context.or(server.max_model_len);
        if self.current.is_some() {
            return Ok(());
        }
        if [server.tp, server.pp, server.replicas].contains(&None) {
            return Err(Diagnostic::new(Code::Usage, "the launch leaves a degree in a variable")
                .at("--launch")
                .help("say what runs with --current, for example --current tp=4,replicas=2"));
        }
        let mut said = vec![format!("engine={}", engine(server, true))];
        let mut say = |key: &str, value: Option<String>| {
            said.extend(value.map(|value| format!("{key}={value}")));
        };
        let number = |n: Option<u32>| n.map(|n| n.to_string());
        Axis::ALL.into_iter().for_each(|axis| say(axis.name(), number(server.degree(axis))));
        say(REPLICAS, number(server.replicas));
        say("weights", weights(server, model).map(|f| f.name().to_owned()));
        say("kv", kv(server).map(|kv| kv.name().to_owned()));
        say("max_sequences", sequences(server).map(|n| n.to_string()));
        say("max_batched_tokens", server.max_batched_tokens.map(|n| n.to_string()));
        say("memory_fraction", server.memory_fraction.filter(|f| *f > 0.0).map(|f| f.to_string()));
        self.current = Some(said.join(","));
        Ok(())
    }

    fn take_limits(&mut self, server: &Server, model: Option<&Model>) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.model.model.is_none() && self.model.shape.is_none() {
            self.model.model.clone_from(&server.model);
        }
        if self.engine.is_none() {
            self.engine = Some(Texts(vec![engine(server, true)]));
        }
        if self.model.lora.is_none() {
            let layers = match server.adapted.as_slice() {
                [] => String::new(),
                named => format!(",targets={}", named.join(",")),
            };
            let text = |slots: AdapterSlots| format!("rank={},count={}{layers}", slots.rank, slots.count);
            self.model.lora = server.adapters.map(text);
        }
        if self.weights.is_none() {
            let format = weights(server, model);
            notes.extend(uncounted(server, model, format));
            self.weights = format.map(|f| Texts(vec![f.name().to_owned()]));
        }
        if self.kv.is_none() {
            self.kv = kv(server).map(|kv| Texts(vec![kv.name().to_owned()]));
        }
        if self.max_sequences.is_none() {
            self.max_sequences = sequences(server).map(|n| Counts(vec![n]));
        }
        if self.max_batched_tokens.is_none() {
            self.max_batched_tokens = server.max_batched_tokens.map(|n| Counts(vec![n]));
        }
        if self.memory_fraction.is_none() {
            self.memory_fraction = server.memory_fraction;
        }
        if self.tensor_split.is_none() {
            // GPUs that are left out have no stage, and even proportions are the default.
            let parts = server.tensor_split.iter().flatten().filter(|part| **part > 0.0);
            let parts: Vec<String> = parts.map(f64::to_string).collect();
            let uneven = parts.windows(2).any(|pair| pair[0] != pair[1]);
            self.tensor_split =
                (uneven || server.engine != "llama.cpp" && parts.len() > 1).then_some(Texts(parts));
        }
        if self.task.is_none() {
            let writes = model.is_none_or(|model| model.task == ModelTask::Generation);
            // vLLM alone finds out by itself that a checkpoint was made to embed.
            let told = server.engine != "vllm" && model.is_some_and(Purpose::made_to_embed);
            let other = match (server.pooling, writes) {
                (true, true) => Some(Purpose::Embed),
                (false, true) if told => Some(Purpose::Generate),
                _ => None,
            };
            self.task = server.task.clone().or(other.map(|purpose| purpose.name().to_owned()));
        }
        self.launched = true;
        self.length_by_room = server.length_by_room;
        self.shares_cells = server.shares_cells;
        let image_limit = server.images;
        self.max_model_len = self.max_model_len.or(server.max_model_len);
        self.enforce_eager = self.enforce_eager.or(server.eager);
        self.max_cudagraph_capture_size = self.max_cudagraph_capture_size.or(server.largest_graph);
        self.cudagraph_mode = self.cudagraph_mode.take().or_else(|| server.graph_mode.clone());
        self.cpu_offload_gb = self.cpu_offload_gb.or(server.cpu_offload_gb);
        let cache = server.kv_cache_memory_bytes.map(|bytes| bytes.to_string());
        self.kv_cache_memory_bytes = self.kv_cache_memory_bytes.take().or(cache);
        self.block_size = self.block_size.or(server.block_size);
        self.enable_prefix_caching = self.enable_prefix_caching.or(server.prefix_caching);
        self.language_model_only = self.language_model_only.or(server.text_only.filter(|only| *only));
        self.limit_mm_per_prompt = self.limit_mm_per_prompt.or(image_limit);
        self.redundant_experts = self.redundant_experts.or(server.redundant_experts);
        if server.engine == "llama.cpp" {
            self.gpu_layers = self.gpu_layers.or(server.gpu_layers.filter(|n| *n < 900));
            match server.cpu_moe_layers {
                Some(u64::MAX) => self.cpu_moe = self.cpu_moe.or(Some(true)),
                layers => self.n_cpu_moe = self.n_cpu_moe.or(layers),
            }
            notes.extend(self.take_overrides(server, model));
        }
        notes
    }

    /// Experts that patterns of llama.cpp leave with the host.
    fn take_overrides(&mut self, server: &Server, model: Option<&Model>) -> Option<Note> {
        let patterns = server.override_tensor.as_ref()?;
        if self.n_cpu_moe.is_some() || self.cpu_moe.is_some() || self.override_tensor.is_some() {
            return None;
        }
        let note = |why: String| Note {
            text: format!("--override-tensor {}", patterns.join(",")),
            why,
            refused: false,
        };
        if layers_with_host_experts(patterns, MAX_LAYERS).is_ok() {
            self.override_tensor = Some(Texts(patterns.clone()));
            return None;
        }
        match model.and_then(|model| layers_anywhere(patterns, model.layers())) {
            Some(layers) => {
                self.n_cpu_moe = Some(layers);
                Some(note(format!(
                    "read as the experts of {layers} layers, the first ones in place of those named"
                )))
            }
            None => Some(note(
                "where these tensors lie is not described: they are counted where llama.cpp puts them".into(),
            )),
        }
    }
}

/// The engine of a launch as it is asked for: its version where the launch tells, and its ways to launch.
fn engine(server: &Server, launched: bool) -> String {
    let spelled = match &server.version {
        Some(version) => format!("{}@{version}", server.engine),
        None => server.engine.clone(),
    };
    let graphs_off = (server.eager == Some(true)).then_some("eager");
    let named = server.launches.iter().map(String::as_str).chain(graphs_off);
    let ways: Vec<&str> = named.filter(|way| launched && LAUNCHES.contains(way)).collect();
    match (server.version.is_some(), ways.is_empty()) {
        (_, true) => spelled,
        (true, false) => format!("{spelled}-{}", ways.join("-")),
        (false, false) => format!("{spelled}@{}", ways.join("-")),
    }
}

/// Words of `--quantization` for formats that engines make while they load, or read of a checkpoint that says no more,
/// beside those that every option takes. NF4 of bitsandbytes has a 32-bit scale for 64 weights, 4.5 bits each, as integers
/// in groups of 32 with a 16-bit one have (`BitsAndBytesConfig`, `vllm/model_executor/layers/quantization/`).
const MADE: [(&str, WeightFormat); 10] = [
    ("bitsandbytes", WeightFormat::Int4Group32),
    ("ptpc_fp8", WeightFormat::Fp8),
    ("fbgemm_fp8", WeightFormat::Fp8),
    ("fp8_per_tensor", WeightFormat::Fp8),
    ("fp8_per_block", WeightFormat::Fp8Block),
    ("modelopt_fp8", WeightFormat::Fp8),
    ("modelopt_fp4", WeightFormat::Nvfp4),
    ("nvfp4_online", WeightFormat::Nvfp4),
    ("petit_nvfp4", WeightFormat::Nvfp4),
    ("moe_wna16", WeightFormat::Int4),
];

fn is_sixteen(model: Option<&Model>) -> bool {
    let stored = model.map(|m| m.quantisation.main_format());
    stored.is_none_or(|f| matches!(f, WeightFormat::Bf16 | WeightFormat::Fp16))
}

/// The format that a launch changes weights to.
fn weights(server: &Server, model: Option<&Model>) -> Option<WeightFormat> {
    if let Some(format) = server.checkpoint {
        return format.parse().ok();
    }
    let sixteen = is_sixteen(model);
    let format = server.weights.as_deref().and_then(|word| {
        let made = MADE.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, format)| *format);
        made.or_else(|| word.parse::<WeightFormat>().ok())
    });
    let format = format.filter(|_| server.engine == "llama.cpp" || sixteen);
    let wide = (server.dtype.as_deref() == Some("fp32") && sixteen && server.weights.is_none())
        .then_some(WeightFormat::Fp32);
    format.or(wide)
}

/// What of a launch's formats is not in the plan's figures.
fn uncounted(server: &Server, model: Option<&Model>, format: Option<WeightFormat>) -> Option<Note> {
    let note = |text: String, why: &str| Some(Note { text, why: why.to_owned(), refused: false });
    match (&server.weights, format) {
        (Some(word), None) if is_sixteen(model) && server.engine != "llama.cpp" => note(
            format!("--quantization {word}"),
            "the format is not described: weights are counted as they are stored",
        ),
        (_, Some(WeightFormat::Fp32)) => note(
            "--dtype float32".to_owned(),
            "weights are counted in 32 bits, the cache in 16: it is twice as large",
        ),
        _ => None,
    }
}

fn kv(server: &Server) -> Option<DType> {
    server.kv.as_deref().and_then(|kv| kv.parse().ok())
}

/// Sequences of one rank. SGLang counts requests over all ranks of attention data parallel; the planner each rank.
pub fn sequences(server: &Server) -> Option<u64> {
    let ranks = match server.engine.as_str() {
        "sglang" => u64::from(server.attention_dp.unwrap_or(1)),
        _ => 1,
    };
    server.max_sequences.map(|n| (n / ranks).max(1))
}

/// Ways to launch that engines' descriptions name.
const LAUNCHES: [&str; 7] = ["deepep", "deepep_ht", "eplb", "dbo", "tbo", "unbalanced", "eager"];

/// The servers of a launch by what they do: both pools, or the first of them alone.
pub fn pools(servers: &[Server]) -> Option<(&Server, &Server)> {
    let of = |pool| servers.iter().find(|s| s.pool == Some(pool));
    Some((of(Pool::Prefill)?, of(Pool::Decode)?))
}
