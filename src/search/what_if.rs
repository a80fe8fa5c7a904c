//! Sensitivity: the question asked again on GPUs that differ in one figure.

use std::str::FromStr;

use crate::catalog::Cluster;
use crate::diagnostic::{Code, Diagnostic, brief};
use crate::estimate::estimated::Estimate;

use super::Question;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// GPU memory.
    Hbm,
    /// Memory bandwidth.
    Bandwidth,
    /// Arithmetic of every number format.
    Compute,
    /// The link inside nodes.
    ScaleUp,
    /// The link between nodes.
    ScaleOut,
    /// The price of a GPU and hour.
    Price,
}

impl Knob {
    /// Every knob.
    pub const ALL: [Knob; 6] =
        [Knob::Hbm, Knob::Bandwidth, Knob::Compute, Knob::ScaleUp, Knob::ScaleOut, Knob::Price];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Knob::Hbm => "hbm",
            Knob::Bandwidth => "bandwidth",
            Knob::Compute => "compute",
            Knob::ScaleUp => "scale-up",
            Knob::ScaleOut => "scale-out",
            Knob::Price => "price",
        }
    }
}

/// A figure of the GPUs, and what it is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhatIf {
    /// What is changed.
    pub knob: Knob,
    /// By how much, in per cent.
    pub percent: f64,
}

impl WhatIf {
    fn on(&self, pool: &Cluster) -> Cluster {
        let factor = 1.0 + self.percent / 100.0;
        let mut pool = pool.clone();
        let kinds = pool.cards.iter_mut().map(|cards| &mut cards.gpu);
        kinds.chain(std::iter::once(&mut pool.gpu)).for_each(|gpu| match self.knob {
            Knob::Hbm => gpu.memory = gpu.memory.scaled(factor),
            Knob::Bandwidth => gpu.bandwidth = gpu.bandwidth * factor,
            Knob::Compute => gpu.peak.values_mut().for_each(|peak| *peak = *peak * factor),
            Knob::ScaleUp | Knob::ScaleOut | Knob::Price => {}
        });
        match self.knob {
            Knob::Hbm | Knob::Bandwidth | Knob::Compute => {}
            Knob::ScaleUp => pool.scale_up.bandwidth = pool.scale_up.bandwidth * factor,
            Knob::ScaleOut => pool.scale_out.bandwidth = pool.scale_out.bandwidth * factor,
            Knob::Price => pool.price = pool.price.map(|price| price * factor),
        }
        pool
    }
}

impl FromStr for WhatIf {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let (name, change) = text.split_once('=').unwrap_or((text, ""));
        let names = Knob::ALL.map(Knob::name);
        let knob = Knob::ALL.into_iter().find(|k| k.name() == name.trim()).ok_or_else(|| {
            Diagnostic::unknown("figure", name.trim(), names, &format!("allowed: {}", names.join(", ")))
        })?;
        let percent = change.trim().strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
        match percent.filter(|p| *p > -100.0 && *p <= 1000.0) {
            Some(percent) => Ok(WhatIf { knob, percent }),
            None => Err(Diagnostic::new(Code::Range, format!("`{}` is not a change", brief(text)))
                .help("NAME=±PER CENT%, above -100% and up to +1000%: hbm=+20%")),
        }
    }
}

impl Question<'_> {
    /// The best plan on GPUs that differ.
    ///
    /// # Errors
    /// As [`Question::answer`].
    pub fn what_if(&self, change: &WhatIf) -> Result<Option<Estimate>, Diagnostic> {
        let pools: Vec<Cluster> = self.pools.iter().map(|pool| change.on(pool)).collect();
        let question = Question { pools: &pools, top: 1, current: None, ..self.clone() };
        Ok(question.answer()?.best.into_iter().next())
    }
}
