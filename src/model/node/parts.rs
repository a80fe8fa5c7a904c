//! How a product's linear layers, and the sizes of small kernels, are divided over ranks.

use crate::model::tensor::share;

/// A size that tensor-parallel ranks divide in whole units, or have whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Width {
    total: u64,
    units: Option<u64>,
}

impl Width {
    /// Nothing.
    pub const NONE: Width = Width { total: 0, units: None };

    /// The same on every rank.
    pub fn whole(total: u64) -> Width {
        Width { total, units: None }
    }

    /// `each` for every one of `units` heads or columns; ranks divide the units.
    pub fn over(units: u64, each: u64) -> Width {
        Width { total: units.saturating_mul(each), units: Some(units) }
    }

    /// `total` over `units` heads or columns.
    pub fn divided(total: u64, units: u64) -> Width {
        Width { total, units: Some(units) }
    }

    /// What the fullest of `ranks` has.
    pub fn on(self, ranks: u64) -> u64 {
        self.units.map_or(self.total, |units| share(self.total, units, ranks))
    }
}

/// How a linear layer is divided over tensor-parallel ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Not at all.
    Whole,
    /// By its output features, in so many units (heads, columns).
    Columns(u64),
    /// By its input features, in so many units; the ranks' results are added.
    Rows(u64),
    /// By vocabulary entries, padded up.
    Vocabulary,
}

/// One linear layer of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Label where the product is taken apart; it is not, unless all its parts have one.
    pub label: Option<&'static str>,
    /// Name of the weight in checkpoints; none where another block holds it (a tied head).
    pub weight: Option<&'static str>,
    /// Name of the bias.
    pub bias: Option<&'static str>,
    /// Output features.
    pub n: u64,
    /// How it is divided.
    pub cut: Cut,
    /// Whether engines keep its weight in one tensor with that of the part before.
    pub joins: bool,
}

impl Part {
    /// A linear layer of `n` output features that every rank has whole.
    pub const fn new(weight: &'static str, n: u64) -> Part {
        Part { label: None, weight: Some(weight), bias: None, n, cut: Cut::Whole, joins: false }
    }

    /// Divided by its output features.
    #[must_use]
    pub const fn over(self, units: u64) -> Part {
        Part { cut: Cut::Columns(units), ..self }
    }

    /// Divided like this.
    #[must_use]
    pub const fn cut(self, cut: Cut) -> Part {
        Part { cut, ..self }
    }

    /// With a bias of this name, if it has one.
    #[must_use]
    pub fn biased(self, name: &'static str, has: bool) -> Part {
        Part { bias: has.then_some(name), ..self }
    }

    /// With a label of its own.
    #[must_use]
    pub const fn shown(self, label: &'static str) -> Part {
        Part { label: Some(label), ..self }
    }

    /// Kept in one tensor with the part before.
    #[must_use]
    pub const fn joined(self) -> Part {
        Part { joins: true, ..self }
    }
}

/// Most linear layers that one product computes.
const MOST: usize = 6;

/// The linear layers of a product, in place: a layout is compiled without an allocation for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    list: [Part; MOST],
    count: usize,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts { list: [Part::new("", 0); MOST], count: 0 }
    }
}

impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Parts {
        let mut all = Parts::default();
        for part in parts {
            // The first has none before it to join.
            all.list[all.count] = Part { joins: part.joins && all.count > 0, ..part };
            all.count += 1;
        }
        all
    }
}

impl std::ops::Deref for Parts {
    type Target = [Part];
    fn deref(&self) -> &[Part] {
        &self.list[..self.count]
    }
}
