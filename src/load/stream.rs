//! A file that is written piece by piece and appears when it is whole.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{check_writable, folder_of, place, temporary};
use crate::diagnostic::{Code, Diagnostic};

/// A file under way: its target holds the old contents until [`Stream::finish`].
#[derive(Debug)]
pub struct Stream {
    file: BufWriter<NamedTempFile>,
    target: PathBuf,
}

impl Stream {
    /// Begins a file.
    ///
    /// # Errors
    /// [`Code::File`] when the folder is missing or not writable.
    pub fn create(path: &Path) -> Result<Stream, Diagnostic> {
        check_writable(path)?;
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Ok(Stream { file: BufWriter::new(temporary(path, folder_of(&target))?), target })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Code::File`] when the disk is full, for example.
    pub fn finish(self) -> Result<(), Diagnostic> {
        let target = self.target;
        let fail = |e: io::Error| {
            Diagnostic::new(Code::File, format!("cannot write: {e}")).at(target.display().to_string())
        };
        let file = self.file.into_inner().map_err(|e| fail(e.into_error()))?;
        place(file, &target, std::fs::metadata(&target).ok()).map_err(fail)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
