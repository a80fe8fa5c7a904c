//! The constants of an engine's scheduling that measurements of servers can settle.

use crate::catalog::engine::{Scheduling, SchedulingPatch};
use crate::catalog::version::Version;
use crate::catalog::{Engine, SchedulingOverlay, SchedulingVersion};
use crate::units::Seconds;

/// A constant of the scheduling rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Host time of a step.
    StepOverhead,
    /// Host time of a step per running sequence.
    SequenceOverhead,
    /// Time of a step that holds a prompt, per layer.
    PrefillLayerOverhead,
    /// More of it for each layer with latent attention.
    PrefillLatentOverhead,
    /// More of it for each layer with a recurrent mixer.
    PrefillRecurrentOverhead,
    /// Front-end time of a request.
    RequestOverhead,
    /// Decode steps before a first token leaves.
    FirstTokenSteps,
    /// Share of launch floors that remains inside CUDA graphs.
    LaunchShare,
    /// Share of activation quantisation that is neither static nor fused.
    QuantiseShare,
}

impl Field {
    /// Every one.
    pub const ALL: [Field; 9] = [
        Field::StepOverhead,
        Field::SequenceOverhead,
        Field::PrefillLayerOverhead,
        Field::PrefillLatentOverhead,
        Field::PrefillRecurrentOverhead,
        Field::RequestOverhead,
        Field::FirstTokenSteps,
        Field::LaunchShare,
        Field::QuantiseShare,
    ];

    /// Its name in an engine's file.
    pub fn name(self) -> &'static str {
        match self {
            Field::StepOverhead => "step_overhead",
            Field::SequenceOverhead => "sequence_overhead",
            Field::PrefillLayerOverhead => "prefill_layer_overhead",
            Field::PrefillLatentOverhead => "prefill_latent_overhead",
            Field::PrefillRecurrentOverhead => "prefill_recurrent_overhead",
            Field::RequestOverhead => "request_overhead",
            Field::FirstTokenSteps => "first_token_steps",
            Field::LaunchShare => "launch_share",
            Field::QuantiseShare => "quantise_share",
        }
    }

    /// The unit of its values here; empty for shares and counts.
    pub fn unit(self) -> &'static str {
        match self {
            Field::StepOverhead | Field::RequestOverhead => "ms",
            Field::SequenceOverhead
            | Field::PrefillLayerOverhead
            | Field::PrefillLatentOverhead
            | Field::PrefillRecurrentOverhead => "us",
            Field::FirstTokenSteps | Field::LaunchShare | Field::QuantiseShare => "",
        }
    }

    /// A change of it that moves predictions by some per cent: the step of derivatives, and the unit in which
    /// fits stay near where they start.
    pub fn step(self) -> f64 {
        match self {
            Field::StepOverhead => 0.3,
            Field::SequenceOverhead => 5.0,
            Field::PrefillLayerOverhead => 100.0,
            Field::PrefillLatentOverhead | Field::PrefillRecurrentOverhead => 500.0,
            Field::RequestOverhead => 8.0,
            Field::FirstTokenSteps => 0.8,
            Field::LaunchShare | Field::QuantiseShare => 0.15,
        }
    }

    /// Largest value; none is below zero.
    pub fn most(self) -> f64 {
        match self {
            Field::LaunchShare | Field::QuantiseShare => 1.0,
            _ => f64::INFINITY,
        }
    }

    fn seconds(self, value: f64) -> Seconds {
        Seconds::new(if self.unit() == "ms" { value / 1e3 } else { value / 1e6 })
    }

    fn of(self, s: &Scheduling) -> f64 {
        match self {
            Field::StepOverhead => s.step_overhead.as_millis(),
            Field::SequenceOverhead => s.sequence_overhead.as_micros(),
            Field::PrefillLayerOverhead => s.prefill_layer_overhead.as_micros(),
            Field::PrefillLatentOverhead => s.prefill_latent_overhead.as_micros(),
            Field::PrefillRecurrentOverhead => s.prefill_recurrent_overhead.as_micros(),
            Field::RequestOverhead => s.request_overhead.as_millis(),
            Field::FirstTokenSteps => s.first_token_steps,
            Field::LaunchShare => s.launch_share,
            Field::QuantiseShare => s.quantise_share,
        }
    }

    fn said(self, patch: &SchedulingPatch) -> bool {
        match self {
            Field::StepOverhead => patch.step_overhead.is_some(),
            Field::SequenceOverhead => patch.sequence_overhead.is_some(),
            Field::PrefillLayerOverhead => patch.prefill_layer_overhead.is_some(),
            Field::PrefillLatentOverhead => patch.prefill_latent_overhead.is_some(),
            Field::PrefillRecurrentOverhead => patch.prefill_recurrent_overhead.is_some(),
            Field::RequestOverhead => patch.request_overhead.is_some(),
            Field::FirstTokenSteps => patch.first_token_steps.is_some(),
            Field::LaunchShare => patch.launch_share.is_some(),
            Field::QuantiseShare => patch.quantise_share.is_some(),
        }
    }

    fn say(self, patch: &mut SchedulingPatch, value: f64) {
        let time = Some(self.seconds(value));
        match self {
            Field::StepOverhead => patch.step_overhead = time,
            Field::SequenceOverhead => patch.sequence_overhead = time,
            Field::PrefillLayerOverhead => patch.prefill_layer_overhead = time,
            Field::PrefillLatentOverhead => patch.prefill_latent_overhead = time,
            Field::PrefillRecurrentOverhead => patch.prefill_recurrent_overhead = time,
            Field::RequestOverhead => patch.request_overhead = time,
            Field::FirstTokenSteps => patch.first_token_steps = Some(value),
            Field::LaunchShare => patch.launch_share = Some(value),
            Field::QuantiseShare => patch.quantise_share = Some(value),
        }
    }
}

/// A constant of an engine's newest profile, or one that a version has of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// The version's `from`; `None` is the newest profile, and every version that does not say otherwise.
    pub from: Option<Version>,
    /// Which.
    pub field: Field,
    /// Its value in the catalogue, in the field's unit.
    pub value: f64,
}

/// What can be fitted of an engine, in the order of its file. A backend that is on request beside another of the same
/// release keeps its own.
pub fn constants(engine: &Engine) -> Vec<Constant> {
    let own = Field::ALL.map(|field| Constant { from: None, field, value: field.of(&engine.scheduling) });
    let mut all = own.to_vec();
    for (n, version) in engine.versions.iter().enumerate() {
        // An overlay names a version by its `from`: of two backends of one release the first is meant.
        if engine.versions[..n].iter().any(|earlier| earlier.from == version.from) {
            continue;
        }
        let mut resolved = engine.scheduling.clone();
        version.scheduling.apply(&mut resolved);
        let said = Field::ALL.into_iter().filter(|field| field.said(&version.scheduling));
        all.extend(said.map(|field| Constant {
            from: Some(version.from),
            field,
            value: field.of(&resolved),
        }));
    }
    all
}

/// Constants with these values, over an engine's own.
pub fn overlay<'a>(engine: &str, values: impl Iterator<Item = (&'a Constant, f64)>) -> SchedulingOverlay {
    let mut overlay = SchedulingOverlay { id: engine.to_owned(), ..SchedulingOverlay::default() };
    for (constant, value) in values {
        let patch = match constant.from {
            None => &mut overlay.scheduling,
            Some(from) => {
                if overlay.versions.last().is_none_or(|last| last.from != from) {
                    let scheduling = SchedulingPatch::default();
                    overlay.versions.push(SchedulingVersion { from, scheduling });
                }
                let Some(last) = overlay.versions.last_mut() else { continue };
                &mut last.scheduling
            }
        };
        constant.field.say(patch, value);
    }
    overlay
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn values_survive_the_way_through_an_overlay() {
        let catalog = Catalog::built_in();
        let before = constants(&catalog.every_version("vllm").unwrap());
        let moved = |c: &Constant| (c.value + c.field.step()).min(c.field.most());
        let overlay = overlay("vllm", before.iter().map(|c| (c, moved(c))));
        let after = constants(&catalog.with_scheduling(overlay).every_version("vllm").unwrap());
        assert_eq!(before.len(), after.len());
        for (b, a) in before.iter().zip(&after) {
            assert_eq!((b.field, b.from), (a.field, a.from));
            assert!((moved(b) - a.value).abs() < 1e-9, "{b:?} {a:?}");
        }
    }

    #[test]
    fn what_a_version_says_itself_is_a_constant_of_its_own() {
        let all = constants(&Catalog::built_in().every_version("vllm").unwrap());
        let of = |from: Option<&str>| {
            let from = from.map(|f| f.parse().unwrap());
            all.iter().filter(|c| c.from == from).map(|c| c.field.name()).collect::<Vec<_>>()
        };
        assert_eq!(of(None).len(), Field::ALL.len());
        assert_eq!(of(Some("0.10.2")), ["step_overhead", "sequence_overhead"]);
        assert!(of(Some("0.14.0")).is_empty());
    }
}
