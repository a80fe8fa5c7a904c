//! Times of kernels that were worked out before: steps that differ in the context of what decodes alone have all but
//! those of its attention in common.

use crate::model::operator::Step;
use crate::units::Seconds;

/// Steps that are remembered at a time, a power of two.
const MOST: usize = 1 << 12;

/// What a step is, but for the context.
type Key = [u64; 6];

fn key(step: &Step) -> Key {
    // Named one by one, so that another part of a step cannot be forgotten.
    let Step {
        prefill_tokens,
        prefill_sequences,
        prefill_prior,
        decode_sequences,
        context: _,
        idle_share,
        drafted,
    } = step;
    [*prefill_tokens, *prefill_sequences, *prefill_prior, *decode_sequences, *idle_share, *drafted]
        .map(f64::to_bits)
}

/// Where a step is looked for.
fn place(key: &Key) -> usize {
    let mixed = key
        .iter()
        .fold(0u64, |mixed, word| (mixed.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    (mixed >> (u64::BITS - MOST.trailing_zeros())) as usize
}

/// Times of the kernels of one program in the steps that came last.
#[derive(Clone, Debug, Default)]
pub struct Recall {
    /// The number of what is remembered in each place, counted from 1.
    places: Vec<u32>,
    keys: Vec<Key>,
    /// As many for each key as the program has kernels.
    times: Vec<Seconds>,
}

impl Recall {
    /// The times of a program's `kernels` kernels in a step, of which `fill` writes those that are not known.
    pub(super) fn times(
        &mut self,
        step: &Step,
        kernels: usize,
        fill: impl FnOnce(&mut [Seconds]),
    ) -> &[Seconds] {
        if self.places.is_empty() {
            self.places.resize(MOST, 0);
        }
        let key = key(step);
        let place = &mut self.places[place(&key)];
        let is_new = *place == 0;
        if is_new {
            self.keys.push(key);
            self.times.resize(self.keys.len() * kernels, Seconds::ZERO);
            *place = self.keys.len() as u32;
        }
        let number = *place as usize - 1;
        let times = &mut self.times[number * kernels..][..kernels];
        if is_new || self.keys[number] != key {
            self.keys[number] = key;
            fill(times);
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_filled_once_whatever_its_context() {
        let (mut recall, mut filled) = (Recall::default(), 0);
        for round in 0..3 {
            for sequences in 1..=50 {
                let step = Step::decode(f64::from(sequences), 1000.0 + f64::from(round));
                let times = recall.times(&step, 2, |times| {
                    filled += 1;
                    times.fill(Seconds::new(f64::from(sequences)));
                });
                assert_eq!(times, [Seconds::new(f64::from(sequences)); 2]);
            }
        }
        // Two steps that share a place drive each other out.
        assert!((50..60).contains(&filled), "{filled}");
    }

    #[test]
    fn no_more_than_some_are_remembered() {
        let mut recall = Recall::default();
        for sequences in 1..=20_000 {
            let step = Step::decode(f64::from(sequences), 1.0);
            let got = recall.times(&step, 1, |times| times[0] = Seconds::new(f64::from(sequences)))[0];
            assert_eq!(got, Seconds::new(f64::from(sequences)));
        }
        assert!(recall.keys.len() <= MOST && recall.times.len() <= MOST);
    }
}
