//! A sweep in parts: which groups of cases there are, the answers of some of them, and a run that keeps answers in a
//! journal and writes the results. Parts can be answered in other processes, on other machines.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use shardfit::catalog::Catalog;
use shardfit::diagnostic::{Code, Diagnostic};
use shardfit::load;
use shardfit::report::sweep::{Earlier, about, columns, group_record, write_results};
use shardfit::scenario::{self, Header, Journal, Reader, Record, Resumed, Scenario, Shard};

use crate::catalogue;
use crate::refused::refused;
use crate::waiting;

/// A scenario whose names are resolved.
#[pyclass(frozen, module = "shardfit._native")]
pub struct Sweep {
    scenario: Arc<Scenario>,
    header: Header,
}

fn read(text: &str, place: &str, folders: &[PathBuf]) -> Result<Sweep, Diagnostic> {
    let catalog: Catalog = catalogue(folders)?;
    let mut scenario = scenario::parse(text, place, &catalog)?;
    if !scenario.training.is_empty() {
        let cause = "a scenario about training is answered in one go, by the command line";
        return Err(Diagnostic::new(Code::Usage, cause).at(place).help("shardfit sweep FILE -o DIR"));
    }
    scenario.measure(&catalog)?;
    let header = Header::new(&scenario, Shard::WHOLE, about(&scenario));
    Ok(Sweep { scenario: Arc::new(scenario), header })
}

#[pymethods]
impl Sweep {
    /// Reads the text of a scenario; `place` is its file, beside which the files that it names stand.
    #[new]
    fn new(py: Python<'_>, text: String, place: String, catalog: Vec<PathBuf>) -> PyResult<Sweep> {
        py.detach(|| read(&text, &place, &catalog)).map_err(|d| refused(py, &d))
    }

    /// What the review is about.
    #[getter]
    fn name(&self) -> &str {
        &self.scenario.name
    }

    /// What identifies the question and the build that answers it: two processes with equal ones give equal answers.
    #[getter]
    fn identity(&self) -> PyResult<String> {
        serde_json::to_string(&self.header)
            .map_err(|e| pyo3::exceptions::PyRuntimeError::new_err(e.to_string()))
    }

    /// Cases of each group; the cases of a group share every figure and are answered together.
    #[getter]
    fn sizes(&self) -> Vec<usize> {
        (0..self.scenario.groups()).map(|group| self.scenario.group(group).len()).collect()
    }

    /// Names of the columns of a case.
    #[staticmethod]
    fn columns() -> Vec<&'static str> {
        columns().into_iter().map(|column| column.name).collect()
    }

    /// The answers of these groups, each a record as JSON, in the order asked.
    fn answer(&self, py: Python<'_>, groups: Vec<usize>) -> PyResult<Vec<String>> {
        let scenario = Arc::clone(&self.scenario);
        waiting::until(py, move |_| {
            if let Some(strange) = groups.iter().find(|group| **group >= scenario.groups()) {
                return Err(Diagnostic::new(Code::Range, format!("there is no group {strange}")));
            }
            let answers: Mutex<Vec<(usize, String)>> = Mutex::new(Vec::with_capacity(groups.len()));
            scenario::run(&scenario, &groups, |group, answer| {
                let (cases, front) = group_record(&scenario, group, &answer);
                let record = serde_json::to_string(&Record { group, cases, front })
                    .map_err(|e| Diagnostic::new(Code::File, e.to_string()))?;
                answers.lock().unwrap_or_else(PoisonError::into_inner).push((group, record));
                Ok(())
            })?;
            let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
            let place = |group: &usize| groups.iter().position(|g| g == group);
            answers.sort_by_cached_key(|(group, _)| place(group));
            Ok(answers.into_iter().map(|(_, record)| record).collect())
        })
    }

    /// Begins a run whose journal and results stand in `folder`, or goes on with the one that is there.
    fn begin(&self, py: Python<'_>, folder: PathBuf, resume: bool) -> PyResult<Run> {
        let begin = || {
            load::make_folder(&folder)?;
            load::check_writable(&folder.join("results.csv"))?;
            let path = folder.join(Journal::NAME);
            if resume { Journal::resume(&path, &self.header) } else { Journal::begin(&path, &self.header) }
        };
        let begun = py.detach(begin).map_err(|d| refused(py, &d))?;
        Ok(Run { folder, left: begun.left.clone(), done: begun.done, begun: Mutex::new(Some(begun)) })
    }
}

/// A run under way: it holds the journal of its folder, which no other run may write meanwhile, until it is closed.
#[pyclass(frozen, module = "shardfit._native")]
pub struct Run {
    folder: PathBuf,
    /// Groups that were left when it began.
    #[pyo3(get)]
    left: Vec<usize>,
    /// Cases that were done when it began.
    #[pyo3(get)]
    done: usize,
    begun: Mutex<Option<Resumed>>,
}

#[pymethods]
impl Run {
    /// Adds a record, as [`Sweep::answer`] gives it, to the journal.
    fn add(&self, py: Python<'_>, record: &str) -> PyResult<()> {
        let add = || {
            let record: Record = serde_json::from_str(record)
                .map_err(|e| Diagnostic::new(Code::Syntax, format!("not a record of a sweep: {e}")))?;
            let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            let closed = || Diagnostic::new(Code::Usage, "the run is closed");
            begun.as_ref().ok_or_else(closed)?.journal.add(record.group, record.cases, record.front)
        };
        py.detach(add).map_err(|d| refused(py, &d))
    }

    /// Writes the results of the finished run to its folder: how many cases have a feasible plan, and what the results
    /// say of GPUs without measurements.
    fn write(&self, py: Python<'_>, compare: Option<PathBuf>) -> PyResult<(usize, Option<String>)> {
        py.detach(|| write(&self.folder, compare.as_deref())).map_err(|d| refused(py, &d))
    }

    /// Lets go of the journal.
    fn close(&self) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn write(folder: &Path, compare: Option<&Path>) -> Result<(usize, Option<String>), Diagnostic> {
    let earlier = compare.map(Earlier::read).transpose()?;
    load::remove_parts(folder)?;
    let mut reader = Reader::open(&folder.join(Journal::NAME))?;
    let (written, _) = write_results(&mut reader, folder, earlier, || ())?;
    Ok((written.found, written.uncalibrated))
}
