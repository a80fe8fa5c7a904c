//! Encoders of what prompts bring beside text: operators in the steps that compute those prompts.

use super::compiled::{Line, Program};
use super::step_time::StepTime;
use super::target::Target;
use crate::catalog::kernels::PowerShares;
use crate::estimate::stages::Part;
use crate::model::Formats;
use crate::model::media::{self, Items};
use crate::model::operator::{Operator, OperatorKind, Step};
use crate::plan::Parallelism;
use crate::units::Seconds;

/// The encoder of one kind of item.
#[derive(Clone, Debug, PartialEq)]
struct Kind {
    items: Items,
    layers: Program,
    /// What works on the tokens that are handed on.
    merger: Program,
    /// What launching a pass takes the host: engines run encoders kernel by kernel, without graphs (vLLM
    /// `config/compilation.py`, `compile_mm_encoder` is off, 0.33.0).
    launches: Seconds,
}

/// The encoders of a prompt's images, video and sound. The first stage runs them in the step that computes the tokens,
/// before the language model (vLLM `v1/worker/gpu_model_runner.py`, `_execute_mm_encoder`).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Encoders {
    kinds: Vec<Kind>,
    /// Tokens of a prompt that are computed.
    prompt: f64,
}

impl Encoders {
    /// The encoders of a target's prompts; none where they are text alone.
    pub(super) fn compile(t: &Target) -> Option<Encoders> {
        let (media, model) = (t.media, t.model);
        let sight = model.sight.as_ref().map(|sight| &sight.encoder);
        let hearing = model.hearing.as_ref().map(|hearing| &hearing.encoder);
        let of = [(media.images, sight), (media.video, sight), (media.audio, hearing)];
        let kinds = of.into_iter().filter(|(items, _)| items.count > 0);
        let kinds: Vec<Kind> =
            kinds.filter_map(|(items, encoder)| Some(Kind::compile(t, items, encoder?))).collect();
        (!kinds.is_empty()).then_some(Encoders { kinds, prompt: t.prompt_tokens.max(1) as f64 })
    }

    /// Time in a step.
    pub(super) fn time(&self, step: &Step, power: &PowerShares) -> StepTime {
        let mut sum = StepTime::default();
        for (kind, n, share) in self.at_work(step) {
            let (layers, merger) = kind.steps(n);
            let mut time = kind.layers.time(&layers, power);
            time += kind.merger.time(&merger, power);
            time.total = time.total.max(kind.launches);
            sum += time * share;
        }
        sum
    }

    /// Operator by operator.
    pub(super) fn explain(&self, step: &Step) -> Vec<Line> {
        let mut lines = Vec::new();
        for (kind, n, share) in self.at_work(step) {
            let (layers, merger) = kind.steps(n);
            let mut own = kind.layers.explain(&layers);
            own.extend(kind.merger.explain(&merger));
            lines.extend(own.into_iter().map(|line| Line {
                operator: Operator { name: encoder_name(&line.operator.kind), ..line.operator },
                time: line.time * share,
                ..line
            }));
        }
        lines
    }

    /// The kinds that a step encodes: how many items at a time, and the share of such a pass that is the step's. Of a
    /// prompt that is cut, a part of its items falls into each step.
    fn at_work(&self, step: &Step) -> impl Iterator<Item = (&Kind, f64, f64)> {
        let prompts = step.prefill_tokens / self.prompt;
        self.kinds.iter().filter(move |_| prompts > 0.0).map(move |kind| {
            let items = prompts * kind.items.count as f64;
            (kind, items.max(1.0), items.min(1.0))
        })
    }
}

/// What an encoder's operator is called beside the language model's: by what it does.
fn encoder_name(kind: &OperatorKind) -> &'static str {
    match kind {
        OperatorKind::Gemm { .. } | OperatorKind::BatchedGemm { .. } => "encoder_products",
        OperatorKind::PrefillAttention(_) => "encoder_attention",
        OperatorKind::Collective { .. } => "encoder_exchanges",
        _ => "encoder_small_kernels",
    }
}

impl Kind {
    fn compile(t: &Target, items: Items, encoder: &media::Encoder) -> Kind {
        // One that is not divided is computed whole by every rank, without an exchange.
        let whole = Target { parallelism: Parallelism::SINGLE, ..*t };
        let t = if encoder.divided { t } else { &whole };
        let wanted =
            |kind: &OperatorKind| encoder.divided || !matches!(kind, OperatorKind::Collective { .. });
        // Engines keep towers in 16 bits, whatever the language model's format.
        let outer = t.model.outer_formats();
        let formats = Formats { attention: outer.base, mlp: outer.base, ..outer };
        let mut layers = Program::default();
        for (count, blocks) in &encoder.layers {
            layers.emit_some(t, (blocks, formats, *count), &|_| Part::Before, &wanted);
        }
        let mut merger = Program::default();
        merger.emit_some(t, (&encoder.merger, formats, 1), &|_| Part::Before, &wanted);
        let count: u64 = encoder.layers.iter().map(|(count, _)| count).sum();
        let launches = t.kernels.engine.scheduling.eager_layer * count as f64;
        Kind { items, layers, merger, launches }
    }

    /// What the layers and the merger compute of `n` items.
    fn steps(&self, n: f64) -> (Step, Step) {
        let of = |each: u64| Step::prefill(n, each as f64);
        (of(self.items.positions), of(self.items.tokens))
    }
}
