//! Values of a request that may be written in several forms: one or a list, a number or a text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::diagnostic::{Code, Diagnostic, brief};
use crate::plan::degrees;
use crate::simulate::Lengths;
use crate::units::{RequestsPerSecond, Seconds};
use crate::workload::Percentile;

/// A diagnostic where only a text can be said.
fn said<E: de::Error>(d: Diagnostic) -> E {
    E::custom(match d.help {
        Some(help) => format!("{}; {help}", d.cause),
        None => d.cause,
    })
}

/// Doubles hold every whole number up to here.
const EXACT: f64 = (1_u64 << 53) as f64;

/// A number as languages write it that know no whole ones: `2048.0`.
fn whole<E: de::Error>(n: f64) -> Result<u64, E> {
    match n.fract() == 0.0 && (0.0..EXACT).contains(&n) {
        true => Ok(n as u64),
        false => Err(E::custom(format!("expected a whole number that is not negative, found {n}"))),
    }
}

/// A whole number, however a language writes it.
pub(super) struct Whole(pub(super) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole, D::Error> {
        struct Entry;
        impl Visitor<'_> for Entry {
            type Value = Whole;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Whole, E> {
                Ok(Whole(n))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Whole, E> {
                Err(E::custom(format!("expected a whole number that is not negative, found {n}")))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Whole, E> {
                whole(n).map(Whole)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

/// A limit on a time: `1s` on the mean, `p95:1s` at a percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeTarget {
    /// What it is on, where it says so.
    pub at: Option<Percentile>,
    /// The limit.
    pub limit: Seconds,
}

impl FromStr for TimeTarget {
    type Err = String;
    fn from_str(text: &str) -> Result<TimeTarget, String> {
        let (at, limit) = match text.split_once(':') {
            None => (None, text),
            Some(("mean", limit)) => (None, limit),
            Some((at, limit)) => {
                let wrong = || format!("`{}` is not a percentile ({})", brief(at), Percentile::FORM);
                (Some(at.parse().map_err(|_| wrong())?), limit)
            }
        };
        Ok(TimeTarget { at, limit: limit.parse()? })
    }
}

impl Serialize for TimeTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = self.at.map_or(String::new(), |at| format!("{at}:"));
        serializer.collect_str(&format_args!("{at}{} s", self.limit.get()))
    }
}

impl<'de> Deserialize<'de> for TimeTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeTarget, D::Error> {
        struct Entry;
        impl Visitor<'_> for Entry {
            type Value = TimeTarget;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as `1s` or `p95:500ms`")
            }
            // A number has no unit, which the reader of texts says.
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<TimeTarget, E> {
                self.visit_str(&n.to_string())
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<TimeTarget, E> {
                self.visit_str(&n.to_string())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeTarget, E> {
                text.parse().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

/// Writes a time to its last digit, so that reading it gives the same.
pub fn seconds<S: Serializer>(time: &Option<Seconds>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_some(&format!("{} s", time.get())),
        None => serializer.serialize_none(),
    }
}

/// The schema of a type that stands in place in its own words instead of being referred to.
macro_rules! inline_schema {
    ($type:ident, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

inline_schema!(TimeTarget, {
    "type": "string",
    "description": "A time on the mean, 1s, or at a percentile, p95:1s",
});

/// Tokens: a number, or a distribution `uniform:LOW..HIGH` or `lognormal:MEAN,SIGMA`.
#[derive(Clone, Debug, PartialEq)]
pub struct LengthEntry(pub Lengths);

impl<'de> Deserialize<'de> for LengthEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl Visitor<'_> for Entry {
            type Value = LengthEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of tokens, uniform:LOW..HIGH or lognormal:MEAN,SIGMA")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<LengthEntry, E> {
                Ok(LengthEntry(Lengths::Fixed(n)))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<LengthEntry, E> {
                u64::try_from(n)
                    .map(|n| LengthEntry(Lengths::Fixed(n)))
                    .map_err(|_| E::custom("expected a whole number that is not negative"))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<LengthEntry, E> {
                whole(n).and_then(|n| self.visit_u64(n))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<LengthEntry, E> {
                text.parse().map(LengthEntry).map_err(said)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl Serialize for LengthEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Lengths::Fixed(n) => serializer.serialize_u64(*n),
            other => serializer.collect_str(other),
        }
    }
}

inline_schema!(LengthEntry, { "anyOf": [
    { "type": "integer", "minimum": 1 },
    {
        "type": "string",
        "pattern": "^ *([0-9.]+[kKmM]?|uniform: *[0-9.]+[kKmM]? *\\.\\. *[0-9.]+[kKmM]?|lognormal: *[0-9.]+[kKmM]? *, *[0-9.]+) *$",
        "examples": ["uniform:500..4000", "lognormal:2000,0.8"]
    }
] });

/// Requests per second: a number, or a text with a unit such as `300 req/min`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateEntry(pub RequestsPerSecond);

impl std::str::FromStr for RateEntry {
    type Err = String;
    fn from_str(text: &str) -> Result<RateEntry, String> {
        match text.trim().parse::<f64>() {
            Ok(per_second) => Ok(RateEntry(RequestsPerSecond::new(per_second))),
            Err(_) => text.parse().map(RateEntry),
        }
    }
}

impl<'de> Deserialize<'de> for RateEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl Visitor<'_> for Entry {
            type Value = RateEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("requests per second, or a text such as `300 req/min`")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<RateEntry, E> {
                self.visit_f64(n as f64)
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<RateEntry, E> {
                self.visit_f64(n as f64)
            }
            fn visit_f64<E: de::Error>(self, per_second: f64) -> Result<RateEntry, E> {
                Ok(RateEntry(RequestsPerSecond::new(per_second)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RateEntry, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl Serialize for RateEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.get())
    }
}

inline_schema!(RateEntry, { "anyOf": [
    { "type": "number", "exclusiveMinimum": 0 },
    {
        "type": "string",
        "pattern": "^ *[0-9.]+([eE][-+]?[0-9]+)? *(req/s|req/min|req/h|req/day)? *$",
        "examples": ["300 req/min"]
    }
] });

/// A share: a number (`0.2`) or a text in per cent (`20%`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShareEntry(pub f64);

impl ShareEntry {
    /// A share on top of the whole: a bare number above 1 is of per cent, since nobody means twenty times the rate by
    /// `20`.
    ///
    /// # Errors
    /// Text that is no share.
    pub fn on_top(text: &str) -> Result<ShareEntry, String> {
        let share: ShareEntry = text.parse()?;
        let bare = !text.trim().ends_with('%');
        Ok(if bare && share.0 > 1.0 { ShareEntry(share.0 / 100.0) } else { share })
    }
}

/// Reads and writes a share on top of the whole, as [`ShareEntry::on_top`] reads it.
pub mod on_top {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::ShareEntry;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    /// Reads it.
    ///
    /// # Errors
    /// What is neither a number nor a text in per cent.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ShareEntry>, D::Error> {
        let expected = || de::Error::custom("expected a share such as 0.2 or `20%`");
        let written = Option::<Written>::deserialize(deserializer).map_err(|_: D::Error| expected())?;
        let share = written.map(|written| match written {
            Written::Number(n) => ShareEntry::on_top(&n.to_string()),
            Written::Text(text) => ShareEntry::on_top(&text),
        });
        share.transpose().map_err(de::Error::custom)
    }

    /// Writes it, above 1 in per cent.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(share: &Option<ShareEntry>, serializer: S) -> Result<S::Ok, S::Error> {
        match share {
            Some(ShareEntry(share)) if *share > 1.0 => format!("{}%", share * 100.0).serialize(serializer),
            share => share.serialize(serializer),
        }
    }
}

impl std::str::FromStr for ShareEntry {
    type Err = String;
    fn from_str(text: &str) -> Result<ShareEntry, String> {
        let text = text.trim();
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |n| (n.trim(), 0.01));
        let share = number.parse::<f64>().map(|x| ShareEntry(x * scale));
        share.map_err(|_| format!("`{}` is not a share", crate::diagnostic::brief(text)))
    }
}

impl<'de> Deserialize<'de> for ShareEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl Visitor<'_> for Entry {
            type Value = ShareEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share such as 0.2 or `20%`")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<ShareEntry, E> {
                Ok(ShareEntry(n as f64))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<ShareEntry, E> {
                Ok(ShareEntry(n as f64))
            }
            fn visit_f64<E: de::Error>(self, share: f64) -> Result<ShareEntry, E> {
                Ok(ShareEntry(share))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ShareEntry, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl Serialize for ShareEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

inline_schema!(ShareEntry, { "anyOf": [
    { "type": "number", "minimum": 0 },
    { "type": "string", "pattern": "^ *[0-9.]+ *%? *$", "examples": ["20%"] }
] });

/// Values of an axis: a number, a list of numbers, or a text as the command line takes it (`2,4` or `1..4`); an empty
/// list leaves the axis free.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Values(pub Vec<u32>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        fn read<E: de::Error>(text: &str) -> Result<Values, E> {
            let said = |d: Diagnostic| E::custom(format!("{}; {}", d.cause, d.help.unwrap_or_default()));
            degrees::values(text).map(Values).map_err(said)
        }
        impl<'de> Visitor<'de> for Entry {
            type Value = Values;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a list [2, 4] or a range 1..4")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Values, E> {
                read(&n.to_string())
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Values, E> {
                read(&n.to_string())
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Values, E> {
                whole(n).and_then(|n| self.visit_u64(n))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Values, E> {
                read(text)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Values, A::Error> {
                let all = Vec::<Whole>::deserialize(SeqAccessDeserializer::new(list))?;
                read(&all.iter().map(|n| n.0.to_string()).collect::<Vec<_>>().join(","))
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

inline_schema!(Values, { "anyOf": [
    { "type": "integer", "minimum": 1 },
    { "type": "string", "pattern": "^[0-9., =]+$", "examples": ["1..4", "2,4"] },
    { "type": "array", "items": { "type": "integer", "minimum": 1 }, "minItems": 1 }
] });

/// One text or several: a text that is cut at its commas, or a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Texts(pub Vec<String>);

impl Texts {
    /// What the command line gives; `None` where it gives nothing.
    pub fn given(list: &[String]) -> Option<Texts> {
        (!list.is_empty()).then(|| Texts(list.to_vec()))
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(text.split(',').map(|part| part.trim().to_owned()).collect()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Texts, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Texts)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

inline_schema!(Texts, { "anyOf": [
    { "type": "string" },
    { "type": "array", "items": { "type": "string" }, "minItems": 1 }
] });

/// One count or several: a number, a list, or a text such as `256,1024`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts(pub Vec<u64>);

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Counts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a list of them")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Counts, E> {
                Ok(Counts(vec![n]))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Counts, E> {
                u64::try_from(n).map(|n| Counts(vec![n])).map_err(|_| E::custom(format!("{n} is negative")))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Counts, E> {
                whole(n).and_then(|n| self.visit_u64(n))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Counts, E> {
                let number = |part: &str| {
                    let wrong =
                        || E::custom(format!("`{}` is no whole number", crate::diagnostic::brief(part)));
                    part.trim().parse::<u64>().map_err(|_| wrong())
                };
                text.split(',').map(number).collect::<Result<_, E>>().map(Counts)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Counts, A::Error> {
                let all = Vec::<Whole>::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(Counts(all.into_iter().map(|n| n.0).collect()))
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

inline_schema!(Counts, { "anyOf": [
    { "type": "integer", "minimum": 1 },
    { "type": "string", "pattern": "^[0-9, ]+$", "examples": ["256,1024"] },
    { "type": "array", "items": { "type": "integer", "minimum": 1 }, "minItems": 1 }
] });

/// Prices per GPU and hour in dollars: `{"h100-sxm": 2.10}`, or texts `h100-sxm=2.10`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Prices(pub Vec<String>);

impl<'de> Deserialize<'de> for Prices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Prices;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dollars by GPU, or texts such as `h100-sxm=2.10`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Prices, E> {
                Ok(Prices(text.split(',').map(|part| part.trim().to_owned()).collect()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Prices, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Prices)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Prices, A::Error> {
                let all =
                    std::collections::BTreeMap::<String, f64>::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Prices(all.into_iter().map(|(gpu, dollars)| format!("{gpu}={dollars}")).collect()))
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

inline_schema!(Prices, { "anyOf": [
    { "type": "object", "additionalProperties": { "type": "number", "minimum": 0 } },
    { "type": "string", "examples": ["h100-sxm=2.10"] },
    { "type": "array", "items": { "type": "string" }, "minItems": 1 }
] });

/// A large amount: a number, or a text with a suffix such as `15T`, `300B` or `1e24`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Amount(pub String);

impl Amount {
    /// The amount, which is above zero.
    ///
    /// # Errors
    /// [`Code::Range`] at the flag for what is no such number.
    pub fn above_zero(&self, flag: &str) -> Result<f64, Diagnostic> {
        let text = self.0.trim().trim_start_matches('$').to_uppercase();
        let scales = [("K", 1e3), ("M", 1e6), ("B", 1e9), ("G", 1e9), ("T", 1e12), ("P", 1e15)];
        let found = scales.iter().find_map(|(suffix, scale)| Some((text.strip_suffix(suffix)?, *scale)));
        let (number, scale) = found.unwrap_or((&text, 1.0));
        match number.trim().parse::<f64>() {
            Ok(x) if x > 0.0 && (x * scale).is_finite() => Ok(x * scale),
            _ => {
                Err(Diagnostic::new(Code::Range, format!("`{}` is not a number above zero", brief(&self.0)))
                    .at(flag.to_owned())
                    .help("for example 15T, 300B or 1.5e13"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl Visitor<'_> for Entry {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a text such as `15T`")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Amount, E> {
                Ok(Amount(n.to_string()))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Amount, E> {
                Ok(Amount(n.to_string()))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Amount, E> {
                Ok(Amount(n.to_string()))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

inline_schema!(Amount, { "anyOf": [
    { "type": "number", "exclusiveMinimum": 0 },
    { "type": "string", "pattern": "^ *[0-9.]+([eE][-+]?[0-9]+)? *[KMBGTP]? *$", "examples": ["15T", "1e24"] }
] });

/// A plan of an answer: by its rank, or where no limit is named by what it is best at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Chosen {
    /// By its rank, from 1.
    Rank(u64),
    /// By its name.
    Named(String),
}

impl From<&str> for Chosen {
    fn from(text: &str) -> Chosen {
        text.trim().parse().map_or_else(|_| Chosen::Named(text.trim().to_owned()), Chosen::Rank)
    }
}

inline_schema!(Chosen, { "anyOf": [
    { "type": "integer", "minimum": 1 },
    { "enum": ["fastest", "balanced", "most_throughput"] }
] });

/// What is explained operator by operator: the plan of a rank, or the plan that is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Explain {
    /// The plan of this rank.
    Rank(u64),
    /// The plan that is given, if so.
    This(bool),
}

inline_schema!(Explain, { "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "boolean" }] });
