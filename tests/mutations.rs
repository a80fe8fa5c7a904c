//! Mutated configurations, GGUF and safetensors headers through the intake: no panic, no more memory than a few MiB or
//! a few times what a header is long.
//!
//! `SHARDFIT_MUTATIONS=10000000 SHARDFIT_SEED=7 cargo test --release --test mutations -- --nocapture`
//! runs more of them than the usual number, and says how many were models and what the worst took.

#[allow(dead_code)]
#[path = "it/common/gguf_file.rs"]
mod gguf_file;
#[path = "it/common/odd.rs"]
mod odd;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use odd::{exercise, oddities, small, wrapped};
use peak_alloc::PeakAlloc;
use serde_json::{Map, Value, json};
use shardfit::catalog::{self, Kind};
use shardfit::checkpoint::{Weights, gguf, safetensors_header};
use shardfit::model::{self, FAMILIES, Scope, config, verify};

/// Memory is counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Bytes changed, lost, repeated, or set to what a length can claim.
fn garbled(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.throw(4) {
        let at = dice.throw(bytes.len());
        match dice.throw(5) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = dice.throw(256) as u8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..(at + dice.throw(9)).min(bytes.len()))),
            3 => {
                let again = bytes[at..(at + dice.throw(40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let claim = (1_u64 << dice.throw(64)).wrapping_sub(dice.throw(2) as u64).to_le_bytes();
                bytes.iter_mut().skip(at).zip(claim).for_each(|(byte, claimed)| *byte = claimed);
            }
        }
    }
    bytes
}

/// Reads mutations of `whole`; each may take 16 times its length and what a small model takes.
fn headers_are_read_within_bounds(whole: &[u8], read: impl Fn(&[u8])) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (count, seed) = (setting("SHARDFIT_MUTATIONS", 3000), setting("SHARDFIT_SEED", 1));
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    // What is made once is made before memory is counted.
    read(whole);
    for number in 0..count {
        let bytes = garbled(whole, &mut dice);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let ended = catch_unwind(AssertUnwindSafe(|| read(&bytes)));
        let took = MEMORY.peak_usage().saturating_sub(before);
        assert!(ended.is_ok(), "panics, seed {seed} number {number}");
        assert!(
            took <= 16 * bytes.len() + (1 << 20),
            "{took} bytes for {}, seed {seed} number {number}",
            bytes.len()
        );
    }
}

#[test]
fn mutated_gguf_headers_end_in_a_model_or_an_error_and_take_little_memory() {
    let whole = gguf_file::whole();
    // The header: the weights that follow are never read.
    let header = 24 + whole.metadata.len() + whole.table.len();
    let (length, bytes) = (whole.bytes().len() as u64, whole.bytes());
    headers_are_read_within_bounds(&bytes[..header], |bytes| {
        let Ok(file) = gguf::read(bytes, "odd", Some(length)) else { return };
        if let Ok(model) = model::from_gguf(&file, "odd", Scope::Full) {
            let _ = model.checkpoint_bytes();
        }
    });
}

#[test]
fn mutated_safetensors_headers_end_in_tensors_or_an_error_and_take_little_memory() {
    let model = model::find("smollm2-135m", &[], Scope::Full).unwrap();
    let entry = |i: u64| {
        let name = format!("model.layers.{i}.self_attn.q_proj.weight");
        (
            name,
            json!({"dtype": "BF16", "shape": [576, 576], "data_offsets": [i * 663_552, (i + 1) * 663_552]}),
        )
    };
    let table: Map<String, Value> = (0..30).map(entry).collect();
    let table = Value::Object(table).to_string();
    let mut bytes = (table.len() as u64).to_le_bytes().to_vec();
    bytes.extend(table.as_bytes());
    headers_are_read_within_bounds(&bytes, |bytes| {
        if let Ok(tensors) = safetensors_header(bytes, "odd") {
            let _ = verify::verify(&model, &Weights { tensors, files: 1 });
        }
    });
}
