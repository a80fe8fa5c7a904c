//! The page and the API over HTTP: the command line's bytes, faults as data, bounds.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shardfit::ask::{self, Command};
use shardfit::catalog::Catalog;
use shardfit::serve::{self, Bounds, Server};

/// A server with tight bounds, for as long as the tests run.
static SERVER: LazyLock<SocketAddr> = LazyLock::new(serving);

/// A server of its own.
fn serving() -> SocketAddr {
    let bounds =
        Bounds { body: 100_000, reading: Duration::from_millis(1500), jobs: 2, ..Bounds::for_cores(2) };
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Catalog::built_in(), bounds).unwrap();
    let address = server.address().unwrap();
    std::thread::spawn(move || server.run());
    address
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

fn send(bytes: &[u8]) -> TcpStream {
    send_to(*SERVER, bytes)
}

fn send_to(server: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    // One that is refused early may be closed before all is sent.
    let _ = stream.write_all(bytes);
    stream
}

fn receive(mut stream: TcpStream) -> Reply {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Reply { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn ask(method: &str, path: &str, body: &str) -> Reply {
    with(method, path, "localhost", "", body)
}

fn with(method: &str, path: &str, host: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    receive(send(request.as_bytes()))
}

#[test]
fn a_question_is_answered_with_the_bytes_of_the_command_line() {
    for command in Command::ALL {
        let request = command.example().to_string();
        let reply = ask("POST", &format!("/api/v1/{}", command.name()), &request);
        assert_eq!(reply.status, 200, "{}: {}", command.name(), reply.body);
        let theirs = ask::answer(command.name(), &request, &Catalog::built_in()).unwrap();
        assert!(reply.body == theirs, "{}", command.name());
        assert!(reply.head.contains("content-type: application/json"), "{}", reply.head);
    }
}

#[test]
fn a_brief_answer_has_the_same_figures_without_nulls_and_without_a_front_that_is_not_asked_for() {
    let request = r#"{"model": "llama-3.1-8b", "cluster": "2xh100-sxm"}"#;
    let whole = ask("POST", "/api/v1/plan", request).json();
    let brief = ask("POST", "/api/v1/plan?brief", request);
    assert_eq!(brief.status, 200, "{}", brief.body);
    assert!(!brief.body.contains("null") && brief.body.lines().count() == 1, "{}", brief.body);
    let brief = brief.json();
    assert!(brief.get("pareto").is_none() && whole["pareto"].is_array());
    let (theirs, ours) = (whole["plans"].as_array().unwrap(), brief["plans"].as_array().unwrap());
    assert_eq!(theirs.len(), ours.len());
    for (whole, brief) in theirs.iter().zip(ours) {
        let whole = whole.as_object().unwrap();
        assert!(
            whole.iter().all(|(name, value)| value.is_null() || value.is_object() || brief[name] == *value)
        );
    }
    let front = r#"{"model": "llama-3.1-8b", "cluster": "2xh100-sxm", "pareto": "per-gpu,tpot"}"#;
    assert!(ask("POST", "/api/v1/plan?brief", front).json()["pareto"].is_array());
    let other = ask("POST", "/api/v1/plan?breif", request);
    assert!(other.status == 400 && other.body.contains("?brief"), "{}", other.body);
}

/// Lists wait for a place among lists, so that one place is left: with as many lists in flight as there are cores, a small
/// question is answered before any of them.
#[test]
fn a_small_question_is_answered_before_lists_that_were_asked_first() {
    let lengths: Vec<u64> = (1000..1100).collect();
    let list = json!({ "model": "llama-3.1-8b", "cluster": "8xh100-sxm", "isl": lengths, "engine": "any", "top": 1 });
    let of = |body: &str| {
        format!(
            "POST /api/v1/plan HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // Where others ask too, lists may be turned away at once.
    let server = serving();
    let asked: Vec<TcpStream> = (0..3).map(|_| send_to(server, of(&list.to_string()).as_bytes())).collect();
    std::thread::sleep(Duration::from_millis(300));
    let small = of(r#"{"model": "llama-3.1-8b", "cluster": "1xh100-sxm", "top": 1}"#);
    let small = receive(send_to(server, small.as_bytes()));
    assert_eq!(small.status, 200, "{}", small.body);
    for stream in &asked {
        stream.set_nonblocking(true).unwrap();
        let nothing = stream.peek(&mut [0]).map_err(|e| e.kind());
        assert_eq!(nothing, Err(std::io::ErrorKind::WouldBlock), "a list was answered first");
    }
}

#[test]
fn faults_are_data_with_a_status_that_says_whose() {
    let deep = "[".repeat(60_000);
    let large = format!(r#"{{"model": "{}"}}"#, "x".repeat(200_000));
    for (method, path, body, status, said) in [
        (
            "POST",
            "/api/v1/plan",
            r#"{"model": "llama-3.1-8b", "cluster": "8xh100-smx"}"#,
            422,
            "did you mean",
        ),
        ("POST", "/api/v1/plan", r#"{"clustr": "8xh100-sxm"}"#, 422, "`cluster`"),
        ("POST", "/api/v1/plan", r#"{"ttft": 5}"#, 400, "`ttft`"),
        ("POST", "/api/v1/plan", "{", 400, "the request"),
        ("POST", "/api/v1/plan", "[1]", 400, "the request"),
        ("POST", "/api/v1/plan", "", 400, "the request"),
        ("POST", "/api/v1/plan", &deep, 400, "the request"),
        ("POST", "/api/v1/plan", &large, 413, "at most 100000 bytes"),
        ("POST", "/api/v1/inspect", r#"{"model": "/etc/passwd"}"#, 422, "unknown model"),
        (
            "POST",
            "/api/v1/simulate",
            r#"{"model": "llama-3.1-8b", "gpu": "l4", "requests": 999999999}"#,
            422,
            "`requests`",
        ),
        (
            "POST",
            "/api/v1/simulate",
            r#"{"model": "llama-3.1-8b", "gpu": "l4", "trace": "/etc/passwd"}"#,
            422,
            "no files",
        ),
        ("POST", "/api/v1/deploy", "{}", 404, "plan"),
        ("GET", "/api/v1/deploy", "", 404, "openapi"),
        ("GET", "/api/v1/plan", "", 405, "another way"),
        ("DELETE", "/healthz", "", 405, "another way"),
        ("GET", "/nowhere", "", 404, "openapi"),
        ("GET", "/assets/../Cargo.toml", "", 404, "openapi"),
        ("GET", "/api/v1/catalog/cars", "", 404, "gpus"),
        ("GET", "/api/v1/catalog/gpus/h100-smx", "", 404, "h100-sxm"),
        ("GET", "/api/v1/jobs/0", "", 404, "no such job"),
        ("POST", "/api/v1/jobs", r#"{"command": "simulate"}"#, 422, "`request`"),
    ] {
        let reply = ask(method, path, body);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
        let value = reply.json();
        let keys: Vec<&String> = value["error"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "cause", "place", "help"], "{path}");
        assert!(reply.body.contains(said), "{method} {path}: {}", reply.body);
        assert!(reply.head.contains("content-security-policy: default-src 'none'"), "{}", reply.head);
    }
}

#[test]
fn a_client_that_dawdles_is_not_waited_for() {
    let begun = Instant::now();
    let slow_body = send(
        b"POST /api/v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{",
    );
    let slow_head = send(b"GET /healthz HTTP/1.1\r\nHost: loc");
    assert_eq!(ask("GET", "/healthz", "").status, 200, "others are answered in the meantime");
    assert_eq!(receive(slow_body).status, 408);
    assert!(matches!(receive(slow_head).status, 0 | 408), "closed");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn many_at_once_are_all_answered() {
    let body = json!({ "model": "llama-3.1-8b", "gpu": "h100-sxm", "concurrency": 8 }).to_string();
    let whole = format!(
        "POST /api/v1/estimate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let open: Vec<TcpStream> = (0..200).map(|_| send(whole.as_bytes())).collect();
    // One whose client has gone away costs no answer of others.
    drop(send(whole.as_bytes()));
    let bodies: BTreeSet<String> = open
        .into_iter()
        .map(|stream| {
            let reply = receive(stream);
            assert_eq!(reply.status, 200, "{}", reply.body);
            reply.body
        })
        .collect();
    assert_eq!(bodies.len(), 1, "the same question has the same answer");
    let counts = ask("GET", "/metrics", "").body;
    assert!(
        counts.contains("shardfit_requests_total{route=\"/api/v1/estimate\",status=\"200\"}"),
        "{counts}"
    );
    assert!(counts.contains("shardfit_questions_waiting 0"), "{counts}");
}

#[test]
fn pages_of_other_sites_get_no_answer() {
    let of = |host: &str, headers: &str| with("GET", "/healthz", host, headers, "").status;
    assert_eq!(of("localhost:8080", ""), 200);
    assert_eq!(of("127.0.0.1:8080", "Origin: http://127.0.0.1:8080\r\n"), 200);
    assert_eq!(of("[::1]:8080", ""), 200);
    assert_eq!(of("rebound.example", ""), 403, "a name that was bent to this machine");
    assert_eq!(of("localhost:8080", "Origin: https://elsewhere.example\r\n"), 403);
}

#[test]
fn the_page_loads_its_own_files_alone() {
    let page = ask("GET", "/", "");
    assert!(page.status == 200 && page.head.contains("content-security-policy: default-src 'none'"));
    let mark = page.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert_eq!(with("GET", "/", "localhost", &format!("If-None-Match: {mark}\r\n"), "").status, 304);
    for file in serve::files() {
        let outside = file.text.lines().filter(|line| {
            line.contains("://")
                && !line.contains("http://www.w3.org/2000/svg")
                && !line.trim_start().starts_with("//")
        });
        assert_eq!(outside.count(), 0, "{}", file.name);
        if file.name != "index.html" {
            let reply = ask("GET", &format!("/assets/{}", file.name), "");
            assert!(reply.status == 200 && reply.head.contains(file.kind), "{}: {}", file.name, reply.head);
        }
    }
    // Every file that another names is there.
    let names: BTreeSet<&str> = serve::files().iter().map(|file| file.name).collect();
    for file in serve::files().iter().filter(|file| file.name.ends_with(".js")) {
        for import in file.text.lines().filter_map(|line| line.split(" from './").nth(1)) {
            let name = import.trim_end_matches("';");
            assert!(names.contains(name), "{} imports {name}", file.name);
        }
    }
}

#[test]
fn the_catalogue_is_that_of_the_command_line() {
    let listed = ask("GET", "/api/v1/catalog/gpus", "").json();
    assert!(listed.as_array().unwrap().iter().any(|gpu| gpu["id"] == "h100-sxm"));
    let one = ask("GET", "/api/v1/catalog/gpus/H100%20SXM", "");
    assert_eq!((one.status, &one.json()["id"]), (200, &json!("h100-sxm")), "{}", one.body);
    let model = ask("GET", "/api/v1/catalog/models/meta-llama/Meta-Llama-3.1-8B", "");
    assert_eq!(model.json()["hidden_size"], 4096);
}

#[test]
fn a_long_question_is_watched_and_cancelled() {
    let begin = |requests: u64| {
        let request = json!({ "model": "llama-3.1-8b", "gpu": "h100-sxm", "rate": 2, "requests": requests, "osl": 300 });
        let reply =
            ask("POST", "/api/v1/jobs", &json!({ "command": "simulate", "request": request }).to_string());
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply.json()["id"].as_str().unwrap().to_owned()
    };
    let short = begin(300);
    let events = ask("GET", &format!("/api/v1/jobs/{short}/events"), "");
    assert!(events.head.contains("text/event-stream"));
    assert!(events.body.contains(r#"data: {"state":"done","answer":{"schema_version":1"#), "{}", events.body);
    let stand = ask("GET", &format!("/api/v1/jobs/{short}"), "").json();
    assert_eq!(stand["answer"]["requests"], 300);
    let timeline = stand["timeline"].as_array().unwrap();
    assert!(timeline.iter().any(|row| row["running"].as_f64().unwrap() > 0.0), "{timeline:?}");
    let long = begin(2_000_000);
    assert_eq!(ask("DELETE", &format!("/api/v1/jobs/{long}"), "").status, 200);
    let events = ask("GET", &format!("/api/v1/jobs/{long}/events"), "");
    assert!(events.body.contains("the simulation was stopped before its end"), "{}", events.body);
}

#[test]
fn the_description_of_the_api_is_whole() {
    let document = ask("GET", "/api/v1/openapi.json", "").json();
    assert_eq!(document, serve::openapi());
    assert_eq!(document["openapi"], "3.1.0");
    for command in Command::ALL {
        let operation = &document["paths"][format!("/api/v1/{}", command.name())]["post"];
        let content = &operation["requestBody"]["content"]["application/json"];
        assert_eq!(content["example"], command.example());
        let name = content["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let fields = document["components"]["schemas"][name]["properties"].as_object().unwrap();
        for key in command.example().as_object().unwrap().keys() {
            assert!(fields.contains_key(key), "{name} has {key}");
        }
    }
    fn references(value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                out.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, out));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, out)),
            _ => {}
        }
    }
    let mut all = BTreeSet::new();
    references(&document, &mut all);
    for reference in all {
        let at = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(at).is_some(), "{reference}");
    }
}

#[test]
fn an_export_needs_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("site");
    crate::common::shardfit(&format!("serve --export {}", at.display())).exits(0);
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    let page = read("index.html");
    assert!(
        page.contains("<html data-static")
            && page.contains("=\"assets/main.js\"")
            && !page.contains("\"/assets")
    );
    let decode: Value = serde_json::from_str(&read("api/v1/inspect/llama-3.1-8b-decode.json")).unwrap();
    assert_eq!(decode["params"]["total"], 8_030_261_248_u64);
    assert!(read("api/v1/catalog/gpus").contains("h100-sxm"));
}

#[test]
fn an_address_that_is_none_is_said_to_be() {
    let run = crate::common::shardfit("serve --host nowhere");
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("`nowhere` is no address") && run.stderr.contains("127.0.0.1"),
        "{}",
        run.stderr
    );
    let taken = SERVER.port();
    let run = crate::common::shardfit(&format!("serve --port {taken}"));
    assert!(run.code == 2 && run.stderr.contains("cannot listen"), "{}", run.stderr);
}

#[test]
fn the_page_answers_in_a_browser() {
    let python = std::env::var("SHARDFIT_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/try_page.py");
    let Ok(output) =
        std::process::Command::new(&python).arg(script).arg(format!("http://{}", *SERVER)).output()
    else {
        eprintln!("skipped: no {python}; SHARDFIT_PYTHON names another");
        return;
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        eprintln!("skipped: {said}");
        return;
    }
    assert!(output.status.success(), "{said}");
}
