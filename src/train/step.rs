//! Time of one training step.

use crate::model::operator::CollectiveKind;
use crate::units::Seconds;

use super::layer::Work;
use super::machine::Machine;
use super::memory::{Keeping, gradient_bytes};
use super::plan::{Recompute, Schedule, Sharding, TensorHiding, TrainingPlan};
use super::stage::Stage;

/// Where the time of a step goes, on the slowest stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// The whole step.
    pub total: f64,
    /// Forward and backward of all microbatches.
    pub compute: f64,
    /// What is computed again.
    pub again: f64,
    /// Waiting for the first and the last microbatch.
    pub bubble: f64,
    /// Tensor-parallel transfers that are not hidden.
    pub tensor: f64,
    /// Context-parallel ones.
    pub context: f64,
    /// Those of experts' tokens.
    pub expert: f64,
    /// Hand-offs between stages.
    pub pipeline: f64,
    /// Gradients and parameters.
    pub data: f64,
    /// Waiting for the host to launch kernels.
    pub host: f64,
    /// The optimizer, and what is offloaded.
    pub optimizer: f64,
    /// The rest: data, logs.
    pub other: f64,
}

impl StepTime {
    /// The step.
    pub fn total(&self) -> Seconds {
        Seconds::new(self.total)
    }

    /// Transfers that are not hidden.
    pub fn exposed(&self) -> f64 {
        self.tensor + self.context + self.expert + self.pipeline + self.data
    }
}

/// Times of the transfers between data-parallel ranks and between stages, for one split and microbatch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Transfers {
    /// Gathering the parameters of the fullest stage, over all data-parallel ranks.
    pub gather: f64,
    /// Gathering those that are trained.
    pub refresh: f64,
    /// Reducing and scattering its gradients.
    pub scatter: f64,
    /// Gathering parameters inside nodes, for hybrid sharding.
    pub gather_inside: f64,
    /// Reducing and scattering gradients inside nodes, for hybrid sharding.
    pub scatter_inside: f64,
    /// Adding up gradients between nodes.
    pub reduce_across: f64,
    /// One hand-off between stages.
    pub hop: f64,
}

impl Transfers {
    /// Of a plan's split, for the stage with most parameters.
    pub fn of(machine: &Machine, plan: &TrainingPlan, fullest: &Work, hop_bytes: f64) -> Transfers {
        let s = plan.split;
        let (tp, stage) = (u64::from(s.tp), s.stage_ranks());
        let replicas = u64::from(s.dp) * u64::from(s.cp);
        let expert_shard = u64::from(s.ep) * u64::from(s.expert_tp);
        let expert_replicas = (stage / expert_shard.max(1)).max(1);
        let framework = machine.framework;
        let grad = if framework.reduces_in_16_bits {
            2.0
        } else {
            f64::from(gradient_bytes(framework, plan.precision))
        };
        let all = (fullest.dense, fullest.experts);
        let trained = (fullest.trained_dense, fullest.trained_experts);
        let time = |kind, (of_dense, of_experts): (f64, f64), bytes: f64, inside: bool| {
            let size = |n: u64, stride: u64| {
                if inside { n.min((u64::from(machine.per_node()) / stride).max(1)) } else { n }
            };
            let network = plan.networks.data;
            let dense = machine.group_on(network, size(replicas, tp), tp);
            let experts = machine.group_on(network, size(expert_replicas, expert_shard), expert_shard);
            let one = |group, n: f64| machine.collective(kind, group, n * bytes).get();
            one(dense, of_dense) + one(experts, of_experts)
        };
        let nodes = (stage / u64::from(machine.per_node())).max(1);
        let across = machine.group(nodes, u64::from(machine.per_node()));
        let shard = (fullest.trained_dense + fullest.trained_experts)
            / (f64::from(machine.per_node()) / tp as f64).max(1.0);
        Transfers {
            gather: time(CollectiveKind::AllGather, all, 2.0, false),
            refresh: time(CollectiveKind::AllGather, trained, 2.0, false),
            scatter: time(CollectiveKind::ReduceScatter, trained, grad, false),
            gather_inside: time(CollectiveKind::AllGather, all, 2.0, true),
            scatter_inside: time(CollectiveKind::ReduceScatter, trained, grad, true),
            reduce_across: machine.collective(CollectiveKind::AllReduce, across, shard * grad).get(),
            hop: if s.pp > 1 {
                machine.hand_off(plan.networks.pipeline, stage, hop_bytes).get()
            } else {
                0.0
            },
        }
    }
}

/// What compute does not hide of a transfer of which it can hide `share`, if it lasts `room`; what it hides
/// still costs `contention`.
fn exposed(transfer: f64, room: f64, share: f64, contention: f64) -> f64 {
    let hidden = (transfer * share).min(room.max(0.0));
    transfer - hidden * (1.0 - contention)
}

/// One microbatch on a stage.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    forward: f64,
    backward: f64,
    weight: f64,
    again: f64,
    tensor: f64,
    context: f64,
    expert: f64,
    data: f64,
    /// What the GPU waits for the host.
    waits: f64,
}

/// Which shares of transfers a plan hides.
#[derive(Clone, Copy, Debug)]
struct Overlap {
    tensor: f64,
    expert: f64,
    data: f64,
    pipeline: f64,
    contention: f64,
}

impl Overlap {
    fn of(machine: &Machine, plan: &TrainingPlan) -> Overlap {
        let t = &machine.framework.time;
        let share = |x: f64| if plan.hiding.data { x } else { 0.0 };
        let tensor = match plan.hiding.tensor {
            TensorHiding::None => 0.0,
            // The first half has nothing to hide behind.
            TensorHiding::Pipe => t.tensor_overlap.min(0.5),
            TensorHiding::Ring => t.tensor_overlap.min(1.0 - 1.0 / f64::from(plan.split.tp)),
        };
        // Forward of one microbatch runs beside backward of another: each hides the other's exchange, all of it
        // if it is short enough (arXiv:2412.19437 §3.2.1).
        let expert = if plan.schedule == Schedule::DualPipe { 1.0 } else { share(t.expert_overlap) };
        Overlap {
            tensor,
            expert,
            data: share(t.data_overlap),
            pipeline: share(t.pipeline_overlap),
            contention: t.contention,
        }
    }
}

impl Slot {
    fn of(work: &Work, plan: &TrainingPlan, o: &Overlap, transfers: &Transfers) -> Slot {
        let c = o.contention;
        let tensor = exposed(work.tensor, work.forward, o.tensor, c);
        let gather = exposed(work.gather, work.weight, o.tensor, c);
        // Keys and values travel while attention computes; backward they and their gradients do.
        let context = exposed(work.context, work.attention, 1.0, c);
        let context_back = exposed(2.0 * work.context, 2.5 * work.attention, 1.0, c);
        let room = match plan.schedule {
            // The other microbatch runs backward beside this one's forward, and the reverse.
            Schedule::DualPipe => (work.forward + work.input + work.weight) / 2.0,
            _ => work.forward,
        };
        let expert = exposed(work.expert, room, o.expert, c);
        let again = work.again[plan.recompute as usize];
        let full = plan.recompute == Recompute::Full;
        let twice = if full { 2.0 } else { 1.0 };
        let mut slot = Slot {
            forward: work.forward + tensor + context + expert,
            backward: work.input
                + work.weight
                + again
                + tensor * twice
                + gather
                + context_back
                + expert * twice
                + if full { context } else { 0.0 },
            weight: work.weight,
            again,
            tensor: tensor * (1.0 + twice) + gather,
            context: context + context_back,
            expert: expert * (1.0 + twice),
            data: 0.0,
            waits: 0.0,
        };
        let host = work.host * if full { 4.0 / 3.0 } else { 1.0 };
        slot.waits = (host - slot.forward - slot.backward).max(0.0);
        slot.forward += slot.waits / 3.0;
        slot.backward += slot.waits * 2.0 / 3.0;
        let (gather, scatter) = match plan.sharding {
            Sharding::Parameters => (transfers.gather, transfers.scatter),
            Sharding::Hybrid => (transfers.gather_inside, transfers.scatter_inside),
            _ => return slot,
        };
        let forward = exposed(gather, slot.forward, o.data, c);
        let backward = exposed(gather + scatter, slot.backward, o.data, c);
        slot.forward += forward;
        slot.backward += backward;
        slot.data = forward + backward;
        slot
    }

    fn total(&self) -> f64 {
        self.forward + self.backward
    }
}

/// Time of a step of `microbatches` through the stages.
pub fn time(
    machine: &Machine,
    keeping: &Keeping,
    plan: &TrainingPlan,
    stages: &[Stage],
    transfers: &Transfers,
    microbatches: u64,
) -> StepTime {
    let o = Overlap::of(machine, plan);
    let m = microbatches as f64;
    let mut slowest = (Slot::default(), 0usize);
    let mut ramp = 0.0;
    for (i, stage) in stages.iter().enumerate() {
        let slot = Slot::of(&stage.work, plan, &o, transfers);
        if slot.total() > slowest.0.total() {
            slowest = (slot, i);
        }
        ramp += ramp_of(&slot, plan) * f64::from(stage.count);
    }
    let (slot, at) = slowest;
    let p = f64::from(plan.split.pp);
    let bubble = match plan.schedule {
        Schedule::DualPipe => ((p / 2.0 - 1.0) * ramp / p).max(0.0),
        _ => (ramp - ramp_of(&slot, plan)).max(0.0) / f64::from(plan.chunks),
    };
    let hops = if plan.split.pp > 1 {
        let steady = 2.0 * transfers.hop * m * f64::from(plan.chunks);
        exposed(steady, f64::INFINITY, o.pipeline, 0.0) + 2.0 * transfers.hop * (p - 1.0)
    } else {
        0.0
    };
    let data = between_replicas(plan, &o, transfers, &slot);
    let optimizer = optimizer(machine, keeping, plan, &stages[at], &slot, m);
    let other = machine.framework.time.step.get();
    let data_total = slot.data * m + data;
    StepTime {
        total: slot.total() * m + bubble + hops + data + optimizer + other,
        compute: (slot.total()
            - slot.tensor
            - slot.context
            - slot.expert
            - slot.data
            - slot.again
            - slot.waits)
            * m,
        host: slot.waits * m,
        again: slot.again * m,
        bubble,
        tensor: slot.tensor * m,
        context: slot.context * m,
        expert: slot.expert * m,
        pipeline: hops,
        data: data_total,
        optimizer,
        other,
    }
}

/// What a stage adds to the filling and draining of the pipeline.
fn ramp_of(slot: &Slot, plan: &TrainingPlan) -> f64 {
    match plan.schedule {
        Schedule::OneForwardOneBackward => slot.total(),
        // T_F + T_B − T_W, T_B being the gradient of inputs alone (arXiv:2401.10241 table 1).
        Schedule::ZeroBubble => (slot.total() - 2.0 * slot.weight).max(0.0),
        // T_F + T_B − 2·T_W.
        Schedule::ZeroBubble2 => (slot.total() - 3.0 * slot.weight).max(0.0),
        // F&B + B − 3W (arXiv:2412.19437 table 2).
        Schedule::DualPipe => (slot.total() + slot.backward - 3.0 * slot.weight).max(0.0),
    }
}

/// Gradients and parameters between data-parallel ranks, once a step: gradients behind the last backward,
/// parameters behind the first forward.
fn between_replicas(plan: &TrainingPlan, o: &Overlap, t: &Transfers, slot: &Slot) -> f64 {
    let c = o.contention;
    let behind_backward = |x: f64| exposed(x, slot.backward * o.data, o.data, c);
    match plan.sharding {
        // An all-reduce is both halves.
        Sharding::None => behind_backward(2.0 * t.scatter),
        Sharding::Optimizer | Sharding::Gradients => {
            behind_backward(t.scatter) + exposed(t.refresh, slot.forward * o.data, o.data, c)
        }
        Sharding::Parameters => 0.0,
        Sharding::Hybrid => behind_backward(t.reduce_across),
    }
}

/// The optimizer's pass over memory, and what goes to the host and back.
fn optimizer(
    machine: &Machine,
    keeping: &Keeping,
    plan: &TrainingPlan,
    stage: &Stage,
    slot: &Slot,
    microbatches: f64,
) -> f64 {
    let bytes = keeping.optimizer_traffic(plan, stage);
    let host = machine.host_link().get();
    let mut time = machine.sweep(bytes).get();
    if plan.offload.optimizer {
        // Gradients down, weights up: 16 bits each. The host's own pass is as fast as its memory; of a host that nothing is
        // known of as twice its link.
        let (dense, experts) = keeping.shards(plan);
        let own = stage.work.trained_dense / dense + stage.work.trained_experts / experts;
        let memory = machine.host_bandwidth().map_or(2.0 * host, |b| b.get());
        time = own * 4.0 / host + bytes / memory;
    }
    if plan.offload.weights {
        // Down the link for forward and again for backward.
        let bytes = 2.0 * (stage.work.dense + stage.work.experts);
        let each =
            exposed(bytes / host, slot.forward, 1.0, 0.0) + exposed(bytes / host, slot.backward, 1.0, 0.0);
        time += each * microbatches;
    }
    if plan.offload.activations {
        let bytes = stage.work.kept[plan.recompute as usize];
        let each =
            exposed(bytes / host, slot.forward, 1.0, 0.0) + exposed(bytes / host, slot.backward, 1.0, 0.0);
        time += each * microbatches;
    }
    time
}
