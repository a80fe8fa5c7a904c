//! One operator with its kernel resolved.

use std::sync::Arc;

use crate::catalog::kernels::{DecodeAttention, PrefillAttention};
use crate::estimate::collectives::CollectiveTimer;
use crate::estimate::kernels::{
    AttentionKernel, ExpertsKernel, GemmKernel, KernelTime, ScanKernel, SmallKernelTimer,
};
use crate::estimate::measured::Surface;
use crate::estimate::stages::Part;
use crate::estimate::{Basis, Bound};
use crate::model::operator::{CollectiveKind, Operator, OperatorKind, Rows, Step};
use crate::model::tensor::Component;
use crate::units::Seconds;

use super::recall::Varies;

/// The resolved kernel of an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Timer {
    Gemm(GemmKernel),
    Small(SmallKernelTimer),
    Experts(ExpertsKernel),
    Prefill(AttentionKernel<PrefillAttention>),
    Decode(AttentionKernel<DecodeAttention>),
    Scan(ScanKernel),
    Collective(CollectiveTimer),
}

impl Timer {
    /// Its launch floor inside a CUDA graph.
    pub(super) fn launch(&self) -> Seconds {
        match self {
            Timer::Gemm(kernel) => kernel.launch(),
            Timer::Experts(kernel) => kernel.launch(),
            Timer::Prefill(kernel) => kernel.form().launch,
            Timer::Decode(kernel) => kernel.form().launch,
            Timer::Small(_) | Timer::Scan(_) | Timer::Collective(_) => Seconds::ZERO,
        }
    }
}

/// What attention to the tokens that an indexer chooses takes at least.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Chosen {
    /// For each token of a prompt or a decoding sequence.
    pub(super) token: Seconds,
    /// Tokens up to which prompts are computed densely.
    pub(super) dense: f64,
}

impl Chosen {
    fn least(&self, kind: &OperatorKind, step: &Step) -> Seconds {
        if self.token <= Seconds::ZERO {
            return Seconds::ZERO;
        }
        let longest = step.prefill_tokens / step.prefill_sequences.max(1.0) + step.prefill_prior;
        match kind {
            OperatorKind::LatentPrefill(_) if longest > self.dense => self.token * step.prefill_tokens,
            OperatorKind::LatentDecode(_) => self.token * step.decode_tokens(),
            _ => Seconds::ZERO,
        }
    }
}

/// An operator with its kernel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instruction {
    pub(super) operator: Operator,
    pub(super) timer: Timer,
    pub(super) fitted: bool,
    /// What its launch costs more outside a CUDA graph.
    pub(super) eager: Seconds,
    /// Floor per cached token of a decoding sequence, where query heads do not share their KV head.
    pub(super) unshared: Seconds,
    /// Floor per cached token of a decoding sequence in a step that holds prompts, where one kernel computes both.
    pub(super) mixed: Seconds,
    /// Attention to chosen tokens.
    pub(super) chosen: Chosen,
    /// Most tokens of a step in which it runs beside others.
    pub(super) beside: f64,
    /// What was measured of it, if anything.
    pub(super) measured: Option<Arc<Surface>>,
    /// Where it stands in the model.
    pub(super) part: Part,
    /// Which kind of card it runs on, by its place among those of the replica.
    pub(super) kind: usize,
    /// Which of the distinct ones it is.
    pub(super) class: usize,
}

impl Instruction {
    /// An operator by its kernel alone, before the layers, with nothing that engine and launch do to it.
    pub(super) fn plain(operator: Operator, (timer, fitted): (Timer, bool)) -> Instruction {
        Instruction {
            operator,
            timer,
            fitted,
            eager: Seconds::ZERO,
            unshared: Seconds::ZERO,
            mixed: Seconds::ZERO,
            chosen: Chosen::default(),
            beside: 0.0,
            measured: None,
            part: Part::Before,
            kind: 0,
            class: 0,
        }
    }

    /// Whether another takes the same time in every step.
    pub(super) fn takes_as_long_as(&self, other: &Instruction) -> bool {
        let measured = match (&self.measured, &other.measured) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        measured
            && self.operator.kind == other.operator.kind
            && self.timer == other.timer
            && (self.fitted, self.eager, self.unshared, self.mixed, self.chosen, self.beside, self.kind)
                == (
                    other.fitted,
                    other.eager,
                    other.unshared,
                    other.mixed,
                    other.chosen,
                    other.beside,
                    other.kind,
                )
    }

    /// What of a step its time depends on.
    pub(super) fn varies(&self) -> Varies {
        let by_rows = |rows: Rows| match rows {
            Rows::Tokens => Varies::Tokens,
            // Whether it runs beside others is a matter of all tokens.
            Rows::Emitting if self.beside <= 0.0 => Varies::Emitting,
            _ => Varies::Step,
        };
        match self.operator.kind {
            OperatorKind::DecodeAttention(_) | OperatorKind::LatentDecode(_) => Varies::Context,
            _ if self.measured.is_some() => Varies::Step,
            OperatorKind::Gemm { rows, .. }
            | OperatorKind::BatchedGemm { rows, .. }
            | OperatorKind::Elementwise { rows, .. }
            | OperatorKind::Collective { rows, .. } => by_rows(rows),
            OperatorKind::GroupedGemm(_) | OperatorKind::Embedding { .. } => by_rows(Rows::Tokens),
            OperatorKind::Sampling { .. } => by_rows(Rows::Emitting),
            OperatorKind::PrefillAttention(_) | OperatorKind::LatentPrefill(_) | OperatorKind::Scan(_) => {
                Varies::Step
            }
        }
    }

    /// Whether it exchanges tokens with their experts.
    pub(super) fn exchanges(&self) -> bool {
        matches!(self.operator.kind, OperatorKind::Collective { kind: CollectiveKind::AllToAll, .. })
    }

    /// One execution, and what its time rests on. Inlined with what it calls so that the figures stay in registers:
    /// reading them back from a structure that was just written costs as much as a power.
    #[inline(always)]
    pub(super) fn time(&self, step: &Step) -> (KernelTime, Basis) {
        let kernel = self.timer.time(&self.operator, step);
        match &self.measured {
            // Measured times are taken at their word.
            Some(surface) if kernel.time > Seconds::ZERO => {
                let form = |kind: &OperatorKind, step: &Step| self.timer.alone(kind, step).time;
                let (time, inside) = surface.time(&self.operator.kind, step, kernel.time, form);
                (KernelTime { time, ..kernel }, if inside { Basis::Measured } else { Basis::Scaled })
            }
            _ => {
                // Outside the range of its fit a form follows the physics, but no measurement stands behind it.
                let fitted = self.fitted && !kernel.extrapolated;
                (self.in_engine(kernel, step), if fitted { Basis::Fitted } else { Basis::Default })
            }
        }
    }

    /// What the engine makes of a kernel. Steps that only decode replay a CUDA graph; those with prompts are
    /// launched kernel by kernel.
    #[inline(always)]
    fn in_engine(&self, mut kernel: KernelTime, step: &Step) -> KernelTime {
        if let OperatorKind::DecodeAttention(a) = &self.operator.kind {
            let keys = a.seen(step.context);
            let each = if step.prefill_tokens > 0.0 { self.unshared.max(self.mixed) } else { self.unshared };
            kernel.time = kernel.time.max(each * (step.decode_sequences * keys));
        }
        kernel.time = kernel.time.max(self.chosen.least(&self.operator.kind, step));
        if step.prefill_tokens > 0.0 {
            if kernel.time > Seconds::ZERO {
                kernel.time += self.eager;
            }
        } else if step.tokens() <= self.beside {
            // Its latency hides behind the experts; what it reads and computes is taken from them.
            (kernel.time, kernel.bound) = (kernel.compute.max(kernel.memory), Bound::Beside);
        }
        kernel
    }
}

impl Timer {
    /// The analytical form of an operator of any shape.
    pub(super) fn alone(&self, kind: &OperatorKind, step: &Step) -> KernelTime {
        self.time(&Operator::new("", Component::Other, *kind), step)
    }

    /// The analytical form.
    #[inline]
    pub(super) fn time(&self, op: &Operator, step: &Step) -> KernelTime {
        match (&op.kind, self) {
            (OperatorKind::PrefillAttention(_) | OperatorKind::LatentPrefill(_), _)
                if step.prefill_tokens <= 0.0 =>
            {
                KernelTime::NONE
            }
            (OperatorKind::Gemm { rows, n, k, .. }, Timer::Gemm(kernel)) => {
                kernel.time(rows.count(step), *n as f64, *k as f64)
            }
            (OperatorKind::GroupedGemm(e), Timer::Experts(kernel)) => kernel.time(e, step),
            (OperatorKind::PrefillAttention(a), Timer::Prefill(kernel)) => {
                kernel.time(a, op.flops(step), op.traffic(step), step)
            }
            (OperatorKind::DecodeAttention(a), Timer::Decode(kernel)) => {
                kernel.time(a, op.traffic(step), step)
            }
            (OperatorKind::LatentPrefill(l), Timer::Prefill(kernel)) => {
                kernel.latent_time(l, op.flops(step), op.traffic(step), step)
            }
            (OperatorKind::LatentDecode(l), Timer::Decode(kernel)) => {
                kernel.latent_time(l, op.traffic(step), step)
            }
            (OperatorKind::Elementwise { kernels, .. }, Timer::Small(kernel)) => {
                kernel.time(*kernels as f64, op.flops(step), op.traffic(step))
            }
            (OperatorKind::Scan(s), Timer::Scan(kernel)) => kernel.time(s, step),
            (_, Timer::Small(kernel)) => kernel.time(1.0, op.flops(step), op.traffic(step)),
            (_, Timer::Collective(timer)) => KernelTime {
                extrapolated: timer.extrapolates(op.traffic(step)),
                ..KernelTime::idle(timer.time(op.traffic(step)), Bound::Network)
            },
            _ => KernelTime::NONE,
        }
    }
}
