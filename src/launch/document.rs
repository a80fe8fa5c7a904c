//! Servers in YAML: Compose services, Kubernetes workloads, KServe, Dynamo, Helm values, Ray Serve, SkyPilot, flags as
//! keys. Whatever holds containers or commands is walked; what names its own form is read by it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::invocation::{self, Find, Invocation};
use super::keys::{flags, word};
use super::server::{Note, Pool};
use super::shell::{self, Word};
use crate::load;

/// The servers of a text that is YAML or JSON; `None` if it is neither.
pub fn read(text: &str, find: Find) -> Option<Vec<Invocation>> {
    let documents = documents(text)?;
    let mut held = BTreeMap::new();
    documents.iter().for_each(|d| files(d, &mut held));
    let find = |name: &str| {
        let base = name.rsplit('/').next().unwrap_or(name);
        held.get(base).cloned().or_else(|| find(name))
    };
    let mut out = Vec::new();
    for document in &documents {
        Walk { find: &find, around: Around::default() }.visit(document, &mut out);
    }
    Some(out)
}

/// Files that the documents themselves hold, by base name: a ConfigMap's data, contents of Compose's `configs`.
fn files(document: &Value, out: &mut BTreeMap<String, String>) {
    let data = document.get("data").and_then(Value::as_object);
    if document.get("kind").and_then(Value::as_str) == Some("ConfigMap") {
        let texts =
            data.into_iter().flatten().filter_map(|(name, v)| Some((name.clone(), v.as_str()?.to_owned())));
        out.extend(texts);
    }
    let configs = document.get("configs").and_then(Value::as_object);
    let services = document.get("services").and_then(Value::as_object);
    for used in services.into_iter().flatten().filter_map(|(_, s)| s.get("configs")?.as_array()).flatten() {
        let source = used.get("source").or(Some(used)).and_then(Value::as_str);
        let target = used.get("target").and_then(Value::as_str).or(source);
        let held = source.and_then(|s| configs?.get(s)?.get("content")?.as_str());
        if let (Some(target), Some(text)) = (target, held) {
            out.insert(target.rsplit('/').next().unwrap_or(target).to_owned(), text.to_owned());
        }
    }
}

/// Documents that are mappings or lists; text that is a single sentence to YAML is none.
fn documents(text: &str) -> Option<Vec<Value>> {
    let text = text.trim_start_matches('\u{feff}');
    let begins = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#') && *l != "---")?;
    let key = begins.trim_start_matches("- ").split_once(':').is_some_and(|(key, rest)| {
        !key.is_empty()
            && !key.trim_matches('"').contains([' ', '=', '$', '/', '\\'])
            && (rest.is_empty() || rest.starts_with(' '))
    });
    if !key && !begins.starts_with('{') {
        return None;
    }
    // Text cut out of a larger file keeps its indentation.
    let indent = text
        .lines()
        .filter(|l| !l.trim().is_empty())
        .map(|l| l.len() - l.trim_start_matches(' ').len())
        .min();
    let cut: String =
        text.lines().map(|l| l.get(indent.unwrap_or(0)..).unwrap_or("").to_owned() + "\n").collect();
    let mut out = Vec::new();
    let mut part = String::new();
    for line in cut.lines().chain(["---"]) {
        if line.trim_end() == "---" {
            if !part.trim().is_empty() {
                out.push(load::yaml::<Value>(&part, "launch").ok()?);
            }
            part.clear();
        } else {
            part.push_str(line);
            part.push('\n');
        }
    }
    out.retain(|v| v.is_object() || v.is_array());
    (!out.is_empty()).then_some(out)
}

/// What stands around a part of a document.
#[derive(Clone, Default)]
struct Around {
    copies: Option<u32>,
    pool: Option<Pool>,
    image: Option<String>,
    model: Option<String>,
    variables: BTreeMap<String, Word>,
    /// What is read of a variable that nothing sets.
    assumed: Vec<Note>,
    /// Degrees that stand beside the containers (llm-d).
    degrees: Vec<Word>,
}

struct Walk<'a> {
    find: Find<'a>,
    around: Around,
}

/// How deep documents are looked into.
const MAX_DEPTH: usize = 24;

impl Walk<'_> {
    fn visit(&mut self, value: &Value, out: &mut Vec<Invocation>) {
        self.at(value, out, 0);
    }

    fn at(&mut self, value: &Value, out: &mut Vec<Invocation>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.at(item, out, depth + 1)),
            Value::Object(keys) => {
                let before = self.around.clone();
                self.surround(keys);
                if !self.own_form(keys, out) {
                    let before = out.len();
                    for (key, value) in keys {
                        // Workers of a group join the server that its leader starts.
                        if key == "workerTemplate"
                            && keys.contains_key("leaderTemplate")
                            && out.len() > before
                        {
                            continue;
                        }
                        let pool = self.around.pool;
                        self.around.pool = match key.as_str() {
                            "prefill" | "prefillWorker" | "PrefillWorker" => Some(Pool::Prefill),
                            "decode" | "decodeWorker" | "DecodeWorker" => Some(Pool::Decode),
                            _ => pool,
                        };
                        self.at(value, out, depth + 1);
                        self.around.pool = pool;
                    }
                }
                self.around = before;
            }
            _ => {}
        }
    }

    /// Takes in what holds for everything inside.
    fn surround(&mut self, keys: &Map<String, Value>) {
        let known = self.around.variables.clone();
        let assumed = &mut self.around.assumed;
        let mut count = |v: &Value| match v {
            Value::String(written) => {
                let value = shell::expanded(&word(v), &known);
                assumed.extend(Note::assumed(written, &value));
                value.text.trim().parse::<u32>().ok()
            }
            number => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        };
        let stated = ["replicas", "replicaCount", "num_replicas", "minReplicas"].map(|key| keys.get(key));
        let deployed = keys.get("deploy").and_then(|d| d.get("replicas"));
        let copies = stated.into_iter().chain([deployed]).flatten().filter_map(&mut count).last();
        self.around.copies = copies.or(self.around.copies);
        if let Some(pool) = keys.get("subComponentType").or(keys.get("role")).and_then(Value::as_str) {
            self.around.pool = match pool {
                "prefill" => Some(Pool::Prefill),
                "decode" => Some(Pool::Decode),
                _ => self.around.pool,
            };
        }
        if let Some(name) = keys.get("modelArtifacts").and_then(|m| m.get("name")).and_then(Value::as_str) {
            self.around.model = Some(name.to_owned());
        }
        if let Some(parallelism) = keys.get("parallelism").and_then(Value::as_object) {
            self.around.degrees = degrees(parallelism);
        }
        for key in ["env", "envs", "environment"] {
            match keys.get(key) {
                Some(Value::Array(items)) => {
                    for item in items {
                        match item {
                            Value::String(text) => {
                                if let Some((name, value)) = text.split_once('=') {
                                    self.set(name, &Value::from(value));
                                }
                            }
                            Value::Object(pair) => {
                                if let (Some(name), Some(value)) =
                                    (pair.get("name").and_then(Value::as_str), pair.get("value"))
                                {
                                    self.set(name, value);
                                }
                            }
                            _ => {}
                        }
                    }
                }
                Some(Value::Object(pairs)) => pairs.iter().for_each(|(name, value)| self.set(name, value)),
                _ => {}
            }
        }
    }

    /// Sets a variable of what is inside; its value may name those before it.
    fn set(&mut self, name: &str, value: &Value) {
        let value = self.expanded(&word(value));
        self.around.variables.insert(name.to_owned(), value);
    }

    /// A word with its variables replaced.
    fn expanded(&self, word: &Word) -> Word {
        shell::expanded(word, &self.around.variables)
    }

    /// Reads a mapping that is a form of its own; false if it is only a part of a document.
    fn own_form(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        self.serve_config(keys, out)
            || self.container(keys, out)
            || self.inference_service(keys, out)
            || self.hugging_face_runtime(keys, out)
            || self.helm_model(keys, out)
            || self.flag_tables(keys, out)
            || self.split_servers(keys, out)
            || self.ray_model(keys, out)
            || self.task(keys, out)
            || self.flat(keys, out)
    }

    /// `image`, `command`, `args`, `entrypoint` of Compose and Kubernetes.
    fn container(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let has = |key: &str| keys.get(key).is_some_and(|v| v.is_string() || v.is_array());
        if !(has("image") || has("command") || has("args")) || keys.contains_key("containers") {
            return false;
        }
        let image = match (keys.get("image"), keys.get("repository")) {
            (Some(Value::String(image)), _) => {
                let read = self.expanded(&word(&Value::from(image.as_str())));
                self.around.assumed.extend(Note::assumed(image, &read));
                Some(read.text)
            }
            _ => self.around.image.clone(),
        };
        // Compose splits a text as a shell does; Kubernetes has lists alone.
        let words = |key: &str| -> Vec<Word> {
            match keys.get(key) {
                Some(Value::Array(items)) => items.iter().map(word).collect(),
                Some(Value::String(text)) => {
                    let script = shell::read_in(&text.replace('\n', " "), &self.around.variables);
                    script.commands.into_iter().flat_map(|c| c.words).collect()
                }
                _ => Vec::new(),
            }
        };
        let mut all = words("entrypoint");
        all.extend(words("command"));
        all.extend(words("args"));
        if keys.get("modelCommand").and_then(Value::as_str) == Some("vllmServe") {
            let mut front = vec![Word::plain("vllm"), Word::plain("serve")];
            front.extend(self.around.model.iter().map(Word::plain));
            front.extend(self.around.degrees.iter().cloned());
            front.append(&mut all);
            all = front;
        }
        // A whole command line in one item.
        let joined = |w: &Word| w.text.contains(char::is_whitespace) && !w.text.trim_start().starts_with('{');
        if all.len() == 1 && joined(&all[0]) {
            let script = shell::read_in(&all[0].text, &self.around.variables);
            all = script.commands.into_iter().flat_map(|c| c.words).collect();
        }
        let all = all.iter().map(|word| self.expanded(word)).collect();
        let found = invocation::in_container(image.as_deref(), all, &self.around.variables, self.find);
        let any = !found.is_empty();
        for server in found {
            self.keep(server, out);
        }
        any
    }

    /// Adds what stands around a server.
    fn keep(&self, mut server: Invocation, out: &mut Vec<Invocation>) {
        server.argv = server.argv.iter().map(|word| self.expanded(word)).collect();
        let model = server.model.take().map(|name| self.expanded(&word(&Value::from(name))).text);
        server.model = model;
        server.unread.extend(self.around.assumed.iter().cloned());
        server.copies = server.copies.or(self.around.copies);
        server.pool = server.pool.or(self.around.pool);
        server.model = server.model.or(self.around.model.clone());
        out.push(server);
    }

    /// KServe's LLMInferenceService: degrees in the spec, flags in `VLLM_ADDITIONAL_ARGS`.
    fn inference_service(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        if keys.get("kind").and_then(Value::as_str) != Some("LLMInferenceService") {
            return false;
        }
        let Some(spec) = keys.get("spec").and_then(Value::as_object) else { return false };
        let model = spec.get("model").and_then(Value::as_object);
        let name = model.and_then(|m| m.get("name").or(m.get("uri"))).and_then(Value::as_str);
        let pools =
            [(Some(spec), None), (spec.get("prefill").and_then(Value::as_object), Some(Pool::Prefill))];
        let split = pools[1].0.is_some();
        for (pool, role) in pools {
            let Some(pool) = pool else { continue };
            let mut argv = Vec::new();
            if let Some(parallelism) = pool.get("parallelism").and_then(Value::as_object) {
                argv = degrees(parallelism);
            }
            let mut inner = Walk { find: self.find, around: self.around.clone() };
            inner.surround(pool);
            let containers = pool.get("template").and_then(|t| t.get("containers")).and_then(Value::as_array);
            let main = containers.and_then(|c| c.first()).and_then(Value::as_object);
            if let Some(main) = main {
                inner.surround(main);
            }
            let image =
                main.and_then(|m| m.get("image")).and_then(Value::as_str).unwrap_or("vllm/vllm-openai:any");
            let args = main.and_then(|m| m.get("args")).and_then(Value::as_array);
            argv.extend(args.into_iter().flatten().map(word));
            for mut server in invocation::in_container(Some(image), argv, &inner.around.variables, self.find)
            {
                server.model = server.model.or(name.map(str::to_owned));
                server.takes_model = false;
                server.pool = role.or(split.then_some(Pool::Decode));
                inner.keep(server, out);
            }
        }
        true
    }

    /// A RayService, whose applications stand in a text of their own.
    fn serve_config(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let Some(text) = keys.get("serveConfigV2").and_then(Value::as_str) else { return false };
        let before = out.len();
        for document in documents(text).into_iter().flatten() {
            self.visit(&document, out);
        }
        out.len() > before
    }

    /// KServe's InferenceService with its runtime of Hugging Face models, which takes vLLM's flags beside its own
    /// (`python/huggingfaceserver/huggingfaceserver/__main__.py`).
    fn hugging_face_runtime(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let format = keys.get("modelFormat").and_then(|f| f.get("name")).and_then(Value::as_str);
        let (Some("huggingface"), Some(args)) = (format, keys.get("args").and_then(Value::as_array)) else {
            return false;
        };
        let words: Vec<Word> = args.iter().map(word).collect();
        let uri = keys.get("storageUri").and_then(Value::as_str);
        let mut server = Invocation {
            engine: "vllm",
            model: uri.map(|uri| uri.strip_prefix("hf://").unwrap_or(uri).to_owned()),
            variables: self.around.variables.clone(),
            ..Invocation::default()
        };
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let (flag, inline) = match word.text.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (word.text.clone(), None),
            };
            let own = RUNTIME.iter().find(|(name, _)| *name == flag.replace('_', "-"));
            let Some((_, valued)) = own else {
                server.argv.push(word);
                continue;
            };
            let value = match valued {
                true => inline.or_else(|| words.next_if(|w| !w.text.starts_with('-')).map(|w| w.text)),
                false => None,
            };
            match (flag.replace('_', "-").as_str(), value) {
                ("--model-id", Some(name)) => server.model = Some(name),
                ("--backend", Some(backend)) if backend == "huggingface" => server.unread.push(Note {
                    text: format!("--backend {backend}"),
                    why: "Transformers' own generation is no engine that is described; read as vLLM".into(),
                    refused: false,
                }),
                ("--max-length", Some(length)) => server.unread.push(Note {
                    text: format!("--max_length {length}"),
                    why: "it cuts prompts of Transformers' own generation; vLLM's is --max-model-len".into(),
                    refused: false,
                }),
                _ => {}
            }
        }
        if self.around.copies.is_none() {
            server.copies = Some(1);
        }
        self.keep(server, out);
        true
    }

    /// A model of vLLM's production stack: `modelURL`, `vllmConfig` in camel case.
    fn helm_model(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let (Some(model), Some(config)) =
            (keys.get("modelURL").and_then(Value::as_str), keys.get("vllmConfig").and_then(Value::as_object))
        else {
            return false;
        };
        let mut plain = Map::new();
        for (key, value) in config {
            if key != "extraArgs" {
                plain.insert(kebab(key), value.clone());
            }
        }
        let mut argv = flags(&plain);
        argv.extend(config.get("extraArgs").and_then(Value::as_array).into_iter().flatten().map(word));
        let tag = keys.get("tag").and_then(Value::as_str).unwrap_or("any");
        let server = Invocation {
            engine: "vllm",
            version: invocation::image_version(&format!("vllm/vllm-openai:{tag}")),
            argv,
            model: Some(model.to_owned()),
            variables: self.around.variables.clone(),
            ..Invocation::default()
        };
        self.keep(server, out);
        true
    }

    /// Flags as keys below an engine's name: `vllm_config: {prefill: {…}, decode: {…}}`.
    fn flag_tables(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let mut any = false;
        for (key, engine) in
            [("vllm_config", "vllm"), ("sglang_config", "sglang"), ("trtllm_config", "trtllm")]
        {
            let Some(pools) = keys.get(key).and_then(Value::as_object) else { continue };
            let named = |name: &str| match name {
                "prefill" => Some(Some(Pool::Prefill)),
                "decode" => Some(Some(Pool::Decode)),
                "aggregated" | "agg" => Some(None),
                _ => None,
            };
            for (name, table) in pools {
                let (Some(pool), Some(table)) = (named(name), table.as_object()) else { continue };
                let name = ["model", "model-path", "served-model-name"]
                    .iter()
                    .find_map(|key| table.get(*key).and_then(Value::as_str));
                let mut server = Invocation {
                    engine,
                    model: name.map(str::to_owned),
                    pool,
                    variables: self.around.variables.clone(),
                    ..Invocation::default()
                };
                if engine == "trtllm" {
                    server.options = table.clone();
                } else {
                    server.argv = flags(table);
                }
                self.keep(server, out);
                any = true;
            }
        }
        any
    }

    /// `trtllm-serve disaggregated`: context and generation servers, with what both share above them.
    fn split_servers(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let mut any = false;
        for (key, pool) in [("context_servers", Pool::Prefill), ("generation_servers", Pool::Decode)] {
            let Some(own) = keys.get(key).and_then(Value::as_object) else { continue };
            any = true;
            // A router's file names servers that are started elsewhere.
            let only_names =
                own.keys().all(|key| matches!(key.as_str(), "num_instances" | "urls" | "router"));
            if only_names && own.contains_key("urls") {
                continue;
            }
            let mut options = keys.clone();
            for other in ["context_servers", "generation_servers", "hostname", "port"] {
                options.remove(other);
            }
            // A fraction of both stands outside the cache's own object.
            if let Some(fraction) = options.remove("free_gpu_memory_fraction") {
                options.insert(
                    "kv_cache_config".into(),
                    serde_json::json!({ "free_gpu_memory_fraction": fraction }),
                );
            }
            options.extend(own.clone());
            let count = own.get("num_instances").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
            let server = Invocation {
                engine: "trtllm",
                model: keys.get("model").and_then(Value::as_str).map(str::to_owned),
                options,
                copies: count,
                pool: Some(pool),
                ..Invocation::default()
            };
            self.keep(server, out);
        }
        any
    }

    /// Ray Serve LLM: `model_loading_config`, `engine_kwargs`.
    fn ray_model(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let Some(kwargs) = keys.get("engine_kwargs").and_then(Value::as_object) else { return false };
        let loading = keys.get("model_loading_config").and_then(Value::as_object);
        let model = loading.and_then(|l| l.get("model_source").or(l.get("model_id"))).and_then(Value::as_str);
        let deployment = keys.get("deployment_config").and_then(Value::as_object);
        let scaling = deployment.and_then(|d| d.get("autoscaling_config")).and_then(Value::as_object);
        let count =
            deployment.and_then(|d| d.get("num_replicas")).or(scaling.and_then(|s| s.get("min_replicas")));
        let server = Invocation {
            engine: "vllm",
            argv: flags(kwargs),
            model: model.map(str::to_owned),
            copies: count.and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()),
            variables: self.around.variables.clone(),
            ..Invocation::default()
        };
        self.keep(server, out);
        true
    }

    /// A script in `run` (SkyPilot, GitHub workflows).
    fn task(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let Some(run) = keys.get("run").and_then(Value::as_str) else { return false };
        let set: String = self
            .around
            .variables
            .iter()
            .filter(|(_, v)| !v.unknown && !v.text.contains('\''))
            .map(|(name, v)| format!("export {name}='{}'\n", v.text))
            .collect();
        if let Some(n) = keys.get("service").and_then(|s| s.get("replicas")).and_then(Value::as_u64) {
            self.around.copies = u32::try_from(n).ok();
        }
        let found = invocation::in_script(&format!("{set}{run}"), self.find);
        let any = !found.is_empty();
        for server in found {
            self.keep(server, out);
        }
        any
    }

    /// A file of flags or options alone: `vllm serve --config`, SGLang's, TensorRT-LLM's.
    fn flat(&mut self, keys: &Map<String, Value>, out: &mut Vec<Invocation>) -> bool {
        let trtllm = [
            "kv_cache_config",
            "enable_attention_dp",
            "cuda_graph_config",
            "tensor_parallel_size",
            "moe_config",
        ];
        let dashed = ["tensor-parallel-size", "max-model-len", "gpu-memory-utilization", "max-num-seqs"];
        let sglang =
            ["model-path", "tp-size", "mem-fraction-static", "context-length", "max-running-requests"];
        let has = |names: &[&str]| names.iter().any(|n| keys.contains_key(*n));
        let mut server = Invocation { variables: self.around.variables.clone(), ..Invocation::default() };
        server.model =
            keys.get("model").or(keys.get("model-path")).and_then(Value::as_str).map(str::to_owned);
        if has(&sglang) {
            server.engine = "sglang";
            server.argv = flags(keys);
        } else if has(&dashed) {
            server.engine = "vllm";
            server.argv = flags(keys);
        } else if has(&trtllm) {
            server.engine = "trtllm";
            server.options = keys.clone();
        } else {
            return false;
        }
        server.notes.push(format!("read as a file of {}'s options", server.engine));
        if server.model.is_none() {
            server.unread.push(Note {
                text: "model".into(),
                why: "this file names no model".into(),
                refused: false,
            });
        }
        self.keep(server, out);
        true
    }
}

/// Flags of KServe's runtime of Hugging Face models that are not vLLM's, and whether a value follows.
const RUNTIME: [(&str, bool); 13] = [
    ("--model-id", true),
    ("--model-dir", true),
    ("--model-name", true),
    ("--model-revision", true),
    ("--tokenizer-revision", true),
    ("--max-length", true),
    ("--backend", true),
    ("--task", true),
    ("--tensor-input-names", true),
    ("--disable-lower-case", false),
    ("--disable-special-tokens", false),
    ("--return-token-type-ids", false),
    ("--return-probabilities", false),
];

/// Flags from degrees in a manifest's own words (KServe, llm-d).
fn degrees(parallelism: &Map<String, Value>) -> Vec<Word> {
    let mut out = Vec::new();
    for (key, flag) in [
        ("tensor", "--tensor-parallel-size"),
        ("pipeline", "--pipeline-parallel-size"),
        ("data", "--data-parallel-size"),
        ("dataLocal", "--data-parallel-size-local"),
    ] {
        if let Some(value) = parallelism.get(key) {
            out.extend([Word::plain(flag), word(value)]);
        }
    }
    if parallelism.get("expert").and_then(Value::as_bool) == Some(true) {
        out.push(Word::plain("--enable-expert-parallel"));
    }
    out
}

/// `maxModelLen` as `max-model-len`.
fn kebab(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('-');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}
