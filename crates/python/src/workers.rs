//! The threads that work is done on: as many as the machine has cores, made anew in a process that was forked, where
//! those of its parent do not exist.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// The threads, and the process that they are of.
static WORKERS: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// The threads of this process.
pub fn workers() -> Result<Arc<ThreadPool>, ThreadPoolBuildError> {
    let mut workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
    let here = process::id();
    if let Some((process, pool)) = &*workers
        && *process == here
    {
        return Ok(Arc::clone(pool));
    }
    let pool = Arc::new(ThreadPoolBuilder::new().thread_name(|n| format!("shardfit-{n}")).build()?);
    if let Some((_, of_parent)) = workers.replace((here, Arc::clone(&pool))) {
        // To drop it would wait for threads that are not there.
        std::mem::forget(of_parent);
    }
    Ok(pool)
}
