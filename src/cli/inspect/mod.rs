//! `shardfit inspect`: a model taken apart.

mod args;
mod training;

use crate::ask::{self, View};
use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};

use super::common::note_model;
use super::outcome::Outcome;
use super::{talk, verify};
pub use args::InspectArgs;

/// Runs the command.
pub fn run(args: &InspectArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    if let Some(weights) = &args.verify.verify {
        return verified(args, weights, catalog);
    }
    let inspection = args.request().resolve_as_flags(catalog, &args.model.hub()?)?;
    inspection.models.iter().for_each(note_model);
    talk::caveats(&inspection.engine);
    let view = View::new(format, args.output.width());
    args.output.answer(&ask::inspect::written(&inspection, view)?)
}

/// The model against its weight files.
fn verified(args: &InspectArgs, weights: &str, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    if !args.others.is_empty() {
        return Err(Diagnostic::new(Code::Usage, "one model is verified at a time").at("--verify"));
    }
    let model = args.model.find(catalog)?;
    let name = args.model.model.as_deref().unwrap_or(&model.id);
    verify::run(&model, name, weights, &args.model.hub()?, &args.output)
}
