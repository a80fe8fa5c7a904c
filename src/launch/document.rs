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
    if out.is_empty() {
        // A script that is mounted somewhere is all that says what is started.
        for text in held.values() {
            out.extend(invocation::in_script(text, &find));
        }
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
    /// Workers of each pool that stand beside the engine's flags (srt-slurm): prefill, decode, both in one.
    workers: [Option<u32>; 3],
    /// Whether a copy is a pod, of which a server over several nodes takes one for each.
    pods: bool,
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
                        match value.as_str() {
                            Some(text) if !PROSE.contains(&key.as_str()) => self.script(text, out),
                            _ => self.at(value, out, depth + 1),
                        }
                        self.around.pool = pool;
                    }
                }
                self.around = before;
            }
            _ => {}
        }
    }

    /// A command or a script under whatever key.
    fn script(&mut self, text: &str, out: &mut Vec<Invocation>) {
        if !text.trim().contains(char::is_whitespace) {
            return;
        }
        let image = self.around.image.clone();
        for server in invocation::in_script_of(text, &self.around.variables, image.as_deref(), self.find) {
            self.keep(server, out);
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
        if let Some(kind) = keys.get("kind").and_then(Value::as_str).filter(|_| keys.contains_key("spec")) {
            self.around.pods = matches!(kind, "StatefulSet" | "Deployment" | "ReplicaSet");
        }
        self.around.copies = copies.or(self.around.copies);
        if let Some(pool) = keys.get("subComponentType").or(keys.get("role")).and_then(Value::as_str) {
            self.around.pool = match pool {
                "prefill" => Some(Pool::Prefill),
                "decode" => Some(Pool::Decode),
                _ => self.around.pool,
            };
        }
        if let Some(resources) = keys.get("resources").and_then(Value::as_object) {
            let count = |key: &str| resources.get(key)?.as_u64().and_then(|n| u32::try_from(n).ok());
            let said = ["prefill_workers", "decode_workers", "agg_workers"].map(count);
            if said.iter().any(Option::is_some) {
                self.around.workers = said;
                let image = keys.get("model").and_then(|m| m.get("container")).and_then(Value::as_str);
                self.around.image = image.map(str::to_owned).or(self.around.image.take());
            }
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
            // What stands around it says a version, and not whose program takes the words.
            _ => None,
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
        // An image alone is not told what to serve.
        let told = !all.is_empty() || self.around.variables.keys().any(|name| name.starts_with("LLAMA_ARG_"));
        if !told && self.around.model.is_none() {
            return false;
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
        // Where a pod is a node, several are one server.
        let nodes = server.nodes().filter(|nodes| self.around.pods && *nodes > 1);
        let around = self.around.copies.map(|copies| match nodes {
            Some(nodes) => (copies / nodes).max(1),
            None => copies,
        });
        server.argv = server.argv.iter().map(|word| self.expanded(word)).collect();
        let model = server.model.take().map(|name| self.expanded(&word(&Value::from(name))).text);
        server.model = model;
        server.unread.extend(self.around.assumed.iter().cloned());
        server.copies = server.copies.or(around);
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
            let named = |c: &&Value| c.get("name").and_then(Value::as_str) == Some("main");
            let main =
                containers.and_then(|all| all.iter().find(named).or(all.first())).and_then(Value::as_object);
            if let Some(main) = main {
                inner.surround(main);
            }
            let image = main.and_then(|m| m.get("image")).and_then(Value::as_str).unwrap_or_default();
            let words = |key: &str| main.and_then(|m| m.get(key)).and_then(Value::as_array);
            let command: Vec<Word> = words("command").into_iter().flatten().map(word).collect();
            let args = words("args").into_iter().flatten().map(word);
            // A stand-in for servers is none (llm-d's simulator).
            if image.contains("inference-sim") {
                continue;
            }
            // Its own command is vLLM, whatever the image is; a container with another one says so itself.
            let said = command.iter().cloned().chain(args.clone()).collect();
            let mut found = invocation::in_container(Some(image), said, &inner.around.variables, self.find);
            if command.is_empty() || found.is_empty() {
                argv.extend(args);
                found = invocation::in_container(Some(ANY_VLLM), argv, &inner.around.variables, self.find);
                let version = invocation::image_version(image);
                found.iter_mut().for_each(|server| server.version = version.clone());
            }
            let mut unread = unread_of_kserve(spec);
            if pool.get("replicas").is_none() && pool.get("scaling").is_some() {
                let why = "copies come and go with the load: one is counted";
                unread.push(Note { text: "scaling".into(), why: why.into(), refused: false });
            }
            let based = spec.get("baseRefs").and_then(Value::as_array).is_some_and(|refs| !refs.is_empty());
            for mut server in found {
                server.open_ended |= based;
                server.unread.extend(unread.iter().cloned());
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
        let Some(model) = keys.get("modelURL").and_then(Value::as_str) else { return false };
        let config = keys.get("vllmConfig").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut plain = Map::new();
        for (key, value) in &config {
            if key != "extraArgs" {
                plain.insert(kebab(key), value.clone());
            }
        }
        let mut argv = flags(&plain);
        argv.extend(config.get("extraArgs").and_then(Value::as_array).into_iter().flatten().map(word));
        let tag = keys.get("tag").and_then(Value::as_str).unwrap_or("any");
        let repository = keys.get("repository").and_then(Value::as_str).unwrap_or("vllm/vllm-openai");
        let tiers = keys.get("lmcacheConfig").filter(|c| c.get("enabled") == Some(&Value::Bool(true)));
        let tiered = tiers.map(|config| Note {
            text: format!("lmcacheConfig: {config}"),
            why: OUTSIDE.into(),
            refused: false,
        });
        let server = Invocation {
            engine: "vllm",
            version: invocation::image_version(&format!("{repository}:{tag}")),
            unread: tiered.into_iter().collect(),
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
                let [prefill, decode, both] = self.around.workers;
                let copies = match pool {
                    Some(Pool::Prefill) => prefill,
                    Some(Pool::Decode) => decode,
                    None => both,
                };
                let version = self.around.image.as_deref().and_then(invocation::image_version);
                let mut server = Invocation {
                    engine,
                    version,
                    model: name.map(str::to_owned),
                    pool,
                    copies,
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
        let loading = keys.get("model_loading_config").and_then(Value::as_object);
        let kwargs = keys.get("engine_kwargs").and_then(Value::as_object);
        if loading.is_none() && kwargs.is_none() {
            return false;
        }
        let kwargs = kwargs.cloned().unwrap_or_default();
        let model = loading.and_then(|l| l.get("model_source").or(l.get("model_id"))).and_then(Value::as_str);
        let deployment = keys.get("deployment_config").and_then(Value::as_object);
        let scaling = deployment.and_then(|d| d.get("autoscaling_config")).and_then(Value::as_object);
        let count =
            deployment.and_then(|d| d.get("num_replicas")).or(scaling.and_then(|s| s.get("min_replicas")));
        let server = Invocation {
            engine: "vllm",
            argv: flags(&kwargs),
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
        let mut variables = self.around.variables.clone();
        let resources = keys.get("resources");
        // SkyPilot's own variables (docs.skypilot.co, environment variables), of what the task asks for.
        let accelerators = resources.and_then(|r| r.get("accelerators"));
        let each = match accelerators {
            Some(Value::String(text)) => {
                text.split_once(':').map_or(Some(1), |(_, n)| n.trim().parse::<u64>().ok())
            }
            Some(Value::Object(of)) if of.len() == 1 => of.values().next().and_then(Value::as_u64),
            _ => None,
        };
        let nodes = keys.get("num_nodes").map_or(Some(1), Value::as_u64);
        for (name, count) in [("SKYPILOT_NUM_GPUS_PER_NODE", each), ("SKYPILOT_NUM_NODES", nodes)] {
            if let Some(count) = count.filter(|_| resources.is_some()) {
                variables.entry(name.to_owned()).or_insert_with(|| Word::plain(count.to_string()));
            }
        }
        let image = resources.and_then(|r| r.get("image_id")).and_then(Value::as_str);
        let image = image.map(|image| image.strip_prefix("docker:").unwrap_or(image));
        let setup = keys.get("setup").and_then(Value::as_str).unwrap_or_default();
        if let Some(n) = keys.get("service").and_then(|s| s.get("replicas")).and_then(Value::as_u64) {
            self.around.copies = u32::try_from(n).ok();
        }
        let found = invocation::in_script_of(&format!("{setup}\n{run}"), &variables, image, self.find);
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

/// Keys whose text is for people.
const PROSE: [&str; 10] =
    ["description", "name", "title", "note", "notes", "comment", "message", "summary", "usage", "text"];

/// An image of vLLM that says no version.
const ANY_VLLM: &str = "vllm/vllm-openai:any";

/// What is said of a tier of the cache outside the GPUs.
const OUTSIDE: &str = "a tier of the cache outside the GPUs is not read from a launch: --kv-tiers says it";

/// Parts of an LLMInferenceService that say something to a plan and are not read.
fn unread_of_kserve(spec: &Map<String, Value>) -> Vec<Note> {
    let adapters = spec.get("model").and_then(|m| m.get("lora"));
    let offloading =
        spec.get("kvCacheOffloading").or(spec.get("workload").and_then(|w| w.get("kvCacheOffloading")));
    [
        (spec.get("baseRefs"), "baseRefs", "the configurations it builds on are not in this text; they may hold any flag, so no default is taken"),
        (offloading, "kvCacheOffloading", OUTSIDE),
        (adapters, "lora", "adapters that the manifest names are not counted: --lora says them"),
    ]
    .into_iter()
    .filter_map(|(value, key, why)| {
        let text = crate::diagnostic::brief(&format!("{key}: {}", value?));
        Some(Note { text, why: why.to_owned(), refused: false })
    })
    .collect()
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
