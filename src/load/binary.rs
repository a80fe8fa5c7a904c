//! Parts of files that are too large to read whole.

use std::fs;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::diagnostic::{Code, Diagnostic};

/// An open file of which parts are read.
#[derive(Debug)]
pub struct Binary {
    file: fs::File,
    length: u64,
    place: String,
}

impl Binary {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Code::File`] when it is missing, unreadable or no ordinary file.
    pub fn open(path: &Path) -> Result<Binary, Diagnostic> {
        let place = path.display().to_string();
        let fail = |cause: String| Diagnostic::new(Code::File, cause).at(place.clone());
        let file = super::ordinary(path)?;
        let metadata = file.metadata().map_err(|e| fail(format!("cannot read file: {e}")))?;
        Ok(Binary { file, length: metadata.len(), place })
    }

    /// Bytes in the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its path, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// `count` bytes from `offset`. The caller bounds `count`; no more than the file has is allocated.
    ///
    /// # Errors
    /// [`Code::File`] when the file ends before.
    pub fn read_at(&self, offset: u64, count: u64) -> Result<Vec<u8>, Diagnostic> {
        let fail = |cause: String| Diagnostic::new(Code::File, cause).at(self.place.clone());
        if offset.checked_add(count).is_none_or(|end| end > self.length) {
            return Err(fail(format!("the file ends after {} bytes (is it truncated?)", self.length)));
        }
        let mut file = &self.file;
        let mut out = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(|e| fail(format!("cannot read file: {e}")))?;
        file.take(count).read_to_end(&mut out).map_err(|e| fail(format!("cannot read file: {e}")))?;
        if out.len() as u64 != count {
            return Err(fail("the file became shorter while it was read".into()));
        }
        Ok(out)
    }

    /// The file from its start, buffered.
    pub fn stream(&self) -> impl std::io::Read + '_ {
        BufReader::with_capacity(1 << 16, &self.file)
    }
}
