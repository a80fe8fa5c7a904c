//! `shardfit size` through the binary.

use std::fs;

use crate::common::{number, shardfit};

const CHAT: &str = "size llama-3.1-8b --gpu l40s --isl 1024 --osl 256 --ttft 1s --tpot 40ms --format json";

/// The best fleet.
fn best(line: &str) -> serde_json::Value {
    shardfit(line).exits(0).json()["fleets"][0].clone()
}

#[test]
fn a_fleet_is_the_fewest_replicas_whose_capacity_covers_the_rate() {
    for rate in [0.5, 3.0, 20.0, 77.0] {
        let fleet = best(&format!("{CHAT} --rate {rate}"));
        let (replicas, each) =
            (number(&fleet, "fleet_replicas"), number(&fleet, "capacity_requests_per_s_per_replica"));
        // Unless told otherwise a quarter more than the rate.
        let need = 1.25 * rate;
        assert!(replicas * each >= need * 0.9999 && (replicas - 1.0) * each < need, "{fleet:#}");
        let used = number(&fleet, "utilisation_percent");
        assert!((used - 100.0 * rate / (replicas * each)).abs() < 0.1);
        assert!(number(&fleet, "replica.ttft_ms") <= 1000.0 && number(&fleet, "replica.tpot_ms") <= 40.0);
    }
}

#[test]
fn what_is_sized_serves_the_rate_in_a_plan() {
    let fleet = best(&format!("{CHAT} --rate 20"));
    let gpus = number(&fleet, "fleet_gpus");
    let line = format!(
        "plan llama-3.1-8b --cluster {gpus}xl40s --isl 1024 --osl 256 --ttft 1s --tpot 40ms --rate 20 --format json"
    );
    shardfit(&line).exits(0);
}

#[test]
fn a_fleet_has_no_more_gpus_than_a_plan_of_the_same_rate_and_targets() {
    // Requests that come by themselves wait for fewer than those that follow an answer: tight limits on the first token
    // hold at rates at which a closed loop misses them.
    for (question, gpu) in [
        ("qwen3-8b --isl 300 --osl 1000 --rate 15.8 --ttft 190ms", "l40s"),
        ("qwen2.5-vl-7b --isl 64 --osl 512 --rate 308 --ttft 18.4ms --tpot 4.81ms", "b200-sxm"),
    ] {
        let fleet =
            best(&format!("size {question} --gpu {gpu} --headroom 0% --objective gpus --format json"));
        let plan = format!("plan {question} --cluster 8x{gpu} --objective cost --top 1 --format json");
        let plan = shardfit(&plan).exits(0).json()["plans"][0].clone();
        let (fleet, plan) = (number(&fleet, "fleet_gpus"), number(&plan, "gpus"));
        assert!(fleet <= plan, "{question}: {fleet} GPUs, and {plan} in a plan");
    }
}

#[test]
fn headroom_and_spares_add_replicas_and_units_round_up() {
    let plain = number(&best(&format!("{CHAT} --rate 20 --headroom 0%")), "fleet_replicas");
    let usual = number(&best(&format!("{CHAT} --rate 20")), "fleet_replicas");
    assert!(usual > plain && usual <= (1.25 * plain).ceil(), "{plain} {usual}");
    let roomy = number(&best(&format!("{CHAT} --rate 20 --headroom 100%")), "fleet_replicas");
    assert!(roomy > plain * 1.5 && roomy <= plain * 2.0, "{plain} {roomy}");
    let spare = best(&format!("{CHAT} --rate 20 --spare 2"));
    assert_eq!(number(&spare, "fleet_replicas"), usual + 2.0);
    // Bought by the box, another layout may be as cheap.
    let boxed = best(&format!("{CHAT} --rate 20 --spare 2 --unit 8"));
    let (used, bought) = (number(&boxed, "fleet_gpus"), number(&boxed, "bought_gpus"));
    assert_eq!(bought, (used / 8.0).ceil() * 8.0);
}

#[test]
fn the_cheapest_kind_of_gpu_comes_first_and_the_smallest_on_request() {
    let line =
        "size llama-3.1-8b --gpu l40s,h100-sxm --rate 40 --isl 1024 --osl 256 --tpot 40ms --format json";
    let json = shardfit(line).exits(0).json();
    let costs: Vec<f64> =
        json["fleets"].as_array().unwrap().iter().map(|f| number(f, "cost_usd_per_hour")).collect();
    assert!(costs.len() == 2 && costs[0] <= costs[1], "{costs:?}");
    let small = shardfit(&format!("{line} --objective gpus")).exits(0).json();
    let gpus: Vec<f64> =
        small["fleets"].as_array().unwrap().iter().map(|f| number(f, "bought_gpus")).collect();
    assert!(gpus[0] <= gpus[1], "{gpus:?}");
}

#[test]
fn whole_clusters_are_bought_whole() {
    let line = "size llama-3.1-8b --clusters 4xl40s --rate 40 --isl 1024 --osl 256 --tpot 40ms --format json";
    let fleet = best(line);
    assert_eq!(number(&fleet, "bought_gpus") % 4.0, 0.0);
    assert!(number(&fleet, "bought_gpus") >= number(&fleet, "fleet_gpus"));
}

#[test]
fn a_fleet_grows_along_a_forecast_and_never_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("traffic.csv");
    fs::write(&file, "month,rate_per_s\n2027-01,5\n2027-02,30\n2027-03,12\n2027-04,60\n").unwrap();
    let json = shardfit(&format!("{CHAT} --forecast {} --unit 4 --spare 1", file.display())).exits(0).json();
    let steps = json["growth"].as_array().unwrap();
    let owned: Vec<f64> = steps.iter().map(|s| number(s, "owned_gpus")).collect();
    assert_eq!(steps.len(), 4);
    assert!(owned.is_sorted() && owned[3] > owned[0], "{owned:?}");
    assert_eq!(owned.iter().filter(|n| *n % 4.0 != 0.0).count(), 0);
    assert_eq!(number(&steps[2], "bought_gpus"), 0.0);
    let bought: f64 = steps.iter().map(|s| number(s, "bought_gpus")).sum();
    assert_eq!(bought, owned[3]);
    assert!(steps.iter().all(|s| number(s, "utilisation_percent") <= 100.0));
    // The last month is the busiest: the fleet is the one that the rate alone would have.
    assert_eq!(number(&json["fleets"][0], "bought_gpus"), owned[3]);
}

#[test]
fn a_gpu_that_cannot_serve_it_is_named_with_the_nearest_miss() {
    let run = shardfit("size llama-3.1-8b --gpu l4 --rate 5 --tpot 2ms").exits(1);
    assert!(run.stdout.contains("none; nearest"), "{}", run.stdout);
}

#[test]
fn the_best_measured_gpu_stands_beside_one_that_was_not() {
    let line = "size llama-3.1-8b --gpu mi300x,l40s,h100-sxm --rate 50 --isl 1024 --osl 256 --tpot 40ms";
    let run = shardfit(line).exits(0);
    let json = shardfit(&format!("{line} --json")).exits(0).json();
    let (first, next) = (&json["fleets"][0], &json["calibrated_runner_up"]);
    assert_eq!(first["replica"]["provenance"], "uncalibrated", "{first:#}");
    assert_eq!(next["replica"]["provenance"], "fitted");
    // The cheaper of the two that were measured.
    let fleets = json["fleets"].as_array().unwrap();
    let measured = fleets.iter().filter(|f| f["replica"]["provenance"] == "fitted");
    let least = measured.map(|f| number(f, "cost_usd_per_hour")).fold(f64::INFINITY, f64::min);
    assert_eq!(number(next, "cost_usd_per_hour"), least);
    let gpu = next["replica"]["gpu"].as_str().unwrap();
    run.says(&[
        "(uncalibrated): ",
        "no kernels were measured on",
        "Best with measured kernels: ",
        &format!("× {gpu}: "),
    ]);
    let alone = "size llama-3.1-8b --gpu mi300x --rate 50 --isl 1024 --osl 256 --tpot 40ms";
    shardfit(alone).exits(0).says(&["Best with measured kernels: none of these GPUs"]);
}

#[test]
fn each_row_names_its_cluster_where_clusters_are_bought() {
    let line =
        "size llama-3.1-8b --clusters 8xh100-sxm,p5.48xlarge --rate 50 --isl 1024 --osl 256 --tpot 40ms";
    let run = shardfit(line).exits(0);
    for cluster in ["8xh100-sxm", "p5.48xlarge"] {
        let row = |line: &str| line.trim_start().starts_with(cluster);
        assert_eq!(run.stdout.lines().filter(|line| row(line)).count(), 1, "{}", run.stdout);
    }
}

#[test]
fn any_gpu_is_every_one_with_a_price_that_its_filters_let_through() {
    let line = "size llama-3.1-8b --rate 5 --tpot 40ms --isl 512 --osl 128";
    let json = shardfit(&format!("{line} --gpu any,measured,price=4 --format json")).exits(0).json();
    let fleets = json["fleets"].as_array().unwrap();
    assert!(fleets.len() >= 3);
    assert!(fleets.iter().all(|f| f["replica"]["provenance"] != "uncalibrated"));
    let per_gpu = |f: &serde_json::Value| number(f, "cost_usd_per_hour") / number(f, "bought_gpus");
    assert!(fleets.iter().all(|f| per_gpu(f) <= 4.0));
    // Prices of different days are said to be so, and how sure times are stands beside each.
    shardfit(&format!("{line} --gpu any,measured,price=4")).exits(0).says(&[
        "25 % headroom",
        "TPOT ±%",
        "kernels",
        "Prices are on demand, of different days: ",
    ]);
    let run = shardfit(&format!("{line} --gpu any,colour=red")).exits(2);
    assert!(run.stderr.contains("unknown filter") && run.stderr.contains("vendor=nvidia"), "{}", run.stderr);
    let run = shardfit(&format!("{line} --gpu any,memory=900GiB")).exits(2);
    assert!(run.stderr.contains("no GPU of the catalogue"), "{}", run.stderr);
}

#[test]
fn fleets_have_the_chance_that_their_limits_hold_and_hold_percentiles() {
    let run = shardfit("size llama-3.1-8b --gpu h100-sxm --rate 20 --ttft 1s --tpot 40ms --percentile p95");
    run.exits(0).says(&["limits on p95", "p95 of TPOT ≤ 40.0 ms", "holds %"]);
}

#[test]
fn the_headroom_over_users_is_free_in_what_a_fleet_is_used() {
    let line =
        "size llama-3.1-8b --gpu h100-sxm --sessions coding-agent --users 60 --ttft 2s --tpot 50ms --json";
    for (headroom, most) in [("0%", 100.0), ("25%", 80.0), ("100%", 50.0)] {
        let json = shardfit(&format!("{line} --headroom {headroom}")).exits(0).json();
        let used = number(&json["fleets"][0], "utilisation_percent");
        assert!(used <= most + 0.1 && used > most / 2.0, "{headroom}: {used} %");
    }
}
