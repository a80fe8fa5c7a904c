//! The arguments of programs that understand more measured rows than `shardfit` does: `validate` and `calibrate` alone.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::{calibrate, talk, validate};

/// `validate` and `calibrate` on measured rows.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Measured {
    #[command(flatten)]
    pub talk: talk::TalkArgs,
    /// Folder of your own gpus/, clusters/, classes/, engines/, models/, kernels/ and scheduling/, over those
    /// built in; may be given more than once, the first wins
    #[arg(long, global = true, value_name = "DIR", help_heading = "Catalogue")]
    pub catalog: Vec<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare estimates with measured rows
    Validate(Box<validate::ValidateArgs>),
    /// Fit kernel coefficients, or the constants of engines, to measured rows
    Calibrate(Box<calibrate::CalibrateArgs>),
}
