//! The simulation against the closed form, and against what queueing theory says must hold.

use shardfit::catalog;
use shardfit::estimate::deployment::{Context, ContextParts, Deployment};
use shardfit::estimate::memory::Limits;
use shardfit::model::{self, Scope};
use shardfit::plan::Parallelism;
use shardfit::simulate::{ClosedLoop, Drive, Lengths, OpenLoop, Outcome, Protocol, Simulation};
use shardfit::units::{RequestsPerSecond, Seconds};
use shardfit::workload::{Load, Targets, Workload};

/// Compiles a deployment and hands it over.
fn with_deployment<T>(
    (model, gpu, engine): (&str, &str, &str),
    split: Parallelism,
    workload: Workload,
    use_it: impl FnOnce(&Deployment) -> T,
) -> T {
    let model = model::find(model, &[], Scope::Full).expect("in the catalogue");
    let cluster = catalog::cluster(&format!("{}x{gpu}", split.gpus())).expect("in the catalogue");
    let engine = catalog::engine(engine).expect("in the catalogue");
    let limits = Limits::of(&engine, &cluster.gpu);
    let parts = ContextParts {
        model: &model,
        cluster: &cluster,
        engine: &engine,
        limits,
        kv: None,
        workload,
        electricity: None,
    };
    let context = Context::new(parts).expect("the GPU has all figures");
    use_it(&Deployment::new(&context, split).expect("it fits"))
}

fn tensor(tp: u32) -> Parallelism {
    Parallelism { tp, pp: 1, ep: 1, attention_dp: 1 }
}

fn run(deployment: &Deployment, drive: &Drive) -> Outcome {
    let replica = deployment.replica();
    Simulation::new(&replica, drive.arrivals(), drive.requests.window(), Targets::default())
        .run(&mut ())
        .expect("no trace, no error")
}

fn off(a: f64, b: f64) -> f64 {
    (a / b - 1.0).abs()
}

#[test]
fn the_closed_form_and_the_simulation_agree_in_steady_state() {
    let cases = [
        ("llama-3.1-8b", "h100-sxm", "vllm", 1),
        ("llama-3.1-70b", "h100-sxm", "vllm", 4),
        ("llama-3.1-70b", "h200-sxm", "trtllm", 4),
        ("qwen3-30b-a3b", "h100-sxm", "vllm", 2),
    ];
    for (model, gpu, engine, tp) in cases {
        for (isl, osl) in [(1024, 512), (4096, 512), (512, 1024)] {
            for clients in [4, 32, 128] {
                let load = Load::Concurrency(clients);
                let workload = Workload { load, ..Workload::new(isl, osl) };
                with_deployment((model, gpu, engine), tensor(tp), workload, |d| {
                    let steady = d.replica().at(clients as f64);
                    let simulated = run(d, &Drive::new(Protocol::Steady, &workload, 1));
                    let case = format!("{model} {engine} {isl}/{osl} at {clients}");
                    let tpot = off(simulated.tpot.mean().get(), steady.tpot.get());
                    assert!(tpot < 0.05, "{case}: TPOT off by {tpot:.3}");
                    let output = off(simulated.output().get(), steady.output.get());
                    assert!(output < 0.05, "{case}: throughput off by {output:.3}");
                });
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_result() {
    let workload = Workload { load: Load::Rate(RequestsPerSecond::new(3.0)), ..Workload::new(1024, 256) };
    with_deployment(("llama-3.1-8b", "l40s", "sglang"), tensor(1), workload, |d| {
        let figures = |seed| {
            let o = run(d, &Drive::new(Protocol::MlperfServer, &workload, seed));
            (o.ttft.mean().get(), o.tpot.quantile(0.99).get(), o.output_tokens)
        };
        assert_eq!(figures(7), figures(7));
        assert_ne!(figures(7), figures(8));
    });
}

#[test]
fn every_request_is_answered_once_whatever_the_load() {
    for (engine, rate) in [("vllm", 1.0), ("sglang", 50.0), ("trtllm", 1000.0)] {
        let workload = Workload::new(2000, 200);
        with_deployment(("llama-3.1-8b", "l40s", engine), tensor(1), workload, |d| {
            let lengths = (
                Lengths::LogNormal { mean: 2000.0, sigma: 1.0, most: 20_000 },
                Lengths::Uniform { low: 1, high: 400 },
            );
            let arrivals = OpenLoop::new(RequestsPerSecond::new(rate), 0.5, 500, lengths, 3);
            let replica = d.replica();
            let o = Simulation::new(&replica, arrivals, 0..u64::MAX, Targets::default())
                .run(&mut ())
                .expect("no trace, no error");
            assert_eq!(o.requests, 500, "{engine}");
            assert_eq!(o.ttft.count(), 500);
            assert!(o.ttft.quantile(0.5) <= o.ttft.quantile(0.99));
            assert!(o.e2e.mean() >= o.ttft.mean());
            // Every token but the first of each request follows a gap.
            assert_eq!(o.itl.count(), o.output_tokens - o.requests, "{engine}");
        });
    }
}

#[test]
fn a_lone_request_takes_its_prompt_and_its_decode_steps() {
    let workload = Workload::new(1000, 101);
    with_deployment(("llama-3.1-8b", "h100-sxm", "vllm"), tensor(1), workload, |d| {
        let replica = d.replica();
        let lengths = (Lengths::Fixed(1000), Lengths::Fixed(101));
        let o = Simulation::new(&replica, ClosedLoop::new(1, 1, lengths, 1), 0..1, Targets::default())
            .run(&mut ())
            .expect("no trace, no error");
        // Linear in the context, so the step in the middle of the output stands for all.
        let expected = replica.decode_step_at(1.0, 1049.5);
        assert!(off(o.tpot.mean().get(), expected.get()) < 0.01);
        assert_eq!(o.requests, 1);
    });
}

#[test]
fn overload_shows_in_the_wait_and_not_in_the_throughput() {
    let workload = Workload::new(1024, 256);
    with_deployment(("llama-3.1-8b", "l40s", "vllm"), tensor(1), workload, |d| {
        let at = |rate: f64| {
            let workload = Workload { load: Load::Rate(RequestsPerSecond::new(rate)), ..workload };
            run(d, &Drive::new(Protocol::MlperfServer, &workload, 1))
        };
        let (calm, heavy, heavier) = (at(1.0), at(40.0), at(80.0));
        assert!(off(calm.rate().get(), 1.0) < 0.1);
        assert!(heavy.ttft.mean() > calm.ttft.mean() * 20.0);
        assert!(heavier.ttft.mean() > heavy.ttft.mean());
        assert!(off(heavier.output().get(), heavy.output().get()) < 0.05);
    });
}

#[test]
fn a_trace_is_read_by_its_columns_and_refused_when_it_goes_back() {
    use shardfit::simulate::{Arrivals as _, Trace};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let first_two = |path: &std::path::Path| {
        let mut trace = Trace::open(path, 2.0, 10).expect("it opens");
        let mut next = || trace.next().expect("it reads").map(|a| (a.at, a.prompt, a.output));
        (next(), next())
    };
    let expected = (Some((Seconds::ZERO, 374, 44)), Some((Seconds::new(0.25), 396, 109)));
    let own = write("own.csv", "arrival_s,prompt_tokens,output_tokens\n10,374,44\n10.5,396,109\n");
    assert_eq!(first_two(&own), expected);
    // AzureLLMInferenceTrace_conv.csv of Azure/AzurePublicDataset has these columns and this form of time.
    let azure = write(
        "azure.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:47.1805900,396,109\n",
    );
    assert_eq!(first_two(&azure), expected);
    // Mooncake's conversation_trace.jsonl.
    let mooncake = write(
        "mooncake.jsonl",
        "{\"timestamp\": 0, \"input_length\": 374, \"output_length\": 44, \"hash_ids\": [0]}\n{\"timestamp\": 500, \"input_length\": 396, \"output_length\": 109, \"hash_ids\": [0, 1]}\n",
    );
    assert_eq!(first_two(&mooncake), expected);
    let back = write("back.csv", "arrival_s,prompt_tokens,output_tokens\n2,5,5\n1,5,5\n");
    let mut trace = Trace::open(&back, 1.0, 10).expect("it opens");
    trace.next().expect("the first is fine");
    let refused = trace.next().expect_err("the second goes back");
    assert!(refused.place.is_some_and(|p| p.ends_with("back.csv, line 3")));
}
