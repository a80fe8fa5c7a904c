//! Help, completions and manual pages: all commands, all with examples that run.

use std::fs;
use std::path::Path;

use crate::common::{command, document, filled, settle, shardfit, words};

/// The commands, without `help`.
fn commands() -> Vec<String> {
    let all = shardfit::cli::command();
    all.get_subcommands().map(|c| c.get_name().to_owned()).collect()
}

/// `--help` of the program and of each command.
fn help_tree() -> Vec<(String, String)> {
    let line = |name: &str| if name.is_empty() { "--help".to_owned() } else { format!("{name} --help") };
    let names = std::iter::once(String::new()).chain(commands());
    names.map(|name| (name.clone(), shardfit(&line(&name)).exits(0).stdout)).collect()
}

#[test]
fn the_reference_of_the_command_line_is_the_whole_help_tree() {
    let mut list = String::new();
    for (name, help) in help_tree() {
        let heading = format!("shardfit {name}");
        let (heading, page) = (heading.trim_end(), heading.trim_end().replace(' ', "-"));
        let about = help.lines().next().unwrap_or_default();
        list.push_str(&format!("- [`{heading}`](commands/{page}.md): {about}\n"));
        let text = format!("# {heading}\n\n```text\n{}\n```\n", help.trim_end());
        settle(&format!("docs/commands/{page}.md"), &text);
    }
    settle("docs/cli.md", &filled(&document("docs/cli.md"), "commands", &list));
}

#[test]
fn short_help_and_the_help_command_say_the_same() {
    for name in commands() {
        let long = shardfit(&format!("{name} --help")).exits(0).stdout;
        assert_eq!(shardfit(&format!("{name} -h")).exits(0).stdout, long);
        assert_eq!(shardfit(&format!("help {name}")).exits(0).stdout, long);
    }
}

/// The examples at the end of a help text.
fn examples(help: &str) -> Vec<String> {
    let (_, after) = help.split_once("Example").unwrap_or_default();
    after.lines().filter_map(|l| l.trim().strip_prefix("shardfit ")).map(str::to_owned).collect()
}

#[test]
fn every_command_has_examples_and_all_of_them_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let put = |from: &str, to: &str| {
        let target = folder.path().join(to);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(data.join(from), target).unwrap();
    };
    put("valid/config.json", "config.json");
    put("valid/scenario.yaml", "scenarios/review.yaml");
    put("valid/runs.csv", "runs.csv");
    put("valid/trace.csv", "trace.csv");
    put("valid/traffic.csv", "traffic.csv");
    for k in 1..=2 {
        let output = command()
            .current_dir(folder.path())
            .args([
                "sweep",
                "scenarios/review.yaml",
                "-q",
                "-o",
                &format!("part-{k}"),
                "--shard",
                &format!("{k}/2"),
            ])
            .output()
            .unwrap();
        assert!(output.status.success());
    }
    put("valid/kernels.csv", "kernels.csv");
    let launch = "vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 4\n";
    fs::write(folder.path().join("serve.sh"), launch).unwrap();
    put("results/vllm-closed.json", "bench.json");
    let server =
        |c: usize| format!("vllm,0.21.0,llama-3.1-8b,h100-sxm,1,1,bf16,512,64,{c},closed-loop,50,10\n");
    let servers: String = (1..=45).map(server).collect();
    let columns = "engine,engine_version,model,gpu,num_gpus,tp,weight_dtype,isl,osl,concurrency,protocol,ttft_ms,tpot_ms";
    fs::write(folder.path().join("servers.csv"), format!("{columns}\n{servers}")).unwrap();
    fs::create_dir_all(folder.path().join("mine/kernels")).unwrap();
    fs::create_dir_all(folder.path().join("mine/scheduling")).unwrap();
    put("logs/vllm-0.19.log", "server.log");
    fs::create_dir(folder.path().join("configs")).unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    for model in ["Qwen--Qwen3-8B", "mistralai--Mistral-7B-v0.3"] {
        let kept = format!("hub/models--{model}");
        put("valid/config.json", &format!("{kept}/snapshots/0123456789abcdef/config.json"));
        fs::create_dir(folder.path().join(&kept).join("refs")).unwrap();
        fs::write(folder.path().join(&kept).join("refs/main"), "0123456789abcdef").unwrap();
    }
    for (name, help) in help_tree() {
        let examples = examples(&help);
        assert!(!examples.is_empty(), "`shardfit {name} --help` shows no example");
        for example in examples {
            let line = example.split(" > ").next().unwrap();
            if line.starts_with("serve") && !line.contains("--export") {
                answers_until_it_is_ended(line);
                continue;
            }
            // A live server is asked: `observe` has tests that start one.
            if line.contains("--url ") {
                continue;
            }
            let output = command()
                .current_dir(folder.path())
                .env("HF_HOME", folder.path())
                .args(words(line))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "shardfit {example}\n{said}");
        }
    }
}

/// A server answers until it is ended; on a port that is free.
fn answers_until_it_is_ended(line: &str) {
    let mut words = words(line);
    if let Some(at) = words.iter().position(|word| word == "--port") {
        words.drain(at..at + 2);
    }
    words.extend(["--port".to_owned(), "0".to_owned()]);
    let mut server = command().args(words).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stderr.take().unwrap()), &mut said)
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(said.contains("answers at http://"), "shardfit {line}\n{said}");
}

#[test]
fn completions_know_every_command_and_the_closed_sets_of_values() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = shardfit(&format!("completions {shell}")).exits(0).stdout;
        let words = ["why-not", "throughput", "sglang", "fp8_block", "clusters"];
        for word in commands().iter().map(String::as_str).chain(words) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    shardfit(&format!("man {}", pages.display())).exits(0);
    let main = fs::read_to_string(pages.join("shardfit.1")).unwrap();
    assert_eq!(main, shardfit("man").exits(0).stdout);
    for name in commands() {
        let page = fs::read_to_string(pages.join(format!("shardfit-{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains("Example"), "{name}");
    }
    assert_eq!(fs::read_dir(&pages).unwrap().count(), commands().len() + 1);
}

#[test]
fn the_name_alone_shows_three_questions_that_run() {
    let run = shardfit("").exits(0);
    let questions: Vec<&str> =
        run.stdout.lines().filter_map(|line| line.trim().strip_prefix("shardfit ")).collect();
    assert_eq!(questions.len(), 3, "{}", run.stdout);
    for question in questions {
        shardfit(question).exits(0);
    }
}
