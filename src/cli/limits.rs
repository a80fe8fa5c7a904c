//! What a plan may take and must hold.

use clap::Args;

use crate::request::Request;
use crate::workload::{MAX_CONCURRENCY, MAX_LENGTH};

use super::values::{count, real, tokens};

/// Limits beside those on times.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Tokens per second that each user sees at least, after the first token
    #[arg(long, value_name = "X", value_parser = real)]
    tokens_per_user: Option<f64>,
    /// Requests in flight that the deployment holds at least
    #[arg(long, value_name = "N", value_parser = count(1..=MAX_CONCURRENCY))]
    min_concurrency: Option<u64>,
    /// Tokens of the longest request that must fit in memory, prompt and output together
    #[arg(long, value_name = "TOKENS", value_parser = tokens(1..=MAX_LENGTH))]
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

impl LimitArgs {
    /// Puts what is given into a request.
    pub fn fill(&self, request: &mut Request) {
        request.tokens_per_user = self.tokens_per_user;
        request.min_concurrency = self.min_concurrency;
        request.min_context = self.min_context;
        request.max_gpus = self.max_gpus;
        request.max_price = self.max_price;
        request.max_cost = self.max_cost;
        request.max_power = self.max_power;
    }
}
