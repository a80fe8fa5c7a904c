//! Every command in every format, tables on terminals of any width, colour, and what goes to stderr.

use crate::common::{self, Run, shardfit, shardfit_with};

const SHAPE: &str = "layers=32,hidden=4096,heads=32,kv=8,ffn=14336,vocab=128256";

/// A line for each kind of result.
const RESULTS: &[&str] = &[
    "plan llama-3.1-8b --cluster 2xh100-sxm --top 3",
    "plan llama-3.1-8b --cluster 2xh100-sxm --pareto",
    "plan llama-3.1-8b --cluster 2xh100-sxm --explain 1",
    "plan llama-3.1-8b --cluster 2xh100-sxm --why-not tp=2,pp=1 --engine any",
    "plan llama-3.1-8b --cluster 2xh100-sxm --tpot 1us --why-not tp=3",
    "plan mixtral-8x7b --cluster 8xh100-sxm --engine any --top 5",
    "estimate llama-3.1-8b --gpu h100-sxm --tp 2",
    "estimate llama-3.1-8b --gpu h100-sxm --tp 2 --explain",
    "inspect llama-3.1-8b",
    "catalog gpus",
    "catalog clusters",
    "catalog models",
    "catalog engines",
    "catalog gpus h100-sxm",
    "catalog clusters hgx-h100",
    "catalog models llama-3.1-8b",
    "catalog engines vllm",
    "validate params tests/data/valid/counts.csv",
];

fn in_format(line: &str, format: &str) -> Run {
    let run = shardfit(&format!("{line} --format {format}"));
    assert!(run.code <= 1, "shardfit {}\n{}", run.line, run.stderr);
    run
}

#[test]
fn every_result_is_written_in_every_format() {
    for line in RESULTS {
        assert!(!in_format(line, "table").stdout.trim().is_empty(), "{line}");
        let json = in_format(line, "json").json();
        assert!(json.is_object() || json.is_array(), "{line}");
        let yaml: serde_json::Value = shardfit::load::yaml(&in_format(line, "yaml").stdout, line).unwrap();
        assert_eq!(yaml.is_object(), json.is_object(), "{line}");
        let (header, rows) = in_format(line, "csv").csv();
        assert!(header.len() >= 2 && !rows.is_empty(), "{line}");
        let markdown = in_format(line, "md").stdout;
        let bars = |l: &str| l.starts_with('|') && l.ends_with('|');
        assert!(markdown.lines().count() >= 3 && markdown.lines().all(bars), "{line}\n{markdown}");
    }
}

#[test]
fn an_explanation_in_json_adds_up() {
    let json = in_format("estimate llama-3.1-8b --gpu h100-sxm --tp 2 --explain", "json").json();
    for step in ["decode", "prompt"] {
        let total = common::number(&json, &format!("{step}.operators_us"));
        let parts = common::at(&json, &format!("{step}.operators")).as_array().unwrap().clone();
        let sum: f64 = parts.iter().map(|o| common::number(o, "time_us")).sum();
        assert!((sum / total - 1.0).abs() < 1e-4, "{step}: {sum} of {total}");
    }
}

#[test]
fn why_not_in_json_names_the_reason() {
    let json = in_format("plan llama-3.1-8b --cluster 2xh100-sxm --why-not tp=3", "json").json();
    let examined = &common::at(&json, "examined")[0];
    assert_eq!(examined["reason"], "tp_does_not_divide_attention_heads");
    assert_eq!(examined["feasible"], false);
    assert_eq!(json["layout"]["tp"], 3);
}

/// Characters that the longest line takes on the screen.
fn longest(text: &str) -> (usize, &str) {
    text.lines().map(|l| (l.chars().count(), l)).max_by_key(|(n, _)| *n).unwrap_or_default()
}

/// What a command shows on a terminal of this width, without its styles.
fn on_a_terminal(line: &str, width: &str) -> String {
    let styled = shardfit_with(line, &[("CLICOLOR_FORCE", "1"), ("COLUMNS", width)]).stdout;
    let mut parts = styled.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn tables_fit_terminals_of_any_width_and_keep_numbers_whole() {
    for line in RESULTS.iter().filter(|l| !l.starts_with("catalog") || l.split(' ').count() == 2) {
        for width in ["60", "80", "120", "200"] {
            let shown = on_a_terminal(line, width);
            let (n, widest) = longest(&shown);
            assert!(n <= width.parse().unwrap(), "shardfit {line} at {width}: {n}\n{widest}\n{shown}");
        }
    }
    // Whole columns go before numbers are cut.
    let narrow = on_a_terminal("plan llama-3.1-70b --cluster 8xh100-sxm --top 1", "60");
    assert!(narrow.contains("no room for: margin GiB"), "{narrow}");
}

#[test]
fn pipes_and_no_color_get_plain_text_and_force_gets_colour() {
    let line = "plan llama-3.1-8b --cluster 2xh100-sxm --top 3";
    let styled =
        |variables: &[(&str, &str)]| shardfit_with(line, variables).exits(0).stdout.contains('\u{1b}');
    assert!(!styled(&[]));
    assert!(!styled(&[("COLUMNS", "80")]));
    assert!(styled(&[("CLICOLOR_FORCE", "1")]));
    assert!(!styled(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    let wide = shardfit_with(line, &[("CLICOLOR_FORCE", "1")]).stdout;
    assert_eq!(wide.lines().count(), shardfit(line).stdout.lines().count());
    let json = shardfit_with(&format!("{line} --format json"), &[("CLICOLOR_FORCE", "1")]);
    assert!(!json.stdout.contains('\u{1b}'));
}

#[test]
fn a_file_is_as_wide_as_it_needs_whatever_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plans.txt");
    let line = "plan llama-3.1-8b --cluster 2xh100-sxm --top 3";
    let with_file = format!("{line} -o {}", path.display());
    shardfit_with(&with_file, &[("COLUMNS", "60"), ("CLICOLOR_FORCE", "1")]).exits(0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), shardfit(line).stdout);
}

#[test]
fn verbose_says_on_stderr_what_was_read_and_assumed_and_quiet_says_nothing() {
    let line = "plan tests/data/valid/config.json --cluster 1xh100-sxm --osl 100";
    let plain = shardfit(line).exits(0);
    let verbose = shardfit(&format!("{line} --verbose")).exits(0);
    assert_eq!(plain.stdout, verbose.stdout);
    assert_eq!(plain.stderr, "");
    for text in ["read tests/data/valid/config.json", "--isl 2048", "engine vllm", "plans", "ms]"] {
        assert!(verbose.stderr.contains(text), "{text}\n{}", verbose.stderr);
    }
    assert!(!verbose.stderr.contains("--osl"), "{}", verbose.stderr);
    let folder = tempfile::tempdir().unwrap();
    let sweep = format!("sweep tests/data/valid/scenario.yaml -o {}", folder.path().display());
    assert!(shardfit(&sweep).exits(0).stderr.contains("cases"));
    assert_eq!(shardfit(&format!("--quiet {sweep}")).exits(0).stderr, "");
    let refused = shardfit("-q inspect no-such-model").exits(2);
    assert!(refused.stderr.starts_with("error: "));
}

#[test]
fn a_shape_stands_wherever_a_model_does() {
    let by_shape = shardfit(&format!("inspect --shape {SHAPE} --format json")).exits(0).json();
    assert_eq!(common::number(&by_shape, "params.total"), 8_030_261_248.0);
    // The same blocks give the same plans; only the names differ.
    let plans = |model: &str| {
        let line = format!("plan {model} --cluster 2xh100-sxm --format json");
        common::at(&shardfit(&line).exits(0).json(), "plans").clone()
    };
    assert_eq!(plans(&format!("--shape {SHAPE},context=131072")), plans("llama-3.1-8b"));
    shardfit(&format!("estimate --shape {SHAPE},dtype=fp8 --gpu l40s")).exits(0).says(&["fp8"]);
}

#[test]
fn a_scenario_names_a_model_by_its_shape() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let text = format!(
        "name: shapes\nmodels: [llama-3.1-8b, {{shape: \"{SHAPE}\"}}]\nclusters: [1xh100-sxm]\n\
         workloads: [{{name: chat, isl: 512, osl: 128}}]\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let out = folder.path().join("out");
    shardfit(&format!("sweep {} -o {} -q", scenario.display(), out.display())).exits(0);
    let (header, rows) = common::parse_csv(&std::fs::read_to_string(out.join("results.csv")).unwrap());
    let column = header.iter().position(|h| h == "output_tokens_per_s").unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0][column], rows[1][column]);
    assert_eq!(rows[1][1], SHAPE);
}

const QUESTION: &str =
    "llama-3.1-8b --cluster 2xh100-sxm --isl 1000 --osl 200 --tpot 50ms --top 2 --verify 0";

#[test]
fn a_file_is_written_in_the_format_of_its_extension() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, rest: &str| {
        let path = folder.path().join(name);
        let run = shardfit(&format!("plan {QUESTION} {rest} -o {}", path.display())).exits(0);
        assert_eq!(run.stdout, "");
        std::fs::read_to_string(path).unwrap()
    };
    let said = |rest: &str| shardfit(&format!("plan {QUESTION} {rest}")).exits(0).stdout;
    for (name, format) in [
        ("plans.csv", "csv"),
        ("plans.CSV", "csv"),
        ("plans.json", "json"),
        ("plans.yaml", "yaml"),
        ("plans.yml", "yaml"),
        ("plans.md", "md"),
        ("plans.txt", "table"),
        ("plans", "table"),
    ] {
        assert_eq!(written(name, ""), said(&format!("--format {format}")), "{name}");
    }
    assert_eq!(written("plans.csv", "--format json"), said("--format json"), "--format overrides");
    assert_eq!(written("plans.xlsx", "--csv"), said("--format csv"), "--csv does too");
    assert_eq!((said("--json"), said("--csv")), (said("--format json"), said("--format csv")));
}

#[test]
fn an_extension_that_is_not_known_is_an_error_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plans.xlsx");
    for line in [
        format!("plan {QUESTION}"),
        "estimate llama-3.1-8b --gpu h100-sxm".into(),
        "size llama-3.1-8b --gpu h100-sxm --rate 5".into(),
        "inspect llama-3.1-8b".into(),
        "catalog gpus".into(),
        "budget --flops 1e24".into(),
        "fit --cluster 1xrtx-4090".into(),
        "validate params tests/data/valid/counts.csv".into(),
    ] {
        let run = shardfit(&format!("{line} -o {}", path.display())).exits(2);
        for text in ["`.xlsx`", ".csv, .json, .yaml, .yml, .md", "--format"] {
            assert!(run.stderr.contains(text), "{line}\n{}", run.stderr);
        }
        assert!(!path.exists());
    }
    shardfit(&format!("plan {QUESTION} --json --csv")).exits(2);
    shardfit(&format!("plan {QUESTION} --json --format csv")).exits(2);
}

#[test]
fn json_and_csv_are_short_for_their_formats_on_every_command_that_has_formats() {
    for command in shardfit::cli::command().get_subcommands() {
        let has = |name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
        assert_eq!(has("format"), has("json") && has("csv"), "{}", command.get_name());
    }
}

#[test]
fn a_row_of_csv_says_the_whole_question() {
    let lines = [
        "plan llama-3.1-8b --cluster 2xh100-sxm --top 2",
        "plan llama-3.1-8b --cluster 2xh100-sxm --explain 1",
        "plan llama-3.1-8b --cluster 2xh100-sxm --why-not tp=2",
        "estimate llama-3.1-8b --cluster 2xh100-sxm --tp 2 --concurrency 4",
        "simulate llama-3.1-8b --cluster 2xh100-sxm --tp 2 --concurrency 4 --requests 20",
        "size llama-3.1-8b --clusters 2xh100-sxm --rate 5",
    ];
    for line in lines {
        let run = shardfit(&format!("{line} --isl 1000 --osl 200 --ttft 2s --tpot 50ms --csv")).exits(0);
        let (header, rows) = run.csv();
        let cell = |name: &str| rows[0][header.iter().position(|h| h == name).expect(name)].as_str();
        assert!(cell("model").ends_with("Llama-3.1-8B"), "{line}");
        assert_eq!(cell("cluster"), "2xh100-sxm", "{line}");
        let question = ["isl", "osl", "target_ttft_ms", "target_tpot_ms", "target_e2e_ms"].map(cell);
        assert_eq!(question, ["1000", "200", "2000.0", "50.0", ""], "{line}");
        let names: std::collections::BTreeSet<&String> = header.iter().collect();
        assert_eq!(names.len(), header.len(), "{line}: a column stands twice");
    }
}
