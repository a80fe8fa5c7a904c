//! `shardfit estimate`: one plan in every detail.

use clap::Args;

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::deployment::{Context, ContextParts, Deployment, Estimate};
use crate::estimate::memory::Verdict;
use crate::plan::{BatchPoint, Layout, Plan, Reason};
use crate::report::{self, Fit, Format, PLAN_COLUMNS, Row, Sheet, Subject};
use crate::workload::Load;

use super::common::{ElectricityArgs, EngineArgs, ModelArgs, WorkloadArgs, explained};
use super::kernels::{self, KernelsArgs};
use super::outcome::Outcome;
use super::output::OutputArgs;
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
    output: OutputArgs,
}

/// Runs the command.
pub fn run(args: &EstimateArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    let model = args.model.find(catalog)?;
    let workload = args.workload.workload(&model)?;
    let split = args.place.split();
    let pools = args.split.pools()?;
    let mut cluster = match &pools {
        Some(pools) => args.place.cluster_of(catalog, &args.price, pools.gpus())?,
        None => args.place.cluster(catalog, &args.price)?,
    };
    args.workload.of_one_plan()?;
    args.engine.host.on(std::slice::from_mut(&mut cluster))?;
    let engines = args.engine.engines(catalog, std::slice::from_ref(&cluster))?;
    kernels::measure(catalog, [&mut cluster], &engines, &model)?;
    let precisions = args.engine.precisions()?;
    let ([engine], [precision]) = (engines.as_slice(), precisions.as_slice()) else {
        return Err(Diagnostic::new(Code::Usage, "an estimate is of one engine and one precision")
            .help("`shardfit plan` compares several"));
    };
    let model = match precision.weights {
        Some(format) => model.with_weights(format),
        None => model,
    };
    let context = Context::new(ContextParts {
        model: &model,
        cluster: &cluster,
        engine,
        limits: args.engine.limits(split.pp)?,
        kv: precision.kv,
        workload,
        electricity: args.electricity.electricity()?,
    })?;
    let batch = if workload.load == Load::Saturate { BatchPoint::Largest } else { BatchPoint::FromLoad };
    let layout = Layout { pool: 0, engine: 0, precision: 0, launch: 0, parallelism: split };
    let plan = Plan { id: 0, layout, replicas: args.place.replicas, batch, prefill: None };
    let (deployment, estimate, reasons) = match &pools {
        Some(pools) => {
            let (prefill, decode) = pools.deployments(&context)?;
            let (estimate, reasons) = pools.estimate((&prefill, &decode));
            (decode, estimate, reasons)
        }
        None => evaluate(&context, &args.place, plan)?,
    };
    let subject = Subject::new(&model, &cluster, &engines, &workload);
    let fit = fit(&context, &estimate);
    let mut text = render(args, format, &subject, (&deployment, &estimate, &reasons, &fit))?;
    if format == Format::Table {
        text += &args.engine.remarks(&engines, std::slice::from_ref(&cluster));
    }
    args.output.emit(&text)?;
    Ok(if reasons.is_empty() { Outcome::Found } else { Outcome::NothingFeasible })
}

/// The estimate and every reason against it. An illegal plan has no figures: that is an error here.
fn evaluate<'a>(
    context: &'a Context<'a>,
    place: &PlaceArgs,
    plan: Plan,
) -> Result<(Deployment<'a>, Estimate, Vec<Reason>), Diagnostic> {
    let split = plan.layout.parallelism;
    let placement = context.check(split).map_err(|reason| {
        Diagnostic::new(Code::Usage, reason.message()).at(format!("{} with {}", split, context.engine.id))
    })?;
    place.fits(placement.max_replicas)?;
    let memory = context.memory(split);
    let deployment = Deployment::compile(context, split, placement, memory);
    let (estimate, reasons) = deployment.appraise(plan);
    Ok((deployment, estimate, reasons))
}

/// What there is room for, and what would make the plan fit if it does not.
fn fit(context: &Context, estimate: &Estimate) -> Fit {
    let split = estimate.parallelism;
    let batch = estimate.batch.ceil().max(1.0) as u64;
    let short = estimate.verdict == Verdict::DoesNotFit;
    Fit {
        batch,
        room: context.memory_question(split).room(batch),
        fraction: context.engine.fraction_name(),
        residuals: context.engine.memory.residuals.clone(),
        stages: context.memory_question(split).by_stage(),
        remedies: if short { context.remedies(split) } else { Vec::new() },
    }
}

fn render(
    args: &EstimateArgs,
    format: Format,
    subject: &Subject,
    (deployment, estimate, reasons, fit): (&Deployment, &Estimate, &[Reason], &Fit),
) -> Result<String, Diagnostic> {
    let width = args.output.width();
    if args.explain {
        return explained(format, width, subject, estimate, &deployment.explain(estimate));
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
