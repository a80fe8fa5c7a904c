//! What a checkpoint stores for one quantised matrix, to the byte: packed elements, scales, zero points.

use crate::dtype::WeightFormat;
use crate::dtype::gguf::Blocks;

/// How one tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The format whose kernels compute with it.
    pub format: WeightFormat,
    /// What the file holds.
    layout: Held,
}

/// What a file holds for a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// The format's own layout.
    Own,
    /// Packed elements and their scales.
    Packed(Layout),
    /// Blocks that the tensor has in a GGUF mix.
    Blocks(Blocks),
}

/// Elements that share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scales {
    /// All of them.
    Tensor,
    /// Those of an output feature.
    Row,
    /// This many along the input features of an output feature.
    Group(u64),
    /// A block of so many output and input features.
    Block(u64, u64),
    /// This many in the order they lie in memory (bitsandbytes).
    Run(u64),
}

/// Bytes of a quantised matrix beside its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bits of an element.
    pub bits: u64,
    /// Thousandths of a bit beyond them, where a method mixes widths to a mean (EXL2, EXL3).
    pub millibits: u64,
    /// Two of four neighbours are zero: half the elements, and a bit for each of all.
    pub sparse: bool,
    /// Elements are packed into 32-bit words along the input features.
    pub words: bool,
    pub scales: Scales,
    /// Bytes of a scale.
    pub scale_bytes: u64,
    /// Bits of a zero point, one per scale, packed into 32-bit words along the output features where
    /// narrower than a byte; 0 for none.
    pub zero_bits: u64,
    /// Bytes for each input feature: the group of each (GPTQ's `g_idx`), smoothing factors.
    pub column_bytes: u64,
    /// Elements for which the scales, quantised themselves, have one FP32 scale; 0 if they are not.
    pub outer_run: u64,
    /// Bytes once per matrix: global scales, scales of activations, shapes.
    pub fixed_bytes: u64,
}

impl Layout {
    /// Elements of `bits` and scales of `scale_bytes`, nothing else.
    pub fn new(bits: u64, scales: Scales, scale_bytes: u64) -> Layout {
        Layout {
            bits,
            millibits: 0,
            sparse: false,
            words: false,
            scales,
            scale_bytes,
            zero_bits: 0,
            column_bytes: 0,
            outer_run: 0,
            fixed_bytes: 0,
        }
    }

    fn bytes(self, rows: u64, columns: u64) -> Option<u64> {
        let elements = rows.checked_mul(columns)?;
        let payload = if self.sparse {
            elements.checked_mul(self.bits)?.div_ceil(16).checked_add(elements.div_ceil(8))?
        } else if self.words {
            columns.checked_mul(self.bits)?.div_ceil(32).checked_mul(4)?.checked_mul(rows)?
        } else {
            elements.checked_mul(self.bits)?.div_ceil(8)
        };
        let payload = payload.checked_add(elements.checked_mul(self.millibits)?.div_ceil(8000))?;
        // Scales along one output feature, and how many output features have their own.
        let (along, across) = match self.scales {
            Scales::Tensor => (1, 1),
            Scales::Row => (1, rows),
            Scales::Group(size) => (columns.div_ceil(size.max(1)), rows),
            Scales::Block(height, width) => (columns.div_ceil(width.max(1)), rows.div_ceil(height.max(1))),
            Scales::Run(length) => (elements.div_ceil(length.max(1)), 1),
        };
        let scales = along.checked_mul(across)?.checked_mul(self.scale_bytes)?;
        let zeros = match self.zero_bits {
            0 => 0,
            bits if bits < 8 => along.checked_mul(across.checked_mul(bits)?.div_ceil(32) * 4)?,
            bits => along.checked_mul(across)?.checked_mul(bits / 8)?,
        };
        let outer = if self.outer_run > 0 { elements.div_ceil(self.outer_run).checked_mul(4)? } else { 0 };
        let columns = columns.checked_mul(self.column_bytes)?;
        [scales, zeros, outer, columns, self.fixed_bytes].into_iter().try_fold(payload, u64::checked_add)
    }
}

impl From<WeightFormat> for Storage {
    /// The format's own layout.
    fn from(format: WeightFormat) -> Storage {
        Storage { format, layout: Held::Own }
    }
}

impl Storage {
    pub(super) fn new(format: WeightFormat, layout: Layout) -> Storage {
        Storage { format, layout: Held::Packed(layout) }
    }

    /// The storage with half the elements left out, two of four neighbours.
    #[must_use]
    pub(super) fn sparse(self) -> Storage {
        let layout = match self.layout {
            Held::Packed(layout) => Held::Packed(Layout { sparse: true, ..layout }),
            Held::Own if self.format.element().bits() >= 16 => Held::Packed(Layout {
                sparse: true,
                ..Layout::new(self.format.element().bits(), Scales::Tensor, 0)
            }),
            other => other,
        };
        Storage { layout, ..self }
    }

    /// Input features that share a scale of a quantised matrix, if a group of them does.
    pub fn group(self) -> Option<u64> {
        match self.layout {
            Held::Packed(Layout { scales: Scales::Group(size), .. }) if size < u64::MAX => Some(size),
            Held::Packed(Layout { scales: Scales::Block(_, width), .. }) => Some(width),
            _ => None,
        }
    }

    /// A tensor of a GGUF mix.
    pub(super) fn of_blocks(format: WeightFormat, blocks: Blocks) -> Storage {
        Storage { format, layout: Held::Blocks(blocks) }
    }

    /// Bytes stored for a matrix of `rows × columns` (output × input features), or `None` on overflow.
    pub fn stored_bytes(self, rows: u64, columns: u64) -> Option<u64> {
        match self.layout {
            Held::Packed(layout) => layout.bytes(rows, columns),
            Held::Blocks(blocks) => blocks.stored_bytes(rows, columns),
            Held::Own => self.format.stored_bytes(rows, columns),
        }
    }

    /// The elements alone: scales and what else lies beside them are tensors of their own in an engine's memory.
    pub fn elements(self) -> Storage {
        let bits = self.format.element().bits();
        let layout = match self.layout {
            Held::Packed(Layout { bits, words, sparse, millibits, .. }) => {
                Held::Packed(Layout { words, sparse, millibits, ..Layout::new(bits, Scales::Tensor, 0) })
            }
            Held::Own if bits < 16 && !self.format.is_ggml() => {
                Held::Packed(Layout::new(bits, Scales::Tensor, 0))
            }
            other => other,
        };
        Storage { format: self.format, layout }
    }
}
