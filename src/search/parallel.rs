//! Work on numbers, side by side.

use rayon::prelude::*;

use crate::diagnostic::Diagnostic;

/// `f` of each of `n` numbers in parallel, in no order; the first error stops what has not begun.
///
/// # Errors
/// One of those that `f` returned.
pub fn each_in_parallel(
    n: usize,
    f: impl Fn(usize) -> Result<(), Diagnostic> + Sync,
) -> Result<(), Diagnostic> {
    (0..n).into_par_iter().with_max_len(1).try_for_each(&f)
}

/// `f(0), f(1), …, f(n − 1)` in parallel, in order; the first error by number, if any.
///
/// # Errors
/// That of the lowest number that fails.
pub fn in_parallel<T: Send>(
    n: usize,
    f: impl Fn(usize) -> Result<T, Diagnostic> + Sync,
) -> Result<Vec<T>, Diagnostic> {
    let all: Vec<Result<T, Diagnostic>> = (0..n).into_par_iter().map(&f).collect();
    all.into_iter().collect()
}
