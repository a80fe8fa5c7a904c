//! What is asked: the models, the machine, and what a model must do and be.

use crate::catalog::published::{Facts, Purpose};
use crate::catalog::{Catalog, Cluster, Engine};
use crate::dtype::{DType, WeightFormat};
use crate::model::{Model, Task};
use crate::units::{Bytes, TokensPerSecond};

/// A model of the catalogue, with the entries that are quantised forms of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub id: String,
    /// The names of its quantised forms.
    pub forms: Vec<String>,
}

/// What a model must do and be.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Prompt tokens, where they are stated.
    pub isl: Option<u64>,
    /// Output tokens, where they are stated.
    pub osl: Option<u64>,
    /// Tokens of the longest conversation that must find room; the model's own context where that is shorter, unless
    /// this is stated.
    pub context: u64,
    /// Whether that context is stated: a model that was made for a shorter one falls then.
    pub context_is_stated: bool,
    /// Fewest tokens per second of one user.
    pub least: TokensPerSecond,
    /// Most memory of a GPU that weights, one conversation and what the engine needs beside them may take.
    pub most_memory: Option<Bytes>,
    /// Type of the KV cache, if not the engine's own.
    pub kv: Option<DType>,
    /// Formats to look at; all where it is empty.
    pub formats: Vec<WeightFormat>,
    /// What it is for.
    pub purpose: Option<Purpose>,
    /// Licences, of which it must have one; all where it is empty.
    pub licenses: Vec<LicenseFilter>,
    /// Parts of names or model types, of which it must have one; all where it is empty.
    pub families: Vec<String>,
    /// First day of release, `2025-01-01`.
    pub since: Option<String>,
}

/// A licence that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenseFilter {
    /// Any that lets everybody use, change and sell the model.
    Permissive,
    /// The one of this name, as the Hugging Face hub calls it.
    Named(String),
}

/// A question about a machine.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Descriptions by name.
    pub catalog: &'a Catalog,
    /// The models.
    pub candidates: &'a [Candidate],
    /// The machine.
    pub cluster: &'a Cluster,
    /// Parts of it on which a model may run too, where its GPUs are of several kinds.
    pub parts: &'a [Cluster],
    /// Engines that may run there.
    pub engines: &'a [Engine],
    /// What a model must do and be.
    pub need: &'a Need,
    /// Whether every way that runs is kept, and not one of each model.
    pub every_way: bool,
}

impl Need {
    /// Whether what is published of a model is as asked for.
    pub fn takes_facts(&self, facts: &Facts) -> bool {
        let licensed = |license: &LicenseFilter| match license {
            LicenseFilter::Permissive => facts.is_permissive(),
            LicenseFilter::Named(name) => {
                facts.license.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
            }
        };
        let recent = |since: &String| facts.released.as_ref().is_some_and(|day| day >= since);
        (self.licenses.is_empty() || self.licenses.iter().any(licensed))
            && self.since.as_ref().is_none_or(recent)
    }

    /// Whether a model is of the family and for the purpose that is asked for. Models that only make vectors are no
    /// answer unless they are.
    pub(super) fn takes(&self, model: &Model, id: &str, facts: &Facts) -> bool {
        self.serves(model, facts) && self.is_of_family(model, id)
    }

    /// Whether a model is of a family that is asked for.
    pub fn is_of_family(&self, model: &Model, id: &str) -> bool {
        let of_family = |family: &String| {
            let family = family.to_lowercase();
            id.to_lowercase().contains(&family) || model.family.to_lowercase().contains(&family)
        };
        self.families.is_empty() || self.families.iter().any(of_family)
    }

    /// Whether a model is for the purpose that is asked for; without one, whether it writes.
    pub fn serves(&self, model: &Model, facts: &Facts) -> bool {
        let writes = model.task == Task::Generation;
        match self.purpose {
            Some(Purpose::Embedding) => {
                model.task == Task::Embedding || facts.purposes.contains(&Purpose::Embedding)
            }
            Some(Purpose::Vision) => writes && model.sees(),
            Some(purpose) => writes && facts.purposes.contains(&purpose),
            None => writes && facts.purposes != [Purpose::Embedding],
        }
    }
}
