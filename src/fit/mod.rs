//! Which models run on a machine: the catalogue in every format that an engine of the machine loads, what each way of
//! running it delivers to one user and to many, ranked by what is published of the models' quality.
//!
//! A [`Candidate`] is a model with its quantised forms. [`Question::answer`] reads each, runs it every [`Way`] that
//! finds room, and keeps the way that is meant: see `choice.rs`.

mod advice;
mod choice;
mod form;
mod found;
mod need;
mod run;
mod way;

use crate::catalog::published::{self, Measure};
use crate::diagnostic::Diagnostic;
use crate::model::{self, Scope};
use crate::search::in_parallel;
use crate::units::TokensPerSecond;

pub use advice::{Advised, Suggestion};
pub use form::Origin;
pub use found::{Described, Fallen, Running, Trust};
pub use need::{Candidate, LicenseFilter, Need, Question};
pub use way::Way;

/// Models above the best that runs which are explained.
const EXPLAINED: usize = 3;

/// What became of the candidates.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Models that run: those with a score by it, then the largest; the faster first among equals.
    pub running: Vec<Running>,
    /// Models that do not, in the same order.
    pub fallen: Vec<(Described, Fallen)>,
    /// Places in `running` of the models that no other beats in both score and speed, the best score first.
    pub front: Vec<usize>,
    /// The next better models than the best that runs, and what would make them run.
    pub above: Vec<Advised>,
    /// The measure that models are ranked by, if one is published of their purpose.
    pub measure: Option<&'static Measure>,
    /// Models that filters let through.
    pub considered: usize,
    /// Files of models that could not be read.
    pub unread: Vec<Diagnostic>,
}

/// What became of one candidate.
enum Fate {
    FilteredOut,
    Unread(Diagnostic),
    Runs(Running),
    Falls(Described, Fallen),
}

impl Question<'_> {
    /// Runs every candidate every way.
    ///
    /// # Errors
    /// A GPU description that lacks what kernels need.
    pub fn answer(&self) -> Result<Answer, Diagnostic> {
        let measure = published::measure(self.need.purpose);
        let fates = in_parallel(self.candidates.len(), |n| self.fate(&self.candidates[n], measure))?;
        let (mut running, mut fallen, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        for fate in fates {
            match fate {
                Fate::FilteredOut => {}
                Fate::Unread(diagnostic) => unread.push(diagnostic),
                Fate::Runs(model) => running.push(model),
                Fate::Falls(model, why) => fallen.push((model, why)),
            }
        }
        let considered = running.len() + fallen.len();
        running.sort_by(|a, b| {
            let rank = a.trust().cmp(&b.trust()).then_with(|| a.model.order(&b.model));
            rank.then_with(|| b.pace().total_cmp(&a.pace())).then_with(|| a.model.id.cmp(&b.model.id))
        });
        fallen.sort_by(|(a, _), (b, _)| a.order(b).then_with(|| a.id.cmp(&b.id)));
        let above = self.above(&running, &fallen)?;
        let front = front(&running);
        Ok(Answer { running, fallen, front, above, measure, considered, unread })
    }

    /// The next better models than the best that runs, the nearest first.
    fn above(&self, running: &[Running], fallen: &[(Described, Fallen)]) -> Result<Vec<Advised>, Diagnostic> {
        let value = |model: &Described| model.score.map(|score| score.value);
        let best = running.first().filter(|r| r.trust() == Trust::Published).and_then(|r| value(&r.model));
        let better = |model: &Described| value(model).is_some_and(|own| best.is_none_or(|best| own > best));
        let mut above: Vec<&(Described, Fallen)> = fallen.iter().filter(|(model, _)| better(model)).collect();
        above.reverse();
        above.truncate(EXPLAINED);
        in_parallel(above.len(), |n| {
            let (model, why) = above[n];
            let candidate = self.candidates.iter().find(|candidate| candidate.id == model.id);
            let suggestions = candidate.map_or(Ok(Vec::new()), |c| self.suggestions(c, why))?;
            Ok(Advised { model: model.clone(), why: why.clone(), suggestions })
        })
    }

    /// Reads a candidate and runs it every way.
    fn fate(&self, candidate: &Candidate, measure: Option<&Measure>) -> Result<Fate, Diagnostic> {
        let facts = published::facts(&candidate.id).cloned().unwrap_or_default();
        if !self.need.takes_facts(&facts) {
            return Ok(Fate::FilteredOut);
        }
        let model = match model::find_in(self.catalog, &candidate.id, Scope::Full) {
            Ok(model) => model,
            Err(diagnostic) => return Ok(Fate::Unread(diagnostic)),
        };
        if !self.need.takes(&model, &candidate.id, &facts) {
            return Ok(Fate::FilteredOut);
        }
        let counted = match model.parameters() {
            Ok(counted) => counted,
            Err(diagnostic) => return Ok(Fate::Unread(diagnostic)),
        };
        let described = Described {
            id: candidate.id.clone(),
            parameters: counted.total,
            active: counted.active,
            max_context: model.max_context,
            score: measure.and_then(|measure| published::score(&candidate.id, measure)),
            facts,
        };
        Ok(match self.runs(candidate, &model)? {
            Ok(ways) => Fate::Runs(Running { model: described, ways }),
            Err(why) => Fate::Falls(described, why),
        })
    }
}

/// Places of the models with a score that no other beats in both score and speed; `running` is sorted by score, then
/// speed.
fn front(running: &[Running]) -> Vec<usize> {
    let mut fastest = TokensPerSecond::ZERO;
    let scored = running.iter().enumerate().filter(|(_, r)| r.trust() == Trust::Published);
    scored
        .filter(|(_, r)| {
            let faster = r.pace() > fastest;
            fastest = fastest.max(r.pace());
            faster
        })
        .map(|(place, _)| place)
        .collect()
}
