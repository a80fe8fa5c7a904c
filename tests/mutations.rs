//! Mutated configurations through the intake: no panic, and no more memory than a few MiB.
//!
//! `SHARDFIT_MUTATIONS=10000000 SHARDFIT_SEED=7 cargo test --release --test mutations -- --nocapture`
//! runs more of them than the usual number, and says how many were models and what the worst took.

#[path = "it/common/odd.rs"]
mod odd;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use odd::{exercise, oddities, small, wrapped};
use peak_alloc::PeakAlloc;
use serde_json::{Map, Value, json};
use shardfit::catalog::{self, Kind};
use shardfit::model::{FAMILIES, config};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most memory that reading one configuration may take at its peak. The largest are of a thousand
/// layers, each of its own kind.
const MOST_BYTES: usize = 8 << 20;

/// A fixed sequence of numbers: the same seed makes the same configurations.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, n: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.throw(of.len())]
    }
}

/// What is mutated: a small configuration of every family, the same with towers, and the catalogue's.
fn bases() -> Vec<Map<String, Value>> {
    let types: Vec<&str> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
    let entries = catalog::entries(Kind::Model).iter();
    let known = entries.filter_map(|entry| config::parse(entry.json, entry.id).ok());
    types.iter().map(|t| small(t)).chain(types.iter().map(|t| wrapped(t))).chain(known).collect()
}

/// A number as a file may have it: small, near a power of two, or far too large.
fn number(dice: &mut Dice) -> Value {
    match dice.throw(5) {
        0 => json!(dice.throw(20)),
        1 => json!(1_u64 << dice.throw(63)),
        2 => json!((1_u64 << dice.throw(63)).wrapping_sub(1)),
        3 => json!(-(dice.throw(1000) as i64)),
        _ => json!(dice.throw(100_000) as f64 / 7.0),
    }
}

/// One to four changes of fields, here or in a nested object.
fn mutate(map: &mut Map<String, Value>, bases: &[Map<String, Value>], odd: &[Value], dice: &mut Dice) {
    for _ in 0..=dice.throw(4) {
        let keys: Vec<String> = map.keys().cloned().collect();
        let key = if keys.is_empty() { "hidden_size".to_owned() } else { dice.pick(&keys).clone() };
        match dice.throw(7) {
            0 => drop(map.remove(&key)),
            1 | 2 => drop(map.insert(key, number(dice))),
            3 => drop(map.insert(key, dice.pick(odd).clone())),
            4 => {
                // A field of another model, under its own name.
                let other = dice.pick(bases);
                if let Some((name, value)) = other.iter().nth(dice.throw(other.len())) {
                    map.insert(name.clone(), value.clone());
                }
            }
            5 => match map.get_mut(&key) {
                Some(Value::Object(inner)) => mutate(inner, bases, odd, dice),
                Some(Value::Array(list)) if !list.is_empty() => {
                    let at = dice.throw(list.len());
                    list[at] = dice.pick(odd).clone();
                }
                _ => {}
            },
            _ => {
                let nested = Value::Object(dice.pick(bases).clone());
                map.insert((*dice.pick(&["text_config", "vision_config", "llm_config"])).into(), nested);
            }
        }
    }
}

/// The text with some bytes changed, lost or repeated.
fn garble(text: &str, dice: &mut Dice) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.throw(4) {
        let at = dice.throw(bytes.len());
        match dice.throw(4) {
            0 if !bytes.is_empty() => bytes[at] = *dice.pick(b"0129-.eE\"{}[],:nft\\ \n"),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..(at + dice.throw(9)).min(bytes.len()))),
            _ => {
                let again = bytes[at..(at + dice.throw(40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn mutated_configurations_end_in_a_model_or_an_error_and_take_little_memory() {
    let (count, seed) = (setting("SHARDFIT_MUTATIONS", 3000), setting("SHARDFIT_SEED", 1));
    let (bases, odd) = (bases(), oddities());
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut most, mut slowest) = (0, Duration::ZERO);
    let start = Instant::now();
    for number in 0..count {
        let mut map = dice.pick(&bases).clone();
        mutate(&mut map, &bases, &odd, &mut dice);
        let text = dice.throw(4).eq(&0).then(|| garble(&Value::Object(map.clone()).to_string(), &mut dice));
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let began = Instant::now();
        let read = catch_unwind(AssertUnwindSafe(|| match &text {
            None => exercise(&map),
            Some(text) => config::parse(text, "odd").iter().for_each(exercise),
        }));
        let took = MEMORY.peak_usage().saturating_sub(before);
        let shown = || text.clone().unwrap_or_else(|| Value::Object(map.clone()).to_string());
        assert!(read.is_ok(), "panics, seed {seed} number {number}: {}", shown());
        assert!(took <= MOST_BYTES, "{took} bytes, seed {seed} number {number}: {}", shown());
        most = most.max(took);
        slowest = slowest.max(began.elapsed());
    }
    println!(
        "{count} configurations, seed {seed}: {:.0} s, slowest {slowest:?}, most memory {} KiB",
        start.elapsed().as_secs_f64(),
        most / 1024
    );
}
