//! What has changed since an earlier review: its `results.csv` beside the new results.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::facts::{Fact, Facts};
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::load;
use crate::report::cell::round;

/// Figures that differ by less than this are the same: results have six digits, estimates fewer.
const SAME: f64 = 0.005;

/// Columns that tell which case a row is.
const KEY: [&str; 5] = ["model", "cluster", "workload", "targets", "objective"];

/// Columns that are compared.
const FIGURES: [&str; 5] = ["gpus", "cost_usd_per_mtok_output", "output_tokens_per_s", "ttft_ms", "tpot_ms"];

/// What is compared of a case; `None` where it had no plan or no such figure.
type Figures = [Option<f64>; FIGURES.len()];

/// The results of an earlier run.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    rows: HashMap<[String; KEY.len()], Figures>,
    /// The file.
    name: String,
}

impl Earlier {
    /// Reads a `results.csv`.
    ///
    /// # Errors
    /// [`Code::File`] when it cannot be read, [`Code::Syntax`] when it is no result of a sweep.
    pub fn read(path: &Path) -> Result<Earlier, Diagnostic> {
        let name = path.display().to_string();
        let wrong = |cause: String| Diagnostic::new(Code::Syntax, cause).at(name.clone());
        let mut reader = csv::Reader::from_reader(load::open(path)?);
        let header = reader.headers().map_err(|e| wrong(format!("not valid CSV: {e}")))?.clone();
        let place = |column: &str| {
            header.iter().position(|h| h == column).ok_or_else(|| {
                wrong(format!("no column `{column}`"))
                    .help("--compare takes the results.csv of an earlier sweep")
            })
        };
        let (mut key, mut figures) = ([0; KEY.len()], [0; FIGURES.len()]);
        for (at, column) in key.iter_mut().zip(KEY) {
            *at = place(column)?;
        }
        for (at, column) in figures.iter_mut().zip(FIGURES) {
            *at = place(column)?;
        }
        let mut rows = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|e| wrong(format!("not valid CSV: {e}")))?;
            let cell = |at: usize| record.get(at).unwrap_or_default();
            let mut now: Figures = Default::default();
            for (figure, (at, column)) in now.iter_mut().zip(figures.iter().zip(FIGURES)) {
                let (text, line) = (cell(*at), record.position().map_or(0, csv::Position::line));
                *figure = match text.parse::<f64>() {
                    _ if text.is_empty() => None,
                    Ok(number) if number.is_finite() => Some(number),
                    _ => {
                        let cause = format!("`{}` is not a number", brief(text));
                        let place = format!("{name}, line {line}, column `{column}`");
                        return Err(Diagnostic::new(Code::Syntax, cause).at(place));
                    }
                };
            }
            rows.insert(key.map(|at| cell(at).to_owned()), now);
        }
        Ok(Earlier { rows, name })
    }
}

/// A case that is not as it was.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    case: Option<u64>,
    key: [String; KEY.len()],
    then: Figures,
    now: Figures,
}

/// What a run changed against an earlier one.
#[derive(Clone, Debug)]
pub struct Comparison {
    earlier: Earlier,
    changed: Vec<Change>,
    /// Cases with a plan that had none, without one that had one, that are new, that are gone, as before.
    gained: usize,
    lost: usize,
    new: usize,
    gone: usize,
    same: usize,
}

/// Changes that a report lists; the counts are of all.
const LISTED: usize = 500;

impl Comparison {
    pub(super) fn new(earlier: Earlier) -> Comparison {
        Comparison { earlier, changed: Vec::new(), gained: 0, lost: 0, new: 0, gone: 0, same: 0 }
    }

    /// Compares a case.
    pub(super) fn add(&mut self, facts: &Facts, fact: &Fact) {
        let names = [fact.model, fact.cluster, fact.workload, fact.targets, fact.objective];
        let key = names.map(|name| facts.text(name).to_owned());
        let own = [fact.gpus, fact.cost, fact.output, fact.ttft, fact.tpot];
        let now = own.map(|x| Some(x).filter(|x| x.is_finite()));
        let Some(then) = self.earlier.rows.remove(&key) else {
            self.new += 1;
            return;
        };
        let had = |figures: &Figures| figures[0].is_some();
        match (had(&then), had(&now)) {
            (false, true) => self.gained += 1,
            (true, false) => self.lost += 1,
            _ if then.iter().zip(&now).all(|(a, b)| alike(*a, *b)) => {
                self.same += 1;
                return;
            }
            _ => {}
        }
        self.changed.push(Change { case: Some(fact.case), key, then, now });
    }

    /// Counts what is left of the earlier run, and puts the largest changes first.
    pub(super) fn finish(&mut self) {
        self.gone = self.earlier.rows.len();
        self.changed.sort_by(|a, b| b.size().total_cmp(&a.size()).then(a.case.cmp(&b.case)));
    }

    /// One line of counts.
    pub fn summary(&self) -> String {
        let moved = self.changed.len() - self.gained - self.lost;
        format!(
            "against {}: {} cases as before, {moved} with other figures, {} have a plan now, {} have lost theirs, \
             {} new, {} gone",
            self.earlier.name, self.same, self.gained, self.lost, self.new, self.gone
        )
    }

    /// The largest changes as a Markdown table, at most `most` rows.
    pub fn markdown(&self, most: usize) -> String {
        let mut out = format!("{}.\n", self.summary());
        if self.changed.is_empty() {
            return out;
        }
        out += "\n| case | model | cluster | workload | targets | GPUs | $/Mtok out | tok/s | TTFT ms | TPOT ms |\n\
                | ---: | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n";
        for change in self.changed.iter().take(most) {
            let [model, cluster, workload, targets, _] = &change.key;
            let case = change.case.map_or(String::new(), |n| n.to_string());
            out += &format!("| {case} | {model} | {cluster} | {workload} | {targets} |");
            for (then, now) in change.then.iter().zip(&change.now) {
                out += &format!(" {} |", step(*then, *now));
            }
            out += "\n";
        }
        if self.changed.len() > most {
            out += &format!("\n{} more have changed.\n", self.changed.len() - most);
        }
        out
    }

    /// For the report.
    pub(super) fn json(&self) -> Json {
        let number = |x: &Option<f64>| x.map_or(Json::Null, round);
        let row = |c: &Change| {
            json!({
                "case": c.case, "key": c.key,
                "then": c.then.iter().map(number).collect::<Vec<_>>(),
                "now": c.now.iter().map(number).collect::<Vec<_>>(),
            })
        };
        json!({
            "summary": self.summary(),
            "changes": self.changed.iter().take(LISTED).map(row).collect::<Vec<_>>(),
            "left_out": self.changed.len().saturating_sub(LISTED),
        })
    }
}

impl Change {
    /// The largest relative difference; a plan gained or lost counts most.
    fn size(&self) -> f64 {
        let of = |(then, now): (&Option<f64>, &Option<f64>)| match (then, now) {
            (Some(then), Some(now)) => (now / then).ln().abs(),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        };
        self.then.iter().zip(&self.now).map(of).filter(|x| !x.is_nan()).fold(0.0, f64::max)
    }
}

fn alike(then: Option<f64>, now: Option<f64>) -> bool {
    match (then, now) {
        (Some(a), Some(b)) => (a - b).abs() <= SAME * a.abs().max(b.abs()),
        (None, None) => true,
        _ => false,
    }
}

/// `2.31 → 2.05 (-11 %)`, or the figure alone where it is the same.
fn step(then: Option<f64>, now: Option<f64>) -> String {
    let shown = |x: f64| crate::report::cell::short(&x.into());
    match (then, now) {
        (Some(a), Some(b)) if alike(then, now) || a == 0.0 => shown(b),
        (Some(a), Some(b)) => format!("{} → {} ({:+.0} %)", shown(a), shown(b), 100.0 * (b / a - 1.0)),
        (None, Some(b)) => format!("- → {}", shown(b)),
        (Some(a), None) => format!("{} → -", shown(a)),
        (None, None) => "-".to_owned(),
    }
}
