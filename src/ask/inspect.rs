//! Models taken apart.

use super::training;
use super::view::{Answered, View};
use crate::catalog::{Cluster, Gpu};
use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::{DType, WeightFormat};
use crate::estimate::breakdown::{
    Breakdown, Device, HOST_SHARE, Mode, PRECISIONS, Setting, context_ladder, footprint, large_tensors,
    memory_parts, precisions, recommended_memory, widest_that_fits,
};
use crate::estimate::context::{Context, ContextParts};
use crate::estimate::memory::{LimitOverrides, MemoryQuestion};
use crate::model::Model;
use crate::plan::Parallelism;
use crate::report::{self, Format, Inspected, Page, Section};
use crate::request::inspect::{Inspection, Table};
use crate::units::{Bytes, group_thousands};
use crate::validate::{KnownSize, known_sizes};
use crate::workload::Workload;

/// One model's answer.
struct Report {
    model: Model,
    setting: Option<Setting>,
    sections: Vec<Section>,
    warnings: Vec<String>,
}

/// The tables that are asked for, of each model.
///
/// # Errors
/// A model too large to count, a split that the engine refuses.
pub fn written(of: &Inspection, view: View) -> Result<Answered, Diagnostic> {
    if of.table == Table::Known {
        let known = known_sizes()?;
        let sections = [report::known_section(&known, view.format == Format::Table)];
        let page = report::sections_page(&sections);
        let text = view.written(&of_sections(page, report::tables_json(&sections), &sections))?;
        return Ok(Answered::Text { text, found: known.iter().all(KnownSize::passes) });
    }
    let reports: Vec<Report> =
        of.models.iter().map(|model| at_each_length(of, model)).collect::<Result<_, _>>()?;
    view.written(&render(&reports, of.table)?).map(Answered::found)
}

/// Whether a table is asked for.
fn wants(of: &Inspection, table: Table) -> bool {
    of.table == table || of.table == Table::All
}

/// A model at every length that is asked for: the rows of each table one below the other.
fn at_each_length(of: &Inspection, model: &Model) -> Result<Report, Diagnostic> {
    let [_, _, ..] = of.lengths[..] else { return report(of, model.clone()) };
    let at = |tokens: &u64| {
        report(
            &Inspection { setting: Setting { tokens: *tokens, ..of.setting }, ..of.clone() },
            model.clone(),
        )
    };
    let mut all = of.lengths.iter().map(at).collect::<Result<Vec<_>, _>>()?;
    let sections = all.iter().zip(&of.lengths).map(|(r, tokens)| (tokens.to_string(), r.sections.clone()));
    let mut sections = report::side_by_side("tokens", sections.collect());
    for section in &mut sections {
        // The title is that of the first length.
        let first = group_thousands(of.lengths[0]);
        let listed: Vec<String> = of.lengths.iter().map(|n| group_thousands(*n)).collect();
        section.title = section.title.replace(&first, &listed.join(", "));
    }
    let mut warnings: Vec<String> = all.iter().flat_map(|r| r.warnings.clone()).collect();
    warnings.dedup();
    Ok(Report { sections, warnings, ..all.remove(0) })
}

fn report(of: &Inspection, model: Model) -> Result<Report, Diagnostic> {
    let model = stored(of, model);
    let mut sections = Vec::new();
    let breaks_down = [Table::Memory, Table::Flops, Table::Intensity].iter().any(|t| wants(of, *t));
    if breaks_down {
        sections.extend(breakdown(of, &model)?);
    }
    if of.table == Table::Precision {
        let other = of.gpu.iter().filter(|gpu| of.hosts.iter().all(|host| host.id != gpu.id));
        let hosts: Vec<Gpu> = of.hosts.iter().chain(other).cloned().collect();
        let rows = precisions(&model, &of.setting, &hosts);
        sections.push(report::precision_section(&of.setting, &rows));
    }
    if wants(of, Table::Context) || (of.table == Table::Params && of.gpu.is_some()) {
        sections.extend(contexts(of, &model)?);
    }
    if let Some(training) = &of.training {
        sections.extend(training::sections(training, &model)?);
    }
    let setting = (breaks_down || of.training.is_some()).then_some(of.setting);
    let mut warnings: Vec<String> =
        large_tensors(&model, setting.as_ref()).iter().map(report::warning).collect();
    warnings.extend(of.ram.and_then(|ram| too_large(of, &model, ram)));
    if let Some(longest) = model.max_context.filter(|c| breaks_down && of.setting.tokens > *c) {
        warnings.push(format!("{} tokens exceed the model's context of {longest}", of.setting.tokens));
    }
    Ok(Report { model, setting, sections, warnings })
}

/// The model stored as asked; training computes with weights of the activations' type.
fn stored(of: &Inspection, model: Model) -> Model {
    let training = of.mode_given && of.setting.mode == Mode::Pretrain;
    let base = if training { Some(of.setting.activations) } else { of.dtype };
    let formats = [base.map(base_format), of.weights];
    formats.into_iter().flatten().fold(model, Model::with_weights)
}

fn breakdown(of: &Inspection, model: &Model) -> Result<Vec<Section>, Diagnostic> {
    let device = of.gpu.as_ref().map(|gpu| Device::new(gpu, of.setting.activations));
    let breakdown = Breakdown::of(model, &of.setting, device.as_ref());
    let mut sections = Vec::new();
    if wants(of, Table::Memory) {
        let (parts, total) = memory_parts(model, &of.setting, &breakdown);
        sections.push(report::memory_section(&of.setting, &parts, &total));
    }
    if wants(of, Table::Flops) {
        sections.push(report::flops_section(&of.setting, &breakdown, &model.parameters()?));
    }
    if wants(of, Table::Intensity) {
        let name = of.gpu.as_ref().map(|g| g.name.as_str());
        sections.push(report::intensity_section(&of.setting, &breakdown, name));
    }
    Ok(sections)
}

/// How many sequences fit, if a GPU is named.
fn contexts(of: &Inspection, model: &Model) -> Result<Option<Section>, Diagnostic> {
    let (Some(gpu), Some(engine)) = (&of.gpu, &of.engine) else { return Ok(None) };
    let gpus = u32::try_from(of.split.gpus()).unwrap_or(u32::MAX);
    let cluster = Cluster::of_gpus(gpu.clone(), gpus)?;
    let workload = Workload::new(Workload::DEFAULT_ISL, Workload::DEFAULT_OSL);
    let parts = ContextParts {
        model,
        cluster: &cluster,
        engine,
        limits: LimitOverrides::default(),
        kv: of.kv,
        workload,
        electricity: None,
    };
    let context = Context::new(parts)?;
    context.check(of.split).map_err(|reason| {
        Diagnostic::new(Code::Usage, reason.message()).at(format!("{} with {}", of.split, engine.id))
    })?;
    let question = MemoryQuestion {
        host: None,
        model: &context.model,
        inventory: &context.inventory,
        gpu,
        cards: &[],
        engine,
        limits: context.limits,
        parallelism: of.split,
        kv: context.kv,
        workload: &workload,
    };
    let split = if of.split == Parallelism::SINGLE { String::new() } else { format!(", {}", of.split) };
    let place = format!(
        "{} × {}{split}, {} with weights {} and KV {}",
        gpus,
        gpu.id,
        engine.id,
        context.model.quantisation.main_format(),
        context.kv
    );
    Ok(Some(report::context_section(&place, &context_ladder(&question))))
}

/// A warning where a host's memory is too small, with the precision that would fit.
fn too_large(of: &Inspection, model: &Model, ram: Bytes) -> Option<String> {
    let need =
        model.checkpoint_bytes() + model.cache_bytes(of.setting.kv, of.setting.tokens) * of.setting.batch;
    if need <= ram.scaled(HOST_SHARE) {
        return None;
    }
    let advice = match widest_that_fits(model, &of.setting, ram) {
        Some(f) => format!("{} fits with {}", f.precision.name, f.need()),
        None => {
            let narrowest = PRECISIONS.map(|p| footprint(model, &of.setting, p));
            let least = narrowest.iter().map(|f| f.need()).min().unwrap_or(need);
            let wanted = recommended_memory(least).map_or("more".into(), |b| b.to_string());
            format!("no precision fits; the narrowest takes {least}, for which {wanted} of RAM is usual")
        }
    };
    Some(format!("weights and cache take {need}, too much for a host with {ram}: {advice}"))
}

fn base_format(dtype: DType) -> WeightFormat {
    match dtype {
        DType::Fp32 => WeightFormat::Fp32,
        DType::Fp16 => WeightFormat::Fp16,
        _ => WeightFormat::Bf16,
    }
}

/// What several reports come to: of one model all about it, of several the comparison, and the other tables with a column
/// that names the model.
fn render(reports: &[Report], table: Table) -> Result<report::Report, Diagnostic> {
    let mut all = reports.iter().map(Report::json).collect::<Result<Vec<_>, _>>()?;
    match reports {
        [one] => one.render(table, all.remove(0)),
        several => compare(several, table, serde_json::Value::Array(all)),
    }
}

impl Report {
    /// What programs read.
    fn inspected(&self) -> Inspected<'_> {
        Inspected { model: &self.model, setting: self.setting.as_ref(), warnings: &self.warnings }
    }

    fn json(&self) -> Result<serde_json::Value, Diagnostic> {
        self.inspected().json(&self.sections)
    }

    fn render(&self, table: Table, value: serde_json::Value) -> Result<report::Report, Diagnostic> {
        let mut page = match table {
            Table::Params | Table::All => {
                let mut page = report::inspection_page(&self.model)?;
                page.push_str(if self.sections.is_empty() { "" } else { "\n" });
                page
            }
            _ => Page::from(format!("{}\n\n", self.model.id)),
        };
        page.append(report::sections_page(&self.sections));
        self.warnings.iter().for_each(|w| page.push_str(&format!("warning: {w}\n")));
        let sections = match table {
            Table::Params => return Ok(report::Report::new(page, value, self.inspected().sheet()?)),
            Table::All => {
                let params = report::parameters_section(&self.model)?;
                std::iter::once(params).chain(self.sections.iter().cloned()).collect()
            }
            _ => self.sections.clone(),
        };
        Ok(of_sections(page, value, &sections))
    }
}

/// A report whose rows and Markdown are those of its sections.
fn of_sections(page: Page, value: serde_json::Value, sections: &[Section]) -> report::Report {
    let markdown = Some(report::sections_markdown(sections));
    report::Report { markdown, ..report::Report::new(page, value, report::sections_sheet(sections)) }
}

/// Several models: the comparison, and the other tables with a column that names the model.
fn compare(reports: &[Report], table: Table, value: serde_json::Value) -> Result<report::Report, Diagnostic> {
    let models: Vec<Model> = reports.iter().map(|r| r.model.clone()).collect();
    let comparison = report::comparison(&models)?;
    let sections = reports.iter().map(|r| (r.model.id.clone(), r.sections.clone())).collect();
    let sections = report::side_by_side("model", sections);
    let mut head = Page::default();
    if matches!(table, Table::Params | Table::All) {
        head.table(comparison.clone());
        head.push_str("\n");
    }
    let (mut page, mut markdown) = (head.clone(), head);
    page.append(report::sections_page(&sections));
    for report in reports {
        let name = &report.model.id;
        report.warnings.iter().for_each(|w| page.push_str(&format!("warning: {name}: {w}\n")));
    }
    markdown.append(report::sections_markdown(&sections));
    let rows = if table == Table::Params { comparison } else { report::sections_sheet(&sections) };
    Ok(report::Report { markdown: Some(markdown), ..report::Report::new(page, value, rows) })
}
