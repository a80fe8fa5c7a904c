//! Launch limits: what is stated, and what the engine answers where nothing is.

use super::captured::Captured;
use crate::catalog::engine::{NeverCut, SmallSteps};
use crate::catalog::{Engine, Gpu};
use crate::model::Model;
use crate::plan::Offload;
use crate::units::Bytes;
use crate::workload::Keeping;

/// Launch limits as they are stated. The engine answers for those that are not, and whether one is stated is
/// never guessed from its value: a limit that is stated as high as the default is kept all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimitOverrides {
    /// Sequences in one batch.
    pub max_sequences: Option<u64>,
    /// Tokens in one step.
    pub max_batched_tokens: Option<u64>,
    /// Memory fraction.
    pub memory_fraction: Option<f64>,
    /// What stays in the host's memory.
    pub offload: Offload,
    /// What else is stated of the start.
    pub start: Start,
    /// How prefixes are kept.
    pub keeping: Keeping,
    /// Whether the launch is yet to be written: it states a limit on sequences that fits the plan, where none is
    /// stated here.
    pub planned: bool,
}

/// What a launch states of its start beside limits and degrees, as far as it changes what an engine sets aside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Start {
    /// Tokens of the longest request that the server takes, prompt and output together.
    pub length: Option<u64>,
    /// Whether CUDA graphs are left out.
    pub eager: bool,
    /// Which steps have CUDA graphs.
    pub captured: Captured,
    /// Bytes of weights of each GPU that stay in the host's memory and are read from there in every step.
    pub offloaded: Bytes,
    /// Bytes of KV cache on each GPU, in place of what the memory fraction leaves.
    pub cache: Option<Bytes>,
    /// Tokens of a block of the KV cache.
    pub block: Option<u64>,
    /// Whether prefixes are kept.
    pub prefixes: Option<bool>,
    /// Whether the server takes text alone: no image encoder is loaded or tried.
    pub text_only: bool,
    /// Images that a prompt may have.
    pub images: Option<u64>,
    /// Experts of a layer that are held a second time, over all ranks.
    pub redundant_experts: u64,
    /// Whether slots take what they need of one cache that is as long as a request, in place of a part each.
    pub shares_cells: bool,
    /// Whether this is a launch as it stands: what it leaves out is what the server starts with, where a plan's
    /// limits follow the plan.
    pub launched: bool,
}

impl LimitOverrides {
    /// The limits of an engine on a GPU that serves a model whose longest request has `longest` tokens.
    pub fn on(self, engine: &Engine, gpu: &Gpu, model: &Model, longest: u64) -> Limits {
        let defaults = Limits::of(engine, gpu);
        let longest = self.start.length.unwrap_or(longest);
        let whole =
            engine.defaults.whole_prompts && (longest <= LONGEST_WHOLE_PROMPT || never_cuts(engine, model));
        let unstated = match whole {
            true => defaults.max_batched_tokens.max(longest),
            false => defaults.max_batched_tokens,
        };
        let max_batched_tokens = self.max_batched_tokens.unwrap_or(unstated);
        let sequences = match engine.defaults.small_steps {
            SmallSteps::Lowered => defaults.max_sequences.min(max_batched_tokens),
            SmallSteps::Allowed | SmallSteps::Refused => defaults.max_sequences,
        };
        let plans = self.planned && self.max_sequences.is_none();
        let stated = u64::from(engine.defaults.most_sequences.unwrap_or(0)).max(defaults.max_sequences);
        let most = match engine.defaults.small_steps {
            SmallSteps::Allowed => stated,
            SmallSteps::Lowered | SmallSteps::Refused => stated.min(max_batched_tokens),
        };
        Limits {
            max_sequences: self.max_sequences.unwrap_or(sequences),
            max_batched_tokens,
            stated_tokens: self.max_batched_tokens,
            stated_sequences: self.max_sequences,
            planned: plans.then_some(most.max(1)),
            memory_fraction: self.memory_fraction,
            offload: self.offload,
            start: self.start,
            keeping: self.keeping,
            unshared: false,
        }
    }
}

/// Whether an engine that cuts long prompts computes those of a model whole all the same (vLLM V0, `arg_utils.py`,
/// `_set_default_args_v0`: of models that see from 0.6.4 on, with latent attention in 0.8).
pub fn never_cuts(engine: &Engine, model: &Model) -> bool {
    let of = |kind: &NeverCut| match kind {
        NeverCut::Latent => model.is_latent(),
        NeverCut::Images => model.sees(),
    };
    engine.defaults.never_cut.iter().any(of)
}

/// Beyond this even engines that compute prompts whole cut them, into their default steps (vLLM V0,
/// `arg_utils.py`: chunked prefill is on by itself for longer contexts).
const LONGEST_WHOLE_PROMPT: u64 = 32_768;

/// Why a planned server of a model with recurrent layers keeps no prefixes, and how it is told to.
pub const UNSHARED: &str = "nobody says that requests share any, and recurrent layers hold a state for each that is kept: \
                            --prefix-hit, --sessions or --enable-prefix-caching plan for them";

/// Launch limits of an engine: its defaults for the GPU, or what is stated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Sequences in one batch, per attention-data-parallel rank.
    pub max_sequences: u64,
    /// The same where it is stated.
    pub stated_sequences: Option<u64>,
    /// The most that a plan may state, where its limit is still to be found ([`crate::estimate::sequences`]).
    pub planned: Option<u64>,
    /// Tokens in one step, as launched: per attention-data-parallel rank, or of all of them where the engine counts
    /// so ([`Engine::tokens_per_rank`]).
    pub max_batched_tokens: u64,
    /// The tokens of a step where they are stated: engines that work their memory fraction out set aside room for
    /// these, and else for what they take by themselves.
    pub stated_tokens: Option<u64>,
    /// The memory fraction, if not the engine's own.
    pub memory_fraction: Option<f64>,
    /// What stays in the host's memory.
    pub offload: Offload,
    /// What else is stated of the start.
    pub start: Start,
    /// How prefixes are kept.
    pub keeping: Keeping,
    /// Whether a planned server keeps no prefixes because nobody says that requests share any.
    pub unshared: bool,
}

impl Limits {
    /// The engine's defaults on a GPU.
    pub fn of(engine: &Engine, gpu: &Gpu) -> Limits {
        let defaults = engine.launch_defaults(gpu, 1);
        Limits {
            max_sequences: u64::from(defaults.max_sequences),
            stated_sequences: None,
            planned: None,
            max_batched_tokens: u64::from(defaults.max_batched_tokens),
            stated_tokens: None,
            memory_fraction: None,
            offload: Offload::NONE,
            start: Start::default(),
            keeping: Keeping::default(),
            unshared: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use crate::model::{Scope, find};

    /// Tokens of a step of a server that states its longest request alone.
    fn step(engine: &str, model: &str, length: u64) -> u64 {
        let start = Start { length: Some(length), ..Start::default() };
        let stated = LimitOverrides { start, ..LimitOverrides::default() };
        let (engine, gpu) = (catalog::engine(engine).unwrap(), catalog::gpu("h200-sxm").unwrap());
        stated.on(&engine, &gpu, &find(model, &[], Scope::Full).unwrap(), length).max_batched_tokens
    }

    #[test]
    fn small_steps_lower_the_sequences_that_are_not_stated() {
        // vllm/engine/arg_utils.py from 0.10 on: the default of max_num_seqs is no more than max_num_batched_tokens.
        let sequences = |engine: &str, stated: Option<u64>| {
            let limits = LimitOverrides {
                max_batched_tokens: Some(64),
                max_sequences: stated,
                ..LimitOverrides::default()
            };
            let (engine, gpu) = (catalog::engine(engine).unwrap(), catalog::gpu("h200-sxm").unwrap());
            let model = find("llama-3.1-8b", &[], Scope::Full).unwrap();
            limits.on(&engine, &gpu, &model, 4096).max_sequences
        };
        assert_eq!((sequences("vllm", None), sequences("vllm", Some(256))), (64, 256));
        assert_eq!(sequences("vllm@0.9.1", None), 1024);
        assert!(sequences("sglang", None) > 64);
    }

    #[test]
    fn the_first_engine_cuts_long_prompts_but_over_latents_and_beside_images() {
        // arg_utils.py, `_set_default_args_v0`, and config.py, `SchedulerConfig.__post_init__`, of 0.8.5.
        assert_eq!(step("vllm@0.8.5-v0", "llama-3.1-8b", 32_768), 32_768);
        assert_eq!(step("vllm@0.8.5-v0", "llama-3.1-8b", 131_072), 2048);
        assert_eq!(step("vllm@0.8.5-v0", "deepseek-r1", 163_840), 163_840);
        assert_eq!(step("vllm@0.8.5-v0", "qwen2.5-vl-7b", 128_000), 128_000);
        // 0.7.3 had set a step of 2,048 tokens before it turned chunks off for latents.
        assert_eq!(step("vllm@0.7.3", "deepseek-r1", 163_840), 2048);
        // config.py of 0.6.4: 512 tokens.
        assert_eq!(step("vllm@0.6.4", "llama-3.1-8b", 131_072), 512);
        assert_eq!(step("vllm@0.6.4", "llama-3.1-8b", 29_000), 29_000);
    }
}
