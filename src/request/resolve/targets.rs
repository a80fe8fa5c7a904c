//! What is asked of an answer.

use crate::diagnostic::{Diagnostic, brief};
use crate::request::checks::{range, usage, within};
use crate::request::{Request, Task, TimeTarget};
use crate::units::{Seconds, Usd, UsdPerHour, Watts};
use crate::workload::{Budget, Confidence, Percentile, Percentiles, Targets};

impl Request {
    /// The limits on times, what each is on, and those of the whole deployment; checked.
    pub(crate) fn targets(&self, task: Task) -> Result<Targets, Diagnostic> {
        let wrong = |cause| range("--percentile", cause).help(Percentile::FORM);
        let all =
            self.percentile.as_deref().map(|text| text.parse::<Percentile>().map_err(wrong)).transpose()?;
        let own = [self.ttft, self.tpot, self.e2e];
        let [ttft, tpot, e2e] = own.map(|target| target.and_then(|target| target.at.or(all)));
        if own.iter().flatten().any(|target| target.at.is_some()) && task.is_of_one_plan() {
            let help = match task {
                Task::Estimate => "`shardfit simulate` prints them, `shardfit plan` plans for them",
                _ => {
                    "the table has them, whatever the limits; goodput is the share of requests within every limit"
                }
            };
            let cause = format!("`{}` holds no limit at a percentile", task.name());
            return Err(usage(cause).at("--ttft, --tpot, --e2e").help(help));
        }
        let confidence = self.confidence()?;
        if confidence.is_some() && own.iter().all(Option::is_none) {
            let help = "add --ttft, --tpot or --e2e: a confidence is the chance that limits hold";
            return Err(usage("there is no limit to be confident of").at("--confidence").help(help));
        }
        let limit = |target: Option<TimeTarget>| target.map(|target| target.limit);
        let mut targets = Targets {
            ttft: limit(self.ttft),
            tpot: limit(self.tpot),
            e2e: limit(self.e2e),
            at: Percentiles { ttft, tpot, e2e },
            confidence,
            budget: self.budget()?,
        };
        if let Some(rate) = self.tokens_per_user {
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(range("--tokens-per-user", "must be positive"));
            }
            // The time per token of a stream is one over its rate.
            let most = Seconds::new(1.0 / rate);
            targets.tpot = Some(targets.tpot.map_or(most, |tpot| tpot.min(most)));
        }
        targets.validate().map(|()| targets)
    }

    /// What the deployment may take and must hold.
    fn budget(&self) -> Result<Budget, Diagnostic> {
        let most = crate::workload::MAX_CONCURRENCY;
        Ok(Budget {
            gpus: within("--max-gpus", self.max_gpus, 1..=1 << 20)?,
            price: self.max_price.map(UsdPerHour::new),
            cost_output: self.max_cost.map(Usd::new),
            power: self.max_power.map(Watts::new),
            concurrency: within("--min-concurrency", self.min_concurrency, 1..=most)?,
        })
    }

    /// The chance with which limits are to hold.
    pub(crate) fn confidence(&self) -> Result<Option<Confidence>, Diagnostic> {
        let wrong = |text: &String| {
            let cause = format!("`{}` is not a confidence", brief(text));
            range("--confidence", cause).help(Confidence::FORM)
        };
        let read = |text: &String| text.parse::<Confidence>().map_err(|_| wrong(text));
        self.confidence.as_ref().map(read).transpose()
    }
}
