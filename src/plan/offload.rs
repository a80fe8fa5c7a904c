//! What a replica leaves in the host's memory, and how the rest is dealt out over its GPUs.

use crate::diagnostic::{Code, Diagnostic};
use crate::units::Bytes;

/// Most GPUs that llama.cpp deals layers out over (`ggml-cuda.h`, `GGML_CUDA_MAX_DEVICES`).
pub const MAX_SHARES: usize = 16;

/// Where the layers of a replica lie, as llama.cpp's users set it. Left out, everything lies on the GPUs, unless
/// it finds no room there and the host's memory is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Offload {
    /// Layers on the GPUs, the output projection counted as one more (`--n-gpu-layers`).
    pub gpu_layers: Option<u64>,
    /// The first layers whose routed experts stay with the host (`--n-cpu-moe`).
    pub host_experts: Option<u64>,
    /// How layers are dealt out over stages: proportions (llama.cpp's `--tensor-split`) or layers of each
    /// (`VLLM_PP_LAYER_PARTITION`, `SGLANG_PP_LAYER_PARTITION`, TensorRT-LLM's `pp_partition`); evenly without.
    pub shares: Option<Shares>,
}

impl Offload {
    /// Everything on the GPUs, dealt out evenly.
    pub const NONE: Offload = Offload { gpu_layers: None, host_experts: None, shares: None };

    /// Whether it says what stays with the host.
    pub fn is_placed(&self) -> bool {
        self.gpu_layers.is_some() || self.host_experts.is_some()
    }

    /// Whether llama.cpp, told so on so many GPUs, loads as told instead of fitting itself into what is free
    /// (`common/fit.cpp`, `common_params_fit_impl`: "n_gpu_layers already set by user", and the same of overridden buffers
    /// and, of several GPUs, of proportions).
    pub fn ends_fitting(&self, gpus: u32) -> bool {
        self.gpu_layers.is_some()
            || self.host_experts.is_some_and(|layers| layers > 0)
            || gpus > 1 && self.shares.is_some_and(|shares| shares.told)
    }

    /// Layers on the GPUs, of `layers` and the output projection.
    pub fn units_on_gpus(&self, layers: u64) -> u64 {
        self.gpu_layers.unwrap_or(u64::MAX).min(layers.saturating_add(1))
    }
}

/// How layers are dealt out over the stages of a pipeline, one number for each: proportions, or layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    parts: [f64; MAX_SHARES],
    /// Where the part of each GPU ends, of 1.
    ends: [f64; MAX_SHARES],
    count: usize,
    /// Whether the engine is told them, and does not find them itself.
    told: bool,
}

impl Shares {
    /// Proportions of any sum.
    ///
    /// # Errors
    /// [`Code::Range`] where there are none, too many, or one is negative or all are zero.
    pub fn new(parts: &[f64]) -> Result<Shares, Diagnostic> {
        let total: f64 = parts.iter().sum();
        let sound = parts.iter().all(|p| *p >= 0.0 && p.is_finite()) && total > 0.0 && total.is_finite();
        if parts.len() > MAX_SHARES || !sound {
            let cause = format!("{} proportions cannot be dealt out by", parts.len());
            return Err(Diagnostic::new(Code::Range, cause)
                .help(format!("one number for each of at most {MAX_SHARES} GPUs, for example 3,1")));
        }
        let mut ends = [1.0; MAX_SHARES];
        let mut own = [0.0; MAX_SHARES];
        let mut sum = 0.0;
        for ((end, own), part) in ends.iter_mut().zip(&mut own).zip(parts) {
            (sum, *own) = (sum + part, *part);
            *end = sum / total;
        }
        Ok(Shares { parts: own, ends, count: parts.len(), told: true })
    }

    /// Those that llama.cpp finds itself where nobody tells it any: by the free memory of each GPU (`src/llama-model.cpp`,
    /// `load_tensors`), as numbers of `units`, each of which goes to the GPU whose part of the memory it falls into.
    /// `None` for a single GPU, and for more than there are proportions for.
    pub fn by_memory(free: &[Bytes], units: u64) -> Option<Shares> {
        let parts: Vec<f64> = free.iter().map(|bytes| bytes.as_f64()).collect();
        let whole = Shares::new(&parts).ok().filter(|_| parts.len() > 1)?;
        let mut held = vec![0.0; parts.len()];
        (0..units).for_each(|unit| held[whole.gpu_at(unit as f64 / units as f64)] += 1.0);
        Some(Shares { told: false, ..Shares::new(&held).ok()? })
    }

    /// As `--tensor-split` has them.
    pub fn text(&self) -> String {
        let parts: Vec<String> = self.parts().iter().map(f64::to_string).collect();
        parts.join(",")
    }

    /// One number for each stage.
    pub fn parts(&self) -> &[f64] {
        &self.parts[..self.count]
    }

    /// Layers of each stage, where every number is whole and positive.
    pub fn layers(&self) -> Option<Vec<u64>> {
        let whole = |part: &f64| (part.fract() == 0.0 && *part >= 1.0 && *part < 1e9).then_some(*part as u64);
        self.parts().iter().map(whole).collect()
    }

    /// Whether the engine is told them, and does not find them itself.
    pub fn are_told(&self) -> bool {
        self.told
    }

    /// GPUs that they are for.
    pub fn gpus(&self) -> usize {
        self.count
    }

    /// The GPU that has the point `at` of all layers, in [0, 1): the first whose part ends beyond it.
    pub fn gpu_at(&self, at: f64) -> usize {
        let before = self.ends.iter().take(self.count).take_while(|end| **end <= at).count();
        before.min(self.count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_dealt_out_by_proportion() {
        let shares = Shares::new(&[3.0, 1.0]).unwrap();
        let gpus: Vec<usize> = (0..8).map(|unit| shares.gpu_at(f64::from(unit) / 8.0)).collect();
        assert_eq!(gpus, [0, 0, 0, 0, 0, 0, 1, 1]);
        // A GPU may be left out.
        assert_eq!(Shares::new(&[0.0, 1.0]).unwrap().gpu_at(0.0), 1);
    }

    #[test]
    fn unlike_cards_have_layers_by_their_memory_unless_told() {
        // Of 81 units of Llama 3.1 70B those below 23.56 / 39.15 of the way: 0 to 48.
        let free = [23.56, 15.59].map(|gib| Bytes::new((gib * 1024f64.powi(3)) as u64));
        let shares = Shares::by_memory(&free, 81).unwrap();
        assert_eq!(shares.parts(), [49.0, 32.0]);
        let gpus = |shares: &Shares| (0..81).map(|u| shares.gpu_at(f64::from(u) / 81.0)).collect::<Vec<_>>();
        assert_eq!(gpus(&shares), gpus(&Shares::new(&[23.56, 15.59]).unwrap()));
        let placed = |shares| Offload { shares: Some(shares), ..Offload::NONE }.ends_fitting(2);
        assert!(!placed(shares) && placed(Shares::new(&[49.0, 32.0]).unwrap()));
        assert_eq!(Shares::by_memory(&free[..1], 81), None);
    }

    #[test]
    fn proportions_must_be_positive_and_few() {
        for wrong in [&[][..], &[0.0, 0.0], &[1.0, -1.0], &[f64::NAN], &[1.0; 17]] {
            assert!(Shares::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
