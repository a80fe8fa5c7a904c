//! The threads that searches run on.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rayon::{ThreadBuilder, ThreadPoolBuilder};

/// Begins as many threads as the machine has cores, or `RAYON_NUM_THREADS` says, or as many of them as can be had; where
/// there are none to be had, searches run on the calling thread. Without this call they are begun by the first search, which
/// fails where one of them cannot be had. It does nothing where they have begun.
pub fn begin() {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
    let wanted = asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let waiting: Vec<Sender<ThreadBuilder>> = (0..wanted).map_while(|_| one()).collect();
    let builder = match waiting.len() {
        0 => ThreadPoolBuilder::new().num_threads(1).use_current_thread(),
        n => ThreadPoolBuilder::new().num_threads(n),
    };
    let mut waiting = waiting.into_iter();
    let hand = |work: ThreadBuilder| {
        let gone = || std::io::Error::other("a thread has ended");
        waiting.next().ok_or_else(gone)?.send(work).map_err(|_| gone())
    };
    // It fails where threads have begun already, which serve as well.
    let _ = builder.spawn_handler(hand).build_global();
}

/// A thread that waits for its work.
fn one() -> Option<Sender<ThreadBuilder>> {
    let (send, receive): (Sender<ThreadBuilder>, Receiver<ThreadBuilder>) = channel();
    let run = move || receive.recv().map_or((), ThreadBuilder::run);
    thread::Builder::new().name("search".to_owned()).spawn(run).ok().map(|_| send)
}
