//! A memory fraction that an engine works out of what it keeps free.

use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults::{Launch, LaunchDefaults};
use crate::units::Bytes;

/// A memory fraction that is worked out instead of fixed: what these leave of the GPU's memory.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReservedMemory {
    /// Whatever else.
    pub fixed: Bytes,
    /// Whether `fixed` is kept free only where the engine places layers by itself: a launch that says what lies on the GPUs
    /// is loaded as told.
    pub unless_placed: bool,
    /// For each prompt token of a step.
    pub per_token: Bytes,
    /// For each sequence of the largest batch with a CUDA graph.
    pub per_graph_sequence: Bytes,
    /// For each of these again, per attention-data-parallel rank, if there are several.
    pub per_graph_sequence_and_data_rank: Bytes,
    /// For each number of prompt tokens with a CUDA graph: SGLang's piecewise graphs, up to the tokens of a
    /// step, with latent attention up to 2,048.
    pub per_prompt_graph: Bytes,
    /// Instead of the graphs of prompts, with latent attention.
    pub latent_prompt_graphs: Option<Bytes>,
    /// For each rank of the replica.
    pub per_rank: Bytes,
    /// Where tokens go to their experts alone, for the buffers of that. Beyond `at_least`.
    pub exchange: Bytes,
    /// With attention data parallelism.
    pub data_parallel: Bytes,
    /// With a draft model.
    pub draft: Bytes,
    /// What a model that sees is left of the fraction, before the size of its encoder counts; all of it where
    /// this is nothing.
    pub vision_share: f64,
    /// At least this much on GPUs with more memory than `large`, a draft model's part apart.
    pub at_least: Bytes,
    /// Where `at_least` begins.
    pub large: Bytes,
}

/// Most prompt tokens for which graphs are captured with latent attention (SGLang
/// `ServerArgs._handle_gpu_memory_settings`).
const LATENT_GRAPH_TOKENS: u64 = 2048;

impl ReservedMemory {
    /// What stays free of `memory`, for prompts of `tokens` in a step.
    pub(super) fn total(
        &self,
        memory: Bytes,
        tokens: u64,
        defaults: &LaunchDefaults,
        launch: &Launch,
    ) -> Bytes {
        let graph = launch.graph_batch.unwrap_or(u64::from(defaults.graph_batch.unwrap_or(0)));
        let captured = if launch.latent { tokens.min(LATENT_GRAPH_TOKENS) } else { tokens };
        let prompts = self.latent_prompt_graphs.filter(|_| launch.latent);
        let fixed = if self.unless_placed && launch.placed { Bytes::ZERO } else { self.fixed };
        let mut reserved = defaults.reserved.unwrap_or(fixed)
            + self.per_token * tokens
            + self.per_graph_sequence * graph
            + prompts.unwrap_or(self.per_prompt_graph * prompt_graphs(captured))
            + defaults.reserved_per_rank.unwrap_or(self.per_rank) * launch.ranks;
        if launch.attention_dp > 1 {
            reserved += self.data_parallel;
            reserved += self.per_graph_sequence_and_data_rank * graph * u64::from(launch.attention_dp);
        }
        if memory > self.large {
            reserved = reserved.max(self.at_least);
        }
        if launch.exchanges {
            reserved += self.exchange;
        }
        reserved + if launch.drafts { self.draft } else { Bytes::ZERO }
    }

    /// What a model that sees is left of the fraction: less the larger its encoder is beside ViT-L, by a tenth
    /// for each time, within a fifth and a twentieth (SGLang `adjust_mem_fraction_for_vlm`).
    pub(super) fn of_fraction(&self, launch: &Launch) -> f64 {
        match launch.encoder_size {
            Some(size) if self.vision_share > 0.0 => {
                self.vision_share * (1.0 - 0.1 * (size - 1.0)).clamp(0.8, 1.05)
            }
            _ => 1.0,
        }
    }
}

/// Numbers of prompt tokens for which SGLang captures a graph, up to `largest`
/// (`ServerArgs._generate_piecewise_cuda_graph_tokens`).
fn prompt_graphs(largest: u64) -> u64 {
    const STEPS: [(u64, u64, u64); 6] = [
        (4, 32, 4),
        (48, 256, 16),
        (288, 512, 32),
        (576, 1024, 64),
        (1280, 4096, 256),
        (4608, u64::MAX, 512),
    ];
    let up_to = |(first, last, step): &(u64, u64, u64)| match largest.min(*last).checked_sub(*first) {
        Some(beyond) => beyond / step + 1,
        None => 0,
    };
    STEPS.iter().map(up_to).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_have_as_many_graphs_as_the_server_says() {
        // `Capturing num tokens`: 58 with chunks of 8,192 tokens, 74 with chunks of 16,384.
        assert_eq!([3, 4, 2048, 8192, 16_384].map(prompt_graphs), [0, 1, 42, 58, 74]);
    }

    #[test]
    fn a_larger_encoder_leaves_less_of_the_fraction() {
        let rule = ReservedMemory { vision_share: 0.95, ..ReservedMemory::default() };
        let launch = |encoder_size| Launch { encoder_size, ..Launch::default() };
        let left = |size| rule.of_fraction(&launch(size));
        assert_eq!(left(None), 1.0);
        assert_eq!(left(Some(1.0)), 0.95);
        assert!(
            (left(Some(0.1)) - 0.95 * 1.05).abs() < 1e-12 && (left(Some(9.0)) - 0.95 * 0.8).abs() < 1e-12
        );
    }

    #[test]
    fn a_server_of_images_takes_the_fraction_that_it_logs() {
        // Kimi-K2.5 (27 layers of 1152) on eight MI355X under 0.5.8, February 2026: mem_fraction_static=0.8260405859375.
        let (engine, gpu) = (super::super::engine("sglang@0.5.8"), super::super::gpu("mi355x"));
        let encoder_size = Some(27.0 * 1152.0 * 1152.0 / (24.0 * 1024.0 * 1024.0));
        let launch =
            Launch { tp: 8, ranks: 8, attention_dp: 1, latent: true, encoder_size, ..Launch::default() };
        let fraction = engine.unwrap().default_fraction(&gpu.unwrap(), launch);
        assert!((fraction - 0.826_040_585_937_5).abs() < 1e-9, "{fraction}");
    }

    #[test]
    fn a_version_with_larger_steps_keeps_more_free_on_small_gpus() {
        let of = |engine: &str, ranks: u32, exchanges| {
            let launch = Launch {
                tp: ranks,
                ranks: u64::from(ranks),
                attention_dp: 1,
                exchanges,
                ..Launch::default()
            };
            let gpu = super::super::gpu("rtx-5090").unwrap();
            super::super::engine(engine).unwrap().default_fraction(&gpu, launch)
        };
        // 0.5.19 memory_hook.py: 512 + 2,048 × 1.5 + 24 × 2 + 42 × 8 + 128 = 4,096 MiB of 32,607. 0.5.20: 512 + 4,096 × 1.5 +
        // 48 × 2 + 50 × 8 + 128 = 7,280 MiB.
        assert!((of("sglang@0.5.19", 1, false) - 0.874).abs() < 0.0015, "{}", of("sglang@0.5.19", 1, false));
        for version in ["sglang@0.5.20", "sglang@0.5.23"] {
            assert!((of(version, 1, false) - 0.777).abs() < 0.0015, "{}", of(version, 1, false));
        }
        // 2,048 MiB more for DeepEP's buffers, from 0.5.16 on.
        let more = |engine| of(engine, 8, false) - of(engine, 8, true);
        assert!((more("sglang@0.5.23") - 2048.0 / 32_607.0).abs() < 0.0015, "{}", more("sglang@0.5.23"));
        assert_eq!(more("sglang@0.5.15"), 0.0);
    }
}
