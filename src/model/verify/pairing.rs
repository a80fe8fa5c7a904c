//! Which of our tensors is which of the checkpoint's, in one place.

use crate::dtype::{DType, WeightFormat};

use super::stored::Have;
use super::want::Want;

/// What is wrong with a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Another shape than ours.
    Shape,
    /// Another type than ours.
    Type,
    /// Ours, and not in the checkpoint.
    Missing,
    /// In the checkpoint, and not ours.
    Unexpected,
}

impl Kind {
    /// Name, as printed.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Shape => "shape differs",
            Kind::Type => "type differs",
            Kind::Missing => "missing",
            Kind::Unexpected => "unexpected",
        }
    }
}

/// What came of one place.
#[derive(Debug, Default)]
pub(super) struct Paired {
    pub agreeing: u64,
    pub passed_over: u64,
    pub parameters: u64,
    pub bytes: u64,
    /// Kind, name, ours, theirs.
    pub findings: Vec<(Kind, String, String, String)>,
}

/// Most tensors that are fused into one (Mamba's and the delta rule's input projections).
const MOST_FUSED: usize = 6;

/// Buffers that some classes count as parameters and others do not: passed over where ours does not.
const MAYBE_BUFFERS: &[&str] = &["e_score_correction_bias", "expert_bias", "rotary_emb.freqs"];

/// Pairs them off: by name and size, by size, by the size of several together; what is then left under
/// the same name differs in shape, the rest is missing or unexpected.
pub(super) fn pair(mut mine: Vec<Want>, mut theirs: Vec<Have>, tied: bool) -> Paired {
    let mut out = Paired::default();
    each(&mut mine, &mut theirs, &mut out, |want, have| same_name(want, have) && same_size(want, have));
    each(&mut mine, &mut theirs, &mut out, same_size);
    fused(&mut mine, &mut theirs, &mut out);
    split(&mut mine, &mut theirs, &mut out);
    theirs.retain(|have| {
        let shared = tied && have.name.ends_with("lm_head.weight");
        let over = shared || MAYBE_BUFFERS.iter().any(|end| have.name.ends_with(end));
        if over {
            out.passed_over += have.copies;
        }
        !over
    });
    for have in &theirs {
        out.parameters = out.parameters.saturating_add(have.elements.saturating_mul(have.copies));
        out.bytes = out.bytes.saturating_add(have.bytes);
        let found = shape(have);
        match mine.iter().position(|want| same_name(want, have)) {
            Some(at) => {
                let want = mine.remove(at);
                out.findings.push((Kind::Shape, have.name.clone(), want.shape(), found));
            }
            None => out.findings.push((Kind::Unexpected, have.name.clone(), String::new(), found)),
        }
    }
    for want in mine {
        out.findings.push((Kind::Missing, want.name.clone(), want.shape(), String::new()));
    }
    out
}

/// Takes out every pair of one and one that satisfies `test`.
fn each(mine: &mut Vec<Want>, theirs: &mut Vec<Have>, out: &mut Paired, test: impl Fn(&Want, &Have) -> bool) {
    theirs.retain(|have| match mine.iter().position(|want| test(want, have)) {
        Some(at) => {
            let want = mine.remove(at);
            out.agree(&[want], &[have]);
            false
        }
        None => true,
    });
}

/// Takes out tensors of the checkpoint that are several of ours, which stand in a row.
fn fused(mine: &mut Vec<Want>, theirs: &mut Vec<Have>, out: &mut Paired) {
    theirs.retain(|have| {
        let candidates: Vec<usize> =
            (0..mine.len()).filter(|at| (mine[*at].columns == 1) == is_vector(have)).collect();
        let run = runs(&candidates).find(|run| {
            totals(have).contains(&run.iter().map(|at| mine[*at].total()).fold(0, u64::saturating_add))
        });
        let Some(run) = run else { return true };
        let taken: Vec<Want> = run.iter().rev().map(|at| mine.remove(*at)).collect();
        out.agree(&taken, &[have]);
        false
    });
}

/// Takes out ours that are several tensors of the checkpoint, which stand in a row.
fn split(mine: &mut Vec<Want>, theirs: &mut Vec<Have>, out: &mut Paired) {
    mine.retain(|want| {
        let candidates: Vec<usize> =
            (0..theirs.len()).filter(|at| (want.columns == 1) == is_vector(&theirs[*at])).collect();
        let run = runs(&candidates).find(|run| {
            let sum = run.iter().map(|at| totals(&theirs[*at])[0]).fold(0, u64::saturating_add);
            sum == want.total()
        });
        let Some(run) = run else { return true };
        let taken: Vec<Have> = run.iter().rev().map(|at| theirs.remove(*at)).collect();
        out.agree(std::slice::from_ref(want), &taken.iter().collect::<Vec<_>>());
        false
    });
}

/// Two to six neighbours.
fn runs(of: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (2..=MOST_FUSED).flat_map(move |n| of.windows(n).map(<[usize]>::to_vec))
}

impl Paired {
    /// These are the same weights; their types may still differ.
    fn agree(&mut self, mine: &[Want], theirs: &[&Have]) {
        for want in mine {
            self.parameters = self.parameters.saturating_add(want.total());
        }
        let format = mine.iter().map(|want| want.storage.format).max_by_key(|f| f.is_quantised());
        for have in theirs {
            self.bytes = self.bytes.saturating_add(have.bytes);
            match format {
                Some(format) if !fits(format, have) => {
                    let finding =
                        (Kind::Type, have.name.clone(), format.name().to_owned(), have.dtype.to_owned());
                    self.findings.push(finding);
                }
                _ => self.agreeing += have.copies,
            }
        }
    }
}

/// Whether a weight of ours would be stored as this.
fn fits(format: WeightFormat, have: &Have) -> bool {
    match format.element() {
        DType::Fp32 => have.dtype == "F32",
        DType::Bf16 => have.dtype == "BF16",
        DType::Fp16 => have.dtype == "F16",
        DType::Fp8 => matches!(have.dtype, "F8_E4M3" | "F8_E5M2"),
        DType::Int8 | DType::Q8_0 => have.dtype == "I8" || have.packed,
        DType::Int4 | DType::Q4_0 | DType::Fp4 => have.packed || have.dtype == "F4",
    }
}

fn same_name(want: &Want, have: &Have) -> bool {
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    ends(&have.name, &want.name) || ends(&want.name, &have.name)
}

fn same_size(want: &Want, have: &Have) -> bool {
    if !totals(have).contains(&want.total()) {
        return false;
    }
    // Packed weights, and experts in one tensor, are known by their number alone.
    if have.packed || have.copies != want.copies {
        return true;
    }
    let wide = |n: &&u64| **n != 1;
    let mut theirs: Vec<u64> = have.shape.iter().filter(wide).copied().collect();
    let mut ours: Vec<u64> = [want.rows, want.columns].iter().filter(wide).copied().collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    theirs == ours || theirs.len() > 2
}

/// Parameters in all copies: as stored, or if packed in four bits and in eight.
fn totals(have: &Have) -> [u64; 2] {
    let all = have.elements.saturating_mul(have.copies);
    [all, if have.packed { all / 2 } else { all }]
}

fn is_vector(have: &Have) -> bool {
    have.shape.iter().filter(|n| **n != 1).count() <= 1
}

fn shape(have: &Have) -> String {
    let dimensions: Vec<String> = have.shape.iter().map(u64::to_string).collect();
    let one = dimensions.join(" × ");
    let one = if one.is_empty() { "1".to_owned() } else { one };
    if have.copies == 1 { one } else { format!("{} of {one}", have.copies) }
}
