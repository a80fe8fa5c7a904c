//! How wide recurrent states are, by what files say of them.

use crate::diagnostic::Diagnostic;
use crate::model::blocks::STATE_BYTES;
use crate::model::config::Config;

/// Bytes of one element of a recurrent state by the field that names its type, `default` where the file has none or leaves
/// it to the engine.
pub(super) fn state_bytes(config: &Config, key: &str, default: u64) -> Result<u64, Diagnostic> {
    match config.opt_str(key)? {
        None | Some("auto") => Ok(default),
        Some("float32") => Ok(4),
        Some("bfloat16" | "float16") => Ok(STATE_BYTES),
        Some(other) => Err(config.error(key, format!("unknown type of state `{other}`"))),
    }
}
