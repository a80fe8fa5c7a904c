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

/// Longest record that is read, in bytes with its checksum.
const LONGEST: u64 = 256 << 20;

/// A file of records that is written. Whoever writes it holds the lock of its folder.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    /// Where its last whole record ends.
    end: u64,
}

impl Writer {
    /// Makes a file of one record, in place of whatever was there.
    ///
    /// # Errors
    /// [`Code::File`] when the file cannot be written.
    pub fn create(path: &Path, first: &str) -> Result<Writer, Diagnostic> {
        let first = line(first);
        super::write_whole(path, first.as_bytes())?;
        Writer::append_to(path, first.len() as u64)
    }

    /// Opens a file to append to, and cuts off what follows its last whole record.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn append_to(path: &Path, end: u64) -> Result<Writer, Diagnostic> {
        let fail = |e: std::io::Error| failed(path, "cannot write", &e);
        let file = fs::OpenOptions::new().append(true).open(path).map_err(fail)?;
        file.set_len(end).map_err(fail)?;
        Ok(Writer { file, path: path.to_owned(), end })
    }

    /// Appends a record of one line, in one write. What a write that fails leaves behind is cut off again.
    ///
    /// # Errors
    /// [`Code::File`] when the disk is full, for example.
    pub fn append(&mut self, record: &str) -> Result<(), Diagnostic> {
        let line = line(record);
        if let Err(e) = self.file.write_all(line.as_bytes()) {
            // Where even that fails, the checksum tells the rest apart.
            let _ = self.file.set_len(self.end);
            return Err(failed(&self.path, "cannot write", &e));
        }
        self.end += line.len() as u64;
        Ok(())
    }

    /// Has the disk hold every record.
    ///
    /// # Errors
    /// [`Code::File`] when it cannot.
    pub fn sync(&self) -> Result<(), Diagnostic> {
        super::synced(&self.file).map_err(|e| failed(&self.path, "cannot write", &e))
    }
}

/// A file of these records, whole or not at all.
///
/// # Errors
/// [`Code::File`] when it cannot be written; the first that `records` gives.
pub fn write_all(
    path: &Path,
    records: impl Iterator<Item = Result<String, Diagnostic>>,
) -> Result<(), Diagnostic> {
    let mut file = super::Stream::create(path)?;
    for record in records {
        file.write_all(line(&record?).as_bytes()).map_err(|e| failed(path, "cannot write", &e))?;
    }
    file.finish()
}

fn line(record: &str) -> String {
    format!("{} {record}\n", checksum(record))
}

fn failed(path: &Path, what: &str, e: &std::io::Error) -> Diagnostic {
    Diagnostic::new(Code::File, format!("{what}: {e}")).at(path.display().to_string())
}

/// What was read of a file of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// Where the last whole record ends.
    pub end: u64,
    /// Lines before it that are no records: their checksum is wrong.
    pub damaged: u64,
}

/// Reads every whole record. Lines that are none are passed over and counted, save what follows the last record:
/// a process that was killed leaves that.
///
/// # Errors
/// [`Code::File`] when the file cannot be read or its first record is damaged; what `each` returns.
pub fn read(
    path: &Path,
    mut each: impl FnMut(Span, &str) -> Result<(), Diagnostic>,
) -> Result<Whole, Diagnostic> {
    let unreadable = |e: std::io::Error| failed(path, "cannot read file", &e);
    let mut reader = BufReader::new(super::ordinary(path)?);
    let (mut whole, mut at, mut damaged, mut bytes) = (Whole::default(), 0, 0, Vec::new());
    loop {
        bytes.clear();
        let n = reader.by_ref().take(LONGEST).read_until(b'\n', &mut bytes).map_err(unreadable)? as u64;
        if n == 0 {
            return Ok(whole);
        }
        match record(&bytes) {
            Some(record) => {
                let start = at + DIGITS as u64 + 1;
                each(Span { start, length: record.len() as u64 }, record)?;
                whole = Whole { end: at + n, damaged };
            }
            None if at == 0 => {
                let cause = "the first record is damaged: its checksum is wrong";
                return Err(Diagnostic::new(Code::File, cause)
                    .at(format!("{}, line 1", path.display()))
                    .help("remove the file and run again"));
            }
            None => damaged += 1,
        }
        at += n;
    }
}

/// The text of a line whose checksum is right.
fn record(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (sum, record) = text.split_once(' ')?;
    (sum == checksum(record)).then_some(record)
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
        Ok(Reader { file: super::ordinary(path)?, path: path.to_owned() })
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

    fn records(path: &Path) -> Result<(Vec<String>, Whole), Diagnostic> {
        let mut all = Vec::new();
        let whole = read(path, |_, record| {
            all.push(record.to_owned());
            Ok(())
        })?;
        Ok((all, whole))
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
    fn a_damaged_record_in_the_middle_is_passed_over_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        written(&path);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"a\": 1", "\"a\": 2")).unwrap();
        let (kept, whole) = records(&path).unwrap();
        assert_eq!(kept, ["first", ""]);
        assert_eq!(whole, Whole { end: text.len() as u64, damaged: 1 });
        fs::write(&path, text.replace("first", "worst")).unwrap();
        assert!(records(&path).unwrap_err().to_string().contains("line 1"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_write_that_fails_is_cut_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        written(&path);
        let before = fs::read(&path).unwrap();
        // A handle that is for reading alone fails as a full disk does.
        let mut writer =
            Writer { file: File::open(&path).unwrap(), path: path.clone(), end: before.len() as u64 };
        assert_eq!(writer.append("more").unwrap_err().code, Code::File);
        assert_eq!(fs::read(&path).unwrap(), before);
        let mut writer = Writer { file: File::create("/dev/full").unwrap(), path: path.clone(), end: 0 };
        assert!(writer.append("more").unwrap_err().cause.contains("No space left"));
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
            // A file that is cut within its first record has none to go on from.
            let Ok((kept, whole)) = records(&path) else {
                prop_assert!(cut < bytes.iter().position(|b| *b == b'\n').unwrap() + 1);
                return Ok(());
            };
            prop_assert_eq!(&kept[..], &all[..kept.len()]);
            let mut writer = Writer::append_to(&path, whole.end).unwrap();
            writer.append("after").unwrap();
            let last = records(&path).unwrap().0.pop();
            prop_assert_eq!(last.as_deref(), Some("after"));
        }
    }
}
