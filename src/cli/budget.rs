//! What a plan may take and must hold.

use clap::Args;

use crate::diagnostic::{Code, Diagnostic};
use crate::units::{Usd, UsdPerHour, Watts};
use crate::workload::{Budget, MAX_CONCURRENCY, MAX_LENGTH, Targets, Workload};

use super::values::{count, real};

/// Limits beside those on times.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct BudgetArgs {
    /// Tokens per second that each user sees at least, after the first token
    #[arg(long, value_name = "X", value_parser = real)]
    tokens_per_user: Option<f64>,
    /// Requests in flight that the deployment holds at least
    #[arg(long, value_name = "N", value_parser = count(1..=MAX_CONCURRENCY))]
    min_concurrency: Option<u64>,
    /// Tokens of the longest request that must fit in memory, prompt and output together
    #[arg(long, value_name = "TOKENS", value_parser = count(1..=MAX_LENGTH))]
    min_context: Option<u64>,
    /// GPUs used at most
    #[arg(long, value_name = "N", value_parser = count(1..=1 << 20))]
    max_gpus: Option<u64>,
    /// Dollars per hour for the GPUs used at most
    #[arg(long, value_name = "USD", value_parser = real)]
    max_price: Option<f64>,
    /// Dollars per million output tokens at most
    #[arg(long, value_name = "USD", value_parser = real)]
    max_cost: Option<f64>,
    /// Watts that the GPUs used draw at most, all together
    #[arg(long, value_name = "WATTS", value_parser = real)]
    max_power: Option<f64>,
}

impl BudgetArgs {
    /// The workload under these limits, checked.
    pub fn applied(&self, workload: Workload) -> Result<Workload, Diagnostic> {
        let mut targets = workload.targets;
        targets.budget = Budget {
            gpus: self.max_gpus,
            price: self.max_price.map(UsdPerHour::new),
            cost_output: self.max_cost.map(Usd::new),
            power: self.max_power.map(Watts::new),
            concurrency: self.min_concurrency,
        };
        if let Some(rate) = self.tokens_per_user {
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(Diagnostic::new(Code::Range, "must be positive").at("--tokens-per-user"));
            }
            // The time per token of a stream is one over its rate.
            let most = crate::units::Seconds::new(1.0 / rate);
            targets.tpot = Some(targets.tpot.map_or(most, |tpot| tpot.min(most)));
        }
        let longest = self.min_context.or(workload.longest);
        let workload = Workload { targets: Targets { ..targets }, longest, ..workload };
        workload.validate()?;
        Ok(workload)
    }
}
