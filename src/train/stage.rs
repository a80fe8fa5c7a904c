//! The stages of a pipeline: which layers each holds, and what one microbatch means there.

use crate::model::Model;

use super::layer::{Shape, Taking, Work};
use super::machine::Machine;

/// The work of a model's parts for one shape, from which stages are put together.
#[derive(Clone, Debug)]
pub struct Parts {
    before: Work,
    groups: Vec<Work>,
    after: Work,
    /// Multi-token prediction.
    prediction: Work,
    /// Its pass through the head.
    predicted: Work,
}

/// A stage, or several alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// One microbatch through all its layers.
    pub work: Work,
    /// Number of the first such stage, from 0.
    pub first: u32,
    /// How many there are.
    pub count: u32,
    /// Whether it is the last one of the pipeline, which computes the loss.
    pub is_last: bool,
    /// Its largest layer, for what is gathered or computed again one by one.
    pub largest: Work,
    /// What stands outside its layers: embedding, head.
    pub outside: Work,
}

/// Layers of each group on each stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    counts: Vec<Vec<u32>>,
}

impl Layers {
    /// Divides a model's layers over `pp` stages of `chunks` chunks each, as evenly as possible; where the
    /// embedding and the head make the count even, each stands for a layer (Megatron's
    /// `account_for_embedding_in_pipeline_split`). `None` if a chunk would be empty.
    pub fn of(model: &Model, pp: u32, chunks: u32) -> Option<Layers> {
        let total = u32::try_from(model.layers()).ok()?;
        let pieces = pp.checked_mul(chunks)?;
        if pieces == 0 {
            return None;
        }
        let padded = !total.is_multiple_of(pieces) && (total + 2).is_multiple_of(pieces) && pieces > 1;
        if pieces > total && !padded {
            return None;
        }
        let (all, skipped) = if padded { (total + 2, 1) } else { (total, 0) };
        let mut group_of = vec![0usize; total as usize];
        for (g, group) in model.groups.iter().enumerate() {
            group.layers.iter().for_each(|l| group_of[*l as usize] = g);
        }
        let mut counts = vec![vec![0u32; model.groups.len()]; pp as usize];
        let (base, rest) = (all / pieces, all % pieces);
        let mut next = 0u32;
        for piece in 0..pieces {
            // What is left over goes to the pieces before the last, which holds the head already.
            let extra = u32::from(piece + 1 < pieces && piece + 1 + rest >= pieces);
            let ends = u32::from(padded && (piece == 0)) + u32::from(padded && piece + 1 == pieces);
            let size = (base + extra).saturating_sub(ends * skipped);
            let stage = &mut counts[(piece % pp) as usize];
            for layer in next..(next + size).min(total) {
                stage[group_of[layer as usize]] += 1;
            }
            next = (next + size).min(total);
        }
        Some(Layers { counts })
    }

    /// Whether every chunk has as many layers, embedding and head counting for one each at need.
    pub fn even(model: &Model, pp: u32, chunks: u32) -> bool {
        let pieces = u64::from(pp) * u64::from(chunks);
        let total = model.layers();
        pieces > 0 && (total.is_multiple_of(pieces) || (total + 2).is_multiple_of(pieces))
    }
}

impl Parts {
    /// Takes a model apart for one shape.
    pub fn of(model: &Model, machine: &Machine, shape: Shape, with_prediction: bool) -> Parts {
        let taking = Taking::new(machine, shape, model.hidden);
        let outer = model.outer_formats();
        let after = taking.blocks(&model.after, outer, false);
        let before = taking.blocks(&model.before, outer, false);
        let (mut prediction, mut predicted) = (Work::default(), Work::default());
        if with_prediction && !model.mtp.is_empty() {
            prediction = taking.blocks(&model.mtp, model.groups[0].formats, true);
            // All losses are computed before backward starts. The head is the main one; the embedding, which
            // it reads too, has a copy on the last stage.
            predicted = Work { dense: 0.0, trained_dense: 0.0, ..after };
            if shape.split.pp > 1 {
                predicted.dense = before.dense;
                predicted.trained_dense = before.trained_dense;
            }
        }
        Parts {
            before,
            groups: model.groups.iter().map(|g| taking.blocks(&g.blocks, g.formats, true)).collect(),
            after,
            prediction,
            predicted,
        }
    }

    /// What stands before the layers.
    pub fn before(&self) -> &Work {
        &self.before
    }

    /// One layer of each of the model's groups.
    pub fn groups(&self) -> &[Work] {
        &self.groups
    }

    /// What stands after the layers.
    pub fn after(&self) -> &Work {
        &self.after
    }

    /// The stages that differ, in order; `folded` ones stand in pairs on their ranks, the first with the last.
    pub fn stages(&self, layers: &Layers, folded: bool) -> Vec<Stage> {
        let last = layers.counts.len() - 1;
        if folded && last > 0 {
            return self.folded(layers, last);
        }
        let mut stages: Vec<(Stage, &[u32])> = Vec::with_capacity(4);
        for (i, counts) in layers.counts.iter().enumerate() {
            let alone = i == 0 || i == last;
            let same = stages
                .iter_mut()
                .find(|(s, c)| !alone && s.first > 0 && !s.is_last && *c == counts.as_slice());
            match same {
                Some((stage, _)) => stage.count += 1,
                None => stages.push((self.stage(counts, i, last), counts)),
            }
        }
        stages.into_iter().map(|(s, _)| s).collect()
    }

    /// Each rank holds two stages and half of the microbatches run through either: their mean.
    fn folded(&self, layers: &Layers, last: usize) -> Vec<Stage> {
        let mut stages: Vec<Stage> = Vec::with_capacity(4);
        for i in 0..layers.counts.len().div_ceil(2) {
            let (a, b) = (
                self.stage(&layers.counts[i], i, last),
                self.stage(&layers.counts[last - i], last - i, last),
            );
            let mean = |a: Work, b: Work| {
                let mut sum = a;
                sum += b;
                sum * 0.5
            };
            let stage = Stage {
                work: mean(a.work, b.work),
                outside: mean(a.outside, b.outside),
                largest: if a.largest.dense > b.largest.dense { a.largest } else { b.largest },
                count: 2,
                is_last: i == 0,
                ..a
            };
            match stages.last_mut() {
                Some(same) if !same.is_last && same.work == stage.work => same.count += 2,
                _ => stages.push(stage),
            }
        }
        stages
    }

    fn stage(&self, counts: &[u32], i: usize, last: usize) -> Stage {
        let mut work = Work::default();
        let mut largest = Work::default();
        let mut outside = Work::default();
        for (group, n) in self.groups.iter().zip(counts).filter(|(_, n)| **n > 0) {
            work += *group * f64::from(*n);
            if group.dense + group.experts > largest.dense + largest.experts {
                largest = *group;
            }
        }
        if i == 0 {
            outside += self.before;
        }
        if i == last {
            outside += self.after;
            outside += self.predicted;
            work += self.prediction;
        }
        work += outside;
        let first = u32::try_from(i).unwrap_or(u32::MAX);
        Stage { work, first, count: 1, is_last: i == last, largest, outside }
    }
}
