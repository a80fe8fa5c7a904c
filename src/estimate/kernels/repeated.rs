//! What a benchmark's buffers find in the cache.

/// A kernel that is timed again and again on the same buffers, as benchmarks do: what fits into the cache is
/// read from there. In a server other kernels have displaced it in between.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Repeated {
    /// Bytes of the cache; zero where kernels are not repeated.
    pub(super) cache: f64,
}

impl Repeated {
    /// Share of the cache that the data may fill before it displaces itself.
    const FILLED: f64 = 0.6;

    /// Whether nothing is found in the cache.
    #[inline]
    pub(super) fn is_cold(self) -> bool {
        self.cache <= 0.0
    }

    /// A time, or what reading the data takes at the datasheet's bandwidth where that is longer: in a server all of it comes
    /// from memory. Shares of more than the bandwidth are what a benchmark's cache held.
    #[inline]
    pub(super) fn at_least_read(self, time: f64, bytes: f64, bandwidth: f64) -> f64 {
        if self.is_cold() { time.max(bytes / bandwidth) } else { time }
    }

    /// What is left of a memory time: `1 − share/(1 + (bytes/(0.6·cache))^4)`.
    #[inline]
    pub(super) fn remains(self, share: f64, bytes: f64) -> f64 {
        if self.is_cold() || share <= 0.0 {
            return 1.0;
        }
        let filled = bytes / (Repeated::FILLED * self.cache);
        1.0 - share / (1.0 + filled * filled * filled * filled)
    }
}
