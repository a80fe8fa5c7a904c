//! `shardfit estimate`: one plan in every detail.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::estimate::deployment::Explanation;
use crate::estimate::memory::Verdict;
use crate::launch;
use crate::report::{self, Format, Row, Sheet, Subject};
use crate::request::{Estimated, Request, Task};

use super::common::{ElectricityArgs, EngineArgs, ModelArgs, WorkloadArgs, explained, prices, resolve};
use super::emit::{self, EmitArgs};
use super::kernels::KernelsArgs;
use super::launch::{LaunchArgs, Read};
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
    let mut request = args.request()?;
    let launched = args.launch.fill(&mut request, catalog, &args.model.hub()?)?;
    let resolved = match (resolve(&request, Task::Estimate, catalog), &launched) {
        (Ok(resolved), _) => resolved,
        // What the launch says is read all the same; why it was not judged is said.
        (Err(why), Some(launched)) => return unjudged(args, format, launched, &why),
        (Err(why), None) => return Err(why),
    };
    let precision = resolved.precisions.first();
    let asked = launch::plan::Asked {
        model: args.model.loaded_as(&resolved.model),
        cluster: &resolved.cluster,
        weights: precision.and_then(|p| p.weights),
        kv: precision.is_some_and(|p| p.kv.is_some()),
    };
    let judged = resolved.estimate_and(|deployment, estimate| {
        let starts = !targets.is_empty() && estimate.verdict != Verdict::DoesNotFit;
        (
            args.explain.then(|| deployment.explain(estimate)),
            starts.then(|| launch::plan::release(estimate, deployment, &asked)),
        )
    });
    let (estimated, (explanation, release)) = match (judged, &launched) {
        (Ok(judged), _) => judged,
        (Err(why), Some(launched)) => return unjudged(args, format, launched, &why),
        (Err(why), None) => return Err(why),
    };
    if let Some(release) = &release {
        emit::write(&targets, release, &args.output)?;
        return Ok(Outcome::Found);
    }
    let subject = Subject::of(&resolved);
    let mut text = render(args, format, &subject, &estimated, (explanation.as_ref(), launched.as_ref()))?;
    if format == Format::Table {
        text += &args.engine.remarks(&resolved.engines, &resolved.pools);
    }
    match targets.is_empty() {
        true => args.output.emit(&text)?,
        // It does not fit: why is printed, and no file is written.
        false => print(&text)?,
    }
    let too_long = launched.as_ref().and_then(|l| l.too_long(estimated.estimate.memory.kv_cache_tokens));
    let holds = estimated.reasons.is_empty() && too_long.is_none();
    Ok(if holds { Outcome::Found } else { Outcome::NothingFeasible })
}

/// A launch that was read and could not be judged: without a GPU, with a model that is not at hand, with a layout that
/// the engine refuses. What it says is printed, and why there is no verdict.
fn unjudged(
    args: &EstimateArgs,
    format: Format,
    launched: &Read,
    why: &Diagnostic,
) -> Result<Outcome, Diagnostic> {
    let text = format.write(
        args.output.width(),
        || Ok(format!("{}not judged: {why}\n", launched.text())),
        || {
            let mut map = launched.json();
            map.insert("feasible".into(), Value::Null);
            map.insert("reasons".into(), json!([]));
            map.insert("notes".into(), json!([format!("not judged: {}", why.cause)]));
            Ok(Value::Object(map))
        },
        || Ok(Sheet::new(launched.json().keys().map(String::as_str))),
    )?;
    args.output.emit(&text)?;
    Ok(Outcome::Found)
}

fn render(
    args: &EstimateArgs,
    format: Format,
    subject: &Subject,
    Estimated { estimate, reasons, fit }: &Estimated,
    (explanation, launched): (Option<&Explanation>, Option<&Read>),
) -> Result<String, Diagnostic> {
    let width = args.output.width();
    if let Some(explanation) = explanation {
        return explained(format, width, subject, estimate, explanation);
    }
    let tokens = estimate.memory.kv_cache_tokens;
    format.write(
        width,
        || {
            let read = launched.map(|l| l.text() + "\n").unwrap_or_default();
            let long = launched.and_then(|l| l.too_long(tokens)).map(|l| l + "\n").unwrap_or_default();
            Ok(read + &report::estimate_text(subject, estimate, reasons, fit, width) + &long)
        },
        || {
            let mut answer = report::estimate_json(subject, estimate, reasons, fit);
            if let (Some(launched), Value::Object(map)) = (launched, &mut answer) {
                with_launch(map, launched, tokens);
            }
            Ok(answer)
        },
        || Ok(report::plan_sheet(&[Row::from(estimate)], false).about(subject.asked())),
    )
}

/// Adds what the launch says to an estimate's JSON: its degrees are those of the estimate.
fn with_launch(map: &mut Map<String, Value>, launched: &Read, kv_cache_tokens: u64) {
    for (key, value) in launched.json() {
        match map.get(&key) {
            Some(own) if value.is_null() && !own.is_null() => {}
            _ => {
                map.insert(key, value);
            }
        }
    }
    if let Some(long) = launched.too_long(kv_cache_tokens) {
        map.insert("feasible".into(), json!(false));
        if let Some(Value::Array(reasons)) = map.get_mut("reasons") {
            reasons.push(json!({ "reason": "longest_request_does_not_fit", "message": long }));
        }
    }
}
