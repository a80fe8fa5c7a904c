//! An engine as it is launched: the ways that are asked for by name, `--engine sglang@deepep`, and what tells it
//! from others.

use super::engine::Engine;
use super::launch::ExpertExchange;
use super::version::Asked;
use crate::diagnostic::{Code, Diagnostic};

impl Engine {
    /// Applies those of its launches that are named; other names change nothing.
    pub fn launch_with<S: AsRef<str>>(&mut self, names: &[S]) {
        for (name, mode) in &self.launches {
            if names.iter().any(|asked| asked.as_ref() == name) {
                self.launch = self.launch.with(mode);
                self.scheduling.eager |= mode.eager;
                self.scheduling.prefill_graphs &= !mode.eager;
                self.scheduling.rank_wait_steps =
                    mode.rank_wait_steps.unwrap_or(self.scheduling.rank_wait_steps);
                if let Some(most) = mode.max_sequences {
                    (self.defaults.max_sequences, self.defaults.most_sequences) = (most, None);
                }
                self.launched.push(name.clone());
            }
        }
    }

    /// What makes no sense about its launches.
    pub(super) fn launch_problems(&self) -> Vec<Diagnostic> {
        let fail = |why: String| {
            let problem = Diagnostic::new(Code::Catalog, format!("launches: {why}"));
            problem.at(format!("engine {}", self.id)).field("launches")
        };
        let spelled = |name: &str| Asked::read(name).words == [name];
        let unspelled =
            self.launches.keys().filter(|name| !spelled(name)).map(|name| {
                fail(format!("`{name}` cannot be asked for: a name is one word in small letters"))
            });
        let fits = |e: &ExpertExchange| {
            [e.link_efficiency, e.fabric_efficiency].iter().all(|share| (0.01..=1.0).contains(share))
        };
        let odd = self.launches.iter().filter(|(_, mode)| mode.expert_exchange.is_some_and(|e| !fits(&e)));
        let odd = odd.map(|(name, _)| fail(format!("`{name}`: efficiencies lie between 0.01 and 1")));
        unspelled.chain(odd).collect()
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

/// The engine's id in a label.
pub fn engine_of(label: &str) -> &str {
    label.split_once('@').map_or(label, |(id, _)| id)
}

#[cfg(test)]
mod tests {
    use crate::catalog;

    #[test]
    fn a_label_asks_for_what_it_names() {
        for label in ["sglang", "sglang@deepep-eplb-tbo", "vllm@dbo"] {
            let engine = catalog::engine(label).unwrap();
            assert_eq!((engine.label().as_str(), super::engine_of(label)), (label, engine.id.as_str()));
        }
    }

    #[test]
    fn launches_add_up() {
        let launch = |name: &str| catalog::engine(name).unwrap().launch;
        let (exchange, balancer) = (launch("sglang@deepep"), launch("sglang@eplb"));
        assert!(!exchange.expert_balancer && balancer.expert_exchange.is_none());
        let both = launch("sglang@eplb-deepep");
        assert_eq!(both.expert_exchange, exchange.expert_exchange);
        assert!(both.expert_balancer && !both.batch_overlap);
    }
}
