//! A plan as servers to be started: what each engine's command must say so that it is the plan that was scored.

use super::line::{Line, quoted};
use super::platform::Platform;
use super::published;
use super::server::{Drafts, Pool, Server};
use super::speech;
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::WeightFormat;
use crate::units::{Bytes, plural};
use crate::workload::{Purpose, Sessions};

/// Servers of one kind.
#[derive(Clone, Debug)]
pub struct Member {
    /// What its launch says.
    pub server: Server,
    /// How many of them.
    pub copies: u32,
    /// GPUs of one.
    pub gpus: u64,
}

/// Everything that artefacts are written from.
#[derive(Clone, Debug)]
pub struct Release {
    /// One kind of server; prefill, then decode, where pools are split.
    pub members: Vec<Member>,
    /// Who makes the GPUs: `nvidia`, `amd`, `intel` …
    pub vendor: String,
    /// The GPU's id in the catalogue.
    pub gpu: String,
    /// Where the cards of a server are of several kinds, the number of the first card of each kind and how many of them a
    /// server has; else empty.
    pub cards: Vec<(u64, u64)>,
    /// The profile of the slice that it is (`3g.40gb`), if it is one.
    pub slice: Option<String>,
    /// That of the prefill servers, where they stand on GPUs of another kind.
    pub prefill_gpu: Option<String>,
    /// GPUs of a node.
    pub gpus_per_node: u64,
    /// What tells it from the other parts of a deployment of several, such as `1-h200-sxm`.
    pub part: Option<String>,
    /// What the head of each file says: question, plan, figures with their ranges.
    pub head: Vec<String>,
    /// Prompt tokens of the benchmark that checks it.
    pub isl: u64,
    /// Output tokens.
    pub osl: u64,
    /// What answers are made of.
    pub purpose: Purpose,
    /// Requests in flight over all servers.
    pub concurrency: u64,
    /// What else the load is made of.
    pub bench: Bench,
    /// One server in the words of the command line: model, GPUs, engine, format and slots.
    pub described: String,
    /// What the checkpoint takes to store.
    pub checkpoint: Bytes,
    /// What other parts of the deployment take of the same node.
    pub beside: Beside,
}

/// What a load is made of beside lengths and requests in flight.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bench {
    /// Prompt tokens that all requests begin with and that the prefix cache holds.
    pub prefix: u64,
    /// Requests a second over all servers, where they come at a rate.
    pub rate: Option<f64>,
    /// The sessions that requests are turns of.
    pub sessions: Option<Sessions>,
    /// Users of them over all servers.
    pub users: Option<u64>,
}

/// What stands on a node already when a part of a deployment is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// GPUs.
    pub gpus: u64,
    /// Servers, each with a port.
    pub servers: u64,
}

/// Where the other nodes of a server find its first one.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// This node's number.
    pub rank: Rank<'a>,
    /// Nodes of the server.
    pub nodes: u64,
    /// Address of the first.
    pub address: &'a str,
}

/// A node's number: known, or what a launcher puts in.
#[derive(Clone, Copy, Debug)]
pub enum Rank<'a> {
    /// Of a command that is written out.
    Is(u64),
    /// The name of a variable of the launcher, for example `LWS_WORKER_INDEX`.
    Set(&'a str),
}

impl Rank<'_> {
    /// The number times another, as a command says it: a variable as Kubernetes puts it in, a product as a shell works
    /// it out.
    fn times(self, other: u64) -> String {
        match (self, other) {
            (Rank::Is(n), _) => n.saturating_mul(other).to_string(),
            (Rank::Set(name), 1) => format!("$({name})"),
            (Rank::Set(name), _) => format!("$(({name} * {other}))"),
        }
    }
}

impl Member {
    /// Its name in files and manifests.
    pub fn role(&self) -> &'static str {
        match self.server.pool {
            Some(Pool::Prefill) => "prefill",
            Some(Pool::Decode) => "decode",
            None => "server",
        }
    }

    /// Nodes of one server.
    pub fn nodes(&self, gpus_per_node: u64) -> u64 {
        self.gpus.div_ceil(gpus_per_node.max(1)).max(1)
    }

    /// The command of one server on one node.
    ///
    /// # Errors
    /// As [`speech::write`].
    pub fn line(&self) -> Result<Line, Diagnostic> {
        speech::write(&self.server)
    }

    /// The command of one node of a server that stands on several.
    ///
    /// # Errors
    /// As [`speech::write`]; [`Code::Usage`] for an engine or version that does not span nodes by itself.
    pub fn line_of_node(&self, node: Node, gpus_per_node: u64) -> Result<Line, Diagnostic> {
        let mut line = self.line()?;
        if node.nodes <= 1 {
            return Ok(line);
        }
        match self.server.engine.as_str() {
            "vllm" => {
                let ranks = u64::from(self.server.attention_dp.unwrap_or(1));
                let follower = !matches!(node.rank, Rank::Is(0));
                if ranks > 1 && gpus_per_node.is_multiple_of(u64::from(self.server.tp.unwrap_or(1))) {
                    // Data parallel ranks are dealt out over nodes (vLLM docs, data parallel deployment).
                    let local = (gpus_per_node / u64::from(self.server.tp.unwrap_or(1))).max(1);
                    line.set("--data-parallel-size-local", local.min(ranks))?;
                    line.set("--data-parallel-address", node.address)?;
                    line.set("--data-parallel-rpc-port", 13345)?;
                    if follower {
                        // A follower that is not told would take the first ranks (`vllm/entrypoints/cli/serve.py`,
                        // `run_headless`).
                        line.set("--data-parallel-start-rank", node.rank.times(local.min(ranks)))?;
                        line.switch("--headless")?;
                    }
                } else {
                    line.set("--nnodes", node.nodes)?;
                    line.set("--node-rank", node.rank.times(1))?;
                    line.set("--master-addr", node.address)?;
                    if follower {
                        line.switch("--headless")?;
                    }
                }
            }
            "sglang" => {
                line.set("--nnodes", node.nodes)?;
                line.set("--node-rank", node.rank.times(1))?;
                line.set("--dist-init-addr", format!("{}:20000", node.address))?;
            }
            "trtllm" => {
                // One MPI world: every rank runs the same command, of which `trtllm-llmapi-launch` makes one server and
                // workers (docs of `trtllm-serve`, serving over nodes).
                line.program.insert(0, "trtllm-llmapi-launch".into());
                line.set("--gpus_per_node", gpus_per_node)?;
            }
            other => {
                return Err(Diagnostic::new(
                    Code::Usage,
                    format!("{other} does not span {} nodes", node.nodes),
                )
                .at("--emit")
                .help("restrict the plan to one node, for example --cluster 8xh100-sxm"));
            }
        }
        Ok(line)
    }

    /// The image that holds the engine's version, or why none can be named.
    ///
    /// Sources: the engines' own registries (`docs.vllm.ai` deployment/docker, `docs.sglang.io` install,
    /// NGC `tensorrt-llm/release`, `ggml-org/llama.cpp` docs/docker.md, `docs.vllm.ai/projects/ascend`).
    ///
    /// # Errors
    /// [`Code::Usage`] where the launch pins no version, the version is no release, or no image of it is known.
    pub fn image(&self, vendor: &str, gpu: &str) -> Result<String, Diagnostic> {
        let version =
            self.server.version.as_deref().ok_or_else(|| {
                Diagnostic::new(Code::Usage, "no version of the engine is pinned").at("--emit")
            })?;
        let engine = self.server.engine.as_str();
        let Some(version) = published::release_of(engine, version) else {
            let known = published::releases(engine).unwrap_or_default().join(", ");
            return Err(Diagnostic::new(Code::Usage, format!("{engine} {version} is no release"))
                .at("--emit")
                .help(format!("releases: {known}")));
        };
        let known = match engine {
            "trtllm" => vendor == "nvidia",
            "llama.cpp" => matches!(vendor, "nvidia" | "amd" | "intel" | "cpu"),
            "sglang" => matches!(vendor, "nvidia" | "amd"),
            _ => matches!(vendor, "nvidia" | "amd" | "ascend"),
        };
        if !known {
            let chips = Platform::of(vendor).chips;
            return Err(Diagnostic::new(
                Code::Usage,
                format!("which image holds {engine} {version} for {chips} is not known here"),
            )
            .at("--emit")
            .help("write `command`, which starts an engine that is installed"));
        }
        Ok(match (engine, vendor) {
            ("sglang", "amd") => format!("lmsysorg/sglang:v{version}-rocm700-mi30x"),
            ("sglang", _) => format!("lmsysorg/sglang:v{version}"),
            ("trtllm", _) => format!("nvcr.io/nvidia/tensorrt-llm/release:{version}"),
            ("llama.cpp", "amd") => format!("ghcr.io/ggml-org/llama.cpp:server-rocm-{version}"),
            ("llama.cpp", "intel") => format!("ghcr.io/ggml-org/llama.cpp:server-intel-{version}"),
            ("llama.cpp", "cpu") => format!("ghcr.io/ggml-org/llama.cpp:server-{version}"),
            ("llama.cpp", _) => format!("ghcr.io/ggml-org/llama.cpp:server-cuda-{version}"),
            // Atlas A3 has the 910C (quick start of the plug-in's documentation, 0.13).
            (_, "ascend") if gpu == "ascend-910c" => format!("quay.io/ascend/vllm-ascend:v{version}-a3"),
            (_, "ascend") => format!("quay.io/ascend/vllm-ascend:v{version}"),
            (_, "amd") => format!("vllm/vllm-openai-rocm:v{version}"),
            _ => format!("vllm/vllm-openai:v{version}"),
        })
    }

    /// Whether the image starts the server by itself and takes its flags; others are told the program.
    pub fn image_starts(&self, vendor: &str) -> bool {
        match self.server.engine.as_str() {
            "vllm" => vendor != "ascend",
            engine => engine == "llama.cpp",
        }
    }

    /// The words that the image's own program takes, or the whole command.
    pub fn container_words(&self, line: &Line, vendor: &str) -> Vec<String> {
        match self.server.engine.as_str() {
            _ if !self.image_starts(vendor) => line.words(),
            // The entry point is the server itself: `vllm serve`, `llama-server`. The model is stated by its flag,
            // which entry points of all described versions take.
            "vllm" => {
                let model = self.server.model.clone().unwrap_or_default();
                ["--model".to_owned(), model].into_iter().chain(line.flags()).collect()
            }
            _ => line.flags(),
        }
    }

    /// The port that it listens on where nothing is said.
    pub fn port(&self) -> u16 {
        match self.server.engine.as_str() {
            "sglang" => 30000,
            "llama.cpp" => 8080,
            _ => 8000,
        }
    }

    /// The flag and value by which it listens on all addresses at a port.
    pub fn listen(&self, port: u16) -> Vec<String> {
        ["--host", "0.0.0.0", "--port", &port.to_string()].map(str::to_owned).to_vec()
    }
}

impl Release {
    /// Whether prompts and answers are computed by servers of their own, which a router joins.
    pub fn is_split(&self) -> bool {
        self.members.iter().any(|member| member.server.pool.is_some())
    }

    /// The benchmark of the same engine that loads one server as planned; where pools are split all of them, through
    /// their router.
    pub fn benchmark(&self) -> String {
        let Some(member) = self.members.last() else { return String::new() };
        let model = quoted(member.server.model.as_deref().unwrap_or_default());
        let (isl, osl) = (self.isl, self.osl);
        let share = if self.is_split() { 1 } else { member.copies.max(1) };
        let each = self.concurrency.div_ceil(u64::from(share)).max(1);
        if let Some(sessions) = self.bench.sessions {
            return conversations(&sessions, self.bench.users.unwrap_or(each).div_ceil(share.into()), &model);
        }
        let rate = self.bench.rate.map(|rate| rate / f64::from(share));
        // A minute of a rate; ten rounds of what is in flight.
        let prompts = match rate {
            Some(rate) => ((rate * 60.0).ceil() as u64).max(32),
            None => each.saturating_mul(10).max(32),
        };
        let load = match rate {
            Some(rate) => format!("--request-rate {rate:.4} --num-prompts {prompts}"),
            None => format!("--max-concurrency {each} --num-prompts {prompts}"),
        };
        // vLLM's benchmark speaks the protocols of all of them (`vllm/benchmarks/lib/endpoint_request_func.py`).
        match self.purpose {
            Purpose::Generate => {}
            Purpose::Embed => {
                return format!(
                    "vllm bench serve --backend openai-embeddings --endpoint /v1/embeddings --model {model} \
                     --dataset-name random --random-input-len {isl} {load}"
                );
            }
            Purpose::Rerank => {
                return format!(
                    "vllm bench serve --backend vllm-rerank --endpoint /v1/rerank --model {model} --dataset-name \
                     random-rerank --random-input-len {isl} --random-batch-size 1 {load}"
                );
            }
        }
        // Both benchmarks count the common prefix beside the length that is random.
        let prefix = self.bench.prefix.min(isl.saturating_sub(1));
        let lengths = match prefix {
            0 => format!("--random-input-len {isl} --random-output-len {osl}"),
            _ => format!(
                "--random-prefix-len {prefix} --random-input-len {} --random-output-len {osl}",
                isl - prefix
            ),
        };
        match member.server.engine.as_str() {
            "sglang" if prefix > 0 => format!(
                "python3 -m sglang.bench_serving --backend sglang --model {model} --dataset-name \
                 generated-shared-prefix --gsp-num-groups 1 --gsp-prompts-per-group {prompts} --gsp-system-prompt-len \
                 {prefix} --gsp-question-len {} --gsp-output-len {osl} {load}",
                isl - prefix
            ),
            "sglang" => format!(
                "python3 -m sglang.bench_serving --backend sglang --model {model} --dataset-name random \
                 {lengths} --random-range-ratio 1.0 {load}"
            ),
            "trtllm" => format!(
                "python3 -m tensorrt_llm.serve.scripts.benchmark_serving --model {model} --backend openai \
                 --dataset-name random --random-ids {lengths} {load} --ignore-eos"
            ),
            // Its own benchmark takes no time to the first token.
            "llama.cpp" => {
                let load = rate.map_or(format!("--concurrency {each}"), |rate| format!("--rate {rate:.4}"));
                format!(
                    "shardfit observe {} --url http://127.0.0.1:{} --isl {isl} --osl {osl} {load}",
                    self.described,
                    member.port()
                )
            }
            _ => format!(
                "vllm bench serve --model {model} --dataset-name random {lengths} {load} --ignore-eos"
            ),
        }
    }

    /// The head of a file of all servers as comments.
    pub fn comments(&self) -> String {
        self.comments_of(&self.members)
    }

    /// The head of a file of some servers as comments.
    pub fn comments_of(&self, members: &[Member]) -> String {
        let mut lines = self.head.clone();
        for member in members {
            if let Ok(line) = member.line() {
                lines.extend(line.needs.iter().map(|need| format!("needs: {need}")));
            }
        }
        for member in members {
            let pool = if members.len() > 1 { member.server.pool } else { None };
            let counted = copies_line(pool).trim_start_matches("# ");
            let apart = self.prefill_gpu.as_ref().filter(|_| member.server.pool == Some(Pool::Prefill));
            let on = apart.map_or(String::new(), |gpu| format!(" ({gpu})"));
            let each = plural(member.gpus, "GPU");
            lines.push(format!("{counted}{}, each on {each}{on}", member.copies));
        }
        if let Some(version) = self.members.first().and_then(|m| m.server.version.as_deref()) {
            lines.push(format!("{VERSION}{} {version}", self.members[0].server.engine));
        }
        let what = match (self.is_split(), self.bench.sessions) {
            (true, _) => "check all of it, through the router, with: ",
            (false, None) => "check one server with: ",
            (false, Some(_)) => "check one server with conversations, which single prompts are not: ",
        };
        lines.push(format!("{what}{}", self.benchmark()));
        let held =
            if self.purpose.pools() { "requests/s and latency" } else { "TTFT, TPOT and output tokens/s" };
        lines.push(format!("and hold its {held} against the figures above"));
        lines.iter().map(|line| format!("# {line}\n")).collect()
    }

    /// Whether one node holds all servers: it has as many GPUs, and they are of one kind.
    pub fn fits_a_node(&self) -> bool {
        self.prefill_gpu.is_none() && self.gpus() <= self.gpus_per_node
    }

    /// Programs that listen at a port: servers, and the router of split pools.
    pub fn servers(&self) -> u64 {
        self.members.iter().map(|m| u64::from(m.copies)).sum::<u64>() + u64::from(self.is_split())
    }

    /// A name that Kubernetes, Compose and Slurm take: small letters, digits and dashes.
    pub fn name(&self) -> String {
        let model = self.members.first().and_then(|m| m.server.model.as_deref()).unwrap_or("model");
        let part = self.part.as_ref().map_or(String::new(), |part| format!("{part}-"));
        let last = part + &model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let mut out = String::new();
        for c in last.chars() {
            match c.is_ascii_alphanumeric() {
                true => out.push(c),
                false if !out.ends_with('-') => out.push('-'),
                false => {}
            }
        }
        let out = out.trim_matches('-');
        let cut: String = out.chars().take(40).collect();
        match cut.trim_end_matches('-') {
            "" => "model".to_owned(),
            name if name.starts_with(|c: char| c.is_ascii_digit()) => format!("m-{name}"),
            name => name.to_owned(),
        }
    }

    /// GPUs of all servers.
    pub fn gpus(&self) -> u64 {
        self.members.iter().map(|m| m.gpus.saturating_mul(m.copies.into())).sum()
    }
}

/// How the line of a head begins that names engine and version, by which the file is read back.
pub const VERSION: &str = "written for ";

/// The line of a head that says what a checkpoint must be that lies at a path of its own.
pub fn checkpoint_line(model: &str, format: WeightFormat) -> String {
    format!("needs: a checkpoint of {model} in {} at the path below", format.name())
}

/// The model and format that such a line names.
pub fn read_checkpoint_line(line: &str) -> Option<(&str, WeightFormat)> {
    let said = line.strip_prefix("needs: a checkpoint of ")?.strip_suffix(" at the path below")?;
    let (model, format) = said.rsplit_once(" in ")?;
    Some((model, format.parse().ok()?))
}

/// What talks to a server in turns: vLLM's benchmark of conversations, which speaks the protocol of all of them
/// (`benchmarks/multi_turn` of its repository; sizes stand in a file of its own).
fn conversations(sessions: &Sessions, users: u64, model: &str) -> String {
    format!(
        "benchmarks/multi_turn/benchmark_serving_multi_turn.py of vLLM's repository --model {model} --num-clients {users}, \
         whose --input-file has {} turns, a common prefix of {} tokens, {} more in the first, {} new and {} output tokens \
         a turn",
        sessions.turns, sessions.system, sessions.first, sessions.new, sessions.output,
    )
}

/// The engine's name of what drafts, and a place for the model where it is one of its own.
///
/// Methods: `vllm/config/speculative.py`, `sglang/srt/speculative/spec_info.py`, `tensorrt_llm/llmapi/llm_args.py`
/// (`Eagle` names both generations of heads up to 1.2).
pub fn drafts(engine: &str, draft: crate::workload::Draft, tokens: u32, model: Option<String>) -> Drafts {
    use crate::workload::Draft;
    let method = match (engine, draft) {
        ("sglang", Draft::Layers) => "EAGLE",
        ("sglang", Draft::Lookup) => "NGRAM",
        ("sglang", Draft::Eagle3) => "EAGLE3",
        ("sglang", Draft::Model) => "STANDALONE",
        ("trtllm", Draft::Layers) => "MTP",
        ("trtllm", Draft::Lookup) => "NGram",
        ("trtllm", Draft::Eagle3) => "Eagle",
        ("trtllm", Draft::Model) => "DraftTarget",
        (_, Draft::Layers) => "mtp",
        (_, Draft::Lookup) => "ngram",
        (_, Draft::Eagle3) => "eagle3",
        (_, Draft::Model) => "draft_model",
    };
    Drafts { method: Some(method.to_owned()), tokens: Some(tokens), model }
}

/// The line of a head that counts servers of a pool; a script shows those of one node, or one of many jobs.
pub fn copies_line(pool: Option<Pool>) -> &'static str {
    match pool {
        Some(Pool::Prefill) => "# prefill servers: ",
        Some(Pool::Decode) => "# decode servers: ",
        None => "# servers: ",
    }
}
