//! Names as people type them in forums, issues, model cards and the documentation of engines and clouds, and what they
//! must mean: `data/names_as_typed.csv`.

use shardfit::catalog;
use shardfit::diagnostic::Diagnostic;
use shardfit::dtype::WeightFormat;
use shardfit::model::{self, Model, Scope};

/// Kind, name, what it means: a model of the catalogue, that and the format of a copy of it, `GPUS GPU`, an engine and its version, a
/// format; of a kind that begins with `no`, a part of what is said of it.
fn names() -> Vec<[String; 3]> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/names_as_typed.csv");
    let mut reader = csv::Reader::from_path(file).unwrap();
    let row = |record: csv::StringRecord| [0, 1, 2].map(|i| record[i].to_owned());
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// A model without what it is called and what is said of its name.
fn nameless(name: &str) -> Result<Model, String> {
    let found = model::find(name, &[], Scope::Full).map_err(|e| e.to_string())?;
    Ok(Model { id: String::new(), notes: Vec::new(), ..found })
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
        "copy" => {
            let (base, _) = means.rsplit_once(' ').unwrap();
            let (copy, base) =
                (model::find(typed, &[], Scope::Full), model::find(base, &[], Scope::Full).unwrap());
            let copy = copy.map_err(|e| e.to_string())?;
            let count = |model: &Model| model.parameters().unwrap().total;
            assert_eq!(
                count(&copy),
                count(&base),
                "{typed}: the parameters of the model that it is a copy of"
            );
            Ok(format!("{} {}", base.id, copy.quantisation.main_format().name()))
        }
        "engine" => {
            let engine = catalog::engine(typed).map_err(|e| e.to_string())?;
            Ok(format!("{} {}", engine.id, engine.version))
        }
        "no model" => said(model::find(typed, &[], Scope::Full), means),
        "no cluster" => said(catalog::cluster(typed), means),
        "no engine" => said(catalog::engine(typed), means),
        "no format" => said(typed.parse::<WeightFormat>(), means),
        _ => typed.parse::<WeightFormat>().map(|format| format.name().to_owned()).map_err(|e| e.to_string()),
    }
}

/// What is meant, where it is said of a name that stands for nothing.
fn said<T>(found: Result<T, Diagnostic>, means: &str) -> Result<String, String> {
    let said = found.err().ok_or("found")?.to_string();
    if means.split('|').any(|part| said.contains(part)) { Ok(means.to_owned()) } else { Err(said) }
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
    let words = match command {
        "train" => {
            "shardfit train llama-3.1-8b --cluster 8xh100-sxm --seq 4096 --global-batch 16 --top 1".to_owned()
        }
        "fit" => "shardfit fit --top 1".to_owned(),
        "size" => "shardfit size llama-3.1-8b --rate 5".to_owned(),
        _ => format!("shardfit {command} llama-3.1-8b --cluster 1xh100-sxm --top 1"),
    };
    // One that is given again is given once.
    let other = [("--train-batch-size", "--global-batch 16 "), ("--global-batch", "--global-batch 16 ")];
    let words = other.iter().fold(words, |words, (option, given)| match more.starts_with(option) {
        true => words.replace(given, ""),
        false => words,
    });
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

#[test]
fn what_people_type_in_the_place_of_a_command_is_understood_or_answered_with_ours() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/commands_as_typed.csv");
    let rows = csv::Reader::from_path(file).unwrap().into_records();
    let rows: Vec<[String; 2]> =
        rows.map(|record| record.unwrap()).map(|record| [0, 1].map(|i| record[i].to_owned())).collect();
    let printed = |line: &str| {
        // Quoted words are one.
        let mut words = vec![std::ffi::OsString::from("shardfit")];
        for (at, part) in line.split('\'').enumerate() {
            match at % 2 {
                0 => words.extend(part.split_whitespace().map(Into::into)),
                _ => words.push(part.into()),
            }
        }
        match shardfit::cli::printed(words) {
            Ok((_, text)) => text,
            Err(said) => said.to_string(),
        }
    };
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|[typed, means]| {
            let said = printed(typed);
            let alike = || means.strip_prefix("shardfit ").is_some_and(|line| printed(line) == said);
            let fine = said.contains(means.as_str()) || alike();
            (!fine).then(|| format!("{typed}: {}", said.lines().take(3).collect::<Vec<_>>().join(" | ")))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
