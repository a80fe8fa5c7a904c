//! A whole run: days, dollars, checkpoints, and what failures leave of the time.

use crate::units::{Bytes, BytesPerSecond, Seconds, Usd, UsdPerHour};

use super::job::{Job, TrainingEstimate};
use super::plan::Tuning;

/// What is known about the place where a run runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operations {
    /// Tokens of the run, if there is a budget.
    pub tokens: Option<f64>,
    /// Mean time between failures of one GPU and what belongs to it.
    pub failure: Seconds,
    /// From a failure to the first step after it.
    pub restart: Seconds,
    /// Writing checkpoints, of one node.
    pub storage: BytesPerSecond,
}

impl Operations {
    /// 419 unexpected interruptions in 54 days on 16,384 GPUs (arXiv:2407.21783 §3.3.4); ten minutes to start
    /// again and 2 GB/s to storage from each node, both typical.
    pub const USUAL: Operations = Operations {
        tokens: None,
        failure: Seconds::new(54.0 * 86_400.0 * 16_384.0 / 419.0),
        restart: Seconds::new(600.0),
        storage: BytesPerSecond::new(2e9),
    };
}

/// A run of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Bytes of one checkpoint: weights, master weights and optimizer states.
    pub checkpoint: Bytes,
    /// Writing it.
    pub write: Seconds,
    /// Between two, at the least loss: `√(2·write·M)` (Young 1974).
    pub interval: Seconds,
    /// Mean time between failures of the whole job.
    pub failure: Seconds,
    /// Share of the time that trains: `1 − write/interval − (interval/2 + restart)/M`.
    pub goodput: f64,
    /// Of the token budget, failures included.
    pub duration: Option<Seconds>,
    /// Of the token budget.
    pub cost: Option<Usd>,
}

impl Run {
    /// The run of a plan.
    pub fn of(job: &Job, e: &TrainingEstimate, operations: &Operations, price: Option<UsdPerHour>) -> Run {
        let checkpoint = checkpoint(job);
        let nodes = (e.gpus as f64 / f64::from(job.machine.cluster.gpus_per_node)).max(1.0);
        let write = Seconds::new(checkpoint.as_f64() / (operations.storage.get() * nodes));
        let failure = operations.failure / e.gpus as f64;
        let interval = Seconds::new((2.0 * write.get() * failure.get()).sqrt());
        let lost = write / interval + (interval / 2.0 + operations.restart) / failure;
        let goodput = (1.0 - lost).max(0.0);
        let duration = operations.tokens.filter(|_| goodput > 0.0).map(|tokens| {
            let steps = (tokens / e.tokens).ceil();
            e.time.total() * steps / goodput
        });
        let cost = duration
            .zip(price)
            .map(|(time, price)| Usd::new(price.get() * e.gpus as f64 * time.get() / 3600.0));
        Run { checkpoint, write, interval, failure, goodput, duration, cost }
    }
}

/// What a checkpoint holds: 16-bit weights, FP32 master weights and states of all that is trained.
fn checkpoint(job: &Job) -> Bytes {
    let count = job.model.parameters().unwrap_or_default();
    let trained = if job.tuning == Tuning::Full { count.total } else { job.model.lora_parameters() };
    Bytes::ceil(trained as f64 * (2.0 + 4.0 + job.optimizer.state_bytes()))
}
