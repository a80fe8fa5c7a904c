//! Long questions that are kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

/// Jobs that are kept after their end, the youngest.
const KEPT: usize = 64;

/// Where a job stands.
#[derive(Clone, Debug)]
pub enum Stand {
    /// So many requests are answered, of so many where that is known.
    Running(u64, Option<u64>),
    /// Its answer, and of a simulation the queue and the cache over time.
    Done(String, Value),
    /// What was wrong.
    Failed(Value),
}

/// One long question.
#[derive(Debug)]
pub struct Job {
    /// Raised by whoever wants it to end.
    pub cancelled: AtomicBool,
    /// Where it stands, for all who watch.
    pub stand: watch::Sender<Stand>,
}

/// Every job that is kept.
#[derive(Debug, Default)]
pub struct Jobs {
    next: AtomicU64,
    all: Mutex<BTreeMap<u64, Arc<Job>>>,
}

impl Jobs {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Job>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are kept.
    pub fn kept(&self) -> usize {
        self.all().len()
    }

    /// A job by its id in hexadecimal digits.
    pub fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.all().get(&u64::from_str_radix(id, 16).ok()?).cloned()
    }

    /// Makes room for a job; `None` where as many run as may.
    pub fn add(&self, most: usize) -> Option<(u64, Arc<Job>)> {
        let mut all = self.all();
        let running = |job: &Arc<Job>| matches!(*job.stand.borrow(), Stand::Running(..));
        if all.values().filter(|job| running(job)).count() >= most {
            return None;
        }
        while all.len() >= KEPT {
            let oldest = all.iter().find(|(_, job)| !running(job)).map(|(id, _)| *id)?;
            all.remove(&oldest);
        }
        // Numbers that cannot be guessed from each other: those of others are no one's business.
        let seed = self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| d.as_nanos() as u64),
        );
        let id = mixed(seed);
        let job = Arc::new(Job {
            cancelled: AtomicBool::new(false),
            stand: watch::Sender::new(Stand::Running(0, None)),
        });
        all.insert(id, job.clone());
        Some((id, job))
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014).
fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
