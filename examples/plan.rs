//! Asks one question and prints the answer.
//!
//! Key points here:
//! - names are resolved by the catalogue, as on the command line;
//! - `Question::new` holds the defaults, any field can be set;
//! - an answer without plans is not an error: the ledger says why each plan fell.
//!
//! Run it with `cargo run --release --example plan`.

use shardfit::diagnostic::Diagnostic;
use shardfit::model::Scope;
use shardfit::search::Question;
use shardfit::units::Seconds;
use shardfit::workload::{Targets, Workload};
use shardfit::{catalog, model};

fn main() -> Result<(), Diagnostic> {
    let model = model::find("llama-3.1-70b", &[], Scope::Full)?;
    let cluster = catalog::cluster("8xh100-sxm")?;
    let engines = catalog::engines()?;
    let targets =
        Targets { ttft: Some(Seconds::new(1.0)), tpot: Some(Seconds::millis(50.0)), ..Targets::default() };
    let question = Question {
        workload: Workload::new(2048, 512),
        targets,
        top: 5,
        ..Question::new(&model, &cluster, &engines)
    };
    let answer = question.answer()?;
    for plan in &answer.best {
        println!(
            "{:7} {} × {} replicas, {:.0} requests each: {:.0} tokens/s, TTFT {}, TPOT {}",
            plan.engine,
            plan.parallelism,
            plan.replicas,
            plan.batch,
            plan.output.get(),
            plan.service.ttft,
            plan.service.tpot
        );
    }
    println!("{} of {} plans are feasible; the others:", answer.counts.feasible, answer.counts.plans);
    for fallen in &answer.rejected {
        println!("{:8}  {}, nearest: {}", fallen.count, fallen.reason.name(), fallen.reason.message());
    }
    Ok(())
}
