//! What would make a training work that no plan can run: the question asked again with one thing changed.

use itertools::Itertools as _;

use super::train::{Training, USUAL_ADAPTERS};
use super::trainer::{Asked, Trainer};
use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Lora, Model};
use crate::stop::Stop;
use crate::train::{Machine, Offload, Precision, TrainingAxes, TrainingEstimate, Tuning, Way};

/// How many times the GPUs are tried.
const FACTORS: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

impl Training {
    /// Changes that lead from no feasible plan to one: what was pinned left open, a framework that can, then all weights and
    /// adapters, each on the fewest GPUs that do and on fewer than the one before.
    ///
    /// # Errors
    /// As [`Training::ask`].
    pub fn ways(&self, stop: Stop) -> Result<Vec<Way>, Diagnostic> {
        let mut ways: Vec<Way> = Vec::new();
        let pinned = self.pinned();
        let mut fewest = u32::MAX;
        let after = [Tuning::Full, Tuning::Lora, Tuning::Qlora];
        for tuning in after.into_iter().skip_while(|t| *t != self.tuning) {
            let Some(trainer) = self.able(
                &self.cluster,
                Asked { tuning, offload: &self.axes.offload, precisions: &self.axes.precision },
            ) else {
                continue;
            };
            let with = self.tuned(tuning, trainer)?;
            let said = self.said(tuning, trainer);
            for factor in FACTORS.into_iter().filter(|factor| *factor <= fewest) {
                let Some(cluster) = self.cluster.times(factor) else { break };
                if let Some((left_out, best)) = with.on(cluster, &pinned, stop)? {
                    let change = change(&said, factor, best.gpus, &self.cluster, left_out);
                    ways.push(Way { change, best });
                    fewest = factor;
                    break;
                }
            }
        }
        if let Some(way) = self.with_the_host(stop)? {
            ways.push(way);
        }
        Ok(ways)
    }

    /// The same training with what the host's memory can take off the GPUs.
    fn with_the_host(&self, stop: Stop) -> Result<Option<Way>, Diagnostic> {
        if self.axes.offload.iter().any(|o| *o != Offload::default()) {
            return Ok(None);
        }
        let optimizer = Offload { optimizer: true, ..Offload::default() };
        for offload in [optimizer, Offload { weights: true, ..optimizer }] {
            let asked = [offload];
            let asked = Asked { tuning: self.tuning, offload: &asked, precisions: &self.axes.precision };
            let Some(trainer) = self.able(&self.cluster, asked) else { continue };
            let axes = TrainingAxes { offload: vec![offload], ..self.open(&self.cluster)? };
            let with = Training { axes, ..self.tuned(self.tuning, trainer)? };
            if let Some(best) = with.best(stop)? {
                let mut said = self.said(self.tuning, trainer);
                said.insert(0, format!("--offload {offload}"));
                if said.len() == 1 && trainer.framework.id != self.trainer.framework.id {
                    said.push(format!("with {}", trainer.framework.name));
                }
                let host = format!("({} of host memory in each node)", best.host);
                let change = said.into_iter().chain([host]).join(" ");
                return Ok(Some(Way { change, best }));
            }
        }
        Ok(None)
    }

    /// The best plan on a cluster, and the options that it takes to leave out: none if there is a plan with them.
    fn on<'a>(
        &self,
        cluster: Cluster,
        pinned: &'a [&'static str],
        stop: Stop,
    ) -> Result<Option<(&'a [&'static str], TrainingEstimate)>, Diagnostic> {
        let open = self.open(&cluster)?;
        let with_them = Training { cluster, ..self.clone() };
        if !pinned.is_empty()
            && let Some(best) = with_them.best(stop)?
        {
            return Ok(Some((&[], best)));
        }
        let without = Training { axes: open, ..with_them };
        Ok(without.best(stop)?.map(|best| (pinned, best)))
    }

    /// The best plan, if there is one.
    fn best(&self, stop: Stop) -> Result<Option<TrainingEstimate>, Diagnostic> {
        self.jobs(|jobs| match self.ask(jobs, &self.axes, stop) {
            Ok(answer) => Ok(answer.best.into_iter().next()),
            // Degrees that were named suit no split of so many GPUs.
            Err(wrong) if wrong.code == Code::Usage => Ok(None),
            Err(wrong) => Err(wrong),
        })
    }

    /// Who can do what is asked: who trains already if that can, else the first of the usual ones that can.
    fn able(&self, cluster: &Cluster, asked: Asked) -> Option<&Trainer> {
        let can = |t: &&Trainer| t.can(cluster, asked);
        let named = self.trainers.named.as_ref();
        named.filter(can).or_else(|| self.trainers.usual.iter().find(can))
    }

    /// The same with another tuning.
    fn tuned(&self, tuning: Tuning, trainer: &Trainer) -> Result<Training, Diagnostic> {
        let mut with = Training { tuning, trainer: trainer.clone(), top: 1, ..self.clone() };
        if tuning != Tuning::Full && self.tuning == Tuning::Full {
            let lora: Lora = USUAL_ADAPTERS.parse()?;
            let adapted = |(p, m): &(Precision, Model)| Ok((*p, m.clone().with_lora(&lora)?));
            with.models = self.models.iter().map(adapted).collect::<Result<_, Diagnostic>>()?;
            with.lora = Some(lora);
        }
        Ok(with)
    }

    /// The options that say a tuning and who does it, beside those that were given.
    fn said(&self, tuning: Tuning, trainer: &Trainer) -> Vec<String> {
        let who = &trainer.framework;
        let other = who.id != self.trainer.framework.id;
        let named = other && self.trainers.named.is_some();
        let tuned = (tuning != self.tuning).then(|| match other && !named {
            true => format!("--tuning {} with {}", tuning.name(), who.name),
            false => format!("--tuning {}", tuning.name()),
        });
        tuned.into_iter().chain(named.then(|| format!("--framework {}", who.id))).collect()
    }

    /// What is searched on a cluster where nothing is pinned.
    fn open(&self, cluster: &Cluster) -> Result<TrainingAxes, Diagnostic> {
        let Trainer { framework, engine } = &self.trainer;
        let per_node = Machine::new(cluster, framework, engine)?.per_node();
        Ok(TrainingAxes {
            precision: self.axes.precision.clone(),
            schedules: self.axes.schedules.clone(),
            offload: self.axes.offload.clone(),
            ..TrainingAxes::usual(per_node)
        })
    }

    /// The options that leave out plans which are searched otherwise.
    fn pinned(&self) -> Vec<&'static str> {
        let (mine, Ok(open)) = (&self.axes, self.open(&self.cluster)) else { return Vec::new() };
        if mine.dividing {
            return vec!["--axes calculon"];
        }
        [
            ("--tp", mine.tp != open.tp),
            ("--pp", mine.pp != open.pp),
            ("--cp", mine.cp != open.cp),
            ("--ep", mine.ep != open.ep),
            ("--expert-tp", mine.expert_tp != open.expert_tp),
            ("--micro-batch", mine.micro_batch != open.micro_batch),
            ("--vp", mine.chunks != open.chunks),
            ("--sharding", mine.sharding != open.sharding),
            ("--recompute", mine.recompute != open.recompute),
        ]
        .into_iter()
        .filter_map(|(flag, differs)| differs.then_some(flag))
        .collect()
    }
}

/// A change in words.
fn change(said: &[String], factor: u32, gpus: u64, cluster: &Cluster, left_out: &[&str]) -> String {
    let more = (factor > 1).then(|| format!("--cluster {gpus}x{}", cluster.gpu.id));
    let without = (!left_out.is_empty()).then(|| format!("without {}", left_out.join(", ")));
    said.iter().cloned().chain(more).chain(without).join(" ")
}
