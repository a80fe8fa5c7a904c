//! The questions of a review and their answers: for each model, workload, targets and objective the best
//! cluster, by how much it leads, how close it is to its limits, and what would change it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::facts::{Fact, Facts, Name};
use crate::estimate::Provenance;
use crate::report::cell::short;

/// A question with what the clusters answer.
pub struct Answered {
    /// The cases that ask it, a cluster each; the best first where one has a plan.
    pub cases: Vec<usize>,
    /// Whether one has a plan.
    pub found: bool,
    /// Where kernel times of the best rest on no measurement of its GPU, the best case whose do.
    pub calibrated: Option<usize>,
    /// What is compared: `$/Mtok`, for example.
    pub measure: Measure,
    /// By how much the second is behind the best, in per cent.
    pub lead: Option<f64>,
    /// What would change the answer.
    pub change: String,
}

/// What the clusters of a question are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Monthly,
    Cost,
    PerGpu,
    Latency,
    Energy,
}

impl Answered {
    /// Whether kernel times of the best plan rest on no measurement of its GPU.
    pub fn is_uncalibrated(&self, facts: &Facts) -> bool {
        let best = self.cases.first().map(|case| &facts.cases[*case]).filter(|fact| fact.found());
        best.is_some_and(|fact| fact.is_uncalibrated(facts))
    }
}

impl Measure {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Monthly => "dollars per month",
            Measure::Cost => "dollars per million output tokens",
            Measure::PerGpu => "output tokens per second and GPU",
            Measure::Latency => "end-to-end time",
            Measure::Energy => "joules per output token",
        }
    }

    /// The figure of a plan with its unit.
    pub fn figure(self, fact: &Fact) -> String {
        let shown = |x: f64| short(&x.into());
        match self {
            Measure::Monthly => format!("${} a month", shown(fact.monthly)),
            Measure::Cost if fact.pooled => format!("${}/M req", shown(fact.cost)),
            Measure::Cost => format!("${}/Mtok out", shown(fact.cost)),
            Measure::PerGpu => format!("{} tok/s/gpu", shown(fact.output_per_gpu)),
            Measure::Latency => format!("{} ms end to end", shown(fact.e2e)),
            Measure::Energy => format!("{} J/tok out", shown(fact.energy)),
        }
    }

    /// Less is better.
    fn of(self, fact: &Fact) -> f64 {
        match self {
            Measure::Monthly => fact.monthly,
            Measure::Cost => fact.cost,
            Measure::PerGpu => 1.0 / fact.output_per_gpu,
            Measure::Latency => fact.e2e,
            Measure::Energy => fact.energy,
        }
    }

    fn for_question(facts: &Facts, cases: &[usize]) -> Measure {
        let all = || cases.iter().map(|c| &facts.cases[*c]);
        let objective = all().next().map_or("", |f| facts.text(f.objective));
        let priced = all().filter(|f| f.found()).all(|f| f.cost.is_finite());
        match objective {
            "latency" => Measure::Latency,
            "energy" => Measure::Energy,
            _ if !priced => Measure::PerGpu,
            _ if all().all(|f| f.rate.is_finite()) => Measure::Monthly,
            _ => Measure::Cost,
        }
    }
}

/// Model, workload, targets, objective.
type Question = (Name, Name, Name, Name);

fn question(fact: &Fact) -> Question {
    (fact.model, fact.workload, fact.targets, fact.objective)
}

/// Every question in the order of its first case.
pub fn answers(facts: &Facts) -> Vec<Answered> {
    let mut by_question: BTreeMap<Question, Vec<usize>> = BTreeMap::new();
    for (place, fact) in facts.cases.iter().enumerate() {
        by_question.entry(question(fact)).or_default().push(place);
    }
    let mut kept = Kept::new();
    for (q, cases) in &by_question {
        if cases.iter().any(|c| facts.cases[*c].found()) {
            kept.entry((q.0, q.1, q.3)).or_default().push(q.2);
        }
    }
    let mut all: Vec<Vec<usize>> = by_question.into_values().collect();
    all.sort_by_key(|cases| cases.first().copied());
    all.into_iter().map(|cases| answered(facts, &kept, cases)).collect()
}

/// Targets that some cluster keeps, by model, workload and objective.
type Kept = BTreeMap<(Name, Name, Name), Vec<Name>>;

fn answered(facts: &Facts, kept: &Kept, mut cases: Vec<usize>) -> Answered {
    let measure = Measure::for_question(facts, &cases);
    // Where nothing serves the rate, what would and costs the least comes nearest; without prices, of the fewest GPUs.
    let unserved = || cases.iter().map(|c| &facts.cases[*c]).filter(|f| f.enough_gpus.is_finite());
    let priced = unserved().all(|fact| fact.enough_hourly.is_finite());
    let rank = |c: &usize| {
        let fact = &facts.cases[*c];
        let value = match (fact.found(), priced) {
            (true, _) => measure.of(fact),
            (false, true) => fact.enough_hourly,
            (false, false) => fact.enough_gpus,
        };
        // Values within a millionth are the same sum of other prices.
        let value = if value.is_finite() { (value.ln() * 1e6).round() } else { f64::INFINITY };
        // Of plans that cost the same the one with more room under its targets, then the faster.
        (!fact.found(), !fact.fits, [value, fact.tightest_percent, fact.e2e])
    };
    cases.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        let figures = || a.2.iter().zip(&b.2).map(|(a, b)| a.total_cmp(b));
        a.0.cmp(&b.0)
            .then(a.1.cmp(&b.1))
            .then_with(|| figures().find(|o| o.is_ne()).unwrap_or(Ordering::Equal))
    });
    let found = cases.first().is_some_and(|c| facts.cases[*c].found());
    let mut plans = cases.iter().map(|c| &facts.cases[*c]).filter(|f| f.found());
    let (best, second) = (plans.next(), plans.next());
    let lead = best
        .zip(second)
        .map(|(a, b)| 100.0 * (measure.of(b) / measure.of(a) - 1.0))
        .filter(|l| l.is_finite());
    let change = match best {
        Some(best) => turning_point(facts, best, second, measure),
        None => way_out(facts, kept, &cases),
    };
    let kernels = |fact: &Fact| fact.provenance.map(|name| facts.text(name));
    let marked = best.is_some_and(|best| best.is_uncalibrated(facts));
    let measured = [Provenance::Measured, Provenance::Fitted].map(|p| Some(p.name()));
    let rests = |c: &&usize| facts.cases[**c].found() && measured.contains(&kernels(&facts.cases[**c]));
    let calibrated = cases.iter().filter(|_| marked).find(rests).copied();
    Answered { cases, found, calibrated, measure, lead, change }
}

/// What would put the second cluster first.
fn turning_point(facts: &Facts, best: &Fact, second: Option<&Fact>, measure: Measure) -> String {
    let mut parts = Vec::new();
    if let Some(second) = second {
        let name = facts.text(second.cluster);
        let (a, b) = (measure.of(best), measure.of(second));
        parts.push(match measure {
            Measure::Monthly | Measure::Cost if a > 0.0 && b > a => {
                format!("{name} at a price {:.0} % lower", 100.0 * (1.0 - a / b))
            }
            Measure::Monthly | Measure::Cost => format!("{name} at any lower price"),
            _ => format!("{name} is next, {:.0} % behind", 100.0 * (b / a - 1.0)),
        });
    }
    if let Some(target) = best.tightest.filter(|_| best.tightest_percent >= 90.0) {
        let name = facts.text(target).to_uppercase();
        parts.push(format!("a tighter {name}: the plan uses {:.0} % of the target", best.tightest_percent));
    }
    match best.load_headroom {
        little if little < 0.5 => parts.push("any higher load".to_owned()),
        room if room.is_finite() => parts.push(format!("a load {room:.0} % higher")),
        _ => {}
    }
    if !best.fits {
        parts.push("memory: whether it fits is uncertain".to_owned());
    }
    if parts.is_empty() { "no other cluster has a plan".to_owned() } else { parts.join("; ") }
}

/// Where nothing is feasible: other targets of the sweep that are kept, else the nearest miss.
fn way_out(facts: &Facts, kept: &Kept, cases: &[usize]) -> String {
    let Some(first) = cases.first().map(|c| &facts.cases[*c]) else { return String::new() };
    let nearest = format!("nearest, on {}: {}", facts.text(first.cluster), facts.text(first.words));
    match kept.get(&(first.model, first.workload, first.objective)) {
        None => nearest,
        Some(targets) => {
            let names: Vec<&str> = targets.iter().map(|t| facts.text(*t)).collect();
            format!("targets `{}` are kept; {nearest}", names.join("`, `"))
        }
    }
}
