//! Calibration of engines: the constants of their scheduling from measured servers.
//!
//! A constant is a property of an engine, or of one of its versions: none belongs to a model or a GPU. What
//! leaving out models or GPUs in turn shows is therefore how far others will be off.

mod constants;
mod linear;
mod subject;
mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::catalog::Catalog;
use crate::diagnostic::{Code, Diagnostic};
use crate::load;
use crate::search::in_parallel;
use crate::validate::{
    Choice, Estimator, Kind, Metric, Prediction, Predictor, Reader, Row, Table, Unread, choices, collect,
};

pub use constants::{Constant, Field};
use linear::{Linear, Observation};
pub use subject::FEWEST;
use subject::Subject;

/// Times that the derivatives are taken.
const ROUNDS: usize = 2;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Engines, by catalogue name.
    pub engines: Vec<String>,
    /// How servers are estimated.
    pub estimator: Estimator,
    /// Rows to keep: column and value.
    pub only: Vec<(String, String)>,
    /// Columns whose values are left out in turn.
    pub leave_out: Vec<String>,
}

/// Measured servers, ready to be fitted.
pub struct Servers<'a> {
    catalog: &'a Catalog,
    reader: &'a dyn Reader,
    asked: Asked,
    subjects: Vec<Subject>,
    tables: Vec<Table>,
    /// Columns of the files that nobody reads.
    pub unread: Vec<Unread>,
    /// Engine of each row of each table, if it is one that was asked for.
    engines: Vec<Vec<Option<usize>>>,
}

/// What became of a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Its engine.
    pub engine: String,
    /// The constant, with its value in the catalogue.
    pub constant: Constant,
    /// Its value in the fit; `None` where too few rows move with it.
    pub after: Option<f64>,
    /// Rows that move with it.
    pub rows: usize,
}

/// Errors of all rows of a file under some constants.
#[derive(Clone, Debug)]
pub struct Errors {
    /// The file.
    pub file: String,
    /// Which constants: `catalogue`, `fitted`, or `leaving out` a column.
    pub under: String,
    /// By measured column.
    pub metrics: BTreeMap<String, Metric>,
    /// What choosing by them costs.
    pub choices: Vec<Choice>,
    /// Of a column left out: each of its values.
    pub values: BTreeMap<String, BTreeMap<String, Metric>>,
}

/// A calibration of engines.
#[derive(Clone, Debug)]
pub struct EngineCalibration {
    /// Constants, by engine in the order of its file.
    pub constants: Vec<Fitted>,
    /// Errors before and after.
    pub errors: Vec<Errors>,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
}

impl EngineCalibration {
    /// Whether anything was fitted.
    pub fn is_new(&self) -> bool {
        self.constants.iter().any(|c| c.after.is_some())
    }
}

/// Predictions of every row of every table.
type Predictions = Vec<Vec<Prediction>>;

impl<'a> Servers<'a> {
    /// Reads CSV files of measured servers, with the columns that `validate serving` reads.
    ///
    /// # Errors
    /// A file that cannot be read or is no CSV; a column that it lacks; an unknown engine; no row of any.
    pub fn read(
        files: &[PathBuf],
        asked: Asked,
        catalog: &'a Catalog,
        reader: &'a dyn Reader,
    ) -> Result<Servers<'a>, Diagnostic> {
        let engine = |name: &String| -> Result<Subject, Diagnostic> {
            let engine = catalog.every_version(name)?;
            Ok(Subject { constants: constants::constants(&engine), id: engine.id })
        };
        let subjects = asked.engines.iter().map(engine).collect::<Result<Vec<_>, _>>()?;
        let (mut tables, mut unread) = (Vec::new(), Vec::new());
        let named: Vec<String> =
            asked.leave_out.iter().chain(asked.only.iter().map(|(column, _)| column)).cloned().collect();
        for file in files {
            let table = Table::parse(&load::text(file)?, &file.display().to_string())?;
            let mut table = reader.told(Kind::Serving, table);
            unread.extend(Unread::of(&table, Kind::Serving, &named));
            table.require(&["engine".to_owned(), "model".to_owned(), "gpu".to_owned()])?;
            table.require(&asked.leave_out)?;
            asked.only.iter().try_for_each(|(column, value)| table.keep(column, value))?;
            tables.push(table);
        }
        let of_row = |row: &Row| {
            let id = catalog.every_version(row.text("engine")?).ok()?.id;
            subjects.iter().position(|subject| subject.id == id)
        };
        let of_table = |t: &Table| (0..t.len()).map(|i| of_row(&t.row(i))).collect::<Vec<_>>();
        let engines: Vec<Vec<Option<usize>>> = tables.iter().map(of_table).collect();
        if engines.iter().flatten().all(Option::is_none) {
            let cause = format!("no row is of {}", asked.engines.join(", "));
            return Err(Diagnostic::new(Code::Range, cause));
        }
        Ok(Servers { catalog, reader, asked, subjects, tables, unread, engines })
    }

    /// Times that all rows are predicted: what progress counts.
    pub fn passes(&self) -> usize {
        let widest = self.subjects.iter().map(|s| s.constants.len()).max().unwrap_or(0);
        1 + ROUNDS * (widest + 1) + self.asked.leave_out.len()
    }

    /// Fits the constants; `done` hears of each pass over the rows.
    ///
    /// # Errors
    /// Never for rows that were read; the type is that of work in parallel.
    pub fn answer(&self, done: impl Fn() + Sync) -> Result<EngineCalibration, Diagnostic> {
        let mut at: Vec<Vec<f64>> =
            self.subjects.iter().map(|s| s.constants.iter().map(|c| c.value).collect()).collect();
        let before = self.predict(&at, |_, _| true)?;
        done();
        let observations = self.observations(&before);
        let (mut here, mut fitted) = (before.clone(), None);
        for _ in 0..ROUNDS {
            let closed = fitted.map_or_else(Vec::new, |last: Linear| last.closed());
            let linear = self.linearise(&observations, (&at, &here), closed, &done)?;
            let next = linear.fit(|_| true);
            let there = self.predict(&next, |_, _| true)?;
            done();
            let better = linear::loss(&self.residuals(&observations, &there), &observations)
                < linear::loss(&self.residuals(&observations, &here), &observations);
            fitted = Some(linear);
            if !better {
                break;
            }
            (at, here) = (next, there);
        }
        let linear = fitted.unwrap_or_else(|| Linear::new(&self.subjects, &at, Vec::new()));
        let mut errors = self.errors("catalogue", &before, None);
        let constants = self.fitted(&at, &linear);
        let is_new = constants.iter().any(|c| c.after.is_some());
        if is_new {
            errors.extend(self.errors("fitted", &here, None));
        }
        for column in self.asked.leave_out.iter().filter(|_| is_new) {
            let left = self.left_out(column, &observations, &linear)?;
            done();
            errors.extend(self.errors(&format!("leaving out {column}"), &left, Some(column)));
        }
        Ok(EngineCalibration { constants, errors, left_out: reasons(&before) })
    }

    /// Predictions under constants, of the rows that pass.
    fn predict(
        &self,
        at: &[Vec<f64>],
        keep: impl Fn(usize, usize) -> bool + Sync,
    ) -> Result<Predictions, Diagnostic> {
        let tried = |catalog: Catalog, (subject, values): (&Subject, &Vec<f64>)| {
            catalog.with_scheduling(subject.overlay(values))
        };
        let catalog = self.subjects.iter().zip(at).fold(self.catalog.clone(), tried);
        let (estimator, reader) = (self.asked.estimator, self.reader);
        let predictor = Predictor { kind: Kind::Serving, catalog: &catalog, estimator, reader };
        let of_table = |(t, table): (usize, &Table)| {
            in_parallel(table.len(), |i| {
                Ok(match self.engines[t][i] {
                    None => Err("of another engine".to_owned()),
                    Some(_) if !keep(t, i) => Err("not asked for".to_owned()),
                    Some(_) => predictor.predict(&table.row(i)),
                })
            })
        };
        self.tables.iter().enumerate().map(of_table).collect()
    }

    /// What rows measured of what is predicted: times per token count whole, other figures less, as noisier
    /// ones, and throughput only where no time per token is stated, of which it follows.
    fn observations(&self, predictions: &Predictions) -> Vec<Observation> {
        let mut all = Vec::new();
        for (t, (table, predictions)) in self.tables.iter().zip(predictions).enumerate() {
            for (i, prediction) in predictions.iter().enumerate() {
                let (Ok(values), Some(engine)) = (prediction, self.engines[t][i]) else { continue };
                let row = table.row(i);
                let of_token = row.number("tpot_ms").is_some();
                for (column, _) in values {
                    let weight = match *column {
                        "tpot_ms" => 1.0,
                        "ttft_ms" => 0.4,
                        "output_tok_s" | "e2e_ms" if !of_token => 0.4,
                        _ => continue,
                    };
                    let Some(measured) = row.number(column).filter(|x| *x > 0.0) else { continue };
                    all.push(Observation { at: (t, i), engine, column, measured, weight });
                }
            }
        }
        all
    }

    /// Logarithms of predicted over measured; zero where a prediction fails.
    fn residuals(&self, observations: &[Observation], predictions: &Predictions) -> Vec<f64> {
        let of = |o: &Observation| {
            let values = predictions[o.at.0][o.at.1].as_ref().ok()?;
            let (_, predicted) = values.iter().find(|(column, _)| *column == o.column)?;
            Some((predicted / o.measured).ln()).filter(|r| r.is_finite())
        };
        observations.iter().map(|o| of(o).unwrap_or(0.0)).collect()
    }

    /// Residuals around some constants, each engine's moved one by one; engines share no rows, so that they
    /// move together.
    fn linearise<'o>(
        &self,
        observations: &'o [Observation],
        (at, here): (&[Vec<f64>], &Predictions),
        closed: Vec<(usize, usize)>,
        done: &(impl Fn() + Sync),
    ) -> Result<Linear<'o>, Diagnostic> {
        let mut linear = Linear::new(&self.subjects, at, closed);
        linear.observe(observations, self.residuals(observations, here));
        let widest = at.iter().map(Vec::len).max().unwrap_or(0);
        for k in 0..widest {
            let moved = linear.moved(k);
            let moves = |t: usize, i: usize| self.engines[t][i].is_some_and(|e| linear.is_open(e, k));
            let residuals = self.residuals(observations, &self.predict(&moved, moves)?);
            linear.differentiate(k, &moved, &residuals);
            done();
        }
        Ok(linear)
    }

    /// Every row under a fit to the rows with other values in a column.
    fn left_out(
        &self,
        column: &str,
        observations: &[Observation],
        linear: &Linear,
    ) -> Result<Predictions, Diagnostic> {
        let value = |t: usize, i: usize| self.tables[t].row(i).text(column).unwrap_or("").to_owned();
        let mut parts: BTreeMap<String, Predictions> = BTreeMap::new();
        for o in observations {
            let name = value(o.at.0, o.at.1);
            if parts.contains_key(&name) {
                continue;
            }
            let at = linear.fit(|o: &Observation| value(o.at.0, o.at.1) != name);
            let predicted = self.predict(&at, |t, i| value(t, i) == name)?;
            parts.insert(name, predicted);
        }
        let none = || Err("no row of its kind was fitted".to_owned());
        let row = |t: usize, i: usize| parts.get(&value(t, i)).map_or_else(none, |p| p[t][i].clone());
        let of_table = |(t, table): (usize, &Table)| (0..table.len()).map(|i| row(t, i)).collect();
        Ok(self.tables.iter().enumerate().map(of_table).collect())
    }

    fn errors(&self, under: &str, predictions: &Predictions, by: Option<&str>) -> Vec<Errors> {
        let of_table = |(table, predictions): (&Table, &Vec<Prediction>)| {
            let mut values = BTreeMap::new();
            for i in 0..table.len() {
                let Some(value) = by.and_then(|column| table.row(i).text(column)) else { continue };
                if predictions[i].is_ok() && !values.contains_key(value) {
                    let same = |row: &Row| by.and_then(|column| row.text(column)) == Some(value);
                    values.insert(value.to_owned(), collect(table, predictions, same));
                }
            }
            Errors {
                file: table.place().to_owned(),
                under: under.to_owned(),
                metrics: collect(table, predictions, |_| true),
                choices: choices(table, predictions),
                values,
            }
        };
        self.tables.iter().zip(predictions).map(of_table).collect()
    }

    fn fitted(&self, at: &[Vec<f64>], linear: &Linear) -> Vec<Fitted> {
        let mut all = Vec::new();
        for (e, (subject, values)) in self.subjects.iter().zip(at).enumerate() {
            for (k, (constant, value)) in subject.constants.iter().zip(values).enumerate() {
                let rows = linear.moving(e, k);
                let after = (rows >= FEWEST).then_some(*value);
                all.push(Fitted { engine: subject.id.clone(), constant: *constant, after, rows });
            }
        }
        all
    }
}

/// Why rows are not predicted.
fn reasons(predictions: &Predictions) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for why in predictions.iter().flatten().filter_map(|p| p.as_ref().err()) {
        *reasons.entry(why.clone()).or_default() += 1;
    }
    reasons
}

pub use written::overlay_yaml;
