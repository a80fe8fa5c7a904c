//! `shardfit inspect`: a model taken apart.

mod args;
mod question;
mod training;

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::model::Model;
use crate::report::{self, Format, Section, Sheet};
use crate::validate::known_sizes;

use super::outcome::Outcome;
use super::verify;
pub use args::InspectArgs;
use args::Table;
use question::{Question, Report};

/// Runs the command.
pub fn run(args: &InspectArgs, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    let format = args.output.prepare()?;
    if let Some(weights) = &args.verify.verify {
        return verified(args, weights, catalog);
    }
    let table = match (&args.what.table, &args.what.mode) {
        (Some(name), _) => name.parse()?,
        (None, Some(_)) => Table::All,
        (None, None) => Table::Params,
    };
    let text = if table == Table::Known {
        known(args, format)?
    } else {
        let question = Question::read(args, table, catalog)?;
        let reports =
            args.models(catalog)?.into_iter().map(|m| question.report(m)).collect::<Result<Vec<_>, _>>()?;
        render(&reports, table, format, args.output.width())?
    };
    args.output.emit(&text)?;
    Ok(Outcome::Found)
}

/// The model against its weight files.
fn verified(args: &InspectArgs, weights: &str, catalog: &Catalog) -> Result<Outcome, Diagnostic> {
    if !args.others.is_empty() {
        return Err(Diagnostic::new(Code::Usage, "one model is verified at a time").at("--verify"));
    }
    let model = args.model.find(catalog)?;
    let name = args.model.model.as_deref().unwrap_or(&model.id);
    verify::run(&model, name, weights, &args.model.hub()?, &args.output)
}

/// The published sizes.
fn known(args: &InspectArgs, format: Format) -> Result<String, Diagnostic> {
    if args.model.model.is_some() {
        return Err(Diagnostic::new(Code::Usage, "`--table known` has its own list of models")
            .help("leave out the model"));
    }
    let section = report::known_section(&known_sizes()?, format == Format::Table);
    one_section(&section, format, args.output.width())
}

fn one_section(section: &Section, format: Format, width: Option<u16>) -> Result<String, Diagnostic> {
    let sections = std::slice::from_ref(section);
    let json = || {
        let mut json = serde_json::json!({});
        report::sections_json(sections, &mut json);
        json
    };
    Ok(match format {
        Format::Table => report::sections_text(sections, width),
        Format::Markdown => report::sections_markdown(sections),
        Format::Csv => report::sections_csv(sections)?,
        Format::Json => format!("{:#}", json()),
        Format::Yaml => load::to_yaml(&json())?,
    })
}

fn render(
    reports: &[Report],
    table: Table,
    format: Format,
    width: Option<u16>,
) -> Result<String, Diagnostic> {
    let json = || -> Result<serde_json::Value, Diagnostic> {
        let mut all = reports.iter().map(Report::json).collect::<Result<Vec<_>, _>>()?;
        Ok(if all.len() == 1 { all.remove(0) } else { serde_json::Value::Array(all) })
    };
    match (format, reports) {
        (Format::Json, _) => Ok(format!("{:#}", json()?)),
        (Format::Yaml, _) => load::to_yaml(&json()?),
        (_, [one]) => one.render(table, format, width),
        (_, several) => compare(several, table, format, width),
    }
}

impl Report {
    /// What every inspection has.
    fn inspection(&self) -> Result<serde_json::Value, Diagnostic> {
        let mut json = report::inspection_json(&self.model)?;
        json["warnings"] = serde_json::json!(self.warnings);
        if let Some(s) = &self.setting {
            json["setting"] = serde_json::json!({
                "mode": s.mode.name(), "batch": s.batch, "seq": s.tokens,
                "dtype": s.activations.name(), "kv": s.kv.name(),
            });
        }
        Ok(json)
    }

    fn json(&self) -> Result<serde_json::Value, Diagnostic> {
        let mut json = self.inspection()?;
        report::sections_json(&self.sections, &mut json);
        Ok(json)
    }

    fn render(&self, table: Table, format: Format, width: Option<u16>) -> Result<String, Diagnostic> {
        let all = || -> Result<Vec<Section>, Diagnostic> {
            let params = report::parameters_section(&self.model)?;
            Ok(std::iter::once(params).chain(self.sections.iter().cloned()).collect())
        };
        match (table, format) {
            (Table::Params, Format::Csv) => Sheet::of_json(&self.inspection()?).csv(),
            (Table::Params, Format::Markdown) => Ok(Sheet::of_json(&self.inspection()?).markdown()),
            (Table::All, Format::Csv) => report::sections_csv(&all()?),
            (Table::All, Format::Markdown) => Ok(report::sections_markdown(&all()?)),
            (_, Format::Csv) => report::sections_csv(&self.sections),
            (_, Format::Markdown) => Ok(report::sections_markdown(&self.sections)),
            (Table::Params | Table::All, _) => {
                let mut text = report::wrap(&report::inspection_text(&self.model, width)?, width);
                if !self.sections.is_empty() {
                    text += &format!("\n{}", report::sections_text(&self.sections, width));
                }
                Ok(text + &self.warning_text())
            }
            _ => {
                let sections = report::sections_text(&self.sections, width);
                Ok(format!("{}\n\n{sections}{}", self.model.id, self.warning_text()))
            }
        }
    }

    fn warning_text(&self) -> String {
        self.warnings.iter().map(|w| format!("warning: {w}\n")).collect()
    }
}

/// Several models: the comparison, and the other tables with a column that names the model.
fn compare(
    reports: &[Report],
    table: Table,
    format: Format,
    width: Option<u16>,
) -> Result<String, Diagnostic> {
    let models: Vec<Model> = reports.iter().map(|r| r.model.clone()).collect();
    let comparison = report::comparison(&models)?;
    let sections = reports.iter().map(|r| (r.model.id.clone(), r.sections.clone())).collect();
    let sections = report::side_by_side(sections);
    let compares = matches!(table, Table::Params | Table::All);
    match format {
        Format::Csv if table == Table::Params => comparison.csv(),
        Format::Csv => report::sections_csv(&sections),
        Format::Markdown => {
            let head = if compares { comparison.markdown() + "\n\n" } else { String::new() };
            Ok(head + &report::sections_markdown(&sections))
        }
        _ => {
            let head = if compares { comparison.table(width) + "\n\n" } else { String::new() };
            let warn =
                |r: &Report| r.warnings.iter().map(|w| format!("warning: {}: {w}\n", r.model.id)).collect();
            let warnings: Vec<String> = reports.iter().map(warn).collect();
            Ok(head + &report::sections_text(&sections, width) + &warnings.concat())
        }
    }
}
