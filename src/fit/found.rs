//! What becomes of a model: it runs, or it does not and why.

use super::way::Way;
use crate::catalog::published::{Facts, Score};
use crate::dtype::WeightFormat;
use crate::plan::Reason;
use crate::units::{Bytes, TokensPerSecond};

/// Loss of a format beyond which the score of the unquantised model says little of it: Q3_K_M raises the perplexity of
/// Llama 3 8B by 10.5 %, Q2_K by 56 %, after which its answers are those of a much smaller model.
const SCORE_HOLDS: f64 = 0.12;

/// A model, as far as a table says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Its name.
    pub id: String,
    /// Parameters.
    pub parameters: u64,
    /// Parameters that one token uses.
    pub active: u64,
    /// Longest context that it was made for.
    pub max_context: Option<u64>,
    /// What is published of it.
    pub facts: Facts,
    /// What it scores by the measure that is ranked by.
    pub score: Option<Score>,
}

/// A model that runs, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The model.
    pub model: Described,
    /// The way that is meant, and where every way is kept the others, the fastest first.
    pub ways: Vec<Way>,
}

/// How far a model's published score holds in the way that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// It was measured of about this model.
    Published,
    /// It was measured, and the format loses too much for it to hold.
    Lossy,
    /// None is published.
    Unscored,
}

impl Running {
    /// How far its score holds.
    pub fn trust(&self) -> Trust {
        let loss = self.ways.first().and_then(|way| way.loss).unwrap_or(0.0);
        match self.model.score {
            None => Trust::Unscored,
            Some(_) if loss > SCORE_HOLDS => Trust::Lossy,
            Some(_) => Trust::Published,
        }
    }

    /// What the way that is meant is compared by: see [`Way::pace`].
    pub(super) fn pace(&self) -> TokensPerSecond {
        self.ways.first().map_or(TokensPerSecond::ZERO, Way::pace)
    }
}

/// Why a model does not run.
#[derive(Clone, Debug, PartialEq)]
pub enum Fallen {
    /// No way finds room: the way that is least short, and why.
    NoRoom {
        /// Its engine.
        engine: String,
        /// Its format.
        format: WeightFormat,
        /// Why.
        reason: Box<Reason>,
    },
    /// It is larger than all memory together in every format.
    TooLarge {
        /// Bytes of its smallest form.
        need: Bytes,
        /// Memory of all GPUs and the host.
        have: Bytes,
    },
    /// It runs too slowly: the fastest way.
    TooSlow(Box<Way>),
    /// It takes more memory than is allowed: the way that takes least.
    TooMuchMemory(Box<Way>),
    /// It was made for a shorter context.
    ShortContext(u64),
    /// No engine of the machine loads it in a format that is asked for.
    NoEngine,
}

impl Fallen {
    /// What it is counted under.
    pub fn name(&self) -> &'static str {
        match self {
            Fallen::NoRoom { .. } | Fallen::TooLarge { .. } => "no_room",
            Fallen::TooSlow(_) => "too_slow",
            Fallen::TooMuchMemory(_) => "more_memory_than_allowed",
            Fallen::ShortContext(_) => "context_too_short",
            Fallen::NoEngine => "no_engine_loads_it",
        }
    }

    /// Why, in a sentence without its full stop.
    pub fn message(&self) -> String {
        match self {
            Fallen::NoRoom { engine, format, reason } => {
                format!("nearest {format} with {engine}: {}", reason.message())
            }
            Fallen::TooLarge { need, have } => {
                format!("its smallest form has {need}, and the machine {have} of memory in all")
            }
            Fallen::TooSlow(way) => {
                format!("{:.2} tokens/s at most, {} with {}", way.speed.get(), way.format, way.engine)
            }
            Fallen::TooMuchMemory(way) => {
                format!("takes {} of a GPU at least, {} with {}", way.taken, way.format, way.engine)
            }
            Fallen::ShortContext(tokens) => format!("was made for {tokens} tokens"),
            Fallen::NoEngine => "no engine that runs here loads it".to_owned(),
        }
    }
}

impl Described {
    /// The better score first, then those without one by size.
    pub(super) fn order(&self, other: &Described) -> std::cmp::Ordering {
        match (self.score, other.score) {
            (Some(a), Some(b)) => b.value.total_cmp(&a.value),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => other.parameters.cmp(&self.parameters),
        }
    }
}
