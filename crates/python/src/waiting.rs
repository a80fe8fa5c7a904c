//! Long work beside the interpreter: other Python threads run, and Ctrl-C is heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use shardfit::diagnostic::Diagnostic;

use crate::refused::refused;
use crate::workers::workers;

/// How often signals are looked for. An answer that is there sooner is given at once.
const LOOK: Duration = Duration::from_millis(50);

/// The result of `work`, which runs on the threads of this process. When a signal raises an exception in Python the flag that
/// it was given is raised and the exception is passed on; work that does not look at the flag ends unheard.
pub fn until<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> Result<T, Diagnostic> + Send + 'static,
) -> PyResult<T> {
    let stop = Arc::new(AtomicBool::new(false));
    let (done, mut results) = mpsc::sync_channel(1);
    let flag = Arc::clone(&stop);
    let workers =
        workers().map_err(|e| PyRuntimeError::new_err(format!("no thread could be started: {e}")))?;
    workers.spawn(move || {
        let _ = done.send(work(&flag));
    });
    loop {
        let (receiver, result) = py.detach(move || {
            let result = results.recv_timeout(LOOK);
            (results, result)
        });
        results = receiver;
        match result {
            Ok(result) => return result.map_err(|d| refused(py, &d)),
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals().inspect_err(|_| stop.store(true, Ordering::Relaxed))?
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err(
                    "the work ended without a result; this is a fault of shardfit",
                ));
            }
        }
    }
}
