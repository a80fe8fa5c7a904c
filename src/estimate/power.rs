//! Power of a GPU, energy of a token, and what the electricity costs.
//!
//! A GPU draws its idle power all the time, and while a kernel runs a share of what is left up to the
//! board's limit: the kernel's own busyness with arithmetic and memory decides which. Sources and error
//! in `docs/model.md`, §11.

use crate::catalog::Cluster;
use crate::catalog::kernels::PowerShares;
use crate::diagnostic::{Code, Diagnostic};
use crate::units::{Joules, Seconds, TokensPerSecond, UsdPerHour, UsdPerKilowattHour, Watts};

use super::kernels::KernelTime;

/// Shares used where neither the GPU nor its class has any: those of the class `datacenter-hbm`.
pub(super) const PLAIN: PowerShares = PowerShares { active: 0.3, memory: 0.6, compute: 1.0, error: None };

impl KernelTime {
    /// The time at the board's power limit that draws as much above idle as this kernel:
    /// `min(active·time + memory·(bytes/bw) + compute·(FLOPs/peak), time)`.
    #[inline]
    pub fn drawn(&self, shares: &PowerShares) -> Seconds {
        let sum = self.time * shares.active + self.memory * shares.memory + self.compute * shares.compute;
        sum.min(self.time)
    }
}

/// What a deployment draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Energy {
    /// Mean power of one of its GPUs.
    pub power: Watts,
    /// Of all its GPUs, per output token.
    pub per_output: Joules,
    /// Of all its GPUs, per token, input and output together.
    pub per_token: Joules,
}

impl Energy {
    /// Energy of `gpus` GPUs of a cluster that draw `share` of the power between idle and the board's limit and
    /// deliver `output`, with `tokens_per_output` tokens in and out for each token out.
    pub fn of(
        cluster: &Cluster,
        share: f64,
        gpus: u64,
        output: TokensPerSecond,
        tokens_per_output: f64,
    ) -> Energy {
        let (idle, limit) = (cluster.idle_power(), cluster.power_limit());
        let power = idle + (limit - idle) * share;
        let per_output = power * gpus as f64 / output;
        Energy { power, per_output, per_token: per_output / tokens_per_output }
    }
}

/// What electricity costs where the deployment stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Electricity {
    /// Price at the meter.
    pub price: UsdPerKilowattHour,
    /// Power usage effectiveness: power of the site over power of its computers.
    pub pue: f64,
    /// Power of the server beside its GPUs, per GPU: processors, memory, network, fans.
    pub host: Watts,
}

impl Electricity {
    /// Mean of the sites in the Uptime Institute's Global Data Center Survey 2025. New and large sites
    /// reach 1.1 to 1.3.
    pub const MEAN_PUE: f64 = 1.54;

    /// Checks every figure.
    ///
    /// # Errors
    /// [`Code::Range`] naming it.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        let fail =
            |name: &str, allowed: &str| Err(Diagnostic::new(Code::Range, format!("{name}: {allowed}")));
        if !(0.0..=1000.0).contains(&self.price.get()) {
            return fail("electricity", "must lie between 0 and 1000 USD/kWh");
        }
        if !(1.0..=10.0).contains(&self.pue) {
            return fail("pue", "must lie between 1 and 10");
        }
        if !(0.0..=100_000.0).contains(&self.host.get()) {
            return fail("host-watts", "must lie between 0 and 100000");
        }
        Ok(())
    }

    /// Cost of one GPU and hour, with its share of the server and of the site.
    pub fn per_gpu(&self, power: Watts) -> UsdPerHour {
        (power + self.host) * self.pue * self.price
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Bound;
    use proptest::prelude::*;

    fn kernel(time: f64, compute: f64, memory: f64) -> KernelTime {
        let of = Seconds::new;
        KernelTime { compute: of(compute), memory: of(memory), ..KernelTime::idle(of(time), Bound::Compute) }
    }

    proptest! {
        #[test]
        fn a_kernel_draws_no_more_than_the_limit_and_more_when_it_is_busier(
            time in 0.0..1.0f64, compute in 0.0..1.0f64, memory in 0.0..1.0f64, more in 0.0..1.0f64,
        ) {
            let drawn = |compute, memory| kernel(time, compute, memory).drawn(&PLAIN);
            let base = drawn(compute, memory);
            prop_assert!(base >= Seconds::ZERO && base.get() <= time);
            prop_assert!(drawn(compute + more, memory) >= base && drawn(compute, memory + more) >= base);
        }
    }

    #[test]
    fn a_kilowatt_for_an_hour_costs_the_price_of_a_kilowatt_hour() {
        let at =
            |pue, host| Electricity { price: UsdPerKilowattHour::new(0.12), pue, host: Watts::new(host) };
        let cost = |e: Electricity| e.per_gpu(Watts::new(600.0)).get();
        // 600 W for an hour are 0.6 kWh.
        assert!((cost(at(1.0, 0.0)) - 0.072).abs() < 1e-12);
        assert!((cost(at(1.5, 400.0)) - 0.18).abs() < 1e-12);
    }

    #[test]
    fn a_site_cannot_use_less_than_its_computers() {
        let free = Electricity { price: UsdPerKilowattHour::ZERO, pue: 0.9, host: Watts::ZERO };
        assert!(free.validate().unwrap_err().cause.contains("pue"));
    }
}
