//! Tools of an agent: the Model Context Protocol over stdin and stdout.

use std::io::Write as _;
use std::process::Stdio;

use crate::common;
use serde_json::{Value, json};

/// What is answered to messages, each a line.
fn conversation(messages: &[Value]) -> Vec<Value> {
    let mut child = common::command()
        .arg("mcp")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let text: String = messages.iter().map(|message| format!("{message}\n")).collect();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn call(id: u64, name: &str, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments } })
}

#[test]
fn an_agent_lists_tools_and_asks_them() {
    let here = json!({ "model": "llama-3.1-8b", "cluster": "1xh100-sxm", "engine": "vllm" });
    let with = |more: Value| {
        let mut all = here.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let answers = conversation(&[
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-03-26" } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
        call(3, "plan", here.clone()),
        call(4, "why_not", with(json!({ "why_not": "tp=2" }))),
        call(5, "emit", with(json!({ "emit": "command" }))),
        call(
            6,
            "estimate",
            json!({ "launch": "vllm serve meta-llama/Llama-3.1-8B -tp 2", "gpu": "h100-sxm" }),
        ),
        call(7, "plan", with(json!({ "cluster": "8xh100-smx" }))),
        call(8, "dance", json!({})),
        json!({ "jsonrpc": "2.0", "id": 9, "method": "sing" }),
        json!({ "jsonrpc": "2.0", "id": "ten", "method": "ping" }),
    ]);
    assert_eq!(answers.len(), 10, "a notification has no answer");
    assert_eq!(answers[0]["result"]["protocolVersion"], "2025-03-26");
    let tools = answers[1]["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["plan", "estimate", "why_not", "emit", "size", "fit", "inspect"]);
    assert_eq!(tools[2]["inputSchema"]["required"], json!(["model", "cluster", "why_not"]));
    let text = |n: usize| {
        let content = &answers[n]["result"]["content"][0]["text"];
        serde_json::from_str::<Value>(content.as_str().unwrap()).unwrap()
    };
    assert_eq!(text(2)["plans"].as_array().unwrap().len(), 1);
    assert_eq!(text(3)["examined"][0]["feasible"], false);
    assert!(text(4)["files"][0]["text"].as_str().unwrap().contains("vllm serve"));
    assert_eq!(text(5)["tp"], 2);
    assert_eq!(answers[6]["result"]["isError"], true);
    assert!(text(6)["error"]["help"].as_str().unwrap().contains("h100-sxm"));
    assert_eq!(answers[7]["error"]["code"], -32602);
    assert_eq!(answers[8]["error"]["code"], -32601);
    assert_eq!(answers[9]["id"], "ten");
}

/// What an agent reads of a plain question is small: it pays for every token. Clients cut answers of more than 25,000 tokens.
#[test]
fn an_agent_reads_plans_without_nulls_and_the_front_only_where_it_asks_for_one() {
    let asked = json!({ "model": "llama-3.1-70b", "cluster": "8xh100-sxm", "tpot": "50ms" });
    let mut with_front = asked.clone();
    with_front["pareto"] = json!("per-gpu,tpot");
    let answers = conversation(&[call(1, "plan", asked), call(2, "plan", with_front)]);
    let text = |n: usize| answers[n]["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text(0).len() < 16_000, "{} bytes", text(0).len());
    assert!(!text(0).contains("null") && text(0).lines().count() == 1, "{}", text(0));
    let plain: Value = serde_json::from_str(text(0)).unwrap();
    assert_eq!(plain["plans"].as_array().unwrap().len(), 3);
    assert!(plain.get("pareto").is_none());
    // What the terminal says below its table is among the notes.
    let notes = plain["notes"].as_array().unwrap();
    let said = |start: &str| notes.iter().any(|note| note.as_str().unwrap().starts_with(start));
    assert!(
        said("As simulated the best plan holds: TTFT") && said("Likely range of the best plan"),
        "{notes:?}"
    );
    let front: Value = serde_json::from_str(text(1)).unwrap();
    assert!(front["pareto"].as_array().unwrap().len() > 3);
    assert_eq!(front["plans"], plain["plans"]);
}
