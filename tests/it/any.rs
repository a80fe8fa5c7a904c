//! Every GPU at once: `plan --gpu any`, `plan --cluster any`, `size --clusters any`.

use crate::common::shardfit;
use serde_json::Value;

fn plans(line: &str) -> (Value, Vec<Value>) {
    let json: Value = shardfit(&format!("{line} --format json")).exits(0).json();
    let plans = json["plans"].as_array().unwrap().clone();
    (json, plans)
}

#[test]
fn each_kind_of_gpu_is_listed_once_with_its_best_plan() {
    let asked = "plan llama-3.1-8b --rate 4 --tpot 40ms --isl 1000 --osl 200";
    let (_, listed) = plans(&format!("{asked} --gpu l40s,h100-sxm,a100-sxm-80gb"));
    let gpus: Vec<&str> = listed.iter().map(|plan| plan["gpu"].as_str().unwrap()).collect();
    let mut sorted = gpus.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["a100-sxm-80gb", "h100-sxm", "l40s"]);
    // By what they cost, and each as it is alone.
    let cost = |plan: &Value| plan["cost_usd_per_mtok_output"].as_f64().unwrap();
    assert!(listed.windows(2).all(|pair| cost(&pair[0]) <= cost(&pair[1])), "{listed:#?}");
    for plan in &listed {
        let gpu = plan["gpu"].as_str().unwrap();
        let (_, alone) = plans(&format!("{asked} --cluster 8x{gpu} --objective cost"));
        assert_eq!(cost(plan), cost(&alone[0]), "{gpu}");
        assert_eq!(plan["gpus"].as_u64().unwrap() + plan["idle_gpus"].as_u64().unwrap(), 8, "{gpu}");
    }
}

#[test]
fn filters_leave_the_kinds_that_are_asked_for() {
    let gpus = |cluster: &str| -> Vec<String> {
        let line =
            format!("plan llama-3.1-8b --cluster {cluster} --rate 2 --isl 500 --osl 100 --top 50 --verify 0");
        plans(&line).1.iter().map(|plan| plan["gpu"].as_str().unwrap().to_owned()).collect()
    };
    let measured = gpus("any,vendor=nvidia,memory=80GB,measured");
    assert!(
        measured.contains(&"h200-sxm".to_owned()) && !measured.contains(&"l40s".to_owned()),
        "{measured:?}"
    );
    let cheap = gpus("any,vendor=nvidia,price=1.5,measured");
    assert!(!cheap.contains(&"h100-sxm".to_owned()), "{cheap:?}");
    // What AWS rents out: no RTX 4090, at its own price.
    let line = "plan llama-3.1-8b --cluster any,cloud=aws,memory=40GB --rate 2 --isl 500 --osl 100 --top 50 --verify 0";
    let (_, rented) = plans(line);
    let h100 = rented.iter().find(|plan| plan["gpu"] == "h100-sxm").unwrap();
    let hourly = h100["price_usd_per_hour"].as_f64().unwrap() / h100["gpus"].as_f64().unwrap();
    // p5.48xlarge: 55.04 dollars an hour for eight.
    assert!((hourly - 6.88).abs() < 1e-6, "{hourly}");
    assert!(rented.iter().all(|plan| plan["gpu"] != "rtx-4090"));
}

#[test]
fn the_best_calibrated_kind_stands_beside_an_uncalibrated_headline() {
    let line = "plan llama-3.1-8b --gpu rtx-4090,h100-sxm --rate 1 --isl 500 --osl 100 --top 1";
    let (json, listed) = plans(line);
    assert_eq!((listed.len(), &listed[0]["gpu"]), (1, &"rtx-4090".into()));
    assert_eq!(json["calibrated_runner_up"]["gpu"], "h100-sxm", "{json:#}");
    let text = shardfit(line).exits(0).stdout;
    assert!(text.contains("Best with measured kernels") && text.contains("h100-sxm"), "{text}");
    assert!(!text.contains("All pools together"), "{text}");
}

#[test]
fn wrong_filters_are_refused_with_those_that_are_known() {
    for (options, said) in [
        ("--cluster any,cloud=amazon", "aws"),
        ("--cluster any,colour=red", "vendor=nvidia"),
        ("--gpu any,memory=2TB", "no GPU of the catalogue with a price is so"),
        ("--gpu any,price=cheap", "not a number of dollars"),
        ("--gpu h100-smx", "h100-sxm"),
        ("--gpu l40s --cluster 8xl40s", "exclude each other"),
    ] {
        let run = shardfit(&format!("plan llama-3.1-8b {options}")).exits(2);
        assert!(run.stderr.contains(said), "{options}\n{}", run.stderr);
    }
    let sized =
        shardfit("size llama-3.1-8b --clusters any,cloud=azure --rate 3 --tpot 40ms --format json").exits(0);
    let json: Value = sized.json();
    let clusters: Vec<&str> =
        json["fleets"].as_array().unwrap().iter().filter_map(|fleet| fleet["cluster"].as_str()).collect();
    assert!(!clusters.is_empty() && clusters.iter().all(|c| c.starts_with('n')), "{clusters:?}");
}
