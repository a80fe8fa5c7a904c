//! What one rank does and keeps for one microbatch in one layer, summed over the operators of its blocks.

use std::ops::{AddAssign, Mul};

use crate::dtype::{DType, WeightFormat};
use crate::estimate::breakdown::saved::Kept;
use crate::estimate::breakdown::{
    AttentionKernels, Mode, Routing, Setting, attention_shape, is_of_decoding, stored,
};
use crate::model::blocks::{Block, RankView};
use crate::model::node::{Node, Region, Transfer};
use crate::model::operator::{CollectiveKind, Operator, OperatorKind, Rows, Step};
use crate::model::{Formats, RankGroups, Tensor, TensorClass};
use crate::plan::GroupLink;

use super::machine::{Machine, Times};
use super::plan::{Network, Recompute, Split, TensorTransfers, Tuning};

/// Kinds of recomputation.
pub const KINDS: usize = Recompute::ALL.len();

/// What decides the work of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// The split; of it the tensor, context and expert ranks matter.
    pub split: Split,
    /// Sequences of a microbatch.
    pub micro_batch: u32,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// How tensor-parallel ranks exchange.
    pub transfers: TensorTransfers,
    /// Which weights are trained.
    pub tuning: Tuning,
    /// Which network tensor-parallel ranks use.
    pub network: Network,
}

impl Shape {
    pub(super) fn tokens(&self) -> f64 {
        f64::from(self.micro_batch) * self.sequence as f64 / f64::from(self.split.cp)
    }

    /// Ranks over which what lies between the tensor-parallel regions is divided.
    pub fn sequence_ranks(&self) -> f64 {
        if self.transfers == TensorTransfers::AllReduce { 1.0 } else { f64::from(self.split.tp) }
    }
}

/// Work of one microbatch. Times are in seconds, sizes in bytes, parameters are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Forward, without transfers.
    pub forward: f64,
    /// Gradients of inputs.
    pub input: f64,
    /// Gradients of weights.
    pub weight: f64,
    /// What backward computes again, by [`Recompute`], without transfers.
    pub again: [f64; KINDS],
    /// Transfers of tensor-parallel ranks, forward; as many backward.
    pub tensor: f64,
    /// Transfers that gather inputs again.
    pub gather: f64,
    /// Transfers of keys and values between context-parallel ranks, forward.
    pub context: f64,
    /// Attention forward, which hides those.
    pub attention: f64,
    /// Transfers of experts' tokens, forward; as many backward.
    pub expert: f64,
    /// What the host takes to launch it all, forward and backward.
    pub host: f64,
    /// Bytes kept for backward, by [`Recompute`].
    pub kept: [f64; KINDS],
    /// Parameters outside of the experts.
    pub dense: f64,
    /// Parameters of the experts.
    pub experts: f64,
    /// Of both, those that are trained.
    pub trained_dense: f64,
    /// Of both, those that are trained.
    pub trained_experts: f64,
    /// Of the frozen ones outside of the experts, those that stay in 16 bits beside weights in NF4.
    pub wide: f64,
    /// Of the largest weight matrix.
    pub largest_matrix: f64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, o: Work) {
        self.forward += o.forward;
        self.input += o.input;
        self.weight += o.weight;
        self.tensor += o.tensor;
        self.gather += o.gather;
        self.context += o.context;
        self.attention += o.attention;
        self.expert += o.expert;
        self.host += o.host;
        self.dense += o.dense;
        self.experts += o.experts;
        self.trained_dense += o.trained_dense;
        self.trained_experts += o.trained_experts;
        self.wide += o.wide;
        self.largest_matrix = self.largest_matrix.max(o.largest_matrix);
        for i in 0..KINDS {
            self.again[i] += o.again[i];
            self.kept[i] += o.kept[i];
        }
    }
}

impl Mul<f64> for Work {
    type Output = Work;
    fn mul(self, n: f64) -> Work {
        Work {
            forward: self.forward * n,
            input: self.input * n,
            weight: self.weight * n,
            again: self.again.map(|x| x * n),
            tensor: self.tensor * n,
            gather: self.gather * n,
            context: self.context * n,
            attention: self.attention * n,
            expert: self.expert * n,
            host: self.host * n,
            kept: self.kept.map(|x| x * n),
            dense: self.dense * n,
            experts: self.experts * n,
            trained_dense: self.trained_dense * n,
            trained_experts: self.trained_experts * n,
            wide: self.wide * n,
            largest_matrix: self.largest_matrix,
        }
    }
}

/// Takes blocks apart for one shape.
pub struct Taking<'a> {
    pub(super) machine: &'a Machine<'a>,
    pub(super) shape: Shape,
    hidden: f64,
    pub(super) step: Step,
    pub(super) setting: Setting,
    tensor: GroupLink,
    context: GroupLink,
    expert: GroupLink,
}

impl<'a> Taking<'a> {
    /// Everything that the operators of a shape share.
    pub fn new(machine: &'a Machine<'a>, shape: Shape, hidden: u64) -> Taking<'a> {
        let split = shape.split;
        let (tp, cp) = (u64::from(split.tp), u64::from(split.cp));
        let framework = machine.framework;
        let setting = Setting {
            batch: u64::from(shape.micro_batch),
            tokens: shape.sequence,
            attention: AttentionKernels {
                flash: framework.attention.is_flash(),
                ..AttentionKernels::DEFAULT
            },
            routing: Routing::Dropless,
            dropout: framework.dropout,
            ..Setting::new(Mode::Pretrain)
        };
        Taking {
            machine,
            shape,
            hidden: hidden as f64,
            step: Step::prefill(f64::from(shape.micro_batch), shape.sequence as f64),
            setting,
            tensor: machine.group_on(shape.network, tp, 1),
            context: machine.group(cp, tp),
            expert: machine.group(u64::from(split.ep), u64::from(split.expert_tp)),
        }
    }

    /// Work of a layer, or of the blocks before or after all layers.
    pub fn blocks(&self, blocks: &[Block], formats: Formats, is_layer: bool) -> Work {
        let mut work = Work::default();
        blocks.iter().for_each(|block| work += self.block(block, formats));
        if is_layer {
            let t = &self.machine.framework.time;
            let routed = blocks.iter().any(|b| matches!(stored(b), Block::Moe(_)));
            work.host = if routed { t.host_routed_layer } else { t.host_layer }.get();
            let input = self.shape.tokens() * self.hidden * 2.0 / self.shape.sequence_ranks();
            work.kept[Recompute::Full as usize] = input;
            work.kept[Recompute::Operators as usize] += input;
            work.again[Recompute::Full as usize] = work.forward;
        } else {
            // Outside of the layers nothing is computed again.
            let all = work.kept[Recompute::None as usize];
            (work.kept, work.again) = ([all; KINDS], [0.0; KINDS]);
        }
        work
    }

    fn groups(&self) -> RankGroups {
        let s = self.shape.split;
        RankGroups {
            tensor: s.tp.into(),
            expert: s.ep.into(),
            expert_tensor: s.expert_tp.into(),
            ..RankGroups::SINGLE
        }
    }

    fn block(&self, block: &Block, formats: Formats) -> Work {
        let view = RankView { groups: self.groups(), formats, kv: DType::Bf16 };
        let mut work = self.parameters(block);
        let frozen = self.shape.tuning != Tuning::Full && !matches!(block, Block::Adapters(_));
        let shared_expert = matches!(stored(block), Block::Moe(m) if m.shared.is_some());
        let mut kept = Kept::default();
        let mut operators = Vec::with_capacity(4);
        stored(block).nodes(&mut |node| {
            operators.clear();
            node.operators(&view, &mut operators);
            for op in operators.iter().filter(|op| !is_of_decoding(op)) {
                let times = self.times(op, &node);
                let n = op.count as f64;
                work.forward += times.forward.get() * n;
                work.input += times.input.get() * n;
                if !frozen {
                    work.weight += times.weight.get() * n;
                }
                self.keep(&mut work, (op, &node, frozen), &mut kept, times);
                self.transfer(&mut work, (op, &node), shared_expert);
            }
        });
        work
    }

    fn parameters(&self, block: &Block) -> Work {
        let mut tensors: Vec<Tensor> = Vec::new();
        block.tensors(&mut tensors);
        if let Block::Head(head) = block
            && head.tied
            && self.shape.split.pp > 1
        {
            tensors.push(head.weight());
        }
        let mut work = Work::default();
        let mut packed = 0.0;
        for t in &tensors {
            let n = t.stored_on_rank(WeightFormat::Bf16, self.groups()).as_f64() / 2.0;
            let is_trained = self.shape.tuning == Tuning::Full || t.class == TensorClass::Adapter;
            let trained = if is_trained { n } else { 0.0 };
            let narrow = match t.class {
                TensorClass::Linear | TensorClass::Expert => true,
                TensorClass::Head => self.machine.framework.memory.nf4.head,
                _ => false,
            };
            if narrow && !is_trained {
                packed += n;
            }
            if narrow {
                work.largest_matrix = work.largest_matrix.max(n / t.copies.max(1) as f64);
            } else if !is_trained {
                work.wide += n;
            }
            if t.class == TensorClass::Expert {
                work.experts += n;
                work.trained_experts += trained;
            } else {
                work.dense += n;
                work.trained_dense += trained;
            }
        }
        if self.shape.tuning == Tuning::Qlora {
            // Weights in NF4 are written out in 16 bits for the products of each pass (bitsandbytes, `MatMul4Bit` forward and
            // backward; QLoRA, arXiv:2305.14314, section 3), whatever the microbatch.
            let written = 2.0;
            let unpacking =
                self.machine.sweep(packed * (self.machine.framework.memory.nf4.bytes() + written)).get();
            work.forward += unpacking;
            work.input += unpacking;
        }
        work
    }

    fn times(&self, op: &Operator, node: &Node) -> Times {
        let (m, tokens) = (self.machine, self.shape.tokens());
        let cp = f64::from(self.shape.split.cp);
        match &op.kind {
            OperatorKind::Gemm { rows: Rows::DecodeSequences, .. } => Times::default(),
            OperatorKind::Gemm { n, k, format, .. } => {
                m.product(tokens / self.spread_of(node), *n as f64, *k as f64, *format)
            }
            OperatorKind::GroupedGemm(e) => {
                let rows = self.expert_rows(e.top_k as f64);
                let small = rows * (4.0 * e.hidden as f64 + (e.matrices * e.inner) as f64) * 2.0;
                sum(m.experts(e, rows), m.elementwise(small / m.framework.time.small_kernels.max(1.0)))
            }
            OperatorKind::PrefillAttention(_) | OperatorKind::LatentPrefill(_) => {
                let times = if self.setting.attention.flash {
                    m.attention(op, &self.step)
                } else {
                    attention_shape(op, node).map_or_else(Times::default, |s| {
                        let matrices = s.heads as f64 * self.step.prefill_sequences;
                        let dim = (s.score_dim + s.value_dim) as f64 / 2.0;
                        m.stored_attention(matrices, self.shape.sequence as f64, dim, self.setting.dropout)
                    })
                };
                Times { forward: times.forward / cp, input: times.input / cp, ..times }
            }
            OperatorKind::Scan(s) => {
                // Chunked: products over blocks, and the states between them once per token block.
                let bytes = tokens * s.flops_per_token as f64 / 64.0;
                let times = m.elementwise(bytes);
                Times { input: times.forward * 2.0, ..times }
            }
            OperatorKind::Elementwise { bytes_per_row, .. } => {
                m.elementwise(tokens / self.spread_of(node) * *bytes_per_row as f64)
            }
            OperatorKind::Embedding { row_bytes } => {
                m.elementwise(tokens * 2.0 * *row_bytes as f64 / self.spread())
            }
            // The loss: FP32 logits written, reduced and normalised; their gradient.
            OperatorKind::Sampling { vocabulary } => {
                m.elementwise(tokens * 8.0 * *vocabulary as f64 / f64::from(self.shape.split.tp))
            }
            OperatorKind::BatchedGemm { .. }
            | OperatorKind::DecodeAttention(_)
            | OperatorKind::LatentDecode(_)
            | OperatorKind::Collective { .. } => Times::default(),
        }
    }

    pub(super) fn spread(&self) -> f64 {
        self.shape.sequence_ranks()
    }

    /// Ranks over which the tokens of a node are divided.
    fn spread_of(&self, node: &Node) -> f64 {
        let region = match node {
            Node::Linear(product) => product.region,
            Node::Pointwise(small) => small.region,
            _ => Region::Inside,
        };
        if region == Region::Between { self.spread() } else { 1.0 }
    }

    /// Token copies that a rank's experts compute: those of all ranks that share them, divided.
    pub(super) fn expert_rows(&self, top_k: f64) -> f64 {
        let s = &self.shape.split;
        self.shape.tokens() / f64::from(s.tp) * f64::from(s.expert_tp) * top_k
    }

    /// Training computes the loss of every token.
    pub(super) fn training_step(&self, op: &Operator) -> Step {
        match &op.kind {
            OperatorKind::Gemm { rows: Rows::Emitting, .. } => {
                Step { prefill_sequences: self.step.prefill_tokens, ..self.step }
            }
            _ => self.step,
        }
    }

    fn transfer(&self, work: &mut Work, (op, node): (&Operator, &Node), shared_expert: bool) {
        let (m, tokens, n) = (self.machine, self.shape.tokens(), op.count as f64);
        match &op.kind {
            OperatorKind::Collective { kind: CollectiveKind::AllReduce, bytes_per_row, .. } => {
                // Experts that are divided over other ranks than the rest exchange their tokens instead.
                let of_experts = matches!(node, Node::Exchange(e) if e.transfer == Transfer::SumOfExperts);
                if of_experts && self.shape.split.expert_tp == 1 && !shared_expert {
                    return;
                }
                let bytes = tokens * *bytes_per_row as f64;
                let time = |kind| m.collective(kind, self.tensor, bytes).get();
                if self.shape.transfers == TensorTransfers::AllReduce {
                    work.tensor += time(CollectiveKind::AllReduce) * n;
                } else {
                    let gather = time(CollectiveKind::AllGather);
                    work.tensor += (gather + time(CollectiveKind::ReduceScatter)) * n;
                    if self.shape.transfers == TensorTransfers::Gathered {
                        work.gather += gather * n;
                    }
                }
            }
            OperatorKind::PrefillAttention(a) if self.shape.split.cp > 1 => {
                let all = tokens * f64::from(self.shape.split.cp);
                let bytes = all * (2 * a.kv_heads * a.head_dim) as f64 * 2.0;
                work.context += m.collective(CollectiveKind::AllGather, self.context, bytes).get() * n;
            }
            OperatorKind::LatentPrefill(l) if self.shape.split.cp > 1 => {
                let all = tokens * f64::from(self.shape.split.cp);
                let bytes = all * (l.heads * (l.nope_dim + l.rope_dim + l.v_dim)) as f64 * 2.0;
                work.context += m.collective(CollectiveKind::AllGather, self.context, bytes).get() * n;
            }
            OperatorKind::GroupedGemm(e) => {
                let own = tokens / f64::from(self.shape.split.tp);
                let way = |bytes: f64| m.exchange(self.expert, own, e.top_k as f64, bytes * e.hidden as f64);
                work.expert += (way(m.framework.time.dispatch_bytes) + way(2.0)).get() * n;
                let split = self.shape.split;
                if split.expert_tp > 1 {
                    let group = m.group(split.expert_tp.into(), 1);
                    let bytes = own * f64::from(split.expert_tp) * e.top_k as f64 * 2.0 * e.hidden as f64;
                    let both = m.collective(CollectiveKind::AllGather, group, bytes)
                        + m.collective(CollectiveKind::ReduceScatter, group, bytes);
                    work.expert += both.get() * n;
                }
            }
            _ => {}
        }
    }
}

fn sum(a: Times, b: Times) -> Times {
    Times { forward: a.forward + b.forward, input: a.input + b.input, weight: a.weight + b.weight }
}
