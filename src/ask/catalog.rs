//! What is known, built in and of the user's own.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use itertools::Itertools as _;

use super::view::View;
use crate::catalog::{Catalog, Entry, Kind, published};
use crate::diagnostic::{Diagnostic, folded};
use crate::dtype::DType;
use crate::fit::{Need, Running};
use crate::load;
use crate::model::{self, Model, Scope};
use crate::report::{Page, Report, Sheet, Value};
use crate::request::FitRequest;
use crate::units::FlopsPerSecond;

/// One entry as it is described: YAML or JSON, whichever its file is, or as asked for. A table of a GPU leaves out the
/// coefficients of its kernels, unless they are asked for, and says whose there are.
///
/// # Errors
/// A name that is none, what is wrong with a file of the user's.
pub fn show(
    catalog: &Catalog,
    kind: Kind,
    name: &str,
    view: View,
    coefficients: bool,
) -> Result<String, Diagnostic> {
    let entry = catalog.find(kind, name)?;
    let mut value: serde_json::Value = entry.parse()?;
    if kind == Kind::Gpu {
        add_coefficients(catalog, &mut value)?;
        of_board(&mut value, entry.id());
    }
    let page = match kind {
        Kind::Gpu if !coefficients => Page::from(datasheet(catalog, value.clone())),
        Kind::Model => as_it_is(format!("{value:#}")),
        _ => as_it_is(load::to_yaml(&value)?),
    };
    let rows = Sheet::of_json(&value);
    view.written(&Report::new(page, value, rows))
}

/// A file on a page.
fn as_it_is(text: String) -> Page {
    let mut page = Page::default();
    page.verbatim(text);
    page
}

/// A GPU's figures without the coefficients of its kernels, and whose there are.
fn datasheet(catalog: &Catalog, mut value: serde_json::Value) -> Sheet {
    let kernels = value.as_object_mut().and_then(|fields| fields.remove("kernels"));
    let others = other_boards(&mut value);
    let forms = kernels.as_ref().and_then(|k| k.as_object()).into_iter().flatten();
    let engines = forms.filter_map(|(_, by_engine)| by_engine.as_object()).flatten();
    let known = catalog.entries(Kind::Engine);
    let is_engine = |name: &&str| known.iter().any(|entry| *name == entry.id());
    let engines: BTreeSet<&str> =
        engines.filter_map(|(name, _)| name.split('@').next()).filter(is_engine).collect();
    let mut sheet = Sheet::of_json(&value);
    for cell in sheet.rows.iter_mut().flatten() {
        if let Value::Integer(n) = cell {
            *cell = Value::Text(n.to_string());
        }
    }
    // What it is comes first.
    sheet.rows.sort_by_key(|row| {
        let figure = row.first().map(words).unwrap_or_default();
        FIRST
            .iter()
            .position(|name| figure == *name || figure.starts_with(&format!("{name}[")))
            .unwrap_or(FIRST.len())
    });
    let fitted = match engines.is_empty() {
        true => "none of its own; those of its class, or of `kernels_from`, stand in".to_owned(),
        false => format!("fitted: {}; --coefficients shows them", engines.into_iter().join(", ")),
    };
    sheet.rows.extend(others.map(|names| vec!["boards".into(), Value::Text(names)]));
    sheet.rows.push(vec!["kernels".into(), Value::Text(fitted)]);
    sheet
}

/// Figures of a GPU in the order of a datasheet, before all others.
const FIRST: [&str; 8] = ["id", "name", "aliases", "vendor", "architecture", "class", "memory", "bandwidth"];

/// Takes the other boards and the slices out of a GPU's description, and names them.
fn other_boards(value: &mut serde_json::Value) -> Option<String> {
    let fields = value.as_object_mut()?;
    let variants = fields.shift_remove("variants").unwrap_or_default();
    let slices = fields.shift_remove("mig").unwrap_or_default();
    let boards = variants.as_array().into_iter().flatten().filter_map(|board| board["id"].as_str());
    let profiles = slices.as_object().into_iter().flat_map(|mig| mig.keys());
    let names: Vec<String> =
        boards.map(str::to_owned).chain(profiles.map(|profile| format!("MIG {profile}"))).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Adds the coefficients that stand apart from a GPU's description, where there are any and its own file states none.
fn add_coefficients(catalog: &Catalog, gpu: &mut serde_json::Value) -> Result<(), Diagnostic> {
    let Some(fields) = gpu.as_object_mut().filter(|fields| !fields.contains_key("kernels")) else {
        return Ok(());
    };
    let id = fields.get("id").and_then(|id| id.as_str()).unwrap_or_default();
    if let Some(fits) = catalog.entries(Kind::Kernels).into_iter().find(|entry| entry.id() == id) {
        let mut fits: serde_json::Value = fits.parse()?;
        fields.insert("kernels".to_owned(), fits["kernels"].take());
    }
    Ok(())
}

/// Leaves a board or a slice of a GPU's description where that is what was asked for.
fn of_board(value: &mut serde_json::Value, id: &str) {
    let Some(map) = value.as_object_mut().filter(|map| map.get("id").is_some_and(|own| own != id)) else {
        return;
    };
    let (variants, mig) = (map.shift_remove("variants"), map.shift_remove("mig"));
    let board =
        variants.as_ref().and_then(|v| v.as_array()?.iter().find(|board| board["id"] == id)?.as_object());
    let profile = id.rsplit_once("-mig-").map_or(id, |(_, profile)| profile);
    let slice = mig.as_ref().and_then(|mig| mig.get(profile)?.as_object());
    if board.is_none() {
        map.insert("slice_of".to_owned(), map["id"].clone());
        map.insert("id".to_owned(), id.into());
    }
    let own = board.or(slice).into_iter().flatten();
    map.extend(own.map(|(key, value)| (key.clone(), value.clone())));
}

/// Which models are listed.
#[derive(Clone, Debug)]
pub struct Models {
    /// Purpose, licence, family and day of release.
    need: Need,
    /// Fewest and most parameters.
    parameters: (Option<f64>, Option<f64>),
    /// How those run that do on a machine, where one is named.
    runs: Option<HashMap<String, String>>,
}

impl Models {
    /// Those that a request to fit asks for, on its machine where it names one.
    ///
    /// # Errors
    /// As [`FitRequest::resolve`], in the names of the command line's options.
    pub fn of(
        request: &FitRequest,
        parameters: (Option<f64>, Option<f64>),
        catalog: &Catalog,
    ) -> Result<Models, Diagnostic> {
        let runs = match &request.cluster {
            None => None,
            Some(_) => {
                let answer = request.resolve_as_flags(catalog)?.answer()?;
                let words = |running: &Running| {
                    let way = running.ways.first()?;
                    let how = format!("{} in {}, {:.0} tok/s", way.format, way.engine, way.pace().get());
                    Some((running.model.id.clone(), how))
                };
                Some(answer.running.iter().filter_map(words).collect())
            }
        };
        Ok(Models { need: request.wanted()?, parameters, runs })
    }

    fn takes(&self, model: &Model, id: &str, parameters: u64) -> bool {
        let facts = published::facts(id).cloned().unwrap_or_default();
        let (least, most) = self.parameters;
        let n = parameters as f64;
        self.need.takes_facts(&facts)
            && (self.need.purpose.is_none() || self.need.serves(model, &facts))
            && self.need.is_of_family(model, id)
            && least.is_none_or(|least| n >= least)
            && most.is_none_or(|most| n <= most)
            && self.runs.as_ref().is_none_or(|runs| runs.contains_key(id))
    }
}

/// Every entry of a kind, or those whose id, name or an alias holds `named`, in rows; `left_out` is told of files of the user's that are broken.
///
/// # Errors
/// Never in practice: what is built in is whole.
pub fn list(
    catalog: &Catalog,
    kind: Kind,
    view: View,
    (named, wanted): (Option<&str>, Option<&Models>),
    mut left_out: impl FnMut(&Diagnostic),
) -> Result<String, Diagnostic> {
    let mut sheet = match kind {
        Kind::Gpu => gpus(catalog, &mut left_out),
        Kind::Model => models(catalog, wanted, &mut left_out),
        Kind::Cluster
        | Kind::Engine
        | Kind::Framework
        | Kind::GpuClass
        | Kind::Kernels
        | Kind::Scheduling => names(catalog, kind, &mut left_out),
    }?;
    if let Some(part) = named {
        let part = folded(part).collect::<String>();
        let said = |value: &Value| folded(&words(value)).collect::<String>().contains(&part);
        let columns: Vec<usize> = ["id", "name", "aliases"]
            .iter()
            .filter_map(|name| sheet.columns.iter().position(|column| column == name))
            .collect();
        sheet.rows.retain(|row| columns.iter().filter_map(|i| row.get(*i)).any(said));
    }
    view.written(&Report::of_rows(sheet))
}

fn names(catalog: &Catalog, kind: Kind, left_out: &mut dyn FnMut(&Diagnostic)) -> Result<Sheet, Diagnostic> {
    sheet((catalog, kind), left_out, &["id", "name", "aliases"], |entry| {
        Ok(Some(vec![text(entry.id()), text(entry.title()), several(entry.aliases())]))
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
        Ok(Some(vec![
            text(entry.id()),
            text(entry.title()),
            gpu.memory.as_gib().into(),
            (gpu.bandwidth.get() / 1e12).into(),
            tera(gpu.peak_16bit()),
            tera(gpu.peak(DType::Fp8)),
            gpu.price.as_ref().map_or(Value::Missing, |p| p.on_demand.get().into()),
            if gpu.is_measured() { "fitted" } else { "class default" }.into(),
        ]))
    })?;
    sheet.spare = vec!["origin", "kernels", "fp8_tflops", "usd_per_h", "name"];
    Ok(sheet)
}

fn models(
    catalog: &Catalog,
    wanted: Option<&Models>,
    left_out: &mut dyn FnMut(&Diagnostic),
) -> Result<Sheet, Diagnostic> {
    let mut columns = vec!["id", "aliases", "family", "parameters", "active", "weights", "context"];
    if let Some(wanted) = wanted {
        columns.extend(["released", "license"]);
        columns.extend(wanted.runs.as_ref().map(|_| "runs_as"));
    }
    sheet((catalog, Kind::Model), left_out, &columns, |entry| {
        let model = model::find_in(catalog, entry.id(), Scope::Full)?;
        let count = model.parameters()?;
        if wanted.is_some_and(|wanted| !wanted.takes(&model, entry.id(), count.total)) {
            return Ok(None);
        }
        let mut cells = vec![
            text(entry.id()),
            several(entry.aliases()),
            Value::Text(model.family.clone()),
            count.total.into(),
            count.active.into(),
            model.quantisation.main_format().name().into(),
            model.max_context.map_or(Value::Missing, Value::Integer),
        ];
        if let Some(wanted) = wanted {
            let facts = published::facts(entry.id()).cloned().unwrap_or_default();
            let said = |fact: Option<String>| fact.map_or(Value::Missing, Value::Text);
            cells.extend([said(facts.released), said(facts.license)]);
            cells.extend(wanted.runs.as_ref().map(|runs| said(runs.get(entry.id()).cloned())));
        }
        Ok(Some(cells))
    })
}

/// The words of a cell that holds some.
fn words(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Text(text) => text.into(),
        Value::List(words) => words.join(", ").into(),
        _ => "".into(),
    }
}

fn several(words: Vec<&str>) -> Value {
    Value::List(words.into_iter().map(str::to_owned).collect())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// One row per entry, and where it comes from. A file of the user's that is broken is left out.
fn sheet(
    (catalog, kind): (&Catalog, Kind),
    left_out: &mut dyn FnMut(&Diagnostic),
    columns: &[&'static str],
    row: impl Fn(Entry) -> Result<Option<Vec<Value>>, Diagnostic>,
) -> Result<Sheet, Diagnostic> {
    let mut sheet = Sheet::new(columns.iter().copied().chain(["origin"]));
    for entry in catalog.entries(kind) {
        match (row(entry), entry.fault()) {
            // Said with all such files when the command ends.
            (_, Some(_)) => {}
            (Ok(None), None) => {}
            (Ok(Some(mut cells)), None) => {
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
