//! Rows of split pools: prefill and decode workers with a split of their own.

use crate::catalog::residuals::Traffic;
use crate::catalog::{Catalog, Cluster, Engine, Gpu};
use crate::estimate::context::{Context, ContextParts};
use crate::estimate::deployment::Deployment;
use crate::estimate::memory::{LimitOverrides, Limits};
use crate::estimate::pairing::{Pair, Worker};
use crate::plan::Parallelism;
use crate::simulate::{SplitSimulation, Workers};
use crate::workload::{Load, Targets, Workload};

use super::estimator::Estimator;
use super::launch;
use super::run::{INFERENCEX_MEAN_LENGTH, range};
use super::words::Medians;
use crate::validate::{Prediction, Row};

/// Workers of one kind and the split of each, as a row states them: `5x(TP8 PP1 DP1 EP8 = 8 GPU)`.
fn pool(text: &str) -> Option<(u32, Parallelism)> {
    let (count, rest) = text.split_once("x(")?;
    let mut split = Parallelism::SINGLE;
    for word in rest.split(['=', ')']).next()?.split_whitespace() {
        let at = word.find(|c: char| c.is_ascii_digit())?;
        let (name, degree) = word.split_at(at);
        let degree: u32 = degree.parse().ok().filter(|d| *d > 0)?;
        match name {
            "TP" => split.tp = degree,
            "PP" => split.pp = degree,
            "DP" => split.attention_dp = degree,
            "EP" => split.ep = degree,
            _ => return None,
        }
    }
    Some((count.trim().parse().ok().filter(|n| *n > 0)?, split))
}

/// The engine of a row. Split pools run on its newest backend: a version from before that is the version of what
/// launched the workers, and the newest profile stands for it.
fn engine(row: &Row, catalog: &Catalog) -> Result<Engine, String> {
    let engine = row.engine(catalog)?;
    let newest = catalog.engine(&engine.id).map_err(|d| d.cause)?;
    Ok(if engine.backend == newest.backend { engine } else { row.launched(newest) })
}

/// GPUs of one server from which on it is a rack.
const RACK: u32 = 32;

/// SGLang on racks of one NVLink domain is launched with DeepEP and a balancer (`--moe-a2a-backend deepep`,
/// `--eplb-algorithm`, `--ep-num-redundant-experts`), which spreads the experts over all ranks whatever the run
/// is labelled (`server_args.py`). Where `launches` says how it was launched, nothing is taken to be so.
fn on_racks(row: &Row, engine: &mut Engine, gpu: &Gpu, split: Parallelism) -> Parallelism {
    let racks = gpu.gpus_per_node >= RACK && engine.id == "sglang";
    if !racks || split.attention_dp == 1 || row.text("launches").is_some() {
        return split;
    }
    engine.launch_with(&["deepep", "eplb"]);
    Parallelism { ep: split.tp.saturating_mul(split.attention_dp), ..split }
}

/// The share of the memory that launches take where the engine's own leaves no room for the batch: `mem-fraction-static` in
/// NVIDIA's recipes of DeepSeek-R1 in FP8 over four GB200 a worker (srt-slurm), 0.92 to 0.95.
const SIZED_FRACTION: f64 = 0.95;

/// Estimates the pools of a row.
pub fn predict(row: &Row, catalog: &Catalog, estimator: Estimator) -> Prediction {
    let of = |column: &str| {
        let text = row.text(column).ok_or_else(|| format!("no {column}"))?;
        pool(text).ok_or_else(|| format!("{column} `{text}` is not of the form 2x(TP8 PP1 DP1 EP8 = 8 GPU)"))
    };
    let ((x, prefill), (y, decode)) = (of("prefill_cfg")?, of("decode_cfg")?);
    let model = row.model(catalog)?;
    let mut engine = engine(row, catalog)?.benchmarked(model.quantisation.main_format());
    // Launches of split pools say the tokens of all ranks together: as many on each as on one alone.
    engine.defaults.tokens_of_all_ranks = false;
    let gpu = catalog.gpu(row.text("gpu").ok_or("no GPU")?).map_err(|d| d.cause)?;
    let decode = on_racks(row, &mut engine, &gpu, decode);
    let gpus = prefill.gpus().saturating_mul(x.into()).saturating_add(decode.gpus().saturating_mul(y.into()));
    // Pools that were measured stood somewhere: whole servers hold them.
    let servers = gpus.next_multiple_of(gpu.gpus_per_node.into());
    let gpus = if gpus <= gpu.gpus_per_node.into() { gpus } else { servers };
    let cluster =
        Cluster::of_gpus(gpu, u32::try_from(gpus).map_err(|_| "too many GPUs")?).map_err(|d| d.cause)?;
    let protocol = row.text("protocol").unwrap_or("steady");
    let scale = if protocol == "inferencex" { INFERENCEX_MEAN_LENGTH } else { 1.0 };
    let length = |column: &str| {
        let nominal = row.number(column).ok_or_else(|| format!("no {column}"))?;
        Ok::<u64, String>((nominal * scale).round().max(1.0) as u64)
    };
    let mut workload = Workload::new(length("isl")?, length("osl")?);
    let concurrency = row.whole("concurrency").ok_or("no concurrency")?;
    // Launches of split pools size their decode workers for the concurrency.
    let sequences = Limits::of(&engine, &cluster.gpu).max_sequences.max(concurrency.div_ceil(y.into()));
    let limits = LimitOverrides { max_sequences: Some(sequences), ..LimitOverrides::default() };
    let context_of = |limits: LimitOverrides, workload: Workload| {
        let (model, cluster, engine, kv) = (&model, &cluster, &engine, row.kv());
        Context::new(ContextParts { model, cluster, engine, limits, kv, workload, electricity: None })
            .map_err(|d| d.cause)
    };
    let of_workload = |workload: Workload| {
        let by_default = context_of(limits, workload)?;
        let placement = by_default.check(decode).map_err(|r| r.message())?;
        let holds = Deployment::compile(&by_default, decode, placement).max_batch();
        if holds >= concurrency.div_ceil(y.into()) {
            return Ok::<_, String>(by_default);
        }
        context_of(LimitOverrides { memory_fraction: Some(SIZED_FRACTION), ..limits }, workload)
    };
    let mut context = of_workload(workload)?;
    if launch::repeats_prompts(row, &engine) {
        // As for one pool: the cache of the prefill workers holds what comes round, or nothing of it.
        let round = row.stated("num_requests").unwrap_or(0.0) * workload.isl as f64;
        let cached = context.memory(prefill).kv_cache_tokens as f64 * f64::from(x);
        if round <= cached {
            let block = u64::from(engine.kv_block);
            workload.cached_prefix = workload.isl.saturating_sub(1) / block * block;
            context = of_workload(workload)?;
        }
    }
    let deploy = |split: Parallelism| {
        let placement = context.check(split).map_err(|r| r.message())?;
        Ok::<_, String>(Deployment::compile(&context, split, placement))
    };
    let (prefill, decode) = (deploy(prefill)?, deploy(decode)?);
    let (from, to) = (prefill.replica(), decode.replica());
    let (prefill, decode) = (Worker::of(&prefill), Worker::of(&decode));
    let transfer = prefill.transfer_to(&decode);
    let pair = Pair { prefill: &prefill, prefill_workers: x, decode: &decode, decode_workers: y, transfer };
    let mut predicted = match estimator {
        Estimator::Steady => steady(&pair, concurrency as f64),
        Estimator::Simulate => {
            let load = Load::Concurrency(concurrency);
            let drawn = Workload { load, ..workload };
            // Runs that state nothing are taken for the long run of pools that stand ready.
            let named = if protocol == "closed-loop-unstated" { "steady" } else { protocol };
            let drive = super::simulated::driven(row, named, &drawn, (engine.scheduling.mixes_prefill, 1.0))?;
            let (from, to) = (Workers { replica: &from, count: x }, Workers { replica: &to, count: y });
            let window = drive.requests.window();
            let outcome =
                SplitSimulation::new(from, to, transfer.time, drive.arrivals(), window, Targets::default())
                    .run(&())
                    .map_err(|d| d.cause)?;
            super::simulated::columns(&outcome, 1.0, Medians::of(row))
        }
    };
    range(&mut predicted, context.classes.class(false, Traffic::Split));
    Ok(predicted)
}

fn steady(pair: &Pair, concurrency: f64) -> Vec<(&'static str, f64)> {
    let s = pair.split().at(concurrency);
    vec![
        ("ttft_ms", s.ttft.as_millis()),
        ("tpot_ms", s.tpot.as_millis()),
        ("e2e_ms", s.e2e.as_millis()),
        ("output_tok_s", s.rate.get() * pair.decode.decode.osl),
        ("req_s", s.rate.get()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_read_as_inferencex_writes_them() {
        let split = Parallelism { ep: 4, attention_dp: 4, ..Parallelism::SINGLE };
        assert_eq!(pool("1x(TP1 PP1 DP4 EP4 = 4 GPU)"), Some((1, split)));
        assert_eq!(pool("0x(TP1 = 1 GPU)"), None);
        assert_eq!(pool("TP8"), None);
    }

    #[test]
    fn a_version_from_before_split_pools_is_that_of_what_launched_them() {
        let found = |version: &str| {
            let rows = [vec!["trtllm".to_owned(), version.to_owned()]];
            let table = super::super::super::Table::of_rows(&["engine", "engine_version"], &rows, "rows");
            let engine = engine(&table.row(0), &Catalog::built_in()).unwrap();
            (engine.version.to_string(), engine.backend)
        };
        let newest = found("");
        assert_eq!(found("0.8.1.post1"), newest);
        assert_eq!(found("1.0.0").1, newest.1);
        assert_ne!(found("1.0.0").0, newest.0);
    }
}
