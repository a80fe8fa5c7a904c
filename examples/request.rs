//! Asks what the command line asks, from JSON: what a program, a page or another language would send.
//!
//! Key points here:
//! - the keys of a request are the options of the command line with underscores, and all of them are optional;
//! - `resolve` looks up the names and puts defaults in place; it says what is wrong in the names of the keys;
//! - one resolved request is asked for plans, an estimate, fleets or a simulation.
//!
//! Run it with `cargo run --release --example request`.

use shardfit::catalog::Catalog;
use shardfit::diagnostic::Diagnostic;
use shardfit::report::{self, Subject};
use shardfit::request::{Request, Simulated, Task};

fn main() -> Result<(), Diagnostic> {
    let catalog = Catalog::built_in();

    // shardfit plan llama-3.1-70b --cluster 8xh100-sxm --isl 2048 --ttft 1s --top 3 --format json
    let text = r#"{"model": "llama-3.1-70b", "cluster": "8xh100-sxm", "isl": 2048, "ttft": "1s", "top": 3}"#;
    let resolved = Request::from_json(text)?.resolve(Task::Plan, &catalog)?;
    let planned = resolved.plan()?;
    for plan in &planned.answer.best {
        println!("{} × {}: {:.0} tokens/s", plan.parallelism, plan.replicas, plan.output.get());
    }
    let json = report::answer_json(
        &Subject::of(&resolved),
        &planned.answer,
        &planned.advice,
        &planned.what_if,
        None,
    );
    println!("{} plans in the space", json["space"]["plans"]);

    // shardfit estimate llama-3.1-8b --gpu l40s --concurrency 16
    let one = Request::from_json(r#"{"model": "llama-3.1-8b", "gpu": "l40s", "concurrency": 16}"#)?;
    let estimated = one.resolve(Task::Estimate, &catalog)?.estimate()?;
    println!("estimated: TPOT {}", estimated.estimate.service.tpot);

    // shardfit simulate llama-3.1-8b --gpu l40s --concurrency 16
    if let Simulated::Ran { outcome, .. } = one.resolve(Task::Simulate, &catalog)?.simulate()? {
        println!("simulated: TPOT {} at the 99th percentile", outcome.tpot.quantile(0.99));
    }

    // shardfit size llama-3.1-8b --gpu l40s,h100-sxm --rate 20 --ttft 1s
    let fleet = r#"{"model": "llama-3.1-8b", "gpu": ["l40s", "h100-sxm"], "rate": 20, "ttft": "1s"}"#;
    let sized = Request::from_json(fleet)?.resolve(Task::Size, &catalog)?.size()?;
    if let Some((kind, best)) = sized.best() {
        println!("{} GPUs of {}", best.gpus, kind.cluster.gpu.name);
    }

    // What is wrong is said in the names of the request.
    let wrong = Request::from_json(r#"{"model": "llama-3.1-8b", "gpus": "l40s"}"#);
    println!("{}", wrong.expect_err("there is no such key"));
    Ok(())
}
