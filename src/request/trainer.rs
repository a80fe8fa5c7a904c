//! Who trains: the framework that is named, or the usual one of those that can do what is asked.

use crate::catalog::framework::Technique;
use crate::catalog::{Catalog, Cluster, Engine, Framework};
use crate::diagnostic::Diagnostic;
use crate::dtype::DType;
use crate::train::{Offload, Precision, Tuning, offloads_all};

/// The framework where none is named and it can do what is asked.
pub const FRAMEWORK: &str = "megatron-bridge";

/// Those that are taken where none is named, the first that can do what is asked: Megatron where it runs, for adapters those
/// that have them.
const USUAL: [&str; 6] = [FRAMEWORK, "megatron", "torchtitan", "torchtune", "litgpt", "deepspeed"];

/// A framework, and whose kernels it runs.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// The framework.
    pub framework: Framework,
    /// Whose kernels it runs.
    pub engine: Engine,
}

impl Trainer {
    /// The framework of a name or a file.
    ///
    /// # Errors
    /// An unknown name, a file that is wrong.
    pub fn named(catalog: &Catalog, name: &str) -> Result<Trainer, Diagnostic> {
        let framework = catalog.framework(name)?;
        Ok(Trainer { engine: catalog.engine(&framework.kernels)?, framework })
    }

    /// Whether it runs on a cluster's GPUs and does what is asked of it.
    pub fn can(&self, cluster: &Cluster, asked: Asked) -> bool {
        self.why_not(cluster, asked).is_none()
    }

    /// Why it cannot, as the end of a sentence that begins with its name.
    fn why_not(&self, cluster: &Cluster, asked: Asked) -> Option<String> {
        let framework = &self.framework;
        let in_fp16 = match asked.precisions {
            [] => !framework.has_bf16(&cluster.gpu) && cluster.gpu.peak(DType::Fp16).is_some(),
            named => named.iter().all(|p| *p == Precision::Fp16),
        };
        let mut needed = asked.tuning.technique().into_iter().chain(in_fp16.then_some(Technique::Fp16));
        let lacks = needed.find(|t| framework.lacks.contains(t));
        let leaves = offloads_all(&framework.offloads, asked.offload, cluster.gpus);
        match lacks {
            _ if !framework.runs_on(&cluster.gpu) => Some(format!("does not run on {}", cluster.gpu.name)),
            Some(Technique::Fp16) if asked.precisions.is_empty() => {
                Some(format!("has no {}, and {} no BF16", Technique::Fp16.name(), cluster.gpu.name))
            }
            Some(technique) => Some(format!("has no {}", technique.name())),
            None => (!leaves).then(|| "does not leave all of that in the host's memory".to_owned()),
        }
    }
}

/// What a framework has to be able to.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which weights are trained.
    pub tuning: Tuning,
    /// What may lie in the host's memory.
    pub offload: &'a [Offload],
    /// The precisions that are named; the usual one on the GPU where none is.
    pub precisions: &'a [Precision],
}

impl Asked<'_> {
    /// Nothing with the host, in the usual precision.
    pub fn tuning(tuning: Tuning) -> Asked<'static> {
        Asked { tuning, offload: &[], precisions: &[] }
    }
}

/// Who may train: whoever is named, or the usual ones, the first first.
#[derive(Clone, Debug)]
pub struct Trainers {
    /// Whoever is named.
    pub named: Option<Trainer>,
    /// The usual ones.
    pub usual: Vec<Trainer>,
}

impl Trainers {
    /// Those of a question that names one or none.
    ///
    /// # Errors
    /// As [`Trainer::named`].
    pub fn of(catalog: &Catalog, name: Option<&str>) -> Result<Trainers, Diagnostic> {
        Ok(Trainers {
            named: name.map(|name| Trainer::named(catalog, name)).transpose()?,
            usual: USUAL.iter().map(|name| Trainer::named(catalog, name)).collect::<Result<_, _>>()?,
        })
    }

    /// Who trains on a cluster: the one that is named, else the first that can, else the first, which the ledger then says cannot.
    pub fn on(&self, cluster: &Cluster, asked: Asked) -> Option<&Trainer> {
        let able = || self.usual.iter().find(|t| t.can(cluster, asked));
        self.named.as_ref().or_else(able).or_else(|| self.usual.first())
    }

    /// Why the first of the usual ones is not who trains, where nobody was named; or that nobody can.
    pub fn passed_over(&self, cluster: &Cluster, asked: Asked) -> Option<String> {
        let (first, taken) = (self.usual.first()?, self.on(cluster, asked)?);
        if let Some(why) = taken.why_not(cluster, asked)
            && !self.usual.iter().any(|t| t.can(cluster, asked))
        {
            let name = &taken.framework.name;
            return Some(format!("No framework that is described can do that; {name} {why}."));
        }
        if self.named.is_some() || taken.framework.id == first.framework.id {
            return None;
        }
        let why = first.why_not(cluster, asked)?;
        let (taken, first) = (&taken.framework.name, &first.framework.name);
        Some(format!("No --framework was named: {taken} is planned for, since {first} {why}."))
    }
}
