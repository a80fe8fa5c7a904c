//! Rows in discrete events, driven as the benchmark drove the server.

use crate::simulate::{Drive, Lengths, Outcome, Protocol, Requests, Simulation, Spread};
use crate::units::Seconds;
use crate::workload::{Load, Targets, Workload};

use super::run::Run;
use super::words::{Medians, Variety};
use crate::validate::{Prediction, Row};

/// Requests that an offline run queues where nothing says how many: most public ones have 1,000 to 3,000.
const QUEUED: f64 = 2000.0;

/// Seed of everything drawn.
const SEED: u64 = 1;

/// Of how many runs the times of a short one are the mean, and up to how many requests it is short: 200 arrivals of one draw
/// took 18 % longer than their mean rate says.
const DRAWS: u64 = 5;
const SHORT: u64 = 1000;

/// Continuous batching at a concurrency, at a rate, or with everything queued at once.
pub fn predict(run: &Run) -> Prediction {
    let replica = run.deployment.replica();
    let drive = drive(run)?;
    let medians = Medians::of(run.row);
    let short = run.row.stated("num_requests").is_some() && drive.requests.total() <= SHORT;
    let draws = if short { DRAWS } else { 1 };
    let of_draw = |draw: u64| {
        let drive = Drive { seed: SEED + draw, ..drive.clone() };
        let requests = drive.requests.window();
        let simulation = Simulation::new(&replica, drive.arrivals(), requests, Targets::default());
        let outcome = simulation.run(&mut ()).map_err(|d| d.cause)?;
        Ok(columns(&outcome, run.replicas, medians))
    };
    let drawn: Vec<Vec<(&'static str, f64)>> = (0..draws).map(of_draw).collect::<Result<_, String>>()?;
    let mean = |place: usize| drawn.iter().map(|columns| columns[place].1).sum::<f64>() / draws as f64;
    Ok(drawn[0].iter().enumerate().map(|(place, (name, _))| (*name, mean(place))).collect())
}

pub(super) fn columns(outcome: &Outcome, replicas: f64, medians: Medians) -> Vec<(&'static str, f64)> {
    let (output, requests) = (outcome.output().get() * replicas, outcome.rate().get() * replicas);
    let prompt_share = outcome.prompt_tokens as f64 / outcome.output_tokens.max(1) as f64;
    let ms = |times: &Spread, median: bool| {
        let time: Seconds = if median { times.quantile(0.5) } else { times.mean() };
        time.as_millis()
    };
    vec![
        ("ttft_ms", ms(&outcome.ttft, medians.ttft)),
        ("tpot_ms", ms(&outcome.tpot, medians.rest)),
        ("itl_ms", ms(&outcome.itl, medians.rest)),
        ("e2e_ms", ms(&outcome.e2e, medians.rest)),
        ("output_tok_s", output),
        ("total_tok_s", output * (1.0 + prompt_share)),
        ("req_s", requests),
    ]
}

/// How one replica of the row was driven.
fn drive(run: &Run) -> Result<Drive, String> {
    let mixes = run.deployment.replica().engine.scheduling.mixes_prefill;
    driven(run.row, run.protocol, &Workload { load: load(run), ..run.workload }, (mixes, run.replicas))
}

/// How one of so many replicas was driven under a protocol; `mixes` says whether its engine computes prompts beside decodes.
pub(super) fn driven(
    row: &Row,
    named: &str,
    workload: &Workload,
    (mixes, replicas): (bool, f64),
) -> Result<Drive, String> {
    let nominal = |column: &str| row.whole(column).ok_or_else(|| format!("no {column}"));
    let (isl, osl) = (nominal("isl")?, nominal("osl")?);
    let protocol = protocol(named);
    let load = workload.load;
    let queued = (load == Load::Saturate).then_some(QUEUED);
    let requests = match row.stated("num_requests").or(queued) {
        Some(n) => Requests { before: 0, count: (n / replicas).ceil() as u64, after: 0 },
        None => protocol.requests(load),
    };
    let varied = Variety::of(row).map(|variety| (variety.about(isl), variety.about(osl)));
    let lengths = varied.unwrap_or_else(|| match named {
        // Lengths are not stated. Engines that compute prompts first, alone, show the waves of fixed ones.
        "closed-loop-unstated" if !mixes => (Lengths::Fixed(isl), Lengths::Fixed(osl)),
        "closed-loop-unstated" | "closed-loop" => (around(isl), around(osl)),
        _ => (protocol.lengths(isl), protocol.lengths(osl)),
    });
    Ok(Drive { lengths, requests, ..Drive::new(protocol, workload, SEED) })
}

/// Lengths that keep requests from marching in step, with the nominal one as their mean.
fn around(nominal: u64) -> Lengths {
    let part = nominal / 10;
    Lengths::Uniform { low: (nominal - part).max(1), high: nominal.saturating_add(part) }
}

fn protocol(named: &str) -> Protocol {
    match named {
        "inferencex" | "closed-loop-unstated" | "closed-loop" => Protocol::InferenceX,
        "trtllm-bench" => Protocol::TrtllmBench,
        "mlperf" | "open-loop" => Protocol::MlperfServer,
        _ => Protocol::Steady,
    }
}

fn load(run: &Run) -> Load {
    match (run.row.number("concurrency"), run.rate()) {
        (Some(n), _) => Load::Concurrency((n / run.replicas).round().max(1.0) as u64),
        (None, Some(rate)) => Load::Rate(rate),
        (None, None) => Load::Saturate,
    }
}
