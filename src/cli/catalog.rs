//! `shardfit catalog`: what is known, built in and of the user's own.

use clap::Args;

use crate::catalog::{Catalog, Entry, Kind};
use crate::diagnostic::Diagnostic;
use crate::load;
use crate::report::{Format, Sheet, Value};

use super::outcome::Outcome;
use super::output::OutputArgs;

/// Kinds of entries that can be listed.
const KINDS: [&str; 8] =
    ["gpus", "clusters", "models", "engines", "frameworks", "classes", "kernels", "scheduling"];

/// Arguments of `catalog`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  shardfit catalog gpus\n  shardfit catalog gpus h100-sxm\n  \
    shardfit catalog models llama-3.1-70b --format json")]
pub struct CatalogArgs {
    /// gpus, clusters, models, engines, frameworks, classes, kernels or scheduling
    #[arg(value_parser = super::values::names(KINDS), hide_possible_values = true)]
    kind: String,
    /// Entry to show in full
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn run(args: &CatalogArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    let kind = kind(&args.kind)?;
    let text = match &args.name {
        Some(name) => show(catalog, kind, name, format)?,
        None => list(catalog, kind, format, args.output.width())?,
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
        "frameworks" | "framework" => Ok(Kind::Framework),
        "classes" | "class" => Ok(Kind::GpuClass),
        "kernels" => Ok(Kind::Kernels),
        "scheduling" => Ok(Kind::Scheduling),
        other => {
            Err(Diagnostic::unknown("kind of entry", other, KINDS, &format!("allowed: {}", KINDS.join(", "))))
        }
    }
}

/// One entry as it is described: YAML or JSON, whichever its file is, or as asked for.
fn show(catalog: &Catalog, kind: Kind, name: &str, format: Format) -> Result<String, Diagnostic> {
    let value: serde_json::Value = catalog.find(kind, name)?.parse()?;
    match (format, kind) {
        (Format::Json, _) | (Format::Table, Kind::Model) => Ok(format!("{value:#}")),
        (Format::Csv, _) => Sheet::of_json(&value).csv(),
        (Format::Markdown, _) => Ok(Sheet::of_json(&value).markdown()),
        (Format::Yaml | Format::Table, _) => load::to_yaml(&value),
    }
}

fn list(catalog: &Catalog, kind: Kind, format: Format, width: Option<u16>) -> Result<String, Diagnostic> {
    let sheet = match kind {
        Kind::Gpu => gpus(catalog),
        Kind::Model => models(catalog),
        Kind::Cluster
        | Kind::Engine
        | Kind::Framework
        | Kind::GpuClass
        | Kind::Kernels
        | Kind::Scheduling => names(catalog, kind),
    }?;
    format.write(width, || Ok(sheet.table(width)), || Ok(sheet.json()), || Ok(sheet.clone()))
}

fn names(catalog: &Catalog, kind: Kind) -> Result<Sheet, Diagnostic> {
    sheet(catalog, kind, &["id", "name", "aliases"], |entry| {
        Ok(vec![text(entry.id()), text(entry.title()), text(&entry.aliases().join(", "))])
    })
}

fn gpus(catalog: &Catalog) -> Result<Sheet, Diagnostic> {
    let columns = [
        "id",
        "name",
        "memory_gib",
        "bandwidth_tb_per_s",
        "bf16_tflops",
        "fp8_tflops",
        "usd_per_h",
        "kernels",
    ];
    let mut sheet = sheet(catalog, Kind::Gpu, &columns, |entry| {
        let gpu = catalog.gpu(entry.id())?;
        let tera =
            |p: Option<crate::units::FlopsPerSecond>| p.map_or(Value::Missing, |p| (p.get() / 1e12).into());
        Ok(vec![
            text(entry.id()),
            text(entry.title()),
            gpu.memory.as_gib().into(),
            (gpu.bandwidth.get() / 1e12).into(),
            tera(gpu.peak_16bit()),
            tera(gpu.peak(crate::dtype::DType::Fp8)),
            gpu.price.as_ref().map_or(Value::Missing, |p| p.on_demand.get().into()),
            if gpu.is_measured() { "fitted" } else { "class default" }.into(),
        ])
    })?;
    sheet.spare = vec!["origin", "kernels", "fp8_tflops", "usd_per_h", "name"];
    Ok(sheet)
}

fn models(catalog: &Catalog) -> Result<Sheet, Diagnostic> {
    let columns = ["id", "aliases", "family", "parameters", "active", "weights", "context"];
    sheet(catalog, Kind::Model, &columns, |entry| {
        let model = crate::model::find_in(catalog, entry.id(), crate::model::Scope::Full)?;
        let count = model.parameters()?;
        Ok(vec![
            text(entry.id()),
            text(&entry.aliases().join(", ")),
            Value::Text(model.family.clone()),
            count.total.into(),
            count.active.into(),
            model.quantisation.main_format().name().into(),
            model.max_context.map_or(Value::Missing, Value::Integer),
        ])
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// One row per entry, and where it comes from. A file of the user's that is broken is named on stderr and
/// left out.
fn sheet(
    catalog: &Catalog,
    kind: Kind,
    columns: &[&'static str],
    row: impl Fn(Entry) -> Result<Vec<Value>, Diagnostic>,
) -> Result<Sheet, Diagnostic> {
    let mut sheet = Sheet::new(columns.iter().copied().chain(["origin"]));
    for entry in catalog.entries(kind) {
        match (row(entry), entry.fault()) {
            // Said with all such files when the command ends.
            (_, Some(_)) => {}
            (Ok(mut cells), None) => {
                cells.push(Value::Text(entry.origin()));
                sheet.rows.push(cells);
            }
            (Err(fault), None) if matches!(entry, Entry::File(_)) => super::talk::left_out(&fault),
            (Err(fault), None) => return Err(fault),
        }
    }
    sheet.spare = vec!["aliases", "context", "weights", "family"];
    Ok(sheet)
}
