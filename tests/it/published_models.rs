//! The catalogue's models against what is published of them: contexts, counts of parameters, and an answer to the
//! question that nobody refined.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Map, Value};
use shardfit::catalog::{Catalog, Kind, entries};
use shardfit::model::{self, Model, Scope};
use shardfit::request::{Request, Task};

/// What is published of a model.
struct Published {
    /// Tokens; none for a model without positions.
    context: Option<u64>,
    /// Elements of the tensors of its files, where the hub counts them.
    parameters: Option<u64>,
    /// Elements that are no parameters of the model: scales, masks, prediction layers, copies.
    beside: i64,
    /// What they are.
    why: String,
}

/// `data/published_models.csv`. Counts, and contexts whose source is `llmfit`, are the hub's, as llmfit 1.1.17 (MIT
/// licence) lists them for each model; other contexts are those of the named paper or of the model's card.
fn published() -> BTreeMap<String, Published> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/published_models.csv");
    let mut reader = csv::Reader::from_path(file).unwrap();
    let number = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    let row = |record: csv::StringRecord| {
        assert_eq!(record[1].is_empty(), record[2].is_empty(), "{}: a context has a source", &record[0]);
        let beside = if record[4].is_empty() { 0 } else { record[4].parse().unwrap() };
        let said = Published {
            context: number(&record[1]),
            parameters: number(&record[3]),
            beside,
            why: record[5].to_owned(),
        };
        (record[0].to_owned(), said)
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn load(name: &str) -> Model {
    model::find(name, &[], Scope::Full).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn contexts_are_those_published() {
    let published = published();
    for entry in entries(Kind::Model) {
        let said = published.get(entry.id).unwrap_or_else(|| panic!("{} has no row", entry.id));
        assert_eq!(load(entry.id).max_context, said.context, "{}", entry.id);
    }
    assert!(published.len() >= 471, "{}", published.len());
}

#[test]
fn totals_are_the_hubs_counts_and_what_differs_is_named() {
    let mut compared = 0;
    for (name, said) in published() {
        let Some(parameters) = said.parameters else { continue };
        let count = load(&name).parameters().unwrap();
        let difference = i128::from(parameters) - i128::from(count.total);
        assert_eq!(difference, i128::from(said.beside), "{name}: {} of {parameters}", count.total);
        assert_eq!(said.beside == 0, said.why.is_empty(), "{name}");
        if said.why == "prediction layer" {
            assert_eq!(difference, i128::from(count.mtp), "{name}");
        }
        compared += 1;
    }
    assert!(compared >= 389, "{compared}");
}

#[test]
fn every_entry_names_its_source() {
    for entry in entries(Kind::Model) {
        let file: serde_json::Value = serde_json::from_str(entry.json).unwrap();
        let source = file["_shardfit"]["source"].as_str().unwrap_or_default();
        assert!(source.starts_with("https://"), "{}: {source}", entry.id);
    }
}

/// The least of these clusters that holds the weights with room for a cache.
fn cluster(model: &Model) -> &'static str {
    match model.checkpoint_bytes().as_f64() / 1e9 {
        ..105.0 => "1xh200-sxm",
        ..900.0 => "8xh200-sxm",
        _ => "16xb300-sxm",
    }
}

#[test]
fn every_model_answers_the_question_that_nobody_refined() {
    let (next, refused) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let catalog = Catalog::built_in();
    // Whether there is an answer does not depend on the simulation of the best of it.
    let ask = |name: &str| -> Result<(), String> {
        let text =
            serde_json::json!({"model": name, "cluster": cluster(&load(name)), "verify": 0}).to_string();
        let resolved = Request::from_json(&text).and_then(|r| r.resolve(Task::Plan, &catalog));
        let resolved = resolved.map_err(|e| e.to_string())?;
        let planned = resolved.plan().map_err(|e| e.to_string())?;
        let headed = &resolved.model.id;
        let answered = !planned.answer.best.is_empty();
        (answered && headed == name).then_some(()).ok_or(format!("headed {headed}, answered: {answered}"))
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(entry) = entries(Kind::Model).get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = ask(entry.id) {
                        refused.lock().unwrap().push(format!("{}: {why}", entry.id));
                    }
                }
            });
        }
    });
    let refused = refused.into_inner().unwrap();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn kimi_k3_weighs_what_the_tensors_of_its_checkpoint_add_up_to() {
    // Shapes and types of the 497,220 tensors of its 96 files: 2,779,931,837,184 parameters where a byte of packed
    // experts holds two, in 1,560,860,324,864 bytes. Its `A_log` has 128 entries for 96 heads, its routers' corrections
    // are buffers.
    let model = load("moonshotai/Kimi-K3");
    let (total, stored) = (2_779_931_837_184_u64, 1_560_860_324_864.0);
    assert_eq!(total - model.parameters().unwrap().total, 69 * (128 - 96) + 92 * 896);
    assert!((model.checkpoint_bytes().as_f64() / stored - 1.0).abs() < 1e-4, "{}", model.checkpoint_bytes());
    // 16 of 896 experts of half the width, two shared ones and the rest.
    let active = model.parameters().unwrap().active as f64;
    assert!((active / 105.8e9 - 1.0).abs() < 0.01, "{active}");
}

#[test]
fn experts_that_modelopt_has_written_anew_are_nvfp4_and_no_longer_the_publishers_mxfp4() {
    let gib = |name: &str| load(name).checkpoint_bytes().as_gib();
    // Experts take 4.5 bits in place of 4.25; FP8 ones 8.
    for size in ["Flash", "Pro"] {
        let own = gib(&format!("deepseek-ai/DeepSeek-V4-{size}"));
        let nvfp4 = gib(&format!("nvidia/DeepSeek-V4-{size}-NVFP4"));
        let fp8 = gib(&format!("sgl-project/DeepSeek-V4-{size}-FP8"));
        assert!((1.04..1.06).contains(&(nvfp4 / own)) && fp8 > 1.8 * own, "{size}: {own}, {nvfp4}, {fp8}");
    }
}

/// A published checkpoint and what its files hold.
struct StoredCheckpoint {
    name: String,
    quantised: bool,
    model: Model,
    /// Bytes that no configuration tells of: tensors that a file holds twice, or that nothing reads.
    beside: f64,
    /// What its index calls `total_size`, or the bytes of its weight files.
    published: f64,
}

impl StoredCheckpoint {
    /// Bytes of its tensors as the model counts them, over those published.
    fn ratio(&self) -> f64 {
        (self.model.checkpoint_bytes().as_f64() + self.beside) / self.published
    }
}

/// `data/stored_checkpoints.csv`: a catalogue model, the fields in which the checkpoint's configuration differs, and what its
/// quantisation says of modules of every layer or of some (`56-63:mlp.up_proj`), which a file writes out one by one. `holds`
/// says what the files have: the model, or its prediction layers too.
fn stored_checkpoints() -> Vec<StoredCheckpoint> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/stored_checkpoints.csv");
    let records =
        csv::Reader::from_path(file).unwrap().into_records().map(Result::unwrap).collect::<Vec<_>>();
    records.iter().map(stored_checkpoint).collect()
}

fn stored_checkpoint(record: &csv::StringRecord) -> StoredCheckpoint {
    let name = record[0].to_owned();
    let object = |text: &str| -> Map<String, Value> {
        if text.is_empty() { Map::new() } else { serde_json::from_str(text).unwrap() }
    };
    let entry = entries(Kind::Model).iter().find(|entry| entry.id == &record[2]);
    let mut config = object(entry.unwrap_or_else(|| panic!("{name}: no {}", &record[2])).json);
    config.extend(object(&record[3]));
    let read = |config: &Map<String, Value>| {
        model::from_config(config, &name, Scope::Full).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let layers = read(&config).layers();
    for (module, own) in object(&record[4]) {
        let quantisation = config.get_mut("quantization").and_then(Value::as_object_mut).unwrap();
        let (range, module) = match module.split_once(':') {
            Some((range, module)) => {
                let (first, last) = range.split_once('-').unwrap();
                (first.parse().unwrap()..last.parse::<u64>().unwrap() + 1, module)
            }
            None => (0..layers, module.as_str()),
        };
        for layer in range {
            quantisation.insert(format!("model.layers.{layer}.{module}"), own.clone());
        }
    }
    let model = match &record[5] {
        "prediction" => read(&config).with_prediction(),
        "model" => read(&config),
        other => panic!("{name}: {other}"),
    };
    let number = |text: &str| if text.is_empty() { 0.0 } else { text.parse::<u64>().unwrap() as f64 };
    assert_eq!(record[6].is_empty(), record[7].is_empty(), "{name}");
    assert!(!record[9].is_empty(), "{name}: no source");
    StoredCheckpoint {
        quantised: &record[1] != "16 bits",
        model,
        beside: number(&record[6]),
        published: number(&record[8]),
        name,
    }
}

#[test]
fn published_checkpoints_take_the_bytes_that_their_files_hold() {
    let checkpoints = stored_checkpoints();
    let off: Vec<String> = checkpoints
        .iter()
        .filter(|checkpoint| (checkpoint.ratio() - 1.0).abs() > 0.005)
        .map(|checkpoint| format!("{}: {:+.3} %", checkpoint.name, 100.0 * (checkpoint.ratio() - 1.0)))
        .collect();
    assert!(off.is_empty(), "{off:#?}");
    let quantised = checkpoints.iter().filter(|checkpoint| checkpoint.quantised).count();
    assert!(quantised >= 60, "{quantised} of {}", checkpoints.len());
}
