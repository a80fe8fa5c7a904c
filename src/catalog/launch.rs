//! Ways to launch an engine that are asked for by name beside its defaults: `--engine sglang@deepep`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::engine::Engine;
use crate::units::Seconds;

/// What a way to launch an engine changes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaunchMode {
    /// How tokens get to their experts.
    #[serde(default)]
    pub expert_exchange: Option<ExpertExchange>,
    /// Whether a load balancer with redundant experts spreads the hot ones.
    #[serde(default)]
    pub expert_balancer: bool,
    /// Whether a step runs as two half batches, of which one computes while the other's tokens are exchanged.
    #[serde(default)]
    pub batch_overlap: bool,
}

/// Tokens that go to the ranks of their experts alone (all-to-all) in place of all tokens to all ranks, where
/// attention is data-parallel.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpertExchange {
    /// Tokens of a rank for which each expert has room in the buffers.
    pub buffer_tokens: u64,
    /// What an exchange takes beside its bytes.
    pub latency: Seconds,
    /// Share of the bandwidth inside a node that it reaches.
    pub link_efficiency: f64,
    /// Share of a GPU's bandwidth between nodes that it reaches.
    pub fabric_efficiency: f64,
}

impl Engine {
    /// Applies those of its launches that are named; other names change nothing.
    pub fn launch<S: AsRef<str>>(&mut self, names: &[S]) {
        for (name, mode) in &self.launches {
            if names.iter().any(|asked| asked.as_ref() == name) {
                self.parallel.expert_exchange = mode.expert_exchange.or(self.parallel.expert_exchange);
                self.parallel.expert_balancer |= mode.expert_balancer;
                self.parallel.batch_overlap |= mode.batch_overlap;
                self.launched.push(name.clone());
            }
        }
    }

    /// Tokens of a step on one of `attention_dp` attention-data-parallel ranks, where it is launched with so many.
    pub fn tokens_per_rank(&self, max_batched_tokens: u64, attention_dp: u32) -> u64 {
        match self.defaults.tokens_of_all_ranks {
            true => (max_batched_tokens / u64::from(attention_dp.max(1))).max(1),
            false => max_batched_tokens,
        }
    }

    /// What tells it from others in one table: its id, then how it is launched, `sglang@deepep`.
    pub fn label(&self) -> String {
        let words = self.spelled.map(|v| v.to_string()).into_iter().chain(self.launched.iter().cloned());
        let words = words.collect::<Vec<_>>().join("-");
        if words.is_empty() { self.id.clone() } else { format!("{}@{words}", self.id) }
    }

    /// Spells out the versions of engines that their labels do not tell apart.
    pub fn tell_apart(engines: &mut [Engine]) {
        let labels: Vec<String> = engines.iter().map(Engine::label).collect();
        for (engine, label) in engines.iter_mut().zip(&labels) {
            if labels.iter().filter(|other| *other == label).count() > 1 {
                engine.spelled = Some(engine.version);
            }
        }
    }
}
