//! The space of plans: named axes, a size, and a function from a number to a plan.
//!
//! The space is indexed, never collected. A *layout* is everything but replicas and batch; plans of one
//! layout share its weights, its placement and its compiled step.

use itertools::Itertools;

use crate::catalog::Cluster;
use crate::model::Model;
use crate::workload::{Load, Workload};

use super::degrees::Degrees;
use super::divisors::Divisors;
use super::{Parallelism, Precision};

/// Sequences in flight on one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchPoint {
    /// This many.
    Sequences(u64),
    /// As many as the KV cache and the engine allow.
    Largest,
    /// What the workload's concurrency or rate gives each replica.
    FromLoad,
}

/// The values of each axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    /// Engines, by index into the caller's list.
    pub engines: usize,
    /// Storage of weights and cache.
    pub precisions: Vec<Precision>,
    /// Ways to launch an engine, by index into the caller's list.
    pub launches: usize,
    /// Tensor parallel.
    pub tp: Vec<u32>,
    /// Pipeline stages.
    pub pp: Vec<u32>,
    /// Attention data parallel.
    pub attention_dp: Vec<u32>,
    /// Expert parallel.
    pub ep: Vec<u32>,
    /// Decode context parallel.
    pub dcp: Vec<u32>,
    /// Further splits, with decode context parallel, beside all combinations of the degrees above.
    pub context_splits: Vec<ContextSplit>,
    /// Replicas.
    pub replicas: Counts,
    /// Sequences in flight on one replica.
    pub batch: Vec<BatchPoint>,
}

/// Numbers of replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counts {
    /// As many as the cluster holds.
    All,
    /// Each from one to this.
    UpTo(u32),
    /// Those that the user pins.
    Only(Vec<u32>),
}

impl Counts {
    /// How many there are.
    pub fn number(&self) -> usize {
        match self {
            Counts::All => 1,
            Counts::UpTo(most) => *most as usize,
            Counts::Only(pinned) => pinned.len(),
        }
    }

    /// The one in a place below their number; [`ALL_REPLICAS`] where it depends on the layout.
    pub fn at(&self, place: usize) -> u32 {
        match self {
            Counts::All => ALL_REPLICAS,
            Counts::UpTo(_) => place as u32 + 1,
            Counts::Only(pinned) => pinned[place],
        }
    }
}

/// A split whose ranks divide the tokens of each sequence, as far as it is not all combinations of its degrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextSplit {
    /// Tensor parallel.
    pub tp: u32,
    /// Pipeline stages.
    pub pp: u32,
    /// Decode context parallel.
    pub dcp: u32,
}

/// Stands for as many replicas as the cluster holds.
pub const ALL_REPLICAS: u32 = 0;

/// What the user pins; empty means free.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pins {
    /// The split of a replica, or of a decode worker where pools are split.
    pub split: Degrees,
    /// The split of a prefill worker.
    pub prefill: Degrees,
    /// Replicas.
    pub replicas: Vec<u32>,
    /// Sequences in flight on one replica.
    pub batch: Vec<u64>,
}

impl Pins {
    /// The same with one split of a replica.
    #[must_use]
    pub fn at(self, split: Parallelism) -> Pins {
        Pins { split: Degrees::only(split), ..self }
    }
}

/// Everything but replicas and batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Index into the list of pools.
    pub pool: usize,
    /// Index into the list of engines.
    pub engine: usize,
    /// Storage.
    pub precision: usize,
    /// Index into the list of launches.
    pub launch: usize,
    /// Split of one replica.
    pub parallelism: Parallelism,
}

/// The prefill workers of a plan with split pools; the rest of the plan is of its decode workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefillPool {
    /// Index into the list of pools.
    pub pool: usize,
    /// Split of one worker.
    pub parallelism: Parallelism,
    /// Workers.
    pub workers: u32,
}

/// One point of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Number in the space.
    pub id: u64,
    /// Everything but replicas and batch.
    pub layout: Layout,
    /// Replicas asked for; [`ALL_REPLICAS`] for as many as fit.
    pub replicas: u32,
    /// Sequences in flight on one replica.
    pub batch: BatchPoint,
    /// The workers that compute its prompts, where they do nothing else.
    pub prefill: Option<PrefillPool>,
}

/// The space of plans on one pool. The spaces of several pools follow each other, so that a number
/// means one plan of all.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanSpace {
    axes: Axes,
    pool: usize,
    first: u64,
}

impl PlanSpace {
    /// A space over these axes, on the first pool.
    pub fn new(axes: Axes) -> PlanSpace {
        PlanSpace { axes, pool: 0, first: 0 }
    }

    /// A space over these axes on the pool after that of `self`.
    #[must_use]
    pub fn then(&self, axes: Axes) -> PlanSpace {
        PlanSpace { axes, pool: self.pool + 1, first: self.end() }
    }

    /// The axes.
    pub fn axes(&self) -> &Axes {
        &self.axes
    }

    /// The number after the last of its plans.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.checked_size().unwrap_or(u64::MAX))
    }

    /// Layouts in the space.
    pub fn layouts(&self) -> u64 {
        let a = &self.axes;
        let each = [a.engines, a.precisions.len(), a.launches, self.splits(), a.ep.len()];
        each.iter().map(|n| *n as u64).product()
    }

    /// Splits of a replica, whatever its expert parallel.
    fn splits(&self) -> usize {
        self.combinations() + self.axes.context_splits.len()
    }

    /// Those of them that are combinations of degrees.
    fn combinations(&self) -> usize {
        let a = &self.axes;
        a.tp.len() * a.pp.len() * a.attention_dp.len() * a.dcp.len()
    }

    /// Plans of one layout.
    pub fn plans_per_layout(&self) -> u64 {
        self.axes.replicas.number() as u64 * self.axes.batch.len() as u64
    }

    /// Plans in the space.
    pub fn size(&self) -> u64 {
        self.layouts() * self.plans_per_layout()
    }

    /// Plans in the space; `None` where they are too many to be counted.
    pub fn checked_size(&self) -> Option<u64> {
        let a = &self.axes;
        let product = |all: &[usize]| all.iter().try_fold(1u64, |n, by| n.checked_mul(*by as u64));
        let combinations = product(&[a.tp.len(), a.pp.len(), a.attention_dp.len(), a.dcp.len()])?;
        let splits = combinations.checked_add(a.context_splits.len() as u64)?;
        let rest = product(&[a.engines, a.precisions.len(), a.launches, a.ep.len()])?;
        let each = product(&[a.replicas.number(), a.batch.len()])?;
        splits.checked_mul(rest)?.checked_mul(each)
    }

    /// The layout with this number.
    pub fn layout(&self, index: u64) -> Layout {
        let a = &self.axes;
        let mut rest = index as usize;
        let mut digit = digits(&mut rest);
        let ep = a.ep[digit(a.ep.len())];
        let split = digit(self.splits());
        let launch = digit(a.launches);
        let precision = digit(a.precisions.len());
        let engine = digit(a.engines);
        Layout {
            pool: self.pool,
            engine,
            precision,
            launch,
            parallelism: Parallelism { ep, ..self.split(split) },
        }
    }

    /// The split with this number, without its expert parallel.
    fn split(&self, number: usize) -> Parallelism {
        let a = &self.axes;
        if let Some(s) = number.checked_sub(self.combinations()).and_then(|i| a.context_splits.get(i)) {
            return Parallelism { tp: s.tp, pp: s.pp, dcp: s.dcp, ..Parallelism::SINGLE };
        }
        let mut rest = number;
        let mut digit = digits(&mut rest);
        let dcp = a.dcp[digit(a.dcp.len())];
        let attention_dp = a.attention_dp[digit(a.attention_dp.len())];
        let pp = a.pp[digit(a.pp.len())];
        let tp = a.tp[digit(a.tp.len())];
        Parallelism { tp, pp, attention_dp, dcp, ..Parallelism::SINGLE }
    }

    /// The plan with this number, one of [`PlanSpace::size`] from the space's first.
    pub fn get(&self, id: u64) -> Plan {
        let per_layout = self.plans_per_layout();
        self.plan((id - self.first) / per_layout, (id - self.first) % per_layout)
    }

    /// The `point`-th plan of a layout.
    pub fn plan(&self, layout: u64, point: u64) -> Plan {
        let batches = self.axes.batch.len() as u64;
        Plan {
            id: self.first + layout * self.plans_per_layout() + point,
            layout: self.layout(layout),
            replicas: self.axes.replicas.at((point / batches) as usize),
            batch: self.axes.batch[(point % batches) as usize],
            prefill: None,
        }
    }
}

/// Takes a number apart, the fastest digit first.
fn digits(rest: &mut usize) -> impl FnMut(usize) -> usize {
    |base| {
        let digit = *rest % base;
        *rest /= base;
        digit
    }
}

/// Every degree worth asking about on `gpus` GPUs: all up to 16, then powers of two and their halves
/// again (24, 48, …), and always the divisors of what is split.
fn degrees(gpus: u32, split: &[u64]) -> Vec<u32> {
    let powers = (0..32).map(|e| 1u32 << e).flat_map(|p| [p, p.saturating_add(p / 2)]);
    let divisors = (1..=gpus.min(4096)).filter(|d| split.iter().any(|n| n.is_multiple_of(u64::from(*d))));
    (1..=16).chain(powers).chain(divisors).filter(|d| *d <= gpus).sorted_unstable().dedup().collect()
}

/// Degrees that are a power of two, or that fill the cluster.
fn powers_of_two(gpus: u32) -> Vec<u32> {
    (0..32).map(|e| 1u32 << e).take_while(|p| *p <= gpus).chain([gpus]).dedup().collect()
}

/// The axes of a question: everything that could be legal, cut down to what the user pins. `shares_context`
/// says whether some engine has decode context parallel.
pub fn axes(
    model: &Model,
    cluster: &Cluster,
    workload: &Workload,
    precisions: Vec<Precision>,
    pins: &Pins,
    shares_context: bool,
) -> Axes {
    let divisors = Divisors::of(model);
    let heads: Vec<u64> = divisors.heads.iter().map(|(h, _)| *h).collect();
    let is_moe = !divisors.experts.is_empty();
    let or = |pinned: &[u32], free: Vec<u32>| if pinned.is_empty() { free } else { pinned.to_vec() };
    let tp = degrees(cluster.gpus.min(heads.iter().max().map_or(1, |h| (*h).min(4096) as u32)), &heads);
    let pp = degrees(cluster.gpus.min(model.layers().min(4096) as u32), &[]);
    let moe_only = |free: Vec<u32>| if is_moe { free } else { vec![1] };
    let saturated = matches!(workload.load, Load::Saturate);
    let replicas = match (pins.replicas.as_slice(), saturated) {
        ([], true) => Counts::All,
        ([], false) => Counts::UpTo(cluster.gpus),
        (pinned, _) => Counts::Only(pinned.to_vec()),
    };
    let batch = match workload.load {
        Load::Saturate if pins.batch.is_empty() => batch_points(),
        Load::Saturate => pins.batch.iter().map(|b| BatchPoint::Sequences(*b)).collect(),
        _ => vec![BatchPoint::FromLoad],
    };
    let (tp, pp) = (or(&pins.split.tp, tp), or(&pins.split.pp, pp));
    let whole = pins.split.attention_dp.is_empty() || pins.split.attention_dp.contains(&1);
    let context_splits = if shares_context && pins.split.dcp.is_empty() && whole {
        context_splits((&tp, &pp), &divisors, cluster)
    } else {
        Vec::new()
    };
    let axes = Axes {
        engines: 1,
        precisions,
        launches: 1,
        tp,
        pp,
        dcp: or(&pins.split.dcp, vec![1]),
        context_splits,
        attention_dp: or(&pins.split.attention_dp, moe_only(powers_of_two(cluster.gpus))),
        ep: or(&pins.split.ep, moe_only(powers_of_two(cluster.gpus))),
        replicas,
        batch,
    };
    match cluster.cards_of_replica() {
        Some(cards) => spanning(cards, &pins.split, axes),
        None => axes,
    }
}

/// The axes of replicas that span kinds of GPU: a stage on each of so many cards, unless the user pins another split.
fn spanning(cards: u32, pins: &Degrees, axes: Axes) -> Axes {
    let only = |pinned: &[u32], degree: u32| match pinned.is_empty() || pinned.contains(&degree) {
        true => vec![degree],
        false => Vec::new(),
    };
    Axes {
        tp: only(&pins.tp, 1),
        pp: only(&pins.pp, cards),
        dcp: only(&pins.dcp, 1),
        attention_dp: only(&pins.attention_dp, 1),
        ep: only(&pins.ep, 1),
        context_splits: Vec::new(),
        ..axes
    }
}

/// Most GPUs of a replica with pipeline stages whose ranks divide contexts unasked.
const CONTEXT_SPLIT_GPUS: u32 = 16;

/// The splits with decode context parallel that are looked at unasked: each power of two that ranks with the
/// same key-value heads allow, without attention data parallelism, which leaves fewer copies of the cache too,
/// and in replicas with several stages only inside a node, or on the whole of a small cluster.
fn context_splits((tp, pp): (&[u32], &[u32]), divisors: &Divisors, cluster: &Cluster) -> Vec<ContextSplit> {
    let near = if cluster.gpus <= CONTEXT_SPLIT_GPUS { cluster.gpus } else { cluster.gpus_per_node };
    let near = near.min(CONTEXT_SPLIT_GPUS);
    let divides = |tp: u32| divisors.heads.iter().all(|(heads, _)| heads.is_multiple_of(tp.into()));
    let stands = |(tp, pp): (u32, u32)| match tp.checked_mul(pp) {
        Some(gpus) => gpus <= cluster.gpus && (pp == 1 || gpus <= near),
        None => false,
    };
    let mut all = Vec::new();
    for (tp, pp) in tp.iter().filter(|tp| divides(**tp)).cartesian_product(pp) {
        if !stands((*tp, *pp)) {
            continue;
        }
        let most = divisors.caches.context_ranks(*tp);
        let powers = (1..32).map(|e| 1u32 << e).take_while(|d| *d <= most);
        let powers = powers.filter(|d| most.is_multiple_of(*d));
        all.extend(powers.map(|dcp| ContextSplit { tp: *tp, pp: *pp, dcp }));
    }
    all
}

/// A geometric ladder with four steps to a doubling, then the largest that fits: throughput is not
/// monotonic in the batch, so each is looked at, and a target costs at most a fifth of the batch.
fn batch_points() -> Vec<BatchPoint> {
    let quarters = |p: u64| (0..4).map(move |q| p + p * q / 4);
    let ladder = (0..=13).flat_map(|e| quarters(1 << e)).dedup();
    ladder.map(BatchPoint::Sequences).chain([BatchPoint::Largest]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_size_is_another_plan() {
        let space = PlanSpace::new(Axes {
            engines: 2,
            precisions: vec![Precision::OWN],
            launches: 1,
            tp: vec![1, 2, 4],
            pp: vec![1, 2],
            attention_dp: vec![1],
            ep: vec![1, 2],
            dcp: vec![1],
            context_splits: vec![ContextSplit { tp: 4, pp: 1, dcp: 2 }],
            replicas: Counts::Only(vec![1, 2]),
            batch: vec![BatchPoint::Sequences(1), BatchPoint::Largest],
        });
        let all: Vec<Plan> = (0..space.size()).map(|id| space.get(id)).collect();
        assert_eq!(all.len(), 2 * (3 * 2 + 1) * 2 * 2 * 2);
        assert!(all.iter().enumerate().all(|(i, p)| p.id == i as u64));
        let distinct =
            all.iter().map(|p| format!("{:?}{}{:?}", p.layout, p.replicas, p.batch)).unique().count();
        assert_eq!(distinct, all.len());
    }

    #[test]
    fn the_plans_of_a_second_pool_are_numbered_after_those_of_the_first() {
        let axes = |pp: Vec<u32>| Axes {
            engines: 1,
            precisions: vec![Precision::OWN],
            launches: 1,
            tp: vec![1, 2],
            pp,
            attention_dp: vec![1],
            ep: vec![1],
            dcp: vec![1],
            context_splits: Vec::new(),
            replicas: Counts::All,
            batch: vec![BatchPoint::Largest],
        };
        let first = PlanSpace::new(axes(vec![1, 2, 3]));
        let second = first.then(axes(vec![1]));
        assert_eq!((first.size(), second.plan(0, 0).id, second.get(7).id), (6, 6, 7));
        assert_eq!((first.get(5).layout.pool, second.get(7).layout.pool), (0, 1));
    }

    #[test]
    fn degrees_hold_the_divisors_of_the_heads() {
        assert!(degrees(64, &[40]).contains(&20) && degrees(64, &[40]).contains(&40));
    }
}
