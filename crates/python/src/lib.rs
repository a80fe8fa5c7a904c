//! What the Python package `shardfit` asks of the library: requests as JSON text in, answers as JSON text out. The
//! package around it names arguments, types results and raises errors.

mod refused;
mod sweep;
mod waiting;
mod workers;

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::prelude::*;
use shardfit::catalog::Catalog;
use shardfit::diagnostic::Diagnostic;

/// The catalogue, with the user's own folders over what is built in.
fn catalogue(folders: &[PathBuf]) -> Result<Catalog, Diagnostic> {
    Catalog::usual(folders)
}

/// shardfit, compiled.
#[pymodule]
mod _native {
    use super::*;

    #[pymodule_export]
    use crate::sweep::{Run, Sweep};

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Answers a request of a command, both as JSON; other threads run meanwhile, and Ctrl-C ends the wait.
    #[pyfunction]
    fn answer(py: Python<'_>, command: String, request: String, catalog: Vec<PathBuf>) -> PyResult<String> {
        waiting::until(py, move |stop| {
            let catalog = catalogue(&catalog)?;
            let _ = (&catalog, &command, &request, stop); todo!()
        })
    }

    /// Runs the command line with these words, the program's name first, and returns its exit status.
    #[pyfunction]
    fn command_line(py: Python<'_>, words: Vec<OsString>) -> u8 {
        py.detach(|| shardfit::cli::run_words(words))
    }
}
