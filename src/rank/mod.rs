//! Ranking: objectives, and the Pareto front.

use std::cmp::Ordering;
use std::str::FromStr;

use crate::diagnostic::Diagnostic;
use crate::estimate::deployment::Estimate;

/// What the best plan is best at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Objective {
    /// Most output tokens per second of the whole deployment.
    Throughput,
    /// Shortest time from request to last token.
    Latency,
    /// Fewest dollars per million output tokens.
    Cost,
    /// Fewest joules per output token.
    Energy,
}

impl Objective {
    /// Every objective.
    pub const ALL: [Objective; 4] =
        [Objective::Throughput, Objective::Latency, Objective::Cost, Objective::Energy];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Objective::Throughput => "throughput",
            Objective::Latency => "latency",
            Objective::Cost => "cost",
            Objective::Energy => "energy",
        }
    }

    /// The better plan first: plans that fit before marginal ones, then the objective, then fewer GPUs,
    /// then the lower time per token, then the plan's number. A total order.
    pub fn compare(self, a: &Estimate, b: &Estimate) -> Ordering {
        let cost = |e: &Estimate| e.cost_output.map_or(f64::INFINITY, |c| c.get());
        let by_objective = match self {
            Objective::Throughput => b.output.total_cmp(&a.output),
            Objective::Latency => a.service.e2e.total_cmp(&b.service.e2e),
            Objective::Cost => cost(a).total_cmp(&cost(b)),
            Objective::Energy => a.energy.per_output.total_cmp(&b.energy.per_output),
        };
        (a.verdict.cmp(&b.verdict))
            .then(by_objective)
            .then(a.gpus.cmp(&b.gpus))
            .then(b.output.total_cmp(&a.output))
            .then(a.service.tpot.total_cmp(&b.service.tpot))
            .then(a.plan.id.cmp(&b.plan.id))
    }
}

/// Batches of one layout whose throughput is within this share of its best are equally good; the one
/// with the shortest end-to-end time is taken. Past the knee a larger batch buys waiting, not tokens.
pub const KNEE: f64 = 0.01;

impl Objective {
    /// The plan that stands for its layout.
    pub fn choose(self, plans: &[Estimate]) -> Option<&Estimate> {
        let best = plans.iter().min_by(|a, b| self.compare(a, b))?;
        if self == Objective::Latency {
            return Some(best);
        }
        let as_good = |p: &&Estimate| {
            p.verdict == best.verdict && p.gpus == best.gpus && p.output >= best.output * (1.0 - KNEE)
        };
        plans
            .iter()
            .filter(as_good)
            .min_by(|a, b| a.service.e2e.total_cmp(&b.service.e2e).then(self.compare(a, b)))
    }
}

impl FromStr for Objective {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let names = Objective::ALL.map(Objective::name);
        Objective::ALL.into_iter().find(|o| o.name() == text).ok_or_else(|| {
            Diagnostic::unknown("objective", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// Whether `a` is at least as good as `b` in throughput per GPU and in time per token, and better in
/// one of them; equals are told apart by number, so that one of them stays.
fn dominates(a: &Estimate, b: &Estimate) -> bool {
    let (more, faster) = (a.output_per_gpu >= b.output_per_gpu, a.service.tpot <= b.service.tpot);
    let equal = a.output_per_gpu == b.output_per_gpu && a.service.tpot == b.service.tpot;
    more && faster && (!equal || a.plan.id < b.plan.id)
}

/// Keeps the plans that no other dominates in throughput per GPU and time per token, fastest first.
pub fn pareto(mut plans: Vec<Estimate>) -> Vec<Estimate> {
    plans.sort_by(|a, b| {
        (a.service.tpot.total_cmp(&b.service.tpot))
            .then(b.output_per_gpu.total_cmp(&a.output_per_gpu))
            .then(a.plan.id.cmp(&b.plan.id))
    });
    let mut front: Vec<Estimate> = Vec::new();
    for plan in plans {
        if front.last().is_none_or(|best| !dominates(best, &plan)) {
            front.push(plan);
        }
    }
    front
}
