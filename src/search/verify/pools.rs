//! Split pools that are simulated.

use crate::estimate::deployment::Deployment;
use crate::estimate::pairing::{Pair, Worker};

/// A prefill and a decode worker, and how many there are of each.
#[derive(Debug)]
pub(super) struct Pools<'c> {
    pub(super) prefill: Deployment<'c>,
    pub(super) decode: Deployment<'c>,
    from: Worker<'c>,
    pub(super) to: Worker<'c>,
    workers: u32,
    pub(super) replicas: u32,
}

impl<'c> Pools<'c> {
    pub(super) fn new(
        (prefill, workers): (Deployment<'c>, u32),
        (decode, replicas): (Deployment<'c>, u32),
    ) -> Pools<'c> {
        let (from, to) = (Worker::of(&prefill), Worker::of(&decode));
        Pools { prefill, decode, from, to, workers, replicas }
    }

    pub(super) fn pair(&self) -> Pair<'_, 'c> {
        Pair {
            prefill: &self.from,
            prefill_workers: self.workers,
            decode: &self.to,
            decode_workers: self.replicas,
            transfer: self.from.transfer_to(&self.to),
        }
    }
}
