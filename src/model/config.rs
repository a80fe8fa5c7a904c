//! A `config.json` with typed, bounded, well-explained field access.

use serde_json::{Map, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::load;

/// Largest value of any size field: far beyond any model, far below overflow.
pub const MAX_SIZE: u64 = 1 << 32;

/// A JSON object and where it stands.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    map: &'a Map<String, Value>,
    /// The file or catalogue entry.
    source: &'a str,
    /// Path inside it, e.g. `text_config`.
    path: String,
}

/// Parses the text of a `config.json`.
///
/// # Errors
/// [`Code::Syntax`] when it is not JSON, [`Code::Model`] when it is not an object.
pub fn parse(text: &str, source: &str) -> Result<Map<String, Value>, Diagnostic> {
    match load::json::<Value>(text, source)? {
        Value::Object(map) => Ok(map),
        _ => Err(Diagnostic::new(Code::Model, "a config.json holds one JSON object").at(source)),
    }
}

impl<'a> Config<'a> {
    /// The root object of a configuration.
    pub fn new(map: &'a Map<String, Value>, source: &'a str) -> Config<'a> {
        Config { map, source, path: String::new() }
    }

    /// Where a field stands, for messages.
    pub fn place(&self, key: &str) -> String {
        if self.path.is_empty() {
            format!("{}, field `{key}`", self.source)
        } else {
            format!("{}, field `{}.{key}`", self.source, self.path)
        }
    }

    /// Whether a field is present and not null.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The names of the fields.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> Diagnostic {
        Diagnostic::new(Code::Model, format!("expected {expected}")).at(self.place(key))
    }

    fn missing(&self, key: &str) -> Diagnostic {
        Diagnostic::new(Code::Model, format!("missing field `{key}`"))
            .at(if self.path.is_empty() {
                self.source.to_owned()
            } else {
                format!("{}, {}", self.source, self.path)
            })
            .help("this does not look like the complete config.json of a decoder model")
    }

    /// A size, zero allowed, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a whole number from 0 to [`MAX_SIZE`].
    pub fn opt_u64(&self, key: &str) -> Result<Option<u64>, Diagnostic> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let whole = |f: f64| (f >= 0.0 && f.fract() == 0.0 && f <= MAX_SIZE as f64).then_some(f as u64);
        match value.as_u64().or_else(|| value.as_f64().and_then(whole)) {
            Some(n) if n <= MAX_SIZE => Ok(Some(n)),
            _ => {
                Err(self.wrong(key, &format!("a whole number from 0 to {MAX_SIZE}, found {}", brief(value))))
            }
        }
    }

    /// A size of at least 1, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a whole number from 1 to [`MAX_SIZE`].
    pub fn opt_size(&self, key: &str) -> Result<Option<u64>, Diagnostic> {
        match self.opt_u64(key)? {
            Some(0) => Err(self.wrong(key, "at least 1, found 0")),
            other => Ok(other),
        }
    }

    /// A size that must be present, zero allowed.
    ///
    /// # Errors
    /// [`Code::Model`] when missing or out of range.
    pub fn u64(&self, key: &str) -> Result<u64, Diagnostic> {
        self.opt_u64(key)?.ok_or_else(|| self.missing(key))
    }

    /// A size of at least 1 that must be present.
    ///
    /// # Errors
    /// [`Code::Model`] when missing or out of range.
    pub fn size(&self, key: &str) -> Result<u64, Diagnostic> {
        self.opt_size(key)?.ok_or_else(|| self.missing(key))
    }

    /// The first of several names of a size that is present.
    ///
    /// # Errors
    /// [`Code::Model`] when none is, or it is out of range.
    pub fn size_of(&self, keys: &[&str]) -> Result<u64, Diagnostic> {
        for key in keys {
            if let Some(n) = self.opt_size(key)? {
                return Ok(n);
            }
        }
        Err(self.missing(keys[0]))
    }

    /// The first of several names of a size that is present, or `None`.
    ///
    /// # Errors
    /// [`Code::Model`] when it is out of range.
    pub fn opt_size_of(&self, keys: &[&str]) -> Result<Option<u64>, Diagnostic> {
        for key in keys {
            if let Some(n) = self.opt_u64(key)? {
                return Ok((n > 0).then_some(n));
            }
        }
        Ok(None)
    }

    /// The number of layers, under the first of several names that is present.
    ///
    /// # Errors
    /// [`Code::Model`] when none is, or there are more than [`super::MAX_LAYERS`].
    pub fn layer_count(&self, keys: &[&str]) -> Result<u64, Diagnostic> {
        match self.size_of(keys)? {
            n if n <= super::MAX_LAYERS => Ok(n),
            n => Err(self.wrong(keys[0], &format!("at most {} layers, found {n}", super::MAX_LAYERS))),
        }
    }

    /// A size, or a default.
    ///
    /// # Errors
    /// [`Code::Model`] when it is out of range.
    pub fn size_or(&self, key: &str, default: u64) -> Result<u64, Diagnostic> {
        Ok(self.opt_size(key)?.unwrap_or(default))
    }

    /// A real number, or a default.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a number.
    pub fn f64_or(&self, key: &str, default: f64) -> Result<f64, Diagnostic> {
        match self.value(key) {
            None => Ok(default),
            Some(v) => v.as_f64().ok_or_else(|| self.wrong(key, &format!("a number, found {}", brief(v)))),
        }
    }

    /// A flag, or a default.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a boolean.
    pub fn bool_or(&self, key: &str, default: bool) -> Result<bool, Diagnostic> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(v) => Err(self.wrong(key, &format!("true or false, found {}", brief(v)))),
        }
    }

    /// A string, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is not a string.
    pub fn opt_str(&self, key: &str) -> Result<Option<&'a str>, Diagnostic> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(v) => Err(self.wrong(key, &format!("a string, found {}", brief(v)))),
        }
    }

    /// A list of strings; empty if absent.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn strings(&self, key: &str) -> Result<Vec<String>, Diagnostic> {
        self.list(key)?
            .unwrap_or_default()
            .iter()
            .map(|v| v.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a list of strings")))
            .collect()
    }

    /// A list of whole numbers, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<u64>>, Diagnostic> {
        let Some(list) = self.list(key)? else { return Ok(None) };
        let read = |v: &Value| {
            v.as_u64().filter(|n| *n <= MAX_SIZE).ok_or_else(|| self.wrong(key, "a list of whole numbers"))
        };
        list.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// A list, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn list(&self, key: &str) -> Result<Option<&'a [Value]>, Diagnostic> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(v) => Err(self.wrong(key, &format!("a list, found {}", brief(v)))),
        }
    }

    /// Whether a field is a list.
    pub fn is_list(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Array(_)))
    }

    /// A nested object, if present.
    ///
    /// # Errors
    /// [`Code::Model`] when it is something else.
    pub fn opt_sub(&self, key: &str) -> Result<Option<Config<'a>>, Diagnostic> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Config {
                map,
                source: self.source,
                path: if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) },
            })),
            Some(v) => Err(self.wrong(key, &format!("an object, found {}", brief(v)))),
        }
    }

    /// A nested object that must be present.
    ///
    /// # Errors
    /// [`Code::Model`] when missing or something else.
    pub fn sub(&self, key: &str) -> Result<Config<'a>, Diagnostic> {
        self.opt_sub(key)?.ok_or_else(|| self.missing(key))
    }

    /// An error about a field.
    pub fn error(&self, key: &str, cause: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Code::Model, cause).at(self.place(key))
    }
}

/// A value short enough for a message.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
