//! `shardfit budget`: how large a model a budget buys.

use crate::ask::{self, View};
use crate::budget::Approach;
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::request::budget::MOST_GPUS;
use crate::request::{Amount, BudgetRequest};
use crate::train::Precision;
use clap::Args;

use super::common::{note_cluster, prices};
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::values::{count, names, share};

/// Arguments of `budget`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    shardfit budget --flops 5.76e23\n  \
    shardfit budget --dollars 1e6 --gpu h100-sxm --mfu 0.4\n  \
    shardfit budget --days 30 --gpus 256 --gpu h100-sxm\n  \
    shardfit budget --gpu-hours 1e6 --gpu h100-sxm --gpus 256 --inference-tokens 10T")]
pub struct BudgetArgs {
    /// FLOPs of training, e.g. 1e24
    #[arg(long, value_name = "N", help_heading = "Budget", required_unless_present_any = ["gpu_hours", "dollars", "days"])]
    #[arg(conflicts_with_all = ["gpu_hours", "dollars", "days"])]
    flops: Option<String>,
    /// Hours of one GPU, e.g. 1e6
    #[arg(long, value_name = "N", help_heading = "Budget", conflicts_with_all = ["dollars", "days"])]
    gpu_hours: Option<String>,
    /// Dollars of rent
    #[arg(long, value_name = "N", help_heading = "Budget", conflicts_with = "days")]
    dollars: Option<String>,
    /// Days on as many GPUs as --gpus says
    #[arg(long, value_name = "N", help_heading = "Budget")]
    days: Option<String>,
    /// GPU, by name or YAML file [default: h100-sxm for GPU-hours, dollars and days]
    #[arg(long, value_name = "GPU", help_heading = "Hardware")]
    gpu: Option<String>,
    /// GPUs that the MFU is estimated on, and that --days are of
    #[arg(long, default_value = "64", value_name = "N", value_parser = count(1..=MOST_GPUS), help_heading = "Hardware")]
    gpus: u64,
    /// Price per GPU and hour in dollars, e.g. h100-sxm=2.10
    #[arg(long, value_name = "GPU=USD", help_heading = "Hardware")]
    price: Vec<String>,
    /// Model FLOPs utilisation, e.g. 40% [default: that of the best plan for a model of the size]
    #[arg(long, value_name = "X", value_parser = share, help_heading = "Hardware")]
    mfu: Option<f64>,
    /// Training framework that the MFU is estimated for [default: megatron-bridge, or one that runs on the GPU]
    #[arg(long, value_name = "NAME", help_heading = "Hardware")]
    framework: Option<String>,
    /// Number format of products: bf16, fp16, fp8, mxfp8, nvfp4 [default: bf16; fp16 where the GPU has no BF16]
    #[arg(long, value_name = "FORMAT", help_heading = "Hardware")]
    #[arg(value_parser = names(Precision::NAMES.iter().copied()), hide_possible_values = true)]
    precision: Option<String>,
    /// The law that curves follow: 1, 2, 3 (as published) or 3-corrected
    #[arg(long, default_value = "3-corrected", value_name = "APPROACH", help_heading = "Law")]
    #[arg(value_parser = names(Approach::NAMES), hide_possible_values = true)]
    approach: String,
    /// Tokens that the model will serve, e.g. 10T: smaller models trained longer, to the same loss
    #[arg(long, value_name = "TOKENS", help_heading = "Law")]
    inference_tokens: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl BudgetArgs {
    /// What is asked.
    fn request(&self) -> BudgetRequest {
        BudgetRequest {
            schema_version: None,
            flops: self.flops.clone().map(Amount),
            gpu_hours: self.gpu_hours.clone().map(Amount),
            dollars: self.dollars.clone().map(Amount),
            days: self.days.clone().map(Amount),
            gpu: self.gpu.clone(),
            gpus: Some(self.gpus),
            price: prices(&self.price),
            mfu: self.mfu,
            framework: self.framework.clone(),
            precision: self.precision.clone(),
            approach: Some(self.approach.clone()),
            inference_tokens: self.inference_tokens.clone().map(Amount),
        }
    }
}

/// Runs the command.
pub fn run(args: &BudgetArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let view = View::new(args.output.prepare()?, args.output.width());
    let budgeting = args.request().resolve_as_flags(catalog)?;
    budgeting.cluster().into_iter().for_each(note_cluster);
    args.output.answer(&ask::budget::written(&budgeting, view)?)
}
