//! What is printed holds: the first plan keeps its targets in another, longer simulation; more verification and looser
//! targets never worsen it; every number of replicas is reached.

use crate::common::shardfit;
use shardfit::catalog::{self, Cluster, Engine};
use shardfit::estimate::estimated::Estimate;
use shardfit::model::{self, Model, Scope};
use shardfit::rank::Objective;
use shardfit::search::size::{Demand, Least, Unit};
use shardfit::search::{Depth, Question, Verification};
use shardfit::simulate::{Drive, Outcome, Protocol, Requests, Simulation};
use shardfit::units::{RequestsPerSecond, Seconds};
use shardfit::workload::{Load, Targets, Workload};

fn times(ttft: Option<f64>, tpot: Option<f64>) -> Targets {
    Targets { ttft: ttft.map(Seconds::millis), tpot: tpot.map(Seconds::millis), ..Targets::default() }
}

fn parts(model: &str, cluster: &str, engine: &str) -> (Model, Cluster, [Engine; 1]) {
    let model = model::find(model, &[], Scope::Full).expect("in the catalogue");
    let cluster = catalog::cluster(cluster).expect("in the catalogue");
    (model, cluster, [catalog::engine(engine).expect("in the catalogue")])
}

fn asked<'a>(
    (model, cluster, engines): &'a (Model, Cluster, [Engine; 1]),
    (workload, targets): (Workload, Targets),
    depth: Depth,
) -> Question<'a> {
    let verification = Verification { depth };
    Question { workload, targets, verification, top: 4, ..Question::new(model, cluster, engines) }
}

/// A plan in another simulation, ten times as long.
fn again(question: &Question, best: &Estimate) -> Outcome {
    let replicas = f64::from(best.replicas);
    let load = match question.workload.load {
        Load::Rate(rate) => Load::Rate(rate / replicas),
        _ => Load::Concurrency(best.batch.round() as u64),
    };
    let mut drive = Drive::new(Protocol::Steady, &Workload { load, ..question.workload }, 2026);
    drive.burstiness = replicas;
    drive.requests = match load {
        Load::Rate(_) => Protocol::requests_under_rate(10.0 * best.batch, 10_000),
        _ => Requests { count: drive.requests.count * 10, ..drive.requests },
    };
    question
        .with_deployment(best, |deployment| {
            let replica = deployment.replica();
            let window = drive.requests.window();
            Simulation::new(&replica, drive.arrivals(), window, Targets::default()).run(&mut ())
        })
        .expect("a plan of this question")
        .expect("no trace, no error")
}

/// Models, where and with what they run, lengths.
const PLACES: [(&str, &str, &str, (u64, u64)); 6] = [
    ("llama-3.1-8b", "2xl40s", "vllm", (1024, 256)),
    ("llama-3.1-8b", "4xh100-sxm", "trtllm", (4096, 128)),
    ("qwen3-30b-a3b", "2xh100-sxm", "vllm", (1024, 512)),
    ("qwen3-32b", "4xa100-sxm-80gb", "sglang", (2048, 256)),
    ("llama-3.1-70b", "4xh200-sxm", "vllm", (2048, 512)),
    ("mistral-7b", "1xa10g", "vllm", (512, 128)),
];

#[test]
fn the_first_plan_holds_in_another_simulation_ten_times_as_long() {
    let (mut questions, mut missed) = (0, Vec::new());
    for (model, cluster, engine, (isl, osl)) in PLACES {
        let parts = parts(model, cluster, engine);
        for targets in [times(Some(400.0), None), times(Some(1500.0), Some(40.0)), times(None, Some(25.0))] {
            for load in [Load::Saturate, Load::Rate(RequestsPerSecond::new(3.0))] {
                let workload = Workload { load, ..Workload::new(isl, osl) };
                let question = asked(&parts, (workload, targets), Depth::Plans(1));
                let answer = question.answer().expect("a valid question");
                let Some(best) = answer.best.first() else { continue };
                questions += 1;
                let verified = best.verified.expect("the first plan is simulated");
                let case =
                    format!("{model} {cluster} {load:?} {targets:?}: {} {:.0}", best.parallelism, best.batch);
                assert_eq!(verified.missed(best.class, &targets), None, "{case}");
                let o = again(&question, best);
                let late = |limit: Option<Seconds>, got: Seconds| limit.is_some_and(|limit| got > limit);
                if late(targets.ttft, o.ttft.mean()) || late(targets.tpot, o.tpot.mean()) {
                    missed.push(format!("{case}: {} {}", o.ttft.mean(), o.tpot.mean()));
                }
            }
        }
    }
    assert!(questions >= 20, "{questions}");
    assert!(missed.is_empty(), "of {questions}: {missed:#?}");
}

/// What a plan delivers as simulated.
fn output(answer: &[Estimate]) -> f64 {
    answer.first().map_or(0.0, |best| best.verified.expect("the first plan is simulated").output.get())
}

#[test]
fn a_looser_target_is_never_worse() {
    // Batches within a hundredth of the best are taken for equal, and the fastest stands for them.
    let knee = 0.99;
    for (model, cluster, engine, (isl, osl)) in PLACES {
        let parts = parts(model, cluster, engine);
        let looser = [15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 70.0];
        let questions: [Box<dyn Fn(f64) -> Targets>; 2] =
            [Box::new(|x| times(Some(2000.0), Some(x))), Box::new(|x| times(Some(20.0 * x), None))];
        for targets in questions {
            let mut most = 0.0_f64;
            for x in looser {
                let asks = (Workload::new(isl, osl), targets(x));
                let answer = asked(&parts, asks, Depth::Plans(1)).answer().expect("a valid question");
                let got = output(&answer.best);
                assert!(got >= most * knee, "{model} on {cluster} at {x}: {got:.1} after {most:.1}");
                most = most.max(got);
            }
        }
    }
}

#[test]
fn deeper_verification_never_changes_the_first_plan() {
    for (model, cluster, engine, (isl, osl)) in PLACES {
        let parts = parts(model, cluster, engine);
        for load in [Load::Saturate, Load::Rate(RequestsPerSecond::new(2.0))] {
            let targets = times(Some(600.0), Some(45.0));
            let workload = Workload { load, ..Workload::new(isl, osl) };
            let first = |depth| {
                let answer = asked(&parts, (workload, targets), depth).answer().expect("a valid question");
                answer.best.into_iter().next()
            };
            let one = first(Depth::Plans(1));
            for depth in [Depth::First, Depth::Plans(3), Depth::Plans(8)] {
                assert_eq!(first(depth), one, "{model} on {cluster}, {load:?}, {depth:?}");
            }
        }
    }
}

#[test]
fn a_batch_that_misses_as_simulated_is_lowered_before_the_layout_is_dropped() {
    for verify in ["", "--verify 1", "--verify 3", "--verify 8"] {
        let line =
            format!("plan llama-3.1-70b --cluster 8xh100-sxm --ttft 400ms --top 1 {verify} --format json");
        let answer = shardfit(&line).exits(0).json();
        let best = &answer["plans"][0];
        assert_eq!((&best["tp"], &best["replicas"]), (&4.into(), &2.into()), "{verify}");
        let of = |name: &str| best[name].as_f64().expect("a number");
        assert!(
            of("simulated_output_tokens_per_s") >= 4600.0 && of("output_tokens_per_s") >= 4600.0,
            "{best}"
        );
        assert!(of("simulated_ttft_ms") <= 400.0 && of("ttft_ms") <= 400.0, "{best}");
    }
}

#[test]
fn a_layout_that_holds_a_tight_target_is_not_lost_under_a_loose_one() {
    // 708 tok/s at 45 ms and 39 at 50 ms when layouts were dropped instead of their batch being lowered.
    let parts = parts("mistral-large-2", "4xh100-sxm", "sglang");
    let at = |tpot| {
        let asks = (Workload::new(2048, 512), times(Some(2000.0), Some(tpot)));
        output(&asked(&parts, asks, Depth::First).answer().expect("a valid question").best)
    };
    assert!(at(45.0) > 600.0 && at(50.0) >= 0.99 * at(45.0), "{} {}", at(45.0), at(50.0));
}

#[test]
fn every_number_of_replicas_is_reached_under_a_rate() {
    let parts = parts("llama-3.1-8b", "64xl40s", "vllm");
    let load = Load::Rate(RequestsPerSecond::new(60.0));
    let workload = Workload { load, ..Workload::new(1024, 256) };
    let targets = times(Some(1000.0), Some(40.0));
    for objective in [Objective::Throughput, Objective::Cost] {
        let question = Question { objective, ..asked(&parts, (workload, targets), Depth::First) };
        let answer = question.answer().expect("a valid question");
        assert_eq!((answer.best[0].gpus, answer.best[0].replicas), (18, 18), "{objective:?}");
        let counts = answer.counts;
        let fell = counts.illegal + counts.out_of_memory + counts.target_missed;
        assert_eq!(fell + counts.feasible, counts.plans);
    }
    let demand = Demand {
        rate: RequestsPerSecond::new(60.0),
        users: None,
        headroom: 0.0,
        spare: 0,
        unit: Unit::Gpus(1),
        least: Least::Gpus,
    };
    let sized = asked(&parts, (workload, targets), Depth::First).size(&demand).expect("a valid demand");
    let fleet = &sized[0].fleets[0];
    assert_eq!(fleet.gpus, 18);
    let verified = fleet.replica.verified.expect("the first is simulated");
    assert_eq!(verified.missed(fleet.replica.class, &targets), None);
}

#[test]
fn between_replicas_that_miss_a_percentile_and_those_that_hold_it_the_fewest_are_found() {
    // The prompts of 0.118 requests a second seldom meet on three replicas; on one the 99th percentile of TPOT is 109 ms.
    let line = "plan llama-3.1-8b --cluster 8xa100-sxm-80gb --engine vllm --isl 16000 --osl 32 --objective cost \
                --rate 0.118 --tpot 15.78ms --percentile p99 --tp 1 --top 1 --format json";
    let searched = shardfit(line).exits(0).json()["plans"][0]["gpus"].clone();
    let pinned = shardfit(&format!("{line} --replicas 3")).exits(0).json()["plans"][0]["gpus"].clone();
    assert_eq!((searched, pinned), (3.into(), 3.into()));
}

#[test]
fn a_fleet_that_cannot_keep_up_is_said_to_be_overloaded_first() {
    let fleet = "simulate llama-3.1-8b --gpu l40s --isl 1024 --osl 256 --ttft 1s --tpot 40ms --rate";
    let run = shardfit(&format!("{fleet} 12")).exits(0);
    assert!(run.stdout.starts_with("overloaded: "), "{}", run.stdout);
    assert_eq!(shardfit(&format!("{fleet} 12 --format json")).json()["overloaded"], true);
    let run = shardfit(&format!("{fleet} 2")).exits(0);
    assert!(run.stdout.contains("100.0 % of requests meet every target"), "{}", run.stdout);
    assert_eq!(shardfit(&format!("{fleet} 2 --format json")).json()["overloaded"], false);
}

#[test]
fn requests_that_do_not_divide_over_replicas_are_simulated_as_they_are_spread() {
    let parts = parts("llama-3.1-8b", "8xh100-sxm", "vllm");
    for in_flight in [1, 3, 5, 12] {
        let workload = Workload { load: Load::Concurrency(in_flight), ..Workload::new(1024, 256) };
        let question = asked(&parts, (workload, times(None, Some(20.0))), Depth::Plans(8));
        let answer = Question { top: 12, ..question }.answer().expect("a valid question");
        assert!(!answer.best.is_empty());
        for plan in &answer.best {
            let Some(verified) = plan.verified else { continue };
            let share = verified.output / plan.output;
            // Closed form and simulation differ by a few per cent; rounding the requests of each replica was off by 5 times.
            assert!((0.8..1.2).contains(&share), "{in_flight} over {}: {share}", plan.replicas);
        }
    }
}

#[test]
fn what_waits_for_answers_never_comes_too_fast() {
    // Few tokens a request: all in flight are answered at once, and sent anew at once.
    for (osl, in_flight) in [(1, 64), (4, 64), (16, 40)] {
        for engine in ["vllm", "sglang", "trtllm"] {
            let parts = parts("llama-3.1-8b", "8xh100-sxm", engine);
            let workload = Workload { load: Load::Concurrency(in_flight), ..Workload::new(512, osl) };
            let answer = asked(&parts, (workload, Targets::default()), Depth::First).answer();
            let answer = answer.expect("a valid question");
            assert!(answer.counts.feasible > 0, "{engine}, {osl} tokens out");
        }
    }
}

#[test]
fn a_queue_that_grows_with_the_run_is_no_answer() {
    // Four L40S serve two requests of 8,192 tokens a second in closed form, with next to no time left.
    let parts = parts("llama-3.1-8b", "4xl40s", "vllm");
    let load = Load::Rate(RequestsPerSecond::new(2.0));
    let workload = Workload { load, ..Workload::new(8192, 512) };
    let answer = asked(&parts, (workload, times(Some(6000.0), None)), Depth::First).answer();
    assert!(answer.expect("a valid question").best.is_empty());
}

#[test]
fn advice_holds_when_it_is_followed() {
    let mut followed = 0;
    for asked in [
        "--cluster 4xl40s --isl 8k --osl 512 --rate 2 --ttft 3s --tpot 100ms",
        "--cluster 1xa10g --isl 4k --rate 1 --ttft 1s",
    ] {
        let line = format!("plan llama-3.1-8b {asked} --format json --top 1");
        let answer = shardfit(&line).exits(1).json();
        for advice in answer["advice"].as_array().expect("a list") {
            let change = advice["change"].as_str().expect("text");
            if change.contains(" with ") {
                continue;
            }
            // What is in brackets is the option, as it is typed.
            let Some(option) =
                change.split_once("(--").map(|(_, rest)| format!("--{}", rest.trim_end_matches(')')))
            else {
                continue;
            };
            let kept = asked.split(" --").filter(|part| {
                let name = part.trim_start_matches("--").split(' ').next().unwrap_or_default();
                !option.starts_with(&format!("--{name} "))
            });
            let kept: Vec<String> = kept.map(|part| format!("--{}", part.trim_start_matches("--"))).collect();
            let line = format!("plan llama-3.1-8b {} {option} --format json --top 1", kept.join(" "));
            shardfit(&line).exits(0);
            followed += 1;
        }
    }
    assert!(followed > 3, "{followed}");
}

#[test]
fn a_layout_that_nobody_launches_comes_first_where_it_is_twice_as_good() {
    // Two GPUs hold 70B in 16 bits and next to no cache; with stages they hold a batch.
    let run =
        shardfit("plan llama-3.3-70b --cluster 8xh100-sxm --tp 2 --concurrency 200 --format json").exits(0);
    let answer = run.json();
    let first = &answer["plans"][0];
    assert_eq!((&first["pp"], first["practice"].as_str()), (&2.into(), Some("unusual")), "{first}");
    // Without a pin one that is launched is: 3,484 tok/s of an unusual layout are less than twice the others'.
    let run = shardfit("plan llama-3.3-70b --cluster 8xh100-sxm --concurrency 200 --format json").exits(0);
    assert_eq!(run.json()["plans"][0]["practice"], "usual");
}
