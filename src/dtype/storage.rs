//! What weights take to store.

use super::{WeightFormat, gguf};

impl WeightFormat {
    /// Whether it is one of ggml's, which only engines built on it read.
    pub const fn is_ggml(self) -> bool {
        matches!(self, WeightFormat::Ggml(_)) || gguf::base(self).is_some()
    }

    /// Bytes stored for a matrix of `rows × columns` (output × input features), scales included.
    ///
    /// Returns `None` on overflow.
    pub fn stored_bytes(self, rows: u64, columns: u64) -> Option<u64> {
        let elements = rows.checked_mul(columns)?;
        if let WeightFormat::Ggml(kind) = self {
            return kind.mean_bytes(elements);
        }
        if self.is_ggml() {
            return Some((elements as f64 * gguf::bytes_per_weight(self)).ceil() as u64);
        }
        let payload = elements.checked_mul(self.element().bits())?.div_ceil(8);
        let scales = match self {
            WeightFormat::Fp32 | WeightFormat::Bf16 | WeightFormat::Fp16 => 0,
            WeightFormat::Fp8 | WeightFormat::Int8 | WeightFormat::Int8Weights => rows.checked_mul(4)?,
            WeightFormat::Fp8Block => {
                rows.div_ceil(128).checked_mul(columns.div_ceil(128))?.checked_mul(4)?
            }
            WeightFormat::Int4 => {
                let groups = rows.checked_mul(columns.div_ceil(128))?;
                groups.checked_mul(2)?.checked_add(groups.div_ceil(2))?
            }
            WeightFormat::Int4Group32 => rows.checked_mul(columns.div_ceil(32))?.checked_mul(2)?,
            WeightFormat::Mxfp4 | WeightFormat::Mxfp8 => rows.checked_mul(columns.div_ceil(32))?,
            WeightFormat::Nvfp4 => rows.checked_mul(columns.div_ceil(16))?.checked_add(4)?,
            _ => 0,
        };
        payload.checked_add(scales)
    }

    /// Mean stored bytes per element of a large matrix, for traffic of matrix products.
    pub const fn bytes_per_element(self) -> f64 {
        if let WeightFormat::Ggml(kind) = self {
            return kind.bits() / 8.0;
        }
        if self.is_ggml() {
            return gguf::bytes_per_weight(self);
        }
        let scales = match self {
            WeightFormat::Fp8Block => 4.0 / (128.0 * 128.0),
            WeightFormat::Int4 => 2.5 / 128.0,
            WeightFormat::Int4Group32 => 2.0 / 32.0,
            WeightFormat::Mxfp4 | WeightFormat::Mxfp8 => 1.0 / 32.0,
            WeightFormat::Nvfp4 => 1.0 / 16.0,
            _ => 0.0,
        };
        self.element().bytes() + scales
    }
}
