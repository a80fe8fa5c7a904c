//! Training: memory, time of a step, and the search for the best plan.
//!
//! Everything derives from the blocks' tensors and operators; `docs/training.md` has the equations.

mod flops;
mod job;
mod layer;
mod machine;
mod memory;
mod plan;
mod stage;
mod step;

pub use flops::{Convention, TokenFlops};
pub use job::{Job, TrainingEstimate};
pub use layer::{Shape, Work};
pub use machine::Machine;
pub use memory::{Keeping, Memory};
pub use plan::{
    Offload, Optimizer, Precision, Recompute, Schedule, Sharding, Split, TensorTransfers, TrainingPlan,
    Tuning,
};
pub use stage::{Layers, Parts, Stage};
pub use step::{StepTime, Transfers};
