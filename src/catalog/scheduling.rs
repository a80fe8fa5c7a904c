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
    /// Host time of a step on so many GPUs, whatever it holds.
    pub fn step_overhead_on(&self, gpus: u64) -> Seconds {
        let lone = self.lone_step_overhead.filter(|_| gpus == 1);
        lone.unwrap_or(self.step_overhead)
    }

    /// Host time of a step on so many GPUs, of so many sequences at a mean context, whose cache has blocks of `block` tokens.
    pub fn host(&self, gpus: u64, (sequences, context): (f64, f64), block: u32) -> Seconds {
        let blocks = sequences * (context / f64::from(block.max(1))).ceil();
        self.step_overhead_on(gpus)
            + (self.sequence_overhead + self.stream_overhead) * sequences
            + self.block_overhead * blocks
    }

    /// The time of a step of so many sequences that takes `step` with what the host adds to it: no less than what the host
    /// does meanwhile.
    pub fn beside_host(&self, step: Seconds, sequences: f64) -> Seconds {
        step.max(self.overlapped_sequence * sequences)
    }

    /// The time of a step whose kernels take `kernels`: no less than their launches where they are launched one by
    /// one.
    pub fn launched(&self, kernels: Seconds, layers: LayerCounts, parts: f64) -> Seconds {
        if self.eager { kernels.max(self.launches(layers, parts)) } else { kernels }
    }

    /// What launching one of so many equal parts of the layers kernel by kernel takes the host.
    pub fn launches(&self, layers: LayerCounts, parts: f64) -> Seconds {
        let part = |count: u64| (count as f64 / parts).ceil();
        self.eager_layer * part(layers.all) + self.eager_latent * part(layers.latent)
    }

    /// How busy the front end is beside `others` requests in flight, from 0 to 1: `n/(n + half_busy_requests)`.
    pub fn front_end_load(&self, others: f64) -> f64 {
        match others > 0.0 {
            true => others / (others + self.half_busy_requests),
            false => 0.0,
        }
    }

    /// Front-end time of a request beside `others` in flight.
    pub fn request_overhead_beside(&self, others: f64) -> Seconds {
        let idle = self.idle_request_overhead.unwrap_or(self.request_overhead);
        idle + (self.request_overhead - idle) * self.front_end_load(others)
    }

    /// Decode steps that pass before the first token of a request beside `others` leaves.
    pub fn first_token_steps_beside(&self, others: f64) -> f64 {
        match self.idle_request_overhead {
            Some(_) => {
                let idle = self.idle_first_token_steps;
                idle + (self.first_token_steps - idle) * self.front_end_load(others)
            }
            None => self.first_token_steps,
        }
    }

    /// The same where the front end keeps every request for so much longer.
    #[must_use]
    pub fn keeping_requests(self, time: Seconds) -> Scheduling {
        Scheduling {
            request_overhead: self.request_overhead + time,
            idle_request_overhead: self.idle_request_overhead.map(|idle| idle + time),
            ..self
        }
    }

    /// The same on a host that is so many times as fast as those that the figures were found on.
    #[must_use]
    pub fn on_host(self, speed: f64) -> Scheduling {
        let on_host = |time: Seconds| time / speed;
        Scheduling {
            step_overhead: on_host(self.step_overhead),
            lone_step_overhead: self.lone_step_overhead.map(on_host),
            sequence_overhead: on_host(self.sequence_overhead),
            block_overhead: on_host(self.block_overhead),
            stream_overhead: on_host(self.stream_overhead),
            overlapped_sequence: on_host(self.overlapped_sequence),
            eager_layer: on_host(self.eager_layer),
            eager_latent: on_host(self.eager_latent),
            prefill_layer_overhead: on_host(self.prefill_layer_overhead),
            prefill_latent_overhead: on_host(self.prefill_latent_overhead),
            prefill_recurrent_overhead: on_host(self.prefill_recurrent_overhead),
            request_overhead: on_host(self.request_overhead),
            idle_request_overhead: self.idle_request_overhead.map(on_host),
            handover: on_host(self.handover),
            ..self
        }
    }

    /// The time of a step that holds prompt tokens, over one of so many equal parts of the layers, whose kernels take
    /// `kernels`: what such a step takes beyond them, and no less than their launches where all steps are launched one by
    /// one. Without CUDA graphs it is never shorter than with them.
    pub fn prompts_launched(&self, kernels: Seconds, layers: LayerCounts, parts: f64) -> Seconds {
        self.launched(kernels + self.prompt_overhead(layers) / parts, layers, parts)
    }

    /// The time of a step of prompts, over one of so many equal parts of the layers, in a worker that computes nothing else,
    /// whose kernels take `kernels`: no host waits between its kernels for what a decode step yields, so that launches run
    /// ahead of them.
    pub fn prompts_alone(&self, kernels: Seconds, layers: LayerCounts, parts: f64) -> Seconds {
        if self.prefill_graphs && !self.eager { kernels } else { kernels.max(self.launches(layers, parts)) }
    }

    /// Time of a step beyond its kernels when it holds prompt tokens.
    fn prompt_overhead(&self, layers: LayerCounts) -> Seconds {
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
        assert_eq!((step("vllm"), step("vllm@0.11.2"), step("vllm@0.16")), (3.0, 7.0, 3.0));
        let others = |c: &catalog::Catalog| c.engine("vllm@0.12").unwrap().scheduling.sequence_overhead;
        assert_eq!(others(&catalog), others(&catalog::Catalog::built_in()), "what is not named stays");
    }

    #[test]
    fn the_host_writes_the_block_tables_of_old_versions_for_every_step() {
        // 59 us a sequence and 0.39 us a block: 64 sequences of 3,072 tokens take 10.9 ms beyond the 2.3 of a step (Llama 3
        // 8B on H100 under vLLM 0.5.5: 10 ms more than what four GPUs read).
        let old = catalog::engine("vllm@0.6.5").unwrap();
        let offline = Scheduling { stream_overhead: Seconds::ZERO, ..old.scheduling };
        let host = offline.host(1, (64.0, 3072.0), 16).as_millis();
        assert!((host - (2.3 + 64.0 * 0.059 + 64.0 * 192.0 * 0.000_39)).abs() < 1e-9, "{host}");
        let twice = offline.on_host(2.0).host(1, (64.0, 3072.0), 16).as_millis();
        assert!((twice - host / 2.0).abs() < 1e-9, "{twice}");
    }

    #[test]
    fn a_request_that_comes_by_itself_does_not_wait_for_a_busy_front_end() {
        let s = catalog::engine("vllm").unwrap().scheduling;
        assert_eq!(s.request_overhead_beside(0.0).as_millis(), 5.0);
        assert!(s.request_overhead_beside(1000.0).as_millis() > 23.9);
        assert!(s.first_token_steps_beside(0.0) < 0.5 && s.first_token_steps_beside(63.0) > 2.8);
    }

    #[test]
    fn a_step_lasts_as_long_as_what_the_host_does_beside_it() {
        // Qwen2.5-0.5B offline on an A100 under vLLM 0.20.1: 22,493 tokens/s, 44 us a sequence and step whatever the batch.
        let s = catalog::engine("vllm@0.20.1").unwrap().scheduling;
        let ms = |step: f64, sequences: f64| s.beside_host(Seconds::millis(step), sequences).as_millis();
        assert!((ms(3.0, 128.0) - 128.0 * 0.045).abs() < 1e-9 && ms(30.0, 128.0) == 30.0);
        assert!((s.on_host(2.0).beside_host(Seconds::ZERO, 100.0).as_millis() - 2.25).abs() < 1e-9);
        let synchronous = catalog::engine("vllm@0.11.0").unwrap().scheduling;
        assert_eq!(synchronous.beside_host(Seconds::millis(3.0), 1000.0).as_millis(), 3.0);
    }

    /// Llama 3 8B's.
    const LAYERS: LayerCounts = LayerCounts { all: 32, latent: 0, recurrent: 0 };

    #[test]
    fn layers_of_latent_attention_are_launched_in_longer_chains() {
        // DeepSeek-R1 under trtllm-serve as it starts: 111.6 ms between tokens in the median (GPUStack's laboratory, 1.0.0).
        let s = catalog::engine("trtllm@1.0").unwrap().scheduling;
        let launches = s.launches(LayerCounts { all: 61, latent: 61, recurrent: 0 }, 1.0).as_millis();
        assert!((launches / 111.6 - 1.0).abs() < 0.05, "{launches}");
        assert!((s.launches(LAYERS, 2.0).as_millis() - 16.0 * 0.4).abs() < 1e-9);
    }

    #[test]
    fn a_worker_of_prompts_alone_launches_ahead_of_its_kernels() {
        let s = catalog::engine("sglang@0.5.3").unwrap().scheduling;
        let latent = LayerCounts { all: 61, latent: 61, recurrent: 0 };
        let ms = |kernels: f64| s.prompts_alone(Seconds::millis(kernels), latent, 1.0).as_millis();
        assert!((ms(50.0) - 61.0 * 1.6).abs() < 1e-9 && ms(500.0) == 500.0, "{} {}", ms(50.0), ms(500.0));
        assert!(s.prompts_launched(Seconds::millis(500.0), latent, 1.0).as_millis() > 600.0);
    }

    #[test]
    fn an_eager_step_lasts_at_least_as_long_as_its_launches() {
        let s = catalog::engine("vllm@eager").unwrap().scheduling;
        let ms = |kernels: f64| s.launched(Seconds::new(kernels / 1e3), LAYERS, 1.0).as_millis();
        assert!((ms(5.0) - 32.0 * 0.4).abs() < 1e-9 && ms(50.0) == 50.0, "{} {}", ms(5.0), ms(50.0));
        let graphs = catalog::engine("vllm").unwrap().scheduling;
        assert_eq!(graphs.launched(Seconds::new(0.005), LAYERS, 1.0).as_millis(), 5.0);
    }

    #[test]
    fn a_version_that_is_not_described_is_an_error_with_those_that_are() {
        let mut engine = catalog::Catalog::built_in().every_version("vllm").unwrap();
        let error = overlay("0.10.3").apply(&mut engine).unwrap_err();
        assert!(error.to_string().contains("0.10.2"), "{error}");
    }
}
