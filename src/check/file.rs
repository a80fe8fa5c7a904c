//! One file: its syntax, its fields, then what the figures say together.

use std::path::Path;

use super::kind::Kind;
use super::problem::{Checked, Problem};
use super::schema::schema;
use super::walk::Walk;
use crate::catalog::{
    Catalog, ClusterFile, Engine, Framework, Gpu, GpuClass, KernelOverlay, SchedulingOverlay,
};
use crate::diagnostic::Diagnostic;
use crate::load::{self, Located, tree::Node};
use crate::model::{self, Scope};
use crate::scenario;

/// Checks the text of a file.
pub fn check(path: &Path, text: &str, kind: Option<Kind>, catalog: &Catalog) -> Checked {
    let place = path.display().to_string();
    let is_json = path.extension().is_some_and(|e| e == "json");
    let named = kind.or_else(|| Kind::of_folder(path)).or_else(|| of_script(path));
    let checked = |kind, problems| Checked { path: path.to_owned(), kind, problems };
    if named == Some(Kind::Launch) {
        return checked(named, super::launch::problems(text, path.parent()));
    }
    let root = match parse(text, &place, is_json) {
        Ok(root) => root,
        // Several documents in a file are manifests: none of ours has more than one.
        Err(_) if named.is_none() && super::launch::starts(text, path.parent()) => {
            return checked(Some(Kind::Launch), super::launch::problems(text, path.parent()));
        }
        Err(fault) => return checked(named, vec![fault]),
    };
    let nothing = Node::Null;
    let node = root.as_ref().map_or(&nothing, |root| &root.value);
    let Some(kind) = named.or_else(|| kind_of_keys(node, is_json)) else {
        // Manifests have keys of their own.
        return match super::launch::starts(text, path.parent()) {
            true => checked(Some(Kind::Launch), super::launch::problems(text, path.parent())),
            false => checked(None, vec![untold()]),
        };
    };
    let mut problems = match (schema(kind), &root) {
        (Some(schema), Some(root)) => Walk::new(&schema, catalog).over(root),
        _ => Vec::new(),
    };
    problems.extend(misnamed(path, kind, node));
    if problems.is_empty() {
        problems = meaning(&place, text, kind, catalog).into_iter().map(|d| located(d, node)).collect();
    }
    problems.sort_by_key(|p| p.line);
    checked(Some(kind), problems)
}

/// Scripts describe launches.
fn of_script(path: &Path) -> Option<Kind> {
    let extension = path.extension()?.to_str()?;
    matches!(extension, "sh" | "bash" | "sbatch" | "ps1").then_some(Kind::Launch)
}

/// The kind whose fields a file's keys are: most of them known, fewest required ones missing.
fn kind_of_keys(root: &Node, is_json: bool) -> Option<Kind> {
    if is_json {
        return root.get("model_type").map(|_| Kind::Model);
    }
    let score = |kind: Kind| -> Option<i64> {
        let schema = schema(kind)?;
        let fields = schema.get("properties")?.as_object()?;
        let known = root.entries().iter().filter(|(key, _)| fields.contains_key(&key.value)).count();
        let required = schema.get("required")?.as_array()?;
        let missing = required.iter().filter_map(|r| r.as_str()).filter(|r| root.get(r).is_none());
        (known > 1).then(|| 2 * known as i64 - missing.count() as i64)
    };
    let scores = Kind::ALL.into_iter().filter_map(|kind| score(kind).map(|s| (s, kind)));
    // The first of equals: `max_by_key` would take the last.
    scores.rev().max_by_key(|(score, _)| *score).map(|(_, kind)| kind)
}

/// What is wrong with a file that is none of ours.
pub fn untold() -> Problem {
    let kinds = Kind::ALL.map(Kind::name).join(", ");
    Problem {
        line: None,
        field: String::new(),
        problem: "cannot tell what this describes".to_owned(),
        help: Some(format!("--kind says it: {kinds}")),
    }
}

/// The tree of a file; none for JSON that is no YAML (with a bare `NaN`, for example).
fn parse(text: &str, place: &str, is_json: bool) -> Result<Option<Located<Node>>, Problem> {
    if is_json {
        load::json::<serde_json::Value>(text, place).map_err(|d| placed(d, place))?;
        return Ok(load::tree::tree(text, place).ok());
    }
    load::tree::tree(text, place).map(Some).map_err(|d| placed(d, place))
}

/// A problem at the line of the field that it names, or at the one that it says.
fn located(diagnostic: Diagnostic, root: &Node) -> Problem {
    let place = diagnostic.place.clone().unwrap_or_default();
    let field = diagnostic.field_name().map(str::to_owned);
    let line = field
        .as_deref()
        .and_then(|field| root.line_of(field))
        .or_else(|| number_after(&place, ", line "))
        .or_else(|| line_of_syntax(&diagnostic.cause));
    Problem { line, ..diagnostic.field(field.unwrap_or_default()).into() }
}

/// The line that the YAML parser's message begins with.
fn line_of_syntax(cause: &str) -> Option<u64> {
    number_after(cause, "line ").filter(|_| cause.starts_with("line "))
}

fn number_after(text: &str, mark: &str) -> Option<u64> {
    let rest = &text[text.find(mark)? + mark.len()..];
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A syntax error with its line as a number.
fn placed(diagnostic: Diagnostic, place: &str) -> Problem {
    let line = line_of_syntax(&diagnostic.cause)
        .or_else(|| diagnostic.place.as_deref().and_then(|p| number_after(p.strip_prefix(place)?, "line ")));
    Problem { line: Some(line.unwrap_or(1)), ..diagnostic.into() }
}

/// In a catalogue's folder a description's `id` is its file's name.
fn misnamed(path: &Path, kind: Kind, root: &Node) -> Option<Problem> {
    let stem = path.file_stem()?.to_str()?;
    let id = root.get("id")?;
    let text = id.value.text()?;
    let wrong = Kind::of_folder(path) == Some(kind) && kind != Kind::Model && text != stem;
    wrong.then(|| Problem {
        line: Some(load::line(id)),
        field: "id".to_owned(),
        problem: format!("`{text}` is not the file's name"),
        help: Some(format!("write `id: {stem}`, or rename the file")),
    })
}

/// Whether an engine makes sense with these constants.
fn scheduled(overlay: &SchedulingOverlay, catalog: &Catalog) -> Result<(), Diagnostic> {
    let mut engine = catalog.every_version(&overlay.id)?;
    overlay.apply(&mut engine)?;
    engine.validate()
}

/// What the figures say together, and whether everything that they name exists.
fn meaning(place: &str, text: &str, kind: Kind, catalog: &Catalog) -> Vec<Diagnostic> {
    let read = match kind {
        Kind::Gpu => load::yaml::<Gpu>(text, place).map(|gpu| gpu.problems()),
        Kind::Engine => load::yaml::<Engine>(text, place).map(|engine| engine.problems()),
        Kind::Framework => load::yaml::<Framework>(text, place).map(|framework| framework.problems()),
        Kind::GpuClass => load::yaml::<GpuClass>(text, place).map(|class| class.problems()),
        Kind::Kernels => load::yaml::<KernelOverlay>(text, place).map(|overlay| overlay.problems()),
        Kind::Scheduling => load::yaml::<SchedulingOverlay>(text, place)
            .map(|overlay| scheduled(&overlay, catalog).err().into_iter().collect()),
        Kind::Cluster => {
            load::yaml::<ClusterFile>(text, place).map(|file| file.pools().err().into_iter().collect())
        }
        Kind::Scenario => Ok(scenario::problems(text, place, catalog)),
        Kind::Model => model::find_in(catalog, place, Scope::Full).map(|_| Vec::new()),
        // Looked at before, as the text that it is.
        Kind::Launch => Ok(Vec::new()),
    };
    let mut problems = read.unwrap_or_else(|fault| vec![fault]);
    if problems.is_empty() {
        // The whole chain, down to the files of others that it names.
        let resolved = match kind {
            Kind::Gpu if load::is_yaml(place) => catalog.gpu(place).map(|_| ()),
            Kind::Cluster if load::is_yaml(place) => catalog.pools(place).map(|_| ()),
            _ => Ok(()),
        };
        problems.extend(resolved.err());
    }
    problems
}
