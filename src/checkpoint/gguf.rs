//! The header of a GGUF file: metadata, then the table of tensors
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic};
use crate::dtype::GgmlType;
use crate::load::Binary;

use super::{StoredTensor, product};

/// Longest header that is read: the largest vocabularies with their merges take some 20 MB.
const MAX_HEADER: u64 = 256 << 20;
/// Longest key or tensor name kept, and longest text.
const MAX_NAME: u64 = 256;
const MAX_TEXT: u64 = 4096;
/// Most entries of metadata and of tensors.
const MAX_ENTRIES: u64 = 4096;
const MAX_TENSORS: u64 = 65_536;
/// Longest array whose numbers are kept; of longer ones (tokens) only the length is.
const MAX_KEPT: u64 = 4096;
/// Deepest arrays of arrays.
const MAX_DEPTH: u32 = 4;
const MAX_DIMENSIONS: u32 = 4;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaValue {
    /// A whole number.
    Integer(i128),
    /// A real number.
    Real(f64),
    /// A flag.
    Flag(bool),
    /// A text; empty where it was too long to matter.
    Text(String),
    /// Numbers or flags, as whole numbers.
    Numbers(Vec<i128>),
    /// Any other array: how long it is.
    Length(u64),
}

/// What a GGUF file says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gguf {
    /// Metadata by key.
    pub metadata: BTreeMap<String, MetaValue>,
    /// Tensors in order; shapes outermost first, as PyTorch has them.
    pub tensors: Vec<StoredTensor>,
}

/// Reads the header of a GGUF file, and those of the other files if it is split.
///
/// # Errors
/// [`Code::Model`] when it is malformed, [`Code::File`] when it or another part cannot be read.
pub fn open(path: &Path) -> Result<Gguf, Diagnostic> {
    let mut gguf = open_one(path)?;
    let count = gguf.integer("split.count").unwrap_or(1);
    if count <= 1 {
        return Ok(gguf);
    }
    let place = path.display().to_string();
    let parts = parts(path, count).ok_or_else(|| {
        Diagnostic::new(
            Code::Model,
            format!("one of {count} files, whose name does not end in -00001-of-0000N.gguf"),
        )
        .at(place.clone())
        .help("keep the names under which the files were published")
    })?;
    let mut all = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let read = open_one(part)?;
        if read.integer("split.no").is_some_and(|no| no as usize != number) {
            return Err(Diagnostic::new(Code::Model, "the file's number and its name differ")
                .at(part.display().to_string()));
        }
        if number == 0 {
            gguf.metadata = read.metadata;
        }
        all.extend(read.tensors);
    }
    gguf.tensors = all;
    match gguf.integer("split.tensors.count") {
        Some(expected) if expected != gguf.tensors.len() as u64 => Err(Diagnostic::new(
            Code::Model,
            format!("{expected} tensors expected in {count} files, {} found", gguf.tensors.len()),
        )
        .at(place)),
        _ => Ok(gguf),
    }
}

/// The files of a split model by the name of any of them.
fn parts(path: &Path, count: u64) -> Option<Vec<PathBuf>> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".gguf")?;
    let (stem, of) = stem.rsplit_once("-of-")?;
    let (stem, number) = stem.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(of) || !digits(number) || of.parse::<u64>().ok()? != count {
        return None;
    }
    Some((1..=count).map(|i| path.with_file_name(format!("{stem}-{i:05}-of-{of}.gguf"))).collect())
}

fn open_one(path: &Path) -> Result<Gguf, Diagnostic> {
    let file = Binary::open(path)?;
    let place = path.display().to_string();
    read(file.stream(), &place, Some(file.length()))
}

/// Reads a header; `whole` is the size of the file, if known.
///
/// # Errors
/// [`Code::Model`] when it is malformed.
pub fn read(stream: impl Read, place: &str, whole: Option<u64>) -> Result<Gguf, Diagnostic> {
    let mut reader = Reader { stream, read: 0 };
    header(&mut reader, whole).map_err(|Fault(cause)| {
        let at = reader.read;
        Diagnostic::new(Code::Model, cause).at(format!("{place}, near byte {at}"))
    })
}

/// Why a header cannot be read.
struct Fault(String);

impl From<&str> for Fault {
    fn from(cause: &str) -> Fault {
        Fault(cause.to_owned())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Fault("the file ends inside its header (is it truncated?)".into())
            }
            _ => Fault(format!("cannot read file: {error}")),
        }
    }
}

fn header(reader: &mut Reader<impl Read>, whole: Option<u64>) -> Result<Gguf, Fault> {
    if &reader.bytes::<4>()? != b"GGUF" {
        return Err("not a GGUF file: it does not begin with `GGUF`".into());
    }
    match reader.u32()? {
        2 | 3 => {}
        version if version.swap_bytes() <= 3 => return Err("big-endian GGUF files are not read".into()),
        version => return Err(Fault(format!("GGUF version {version} is not known; 2 and 3 are"))),
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    if tensors > MAX_TENSORS || entries > MAX_ENTRIES {
        return Err(Fault(format!("{tensors} tensors and {entries} entries are more than any model has")));
    }
    let mut gguf = Gguf::default();
    for _ in 0..entries {
        let key = reader.text(MAX_NAME)?.ok_or("a key longer than any key is")?;
        let kind = reader.u32()?;
        let value = reader.value(kind, 0)?;
        gguf.metadata.insert(key, value);
    }
    let mut data = 0_u64;
    let alignment = gguf.integer("general.alignment").filter(|n| n.is_power_of_two()).unwrap_or(32);
    for _ in 0..tensors {
        let (tensor, offset) = reader.tensor()?;
        let end = offset.checked_add(tensor.bytes).ok_or("a tensor beyond 64 bits")?;
        data = data.max(end);
        gguf.tensors.push(tensor);
    }
    let start = reader.read.checked_next_multiple_of(alignment).ok_or("an impossible alignment")?;
    if whole.is_some_and(|whole| data.checked_add(start).is_none_or(|end| end > whole)) {
        return Err("the file ends before its last tensor does (is it truncated?)".into());
    }
    Ok(gguf)
}

/// Counts what is read, and stops where no header reaches.
struct Reader<R> {
    stream: R,
    read: u64,
}

impl<R: Read> Reader<R> {
    fn take(&mut self, count: u64) -> Result<(), Fault> {
        self.read = self.read.saturating_add(count);
        if self.read > MAX_HEADER {
            return Err(Fault(format!("a header of more than {} MiB", MAX_HEADER >> 20)));
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N as u64)?;
        let mut out = [0; N];
        self.stream.read_exact(&mut out)?;
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn skip(&mut self, count: u64) -> Result<(), Fault> {
        self.take(count)?;
        match io::copy(&mut self.stream.by_ref().take(count), &mut io::sink())? {
            n if n == count => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// A text, or `None` where it is longer than `most` and passed over.
    fn text(&mut self, most: u64) -> Result<Option<String>, Fault> {
        let length = self.u64()?;
        if length > most {
            self.skip(length)?;
            return Ok(None);
        }
        self.take(length)?;
        let mut out = vec![0; length as usize];
        self.stream.read_exact(&mut out)?;
        // Metadata is for people; keys and names that matter are ASCII.
        Ok(Some(String::from_utf8_lossy(&out).into_owned()))
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<MetaValue, Fault> {
        Ok(match kind {
            6 => MetaValue::Real(f32::from_le_bytes(self.bytes()?).into()),
            7 => MetaValue::Flag(self.bytes::<1>()? != [0]),
            8 => MetaValue::Text(self.text(MAX_TEXT)?.unwrap_or_default()),
            9 => self.array(depth)?,
            12 => MetaValue::Real(f64::from_le_bytes(self.bytes()?)),
            _ => MetaValue::Integer(self.integer(kind)?),
        })
    }

    fn integer(&mut self, kind: u32) -> Result<i128, Fault> {
        Ok(match kind {
            0 | 7 => u8::from_le_bytes(self.bytes()?).into(),
            1 => i8::from_le_bytes(self.bytes()?).into(),
            2 => u16::from_le_bytes(self.bytes()?).into(),
            3 => i16::from_le_bytes(self.bytes()?).into(),
            4 => u32::from_le_bytes(self.bytes()?).into(),
            5 => i32::from_le_bytes(self.bytes()?).into(),
            10 => u64::from_le_bytes(self.bytes()?).into(),
            11 => i64::from_le_bytes(self.bytes()?).into(),
            other => return Err(Fault(format!("a value of type {other}, which is not known"))),
        })
    }

    fn array(&mut self, depth: u32) -> Result<MetaValue, Fault> {
        let (kind, length) = (self.u32()?, self.u64()?);
        match kind {
            0..=5 | 7 | 10 | 11 if length <= MAX_KEPT => {
                (0..length).map(|_| self.integer(kind)).collect::<Result<_, _>>().map(MetaValue::Numbers)
            }
            0..=7 | 10..=12 => {
                let width = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8][kind as usize];
                self.skip(length.checked_mul(width).ok_or("an array beyond 64 bits")?)?;
                Ok(MetaValue::Length(length))
            }
            8 | 9 if depth >= MAX_DEPTH => Err("arrays of arrays too deep".into()),
            8 => {
                for _ in 0..length {
                    let text = self.u64()?;
                    self.skip(text)?;
                }
                Ok(MetaValue::Length(length))
            }
            9 => {
                for _ in 0..length {
                    self.array(depth + 1)?;
                }
                Ok(MetaValue::Length(length))
            }
            other => Err(Fault(format!("an array of type {other}, which is not known"))),
        }
    }

    /// A tensor and where it begins.
    fn tensor(&mut self) -> Result<(StoredTensor, u64), Fault> {
        let name = self.text(MAX_NAME)?.ok_or("a tensor's name longer than any name is")?;
        let dimensions = self.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(Fault(format!("tensor `{name}` has {dimensions} dimensions; 1 to 4 are allowed")));
        }
        // The file has the innermost dimension first.
        let mut shape = (0..dimensions).map(|_| self.u64()).collect::<Result<Vec<u64>, _>>()?;
        let innermost = shape[0];
        shape.reverse();
        let id = self.u32()?;
        let offset = self.u64()?;
        let kind = GgmlType::of(id)
            .ok_or_else(|| Fault(format!("tensor `{name}` has type {id}, which is not known")))?;
        let bytes = product(&shape).and_then(|n| kind.stored_bytes(innermost, n));
        let bytes = bytes
            .ok_or_else(|| Fault(format!("tensor `{name}` has a shape that {} cannot store", kind.name)))?;
        Ok((StoredTensor { name, shape, dtype: kind.name, bytes }, offset))
    }
}

impl Gguf {
    /// A whole number that is not negative; of several (one per layer) the largest.
    pub fn integer(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            MetaValue::Integer(n) => u64::try_from(*n).ok(),
            MetaValue::Numbers(list) => u64::try_from(*list.iter().max()?).ok(),
            _ => None,
        }
    }

    /// One whole number per layer, where the file has them so.
    pub fn numbers(&self, key: &str) -> Option<&[i128]> {
        match self.metadata.get(key)? {
            MetaValue::Numbers(list) => Some(list),
            _ => None,
        }
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            MetaValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How long an array is.
    pub fn length(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            MetaValue::Length(n) => Some(*n),
            MetaValue::Numbers(list) => Some(list.len() as u64),
            _ => None,
        }
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.iter().find(|t| t.name == name)
    }
}

/// Whether a path names a GGUF file.
pub fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}
