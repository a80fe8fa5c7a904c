//! Where measured servers lie around an estimate.

use crate::catalog::band::{Band, Spread};
use crate::units::{Seconds, TokensPerSecond};
use crate::workload::{Load, Targets, Workload};

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
            Load::Users(_) => {
                let think = workload.sessions.map_or(Seconds::ZERO, |sessions| sessions.think);
                output * ((service.e2e + think) / (ttft + tpot * steps + think))
            }
        };
        Ranges { ttft, tpot, output: (slower(ttft.1, tpot.1), slower(ttft.0, tpot.0)) }
    }

    /// The chance that a server keeps the limits on times, where a simulation came to these times: to the first token,
    /// per token, to the last. Measured over estimated times of the class are taken to be log-normal, with its 10th and
    /// 90th percentiles; of several limits the one that is missed most often decides, since times that are longer than
    /// estimated are so together. `None` without a limit.
    pub fn chance(
        &self,
        service: &Service,
        (ttft, tpot, e2e): (Seconds, Seconds, Seconds),
        targets: &Targets,
    ) -> Option<f64> {
        let of = |limit: Option<Seconds>, time: Seconds, (low, high): (Seconds, Seconds), own: Seconds| {
            let spread = (low / own, high / own);
            limit.map(|limit| below(limit / time, spread))
        };
        let ttft = of(targets.ttft, ttft, self.ttft, service.ttft);
        let tpot = of(targets.tpot, tpot, self.tpot, service.tpot);
        // Most of a request is decoding.
        let e2e = of(targets.e2e, e2e, self.tpot, service.tpot);
        [ttft, tpot, e2e].into_iter().flatten().filter(|chance| chance.is_finite()).reduce(f64::min)
    }

    /// Those of so many times the replicas.
    #[must_use]
    pub fn times(self, n: f64) -> Ranges {
        Ranges { output: (self.output.0 * n, self.output.1 * n), ..self }
    }
}

/// Standard deviations from the 10th to the 90th percentile of a normal distribution.
const TENTHS_APART: f64 = 2.563_103;

/// Share of a log-normal distribution with these 10th and 90th percentiles that lies below `x`.
fn below(x: f64, (low, high): (f64, f64)) -> f64 {
    let (low, high) = (low.ln(), high.ln());
    let deviation = (high - low) / TENTHS_APART;
    let z = (x.ln() - (low + high) / 2.0) / deviation;
    // The normal distribution as a logistic one of a cubic, to 2e-4: Bowling et al., JIEM 2 (2009), 114.
    1.0 / (1.0 + (-(1.5976 * z + 0.070_56 * z.powi(3))).exp())
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_tenth_of_servers_lie_below_the_low_end_and_nine_tenths_below_the_high() {
        let spread = (0.8, 1.3);
        for (x, share) in [(0.8, 0.1), (1.3, 0.9), ((0.8_f64 * 1.3).sqrt(), 0.5), (1e-9, 0.0), (1e9, 1.0)] {
            assert!((below(x, spread) - share).abs() < 1e-3, "{x}: {}", below(x, spread));
        }
    }
}
