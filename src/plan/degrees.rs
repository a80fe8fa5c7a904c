//! Values of an axis as text: a value, a list (`2,4`) or a range (`1..4`, both ends included).

use crate::diagnostic::{Code, Diagnostic, brief};

/// Largest parallel degree accepted.
pub const MAX_DEGREE: u32 = 65_536;

/// The values that a text names, each once, in order.
///
/// # Errors
/// [`Code::Range`] for what is no whole number from 1 to [`MAX_DEGREE`], and for a range that ends before it
/// begins.
pub fn values(text: &str) -> Result<Vec<u32>, Diagnostic> {
    let wrong = |part: &str| {
        Diagnostic::new(Code::Range, format!("`{}` is not a degree", brief(part)))
            .help(format!("whole numbers from 1 to {MAX_DEGREE}: a value, a list 2,4 or a range 1..4"))
    };
    let number = |part: &str| match part.trim().parse::<u32>() {
        Ok(n) if (1..=MAX_DEGREE).contains(&n) => Ok(n),
        _ => Err(wrong(part)),
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None => all.push(number(part)?),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to.trim_start_matches('='))?);
                if from > to {
                    return Err(wrong(part));
                }
                all.extend(from..=to);
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Degrees that a split may have; empty means free.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Degrees {
    /// Tensor parallel.
    pub tp: Vec<u32>,
    /// Pipeline stages.
    pub pp: Vec<u32>,
    /// Attention data parallel.
    pub attention_dp: Vec<u32>,
    /// Expert parallel.
    pub ep: Vec<u32>,
    /// Decode context parallel.
    pub dcp: Vec<u32>,
}
