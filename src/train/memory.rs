//! Memory of a GPU in training: weights, gradients, optimizer, activations, and what lies beside them.

use crate::units::Bytes;

use super::layer::Work;
use super::plan::{Optimizer, Precision, Recompute, Schedule, Sharding, TrainingPlan, Tuning};
use super::stage::Stage;
use crate::catalog::framework::Framework;

/// Memory of one rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Weights that forward and backward read, gathered ones included.
    pub weights: f64,
    /// Gradients.
    pub gradients: f64,
    /// Master weights and optimizer states.
    pub optimizer: f64,
    /// Activations kept for backward, of all microbatches in flight.
    pub activations: f64,
    /// Activations that live while one layer, or the loss, is computed.
    pub transient: f64,
    /// What fragmentation loses.
    pub fragmentation: f64,
    /// Outside of the framework's allocator.
    pub outside: f64,
    /// What lies in the host's memory instead.
    pub host: f64,
}

impl Memory {
    /// What the framework's allocator holds at the peak.
    pub fn allocated(&self) -> f64 {
        self.weights + self.gradients + self.optimizer + self.activations + self.transient
    }

    /// All of it.
    pub fn total(&self) -> Bytes {
        Bytes::ceil(self.allocated() + self.fragmentation + self.outside)
    }
}

/// What all plans of a question share.
#[derive(Clone, Copy, Debug)]
pub struct Keeping<'a> {
    /// The framework.
    pub framework: &'a Framework,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Which weights are trained.
    pub tuning: Tuning,
    /// GPUs of a node.
    pub per_node: u32,
}

/// Bytes of a weight, its gradient and its states on a rank, before any of it is divided.
#[derive(Clone, Copy, Debug)]
struct PerParameter {
    weight: f64,
    frozen: f64,
    gradient: f64,
    states: f64,
}

impl Keeping<'_> {
    /// Bytes of a gradient that is summed up over microbatches.
    fn gradient_bytes(&self, precision: Precision) -> f64 {
        f64::from(gradient_bytes(self.framework, precision))
    }

    /// Whether the optimizer keeps gradients of its own in FP32.
    fn copies_gradients(&self, precision: Precision) -> bool {
        precision == Precision::Fp16 && self.framework.fp16.gradient_copies
    }

    fn per_parameter(&self, plan: &TrainingPlan) -> PerParameter {
        let working = f64::from(self.framework.working_weight_bytes);
        PerParameter {
            // Without a working copy the master weights themselves are read.
            weight: if working > 0.0 { working } else { 4.0 },
            frozen: match (self.tuning, plan.precision) {
                (Tuning::Qlora, _) => self.framework.memory.nf4.bytes(),
                (_, precision) if precision.is_wide() => 2.0,
                // Frozen weights are only ever read as products take them.
                _ => 1.0,
            },
            gradient: self.gradient_bytes(plan.precision),
            states: self.optimizer.state_bytes()
                + if working > 0.0 && self.framework.master_weights { 4.0 } else { 0.0 }
                + if self.copies_gradients(plan.precision) { 4.0 } else { 0.0 },
        }
    }

    /// Over how many ranks a rank's dense parameters, and its experts', are divided.
    pub fn shards(&self, plan: &TrainingPlan) -> (f64, f64) {
        let s = plan.split;
        let replicas = f64::from(s.dp) * f64::from(s.cp);
        let of_experts = (replicas * f64::from(s.tp) / f64::from(s.ep) / f64::from(s.expert_tp)).max(1.0);
        match plan.sharding {
            Sharding::None => (1.0, 1.0),
            Sharding::Hybrid => {
                let inside = (f64::from(self.per_node) / f64::from(s.tp)).max(1.0);
                (replicas.min(inside), of_experts.min(inside))
            }
            _ => (replicas, of_experts),
        }
    }

    /// Memory of the ranks of a stage, of a plan with `microbatches` a step.
    pub fn memory(&self, plan: &TrainingPlan, stage: &Stage, microbatches: u64) -> Memory {
        let mut memory = self.states(plan, stage);
        let work = &stage.work;
        let recompute = plan.recompute as usize;
        let in_flight = in_flight(plan, stage.first, microbatches);
        // The loss is computed and done with before the next microbatch comes.
        let outside = if stage.is_last { stage.outside.kept[recompute] } else { 0.0 };
        let kept = work.kept[recompute] - outside;
        memory.activations = kept * in_flight;
        memory.transient = outside * self.framework.memory.loss_copies;
        if plan.offload.activations {
            memory.host += memory.activations;
            // Two layers are on their way.
            memory.activations = (2.0 * stage.largest.kept[recompute]).min(memory.activations);
        }
        let again = stage.largest.kept[Recompute::None as usize] - stage.largest.kept[recompute];
        if matches!(plan.recompute, Recompute::Full | Recompute::Operators) {
            // Backward of one layer and the loss do not meet.
            memory.transient = memory.transient.max(again);
        }
        memory.gradients = self.gradients_at_peak(plan, &memory, stage, microbatches);
        // Weights and states are allocated once and for all.
        memory.fragmentation = (memory.activations + memory.transient) * self.framework.memory.fragmentation;
        memory.outside = self.framework.memory.outside.as_f64();
        memory
    }

    /// Of the gradients those that are there when a rank is fullest. Where a step is one microbatch and they have
    /// no buffers of their own, they come as activations go: either all of the one or all of the other. Those of
    /// FSDP come from another stream, which does not share what the allocator holds for the first.
    fn gradients_at_peak(
        &self,
        plan: &TrainingPlan,
        memory: &Memory,
        stage: &Stage,
        microbatches: u64,
    ) -> f64 {
        let shared = plan.sharding == Sharding::None && microbatches == 1 && plan.split.pp == 1;
        if self.framework.memory.keeps_gradients || !shared {
            return memory.gradients;
        }
        let last = stage.largest.kept[Recompute::None as usize];
        (memory.gradients + last - memory.activations - memory.transient).clamp(0.0, memory.gradients)
    }

    /// Weights that are not trained, in bytes: all in one format, or in NF4 but for those that stay in 16 bits.
    fn frozen(&self, per: PerParameter, w: &Work) -> (f64, f64) {
        let dense = w.dense - w.trained_dense;
        let wide = if self.tuning == Tuning::Qlora { w.wide.min(dense) } else { 0.0 };
        ((dense - wide) * per.frozen + wide * 2.0, (w.experts - w.trained_experts) * per.frozen)
    }

    /// What FSDP gathers, and the gradients that it reduces, beside a rank's own share.
    fn in_passing(&self, plan: &TrainingPlan, stage: &Stage, per: PerParameter) -> f64 {
        let w = &stage.work;
        let gathered = |w: &Work| {
            let (dense, experts) = self.frozen(per, w);
            dense + experts + 2.0 * (w.trained_dense + w.trained_experts)
        };
        let frozen_stay = self.tuning != Tuning::Full && self.framework.memory.keeps_gathered;
        // The gradients of a layer before they are reduced, in the type that they are reduced in.
        let reduced = if self.framework.reduces_in_16_bits { 2.0 } else { 4.0 };
        let gradients = reduced * (stage.largest.trained_dense + stage.largest.trained_experts);
        if plan.split.pp > 1 || frozen_stay {
            // A pipeline keeps what it gathered until the step ends (torchtitan's `reshard_after_forward`), or it
            // would gather it for every microbatch.
            gathered(w) + gradients
        } else {
            // The layer that computes and the one that is gathered next, or the larger end.
            (2.0 * gathered(&stage.largest) + gradients).max(gathered(&stage.outside))
        }
    }

    fn states(&self, plan: &TrainingPlan, stage: &Stage) -> Memory {
        let per = self.per_parameter(plan);
        let (dense, experts) = self.shards(plan);
        let w = &stage.work;
        let sharded = |of_dense: f64, of_experts: f64, from: Sharding| {
            let divides = plan.sharding != Sharding::None
                && (plan.sharding == Sharding::Hybrid || plan.sharding as u8 >= from as u8);
            if divides { of_dense / dense + of_experts / experts } else { of_dense + of_experts }
        };
        let copies = if plan.schedule == Schedule::DualPipe { 2.0 } else { 1.0 };
        let trained = sharded(w.trained_dense, w.trained_experts, Sharding::Parameters);
        let (dense_frozen, experts_frozen) = self.frozen(per, w);
        let frozen = sharded(dense_frozen, experts_frozen, Sharding::Parameters);
        let mut weights = (trained * per.weight + frozen) * copies;
        if matches!(plan.sharding, Sharding::Parameters | Sharding::Hybrid) {
            weights += self.in_passing(plan, stage, per);
        }
        if self.tuning == Tuning::Qlora {
            // A product takes its weight apart again.
            weights += 2.0 * w.largest_matrix;
        }
        let mut host = 0.0;
        if plan.offload.weights {
            host += (trained * per.weight + frozen) * copies;
            weights = weights.min(if plan.sharding == Sharding::Parameters {
                self.in_passing(plan, stage, per)
            } else {
                // The layer that computes and the one that comes next, or the larger end.
                let of = |w: &Work| 2.0 * (w.dense + w.experts);
                (2.0 * of(&stage.largest)).max(of(&stage.outside))
            });
        }
        let optimizer = sharded(w.trained_dense, w.trained_experts, Sharding::Optimizer) * per.states;
        if plan.offload.optimizer {
            // The host's optimizer steps over gradients of its own, in the type of the weights that it keeps.
            let gradient = if self.framework.master_weights { 4.0 } else { per.gradient };
            host += optimizer + sharded(w.trained_dense, w.trained_experts, Sharding::Optimizer) * gradient;
        }
        let follows = plan.offload.weights || self.framework.offloads.gradients;
        Memory {
            weights,
            host,
            gradients: match plan.sharding {
                // They follow to the host, where the optimizer runs: a layer's are there at a time.
                _ if follows && plan.offload.optimizer => {
                    (stage.largest.trained_dense + stage.largest.trained_experts) * per.gradient
                }
                Sharding::Parameters if plan.split.pp > 1 => {
                    (w.trained_dense + w.trained_experts) * per.gradient
                }
                _ => sharded(w.trained_dense, w.trained_experts, Sharding::Gradients) * per.gradient * copies,
            },
            optimizer: if plan.offload.optimizer { 0.0 } else { optimizer },
            ..Memory::default()
        }
    }

    /// Bytes of weights, gradients and states of all trained and frozen parameters of a rank, and of its
    /// states alone: what a checkpoint holds, and what the optimizer moves.
    pub fn optimizer_traffic(&self, plan: &TrainingPlan, stage: &Stage) -> f64 {
        let per = self.per_parameter(plan);
        let (dense, experts) = self.shards(plan);
        let w = &stage.work;
        let own = w.trained_dense / dense + w.trained_experts / experts;
        // Gradient read; master weights and states read and written; working weights written.
        let copies = if self.copies_gradients(plan.precision) { 8.0 } else { 0.0 };
        own * (per.gradient + 2.0 * (self.optimizer.state_bytes() + 4.0) + 2.0 + copies)
    }
}

/// Bytes of a gradient that a framework sums up over microbatches.
pub(super) fn gradient_bytes(framework: &Framework, precision: Precision) -> u32 {
    let half = framework.fp16.gradient_bytes.filter(|_| precision == Precision::Fp16);
    half.unwrap_or(framework.gradient_bytes)
}

/// Microbatches whose activations a stage holds at once, in units of its own layers. 1F1B: as many as stages
/// follow, itself included; interleaved: `p + (p − 1 − 2i)/v` (arXiv:2205.05198 §4.2.3 for `i = 0`).
fn in_flight(plan: &TrainingPlan, stage: u32, microbatches: u64) -> f64 {
    let (p, i, m) = (f64::from(plan.split.pp), f64::from(stage), microbatches as f64);
    let chunks = f64::from(plan.chunks);
    match plan.schedule {
        _ if plan.split.pp == 1 => 1.0,
        Schedule::DualPipe => (p + 1.0).min(2.0 * m),
        // The first stage holds 2p − 1 (arXiv:2401.10241 table 1).
        Schedule::ZeroBubble2 => (2.0 * (p - i) - 1.0).min(m),
        _ if plan.chunks > 1 => (p + (p - 1.0 - 2.0 * i) / chunks).max(1.0).min(m),
        _ => (p - i).min(m),
    }
}
