//! Names as people type them in forums, issues, model cards and the documentation of engines and clouds, and what they
//! must mean: `data/names_as_typed.csv`.

use shardfit::catalog;
use shardfit::dtype::WeightFormat;
use shardfit::model::{self, Model, Scope};

/// Kind, name, what it means: a model of the catalogue, `GPUS GPU`, a format.
fn names() -> Vec<[String; 3]> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/names_as_typed.csv");
    let mut reader = csv::Reader::from_path(file).unwrap();
    let row = |record: csv::StringRecord| [0, 1, 2].map(|i| record[i].to_owned());
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// A model without what it is called.
fn nameless(name: &str) -> Result<Model, String> {
    let found = model::find(name, &[], Scope::Full).map_err(|e| e.to_string())?;
    Ok(Model { id: String::new(), ..found })
}

/// What a name is taken for, written as in the list; what is said where it is not understood.
fn taken(kind: &str, typed: &str, means: &str) -> Result<String, String> {
    match kind {
        "model" => {
            let alike = nameless(typed)? == nameless(means)?;
            Ok(if alike { means.to_owned() } else { model::find(typed, &[], Scope::Full).unwrap().id })
        }
        "cluster" => {
            let cluster = catalog::cluster(typed).map_err(|e| e.to_string())?;
            Ok(format!("{} {}", cluster.gpus, cluster.gpu.id))
        }
        _ => typed.parse::<WeightFormat>().map(|format| format.name().to_owned()).map_err(|e| e.to_string()),
    }
}

#[test]
fn names_as_people_type_them_are_understood() {
    let (mut wrong, mut missed) = (Vec::new(), Vec::new());
    let names = names();
    for [kind, typed, means] in &names {
        match taken(kind, typed, means) {
            Ok(found) if found == *means => {}
            Ok(found) => wrong.push(format!("{typed}: {found} instead of {means}")),
            // A right suggestion will do.
            Err(said) if said.contains(means.split(' ').next_back().unwrap_or(means)) => {}
            Err(said) => missed.push(format!("{typed}: {said}")),
        }
    }
    assert!(names.len() >= 200, "{}", names.len());
    assert!(wrong.is_empty(), "taken for something else:\n{}", wrong.join("\n"));
    assert!(missed.len() * 20 <= names.len(), "not understood:\n{}", missed.join("\n"));
    println!("not understood:\n{}", missed.join("\n"));
}

/// What a command answers, or the message that refuses it.
fn answered(command: &str, more: &str) -> String {
    let words = format!("shardfit {command} llama-3.1-8b --cluster 1xh100-sxm --top 1");
    // Words after an option's first are one value: `20 seconds`.
    let (option, value) = more.split_once(' ').unwrap_or((more, ""));
    let words = words.split(' ').chain([option, value].into_iter().filter(|word| !word.is_empty()));
    match shardfit::cli::printed(words.map(std::ffi::OsString::from).collect()) {
        Ok((_, text)) => text,
        Err(said) => said.to_string(),
    }
}

#[test]
fn options_as_people_type_them_are_understood_or_answered_with_ours() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/flags_as_typed.csv");
    let rows = csv::Reader::from_path(file).unwrap().into_records();
    let rows: Vec<[String; 3]> =
        rows.map(|record| record.unwrap()).map(|record| [0, 1, 2].map(|i| record[i].to_owned())).collect();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|[command, typed, means]| {
            let said = answered(command, typed);
            let right = means.is_empty() || means.starts_with("--") && !means.ends_with('?');
            // Options that are ours answer the same question; others are answered with them.
            let fine = right && said == answered(command, means)
                || !means.is_empty() && said.contains(means.as_str());
            (!fine).then(|| format!("{typed}: {}", said.lines().take(3).collect::<Vec<_>>().join(" | ")))
        })
        .collect();
    assert!(rows.len() >= 100, "{}", rows.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
