//! Tools for agents: the Model Context Protocol (revision 2025-06-18) as JSON-RPC 2.0, a message a line.
//!
//! Names are those of the catalogue, and models of the local Hugging Face cache or hub where the user's environment
//! allows it: an agent works for the user, with the user's files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::ask::{self, Command, Setting};
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::hub::Hub;
use crate::stop::Stop;

/// The revisions that are spoken, the newest first.
const REVISIONS: [&str; 3] = ["2025-06-18", "2025-03-26", "2024-11-05"];

/// Longest time of an answer: an agent waits for it.
const LONGEST: Duration = Duration::from_secs(120);

/// Most plans of an answer unless the agent asks for more: it pays for what it reads.
const TOP: u64 = 3;

/// A tool.
struct Tool {
    name: &'static str,
    about: &'static str,
    command: Command,
    needs: &'static [&'static str],
}

const TOOLS: [Tool; 7] = [
    Tool {
        name: "plan",
        about: "Which configuration should I deploy? Ranks every plan (engine, precision, TP, PP, EP, DP, replicas, batch) \
                for a model on a cluster under a workload and targets, with memory, TTFT, TPOT, throughput, cost, why the \
                others fell, and what would make an infeasible question feasible.",
        command: Command::Plan,
        needs: &["model", "cluster"],
    },
    Tool {
        name: "estimate",
        about: "Works out one plan in every detail: does it fit, memory by part, TTFT, TPOT, throughput, cost. `launch` takes \
                a command such as `vllm serve …` in place of degrees.",
        command: Command::Estimate,
        needs: &[],
    },
    Tool {
        name: "why_not",
        about: "Why a layout is not an answer: puts it through every rule, memory and targets, and says where it falls. Give \
                it as `why_not`, such as `tp=2,pp=1`.",
        command: Command::Plan,
        needs: &["model", "cluster", "why_not"],
    },
    Tool {
        name: "emit",
        about: "Writes what starts a plan exactly: the engine's command, or docker, k8s, llm-d, dynamo, kserve, slurm, \
                skypilot, ray, by `emit`. Of a model on a `cluster` the best plan; of a `gpu` with degrees that one.",
        command: Command::Emit,
        needs: &["model"],
    },
    Tool {
        name: "size",
        about: "The smallest or cheapest fleet for a rate of requests, over several kinds of GPU.",
        command: Command::Size,
        needs: &["model", "rate"],
    },
    Tool {
        name: "fit",
        about: "Which models run on a machine? Models of the catalogue in every format that an engine of the machine loads \
                (llama.cpp, vLLM, SGLang), ranked by a published measure of quality: tokens per second of one user and of \
                all, time to first token, room for context, and what would make the next better model run. Filter by `task` \
                (chat, code, vision, embedding, reasoning), `context`, `min_tokens`, `license`, `family`, `since`.",
        command: Command::Fit,
        needs: &["cluster"],
    },
    Tool {
        name: "inspect",
        about: "Takes a model apart: parameters, storage, KV cache; with `mode` (pretrain, prefill, decode) FLOPs, memory and \
                arithmetic intensity of each part.",
        command: Command::Inspect,
        needs: &["model"],
    },
];

impl Tool {
    fn described(&self) -> Value {
        let mut schema = self.command.schema();
        if let Some(map) = schema.as_object_mut() {
            map.remove("$schema");
            map.insert("required".into(), json!(self.needs));
        }
        json!({
            "name": self.name,
            "description": self.about,
            "inputSchema": schema,
            "annotations": { "readOnlyHint": true, "idempotentHint": true, "openWorldHint": false },
        })
    }

    fn call(&self, mut request: Map<String, Value>, catalog: &Catalog) -> Result<String, Diagnostic> {
        if let Some(missing) = self.needs.iter().find(|name| !request.contains_key(**name)) {
            let model =
                *missing == "model" && ["config", "shape"].iter().any(|way| request.contains_key(*way));
            if !model {
                return Err(Diagnostic::new(Code::Usage, format!("missing: `{missing}`")));
            }
        }
        if matches!(self.command, Command::Plan | Command::Fit) {
            request.entry("top").or_insert(json!(TOP));
        }
        let stop = Stop { deadline: Some(Instant::now() + LONGEST), asked: None };
        let setting = Setting { catalog, hub: Hub::from_environment()?, stop };
        // A fault of one question is no reason to leave the agent without its tools.
        let answered = catch_unwind(AssertUnwindSafe(|| {
            let asked = request.clone();
            ask::answer_map(self.command, request, &setting, |_| ()).map(|answered| answered.brief(&asked))
        }));
        answered.unwrap_or_else(|_| {
            Err(Diagnostic::new(Code::Usage, "the question was not answered: a fault of this program"))
        })
    }
}

fn reply(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn fault(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// The answer to a message; none to a notification.
pub fn answer(line: &str, catalog: &Catalog) -> Option<Value> {
    if line.trim().is_empty() {
        return None;
    }
    let Ok(message) = serde_json::from_str::<Value>(line) else {
        return Some(fault(&Value::Null, -32700, "not valid JSON"));
    };
    let id = message.get("id").cloned();
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        return Some(fault(&id.unwrap_or_default(), -32600, "a message has a method"));
    };
    let id = id?;
    let parameters = message.get("params").cloned().unwrap_or_default();
    Some(match method {
        "initialize" => {
            let asked = parameters["protocolVersion"].as_str().unwrap_or_default();
            let revision = REVISIONS.into_iter().find(|known| *known == asked).unwrap_or(REVISIONS[0]);
            let about = json!({ "name": "shardfit", "version": env!("CARGO_PKG_VERSION") });
            let words = "Capacity planning for LLM serving: ask `plan` which configuration to deploy, `why_not` about one \
                that you expected, `estimate` about one that runs, `emit` for what starts it. Quantities have units: \
                \"1s\", \"50ms\". That nothing is feasible is an answer: read `rejected` and `advice`. Answers leave out \
                what is null, and the Pareto front unless `pareto` asks for one; `top` is the number of plans, 3 unless \
                given. Pass on what `notes` says of the best plan.";
            let result = json!({
                "protocolVersion": revision, "capabilities": { "tools": {} }, "serverInfo": about, "instructions": words,
            });
            reply(&id, &result)
        }
        "ping" => reply(&id, &json!({})),
        "tools/list" => {
            let tools: Vec<Value> = TOOLS.iter().map(Tool::described).collect();
            reply(&id, &json!({ "tools": tools }))
        }
        "tools/call" => {
            let name = parameters["name"].as_str().unwrap_or_default();
            let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
                let names = TOOLS.map(|tool| tool.name).join(", ");
                return Some(fault(
                    &id,
                    -32602,
                    &format!("unknown tool `{}`; known: {names}", crate::diagnostic::brief(name)),
                ));
            };
            let request = match parameters.get("arguments") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(map)) => map.clone(),
                Some(_) => return Some(fault(&id, -32602, "`arguments` is an object")),
            };
            let (text, wrong) = match tool.call(request, catalog) {
                Ok(text) => (text, false),
                // The agent mends its question by cause, place and help.
                Err(diagnostic) => (format!("{:#}", ask::fault(&diagnostic)), true),
            };
            reply(&id, &json!({ "content": [{ "type": "text", "text": text }], "isError": wrong }))
        }
        other => fault(&id, -32601, &format!("unknown method `{}`", crate::diagnostic::brief(other))),
    })
}
