//! Mixtures of experts: how their sizes and their placement are written.

use crate::diagnostic::Diagnostic;
use crate::model::blocks::{Mlp, Moe, SharedExpert};
use crate::model::config::Config;

/// Names of the number of routed experts.
const EXPERTS: &[&str] = &["num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"];
/// Names of the number of experts one token uses.
const TOP_K: &[&str] = &[
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "moe_k",
    "moe_top_k",
    "num_selected_experts",
    "top_k_experts",
];
/// Names of an expert's inner width, where it is not that of all feed-forward layers.
const EXPERT_INNER: &[&str] = &["moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size"];
/// Names of the inner width of all shared experts together.
const SHARED_INNER: &[&str] =
    &["shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size"];
/// Names of the number of shared experts.
const SHARED: &[&str] =
    &["n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"];

/// Reads the experts one token uses, which cannot be more than there are. A file that does not say is refused: any
/// guess would be wrong by the ratio of all experts to those in use. Null says as little, but in a class that has it by
/// default: there it is no choice, and a token uses all (DeepSeek-V2, dots.llm1).
pub(super) fn top_k(config: &Config, experts: u64) -> Result<u64, Diagnostic> {
    let Some(k) = config.opt_size_of(TOP_K)? else {
        return match TOP_K.iter().find(|key| config.mentions(key)) {
            Some(key) if config.has(key) => Err(config.error(key, "a token uses at least 1 expert, found 0")),
            Some(_) if config.has_class() && !TOP_K.iter().any(|key| config.assumes(key)) => Ok(experts),
            _ => Err(unread_top_k(config, experts)),
        };
    };
    if k > experts {
        let cause = format!("{k} experts per token, but there are only {experts}");
        return Err(config.error("num_experts_per_tok", cause));
    }
    Ok(k)
}

/// A mixture that does not say, in a field that is known, how many experts a token uses. Names fields that may.
pub(super) fn unread_top_k(config: &Config, experts: u64) -> Diagnostic {
    let cause = format!("{experts} experts, and how many of them a token uses is not said");
    let close = |key: &&str| key.contains("expert") || key.contains("top") || key.contains("moe");
    let near: Vec<String> = config.keys().filter(close).map(|key| format!("`{key}`")).collect();
    let found = match near.as_slice() {
        [] => String::new(),
        near => format!("; of the file's own fields, {} may be meant", near.join(", ")),
    };
    config.error(TOP_K[0], cause).help(format!("write it as `{}`{found}", TOP_K[0]))
}

/// Refuses a mixture whose experts differ from layer to layer, of a type whose family is not known.
pub(super) fn refuse_lists(config: &Config) -> Result<(), Diagnostic> {
    match EXPERTS.iter().chain(TOP_K).find(|key| config.is_list(key)) {
        Some(key) => {
            Err(config.error(key, "experts that differ by layer or kind of token, which are not read"))
        }
        None => Ok(()),
    }
}

/// Refuses a file that speaks of experts and does not say how many there are, or says null: it would be read as a dense model.
fn refuse_uncounted(config: &Config) -> Result<(), Diagnostic> {
    let says = |key: &&&str| config.has(key) && matches!(config.opt_u64(key), Ok(Some(n)) if n > 1);
    let spoken = TOP_K.iter().chain(EXPERT_INNER).find(says);
    // Null is no number in a class that has one by default; in others it makes the model dense (Gemma 4).
    let dense =
        EXPERTS.iter().any(|key| config.mentions(key)) && !EXPERTS.iter().any(|key| config.assumes(key));
    match spoken.filter(|_| !dense) {
        None => Ok(()),
        Some(key) => {
            let cause = format!("`{key}` is given, and how many experts there are is not");
            Err(config.error(EXPERTS[0], cause).help(format!("write it as `{}`", EXPERTS[1])))
        }
    }
}

/// Refuses a mixture whose experts have no width where its dense layers or its shared experts show that theirs is another
/// than `intermediate_size`. A class whose defaults are known has such a field, or none.
fn refuse_unmeasured(config: &Config) -> Result<(), Diagnostic> {
    if config.has_class() || config.has("dense_intermediate_size") {
        return Ok(());
    }
    let apart = ["first_k_dense_replace", "num_dense_layers"].iter().chain(SHARED);
    let says = |key: &&&str| config.has(key) && matches!(config.opt_u64(key), Ok(Some(n)) if n > 0);
    match apart.into_iter().find(says) {
        None => Ok(()),
        Some(key) => {
            let cause = format!(
                "`{key}` sets experts apart from dense layers, and how wide an expert is is not said"
            );
            Err(config.error(EXPERT_INNER[0], cause).help(format!("write it as `{}`", EXPERT_INNER[0])))
        }
    }
}

/// The experts of a sparse layer, or `None` when the model has none.
///
/// # Errors
/// Experts whose number or width the file does not say, though it says that there are some; numbers that differ by layer.
pub(super) fn experts(config: &Config, hidden: u64) -> Result<Option<Moe>, Diagnostic> {
    let Some(experts) = config.opt_size_of(EXPERTS)? else {
        refuse_uncounted(config)?;
        return Ok(None);
    };
    if experts <= 1 {
        return Ok(None);
    }
    let inner = match config.opt_size_of(EXPERT_INNER)? {
        Some(inner) => inner,
        None => {
            refuse_unmeasured(config)?;
            config.size("intermediate_size")?
        }
    };
    let top_k = top_k(config, experts)?;
    let shared = match config.opt_size_of(SHARED_INNER)? {
        Some(width) => Some(width),
        None => config.opt_size_of(SHARED)?.map(|n| n * inner),
    };
    let bias = config.bool_or("mlp_bias", false)?;
    let mlp = |width| Mlp { up_bias: bias, down_bias: bias, ..Mlp::gated(hidden, width) };
    let shared = shared.map(|width| SharedExpert { mlp: mlp(width), gate: false });
    Ok(Some(Moe { shared, ..Moe::new(hidden, experts, top_k, inner) }))
}

/// Which layers hold experts: as `mlp_layer_types`, `moe_layers` or `moe_layer_freq` list them, else by
/// first layer, last layer, step and exceptions.
pub(super) fn sparse_layers(config: &Config, layers: u64) -> Result<Vec<bool>, Diagnostic> {
    let kinds = config.strings("mlp_layer_types")?;
    if !kinds.is_empty() {
        let sparse = |i: u64| kinds.get(i as usize).is_none_or(|kind| kind != "dense");
        return Ok((0..layers).map(sparse).collect());
    }
    if let Some(listed) = config.numbers("moe_layers")? {
        return Ok((0..layers).map(|i| listed.contains(&i)).collect());
    }
    if config.is_list("moe_layer_freq") {
        let flags = config.numbers("moe_layer_freq")?.unwrap_or_default();
        return Ok((0..layers).map(|i| flags.get(i as usize).is_none_or(|flag| *flag > 0)).collect());
    }
    // ERNIE-4.5-VL has one for its text experts and one for those of images.
    let bound = |key: &str| -> Result<Option<u64>, Diagnostic> {
        if config.is_list(key) { Ok(config.size_list(key)?.first().copied()) } else { config.opt_index(key) }
    };
    let start = bound("moe_layer_start_index")?.filter(|n| *n > 0);
    let first =
        config.opt_size_of(&["first_k_dense_replace", "num_dense_layers", "dense_mlp_idx"])?.or(start);
    let last = bound("moe_layer_end_index")?.unwrap_or(layers);
    let every = config.size_or("moe_layer_freq", 1)?;
    let step =
        config.opt_size_of(&["decoder_sparse_step", "moe_layer_interval", "interleave_moe_layer_step"])?;
    let (period, offset) =
        (config.size_or("expert_layer_period", 1)?, config.opt_u64("expert_layer_offset")?.unwrap_or(0));
    let dense = config.numbers("mlp_only_layers")?.unwrap_or_default();
    Ok((0..layers)
        .map(|i| {
            i >= first.unwrap_or(0)
                && i <= last
                && i.is_multiple_of(every)
                && (i + 1).is_multiple_of(step.unwrap_or(1))
                && i % period == offset % period
                && !dense.contains(&i)
        })
        .collect())
}
