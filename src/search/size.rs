//! How many GPUs a rate needs: the smallest or cheapest fleet of equal replicas, over kinds of GPU, and its
//! growth along a forecast.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::Provenance;
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::{Verified, missed_target};
use crate::estimate::range::Chances;
use crate::plan::ledger::furthest;
use crate::plan::{BatchPoint, Plan, Rejection};
use crate::rank::Objective;
use crate::units::{RequestsPerSecond, UsdPerHour};
use crate::workload::forecast::Month;
use crate::workload::{Load, Targets, Workload};

use super::question::Question;
use super::verification::{Depth, Verification};
use super::verify;

/// Hours of a month, for its cost: a twelfth of 8,760.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// Share of a fleet, one over this, by which fewer replicas are tried first where it holds.
const FEWER: u32 = 16;

/// How often the rates between which a replica's capacity lies are halved.
const HALVINGS: u32 = 10;

/// Most replicas of a fleet.
const MAX_REPLICAS: f64 = 1e9;

/// What GPUs are bought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// So many GPUs at a time, replicas over any of them.
    Gpus(u32),
    /// Whole clusters as described; a replica stands in one of them.
    Clusters,
}

/// What the fleet should have least of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Least {
    /// Dollars per hour; GPUs where a price is unknown.
    Cost,
    /// GPUs.
    Gpus,
}

/// What a fleet must do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Requests per second; where users are given, those that they come to on the fleet at hand.
    pub rate: RequestsPerSecond,
    /// Users of sessions, in place of a rate.
    pub users: Option<u64>,
    /// Capacity above the rate, as a share of it.
    pub headroom: f64,
    /// Replicas beyond those needed, to stand in for any that fail.
    pub spare: u32,
    /// What GPUs are bought in.
    pub unit: Unit,
    /// What to have least of.
    pub least: Least,
}

/// Equal replicas that serve a rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// One replica at its share of the rate.
    pub replica: Estimate,
    /// The most that one serves within the targets.
    pub capacity: RequestsPerSecond,
    /// The most users that one serves so, where it is users who ask.
    pub users: Option<f64>,
    /// Replicas, spare ones among them.
    pub replicas: u32,
    /// GPUs that they use.
    pub gpus: u64,
    /// GPUs that are bought for them.
    pub bought: u64,
    /// What those cost.
    pub price: Option<UsdPerHour>,
    /// The rate over what all replicas serve, or the users over those whom they do.
    pub utilisation: f64,
    /// Replicas that one bought cluster holds; `None` where GPUs are bought.
    per_cluster: Option<u32>,
}

/// The fleets of one kind of GPU, best first, or why there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizing {
    /// The cluster that was asked about: its GPUs, or one of those that are bought.
    pub cluster: Cluster,
    /// The best fleet of each layout.
    pub fleets: Vec<Fleet>,
    /// Where there are none, what came nearest.
    pub nearest: Option<Rejection>,
}

impl Sizing {
    /// The best fleet on measured kernels with the GPUs that it is of, where the best of all rests on none.
    pub fn calibrated_runner_up(all: &[Sizing], least: Least) -> Option<(&Sizing, &Fleet)> {
        let fleets = || all.iter().flat_map(|sizing| sizing.fleets.iter().map(move |fleet| (sizing, fleet)));
        let (_, best) = fleets().next()?;
        let provenance = |fleet: &Fleet| fleet.replica.service.provenance;
        let measured = fleets().filter(|(_, fleet)| provenance(fleet).is_calibrated());
        let next = measured.min_by(|(_, a), (_, b)| least.compare(a, b));
        next.filter(|_| provenance(best) == Provenance::Uncalibrated)
    }
}

/// A month of a growing fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Month.
    pub month: String,
    /// Its rate.
    pub rate: RequestsPerSecond,
    /// Replicas that it needs, spare ones among them.
    pub replicas: u32,
    /// GPUs that it needs.
    pub needed: u64,
    /// GPUs that are bought for it.
    pub bought: u64,
    /// GPUs that there are then.
    pub owned: u64,
    /// The rate over what the GPUs that there are serve.
    pub utilisation: f64,
    /// What the GPUs that there are cost in the month.
    pub cost: Option<f64>,
}

impl Demand {
    /// Checks every figure.
    ///
    /// # Errors
    /// [`Code::Range`] naming it.
    pub fn validate(&self) -> Result<(), Diagnostic> {
        let wrong = |cause: &str| Err(Diagnostic::new(Code::Range, cause));
        match () {
            () if !(self.rate.get() > 0.0 && self.rate.get() <= 1e9) => {
                wrong("rate must lie in (0, 1e9] req/s")
            }
            () if !(0.0..=100.0).contains(&self.headroom) => {
                wrong("headroom must lie between 0 and 100 times the rate")
            }
            () if self.unit == Unit::Gpus(0) => wrong("GPUs are bought at least one at a time"),
            () => Ok(()),
        }
    }

    /// What one of so many replicas has of it, with the headroom or without.
    fn share(&self, replicas: u32, headroom: f64) -> Load {
        match self.users {
            Some(n) => {
                Load::Users((n as f64 * (1.0 + headroom) / f64::from(replicas)).ceil().max(1.0) as u64)
            }
            None => Load::Rate(self.rate * ((1.0 + headroom) / f64::from(replicas))),
        }
    }

    /// Replicas of a capacity that serve a demand, both in requests per second or in users.
    fn replicas(&self, demand: f64, capacity: f64) -> Option<u32> {
        // A capacity that is met exactly does not need another replica.
        let needed = (demand * (1.0 + self.headroom) / capacity - 1e-9).ceil().max(1.0);
        (needed <= MAX_REPLICAS).then(|| (needed as u32).saturating_add(self.spare))
    }
}

impl Question<'_> {
    /// The fleets that serve a demand with this question's model, engines and targets on each of its pools.
    ///
    /// # Errors
    /// As [`Question::answer`]; a demand out of range; [`Code::Stopped`] when the time was up before all was looked at.
    pub fn size(&self, demand: &Demand) -> Result<Vec<Sizing>, Diagnostic> {
        demand.validate()?;
        let mut all = Vec::with_capacity(self.pools.len());
        for pool in self.pools {
            let workload = Workload { load: Load::Saturate, ..self.workload };
            let pools = std::slice::from_ref(pool);
            let objective = Objective::Throughput;
            let alone = Question {
                pools,
                workload,
                objective,
                top: usize::MAX,
                current: None,
                verification: Verification::NONE,
                ..self.clone()
            };
            let answer = alone.answer()?;
            self.stop.check()?;
            let fleet = |best| self.stop.check().and_then(|()| alone.fleet(best, demand));
            let found: Vec<Option<Fleet>> = answer.best.par_iter().map(fleet).collect::<Result<_, _>>()?;
            let mut fleets: Vec<Fleet> = found.into_iter().flatten().collect();
            alone.hold(&mut fleets, (self.top, self.verification), demand)?;
            all.push(Sizing { cluster: pool.clone(), fleets, nearest: furthest(answer.rejected) });
        }
        all.sort_by(|a, b| match (a.fleets.first(), b.fleets.first()) {
            (Some(a), Some(b)) => demand.least.compare(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        Ok(all)
    }

    /// Sorts fleets, and sees to it that the first `top` hold the targets as simulated, as far as that takes no more steps than
    /// a question may.
    fn hold(
        &self,
        fleets: &mut Vec<Fleet>,
        (top, verification): (usize, Verification),
        demand: &Demand,
    ) -> Result<(), Diagnostic> {
        let mut left = verify::MOST_STEPS;
        loop {
            fleets.sort_by(|a, b| demand.least.compare(a, b));
            let unsure = fleets.iter().take(top).position(|fleet| fleet.replica.verified.is_none());
            let Some(place) = unsure.filter(|_| verification.depth != Depth::Nothing) else { return Ok(()) };
            let Some(held) = self.holding(&fleets[place], demand, &mut left)? else { return Ok(()) };
            fleets.remove(place);
            fleets.extend(held);
        }
    }

    /// The fleet of a layout with the fewest replicas, from those of the closed form on, that hold the targets as
    /// simulated at the rate and the headroom; none in it where not even twice as many do. `None` where that takes more steps
    /// than are `left`.
    fn holding(
        &self,
        fleet: &Fleet,
        demand: &Demand,
        left: &mut u64,
    ) -> Result<Option<Option<Fleet>>, Diagnostic> {
        let mut at = |n: u32, headroom: f64| -> Result<Option<Option<Verified>>, Diagnostic> {
            self.at_share(&fleet.replica, demand.share(n, headroom), |deployment, plan| {
                let Ok(replica) = deployment.figures(plan) else { return Ok(Some(None)) };
                let launched = deployment.of_plan(&plan);
                let of = (&*launched, n);
                let steps = verify::steps_under_load(of, replica.batch, self.stop);
                let Some(rest) = left.checked_sub(steps) else { return Ok(None) };
                *left = rest;
                verify::under_load(of, replica.batch, &self.targets, self.stop).map(Some)
            })?
        };
        let fewest = fleet.replicas.saturating_sub(demand.spare).max(1);
        // More and more at a time until some hold, then by bisection the fewest.
        let (mut misses, mut n) = (fewest.saturating_sub(1), fewest);
        let mut held = loop {
            match at(n, demand.headroom)? {
                None => return Ok(None),
                Some(Some(verified)) => break (n, verified),
                Some(None) if n >= fewest.saturating_mul(2) => return Ok(Some(None)),
                Some(None) => (misses, n) = (n, n.saturating_add((n - misses).saturating_mul(2).min(n))),
            }
        };
        // The simulation may hold with fewer, too: requests that take turns come less at random than those of one replica.
        let mut fewer = (fewest / FEWER).max(1);
        if held.0 <= fewest {
            misses = 0;
            while held.0 > fewer {
                let n = held.0 - fewer;
                let Some(Some(verified)) = at(n, demand.headroom)? else {
                    misses = n;
                    break;
                };
                held = (n, verified);
                fewer = fewer.saturating_mul(2);
            }
        }
        while held.0 - misses > 1 {
            let middle = misses.midpoint(held.0);
            match at(middle, demand.headroom)? {
                None => break,
                Some(Some(verified)) => held = (middle, verified),
                Some(None) => misses = middle,
            }
        }
        let (needed, verified) = held;
        // What was simulated is what one serves, where that is not what the closed form says.
        let share = (1.0 + demand.headroom) / f64::from(needed);
        let most = match (needed != fewest, demand.users) {
            (true, None) => (demand.rate * share, None),
            // Of users more replicas have fewer each: as much of the capacity.
            (true, Some(users)) => {
                (fleet.capacity * (f64::from(fewest) / f64::from(needed)), Some(users as f64 * share))
            }
            (false, _) => (fleet.capacity, fleet.users),
        };
        let replicas = needed.saturating_add(demand.spare);
        // What is said of the fleet is of the rate alone: the headroom is for what comes beside it.
        let verified = match demand.headroom > 0.0 || demand.spare > 0 {
            true => at(replicas, 0.0)?.flatten().unwrap_or(verified),
            false => verified,
        };
        let fleet = self.of(&fleet.replica, most, replicas, demand)?;
        Ok(Some(fleet.map(|fleet| {
            let holds = Chances::of(fleet.replica.class, verified.times(), &self.targets);
            let load = demand.share(replicas, 0.0);
            let replica = fleet.replica.as_simulated(&verified, &Workload { load, ..self.workload });
            Fleet { replica: Estimate { holds, ..replica }, ..fleet }
        })))
    }

    /// The fleet of a layout whose best batch is known; `None` when it would have absurdly many replicas.
    fn fleet(&self, best: &Estimate, demand: &Demand) -> Result<Option<Fleet>, Diagnostic> {
        let targets = self.targets;
        let (capacity, users) = self.with_layout(best, |deployment| capacity(deployment, best, &targets))?;
        let (most, needed) = match demand.users {
            Some(n) => {
                let users = users.max(1e-9);
                ((capacity, Some(users)), demand.replicas(n as f64, users))
            }
            None => {
                let capacity = self.capacity_under_rates(best, capacity)?;
                ((capacity, None), demand.replicas(demand.rate.get(), capacity.get()))
            }
        };
        let Some(replicas) = needed else { return Ok(None) };
        self.of(best, most, replicas, demand)
    }

    /// The most that one replica serves within the targets where requests come by themselves. Who follows an answer, as in the
    /// closed loop that serves `closed`, comes with others and waits for them: limits on times hold at higher rates here.
    fn capacity_under_rates(
        &self,
        best: &Estimate,
        closed: RequestsPerSecond,
    ) -> Result<RequestsPerSecond, Diagnostic> {
        let targets = &self.targets;
        if best.prefill.is_some() || !targets.limit_times() {
            return Ok(closed);
        }
        self.at_share(best, Load::Rate(closed), |deployment, _| {
            if !deployment.takes_single_requests() {
                return closed;
            }
            let replica = deployment.replica();
            let mut rates = replica.ladder();
            let mut holds = |rate: f64| {
                // Of all that come in a Poisson process.
                let open = rates.under(RequestsPerSecond::new(rate), 1.0);
                open.is_ok_and(|open| {
                    let class = deployment.class(&open.service, open.in_flight);
                    missed_target(targets, &open.service, class).is_none()
                })
            };
            let most = replica.at(deployment.max_batch().max(1) as f64).requests.get();
            let (mut low, mut high) =
                if holds(closed.get()) { (closed.get(), most) } else { (0.0, closed.get()) };
            for _ in 0..HALVINGS {
                let middle = f64::midpoint(low, high);
                if holds(middle) { low = middle } else { high = middle }
            }
            // Where none holds the simulation says so.
            if low > 0.0 { RequestsPerSecond::new(low) } else { closed }
        })
    }

    /// Looks at one replica of a layout at its share of a rate.
    fn at_share<T>(
        &self,
        of: &Estimate,
        share: Load,
        look: impl FnOnce(&Deployment, Plan) -> T,
    ) -> Result<T, Diagnostic> {
        let workload = Workload { load: share, ..self.workload };
        let plan = Plan { replicas: 1, batch: BatchPoint::FromLoad, ..of.plan };
        Question { workload, ..self.clone() }.with_layout(of, |deployment| look(deployment, plan))
    }

    /// So many replicas of a layout.
    fn of(
        &self,
        best: &Estimate,
        (capacity, users): (RequestsPerSecond, Option<f64>),
        replicas: u32,
        demand: &Demand,
    ) -> Result<Option<Fleet>, Diagnostic> {
        let share = demand.share(replicas, 0.0);
        let look = |d: &Deployment, plan| (d.figures(plan), d.placement.max_replicas);
        let (figures, per_cluster) = self.at_share(best, share, look)?;
        let Ok(replica) = figures.map(|figures| figures.judged(&self.targets)) else { return Ok(None) };
        let per_cluster = (demand.unit == Unit::Clusters).then_some(per_cluster);
        // A closed loop never asks for more than it is given: what of a fleet is free is seen in its users.
        let of_one = match (demand.users, users) {
            (Some(n), Some(most)) => n as f64 / most,
            _ => demand.rate.get() / capacity.get(),
        };
        let pool = &self.pools[0];
        let gpus = best.parallelism.gpus() * u64::from(replicas);
        let bought = bought(demand.unit, pool, best.parallelism.gpus(), per_cluster, replicas);
        Ok(Some(Fleet {
            replica,
            capacity,
            users,
            replicas,
            gpus,
            bought,
            price: pool.price.map(|p| p * bought as f64),
            utilisation: of_one / f64::from(replicas),
            per_cluster,
        }))
    }
}

/// GPUs that are bought for so many replicas.
fn bought(unit: Unit, pool: &Cluster, each: u64, per_cluster: Option<u32>, replicas: u32) -> u64 {
    match (unit, per_cluster) {
        (Unit::Gpus(n), _) => (each * u64::from(replicas)).next_multiple_of(u64::from(n.max(1))),
        (Unit::Clusters, held) => {
            u64::from(replicas.div_ceil(held.unwrap_or(1).max(1))) * u64::from(pool.gpus)
        }
    }
}

/// The most that one replica serves within the targets, in requests per second and in users. The batches that were looked at are a ladder; the
/// steps between its best and the next are tried by bisection.
fn capacity(deployment: &Deployment, best: &Estimate, targets: &Targets) -> (RequestsPerSecond, f64) {
    let served = |n: u64| {
        let plan = Plan { replicas: 1, batch: BatchPoint::Sequences(n), ..best.plan };
        let (service, reuse, class) = deployment.service(plan).ok()?;
        let users = reuse.map_or(0.0, |reuse| reuse.users);
        missed_target(targets, &service, class).is_none().then_some((service.requests, users))
    };
    let (mut low, mut most) = (best.batch as u64, best.service.requests);
    let mut users = best.reuse.map_or(0.0, |reuse| reuse.users);
    let mut high = (low + low / 4 + 2).min(deployment.max_batch().saturating_add(1));
    while high > low + 1 {
        let middle = low.midpoint(high);
        match served(middle) {
            Some((requests, there)) => (low, most, users) = (middle, most.max(requests), users.max(there)),
            None => high = middle,
        }
    }
    (most, users)
}

impl Least {
    /// The better fleet first: those that fit before marginal ones, then what there should be least of, of which layouts
    /// that no server is launched as count for more ([`Practice::handicap`](crate::plan::Practice::handicap)), then fewer GPUs, then more capacity, then the plan's number. A total order.
    pub fn compare(self, a: &Fleet, b: &Fleet) -> Ordering {
        let cost = |f: &Fleet| f.price.map_or(f64::INFINITY, UsdPerHour::get);
        let handicap = |f: &Fleet| f.replica.practice.handicap();
        let least = match self {
            Least::Cost => (cost(a) * handicap(a)).total_cmp(&(cost(b) * handicap(b))),
            Least::Gpus => {
                let counted = |f: &Fleet| f.bought as f64 * handicap(f);
                counted(a).total_cmp(&counted(b))
            }
        };
        let served = |f: &Fleet| f.capacity.get() * f64::from(f.replicas);
        (a.replica.verdict.cmp(&b.replica.verdict))
            .then(least)
            .then(a.replica.practice.cmp(&b.replica.practice))
            .then(a.bought.cmp(&b.bought))
            .then(cost(a).total_cmp(&cost(b)))
            .then(served(b).total_cmp(&served(a)))
            .then(a.replica.plan.id.cmp(&b.replica.plan.id))
    }
}

/// A fleet of one layout month by month: GPUs are bought when they are first needed and kept.
pub fn growth(fleet: &Fleet, pool: &Cluster, demand: &Demand, months: &[Month]) -> Vec<Step> {
    let each = fleet.replica.parallelism.gpus();
    let (mut owned, mut steps) = (0, Vec::with_capacity(months.len()));
    for month in months {
        let replicas = demand.replicas(month.rate.get(), fleet.capacity.get()).unwrap_or(u32::MAX);
        let needed = bought(demand.unit, pool, each, fleet.per_cluster, replicas);
        let more = needed.saturating_sub(owned);
        owned += more;
        // Replicas that the GPUs in hand hold.
        let held = match fleet.per_cluster {
            Some(held) => owned / u64::from(pool.gpus.max(1)) * u64::from(held),
            None => owned / each,
        };
        steps.push(Step {
            month: month.month.clone(),
            rate: month.rate,
            replicas,
            needed: each * u64::from(replicas),
            bought: more,
            owned,
            utilisation: month.rate.get() / (fleet.capacity.get() * held as f64),
            cost: pool.price.map(|p| p.get() * owned as f64 * HOURS_PER_MONTH),
        });
    }
    steps
}
