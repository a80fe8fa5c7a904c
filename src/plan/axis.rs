//! The axes along which a replica is divided, each said once: its name, its heading, its meaning.

use std::fmt;

use super::{Degrees, Parallelism};

/// An axis along which one replica is divided over GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Attention and dense layers are divided inside: tensor parallel.
    Tensor,
    /// Layers are divided into stages: pipeline parallel.
    Pipeline,
    /// Experts are divided: expert parallel.
    Expert,
    /// Sequences are divided, with attention of their own: attention data parallel.
    AttentionData,
    /// The cached tokens of a sequence are divided: decode context parallel.
    DecodeContext,
}

impl Axis {
    /// Every axis, in the order of columns and of keys.
    pub const ALL: [Axis; 5] =
        [Axis::Tensor, Axis::Pipeline, Axis::Expert, Axis::AttentionData, Axis::DecodeContext];

    /// In the order in which a layout is written: an axis that takes GPUs of its own stands before those that share them.
    pub const WRITTEN: [Axis; 5] =
        [Axis::Tensor, Axis::Pipeline, Axis::AttentionData, Axis::Expert, Axis::DecodeContext];

    /// Its name in requests, columns, JSON and `KEY=VALUE` pairs; with dashes its option on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Axis::Tensor => "tp",
            Axis::Pipeline => "pp",
            Axis::Expert => "ep",
            Axis::AttentionData => "attention_dp",
            Axis::DecodeContext => "dcp",
        }
    }

    /// Its heading in tables.
    pub const fn heading(self) -> &'static str {
        match self {
            Axis::AttentionData => "adp",
            other => other.name(),
        }
    }

    /// What it is, in words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Axis::Tensor => "tensor parallel",
            Axis::Pipeline => "pipeline stages",
            Axis::Expert => "expert parallel",
            Axis::AttentionData => "attention data parallel",
            Axis::DecodeContext => "decode context parallel",
        }
    }

    /// Its name for the prefill workers of split pools; none of what they do not have: they decode nothing.
    pub const fn of_prefill(self) -> Option<&'static str> {
        match self {
            Axis::Tensor => Some("prefill_tp"),
            Axis::Pipeline => Some("prefill_pp"),
            Axis::Expert => Some("prefill_ep"),
            Axis::AttentionData => Some("prefill_attention_dp"),
            Axis::DecodeContext => None,
        }
    }

    /// Its option on the command line.
    pub fn flag(self) -> String {
        format!("--{}", self.name().replace('_', "-"))
    }

    /// That of prefill workers, where they have it.
    pub fn prefill_flag(self) -> Option<String> {
        self.of_prefill().map(|name| format!("--{}", name.replace('_', "-")))
    }

    /// The axis of a name.
    pub fn named(name: &str) -> Option<Axis> {
        Axis::ALL.into_iter().find(|axis| axis.name() == name)
    }
}

impl Parallelism {
    /// Its degree along an axis.
    pub const fn degree(&self, axis: Axis) -> u32 {
        match axis {
            Axis::Tensor => self.tp,
            Axis::Pipeline => self.pp,
            Axis::Expert => self.ep,
            Axis::AttentionData => self.attention_dp,
            Axis::DecodeContext => self.dcp,
        }
    }

    /// The same, to be set.
    pub const fn degree_mut(&mut self, axis: Axis) -> &mut u32 {
        match axis {
            Axis::Tensor => &mut self.tp,
            Axis::Pipeline => &mut self.pp,
            Axis::Expert => &mut self.ep,
            Axis::AttentionData => &mut self.attention_dp,
            Axis::DecodeContext => &mut self.dcp,
        }
    }

    /// The layout with a degree of `of` along each axis.
    ///
    /// # Errors
    /// The first that `of` gives.
    pub fn try_of<E>(mut of: impl FnMut(Axis) -> Result<u32, E>) -> Result<Parallelism, E> {
        let mut split = Parallelism::SINGLE;
        for axis in Axis::ALL {
            *split.degree_mut(axis) = of(axis)?;
        }
        Ok(split)
    }
}

impl fmt::Display for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", Axis::Tensor.name(), self.tp)?;
        for axis in &Axis::WRITTEN[1..] {
            let degree = self.degree(*axis);
            if degree > 1 {
                write!(f, " {}={degree}", axis.name())?;
            }
        }
        Ok(())
    }
}

impl Degrees {
    /// Those that `of` gives along each axis.
    pub fn of(mut of: impl FnMut(Axis) -> Vec<u32>) -> Degrees {
        Degrees {
            tp: of(Axis::Tensor),
            pp: of(Axis::Pipeline),
            ep: of(Axis::Expert),
            attention_dp: of(Axis::AttentionData),
            dcp: of(Axis::DecodeContext),
        }
    }

    /// Those of one split alone.
    pub fn only(split: Parallelism) -> Degrees {
        Degrees::of(|axis| vec![split.degree(axis)])
    }

    /// The degrees along an axis.
    pub fn along(&self, axis: Axis) -> &Vec<u32> {
        match axis {
            Axis::Tensor => &self.tp,
            Axis::Pipeline => &self.pp,
            Axis::Expert => &self.ep,
            Axis::AttentionData => &self.attention_dp,
            Axis::DecodeContext => &self.dcp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_axis_has_a_degree_of_its_own() {
        let mut split = Parallelism::SINGLE;
        for (axis, n) in Axis::ALL.into_iter().zip(2..) {
            *split.degree_mut(axis) = n;
        }
        assert_eq!(split, Parallelism { tp: 2, pp: 3, ep: 4, attention_dp: 5, dcp: 6 });
        assert_eq!(Axis::ALL.map(|axis| split.degree(axis)), [2, 3, 4, 5, 6]);
        assert_eq!(Axis::ALL.map(|axis| Axis::named(axis.name())), Axis::ALL.map(Some));
        assert_eq!(split.to_string(), "tp=2 pp=3 attention_dp=5 ep=4 dcp=6");
    }
}
