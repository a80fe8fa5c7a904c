//! Replicas of different sizes, where equal ones would leave GPUs idle.

use crate::diagnostic::Diagnostic;
use crate::estimate::estimated::Estimate;
use crate::rank::Objective;
use crate::workload::Load;

use super::{Combined, Mode, Question, Verification};

/// The best replicas of some GPUs: how many of which candidate, and what they deliver.
#[derive(Clone, Debug, Default)]
struct Packing {
    output: f64,
    /// Candidates, by number.
    replicas: Vec<usize>,
}

impl Question<'_> {
    /// Replicas of different sizes that deliver more than `best` does, which leaves GPUs idle. They stand inside
    /// nodes: each node is packed for itself.
    ///
    /// `None` where nothing idles or nothing more is delivered, where the user pins replicas, and where a load
    /// is given: equal replicas share it evenly, others would not.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub(super) fn mixed(&self, best: Option<&Estimate>) -> Result<Option<Combined>, Diagnostic> {
        let ([pool], Some(best)) = (self.pools, best) else { return Ok(None) };
        let free = self.workload.load == Load::Saturate && self.pins.replicas.is_empty();
        if !free || best.idle_gpus == 0 || self.objective != Objective::Throughput {
            return Ok(None);
        }
        if best.prefill.is_some() {
            // Pools that serve each other stay, and what they leave does everything.
            let mixed = self.sum(self.filled(vec![best.clone()])?);
            return Ok(mixed.filter(|mixed| mixed.output > best.output && mixed.plans.len() > 1));
        }
        let mut alone = Question {
            mode: Mode::Aggregated,
            top: usize::MAX,
            current: None,
            verification: Verification::NONE,
            ..self.clone()
        };
        alone.pins.replicas = vec![1];
        let candidates = alone.best_of_each_size(u64::from(pool.gpus_per_node))?;
        let per_node = pool.gpus_per_node as usize;
        let packings = packed(&candidates, per_node);
        let (nodes, rest) = (pool.gpus as usize / per_node, pool.gpus as usize % per_node);
        let mut count = vec![0u32; candidates.len()];
        for (times, gpus) in [(nodes as u32, per_node), (1, rest)] {
            packings[gpus].replicas.iter().for_each(|n| count[*n] += times);
        }
        let mut plans = Vec::new();
        let simulating = Question { top: 1, current: None, ..self.clone() };
        for (one, n) in candidates.into_iter().zip(count).filter(|(_, n)| *n > 0) {
            plans.extend(simulating.simulated(one)?.map(|one| several(&one, n)));
        }
        let mixed = self.sum(plans);
        Ok(mixed.filter(|mixed| mixed.output > best.output && mixed.plans.len() > 1))
    }

    /// The best single replica of each size up to that of a node.
    fn best_of_each_size(&self, per_node: u64) -> Result<Vec<Estimate>, Diagnostic> {
        let mut sizes: Vec<Estimate> = Vec::new();
        for plan in self.answers(&[self.own_variant()])?.pop().map(|a| a.best).unwrap_or_default() {
            if plan.gpus <= per_node && sizes.iter().all(|known| known.gpus != plan.gpus) {
                sizes.push(plan);
            }
        }
        Ok(sizes)
    }
}

/// So many replicas of what is an estimate of one.
fn several(one: &Estimate, replicas: u32) -> Estimate {
    let n = f64::from(replicas);
    Estimate {
        replicas,
        gpus: one.gpus * u64::from(replicas),
        idle_gpus: 0,
        output: one.output * n,
        price: one.price.map(|p| p * n),
        in_flight: one.in_flight * n,
        ranges: one.ranges.map(|r| r.times(n)),
        ..one.clone()
    }
}

/// The packing of 0, 1, … `most` GPUs that delivers most: what one GPU fewer does, or the best with one more
/// replica.
fn packed(candidates: &[Estimate], most: usize) -> Vec<Packing> {
    let mut best: Vec<Packing> = vec![Packing::default()];
    for gpus in 1..=most {
        let mut chosen = best[gpus - 1].clone();
        for (n, candidate) in candidates.iter().enumerate() {
            let Some(left) = gpus.checked_sub(candidate.gpus as usize) else { continue };
            let output = best[left].output + candidate.output.get();
            if output > chosen.output {
                let replicas = best[left].replicas.iter().copied().chain([n]).collect();
                chosen = Packing { output, replicas };
            }
        }
        best.push(chosen);
    }
    best
}
