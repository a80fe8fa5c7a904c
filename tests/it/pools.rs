//! Clusters of several kinds of GPU, bridged servers and oversubscribed fabrics, through the binary.

use crate::common::shardfit;
use serde_json::Value;

const MIXED: &str = "8xh100-sxm+8xa100-sxm-80gb";

fn plan(arguments: &str) -> Value {
    shardfit(&format!("plan llama-3.1-70b {arguments} --format json")).exits(0).json()
}

fn number(json: &Value, path: &str) -> f64 {
    json.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {json:#}"))
}

#[test]
fn the_plans_of_all_pools_are_ranked_together_and_their_counts_add_up() {
    let (both, h100, a100) = (
        plan(&format!("--cluster {MIXED} --top 100000")),
        plan("--cluster 8xh100-sxm --top 100000"),
        plan("--cluster 8xa100-sxm-80gb --top 100000"),
    );
    for part in ["plans", "illegal", "out_of_memory", "target_missed", "feasible"] {
        let path = format!("/space/{part}");
        assert_eq!(number(&both, &path), number(&h100, &path) + number(&a100, &path), "{part}");
    }
    let plans = |json: &Value| json["plans"].as_array().unwrap().clone();
    assert_eq!(plans(&both).len(), plans(&h100).len() + plans(&a100).len());
    let ranked: Vec<(String, f64)> = plans(&both)
        .iter()
        .filter(|p| p["verdict"] == "fits" && p["practice"] == "usual")
        .map(|p| (p["gpu"].as_str().unwrap().to_owned(), number(p, "/output_tokens_per_s")))
        .collect();
    assert!(ranked.is_sorted_by(|a, b| a.1 >= b.1));
    assert!(["h100-sxm", "a100-sxm-80gb"].iter().all(|gpu| ranked.iter().any(|(g, _)| g == gpu)));
}

#[test]
fn a_plan_is_the_same_as_on_its_pool_alone_save_for_the_gpus_it_leaves_idle() {
    let (both, alone) = (plan(&format!("--cluster {MIXED} --top 1")), plan("--cluster 8xh100-sxm --top 1"));
    let (mut best, mut same) = (both["plans"][0].clone(), alone["plans"][0].clone());
    assert_eq!((number(&best, "/gpus"), number(&best, "/idle_gpus")), (8.0, 8.0));
    assert_eq!(number(&same, "/idle_gpus"), 0.0);
    for plan in [&mut best, &mut same] {
        plan.as_object_mut().unwrap().remove("idle_gpus");
    }
    assert_eq!(best, same);
}

#[test]
fn together_the_pools_deliver_the_sum_of_their_best_plans() {
    let best = |cluster: &str| {
        number(&plan(&format!("--cluster {cluster} --top 1")), "/plans/0/output_tokens_per_s")
    };
    let combined = plan(&format!("--cluster {MIXED}"))["combined"].clone();
    let sum = best("8xh100-sxm") + best("8xa100-sxm-80gb");
    assert!((number(&combined, "/output_tokens_per_s") / sum - 1.0).abs() < 1e-4);
    assert_eq!((number(&combined, "/gpus"), number(&combined, "/idle_gpus")), (16.0, 0.0));
    assert_eq!(combined["plans"].as_array().unwrap().len(), 2);
    assert_eq!(combined["serves_rate"], Value::Null);
    shardfit(&format!("plan llama-3.1-70b --cluster {MIXED}"))
        .exits(0)
        .says(&["16 GPUs in pools together: "]);
}

#[test]
fn under_a_rate_the_pools_together_are_held_against_it() {
    for (rate, enough) in [(1, true), (1000, false)] {
        let line = format!("plan llama-3.1-70b --cluster {MIXED} --rate {rate} --format json");
        let json = shardfit(&line).exits(if enough { 0 } else { 1 }).json();
        assert_eq!(json["combined"]["serves_rate"], enough, "{rate}");
    }
    assert_eq!(plan(&format!("--cluster {MIXED} --concurrency 64"))["combined"], Value::Null);
}

#[test]
fn a_cluster_of_one_kind_says_nothing_of_pools() {
    let run = shardfit("plan llama-3.1-70b --cluster 8xh100-sxm").exits(0);
    assert!(!run.stdout.contains("together") && !run.stdout.contains(" gpu "), "{}", run.stdout);
    let json = plan("--cluster 8xh100-sxm");
    assert_eq!((&json["combined"], &json["plans"][0]["gpu"]), (&Value::Null, &Value::from("h100-sxm")));
}

#[test]
fn a_mixed_cluster_is_a_name_a_file_or_a_sum_with_its_plans_explained_and_refused_by_pool() {
    let by_name = plan("--cluster h100-a100-mixed");
    assert_eq!(by_name["plans"], plan(&format!("--cluster {MIXED}"))["plans"]);
    let run = shardfit(&format!("plan llama-3.1-70b --cluster {MIXED} --why-not tp=1")).exits(1);
    assert_eq!(
        run.stdout
            .lines()
            .filter_map(|l| l.split(' ').next().filter(|gpu| !gpu.is_empty()))
            .collect::<Vec<_>>(),
        ["h100-sxm", "a100-sxm-80gb"]
    );
    // The last ranks are those of the slower pool.
    let ranks = by_name["plans"].as_array().unwrap();
    let slow = ranks.iter().position(|p| p["gpu"] == "a100-sxm-80gb").map_or(ranks.len(), |i| i + 1);
    shardfit(&format!("plan llama-3.1-70b --cluster {MIXED} --explain {slow}"))
        .exits(0)
        .says(&["Decode step"]);
    shardfit(&format!("estimate llama-3.1-70b --cluster {MIXED} --tp 8")).exits(2);
}

#[test]
fn prices_and_advice_reach_every_pool() {
    let priced = plan(&format!("--cluster {MIXED} --price h100-sxm=1 --price a100-sxm-80gb=1"));
    let c = &priced["combined"];
    let cost = 16.0 / 3600.0 / number(c, "/output_tokens_per_s") * 1e6;
    assert!((number(c, "/cost_usd_per_mtok_output") / cost - 1.0).abs() < 1e-4);
    let run = shardfit("plan llama-3.1-405b --cluster 1xh100-sxm+1xa100-sxm-80gb").exits(1);
    assert!(run.stdout.contains("No plan is feasible"), "{}", run.stdout);
}

#[test]
fn a_sweep_takes_a_mixed_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("mixed.yaml");
    let text = format!(
        "name: mixed\nmodels: [llama-3.1-70b]\nclusters: [8xh100-sxm, \"{MIXED}\"]\nworkloads:\n  - {{name: chat, isl: 2048, osl: 512}}\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {} --quiet", scenario.display(), out.display())).exits(0);
    let mut rows = csv::Reader::from_path(out.join("results.csv")).unwrap();
    let header = rows.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(&rows[1][column("cluster")], MIXED);
    assert_eq!((&rows[1][column("gpu")], &rows[1][column("idle_gpus")]), ("h100-sxm", "8"));
    assert_eq!(rows[0][column("tpot_ms")], rows[1][column("tpot_ms")]);
}

/// TPOT of 64 requests on a cluster given by the text of its file.
fn tpot(cluster: &str, arguments: &str) -> f64 {
    estimate(cluster, &format!("{arguments} --concurrency 64"), "/tpot_ms")
}

fn estimate(cluster: &str, arguments: &str, figure: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.yaml");
    std::fs::write(&path, cluster).unwrap();
    let line = format!(
        "estimate llama-3.1-70b --weights fp8 --cluster {} {arguments} --format json",
        path.display()
    );
    let run = shardfit(&line);
    assert!(run.code <= 1, "{}", run.stderr);
    number(&run.json(), figure)
}

#[test]
fn tensor_parallel_over_four_of_bridged_pairs_crosses_pcie() {
    let server = |bridge: &str| format!("id: s\nname: s\ngpu: h100-nvl\ngpus_per_node: 8\n{bridge}");
    let link = "link: {kind: nvlink, bandwidth: 300 GB/s, latency: 1.5 us}";
    let (none, pairs, fours) = (
        server(""),
        server(&format!("bridge: {{gpus: 2, {link}}}\n")),
        server(&format!("bridge: {{gpus: 4, {link}}}\n")),
    );
    // Two ranks share a bridge, four do not unless the bridge joins four.
    assert!(tpot(&pairs, "--tp 2") < tpot(&none, "--tp 2") * 0.95);
    assert_eq!(tpot(&pairs, "--tp 4"), tpot(&none, "--tp 4"));
    assert!(tpot(&fours, "--tp 4") < tpot(&pairs, "--tp 4") * 0.95);
}

#[test]
fn oversubscription_slows_what_crosses_nodes_as_a_narrower_port_would_and_nothing_else() {
    let cluster = |scale_out: &str| {
        format!(
            "id: c\nname: c\ngpu: h100-sxm\ngpus_per_node: 8\nnodes: 2\nscale_out: {{kind: ethernet, {scale_out}, latency: 8 us}}\n"
        )
    };
    let full = cluster("bandwidth: 400 Gbit/s");
    let halved = cluster("bandwidth: 400 Gbit/s, oversubscription: 2");
    let narrow = cluster("bandwidth: 200 Gbit/s");
    assert_eq!(tpot(&halved, "--tp 16"), tpot(&narrow, "--tp 16"));
    assert!(tpot(&halved, "--tp 16") > tpot(&full, "--tp 16"));
    // A lone prompt waits for its hand-offs between stages.
    let ttft = |cluster: &str| estimate(cluster, "--tp 4 --pp 4 --concurrency 1", "/ttft_ms");
    assert!(ttft(&halved) > ttft(&full));
    assert_eq!(tpot(&halved, "--tp 8"), tpot(&full, "--tp 8"));
}

#[test]
fn what_is_printed_first_on_two_kinds_uses_both_and_is_what_is_emitted() {
    for mode in ["aggregated", "split", "any"] {
        let asked = format!("plan llama-3.1-70b --cluster 8xh200-sxm+8xl40s --mode {mode} --tpot 60ms");
        let json = shardfit(&format!("{asked} --format json")).exits(0).json();
        assert_eq!(json["deploy"], "combined", "{mode}");
        let all = &json["combined"];
        assert_eq!((number(all, "/gpus"), number(all, "/idle_gpus")), (16.0, 0.0), "{mode}");
        assert!(
            number(all, "/output_tokens_per_s") > number(&json, "/plans/0/output_tokens_per_s"),
            "{mode}"
        );
        let parts = all["plans"].as_array().unwrap();
        let gpus = |key: &str| parts.iter().filter_map(|p| p[key].as_str()).collect::<Vec<_>>();
        let used = [gpus("gpu"), gpus("prefill_gpu")].concat();
        assert!(used.contains(&"h200-sxm") && used.contains(&"l40s"), "{mode}: {used:?}");
        for part in parts {
            assert!(number(part, "/tpot_ms") <= 60.0, "{mode}: {part:#}");
        }
        let text = shardfit(&asked).exits(0).stdout;
        let (first, alone) =
            (text.find("16 GPUs in pools together").unwrap(), text.find("One plan alone").unwrap());
        assert!(first < alone && !text.contains("All pools together"), "{text}");
        let csv = shardfit(&format!("{asked} --csv")).exits(0).stdout;
        let kinds: Vec<&str> = csv
            .lines()
            .skip(1)
            .filter_map(|l| l.split(',').find(|c| ["together", "alone"].contains(c)))
            .collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "together").count(), parts.len());
        assert_eq!(kinds[0], "together");
        let files = shardfit(&format!("{asked} --emit command")).exits(0).stdout;
        for (part, n) in parts.iter().zip(1..) {
            assert!(
                files.contains(&format!("# file: {n}-{}-", part["gpu"].as_str().unwrap())),
                "{mode}: {files}"
            );
        }
        // One plan of the list is written where it is asked for.
        let one = shardfit(&format!("{asked} --emit command --rank 1")).exits(0).stdout;
        assert!(!one.contains("# file: 2-"), "{one}");
    }
}

#[test]
fn a_rate_that_no_pool_serves_alone_is_served_by_both() {
    let alone =
        |cluster: &str| number(&plan(&format!("--cluster {cluster} --top 1")), "/plans/0/requests_per_s");
    let (one, other) = (alone("8xh100-sxm"), alone("8xa100-sxm-80gb"));
    let rate = one.max(other) + 0.5 * one.min(other);
    let asked = format!("plan llama-3.1-70b --cluster {MIXED} --rate {rate:.2}");
    let json = shardfit(&format!("{asked} --format json")).exits(0).json();
    assert_eq!(
        (json["deploy"].as_str(), &json["combined"]["serves_rate"]),
        (Some("combined"), &Value::Bool(true))
    );
    assert!(json["plans"].as_array().unwrap().is_empty());
    shardfit(&asked).exits(0).says(&[
        "16 GPUs in pools together",
        "enough for",
        "No plan of one pool alone is feasible.",
    ]);
}

#[test]
fn split_pools_use_both_sides_of_a_mixed_cluster() {
    let run = shardfit("plan llama-3.1-8b --cluster 8xh200-sxm+8xl40s --mode split --top 200 --format json")
        .exits(0);
    let json = run.json();
    let combined = &json["combined"];
    assert_eq!((number(combined, "/gpus"), number(combined, "/idle_gpus")), (16.0, 0.0));
    let together = number(combined, "/output_tokens_per_s");
    assert!(together > 1.1 * number(&json, "/plans/0/output_tokens_per_s"), "{together}");
    // Plans whose prompts are computed on the other kind are ranked among the rest.
    let crosses = |plan: &Value| plan["gpu"] == "h200-sxm" && plan["prefill_gpu"] == "l40s";
    assert!(json["plans"].as_array().unwrap().iter().any(crosses));
    // No kind is used twice.
    let kinds: Vec<&Value> = combined["plans"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|plan| [&plan["gpu"], &plan["prefill_gpu"]])
        .collect();
    let of = |kind: &str| kinds.iter().filter(|k| **k == kind).count();
    assert!(of("h200-sxm") <= 2 && of("l40s") <= 2, "{kinds:?}");
}
