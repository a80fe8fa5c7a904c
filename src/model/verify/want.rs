//! Tensors that a checkpoint should hold.

use crate::model::quantisation::Storage;
use crate::model::tensor::Tensor;

/// A tensor that the model has by our table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Want {
    pub name: String,
    pub rows: u64,
    pub columns: u64,
    pub copies: u64,
    pub storage: Storage,
}

impl Want {
    pub fn new(tensor: &Tensor, storage: Storage) -> Want {
        let (rows, columns, copies) = (tensor.rows, tensor.columns, tensor.copies);
        Want { name: tensor.name.to_string(), rows, columns, copies, storage }
    }

    /// Parameters in all copies. The model was counted when it was built, so they fit.
    pub fn total(&self) -> u64 {
        self.rows.saturating_mul(self.columns).saturating_mul(self.copies)
    }

    pub fn shape(&self) -> String {
        let one = if self.columns == 1 {
            format!("{}", self.rows)
        } else {
            format!("{} × {}", self.rows, self.columns)
        };
        if self.copies == 1 { one } else { format!("{} of {one}", self.copies) }
    }
}
