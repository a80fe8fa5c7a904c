//! Training: memory, time of a step, and the search for the best plan.
//!
//! Everything derives from the blocks' tensors and operators; `docs/training.md` has the equations.

mod degrees;
mod flops;
mod job;
mod kept;
mod layer;
mod machine;
mod memory;
mod offload;
mod plan;
mod reason;
mod rules;
mod run;
mod search;
mod space;
mod stage;
mod step;
mod way;

pub use flops::{Convention, TokenFlops};
pub use job::{Job, TrainingEstimate};
pub use layer::{Shape, Work};
pub use machine::Machine;
pub use memory::{Keeping, Memory};
pub use offload::{offload_misfit, offloads_all};
pub use plan::{
    Hiding, Network, Networks, Offload, Optimizer, Precision, Recompute, Schedule, Sharding, Split,
    TensorHiding, TensorTransfers, TrainingPlan, Tuning,
};
pub use reason::{Misfit, OffloadLack, Offloaded, Rejected};
pub use run::{Operations, Run};
pub use search::{TrainingAnswer, TrainingQuestion};
pub use space::{Inner, Outer, TrainingAxes};
pub use stage::{Layers, Parts, Stage};
pub use step::{StepTime, Transfers};
pub use way::Way;
