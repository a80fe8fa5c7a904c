//! Words of Dynamo's worker of TensorRT-LLM, which has flags of its own (`components/src/dynamo/trtllm/backend_args.py`).

use crate::diagnostic::{Code, Diagnostic};

/// Options of `trtllm-serve` and the worker's flags of the same meaning.
pub const FLAGS: [(&str, &str); 8] = [
    ("--tp_size", "--tensor-parallel-size"),
    ("--pp_size", "--pipeline-parallel-size"),
    ("--ep_size", "--expert-parallel-size"),
    ("--gpus_per_node", "--gpus-per-node"),
    ("--max_batch_size", "--max-batch-size"),
    ("--max_num_tokens", "--max-num-tokens"),
    ("--max_seq_len", "--max-seq-len"),
    ("--kv_cache_free_gpu_memory_fraction", "--free-gpu-memory-fraction"),
];

/// The worker's flag for the file of options.
pub const FILE: (&str, &str) = ("--extra_llm_api_options", "--extra-engine-args");

/// The worker's flag for the pool that it serves.
pub const POOL: (&str, &str) = ("--server_role", "--disaggregation-mode");

/// An option of `trtllm-serve` as the worker's words; files are found in a folder.
///
/// # Errors
/// [`Code::Usage`] for one that the worker has no word for.
pub fn of_worker(flag: &str, value: Option<&str>, folder: &str) -> Result<Vec<String>, Diagnostic> {
    let value = value.unwrap_or_default();
    if flag == FILE.0 {
        return Ok(vec![FILE.1.to_owned(), format!("{folder}/{value}")]);
    }
    if flag == POOL.0 {
        let mode = if value.eq_ignore_ascii_case("context") { "prefill" } else { "decode" };
        return Ok(vec![POOL.1.to_owned(), mode.to_owned()]);
    }
    match FLAGS.iter().find(|(of, _)| *of == flag) {
        Some((_, own)) => Ok(vec![(*own).to_owned(), value.to_owned()]),
        None => Err(Diagnostic::new(Code::Usage, format!("Dynamo's worker of TensorRT-LLM has no {flag}"))
            .at("--emit dynamo")
            .help("write `command`, `k8s` or `slurm`")),
    }
}

/// A flag of the worker as an option of `trtllm-serve`; itself where it is none of its own.
pub fn of_engine(flag: &str) -> &str {
    let all = FLAGS.iter().chain([&FILE]);
    let found = all.into_iter().find(|(_, own)| *own == flag);
    found.map_or(flag, |(of, _)| of)
}
