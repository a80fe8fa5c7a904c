//! A kernel's measured latencies: the shapes that were measured, and at which sizes of a step.

use std::collections::HashMap;
use std::fmt;

use crate::dtype::{DType, WeightFormat};
use crate::units::Seconds;

/// What a table times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Dense products.
    Gemm,
    /// Routed experts.
    Experts,
    /// Attention over prompts.
    PrefillAttention,
    /// Attention of decoding sequences.
    DecodeAttention,
    /// Latent attention over prompts.
    LatentPrefill,
    /// Latent attention of decoding sequences.
    LatentDecode,
    /// Products per head around decoding latent attention.
    Absorb,
    /// The engine's own all-reduce.
    AllReduce,
    /// The collectives of NCCL.
    Library,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 9] = [
        Operation::Gemm,
        Operation::Experts,
        Operation::PrefillAttention,
        Operation::DecodeAttention,
        Operation::LatentPrefill,
        Operation::LatentDecode,
        Operation::Absorb,
        Operation::AllReduce,
        Operation::Library,
    ];

    /// The library that is measured in place of the engine.
    pub fn library(self) -> Option<&'static str> {
        (self == Operation::Library).then_some("nccl")
    }

    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Gemm => "GEMM",
            Operation::Experts => "experts",
            Operation::PrefillAttention => "prefill attention",
            Operation::DecodeAttention => "decode attention",
            Operation::LatentPrefill => "latent prefill",
            Operation::LatentDecode => "latent decode",
            Operation::Absorb => "absorbed projections",
            Operation::AllReduce => "all-reduce",
            Operation::Library => "collectives",
        }
    }
}

/// Number types that tell kernels of one shape apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Types {
    /// Storage of the weights.
    Weights(WeightFormat),
    /// What attention computes in, and its cache.
    Attention(DType, DType),
    /// There is one only.
    One,
}

/// Most sizes that a shape has.
pub const SIZES: usize = 6;

/// A shape that was measured: what does not change from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Number types.
    pub types: Types,
    /// Sizes in the order that the operation's schema states; unused ones are 0.
    pub sizes: [u32; SIZES],
}

/// One measurement of a shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What a step varies: rows; or sequences and tokens of each; or bytes. Unused ones are 1.
    pub at: [f64; 2],
    /// Latency.
    pub time: Seconds,
}

/// Every measurement of one operation of an engine on a GPU.
#[derive(Clone, PartialEq)]
pub struct Table {
    /// What it times.
    pub operation: Operation,
    /// Version of the engine (or of NCCL) that was measured.
    pub version: String,
    shapes: HashMap<Key, Vec<Point>>,
    /// Values of each size, sorted.
    values: [Vec<u32>; SIZES],
}

/// Shapes in one order, so that equal tables print the same in every process.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shapes: Vec<String> = self.shapes.iter().map(|shape| format!("{shape:?}")).collect();
        shapes.sort_unstable();
        f.debug_struct("Table")
            .field("operation", &self.operation)
            .field("version", &self.version)
            .field("shapes", &shapes)
            .finish_non_exhaustive()
    }
}

/// Measurements on their way into a table: of two at one point the lower preference stays, then the
/// shorter time.
#[derive(Debug, Default)]
pub struct Collector {
    shapes: Vec<(Key, Vec<(Point, u8)>)>,
    numbers: HashMap<Key, usize>,
    last: usize,
}

impl Collector {
    /// Adds a measurement; rows of one shape often follow each other.
    pub fn push(&mut self, key: Key, point: Point, preference: u8) {
        if self.shapes.get(self.last).is_none_or(|(last, _)| *last != key) {
            self.last = *self.numbers.entry(key).or_insert_with(|| {
                self.shapes.push((key, Vec::new()));
                self.shapes.len() - 1
            });
        }
        if let Some((_, points)) = self.shapes.get_mut(self.last) {
            points.push((point, preference));
        }
    }

    /// The finished table.
    pub fn table(self, operation: Operation, version: String) -> Table {
        let mut values: [Vec<u32>; SIZES] = Default::default();
        let mut shapes = HashMap::with_capacity(self.shapes.len());
        for (key, mut points) in self.shapes {
            points.sort_by(|(a, pa), (b, pb)| {
                let order = a.at[0].total_cmp(&b.at[0]).then(a.at[1].total_cmp(&b.at[1]));
                order.then(pa.cmp(pb)).then(a.time.get().total_cmp(&b.time.get()))
            });
            points.dedup_by(|(later, _), (first, _)| later.at == first.at);
            values.iter_mut().zip(key.sizes).for_each(|(all, size)| all.push(size));
            shapes.insert(key, points.into_iter().map(|(point, _)| point).collect());
        }
        for all in &mut values {
            all.sort_unstable();
            all.dedup();
        }
        Table { operation, version, shapes, values }
    }
}

impl Table {
    /// The measurements of a shape, sorted by where they lie.
    pub fn shape(&self, key: &Key) -> Option<&[Point]> {
        self.shapes.get(key).map(Vec::as_slice)
    }

    /// Whether some shape was measured with these number types.
    pub fn has_types(&self, types: Types) -> bool {
        self.shapes.keys().any(|key| key.types == types)
    }

    /// Measurements in all.
    pub fn points(&self) -> usize {
        self.shapes.values().map(Vec::len).sum()
    }

    /// The measured shape with these number types whose sizes are nearest by their ratios.
    pub fn nearest(&self, key: &Key, weights: [f64; SIZES]) -> Option<&Key> {
        let log = |size: u32| (f64::from(size) + 1.0).ln();
        let distance = |other: &Key| -> f64 {
            let sizes = key.sizes.iter().zip(other.sizes).zip(weights);
            sizes.map(|((a, b), weight)| weight * (log(*a) - log(b)).abs()).sum()
        };
        let alike = self.shapes.keys().filter(|other| other.types == key.types);
        // Ties are broken by the sizes themselves, so that the answer does not depend on the map.
        alike.min_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.sizes.cmp(&b.sizes)))
    }

    /// The measured values of a size next to `wanted`, and how far between their logarithms it lies:
    /// 0 at the lower, 1 at the upper; both are the end beyond the ends.
    pub fn bracket(&self, size: usize, wanted: u32) -> Option<(u32, u32, f64)> {
        let all = self.values.get(size)?;
        let above = all.partition_point(|value| *value < wanted);
        let (low, high) = match (above.checked_sub(1).and_then(|i| all.get(i)), all.get(above)) {
            (_, Some(exact)) if *exact == wanted => (*exact, *exact),
            (Some(low), Some(high)) => (*low, *high),
            (Some(only), None) | (None, Some(only)) => (*only, *only),
            (None, None) => return None,
        };
        let log = |x: u32| f64::from(x.max(1)).ln();
        let share = if high > low { (log(wanted) - log(low)) / (log(high) - log(low)) } else { 0.0 };
        Some((low, high, share.clamp(0.0, 1.0)))
    }
}
