//! What of a plan may lie in the host's memory: what its framework can leave there, and where the GPU has its own.

use crate::catalog::framework::{Divided, Left, Offloads};

use super::plan::{Offload, Recompute, Sharding, TrainingPlan};
use super::reason::{Misfit, OffloadLack, Offloaded};

/// Why a framework does not leave in the host's memory what a plan says; nothing where it does.
pub fn offload_misfit(can: &Offloads, plan: &TrainingPlan) -> Option<Misfit> {
    let Offload { weights, optimizer, activations } = plan.offload;
    let lacks = |what, lacks| Some(Misfit::Offload { what, lacks });
    for (asked, what, under) in
        [(weights, Offloaded::Weights, &can.weights), (optimizer, Offloaded::Optimizer, &can.optimizer)]
    {
        if !asked {
            continue;
        }
        if under.is_empty() {
            return lacks(what, OffloadLack::Everywhere);
        }
        if !divides_so(can, plan, under) {
            return lacks(what, OffloadLack::Sharding { fits: fitting(under) });
        }
    }
    if can.together && weights != optimizer {
        let what = if weights { Offloaded::Weights } else { Offloaded::Optimizer };
        return lacks(what, OffloadLack::Together);
    }
    if !activations {
        return None;
    }
    let what = Offloaded::Activations;
    if can.activations.is_empty() {
        return lacks(what, OffloadLack::Everywhere);
    }
    let left = match plan.recompute {
        Recompute::None => Left::All,
        Recompute::Full => Left::Inputs,
        _ => Left::Some,
    };
    if !can.activations.contains(&left) {
        return lacks(what, OffloadLack::Recompute);
    }
    if plan.split.pp > 1 && !can.pipelines { lacks(what, OffloadLack::SingleStage) } else { None }
}

/// Whether a framework can leave all that is named in the host's memory in some plan, on one GPU or on several.
pub fn offloads_all(can: &Offloads, asked: &[Offload], gpus: u32) -> bool {
    let (weights, optimizer) = (asked.iter().any(|o| o.weights), asked.iter().any(|o| o.optimizer));
    let together = !can.together || weights == optimizer;
    together
        && asked.iter().all(|o| {
            let states =
                |asked: bool, under: &[Divided]| !asked || !under.is_empty() && (gpus > 1 || can.alone);
            states(o.weights, &can.weights)
                && states(o.optimizer, &can.optimizer)
                && (!o.activations || !can.activations.is_empty())
        })
}

fn divides_so(can: &Offloads, plan: &TrainingPlan, under: &[Divided]) -> bool {
    let single = plan.split.dp == 1 && plan.split.cp == 1;
    single && can.alone || under.iter().any(|d| d.name() == plan.sharding.name())
}

fn fitting(under: &[Divided]) -> [bool; 5] {
    let fits = |s: &Sharding| under.iter().any(|d| d.name() == s.name());
    std::array::from_fn(|i| Sharding::ALL.get(i).is_some_and(fits))
}
