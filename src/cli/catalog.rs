//! `shardfit catalog`: what is known, built in and of the user's own.

use clap::Args;

use crate::ask::{self, View};
use crate::catalog::{Catalog, Kind};
use crate::diagnostic::{Code, Diagnostic, folded};

use super::outcome::Outcome;
use super::output::OutputArgs;
use super::talk;

/// Kinds of entries that can be listed.
const KINDS: [&str; 8] =
    ["gpus", "clusters", "models", "engines", "frameworks", "classes", "kernels", "scheduling"];

/// Arguments of `catalog`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  shardfit catalog gpus\n  shardfit catalog gpus h100-sxm\n  shardfit catalog models qwen3\n  \
    shardfit catalog models llama-3.1-70b --format json"
)]
pub struct CatalogArgs {
    /// gpus, clusters, models, engines, frameworks, classes, kernels or scheduling
    #[arg(value_parser = super::values::names(KINDS), hide_possible_values = true)]
    kind: String,
    /// Entry to show, or a part of names: those that hold it are listed
    name: Option<String>,
    /// Show the coefficients of a GPU's kernels too
    #[arg(long)]
    coefficients: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn run(args: &CatalogArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let view = View::new(args.output.prepare()?, args.output.width());
    let kind = kind(&args.kind)?;
    let text = match &args.name {
        Some(name) => match ask::catalog::show(catalog, kind, name, view, args.coefficients) {
            Err(unknown) if unknown.code == Code::UnknownName && named(catalog, kind, name) => {
                ask::catalog::list(catalog, kind, view, Some(name), talk::left_out)?
            }
            shown => shown?,
        },
        None => ask::catalog::list(catalog, kind, view, None, talk::left_out)?,
    };
    args.output.emit(&text)?;
    Ok(Outcome::Found)
}

/// Whether the id, the name or an alias of an entry holds these letters.
fn named(catalog: &Catalog, kind: Kind, part: &str) -> bool {
    let letters = |text: &str| folded(text).collect::<String>();
    let part = letters(part);
    let holds = |text: &str| letters(text).contains(&part);
    !part.is_empty()
        && catalog.entries(kind).iter().any(|entry| {
            holds(entry.id()) || holds(entry.title()) || entry.aliases().iter().any(|alias| holds(alias))
        })
}

fn kind(name: &str) -> Result<Kind, Diagnostic> {
    match name {
        "gpus" | "gpu" => Ok(Kind::Gpu),
        "clusters" | "cluster" => Ok(Kind::Cluster),
        "models" | "model" => Ok(Kind::Model),
        "engines" | "engine" => Ok(Kind::Engine),
        "frameworks" | "framework" => Ok(Kind::Framework),
        "classes" | "class" => Ok(Kind::GpuClass),
        "kernels" => Ok(Kind::Kernels),
        "scheduling" => Ok(Kind::Scheduling),
        other => {
            Err(Diagnostic::unknown("kind of entry", other, KINDS, &format!("allowed: {}", KINDS.join(", "))))
        }
    }
}
