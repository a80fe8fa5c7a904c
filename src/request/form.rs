//! What requests of every kind have in common: read from JSON key by key, written as what was given, described by a
//! schema.

use std::str::FromStr;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{words, written};
use crate::diagnostic::{Code, Diagnostic};

/// The version of the form of requests.
pub const SCHEMA_VERSION: u64 = 1;

/// What every kind of request is read and described by: its fields' names are the command line's options, with underscores.
macro_rules! asked {
    ($request:ident) => {
        impl $request {
            /// Reads a request from the text of a JSON object.
            ///
            /// # Errors
            /// [`Code::Syntax`](crate::diagnostic::Code::Syntax) for what is no JSON or no value of its field, naming it;
            /// [`Code::UnknownName`](crate::diagnostic::Code::UnknownName) for a key that is no field, with the nearest.
            pub fn from_json(text: &str) -> Result<$request, $crate::diagnostic::Diagnostic> {
                $request::from_map($crate::load::json_object(text, "the request")?)
            }

            /// Reads a request from a JSON object.
            ///
            /// # Errors
            /// As [`from_json`](Self::from_json).
            pub fn from_map(
                map: serde_json::Map<String, serde_json::Value>,
            ) -> Result<$request, $crate::diagnostic::Diagnostic> {
                $crate::request::form::read(map)
            }

            /// The JSON Schema (2020-12) of such requests. `x-units` lists the units of a quantity.
            pub fn schema() -> serde_json::Value {
                $crate::request::form::schema::<$request>(stringify!($request))
            }

            /// The fields that are given, as a JSON object.
            pub fn given(&self) -> serde_json::Map<String, serde_json::Value> {
                $crate::request::form::given(self)
            }
        }
    };
}
pub(super) use asked;

/// The names of a request's fields, in order.
pub fn fields<T: Default + Serialize>() -> Vec<String> {
    match serde_json::to_value(T::default()) {
        Ok(Value::Object(map)) => map.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

/// Reads a request from a JSON object.
///
/// # Errors
/// [`Code::UnknownName`] for a key that is no field, with the nearest; [`Code::Syntax`] for a value that a field
/// cannot have, said of the first such field.
pub fn read<T: Default + Serialize + DeserializeOwned + JsonSchema>(
    map: Map<String, Value>,
) -> Result<T, Diagnostic> {
    let names = fields::<T>();
    let map = in_our_words(map, &names)?;
    if let Some(strange) = map.keys().find(|key| !names.contains(key)) {
        let list = "a request has the options of the command line, with underscores";
        let known = names.iter().map(String::as_str);
        return Err(Diagnostic::unknown("key", strange, known, list).at("the request"));
    }
    match serde_json::from_value(Value::Object(map.clone())) {
        Ok(request) => Ok(request),
        Err(_) => as_meant(map),
    }
}

/// Reads a request some of whose values are written in another way than their fields hold them.
fn as_meant<T: Serialize + DeserializeOwned + JsonSchema>(map: Map<String, Value>) -> Result<T, Diagnostic> {
    let schema = plain_schema::<T>("");
    let alone = |key: &str, value: &Value| {
        let one = Value::Object([(key.to_owned(), value.clone())].into_iter().collect());
        serde_json::from_value::<T>(one).err()
    };
    let mut read = Map::new();
    for (key, value) in map {
        let field = written::of_field(&schema, &key);
        let wrong = |cause: String| Diagnostic::new(Code::Syntax, cause).at(format!("`{key}`"));
        let value = match alone(&key, &value) {
            None => value,
            Some(fault) => match written::meant(&value, field) {
                Some(meant) => meant.map_err(wrong)?,
                None => return Err(wrong(written::plainly(&fault.to_string(), field))),
            },
        };
        if let Some(fault) = alone(&key, &value) {
            return Err(wrong(written::plainly(&fault.to_string(), field)));
        }
        read.insert(key, value);
    }
    serde_json::from_value(Value::Object(read))
        .map_err(|fault| Diagnostic::new(Code::Syntax, fault.to_string()).at("the request"))
}

/// The keys as fields are called, where they are what engines and benchmarks call them.
///
/// # Errors
/// [`Code::Usage`] for a field that is given under two names.
pub(super) fn in_our_words(
    map: Map<String, Value>,
    names: &[String],
) -> Result<Map<String, Value>, Diagnostic> {
    let mut ours = Map::new();
    for (key, value) in map {
        let field = match names.contains(&key) {
            true => None,
            false => words::option(&key.replace('_', "-")).map(|option| option.replace('-', "_")),
        };
        let field = field.filter(|field| names.contains(field)).unwrap_or_else(|| key.clone());
        if ours.insert(field.clone(), value).is_some() {
            let cause = format!("`{field}` is given twice");
            return Err(Diagnostic::new(Code::Usage, cause).at(format!("`{key}`")).help("give it once"));
        }
    }
    Ok(ours)
}

/// The fields that are given, as a JSON object.
pub fn given<T: Serialize>(request: &T) -> Map<String, Value> {
    match serde_json::to_value(request) {
        Ok(Value::Object(map)) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

/// The JSON Schema (2020-12) of a kind of request. `x-units` lists the units of a quantity; numbers may
/// be written as the texts that the command line takes.
pub fn schema<T: JsonSchema>(title: &str) -> Value {
    let mut schema = plain_schema::<T>(title);
    written::properties(&mut schema).into_iter().flat_map(Map::values_mut).for_each(written::say_texts);
    schema
}

/// The schema of such requests without the texts that stand for numbers.
fn plain_schema<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.insert("additionalProperties".to_owned(), false.into());
    schema.into()
}

/// Checks that a request is of a version that is known.
///
/// # Errors
/// [`Code::Range`] for another version.
pub fn version(asked: Option<u64>) -> Result<(), Diagnostic> {
    match asked.filter(|version| *version != SCHEMA_VERSION) {
        None => Ok(()),
        Some(version) => {
            Err(Diagnostic::new(Code::Range, format!("requests of version {version} are not known"))
                .at("`schema_version`")
                .help(format!("this program knows version {SCHEMA_VERSION}")))
        }
    }
}

/// A diagnostic in the words of a request whose fields are `T`'s: `` `max_sequences` `` where the command line says
/// `--max-sequences`.
pub fn in_fields<T: Default + Serialize>(d: Diagnostic) -> Diagnostic {
    static FLAG: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("`?--([a-z][a-z0-9-]*)`?").expect("an expression of our own"));
    let names = fields::<T>();
    let said = |text: String| {
        let field = |flag: &Captures| {
            let name = flag[1].replace('-', "_");
            match names.contains(&name) {
                true => format!("`{name}`"),
                false => flag[0].to_owned(),
            }
        };
        FLAG.replace_all(&text, field).into_owned()
    };
    Diagnostic { cause: said(d.cause), place: d.place.map(said), help: d.help.map(said), ..d }
}

/// The value of a name, or what is meant where none is given.
pub(super) fn named<T: FromStr<Err = Diagnostic>>(name: &Option<String>, usual: T) -> Result<T, Diagnostic> {
    name.as_deref().map_or(Ok(usual), str::parse)
}
