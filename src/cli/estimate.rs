//! `shardfit estimate`: one plan in every detail.

use clap::Args;

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::estimate::deployment::Explanation;
use crate::estimate::memory::Verdict;
use crate::launch;
use crate::report::{self, Format, PLAN_COLUMNS, Row, Sheet, Subject};
use crate::request::{Estimated, Request, Task};

use super::common::{ElectricityArgs, EngineArgs, ModelArgs, WorkloadArgs, explained, prices, resolve};
use super::emit::{self, EmitArgs};
use super::kernels::KernelsArgs;
use super::outcome::Outcome;
use super::output::{OutputArgs, print};
use super::place::PlaceArgs;
use super::split::SplitArgs;

/// Arguments of `estimate`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  \
    shardfit estimate llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64\n  \
    shardfit estimate deepseek-r1 --gpu h200-sxm --tp 8 --ep 8 --engine sglang --explain\n  \
    shardfit estimate llama-3.1-70b --gpu h100-sxm --prefill tp=2,replicas=2 --decode tp=4\n  \
    shardfit estimate --shape layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256 --gpu l40s")]
pub struct EstimateArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    split: SplitArgs,
    #[command(flatten)]
    workload: WorkloadArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    pub(super) kernels: KernelsArgs,
    /// Price per GPU and hour in dollars, e.g. h100-sxm=2.10
    #[arg(long, value_name = "GPU=USD")]
    price: Vec<String>,
    #[command(flatten)]
    electricity: ElectricityArgs,
    /// Explain it operator by operator
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    emit: EmitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl EstimateArgs {
    /// What is asked.
    fn request(&self) -> Result<Request, Diagnostic> {
        let mut request = Request { price: prices(&self.price), ..Request::default() };
        self.model.fill(&mut request);
        self.place.fill(&mut request);
        self.split.fill(&mut request);
        self.workload.fill(&mut request)?;
        self.engine.fill(&mut request);
        self.electricity.fill(&mut request);
        Ok(request)
    }
}

/// Runs the command.
pub fn run(args: &EstimateArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let targets = args.emit.targets()?;
    let format = if targets.is_empty() { args.output.prepare()? } else { emit::prepare(&args.output)? };
    let resolved = resolve(&args.request()?, Task::Estimate, catalog)?;
    let precision = resolved.precisions.first();
    let asked = launch::plan::Asked {
        model: args.model.loaded_as(&resolved.model),
        cluster: &resolved.cluster,
        weights: precision.and_then(|p| p.weights),
        kv: precision.is_some_and(|p| p.kv.is_some()),
    };
    let (estimated, (explanation, release)) = resolved.estimate_and(|deployment, estimate| {
        let starts = !targets.is_empty() && estimate.verdict != Verdict::DoesNotFit;
        (
            args.explain.then(|| deployment.explain(estimate)),
            starts.then(|| launch::plan::release(estimate, deployment, &asked)),
        )
    })?;
    if let Some(release) = &release {
        emit::write(&targets, release, &args.output)?;
        return Ok(Outcome::Found);
    }
    let subject = Subject::of(&resolved);
    let mut text = render(args, format, &subject, &estimated, explanation.as_ref())?;
    if format == Format::Table {
        text += &args.engine.remarks(&resolved.engines, &resolved.pools);
    }
    match targets.is_empty() {
        true => args.output.emit(&text)?,
        // It does not fit: why is printed, and no file is written.
        false => print(&text)?,
    }
    Ok(if estimated.reasons.is_empty() { Outcome::Found } else { Outcome::NothingFeasible })
}

fn render(
    args: &EstimateArgs,
    format: Format,
    subject: &Subject,
    Estimated { estimate, reasons, fit }: &Estimated,
    explanation: Option<&Explanation>,
) -> Result<String, Diagnostic> {
    let width = args.output.width();
    if let Some(explanation) = explanation {
        return explained(format, width, subject, estimate, explanation);
    }
    let row = Row::from(estimate);
    format.write(
        width,
        || Ok(report::estimate_text(subject, estimate, reasons, fit, width)),
        || Ok(report::estimate_json(subject, estimate, reasons, fit)),
        || {
            let mut sheet = Sheet::new(PLAN_COLUMNS.iter().map(|c| c.name));
            sheet.rows.push(PLAN_COLUMNS.iter().map(|c| (c.of)(&row)).collect());
            Ok(sheet.about(subject.asked()))
        },
    )
}
