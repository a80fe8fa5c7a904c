//! Fields of a configuration that look like sizes and that nothing read: named, so that none is assumed away in silence.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::config::{Config, brief};

/// Ends, beginnings and parts of names that sizes have.
const ENDS: [&str; 12] = [
    "_size",
    "_dim",
    "_dims",
    "_rank",
    "_width",
    "_heads",
    "_layers",
    "_groups",
    "_experts",
    "_channels",
    "_depth",
    "_topk",
];
const STARTS: [&str; 3] = ["num_", "n_", "d_"];

/// Objects that hold no sizes of weights: how positions turn, how text is made, how weights are stored, how a model
/// was trained, what tokenisers and image readers do.
const OBJECTS: &[&str] = &[
    "quantization_config",
    "quantization",
    "compression_config",
    "rope_scaling",
    "rope_parameters",
    "generation_config",
    "task_specific_params",
    "id2label",
    "label2id",
    "_shardfit",
    "auto_map",
    "prefix_config",
    "vision_token_config",
    "processor_config",
    "ssm_cfg",
];

/// Fields that look like sizes and that no count, cache or time follows from.
const KNOWN: &[&str] = &[
    // Where rotary positions, windows and chunks of scans stand: no weights follow, caches by other fields.
    "max_window_layers",
    "rotary_dim",
    "no_rope_layers",
    "rope_scaling_layers",
    "context_window_size",
    "prefill_chunk_size",
    "attention_sink_size",
    "keep_window_size",
    "chunk_size",
    "mamba_chunk_size",
    "ssm_chunk_size",
    "block_size",
    "block_group_size",
    "index_block_size",
    "global_attn_every_n_layers",
    "time_step_rank",
    "n_mamba_heads",
    // Sums and copies of other fields.
    "qk_head_dim",
    "kv_channels",
    "num_query_groups",
    "unpadded_vocab_size",
    "mm_hidden_size",
    "text_hidden_size",
    "image_text_hidden_size",
    // How experts are chosen.
    "n_group",
    "topk_group",
    "num_expert_group",
    "num_expert_groups",
    "n_expert_groups",
    "num_hash_layers",
    "kda_layers",
    "n_layers_per_attn_res_block",
    "attn_res_block_size",
    "moe_capacity",
    "num_experts_per_group",
    // How images and sounds are cut up, and heads of towers: no weights follow.
    "num_heads",
    "vt_num_attention_heads",
    "attention_heads",
    "num_image_tokens",
    "window_size",
    "spatial_patch_size",
    "sparse_block_size",
    "projection_dim",
    "crop_size",
    "image_size",
    "force_image_size",
    "pooling_kernel_size",
    "nemo_final_size",
    "max_num_tiles",
    "vit_first_fwd_bsz",
    "num_img_tokens",
    "num_image_with_embedding",
    // Of training and of generation.
    "num_mtp_modules",
    "n_codebooks",
    "num_beams",
    "num_beam_groups",
    "num_labels",
    "num_return_sequences",
    "num_assistant_tokens",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "chunk_size_feed_forward",
    "num_loss_layers",
];

/// Whether a name looks like that of a size.
fn looks_like_size(name: &str) -> bool {
    ENDS.iter().any(|end| name.ends_with(end))
        || STARTS.iter().any(|start| name.starts_with(start))
        || name.contains("experts")
        || matches!(name, "hidden_sizes" | "depths" | "depth" | "dim" | "width")
}

/// A number that a size can be, or a list of them.
fn is_number(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.as_u64().is_some_and(|n| n > 1),
        Value::Array(list) => !list.is_empty() && list.iter().all(|v| v.as_u64().is_some()),
        _ => false,
    }
}

/// Appends the fields of `map`, which stands at `path`, that look like sizes and are not among `read`.
fn gather(
    map: &Map<String, Value>,
    path: &str,
    read: &BTreeSet<String>,
    left_out: &dyn Fn(&str) -> bool,
    unread: &mut Vec<(String, String)>,
) {
    for (name, value) in map {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if let Value::Object(inner) = value {
            // As deep as wrappers nest; a hostile file may nest further.
            let deep = path.matches('.').count() > 3;
            if !deep && !OBJECTS.contains(&name.as_str()) && !left_out(name) {
                gather(inner, &full, read, left_out, unread);
            }
            continue;
        }
        // A wrapper may repeat what its parts say.
        let repeated = || read.iter().any(|other| other.rsplit('.').next() == Some(name.as_str()));
        if looks_like_size(name) && is_number(value) && !KNOWN.contains(&name.as_str()) && !repeated() {
            unread.push((full, brief(value)));
        }
    }
}

/// Names of towers' configurations.
const TOWERS: [&str; 10] = [
    "vision_config",
    "audio_config",
    "vision_tower_config",
    "speech_config",
    "vit_config",
    "visual",
    "sound_config",
    "image_config",
    "encoder_config",
    "vq_config",
];

/// The note that names what looks like a size and was not read; `text` leaves out towers, which were not asked for.
pub(super) fn note(config: &Config, text: bool) -> Option<String> {
    let mut unread = Vec::new();
    gather(config.fields(), "", &config.paths_read(), &|name| text && TOWERS.contains(&name), &mut unread);
    if unread.is_empty() {
        return None;
    }
    let named: Vec<String> =
        unread.iter().take(12).map(|(path, value)| format!("`{path}` = {value}")).collect();
    let more = match unread.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("not read, though they look like sizes: {}{more}", named.join(", ")))
}
