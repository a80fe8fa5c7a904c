//! A file of records that is only ever appended to: a line each, its checksum in front. What a process
//! that was killed left of its last line is noticed and cut off.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::hash::Hasher as _;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use twox_hash::XxHash64;

use crate::diagnostic::{Code, Diagnostic};

/// Characters of a checksum.
const DIGITS: usize = 16;

/// The checksum of some text, XXH64 in hexadecimal digits.
pub fn checksum(text: &str) -> String {
    format!("{:0DIGITS$x}", XxHash64::oneshot(0, text.as_bytes()))
}

/// The checksum of what a value prints for debugging: equal values have equal ones.
pub fn digest(value: &impl fmt::Debug) -> String {
    struct Hashed(XxHash64);
    impl fmt::Write for Hashed {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut hashed = Hashed(XxHash64::with_seed(0));
    let _ = write!(hashed, "{value:?}");
    format!("{:0DIGITS$x}", hashed.0.finish())
}

/// Where a record stands in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte of its text.
    pub start: u64,
    /// Bytes of its text.
    pub length: u64,
}

/// A file of records that is written.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
}

impl Writer {
    /// Makes a file of one record, in place of whatever was there.
    ///
    /// # Errors
    /// [`Code::File`] when the file cannot be written or another process writes it.
    pub fn create(path: &Path, first: &str) -> Result<Writer, Diagnostic> {
        if path.exists() {
            drop(open(path)?);
        }
        super::write_whole(path, line(first).as_bytes())?;
        Ok(Writer { file: open(path)?, path: path.to_owned() })
    }

    /// Opens a file to append to, and cuts off what follows its last whole record.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn append_to(path: &Path, end: u64) -> Result<Writer, Diagnostic> {
        let file = open(path)?;
        file.set_len(end).map_err(|e| failed(path, "cannot write", &e))?;
        Ok(Writer { file, path: path.to_owned() })
    }

    /// Appends a record of one line, in one write.
    ///
    /// # Errors
    /// [`Code::File`] when the disk is full, for example.
    pub fn append(&mut self, record: &str) -> Result<(), Diagnostic> {
        self.file.write_all(line(record).as_bytes()).map_err(|e| failed(&self.path, "cannot write", &e))
    }
}

fn line(record: &str) -> String {
    format!("{} {record}\n", checksum(record))
}

fn failed(path: &Path, what: &str, e: &std::io::Error) -> Diagnostic {
    Diagnostic::new(Code::File, format!("{what}: {e}")).at(path.display().to_string())
}

/// Opens for appending, for this process alone.
fn open(path: &Path) -> Result<File, Diagnostic> {
    let file =
        fs::OpenOptions::new().append(true).open(path).map_err(|e| failed(path, "cannot write", &e))?;
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(Diagnostic::new(Code::File, "another run writes here")
            .at(path.display().to_string())
            .help("wait for it, or write to another folder")),
        // A file system without locks is no reason to fail.
        _ => Ok(file),
    }
}

/// Reads every whole record; returns where the last of them ends.
///
/// # Errors
/// [`Code::File`] when the file cannot be read or a record that is not the last is damaged; what `each`
/// returns.
pub fn read(
    path: &Path,
    mut each: impl FnMut(Span, &str) -> Result<(), Diagnostic>,
) -> Result<u64, Diagnostic> {
    let file = File::open(path).map_err(|e| failed(path, "cannot read file", &e))?;
    let mut reader = BufReader::new(file);
    let (mut end, mut number, mut bytes) = (0, 0, Vec::new());
    loop {
        bytes.clear();
        let n = reader.read_until(b'\n', &mut bytes).map_err(|e| failed(path, "cannot read file", &e))?;
        number += 1;
        let Some(record) = whole(&bytes) else {
            let last = n == 0 || reader.fill_buf().is_ok_and(<[u8]>::is_empty);
            return if last { Ok(end) } else { Err(damaged(path, number)) };
        };
        let start = end + DIGITS as u64 + 1;
        each(Span { start, length: record.len() as u64 }, record)?;
        end += n as u64;
    }
}

/// The text of a line whose checksum is right.
fn whole(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (sum, record) = text.split_once(' ')?;
    (sum == checksum(record)).then_some(record)
}

fn damaged(path: &Path, line: u64) -> Diagnostic {
    Diagnostic::new(Code::File, "a record is damaged: its checksum is wrong")
        .at(format!("{}, line {line}", path.display()))
        .help("the file was changed by something else; remove it and run again")
}

/// A file of records that is read here and there.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
}

impl Reader {
    /// Opens it.
    ///
    /// # Errors
    /// [`Code::File`] when it cannot be read.
    pub fn open(path: &Path) -> Result<Reader, Diagnostic> {
        let file = File::open(path).map_err(|e| failed(path, "cannot read file", &e))?;
        Ok(Reader { file, path: path.to_owned() })
    }

    /// The record of a span that [`read`] told.
    ///
    /// # Errors
    /// [`Code::File`] when the file has changed since.
    pub fn record(&mut self, span: Span) -> Result<String, Diagnostic> {
        let mut text = String::with_capacity(usize::try_from(span.length).unwrap_or_default());
        self.file
            .seek(SeekFrom::Start(span.start))
            .and_then(|_| (&mut self.file).take(span.length).read_to_string(&mut text))
            .map_err(|e| failed(&self.path, "cannot read file", &e))?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(path: &Path) -> Result<(Vec<String>, u64), Diagnostic> {
        let mut all = Vec::new();
        let end = read(path, |_, record| {
            all.push(record.to_owned());
            Ok(())
        })?;
        Ok((all, end))
    }

    fn written(path: &Path) {
        let mut writer = Writer::create(path, "first").unwrap();
        writer.append("{\"a\": 1}").unwrap();
        writer.append("").unwrap();
    }

    #[test]
    fn records_come_back_in_order_and_by_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        written(&path);
        assert_eq!(records(&path).unwrap().0, ["first", "{\"a\": 1}", ""]);
        let mut reader = Reader::open(&path).unwrap();
        read(&path, |span, record| {
            assert_eq!(reader.record(span).unwrap(), record);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_damaged_record_in_the_middle_is_an_error_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        written(&path);
        let changed = fs::read_to_string(&path).unwrap().replace("\"a\": 1", "\"a\": 2");
        fs::write(&path, changed).unwrap();
        assert!(records(&path).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn a_second_writer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let _first = Writer::create(&path, "first").unwrap();
        assert!(Writer::create(&path, "other").unwrap_err().cause.contains("another run"));
        assert_eq!(records(&path).unwrap().0, ["first"]);
    }

    proptest! {
        #[test]
        fn a_file_that_is_cut_anywhere_keeps_the_records_before_the_cut(cut in 0usize..70) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("records");
            written(&path);
            let (all, _) = records(&path).unwrap();
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..cut.min(bytes.len())]).unwrap();
            let (kept, end) = records(&path).unwrap();
            prop_assert_eq!(&kept[..], &all[..kept.len()]);
            let mut writer = Writer::append_to(&path, end).unwrap();
            writer.append("after").unwrap();
            let last = records(&path).unwrap().0.pop();
            prop_assert_eq!(last.as_deref(), Some("after"));
        }
    }
}
