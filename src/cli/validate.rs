//! `shardfit validate`: error of the estimators on measured rows.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::report::{self, Format};
use crate::validate::{Estimator, Kind, validate};
use crate::{load, validate as validation};

use super::Outcome;
use super::kernels::KernelsArgs;
use super::output::{self, print};
use super::values::names;

/// Arguments of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  shardfit validate serving runs.csv --models configs/ --by engine,gpu")]
pub struct ValidateArgs {
    /// params, memory, kernels or serving
    #[arg(value_parser = names(Kind::NAMES), hide_possible_values = true)]
    kind: String,
    /// CSV file of measured rows
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Folder of config.json files named <org>--<name>.json, looked at first
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    models: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
    /// How servers are estimated: simulate (discrete events, under each row's protocol) or steady (in
    /// closed form, as plan does)
    #[arg(long, default_value = "simulate", value_name = "NAME")]
    #[arg(value_parser = names(Estimator::NAMES), hide_possible_values = true)]
    estimator: String,
    /// Errors by these columns too; `decade` is the power of ten of a kernel's size
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    by: Vec<String>,
    /// table, csv, json, yaml or md
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    #[arg(value_parser = names(Format::NAMES), hide_possible_values = true)]
    format: String,
    /// Write every row with its prediction to FILE
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &ValidateArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format: Format = args.format.parse()?;
    let kind: Kind = args.kind.parse()?;
    if let Some(path) = &args.output {
        load::check_writable(path)?;
    }
    let catalog = catalog.clone().with_models(&args.models)?;
    let result: validation::Validation =
        validate(kind, &args.file, &catalog, args.estimator.parse()?, &args.by)?;
    if let Some(path) = &args.output {
        load::write_whole(path, report::predictions_sheet(&result).csv()?.as_bytes())?;
    }
    let width = output::width();
    let text = format.write(
        width,
        || Ok(report::validation_text(&result, width)),
        || Ok(report::validation_json(&result)),
        || Ok(report::metrics_sheet(&result)),
    )?;
    print(&(text.trim_end().to_owned() + "\n"))?;
    Ok(if result.predicted() > 0 { Outcome::Found } else { Outcome::NothingFeasible })
}
