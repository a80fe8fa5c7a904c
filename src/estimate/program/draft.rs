//! Prediction layers, or a small model, that draft tokens after each step.

use super::compiled::{Line, Program};
use super::step_time::StepTime;
use super::target::Target;
use crate::catalog::kernels::PowerShares;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::stages::Part;
use crate::model::Model;
use crate::model::operator::{Operator, Step};
use crate::workload::{self, Speculation};

/// What drafts tokens: prediction layers of the last stage, or a model beside it, run once per drafted token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    layers: Program,
    head: Program,
    tokens: f64,
}

/// Checks that the model has what drafts.
///
/// # Errors
/// [`Code::Range`] where it has no prediction layers, or no draft model beside it.
pub(in crate::estimate) fn check_draft(
    model: &Model,
    speculation: Option<Speculation>,
) -> Result<(), Diagnostic> {
    let (cause, help) = match speculation.map(|s| s.draft) {
        Some(workload::Draft::Layers) if model.mtp.is_empty() => {
            let cause = match model.unread_predictions {
                0 => "no multi-token-prediction layers to draft with",
                _ => "its multi-token-prediction layers are not read by shardfit, so that nothing drafts",
            };
            (cause, "ngram drafts without any")
        }
        Some(workload::Draft::Model | workload::Draft::Eagle3) if model.draft.is_none() => {
            ("no draft model to draft with", "name one with --draft-model")
        }
        _ => return Ok(()),
    };
    Err(Diagnostic::new(Code::Range, cause).at(model.id.clone()).help(help))
}

impl Draft {
    /// The prediction layers, if they are loaded, else the draft model.
    pub(super) fn compile(t: &Target) -> Option<Draft> {
        let own = t.model.draft.as_deref().filter(|_| !t.model.predicts && t.drafted > 0);
        own.map(|model| Draft::of_model(t, model)).or_else(|| Draft::of_layers(t))
    }

    /// A model of its own: an EAGLE head without an output projection takes the model's.
    fn of_model(t: &Target, model: &Model) -> Draft {
        let own = Target { model, ..*t };
        let mut layers = Program::default();
        layers.emit(&own, &model.before, model.outer_formats(), 1, &|_| Part::Before);
        for group in &model.groups {
            layers.emit(&own, &group.blocks, group.formats, group.layers.len() as u64, &|_| Part::Before);
        }
        let from = if model.head().is_some() { model } else { t.model };
        let mut head = Program::default();
        head.emit(&own, &from.after, from.outer_formats(), 1, &|_| Part::Before);
        Draft { layers, head, tokens: f64::from(t.drafted) }
    }

    fn of_layers(t: &Target) -> Option<Draft> {
        let group = t.model.groups.last().filter(|_| t.model.predicts && t.drafted > 0)?;
        let mut layers = Program::default();
        layers.emit(t, &group.blocks, group.formats, 1, &|_| Part::Before);
        let mut head = Program::default();
        head.emit(t, &t.model.after, t.model.outer_formats(), 1, &|_| Part::Before);
        Some(Draft { layers, head, tokens: f64::from(t.drafted) })
    }

    /// The first draft follows all tokens that the step has computed, each further one a single token.
    pub(super) fn time(&self, step: &Step, power: &PowerShares) -> StepTime {
        let one = Step { drafted: 0.0, ..*step };
        let mut sum = self.layers.time(step, power);
        sum += self.head.time(&one, power);
        if step.decode_sequences > 0.0 && self.tokens > 1.0 {
            let alone = Step::decode(step.decode_sequences, step.context);
            let mut again = self.layers.time(&alone, power);
            again += self.head.time(&alone, power);
            sum += again * (self.tokens - 1.0);
        }
        sum
    }

    /// Operator by operator.
    pub(super) fn explain(&self, step: &Step) -> Vec<Line> {
        let one = Step { drafted: 0.0, ..*step };
        let mut lines = self.layers.explain(step);
        lines.extend(self.head.explain(&one));
        if step.decode_sequences > 0.0 && self.tokens > 1.0 {
            let alone = Step::decode(step.decode_sequences, step.context);
            let mut again = self.layers.explain(&alone);
            again.extend(self.head.explain(&alone));
            let times = (self.tokens - 1.0) as u64;
            lines.extend(again.into_iter().map(|line| Line {
                operator: Operator { count: line.operator.count * times, ..line.operator },
                time: line.time * times as f64,
                ..line
            }));
        }
        lines
    }
}
