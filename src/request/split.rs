//! Split pools that are given: their fit on a cluster, their estimate.

use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic};
use crate::estimate::context::Context;
use crate::estimate::deployment::Deployment;
use crate::estimate::estimated::Estimate;
use crate::estimate::figures::Figures;
use crate::estimate::pairing::{Pair, Worker};
use crate::estimate::split::SplitService;
use crate::plan::placement::room_beside;
use crate::plan::{BatchPoint, Layout, Parallelism, Plan, PrefillPool, Reason};
use crate::workload::{Load, Targets};

/// The prefill and decode workers of one deployment.
#[derive(Clone, Copy, Debug)]
pub struct SplitWorkers {
    /// Split of a prefill worker, and how many there are.
    pub prefill: (Parallelism, u32),
    /// Split of a decode worker, and how many there are.
    pub decode: (Parallelism, u32),
}

impl SplitWorkers {
    /// GPUs of all workers.
    pub fn gpus(&self) -> u64 {
        let of = |(split, n): (Parallelism, u32)| split.gpus().saturating_mul(n.into());
        of(self.prefill).saturating_add(of(self.decode))
    }

    /// Whether all of them have room.
    pub fn fit(&self, cluster: &Cluster) -> Result<(), Diagnostic> {
        let room = room_beside(self.prefill.0, self.decode.0, self.decode.1, cluster);
        match room {
            Some(room) if room >= self.prefill.1 => Ok(()),
            _ => {
                let cause = "the workers do not fit on the cluster".to_owned();
                let beside = room.map_or("the decode workers alone do not".to_owned(), |n| {
                    format!("beside the decode workers there is room for {n} prefill workers")
                });
                Err(Diagnostic::new(Code::Usage, cause).at("--prefill, --decode").help(beside))
            }
        }
    }

    /// Compiles a worker of each kind. A layout that a rule forbids is an error.
    pub fn deployments<'a>(
        &self,
        context: &'a Context<'a>,
    ) -> Result<(Deployment<'a>, Deployment<'a>), Diagnostic> {
        if !context.engine.parallel.split_pools {
            let cause = format!("{} has no split pools", context.engine.id);
            return Err(Diagnostic::new(Code::Usage, cause).at("--prefill"));
        }
        let compile = |flag: &str, split: Parallelism| {
            let placement = context.check(split).map_err(|reason| {
                let place = format!("{flag} {split} with {}", context.engine.id);
                Diagnostic::new(Code::Usage, reason.message()).at(place)
            })?;
            Ok::<_, Diagnostic>(Deployment::compile(context, split, placement))
        };
        let both = (compile("--prefill", self.prefill.0)?, compile("--decode", self.decode.0)?);
        self.fit(context.cluster).map(|()| both)
    }

    /// The estimate, and every reason against it, missed targets among them.
    pub fn estimate(
        &self,
        (prefill, decode): (&Deployment, &Deployment),
        targets: &Targets,
    ) -> (Estimate, Vec<Reason>) {
        let (from, to) = (Worker::of(prefill), Worker::of(decode));
        let pair = self.pair(&from, &to);
        let load = to.context.workload.load;
        let (service, missed) = service(&pair, load);
        let pool = PrefillPool { pool: 0, parallelism: self.prefill.0, workers: self.prefill.1 };
        let layout = Layout { pool: 0, engine: 0, precision: 0, launch: 0, parallelism: self.decode.0 };
        let batch = if load == Load::Saturate { BatchPoint::Largest } else { BatchPoint::FromLoad };
        let plan = Plan { id: 0, layout, replicas: self.decode.1, batch, prefill: Some(pool) };
        let estimate = pair.estimate(plan, decode, &service).judged(targets);
        let short = [prefill.memory.rejection(), decode.memory.rejection(), missed];
        let mut reasons: Vec<Reason> = short.into_iter().flatten().collect();
        reasons.extend(Figures::from(&estimate).missed(targets));
        (estimate, reasons)
    }

    /// The workers side by side.
    pub fn pair<'w, 'c>(&self, prefill: &'w Worker<'c>, decode: &'w Worker<'c>) -> Pair<'w, 'c> {
        let transfer = prefill.transfer_to(decode);
        Pair { prefill, prefill_workers: self.prefill.1, decode, decode_workers: self.decode.1, transfer }
    }
}

/// Service under the load; saturated, with as many requests in flight as the decode workers hold.
fn service(pair: &Pair, load: Load) -> (SplitService, Option<Reason>) {
    let (split, workers) = (pair.split(), f64::from(pair.decode_workers));
    let all = pair.decode.decode.most * workers;
    match load {
        Load::Saturate => (split.at(all), None),
        Load::Concurrency(n) | Load::Users(n) => (split.at(n as f64), None),
        Load::Rate(rate) => {
            let want = rate / workers;
            let at = pair.decode.decode.sequences_at(want).map(|n| split.at_sequences(n));
            match at.filter(|s| s.ttft.get().is_finite()) {
                Some(service) => (service, None),
                None => {
                    let most = split.at(all);
                    (most, Some(Reason::RateMissed { want, got: most.rate / workers }))
                }
            }
        }
    }
}
