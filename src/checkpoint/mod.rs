//! Headers of weight files, safetensors and GGUF: which tensors they hold, of what shape and type.
//!
//! Only headers are read, and what they claim is checked before anything is allocated for it.

mod files;
pub mod gguf;
mod safetensors;

pub use files::{Weights, local, remote};
pub use safetensors::header as safetensors_header;

use crate::diagnostic::Diagnostic;
use crate::hub::{Hub, Id, Part};
use crate::load::Binary;

/// A tensor of a weight file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// As the file has it.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// What its elements are, in the file's own words (`BF16`, `Q4_K`).
    pub dtype: &'static str,
    /// Its size in the file.
    pub bytes: u64,
}

impl StoredTensor {
    /// Elements as stored: packed ones count as what they are packed in.
    pub fn elements(&self) -> u64 {
        // Checked when the header was read.
        self.shape.iter().product()
    }
}

/// Elements of a shape, or `None` on overflow.
fn product(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1_u64, |n, d| n.checked_mul(*d))
}

/// Bytes somewhere that can be asked for in part.
trait Source {
    /// Where, for messages.
    fn place(&self) -> String;
    /// Bytes from `offset`: `count` of them, or as many as there are. And the size of the whole, if known.
    fn read(&self, offset: u64, count: u64) -> Result<(Vec<u8>, Option<u64>), Diagnostic>;
}

impl Source for Binary {
    fn place(&self) -> String {
        Binary::place(self).to_owned()
    }

    fn read(&self, offset: u64, count: u64) -> Result<(Vec<u8>, Option<u64>), Diagnostic> {
        let count = count.min(self.length().saturating_sub(offset));
        Ok((self.read_at(offset, count)?, Some(self.length())))
    }
}

/// A file of a repository on the hub.
struct Remote<'a> {
    hub: &'a Hub,
    id: &'a Id,
    file: &'a str,
}

impl Source for Remote<'_> {
    fn place(&self) -> String {
        self.hub.address(self.id, self.file)
    }

    fn read(&self, offset: u64, count: u64) -> Result<(Vec<u8>, Option<u64>), Diagnostic> {
        match self.hub.get(self.id, self.file, Part::Range { offset, count })? {
            Some(download) => Ok((download.bytes, download.whole)),
            None => Err(Diagnostic::new(
                crate::diagnostic::Code::Hub,
                format!("`{}` has no file `{}`", self.id, self.file),
            )),
        }
    }
}
