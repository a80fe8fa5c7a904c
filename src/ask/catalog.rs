//! What is known, built in and of the user's own.

use super::view::View;
use crate::catalog::{Catalog, Entry, Kind};
use crate::diagnostic::Diagnostic;
use crate::dtype::DType;
use crate::load;
use crate::model::{self, Scope};
use crate::report::{Format, Sheet, Value};
use crate::units::FlopsPerSecond;

/// One entry as it is described: YAML or JSON, whichever its file is, or as asked for.
///
/// # Errors
/// A name that is none, what is wrong with a file of the user's.
pub fn show(
    catalog: &Catalog,
    kind: Kind,
    name: &str,
    View { format, .. }: View,
) -> Result<String, Diagnostic> {
    let value: serde_json::Value = catalog.find(kind, name)?.parse()?;
    match (format, kind) {
        (Format::Json, _) | (Format::Table, Kind::Model) => Ok(format!("{value:#}")),
        (Format::Csv, _) => Sheet::of_json(&value).csv(),
        (Format::Markdown, _) => Ok(Sheet::of_json(&value).markdown()),
        (Format::Yaml | Format::Table, _) => load::to_yaml(&value),
    }
}

/// Every entry of a kind, in rows; `left_out` is told of files of the user's that are broken.
///
/// # Errors
/// Never in practice: what is built in is whole.
pub fn list(
    catalog: &Catalog,
    kind: Kind,
    View { format, width, .. }: View,
    mut left_out: impl FnMut(&Diagnostic),
) -> Result<String, Diagnostic> {
    let sheet = match kind {
        Kind::Gpu => gpus(catalog, &mut left_out),
        Kind::Model => models(catalog, &mut left_out),
        Kind::Cluster
        | Kind::Engine
        | Kind::Framework
        | Kind::GpuClass
        | Kind::Kernels
        | Kind::Scheduling => names(catalog, kind, &mut left_out),
    }?;
    format.write(width, || Ok(sheet.table(width)), || Ok(sheet.json()), || Ok(sheet.clone()))
}

fn names(catalog: &Catalog, kind: Kind, left_out: &mut dyn FnMut(&Diagnostic)) -> Result<Sheet, Diagnostic> {
    sheet((catalog, kind), left_out, &["id", "name", "aliases"], |entry| {
        Ok(vec![text(entry.id()), text(entry.title()), text(&entry.aliases().join(", "))])
    })
}

fn gpus(catalog: &Catalog, left_out: &mut dyn FnMut(&Diagnostic)) -> Result<Sheet, Diagnostic> {
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
    let mut sheet = sheet((catalog, Kind::Gpu), left_out, &columns, |entry| {
        let gpu = catalog.gpu(entry.id())?;
        let tera = |p: Option<FlopsPerSecond>| p.map_or(Value::Missing, |p| (p.get() / 1e12).into());
        Ok(vec![
            text(entry.id()),
            text(entry.title()),
            gpu.memory.as_gib().into(),
            (gpu.bandwidth.get() / 1e12).into(),
            tera(gpu.peak_16bit()),
            tera(gpu.peak(DType::Fp8)),
            gpu.price.as_ref().map_or(Value::Missing, |p| p.on_demand.get().into()),
            if gpu.is_measured() { "fitted" } else { "class default" }.into(),
        ])
    })?;
    sheet.spare = vec!["origin", "kernels", "fp8_tflops", "usd_per_h", "name"];
    Ok(sheet)
}

fn models(catalog: &Catalog, left_out: &mut dyn FnMut(&Diagnostic)) -> Result<Sheet, Diagnostic> {
    let columns = ["id", "aliases", "family", "parameters", "active", "weights", "context"];
    sheet((catalog, Kind::Model), left_out, &columns, |entry| {
        let model = model::find_in(catalog, entry.id(), Scope::Full)?;
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

/// One row per entry, and where it comes from. A file of the user's that is broken is left out.
fn sheet(
    (catalog, kind): (&Catalog, Kind),
    left_out: &mut dyn FnMut(&Diagnostic),
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
            (Err(fault), None) if matches!(entry, Entry::File(_)) => left_out(&fault),
            (Err(fault), None) => return Err(fault),
        }
    }
    sheet.spare = vec!["aliases", "context", "weights", "family"];
    Ok(sheet)
}
