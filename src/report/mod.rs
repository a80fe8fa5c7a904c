//! Reports: one list of columns, and each output format a view of it. Nothing here computes.

mod breakdown;
mod columns;
mod explain;
mod format;
mod inspect;
mod json;
mod section;
mod sweep;
mod table;
mod validation;

pub use breakdown::{
    context_section, flops_section, intensity_section, known_section, memory_section, precision_section,
};
pub use columns::{Column, PLAN_COLUMNS, Row, Value};
pub use explain::explanation;
pub use format::{Format, Sheet};
pub use inspect::{comparison, inspection_json, inspection_text, parameters_section, warning};
pub use json::{answer_json, estimate_json, round};
pub use section::{
    Section, SectionColumn, sections_csv, sections_json, sections_markdown, sections_text, side_by_side,
};
pub use sweep::sweep_sheet;
pub use table::{advice_text, answer_text, estimate_text};

pub use validation::{metrics_sheet, predictions_sheet, validation_json, validation_text};

use crate::model::Model;
use crate::workload::Workload;

/// What every report of a question names.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The model.
    pub model: &'a Model,
    /// The cluster's name.
    pub cluster: &'a crate::catalog::Cluster,
    /// The workload.
    pub workload: &'a Workload,
}
