//! Sweeps that are stopped, resumed, split, merged and compared: the results are those of one whole run,
//! byte for byte.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{self, document, parse_csv, shardfit, spreadsheet_text};

const SCENARIO: &str = "tests/data/valid/scenario.yaml";

/// Files that a run writes beside its journal.
const RESULTS: &[&str] = if cfg!(feature = "parquet") {
    &["results.csv", "results.jsonl", "results.parquet", "summary.md", "report.html"]
} else {
    &["results.csv", "results.jsonl", "summary.md", "report.html"]
};

fn sweep(folder: &Path, rest: &str) -> common::Run {
    shardfit(&format!("sweep {SCENARIO} -o {} {rest}", folder.display()))
}

/// The results of a whole run.
fn whole() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    sweep(folder.path(), "-q").exits(0);
    folder
}

#[track_caller]
fn same(a: &Path, b: &Path) {
    for name in RESULTS {
        let read = |folder: &Path| fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(read(a) == read(b), "{name} differs");
    }
}

/// Cuts a journal as a process would leave it that was killed while it wrote.
fn cut(journal: &Path, share: f64) {
    let bytes = fs::read(journal).unwrap();
    fs::write(journal, &bytes[..(bytes.len() as f64 * share).round() as usize]).unwrap();
}

#[test]
fn a_run_that_was_cut_off_anywhere_resumes_to_the_same_bytes() {
    let once = whole();
    for share in [0.0, 0.2, 0.51, 0.83, 0.999, 1.0] {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        fs::copy(once.path().join("journal"), &journal).unwrap();
        // The header is written whole or not at all.
        let header = fs::read(&journal).unwrap().iter().position(|b| *b == b'\n').unwrap() + 1;
        let length = fs::metadata(&journal).unwrap().len() as f64;
        cut(&journal, (header as f64 / length).max(share));
        let run = sweep(folder.path(), "--resume").exits(0);
        assert_eq!(share >= 0.2, run.stderr.contains("were done already"), "{share}: {}", run.stderr);
        same(once.path(), folder.path());
        assert_eq!(cases_of(&journal), cases_of(&once.path().join("journal")));
    }
}

/// The groups of a journal, sorted.
fn cases_of(journal: &Path) -> Vec<String> {
    let text = fs::read_to_string(journal).unwrap();
    let mut all: Vec<String> = text.lines().skip(1).map(|line| line[17..].to_owned()).collect();
    all.sort();
    all
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_resumes_to_the_same_bytes() {
    let once = whole();
    let folder = tempfile::tempdir().unwrap();
    for n in 0..6u64 {
        let mut run = Command::new(env!("CARGO_BIN_EXE_shardfit"))
            .args(["sweep", SCENARIO, "-q", "--resume", "-o"])
            .arg(folder.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + 70 * n));
        // SIGKILL: nothing can be put in order before it.
        run.kill().unwrap();
        run.wait().unwrap();
    }
    sweep(folder.path(), "--resume -q").exits(0);
    same(once.path(), folder.path());
}

#[test]
fn what_a_killed_run_left_half_written_is_removed() {
    let folder = whole();
    let (part, other) = (folder.path().join(".shardfit-x1y2z3.part"), folder.path().join(".kept"));
    fs::write(&part, "case,mod").unwrap();
    fs::write(&other, "").unwrap();
    sweep(folder.path(), "--resume -q").exits(0);
    assert!(!part.exists() && other.exists());
}

#[test]
fn an_unfinished_run_is_not_begun_again_unasked() {
    let folder = whole();
    cut(&folder.path().join("journal"), 0.7);
    let before = fs::read(folder.path().join("journal")).unwrap();
    let run = sweep(folder.path(), "").exits(2);
    assert!(run.stderr.contains("unfinished run") && run.stderr.contains("--resume"), "{}", run.stderr);
    assert_eq!(fs::read(folder.path().join("journal")).unwrap(), before);
}

#[test]
fn a_finished_run_is_begun_again_and_resumed_to_the_same() {
    let (once, again) = (whole(), whole());
    sweep(again.path(), "-q").exits(0);
    same(once.path(), again.path());
    let run = sweep(again.path(), "--resume").exits(0);
    assert!(run.stderr.contains("0 are left"), "{}", run.stderr);
    same(once.path(), again.path());
}

#[test]
fn a_changed_scenario_or_catalogue_is_not_resumed() {
    let folder = whole();
    let inner = folder.path().join("scenario.yaml");
    let changes =
        [("isl: 1024", "isl: 1025"), ("ttft: 2 s", "ttft: 3 s"), ("models: [llama-3.1-8b, ", "models: [")];
    for (from, to) in changes {
        fs::write(&inner, document(SCENARIO).replace(from, to)).unwrap();
        let line = format!("sweep {} --resume -o {}", inner.display(), folder.path().display());
        let run = shardfit(&line).exits(2);
        assert!(run.stderr.contains("the scenario has changed"), "{from}: {}", run.stderr);
    }
    // Comments are no part of it.
    fs::write(&inner, document(SCENARIO) + "# a remark\n").unwrap();
    shardfit(&format!("sweep {} --resume -o {}", inner.display(), folder.path().display())).exits(0);
    // A catalogue of one's own with another L4.
    let own = tempfile::tempdir().unwrap();
    fs::create_dir(own.path().join("gpus")).unwrap();
    let l4 = document("hardware/gpus/l4.yaml").replace("bandwidth: 300 GB/s", "bandwidth: 301 GB/s");
    fs::write(own.path().join("gpus/l4.yaml"), l4).unwrap();
    let run = sweep(folder.path(), &format!("--resume --catalog {}", own.path().display())).exits(2);
    assert!(run.stderr.contains("catalogue"), "{}", run.stderr);
}

#[test]
fn shards_merge_to_the_whole() {
    let once = whole();
    let parts = tempfile::tempdir().unwrap();
    let part = |k: usize| parts.path().join(format!("part-{k}"));
    let mut rows = 0;
    for k in 1..=3 {
        sweep(&part(k), &format!("-q --shard {k}/3")).exits(0);
        rows += parse_csv(&fs::read_to_string(part(k).join("results.csv")).unwrap()).1.len();
    }
    let (_, all) = parse_csv(&fs::read_to_string(once.path().join("results.csv")).unwrap());
    assert_eq!(rows, all.len());
    let joined = parts.path().join("joined");
    let line = |order: &[usize]| {
        let folders: Vec<String> = order.iter().map(|k| part(*k).display().to_string()).collect();
        format!("merge {} -o {}", folders.join(" "), joined.display())
    };
    shardfit(&line(&[2, 3, 1])).exits(0);
    same(once.path(), &joined);
    // What is wrong with parts is said, and nothing is written.
    fs::remove_dir_all(&joined).unwrap();
    assert!(shardfit(&line(&[1, 3])).exits(2).stderr.contains("1 of 3 shards are missing: 2/3"));
    assert!(shardfit(&line(&[1, 2, 3, 2])).exits(2).stderr.contains("is in"));
    cut(&part(2).join("journal"), 0.8);
    assert!(shardfit(&line(&[1, 2, 3])).exits(2).stderr.contains("not finished"));
    sweep(&part(2), "-q --shard 2/3 --resume").exits(0);
    sweep(&part(4), "-q --shard 2/4").exits(0);
    assert!(shardfit(&line(&[1, 4, 3])).exits(2).stderr.contains("shard 2/4"));
    assert!(
        shardfit(&line(&[1, 2, 3]).replace("joined", "part-1")).exits(2).stderr.contains("another folder")
    );
    assert!(!joined.exists());
    shardfit(&line(&[1, 2, 3])).exits(0);
    same(once.path(), &joined);
}

#[test]
fn a_damaged_record_is_answered_again_and_without_its_first_record_a_journal_is_refused() {
    let (once, folder) = (whole(), whole());
    let journal = folder.path().join("journal");
    let text = fs::read_to_string(&journal).unwrap();
    let second = text.lines().nth(1).unwrap();
    fs::write(&journal, text.replacen(second, &second.replace("found", "fount"), 1)).unwrap();
    let run = sweep(folder.path(), "--resume").exits(0);
    assert!(run.stderr.contains("1 damaged records of the journal are answered again"), "{}", run.stderr);
    assert!(run.stderr.contains("2 are left"), "{}", run.stderr);
    same(once.path(), folder.path());
    let header = text.lines().next().unwrap();
    fs::write(&journal, text.replacen(header, &header.replace("form", "farm"), 1)).unwrap();
    let run = sweep(folder.path(), "--resume").exits(2);
    assert!(run.stderr.contains("damaged") && run.stderr.contains("line 1"), "{}", run.stderr);
}

/// A copy of the scenario with lines added, and a run of it gone on with in a folder that another began.
fn resumed_as(added: &str) -> common::Run {
    let folder = whole();
    cut(&folder.path().join("journal"), 0.7);
    let other = folder.path().join("other.yaml");
    fs::write(&other, document(SCENARIO) + added).unwrap();
    shardfit(&format!("sweep {} -o {} --resume", other.display(), folder.path().display()))
}

#[test]
fn a_journal_of_another_question_is_not_gone_on_with() {
    for (added, what) in [
        ("search: {tp: [1]}\n", "the scenario has changed"),
        ("search: {max_sequences: 32}\n", "the scenario has changed"),
        ("prices: {l40s: 5 USD/h}\n", "what the catalogue says"),
    ] {
        let run = resumed_as(added).exits(2);
        assert!(run.stderr.contains(what), "{added}: {}", run.stderr);
    }
    resumed_as("# a comment changes nothing\n").exits(0);
}

#[test]
fn a_journal_of_another_build_is_not_gone_on_with() {
    let folder = whole();
    let journal = folder.path().join("journal");
    let text = fs::read_to_string(&journal).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let mut of: serde_json::Value = serde_json::from_str(&header[17..]).unwrap();
    of["build"] = "0123456789abcdef".into();
    let record = of.to_string();
    let sum = shardfit::load::records::checksum(&record);
    fs::write(&journal, format!("{sum} {record}\n{rest}")).unwrap();
    let run = sweep(folder.path(), "--resume").exits(2);
    assert!(run.stderr.contains("another build"), "{}", run.stderr);
}

#[test]
fn a_merge_does_not_write_over_an_unfinished_run() {
    let folder = tempfile::tempdir().unwrap();
    let part = |n: u32| folder.path().join(format!("part-{n}"));
    for n in 1..=2 {
        shardfit(&format!("sweep {SCENARIO} -q --shard {n}/2 -o {}", part(n).display())).exits(0);
    }
    let other = whole();
    cut(&other.path().join("journal"), 0.6);
    let before = fs::read(other.path().join("journal")).unwrap();
    let line = format!("merge {} {} -o {}", part(1).display(), part(2).display(), other.path().display());
    let run = shardfit(&line).exits(2);
    assert!(run.stderr.contains("an unfinished run is here"), "{}", run.stderr);
    assert_eq!(fs::read(other.path().join("journal")).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn results_have_the_permissions_that_the_umask_leaves() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let binary = env!("CARGO_BIN_EXE_shardfit");
    let out = folder.path().join("out.csv");
    let line =
        format!("umask 077; {binary} plan llama-3.1-8b --cluster 1xl40s --format csv -o {}", out.display());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_comparison_says_what_has_changed_since() {
    let folder = whole();
    let old = folder.path().join("old.csv");
    let text = fs::read_to_string(folder.path().join("results.csv")).unwrap();
    fs::write(&old, &text).unwrap();
    let run = sweep(folder.path(), &format!("--compare {}", old.display())).exits(0);
    assert!(run.stdout.contains("54 cases as before, 0 with other figures"), "{}", run.stdout);
    // Another price is another cost, and nothing else.
    let dear = folder.path().join("dear.yaml");
    fs::write(&dear, document(SCENARIO) + "prices: {l40s: 5 USD/h}\n").unwrap();
    let out = folder.path().join("dear");
    let line = format!("sweep {} -o {} --compare {}", dear.display(), out.display(), old.display());
    let run = shardfit(&line).exits(0);
    let moved = text.lines().filter(|row| row.contains(",2xl40s,") && row.contains(",found,")).count();
    assert!(moved > 0 && run.stdout.contains(&format!("{moved} with other figures")), "{}", run.stdout);
    assert!(run.stdout.contains(" → ") && run.stdout.contains("(+"), "{}", run.stdout);
    let summary = fs::read_to_string(out.join("summary.md")).unwrap();
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(summary.contains("## What has changed") && report.contains("with other figures"));
}

#[test]
fn json_lines_and_csv_hold_the_same_cells() {
    let folder = whole();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (header, rows) = parse_csv(&read("results.csv"));
    let lines = read("results.jsonl");
    assert_eq!(lines.lines().count(), rows.len());
    for (line, row) in lines.lines().zip(&rows) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        for (name, cell) in header.iter().zip(row) {
            let value = match &object[name] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => spreadsheet_text(text),
                other => other.to_string(),
            };
            assert_eq!(&value, cell, "{name}");
        }
    }
}

#[test]
fn two_runs_in_one_folder_are_refused() {
    let folder = whole();
    let _lock = shardfit::load::lock(folder.path()).unwrap();
    for rest in ["--resume", ""] {
        assert!(sweep(folder.path(), rest).exits(2).stderr.contains("another run"));
    }
}

/// Runs a Python script of the tests with these arguments; `None`, with a message, where Python or a package
/// that it needs is not there.
fn python(script: &str, arguments: &[&Path]) -> Option<()> {
    let python = std::env::var("SHARDFIT_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(script))
        .args(arguments)
        .output();
    let Ok(run) = run else {
        eprintln!("skipped: no {python}; SHARDFIT_PYTHON names another");
        return None;
    };
    let said = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
    match run.status.code() {
        Some(0) => Some(()),
        // What the script says where it lacks a package or a browser.
        Some(77) => {
            eprintln!("skipped: {}", said.trim());
            None
        }
        _ => panic!("{script}: {said}"),
    }
}

#[test]
fn pandas_and_duckdb_read_the_results_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("quoted.yaml");
    let quoted = document(SCENARIO).replace("name: chat,", "name: \"chat, „größer“ \\\"7\\\"\",");
    fs::write(&scenario, quoted).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -q -o {}", scenario.display(), out.display())).exits(0);
    python("read_results.py", &[&out]);
}

#[test]
fn the_report_draws_filters_and_sorts_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.csv");
    let out = folder.path().join("out");
    sweep(&out, "-q").exits(0);
    fs::copy(out.join("results.csv"), &old).unwrap();
    sweep(&out, &format!("-q --compare {}", old.display())).exits(0);
    let growth = folder.path().join("growth");
    shardfit(&format!("sweep scenarios/traffic-growth.yaml -q -o {}", growth.display())).exits(0);
    python("read_report.py", &[&out.join("report.html"), &growth.join("report.html")]);
}

#[test]
fn a_report_names_nothing_outside_itself() {
    let folder = whole();
    let report = fs::read_to_string(folder.path().join("report.html")).unwrap();
    for outside in
        ["<link rel=\"stylesheet\"", "<script src", "@import", "url(http", "fetch(", "XMLHttpRequest"]
    {
        assert!(!report.contains(outside), "{outside}");
    }
    assert!(report.contains("default-src 'none'") && report.contains("Permission is hereby granted"));
}

#[test]
fn a_name_cannot_break_out_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("odd.yaml");
    let odd = document(SCENARIO)
        .replace("name: a review for tests", "name: \"</script><script>alert(1)</script> {{data}}\"");
    fs::write(&scenario, odd).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -q -o {}", scenario.display(), out.display())).exits(0);
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!report.contains("<script>alert(1)"));
    assert_eq!(report.matches("id=\"data\"").count(), 1);
}

#[test]
fn results_of_another_scenario_are_not_written_over() {
    let folder = whole();
    let before = fs::read(folder.path().join("results.csv")).unwrap();
    let other = folder.path().join("other.yaml");
    let text = fs::read_to_string(SCENARIO).unwrap();
    let named = text.lines().find(|line| line.starts_with("name:")).unwrap();
    fs::write(&other, text.replace(named, "name: another")).unwrap();
    let run = shardfit(&format!("sweep {} -q -o {}", other.display(), folder.path().display())).exits(2);
    assert!(run.stderr.contains("the results of another scenario are here"), "{}", run.stderr);
    assert_eq!(fs::read(folder.path().join("results.csv")).unwrap(), before);
    // The same scenario again, edited or not, takes the place of its results.
    fs::write(&other, text.clone() + "# edited\n").unwrap();
    shardfit(&format!("sweep {} -q -o {}", other.display(), folder.path().display())).exits(0);
}

#[test]
fn of_clusters_that_cost_the_same_the_one_with_more_room_under_its_targets_is_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("tie.yaml");
    let text = "models: [llama-3.1-8b]\nclusters: [1xl40s, 1xh100-sxm]\nprices: {l40s: 2 USD/h, h100-sxm: 2 USD/h}\n\
                workloads: [{name: chat, isl: 1000, osl: 200, rate: 1 req/s}]\ntargets: [{name: usual, ttft: 1 s, tpot: 50 ms}]\n";
    fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {} -q", scenario.display(), out.display())).exits(0);
    let summary = fs::read_to_string(out.join("summary.md")).unwrap();
    let best = summary.lines().find(|line| line.starts_with("| ") && line.contains("8B")).unwrap_or(&summary);
    assert!(best.contains("1xh100-sxm"), "{summary}");
}
