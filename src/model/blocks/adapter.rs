//! Low-rank adapters (LoRA, arXiv:2106.09685) beside the linear layers of a layer, as vLLM keeps them for
//! serving: slots of a fixed rank that are reserved whether an adapter is loaded or not.

use crate::model::node::Each;
use crate::model::node::{Cut, Held, Linear, Part, Stream};
use crate::model::tensor::{Component, Role, TensorClass};

/// What an adapter of one linear layer of `rows × columns` adds: `A: rank × columns`, `B: rows × rank`.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapted {
    /// Output features of the linear layer.
    pub rows: u64,
    /// Input features.
    pub columns: u64,
    /// Number of its block in the layer.
    pub block: usize,
    /// Which of the block's tensors it reads.
    pub reads: Stream,
    /// What the linear layer belongs to.
    pub component: Component,
    /// How the linear layer is divided.
    pub cut: Cut,
}

impl Adapted {
    /// Parameters of one adapter.
    fn parameters(&self, rank: u64) -> u64 {
        rank.saturating_mul(self.rows.saturating_add(self.columns))
    }
}

/// The adapters of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapters {
    /// Rank of the slots.
    pub rank: u64,
    /// Adapters kept at once.
    pub slots: u64,
    /// The linear layers that have one.
    pub modules: Vec<Adapted>,
}

impl Adapters {
    /// Parameters of one adapter in this layer.
    pub fn parameters(&self) -> u64 {
        self.modules.iter().map(|m| m.parameters(self.rank)).fold(0, u64::saturating_add)
    }

    /// Two narrow products per linear layer and token. Of a linear layer divided by its output, `B` is divided like it
    /// and every rank holds `A`; of one divided by its input the other way round (vLLM
    /// `lora/layers/column_parallel_linear.py`, `row_parallel_linear.py`, without `fully_sharded_loras`).
    pub(super) fn nodes(&self, each: Each) {
        for m in &self.modules {
            let product = |name, k, part: Part| Linear {
                class: TensorClass::Adapter,
                slots: self.slots,
                block: m.block,
                ..Linear::new(name, m.component, k).held(Held::Base).of([part])
            };
            let (first, second) = match m.cut {
                Cut::Rows(_) => (m.cut, Cut::Whole),
                cut => (Cut::Whole, cut),
            };
            let a = product("lora_a", m.columns, Part::new("lora_a", self.rank).cut(first));
            each(a.reading(Role::Project, m.reads).into());
            let b = product("lora_b", self.rank, Part::new("lora_b", m.rows).cut(second));
            each(b.reading(Role::Project, Stream::Low).into());
        }
    }
}
