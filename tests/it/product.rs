//! Every catalogue model of its own structure on every second catalogue GPU, and every GPU with every second model,
//! under the engine that is usual there: an answer, and no figure that physics forbids; or a reason.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use shardfit::catalog::{self, Cluster, Engine, Gpu, Kind, entries};
use shardfit::dtype::{DType, WeightFormat};
use shardfit::estimate::estimated::Estimate;
use shardfit::estimate::memory::{Verdict, stage_layers, weights_on_rank};
use shardfit::model::operator::{Operator, OperatorKind, Step};
use shardfit::model::tensor::Component;
use shardfit::model::{self, Model, Scope};
use shardfit::plan::Degrees;
use shardfit::plan::space::Pins;
use shardfit::plan::{Parallelism, Precision, Reason};
use shardfit::search::{Answer, Question};
use shardfit::units::Bytes;
use shardfit::workload::Workload;

/// Devices to try, until a model fits.
const DEVICES: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Decode attention of Arc Pro B60 was measured at 1.10 times its bandwidth, out of the cache.
fn above_datasheet(gpu: &Gpu) -> f64 {
    if gpu.id == "arc-pro-b60" { 1.11 } else { 1.0 }
}

/// The precisions to ask for in turn: the checkpoint's own, 16 bits, and what the engine packs.
fn precisions(engine: &Engine) -> Vec<Precision> {
    let with = |format| Precision { weights: Some(format), ..Precision::OWN };
    let mut all = vec![Precision::OWN, with(WeightFormat::Bf16), with(WeightFormat::Fp16)];
    all.extend(engine.weight_formats.contains(&WeightFormat::Q4KM).then(|| with(WeightFormat::Q4KM)));
    all
}

/// What a pair came to.
enum Outcome {
    /// A plan, and what it says of it that physics forbids.
    Answered { faults: Vec<String>, remark: Option<String> },
    /// It holds on no number of devices, at any precision: the reason that stopped most plans.
    Refused(String),
}

/// Powers of two for what divides layers, a few batches, one replica: the walk looks for one answer, not
/// for the best of all.
fn pins() -> Pins {
    Pins {
        split: Degrees { tp: DEVICES.to_vec(), pp: DEVICES.to_vec(), ..Degrees::default() },
        batch: vec![1, 4, 32, 256],
        replicas: vec![1],
        ..Pins::default()
    }
}

/// Bytes of the weights, which no smaller cluster holds.
fn weights(model: &Model, precision: &Precision) -> Bytes {
    let stored = precision.weights.map(|format| model.clone().with_weights(format));
    let model = stored.as_ref().unwrap_or(model);
    weights_on_rank(model, Parallelism::SINGLE.groups(), &stage_layers(model, 1)[0], (true, true))
}

fn ask(model: &Model, gpu: &Gpu, engine: &Engine) -> Outcome {
    let mut refusal = String::new();
    for precision in precisions(engine) {
        let least = weights(model, &precision);
        for devices in DEVICES {
            if gpu.memory * u64::from(devices) < least {
                refusal = "more weights than 64 devices hold".into();
                continue;
            }
            let Ok(cluster) = Cluster::of_gpus(gpu.clone(), devices) else { continue };
            let engines = std::slice::from_ref(engine);
            let question = Question {
                workload: Workload::new(1024, 256),
                precisions: vec![precision],
                pins: pins(),
                top: 1,
                ..Question::new(model, &cluster, engines)
            };
            let answer =
                question.answer().unwrap_or_else(|e| panic!("{} on {devices} {}: {e}", model.id, gpu.id));
            if let Some(best) = answer.best.first() {
                let faults = faults(&question, best, gpu, model);
                let place = format!("{} on {devices} {} with {}", model.id, gpu.id, engine.id);
                let name = |f: String| format!("{place}: {f}");
                return Outcome::Answered {
                    faults: faults.into_iter().map(name).collect(),
                    remark: remark(best).map(name),
                };
            }
            let format =
                |a: &Answer| a.rejected.iter().any(|r| matches!(r.reason, Reason::FormatUnsupported { .. }));
            let memory = answer.rejected.iter().find(|r| matches!(r.reason, Reason::OutOfMemory { .. }));
            let said = memory.or(answer.rejected.first()).expect("no plan, and nothing said against any");
            refusal = said.reason.message();
            if format(&answer) {
                break; // more devices do not help
            }
        }
    }
    Outcome::Refused(refusal)
}

/// Least time of an operator: FLOPs at the datasheet's peak, bytes at its bandwidth.
fn floor(operator: &Operator, step: &Step, gpu: &Gpu) -> (f64, f64) {
    let peak = gpu.peak.values().map(|p| p.get()).fold(0.0, f64::max);
    let bytes = match operator.kind {
        OperatorKind::Collective { .. } => 0.0,
        _ => operator.traffic(step).get(),
    };
    (operator.flops(step).get() / peak, bytes / gpu.bandwidth.get())
}

/// What contradicts physics or itself.
fn faults(question: &Question, best: &Estimate, gpu: &Gpu, model: &Model) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let s = &best.service;
    let (tpot, ttft) = (s.tpot.get(), s.ttft.get());
    for (name, value) in [("TPOT", tpot), ("TTFT", ttft), ("E2E", s.e2e.get()), ("output", best.output.get())]
    {
        check(value.is_finite() && value > 0.0, format!("{name} is {value}"));
    }
    // The operators' own bytes and FLOPs.
    let allowed = above_datasheet(gpu);
    let sums = question.with_deployment(best, |deployment| {
        let explained = deployment.explain(best);
        explained.decode.iter().fold((0.0, 0.0, 0.0), |sum, line| {
            let (compute, memory) = floor(&line.operator, &explained.decode_step, gpu);
            let n = line.operator.count as f64;
            (sum.0 + compute * n, sum.1 + memory * n, sum.2 + line.time.get())
        })
    });
    let (compute, memory, time) = sums.unwrap_or_else(|e| panic!("{e}"));
    let least = compute.max(memory) / allowed;
    check(time >= least * 0.999, format!("a decode step of {time:.2e} s beats its roofline, {least:.2e} s"));
    check(tpot >= least * 0.999, format!("TPOT of {tpot:.2e} s beats the step's roofline, {least:.2e} s"));
    // The same from the model alone: every token reads the weights that it uses, stage after stage.
    let count = model.parameters().expect("counted before");
    // Tables that are looked up: embeddings, and those of every layer that some models have (`Other`).
    let looked_up = count.of(Component::Other) + model.vocabulary * model.hidden;
    let used = count.active.saturating_sub(looked_up) as f64;
    let p = best.parallelism;
    let ranks = f64::from(p.tp) * f64::from(p.attention_dp);
    let least = used * best.weights.bytes_per_element().min(2.0) / ranks / gpu.bandwidth.get() / allowed;
    check(
        tpot >= least * 0.95,
        format!("TPOT of {tpot:.2e} s is less than reading the weights, {least:.2e} s"),
    );
    let peak = gpu.peak.values().map(|p| p.get()).fold(0.0, f64::max);
    let tokens = best.output.get() * question.workload.context() as f64 / question.workload.osl as f64;
    let most = best.gpus as f64 * peak / (2.0 * used);
    check(tokens <= most, format!("{tokens:.0} tokens/s exceed the FLOPs of {most:.0}"));
    check(best.verdict != Verdict::DoesNotFit, "the best plan does not fit".into());
    let m = &best.memory;
    let room = m.capacity + m.band;
    check(m.total() <= room, format!("{:.1} GiB in {:.1}", m.total().as_gib(), m.capacity.as_gib()));
    check(gpu.peak(DType::Bf16).or(gpu.peak_16bit()).is_some(), "no 16-bit peak".into());
    faults
}

/// What is possible and still worth a look.
fn remark(best: &Estimate) -> Option<String> {
    let (tpot, ttft) = (best.service.tpot.as_millis(), best.service.ttft.as_millis());
    let odd = tpot > 2_000.0 || ttft > 600_000.0 || best.output_per_gpu.get() > 200_000.0;
    odd.then(|| {
        format!("TPOT {tpot:.0} ms, TTFT {ttft:.0} ms, {:.0} tokens/s a GPU", best.output_per_gpu.get())
    })
}

/// One name for each structure: a tuned model is built as its base is.
fn distinct() -> Vec<&'static str> {
    let mut seen: Vec<Model> = Vec::new();
    let mut names = Vec::new();
    for entry in entries(Kind::Model) {
        let model = model::find(entry.id, &[], Scope::Full).unwrap_or_else(|e| panic!("{e}"));
        let model = Model { id: String::new(), max_context: None, notes: Vec::new(), ..model };
        if !seen.contains(&model) {
            seen.push(model);
            names.push(entry.id);
        }
    }
    names
}

/// Asks every second pair of these, on all cores.
fn walk(models: &[&str], gpus: &[Gpu]) {
    let next = AtomicUsize::new(0);
    let (faults, remarks, refused) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let answered = AtomicUsize::new(0);
    let engines: Vec<Engine> = gpus.iter().map(|g| catalog::usual_engine(g).unwrap()).collect();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(id) = models.get(number) else { break };
            let model = model::find(id, &[], Scope::Full).unwrap_or_else(|e| panic!("{e}"));
            for (gpu, engine) in gpus.iter().zip(&engines).skip(number % 2).step_by(2) {
                match ask(&model, gpu, engine) {
                    Outcome::Answered { faults: found, remark } => {
                        answered.fetch_add(1, Ordering::Relaxed);
                        faults.lock().unwrap().extend(found);
                        remarks.lock().unwrap().extend(remark);
                    }
                    // A slice works alone, and what it has no room for no number of them has.
                    Outcome::Refused(_) if gpu.slice.is_some() => {}
                    Outcome::Refused(why) => {
                        refused.lock().unwrap().push(format!("{id} on {}: {why}", gpu.id));
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let sorted = |list: Mutex<Vec<String>>| {
        let mut list = list.into_inner().unwrap();
        list.sort();
        list
    };
    let (faults, remarks, refused) = (sorted(faults), sorted(remarks), sorted(refused));
    let pairs = models.len() * gpus.len() / 2;
    println!("{} of {pairs} pairs answered", answered.into_inner());
    println!("{} held nowhere:\n  {}", refused.len(), refused.join("\n  "));
    println!("{} worth a look:\n  {}", remarks.len(), remarks.join("\n  "));
    assert!(faults.is_empty(), "{} faults:\n  {}", faults.len(), faults.join("\n  "));
    assert!(refused.len() * 10 < pairs, "{} of {pairs} pairs held nowhere", refused.len());
}

/// Every GPU whose rates no other has: sizes of memory of one chip count once.
fn gpus() -> Vec<Gpu> {
    let mut all: Vec<Gpu> = Vec::new();
    for gpu in entries(Kind::Gpu).iter().map(|e| catalog::gpu(e.id).unwrap()) {
        let alike = |known: &Gpu| {
            (&known.architecture, known.bandwidth, &known.peak)
                == (&gpu.architecture, gpu.bandwidth, &gpu.peak)
        };
        if !all.iter().any(alike) {
            all.push(gpu);
        }
    }
    all
}

#[test]
fn every_structure_on_every_second_gpu_answers_within_physics() {
    walk(&distinct(), &gpus());
}
