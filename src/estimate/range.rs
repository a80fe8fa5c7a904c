//! Where measured servers lie around an estimate.

use crate::catalog::band::{Band, Spread};
use crate::units::{Seconds, TokensPerSecond};
use crate::workload::{Load, Workload};

use super::service::Service;

/// Values between which eight of ten measured servers of the class lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranges {
    /// Mean time to first token.
    pub ttft: (Seconds, Seconds),
    /// Mean time per output token.
    pub tpot: (Seconds, Seconds),
    /// Output tokens per second of all replicas.
    pub output: (TokensPerSecond, TokensPerSecond),
}

impl Ranges {
    /// The ranges of a band around a service. Throughput follows from both times: as many requests are in
    /// flight, each for `TTFT + TPOT · (OSL − 1)`; a given rate is what it is.
    pub fn new(band: &Band, service: &Service, workload: &Workload, output: TokensPerSecond) -> Ranges {
        let around = |time: Seconds, spread: Spread| (time * spread.low, time * spread.high);
        let (ttft, tpot) = (around(service.ttft, band.ttft), around(service.tpot, band.tpot));
        let steps = workload.osl as f64 - 1.0;
        let slower = |ttft: Seconds, tpot: Seconds| match workload.load {
            Load::Rate(_) => output,
            Load::Saturate | Load::Concurrency(_) => output * (service.e2e / (ttft + tpot * steps)),
        };
        Ranges { ttft, tpot, output: (slower(ttft.1, tpot.1), slower(ttft.0, tpot.0)) }
    }

    /// Those of so many times the replicas.
    #[must_use]
    pub fn times(self, n: f64) -> Ranges {
        Ranges { output: (self.output.0 * n, self.output.1 * n), ..self }
    }
}
