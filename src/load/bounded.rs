//! A file whose lines have bounds.

use std::io::{self, Read};

/// Longest line that is read, in bytes: none that a benchmark or a trace writes comes near it.
pub const LONGEST_LINE: usize = 4 << 20;

/// A reader that fails on a line longer than [`LONGEST_LINE`], so that whoever collects a line has bounds.
#[derive(Debug)]
pub struct Bounded<R> {
    inner: R,
    /// Bytes since the last line ended.
    since: usize,
}

impl<R> Bounded<R> {
    /// Reads from `inner`.
    pub fn new(inner: R) -> Bounded<R> {
        Bounded { inner, since: 0 }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        for line in buffer[..n].split_inclusive(|byte| *byte == b'\n') {
            self.since += line.len();
            if self.since > LONGEST_LINE {
                let most = LONGEST_LINE >> 20;
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a line is longer than {most} MiB"),
                ));
            }
            if line.ends_with(b"\n") {
                self.since = 0;
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_refused_and_many_short_ones_are_read() {
        let mut endless = Bounded::new(io::repeat(b'a'));
        let mut taken = Vec::new();
        assert!(endless.read_to_end(&mut taken).unwrap_err().to_string().contains("longer than 4 MiB"));
        assert!(taken.len() <= LONGEST_LINE);
        let lines = "1,2,3\n".repeat(1_000_000);
        let mut text = String::new();
        Bounded::new(lines.as_bytes()).read_to_string(&mut text).unwrap();
        assert_eq!(text.len(), lines.len());
    }
}
