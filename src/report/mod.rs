//! Reports: one list of columns, and each output format a view of it. Nothing here computes.

mod answer;
mod batches;
mod breakdown;
mod budget;
mod calibration;
mod cell;
mod check;
mod column;
mod columns;
mod compared;
mod degrees;
mod doctor;
mod draw;
mod emit;
mod engine_calibration;
mod examined;
mod explain;
mod files;
mod fit;
mod fitting;
mod format;
mod front;
mod inspect;
mod json;
mod keeping;
mod kept;
mod launched;
mod observation;
mod remarks;
mod schemas;
mod section;
mod sheet;
mod simulation;
mod size;
mod subject;
pub mod sweep;
mod table;
mod training;
mod validation;
mod verify;

pub use answer::ANSWER_VERSION;
pub use batches::batches_sheet;
pub use breakdown::{
    context_section, flops_section, intensity_section, known_section, memory_section, precision_section,
};
pub use budget::Budgeted;
pub use calibration::{calibration_json, calibration_sheet, calibration_text};
pub use cell::{Value, round};
pub use check::{check_json, check_sheet, check_text};
pub use column::{Column, Idle, Kind, Rows, Show, Situation};
pub use columns::{DELTA_COLUMNS, PLAN_COLUMNS, Plans, Row, columns, plan_sheet};
pub use compared::{Best, Compared, compared_json, compared_sheet, compared_text};
pub use doctor::Diagnosis;
pub use draw::wrap;
pub use emit::{TARGETS as EMIT_TARGETS, emit, emitted_name};
pub use engine_calibration::{engine_calibration_json, engine_calibration_text, engine_errors_sheet};
pub use examined::{examined_json, examined_sheet, examined_text};
pub use explain::{explanation, explanation_json, explanation_sheet};
pub use files::files_json;
pub use fit::Fit;
pub use fitting::{FIT_COLUMNS, Fitted, Models};
pub use format::Format;
pub use front::{front_chart, what_if_text};
pub use inspect::{Inspected, comparison, inspection_text, parameters_section, tables_json, warning};
pub use json::{EstimateAnswer, answer_json, estimate_answer};
pub use kept::{kept_section, training_memory_section};
pub use launched::{Improvement, launched_sheet, unjudged_json};
pub use observation::{observation_json, observation_sheet, observation_text};
pub use schemas::{ANSWERS, answer_schema};
pub use section::{Section, SectionColumn, sections_csv, sections_markdown, sections_text, side_by_side};
pub use sheet::Sheet;
pub use simulation::{SimulationSubject, no_simulation, simulation, timeline_sheet};
pub use size::{FLEET_COLUMNS, SizeAnswer, growth_sheet, size_json, size_sheet, size_text};

pub use subject::Subject;
pub use table::{Shown, advice_text, answer_text, batches_text, estimate_text};

pub use training::{TRAINING_COLUMNS, Trained, why_not_text};
pub use validation::{
    comparison_json, comparison_sheet, comparison_text, metrics_sheet, predictions_sheet, validation_json,
    validation_text,
};
pub use verify::{verification_json, verification_sheet, verification_text};
