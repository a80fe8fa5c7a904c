//! The `shardfit-evidence` command: `validate` and `calibrate` on files of public measurements.

use std::process::ExitCode;

use shardfit_evidence::Evidence;

fn main() -> ExitCode {
    shardfit::cli::run_on_measurements("shardfit-evidence", &Evidence)
}
