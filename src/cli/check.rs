//! `shardfit check`: every problem of every file.

use std::path::PathBuf;

use clap::Args;

use crate::catalog::Catalog;
use crate::check::{self, Kind};
use crate::diagnostic::{Code, Diagnostic};
use crate::report;

use super::outcome::Outcome;
use super::output::OutputArgs;

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 no problem, 2 problems.\n\n\
    Examples:\n  shardfit check config.json scenarios/review.yaml\n  \
    shardfit check scenarios --format json\n  shardfit check --schema gpu > gpu.schema.json")]
pub struct CheckArgs {
    /// Files of GPUs, clusters, classes, engines, scenarios, models and launches, and folders of them
    #[arg(required_unless_present_any = ["schema", "launch"], value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the files describe: gpu, cluster, class, engine, scenario, model or launch [default: told from
    /// folder and keys]
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Print the JSON Schema of gpu, cluster, class, engine or scenario files
    #[arg(long, value_name = "KIND", conflicts_with_all = ["files", "kind"])]
    schema: Option<String>,
    /// The text of a launch to check: flags that its engine's version does not take, values of the wrong type
    #[arg(long, value_name = "TEXT|FILE", allow_hyphen_values = true, conflicts_with = "schema")]
    launch: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn run(args: &CheckArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    if let Some(name) = &args.schema {
        args.output.prepare_text()?;
        args.output.emit(&schema(name)?)?;
        return Ok(Outcome::Found);
    }
    let format = args.output.prepare()?;
    let kind = args.kind.as_deref().map(str::parse::<Kind>).transpose().map_err(|d| d.within("--kind"))?;
    let mut report = match (&args.launch, args.files.is_empty()) {
        (Some(_), true) => check::Report::default(),
        _ => check::check(&args.files, kind, catalog)?,
    };
    if let Some(launch) = &args.launch {
        report.files.push(check::launch(launch)?);
    }
    args.output.report(&report::check(&report), format)?;
    Ok(if report.problems() == 0 { Outcome::Found } else { Outcome::Faulty })
}

fn schema(name: &str) -> Result<String, Diagnostic> {
    let schema = check::schema(name.parse().map_err(|d: Diagnostic| d.within("--schema"))?);
    let schema = schema.ok_or_else(|| {
        Diagnostic::new(Code::Usage, "a model's config.json has no schema of ours").at("--schema")
    })?;
    Ok(format!("{schema:#}"))
}
