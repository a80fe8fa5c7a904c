//! The workers of split pools, and the region of pairs that is looked at.

use crate::estimate::context::Context;
use crate::estimate::pairing::Worker;
use crate::plan::{BatchPoint, Layout, Parallelism, PrefillPool, Reason};

use super::Question;

/// Stands for a prefill pool that is not known.
pub(super) const NO_POOL: PrefillPool = PrefillPool { pool: 0, parallelism: Parallelism::SINGLE, workers: 1 };

/// The layouts of one pool, engine and precision as workers, or why they are none.
pub(super) struct Workers<'c> {
    pub(super) context: &'c Context<'c>,
    pub(super) layouts: Vec<Layout>,
    /// How many of the layouts, the first ones, compute prompts too: those whose ranks do not divide contexts,
    /// of which nothing but a cache that other workers read is left over.
    pub(super) prompting: usize,
    /// `None` where the search was stopped before.
    pub(super) workers: Vec<Option<Result<Box<Worker<'c>>, Reason>>>,
}

impl<'c> Workers<'c> {
    /// The worker with this number, if its layout fits.
    pub(super) fn at(&self, i: usize) -> Option<&Worker<'c>> {
        self.workers.get(i)?.as_ref()?.as_deref().ok()
    }

    /// The numbers of those that fit.
    pub(super) fn fit(&self) -> impl Iterator<Item = usize> {
        (0..self.workers.len()).filter(|i| self.at(*i).is_some())
    }

    /// The numbers of those that fit and compute prompts.
    pub(super) fn fit_for_prompts(&self) -> impl Iterator<Item = usize> {
        self.fit().take_while(|i| *i < self.prompting)
    }
}

/// Pairs of one prefill pool, decode pool, engine and precision.
pub(super) struct Region<'r, 'c> {
    pub(super) question: &'r Question<'r>,
    pub(super) prefill: &'r Workers<'c>,
    pub(super) decode: &'r Workers<'c>,
    /// Prefill workers that are looked at, by index.
    pub(super) active: Vec<usize>,
    /// Numbers of decode workers.
    pub(super) counts: Vec<u32>,
    pub(super) batches: &'r [BatchPoint],
    pub(super) first: u64,
}
