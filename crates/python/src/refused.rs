//! Bad input as the package's exception.

use pyo3::prelude::*;
use shardfit::diagnostic::Diagnostic;

/// `shardfit.InputError` with cause, place, help and the kind of fault.
pub fn refused(py: Python<'_>, diagnostic: &Diagnostic) -> PyErr {
    let class = py.import("shardfit.errors").and_then(|module| module.getattr("InputError"));
    let arguments =
        (&diagnostic.cause, diagnostic.place.as_deref(), diagnostic.help.as_deref(), diagnostic.code.name());
    match class.and_then(|class| class.call1(arguments)) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
