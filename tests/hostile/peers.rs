//! Peers that are slow, broken or hostile: of the server, and of the client that drives one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::{mutate, number, peak, program};

/// A server that is stopped at the end of a test.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve() -> Server {
    let mut command = program();
    command.args(["serve", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let address = {
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (send, said) = std::sync::mpsc::channel();
        for stream in [Box::new(out) as Box<dyn std::io::Read + Send>, Box::new(err)] {
            let send = send.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if let Some((_, rest)) = line.split_once("http://") {
                        let end = rest.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(rest.len());
                        let _ = send.send(rest[..end].to_owned());
                    }
                }
            });
        }
        said.recv_timeout(Duration::from_secs(60)).expect("the server says where it is")
    };
    Server { child, address }
}

/// Sends bytes and reads what comes back, at most for the time given.
fn exchange(address: &str, bytes: &[u8], wait: Duration) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(wait)).ok()?;
    stream.set_write_timeout(Some(wait)).ok()?;
    // A server that has refused a request need not read the rest of it.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.take(8 << 20).read_to_end(&mut answer);
    Some(String::from_utf8_lossy(&answer).into_owned())
}

fn post(address: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Good requests: the command, and what is asked.
const REQUESTS: [(&str, &str); 7] = [
    (
        "plan",
        r#"{"model": "llama-3.1-8b", "cluster": "1xh100-sxm", "isl": 1024, "osl": 128, "ttft": "1s", "tp": [1], "time_limit": "2s"}"#,
    ),
    ("estimate", r#"{"model": "llama-3.1-8b", "gpu": "l40s", "concurrency": 4, "tp": 1, "engine": "vllm"}"#),
    ("size", r#"{"model": "llama-3.1-8b", "gpu": ["l40s"], "rate": 2, "headroom": "20%", "tpot": "60ms"}"#),
    (
        "simulate",
        r#"{"model": "llama-3.1-8b", "gpu": "h100-sxm", "concurrency": 4, "isl": "uniform:100..900", "osl": 50, "requests": 50}"#,
    ),
    ("inspect", r#"{"model": "llama-3.1-8b", "mode": "decode", "gpu": "h100-sxm"}"#),
    (
        "train",
        r#"{"model": "llama-3.1-8b", "cluster": "8xh100-sxm", "global_batch": 64, "seq": 4096, "top": 2}"#,
    ),
    ("jobs", r#"{"command": "plan", "request": {"model": "llama-3.1-8b", "cluster": "1xl40s"}}"#),
];

/// Memory that the server may come to hold, in bytes: its caches and two questions at once.
const MOST_OF_SERVER: u64 = 256 << 20;

fn is_alive(server: &mut Server) {
    let health = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address);
    let answer = exchange(&server.address, health.as_bytes(), Duration::from_secs(60));
    assert!(answer.as_deref().is_some_and(|a| a.starts_with("HTTP/1.1 ")), "no answer any more: {answer:?}");
    assert!(server.child.try_wait().unwrap().is_none(), "the server has ended");
    let held = peak(server.child.id());
    assert!(held < MOST_OF_SERVER, "{} MiB", held >> 20);
}

#[test]
fn the_server_answers_hostile_requests_and_lives() {
    let (runs, seed) = (number("HOSTILE_RUNS", 240) / 4, number("HOSTILE_SEED", 1));
    let mut server = serve();
    for n in 0..runs {
        let mut dice = Dice::new(seed ^ 0x5e17e, n);
        let (command, good) = REQUESTS[n as usize % REQUESTS.len()];
        let body = mutate::text(good.as_bytes(), &mut dice);
        let whole = post(&server.address, &format!("/api/v1/{command}"), &body);
        let sent = match dice.throw(6) {
            // The head too.
            0 => mutate::text(&whole, &mut dice),
            _ => whole.clone(),
        };
        let answer = exchange(&server.address, &sent, Duration::from_secs(60)).unwrap_or_default();
        if sent == whole {
            let status: u16 = answer.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
            let allowed = [200, 202, 400, 404, 413, 422, 503].contains(&status);
            assert!(allowed, "request {n}: {}\n{answer}", String::from_utf8_lossy(&body));
        }
    }
    is_alive(&mut server);
}

#[test]
fn slow_and_broken_clients_of_the_server_are_left() {
    let mut server = serve();
    let whole = post(&server.address, "/api/v1/plan", REQUESTS[0].1.as_bytes());
    let mut open = Vec::new();
    for n in 0..400_usize {
        let Ok(mut stream) = TcpStream::connect(&server.address) else { continue };
        // Nothing, a part of the head, a part of the body, all of it and gone before the answer.
        let part = [0, 20, whole.len() - 10, whole.len()][n % 4];
        let _ = stream.write_all(&whole[..part]);
        if n % 4 < 3 {
            open.push(stream);
        }
    }
    is_alive(&mut server);
    drop(open);
    is_alive(&mut server);
}

#[test]
fn requests_read_no_files() {
    let server = serve();
    let folder = std::env::temp_dir().join(format!("shardfit-hostile-secret-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let secret = "a-secret-word";
    let (text, config) = (file("secret.txt", secret), file("secret.json", &format!("{{\"{secret}\": 1}}")));
    let yaml = file("secret.yaml", &format!("{secret}: [\n"));
    let csv = file("secret.csv", &format!("{secret},b\n1,2\n"));
    let asks = [
        ("plan", format!(r#"{{"model": "{config}", "cluster": "1xl40s"}}"#)),
        ("plan", format!(r#"{{"model": "llama-3.1-8b", "cluster": "{yaml}"}}"#)),
        ("plan", format!(r#"{{"config": "{config}", "cluster": "1xl40s"}}"#)),
        ("plan", format!(r#"{{"model": "llama-3.1-8b", "cluster": "1xl40s", "engine": ["{yaml}"]}}"#)),
        ("estimate", format!(r#"{{"gpu": "l40s", "launch": "{text}"}}"#)),
        ("estimate", format!(r#"{{"gpu": "{yaml}", "model": "llama-3.1-8b"}}"#)),
        ("simulate", format!(r#"{{"model": "llama-3.1-8b", "gpu": "l40s", "trace": "{csv}"}}"#)),
        ("size", format!(r#"{{"model": "llama-3.1-8b", "gpu": ["l40s"], "forecast": "{csv}"}}"#)),
        ("inspect", format!(r#"{{"model": "{config}"}}"#)),
        ("simulate", format!(r#"{{"model": "llama-3.1-8b", "gpu": "l40s", "isl": "@{csv}", "osl": 5}}"#)),
    ];
    for (command, body) in asks {
        let request = post(&server.address, &format!("/api/v1/{command}"), body.as_bytes());
        let answer = exchange(&server.address, &request, Duration::from_secs(60)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{body}: {answer}");
        assert!(!answer.contains(secret), "{body}: {answer}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// What a hostile model server answers.
fn answer(n: usize, dice: &mut Dice) -> Vec<u8> {
    let event = r#"data: {"choices":[{"text":"a","finish_reason":null}],"usage":{"prompt_tokens":18446744073709551615,"completion_tokens":1e308}}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    match n % 8 {
        0 => Vec::new(),
        1 => b"\0\xff\xfe garbage \r\n\r\n".to_vec(),
        2 => format!("{head}content-length: 99999999999\r\n\r\n{event}\n\n").into_bytes(),
        3 => format!("{head}\r\n{}", "x".repeat(2 << 20)).into_bytes(),
        4 => format!("{head}\r\n{}", format!("{event}\n\n").repeat(1000)).into_bytes(),
        5 => b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\n\r\n".to_vec(),
        6 => format!("{head}transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n{event}").into_bytes(),
        _ => {
            let good = format!("{head}\r\n{event}\n\ndata: [DONE]\n\n");
            mutate::text(good.as_bytes(), dice)
        }
    }
}

#[test]
fn observe_ends_in_time_whatever_its_peer_does() {
    let over = AtomicBool::new(false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            let (mut n, mut held) = (0_usize, Vec::new());
            while !over.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                n += 1;
                let _ = stream.set_nonblocking(false);
                let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
                let _ = stream.write_all(&answer(n, &mut Dice::new(7, n as u64)));
                // Some say no more and stay.
                if n.is_multiple_of(3) {
                    held.push(stream);
                }
            }
        });
        for n in 0..6 {
            let begun = Instant::now();
            let load =
                "--isl 32 --osl 8 --concurrency 2 --requests 6 --request-timeout 500ms --time-limit 3s";
            let run = program()
                .args(["observe", "llama-3.1-8b", "--url", &format!("http://{address}")])
                .args(["--gpu", "h100-sxm"])
                .args(load.split(' '))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(matches!(run.status.code(), Some(0..=3)), "{n}: {:?} {said}", run.status);
            assert!(!said.contains("unknown option"), "{said}");
            assert!(begun.elapsed() < super::longest(), "{:?}", begun.elapsed());
        }
        over.store(true, Ordering::Relaxed);
    });
}
