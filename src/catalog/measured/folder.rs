//! Where the tables lie: the data folder in what a user names, the folder of a GPU, the file of a version.

use std::path::{Path, PathBuf};

use crate::catalog::Gpu;
use crate::catalog::version::Version;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// Where the data folder may be, seen from the folder that is named.
const PLACES: [&str; 6] = [
    "",
    "data",
    "systems/data",
    "aiconfigurator_core/systems/data",
    "src/aiconfigurator_core/systems/data",
    "aic-core/src/aiconfigurator_core/systems/data",
];

/// Folders of operations, one of which a GPU's folder holds.
const OPERATIONS: [&str; 5] = ["gemm", "attention", "mla", "moe", "comm"];

/// Finds the folder that holds a folder per GPU.
///
/// # Errors
/// [`Code::File`] with everything that was looked for.
pub fn data(named: &Path) -> Result<PathBuf, Diagnostic> {
    let place = named.display().to_string();
    if named.extension().is_some_and(|e| e == "whl") && named.is_file() {
        return Err(Diagnostic::new(Code::File, "this is a packed wheel")
            .at(place)
            .help("unpack it (`unzip`) and name the folder"));
    }
    load::entries(named)?;
    let mut candidates: Vec<PathBuf> = PLACES.iter().map(|inner| named.join(inner)).collect();
    candidates.extend(installed(named));
    candidates.into_iter().find(|folder| holds_gpus(folder)).ok_or_else(|| {
        Diagnostic::new(Code::File, "no kernel database in this folder").at(place).help(
            "looked for <gpu>/gemm/<engine>/<version>/gemm_perf.parquet and its like in the folder itself, in data/, \
             systems/data/, aiconfigurator_core/systems/data/ and lib/python*/site-packages/; \
             `pip download aiconfigurator-core`, unzipped, has one",
        )
    })
}

/// Below the folder of a Python environment.
fn installed(named: &Path) -> Vec<PathBuf> {
    let pythons = load::entries(&named.join("lib")).unwrap_or_default();
    let inner = Path::new("site-packages").join("aiconfigurator_core").join("systems").join("data");
    let windows = named.join("Lib").join(&inner);
    pythons.into_iter().map(|python| python.join(&inner)).chain([windows]).collect()
}

fn holds_gpus(folder: &Path) -> bool {
    let is_gpu = |path: &PathBuf| OPERATIONS.iter().any(|operation| path.join(operation).is_dir());
    load::entries(folder).is_ok_and(|all| all.iter().any(is_gpu))
}

/// The folder of a GPU: named as its identifier or an alias with `_` for `-`, `_server` after it or not.
///
/// # Errors
/// [`Code::File`] when the data folder cannot be listed.
pub fn of_gpu(data: &Path, gpu: &Gpu) -> Result<Option<PathBuf>, Diagnostic> {
    let goes_by = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase().replace('_', "-");
        let name = name.strip_suffix("-server").unwrap_or(&name);
        path.is_dir() && gpu.aliases.iter().chain([&gpu.id]).any(|known| known.eq_ignore_ascii_case(name))
    };
    Ok(load::entries(data)?.into_iter().find(goes_by))
}

/// The version to take, and its file: the newest at or below the one planned with, else the nearest
/// above; of several builds of one version the one with most in it, since some hold only what was added.
/// `newest`: the newest of all.
///
/// # Errors
/// [`Code::File`] when the folder is there and cannot be listed.
pub fn version(
    versions: &Path,
    file: &str,
    planned: Version,
    newest: bool,
) -> Result<Option<(String, PathBuf)>, Diagnostic> {
    if !versions.is_dir() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for folder in load::entries(versions)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = folder.join(file);
        if let (Ok(version), Ok(meta)) = (name.parse::<Version>(), std::fs::metadata(&path)) {
            all.push((version, meta.len(), name, path));
        }
    }
    let at_most = all.iter().filter(|(version, ..)| newest || *version <= planned).map(|(v, ..)| *v).max();
    let taken = at_most.or_else(|| all.iter().map(|(version, ..)| *version).min());
    let builds = all.into_iter().filter(|(version, ..)| Some(*version) == taken);
    Ok(builds.max_by(|a, b| (a.1, &a.2).cmp(&(b.1, &b.2))).map(|(_, _, name, path)| (name, path)))
}
