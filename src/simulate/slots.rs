//! Places for what is in flight, used again when free: memory grows with the most at a time.

use std::ops::{Index, IndexMut};

/// Values by a number that stays theirs until they are removed.
#[derive(Debug)]
pub struct Slots<T> {
    values: Vec<T>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    /// None.
    pub fn new() -> Slots<T> {
        Slots { values: Vec::new(), free: Vec::new() }
    }

    /// Finds a place for a value.
    pub fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(slot) => {
                self.values[slot] = value;
                slot
            }
            None => {
                self.values.push(value);
                self.values.len() - 1
            }
        }
    }

    /// Gives a place back.
    pub fn remove(&mut self, slot: usize) {
        self.free.push(slot);
    }
}

impl<T> Index<usize> for Slots<T> {
    type Output = T;
    fn index(&self, slot: usize) -> &T {
        &self.values[slot]
    }
}

impl<T> IndexMut<usize> for Slots<T> {
    fn index_mut(&mut self, slot: usize) -> &mut T {
        &mut self.values[slot]
    }
}
