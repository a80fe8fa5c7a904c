//! Asks the same question of clusters of growing size: which is the smallest that keeps up?
//!
//! Key points here:
//! - a load (requests per second) instead of a searched batch;
//! - a cluster that cannot keep up has an empty answer, not an error;
//! - the first cluster with a plan is the answer.
//!
//! Run it with `cargo run --release --example size_sweep`.

use shardfit::diagnostic::Diagnostic;
use shardfit::model::Scope;
use shardfit::rank::Objective;
use shardfit::search::Question;
use shardfit::units::{RequestsPerSecond, Seconds};
use shardfit::workload::{Load, Targets, Workload};
use shardfit::{catalog, model};

fn main() -> Result<(), Diagnostic> {
    let model = model::find("llama-3.1-70b", &[], Scope::Full)?;
    let engines = [catalog::engine("vllm")?];
    let targets =
        Targets { ttft: Some(Seconds::new(1.0)), tpot: Some(Seconds::millis(50.0)), ..Targets::default() };
    let load = Load::Rate(RequestsPerSecond::new(10.0));
    let workload = Workload { load, ..Workload::new(2048, 512) };
    for gpus in [2, 4, 8, 16, 32] {
        let cluster = catalog::cluster(&format!("{gpus}xh100-sxm"))?;
        let question = Question {
            workload,
            targets,
            objective: Objective::Cost,
            top: 1,
            ..Question::new(&model, &cluster, &engines)
        };
        match question.answer()?.best.first() {
            Some(best) => println!(
                "{gpus:3} GPUs: {} × {} replicas on {} GPUs, TTFT {}, TPOT {}, {}",
                best.parallelism,
                best.replicas,
                best.gpus,
                best.service.ttft,
                best.service.tpot,
                best.cost_output.map_or("no price".into(), |c| format!("${:.2}/Mtok", c.get()))
            ),
            None => println!("{gpus:3} GPUs: not enough"),
        }
    }
    Ok(())
}
