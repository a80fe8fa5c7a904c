//! `shardfit merge`: the shards of a sweep put together.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::report::sweep::Earlier;
use crate::scenario::{self, Journal};

use super::outcome::Outcome;
use super::sweep;

/// Arguments of `merge`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  shardfit merge part-1/ part-2/ -o whole/")]
pub struct MergeArgs {
    /// Folders of all shards of one sweep
    #[arg(required = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    parts: Vec<PathBuf>,
    /// Folder for the results of the whole, made if it does not exist
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: PathBuf,
    /// The results.csv of an earlier review: say what has changed since
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    compare: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &MergeArgs) -> Result<Outcome, Diagnostic> {
    let journals: Vec<PathBuf> = args.parts.iter().map(|part| part.join(Journal::NAME)).collect();
    let earlier = args.compare.as_deref().map(Earlier::read).transpose()?;
    let to = args.output.join(Journal::NAME);
    let same = |path: &PathBuf| match (path.canonicalize(), to.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    if journals.iter().any(same) {
        return Err(Diagnostic::new(Code::Usage, "a shard's folder cannot hold the whole too")
            .at(args.output.display().to_string())
            .help("name another folder with -o"));
    }
    scenario::check_shards(&journals)?;
    load::make_folder(&args.output)?;
    load::check_writable(&args.output.join("results.csv"))?;
    let merged = scenario::merge(&journals, &to)?;
    sweep::write(&to, &args.output, earlier, &merged.header)
}
