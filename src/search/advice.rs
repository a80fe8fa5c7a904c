//! What would make it work: the question asked again with one thing changed.

use itertools::Itertools as _;

use crate::catalog::Cluster;
use crate::catalog::Engine;
use crate::diagnostic::Diagnostic;
use crate::dtype::{DType, WeightFormat};
use crate::estimate::deployment::Estimate;
use crate::plan::Precision;
use crate::workload::{Targets, Workload};

use super::{Question, Verification};

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
        let fp8 = self.pools.iter().any(|p| p.gpu.peak(DType::Fp8).is_some());
        let wide = self.model.quantisation.main_format().element().bits() > 8;
        if fp8 {
            let kv = |p: &Precision| Precision { kv: Some(DType::Fp8), ..*p };
            self.tried("an FP8 KV cache (--kv fp8)", kv, &mut advice)?;
        }
        if wide && self.precisions.iter().all(|p| p.weights.is_none()) {
            let fp8 = |p: &Precision| Precision { weights: Some(WeightFormat::Fp8), ..*p };
            self.tried("FP8 weights (--weights fp8)", fp8, &mut advice)?;
        }
        let gguf = |e: &Engine| e.weight_formats.contains(&WeightFormat::Q4KM);
        if self.engines.iter().any(gguf) && self.precisions.iter().all(|p| p.weights.is_none()) {
            let packed = |p: &Precision| Precision { weights: Some(WeightFormat::Q4KM), ..*p };
            self.tried("four-bit GGUF weights (--weights q4_k_m)", packed, &mut advice)?;
        }
        for factor in [2, 4] {
            self.larger(factor, &mut advice)?;
        }
        if self.workload.isl + self.workload.osl > 4096 {
            let workload = Workload { isl: (self.workload.isl / 2).max(1), ..self.workload };
            self.ask("half the prompt", &Question { workload, ..self.clone() }, &mut advice)?;
        }
        if self.workload.targets != Targets::default() {
            let workload = Workload { targets: Targets::default(), ..self.workload };
            self.ask("no latency targets", &Question { workload, ..self.clone() }, &mut advice)?;
        }
        Ok(advice)
    }

    fn tried(
        &self,
        change: &str,
        to: impl Fn(&Precision) -> Precision,
        advice: &mut Vec<Advice>,
    ) -> Result<(), Diagnostic> {
        let precisions = self.precisions.iter().map(to).collect();
        self.ask(change, &Question { precisions, ..self.clone() }, advice)
    }

    fn larger(&self, factor: u32, advice: &mut Vec<Advice>) -> Result<(), Diagnostic> {
        let Some(pools) = self.pools.iter().map(|p| enlarged(p, factor)).collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let question = Question { pools: &pools, ..self.clone() };
        let names = pools.iter().map(|p| &p.id).join("+");
        let change = format!("{} GPUs (--cluster {names})", question.gpus());
        self.ask(&change, &question, advice)
    }

    fn ask(&self, change: &str, question: &Question, advice: &mut Vec<Advice>) -> Result<(), Diagnostic> {
        let question =
            Question { top: 1, current: None, verification: Verification::NONE, ..question.clone() };
        if let Some(best) = question.answer()?.best.into_iter().next() {
            advice.push(Advice { change: change.to_owned(), best });
        }
        Ok(())
    }
}
