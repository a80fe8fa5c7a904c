//! Low-rank adapters (LoRA, arXiv:2106.09685) beside the linear layers of a layer, as vLLM keeps them for
//! serving: slots of a fixed rank that are reserved whether an adapter is loaded or not.

use super::{RankView, gemm, per_rank};
use crate::model::operator::{AdapterInput, Operator};
use crate::model::tensor::{Component, Split, Tensor, TensorClass};

/// What an adapter of one linear layer of `rows × columns` adds: `A: rank × columns`, `B: rows × rank`.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapted {
    /// Output features of the linear layer.
    pub rows: u64,
    /// Input features.
    pub columns: u64,
    /// Whether the linear layer's input is divided over ranks, and not its output.
    pub by_input: bool,
    /// Number of its block in the layer.
    pub block: usize,
    /// What the linear layer belongs to.
    pub component: Component,
    /// How the linear layer is divided.
    pub split: Split,
}

impl Adapted {
    /// The adapter of a linear layer of a block of the layer.
    pub fn of(block: usize, tensor: &Tensor) -> Adapted {
        let module = tensor.module();
        let by_input = ["o_proj", "down_proj", "out_proj", "o_b_proj"].contains(&module);
        Adapted {
            rows: tensor.rows,
            columns: tensor.columns,
            by_input,
            block,
            component: tensor.component,
            split: tensor.split,
        }
    }

    /// Whether both linear layers read the same tensor: those of a block whose input is whole and as wide.
    fn shares_input(&self, other: &Adapted) -> bool {
        !self.by_input && !other.by_input && (self.block, self.columns) == (other.block, other.columns)
    }

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

    /// Of a linear layer divided by its output, `B` is divided like it and every rank holds `A`; of one
    /// divided by its input the other way round (vLLM `lora/layers/column_parallel_linear.py`,
    /// `row_parallel_linear.py`, without `fully_sharded_loras`).
    pub(super) fn tensors(&self, out: &mut Vec<Tensor>) {
        for m in &self.modules {
            let slot = |name, rows, columns, split| Tensor {
                copies: self.slots,
                active_copies: 1,
                ..Tensor::matrix(name, rows, columns, m.component).class(TensorClass::Adapter).split(split)
            };
            let (a, b) = match m.by_input {
                true => (m.split, Split::Replicated),
                false => (Split::Replicated, m.split),
            };
            out.push(slot("lora_a", self.rank, m.columns, a));
            out.push(slot("lora_b", m.rows, self.rank, b));
        }
    }

    /// Two narrow products per linear layer and token.
    pub(super) fn operators(&self, view: &RankView, out: &mut Vec<Operator>) {
        for (i, m) in self.modules.iter().enumerate() {
            let ranks = match m.split {
                Split::Tensor { units } => view.groups.tensor.min(units),
                _ => 1,
            };
            let (rows, columns) = match m.by_input {
                true => (m.rows, per_rank(m.columns, ranks)),
                false => (per_rank(m.rows, ranks), m.columns),
            };
            let input = match m.by_input {
                true => AdapterInput::Divided,
                false if self.modules[..i].iter().any(|earlier| m.shares_input(earlier)) => {
                    AdapterInput::Shared
                }
                false => AdapterInput::Whole,
            };
            let product = |name, n, k, input| Operator {
                adapter_input: Some(input),
                ..gemm(name, m.component, n, k, view.formats.base)
            };
            out.push(product("lora_a", self.rank, columns, input));
            out.push(product("lora_b", rows, self.rank, AdapterInput::Low));
        }
    }
}
