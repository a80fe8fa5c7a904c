//! The pairs of one decode layout: every number of its workers and batch with every prefill worker that is
//! looked at.
//!
//! What no prefill worker changes, the decode step and the rate, is found once per number and batch. Then a
//! pair is a product and a comparison, unless it may be an answer: of pairs that deliver the same in the same
//! time per token only those with the fewest GPUs can be.

use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::estimate::pairing::{Pair, Worker};
use crate::estimate::range::tightened;
use crate::estimate::split::{SplitService, Transfer};
use crate::plan::placement::Room;
use crate::plan::reason::Metric;
use crate::plan::{BatchPoint, Plan, PrefillPool, Reason};
use crate::rank::Measure;
use crate::units::{RequestsPerSecond, Seconds};
use crate::workload::Load;

use super::region::{NO_POOL, Region};
use super::visit::Summary;
use super::{Question, Variant};

/// One batch of a decode worker.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    pub(super) sequences: f64,
    pub(super) point: usize,
}

/// Decode workers at work: what no prefill worker changes.
#[derive(Clone, Copy)]
struct Filled {
    sequences: f64,
    /// Of all of them.
    rate: RequestsPerSecond,
}

/// What one decode layout came to under one variant.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) best: Option<Figures>,
    /// By batch: plans of one decode layout and batch share their time per token.
    pub(super) fronts: Vec<Vec<Figures>>,
    pub(super) feasible: u64,
}

/// A prefill worker beside the decode workers.
struct Rival<'w, 'c> {
    number: usize,
    worker: &'w Worker<'c>,
    transfer: Transfer,
    gpus: u64,
    /// Workers that have room beside the decode workers at hand.
    room: u32,
}

/// Where a pair stands among those of a decode layout, in the order of its plans: numbers of the prefill
/// layout, of the count of decode workers and of the batch.
type Place = (usize, usize, usize);

/// Pairs that fell for one reason, and the one that came nearest: one entry of the ledger for all of them.
#[derive(Default)]
struct Tally {
    count: u64,
    nearest: Option<(f64, Place, Reason)>,
}

impl Tally {
    fn add(&mut self, plans: u64, reason: Reason, place: Place) {
        self.count += plans;
        let distance = reason.distance();
        let nearer =
            |(known, at, _): (f64, Place, Reason)| distance < known || distance == known && place < at;
        if self.nearest.is_none_or(nearer) {
            self.nearest = Some((distance, place, reason));
        }
    }
}

/// Pairs that have no room, and those that need more prefill workers than there is room for.
#[derive(Default)]
struct Misfits {
    no_place: Tally,
    too_many: Tally,
}

/// The pairs of one decode layout under one variant.
pub(super) struct Pairs<'p, 'r, 'c> {
    pub(super) region: &'p Region<'r, 'c>,
    /// Number of the decode layout.
    pub(super) number: usize,
    pub(super) worker: &'p Worker<'c>,
    /// Pools of prefill and decode workers.
    pub(super) pools: (usize, usize),
    pub(super) variant: &'p Variant,
    pub(super) sum: &'p mut Summary,
    pub(super) kept: Kept,
}

impl<'p, 'c> Pairs<'p, '_, 'c> {
    /// Looks at all of them.
    pub(super) fn look(mut self) -> Kept {
        self.kept.fronts.resize_with(self.region.batches.len(), Vec::new);
        let batches = self.batches();
        let mut rivals = self.rivals();
        let mut misfits = Misfits::default();
        for (c, y) in self.region.counts.iter().enumerate() {
            // The pairs of one layout may take seconds.
            if self.region.question.stop.now() {
                let left = (self.region.counts.len() - c) * batches.len();
                self.sum.counts.unseen += (left as u64).saturating_mul(rivals.len() as u64);
                break;
            }
            let placed = self.find_room((c, *y), &mut rivals, batches.len() as u64, &mut misfits.no_place);
            for batch in batches.iter().filter(|_| placed > 0) {
                match self.fill(*y, *batch) {
                    Ok(filled) => {
                        self.compare((c, *y), (batch.point, filled), &rivals, &mut misfits.too_many)
                    }
                    Err(reason) => self.sum.reject(reason, placed, self.plan(self.first(), (c, batch.point))),
                }
            }
        }
        for tally in [misfits.no_place, misfits.too_many] {
            if let Some((_, (prefill, count, point), reason)) = tally.nearest {
                self.sum.reject(reason, tally.count, self.plan(prefill, (count, point)));
            }
        }
        self.kept
    }

    /// The plan with a prefill layout, a number of decode workers and a batch, by their numbers.
    fn plan(&self, prefill: usize, (count, point): (usize, usize)) -> Plan {
        self.region.plan(self.pools, (prefill, self.number), (count, point), 1)
    }

    /// The first prefill layout that is looked at.
    fn first(&self) -> usize {
        self.region.active.first().copied().unwrap_or(0)
    }

    /// The prefill workers that are looked at: those first that take the least of a GPU for each prompt, which
    /// tend to be the answer.
    fn rivals(&self) -> Vec<Rival<'p, 'c>> {
        let region = self.region;
        let rival = |p: &usize| {
            let worker = region.prefill.at(*p)?;
            Some(Rival {
                number: *p,
                worker,
                transfer: worker.transfer_to(self.worker),
                gpus: worker.gpus(),
                room: 0,
            })
        };
        let mut rivals: Vec<Rival> = region.active.iter().filter_map(rival).collect();
        let taken = |r: &Rival| r.worker.prefill.interval * r.gpus as f64;
        rivals.sort_by(|a, b| taken(a).total_cmp(&taken(b)).then(a.number.cmp(&b.number)));
        rivals
    }

    /// Finds the room of each beside `y` decode workers and counts those that have some; the others fall with
    /// all their batches.
    fn find_room(
        &self,
        (c, y): (usize, u32),
        rivals: &mut [Rival],
        batches: u64,
        no_place: &mut Tally,
    ) -> u64 {
        let decode = self.worker;
        let shared = self.pools.0 == self.pools.1;
        let beside = Room::beside(decode.parallelism, y, decode.context.cluster);
        let stands = y <= decode.placement.max_replicas;
        let mut placed = 0;
        for rival in rivals {
            rival.room = match (shared, beside) {
                (true, Some(room)) => room.holds(rival.worker.parallelism).unwrap_or(0),
                (false, _) if stands => rival.worker.placement.max_replicas,
                _ => 0,
            };
            if rival.room == 0 {
                let gpus = rival.gpus + decode.gpus() * u64::from(y);
                no_place.add(
                    batches,
                    Reason::NoPlace { gpus, of: decode.context.cluster.gpus.into() },
                    (rival.number, c, 0),
                );
            }
            placed += u64::from(rival.room > 0);
        }
        placed
    }

    /// The batches that the decode worker holds; the others are counted as fallen.
    fn batches(&mut self) -> Vec<Batch> {
        let worker = self.worker;
        let plans = (self.region.counts.len() * self.region.active.len()) as u64;
        let mut batches = Vec::with_capacity(self.region.batches.len());
        for (point, batch) in self.region.batches.iter().enumerate() {
            let reason = match *batch {
                BatchPoint::Sequences(n) => match worker.refuses(n) {
                    Some(reason) => reason,
                    None => {
                        batches.push(Batch { sequences: n as f64, point });
                        continue;
                    }
                },
                BatchPoint::Largest | BatchPoint::FromLoad => {
                    batches.push(Batch { sequences: worker.decode.most, point });
                    continue;
                }
            };
            self.sum.reject(reason, plans, self.plan(self.first(), (0, point)));
        }
        batches
    }

    /// `y` decode workers at a batch, if they keep up and are fast enough. At a given concurrency the prefill
    /// side decides how full they are.
    fn fill(&self, y: u32, batch: Batch) -> Result<Filled, Reason> {
        let decode = &self.worker.decode;
        let question = self.region.question;
        let sequences = question.sequences(self.worker, y, batch)?;
        let rate = decode.rate(sequences) * f64::from(y);
        if let (Some(want), true) = (self.variant.targets.tpot, question.decode_side_decides()) {
            let got = decode.tpot(sequences);
            if got > want {
                return Err(Reason::TargetMissed { metric: Metric::Tpot, want, got });
            }
        }
        Ok(Filled { sequences, rate })
    }

    /// One number of decode workers and batch with every prefill worker.
    fn compare(
        &mut self,
        (c, y): (usize, u32),
        (point, filled): (usize, Filled),
        rivals: &[Rival<'p, 'c>],
        too_many: &mut Tally,
    ) {
        let decode_gpus = self.worker.gpus() * u64::from(y);
        let proven = self.region.question.fewest_gpus_win(self.variant);
        // GPUs of the best pair so far, where others with more cannot be an answer.
        let mut fewest = u64::MAX;
        for rival in rivals.iter().filter(|r| r.room > 0) {
            let needed = rival.worker.prefill.workers_for(filled.rate);
            if needed > rival.room {
                let reason = Reason::TooManyReplicas { replicas: needed, most: rival.room };
                too_many.add(1, reason, (rival.number, c, point));
                continue;
            }
            if rival.gpus * u64::from(needed) + decode_gpus > fewest {
                self.sum.counts.dominated += 1;
                continue;
            }
            let plan = self.plan(rival.number, (c, point));
            match self.matched((rival, needed), y, filled, plan) {
                Err(reason) => self.sum.reject(reason, 1, plan),
                Ok(figures) => {
                    let best_of_worker = figures.verdict == self.worker.memory.verdict()
                        && figures.practice == self.worker.practice();
                    if proven && best_of_worker {
                        fewest = fewest.min(figures.gpus);
                    }
                    self.kept.take(figures, point, self.variant, self.region.question);
                }
            }
        }
    }

    /// The plan with the fewest prefill workers, `fewest` at least, that meet the targets.
    fn matched(
        &self,
        (rival, fewest): (&Rival<'p, 'c>, u32),
        y: u32,
        filled: Filled,
        plan: Plan,
    ) -> Result<Figures, Reason> {
        let at = |x: u32| {
            let pair = Pair {
                prefill: rival.worker,
                prefill_workers: x,
                decode: self.worker,
                decode_workers: y,
                transfer: rival.transfer,
            };
            (pair, self.region.question.service(&pair, filled.sequences))
        };
        let (mut chosen, mut service) = at(fewest);
        let t = tightened(chosen.class(), &self.variant.targets);
        let late = |s: &SplitService| {
            t.ttft.is_some_and(|limit| s.ttft > limit) || t.e2e.is_some_and(|limit| s.e2e > limit)
        };
        let room = rival.room;
        if late(&service) && service.tpot <= t.tpot.unwrap_or(Seconds::new(f64::INFINITY)) && fewest < room {
            (chosen, service) = at(room);
            let (mut low, mut high) = (fewest, room);
            while !late(&service) && high - low > 1 {
                let middle = low.midpoint(high);
                let tried = at(middle);
                if late(&tried.1) { low = middle } else { (high, (chosen, service)) = (middle, tried) }
            }
        }
        let pool = PrefillPool { workers: chosen.prefill_workers, ..plan.prefill.unwrap_or(NO_POOL) };
        let figures = chosen.figures(Plan { prefill: Some(pool), ..plan }, &service);
        figures.missed(&self.variant.targets).map_or(Ok(figures), Err)
    }
}

impl Question<'_> {
    /// Whether a pair's time per token and output depend on the decode side alone.
    fn decode_side_decides(&self) -> bool {
        !matches!(self.workload.load, Load::Concurrency(_) | Load::Users(_))
    }

    /// Whether of two pairs with the same output and time per token the one with fewer GPUs is ranked first and
    /// the other is not part of the front: unless what is drawn or the time to the first token counts.
    fn fewest_gpus_win(&self, variant: &Variant) -> bool {
        let looks = |m: Measure| variant.objective.looks_at(m) || self.front.measures().contains(&m);
        let timed = looks(Measure::Ttft) || looks(Measure::Latency);
        let drawn = looks(Measure::Energy) || (self.electricity.is_some() && looks(Measure::Cost));
        self.decode_side_decides() && !self.exhaustive && !timed && !drawn
    }

    /// Sequences in each of `y` decode workers, before the prefill side is known.
    pub(super) fn sequences(&self, worker: &Worker, y: u32, batch: Batch) -> Result<f64, Reason> {
        let workers = f64::from(y);
        let decode = &worker.decode;
        match self.workload.load {
            Load::Saturate => Ok(batch.sequences),
            Load::Concurrency(n) | Load::Users(n) => Ok((n as f64 / workers).min(decode.most)),
            Load::Rate(rate) => {
                let want = rate / workers;
                let got = decode.rate(decode.most);
                decode.sequences_at(want).ok_or(Reason::RateMissed { want, got })
            }
        }
    }

    pub(super) fn service(&self, pair: &Pair, sequences: f64) -> SplitService {
        match self.workload.load {
            Load::Concurrency(n) | Load::Users(n) => pair.split().at(n as f64),
            Load::Saturate | Load::Rate(_) => pair.split().at_sequences(sequences),
        }
    }
}

impl Kept {
    fn take(&mut self, figures: Figures, point: usize, variant: &Variant, question: &Question) {
        self.feasible += 1;
        let better = |best: &Figures| variant.objective.order(&figures, best).is_lt();
        if self.best.as_ref().is_none_or(better) {
            self.best = Some(figures);
        }
        question.front.insert(&mut self.fronts[point], figures);
    }
}

impl Summary {
    /// Takes in what a decode layout came to.
    pub(super) fn take_split(
        &mut self,
        kept: Kept,
        variant: &Variant,
        question: &Question,
        whole: impl Fn(&Figures) -> Option<Estimate>,
    ) {
        self.counts.feasible += kept.feasible;
        self.reach(kept.best.iter(), variant, question);
        self.best.extend(kept.best.iter().filter_map(&whole));
        self.join(kept.fronts.into_iter().flatten().collect(), variant, question, whole);
    }
}
