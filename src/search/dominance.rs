//! Which prefill workers need not be looked at.
//!
//! A prefill worker is left out when another is no worse in all that decides. With the same decode side, number
//! and batch throughput and TPOT are equal, unless the load is a concurrency, under which the prefill side
//! decides how many requests decode: then nothing is left out. `PrefillWorker::first` grows with the step of
//! a lone prompt and the interval and falls with the ranks, so that the other needs no more workers for the
//! rate and the target. It takes no more GPUs each and no more nodes, so that it fits wherever this one does
//! (`Room::holds`), and draws no more: GPUs, cost and energy are no higher.
//!
//! With fewer workers, though, a first token may wait longer. Where TTFT or the end-to-end time is an
//! objective or a measure of the front nothing is left out either. Elsewhere times decide between equals
//! alone: if both take the same GPUs they have as many workers, and then the other is no slower; it is
//! faster, or has fewer GPUs each, or the lower number, which decides last.

use crate::estimate::pairing::Worker;
use crate::plan::placement::nodes_of;

/// Whether every plan with prefill worker `w` is outranked by the same plan with `v`; see the module.
pub(super) fn dominates((v, j): (&Worker, usize), (w, i): (&Worker, usize)) -> bool {
    let per_node = u64::from(v.context.cluster.gpus_per_node);
    let nodes = |p: &Worker| if p.gpus() > per_node { nodes_of(p.parallelism, per_node) } else { 0 };
    let (a, b) = (&v.prefill, &w.prefill);
    // What one prompt draws over all GPUs of the worker.
    let drawn = |p: &Worker| p.prefill.drawn.get() * f64::from(p.parallelism.tp);
    v.gpus() <= w.gpus()
        && nodes(v) <= nodes(w)
        && v.placement.max_replicas >= w.placement.max_replicas
        && a.alone <= b.alone
        && a.interval <= b.interval
        && a.ranks >= b.ranks
        && drawn(v) <= drawn(w)
        && v.held <= w.held
        && v.memory.verdict() <= w.memory.verdict()
        && v.practice() <= w.practice()
        && (a.alone < b.alone || v.gpus() < w.gpus() || j < i)
}
