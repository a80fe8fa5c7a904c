//! The `shardfit-evidence` command: `validate` and `calibrate` on files of public measurements, and `residuals`, which
//! makes of them what ranges and chances rest on.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use shardfit::catalog::Catalog;
use shardfit::diagnostic::Diagnostic;
use shardfit::load;
use shardfit_evidence::{Evidence, residuals};

/// Spreads of measured over estimated by class of servers: prints how true they are of models left out
#[derive(Debug, Parser)]
#[command(name = "shardfit-evidence residuals", max_term_width = 100)]
#[command(after_help = "Example:\n  \
    shardfit-evidence residuals truth/*/*.csv --models configs/ --source 'public runs' --made 2026-12-01 -o \
    residuals/serving.yaml")]
struct Residuals {
    /// CSV files of measured servers, as `validate serving` reads them
    #[arg(required = true, value_name = "ROWS.csv")]
    files: Vec<PathBuf>,
    /// Folder of config.json files named <org>--<name>.json, looked at first
    #[arg(long, value_name = "DIR")]
    models: Vec<PathBuf>,
    /// Who measured, to be kept with the spreads
    #[arg(long, value_name = "TEXT")]
    source: String,
    /// The day, to be kept with the spreads
    #[arg(long, value_name = "YYYY-MM-DD")]
    made: String,
    /// Write the spreads to FILE: residuals/serving.yaml of the sources
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Residuals {
    fn run(&self) -> Result<(), Diagnostic> {
        let catalog = Catalog::usual(&[])?.with_models(&self.models)?;
        let found = residuals::of_files(&self.files, &catalog)?;
        if let Some(file) = &self.output {
            let text = residuals::yaml(&found, (&self.source, &self.made));
            load::write_whole(file, text.as_bytes())?;
        }
        print!("{}", residuals::report(&found));
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next();
    if words.next().is_none_or(|word| word != "residuals") {
        return shardfit::cli::run_on_measurements("shardfit-evidence", &Evidence);
    }
    match Residuals::parse_from(name.into_iter().chain(words)).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(diagnostic) => {
            eprintln!("{diagnostic}");
            ExitCode::from(2)
        }
    }
}
