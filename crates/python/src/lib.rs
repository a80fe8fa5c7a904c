//! What the Python package `shardfit` asks of the library: requests as JSON text in, answers as JSON text out. The
//! package around it names arguments, types results and raises errors.

mod refused;
mod sweep;
mod waiting;
mod workers;

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::prelude::*;
use shardfit::ask::{self, Command, Setting};
use shardfit::catalog::Catalog;
use shardfit::diagnostic::Diagnostic;
use shardfit::hub::Hub;
use shardfit::load;
use shardfit::report::{
    Column, DELTA_COLUMNS, FIT_COLUMNS, FLEET_COLUMNS, Kind, PLAN_COLUMNS, Rows, TRAINING_COLUMNS,
};
use shardfit::search::Stop;

use refused::refused;

/// The catalogue, with the user's own folders over what is built in.
fn catalogue(folders: &[PathBuf]) -> Result<Catalog, Diagnostic> {
    Catalog::usual(folders)
}

/// A column: name, object that holds it, kind, meaning.
type Described = (&'static str, Option<&'static str>, &'static str, &'static str);

fn described<S: Rows>(column: &Column<S>) -> Described {
    let kind = match column.kind {
        Kind::Text => "text",
        Kind::Integer => "integer",
        Kind::Real => "real",
    };
    (column.name, column.group, kind, column.about)
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
            let command: Command = command.parse()?;
            let map = load::json(&request, "the request")?;
            let stop = Stop { deadline: None, asked: Some(stop) };
            let catalog = catalogue(&catalog)?;
            let setting = Setting { catalog: &catalog, hub: Hub::from_environment()?, stop };
            ask::answer_map(command, map, &setting, |_| ()).map(|answered| answered.text())
        })
    }

    /// The commands that [`answer`] knows, each with what it does.
    #[pyfunction]
    fn commands() -> Vec<(&'static str, &'static str)> {
        Command::ALL.iter().map(|command| (command.name(), command.about())).collect()
    }

    /// The JSON Schema of the requests of a command.
    #[pyfunction]
    fn schema(py: Python<'_>, command: &str) -> PyResult<String> {
        let command = command.parse::<Command>().map_err(|d| refused(py, &d))?;
        Ok(command.schema().to_string())
    }

    /// The columns of the rows of an answer, `plan`, `fleet`, `fit` or `training`: name, object that holds it, kind, meaning.
    #[pyfunction]
    fn columns(of: &str) -> Vec<Described> {
        match of {
            "plan" => PLAN_COLUMNS.iter().chain(DELTA_COLUMNS).map(described).collect(),
            "fleet" => FLEET_COLUMNS.iter().map(described).collect(),
            "fit" => FIT_COLUMNS.iter().map(described).collect(),
            "training" => TRAINING_COLUMNS.iter().map(described).collect(),
            _ => Vec::new(),
        }
    }

    /// Runs the command line quietly with these words: its exit status, and what it prints.
    #[pyfunction]
    fn printed(py: Python<'_>, words: Vec<OsString>) -> PyResult<(u8, String)> {
        waiting::until(py, move |_| shardfit::cli::printed(words))
    }

    /// Runs the command line with these words, the program's name first, and returns its exit status.
    #[pyfunction]
    fn command_line(py: Python<'_>, words: Vec<OsString>) -> u8 {
        py.detach(|| shardfit::cli::run_words(words))
    }
}
