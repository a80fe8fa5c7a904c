//! Where a user's own descriptions are looked for when a command runs.

use std::path::PathBuf;

use etcetera::BaseStrategy as _;

use super::{Catalog, folder};
use crate::diagnostic::{Code, Diagnostic};

/// The variable that lists folders, separated as in `PATH`.
pub const VARIABLE: &str = "SHARDFIT_CATALOG";

impl Catalog {
    /// The folders that are named, then those of `$SHARDFIT_CATALOG`, then `shardfit` in the user's
    /// configuration folder (`~/.config`, or `$XDG_CONFIG_HOME`; on Windows `%APPDATA%`), then what is
    /// built in.
    ///
    /// # Errors
    /// [`Code::File`] when a folder of the first two is missing or is no catalogue; the configuration
    /// folder need not exist.
    pub fn usual(named: &[PathBuf]) -> Result<Catalog, Diagnostic> {
        let mut folders = Vec::new();
        for folder in named {
            check(folder.clone()).map(|f| folders.push(f)).map_err(|d| d.within("--catalog"))?;
        }
        let listed = std::env::var_os(VARIABLE).unwrap_or_default();
        for folder in std::env::split_paths(&listed).filter(|f| !f.as_os_str().is_empty()) {
            check(folder).map(|f| folders.push(f)).map_err(|d| d.within(format!("${VARIABLE}")))?;
        }
        folders.extend(configured().filter(|f| f.is_dir()));
        Catalog::open(&folders)
    }
}

impl Catalog {
    /// The folder of the user's own descriptions and measurements, which need not exist: `shardfit` in the configuration
    /// folder.
    pub fn own_folder() -> Option<PathBuf> {
        configured()
    }
}

/// `shardfit` in the user's configuration folder, if this user has a home.
fn configured() -> Option<PathBuf> {
    etcetera::choose_base_strategy().ok().map(|base| base.config_dir().join("shardfit"))
}

/// A folder that is named must be there and look like a catalogue.
fn check(folder: PathBuf) -> Result<PathBuf, Diagnostic> {
    crate::load::entries(&folder)?;
    if folder::is_catalog(&folder) {
        return Ok(folder);
    }
    Err(Diagnostic::new(Code::File, "this folder holds no catalogue")
        .at(folder.display().to_string())
        .help("expected gpus/, clusters/, classes/, engines/, models/ or kernels/ in it"))
}
