//! Dynamo's workers: which version of each engine a release holds, and the words of its own that it has beside the engine's.
//!
//! `flags/dynamo.json` has the releases. Sources of the words: `components/src/dynamo/*/args.py` and `backend_args.py`.

use std::sync::OnceLock;

use serde::Deserialize;

use super::line::Argument;
use crate::catalog::version::Version;
use crate::diagnostic::{Code, Diagnostic};

/// A release of Dynamo.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dynamo {
    /// Its version, which its images are tagged with.
    pub version: String,
    vllm: String,
    sglang: String,
    trtllm: String,
    /// Whether its worker of vLLM embeds (`--embedding-worker`); that of SGLang does in all.
    pub vllm_embeds: bool,
    tool_call_parsers: Vec<String>,
    reasoning_parsers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
    /// Parsers of engines whose namesakes are called otherwise here.
    same_parsers: std::collections::BTreeMap<String, Vec<String>>,
    releases: Vec<Dynamo>,
}

fn book() -> &'static Book {
    static BOOK: OnceLock<Book> = OnceLock::new();
    BOOK.get_or_init(|| {
        serde_json::from_str(include_str!("../../flags/dynamo.json")).expect("a test reads the file")
    })
}

impl Dynamo {
    /// The release that holds a version of an engine, or the newest that is older than it.
    ///
    /// # Errors
    /// [`Code::Usage`] where the engine has no worker, or all releases hold newer versions of it.
    pub fn holding(engine: &str, version: &str) -> Result<&'static Dynamo, Diagnostic> {
        let releases = &book().releases;
        let wrong =
            |cause: String, help: String| Diagnostic::new(Code::Usage, cause).at("--emit dynamo").help(help);
        let held = |release: &Dynamo| release.holds(engine).and_then(|held| held.parse::<Version>().ok());
        let asked: Version = version.parse().unwrap_or(Version::NEWEST);
        if releases.iter().all(|release| release.holds(engine).is_none()) {
            let cause = format!("Dynamo has no worker of {engine}");
            return Err(wrong(cause, "plan with --engine vllm, sglang or trtllm".into()));
        }
        releases.iter().rev().find(|release| held(release).is_some_and(|held| held <= asked)).ok_or_else(
            || {
                let oldest = releases.first().map_or(String::new(), |oldest| {
                    format!(
                        "Dynamo {} has {engine} {}",
                        oldest.version,
                        oldest.holds(engine).unwrap_or_default()
                    )
                });
                let cause = format!(
                    "no release of Dynamo that is described holds {engine} {version} or an older one"
                );
                wrong(cause, format!("the oldest, {oldest}; write `k8s` or `command` for {version}"))
            },
        )
    }

    /// The version of an engine that it holds.
    pub fn holds(&self, engine: &str) -> Option<&str> {
        match engine {
            "vllm" => Some(&self.vllm),
            "sglang" => Some(&self.sglang),
            "trtllm" => Some(&self.trtllm),
            _ => None,
        }
    }

    /// A flag of the engine's own server as words of the worker. The worker takes the engine's flags and none of its API
    /// server (`AsyncEngineArgs.add_cli_args`), whose parsers it has by names of its own.
    ///
    /// # Errors
    /// What is missing, in words, where it has no such parser.
    pub fn of_server(&self, argument: &Argument) -> Result<Vec<String>, String> {
        let (own, known) = match argument.flag.as_str() {
            "--enable-auto-tool-choice" => return Ok(Vec::new()),
            "--tool-call-parser" => ("--dyn-tool-call-parser", &self.tool_call_parsers),
            "--reasoning-parser" => ("--dyn-reasoning-parser", &self.reasoning_parsers),
            _ => return Ok(argument.words().collect()),
        };
        let named = argument.value().unwrap_or_default();
        let plain = |name: &str| name.replace(['-', '_'], "");
        let mut same = book().same_parsers.get(named).into_iter().flatten();
        let found = known.iter().find(|name| plain(name) == plain(named));
        match found.or_else(|| same.find(|name| known.contains(name))) {
            Some(name) => Ok(vec![own.to_owned(), name.clone()]),
            None => Err(format!(
                "{} {named}, for which Dynamo {} has no parser: {own} takes {}",
                argument.flag,
                self.version,
                known.join(", ")
            )),
        }
    }
}

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

/// The workers' flag for the pool that they serve; SGLang's is its own.
pub const POOL: (&str, &str) = ("--server_role", "--disaggregation-mode");

/// The workers' flag for embeddings.
pub const EMBEDS: &str = "--embedding-worker";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_found_by_the_version_of_the_engine_that_it_holds() {
        // Requires-Dist of ai-dynamo 1.6.1, 1.5.0 and 1.0.2.
        let found =
            |engine: &str, version: &str| Dynamo::holding(engine, version).map(|d| d.version.as_str());
        assert_eq!(found("vllm", "0.33.0").unwrap(), "1.6.1");
        assert_eq!(found("vllm", "0.28.0").unwrap(), "1.5.0");
        assert_eq!(found("vllm", "0.17.0").unwrap(), "1.0.2");
        assert_eq!(found("sglang", "0.5.20").unwrap(), "1.5.0");
        assert_eq!(found("trtllm", "1.4.0rc1").unwrap(), "1.6.1");
        let refused = found("vllm", "0.11.0").unwrap_err().to_string();
        assert!(refused.contains("0.16.0"), "{refused}");
        assert!(found("llama.cpp", "b11434").is_err());
    }

    #[test]
    fn parsers_are_those_that_the_release_lists() {
        let newest = Dynamo::holding("vllm", "0.33.0").unwrap();
        let oldest = Dynamo::holding("vllm", "0.16.0").unwrap();
        let argument = |flag: &str, value: &str| Argument { flag: flag.into(), values: vec![value.into()] };
        let words =
            |of: &Dynamo, flag: &str, value: &str| of.of_server(&argument(flag, value)).map(|w| w.join(" "));
        let tool = "--tool-call-parser";
        assert_eq!(words(newest, tool, "deepseek_v31").unwrap(), "--dyn-tool-call-parser deepseek_v3_1");
        assert_eq!(words(newest, tool, "openai").unwrap(), "--dyn-tool-call-parser harmony");
        assert_eq!(words(newest, tool, "glm45").unwrap(), "--dyn-tool-call-parser glm45");
        assert!(words(oldest, tool, "glm45").unwrap_err().contains("Dynamo 1.0.2 has no parser"));
        let reasoning = words(newest, "--reasoning-parser", "deepseek-r1").unwrap();
        assert_eq!(reasoning, "--dyn-reasoning-parser deepseek_r1");
        assert_eq!(words(newest, "--max-num-seqs", "8").unwrap(), "--max-num-seqs 8");
    }
}
