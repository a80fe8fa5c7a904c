//! What the launch of a server says, and how it would be better, as programs read it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::launch::better::Changed;
use crate::launch::{Note, Server};
use crate::plan::Reason;
use crate::request::Better;

use super::answer::{self, ANSWER_VERSION, ReasonAnswer};
use super::cell::to_json;
use super::column::{self, Cells, Column, List, Rows};
use super::sheet::Sheet;

/// What a launch says beside the plan that it is.
#[derive(Serialize, JsonSchema)]
pub(super) struct LaunchedAnswer<'a> {
    /// The model as launched.
    model_asked: &'a Option<String>,
    /// Longest request, prompt and output together, as launched.
    max_model_len: Option<u64>,
    /// The engine's memory fraction, as launched.
    memory_fraction: Option<f64>,
    /// Each kind of server, and what was not read of them.
    launch: Launch<'a>,
    /// How the launch would be better on the same GPUs; null where it would not clearly be.
    better: Option<BetterAnswer<'a>>,
}

/// Servers as launched, as rows.
enum Servers {}

impl Rows for Servers {
    type Row<'a> = Server;
}

impl List for Servers {
    type Of = Servers;
    const NAME: &'static str = "Launched";
    fn columns() -> &'static [Column<Servers>] {
        SERVER_COLUMNS
    }
}

type C = Column<Servers>;

/// What a launch says of a server; a plan has columns of the same names.
const SERVER_COLUMNS: &[C] = &[
    C::quiet("model_asked", "model as launched", |s| s.model.as_deref().into()).text().nullable(),
    C::quiet("tp", "tensor parallel", |s| s.tp.into()).integer().nullable(),
    C::quiet("pp", "pipeline stages", |s| s.pp.into()).integer().nullable(),
    C::quiet("ep", "expert parallel", |s| s.ep.into()).integer().nullable(),
    C::quiet("attention_dp", "attention data parallel", |s| s.attention_dp.into()).integer().nullable(),
    C::quiet("dcp", "decode context parallel", |s| s.dcp.into()).integer().nullable(),
    C::quiet("kv", "type of the KV cache", |s| s.kv.as_deref().into()).text().nullable(),
    C::quiet("max_model_len", "longest request, prompt and output together", |s| s.max_model_len.into())
        .integer()
        .nullable(),
    C::quiet("max_sequences", "most sequences in one batch", |s| s.max_sequences.into()).integer().nullable(),
    C::quiet("max_batched_tokens", "most tokens in one step", |s| s.max_batched_tokens.into())
        .integer()
        .nullable(),
    C::quiet("memory_fraction", "the engine's memory fraction", |s| s.memory_fraction.into()).nullable(),
];

/// What was read of a launch.
#[derive(Serialize, JsonSchema)]
struct Launch<'a> {
    /// Each kind of server.
    servers: &'a [Server],
    /// Parts that were not read.
    unread: Vec<&'a Note>,
}

impl<'a> From<&'a [Server]> for Launch<'a> {
    fn from(servers: &'a [Server]) -> Launch<'a> {
        Launch { servers, unread: servers.iter().flat_map(|s| &s.unread).collect() }
    }
}

/// A launch as it would be better.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Better")]
struct BetterAnswer<'a> {
    /// Output tokens per second over those of the launch; null where the launch cannot run.
    gain: Option<f64>,
    /// Output tokens per second of all servers.
    output_tokens_per_s: f64,
    /// Time to first token.
    ttft_ms: f64,
    /// Time per output token after the first.
    tpot_ms: f64,
    /// Servers to launch.
    servers: u32,
    /// What changes.
    changes: Vec<Change<'a>>,
    /// The whole command of one server.
    command: &'a str,
}

/// A figure of a launch that changes.
#[derive(Serialize, JsonSchema)]
struct Change<'a> {
    /// What it is.
    what: &'a str,
    /// As launched.
    from: &'a str,
    /// As it would be better.
    to: &'a str,
}

/// A launch as it would be better: the plan, what changes, and how many servers there are.
#[derive(Clone, Copy, Debug)]
pub struct Improvement<'a> {
    /// The plan.
    pub better: &'a Better,
    /// What changes.
    pub changed: &'a Changed,
    /// Servers to launch.
    pub servers: u32,
}

impl<'a> From<Improvement<'a>> for BetterAnswer<'a> {
    fn from(Improvement { better, changed, servers }: Improvement<'a>) -> BetterAnswer<'a> {
        let estimate = &better.estimate;
        let change = |(what, from, to): &'a (&'static str, String, String)| Change { what, from, to };
        BetterAnswer {
            gain: better.gain,
            output_tokens_per_s: estimate.output.get(),
            ttft_ms: estimate.service.ttft.as_millis(),
            tpot_ms: estimate.service.tpot.as_millis(),
            servers,
            changes: changed.differences.iter().map(change).collect(),
            command: &changed.command,
        }
    }
}

impl<'a> LaunchedAnswer<'a> {
    /// What a launch of these servers says beside the plan, which is of `main`.
    pub(super) fn of(
        servers: &'a [Server],
        main: &'a Server,
        better: Option<Improvement<'a>>,
    ) -> LaunchedAnswer<'a> {
        LaunchedAnswer {
            model_asked: &main.model,
            max_model_len: main.max_model_len,
            memory_fraction: main.memory_fraction,
            launch: servers.into(),
            better: better.map(BetterAnswer::from),
        }
    }
}

/// What a launch says of a server, by the names of columns.
pub(super) fn stated(server: &Server) -> impl Iterator<Item = (&'static str, Json)> {
    let said = SERVER_COLUMNS.iter().map(|column| (column.name, to_json(&(column.of)(server))));
    said.filter(|(_, value)| !value.is_null())
}

/// A launch that was read and has no figures.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Unjudged")]
pub(super) struct UnjudgedAnswer<'a> {
    /// Version of the form of answers.
    schema_version: u64,
    #[serde(flatten)]
    server: Cells<Servers>,
    /// Each kind of server, and what was not read of them.
    launch: Launch<'a>,
    /// False where the engine refuses it or no rule allows its layout; else null: not known.
    feasible: Option<bool>,
    /// Why it is refused.
    reasons: Vec<ReasonAnswer>,
    /// Why it was not judged.
    notes: [String; 1],
}

/// A launch that was read and has no figures, and why, as JSON: `refused` has why the engine would not start it, and
/// `illegal` the rule that its layout breaks.
pub fn unjudged_json(
    (servers, main): (&[Server], &Server),
    why: &Diagnostic,
    (refused, illegal): (&[String], Option<&Reason>),
) -> Json {
    let mut reasons: Vec<ReasonAnswer> = refused.iter().map(|why| ReasonAnswer::refused(why)).collect();
    reasons.extend(illegal.map(ReasonAnswer::from));
    answer::json(&UnjudgedAnswer {
        schema_version: ANSWER_VERSION,
        server: Cells::of(main),
        launch: servers.into(),
        feasible: (!reasons.is_empty()).then_some(false),
        reasons,
        notes: [format!("not judged: {}", why.cause)],
    })
}

/// What was read of a server, as a sheet.
pub fn launched_sheet(main: &Server) -> Sheet {
    column::sheet(SERVER_COLUMNS.iter(), std::slice::from_ref(main))
}
