//! The ledger: how many plans fell at each stage, why, and which came nearest. Serving and training keep the same.

use super::Plan;
use super::why::{Key, Stage, Why};

/// How many plans there were, and where they fell. The other parts sum to `plans`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Plans in the space.
    pub plans: u64,
    /// Rejected by a legality rule.
    pub illegal: u64,
    /// Rejected by memory or the engine's batch limit.
    pub out_of_memory: u64,
    /// Missed a target or the load.
    pub target_missed: u64,
    /// Feasible.
    pub feasible: u64,
    /// Not looked at one by one: proven to be no better than plans that were.
    pub dominated: u64,
    /// Not looked at because the search was stopped.
    pub unseen: u64,
}

impl Counts {
    /// Counts plans that fell at a stage.
    pub fn reject(&mut self, stage: Stage, plans: u64) {
        let part = match stage {
            Stage::Illegal => &mut self.illegal,
            Stage::OutOfMemory => &mut self.out_of_memory,
            Stage::TargetMissed => &mut self.target_missed,
        };
        *part = part.saturating_add(plans);
    }

    /// Adds the counts of another part of the space.
    pub fn merge(&mut self, other: Counts) {
        self.plans += other.plans;
        self.illegal += other.illegal;
        self.out_of_memory += other.out_of_memory;
        self.target_missed += other.target_missed;
        self.feasible += other.feasible;
        self.dominated += other.dominated;
        self.unseen += other.unseen;
    }
}

/// A reason, the plan that came nearest and how many fell for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fallen<R, P> {
    /// The reason of the nearest miss.
    pub reason: R,
    /// Plans rejected for it.
    pub count: u64,
    /// The plan that came nearest.
    pub nearest: P,
}

/// A plan that a ledger keeps.
pub trait Numbered {
    /// Its number in the space, by which ties are broken; plans without one keep their order.
    fn number(&self) -> u64;
}

impl Numbered for Plan {
    fn number(&self) -> u64 {
        self.id
    }
}

/// Rejections by reason, each with its nearest miss.
#[derive(Clone, Debug)]
pub struct Ledger<R, P> {
    /// A few dozen at most, so that a list beats a map; those that come often stand in front.
    by_reason: Vec<(Key, Fallen<R, P>)>,
}

impl<R, P> Default for Ledger<R, P> {
    fn default() -> Self {
        Ledger { by_reason: Vec::new() }
    }
}

impl<R: Why, P: Numbered> Ledger<R, P> {
    /// Adds a rejection; the nearer miss stays, the lower plan number on a tie.
    pub fn add(&mut self, rejection: Fallen<R, P>) {
        let key = rejection.reason.key();
        let Some(place) = self.place(key) else {
            return self.by_reason.push((key, rejection));
        };
        let kept = &mut self.by_reason[place].1;
        let count = kept.count.saturating_add(rejection.count);
        let order = |r: &Fallen<R, P>| (r.reason.distance(), r.nearest.number());
        let ((a, a_id), (b, b_id)) = (order(&rejection), order(kept));
        if a.total_cmp(&b).then(a_id.cmp(&b_id)).is_lt() {
            *kept = rejection;
        }
        kept.count = count;
        if place > 0 {
            self.by_reason.swap(place, place - 1);
        }
    }

    /// Where a reason stands. Most often its very words are known, and need not be read.
    fn place(&self, key: Key) -> Option<usize> {
        let same = |k: &Key| k.iter().zip(&key).all(|(a, b)| std::ptr::eq(*a, *b));
        let known = self.by_reason.iter().position(|(k, _)| same(k));
        known.or_else(|| self.by_reason.iter().position(|(k, _)| *k == key))
    }

    /// Adds another ledger.
    pub fn merge(&mut self, other: Ledger<R, P>) {
        other.by_reason.into_iter().for_each(|(_, r)| self.add(r));
    }

    /// The rejections, most frequent first.
    pub fn into_rejections(self) -> Vec<Fallen<R, P>> {
        let mut all = self.by_reason;
        all.sort_by(|a, b| b.1.count.cmp(&a.1.count).then(a.0.cmp(&b.0)));
        all.into_iter().map(|(_, r)| r).collect()
    }
}

/// The rejection of the plan that got furthest, and of those the one that came nearest.
pub fn furthest<R: Why, P>(rejected: Vec<Fallen<R, P>>) -> Option<Fallen<R, P>> {
    let nearness = |r: &Fallen<R, P>| -r.reason.distance();
    rejected
        .into_iter()
        .max_by(|a, b| a.reason.stage().cmp(&b.reason.stage()).then(nearness(a).total_cmp(&nearness(b))))
}
