//! `shardfit estimate`: one plan in every detail.

use crate::ask::{self, Setting, View};
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::request::{Explain, Lists, Request, Task};
use crate::search::Stop;
use clap::Args;

use super::common::{ElectricityArgs, EngineArgs, ModelArgs, WorkloadArgs, compared, note, prices};
use super::emit::{self, EmitArgs};
use super::kernels::KernelsArgs;
use super::launch::LaunchArgs;
use super::outcome::Outcome;
use super::output::OutputArgs;
use super::place::PlaceArgs;
use super::split::SplitArgs;
use super::talk;

/// Arguments of `estimate`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = "Examples:\n  \
    shardfit estimate llama-3.1-70b --gpu h100-sxm --tp 4 --concurrency 64\n  \
    shardfit estimate llama-3.1-70b --gpu h100-sxm --tp 4,8 --kv bf16,fp8 --concurrency 1,16,64\n  \
    shardfit estimate deepseek-r1 --gpu h200-sxm --tp 8 --ep 8 --engine sglang --explain\n  \
    shardfit estimate --gpu h100-sxm --launch 'vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 4'\n  \
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
    launch: LaunchArgs,
    #[command(flatten)]
    emit: EmitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl EstimateArgs {
    /// What is asked, with the first of several values, and the lists of them.
    fn request(&self) -> Result<(Request, Lists), Diagnostic> {
        let mut lists = Lists::default();
        let mut request = Request {
            price: prices(&self.price),
            explain: self.explain.then_some(Explain::This(true)),
            emit: self.emit.given(),
            launch: self.launch.launch.clone(),
            ..Request::default()
        };
        self.model.fill(&mut request);
        self.place.fill(&mut request);
        self.split.fill(&mut request);
        self.workload.fill(&mut request, &mut lists)?;
        self.engine.fill(&mut request);
        self.electricity.fill(&mut request);
        Ok((request, lists))
    }
}

/// Runs the command.
pub fn run(args: &EstimateArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let (request, lists) = args.request()?;
    ask::emit::targets(&request)?;
    let format = if request.emit.is_none() { args.output.prepare()? } else { emit::prepare(&args.output)? };
    let view = View::new(format, args.output.width());
    let setting = Setting { catalog, hub: args.model.hub()?, stop: Stop::NEVER };
    let points = request.with_lists(&lists, Task::Estimate)?;
    if points.len() > 1 {
        return compared(Task::Estimate, &points, &setting, (&args.output, view));
    }
    let judged = ask::estimate::written(&request, &setting, view)?;
    if judged.left_out > 0 {
        talk::say(&format!(
            "note: --launch starts {} kinds of server; the first is answered for",
            judged.left_out + 1
        ));
    }
    if let Some(resolved) = &judged.resolved {
        note(&request, resolved);
    }
    let answered = &judged.answered;
    let launched = judged.resolved.is_none();
    match request.emit {
        Some(_) if !launched => emit::answer(&args.output, answered)?,
        _ => args.output.answer(answered)?,
    };
    Ok(if answered.is_found() { Outcome::Found } else { Outcome::NothingFeasible })
}
