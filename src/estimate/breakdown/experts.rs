//! Routed experts, dropless or with a capacity.

use super::{Routing, Setting};
use crate::model::Step;
use crate::model::operator::{ExpertsShape, Operator, TrafficParts};
use crate::units::{Flops, Traffic};

/// Rows that the experts of a layer compute: what is routed, or every expert's capacity,
/// `⌈factor · tokens · top_k / experts⌉` (GShard, arXiv:2006.16668 §2.2; Switch, arXiv:2101.03961 §2.2).
pub(super) fn rows(e: &ExpertsShape, step: &Step, routing: Routing) -> f64 {
    let routed = e.local_rows(step);
    match routing {
        Routing::Dropless => routed,
        Routing::Capacity(factor) => e.local_experts() * (factor * routed / e.local_experts()).ceil(),
    }
}

/// FLOPs and traffic of one layer's experts. With a capacity every expert runs, so all weights are read.
pub(super) fn work(op: &Operator, e: &ExpertsShape, step: &Step, setting: &Setting) -> (Flops, TrafficParts) {
    match setting.routing {
        Routing::Dropless => (op.flops(step), op.traffic_parts(step, setting.activations)),
        Routing::Capacity(_) => {
            let rows = rows(e, step, setting.routing);
            let flops = 2.0 * rows * (e.matrices * e.hidden * e.inner) as f64;
            let moved = TrafficParts {
                weights: Traffic::new(e.local_experts() * e.expert_bytes()),
                activations: Traffic::new(rows * e.elements_per_row() * setting.activations.bytes()),
                cache: Traffic::ZERO,
            };
            (Flops::new(flops), moved)
        }
    }
}
