//! Starts of servers: what their notes say of features that the estimate does not know of.

use shardfit::validate::{Row, Table};

/// What is said beside a model or in notes of what the estimate does not know of.
const FEATURES: [(&str, &str); 8] = [
    ("cp2", "context parallelism"),
    ("context parallel", "context parallelism"),
    ("lmcache", "a cache connector"),
    ("offload", "weights in host memory"),
    ("experts on cpu", "weights in host memory"),
    ("draft", "a draft model"),
    ("eagle", "a draft model"),
    ("abnormal", "a remark that the figures are abnormal"),
];

/// The rows, with such features in `doubt`.
pub fn told(table: Table) -> Table {
    table.with_columns(&["doubt"], |row| vec![doubt(row)])
}

fn doubt(row: &Row) -> Option<String> {
    let said = ["model", "engine_version", "notes"].map(|c| row.text(c).unwrap_or("").to_lowercase());
    let mut doubts: Vec<String> = row.text("doubt").map(str::to_owned).into_iter().collect();
    for (word, feature) in FEATURES {
        let not_modelled = format!("not modelled: {feature}");
        if said.iter().any(|text| text.contains(word)) && !doubts.contains(&not_modelled) {
            doubts.push(not_modelled);
        }
    }
    (!doubts.is_empty()).then(|| doubts.join("; "))
}
