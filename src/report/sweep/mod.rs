//! The results of a sweep: tables that are streamed, a summary, and a report for those who decide.

#[cfg(feature = "parquet")]
mod columnar;
mod columns;
mod compare;
mod facts;
mod html;
mod questions;
mod review;
mod setting;
mod summary;
mod tables;
mod training;

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic};
use crate::scenario::Reader;

pub use columns::{Head, columns, group_record};
pub use compare::{Comparison, Earlier};
pub use setting::about;
pub use training::training_row;

use facts::Facts;
use html::Rows;
use review::Review;

/// What was written, for the last line on stderr.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Cases in the results.
    pub cases: usize,
    /// Those with a feasible plan.
    pub found: usize,
    /// How many answers are on GPUs without measurements, in words, if any are.
    pub uncalibrated: Option<String>,
}

/// Reads a journal from its beginning to its end and writes every result to a folder: tables as they are
/// read, the summary and the report at the end.
///
/// # Errors
/// What is wrong with the journal, or a file that cannot be written.
pub fn write_results(
    journal: &mut Reader,
    folder: &Path,
    earlier: Option<Earlier>,
    done: impl Fn(),
) -> Result<(Written, Option<Comparison>), Diagnostic> {
    if journal.missing() > 0 {
        let cause = format!("{} groups of the run have no answer", journal.missing());
        return Err(Diagnostic::new(Code::File, cause)
            .at(folder.display().to_string())
            .help("go on with the run first: --resume"));
    }
    let columns = columns();
    let mut tables = tables::Tables::create(folder, &columns)?;
    let mut facts = Facts::new(&columns);
    let mut rows = Rows::new(&columns);
    let mut comparison = earlier.map(Comparison::new);
    for group in journal.groups() {
        let Some(record) = journal.group(group)? else { continue };
        for cells in &record.cases {
            let cells = tables.add(cells)?;
            let fact = facts.add(cells);
            if let Some(comparison) = &mut comparison {
                comparison.add(&facts, &fact);
            }
            rows.add(cells);
            done();
        }
        rows.add_front(&facts, &record.front);
    }
    tables.finish()?;
    if let Some(comparison) = &mut comparison {
        comparison.finish();
    }
    let answers = questions::answers(&facts);
    let uncalibrated = summary::uncalibrated(&facts, &answers);
    let written = Written { cases: facts.cases.len(), found: facts.found(), uncalibrated };
    let review =
        Review { header: &journal.header, facts: &facts, answers: &answers, comparison: comparison.as_ref() };
    crate::load::write_whole(&folder.join("summary.md"), summary::markdown(&review).as_bytes())?;
    crate::load::write_whole(&folder.join("report.html"), html::page(&review, &rows).as_bytes())?;
    Ok((written, comparison))
}
