//! Entries of a scenario file that may be written in a short and in a long form.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::request::{ModelRequest, Request, Texts};
use crate::units::UsdPerHour;

/// What a short form is, and what a long one is read from.
trait Short: Sized {
    const EXPECTED: &'static str;
    type Long: de::DeserializeOwned;
    fn short(name: &str) -> Self;
    fn long(long: Self::Long) -> Self;
}

/// Reads either form.
fn either<'de, T: Short, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Either<T>(std::marker::PhantomData<T>);
    impl<'de, T: Short> Visitor<'de> for Either<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::EXPECTED)
        }
        fn visit_str<E: de::Error>(self, name: &str) -> Result<T, E> {
            Ok(T::short(name))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::Long::deserialize(MapAccessDeserializer::new(map)).map(T::long)
        }
    }
    deserializer.deserialize_any(Either(std::marker::PhantomData))
}

/// The schema of either form.
fn either_schema(short: serde_json::Value, long: Schema) -> Schema {
    json_schema!({ "anyOf": [short, long] })
}

/// A model by its name, or with more said about it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ModelFields {
    /// What results call it; its identifier when left out.
    pub name: Option<String>,
    /// Catalogue name or path.
    #[schemars(extend("x-names" = "model"))]
    pub model: Option<String>,
    /// Its sizes, as `--shape` takes them, instead of a name.
    pub shape: Option<String>,
    /// Format that the weights are stored in, as `--weights`; the checkpoint's own when left out.
    pub weights: Option<String>,
    /// Type of the KV cache, as `--kv`; the engine's default when left out.
    pub kv: Option<String>,
}

impl ModelFields {
    /// What it asks for.
    pub fn request(&self) -> Request {
        let one = |text: &Option<String>| text.as_ref().map(|text| Texts(vec![text.clone()]));
        Request {
            model: ModelRequest {
                model: self.model.clone(),
                shape: self.shape.clone(),
                ..ModelRequest::default()
            },
            weights: one(&self.weights),
            kv: one(&self.kv),
            ..Request::default()
        }
    }
}

/// See [`ModelFields`].
#[derive(Clone, Debug)]
pub struct ModelEntry(pub ModelFields);

impl Short for ModelEntry {
    const EXPECTED: &'static str = "a model's name or path, or `shape: layers=32,…`";
    type Long = ModelFields;
    fn short(name: &str) -> Self {
        ModelEntry(ModelFields { model: Some(name.to_owned()), ..ModelFields::default() })
    }
    fn long(long: ModelFields) -> Self {
        ModelEntry(long)
    }
}

impl<'de> Deserialize<'de> for ModelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        either(deserializer)
    }
}

impl JsonSchema for ModelEntry {
    fn schema_name() -> Cow<'static, str> {
        "ModelEntry".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = serde_json::json!({ "type": "string", "x-names": "model" });
        either_schema(name, ModelFields::json_schema(generator))
    }
}

/// A cluster by its name, or with a name and a price of its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ClusterFields {
    /// What results call it; `cluster` when left out.
    pub name: Option<String>,
    /// Catalogue name, shorthand or YAML file.
    #[schemars(extend("x-names" = "cluster"))]
    pub cluster: String,
    /// Price of one GPU and hour, over that of `prices` and of the catalogue.
    pub price: Option<UsdPerHour>,
}

/// See [`ClusterFields`].
#[derive(Clone, Debug)]
pub struct ClusterEntry(pub ClusterFields);

impl Short for ClusterEntry {
    const EXPECTED: &'static str = "a cluster's name, or `cluster:` with a `name:` or a `price:`";
    type Long = ClusterFields;
    fn short(name: &str) -> Self {
        ClusterEntry(ClusterFields { cluster: name.to_owned(), ..ClusterFields::default() })
    }
    fn long(long: ClusterFields) -> Self {
        ClusterEntry(long)
    }
}

impl<'de> Deserialize<'de> for ClusterEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        either(deserializer)
    }
}

impl JsonSchema for ClusterEntry {
    fn schema_name() -> Cow<'static, str> {
        "ClusterEntry".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = serde_json::json!({ "type": "string", "x-names": "cluster" });
        either_schema(name, ClusterFields::json_schema(generator))
    }
}

/// One name or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Names, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Names)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 }
        ] })
    }
}
