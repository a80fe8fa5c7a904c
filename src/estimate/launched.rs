//! Limits and memory of the launches of one split that is yet to be launched: of the one that takes the most sequences at
//! once, and of the one for so many.

use std::sync::Arc;

use crate::plan::Parallelism;
use crate::workload::Load;

use super::context::Context;
use super::memory::{Laid, Limits, MemoryQuestion, MemoryUse};
use super::sequences::{captured, place_of, size_at};

/// The launch that takes the most sequences.
#[derive(Clone, Debug)]
pub struct Widest {
    /// Its limits.
    pub limits: Limits,
    /// Memory of its fullest rank.
    pub memory: MemoryUse,
    /// What narrower ones have in common with it, where they are to be planned.
    pub(super) laid: Option<Arc<Laid>>,
}

impl Context<'_> {
    /// The limit for so many sequences of a rank.
    fn limit_for(&self, sequences: u64) -> u64 {
        if self.engine.divides_cache() { sequences.max(1) } else { captured(sequences) }
    }

    /// Most sequences of a rank that the load may ever send to a replica, where it says so.
    fn most_sent(&self, p: Parallelism) -> Option<u64> {
        match self.workload.load {
            Load::Concurrency(n) | Load::Users(n) => Some(n.div_ceil(u64::from(p.attention_dp)).max(1)),
            Load::Saturate | Load::Rate(_) => None,
        }
    }

    /// The launch under a split that takes the most sequences at once which find room; of one that is not to be planned,
    /// its own.
    pub fn widest(&self, p: Parallelism) -> Widest {
        let base = self.limits_of(p);
        let question = MemoryQuestion { limits: base, ..self.unfitted(p) };
        let Some(most) = base.planned else {
            return Widest { limits: base, memory: question.answer(), laid: None };
        };
        let laid = question.laid();
        let graphs = self.graphs_stated(p);
        let at = |sequences: u64| {
            let limits = base.stating(sequences, graphs);
            (limits, MemoryQuestion { limits, ..question }.answer_of(&laid))
        };
        let most = self.most_sent(p).map_or(most, |sent| self.limit_for(sent).min(most));
        let (limits, memory) = widest(most, self.engine.divides_cache(), at);
        Widest { limits, memory, laid: Some(Arc::new(laid)) }
    }

    /// Limits and memory of the launch for so many sequences of a rank, under a split whose widest launch is given; `None`
    /// where that is it.
    pub(super) fn narrowed(
        &self,
        p: Parallelism,
        (widest, laid): (&Limits, &Laid),
        sequences: u64,
    ) -> Option<(Limits, MemoryUse)> {
        let limit = self.limit_for(sequences);
        (limit < widest.max_sequences).then(|| {
            let mut base = *widest;
            base.start.captured = self.limits.start.captured;
            let limits = base.stating(limit, self.graphs_stated(p));
            (limits, self.question_with(p, limits).answer_of(laid))
        })
    }

    /// The largest batch of which a launch states graphs, where the engine has to be told: what is sent, and of what comes
    /// by itself no more than the engine captures unasked.
    fn graphs_stated(&self, p: Parallelism) -> Option<u64> {
        let unasked = || self.engine.launch_defaults(&self.cluster.gpu, p.tp).graph_batch.map(u64::from);
        match self.workload.load {
            _ if !self.engine.defaults.graphs_stated => None,
            Load::Rate(_) => unasked().or(Some(u64::MAX)),
            Load::Saturate | Load::Concurrency(_) | Load::Users(_) => Some(u64::MAX),
        }
    }
}

/// Limits and memory of the launch that takes the most sequences, of `most` at most, which find room, where those of so many
/// are known; of one where not even that does.
fn widest(most: u64, divides: bool, at: impl Fn(u64) -> (Limits, MemoryUse)) -> (Limits, MemoryUse) {
    let holds = |(limits, memory): &(Limits, MemoryUse)| {
        memory.largest_batch() >= limits.max_sequences && memory.rejection().is_none()
    };
    let widest = at(most);
    if most <= 1 || holds(&widest) {
        return widest;
    }
    // Between the largest size of which all find room and the next some between them may.
    let size = |place: u64| if divides { place + 1 } else { size_at(place) };
    let place = |sequences: u64| match divides {
        true => sequences - 1,
        false => place_of(captured(sequences + 1)).saturating_sub(1),
    };
    let (mut low, mut high) = (0, if divides { most - 1 } else { place_of(captured(most)) });
    let (mut best, mut next) = (at(size(low)), widest);
    if !holds(&best) {
        return best;
    }
    // As many as find room beside a wider launch find it beside their own, and no more than find room beside a narrower.
    let room = |memory: &MemoryUse| place(memory.largest_batch().clamp(1, most));
    let mut guess = room(&next.1);
    while high - low > 1 {
        let middle = if low < guess && guess < high { guess } else { low.midpoint(high) };
        let tried = at(size(middle).min(most));
        match holds(&tried) {
            true => (low, guess, best) = (middle, room(&tried.1) + 1, tried),
            false => (high, guess, next) = (middle, room(&tried.1), tried),
        }
    }
    let between = next.1.largest_batch();
    if between > best.0.max_sequences && next.1.rejection().is_none() {
        let tried = at(between.min(most));
        if holds(&tried) {
            return tried;
        }
    }
    best
}
