//! The `shardfit` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    shardfit::cli::run()
}
