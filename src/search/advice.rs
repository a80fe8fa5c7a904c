//! What would make it work: the question asked again with one thing changed.

use itertools::Itertools as _;

use crate::catalog::{self, Cluster, Engine};
use crate::diagnostic::Diagnostic;
use crate::dtype::{DType, WeightFormat};
use crate::estimate::estimated::Estimate;
use crate::plan::Precision;
use crate::workload::{Targets, Workload};

use super::{Launch, LimitOverrides, Question};

/// Share of the memory that an engine can be given where nothing else runs on the GPU.
const MOST_MEMORY: f64 = 0.96;

/// Tokens of a step that delays others little.
const SMALL_STEP: u64 = 2048;

/// The engine that reads GGUF files.
const READS_FILES: &str = "llama.cpp";

/// Formats of files that are tried, the widest first.
const FILES: [WeightFormat; 4] =
    [WeightFormat::Q4KM, WeightFormat::Iq4Xs, WeightFormat::Q3KM, WeightFormat::Q2K];

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
            let change = match self.workload.sessions {
                None => format!("half the prompt (--isl {isl})"),
                Some(_) => "half the prompt".to_owned(),
            };
            self.ask(&change, &Question { workload, ..self.clone() }, &mut advice)?;
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

    /// The checkpoint's format and narrower ones, each on the fewest GPUs that do; fewer GPUs first. Of the formats of files
    /// the widest that does.
    fn with_formats_and_gpus(&self, advice: &mut Vec<Advice>) -> Result<(), Diagnostic> {
        let bits = self.model.quantisation.main_format().element().bits();
        let own = self.precisions.iter().all(|p| p.weights.is_none());
        let takes = |format: &WeightFormat| self.engines.iter().any(|e| e.weight_formats.contains(format));
        let mut open: Vec<Vec<Option<WeightFormat>>> = vec![vec![None]];
        if own && bits > 8 && self.computes_fp8() && takes(&WeightFormat::Fp8) {
            open.push(vec![Some(WeightFormat::Fp8)]);
        }
        if own && bits > 4 {
            open.push(Some(WeightFormat::Int4).filter(takes).map(Some).into_iter().collect());
            open.push(FILES.into_iter().filter(takes).map(Some).collect());
        }
        for factor in FACTORS {
            let plain = self.plain_pools().iter().map(|p| p.times(factor));
            let Some(mut pools) = plain.collect::<Option<Vec<_>>>() else { break };
            // What spans kinds is asked as it is: more cards of a machine are another machine.
            pools.extend(self.pools.iter().skip(pools.len()).filter(|_| factor == 1).cloned());
            let known = advice.len();
            let mut still = Vec::new();
            for formats in open {
                if !self.with_one_of(&formats, (factor, &pools), advice)? {
                    still.push(formats);
                }
            }
            open = still;
            if factor == 1 && advice.len() == known && own && bits > 4 {
                self.with_files(advice)?;
            }
        }
        Ok(())
    }

    /// The first of some formats that does on so many times the GPUs, if one does.
    fn with_one_of(
        &self,
        formats: &[Option<WeightFormat>],
        (factor, pools): (u32, &[Cluster]),
        advice: &mut Vec<Advice>,
    ) -> Result<bool, Diagnostic> {
        for format in formats {
            // Nothing is changed.
            if factor == 1 && format.is_none() {
                continue;
            }
            let weights = |p: &Precision| Precision { weights: format.or(p.weights), ..*p };
            let precisions = self.precisions.iter().map(weights).collect();
            let question = Question { pools, precisions, ..self.clone() };
            let names = pools.iter().filter(|p| !p.spans_kinds()).map(|p| &p.id).join("+");
            let gpus = format!("{} GPUs (--cluster {names})", question.gpus());
            let change = match (factor, format.map(words)) {
                (1, words) => words.unwrap_or_default(),
                (_, None) => gpus,
                (_, Some(words)) => format!("{gpus} with {words}"),
            };
            if self.ask(&change, &question, advice)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An engine that reads files of fewer bits and leaves with the host what finds no room on the GPUs, where the engines
    /// that are asked about do neither.
    fn with_files(&self, advice: &mut Vec<Advice>) -> Result<(), Diagnostic> {
        if self.engines.iter().any(Engine::reads_gguf) {
            return Ok(());
        }
        let engine = catalog::engine(READS_FILES)?;
        let alone = |launch: &Launch| Launch {
            limits: LimitOverrides { memory_fraction: None, ..launch.limits },
            ..*launch
        };
        let launches: Vec<Launch> = self.launches.iter().map(alone).collect();
        for format in FILES {
            let weights = |p: &Precision| Precision { weights: Some(format), ..*p };
            let precisions = self.precisions.iter().map(weights).collect();
            let engines = std::slice::from_ref(&engine);
            let question = Question { engines, precisions, launches: launches.clone(), ..self.clone() };
            let change = format!("{} (--engine {READS_FILES} --weights {format})", engine.name);
            if self.ask(&change, &question, advice)? {
                break;
            }
        }
        Ok(())
    }

    fn computes_fp8(&self) -> bool {
        self.pools.iter().any(|p| p.gpu.peak(DType::Fp8).is_some())
    }

    /// Asks as whoever types it would: what is advised is what the answer's first plan comes to. Says whether there is one.
    fn ask(&self, change: &str, question: &Question, advice: &mut Vec<Advice>) -> Result<bool, Diagnostic> {
        let question = Question { current: None, ..question.clone() };
        let best = question.answer()?.best.into_iter().next();
        let found = best.is_some();
        advice.extend(best.map(|best| Advice { change: change.to_owned(), best }));
        Ok(found)
    }
}

/// What a narrower format is called, with the option that asks for it.
fn words(format: WeightFormat) -> String {
    match format {
        WeightFormat::Fp8 => "FP8 weights (--weights fp8)".to_owned(),
        WeightFormat::Int4 => "INT4 weights (--weights int4)".to_owned(),
        format => format!("GGUF weights of fewer bits (--weights {format})"),
    }
}
