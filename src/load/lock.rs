//! A folder that one process writes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic};

/// The file in a folder that is locked. One that a killed process left behind is locked by nobody, and in nobody's way.
const NAME: &str = ".shardfit.lock";

/// A folder that this process alone writes, as long as this lives.
#[derive(Debug)]
pub struct Lock {
    /// Locked until it is dropped, after the file is gone.
    _file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Keeps other processes from writing a folder.
///
/// # Errors
/// [`Code::File`] when another process writes there, or the folder takes no files.
pub fn lock(folder: &Path) -> Result<Lock, Diagnostic> {
    let fail = |cause: String| Diagnostic::new(Code::File, cause).at(folder.display().to_string());
    let busy = || fail("another run writes here".into()).help("wait for it, or write to another folder");
    let path = folder.join(NAME);
    // Whoever held it last may remove the file between our opening and locking it: then another one counts.
    for _ in 0..100 {
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|e| fail(format!("cannot write here: {e}")))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(busy()),
            // A file system without locks is no reason to fail.
            _ if stands(&file, &path) => return Ok(Lock { _file: file, path }),
            _ => {}
        }
    }
    Err(busy())
}

/// Whether a path still names an open file.
#[cfg(unix)]
fn stands(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Whether a path still names an open file: one that is open keeps its name here.
#[cfg(not(unix))]
fn stands(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_one_that_is_let_go_is_not_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(lock(folder.path()).unwrap_err().cause.contains("another run"));
        drop(first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // What a killed process leaves is a file without a lock.
        fs::write(folder.path().join(NAME), "").unwrap();
        assert!(lock(folder.path()).is_ok());
    }

    #[test]
    fn of_many_that_lock_at_once_one_at_a_time_writes() {
        let folder = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(_lock) = lock(folder.path()) else { continue };
                        use std::sync::atomic::Ordering::SeqCst;
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                    }
                });
            }
        });
    }
}
