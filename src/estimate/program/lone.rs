//! One operator outside a step.

use crate::estimate::Basis;
use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::Kernels;
use crate::model::operator::{Operator, OperatorKind, Step};
use crate::model::tensor::Component;
use crate::units::Seconds;

use super::instruction::{Instruction, Timer};
use super::resolved::resolve_kernel;

/// One operator outside a step, for comparison with measurements of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lone(Instruction);

impl Lone {
    /// An operator that stays on its rank.
    pub fn kernel(kernels: &Kernels, kind: OperatorKind) -> Lone {
        Lone::new(kernels, kind, resolve_kernel(kernels, &kind), None)
    }

    /// A collective over `ranks` of the GPU's usual server.
    pub fn collective(kernels: &Kernels, kind: OperatorKind, timer: CollectiveTimer, ranks: u32) -> Lone {
        Lone::new(kernels, kind, (Timer::Collective(timer), timer.fitted), Some(ranks))
    }

    fn new(
        kernels: &Kernels,
        kind: OperatorKind,
        (timer, fitted): (Timer, bool),
        ranks: Option<u32>,
    ) -> Lone {
        let form = |kind: &OperatorKind, step: &Step| timer.alone(kind, step).time;
        let tables = kernels.measured.as_ref();
        let measured = tables.and_then(|tables| tables.surface(&kind, &kernels.setting(ranks), form));
        let operator = Operator::new("", Component::Other, kind);
        Lone(Instruction { measured, ..Instruction::plain(operator, (timer, fitted)) })
    }

    /// Its time in a step, and what that rests on.
    pub fn time(&self, step: &Step) -> (Seconds, Basis) {
        let (kernel, basis) = self.0.time(step);
        (kernel.time, basis)
    }
}
