//! Every batch of the layouts that are ranked.

use crate::estimate::estimated::Estimate;
use crate::search::Answer;

use super::columns::{Row, plan_sheet};
use super::sheet::Sheet;

/// Every batch of the layouts that are ranked, each with the rank of its layout, as rows of CSV and Markdown.
pub fn batches_sheet(answer: &Answer, batches: &[(usize, Estimate)]) -> Sheet {
    plan_sheet(&rows(answer, batches), answer.current.is_some())
}

/// Batches under the ranks of their layouts.
pub(super) fn rows<'a>(answer: &'a Answer, batches: &'a [(usize, Estimate)]) -> Vec<Row<'a>> {
    let row = |(n, estimate): &'a (usize, Estimate)| Row {
        rank: Some(*n as u64 + 1),
        estimate,
        current: answer.reference(),
    };
    batches.iter().map(row).collect()
}
