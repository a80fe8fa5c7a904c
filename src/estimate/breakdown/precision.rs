//! What a model takes in each precision: size, recommended memory of a host, and how fast a CPU or a
//! laptop's GPU could decode.

use super::{Breakdown, Device, Mode, Setting};
use crate::catalog::Gpu;
use crate::dtype::WeightFormat;
use crate::model::Model;
use crate::units::{Bytes, TokensPerSecond};

/// A precision by the name that people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// As printed.
    pub name: &'static str,
    /// How linear layers and experts are stored.
    pub format: WeightFormat,
}

/// From wide to narrow.
pub const PRECISIONS: [Precision; 4] = [
    Precision { name: "FP32", format: WeightFormat::Fp32 },
    Precision { name: "BF16", format: WeightFormat::Bf16 },
    Precision { name: "Q8", format: WeightFormat::Int8 },
    Precision { name: "Q4", format: WeightFormat::Int4 },
];

/// Share of a host's memory that a model may take: macOS leaves its GPU three quarters, and a server's
/// system, page cache and runtime want about as much.
pub const HOST_SHARE: f64 = 0.75;

/// Sizes that hosts are sold with, in GB.
const HOST_SIZES: [u64; 18] =
    [4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072];

/// What a model takes in one precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// The precision.
    pub precision: Precision,
    /// Stored weights.
    pub weights: Bytes,
    /// Cache and state of the sequences.
    pub cache: Bytes,
}

impl Footprint {
    /// Weights and cache.
    pub fn need(&self) -> Bytes {
        self.weights + self.cache
    }
}

/// How fast one device decodes one sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Speed {
    /// The device.
    pub device: String,
    /// Output tokens per second at the roofline; none where the model does not fit.
    pub rate: Option<TokensPerSecond>,
}

/// A model in one precision with the cache of a setting.
pub fn footprint(model: &Model, setting: &Setting, precision: Precision) -> Footprint {
    let stored = model.clone().with_weights(precision.format);
    Footprint {
        precision,
        weights: stored.checkpoint_bytes(),
        cache: model.cache_bytes(setting.kv, setting.tokens) * setting.batch,
    }
}

/// Every precision with its speed on each device: one sequence decodes as fast as its step's operators,
/// each at the longer of `FLOPs / peak` and `bytes / bandwidth`, follow each other.
pub fn precisions(model: &Model, setting: &Setting, gpus: &[Gpu]) -> Vec<(Footprint, Vec<Speed>)> {
    let alone = Setting { mode: Mode::Decode, batch: 1, ..*setting };
    let row = |precision: Precision| {
        let stored = model.clone().with_weights(precision.format);
        let footprint = footprint(model, setting, precision);
        let speed = |gpu: &Gpu| {
            let device = Device::new(gpu, alone.activations);
            let time = Breakdown::of(&stored, &alone, Some(&device)).time();
            let fits = footprint.need() <= gpu.memory;
            Speed { device: gpu.id.clone(), rate: fits.then(|| TokensPerSecond::of(1.0, time)) }
        };
        (footprint, gpus.iter().map(speed).collect())
    };
    PRECISIONS.into_iter().map(row).collect()
}

/// The smallest usual size of which [`HOST_SHARE`] holds `need`; none beyond the largest.
pub fn recommended_memory(need: Bytes) -> Option<Bytes> {
    let sizes = HOST_SIZES.into_iter().map(|gb| Bytes::gib(gb as f64));
    sizes.into_iter().find(|size| need <= size.scaled(HOST_SHARE))
}

/// The widest precision that a host with `ram` holds.
pub fn widest_that_fits(model: &Model, setting: &Setting, ram: Bytes) -> Option<Footprint> {
    let all = PRECISIONS.into_iter().map(|p| footprint(model, setting, p));
    all.into_iter().find(|f| f.need() <= ram.scaled(HOST_SHARE))
}
