//! Result files of clients that know nothing of the server: `aiperf` and GuideLLM.

use serde_json::Value;

use super::cells::{Cells, driven, model, name, put};

/// A number behind a path of keys.
fn at(value: &Value, path: &[&str]) -> Option<f64> {
    path.iter().try_fold(value, |v, key| v.get(key))?.as_f64()
}

/// The first value behind a key, anywhere in a configuration.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => {
            map.get(key).filter(|v| !v.is_null()).or_else(|| map.values().find_map(|v| find(v, key)))
        }
        Value::Array(items) => items.iter().find_map(|v| find(v, key)),
        _ => None,
    }
}

/// The first text of a value: itself, or the first of a list.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.iter().find_map(text),
        Value::Object(map) => map.get("name").and_then(text),
        _ => None,
    }
}

/// What follows a flag in a command line.
fn flagged(command: &str, flag: &str) -> Option<f64> {
    let mut words = command.split_whitespace();
    while let Some(word) = words.next() {
        if let Some(value) = word.strip_prefix(flag) {
            return match value.strip_prefix('=') {
                Some(value) => value.parse().ok(),
                None if value.is_empty() => words.next()?.parse().ok(),
                None => continue,
            };
        }
    }
    None
}

/// `profile_export_aiperf.json` (`aiperf/exporters/metrics_json_exporter.py`): each metric with its `avg`.
pub(super) fn aiperf(file: &Value) -> Result<Cells, String> {
    let of = |metric: &str| at(file, &[metric, "avg"]);
    let answered = of("request_count").filter(|n| *n >= 1.0).ok_or("no request was completed")?;
    let mut cells = Cells::new();
    let config = file.get("input_config").unwrap_or(&Value::Null);
    let named = find(config, "model_names").or_else(|| find(config, "models"));
    name(&mut cells, "model", model(named.and_then(text)));
    let mean = |metric: &str, total: &str| of(metric).or_else(|| Some(of(total)? / answered));
    put(&mut cells, "isl", mean("input_sequence_length", "total_isl").map(f64::round));
    put(&mut cells, "osl", mean("output_sequence_length", "total_osl").map(f64::round));
    put(&mut cells, "num_requests", Some(answered));
    let seconds = at(file, &["benchmark_duration", "avg"]);
    let rate = |total: Option<f64>| Some(total? / seconds?);
    for (column, value) in [
        ("ttft_ms", of("time_to_first_token")),
        ("median_ttft_ms", at(file, &["time_to_first_token", "p50"])),
        // (latency - TTFT) / (tokens - 1), as others call the time per output token.
        ("tpot_ms", of("inter_token_latency")),
        ("median_tpot_ms", at(file, &["inter_token_latency", "p50"])),
        ("e2e_ms", of("request_latency")),
        ("output_tok_s", of("output_token_throughput").or_else(|| rate(of("total_osl")))),
        ("req_s", of("request_throughput")),
    ] {
        put(&mut cells, column, value);
    }
    let command = find(config, "cli_command").and_then(Value::as_str).unwrap_or_default();
    let figure = |key: &str, flag: &str| {
        find(config, key).and_then(Value::as_f64).filter(|n| *n > 0.0).or_else(|| flagged(command, flag))
    };
    driven(&mut cells, figure("concurrency", "--concurrency"), figure("request_rate", "--request-rate"));
    Ok(cells)
}

/// GuideLLM's `benchmarks.json` (`guidellm/benchmark/schemas/generative/metrics.py`): one row a benchmark.
pub(super) fn guidellm(file: &Value) -> Result<Vec<Cells>, String> {
    let benchmarks = file["benchmarks"].as_array().ok_or("no benchmarks")?;
    if benchmarks.is_empty() {
        return Err("no benchmark was completed".to_owned());
    }
    benchmarks.iter().map(|benchmark| of_benchmark(benchmark, file)).collect()
}

fn of_benchmark(benchmark: &Value, file: &Value) -> Result<Cells, String> {
    let metrics = benchmark.get("metrics").ok_or("a benchmark without metrics")?;
    let of = |metric: &str, what: &str| at(metrics, &[metric, "successful", what]);
    let mut cells = Cells::new();
    let named = ["model", "backend_model"].iter().find_map(|key| {
        [benchmark.get("config"), benchmark.get("worker"), benchmark.get("args"), file.get("args")]
            .into_iter()
            .flatten()
            .find_map(|config| find(config, key).and_then(text))
    });
    name(&mut cells, "model", model(named));
    let answered = at(metrics, &["request_totals", "successful"]).or_else(|| of("request_latency", "count"));
    if answered.is_some_and(|n| n < 1.0) {
        return Err("no request was completed".to_owned());
    }
    let ms = |seconds: Option<f64>| seconds.map(|s| s * 1e3);
    for (column, value) in [
        ("isl", of("prompt_token_count", "mean").map(f64::round)),
        ("osl", of("output_token_count", "mean").map(f64::round)),
        ("num_requests", answered),
        ("ttft_ms", of("time_to_first_token_ms", "mean")),
        ("median_ttft_ms", of("time_to_first_token_ms", "median")),
        // Its time_per_output_token counts the first one in; between tokens is what others call so.
        ("tpot_ms", of("inter_token_latency_ms", "mean")),
        ("median_tpot_ms", of("inter_token_latency_ms", "median")),
        ("e2e_ms", ms(of("request_latency", "mean"))),
        ("output_tok_s", of("output_tokens_per_second", "mean")),
        ("req_s", of("requests_per_second", "mean")),
    ] {
        put(&mut cells, column, value);
    }
    let strategy = find(benchmark, "strategy").unwrap_or(&Value::Null);
    let kind = strategy.get("type_").and_then(Value::as_str).unwrap_or_default();
    let figure = |names: &[&str]| names.iter().find_map(|key| strategy.get(*key)).and_then(Value::as_f64);
    let (concurrency, rate) = match kind {
        "synchronous" => (Some(1.0), None),
        "concurrent" => (figure(&["streams", "max_concurrency", "concurrency"]), None),
        "constant" | "poisson" | "async" => (None, figure(&["rate"])),
        _ => (None, None),
    };
    driven(&mut cells, concurrency, rate);
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn aiperf_says_lengths_times_and_load() {
        let cells = aiperf(&json!({
            "request_throughput": { "avg": 13.16 }, "request_latency": { "avg": 6550.3 },
            "time_to_first_token": { "avg": 1588.8, "p50": 787.5 }, "inter_token_latency": { "avg": 51.76 },
            "output_sequence_length": { "avg": 96.85 }, "benchmark_duration": { "avg": 15.2 },
            "request_count": { "avg": 200.0 }, "total_isl": { "avg": 110000.0 }, "total_osl": { "avg": 19370.0 },
            "input_config": { "endpoint": { "model_names": ["openai/gpt-oss-20b"] },
                              "loadgen": { "concurrency": 100 } }
        }))
        .unwrap();
        let of = |column: &str| cells.get(column).map(String::as_str);
        assert_eq!(
            (of("model"), of("isl"), of("osl")),
            (Some("openai/gpt-oss-20b"), Some("550"), Some("97"))
        );
        assert_eq!((of("tpot_ms"), of("concurrency"), of("rate")), (Some("51.76"), Some("100"), None));
        assert_eq!(of("protocol"), Some("closed-loop"));
    }

    #[test]
    fn guidellm_is_a_row_a_benchmark() {
        let of = |kind: &str, key: &str, n: f64| {
            let mean = |x: f64| json!({ "successful": { "mean": x, "median": x } });
            json!({
                "config": { "strategy": { "type_": kind, key: n } },
                "metrics": {
                    "request_totals": { "successful": 30 },
                    "prompt_token_count": mean(256.0), "output_token_count": mean(128.0),
                    "time_to_first_token_ms": mean(40.0), "inter_token_latency_ms": mean(9.0),
                    "request_latency": mean(1.2), "output_tokens_per_second": mean(800.0),
                    "requests_per_second": mean(6.0)
                }
            })
        };
        let file = json!({ "args": { "model": "org/m" },
            "benchmarks": [of("concurrent", "streams", 8.0), of("poisson", "rate", 2.5)] });
        let rows = guidellm(&file).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0]["concurrency"].as_str(), rows[0]["e2e_ms"].as_str()), ("8", "1200"));
        assert_eq!((rows[1]["rate"].as_str(), rows[1]["protocol"].as_str()), ("2.5", "open-loop"));
        assert_eq!(rows[1]["model"], "org/m");
    }
}
