//! A fixed sequence of numbers: the same seed makes the same inputs.

/// xorshift64* (Vigna 2016).
pub struct Dice(u64);

impl Dice {
    /// One per input, so that each can be made again alone.
    pub fn new(seed: u64, number: u64) -> Dice {
        let mut dice = Dice((seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        (0..4).for_each(|_| {
            dice.throw(2);
        });
        dice
    }

    /// A number below `n`.
    pub fn throw(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.throw(of.len())]
    }
}
