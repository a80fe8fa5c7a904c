//! The scenarios that ship: each is read, answered, and says what its story rests on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{parse_csv, shardfit};

/// A row of results by column.
type Row = BTreeMap<String, String>;

/// The results of a scenario that ships.
#[track_caller]
fn answered(name: &str) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("sweep scenarios/{name}.yaml -q -o {}", folder.path().display());
    shardfit(&line).exits(0);
    // Another process knows the run as its own.
    shardfit(&format!("{line} --resume")).exits(0);
    let (header, rows) = parse_csv(&fs::read_to_string(folder.path().join("results.csv")).unwrap());
    rows.into_iter().map(|row| header.iter().cloned().zip(row).collect()).collect()
}

/// The rows that have these cells.
fn with<'a>(rows: &'a [Row], cells: &[(&str, &str)]) -> Vec<&'a Row> {
    rows.iter().filter(|row| cells.iter().all(|(column, cell)| row[*column].contains(cell))).collect()
}

/// The one row that has these cells.
#[track_caller]
fn one<'a>(rows: &'a [Row], cells: &[(&str, &str)]) -> &'a Row {
    let found = with(rows, cells);
    assert_eq!(found.len(), 1, "{cells:?}");
    found[0]
}

#[track_caller]
fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("`{column}` is `{}` in {row:?}", row[column]))
}

/// That a column rises from each of these rows to the next.
#[track_caller]
fn rises<'a>(rows: impl IntoIterator<Item = &'a Row>, column: &str) {
    let values: Vec<f64> = rows.into_iter().map(|row| number(row, column)).collect();
    assert!(values.len() > 1 && values.windows(2).all(|pair| pair[0] < pair[1]), "{column}: {values:?}");
}

#[test]
fn every_scenario_is_read_and_all_of_them_have_a_test() {
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios.rs")).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let scenario = shardfit::scenario::read(&path, &shardfit::catalog::Catalog::built_in())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(scenario.size() + scenario.training_cases().count() > 0);
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(source.contains(&format!("\"{name}\"")), "no test of scenarios/{name}.yaml");
        seen += 1;
    }
    assert!(seen >= 11, "{seen}");
}

#[test]
fn the_review_has_two_thousand_cases_in_groups_that_share_their_figures() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{}.yaml", "review"));
    let scenario = shardfit::scenario::read(&path, &shardfit::catalog::Catalog::built_in()).unwrap();
    // Models × clusters × workloads, and targets on top.
    assert_eq!((scenario.groups(), scenario.size()), (7 * 6 * 8, 7 * 6 * 8 * 6));
}

#[test]
fn chat_is_made_for_the_busiest_hour_of_its_people() {
    let rows = answered("chat");
    let profile = [1, 1, 1, 1, 1, 2, 4, 10, 24, 30, 30, 26, 20, 26, 30, 29, 26, 18, 10, 6, 4, 3, 2, 1];
    let mean = f64::from(profile.iter().sum::<i32>()) / 24.0;
    let per_s = 20_000.0 * 12.0 / 86_400.0;
    for row in with(&rows, &[("workload", "working day")]) {
        assert!((number(row, "mean_rate_per_s") - per_s).abs() < 1e-4 * per_s);
        assert!((number(row, "rate_per_s") - per_s * 30.0 / mean).abs() < 1e-4 * per_s);
    }
    let on = |workload| {
        let cells =
            [("model", "Llama-3.1-8B"), ("cluster", "l40s"), ("workload", workload), ("targets", "fluent")];
        number(one(&rows, &cells), "gpus")
    };
    assert!(on("twice the people") > on("working day"));
    let later = with(&rows, &[("workload", "twice the people")]);
    assert!(later.iter().all(|row| row["comment"] == "after the roll-out to all sites"));
}

#[test]
fn sessions_find_what_was_said_and_their_users_are_those_of_the_plan() {
    let rows = answered("agents");
    let coder = |workload| {
        one(&rows, &[("model", "Coder"), ("cluster", "h200"), ("workload", workload), ("targets", "patient")])
    };
    for (workload, users) in [("a team", 40.0), ("chat beside it", 1000.0)] {
        let row = coder(workload);
        assert!((number(row, "users") / users - 1.0).abs() < 0.01, "{workload}: {}", row["users"]);
        assert!((0.3..0.98).contains(&number(row, "prefix_hit")), "{workload}: {}", row["prefix_hit"]);
    }
}

#[test]
fn prefix_hits_shorten_the_wait_and_raise_the_throughput_of_long_prompts() {
    let rows = answered("rag-32k");
    for (model, cluster) in [("8B", "h100"), ("8B", "h200"), ("70B", "h100"), ("70B", "h200")] {
        let by_hits = |hits| {
            one(&rows, &[("model", model), ("cluster", cluster), ("workload", hits), ("targets", "inter")])
        };
        rises(["no hits", "50 %", "90 %"].map(by_hits), "output_tokens_per_s_per_gpu");
        // Batches are searched, and within the same limits half the prompt leaves room for more that wait for each other.
        for hits in ["50 %", "no hits"] {
            rises([by_hits("90 %"), by_hits(hits)], "ttft_ms");
        }
    }
    assert!(with(&rows, &[("workload", "50 %"), ("targets", "offline")]).is_empty());
    assert_eq!(
        one(&rows, &[("model", "70B"), ("cluster", "h200"), ("workload", "90 %"), ("targets", "offline")])["cached_prefix"],
        "28800"
    );
}

#[test]
fn code_completion_needs_fewer_gpus_where_its_context_is_cached() {
    let rows = answered("code-completion");
    // Means of lognormal:2500,0.7 and uniform:16..96; the longest of a hundred is far above.
    assert!(rows.iter().all(|row| row["isl"] == "2500" && row["osl"] == "56"));
    assert!(rows.iter().all(|row| number(row, "longest_context") > 9000.0));
    let gpus = |workload| {
        let cells =
            [("model", "7B"), ("cluster", "h100"), ("workload", workload), ("targets", "as you type")];
        number(one(&rows, &cells), "gpus")
    };
    assert!(gpus("cached context") < gpus("developers"));
}

#[test]
fn a_thought_of_8k_tokens_takes_its_minute_only_at_a_low_tpot() {
    let rows = answered("reasoning-8k");
    let quick = with(&rows, &[("targets", "a minute"), ("status", "found")]);
    assert!(!quick.is_empty());
    // 8,000 tokens at 8 ms are 64 s.
    assert!(quick.iter().all(|row| number(row, "e2e_ms") < 66_000.0));
    assert!(!with(&rows, &[("targets", "a minute"), ("status", "nothing_feasible")]).is_empty());
}

#[test]
fn batch_work_is_priced_as_the_scenario_says() {
    let rows = answered("batch-summaries");
    for (cluster, price) in [("reserved L40S", 0.60), ("8xh100-sxm", 2.50)] {
        for row in with(&rows, &[("cluster", cluster), ("status", "found")]) {
            let hourly = number(row, "cost_usd_per_hour");
            assert!((hourly - price * number(row, "gpus")).abs() < 1e-3 * hourly, "{row:?}");
        }
    }
    let of = |objective: &str, column: &str| -> Vec<f64> {
        let cells = [("workload", "reports"), ("objective", objective), ("status", "found")];
        // Plans are ranked as they are simulated: what is spent meanwhile is spread over what they deliver then.
        let delivered =
            |row: &Row| number(row, "output_tokens_per_s") / number(row, "simulated_output_tokens_per_s");
        with(&rows, &cells).iter().map(|row| number(row, column) * delivered(row)).collect()
    };
    let pairs = |column: &str| of("energy", column).into_iter().zip(of("cost", column)).collect::<Vec<_>>();
    // Of a layout's batches the quickest is taken that is as good as its best, to a per cent.
    assert!(pairs("energy_j_per_output_token").iter().all(|(energy, cost)| energy <= &(cost * 1.0101)));
    assert!(pairs("cost_usd_per_mtok_output").iter().all(|(energy, cost)| energy >= &(cost * 0.9999)));
}

#[test]
fn one_server_on_premise_serves_small_models_under_every_engine() {
    let rows = answered("on-premise-8xh100");
    assert_eq!(rows.len(), 7 * 3 * 2);
    assert!(with(&rows, &[("model", "Llama-3.1-8B")]).iter().all(|row| row["status"] == "found"));
}

#[test]
fn each_generation_yields_more_than_the_one_before() {
    let rows = answered("gpu-upgrade");
    for model in ["8B", "70B"] {
        let all = ["8 A100 today", "8 H100", "8 B200"];
        rises(
            all.map(|cluster| one(&rows, &[("model", model), ("cluster", cluster), ("workload", "all it")])),
            "output_tokens_per_s",
        );
    }
    assert!(with(&rows, &[("model", "8B"), ("workload", "today")]).is_empty(), "excluded");
    // Under a rate the cheapest plan is sought where no objective is named.
    assert!(with(&rows, &[("workload", "next year")]).iter().all(|row| row["objective"] == "cost"));
}

#[test]
fn the_alternative_is_compared_in_cost_and_for_chat_in_latency() {
    let rows = answered("mi300x-alternative");
    assert_eq!(rows.len(), 3 * 3 * 3);
    assert!(with(&rows, &[("objective", "latency")]).iter().all(|row| row["workload"] == "chat"));
    assert!(!with(&rows, &[("cluster", "mi300x"), ("status", "found")]).is_empty());
}

#[test]
fn a_small_gpu_holds_small_models_alone() {
    let rows = answered("single-gpu-edge");
    // 14.8 billion parameters in 16 bits are 27 GiB; an L4 has 22.
    for row in with(&rows, &[("model", "Qwen3-14B"), ("cluster", "1xl4")]) {
        if row["cluster"] == "1xl4" {
            assert_eq!(row["status"], "nothing_feasible");
            assert!(row["reason"].starts_with("out_of_memory"), "{}", row["reason"]);
        }
    }
    let large = with(&rows, &[("cluster", "1xh100-pcie"), ("model", "Qwen3-14B")]);
    assert!(large.len() == 2 && large.iter().all(|r| r["status"] == "found"));
}

#[test]
fn deepseek_is_spread_by_attention_data_parallel() {
    let rows = answered("deepseek-64-gpus");
    assert!(rows.iter().all(|row| row["status"] == "found" && number(row, "gpus") <= 64.0));
    assert!(rows.iter().any(|row| number(row, "attention_dp") > 1.0));
}

#[test]
fn a_year_of_growth_needs_more_gpus_when_traffic_is_higher() {
    let rows = answered("traffic-growth");
    assert_eq!(rows.len(), 12 * 2);
    for cluster in ["32xh100-sxm", "32xh200-sxm"] {
        let mut months = with(&rows, &[("cluster", cluster)]);
        assert_eq!(months[0]["month"], "2027-01");
        months.sort_by(|a, b| number(a, "rate_per_s").total_cmp(&number(b, "rate_per_s")));
        let gpus: Vec<f64> = months.iter().map(|row| number(row, "gpus")).collect();
        assert!(gpus.is_sorted() && gpus[11] > gpus[0], "{gpus:?}");
    }
}

#[test]
fn training_is_faster_and_cheaper_where_products_are_narrower() {
    let folder = tempfile::tempdir().unwrap();
    shardfit(&format!("sweep scenarios/{}.yaml -q -o {}", "training", folder.path().display())).exits(0);
    let text = fs::read_to_string(folder.path().join("results.csv")).unwrap();
    let (header, rows) = parse_csv(&text);
    let rows: Vec<Row> = rows.into_iter().map(|row| header.iter().cloned().zip(row).collect()).collect();
    assert_eq!(rows.len(), 2 * 2 * 3);
    for (model, cluster) in
        [("Llama-3.1-8B", "h100"), ("Llama-3.1-8B", "b200"), ("Qwen3", "h100"), ("Qwen3", "b200")]
    {
        let of = |training| one(&rows, &[("model", model), ("cluster", cluster), ("training", training)]);
        rises([of("BF16"), of("FP8")], "tokens_per_s_per_gpu");
        rises([of("FP8"), of("BF16")], "cost_usd");
    }
    let json = fs::read_to_string(folder.path().join("results.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap().as_array().unwrap().len(), 12);
}

#[test]
fn retrieval_is_planned_for_passages_queries_and_candidates() {
    let rows = answered("retrieval");
    assert!(rows.iter().all(|row| number(row, "requests_per_s") > 0.0 && row["tpot_ms"].is_empty()));
    let on = |cluster| {
        number(
            one(&rows, &[("model", "bge-m3"), ("cluster", cluster), ("workload", "passages")]),
            "requests_per_s",
        )
    };
    assert!(on("h100") > on("l40s") / 2.0);
    let rerank = [("model", "reranker"), ("cluster", "h100"), ("workload", "candidates")];
    assert_eq!(number(one(&rows, &rerank), "requests_per_s"), 200.0);
}

#[test]
fn a_sweep_says_how_many_nodes_serve_a_rate_that_the_cluster_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("rate.yaml");
    let text = "name: rate\nmodels: [llama-3.1-70b]\nclusters: [8xh100-sxm]\nworkloads:\n  - {name: chat, isl: 2048, osl: 512, rate: 60 req/s}\n\
                targets:\n  - {name: quick, tpot: 60 ms}\n";
    std::fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {} --quiet", scenario.display(), out.display())).exits(1);
    let mut rows = csv::Reader::from_path(out.join("results.csv")).unwrap();
    let header = rows.headers().unwrap().clone();
    let row = rows.records().next().unwrap().unwrap();
    let cell = |name: &str| row[header.iter().position(|h| h == name).unwrap()].to_owned();
    let nodes: u64 = cell("enough_nodes").parse().unwrap();
    assert!(nodes > 1 && cell("enough_gpus") == (8 * nodes).to_string());
    let said = format!(
        "not enough; {nodes} nodes ({} GPUs, ${} an hour) would be",
        8 * nodes,
        cell("enough_usd_per_hour")
    );
    assert!(cell("reason").contains(&said), "{}", cell("reason"));
    for file in ["summary.md", "report.html"] {
        assert!(std::fs::read_to_string(out.join(file)).unwrap().contains(&said), "{file}");
    }
    // So many nodes serve it.
    let cluster = format!("{nodes}x8xh100-sxm");
    shardfit(&format!(
        "plan llama-3.1-70b --cluster {cluster} --rate 60 --tpot 60ms --tp 4,8 --pp 1 --verify 0"
    ))
    .exits(0);
}

#[test]
fn what_serves_a_rate_for_the_least_dollars_comes_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("rate.yaml");
    let text = "name: rate\nmodels: [llama-3.1-70b]\nclusters: [8xh100-sxm, 8xh200-sxm]\nworkloads:\n  - {name: chat, isl: 2048, osl: 512, rate: 60 req/s}\n\
                targets:\n  - {name: quick, tpot: 60 ms}\nprices: {h100-sxm: 9.0 USD/h, h200-sxm: 2.0 USD/h}\n";
    std::fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {} --quiet", scenario.display(), out.display())).exits(1);
    let said = std::fs::read_to_string(out.join("summary.md")).unwrap();
    assert!(said.contains("nearest, on 8xh200-sxm: not enough"), "{said}");
    let mut rows = csv::Reader::from_path(out.join("results.csv")).unwrap();
    let header = rows.headers().unwrap().clone();
    for row in rows.records() {
        let row = row.unwrap();
        let cell = |name: &str| row[header.iter().position(|h| h == name).unwrap()].to_owned();
        let usd = if cell("cluster") == "8xh100-sxm" { 9.0 } else { 2.0 };
        let gpus: f64 = cell("enough_gpus").parse().unwrap();
        assert_eq!(cell("enough_usd_per_hour").parse::<f64>().unwrap(), usd * gpus);
    }
}

#[test]
fn paths_in_a_scenario_are_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = include_str!("../../models/meta-llama--Meta-Llama-3.1-8B.json");
    std::fs::create_dir(folder.path().join("own")).unwrap();
    std::fs::write(folder.path().join("own/config.json"), config).unwrap();
    std::fs::write(
        folder.path().join("own/pair.yaml"),
        "id: pair\nname: pair\ngpu: h100-sxm\ngpus_per_node: 2\n",
    )
    .unwrap();
    let scenario = folder.path().join("own.yaml");
    let text = "name: own\nmodels: [own/config.json]\nclusters: [own/pair.yaml]\nworkloads:\n  - {name: chat, isl: 512, osl: 64}\n";
    std::fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {} --quiet", scenario.display(), out.display())).exits(0);
    shardfit(&format!("check {}", scenario.display())).exits(0);
}
