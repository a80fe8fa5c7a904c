//! The documents run: every command in a `console` block is executed and its output compared.
//!
//! A block holds lines that begin with `$ `, each followed by exactly what it prints to stdout; `2>&1`
//! at the end adds stderr, ` | head -N` keeps the first N lines. `cargo run --release --` stands for `shardfit`; other commands are left
//! alone, and so is what follows them. Commands run in the repository's root, except in documents that
//! show files of their own: a block marked with a language and a NAME is written to NAME in an empty
//! folder, and the document's commands run there.
//!
//! `UPDATE_README=1 cargo test --test it readme::` rewrites the outputs.

use std::fs;
use std::path::Path;
use std::process::Command;

use shardfit::catalog::kernels::{ByEngine, FitError};
use shardfit::catalog::{self, Kind};
use shardfit::diagnostic::{Code, Guide};
use shardfit::model::SHAPE_KEYS;
use shardfit::plan::{Reason, Stage};
use shardfit::train::Misfit;

use crate::common::{self, document, filled, settle};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn readme_shows_what_the_commands_print() {
    check("README.md", Path::new(ROOT));
}

#[test]
fn the_error_guide_shows_what_the_commands_print() {
    check("docs/errors.md", Path::new(ROOT));
}

#[test]
fn the_files_of_the_guide_to_adding_work() {
    check_with_files("docs/adding.md");
}

#[test]
fn the_files_of_the_guide_to_validating_work() {
    check_with_files("docs/validating.md");
}

/// Writes the files that a document shows to an empty folder and runs its commands there.
fn check_with_files(document: &str) {
    let folder = tempfile::tempdir().unwrap();
    let files = files_in(&fs::read_to_string(Path::new(ROOT).join(document)).unwrap());
    assert!(!files.is_empty(), "{document} shows no file");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    check(document, folder.path());
}

#[test]
fn the_files_of_the_guide_to_planning_work() {
    check_with_files("docs/planning.md");
}

#[test]
fn the_columns_of_a_sweep_are_those_of_the_code() {
    use shardfit::report::Kind;
    use shardfit::report::sweep::{Head, columns};
    let of_plan: Vec<&str> = shardfit::report::PLAN_COLUMNS.iter().map(|c| c.name).collect();
    let mut table = String::from("| column | type | meaning |\n| --- | --- | --- |\n");
    for Head { name, kind, about, .. } in columns().into_iter().filter(|c| !of_plan.contains(&c.name)) {
        let kind = match kind {
            Kind::Text => "text",
            Kind::Integer => "integer",
            Kind::Real => "real",
        };
        table.push_str(&format!("| `{name}` | {kind} | {about} |\n"));
    }
    settle("docs/planning.md", &filled(&document("docs/planning.md"), "sweep columns", &table));
}

#[test]
fn the_tables_of_the_error_guide_are_those_of_the_code() {
    let mut guide = document("docs/errors.md");
    let mut codes = String::from("| code | meaning | remedy |\n| --- | --- | --- |\n");
    for code in Code::ALL {
        codes.push_str(&row(code.name(), code.guide()));
    }
    guide = filled(&guide, "codes", &codes);
    for (name, stage) in [
        ("illegal", Stage::Illegal),
        ("out of memory", Stage::OutOfMemory),
        ("target missed", Stage::TargetMissed),
    ] {
        let mut table = String::from("| reason | meaning | remedy |\n| --- | --- | --- |\n");
        for reason in Reason::examples().iter().filter(|r| r.stage() == stage) {
            table.push_str(&row(&reason.name(), reason.guide()));
        }
        guide = filled(&guide, name, &table);
    }
    let mut table = String::from("| reason | meaning | remedy |\n| --- | --- | --- |\n");
    for misfit in Misfit::examples() {
        table.push_str(&row(&misfit.name(), misfit.guide()));
    }
    guide = filled(&guide, "training", &table);
    settle("docs/errors.md", &guide);
}

fn row(name: &str, guide: Guide) -> String {
    format!("| `{name}` | {} | {} |\n", guide.meaning, guide.remedy)
}

#[test]
fn the_guide_leaves_out_no_reason_and_no_code() {
    let codes = Code::ALL.map(|code| format!("{code:?}"));
    assert_eq!(variants("src/diagnostic.rs", "pub enum Code {"), codes);
    for mut names in [
        Reason::examples().iter().map(Reason::name).collect::<Vec<_>>(),
        Misfit::examples().iter().map(Misfit::name).collect(),
    ] {
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "two examples of one name");
    }
}

/// The variants of an enum, read from its source.
fn variants(file: &str, head: &str) -> Vec<String> {
    let source = document(file);
    let (_, rest) = source.split_once(head).unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    let name = |line: &str| -> Option<String> {
        let inner = line.strip_prefix("    ").filter(|l| l.starts_with(|c: char| c.is_ascii_uppercase()))?;
        Some(inner.chars().take_while(|c| c.is_alphanumeric()).collect())
    };
    body.lines().filter_map(name).collect()
}

#[test]
fn the_keys_of_a_shape_are_those_of_the_code() {
    let mut table = String::from("| key | `config.json` | |\n| --- | --- | --- |\n");
    for key in SHAPE_KEYS {
        table.push_str(&format!("| `{}` | `{}` | {} |\n", key.name, key.field, key.about));
    }
    settle("docs/cli.md", &filled(&document("docs/cli.md"), "shape keys", &table));
}

#[test]
fn the_command_line_guide_shows_what_the_commands_print() {
    check("docs/cli.md", Path::new(ROOT));
}

#[test]
fn the_table_of_fit_errors_is_that_of_the_files() {
    settle("docs/model/kernels.md", &filled(&document("docs/model/kernels.md"), "fit errors", &fit_errors()));
}

/// The spread of the fits' errors, form by form, over every GPU that has any.
fn fit_errors() -> String {
    let gpus: Vec<_> = catalog::entries(Kind::Gpu).iter().map(|e| catalog::gpu(e.id).unwrap()).collect();
    let mut out = String::from(
        "| form | fits | median error: best, middle, worst | 90th percentile: middle, worst |\n\
         | --- | --- | --- | --- |\n",
    );
    macro_rules! row {
        ($name:literal, $($form:ident).+, $gpus:expr) => {
            let errors: Vec<FitError> =
                $gpus.iter().flat_map(|g| all(&g.kernels.$($form).+).filter_map(|f| f.error)).collect();
            out.push_str(&spread($name, &errors));
        };
    }
    row!("dense products", gemm, gpus);
    row!("prompt attention", prefill_attention, gpus);
    row!("decode attention", decode_attention, gpus);
    row!("latent prompt attention", latent_prefill, gpus);
    row!("latent decode attention", latent_decode, gpus);
    row!("prompts of recurrent mixers", scan_prefill, gpus);
    row!("routed experts", grouped_gemm, gpus);
    let (pcie, linked): (Vec<_>, Vec<_>) =
        gpus.iter().partition(|g| g.scale_up.kind == catalog::link::LinkKind::Pcie);
    row!("NCCL collectives, NVLink", collective, linked);
    row!("NCCL collectives, PCIe", collective, pcie);
    row!("engines' all-reduce, NVLink", custom_all_reduce, linked);
    row!("engines' all-reduce, PCIe", custom_all_reduce, pcie);
    row!("NCCL collectives, through the host", through_host.collective, pcie);
    row!("engines' all-reduce, through the host", through_host.custom_all_reduce, pcie);
    out
}

fn all<T>(table: &ByEngine<T>) -> impl Iterator<Item = &T> {
    table.values().flat_map(|formats| formats.values())
}

fn spread(name: &str, errors: &[FitError]) -> String {
    let sorted = |of: fn(&FitError) -> f64| {
        let mut values: Vec<f64> = errors.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (medians, p90s) = (sorted(|e| e.median), sorted(|e| e.p90));
    let n = errors.len();
    let (middle, last) = (n / 2, n - 1);
    format!(
        "| {name} | {n} | {:.1}, {:.1}, {:.1} | {:.1}, {:.1} |\n",
        medians[0], medians[middle], medians[last], p90s[middle], p90s[last]
    )
}

/// Runs the commands of a document in `folder` and compares or rewrites what they print.
fn check(document: &str, folder: &Path) {
    let (actual, commands) = executed(&common::document(document), folder);
    assert!(commands > 0, "{document} shows no command");
    settle(document, &actual);
}

/// The document with every output as it is now, and how many commands ran.
fn executed(document: &str, folder: &Path) -> (String, usize) {
    let (mut out, mut commands) = (String::new(), 0);
    let mut in_console = false;
    // Whether the lines that follow are the old output of a command that ran.
    let mut replaced = false;
    for line in document.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
            replaced = false;
        } else if in_console && line.starts_with("$ ") {
            let output = run(&line[2..], folder);
            replaced = output.is_some();
            commands += usize::from(replaced);
            out.push_str(line);
            out.push('\n');
            out.push_str(&output.unwrap_or_default());
            continue;
        }
        if !replaced {
            out.push_str(line);
            out.push('\n');
        }
    }
    (out, commands)
}

/// What a command prints, if it is one of shardfit's.
fn run(command: &str, folder: &Path) -> Option<String> {
    let arguments =
        command.strip_prefix("shardfit ").or_else(|| command.strip_prefix("cargo run --release -- "))?;
    let (arguments, lines) = match arguments.split_once(" | head -") {
        Some((rest, n)) => (rest, n.parse().unwrap()),
        None => (arguments, usize::MAX),
    };
    let (arguments, with_stderr) = match arguments.strip_suffix(" 2>&1") {
        Some(rest) => (rest, true),
        None => (arguments, false),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardfit"));
    common::on_a_bare_machine(&mut command);
    if arguments.contains(" -o out/") {
        // What another build left there would be another answer. Git ignores it.
        let _ = fs::remove_dir_all(folder.join("out"));
    }
    let output = command.args(words(arguments)).current_dir(folder).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    if with_stderr {
        text.push_str(&String::from_utf8(output.stderr).unwrap());
    }
    Some(text.split_inclusive('\n').take(lines).collect())
}

/// Splits at spaces outside double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// The blocks marked with a language and a name.
fn files_in(document: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in document.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            let name = fence.split_once(' ').map(|(_, name)| name.to_owned());
            open = name.is_some();
            files.extend(name.map(|name| (name, String::new())));
        } else if open && let Some((_, text)) = files.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    files
}

#[test]
fn the_tour_shows_what_the_commands_print() {
    check("docs/tour.md", Path::new(ROOT));
}

#[test]
fn what_a_newcomer_types_first_is_answered() {
    for page in ["README.md", "docs/tour.md"] {
        let text = document(page);
        let refused: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(refused.is_empty(), "{page}: {refused:?}");
    }
}

#[test]
fn the_columns_of_a_ranking_are_those_of_the_code() {
    let mut table = String::from("| heading | CSV and JSON | meaning |\n| --- | --- | --- |\n");
    for column in shardfit::report::PLAN_COLUMNS {
        let heading = column.heading.map_or(String::new(), |heading| format!("`{heading}`"));
        table.push_str(&format!("| {heading} | `{}` | {} |\n", column.path(), column.about));
    }
    settle("docs/columns.md", &filled(&document("docs/columns.md"), "plan columns", &table));
}

/// What a schema says a field is.
fn kind_of(field: &serde_json::Value) -> String {
    match field {
        field if field["$ref"].is_string() => last(field["$ref"].as_str().unwrap_or_default()).to_owned(),
        field if field["anyOf"].is_array() => {
            let all = field["anyOf"].as_array().into_iter().flatten().map(kind_of);
            all.collect::<Vec<_>>().join(" or ")
        }
        field if field["items"].is_object() => format!("list of {}", kind_of(&field["items"])),
        field if field["additionalProperties"].is_object() => {
            format!("{} by name", kind_of(&field["additionalProperties"]))
        }
        field => match &field["type"] {
            serde_json::Value::Array(types) => {
                types.iter().filter_map(|t| t.as_str()).collect::<Vec<_>>().join(" or ")
            }
            one => one.as_str().unwrap_or("any").to_owned(),
        },
    }
}

fn last(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

/// The fields of a definition as a table, columns of a plan left out.
fn fields_of(name: &str, definitions: &serde_json::Value) -> String {
    let of_plan: Vec<&str> =
        shardfit::report::PLAN_COLUMNS.iter().map(|c| c.group.unwrap_or(c.name)).collect();
    let definition = &definitions[name];
    let properties = definition["properties"].as_object();
    let holds_a_plan = of_plan[1..].iter().all(|column| definition["properties"].get(column).is_some());
    let mut text = format!("### {name}\n\n{}", definition["description"].as_str().unwrap_or_default());
    if holds_a_plan {
        text += " It has [the columns of a plan](columns.md).";
    }
    let rows = properties
        .into_iter()
        .flatten()
        .filter(|(name, _)| !holds_a_plan || !of_plan.contains(&name.as_str()));
    let rows: Vec<String> = rows
        .map(|(name, field)| {
            let about = field["description"].as_str().unwrap_or_default().replace('\n', " ");
            format!("| `{name}` | {} | {about} |\n", kind_of(field))
        })
        .collect();
    if !rows.is_empty() {
        text += &format!("\n\n| field | holds | meaning |\n| --- | --- | --- |\n{}", rows.concat());
    }
    text.trim_end().to_owned() + "\n"
}

#[test]
fn the_fields_of_answers_are_those_of_the_types() {
    let (mut text, mut tables) = (String::new(), String::new());
    let mut seen: Vec<String> = Vec::new();
    for command in shardfit::report::ANSWERS {
        let schema = shardfit::report::answer_schema(command).expect(command);
        let mut kinds = Vec::new();
        for kind in schema["anyOf"].as_array().into_iter().flatten().map(kind_of) {
            let name = kind.trim_start_matches("list of ").to_owned();
            kinds.push(kind.replace(&name, &format!("[{name}](#{})", name.to_lowercase())));
            if !seen.contains(&name) {
                tables += &format!("\n{}", fields_of(&name, &schema["$defs"]));
                seen.push(name);
            }
        }
        let command = if command == "verify" { "inspect --verify" } else { command };
        text += &format!("- `{command}`: {}\n", kinds.join(", or "));
    }
    text += &tables;
    settle("docs/answers.md", &filled(&document("docs/answers.md"), "answers", &text));
}

#[test]
fn the_words_of_engines_are_those_of_the_code() {
    use shardfit::request::words::{Speaker, WORDS};
    let names = Speaker::ALL.map(Speaker::name).join(" | ");
    let mut table =
        format!("| option | {names} | also |\n| --- |{} --- |\n", " --- |".repeat(Speaker::ALL.len()));
    for word in WORDS {
        let said = |speaker| {
            let name = word.engines.iter().find(|(by, _)| *by == speaker).map(|(_, name)| *name);
            name.map_or(String::new(), |name| format!("`{name}`"))
        };
        let cells = Speaker::ALL.map(said).join(" | ");
        let others: Vec<String> = word.others.iter().map(|other| format!("`{other}`")).collect();
        table.push_str(&format!("| `--{}` | {cells} | {} |\n", word.option, others.join(", ")));
    }
    settle("docs/glossary.md", &filled(&document("docs/glossary.md"), "words", &table));
}

/// Pages of the book that a reader is led to by a link, as paths from `docs/`.
fn links(page: &str) -> Vec<String> {
    let text = document(page);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let local = targets.map(|(target, _)| target.split('#').next().unwrap_or_default().to_owned());
    local.filter(|target| !target.is_empty() && !target.contains("://")).collect()
}

#[test]
fn the_book_holds_every_page_and_every_link_leads_somewhere() {
    let listed = links("docs/SUMMARY.md");
    let folder = Path::new(ROOT).join("docs");
    let prefix = format!("{}/", folder.display());
    let files = common::files_in(&folder);
    for page in
        files.iter().filter_map(|path| path.strip_prefix(&prefix)).filter(|name| name.ends_with(".md"))
    {
        assert!(
            page == "SUMMARY.md" || listed.iter().any(|known| known == page),
            "docs/SUMMARY.md leaves out {page}"
        );
        let beside = folder.join(page).parent().expect("a folder").to_owned();
        for link in links(&format!("docs/{page}")) {
            assert!(beside.join(&link).exists(), "docs/{page} leads to {link}");
        }
    }
    for link in links("README.md") {
        assert!(Path::new(ROOT).join(&link).exists(), "README.md leads to {link}");
    }
}

#[test]
fn the_readme_is_read_in_a_minute() {
    let text = document("README.md");
    assert!(text.len() <= 12_000, "{} bytes", text.len());
}
