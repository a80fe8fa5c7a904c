//! Families: from `model_type` to the function that reads such a configuration. One row each.

mod deepseek;
mod gemma;
mod general;
mod gpt_oss;
mod mixture;

use crate::diagnostic::Diagnostic;

use super::config::Config;
use super::{Architecture, Scope};

/// A family of models: which `model_type`s it reads, and how.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Values of `model_type`.
    pub model_types: &'static [&'static str],
    /// Reads a configuration.
    pub read: fn(&Config, Scope) -> Result<Architecture, Diagnostic>,
}

/// The table. Types that are absent are read by `general::read` and reported as not recognised.
pub const FAMILIES: &[Family] = &[
    Family { model_types: &["llama", "mistral"], read: general::llama },
    Family { model_types: &["qwen2"], read: general::qwen2 },
    Family { model_types: &["qwen3"], read: general::qwen3 },
    Family { model_types: &["phi3"], read: general::llama },
    Family { model_types: &["mixtral"], read: mixture::mixtral },
    Family { model_types: &["qwen2_moe"], read: mixture::qwen2_moe },
    Family { model_types: &["qwen3_moe"], read: mixture::qwen3_moe },
    Family { model_types: &["deepseek_v2", "deepseek_v3", "kimi_k2"], read: deepseek::read },
    Family { model_types: &["gpt_oss"], read: gpt_oss::read },
    Family { model_types: &["gemma3"], read: gemma::multimodal },
    Family { model_types: &["gemma3_text"], read: gemma::text },
];

/// The family that reads a `model_type`, if one does.
pub fn of(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.model_types.contains(&model_type))
}

/// Reads a configuration of an unknown type by the field names that most families share.
///
/// # Errors
/// A missing or impossible field.
pub fn read_general(config: &Config, scope: Scope) -> Result<Architecture, Diagnostic> {
    general::read(config, scope)
}
