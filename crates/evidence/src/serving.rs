//! Runs of servers: what their notes say of the load and of the image, and the closed form of runs that begin with a
//! burst.

use shardfit::catalog::Catalog;
use shardfit::units::Seconds;
use shardfit::validate::serving::{Run, predict, predict_by};
use shardfit::validate::{Estimator, Prediction, Row, Table, figure};

use crate::waves::{burst, waves};

/// Columns that are filled in.
const COLUMNS: [&str; 4] = ["num_requests", "qps", "rate", "engine_version"];

/// The rows with what is known of them in their columns.
pub fn told(table: Table) -> Table {
    table.with_columns(&COLUMNS, |row| {
        let noted = |name: &str| match row.stated(name) {
            Some(_) => None,
            None => figure(row.text("notes")?, name).map(|x| x.to_string()),
        };
        let version = is_image_of_dynamo(row).then(String::new);
        vec![noted("num_requests"), noted("qps"), noted("rate"), version]
    })
}

/// Whether a row's version is that of an image of NVIDIA Dynamo, which carries Dynamo's and not the engine's.
fn is_image_of_dynamo(row: &Row) -> bool {
    let engine = match row.text("engine") {
        Some("trtllm") => "tensorrtllm",
        other => other.unwrap_or(""),
    };
    let version = row.text("engine_version").unwrap_or("");
    let image = format!("ai-dynamo/{engine}-runtime:{version}");
    row.text("prefill_cfg").is_some() && row.text("notes").is_some_and(|notes| notes.contains(&image))
}

/// Closed-loop runs send ten requests per client and take the mean over all, the first burst included.
const WAVES: f64 = 10.0;

/// Standard deviation of lengths as a share of their mean: uniform from 0.8 to 1.0 of the nominal ones, and the tenth
/// up and down that unstated ones are taken to vary by.
const INFERENCEX_SPREAD: f64 = 0.2 / 0.9 * UNIFORM;
const UNSTATED_SPREAD: f64 = 0.2 * UNIFORM;

/// Standard deviation of a uniform distribution of width 1.
const UNIFORM: f64 = 0.288_675_134_6;

/// A row in closed form, with its benchmark's protocol allowed for where it can be.
pub fn steady(row: &Row, catalog: &Catalog) -> Prediction {
    if row.text("prefill_cfg").is_some() {
        return predict(row, catalog, Estimator::Steady);
    }
    predict_by(row, catalog, |run| match times(run) {
        Some((ttft, tpot)) => Ok(run.columns(ttft, tpot)),
        None => run.predict(Estimator::Steady),
    })
}

/// Mean time to first token and per output token of a run that begins with a burst.
fn times(run: &Run) -> Option<(Seconds, Seconds)> {
    let (replica, concurrency) = (run.deployment.replica(), run.concurrency());
    match run.protocol {
        "closed-loop-unstated" if !replica.engine.scheduling.mixes_prefill => {
            // Lengths are fixed and prompts go first: requests start and end together, wave after wave.
            // The first tokens of a wave wait for the prompts of the rest of it.
            let (first, _) = burst(&replica, concurrency);
            let (_, last) = replica.static_batch(concurrency);
            let last = last + replica.engine.scheduling.request_overhead;
            let steps = (run.workload.osl as f64 - 1.0).max(1.0);
            Some((first, (last - first).max(Seconds::ZERO) / steps))
        }
        "inferencex" => Some(waves(&replica, concurrency, (WAVES, INFERENCEX_SPREAD))),
        "closed-loop-unstated" => Some(waves(&replica, concurrency, (WAVES, UNSTATED_SPREAD))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(header: &str, row: &str, column: &str) -> String {
        let table = told(Table::parse(&format!("{header}\n{row}\n"), "rows").unwrap());
        table.row(0).text(column).unwrap_or("").to_owned()
    }

    #[test]
    fn notes_say_how_many_requests_were_sent_and_how_fast_where_no_column_does() {
        let said = |row: &str, column: &str| cell("num_requests,load_value,notes", row, column);
        assert_eq!(said(",,tuned; num_requests=500; warm", "num_requests"), "500");
        assert_eq!(said("64,,num_requests=500", "num_requests"), "64");
        assert_eq!(said(",rate=4,qps=2.5", "qps"), "2.5");
        assert_eq!(said(",qps=4,qps=2.5", "qps"), "");
    }

    #[test]
    fn the_version_of_an_image_of_dynamo_is_not_the_engines() {
        let header = "engine,engine_version,prefill_cfg,notes";
        let image = "image=nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime:0.8.1";
        assert_eq!(cell(header, &format!("trtllm,0.8.1,1x(TP8 = 8 GPU),{image}"), "engine_version"), "");
        assert_eq!(cell(header, "trtllm,1.1.0,1x(TP8 = 8 GPU),", "engine_version"), "1.1.0");
        assert_eq!(cell(header, &format!("trtllm,0.8.1,,{image}"), "engine_version"), "0.8.1");
    }
}
