//! `shardfit estimate`: one plan in every detail.

use clap::Args;

use crate::catalog::{Catalog, Cluster};
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::deployment::{Context, ContextParts, Deployment, Estimate};
use crate::estimate::memory::Limits;
use crate::plan::space::ALL_REPLICAS;
use crate::plan::{BatchPoint, Layout, Parallelism, Plan, Reason};
use crate::report::{self, Format, PLAN_COLUMNS, Row, Sheet, Subject};
use crate::workload::Load;

use super::Outcome;
use super::common::{ElectricityArgs, EngineArgs, ModelArgs, WorkloadArgs, cluster, cluster_of, explained};
use super::output::OutputArgs;
use super::values::degree;

/// Arguments of `estimate`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  \
    shardfit estimate llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64\n  \
    shardfit estimate deepseek-r1 --gpu h200-sxm --tp 8 --ep 8 --engine sglang --explain\n  \
    shardfit estimate --shape layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256 --gpu l40s")]
pub struct EstimateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// GPU, by name or YAML file
    #[arg(long, value_name = "GPU", required_unless_present = "cluster", conflicts_with = "cluster")]
    gpu: Option<String>,
    /// Cluster to place the plan on [default: as many GPUs as the plan needs]
    #[arg(long, value_name = "CLUSTER", allow_hyphen_values = true)]
    cluster: Option<String>,
    /// Tensor parallel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    tp: u32,
    /// Pipeline stages
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    pp: u32,
    /// Expert parallel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    ep: u32,
    /// Attention data parallel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    attention_dp: u32,
    /// Replicas
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = degree)]
    replicas: u32,
    #[command(flatten)]
    workload: WorkloadArgs,
    #[command(flatten)]
    engine: EngineArgs,
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
    let split = Parallelism { tp: args.tp, pp: args.pp, ep: args.ep, attention_dp: args.attention_dp };
    let cluster = place(catalog, args, split)?;
    let engines = args.engine.engines(catalog)?;
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
        limits: args.engine.limits().on(Limits::of(engine, &cluster.gpu)),
        kv: precision.kv,
        workload,
        electricity: args.electricity.electricity()?,
    })?;
    let batch = if workload.load == Load::Saturate { BatchPoint::Largest } else { BatchPoint::FromLoad };
    let layout = Layout { pool: 0, engine: 0, precision: 0, parallelism: split };
    let plan = Plan { id: 0, layout, replicas: args.replicas, batch };
    let (deployment, estimate, reasons) = evaluate(&context, plan)?;
    let subject = Subject::new(&model, &cluster, &workload);
    args.output.emit(&render(args, format, &subject, (&deployment, &estimate, &reasons))?)?;
    Ok(if reasons.is_empty() { Outcome::Found } else { Outcome::NothingFeasible })
}

/// The cluster: the one named, or just enough GPUs.
fn place(catalog: &Catalog, args: &EstimateArgs, split: Parallelism) -> Result<Cluster, Diagnostic> {
    match (&args.cluster, &args.gpu) {
        (Some(name), _) => cluster(catalog, name, &args.price),
        (None, Some(gpu)) => {
            let gpus = split.gpus().saturating_mul(u64::from(args.replicas));
            cluster_of(catalog, gpu, u32::try_from(gpus).unwrap_or(u32::MAX), &args.price)
        }
        (None, None) => Err(Diagnostic::new(Code::Usage, "name a --gpu or a --cluster")),
    }
}

/// The estimate and every reason against it. An illegal plan has no figures: that is an error here.
fn evaluate<'a>(
    context: &'a Context<'a>,
    plan: Plan,
) -> Result<(Deployment<'a>, Estimate, Vec<Reason>), Diagnostic> {
    let split = plan.layout.parallelism;
    let placement = context.check(split).map_err(|reason| {
        Diagnostic::new(Code::Usage, reason.message()).at(format!("{} with {}", split, context.engine.id))
    })?;
    if plan.replicas != ALL_REPLICAS && plan.replicas > placement.max_replicas {
        let cause = format!("{} replicas of {} GPUs do not fit on the cluster", plan.replicas, split.gpus());
        return Err(Diagnostic::new(Code::Usage, cause).help(format!("at most {}", placement.max_replicas)));
    }
    let memory = context.memory(split);
    let deployment = Deployment::compile(context, split, placement, memory);
    let (estimate, reasons) = deployment.appraise(plan);
    Ok((deployment, estimate, reasons))
}

fn render(
    args: &EstimateArgs,
    format: Format,
    subject: &Subject,
    (deployment, estimate, reasons): (&Deployment, &Estimate, &[Reason]),
) -> Result<String, Diagnostic> {
    let width = args.output.width();
    if args.explain {
        return explained(format, width, subject, estimate, &deployment.explain(estimate));
    }
    let row = Row::from(estimate);
    format.write(
        width,
        || Ok(report::estimate_text(subject, estimate, reasons, width)),
        || Ok(report::estimate_json(subject, estimate, reasons)),
        || {
            let mut sheet = Sheet::new(PLAN_COLUMNS.iter().map(|c| c.name));
            sheet.rows.push(PLAN_COLUMNS.iter().map(|c| (c.of)(&row)).collect());
            Ok(sheet)
        },
    )
}
