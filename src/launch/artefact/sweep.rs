//! The plans that estimates cannot tell apart, as input of the engines' own tuners: `vllm bench sweep serve`
//! (`vllm/benchmarks/sweep`, 0.13 and newer), SGLang's `auto_benchmark` where it has one (`sglang/auto_benchmark_lib.py`,
//! 0.5.14), and a loop that starts and measures each for engines and versions that have none.

use serde_json::{Map, Value, json};

use super::super::dialect::{self, Takes};
use super::super::line::{Argument, Line, here_document, quoted};
use super::super::release::{Member, Release};
use super::parts::File;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// A plan to be measured: its name, and what starts it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Rank and layout, for files and results.
    pub name: String,
    /// What starts it.
    pub release: Release,
}

/// One server of a candidate with the load that falls to it.
struct Server<'a> {
    name: &'a str,
    member: &'a Member,
    line: Line,
    concurrency: u64,
}

/// Writes what measures plans of one engine. Those that one node does not hold, and split pools, are left out: tuners start
/// one server; how many are left out stands in the head.
///
/// # Errors
/// [`Code::Usage`] where none is left.
pub fn sweep(candidates: &[Candidate]) -> Result<Vec<File>, Diagnostic> {
    let one = |c: &Candidate| match c.release.members.as_slice() {
        [member] if member.nodes(c.release.gpus_per_node) == 1 => Some(member.clone()),
        _ => None,
    };
    let members: Vec<Option<Member>> = candidates.iter().map(one).collect();
    let mut servers = Vec::new();
    for (candidate, member) in candidates.iter().zip(&members) {
        let Some(member) = member else { continue };
        let first = servers.first().map_or(&member.server, |s: &Server| &s.member.server);
        if first.engine != member.server.engine || first.version != member.server.version {
            continue;
        }
        // A version that cannot be told so is no candidate.
        let Ok(line) = member.line() else { continue };
        let concurrency = candidate.release.concurrency.div_ceil(u64::from(member.copies.max(1))).max(1);
        servers.push(Server { name: &candidate.name, member, line, concurrency });
    }
    let (Some(first), Some(candidate)) = (servers.first(), candidates.first()) else {
        return Err(Diagnostic::new(
            Code::Usage,
            "no plan here is one server on one node, which tuners start",
        )
        .at("--emit sweep")
        .help("restrict the plans, for example --mode aggregated and --cluster 8xh100-sxm"));
    };
    let (release, engine) = (&candidate.release, first.member.server.engine.clone());
    let version = first.line.version().to_owned();
    let mut head = format!("#!/bin/sh\n# {}\n", release.head.first().map_or("", String::as_str));
    head += &release.head.iter().skip(1).take(1).map(|line| format!("# {line}\n")).collect::<String>();
    head += &format!(
        "# {} plans of {engine} {version} that estimates cannot tell apart, each measured as one server at its load\n",
        servers.len()
    );
    let left = candidates.len() - servers.len();
    if left > 0 {
        head += &format!("# {left} more are left out: of another engine, over several nodes, or split\n");
    }
    for (name, value) in predicted(candidates) {
        head += &format!("# predicted {name}: {value}\n");
    }
    head +=
        "# afterwards: shardfit observe --results results --launch …, and --learn keeps what was measured\n";
    let mut files = match engine.as_str() {
        "vllm" if dialect::is_at_least(&version, "0.13.0") => vllm(&servers, release, head)?,
        _ => by_hand(&servers, release, head)?,
    };
    if engine == "sglang" {
        for server in &servers {
            files.push(auto_benchmark(server, release)?);
        }
    }
    Ok(files)
}

/// What each candidate's head predicts.
fn predicted(candidates: &[Candidate]) -> Vec<(&str, &str)> {
    let line = |c: &'_ Candidate| -> Option<usize> {
        c.release.head.iter().position(|l| l.starts_with("predicted: "))
    };
    candidates
        .iter()
        .filter_map(|c| Some((c.name.as_str(), c.release.head[line(c)?].trim_start_matches("predicted: "))))
        .collect()
}

/// What follows a flag as the value of a key: a list where there are several, whether it is on where nothing does.
pub(super) fn argument_value(argument: &Argument, on: bool) -> Value {
    let read = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
    match argument.values.as_slice() {
        [] => Value::Bool(on),
        [text] => read(text),
        several => several.iter().map(read).collect(),
    }
}

/// The flags of a command as the keys of a file: `max_num_seqs: 64`, `enable_prefix_caching: false`.
fn keys(line: &Line, engine: &str) -> Map<String, Value> {
    let table = dialect::dialect(engine);
    let mut out = Map::new();
    for argument in &line.arguments {
        let form = table.and_then(|t| t.flag(line.version(), &argument.flag));
        let off =
            argument.flag.strip_prefix("--no-").filter(|_| form.is_none_or(|f| f.takes == Takes::Toggle));
        let bare = off.unwrap_or(argument.flag.trim_start_matches('-'));
        let value = argument_value(argument, off.is_none());
        out.insert(bare.replace('-', "_"), value);
    }
    out
}

fn file(name: &str, value: &Value) -> File {
    File { name: name.to_owned(), text: format!("{value:#}\n") }
}

/// `vllm bench sweep serve`: what differs between servers, and the load of each, under the same names.
fn vllm(servers: &[Server], release: &Release, head: String) -> Result<Vec<File>, Diagnostic> {
    let (mut serve, mut bench) = (Map::new(), Map::new());
    for server in servers {
        serve.insert(server.name.to_owned(), Value::Object(keys(&server.line, "vllm")));
        let prompts = server.concurrency.saturating_mul(10).max(32);
        bench.insert(
            server.name.to_owned(),
            json!({ "max_concurrency": server.concurrency, "num_prompts": prompts }),
        );
    }
    let model = servers[0].line.program.last().cloned().unwrap_or_default();
    let command = format!("vllm serve {}", quoted(&model));
    let load = format!(
        "vllm bench serve --model {} --dataset-name random --random-input-len {} --random-output-len {} --ignore-eos",
        quoted(&model),
        release.isl,
        release.osl
    );
    let script = head
        + &format!(
            "set -eu\nvllm bench sweep serve \\\n  --serve-cmd {} \\\n  --bench-cmd {} \\\n  --serve-params serve.json \\\n  \
             --bench-params bench.json \\\n  --link-vars _benchmark_name=_benchmark_name \\\n  --num-runs 1 \\\n  \
             --output-dir results\n",
            quoted(&command),
            quoted(&load)
        );
    Ok(vec![
        File { name: "sweep.sh".into(), text: script },
        file("serve.json", &Value::Object(serve)),
        file("bench.json", &Value::Object(bench)),
    ])
}

/// A loop that starts each server, waits for it, loads it and stops it.
fn by_hand(servers: &[Server], release: &Release, head: String) -> Result<Vec<File>, Diagnostic> {
    let port = servers[0].member.port();
    let mut text = head;
    text += &format!(
        "set -u\nmkdir -p results\n\
         # measure NAME REQUESTS_IN_FLIGHT COMMAND…\n\
         measure() {{\n  name=$1 n=$2; shift 2\n  \"$@\" > \"results/$name.log\" 2>&1 &\n  server=$!\n  \
         until curl -sf http://127.0.0.1:{port}/health > /dev/null; do\n    \
         kill -0 $server 2> /dev/null || {{ echo \"$name did not start: results/$name.log\" >&2; return; }}\n    \
         sleep 2\n  done\n  {}\n  kill $server; wait $server 2> /dev/null\n}}\n",
        client(
            &servers[0].member.server.engine,
            servers[0].member.server.model.as_deref().unwrap_or(""),
            release
        )
    );
    for server in servers {
        if let Some((name, options)) = &server.line.options {
            let named = format!("{}-{name}", server.name);
            text += &here_document(&named, options)?;
        }
        let mut line = server.line.clone();
        if let Some((name, _)) = &server.line.options {
            for argument in &mut line.arguments {
                if argument.value() == Some(name) {
                    argument.values = vec![format!("{}-{name}", server.name)];
                }
            }
        }
        let env: String = line.variables.iter().map(|(n, v)| format!("{n}={} ", quoted(v))).collect();
        line.variables.clear();
        let env = if env.is_empty() { String::new() } else { format!("env {env}") };
        text += &format!("measure {} {} {env}{}", server.name, server.concurrency, line.shell());
    }
    Ok(vec![File { name: "sweep.sh".into(), text }])
}

/// The benchmark of an engine's own, at `$n` requests in flight, its result in `results/$name.json`.
fn client(engine: &str, model: &str, release: &Release) -> String {
    let (model, isl, osl) = (quoted(model), release.isl, release.osl);
    match engine {
        "sglang" => format!(
            "python3 -m sglang.bench_serving --backend sglang --model {model} --dataset-name random \
             --random-input-len {isl} --random-output-len {osl} --random-range-ratio 1.0 --max-concurrency $n \
             --num-prompts $((n * 10)) --output-file \"results/$name.jsonl\""
        ),
        "trtllm" => format!(
            "python3 -m tensorrt_llm.serve.scripts.benchmark_serving --model {model} --backend openai \
             --dataset-name random --random-ids --random-input-len {isl} --random-output-len {osl} --ignore-eos \
             --max-concurrency $n --num-prompts $((n * 10)) --save-result --result-filename \"results/$name.json\""
        ),
        "llama.cpp" => format!(
            "shardfit observe --url http://127.0.0.1:8080 --isl {isl} --osl {osl} --concurrency $n --json \
             --output \"results/$name.json\""
        ),
        _ => format!(
            "vllm bench serve --model {model} --dataset-name random --random-input-len {isl} --random-output-len {osl} \
             --ignore-eos --max-concurrency $n --num-prompts $((n * 10)) --save-result \
             --result-filename \"results/$name.json\""
        ),
    }
}

/// One candidate for `python3 -m sglang.auto_benchmark run --config FILE`.
fn auto_benchmark(server: &Server, release: &Release) -> Result<File, Diagnostic> {
    let mut flags = keys(&server.line, "sglang");
    flags.insert("model_path".into(), json!(server.member.server.model));
    let config = json!({
        "server": { "base_flags": flags, "port": server.member.port() },
        "dataset": {
            "kind": "random", "num_prompts": server.concurrency.saturating_mul(10).max(32),
            "input_len": [release.isl], "output_len": [release.osl], "random_range_ratio": 1.0,
        },
        // More requests per second than are answered: the loop of clients is the load.
        "benchmark": {
            "qps": [1000.0], "max_concurrency": [server.concurrency],
            "output_dir": format!("results/{}", server.name),
        },
        "search": { "tier": 1, "max_candidates": 1 },
    });
    let text = format!(
        "# python3 -m sglang.auto_benchmark run --config {0}.yaml (SGLang that has it: 0.5.14 does, 0.5.23 does not)\n{1}",
        server.name,
        load::to_yaml(&config)?
    );
    Ok(File { name: format!("{}.yaml", server.name), text })
}
