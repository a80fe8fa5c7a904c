//! Checks descriptions before they are used: every problem of every file, with its line.

mod file;
mod kind;
mod launch;
mod problem;
mod schema;
mod walk;

use std::path::{Path, PathBuf};

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

pub use kind::Kind;
pub use problem::{Checked, Problem};
pub use schema::schema;

/// What became of a check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The files that were checked, folder by folder, by name.
    pub files: Vec<Checked>,
    /// Files of the folders that are no descriptions.
    pub skipped: Vec<PathBuf>,
}

impl Report {
    /// Problems in all.
    pub fn problems(&self) -> usize {
        self.files.iter().map(|f| f.problems.len()).sum()
    }
}

/// Checks files, and the YAML and JSON files of folders at any depth. Names are looked up in `catalog`,
/// and before it in the catalogues that the files belong to.
///
/// # Errors
/// [`Code::File`] for a folder that cannot be listed, and when there is nothing to check.
pub fn check(paths: &[PathBuf], kind: Option<Kind>, catalog: &Catalog) -> Result<Report, Diagnostic> {
    let mut report = Report::default();
    for path in paths {
        if !path.is_dir() {
            report.files.push(read(path, kind, catalog)?);
            continue;
        }
        for path in descriptions(path)? {
            let checked = read(&path, kind, catalog)?;
            // A folder may hold other files.
            if checked.kind.is_none() && checked.problems == [file::untold()] {
                report.skipped.push(checked.path);
            } else {
                report.files.push(checked);
            }
        }
    }
    if report.files.is_empty() {
        let places: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        return Err(Diagnostic::new(Code::File, "nothing to check: no YAML or config.json file")
            .at(places.join(", ")));
    }
    Ok(report)
}

/// Checks the text of a launch, or the file of one.
///
/// # Errors
/// [`Code::File`] for a file that cannot be read.
pub fn launch(given: &str) -> Result<Checked, Diagnostic> {
    let path = Path::new(given);
    let is_file = given.len() < 4096 && path.is_file();
    let text = if is_file { load::text(path)? } else { given.to_owned() };
    let problems = launch::problems(&text, path.parent().filter(|_| is_file));
    let path = if is_file { path.to_owned() } else { PathBuf::from("--launch") };
    Ok(Checked { path, kind: Some(Kind::Launch), problems })
}

/// Checks one file; one that cannot be read has that problem.
fn read(path: &Path, kind: Option<Kind>, catalog: &Catalog) -> Result<Checked, Diagnostic> {
    let catalog = with_folder_of(path, catalog)?;
    Ok(match load::text(path) {
        Ok(text) => file::check(path, &text, kind, &catalog),
        Err(unread) => Checked { path: path.to_owned(), kind, problems: vec![unread.into()] },
    })
}

/// A file in `gpus/`, `clusters/` and so on sees the catalogue that it is part of.
fn with_folder_of(path: &Path, catalog: &Catalog) -> Result<Catalog, Diagnostic> {
    let folder = path.parent().filter(|folder| folder.is_dir() && Kind::of_folder(path).is_some());
    match folder.map(|f| f.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))) {
        Some(root) => catalog.clone().with_folder(root),
        None => Ok(catalog.clone()),
    }
}

/// The YAML and JSON files of a folder at any depth, hidden ones apart.
fn descriptions(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut found = Vec::new();
    for path in load::entries(folder)? {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        let known = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        match () {
            () if hidden || path.is_symlink() => {}
            () if path.is_dir() => found.extend(descriptions(&path)?),
            () if known => found.push(path),
            () => {}
        }
    }
    Ok(found)
}
