//! Prefill and decode workers side by side: figures and estimates of plans with split pools.

use crate::catalog::residuals::{Class, Traffic};
use crate::plan::{Parallelism, Placement, Plan, Practice, Reason};
use crate::units::{Bytes, Seconds, TokensPerSecond, UsdPerHour, Watts};

use super::context::Context;
use super::deployment::{Deployment, too_large};
use super::estimated::{Estimate, PrefillFacts};
use super::figures::Figures;
use super::memory::{Limits, MemoryUse};
use super::power::Energy;
use super::range::Ranges;
use super::service::Service;
use super::split::{DecodeWorker, PrefillWorker, Split, SplitService, Transfer};

/// A legal layout that fits in memory, as a worker of either kind.
#[derive(Clone, Debug)]
pub struct Worker<'c> {
    /// Where it runs.
    pub context: &'c Context<'c>,
    /// Its split.
    pub parallelism: Parallelism,
    /// Where its ranks stand.
    pub placement: Placement,
    /// Launch limits.
    pub limits: Limits,
    /// Memory of its fullest rank.
    pub memory: MemoryUse,
    /// Cache of a prompt on the rank that holds most of it.
    pub held: Bytes,
    /// As a prefill worker.
    pub prefill: PrefillWorker,
    /// As a decode worker.
    pub decode: DecodeWorker,
}

impl<'c> Worker<'c> {
    /// Checks a layout and times it in both roles.
    ///
    /// # Errors
    /// As [`Deployment::new`].
    pub fn new(context: &'c Context<'c>, parallelism: Parallelism) -> Result<Worker<'c>, Reason> {
        Deployment::new(context, parallelism).map(|deployment| Worker::of(&deployment))
    }

    /// The workers that a deployment's replicas make.
    pub fn of(deployment: &Deployment<'c>) -> Worker<'c> {
        let replica = deployment.replica();
        let context = deployment.context();
        Worker {
            context,
            parallelism: deployment.parallelism,
            placement: deployment.placement,
            limits: deployment.limits,
            memory: deployment.memory,
            held: deployment.memory_question().prompt_cache(),
            prefill: PrefillWorker::new(&replica),
            decode: DecodeWorker::new(&replica),
        }
    }

    /// GPUs of one.
    pub fn gpus(&self) -> u64 {
        self.parallelism.gpus()
    }

    /// Why a batch is too large for one, if it is.
    pub fn refuses(&self, batch: u64) -> Option<Reason> {
        let most = self.memory.largest_batch().min(self.limits.max_sequences);
        (batch > most.saturating_mul(u64::from(self.parallelism.attention_dp)))
            .then(|| too_large(batch, self.parallelism, &self.limits, &self.memory))
    }

    /// Whether servers are launched so.
    pub fn practice(&self) -> Practice {
        Practice::of(&self.placement, self.context.cluster)
    }

    /// The transfer of a prompt's cache to a decode worker.
    pub fn transfer_to(&self, decode: &Worker) -> Transfer {
        let (from, to) = (self.context.cluster, decode.context.cluster);
        let together = self.gpus() + decode.gpus() <= u64::from(to.gpus_per_node);
        let chunks = if self.context.engine.scheduling.sends_by_chunk { self.prefill.chunks } else { 1.0 };
        let moved =
            Transfer::new(self.held.max(decode.held), (from, to), together && std::ptr::eq(from, to), chunks);
        Transfer { time: moved.time + self.context.engine.scheduling.handover, ..moved }
    }

    /// Power of one GPU of the worker that draws `share` of what lies between idle and the limit.
    fn power(&self, share: f64) -> Watts {
        let gpu = &self.context.cluster.gpu;
        gpu.idle_power + (gpu.tdp - gpu.idle_power) * share.min(1.0)
    }

    /// What one of its GPUs costs at a power, electricity apart where that is priced.
    fn price(&self, power: Watts) -> Option<(UsdPerHour, UsdPerHour)> {
        let electricity = self.context.electricity.map_or(UsdPerHour::ZERO, |e| e.per_gpu(power));
        self.context.cluster.price.map(|rent| (rent, electricity))
    }
}

/// `x` prefill workers and `y` decode workers.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'w, 'c> {
    /// A prefill worker.
    pub prefill: &'w Worker<'c>,
    /// How many.
    pub prefill_workers: u32,
    /// A decode worker.
    pub decode: &'w Worker<'c>,
    /// How many.
    pub decode_workers: u32,
    /// The transfer between them.
    pub transfer: Transfer,
}

/// What both pools take and cost.
struct Bill {
    gpus: u64,
    power: Watts,
    price: Option<UsdPerHour>,
    electricity: Option<UsdPerHour>,
}

impl<'w> Pair<'w, '_> {
    /// Their times.
    pub fn split(&self) -> Split<'w> {
        Split {
            prefill: &self.prefill.prefill,
            prefill_workers: self.prefill_workers,
            decode: &self.decode.decode,
            decode_workers: self.decode_workers,
            transfer: self.transfer.time,
        }
    }

    fn gpus(&self) -> (u64, u64) {
        let of = |worker: &Worker, n: u32| worker.gpus() * u64::from(n);
        (of(self.prefill, self.prefill_workers), of(self.decode, self.decode_workers))
    }

    /// A request draws its prompt's share on the prefill GPUs and a step's share per token on the others.
    fn bill(&self, s: &SplitService) -> Bill {
        let (p, d) = (self.prefill, self.decode);
        let steps = p.context.workload.osl.saturating_sub(1) as f64;
        let each = |worker: &Worker, n: u32, drawn: Seconds, ranks: f64| {
            let rate = s.rate.get() / f64::from(n) / ranks;
            worker.power(rate * drawn.get() / f64::from(worker.parallelism.pp))
        };
        let of_prefill = each(p, self.prefill_workers, p.prefill.drawn, p.prefill.ranks);
        let of_decode = each(d, self.decode_workers, s.drawn * steps, d.decode.ranks);
        let (x, y) = self.gpus();
        let sum = |a: UsdPerHour, b: UsdPerHour| a * x as f64 + b * y as f64;
        let prices = p.price(of_prefill).zip(d.price(of_decode));
        let price = prices.map(|(a, b)| sum(a.0 + a.1, b.0 + b.1));
        let electricity = prices.filter(|_| p.context.electricity.is_some()).map(|(a, b)| sum(a.1, b.1));
        Bill { gpus: x + y, power: of_prefill * x as f64 + of_decode * y as f64, price, electricity }
    }

    fn output(&self, s: &SplitService) -> TokensPerSecond {
        let workload = &self.decode.context.workload;
        workload.exact_output(TokensPerSecond::new(s.rate.get() * self.decode.decode.osl))
    }

    /// What a plan is compared by; allocates nothing.
    pub fn figures(&self, plan: Plan, s: &SplitService) -> Figures {
        let (bill, output) = (self.bill(s), self.output(s));
        Figures {
            plan,
            verdict: self.prefill.memory.verdict().max(self.decode.memory.verdict()),
            practice: self.prefill.practice().max(self.decode.practice()),
            gpus: bill.gpus,
            output,
            ttft: s.ttft,
            tpot: s.tpot,
            e2e: s.e2e,
            in_flight: self.in_flight(s),
            price: bill.price,
            power: bill.power,
            per_output: bill.power / output,
            class: self.class(),
        }
    }

    /// How far measured split pools lie from what is estimated.
    pub fn class(&self) -> &'static Class {
        self.decode.context.classes.class(false, Traffic::Split)
    }

    fn in_flight(&self, s: &SplitService) -> f64 {
        s.sequences * f64::from(self.decode_workers) + s.rate.get() * s.ttft.get()
    }

    /// The estimate of a plan: replicas, batch and memory are those of the decode workers.
    pub fn estimate(&self, plan: Plan, deployment: &Deployment, s: &SplitService) -> Estimate {
        let workers = f64::from(self.decode_workers);
        let output = self.output(s);
        let bill = self.bill(s);
        let power = bill.power / bill.gpus as f64;
        let w = &self.decode.context.workload;
        let tokens_per_output = w.context() as f64 / w.osl as f64;
        let per_output = bill.power / output;
        let service = Service {
            ttft: s.ttft,
            tpot: s.tpot,
            e2e: s.e2e,
            output: output / workers,
            requests: s.rate / workers,
            running: s.sequences,
            decoding: s.sequences,
            decode_step: s.tpot,
            prefill_cost: self.prefill.prefill.interval,
            power_share: 0.0,
            provenance: self.prefill.prefill.provenance.max(self.decode.decode.provenance),
        };
        let cluster = |worker: &Worker| u64::from(worker.context.cluster.gpus);
        let here = std::ptr::eq(self.prefill.context.cluster, self.decode.context.cluster);
        let all = cluster(self.decode) + if here { 0 } else { cluster(self.prefill) };
        let class = self.class();
        let own = deployment.assemble(plan, self.decode_workers, s.sequences, service);
        let ranges = own.ranges.map(|ranges| Ranges::new(class, &service, (w, ranges.least), output));
        Estimate {
            gpus: bill.gpus,
            idle_gpus: all.saturating_sub(bill.gpus),
            verdict: self.prefill.memory.verdict().max(self.decode.memory.verdict()),
            practice: self.prefill.practice().max(self.decode.practice()),
            output,
            output_per_gpu: output / bill.gpus as f64,
            energy: Energy { power, per_output, per_token: per_output / tokens_per_output },
            electricity_output: bill.electricity.map(|e| e.per_million_tokens(output)),
            cost_output: bill.price.map(|p| p.per_million_tokens(output)),
            cost_total: bill.price.map(|p| p.per_million_tokens(output * tokens_per_output)),
            price: bill.price,
            in_flight: self.in_flight(s),
            class,
            ranges,
            prefill: Some(PrefillFacts {
                gpu: self.prefill.context.cluster.gpu.id.clone(),
                parallelism: self.prefill.parallelism,
                workers: self.prefill_workers,
                load: s.prefill_load,
                transfer: self.transfer.time,
            }),
            ..own
        }
    }
}
