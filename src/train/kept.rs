//! What one rank keeps of a microbatch for the backward pass, operator by operator, under each recomputation.

use crate::dtype::WeightFormat;
use crate::estimate::breakdown::attention_shape;
use crate::estimate::breakdown::saved::{self, Kept, Saved};
use crate::model::Role;
use crate::model::node::{Linear, Node, Small};
use crate::model::operator::{Operator, OperatorKind};

use super::layer::{Taking, Work};
use super::machine::Times;
use super::plan::{Recompute, TensorTransfers, Tuning};

impl Taking<'_> {
    /// What an operator keeps, and what it costs to have it again.
    pub(super) fn keep(
        &self,
        work: &mut Work,
        (op, node, frozen): (&Operator, &Node, bool),
        kept: &mut Kept,
        times: Times,
    ) {
        let n = op.count as f64 / f64::from(self.shape.split.cp);
        let saved = self.saved((op, node, frozen), kept);
        let narrow = match &op.kind {
            OperatorKind::Gemm { format, .. } => self.machine.narrow(*format).is_some(),
            OperatorKind::GroupedGemm(e) => self.machine.narrow(e.format).is_some(),
            _ => false,
        };
        // Narrow products keep their input as they read it; norms and activation functions keep 16 bits.
        let width = if narrow { 0.5 } else { 1.0 };
        let gathered = match self.shape.transfers {
            TensorTransfers::Gathered => saved.gathered / self.spread(),
            _ => saved.gathered,
        };
        let lasting = (gathered + saved.divided) * width + saved.shared / self.spread();
        work.kept[Recompute::None as usize] += (lasting + saved.scores) * n;
        work.kept[Recompute::Selective as usize] += (lasting + self.outside_scores(saved.scores)) * n;
        self.keep_little(work, (op, node), lasting * n, saved.scores * n, times);
        self.keep_by_operator(work, (op, node), times);
    }

    /// What an operator keeps in 16 bits, of the whole sequence.
    fn saved(&self, (op, node, frozen): (&Operator, &Node, bool), kept: &mut Kept) -> Saved {
        let cp = f64::from(self.shape.split.cp);
        let mut saved = match (attention_shape(op, node), &op.kind) {
            (Some(shape), _) => saved::attention(&shape, &self.setting),
            (None, OperatorKind::GroupedGemm(e)) => {
                let per_row = (e.hidden + e.matrices * e.inner) as f64 * 2.0;
                Saved { divided: self.expert_rows(e.top_k as f64) * cp * per_row, ..Saved::default() }
            }
            (None, OperatorKind::Sampling { vocabulary }) => {
                let logits = 4.0 * self.step.prefill_tokens * *vocabulary as f64;
                Saved { divided: logits / f64::from(self.shape.split.tp), ..Saved::default() }
            }
            (None, _) => saved::bytes(op, node, &self.training_step(op), &self.setting, kept),
        };
        let nf4 = self.machine.framework.memory.nf4;
        let needed = self.shape.tuning == Tuning::Qlora && nf4.keeps_inputs;
        if let (true, Node::Linear(product), OperatorKind::Gemm { rows, n, .. }) =
            (frozen && !needed, node, &op.kind)
        {
            // Only the gradient of a weight needs the product's input; adapters keep theirs.
            let rows = rows.count(&self.training_step(op));
            (saved.gathered, saved.divided) = (0.0, saved::handed_on(product, *n, rows, &self.setting));
        }
        if let (true, Node::Pointwise(small)) = (self.machine.framework.memory.eager, node) {
            let more = eager_share(small.small, frozen);
            saved.shared *= 1.0 + more;
            saved.divided *= 1.0 + more;
        }
        saved
    }

    /// What checkpointing by operator keeps, and computes again.
    fn keep_by_operator(&self, work: &mut Work, (op, node): (&Operator, &Node), times: Times) {
        let tokens = self.shape.tokens();
        match &op.kind {
            OperatorKind::Gemm { n: features, format, .. } => {
                // Of those on the list every second product is kept, in 16 bits.
                let (n, listed) = (op.count as f64, listed(*format));
                work.kept[Recompute::Operators as usize] +=
                    tokens * *features as f64 * n * listed / self.product_spread(node);
                work.again[Recompute::Operators as usize] += times.forward.get() * n * (1.0 - 0.5 * listed);
            }
            OperatorKind::PrefillAttention(_) | OperatorKind::LatentPrefill(_) => {
                if let Some(s) = attention_shape(op, node) {
                    work.kept[Recompute::Operators as usize] +=
                        tokens * (s.heads * (s.value_dim * 2 + 4)) as f64 * op.count as f64;
                }
                work.attention += times.forward.get() * op.count as f64;
                if !self.setting.attention.flash {
                    work.again[Recompute::Selective as usize] += times.forward.get() * op.count as f64;
                }
            }
            _ => work.again[Recompute::Operators as usize] += times.forward.get() * op.count as f64,
        }
    }

    /// What light recomputation keeps: not what norms and activation functions hand to products, nor the
    /// queries, keys and values that latents expand to.
    fn keep_little(
        &self,
        work: &mut Work,
        (op, node): (&Operator, &Node),
        lasting: f64,
        scores: f64,
        times: Times,
    ) {
        let (kept, again) = match &op.kind {
            OperatorKind::Gemm { .. } => match node {
                Node::Linear(l) if l.reads.is_from_small_kernel() => (0.0, 0.0),
                Node::Linear(Linear { role: Role::ExpandQueries | Role::ExpandKeys, .. }) => {
                    (lasting, times.forward.get())
                }
                _ => (lasting, 0.0),
            },
            OperatorKind::GroupedGemm(e) => {
                let whole = (e.hidden + e.matrices * e.inner) as f64;
                (lasting * (whole - e.inner as f64) / whole, 0.0)
            }
            OperatorKind::LatentPrefill(_) => (0.0, 0.0),
            OperatorKind::Elementwise { .. } => (lasting, times.forward.get()),
            _ => (lasting, 0.0),
        };
        work.kept[Recompute::Light as usize] += kept + self.outside_scores(scores);
        work.again[Recompute::Light as usize] += again * op.count as f64;
    }

    /// Of scores that are computed again nothing stays; the sums of a single kernel always do.
    fn outside_scores(&self, scores: f64) -> f64 {
        if self.setting.attention.flash { scores } else { 0.0 }
    }

    /// Products whose output is summed over tensor-parallel ranks leave a part of the sequence on each.
    fn product_spread(&self, node: &Node) -> f64 {
        let added = matches!(node, Node::Linear(Linear { role: Role::Return, .. }));
        if added { self.spread() } else { 1.0 }
    }
}

/// Share of a format's products that checkpointing by operator finds on its list. Those in NVFP4 are operators of
/// their own that are not on it; the last 15 % of the layers stay in BF16 (arXiv:2509.25149 §4.1).
fn listed(format: WeightFormat) -> f64 {
    if format == WeightFormat::Nvfp4 { 0.15 } else { 1.0 }
}

/// What kernels that run one by one keep more than fused ones, as a share. A norm keeps its input in FP32, and its
/// normalised input too where its weight is trained; a gated activation function keeps what it makes of the gate.
fn eager_share(small: Small, frozen: bool) -> f64 {
    match small {
        Small::AddNorm | Small::Norm if frozen => 1.0,
        Small::AddNorm | Small::Norm => 2.0,
        Small::GatedActivation => 0.5,
        Small::Activation | Small::Gate | Small::Choice | Small::Linear => 0.0,
    }
}
