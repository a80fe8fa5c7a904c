//! What an explanation of a plan holds.

use super::measured::TableName;
use super::program::Line;
use crate::model::operator::Step;
use crate::units::Seconds;

/// Two steps, operator by operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The decode step of the running batch.
    pub decode_step: Step,
    /// Its operators.
    pub decode: Vec<Line>,
    /// A step that computes one prompt, or one chunk of it.
    pub prefill_step: Step,
    /// Its operators.
    pub prefill: Vec<Line>,
    /// What half batches hide of the time of its operators.
    pub hidden: Seconds,
    /// Hand-offs between stages in the decode step.
    pub hop: Seconds,
    /// Host time of a step.
    pub host: Seconds,
    /// The measured tables that there are for the engine on the GPU.
    pub tables: Vec<TableName>,
}
