//! `shardfit inspect MODEL --verify`: a model against the headers of its weight files.

use std::path::Path;

use clap::Args;

use crate::checkpoint::{self, Weights};
use crate::diagnostic::{Code, Diagnostic};
use crate::hub::{Hub, Id};
use crate::model::{Model, verify};
use crate::report;

use super::outcome::Outcome;
use super::output::OutputArgs;

/// Which weight files to compare with.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Compare with safetensors headers, tensor by tensor: a file, an index, a folder, org/name or `hub`
    /// [without a value: where the model's config.json is from]
    #[arg(long, value_name = "WEIGHTS", num_args = 0..=1, default_missing_value = "", help_heading = "Output")]
    pub verify: Option<String>,
}

/// Compares a model, named `name` by the user, with weight files: 0 when they agree, 1 when not.
pub fn run(
    model: &Model,
    name: &str,
    weights: &str,
    hub: &Hub,
    output: &OutputArgs,
) -> Result<Outcome, Diagnostic> {
    let format = output.prepare()?;
    let weights = find(model, name, weights, hub)?;
    let result = verify::verify(model, &weights)?;
    output.report(&report::verification(&model.id, &result), format)?;
    Ok(if result.agrees() { Outcome::Found } else { Outcome::Differs })
}

/// The weight files that are meant.
fn find(model: &Model, name: &str, weights: &str, hub: &Hub) -> Result<Weights, Diagnostic> {
    let its_own = weights.is_empty() || weights == "hub";
    let named = if its_own { name } else { weights };
    let path = Path::new(named);
    if weights != "hub" && path.exists() {
        return match path.file_name().is_some_and(|file| file == "config.json") {
            true => {
                checkpoint::local(path.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new(".")))
            }
            false => checkpoint::local(path),
        };
    }
    // A model of the catalogue goes by its id on the hub.
    match Id::parse(named).or_else(|| Id::parse(&model.id).filter(|_| its_own)) {
        Some(id) => checkpoint::remote(hub, &id),
        None => Err(Diagnostic::new(Code::Usage, format!("`{named}` names no weight files"))
            .at("--verify")
            .help("name a safetensors file, an index, a folder with them, or org/name on the hub")),
    }
}
