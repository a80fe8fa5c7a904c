//! Takes the decode step of the best plan apart, operator by operator.
//!
//! Key points here:
//! - an `Estimate` names its layout; `with_deployment` compiles it again;
//! - `Explanation` holds two steps, each a list of operators with time, bound and provenance;
//! - an operator knows its FLOPs and bytes for any step.
//!
//! Run it with `cargo run --release --example explain`.

use shardfit::diagnostic::{Code, Diagnostic};
use shardfit::model::Scope;
use shardfit::search::Question;
use shardfit::units::Seconds;
use shardfit::{catalog, model};

fn main() -> Result<(), Diagnostic> {
    let model = model::find("qwen3-30b-a3b", &[], Scope::Full)?;
    let cluster = catalog::cluster("2xh100-sxm")?;
    let engines = [catalog::engine("vllm")?];
    let question = Question::new(&model, &cluster, &engines);
    let answer = question.answer()?;
    let best = answer.best.first().ok_or_else(|| Diagnostic::new(Code::Usage, "no plan is feasible"))?;
    println!("{} × {} replicas, batch {:.0}", best.parallelism, best.replicas, best.batch);
    let explanation = question.with_deployment(best, |deployment| deployment.explain(best))?;
    let step = &explanation.decode_step;
    for line in &explanation.decode {
        let operator = &line.operator;
        let count = operator.count as f64;
        println!(
            "{:22} × {:<3} {:>9} {:>9.2} GFLOP {:>9.1} MB, bound by {}",
            operator.name,
            operator.count,
            line.time.to_string(),
            operator.flops(step).get() * count / 1e9,
            operator.traffic(step).get() * count / 1e6,
            line.bound.name()
        );
    }
    let total: Seconds = explanation.decode.iter().map(|line| line.time).sum();
    println!("decode step of {:.0} sequences: {total}", step.decode_sequences);
    Ok(())
}
