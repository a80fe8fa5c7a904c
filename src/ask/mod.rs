//! One question in JSON, one answer in JSON: what the command line prints with `--format json`, to the byte.
//!
//! A server, a module of another language and an agent's tool are thin over [`answer`]. The command line fills in the
//! same requests and has the same functions write its other formats.
//!
//! ```
//! use shardfit::ask;
//! use shardfit::catalog::Catalog;
//!
//! let request = r#"{"model": "llama-3.1-70b", "cluster": "8xh100-sxm", "isl": 2048, "ttft": "1s", "top": 3}"#;
//! let answer = ask::answer("plan", request, &Catalog::built_in()).unwrap();
//! assert!(answer.starts_with("{\n  \"schema_version\": 1,"));
//!
//! let fault = ask::answer("plan", r#"{"model": "llama-3.1-70b", "clustre": "8xh100-sxm"}"#, &Catalog::built_in());
//! assert!(fault.unwrap_err().help.unwrap().contains("did you mean `cluster`?"));
//! ```

pub mod budget;
pub mod catalog;
pub mod compared;
pub mod emit;
pub mod estimate;
pub mod fit;
pub mod inspect;
pub mod launched;
pub mod plan;
pub mod simulate;
pub mod size;
pub mod train;
mod training;
mod view;
mod words;

use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::hub::Hub;
use crate::load;
use crate::report;
use crate::request::form::{self, in_fields};
use crate::request::{BudgetRequest, FitRequest, InspectRequest, Request, Task, TrainRequest};
use crate::search::{Question, Stop};
use crate::simulate::Observer;

pub use view::{Answered, Setting, View};

/// What can be asked in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Every plan, ranked.
    Plan,
    /// One plan in every detail.
    Estimate,
    /// The smallest or cheapest fleet for a rate.
    Size,
    /// One plan in discrete events.
    Simulate,
    /// Models taken apart.
    Inspect,
    /// Training plans, ranked.
    Train,
    /// How large a model a budget buys.
    Budget,
    /// Which models run on a machine.
    Fit,
    /// What starts a plan: the best of a search where the request names a cluster and no plan, else the one given.
    Emit,
}

impl Command {
    /// Every command.
    pub const ALL: [Command; 9] = [
        Command::Plan,
        Command::Estimate,
        Command::Size,
        Command::Simulate,
        Command::Inspect,
        Command::Train,
        Command::Budget,
        Command::Fit,
        Command::Emit,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Command::Plan => "plan",
            Command::Estimate => "estimate",
            Command::Size => "size",
            Command::Simulate => "simulate",
            Command::Inspect => "inspect",
            Command::Train => "train",
            Command::Budget => "budget",
            Command::Fit => "fit",
            Command::Emit => "emit",
        }
    }

    /// What it does, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Command::Plan => "Rank every plan for a model on a cluster under a workload",
            Command::Estimate => "Work out one plan in every detail",
            Command::Size => "Find the smallest or cheapest fleet for a rate",
            Command::Simulate => "Run one plan in discrete events: percentiles, goodput, queues",
            Command::Inspect => {
                "Take models apart: parameters, storage, KV cache, FLOPs, what bounds each part"
            }
            Command::Train => "Rank every plan to train a model on a cluster",
            Command::Budget => "How large a model a budget buys: parameters, tokens, loss",
            Command::Fit => "Which models run on a machine: in which formats, how fast, how well",
            Command::Emit => "Write what starts a plan: commands and manifests",
        }
    }

    /// A request of it, as an example.
    pub fn example(self) -> Value {
        match self {
            Command::Plan => {
                json!({ "model": "llama-3.1-70b", "cluster": "8xh100-sxm", "isl": 2048, "ttft": "1s", "top": 3 })
            }
            Command::Estimate => {
                json!({ "model": "llama-3.1-70b", "gpu": "h100-sxm", "tp": 4, "concurrency": 64, "engine": "vllm" })
            }
            Command::Size => {
                json!({ "model": "llama-3.1-8b", "gpu": ["l40s", "h100-sxm"], "rate": 20, "ttft": "1s", "tpot": "40ms" })
            }
            Command::Simulate => {
                json!({ "model": "llama-3.1-8b", "gpu": "h100-sxm", "concurrency": 16, "isl": "uniform:100..900", "osl": 200 })
            }
            Command::Inspect => json!({ "model": "llama-3.1-8b", "mode": "decode", "gpu": "h100-sxm" }),
            Command::Train => {
                json!({ "model": "llama-3.1-8b", "cluster": "8xh100-sxm", "global_batch": 64, "seq": 8192, "top": 3 })
            }
            Command::Budget => json!({ "flops": "5.76e23", "inference_tokens": "10T" }),
            Command::Fit => json!({ "cluster": "1xrtx-4090", "task": "chat", "top": 5 }),
            Command::Emit => {
                json!({ "model": "llama-3.1-8b", "cluster": "1xh100-sxm", "engine": "vllm", "emit": "command,k8s" })
            }
        }
    }

    /// The JSON Schema (2020-12) of its requests.
    pub fn schema(self) -> Value {
        match self {
            Command::Inspect => InspectRequest::schema(),
            Command::Train => TrainRequest::schema(),
            Command::Budget => BudgetRequest::schema(),
            Command::Fit => FitRequest::schema(),
            Command::Plan => Request::schema_of_points(Task::Plan),
            Command::Estimate => Request::schema_of_points(Task::Estimate),
            Command::Size => Request::schema_of_points(Task::Size),
            Command::Simulate => Request::schema_of(&[Task::Simulate]),
            Command::Emit => Request::schema_of(&[Task::Plan, Task::Estimate]),
        }
    }
}

impl Command {
    /// Whether a request stands for several questions, each as much work as one.
    pub fn stands_for_several(self, map: &Map<String, Value>) -> bool {
        let task = match self {
            Command::Plan => Task::Plan,
            Command::Estimate => Task::Estimate,
            Command::Size => Task::Size,
            _ => return false,
        };
        // What is wrong with it is said when it is answered.
        Request::points(map.clone(), task).is_ok_and(|points| points.len() > 1)
    }

    /// The JSON Schema (2020-12) of its answers.
    pub fn answer_schema(self) -> Value {
        report::answer_schema(self.name()).unwrap_or(Value::Bool(true))
    }
}

impl FromStr for Command {
    type Err = Diagnostic;
    fn from_str(text: &str) -> Result<Command, Diagnostic> {
        let names = Command::ALL.map(Command::name);
        let found = Command::ALL.into_iter().find(|command| command.name() == text);
        found.ok_or_else(|| {
            Diagnostic::unknown("command", text, names, &format!("allowed: {}", names.join(", ")))
        })
    }
}

/// Answers a request in JSON, with a line break at the end: the bytes that the command line prints with
/// `--format json`. Models that are not at hand are asked of the hub that the environment names, unless the request
/// is `offline`.
///
/// # Errors
/// A command that is none, and what is wrong with the request, in the names of its fields. That nothing is feasible
/// is no error: the answer says so.
pub fn answer(command: &str, request: &str, catalog: &Catalog) -> Result<String, Diagnostic> {
    let command: Command = command.parse()?;
    let map = load::json_object(request, "the request")?;
    let setting = Setting { catalog, hub: Hub::from_environment()?, stop: Stop::NEVER };
    answer_map(command, map, &setting, |_| ()).map(|answered| answered.text())
}

/// Answers a request that is a JSON object; `begin` makes an observer of each replica of a simulation.
///
/// # Errors
/// As [`answer`].
pub fn answer_map<O: Observer>(
    command: Command,
    map: Map<String, Value>,
    setting: &Setting,
    begin: impl FnMut(Option<u64>) -> O,
) -> Result<Answered, Diagnostic> {
    match command {
        Command::Inspect => {
            let request: InspectRequest = form::read(map)?;
            let inspection = request.resolve_as_flags(setting.catalog, &setting.hub);
            let written = inspection.and_then(|inspection| inspect::written(&inspection, View::JSON));
            written.map_err(in_fields::<InspectRequest>)
        }
        Command::Train => {
            let request: TrainRequest = form::read(map)?;
            let training = request.resolve_as_flags(setting.catalog, &setting.hub);
            let written = training.and_then(|training| train::written(&training, setting.stop, View::JSON));
            written.map_err(in_fields::<TrainRequest>)
        }
        Command::Budget => {
            let request: BudgetRequest = form::read(map)?;
            let budgeting = request.resolve_as_flags(setting.catalog);
            let written = budgeting.and_then(|budgeting| budget::written(&budgeting, View::JSON));
            written.map_err(in_fields::<BudgetRequest>)
        }
        Command::Fit => {
            let request: FitRequest = form::read(map)?;
            let fitting = request.resolve_as_flags(setting.catalog);
            let written = fitting.and_then(|fitting| fit::written(&fitting, View::JSON));
            written.map_err(in_fields::<FitRequest>)
        }
        Command::Plan => questions(command, Task::Plan, map, setting, begin),
        Command::Estimate => questions(command, Task::Estimate, map, setting, begin),
        Command::Size => questions(command, Task::Size, map, setting, begin),
        _ => served(command, &Request::from_map(map)?, setting, begin).map_err(in_fields::<Request>),
    }
}

/// Answers what a request stands for: one question, or several beside each other.
fn questions<O: Observer>(
    command: Command,
    task: Task,
    map: Map<String, Value>,
    setting: &Setting,
    begin: impl FnMut(Option<u64>) -> O,
) -> Result<Answered, Diagnostic> {
    let points = Request::points(map, task)?;
    let answered = match points.as_slice() {
        [one] => served(command, &one.request, setting, begin),
        several => compared::written(task, several, setting, View::JSON).map(|beside| beside.answered),
    };
    answered.map_err(in_fields::<Request>)
}

/// Answers a request about serving.
fn served<O: Observer>(
    command: Command,
    request: &Request,
    setting: &Setting,
    begin: impl FnMut(Option<u64>) -> O,
) -> Result<Answered, Diagnostic> {
    let resolve = |task| request.resolve_as_flags(task, setting.catalog, setting.hub.clone());
    match command {
        Command::Emit => {
            let emit = request.emit.clone().or(Some(emit::usual()));
            let request = Request { emit, ..request.clone() };
            let of_search = request.cluster.is_some() && !request.gives_a_plan();
            let command = if of_search { Command::Plan } else { Command::Estimate };
            served(command, &request, setting, begin)
        }
        Command::Estimate => estimate::written(request, setting, View::JSON).map(|judged| judged.answered),
        Command::Size => size::written(&resolve(Task::Size)?, setting.stop, View::JSON),
        Command::Simulate => {
            let mut filled = request.clone();
            if let Some(launched) = launched::Read::into(&mut filled, setting.catalog, &setting.hub)? {
                launched.runs(&filled)?;
            }
            filled.launch = None;
            let resolved = filled.resolve_as_flags(Task::Simulate, setting.catalog, setting.hub.clone())?;
            let simulated = resolved.simulate_watched(setting.stop, begin)?;
            simulate::written(&resolved, &simulated, View::JSON)
        }
        _ => {
            plan::check(request)?;
            let mut filled = request.clone();
            launched::Read::current(&mut filled, setting.catalog, &setting.hub)?;
            let resolved = filled.resolve_as_flags(Task::Plan, setting.catalog, setting.hub.clone())?;
            let stop = Stop { deadline: resolved.deadline().or(setting.stop.deadline), ..setting.stop };
            let question = Question { stop, ..resolved.question() };
            if let Some(layout) = &request.why_not {
                return plan::why_not(&resolved, &question, layout, View::JSON);
            }
            let planned = resolved.conclude(&question, question.answer()?)?;
            plan::written(request, &resolved, &question, &planned, (setting.catalog, View::JSON))
        }
    }
}

/// What is wrong, as data: the kind, the cause, the place, the help.
pub fn fault(diagnostic: &Diagnostic) -> Value {
    let Diagnostic { code, cause, place, help, .. } = diagnostic;
    json!({ "error": { "code": code.name(), "cause": cause, "place": place, "help": help } })
}
