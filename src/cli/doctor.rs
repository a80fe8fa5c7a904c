//! `shardfit doctor`: what is here, and what could run on it.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::catalog::Catalog;
use crate::detect::{self, Machine, Outputs};
use crate::diagnostic::Diagnostic;
use crate::load;
use crate::report::Diagnosis;

use super::outcome::Outcome;
use super::output::OutputArgs;
use super::talk;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Asks nvidia-smi, rocm-smi, amd-smi, rocminfo, xpu-smi, npu-smi, lspci, lscpu, system_profiler and sysctl \
    for a few seconds at\nmost, and reads /proc and /sys; nothing needs root. `--cluster local` in any command is what it finds.\n\n\
    Examples:\n  shardfit doctor\n  shardfit doctor --measure --save machine.txt\n  shardfit doctor --from machine.txt"
)]
pub struct DoctorArgs {
    /// Saved outputs instead of this machine: a file in which a line `$ nvidia-smi` stands before what each command
    /// printed, or a folder of such files; `--cluster local:PATH` plans for them
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    from: Option<PathBuf>,
    /// Write what the tools printed to FILE, without serial numbers, for --from
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "from")]
    save: Option<PathBuf>,
    /// Measure the bandwidth of the host's memory, for half a second on all processors
    #[arg(long, conflicts_with = "from")]
    measure: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn run(args: &DoctorArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    args.save.as_deref().map_or(Ok(()), load::check_writable)?;
    let machine = match &args.from {
        Some(path) => Machine::detect(Some(path))?,
        None => here(args)?,
    };
    let name = args.from.as_ref().map_or("local".to_owned(), |path| format!("local:{}", path.display()));
    let detected = catalog.of_machine(&machine);
    let diagnosis = Diagnosis { machine, detected, engines: catalog.engines()?, name };
    args.output.report(&diagnosis.report(), format)?;
    Ok(Outcome::Found)
}

fn here(args: &DoctorArgs) -> Result<Machine, Diagnostic> {
    let mut outputs = Outputs::live();
    if args.measure {
        let rate = detect::measured_bandwidth().get() / 1e9;
        outputs = outputs.with_bandwidth(format!("host memory bandwidth, measured: {rate:.1} GB/s\n"));
    }
    if let Some(path) = &args.save {
        load::write_whole(path, outputs.transcript().as_bytes())?;
        talk::say(&format!("note: saved to {}; look it over before you share it", path.display()));
    }
    Ok(Machine::read(&outputs))
}
