//! How far measured servers lie from what is estimated for them.

use schemars::JsonSchema;
use serde::Deserialize;

/// What a model's layers are made of, as far as estimates differ in how good they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Dense layers.
    Dense,
    /// Routed experts.
    Moe,
    /// Latent attention.
    Latent,
}

/// Where eight of ten measured values lie, as multiples of the estimate: the 10th and the 90th percentile.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// 10th percentile.
    pub low: f64,
    /// 90th percentile.
    pub high: f64,
}

/// The spread of a class of servers.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Of the mean time to first token.
    pub ttft: Spread,
    /// Of the mean time per output token.
    pub tpot: Spread,
    /// Measured servers behind it.
    #[schemars(range(min = 1))]
    pub servers: u32,
}

/// How far an engine's measured servers lie from the closed form, on GPUs whose kernels were measured.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bands {
    /// Dense models.
    pub dense: Band,
    /// Models with routed experts.
    pub moe: Band,
    /// Models with latent attention.
    pub latent: Band,
}

/// By how much a band widens on both sides where kernels were not measured on the GPU: the middle of the
/// median errors that fits to other GPUs make in decode attention and routed experts (17 to 28 % and 11 to
/// 30 %; `docs/model.md`, fit errors).
const UNCALIBRATED: f64 = 1.25;

impl Spread {
    fn widened(self) -> Spread {
        Spread { low: self.low / UNCALIBRATED, high: self.high * UNCALIBRATED }
    }

    fn is_sound(self) -> bool {
        self.low > 0.0 && self.low <= self.high && self.high.is_finite()
    }
}

impl Bands {
    /// The band of an architecture, wider where kernels were not measured on the GPU.
    pub fn of(&self, architecture: Architecture, calibrated: bool) -> Band {
        let band = match architecture {
            Architecture::Dense => self.dense,
            Architecture::Moe => self.moe,
            Architecture::Latent => self.latent,
        };
        if calibrated {
            return band;
        }
        Band { ttft: band.ttft.widened(), tpot: band.tpot.widened(), ..band }
    }

    /// Whether every spread goes from a positive share to one that is no smaller.
    pub fn are_sound(&self) -> bool {
        [self.dense, self.moe, self.latent].iter().all(|band| band.ttft.is_sound() && band.tpot.is_sound())
    }
}
