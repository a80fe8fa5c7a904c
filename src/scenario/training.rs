//! What a scenario trains.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::Names;
use crate::catalog::{Catalog, Engine, Framework};
use crate::diagnostic::{Code, Diagnostic};
use crate::train::{Operations, Optimizer, Precision, Schedule};

/// What is trained in which steps.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingEntry {
    /// What results call it; what is asked when left out.
    pub name: Option<String>,
    /// Sequences of one step, over all GPUs.
    #[schemars(range(min = 1, max = 16777216))]
    pub global_batch: u64,
    /// Tokens of a sequence.
    #[schemars(range(min = 1, max = 16777216))]
    pub seq: u64,
    /// Training framework; megatron-bridge when left out.
    #[schemars(extend("x-names" = "framework"))]
    pub framework: Option<String>,
    /// Number formats of products, as `train --precision`; bf16 when left out.
    pub precision: Option<Names>,
    /// Orders of microbatches, as `train --schedule`; 1f1b when left out.
    pub schedule: Option<Names>,
    /// As `train --optimizer`; adam when left out.
    pub optimizer: Option<String>,
    /// Whether multi-token prediction is trained too.
    #[serde(default)]
    pub mtp: bool,
    /// Tokens of the whole run: days and dollars.
    #[schemars(range(min = 1))]
    pub tokens: Option<f64>,
}

/// A training with every name resolved.
#[derive(Clone, Debug)]
pub struct NamedTraining {
    /// What results call it.
    pub name: String,
    /// Sequences of one step.
    pub global_batch: u64,
    /// Tokens of a sequence.
    pub seq: u64,
    /// The framework.
    pub framework: Framework,
    pub(super) engine: Engine,
    pub(super) precisions: Vec<Precision>,
    pub(super) schedules: Vec<Schedule>,
    pub(super) optimizer: Optimizer,
    pub(super) mtp: bool,
    pub(super) operations: Operations,
}

/// Longest sequence and largest batch accepted.
const MOST: u64 = 1 << 24;

impl TrainingEntry {
    /// It with every name resolved.
    ///
    /// # Errors
    /// An unknown name, a figure out of range.
    pub(super) fn named(&self, catalog: &Catalog) -> Result<NamedTraining, Diagnostic> {
        for (field, n) in [("global_batch", self.global_batch), ("seq", self.seq)] {
            if !(1..=MOST).contains(&n) {
                return Err(Diagnostic::new(Code::Range, format!("{field} is {n}"))
                    .field(field)
                    .help(format!("from 1 to {MOST}")));
            }
        }
        if self.tokens.is_some_and(|t| !(t.is_finite() && t >= 1.0)) {
            return Err(Diagnostic::new(Code::Range, "tokens must be above zero").field("tokens"));
        }
        let framework = catalog.framework(self.framework.as_deref().unwrap_or("megatron-bridge"))?;
        let mut precisions: Vec<Precision> = parsed(&self.precision, Precision::Bf16)?;
        precisions.dedup();
        let usual = || format!("{} sequences of {} tokens, {}", self.global_batch, self.seq, framework.id);
        Ok(NamedTraining {
            name: self.name.clone().unwrap_or_else(usual),
            global_batch: self.global_batch,
            seq: self.seq,
            engine: catalog.engine(&framework.kernels)?,
            framework,
            precisions,
            schedules: parsed(&self.schedule, Schedule::OneForwardOneBackward)?,
            optimizer: self.optimizer.as_deref().map_or(Ok(Optimizer::Adam), str::parse)?,
            mtp: self.mtp,
            operations: Operations { tokens: self.tokens, ..Operations::USUAL },
        })
    }
}

fn parsed<T: std::str::FromStr<Err = Diagnostic>>(
    names: &Option<Names>,
    usual: T,
) -> Result<Vec<T>, Diagnostic> {
    match names {
        None => Ok(vec![usual]),
        Some(Names(names)) => names.iter().map(|name| name.parse()).collect(),
    }
}
