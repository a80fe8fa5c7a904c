//! Inputs that people reported as misread, against the figures that are right, where that list stands beside this checkout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::shardfit;

fn inspection(path: &Path) -> Result<Value, String> {
    let run = shardfit(&format!("inspect {} --format json", path.display()));
    if run.code == 0 { Ok(serde_json::from_str(&run.stdout).unwrap()) } else { Err(run.stderr) }
}

/// Degrees of 1, 2, 4 and 8 that vLLM would start with.
fn legal(path: &Path) -> String {
    let starts = |tp: &u32| {
        let command = format!(
            "plan {} --cluster 8xh200-sxm --engine vllm --tp {tp} --pp 1 --isl 1000 --osl 100",
            path.display()
        );
        shardfit(&command).code == 0
    };
    [1, 2, 4, 8].iter().filter(|tp| starts(tp)).map(u32::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_reported_configuration_is_read_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/truth/reports");
    let list = folder.join("configs.csv");
    if !list.is_file() {
        eprintln!("skipped: no reported configurations beside this checkout");
        return;
    }
    let rows: Vec<BTreeMap<String, String>> =
        csv::Reader::from_path(list).unwrap().deserialize().map(Result::unwrap).collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let path: PathBuf = folder.join("configs").join(&row["input"]);
        let (figure, value) = (row["figure"].as_str(), row["value"].as_str());
        let read = inspection(&path);
        let found = match (figure, &read) {
            ("legal_tp", _) => legal(&path),
            ("message", Err(message)) => message.clone(),
            ("read", Ok(_)) => "yes".to_owned(),
            ("total" | "active", Ok(json)) => json["params"][figure].to_string(),
            ("stored_gb", Ok(json)) => (json["checkpoint_bytes"].as_f64().unwrap() / 1e9).to_string(),
            ("context", Ok(json)) => json["max_context"].to_string(),
            ("kind", Ok(json)) => json["task"].as_str().unwrap().to_owned(),
            ("served_as", Ok(json)) => json["served_as"].as_str().unwrap().to_owned(),
            (_, Err(message)) => message.clone(),
            (other, _) => panic!("a figure that is not known: {other}"),
        };
        let right = match row["tolerance_percent"].parse::<f64>() {
            Ok(percent) => {
                let (found, value) = (found.parse().unwrap_or(f64::NAN), value.parse::<f64>().unwrap());
                ((found / value - 1.0) * 100.0_f64).abs() <= percent + 1e-9
            }
            Err(_) if figure == "message" => found.contains(value),
            Err(_) => found == value,
        };
        if !right {
            wrong.push(format!("{}: {figure} is {found}, not {value} ({})", row["input"], row["why"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
