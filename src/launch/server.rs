//! What the launch of a server says, in the planner's terms.

use schemars::JsonSchema;
use serde::Serialize;

use super::dialect::{self, Said, Takes, Unread};
use super::shell::Word;
use crate::plan::Axis;

/// What a server of split pools computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Prompts alone.
    Prefill,
    /// Tokens after the first alone.
    Decode,
}

/// Speculative decoding as launched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Drafts {
    /// The engine's own name of the method: `mtp`, `eagle3`, `ngram`, `EAGLE`, `MTP` …
    pub method: Option<String>,
    /// Tokens drafted for each step.
    pub tokens: Option<u32>,
    /// A model that drafts.
    pub model: Option<String>,
}

/// What the launch of one kind of server says. What it leaves out is `None`: the engine's default of its version holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Server {
    /// Engine id of the catalogue.
    pub engine: String,
    /// Its version, where the launch tells (a tag of the image, a pinned package).
    pub version: Option<String>,
    /// The model as launched: a hub id, a path, or a variable's name.
    pub model: Option<String>,
    /// The pool that it serves, where pools are split.
    pub pool: Option<Pool>,
    /// Ranks that share one attention (tensor parallel).
    pub tp: Option<u32>,
    /// Pipeline stages.
    pub pp: Option<u32>,
    /// Groups of ranks with sequences of their own that share the experts (attention data parallel).
    pub attention_dp: Option<u32>,
    /// Ranks that experts are spread over (expert parallel); `None` for dense models.
    pub ep: Option<u32>,
    /// Decode context parallel.
    pub dcp: Option<u32>,
    /// Data parallel ranks as launched, where it is not known whether the model has experts that they share.
    pub data_parallel: Option<u32>,
    /// Copies of the whole.
    pub replicas: Option<u32>,
    /// GPUs of all copies.
    pub gpus: Option<u64>,
    /// Type that a 16-bit checkpoint is computed in.
    pub dtype: Option<String>,
    /// Format that weights are quantised to or read as, in the engine's word.
    pub weights: Option<String>,
    /// The format of the checkpoint in the planner's words, where that is one made of the model in another than its own.
    pub checkpoint: Option<&'static str>,
    /// Type of the KV cache in the planner's words (`bf16`, `fp8`, `nvfp4`, `q8_0` …).
    pub kv: Option<String>,
    /// Tokens of a block of the KV cache.
    pub block_size: Option<u64>,
    /// Longest request, prompt and output together.
    pub max_model_len: Option<u64>,
    /// Most sequences at once, as the engine counts: of each attention data parallel rank, or of all of them
    /// under SGLang.
    pub max_sequences: Option<u64>,
    /// Most tokens of a step, as the engine counts.
    pub max_batched_tokens: Option<u64>,
    /// The engine's memory fraction (`gpu_memory_utilization`, `mem_fraction_static`, `free_gpu_memory_fraction`).
    pub memory_fraction: Option<f64>,
    /// Bytes of KV cache on each GPU, where they are given instead.
    pub kv_cache_memory_bytes: Option<u64>,
    /// Whether prefixes are kept.
    pub prefix_caching: Option<bool>,
    /// Whether prompts are cut.
    pub chunked_prefill: Option<bool>,
    /// Whether CUDA graphs are left out.
    pub eager: Option<bool>,
    /// Tokens of the largest step with a CUDA graph, or sequences of each rank where it only decodes.
    pub largest_graph: Option<u64>,
    /// Which steps have CUDA graphs, in vLLM's word.
    pub graph_mode: Option<String>,
    /// GiB of weights of each GPU that stay in the host's memory.
    pub cpu_offload_gb: Option<f64>,
    /// Whether the longest request is as long as there is room for (`--max-model-len auto`).
    pub length_by_room: bool,
    /// Whether slots share one cache that is as long as a request, in place of a part each (llama.cpp).
    pub shares_cells: bool,
    /// Whether text alone is taken.
    pub text_only: Option<bool>,
    /// Images that a prompt may have.
    pub images: Option<u64>,
    /// What answers are made of where it is no text: `embed` or `rerank`.
    pub task: Option<String>,
    /// Speculative decoding.
    pub speculation: Option<Drafts>,
    /// Whether adapters are served.
    pub lora: Option<bool>,
    /// Slots for adapters that are made at start.
    #[serde(skip)]
    pub adapters: Option<AdapterSlots>,
    /// Last parts of the names of the linear layers that adapters may change; none means all.
    #[serde(skip)]
    pub adapted: Vec<String>,
    /// Bytes of the host's memory in which each rank keeps what leaves the cache of its GPU.
    #[serde(skip)]
    pub host_cache: Option<u64>,
    /// The folder on the node's drives in which what leaves the host's memory is kept.
    #[serde(skip)]
    pub disk_cache: Option<String>,
    /// Whether what leaves a node is kept in a store that all servers share.
    #[serde(skip)]
    pub shared_cache: bool,
    /// Ways to launch that the catalogue names: `deepep`, `deepep_ht`, `eplb`, `dbo`, `tbo`, `unbalanced`.
    pub launches: Vec<String>,
    /// Experts that are held a second time.
    pub redundant_experts: Option<u64>,
    /// Layers on the GPUs (llama.cpp); `None` with `all`.
    pub gpu_layers: Option<u64>,
    /// First layers whose experts stay with the host (llama.cpp); null also where those of all layers do.
    #[serde(serialize_with = "of_some_layers")]
    pub cpu_moe_layers: Option<u64>,
    /// Patterns of tensors that stay with the host (llama.cpp's `--override-tensor`).
    #[serde(skip)]
    pub override_tensor: Option<Vec<String>>,
    /// Whether what is made is no text, and the model says what it is.
    #[serde(skip)]
    pub pooling: bool,
    /// Layers of each pipeline stage, or proportions over GPUs (llama.cpp).
    pub tensor_split: Option<Vec<f64>>,
    /// Degrees that the launch says by what is not in its text: their defaults do not hold.
    #[serde(skip)]
    pub open: Vec<Axis>,
    /// What was written and not read: flags that are unknown, values that stand in variables.
    pub unread: Vec<Note>,
    /// What the planner has no use for, by flag.
    pub without_bearing: Vec<String>,
    /// What the model needs beside the plan: flags with their values.
    #[serde(skip)]
    pub required: Vec<Vec<String>>,
    /// Flags that only other versions than the one in use take.
    #[serde(skip)]
    pub elsewhere: Vec<Note>,
    /// What a changed command keeps as it stands: flags that have no bearing on a plan with what follows them, names,
    /// addresses and ports among them, as far as the version in use takes them.
    #[serde(skip)]
    pub kept: Vec<Vec<String>>,
    /// What a reader should know: flags of other versions, variables that this version ignores, meanings.
    pub notes: Vec<String>,
    /// Whether it may be asked for more than the context that the model's configuration states: a variable allows it, or
    /// the launch changes that configuration.
    #[serde(skip)]
    pub stretches: bool,
}

/// Slots for adapters that a server makes at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterSlots {
    /// Adapters that are held at once.
    pub count: u64,
    /// Largest rank that one may have.
    pub rank: u64,
}

/// A number of layers; none of all.
fn of_some_layers<S: serde::Serializer>(layers: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    layers.filter(|n| *n != u64::MAX).serialize(to)
}

impl Server {
    /// What it says of a degree.
    pub fn degree(&self, axis: Axis) -> Option<u32> {
        match axis {
            Axis::Tensor => self.tp,
            Axis::Pipeline => self.pp,
            Axis::Expert => self.ep,
            Axis::AttentionData => self.attention_dp,
            Axis::DecodeContext => self.dcp,
        }
    }
}

/// A part of a launch that was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Note {
    /// As written.
    pub text: String,
    /// Why.
    pub why: String,
    /// Whether the engine itself would refuse it.
    pub refused: bool,
}

impl Note {
    /// That a word is read as what the text has where nothing sets a variable, if it is.
    pub fn assumed(written: &str, word: &Word) -> Option<Note> {
        let name = word.assumed.as_ref()?;
        Some(Note {
            text: written.to_owned(),
            why: format!("read as {}, what the text has where nothing sets {name}", word.text),
            refused: false,
        })
    }
}

impl From<Unread> for Note {
    fn from(unread: Unread) -> Note {
        Note { text: unread.text, why: unread.why, refused: unread.refused }
    }
}

/// Flags that say where a server answers and under which name.
const ADDRESS: [&str; 4] = ["--host", "--port", "--served-model-name", "--alias"];

/// Flags that change the model: what they come to is counted, and a changed command keeps them as they stand.
const CHANGED: &[&str] = &[
    "--hf-overrides",
    "--rope-scaling",
    "--json-model-override-args",
    "--enable-lora",
    "--max-loras",
    "--max-lora-rank",
    "--max-loras-per-batch",
    "--lora-target-modules",
    "--lora-paths",
    "--kv-offloading-size",
    "--kv-offloading-backend",
    "--enable-hierarchical-cache",
    "--hicache-size",
    "--hicache-ratio",
    "--hicache-storage-backend",
    "--cache-ram",
];

/// Reads figures out of a command line and keeps count of the flags that were used.
pub(super) struct Reading<'a> {
    said: &'a Said,
    /// Flags that say something to the planner.
    used: Vec<&'a str>,
    /// What could not be read.
    pub unread: Vec<Note>,
}

impl<'a> Reading<'a> {
    /// Begins with what the parser did not understand.
    pub fn new(said: &'a Said) -> Reading<'a> {
        Reading { said, used: Vec::new(), unread: said.unread.iter().cloned().map(Note::from).collect() }
    }

    /// The word after a flag, if it is known; one that stands in a variable is noted.
    pub fn word(&mut self, flag: &'a str) -> Option<&'a Word> {
        let setting = self.said.get(flag)?;
        self.used.push(flag);
        let word = setting.values.first()?;
        let inline = setting.written.contains('=');
        let written =
            || if inline { setting.written.clone() } else { format!("{} {}", setting.written, word.text) };
        if let Some(condition) = &setting.only_if {
            self.unsure(written(), condition);
            return None;
        }
        if word.unknown {
            self.open(written(), word.why.as_deref());
            return None;
        }
        if let Some(note) = Note::assumed(flag, word).filter(|note| !self.unread.contains(note)) {
            self.unread.push(note);
        }
        Some(word)
    }

    /// Notes what stands in a variable, once.
    pub fn open(&mut self, text: String, why: Option<&str>) {
        let place = || match text.contains('<') && !text.contains('$') {
            true => "its value is for the reader of this text to fill in",
            false => "its value stands in a variable that this text does not set",
        };
        self.note(text.clone(), why.unwrap_or_else(place).to_owned());
    }

    /// Notes what may stand there or not, once.
    fn unsure(&mut self, text: String, condition: &str) {
        let condition = crate::diagnostic::brief(condition);
        self.note(text, format!("it stands there only by what this text does not settle: {condition}"));
    }

    fn note(&mut self, text: String, why: String) {
        if !self.unread.iter().any(|n| n.text == text) {
            self.unread.push(Note { text, why, refused: false });
        }
    }

    /// Counts a flag as one that says something to the planner, wherever its value stands.
    pub fn seen(&mut self, flag: &'a str) {
        if self.said.get(flag).is_some() {
            self.used.push(flag);
        }
    }

    /// Notes a flag that says something to a plan which the planner has no place for.
    pub fn undescribed(&mut self, flag: &'a str, why: &str) {
        let Some(setting) = self.said.get(flag) else { return };
        self.used.push(flag);
        let written = setting.written.split('=').next().unwrap_or_default();
        let value = setting.values.first().map_or("", |word| word.text.as_str());
        let text = format!("{written} {value}").trim().to_owned();
        self.unread.push(Note { text, why: why.to_owned(), refused: false });
    }

    /// Text after a flag.
    pub fn text(&mut self, flag: &'a str) -> Option<String> {
        self.word(flag).map(|w| w.text.trim().to_owned())
    }

    /// What `read` makes of the word after a flag; one that it cannot read is noted.
    pub fn read<T>(&mut self, flag: &'a str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.read_as(flag, "the value was not understood", read)
    }

    /// The same; `wanted` says why another value is refused.
    fn read_as<T>(&mut self, flag: &'a str, wanted: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let word = self.word(flag)?;
        let value = read(word.text.trim());
        let written = self.said.get(flag).map_or(flag, |setting| setting.written.as_str());
        let told = self
            .unread
            .iter()
            .any(|n| n.text.starts_with(flag) || n.text.starts_with(written) || n.why.contains(flag));
        if value.is_none() && !told {
            let text =
                if written.contains('=') { written.to_owned() } else { format!("{written} {}", word.text) };
            self.unread.push(Note { text, why: wanted.into(), refused: true });
        }
        value
    }

    /// A count of at least one.
    pub fn count(&mut self, flag: &'a str) -> Option<u32> {
        self.read(flag, |t| t.parse().ok().filter(|n| *n > 0))
    }

    /// A count of tokens or sequences.
    pub fn number(&mut self, flag: &'a str) -> Option<u64> {
        self.read(flag, super::dialect::size)
    }

    /// A share.
    pub fn share(&mut self, flag: &'a str) -> Option<f64> {
        self.read_as(flag, "it is a share, from 0 to 1", |t| {
            t.parse().ok().filter(|f| (0.0..=1.0).contains(f))
        })
    }

    /// The largest of the numbers after a flag.
    pub fn largest(&mut self, flag: &'a str) -> Option<u64> {
        let said = self.said.get(flag)?;
        if let Some(unknown) = said.values.iter().find(|w| w.unknown || said.only_if.is_some()) {
            let text = format!("{} {}", said.written, unknown.text);
            match &said.only_if {
                Some(condition) => self.unsure(text, condition),
                None => self.open(text, unknown.why.as_deref()),
            }
            self.used.push(flag);
            return None;
        }
        let largest = said.values.iter().filter_map(|w| w.text.trim().parse().ok()).max()?;
        self.used.push(flag);
        Some(largest)
    }

    /// Whether a switch is on or off, if it stands there.
    pub fn switch(&mut self, flag: &'a str) -> Option<bool> {
        let setting = self.said.get(flag)?;
        self.used.push(flag);
        match &setting.only_if {
            Some(condition) => {
                self.unsure(setting.written.clone(), condition);
                None
            }
            None => Some(setting.on),
        }
    }

    /// A JSON object behind a flag, dotted forms (`--flag.key value`) merged in.
    pub fn object(&mut self, flag: &'a str) -> Option<serde_json::Map<String, serde_json::Value>> {
        let whole = self.word(flag).and_then(|w| serde_json::from_str::<serde_json::Value>(&w.text).ok());
        let mut object = match whole {
            Some(serde_json::Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        };
        let mut unknown = Vec::new();
        for setting in &self.said.settings {
            let (Some(path), true) = (&setting.path, setting.is(flag)) else { continue };
            self.used.push(flag);
            match setting.value() {
                Some(value) => {
                    let read = serde_json::from_str(value).unwrap_or_else(|_| value.into());
                    object.insert(path.replace('-', "_"), read);
                }
                None if setting.is_unknown() || setting.only_if.is_some() => {
                    unknown.push((setting.written.clone(), setting.only_if.clone()));
                }
                None => {}
            }
        }
        for (text, only_if) in unknown {
            match only_if {
                Some(condition) => self.unsure(text, &condition),
                None => self.open(text, None),
            }
        }
        (!object.is_empty()).then_some(object)
    }

    /// Ends: unread notes, flags without a bearing, and what is to be known of versions.
    pub fn finish(self, server: &mut Server, version: &str) {
        for setting in &self.said.settings {
            if let Some((from, until)) = &setting.elsewhere {
                let span = if from == until { from.clone() } else { format!("{from} to {until}") };
                let table = dialect::dialect(&server.engine);
                let other_form = table.and_then(|table| table.flag(version, &setting.form.name));
                let why = match other_form {
                    Some(form) if setting.form.takes == Takes::Switch && form.takes == Takes::Value => {
                        format!("without a value is of {span}: {version} needs one")
                    }
                    _ => format!("is a flag of {span}: {version} does not take it"),
                };
                server.notes.push(format!("{} {why}", setting.written));
                server.elsewhere.push(Note {
                    text: setting.written.split('=').next().unwrap_or_default().to_owned(),
                    why: format!("a flag of {span}: {} {version} does not take it", server.engine),
                    refused: setting.refused,
                });
            } else if setting.form.deprecated {
                server.notes.push(format!("{} is deprecated in {version}", setting.written));
            }
            let used = self.used.iter().any(|flag| setting.is(flag));
            if !used {
                server.without_bearing.push(setting.form.name.clone());
            }
            let stays = !used || ADDRESS.iter().chain(CHANGED).any(|flag| setting.is(flag));
            if stays && setting.elsewhere.is_none() {
                let flag = setting.written.split_once('=').map_or(setting.written.as_str(), |(f, _)| f);
                let values = setting.values.iter().map(|word| word.text.clone());
                server.kept.push(std::iter::once(flag.to_owned()).chain(values).collect());
            }
        }
        server.unread.extend(self.unread);
    }
}
