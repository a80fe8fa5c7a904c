//! One model on the machine, every way.

use super::choice;
use super::form::Form;
use super::found::Fallen;
use super::need::{Candidate, Question};
use super::way::Way;
use crate::diagnostic::Diagnostic;
use crate::model::Model;
use crate::units::Bytes;

impl Question<'_> {
    /// The ways that a model runs, the one that is meant first, or why there is none.
    pub(super) fn runs(
        &self,
        candidate: &Candidate,
        model: &Model,
    ) -> Result<Result<Vec<Way>, Fallen>, Diagnostic> {
        if let Some(own) =
            model.max_context.filter(|own| self.need.context_is_stated && *own < self.need.context)
        {
            return Ok(Err(Fallen::ShortContext(own)));
        }
        let have = self.memory();
        let forms: Vec<Form> = self.forms(candidate, model);
        let mut smallest: Option<Bytes> = None;
        let mut attempts = Vec::new();
        for form in &forms {
            smallest = Some(smallest.map_or(form.bytes, |least| least.min(form.bytes)));
            if form.bytes <= have {
                self.attempts(form, &mut attempts)?;
            }
        }
        let too_large = smallest.filter(|_| attempts.is_empty());
        if let Some(need) = too_large.filter(|need| *need > have) {
            return Ok(Err(Fallen::TooLarge { need, have }));
        }
        let mut chosen = choice::of(attempts, self.need, self.every_way);
        for way in chosen.iter_mut().flatten() {
            self.measure_room(way, &forms)?;
        }
        // Of ways beside the first, those alone that keep what is promised of all: marginal ones may not.
        let promised = |way: &Way| {
            let own = forms.iter().find(|form| form.checkpoint == way.checkpoint);
            let most = own.and_then(|form| form.model.max_context).unwrap_or(u64::MAX);
            way.room >= self.need.context.min(most)
        };
        Ok(chosen.map(|ways| {
            let mut ways = ways.into_iter();
            ways.next().into_iter().chain(ways.filter(promised)).collect()
        }))
    }

    /// Memory of the machine: its GPUs and, where an engine uses it, its host.
    fn memory(&self) -> Bytes {
        let gpus = self.cluster.memory();
        let used = self.cluster.has_own_memory() && self.engines.iter().any(|engine| engine.host.is_some());
        let host = self.cluster.host.filter(|_| used).map_or(Bytes::ZERO, |host| host.memory);
        gpus + host * u64::from(self.cluster.nodes)
    }
}
