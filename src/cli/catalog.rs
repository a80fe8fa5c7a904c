//! `shardfit catalog`: what is known, built in and of the user's own.

use clap::Args;

use crate::ask::catalog::Models;
use crate::ask::{self, View};
use crate::catalog::published::Purpose;
use crate::catalog::{Catalog, Kind};
use crate::diagnostic::{Code, Diagnostic, folded};
use crate::request::fit::MOST_MODELS;
use crate::request::{Amount, FitRequest, Texts};

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
    shardfit catalog models qwen --task code --max-params 40B\n  shardfit catalog models --fits 1xrtx-4090 --license permissive\n  \
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
    /// Models for chat, code, vision, embedding or reasoning
    #[arg(long, value_name = "TASK", help_heading = "Models")]
    #[arg(value_parser = super::values::names(Purpose::ALL.map(Purpose::name)), hide_possible_values = true)]
    task: Option<String>,
    /// Models that run on this machine, and how, e.g. 1xrtx-4090
    #[arg(long, value_name = "CLUSTER", help_heading = "Models")]
    fits: Option<String>,
    /// Models of these families: parts of names or model types, e.g. qwen3,gemma
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Models")]
    family: Vec<String>,
    /// Models of as many parameters at least, e.g. 7B
    #[arg(long, value_name = "N", help_heading = "Models")]
    min_params: Option<String>,
    /// Models of as many parameters at most, e.g. 40B
    #[arg(long, value_name = "N", help_heading = "Models")]
    max_params: Option<String>,
    /// Models under these licences, e.g. apache-2.0,mit, or permissive
    #[arg(long, value_name = "LICENCE", value_delimiter = ',', help_heading = "Models")]
    license: Vec<String>,
    /// Models released since: 2025, 2025-06 or 2025-06-30
    #[arg(long, value_name = "DAY", help_heading = "Models")]
    since: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl CatalogArgs {
    /// Which models are listed, where some are asked for.
    fn models(&self, kind: Kind, catalog: &Catalog) -> Result<Option<Models>, Diagnostic> {
        let given = [
            ("--task", self.task.is_some()),
            ("--fits", self.fits.is_some()),
            ("--family", !self.family.is_empty()),
            ("--min-params", self.min_params.is_some()),
            ("--max-params", self.max_params.is_some()),
            ("--license", !self.license.is_empty()),
            ("--since", self.since.is_some()),
        ];
        let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) else { return Ok(None) };
        if kind != Kind::Model {
            return Err(Diagnostic::new(Code::Usage, format!("{flag} is about models"))
                .at(flag)
                .help("shardfit catalog models"));
        }
        let count = |flag: &str, text: &Option<String>| {
            text.as_ref().map(|text| Amount(text.to_uppercase()).above_zero(flag)).transpose()
        };
        let parameters = (count("--min-params", &self.min_params)?, count("--max-params", &self.max_params)?);
        let request = FitRequest {
            cluster: self.fits.clone(),
            task: self.task.clone(),
            family: Texts::given(&self.family),
            license: Texts::given(&self.license),
            since: self.since.clone(),
            top: Some(MOST_MODELS),
            ..FitRequest::default()
        };
        Models::of(&request, parameters, catalog).map(Some)
    }
}

/// Runs the command.
pub fn run(args: &CatalogArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let view = View::new(args.output.prepare()?, args.output.width());
    let kind = kind(&args.kind)?;
    let models = args.models(kind, catalog)?;
    let listed = |named| ask::catalog::list(catalog, kind, view, (named, models.as_ref()), talk::left_out);
    let text = match &args.name {
        Some(name) if models.is_some() => listed(Some(name))?,
        Some(name) => match ask::catalog::show(catalog, kind, name, view, args.coefficients) {
            Err(unknown) if unknown.code == Code::UnknownName && named(catalog, kind, name) => {
                listed(Some(name))?
            }
            shown => shown?,
        },
        None => listed(None)?,
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
