//! The header of a safetensors file: its length as 8 bytes, then JSON
//! (<https://github.com/huggingface/safetensors>, "Format").

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::diagnostic::{Code, Diagnostic};
use crate::load;

use super::{Source, StoredTensor, product};

/// Longest header that is read. The format allows 100 MB; `huggingface_hub` stops at 25 MB
/// (`SAFETENSORS_MAX_HEADER_LENGTH`), which no checkpoint comes near.
pub const MAX_HEADER: u64 = 25_000_000;
/// Read at first: most headers are shorter, so that one request does.
const FIRST: u64 = 1 << 16;
/// More dimensions than any weight has.
const MAX_DIMENSIONS: usize = 8;

/// Names of the types and their widths in bits (`Dtype` of the `safetensors` crate, 0.7).
const TYPES: &[(&str, u64)] = &[
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F8_E8M0", 8),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("I64", 64),
    ("U64", 64),
    ("F64", 64),
    ("C64", 64),
];

/// Reads the header of one file.
pub(super) fn read(source: &dyn Source) -> Result<Vec<StoredTensor>, Diagnostic> {
    let (start, whole) = source.read(0, FIRST)?;
    let wrong = |cause: String| Diagnostic::new(Code::Model, cause).at(source.place());
    let Some((length, rest)) = start.split_first_chunk::<8>() else {
        return Err(wrong("not a safetensors file: shorter than its header's length".into()));
    };
    let length = checked_length(*length, whole).map_err(wrong)?;
    let json = match rest.get(..length as usize) {
        Some(json) => json.to_vec(),
        None => source.read(8, length)?.0,
    };
    if (json.len() as u64) < length {
        return Err(wrong("the file ends inside its header (is it truncated?)".into()));
    }
    parse(&json, &source.place(), whole.map(|whole| whole - 8 - length))
}

/// The header's length, if the file can have such a header.
fn checked_length(bytes: [u8; 8], whole: Option<u64>) -> Result<u64, String> {
    let length = u64::from_le_bytes(bytes);
    if !(2..=MAX_HEADER).contains(&length) {
        return Err(format!("not a safetensors file: a header of {length} bytes"));
    }
    if whole.is_some_and(|whole| length > whole.saturating_sub(8)) {
        return Err("the file ends inside its header (is it truncated?)".into());
    }
    Ok(length)
}

/// Reads the header from the first bytes of a file, all of it at hand.
///
/// # Errors
/// [`Code::Model`] when it is not such a header.
pub fn header(bytes: &[u8], place: &str) -> Result<Vec<StoredTensor>, Diagnostic> {
    let wrong = |cause: String| Diagnostic::new(Code::Model, cause).at(place.to_owned());
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(wrong("not a safetensors file: shorter than its header's length".into()));
    };
    let length = checked_length(*length, Some(bytes.len() as u64)).map_err(wrong)?;
    parse(&rest[..length as usize], place, None)
}

/// The JSON of a header; `data` is how many bytes follow it, if known.
fn parse(json: &[u8], place: &str, data: Option<u64>) -> Result<Vec<StoredTensor>, Diagnostic> {
    let wrong = |cause: String| Diagnostic::new(Code::Model, cause).at(place.to_owned());
    let text = std::str::from_utf8(json).map_err(|_| wrong("the safetensors header is not text".into()))?;
    let header: Header = load::json(text.trim_end(), place)?;
    header.0.into_iter().map(|(name, entry)| tensor(name, entry, data).map_err(wrong)).collect()
}

fn tensor(name: String, entry: Entry, data: Option<u64>) -> Result<StoredTensor, String> {
    let shown: String = name.chars().take(100).collect();
    let Some((dtype, bits)) = TYPES.iter().find(|(known, _)| *known == entry.dtype) else {
        let dtype: String = entry.dtype.chars().take(20).collect();
        return Err(format!("tensor `{shown}` has a type that is not known: `{dtype}`"));
    };
    let [start, end] = entry.data_offsets;
    let stored = end.checked_sub(start).ok_or_else(|| format!("tensor `{shown}` ends before it begins"))?;
    if entry.shape.len() > MAX_DIMENSIONS {
        return Err(format!("tensor `{shown}` has more than {MAX_DIMENSIONS} dimensions"));
    }
    let bytes = product(&entry.shape).and_then(|n| n.checked_mul(*bits)).map(|bits| bits.div_ceil(8));
    if bytes != Some(stored) {
        return Err(format!("tensor `{shown}` takes {stored} bytes, which its shape and type do not"));
    }
    if data.is_some_and(|data| end > data) {
        return Err(format!("the file ends before tensor `{shown}` does (is it truncated?)"));
    }
    Ok(StoredTensor { name, shape: entry.shape, dtype, bytes: stored })
}

/// One tensor of a header.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The tensors of a header in order; `__metadata__` is passed over.
struct Header(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        tensors.push((name, map.next_value()?));
                    }
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes
    }

    #[test]
    fn a_header_lists_names_shapes_and_types() {
        let json = r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"BF16","shape":[2,3],
            "data_offsets":[0,12]},"b":{"dtype":"F4","shape":[3],"data_offsets":[12,14]}}  "#;
        let read = header(&file(json), "f").unwrap();
        assert_eq!((read[0].name.as_str(), read[0].dtype, read[0].elements()), ("a.weight", "BF16", 6));
        assert_eq!(read[1].bytes, 2);
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        let entry = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"t":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        for (json, word) in [
            (entry("BF17", "[2]", "[0,4]"), "not known"),
            (entry("F32", "[2]", "[0,4]"), "its shape"),
            (entry("F32", "[2]", "[8,0]"), "ends before it begins"),
            (entry("F32", "[4294967296,4294967296,4]", "[0,0]"), "its shape"),
            (entry("F32", "[-1]", "[0,4]"), "found -1"),
            (entry("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "dimensions"),
            ("[]".into(), "found a list"),
            ("{\"t\":".into(), "too early"),
        ] {
            let error = header(&file(&json), "f").unwrap_err();
            assert!(error.cause.contains(word), "{json}: {error}");
        }
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        for bytes in [vec![0xff; 16], 100_000_000_u64.to_le_bytes().to_vec(), vec![1; 3]] {
            assert_eq!(header(&bytes, "f").unwrap_err().code, Code::Model);
        }
    }
}
