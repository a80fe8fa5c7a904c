//! Times of kernels that were worked out before: each depends on a part of the step alone, and steps have parts in
//! common.

use crate::model::operator::Step;
use crate::units::Seconds;

/// Steps that are remembered at a time, a power of two.
const MOST: usize = 1 << 11;

/// What of a step the time of a kernel depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Varies {
    /// Its tokens, here and on other ranks, and whether there are prompts among them.
    Tokens,
    /// The positions whose next token is sampled, and whether there are prompts.
    Emitting,
    /// Anything but the context of what decodes.
    Step,
    /// That too: it is not remembered.
    Context,
}

impl Varies {
    /// Those that are remembered.
    const KNOWN: [Varies; 3] = [Varies::Tokens, Varies::Emitting, Varies::Step];

    /// What it is of a step.
    fn key(self, step: &Step) -> Key {
        let prompts = f64::from(u8::from(step.prefill_tokens > 0.0));
        // All parts are named, so that a new one cannot be forgotten.
        let Step {
            prefill_tokens,
            prefill_sequences,
            prefill_prior,
            decode_sequences,
            context,
            idle_share,
            drafted,
        } = *step;
        let parts = match self {
            Varies::Tokens => [step.tokens(), idle_share, prompts, 0.0, 0.0, 0.0, 0.0],
            Varies::Emitting => {
                let some = f64::from(u8::from(step.tokens() > 0.0));
                [step.emitting(), some, prompts, 0.0, 0.0, 0.0, 0.0]
            }
            Varies::Step | Varies::Context => {
                let context = if self == Varies::Context { context } else { 0.0 };
                let decode = [decode_sequences, idle_share, drafted, context];
                let [a, b, c, d] = decode;
                [prefill_tokens, prefill_sequences, prefill_prior, a, b, c, d]
            }
        };
        parts.map(f64::to_bits)
    }
}

/// A part of a step.
type Key = [u64; 7];

/// Where a step is looked for.
fn place(key: &Key) -> usize {
    let mixed = key
        .iter()
        .fold(0u64, |mixed, word| (mixed.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    (mixed >> (u64::BITS - MOST.trailing_zeros())) as usize
}

/// Which kernels of a program are remembered, by what of a step they depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Remembered([Vec<usize>; Varies::KNOWN.len()]);

impl Remembered {
    /// Adds a kernel, by its number in the program.
    pub(super) fn add(&mut self, varies: Varies, kernel: usize) {
        let mut each = Varies::KNOWN.into_iter().zip(&mut self.0);
        if let Some((_, kernels)) = each.find(|(known, _)| *known == varies) {
            kernels.push(kernel);
        }
    }
}

/// Times of the kernels of one program in the steps that came last.
#[derive(Clone, Debug, Default)]
pub struct Recall {
    tables: [Table; Varies::KNOWN.len()],
    /// Those of the step at hand.
    times: Vec<Seconds>,
}

impl Recall {
    /// The times of a program's kernels in a step, of which `time` says those that are not known. Those that depend on the
    /// context are left as they are.
    pub(super) fn times(
        &mut self,
        step: &Step,
        (kernels, remembered): (usize, &Remembered),
        time: impl Fn(usize) -> Seconds,
    ) -> &[Seconds] {
        if self.times.len() != kernels {
            self.times.resize(kernels, Seconds::ZERO);
        }
        let tables = Varies::KNOWN.into_iter().zip(&mut self.tables).zip(&remembered.0);
        for ((varies, table), mine) in tables.filter(|(_, mine)| !mine.is_empty()) {
            let (is_known, known) = table.at(varies.key(step), mine.len());
            if !is_known {
                known.iter_mut().zip(mine).for_each(|(known, i)| *known = time(*i));
            }
            known.iter().zip(mine).for_each(|(known, i)| self.times[*i] = *known);
        }
        &self.times
    }
}

/// Times by one part of a step.
#[derive(Clone, Debug, Default)]
struct Table {
    /// The number of what is remembered in each place, counted from 1.
    places: Vec<u32>,
    keys: Vec<Key>,
    /// As many for each key as kernels depend on it.
    times: Vec<Seconds>,
}

impl Table {
    /// Where times of a key stand, and whether they do already.
    fn at(&mut self, key: Key, kernels: usize) -> (bool, &mut [Seconds]) {
        if self.places.is_empty() {
            self.places.resize(MOST, 0);
        }
        let place = &mut self.places[place(&key)];
        let is_new = *place == 0;
        if is_new {
            self.keys.push(key);
            self.times.resize(self.keys.len() * kernels, Seconds::ZERO);
            *place = self.keys.len() as u32;
        }
        let number = *place as usize - 1;
        let is_known = !is_new && self.keys[number] == key;
        self.keys[number] = key;
        (is_known, &mut self.times[number * kernels..][..kernels])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Kernels that take as many seconds as the part of the step is that they depend on.
    const KERNELS: [Varies; 3] = [Varies::Step, Varies::Tokens, Varies::Emitting];

    fn look(recall: &mut Recall, step: &Step, timed: &Cell<usize>) {
        let parts = [step.decode_sequences, step.tokens(), step.emitting()].map(Seconds::new);
        let time = |i: usize| {
            timed.set(timed.get() + 1);
            parts[i]
        };
        let mut remembered = Remembered::default();
        KERNELS.into_iter().enumerate().for_each(|(i, varies)| remembered.add(varies, i));
        assert_eq!(recall.times(step, (KERNELS.len(), &remembered), time), parts);
    }

    #[test]
    fn a_kernel_is_timed_once_for_the_part_of_steps_that_it_depends_on() {
        let (mut recall, timed) = (Recall::default(), Cell::new(0));
        for round in 0..3 {
            for sequences in 1..=50 {
                let step = Step::decode(f64::from(sequences), 1000.0 + f64::from(round));
                look(&mut recall, &step, &timed);
            }
        }
        // Two that share a place drive each other out.
        assert!((150..250).contains(&timed.get()), "{}", timed.get());
        timed.set(0);
        // As many tokens in all, however they divide.
        for decoding in 1..=20 {
            let (n, decoding) = (1.0, f64::from(decoding));
            let prompt = Step::prefill(n, 1000.0 - decoding);
            look(&mut recall, &Step { decode_sequences: decoding, ..prompt }, &timed);
        }
        assert!((41..60).contains(&timed.get()), "{}", timed.get());
    }

    #[test]
    fn no_more_than_some_are_remembered() {
        let (mut recall, timed) = (Recall::default(), Cell::new(0));
        for sequences in 1..=20_000 {
            look(&mut recall, &Step::decode(f64::from(sequences), 1.0), &timed);
        }
        let most = |table: &Table| table.keys.len() <= MOST && table.times.len() <= MOST * KERNELS.len();
        assert!(recall.tables.iter().all(most));
    }
}
