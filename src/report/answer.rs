//! Answers as types: what JSON holds derives from them, and so does its schema.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::model::media::Items;
use crate::plan::Reason;
use crate::units::Seconds;
use crate::workload::{Load, Percentile, Percentiles, Speculation, Targets, Workload};

use super::cell::round;

/// The version of the form of answers. Fields may be added to an answer of the same version; none is renamed or
/// removed, and none changes its meaning.
pub const ANSWER_VERSION: u64 = 1;

/// A real number to six significant digits; nothing where it is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Digits(pub f64);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        round(self.0).serialize(serializer)
    }
}

impl JsonSchema for Digits {
    fn schema_name() -> Cow<'static, str> {
        "Digits".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "null"] })
    }
}

/// Values by names that are nobody's fields: ids, addresses, columns of a file. In their own order.
pub(super) struct Names<T>(Vec<(String, T)>);

impl<T> Names<T> {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> FromIterator<(String, T)> for Names<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Names<T> {
        Names(pairs.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for Names<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<T: JsonSchema> JsonSchema for Names<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// Lengths, load and targets that were asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Workload")]
pub(super) struct WorkloadAnswer {
    /// What answers are made of: generate, embed or rerank.
    task: &'static str,
    /// How long a batch that is not full is held for more inputs, in milliseconds; left out where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_window_ms: Option<Digits>,
    /// Prompt tokens, mean, with those of images, video and sound.
    isl: u64,
    /// Those of images; left out without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tokens: Option<u64>,
    /// Those of a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    video_tokens: Option<u64>,
    /// Those of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
    /// Output tokens, mean; 0 where answers are made of their inputs alone.
    osl: u64,
    /// Prompt tokens that are read from the prefix cache.
    cached_prefix: u64,
    /// Requests in flight over the whole deployment, where they were given.
    concurrency: Option<u64>,
    /// Requests per second over the whole deployment, where they were given.
    rate_per_s: Option<Digits>,
    /// Users of sessions over the whole deployment, where they were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<u64>,
    /// The sessions that requests are turns of, as they are written; left out without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<String>,
    /// Longest time to first token, in milliseconds.
    target_ttft_ms: Option<Digits>,
    /// Longest time per output token after the first, in milliseconds.
    target_tpot_ms: Option<Digits>,
    /// Longest time from request to last token, in milliseconds.
    target_e2e_ms: Option<Digits>,
    /// What that limit is on, `mean` or a percentile such as `p95`; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_ttft_on: Option<String>,
    /// The same of the time per output token.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_tpot_on: Option<String>,
    /// The same of the time from request to last token.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_e2e_on: Option<String>,
    /// Speculative decoding, where it is on.
    speculation: Option<SpeculationAnswer>,
    /// Whether lengths that nobody asked for were cut to the model's context; left out where they were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    lengths_cut: Option<bool>,
}

/// Tokens that are drafted and verified together.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Speculation")]
struct SpeculationAnswer {
    /// What drafts: mtp, ngram or model.
    draft: &'static str,
    /// Tokens drafted for each step.
    draft_tokens: u32,
    /// How likely a drafted token is accepted when those before it were.
    acceptance: Digits,
    /// Tokens that a step yields in the mean.
    tokens_per_step: Digits,
}

impl WorkloadAnswer {
    pub(super) fn of(w: &Workload, t: &Targets) -> WorkloadAnswer {
        let ms = |t: Option<Seconds>| t.map(|t| Digits(t.as_millis()));
        let (concurrency, rate_per_s) = match w.load {
            Load::Saturate => (None, None),
            Load::Concurrency(n) => (Some(n), None),
            Load::Users(_) => (None, None),
            Load::Rate(r) => (None, Some(Digits(r.get()))),
        };
        let speculation = |s: Speculation| SpeculationAnswer {
            draft: s.draft.name(),
            draft_tokens: s.tokens,
            acceptance: Digits(s.acceptance),
            tokens_per_step: Digits(s.yielded()),
        };
        let of = |items: Items| Some(items.all_tokens()).filter(|tokens| *tokens > 0);
        let on = |limit: Option<Seconds>, at: Option<Percentile>| limit.map(|_| Percentiles::word(at));
        WorkloadAnswer {
            task: w.purpose.name(),
            batch_window_ms: Some(w.batch_window)
                .filter(|window| *window > Seconds::ZERO)
                .map(|window| Digits(window.as_millis())),
            isl: w.isl,
            image_tokens: of(w.media.images),
            video_tokens: of(w.media.video),
            audio_tokens: of(w.media.audio),
            osl: if w.purpose.pools() { 0 } else { w.osl },
            cached_prefix: w.reused_prompt(),
            concurrency,
            rate_per_s,
            users: match w.load {
                Load::Users(n) => Some(n),
                _ => None,
            },
            sessions: w.sessions.map(|sessions| sessions.to_string()),
            target_ttft_ms: ms(t.ttft),
            target_tpot_ms: ms(t.tpot),
            target_e2e_ms: ms(t.e2e),
            target_ttft_on: on(t.ttft, t.at.ttft),
            target_tpot_on: on(t.tpot, t.at.tpot),
            target_e2e_on: on(t.e2e, t.at.e2e),
            speculation: w.speculation.map(speculation),
            lengths_cut: w.cut.then_some(true),
        }
    }
}

/// Why a plan is not an answer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Reason")]
pub(super) struct ReasonAnswer {
    /// Key of the reason.
    reason: String,
    /// The reason in a sentence.
    message: String,
}

impl ReasonAnswer {
    /// That an engine refuses a launch, and why.
    pub(super) fn refused(why: &str) -> ReasonAnswer {
        ReasonAnswer { reason: Reason::LaunchRefused.name(), message: why.to_owned() }
    }
}

impl From<&Reason> for ReasonAnswer {
    fn from(reason: &Reason) -> ReasonAnswer {
        ReasonAnswer { reason: reason.name(), message: reason.message() }
    }
}

/// An answer as JSON.
pub(super) fn json(answer: &impl Serialize) -> Json {
    // Text keys, and numbers that are finite: nothing of it can fail.
    serde_json::to_value(answer).unwrap_or(Json::Null)
}

/// A kind of answer, as its schema refers to it.
pub(super) type Kind = fn(&mut SchemaGenerator) -> Schema;

/// The kind that a type is.
pub(super) fn kind<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of what a command answers (JSON Schema 2020-12): one of several kinds.
pub(super) fn schema(title: &str, kinds: &[Kind]) -> Json {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let kinds: Vec<Schema> = kinds.iter().map(|kind| kind(&mut generator)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "anyOf": kinds,
        "$defs": generator.take_definitions(true),
    })
}
