//! A layout by its degrees, as programs read it.

use crate::plan::{Axis, Parallelism};

use super::column::{Column, List, Rows};

/// Layouts, as rows.
pub(super) enum Layouts {}

impl Rows for Layouts {
    type Row<'a> = Parallelism;
}

impl List for Layouts {
    type Of = Layouts;
    const NAME: &'static str = "Layout";
    fn columns() -> &'static [Column<Layouts>] {
        &const { [degree::<0>(), degree::<1>(), degree::<2>(), degree::<3>(), degree::<4>()] }
    }
}

/// The degree along an axis, by its place in the list of all.
const fn degree<const AXIS: usize>() -> Column<Layouts> {
    let axis = Axis::ALL[AXIS];
    Column::<Layouts>::shown(axis.name(), axis.heading(), axis.meaning(), |split| {
        split.degree(Axis::ALL[AXIS]).into()
    })
    .integer()
}
