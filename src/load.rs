//! Files in and out: the only reader of YAML and JSON, and the only writer (whole or not at all).

mod binary;
mod bounded;
mod lock;
pub mod records;
mod stream;
pub mod tree;

use std::fs;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use itertools::Itertools as _;
use serde::de::DeserializeOwned;

use crate::diagnostic::{Code, Diagnostic, nearest};
pub use binary::Binary;
pub use bounded::{Bounded, LONGEST_LINE};
pub use lock::{Lock, lock};
pub use stream::Stream;

/// A YAML value that knows its line.
pub type Located<T> = serde_yaml::Spanned<T>;

/// The line on which a value stands.
pub fn line<T>(value: &Located<T>) -> u64 {
    value.referenced.line()
}

/// Inputs larger than this are refused before they are read: no description of a model, a cluster or
/// a scenario comes near it.
pub const MAX_INPUT_BYTES: u64 = 16 * 1024 * 1024;

/// Who is told of every file that is read.
static WATCHER: OnceLock<fn(&Path)> = OnceLock::new();

/// Has `report` told of every file that is read from now on; the first to ask is the one who is told.
pub fn watch(report: fn(&Path)) {
    let _ = WATCHER.set(report);
}

/// Whether a name is that of a YAML file.
pub fn is_yaml(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(".yaml") || lower.ends_with(".yml")
}

/// Reads a text file of at most [`MAX_INPUT_BYTES`].
///
/// # Errors
/// [`Code::File`] when it is missing, a folder, too large, or not UTF-8.
pub fn text(path: &Path) -> Result<String, Diagnostic> {
    text_within(path, MAX_INPUT_BYTES)
}

/// Reads a benchmark's result file, which may hold every answer: at most 1 GiB.
///
/// # Errors
/// As [`text`].
pub fn text_of_results(path: &Path) -> Result<String, Diagnostic> {
    text_within(path, 64 * MAX_INPUT_BYTES)
}

fn text_within(path: &Path, most: u64) -> Result<String, Diagnostic> {
    let place = path.display().to_string();
    let fail = |cause: String| Diagnostic::new(Code::File, cause).at(place.clone());
    if let Some(report) = WATCHER.get() {
        report(path);
    }
    let file = ordinary(path)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| fail(format!("cannot read file: {e}")))?;
    if bytes.len() as u64 > most {
        return Err(fail(format!("file is larger than {} MiB", most / 1_048_576)));
    }
    decoded(bytes).map_err(fail)
}

/// The text of a file in UTF-8 or UTF-16. Editors on Windows put a byte order mark first, which is no part of it.
fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units)
            .map_err(|_| "the file begins as UTF-16 and goes on as something else".to_owned())
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => {
            let text = String::from_utf8(bytes).map_err(|e| {
                format!("cannot read file: no UTF-8 at byte {}", e.utf8_error().valid_up_to())
            })?;
            Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
        }
    }
}

/// Opens an ordinary file to be read. What has no end, or waits for another process, is refused before it is opened.
///
/// # Errors
/// [`Code::File`] when it is missing, a folder, a device, a pipe or a socket.
pub fn ordinary(path: &Path) -> Result<fs::File, Diagnostic> {
    let fail = |cause: String| Diagnostic::new(Code::File, cause).at(path.display().to_string());
    let unreadable = |e: std::io::Error| fail(format!("cannot read file: {e}"));
    let kind = fs::metadata(path).map_err(unreadable)?.file_type();
    if kind.is_dir() {
        return Err(fail("this is a folder, not a file".into()));
    }
    if !kind.is_file() {
        let cause = format!("this is {}, not an ordinary file", strange(kind));
        return Err(fail(cause).help("write what it gives to a file first"));
    }
    fs::File::open(path).map_err(unreadable)
}

/// What a file is that is none.
fn strange(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    let _ = kind;
    "a device"
}

/// Opens a file that is read piece by piece, however large; none of its lines is longer than [`LONGEST_LINE`].
///
/// # Errors
/// As [`ordinary`].
pub fn open(path: &Path) -> Result<BufReader<Bounded<fs::File>>, Diagnostic> {
    Ok(BufReader::new(Bounded::new(ordinary(path)?)))
}

/// What a folder holds, sorted by name.
///
/// # Errors
/// [`Code::File`] when it is missing, no folder, or not readable.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let fail = |e: std::io::Error| {
        let cause = match e.kind() {
            std::io::ErrorKind::NotFound => "the folder does not exist".to_owned(),
            std::io::ErrorKind::NotADirectory => "this is a file, not a folder".to_owned(),
            _ => format!("cannot read folder: {e}"),
        };
        Diagnostic::new(Code::File, cause).at(folder.display().to_string())
    };
    let listed: Result<Vec<PathBuf>, _> =
        fs::read_dir(folder).map_err(fail)?.map(|entry| entry.map(|e| e.path())).collect();
    let mut paths = listed.map_err(fail)?;
    paths.sort();
    Ok(paths)
}

/// Most values that the aliases of a YAML file stand for together: aliases of aliases grow without bounds.
const MAX_ALIASED: usize = 20_000;

/// Parses YAML into `T`; unknown keys, duplicate keys and wrong types are errors with line and snippet.
///
/// # Errors
/// [`Code::Syntax`] with the rendered source snippet.
pub fn yaml<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, Diagnostic> {
    let alias_limits = serde_yaml::alias_limits! { max_total_replayed_events: MAX_ALIASED };
    let options = serde_yaml::options! { alias_limits: alias_limits };
    serde_yaml::from_str_with_options(text, options).map_err(|e| {
        if text.trim().is_empty() {
            return Diagnostic::new(Code::Syntax, "the file is empty; expected YAML").at(name);
        }
        let rendered = e.render_with_options(serde_yaml::render_options! { source_name: Some(name) });
        let cause = in_plain_words(rendered.trim_end().trim_start_matches("error: "));
        let (cause, help) = allowed_apart(&cause);
        Diagnostic::new(Code::Syntax, cause).at(name).help_with(help)
    })
}

/// Text with a snippet whose cause names a stranger and all that is known: without the list, and what is allowed with the
/// nearest of it.
fn allowed_apart(rendered: &str) -> (String, Option<String>) {
    let list = rendered.lines().next().and_then(|line| {
        let said = line.contains("unknown field `") || line.contains("unknown value `");
        let at = [", expected one of ", ", expected "]
            .iter()
            .find_map(|sign| Some((line.find(sign)?, sign.len())));
        at.filter(|_| said).map(|(at, sign)| (&line[at..], line[at + sign..].replace('`', "")))
    });
    let Some((written, known)) = list else { return (rendered.to_owned(), None) };
    let wrong = rendered.split('`').nth(1).unwrap_or_default();
    let help =
        match meant(wrong, &known.split([',', ' ']).filter(|n| !n.is_empty() && *n != "or").collect_vec()) {
            Some(close) => format!("did you mean `{close}`? allowed: {known}"),
            None => format!("allowed: {known}"),
        };
    (rendered.replace(written, ""), Some(help))
}

/// The known name that a key means: one that it is but for a slip of the fingers, or that it begins with and adds a unit to,
/// as `tpot_ms` is `tpot`.
fn meant<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let bare = key.rsplit_once('_').map(|(bare, _)| bare);
    nearest(key, known).or_else(|| known.iter().find(|name| Some(**name) == bare).copied())
}

/// The parser's terms in the reader's.
fn in_plain_words(rendered: &str) -> String {
    [
        (", set DuplicateKeyPolicy in Options if acceptable", ""),
        ("duplicate mapping key:", "duplicate key"),
        ("invalid u32", "expected a whole number that is not negative"),
        ("invalid u64", "expected a whole number that is not negative"),
        ("expected mapping start", "expected `key: value` lines"),
        ("expected sequence start", "expected a list, `[…]` or lines that begin with `- `"),
        ("expected string scalar", "expected one value, such as a word or a number"),
        ("expected scalar", "expected one value, such as a word or a number"),
        ("invalid type: sequence", "a list does not go here"),
        ("invalid type: map", "`key: value` lines do not go here"),
        ("unknown variant", "unknown value"),
        (" rejected by the configured policy", ""),
    ]
    .iter()
    .fold(rendered.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// Parses `KEY=VALUE,KEY=VALUE` into `T`, as if each were a line of a YAML file.
///
/// # Errors
/// [`Code::Syntax`] when one is no assignment, or is none of `T`'s.
pub fn assignments<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, Diagnostic> {
    let mut lines = String::new();
    for part in text.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            return Err(
                Diagnostic::new(Code::Syntax, format!("`{part}` is not KEY=VALUE")).at(name.to_owned())
            );
        };
        lines += &format!("{}: {}\n", key.trim(), value.trim());
    }
    yaml(&lines, name)
}

/// Parses JSON into `T`, with line and column of the fault.
///
/// Python writes non-finite numbers as bare `Infinity` and `NaN` and real `config.json` files hold
/// them (Nemotron-H); they are read as `null`.
///
/// # Errors
/// [`Code::Syntax`].
pub fn json<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, Diagnostic> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(first) => match without_non_finite(text).map(|t| serde_json::from_str(&t)) {
            Some(Ok(value)) => Ok(value),
            _ => Err(Diagnostic::new(Code::Syntax, json_cause(text, &first)).at(format!(
                "{name}, line {} column {}",
                first.line(),
                first.column()
            ))),
        },
    }
}

/// Parses a JSON object whose keys stand once: of a key that is written twice, nobody can say which value is meant.
///
/// # Errors
/// [`Code::Syntax`], naming the key.
pub fn json_object(text: &str, name: &str) -> Result<serde_json::Map<String, serde_json::Value>, Diagnostic> {
    json::<KeysOnce>(text, name).map(|object| object.0)
}

/// The fields of an object that stand once.
struct KeysOnce(serde_json::Map<String, serde_json::Value>);

impl<'de> serde::Deserialize<'de> for KeysOnce {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = KeysOnce;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<KeysOnce, A::Error> {
                let mut fields = serde_json::Map::new();
                while let Some((key, value)) = map.next_entry::<String, serde_json::Value>()? {
                    if fields.contains_key(&key) {
                        let said = format!("`{}` is given twice", crate::diagnostic::brief(&key));
                        return Err(serde::de::Error::custom(said));
                    }
                    fields.insert(key, value);
                }
                Ok(KeysOnce(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn json_cause(text: &str, error: &serde_json::Error) -> String {
    if text.trim().is_empty() {
        "the file is empty; expected JSON".to_owned()
    } else if error.is_eof() {
        "the JSON ends too early (is the file truncated?)".to_owned()
    } else {
        let full = error.to_string();
        let cause = full.rfind(" at line ").map_or(full.as_str(), |at| &full[..at]);
        match error.is_data() {
            true => in_own_words(cause).map_or(cause.to_owned(), |wrong| wrong.to_string()),
            false => format!("not valid JSON: {cause}"),
        }
    }
}

/// A value of another type than was expected, in words that need no knowledge of a parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongType {
    /// What would have been right, `a whole number`.
    pub expected: String,
    /// What stood there, `the text "x"`.
    pub found: String,
}

impl std::fmt::Display for WrongType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

/// Reads what serde says of a value of the wrong type; `None` of other faults.
pub fn in_own_words(fault: &str) -> Option<WrongType> {
    let said = fault.strip_prefix("invalid type: ").or_else(|| fault.strip_prefix("invalid value: "))?;
    let (found, expected) = said.rsplit_once(", expected ")?;
    let expected = match expected {
        "a string" => "a text",
        "a boolean" => "true or false",
        "a map" => "an object",
        "a sequence" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        own => own,
    };
    let bare = ["integer ", "floating point ", "boolean "].iter().find_map(|kind| found.strip_prefix(kind));
    let found = match (found, bare) {
        ("map", _) => "an object".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        ("unit value", _) => "null".to_owned(),
        (_, Some(value)) => value.trim_matches('`').to_owned(),
        _ => found.strip_prefix("string ").map_or(found.to_owned(), |text| format!("the text {text}")),
    };
    Some(WrongType { expected: expected.to_owned(), found })
}

/// Replaces bare `Infinity`, `-Infinity` and `NaN` outside strings by `null`; `None` if there are none.
fn without_non_finite(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped, mut replaced) = (false, false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !in_string
            && let Some(word) = ["-Infinity", "Infinity", "NaN"].iter().find(|w| rest.starts_with(**w))
        {
            out.push_str("null");
            rest = &rest[word.len()..];
            replaced = true;
            continue;
        }
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else {
            in_string = c == '"';
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    replaced.then_some(out)
}

/// A value as YAML.
///
/// # Errors
/// [`Code::Syntax`] when the value cannot be written as YAML.
pub fn to_yaml(value: &serde_json::Value) -> Result<String, Diagnostic> {
    serde_yaml::to_string(value).map_err(|e| Diagnostic::new(Code::Syntax, format!("cannot write YAML: {e}")))
}

/// Checks that [`write_whole`] will be able to write `path`, before any work is done.
///
/// # Errors
/// [`Code::File`] when it is a folder or read-only, or its folder is missing or takes no new files.
pub fn check_writable(path: &Path) -> Result<(), Diagnostic> {
    let fail = |cause: &str| Err(Diagnostic::new(Code::File, cause).at(path.display().to_string()));
    if path.as_os_str().is_empty() {
        return Err(Diagnostic::new(Code::File, "the name of the file to write is empty"));
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return fail("cannot write: this is a folder; name a file in it"),
        Ok(meta) if meta.permissions().readonly() => return fail("cannot write: the file is read-only"),
        Ok(meta) if !meta.is_file() => return Ok(()),
        _ => {}
    }
    let folder = folder_of(path);
    match fs::metadata(folder) {
        Ok(meta) if !meta.is_dir() => {
            return fail(&format!("cannot write here: {} is a file, not a folder", folder.display()));
        }
        _ => {}
    }
    temporary(path, folder).map(drop)
}

/// Writes `contents` to `path` through a temporary file in the same folder, then renames it: the
/// target holds either the old contents or all of the new ones. A link stays a link, and a file that is
/// replaced keeps its permissions. What is no ordinary file (`/dev/null`, a pipe) is written to as it is.
///
/// # Errors
/// [`Code::File`] when the folder is missing or not writable.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<(), Diagnostic> {
    let fail = |e: std::io::Error| {
        Diagnostic::new(Code::File, format!("cannot write: {e}")).at(path.display().to_string())
    };
    check_writable(path)?;
    let old = fs::metadata(path).ok();
    if old.as_ref().is_some_and(|meta| !meta.is_file()) {
        let mut stream = fs::OpenOptions::new().write(true).open(path).map_err(fail)?;
        return stream.write_all(contents).map_err(fail);
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut file = temporary(path, folder_of(&target))?;
    file.write_all(contents).map_err(fail)?;
    place(file, &target, old).map_err(fail)
}

/// Puts a file that is whole in its place, and has the disk hold it before this returns.
fn place(file: tempfile::NamedTempFile, target: &Path, old: Option<fs::Metadata>) -> std::io::Result<()> {
    permit(&file, old)?;
    synced(file.as_file())?;
    file.persist(target).map_err(|e| e.error)?;
    // A folder that cannot be synced (Windows has none that can) still holds the new name.
    let _ = fs::File::open(folder_of(target)).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Has the disk hold what was written. File systems that cannot be asked are taken at their word.
fn synced(file: &fs::File) -> std::io::Result<()> {
    match file.sync_all() {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::Unsupported | std::io::ErrorKind::InvalidInput) => {
            Ok(())
        }
        result => result,
    }
}

/// Makes a folder, and those above it, unless it is there.
///
/// # Errors
/// [`Code::File`] when a file is in the way or the folder above takes none.
pub fn make_folder(path: &Path) -> Result<(), Diagnostic> {
    let fail = |cause: String| Diagnostic::new(Code::File, cause).at(path.display().to_string());
    if path.as_os_str().is_empty() {
        return Err(Diagnostic::new(Code::File, "the name of the folder is empty"));
    }
    if path.exists() && !path.is_dir() {
        return Err(fail("cannot make the folder: this is a file".into()));
    }
    fs::create_dir_all(path).map_err(|e| {
        let cause = match e.kind() {
            std::io::ErrorKind::NotFound => "the folder above takes none".to_owned(),
            _ => plain(&e),
        };
        fail(format!("cannot make the folder: {cause}"))
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// How the names of files under way begin and end.
const PART: (&str, &str) = (".shardfit-", ".part");

/// Removes the files under way that a process left in a folder when it was killed. Whoever calls this knows
/// that no other process writes there.
///
/// # Errors
/// [`Code::File`] when the folder cannot be listed.
pub fn remove_parts(folder: &Path) -> Result<(), Diagnostic> {
    for path in entries(folder)? {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with(PART.0) && name.ends_with(PART.1) && path.is_file() {
            // One that cannot be removed does no harm.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

fn temporary(path: &Path, folder: &Path) -> Result<tempfile::NamedTempFile, Diagnostic> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PART.0).suffix(PART.1);
    // Results are no secrets: the umask decides who reads them, as of any other file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(|e| {
        let cause = match e.kind() {
            std::io::ErrorKind::NotFound if folder.is_dir() => "this folder takes no new files".to_owned(),
            _ => plain(&e),
        };
        Diagnostic::new(Code::File, format!("cannot write here: {cause}")).at(path.display().to_string())
    })
}

/// The operating system's words, without the temporary file's name.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "the folder does not exist".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        kind => kind.to_string(),
    }
}

/// A file that replaces another is as permissive as that one; a new one is as the umask has it.
fn permit(file: &tempfile::NamedTempFile, old: Option<fs::Metadata>) -> std::io::Result<()> {
    match old {
        Some(old) => file.as_file().set_permissions(old.permissions()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_infinity_in_a_config_reads_as_null() {
        let v: serde_json::Value = json(r#"{"a": [0.0, Infinity], "b": "Infinity \" NaN"}"#, "x").unwrap();
        assert!(v["a"][1].is_null());
        assert_eq!(v["b"], "Infinity \" NaN");
    }

    #[test]
    fn truncated_json_is_called_truncated() {
        let e = json::<serde_json::Value>(r#"{"a": "#, "config.json").unwrap_err();
        assert!(e.cause.contains("truncated"), "{e}");
        assert!(e.place.unwrap().starts_with("config.json, line 1"));
    }

    #[test]
    fn duplicate_keys_in_yaml_are_refused() {
        let e = yaml::<std::collections::BTreeMap<String, u32>>("a: 1\na: 2\n", "f.yaml").unwrap_err();
        assert!(e.cause.contains("duplicate"), "{e}");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no/such/out.csv");
        assert_eq!(write_whole(&missing, b"x").unwrap_err().code, Code::File);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_read_only_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.csv");
        fs::write(&path, "old").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
        assert!(write_whole(&path, b"new").unwrap_err().cause.contains("read-only"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_refused_by_name() {
        for path in ["/dev/zero", "/dev/null"] {
            let refused = text(Path::new(path)).unwrap_err();
            assert!(refused.cause.contains("a device"), "{refused}");
            assert!(open(Path::new(path)).unwrap_err().cause.contains("a device"));
        }
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(text(&socket).unwrap_err().cause.contains("a socket"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_devices_stay_devices() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.csv"), dir.path().join("link.csv"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        write_whole(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
