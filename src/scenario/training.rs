//! What a scenario trains.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::Names;
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::request::form::in_fields;
use crate::request::train::Steps;
use crate::request::{Amount, Texts, TrainRequest};

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
    /// Training framework; when left out megatron-bridge, or where that does not run one that does.
    #[schemars(extend("x-names" = "framework"))]
    pub framework: Option<String>,
    /// Number formats of products, as `train --precision`; bf16 when left out, fp16 where the GPU has no BF16.
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
    /// What it asks for of models and clusters that are named elsewhere.
    pub(super) request: TrainRequest,
    /// Its steps.
    pub steps: Steps,
}

impl TrainingEntry {
    /// What it asks for, the best plan alone.
    fn request(&self) -> TrainRequest {
        let texts = |names: &Option<Names>| names.as_ref().map(|names| Texts(names.0.clone()));
        TrainRequest {
            global_batch: Some(self.global_batch),
            seq: Some(self.seq),
            framework: self.framework.clone(),
            precision: texts(&self.precision),
            schedule: texts(&self.schedule),
            optimizer: self.optimizer.clone(),
            mtp: Some(self.mtp),
            tokens: self.tokens.map(|tokens| Amount(tokens.to_string())),
            top: Some(1),
            ..TrainRequest::default()
        }
    }

    /// It with every name resolved.
    ///
    /// # Errors
    /// An unknown name, a figure out of range.
    pub(super) fn named(&self, catalog: &Catalog) -> Result<NamedTraining, Diagnostic> {
        let request = self.request();
        let steps = request.steps(catalog).map_err(in_fields::<TrainRequest>)?;
        // Who trains where nobody is named is decided by the cluster.
        let framework =
            steps.trainers.named.as_ref().map_or_else(String::new, |t| format!(", {}", t.framework.id));
        let usual = || format!("{} sequences of {} tokens{framework}", self.global_batch, self.seq);
        Ok(NamedTraining { name: self.name.clone().unwrap_or_else(usual), request, steps })
    }
}
