//! `shardfit inspect`: a model taken apart.

use clap::Args;

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::load;
use crate::report::{self, Format, Sheet, Value};

use super::common::ModelArgs;
use super::output::OutputArgs;
use super::verify::VerifyArgs;
use super::{Outcome, verify};

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  shardfit inspect deepseek-v3\n  shardfit inspect ./config.json --format json"
)]
pub struct InspectArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    verify: VerifyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn run(args: &InspectArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    let model = args.model.find(catalog)?;
    if let Some(weights) = &args.verify.verify {
        let name = args.model.model.as_deref().unwrap_or(&model.id);
        return verify::run(&model, name, weights, &args.model.hub()?, &args.output);
    }
    let json = report::inspection_json(&model)?;
    let text = match format {
        Format::Json => format!("{json:#}"),
        Format::Yaml => load::to_yaml(&json)?,
        Format::Table => {
            let width = args.output.width();
            report::wrap(&report::inspection_text(&model, width)?, width)
        }
        Format::Csv => flat(&json).csv()?,
        Format::Markdown => flat(&json).markdown(),
    };
    args.output.emit(&text)?;
    Ok(Outcome::Found)
}

/// The inspection as two columns, nested names joined by dots.
fn flat(json: &serde_json::Value) -> Sheet {
    let mut sheet = Sheet::new(["figure", "value"]);
    let mut add = |name: String, value: &serde_json::Value| {
        let cell = match value {
            serde_json::Value::String(s) => Value::Text(s.clone()),
            serde_json::Value::Null => Value::Missing,
            serde_json::Value::Number(n) if n.is_u64() => n.as_u64().map_or(Value::Missing, Value::Integer),
            other => Value::Text(other.to_string()),
        };
        sheet.rows.push(vec![Value::Text(name), cell]);
    };
    for (key, value) in json.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => inner.iter().for_each(|(k, v)| add(format!("{key}.{k}"), v)),
            None => add(key.clone(), value),
        }
    }
    sheet
}
