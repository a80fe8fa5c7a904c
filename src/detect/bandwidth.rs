//! How fast this host reads its memory.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use crate::units::BytesPerSecond;

/// How long threads read.
const SPAN: Duration = Duration::from_millis(500);

/// Words that one thread reads again and again: 64 MiB, more than its share of any cache.
const WORDS: usize = 8 * 1024 * 1024;

/// More threads than this add nothing, and each takes memory.
const MOST_THREADS: usize = 64;

/// What all threads together read of the memory in half a second, as engines read weights: each from one end of a
/// stretch of its own to the other.
pub fn measured() -> BytesPerSecond {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let readers: Vec<_> = (0..threads).map(|seed| thread::spawn(move || read(seed as u64))).collect();
    let rates = readers.into_iter().filter_map(|reader| reader.join().ok());
    BytesPerSecond::new(rates.sum())
}

/// Bytes a second that one thread reads.
fn read(seed: u64) -> f64 {
    let words: Vec<u64> = (0..WORDS as u64).map(|n| n ^ seed).collect();
    let (began, mut passes) = (Instant::now(), 0u32);
    while began.elapsed() < SPAN {
        let mut sums = [0u64; 8];
        for chunk in black_box(&words).chunks_exact(8) {
            for (sum, word) in sums.iter_mut().zip(chunk) {
                *sum = sum.wrapping_add(*word);
            }
        }
        black_box(sums);
        passes += 1;
    }
    f64::from(passes) * (WORDS * 8) as f64 / began.elapsed().as_secs_f64()
}
