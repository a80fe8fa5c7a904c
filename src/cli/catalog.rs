//! `shardfit catalog`: what is built in.

use clap::Args;

use crate::catalog::{self, Kind};
use crate::diagnostic::Diagnostic;
use crate::load;
use crate::report::{Format, Sheet, Value};

use super::Outcome;
use super::output::OutputArgs;

/// Arguments of `catalog`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  shardfit catalog gpus\n  shardfit catalog gpus h100-sxm\n  \
    shardfit catalog models llama-3.1-70b --format json")]
pub struct CatalogArgs {
    /// gpus, clusters, models or engines
    #[arg(value_parser = super::values::names(["gpus", "clusters", "models", "engines"]), hide_possible_values = true)]
    kind: String,
    /// Entry to show in full
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn run(args: &CatalogArgs) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    let kind = kind(&args.kind)?;
    let text = match &args.name {
        Some(name) => show(kind, name, format)?,
        None => list(kind, format, args.output.width())?,
    };
    args.output.emit(&text)?;
    Ok(Outcome::Found)
}

fn kind(name: &str) -> Result<Kind, Diagnostic> {
    match name {
        "gpus" | "gpu" => Ok(Kind::Gpu),
        "clusters" | "cluster" => Ok(Kind::Cluster),
        "models" | "model" => Ok(Kind::Model),
        "engines" | "engine" => Ok(Kind::Engine),
        other => {
            let all = ["gpus", "clusters", "models", "engines"];
            Err(Diagnostic::unknown("kind of entry", other, all, &format!("allowed: {}", all.join(", "))))
        }
    }
}

/// One entry as it is described: YAML or JSON, whichever its file is, or as asked for.
fn show(kind: Kind, name: &str, format: Format) -> Result<String, Diagnostic> {
    let entry = catalog::find(kind, name)?;
    let value: serde_json::Value = load::json(entry.json, entry.id)?;
    match (format, kind) {
        (Format::Json, _) | (Format::Table, Kind::Model) => Ok(format!("{value:#}")),
        (Format::Csv, _) => Sheet::of_json(&value).csv(),
        (Format::Markdown, _) => Ok(Sheet::of_json(&value).markdown()),
        (Format::Yaml | Format::Table, _) => load::to_yaml(&value),
    }
}

fn list(kind: Kind, format: Format, width: Option<u16>) -> Result<String, Diagnostic> {
    let sheet = match kind {
        Kind::Gpu => gpus()?,
        Kind::Model => models()?,
        Kind::Cluster | Kind::Engine | Kind::GpuClass => names(kind),
    };
    format.write(width, || Ok(sheet.table(width)), || Ok(sheet.json()), || Ok(sheet.clone()))
}

fn names(kind: Kind) -> Sheet {
    let mut sheet = Sheet::new(["id", "name", "aliases"]);
    for entry in catalog::entries(kind) {
        sheet.rows.push(vec![entry.id.into(), entry.title.into(), Value::Text(entry.aliases.join(", "))]);
    }
    sheet
}

fn gpus() -> Result<Sheet, Diagnostic> {
    let mut sheet = Sheet::new([
        "id",
        "name",
        "memory_gib",
        "bandwidth_tb_per_s",
        "bf16_tflops",
        "fp8_tflops",
        "usd_per_h",
        "kernels",
    ]);
    for entry in catalog::entries(Kind::Gpu) {
        let gpu = catalog::gpu(entry.id)?;
        let tera =
            |p: Option<crate::units::FlopsPerSecond>| p.map_or(Value::Missing, |p| (p.get() / 1e12).into());
        sheet.rows.push(vec![
            entry.id.into(),
            entry.title.into(),
            gpu.memory.as_gib().into(),
            (gpu.bandwidth.get() / 1e12).into(),
            tera(gpu.peak_16bit()),
            tera(gpu.peak(crate::dtype::DType::Fp8)),
            gpu.price.as_ref().map_or(Value::Missing, |p| p.on_demand.get().into()),
            if gpu.kernels.gemm.is_empty() { "class default" } else { "fitted" }.into(),
        ]);
    }
    sheet.spare = vec!["kernels", "fp8_tflops", "usd_per_h", "name"];
    Ok(sheet)
}

fn models() -> Result<Sheet, Diagnostic> {
    let mut sheet = Sheet::new(["id", "aliases", "family", "parameters", "active", "weights", "context"]);
    for entry in catalog::entries(Kind::Model) {
        let model = crate::model::find(entry.id, &[], crate::model::Scope::Full)?;
        let count = model.parameters()?;
        sheet.rows.push(vec![
            entry.id.into(),
            Value::Text(entry.aliases.join(", ")),
            Value::Text(model.family.clone()),
            count.total.into(),
            count.active.into(),
            model.quantisation.main_format().name().into(),
            model.max_context.map_or(Value::Missing, Value::Integer),
        ]);
    }
    sheet.spare = vec!["aliases", "context", "weights", "family"];
    Ok(sheet)
}
