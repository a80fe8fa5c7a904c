//! Which modules a checkpoint's lists mean: names, parts of names, globs, regular expressions; and the
//! names that a tensor's module has in checkpoints.

use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools as _;
use regex::bytes::{Regex, RegexBuilder};

use crate::diagnostic::{Code, Diagnostic};
use crate::model::tensor::{Tensor, TensorClass};

/// What a checkpoint's names may begin with, before `layers.0…` or `lm_head`.
const PREFIXES: [&str; 18] = [
    "model.language_model.model.",
    "model.language_model.",
    "language_model.backbone.",
    "language_model.model.",
    "language_model.",
    "thinker.model.",
    "model.text_model.",
    "text_model.model.",
    "text_model.",
    "model.llm.",
    "llm.model.",
    "llm.",
    "model.decoder.",
    "model.model.",
    "model.",
    "backbone.",
    "transformer.",
    "",
];

/// What a layer's number may follow in checkpoints, whatever stands before: `layers` is ours.
const LAYERS: [&str; 3] = ["layers.", "h.", "blocks."];

/// What stands before the layers of a tower, whose numbers are not those of the text model.
const TOWERS: [&str; 6] = ["vision", "visual", "audio", "vit", "speech", "encoder"];

/// What a kind of module is called in a layer: by the word that blocks give it, those of publishers. Each checkpoint uses
/// one of them: DeepSeek-V4 and MPT `attn` and `ffn`, Falcon and BLOOM `self_attention`, Mixtral and Granite
/// `block_sparse_moe`, Llama 4 and Jamba `feed_forward`, Step 3.5 `moe`, LongCat-Flash numbers two of each.
const PARTS: &[(&str, &[&str])] = &[
    (
        "self_attn",
        &["self_attn", "self_attn.0", "self_attn.1", "attention", "attn", "self_attention", "mixer"],
    ),
    ("linear_attn", &["linear_attn"]),
    ("mixer", &["mixer", "mamba"]),
    ("mlp", &["mlp", "mlps.0", "mlps.1", "feed_forward", "ffn", "mixer"]),
];

/// What a projection is called in its module: by the name that blocks give it, those of publishers. Fused ones stand for
/// each of those that they fuse.
const PROJECTIONS: &[(&str, &[&str])] = &[
    (
        "self_attn.q_proj",
        &["q_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "wqkv", "wq", "W_pack"],
    ),
    (
        "self_attn.k_proj",
        &["k_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "wqkv", "wk", "W_pack"],
    ),
    (
        "self_attn.v_proj",
        &["v_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "wqkv", "wv", "W_pack"],
    ),
    ("self_attn.qkv_proj", &["qkv_proj", "q_proj", "k_proj", "v_proj"]),
    ("self_attn.o_proj", &["o_proj", "out_proj", "dense", "c_proj", "wo"]),
    ("self_attn.q_a_proj", &["q_a_proj", "fused_qkv_a_proj", "wq_a", "fused_wqa_wkv"]),
    ("self_attn.q_b_proj", &["q_b_proj", "wq_b"]),
    ("self_attn.kv_a_proj_with_mqa", &["kv_a_proj_with_mqa", "fused_qkv_a_proj"]),
    ("self_attn.kv_proj", &["kv_proj", "wkv", "fused_wqa_wkv"]),
    ("self_attn.o_a_proj", &["o_a_proj", "wo_a"]),
    ("self_attn.o_b_proj", &["o_b_proj", "wo_b"]),
    ("self_attn.gate_proj", &["gate_proj", "g_proj"]),
    // MiniMax-M3's.
    ("self_attn.indexer.q_proj", &["indexer.q_proj", "index_q_proj"]),
    ("self_attn.indexer.k_proj", &["indexer.k_proj", "index_k_proj"]),
    // GLM-5's lists name `indexer.weights_proj.weight` without its first `.weight`.
    ("self_attn.indexer.weights_proj", &["indexer.weights_proj", "indexers_proj"]),
    ("linear_attn.in_proj_qkvz", &["in_proj_qkvz", "in_proj_qkv", "in_proj_z"]),
    ("linear_attn.in_proj_ba", &["in_proj_ba", "in_proj_b", "in_proj_a"]),
    ("mlp.gate_proj", &["gate_proj", "gate_up_proj", "w1"]),
    ("mlp.up_proj", &["up_proj", "gate_up_proj", "w3", "c_fc", "fc1", "dense_h_to_4h"]),
    ("mlp.down_proj", &["down_proj", "w2", "c_proj", "fc2", "dense_4h_to_h"]),
    // Of routed experts, the first of which stands for all.
    (
        "experts.gate_proj",
        &["experts.gate_proj", "experts.gate_up_proj", "experts.0.gate_proj", "experts.0.gate_up_proj"],
    ),
    ("experts.up_proj", &["experts.up_proj", "experts.gate_up_proj", "experts.0.up_proj"]),
    ("experts.down_proj", &["experts.down_proj", "experts.0.down_proj"]),
    (
        "mlp.experts.gate_proj",
        &[
            "experts.gate_proj",
            "experts.gate_up_proj",
            "experts.0.gate_proj",
            "experts.0.gate_up_proj",
            "experts.0.w1",
            "experts.mlp.w1",
        ],
    ),
    (
        "mlp.experts.up_proj",
        &[
            "experts.up_proj",
            "experts.gate_up_proj",
            "experts.0.up_proj",
            "experts.0.gate_up_proj",
            "experts.0.w3",
            "experts.mlp.v1",
        ],
    ),
    (
        "mlp.experts.down_proj",
        &["experts.down_proj", "experts.0.down_proj", "experts.0.w2", "experts.mlp.w2"],
    ),
];

/// What holds the routed experts of a layer, whose `mlp` is the experts' in the names of blocks.
const EXPERT_PARTS: [&str; 6] = ["mlp", "block_sparse_moe", "feed_forward", "ffn", "moe", "mixer"];

/// What comes before a shared expert's projections.
const SHARED: [&str; 10] = [
    "mlp.shared_expert",
    "mlp.shared_experts",
    "mlp.shared_mlp",
    "feed_forward.shared_expert",
    "mixer.shared_experts",
    "block_sparse_moe.shared_experts",
    "ffn.shared_experts",
    "share_expert",
    "shared_mlp",
    "residual_mlp",
];

/// The names that the module of a tensor of a layer may have, without what stands before the layer and without the layer. In
/// one that routes experts (`sparse`) the dense projections are the shared expert's.
pub(super) fn names(tensor: &Tensor, sparse: bool) -> Vec<String> {
    let own = tensor.name.trim_end_matches(".weight");
    let (part, rest) = own.split_once('.').unwrap_or((own, ""));
    let routed = tensor.class == TensorClass::Expert;
    let listed = PROJECTIONS.iter().find(|(name, _)| *name == own).map(|(_, names)| *names);
    let one = [rest];
    let projections = listed.unwrap_or(&one);
    // Before experts that stand beside a dense layer there is no `mlp`.
    let beside = ["", "moe."];
    let parts: Vec<String> = match part {
        "experts" => beside.map(str::to_owned).to_vec(),
        "mlp" if routed => EXPERT_PARTS.map(|part| format!("{part}.")).to_vec(),
        _ => {
            let parts = PARTS.iter().find(|(name, _)| *name == part).map(|(_, parts)| *parts);
            parts.unwrap_or_default().iter().map(|part| format!("{part}.")).collect()
        }
    };
    let mut names = vec![own.to_owned()];
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for part in &parts {
        projections.iter().filter(|rest| !rest.is_empty()).for_each(|rest| add(format!("{part}{rest}")));
    }
    if routed && part == "mlp" {
        // Step 3.5's experts are one matrix each, without a module of their own; Granite's are two.
        let short = rest.trim_start_matches("experts.");
        add(format!("moe.{short}"));
        add(format!("block_sparse_moe.{}", joined(short)));
    }
    let dense = part == "mlp" && !routed && rest.ends_with("_proj") && !rest.contains('.');
    if sparse && dense {
        for shared in SHARED {
            projections.iter().for_each(|projection| add(format!("{shared}.{projection}")));
        }
        add(format!("shared_mlp.{}", joined(rest)));
    }
    if part == "mlp" && !routed && listed.is_some() {
        // OPT's, which stand in the layer itself.
        add(if rest == "down_proj" { "fc2" } else { "fc1" }.to_owned());
    }
    names
}

/// Granite's name of a projection: the gate and the up projection are one.
fn joined(projection: &str) -> &'static str {
    if projection == "down_proj" { "output_linear" } else { "input_linear" }
}

/// What the prediction layer of this number is called beside its name as a layer behind the last one, which is that of
/// DeepSeek-V3 and GLM: those of others say `mtp` (Qwen3-Next `mtp.layers.0`, DeepSeek-V4 `mtp.0`, MiMo `mtp_layers.0`).
pub(super) fn predicting(number: usize) -> [String; 3] {
    ["mtp.layers", "mtp", "mtp_layers"].map(|layers| format!("{layers}.{number}"))
}

/// What a name of a module ends with that no method quantises, whether a list names it or not.
const SMALL: [&str; 7] = [".gate", "expert_gate", "router", "norm", "conv1d", "rotary_emb", "act_fn"];

/// What the names of modules have that lie outside the layers of a decoder: outputs, embeddings, prediction layers.
const OUTSIDE: [&str; 16] = [
    "lm_head",
    "output_layer",
    "embed",
    "wte",
    "wpe",
    "word_",
    "mtp",
    "nextn",
    "eh_proj",
    "shared_head",
    "eagle",
    "draft",
    "score",
    "classifier",
    "talker",
    "token2wav",
];

/// Whether an entry need not mean a module of the layers: by its words it lies outside them or is never quantised, or it
/// names a layer behind the last one.
fn is_elsewhere(entry: &str, layers: usize) -> bool {
    let plain = entry.trim_start_matches("re:").replace('\\', "").to_ascii_lowercase();
    let open = plain.trim_end_matches(['$', '*', '.', ')', '+']);
    OUTSIDE.iter().any(|word| plain.contains(word))
        || is_of_tower(&plain)
        || is_small(&format!(".{open}"))
        || ["norm", "router", "conv"].iter().any(|word| plain.contains(word))
        || numbers(&plain).any(|number| number >= layers)
        // The class of a layer, as in torch.
        || entry.starts_with(|c: char| c.is_ascii_uppercase()) && !entry.contains('.')
}

/// Whether a module holds no weights that a method could quantise.
pub(super) fn is_small(name: &str) -> bool {
    SMALL.iter().any(|end| name.ends_with(end))
}

/// The names that the modules of a model's layers may have, of each kind of layer once.
#[derive(Debug)]
pub(super) struct Known {
    /// Names and their parents, without the layer that stands before them.
    kinds: Vec<BTreeSet<String>>,
    /// The kind of each layer.
    of: Vec<usize>,
}

impl Known {
    /// Reads the tensors of each layer.
    pub fn of(layers: impl Iterator<Item = Vec<Tensor>>) -> Known {
        let (mut known, mut seen) = (Known { kinds: Vec::new(), of: Vec::new() }, Vec::new());
        for tensors in layers {
            let place = seen.iter().position(|other| *other == tensors).unwrap_or_else(|| {
                let sparse = tensors.iter().any(|tensor| tensor.class == TensorClass::Expert);
                let names = tensors.iter().flat_map(|tensor| names(tensor, sparse));
                known
                    .kinds
                    .push(names.flat_map(|name| parents(&name).map(str::to_owned).collect_vec()).collect());
                seen.push(tensors);
                seen.len() - 1
            });
            known.of.push(place);
        }
        known
    }

    fn names_of(&self, layer: usize) -> Option<&BTreeSet<String>> {
        self.of.get(layer).map(|kind| &self.kinds[*kind])
    }

    /// Whether it has a module of a layer of this name, or the name lies beyond the last layer, where prediction layers
    /// stand. One expert stands for all.
    pub fn has(&self, name: &str) -> bool {
        let (mut steps, mut is_expert) = (Vec::new(), false);
        for step in name.split('.').skip(2) {
            let number = is_expert && step.bytes().all(|c| c.is_ascii_digit());
            is_expert = step == "experts";
            steps.push(if number { "0" } else { step });
        }
        let layer = name.split('.').nth(1).and_then(|number| number.parse().ok());
        let Some(known) = layer.and_then(|layer| self.names_of(layer)) else { return true };
        let name = steps.join(".");
        steps.is_empty() || parents(&name).take(2).any(|parent| known.contains(parent))
    }

    /// Layers that stand for all where numbers are told apart by how many digits they have alone.
    fn examples(&self) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        (0..self.of.len()).filter(|layer| seen.insert((self.of[*layer], digits(*layer)))).collect()
    }

    /// Whether a list means a module of some of these layers.
    fn are_met(&self, list: &Modules, layers: impl IntoIterator<Item = usize>) -> bool {
        layers.into_iter().any(|layer| {
            let Some(names) = self.names_of(layer) else { return false };
            let behind = |name: &String| list.cover(&format!("layers.{layer}.{name}"));
            names.iter().any(behind) || list.cover(&format!("layers.{layer}"))
        })
    }
}

/// Digits of a layer's number.
pub(in crate::model) fn digits(number: usize) -> u32 {
    number.checked_ilog10().unwrap_or(0)
}

/// The numbers that an entry names layers by.
fn numbers(entry: &str) -> impl Iterator<Item = usize> + '_ {
    entry.match_indices("layers.").filter_map(|(at, word)| {
        let rest = &entry[at + word.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    })
}

/// A part of a tower, as far as lists tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TowerPart {
    /// Projections of attention.
    Attention,
    /// The first half of a feed-forward layer, and its gate.
    Up,
    /// The second half.
    Down,
    /// What hands features on to the language model.
    Bridge,
}

impl TowerPart {
    /// The part that a module or tensor of a tower belongs to, by its name; `None` for embeddings and what is no part.
    fn of(name: &str) -> Option<TowerPart> {
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&[
            "projector",
            "merger",
            "patch_merge",
            "connector",
            "aligner",
            "adapter",
            "resampler",
            "mlp1",
            "embed_vision",
        ]) || has(&[
            "embed_audio",
            "img_projection",
            "vision_projection",
            "projection_up",
            "projection_down",
        ]) {
            Some(TowerPart::Bridge)
        } else if has(&["attn", "attention", "qkv", ".wo"]) {
            Some(TowerPart::Attention)
        } else if has(&["down_proj", "mlp.down", "fc2", ".w2", "linear_2", "c_proj"]) {
            Some(TowerPart::Down)
        } else if has(&["mlp", "feed_forward", "ffn", "fc1", ".w1", ".w3", "linear_1", "c_fc"]) {
            Some(TowerPart::Up)
        } else {
            None
        }
    }
}

/// Whether a tensor stands between a tower and the language model as a module of its own, in neither.
pub(super) fn is_beside_tower(tensor: &str) -> bool {
    let outer = tensor.split('.').next().unwrap_or_default();
    TowerPart::of(tensor) == Some(TowerPart::Bridge)
        && (outer.starts_with("embed_") || !TOWERS.iter().any(|tower| outer.contains(tower)))
}

/// Whether a name is of a tower for sound; else it is of one for images.
fn is_of_sound(name: &str) -> bool {
    ["audio", "speech", "sound"].iter().any(|word| name.contains(word))
}

/// What the modules begin with that a glob may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Beginning {
    /// A layer, by its number.
    Layer(usize),
    /// A letter.
    Letter(u8),
    /// Anything.
    Any,
}

impl Beginning {
    fn of(glob: &str) -> Beginning {
        let letter = || Beginning::letter(glob).filter(|_| !glob.starts_with('*'));
        layer_of(glob).map(Beginning::Layer).or_else(letter).unwrap_or(Beginning::Any)
    }

    fn letter(of: &str) -> Option<Beginning> {
        of.bytes().next().map(Beginning::Letter)
    }
}

/// A list of modules as a checkpoint writes it.
#[derive(Clone, Debug, Default)]
pub(super) struct Modules {
    /// As written, for comparison.
    written: Vec<String>,
    /// Whole names, without prefix.
    names: BTreeSet<String>,
    /// Names of parts, such as `self_attn` or `mlp.gate`.
    parts: Vec<String>,
    /// What is left of each glob once a prefix has been read: the glob, by number in `written`, and where it goes on; by
    /// what the modules begin with that it may mean.
    globs: BTreeMap<Beginning, BTreeSet<(usize, usize)>>,
    /// Whether a glob means what a prefix names: the whole model, or the part of it that makes text.
    whole: bool,
    /// Regular expressions.
    expressions: Vec<Regex>,
    /// Parts of towers whose modules are named one by one, and whether the tower is of sound.
    towers: BTreeSet<(bool, TowerPart)>,
}

impl PartialEq for Modules {
    fn eq(&self, other: &Modules) -> bool {
        self.written == other.written
    }
}

impl Modules {
    /// Reads a list: `re:` begins a regular expression that must match from the start of a name, `*`
    /// stands for anything; any other entry names a module, a parent of
    /// modules, or a part of their names.
    pub fn new(written: Vec<String>) -> Result<Modules, Diagnostic> {
        let mut modules = Modules::default();
        for (number, entry) in written.iter().enumerate() {
            if let Some(expression) = entry.strip_prefix("re:") {
                // Names of modules are ASCII; without Unicode's tables the program is half a megabyte smaller.
                let whole = format!("^(?:{expression})");
                let compiled = RegexBuilder::new(&whole).unicode(false).build().map_err(|e| {
                    Diagnostic::new(Code::Model, format!("cannot read the expression `{expression}`: {e}"))
                })?;
                modules.expressions.push(compiled);
            } else if entry.contains('*') {
                let mut steps = PREFIXES.iter().flat_map(|prefix| parents(prefix.trim_end_matches('.')));
                modules.whole |= steps.any(|step| glob(entry.as_bytes(), step.as_bytes()));
                let rests = |prefix: &&str| rests(entry.as_bytes(), prefix.as_bytes());
                for from in PREFIXES.iter().flat_map(rests) {
                    modules.globs.entry(Beginning::of(&entry[from..])).or_default().insert((number, from));
                }
            } else {
                let bare = bare(entry);
                // A module of a tower has the tower's name before its own.
                if !bare.starts_with("layers.") && bare.contains('.') && is_of_tower(&bare) {
                    modules.towers.extend(TowerPart::of(&bare).map(|part| (is_of_sound(&bare), part)));
                }
                if !bare.starts_with("layers.") {
                    modules.parts.push(format!(".{}.", bare.trim_matches('.')));
                }
                modules.names.insert(bare);
            }
        }
        modules.written = written;
        Ok(modules)
    }

    /// Whether the list means the module of this name, given without prefix.
    pub fn cover(&self, name: &str) -> bool {
        // Lists name hundreds of modules by their layer, of which few are looked at.
        let begins = [Some(Beginning::Any), layer_of(name).map(Beginning::Layer), Beginning::letter(name)];
        let globs = begins.map(|begins| begins.and_then(|begins| self.globs.get(&begins)));
        let globs_match = |module: &[u8]| {
            let mut globs = globs.into_iter().flatten().flatten();
            globs.any(|(number, from)| glob(&self.written[*number].as_bytes()[*from..], module))
        };
        self.whole
            || parents(name).any(|parent| self.names.contains(parent) || globs_match(parent.as_bytes()))
            || !self.parts.is_empty() && {
                let steps = format!(".{name}.");
                self.parts.iter().any(|part| steps.contains(part.as_str()))
            }
            || !self.expressions.is_empty()
                && PREFIXES.iter().any(|prefix| {
                    let full = format!("{prefix}{name}");
                    self.expressions.iter().any(|expression| expression.is_match(full.as_bytes()))
                })
    }

    /// Whether the list names modules of this tensor's part of a tower, one by one. What it says of one layer it says of
    /// all.
    pub fn names_tower_of(&self, tensor: &str) -> bool {
        !self.towers.is_empty()
            && TowerPart::of(tensor).is_some_and(|part| self.towers.contains(&(is_of_sound(tensor), part)))
    }

    /// The entries that name something of a layer by its number, without what stands before.
    pub fn of_layers(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| name.starts_with("layers."))
    }

    /// The parts, globs and expressions that mean none of the modules that are `known`, and that would have to: what lies
    /// outside the layers, in a tower or behind the last layer may be absent, and what no method quantises may go by any name.
    pub fn strays(&self, known: &Known) -> Vec<&str> {
        let (examples, layers) = (known.examples(), known.of.len());
        let is_stray = |entry: &&String| {
            if is_elsewhere(entry, layers) {
                return false;
            }
            let one = Modules::new(vec![(*entry).clone()]).unwrap_or_default();
            // Layers that it names, then one of each kind; what tells numbers apart may mean any other.
            let named = numbers(&entry.replace('\\', "")).collect_vec();
            let met = known.are_met(&one, named)
                || known.are_met(&one, examples.iter().copied())
                || one.tells_layers_apart() && known.are_met(&one, 0..layers);
            !met
        };
        let written = self.written.iter().filter(|entry| {
            entry.starts_with("re:") || entry.contains('*') || !bare(entry).starts_with("layers.")
        });
        written.filter(is_stray).map(String::as_str).collect()
    }

    /// Whether it may mean a module of one layer and not that of another whose number has as many digits: where no digit is
    /// written every digit is like every other.
    pub fn tells_layers_apart(&self) -> bool {
        let has_digit = |text: &str| text.bytes().any(|c| c.is_ascii_digit());
        self.written.iter().any(|entry| match entry.starts_with("re:") || entry.contains('*') {
            true => has_digit(entry),
            // A part begins with no layer's number unless it is one.
            false => {
                let bare = bare(entry);
                bare.starts_with("layers.")
                    || bare.split('.').next().is_some_and(|step| step.bytes().all(|c| c.is_ascii_digit()))
            }
        })
    }

    /// Whether routed experts are among them.
    pub fn names_experts(&self) -> bool {
        self.written.iter().any(|name| name.contains("experts") && !name.contains("shared"))
    }
}

/// Whether a name is of a module of a tower, or of what stands between it and the language model.
fn is_of_tower(name: &str) -> bool {
    const BRIDGES: [&str; 6] = ["projector", "merger", "patch_merge", "connector", "aligner", "mlp1"];
    TOWERS.iter().chain(&BRIDGES).any(|word| name.split('.').any(|step| step.contains(word)))
}

/// An entry without what stands before the layers: `language_model.backbone.layers.3.mixer` and `transformer.h.3.attn`
/// begin with `layers.3`. A tower's stays as it is, and a prediction layer's keeps what tells it from the decoder's of the
/// same number: `mtp.layers.0`.
fn bare(entry: &str) -> String {
    let is_tower = |before: &str| TOWERS.iter().any(|tower| before.contains(tower));
    let starts = |word: &str| {
        let begins = |at: &usize| *at == 0 || entry.as_bytes()[at - 1] == b'.';
        let at = entry.match_indices(word).map(|(at, _)| at).find(begins)?;
        let rest = &entry[at + word.len()..];
        (rest.starts_with(|c: char| c.is_ascii_digit()) && !is_tower(&entry[..at])).then_some(rest)
    };
    match LAYERS.into_iter().find_map(starts) {
        Some(rest) if entry[..entry.len() - rest.len()].contains("mtp.") => format!("mtp.layers.{rest}"),
        Some(rest) => of_mlx(format!("layers.{rest}")),
        None => PREFIXES.iter().find_map(|prefix| entry.strip_prefix(prefix)).unwrap_or(entry).to_owned(),
    }
}

/// MLX's names of routed experts in ours: it calls them `switch_mlp` and `switch_glu`, after its `SwitchGLU`, wherever they
/// stand in a layer (`mlx_lm/models/switch_layers.py`).
fn of_mlx(name: String) -> String {
    let experts = |word: &str, ours: &str| {
        let (before, rest) = name.split_once(word)?;
        let layer: Vec<&str> = before.split('.').take(2).collect();
        let rest = match rest {
            ".fc1" => ".up_proj",
            ".fc2" => ".down_proj",
            rest => rest,
        };
        Some(format!("{}.{ours}{rest}", layer.join(".")))
    };
    experts(".switch_mlp", "mlp.experts")
        .or_else(|| experts(".experts.switch_glu", "experts"))
        .unwrap_or(name)
}

/// The layer that a name or a glob begins with, if one follows it or nothing does.
fn layer_of(name: &str) -> Option<usize> {
    let rest = name.strip_prefix("layers.")?;
    let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    (behind.is_empty() || behind.starts_with('.')).then(|| number.parse().ok())?
}

/// A name and the parents of its module.
pub(super) fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.rfind('.').map(|at| &name[..at]))
}

/// Where a glob may go on once it has read `prefix`: none where it does not begin so. A `*` may end anywhere in the prefix,
/// or read on behind it.
fn rests(pattern: &[u8], prefix: &[u8]) -> BTreeSet<usize> {
    prefix.iter().fold(BTreeSet::from([0]), |at, byte| {
        let mut next = BTreeSet::new();
        for mut p in at {
            while pattern.get(p) == Some(&b'*') {
                next.insert(p);
                p += 1;
            }
            if pattern.get(p) == Some(byte) {
                next.insert(p + 1);
            }
        }
        next
    })
}

/// Glob match where `*` stands for any run of characters; linear in time with one back-track point.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_layer(index: usize, names: &[String]) -> impl Iterator<Item = String> {
        names.iter().map(move |name| format!("layers.{index}.{name}"))
    }

    #[test]
    fn a_list_of_shared_experts_leaves_the_routed_ones_alone() {
        let matrix = |name| Tensor::matrix(name, 8, 8, crate::model::Component::Mlp);
        let routed = matrix("mlp.experts.down_proj.weight").class(TensorClass::Expert);
        for list in ["re:.*shared_experts.*", "*shared_experts*", "model.layers.3.mlp.shared_experts"] {
            let modules = Modules::new(vec![list.to_owned()]).unwrap();
            let covers = |tensor: &Tensor| in_layer(3, &names(tensor, true)).any(|name| modules.cover(&name));
            assert!(covers(&matrix("mlp.down_proj.weight")) && !covers(&routed), "{list}");
        }
    }

    #[test]
    fn a_shared_expert_goes_by_the_names_that_publishers_give_it() {
        let down = Tensor::matrix("mlp.down_proj.weight", 8, 8, crate::model::Component::Mlp);
        // nvidia/MiniMax-M3-NVFP4, ibm-granite/granite-4.0-h-small.
        for entry in [
            "language_model.model.layers.3.block_sparse_moe.shared_experts.down_proj",
            "model.layers.3.shared_mlp.output_linear",
            "re:.*shared_mlp.*",
        ] {
            let modules = Modules::new(vec![entry.to_owned()]).unwrap();
            let covers = |sparse| in_layer(3, &names(&down, sparse)).any(|name| modules.cover(&name));
            assert!(covers(true) && !covers(false), "{entry}");
        }
    }

    #[test]
    fn a_star_may_end_inside_of_a_prefix_or_behind_it() {
        assert!(covers("*language_model", "layers.0.mlp"));
        // `model.language_model.layers.0.mlp`, `model.layers.0.mlp` and `layers.0.mlp` are names of one module.
        for pattern in
            ["*.layers.0.mlp", "model*mlp", "*language_model.layers.0*", "*l.l*.0.mlp", "*mlp", "lay*mlp"]
        {
            assert!(covers(pattern, "layers.0.mlp"), "{pattern}");
        }
        for pattern in ["*vision.layers.0.mlp", "model.*.language.*", "*mlps"] {
            assert!(!covers(pattern, "layers.0.mlp"), "{pattern}");
        }
        assert_eq!(rests(b"mo*l.*", b"model."), BTreeSet::from([2, 5]));
        assert_eq!(rests(b"*", b"model."), BTreeSet::from([0]));
        assert_eq!(rests(b"visual*", b"model."), BTreeSet::new());
    }

    fn covers(pattern: &str, name: &str) -> bool {
        Modules::new(vec![pattern.to_owned()]).unwrap().cover(name)
    }

    #[test]
    fn an_excluded_parent_covers_its_modules() {
        assert!(covers("model.layers.*.self_attn", "layers.3.self_attn.o_proj"));
        assert!(covers("re:.*self_attn.*", "layers.3.self_attn.o_proj"));
        assert!(!covers("model.layers.1.self_attn", "layers.11.self_attn.o_proj"));
        assert!(!covers("lm_head", "layers.3.mlp.down_proj"));
    }

    #[test]
    fn alternatives_and_digits_of_a_regular_expression_are_understood() {
        let pattern = r"re:.*mlp\.(gate|up|gate_up|down)_proj.*";
        assert!(covers(pattern, "layers.0.mlp.down_proj"));
        assert!(!covers(pattern, "layers.0.mlp.experts.0.down_proj"));
        assert!(covers(r"re:model\.layers\.\d+\.mlp\.gate$", "layers.12.mlp.gate"));
        assert!(!covers(r"re:model\.layers\.\d+\.mlp\.gate$", "layers.12.mlp.gate_proj"));
    }

    #[test]
    fn a_part_of_a_name_covers_whole_steps_of_it_only() {
        assert!(covers("self_attn", "layers.3.self_attn.o_proj"));
        assert!(!covers("gate", "layers.3.mlp.gate_proj"));
    }

    #[test]
    fn an_entry_with_a_layers_number_counts_whatever_stands_before_unless_that_is_a_tower() {
        for before in
            ["language_model.backbone.", "text_model.", "llm.", "model.decoder.", "anything.at.all."]
        {
            assert!(covers(&format!("{before}layers.3.mixer"), "layers.3.mixer.in_proj"), "{before}");
        }
        assert!(covers("transformer.h.3.attn", "layers.3.attn.c_attn"));
        assert!(!covers("model.vision_tower.layers.3.self_attn", "layers.3.self_attn.q_proj"));
        assert!(!covers("visual.blocks.3.attn", "layers.3.attn.c_attn"));
    }

    #[test]
    fn an_expression_that_cannot_be_read_is_an_error() {
        assert!(Modules::new(vec!["re:(".into()]).is_err());
    }
}
