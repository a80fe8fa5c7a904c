//! shardfit answers one question: which configuration should I deploy?
//!
//! Given a model, a cluster, a workload and targets, it walks through every combination of engine,
//! number format, tensor, pipeline, expert and attention-data parallelism, replicas and batch; drops
//! what is illegal or does not fit; estimates the rest; and ranks it. Plans that fall are counted by
//! reason, each with its nearest miss.
//!
//! ```
//! use shardfit::model::Scope;
//! use shardfit::search::Question;
//! use shardfit::units::Seconds;
//! use shardfit::workload::{Targets, Workload};
//! use shardfit::{catalog, model};
//!
//! # fn main() -> Result<(), shardfit::diagnostic::Diagnostic> {
//! let model = model::find("llama-3.1-70b", &[], Scope::Full)?;
//! let cluster = catalog::cluster("8xh100-sxm")?;
//! let engines = [catalog::engine("vllm")?];
//!
//! let targets = Targets { ttft: Some(Seconds::new(1.0)), tpot: Some(Seconds::millis(50.0)), ..Targets::default() };
//! let answer = Question {
//!     workload: Workload::new(2048, 512),
//!     targets,
//!     ..Question::new(&model, &cluster, &engines)
//! }
//! .answer()?;
//!
//! match answer.best.first() {
//!     Some(best) => {
//!         assert!(best.service.tpot <= Seconds::millis(50.0));
//!         println!("{} × {}: {:.0} tokens/s", best.parallelism, best.replicas, best.output.get());
//!     }
//!     None => answer.rejected.iter().for_each(|r| println!("{}: {}", r.count, r.reason.message())),
//! }
//! # assert!(!answer.best.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! Modules depend on each other in one direction, in this order:
//!
//! | module | job |
//! | --- | --- |
//! | [`units`] | quantities as types: bytes, FLOPs, seconds, rates, money |
//! | [`diagnostic`] | what is wrong with an input, where, and what would mend it |
//! | [`stop`] | when work ends before it is done |
//! | [`dtype`] | number formats: what GPUs compute in, how checkpoints store weights |
//! | [`load`] | the only reader and writer of files |
//! | [`hub`] | the Hugging Face hub: its local cache, then the network |
//! | [`checkpoint`] | headers of safetensors and GGUF files: names, shapes, types |
//! | [`detect`] | what a machine says of itself: outputs of its tools, as facts |
//! | [`catalog`] | GPUs, clusters and engines by name |
//! | [`model`] | from a `config.json` to tensors and operators |
//! | [`workload`] | lengths, load, targets |
//! | [`plan`] | the space of plans, legality, placement, reasons |
//! | [`estimate`] | memory, kernel times, steps, service: pure functions |
//! | [`rank`] | objectives and the Pareto front |
//! | [`search`] | every plan through the funnel, in parallel |
//! | [`fit`] | which models run on a machine, how, and how well |
//! | [`launch`] | a plan as the commands and manifests that start it, and launches read back |
//! | [`train`] | training plans: memory, time of a step, search |
//! | [`request`] | what a person asks, all of it optional, and the only place that knows defaults |
//! | [`budget`] | how large a model a budget buys |
//! | [`scenario`] | many questions from one file |
//! | [`validate`] | predictions for measured rows, and their errors |
//! | [`observe`] | a live server, or a benchmark's result, beside what is predicted for it |
//! | [`calibrate`] | kernel coefficients from measured rows |
//! | [`check`] | every problem of files before they are used; their JSON Schemas |
//! | [`report`] | one list of columns, several formats |
//! | [`ask`] | one question in JSON, one answer in JSON |
//! | [`mcp`] | the same as tools of an agent |
//! | `serve` | the same over HTTP, with a page; feature `web` |
//! | [`cli`] | the command line |
//!
//! Wrong input is an error, [`diagnostic::Diagnostic`]. A plan that is not an answer is a value,
//! [`plan::Reason`]. Estimates do no I/O, read no clock and draw no random numbers: the same question
//! has the same answer, bit for bit, on any number of threads.
//!
//! `docs/model.md` in the repository states every equation, `ARCHITECTURE.md` how the parts fit and
//! where to add to them.

#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod ask;
pub mod budget;
pub mod calibrate;
pub mod catalog;
pub mod check;
pub mod checkpoint;
pub mod cli;
pub mod detect;
pub mod diagnostic;
pub mod dtype;
pub mod estimate;
pub mod fit;
pub mod hub;
pub mod launch;
pub mod load;
pub mod mcp;
pub mod model;
pub mod observe;
pub mod plan;
mod powers;
pub mod rank;
pub mod report;
pub mod request;
pub mod scenario;
pub mod search;
#[cfg(feature = "web")]
pub mod serve;
pub mod simulate;
pub mod stop;
pub mod train;
pub mod units;
pub mod validate;
pub mod workload;

/// The examples of the guide to the library are tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct Guide;
