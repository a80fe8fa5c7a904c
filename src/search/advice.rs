//! What would make it work: the question asked again with one thing changed.

use itertools::Itertools as _;

use crate::catalog::Cluster;
use crate::diagnostic::Diagnostic;
use crate::dtype::{DType, WeightFormat};
use crate::estimate::estimated::Estimate;
use crate::plan::Precision;
use crate::workload::{Targets, Workload};

use super::verification::Depth;
use super::{Launch, LimitOverrides, Question, Verification};

/// Share of the memory that an engine can be given where nothing else runs on the GPU.
const MOST_MEMORY: f64 = 0.96;

/// Tokens of a step that delays others little.
const SMALL_STEP: u64 = 2048;

/// How many times the GPUs are tried.
const FACTORS: [u32; 4] = [1, 2, 4, 8];

/// A change, and the best plan it leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// What is changed.
    pub change: String,
    /// The best plan then.
    pub best: Estimate,
}

/// A pool with `factor` times its GPUs; `None` when that is too many to count.
fn enlarged(pool: &Cluster, factor: u32) -> Option<Cluster> {
    let gpus = pool.gpus.checked_mul(factor)?;
    let per_node = pool.gpu.gpus_per_node.max(pool.gpus_per_node).min(gpus);
    if factor == 1 {
        return Some(pool.clone());
    }
    Some(Cluster {
        id: format!("{gpus}x{}", pool.gpu.id),
        gpus,
        gpus_per_node: per_node,
        nodes: gpus.div_ceil(per_node),
        bridge: pool.bridge.clone().filter(|b| per_node.is_multiple_of(b.bridge.gpus)),
        ..pool.clone()
    })
}

impl Question<'_> {
    /// Changes that lead from no feasible plan to one, the least intrusive first.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub fn advice(&self) -> Result<Vec<Advice>, Diagnostic> {
        let mut advice = Vec::new();
        self.with_other_limits(&mut advice)?;
        self.with_other_cache(&mut advice)?;
        self.with_formats_and_gpus(&mut advice)?;
        if self.workload.context() > 4096 {
            let half = |tokens: u64| (tokens / 2).max(1);
            let (isl, prefix) = (half(self.workload.isl), self.workload.cached_prefix / 2);
            let workload = Workload { isl, cached_prefix: prefix, ..self.workload };
            self.ask("half the prompt", &Question { workload, ..self.clone() }, &mut advice)?;
        }
        if self.targets != Targets::default() {
            let targets = Targets::default();
            self.ask("no latency targets", &Question { targets, ..self.clone() }, &mut advice)?;
        }
        Ok(advice)
    }

    /// The engine's own knobs: more of the memory, smaller steps.
    fn with_other_limits(&self, advice: &mut Vec<Advice>) -> Result<(), Diagnostic> {
        let free = |of: fn(&LimitOverrides) -> bool| self.launches.iter().all(|launch| of(&launch.limits));
        let with = |limits: &dyn Fn(&LimitOverrides) -> LimitOverrides| {
            let launches = self.launches.iter();
            launches.map(|launch| Launch { limits: limits(&launch.limits), ..*launch }).collect()
        };
        if free(|limits| limits.memory_fraction.is_none()) && self.engines.iter().all(|e| e.host.is_none()) {
            let launches = with(&|l| LimitOverrides { memory_fraction: Some(MOST_MEMORY), ..*l });
            let change = format!("more of the memory (--memory-fraction {MOST_MEMORY})");
            self.ask(&change, &Question { launches, ..self.clone() }, advice)?;
        }
        if free(|limits| limits.max_batched_tokens.is_none()) {
            let launches = with(&|l| LimitOverrides { max_batched_tokens: Some(SMALL_STEP), ..*l });
            let change = format!("smaller steps (--max-batched-tokens {SMALL_STEP})");
            self.ask(&change, &Question { launches, ..self.clone() }, advice)?;
        }
        Ok(())
    }

    fn with_other_cache(&self, advice: &mut Vec<Advice>) -> Result<(), Diagnostic> {
        if self.computes_fp8() && self.precisions.iter().all(|p| p.kv.is_none()) {
            let precisions =
                self.precisions.iter().map(|p| Precision { kv: Some(DType::Fp8), ..*p }).collect();
            self.ask("an FP8 KV cache (--kv fp8)", &Question { precisions, ..self.clone() }, advice)?;
        }
        Ok(())
    }

    /// The checkpoint's format and narrower ones, each on the fewest GPUs that do; fewer GPUs first.
    fn with_formats_and_gpus(&self, advice: &mut Vec<Advice>) -> Result<(), Diagnostic> {
        let bits = self.model.quantisation.main_format().element().bits();
        let own = self.precisions.iter().all(|p| p.weights.is_none());
        let narrower = [
            (WeightFormat::Fp8, "FP8 weights (--weights fp8)", bits > 8 && self.computes_fp8()),
            (WeightFormat::Int4, "INT4 weights (--weights int4)", bits > 4),
            (WeightFormat::Q4KM, "four-bit GGUF weights (--weights q4_k_m)", bits > 4),
        ];
        let takes = |format| self.engines.iter().any(|engine| engine.weight_formats.contains(&format));
        let narrower = narrower.into_iter().filter(|(format, _, may)| own && *may && takes(*format));
        let formats =
            std::iter::once((None, "")).chain(narrower.map(|(format, says, _)| (Some(format), says)));
        let mut open: Vec<(Option<WeightFormat>, &str)> = formats.collect();
        for factor in FACTORS {
            let Some(pools) = self.pools.iter().map(|p| enlarged(p, factor)).collect::<Option<Vec<_>>>()
            else {
                break;
            };
            let mut still = Vec::new();
            for (format, says) in open {
                // Nothing is changed.
                if factor == 1 && format.is_none() {
                    still.push((format, says));
                    continue;
                }
                let weights = |p: &Precision| Precision { weights: format.or(p.weights), ..*p };
                let precisions = self.precisions.iter().map(weights).collect();
                let question = Question { pools: &pools, precisions, ..self.clone() };
                let names = pools.iter().map(|p| &p.id).join("+");
                let gpus = format!("{} GPUs (--cluster {names})", question.gpus());
                let change = match (factor, format) {
                    (1, _) => says.to_owned(),
                    (_, None) => gpus,
                    (_, Some(_)) => format!("{gpus} with {says}"),
                };
                let known = advice.len();
                self.ask(&change, &question, advice)?;
                if advice.len() == known {
                    still.push((format, says));
                }
            }
            open = still;
        }
        Ok(())
    }

    fn computes_fp8(&self) -> bool {
        self.pools.iter().any(|p| p.gpu.peak(DType::Fp8).is_some())
    }

    fn ask(&self, change: &str, question: &Question, advice: &mut Vec<Advice>) -> Result<(), Diagnostic> {
        // As the answer to the question itself would be: what is advised holds.
        let verification = match self.verification.depth {
            Depth::Nothing => Verification::NONE,
            Depth::First | Depth::Plans(_) => Verification::UNASKED,
        };
        let question = Question { top: 1, current: None, verification, ..question.clone() };
        if let Some(best) = question.answer()?.best.into_iter().next() {
            advice.push(Advice { change: change.to_owned(), best });
        }
        Ok(())
    }
}
