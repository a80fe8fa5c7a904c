//! GGUF files, whole and split: read as models from their headers, byte by byte as the format has them.

use std::fs;
use std::path::Path;

use crate::common::gguf_file::{Q5_1, Writer, ends, layer, llama, text, whole};
use crate::common::shardfit;
use shardfit::checkpoint::gguf;

/// Parameters of the small model by hand: embedding and head, per layer q, k, v, o, three of the
/// feed-forward layer and two norms, and the last norm.
const TOTAL: u64 = 2 * 64_000 + 2 * (4096 + 2048 + 2048 + 4096 + 3 * 6144 + 128) + 64;

fn inspect(path: &Path) -> serde_json::Value {
    let run = shardfit(&format!("inspect {} --format json", path.display())).exits(0);
    assert_eq!(run.stderr, "");
    run.json()
}

#[test]
fn a_gguf_file_is_a_model_in_its_own_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    fs::write(&path, whole().bytes()).unwrap();
    let json = inspect(&path);
    assert_eq!(json["params"]["total"], TOTAL);
    assert_eq!(json["checkpoint_bytes"], 2 * TOTAL);
    assert_eq!((json["family"].clone(), json["recognised"].clone()), ("llama".into(), true.into()));
    assert_eq!((json["vocabulary"].clone(), json["max_context"].clone()), (1000.into(), 2048.into()));
    assert_eq!(json["kv_cache_bytes_per_token"], 2 * 2 * 2 * 16 * 2);
    assert!(json["notes"][0].as_str().unwrap().contains("21 tensors"), "{}", json["notes"]);
}

#[test]
fn llama_cpp_runs_every_type_that_a_file_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let mut file = Writer { kind: Q5_1, ..llama() };
    ends(&mut file);
    (0..2).for_each(|i| layer(&mut file, i));
    fs::write(&path, file.bytes()).unwrap();
    // No engine lists Q5_1; on a Mac llama.cpp is the usual one.
    for place in ["--gpu rtx-4090 --engine llama.cpp", "--gpu m3-max"] {
        let line = format!("estimate {} {place} --isl 100 --osl 100 --format json", path.display());
        let json = shardfit(&line).exits(0).json();
        assert_eq!((json["engine"].clone(), json["weights"].clone()), ("llama.cpp".into(), "Q5_1".into()));
    }
}

#[test]
fn a_split_file_is_read_from_any_of_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |n: u32| folder.path().join(format!("model-{n:05}-of-00002.gguf"));
    let mut first = llama();
    first.short("split.no", 0);
    first.short("split.count", 2);
    first.number("split.tensors.count", 21);
    ends(&mut first);
    layer(&mut first, 0);
    let mut second = Writer::new();
    second.short("split.no", 1);
    second.short("split.count", 2);
    second.number("split.tensors.count", 21);
    layer(&mut second, 1);
    fs::write(path(1), first.bytes()).unwrap();
    fs::write(path(2), second.bytes()).unwrap();
    assert_eq!(inspect(&path(1))["params"], inspect(&path(2))["params"]);
    assert_eq!(inspect(&path(2))["params"]["total"], TOTAL);
    fs::remove_file(path(2)).unwrap();
    let run = shardfit(&format!("inspect {}", path(1).display())).exits(2);
    assert!(run.stderr.contains("model-00002-of-00002.gguf"), "{}", run.stderr);
    fs::rename(path(1), folder.path().join("renamed.gguf")).unwrap();
    let run = shardfit(&format!("inspect {}/renamed.gguf", folder.path().display())).exits(2);
    assert!(run.stderr.contains("-00001-of-0000N.gguf"), "{}", run.stderr);
}

#[test]
fn every_truncation_and_every_odd_byte_ends_in_a_model_or_an_error() {
    let file = whole();
    let header = 24 + file.metadata.len() + file.table.len();
    let whole = file.bytes();
    for end in 0..header {
        assert!(gguf::read(&whole[..end], "cut", Some(end as u64)).is_err(), "{end}");
    }
    for at in 0..header {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut odd = whole.clone();
            odd[at] = byte;
            if let Ok(read) = gguf::read(odd.as_slice(), "odd", Some(odd.len() as u64)) {
                let _ = shardfit::model::from_gguf(&read, "odd", shardfit::model::Scope::Full);
            }
        }
    }
}

#[test]
fn what_no_header_claims_is_refused_before_it_is_read() {
    let begin = |version: u32, tensors: u64, entries: u64| {
        let mut out = b"GGUF".to_vec();
        out.extend(version.to_le_bytes());
        out.extend(tensors.to_le_bytes());
        out.extend(entries.to_le_bytes());
        out
    };
    let mut long_key = begin(3, 0, 1);
    long_key.extend(u64::MAX.to_le_bytes());
    let mut deep = begin(3, 0, 1);
    text(&mut deep, "k");
    deep.extend(9_u32.to_le_bytes());
    (0..10).for_each(|_| {
        deep.extend(9_u32.to_le_bytes());
        deep.extend(1_u64.to_le_bytes());
    });
    let mut long_array = begin(3, 0, 1);
    text(&mut long_array, "k");
    long_array.extend(9_u32.to_le_bytes());
    long_array.extend(10_u32.to_le_bytes());
    long_array.extend(u64::MAX.to_le_bytes());
    for (bytes, cause) in [
        (b"GGML".to_vec(), "does not begin with"),
        (begin(1, 0, 0), "version 1 is not known"),
        (begin(3_u32.swap_bytes(), 0, 0), "big-endian"),
        (begin(3, u64::MAX, 0), "more than any model has"),
        (begin(3, 0, u64::MAX), "more than any model has"),
        (long_key, "a header of more than"),
        (deep, "too deep"),
        (long_array, "beyond 64 bits"),
    ] {
        let error = gguf::read(bytes.as_slice(), "x", None).unwrap_err();
        assert!(error.cause.contains(cause), "{cause}: {error}");
    }
}
