//! Constants of an engine's scheduling over its own: what measurements of servers say.

use schemars::JsonSchema;
use serde::Deserialize;

use super::engine::{Engine, Scheduling, SchedulingPatch};
use super::version::Version;
use crate::diagnostic::{Code, Diagnostic};
use crate::units::Seconds;

/// Constants of an engine that is described elsewhere, over its own: what `shardfit calibrate --engine` writes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchedulingOverlay {
    /// Identifier of the engine; the file's name without its extension.
    #[schemars(extend("x-names" = "engine"))]
    pub id: String,
    /// What was measured.
    pub name: String,
    /// Who measured, on what and when.
    #[serde(default)]
    pub source: Option<String>,
    /// Of the newest profile, and of every version that does not say otherwise.
    #[serde(default)]
    pub scheduling: SchedulingPatch,
    /// Of versions that the engine describes.
    #[serde(default)]
    pub versions: Vec<SchedulingVersion>,
}

/// Constants of one version.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchedulingVersion {
    /// The version's `from` in the engine's file.
    pub from: Version,
    /// What differs.
    pub scheduling: SchedulingPatch,
}

impl SchedulingOverlay {
    /// Writes the constants over the engine's own.
    ///
    /// # Errors
    /// [`Code::Catalog`] for a version that the engine does not describe, naming those it does.
    pub fn apply(&self, engine: &mut Engine) -> Result<(), Diagnostic> {
        self.scheduling.apply(&mut engine.scheduling);
        for version in &self.versions {
            let Some(entry) = engine.versions.iter_mut().find(|v| v.from == version.from) else {
                let known: Vec<String> = engine.versions.iter().map(|v| v.from.to_string()).collect();
                let cause = format!("versions: {} has no entry from {}", engine.id, version.from);
                let help = format!("entries of {}: {}", engine.id, known.join(", "));
                return Err(Diagnostic::new(Code::Catalog, cause).field("versions").help(help));
            };
            entry.scheduling.overlay(&version.scheduling);
        }
        Ok(())
    }
}

/// Layers of a model, and those whose mixers the host launches in long chains of kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerCounts {
    /// All.
    pub all: u64,
    /// With latent attention.
    pub latent: u64,
    /// With a recurrent mixer.
    pub recurrent: u64,
}

impl Scheduling {
    /// Time of a step beyond its kernels when it holds prompt tokens.
    pub fn prompt_overhead(&self, layers: LayerCounts) -> Seconds {
        if self.prefill_graphs {
            return Seconds::ZERO;
        }
        self.prefill_layer_overhead * layers.all as f64
            + self.prefill_latent_overhead * layers.latent as f64
            + self.prefill_recurrent_overhead * layers.recurrent as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use crate::units::Seconds;

    fn overlay(from: &str) -> SchedulingOverlay {
        let patch =
            |ms| SchedulingPatch { step_overhead: Some(Seconds::new(ms / 1e3)), ..Default::default() };
        let versions = vec![SchedulingVersion { from: from.parse().unwrap(), scheduling: patch(7.0) }];
        SchedulingOverlay { id: "vllm".to_owned(), scheduling: patch(3.0), versions, ..Default::default() }
    }

    #[test]
    fn constants_go_over_the_profile_and_over_the_version_that_is_named() {
        let catalog = catalog::Catalog::built_in().with_scheduling(overlay("0.11.1"));
        let step = |name: &str| catalog.engine(name).unwrap().scheduling.step_overhead.as_millis();
        assert_eq!((step("vllm"), step("vllm@0.12"), step("vllm@0.16")), (3.0, 7.0, 3.0));
        let others = |c: &catalog::Catalog| c.engine("vllm@0.12").unwrap().scheduling.sequence_overhead;
        assert_eq!(others(&catalog), others(&catalog::Catalog::built_in()), "what is not named stays");
    }

    #[test]
    fn a_version_that_is_not_described_is_an_error_with_those_that_are() {
        let mut engine = catalog::Catalog::built_in().every_version("vllm").unwrap();
        let error = overlay("0.10.3").apply(&mut engine).unwrap_err();
        assert!(error.to_string().contains("0.10.2"), "{error}");
    }
}
