//! What the summary and the report are made of.

use super::compare::Comparison;
use super::facts::Facts;
use super::questions::Answered;
use crate::scenario::Header;

/// A whole sweep, before it is written for people.
pub struct Review<'a> {
    pub header: &'a Header,
    pub facts: &'a Facts,
    pub answers: &'a [Answered],
    pub comparison: Option<&'a Comparison>,
}
