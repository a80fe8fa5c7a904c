//! `shardfit calibrate`: kernel coefficients from measured rows.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueHint};

use crate::calibrate::{Outcome as Fate, Questions, Subject, overlay};
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::load;
use crate::report::{self, Format};

use super::output::{self, print};
use super::values::names;
use super::{Outcome, progress, talk};

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("subject").required(true).args(["gpu", "class"]))]
#[command(
    after_help = "Example:\n  shardfit calibrate kernels.csv --gpu h100-sxm -o mine/kernels/h100-sxm.yaml\n  \
    shardfit plan llama-3.1-70b --cluster 8xh100-sxm --catalog mine"
)]
pub struct CalibrateArgs {
    /// CSV files of measured kernels
    #[arg(required = true, value_hint = ValueHint::FilePath, value_name = "KERNELS.csv")]
    files: Vec<PathBuf>,
    /// GPU that they were measured on
    #[arg(long, value_name = "NAME")]
    gpu: Option<String>,
    /// Class of GPUs to pool all of them for
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Who measured, on what and when, to be kept with the coefficients
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// table, csv, json, yaml or md
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    #[arg(value_parser = names(Format::NAMES), hide_possible_values = true)]
    format: String,
    /// Write the new coefficients to FILE: kernels/NAME.yaml in a folder for --catalog
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

impl CalibrateArgs {
    fn subject(&self) -> Subject {
        match (&self.gpu, &self.class) {
            (Some(gpu), _) => Subject::Gpu(gpu.clone()),
            (None, class) => Subject::Class(class.clone().unwrap_or_default()),
        }
    }

    fn source(&self) -> String {
        let files = self.files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy());
        let files: Vec<_> = files.collect();
        self.source.clone().unwrap_or_else(|| format!("shardfit calibrate {}", files.join(" ")))
    }
}

/// Runs the command.
pub fn run(args: &CalibrateArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format: Format = args.format.parse()?;
    if let Some(path) = &args.output {
        load::check_writable(path)?;
    }
    let questions = Questions::read(&args.files, args.subject(), catalog)?;
    let bar = progress::bar(questions.len() as u64, "fits")?;
    let calibration = questions.answer(|| bar.inc(1))?;
    bar.finish_and_clear();
    let width = output::width();
    let text = format.write(
        width,
        || Ok(report::calibration_text(&calibration, width)),
        || Ok(report::calibration_json(&calibration)),
        || Ok(report::calibration_sheet(&calibration)),
    )?;
    print(&(text.trim_end().to_owned() + "\n"))?;
    match (&args.output, overlay(&calibration, &args.source())) {
        (Some(path), Some(yaml)) => load::write_whole(path, yaml.as_bytes())?,
        (Some(path), None) => talk::say(&format!("nothing new; {} is not written", path.display())),
        (None, _) => {}
    }
    let any = calibration.groups.iter().any(|g| g.outcome != Fate::TooFew);
    Ok(if any { Outcome::Found } else { Outcome::NothingFeasible })
}
